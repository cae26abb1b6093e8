"""Owns the performer of jobs: methods of agent-written code that take longer than a call may.

A job runs in a worker of its own, beside the world. It has its arguments, the time of its request,
its caller and its chance, and calls nothing back. What it asked of the world, and what its answer
means there, this module must not know.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Final

import msgspec

from ..world import (
    CallBack,
    Code,
    CodeCall,
    EffectRequest,
    EffectResult,
    Outcome,
    Raise,
    Refused,
    Return,
)
from .code_limits import CodeLimits, CodeUnavailable
from .sandbox import Runner

if TYPE_CHECKING:
    from .code_runner import MontyRunner, Session

START_S: Final = 20.0
_NO: Final = Refused(
    Code.EFFECT_NOT_ALLOWED,
    "a job calls nothing back: return what is to be done, and let another method do it",
)


class CodeJobs:
    """Performs jobs: ``{"artifact", "code", "method", "args", "caller", "now_us", "seed"}``.

    Attributes:
        patience_s: real seconds for starting a worker, and for waiting until one is free.
    """

    def __init__(self, limits: CodeLimits, sandbox: Runner | None) -> None:
        """Prepare; nothing is imported or started before the first job.

        Args:
            limits: what bounds a job; ``workers_max`` of them run side by side.
            sandbox: what holds the workers, as for ``MontyRunner``.
        """
        self.patience_s = START_S + limits.wall_us / 1e6
        self._limits = limits
        self._sandbox = sandbox
        self._threads = ThreadPoolExecutor(limits.workers_max, "code-job")
        self._lock = Lock()
        self._runner: MontyRunner | None = None
        self._jobs: set[_Job] = set()

    async def perform(self, request: EffectRequest) -> EffectResult:
        """Run one job; ``usage`` tells its CPU time as ``cpu_us``, where it can be measured.

        A job that is cancelled ends at once, with its worker.
        """
        try:
            call = msgspec.convert(request.payload, CodeCall)
        except msgspec.ValidationError as error:
            return EffectResult(None, Code.TOOL_FAILED, f"this is no job: {error}")
        job = _Job(call)
        self._jobs.add(job)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._run, job)
        except CodeUnavailable as fault:
            return EffectResult(None, Code.TOOL_UNAVAILABLE, str(fault))
        finally:
            self._jobs.discard(job)
            job.kill()

    async def close(self) -> None:
        """End every job and every worker."""
        for job in self._jobs:
            job.kill()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        if self._runner is not None:
            self._runner.close()

    def _run(self, job: _Job) -> EffectResult:
        """Run a job to its end, in a thread of the pool."""
        session = self._opened().session(job.call)
        if not job.begins(session):
            return EffectResult(None, Code.CODE_ABORTED, "it was ended before it began")
        try:
            outcome = session.replay(())
            while isinstance(outcome, CallBack):
                outcome = session.resume(_NO)
            used = session.cpu_us()
        finally:
            session.close()
        return _result(outcome, {} if used is None else {"cpu_us": used})

    def _opened(self) -> MontyRunner:
        from .code_runner import MontyRunner

        with self._lock:
            if self._runner is None:
                self._runner = MontyRunner(self._limits, self._sandbox)
            self._runner.open()
            return self._runner


class _Job:
    """A job that waits or runs; it may be ended from another thread at any time."""

    def __init__(self, call: CodeCall) -> None:
        self.call = call
        self._lock = Lock()
        self._is_ended = False
        self._session: Session | None = None

    def begins(self, session: Session) -> bool:
        """Note what runs it; False where it was ended before."""
        with self._lock:
            self._session = session
            return not self._is_ended

    def kill(self) -> None:
        """End it; nothing happens to one that has ended."""
        with self._lock:
            self._is_ended = True
            if self._session is not None:
                self._session.kill()


def _result(outcome: Outcome, usage: dict[str, int]) -> EffectResult:
    if isinstance(outcome, Return):
        return EffectResult(outcome.value, usage=usage)
    if isinstance(outcome, Raise):
        return EffectResult(None, Code.CODE_RAISED, outcome.detail, usage)
    detail = getattr(outcome, "detail", "it ended without an answer")
    return EffectResult(None, Code.CODE_ABORTED, detail, usage)
