"""Owns what is configured of agent-written code: what bounds it on this machine, and its jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from ..adapters.code_limits import CodeLimits
from .config_model import INT_MAX, Depth, Model, Positive
from .settings import Fault

TimeUs = Annotated[int, Field(ge=1_000, le=INT_MAX)]
_PATIENCE: Final = 2
"""What a job that got little of the CPU is waited for, in times of its own."""


class JobSettings(Model):
    """What bounds a method that declares itself a job."""

    time_us: TimeUs = Field(description="CPU time of one job.")
    memory_bytes_max: Positive = Field(description="Most memory of a job's objects.")
    workers: Positive = Field(description="Jobs that run side by side.")


class CodeSettings(Model):
    """Code that agents write. What holds its workers is `genesis.mcp.defaults.sandbox.runner`."""

    enabled: bool = Field(description="Whether agents can write and run code.")
    time_us: TimeUs = Field(description="CPU time of one call and of all that it calls.")
    wall_us: TimeUs = Field(
        description="Real time of a call and of all that it calls, "
        "where the machine is too busy to give them that CPU time."
    )
    memory_bytes_max: Positive = Field(description="Most memory of a call's objects.")
    recursion_max: Positive = Field(description="Deepest nesting of calls within the code.")
    code_bytes_max: Positive = Field(description="Largest code.")
    output_bytes_max: Positive = Field(
        description="Most that a call prints, and the same for all values that it gives out."
    )
    depth_max: Depth = Field(description="Deepest nesting of a value that code gives out.")
    questions_max: Positive = Field(
        description="Most that a call asks its host, the time and unknown names included."
    )
    workers_max: Positive = Field(
        description="Most interpreters at one time; more than `world.limits.frame_depth_max`."
    )
    workers_warm: Positive = Field(description="Interpreters that are kept ready.")
    job: JobSettings = Field(description="Methods that declare themselves jobs.")

    def limits(self) -> CodeLimits:
        """What bounds a call."""
        return CodeLimits(**self.model_dump(exclude={"enabled", "job"}))

    def job_limits(self) -> CodeLimits:
        """What bounds a job: more time and memory, and one interpreter for each."""
        told = self.model_dump(exclude={"enabled", "job"})
        job = self.job
        return CodeLimits(
            **told
            | {
                "time_us": job.time_us,
                "wall_us": job.time_us * _PATIENCE,
                "memory_bytes_max": job.memory_bytes_max,
                "workers_max": job.workers,
                "workers_warm": 1,
            }
        )

    def contradictions(self, frame_depth_max: int) -> Iterator[Fault]:
        """Yield what is of the right type and still can't be used."""
        for less, more in (("time_us", "wall_us"), ("workers_warm", "workers_max")):
            most = getattr(self, more)
            if getattr(self, less) > most:
                told = f"expected at most {more} ({most}), found {getattr(self, less)}"
                yield ("code", less), told
        if self.workers_max <= frame_depth_max:
            yield (
                ("code", "workers_max"),
                f"expected more than world.limits.frame_depth_max ({frame_depth_max}), because "
                f"each open frame needs one, found {self.workers_max}",
            )
