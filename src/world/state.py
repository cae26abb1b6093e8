"""Owns the state of a world: the fold of its facts. There is one way to change it, ``appliers``.

Replay, resume and the live world go through the same table from fact to function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .agenda import Agenda
from .answers import Waiting
from .artifacts import Artifacts
from .config import WorldConfig
from .facts import (
    Allocated,
    ArtifactDeleted,
    ArtifactWritten,
    Charged,
    ContentReplaced,
    EffectRequested,
    EffectSettled,
    Encumbered,
    InterfaceDiscovered,
    KeyRemembered,
    LimitSet,
    Noted,
    Overran,
    OwnershipTransferred,
    Paused,
    QuotaTransferred,
    ResourceHeld,
    ResourcePosted,
    ResourceUsed,
    Resumed,
    Scheduled,
    ScripHeld,
    ScripIssued,
    ScripPosted,
    ScripReleased,
    ScripTransferred,
    Signalled,
    Slept,
    Stopped,
    Woke,
)
from .ledger import Ledger
from .notes import Notes
from .records import effect_key
from .resources import Resources


class State:
    """Everything that stands after a record.

    Attributes:
        now_us: time of the record. seq: its number. head: its hash.
        effects: asked for and not settled. effect_keys: the idempotency keys that performers see.
        keys: by principal, the remembered idempotency keys, oldest first; one whose action waits is
            never forgotten, so there can be more than ``keys_max``.
        next_hold: the id that the next hold gets.
    """

    __slots__ = (
        "_compute",
        "_loops",
        "_pace_us",
        "_unkeyed",
        "agenda",
        "appliers",
        "artifacts",
        "effect_keys",
        "effects",
        "head",
        "keys",
        "keys_max",
        "ledger",
        "next_hold",
        "notes",
        "now_us",
        "resources",
        "seq",
        "undoers",
    )

    def __init__(self, config: WorldConfig) -> None:
        self.now_us = 0
        self.seq = -1
        self.head = b""
        self.next_hold = 1
        self.ledger = Ledger()
        self.resources = Resources(config.resources)
        self.artifacts = Artifacts()
        self.notes = Notes()
        self.agenda = Agenda()
        self.effects: dict[str, EffectRequested] = {}
        self.effect_keys: dict[str, str] = {}
        self._unkeyed: list[str] = []
        self.keys: dict[str, dict[str, KeyRemembered]] = {}
        self.keys_max = config.limits.keys_max
        self._pace_us = config.pace_us
        self._compute = self.resources.compute
        self._loops = self.agenda.due_us
        ledger, resources, agenda = self.ledger, self.resources, self.agenda
        artifacts = self.artifacts
        self.appliers: dict[type, Callable[[Any], Any]] = {
            Charged: self._charged,
            ScripTransferred: ledger.transferred,
            ScripIssued: ledger.issued,
            ScripHeld: self._scrip_held,
            ScripPosted: ledger.posted,
            ScripReleased: ledger.released,
            ResourceUsed: lambda f: resources.used(f, self.now_us),
            ResourceHeld: self._resource_held,
            ResourcePosted: lambda f: resources.posted(f, self.now_us),
            Overran: lambda f: resources.used(f, self.now_us),
            Allocated: resources.allocated,
            LimitSet: resources.limit_set,
            QuotaTransferred: resources.quota_transferred,
            ArtifactWritten: self._written,
            ContentReplaced: lambda f: artifacts.replaced(f, self.seq),
            ArtifactDeleted: artifacts.deleted,
            OwnershipTransferred: lambda f: artifacts.transferred(f, self.seq),
            InterfaceDiscovered: lambda f: artifacts.discovered(f, self.seq),
            EffectRequested: self._requested,
            EffectSettled: self._settled,
            KeyRemembered: self._remembered,
            Slept: agenda.slept,
            Woke: lambda f: agenda.woke(f, self.now_us),
            Stopped: agenda.stopped_,
            Paused: agenda.paused_,
            Resumed: agenda.resumed,
            Signalled: agenda.signalled,
            Noted: self.notes.noted,
            Encumbered: artifacts.encumbered,
            Scheduled: agenda.scheduled_,
        }
        self.undoers: dict[type, Callable[[Any, Any], None]] = {
            ScripTransferred: ledger.untransferred,
            ScripIssued: ledger.unissued,
            ScripHeld: self._scrip_unheld,
            ScripPosted: ledger.unposted,
            ScripReleased: ledger.unreleased,
            Allocated: resources.unallocated,
            QuotaTransferred: resources.quota_untransferred,
            ArtifactWritten: self._unwritten,
            ContentReplaced: artifacts.put_back,
            ArtifactDeleted: artifacts.undeleted,
            OwnershipTransferred: artifacts.put_back,
            InterfaceDiscovered: artifacts.put_back,
            Noted: self.notes.unnoted,
            Encumbered: artifacts.put_back,
            Scheduled: agenda.unscheduled,
        }

    def close(self, digest: bytes) -> None:
        """End a record: its hash is the head, and gives the effects that it asked for their keys."""
        self.head = digest
        if self._unkeyed:
            for id in self._unkeyed:
                self.effect_keys[id] = effect_key(digest, id)
            self._unkeyed.clear()

    def snapshot(self) -> bytes:
        """One canonical encoding of all that facts decide, to compare two states by."""
        agenda, ledger, resources = self.agenda, self.ledger, self.resources
        parts = (
            (self.now_us, self.seq, self.head, self.next_hold),
            (ledger.balances, ledger.held, sorted(ledger.holds.items()), ledger.supply),
            resources.tracker.totals(self.now_us),
            {name: (s.limits, s.used, s.held) for name, s in resources.stocks.items()},
            sorted(resources.holds.items()),
            (self.artifacts.by_id, sorted(self.artifacts.gone)),
            (agenda.due_us, agenda.steps, agenda.sleeping, agenda.waiting, agenda.stopped),
            (sorted(agenda.paused), agenda.signals, self.effects, self.keys),
            (self.notes.by_artifact, agenda.scheduled),
        )
        return msgspec.msgpack.Encoder(enc_hook=repr, order="sorted").encode(parts)

    def _charged(self, fact: Charged) -> None:
        self._compute.stamp(fact.principal, fact.amount, self.now_us)
        if fact.principal in self._loops:
            self.agenda.charged(fact.principal, self.now_us + self._pace_us, self.seq)

    def _scrip_held(self, fact: ScripHeld) -> None:
        self.next_hold = max(self.next_hold, fact.hold + 1)
        self.ledger.held_(fact)
        self.agenda.held(fact)

    def _scrip_unheld(self, fact: ScripHeld, before: None) -> None:
        self.next_hold = fact.hold
        self.ledger.unheld(fact, before)

    def _resource_held(self, fact: ResourceHeld) -> None:
        self.next_hold = max(self.next_hold, fact.hold + 1)
        self.resources.held(fact)

    def _written(self, fact: ArtifactWritten) -> Any:
        before = self.artifacts.written(fact, self.seq)
        if fact.standing and before is None:
            self.ledger.balances[fact.id] = 0
            if fact.loop:
                self.agenda.enrol(fact.id, self.now_us)
        return before

    def _unwritten(self, fact: ArtifactWritten, before: Any) -> None:
        self.artifacts.restored(fact, before)
        if fact.standing and before is None:
            del self.ledger.balances[fact.id]
            if fact.loop:
                self.agenda.withdraw(fact.id)

    def _requested(self, fact: EffectRequested) -> None:
        self.effects[fact.id] = fact
        self._unkeyed.append(fact.id)
        self.agenda.requested(fact, self.seq)

    def _settled(self, fact: EffectSettled) -> None:
        effect = self.effects.pop(fact.id)
        del self.effect_keys[fact.id]
        self.agenda.settled(effect.principal, self.now_us + self._pace_us)

    def _remembered(self, fact: KeyRemembered) -> None:
        keys = self.keys.setdefault(fact.principal, {})
        keys[fact.key] = fact
        if len(keys) > self.keys_max:
            for key, kept in keys.items():
                if type(kept.answer) is not Waiting and key != fact.key:
                    del keys[key]
                    return
