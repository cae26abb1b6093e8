"""A run with an auction and a loan; as a program it says when its score was asked for, and waits there."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import scripworld
from scripworld import Run, Scenario
from scripworld.adapters.performer import Performer
from scripworld.adapters.scorers import RuleScorer
from scripworld.agents.mind import Scripted
from scripworld.world import EffectRequest, EffectResult, Invoke, Sleep, Write

from .lab import SECOND_US

MINT, DEBT = "genesis_mint", "genesis_debt"
RUN_ID = "minted"
ESSAY = "\n".join(f"line {n} of the work has words like {n * 7919:x} in it" for n in range(30))
LOAN = [{"due_us": 40 * SECOND_US, "amount": 30}]


def decisions() -> dict[str, list[Any]]:
    """Alice and bob bid for their works; bob lends carol on her house, and she can't pay."""
    return {
        "alice": [
            Write("poem", ESSAY),
            Invoke(MINT, "bid", {"artifact": "poem", "amount": 20}),
            Sleep(30 * SECOND_US),
            Invoke(MINT, "check", {"auction": 0}),
        ],
        "bob": [
            Write("song", "la la la"),
            Invoke(MINT, "bid", {"artifact": "song", "amount": 9}),
            Sleep(5 * SECOND_US),
            Invoke(
                DEBT,
                "offer",
                {"id": "loan", "amount": 25, "instalments": LOAN, "collateral": "house"},
            ),
            Sleep(51 * SECOND_US),
            Invoke(DEBT, "collect", {"loan": "loan"}),
        ],
        "carol": [
            Write("house", "a house"),
            Sleep(10 * SECOND_US),
            Invoke(DEBT, "accept", {"loan": "loan"}),
            Invoke("genesis_ledger", "transfer", {"to": "alice", "amount": 110}),
        ],
    }


def settings(folder: Path) -> dict[str, Any]:
    mint = {"period_us": 60 * SECOND_US, "bidding_us": 20 * SECOND_US, "shares": "everyone"}
    mint |= {"reserve_scrip": 1, "scrip_per_point": 2}
    return {
        "store": {"runs_dir": str(folder)},
        "genesis": {"mint": mint, "debt": {"grace_us": 10 * SECOND_US}},
    }


def play(folder: Path, **performers: Performer) -> Run:
    quotas = {"compute": 100, "stored_bytes": 10_000, "writes": 10}
    people = decisions()
    scenario = Scenario.model_validate(
        {
            "name": "mint",
            "until_us": 55 * SECOND_US,
            "agents": [
                {"id": name, "mind": "script", "scrip": 100, "quotas": quotas} for name in people
            ],
            "config": {"genesis": {"mcp": {"servers": {}}}},
        }
    )
    return scripworld.run(
        scenario,
        run_id=RUN_ID,
        settings=settings(folder),
        minds={name: Scripted(list(does)) for name, does in people.items()},
        performers=performers,
    )


class Endless:
    """Says that it was asked, and never answers."""

    patience_s = 600.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def perform(self, request: EffectRequest) -> EffectResult:
        (self._folder / "asked").touch()
        await asyncio.Event().wait()
        return await RuleScorer().perform(request)

    async def close(self) -> None:
        """Nothing was started."""


if __name__ == "__main__":
    place = Path(sys.argv[1])
    play(place, genesis_mint=Endless(place))
