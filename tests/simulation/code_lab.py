"""Runs in which agents write code and call it; `-m … FOLDER` makes one that waits until it is killed."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Decision, Scripted
from scripworld.world import (
    Contract,
    Done,
    Effect,
    EffectRequest,
    EffectResult,
    Invoke,
    Method,
    Native,
    Sleep,
    Tool,
    Write,
)

SECOND_US = 1_000_000
QUOTAS = {"compute": 1_000, "writes": 50, "stored_bytes": 10_000}
OFF = {name: {"enabled": False} for name in ("fetch", "filesystem")}
RUN_ID = "waiting"
PAY_3 = Contract("pay_per_use", 3)

ORACLE = Native(
    "genesis_oracle",
    "Answers from outside.",
    {
        "ask": Method(
            Tool("ask", "", {}),
            lambda context, args: Effect("genesis_oracle", {"by": context.caller}),
            effect=True,
        ),
    },
)
ASKER = """
def ask():
    write("diary", "before")
    first = [caller(), now(), random()]
    told = invoke("genesis_oracle", "ask", {}, waits=True)
    return [first == [caller(), now(), random() * 0 + first[2]], told, random()]
"""


class Oracle:
    """Performs what the oracle is asked, or waits for ever; notes when it was."""

    patience_s = 60.0

    def __init__(self, answers: bool = True, notes: Path | None = None) -> None:
        self.answers, self.notes = answers, notes

    async def perform(self, request: EffectRequest) -> EffectResult:
        if self.notes is not None:
            self.notes.write_text("asked")
        if not self.answers:
            await asyncio.Event().wait()
        return EffectResult("forty-two")

    async def close(self) -> None:
        pass


def service(id: str, code: str, method: str, contract: Contract = PAY_3) -> Write:
    return Write(id, code, "a service", "code", contract, (Tool(method, "", {}),))


def settings(folder: Path) -> dict[str, Any]:
    cost = {"latency_us": 20_000, "timeout_us": SECOND_US, "repeatable": True}
    return {
        "store": {"runs_dir": str(folder)},
        "genesis": {"mcp": {"servers": OFF}, "quantum": {"enabled": False}},
        "world": {"costs": {"genesis_oracle": {"*": cost}}},
    }


def scenario(*ids: str, **more: Any) -> Scenario:
    agents = [{"id": id, "mind": id, "scrip": 100, "quotas": QUOTAS} for id in ids]
    told = {"name": "code", "until_us": 5 * SECOND_US, "agents": agents}
    return Scenario.model_validate(told | more)


def play(folder: Path, oracle: Oracle | None = None, **does: list[Decision]) -> Run:
    """A run with one agent for each name, each with 100 scrip."""
    return scripworld.run(
        scenario(*does),
        minds={id: Scripted(list(actions)) for id, actions in does.items()},
        settings=settings(folder),
        natives=[ORACLE],
        performers={"genesis_oracle": oracle or Oracle()},
        run_id=RUN_ID,
    )


def asked() -> dict[str, list[Decision]]:
    return {
        "alice": [service("asker", ASKER, "ask")],
        "bob": [Sleep(SECOND_US), Invoke("asker", "ask")],
    }


def results(run: Run) -> list[Any]:
    return [
        r.answer.result for r in run.records() if isinstance(r.answer, Done) and r.answer.result
    ]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    play(place, Oracle(answers=False, notes=place / "asked"), **asked())
