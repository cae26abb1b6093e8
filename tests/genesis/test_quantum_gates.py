"""Every gate: its golden forms, what it does to a state, and that each format reads back as it was."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripworld.genesis.quantum_canonical import hash_of
from scripworld.genesis.quantum_circuit import document_of, read
from scripworld.genesis.quantum_gates import ALIASES, GATES, REWRITTEN, named
from scripworld.genesis.quantum_limits import QuantumLimits
from scripworld.genesis.quantum_qasm import written

from .quantum_lab import Laboratory, gate, lab, workers  # noqa: F401
from .quantum_reference import simulate

GOLDEN = json.loads((Path(__file__).parent / "quantum_golden.json").read_text())
LIMITS = QuantumLimits()
ANGLES = [0.1, 1.2, -2.3, 3.4]
WIDTHS = {"barrier": 3, "mcx": 6, "mcp": 4, "unitary": 2, "snapshot": 2}
MATRIX = [[0.6, 0, 0.8, 0], [0, 0, 0, [0, 1]], [0.8, 0, -0.6, 0], [0, [0.6, 0.8], 0, 0]]
SPECIAL = {
    "unitary": {"matrix": MATRIX},
    "snapshot": {"label": "here", "kind": "expectation", "observable": {"ZX": 0.5, "IY": -1}},
}
ACTING = [name for name, kind in GATES.items() if kind.acts]


def example(name):
    """A circuit with one gate, on qubits in an order that shows which is which."""
    kind = GATES[name]
    width = WIDTHS.get(name, kind.qubits)
    component = gate(name, *reversed(range(width)), id="it", **SPECIAL.get(name, {}))
    if kind.params:
        component["params"] = ANGLES[: kind.params]
    if kind.clbits:
        component["clbits"] = [0]
    return {"qubits": max(width, 1), "clbits": kind.clbits, "components": [component]}


def forms(name):
    circuit = read(example(name), LIMITS)
    return {
        "json": document_of(circuit),
        "qasm2": written(circuit, 2, 10_000) if GATES[name].qasm2 else None,
        "qasm3": written(circuit, 3, 10_000) if GATES[name].qasm3 else None,
        "hash": hash_of(circuit),
    }


@pytest.mark.parametrize("name", GATES)
def test_each_gate_is_written_as_it_was_reviewed(name):
    assert forms(name) == GOLDEN[name]


def test_there_is_a_golden_form_for_each_gate_and_no_other():
    assert list(GOLDEN) == list(GATES)


def test_each_alias_is_a_gate_of_the_table_in_any_case():
    for alias, name in ALIASES.items():
        assert alias not in GATES
        assert named(alias.upper()) == name


def test_every_standard_gate_of_qiskit_has_a_name_here():
    library = pytest.importorskip("qiskit.circuit.library")
    ours = {named(name) for name in library.get_standard_gate_name_mapping()} - {None}
    theirs = set(library.get_standard_gate_name_mapping())

    assert {name for name in theirs if named(name) is None} == {"delay"}
    assert ours - set(REWRITTEN) <= set(GATES)


def prepared(name):
    """A gate after turns that make every amplitude different."""
    width = WIDTHS.get(name, max(GATES[name].qubits, 1))
    turns = [gate("u", q, params=[0.3 + q, 0.7 * q, 1.1 - q]) for q in range(width)]
    pairs = [gate("cx", q, q + 1) for q in range(width - 1)]
    component = gate(name, *reversed(range(GATES[name].qubits and width)), **SPECIAL.get(name, {}))
    if GATES[name].params:
        component["params"] = ANGLES[: GATES[name].params]
    return {"qubits": width, "clbits": 0, "components": [*turns, *pairs, component]}


def state_of(told):
    return np.array([complex(*pair) for pair in told["statevector"]])


def test_each_gate_does_to_a_state_what_the_textbook_says(lab):  # noqa: F811
    for start in range(0, len(ACTING), 16):
        names = ACTING[start : start + 16]
        answer = lab.done("run", circuits=[prepared(n) for n in names], outputs=["statevector"])
        for name, told in zip(names, answer["results"], strict=True):
            wanted = simulate(prepared(name))
            assert np.allclose(state_of(told), wanted, atol=1e-9), name


@pytest.mark.parametrize("to", ["qasm2", "qasm3"])
def test_each_gate_is_read_back_as_it_was_written(lab, to):  # noqa: F811
    names = [n for n in GATES if getattr(GATES[n], to)]
    components = []
    for name in names:
        kind = GATES[name]
        width = WIDTHS.get(name, kind.qubits)
        component = gate(name, *reversed(range(width)))
        if kind.params:
            component["params"] = ANGLES[: kind.params]
        if kind.clbits:
            component["clbits"] = [1]
        components.append(component)
    gphase = [c for c in components if c["gate"] == "gphase"]
    components = [c for c in components if c["gate"] != "gphase"] + gphase
    circuit = {"qubits": 6, "clbits": 2, "components": components}

    text = lab.done("build", circuit=circuit, to=to)
    back = lab.done("convert", qasm=text["qasm"])

    assert back["circuit"] == lab.done("build", circuit=circuit)["circuit"]
    assert back["hash"] == text["hash"]


@pytest.mark.parametrize("name", [n for n in ACTING if GATES[n].body])
def test_a_definition_makes_the_gate_up_to_its_phase(lab, name):  # noqa: F811
    """The definitions that are written into a text mean the gate to every other reader."""
    kind = GATES[name]
    body = kind.body
    for i in range(kind.params):
        body = body.replace(f"a{i}", f"({ANGLES[i]})")
    for i in range(kind.qubits):
        body = body.replace(f"q{i}", f"q[{i}]")
    turns = "".join(f"u({0.3 + q},{0.7 * q},{1.1 - q}) q[{q}];" for q in range(kind.qubits))
    text = f'OPENQASM 2.0;include "qelib1.inc";qreg q[{kind.qubits}];{turns}{body}'
    circuit = lab.done("convert", qasm=text)["circuit"]
    components = [*circuit["components"][: kind.qubits], gate(name, *range(kind.qubits))]
    if kind.params:
        components[-1]["params"] = ANGLES[: kind.params]
    wanted = simulate({"qubits": kind.qubits, "components": components})

    assert abs(np.vdot(simulate(circuit), wanted)) == pytest.approx(1, abs=1e-9)


def components(qubits, names):
    """Lists of random gates."""
    angle = st.floats(-7, 7, allow_nan=False)

    @st.composite
    def one(draw):
        kind = GATES[draw(st.sampled_from(names))]
        width = qubits if kind.most > kind.qubits else kind.qubits
        component = gate(kind.name, *draw(st.permutations(range(qubits)))[:width])
        if kind.params:
            component["params"] = [draw(angle) for _ in range(kind.params)]
        return component

    return st.lists(one(), min_size=1, max_size=12)


IN_TWO = [n for n in ACTING if GATES[n].qasm2]
ON_FOUR = [n for n in ACTING if 0 < GATES[n].qubits <= 4 and n not in ("mcx", "unitary")]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(gates=components(5, IN_TWO), condition=st.booleans())
def test_random_components_go_through_every_format_unchanged(lab, gates, condition):  # noqa: F811
    ends = [gate("measure", q, clbits=[q]) for q in range(2)]
    if condition:
        ends.append(gate("x", 3, condition={"clbits": [0, 1], "value": 2}))
    circuit = {"qubits": 5, "clbits": 3, "components": [*gates, *ends]}
    built = lab.done("build", circuit=circuit)

    for to in ("qasm2", "qasm3"):
        text = lab.done("build", circuit=circuit, to=to)["qasm"]
        back = lab.done("convert", qasm=text)
        assert (back["circuit"], back["hash"]) == (built["circuit"], built["hash"])
    assert lab.done("build", circuit=built["circuit"]) == built


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(many=st.lists(components(4, ON_FOUR), min_size=4, max_size=8))
def test_random_components_come_to_the_state_of_the_reference(lab, many):  # noqa: F811
    circuits = [{"qubits": 4, "clbits": 0, "components": gates} for gates in many]

    answer = lab.done("run", circuits=circuits, outputs=["statevector"])

    for circuit, told in zip(circuits, answer["results"], strict=True):
        assert np.allclose(state_of(told), simulate(circuit), atol=1e-9)
