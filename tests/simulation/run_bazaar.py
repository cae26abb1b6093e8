"""Run the bazaar as a program that kills itself in the middle: `-m … FOLDER SEED RECORDS`."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import scripworld

RUN_ID = "bazaar"


def settings(folder: Path) -> dict[str, Any]:
    return {"store": {"runs_dir": str(folder), "group_records_max": 50}}


def committed(folder: Path) -> int:
    """How many records a run has that is being written."""
    try:
        log = scripworld.open_run(RUN_ID, folder).log()
    except scripworld.Fault:
        return 0
    try:
        return log.head[0] + 1
    except scripworld.Fault:
        return 0
    finally:
        log.close()


def kill_after(folder: Path, records: int) -> None:
    """Kill this process when so many are committed, wherever the run is by then."""
    while committed(folder) < records:
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    chosen = Path(sys.argv[1])
    threading.Thread(target=kill_after, args=(chosen, int(sys.argv[3])), daemon=True).start()
    scripworld.run("bazaar", seed=int(sys.argv[2]), settings=settings(chosen), run_id=RUN_ID)
