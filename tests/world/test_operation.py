import pytest

from scripworld.world import (
    Code,
    Done,
    Operate,
    Pause,
    Refused,
    Resume,
    SetLimit,
    Signal,
    StopAgent,
)

from .lab import Lab


@pytest.mark.parametrize(
    "command",
    [Pause("nobody"), Resume("motto"), StopAgent("*"), Signal("*", "x"), SetLimit("bank", "x", 1)],
)
def test_a_command_for_who_is_not_there_is_refused(lab: Lab, command):
    lab.refuses(Code.NO_STANDING, lambda: lab.world.operate(command, 0), charged=0)


def test_a_command_is_logged_like_everything_else(lab: Lab):
    lab.pass_us(7)

    assert lab.world.operate(SetLimit("carol", "tokens", 3), lab.now_us) == Done()

    assert lab.last.input == Operate(SetLimit("carol", "tokens", 3))
    assert lab.last.now_us == 7
    assert lab.state.resources.limit("carol", "tokens") == 3


def test_to_pause_twice_is_to_pause_once(lab: Lab):
    for _ in range(2):
        assert lab.world.operate(Pause("alice"), 0) == Done()
    assert lab.last.facts == []
    for _ in range(2):
        assert lab.world.operate(Resume("alice"), 0) == Done()
    assert lab.last.facts == []
    assert lab.state.agenda.paused == set()


def test_a_limit_is_of_a_resource_and_not_negative(lab: Lab):
    operate = lab.world.operate
    lab.refuses(Code.NOT_FOUND, lambda: operate(SetLimit("bob", "luck", 1), 0), charged=0)
    lab.refuses(
        Code.DEFINITION_INVALID, lambda: operate(SetLimit("bob", "compute", -1), 0), charged=0
    )


def test_a_limit_below_what_is_used_is_waited_out(lab: Lab):
    for _ in range(5):
        lab.read("bob", "motto")
    lab.world.operate(SetLimit("bob", "compute", 4), 0)

    assert lab.state.resources.remaining("bob", "compute", 0) == -6
    assert lab.read("bob", "motto").code == Code.ADMISSION_EXCEEDED
    lab.pass_us(60_000_000)
    assert lab.read("bob", "motto") == Done("be kind")


def test_signals_that_nobody_sees_are_bounded(lab: Lab):
    for _ in range(2):
        assert lab.world.operate(Signal("alice", "hurry"), 0) == Done()

    lab.refuses(
        Code.QUOTA_EXCEEDED, lambda: lab.world.operate(Signal("alice", "now"), 0), charged=0
    )


@pytest.mark.parametrize(
    "command",
    [
        Signal("alice", "\ud800"),
        Signal("alice", "x" * 300_000),
        Signal("alice", None),
        SetLimit("alice", "compute", 2**70),
        Pause(["alice"]),
        None,
    ],
)
def test_a_command_that_cannot_be_kept_is_refused_and_not_logged(lab: Lab, command):
    before = lab.state.snapshot()

    answer = lab.world.operate(command, 0)

    assert isinstance(answer, Refused)
    assert answer.code == Code.MALFORMED
    assert lab.state.snapshot() == before
