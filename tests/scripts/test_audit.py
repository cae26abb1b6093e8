"""The audit as a process, over worlds that the kernel made and over forgeries of them."""

import importlib
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scripworld.adapters.event_store import SqliteEventLog
from scripworld.world import (
    NO_RECORD,
    Answer,
    ArtifactSpec,
    CallBack,
    Code,
    CodeCall,
    Context,
    Contract,
    Cost,
    Delete,
    Done,
    Edit,
    Effect,
    EffectResult,
    Envelope,
    Failed,
    Invoke,
    Limits,
    Method,
    Native,
    Outcome,
    Pause,
    PrincipalSpec,
    Read,
    Resource,
    Resume,
    Return,
    SetLimit,
    Signal,
    Sleep,
    Tool,
    Waiting,
    World,
    WorldConfig,
    Write,
    chain,
    digest_of,
)

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "audit"
FORMAT = (ROOT / "docs" / "architecture" / "log_format.md").read_text()
FRAME_BYTES = 36

Records = list[list[Any]]
CHARGED, TRANSFERRED, USED, ISSUED, HELD, POSTED, RELEASED, QUOTA_HELD, QUOTA_POSTED = range(1, 10)
OVERRAN, ALLOCATED, LIMIT, QUOTA_MOVED, WRITTEN, REPLACED, DELETED, OWNED = range(10, 18)
REQUESTED, SETTLED = 19, 20


def audit(run: Path | str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, run], capture_output=True, text=True, cwd=cwd, check=False
    )


# A world in which each kind of fact that books are kept of occurs.


class OneCall:
    """A code runner whose every program takes one look and returns what it got."""

    def check(self, code: str) -> None:
        return None

    def start(self, call: CodeCall) -> tuple["OneCall", Outcome]:
        return self, CallBack(Invoke("genesis_fetch", "look"), True)

    def resume(self, answer: Answer) -> Outcome:
        return Return(type(answer).__name__)

    def close(self) -> None:
        pass


