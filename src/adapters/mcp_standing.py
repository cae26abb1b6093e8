"""What is known of one server, however many processes of it run, and what that means for a start.

Owns the era that it was found to speak, its recent failures, and how long they keep it from being
started again. It must not know processes or messages.
"""

import math
from typing import Final

from .mcp_opening import Era
from .mcp_outcome import McpError, McpUnavailable
from .mcp_process import McpServerSpec

FAILURES_WINDOW_S: Final = 60.0
"""How long a failure of the server counts."""


class Standing:
    """The standing of one server; the clients of all its processes share it."""

    def __init__(self, spec: McpServerSpec) -> None:
        self.era: Era | None = None
        """What it speaks, as far as that is known."""
        self._spec = spec
        self._times_s: list[float] = []
        self._shunned_until_s = 0.0
        self._last: McpError | None = None

    def add_failure(self, when_s: float, fault: McpError | None) -> None:
        """Note that a process of the server died or didn't start, and why."""
        self._last = fault
        recent = [time_s for time_s in self._times_s if when_s - time_s < FAILURES_WINDOW_S]
        self._times_s = [*recent, when_s]
        if len(self._times_s) >= self._spec.restarts_max:
            self._times_s.clear()
            self._shunned_until_s = when_s + self._spec.unavailable_s

    def is_shunned(self, now_s: float) -> bool:
        """Tell whether it failed so often that nothing is to be started now."""
        return now_s < self._shunned_until_s

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait before the next start.

        Raises:
            McpUnavailable: it failed too often; nothing is to be started now.
        """
        spec = self._spec
        if self.is_shunned(now_s):
            why = f" The last time {self._last.problem}" if self._last else ""
            problem = (
                f"it failed {spec.restarts_max} times within {FAILURES_WINDOW_S:g} s and is left "
                f"alone: try again in {math.ceil(self._shunned_until_s - now_s)} s.{why}"
            )
            raise McpUnavailable(spec.name, problem, self._last.stderr if self._last else "")
        if not self._times_s:
            return 0.0
        pause_s = spec.backoff_s
        for _ in self._times_s[1:]:
            pause_s = min(2 * pause_s, spec.backoff_max_s)
        return max(self._times_s[-1] + pause_s - now_s, 0.0)
