"""Owns what the kernel needs from outside, as Protocols, and what a code runner answers. Performs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from .actions import Delete, Edit, Invoke, Read, Write
from .answers import Answer


class CallBack(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=1):
    """The code asks for an action.

    Attributes:
        waits: it may wait for an effect. price_max_scrip: the most that it may cost; None for any.
    """

    action: Read | Write | Edit | Delete | Invoke
    waits: bool = False
    price_max_scrip: int | None = None


class Return(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=2):
    """The code ended with a value."""

    value: Any = None


class Raise(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=3):
    """The code ended with an error of its own."""

    detail: str


class Abort(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=4):
    """The runner ended the code: a bound on time, memory, output or size. Recorded, never derived again."""

    detail: str


class Diverge(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=5):
    """Run again, the code asked something else than the first time."""

    step: int


class Checked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=6):
    """Whether code that somebody wrote can run; ``fault`` says why not."""

    fault: str | None = None


Outcome = CallBack | Return | Raise | Abort | Diverge | Checked
Trace = Sequence[tuple[CallBack, Answer]]


class CodeCall(msgspec.Struct, frozen=True):
    """One call of agent-written code.

    Attributes:
        code: its source text. artifact: whose code it is. caller: the immediate caller.
        now_us: world time when the call began. seed: what its chance comes from.
        trace: calls back and their answers to go through first, when the call is run again.
    """

    code: str
    artifact: str
    method: str
    args: dict[str, Any]
    caller: str
    now_us: int
    seed: str
    trace: tuple[tuple[CallBack, Answer], ...] = ()


class CodeSession(Protocol):
    """One running call. ``resume`` gives the answer to the last call back and runs on."""

    def resume(self, answer: Answer) -> Outcome:
        """Go on with the answer to the last call back, until the next outcome."""

    def close(self) -> None:
        """Give up the interpreter; called once, after the last outcome or on abandonment."""


class CodeRunner(Protocol):
    """Runs agent-written code step by step, synchronously, within its own bounds."""

    def check(self, code: str) -> str | None:
        """The sentence that says why ``code`` cannot run, or None when it can."""

    def start(self, call: CodeCall) -> tuple[CodeSession, Outcome]:
        """Run until the first outcome after ``call.trace``; ``Diverge`` where the trace does not fit."""


class EventLog(Protocol):
    """Where records go and are read from again. Sees the records that are not yet durable."""

    def append(self, seq: int, digest: bytes, body: bytes) -> None:
        """Keep one record in memory; it becomes durable with the next commit of the store."""

    def read(self, seq: int) -> bytes:
        """The body of one record."""

    def of(self, id: str, before_seq: int, limit: int) -> list[int]:
        """Sequence numbers below ``before_seq`` of records that touch an id, newest first."""

    def put_blob(self, digest: bytes, data: bytes) -> None:
        """Keep large content under its hash, durable with the record that names it."""

    def get_blob(self, digest: bytes) -> bytes:
        """Content by its hash."""


class NoCode:
    """The code runner of a world without one: says so wherever code would be written or run."""

    def check(self, code: str) -> str | None:
        """Always the sentence that no runner is there."""
        return "this world runs no agent-written code: keep it as type text"

    def start(self, call: CodeCall) -> tuple[CodeSession, Outcome]:
        """Abort at once."""
        return self, Abort("this world runs no agent-written code")

    def resume(self, answer: Answer) -> Outcome:
        """Never reached: ``start`` asks nothing."""
        raise AssertionError("no session was started")

    def close(self) -> None:
        """Nothing to give up."""
