"""The wall clock: things happen when they happen, and nobody waits for another's effect."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Run
from scripworld.agents.mind import Decision, Observation, Scripted
from scripworld.simulation.runner import Session
from scripworld.world import (
    Advance,
    Code,
    EffectRequest,
    EffectResult,
    Envelope,
    Failed,
    Invoke,
    Settle,
    Sleep,
    StopAgent,
    Waiting,
)

from .lab import SECOND_US
from .test_loops import ORACLE, Oracle, World, actions_of, count, steps_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def ask_once(o: Observation) -> Decision:
    return Invoke("genesis_oracle", "ask", {"n": 1}) if o.step == 0 else Sleep(60 * SECOND_US)


def run_wall(world: World, *chooses: Any, until_s: float = 0.8, **arguments: Any) -> Run:
    run = world.run(*chooses, until_s=until_s, clock="wall", **arguments)
    run.verify()
    return run


def test_a_slow_effect_holds_up_its_caller_only(world: World):
    world.oracle = Oracle(pause_s=0.5)
    run = run_wall(world, ask_once, count)

    asked, rested = steps_of(run, "a")
    assert isinstance(asked.answer, Waiting)
    settled = next(r for r in run.records() if isinstance(r.input, Settle))
    meanwhile = [r for r in steps_of(run, "b") if asked.seq < r.seq < settled.seq]
    assert len(meanwhile) >= 2
    assert settled.now_us >= asked.now_us + SECOND_US // 2
    assert rested.seq > settled.seq


def test_effects_are_performed_side_by_side(world: World):
    class Both(Oracle):
        """Answers nobody before two have asked."""

        def __init__(self) -> None:
            super().__init__()
            self.both = asyncio.Event()

        async def perform(self, request: EffectRequest) -> EffectResult:
            self.asked.append(request.principal)
            if len(self.asked) == 2:
                self.both.set()
            await self.both.wait()
            return EffectResult(self.asked)

    world.oracle = Both()
    run = run_wall(world, ask_once, ask_once)

    assert sorted(world.oracle.asked) == ["a", "b"]
    assert sum(isinstance(r.input, Settle) for r in run.records()) == 2


def test_the_end_is_in_real_time_and_nothing_comes_after_it(world: World):
    run = run_wall(world, count, until_s=0.5)

    assert run.ended == "until"
    last = list(run.records())[-1]
    assert last.now_us <= SECOND_US // 2
    assert len(steps_of(run, "a")) >= 2


def test_a_sleeper_wakes_in_real_time(world: World):
    def choose(o: Observation) -> Decision:
        return Sleep(SECOND_US // 4) if o.step == 0 else Sleep(60 * SECOND_US)

    run = run_wall(world, choose, until_s=0.5)

    woken = [r.now_us for r in run.records() if isinstance(r.input, Advance)]
    assert len(woken) == 1
    assert woken[0] >= SECOND_US // 4


def test_a_run_in_which_nothing_can_happen_any_more_ends_at_once(world: World):
    run = run_wall(world, [], [], until_s=600)

    assert run.ended == "quiet"


def test_an_effect_times_out_in_real_time(world: World):
    world.oracle = Oracle(pause_s=600)
    world.oracle.patience_s = 0.1
    costs = {"latency_us": 1_000, "timeout_us": 200_000}
    run = run_wall(world, ask_once, count, costs=costs)

    failed = [r for r in run.records() if isinstance(r.input, Settle)]
    assert [type(r.answer) for r in failed] == [Failed]
    assert isinstance(failed[0].answer, Failed)
    assert failed[0].answer.code is Code.EFFECT_TIMEOUT
    assert failed[0].answer.detail == "genesis_oracle ask took longer than it may"


def test_a_mind_that_thinks_holds_up_nobody_else(world: World):
    class Thinker:
        async def decide(self, observation: Observation) -> Decision:
            await asyncio.sleep(0.4)
            return count(observation)

    run = run_wall(world, Thinker(), count)

    thought = steps_of(run, "a")[0]
    assert thought.now_us >= 400_000
    assert len([r for r in steps_of(run, "b") if r.seq < thought.seq]) >= 2


def test_a_mind_that_is_too_slow_rests(world: World):
    class Slow:
        async def decide(self, observation: Observation) -> Decision:
            await asyncio.sleep(600)
            raise AssertionError

    run = run_wall(world, Slow(), count, runner={"decide_timeout_s": 0.1})

    assert {type(action) for action in actions_of(run, "a")} == {Sleep}


def test_what_an_operator_says_in_the_middle_of_a_thought_holds(world: World):
    given: list[Any] = []

    class Thinker:
        async def decide(self, observation: Observation) -> Decision:
            await asyncio.sleep(0.3)
            return count(observation)

    def give(session: Session) -> None:
        now_us = session.world.state.now_us
        if not given and now_us > 50_000:
            given.append(session.world.operate(StopAgent("a"), now_us))

    run = run_wall(world, Thinker(), count, on_progress=give)

    assert len(given) == 1
    assert steps_of(run, "a") == []


def test_a_killed_or_stopped_run_goes_on_where_its_time_stood(world: World):
    run = run_wall(world, count, until_s=0.3)
    stood_us = run.state().now_us
    run = scripworld.resume(
        run.folder, until_us=600_000, minds={"a": Scripted(count)}, natives=[ORACLE]
    )

    times = [r.now_us for r in run.records() if isinstance(r.input, Envelope)]
    assert times == sorted(times)
    assert any(at > stood_us for at in times)
    assert max(times) <= 600_000
    run.verify()
