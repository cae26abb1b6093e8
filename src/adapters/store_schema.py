"""Owns the file of a world: its tables, how it is opened, who may write it, and SQLite's errors in our words.

It knows nothing of records. ``docs/architecture/log_format.md`` is the specification.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import apsw

from ..world import NO_RECORD, Fault, LogFault

APPLICATION_ID = 0x53435250
"""``SCRP``: marks an SQLite file as a world."""
FILE_VERSION = 1
PAGE_BYTES = 16_384
"""A segment is some ten kilobytes; fewer, larger pages cost less to write and to check."""
CHECKPOINT_PAGES = 512
"""The write-ahead log is folded back every 8 MiB."""
_HEADER_BYTES = 100
"""Of every SQLite file; SQLite takes a shorter one for a file that is to be."""
BUSY_MS = 5_000
"""Waits out a reader's moment; a second writer is refused by the lock, at once."""

_TABLES = """
CREATE TABLE segment (
    first_seq    INTEGER PRIMARY KEY,
    record_count INTEGER NOT NULL,
    frames       BLOB NOT NULL
) STRICT;
CREATE TABLE blob (
    digest BLOB PRIMARY KEY NOT NULL,
    data   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE head (
    id     INTEGER PRIMARY KEY CHECK (id = 0),
    seq    INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE TABLE process (
    id           INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL,
    wall_time_us INTEGER NOT NULL,
    after_seq    INTEGER NOT NULL,
    text         TEXT NOT NULL
) STRICT;
"""


class StoreFault(Fault):
    """The file of a world cannot be read or written; what was committed before stands."""


class WriterLock:
    """Held by the one process that writes a world; it ends with that process, however that ends.

    An advisory lock on a file of its own beside the world: closing a second descriptor of the world
    itself would drop the locks that SQLite holds on it.
    """

    __slots__ = ("_fd", "_path")

    def __init__(self, world: Path) -> None:
        self._path = world.with_name(world.name + "-lock")
        while True:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._fd)
                raise StoreFault(
                    f"{world} is being written by another process: end that one first"
                ) from None
            if self._stands():
                return
            os.close(self._fd)

    def release(self) -> None:
        """Let the next writer in."""
        self._path.unlink(missing_ok=True)
        os.close(self._fd)

    def _stands(self) -> bool:
        """Whether the file that was locked is still the one with that name."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self._path))
        except FileNotFoundError:
            return False


def create(path: Path) -> apsw.Connection:
    """Make the file of a new world; it has its name only once it is whole, so no reader sees half of it.

    Raises:
        StoreFault: it is there already, or it cannot be written.
    """
    if path.exists():
        raise StoreFault(f"{path} is there already: resume it, or take another run id")
    unfinished = path.with_name(path.name + "-new")
    try:
        with told(path):
            unfinished.unlink(missing_ok=True)
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
            connection = apsw.Connection(str(unfinished), flags)
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FILE_VERSION}")
            with transaction(connection):
                connection.execute(_TABLES)
                connection.execute("INSERT INTO head VALUES (0, -1, ?)", (NO_RECORD,))
            connection.close()
            unfinished.rename(path)
        return open_writable(path)
    except StoreFault:
        for name in (unfinished.name, path.name, path.name + "-wal", path.name + "-shm"):
            path.with_name(name).unlink(missing_ok=True)
        raise


def open_writable(path: Path) -> apsw.Connection:
    """Open the file of a world to go on with it.

    Raises:
        StoreFault: it is no world of this version, or it cannot be written.
    """
    connection = _open(path, apsw.SQLITE_OPEN_READWRITE)
    with told(path):
        if connection.readonly("main"):
            raise StoreFault(f"{path} cannot be written: its permissions say so")
        _make_durable(connection)
    return connection


def open_readonly(path: Path) -> apsw.Connection:
    """Open the file of a world to read it, also while it is written.

    Raises:
        StoreFault: it is no world of this version, or it cannot be read.
    """
    return _open(path, apsw.SQLITE_OPEN_READONLY)


def finish(connection: apsw.Connection) -> None:
    """Close; a world that nobody else has open becomes one plain file again."""
    connection.set_busy_timeout(0)
    # Where that cannot be, because a reader is there or the disk is full, the write-ahead log
    # stays beside the file: nothing is lost, and the next writer folds it back.
    with contextlib.suppress(apsw.Error):
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


@contextlib.contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All or nothing, durable when it ends."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolled back by itself after some errors, such as a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def told(path: Path, next_seq: int | None = None) -> Iterator[None]:
    """Tell SQLite's and the system's errors in our words.

    Args:
        next_seq: the record that was about to be read, for errors of the file itself.
    """
    try:
        yield
    except apsw.Error as error:
        raise _fault_of(error, path, next_seq) from error
    except OSError as error:
        raise StoreFault(f"{path}: {error.strerror or error}") from error


def _open(path: Path, flags: int) -> apsw.Connection:
    if not path.is_file():
        raise StoreFault(f"there is no world at {path}")
    with told(path):
        if path.stat().st_size < _HEADER_BYTES:
            raise StoreFault(f"{path} is no world: it is empty or cut off")
        connection = apsw.Connection(str(path), flags)
        connection.set_busy_timeout(BUSY_MS)
        program = connection.pragma("application_id")
        version = connection.pragma("user_version")
    if program != APPLICATION_ID:
        raise StoreFault(f"{path} is an SQLite file of another program, not a world")
    if version != FILE_VERSION:
        raise StoreFault(
            f"{path} is a world file of version {version}, and this program reads version"
            f" {FILE_VERSION}: use the program that wrote it"
        )
    return connection


def _make_durable(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_MS)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")


def _fault_of(error: apsw.Error, path: Path, next_seq: int | None) -> Fault:
    if isinstance(error, apsw.NotADBError):
        return StoreFault(f"{path} is no world: it is not an SQLite file, or its beginning is gone")
    if isinstance(error, apsw.CorruptError | apsw.FormatError):
        if next_seq is None:
            return LogFault(f"{path} is damaged: {error}")
        good = f"records up to {next_seq - 1} can be read" if next_seq else "no record can be read"
        return LogFault(f"{path} is damaged at record {next_seq}, {good}: {error}", next_seq)
    if isinstance(error, apsw.FullError):
        return StoreFault(f"the disk is full: {path} holds what was committed, free some space")
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreFault(f"{path} is locked by another program: try again when it is done")
    if isinstance(error, apsw.ReadOnlyError | apsw.PermissionsError | apsw.AuthError):
        return StoreFault(f"{path} cannot be written: its permissions say so")
    if isinstance(error, apsw.CantOpenError):
        return StoreFault(f"{path} cannot be opened: see the permissions of it and of its folder")
    return StoreFault(f"{path} cannot be read or written: {error}")
