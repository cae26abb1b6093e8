"""Owns what became of things that several take from, as artifacts of type ``commons`` tell it.

Agents write these artifacts. What cannot be read as JSON with a round and a stock is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from ..world import ArtifactWritten, BlobRef, ContentReplaced, Record
from .inequality import gini
from .payments import Payments

COMMONS: Final = "commons"
_ROUNDS_MAX: Final = 1_000
_Count = Annotated[int, msgspec.Meta(ge=0)]


class CommonsSummary(msgspec.Struct):
    """Something that several take from.

    Attributes:
        owner: whose state it is. rule: the contract of that.
        rounds: the last of which was told. collapsed: the round in which it did; 0 if it did not.
        left: what was left after each round from the first told; None where nothing was told.
        taken: by whom how much, the most first. gini: how unequal that is.
    """

    artifact: str
    owner: str
    rule: str
    rounds: int
    collapsed: int
    left: list[int | None]
    taken: dict[str, int]
    gini: float


class _Told(msgspec.Struct):
    """What such an artifact holds."""

    round: Annotated[int, msgspec.Meta(ge=0, le=_ROUNDS_MAX)]
    stock: _Count
    collapsed: _Count = 0
    caught: dict[str, _Count] = {}


class Commons:
    """Goes along a log; keeps of each such artifact what it told last, and its stock by round."""

    def __init__(self, payments: Payments, blob: Callable[[bytes], bytes] | None) -> None:
        """Begin. ``payments`` goes along the same log; ``blob`` gives large content by its hash."""
        self._payments = payments
        self._blob = blob
        self._last: dict[str, _Told] = {}
        self._left: dict[str, dict[int, int]] = {}

    def add(self, record: Record) -> None:
        """Look at one more record."""
        for fact in record.facts:
            if isinstance(fact, ArtifactWritten | ContentReplaced):
                artifact = self._payments.artifacts.get(fact.id)
                if artifact is not None and artifact.type == COMMONS:
                    self._note(fact.id, fact.content)

    def told(self) -> list[CommonsSummary]:
        """All of them, in order of id."""
        return [self._summary(id, last) for id, last in sorted(self._last.items())]

    def _note(self, id: str, content: str | BlobRef) -> None:
        if isinstance(content, BlobRef):
            if self._blob is None:
                return
            content = msgspec.msgpack.decode(self._blob(content.digest), type=str)
        try:
            told = msgspec.json.decode(content, type=_Told)
        except (msgspec.DecodeError, RecursionError):
            return
        self._last[id] = told
        self._left.setdefault(id, {})[told.round] = told.stock

    def _summary(self, id: str, last: _Told) -> CommonsSummary:
        owner, left = self._payments.owner(id), self._left[id]
        whole = self._payments.artifacts.get(owner)
        taken = sorted(last.caught.items(), key=lambda pair: (-pair[1], pair[0]))
        return CommonsSummary(
            artifact=id,
            owner=owner,
            rule="" if whole is None else whole.contract.id,
            rounds=last.round,
            collapsed=last.collapsed,
            left=[left.get(at) for at in range(min(left), max(left) + 1)],
            taken=dict(taken),
            gini=round(gini(last.caught.values()), 6),
        )
