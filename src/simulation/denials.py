"""Owns what was refused or failed in a run: which codes, how often, to how many, and an example of each."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import msgspec

from ..world import Failed, Record, Refused

_OF_TOOLS: Final = "TOOL_"


class DenialSummary(msgspec.Struct):
    """A code, how often it was told, and the first sentence that told it.

    Attributes:
        artifact: the tool that failed, where the code is one of tools; one entry for each of them.
    """

    code: str
    kind: str
    artifact: str
    times: int
    principals: int
    example: str
    example_principal: str
    example_seq: int


class Denials:
    """Goes along a log and sums up who was told no, and why."""

    def __init__(self) -> None:
        """Begin."""
        self._told: dict[tuple[str, str, str], DenialSummary] = {}
        self._whom: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)

    def told(self) -> list[DenialSummary]:
        """The refusals, then the failures, the most frequent first."""
        return sorted(self._told.values(), key=lambda d: (d.kind != "refused", -d.times))

    def add(self, record: Record, answer: Refused | Failed, principal: str, artifact: str) -> None:
        """Count one more."""
        kind = "refused" if isinstance(answer, Refused) else "failed"
        code = answer.code.name
        key = (code, kind, artifact if code.startswith(_OF_TOOLS) else "")
        denial = self._told.get(key)
        if denial is None:
            denial = DenialSummary(*key, 0, 0, answer.detail, principal, record.seq)
            self._told[key] = denial
        denial.times += 1
        self._whom[key].add(principal)
        denial.principals = len(self._whom[key])
