"""Owns metering: the one meter of a world. Time comes in; it is never read.

Three kinds of resource: renewable (a limit in every rolling window, kept by ``RateTracker``),
depletable (gone once spent) and allocatable (held while in use, given back).
"""

from __future__ import annotations

from collections.abc import Mapping

from .config import Resource
from .facts import (
    Allocated,
    LimitSet,
    Overran,
    QuotaTransferred,
    ResourceHeld,
    ResourcePosted,
    ResourceUsed,
)
from .rate_tracker import RateTracker


class Stock:
    """One depletable or allocatable resource: limits, what is used, what is held, by principal."""

    __slots__ = ("held", "limits", "used")

    def __init__(self) -> None:
        self.limits: dict[str, int] = {}
        self.used: dict[str, int] = {}
        self.held: dict[str, int] = {}

    def remaining(self, principal: str) -> int:
        """What can still be used or taken."""
        return (
            self.limits.get(principal, 0)
            - self.used.get(principal, 0)
            - self.held.get(principal, 0)
        )


def _add(amounts: dict[str, int], principal: str, amount: int) -> None:
    left = amounts.get(principal, 0) + amount
    if left:
        amounts[principal] = left
    else:
        amounts.pop(principal, None)


class Resources:
    """All metered resources of a world, behind one set of questions.

    ``payer`` and ``pending`` are the meter of the input under way: what it used so far and
    has not posted yet counts as used for everyone who asks.
    """

    __slots__ = ("holds", "kinds", "payer", "pending", "stocks", "tracker")

    def __init__(self, resources: Mapping[str, Resource]) -> None:
        self.kinds = {name: resource.kind for name, resource in resources.items()}
        self.tracker = RateTracker(
            {name: r.window_us for name, r in resources.items() if r.kind == "renewable"}
        )
        self.stocks = {name: Stock() for name, r in resources.items() if r.kind != "renewable"}
        self.holds: dict[int, ResourceHeld] = {}
        self.payer = ""
        self.pending: dict[str, int] = {}

    def limit(self, principal: str, resource: str) -> int:
        """The quota of a principal."""
        stock = self.stocks.get(resource)
        if stock is None:
            return self.tracker.limit(principal, resource)
        return stock.limits.get(principal, 0)

    def held_of(self, principal: str, resource: str) -> int:
        """What is set aside of a quota and not yet posted."""
        stock = self.stocks.get(resource)
        if stock is None:
            return self.tracker.held(principal, resource)
        return stock.held.get(principal, 0)

    def remaining(self, principal: str, resource: str, now_us: int) -> int:
        """What can still be used, with holds and the input under way counted as used."""
        stock = self.stocks.get(resource)
        if stock is None:
            left = self.tracker.remaining(principal, resource, now_us)
        else:
            left = stock.remaining(principal)
        if principal == self.payer:
            left -= self.pending.get(resource, 0)
        return left

    def time_until(self, principal: str, resource: str, amount: int, now_us: int) -> int | None:
        """Microseconds until the input under way could use ``amount`` more; None where waiting does not help.

        What it used so far stands and is needed once more by then.
        """
        if resource in self.stocks:
            return 0 if amount <= self.remaining(principal, resource, now_us) else None
        tracker = self.tracker
        pending = self.pending.get(resource, 0) if principal == self.payer else 0
        amount += pending
        wait_us = tracker.time_until_capacity(principal, resource, amount + pending, now_us)
        most = tracker.limit(principal, resource) - tracker.held(principal, resource)
        return tracker.windows_us[resource] if wait_us is None and amount <= most else wait_us

    def use(self, principal: str, resource: str, amount: int, now_us: int) -> None:
        """Count as used now: a stamp in a window, or the end of a depletable amount."""
        stock = self.stocks.get(resource)
        if stock is None:
            self.tracker.stamp(principal, resource, amount, now_us)
        else:
            _add(stock.used, principal, amount)

    def used(self, fact: ResourceUsed | Overran, now_us: int) -> None:
        """Apply."""
        self.use(fact.principal, fact.resource, fact.amount, now_us)

    def held(self, fact: ResourceHeld) -> None:
        """Apply: set the amounts aside."""
        self.holds[fact.hold] = fact
        for resource, amount in fact.amounts.items():
            self._hold(fact.principal, resource, amount)

    def posted(self, fact: ResourcePosted, now_us: int) -> None:
        """Apply: end a hold, count what was used of it."""
        hold = self.holds.pop(fact.hold)
        for resource, amount in hold.amounts.items():
            self._hold(hold.principal, resource, -amount)
            used = fact.used.get(resource, 0)
            assert 0 <= used <= amount, fact
            if used:
                self.use(hold.principal, resource, used, now_us)

    def allocated(self, fact: Allocated) -> None:
        """Apply: take or give back."""
        _add(self.stocks[fact.resource].used, fact.principal, fact.delta)

    def unallocated(self, fact: Allocated, before: None) -> None:
        """Undo."""
        _add(self.stocks[fact.resource].used, fact.principal, -fact.delta)

    def limit_set(self, fact: LimitSet) -> None:
        """Apply."""
        self._set_limit(fact.principal, fact.resource, fact.limit)

    def quota_transferred(self, fact: QuotaTransferred) -> None:
        """Apply: the sum of both quotas stays."""
        self._move(fact.giver, fact.taker, fact.resource, fact.amount)

    def quota_untransferred(self, fact: QuotaTransferred, before: None) -> None:
        """Undo."""
        self._move(fact.taker, fact.giver, fact.resource, fact.amount)

    def _move(self, giver: str, taker: str, resource: str, amount: int) -> None:
        self._set_limit(giver, resource, self.limit(giver, resource) - amount)
        self._set_limit(taker, resource, self.limit(taker, resource) + amount)

    def _set_limit(self, principal: str, resource: str, limit: int) -> None:
        stock = self.stocks.get(resource)
        if stock is None:
            self.tracker.configure_limit(principal, resource, limit)
        elif limit:
            stock.limits[principal] = limit
        else:
            stock.limits.pop(principal, None)

    def _hold(self, principal: str, resource: str, amount: int) -> None:
        stock = self.stocks.get(resource)
        if stock is None:
            self.tracker.hold(principal, resource, amount)
        else:
            _add(stock.held, principal, amount)
