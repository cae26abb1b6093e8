"""Owns the interpreters: where they come from, what holds them, and when they end.

Each is a process of its own, inside bubblewrap where there is one. It must not know what runs in
them. A process that hangs, dies or breaks a bound is replaced by the pool.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from pydantic_monty import Monty, MontyError, MontySession

from .code_limits import CodeLimits, CodeUnavailable
from .sandbox import PROGRAMS, Runner, Sandbox, held

GRACE_S: Final = 0.5
"""An interpreter looks at its time between operations; after this one that doesn't is killed."""
START_S: Final = 10.0
FREE_S: Final = 2.0
"""How long a call waits for a worker where all are in use; those of outer frames stay so."""
CHECKOUTS_MAX: Final = 10_000
"""A worker is replaced after so many calls, whatever they left in it."""
_OWN_BYTES: Final = 268_435_456
"""Addresses that a worker maps before any code runs (about 180 MB, most of it never touched)."""
_FILES_MAX: Final = 64
_PROGRAM: Final = "monty"


class Workers:
    """A warm pool of interpreters. Used from one thread; end it with ``close``."""

    def __init__(self, limits: CodeLimits, sandbox: Runner | None) -> None:
        """Start the pool and try it.

        Args:
            limits: how many, how long and how large.
            sandbox: what holds them; None is bubblewrap where it works, and nothing elsewhere.

        Raises:
            CodeUnavailable: no interpreter runs.
        """
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="scripworld-code-")
        self._clocks: dict[int, int] = {}
        program = _find(_PROGRAM, sysconfig.get_path("scripts"))
        choices: tuple[Runner, ...] = ("bubblewrap", "none") if sandbox is None else (sandbox,)
        troubles = []
        for runner in choices:
            trouble = self._start(program, runner)
            if trouble is None:
                self.runner = runner
                return
            troubles.append(f"{runner}: {trouble}")
        self._folder.cleanup()
        raise CodeUnavailable(
            "agent-written code needs an interpreter of its own: install pydantic-monty, and what "
            f"holds it ({'; '.join(troubles)})"
        )

    def _start(self, program: str | None, runner: Runner) -> str | None:
        """Start the pool under a runner; the sentence that says why it does not work there."""
        holder = None if runner == "none" else _find(PROGRAMS[runner])
        if program is None or (runner != "none" and holder is None):
            return "it is not installed"
        binary = self._script(program, runner, holder)
        self._pool = Monty(
            binary_path=binary,
            min_processes=self._limits.workers_warm,
            max_processes=self._limits.workers_max,
            checkout_timeout=FREE_S,
            request_timeout=START_S + self._limits.wall_us / 1e6,
            max_checkouts_per_worker=CHECKOUTS_MAX,
            feed_duration_limit_grace=GRACE_S,
        )
        try:
            self._pool.__enter__()
            with self._pool.checkout() as session:
                session.feed_run("1")
        except (MontyError, OSError) as error:
            self._pool.__exit__(None, None, None)
            return str(error)[:300]
        return None

    def _script(self, program: str, runner: Runner, holder: str | None) -> Path:
        """Write what starts one worker: without our environment, and bounded by the system, too.

        It stands outside the only folder that a worker could write to. An interrupt from the
        terminal is ours to act on, not a worker's.
        """
        own = Path(self._folder.name, "worker")
        own.mkdir(exist_ok=True)
        command: tuple[str, ...] = (program,)
        if holder is not None:
            sandbox = Sandbox(runner, memory_bytes_max=self._limits.memory_bytes_max)
            command = held(holder, sandbox, own, (Path(program),), command, "")
        kibibytes = (self._limits.memory_bytes_max + _OWN_BYTES) // 1024
        script = Path(self._folder.name, f"start-{runner}")
        script.write_text(
            "#!/bin/sh\n"
            "trap '' INT QUIT HUP\n"
            f"ulimit -c 0; ulimit -f 0; ulimit -n {_FILES_MAX}\n"
            f"ulimit -v {kibibytes} 2>/dev/null\n"
            "exec 2>/dev/null\n"
            f'exec env -i PATH=/usr/bin:/bin {shlex.join(command)} "$@"\n'
        )
        script.chmod(0o700)
        return script

    def checkout(self, wall_us: int, policy: Any) -> MontySession:
        """Return a fresh session on a worker, entered; its feeds may take ``wall_us`` each.

        Raises:
            MontyError, OSError: no worker could be started or none is free (TimeoutError).
        """
        limits = self._limits
        session = self._pool.checkout(
            script_name="code.py",
            limits={
                "max_feed_duration_secs": wall_us / 1e6,
                "max_memory": limits.memory_bytes_max,
                "max_recursion_depth": limits.recursion_max,
                "max_suspensions": limits.questions_max + 1,
            },
            os_policy=policy,
        )
        return session.__enter__()

    def cpu_us(self, session: MontySession) -> int | None:
        """Return the CPU time that the session's worker has used so far; None where unknown."""
        pid = session.worker_pid
        if pid is None:
            return None
        clock = self._clocks.get(pid) or _clock_of(pid)
        if clock is None:
            return None
        try:
            used = time.clock_gettime_ns(clock) // 1_000
        except OSError:  # the process it belonged to is gone, and its number is used again
            self._clocks.pop(pid, None)
            return None
        self._clocks[pid] = clock
        return used

    def close(self) -> None:
        """End every worker."""
        self._pool.__exit__(None, None, None)
        self._folder.cleanup()


def _find(name: str, folder: str | None = None) -> str | None:
    places = os.pathsep.join((*((folder,) if folder else ()), os.environ.get("PATH", os.defpath)))
    found = shutil.which(name, path=places)
    return None if found is None else os.path.realpath(found)


def _clock_of(pid: int) -> int | None:
    """The CPU clock of the interpreter under ``pid``: the innermost process once it is that."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            pid = int(children[0])
        if Path(f"/proc/{pid}/comm").read_text().strip() != _PROGRAM:
            return None
    except OSError:
        return None
    return (~pid << 3) | 2  # clock_getcpuclockid(3), as the kernel of Linux numbers it
