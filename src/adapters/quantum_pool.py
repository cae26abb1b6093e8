"""Owns the performer of quantum jobs: a pool of warm workers, and what their reports mean to the world.

Jobs run side by side up to the number of workers, others wait in order. A worker that was ended is
replaced. It must not know what a job does, only its hold: ``{"job", "payload", "hold", …}``.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final

from ..world import Code, EffectRequest, EffectResult, Fault
from .quantum_process import Job, QuantumProcess, Report, WorkerUnavailable

_WALL_FACTOR: Final = 8
_WALL_SLACK_S: Final = 5.0
_MEASURED_US: Final = 100_000
_MEASURED_US_MAX: Final = 120_000_000
_MEASURED_TIMES: Final = 40
_CODES: Final = {
    "refused": Code.TOOL_REFUSED,
    "failed": Code.TOOL_FAILED,
    "memory": Code.TOOL_FAILED,
    "cpu": Code.EFFECT_TIMEOUT,
    "wall": Code.EFFECT_TIMEOUT,
    "large": Code.RESULT_TOO_LARGE,
    "died": Code.TOOL_CRASHED,
}


class QuantumPool:
    """Performs the effects of genesis_quantum.

    Attributes:
        patience_s: real seconds for starting workers, and for waiting until one is free.
        replaced: workers that were ended and replaced so far.
    """

    def __init__(
        self,
        workers: int = 2,
        compute_per_cpu_s: int = 100,
        start_timeout_s: float = 60.0,
        passed_on: tuple[str, ...] = (),
    ) -> None:
        """Prepare; nothing is started before the first job.

        Args:
            workers: how many jobs run side by side.
            compute_per_cpu_s: units of compute that a CPU-second costs.
            start_timeout_s: how long a worker may take to start, which imports Qiskit.
            passed_on: variables of the environment that workers get besides the usual ones.
        """
        self.patience_s = start_timeout_s
        self.replaced = 0
        self._compute_per_cpu_s = compute_per_cpu_s
        self._start_timeout_s = start_timeout_s
        self._passed_on = passed_on
        self._free = asyncio.Semaphore(workers)
        self._idle: list[QuantumProcess] = []
        self._all: set[QuantumProcess] = set()
        self._is_closed = False

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that there are."""
        return sorted(worker.pid for worker in self._all)

    async def perform(self, request: EffectRequest) -> EffectResult:
        """Perform one job within its hold. Cancelled, its worker ends.

        What it used is in ``usage``: ``cpu_us``, ``compute`` (never above the hold) and
        ``memory_peak_bytes`` beyond what an idle worker has.
        """
        asked: Any = request.payload
        hold = asked["hold"]
        cpu_s = hold["cpu_us"] / 1e6
        job = Job(
            asked["job"],
            asked["payload"],
            hold["cpu_us"],
            hold["memory_bytes"],
            cpu_s * _WALL_FACTOR + _WALL_SLACK_S,
            request.result_bytes_max + 65_536,
        )
        try:
            report = await self.run(job)
        except WorkerUnavailable as error:
            usage = {"cpu_us": 0, "compute": 0}
            return EffectResult(None, Code.TOOL_UNAVAILABLE, str(error), usage)
        used_us = min(report.cpu_us, hold["cpu_us"])
        usage = {
            "cpu_us": used_us,
            "compute": min(self._compute(used_us), hold["compute"]),
            "memory_peak_bytes": report.memory_peak_bytes,
        }
        if not report.problem:
            return EffectResult(report.value, usage=usage)
        return EffectResult(None, _CODES[report.problem], _sentence(report, job), usage)

    def _compute(self, cpu_us: int) -> int:
        """Units of so much CPU time; whatever runs costs one, as clocks are coarse."""
        return max(1, math.ceil(cpu_us * self._compute_per_cpu_s / 1e6))

    async def run(self, job: Job) -> Report:
        """Do one job in a worker that is free, or as soon as one is.

        Raises:
            WorkerUnavailable: none can be started.
        """
        async with self._free:
            worker = await self._taken()
            try:
                await worker.ready(self._start_timeout_s)
                return await worker.perform(job)
            finally:
                self._put_back(worker)

    async def measure(self, payload: dict[str, Any]) -> float:
        """CPU seconds of a run in a warm worker: the mean of as many as a coarse clock needs.

        Raises:
            Fault: it can't be run.
        """
        job = Job("run", payload, _MEASURED_US_MAX, payload["memory_bytes"], 600.0, 1 << 30)
        times: list[int] = []
        while len(times) < 3 or (sum(times) < _MEASURED_US and len(times) < _MEASURED_TIMES):
            report = await self.run(job)
            if report.problem:
                raise Fault(f"a job that was to be measured failed: {_sentence(report, job)}")
            times.append(report.cpu_us)
        return sum(times) / len(times) / 1e6

    async def warm(self) -> None:
        """Start a worker and wait until it is ready.

        Raises:
            WorkerUnavailable: it can't be started.
        """
        async with self._free:
            worker = await self._taken()
            try:
                await worker.ready(self._start_timeout_s)
            finally:
                self._put_back(worker)

    async def close(self) -> None:
        """End all workers, also those that are busy."""
        self._is_closed = True
        workers, self._all = self._all, set()
        self._idle.clear()
        for worker in workers:
            await worker.end()

    async def _taken(self) -> QuantumProcess:
        """An idle worker that is still there, or a new one."""
        while self._idle:
            worker = self._idle.pop()
            if not worker.is_over:
                return worker
            self._all.discard(worker)
            await worker.end()
        return self._started()

    def _put_back(self, worker: QuantumProcess) -> None:
        """Keep a worker for the next job; in the place of one that was ended, start another."""
        if not worker.is_over:
            self._idle.append(worker)
            return
        self._all.discard(worker)
        self.replaced += 1
        if not self._is_closed and worker.was_ready:
            self._idle.insert(0, self._started())  # others are warmer

    def _started(self) -> QuantumProcess:
        worker = QuantumProcess(self._passed_on)
        self._all.add(worker)
        return worker


def _sentence(report: Report, job: Job) -> str:
    if report.detail:
        return report.detail
    return {
        "cpu": f"it was ended at its hold of {job.cpu_us / 1e6:g} CPU-seconds: ask for less",
        "wall": f"it was ended after {job.wall_s:g} s, its machine being busy: try again",
        "memory": f"it was ended at its hold of {job.memory_bytes} bytes: ask for less",
        "large": "its answer is too large: ask for fewer numbers",
        "died": "its worker died in the middle of it: try again",
    }[report.problem]
