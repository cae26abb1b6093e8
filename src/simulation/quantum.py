"""Owns putting genesis_quantum together: the figures of its first record, the artifact, its workers."""

from __future__ import annotations

from typing import Any

import msgspec

from ..adapters.quantum_pool import QuantumPool
from ..genesis.quantum import ID, quantum_native
from ..genesis.quantum_limits import Coefficients, QuantumLimits
from ..world import LogFault, Native
from .config import Config

QUANTUM = ID


class _Figures(msgspec.Struct, frozen=True):
    limits: QuantumLimits
    coefficients: Coefficients


def figures_of(config: Config) -> dict[str, Any]:
    """What a run's first record keeps of it, by artifact; nothing where it is not enabled."""
    quantum = config.genesis.quantum
    if not quantum.enabled:
        return {}
    return {ID: msgspec.to_builtins(_Figures(*quantum.parts()))}


def quantum_from(natives: dict[str, Any]) -> dict[str, Native]:
    """The artifact, as the figures of a first record make it; nothing where there are none.

    Raises:
        LogFault: they are none.
    """
    if ID not in natives:
        return {}
    try:
        figures = msgspec.convert(natives[ID], _Figures, strict=False)
    except msgspec.ValidationError as error:
        raise LogFault(f"record 0 holds no figures of {ID}: {error}", 0) from None
    return {ID: quantum_native(figures.limits, figures.coefficients)}


def pool_of(config: Config) -> QuantumPool:
    """What performs its effects; no worker is started yet."""
    quantum = config.genesis.quantum
    return QuantumPool(
        quantum.workers,
        quantum.limits.compute_per_cpu_s,
        quantum.start_timeout_s,
        quantum.repeat_compute,
        quantum.answers_bytes_max,
    )
