"""Owns what quantum jobs came to, by principal: how many, how wide, and their price against the estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..genesis.quantum import ID
from ..world import BlobRef, EffectRequested, EffectResult

_RUN = "run"


class JobSummary(msgspec.Struct):
    """The jobs of a principal that came to an end.

    Attributes:
        repeated: of the jobs, those that were answered without running again.
        qubits_max: of its widest circuit. shots: over all circuits and points.
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
        payload: Any = fact.payload
        if isinstance(payload, BlobRef):
            payload = msgspec.msgpack.decode(self._blob(payload.digest))
        if payload["job"] == _RUN:
            self.told.setdefault(fact.principal, JobSummary(fact.principal))
            self._open[fact.id] = payload

    def settled(self, effect: EffectRequested, result: EffectResult) -> None:
        """Note what became of a request."""
        asked = self._open.pop(effect.id, None)
        if asked is None:
            return
        told, work, kept = self.told[effect.principal], asked["payload"], asked["kept"]
        circuits, usage = work["circuits"], result.usage
        has_run = usage.get("cpu_us", 0) > 0
        told.jobs += 1
        told.failed += result.code is not None
        told.repeated += result.code is None and not has_run
        told.qubits_max = max(told.qubits_max, *(circuit["qubits"] for circuit in circuits))
        told.shots += work["shots"] * len(circuits) * max(len(work["points"]), 1)
        told.cpu_us += usage.get("cpu_us", 0)
        told.compute += usage.get("compute", 0)
        told.held_compute += asked["hold"]["compute"]
        if has_run:
            told.estimated_us += round(kept["estimate"]["cpu_s"] * 1e6)
            told.estimated_compute += kept["estimate"]["compute"]


def all_jobs(told: Iterable[JobSummary]) -> JobSummary:
    """The sum over principals."""
    total = JobSummary("all")
    for one in told:
        for name in JobSummary.__struct_fields__[1:]:
            was, more = getattr(total, name), getattr(one, name)
            setattr(total, name, max(was, more) if name == "qubits_max" else was + more)
    return total
