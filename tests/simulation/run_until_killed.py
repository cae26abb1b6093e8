"""Run the small library with a real tool server until it is killed: `-m … FOLDER SEED`."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import scripworld
from scripworld import Scenario
from scripworld.world import EffectRequest, EffectResult

from .lab import SECOND_US, Tools, effect_cost, small_library

SERVER = Path(__file__).parents[1] / "genesis" / "servers" / "small_server.py"
UNTIL_US = 600 * SECOND_US
"""Far beyond where a test kills it, however late the test comes to that."""
RUN_ID = "killed"


class Slow(Tools):
    """Takes some milliseconds for each answer, so that there is something to kill."""

    patience_s = 10.0

    async def perform(self, request: EffectRequest) -> EffectResult:
        await asyncio.sleep(0.01)
        return await super().perform(request)


def settings(folder: Path) -> dict[str, Any]:
    cost = effect_cost(repeatable=True) | {"timeout_us": 10 * SECOND_US}
    server = {
        "command": sys.executable,
        "args": [str(SERVER), str(folder / "notes"), "child"],
        "grace_s": 0.3,
        "sandbox": {"runner": "none"},
    }
    return {
        "store": {"runs_dir": str(folder), "group_records_max": 20},
        "world": {"costs": {"genesis_fetch": {"*": cost}, "genesis_filesystem": {"*": cost}}},
        "genesis": {"mcp": {"servers": {"filesystem": server}}},
    }


def scenario() -> Scenario:
    return small_library()[0]


def main(folder: Path, seed: int) -> None:
    scripworld.run(
        scenario(),
        seed=seed,
        until_us=UNTIL_US,
        settings=settings(folder),
        run_id=RUN_ID,
        performers={"genesis_fetch": Slow(seed, patience_s=10)},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
