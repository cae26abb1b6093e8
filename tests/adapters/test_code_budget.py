"""Calls inside each other have one time together, with real workers."""

import msgspec
import pytest

from scripworld.adapters.code_budget import Budget
from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.world import (
    Abort,
    CallBack,
    Code,
    CodeCall,
    Contract,
    Done,
    Envelope,
    Failed,
    Invoke,
    Return,
    Tool,
    World,
    Write,
    fold,
    verify,
)

from ..world.lab import config, natives

LIMITS = CodeLimits(wall_us=8_000_000)  # on a busy machine, too, it is CPU time that counts
TOGETHER = "calls inside each other have 50 ms of time together"
ASK = "invoke('a', 'b', {})\nreturn 1"
BURN = "while True: pass"
WORK = "for i in range(60_000): pass\nreturn 1"
"""Some milliseconds: well within the time of a call, and many times that in a loop."""
TIMES = 100


PATIENT = CodeLimits(time_us=500_000, wall_us=8_000_000)  # as a proof that runs code again is


@pytest.fixture(scope="module")
def runner():
    with MontyRunner(LIMITS) as runner:
        yield runner


@pytest.fixture(scope="module")
def patient():
    with MontyRunner(PATIENT) as runner:
        yield runner


def a_call(body):
    code = "def m():\n  " + body.replace("\n", "\n  ")
    return CodeCall(code, "shop", "m", {}, "bob", 0, "7/shop")


def outcome_of(runner, body):
    session, outcome = runner.start(a_call(body))
    session.close()
    return outcome


def is_together(outcome):
    return isinstance(outcome, Abort) and outcome.detail.startswith(TOGETHER)


def test_where_an_inner_call_used_up_the_time_everything_around_it_ends(runner):
    outer, asked = runner.start(a_call(ASK))
    middle, asked_too = runner.start(a_call(ASK))
    inner = outcome_of(runner, BURN)
    ends = [middle.resume(Done(1)), outcome_of(runner, "return 1"), outer.resume(Done(1))]
    middle.close()
    outer.close()

    assert asked == asked_too == CallBack(Invoke("a", "b", {}))
    assert is_together(inner)
    assert all(is_together(end) for end in ends)


def test_many_calls_inside_one_spend_of_its_time(runner):
    outer, _ = runner.start(a_call(ASK))
    ends = []
    while len(ends) < TIMES and ends[-1:] in ([], [Return(1)]):
        ends.append(outcome_of(runner, WORK))
    last = outer.resume(Done(1))
    outer.close()

    assert ends[0] == Return(1)
    assert is_together(ends[-1])
    assert is_together(last)


def test_what_the_outer_call_used_is_not_there_for_the_inner_one(runner):
    outer, _ = runner.start(a_call(f"while True:\n  for i in range(60_000): pass\n  {ASK}"))
    steps, outcome = 0, None
    while steps < TIMES and not isinstance(outcome, Abort):
        inner = outcome_of(runner, "return 1")
        outcome = outer.resume(Done(1))
        steps += 1
    outer.close()

    assert inner == Return(1)
    assert isinstance(outcome, Abort)


def test_one_call_after_the_other_has_its_own_time(runner):
    assert {outcome_of(runner, WORK) for _ in range(TIMES)} == {Return(1)}


def test_a_call_alone_has_its_own_sentence_and_the_next_one_all_its_time(runner):
    alone = outcome_of(runner, BURN)

    assert isinstance(alone, Abort)
    assert alone.detail.startswith("a call has 50 ms of time")
    assert outcome_of(runner, WORK) == Return(1)


def test_a_call_that_stands_alone_spends_of_no_other(runner):
    """So it is with jobs, which run beside the world."""
    outer, _ = runner.start(a_call(ASK))
    job = runner.session(a_call(BURN))
    spent = job.replay(())
    job.close()
    end = outer.resume(Done(1))
    outer.close()

    assert isinstance(spent, Abort)
    assert spent.detail.startswith("a call has 50 ms of time")
    assert end == Return(1)


def test_patience_with_a_busy_machine_is_one_for_all_attempts_and_all_calls():
    budget = Budget(CodeLimits(time_us=50_000, wall_us=400_000))
    budget.is_shared = True

    assert [budget.allows(wall_us) for wall_us in (400_000, 400_001)] == [True, False]
    budget.wall_us = 500_000
    assert [budget.allows(wall_us) for wall_us in (300_000, 300_001)] == [True, False]
    assert not budget.is_over
    budget.wall_us = 800_001
    assert budget.is_over


# With a real world.

OUTER = """def go(n):
  no = 0
  for i in range(n):
    try:
      invoke('burn', 'go', {'n': 0})
    except PermissionError:
      no += 1
  return no
"""
NESTED = """def go(n):
  for i in range(60_000): pass
  return invoke('nested', 'go', {'n': n - 1}) if n else 0
"""
BURNS = "def check(caller, action, method, artifact):\n  while True: pass\n"
TOOL = Tool("go", "", {"properties": {"n": {}}})
CHECK = Tool("check")


class Place:
    def __init__(self, runner):
        self.log, self.natives = MemoryEventLog(), natives()
        base = config()
        limits = msgspec.structs.replace(base.limits, frame_depth_max=16)
        self.world = World.begin(config(limits=limits), self.natives, self.log, runner, "test")

    def do(self, principal, action):
        return self.world.apply(Envelope(principal, action), 0)

    def write(self, id, code, tool=TOOL, contract="freeware"):
        action = Write(id, code, None, "code", Contract(contract), (tool,))
        assert self.do("alice", action) == Done()

    def prove(self, patient):
        rows, live = list(self.log.records()), self.world.state.snapshot()
        assert fold(rows)[0].snapshot() == live
        assert verify(rows, self.natives, self.log).snapshot() == live
        again = verify(rows, self.natives, self.log, None, patient)
        assert again.snapshot() == live


def is_failed_together(answer):
    return (
        isinstance(answer, Failed)
        and answer.code == Code.CODE_ABORTED
        and answer.detail.startswith(TOGETHER)
    )


def test_code_cannot_hold_the_world_by_calling_what_burns(runner, patient):
    place = Place(runner)
    place.write("burn", f"def go(n):\n  {BURN}\n")
    place.write("outer", OUTER)

    assert is_failed_together(place.do("bob", Invoke("outer", "go", {"n": 30})))
    place.prove(patient)


def test_a_deep_chain_of_calls_has_the_time_of_one(runner, patient):
    place = Place(runner)
    place.write("nested", NESTED.replace("60_000", "1"))
    assert place.do("bob", Invoke("nested", "go", {"n": 10})) == Done(0)
    place.write("nested", NESTED.replace("60_000", "600_000"))

    assert is_failed_together(place.do("bob", Invoke("nested", "go", {"n": 10})))
    place.prove(patient)


def test_a_contract_that_burns_within_a_frame_ends_that_too(runner, patient):
    place = Place(runner)
    place.write("rule", BURNS, CHECK)
    place.write("burn", "def go(n):\n  return n\n", contract="rule")
    place.write("outer", OUTER)

    assert is_failed_together(place.do("bob", Invoke("outer", "go", {"n": 30})))
    place.prove(patient)
