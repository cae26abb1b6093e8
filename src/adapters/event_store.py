"""Owns the durable event log: one SQLite file a run, written in groups, readable while it is written.

``append`` and ``put_blob`` only keep; ``commit`` writes what is kept as one transaction and returns
when it is durable. It knows of a record nothing but its number, its hash and its bytes.
``docs/architecture/log_format.md`` is the specification.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import apsw

from ..world import DIGEST_BYTES, LogFault, Row, digest_of
from .log_index import LogIndex
from .store_schema import (
    StoreFault,
    WriterLock,
    create,
    finish,
    open_readonly,
    open_writable,
    told,
    transaction,
)

__all__ = ["ProcessNote", "SqliteEventLog", "StoreFault"]

SEGMENT_BYTES_MAX = 4_194_304
"""A longer tail becomes several segments of one transaction, so that reading one record stays cheap."""
CACHE_BYTES_MAX = 16_777_216
_ENTRY_BYTES = 256
"""About what a cached segment costs besides its records."""
_FRAME = Struct(f">I{DIGEST_BYTES}s")

# A damaged page can hold values of any type: the casts make sure of those that are asked for.
_NEWEST = (
    "SELECT CAST(seq AS INTEGER), CAST(digest AS BLOB),"
    " coalesce((SELECT first_seq + CAST(record_count AS INTEGER) - 1 FROM segment"
    " ORDER BY first_seq DESC LIMIT 1), -1) FROM head"
)
_SEGMENT_OF = (
    "SELECT first_seq, coalesce(CAST(record_count AS INTEGER), 0),"
    " coalesce(CAST(frames AS BLOB), x'') FROM segment"
    " WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1"
)
_BLOB_OF = "SELECT CAST(data AS BLOB) FROM blob WHERE digest = ?"


class ProcessNote(NamedTuple):
    """What happened to a process that wrote the log; no part of the log.

    Attributes:
        kind: ``start``, ``resume`` or ``end``.
        after_seq: the last record that was durable by then, -1 for none.
    """

    kind: str
    wall_time_us: int
    after_seq: int
    text: str


class _Newest(NamedTuple):
    """What is durable: the stored head, and the last record that a segment says it holds."""

    seq: int
    digest: bytes
    last_seq: int


class SqliteEventLog:
    """The event log of one run in one SQLite file; one process writes it, others may read it.

    Make one with ``create``, ``open`` or ``open_readonly``. The chain is checked by who reads the
    records (``fold``, ``verify``, ``scripts/audit``), not here.
    """

    __slots__ = (
        "_blobs",
        "_cache",
        "_connection",
        "_index",
        "_lock",
        "_newest",
        "_path",
        "_tail",
    )

    def __init__(self, path: Path, connection: apsw.Connection, lock: WriterLock | None) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock
        self._tail: list[Row] = []
        self._blobs: dict[bytes, bytes] = {}
        self._index = LogIndex()
        self._cache = _Segments()
        self._newest = self._read_newest()

    @classmethod
    def create(cls, path: Path) -> SqliteEventLog:
        """Make the file of a new world, and the folders above it.

        Raises:
            StoreFault: it is there already, or it cannot be written.
        """
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = WriterLock(path)
        try:
            return cls(path, create(path), lock)
        except StoreFault:
            lock.release()
            raise

    @classmethod
    def open(cls, path: Path) -> SqliteEventLog:
        """Open a world to go on with it.

        Raises:
            StoreFault: it is no world of this version, another process writes it, or it cannot be
                written.
        """
        if not path.is_file():
            raise StoreFault(f"there is no world at {path}")
        with told(path):
            lock = WriterLock(path)
        try:
            return cls(path, open_writable(path), lock)
        except (StoreFault, LogFault):
            lock.release()
            raise

    @classmethod
    def open_readonly(cls, path: Path) -> SqliteEventLog:
        """Open a world to read it; it may be written meanwhile. ``commit`` is refused.

        Raises:
            StoreFault: it is no world of this version, or it cannot be read.
        """
        return cls(path, open_readonly(path), None)

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and hash of the last record, durable or not; -1 and zeros where there is none."""
        if self._tail:
            seq, digest, _ = self._tail[-1]
            return seq, digest
        if self._lock is None:
            self._newest = self._read_newest()
        return self._newest.seq, self._newest.digest

    @property
    def pending(self) -> int:
        """How many records are not durable yet."""
        return len(self._tail)

    def append(self, seq: int, digest: bytes, body: bytes) -> None:
        """Keep the next record in memory; ``commit`` makes it durable."""
        self._tail.append((seq, digest, body))

    def put_blob(self, digest: bytes, data: bytes) -> None:
        """Keep large content under its hash, durable with the next commit; stored once."""
        self._blobs[digest] = data

    def commit(self) -> None:
        """Make everything that was kept durable, as one transaction.

        Raises:
            StoreFault: it could not be; what was kept stays kept, so it can be tried again.
        """
        tail = self._tail
        if not tail and not self._blobs:
            return
        if self._lock is None:
            raise StoreFault(f"{self._path} is open for reading only")
        newest = self._newest
        if tail:
            assert tail[0][0] == newest.seq + 1 and tail[-1][0] == newest.seq + len(tail), "a gap"
            newest = _Newest(tail[-1][0], tail[-1][1], tail[-1][0])
        with told(self._path), transaction(self._connection):
            self._write(tail, newest)
        self._newest = newest
        self._tail = []
        self._blobs = {}

    def records(self, start: int = 0) -> Iterator[Row]:
        """Every record from ``start`` on, durable or not, up to the one that is last when it begins.

        Raises:
            LogFault: the file is damaged or cut off, or its records do not fit its head; every
                record before the one that it names was given out.
        """
        newest = self._newest if self._lock is not None else self._read_newest()
        tail = self._tail[max(0, start - newest.seq - 1) :]
        stop = min(newest.seq, newest.last_seq)
        digest = None
        at = start
        while at <= stop:
            first, count, frames = self._segment_of(at)
            for row in _unframed(first, count, frames):
                if row[0] == at:
                    yield row
                    at += 1
            digest = row[1]
        if newest.last_seq < newest.seq:
            text = f"the log is cut off after record {newest.last_seq}: its head is {newest.seq}"
            raise LogFault(text, newest.last_seq + 1)
        if newest.last_seq > newest.seq:
            text = f"record {newest.seq + 1} stands after the head, which is {newest.seq}"
            raise LogFault(text, newest.seq + 1)
        if digest is not None and digest != newest.digest:
            raise LogFault(f"record {newest.seq} does not fit the stored head", newest.seq)
        yield from tail

    def read(self, seq: int) -> bytes:
        """The body of one record.

        Raises:
            LogFault: there is no such record, or it cannot be read.
        """
        if self._tail and seq >= self._tail[0][0]:
            at = seq - self._tail[0][0]
            if at < len(self._tail):
                return self._tail[at][2]
        elif seq >= 0:
            body = self._cache.get(seq)
            if body is not None:
                return body
            first, count, frames = self._segment_of(seq)
            bodies = [body for _, _, body in _unframed(first, count, frames)]
            self._cache.put(first, bodies, len(frames))
            return bodies[seq - first]
        raise LogFault(f"there is no record {seq}", seq)

    def of(self, id: str, before_seq: int, limit: int) -> list[int]:
        """Numbers below ``before_seq`` of the records that touch an id, newest first.

        The first question indexes the whole log; each later one what was appended since.
        """
        if self._index.next_seq <= self.head[0]:
            self._index.add(self.records(self._index.next_seq))
        return self._index.of(id, before_seq, limit)

    def get_blob(self, digest: bytes) -> bytes:
        """Content by its hash, checked against it.

        Raises:
            LogFault: it is not there, or it was changed.
        """
        kept = self._blobs.get(digest)
        if kept is not None:
            return kept
        with told(self._path):
            row = self._connection.execute(_BLOB_OF, (digest,)).fetchone()
        data: bytes | None = None if row is None else row[0]
        if data is None:
            raise LogFault(f"the content {digest.hex()} is missing from the log")
        if digest_of(data) != digest:
            raise LogFault(f"the content {digest.hex()} was changed: its hash does not fit")
        return data

    def note_process(self, kind: str, wall_time_us: int, text: str) -> None:
        """Note what happened to the writing process, outside the chain; durable on return.

        Raises:
            StoreFault: it could not be written.
        """
        if self._lock is None:
            raise StoreFault(f"{self._path} is open for reading only")
        note = (kind, wall_time_us, self._newest.seq, text)
        with told(self._path):
            self._connection.execute("INSERT INTO process VALUES (NULL, ?, ?, ?, ?)", note)

    def processes(self) -> list[ProcessNote]:
        """What was noted of the writing processes, oldest first."""
        query = "SELECT kind, wall_time_us, after_seq, text FROM process ORDER BY id"
        with told(self._path):
            return [ProcessNote(*row) for row in self._connection.execute(query)]

    def close(self) -> None:
        """Let go of the file. What was not committed is given up."""
        if self._lock is None:
            self._connection.close()
        else:
            finish(self._connection)
            self._lock.release()
            self._lock = None

    def _write(self, tail: Sequence[Row], newest: _Newest) -> None:
        execute = self._connection.execute
        for blob in self._blobs.items():
            execute("INSERT OR IGNORE INTO blob VALUES (?, ?)", blob)
        for segment in _segments(tail):
            execute("INSERT INTO segment VALUES (?, ?, ?)", segment)
        execute(
            "UPDATE head SET seq = ?, digest = ? WHERE seq = ? AND digest = ?",
            (newest.seq, newest.digest, self._newest.seq, self._newest.digest),
        )
        if self._connection.changes() != 1:
            raise StoreFault(f"{self._path} was changed by another program while it was open")

    def _read_newest(self) -> _Newest:
        with told(self._path):
            row = self._connection.execute(_NEWEST).fetchone()
        if row is None or None in row:
            raise LogFault(f"{self._path} has lost its head: its end cannot be proved")
        return _Newest(*row)

    def _segment_of(self, seq: int) -> tuple[int, int, bytes]:
        """First number, count and frames of the segment that holds a durable record."""
        with told(self._path, seq):
            row = self._connection.execute(_SEGMENT_OF, (seq,)).fetchone()
        if row is None or seq >= row[0] + row[1]:
            raise LogFault(f"record {seq} is missing", seq)
        first, count, frames = row
        return first, count, frames


