"""Owns the event log that is gone with its process: for tests, and for runs that keep nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ..world import NO_RECORD, LogFault, Row
from .event_store import ProcessNote
from .log_index import LogIndex


class MemoryEventLog:
    """An event log in memory; it answers like ``SqliteEventLog``, and nothing of it is durable."""

    __slots__ = ("_blobs", "_committed", "_index", "_notes", "_rows")

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._blobs: dict[bytes, bytes] = {}
        self._committed = 0
        self._index = LogIndex()
        self._notes: list[ProcessNote] = []

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and hash of the last record; -1 and zeros where there is none."""
        return self._rows[-1][:2] if self._rows else (-1, NO_RECORD)

    @property
    def pending(self) -> int:
        """How many records were appended since the last commit."""
        return len(self._rows) - self._committed

    def append(self, seq: int, digest: bytes, body: bytes) -> None:
        """Keep the next record."""
        self._rows.append((seq, digest, body))

    def put_blob(self, digest: bytes, data: bytes) -> None:
        """Keep large content under its hash."""
        self._blobs[digest] = data

    def commit(self) -> None:
        """Count everything that was kept as committed."""
        self._committed = len(self._rows)

    def records(self, start: int = 0) -> Iterator[Row]:
        """Every record from ``start`` on, up to the one that is last when it begins."""
        yield from self._rows[start:]

    def read(self, seq: int) -> bytes:
        """The body of one record.

        Raises:
            LogFault: there is no such record.
        """
        if not 0 <= seq < len(self._rows):
            raise LogFault(f"there is no record {seq}", seq)
        return self._rows[seq][2]

    def of(self, id: str, before_seq: int, limit: int) -> list[int]:
        """Numbers below ``before_seq`` of the records that touch an id, newest first."""
        if self._index.next_seq < len(self._rows):
            self._index.add(self._rows[self._index.next_seq :])
        return self._index.of(id, before_seq, limit)

    def get_blob(self, digest: bytes) -> bytes:
        """Content by its hash.

        Raises:
            LogFault: it is not there.
        """
        data = self._blobs.get(digest)
        if data is None:
            raise LogFault(f"the content {digest.hex()} is missing from the log")
        return data

    def note_process(self, kind: str, wall_time_us: int, text: str) -> None:
        """Note what happened to the writing process, outside the chain."""
        self._notes.append(ProcessNote(kind, wall_time_us, self._committed - 1, text))

    def processes(self) -> list[ProcessNote]:
        """What was noted of the writing processes, oldest first."""
        return list(self._notes)

    def close(self) -> None:
        """Nothing to let go of."""
