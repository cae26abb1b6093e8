"""`scripworld tools`: what is told of servers, and trying, pinning and interrupting real ones."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import scripworld
from scripworld.agents.mind import Scripted
from scripworld.interfaces.cli import app
from scripworld.world import Invoke, Stop

from .conftest import PROCESS_TIMEOUT_S, Command, command_of, environment, scripworld_in

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "architecture" / "command_line.md"
SERVER = Path(__file__).with_name("servers") / "listed_server.py"
TEXT = {"type": "string"}


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)[:1]}
    return {"name": name, "description": description, "inputSchema": schema}


TOOLS = [
    tool("echo", "Says it again. And more.", text=TEXT, times={"type": "integer"}),
    tool("draw", "Draws a dot"),
    tool("fail"),
    tool("tell_key"),
    tool("run_command", "Runs a command", command=TEXT),
]


class Shop:
    """A checkout of its own, so that nothing is written into ours, with one small server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config"
        self.manifest = self.config / "manifests" / "small.json"
        self.notes = folder / "notes"
        shutil.copytree(ROOT / "src", folder / "scripworld")
        shutil.copytree(ROOT / "config", self.config)
        (self.config / "servers.yaml").unlink(missing_ok=True)
        (folder / "docs").mkdir()  # a root of the scenario
        self.offer(TOOLS)
        self.have()

    def offer(self, tools: list[dict[str, Any]]) -> None:
        (self.folder / "list.json").write_text(json.dumps(tools))

    def have(self, **settings: Any) -> None:
        small = {
            "command": sys.executable,
            "args": [str(SERVER), str(self.folder / "list.json"), str(self.notes)],
            "start_timeout_s": 30,
            **settings,
        }
        written = {"genesis": {"mcp": {"servers": {"small": small}}}}
        (self.folder / "shop.yaml").write_text(yaml.safe_dump(written))

    def variables(self, **more: str) -> dict[str, str]:
        return {"PYTHONPATH": str(self.folder), "MCP_SANDBOX_RUNNER": "none", **more}

    def __call__(self, *args: object, **variables: str) -> subprocess.CompletedProcess[str]:
        words = ("tools", *args, "--config", "shop.yaml")
        ended = scripworld_in(self.folder, *words, **self.variables(**variables))
        assert "Traceback" not in ended.stdout + ended.stderr
        return ended

    @property
    def starts(self) -> int:
        return len(self.notes.read_text().splitlines()) if self.notes.exists() else 0


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def listed(shop: Shop, *args: object, **variables: str) -> dict[str, dict[str, Any]]:
    ended = shop("--json", *args, **variables)
    assert ended.returncode == 0, ended.stderr
    return {server["name"]: server for server in json.loads(ended.stdout)["servers"]}


# What is told of all.


def test_every_server_is_listed_and_none_is_started(shop):
    ended = shop()

    assert ended.returncode == 0
    for name in ("filesystem", "fetch", "web_search", "github", "playwright", "small"):
        assert f"\n{name} " in ended.stdout
    assert "genesis_small" in ended.stdout
    assert "tools show NAME" in ended.stdout
    assert shop.starts == 0


def test_a_server_is_off_ready_unavailable_or_not_downloaded(shop, tmp_path):
    elsewhere = {"SCRIPWORLD_CACHE_DIR": str(tmp_path / "cache")}

    servers = listed(shop, **elsewhere)
    shop.have(command="no-such-program")
    missing = listed(shop, **elsewhere)["small"]

    assert servers["small"]["state"] == "ready"
    assert servers["sqlite"]["state"] == "off"
    assert servers["fetch"]["state"] == "not downloaded"
    assert missing["state"] == "unavailable"
    assert "`no-such-program` was not found on PATH" in missing["why"]
    assert missing["why"] in shop(**elsewhere).stdout


def test_a_server_without_its_variable_says_which(shop):
    shop.have(env={"KEY": "${SHOP_KEY}"})

    assert "SHOP_KEY" in listed(shop)["small"]["why"]
    assert listed(shop, SHOP_KEY="abc")["small"]["state"] == "ready"


def test_a_server_whose_sandbox_is_not_installed_says_what_to_do(shop):
    path = str(Path(sys.executable).parent)

    small = listed(shop, MCP_SANDBOX_RUNNER="bubblewrap", PATH=path)["small"]
    ended = shop("call", "small", "draw", MCP_SANDBOX_RUNNER="bubblewrap", PATH=path)

    assert small["state"] == "unavailable"
    assert "apt install bubblewrap" in small["why"]
    assert small["why"] in ended.stderr
    assert ended.returncode == 1


