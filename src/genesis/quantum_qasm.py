"""Owns how a circuit is written in OpenQASM 2 and 3, so that reading it gives the same circuit.

Angles are written with all their digits. A gate that a dialect does not have is defined in the text;
`DEFINITIONS` are those definitions, word by word, for whoever reads it back. It reads nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from .quantum_angles import number_text
from .quantum_circuit import Circuit, Op
from .quantum_component import CircuitError, TooLarge
from .quantum_gates import GATES, Gate

_NAMES: Final = {2: "OpenQASM 2", 3: "OpenQASM 3"}


def written(circuit: Circuit, version: int, bytes_max: int) -> str:
    """The circuit in OpenQASM ``version`` (2 or 3).

    Raises:
        CircuitError: the dialect cannot say it, or it is longer than ``bytes_max``.
    """
    if circuit.parameters:
        detail = (
            f"parameter {circuit.parameters[0]!r} has no value: give values, or keep it as JSON"
        )
        raise CircuitError(f"{_NAMES[version]} is written without parameters: {detail}")
    lines = list(_two(circuit) if version == 2 else _three(circuit))
    text = "\n".join([*lines, ""])
    if len(text) > bytes_max:
        raise TooLarge(f"its text has {len(text)} bytes, at most {bytes_max} are written")
    return text


def definition(gate: Gate) -> str:
    """A gate's definition, in words that both dialects know."""
    angles = ",".join(f"a{i}" for i in range(gate.params))
    qubits = ",".join(f"q{i}" for i in range(gate.qubits))
    return f"gate {gate.name}{f'({angles})' if angles else ''} {qubits} {{ {gate.body} }}"


DEFINITIONS: Final[Mapping[str, str]] = MappingProxyType(
    {gate.name: definition(gate) for gate in GATES.values() if gate.body}
)
"""The definitions that may stand in a text, by the gate's name."""


def _definitions(circuit: Circuit, version: int) -> Iterator[str]:
    for name in sorted({op.gate for op in circuit.ops}):
        if version in GATES[name].defined:
            yield DEFINITIONS[name]


def _call(op: Op, name: str) -> str:
    angles = ",".join(number_text(p) for p in op.params if isinstance(p, float))
    return name + (f"({angles})" if angles else "")


def _wires(op: Op) -> str:
    return ",".join(f"q[{q}]" for q in op.qubits)


# OpenQASM 2.


def _two(circuit: Circuit) -> Iterator[str]:
    yield 'OPENQASM 2.0;\ninclude "qelib1.inc";'
    yield from _definitions(circuit, 2)
    yield f"qreg q[{circuit.qubits}];"
    registers = _registers(circuit)
    place = {}
    for name, start, end in registers:
        yield f"creg {name}[{end - start}];"
        place.update({c: (name, c - start) for c in range(start, end)})
    for op in circuit.ops:
        before = ""
        if op.when:
            value = sum(bit << i for i, (_, bit) in enumerate(op.when))
            before = f"if({place[op.when[0][0]][0]}=={value}) "
        if op.gate == "measure":
            name, at = place[op.clbits[0]]
            yield f"{before}measure {_wires(op)} -> {name}[{at}];"
            continue
        name = GATES[op.gate].qasm2
        if not name:
            raise CircuitError(f"OpenQASM 2 has no {op.gate}: write OpenQASM 3 or JSON")
        yield f"{before}{_call(op, name)} {_wires(op)};"


def _registers(circuit: Circuit) -> list[tuple[str, int, int]]:
    """Classical registers such that each condition is on one whole register: name, from, before."""
    asked = sorted({tuple(c for c, _ in op.when) for op in circuit.ops if op.when})
    if not asked:
        return [("c", 0, circuit.clbits)] if circuit.clbits else []
    ranges = []
    at = 0
    for bits in asked:
        if bits[0] < at or bits != tuple(range(bits[0], bits[-1] + 1)):
            raise CircuitError(
                f"OpenQASM 2 asks whole registers only, which the condition on clbits {list(bits)} "
                "is not: write OpenQASM 3 or JSON"
            )
        if bits[0] > at:
            ranges.append((at, bits[0]))
        at = bits[-1] + 1
        ranges.append((bits[0], at))
    if at < circuit.clbits:
        ranges.append((at, circuit.clbits))
    return [(f"c{i}", *range_) for i, range_ in enumerate(ranges)]


# OpenQASM 3.


def _three(circuit: Circuit) -> Iterator[str]:
    yield 'OPENQASM 3.0;\ninclude "stdgates.inc";'
    yield from _definitions(circuit, 3)
    yield f"qubit[{circuit.qubits}] q;"
    if circuit.clbits:
        yield f"bit[{circuit.clbits}] c;"
    for op in circuit.ops:
        if op.gate == "measure":
            statement = f"c[{op.clbits[0]}] = measure {_wires(op)};"
        else:
            name = GATES[op.gate].qasm3.replace("{}", str(len(op.qubits) - 1))
            if not name:
                raise CircuitError(f"OpenQASM 3 has no {op.gate}: keep the circuit as JSON")
            statement = f"{_call(op, name)} {_wires(op)}".rstrip() + ";"
        for bit, value in reversed(op.when):
            statement = f"if (c[{bit}] == {'true' if value else 'false'}) {{ {statement} }}"
        yield statement
