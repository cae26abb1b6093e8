"""Owns replay: fold rebuilds a state from facts, verify decides every input again and compares.

Fold needs no handler, no configuration of today and no interpreter, so it outlives versions of the
code. Verify proves the log; it feeds back what the code runner answered, and reads large content
and earlier records through the log, bounded to what stood at the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from .actions import Envelope, Write
from .answers import Answer, Done, EffectResult, Failed, Refused
from .door import reenter, value_of
from .facts import EffectRequested
from .faults import LogFault, ReplayMismatch
from .kernel import World
from .natives import Native
from .ports import Abort, Checked, CodeCall, CodeRunner, CodeSession, EventLog, Outcome, Raise
from .records import (
    ENCODER,
    FOLDS,
    FORMAT,
    INPUTS,
    NO_RECORD,
    OUTCOMES,
    RECORDS,
    SHELLS,
    Advance,
    Begin,
    Malformed,
    Operate,
    Record,
    Settle,
    chain,
    digest_of,
    effect_key,
)
from .state import State

_NONE = b"\x90"
Row = tuple[int, bytes, bytes]
"""(sequence number, hash, body) of a record, as it is stored."""


def begin_of(row: Row) -> Begin:
    """The first input of a log.

    Raises:
        LogFault: it is no first record, or one of another format.
    """
    seq, _, body = row
    try:
        record = RECORDS.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise LogFault(f"record {seq} is not of format {FORMAT}: {error}", seq) from None
    if seq != 0 or not isinstance(record.input, Begin):
        raise LogFault("the log does not begin with a first record", 0)
    if record.input.format != FORMAT:
        theirs = record.input.format
        raise LogFault(f"the log has format {theirs}, this version reads format {FORMAT}", 0)
    return record.input


def fold(rows: Iterable[Row], each: Callable[[State], None] | None = None) -> tuple[State, Begin]:
    """Rebuild the state from the facts of a log, checking the chain on the way.

    Args:
        rows: every record from the first.
        each: called after each record.

    Raises:
        LogFault: a record is missing, edited or of another format; names it.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        raise LogFault("the log is empty")
    begin = begin_of(first)
    try:
        state = State(begin.config)
    except ValueError as error:
        raise LogFault(f"the first record is of no world: {error}", 0) from None
    state.head = NO_RECORD
    _fold_one(state, first)
    for row in rows:
        _fold_one(state, row)
        if each is not None:
            each(state)
    return state, begin


def restore(
    rows: Iterable[Row], natives: Mapping[str, Native], log: EventLog, code: CodeRunner
) -> World:
    """A world as its log left it, ready to go on. Effects without a result are in ``pending()``.

    Raises:
        LogFault: as ``fold``.
    """
    state, begin = fold(rows)
    return World(begin.config, natives, log, code, state)


