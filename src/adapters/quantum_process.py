"""Owns one quantum worker: its process, its channel, what it uses and its end.

It must not know what jobs mean. A worker does one job at a time; one that was ended is not used
again. The kernel ends it at its CPU time (see `quantum_worker`), this end at its memory and wall time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import Any, Final

import msgspec

from ..world import Fault

WATCH_S: Final = 0.05
"""How often the resident memory of a busy worker is read."""
PREPARING_S: Final = 30.0
"""For importing what a kind of job needs the first time."""
_LENGTH_BYTES: Final = 4
_READY_BYTES_MAX: Final = 65_536
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "QISKIT_PARALLEL": "FALSE",
    "MPLBACKEND": "Agg",
}
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Job(msgspec.Struct, frozen=True):
    """What a worker gets.

    Attributes:
        cpu_us: CPU time after which it is ended. memory_bytes: the same for what becomes resident.
        wall_s: real seconds after which it is ended. answer_bytes_max: of its encoded answer.
    """

    job: str
    payload: Any
    cpu_us: int
    memory_bytes: int
    wall_s: float
    answer_bytes_max: int


class Report(msgspec.Struct, frozen=True):
    """What a worker did with a job, and what it used.

    Attributes:
        problem: empty, or ``refused``, ``failed``, ``memory`` (told by the worker), ``cpu``,
            ``wall``, ``memory``, ``large``, ``died`` (it was ended, or ended).
    """

    value: Any = None
    problem: str = ""
    detail: str = ""
    cpu_us: int = 0
    memory_peak_bytes: int = 0


class WorkerUnavailable(Fault):
    """No worker can be started; the sentence says what to install."""


class QuantumProcess:
    """A worker process. Starts when it is made; `ready` waits until it can take a job."""

    def __init__(self, passed_on: tuple[str, ...] = ()) -> None:
        """Start it; ``passed_on`` are further variables of the environment that it gets."""
        ours, theirs = socket.socketpair()
        names = (*_PASSED_ON, *passed_on)
        environment = {name: os.environ[name] for name in names if name in os.environ}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "scripworld.adapters.quantum_worker"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment | _ONE_THREAD,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise WorkerUnavailable(f"a quantum worker can't be started: {error}") from error
        finally:
            theirs.close()
        ours.setblocking(False)
        self._channel = ours
        self.was_ready = False
        """Whether it could ever take a job."""
        self._is_reading = False
        self._reaping: asyncio.Future[None] | None = None
        self._total_us = 0
        self.versions: dict[str, str] = {}
        self.last_us = 0
        """CPU time of the job in which it ended."""
        self.ended_by = 0
        """The signal that ended it."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._process.pid)

    @property
    def is_over(self) -> bool:
        """Whether it has been ended, by us or by somebody else."""
        if self._reaping is None:
            how = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self._process.pid, how) is not None
        return True

    async def ready(self, timeout_s: float) -> None:
        """Return once it can take a job.

        Raises:
            WorkerUnavailable: Qiskit isn't installed, or it did not start in time.
        """
        if self.was_ready:
            return
        told: dict[str, Any] = {}
        try:
            with contextlib.suppress(TimeoutError, OSError, EOFError):
                async with asyncio.timeout(timeout_s):
                    told = await self._receive(_READY_BYTES_MAX)
            if told.get("ready"):
                self.versions, self._total_us = told["versions"], told["total_us"]
                self.was_ready = True
        finally:
            if not self.was_ready:
                await self.end()
        if not self.was_ready:
            why = told.get("detail") or f"it was not ready within {timeout_s:g} s"
            raise WorkerUnavailable(
                f"quantum circuits aren't run here ({why}): pip install 'scripworld[quantum]'"
            )

    async def perform(self, job: Job) -> Report:
        """Do one job. Whatever happens is a report; a worker that passed a limit is over then.

        Cancelled, it ends the worker.
        """
        base_bytes, peak = 0, [0]
        watch: asyncio.Future[None] | None = None
        problem = "died"
        try:
            async with asyncio.timeout(PREPARING_S + job.wall_s):
                await self._send(
                    {
                        "job": job.job,
                        "payload": job.payload,
                        "cpu_us": job.cpu_us,
                        "memory_bytes": job.memory_bytes,
                    }
                )
                prepared = await self._receive(_READY_BYTES_MAX)
            self._total_us = prepared["total_us"]
            base_bytes = self._resident_bytes()
            peak = [base_bytes]
            watch = asyncio.ensure_future(self._watch(base_bytes + job.memory_bytes, peak))
            async with asyncio.timeout(job.wall_s):
                told = await self._receive(job.answer_bytes_max)
            self._total_us = told.pop("total_us")
            problem = ""
            return msgspec.convert(told, Report)
        except TimeoutError:
            problem = "wall"
        except _TooLong:
            problem = "large"
        except (OSError, EOFError):
            problem = "memory" if watch and watch.done() else "died"
        finally:
            if watch:
                watch.cancel()
            if problem:
                await self.end()
        problem = "cpu" if self.ended_by in (signal.SIGPROF, signal.SIGXCPU) else problem
        return Report(None, problem, "", self.last_us, max(peak[0] - base_bytes, 0))

    async def end(self) -> None:
        """Kill it at once, and return when it is gone; may be called again."""
        if self._reaping is None:
            self._kill()
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_RDWR)
            self._reaping = asyncio.ensure_future(asyncio.to_thread(self._reap))
        await asyncio.shield(self._reaping)
        if not self._is_reading:  # else its reader sees the end, and comes here, too
            self._channel.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)

    def _reap(self) -> None:
        _, status, usage = os.wait4(self._process.pid, 0)
        self.last_us = max(round((usage.ru_utime + usage.ru_stime) * 1e6) - self._total_us, 0)
        self.ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self._process.returncode = os.waitstatus_to_exitcode(status)

    async def _watch(self, most_bytes: int, peak: list[int]) -> None:
        """Kill it when its resident memory passes a bound."""
        while peak[0] <= most_bytes:
            await asyncio.sleep(WATCH_S)
            peak[0] = max(peak[0], self._resident_bytes())
        self._kill()

    def _resident_bytes(self) -> int:
        try:
            with open(f"/proc/{self._process.pid}/statm", "rb") as sizes:
                return int(sizes.read().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0

    async def _send(self, message: dict[str, Any]) -> None:
        data = msgspec.msgpack.encode(message)
        head = len(data).to_bytes(_LENGTH_BYTES, "big")
        await asyncio.get_running_loop().sock_sendall(self._channel, head + data)

    async def _receive(self, bytes_max: int) -> dict[str, Any]:
        self._is_reading = True
        try:
            return await self._frame(bytes_max)
        finally:
            self._is_reading = False

    async def _frame(self, bytes_max: int) -> dict[str, Any]:
        size = int.from_bytes(await self._exactly(_LENGTH_BYTES), "big")
        if size > bytes_max:
            raise _TooLong
        told: dict[str, Any] = msgspec.msgpack.decode(await self._exactly(size))
        return told

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = bytearray()
        while len(data) < size:
            more = await loop.sock_recv(self._channel, min(size - len(data), 1 << 20))
            if not more:
                raise EOFError
            data += more
        return bytes(data)


class _TooLong(Exception):
    """An answer beyond its bound."""
