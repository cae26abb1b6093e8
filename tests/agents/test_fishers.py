import json
from typing import Any

import pytest

from scripworld.agents.fishers import Fisher
from scripworld.agents.mind import Observation, Turn
from scripworld.world import Code, Done, Invoke, Refused, Sleep, Stop

SECOND_US = 1_000_000
LOOK, CAST = Invoke("pond", "look"), Invoke("pond", "cast")
VOTE = Invoke("rule", "vote", {"nets": 2})
NO = Refused(Code.PERMISSION_DENIED, "at most 2 nets a round each")


def choose(now_s: float, *turns: Turn, **params: Any) -> Any:
    given = {"pond": "pond", "round_s": 5, "nets": 2, **params}
    content = json.dumps({"mind": "fisher", "params": given})
    now_us = int(now_s * SECOND_US)
    return Fisher().choose(Observation("ann", now_us, 7, 0, {}, content, turns, (), 1))


def seen(action: Invoke = LOOK, round: int = 1, nets: int = 0, **more: Any) -> Turn:
    told = {"round": round, "rounds": 12, "nets": {"ann": nets, "ben": 9}, "collapsed": 0}
    return Turn(action, Done(told | more))


@pytest.mark.parametrize(
    ("decision", "wanted"),
    [
        (choose(0), Sleep(5 * SECOND_US)),
        (choose(4.9, rule="rule", vote=2), VOTE),
        (choose(1, rule="rule", vote=2), Sleep(2_500_000)),
        (choose(3, Turn(VOTE, Done({})), rule="rule", vote=2), Sleep(5 * SECOND_US)),
        (choose(5), LOOK),
        (choose(5, Turn(VOTE, Done({"ann": 2}))), LOOK),
        (choose(5.1, seen()), CAST),
        (choose(5.2, seen(CAST, nets=1)), CAST),
        (choose(5.3, seen(CAST, nets=2)), Sleep(10 * SECOND_US)),
        (choose(10, seen(CAST, nets=2)), LOOK),
        (choose(10.1, seen(round=2)), CAST),
        (choose(5.3, seen(CAST, nets=2), Turn(CAST, NO)), Sleep(10 * SECOND_US)),
        (choose(10, Turn(CAST, NO), Turn(Sleep(10 * SECOND_US), Done())), LOOK),
        (choose(5.2, seen(CAST, collapsed=1)), Stop("the pond is dead")),
        (choose(65.1, seen(round=13)), Stop("the rounds are over")),
    ],
)
def test_a_fisher_votes_looks_casts_and_waits_for_the_next_round(decision: Any, wanted: Any):
    assert decision == wanted


def test_a_fisher_casts_at_most_one_net_more_than_it_is_used_to():
    assert choose(5.3, seen(CAST, nets=2), more=1) == CAST
    assert choose(5.4, seen(CAST, nets=3), more=1) == Sleep(10 * SECOND_US)
