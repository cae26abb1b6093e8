"""Owns what became of the services that agents wrote: who called them, and what they earned."""

from __future__ import annotations

import msgspec

from ..world import (
    CallBack,
    Charged,
    Envelope,
    Failed,
    Invoke,
    Record,
    Refused,
)
from .payments import Payments

_CODE = "code"


class ServiceSummary(msgspec.Struct):
    """An artifact of the type ``code`` that was called.

    Attributes:
        calls: by principals, admitted or not. calls_by_code: by other code, or itself.
        refused, failed: of the calls by principals.
        scrip: what was paid for calls. compute: what calls by principals used until they ended or
            waited, all that they called in turn included.
    """

    artifact: str
    owner: str = ""
    calls: int = 0
    calls_by_code: int = 0
    refused: int = 0
    failed: int = 0
    scrip: int = 0
    compute: int = 0


class Services:
    """Goes along a log and sums up the calls."""

    def __init__(self, payments: Payments) -> None:
        """Begin. ``payments`` goes along the same log, behind this one."""
        self._told: dict[str, ServiceSummary] = {}
        self._payments = payments

    def told(self) -> list[ServiceSummary]:
        """What earned most, and was called most, first."""
        for id, service in self._told.items():
            service.owner = self._payments.owner(id)
        return sorted(self._told.values(), key=lambda s: (-s.scrip, -s.calls, s.artifact))

    def add(self, record: Record) -> None:
        """Count the calls of one more record."""
        given = record.input
        if isinstance(given, Envelope) and (told := self._of(given.action)) is not None:
            told.calls += 1
            told.refused += isinstance(record.answer, Refused)
            told.failed += isinstance(record.answer, Failed)
            told.compute += sum(f.amount for f in record.facts if isinstance(f, Charged))
        for outcome in record.outcomes:
            if isinstance(outcome, CallBack) and (told := self._of(outcome.action)) is not None:
                told.calls_by_code += 1

    def paid(self, artifact: str, amount: int) -> None:
        """Note what was paid for a call."""
        if artifact in self._told:
            self._told[artifact].scrip += amount

    def _of(self, action: object) -> ServiceSummary | None:
        if not isinstance(action, Invoke):
            return None
        artifact = self._payments.artifacts.get(action.id)
        if artifact is None or artifact.type != _CODE:
            return None
        return self._told.setdefault(action.id, ServiceSummary(action.id))
