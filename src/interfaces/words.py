"""Owns small words: numbers, times and strangers' text as a terminal may show them. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import NamedTuple

from ..world import ConfigurationFault

_UNTIL = re.compile(r"([0-9][0-9_]*)(\.[0-9]+)?\s*(us|ms|s|m|h|steps?)\Z")
_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_FOREVER_US = 2**62
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Until(NamedTuple):
    """Where a run ends: at a world time, or after a number of records at any time."""

    world_us: int | None = None
    steps: int | None = None


def until_of(text: str | None) -> Until:
    """What ``--until`` says; None says nothing.

    Raises:
        ConfigurationFault: it is neither a time nor a number of steps.
    """
    if text is None:
        return Until()
    match = _UNTIL.match(text.strip())
    whole, fraction, unit = match.groups() if match else ("0", None, "s")
    steps = unit.startswith("step")
    amount = int(whole.replace("_", ""))
    if not steps:
        amount = (
            round((amount + float(fraction or 0)) * _US[unit]) if fraction else amount * _US[unit]
        )
    if match is None or not 1 <= amount <= _FOREVER_US or (steps and fraction):
        raise ConfigurationFault(
            "--until takes world time such as 90s, 2m or 500ms, or a number of records such as "
            f"5000steps, not {clean(text)[:40]!r}"
        )
    return Until(_FOREVER_US, amount) if steps else Until(amount)


def span(us: float) -> str:
    """A time or a duration: ``400 us``, ``12.3 ms``, ``12.3 s``, ``2 m 05 s``, ``3 h 07 m``."""
    if us < 1_000:
        return f"{us:.0f} us"
    if us < 1_000_000:
        return f"{_short(us / 1_000)} ms"
    if us < 120_000_000:
        return f"{_short(us / 1e6)} s"
    seconds = round(us / 1e6)
    if seconds < 7_200:
        return f"{seconds // 60} m {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} m"


def size(count: float) -> str:
    """An amount of bytes: ``812 B``, ``12.3 kB``, ``4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1_000 or unit == "GB":
            return f"{_short(count)} {unit}"
        count /= 1_000
    raise AssertionError(count)


def count(number: int, one: str, many: str = "") -> str:
    """``1 record``, ``1,429 records``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def clean(text: str) -> str:
    """A stranger's text without what would steer a terminal; line ends and tabs stay."""
    return _UNSAFE.sub(lambda hit: hit[0].encode("unicode_escape").decode(), text)


def one_line(text: str, chars_max: int) -> str:
    """A stranger's text on one line, cut to a length."""
    line = clean(" ".join(text[: 4 * chars_max].split()))
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def meant(name: str, known: Collection[str]) -> str:
    """``: did you mean …?`` where something known is near."""
    near = get_close_matches(name[:64], known, 1)
    return f": did you mean {near[0]}?" if near else ""


def _short(number: float) -> str:
    """At most one decimal, and none where it says nothing."""
    return f"{number:,.1f}".removesuffix(".0")
