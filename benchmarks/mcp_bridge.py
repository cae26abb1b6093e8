"""What a call of a tool costs: our client, the official SDK, fastmcp, and the way through a world.

Run by hand: ``python benchmarks/mcp_bridge.py`` (about six minutes), ``--quick`` (under a minute),
``--markdown`` for the tables of docs/architecture/performance_tools.md, ``--json FILE`` for every
figure of every round. Each client runs in a process of its own, so that its CPU time is its own;
all call the same servers, in rounds that alternate within one run: compare ratios, not absolute
figures. The servers are ``servers/raw_server.py`` (as little server as there can be) and
``@modelcontextprotocol/server-everything``, which needs npx; ``--raw-only`` leaves it out.

The peers are no dependency of the project: an environment of their own, with the versions of
``PEERS``, is made once in the cache folder. ``--peers PYTHON`` takes an interpreter that has them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

PEERS = ("mcp==2.3.*", "fastmcp==4.1.*")
EVERYTHING = ["npx", "-y", "@modelcontextprotocol/server-everything@2026.8.31"]
RAW_SERVER = Path(__file__).with_name("servers") / "raw_server.py"
OURS, SDK, FASTMCP, WORLD = "scripworld", "mcp 2.3", "fastmcp 4.1", "through a world"
CALLERS = (1, 32, 256)
SIZES = {"1 KB": 1_000, "64 KB": 64_000, "1 MB": 1_000_000, "16 MB": 16_000_000}
SIZED_CALLS = {"1 KB": 200, "64 KB": 50, "1 MB": 10, "16 MB": 2}
PATIENCE_S = 30.0
"""How long one measurement may take beyond its own seconds; then the client is cut off."""
WARM_CALLS = 300
COMMITS = 300
RECORD_BYTES = 200
COMMIT = ("commit",)
DAY_US = 86_400_000_000

Call = Callable[[str, dict[str, Any]], Awaitable[object]]
Figures = dict[str, float]


# In a client's process.


@asynccontextmanager
async def open_ours(command: list[str]) -> AsyncIterator[Call]:
    from scripworld.adapters.mcp_process import McpServerSpec
    from scripworld.adapters.mcp_stdio import McpClient

    client = McpClient(McpServerSpec("server", command[0], tuple(command[1:])))
    try:
        await client.start()
        yield client.call_tool
    finally:
        await client.close()


@asynccontextmanager
async def open_sdk(command: list[str]) -> AsyncIterator[Call]:
    from mcp import ClientSession, StdioServerParameters, stdio_client

    spec = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
    with open(os.devnull, "w") as nothing:
        async with stdio_client(spec, nothing) as streams, ClientSession(*streams) as session:
            await session.initialize()
            yield session.call_tool


@asynccontextmanager
async def open_fastmcp(command: list[str]) -> AsyncIterator[Call]:
    from fastmcp import Client
    from fastmcp.client.transports import StdioTransport

    nothing, environment = Path(os.devnull), dict(os.environ)
    transport = StdioTransport(
        command[0], command[1:], environment, keep_alive=False, log_file=nothing
    )
    async with Client(transport) as client:
        yield client.call_tool


OPENERS = {OURS: open_ours, SDK: open_sdk, FASTMCP: open_fastmcp}


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def figures_of(latencies: list[float], wall_s: float, spent_s: float) -> Figures:
    """What one round of calls comes to; latencies in seconds."""
    calls = len(latencies)
    return {
        "median_us": statistics.median(latencies) * 1e6,
        "p99_us": statistics.quantiles(latencies, n=100)[98] * 1e6,
        "cpu_us": spent_s / calls * 1e6,
        "per_s": calls / wall_s,
    }


async def calls(call: Call, callers: int, seconds: float) -> Figures:
    """Echo for some seconds, from so many callers side by side."""
    latencies: list[float] = []
    clock = time.perf_counter
    began_s, spent_s = clock(), cpu_s()
    end_s = began_s + seconds

    async def caller() -> None:
        while (asked_s := clock()) < end_s:
            await call("echo", {"message": "a short message"})
            latencies.append(clock() - asked_s)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return figures_of(latencies, clock() - began_s, cpu_s() - spent_s)


async def sized(call: Call, size: str) -> Figures:
    """Milliseconds for one answer of a size; one before them lets the server make it."""
    count = SIZED_CALLS[size]
    await call("big", {"size_bytes": SIZES[size]})
    began_s, spent_s = time.perf_counter(), cpu_s()
    for _ in range(count):
        await call("big", {"size_bytes": SIZES[size]})
    wall_s = time.perf_counter() - began_s
    return {"ms": wall_s / count * 1e3, "cpu_ms": (cpu_s() - spent_s) / count * 1e3}


async def cold(client: str, command: list[str]) -> Figures:
    """Milliseconds from nothing to the first answer of a new server."""
    began_s, spent_s = time.perf_counter(), cpu_s()
    async with OPENERS[client](command) as call:
        await call("echo", {"message": "first"})
        return {
            "ms": (time.perf_counter() - began_s) * 1e3,
            "cpu_ms": (cpu_s() - spent_s) * 1e3,
        }


async def serve_client(client: str, command: list[str], orders: Iterator[dict[str, Any]]) -> None:
    """Measure what is ordered, on one session that lives as long as the process."""
    async with OPENERS[client](command) as call:
        await calls(call, 8, 0.2)
        for order in orders:
            match order:
                case {"callers": callers, "seconds": seconds}:
                    tell(await calls(call, callers, seconds))
                case {"size": size}:
                    tell(await sized(call, size))
                case {"cold": _}:
                    tell(await cold(client, command))


def serve_world(command: list[str], orders: Iterator[dict[str, Any]]) -> None:
    """Measure what is ordered, each in a world of its own with a store on disk."""
    with tempfile.TemporaryDirectory() as name:
        for number, order in enumerate(orders):
            folder = Path(name) / str(number)
            match order:
                case {"callers": callers, "seconds": seconds}:
                    told = through_a_world(folder, command, callers, seconds)
                case {"commits": _}:
                    told = commits(folder)
            tell(told)
            shutil.rmtree(folder)


class Callers:
    """What all agents of a world decide: to call until the time of the measurement is over."""

    def __init__(self, artifact: str, count: int, seconds: float) -> None:
        self._artifact = artifact
        self._warm = WARM_CALLS + count
        self._seconds = seconds
        self._asked_s: dict[str, float] = {}
        self._latencies: list[float] = []
        self._seen = 0
        self._began = self._ended = (0.0, 0.0)

    def choose(self, observation: Any) -> Any:
        from scripworld.world import Done, Invoke, Stop

        now_s, principal = time.perf_counter(), observation.principal
        if not observation.recent:
            return Invoke(self._artifact, "list_tools", {})
        answer = observation.recent[-1].answer
        assert isinstance(answer, Done), answer
        self._seen += 1
        if self._seen == self._warm:
            self._began = now_s, cpu_s()
        elif self._seen > self._warm:
            if now_s - self._began[0] > self._seconds:
                self._ended = self._ended if self._ended[0] else (now_s, cpu_s())
                return Stop("the time is over")
            self._latencies.append(now_s - self._asked_s[principal])
        self._asked_s[principal] = now_s
        return Invoke(self._artifact, "echo", {"message": f"a short message {observation.step}"})

    def figures(self) -> Figures:
        wall_s, spent_s = (end - begin for begin, end in zip(self._began, self._ended, strict=True))
        return figures_of(self._latencies, wall_s, spent_s)


def through_a_world(folder: Path, command: list[str], callers: int, seconds: float) -> Figures:
    """Agents that call one tool after the other, on the wall clock; decided, held, recorded, paid."""
    import scripworld
    from scripworld.agents.mind import Scripted

    quotas = {"compute": 10**12, "tool_calls": 10**12}
    agents = {"id": "caller", "mind": "caller", "count": callers, "scrip": 10**9, "quotas": quotas}
    cost = {"resources": {"compute": 3, "tool_calls": 1}, "price_scrip": 1}
    servers: dict[str, Any] = {name: {"enabled": False} for name in ("filesystem", "fetch")}
    # The bare clients' servers are not contained either: the same process on both sides.
    raw = {"command": command[0], "args": command[1:], "sandbox": {"runner": "none"}}
    servers["raw"] = raw
    settings = {
        "store": {"runs_dir": str(folder)},
        "runner": {"clock": "wall", "effects_in_flight_max": callers},
        "world": {"pace_us": 1, "costs": {"genesis_raw": {"*": cost}}},
        "genesis": {"mcp": {"servers": servers}},
    }
    watch = Callers("genesis_raw", callers, seconds)
    scripworld.run(
        scripworld.Scenario.model_validate({"name": "tools", "agents": [agents]}),
        minds={"caller": Scripted(watch.choose)},
        settings=settings,
        until_us=DAY_US,
    )
    return watch.figures()


def commits(folder: Path) -> Figures:
    """Microseconds for the two records of a call in one durable transaction, and nothing else."""
    from scripworld.adapters.event_store import SqliteEventLog

    log = SqliteEventLog.create(folder / "world.db")
    times: list[float] = []
    began_s = spent_s = 0.0
    for number in range(WARM_CALLS + COMMITS):
        asked_s = time.perf_counter()
        if number == WARM_CALLS:
            began_s, spent_s = asked_s, cpu_s()
        for seq in (2 * number, 2 * number + 1):
            log.append(seq, bytes(32), bytes(RECORD_BYTES))
        log.commit()
        times.append(time.perf_counter() - asked_s)
    ended_s = time.perf_counter()
    figures = figures_of(times[WARM_CALLS:], ended_s - began_s, cpu_s() - spent_s)
    log.close()
    return figures


def tell(figures: Figures) -> None:
    print(json.dumps(figures), file=sys.__stdout__, flush=True)


def work(client: str, command: list[str]) -> None:
    """The life of a client's process: an order a line on stdin, figures a line on stdout."""
    orders = map(json.loads, iter(sys.stdin.readline, ""))
    with redirect_stdout(sys.stderr):
        if client == WORLD:
            serve_world(command, orders)
        elif client == OURS:
            import uvloop

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve_client(client, command, orders))
        else:
            asyncio.run(serve_client(client, command, orders))


