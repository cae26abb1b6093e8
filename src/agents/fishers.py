"""Owns the mind that lives off a commons: it votes for a rule, looks, takes its part, waits.

It must not know how a pond grows or what a rule allows: the pond tells the one, refusals the other.
"""

from __future__ import annotations

from typing import Any

from ..world import Done, Failed, Invoke, Refused, Sleep, Stop
from .mind import Decision, Observation, Rules

_SECOND_US = 1_000_000


class Fisher(Rules):
    """Casts as many nets a round as its params say, or as the rule lets it, until the pond is dead.

    Params: ``pond``, the artifact with ``look`` and ``cast``; ``round_s``, how long a round is (5);
    ``nets``, how many it casts in one (2), and ``more``, the chance that it casts one more (0). With
    ``rule`` it votes there before the first round: everybody should cast ``vote`` nets at most (2).
    """

    def choose(self, o: Observation) -> Decision:
        """Before the first round a vote; then one more net, or the next round."""
        params = o.params()
        pond, nets = params.get("pond", "pond"), params.get("nets", 2)
        round_us = int(params.get("round_s", 5) * _SECOND_US)
        this_round = o.now_us // round_us
        if this_round == 0:
            return self.before(o, params, round_us)
        last = o.recent[-1] if o.recent else None
        seen = seen_in(last.answer) if last is not None else None
        if seen is None or seen["round"] != this_round:
            if last is not None and isinstance(last.answer, Refused | Failed):
                return Sleep((this_round + 1) * round_us)
            return Invoke(pond, "look")
        if seen["collapsed"]:
            return Stop("the pond is dead")
        if seen["round"] > seen["rounds"]:
            return Stop("the rounds are over")
        cast = seen["nets"].get(o.principal, 0)
        wants_more = cast == nets and o.chance().random() < params.get("more", 0)
        if cast < nets or wants_more:
            return Invoke(pond, "cast")
        return Sleep((this_round + 1) * round_us)

    def before(self, o: Observation, params: dict[str, Any], round_us: int) -> Decision:
        """Vote in the second half of the time before the first round, when there is a rule."""
        has_voted = any(isinstance(turn.action, Invoke) for turn in o.recent)
        if "rule" not in params or has_voted:
            return Sleep(round_us)
        if o.now_us < round_us // 2:
            return Sleep(round_us // 2)
        return Invoke(params["rule"], "vote", {"nets": params.get("vote", 2)})


def seen_in(answer: Any) -> dict[str, Any] | None:
    """What a pond told, or None where an answer is none of a pond's."""
    result = answer.result if isinstance(answer, Done) else None
    return result if isinstance(result, dict) and "round" in result else None
