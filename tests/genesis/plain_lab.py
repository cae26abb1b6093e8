"""A plain tool server that is told what to be, in whole runs, and what became of the calls."""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Decision, Scripted
from scripworld.world import Answer, Envelope, Invoke, Settle, Waiting

SERVER = Path(__file__).with_name("servers") / "plain_server.py"
PLAIN = "genesis_plain"
RUNNER = "bubblewrap" if shutil.which("bwrap") else "none"
OFF: dict[str, Any] = {name: {"enabled": False} for name in ("filesystem", "fetch")}
QUOTAS = {"compute": 1_000, "tool_calls": 50, "stored_bytes": 10_000}
LIST = Invoke(PLAIN, "list_tools")
SECOND_US = 1_000_000


def tool(name: str, description: str = "", /, **properties: str) -> dict[str, Any]:
    """A tool as a server lists it; properties are names and their types."""
    typed = {name: {"type": kind} for name, kind in properties.items()}
    schema = {"type": "object", "properties": typed, "required": list(typed)}
    return {"name": name, "description": description, "inputSchema": schema}


def call(method: str, **args: Any) -> Invoke:
    return Invoke(PLAIN, method, args)


class Plain:
    """The plain server, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served = folder / "served"
        self.served.mkdir()
        self.offer(tool("look", "Looks around."))

    def offer(self, *tools: Any) -> None:
        (self.served / "tools.json").write_text(json.dumps(tools))

    def noted(self) -> list[dict[str, Any]]:
        """What the server did."""
        path = self.served / "notes"
        return list(map(json.loads, path.read_text().splitlines())) if path.exists() else []

    def called(self) -> list[str]:
        return [note["name"] for note in self.noted() if note["what"] == "call"]

    def starts(self) -> int:
        return sum(note["what"] == "start" for note in self.noted())

    def settings(self, **more: Any) -> dict[str, Any]:
        sandbox = {
            "runner": RUNNER,
            "read": [str(SERVER.parent)],
            "write": [str(self.served)],
            **more.pop("sandbox", {}),
        }
        return {
            "command": sys.executable,
            "args": [str(SERVER), str(self.served)],
            "start_timeout_s": 30,
            "grace_s": 0.3,
            "backoff_s": 0.01,
            "sandbox": sandbox,
            **more,
        }

    def run(self, *calls: Decision, world: Mapping[str, Any] | None = None, **more: Any) -> Run:
        """One agent makes the calls; `more` are arguments of `run_with`, or of the server."""
        arguments = {key: more.pop(key) for key in RUN_ARGUMENTS & more.keys()}
        servers = {"plain": self.settings(**more)}
        return run_with(self.folder, servers, {"a": calls}, world=world, **arguments)


RUN_ARGUMENTS = {
    *("clock", "until_us", "steps", "run_id", "on_progress"),
    *("quotas", "minds", "roots", "natives", "performers"),
}


def run_with(
    folder: Path,
    servers: Mapping[str, Any],
    calls: Mapping[str, Iterable[Decision]],
    *,
    world: Mapping[str, Any] | None = None,
    quotas: Mapping[str, int] | None = None,
    artifacts: Iterable[Mapping[str, Any]] = (),
    roots: Iterable[Path] = (),
    minds: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Run:
    """A proved run in which each agent makes its calls; no other tool server is there."""
    agents = [
        {"id": id, "mind": id, "scrip": 100, "quotas": {**QUOTAS, **(quotas or {})}} for id in calls
    ]
    scenario = Scenario.model_validate(
        {
            "name": "plain",
            "agents": agents,
            "artifacts": list(artifacts),
            "roots": [str(root) for root in roots],
        }
    )
    run = scripworld.run(
        scenario,
        minds=minds or {id: Scripted(list(script)) for id, script in calls.items()},
        settings={
            "store": {"runs_dir": str(folder / "runs")},
            "genesis": {"mcp": {"servers": OFF | dict(servers)}},
            "world": dict(world or {}),
        },
        **arguments,
    )
    run.verify()
    return run


def answers_of(run: Run, principal: str = "a") -> list[Answer]:
    """The final answers of an agent's invocations, in order."""
    answers: list[Answer] = []
    waiting: set[str] = set()
    for record in run.records():
        given, answer = record.input, record.answer
        if isinstance(given, Envelope) and isinstance(given.action, Invoke):
            if given.principal != principal or answer is None:
                continue
            if isinstance(answer, Waiting):
                waiting.add(answer.effect_id)
                continue
        elif not isinstance(given, Settle) or given.effect_id not in waiting:
            continue
        assert answer is not None
        if not isinstance(answer, Waiting):
            answers.append(answer)
    return answers


def text_of(answer: Answer) -> str:
    """The text of an answer that must be done."""
    assert isinstance(answer, scripworld.world.Done), answer
    text: str = answer.result["content"][0]["text"]
    return text


def codes_of(run: Run, principal: str = "a") -> list[str]:
    """What became of each call: `done`, or the name of its code."""
    return [
        "done" if isinstance(answer, scripworld.world.Done) else answer.code.name
        for answer in answers_of(run, principal)
    ]
