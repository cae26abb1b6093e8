"""Whole worlds from seeds: effects faked at the port, faults there and in the store, kills anywhere.

`SCRIPWORLD_SEEDS=500` plays 500 seeds, `SCRIPWORLD_SEEDS=41-43` those. A failure names its seed and
the command that repeats it.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

import scripworld
from scripworld.adapters.event_store import SqliteEventLog, StoreFault
from scripworld.simulation.config import Config
from scripworld.simulation.runs import STORE_FILE
from scripworld.simulation.scenario import Scenario, configure
from scripworld.world import Code, EffectRequest, Settle, fold, read_records

from .lab import SECOND_US, Killed, Play, Tools, conserved, effect_cost, small_library


def seeds() -> list[int]:
    first, _, last = os.environ.get("SCRIPWORLD_SEEDS", "100").partition("-")
    return list(range(int(first), int(last) + 1)) if last else list(range(int(first)))


@contextmanager
def repeatable_by(test: str, seed: int) -> Iterator[None]:
    """Adds to a failure how to get it again."""
    try:
        yield
    except Exception as error:
        command = (
            f"SCRIPWORLD_SEEDS={seed}-{seed} pytest tests/simulation/test_whole_worlds.py -k {test}"
        )
        error.add_note(f"seed {seed}; again with: {command}")
        raise


def uninterrupted(seed: int, **changes: object) -> Play:
    """A world that was left alone."""
    play = Play(seed, **changes)  # type: ignore[arg-type]
    play.begin()
    assert play.drive() == "until"
    play.check()
    return play


@pytest.mark.parametrize("seed", seeds())
def test_a_world_killed_between_any_two_steps_goes_on_as_if_nothing_had_happened(seed: int):
    chance = Random(seed)
    faults = {"fault_rate": chance.choice((0.0, 0.1, 0.3)), "dither": chance.random() < 0.5}
    with repeatable_by("killed_between", seed):
        whole = uninterrupted(seed, **faults)

        play = Play(seed, **faults)
        play.begin()
        for _ in range(chance.randrange(1, 4)):
            left = len(whole.rows) - play.disk.durable_seq
            play.disk.kill_at = play.disk.durable_seq + chance.randrange(1, left + 1)
            if play.disk.kill_at < len(whole.rows):
                with pytest.raises(Killed):
                    play.drive()
            else:
                play.drive()
            play.reopen()
            assert play.rows == whole.rows[: play.disk.durable_seq + 1]
        assert play.drive() == "until"

        play.check()
        assert play.rows == whole.rows
        assert play.blobs == whole.blobs
        assert play.memories() == whole.memories()


@pytest.mark.parametrize("seed", seeds())
def test_what_a_kill_interrupts_is_settled_by_rule_and_never_done_twice(seed: int):
    chance = Random(-seed)
    with repeatable_by("interrupts", seed):
        play = Play(seed, repeatable=False, fault_rate=chance.choice((0.0, 0.2)))
        play.begin()
        for _ in range(3):
            play.disk.kill_at = play.disk.durable_seq + chance.randrange(1, 90)
            try:
                play.drive()
            except Killed:
                play.reopen()
                pending = {request.id: request.key for request in play.world.pending()}
                play.drive(until_us=play.world.state.now_us + 1)
                for id, key in pending.items():
                    assert play.tools.performed.get(key, 0) <= 1, id
                assert interruptions(play) >= set(pending)
        play.drive()

        play.check()
        assert set(play.tools.performed.values()) <= {1}


def interruptions(play: Play) -> set[str]:
    """The effects that were settled as interrupted."""
    return {
        record.input.effect_id
        for record in read_records(play.rows, play.disk)
        if isinstance(record.input, Settle) and record.input.result.code is Code.EFFECT_INTERRUPTED
    }


@pytest.mark.parametrize("seed", seeds())
def test_a_write_that_fails_ends_the_run_in_one_sentence_and_loses_nothing_committed(seed: int):
    chance = Random(seed)
    with repeatable_by("write_that_fails", seed):
        whole = uninterrupted(seed)

        play = Play(seed)
        play.begin()
        at = chance.randrange(2, max(whole.disk.commits, 3))
        play.disk.fail_at = range(at, at + chance.choice((1, 2)))  # once, or also when it ends
        with pytest.raises(StoreFault, match=r"^the disk is full$"):
            play.drive()
        durable = play.disk.durable_seq
        assert play.rows[: durable + 1] == whole.rows[: durable + 1]
        play.reopen()
        play.drive()

        play.check()
        assert play.rows == whole.rows


@pytest.mark.parametrize("seed", seeds()[:5])
def test_a_run_that_stops_at_every_few_steps_is_the_same_run(seed: int):
    with repeatable_by("every_few_steps", seed):
        whole = uninterrupted(seed, fault_rate=0.1)

        play = Play(seed, fault_rate=0.1)
        play.begin()
        while play.drive(steps=1 + seed) != "until":
            play.reopen()

        play.check()
        assert play.rows == whole.rows


@pytest.mark.parametrize("seed", seeds()[:4])
def test_it_holds_on_a_real_disk_too(seed: int, tmp_path):
    with repeatable_by("real_disk", seed):
        whole = uninterrupted(seed)
        performers = {id: Tools(seed) for id in ("genesis_filesystem", "genesis_fetch")}
        scenario, _ = small_library()
        settings = {"store": {"runs_dir": str(tmp_path), "group_records_max": 7}}

        run = scripworld.run(
            scenario, seed=seed, settings=settings, performers=performers, steps=90
        )
        run.verify(conserved)
        run = scripworld.resume(run.folder, performers=performers)

        proof = run.verify(conserved)
        assert run.ended == "until"
        log = SqliteEventLog.open_readonly(run.folder / STORE_FILE)
        try:
            rows = list(log.records())
            assert fold(rows)[0].snapshot() == run.state().snapshot()
            assert [note.kind for note in log.processes()] == ["start", "end", "resume", "end"]
        finally:
            log.close()
        assert proof.records == len(rows)
        assert rows == whole.rows


def test_the_faults_that_are_played_are_all_met():
    """The seeds are worth their time: every kind of trouble shows in some log."""
    codes: set[Code | None] = set()
    for seed in range(20):
        play = uninterrupted(seed, fault_rate=0.4)
        for record in read_records(play.rows, play.disk):
            if isinstance(record.input, Settle):
                codes.add(record.input.result.code)

    wanted = {None, Code.RESULT_TOO_LARGE, Code.TOOL_FAILED, Code.EFFECT_TIMEOUT}
    assert codes >= wanted | {Code.TOOL_CRASHED, Code.TOOL_UNAVAILABLE}


def test_a_request_is_performed_only_when_it_is_durable():
    performed: list[tuple[int, int]] = []

    class Watching(Tools):
        async def perform(self, request: EffectRequest):
            assert self.disk is not None
            performed.append((int(request.id.partition(".")[0]), self.disk.durable_seq))
            return await super().perform(request)

    play = Play(1)
    play.tools = Watching(1, play.disk)
    play.begin()
    play.drive(until_us=3 * SECOND_US)

    assert performed
    assert all(asked <= durable for asked, durable in performed)


class Deaf(Tools):
    """Never answers one of those who ask."""

    async def perform(self, request: EffectRequest):
        if request.principal == "librarian_1":
            await asyncio.get_running_loop().create_future()
        return await super().perform(request)


def test_an_effect_that_timed_out_before_a_kill_may_answer_after_it():
    def play() -> Play:
        play = Play(4, library=patient_library())
        play.tools = Deaf(4, play.disk)
        play.begin()
        return play

    whole = play()
    whole.drive(until_us=SECOND_US)
    late = next(
        record
        for record in read_records(whole.rows, whole.disk)
        if isinstance(record.input, Settle) and record.input.result.code is Code.EFFECT_TIMEOUT
    )

    killed = play()
    killed.disk.kill_at = late.seq
    with pytest.raises(Killed):
        killed.drive(until_us=SECOND_US)
    killed.tools = Tools(4)
    killed.reopen()
    overdue = [r for r in killed.world.pending() if r.due_us < killed.world.state.now_us]
    assert len(overdue) == 1
    killed.drive(until_us=SECOND_US)

    killed.check()
    assert overdue[0].key in killed.tools.performed
    assert not any(request.id == overdue[0].id for request in killed.world.pending())


def patient_library() -> tuple[Scenario, Config]:
    """The small library where an effect may take longer than a step of a loop."""
    scenario, _ = small_library()
    costs = {"genesis_filesystem": {"*": effect_cost(repeatable=True) | {"timeout_us": 160_000}}}
    settings = {"world": {"costs": costs}, "store": {"group_records_max": 1}}
    return scenario, configure(scenario, overrides=settings)
