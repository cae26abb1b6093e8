"""Loops in real runs: budgets, back-off, waiting for compute, minds that misbehave, operators."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Fault, Run, Scenario
from scripworld.agents.mind import Decision, Observation, Rules, Scripted
from scripworld.agents.stepwise import Steps, Stepwise, Work
from scripworld.simulation.runner import Session
from scripworld.simulation.scenario import configure
from scripworld.world import (
    Code,
    Done,
    Effect,
    EffectRequest,
    EffectResult,
    Envelope,
    Failed,
    Invoke,
    Malformed,
    Method,
    Native,
    Pause,
    Read,
    Record,
    Refused,
    Resume,
    SetLimit,
    Signal,
    Sleep,
    Stop,
    StopAgent,
    Tool,
    Waiting,
    Write,
    read_records,
)

from .lab import SECOND_US, Play

PACE_US = 100_000
Choose = Callable[[Observation], Decision]


def ask(context: Any, args: dict[str, Any]) -> Effect:
    return Effect("oracle", args)


ORACLE = Native(
    "genesis_oracle",
    "Answers from outside",
    {
        "ask": Method(
            Tool("ask", "Ask.", {"properties": {"n": {"type": "integer"}}}), ask, effect=True
        )
    },
)


class Oracle:
    """Answers at once, or after some real time."""

    patience_s = 1.0

    def __init__(self, pause_s: float = 0.0) -> None:
        self.pause_s = pause_s
        self.asked: list[str] = []
        self.closed = 0

    async def perform(self, request: EffectRequest) -> EffectResult:
        self.asked.append(request.principal)
        await asyncio.sleep(self.pause_s)
        return EffectResult({"answer": 42})

    async def close(self) -> None:
        self.closed += 1


class World:
    """Runs small worlds of own minds in a folder."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.oracle = Oracle()

    def run(
        self,
        *chooses: Choose | Any,
        until_s: float = 5,
        compute: int = 1_000,
        agents: dict[str, Any] | None = None,
        runner: dict[str, Any] | None = None,
        costs: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> Run:
        """One agent for each mind: a, b, c …"""
        ids = "abcdefgh"[: len(chooses)]
        scenario = Scenario.model_validate(
            {
                "name": "own",
                "agents": [
                    {
                        "id": id,
                        "mind": id,
                        "scrip": 10,
                        "quotas": {"compute": compute, "writes": 100, "stored_bytes": 1_000},
                    }
                    for id in ids
                ],
            }
        )
        servers = {name: {"enabled": False} for name in ("filesystem", "fetch")}
        minds = [Scripted(c) if callable(c) or isinstance(c, list) else c for c in chooses]
        return scripworld.run(
            scenario,
            until_us=int(until_s * SECOND_US),
            minds=dict(zip(ids, minds, strict=True)),
            natives=[ORACLE],
            performers={"oracle": self.oracle},
            settings={
                "store": {"runs_dir": str(self.runs)},
                "genesis": {"mcp": {"servers": servers}},
                "agents": agents or {},
                "runner": runner or {},
                "world": {"costs": {"genesis_oracle": {"*": costs or {}}}},
            },
            **arguments,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def steps_of(run: Run, principal: str) -> list[Record]:
    """The records of one agent's inputs; the run is proved too."""
    run.verify()
    return [
        record
        for record in run.records()
        if isinstance(record.input, Envelope | Malformed) and record.input.principal == principal
    ]


def actions_of(run: Run, principal: str) -> list[Any]:
    return [r.input.action for r in steps_of(run, principal) if isinstance(r.input, Envelope)]


def stop_of(run: Run, principal: str) -> str:
    """Why a loop stopped."""
    return run.state().agenda.stopped[principal]


def count(o: Observation) -> Decision:
    return Invoke("genesis_store", "count", {"owner": f"x{o.step}"})


# Budgets.


def test_a_loop_stops_at_its_deadline(world: World):
    run = world.run(count, agents={"deadline_us": 2 * SECOND_US})

    assert stop_of(run, "a") == f"its budget deadline of {2 * SECOND_US} is reached"
    assert [r.now_us for r in steps_of(run, "a")][-1] == 2 * SECOND_US
    assert run.ended == "quiet"


def test_a_loop_stops_after_its_steps(world: World):
    run = world.run(count, agents={"steps_max": 7})

    assert stop_of(run, "a") == "its budget steps_max of 7 is reached"
    assert [type(action) for action in actions_of(run, "a")] == [Invoke] * 7 + [Stop]


def test_a_loop_stops_after_its_tool_calls_and_refused_ones_do_not_count(world: World):
    def choose(o: Observation) -> Decision:
        return Invoke("genesis_oracle", "ask", {"n": o.step if o.step % 2 else "many"})

    run = world.run(choose, agents={"tool_calls_max": 3})

    assert stop_of(run, "a") == "its budget tool_calls_max of 3 is reached"
    assert world.oracle.asked == ["a"] * 3
    assert sum(isinstance(r.answer, Refused) for r in steps_of(run, "a")) == 3


def test_a_loop_stops_after_its_writes_and_refused_ones_do_not_count(world: World):
    def choose(o: Observation) -> Decision:
        return Write(f"note_{o.step}" if o.step % 2 else "No Id", "text")

    run = world.run(choose, agents={"writes_max": 3})

    assert stop_of(run, "a") == "its budget writes_max of 3 is reached"
    written = [r for r in steps_of(run, "a") if isinstance(r.answer, Done)]
    assert [type(r.input.action) for r in written] == [Write] * 3 + [Stop]


@pytest.mark.parametrize("steps", [1, 5, 9, 14, 20])
def test_budgets_count_over_a_resume(world: World, steps: int):
    def choose(o: Observation) -> Decision:
        return Write(f"note_{o.step}", "x" * (2_000_000 if o.step % 3 else 1))

    limits = {"writes_max": 3}
    whole = world.run(choose, agents=limits, until_s=4)
    run = world.run(choose, agents=limits, until_s=4, steps=steps)
    run = scripworld.resume(
        run.folder, until_us=4 * SECOND_US, minds={"a": Scripted(choose)}, natives=[ORACLE]
    )

    assert list(run.records()) == list(whole.records())
    assert "writes_max" in stop_of(run, "a")


class Counts(Stepwise):
    """Works once, and that before its first rest."""

    def work(self, w: Work) -> Steps:
        if w.number == 0:
            for n in range(4):
                yield Invoke("genesis_store", "count", {"owner": f"n{n}"})


# Back-off and waiting.


def test_repetitions_are_slept_off_twice_as_long_each_time(world: World):
    limits = {"repeats_max": 2, "backoff_us": SECOND_US, "backoff_max_us": 3 * SECOND_US}
    run = world.run(lambda o: Read("nothing"), agents=limits, until_s=20)

    rests = [
        r.input.action.until_us - r.now_us
        for r in steps_of(run, "a")
        if isinstance(r.input, Envelope) and isinstance(r.input.action, Sleep)
    ]
    assert rests[:4] == [SECOND_US, 2 * SECOND_US, 3 * SECOND_US, 3 * SECOND_US]
    kinds = [type(action) for action in actions_of(run, "a")]
    assert kinds[:8] == [Read, Read, Read, Sleep, Read, Sleep, Read, Sleep]


def test_another_action_ends_the_back_off(world: World):
    def choose(o: Observation) -> Decision:
        return Read("nothing" if o.step % 6 < 4 else f"n{o.step}")

    run = world.run(choose, agents={"repeats_max": 2}, until_s=10)

    rests = [
        r.input.action.until_us - r.now_us
        for r in steps_of(run, "a")
        if isinstance(r.input, Envelope) and isinstance(r.input.action, Sleep)
    ]
    assert len(rests) > 2
    assert set(rests) == {SECOND_US}


@pytest.mark.parametrize("steps", [2, 4, 5, 8, 13])
def test_a_script_loses_no_step_to_a_rest_that_its_loop_takes(world: World, steps: int):
    told = [Read("nothing")] * 6 + [Read(f"n{n}") for n in range(25)]

    whole = world.run(list(told), agents={"repeats_max": 2}, compute=20, until_s=150)
    run = world.run(list(told), agents={"repeats_max": 2}, compute=20, until_s=150, steps=steps)
    run = scripworld.resume(
        run.folder, until_us=150 * SECOND_US, minds={"a": Scripted(told)}, natives=[ORACLE]
    )

    assert list(run.records()) == list(whole.records())
    kept = [
        r
        for r in steps_of(run, "a")
        if not (isinstance(r.answer, Refused) and r.answer.code == Code.ADMISSION_EXCEEDED)
    ]
    actions = [r.input.action for r in kept if isinstance(r.input, Envelope)]
    assert [action for action in actions if isinstance(action, Read)] == told
    assert sum(isinstance(action, Sleep) for action in actions) > 4
    assert len(kept) < len(steps_of(run, "a"))
    assert stop_of(run, "a") == "the script is over"


def test_a_first_work_of_several_steps_outlasts_a_want_of_compute(world: World):
    run = world.run(Counts(), compute=4, until_s=130)

    asked = [
        (r.input.action.args["owner"], isinstance(r.answer, Done))
        for r in steps_of(run, "a")
        if isinstance(r.input, Envelope) and isinstance(r.input.action, Invoke)
    ]
    assert [owner for owner, done in asked if done] == ["n0", "n1", "n2", "n3"]
    assert len(asked) > 4, "one of them was turned away"


def test_who_has_no_compute_sleeps_exactly_until_it_has(world: World):
    run = world.run(count, compute=10, until_s=130)

    steps = steps_of(run, "a")
    refusals = [r for r in steps if isinstance(r.answer, Refused)]
    assert refusals
    for refusal in refusals:
        assert isinstance(refusal.answer, Refused)
        assert refusal.answer.code.name == "ADMISSION_EXCEEDED"
        rest = steps[steps.index(refusal) + 1]
        assert isinstance(rest.input, Envelope)
        assert refusal.answer.retry_after_us is not None
        wakes_us = refusal.now_us + refusal.answer.retry_after_us
        assert (rest.now_us, rest.input.action) == (refusal.now_us, Sleep(wakes_us, ("a",)))
        after = [r for r in steps if r.seq > rest.seq]
        if after:
            assert after[0].now_us == wakes_us
            assert isinstance(after[0].answer, Done)
    assert len(refusals) in (2, 3)


def test_who_has_no_quota_at_all_rests_until_it_gets_some_and_leaves_no_records(world: World):
    asked: list[int] = []

    def choose(o: Observation) -> Decision:
        asked.append(o.now_us)
        return count(o)

    run = world.run(choose, compute=0, until_s=100)

    assert asked == [0]
    tried, sleep = steps_of(run, "a")
    assert isinstance(tried.answer, Refused)
    assert isinstance(sleep.input, Envelope)
    assert isinstance(sleep.input.action, Sleep)
    assert run.state().ledger.balances["a"] == 10


def test_who_waits_for_compute_wakes_when_it_is_given_some(world: World):
    def give(o: Observation) -> Decision:
        if o.step == 0:
            return Sleep(20 * SECOND_US)
        if o.step == 1:
            args = {"to": "a", "resource": "compute", "amount": 50}
            return Invoke("genesis_rights_registry", "transfer_quota", args)
        return Stop("gave")

    run = world.run(count, give, compute=60, until_s=25)

    mine = steps_of(run, "a")
    gap = max(later.now_us - r.now_us for r, later in pairwise(mine))
    back = next(later for r, later in pairwise(mine) if later.now_us - r.now_us == gap)
    assert back.now_us == 20 * SECOND_US
    assert isinstance(back.answer, Done)


# Minds that misbehave.


class Broken(Rules):
    def choose(self, observation: Observation) -> Decision:
        if observation.step == 2:
            raise RuntimeError("I lost my mind\nin two lines")
        return count(observation)


class BrokenLater:
    async def decide(self, observation: Observation) -> Decision:
        await asyncio.sleep(0)
        return Broken().choose(observation)


@pytest.mark.parametrize("mind", [Broken(), BrokenLater(), Broken, BrokenLater])
@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_a_mind_that_raises_is_stopped_with_a_sentence_and_the_run_goes_on(
    world: World, mind: Any, clock: str
):
    run = world.run(mind() if isinstance(mind, type) else mind, count, until_s=0.6, clock=clock)

    assert stop_of(run, "a").startswith("its mind broke: RuntimeError: I lost my mind")
    assert len(steps_of(run, "a")) == 3
    assert len(steps_of(run, "b")) > 3


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        "read the docs",
        42,
        object(),
        Done(),
        Invoke("genesis_store", "count", {"owner": object()}),
        Invoke("genesis_store", 5, None),  # type: ignore[arg-type]
        Read(["a"]),  # type: ignore[arg-type]
        Sleep("tomorrow"),  # type: ignore[arg-type]
        Sleep(2**80),
        Write("note", "\ud800"),
        Write("note", b"bytes"),
        Stop(5),  # type: ignore[arg-type]
        Envelope("a", None),  # type: ignore[arg-type]
        Envelope("a", Read("x"), price_max_scrip="all"),  # type: ignore[arg-type]
        Envelope(5, Read("x"), idempotency_key="k" * 1_000),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_action_is_refused_and_the_mind_sees_why(world: World, nonsense: Any):
    seen: list[Any] = []

    def choose(o: Observation) -> Decision:
        seen.extend(o.recent)
        return nonsense if o.step == 0 else Stop("told")

    run = world.run(choose)

    assert stop_of(run, "a") == "told"
    assert [turn.action for turn in seen] == [None]
    assert isinstance(seen[0].answer, Refused)
    assert seen[0].answer.code.name == "MALFORMED"
    assert seen[0].answer.detail


def test_a_mind_cannot_act_for_another(world: World):
    transfer = Invoke("genesis_ledger", "transfer", {"to": "a", "amount": 5})

    run = world.run([Envelope("b", transfer)], [])

    assert run.state().ledger.balances == {"genesis": 0, "a": 10, "b": 10}


def test_a_mind_that_is_too_slow_rests_and_holds_up_no_world_time(world: World):
    class Slow:
        async def decide(self, observation: Observation) -> Decision:
            await asyncio.sleep(30)
            raise AssertionError

    run = world.run(Slow(), count, until_s=2.5, runner={"decide_timeout_s": 0.05})

    mine = steps_of(run, "a")
    assert [r.now_us for r in mine] == [0, SECOND_US, 2 * SECOND_US]
    assert {type(r.input.action) for r in mine if isinstance(r.input, Envelope)} == {Sleep}
    assert len(steps_of(run, "b")) == 26


def test_a_mind_that_thinks_in_real_time_decides_as_a_quick_one_would(world: World):
    class Thinker:
        async def decide(self, observation: Observation) -> Decision:
            await asyncio.sleep(0.003)
            return count(observation)

    slow = world.run(Thinker(), Thinker(), until_s=1)
    quick = world.run(count, count, until_s=1)

    assert list(slow.records()) == list(quick.records())


def test_an_unknown_mind_is_named_with_those_that_there_are(tmp_path: Path):
    agents = [{"id": "a", "mind": "reeder", "scrip": 0, "quotas": {}}]
    scenario = Scenario.model_validate({"name": "own", "agents": agents})

    with pytest.raises(Fault, match=r"reeder.*reader") as caught:
        scripworld.run(scenario, settings={"store": {"runs_dir": str(tmp_path)}})

    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# Own natives and performers, notebooks, the end of a run.


def test_an_agent_may_have_the_name_of_another_mind_than_its_own(tmp_path: Path):
    agent = {"id": "reader", "mind": "script", "scrip": 0, "quotas": {"compute": 9}}
    agent["params"] = {"steps": [{"read": "genesis_handbook"}]}
    run = scripworld.run(
        Scenario.model_validate({"name": "namesake", "until_us": SECOND_US, "agents": [agent]}),
        settings={"store": {"runs_dir": str(tmp_path)}},
    )

    actions = [r.input.action for r in run.records() if isinstance(r.input, Envelope)]
    assert actions == [Read("genesis_handbook"), Stop("the script is over")]


def test_own_minds_natives_and_performers_are_as_good_as_those_that_come_with_it(world: World):
    seen: list[Any] = []

    def choose(o: Observation) -> Decision:
        seen.extend(o.recent)
        return Invoke("genesis_oracle", "ask", {"n": 1}) if o.step == 0 else Stop("wise")

    run = world.run(choose)

    assert [turn.answer for turn in seen] == [Done({"answer": 42})]
    assert stop_of(run, "a") == "wise"
    assert world.oracle.closed == 1
    with pytest.raises(Fault, match="genesis_oracle, which this program does not know: pass it in"):
        scripworld.open_run(run.folder).verify()
    with pytest.raises(Fault, match="genesis_oracle, which this program does not know: pass it in"):
        scripworld.resume(run.folder)


def test_an_effect_without_a_performer_is_unavailable_and_costs_no_quota(world: World):
    other = Native(
        "genesis_other",
        "Nobody performs it",
        {
            "ask": Method(
                Tool("ask", "Ask."), lambda context, args: Effect("nobody", 1), effect=True
            )
        },
    )
    scenario = Scenario.model_validate(
        {
            "name": "own",
            "agents": [
                {"id": "a", "mind": "a", "scrip": 5, "quotas": {"compute": 9, "tool_calls": 2}}
            ],
        }
    )
    cost = {"resources": {"tool_calls": 2}, "price_scrip": 3}
    run = scripworld.run(
        scenario,
        minds={"a": Scripted([Invoke("genesis_other", "ask")] * 2)},
        natives=[other],
        settings={
            "store": {"runs_dir": str(world.runs)},
            "world": {"costs": {"genesis_other": {"*": cost}}},
        },
    )

    failed = [r.answer for r in run.records() if isinstance(r.answer, Failed)]
    assert [a.code.name for a in failed] == ["TOOL_UNAVAILABLE"] * 2
    assert failed[0].detail == "genesis_other is not connected in this run"
    assert run.state().ledger.balances["a"] == 5


def test_it_runs_where_an_event_loop_runs_already(world: World):
    async def notebook() -> Run:
        return world.run(count, lambda o: Invoke("genesis_oracle", "ask", {"n": 1}), until_s=1)

    inside = asyncio.run(notebook())
    outside = world.run(count, lambda o: Invoke("genesis_oracle", "ask", {"n": 1}), until_s=1)

    assert list(inside.records()) == list(outside.records())


def broken(text: str) -> Any:
    raise KeyError(text)


def timed_out() -> Any:
    raise TimeoutError("its own")


def cancelled() -> Any:
    raise asyncio.CancelledError


@pytest.mark.parametrize("clock", ["virtual", "wall"])
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda: broken("lost\n its key"), "oracle broke: KeyError: 'lost\\n its key'"),
        (timed_out, "oracle broke: TimeoutError: its own"),
        (cancelled, "oracle broke: CancelledError:"),
        (lambda: {"answer": 42}, "oracle broke: dict: it is no EffectResult"),
        (lambda: None, "oracle broke: NoneType: it is no EffectResult"),
    ],
)
def test_a_performer_that_breaks_fails_its_effect_and_the_run_goes_on(
    world: World, clock: str, answer: Callable[[], Any], told: str
):
    class Breaking(Oracle):
        async def perform(self, request: EffectRequest) -> EffectResult:
            result: EffectResult = answer()
            return result

    world.oracle = Breaking()
    choose = lambda o: Invoke("genesis_oracle", "ask", {"n": 1}) if o.step == 1 else count(o)  # noqa: E731

    run = world.run(choose, until_s=0.5, clock=clock, costs={"latency_us": 1_000})

    failed = [r.answer for r in run.records() if isinstance(r.answer, Failed)]
    assert failed == [Failed(Code.TOOL_FAILED, told)]
    assert len(steps_of(run, "a")) > 2
    assert world.oracle.closed == 1
    run.verify()


