"""Agents that are made, sold and rewritten while a run goes on: their loops follow, also after a kill."""

import asyncio
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Fault, Run, Scenario
from scripworld.agents.mind import Decision, Observation, Rules, Scripted
from scripworld.simulation.config import Config
from scripworld.simulation.scenario import configure
from scripworld.world import Advance, Contract, Done, Envelope, Invoke, Read, Sleep, Stop, Write

from .lab import SECOND_US, Killed, Play

ESCROW, LEDGER, RIGHTS = "genesis_escrow", "genesis_ledger", "genesis_rights_registry"
ENDS_US = 2_500_000
COUNTER, WRITER = '{"mind": "counter"}', '{"mind": "writer", "params": {"note": "note"}}'
QUOTAS = {"compute": 400, "writes": 100, "stored_bytes": 4_000}


class Counter(Rules):
    """Asks how much there is, again and again."""

    def choose(self, o: Observation) -> Decision:
        return Invoke("genesis_store", "count", {"owner": f"x{o.step}"})


class Writer:
    """Writes what step it is, after some thought."""

    async def decide(self, o: Observation) -> Decision:
        await asyncio.sleep(0)
        return Invoke(LEDGER, "transfer", {"to": "buyer", "amount": o.step + 1})


def sell(o: Observation) -> Decision:
    """Make an agent, give it what it needs, sell it."""
    give = {"to": "child", "resource": "compute", "amount": 200}
    steps: list[Decision] = [
        Invoke(LEDGER, "spawn_agent", {"id": "child", "content": COUNTER}),
        Invoke(RIGHTS, "transfer_quota", give),
        Invoke(LEDGER, "transfer", {"to": "child", "amount": 3}),
        Invoke(ESCROW, "list_for_sale", {"artifact": "child", "price": 7, "buyer": "buyer"}),
        Write("note", "for nobody"),
        Invoke(ESCROW, "list_for_sale", {"artifact": "note", "price": 1, "expires_us": ENDS_US}),
    ]
    return steps[o.step] if o.step < len(steps) else Stop("sold it")


def buy(o: Observation) -> Decision:
    """Buy it, make something else of it, and then nonsense."""
    steps: list[Decision] = [
        Sleep(1 * SECOND_US),
        Invoke(ESCROW, "purchase", {"artifact": "child", "price_max": 7}),
        Sleep(2 * SECOND_US),
        Write("child", WRITER),
        Sleep(3 * SECOND_US),
        Write("child", '{"mind": "nobody"}'),
    ]
    return steps[o.step] if o.step < len(steps) else Stop("bought it")


MINDS = {"seller": Scripted(sell), "buyer": Scripted(buy), "counter": Counter, "writer": Writer}


@cache
def market(**more: Any) -> tuple[Scenario, Config]:
    agents = [
        {"id": id, "mind": id, "scrip": 20, "quotas": QUOTAS, **more} for id in ("buyer", "seller")
    ]
    # Both are named by an agent, so that the caller has to bring them.
    agents += [{"id": f"{m}_0", "mind": m, "scrip": 0, "quotas": {}} for m in ("counter", "writer")]
    servers = {name: {"enabled": False} for name in ("filesystem", "fetch")}
    scenario = Scenario.model_validate(
        {
            "name": "market",
            "until_us": 6 * SECOND_US,
            "agents": agents,
            "config": {"genesis": {"mcp": {"servers": servers}}},
        }
    )
    return scenario, configure(scenario)


def play() -> Play:
    made = Play(1, minds=dict(MINDS), library=market())
    made.begin()
    return made


def actions_of(run: Run, principal: str) -> list[Any]:
    inputs = [r.input for r in run.records() if isinstance(r.input, Envelope)]
    return [given.action for given in inputs if given.principal == principal]


def run_of(folder: Path, **changes: Any) -> Run:
    given: dict[str, Any] = {"minds": dict(MINDS), "settings": {"store": {"runs_dir": str(folder)}}}
    return scripworld.run(market()[0], **(given | changes))