class _Segments:
    """The segments read last, decoded, at most ``CACHE_BYTES_MAX`` of them."""

    __slots__ = ("_bytes", "_firsts", "_kept")

    def __init__(self) -> None:
        self._bytes = 0
        self._firsts: list[int] = []
        self._kept: dict[int, tuple[list[bytes], int]] = {}

    def get(self, seq: int) -> bytes | None:
        """The body of a record, if its segment is kept."""
        at = bisect_right(self._firsts, seq) - 1
        if at < 0:
            return None
        first = self._firsts[at]
        bodies, size = self._kept.pop(first)
        self._kept[first] = bodies, size
        return bodies[seq - first] if seq - first < len(bodies) else None

    def put(self, first: int, bodies: list[bytes], size: int) -> None:
        """Keep a segment, and let go of what was not asked for the longest."""
        size += _ENTRY_BYTES
        self._kept[first] = bodies, size
        insort(self._firsts, first)
        self._bytes += size
        while self._bytes > CACHE_BYTES_MAX and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            self._bytes -= self._kept.pop(oldest)[1]
            del self._firsts[bisect_right(self._firsts, oldest) - 1]


def _segments(tail: Sequence[Row]) -> Iterator[tuple[int, int, bytes]]:
    """First number, count and frames of the segments that hold a tail."""
    frame = _FRAME.pack
    parts: list[bytes] = []
    size = 0
    first = tail[0][0] if tail else 0
    for seq, digest, body in tail:
        length = len(body)
        parts.append(frame(length, digest))
        parts.append(body)
        size += length
        if size > SEGMENT_BYTES_MAX:
            yield first, seq + 1 - first, b"".join(parts)
            parts.clear()
            size = 0
            first = seq + 1
    if parts:
        yield first, len(parts) // 2, b"".join(parts)


def _unframed(first: int, count: int, frames: bytes) -> Iterator[Row]:
    """The records of a segment.

    Raises:
        LogFault: the frames do not hold what the segment says; names the first record that is wrong.
    """
    at, end, header = 0, len(frames), _FRAME.size
    frame = _FRAME.unpack_from
    for seq in range(first, first + count):
        if at + header > end:
            raise LogFault(f"record {seq} is missing from its segment", seq)
        length, digest = frame(frames, at)
        at += header + length
        if at > end:
            raise LogFault(f"record {seq} was changed: it is longer than its segment", seq)
        yield seq, digest, frames[at - length : at]
    if at < end:
        last = first + count - 1
        raise LogFault(f"{end - at} bytes that are no record follow record {last}", last)
