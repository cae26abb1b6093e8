"""The program of one quantum worker: answers jobs from the socket at its standard input, one by one.

Run as ``python -m scripworld.adapters.quantum_worker``. Each frame is four bytes of length, then
msgpack. The first says whether it is ready; then two answer each job: one when what it needs is
imported, one when it is done. A job that passes its CPU
time is ended by a signal that needs no Python (the simulator holds the interpreter while it runs),
and this process with it; its parent sees that and starts another. It must not know who asks or pays.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import socket
import sys
import time
from typing import Any, Final

import msgspec

LENGTH_BYTES: Final = 4
PR_SET_PDEATHSIG: Final = 1
ADDRESS_SLACK_BYTES: Final = 1_073_741_824
"""Address space beyond a job's memory: with less, libraries hang or crash where they cannot allocate."""
CPU_SLACK_S: Final = 2
"""The second limit on CPU time stands so much behind the first."""
_CLEAR_PEAK: Final = b"5"


def main() -> int:
    """Answer jobs until the other end closes; returns the exit status."""
    channel = socket.socket(fileno=os.dup(0))
    _silence()
    _die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    try:
        from .quantum_jobs import QuantumJobs

        jobs = QuantumJobs()
    except ImportError as error:
        _send(channel, {"ready": False, "detail": str(error)[:300]})
        return 1
    _send(channel, {"ready": True, "versions": jobs.versions, "total_us": _used_us()})
    while (job := _receive(channel)) is not None:
        _send(channel, _perform(jobs, job, channel))
    return 0


def _perform(jobs: Any, job: dict[str, Any], channel: socket.socket) -> dict[str, Any]:
    """Do one job within its limits; whatever goes wrong is an answer."""
    from .quantum_building import JobRefused

    value, problem, detail = None, "", ""
    base_bytes, began_us = _clear_peak(), _used_us()
    try:
        try:
            jobs.prepare(job["job"], job["payload"])
        finally:
            _send(channel, {"total_us": _used_us()})
        base_bytes, began_us = _clear_peak(), _used_us()
        _hold(job["cpu_us"], job["memory_bytes"])
        value = jobs.by_name[job["job"]](job["payload"])
    except JobRefused as error:
        problem, detail = "refused", str(error)
    except MemoryError:
        problem, detail = "memory", "it needs more memory than it may have"
    except BaseException as error:  # Rust panics are no Exceptions
        lines = str(error).strip().splitlines() or [""]
        problem, detail = "failed", f"{type(error).__name__}: {lines[0][:300]}"
    _lift()
    return {
        "value": value,
        "problem": problem,
        "detail": detail,
        "cpu_us": _used_us() - began_us,
        "total_us": _used_us(),
        "memory_peak_bytes": max(_status_bytes("VmHWM") - base_bytes, 0),
    }


def _used_us() -> int:
    return time.process_time_ns() // 1_000


def _hold(cpu_us: int, memory_bytes: int) -> None:
    """Let the kernel end this process at its CPU time, and refuse memory far beyond its bound."""
    _lower(resource.RLIMIT_CPU, math.ceil(time.process_time() + cpu_us / 1e6) + CPU_SLACK_S)
    if size := _status_bytes("VmSize"):
        _lower(resource.RLIMIT_AS, size + memory_bytes + ADDRESS_SLACK_BYTES)
    signal.setitimer(signal.ITIMER_PROF, cpu_us / 1e6)


def _lift() -> None:
    """Take back what held the last job."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (hard, hard))


def _lower(limit: int, value: int) -> None:
    """Set a soft limit, which is taken back later."""
    hard = resource.getrlimit(limit)[1]
    soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(limit, (soft, hard))


def _clear_peak() -> int:
    """Forget the peak of resident memory; returns what is resident now."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "wb", buffering=0) as peak:
        peak.write(_CLEAR_PEAK)
    return _status_bytes("VmRSS")


def _status_bytes(name: str) -> int:
    """A size in /proc/self/status; 0 where there is none."""
    with contextlib.suppress(OSError), open("/proc/self/status", "rb") as status:
        _, found, rest = status.read().partition(name.encode() + b":")
        return int(rest.split(maxsplit=1)[0]) * 1024 if found else 0
    return 0


def _silence() -> None:
    """Let nobody's prints reach the channel, which was the standard input."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)


def _die_with_parent() -> None:
    """End with the parent also while a job runs (Linux); elsewhere its CPU limit ends it."""
    parent = os.getppid()
    try:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(1)


def _send(channel: socket.socket, message: dict[str, Any]) -> None:
    try:
        data = msgspec.msgpack.encode(message)
    except (TypeError, ValueError, UnicodeError) as error:
        told = {"problem": "failed", "detail": f"its answer is no JSON: {error}", "value": None}
        data = msgspec.msgpack.encode(message | told)
    channel.sendall(len(data).to_bytes(LENGTH_BYTES, "big") + data)


def _receive(channel: socket.socket) -> dict[str, Any] | None:
    """The next job; None at the end."""
    head = _exactly(channel, LENGTH_BYTES)
    data = _exactly(channel, int.from_bytes(head, "big")) if head else b""
    if not data:
        return None
    job: dict[str, Any] = msgspec.msgpack.decode(data)
    return job


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = channel.recv(min(size - len(data), 1 << 20))
        if not more:
            return b""
        data += more
    return bytes(data)


if __name__ == "__main__":
    sys.exit(main())
