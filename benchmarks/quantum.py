"""What a circuit costs: Aer alone against a run through a world, estimates against CPU time, hostile input.

Run by hand: ``python benchmarks/quantum.py`` (a minute). ``--qasm FOLDER`` adds the OpenQASM files of a
folder to the circuits that are estimated, such as ``benchmarks/mqt_circuits.py`` writes (five minutes
then). ``--part jobs|estimates|hostile`` does one part only. Compare ratios: absolute figures belong to
the machine. What is printed are the tables of ``docs/architecture/performance_quantum.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.adapters.quantum_pool import QuantumPool
from scripworld.adapters.quantum_process import Job
from scripworld.genesis.quantum import ID, quantum_native
from scripworld.genesis.quantum_admission import Desk
from scripworld.genesis.quantum_calibration import calibrate, payload, probes
from scripworld.genesis.quantum_canonical import canonical
from scripworld.genesis.quantum_circuit import Circuit, document_of, read
from scripworld.genesis.quantum_component import CircuitError
from scripworld.genesis.quantum_estimate import Estimate, Work, estimate
from scripworld.genesis.quantum_features import Features, features_of
from scripworld.genesis.quantum_known import payload_of
from scripworld.genesis.quantum_limits import MEBIBYTE, Coefficients, QuantumLimits
from scripworld.genesis.quantum_scan import scan
from scripworld.world import (
    Cost,
    Done,
    Envelope,
    Invoke,
    Limits,
    NoCode,
    PrincipalSpec,
    Resource,
    Waiting,
    World,
    WorldConfig,
)

SHOTS = 1_024
ROUNDS = 15
CALIBRATIONS = 3
"""Before, between and after the jobs that are estimated: others may use the machine, too."""
LIMITS = QuantumLimits(cpu_s_max=60.0)
LARGE_S, LARGE_BYTES = 2.0, 600 * MEBIBYTE
MEASURED_S, MEASURED_TIMES = 0.15, 5
"""A job is repeated until it took so much in all, or so often: the median leaves out disturbances."""


# Circuits.


def gate(name: str, *qubits: int, params: Any = ()) -> dict[str, Any]:
    return {"gate": name, "qubits": list(qubits), "params": list(params)}


def measured(n: int, components: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    ends = [gate("measure", q) | {"clbits": [q]} for q in range(n)]
    return {"qubits": n, "clbits": n, "components": components + ends, **more}


def ghz(n: int) -> dict[str, Any]:
    return measured(n, [gate("h", 0), *(gate("cx", q, q + 1) for q in range(n - 1))])


def qft(n: int) -> dict[str, Any]:
    components = []
    for q in reversed(range(n)):
        components.append(gate("h", q))
        components += [gate("cp", q, k, params=[f"pi/{2 ** (q - k)}"]) for k in range(q)]
    return measured(n, components)


def layers(n: int, depth: int, seed: int = 1) -> dict[str, Any]:
    chance = random.Random(seed)
    components = []
    for _ in range(depth):
        turns = [[chance.uniform(0, 6) for _ in range(3)] for _ in range(n)]
        components += [gate("u", q, params=turn) for q, turn in enumerate(turns)]
        order = chance.sample(range(n), n)
        components += [gate("cx", *order[k : k + 2]) for k in range(0, n - 1, 2)]
    return measured(n, components)


def diagonal(n: int, depth: int) -> dict[str, Any]:
    components = [gate("h", q) for q in range(n)]
    for _ in range(depth):
        components += [gate("rzz", q, (q + 1) % n, params=[0.3]) for q in range(n)]
        components += [gate("rx", q, params=[0.7]) for q in range(n)]
    return measured(n, components)


def feedback(n: int, depth: int) -> dict[str, Any]:
    components = []
    for _ in range(depth):
        components += [gate("ry", q, params=[0.4]) for q in range(n)]
        components += [gate("measure", 0) | {"clbits": [0]}]
        components += [gate("x", n - 1) | {"condition": {"clbit": 0}}]
    return measured(n, components)


def clifford(n: int, depth: int) -> dict[str, Any]:
    chance = random.Random(2)
    components = []
    for _ in range(depth):
        components += [gate(chance.choice(["h", "s", "x"]), q) for q in range(n)]
        components += [gate("cx", *chance.sample(range(n), 2)) for _ in range(n // 2)]
    return measured(n, components)


def own() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "bell", ghz(2)
    for n in (5, 20, 60, 100):
        yield f"ghz-{n}", ghz(n)
    for n in (4, 8, 12, 16, 20):
        yield f"qft-{n}", qft(n)
    for n, depth in ((4, 10), (8, 20), (12, 5), (12, 40), (14, 20), (16, 10), (18, 10), (20, 5)):
        yield f"layers-{n}-{depth}", layers(n, depth)
    for n, depth in ((6, 3), (10, 10), (14, 5), (18, 5), (20, 3)):
        yield f"ising-{n}-{depth}", diagonal(n, depth)
    for n, depth in ((2, 2), (4, 5), (8, 3), (12, 2)):
        yield f"feedback-{n}-{depth}", feedback(n, depth)
    for n, depth in ((10, 10), (30, 10), (50, 20)):
        yield f"clifford-{n}-{depth}", clifford(n, depth)


# A world with genesis_quantum and nothing else.


class Laboratory:
    def __init__(self, pool: QuantumPool, limits: QuantumLimits = LIMITS) -> None:
        resources = {
            "compute": Resource("renewable", 60_000_000),
            "stored_bytes": Resource("allocatable"),
        }
        config = WorldConfig(
            principals=(PrincipalSpec("alice", 0, {"compute": 10**12}),),
            resources=resources,
            costs={ID: {"*": Cost({"compute": 1})}},
            limits=Limits(action_bytes_max=4_000_000),
        )
        natives = {ID: quantum_native(limits, Coefficients())}
        self.world = World.begin(config, natives, MemoryEventLog(), NoCode(), "benchmark")
        self.pool = pool

    async def ask(self, method: str, **args: Any) -> Any:
        now_us = self.world.state.now_us + 1_000
        answer = self.world.apply(Envelope("alice", Invoke(ID, method, args)), now_us)
        if isinstance(answer, Waiting):
            request = self.world.requests.pop()
            result = await self.pool.perform(request)
            settled = self.world.settle(request.id, result, now_us + 1_000)
            assert settled is not None
            answer = settled.answer
        return answer

    async def done(self, method: str, **args: Any) -> Any:
        answer = await self.ask(method, **args)
        assert isinstance(answer, Done), answer
        return answer.result


# The parts.


def direct(
    document: dict[str, Any], method: str, points: list[dict[str, float]]
) -> tuple[Callable[[], Any], Callable[[int], None]]:
    """Aer alone, on a simulator that is kept: how its circuit is built, and how that is run."""
    from qiskit_aer import AerSimulator

    from scripworld.adapters.quantum_building import Builder

    ops = payload_of(canonical(read(document, LIMITS)))
    builder = Builder()
    parameters: dict[str, Any] = {}
    built = builder.build(ops, None, parameters)
    simulator = AerSimulator(method=method, max_parallel_threads=1)
    options: dict[str, Any] = {}
    if points:
        binds = {own: [point[name] for point in points] for name, own in parameters.items()}
        options["parameter_binds"] = [binds]

    def run(seed: int) -> None:
        result = simulator.run(built, shots=SHOTS, seed_simulator=seed, **options).result()
        assert result.success
        for number in range(len(points) or 1):
            result.get_counts(number)

    return lambda: builder.build(ops, None, {}), run


async def jobs() -> None:
    """Bell, GHZ-20, QFT-12, 16 random qubits and a sweep: Aer alone, and through the world."""
    print(
        "| job | Aer alone, ms | through the world, ms | ratio | aim 1.15 × + 3 ms | "
        "built and run again, ms | repeated, ms | times faster | aim 5 × | cold, ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    sweep = measured(4, [gate("ry", q, params=[f"{q + 1}*a"]) for q in range(4)], parameters=["a"])
    points = [{"a": k / 100} for k in range(100)]
    for name, document, sweep_points in (
        ("Bell", ghz(2), []),
        ("GHZ-20", ghz(20), []),
        ("QFT-12", qft(12), []),
        ("random-16", layers(16, 10), []),
        ("sweep of 100 points", sweep, points),
    ):
        pool = QuantumPool(1)
        try:
            lab = Laboratory(pool)
            args: dict[str, Any] = {"circuit": document, "shots": SHOTS}
            args |= {"sweep": sweep_points} if sweep_points else {}
            began = time.perf_counter()
            told = await lab.done("run", **args, seed=1)
            cold = (time.perf_counter() - began) * 1e3
            build, alone = direct(document, told["results"][0]["method"], sweep_points)
            alone(1)
            times: dict[str, list[float]] = {name: [] for name in ("build", "aer", "new", "old")}
            for seed in range(2, 2 + ROUNDS):
                marks = [time.perf_counter()]
                build()
                marks.append(time.perf_counter())
                alone(seed)
                marks.append(time.perf_counter())
                await lab.done("run", **args, seed=seed)
                marks.append(time.perf_counter())
                again = await lab.done("run", **args, seed=seed)
                marks.append(time.perf_counter())
                assert again["from_record"]
                for kept, (start, end) in zip(times.values(), pairwise(marks), strict=True):
                    kept.append((end - start) * 1e3)
            built, aer, new, old = (statistics.median(kept) for kept in times.values())
            is_met = new <= 1.15 * aer + 3
            faster = (built + aer) / old
            row = f"{aer:.2f} | {new:.2f} | {new / aer:.2f} | {'met' if is_met else '**missed**'}"
            row += f" | {built + aer:.2f} | {old:.2f} | {faster:.1f}"
            row += f" | {'met' if faster >= 5 else '**missed**'}"
            print(f"| {name} | {row} | {cold:.0f} |", flush=True)
        finally:
            await pool.close()


async def seconds_of(pool: QuantumPool, job: Job) -> tuple[float, int, str]:
    """CPU seconds and bytes of a job in a warm worker, and what went wrong."""
    times: list[float] = []
    memory = 0
    while not times or (sum(times) < MEASURED_S and len(times) < MEASURED_TIMES):
        report = await pool.run(job)
        if report.problem:
            return report.cpu_us / 1e6, report.memory_peak_bytes, report.problem
        times.append(report.cpu_us / 1e6)
        memory = max(memory, report.memory_peak_bytes)
    return statistics.median(times), memory, ""


async def read_file(pool: QuantumPool, path: Path) -> Circuit | None:
    """The circuit of an OpenQASM file, if it is read here; it is measured if it wasn't."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        seen = scan(text, QuantumLimits(operations_max=8_000))
        work = {"text": text, "version": seen.version, "ours": seen.ours, "theirs": seen.theirs}
        report = await pool.run(Job("read", work, 10_000_000, 10**9, 60.0, 10**8))
        if report.problem:
            return None
        circuit = read(report.value, LIMITS)
        if not any(op.gate == "measure" for op in circuit.ops):
            document = document_of(circuit)
            circuit = read(measured(circuit.qubits, document["components"]), LIMITS)
        return circuit
    except CircuitError:
        return None


