"""Runs with real tool servers: what each agent was answered, and which processes are there."""

import http.server
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Decision, Scripted
from scripworld.simulation.scenario import configure
from scripworld.world import (
    Answer,
    ArtifactWritten,
    Code,
    Done,
    Envelope,
    Failed,
    Invoke,
    Settle,
    Waiting,
)

QUOTAS = {"compute": 1_000, "tool_calls": 100}
LEFT_S = 20
SITE = "web.test"
BREAD = f"http://{SITE}/bread.html"
ONLY_THE_SITE = {"hosts_allowed": [SITE]}
PAGE = """<!doctype html><html><head><title>Bakery</title><link rel="icon" href="data:,"></head>
<body><h1>Bakery</h1><p>The price of bread is 3.</p>
<button onclick="document.querySelector('p').textContent = 'Sold out.'">Buy</button></body></html>
"""


def made_site(folder: Path) -> Path:
    """A site of one page."""
    site = folder / "site"
    site.mkdir()
    (site / "bread.html").write_text(PAGE)
    return site


def run_with(
    folder: Path,
    servers: dict[str, Any],
    scripts: Mapping[str, Sequence[Decision]],
    site: Path | None = None,
    roots: tuple[Path, ...] = (),
    on_progress: Callable[[], None] = lambda: None,
    **arguments: Any,
) -> Run:
    """Each agent makes its calls, in a world with these servers and no other, all in a sandbox.

    Nothing that was started may be left afterwards.
    """
    agents = [{"id": id, "mind": id, "scrip": 100, "quotas": QUOTAS} for id in scripts]
    scenario = Scenario.model_validate(
        {"name": "web", "agents": agents, "site": site, "roots": roots}
    )
    settings = settings_of(folder, servers)
    held = configure(scenario, None, settings).genesis.mcp.servers
    assert {held[name].sandbox.runner for name in servers} <= {None, "bubblewrap"}
    minds = {id: Scripted(list(calls)) for id, calls in scripts.items()}
    before = below(os.getpid())
    started: set[Process] = set()

    def look(_: object) -> None:
        started.update(below(os.getpid()) - before)
        on_progress()

    run = scripworld.run(scenario, minds=minds, settings=settings, on_progress=look, **arguments)
    assert left_over(folder, started) == {}
    return run


def settings_of(folder: Path, servers: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run with these servers, as they are shipped where that is not said."""
    off = {name: {"enabled": False} for name in ("filesystem", "fetch")}
    on = {name: {"enabled": True} | server for name, server in servers.items()}
    return {
        "store": {"runs_dir": str(folder / "runs")},
        "genesis": {"mcp": {"servers": off | on}},
    }


def answers_of(run: Run, agent: str) -> list[Answer]:
    """The final answers of an agent's own invocations, in order."""
    answers: list[Answer] = []
    waiting: set[str] = set()
    for record in run.records():
        told = record.input
        if isinstance(told, Envelope) and told.principal == agent:
            if isinstance(record.answer, Waiting) and told.idempotency_key is None:
                waiting.add(record.answer.effect_id)
            elif isinstance(told.action, Invoke) and told.idempotency_key is None:
                assert record.answer is not None
                answers.append(record.answer)
        elif isinstance(told, Settle) and told.effect_id in waiting:
            assert record.answer is not None
            answers.append(record.answer)
    return answers


def done(answer: Answer) -> dict[str, Any]:
    """The result of what succeeded."""
    assert isinstance(answer, Done), answer
    assert isinstance(answer.result, dict)
    return answer.result


def text_of(answer: Answer) -> str:
    """The texts of what succeeded."""
    return "\n".join(part["text"] for part in done(answer)["content"] if part["type"] == "text")


def failure_of(answer: Answer, code: Code = Code.TOOL_FAILED) -> str:
    """The sentence of what failed."""
    assert isinstance(answer, Failed), answer
    assert answer.code is code, answer
    return answer.detail


def began_with(run: Run, artifact: str) -> set[str]:
    """The methods that an artifact had before anything happened."""
    first = next(iter(run.records()))
    (written,) = [
        fact for fact in first.facts if isinstance(fact, ArtifactWritten) and fact.id == artifact
    ]
    return {tool.name for tool in written.interface}


def egress_of(run: Run) -> list[dict[str, Any]]:
    """What the proxies noted."""
    lines = (run.folder / "egress.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """A web server on loopback: its address, and what it was asked for."""
    asked: list[str] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"bread")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


# The processes.

Process = tuple[int, int]
"""Its id, and when it was started: an id may be given again."""


def mentioning(folder: Path) -> dict[int, str]:
    """The processes whose arguments or environment name a folder, with their arguments; not ours."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes()
            told = arguments + (entry / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in told:
            found[int(entry.name)] = os.fsdecode(arguments.replace(b"\0", b" "))
    return found


def below(pid: int) -> set[Process]:
    """All that descends from a process."""
    children: dict[int, list[Process]] = {}
    for number in filter(str.isdecimal, os.listdir("/proc")):
        if (told := _told_of(int(number))) is not None:
            parent, started = told
            children.setdefault(parent, []).append((int(number), started))
    found: set[Process] = set()
    unseen = [pid]
    while unseen:
        new = children.get(unseen.pop(), [])
        found.update(new)
        unseen += [child for child, _ in new]
    return found


def parent_of(pid: int) -> int | None:
    """The process that started this one; None if it is over."""
    told = _told_of(pid)
    return None if told is None else told[0]


def left_over(folder: Path, started: Iterable[Process] = ()) -> dict[int, str]:
    """What of a folder's processes, and of those that were started, still runs after some time."""
    deadline = time.monotonic() + LEFT_S
    while True:
        left = mentioning(folder)
        for pid, at in started:
            told = _told_of(pid)
            if told is not None and told[1] == at:
                left.setdefault(pid, "")
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _told_of(pid: int) -> tuple[int, int] | None:
    """The parent of a process, and when it was started; None if it is over."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] == "Z" else (int(words[1]), int(words[19]))
