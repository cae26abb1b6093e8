"""The store of the event log, and its fake: what is kept, what is durable, and what is told of damage."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from scripworld.adapters import event_store
from scripworld.adapters.event_store import SqliteEventLog, StoreFault
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.world import (
    NO_RECORD,
    Context,
    Cost,
    Done,
    Effect,
    EffectResult,
    Envelope,
    Invoke,
    LogFault,
    Method,
    Native,
    NoCode,
    PrincipalSpec,
    Read,
    Row,
    Sleep,
    Tool,
    Waiting,
    World,
    WorldConfig,
    Write,
    chain,
    digest_of,
    fold,
    verify,
)

AnyLog = SqliteEventLog | MemoryEventLog
HEADER_BYTES = 36  # length and hash before each body


def chained(count: int, head: tuple[int, bytes] = (-1, NO_RECORD), size: int = 20) -> list[Row]:
    """Records that no kernel made: the store looks into none."""
    seq, digest = head
    rows = []
    for n in range(seq + 1, seq + 1 + count):
        body = f"{n} ".encode().ljust(size, b".")
        digest = chain(digest, body)
        rows.append((n, digest, body))
    return rows


def fill(log: AnyLog, count: int, a_commit: int = 10, size: int = 20) -> list[Row]:
    rows = chained(count, log.head, size)
    for start in range(0, count, a_commit):
        for row in rows[start : start + a_commit]:
            log.append(*row)
        log.commit()
    return rows


def first_wrong(rows: Iterator[Row]) -> int | None:
    """The record that a reader who checks the chain finds wrong; None where all is well."""
    head = NO_RECORD
    try:
        for seq, digest, body in rows:
            if chain(head, body) != digest:
                return seq
            head = digest
    except LogFault as fault:
        return fault.seq
    return None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "one" / "world.db"


@pytest.fixture(params=["sqlite", "memory"])
def log(request: pytest.FixtureRequest, path: Path) -> Iterator[AnyLog]:
    log = SqliteEventLog.create(path) if request.param == "sqlite" else MemoryEventLog()
    yield log
    log.close()


def change(path: Path, statement: str, *values: object) -> None:
    """What another program does to the file."""
    database = sqlite3.connect(path)
    with database:
        database.execute(statement, values)
    database.close()


# Both logs.


def test_an_empty_log_has_no_record_and_the_head_before_the_first(log: AnyLog):
    assert log.head == (-1, NO_RECORD)
    assert list(log.records()) == []
    assert log.pending == 0


def test_records_come_back_as_they_were_appended_committed_or_not(log: AnyLog):
    rows = fill(log, 25)
    more = chained(5, log.head)
    for row in more:
        log.append(*row)

    assert list(log.records()) == rows + more
    assert [log.read(seq) for seq in range(30)] == [body for _, _, body in rows + more]
    assert log.head == more[-1][:2]
    assert log.pending == 5


@pytest.mark.parametrize("start", [0, 1, 9, 10, 24, 25, 29, 30, 99])
def test_records_can_be_read_from_any_number_on(log: AnyLog, start: int):
    rows = fill(log, 25)
    tail = chained(5, log.head)
    for row in tail:
        log.append(*row)

    assert list(log.records(start)) == (rows + tail)[start:]


def test_records_that_are_appended_while_others_are_read_do_not_join_them(log: AnyLog):
    rows = fill(log, 15)
    reading = log.records()
    read = [next(reading)]
    fill(log, 15)

    read += reading

    assert read == rows


@pytest.mark.parametrize("seq", [-1, 12, 13, 1000])
def test_a_record_that_is_not_there_is_told_by_its_number(log: AnyLog, seq: int):
    fill(log, 10)
    for row in chained(2, log.head):
        log.append(*row)

    with pytest.raises(LogFault, match=f"there is no record {seq}") as caught:
        log.read(seq)

    assert caught.value.seq == seq


def test_content_is_kept_under_its_hash_before_and_after_a_commit(log: AnyLog):
    data = b"large" * 1000
    log.put_blob(digest_of(data), data)
    before = log.get_blob(digest_of(data))
    log.commit()
    log.put_blob(digest_of(data), data)
    log.commit()

    assert before == log.get_blob(digest_of(data)) == data


def test_content_that_was_never_kept_is_told_by_its_hash(log: AnyLog):
    digest = digest_of(b"nothing")

    with pytest.raises(LogFault, match=digest.hex()):
        log.get_blob(digest)


def test_a_commit_of_nothing_changes_nothing(log: AnyLog):
    fill(log, 3)
    log.commit()
    log.commit()

    assert len(list(log.records())) == 3


def test_processes_are_noted_in_order_with_what_was_durable_by_then(log: AnyLog):
    log.note_process("start", 1_000, "here")
    fill(log, 4)
    log.append(*chained(1, log.head)[0])
    log.note_process("end", 2_000, "done")

    assert log.processes() == [("start", 1_000, -1, "here"), ("end", 2_000, 3, "done")]


# The index.


def transfer(ctx: Context, args: dict[str, object]) -> Done:
    assert ctx.transfer(str(args["to"]), int(str(args["amount"]))) is None
    return Done(None)


PAYMENT = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "amount": {"type": "integer"}},
}
TRANSFER = Method(Tool("transfer", input_schema=PAYMENT), transfer)
ASK = Method(Tool("ask", input_schema={"type": "object"}), lambda *_: Effect("clock", 1), True)
NATIVES = {
    "genesis_ledger": Native("genesis_ledger", "keeps scrip", {"transfer": TRANSFER}),
    "genesis_clock": Native("genesis_clock", "asks outside", {"ask": ASK}),
}
CONFIG = WorldConfig(
    principals=tuple(
        PrincipalSpec(name, 100, {"compute": 100_000, "stored_bytes": 10_000})
        for name in ("alice", "bob", "carol")
    ),
    method_cost=Cost({"compute": 1}),
)


def begin(log: AnyLog) -> World:
    return World.begin(CONFIG, NATIVES, log, NoCode(), "0.1.0")


def pay(payer: str, payee: str) -> Envelope:
    return Envelope(payer, Invoke("genesis_ledger", "transfer", {"to": payee, "amount": 1}))


def test_an_id_finds_the_records_that_touch_it_newest_first(log: AnyLog):
    world = begin(log)
    for payer, payee in (("alice", "bob"), ("bob", "carol"), ("alice", "carol")):
        world.apply(pay(payer, payee), 0)

    assert log.of("alice", 99, 10) == [3, 1, 0]
    assert log.of("bob", 99, 10) == [2, 1, 0]
    assert log.of("genesis_ledger", 99, 10) == [3, 2, 1, 0]
    assert log.of("nobody", 99, 10) == []


def test_an_id_finds_at_most_as_many_as_asked_below_the_bound(log: AnyLog):
    world = begin(log)
    for now_us in range(6):
        world.apply(pay("alice", "bob"), now_us)

    assert log.of("alice", 5, 2) == [4, 3]
    assert log.of("alice", 0, 2) == []
    assert log.of("alice", 7, 0) == []


def test_the_index_is_brought_up_to_date_with_records_appended_or_committed_since(log: AnyLog):
    world = begin(log)
    world.apply(pay("alice", "bob"), 0)
    first = log.of("bob", 99, 10)
    world.apply(pay("bob", "alice"), 0)
    log.commit()
    world.apply(pay("carol", "bob"), 0)

    assert first == [1, 0]
    assert log.of("bob", 99, 10) == [3, 2, 1, 0]


def test_a_refused_action_a_rest_and_a_settlement_are_found_under_who_acted(log: AnyLog):
    world = begin(log)
    world.apply(Envelope("alice", Read("missing")), 0)
    world.apply(Envelope("bob", Sleep(5)), 0)
    world.apply(Envelope("bob", Write("x" * 300, 3)), 0)
    waiting = world.apply(Envelope("carol", Invoke("genesis_clock", "ask")), 0)
    assert isinstance(waiting, Waiting)
    world.settle(waiting.effect_id, EffectResult("noon"), 10)

    assert log.of("missing", 99, 10) == [1]
    assert log.of("alice", 99, 10) == [1, 0]
    assert log.of("bob", 99, 10) == [3, 2, 0]
    assert log.of("genesis_clock", 99, 10) == [5, 4, 0]
    assert log.of("carol", 99, 10) == [5, 4, 0]


def test_a_world_is_proved_from_the_log(log: AnyLog):
    world = begin(log)
    world.apply(Envelope("alice", Write("essay", "long " * 1000)), 0)
    log.commit()
    world.apply(Envelope("alice", Read("essay")), 0)

    assert verify(log.records(), NATIVES, log).head == world.state.head


# The file.


def test_a_world_is_read_again_after_it_was_closed(path: Path):
    log = SqliteEventLog.create(path)
    rows = fill(log, 25)
    log.put_blob(digest_of(b"content"), b"content")
    log.commit()
    log.note_process("start", 1, "")
    log.close()

    again = SqliteEventLog.open(path)
    more = fill(again, 5)
    again.close()

    reader = SqliteEventLog.open_readonly(path)
    assert list(reader.records()) == rows + more
    assert reader.get_blob(digest_of(b"content")) == b"content"
    assert [note.kind for note in reader.processes()] == ["start"]
    assert reader.head == more[-1][:2]
    reader.close()


def test_a_world_that_was_closed_is_one_file(path: Path):
    log = SqliteEventLog.create(path)
    fill(log, 5)
    log.close()

    assert [file.name for file in path.parent.iterdir()] == ["world.db"]


def test_what_was_not_committed_is_gone_with_the_process(path: Path):
    log = SqliteEventLog.create(path)
    rows = fill(log, 5)
    log.append(*chained(1, log.head)[0])
    log.close()

    assert list(SqliteEventLog.open_readonly(path).records()) == rows


def test_a_long_tail_becomes_several_segments_of_one_commit(path: Path):
    log = SqliteEventLog.create(path)
    rows = fill(log, 10, size=event_store.SEGMENT_BYTES_MAX // 2)
    log.close()

    database = sqlite3.connect(path)
    segments = database.execute("SELECT first_seq, record_count FROM segment").fetchall()
    database.close()
    assert sum(count for _, count in segments) == 10
    assert len(segments) > 1
    assert list(SqliteEventLog.open_readonly(path).records()) == rows


def test_reading_everywhere_stays_right_when_the_cache_is_full(path: Path):
    log = SqliteEventLog.create(path)
    rows = fill(log, 60, a_commit=1, size=event_store.CACHE_BYTES_MAX // 20)

    read = [log.read(seq) for seq in [*range(60), *range(59, -1, -7)]]

    assert read == [rows[seq][2] for seq in [*range(60), *range(59, -1, -7)]]
    log.close()


def test_content_is_stored_once(path: Path):
    log = SqliteEventLog.create(path)
    for _ in range(3):
        log.put_blob(digest_of(b"same"), b"same")
        fill(log, 1)
    log.close()

    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM blob").fetchone() == (1,)
    database.close()


def test_another_process_reads_while_the_world_is_written(path: Path):
    log = SqliteEventLog.create(path)
    fill(log, 10)
    program = (
        "import sys; from pathlib import Path\n"
        "from scripworld.adapters.event_store import SqliteEventLog\n"
        "log = SqliteEventLog.open_readonly(Path(sys.argv[1]))\n"
        "for line in sys.stdin:\n"
        "    print(log.head[0], sum(1 for _ in log.records()), flush=True)\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdin is not None and reader.stdout is not None
    seen = []
    for _ in range(3):
        reader.stdin.write("look\n")
        reader.stdin.flush()
        seen.append(reader.stdout.readline().split())
        fill(log, 7)
    reader.stdin.close()
    reader.stdout.close()

    assert reader.wait() == 0
    assert seen == [["9", "10"], ["16", "17"], ["23", "24"]]
    log.close()


def test_a_second_writer_is_refused_until_the_first_ends(path: Path):
    log = SqliteEventLog.create(path)
    with pytest.raises(StoreFault, match="written by another process"):
        SqliteEventLog.open(path)
    rows = fill(log, 3)
    log.close()

    second = SqliteEventLog.open(path)

    assert list(second.records()) == rows
    second.close()


def test_a_world_that_is_there_is_not_made_again(path: Path):
    log = SqliteEventLog.create(path)
    rows = fill(log, 3)
    log.close()

    with pytest.raises(StoreFault, match="is there already"):
        SqliteEventLog.create(path)

    assert list(SqliteEventLog.open_readonly(path).records()) == rows


def test_a_reader_can_commit_nothing(path: Path):
    SqliteEventLog.create(path).close()
    reader = SqliteEventLog.open_readonly(path)
    reader.append(*chained(1)[0])

    with pytest.raises(StoreFault, match="reading only"):
        reader.commit()
    with pytest.raises(StoreFault, match="reading only"):
        reader.note_process("start", 0, "")
    reader.close()


@pytest.mark.parametrize("how", [SqliteEventLog.open, SqliteEventLog.open_readonly])
class TestAFileThatIsNoWorld:
    def test_that_is_not_there(self, how, path):
        with pytest.raises(StoreFault, match="there is no world"):
            how(path)

    def test_that_is_something_else(self, how, tmp_path):
        path = tmp_path / "world.db"
        path.write_bytes(b"Dear diary, " * 1000)

        with pytest.raises(StoreFault, match="is no world"):
            how(path)

    @pytest.mark.parametrize("size_bytes", [0, 50])
    def test_that_is_empty_or_cut_off(self, how, path, size_bytes):
        SqliteEventLog.create(path).close()
        path.write_bytes(path.read_bytes()[:size_bytes])

        with pytest.raises(StoreFault, match="is empty or cut off"):
            how(path)

    def test_that_another_program_wrote(self, how, tmp_path):
        path = tmp_path / "world.db"
        change(path, "CREATE TABLE notes (text)")

        with pytest.raises(StoreFault, match="another program"):
            how(path)

    def test_of_another_version(self, how, path):
        SqliteEventLog.create(path).close()
        change(path, "PRAGMA user_version = 7")

        with pytest.raises(StoreFault, match=r"of version 7, and this program reads version 1"):
            how(path)

    def test_that_refused_leaves_the_file_to_the_next(self, how, path):
        SqliteEventLog.create(path).close()
        change(path, "PRAGMA user_version = 7")
        with pytest.raises(StoreFault):
            how(path)
        change(path, "PRAGMA user_version = 1")

        how(path).close()


@pytest.mark.skipif(
    os.geteuid() == 0, reason="permissions bind everybody but root: run as another user"
)
def test_a_world_that_may_not_be_written_says_so(path: Path):
    SqliteEventLog.create(path).close()
    path.chmod(0o444)

    with pytest.raises(StoreFault, match="permissions"):
        SqliteEventLog.open(path)


# Damage.


@pytest.fixture
def written(path: Path) -> list[Row]:
    log = SqliteEventLog.create(path)
    rows = fill(log, 30)
    log.close()
    return rows


def test_any_changed_byte_of_a_segment_is_told_with_its_record(path: Path, written: list[Row]):
    database = sqlite3.connect(path)
    (frames,) = database.execute("SELECT frames FROM segment WHERE first_seq = 10").fetchone()
    starts = [0]
    for _, _, body in written[10:20]:
        starts.append(starts[-1] + HEADER_BYTES + len(body))
    log = SqliteEventLog.open_readonly(path)
    told = {}
    for at in range(len(frames)):
        for mask in (0x01, 0x80):
            changed = frames[:at] + bytes([frames[at] ^ mask]) + frames[at + 1 :]
            with database:
                database.execute("UPDATE segment SET frames = ? WHERE first_seq = 10", (changed,))
            told[at, mask] = first_wrong(log.records())
    database.close()
    log.close()

    expected = {
        (at, mask): 10 + n
        for n, (start, end) in enumerate(pairwise(starts))
        for at in range(start, end)
        for mask in (0x01, 0x80)
    }
    assert told == expected


@pytest.mark.parametrize(
    ("statement", "record"),
    [
        ("DELETE FROM segment WHERE first_seq = 20", 20),
        ("DELETE FROM segment WHERE first_seq = 10", 10),
        ("DELETE FROM segment WHERE first_seq = 0", 0),
        ("DELETE FROM segment", 0),
        ("UPDATE segment SET record_count = 9 WHERE first_seq = 10", 18),
        ("UPDATE segment SET record_count = 11 WHERE first_seq = 10", 20),
        ("UPDATE segment SET frames = x'' WHERE first_seq = 10", 10),
        ("UPDATE segment SET first_seq = 11 WHERE first_seq = 10", 10),
        ("UPDATE head SET seq = 19", 20),
        ("UPDATE head SET seq = 40", 30),
        ("UPDATE head SET digest = zeroblob(32)", 29),
    ],
)
def test_a_log_whose_parts_do_not_fit_is_told_with_its_first_wrong_record(
    path: Path, written: list[Row], statement: str, record: int
):
    change(path, statement)
    log = SqliteEventLog.open_readonly(path)

    assert first_wrong(log.records()) == record
    log.close()


def test_a_log_without_its_head_is_not_opened(path: Path, written: list[Row]):
    change(path, "DELETE FROM head")

    with pytest.raises(LogFault, match="lost its head"):
        SqliteEventLog.open(path)
    change(path, "INSERT INTO head VALUES (0, ?, ?)", *written[-1][:2])
    SqliteEventLog.open(path).close()


def test_a_changed_byte_of_content_or_of_its_hash_is_told(path: Path):
    log = SqliteEventLog.create(path)
    contents = [bytes([n]) * 300 for n in range(20)]
    for content in contents:
        log.put_blob(digest_of(content), content)
    log.commit()
    log.close()
    whole = path.read_bytes()
    digest, content = digest_of(contents[7]), contents[7]

    for needle in (digest, content):
        assert whole.count(needle) == 1, "each stands in the file once"
        at = whole.index(needle) + 5
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        damaged = SqliteEventLog.open_readonly(path)
        with pytest.raises(LogFault, match=digest.hex()):
            damaged.get_blob(digest)
        damaged.close()


def test_content_that_was_changed_or_removed_is_told(path: Path):
    log = SqliteEventLog.create(path)
    digest = digest_of(b"content")
    log.put_blob(digest, b"content")
    log.commit()
    log.close()

    change(path, "UPDATE blob SET data = ?", b"changed")
    log = SqliteEventLog.open_readonly(path)
    with pytest.raises(LogFault, match="was changed"):
        log.get_blob(digest)
    log.close()

    change(path, "DELETE FROM blob")
    log = SqliteEventLog.open_readonly(path)
    with pytest.raises(LogFault, match="missing"):
        log.get_blob(digest)
    log.close()


@pytest.mark.parametrize("kept", [0, 50, 100, 5_000, 20_000, 60_000, -1])
def test_a_truncated_file_is_told_in_one_sentence(path: Path, kept: int):
    log = SqliteEventLog.create(path)
    fill(log, 60, size=2_000)
    log.close()
    os.truncate(path, path.stat().st_size + kept if kept < 0 else kept)

    with pytest.raises((LogFault, StoreFault)) as caught:
        log = SqliteEventLog.open_readonly(path)
        assert first_wrong(log.records()) is not None
        raise LogFault("told by the number of the record")

    assert "\n" not in str(caught.value)


def test_a_file_with_any_byte_changed_gives_its_records_or_a_fault(path: Path):
    log = SqliteEventLog.create(path)
    rows = fill(log, 40, size=1_000)
    log.put_blob(digest_of(b"content"), b"content")
    log.commit()
    log.close()
    whole = path.read_bytes()
    places = [*range(300), *range(300, len(whole), 401)]

    for at in places:
        for mask in (0x02, 0xFF):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
            good: list[Row] = []
            try:
                log = SqliteEventLog.open_readonly(path)
                good += log.records()
                log.get_blob(digest_of(b"content"))
                log.close()
            except (StoreFault, LogFault):
                pass
            else:
                assert len(good) == len(rows), at


# Trouble while writing.


def test_a_commit_that_finds_the_disk_full_loses_nothing_and_can_be_tried_again(path: Path):
    log = SqliteEventLog.create(path)
    rows = fill(log, 30)
    limit = log._connection.pragma("page_count") + 2
    log._connection.pragma("max_page_count", limit)
    tail = chained(100, log.head, size=5_000)
    for row in tail:
        log.append(*row)
    log.put_blob(digest_of(b"content"), b"content")

    for _ in range(2):
        with pytest.raises(StoreFault, match="the disk is full"):
            log.commit()
        assert log.pending == 100
        assert list(log.records()) == rows + tail
        assert list(SqliteEventLog.open_readonly(path).records()) == rows
    log._connection.pragma("max_page_count", 1_000_000)
    log.commit()

    assert log.pending == 0
    log.close()
    reader = SqliteEventLog.open_readonly(path)
    assert list(reader.records()) == rows + tail
    assert reader.get_blob(digest_of(b"content")) == b"content"


WRITER = """
import resource, sys
from pathlib import Path
from scripworld.adapters.event_store import SqliteEventLog, StoreFault
from scripworld.world import chain

