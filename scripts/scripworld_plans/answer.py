"""What the plan tools have in common: `--root`, `--json`, and how an answer is told."""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from . import FAILED, FINE, UNUSABLE
from .git import NoGit
from .plan import MalformedPlan


class Unusable(Exception):
    """The command can't do what it was asked; the text says what to do instead."""


@dataclass
class Answer:
    """What a command found: lines for a person, fields for a program."""

    ok: bool
    lines: Sequence[str]
    fields: Mapping[str, Any] = field(default_factory=dict)


class Tool(Protocol):
    """A module that is a tool: its words are the help, its command finds the answer."""

    __doc__: str | None

    def options(self, parser: argparse.ArgumentParser) -> None:
        """Adds the options that it alone has."""

    def command(self, options: argparse.Namespace, root: Path) -> Answer:
        """Finds the answer for the repository with this root."""


def answer(name: str, tool: Tool, arguments: Sequence[str]) -> int:
    """Runs the tool and prints its answer; returns the exit code."""
    words, _, rest = (tool.__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog=name, description=words, epilog=rest)
    parser.add_argument("--json", action="store_true", help="answer with one JSON object")
    parser.add_argument(
        "--root",
        type=Path,
        help="the repository (default: the one that the current folder is in)",
    )
    tool.options(parser)
    options = parser.parse_args(arguments)
    try:
        found = tool.command(options, root_of(options.root))
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


def root_of(named: Path | None) -> Path:
    """The folder named, or the nearest that holds plans: from here upwards, else the tools' own."""
    if named is not None:
        return named.resolve()
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "plans").is_dir():
            return folder
    raise Unusable(
        "There is no folder `plans` here or above: go to a checkout, or name it with --root."
    )


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
