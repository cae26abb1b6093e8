"""Real browsers behind Playwright and Puppeteer, as they are shipped: pages, walls, and SIGKILL."""

import base64
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Observation, Scripted
from scripworld.world import Code, Invoke, Refused

from .real_lab import (
    BREAD,
    ONLY_THE_SITE,
    QUOTAS,
    SITE,
    answers_of,
    began_with,
    below,
    done,
    egress_of,
    failure_of,
    left_over,
    listener,
    made_site,
    mentioning,
    run_with,
    settings_of,
    text_of,
)

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.registry,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}: `apt install chromium`"
    ),
]

PLAYWRIGHT, PUPPETEER = "genesis_playwright", "genesis_puppeteer"
PNG = b"\x89PNG\r\n\x1a\n"
METADATA, PRIVATE = "169.254.169.254", "10.0.0.1"
KILLED = "killed"
START_S = 120


def playwright(method: str, /, **args: Any) -> Invoke:
    return Invoke(PLAYWRIGHT, method, args)


def puppeteer(method: str, /, **args: Any) -> Invoke:
    return Invoke(PUPPETEER, method, args)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("reading")
    scripts = {
        "a": [
            playwright("browser_navigate", url=BREAD),
            playwright("browser_snapshot"),
            playwright("browser_click", element="Buy", target="e4"),
            playwright("browser_snapshot"),
            playwright("browser_take_screenshot", type="png", scale="css"),
            playwright("browser_click", element="none", target="e99"),
            playwright("browser_evaluate", function="() => 1"),
            playwright("browser_navigate", url="file:///etc/hosts"),
            playwright("list_tools"),
        ],
        "b": [
            puppeteer("puppeteer_navigate", url=BREAD),
            puppeteer("puppeteer_click", selector="button"),
            puppeteer("puppeteer_screenshot", name="page", width=300, height=200),
            puppeteer("read_resource", uri="screenshot://page"),
            puppeteer("puppeteer_click", selector="#none"),
            puppeteer("read_resource", uri="screenshot://none"),
            puppeteer("puppeteer_navigate", url="http://127.0.0.1/"),
            puppeteer("list_tools"),
        ],
    }
    servers = {"playwright": {"egress": ONLY_THE_SITE}, "puppeteer": {"egress": ONLY_THE_SITE}}
    run = run_with(folder, servers, scripts, made_site(folder))
    run.verify()
    return run


def test_playwright_reads_a_page_acts_on_it_and_keeps_a_picture(reading: Run):
    answers = answers_of(reading, "a")
    opened, page, clicked, changed, picture, missing, code, file, tools = answers

    assert "- Page Title: Bakery" in text_of(opened)
    assert "- paragraph [ref=e3]: The price of bread is 3." in text_of(page)
    assert "name: 'Buy'" in text_of(clicked)
    assert "- paragraph [ref=e3]: Sold out." in text_of(changed)
    image = done(picture)["content"][1]
    assert (image["type"], image["mimeType"]) == ("image", "image/png")
    shot = base64.b64decode(image["data"])
    assert shot.startswith(PNG)
    assert "Ref e99 not found" in failure_of(missing)
    assert isinstance(code, Refused)
    assert code.code is Code.METHOD_UNKNOWN
    assert 'Access to "file:" protocol is blocked' in failure_of(file)
    assert set(done(tools)["methods"]) == began_with(reading, PLAYWRIGHT)
    kept = reading.folder / "servers/playwright/.playwright-mcp"
    assert [path.read_bytes() for path in kept.glob("*.png")] == [shot]


