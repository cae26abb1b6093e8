from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.world import (
    NO_RECORD,
    RECORDS,
    Abort,
    CallBack,
    Code,
    Contract,
    Done,
    EffectResult,
    Fault,
    Invoke,
    LogFault,
    Malformed,
    Native,
    Operate,
    Pause,
    Raise,
    Read,
    ReplayMismatch,
    Resume,
    Return,
    Row,
    SetLimit,
    Signal,
    Sleep,
    StopAgent,
    Tool,
    Write,
    begin_of,
    chain,
    fold,
    read_records,
    results_of,
    verify,
)

from .lab import CodeError, Lab, natives
from .test_invocation import ASK

Walk = Iterator[tuple[list[Any] | dict[str, Any], Any, Any]]


def shop(caller, args):
    answers = [(yield CallBack(Write("made", "m" * 1_500)))]
    answers.append((yield ASK))
    answers.append((yield CallBack(Read("nowhere"))))
    if args.get("x") == "fail":
        raise CodeError("told to")
    if args.get("x") == "abort":
        yield Abort("50 ms are over")
    return ["r" * 1_500, answers[1].result]


def busy() -> Lab:
    """A log with every kind of input, most facts, refusals, failures, code and large content."""
    lab = Lab()
    world = lab.world
    lab.code("bob", "shop", shop, Contract("pay_per_use", 5))
    lab.write("alice", "page", "p" * 1_500, contract=Contract("public"))
    lab.write("Nobody", "page", "q" * 1_500)
    lab.write("alice", "Bad Id", "s" * 1_500)
    lab.edit("carol", "page", "p" * 1_500, "t" * 1_400)
    lab.invoke("alice", "bank", "transfer", to="bob", amount=2_000)
    lab.invoke("alice", "bank", "transfer", to="bob", amount=2)
    lab.invoke("alice", "bank", "churn", ids=[], code=102)
    lab.invoke("alice", "bank", "spawn", id="eve")
    lab.do("alice", Sleep(5_000, ("motto",)))
    lab.pass_us(10_000_000)
    go = Invoke("shop", "go")
    waiting = lab.do("alice", go, compute_max=20, idempotency_key="k")
    lab.settle(waiting, "v" * 1_500, usage={"cpu_us": 7})
    lab.do("alice", go, compute_max=20, idempotency_key="k")
    failing = lab.do("alice", Invoke("shop", "go", {"x": "fail"}), compute_max=20)
    lab.settle(failing, code=Code.TOOL_FAILED, detail="no")
    asked = lab.invoke("bob", "oracle", "ask", question=[1.5, True, None])
    lab.settle(asked, {"a": 1}, usage={"tokens": 20})
    lab.invoke("bob", "bank", "any", value=float("nan"))
    for command in (
        Pause("carol"),
        Resume("carol"),
        Signal("bob", "hello"),
        SetLimit("carol", "tokens", 5),
        StopAgent("dave"),
    ):
        world.operate(command, lab.now_us)
    lab.do("bob", Sleep(lab.now_us))
    lab.invoke("alice", "bank", "hold", amount=3, expires_us=lab.now_us + 1_000)
    lab.pass_us(1_000_000)
    world.advance(lab.now_us)
    lab.delete("alice", "page")
    lab.do("alice", Invoke("shop", "go", {"x": "abort"}), compute_max=20)
    return lab


@pytest.fixture(scope="module")
def log() -> Lab:
    lab = busy()
    lab.check()
    return lab


def prove(lab: Lab, rows: list[Row]) -> None:
    verify(rows, lab.natives, lab.log)


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_log_is_proved_and_told_record_by_record(log: Lab):
    folded: list[int] = []
    proved: list[int] = []
    fold(log.rows, lambda state: folded.append(state.seq))

    verify(log.rows, log.natives, log.log, lambda state: proved.append(state.seq))

    assert folded == proved == list(range(1, len(log.rows)))


