"""Owns the format of the event log: inputs, records, their encoding and their chain.

A record is ``[seq, now_us, cause, input, outcomes, facts, answer]`` in MessagePack; its hash is
BLAKE2b-256 over the hash before it and its bytes. How records are grouped in a store shows in no hash.
``docs/architecture/log_format.md`` is the specification.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from .actions import Envelope
from .answers import Code, Done, EffectResult, Failed, Refused, Waiting
from .config import WorldConfig
from .facts import AnyFact
from .ports import Abort, CallBack, Checked, Diverge, Raise, Return

FORMAT = 1
DIGEST_BYTES = 32
NO_RECORD = bytes(DIGEST_BYTES)
"""The hash before the first record."""
_BLOB = 1


class BlobRef:
    """Stands in a record for a large value: the BLAKE2b-256 of its encoding, kept once by that hash."""

    __slots__ = ("digest",)

    def __init__(self, digest: bytes) -> None:
        self.digest = digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlobRef) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"blob:{self.digest.hex()}"


class Malformed(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=2):
    """An action that could not be kept; only its principal and the reason remain."""

    principal: str
    code: Code
    detail: str


class Settle(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=3):
    """The result of an effect."""

    effect_id: str
    result: EffectResult


class Pause(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=1):
    """Pause a principal, or with ``*`` the whole world."""

    principal: str = "*"


class Resume(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=2):
    """Lift a pause."""

    principal: str = "*"


class StopAgent(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=3):
    """End a loop for good."""

    principal: str
    reason: str = "stopped by an operator"


class Signal(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=4):
    """Tell an agent something; it wakes and sees it at its next step."""

    principal: str
    signal: str


class SetLimit(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=5):
    """Set the quota of a principal."""

    principal: str
    resource: str
    limit: int


Command = Pause | Resume | StopAgent | Signal | SetLimit


class Operate(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=4):
    """An operator's command."""

    command: Pause | Resume | StopAgent | Signal | SetLimit


class Advance(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=5):
    """World time passed: sleepers wake and holds expire."""


class Begin(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=6):
    """The first input of a log."""

    format: int
    code_version: str
    config: WorldConfig


Input = Envelope | Malformed | Settle | Operate | Advance | Begin


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One input with everything that followed from it, decoded.

    Attributes:
        cause: the record that asked for the effect that this one settles; None otherwise.
        outcomes: what the code runner answered, in order.
        answer: None for inputs that nobody asked for.
    """

    seq: int
    now_us: int
    cause: int | None
    input: Envelope | Malformed | Settle | Operate | Advance | Begin
    outcomes: list[CallBack | Return | Raise | Abort | Diverge | Checked]
    facts: list[AnyFact]
    answer: Done | Refused | Failed | Waiting | None


class RawRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record whose input is already encoded; what is written."""

    seq: int
    now_us: int
    cause: int | None
    input: msgspec.Raw
    outcomes: list[Any]
    facts: list[Any]
    answer: Any


class FoldRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record of which only the facts are decoded; all that a fold needs."""

    seq: int
    now_us: int
    cause: int | None
    input: msgspec.Raw
    outcomes: msgspec.Raw
    facts: list[AnyFact]
    answer: msgspec.Raw


class ShellRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record whose parts are still encoded; all that a byte for byte comparison needs."""

    seq: int
    now_us: int
    cause: int | None
    input: msgspec.Raw
    outcomes: msgspec.Raw
    facts: msgspec.Raw
    answer: msgspec.Raw


def _to_wire(value: Any) -> Any:
    if isinstance(value, BlobRef):
        return msgspec.msgpack.Ext(_BLOB, value.digest)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _from_wire(code: int, data: memoryview) -> Any:
    if code == _BLOB and len(data) == DIGEST_BYTES:
        return BlobRef(bytes(data))
    raise ValueError(f"extension {code} of {len(data)} bytes is not of this format")


ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_wire)
VALUES = msgspec.msgpack.Decoder(ext_hook=_from_wire)
RECORDS = msgspec.msgpack.Decoder(Record, ext_hook=_from_wire)
FOLDS = msgspec.msgpack.Decoder(FoldRecord, ext_hook=_from_wire)
SHELLS = msgspec.msgpack.Decoder(ShellRecord, ext_hook=_from_wire)
INPUTS = msgspec.msgpack.Decoder(
    Envelope | Malformed | Settle | Operate | Advance | Begin, ext_hook=_from_wire
)
OUTCOMES = msgspec.msgpack.Decoder(
    list[CallBack | Return | Raise | Abort | Diverge | Checked], ext_hook=_from_wire
)
ENVELOPES = msgspec.msgpack.Decoder(Envelope, ext_hook=_from_wire)
RESULTS = msgspec.msgpack.Decoder(EffectResult, ext_hook=_from_wire)
OPERATES = msgspec.msgpack.Decoder(Operate, ext_hook=_from_wire)
ANSWERS = msgspec.msgpack.Decoder(Done | Refused | Failed | Waiting, ext_hook=_from_wire)


def chain(head: bytes, body: bytes) -> bytes:
    """The hash of a record, from the hash before it and its body."""
    return blake2b(head + body, digest_size=DIGEST_BYTES).digest()


def effect_key(digest: bytes, effect_id: str) -> str:
    """The idempotency key of an effect, from the hash of the record that asked for it and its id."""
    n = effect_id.partition(".")[2]
    return blake2b(digest + n.encode(), digest_size=16).hexdigest()


def digest_of(data: bytes) -> bytes:
    """The hash by which large content is kept."""
    return blake2b(data, digest_size=DIGEST_BYTES).digest()