def job_of(circuit: Circuit, by: Estimate) -> Job:
    work = {
        "circuits": [payload_of(circuit) | {"method": by.method}],
        "points": [],
        "shots": SHOTS,
        "seed": 1,
        "bond": LIMITS.bond,
        "noise": {},
        "outputs": ["counts"],
        "observables": {},
        "memory_bytes": 2_000 * MEBIBYTE,
    }
    return Job("run", work, 120_000_000, 2_000 * MEBIBYTE, 240.0, 10**9)


async def circuits_of(pool: QuantumPool, folder: Path | None) -> tuple[dict[str, Circuit], int]:
    """All circuits by name, in canonical form, and how many files are not read here."""
    circuits = {name: canonical(read(document, LIMITS)) for name, document in own()}
    unread = 0
    for path in sorted(folder.rglob("*.qasm")) if folder else []:
        circuit = await read_file(pool, path)
        if circuit is None:
            unread += 1
        else:
            circuits[f"{path.stem} of the folder"] = canonical(circuit)
    return circuits, unread


class Measured(NamedTuple):
    """A job that was measured."""

    name: str
    method: str
    features: Features
    seconds: float
    memory_bytes: int


async def measure(pool: QuantumPool, circuits: dict[str, Circuit]) -> AsyncIterator[Measured]:
    """Every circuit by every method that suits it."""
    for name, circuit in circuits.items():
        features = features_of(circuit)
        methods = ["statevector"] + ["stabilizer"] * features.clifford
        methods += ["matrix_product_state"] * (not features.per_shot)
        methods += ["density_matrix"] * (features.width <= 10)
        for method in methods:
            by = estimate(features, method, Work(SHOTS, bond=LIMITS.bond), Coefficients())
            if by.seconds > LARGE_S or by.memory_bytes > LARGE_BYTES:
                continue
            took, memory, problem = await seconds_of(pool, job_of(circuit, by))
            if problem:
                print(f"{name} by {method}: {problem}", file=sys.stderr)
            else:
                yield Measured(name, method, features, took, memory)


