"""Owns what is told of a run without going through its records: name, processes, size, head."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from ..adapters.event_store import ProcessNote, SqliteEventLog
from .runs import SETTINGS_FILE, STORE_FILE

_END = "end"
_LOCK_FILE = STORE_FILE + "-lock"


class Overview(msgspec.Struct, frozen=True):
    """A run at a glance.

    Attributes:
        scenario: empty where its settings cannot be read. began_us: wall time, 0 where none was noted.
        real_s: over all processes that noted their end.
        ended: why the last process ended; empty while it runs, and when it was killed.
        head: the hash of the last record, in hexadecimal.
    """

    run: str
    scenario: str
    began_us: int
    real_s: float
    ended: str
    records: int
    head: str


class _Scenario(msgspec.Struct):
    name: str


class _Named(msgspec.Struct):
    scenario: _Scenario


def overview(folder: Path) -> Overview:
    """Look at a run, also while it goes on.

    Raises:
        Fault: its file cannot be read.
    """
    log = SqliteEventLog.open_readonly(folder / STORE_FILE)
    try:
        seq, digest = log.head
        notes = log.processes()
    finally:
        log.close()
    ended = notes[-1].text if notes and notes[-1].kind == _END else ""
    began_us = notes[0].wall_time_us if notes else 0
    return Overview(
        folder.name, _scenario(folder), began_us, _real_s(notes), ended, seq + 1, digest.hex()
    )


def is_written(folder: Path) -> bool:
    """Whether a process holds the right to write a run; it loses it with its end, however that comes.

    Asking takes a shared lock for a moment, which a writer that begins in that moment meets as if
    another one wrote: ask only where nothing has happened for a while.
    """
    try:
        lock = os.open(folder / _LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # no writer, or none that this reader may ask about
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _scenario(folder: Path) -> str:
    try:
        settings = (folder / SETTINGS_FILE).read_bytes()
        return msgspec.json.decode(settings, type=_Named).scenario.name
    except (OSError, msgspec.DecodeError):
        return ""


def _real_s(notes: list[ProcessNote]) -> float:
    began_us, total_us = 0, 0
    for note in notes:
        if note.kind == _END:
            total_us += max(0, note.wall_time_us - began_us) if began_us else 0
            began_us = 0
        else:
            began_us = note.wall_time_us
    return total_us / 1e6
