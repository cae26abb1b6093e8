"""Owns what is known of fake devices without Qiskit: their size, their gates, and how much noise they bring.

It must not know how they are made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Set
from difflib import get_close_matches
from typing import Final

import msgspec

from .quantum_circuit import Circuit
from .quantum_component import CircuitError
from .quantum_device_table import TABLE
from .quantum_gates import GATES

_GENERIC: Final = re.compile(r"generic_([2-9]|[1-5]\d|6[0-4])")
_GENERIC_GATES: Final = frozenset(("cx", "id", "rz", "sx", "x"))


class Device(msgspec.Struct, frozen=True):
    """A fake device; ``pairs`` that a gate couples, each direction one; ``gates`` that have an error."""

    name: str
    qubits: int
    pairs: int
    gates: frozenset[str]

    def errors(self, qubits: int) -> int:
        """What so many neighbours weigh in errors: one for each pair, two for each qubit's own gates."""
        share = math.ceil(self.pairs * qubits / self.qubits)
        return 2 * qubits + min(qubits * (qubits - 1), share)


def device_named(name: str) -> Device:
    """A fake device by its name: ``generic_N``, or one of qiskit-ibm-runtime.

    Raises:
        CircuitError: there is none; with the nearest that is.
    """
    if match := _GENERIC.fullmatch(name):
        qubits = int(match[1])
        return Device(name, qubits, qubits * (qubits - 1), _GENERIC_GATES)
    if name in TABLE:
        qubits, pairs, gates = TABLE[name]
        return Device(name, qubits, pairs, frozenset(gates.split()))
    near = get_close_matches(name[:64].lower(), TABLE, 1, 0.4)
    hint = f"did you mean {near[0]}?" if near else "take generic_5 or fake_manila"
    raise CircuitError(f"there is no device {name[:64]!r}: {hint}")


def fitted(name: str, qubits: int) -> Device:
    """The device of a name, if it has so many qubits.

    Raises:
        CircuitError: it has fewer, or there is none.
    """
    device = device_named(name)
    if device.qubits < qubits:
        raise CircuitError(f"{name} has {device.qubits} qubits, the circuit needs {qubits}")
    return device


def touched(circuit: Circuit) -> Set[int]:
    """The qubits that anything happens on."""
    ops = (op for op in circuit.ops if GATES[op.gate].acts or op.gate in ("measure", "reset"))
    return {q for op in ops for q in op.qubits}


def without_errors(device: Device, circuit: Circuit) -> list[str]:
    """The gates of a circuit that have no error on a device, because it does not have them."""
    gates = {op.gate for op in circuit.ops if GATES[op.gate].acts and op.qubits}
    return sorted(gates - device.gates)
