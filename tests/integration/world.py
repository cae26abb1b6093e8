"""Small whole runs for the integration tests: agents that make a list of actions, no tool servers."""

from pathlib import Path
from typing import Any

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Scripted
from scripworld.world import Action, Answer, Envelope, Waiting

QUOTAS = {"compute": 1_000, "writes": 50, "stored_bytes": 10_000}


def play(folder: Path, **actions: list[Action]) -> Run:
    """A run with one agent for each name, each with 100 scrip; the run is proved."""
    agents = [{"id": id, "mind": id, "scrip": 100, "quotas": QUOTAS} for id in actions]
    scenario = Scenario.model_validate({"name": "integration", "agents": agents})
    off: dict[str, Any] = {name: {"enabled": False} for name in ("fetch", "filesystem")}
    run = scripworld.run(
        scenario,
        minds={id: Scripted(list(does)) for id, does in actions.items()},
        settings={
            "store": {"runs_dir": str(folder / "runs")},
            "genesis": {"mcp": {"servers": off}},
        },
    )
    run.verify()
    return run


def answers_to(run: Run, principal: str) -> list[Answer]:
    """The answers to what one agent did, in order; its rests left out."""
    return [
        record.answer
        for record in run.records()
        if isinstance(record.input, Envelope)
        and record.input.principal == principal
        and isinstance(record.input.action, Action)
        and not isinstance(record.answer, Waiting)
    ]