def test_a_fault_of_the_host_in_a_performer_ends_the_run_and_what_happened_stays(world: World):
    class Breaking(Oracle):
        async def perform(self, request: EffectRequest) -> EffectResult:
            raise Fault("the host has a fault")

    world.oracle = Breaking()
    choose = lambda o: Invoke("genesis_oracle", "ask", {"n": 1}) if o.step == 3 else count(o)  # noqa: E731

    with pytest.raises(Fault, match="the host has a fault"):
        world.run(choose, run_id="broken")

    run = scripworld.open_run("broken", world.runs, natives=[ORACLE])
    assert [type(r.answer) for r in steps_of(run, "a")] == [Done, Done, Done, Waiting]
    assert world.oracle.closed == 1


def test_a_run_id_that_exists_is_refused(world: World):
    world.run([], run_id="mine")

    with pytest.raises(Fault, match="the run mine exists"):
        world.run([], run_id="mine")


def test_natives_that_contradict_the_scenario_are_refused_and_leave_no_run_behind(tmp_path: Path):
    agents = [{"id": "genesis_oracle", "mind": "hoarder", "scrip": 0, "quotas": {}}]
    scenario = Scenario.model_validate({"name": "own", "agents": agents})

    with pytest.raises(Fault, match="genesis_oracle"):
        scripworld.run(scenario, natives=[ORACLE], settings={"store": {"runs_dir": str(tmp_path)}})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_a_stop_in_the_middle_of_an_effect_is_clean_and_the_run_can_go_on(world: World, clock: str):
    def choose(o: Observation) -> Decision:
        return Invoke("genesis_oracle", "ask", {"n": 1}) if o.step == 3 else count(o)

    def stop(session: Session) -> None:
        if session.world.state.effects and session.driver is not None:
            session.driver.stop()

    world.oracle = Oracle(pause_s=600)
    run = world.run(choose, clock=clock, on_progress=stop)
    assert run.ended == "stopped"
    assert world.oracle.closed == 1
    assert len(run.state().effects) == 1
    run.verify()

    world.oracle = Oracle()
    until_us = run.state().now_us + SECOND_US // 2
    run = scripworld.resume(
        run.folder,
        until_us=until_us,
        minds={"a": Scripted(choose)},
        natives=[ORACLE],
        performers={"oracle": world.oracle},
    )

    interrupted = [r.answer for r in run.records() if isinstance(r.answer, Failed)]
    assert [a.code.name for a in interrupted] == ["EFFECT_INTERRUPTED"]
    assert world.oracle.asked == []
    assert len(steps_of(run, "a")) > 5


