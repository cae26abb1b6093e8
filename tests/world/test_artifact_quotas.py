"""What all callers together may use of an artifact with effects, and what its handler refuses."""

from typing import Any

import pytest

from scripworld.world import Code, Failed, Waiting, World

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
