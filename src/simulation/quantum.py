"""Owns putting genesis_quantum together: the figures of its first record, the artifact, its workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from ..adapters.quantum_performer import NETWORK, Account, QuantumPerformer
from ..adapters.quantum_pool import QuantumPool
from ..genesis.quantum import ID, quantum_native
from ..genesis.quantum_limits import Coefficients, QuantumLimits
from ..genesis.quantum_submitting import NO_TERMS, DeviceTerms
from ..world import LogFault, Native
from .config import Config

QUANTUM = ID
_JOBS: Final = "quantum_jobs"


class _Figures(msgspec.Struct, frozen=True):
    limits: QuantumLimits
    coefficients: Coefficients
    terms: DeviceTerms = NO_TERMS


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
    return {ID: quantum_native(figures.limits, figures.coefficients, figures.terms)}


def performer_of(config: Config, folder: Path, pool: QuantumPool | None = None) -> QuantumPerformer:
    """What performs its effects; no worker is started yet.

    Args:
        folder: of the run, where local devices keep their jobs.
        pool: for simulations, in the place of a new one; closed with the performer.
    """
    quantum = config.genesis.quantum
    price, timeout_s = quantum.limits.compute_per_cpu_s, quantum.start_timeout_s
    own = QuantumPool(1, price, timeout_s, NETWORK)
    devices = quantum.devices
    account = Account(devices.token_env, devices.instance_env, folder / _JOBS)
    return QuantumPerformer(pool or pool_of(config), own, account)


def pool_of(config: Config) -> QuantumPool:
    """The workers that simulate; none is started yet."""
    quantum = config.genesis.quantum
    limits, timeout_s = quantum.limits, quantum.start_timeout_s
    return QuantumPool(quantum.workers, limits.compute_per_cpu_s, timeout_s)
