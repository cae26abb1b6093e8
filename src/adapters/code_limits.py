"""Owns the bounds on agent-written code. It must not know the interpreter that is held to them."""

from __future__ import annotations

import msgspec

from ..world import ConfigurationFault, Fault


class CodeUnavailable(Fault):
    """Agent-written code cannot run here; the text says what to install or allow."""


class CodeLimits(msgspec.Struct, frozen=True):
    """What one call of agent-written code may use, and how many run at a time.

    Attributes:
        time_us: CPU time of one call and of all that begin while it is open; an integer from 1,000.
        wall_us: how long they may take where the machine is too busy to give them that CPU time.
        memory_bytes_max: its objects; a worker is not given more than this and what it needs itself.
        recursion_max: calls that stand inside each other.
        code_bytes_max: the source text, in UTF-8.
        output_bytes_max: what it prints, and all values that it gives out, about as JSON.
        depth_max: lists and objects inside each other in a value that it gives out.
        questions_max: everything it asks its host, the clock and names that aren't there included.
        workers_max: interpreters at one time; each open frame needs one.
        workers_warm: interpreters that are kept ready.
    """

    time_us: int = 50_000
    wall_us: int = 1_000_000
    memory_bytes_max: int = 16_777_216
    recursion_max: int = 200
    code_bytes_max: int = 65_536
    output_bytes_max: int = 2_000_000
    depth_max: int = 16
    questions_max: int = 2_000
    workers_max: int = 32
    workers_warm: int = 2

    def __post_init__(self) -> None:
        """Refuse what cannot be held.

        Raises:
            ConfigurationFault: a bound is not positive, or two contradict each other.
        """
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise ConfigurationFault(f"the bound {name} of agent-written code is from 1")
        for less, more in (("time_us", "wall_us"), ("workers_warm", "workers_max")):
            if getattr(self, less) > getattr(self, more):
                text = f"the bound {less} of agent-written code is at most {more}: lower it"
                raise ConfigurationFault(text)
        if self.time_us < 1_000:
            raise ConfigurationFault("the bound time_us of agent-written code is from 1000")
