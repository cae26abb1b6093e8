"""What a request to a tool server came to: its answer or its error, and what it used.

Owns the values and the errors that leave the MCP client. It must not know how they come about.
"""

from typing import Any, Final, Self

import msgspec

from ..world import Fault
from .jsonrpc import ErrorResponse

_STDERR_LINES_SHOWN: Final = 5
_STDERR_CHARS_SHOWN: Final = 600
_PROBLEM_CHARS_SHOWN: Final = 1_000


class Usage(msgspec.Struct, frozen=True):
    """What a request used, however it ended.

    `bytes_out` and `bytes_in` are the sizes of its lines on the wire; an answer that never came
    has none. `cpu_us` is its share of the CPU time of the server's processes, `memory_peak_bytes`
    an upper bound of what these had at one time (`process_usage` says how both are counted; they
    are 0 where that can't be known). `wall_us` is the time from the request to its outcome.
    """

    bytes_out: int = 0
    bytes_in: int = 0
    cpu_us: int = 0
    memory_peak_bytes: int = 0
    wall_us: int = 0

    def __add__(self, later: Self) -> "Usage":
        """Return the usage of both: sums, and the greater of the peaks."""
        return Usage(
            self.bytes_out + later.bytes_out,
            self.bytes_in + later.bytes_in,
            self.cpu_us + later.cpu_us,
            max(self.memory_peak_bytes, later.memory_peak_bytes),
            self.wall_us + later.wall_us,
        )

    def as_dict(self) -> dict[str, int]:
        """Return the amounts by their names."""
        return msgspec.structs.asdict(self)


NOTHING_USED: Final = Usage()


class McpAnswer(msgspec.Struct, frozen=True):
    """What the server answered, as it sent it, and what that used."""

    result: Any
    usage: Usage

    @property
    def bytes_out(self) -> int:
        """The size of what was sent."""
        return self.usage.bytes_out

    @property
    def bytes_in(self) -> int:
        """The size of what was answered."""
        return self.usage.bytes_in


class McpError(Fault):
    """A request to a tool server that brought no result.

    `server` is its name, `problem` the reason, `stderr` the server's last words (at most about
    4 KB), `usage` what the failed request used. As text it is one printable line of at most about
    1,600 characters, whatever the server said.
    """

    def __init__(
        self, server: str, problem: str, stderr: str = "", usage: Usage = NOTHING_USED
    ) -> None:
        problem = _printable(problem[:_PROBLEM_CHARS_SHOWN])
        super().__init__(server, problem)
        self.server = server
        self.problem = problem
        self.stderr = stderr
        self.usage = usage

    def __str__(self) -> str:
        lines = [line.rstrip() for line in self.stderr.splitlines() if line.strip()]
        words = " | ".join(lines[-_STDERR_LINES_SHOWN:])[-_STDERR_CHARS_SHOWN:]
        shown = f" Its last words: {_printable(words)}" if words else ""
        return f"{self.server}: {self.problem}{shown}"

    @property
    def bytes_out(self) -> int:
        """The size of what was sent."""
        return self.usage.bytes_out

    @property
    def bytes_in(self) -> int:
        """The size of what was answered."""
        return self.usage.bytes_in

    def again(self, usage: Usage) -> "McpError":
        """Return another of its kind: one fault ends many requests, and each raises its own."""
        return type(self)(self.server, self.problem, self.stderr, usage)


class McpUnavailable(McpError):
    """Nothing was asked: the runtime is missing, the server didn't start, or we had closed it."""


class McpTimeout(McpError):
    """No answer came in time. The request was cancelled; the session goes on."""


class McpCrashed(McpError):
    """The server ended or closed a stream before it answered; what it did is unknown."""


class McpProtocolError(McpError):
    """The server's answer breaks the protocol, or wants what is refused. The session goes on."""


class McpTooLarge(McpError):
    """The answer is over the bound for one line and was dropped unread. The session goes on."""


class McpCallError(McpError):
    """The server answered with a JSON-RPC error: its `code`, `message` and optional `data`."""

    def __init__(self, server: str, answer: ErrorResponse, usage: Usage) -> None:
        problem = f"it answered with error {answer.code}: {answer.message}"
        super().__init__(server, problem, "", usage)
        self.code = answer.code
        self.message = answer.message
        self.data = answer.data


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
