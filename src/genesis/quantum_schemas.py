"""Owns what agents are told of genesis_quantum: the purpose and the arguments of each method."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_CIRCUIT: Final = {
    "type": "object",
    "description": (
        "{qubits, clbits, components: [{gate, qubits, clbits, params, condition: {clbits, value}, "
        "repeat, id}], parameters: [names], circuits: {name: sub-circuit, used as a gate}}; an angle "
        "is a number or a text like 'pi/4' or '2*theta'; gate unitary has a matrix of numbers or "
        "[real, imaginary]; gate snapshot tells of the state where it stands, {label, kind: "
        "statevector, probabilities, density_matrix or expectation, qubits, observable: {'ZZ': 1}}. "
        "Or {artifact: id} with that as its content"
    ),
}
_VALUES: Final = {
    "type": "object",
    "additionalProperties": {"type": "number"},
    "description": "numbers for the circuit's parameters",
}
_SEED: Final = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_SHOTS: Final = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
_METHOD: Final = {
    "enum": [
        "automatic",
        "statevector",
        "stabilizer",
        "density_matrix",
        "matrix_product_state",
    ]
}
_CHANCE: Final = {"type": "number", "minimum": 0, "maximum": 1}
_NOISE: Final = {
    "type": "object",
    "properties": {
        "depolarizing": {
            "type": "object",
            "properties": {"one": _CHANCE, "two": _CHANCE},
            "description": "the chance of an error of a one-qubit and a two-qubit gate",
        },
        "readout": {
            "description": "the chance of a wrong bit, or [of 1 for 0, of 0 for 1]",
            "type": ["number", "array"],
            "items": _CHANCE,
        },
        "thermal": {
            "type": "object",
            "properties": {
                "t1_us": {"type": "number"},
                "t2_us": {"type": "number"},
                "one_ns": {"type": "number"},
                "two_ns": {"type": "number"},
            },
            "description": "relaxation times, and how long a gate on one and two qubits takes",
        },
        "device": {"type": "string", "maxLength": 64},
    },
}
_OBSERVABLES: Final = {
    "type": "object",
    "additionalProperties": {"type": "object", "additionalProperties": {"type": "number"}},
    "description": "sums of Pauli words by name, {'energy': {'ZZ': 1, 'XI': 0.5}}; the last letter is qubit 0",
}
_SWEEP: Final = {
    "type": "array",
    "items": _VALUES,
    "description": "values for the circuit's parameters, one object a point",
}
_JOB: Final = {
    "circuit": _CIRCUIT,
    "circuits": {"type": "array", "items": _CIRCUIT, "description": "a batch, instead of circuit"},
    "values": _VALUES,
    "sweep": _SWEEP,
    "shots": _SHOTS,
    "seed": _SEED,
    "method": _METHOD,
    "bond": {"type": "integer", "minimum": 1, "maximum": 65_536},
    "noise": _NOISE,
    "outputs": {
        "type": "array",
        "items": {"enum": ["counts", "memory", "statevector", "probabilities"]},
        "maxItems": 4,
    },
    "observables": _OBSERVABLES,
}
_FORMAT: Final = {"enum": ["json", "qasm2", "qasm3"]}
_QASM: Final = {"type": "string", "description": "OpenQASM 2 or 3"}
_LEVEL: Final = {"type": "integer", "minimum": 0, "maximum": 3}
_JOB_ID: Final = {"type": "string", "maxLength": 128, "description": "what submit answered"}
_RESULT: Final = {
    "type": "object",
    "description": "an answer of run, counts by outcome, or {artifact: id} with one as its content",
}


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties)}
    return schema | ({"required": list(required)} if required else {})


SCHEMAS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = MappingProxyType(
    {
        "build": (
            "Check a circuit of components and write it out: as components in normal form, or as "
            "OpenQASM 2 or 3. Errors name the component.",
            _object({"circuit": _CIRCUIT, "values": _VALUES, "to": _FORMAT}, "circuit"),
        ),
        "check": (
            "All that can be said of a circuit without running it: width, depth, gates, which "
            "method would run it at what cost, and whether your quota has that.",
            _object(
                {name: _JOB[name] for name in ("circuit", "values", "shots", "method", "noise")},
                "circuit",
            ),
        ),
        "estimate": (
            "What run would cost with the same arguments, term by term, and whether it would be "
            "admitted.",
            _object(_JOB),
        ),
        "run": (
            "Run a circuit, a batch or a sweep on a simulator. What it should cost is held, and what "
            "it used is charged. The same circuit, seed, shots and method give the same counts.",
            _object({**_JOB, "qasm": _QASM}),
        ),
        "expect": (
            "The expectation values of sums of Pauli words in the state that a circuit makes.",
            _object({name: _JOB[name] for name in _JOB if name != "outputs"}, "observables"),
        ),
        "transpile": (
            "Rewrite a circuit for a basis of gates and a coupling map, or for a fake device, and "
            "report depth, two-qubit gates and swaps at each level.",
            _object(
                {
                    "circuit": _CIRCUIT,
                    "values": _VALUES,
                    "level": _LEVEL,
                    "levels": {"type": "array", "items": _LEVEL, "minItems": 1, "maxItems": 4},
                    "basis": {
                        "type": "array",
                        "items": {"type": "string", "maxLength": 32},
                        "maxItems": 32,
                    },
                    "coupling": {
                        "type": ["string", "array"],
                        "maxLength": 32,
                        "maxItems": 2_000,
                        "description": "pairs of qubits, or line_5, ring_5, full_5",
                    },
                    "device": {"type": "string", "maxLength": 64, "description": "generic_5"},
                    "seed": _SEED,
                },
                "circuit",
            ),
        ),
        "convert": (
            "Read OpenQASM 2 or 3, or a circuit of components, and write it in another format.",
            _object({"circuit": _CIRCUIT, "qasm": _QASM, "values": _VALUES, "to": _FORMAT}),
        ),
        "draw": (
            "Draw a circuit as text, SVG or PNG, or a histogram of counts as SVG or PNG.",
            _object(
                {
                    "circuit": _CIRCUIT,
                    "values": _VALUES,
                    "counts": {
                        "type": "object",
                        "additionalProperties": {"type": "integer", "minimum": 0},
                    },
                    "format": {"enum": ["text", "svg", "png"]},
                },
            ),
        ),
        "submit": (
            "Run a circuit on a real device, or on local:fake_manila to practise. The answer names "
            "the job; its price in scrip is paid for each shot, once it is submitted.",
            _object(
                {
                    "circuit": _CIRCUIT,
                    "values": _VALUES,
                    "device": {"type": "string", "maxLength": 64},
                    "shots": _SHOTS,
                    "seed": _SEED,
                    "level": _LEVEL,
                },
                "circuit",
                "device",
            ),
        ),
        "status": (
            "How far a job on a device is, for whoever submitted it.",
            _object({"job": _JOB_ID}, "job"),
        ),
        "result": (
            "The counts of a job on a device, for whoever submitted it, once it is done.",
            _object({"job": _JOB_ID}, "job"),
        ),
        "compare": (
            "How near two results are: fidelity and total variation.",
            _object({"a": _RESULT, "b": _RESULT}, "a", "b"),
        ),
        "hash": (
            "The hash of a circuit, the same however it was written: order of independent gates, "
            "aliases, sub-circuits, barriers and names make no difference. With metadata, also a "
            "seal over both.",
            _object(
                {"circuit": _CIRCUIT, "values": _VALUES, "metadata": {"type": "object"}}, "circuit"
            ),
        ),
    }
)
"""Purpose and schema of the arguments, by method, in the order in which they are listed."""
