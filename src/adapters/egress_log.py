"""Owns what is written down of what went out: one line a request, bounded, without secrets.

It must not know how a request is carried out. A line never holds a path, a query, a header or a
body, because that is where secrets stand.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from ..world import ConfigurationFault

LOG_BYTES_MAX: Final = 33_554_432
"""Above this a log begins anew, and the one before is kept beside it: over 200,000 requests."""

Verdict = Literal["allowed", "refused", "failed", "cut"]


class EgressEvent(msgspec.Struct, frozen=True):
    """One request that is over.

    Attributes:
        time: when it came, ISO 8601, UTC.
        server: the name of the server that asked.
        method, scheme, host, port: what was asked for; empty or 0 as far as it couldn't be read.
        address: what it was connected to, if it was.
        verdict: ``allowed``; ``refused`` by a rule; ``failed`` on the way; ``cut`` in mid-answer.
        reason: the rule or the trouble, empty if there was none.
        status: what was answered, 0 if nothing was.
        bytes_out, bytes_in: what went to and came from the other side, heads included.
        ms: how long it took.
    """

    time: str
    server: str
    method: str = ""
    scheme: str = ""
    host: str = ""
    port: int = 0
    address: str = ""
    verdict: Verdict = "allowed"
    reason: str = ""
    status: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    ms: int = 0


def utc_now() -> str:
    """Return the time as it stands in a log, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class EgressLog:
    """A file of JSON lines; `write` is what an `EgressProxy` tells.

    Several in one process may share a file, since each line is one append. At `bytes_max` the file
    is renamed to `NAME.1`, in place of the one that was there, and a new one begins with a `note`
    that says how many lines are gone. A `note` also says how many a full disk has swallowed.
    """

    def __init__(self, path: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
        """Make the file, with its owner's rights only.

        Raises:
            ConfigurationFault: it can't be written.
        """
        self._path = path
        self._bytes_max = bytes_max
        self._lost = 0
        try:
            os.close(self._opened())
        except OSError as error:
            text = f"the egress log {path} can't be written: {error.strerror}"
            raise ConfigurationFault(text) from error

    def write(self, event: EgressEvent) -> None:
        """Add a line. Never raises: a line that can't be written is counted and noted later."""
        line = msgspec.json.encode(event) + b"\n"
        try:
            self._make_room(len(line))
            if self._lost:
                note = f"{self._lost} lines before this one are gone"
                said = {"time": utc_now(), "server": event.server, "note": note}
                line = msgspec.json.encode(said) + b"\n" + line
            file = self._opened()
            try:
                os.write(file, line)
            finally:
                os.close(file)
            self._lost = 0
        except OSError:
            self._lost += 1

    def _opened(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _make_room(self, size: int) -> None:
        if not self._path.exists() or self._path.stat().st_size + size <= self._bytes_max:
            return
        before = self._path.with_name(f"{self._path.name}.1")
        if before.exists():
            self._lost += before.read_bytes().count(b"\n")
        self._path.replace(before)