def test_every_changed_byte_is_told_with_its_record(log: Lab):
    rows = log.rows
    for n, (seq, digest, body) in enumerate(rows):
        for at in range(len(body)):
            edited = [*rows[:n], (seq, digest, changed(body, at)), *rows[n + 1 :]]
            with pytest.raises(LogFault) as fault:
                fold(edited)
            assert fault.value.seq == seq
        for at in range(len(digest)):
            edited = [*rows[:n], (seq, changed(digest, at), body), *rows[n + 1 :]]
            with pytest.raises(LogFault) as fault:
                fold(edited)
            assert fault.value.seq == seq


def test_verify_tells_a_changed_byte_of_every_record(log: Lab):
    rows = log.rows
    for n, (seq, digest, body) in enumerate(rows):
        for row in (
            (seq, digest, changed(body, len(body) // 2)),
            (seq, digest, changed(body, len(body) - 1)),
            (seq, changed(digest, 5), body),
        ):
            with pytest.raises(LogFault) as fault:
                prove(log, [*rows[:n], row, *rows[n + 1 :]])
            assert fault.value.seq == seq


def test_a_record_that_is_missing_doubled_or_misplaced_is_told(log: Lab):
    rows = log.rows
    for edited, seq in (
        ([*rows[:5], *rows[6:]], 5),
        ([*rows[:5], rows[4], *rows[5:]], 5),
        ([*rows[:5], rows[6], rows[5], *rows[7:]], 5),
        (rows[1:], 0),
    ):
        for read in (lambda rows=edited: fold(rows), lambda rows=edited: prove(log, rows)):
            with pytest.raises(LogFault) as fault:
                read()
            assert fault.value.seq == seq


def test_an_empty_log_is_told(log: Lab):
    for read in (fold, lambda rows: prove(log, rows)):
        with pytest.raises(LogFault, match="the log is empty") as fault:
            read([])
        assert fault.value.seq is None
        assert isinstance(fault.value, Fault)


def test_a_log_of_another_format_is_told(log: Lab):
    record = msgspec.msgpack.decode(log.rows[0][2])
    record[3][1] = 2
    body = msgspec.msgpack.encode(record)

    with pytest.raises(LogFault, match="the log has format 2, this version reads format 1"):
        begin_of((0, chain(NO_RECORD, body), body))
    with pytest.raises(LogFault, match="is not of format 1"):
        begin_of((0, b"", b"what is this"))
    with pytest.raises(LogFault, match="does not begin with a first record"):
        begin_of(log.rows[1])


def test_content_that_was_changed_or_lost_is_told(log: Lab):
    for digest, data in list(log.log._blobs.items()):
        for damaged in (changed(data, len(data) // 2), None):
            copy = MemoryEventLog()
            copy._blobs = dict(log.log._blobs)
            if damaged is None:
                del copy._blobs[digest]
            else:
                copy._blobs[digest] = damaged
            with pytest.raises(LogFault) as fault:
                verify(log.rows, log.natives, copy)
            assert digest in log.rows[fault.value.seq][2]


def leaves(node: Any) -> Walk:
    """Every place in a decoded record that is no container."""
    places = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(places):
        if isinstance(value, list | dict):
            yield from leaves(value)
        else:
            yield node, key, value


def sentences(part: Any) -> Iterator[str]:
    """Every sentence of detail in a record, and of an error of code."""
    if hasattr(part, "detail"):
        yield part.detail
    if isinstance(part, msgspec.Struct):
        part = msgspec.structs.astuple(part)
    if isinstance(part, list | tuple):
        for item in part:
            yield from sentences(item)


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, bytes):
        return changed(value, 0)
    if isinstance(value, msgspec.msgpack.Ext):
        return msgspec.msgpack.Ext(value.code, changed(value.data, 0))
    return 1


def forged(rows: list[Row], n: int, record: Any) -> list[Row]:
    """The log with another record ``n``, and every hash from there on made to fit."""
    bodies = [row[2] for row in rows]
    bodies[n] = msgspec.msgpack.encode(record)
    head, out = NO_RECORD, []
    for seq, body in enumerate(bodies):
        head = chain(head, body)
        out.append((seq, head, body))
    return out


PARTS = ("seq", "now_us", "cause", "input", "outcomes", "facts", "answer")


@pytest.mark.parametrize("part", PARTS)
def test_a_forged_record_is_told_though_its_hashes_fit(log: Lab, part: str):
    """Inputs and what code answered are what is proved from: a change there makes another log."""
    details = {text for record in log.records() for text in sentences(record)}
    at = PARTS.index(part)
    told = 0
    for n, row in enumerate(log.rows):
        record = msgspec.msgpack.decode(row[2])
        whole = [record[at]]
        for node, key, value in leaves(whole):
            node[key] = other(value)
            edited = forged(log.rows, n, [*record[:at], whole[0], *record[at + 1 :]])
            node[key] = value
            try:
                prove(log, edited)
            except LogFault as fault:
                told += 1
                assert fault.seq is not None
                if part in ("cause", "facts", "answer", "seq"):
                    assert fault.seq == n
            else:
                assert part in ("now_us", "input", "outcomes") or value in details, (n, value)
            try:
                fold(edited)
            except LogFault as fault:
                assert fault.seq is not None
    assert told


@pytest.mark.parametrize("change", ["drop", "double", "swap", "all"])
def test_facts_that_were_added_left_out_or_moved_are_told(log: Lab, change: str):
    for n, row in enumerate(log.rows):
        record = msgspec.msgpack.decode(row[2])
        facts = record[5]
        if len(facts) < 2:
            continue
        record[5] = {
            "drop": facts[1:],
            "double": [*facts, facts[-1]],
            "swap": [facts[1], facts[0], *facts[2:]],
            "all": [],
        }[change]
        with pytest.raises(ReplayMismatch) as fault:
            prove(log, forged(log.rows, n, record))
        assert fault.value.seq == n
        assert "facts" in str(fault.value)


@pytest.mark.parametrize(
    "swap",
    [
        lambda value: 1 if value is True else value,
        lambda value: float(value) if type(value) is int else value,
    ],
)
def test_a_value_that_is_only_equal_is_not_the_same(new_lab, swap: Callable[[Any], Any]):
    lab = new_lab()
    lab.invoke("alice", "bank", "any", value=[True, 5])
    record = msgspec.msgpack.decode(lab.rows[1][2])
    record[6][1]["value"] = [swap(value) for value in record[6][1]["value"]]

    with pytest.raises(ReplayMismatch, match="answer"):
        prove(lab, forged(lab.rows, 1, record))


def test_a_record_in_other_bytes_is_not_the_same(log: Lab):
    record = msgspec.msgpack.decode(log.rows[3][2])

    with pytest.raises(ReplayMismatch, match="not encoded as this format does it"):
        prove(log, forged(log.rows, 3, [*record, "more"]))


@pytest.mark.parametrize(
    "record",
    [
        [],
        {},
        "text",
        [1, 0, None, [9], [], [], None],
        [1, 0, None, [5], [[9]], [], None],
        [1, 0, None, [5], [], [], None],
        [1, 0, None, [6, 1, "x", {}], [], [], None],
        [1, 0, None, [3, "9.0", [None, None, "", {}]], [], [], None],
        [
            1,
            0,
            None,
            [1, "alice", [2, "note", 5, None, None, None, None], None, None, None],
            [],
            [],
            None,
        ],
        [
            1,
            0,
            None,
            [1, "alice", [5, "bank", "any", {"value": 1.0}], None, None, None],
            [],
            [],
            None,
        ],
        [
            1,
            0,
            None,
            [1, "alice", [5, "bank", "any", {"value": [1.0]}], None, None, None],
            [],
            [],
            None,
        ],
        [1, 0, None, [4, [5, "bob", "compute", -1]], [], [[99]], None],
        [1, 0, None, [4, [1, "bob"]], [], [[5, 1, "bob", 9999]], None],
    ],
    ids=str,
)
def test_what_is_no_record_is_told(new_lab, record):
    lab = new_lab()
    lab.read("bob", "motto")

    with pytest.raises(LogFault) as fault:
        prove(lab, forged(lab.rows, 1, record))

    assert fault.value.seq == 1


def test_outcomes_that_are_not_asked_for_are_told(log: Lab):
    n = next(
        n for n, r in enumerate(log.records()) if any(isinstance(o, CallBack) for o in r.outcomes)
    )
    for outcomes in (
        [],
        [[6, None]],
        [[5, 0]],
        [[2, 1], [2, 1]],
        [[2, msgspec.msgpack.Ext(1, bytes(32))]],
    ):
        record = msgspec.msgpack.decode(log.rows[n][2])
        record[4] = outcomes
        with pytest.raises(LogFault) as fault:
            prove(log, forged(log.rows, n, record))
        assert fault.value.seq == n


def test_sentences_may_be_said_better(log: Lab):
    for n, record in enumerate(log.records()):
        if record.answer is None or not hasattr(record.answer, "detail"):
            continue
        raw = msgspec.msgpack.decode(log.rows[n][2])
        raw[6][2] = "in other words"
        rows = forged(log.rows, n, raw)
        proved = verify(rows, log.natives, log.log)
        assert proved.head == rows[-1][1]
        assert proved.effect_keys.keys() == log.state.effect_keys.keys()


def test_a_world_of_other_natives_does_not_prove_a_log(log: Lab):
    fewer = natives()
    fewer["bank"] = Native("bank", "another bank", {})

    with pytest.raises(ReplayMismatch) as fault:
        verify(log.rows, fewer, log.log)

    assert fault.value.seq == 0


def test_a_first_record_that_cannot_be_is_told(log: Lab):
    record = msgspec.msgpack.decode(log.rows[0][2])
    record[3][3]["pace_us"] = 0

    with pytest.raises(ReplayMismatch, match="record 0 cannot be decided again") as fault:
        prove(log, forged(log.rows, 0, record))

    assert fault.value.seq == 0


def test_a_first_record_without_compute_is_no_world(log: Lab):
    record = msgspec.msgpack.decode(log.rows[0][2])
    del record[3][3]["resources"]["compute"]
    rows = forged(log.rows, 0, record)

    with pytest.raises(LogFault, match="compute must be renewable"):
        fold(rows)
    with pytest.raises(LogFault, match="compute must be renewable"):
        prove(log, rows)


def test_time_that_goes_back_in_a_log_is_told(log: Lab):
    record = msgspec.msgpack.decode(log.rows[-1][2])
    record[1] = 0

    with pytest.raises(ReplayMismatch, match="time went back"):
        prove(log, forged(log.rows, len(log.rows) - 1, record))


def test_a_restored_world_goes_on_as_if_nothing_had_been(new_lab):
    one, other = busy(), busy()
    other.restart()
    for lab in (one, other):
        lab.world.advance(lab.now_us + 10**8)
        lab.now_us += 10**8
        assert lab.world.due(lab.now_us) == one.world.due(one.now_us)
        for request in lab.world.pending():
            lab.settle(request.id, "late")
        lab.write("alice", "last", "x", interface=())
        lab.do("alice", Invoke("shop", "go"), compute_max=20, idempotency_key="k")
        lab.check()

    assert one.rows == other.rows


def test_records_are_read_in_full(log: Lab):
    records = list(read_records(log.rows, log.log))

    contents = [
        r.input.action.content
        for r in records
        if isinstance(getattr(r.input, "action", None), Write)
    ]
    assert "p" * 1_500 in contents
    assert Done(["r" * 1_500, "v" * 1_500]) in [r.answer for r in records]
    assert any(isinstance(r.input, Operate) for r in records)
    assert any(isinstance(r.input, Malformed) for r in records)
    with pytest.raises(LogFault, match="record 7 is not of format"):
        list(read_records([(7, b"", b"what")], log.log))


def test_results_are_found_by_the_keys_of_their_effects(log: Lab):
    results = results_of(log.rows, log.log)

    assert EffectResult("v" * 1_500, usage={"cpu_us": 7}) in results.values()
    assert len(results) == 3
    assert set(results).isdisjoint(request.key for request in log.world.pending())


def test_an_interface_is_read_from_its_record(new_lab):
    lab = new_lab()
    lab.program("ok", shop)
    lab.write("bob", "shop", "ok", type="code", interface=(Tool("go", "d", {}, {"type": "null"}),))

    record = RECORDS.decode(lab.rows[-1][2])

    assert record.input.action.interface == lab.state.artifacts.by_id["shop"].interface


class Twisted:
    """Runs what another runner runs, and changes what it answers."""

    def __init__(self, runner, twist):
        self.runner, self.twist = runner, twist
        self.session = None

    def check(self, code):
        return self.twist(self.runner.check(code))

    def start(self, call):
        self.session, outcome = self.runner.start(call)
        return self, self.twist(outcome)

    def resume(self, answer):
        return self.twist(self.session.resume(answer))

    def close(self):
        self.session.close()


def test_code_can_be_run_again_to_prove_what_it_answered(log: Lab):
    before = len(log.runner.calls)

    assert verify(log.rows, log.natives, log.log, None, log.runner).head == log.state.head

    assert len(log.runner.calls) > before
    assert log.runner.open == 0


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (None, "it cannot be read"),
        (CallBack(Read("nowhere")), CallBack(Read("motto"))),
        (Raise("told to"), Return()),
    ],
)
def test_code_that_answers_otherwise_when_it_is_run_again_is_told(log: Lab, was, now):
    twisted = Twisted(log.runner, lambda outcome: now if outcome == was else outcome)

    with pytest.raises(ReplayMismatch) as told:
        verify(log.rows, log.natives, log.log, None, twisted)

    assert "outcomes" in str(told.value)


def test_large_content_that_code_gives_when_it_is_run_again_is_told(log: Lab):
    longer = Twisted(log.runner, lambda o: Return("w" * 1_500) if isinstance(o, Return) else o)

    with pytest.raises(LogFault, match="is missing from the log"):
        verify(log.rows, log.natives, log.log, None, longer)


def test_an_abort_is_taken_from_the_record_however_code_ends_now(new_lab):
    def loop(caller, args):
        yield Abort("50 ms are over")

    def asks(caller, args):
        yield CallBack(Read("motto"))
        yield Abort("50 ms are over")

    lab = new_lab()
    lab.code("alice", "loop", loop)
    lab.code("alice", "asks", asks)
    lab.invoke("bob", "loop", "go")
    lab.invoke("bob", "asks", "go")
    faster = Twisted(
        lab.runner, lambda outcome: Return("done") if isinstance(outcome, Abort) else outcome
    )

    verify(lab.rows, lab.natives, lab.log, None, faster)

    assert lab.runner.open == 0


def test_a_sentence_of_code_may_be_said_better_when_it_is_run_again(new_lab):
    lab = new_lab()
    lab.code("bob", "shop", shop)
    lab.program("other", shop)
    lab.write("bob", "bad", "nothing", type="code", interface=())
    settled = lab.invoke("alice", "shop", "go", x="fail")
    lab.settle(settled, 1)

    def better(outcome):
        if isinstance(outcome, str):
            return "in other words"
        return Raise("in other words") if isinstance(outcome, Raise) else outcome

    verify(lab.rows, lab.natives, lab.log, None, Twisted(lab.runner, better))
