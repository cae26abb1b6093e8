"""Owns the index of a log: which records touch an id. It lives in memory and is made again from the records."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import msgspec

from ..world import (
    RECORDS,
    EffectRequested,
    Envelope,
    LogFault,
    Malformed,
    Operate,
    Record,
    Row,
    Settle,
    Sleep,
    Stop,
    ids_of,
)

_ID_CHARS_MAX = 256
"""An action may name any text as an id; what is longer is the id of nothing."""


class LogIndex:
    """Sequence numbers by id.

    A record touches

    - every id that its facts name as their own,
    - the principal that acts, and the artifact that its action names,
    - with the result of an effect: the principal, the artifact and the caller of that effect.

    Attributes:
        next_seq: the first record that is not indexed yet.
    """

    __slots__ = ("_effects", "_seqs", "next_seq")

    def __init__(self) -> None:
        self.next_seq = 0
        self._seqs: dict[str, array[int]] = {}
        self._effects: dict[str, tuple[str, ...]] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Index the records from ``next_seq`` on.

        Raises:
            LogFault: a record is not of this format; those before it are indexed.
        """
        seqs = self._seqs
        for seq, _, body in rows:
            try:
                record = RECORDS.decode(body)
            except (msgspec.DecodeError, ValueError) as error:
                raise LogFault(f"record {seq} cannot be read: {error}", seq) from None
            for id in set(self._touched(record)):
                if len(id) <= _ID_CHARS_MAX:
                    known = seqs.get(id)
                    if known is None:
                        known = seqs[id] = array("Q")
                    known.append(seq)
            self.next_seq = seq + 1

    def of(self, id: str, before_seq: int, limit: int) -> list[int]:
        """Sequence numbers below ``before_seq``, newest first; at most ``limit``."""
        known = self._seqs.get(id)
        if known is None or limit <= 0:
            return []
        end = bisect_left(known, before_seq)
        return known[max(0, end - limit) : end][::-1].tolist()

    def _touched(self, record: Record) -> Iterator[str]:
        given = record.input
        if isinstance(given, Envelope):
            yield given.principal
            if not isinstance(given.action, Sleep | Stop):
                yield given.action.id
        elif isinstance(given, Malformed):
            yield given.principal
        elif isinstance(given, Operate):
            yield given.command.principal
        elif isinstance(given, Settle):
            yield from self._effects.pop(given.effect_id, ())
        for fact in record.facts:
            ids = ids_of(fact)
            yield from ids
            if isinstance(fact, EffectRequested):
                self._effects[fact.id] = ids
