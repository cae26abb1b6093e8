"""What the kernel costs: actions per CPU-second, against the floor of encoding, chaining and committing.

Run by hand: ``python benchmarks/kernel.py`` (about three minutes), ``--quick`` (half a minute),
``--markdown`` for the table of docs/architecture/performance.md. One process on one core; every figure
is the median of rounds that alternate within one run, so compare ratios, not absolute figures.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Raw

from scripworld.adapters.event_store import SqliteEventLog
from scripworld.genesis import LEDGER, STORE
from scripworld.world import (
    RECORDS,
    Answer,
    ArtifactSpec,
    CodeCall,
    Contract,
    Cost,
    Done,
    Envelope,
    Invoke,
    PrincipalSpec,
    Read,
    Refused,
    Resource,
    Return,
    Tool,
    World,
    WorldConfig,
    Write,
    chain,
    enter,
    fold,
    verify,
)
from scripworld.world.records import ENCODER, RawRecord  # the floor writes what the kernel writes

GROUP = 512
STEP_US = 1_000
NATIVES = {native.id: native for native in (LEDGER, STORE)}
HISTORIC_ON, HISTORIC_OFF = 19_500, 105_000
"""Transfers a CPU-second of the historic system, log on and off, on the machine of its measurement."""


class Nowhere:
    """A log that keeps nothing."""

    pending = 0

    def __init__(self) -> None:
        self.blobs: dict[bytes, bytes] = {}

    def append(self, seq: int, digest: bytes, body: bytes) -> None: ...

    def commit(self) -> None: ...

    def put_blob(self, digest: bytes, data: bytes) -> None:
        self.blobs[digest] = data

    def get_blob(self, digest: bytes) -> bytes:
        return self.blobs[digest]

    def read(self, seq: int) -> bytes:
        raise NotImplementedError

    def of(self, id: str, before_seq: int, limit: int) -> list[int]:
        raise NotImplementedError


class Constant:
    """A code runner that answers 7 at once, so that only the kernel's part is measured."""

    def check(self, code: str) -> str | None:
        return None

    def start(self, call: CodeCall) -> tuple[Constant, Return]:
        return self, Return(7)

    def resume(self, answer: Answer) -> Return:
        raise NotImplementedError

    def close(self) -> None: ...


def config_of(principals: int) -> WorldConfig:
    quotas = {"compute": 10**12, "stored_bytes": 10**9, "writes": 10**12}
    return WorldConfig(
        resources={
            "compute": Resource("renewable", 60_000_000),
            "writes": Resource("renewable", 60_000_000),
            "stored_bytes": Resource("allocatable"),
        },
        actions={
            "read": Cost({"compute": 1}),
            "write": Cost({"compute": 2, "writes": 1}),
        },
        principals=tuple(PrincipalSpec(f"p{n}", 10**6, quotas) for n in range(principals)),
        artifacts=tuple(
            ArtifactSpec(f"note_{n}", f"p{n}", "a note for everyone", contract=Contract("freeware"))
            for n in range(min(principals, 100))
        ),
    )


def world_of(log: object, principals: int, sealed: bool = True) -> World:
    seal = chain if sealed else (lambda head, body: head)
    world = World.begin(config_of(principals), NATIVES, log, Constant(), "bench", seal)  # type: ignore[arg-type]
    service = Write(
        "service",
        "seven",
        type="code",
        contract=Contract("pay_per_use", 1),
        interface=(Tool("seven"),),
    )
    answer = world.apply(Envelope("p0", service), 0)
    assert isinstance(answer, Done), answer
    return world


def transfers(n: int, principals: int) -> list[Envelope]:
    return [
        Envelope(
            f"p{i % principals}",
            Invoke(
                "genesis_ledger", "transfer", {"to": f"p{(i * 7 + 1) % principals}", "amount": 1}
            ),
        )
        for i in range(n)
    ]


def reads(n: int, principals: int) -> list[Envelope]:
    return [Envelope(f"p{i % principals}", Read(f"note_{i * 7 % 10}")) for i in range(n)]


def writes(n: int, principals: int) -> list[Envelope]:
    return [
        Envelope(
            f"p{i % principals}", Write(f"own_{i % principals}", f"entry {i} of a small artifact")
        )
        for i in range(n)
    ]


def invocations(n: int, principals: int) -> list[Envelope]:
    return [Envelope(f"p{1 + i % (principals - 1)}", Invoke("service", "seven")) for i in range(n)]


