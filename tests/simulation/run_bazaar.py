"""Run the bazaar as a program, to be killed: `-m … FOLDER SEED`."""

import sys
from pathlib import Path
from typing import Any

import scripworld

RUN_ID = "bazaar"


def settings(folder: Path) -> dict[str, Any]:
    return {"store": {"runs_dir": str(folder), "group_records_max": 50}}


if __name__ == "__main__":
    chosen = Path(sys.argv[1])
    scripworld.run("bazaar", seed=int(sys.argv[2]), settings=settings(chosen), run_id=RUN_ID)
