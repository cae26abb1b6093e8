"""Owns what a mind is: one Protocol, what it sees, and what it may answer.

Rules, scripts, models, people and recordings are minds. A mind keeps no state that matters: what
it must remember stands in artifacts or in its recent turns, so a resumed run equals one that was
never interrupted. Chance comes from the observation and from nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, runtime_checkable

from ..world import Action, Answer, Envelope, Rest, Stop

Decision = Action | Rest | Envelope
"""What a mind answers: an action, a rest, or an action with its own bounds on price and compute."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier step of the mind's own loop: what it did and what came of it.

    Attributes:
        action: None for one that was malformed or too large, and is kept nowhere.
    """

    action: Action | Rest | None
    answer: Answer


@dataclass(frozen=True, slots=True)
class Observation:
    """What a mind sees when it is its turn.

    Attributes:
        now_us: world time. step: how many steps its loop took before.
        scrip: what it can spend. remaining: what is left of each of its quotas, now.
        content: the content of its own artifact: its configuration.
        recent: its last turns, oldest first.
        signals: what operators told it since its last step.
        seed: what its chance comes from, together with its name and the step.
        decisions: how many of those steps its mind decided: without the rests that its loop took for
            it, and without what was turned away for want of compute.
    """

    principal: str
    now_us: int
    step: int
    scrip: int
    remaining: Mapping[str, int]
    content: str
    recent: tuple[Turn, ...]
    signals: tuple[str, ...]
    seed: int
    decisions: int = 0

    def chance(self) -> Random:
        """Chance for this step: the same for the same seed, principal and step."""
        return Random(f"{self.seed}/{self.principal}/{self.step}")

    def params(self) -> dict[str, Any]:
        """The parameters in its own artifact; empty when that holds none."""
        try:
            content = json.loads(self.content)
        except ValueError:
            return {}
        params = content.get("params") if isinstance(content, dict) else None
        return params if isinstance(params, dict) else {}


class Mind(Protocol):
    """Decides, one step at a time."""

    async def decide(self, observation: Observation) -> Decision:
        """The next step. May take real time; must not act on the world by other ways."""


@runtime_checkable
class QuickMind(Protocol):
    """A mind that decides at once. ``decide`` of the same mind must answer the same."""

    def choose(self, observation: Observation) -> Decision:
        """The next step, without waiting for anything."""


class Rules:
    """Base of minds that are rules: subclasses say ``choose``."""

    def choose(self, observation: Observation) -> Decision:
        """The next step."""
        raise NotImplementedError

    async def decide(self, observation: Observation) -> Decision:
        """The next step."""
        return self.choose(observation)


class Scripted(Rules):
    """A mind that goes through a list of decisions, then stops; made from data or by a function."""

    def __init__(self, decisions: list[Decision] | Callable[[Observation], Decision]) -> None:
        self._decisions = decisions

    def choose(self, observation: Observation) -> Decision:
        """The decision whose turn it is."""
        if callable(self._decisions):
            return self._decisions(observation)
        if observation.decisions < len(self._decisions):
            return self._decisions[observation.decisions]
        return Stop("the script is over")
