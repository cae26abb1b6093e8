"""Owns how one record is told: as a line for a person, as JSON for a program."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from ..simulation.run import Run
from ..world import (
    RECORDS,
    Advance,
    Answer,
    ArtifactWritten,
    Begin,
    BlobRef,
    CallBack,
    Command,
    Delete,
    Done,
    Edit,
    EffectRequested,
    Envelope,
    EventLog,
    Invoke,
    Malformed,
    Operate,
    Pause,
    Read,
    Record,
    Refused,
    Resume,
    ScripIssued,
    ScripPosted,
    ScripReleased,
    ScripTransferred,
    SetLimit,
    Settle,
    Signal,
    Sleep,
    Stop,
    StopAgent,
    Waiting,
    Woke,
    Write,
)
from .words import count, one_line, size, span

ARGS_CHARS_MAX = 80
DETAIL_CHARS_MAX = 300
RESULT_CHARS_MAX = 60
_TOLD_MAX = 4
KINDS = (
    *("read", "write", "edit", "delete", "invoke", "sleep", "stop"),
    *("malformed", "settle", "operate", "advance", "begin"),
)
"""What ``--kind`` knows: the kind of a record's input."""


class Line(NamedTuple):
    """A record for a person.

    Attributes:
        answer: how it ended: ``done``, ``refused``, ``failed``, ``waits`` or nothing.
    """

    seq: int
    now_us: int
    who: str
    what: str
    answer: str
    detail: str

    @property
    def head(self) -> str:
        """When, and who."""
        return f"{self.seq:>7} {self.now_us / 1e6:>11,.3f} s  {self.who:<13} "

    @property
    def rest(self) -> str:
        """What, and what came of it."""
        told = " ".join(part for part in (self.answer, self.detail) if part)
        return f"{self.what} → {told}" if told else self.what

    def __str__(self) -> str:
        return self.head + self.rest


def kind_of(record: Record) -> str:
    """The kind of a record's input, one of ``KINDS``."""
    given = record.input
    return type(given.action if isinstance(given, Envelope) else given).__name__.lower()


def line_of(record: Record, log: EventLog) -> Line:
    """A record as a line; ``log`` is asked for the request that a settlement settles."""
    who, what = _what(record, log)
    paid = _paid(record)
    answer, detail = _answered(record)
    return Line(record.seq, record.now_us, who, what + paid, answer, detail)


def data_of(record: Record) -> dict[str, Any]:
    """A record as JSON values; variants of one place say their ``kind``."""
    told: dict[str, Any] = plain(record)
    return told


def plain(value: Any) -> Any:
    """A value of a record as JSON."""
    if isinstance(value, msgspec.Struct):
        tagged = value.__struct_config__.tag is not None
        kind = {"kind": type(value).__name__} if tagged else {}
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return kind | fields
    if isinstance(value, BlobRef):
        return {"blob": value.digest.hex()}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def text_of(content: Any, log: EventLog) -> str:
    """The content of an artifact, wherever it is kept."""
    if isinstance(content, BlobRef):
        content = msgspec.msgpack.decode(log.get_blob(content.digest))
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def request_of(record: Record, log: EventLog) -> EffectRequested | None:
    """What the effect was that a settlement settles."""
    given = record.input
    if not isinstance(given, Settle) or record.cause is None:
        return None
    asked = RECORDS.decode(log.read(record.cause))
    requests = (fact for fact in asked.facts if isinstance(fact, EffectRequested))
    return next((fact for fact in requests if fact.id == given.effect_id), None)


def ran(run: Run) -> str:
    """How the commands name a run: its id where that is enough, else its folder."""
    return (
        run.id
        if run.folder.parent.name == "runs" and not run.folder.is_absolute()
        else str(run.folder)
    )


def _what(record: Record, log: EventLog) -> tuple[str, str]:
    given = record.input
    if isinstance(given, Envelope):
        told = _action(record, given.principal, given.action)
        return given.principal, told + _called_back(record)
    if isinstance(given, Malformed):
        return given.principal, "sends what cannot be kept"
    if isinstance(given, Settle):
        request = request_of(record, log)
        if request is None:
            return "", f"result of effect {given.effect_id}"
        wall_us = given.result.usage.get("wall_us")
        took = "" if wall_us is None else f" after {span(wall_us)}"
        goes_on = f", {request.frames[-1].artifact} goes on" if request.frames else ""
        return request.principal, f"result of {request.artifact} {request.method}{took}{goes_on}"
    if isinstance(given, Operate):
        return "an operator", one_line(_operates(given.command), ARGS_CHARS_MAX)
    if isinstance(given, Begin):
        return "(world)", _begins(record, given)
    assert isinstance(given, Advance), given
    return "(world)", _passes(record)


