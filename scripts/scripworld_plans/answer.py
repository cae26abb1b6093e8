"""What the plan tools have in common: `--root`, `--json`, and how an answer or a refusal is told."""

import argparse
import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never, Protocol

from . import FAILED, FINE, UNUSABLE
from .git import NoGit


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


class Parser(argparse.ArgumentParser):
    """Tells wrong usage as any other refusal is told; an option is written in full."""

    def error(self, message: str) -> Never:
        raise Unusable(f"{message}: {self.prog} --help tells what can be asked.")


def parser_of(name: str) -> tuple[Tool, Parser]:
    """A tool and what can be asked of it; a package that it needs may not be installed."""
    try:
        tool: Any = importlib.import_module(f"{__package__}.{name}")
    except ModuleNotFoundError as error:
        told = f"{error.name} is not installed: run `make`, or install scripworld[dev]."
        raise Unusable(told) from error
    words, _, rest = (tool.__doc__ or "").partition("\n")
    parser = Parser(
        prog=f"scripworld-plans {name}", description=words, epilog=rest, allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="answer with one JSON object")
    parser.add_argument(
        "--root",
        type=Path,
        help="the repository (default: the one that the current folder is in)",
    )
    tool.options(parser)
    return tool, parser


def answer(name: str, arguments: Sequence[str]) -> int:
    """Runs the tool of this name and prints its answer; returns the exit code."""
    as_json = "--json" in arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        tool, parser = parser_of(name)
        options = parser.parse_args(arguments)
        found = tool.command(options, root_of(options.root))
    except (Unusable, NoGit, OSError, UnicodeError, RecursionError, KeyboardInterrupt) as error:
        return refuse(_sentence(error), as_json)
    if as_json:
        print(json.dumps({"ok": found.ok, **found.fields, "lines": list(found.lines)}))
    else:
        print("\n".join(found.lines))
    return FINE if found.ok else FAILED


def refuse(sentence: str, as_json: bool) -> int:
    """Tells why there is no answer; returns the exit code."""
    if as_json:
        print(json.dumps({"ok": False, "error": sentence}))
    else:
        print(sentence, file=sys.stderr)
    return UNUSABLE


def _sentence(error: BaseException) -> str:
    match error:
        case OSError(strerror=str(words)):
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{words}: see to that, and run it again."
        case KeyboardInterrupt():
            return "Interrupted: nothing is proved. Run it again."
        case RecursionError():
            return "What the plans hold is nested too deep: make it flatter."
        case UnicodeError():
            return f"A file is not UTF-8, or a name can't be written: {error}."
    return str(error)


def root_of(named: Path | None) -> Path:
    """The folder named, or the nearest that holds plans, from here upwards."""
    here = Path.cwd() if named is None else named.resolve()
    for folder in (here, *here.parents) if named is None else (here,):
        if (folder / "plans").is_dir():
            return folder
    where = f"{here} or above" if named is None else here
    raise Unusable(f"There is no folder `plans` in {where}: name a checkout with --root.")


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
