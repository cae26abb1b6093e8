"""Owns what can be said of a circuit without running it: width, depth, counts, entanglement. Knows no cost."""

from __future__ import annotations

from collections import Counter

import msgspec

from .quantum_bonds import Chain
from .quantum_canonical import levels_of
from .quantum_circuit import Circuit
from .quantum_gates import GATES, WRITTEN_OUT

_PERMUTING = frozenset(("x", "y", "cx", "cy", "swap", "ccx"))
_DIAGONAL_TWO = frozenset(("cz", "cp", "rzz"))
_DENSE_TWO = frozenset(("rxx", "ryy", "rzx", "ecr", "unitary"))


class Density(msgspec.Struct, frozen=True):
    """Gates by what they do to a density matrix: permute its numbers, turn them, or mix those of two qubits."""

    permuting: int = 0
    one: int = 0
    diagonal_one: int = 0
    diagonal_two: int = 0
    dense: int = 0


class Features(msgspec.Struct, frozen=True):
    """A circuit in numbers.

    Attributes:
        qubits: those that anything but a barrier touches, in order; idle ones cost nothing.
        depth: moments. counts: operations by gate. gates: gates proper, with those that no
            method has written out.
        one, many, diagonal: gates by kind. measures: measurements.
        lowered: gates, where only ccx and what is smaller is native.
        density: the same by what they do to a density matrix.
        spans: for each gate on several qubits, in order: its first and last place in ``qubits``, and
            how many bits of entanglement it can make.
        chain: what a matrix product state would go through.
        clifford: only gates that keep a stabilizer state one.
        per_shot: a gate after a measurement, a reset or a condition: each shot is run by itself.
        conditions: operations with one.
        snapshots: kinds of its snapshots.
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
    lowered: int
    density: Density
    spans: tuple[tuple[int, int, int], ...]
    clifford: bool
    per_shot: bool
    conditions: int
    chain: Chain
    snapshots: frozenset[str] = frozenset()

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
    snapshots: set[str] = set()
    per_shot, clifford = False, True
    conditions = lowered = 0
    kinds, density = Counter[str](), Counter[str]()
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
        if op.snapshot:
            snapshots.add(op.snapshot.kind)
            per_shot = per_shot or bool(measured)
        if not gate.acts:
            continue
        if measured and not measured.isdisjoint(op.qubits):
            per_shot = True
        one_each, two_each = (0, 1) if op.gate == "ccx" else gate.weight(len(op.qubits))
        lowered += one_each + two_each
        if op.gate in WRITTEN_OUT:
            kinds["one"] += one_each
            kinds["many"] += two_each
        else:
            kinds[gate.kind] += 1
        _count_density(density, op.gate, len(op.qubits), one_each, two_each)
        if len(op.qubits) > 1:
            places = [site[q] for q in op.qubits]
            low, high = min(places), max(places)
            made = max(two_each, len(op.qubits) - 1)
            weight = 2 if op.gate == "swap" else made
            spans.append((low, high, weight))
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
        lowered,
        Density(**density),
        tuple(spans),
        clifford,
        per_shot or measured_again,
        conditions,
        Chain(circuit, touched),
        frozenset(snapshots),
    )


def _count_density(
    counts: Counter[str], name: str, width: int, one_each: int, two_each: int
) -> None:
    if name in _PERMUTING:
        counts["permuting"] += 1
    elif width == 1:
        counts["diagonal_one" if GATES[name].kind == "diagonal" else "one"] += 1
    elif name in _DIAGONAL_TWO:
        counts["diagonal_two"] += 1
    elif name in _DENSE_TWO:
        counts["dense"] += 1
    else:
        counts["permuting"] += two_each
        counts["one"] += one_each
