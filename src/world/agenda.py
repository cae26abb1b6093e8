"""Owns when each loop is due: steps, sleep, pauses, signals, and what the world waits for next.

Besides loops, holds that expire and genesis artifacts that have something to do are waited for.

A loop is *due* at a time unless it is stopped, paused, waiting for an effect, or asleep. Principals
without a loop have no entry here. Timers are derived; they are built when first asked for.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from .facts import (
    EffectRequested,
    Paused,
    Resumed,
    Scheduled,
    ScripHeld,
    Signalled,
    Slept,
    Stopped,
    Woke,
)

WORLD = "*"
_LOOP, _HOLD, _GENESIS = 0, 1, 2
_TIMERS_SPARE = 1_024


class Agenda:
    """The state of every loop, by principal."""

    __slots__ = (
        "_timers",
        "_timers_max",
        "due_us",
        "paused",
        "scheduled",
        "signals",
        "sleeping",
        "steps",
        "stopped",
        "waiting",
        "waiting_since",
        "watchers",
    )

    def __init__(self) -> None:
        self.due_us: dict[str, int] = {}
        self.steps: dict[str, int] = {}
        self.sleeping: dict[str, Slept] = {}
        self.watchers: dict[str, set[str]] = {}
        self.waiting: dict[str, int] = {}
        self.waiting_since: dict[str, int] = {}
        self.stopped: dict[str, str] = {}
        self.paused: set[str] = set()
        self.signals: dict[str, list[str]] = {}
        self.scheduled: dict[str, int] = {}
        self._timers: list[tuple[int, int, str]] | None = None
        self._timers_max = 0

    def enrol(self, principal: str, now_us: int) -> None:
        """A loop begins; it is due at once."""
        self.due_us[principal] = now_us
        self.steps[principal] = 0
        self._push(principal)

    def withdraw(self, principal: str) -> None:
        """Undo ``enrol``."""
        del self.due_us[principal], self.steps[principal]

    def charged(self, principal: str, due_us: int, seq: int) -> None:
        """A loop took a step, unless it waits since an earlier record: then a tool server asked."""
        if self.waiting_since.get(principal, seq) == seq:
            self.stepped(principal, due_us)

    def stepped(self, principal: str, due_us: int) -> None:
        """A loop took a step: it is awake, it saw its signals, and it is due again later."""
        if principal in self.due_us:
            if principal in self.sleeping:
                self._rise(principal)
            self.steps[principal] += 1
            self.due_us[principal] = due_us
            self.signals.pop(principal, None)
            self._push(principal)

    def slept(self, fact: Slept) -> None:
        """Apply."""
        self.stepped(fact.principal, fact.until_us)
        self.sleeping[fact.principal] = fact
        for id in fact.watch:
            self.watchers.setdefault(id, set()).add(fact.principal)

    def woke(self, fact: Woke, now_us: int) -> None:
        """Apply."""
        self._rise(fact.principal)
        self.due_us[fact.principal] = now_us
        self._push(fact.principal)

    def stopped_(self, fact: Stopped) -> None:
        """Apply: for good."""
        if fact.principal in self.sleeping:
            self._rise(fact.principal)
        self.stopped[fact.principal] = fact.reason

    def paused_(self, fact: Paused) -> None:
        """Apply."""
        self.paused.add(fact.principal)

    def resumed(self, fact: Resumed) -> None:
        """Apply."""
        self.paused.remove(fact.principal)
        self._timers = None

    def signalled(self, fact: Signalled) -> None:
        """Apply."""
        self.signals.setdefault(fact.principal, []).append(fact.signal)

    def requested(self, fact: EffectRequested, seq: int) -> None:
        """A principal waits for an effect."""
        self.waiting_since.setdefault(fact.principal, seq)
        self.waiting[fact.principal] = self.waiting.get(fact.principal, 0) + 1

    def settled(self, principal: str, due_us: int) -> None:
        """A principal waits for one effect less."""
        left = self.waiting[principal] - 1
        if left:
            self.waiting[principal] = left
            return
        del self.waiting[principal], self.waiting_since[principal]
        if principal in self.due_us:
            self.due_us[principal] = due_us
            self._push(principal)

    def held(self, fact: ScripHeld) -> None:
        """A hold that expires is something to wait for."""
        if fact.expires_us and self._timers is not None:
            heappush(self._timers, (fact.expires_us, _HOLD, str(fact.hold)))

    def scheduled_(self, fact: Scheduled) -> int:
        """Apply. Returns when it was due before."""
        before = self.scheduled.pop(fact.artifact, 0)
        if fact.due_us:
            self.scheduled[fact.artifact] = fact.due_us
            if self._timers is not None:
                heappush(self._timers, (fact.due_us, _GENESIS, fact.artifact))
        return before

    def unscheduled(self, fact: Scheduled, before: int) -> None:
        """Undo."""
        self.scheduled_(Scheduled(fact.artifact, before))

    def when_us(self, principal: str) -> int | None:
        """When a loop needs attention next; None while it does not by itself."""
        if (
            principal in self.stopped
            or principal in self.waiting
            or principal in self.paused
            or WORLD in self.paused
        ):
            return None
        return self.due_us.get(principal)

    def next_us(self, holds: dict[int, ScripHeld]) -> int | None:
        """The earliest time at which a loop or a genesis artifact is due, or a hold expires."""
        timers = self._ready(holds)
        while timers:
            if self._stands(timers[0], holds):
                return timers[0][0]
            heappop(timers)
        return None

    def due(
        self, now_us: int, holds: dict[int, ScripHeld]
    ) -> tuple[list[str], list[str], list[int], list[str]]:
        """What is due by ``now_us``, each in order.

        Returns:
            Loops to act, sleepers to wake, holds to expire, genesis artifacts.
        """
        timers = self._ready(holds)
        stand = set()
        while timers and timers[0][0] <= now_us:
            timer = heappop(timers)
            if self._stands(timer, holds):
                stand.add(timer)
        for timer in stand:
            heappush(timers, timer)
        loops = sorted(name for _, kind, name in stand if kind == _LOOP)
        expired = sorted(int(name) for _, kind, name in stand if kind == _HOLD)
        sleepers = [name for name in loops if name in self.sleeping]
        awake = [name for name in loops if name not in self.sleeping]
        return awake, sleepers, expired, sorted(name for _, kind, name in stand if kind == _GENESIS)

    def _ready(self, holds: dict[int, ScripHeld]) -> list[tuple[int, int, str]]:
        if self._timers is None:
            self._timers = [
                (at, _LOOP, p) for p in self.due_us if (at := self.when_us(p)) is not None
            ]
            self._timers += [
                (h.expires_us, _HOLD, str(n)) for n, h in holds.items() if h.expires_us
            ]
            self._timers += [(at, _GENESIS, name) for name, at in self.scheduled.items()]
            heapify(self._timers)
            self._timers_max = 2 * len(self._timers) + _TIMERS_SPARE
        return self._timers

    def _stands(self, timer: tuple[int, int, str], holds: dict[int, ScripHeld]) -> bool:
        at_us, kind, name = timer
        if kind == _HOLD:
            hold = holds.get(int(name))
            return hold is not None and hold.expires_us == at_us
        if kind == _GENESIS:
            return self.scheduled.get(name) == at_us
        return self.when_us(name) == at_us

    def _push(self, principal: str) -> None:
        if self._timers is not None:
            heappush(self._timers, (self.due_us[principal], _LOOP, principal))
            if len(self._timers) > self._timers_max:
                self._timers = None  # most of them no longer stand: made anew when next asked for

    def _rise(self, principal: str) -> None:
        for id in set(self.sleeping.pop(principal).watch):
            watching = self.watchers[id]
            watching.discard(principal)
            if not watching:
                del self.watchers[id]
