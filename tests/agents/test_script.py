import json
from typing import Any

import pytest

from scripworld.agents.mind import Observation
from scripworld.agents.script import Script
from scripworld.world import (
    Contract,
    Delete,
    Edit,
    Envelope,
    Invoke,
    Read,
    Sleep,
    Stop,
    Tool,
    Write,
)


def choose(steps: Any, decisions: int = 0) -> Any:
    content = json.dumps({"mind": "script", "params": {"steps": steps}})
    seen = Observation("ann", 5_000_000, 99, 10, {}, content, (), (), 7, decisions)
    return Script().choose(seen)


@pytest.mark.parametrize(
    ("step", "decision"),
    [
        ({"read": "poem"}, Read("poem")),
        ({"delete": "poem"}, Delete("poem")),
        ({"edit": {"id": "poem", "old": "a", "new": "b"}}, Edit("poem", "a", "b")),
        ({"invoke": ["shop", "open"]}, Invoke("shop", "open", {})),
        ({"invoke": ["shop", "buy", {"n": 2}]}, Invoke("shop", "buy", {"n": 2})),
        ({"sleep_s": 0.5}, Sleep(5_500_000)),
        ({"until_s": 9}, Sleep(9_000_000)),
        ({"write": {"id": "poem"}}, Write("poem", "")),
        (
            {
                "write": {
                    "id": "shop",
                    "content": "def go(): return 1",
                    "description": "a shop",
                    "type": "code",
                    "contract": {"id": "pay_per_use", "price_scrip": 3},
                    "interface": [{"name": "go", "inputSchema": {"type": "object"}}],
                }
            },
            Write(
                "shop",
                "def go(): return 1",
                "a shop",
                "code",
                Contract("pay_per_use", 3),
                (Tool("go", "", {"type": "object"}),),
            ),
        ),
        (
            {"read": "poem", "price_max_scrip": 4, "compute_max": 9, "idempotency_key": "k"},
            Envelope("ann", Read("poem"), 4, 9, "k"),
        ),
        ({"sleep_s": 1, "price_max_scrip": 4}, Sleep(6_000_000)),
    ],
)
def test_a_step_is_a_decision(step: dict[str, Any], decision: Any):
    assert choose([step]) == decision


def test_steps_are_taken_in_order_and_repeated_as_often_as_they_say():
    steps = [{"read": "a", "times": 2}, {"read": "never", "times": 0}, {"read": "b"}]

    taken = [choose(steps, step) for step in range(4)]

    assert taken == [Read("a"), Read("a"), Read("b"), Stop("the script is over")]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (None, "its params hold no list of steps"),
        (["read"], "step 1: it is 'read', not an action with its arguments"),
        ([{"read": "a", "times": 0}, {}], "step 2: it has nothing: give it one of read, write"),
        ([{"dance": 1}], "step 1: it has dance: give it one of read"),
        ([{"read": "a", "delete": "b"}], "step 1: it has read, delete: give it one of"),
        ([{"read": 5}], "step 1: read: 5 is no text"),
        ([{"read": "a", "times": -1}], "step 1: times is a number from 0 to 10000, not -1"),
        ([{"invoke": "shop"}], "step 1: invoke: invoke is a list"),
        ([{"invoke": ["shop", "go", [1]]}], "the arguments are given by name"),
        ([{"write": "poem"}], "it takes id, content"),
        ([{"write": {"content": "x"}}], "step 1: write: id is missing"),
        ([{"write": {"id": "x", "contents": "x"}}], "there is no 'contents': it takes id"),
        ([{"write": {"id": "x", "interface": 5}}], "step 1: write: Expected `array`, got `int`"),
        ([{"write": {"id": "x", "contract": {"id": 5}}}], "step 1: write: Expected `str`"),
        ([{"sleep_s": -1}], "a time is a number of seconds from 0, not -1"),
        ([{"until_s": True}], "a time is a number of seconds from 0, not True"),
    ],
)
def test_a_step_that_cannot_be_read_stops_the_agent_with_the_reason(steps: Any, reason: str):
    stopped = choose(steps)

    assert isinstance(stopped, Stop)
    assert reason in stopped.reason
