"""What the plan tools have in common: `--root`, `--json`, and the three exit codes.

0: fine. 1: a check failed, and each line of the answer says what to do. 2: the command was used
wrongly, or a plan is malformed.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from plan_git import NoGit

from plans import MalformedPlan

FINE: Final = 0
FAILED: Final = 1
UNUSABLE: Final = 2


class Unusable(Exception):
    """The command can't do what it was asked; the text says what to do instead."""


@dataclass
class Answer:
    """What a command found: lines for a person, fields for a program."""

    ok: bool
    lines: Sequence[str]
    fields: Mapping[str, Any] = field(default_factory=dict)


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every plan tool; the help is the module's own words."""
    words, _, rest = (doc or "").partition("\n")
    parser = argparse.ArgumentParser(description=words, epilog=rest)
    parser.add_argument("--json", action="store_true", help="answer with one JSON object")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(__file__).parents[1],
        help="the repository (default: this one)",
    )
    return parser


def answer(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace, Path], Answer],
    arguments: Sequence[str] | None = None,
) -> int:
    """Runs the command and prints its answer; returns the exit code."""
    options = parser.parse_args(arguments)
    try:
        found = command(options, options.root.resolve())
    except (MalformedPlan, NoGit, Unusable) as error:
        if options.json:
            print(json.dumps({"ok": False, "error": str(error)}))
        else:
            print(error, file=sys.stderr)
        return UNUSABLE
    if options.json:
        print(json.dumps({"ok": found.ok, **found.fields, "lines": list(found.lines)}))
    else:
        print("\n".join(found.lines))
    return FINE if found.ok else FAILED


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that a reader finds the old text or the new one, also after a crash."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(name, path.stat().st_mode)
        else:
            os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
