"""Owns what options and arguments of several commands are, and how they read. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

RUNS = Path("runs")
SCENARIO = "library"
DIGITS_MAX = 18
"""What fits into 64 bits, whatever the digits."""

Work = Callable[[], int]


def whole(option: str, least: int = 0) -> Callable[[str | int], int]:
    """How an option reads a whole number; its default is one."""

    def read(text: str | int) -> int:
        text = str(text)
        number = text.replace("_", "")
        is_number = number.isascii() and number.isdecimal() and len(number) <= DIGITS_MAX
        if not is_number or int(number) < least:
            raise typer.BadParameter(
                f"{option} takes a whole number from {least} on, not {text[:40]!r}"
            )
        return int(number)

    return read


def one_of(option: str, *words: str) -> Callable[[str], str]:
    """How an option reads one of some words."""

    def read(text: str) -> str:
        if text not in words:
            raise typer.BadParameter(f"{option} takes {' or '.join(words)}, not {text[:40]!r}")
        return text

    return read


RunName = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or its folder.")]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder of the runs.")]
ScenarioName = Annotated[
    str, typer.Option("--scenario", metavar="NAME", help="Name of a scenario, or its file.")
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings over those of the scenario."),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="END",
        help="World time at which it ends (90s, 2m, 500ms), or records after which (5000steps).",
    ),
]
EffectsFrom = Annotated[
    str | None,
    typer.Option(
        "--effects-from", metavar="RUN", help="Take what tools answered from this run's log."
    ),
]
QuietFlag = Annotated[
    bool, typer.Option("--quiet", help="No live view, no summary: only the run's id.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
