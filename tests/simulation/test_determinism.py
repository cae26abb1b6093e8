"""One seed and one set of recorded effects give one log, on any machine and at any speed."""

import asyncio
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

import pytest

import scripworld
from scripworld import Fault, Run
from scripworld.simulation.scenario import Scenario, configure
from scripworld.world import (
    Code,
    EffectRequest,
    EffectResult,
    Envelope,
    Record,
    Row,
    Settle,
    read_records,
)

from .lab import SECOND_US, Play, Tools, small_library

SERVERS = ("genesis_filesystem", "genesis_fetch")


def rows_of(run: Run) -> list[Row]:
    log = run.log()
    try:
        return list(log.records())
    finally:
        log.close()


def run_small(runs: Path, seed: int = 3, **arguments: Any) -> Run:
    scenario, _ = small_library()
    until_us = arguments.pop("until_us", 3 * SECOND_US)
    settings = {"store": {"runs_dir": str(runs)}}
    return scripworld.run(scenario, seed=seed, settings=settings, until_us=until_us, **arguments)


def tools(seed: int, **changes: Any) -> dict[str, Tools]:
    return {id: Tools(seed, **changes) for id in SERVERS}


class Sluggish(Tools):
    """Takes its time, another one in every run, and measures it."""

    async def perform(self, request: EffectRequest) -> EffectResult:
        await asyncio.sleep(Random().random() * 0.004)
        result = await super().perform(request)
        return EffectResult(
            result.value, result.code, result.detail, {"wall_us": Random().randrange(9)}
        )


def test_a_run_with_recorded_effects_is_the_same_run_byte_for_byte(tmp_path):
    performers = {id: Sluggish(3, fault_rate=0.2, patience_s=0.3) for id in SERVERS}

    live = run_small(tmp_path, performers=performers)
    again = run_small(tmp_path, effects_from=live.id)
    from_a_copy = run_small(tmp_path, effects_from=again.id)

    assert any(isinstance(record.input, Settle) for record in live.records())
    assert rows_of(live) == rows_of(again) == rows_of(from_a_copy)
    assert again.verify() == live.verify()


def test_how_fast_performers_are_shows_nowhere(tmp_path):
    class Slow(Tools):
        patience_s = 5.0

        async def perform(self, request: EffectRequest) -> EffectResult:
            await asyncio.sleep(Random().random() * 0.01)
            return await super().perform(request)

    quick = run_small(tmp_path, performers=tools(3))
    for _ in range(2):
        slow = run_small(tmp_path, performers={id: Slow(3, patience_s=5.0) for id in SERVERS})
        assert rows_of(slow) == rows_of(quick)


def test_how_records_are_grouped_and_how_many_effects_run_at_once_shows_nowhere(tmp_path):
    scenario, _ = small_library()
    logs = []
    for group, at_once in ((1, 1), (10_000, 50)):
        settings = {
            "store": {"runs_dir": str(tmp_path), "group_records_max": group},
            "runner": {"effects_in_flight_max": at_once},
        }
        run = scripworld.run(
            scenario, seed=5, settings=settings, until_us=2 * SECOND_US, performers=tools(5)
        )
        logs.append(rows_of(run))

    assert logs[0] == logs[1]


def test_another_seed_is_another_run(tmp_path):
    one = run_small(tmp_path, seed=1, performers=tools(1))
    two = run_small(tmp_path, seed=2, performers=tools(1))

    assert rows_of(one)[40:] != rows_of(two)[40:]


def test_a_recording_of_another_seed_is_refused_in_one_sentence(tmp_path):
    one = run_small(tmp_path, seed=1, performers=tools(1))

    with pytest.raises(Fault, match="the recorded run holds no such effect") as caught:
        run_small(tmp_path, seed=2, run_id="other", effects_from=one.id)

    assert "\n" not in str(caught.value)
    scripworld.open_run("other", tmp_path).verify()


def test_a_recording_that_does_not_exist_is_refused_and_names_those_that_do(tmp_path):
    one = run_small(tmp_path, performers=tools(1))

    with pytest.raises(Fault, match=f"there is no run 'nothing'.*{one.id}"):
        run_small(tmp_path, effects_from="nothing")


def what_happened(play: Play) -> list[Any]:
    """The records, without what the hash of the first record decides."""

    def told(record: Record) -> Any:
        return record.seq, record.now_us, record.input, record.facts, record.answer

    return [told(record) for record in read_records(play.rows, play.disk)][1:]


@pytest.mark.parametrize("seed", range(4))
def test_in_which_order_agents_stand_in_the_file_does_not_matter(seed: int):
    scenario, config = small_library()
    turned = Scenario.model_validate(
        scenario.model_dump() | {"agents": [e.model_dump() for e in reversed(scenario.agents)]}
    )

    def asked(request: EffectRequest) -> str:
        return f"{request.principal} {request.requested_us} {request.payload}"

    plays = []
    for library in ((scenario, config), (turned, configure(turned))):
        plays.append(Play(seed, library=library, of=asked, fault_rate=0.1))
        plays[-1].begin()
        plays[-1].drive()
        plays[-1].check()

    assert plays[0].scenario.agents != plays[1].scenario.agents
    assert what_happened(plays[0]) == what_happened(plays[1])


def test_nobody_wins_every_race_by_its_name():
    scenario = Scenario.model_validate(
        {
            "name": "race",
            "agents": [
                {"id": id, "mind": "hoarder", "scrip": 0, "quotas": {"compute": 5_000}}
                for id in ("anna", "bert", "cleo", "dora")
            ],
        }
    )
    play = Play(0, library=(scenario, configure(scenario)))
    play.begin()
    play.drive(until_us=20 * SECOND_US)

    orders = defaultdict(list)
    for record in read_records(play.rows, play.disk):
        if isinstance(record.input, Envelope):
            orders[record.now_us].append(record.input.principal)
    firsts = Counter(order[0] for order in orders.values())
    lasts = Counter(order[-1] for order in orders.values())
    assert all(len(order) == 4 for order in orders.values())
    assert len(orders) > 150
    assert min(firsts[id] for id in ("anna", "bert", "cleo", "dora")) > len(orders) / 8
    assert min(lasts[id] for id in ("anna", "bert", "cleo", "dora")) > len(orders) / 8
    assert len(set(map(tuple, orders.values()))) == 24


def test_a_late_result_is_due_at_its_deadline_and_others_act_meanwhile():
    play = Play(2)

    class Deaf(Tools):
        async def perform(self, request: EffectRequest) -> EffectResult:
            if request.principal == "librarian_1":
                await asyncio.get_running_loop().create_future()
            return await super().perform(request)

    play.tools = Deaf(2, play.disk)
    play.begin()
    play.drive(until_us=2 * SECOND_US)
    play.check()

    records = list(read_records(play.rows, play.disk))
    late = [
        record
        for record in records
        if isinstance(record.input, Settle) and record.input.result.code is Code.EFFECT_TIMEOUT
    ]
    asked = {record.seq: record for record in records}
    assert late
    for record in late:
        assert record.cause is not None
        assert record.now_us == asked[record.cause].now_us + 20_000
    others = {r.input.principal for r in records if isinstance(r.input, Envelope)}
    assert others > {"librarian_2", "webster", "hoarder"}
