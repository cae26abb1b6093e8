"""Owns keeping secrets out of what a tool server says: each is struck out before anything is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ..world import EffectResult

STRUCK_OUT: Final = "[secret]"
_CHARS_MIN: Final = 6
"""Shorter ones (``1``, ``true``) are no secrets, and striking them out would garble answers."""


class Secrets:
    """The values that nobody may see."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        # The longest first, so that one which holds another is struck out whole.
        long = {value for value in values if len(value) >= _CHARS_MIN}
        self._values = sorted(long, key=lambda value: (-len(value), value))

    def hide(self, result: EffectResult) -> EffectResult:
        """The result of an effect without them."""
        if not self._values:
            return result
        return msgspec.structs.replace(
            result, value=self._hidden(result.value), detail=self.text(result.detail)
        )

    def text(self, text: str) -> str:
        """The text without them."""
        for value in self._values:
            text = text.replace(value, STRUCK_OUT)
        return text

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._hidden(item) for item in value]
        if isinstance(value, dict):
            return {self.text(str(key)): self._hidden(item) for key, item in value.items()}
        return value


NOTHING_SECRET = Secrets()
