"""Owns minds that are written as steps: a generator that is run again at each one. Knows no scenario.

A work yields what to do next, is sent what came of it, and gets the world's no as a ``DeniedError``.
It is run again at each step with the answers since the last rest, as frames that waited are. So a
plan reads from top to bottom, and the mind keeps nothing. What it decides may depend on answers and
on its chance; where a second run would do something else than the first, the work is given up.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from ..world import Answer, Done, Envelope, Sleep, Stop
from .mind import Decision, Observation, Rules, Turn

SECOND_US: Final = 1_000_000
_REST_S: Final = 2.0

Steps = Generator[Decision, Any, Any]
"""A work: yields decisions, is sent the results of those that were done."""


class DeniedError(Exception):
    """The world's no to a step."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(getattr(answer, "detail", ""))
        self.retry_after_us: int | None = getattr(answer, "retry_after_us", None)


@dataclass(frozen=True, slots=True)
class Work:
    """What a work knows besides the answers.

    Attributes:
        number: no other work of this agent has it; part of the ids that it gives.
        chance: the same each time that the work is run again.
        now_us, scrip: as they are at the last of its steps.
    """

    me: str
    number: int
    chance: Random
    now_us: int
    scrip: int
    params: dict[str, Any] = field(default_factory=dict)

    def about(self, amount: float, spread: float = 0.25) -> int:
        """About that much, and at least 1."""
        return max(1, round(amount * self.chance.uniform(1 - spread, 1 + spread)))


class Stepwise(Rules):
    """Goes through a work, rests, and begins the next. Params: ``rest_s``, about how long a rest is.

    A work of more steps than ``agents.recent_turns`` is never finished.
    """

    def choose(self, o: Observation) -> Decision:
        """The next step of the work that began after the last rest."""
        begun = _begun(o)
        if begun is None:
            return self.rest(o)
        number, turns = begun
        chance = Random(f"{o.seed}/{o.principal}/{number}")
        work = Work(o.principal, number, chance, o.now_us, o.scrip, o.params())
        try:
            decision = _run_again(self.work(work), turns)
        except DeniedError as no:
            return self.rest(o, no.retry_after_us or 0)
        return self.rest(o) if decision is None else decision

    def work(self, w: Work) -> Steps:
        """The steps of one work."""
        raise NotImplementedError

    def rest(self, o: Observation, least_us: int = 0) -> Sleep:
        """A rest, a little longer or shorter each time."""
        rest_us = o.params().get("rest_s", _REST_S) * SECOND_US * o.chance().uniform(0.6, 1.4)
        return Sleep(o.now_us + max(least_us, int(rest_us), 1))


def _begun(o: Observation) -> tuple[int, list[Turn]] | None:
    """The number of the present work and its turns; None where its beginning is forgotten."""
    turns: list[Turn] = []
    for turn in reversed(o.recent):
        if isinstance(turn.action, Sleep):
            return turn.action.until_us, turns
        turns.insert(0, turn)
    return (0, turns) if len(turns) == o.decisions else None


def _run_again(steps: Steps, turns: Sequence[Turn]) -> Decision | None:
    """The step after these turns; None where the work is over, or would have gone another way."""
    try:
        decision = next(steps)
        for turn in turns:
            if not _is_same(decision, turn):
                return None
            if isinstance(turn.answer, Done):
                decision = steps.send(turn.answer.result)
            else:
                decision = steps.throw(DeniedError(turn.answer))
    except StopIteration:
        return None
    return decision


def _is_same(decision: Decision, turn: Turn) -> bool:
    """Whether a step is the one that was taken; its arguments may tell a later time or balance."""
    action = decision.action if isinstance(decision, Envelope) else decision
    if isinstance(action, Sleep | Stop) or type(action) is not type(turn.action):
        return False
    names = ("id", "method")
    return all(getattr(action, name, "") == getattr(turn.action, name, "") for name in names)
