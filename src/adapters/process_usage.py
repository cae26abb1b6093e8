"""What a process and all that it started use: CPU time and peak memory, shared out to calls.

Owns reading both from the kernel, and dividing the CPU time among the calls that were in flight
while it was used. It must not know servers, messages or event loops: its owner says when a call
begins and ends. Elsewhere than on Linux everything is 0.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

BEAT_S: Final = 0.1
"""How often at most new processes are looked for, and memory is read."""
MOMENT_S: Final = 0.000_02
"""Calls that begin or end this close together are taken as one moment."""

_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_LISTED: Final = "/proc/thread-self/children"


class ProcessUsage:
    """The tree of processes below one, from now on until it ends.

    CPU time is exact to the nanosecond for processes that run, and what was last seen for those
    that ended; what only their parents know of them (they began and ended unseen) counts in the
    kernel's steps of 10 ms. A process that leaves its parents stays in the tree, if it was seen
    below them. All times that are given to methods are `time.monotonic()`.
    """

    def __init__(self, pid: int) -> None:
        """Begin with the process `pid`; what it used before is no call's."""
        self.memory_peak_bytes = 0
        """The largest sum so far of the peaks (VmHWM) of the processes that ran at one time.

        An upper bound: they needn't have had their peaks together, and shared pages count in each.
        """
        self._processes = {pid: _Process(pid, None)}
        self._ended_ns = 0
        self._next_beat_s = 0.0
        self._read_s = 0.0
        self._seen_ns = 0
        self._in_flight = 0
        self._per_call_ns = 0
        self._undivided_ns = 0
        self._below_us_ns = 0
        self.sample(time.monotonic())

    @property
    def cpu_us(self) -> int:
        """The CPU time of the tree when it was last read, in all."""
        return self._seen_ns // 1_000

    def begin(self, now_s: float) -> int:
        """Note that a call begins; give the returned mark to `end`."""
        self.sample(now_s)
        self._in_flight += 1
        return self._per_call_ns

    def end(self, mark: int, now_s: float) -> int:
        """Note that a call ended; return its share of the CPU time in µs.

        Whatever the tree uses between two moments is divided by the calls in flight between them,
        so that the shares sum up to all that was used while any call was in flight (and in the
        moment before it).
        """
        self.sample(now_s)
        self._in_flight -= 1
        share_ns = self._per_call_ns - mark + self._below_us_ns
        self._below_us_ns = share_ns % 1_000
        return share_ns // 1_000

    def sample(self, now_s: float) -> None:
        """Read what was used since the last moment, and share it out.

        Takes about 1 µs for each process, and once every `BEAT_S` about 50 µs for each.
        """
        in_flight = self._in_flight
        if in_flight != 1 and now_s - self._read_s < MOMENT_S:
            return
        seen_ns = self._read_cpu(now_s)
        if in_flight:
            undivided_ns = self._undivided_ns + seen_ns - self._seen_ns
            self._per_call_ns += undivided_ns // in_flight
            self._undivided_ns = undivided_ns % in_flight
        self._seen_ns = seen_ns
        self._read_s = now_s

    def _read_cpu(self, now_s: float) -> int:
        if now_s >= self._next_beat_s:
            self._look_around(now_s)
        used_ns = self._ended_ns
        for process in self._processes.values():
            try:
                process.cpu_ns = time.clock_gettime_ns(process.clock)
            except OSError:  # it ended: what was last seen of it counts
                self._next_beat_s = 0.0
            used_ns += process.cpu_ns + process.children_ns
        return used_ns

    def _look_around(self, now_s: float) -> None:
        """Let go of the processes that ended, find new ones, and read the memory of all."""
        self._next_beat_s = now_s + BEAT_S
        children = listed_children if os.path.exists(_LISTED) else scanned_children()
        memory_bytes = 0
        found = list(self._processes.values())
        for process in found:  # it grows on the way
            if not process.is_there():
                del self._processes[process.pid]
                self._bequeath(process)
                continue
            memory_bytes += _memory_peak(process.pid)
            for pid in children(process.pid):
                if pid not in self._processes:
                    self._processes[pid] = child = _Process(pid, process)
                    found.append(child)
        self.memory_peak_bytes = max(self.memory_peak_bytes, memory_bytes)

    def _bequeath(self, process: _Process) -> None:
        """Keep what an ended process used, where its parent's own account of it replaces it."""
        process.is_gone = True
        heir = process.parent
        while heir is not None and heir.is_gone:
            heir = heir.parent
        used_ns = process.cpu_ns + process.children_ns
        if heir is None:
            self._ended_ns += used_ns
        else:
            heir.seen_ns += used_ns


class _Process:
    """One process of the tree, and what is known of its children that have ended."""

    __slots__ = ("clock", "cpu_ns", "is_gone", "parent", "pid", "seen_ns", "started", "waited_ns")

    def __init__(self, pid: int, parent: _Process | None) -> None:
        self.pid = pid
        self.parent = parent
        self.clock = (~pid << 3) | 2  # its CPU clock (clock_getcpuclockid(3))
        self.cpu_ns = 0
        self.seen_ns = 0  # what was last seen of them
        self.waited_ns = 0  # what the kernel counted when it waited for them
        self.started: bytes | None = None
        self.is_gone = False

    @property
    def children_ns(self) -> int:
        return max(self.seen_ns, self.waited_ns)

    def is_there(self) -> bool:
        """Tell whether it still exists, and not another under its id; read its children's time."""
        stat = _read(f"/proc/{self.pid}/stat")
        if not stat:
            return False
        fields = stat.rpartition(b")")[2].split()
        started = fields[19]  # proc_pid_stat(5), from field 3 on
        if self.started is None:
            self.started = started
        self.waited_ns = (int(fields[13]) + int(fields[14])) * _TICK_NS
        return self.started == started


def listed_children(pid: int) -> list[int]:
    """Return the children of a process, by the lists that Linux keeps for each thread."""
    task = f"/proc/{pid}/task"
    lists = [_read(f"{task}/{thread}/children") for thread in _folder(task)]
    return [int(child) for child in b" ".join(lists).split()]


def scanned_children() -> Callable[[int], list[int]]:
    """Return the same from one look at every process, for kernels without those lists."""
    children: dict[int, list[int]] = {}
    for entry in _folder("/proc"):
        if entry.isdigit() and (stat := _read(f"/proc/{entry}/stat")):
            parent = int(stat.rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry))
    return lambda pid: children.get(pid, [])


def _memory_peak(pid: int) -> int:
    """Return the VmHWM of a process in bytes; 0 if it has no memory any more."""
    _, found, rest = _read(f"/proc/{pid}/status").partition(b"VmHWM:")
    return int(rest.split(maxsplit=1)[0]) * 1024 if found else 0


def _folder(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _read(path: str) -> bytes:
    """Return a small file of /proc; nothing if the process ended or there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 65_536)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
