"""Owns where scrip went: every movement in a log, and what it was for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from ..genesis.debt import DEBT
from ..genesis.memory import MEMORY
from ..genesis.mint import MINT
from ..world import (
    CONTRACTS,
    RECORDS,
    Action,
    ArtifactDeleted,
    ArtifactWritten,
    CallBack,
    EffectRequested,
    Envelope,
    Invoke,
    LogFault,
    Noted,
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
    Settle,
)

ESCROW: Final = "genesis_escrow"


class Payment(msgspec.Struct, frozen=True):
    """Scrip that moved.

    Attributes:
        payer: empty where the scrip is new.
        how: ``read`` or ``invoke`` of ``artifact``, at its price; ``sale`` of it; ``loan``, given or
            paid back; ``mint``, a share of what an auction was won at; ``transfer``; or ``issue``.
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
        self._holds: dict[int, _Hold] = {}

    def owner(self, artifact: str) -> str:
        """Who owns it, or owned it last."""
        return self._owners.get(artifact, "")

    def of(self, record: Record) -> Iterator[Payment]:
        """The movements of the next record."""
        asked: _Asked | None = None
        holds = self._holds
        for fact in record.facts:
            kind = type(fact)
            if kind is ScripTransferred or kind is ScripPosted:
                if asked is None:
                    asked = _Asked(record)
                yield self._payment(record, fact, asked)
            elif isinstance(fact, ScripIssued):
                new = fact.principal, fact.amount
                by = MINT if record.seq else ""
                yield Payment(record.seq, record.now_us, "", *new, "issue", by)
            elif isinstance(fact, ScripHeld):
                holds[fact.hold] = _Hold(fact.principal)
            elif isinstance(fact, ScripReleased):
                del holds[fact.hold]
            elif isinstance(fact, EffectRequested):
                self._name(fact.price_hold, fact.artifact, isinstance(fact.action, Read))
                for frame in fact.frames:
                    self._name(frame.price_hold, frame.artifact)
            elif isinstance(fact, ArtifactWritten):
                self.artifacts[fact.id] = msgspec.structs.replace(fact, content=None)
                self._owners[fact.id] = fact.owner
            elif isinstance(fact, OwnershipTransferred):
                self._owners[fact.id] = fact.owner
            elif isinstance(fact, ArtifactDeleted):
                self.artifacts.pop(fact.id, None)

    def _payment(self, record: Record, fact: Any, asked: _Asked) -> Payment:
        if isinstance(fact, ScripPosted):
            hold = self._holds.pop(fact.hold)
            payer, how, artifact = hold.payer, hold.how, hold.artifact
            if not artifact:
                artifact = asked.taken(payer, lambda action: self._sold(action, Invoke, fact.payee))
        else:
            payer = fact.payer
            how, artifact = self._transferred(fact, asked)
        return Payment(record.seq, record.now_us, payer, fact.payee, fact.amount, how, artifact)

    def _transferred(self, fact: ScripTransferred, asked: _Asked) -> tuple[str, str]:
        """What scrip was given for, and the artifact that it is about."""
        payer, payee = fact.payer, fact.payee
        if asked.by_mint:
            return "mint", MINT
        read = asked.taken(payer, lambda action: self._sold(action, Read, payee))
        if read:
            return "read", read
        sold = asked.taken(payer, lambda action: self._at(action, ESCROW, "artifact", payee))
        if sold:
            return "sale", sold
        recalled = asked.taken(payer, lambda action: self._at(action, MEMORY, "memory", payee))
        if recalled:
            return "read", recalled
        loan = asked.taken("", lambda action: self._at(action, DEBT, "loan", payer, payee))
        return ("loan", loan) if loan else ("transfer", "")

    def _sold(self, action: Action, kind: type, payee: str) -> str:
        """The artifact, where an action of the kind pays its price to the payee."""
        if type(action) is not kind:
            return ""
        artifact = self.artifacts.get(action.id)
        is_custom = artifact is not None and artifact.contract.id not in CONTRACTS
        return action.id if is_custom or payee in (action.id, self.owner(action.id)) else ""

    def _at(self, action: Action, market: str, name: str, *owners: str) -> str:
        """What a method of a genesis artifact is about, where one of these owns it."""
        if not isinstance(action, Invoke) or action.id != market:
            return ""
        id = str(action.args.get(name, ""))
        return id if id and self.owner(id) in owners else ""

    def _name(self, hold: int, artifact: str, is_read: bool = False) -> None:
        if hold in self._holds:
            payer = self._holds[hold].payer
            self._holds[hold] = _Hold(payer, artifact, "read" if is_read else "invoke")


class _Hold(NamedTuple):
    payer: str
    artifact: str = ""
    how: str = "invoke"


class _Asked:
    """Every action of a record: its own, and the calls back of code. Each is told once.

    Attributes:
        by_mint: it settles an auction.
    """

    def __init__(self, record: Record) -> None:
        given = record.input
        self._principal = ""
        self._own: list[Action] = []
        if isinstance(given, Envelope) and not isinstance(given.action, Rest):
            self._principal = given.principal
            self._own.append(given.action)
        self._back: list[Action] = [
            outcome.action for outcome in record.outcomes if isinstance(outcome, CallBack)
        ]
        self.by_mint = isinstance(given, Settle) and any(
            isinstance(fact, Noted) and fact.artifact == MINT for fact in record.facts
        )

    def taken(self, payer: str, matches: Callable[[Action], str]) -> str:
        """What the first action is about that matches; those that the payer took itself come first."""
        own, back = self._own, self._back
        for actions in (own, back) if payer == self._principal else (back, own):
            for at, action in enumerate(actions):
                about = matches(action)
                if about:
                    del actions[at]
                    return about
        return ""


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
