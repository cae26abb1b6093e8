"""Owns the port to what performs effects, and the performer that answers from an earlier run's log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..world import EffectRequest, EffectResult, Fault


class Performer(Protocol):
    """Performs the effects of one name.

    Attributes:
        patience_s: real seconds that it may take beyond an effect's time-out, for starting up.
    """

    patience_s: float

    async def perform(self, request: EffectRequest) -> EffectResult:
        """Perform one effect. What goes wrong is a result with a code, never an exception."""

    async def close(self) -> None:
        """End everything that it started, in bounded time. Called once, whatever happened."""


class Recorded:
    """Answers effects with the results of an earlier run, found by their idempotency keys."""

    patience_s = 0.0

    def __init__(self, results: Mapping[str, EffectResult]) -> None:
        self._results = results

    async def perform(self, request: EffectRequest) -> EffectResult:
        """The recorded result.

        Raises:
            Fault: the earlier run did not ask for this effect, so the runs differ.
        """
        result = self._results.get(request.key)
        if result is None:
            raise Fault(
                f"{request.principal} asks {request.artifact} {request.method} at "
                f"{request.requested_us} us, and the recorded run holds no such effect: "
                "was it made with the same scenario, seed and configuration?"
            )
        return result

    async def close(self) -> None:
        """Nothing was started."""
