"""Runs one server and makes sure that nothing it started outlives its parent.

Run as a program: `python -I -S process_guard.py LIFELINE_FD GRACE_S -- command argument…`. The
guard starts the command in a session of its own with the standard streams it was given, and keeps
none of them. `LIFELINE_FD` is one end of a socket pair whose other end only the parent holds; the
parent's end closes when it is shut down or when the parent dies, also by SIGKILL. Then, or when
the command exits, the guard sends SIGTERM to everything that descends from it, waits at most
`GRACE_S`, sends SIGKILL, and exits once nothing is left.

Over the lifeline it reports `pid N` when the command was started and `exit N` when it ended
(negative: by that signal); its closing says that all is gone.

On Linux the guard is a child subreaper, so whatever is orphaned below it (behind npx, uv, a
daemonised browser) becomes its child and is found; the command dies with the guard. Elsewhere only
the command's process group is reached. Standard library only, and little of it, so that it starts
within about 20 ms; it must not import anything of this package.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
KILL_S = 5.0
"""How long SIGKILL may take to be obeyed before the guard gives up (uninterruptible sleep)."""
PAUSE_S = 0.02
COMMAND_NOT_STARTED = 127

Prctl = Callable[[int, int], None]


def main(argv: list[str]) -> int:
    """Guard the command in `argv` until it or the parent ends; return the guard's exit status."""
    lifeline, grace_s, command = int(argv[1]), float(argv[2]), argv[4:]
    os.set_inheritable(lifeline, False)
    prctl = find_prctl()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wakeup = wake_on_signals()
    pid = start(command, prctl)
    leave_streams()
    report(lifeline, f"pid {pid}\n")
    wait_for_an_end(lifeline, wakeup, pid)
    end_everything(lifeline, pid, grace_s)
    return 0


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


def start(command: list[str], prctl: Prctl) -> int:
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


def wait_for_an_end(lifeline: int, wakeup: int, pid: int) -> None:
    """Return when the command has exited, the lifeline has closed, or we were told to end."""
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == lifeline:
                return
            signals = os.read(wakeup, 4096)
            if signals.strip(bytes([signal.SIGCHLD])):
                return
            if reap(lifeline, pid) != "running":
                return


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


def end_everything(lifeline: int, pid: int, grace_s: float) -> None:
    """Ask every descendant to end, then make it; return when none is left, in bounded time."""
    now = time.monotonic()
    kill_at, give_up_at = now + grace_s, now + grace_s + KILL_S
    send(signal.SIGTERM, pid)
    while reap(lifeline, pid) != "alone":
        now = time.monotonic()
        if now >= give_up_at:
            return
        if now >= kill_at:
            send(signal.SIGKILL, pid)
        time.sleep(PAUSE_S)
    send(signal.SIGKILL, pid)


def send(number: signal.Signals, group: int) -> None:
    """Send a signal to the command's process group and to every descendant outside it.

    The group's id stays ours as long as one of our descendants is in it; after that it may belong
    to strangers, so it is signalled only while that can be seen (or where nothing can be seen).
    """
    groups = descendants()
    if groups is None or group in groups.values():
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
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
            except OSError:  # it ended while we looked
                continue
            children.setdefault(int(fields[1]), []).append((int(entry), int(fields[2])))
    found: dict[int, int] = {}
    parents = [os.getpid()]
    while parents:
        for pid, group in children.get(parents.pop(), ()):
            found[pid] = group
            parents.append(pid)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv))
