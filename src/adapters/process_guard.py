"""Runs one server, holds it to its limits, and makes sure that nothing it started outlives us.

Run as a program: `python -I -S process_guard.py LIFELINE_FD GRACE_S [LIMIT…] -- command argument…`.
The guard starts the command in a session of its own with the standard streams it was given, and
keeps none of them. `LIFELINE_FD` is one end of a socket pair whose other end only the parent holds;
the parent's end closes when it is shut down or when the parent dies, also by SIGKILL. Then, or when
the command exits, the guard sends SIGTERM to everything that descends from it, waits at most
`GRACE_S`, sends SIGKILL, and exits once nothing is left.

Over the lifeline it reports `pid N` when the command was started, `limit KIND USED ALLOWED` when a
limit was passed, and `exit N` when the command ended (negative: by that signal); its closing says
that all is gone.

A LIMIT is `wrapped` or NAME=VALUE. `wrapped`: the command is what holds the server; SIGTERM goes
only to what is below it. `cpus`: how many CPUs may be used at a time (Linux; a server that wants to
can widen it). `memory`, in bytes: the resident memory of all that descends from the guard, shared
pages counted in parts; looked at every 0.1 s, and each process's own data is bounded besides.
`processes`: how many may descend from the guard. `disk`, in bytes: what the folders named by
`folder=` hold in all, every entry at least 4096, and no file may be longer; looked at about every
second. What passes a limit is killed at once, with everything else. Without `/proc`, memory and
processes aren't watched.

On Linux the guard is a child subreaper, so whatever is orphaned below it (behind npx, uv, a
daemonised browser) becomes its child and is found; the command dies with the guard. Elsewhere only
the command's process group is reached. Standard library only, and little of it, so that it starts
within about 20 ms; it must not import anything of this package.
"""

import contextlib
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
KILL_S = 5.0
"""How long SIGKILL may take to be obeyed before the guard gives up (uninterruptible sleep)."""
PAUSE_S = 0.02
COMMAND_NOT_STARTED = 127
WATCH_S = 0.1
WATCH_SHARE = 0.05
"""Watching takes about this part of one CPU at most: a look that cost more is followed by rest."""
REST_S_MAX = 1.0
NEVER_S = 86_400.0
LOOKS_UNTIL_FRESH = 20
"""After so many looks nothing is remembered: the id of a process may have been given again."""
DATA_SLACK_BYTES = 268_435_456
"""Beyond the limit of memory: what is mapped as a process's own data but not used."""
ENTRIES_A_LOOK = 2_000
ENTRY_BYTES_MIN = 4_096
DISK_PAUSE_S = 1.0
PAGE_BYTES = resource.getpagesize()

Prctl = Callable[[int, int], None]


def main(argv: list[str]) -> int:
    """Guard the command in `argv` until it or the parent ends; return the guard's exit status."""
    end_of_words = argv.index("--")
    lifeline, grace_s, command = int(argv[1]), float(argv[2]), argv[end_of_words + 1 :]
    limits = Limits(argv[3:end_of_words])
    os.set_inheritable(lifeline, False)
    prctl = find_prctl()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wakeup = wake_on_signals()
    pid = start(command, prctl, limits)
    leave_streams()
    report(lifeline, f"pid {pid}\n")
    if excess := wait_for_an_end(lifeline, wakeup, pid, Watch(limits)):
        report(lifeline, f"limit {excess}\n")
        grace_s = 0.0
    end_everything(lifeline, pid, grace_s, unasked=pid if limits.wrapped else None)
    return 0


class Limits:
    """What the words before `--` say; 0 and empty: no limit."""

    def __init__(self, words: list[str]) -> None:
        given = [word.partition("=")[::2] for word in words]
        numbers = {name: int(value) for name, value in given if value.isdigit()}
        self.wrapped = "wrapped" in words
        self.cpus = numbers.get("cpus", 0)
        self.memory = numbers.get("memory", 0)
        self.processes = numbers.get("processes", 0)
        self.disk = numbers.get("disk", 0)
        self.folders = [value for name, value in given if name == "folder"]

    def hold(self) -> None:
        """Put on the present process what the system itself holds it and its children to."""
        lower(resource.RLIMIT_CORE, 0)
        if self.memory:
            lower(resource.RLIMIT_DATA, self.memory + DATA_SLACK_BYTES)
        if self.disk:
            lower(resource.RLIMIT_FSIZE, self.disk)
        if self.cpus and hasattr(os, "sched_setaffinity"):
            ours = sorted(os.sched_getaffinity(0))
            first = os.getpid() % len(ours)  # so that not all servers share the first ones
            os.sched_setaffinity(0, (ours[first:] + ours[:first])[: self.cpus])


