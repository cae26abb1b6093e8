"""Owns how deep services build on services: chains of payments, from who began them to the last one paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from ..world import EffectRequested, Record, Settle
from .payments import Payment, Payments

_CODE = "code"
_Chain = list[str]


class CapitalSummary(msgspec.Struct):
    """How services that are paid pay other services in turn.

    Attributes:
        depths: of the calls that somebody paid for, how many went how deep: ``depths[0]`` those of a
            service that paid no other, ``depths[1]`` those of one that paid another, and so on.
        deepest: the services of the deepest one, the first called first.
    """

    depths: list[int] = []
    deepest: list[str] = []


class Capital:
    """Goes along a log and puts payments that stand inside each other together.

    What an artifact of code pays while it runs is a part of the call that it is paid for. One that was
    called free of charge counts as if it had been paid.
    """

    def __init__(self, payments: Payments) -> None:
        """Begin. ``payments`` goes along the same log."""
        self._payments = payments
        self._depths: Counter[int] = Counter()
        self._deepest: _Chain = []
        self._waiting: dict[str, dict[str, _Chain]] = {}

    def told(self) -> CapitalSummary:
        """All calls so far."""
        depths = [self._depths[depth + 1] for depth in range(len(self._deepest))]
        return CapitalSummary(depths, list(self._deepest))

    def add(self, record: Record, paid: Iterable[Payment]) -> None:
        """Count the calls of one more record, with what was paid in it."""
        given = record.input
        below = self._waiting.pop(given.effect_id, {}) if isinstance(given, Settle) else {}
        for payment in paid:
            if payment.artifact and payment.how in ("read", "invoke"):
                self._link(below, payment)
        waits = next((fact.id for fact in record.facts if isinstance(fact, EffectRequested)), None)
        if waits is not None:
            self._waiting[waits] = below
            return
        for artifact, chain in below.items():
            self._count([artifact, *chain])

    def _link(self, below: dict[str, _Chain], payment: Payment) -> None:
        """Put what the artifact paid for itself under it, and it under what paid for it."""
        chain = [payment.artifact, *below.pop(payment.artifact, [])]
        payer = self._payments.artifacts.get(payment.payer)
        if payer is None or payer.type != _CODE:
            self._count(chain)
        elif len(chain) > len(below.get(payer.id, [])):
            below[payer.id] = chain

    def _count(self, chain: _Chain) -> None:
        self._depths[len(chain)] += 1
        if len(chain) > len(self._deepest):
            self._deepest = chain
