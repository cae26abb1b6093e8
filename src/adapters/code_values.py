"""Owns what may leave an interpreter: plain JSON values of bounded size, as copies.

It must not know whose values they are. They come from code that may be hostile: a list can hold
one long text a thousand times, so that it is small in the worker and huge to whoever walks it.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
_NODE_BYTES: Final = 8


class Unfit(Exception):
    """It is not a JSON value; ``kind`` is the error that Python code would expect."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Oversize(Exception):
    """It is a value, but with it the call gives out more than it may."""


class Outlet:
    """Gives out the values of one call, as copies made of None, bool, int, float, str, list, dict.

    Takes time in proportion to ``bytes_max`` at most, for all values together.
    """

    __slots__ = ("_depth_max", "_left")

    def __init__(self, bytes_max: int, depth_max: int) -> None:
        """Bound all values together by about ``bytes_max`` bytes of JSON, each by its depth."""
        self._left = bytes_max
        self._depth_max = depth_max

    def give(self, value: Any) -> Any:
        """Return a copy; tuples become lists.

        Integers have 64 bits, floats are finite, names in objects are text.

        Raises:
            Unfit: there is no such copy.
            Oversize: with this value it is more than ``bytes_max``.
        """
        return self._copy(value, 0)

    def _copy(self, value: Any, depth: int) -> Any:
        kind = type(value)
        self._take(_NODE_BYTES)
        if value is None or kind is bool:
            return value
        if kind is str:
            return self._text(value)
        if kind is int:
            if not INT_MIN <= value <= INT_MAX:
                raise Unfit("OverflowError", "an integer has at most 64 bits")
            return value
        if kind is float:
            if not isfinite(value):
                raise Unfit("ValueError", "a number is finite")
            return value
        if kind not in (list, tuple, dict):
            raise Unfit("TypeError", f"{kind.__name__[:40]} is not JSON")
        if depth == self._depth_max:
            raise Unfit("ValueError", f"it is nested more than {self._depth_max} deep")
        if kind is not dict:
            return [self._copy(item, depth + 1) for item in value]
        copied = {}
        for key, item in value.items():
            if type(key) is not str:
                raise Unfit("TypeError", "the names in an object are text")
            copied[self._text(key)] = self._copy(item, depth + 1)
        return copied

    def _text(self, text: str) -> str:
        self._take(len(text))
        try:
            self._take(len(text.encode()) - len(text))
        except UnicodeEncodeError:
            raise Unfit("ValueError", "its text holds a lone surrogate") from None
        return text

    def _take(self, bytes: int) -> None:
        self._left -= bytes
        if self._left < 0:
            raise Oversize