def test_an_agent_is_made_sold_rewritten_and_its_loop_follows(tmp_path: Path):
    run = run_of(tmp_path)

    run.verify()
    state = run.state()
    child = state.artifacts.by_id["child"]
    assert (child.owner, child.loop, child.encumbered_by) == ("buyer", True, "")
    assert state.artifacts.by_id["note"].encumbered_by == ""
    assert ENDS_US in [r.now_us for r in run.records() if isinstance(r.input, Advance)]
    balances = state.ledger.balances
    assert balances["seller"] == 20 - 3 + 7
    assert balances["child"] + balances["buyer"] == 3 + 20 - 7
    did = [action.method for action in actions_of(run, "child") if isinstance(action, Invoke)]
    assert did == sorted(did)  # first it counts, then it transfers
    assert set(did) == {"count", "transfer"}
    assert isinstance(actions_of(run, "child")[-1], Stop)
    assert state.agenda.stopped["child"].startswith("its content makes no mind: agent child: there")
    assert "'nobody'" in state.agenda.stopped["child"]


def test_on_the_wall_clock_too_an_agent_that_was_made_acts(tmp_path: Path):
    class Thinker:
        async def decide(self, o: Observation) -> Decision:
            await asyncio.sleep(0.01)
            did = [t for t in o.recent if isinstance(t.action, Invoke)]
            return Stop("thought") if len(did) == 3 else Counter().choose(o)

    others = {id: Scripted([]) for id in ("buyer", "counter_0", "writer_0")}
    minds = MINDS | others | {"counter": Thinker}
    run = run_of(tmp_path, clock="wall", minds=minds)

    assert run.ended == "quiet"
    assert run.state().agenda.stopped["child"] == "thought"
    assert [type(action) for action in actions_of(run, "child")][-4:] == [Invoke] * 3 + [Stop]
    run.verify()


def test_killed_anywhere_it_goes_on_as_if_nothing_had_happened():
    whole = play()
    whole.drive()
    whole.check()
    last = len(whole.rows)

    for kill_at in range(1, last, 3):
        again = play()
        again.disk.kill_at = kill_at
        with pytest.raises(Killed):
            again.drive()
        again.reopen()
        assert again.rows == whole.rows[: len(again.rows)]
        again.drive()

        again.check()
        assert again.rows == whole.rows, kill_at
        assert again.memories() == whole.memories()


def test_what_agents_wrote_into_each_other_does_not_keep_a_run_from_going_on(tmp_path: Path):
    run = run_of(tmp_path, until_us=3 * SECOND_US + 50_000)
    assert "child" not in run.state().agenda.stopped

    again = scripworld.resume(run.folder, minds=dict(MINDS), until_us=6 * SECOND_US)

    assert "'nobody'" in again.state().agenda.stopped["child"]
    again.verify()


@pytest.mark.parametrize("until_s", [2, 5])
def test_minds_that_the_scenario_names_must_be_brought_again(tmp_path: Path, until_s: int):
    run = run_of(tmp_path, until_us=until_s * SECOND_US)

    with pytest.raises(Fault, match="there is no mind") as caught:
        scripworld.resume(run.folder, until_us=6 * SECOND_US)

    assert "\n" not in str(caught.value)


def test_an_agent_that_owns_itself_makes_itself_another(tmp_path: Path):
    def turn(o: Observation) -> Decision:
        return Write("seller", COUNTER) if o.step else Sleep(o.now_us + 1)

    agents = [{"id": "seller", "mind": "turn", "scrip": 1, "quotas": QUOTAS}]
    agents.append({"id": "c", "mind": "counter", "scrip": 0, "quotas": {}})
    scenario = Scenario.model_validate({"name": "own", "agents": agents})
    settings = {"store": {"runs_dir": str(tmp_path)}}
    minds: dict[str, Any] = {"turn": Scripted(turn), "counter": Counter}

    run = scripworld.run(scenario, minds=minds, settings=settings, until_us=SECOND_US)

    did = [type(action) for action in actions_of(run, "seller")]
    assert did[:2] == [Sleep, Write]
    assert set(did[2:]) == {Invoke}
    run.verify()


