"""Owns finding artifacts: what the store lists and searches. Derived from the artifacts, never the truth.

Only public fields are indexed (id, type, owner, description), so a search cannot tell what the
caller may not read. The index is brought up to date when it is asked, which keeps it off the way
of every other action; keys are kept sorted, so an answer does not depend on when it was built.
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Mapping

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

    def search(self, query: str, after: str, limit: int) -> list[str]:
        """Ids of artifacts that have every word of ``query``, in order, behind ``after``.

        At most 2,000 artifacts of the rarest word are looked at.
        """
        self._refresh()
        lists = sorted((self._ids.get(f"word {w}", []) for w in sorted(words(query))), key=len)
        if not lists:
            return []
        wanted = {f"word {w}" for w in words(query)}
        start = bisect_right(lists[0], after)
        found = []
        for id in lists[0][start : start + _SCAN_MAX]:
            if wanted.issubset(self._keys[id]):
                found.append(id)
                if len(found) == limit:
                    break
        return found

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
