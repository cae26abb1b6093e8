"""Owns what can be said of a circuit without running it: width, depth, counts, entanglement. Knows no cost."""

from __future__ import annotations

from collections import Counter

import msgspec

from .quantum_canonical import levels_of
from .quantum_circuit import Circuit
from .quantum_gates import GATES, WRITTEN_OUT


class Features(msgspec.Struct, frozen=True):
    """A circuit in numbers.

    Attributes:
        qubits: those that anything but a barrier touches, in order; idle ones cost nothing.
        depth: moments. counts: operations by gate. gates: gates proper, with those that no
            method has written out.
        one, many, diagonal: gates by kind. measures: measurements.
        lowered, lowered_many: gates, and those on several qubits that are not diagonal, where only small
            gates are native.
        spans: for each gate on several qubits, in order: its first and last place in ``qubits``, and
            how many bits of entanglement it can make.
        two: two-qubit gates with the swaps that bring distant qubits together.
        clifford: only gates that keep a stabilizer state one.
        per_shot: a gate after a measurement, a reset or a condition: each shot is run by itself.
        conditions: operations with one.
    """

    qubits: tuple[int, ...]
    clbits: int
    depth: int
    counts: dict[str, int]
    gates: int
    one: int
    many: int
    diagonal: int
    measures: int
    two: int
    lowered: int
    lowered_many: int
    spans: tuple[tuple[int, int, int], ...]
    clifford: bool
    per_shot: bool
    conditions: int

    @property
    def width(self) -> int:
        """How many qubits are touched."""
        return len(self.qubits)

    @property
    def entanglement(self) -> int:
        """A bound on the entanglement across any cut, in bits."""
        begins = [0] * (self.width + 1)
        for low, high, weight in self.spans:
            begins[low] += weight
            begins[high] -= weight
        most = running = 0
        for cut in range(self.width - 1):
            running += begins[cut]
            most = max(most, min(cut + 1, self.width - cut - 1, running))
        return most


def features_of(circuit: Circuit) -> Features:
    """Look at a circuit once; about 5 µs an operation."""
    counts = Counter(op.gate for op in circuit.ops)
    touched = sorted({q for op in circuit.ops if op.gate != "barrier" for q in op.qubits})
    site = {q: i for i, q in enumerate(touched)}
    spans = []
    measured: set[int] = set()
    per_shot, clifford = False, True
    conditions = two = lowered = lowered_many = 0
    kinds = Counter[str]()
    for op in circuit.ops:
        gate = GATES[op.gate]
        clifford = clifford and gate.clifford
        if op.when:
            conditions += 1
            per_shot = True
        if op.gate == "measure":
            measured.add(op.qubits[0])
            continue
        if op.gate == "reset":
            per_shot = True
        if not gate.acts:
            continue
        if measured and not measured.isdisjoint(op.qubits):
            per_shot = True
        one_each, two_each = gate.weight(len(op.qubits))
        lowered += one_each + two_each
        if op.gate in WRITTEN_OUT:
            kinds["one"] += one_each
            kinds["many"] += two_each
        else:
            kinds[gate.kind] += 1
        if gate.kind == "many" or two_each > 1:
            lowered_many += two_each
        if len(op.qubits) > 1:
            places = [site[q] for q in op.qubits]
            low, high = min(places), max(places)
            made = max(two_each, len(op.qubits) - 1)
            weight = 2 if op.gate == "swap" else made
            spans.append((low, high, weight))
            two += made + 2 * (high - low - len(places) + 1)
    measured_again = counts["measure"] > len(measured)
    return Features(
        tuple(touched),
        circuit.clbits,
        max(levels_of(circuit), default=0),
        dict(sorted(counts.items())),
        kinds.total(),
        kinds["one"],
        kinds["many"],
        kinds["diagonal"],
        counts["measure"],
        two,
        lowered,
        lowered_many,
        tuple(spans),
        clifford,
        per_shot or measured_again,
        conditions,
    )