def pay(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    return ctx.transfer(args["to"], args["amount"]) or Done()


def give_quota(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    return ctx.transfer_quota(args["to"], "tokens", args["amount"]) or Done()


def give(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    artifact = ctx.state.artifacts.by_id[args["to"]]
    return ctx.transfer_ownership(artifact, "bob", artifact.stored_for) or Done()


def sell(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    artifact = ctx.state.artifacts.by_id[args["to"]]
    return ctx.transfer_ownership(artifact, "bob", "bob") or Done()


def spawn(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    return ctx.spawn(args["to"], ctx.caller, "a child") or Done()


ARGS = {"type": "object", "properties": {"to": {"type": "string"}, "amount": {"type": "integer"}}}


def ask(ctx: Context, args: dict[str, Any]) -> Effect:
    return Effect("web", "a page")


NATIVES = {
    "genesis_bank": Native(
        "genesis_bank",
        "moves what can be moved",
        {
            handler.__name__: Method(Tool(handler.__name__, input_schema=ARGS), handler)
            for handler in (pay, give_quota, give, sell, spawn)
        },
    ),
    "genesis_fetch": Native(
        "genesis_fetch",
        "gets pages",
        {name: Method(Tool(name, input_schema=ARGS), ask, True) for name in ("fetch", "look")},
    ),
}
USES = {"compute": 2, "tokens": 10, "budget": 20}
QUOTAS = {"compute": 100, "stored_bytes": 9_000, "tokens": 50, "budget": 500}
CONFIG = WorldConfig(
    actions={"write": Cost({"tokens": 1})},
    costs={"genesis_fetch": {"fetch": Cost(USES, price_scrip=4), "look": Cost(USES)}},
    limits=Limits(compute_max=40),
    resources={
        "compute": Resource("renewable", 1_000_000),
        "stored_bytes": Resource("allocatable"),
        "tokens": Resource("renewable", 1_000_000),
        "budget": Resource("depletable"),
    },
    principals=tuple(
        PrincipalSpec(name, 100, QUOTAS, loop=True, content="I am " + name)
        for name in ("alice", "bob", "carol")
    ),
    artifacts=(ArtifactSpec("charter", "alice", "be kind", contract=Contract("freeware")),),
)


def live(world: World) -> None:
    """A small life, at 1 ms a step."""
    now_us = 0

    def act(principal: str, action: Any, **bounds: Any) -> Answer:
        nonlocal now_us
        now_us += 1_000
        return world.apply(Envelope(principal, action, **bounds), now_us)

    def settle(waiting: Answer, result: EffectResult) -> Answer:
        nonlocal now_us
        assert isinstance(waiting, Waiting), waiting
        now_us += 1_000
        settled = world.settle(waiting.effect_id, result, now_us)
        assert settled is not None
        return settled.answer

    def bank(method: str, to: str, amount: int = 1) -> Invoke:
        return Invoke("genesis_bank", method, {"to": to, "amount": amount})

    fetch = Invoke("genesis_fetch", "fetch")
    done = [
        act("alice", bank("pay", "bob", 10)),
        act("alice", Write("book", "large " * 500, contract=Contract("pay_per_use", 3))),
        act("bob", Read("book")),
        act("alice", Write("note", "small")),
        act("alice", Delete("note")),
        act("alice", Write("gift", "for bob")),
        act("alice", Edit("gift", "bob", "Bob")),
        act("alice", bank("give", "gift")),
        act("alice", Write("ware", "for sale")),
        act("alice", bank("sell", "ware")),
        act("bob", bank("give_quota", "alice", 5)),
        act("bob", bank("spawn", "junior")),
        act("alice", Write("helper", "fetch", type="code", contract=Contract("pay_per_use", 2),
                           interface=(Tool("go"),))),
    ]  # fmt: skip
    assert {type(answer) for answer in done} == {Done}
    act("carol", Read("missing"))
    act("carol", Write("odd", 3))
    first = act("bob", fetch, idempotency_key="k")
    act("bob", fetch, idempotency_key="k")
    settle(first, EffectResult("page " * 500, usage={"tokens": 12, "budget": 3}))
    settle(act("carol", fetch), EffectResult(None, Code.TOOL_UNAVAILABLE, "no server"))
    assert settle(act("bob", Invoke("helper", "go")), EffectResult("page")) == Done("Done")
    world.operate(SetLimit("carol", "tokens", 60), now_us)
    for command in (Pause(), Resume(), Signal("carol", "hello")):
        world.operate(command, now_us)
    act("carol", Sleep(now_us + 200_000, ("alice",)))
    act("bob", bank("pay", "alice", 1))
    act("carol", Sleep(now_us + 200_000))
    now_us += 300_000
    world.advance(now_us)
    act("carol", fetch)  # still without a result at the end


def write_world(path: Path, config: WorldConfig = CONFIG) -> None:
    log = SqliteEventLog.create(path)
    live(World.begin(config, NATIVES, log, OneCall(), "0.1.0"))
    log.commit()
    log.close()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "runs" / "one" / "world.db"
    write_world(path)
    return path


@pytest.fixture
def path(real: Path, tmp_path: Path) -> Path:
    """A copy of the real world, to be damaged."""
    return Path(shutil.copy(real, tmp_path / "world.db"))


def change(path: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute(statement, values)
    database.close()


def read_records(path: Path) -> Records:
    log = SqliteEventLog.open_readonly(path)
    records = [msgspec.msgpack.decode(body) for _, _, body in log.records()]
    log.close()
    return records


def write_records(path: Path, records: Records) -> None:
    """Put other records in place of those that stand, with a chain and a head that fit."""
    digest, frames = NO_RECORD, []
    for record in records:
        body = msgspec.msgpack.encode(record)
        digest = chain(digest, body)
        frames += [len(body).to_bytes(4, "big"), digest, body]
    database = sqlite3.connect(path)
    with database:
        database.execute("DELETE FROM segment")
        row = (len(records), b"".join(frames))
        database.execute("INSERT INTO segment VALUES (0, ?, ?)", row)
        database.execute("UPDATE head SET seq = ?, digest = ?", (len(records) - 1, digest))
    database.close()


# Sound logs.


def test_a_real_world_is_sound(real: Path):
    result = audit(real)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("\nok\n")


def test_the_world_of_these_tests_holds_every_fact_that_books_are_kept_of(real: Path):
    tags = {fact[0] for record in read_records(real) for fact in record[5]}

    assert tags.issuperset({*range(1, 18), *range(19, 24), *range(25, 28)})


def test_the_report_says_what_a_person_wants_to_know(real: Path):
    log = SqliteEventLog.open_readonly(real)
    seq, digest = log.head
    log.close()

    rows = dict(re.findall(r"^(\w+) +(.+)$", audit(real).stdout, re.M))

    assert rows["head"] == f"{seq} {digest.hex()}"
    assert rows["records"].startswith(f"{seq + 1} (")
    assert rows["segments"] == "1, with 2 blobs, 0 unused"
    assert rows["effects"] == "4 asked for, 1 without a result"
    assert rows["supply"] == "300 scrip, 4 of it held"
    assert rows["principals"] == "5"
    assert rows["artifacts"] == "12, 1 deleted"


def test_a_run_is_found_by_directory_and_by_id(real: Path):
    for run, cwd in ((real.parent, ROOT), ("one", real.parents[2])):
        assert audit(run, cwd).returncode == 0


def test_a_rewritten_log_with_the_same_records_is_sound(path: Path):
    write_records(path, read_records(path))

    assert audit(path).returncode == 0


def test_a_log_is_audited_while_it_is_written(tmp_path: Path):
    log = SqliteEventLog.create(tmp_path / "world.db")
    world = World.begin(CONFIG, NATIVES, log, OneCall(), "0.1.0")
    log.commit()
    live(world)

    result = audit(tmp_path)

    assert result.returncode == 0
    assert "records    1 (1 Begin)" in result.stdout
    log.close()


def test_usage_above_a_limit_that_an_operator_lowered_is_sound(tmp_path: Path):
    log = SqliteEventLog.create(tmp_path / "world.db")
    world = World.begin(CONFIG, NATIVES, log, OneCall(), "0.1.0")
    world.apply(Envelope("alice", Write("helper", "x", None, "code", None, (Tool("go"),))), 0)
    waiting = world.apply(Envelope("alice", Invoke("helper", "go")), 1)
    assert isinstance(waiting, Waiting)
    for resource in ("compute", "tokens"):
        world.operate(SetLimit("alice", resource, 1), 2)
    world.settle(waiting.effect_id, EffectResult("late", usage={"tokens": 99}), 3)
    log.commit()
    log.close()

    result = audit(tmp_path)

    assert (result.returncode, result.stderr) == (0, "")


# Damage.


def test_any_changed_byte_of_a_record_is_told_with_its_number(path: Path):
    database = sqlite3.connect(path)
    (frames,) = database.execute("SELECT frames FROM segment").fetchone()
    places, at = [], 0
    for seq in range(int(database.execute("SELECT seq FROM head").fetchone()[0]) + 1):
        length = int.from_bytes(frames[at : at + 4], "big")
        places += [(at + offset, seq) for offset in (0, 3, 20, FRAME_BYTES + length // 2)]
        at += FRAME_BYTES + length
    for at, seq in places[::7]:
        changed = frames[:at] + bytes([frames[at] ^ 0x10]) + frames[at + 1 :]
        with database:
            database.execute("UPDATE segment SET frames = ?", (changed,))
        result = audit(path)
        assert result.returncode == 1
        assert result.stderr.startswith(f"record {seq} "), (at, result.stderr)
    database.close()


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM segment", "record 0 is missing"),
        ("DELETE FROM head", "the head is missing"),
        ("UPDATE head SET seq = 4", "record 5 stands after the head"),
        ("UPDATE head SET seq = seq + 1", r"record \d+ is missing: the log was cut off"),
        ("UPDATE head SET digest = zeroblob(32)", r"record \d+ does not fit the stored head"),
        ("UPDATE segment SET first_seq = 1", "record 0 is missing"),
        ("UPDATE segment SET record_count = 3", "bytes that are no record follow record 2"),
        ("UPDATE segment SET record_count = 99", r"record \d+ is missing from its segment"),
        ("DELETE FROM blob", "record 2 is wrong: its content .* is missing"),
        ("UPDATE blob SET data = x'a0'", "record 2 is wrong: its content .* was changed"),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_told_in_one_sentence(
    path: Path, statement: str, sentence: str
):
    change(path, statement)

    result = audit(path)

    assert result.returncode == 1
    assert re.match(sentence, result.stderr), result.stderr
    assert result.stderr.count("\n") == 1


def test_a_truncated_file_is_told_in_one_sentence(path: Path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)

    result = audit(path)

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("PRAGMA user_version = 2", "has version 2, this audit reads version 1"),
        ("PRAGMA application_id = 5", "of another program"),
    ],
)
def test_a_file_of_another_version_or_program_cannot_be_read(
    path: Path, statement: str, sentence: str
):
    change(path, statement)

    result = audit(path)

    assert result.returncode == 2
    assert sentence in result.stderr


def test_a_run_that_is_not_there_or_no_database_cannot_be_read(tmp_path: Path):
    diary = tmp_path / "diary"
    diary.write_text("Dear diary, " * 100)

    for run in (tmp_path / "nowhere", diary):
        result = audit(run)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)


# Forgeries whose chain fits: the audit's own rules bite.


def first(
    records: Records, tag: int, which: Callable[[list[Any]], bool] = lambda fact: True
) -> int:
    """The first record after the first one that holds such a fact."""
    for seq, record in enumerate(records[1:], 1):
        if any(fact[0] == tag and which(fact) for fact in record[5]):
            return seq
    raise AssertionError(tag)


def fact_of(record: list[Any], tag: int) -> list[Any]:
    return next(fact for fact in record[5] if fact[0] == tag)


def edited(tag: int, field: int, value: Any, record: int | None = None) -> Any:
    """Forge one field of the first fact of a kind."""

    def forge(records: Records) -> int:
        seq = first(records, tag) if record is None else record
        fact = fact_of(records[seq], tag)
        fact[field] = value(fact[field]) if callable(value) else value
        return seq

    return forge


def added(beside: int, *facts: list[Any], again: bool = False) -> Any:
    """Forge more facts into the record of the first fact of a kind; ``again`` repeats that one."""

    def forge(records: Records) -> int:
        seq = first(records, beside)
        records[seq][5] += [fact_of(records[seq], beside)] * again + list(facts)
        return seq

    return forge


def without(tag: int) -> Any:
    def forge(records: Records) -> int:
        seq = first(records, tag)
        records[seq][5].remove(fact_of(records[seq], tag))
        return seq

    return forge


def time_back(records: Records) -> int:
    records[5][1] = records[4][1] - 1
    return 5


def other_number(records: Records) -> int:
    records[5][0] = 6
    return 5


def other_cause(records: Records) -> int:
    seq = first(records, SETTLED)
    records[seq][2] -= 1
    return seq


def begun_again(records: Records) -> int:
    records[5][3] = records[0][3]
    return 5


def settled_twice(records: Records) -> int:
    """The second settlement takes the place of a harmless record."""
    settled = first(records, SETTLED)
    records[settled + 1] = [settled + 1, records[settled + 1][1], *records[settled][2:]]
    return settled + 1


def refused_and_paid(records: Records) -> int:
    seq = next(seq for seq, record in enumerate(records) if record[6] and record[6][0] == 1)
    payer = records[seq][3][1]
    records[seq][5].append([TRANSFERRED, payer, "alice", 1])
    return seq


def posted_again_later(records: Records) -> int:
    seq = first(records, POSTED)
    records[seq + 2][5].append(fact_of(records[seq], POSTED))
    return seq + 2


def used_id(records: Records) -> int:
    written = first(records, WRITTEN, lambda fact: fact[1] == "note")
    seq = first(records, DELETED) + 1
    records[seq][5] = [fact for fact in records[written][5] if fact[0] != CHARGED]
    return seq


def added_before_write(records: Records) -> int:
    """Bind an artifact just before it is replaced."""
    replaced = first(records, REPLACED)
    fact = fact_of(records[replaced], REPLACED)
    records[replaced][5].insert(0, [29, fact[1], "genesis_bank"])
    return replaced


def other_blob(records: Records) -> int:
    seq = first(records, WRITTEN, lambda fact: fact[1] == "book")
    fact_of(records[seq], WRITTEN)[5] = msgspec.msgpack.Ext(1, digest_of(b"nothing"))
    return seq


FORGERIES = {
    "scrip from nothing": (added(TRANSFERRED, [ISSUED, "alice", 50]), "does not follow from"),
    "scrip from an effect of an agent": (added(SETTLED, [ISSUED, "bob", 50]), "bob makes scrip"),
    "a note of an agent": (added(TRANSFERRED, [28, "alice", "key", 1]), "is no genesis artifact"),
    "a debt that nobody noted": (added(TRANSFERRED, [2, "bob", "alice", 1]), "bob pays, and alice"),
    "an artifact bound by an agent": (
        added(TRANSFERRED, [29, "charter", "alice"]),
        "alice is no genesis artifact and binds charter",
    ),
    "an artifact freed that is free": (added(TRANSFERRED, [29, "charter", ""]), "charter is bound by ''"),
    "a bound artifact that is written": (
        added_before_write,
        "is changed, and genesis_bank has bound it",
    ),
    "a time for an agent": (added(TRANSFERRED, [30, "alice", 2**40]), "alice is no genesis artifact"),
    "a time that is over": (added(TRANSFERRED, [30, "genesis_bank", 1]), "genesis_bank is due at 1 us"),
    "scrip of another": (edited(TRANSFERRED, 1, "bob"), "bob pays, and alice acts"),
    "a negative amount": (edited(TRANSFERRED, 3, -5), "-5 is no amount"),
    "more than a balance": (edited(TRANSFERRED, 3, 101), "alice spends 1 scrip more than it has"),
    "a payee that is none": (edited(TRANSFERRED, 2, "nobody"), "nobody is no principal"),
    "held scrip spent": (added(HELD, [TRANSFERRED, "bob", "alice", 104]), "scrip more than it has"),
    "a hold posted twice": (added(POSTED, again=True), "is not open"),
    "a hold posted again later": (posted_again_later, "is not open"),
    "a hold posted above it": (edited(POSTED, 3, 5), "hold 2 is of 4 scrip and pays 5"),
    "a hold never ended": (without(POSTED), "neither ends nor belongs to an effect"),
    "a hold of an old number": (edited(HELD, 1, 1), "hold 1 was used before"),
    "a hold without an effect": (
        added(TRANSFERRED, [HELD, 1, "alice", 5, 0]),
        "neither ends nor belongs",
    ),
    "a release without a reason": (edited(RELEASED, 2, "expired"), "not 'void'"),
    "compute above the limit": (edited(CHARGED, 2, 101), "uses 101 and holds 0 of compute"),
    "compute of another": (edited(CHARGED, 1, "bob"), "bob pays, and alice acts"),
    "a window above its limit": (
        added(TRANSFERRED, [USED, "alice", "tokens", 30], [USED, "alice", "tokens", 21]),
        "alice uses 51 and holds 0 of tokens, its limit is 50",
    ),
    "a budget above its limit": (added(TRANSFERRED, [USED, "alice", "budget", 501]), "limit is 500"),
    "a quota hold above the limit": (
        edited(QUOTA_HELD, 3, {"tokens": 60}),
        "uses 0 and holds 60 of tokens",
    ),
    "quota posted above the hold": (
        edited(QUOTA_POSTED, 2, {"tokens": 11}),
        "is of 10 tokens, 11 is posted",
    ),
    "quota never posted": (without(QUOTA_POSTED), "overran|neither ends"),
    "an overrun without need": (edited(OVERRAN, 2, "budget"), "with some of the hold left"),
    "quota given twice": (edited(QUOTA_MOVED, 4, 51), "its limit is -1"),
    "a limit from nowhere": (added(TRANSFERRED, [LIMIT, "alice", "tokens", 9]), "does not follow"),
    "bytes without room": (
        added(TRANSFERRED, [ALLOCATED, "alice", "stored_bytes", 9_000]),
        "of stored_bytes, its limit is 9000",
    ),
    "bytes without an artifact": (
        added(TRANSFERRED, [ALLOCATED, "alice", "stored_bytes", 7]),
        "alice stores 17 bytes and is allocated 24",
    ),
    "an artifact without bytes": (without(ALLOCATED), "bytes and is allocated"),
    "an id used again": (used_id, "the id note was deleted and is used again"),
    "an owner changed by a write": (
        added(WRITTEN, [WRITTEN, "charter", "bob", "text", "", "", ["private", 0, []], [], False,
                        False, "alice", 7]),
        "a write changes the owner of charter",
    ),
    "a principal deleted": (added(DELETED, [DELETED, "carol"]), "carol is a principal"),
    "an owner that is none": (edited(OWNED, 2, "charter"), "charter is no principal"),
    "content that is missing": (other_blob, "is missing"),
    "an effect of another number": (edited(REQUESTED, 1, "1.0"), "effect 1.0 should be"),
    "an effect without its price": (edited(REQUESTED, 18, 0), "another price than it holds"),
    "an effect without its hold": (edited(REQUESTED, 15, 0), "neither ends nor belongs"),
    "an effect settled twice": (settled_twice, "was not asked for"),
    "an effect not settled": (without(SETTLED), "is not settled"),
    "another cause": (other_cause, "its cause is"),
    "time that goes back": (time_back, "time goes back"),
    "another number": (other_number, "it says that it is record 6"),
    "a second beginning": (begun_again, "Begin stands in its place"),
    "a refusal that changes": (refused_and_paid, "refused and changes something"),
    "a fact that is none": (added(TRANSFERRED, [99, "alice"]), "is no fact"),
    "a fact of another shape": (added(TRANSFERRED, [CHARGED, "alice"]), "has 2 fields, not 1"),
    "a fraction of scrip": (edited(TRANSFERRED, 3, 0.5), "ScripTransferred.amount is 0.5"),
    "holds that are no numbers": (edited(QUOTA_POSTED, 2, {"tokens": "1"}), "not of this format"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_whose_chain_fits_is_told_with_its_record(path: Path, name: str):
    forge, sentence = FORGERIES[name]
    records = read_records(path)
    seq = forge(records)
    write_records(path, records)

    result = audit(path)

    assert result.returncode == 1, result.stdout
    assert re.fullmatch(rf"record {seq} is wrong: .*(?:{sentence}).*\n", result.stderr), (
        result.stderr
    )


# The format and what is written about it.


def documented() -> dict[str, tuple[str, list[str]]]:
    """Tag and fields by name, as the tables of the format say."""
    rows = re.findall(r"^\| (\d+|–) \| `([A-Z][a-z]\w*)` \| ([^|]*)\|", FORMAT, re.M)
    return {name: (tag, re.findall(r"\w+", fields)) for tag, name, fields in rows}


def structs() -> list[type[msgspec.Struct]]:
    """Everything of the code that can stand in a record."""
    modules = [
        importlib.import_module(f"scripworld.world.{name}")
        for name in ("facts", "records", "actions", "answers", "ports", "config")
    ]
    never = {"Fact", "_No", "RawRecord", "FoldRecord", "ShellRecord", "CodeCall"}
    return [
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and kind.__module__ == module.__name__
        and kind.__name__ not in never
    ]


def test_the_document_names_every_tag_and_every_field_in_order():
    expected = {
        kind.__name__: (
            str(kind.__struct_config__.tag if kind.__struct_config__.tag is not None else "–"),
            [field.encode_name for field in msgspec.structs.fields(kind)],
        )
        for kind in structs()
    }

    assert documented() == expected


def test_the_document_names_every_code():
    cells = re.findall(r"(?<=\| )(\d+) \| `([A-Z_]+)`", FORMAT)

    assert {(int(number), name) for number, name in cells} == {(c.value, c.name) for c in Code}


def test_the_audit_knows_the_facts_and_inputs_as_they_are_documented(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    books = importlib.import_module("audit_books")
    letters = {books.INPUTS[tag][0][0]: tag for tag in books.INPUTS}
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| [^|]*\| [^|]*\| ([BEMSOA ]+) \|$", FORMAT, re.M)

    for tag, (name, fields, *_) in (books.FACTS | books.INPUTS).items():
        assert documented()[name][1] == list(fields), tag
    assert {
        int(tag): (name, {letters[c] for c in inputs.split()}) for tag, name, inputs in rows
    } == {tag: (name, set(inputs)) for tag, (name, _, inputs) in books.FACTS.items()}


def test_the_audit_knows_nothing_of_the_kernel():
    for script in (SCRIPT, SCRIPT.parent / "audit_books.py"):
        assert not re.search(r"^\s*(from|import) (scripworld|src)\b", script.read_text(), re.M)
