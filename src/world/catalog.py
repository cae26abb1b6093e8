"""Owns finding artifacts: what the store lists and searches. Derived from the artifacts, never the truth.

Only public fields are indexed (id, type, owner, description), so a search cannot tell what the
caller may not read. The index is brought up to date when it is asked, which keeps it off the way
of every other action; keys are kept sorted, so an answer does not depend on when it was built.
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping

from .artifact import Artifact

_WORD = re.compile(r"[a-z0-9]+")
_SCAN_MAX = 2_000


def words(text: str) -> set[str]:
    """The words of a text: runs of letters and digits, in lower case."""
    return set(_WORD.findall(text.lower()))


class Catalog:
    """Sorted ids by key; keys are ``all``, ``owner x``, ``type x``, ``standing`` and ``word x``."""

    __slots__ = ("_artifacts", "_dirty", "_ids", "_keys")

    def __init__(self, artifacts: Mapping[str, Artifact]) -> None:
        self._artifacts = artifacts
        self._dirty: set[str] = set()
        self._keys: dict[str, tuple[str, ...]] = {}
        self._ids: dict[str, list[str]] = {}

    def changed(self, id: str) -> None:
        """Note that an artifact was made, changed or deleted."""
        self._dirty.add(id)

    def page(self, key: str, after: str, limit: int) -> list[str]:
        """At most ``limit`` ids under ``key``, in order, behind ``after``."""
        self._refresh()
        ids = self._ids.get(key, [])
        start = bisect_right(ids, after)
        return ids[start : start + limit]

    def count(self, key: str) -> int:
        """How many ids stand under ``key``."""
        self._refresh()
        return len(self._ids.get(key, ()))

    def find(self, keys: Iterable[str], after: str, limit: int) -> tuple[list[str], str | None]:
        """At most ``limit`` ids that stand under every one of ``keys``, in order, behind ``after``.

        Returns:
            The ids, and the one behind which to go on, None at the end. At most 2,000 ids of the
            rarest key are looked at, so a page can be short, or empty, and not the last.
        """
        self._refresh()
        wanted = set(keys)
        lists = sorted((self._ids.get(key, []) for key in sorted(wanted)), key=len)
        rarest = lists[0] if lists else []
        start = bisect_right(rarest, after)
        found: list[str] = []
        for at in range(start, len(rarest)):
            if len(found) == limit or at - start == _SCAN_MAX:
                return found, rarest[at - 1]
            if wanted.issubset(self._keys[rarest[at]]):
                found.append(rarest[at])
        return found, None

    def search(self, query: str, after: str, limit: int) -> tuple[list[str], str | None]:
        """As ``find``, for the artifacts that have every word of ``query``."""
        return self.find((f"word {word}" for word in words(query)), after, limit)

    def _refresh(self) -> None:
        for id in sorted(self._dirty):
            artifact = self._artifacts.get(id)
            before = self._keys.pop(id, ())
            after = () if artifact is None else _keys_of(artifact)
            for key in before:
                if key not in after:
                    ids = self._ids[key]
                    del ids[bisect_right(ids, id) - 1]
            for key in after:
                if key not in before:
                    insort(self._ids.setdefault(key, []), id)
            if after:
                self._keys[id] = after
        self._dirty.clear()


def _keys_of(artifact: Artifact) -> tuple[str, ...]:
    keys = ["all", f"owner {artifact.owner}", f"type {artifact.type}"]
    if artifact.standing:
        keys.append("standing")
    text = f"{artifact.id} {artifact.type} {artifact.description}"
    keys.extend(f"word {word}" for word in sorted(words(text)))
    return tuple(keys)