def test_the_version_is_that_of_the_package(shop):
    servers = listed(shop)

    assert servers["sqlite"]["version"] == "2025.4.25"
    assert servers["sqlite"]["package"] == "mcp-server-sqlite@2025.4.25"
    assert servers["small"]["version"] == ""


def test_what_servers_did_in_a_run_is_told(shop, monkeypatch):
    monkeypatch.chdir(shop.folder)
    monkeypatch.setenv("MCP_SANDBOX_RUNNER", "none")
    calls = [
        Invoke("genesis_small", "list_tools", {}),
        Invoke("genesis_small", "echo", {"text": "ho"}),
        Invoke("genesis_small", "fail", {}),
        Stop("done"),
    ]
    quotas = {"compute": 50, "tool_calls": 9}
    asker = {"id": "a", "mind": "asker", "scrip": 9, "quotas": quotas}
    servers = {name: {"enabled": False} for name in ("filesystem", "fetch")}
    mind = Scripted(calls)
    scenario = scripworld.Scenario.model_validate(
        {"name": "shop", "agents": [asker], "config": {"genesis": {"mcp": {"servers": servers}}}}
    )
    shop.have(costs={"*": {"resources": {"compute": 4}}})
    made = scripworld.run(scenario, minds={"asker": mind}, config="shop.yaml")

    ended = shop()
    used = listed(shop, "--run", made.id)["small"]["used"]

    assert {name: used[name] for name in ("calls", "failed", "scrip", "compute")} == {
        "calls": 3,
        "failed": 1,
        "scrip": 0,
        "compute": 12,
    }
    assert f"those of the run {made.id}" in ended.stdout
    assert shop("--run", "none").returncode == 2


# What is told of one.


def test_a_server_is_shown_with_its_command_sandbox_costs_and_methods(shop):
    shop.have(
        sandbox={"network": "proxy", "read": ["/usr/share"]},
        egress={"hosts_allowed": ["example.org"]},
        env={"KEY": "${SHOP_KEY}"},
        costs={"*": {"resources": {"compute": 7}}},
    )
    shop("pin", "small", SHOP_KEY="abcdefgh")

    ended = shop("show", "small", SHOP_KEY="abcdefgh")

    assert ended.returncode == 0
    for told in (
        "genesis_small, ready",
        "listed_server.py",
        "network proxy, 1 CPU",
        "/usr/share",
        "80, 443 to example.org",
        "7 compute",
        "echo(text: string, times?: integer)\n    Says it again\n",
        "run_command  it runs commands or code: name it in allowed_tools",
    ):
        assert told in ended.stdout
    assert "abcdefgh" not in ended.stdout
    assert shop.starts == 1


def test_what_a_running_server_says_otherwise_than_its_manifest_is_told_in_detail(shop):
    shop("pin", "small")
    changed = tool("echo", "Says it twice.", text={"type": "integer"}, times={"type": "integer"})
    shop.offer([changed, *TOOLS[2:], tool("news")])

    ended = shop("show", "small", "--start")

    assert ended.returncode == 0
    for line in (
        "+ news",
        "- draw",
        "~ echo: description, input_schema",
        '    description: "Says it again. And more." → "Says it twice."',
        '    inputSchema.properties.text.type: "string" → "integer"',
    ):
        assert line in ended.stdout
    assert "listed 7, MCP " in ended.stdout


def test_json_holds_everything_of_a_server(shop):
    told = json.loads(shop("show", "small", "--start", "--json").stdout)

    assert told["running"]["server"] == "listed 7"
    assert told["running"]["start_us"] > 0
    assert [method["name"] for method in told["methods"]] == [
        *("list_tools", "echo", "draw", "fail", "tell_key")
    ]
    assert told["pin"] == "unpinned"
    assert told["sandbox"]["network"] == "none"


def test_a_misspelt_server_gets_the_nearest(shop):
    ended = shop("show", "smal")

    assert ended.returncode == 2
    assert "the nearest known one is 'small'" in ended.stderr


# A call.


def test_a_call_prints_text_as_text_and_anything_else_as_what_it_is(shop):
    ended = shop("call", "small", "draw")
    *content, usage = ended.stdout.splitlines()

    assert ended.returncode == 0
    assert content == ["a dot\N{SYMBOL FOR ESCAPE}[31m", "image/png, 12,345 bytes"]
    for told in ("started in ", " · called in ", " bytes out, "):
        assert told in usage
    assert ended.stderr == "warning: small runs without a sandbox, with your own rights\n"