def verify(
    rows: Iterable[Row],
    natives: Mapping[str, Native],
    log: EventLog,
    each: Callable[[State], None] | None = None,
    code: CodeRunner | None = None,
) -> State:
    """Prove a log: decide every input again and compare what follows, record by record.

    Sentences of detail are not compared; a hash that differs for them alone is taken over.

    Args:
        rows: every record from the first.
        log: where content and earlier records are read from; nothing is written to it.
        each: called after every record that was proved.
        code: runs agent-written code again, so that its outcomes are proved, too; without it they are
            taken as they stand. An abort is taken in any case: no two machines measure the same.

    Returns:
        The state at the end.

    Raises:
        LogFault: a record is missing, edited or of another format.
        ReplayMismatch: deciding it again gave something else.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        raise LogFault("the log is empty")
    begin = begin_of(first)
    proof = _Proof(log, first, code)
    _check_chain(NO_RECORD, -1, first)
    try:
        world = World.begin(begin.config, natives, proof, proof, begin.code_version, proof.seal)
    except ValueError as error:
        raise ReplayMismatch(f"record 0 cannot be decided again: {error}", 0) from None
    state = world.state
    for row in rows:
        if row[0] != state.seq + 1 or chain(state.head, row[2]) != row[1]:
            _check_chain(state.head, state.seq, row)
        _decide_again(world, proof, row)
        if each is not None:
            each(state)
    return state


def read_records(rows: Iterable[Row], log: EventLog) -> Iterator[Record]:
    """Decode records, with large content in full.

    Raises:
        LogFault: a record is of another format.
    """
    for row in rows:
        try:
            record = RECORDS.decode(row[2])
        except (msgspec.DecodeError, ValueError) as error:
            raise LogFault(f"record {row[0]} is not of format {FORMAT}: {error}", row[0]) from None
        given, answer = record.input, record.answer
        if isinstance(given, Envelope) and isinstance(given.action, Write):
            action = replace(given.action, content=value_of(given.action.content, log))
            record = replace(record, input=replace(given, action=action))
        elif isinstance(given, Settle):
            result = replace(given.result, value=value_of(given.result.value, log))
            record = replace(record, input=replace(given, result=result))
        if isinstance(answer, Done):
            record = replace(record, answer=Done(value_of(answer.result, log)))
        yield record


def results_of(rows: Iterable[Row], log: EventLog) -> dict[str, EffectResult]:
    """Every recorded result of an effect, in full, by the effect's idempotency key.

    Raises:
        LogFault: as ``fold``.
    """
    keys: dict[str, str] = {}
    results: dict[str, EffectResult] = {}
    digests: dict[int, bytes] = {}

    def noted() -> Iterator[Row]:
        for row in rows:
            digests[row[0]] = row[1]
            yield row

    for record in read_records(noted(), log):
        digest = digests.pop(record.seq)
        if isinstance(record.input, Settle):
            results[keys.pop(record.input.effect_id)] = record.input.result
        for fact in record.facts:
            if isinstance(fact, EffectRequested):
                keys[fact.id] = effect_key(digest, fact.id)
    return results


def _decide_again(world: World, proof: _Proof, row: Row) -> None:
    seq = row[0]
    proof.row, proof.at = row, 0
    try:
        shell = SHELLS.decode(row[2])
        given = INPUTS.decode(shell.input)
        proof.outcomes = () if shell.outcomes == _NONE else OUTCOMES.decode(shell.outcomes)
    except (msgspec.DecodeError, ValueError) as error:
        raise LogFault(f"record {seq} is not of format {FORMAT}: {error}", seq) from None
    if shell.seq != seq:
        raise LogFault(f"record {seq} says that it is record {shell.seq}", seq)
    try:
        if isinstance(given, Envelope):
            entry = reenter(given, bytes(shell.input), world.limits)
            if type(given.action) is Write:
                world.text(given.action.content)
            world.take(entry, shell.now_us)
        elif isinstance(given, Malformed):
            world.take(given, shell.now_us)
        elif isinstance(given, Settle):
            world.settle(given.effect_id, world.in_full(given.result), shell.now_us)
        elif isinstance(given, Operate):
            world.operate(given.command, shell.now_us)
        elif isinstance(given, Advance):
            world.advance(shell.now_us)
    except (msgspec.DecodeError, ValueError, KeyError, AssertionError) as error:
        text = f"record {seq} cannot be decided again: {error!r:.300}"
        raise ReplayMismatch(text, seq) from None
    if world.requests:
        world.requests.clear()
    if world.state.seq != seq:
        raise ReplayMismatch(f"record {seq}: deciding it again gives no record", seq)


def _fold_one(state: State, row: Row) -> None:
    seq, digest, body = row
    _check_chain(state.head, state.seq, row)
    try:
        record = FOLDS.decode(body)
        state.seq = seq
        state.now_us = record.now_us
        appliers = state.appliers
        for fact in record.facts:
            appliers[type(fact)](fact)
    except (msgspec.DecodeError, ValueError, KeyError, AssertionError) as error:
        # A log is evidence, not something to trust: facts that cannot be are the log's fault here.
        raise LogFault(f"record {seq} cannot be applied: {error!r:.300}", seq) from None
    state.close(digest)


def _check_chain(head: bytes, last: int, row: Row) -> None:
    seq, digest, body = row
    if seq != last + 1:
        raise LogFault(f"record {last + 1} is missing: record {seq} follows {last}", last + 1)
    if chain(head, body) != digest:
        raise LogFault(f"record {seq} was changed: its hash does not fit", seq)


def _compare(row: Row, body: bytes) -> None:
    """Find what differs besides sentences of detail.

    Raises:
        ReplayMismatch: something does.
    """
    theirs, ours = RECORDS.decode(row[2]), RECORDS.decode(body)
    if ENCODER.encode(theirs) != row[2]:
        raise ReplayMismatch(f"record {row[0]} is not encoded as this format does it", row[0])
    for field in Record.__struct_fields__:
        one, other = (_without_detail(getattr(record, field)) for record in (theirs, ours))
        if ENCODER.encode(one) != ENCODER.encode(other):
            text = f"record {row[0]}: {field} was {one!r:.300}, decided again it is {other!r:.300}"
            raise ReplayMismatch(text, row[0])


def _without_detail(part: object) -> object:
    """The part with the detail sentences blanked, however deep answers stand in it."""
    if isinstance(part, Refused | Failed | Raise | Abort):
        return replace(part, detail="")
    if isinstance(part, Checked):
        return part.fault is None
    if isinstance(part, list | tuple):
        return [_without_detail(item) for item in part]
    if isinstance(part, msgspec.Struct) and not isinstance(part, Done):
        return [type(part).__name__, *(_without_detail(v) for v in msgspec.structs.astuple(part))]
    return part


class _Proof:
    """The ports of a world under proof: reads go to the log, code answers what is recorded.

    Attributes:
        row: the record under proof. outcomes: what its code answered. at: how many of them were asked for.
        code: what runs code again, if anything does.
    """

    __slots__ = ("_get_blob", "at", "code", "of", "outcomes", "read", "row")

    def __init__(self, log: EventLog, first: Row, code: CodeRunner | None) -> None:
        self.row = first
        self.outcomes: Sequence[Outcome] = RECORDS.decode(first[2]).outcomes
        self.at = 0
        self.code = code
        self.read = log.read
        self.of = log.of
        self._get_blob = log.get_blob

    def seal(self, head: bytes, body: bytes) -> bytes:
        """The hash of the record under proof, when the one decided again is the same."""
        if body != self.row[2]:
            _compare(self.row, body)
        return self.row[1]

    def append(self, seq: int, digest: bytes, body: bytes) -> None:
        """Nothing to keep: the record stands already."""

    def put_blob(self, digest: bytes, data: bytes) -> None:
        """Nothing to keep: the log under proof must have it."""
        self.get_blob(digest)

    def get_blob(self, digest: bytes) -> bytes:
        """Content by its hash, proved.

        Raises:
            LogFault: it is missing, or it was changed.
        """
        seq = self.row[0]
        try:
            data = self._get_blob(digest)
        except LogFault as fault:
            raise LogFault(f"record {seq}: {fault}", seq) from None
        if digest_of(data) != digest:
            raise LogFault(f"record {seq}: its content {digest.hex()} was changed", seq)
        return data

    def check(self, code: str) -> str | None:
        """What the code runner said of this code."""
        outcome = self.next()
        if self.code is not None:
            return self.code.check(code)
        return outcome.fault if isinstance(outcome, Checked) else None

    def start(self, call: CodeCall) -> tuple[CodeSession, Outcome]:
        """What the code answered first."""
        outcome = self.next()
        if self.code is None or isinstance(outcome, Abort):
            return self, outcome
        session, outcome = self.code.start(call)
        return _Again(self, session), outcome

    def resume(self, answer: Answer) -> Outcome:
        """What the code answered next."""
        return self.next()

    def close(self) -> None:
        """Nothing to give up."""

    def next(self) -> Outcome:
        """The next of the recorded outcomes.

        Raises:
            ReplayMismatch: there are no more.
        """
        if self.at == len(self.outcomes):
            text = f"record {self.row[0]}: more is asked of the code than it holds outcomes"
            raise ReplayMismatch(text, self.row[0])
        self.at += 1
        return self.outcomes[self.at - 1]


class _Again:
    """A call of code that is run again beside its record, up to a recorded abort."""

    __slots__ = ("_proof", "_session")

    def __init__(self, proof: _Proof, session: CodeSession) -> None:
        self._proof = proof
        self._session = session

    def resume(self, answer: Answer) -> Outcome:
        """What the code answers next."""
        outcome = self._proof.next()
        return outcome if isinstance(outcome, Abort) else self._session.resume(answer)

    def close(self) -> None:
        """Give up the interpreter."""
        self._session.close()
