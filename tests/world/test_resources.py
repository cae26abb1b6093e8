import pytest

from scripworld.world import Cost, Done, Resource, SetLimit, Waiting
from scripworld.world.facts import (
    Allocated,
    LimitSet,
    Overran,
    QuotaTransferred,
    ResourceHeld,
    ResourcePosted,
    ResourceUsed,
)
from scripworld.world.resources import Resources

from .lab import Lab


@pytest.fixture
def resources() -> Resources:
    resources = Resources(
        {
            "compute": Resource("renewable", 10),
            "budget": Resource("depletable"),
            "bytes": Resource("allocatable"),
        }
    )
    for name in resources.kinds:
        resources.limit_set(LimitSet("alice", name, 100))
    return resources


@pytest.mark.parametrize("name", ["compute", "budget", "bytes"])
def test_every_kind_answers_the_same_questions(resources: Resources, name: str):
    assert resources.limit("alice", name) == 100
    assert resources.limit("bob", name) == 0
    assert resources.remaining("bob", name, 0) == 0

    resources.held(ResourceHeld(1, "alice", {name: 30}))
    assert resources.held_of("alice", name) == 30
    assert resources.held_of("bob", name) == 0
    assert resources.remaining("alice", name, 0) == 70
    resources.posted(ResourcePosted(1, {name: 20}), 0)
    assert resources.remaining("alice", name, 0) == 80

    resources.used(ResourceUsed("alice", name, 70), 0)
    resources.used(Overran("alice", name, 20), 0)
    assert resources.remaining("alice", name, 0) == -10


@pytest.mark.parametrize("used", [31, -1])
def test_no_more_is_posted_than_was_held(resources: Resources, used: int):
    resources.held(ResourceHeld(1, "alice", {"compute": 30}))

    with pytest.raises(AssertionError):
        resources.posted(ResourcePosted(1, {"compute": used}), 0)


def test_what_the_input_under_way_used_counts_for_everyone_who_asks(resources: Resources):
    resources.begin("alice")
    resources.pending_compute = 40
    resources.pend("budget", 10)

    assert resources.remaining("alice", "compute", 0) == 60
    assert resources.remaining("alice", "budget", 0) == 90
    assert resources.take_pending() == [("budget", 10), ("compute", 40)]
    assert resources.remaining("alice", "compute", 0) == 100


def test_the_wait_leaves_time_for_what_was_used_in_vain(resources: Resources):
    resources.used(ResourceUsed("alice", "compute", 30), 0)
    resources.begin("alice")
    resources.pending_compute = 20

    # now 50 are there; to try again needs 20 more, and 20 were used in vain; at 10 the first 30 are back
    assert resources.time_until("alice", "compute", 30, 5) == 0
    assert resources.time_until("alice", "compute", 31, 5) == 5
    assert resources.time_until("alice", "compute", 60, 5) == 5
    # at 15 everything is back
    assert resources.time_until("alice", "compute", 61, 5) == 10
    assert resources.time_until("alice", "compute", 80, 5) == 10
    assert resources.time_until("alice", "compute", 81, 5) is None
    assert resources.time_until("alice", "budget", 100, 5) == 0
    assert resources.time_until("alice", "budget", 101, 5) is None


def test_a_right_to_use_moves_and_the_sum_stays(resources: Resources):
    for name in resources.kinds:
        fact = QuotaTransferred("alice", "bob", name, 100)
        resources.quota_transferred(fact)
        assert (resources.limit("alice", name), resources.limit("bob", name)) == (0, 100)
        resources.quota_untransferred(fact, None)
        assert (resources.limit("alice", name), resources.limit("bob", name)) == (100, 0)


def test_what_is_allocated_is_given_back(resources: Resources):
    resources.allocated(Allocated("alice", "bytes", 60))
    resources.allocated(Allocated("alice", "bytes", -20))
    assert resources.remaining("alice", "bytes", 0) == 60

    resources.unallocated(Allocated("alice", "bytes", 40), None)
    assert resources.stocks["bytes"].used == {}


def test_a_plain_method_can_cost_any_resource(new_lab):
    costs = {"bank": {"lend": Cost({"tokens": 20, "budget": 5, "compute": 1})}}
    lab: Lab = new_lab(costs=costs)

    assert lab.invoke("alice", "bank", "lend") == Done("lent")
    assert lab.invoke("alice", "bank", "lend") == Done("lent")
    refused = lab.invoke("alice", "bank", "lend")

    assert refused.retry_after_us == 10_000_000
    assert lab.state.resources.remaining("alice", "budget", 0) == 490
    assert lab.state.resources.remaining("alice", "tokens", 0) == 10


def test_quotas_never_make_more_than_there_was_in_one_window(lab: Lab):
    """What was used cannot be given, so the sum over all principals keeps to the limits too."""
    for giver, taker in (("alice", "bob"), ("bob", "carol"), ("carol", "alice")):
        for _ in range(3):
            waiting = lab.invoke(giver, "oracle", "cheap")
            if isinstance(waiting, Waiting):
                lab.settle(waiting, 1)
        left = lab.state.resources.remaining(giver, "compute", 0) - 2
        lab.invoke(giver, "bank", "give_quota", to=taker, resource="compute", amount=left)

    used = sum(lab.used(who) for who in ("alice", "bob", "carol", "dave"))
    limits = sum(lab.state.resources.limit(who, "compute") for who in ("alice", "bob", "carol"))
    assert used <= limits == 300
    assert all(lab.state.resources.remaining(who, "compute", 0) >= 0 for who in ("alice", "bob"))
    assert lab.world.operate(SetLimit("alice", "compute", 0), 0) == Done()


def test_only_renewable_resources_have_a_window(resources: Resources):
    windows = {name: resources.window_us(name) for name in resources.kinds}

    assert windows["compute"] is not None
    assert windows["budget"] is None
