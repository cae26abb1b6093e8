import pytest

from scripworld.world import (
    Contract,
    Done,
    EffectSettled,
    Pause,
    Resume,
    SetLimit,
    Signal,
    Sleep,
    Stop,
    StopAgent,
    Woke,
)

from .lab import Lab

PACE_US = 100_000


def facts(lab: Lab) -> list[str]:
    return [type(fact).__name__ for fact in lab.last.facts]


def test_loops_are_due_at_once_and_principals_without_one_never(lab: Lab):
    assert lab.world.due(0) == ["alice", "bob", "dave"]
    assert lab.world.next_due_us() == 0


def test_a_step_makes_a_loop_due_again_after_its_pace(lab: Lab):
    lab.read("alice", "motto")

    assert lab.world.due(0) == ["bob", "dave"]
    assert lab.world.due(PACE_US) == ["alice", "bob", "dave"]
    assert lab.state.agenda.steps["alice"] == 1


def test_to_be_turned_away_is_no_step(lab: Lab):
    lab.read("dave", "motto")

    assert lab.world.due(0) == ["alice", "bob", "dave"]
    assert lab.state.agenda.steps["dave"] == 0


def test_a_sleeper_wakes_when_its_time_comes(lab: Lab):
    assert lab.do("alice", Sleep(5_000_000)) == Done()
    assert lab.world.due(4_999_999) == ["bob", "dave"]

    lab.now_us = 5_000_000
    assert lab.world.due(lab.now_us) == ["bob", "dave"]
    lab.world.advance(lab.now_us)

    assert facts(lab) == ["Woke"]
    assert lab.world.due(lab.now_us) == ["alice", "bob", "dave"]
    assert lab.used("alice") == 0


def test_a_sleep_lasts_a_step_at_least_so_that_nobody_stops_the_clock(lab: Lab):
    lab.pass_us(50)
    lab.do("alice", Sleep(0))

    assert lab.world.next_due_us() == 0
    assert lab.state.agenda.due_us["alice"] == 50 + PACE_US


def test_to_sleep_again_forgets_the_sleep_before(lab: Lab):
    lab.do("alice", Sleep(5_000_000, ("motto",)))
    lab.do("alice", Sleep(9_000_000, ("board",)))
    lab.write("carol", "board", "welcome", contract=Contract("public"))
    assert "alice" not in lab.state.agenda.sleeping
    lab.do("alice", Sleep(9_000_000, ("motto",)))
    lab.do("alice", Sleep(9_000_000, ("board",)))

    lab.invoke("carol", "bank", "give_quota", to="dave", resource="compute", amount=1)
    assert "alice" in lab.state.agenda.sleeping
    lab.write("bob", "board", "hello")

    assert facts(lab)[-1] == "Woke"
    assert lab.state.agenda.watchers == {}


@pytest.mark.parametrize("watch", [("motto",), ("motto", "motto"), ("x", "motto", "bob")])
def test_a_sleeper_wakes_when_something_happens_to_what_it_watches(lab: Lab, watch):
    lab.do("bob", Sleep(5_000_000, watch))
    lab.do("dave", Sleep(5_000_000, ("motto",)))
    lab.read("carol", "motto")
    assert set(lab.state.agenda.sleeping) == {"bob", "dave"}

    lab.write("alice", "motto", "be quick")

    assert lab.last.facts[-2:] == [Woke("bob"), Woke("dave")]
    assert lab.world.due(0) == ["bob", "dave"]


def test_to_watch_oneself_is_to_wait_for_what_others_do(lab: Lab):
    lab.do("alice", Sleep(5_000_000, ("alice",)))
    assert facts(lab) == ["Slept"]
    lab.do("dave", Sleep(5_000_000, ("bob",)))
    assert set(lab.state.agenda.sleeping) == {"alice", "dave"}

    lab.write("carol", "note", "x", contract=Contract("freeware"))
    assert facts(lab)[-1] != "Woke"
    lab.world.operate(SetLimit("alice", "compute", 99), 0)

    assert set(lab.state.agenda.sleeping) == {"dave"}


