"""What agent-written code costs: calls, jobs, contracts, and invocations that wait for an effect.

Run by hand: ``python benchmarks/agent_code.py`` (about a minute and a half), ``--quick`` (twenty seconds).
It prints the tables of docs/architecture/code.md and contracts.md. All ways of one table alternate within
one run, so compare ratios. *Undisturbed* is the tenth percentile: on a busy machine, what a change of
context costs stands in the median.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic_monty import Monty

from scripworld.adapters.code_jobs import CodeJobs
from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.adapters.event_store import SqliteEventLog
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.world import (
    Action,
    Answer,
    ArtifactSpec,
    CallBack,
    CodeCall,
    CodeRunner,
    Contract,
    Cost,
    Done,
    Effect,
    EffectResult,
    Envelope,
    EventLog,
    Invoke,
    Method,
    Native,
    Outcome,
    PrincipalSpec,
    Read,
    Return,
    Tool,
    Waiting,
    World,
    WorldConfig,
    fold,
    restore,
)

GREET = "def m(name):\n    return 'hi ' + name\n"
COUNT = "def m(n):\n    for i in range(n):\n        read('a')\n    return n\n"
WORK = "def m(n):\n    total = 0\n    for i in range(n):\n        total += i * i % 7\n    return total\n"
ASK = "def m(name):\n    return [name, invoke('oracle', 'ask', {}, waits=True)]\n"
ALLOW = "def check(caller, action, method, artifact):\n    return {'verdict': 'allow'}\n"
LOOK = (
    "def check(caller, action, method, artifact):\n"
    "    return {'verdict': 'allow' if read('list') == 'bob' else 'deny'}\n"
)
ANN = {"name": "Ann"}
CALLS_BACK = 20
NO_CALL_BACK, WITH_CALLS_BACK = "a call without a call back", f"a call with {CALLS_BACK} calls back"
AIM_CALL_US, AIM_CALL_BACK_US = 250, 50
WAITING = 1_000
ACTS_MAX = 1_000
"""Of one way in one round, so that what a log in memory holds stays small."""


class Timed:
    """One way of doing it, timed in rounds: on the wall, and the CPU time of this process."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act
        self.medians: list[float] = []
        self.times: list[float] = []
        self.cpu = 0.0

    def round(self, seconds: float) -> None:
        times: list[float] = []
        cpu = time.process_time()
        end = time.perf_counter() + seconds
        while not times or (len(times) < ACTS_MAX and time.perf_counter() < end):
            begin = time.perf_counter()
            self.act()
            times.append(time.perf_counter() - begin)
        self.cpu += time.process_time() - cpu
        self.times += times
        self.medians.append(statistics.median(times))

    @property
    def figures(self) -> tuple[float, float, float]:
        """Microseconds: the median, undisturbed, and of this process's CPU."""
        undisturbed = sorted(self.times)[len(self.times) // 10]
        cpu = self.cpu / len(self.times)
        return statistics.median(self.medians) * 1e6, undisturbed * 1e6, cpu * 1e6


def measure(timed: dict[str, Timed], rounds: int, seconds: float) -> None:
    for way in timed.values():
        way.act()
    for _ in range(rounds):
        for way in timed.values():
            way.round(seconds)


Figures = tuple[float, float, float]


def less(whole: Figures, part: Figures, n: int = 1) -> Figures:
    """What is left of ``whole`` without ``part``, for each of ``n``."""
    median, undisturbed, cpu = ((a - b) / n for a, b in zip(whole, part, strict=True))
    return median, undisturbed, cpu


def table(head: str, rows: dict[str, Figures]) -> None:
    print(f"\n| {head} | median µs | undisturbed µs | CPU µs of the host | a second |")
    print("|---|---|---|---|---|")
    for name, row in rows.items():
        figures = " | ".join(f"{figure:,.0f}" for figure in (*row, 1e6 / row[0]))
        print(f"| {name} | {figures} |")


# Calls, and jobs.


def call_of(code: str, **args: Any) -> CodeCall:
    return CodeCall(code, "shop", "m", args, "bob", 0, "7/shop")


def one_call(runner: MontyRunner, call: CodeCall) -> None:
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


def bare_monty(pool: Monty) -> None:
    with pool.checkout() as session:
        session.feed_start(f"{GREET}\nm(**_arguments)", inputs={"_arguments": ANN})


ORACLE = Native(
    "oracle",
    "Answers from outside.",
    {"ask": Method(Tool("ask"), lambda context, args: Effect("oracle", {}), effect=True)},
)


def world_of(runner: CodeRunner, log: EventLog) -> World:
    """Services and what stands under contracts, for bob who has quota for everything."""
    quotas = {"compute": 10**12, "stored_bytes": 10**9}
    owner, free = "alice", Contract("freeware")
    services = {"greet": GREET, "ask": ASK, "job": GREET}
    contracts = {"allow": ALLOW, "look": LOOK}
    properties: dict[str, Any] = {"properties": {"name": {}}}
    config = WorldConfig(
        method_cost=Cost({"compute": 1}, timeout_us=10**9),
        principals=(PrincipalSpec(owner, 0, quotas), PrincipalSpec("bob", 0, quotas)),
        artifacts=(
            ArtifactSpec("list", owner, "bob", contract=free),
            *(
                ArtifactSpec(id, owner, code, "code", "", free, (tool,))
                for id, code in services.items()
                for tool in (Tool("m", "", properties, job=id == "job"),)
            ),
            *(
                ArtifactSpec(id, owner, code, "code", interface=(Tool("check"),))
                for id, code in contracts.items()
            ),
            *(
                ArtifactSpec(f"under_{id}", owner, "x", contract=Contract(id))
                for id in ("freeware", *contracts)
            ),
        ),
    )
    return World.begin(config, {"oracle": ORACLE}, log, runner, "benchmark")


def does(world: World, action: Action) -> Callable[[], None]:
    envelope = Envelope("bob", action)

    def act() -> None:
        answer = world.apply(envelope, world.state.now_us + 1)
        assert isinstance(answer, Done), answer

    return act


def does_job(world: World, jobs: CodeJobs, loop: asyncio.Runner) -> Callable[[], None]:
    envelope = Envelope("bob", Invoke("job", "m", ANN))

    def act() -> None:
        assert isinstance(world.apply(envelope, world.state.now_us + 1), Waiting)
        result = loop.run(jobs.perform(world.requests[0]))
        settled = world.settle(world.requests.pop().id, result, world.state.now_us + 1)
        assert settled is not None and settled.answer == Done("hi Ann"), settled

    return act


def ways_to_call(
    runner: MontyRunner, pool: Monty, world: World, job: Callable[[], None]
) -> dict[str, Timed]:
    acts: dict[str, Callable[[], object]] = {
        "a call": lambda: one_call(runner, call_of(GREET, **ANN)),
        "a call through a world": does(world, Invoke("greet", "m", ANN)),
        NO_CALL_BACK: lambda: one_call(runner, call_of(COUNT, n=0)),
        WITH_CALLS_BACK: lambda: one_call(runner, call_of(COUNT, n=CALLS_BACK)),
        "reading code when it is written": lambda: runner.check(GREET),
        "a call with 1,000 rounds of a loop": lambda: one_call(runner, call_of(WORK, n=1_000)),
        "a job through a world": job,
        "the interpreter's client alone": lambda: bare_monty(pool),
        "plain `exec`, no isolation": lambda: plain_exec(GREET, ANN),
        "plain `exec`, 1,000 rounds of a loop": lambda: plain_exec(WORK, {"n": 1_000}),
        "a fresh subprocess": lambda: fresh_subprocess(GREET, ANN),
    }
    return {name: Timed(act) for name, act in acts.items()}


def measured_calls(runner: MontyRunner, rounds: int, seconds: float) -> dict[str, Timed]:
    jobs = CodeJobs(CodeLimits(workers_max=1, workers_warm=1), None)
    world = world_of(runner, MemoryEventLog())
    with Monty() as pool, asyncio.Runner() as loop:
        timed = ways_to_call(runner, pool, world, does_job(world, jobs, loop))
        try:
            measure(timed, rounds, seconds)
        finally:
            loop.run(jobs.close())
    return timed


def show_calls(timed: dict[str, Timed]) -> None:
    rows: dict[str, Figures] = {}
    for name, way in timed.items():
        rows[name] = way.figures
        if name == WITH_CALLS_BACK:
            back = less(way.figures, rows.pop(NO_CALL_BACK), CALLS_BACK)
            rows["a call back alone"] = back
    table("what", rows)
    print()
    for name, aim in (("a call", AIM_CALL_US), ("a call back alone", AIM_CALL_BACK_US)):
        median, undisturbed, _ = rows[name]
        told = "met" if median < aim else "missed"
        print(f"{name}: {median:.0f} µs, {undisturbed:.0f} undisturbed; the aim is {aim}: {told}")


# Contracts.

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
            return self.program.send(answer)
        except StopIteration as end:
            return Return(end.value)

    def close(self) -> None: ...


def ways_to_check(within: World, worker: World) -> dict[str, Timed]:
    return {
        name: Timed(does(world, Read(f"under_{contract}")))
        for name, world, contract in (
            ("a read under a built-in contract", within, "freeware"),
            ("a check in process", within, "allow"),
            ("a check in process that looks once", within, "look"),
            ("a check in a worker", worker, "allow"),
            ("a check in a worker that looks once", worker, "look"),
        )
    }


def show_checks(timed: dict[str, Timed]) -> None:
    """What a check alone takes: without the read that it is asked for."""
    (name, read), *checks = ((name, way.figures) for name, way in timed.items())
    table("what", {name: read} | {name: less(figures, read) for name, figures in checks})


# Invocations that wait.


@contextmanager
def log_in(folder: Path) -> Iterator[SqliteEventLog]:
    """The log of a folder, to go on with or new."""
    path = folder / "world.db"
    log = SqliteEventLog.open(path) if path.exists() else SqliteEventLog.create(path)
    try:
        yield log
        log.commit()
    finally:
        log.close()


def park(world: World, times: list[float]) -> list[str]:
    """Invoke what waits, so often; the ids of the effects."""
    envelope = Envelope("bob", Invoke("ask", "m", ANN))
    ids = []
    for _ in range(WAITING):
        begin = time.perf_counter()
        answer = world.apply(envelope, world.state.now_us + 1)
        times.append(time.perf_counter() - begin)
        assert isinstance(answer, Waiting), answer
        ids.append(answer.effect_id)
    return ids


def resume(world: World, ids: list[str], times: list[float]) -> None:
    """Settle effects; each lets one invocation run again to its end."""
    for id in ids:
        begin = time.perf_counter()
        settled = world.settle(id, EffectResult("forty-two"), world.state.now_us + 1)
        times.append(time.perf_counter() - begin)
        assert settled is not None and settled.answer == Done(["Ann", "forty-two"]), settled


def bytes_of(log: SqliteEventLog) -> int:
    """The memory of the world that a log leaves."""
    gc.collect()
    tracemalloc.start()
    state, _ = fold(log.records())
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert state.seq
    return held


def interpreters() -> dict[Path, str]:
    """The processes of interpreters and of what holds them, started by this process, with their names."""
    parents: dict[str, str] = {}
    names: dict[str, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            names[entry.name], parents[entry.name] = name, rest.split()[1]
    ours = {str(os.getpid())}
    for _ in range(len(parents)):
        more = {pid for pid, parent in parents.items() if parent in ours} - ours
        if not more:
            break
        ours |= more
    return {Path("/proc", pid): names[pid] for pid in sorted(ours - {str(os.getpid())})}


def count(processes: dict[Path, str]) -> int:
    return sum(name == "monty" for name in processes.values())


def worker_kib(runner: MontyRunner) -> float:
    """The memory that one worker wrote, with what holds it: what it takes besides the shared program."""
    held = [runner.start(call_of(COUNT, n=1))[0] for _ in range(2)]
    processes = interpreters()
    own = sum(
        int(line.split()[1])
        for entry in processes
        for line in (entry / "smaps_rollup").read_text().splitlines()
        if line.startswith("Private_Dirty")
    )
    for session in held:
        session.close()
    return own / count(processes)


def show_waiting(runner: MontyRunner, folder: Path, rounds: int) -> None:
    """1,000 invocations wait at once, go on, wait again, and go on after a restart."""
    parked: list[float] = []
    resumed: list[float] = []
    restored: list[float] = []
    again: list[float] = []
    for turn in range(rounds):
        with log_in(folder / str(turn)) as log:
            world = world_of(runner, log)
            resume(world, park(world, parked), resumed)
            before = bytes_of(log)
            ids = park(world, parked)
            held = (bytes_of(log) - before) / WAITING
            record = statistics.mean(len(body) for _, _, body in list(log.records())[-WAITING:])
            processes = count(interpreters())
        with log_in(folder / str(turn)) as log:
            begin = time.perf_counter()
            world = restore(log.records(), {"oracle": ORACLE}, log, runner)
            restored.append((time.perf_counter() - begin) * 1e3)
            assert [request.id for request in world.pending()] == ids
            resume(world, ids, again)
    to_park, to_resume, to_resume_again = (
        statistics.median(times) * 1e6 for times in (parked, resumed, again)
    )
    print(f"\n| {WAITING:,} invocations that wait at once | each |\n|---|---|")
    print(f"| to park one | {to_park:,.0f} µs |")
    print(f"| to resume one | {to_resume:,.0f} µs |")
    print(f"| to resume one after a restart | {to_resume_again:,.0f} µs |")
    print(f"| memory of the world | {held:,.0f} bytes |")
    print(f"| in the log, the record that asks | {record:,.0f} bytes |")
    print(f"| interpreters while they wait, all together | {processes} |")
    print(f"| to read the whole log at a restart | {statistics.median(restored):,.0f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    rounds, seconds = (3, 0.25) if parser.parse_args().quick else (7, 0.6)
    with (
        MontyRunner(CodeLimits(wall_us=10_000_000)) as runner,
        tempfile.TemporaryDirectory() as folder,
    ):
        print(
            f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}, "
            f"workers held by {runner.open()}, load {os.getloadavg()[0]:.1f}"
        )
        memory = worker_kib(runner)
        show_calls(measured_calls(runner, rounds, seconds))
        print(f"\nA worker takes {memory:,.0f} KiB.")
        within, worker = (world_of(code, MemoryEventLog()) for code in (InProcess(), runner))
        checks = ways_to_check(within, worker)
        measure(checks, rounds, seconds)
        show_checks(checks)
        show_waiting(runner, Path(folder), rounds)


if __name__ == "__main__":
    main()