class Costly(Rules):
    """Cannot be made twice."""

    made = 0

    def __init__(self) -> None:
        Costly.made += 1
        if Costly.made > 1:
            raise OSError("the disk\nis full")

    def choose(self, o: Observation) -> Decision:
        return Write(o.principal, f'{{"mind": "costly", "n": {o.step}}}')


def test_a_mind_that_cannot_be_made_anew_stops_its_agent_alone(tmp_path: Path):
    Costly.made = 0
    agents = [
        {"id": id, "mind": mind, "scrip": 1, "quotas": QUOTAS}
        for id, mind in (("a", "costly"), ("b", "counter"))
    ]
    scenario = Scenario.model_validate({"name": "own", "agents": agents})
    settings = {"store": {"runs_dir": str(tmp_path)}}
    minds: dict[str, Any] = {"costly": Costly, "counter": Counter}

    run = scripworld.run(scenario, minds=minds, settings=settings, until_us=SECOND_US)

    assert run.state().agenda.stopped == {
        "a": "its content makes no mind: agent a: making its mind 'costly' failed: "
        "OSError: the disk is full"
    }
    assert len(actions_of(run, "b")) > 5


@pytest.mark.parametrize(
    "content", ["", "[" * 90_000, '{"mind": []}', '{"mind": {}}', '{"mind": "' + "x" * 900 + '"}']
)
def test_nonsense_that_others_write_into_an_agent_stops_it_with_a_short_reason(
    tmp_path: Path, content: str
):
    def spoil(o: Observation) -> Decision:
        return Write("a", content) if o.step == 1 else Sleep(o.now_us + 300_000)

    def open_up(o: Observation) -> Decision:
        text = '{"mind": "open"}'
        return Write("a", text, contract=Contract("public")) if o.step == 0 else Read("a")

    agents = [
        {"id": id, "mind": mind, "scrip": 1, "quotas": QUOTAS | {"stored_bytes": 200_000}}
        for id, mind in (("a", "open"), ("b", "spoil"))
    ]
    scenario = Scenario.model_validate({"name": "own", "agents": agents})
    settings = {"store": {"runs_dir": str(tmp_path)}}
    minds: dict[str, Any] = {"open": Scripted(open_up), "spoil": Scripted(spoil)}

    run = scripworld.run(scenario, minds=minds, settings=settings, until_us=SECOND_US)

    reason = run.state().agenda.stopped["a"]
    assert reason.startswith("its content makes no mind: ")
    assert len(reason) < 260
    assert isinstance(actions_of(run, "b")[-1], Sleep)
    run.verify()


def test_an_agent_without_compute_rests_until_it_is_given_some(tmp_path: Path):
    def feed(o: Observation) -> Decision:
        give = {"to": "child", "resource": "compute", "amount": 50}
        steps: list[Decision] = [
            Invoke(LEDGER, "spawn_agent", {"id": "child", "content": COUNTER}),
            Sleep(2 * SECOND_US),
            Invoke(RIGHTS, "transfer_quota", give),
        ]
        return steps[o.step] if o.step < len(steps) else Stop("fed")

    run = run_of(tmp_path, minds={**MINDS, "seller": Scripted(feed)}, until_us=3 * SECOND_US)

    mine = [
        r for r in run.records() if isinstance(r.input, Envelope) and r.input.principal == "child"
    ]
    assert [r.now_us for r in mine][:2] == [0, 0]  # it was due at once, had nothing and fell asleep
    assert isinstance(mine[1].input.action, Sleep)
    assert mine[2].now_us == 2 * SECOND_US
    assert isinstance(mine[2].answer, Done)
    run.verify()
