"""Whole worlds in memory: tool servers played at the port, a disk that forgets, and faults from a seed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from scripworld import __version__, open_run
from scripworld.adapters.event_store import StoreFault
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.agents.mind import Observation
from scripworld.simulation.config import Config
from scripworld.simulation.natives import natives_of
from scripworld.simulation.runner import Extras, Session, first_natives
from scripworld.simulation.scenario import Scenario, configure, world_config
from scripworld.world import (
    Code,
    EffectRequest,
    EffectResult,
    Fault,
    NoCode,
    Row,
    Settled,
    State,
    World,
    fold,
    verify,
)

SECOND_US = 1_000_000
LATENCY_US, TIMEOUT_US = 15_000, 20_000
"""Short, because a result that never comes is waited for in real time."""
RESULT_BYTES_MAX = 20_000
QUOTAS = {"compute": 60, "tool_calls": 30, "writes": 20, "stored_bytes": 12_000}


def effect_cost(repeatable: bool, price_scrip: int = 0) -> dict[str, Any]:
    return {
        "resources": {"compute": 2, "tool_calls": 1},
        "price_scrip": price_scrip,
        "latency_us": LATENCY_US,
        "timeout_us": TIMEOUT_US,
        "result_bytes_max": RESULT_BYTES_MAX,
        "repeatable": repeatable,
    }


def agent(id: str, mind: str, scrip: int, count: int = 1, **params: Any) -> dict[str, Any]:
    return {
        "id": id,
        "mind": mind,
        "count": count,
        "scrip": scrip,
        "quotas": QUOTAS,
        "params": params,
    }


@cache
def small_library(repeatable: bool = True) -> tuple[Scenario, Config]:
    """The minds of the library, fewer and poorer, for some seconds of world time."""
    scenario = Scenario.model_validate(
        {
            "name": "small",
            "until_us": 6 * SECOND_US,
            "agents": [
                agent("librarian", "librarian", 40, 4, price_scrip=3, rest_s=0.3),
                agent(
                    "webster", "web_librarian", 40, rest_s=0.3, start_url="http://small.test/index"
                ),
                agent("reader", "reader", 30, 2, topics=["digest", "genesis", "index"]),
                agent("hoarder", "hoarder", 5),
                agent("clumsy", "clumsy", 5),
            ],
            "artifacts": [
                {
                    "id": "house_rules",
                    "owner": "genesis",
                    "content": "Be kind. " * 200,
                    "contract": {"id": "freeware"},
                }
            ],
            "config": {
                "world": {
                    "resources": {
                        "compute": {"kind": "renewable", "window_us": 4 * SECOND_US},
                        "writes": {"kind": "renewable", "window_us": 4 * SECOND_US},
                    },
                    "costs": {
                        "genesis_filesystem": {"*": effect_cost(repeatable)},
                        "genesis_fetch": {"*": effect_cost(repeatable, price_scrip=1)},
                    },
                }
            },
        }
    )
    return scenario, configure(scenario)


class Killed(Exception):
    """The machine lost its power."""


class Disk(MemoryEventLog):
    """A store that keeps over a loss of power what was committed, and can be told to fail.

    Attributes:
        kill_at: the record at which the power goes. fail_at: commits that fail, by number.
    """

    __slots__ = ("_durable_blobs", "commits", "dead", "durable_seq", "fail_at", "kill_at")

    def __init__(self) -> None:
        super().__init__()
        self.durable_seq = -1
        self._durable_blobs: dict[bytes, bytes] = {}
        self.kill_at: int | None = None
        self.fail_at = range(0)
        self.commits = 0
        self.dead = False

    def append(self, seq: int, digest: bytes, body: bytes) -> None:
        self.dead = self.dead or seq == self.kill_at
        if self.dead:
            raise Killed
        super().append(seq, digest, body)

    def commit(self) -> None:
        if self.dead:
            raise Killed
        self.commits += 1
        if self.commits in self.fail_at:
            raise StoreFault("the disk is full")
        super().commit()
        self.durable_seq = self.head[0]
        self._durable_blobs = dict(self._blobs)

    def reopened(self) -> "Disk":
        """The disk after the power came back."""
        disk = Disk()
        for row in list(self.records())[: self.durable_seq + 1]:
            disk.append(*row)
        for digest, data in self._durable_blobs.items():
            disk.put_blob(digest, data)
        disk.commit()
        disk.commits = 0
        return disk


class EagerWorld(World):
    """A world in which every result comes twice, the second time another one, and some for nobody."""

    __slots__ = ()

    def settle(self, effect_id: str, result: EffectResult, now_us: int) -> Settled | None:
        settled = super().settle(effect_id, result, now_us)
        seq = self.state.seq
        for id in (effect_id, f"{seq + 1}.0", "0.0", "nonsense"):
            assert super().settle(id, EffectResult("something else"), now_us) is None
        assert self.state.seq == seq
        return settled


PIECES = ["ledger", "quota", "record", "segment", "effect", "circuit", "market", "digest"]


@dataclass
class Tools:
    """Plays a tool server; what it answers, and what goes wrong, follows from seed and request alone.

    Attributes:
        of: what chance comes from besides the seed, by default the idempotency key.
        fault_rate: of how many calls something goes wrong with.
        dither: whether some calls, differently in every run, answer one turn of the event loop later.
        performed: how often each key was performed.
    """

    seed: int
    disk: Disk | None = None
    fault_rate: float = 0.0
    dither: bool = False
    of: Callable[[EffectRequest], str] = lambda request: request.key
    patience_s: float = 0.1
    performed: dict[str, int] = field(default_factory=dict)
    now: int = 0

    async def perform(self, request: EffectRequest) -> EffectResult:
        if self.disk is not None and int(request.id.partition(".")[0]) > self.disk.durable_seq:
            raise Fault(f"{request.id} is performed before it is durable")  # all else is forgiven
        self.performed[request.key] = self.performed.get(request.key, 0) + 1
        chance = Random(f"{self.seed}/{self.of(request)}")
        faulty = chance.random() < self.fault_rate
        result = self.answer(request, chance)
        self.now += 1
        try:
            if self.dither and Random().random() < 0.5:
                await asyncio.sleep(0)
            return await self.fault(request, chance) if faulty else result
        finally:
            self.now -= 1

    async def close(self) -> None:
        assert not self.now, "closed before its calls were over"

    def answer(self, request: EffectRequest, chance: Random) -> EffectResult:
        payload: Any = request.payload
        tool, args = payload["tool"], payload["args"]
        if tool == "list_tools":
            return EffectResult({"tools": TOOLS[request.artifact]})
        if tool == "list_directory":
            names = chance.sample(PIECES, 3)
            text = "\n".join((f"[DIR] {names[0]}", *(f"[FILE] {name}.md" for name in names[1:])))
        else:
            words = " ".join(chance.choices(PIECES, k=chance.choice((5, 40, 400))))
            links = " ".join(f"[{name}](/{name})" for name in chance.sample(PIECES, 2))
            text = f"Contents of {args}\n# All about {chance.choice(PIECES)}\n{links}\n{words}."
        usage = {"wall_us": chance.randrange(1_000), "tool_calls": chance.choice((0, 1, 1, 3))}
        return EffectResult({"content": [{"type": "text", "text": text}]}, usage=usage)

    async def fault(self, request: EffectRequest, chance: Random) -> EffectResult:
        kind = chance.choice(("code", "code", "size", "value", "value", "usage", "lost", "late"))
        if kind == "lost":
            await asyncio.get_running_loop().create_future()
        if kind == "late":
            await asyncio.sleep(10 * (TIMEOUT_US / 1e6 + self.patience_s))
        if kind == "code":
            return EffectResult(None, chance.choice(CODES), chance.choice(DETAILS))
        if kind == "size":
            return EffectResult("x" * (RESULT_BYTES_MAX + chance.randrange(2)))
        if kind == "usage":
            return EffectResult("much", usage={"tool_calls": chance.choice((-1, 7, 2**70))})
        return EffectResult(chance.choice(VALUES))


CODES = [code for code in Code if code >= Code.TOOL_UNAVAILABLE] * 4 + list(Code)
DETAILS = ["", "the disk is on fire", "\ud800", "did you mean nobody?", "x" * 5_000]


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(200):
        value = [value]
    return value


VALUES: list[Any] = [
    *(None, object(), {1: 2}, {"tools": None}, {"tools": [None]}, {"tools": [{"name": 1}]}),
    *(b"bytes", {1, 2}, "\ud800", 2**70, float("nan"), _deep(), [], 0, 2.0),
    *({"content": None}, {"content": [{"text": 5}]}, {"content": [5]}),
]
TOOLS = {
    "genesis_filesystem": [
        {"name": name, "inputSchema": {"properties": {"path": {"type": "string"}}}}
        for name in ("list_directory", "read_file")
    ],
    "genesis_fetch": [
        {"name": "fetch", "inputSchema": {"properties": {"url": {"type": "string"}}}}
    ],
}


@dataclass
class Play:
    """A world of one seed on a disk, with what drives it."""

    seed: int
    disk: Disk = field(default_factory=Disk)
    repeatable: bool = True
    fault_rate: float = 0.0
    dither: bool = False
    of: Callable[[EffectRequest], str] = lambda request: request.key
    minds: dict[str, Any] = field(default_factory=dict)
    library: tuple[Scenario, Config] | None = None

    def __post_init__(self) -> None:
        self.scenario, self.config = self.library or small_library(self.repeatable)
        self.tools = Tools(self.seed, self.disk, self.fault_rate, self.dither, self.of)
        self.session: Session

    @property
    def world(self) -> World:
        return self.session.world

    @property
    def rows(self) -> list[Row]:
        return list(self.disk.records())

    @property
    def blobs(self) -> dict[bytes, bytes]:
        return self.disk._durable_blobs

    def begin(self) -> None:
        world = world_config(self.config, self.scenario, self.seed)
        natives = first_natives(self.config, world)
        self._sit(EagerWorld.begin(world, natives, self.disk, NoCode(), __version__))
        self.disk.commit()

    def reopen(self) -> None:
        """Go on from what is durable, as another process would."""
        self.disk = self.tools.disk = self.disk.reopened()
        state, begin = fold(self.disk.records())
        natives = first_natives(self.config, begin.config)
        self._sit(EagerWorld(begin.config, natives, self.disk, NoCode(), state))

    def _sit(self, world: World) -> None:
        performers = {"genesis_filesystem": self.tools, "genesis_fetch": self.tools}
        extras = Extras(self.minds, performers=performers)
        self.session = Session(
            Path("nowhere"), self.scenario, self.config, self.disk, world, extras
        )

    def drive(self, until_us: int | None = None, steps: int | None = None) -> str:
        until_us = until_us or self.scenario.until_us
        assert until_us is not None
        ended = within(60, lambda: self.session.drive(until_us, steps))
        assert self.tools.now == 0
        return ended

    def check(self) -> State:
        """Conservation after every record, and one state however it is found."""
        rows = self.rows
        proved = verify(rows, natives_of(rows[0], {}), self.disk, conserved)
        assert proved.snapshot() == self.world.state.snapshot() == fold(rows)[0].snapshot()
        assert self.disk.pending == 0
        return proved

    def memories(self) -> dict[str, tuple[Observation, tuple[int, ...]]]:
        """What every loop knows."""
        assert self.session.driver is not None
        return {
            id: (
                loop.observe(self.world, self.world.state.now_us),
                (loop.steps, loop.tool_calls, loop.writes, loop.repeats),
            )
            for id, loop in self.session.driver.loops.items()
        }


def records_of(folder: Path) -> int:
    """How many records of a run are committed by now, while another process or thread writes it."""
    try:
        log = open_run(folder).log()
    except Fault:
        return 0
    try:
        return log.head[0] + 1
    except Fault:
        return 0
    finally:
        log.close()


def conserved(state: State) -> None:
    ledger = state.ledger
    assert sum(ledger.balances.values()) == ledger.supply
    assert min(ledger.balances.values()) >= 0
    for principal, held in ledger.held.items():
        assert 0 <= held <= ledger.balances[principal]


def within(timeout_s: float, made: Callable[[], Awaitable[str]]) -> str:
    """Run to the end in an event loop of its own; a hang is a failure."""

    async def main() -> str:
        async with asyncio.timeout(timeout_s):
            return await made()

    return asyncio.run(main())
