"""Owns how this program is named in the commands that it prints, so that they work where they are read."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "scripworld"


def program() -> str:
    """The command that starts this program again from the current directory.

    ``scripworld`` where ``PATH`` leads to this one; otherwise where it lies, in the shorter spelling.
    """
    started = Path(sys.argv[0])
    if started.name != NAME:  # python -m, or another program that imports this one
        started = Path(sys.executable).with_name(NAME)
    if not started.is_file():
        return f"{_near(Path(sys.executable))} -m scripworld.interfaces.cli"
    found = shutil.which(NAME)
    if found is not None and os.path.samefile(found, started):
        return NAME
    return _near(started)


def _near(path: Path) -> str:
    """A path to a program as a shell takes it, relative where that is shorter."""
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute)
    if os.sep not in relative:
        relative = os.path.join(os.curdir, relative)
    return shlex.quote(min(relative, absolute, key=len))