def test_a_call_in_a_sandbox_is_like_that_of_a_run(shop):
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed: `apt install bubblewrap`")
    shop.have(
        args=[str(SERVER), str(shop.folder / "list.json"), "{own}/notes"],
        sandbox={"read": [str(SERVER.parent), str(shop.folder / "list.json")]},
    )

    ended = shop("call", "small", "echo", '{"text": "ho"}', MCP_SANDBOX_RUNNER="bubblewrap")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith('echo {"text": "ho"}\n')
    assert ended.stderr == ""


def test_json_is_the_whole_result_of_a_call(shop):
    told = json.loads(shop("call", "small", "echo", '{"text": "ho"}', "--json").stdout)

    assert told["value"] == {"content": [{"type": "text", "text": 'echo {"text": "ho"}'}]}
    assert told["code"] is None
    assert told["usage"]["bytes_in"] > 0
    assert told["start_us"] > 0 and told["call_us"] > 0


def test_a_failed_call_ends_with_its_code_and_sentence(shop):
    ended = shop("call", "small", "fail")
    as_json = shop("call", "small", "fail", "--json")

    assert ended.returncode == as_json.returncode == 1
    assert "error: TOOL_FAILED: no such row\n" in ended.stderr
    assert json.loads(as_json.stdout)["code"] == "TOOL_FAILED"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("echo", '{"text": 5}'), "small echo does not take that: text must be of type string"),
        (("echo", '{"text": '), "the arguments are not JSON: line 1, column 10: "),
        (("echo", '{"text": NaN}'), "NaN is no number there"),
        (("echo", "[]"), "the arguments are a JSON object"),
        (("ecko", "{}"), "small has no method 'ecko'; the nearest known one is 'echo'"),
        (
            ("run_command", "{}"),
            "'run_command': it runs commands or code: name it in allowed_tools",
        ),
    ],
)
def test_what_cannot_be_called_is_refused_before_the_server_is_started(shop, args, told):
    shop("pin", "small")

    ended = shop("call", "small", *args)

    assert ended.returncode == 2
    assert told in ended.stderr
    assert shop.starts == 1


def test_without_a_manifest_the_running_server_says_what_it_has(shop):
    ended = shop("call", "small", "nonsense")

    assert ended.returncode == 1
    assert (
        "TOOL_REFUSED: genesis_small nonsense: the running server has no such tool" in ended.stderr
    )


def test_a_server_that_changed_is_not_called_until_it_is_pinned(shop):
    shop("pin", "small")
    shop.offer([*TOOLS, tool("news")])

    refused = shop("call", "small", "echo", '{"text": "ho"}')
    shop("pin", "small")
    accepted = shop("call", "small", "echo", '{"text": "ho"}')

    assert refused.returncode == 1
    assert "TOOL_REFUSED" in refused.stderr
    assert "+ news" in refused.stderr
    assert accepted.returncode == 0


@pytest.mark.parametrize("habit", ["", "broken"])
def test_a_secret_is_never_printed(shop, habit):
    shop.have(env={"KEY": "${SHOP_KEY}", "HABIT": habit})

    ended = shop("call", "small", "tell_key", SHOP_KEY="tops3cret")

    assert ended.returncode == (1 if habit else 0)
    assert "the key [secret]" in ended.stderr or "the key is [secret]" in ended.stdout
    assert "tops3cret" not in ended.stdout + ended.stderr


def test_a_server_that_tells_a_secret_of_itself_is_neither_shown_nor_pinned(shop):
    shop.have(env={"KEY": "${SHOP_KEY}"})
    shop.offer([tool("echo", "The key is tops3cret")])

    for words in (("show", "small", "--start"), ("pin", "small")):
        ended = shop(*words, SHOP_KEY="tops3cret")
        assert ended.returncode == 1
        assert "holds one of its secrets" in ended.stderr
        assert "tops3cret" not in ended.stdout + ended.stderr
    assert not shop.manifest.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_the_middle_of_a_start_ends_everything(shop, number):
    shop.have(env={"HABIT": "silent"})
    words = command_of("tools", "call", "small", "echo", '{"text": "ho"}', "--config", "shop.yaml")
    temporary = shop.folder / "temporary"
    temporary.mkdir()
    env = environment(**shop.variables(TMPDIR=str(temporary)))

    with subprocess.Popen(words, cwd=shop.folder, env=env, stderr=subprocess.PIPE) as call:
        deadline = time.monotonic() + PROCESS_TIMEOUT_S
        while not shop.starts and time.monotonic() < deadline:
            time.sleep(0.02)
        call.send_signal(number)
        _, said = call.communicate(timeout=PROCESS_TIMEOUT_S)

    assert call.returncode == 130
    assert b"Traceback" not in said
    assert list(temporary.iterdir()) == []
    for pid in map(int, shop.notes.read_text().split()):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