def _action(record: Record, principal: str, action: Any) -> str:
    if isinstance(action, Invoke):
        return (
            f"invoke {one_line(action.id, 64)} {one_line(action.method, 64)}({_args(action.args)})"
        )
    if isinstance(action, Read | Delete):
        return f"{kind_of(record)} {one_line(action.id, 64)}"
    if isinstance(action, Edit):
        return f"edit {one_line(action.id, 64)}"
    if isinstance(action, Write):
        return f"write {one_line(action.id, 64)}{_written(record)}"
    if isinstance(action, Sleep):
        others = [id for id in action.watch if id != principal]
        watch = f", watching {', '.join(others[:_TOLD_MAX])}" if others else ""
        return one_line(f"sleep until {span(action.until_us)}{watch}", ARGS_CHARS_MAX)
    assert isinstance(action, Stop), action
    return f"stop: {one_line(action.reason, DETAIL_CHARS_MAX)}" if action.reason else "stop"


def _args(args: dict[str, Any]) -> str:
    parts = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in args.items())
    return one_line(", ".join(parts), ARGS_CHARS_MAX)


def _called_back(record: Record) -> str:
    """What agent-written code asked for: the calls back of all its frames, in order."""
    calls = [_call(outcome) for outcome in record.outcomes if isinstance(outcome, CallBack)]
    more = f" and {len(calls) - _TOLD_MAX:,} more" if len(calls) > _TOLD_MAX else ""
    return f", calls back: {', '.join(calls[:_TOLD_MAX])}{more}" if calls else ""


def _call(call: CallBack) -> str:
    action = call.action
    method = f" {one_line(action.method, 64)}" if isinstance(action, Invoke) else ""
    return f"{type(action).__name__.lower()} {one_line(action.id, 64)}{method}"


def _written(record: Record) -> str:
    fact = next((fact for fact in record.facts if isinstance(fact, ArtifactWritten)), None)
    if fact is None:
        return ""
    price = f" at {fact.contract.price_scrip:,} scrip" if fact.contract.price_scrip else ""
    return f" ({fact.type}, {size(fact.stored_bytes)}, {fact.contract.id}{price})"


def _operates(command: Command) -> str:
    whom = "the whole world" if command.principal == "*" else command.principal
    if isinstance(command, Pause):
        return f"pauses {whom}"
    if isinstance(command, Resume):
        return f"lets {whom} go on"
    if isinstance(command, StopAgent):
        why = "" if command == StopAgent(command.principal) else f": {command.reason}"
        return f"stops {whom}{why}"
    if isinstance(command, Signal):
        return f"tells {whom}: {command.signal}"
    assert isinstance(command, SetLimit), command
    return f"sets the {command.resource} limit of {whom} to {command.limit:,}"


def _begins(record: Record, begin: Begin) -> str:
    written = [fact for fact in record.facts if isinstance(fact, ArtifactWritten)]
    supply = sum(fact.amount for fact in record.facts if isinstance(fact, ScripIssued))
    principals = sum(fact.standing for fact in written)
    return (
        f"begins with {count(principals, 'principal')}, {count(len(written) - principals, 'artifact')}"
        f" and {supply:,} scrip; seed {begin.config.seed}, code {begin.code_version}"
    )


def _passes(record: Record) -> str:
    woken = [fact.principal for fact in record.facts if isinstance(fact, Woke)]
    expired = sum(isinstance(fact, ScripReleased) for fact in record.facts)
    parts = []
    if woken:
        more = f" and {len(woken) - _TOLD_MAX:,} more" if len(woken) > _TOLD_MAX else ""
        parts.append(f"wakes {', '.join(woken[:_TOLD_MAX])}{more}")
    if expired:
        parts.append(f"lets {count(expired, 'hold')} expire")
    return ", ".join(parts)


def _paid(record: Record) -> str:
    """Who was paid; the first record only issues."""
    paid = [
        f"{fact.amount:,} scrip to {fact.payee}"
        for fact in record.facts
        if isinstance(fact, ScripTransferred | ScripPosted)
    ]
    more = f" and {len(paid) - _TOLD_MAX:,} more" if len(paid) > _TOLD_MAX else ""
    return f", pays {', '.join(paid[:_TOLD_MAX])}{more}" if paid else ""


def _answered(record: Record) -> tuple[str, str]:
    answer = record.answer
    if answer is None:
        return "", ""
    if isinstance(answer, Waiting):
        return "waits", ""
    if isinstance(answer, Done):
        rests = isinstance(record.input, Envelope) and isinstance(record.input.action, Sleep | Stop)
        operated = isinstance(record.input, Operate)
        return ("", "") if rests or operated else ("done", _result(answer))
    word = "refused" if isinstance(answer, Refused) else "failed"
    return word, f"{answer.code.name}: {one_line(answer.detail, DETAIL_CHARS_MAX)}"


def _result(answer: Answer) -> str:
    result = answer.result if isinstance(answer, Done) else None
    if result is None:
        return ""
    if isinstance(result, BlobRef):
        return f"(large, {result.digest.hex()[:8]}…)"
    text = result if isinstance(result, str) else json.dumps(plain(result), ensure_ascii=False)
    return one_line(text, RESULT_CHARS_MAX)
