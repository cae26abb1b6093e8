"""Owns what an end of agent-written code is called: an error of its own, or a bound that it broke.

It must not know sessions or workers. The sentences go to agents: they name the bound with what was
used, and never a place on the host.
"""

from __future__ import annotations

import re
from typing import Final

from pydantic_monty import MontyCrashedError, MontyError, MontyRuntimeError, MontySyntaxError

from ..world import Abort, Code, Raise
from .code_limits import CodeLimits

_TEXT_CHARS_MAX: Final = 600
_EXCEEDED: Final = re.compile(r"limit exceeded: ([\d.]+) ?(\w+) > ([\d.]+) ?(\w+)")
_UNSUPPORTED: Final = re.compile(r"The monty syntax parser does not yet support (.+)", re.DOTALL)
_CODES: Final = frozenset(Code.__members__)


def fault_of_text(code: str, limits: CodeLimits) -> str | None:
    """Return why a text is no code whatever it says, or None."""
    try:
        size = len(code.encode())
    except UnicodeEncodeError:
        return "code is text without lone surrogates"
    if size > limits.code_bytes_max:
        most = limits.code_bytes_max
        return f"code has at most {most} bytes, not {size}: split it over several artifacts"
    return None


def is_out_of_time(error: MontyError) -> bool:
    """Whether the interpreter itself stopped the code because its time was over."""
    kind, text = _kind_and_text(error)
    return kind == "TimeoutError" and _EXCEEDED.search(text) is not None


def is_stuck(error: MontyError) -> bool:
    """Whether the code was killed because it did not look at the clock."""
    return isinstance(error, MontyCrashedError) and error.timed_out


def fault_of_syntax(error: MontyError, lines_before: int) -> str:
    """Return the sentence for code that cannot be read, with its line."""
    _, text = _kind_and_text(error)
    unsupported = _UNSUPPORTED.match(text)
    if unsupported:
        text = f"code here cannot use {unsupported[1]}"
    frames = [] if isinstance(error, MontyCrashedError) else _lines(error)
    line = f"line {max(1, frames[-1] - lines_before)}: " if frames else ""
    return f"{line}{text}"[:_TEXT_CHARS_MAX]


def ended(error: MontyError, limits: CodeLimits, lines: int) -> Raise | Abort:
    """Return how code ended that has ``lines`` lines: by its own error, or by a bound."""
    if isinstance(error, MontyCrashedError):
        if is_stuck(error):
            return out_of_time(limits, "and could not be stopped in between")
        return Abort("its interpreter ended in the middle of the call: try it again")
    kind, text = _kind_and_text(error)
    exceeded = _EXCEEDED.search(text)
    if kind == "TimeoutError" and exceeded:
        return out_of_time(limits, f"and ran for {exceeded[1]} {exceeded[2]}")
    if kind == "MemoryError":
        return _out_of_memory(exceeded, limits)
    if kind == "RecursionError":
        most = limits.recursion_max
        return Abort(f"its calls stand at most {most} deep inside each other, and it went deeper")
    frames = [line for line in _lines(error) if line <= lines]
    where = f"line {frames[-1]}: " if frames else ""
    name, colon, _ = text.partition(": ")
    told = text if kind == "PermissionError" and colon and name in _CODES else f"{kind}: {text}"
    return Raise(f"{where}{told}"[:_TEXT_CHARS_MAX].removesuffix(": "))


def out_of_time(limits: CodeLimits, how: str) -> Abort:
    """Return the end of code that used up its time; ``how`` says what it used."""
    allowed = f"{limits.time_us / 1e3:g} ms"
    return Abort(f"a call has {allowed} of time, {how}: do less, or spread it over several calls")


def out_of_time_together(limits: CodeLimits) -> Abort:
    """Return the end of each of the calls inside each other that used up their time."""
    allowed = f"{limits.time_us / 1e3:g} ms"
    return Abort(
        f"calls inside each other have {allowed} of time together, and took it: "
        "do less, or spread it over several actions"
    )


def out_of_output(limits: CodeLimits, what: str) -> Abort:
    """Return the end of code that gave out too much; ``what`` begins the sentence."""
    return Abort(f"{what} more than the {limits.output_bytes_max} bytes that a call may give out")


def _out_of_memory(exceeded: re.Match[str] | None, limits: CodeLimits) -> Abort:
    if exceeded and exceeded[3] == str(limits.output_bytes_max):
        return out_of_output(limits, f"it printed {exceeded[1]} bytes,")
    used = f"asked for {exceeded[1]}" if exceeded else "needed more"
    most = limits.memory_bytes_max
    return Abort(f"code has {most} bytes of memory, and it {used}: keep less at one time")


def _kind_and_text(error: MontyError) -> tuple[str, str]:
    if isinstance(error, MontyRuntimeError | MontySyntaxError):
        # Bounded before any pattern meets it: it may be megabytes of somebody's choice.
        kind, _, text = error.display("type-msg")[:_TEXT_CHARS_MAX].partition(": ")
        return kind, text
    return type(error).__name__, str(error)[:_TEXT_CHARS_MAX]


def _lines(error: MontyError) -> list[int]:
    """The lines of the frames of an error, the innermost last."""
    if isinstance(error, MontyRuntimeError | MontySyntaxError):
        return [frame.line for frame in error.traceback() if frame.filename != "<string>"]
    return []
