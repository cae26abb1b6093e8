"""`kill -9` in the middle of a run: what was committed is proved, the rest goes on, nothing is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

import scripworld
from scripworld.world import Code, Settle

from .lab import SECOND_US, conserved, records_of
from .run_until_killed import RUN_ID, Slow

ROOT = Path(__file__).parents[2]


def start(folder: Path, seed: int) -> "subprocess.Popen[bytes]":
    program = [sys.executable, "-m", "tests.simulation.run_until_killed", str(folder), str(seed)]
    return subprocess.Popen(program, cwd=ROOT, stdin=subprocess.DEVNULL)


def mentioned(marker: str) -> set[int]:
    """The processes whose arguments or environment hold a text, ours left out."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if marker.encode() in told:
            found.add(int(entry.name))
    return found


def noted_pids(folder: Path) -> set[int]:
    """The servers that ran, and what they started."""
    notes = folder / "notes"
    lines = notes.read_text().splitlines() if notes.exists() else []
    children = [line.rpartition(" ")[2] for line in lines if " child " in line]
    return {int(pid) for pid in [*(line.split()[0] for line in lines), *children]}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def left_over(folder: Path) -> set[int]:
    """What still runs after it had time to end."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        left = {pid for pid in noted_pids(folder) if is_running(pid)} | mentioned(str(folder))
        if not left:
            return left
        time.sleep(0.05)
    return left


@pytest.mark.parametrize("seed", range(5))
def test_a_run_that_is_killed_is_proved_goes_on_and_leaves_nothing_behind(seed: int, tmp_path):
    chance = Random(seed)
    enough = chance.randrange(2, 600)
    process = start(tmp_path, seed)
    try:
        deadline = time.monotonic() + 60
        while records_of(tmp_path / RUN_ID) < enough and time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.002)
        time.sleep(chance.random() * 0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert left_over(tmp_path) == set()

    killed = scripworld.open_run(RUN_ID, tmp_path)
    committed = killed.verify(conserved)
    assert committed.records >= enough
    before = list(killed.records())

    until_us = before[-1].now_us + 15 * SECOND_US
    run = scripworld.resume(
        killed.folder, performers={"genesis_fetch": Slow(seed)}, until_us=until_us
    )

    assert run.ended == "until"
    assert run.verify(conserved).records > committed.records
    assert list(run.records())[: committed.records] == before
    codes = {r.input.result.code for r in run.records() if isinstance(r.input, Settle)}
    assert Code.EFFECT_INTERRUPTED not in codes
    assert noted_pids(tmp_path)
    assert left_over(tmp_path) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly_with_what_happened_committed(number: int, tmp_path):
    process = start(tmp_path, 1)
    try:
        while records_of(tmp_path / RUN_ID) < 60:
            assert process.poll() is None, "it ended before the signal"
            time.sleep(0.002)
        process.send_signal(number)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()

    run = scripworld.open_run(RUN_ID, tmp_path)
    log = run.log()
    try:
        assert [(note.kind, note.text) for note in log.processes()][1:] == [("end", "stopped")]
    finally:
        log.close()
    run.verify(conserved)
    assert left_over(tmp_path) == set()


def test_a_run_that_another_process_writes_is_not_resumed_but_can_be_read(tmp_path):
    process = start(tmp_path, 2)
    try:
        while records_of(tmp_path / RUN_ID) < 60:
            assert process.poll() is None, "it ended too soon"
            time.sleep(0.002)
        run = scripworld.open_run(RUN_ID, tmp_path)
        run.verify(conserved)
        with pytest.raises(scripworld.Fault, match="another process") as caught:
            scripworld.resume(run.folder)
        assert "\n" not in str(caught.value)
    finally:
        process.kill()
        process.wait()
    assert left_over(tmp_path) == set()
