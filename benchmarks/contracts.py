"""What it costs to ask a contract that an agent wrote: checks a second, through a whole world.

Run by hand: ``python benchmarks/contracts.py`` (about half a minute), ``--quick`` (a few seconds). The ways
alternate within one run, so compare ratios. A read of one artifact is taken under a built-in contract and
under contracts that agents wrote, whose code runs in this process (what the kernel costs) and in a worker.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Generator
from typing import Any

from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.world import (
    Answer,
    ArtifactSpec,
    CallBack,
    CodeCall,
    CodeRunner,
    Contract,
    Done,
    Envelope,
    Outcome,
    PrincipalSpec,
    Read,
    Return,
    Tool,
    World,
    WorldConfig,
)

STEP_US = 1_000
ALLOW = "def check(caller, action, method, artifact):\n    return {'verdict': 'allow'}\n"
LOOK = (
    "def check(caller, action, method, artifact):\n"
    "    return {'verdict': 'allow' if read('list') == 'bob' else 'deny'}\n"
)
Check = Generator[CallBack, Answer, dict[str, str]]


def allow() -> Check:
    yield from ()
    return {"verdict": "allow"}


def look() -> Check:
    answer = yield CallBack(Read("list"))
    return {"verdict": "allow" if answer == Done("bob") else "deny"}


class InProcess:
    """A code runner that costs next to nothing: the same two checks as Python generators."""

    program: Check

    def check(self, code: str) -> str | None:
        return None

    def start(self, call: CodeCall) -> tuple[InProcess, Outcome]:
        session = InProcess()
        session.program = look() if "read" in call.code else allow()
        return session, session.resume(None)

    def resume(self, answer: Any) -> Outcome:
        try:
            outcome: CallBack = self.program.send(answer)
            return outcome
        except StopIteration as end:
            return Return(end.value)

    def close(self) -> None: ...


def world_of(runner: CodeRunner) -> World:
    quotas = {"compute": 10**12, "stored_bytes": 10**6}
    tools = (Tool("check"),)
    contracts = {"built_in": "freeware", "allows": "allow", "looks": "look"}
    config = WorldConfig(
        principals=(PrincipalSpec("alice", 0, quotas), PrincipalSpec("bob", 0, quotas)),
        artifacts=(
            ArtifactSpec("allow", "alice", ALLOW, "code", interface=tools),
            ArtifactSpec("look", "alice", LOOK, "code", interface=tools),
            ArtifactSpec("list", "alice", "bob", contract=Contract("freeware")),
            *(ArtifactSpec(id, "alice", "x", contract=Contract(c)) for id, c in contracts.items()),
        ),
    )
    return World.begin(config, {}, MemoryEventLog(), runner, "benchmark")


def rate(world: World, id: str, count: int) -> tuple[float, float]:
    """Median microseconds of a read, and its CPU time in this process."""
    times = []
    cpu = time.process_time()
    for _ in range(count):
        begin = time.perf_counter()
        answer = world.apply(Envelope("bob", Read(id)), world.state.now_us + STEP_US)
        times.append(time.perf_counter() - begin)
        assert answer == Done("x"), answer
    cpu = time.process_time() - cpu
    return statistics.median(times) * 1e6, cpu / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    rounds, count = (3, 200) if quick else (9, 1_000)
    with MontyRunner(CodeLimits()) as monty:
        within, worker = world_of(InProcess()), world_of(monty)
        ways: dict[str, Callable[[], tuple[float, float]]] = {
            "built in": lambda: rate(within, "built_in", count),
            "a check in process": lambda: rate(within, "allows", count),
            "a check in process that looks once": lambda: rate(within, "looks", count),
            "a check in a worker": lambda: rate(worker, "allows", count),
            "a check in a worker that looks once": lambda: rate(worker, "looks", count),
        }
        told: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                told[name].append(way())
    load = f"load {os.getloadavg()[0]:.1f}"
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {load}"
    )
    print("| a read under | median µs | CPU µs of the host | a second |\n|---|---|---|---|")
    for name, rows in told.items():
        median, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {name} | {median:,.0f} | {cpu:,.0f} | {1e6 / median:,.0f} |")


if __name__ == "__main__":
    main()
