"""What a tree of processes uses, against real processes that burn CPU time and take memory."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripworld.adapters.process_usage import ProcessUsage, listed_children, scanned_children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is measured elsewhere")

# It does what each line of its input says, and answers with a line.
WORKER = """
import subprocess, sys, time
BURN = "import time; end = time.process_time() + {}\\nwhile time.process_time() < end: pass"
kept, children = [], []
print("ready", flush=True)
for line in sys.stdin:
    what, amount = line.split()
    if what == "burn":
        exec(BURN.format(amount))
    elif what == "take":
        kept.append(b"x" * int(amount))
    elif what == "child":
        subprocess.run([sys.executable, "-S", "-c", BURN.format(amount)])
    elif what == "keep":
        code = BURN.format(amount) + "\\nprint(1, flush=True); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)
        child.stdout.readline()
        children.append(child)
    elif what == "end":
        children[-1].kill()
        children.pop().wait()
    print("done", flush=True)
"""


class Worker:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def told(self, what: str, amount: float = 0) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{what} {amount}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def worker() -> Iterator[Worker]:
    command = [sys.executable, "-S", "-c", WORKER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield Worker(process)
        process.kill()


def now() -> float:
    return time.monotonic()


def test_a_call_is_told_the_cpu_time_that_was_used_while_it_ran() -> None:
    with worker() as process:
        process.told("burn", 0.2)
        usage = ProcessUsage(process.pid)
        mark = usage.begin(now())
        process.told("burn", 0.1)
        assert 100_000 <= usage.end(mark, now()) < 190_000


def test_cpu_time_between_calls_is_nobodys() -> None:
    with worker() as process:
        usage = ProcessUsage(process.pid)
        usage.end(usage.begin(now()), now())
        process.told("burn", 0.2)
        assert usage.end(usage.begin(now()), now()) < 100_000


def test_calls_in_flight_share_what_was_used_and_nothing_is_counted_twice() -> None:
    with worker() as process:
        usage = ProcessUsage(process.pid)
        before_us = usage.cpu_us
        long = usage.begin(now())
        process.told("burn", 0.1)
        short = usage.begin(now())
        process.told("burn", 0.1)
        short_us = usage.end(short, now())
        process.told("burn", 0.1)
        long_us = usage.end(long, now())
        assert 50_000 <= short_us < 90_000
        assert 250_000 <= long_us < 340_000
        assert abs(short_us + long_us - (usage.cpu_us - before_us)) <= 1


def test_many_short_calls_sum_up_to_all_that_was_used() -> None:
    with worker() as process:
        usage = ProcessUsage(process.pid)
        before_us = usage.cpu_us
        marks = [usage.begin(now()) for _ in range(7)]
        shares_us = []
        for _ in range(50):
            process.told("burn", 0.002)
            shares_us.append(usage.end(marks.pop(0), now()))
            marks.append(usage.begin(now()))
        shares_us += [usage.end(mark, now()) for mark in marks]
        assert abs(sum(shares_us) - (usage.cpu_us - before_us)) <= len(shares_us)
        assert sum(shares_us) >= 100_000


def test_the_time_of_a_child_that_began_and_ended_unseen_counts() -> None:
    with worker() as process:
        usage = ProcessUsage(process.pid)
        mark = usage.begin(now())
        process.told("child", 0.2)
        assert 190_000 <= usage.end(mark, now()) < 400_000


def test_a_child_that_was_seen_and_then_ended_counts_once() -> None:
    with worker() as process:
        usage = ProcessUsage(process.pid)
        mark = usage.begin(now())
        process.told("keep", 0.2)
        time.sleep(0.15)
        usage.sample(now())
        with_child_us = usage.cpu_us
        process.told("end")
        time.sleep(0.15)
        used_us = usage.end(mark, now())
        assert used_us >= 200_000
        assert usage.cpu_us - with_child_us < 100_000


def test_what_a_process_used_before_it_ended_stays_counted() -> None:
    with worker() as process:
        usage = ProcessUsage(process.pid)
        mark = usage.begin(now())
        process.told("burn", 0.1)
        usage.sample(now())
        process.process.kill()
        process.process.wait()
        assert usage.end(mark, now()) >= 100_000
        assert usage.end(usage.begin(now()), now()) == 0


def test_the_peak_of_memory_stays_when_the_memory_is_given_back_and_counts_children() -> None:
    with worker() as process:
        usage = ProcessUsage(process.pid)
        before_bytes = usage.memory_peak_bytes
        assert before_bytes > 1_000_000
        process.told("take", 50_000_000)
        time.sleep(0.15)
        usage.sample(now())
        assert 45_000_000 < usage.memory_peak_bytes - before_bytes < 60_000_000
        alone_bytes = usage.memory_peak_bytes
        process.told("keep")
        time.sleep(0.15)
        usage.sample(now())
        assert usage.memory_peak_bytes > alone_bytes + 1_000_000


def test_a_process_that_is_not_there_uses_nothing() -> None:
    with worker() as process:
        pid = process.pid
    usage = ProcessUsage(pid)
    assert usage.end(usage.begin(now()), now()) == 0
    assert usage.memory_peak_bytes == 0


def test_both_ways_to_find_children_find_the_same() -> None:
    with worker() as process:
        process.told("keep")
        assert process.pid in listed_children(os.getpid())
        found = listed_children(process.pid)
        assert len(found) == 1
        assert scanned_children()(process.pid) == found
        assert scanned_children()(found[0]) == listed_children(found[0]) == []