async def estimates(folder: Path | None) -> None:
    """The coefficients of this machine, and estimates by them against CPU time and against the hold."""
    pool = QuantumPool(1)
    took: dict[str, list[float]] = {}

    async def probe_all() -> None:
        for probe in probes():
            work = payload(probe)
            took.setdefault(repr(work), []).append(await pool.measure(work))

    async def known(work: dict[str, Any]) -> float:
        return statistics.median(took[repr(work)])

    try:
        circuits, unread = await circuits_of(pool, folder)
        parts = CALIBRATIONS - 1
        names, told = list(circuits), []
        await probe_all()
        for part in range(parts):
            some = {name: circuits[name] for name in names[part::parts]}
            told += [one async for one in measure(pool, some)]
            await probe_all()
        coefficients, errors = await calibrate(known, Coefficients())
    finally:
        await pool.close()
    print("\n## Calibration\n")
    tell_calibration(coefficients, errors)
    print("\n## Estimates, with the coefficients of this machine\n")
    tell_estimates(told, coefficients)
    if unread:
        print(f"\n{unread} files of the folder are not read here.")


def tell_calibration(found: Coefficients, errors: list[float]) -> None:
    print("| coefficient | by default | here |")
    print("|---|---|---|")
    for name in Coefficients.__struct_fields__:
        before, now = getattr(Coefficients(), name), getattr(found, name)
        if before != now:
            print(f"| `{name}` | {before:.2g} | {now:.2g} |")
    print(f"\nMeasured ÷ estimated over the probes: {min(errors):.2f} to {max(errors):.2f}.")


