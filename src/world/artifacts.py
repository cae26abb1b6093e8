"""Owns artifacts: their fields, their one namespace, and the tombstones of deleted ids."""

from __future__ import annotations

from typing import Any

import msgspec

from .artifact import Artifact
from .catalog import Catalog
from .facts import (
    ArtifactDeleted,
    ArtifactWritten,
    ContentReplaced,
    Encumbered,
    InterfaceDiscovered,
    OwnershipTransferred,
)


def no_room(who: str, size: int, left: int) -> str:
    """The sentence that a principal cannot store so many bytes."""
    return (
        f"it takes {size} stored_bytes and {who} has {max(left, 0)}: delete something first, "
        "or transfer it some quota"
    )


class Artifacts:
    """All artifacts by id."""

    __slots__ = ("by_id", "catalog", "gone")

    def __init__(self) -> None:
        self.by_id: dict[str, Artifact] = {}
        self.gone: set[str] = set()
        self.catalog = Catalog(self.by_id)

    def principal_of(self, id: str) -> str:
        """Who owns what an artifact makes and holds the bytes that it writes: itself, or its owner."""
        artifact = self.by_id[id]
        return id if artifact.standing else artifact.owner

    def written(self, fact: ArtifactWritten, seq: int) -> Artifact | None:
        """Apply. Returns what stood before."""
        before = self.by_id.get(fact.id)
        self.by_id[fact.id] = Artifact(
            fact.id,
            fact.owner,
            fact.type,
            fact.description,
            fact.content,
            fact.contract,
            fact.interface,
            fact.standing,
            fact.loop,
            fact.stored_for,
            fact.stored_bytes,
            seq,
        )
        self.catalog.changed(fact.id)
        return before

    def restored(self, fact: ArtifactWritten, before: Artifact | None) -> None:
        """Undo."""
        if before is None:
            del self.by_id[fact.id]
        else:
            self.by_id[fact.id] = before
        self.catalog.changed(fact.id)

    def replaced(self, fact: ContentReplaced, seq: int) -> Artifact:
        """Apply. Returns what stood before."""
        return self._change(
            fact.id,
            content=fact.content,
            stored_for=fact.stored_for,
            stored_bytes=fact.stored_bytes,
            changed_seq=seq,
        )

    def transferred(self, fact: OwnershipTransferred, seq: int) -> Artifact:
        """Apply. Returns what stood before."""
        return self._change(fact.id, owner=fact.owner, stored_for=fact.stored_for, changed_seq=seq)

    def discovered(self, fact: InterfaceDiscovered, seq: int) -> Artifact:
        """Apply. Returns what stood before."""
        return self._change(fact.id, interface=fact.interface, changed_seq=seq)

    def encumbered(self, fact: Encumbered) -> Artifact:
        """Apply. Returns what stood before."""
        return self._change(fact.id, encumbered_by=fact.by)

    def deleted(self, fact: ArtifactDeleted) -> Artifact:
        """Apply: the id is never used again. Returns what stood before."""
        before = self.by_id.pop(fact.id)
        self.gone.add(fact.id)
        self.catalog.changed(fact.id)
        return before

    def undeleted(self, fact: ArtifactDeleted, before: Artifact) -> None:
        """Undo."""
        self.gone.remove(fact.id)
        self.put_back(fact, before)

    def put_back(
        self,
        fact: ContentReplaced
        | OwnershipTransferred
        | InterfaceDiscovered
        | Encumbered
        | ArtifactDeleted,
        before: Artifact,
    ) -> None:
        """Undo a change of an artifact."""
        self.by_id[before.id] = before
        self.catalog.changed(before.id)

    def _change(self, id: str, **fields: Any) -> Artifact:
        before = self.by_id[id]
        self.by_id[id] = msgspec.structs.replace(before, **fields)
        self.catalog.changed(id)
        return before
