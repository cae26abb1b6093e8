"""What a call of agent-written code costs: in a worker, against `exec` in process and a fresh subprocess.

Run by hand: ``python benchmarks/agent_code.py`` (about a minute), ``--quick`` (ten seconds). Rounds of
all ways alternate within one run, so compare ratios. *Undisturbed* is the tenth percentile: on a busy
machine, what a change of context costs stands in the median.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic_monty import Monty

from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.world import (
    CallBack,
    CodeCall,
    Contract,
    Done,
    Envelope,
    Invoke,
    PrincipalSpec,
    Resource,
    Return,
    Tool,
    World,
    WorldConfig,
    Write,
)

GREET = "def m(name):\n    return 'hi ' + name\n"
COUNT = "def m(n):\n    for i in range(n):\n        read('a')\n    return n\n"
WORK = "def m(n):\n    total = 0\n    for i in range(n):\n        total += i * i % 7\n    return total\n"
CALLS_BACK = 20
NO_CALL_BACK, WITH_CALLS_BACK = "a call without a call back", f"a call with {CALLS_BACK} calls back"
AIM_CALL_US, AIM_CALL_BACK_US = 250, 50


def call_of(code: str, **args: Any) -> CodeCall:
    return CodeCall(code, "shop", "m", args, "bob", 0, "7/shop")


def one_call(runner: MontyRunner, call: CodeCall) -> None:
    session, outcome = runner.start(call)
    session.close()
    assert isinstance(outcome, Return), outcome


def calls_back(runner: MontyRunner, call: CodeCall) -> None:
    session, outcome = runner.start(call)
    answer = Done("content")
    while isinstance(outcome, CallBack):
        outcome = session.resume(answer)
    session.close()
    assert isinstance(outcome, Return), outcome


def plain_exec(code: str, args: dict[str, Any]) -> None:
    names: dict[str, Any] = {"read": lambda id: "content"}
    exec(compile(code, "code", "exec"), names)
    names["m"](**args)


def fresh_subprocess(code: str, args: dict[str, Any]) -> None:
    program = f"{code}\nimport json, sys\nprint(json.dumps(m(**json.loads(sys.argv[1]))))"
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, json.dumps(args)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def bare_monty(pool: Monty, code: str, args: dict[str, Any]) -> None:
    with pool.checkout() as session:
        session.feed_start(f"{code}\nm(**_arguments)", inputs={"_arguments": args})


def empty_session(pool: Monty) -> None:
    with pool.checkout():
        pass


def in_a_world(runner: MontyRunner) -> Callable[[], None]:
    resources = {
        "compute": Resource("renewable", 60_000_000),
        "stored_bytes": Resource("allocatable"),
    }
    quotas = {"compute": 10**12, "stored_bytes": 10**9}
    config = WorldConfig(resources=resources, principals=(PrincipalSpec("bob", 1_000, quotas),))
    world = World.begin(config, {}, MemoryEventLog(), runner, "benchmark")
    tool = Tool("m", "", {"properties": {"name": {}}})
    written = Write("shop", GREET, None, "code", Contract("freeware"), (tool,))
    assert isinstance(world.apply(Envelope("bob", written), 0), Done)
    envelope = Envelope("bob", Invoke("shop", "m", {"name": "Ann"}))

    def act() -> None:
        assert isinstance(world.apply(envelope, 0), Done)

    return act


class Timed:
    """One way of doing it, timed in rounds: on the wall, and the CPU time of this process."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act
        self.medians: list[float] = []
        self.times: list[float] = []
        self.cpu = 0.0

    def round(self, seconds: float) -> None:
        times: list[float] = []
        cpu = time.process_time()
        end = time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            begin = time.perf_counter()
            self.act()
            times.append(time.perf_counter() - begin)
        self.cpu += time.process_time() - cpu
        self.times += times
        self.medians.append(statistics.median(times))

    @property
    def median_us(self) -> float:
        return statistics.median(self.medians) * 1e6

    @property
    def undisturbed_us(self) -> float:
        """What the fastest tenth takes at most: the cost where nobody else had the core."""
        return sorted(self.times)[len(self.times) // 10] * 1e6

    @property
    def cpu_us(self) -> float:
        return self.cpu / len(self.times) * 1e6


def worker_kib(runner: MontyRunner) -> int | None:
    """The memory that one more worker takes: what it shares with others in parts."""
    held = [runner.start(call_of(COUNT, n=1))[0] for _ in range(2)]
    sizes = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().strip() == "monty":
                lines = (entry / "smaps_rollup").read_text().splitlines()
                sizes += [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
        except OSError:
            continue
    for session in held:
        session.close()
    return max(sizes, default=None)


def ways(runner: MontyRunner, pool: Monty) -> dict[str, Timed]:
    greet, count = call_of(GREET, name="Ann"), call_of(COUNT, n=CALLS_BACK)
    nothing, work = call_of(COUNT, n=0), call_of(WORK, n=1_000)
    acts: dict[str, Callable[[], None]] = {
        "a call": lambda: one_call(runner, greet),
        "a call through a world": in_a_world(runner),
        NO_CALL_BACK: lambda: calls_back(runner, nothing),
        WITH_CALLS_BACK: lambda: calls_back(runner, count),
        "reading code (check)": lambda: expect_none(runner.check(GREET)),
        "1,000 rounds of a loop": lambda: one_call(runner, work),
        "the interpreter's client alone": lambda: bare_monty(pool, GREET, {"name": "Ann"}),
        "an empty session of it": lambda: empty_session(pool),
        "plain exec, no isolation": lambda: plain_exec(GREET, {"name": "Ann"}),
        "plain exec, 1,000 rounds of a loop": lambda: plain_exec(WORK, {"n": 1_000}),
        "a fresh subprocess": lambda: fresh_subprocess(GREET, {"name": "Ann"}),
    }
    return {name: Timed(act) for name, act in acts.items()}


def expect_none(told: str | None) -> None:
    assert told is None, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten seconds instead of a minute")
    options = parser.parse_args()
    rounds, seconds = (3, 0.25) if options.quick else (7, 0.7)
    with MontyRunner(CodeLimits(wall_us=10_000_000)) as runner, Monty() as pool:
        held = runner.open()
        timed = ways(runner, pool)
        for way in timed.values():
            way.act()
        for _ in range(rounds):
            for way in timed.values():
                way.round(seconds)
        memory = worker_kib(runner)
    print(
        f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}, "
        f"workers held by {held}, load {os.getloadavg()[0]:.1f}\n"
    )
    print("| what | median µs | undisturbed µs | CPU µs of the host | a second |")
    print("|---|---|---|---|---|")
    for name, way in timed.items():
        row = (way.median_us, way.undisturbed_us, way.cpu_us, 1e6 / way.median_us)
        print(f"| {name} | {' | '.join(f'{figure:,.0f}' for figure in row)} |")
    without, with_them = timed[NO_CALL_BACK], timed[WITH_CALLS_BACK]
    median, undisturbed, cpu = (
        (getattr(with_them, name) - getattr(without, name)) / CALLS_BACK
        for name in ("median_us", "undisturbed_us", "cpu_us")
    )
    print(
        f"| a call back | {median:,.0f} | {undisturbed:,.0f} | {cpu:,.0f} | {1e6 / median:,.0f} |"
    )
    print(f"\nA worker takes {memory or '?'} KiB.")
    call = timed["a call"]
    for name, aim, found, alone in (
        ("a call", AIM_CALL_US, call.median_us, call.undisturbed_us),
        ("a call back", AIM_CALL_BACK_US, median, undisturbed),
    ):
        told = "met" if found < aim else "missed"
        print(f"{name}: {found:.0f} µs, {alone:.0f} undisturbed; the aim is {aim}: {told}")


if __name__ == "__main__":
    main()
