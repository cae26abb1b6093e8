"""Owns keeping secrets out of what a tool server says: each is struck out before anything is recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

STRUCK_OUT: Final = "[secret]"
_CHARS_MIN: Final = 6
"""Shorter ones (``1``, ``true``) are no secrets, and striking them out would garble answers."""
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|AUTH(?!OR)|CREDENTIAL", re.I)
SECRET_VALUE = re.compile(
    r"(?:sk|pk|rk|gh[opsur]|github_pat|glpat|xox[a-z]|hf|npm|AKIA|AIza|eyJ|BSA)[-_A-Za-z0-9.]{12,}"
    r"|(?=[^\s/:@]*\d)(?=[^\s/:@]*[A-Za-z])[A-Za-z0-9+=_-]{28,}"
    r"|\w+://[^/\s:@]*:[^/\s@]+@\S*"
)
"""What variables that hold a secret are called, and what the keys of well-known services look like."""
_DEPTH_MAX: Final = 200
"""Far above what a world takes of answers and schemas; what lies deeper is none's to see."""


class Secrets:
    """The values that nobody may see."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        lines = {line for value in values for line in (value, *value.splitlines())}
        long = {line for line in lines if len(line) >= _CHARS_MIN}
        long |= {msgspec.json.encode(line).decode()[1:-1] for line in long}  # as JSON in a text
        # The longest first, so that one which holds another is struck out whole.
        self._values = sorted(long, key=lambda value: (-len(value), value))

    def text(self, text: str) -> str:
        """The text without them."""
        for value in self._values:
            text = text.replace(value, STRUCK_OUT)
        return text

    def hidden(self, value: Any) -> Any:
        """A JSON value without them, wherever in it they stand."""
        return each_text(value, self.text) if self._values else value


def each_text(value: Any, told: Callable[[str], str], depth_max: int = _DEPTH_MAX) -> Any:
    """A JSON value with ``told`` of every text in it, keys included."""
    if isinstance(value, str):
        return told(value)
    if not isinstance(value, list | dict):
        return value
    if depth_max == 0:
        return None
    if isinstance(value, list):
        return [each_text(item, told, depth_max - 1) for item in value]
    return {told(key): each_text(item, told, depth_max - 1) for key, item in value.items()}


NOTHING_SECRET = Secrets()