def test_what_one_may_not_read_cannot_be_watched(lab: Lab):
    lab.write("carol", "diary", "mine")
    lab.do("bob", Sleep(5_000_000, ("carol", "diary", "shelf")))

    lab.edit("carol", "diary", "mine", "still mine")
    lab.write("carol", "shelf", "also mine")
    lab.delete("carol", "shelf")
    assert "bob" in lab.state.agenda.sleeping
    lab.write("carol", "diary", "for all", contract=Contract("pay_per_use", 9))

    assert "bob" not in lab.state.agenda.sleeping


def test_who_acts_is_awake(lab: Lab):
    lab.do("alice", Sleep(5_000_000, ("motto",)))

    lab.read("alice", "motto")

    assert lab.state.agenda.sleeping == {}
    assert lab.state.agenda.watchers == {}
    assert lab.world.due(PACE_US) == ["alice", "bob", "dave"]


def test_who_has_no_loop_has_nothing_to_rest(lab: Lab):
    assert lab.do("carol", Sleep(5, ("motto",))) == Done()
    assert facts(lab) == []

    lab.write("alice", "motto", "x")

    assert "carol" not in lab.state.agenda.due_us


def test_a_stopped_loop_is_never_due_and_watches_nothing(lab: Lab):
    lab.do("alice", Sleep(5, ("motto",)))
    lab.world.operate(StopAgent("alice", "enough"), 0)
    lab.world.operate(StopAgent("alice", "again"), 0)
    lab.do("bob", Stop("done"))

    lab.world.advance(10**9)

    assert lab.world.due(10**9) == ["dave"]
    assert lab.state.agenda.stopped == {"alice": "enough", "bob": "done"}
    assert lab.state.agenda.watchers == {}


def test_a_paused_loop_is_due_again_when_it_is_resumed(lab: Lab):
    lab.world.operate(Pause("alice"), 0)
    assert lab.world.due(10) == ["bob", "dave"]
    lab.world.operate(Pause(), 0)
    assert lab.world.due(10) == []
    assert lab.world.next_due_us() is None

    lab.world.operate(Resume(), 0)
    assert lab.world.due(10) == ["bob", "dave"]
    lab.world.operate(Resume("alice"), 0)

    assert lab.world.due(10) == ["alice", "bob", "dave"]


def test_a_signal_wakes_and_is_seen_at_the_next_step(lab: Lab):
    lab.do("alice", Sleep(5_000_000))
    lab.world.operate(Signal("alice", "hurry"), 0)

    assert lab.world.due(0) == ["alice", "bob", "dave"]
    assert lab.state.agenda.signals == {"alice": ["hurry"]}

    lab.read("alice", "motto")

    assert lab.state.agenda.signals == {}


def test_a_settlement_makes_a_loop_due_after_its_pace(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "ask")
    assert lab.world.next_due_us() == 0
    lab.pass_us(1_000_000)
    lab.settle(waiting, 1)

    assert EffectSettled(waiting.effect_id) in lab.last.facts
    assert lab.state.agenda.due_us["alice"] == 1_000_000 + PACE_US


def test_timers_are_the_same_whether_they_were_built_early_or_late(new_lab):
    early, late = new_lab(), new_lab()
    early.world.next_due_us()
    for lab in (early, late):
        lab.do("alice", Sleep(700_000))
        lab.invoke("bob", "bank", "hold", amount=5, expires_us=300_000)
        lab.read("dave", "motto")
        lab.do("dave", Stop())

    for now_us in range(0, 900_000, 50_000):
        assert early.world.due(now_us) == late.world.due(now_us)
        for lab in (early, late):
            lab.world.advance(now_us)
        assert early.world.next_due_us() == late.world.next_due_us()
    assert early.rows == late.rows


def test_timers_that_no_longer_stand_are_given_up(lab: Lab):
    agenda = lab.state.agenda
    for _ in range(3_000):
        assert lab.world.next_due_us() == 0
        lab.do("alice", Sleep(10**12))

    assert len(agenda._timers or ()) < 1_100
    assert lab.world.due(0) == ["bob", "dave"]
