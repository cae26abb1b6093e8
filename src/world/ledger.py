"""Owns scrip: balances, holds, supply. Double entry in integers; knows nothing of artifacts or resources.

A hold is open until it is posted (paid), voided or expired:

    ======  ===========  =============  ==============
    state   ScripPosted  Released void  Released expired
    ======  ===========  =============  ==============
    open    posted       voided         expired
    others  assertion    assertion      assertion
    ======  ===========  =============  ==============
"""

from __future__ import annotations

from .facts import ScripHeld, ScripIssued, ScripPosted, ScripReleased, ScripTransferred

SCRIP_MAX = 2**62
"""The most scrip that a world can hold, so that no sum leaves 64 bits."""


class Ledger:
    """Balances by principal. ``held`` is part of the balance and cannot be spent."""

    __slots__ = ("balances", "held", "holds", "supply")

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.holds: dict[int, ScripHeld] = {}
        self.supply = 0

    def available(self, principal: str) -> int:
        """Scrip that can be spent; 0 for who is not a principal."""
        return self.balances.get(principal, 0) - self.held.get(principal, 0)

    def transferred(self, fact: ScripTransferred) -> None:
        """Apply: the sum of both balances stays."""
        balances = self.balances
        left = balances[fact.payer] - fact.amount
        assert left >= 0 and fact.amount >= 0, fact
        balances[fact.payer] = left
        balances[fact.payee] += fact.amount

    def untransferred(self, fact: ScripTransferred, before: None) -> None:
        """Undo."""
        self.balances[fact.payee] -= fact.amount
        self.balances[fact.payer] += fact.amount

    def issued(self, fact: ScripIssued) -> None:
        """Apply: the one way in which supply grows."""
        assert fact.amount >= 0 and self.supply + fact.amount <= SCRIP_MAX, fact
        self.balances[fact.principal] += fact.amount
        self.supply += fact.amount

    def unissued(self, fact: ScripIssued, before: None) -> None:
        """Undo."""
        self.balances[fact.principal] -= fact.amount
        self.supply -= fact.amount

    def held_(self, fact: ScripHeld) -> None:
        """Apply: the amount stays in the balance but can no longer be spent."""
        assert 0 <= fact.amount <= self.available(fact.principal), fact
        self.holds[fact.hold] = fact
        self.held[fact.principal] = self.held.get(fact.principal, 0) + fact.amount

    def unheld(self, fact: ScripHeld, before: None) -> None:
        """Undo."""
        self._end(fact.hold)

    def posted(self, fact: ScripPosted) -> ScripHeld:
        """Apply: pay ``amount`` of the hold, give back the rest. Returns the hold."""
        hold = self._end(fact.hold)
        assert 0 <= fact.amount <= hold.amount, fact
        self.balances[hold.principal] -= fact.amount
        self.balances[fact.payee] += fact.amount
        return hold

    def unposted(self, fact: ScripPosted, before: ScripHeld) -> None:
        """Undo: the hold is open again."""
        self.balances[fact.payee] -= fact.amount
        self.balances[before.principal] += fact.amount
        self.held_(before)

    def released(self, fact: ScripReleased) -> ScripHeld:
        """Apply: the whole hold goes back. Returns the hold."""
        return self._end(fact.hold)

    def unreleased(self, fact: ScripReleased, before: ScripHeld) -> None:
        """Undo: the hold is open again."""
        self.held_(before)

    def _end(self, hold_id: int) -> ScripHeld:
        hold = self.holds.pop(hold_id)
        left = self.held[hold.principal] - hold.amount
        if left:
            self.held[hold.principal] = left
        else:
            del self.held[hold.principal]
        return hold
