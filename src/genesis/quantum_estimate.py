"""Owns what a job costs before it runs: CPU seconds and bytes from a circuit's features alone.

The formulas were fitted to measured jobs; their coefficients belong to a machine. Every term of a
formula is named, so that whoever is refused sees why. It must not know quotas or who asks.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from .quantum_features import Features
from .quantum_limits import MEBIBYTE, Coefficients

Method = Literal["statevector", "stabilizer", "density_matrix", "matrix_product_state"]
Noisy = Literal["no", "readout", "gates"]
METHODS: Final = ("statevector", "stabilizer", "density_matrix", "matrix_product_state")
FUSED_FROM: Final = 15
"""From this width on the simulator fuses gates."""
BASE_BYTES: Final = 6 * MEBIBYTE
SHOT_BYTES: Final = 115
WIDTH_MAX: Final = 200
"""Beyond it every exponential is as good as infinite."""


class Work(msgspec.Struct, frozen=True):
    """How a circuit is to be run, as far as it decides the cost.

    Attributes:
        points: of a sweep; 1 without. bond: the cap χ, for a matrix product state.
        noisy: what is under a noise model. device_errors: those that are made after a device.
        pauli_terms: of all observables.
        snapshot_passes: how often snapshots go through the whole state, about.
        amplitudes: numbers that the answer lists, of one point. place: in its batch, from 0.
    """

    shots: int
    points: int = 1
    bond: int = 32
    noisy: Noisy = "no"
    device_errors: int = 0
    pauli_terms: int = 0
    amplitudes: int = 0
    place: int = 0
    snapshot_passes: int = 0


class Estimate(msgspec.Struct, frozen=True):
    """What a job costs: seconds in all, bytes at a time, and the terms that the seconds are made of."""

    method: str
    seconds: float
    memory_bytes: int
    terms: dict[str, float]


def estimate(features: Features, method: str, work: Work, c: Coefficients) -> Estimate:
    """CPU seconds and memory of one circuit by one method; `method` is one of `METHODS`."""
    n = min(features.width, WIDTH_MAX)
    per_shot = features.per_shot or (work.noisy == "gates" and method != "density_matrix")
    if method == "statevector":
        once = _per_shot(features, n, work, c) if per_shot else _statevector(features, n, work, c)
        memory = 16.0 * 2.0**n
    elif method == "stabilizer":
        once = _stabilizer(features, n, work, c, per_shot)
        memory = 16.0 * n * n
    elif method == "density_matrix":
        once = _density(features, n, work, c, per_shot)
        memory = 16.0 * 4.0**n
    else:
        once, memory = _product(features, n, work, c, per_shot)
    once["observables"] = c.pauli_term * work.pauli_terms * _amplitudes(method, n, work.bond)
    amplitudes = _amplitudes(method, n, work.bond)
    each = c.ps_shot_gate_noisy + c.ps_measure * amplitudes
    pass_ = work.shots * each if per_shot else c.pauli_term * amplitudes
    once["snapshots"] = work.snapshot_passes * pass_
    once["answer"] = c.answer_amplitude * work.amplitudes
    terms = {name: seconds * work.points for name, seconds in once.items()}
    terms["base"] = once["base"] if work.place == 0 else c.batch
    if work.noisy != "no" and work.place == 0:
        terms["noise"] = c.noise_base + c.noise_error * work.device_errors
    terms["bindings"] = c.binding * (work.points - 1)
    terms = {name: seconds for name, seconds in terms.items() if seconds}
    bytes_ = BASE_BYTES + memory + SHOT_BYTES * work.shots * work.points
    return Estimate(method, sum(terms.values()), int(min(bytes_, 2.0**62)), terms)


def _amplitudes(method: str, n: int, bond: int) -> float:
    """How many numbers a term of an observable goes through, about."""
    if method == "matrix_product_state":
        return 10.0 * n * bond**2
    if method == "stabilizer":
        return 10.0 * n * n
    return 4.0**n if method == "density_matrix" else 2.0**n


def _statevector(f: Features, n: int, w: Work, c: Coefficients) -> dict[str, float]:
    if n < FUSED_FROM:
        one, many, diagonal = c.sv_small_one, c.sv_small_one, c.sv_small_diagonal
    else:
        one, many, diagonal = c.sv_one, c.sv_many, c.sv_diagonal
    each = one * f.one + many * f.many + diagonal * f.diagonal + c.sv_amplitude
    return {
        "base": c.sv_base,
        "operations": c.sv_gate * (f.gates + f.measures),
        "shots": w.shots * (c.sv_shot + c.sv_shot_qubit * n),
        "amplitudes": 2.0**n * each,
    }


def _per_shot(f: Features, n: int, w: Work, c: Coefficients) -> dict[str, float]:
    operations = f.gates + f.measures
    rough = f.conditions or w.noisy == "gates"
    each = c.ps_shot_gate_noisy if rough else c.ps_shot_gate
    gate = c.ps_small if n < FUSED_FROM else c.ps_large
    return {
        "base": c.ps_base,
        "operations": c.ps_gate * operations,
        "shots": w.shots * c.ps_shot,
        "operations of shots": w.shots * each * operations,
        "amplitudes": w.shots
        * 2.0**n
        * (gate * f.gates + c.ps_measure * f.measures + c.ps_amplitude),
    }


def _stabilizer(f: Features, n: int, w: Work, c: Coefficients, per_shot: bool) -> dict[str, float]:
    operations = f.gates + f.measures
    terms = {
        "base": c.st_base,
        "operations": c.st_gate * operations + c.st_gate_qubit * f.gates * n,
        "shots": w.shots * (c.st_shot + c.st_shot_1 * n + c.st_shot_2 * n**2 + c.st_shot_3 * n**3),
    }
    if per_shot:
        rough = f.conditions or w.noisy == "gates"
        each = c.ps_shot_gate_noisy if rough else c.ps_shot_gate
        terms["shots"] += w.shots * (c.ps_shot + (each + c.st_gate_qubit * n) * operations)
    return terms


def _density(f: Features, n: int, w: Work, c: Coefficients, per_shot: bool) -> dict[str, float]:
    if w.noisy == "gates" or per_shot:  # nothing is fused
        each = c.dm_noisy * max(f.lowered, 1)
    else:
        d = f.density
        each = (
            c.dm_amplitude
            + c.dm_permuting * d.permuting
            + c.dm_one * d.one
            + c.dm_diagonal_one * d.diagonal_one
            + c.dm_diagonal_two * d.diagonal_two
            + c.dm_dense * d.dense
        )
    amplitudes = 4.0**n * each
    return {
        "base": c.dm_base,
        "operations": c.dm_gate * f.lowered,
        "shots": w.shots * (c.sv_shot + c.sv_shot_qubit * n)
        + (w.shots * (c.ps_shot + c.ps_shot_gate_noisy * f.gates) if per_shot else 0.0),
        "amplitudes": amplitudes * (w.shots if per_shot else 1),
    }


def _product(
    f: Features, n: int, w: Work, c: Coefficients, per_shot: bool
) -> tuple[dict[str, float], float]:
    load = f.chain.load(n, w.bond)
    times = w.shots if per_shot else 1
    sampled = w.shots * min(f.measures / max(n, 1), 1.0)
    terms = {
        "base": c.mps_base,
        "operations": c.mps_gate * (f.lowered + f.measures),
        "steps": times * c.mps_step * load.steps,
        "bonds": times * c.mps_bond * load.bonds,
        "work": times * c.mps_work * load.work,
        "shots": w.shots * c.mps_shot + sampled * c.mps_shot_qubit * n,
        "sites": sampled * c.mps_shot_site * load.sites,
        "squares": sampled * c.mps_shot_bond * load.squares,
    }
    return terms, 16.0 * 2 * 3 * load.peak
