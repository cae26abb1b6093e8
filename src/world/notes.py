"""Owns what genesis artifacts noted: values by key, a drawer for each. Knows nothing of what they mean."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Any

from .facts import Noted


class Notes:
    """The drawers by artifact; the keys of each are also kept in order."""

    __slots__ = ("_keys", "by_artifact")

    def __init__(self) -> None:
        self.by_artifact: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, list[str]] = {}

    def get(self, artifact: str, key: str) -> Any:
        """What is noted under a key, as it is kept; None for nothing."""
        return self.by_artifact.get(artifact, {}).get(key)

    def page(self, artifact: str, prefix: str, after: str, limit: int) -> list[str]:
        """At most ``limit`` keys that begin with ``prefix``, in order, behind ``after``."""
        keys = self._keys.get(artifact, [])
        start = max(bisect_left(keys, prefix), bisect_right(keys, after))
        found = keys[start : start + limit]
        return [key for key in found if key.startswith(prefix)]

    def noted(self, fact: Noted) -> Any:
        """Apply. Returns what stood before."""
        return self._put(fact.artifact, fact.key, fact.value)

    def unnoted(self, fact: Noted, before: Any) -> None:
        """Undo."""
        self._put(fact.artifact, fact.key, before)

    def _put(self, artifact: str, key: str, value: Any) -> Any:
        drawer = self.by_artifact.setdefault(artifact, {})
        keys = self._keys.setdefault(artifact, [])
        before = drawer.get(key)
        if value is None:
            if before is not None:
                del drawer[key]
                del keys[bisect_left(keys, key)]
        else:
            if before is None:
                insort(keys, key)
            drawer[key] = value
        if not drawer:
            del self.by_artifact[artifact], self._keys[artifact]
        return before
