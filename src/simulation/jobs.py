"""Owns what quantum jobs came to, by principal: how many, how wide, and their price against the estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..genesis.quantum import ID
from ..world import BlobRef, Done, EffectRequested, EffectResult, Invoke

_RUN = "run"
_RUNNING = ("run", "expect")


class JobSummary(msgspec.Struct):
    """The jobs of a principal that came to an end.

    Attributes:
        repeated: of the jobs, those that were answered from the record.
        qubits_max: of the widest circuit that ran. shots: over all circuits and points.
        cpu_us, compute: what they used. estimated_us, estimated_compute: what was expected of those
            that ran. held_compute: what was held for all of them.
    """

    principal: str
    jobs: int = 0
    failed: int = 0
    repeated: int = 0
    qubits_max: int = 0
    shots: int = 0
    cpu_us: int = 0
    estimated_us: int = 0
    compute: int = 0
    estimated_compute: int = 0
    held_compute: int = 0


class Jobs:
    """Goes along a log and sums up the jobs.

    Attributes:
        told: by principal, in the order in which they began.
    """

    def __init__(self, blob: Callable[[bytes], bytes] | None) -> None:
        """Begin. ``blob`` gives large content by its hash; without it nothing is told."""
        self.told: dict[str, JobSummary] = {}
        self._blob = blob
        self._open: dict[str, dict[str, Any]] = {}

    def asked(self, fact: EffectRequested) -> None:
        """Note a request, if it is a job."""
        if fact.performer != ID or self._blob is None:
            return
        payload = self._value(fact.payload)
        if payload["job"] == _RUN:
            self._of(fact.principal)
            self._open[fact.id] = payload

    def answered(self, principal: str, action: object, answer: object) -> None:
        """Note what an action was answered at once, if that was a job's answer from the record."""
        if self._blob is None or not (isinstance(action, Invoke) and isinstance(answer, Done)):
            return
        if action.id != ID or action.method not in _RUNNING:
            return
        result = self._value(answer.result)
        told = self._of(principal)
        told.jobs += 1
        told.repeated += 1
        told.shots += result["shots"] * len(result["results"])
        told.compute += result["used"]["compute"]

    def settled(self, effect: EffectRequested, result: EffectResult) -> None:
        """Note what became of a request."""
        asked = self._open.pop(effect.id, None)
        if asked is None:
            return
        told, work, kept = self.told[effect.principal], asked["payload"], asked["kept"]
        circuits, usage = work["circuits"], result.usage
        told.jobs += 1
        told.failed += result.code is not None
        told.qubits_max = max(told.qubits_max, *(circuit["qubits"] for circuit in circuits))
        told.shots += work["shots"] * len(circuits) * max(len(work["points"]), 1)
        told.cpu_us += usage.get("cpu_us", 0)
        told.compute += usage.get("compute", 0)
        told.held_compute += asked["hold"]["compute"]
        if usage.get("cpu_us", 0) > 0:
            told.estimated_us += round(kept["estimate"]["cpu_s"] * 1e6)
            told.estimated_compute += kept["estimate"]["compute"]

    def _of(self, principal: str) -> JobSummary:
        return self.told.setdefault(principal, JobSummary(principal))

    def _value(self, kept: Any) -> Any:
        """Content, also where it is kept by its hash."""
        if not isinstance(kept, BlobRef):
            return kept
        assert self._blob is not None
        return msgspec.msgpack.decode(self._blob(kept.digest))


def all_jobs(told: Iterable[JobSummary]) -> JobSummary:
    """The sum over principals."""
    total = JobSummary("all")
    for one in told:
        for name in JobSummary.__struct_fields__[1:]:
            was, more = getattr(total, name), getattr(one, name)
            setattr(total, name, max(was, more) if name == "qubits_max" else was + more)
    return total
