"""Owns how coefficients are fitted to a machine: a handful of probes, each of which one term dominates.

Whoever calls it measures; this module says what is to be measured, and what follows from that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from .quantum_canonical import canonical
from .quantum_circuit import read
from .quantum_estimate import Work, estimate
from .quantum_features import features_of
from .quantum_known import payload_of
from .quantum_limits import MEBIBYTE, Coefficients, QuantumLimits

FACTOR_MAX: Final = 20.0
"""A measurement changes a coefficient at most so much: beyond that it is no measurement."""

Measure = Callable[[dict[str, Any]], Awaitable[float]]
"""(payload of a run) → CPU seconds that it took a warm worker, best the median of several."""


class Probe(msgspec.Struct, frozen=True):
    """A job in which one term stands out, and the coefficients that the term is made of."""

    method: str
    term: str
    fitted: tuple[str, ...]
    document: dict[str, Any]
    shots: int


def _component(gate: str, *qubits: int, params: tuple[float, ...] = ()) -> dict[str, Any]:
    return {"gate": gate, "qubits": list(qubits), "params": list(params)}


def _circuit(
    qubits: int, layers: int, turn: str = "u", pair: str = "cx", again: int = 0
) -> dict[str, Any]:
    """Layers of turns and of pairs of neighbours; measured at the end, and ``again`` times before."""
    angles = (0.1, 0.2, 0.3) if turn == "u" else ()
    components = []
    for layer in range(layers):
        components += [_component(turn, q, params=angles) for q in range(qubits)]
        pairs = range(layer % 2, qubits - 1, 2) if pair else ()
        components += [_component(pair, q, q + 1) for q in pairs]
    measures = [_component("measure", q) | {"clbits": [q]} for q in range(qubits)]
    components = measures[:again] + components + measures
    return {"qubits": qubits, "clbits": qubits, "components": components}


def _line(qubits: int) -> list[dict[str, Any]]:
    """What makes all qubits agree."""
    return [_component("h", 0), *(_component("cx", q, q + 1) for q in range(qubits - 1))]


def _mixed(qubits: int, layers: int) -> dict[str, Any]:
    """Layers that the simulator joins to few large gates, and lines of which it joins little."""
    document = _circuit(qubits, layers)
    gates, measures = document["components"][:-qubits], document["components"][-qubits:]
    line = [_component("ry", q, params=(0.3,)) for q in range(qubits)] + _line(qubits)[1:]
    return document | {"components": [*gates, *line * layers, *measures]}


def _swapped(qubits: int, swaps: int, first: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Turned qubits, with the outer ones swapped again and again."""
    document = _circuit(qubits, 1, pair="")
    turns, measures = document["components"][:qubits], document["components"][qubits:]
    moves = [_component("swap", 0, qubits - 1)] * swaps
    return document | {"components": [*first, *turns, *moves, *measures]}


def _conditional(qubits: int, layers: int) -> dict[str, Any]:
    """The same, with a condition on the last gate."""
    document = _circuit(qubits, layers, again=1)
    flip = _component("x", 0) | {"condition": {"clbits": [0], "value": 1}}
    document["components"].insert(-qubits, flip)
    return document


def _probe(method: str, term: str, fitted: str, document: dict[str, Any], shots: int) -> Probe:
    return Probe(method, term, tuple(fitted.split()), document, shots)


