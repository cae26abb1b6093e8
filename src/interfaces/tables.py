"""Owns how tables stand on a terminal: how wide their columns are, and what is cut where they do not fit."""

from __future__ import annotations

import os
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

WIDE = 110
"""Columns from which a table has room for what is good to know besides."""
_PIPE_WIDTH = 120
_GAP = 2
_CUT_MIN = 8


def console(stream: TextIO) -> Console:
    """A console that takes no text for markup; 120 columns where nobody says how many there are."""
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def table(*columns: str, fold: str = "") -> Table:
    """A table of words: ``>name`` is right-aligned, ``~name`` is cut where it does not fit.

    Args:
        columns: their headings. fold: the one that runs on over several lines instead.
    """
    made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    made.show_header = any(column.lstrip(">~") for column in columns)
    for column in columns:
        name = column.lstrip(">~")
        made.add_column(
            name,
            justify="right" if column.startswith(">") else "left",
            no_wrap=not fold or name != fold,
            overflow="ellipsis",
            ratio=1 if column.startswith("~") or (fold and name == fold) else None,
        )
    return made


def fitted(rows: Table, width: int) -> Table:
    """Give every column its width; those that may be cut share fairly what the others leave."""
    natural = [_natural(rows, column) for column in rows.columns]
    left = width - _GAP * (len(rows.columns) - 1)
    left -= sum(n for n, c in zip(natural, rows.columns, strict=True) if c.ratio is None)
    flexible = [at for at, column in enumerate(rows.columns) if column.ratio is not None]
    for done, at in enumerate(sorted(flexible, key=lambda at: natural[at])):
        natural[at] = min(natural[at], max(_CUT_MIN, left // (len(flexible) - done)))
        left -= natural[at]
    for column, cells in zip(rows.columns, natural, strict=True):
        column.width, column.ratio = cells, None
    return rows


def _natural(rows: Table, column: Column) -> int:
    texts = (cell for cell in column.cells if isinstance(cell, str | Text))
    header = cell_len(str(column.header)) if rows.show_header else 0
    return max([header, *(cell_len(str(text)) for text in texts)])


def section(out: Console, title: str, body: Table | None) -> None:
    """Print a table with its title; nothing where it is empty."""
    if body is not None and body.row_count:
        out.print()
        out.print(Text(title, style="bold"))
        out.print(Padding(fitted(body, out.width - 2), (0, 0, 0, 2), expand=False))
