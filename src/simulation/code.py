"""Owns putting together what runs agent-written code: in a run, as jobs, and again for a proof.

The interpreter's client is imported when code is first written or run, so that a world without
code, a proof and ``--help`` never wait for it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from ..adapters.code_jobs import CodeJobs
from ..adapters.code_limits import CodeLimits
from ..adapters.sandbox import RUNNER_VARIABLE, Runner, chosen_runner
from ..world import CodeCall, CodeSession, NoCode, Outcome
from .config import Config

if TYPE_CHECKING:
    from ..adapters.code_runner import MontyRunner

JOBS: Final = "code"
"""The name that jobs are performed under."""
_PATIENCE: Final = 10
"""What code is given when it is run again, in times of what it was given first."""


class CodeOfRun:
    """The code runner of a run; end it with ``close``."""

    def __init__(self, limits: CodeLimits, sandbox: Runner | None) -> None:
        """Nothing is imported or started before code is written or run."""
        self._limits = limits
        self._sandbox = sandbox
        self._runner: MontyRunner | None = None

    def check(self, code: str) -> str | None:
        """As the port says."""
        return self._opened().check(code)

    def start(self, call: CodeCall) -> tuple[CodeSession, Outcome]:
        """As the port says."""
        return self._opened().start(call)

    def close(self) -> None:
        """End every worker."""
        if self._runner is not None:
            self._runner.close()

    def _opened(self) -> MontyRunner:
        if self._runner is None:
            from ..adapters.code_runner import MontyRunner

            self._runner = MontyRunner(self._limits, self._sandbox)
        return self._runner


def code_of(config: Config) -> CodeOfRun | NoCode:
    """What runs the code of a run."""
    if not config.code.enabled:
        return NoCode()
    return CodeOfRun(config.code.limits(), _sandbox(config))


def code_again(config: Config) -> CodeOfRun | NoCode:
    """What runs the code of a run again, with more patience than the run itself."""
    if not config.code.enabled:
        return NoCode()
    limits = config.code.limits()
    longer = msgspec.structs.replace(
        limits, time_us=limits.time_us * _PATIENCE, wall_us=limits.wall_us * _PATIENCE
    )
    return CodeOfRun(longer, _sandbox(config))


def jobs_of(config: Config) -> CodeJobs:
    """What performs the jobs of a run; no worker is started yet."""
    return CodeJobs(config.code.job_limits(), _sandbox(config))


def _sandbox(config: Config) -> Runner | None:
    """What holds the workers: the runner of tool servers, where one was chosen."""
    configured = config.genesis.mcp.defaults.sandbox.runner
    if configured is None and not os.environ.get(RUNNER_VARIABLE):
        return None
    return chosen_runner(configured, os.environ)