# Pinning.


def test_pinning_writes_what_the_server_says_and_what_comes_after_is_compared(shop):
    first = shop("pin", "small")
    again = shop("pin", "small", "--check")

    assert first.returncode == again.returncode == 0
    assert "+ echo" in first.stdout
    assert "5 tools pinned in config/manifests/small.json" in first.stdout
    assert again.stdout == "small: 5 tools, as pinned\n"
    assert listed(shop)["small"]["pin"] == "pinned"
    assert listed(shop)["small"]["tools"] == 4


def test_a_check_that_finds_a_difference_writes_nothing(shop):
    unpinned = shop("pin", "small", "--check")
    assert not shop.manifest.exists()
    shop("pin", "small")
    before = shop.manifest.read_bytes()
    shop.offer(TOOLS[1:])

    changed = shop("pin", "small", "--check")

    assert unpinned.returncode == changed.returncode == 1
    assert "  - echo\n" in changed.stdout
    assert shop.manifest.read_bytes() == before


def test_a_manifest_of_another_package_or_changed_by_hand_is_changed(shop):
    shop("pin", "small")
    text = shop.manifest.read_text()
    shop.manifest.write_text(text.replace("Draws a dot", "Draws a line"))
    by_hand = listed(shop)["small"]["pin"]
    shop.manifest.write_text(text.replace('"package": "', '"package": "other '))
    other = shop("pin", "small", "--check")

    assert by_hand == listed(shop)["small"]["pin"] == "changed"
    assert other.returncode == 1
    assert "the manifest is of other " in other.stdout
    assert shop("pin", "small").returncode == 0
    assert shop.manifest.read_text() == text


def test_a_server_that_does_not_start_is_told_and_the_others_are_pinned(shop):
    shop.have(env={"HABIT": "broken"})

    ended = shop("pin", "small", "github", GITHUB_PERSONAL_ACCESS_TOKEN="")

    assert ended.returncode == 1
    assert "error: small: it could not be started" in ended.stderr
    assert "error: github: its server needs GITHUB_PERSONAL_ACCESS_TOKEN" in ended.stderr


def test_what_stands_in_for_a_server_is_not_pinned_as_that(shop):
    ended = shop("pin", "web_search", BRAVE_API_KEY="")

    assert ended.returncode == 1
    assert "without BRAVE_API_KEY another server stands in for it" in ended.stderr


# The line.


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tools", "pin"), "--all, or the names of servers"),
        (("tools", "pin", "fetch", "--all"), "--all, or the names of servers"),
        (("tools", "--json", "show", "fetch"), "--json stands after show"),
        (("tools", "shw"), "Did you mean 'show'?"),
        (("tools", "call", "fetch"), "missing argument 'TOOL'"),
    ],
)
def test_a_line_that_cannot_be_understood_says_why(scripworld: Command, words, told):
    ended = scripworld(*words)

    assert ended.returncode == 2
    assert told in ended.stderr


def test_every_option_of_the_commands_on_tools_is_documented():
    sections = {
        text.partition("`")[0]: text for text in DOCS.read_text().split("\n## `scripworld ")
    }
    group = typer.main.get_command(app).commands["tools"]
    names: list[tuple[str, Callable[..., Any]]] = [("tools", group)]
    names += [(f"tools {name}", command) for name, command in group.commands.items()]

    for name, command in names:
        options = {option for parameter in command.params for option in parameter.opts}
        options = {option for option in options if option.startswith("--")} - {"--help"}
        section = sections[name].split("\n## ")[0]
        rows = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `--")]
        assert sorted(rows) == sorted(options), name


# What comes with Scripworld.


@pytest.mark.registry
def test_the_shipped_manifests_are_what_the_servers_say():
    names = ("filesystem", "fetch", "sqlite", "sequential_thinking")

    ended = subprocess.run(
        command_of("tools", "pin", *names, "--check"),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
