"""Owns ``log``: which records are shown, and going on with a log that grows."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

from rich.text import Text

from ..adapters.event_store import SqliteEventLog
from ..simulation.overview import is_written, overview
from ..simulation.payments import decoded
from ..simulation.run import Run
from ..simulation.runs import find_run
from ..world import Code, ConfigurationFault, Failed, Record, Refused, Row
from .lines import KINDS, data_of, kind_of, line_of, ran
from .started import program
from .tables import console
from .words import meant

POLL_S = 0.3
STILL_S = 2.0
"""After this long without a record it is asked whether anybody writes the run any more."""
_TEXT_MIN = 20
_COLOURS = {"refused": "red", "failed": "yellow", "waits": "dim", "done": "dim"}


class Wanted(NamedTuple):
    """Which records are shown.

    Attributes:
        of: an id that they touch. kind: of their input. code: that they were refused or failed with.
        since: the first. limit: the most; the newest, or with ``since`` the first; 0 for all.
    """

    of: str | None
    kind: str | None
    code: str | None
    since: int | None
    limit: int

    def checked(self) -> Wanted:
        """The same in the spelling of the log.

        Raises:
            ConfigurationFault: there is no such kind or code.
        """
        kind, code = self.kind, self.code
        if kind is not None and (kind := kind.lower()) not in KINDS:
            raise ConfigurationFault(
                f"there is no kind of record {self.kind!r}: there is {', '.join(KINDS)}"
            )
        if code is not None:
            code = code.upper().replace("-", "_")
            if code not in Code.__members__:
                hint = meant(code, Code.__members__) or f": there is {', '.join(Code.__members__)}"
                raise ConfigurationFault(f"there is no code {self.code!r}{hint}")
        return self._replace(kind=kind, code=code)

    def takes(self, record: Record) -> bool:
        """Whether a record that touches ``of`` is shown."""
        if self.kind is not None and kind_of(record) != self.kind:
            return False
        if self.code is None:
            return True
        answer = record.answer
        return isinstance(answer, Refused | Failed) and answer.code.name == self.code


def show_log(run_name: str, runs_dir: Path, wanted: Wanted, *, follow: bool, as_json: bool) -> int:
    """Print records, one a line; with ``follow`` until the run ends."""
    wanted = wanted.checked()
    run = Run(find_run(runs_dir, run_name))
    log = run.log()
    try:
        printer = _Printer(log, as_json)
        at = log.head[0] + 1
        if (
            wanted.of is not None
            and not log.of(wanted.of, at, 1)
            and not (follow and _goes_on(run))
        ):
            raise _unknown(wanted.of, run)
        chosen = _chosen(log, wanted, at)
        left_out = 0
        if wanted.limit and wanted.since is None:
            left_out, chosen = _newest(log, wanted, at)
        limit = wanted.limit if wanted.since is not None else 0
        shown = printer.show_all(chosen, limit)
        if left_out and not follow:
            print(
                f"({left_out:,} earlier: --limit 0 shows all, --since 0 begins with the first)",
                file=sys.stderr,
            )
        if not shown and not follow:
            print("No record is like that.", file=sys.stderr)
        if follow and not (limit and shown >= limit):
            _follow(run, log, printer, wanted._replace(since=at, limit=max(0, limit - shown)))
    finally:
        log.close()
    return 0


def _follow(run: Run, log: SqliteEventLog, printer: _Printer, wanted: Wanted) -> None:
    """Go on from ``since`` until the run ends, nobody writes it any more, or ``limit`` are shown."""
    at, limit = wanted.since or 0, wanted.limit
    shown = 0
    grew_s = time.monotonic()
    while True:
        # Asked before the last look, so that what was written until then is shown.
        ended = _is_over(log)
        killed = not ended and time.monotonic() - grew_s > STILL_S and not is_written(run.folder)
        stop = log.head[0] + 1
        if stop > at:
            left = limit - shown if limit else 0
            shown += printer.show_all(_chosen(log, wanted._replace(since=at), stop), left)
            at, grew_s = stop, time.monotonic()
        if ended or (limit and shown >= limit):
            return
        if killed:
            if _is_over(log):  # it ended between the two questions
                continue
            told = f"It was killed: nobody writes it any more. Go on with: {program()} resume {ran(run)}"
            print(told, file=sys.stderr)
            return
        time.sleep(POLL_S)


def _goes_on(run: Run) -> bool:
    """Whether more may come."""
    return not overview(run.folder).ended


def _unknown(id: str, run: Run) -> ConfigurationFault:
    artifacts = run.state().artifacts
    near = meant(id, [*artifacts.by_id, *artifacts.gone])
    return ConfigurationFault(f"there is nothing called {id!r} in {run.id}{near}")


class _Printer:
    """Prints records as lines or as JSON; on a terminal only a denial takes more than one line."""

    def __init__(self, log: SqliteEventLog, as_json: bool) -> None:
        self._log = log
        self._as_json = as_json
        self._out = console(sys.stdout) if sys.stdout.isatty() and not as_json else None

    def show_all(self, chosen: Iterable[tuple[Row, Record]], limit: int) -> int:
        """Print them, at most ``limit`` where it is not 0; returns how many."""
        shown = 0
        for shown, (row, record) in enumerate(chosen, 1):
            self.show(row, record)
            if shown == limit:
                break
        sys.stdout.flush()
        return shown

    def show(self, row: Row, record: Record) -> None:
        """Print one."""
        if self._as_json:
            print(json.dumps({"hash": row[1].hex()} | data_of(record), ensure_ascii=False))
            return
        line = line_of(record, self._log)
        if self._out is None:
            print(line)
            return
        denied = line.answer in ("refused", "failed")
        width = max(_TEXT_MIN, self._out.width - len(line.head))
        for number, part in enumerate(wrap(line.rest, width) if denied else [line.rest]):
            text = Text(" " * len(line.head) if number else line.head, style="dim")
            text.append(part, style="default")
            if line.answer:
                text.highlight_words([f"→ {line.answer}"], _COLOURS[line.answer])
            self._out.print(text, no_wrap=True, overflow="ellipsis")


def _chosen(log: SqliteEventLog, wanted: Wanted, stop: int) -> Iterator[tuple[Row, Record]]:
    """The records from ``since`` on that are wanted, before ``stop``, oldest first."""
    start = wanted.since or 0
    if wanted.of is None:
        for row in log.records(start):
            if row[0] >= stop:
                return
            record = next(decoded([row]))
            if wanted.takes(record):
                yield row, record
        return
    seqs = log.of(wanted.of, stop, stop)
    rows = _rows_of(log, [seq for seq in reversed(seqs) if seq >= start])
    for row in rows:
        record = next(decoded([row]))
        if wanted.takes(record):
            yield row, record


def _newest(
    log: SqliteEventLog, wanted: Wanted, stop: int
) -> tuple[int, Iterator[tuple[Row, Record]]]:
    """How many wanted records come before the newest ``limit`` ones, and those, oldest first."""
    if wanted.of is None and wanted.kind is None and wanted.code is None:
        first = max(0, stop - wanted.limit)
        return first, _chosen(log, wanted._replace(since=first), stop)
    kept: deque[tuple[Row, Record]] = deque(maxlen=wanted.limit)
    seen = 0
    for found in _chosen(log, wanted, stop):
        kept.append(found)
        seen += 1
    return seen - len(kept), iter(kept)


def _rows_of(log: SqliteEventLog, seqs: list[int]) -> Iterator[Row]:
    """The rows of some records, in one pass from the first to the last of them."""
    wanted = iter(seqs)
    next_seq = next(wanted, None)
    if next_seq is None:
        return
    for row in log.records(next_seq):
        if row[0] == next_seq:
            yield row
            next_seq = next(wanted, None)
            if next_seq is None:
                return


def _is_over(log: SqliteEventLog) -> bool:
    notes = log.processes()
    return bool(notes) and notes[-1].kind == "end"