def probes() -> list[Probe]:
    """The probes, in the order in which they are to be measured: later ones build on earlier ones."""
    sv, st = "statevector", "stabilizer"
    dm, mps = "density_matrix", "matrix_product_state"
    return [
        _probe(sv, "base", "sv_base", _circuit(2, 1), 1),
        _probe(sv, "operations", "sv_gate", _circuit(4, 200), 1),
        _probe(sv, "shots", "sv_shot sv_shot_qubit", _circuit(8, 1), 300_000),
        _probe(
            sv,
            "amplitudes",
            "sv_small_one sv_small_diagonal",
            _circuit(14, 40),
            1,
        ),
        _probe(sv, "amplitudes", "sv_one sv_many sv_diagonal sv_amplitude", _circuit(19, 10), 1),
        _probe(sv, "base", "ps_base", _circuit(2, 1, again=1), 1),
        _probe(sv, "operations", "ps_gate", _circuit(4, 200, again=1), 1),
        _probe(sv, "shots", "ps_shot", _circuit(1, 1, again=1), 20_000),
        _probe(sv, "operations of shots", "ps_shot_gate", _circuit(3, 60, again=1), 5_000),
        _probe(sv, "operations of shots", "ps_shot_gate_noisy", _conditional(3, 10), 2_000),
        _probe(
            sv,
            "amplitudes",
            "ps_small ps_large ps_measure ps_amplitude",
            _circuit(13, 4, again=1),
            100,
        ),
        _probe(st, "base", "st_base", _circuit(2, 1, "h"), 1),
        _probe(st, "operations", "st_gate st_gate_qubit", _circuit(20, 50, "h"), 1),
        _probe(st, "shots", "st_shot st_shot_1 st_shot_2 st_shot_3", _circuit(30, 2, "h"), 20_000),
        _probe(dm, "base", "dm_base", _circuit(2, 1), 1),
        _probe(dm, "operations", "dm_gate", _circuit(3, 200), 1),
        _probe(
            dm,
            "amplitudes",
            "dm_amplitude dm_permuting dm_one dm_diagonal_one dm_diagonal_two dm_dense dm_noisy",
            _mixed(10, 2),
            1,
        ),
        _probe(mps, "base", "mps_base", _circuit(2, 1), 1),
        _probe(mps, "operations", "mps_gate", _circuit(60, 10, pair=""), 1),
        _probe(mps, "steps", "mps_step", _swapped(12, 200), 1),
        _probe(mps, "bonds", "mps_bond", _swapped(12, 200, _line(12)), 1),
        _probe(mps, "work", "mps_work", _circuit(20, 12), 1),
        _probe(mps, "shots", "mps_shot mps_shot_qubit", _circuit(20, 1, pair=""), 5_000),
        _probe(mps, "sites", "mps_shot_site", _circuit(20, 2), 2_000),
        _probe(mps, "squares", "mps_shot_bond", _circuit(20, 12), 2_000),
    ]


async def calibrate(measure: Measure, start: Coefficients) -> tuple[Coefficients, list[float]]:
    """Coefficients of the machine that ``measure`` measures on; takes a few seconds of CPU time.

    Returns:
        them, and for each probe measured over estimated seconds with them.
    """
    found, measured = start, []
    for probe in probes():
        seconds = await measure(payload(probe))
        terms = _terms(probe, found)
        own = terms[probe.term]
        rest = sum(terms.values()) - own
        factor = (seconds - rest) / own if own else 1.0
        factor = min(max(factor, 1 / FACTOR_MAX), FACTOR_MAX)
        fitted = {name: getattr(found, name) * factor for name in probe.fitted}
        found = msgspec.structs.replace(found, **fitted)
        measured.append(seconds)
    told = [
        seconds / sum(_terms(probe, found).values())
        for probe, seconds in zip(probes(), measured, strict=True)
    ]
    return found, told


def payload(probe: Probe) -> dict[str, Any]:
    """The job of a probe, as a worker takes it."""
    circuit = canonical(read(probe.document, QuantumLimits()))
    return {
        "circuits": [payload_of(circuit) | {"method": probe.method}],
        "points": [],
        "shots": probe.shots,
        "seed": 1,
        "bond": 32,
        "noise": {},
        "outputs": ["counts"],
        "observables": {},
        "memory_bytes": 1_024 * MEBIBYTE,
    }


def _terms(probe: Probe, coefficients: Coefficients) -> dict[str, float]:
    features = features_of(canonical(read(probe.document, QuantumLimits())))
    return estimate(features, probe.method, Work(probe.shots), coefficients).terms
