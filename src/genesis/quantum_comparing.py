"""Owns how two results are compared: distributions and states. Pure, and blind to where they come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .quantum_component import CircuitError


def compared(a: object, b: object) -> dict[str, Any]:
    """How near two results are.

    Each is an answer of `run` (its first result counts), one result of it, or counts by outcome.
    Fidelity is (Σ √(p q))² of what was measured, and total variation Σ |p - q| / 2; where both list a
    state vector, also the fidelity |⟨a|b⟩|² of the states.

    Raises:
        CircuitError: one of them is no result, or they are of different widths.
    """
    left, right = _result(a), _result(b)
    told: dict[str, Any] = {}
    if "counts" in left and "counts" in right:
        told |= _distributions(left["counts"], right["counts"])
    if "statevector" in left and "statevector" in right:
        told["state_fidelity"] = _states(left["statevector"], right["statevector"])
    if not told:
        raise CircuitError("two results are compared by their counts, or by their state vectors")
    if "hash" in left and "hash" in right:
        told["same_circuit"] = left["hash"] == right["hash"]
    return told


def _result(given: object) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise CircuitError("a result is what run answered, or counts by outcome")
    rows = given.get("results")
    if isinstance(rows, list) and rows and isinstance(rows[0], dict):
        return rows[0]
    if "counts" in given or "statevector" in given:
        return given
    return {"counts": given}


def _distributions(a: object, b: object) -> dict[str, Any]:
    p, q = _shares(a), _shares(b)
    if {len(key) for key in p} != {len(key) for key in q}:
        raise CircuitError("the results have different numbers of classical bits")
    outcomes = sorted(p.keys() | q.keys())
    overlap = math.fsum(math.sqrt(p.get(key, 0.0) * q.get(key, 0.0)) for key in outcomes)
    apart = math.fsum(abs(p.get(key, 0.0) - q.get(key, 0.0)) for key in outcomes) / 2
    return {
        "fidelity": min(overlap**2, 1.0),
        "total_variation": min(apart, 1.0),
        "identical": a == b,
    }


def _shares(counts: object) -> dict[str, float]:
    if not isinstance(counts, dict) or not counts:
        raise CircuitError("counts are numbers by outcome, and not empty")
    total = 0
    for key, n in counts.items():
        if isinstance(n, bool) or not isinstance(n, int) or n < 0 or key.strip("01"):
            raise CircuitError(f"{key[:64]!r}: counts are whole numbers by outcomes of 0s and 1s")
        total += n
    if not total or len({len(key) for key in counts}) > 1:
        raise CircuitError("counts are of one width, and not all 0")
    return {key: n / total for key, n in counts.items()}


def _states(a: object, b: object) -> float:
    left, right = _amplitudes(a), _amplitudes(b)
    if len(left) != len(right):
        raise CircuitError("the state vectors have different lengths")
    inner = sum((x.conjugate() * y for x, y in zip(left, right, strict=True)), 0j)
    norms = sum(abs(x) ** 2 for x in left) * sum(abs(y) ** 2 for y in right)
    if not norms:
        raise CircuitError("a state vector is not 0")
    return min(float(abs(inner) ** 2 / norms), 1.0)


def _amplitudes(given: object) -> list[complex]:
    try:
        return [complex(real, imaginary) for real, imaginary in given]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise CircuitError("a state vector is a list of pairs: real and imaginary part") from None
