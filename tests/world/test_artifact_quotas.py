"""What all callers together may use of an artifact with effects, and what its handler refuses."""

from typing import Any

import pytest

from scripworld.world import Code, Failed, NativeFault, Waiting, World

from .lab import Lab, config, natives


@pytest.fixture
def limited() -> Lab:
    return Lab(artifact_quotas={"oracle": {"tokens": 20, "budget": 1_000}})


def test_callers_together_use_no_more_than_the_artifact_allows(limited: Lab):
    assert isinstance(limited.invoke("alice", "oracle", "ask"), Waiting)
    assert isinstance(limited.invoke("bob", "oracle", "ask"), Waiting)

    refused = limited.refuses(
        Code.QUOTA_EXCEEDED, lambda: limited.invoke("bob", "oracle", "ask"), charged=1
    )

    assert "oracle has 0 left for everybody: wait 10 s" in refused.detail
    assert refused.retry_after_us == 10_000_000
    limited.check()


def test_what_the_artifact_allows_comes_back_with_the_window(limited: Lab):
    limited.invoke("alice", "oracle", "ask")
    limited.invoke("bob", "oracle", "ask")
    limited.pass_us(10_000_000)

    assert isinstance(limited.invoke("alice", "oracle", "ask"), Waiting)
    limited.check()


def test_what_does_not_come_back_is_told_as_used_up():
    lab = Lab(artifact_quotas={"oracle": {"budget": 100}})
    lab.invoke("alice", "oracle", "ask")

    refused = lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.invoke("bob", "oracle", "ask"))

    assert refused.retry_after_us is None
    assert refused.detail.endswith("oracle has 0 left for everybody: it is used up")
    lab.check()


def test_a_method_that_costs_nothing_limited_is_not_limited(limited: Lab):
    for _ in range(5):
        assert isinstance(limited.invoke("alice", "oracle", "cheap"), Waiting)
    limited.check()


@pytest.mark.parametrize(
    ("quotas", "told"),
    [
        ({"nobody": {"tokens": 1}}, "there is no genesis artifact 'nobody'"),
        ({"oracle": {"luck": 1}}, "luck: 1 is no limit"),
        ({"oracle": {"stored_bytes": 1}}, "stored_bytes: 1 is no limit"),
        ({"oracle": {"tokens": 0}}, "tokens: 0 is no limit"),
        ({"oracle": {"tokens": 2**63}}, "is no limit"),
    ],
)
def test_a_limit_of_what_is_not_there_is_told(quotas: dict[str, Any], told: str):
    lab = Lab()

    with pytest.raises(ValueError, match=told):
        World.begin(config(artifact_quotas=quotas), natives(), lab.log, lab.runner, "test")


def test_a_handler_refuses_before_anything_is_held(lab: Lab):
    refused = lab.refuses(
        Code.ARGUMENTS_INVALID, lambda: lab.invoke("alice", "oracle", "turn_down")
    )

    assert refused.detail == "ask for something else"
    assert lab.scrip("alice", "bob") == [1_000, 500]
    lab.check()


def test_a_handler_that_fails_is_charged(lab: Lab):
    assert isinstance(lab.invoke("alice", "oracle", "decline"), Failed)
    assert lab.used("alice") == 4


# What a handler says that its effect takes.


def test_a_handler_says_what_its_effect_takes_and_that_is_held(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "weigh", question={"compute": 40, "tokens": 30})

    assert isinstance(waiting, Waiting)
    tracker = lab.state.resources.tracker
    assert (tracker.held("alice", "compute"), tracker.held("alice", "tokens")) == (40, 30)
    assert lab.state.resources.held_of("alice", "budget") == 0
    lab.settle(waiting, 1, usage={"compute": 25})
    assert lab.used("alice") == 1 + 25
    assert lab.used("alice", "tokens") == 30
    lab.check()


def test_an_effect_that_takes_more_than_there_is_is_refused(lab: Lab):
    for amounts, told in (({"compute": 100}, "100 compute"), ({"tokens": 51}, "51 tokens")):
        refused = lab.refuses(
            Code.QUOTA_EXCEEDED,
            lambda amounts=amounts: lab.invoke("alice", "oracle", "weigh", question=amounts),
        )
        assert told in refused.detail
    lab.check()


@pytest.mark.parametrize("amounts", [{"luck": 1}, {"stored_bytes": 1}, {"tokens": -1}])
def test_what_cannot_be_held_is_a_fault_of_the_artifact(amounts: dict[str, int]):
    lab = Lab()
    with pytest.raises(NativeFault, match="oracle weigh cannot hold"):
        lab.invoke("alice", "oracle", "weigh", question=amounts)