WORK: dict[str, Callable[[int, int], list[Envelope]]] = {
    "transfer": transfers,
    "read": reads,
    "write (small)": writes,
    "pay-per-use invoke": invocations,
}


def drive(world: World, log: SqliteEventLog | Nowhere, work: list[Envelope]) -> float:
    """CPU seconds for the work, commits included."""
    apply, now_us = world.apply, world.state.now_us
    began = time.process_time()
    for n, envelope in enumerate(work, 1):
        now_us += STEP_US
        answer = apply(envelope, now_us)
        if n % GROUP == 0:
            log.commit()
    log.commit()
    spent = time.process_time() - began
    assert not isinstance(answer, Refused), answer
    return spent


def floor(rows: list[tuple[int, bytes, bytes]], path: Path) -> float:
    """CPU seconds to encode, chain record by record and commit the same records, and nothing else."""
    records = []
    for _, _, body in rows:
        r = RECORDS.decode(body)
        raw = ENCODER.encode(r.input)
        records.append(RawRecord(r.seq, r.now_us, r.cause, Raw(raw), r.outcomes, r.facts, r.answer))
    log = SqliteEventLog.create(path)
    head, encode = bytes(32), ENCODER.encode
    settle_memory()
    began = time.process_time()
    for n, record in enumerate(records):
        body = encode(record)
        head = chain(head, body)
        log.append(n, head, body)
        if n % GROUP == GROUP - 1:
            log.commit()
    log.commit()
    spent = time.process_time() - began
    log.close()
    return spent


def settle_memory() -> None:
    """What stands is not looked at again by the garbage collector, before every measurement alike."""
    gc.collect()
    gc.freeze()


def by_stage(folder: Path, n: int, rounds: int) -> list[list[str]]:
    """Where the time of a transfer goes: parts measured alone, and what remains for deciding."""
    limits = config_of(2).limits
    stages: dict[str, list[float]] = {"door": [], "floor": [], "whole": []}
    for turn in range(rounds):
        log = SqliteEventLog.create(folder / f"stage-{turn}" / "world.db")
        world = world_of(log, 100)
        log.commit()
        work, before = transfers(n, 100), world.state.seq + 1
        settle_memory()
        began = time.process_time()
        for envelope in work:
            enter(envelope, limits)
        stages["door"].append((time.process_time() - began) / n * 1e6)
        stages["whole"].append(drive(world, log, work) / n * 1e6)
        rows = list(log.records())[before:]
        log.close()
        stages["floor"].append(floor(rows, folder / f"stage-{turn}" / "floor.db") / n * 1e6)
        gc.unfreeze()
    door, ground, whole = (statistics.median(stages[name]) for name in ("door", "floor", "whole"))
    return [
        ["the door: encode, decode, check", f"{door:.1f}"],
        ["the floor: encode the record, chain it, commit it", f"{ground:.1f}"],
        ["deciding: everything else", f"{whole - door - ground:.1f}"],
        ["a transfer", f"{whole:.1f}"],
    ]


def fresh(folder: Path) -> Iterator[Path]:
    n = 0
    while True:
        n += 1
        yield folder / f"{n}" / "world.db"


def table_of_actions(folder: Path, n: int, rounds: int) -> list[list[str]]:
    paths = fresh(folder)
    figures: dict[str, dict[str, list[float]]] = {
        kind: {what: [] for what in ("on", "off", "floor", "fold", "verify", "bytes")}
        for kind in WORK
    }
    for _ in range(rounds):
        for kind, make in WORK.items():
            got = figures[kind]
            work = make(n, 100)
            path = next(paths)
            log = SqliteEventLog.create(path)
            world = world_of(log, 100)
            log.commit()
            before = world.state.seq + 1
            settle_memory()
            got["on"].append(n / drive(world, log, work))
            rows = list(log.records())
            got["bytes"].append(statistics.mean(len(body) + 36 for _, _, body in rows[before:]))
            nowhere = Nowhere()
            got["off"].append(n / drive(world_of(nowhere, 100, sealed=False), nowhere, work))
            got["floor"].append(n / floor(rows[before:], next(paths)))
            settle_memory()
            began = time.process_time()
            state, _ = fold(log.records())
            got["fold"].append(n / (time.process_time() - began))
            assert state.snapshot() == world.state.snapshot()
            settle_memory()
            began = time.process_time()
            verify(log.records(), NATIVES, log)
            got["verify"].append(n / (time.process_time() - began))
            log.close()
            gc.unfreeze()
    rows_out = []
    for kind, got in figures.items():
        mid = {what: statistics.median(values) for what, values in got.items()}
        rows_out.append(
            [
                kind,
                f"{mid['on']:,.0f}",
                f"{mid['off']:,.0f}",
                f"{mid['floor']:,.0f}",
                f"{mid['floor'] / mid['on']:.1f}",
                f"{mid['fold'] / mid['on']:.1f}",
                f"{mid['verify'] / mid['on']:.2f}",
                f"{mid['bytes']:.0f}",
            ]
        )
    return rows_out


