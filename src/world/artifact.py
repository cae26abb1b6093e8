"""Owns what an artifact is: its fields and the one grammar of ids."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from .actions import Contract, Tool

ID_GRAMMAR = "a lower-case letter, then lower-case letters, digits, '_', '-' or '.'"
_ID = re.compile(r"[a-z][a-z0-9_.-]*\Z")


def is_id(text: str, chars_max: int) -> bool:
    """Whether ``text`` is an id by the one grammar."""
    return len(text) <= chars_max and _ID.match(text) is not None


class Artifact(msgspec.Struct, frozen=True, array_like=True):
    """An artifact as it stands; every change makes a new one.

    Attributes:
        content: text, or the hash of a large one.
        standing: a principal: it can hold scrip and quotas. loop: an agent.
        stored_for: the principal whose quota holds ``stored_bytes``.
        encumbered_by: the genesis artifact that alone may change it or its owner; empty for none.
    """

    id: str
    owner: str
    type: str
    description: str
    content: Any
    contract: Contract
    interface: tuple[Tool, ...]
    standing: bool
    loop: bool
    stored_for: str
    stored_bytes: int
    changed_seq: int
    encumbered_by: str = ""

    @property
    def can_execute(self) -> bool:
        """Whether it has methods."""
        return self.type in ("code", "genesis")


def bound(artifact: Artifact) -> str:
    """The sentence that an artifact is encumbered."""
    return f"{artifact.id} is bound by {artifact.encumbered_by}: what was agreed there ends first"