# Operators.


def operated(*chooses: Choose, compute: int = 1_000) -> Play:
    """A world of agents a, b … that is driven in parts, with an operator between them."""
    quotas = {"compute": compute}
    agents = [{"id": i, "mind": i, "scrip": 10, "quotas": quotas} for i in "abc"[: len(chooses)]]
    scenario = Scenario.model_validate({"name": "own", "agents": agents})
    minds = dict(zip("abc", map(Scripted, chooses), strict=False))
    play = Play(0, library=(scenario, configure(scenario)), minds=minds)
    play.begin()
    return play


def operate(play: Play, *commands: Any) -> list[Any]:
    return [play.world.operate(command, play.world.state.now_us) for command in commands]


def acted(play: Play, principal: str) -> list[int]:
    """When an agent took an action; rests do not count. The log is proved too."""
    play.check()
    return [
        record.now_us
        for record in read_records(play.rows, play.disk)
        if isinstance(record.input, Envelope)
        and record.input.principal == principal
        and not isinstance(record.input.action, Sleep)
    ]


def test_a_paused_agent_does_nothing_until_it_is_resumed():
    play = operated(count, count)
    play.drive(until_us=SECOND_US)
    assert operate(play, Pause("a")) == [Done()]
    play.drive(until_us=2 * SECOND_US)
    assert operate(play, Resume("a"), Pause("a"), Resume("a")) == [Done()] * 3
    play.drive(until_us=3 * SECOND_US)

    assert [at for at in acted(play, "a") if SECOND_US < at < 2 * SECOND_US] == []
    assert len(acted(play, "a")) == 11 + 11
    assert len(acted(play, "b")) == 31