def test_puppeteer_opens_a_page_and_keeps_a_picture_that_is_a_resource_too(reading: Run):
    answers = answers_of(reading, "b")
    opened, clicked, picture, resource, missing, no_resource, loopback, tools = answers

    assert text_of(opened) == f"Navigated to {BREAD}"
    assert text_of(clicked) == "Clicked: button"
    image = done(picture)["content"][1]
    assert (image["type"], image["mimeType"]) == ("image", "image/png")
    assert base64.b64decode(image["data"]).startswith(PNG)
    assert done(resource)["contents"][0]["blob"] == image["data"]
    assert "No element found for selector: #none" in failure_of(missing)
    assert failure_of(no_resource).startswith("puppeteer: it answered with error ")
    assert "net::ERR_CONNECTION_REFUSED" in failure_of(loopback)
    assert set(done(tools)["methods"]) == began_with(reading, PUPPETEER)
    reached = {(line["server"], line["host"]) for line in egress_of(reading) if line["bytes_in"]}
    assert reached == {("playwright", SITE), ("puppeteer", SITE)}


def test_a_browser_is_led_neither_to_metadata_nor_to_private_addresses_nor_to_the_host(
    tmp_path: Path,
):
    with listener() as (address, asked):
        port = int(address.rpartition(":")[2])
        hosts = [METADATA, PRIVATE, "127.0.0.1", "localhost", "::1"]
        egress = {"hosts_allowed": hosts, "ports": [80, port]}
        targets = {
            f"http://{METADATA}/latest/meta-data/": METADATA,
            f"http://{PRIVATE}/": PRIVATE,
            f"{address}/": "127.0.0.1",
            f"http://2130706433:{port}/": "127.0.0.1",
            f"http://localhost:{port}/": "localhost",
            f"http://[::1]:{port}/": "::1",
        }
        calls = [playwright("browser_navigate", url=url) for url in targets]
        run = run_with(tmp_path, {"playwright": {"egress": egress}}, {"a": calls})

    for answer in answers_of(run, "a"):
        assert "HTTP status: 403 Forbidden (egress policy: private_allowed)" in text_of(answer)
    told = {
        (line["host"], line["verdict"], line["reason"])
        for line in egress_of(run)
        if line["host"] in hosts  # a browser asks its maker for news, too
    }
    assert told == {(host, "refused", "private_allowed") for host in targets.values()}
    assert asked == []


def test_a_browser_without_a_proxy_reaches_nothing_at_all(tmp_path: Path):
    with listener() as (address, asked):
        run = run_with(
            tmp_path,
            {"playwright": {"sandbox": {"network": "none"}}},
            {"a": [playwright("browser_navigate", url=url) for url in (BREAD, address)]},
            made_site(tmp_path),
        )

    site, host = answers_of(run, "a")
    assert "net::ERR_" in failure_of(site)
    assert "net::ERR_CONNECTION_REFUSED" in failure_of(host)
    assert asked == []
    assert not (run.folder / "egress.jsonl").exists()


def browse(folder: Path) -> None:
    """Drive a run that looks at a page again and again, until it is killed."""

    def decide(observation: Observation) -> Invoke:
        if observation.step % 2:
            return playwright("browser_snapshot")
        return playwright("browser_navigate", url=BREAD)

    agent = {"id": "a", "mind": "a", "scrip": 0, "quotas": QUOTAS}
    scripworld.run(
        Scenario.model_validate({"name": "web", "agents": [agent], "site": made_site(folder)}),
        minds={"a": Scripted(decide)},
        settings=settings_of(folder, {"playwright": {"egress": ONLY_THE_SITE}}),
        run_id=KILLED,
        until_us=3_600_000_000,
    )


def test_a_run_that_is_killed_leaves_no_browser_and_nothing_around_it(tmp_path: Path):
    program = [sys.executable, "-m", "tests.genesis.test_real_browsers", str(tmp_path)]
    process = subprocess.Popen(program, cwd=ROOT, stdin=subprocess.DEVNULL)
    log = tmp_path / "runs" / KILLED / "egress.jsonl"
    try:
        deadline = time.monotonic() + START_S
        while not (log.exists() and SITE in log.read_text()) and time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.05)
        running, started = "\n".join(mentioning(tmp_path).values()), below(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL

    for part in ("chromium", "playwright-mcp", "bwrap", "process_guard.py", "net_gate.py"):
        assert part in running
    assert left_over(tmp_path, started) == {}
    scripworld.open_run(KILLED, tmp_path / "runs").verify()


if __name__ == "__main__":
    browse(Path(sys.argv[1]))
