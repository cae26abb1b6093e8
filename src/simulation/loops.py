"""Owns the loops of a run: one for every agent, also for one that is made while it runs.

What a loop remembers is found again in the log, and its mind in the content of its agent, so a run
that is resumed goes on as if it had never ended.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..adapters.event_store import SqliteEventLog
from ..agents.loop import Budget, Loop
from ..agents.mind import Mind
from ..world import (
    ConfigurationFault,
    Envelope,
    Malformed,
    Settle,
    Waiting,
    World,
    read_records,
)
from .config import Config
from .minds import MindFactory, mind_named, mind_of
from .scenario import Scenario


class Loops(dict[str, Loop]):
    """The loops by principal; the loop of an agent that came later is made when it is asked for."""

    def __init__(
        self,
        world: World,
        store: SqliteEventLog,
        config: Config,
        scenario: Scenario,
        minds: Mapping[str, Mind | MindFactory],
    ) -> None:
        """The loops of the agents that there are, with what they did before.

        Raises:
            ConfigurationFault: a mind that the scenario names cannot be made. What agents wrote
                into each other stops them alone, when it is their turn.
        """
        super().__init__()
        self._minds = minds
        agents = config.agents
        self._budget = Budget(
            deadline_us=agents.deadline_us,
            steps_max=agents.steps_max,
            tool_calls_max=agents.tool_calls_max,
            writes_max=agents.writes_max,
            repeats_max=agents.repeats_max,
            backoff_us=agents.backoff_us,
            backoff_max_us=agents.backoff_max_us,
            recent_turns=agents.recent_turns,
        )
        named = {entry.mind for entry in scenario.agents}
        for principal in world.state.agenda.due_us:
            try:
                self[principal].wake(world)
            except ConfigurationFault:
                content = world.text(world.state.artifacts.by_id[principal].content)
                if mind_named(principal, content) in named:
                    raise
        if world.state.seq > 0:
            self._remember(store)

    def __missing__(self, principal: str) -> Loop:
        make = lambda content: mind_of(principal, content, self._minds)  # noqa: E731
        loop = self[principal] = Loop(principal, make, self._budget)
        return loop

    def _remember(self, store: SqliteEventLog) -> None:
        """Go through the log once and tell every loop what it did before."""
        waiting: dict[str, str] = {}
        for record in read_records(store.records(), store):
            given, answer = record.input, record.answer
            if isinstance(given, Envelope) and given.principal in self and answer is not None:
                if given.principal in waiting.values():
                    continue  # its tool server asked for this: it was not its own decision
                loop = self[given.principal]
                if isinstance(answer, Waiting):
                    waiting[answer.effect_id] = given.principal
                    loop.waits(given.action)
                else:
                    loop.noted(given.action, answer)
            elif isinstance(given, Malformed) and given.principal in self and answer is not None:
                self[given.principal].noted(None, answer)
            elif isinstance(given, Settle) and given.effect_id in waiting and answer is not None:
                principal = waiting.pop(given.effect_id)
                if isinstance(answer, Waiting):
                    waiting[answer.effect_id] = principal
                else:
                    self[principal].settled(answer)