def test_a_paused_world_is_quiet_and_goes_on_when_it_is_resumed():
    play = operated(count, count)
    play.drive(until_us=SECOND_US)
    operate(play, Pause())
    assert play.drive(until_us=2 * SECOND_US) == "quiet"
    assert play.world.state.now_us == SECOND_US
    operate(play, Resume())
    assert play.drive(until_us=2 * SECOND_US) == "until"

    assert acted(play, "a") == acted(play, "b") == list(range(0, 2 * SECOND_US + 1, PACE_US))


def test_a_stopped_agent_never_acts_again():
    play = operated(count, count)
    play.drive(until_us=SECOND_US)
    operate(play, StopAgent("a", "enough"))
    play.disk.commit()
    play.reopen()
    play.drive(until_us=2 * SECOND_US)

    assert acted(play, "a")[-1] == SECOND_US
    assert acted(play, "b")[-1] == 2 * SECOND_US
    assert play.world.state.agenda.stopped == {"a": "enough"}


def test_a_signal_wakes_a_sleeper_that_sees_it_once():
    seen: list[tuple[int, tuple[str, ...]]] = []

    def choose(o: Observation) -> Decision:
        seen.append((o.now_us, o.signals))
        return Sleep(60 * SECOND_US)

    play = operated(choose)
    play.drive(until_us=SECOND_US)
    operate(play, Signal("a", "hurry"), Signal("a", "up"))
    play.drive(until_us=2 * SECOND_US)
    operate(play, Signal("a", "again"))
    play.drive(until_us=3 * SECOND_US)

    play.check()
    assert seen[0] == (0, ())
    assert [signals for _, signals in seen[1:]] == [("hurry", "up"), ("again",)]


