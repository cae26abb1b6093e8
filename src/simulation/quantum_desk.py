"""Owns the desk where an operator tries genesis_quantum: one call in a world of its own, and calibrating.

What is asked is answered as in a run, by the same handlers and workers, with a quota that is never in
the way. Nothing is kept of it, but the coefficients of this machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ..adapters.memory_log import MemoryEventLog
from ..adapters.quantum_performer import DEVICE_JOBS
from ..adapters.quantum_pool import QuantumPool
from ..adapters.quantum_process import Job
from ..genesis.quantum_calibration import Probe, calibrate, probes
from ..genesis.quantum_limits import MEBIBYTE, Coefficients
from ..world import (
    VERSION,
    Answer,
    ConfigurationFault,
    EffectRequest,
    EffectResult,
    Envelope,
    Fault,
    Invoke,
    Native,
    NoCode,
    Tool,
    Waiting,
    World,
)
from .config import CALIBRATED, Config, config_dir
from .config_model import CostSettings
from .natives import BUILT_IN
from .performing import performed
from .quantum import QUANTUM, figures_of, performer_of, pool_of, quantum_from
from .scenario import Scenario, world_config
from .settings import shown
from .tool_desk import Glance, State

NAME: Final = "quantum"
CHANGE_MIN: Final = 0.1
"""A coefficient that moved by less has not moved."""
_YOU: Final = "you"
_AMPLE: Final = 2**53
_PACKAGE: Final = "qiskit"
_NEEDED: Final = (_PACKAGE, "qiskit_aer", "qiskit_qasm3_import")
_INSTALL: Final = "pip install 'scripworld[quantum]'"
_PROBED_S: Final = 0.2
_PROBED_MAX: Final = 9
_PROBE_CPU_US: Final = 60_000_000
_HEADER: Final = (
    "# Settings over those of config.yaml. `scripworld quantum calibrate` writes this file anew.\n"
)


@dataclass(frozen=True)
class Tried:
    """What a call came to.

    Attributes:
        usage: what its worker used; empty where no worker was asked.
        estimated, held: compute, before it ran; None where nothing was.
        start_us: real time until a worker was ready. call_us: until it answered.
    """

    answer: Answer
    usage: dict[str, int] = field(default_factory=dict)
    estimated: int | None = None
    held: int | None = None
    start_us: int = 0
    call_us: int = 0


@dataclass(frozen=True)
class Calibration:
    """The coefficients that were in force, those of this machine, and how well they fit.

    Attributes:
        errors: each probe with measured over estimated seconds, by the coefficients found.
    """

    before: Coefficients
    now: Coefficients
    errors: tuple[tuple[Probe, float], ...]

    def changed(self) -> list[tuple[str, float, float]]:
        """Name, old and new value of the coefficients that moved by more than a tenth."""
        names = Coefficients.__struct_fields__
        both = ((name, getattr(self.before, name), getattr(self.now, name)) for name in names)
        return [one for one in both if abs(one[2] - one[1]) > CHANGE_MIN * one[1]]


class QuantumDesk:
    """genesis_quantum as a configuration has it, also one that is off."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def tools(self) -> list[Tool]:
        """Its methods."""
        return [] if (native := self._native) is None else [m.tool for m in native.methods.values()]

    @property
    def description(self) -> str:
        """What it is for."""
        return "" if (native := self._native) is None else native.description

    @property
    def costs(self) -> dict[str, CostSettings]:
        """What its methods cost besides what they hold; ``*`` is every other."""
        world = self.config.world
        return {"*": world.method_cost, **world.costs.get(QUANTUM, {})}

    def glance(self) -> Glance:
        """What is known of it without starting a worker."""
        why = self.why_not()
        is_on = self.config.genesis.quantum.enabled
        state: State = "off" if not is_on else "ready" if why is None else "unavailable"
        tools = len(self.tools) if is_on else None
        return Glance(NAME, QUANTUM, _PACKAGE, _version(), state, why or "", tools, "–")

    def why_not(self) -> str | None:
        """Why nothing can be run here, and what to do; None where it can."""
        missing = [name for name in _NEEDED if not _is_there(name)]
        return f"{NAME}: {missing[0]} is not installed: {_INSTALL}" if missing else None

    async def call(self, method: str, args: dict[str, Any]) -> Tried:
        """Ask for one method, as an agent would; starts a worker only for what was admitted.

        Raises:
            ConfigurationFault: it is off.
            Fault: no worker can be started; whatever else goes wrong is the answer.
        """
        world = self._world()
        asked = Envelope(_YOU, Invoke(QUANTUM, method, args), _AMPLE, _AMPLE)
        answer = world.apply(asked, 0)
        if not isinstance(answer, Waiting):
            return Tried(answer)
        [request] = world.requests
        payload: Any = request.payload
        kept = payload.get("kept") or {}
        if (why := self.why_not()) is not None:
            raise Fault(why)
        async with _workers(self.config) as pool:
            begun_s = time.monotonic()
            if payload["job"] not in DEVICE_JOBS:
                await pool.warm()
            ready_s = time.monotonic()
            result = await self._performed(request, pool)
            ended_s = time.monotonic()
        settled = world.settle(request.id, result, 0)
        assert settled is not None, request
        return Tried(
            settled.answer,
            dict(result.usage),
            kept.get("estimate", {}).get("compute"),
            payload["hold"]["compute"],
            round((ready_s - begun_s) * 1e6),
            round((ended_s - ready_s) * 1e6),
        )

    async def _performed(self, request: EffectRequest, pool: QuantumPool) -> EffectResult:
        with TemporaryDirectory() as folder:
            performer = performer_of(self.config, Path(folder), pool)
            try:
                return await performed(request, performer)
            finally:
                await performer.close()

    async def calibrate(self) -> Calibration:
        """Measure this machine; takes some ten seconds, more where others use it.

        Raises:
            Fault: no worker can be started, or a probe could not be run.
        """
        before = self.config.genesis.quantum.parts()[1]
        async with _workers(self.config) as pool:

            async def measure(payload: dict[str, Any]) -> float:
                memory = 1_024 * MEBIBYTE
                job = Job("run", payload, _PROBE_CPU_US, memory, 120.0, 10_000_000)
                times: list[float] = []
                while sum(times) < _PROBED_S and len(times) < _PROBED_MAX:
                    report = await pool.run(job)
                    if report.problem:
                        told = report.detail or report.problem
                        raise Fault(f"a probe could not be run ({told}): calibrate again")
                    times.append(report.cpu_us / 1e6)
                return statistics.median(times)

            now, ratios = await calibrate(measure, before)
        return Calibration(before, now, tuple(zip(probes(), ratios, strict=True)))

    def _world(self) -> World:
        """A world with nobody but its operator, who may use as much as there is."""
        if not self.config.genesis.quantum.enabled:
            raise ConfigurationFault(f"{QUANTUM} is off: genesis.quantum.enabled turns it on")
        resources = self.config.world.resources.items()
        ample = {name: _AMPLE for name, one in resources if one.kind != "allocatable"}
        you = {"id": _YOU, "scrip": _AMPLE, "quotas": ample}
        alone = Scenario.model_validate({"name": _YOU, "principals": [you]})
        natives = BUILT_IN | quantum_from(figures_of(self.config))
        world = world_config(self.config, alone)
        return World.begin(world, natives, MemoryEventLog(), NoCode(), VERSION)

    @property
    def _native(self) -> Native | None:
        return quantum_from(figures_of(self.config)).get(QUANTUM)


def keep(found: Coefficients) -> Path:
    """Write coefficients as those of this machine, beside `config.yaml`; returns the file.

    Raises:
        Fault: it cannot be written.
    """
    path = config_dir() / CALIBRATED
    names = Coefficients.__struct_fields__
    lines = (f"      {name}: {getattr(found, name):.3g}\n" for name in names)
    head = "genesis:\n  quantum:\n    coefficients:\n"
    beside = path.with_suffix(".new")
    try:
        beside.write_text(_HEADER + head + "".join(lines), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise Fault(f"{shown(path)} cannot be written: {error.strerror or error}") from None
    return path


@asynccontextmanager
async def _workers(config: Config) -> AsyncIterator[QuantumPool]:
    pool = pool_of(config)
    try:
        yield pool
    finally:
        await pool.close()


def _is_there(module: str) -> bool:
    """Whether a module can be imported, without doing so."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return ""