def by_records(folder: Path, marks: tuple[int, ...], sample: int) -> list[list[str]]:
    """The cost of a transfer after so many records, in one growing world."""
    log = SqliteEventLog.create(folder / "grow" / "world.db")
    world = world_of(log, 100)
    settle_memory()
    costs = []
    for mark in marks:
        missing = mark - world.state.seq
        for start in range(0, missing, 50_000):
            drive(world, log, transfers(min(50_000, missing - start), 100))
        rounds = [drive(world, log, transfers(sample, 100)) / sample * 1e6 for _ in range(5)]
        costs.append(statistics.median(rounds))
    log.close()
    gc.unfreeze()
    return [
        [f"{mark:,} records", f"{cost:.1f}", f"{cost / costs[0]:.2f}"]
        for mark, cost in zip(marks, costs, strict=True)
    ]


def by_principals(folder: Path, counts: tuple[int, ...], sample: int) -> list[list[str]]:
    """The cost of a transfer among so many principals, each having acted before."""
    costs = []
    for count in counts:
        log = SqliteEventLog.create(folder / f"among-{count}" / "world.db")
        world = world_of(log, count)
        log.commit()
        drive(world, log, transfers(max(count, sample), count))
        settle_memory()
        rounds = [drive(world, log, transfers(sample, count)) / sample * 1e6 for _ in range(5)]
        costs.append(statistics.median(rounds))
        log.close()
        gc.unfreeze()
    return [
        [f"{count:,} principals", f"{cost:.1f}", f"{cost / costs[0]:.2f}"]
        for count, cost in zip(counts, costs, strict=True)
    ]


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_part(what: str, n: int) -> None:
    """In a process of its own: bytes of memory for each principal, or each artifact."""
    log = Nowhere()
    world = world_of(log, 100)
    if what == "principals":
        base = resident_bytes()
        kept = world_of(Nowhere(), n)
        print((resident_bytes() - base) / len(kept.state.ledger.balances))
        return
    base = resident_bytes()
    for i in range(n):
        world.apply(Envelope(f"p{i % 100}", Write(f"artifact_{i}", "a small artifact")), i)
    print((resident_bytes() - base) / n)


def memory(n: int) -> list[list[str]]:
    rows = []
    for what in ("principals", "artifacts"):
        command = [sys.executable, __file__, "--memory", what, "--count", str(n)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append([what.removesuffix("s"), f"{float(told):,.0f}"])
    return rows


def machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    cores = os.cpu_count()
    return f"{model}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def show(title: str, head: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer actions and rounds")
    parser.add_argument("--memory", choices=("principals", "artifacts"), help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=100_000, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory:
        memory_part(args.memory, args.count)
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    n, rounds = (5_000, 3) if args.quick else (50_000, 5)
    print(f"Machine: {machine()}. CPU-seconds of one core; medians of {rounds} rounds of {n:,}.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = table_of_actions(folder, n, rounds)
        show(
            "Actions a CPU-second, 100 principals",
            [
                "action",
                "log on",
                "log off",
                "floor",
                "floor ÷ on",
                "fold ÷ on",
                "verify ÷ on",
                "bytes a record",
            ],
            rows,
        )
        on = float(rows[0][1].replace(",", ""))
        print(
            f"\nTransfers against the historic system: {on / HISTORIC_ON:.1f} times its figure with its "
            f"log on, {on / HISTORIC_OFF:.2f} times its figure with its log off."
        )
        show("Where a transfer's time goes", ["part", "µs"], by_stage(folder, n, rounds))
        marks = (10, 10_000, 50_000) if args.quick else (10, 10_000, 1_000_000)
        head = ["µs of CPU a transfer, log on", "µs", "to the first"]
        show("By length of the log", head, by_records(folder, marks, 5_000))
        counts = (10, 10_000) if args.quick else (10, 100_000)
        show("By number of principals", head, by_principals(folder, counts, 20_000))
        show("Memory", ["bytes of memory of a", ""], memory(20_000 if args.quick else 100_000))


if __name__ == "__main__":
    main()
