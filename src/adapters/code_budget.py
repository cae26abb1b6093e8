"""Owns the time that calls of agent-written code inside each other have together.

The outermost call brings it, and every call that begins while that one is open spends of it. It must
not know the interpreter, nor what the code does.
"""

from __future__ import annotations

from typing import Final

from .code_limits import CodeLimits

_ATTEMPTS: Final = 2
"""What is run again on a busy machine may take ``wall_us`` once more, all attempts together."""


class Budget:
    """The time of an outermost call and of all inside it.

    Attributes:
        is_shared: more than one call began with it.
        cpu_us: the CPU time that was used; attempts that were given up are not counted.
        wall_us: how long interpreters ran, attempts that were given up included.
    """

    __slots__ = ("__weakref__", "_is_over", "_limits", "cpu_us", "is_shared", "wall_us")

    def __init__(self, limits: CodeLimits) -> None:
        """Nothing is spent yet."""
        self._limits = limits
        self._is_over = False
        self.is_shared = False
        self.cpu_us = 0
        self.wall_us = 0

    @property
    def left_us(self) -> int:
        """The CPU time that is left; at least 1."""
        return max(1, self._limits.time_us - self.cpu_us)

    @property
    def is_over(self) -> bool:
        """Whether calls inside each other have no time left: then none of them goes on."""
        return self.is_shared and (
            self._is_over
            or self.cpu_us > self._limits.time_us
            or self.wall_us > self._limits.wall_us * _ATTEMPTS
        )

    def allows(self, wall_us: int) -> bool:
        """Whether an attempt may take so long on the wall."""
        return wall_us <= min(self._limits.wall_us, self._limits.wall_us * _ATTEMPTS - self.wall_us)

    def end(self) -> None:
        """Have nothing left, because a call was stopped at the end of its time."""
        self._is_over = True