def test_a_new_limit_holds_from_the_next_action():
    play = operated(count, compute=5)
    play.drive(until_us=SECOND_US)
    assert len(acted(play, "a")) < 5
    operate(play, SetLimit("a", "compute", 1_000), Signal("a", "go on"))
    play.drive(until_us=2 * SECOND_US)

    assert len(acted(play, "a")) > 9


def test_commands_between_parts_survive_a_kill_and_are_replayed():
    def parts(play: Play) -> Play:
        play.drive(until_us=SECOND_US)
        operate(play, Pause("a"), Signal("b", "alone now"))
        play.disk.commit()
        return play

    whole, killed = parts(operated(count, count)), parts(operated(count, count))
    killed.reopen()
    for play in (whole, killed):
        play.drive(until_us=2 * SECOND_US)
        play.check()

    assert killed.rows == whole.rows
    assert killed.memories() == whole.memories()


def test_an_operator_can_act_while_an_effect_is_waited_for(world: World):
    given: list[Any] = []

    def give(session: Session) -> None:
        if session.world.state.effects and not given:
            given.append(session.world.operate(StopAgent("a"), session.world.state.now_us))

    world.oracle = Oracle(pause_s=0.3)
    run = world.run(lambda o: Invoke("genesis_oracle", "ask", {"n": 1}), on_progress=give)

    assert given == [Done()]
    assert [type(r.answer) for r in steps_of(run, "a")] == [Waiting]
    assert run.state().effects == {}
    assert run.ended == "quiet"


