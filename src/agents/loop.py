"""Owns the one loop: observe, decide, act, with hard budgets, back-off and wake conditions.

The loop knows the world and its mind, and performs nothing itself: it gives the runner the next
envelope, and is told what came of it. Everything that it remembers can be found again in the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from ..world import (
    Action,
    Answer,
    Code,
    Delete,
    Edit,
    Envelope,
    Fault,
    Invoke,
    Refused,
    Rest,
    Sleep,
    Stop,
    World,
    Write,
)
from .mind import Decision, Mind, Observation, QuickMind, Turn

_UNKEPT = frozenset((Code.MALFORMED, Code.CONTENT_TOO_LARGE))
"""Refusals of actions that are not in the log, or need not be."""
_NEVER_US = 2**53


@dataclass(frozen=True, slots=True)
class Budget:
    """What one loop may do at most; None is without a bound.

    Attributes:
        deadline_us: world time at which it stops.
        steps_max, tool_calls_max, writes_max: over the whole run. A tool call is an
            invocation that waited for an effect; a write, edit or deletion counts if it began.
        repeats_max: repetitions of one action in a row, after which it backs off.
        backoff_us, backoff_max_us: the first rest, doubled with every further repetition.
        recent_turns: how many turns a mind sees.
    """

    deadline_us: int | None = None
    steps_max: int | None = None
    tool_calls_max: int | None = None
    writes_max: int | None = None
    repeats_max: int = 3
    backoff_us: int = 1_000_000
    backoff_max_us: int = 30_000_000
    recent_turns: int = 8


class Loop:
    """The loop of one agent.

    Attributes:
        mind: what its content made; see ``wake``.
        at_once: whether its mind decides without waiting, so that no task is needed for it.
    """

    mind: Mind
    at_once: bool

    def __init__(self, principal: str, make: Callable[[str], Mind], budget: Budget) -> None:
        """A loop without a mind.

        Args:
            principal: the agent.
            make: makes a mind of the content of its artifact, or raises a ``Fault``.
            budget: what it may do at most.
        """
        self.principal = principal
        self.budget = budget
        self._make = make
        self._content: object = None
        self.steps = 0
        self.decisions = 0
        self.tool_calls = 0
        self.writes = 0
        self.repeats = 0
        self._recent: deque[Turn] = deque(maxlen=budget.recent_turns)
        self._rested = False
        self._short: Refused | None = None
        self._last: Action | Rest | None = None
        self._waiting: Action | Rest | None = None

    def wake(self, world: World) -> None:
        """Make its mind of what its artifact holds now, unless that made the mind that it has.

        Raises:
            Fault: that names no mind that can be made.
        """
        content = world.state.artifacts.by_id[self.principal].content
        if content != self._content:
            mind = self._make(world.text(content))
            self.mind, self.at_once, self._content = mind, isinstance(mind, QuickMind), content

    def observe(self, world: World, now_us: int) -> Observation:
        """What the mind sees at ``now_us``, which is not before the last record."""
        state = world.state
        agenda, artifact = state.agenda, state.artifacts.by_id[self.principal]
        return Observation(
            self.principal,
            now_us,
            agenda.steps[self.principal],
            state.ledger.available(self.principal),
            {
                name: state.resources.remaining(self.principal, name, now_us)
                for name in state.resources.kinds
            },
            world.text(artifact.content),
            tuple(self._recent),
            tuple(agenda.signals.get(self.principal, ())),
            world.config.seed,
            self.decisions,
        )

    def choose(self, world: World, now_us: int) -> Decision:
        """What a quick mind does next. A mind that raises is stopped, and says why."""
        observation = self.observe(world, now_us)
        try:
            return cast(QuickMind, self.mind).choose(observation)
        except Exception as error:  # a mind is a stranger's code: it must not end the run
            return _stop("its mind broke: " + type(error).__name__, error)

    async def decide(self, world: World, now_us: int) -> Decision:
        """What the mind does next. A mind that raises is stopped, and says why."""
        observation = self.observe(world, now_us)
        try:
            return await self.mind.decide(observation)
        except TimeoutError:
            raise
        except Exception as error:  # a mind is a stranger's code: it must not end the run
            return _stop("its mind broke: " + type(error).__name__, error)

    def ready(self, world: World, now_us: int) -> Rest | None:
        """What the loop does without asking its mind; None where its mind is to decide.

        Its content is whoever's its contract lets write it: where that makes no mind, it stops.
        """
        forced = self.forced(now_us)
        if forced is None:
            try:
                self.wake(world)
            except Fault as error:
                return _stop("its content makes no mind", error)
        return forced

    def forced(self, now_us: int) -> Rest | None:
        """What its budget has it do: stop at a bound, sleep off a repetition."""
        budget = self.budget
        bounds = (
            ("deadline", budget.deadline_us, now_us),
            ("steps_max", budget.steps_max, self.steps),
            ("tool_calls_max", budget.tool_calls_max, self.tool_calls),
            ("writes_max", budget.writes_max, self.writes),
        )
        for name, bound, reached in bounds:
            if bound is not None and reached >= bound:
                return Stop(f"its budget {name} of {bound} is reached")
        if self._short is not None:
            return self._wait_for_compute(now_us, self._short.retry_after_us)
        if self._is_stuck:
            rest_us = budget.backoff_us << min(self.repeats - budget.repeats_max, 30)
            return Sleep(now_us + min(rest_us, budget.backoff_max_us), (self.principal,))
        return None

    @property
    def _is_stuck(self) -> bool:
        """Whether it repeats itself, and has not rested since."""
        return self.repeats >= self.budget.repeats_max and not self._rested

    def envelope(self, decision: Decision) -> Envelope:
        """The mind's decision as this principal's envelope."""
        if isinstance(decision, Envelope):
            return Envelope(
                self.principal,
                decision.action,
                decision.price_max_scrip,
                decision.compute_max,
                decision.idempotency_key,
            )
        return Envelope(self.principal, decision)

    def noted(self, action: Action | Rest | None, answer: Answer) -> None:
        """Remember what came of a step; one that waits is remembered when it is settled.

        Args:
            action: None where the log could not keep it; the answer then says so, and the loop
                forgets the action too, so that it is after a restart what it was before.
            answer: what came of it.
        """
        self.steps += 1
        if isinstance(answer, Refused) and answer.code == Code.ADMISSION_EXCEEDED:
            self._short = answer
            return
        forced = isinstance(action, Sleep) and (self._short is not None or self._is_stuck)
        self.decisions += not forced
        self.writes += isinstance(action, Write | Edit | Delete) and not isinstance(answer, Refused)
        unkept = isinstance(answer, Refused) and answer.code in _UNKEPT
        self._remember(None if unkept else action, answer)

    def waits(self, action: Action | Rest) -> None:
        """Remember a step that waits for an effect."""
        self.steps += 1
        self.decisions += 1
        self.tool_calls += isinstance(action, Invoke)
        self._waiting = action

    def settled(self, answer: Answer) -> None:
        """Remember the answer that a waiting step got."""
        assert self._waiting is not None, self.principal
        action, self._waiting = self._waiting, None
        self._remember(action, answer)

    def _remember(self, action: Action | Rest | None, answer: Answer) -> None:
        short, self._short = self._short, None
        if isinstance(action, Sleep):
            self._rested = True
            if short is not None:
                return  # it waited for compute; the mind goes on where it was
        else:
            self._rested = False
            again = action is not None and action == self._last
            self.repeats = self.repeats + 1 if again else 0
            self._last = action
        self._recent.append(Turn(action, answer))

    def _wait_for_compute(self, now_us: int, retry_after_us: int | None) -> Sleep:
        """Sleep until it has compute again, or, where time alone brings none, until it is given some."""
        if retry_after_us is None:
            return Sleep(self.budget.deadline_us or _NEVER_US, (self.principal,))
        return Sleep(now_us + max(retry_after_us, 1), (self.principal,))


def _stop(why: str, error: Exception) -> Stop:
    text = " ".join(str(error).split())[:200].encode(errors="replace").decode()
    return Stop(f"{why}: {text}")
