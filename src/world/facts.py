"""Owns the vocabulary of what can have happened. State changes through these facts and through nothing else.

Each fact is applied by one function of the component that owns the state (ledger, resources,
artifacts, agenda, effects); facts that can stand inside a frame have an inverse there too.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .actions import Contract, Delete, Edit, Invoke, Read, Tool, Write
from .answers import Done, Failed, Refused, Waiting
from .ports import CallBack


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag"):
    """Base of all facts: a tagged array on the wire, ``[tag, field, …]``."""


class Charged(Fact, frozen=True, tag=1):
    """Compute that an input used, posted at its end; also one step of the principal's loop."""

    principal: str
    amount: int


class ScripTransferred(Fact, frozen=True, tag=2):
    """Scrip moved between two principals."""

    payer: str
    payee: str
    amount: int


class ResourceUsed(Fact, frozen=True, tag=3):
    """A renewable or depletable resource other than compute was used."""

    principal: str
    resource: str
    amount: int


class ScripIssued(Fact, frozen=True, tag=4):
    """New scrip; only the mint and the first record do this."""

    principal: str
    amount: int


class ScripHeld(Fact, frozen=True, tag=5):
    """Scrip set aside for a payment; ``expires_us`` 0 never expires."""

    hold: int
    principal: str
    amount: int
    expires_us: int = 0


class ScripPosted(Fact, frozen=True, tag=6):
    """A hold became a payment of ``amount``; what is left of it went back."""

    hold: int
    payee: str
    amount: int


class ScripReleased(Fact, frozen=True, tag=7):
    """A hold ended without payment: ``void`` or ``expired``."""

    hold: int
    reason: str


class ResourceHeld(Fact, frozen=True, tag=8):
    """Quota set aside for an effect or a waiting frame. Holds never age."""

    hold: int
    principal: str
    amounts: dict[str, int]


class ResourcePosted(Fact, frozen=True, tag=9):
    """A resource hold ended; ``used`` (never above the hold) is stamped now, the rest went back."""

    hold: int
    used: dict[str, int]


class Overran(Fact, frozen=True, tag=10):
    """An effect used more than its hold; the excess counts, and the principal waits it out."""

    principal: str
    resource: str
    amount: int


class Allocated(Fact, frozen=True, tag=11):
    """An allocatable resource taken (``delta`` above zero) or given back."""

    principal: str
    resource: str
    delta: int


class LimitSet(Fact, frozen=True, tag=12):
    """A quota given by the first record or by an operator."""

    principal: str
    resource: str
    limit: int


class QuotaTransferred(Fact, frozen=True, tag=13):
    """A right to use moved between two principals."""

    giver: str
    taker: str
    resource: str
    amount: int


class ArtifactWritten(Fact, frozen=True, tag=14):
    """An artifact was made or replaced, whole. ``stored_for`` is the principal whose quota holds its bytes."""

    id: str
    owner: str
    type: str
    description: str
    content: Any
    contract: Contract
    interface: tuple[Tool, ...]
    standing: bool
    loop: bool
    stored_for: str
    stored_bytes: int


class ContentReplaced(Fact, frozen=True, tag=15):
    """The content changed and nothing else did."""

    id: str
    content: Any
    stored_for: str
    stored_bytes: int


class ArtifactDeleted(Fact, frozen=True, tag=16):
    """An artifact is gone; a tombstone keeps its id."""

    id: str


class OwnershipTransferred(Fact, frozen=True, tag=17):
    """An artifact has a new owner. ``stored_for`` is the principal whose quota holds its bytes from now on."""

    id: str
    owner: str
    stored_for: str


class InterfaceDiscovered(Fact, frozen=True, tag=18):
    """A tool server told which tools it has."""

    id: str
    interface: tuple[Tool, ...]


class ParkedFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A frame of code that waits: enough to run it again, and no interpreter.

    Attributes:
        code: the content that it began with. began_us: when.
        id: ``seq.n`` of the record that it began in; its chance comes from it, however often it runs.
        price_hold, payee, price_scrip: the payment that its end posts or voids; hold 0 for none.
        trace: what it asked and was answered so far, oldest first.
        asked: what it waits for the answer to.
        output_schema: what its result must fit; None for anything.
    """

    artifact: str
    code: Any
    method: str
    args: dict[str, Any]
    caller: str
    price_hold: int
    payee: str
    price_scrip: int
    began_us: int
    id: str
    trace: tuple[tuple[CallBack, Done | Refused | Failed | Waiting], ...] = ()
    asked: CallBack | None = None
    output_schema: dict[str, Any] | None = None


class EffectRequested(Fact, frozen=True, tag=19):
    """An effect was asked for; it is performed once this is durable.

    Attributes:
        id: ``seq.n`` of the requesting record.
        origin: id of the first effect of the action: what its principal waits for.
        performer: the name that the effect is performed under.
        due_us: when it is settled on the virtual clock; ``deadline_us``: when it times out.
        repeatable: whether it may be performed again after a crash.
        resource_hold: of the effect's own cost; ``frame_hold``: compute of the waiting frames.
        price_hold, payee, price_scrip: the payment that Done posts.
        frames: the frames that wait, outermost first; empty when a principal asked directly.
        action: what goes on when a person approves it; None for any other effect.
        compute_left: what that may use, where no frame waits.
    """

    id: str
    origin: str
    principal: str
    key: str | None
    artifact: str
    method: str
    caller: str
    performer: str
    payload: Any
    requested_us: int
    due_us: int
    deadline_us: int
    result_bytes_max: int
    repeatable: bool
    resource_hold: int
    price_hold: int
    payee: str
    price_scrip: int
    frame_hold: int
    frames: tuple[ParkedFrame, ...]
    action: Read | Write | Edit | Delete | Invoke | None = None
    compute_left: int = 0


class EffectSettled(Fact, frozen=True, tag=20):
    """The result of an effect came in, or it was interrupted."""

    id: str


class KeyRemembered(Fact, frozen=True, tag=21):
    """The answer that a repeated idempotency key gets."""

    principal: str
    key: str
    fingerprint: bytes
    answer: Done | Refused | Failed | Waiting


class Slept(Fact, frozen=True, tag=22):
    """A loop rests until a time or until something happens to a watched id."""

    principal: str
    until_us: int
    watch: tuple[str, ...]


class Woke(Fact, frozen=True, tag=23):
    """A sleeping loop is due again."""

    principal: str


class Stopped(Fact, frozen=True, tag=24):
    """A loop ended for good, by itself or by an operator."""

    principal: str
    reason: str


class Paused(Fact, frozen=True, tag=25):
    """An operator paused a principal, or the whole world (``*``)."""

    principal: str


class Resumed(Fact, frozen=True, tag=26):
    """An operator lifted a pause."""

    principal: str


class Signalled(Fact, frozen=True, tag=27):
    """An operator told a principal something; it sees it at its next step."""

    principal: str
    signal: str


class Noted(Fact, frozen=True, tag=28):
    """A genesis artifact noted something under a key; None removes it."""

    artifact: str
    key: str
    value: Any


class Encumbered(Fact, frozen=True, tag=29):
    """An artifact is bound by a genesis artifact, which alone changes it; empty frees it."""

    id: str
    by: str


class Scheduled(Fact, frozen=True, tag=30):
    """When a genesis artifact has something to do by itself; 0 is never."""

    artifact: str
    due_us: int


AnyFact = (
    Charged
    | ScripTransferred
    | ResourceUsed
    | ScripIssued
    | ScripHeld
    | ScripPosted
    | ScripReleased
    | ResourceHeld
    | ResourcePosted
    | Overran
    | Allocated
    | LimitSet
    | QuotaTransferred
    | ArtifactWritten
    | ContentReplaced
    | ArtifactDeleted
    | OwnershipTransferred
    | InterfaceDiscovered
    | EffectRequested
    | EffectSettled
    | KeyRemembered
    | Slept
    | Woke
    | Stopped
    | Paused
    | Resumed
    | Signalled
    | Noted
    | Encumbered
    | Scheduled
)