def lower(limit: int, value: int) -> None:
    """Lower a limit of the present process for good; one that is lower already stays."""
    hard = resource.getrlimit(limit)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def find_prctl() -> Prctl:
    """Return Linux's prctl, or something that does nothing where there is none."""
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return lambda option, value: None
    return lambda option, value: prctl(option, value, 0, 0, 0)


def wake_on_signals() -> int:
    """Let the signals that matter here write a byte to the returned descriptor, and do no more."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: None)
    return reader


def start(command: list[str], prctl: Prctl, limits: Limits) -> int:
    """Start the command in its own session; return its process id."""
    guard = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:  # it died before we asked to die with it
            os._exit(COMMAND_NOT_STARTED)
        signal.set_wakeup_fd(-1)
        for number in (
            signal.SIGCHLD,
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGPIPE,
            signal.SIGXFSZ,
        ):
            signal.signal(number, signal.SIG_DFL)
        limits.hold()
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]} could not be started: {error.strerror}\n".encode())
    finally:
        os._exit(COMMAND_NOT_STARTED)


def leave_streams() -> None:
    """Close our copies of the command's streams, so that their ends mean something."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


def report(lifeline: int, words: str) -> None:
    """Tell the parent, if there still is one."""
    with contextlib.suppress(OSError):
        os.write(lifeline, words.encode())


def wait_for_an_end(lifeline: int, wakeup: int, pid: int, watch: "Watch") -> str:
    """Return when the command exited, the lifeline closed, we were told to end: empty; or a limit.

    What was passed is said as `KIND USED ALLOWED`.
    """
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll(watch.pause_s * 1000):
            if descriptor == lifeline:
                return ""
            signals = os.read(wakeup, 4096)
            if signals.strip(bytes([signal.SIGCHLD])):
                return ""
            if reap(lifeline, pid) != "running":
                return ""
        if excess := watch.look():
            return excess


class Watch:
    """Sees what the tree below us uses, and remembers who is in it."""

    def __init__(self, limits: Limits) -> None:
        is_needed = limits.memory or limits.processes or limits.disk
        self.pause_s = WATCH_S if is_needed else NEVER_S
        """How long to wait before the next look."""
        self._limits = limits
        self._parents: dict[str, str] = {}
        self._looks = 0
        self._next_s = 0.0
        self._disk = disk_use(limits.folders, limits.disk)
        self._next_disk_s = 0.0

    def look(self) -> str:
        """Return the limit that is passed as `KIND USED ALLOWED`, or nothing."""
        now = time.monotonic()
        if self.pause_s == NEVER_S or now < self._next_s:
            return ""
        excess = self._passed()
        if excess and self._looks:  # it may be a stranger's, under an id of ours: look afresh
            self._looks = LOOKS_UNTIL_FRESH
            excess = self._passed()
        cost_s = time.monotonic() - now
        self.pause_s = min(max(WATCH_S, cost_s / WATCH_SHARE), REST_S_MAX)
        self._next_s = now + self.pause_s
        return excess

    def _passed(self) -> str:
        limits = self._limits
        pids = self._tree()
        if limits.processes and len(pids) > limits.processes:
            return f"processes {len(pids)} {limits.processes}"
        if limits.memory and sum(map(resident_bytes, pids)) > limits.memory:
            used = sum(map(shared_out_bytes, pids))
            if used > limits.memory:
                return f"memory {used} {limits.memory}"
        now = time.monotonic()
        if limits.disk and now >= self._next_disk_s:
            held = next(self._disk)
            if held is not None:
                if held > limits.disk:
                    return f"disk {held} {limits.disk}"
                self._next_disk_s = now + DISK_PAUSE_S
        return ""

    def _tree(self) -> list[str]:
        """Return the ids of all that descends from us; reads only processes not seen before."""
        if self._looks >= LOOKS_UNTIL_FRESH:
            self._parents.clear()
            self._looks = 0
        self._looks += 1
        try:
            there = {entry for entry in os.listdir("/proc") if entry.isdigit()}
        except OSError:
            return []
        for pid in self._parents.keys() - there:
            del self._parents[pid]
        for pid in there - self._parents.keys():
            if fields := stat_of(pid):
                self._parents[pid] = fields[1].decode()
        children: dict[str, list[str]] = {}
        for pid, parent in self._parents.items():
            children.setdefault(parent, []).append(pid)
        found = list(children.get(str(os.getpid()), ()))
        for pid in found:
            found += children.get(pid, ())
        return found


