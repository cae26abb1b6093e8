"""Owns where scrip went: every movement in a log, and what it was for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..world import (
    RECORDS,
    Action,
    ArtifactDeleted,
    ArtifactWritten,
    CallBack,
    EffectRequested,
    Envelope,
    Invoke,
    LogFault,
    OwnershipTransferred,
    Read,
    Record,
    Rest,
    Row,
    ScripHeld,
    ScripIssued,
    ScripPosted,
    ScripReleased,
    ScripTransferred,
)


class Payment(msgspec.Struct, frozen=True):
    """Scrip that moved.

    Attributes:
        payer: empty where the scrip is new.
        how: ``read`` or ``invoke`` of ``artifact``, at its price; ``transfer``; or ``issue``.
    """

    seq: int
    now_us: int
    payer: str
    payee: str
    amount: int
    how: str
    artifact: str = ""


class Payments:
    """Goes along a log from its first record and tells every movement of scrip, and what it was for.

    Attributes:
        artifacts: what stands, by id, as it was last written.
    """

    def __init__(self) -> None:
        self.artifacts: dict[str, ArtifactWritten] = {}
        self._owners: dict[str, str] = {}
        self._holds: dict[int, tuple[str, str]] = {}

    def owner(self, artifact: str) -> str:
        """Who owns it, or owned it last."""
        return self._owners.get(artifact, "")

    def of(self, record: Record) -> Iterator[Payment]:
        """The movements of the next record."""
        asked: list[Action] | None = None
        holds = self._holds
        for fact in record.facts:
            kind = type(fact)
            if kind is ScripTransferred or kind is ScripPosted:
                if asked is None:
                    asked = list(_asked(record))
                yield self._payment(record, fact, asked)
            elif isinstance(fact, ScripIssued):
                new = fact.principal, fact.amount
                yield Payment(record.seq, record.now_us, "", *new, "issue")
            elif isinstance(fact, ScripHeld):
                holds[fact.hold] = (fact.principal, "")
            elif isinstance(fact, ScripReleased):
                del holds[fact.hold]
            elif isinstance(fact, EffectRequested):
                self._name(fact.price_hold, fact.artifact)
                for frame in fact.frames:
                    self._name(frame.price_hold, frame.artifact)
            elif isinstance(fact, ArtifactWritten):
                self.artifacts[fact.id] = msgspec.structs.replace(fact, content=None)
                self._owners[fact.id] = fact.owner
            elif isinstance(fact, OwnershipTransferred):
                self._owners[fact.id] = fact.owner
            elif isinstance(fact, ArtifactDeleted):
                self.artifacts.pop(fact.id, None)

    def _payment(self, record: Record, fact: Any, asked: list[Action]) -> Payment:
        how = "invoke"
        if isinstance(fact, ScripPosted):
            payer, artifact = self._holds.pop(fact.hold)
            artifact = artifact or self._bought(asked, Invoke, fact.payee)
        else:
            payer, artifact = fact.payer, self._bought(asked, Read, fact.payee)
            how = "read" if artifact else "transfer"
        return Payment(record.seq, record.now_us, payer, fact.payee, fact.amount, how, artifact)

    def _bought(self, asked: list[Action], kind: type, payee: str) -> str:
        """The first action of the kind whose price goes to the payee; each is told once."""
        for at, action in enumerate(asked):
            if type(action) is kind and payee in (action.id, self.owner(action.id)):
                return asked.pop(at).id
        return ""

    def _name(self, hold: int, artifact: str) -> None:
        if hold in self._holds:
            self._holds[hold] = (self._holds[hold][0], artifact)


def decoded(rows: Iterable[Row]) -> Iterator[Record]:
    """Records as they stand, large content by its hash.

    Raises:
        LogFault: one is not of this format; names it.
    """
    for seq, _, body in rows:
        try:
            yield RECORDS.decode(body)
        except (msgspec.DecodeError, ValueError) as error:
            raise LogFault(f"record {seq} cannot be read: {error}", seq) from None


def _asked(record: Record) -> Iterator[Action]:
    """Every action of a record: its own, and the calls back of code."""
    given = record.input
    if isinstance(given, Envelope) and not isinstance(given.action, Rest):
        yield given.action
    for outcome in record.outcomes:
        if isinstance(outcome, CallBack):
            yield outcome.action