path, limit = Path(sys.argv[1]), int(sys.argv[2])
log = SqliteEventLog.create(path) if not path.exists() else SqliteEventLog.open(path)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
seq, digest = log.head
try:
    while True:
        for _ in range(5):
            seq += 1
            body = f"{seq} ".encode().ljust(500, b".")
            digest = chain(digest, body)
            log.append(seq, digest, body)
        log.commit()
        print(seq, flush=True)
except StoreFault as fault:
    print(fault)
    print(log.pending, log.head[0])
    log.close()
"""


def test_a_file_that_cannot_grow_keeps_what_was_committed(path: Path):
    outcome = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), "300000"],
        capture_output=True,
        text=True,
        check=True,
    )
    *committed, sentence, state = outcome.stdout.splitlines()

    assert "world.db cannot be read or written" in sentence or "the disk is full" in sentence
    assert state == f"5 {int(committed[-1]) + 5}"
    log = SqliteEventLog.open(path)
    assert list(log.records()) == chained(int(committed[-1]) + 1, size=500)
    fill(log, 5)
    log.close()


def test_a_killed_writer_leaves_every_commit_and_no_lock(path: Path):
    told = -1
    for commits in (3, 20, 60):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), "0"], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(commits):
            told = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        told = max([told, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        writer.stdout.close()

        log = SqliteEventLog.open(path)
        seq, _ = log.head
        assert seq >= told
        assert list(log.records()) == chained(seq + 1, size=500)
        log.close()


def test_a_log_that_another_program_changed_meanwhile_is_not_written_over(path: Path):
    log = SqliteEventLog.create(path)
    fill(log, 3)
    change(path, "UPDATE head SET seq = 7")
    log.append(*chained(1, log.head)[0])

    with pytest.raises(StoreFault, match="changed by another program"):
        log.commit()

    assert log.pending == 1
    log.close()


def test_an_edited_record_stops_a_fold_with_its_number(path: Path):
    log = SqliteEventLog.create(path)
    world = begin(log)
    for now_us in range(20):
        world.apply(pay("alice", "bob"), now_us)
        log.commit()
    log.close()
    database = sqlite3.connect(path)
    (frames,) = database.execute("SELECT frames FROM segment WHERE first_seq = 7").fetchone()
    database.close()
    change(path, "UPDATE segment SET frames = ? WHERE first_seq = 7", frames[:-1] + b"\x07")
    log = SqliteEventLog.open_readonly(path)

    with pytest.raises(LogFault, match="record 7 was changed") as caught:
        fold(log.records())

    assert caught.value.seq == 7
    log.close()
