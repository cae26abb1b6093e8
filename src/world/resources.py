"""Owns metering: the one meter of a world. Time comes in; it is never read.

Three kinds of resource: renewable (a limit in every rolling window, kept by ``RateTracker``),
depletable (gone once spent) and allocatable (held while in use, given back).
"""

from __future__ import annotations

from collections.abc import Mapping

from .config import COMPUTE, Resource
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

    ``payer``, ``pending_compute`` and ``pending`` (the others) are the meter of the input under way:
    what it used so far and has not posted yet counts as used for everyone who asks.
    """

    __slots__ = (
        "compute",
        "holds",
        "kinds",
        "payer",
        "pending",
        "pending_compute",
        "stocks",
        "tracker",
    )

    def __init__(self, resources: Mapping[str, Resource]) -> None:
        """Begin without limits or usage.

        Raises:
            ValueError: compute is not among the renewable resources.
        """
        self.kinds = {name: resource.kind for name, resource in resources.items()}
        self.tracker = RateTracker(
            {name: r.window_us for name, r in resources.items() if r.kind == "renewable"}
        )
        self.stocks = {name: Stock() for name, r in resources.items() if r.kind != "renewable"}
        self.holds: dict[int, ResourceHeld] = {}
        if COMPUTE not in self.tracker.by_resource:
            raise ValueError(f"resources: {COMPUTE} must be renewable")
        self.compute = self.tracker.by_resource[COMPUTE]
        self.payer = ""
        self.pending_compute = 0
        self.pending: dict[str, int] = {}

    def begin(self, payer: str) -> None:
        """Begin the meter anew, for an input that ``payer`` pays for."""
        self.payer = payer
        self.pending_compute = 0
        self.pending.clear()

    def pend(self, resource: str, amount: int) -> None:
        """The input under way used something besides compute."""
        self.pending[resource] = self.pending.get(resource, 0) + amount

    def pending_of(self, resource: str) -> int:
        """What the input under way used and has not posted yet."""
        return self.pending_compute if resource == COMPUTE else self.pending.get(resource, 0)

    def take_pending(self) -> list[tuple[str, int]]:
        """What is to be posted, by resource, in order; from now on it is not pending."""
        if self.pending_compute:
            self.pending[COMPUTE] = self.pending_compute
        uses = sorted(self.pending.items())
        self.pending_compute = 0
        self.pending.clear()
        return uses

    def limit(self, principal: str, resource: str) -> int:
        """The quota of a principal."""
        stock = self.stocks.get(resource)
        if stock is None:
            return self.tracker.limit(principal, resource)
        return stock.limits.get(principal, 0)

    def window_us(self, resource: str) -> int | None:
        """Length of the rolling window; None where there is none."""
        windows = self.tracker.by_resource.get(resource)
        return None if windows is None else windows.window_us

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
            left -= self.pending_of(resource)
        return left

    def time_until(self, principal: str, resource: str, amount: int, now_us: int) -> int | None:
        """Microseconds until the input under way could use ``amount`` more; None where waiting does not help.

        What it used so far stands and is needed once more by then.
        """
        if resource in self.stocks:
            return 0 if amount <= self.remaining(principal, resource, now_us) else None
        tracker = self.tracker
        pending = self.pending_of(resource) if principal == self.payer else 0
        amount += pending
        wait_us = tracker.time_until_capacity(principal, resource, amount + pending, now_us)
        most = tracker.limit(principal, resource) - tracker.held(principal, resource)
        return (
            tracker.by_resource[resource].window_us
            if wait_us is None and amount <= most
            else wait_us
        )

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
