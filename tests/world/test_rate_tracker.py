import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripworld.world import RateTracker

WINDOW_US = 10


@pytest.fixture
def tracker() -> RateTracker:
    tracker = RateTracker({"compute": WINDOW_US, "tokens": 3})
    tracker.configure_limit("alice", "compute", 5)
    return tracker


def test_who_has_no_limit_can_use_nothing(tracker: RateTracker):
    assert tracker.limit("bob", "compute") == 0
    assert not tracker.consume("bob", "compute", 1, 0)
    assert tracker.consume("bob", "compute", 0, 0)
    assert tracker.time_until_capacity("bob", "compute", 1, 0) is None


def test_a_limit_can_be_taken_away(tracker: RateTracker):
    tracker.configure_limit("alice", "compute", 0)

    assert tracker.remaining("alice", "compute", 0) == 0
    assert tracker.totals(0)["compute limit"] == {}


def test_usage_counts_until_it_is_as_old_as_the_window(tracker: RateTracker):
    assert tracker.consume("alice", "compute", 5, 100)

    assert tracker.usage("alice", "compute", 109) == 5
    assert not tracker.consume("alice", "compute", 1, 109)
    assert tracker.usage("alice", "compute", 110) == 0
    assert tracker.consume("alice", "compute", 5, 110)


def test_resources_and_principals_are_apart(tracker: RateTracker):
    tracker.configure_limit("alice", "tokens", 5)
    tracker.configure_limit("bob", "compute", 5)
    assert tracker.consume("alice", "compute", 5, 0)

    assert tracker.remaining("alice", "tokens", 0) == 5
    assert tracker.remaining("bob", "compute", 0) == 5


def test_nothing_negative_is_used(tracker: RateTracker):
    assert not tracker.consume("alice", "compute", -1, 0)
    assert tracker.usage("alice", "compute", 0) == 0


def test_what_is_held_counts_and_never_ages(tracker: RateTracker):
    tracker.hold("alice", "compute", 3)
    assert tracker.held("alice", "compute") == 3
    assert tracker.remaining("alice", "compute", 1_000) == 2
    assert tracker.time_until_capacity("alice", "compute", 3, 1_000) is None

    tracker.hold("alice", "compute", -3)
    assert tracker.totals(1_000)["compute held"] == {}


def test_what_was_admitted_is_posted_whatever_the_limit_says(tracker: RateTracker):
    tracker.stamp("alice", "compute", 9, 0)

    assert tracker.remaining("alice", "compute", 0) == -4
    assert tracker.time_until_capacity("alice", "compute", 0, 4) == 6


def test_the_wait_ends_when_enough_has_aged(tracker: RateTracker):
    for now_us in range(5):
        assert tracker.consume("alice", "compute", 1, now_us)

    waits = [tracker.time_until_capacity("alice", "compute", n, 4) for n in range(7)]

    assert waits == [0, 6, 7, 8, 9, 10, None]


def test_entries_that_aged_out_are_given_up(tracker: RateTracker):
    tracker.configure_limit("alice", "compute", 10**6)
    for now_us in range(1_000):
        assert tracker.consume("alice", "compute", 1, now_us)

    assert len(tracker.by_resource["compute"].by_principal["alice"]) < 300
    assert tracker.usage("alice", "compute", 999) == WINDOW_US


class Naive:
    """Every use that ever was, and every question by adding up."""

    def __init__(self) -> None:
        self.uses: list[tuple[int, int]] = []
        self.limit = 0
        self.held = 0

    def used(self, now_us: int) -> int:
        return sum(n for at, n in self.uses if now_us - WINDOW_US < at <= now_us)

    def remaining(self, now_us: int) -> int:
        return self.limit - self.held - self.used(now_us)

    def wait(self, amount: int, now_us: int) -> int | None:
        waits = (w for w in range(WINDOW_US + 1) if amount <= self.remaining(now_us + w))
        return next(waits, None)


AMOUNT = st.integers(0, 8)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("consume"), AMOUNT),
        st.tuples(st.just("consume"), AMOUNT),
        st.tuples(st.just("stamp"), AMOUNT),
        st.tuples(st.just("hold"), AMOUNT),
        st.tuples(st.just("give back"), st.none()),
        st.tuples(st.just("limit"), AMOUNT),
        st.tuples(st.just("pass"), st.integers(0, 2 * WINDOW_US)),
    ),
    max_size=200,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(STEPS)
def test_it_answers_like_a_model_that_keeps_everything(steps):
    tracker, naive, now_us = RateTracker({"compute": WINDOW_US}), Naive(), 0
    admitted: list[tuple[int, int]] = []
    limit_max = 0
    for name, n in steps:
        if name == "consume":
            could = n <= naive.remaining(now_us)
            assert tracker.consume("a", "compute", n, now_us) == could
            if could:
                naive.uses.append((now_us, n))
                admitted.append((now_us, n))
        elif name == "stamp":
            tracker.stamp("a", "compute", n, now_us)
            naive.uses.append((now_us, n))
        elif name == "hold":
            tracker.hold("a", "compute", n)
            naive.held += n
        elif name == "give back":
            tracker.hold("a", "compute", -naive.held)
            naive.held = 0
        elif name == "limit":
            tracker.configure_limit("a", "compute", n)
            naive.limit = n
            limit_max = max(limit_max, n)
        else:
            now_us += n
        assert tracker.usage("a", "compute", now_us) == naive.used(now_us)
        assert tracker.remaining("a", "compute", now_us) == naive.remaining(now_us)
        for amount in range(10):
            wait = naive.wait(amount, now_us)
            assert tracker.has_capacity("a", "compute", amount, now_us) == (wait == 0)
            assert tracker.time_until_capacity("a", "compute", amount, now_us) == wait
    for start, _ in admitted:
        assert sum(n for at, n in admitted if start <= at < start + WINDOW_US) <= limit_max