# In the process that compares.


class Worker:
    """One client in its own process; started again after it was cut off."""

    def __init__(self, python: Path, client: str, command: list[str]) -> None:
        self.client = client
        self._start = [str(python), __file__, "--client", client, "--", *command]
        self._process: subprocess.Popen[str] | None = None

    def measure(self, patience_s: float = PATIENCE_S, **order: Any) -> Figures | None:
        """The figures, or None where they took too long."""
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(self._start, stdin=pipe, stdout=pipe, text=True)
        process = self._process
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], patience_s)[0]:
            process.kill()
            self.close()
            return None
        line = process.stdout.readline()
        if not line:
            sys.exit(f"the client {self.client} ended while it was measured: see above")
        figures: Figures = json.loads(line)
        return figures

    def close(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            try:
                process.communicate(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Results:
    """Every figure of every round; what was cut off stays without one."""

    def __init__(self) -> None:
        self.rounds: dict[tuple[str, ...], list[Figures | None]] = {}

    def add(self, key: tuple[str, ...], figures: Figures | None) -> None:
        self.rounds.setdefault(key, []).append(figures)

    def median(self, key: tuple[str, ...], name: str) -> float | None:
        values = [figures[name] for figures in self.rounds[key] if figures]
        return statistics.median(values) if values else None

    def ratio(self, key: tuple[str, ...], to: tuple[str, ...], name: str) -> float:
        """The median of the ratios within each round; not a number where one was cut off."""
        pairs = zip(self.rounds[key], self.rounds[to], strict=True)
        ratios = [mine[name] / other[name] for mine, other in pairs if mine and other]
        return statistics.median(ratios) if ratios else float("nan")


@contextmanager
def workers_of(
    clients: tuple[str, ...], peers: Path, command: list[str]
) -> Iterator[dict[str, Worker]]:
    pythons = {SDK: peers, FASTMCP: peers}
    workers = {c: Worker(pythons.get(c, Path(sys.executable)), c, command) for c in clients}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def measure(args: argparse.Namespace, peers: Path) -> Results:
    results, rounds, seconds = Results(), args.rounds, args.seconds
    raw = [sys.executable, "-I", "-S", str(RAW_SERVER)]
    with workers_of((OURS, SDK, FASTMCP, WORLD), peers, raw) as workers:
        clients = [worker for worker in workers.values() if worker.client != WORLD]
        for turn in range(rounds):
            progress(f"raw server, round {turn + 1} of {rounds}")
            for callers in CALLERS:
                for worker in workers.values():
                    told = worker.measure(callers=callers, seconds=seconds)
                    results.add(("raw", worker.client, str(callers)), told)
            results.add(COMMIT, workers[WORLD].measure(commits=COMMITS))
            for worker in clients:
                results.add(("raw", worker.client, "cold"), worker.measure(cold=True))
        for turn in range(args.size_rounds):
            progress(f"sizes, round {turn + 1} of {args.size_rounds}")
            for size in SIZES:
                for worker in clients:
                    told = worker.measure(size=size)
                    results.add(("raw", worker.client, size), told)
    if not args.raw_only:
        with workers_of((OURS, SDK, FASTMCP), peers, EVERYTHING) as workers:
            for turn in range(args.everything_rounds):
                progress(f"everything server, round {turn + 1} of {args.everything_rounds}")
                for callers in CALLERS:
                    for worker in workers.values():
                        told = worker.measure(60.0, callers=callers, seconds=seconds)
                        results.add(("everything", worker.client, str(callers)), told)
                for worker in workers.values():
                    results.add(
                        ("everything", worker.client, "cold"), worker.measure(60.0, cold=True)
                    )
    return results


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def shown(value: float | None, form: str = ",.0f") -> str:
    return "cut off" if value is None else format(value, form)


def table_of_calls(results: Results, server: str) -> tuple[list[str], list[list[str]]]:
    head = ["client", "median µs", "p99 µs", "CPU µs a call", "CPU µs, 32 in flight"]
    head += [f"calls a second, {callers} in flight" for callers in CALLERS]
    rows = []
    for client in (OURS, SDK, FASTMCP, WORLD):
        if (server, client, "1") in results.rounds:
            keys = [(server, client, str(callers)) for callers in CALLERS]
            row = [shown(results.median(keys[0], n)) for n in ("median_us", "p99_us", "cpu_us")]
            row.append(shown(results.median(keys[1], "cpu_us")))
            rows.append([client, *row, *(shown(results.median(key, "per_s")) for key in keys)])
    if server == "raw":
        told = [shown(results.median(COMMIT, n)) for n in ("median_us", "p99_us", "cpu_us")]
        rows.append(
            ["(one commit alone)", *told, "", shown(results.median(COMMIT, "per_s")), "", ""]
        )
    return head, rows


def table_of_sizes(results: Results) -> tuple[list[str], list[list[str]]]:
    head = ["client", *(f"{size}: ms (CPU ms)" for size in SIZES), "a byte, 16 MB ÷ 1 MB"]
    rows = []
    for client in OPENERS:
        row = [client]
        for size in SIZES:
            key = ("raw", client, size)
            wall_ms, spent_ms = (results.median(key, name) for name in ("ms", "cpu_ms"))
            row.append(f"{shown(wall_ms, '.2f')} ({shown(spent_ms, '.2f')})")
        rows.append([*row, f"{growth(results, client):.1f}"])
    return head, rows


def growth(results: Results, client: str) -> float:
    """How much more a byte costs in 16 MB than in 1 MB: 1 is linear, 16 quadratic."""
    return results.ratio(("raw", client, "16 MB"), ("raw", client, "1 MB"), "cpu_ms") / 16


def table_of_starts(results: Results) -> tuple[list[str], list[list[str]]]:
    servers = [s for s in ("raw", "everything") if (s, OURS, "cold") in results.rounds]
    head = ["client", *(f"{server}: ms (CPU ms)" for server in servers)]
    rows = []
    for client in OPENERS:
        keys = [(server, client, "cold") for server in servers]
        cells = [
            f"{shown(results.median(k, 'ms'))} ({shown(results.median(k, 'cpu_ms'))})" for k in keys
        ]
        rows.append([client, *cells])
    return head, rows


def table_of_aims(results: Results) -> tuple[list[str], list[list[str]]]:
    def key(client: str, callers: int) -> tuple[str, ...]:
        return "raw", client, str(callers)

    commit_us = results.median(COMMIT, "median_us") or float("nan")
    bare_us, world_us = (
        results.median(key(client, 1), "median_us") or float("nan") for client in (OURS, WORLD)
    )
    in_commits = (world_us - bare_us) / commit_us
    aims = [
        ("CPU of a call, of the SDK's", results.ratio(key(OURS, 1), key(SDK, 1), "cpu_us"), -0.25),
        (
            "calls a second with 32 in flight, of the SDK's",
            results.ratio(key(OURS, 32), key(SDK, 32), "per_s"),
            10.0,
        ),
        ("CPU of a byte in 16 MB, of that in 1 MB", growth(results, OURS), -1.5),
        (
            "CPU of a call through a world, of the bare client's",
            results.ratio(key(WORLD, 1), key(OURS, 1), "cpu_us"),
            -2.0,
        ),
        (f"what the world adds to the latency, in commits of {commit_us:.0f} µs", in_commits, -1.0),
        (
            "calls a second through a world with 32 in flight, of the bare client's",
            results.ratio(key(WORLD, 32), key(OURS, 32), "per_s"),
            0.5,
        ),
    ]
    rows = []
    for what, value, aim in aims:
        is_met = value <= -aim if aim < 0 else value >= aim
        bound = f"at {'most' if aim < 0 else 'least'} {abs(aim):g}"
        told = f"{value:.2f}"
        rows.append([what, bound, told if is_met else f"**missed: {told}**"])
    return ["aim", "bound", "measured"], rows


def show(title: str, table: tuple[list[str], list[list[str]]], as_markdown: bool) -> None:
    head, rows = table
    print(f"\n{'## ' if as_markdown else ''}{title}\n")
    if as_markdown:
        print("| " + " | ".join(head) + " |\n" + "|" + "---|" * len(head))
        for row in rows:
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join((row[0].ljust(widths[0]), *cells)))


def machine() -> str:
    system, version = platform.system(), platform.python_version()
    return f"{os.cpu_count()} cores of {platform.machine()}, {system}, Python {version}"


def python_of_peers() -> Path:
    """The interpreter of the peers' environment, which is made if it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scripworld"
    folder = cache / "-".join(("peers", *(peer.replace("==", "-").rstrip(".*") for peer in PEERS)))
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        uv = shutil.which(
            "uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        )
        if uv is None:
            sys.exit("uv was not found: `pip install uv`, or give --peers PYTHON")
        progress(f"making an environment with {' and '.join(PEERS)}")
        new = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        subprocess.run(new, check=True)
        add = [uv, "pip", "install", "--quiet", "--python", str(python), *PEERS]
        subprocess.run(add, check=True)
        (folder / "complete").touch()
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rounds", type=int, help="rounds on the raw server")
    parser.add_argument("--raw-only", action="store_true", help="without the everything server")
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="has mcp 2 and fastmcp 4")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--markdown", action="store_true", help="tables for the page")
    parser.add_argument("--client", choices=(*OPENERS, WORLD), help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        work(args.client, args.command)
        return
    args.rounds = args.rounds or (2 if args.quick else 7)
    args.seconds = 0.3 if args.quick else 1.0
    args.size_rounds, args.everything_rounds = (1, 1) if args.quick else (3, 4)
    began_s = time.monotonic()
    results = measure(args, args.peers or python_of_peers())
    print(f"Machine: {machine()}. Medians of {args.rounds} rounds of {args.seconds:g} s.")
    titles = {"raw": "The raw server", "everything": "The everything server"}
    for server, title in titles.items():
        if (server, OURS, "1") in results.rounds:
            show(title, table_of_calls(results, server), args.markdown)
    show("Large answers, raw server", table_of_sizes(results), args.markdown)
    show("Cold start to the first answer", table_of_starts(results), args.markdown)
    show("The aims", table_of_aims(results), args.markdown)
    progress(f"this took {time.monotonic() - began_s:.0f} s")
    if args.json:
        rounds = {" / ".join(key): told for key, told in results.rounds.items()}
        args.json.write_text(json.dumps({"machine": machine(), "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
