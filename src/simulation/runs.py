"""Owns the folders of runs: their names, what lies in them, and how one is found."""

from __future__ import annotations

import errno
import re
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path

from ..world import ConfigurationFault, Fault

STORE_FILE = "world.db"
SETTINGS_FILE = "run.json"
_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO))
"""What is the disk's fault, and not the configuration's."""
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")


def make_run(runs_dir: Path, run_id: str | None, scenario: str) -> Path:
    """Make the folder of a new run; without an id it is the scenario's name and the next number.

    Raises:
        ConfigurationFault: the id is no name for a folder, or it exists.
        Fault: the disk is full or broken.
    """
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        if run_id is not None:
            return _make(runs_dir, run_id)
        taken = (p.name.rpartition("-")[2] for p in runs_dir.glob(f"{_checked(scenario)}-*"))
        numbers = count(max((int(n) for n in taken if n.isdecimal()), default=0) + 1)
        while True:
            path = runs_dir / f"{scenario}-{next(numbers)}"
            with suppress(FileExistsError):  # another process takes numbers too
                path.mkdir()
                return path
    except OSError as error:
        kind = Fault if error.errno in _DISK else ConfigurationFault
        raise kind(f"cannot make a run in {runs_dir}: {error.strerror}") from None


def _make(runs_dir: Path, run_id: str) -> Path:
    path = runs_dir / _checked(run_id)
    try:
        path.mkdir()
    except FileExistsError:
        raise ConfigurationFault(
            f"the run {run_id} exists: take another run id, or resume it"
        ) from None
    return path


def _checked(run_id: str) -> str:
    if not _RUN_ID.match(run_id):
        raise ConfigurationFault(
            f"{run_id[:80]!r} is no run id: use letters, digits, '_', '-' and '.', at most 100"
        )
    return run_id


def discard_run(path: Path) -> None:
    """Remove the folder of a run that could not begin; what cannot be removed stays."""
    shutil.rmtree(path, ignore_errors=True)


def find_run(runs_dir: Path, run: str | Path) -> Path:
    """The folder of a run, by its id, its folder or its file.

    Raises:
        ConfigurationFault: there is none; names the newest that there are.
    """
    for path in (runs_dir / run, Path(run)):
        if path.name == STORE_FILE and path.is_file():
            return path.parent
        if (path / STORE_FILE).is_file():
            return path
    known = ", ".join(p.name for p in list_runs(runs_dir)[:5])
    hint = f"the newest are {known}" if known else "there are none yet"
    raise ConfigurationFault(f"there is no run {str(run)!r} in {runs_dir}: {hint}")


def list_runs(runs_dir: Path) -> list[Path]:
    """The folders of all runs, newest first."""
    stores = [(path.stat().st_mtime, path.parent) for path in runs_dir.glob(f"*/{STORE_FILE}")]
    return [folder for _, folder in sorted(stores, reverse=True)]