def tell_estimates(told: list[Measured], coefficients: Coefficients) -> None:
    """A row for each method, one for all, and one for the methods that are taken where none is asked for."""
    desk = Desk(LIMITS, coefficients)
    rows: dict[str, list[tuple[float, Measured, Estimate]]] = {}
    for one in told:
        work = Work(SHOTS, bond=LIMITS.bond)
        by = estimate(one.features, one.method, work, coefficients)
        row = (one.seconds / by.seconds, one, by)
        alone = ", each shot alone" if one.features.per_shot else ""
        rows.setdefault(one.method + alone, []).append(row)
        rows.setdefault("~all", []).append(row)
        if desk.choose(one.features, work, "automatic").method == one.method:
            rows.setdefault("~taken by `automatic`", []).append(row)
    print(
        "| method | jobs | within × 2 | took more | took less | median | worst | above the hold "
        "| memory above |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, own_rows in sorted(rows.items()):
        ratios = [ratio for ratio, *_ in own_rows]
        ratio, worst, _ = max(own_rows, key=lambda row: abs(math.log(row[0])))
        dear = sum(
            one.seconds > max(by.seconds * LIMITS.safety, LIMITS.cpu_us_min / 1e6)
            for _, one, by in own_rows
        )
        wide = sum(one.memory_bytes > by.memory_bytes for _, one, by in own_rows)
        more, less = sum(r > 2 for r in ratios), sum(r < 0.5 for r in ratios)
        within = 1 - (more + less) / len(ratios)
        print(
            f"| {kind.removeprefix('~')} | {len(ratios)} | {within:.1%} | {more} | {less} | "
            f"{statistics.median(ratios):.2f} | {ratio:.2f} ({worst.name}, "
            f"{worst.seconds * 1e3:.0f} ms) | {dear} | {wide} |"
        )


async def hostile() -> None:
    """Time and memory of refusing what comes to ruin others."""
    two, three = 'OPENQASM 2.0; include "qelib1.inc"; ', 'OPENQASM 3.0; include "stdgates.inc"; '
    nested = "".join(f"gate g{k + 1} a {{ g{k} a; g{k} a; }} " for k in range(40))
    many = {"qubits": 1, "components": [gate("x", 0)] * 80_000}
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "include of a file": ("convert", {"qasm": 'OPENQASM 2.0; include "/etc/passwd";'}),
        "10⁷ qubits": ("convert", {"qasm": two + "qreg q[10000000];"}),
        "10²⁰ qubits": ("convert", {"qasm": two + f"qreg q[{10**20}];"}),
        "10⁴ parentheses": ("convert", {"qasm": two + f"rx({'(' * 10**4}1{')' * 10**4}) q[0];"}),
        "2⁴⁰ nested gates": (
            "convert",
            {"qasm": two + "gate g0 a { x a; } " + nested + "g40 q[0];"},
        ),
        "a loop of 10⁵": ("convert", {"qasm": three + "qubit q; for int i in [0:100000] { x q; }"}),
        "100 KB of text": ("convert", {"qasm": two + "qreg q[1];" + "x q[0];" * 14_200}),
        "3.4 MB of components": ("build", {"circuit": many}),
        "a repeat of 10⁶": ("build", {"circuit": measured(1, [gate("x", 0) | {"repeat": 10**6}])}),
        "40 random qubits": ("run", {"circuit": layers(40, 40)}),
        "10⁹ shots": ("run", {"circuit": ghz(2), "shots": 10**9}),
        "10,000 points": ("run", {"circuit": ghz(2), "sweep": [{"a": 1}] * 10_000}),
    }
    pool = QuantumPool(1)
    lab = Laboratory(pool, QuantumLimits())
    print("| input | ms | peak MB | answer |")
    print("|---|---|---|---|")
    try:
        for name, (method, args) in cases.items():
            began = time.perf_counter()
            answer = await lab.ask(method, **args)
            took = time.perf_counter() - began
            tracemalloc.start()
            await lab.ask(method, **args)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            said = getattr(answer, "detail", "done")[:60]
            print(f"| {name} | {took * 1e3:.1f} | {peak / MEBIBYTE:.1f} | {said} |")
    finally:
        await pool.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ["jobs", "estimates", "hostile"]
    parser.add_argument("--part", choices=parts, action="append")
    parser.add_argument("--qasm", type=Path, help="a folder of OpenQASM files")
    asked = parser.parse_args()
    wanted = asked.part or parts
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"
    if "jobs" in wanted:
        print("\n## Jobs\n")
        await jobs()
    if "estimates" in wanted:
        await estimates(asked.qasm)
    if "hostile" in wanted:
        print("\n## Hostile input\n")
        await hostile()


if __name__ == "__main__":
    asyncio.run(main())