def test_a_stop_does_not_wait_for_a_mind_that_thinks(world: World):
    class Thinker:
        async def decide(self, observation: Observation) -> Decision:
            if observation.step == 3:
                await asyncio.sleep(600)
            return count(observation)

    def stop(session: Session) -> None:
        if session.world.state.agenda.steps["a"] == 3 and session.driver is not None:
            session.driver.stop()

    run = world.run(Thinker(), count, runner={"decide_timeout_s": 300}, on_progress=stop, until_s=1)
    assert run.ended == "stopped"
    assert len(steps_of(run, "a")) == len(steps_of(run, "b")) == 3

    minds = {"a": Scripted(count), "b": Scripted(count)}
    run = scripworld.resume(run.folder, until_us=SECOND_US, minds=minds, natives=[ORACLE])
    whole = world.run(count, count, until_s=1)
    assert list(run.records()) == list(whole.records())


def test_a_performer_that_does_not_end_is_left_after_a_while(world: World):
    class Stuck(Oracle):
        async def close(self) -> None:
            await asyncio.sleep(600)

    world.oracle = Stuck()
    run = world.run(count, until_s=1, runner={"stop_timeout_s": 0.1})

    assert run.ended == "until"


def test_a_run_ends_after_its_steps(world: World):
    run = world.run(count, steps=7, until_s=60)

    assert run.ended == "steps"
    assert run.verify().records == 8


def test_recorded_effects_answer_whatever_the_performer_is_called(world: World):
    def choose(o: Observation) -> Decision:
        return Invoke("genesis_oracle", "ask", {"n": o.step})

    live = world.run(choose, until_s=1)
    performed = len(world.oracle.asked)
    again = world.run(choose, until_s=1, effects_from=live.id)

    assert list(again.records()) == list(live.records())
    assert len(world.oracle.asked) == performed > 0
