"""Run the bazaar as a program that kills itself in the middle: `-m … FOLDER SEED RECORDS`."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import scripworld

from .lab import records_of

RUN_ID = "bazaar"


def settings(folder: Path) -> dict[str, Any]:
    return {"store": {"runs_dir": str(folder), "group_records_max": 50}}


def kill_after(folder: Path, records: int) -> None:
    """Kill this process when so many are committed, wherever the run is by then."""
    while records_of(folder / RUN_ID) < records:
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    chosen = Path(sys.argv[1])
    threading.Thread(target=kill_after, args=(chosen, int(sys.argv[3])), daemon=True).start()
    scripworld.run("bazaar", seed=int(sys.argv[2]), settings=settings(chosen), run_id=RUN_ID)
