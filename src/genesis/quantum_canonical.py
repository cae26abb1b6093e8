"""Owns the canonical form of a circuit, and its hash: the same for the same circuit however it was written.

What makes no difference is taken away: ids, sub-circuits and repeats (already written out), aliases,
barriers, the order of operations that share no wire, and the order of qubits where a gate is
symmetric in them. What would need algebra is left: two zs are not an identity here. It must not
know what runs a circuit; what is run is the canonical form, so equal hashes mean equal counts.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from .quantum_angles import Angle
from .quantum_circuit import Circuit, Op
from .quantum_component import Snapshot
from .quantum_gates import GATES

FORMAT = "scripworld-circuit-1"
LAST = 1 << 62
"""The place of a snapshot: behind all operations of its moment."""
_ENCODER = msgspec.json.Encoder(order="deterministic")


def canonical(circuit: Circuit) -> Circuit:
    """The same circuit in canonical order, without ids and barriers."""
    levels = levels_of(circuit)
    rows = []
    for op, level in zip(circuit.ops, levels, strict=True):
        if op.gate == "barrier":
            continue
        qubits = op.qubits
        if (symmetric := GATES[op.gate].symmetric) is not None:
            start, end = symmetric
            end = end if end >= 0 else len(qubits) + end
            qubits = (*qubits[:start], *sorted(qubits[start:end]), *qubits[end:])
        place = LAST if op.snapshot else min(qubits, default=-1)
        rows.append((level, place, qubits, op))
    if any(not -1 < place < LAST for _, place, *_ in rows):  # what can stand at one place
        rows.sort(key=lambda row: (*row[:2], row[3].when, repr((row[3].params, row[3].snapshot))))
    else:
        rows.sort(key=lambda row: row[:2])
    ops = tuple(
        [Op(op.gate, op.params, q, op.clbits, op.when, "", op.snapshot) for *_, q, op in rows]
    )
    return Circuit(circuit.qubits, circuit.clbits, ops, circuit.parameters)


def levels_of(circuit: Circuit) -> list[int]:
    """For each operation the earliest moment, from 1, at which it can happen; 0 for barriers.

    Operations of one moment share no qubit and write no bit that another reads or writes; a snapshot
    takes no time and stands at the end of a moment.
    """
    qubit = [0] * circuit.qubits
    written = [0] * circuit.clbits
    touched = [0] * circuit.clbits
    levels = []
    for op in circuit.ops:
        if op.gate == "barrier":
            levels.append(0)
            continue
        level = 0
        for q in op.qubits:
            level = max(level, qubit[q])
        for c in op.clbits:
            level = max(level, touched[c])
        for c, _ in op.when:
            level = max(level, written[c])
        if not op.snapshot:
            level += 1
        for q in op.qubits:
            qubit[q] = level
        for c in op.clbits:
            written[c] = touched[c] = level
        for c, _ in op.when:
            touched[c] = max(touched[c], level)
        levels.append(level)
    return levels


def hash_of(circuit: Circuit) -> str:
    """SHA-256 of the canonical form, in hexadecimal digits.

    The form is JSON: format, qubits, clbits, parameters, and [gate, angles, qubits, clbits,
    conditions] of each operation, with angles as ``float.hex`` writes them; of a snapshot also
    [label, kind, terms].
    """
    return digest(canonical(circuit))


def digest(form: Circuit) -> str:
    """The hash of a circuit that is in canonical form."""
    ops = [
        [op.gate, [_exact(p) for p in op.params], op.qubits, op.clbits, op.when]
        if not op.snapshot
        else [op.gate, [], op.qubits, [], [], _shown(op.snapshot)]
        for op in form.ops
    ]
    told = [FORMAT, form.qubits, form.clbits, form.parameters, ops]
    return hashlib.sha256(_ENCODER.encode(told)).hexdigest()


def seal(hash: str, metadata: dict[str, Any]) -> str:
    """SHA-256 over a circuit's hash together with what is said about it."""
    return hashlib.sha256(_ENCODER.encode([FORMAT, hash, metadata])).hexdigest()


def _shown(snapshot: Snapshot) -> Any:
    terms = [[word, factor.hex()] for word, factor in snapshot.terms]
    return [snapshot.label, snapshot.kind, terms]


def _exact(angle: Angle) -> Any:
    if isinstance(angle, float):
        return angle.hex()
    return [angle.constant.hex(), [[name, factor.hex()] for name, factor in angle.terms]]