def resident_bytes(pid: str) -> int:
    """Return the resident memory of a process, what it shares with others in full."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:
            return int(statm.read().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def shared_out_bytes(pid: str) -> int:
    """Return the same with shared pages in parts; dearer to ask for."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
            for line in rollup:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resident_bytes(pid)


def disk_use(folders: list[str], allowed: int) -> Iterator[int | None]:
    """Measure the folders again and again: None while it goes on, in bytes when it is known.

    Each step reads a bounded number of entries. A file with several names counts with each. More
    than what is allowed is known at once.
    """
    while True:
        used, entries, ahead = 0, 0, list(folders)
        while ahead and used <= allowed:
            try:
                with os.scandir(ahead.pop()) as listing:
                    for entry in listing:
                        with contextlib.suppress(OSError):
                            blocks = entry.stat(follow_symlinks=False).st_blocks
                            used += max(blocks * 512, ENTRY_BYTES_MIN)
                            if entry.is_dir(follow_symlinks=False):
                                ahead.append(entry.path)
                        entries += 1
                        if entries % ENTRIES_A_LOOK == 0:
                            yield None
            except OSError:  # it is gone, or not ours to read
                continue
        yield used


def reap(lifeline: int, pid: int) -> str:
    """Collect the dead; return `running`, `exited` (the command; others are left) or `alone`."""
    state = "running"
    while True:
        try:
            dead, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return "alone"
        if not dead:
            return state
        if dead == pid:
            state = "exited"
            report(lifeline, f"exit {os.waitstatus_to_exitcode(status)}\n")


def end_everything(lifeline: int, pid: int, grace_s: float, unasked: int | None) -> None:
    """Ask every descendant to end, then make it; return when none is left, in bounded time.

    `unasked` is the process group that is not asked: it ends with what it holds.
    """
    now = time.monotonic()
    kill_at, give_up_at = now + grace_s, now + grace_s + KILL_S
    send(signal.SIGTERM, pid, unasked)
    while reap(lifeline, pid) != "alone":
        now = time.monotonic()
        if now >= give_up_at:
            return
        if now >= kill_at:
            send(signal.SIGKILL, pid)
        time.sleep(PAUSE_S)
    send(signal.SIGKILL, pid)


def send(number: signal.Signals, group: int, spared: int | None = None) -> None:
    """Send a signal to the command's process group and to every descendant outside it.

    The group's id stays ours as long as one of our descendants is in it; after that it may belong
    to strangers, so it is signalled only while that can be seen (or where nothing can be seen).
    """
    groups = descendants()
    if group != spared and (groups is None or group in groups.values()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    for pid, its_group in (groups or {}).items():
        if its_group != group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def descendants() -> dict[int, int] | None:
    """Return the process group of every descendant by its id, or None where there is no /proc."""
    children: dict[int, list[tuple[int, int]]] = {}
    try:
        entries = os.listdir("/proc")
    except OSError:
        return None
    for entry in entries:
        if entry.isdigit() and (fields := stat_of(entry)):
            children.setdefault(int(fields[1]), []).append((int(entry), int(fields[2])))
    found: dict[int, int] = {}
    parents = [os.getpid()]
    while parents:
        for pid, group in children.get(parents.pop(), ()):
            found[pid] = group
            parents.append(pid)
    return found


def stat_of(pid: str) -> list[bytes]:
    """Return what /proc says of a process: state, parent, group, …; nothing if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv))
