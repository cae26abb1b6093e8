"""Owns driving a world: whose turn it is, in which order, and when effects are performed and settled.

Two clocks. On the virtual one the world runs as fast as it can: an effect takes its modelled latency
in world time, and the world waits in real time for a result that is due, so the order of events
does not depend on the machine. On the wall clock everything happens when it happens. On both, a
slow effect holds up nobody but the principal that asked for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

import msgspec

from ..adapters.performer import Performer
from ..agents.loop import Loop
from ..agents.mind import Decision
from ..world import (
    Action,
    Answer,
    Code,
    EffectRequest,
    EffectResult,
    Entry,
    Envelope,
    Failed,
    Malformed,
    Refused,
    Rest,
    Sleep,
    Stop,
    Waiting,
    World,
    Write,
    enter,
)
from .asks import Asks
from .performing import performed
from .slots import Slots

T = TypeVar("T")
_BREATH_S = 0.05
"""How long the world runs before it lets signals, servers and the view have a moment."""
_NEVER_US = 2**62
_VIEW_S = 0.2
"""The longest that the view goes without a moment while the world waits in real time."""


class Committed(Protocol):
    """The part of a store that driving needs."""

    @property
    def pending(self) -> int:
        """Records that are not durable yet."""

    def commit(self) -> None:
        """Make them durable, in one transaction."""


@dataclass(frozen=True, slots=True)
class Drive:
    """How a world is driven.

    Attributes:
        until_us: world time after which nothing more is begun.
        steps_max: records after which it ends; None for any number.
        group_records_max: records in one durable transaction.
        effects_in_flight_max: effects performed at one time, those that wait for an answer besides.
        decide_timeout_s: real time for one decision of a mind.
        stop_timeout_s: real time for effects in flight to end when they are abandoned.
    """

    until_us: int
    steps_max: int | None
    group_records_max: int
    effects_in_flight_max: int
    decide_timeout_s: float
    stop_timeout_s: float


@dataclass(slots=True)
class _Flight:
    request: EffectRequest
    task: asyncio.Task[EffectResult]
    due_us: int


@dataclass(slots=True)
class Tally:
    """What happened since a driver began, for who watches.

    Attributes:
        actions: taken, without rests. refused, failed: answers. tool_calls: effects asked for.
    """

    actions: int = 0
    refused: int = 0
    failed: int = 0
    tool_calls: int = 0

    def answered(self, answer: Answer) -> None:
        """Count the answer of an action."""
        self.refused += isinstance(answer, Refused)
        self.failed += isinstance(answer, Failed)


class Driver:
    """Drives one world to its end on one of the two clocks.

    Attributes:
        loops: by principal. steps: records made by this process. tally: what happened in them.
        is_ending: what happened is committed, and what was started is being ended.
    """

    def __init__(
        self,
        world: World,
        store: Committed,
        loops: Mapping[str, Loop],
        performer_of: Callable[[str], Performer | None],
        drive: Drive,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.world = world
        self.loops = loops
        self.tally = Tally()
        self.is_ending = False
        self._store = store
        self._performer_of = performer_of
        self._drive = drive
        self._on_progress = on_progress
        self._flights: dict[str, _Flight] = {}
        self._landed: list[str] = []
        self._is_stopping = False
        self._stirred = asyncio.Event()
        self._slots = Slots(drive.effects_in_flight_max)
        self.asks = Asks(world, self._stirred.set, self._slots.leave)
        self._first_seq = world.state.seq
        self._breathed_s = time.monotonic()

    @property
    def steps(self) -> int:
        """Records made since this driver began."""
        return self.world.state.seq - self._first_seq

    @property
    def until_us(self) -> int:
        """World time after which nothing more is begun."""
        return self._drive.until_us

    @property
    def in_flight(self) -> list[EffectRequest]:
        """The effects that are being performed, oldest first."""
        return [flight.request for flight in self._flights.values()]

    def stop(self) -> None:
        """End soon and cleanly: what happened is committed, what is in flight is left pending."""
        self._is_stopping = True
        self._stirred.set()

    async def virtual(self) -> str:
        """Drive on the virtual clock; returns why it ended: until, steps, quiet or stopped."""
        self._launch()
        try:
            while (ended := self._ended()) is None:
                now_us = self._next_us()
                if now_us is None:
                    ended = "quiet"
                    break
                if now_us > self._drive.until_us:
                    ended = "until"
                    break
                await self._instant(now_us)
                await self._breathe()
            return ended
        finally:
            await self._land()

    async def wall(self) -> str:
        """Drive in real time; returns why it ended: until, steps, quiet or stopped."""
        began_us = self.world.state.now_us - time.monotonic_ns() // 1_000
        thoughts: dict[str, asyncio.Task[Decision]] = {}
        self._launch()
        try:
            while (ended := self._ended()) is None:
                if began_us + time.monotonic_ns() // 1_000 > self._drive.until_us:
                    ended = "until"
                    break
                self._moment(began_us, thoughts)
                next_us = self._next_loop_us(thoughts)
                if next_us is None and not thoughts and not self._flights:
                    ended = "quiet"
                    break
                until_us = min(next_us or self._drive.until_us, self._drive.until_us)
                wait_us = until_us - began_us - time.monotonic_ns() // 1_000
                await self._stir(min(max(wait_us, 0) / 1e6, _VIEW_S))
                await self._breathe()
            return ended
        finally:
            for thought in thoughts.values():
                thought.cancel()
            await self._land()

    def _ended(self) -> str | None:
        if self._is_stopping:
            return "stopped"
        steps_max = self._drive.steps_max
        return "steps" if steps_max is not None and self.steps >= steps_max else None

    def _next_us(self) -> int | None:
        times = [flight.due_us for flight in self._flights.values()]
        due_us = self.world.next_due_us()
        if due_us is not None:
            times.append(due_us)
        return max(min(times), self.world.state.now_us) if times else None

    async def _instant(self, now_us: int) -> None:
        """Everything that is due at one moment of the virtual clock, in an order of its own seed."""
        world = self.world
        landed = await self._due_results(now_us)
        if self._is_stopping:
            return
        world.advance(now_us)
        decisions = await self._decisions(world.due(now_us), now_us)
        if self._is_stopping:
            return
        moves = [(self._rank(now_us, p), p, 0, "") for p in decisions]
        moves += [
            (self._rank(now_us, f.request.principal), f.request.principal, n, f.request.id)
            for n, (f, _) in enumerate(landed.values(), 1)
        ]
        for _, principal, _, effect_id in sorted(moves):
            if effect_id:
                self._settle(effect_id, landed[effect_id][1], now_us)
            else:
                self._act(principal, decisions[principal], now_us)
        self._launch()

    async def _due_results(self, now_us: int) -> dict[str, tuple[_Flight, EffectResult]]:
        """Wait in real time for the results that are due; one that timed out is due at its deadline."""
        landed: dict[str, tuple[_Flight, EffectResult]] = {}
        for id, flight in list(self._flights.items()):
            if flight.due_us > now_us:
                continue
            await self._until_done(flight.task, id)
            while not flight.task.done() and self.asks.has_new(id):
                self._take_asked(now_us, id)
                if self.asks.is_open(id):
                    flight.due_us = _NEVER_US
                    break
                await self._until_done(flight.task, id)
            if flight.due_us == _NEVER_US:
                continue
            if not flight.task.done():
                return {}
            result = flight.task.result()
            if result.code == Code.EFFECT_TIMEOUT and flight.request.deadline_us > now_us:
                flight.due_us = flight.request.deadline_us
            else:
                landed[id] = (self._flights.pop(id), result)
        self._landed.clear()
        return landed

    async def _until_done(self, task: asyncio.Task[Any], effect: str = "") -> None:
        """Wait for a task, or for the stop, or until an effect asks for something."""
        while not task.done() and not self._is_stopping and not self.asks.has_new(effect):
            self._on_progress()
            await self._stir(_VIEW_S)

    async def _stir(self, timeout_s: float) -> None:
        """Wait until something has happened: a result, a decision, a question, the stop; or not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._stirred.wait()
        self._stirred.clear()

    async def _decisions(self, due: list[str], now_us: int) -> dict[str, Decision]:
        """What every loop that is due does next, decided on the same state; not all at the stop."""
        decisions: dict[str, Decision] = {}
        slow: dict[str, asyncio.Task[Decision]] = {}
        for principal in due:
            loop = self.loops[principal]
            forced = loop.ready(self.world, now_us)
            if forced is not None:
                decisions[principal] = forced
            elif loop.at_once:
                decisions[principal] = loop.choose(self.world, now_us)
            else:
                slow[principal] = self._begun(self._think(loop, now_us))
        for principal, task in slow.items():
            await self._until_done(task)
            if not task.done():
                break
            decisions[principal] = task.result()
        for task in slow.values():
            task.cancel()
        return decisions

    async def _think(self, loop: Loop, now_us: int) -> Decision:
        try:
            async with asyncio.timeout(self._drive.decide_timeout_s):
                return await loop.decide(self.world, now_us)
        except TimeoutError:
            return Sleep(now_us + loop.budget.backoff_us, (loop.principal,))

    def _act(self, principal: str, decision: Decision, now_us: int) -> None:
        loop = self.loops[principal]
        envelope = loop.envelope(decision)
        entry = enter(envelope, self.world.limits)
        answer = self.world.take(entry, now_us)
        action = _as_recorded(envelope, entry)
        self.tally.actions += not isinstance(envelope.action, Rest)
        self.tally.answered(answer)
        if isinstance(answer, Waiting):
            assert action is not None
            loop.waits(action)
            return
        loop.noted(action, answer)
        if isinstance(answer, Refused) and answer.code == Code.ADMISSION_EXCEEDED:
            rest = loop.forced(now_us)
            assert isinstance(rest, Sleep | Stop), rest
            loop.noted(rest, self.world.apply(Envelope(principal, rest), now_us))

    def _settle(self, effect_id: str, result: EffectResult, now_us: int) -> None:
        settled = self.world.settle(effect_id, result, now_us)
        self.asks.over(effect_id)
        if settled is None or isinstance(settled.answer, Waiting):
            return
        self.tally.answered(settled.answer)
        if (asker := self.asks.settled(settled)) is not None:
            if asker in self._flights:
                self._flights[asker].due_us = now_us
            return
        loop = self.loops.get(settled.principal)
        if loop is not None:
            loop.settled(settled.answer)

    def _launch(self) -> None:
        """Make durable what must be, then perform what was asked for."""
        requests = list(self.world.requests)
        self.world.requests.clear()
        if requests or self._store.pending >= self._drive.group_records_max:
            self._store.commit()
        self.tally.tool_calls += len(requests)
        for request in requests:
            self.launch(request)

    def launch(self, request: EffectRequest) -> None:
        """Perform an effect whose request is durable."""
        task = self._begun(self._perform(request))
        task.add_done_callback(lambda _: self._landed.append(request.id))
        self._flights[request.id] = _Flight(request, task, request.due_us)

    def _begun(self, what: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task whose end stirs the driver."""
        task = asyncio.create_task(what)
        task.add_done_callback(lambda _: self._stirred.set())
        return task

    def _take_asked(self, now_us: int, effect: str | None = None) -> None:
        """Take the actions that effects ask for."""
        for answer in self.asks.take(now_us, effect):
            self.tally.actions += 1
            self.tally.answered(answer)

    async def _perform(self, request: EffectRequest) -> EffectResult:
        async with self._slots.taken(request.id):
            return await performed(request, self._performer_of(request.performer))

    def _rank(self, now_us: int, principal: str) -> bytes:
        """A permutation of the principals, seeded for this instant: nobody wins by its name."""
        text = f"{self.world.config.seed}/{now_us}/{principal}"
        return blake2b(text.encode(), digest_size=8).digest()

    def _moment(self, began_us: int, thoughts: dict[str, asyncio.Task[Decision]]) -> None:
        """Everything that happened by now on the wall clock; `began_us` is the clock's zero."""
        world = self.world
        now_us = max(began_us + time.monotonic_ns() // 1_000, world.state.now_us)
        world.advance(now_us)
        landed, self._landed = self._landed, []
        for id in landed:
            flight = self._flights.pop(id)
            self._settle(id, flight.task.result(), now_us)
        if self.asks.has_new():
            self._take_asked(now_us)
        for principal, thought in list(thoughts.items()):
            if thought.done():
                del thoughts[principal]
                if world.state.agenda.when_us(principal) is not None:
                    self._act(principal, thought.result(), now_us)
        now_us = max(began_us + time.monotonic_ns() // 1_000, now_us)  # the settled may go on
        for principal in world.due(now_us):
            if principal in thoughts:
                continue
            loop = self.loops[principal]
            forced = loop.ready(world, now_us)
            if forced is not None:
                self._act(principal, forced, now_us)
            elif loop.at_once:
                self._act(principal, loop.choose(world, now_us), now_us)
            else:
                thoughts[principal] = self._begun(self._think(loop, now_us))
        self._launch()
        if self._store.pending:
            self._store.commit()

    def _next_loop_us(self, thoughts: Mapping[str, object]) -> int | None:
        agenda = self.world.state.agenda
        if not thoughts:
            return self.world.next_due_us()
        times = (agenda.when_us(p) for p in agenda.due_us if p not in thoughts)
        return min((at for at in times if at is not None), default=None)

    async def _breathe(self) -> None:
        """Now and then, let signals, servers and the view have a moment."""
        now_s = time.monotonic()
        if now_s - self._breathed_s >= _BREATH_S:
            self._breathed_s = now_s
            self._on_progress()
            await asyncio.sleep(0)

    async def _land(self) -> None:
        """Commit what happened, and abandon what is in flight; it stays pending in the log."""
        try:
            self._store.commit()
            self.is_ending = True
            self._on_progress()
        finally:
            tasks = [flight.task for flight in self._flights.values()]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=self._drive.stop_timeout_s)
            self._flights.clear()


def _as_recorded(envelope: Envelope, entry: Entry | Malformed) -> Action | Rest | None:
    """The action as its loop finds it in the log again: in normal form, with its content in full."""
    if isinstance(entry, Malformed):
        return None
    action = entry.envelope.action
    if isinstance(action, Write) and isinstance(envelope.action, Write):
        return msgspec.structs.replace(action, content=envelope.action.content)
    return action
