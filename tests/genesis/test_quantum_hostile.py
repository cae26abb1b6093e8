"""What comes to ruin others: refused in bounded time and memory, before anything is run."""

import time
import tracemalloc

import pytest

from scripworld.genesis.quantum import ID
from scripworld.genesis.quantum_angles import AngleError, angle_of
from scripworld.genesis.quantum_circuit import CircuitError, read
from scripworld.genesis.quantum_limits import QuantumLimits
from scripworld.world import Code, Done, Envelope, Failed, Invoke, Limits, Malformed, enter

from .quantum_lab import BELL, circuit, desk, gate, lab, measures, workers  # noqa: F401

TWO = 'OPENQASM 2.0; include "qelib1.inc"; '
THREE = 'OPENQASM 3.0; include "stdgates.inc"; '
BOUND_S = 5.0  # generous: the machine may be busy; the aim is a tenth of a second
BOUND_BYTES = 50_000_000


def nested(depth):
    return "".join(f"gate g{k + 1} a {{ g{k} a; g{k} a; }} " for k in range(depth))


def chain(depth):
    """Sub-circuits, each of which holds the next twice."""
    circuits = {f"s{depth}": {"qubits": 1, "components": [gate("x", 0)]}}
    for k in range(depth):
        circuits[f"s{k}"] = {"qubits": 1, "components": [gate(f"s{k + 1}", 0, repeat=2)]}
    return circuit(1, gate("s0", 0), circuits=circuits)


TEXTS = {
    "includes a file": ('OPENQASM 2.0; include "/etc/passwd"; qreg q[1];', "no file"),
    "includes a file, in 3": ('OPENQASM 3.0; include "/etc/passwd"; qubit q;', "no file"),
    "includes a neighbour": (TWO + 'include "me.qasm"; qreg q[1];', "no file"),
    "includes with other quotes": ("OPENQASM 3.0; include '/etc/passwd';", "no file"),
    "declares ten million qubits": (TWO + "qreg q[10000000];", "at most 128"),
    "declares too many bit by bit": (TWO + "qreg a[100]; qreg b[100];", "at most 128"),
    "declares a thousand million, in 3": (THREE + "qubit[1000000000] q;", "at most 128"),
    "declares 10^20": (TWO + "qreg q[100000000000000000000];", "at most 128"),
    "declares too many classical bits": (TWO + "qreg q[1]; creg c[100000];", "at most 1024"),
    "declares by an expression": (THREE + "qubit[2**30] q;", "plain number"),
    "ten thousand parentheses": (
        TWO + f"qreg q[1]; rx({'(' * 10_000}1{')' * 10_000}) q[0];",
        "deep",
    ),
    "ten thousand parentheses, in 3": (
        THREE + f"qubit q; rx({'(' * 9_999}1{')' * 9_999}) q;",
        "deep",
    ),
    "forty nested definitions": (
        TWO + "gate g0 a { x a; x a; } " + nested(40) + "qreg q[1]; g40 q[0];",
        "more than 10000",
    ),
    "a loop of 100,000": (THREE + "qubit q; for int i in [0:100000] { x q; }", "more than 10000"),
    "loops in loops": (
        THREE + "qubit q; " + "for int i in [0:99] { " * 4 + "x q;" + "}" * 4,
        "more than 10000",
    ),
    "empty loops in loops": (THREE + "qubit q; " + "for int i in [0:9] { " * 99, "nested"),
    "a loop without end": (THREE + "qubit q; while (true) { x q; }", "not understood"),
    "a subroutine": (THREE + "def f(qubit a) { x a; } qubit q; f(q);", "not understood"),
    "a power of a billion": (THREE + "qubit q; pow(1000000000) @ x q;", "power is at most"),
    "a thousand controls": (THREE + "qubit[9] q; ctrl(1000) @ h q;", "controls"),
    "controls of something large": (
        THREE + "gate f a { " + "h a; " * 99 + "} qubit[3] q; ctrl(2) @ f q[0], q[1], q[2];",
        "controls",
    ),
    "a sum of 50,000": (TWO + "qreg q[1]; rx(1" + "+1" * 45_000 + ") q[0];", ""),
    "minus minus minus": (TWO + "qreg q[1]; rx(" + "-" * 4_000 + "1) q[0];", "operators"),
    "a number of 50,000 digits": (TWO + f"qreg q[1]; rx({'9' * 50_000}) q[0];", "digits"),
    "a text without end": (TWO + "x " * 49_000, "no end"),
    "too much text": (TWO + "qreg q[1]; " + "x q[0]; " * 20_000, "at most 100000"),
    "comments that never end": (TWO + "/*" * 49_000, "not closed"),
    "one comment that never ends": (TWO + "/* " + "x" * 90_000, "not closed"),
    "ifs in ifs": (THREE + "qubit q; bit c; " + "if (c) " * 900 + "x q;" * 2, "nested"),
    "ifs without end": (THREE + "qubit q; bit c; " + "if (c) " * 9_000, ""),
    "quotes": (TWO + "\"'" * 40_000, ""),
    "many braces": (THREE + "if (c) {" * 9_000, "nested"),
    "many registers": (TWO + "".join(f"qreg q{k}[1];" for k in range(5_000)), "at most 128"),
    "a definition twice": (TWO + "gate f a { x a; } gate f a { y a; }", "twice"),
    "opaque": (TWO + "opaque f a; qreg q[1]; f q[0];", "not understood"),
    "a calibration": (THREE + "cal { } ", "not understood"),
    "no version": ("qreg q[1]; x q[0];", "begins with"),
    "nothing": ("", "begins with"),
    "bytes": ("\x00\x01\x02", "stands for nothing"),
    "brackets": (THREE + "}" * 50, "closes nothing"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_is_refused_before_it_is_parsed(desk, name):  # noqa: F811
    text, says = TEXTS[name]
    began = time.monotonic()

    told = desk.no("convert", qasm=text)

    assert says in told
    assert len(told) < 500
    assert time.monotonic() - began < BOUND_S


CIRCUITS = {
    "an angle that is no number": (circuit(1, gate("rx", 0, params="nan")), "parameter"),
    "an enormous angle": (circuit(1, gate("rx", 0, params=1e300)), "between"),
    "an enormous angle in a text": (circuit(1, gate("rx", 0, params="9" * 199)), "between"),
    "a deep angle": (circuit(1, gate("rx", 0, params="(" * 99 + "1")), "deep"),
    "a long angle": (circuit(1, gate("rx", 0, params="1+" * 500)), "characters"),
    "many angles": (circuit(1, gate("rx", 0, params=[0] * 5_000)), "params"),
    "the same qubit twice": (circuit(2, gate("cx", 1, 1)), "twice"),
    "measuring into nothing": (circuit(1, gate("measure", 0)) | {"clbits": 0}, "clbit"),
    "a condition on a missing bit": (
        circuit(1, gate("x", 0, condition={"clbit": 9})),
        "no clbit 9",
    ),
    "a circuit in itself": (
        circuit(1, gate("f", 0), circuits={"f": {"qubits": 1, "components": [gate("f", 0)]}}),
        "contains itself",
    ),
    "two circuits in each other": (
        circuit(
            1,
            gate("f", 0),
            circuits={
                "f": {"qubits": 1, "components": [gate("g", 0)]},
                "g": {"qubits": 1, "components": [gate("f", 0)]},
            },
        ),
        "contains itself",
    ),
    "forty deep": (chain(40), "deep"),
    "a repeat of a million": (circuit(1, gate("x", 0, repeat=1_000_000)), "written out"),
    "a repeat beyond measure": (circuit(1, gate("x", 0, repeat=10**18)), "repeat is"),
    "much of nothing": (
        circuit(
            1,
            gate("f", 0, repeat=9_999),
            circuits={"f": {"qubits": 1, "components": [gate("x", 0, repeat=0)] * 4_000}},
        ),
        "written out",
    ),
    "a million qubits": ({"qubits": 10**6, "components": []}, "at most 128"),
    "minus one qubit": ({"qubits": -1, "components": []}, "whole number"),
    "a name in no alphabet": (
        circuit(1, gate("ｆ", 0), circuits={"ｆ": {"qubits": 1, "components": []}}),
        "is no name",
    ),
    "a gate named by an accent": (circuit(1, gate("h́", 0)), "there is no gate"),
    "a gate that takes the name of another": (
        circuit(1, gate("H", 0), circuits={"H": {"qubits": 1, "components": []}}),
        "name of a gate",
    ),
    "a gate that isn't there": (circuit(1, gate("hadamart", 0)), "did you mean hadamard"),
    "a list for a name": (circuit(1, {"gate": ["x"], "qubits": [0]}), "has no gate"),
    "a list of lists": (circuit(1, [[[[]]]]), "no object"),
    "a parameter named pi": (circuit(1, parameters=["pi"]), "not pi"),
    "many parameters": (circuit(1, parameters=[f"p{k}" for k in range(99)]), "at most 64"),
}


@pytest.mark.parametrize("name", CIRCUITS)
def test_a_hostile_list_of_components_is_refused(desk, name):  # noqa: F811
    document, says = CIRCUITS[name]
    began = time.monotonic()

    for method in ("build", "check", "run", "hash", "draw"):
        told = desk.no(method, circuit=document)
        assert says in told
        assert len(told) < 500
    assert time.monotonic() - began < BOUND_S


MANY_GATES = [gate("u", q, params=[1, 2, 3]) for q in range(40)]
MANY_PAIRS = [gate("cx", q, (q + 7) % 40) for q in range(40)]
ASKED = {
    "forty qubits": (
        {"circuit": circuit(40, *[*MANY_GATES, *MANY_PAIRS] * 60, *measures(40))},
        "qubits would be admitted",
    ),
    "a hundred thousand million shots": ({"circuit": BELL, "shots": 10**9}, "at most 1000000"),
    "too many shots for the hold": (
        {"circuit": circuit(1, gate("rx", 0, params="a"), *measures(1), parameters=["a"])}
        | {"shots": 10**6, "sweep": [{"a": 1}] * 100},
        "it would be admitted with at most",
    ),
    "too deep": ({"circuit": circuit(1, gate("x", 0, repeat=6_000), *measures(1))}, "deep"),
    "a state of forty qubits": (
        {"circuit": circuit(40, gate("h", 0)), "outputs": ["statevector"]},
        "amplitudes",
    ),
    "a state after a reset": (
        {"circuit": circuit(1, gate("reset", 0)), "outputs": ["statevector"]},
        "at the end only",
    ),
    "nothing measured": ({"circuit": circuit(1, gate("h", 0))}, "nothing is measured"),
    "a memory of a million": ({"circuit": BELL, "shots": 10**6, "outputs": ["memory"]}, "at most"),
    "a stabilizer of a t": (
        {"circuit": circuit(1, gate("t", 0), *measures(1)), "method": "stabilizer"},
        "Clifford circuits only",
    ),
    "a density matrix of thirty": (
        {"circuit": circuit(30, gate("h", 0), gate("h", 29), *measures(30))}
        | {"method": "density_matrix", "noise": {"readout": 0.1}},
        "admitted",
    ),
    "a huge bond": ({"circuit": BELL, "bond": 60_000}, "at most 256"),
    "ten thousand points": (
        {"circuit": circuit(1, gate("rx", 0, params="a"), *measures(1), parameters=["a"])}
        | {"sweep": [{"a": 1}] * 10_000},
        "at most 1000 points",
    ),
    "a point without a value": (
        {"circuit": circuit(1, gate("rx", 0, params="a"), *measures(1), parameters=["a"])}
        | {"sweep": [{"b": 1}]},
        "gives values to a",
    ),
    "a parameter without a value": (
        {"circuit": circuit(1, gate("rx", 0, params="a"), *measures(1), parameters=["a"])},
        "has no value",
    ),
    "a batch of a thousand": ({"circuits": [BELL] * 1_000}, "1 to 100 circuits"),
    "a batch that is large together": (
        {"circuits": [circuit(1, gate("x", 0, repeat=4_000), *measures(1))] * 3},
        "at most 10000",
    ),
    "an observable of other width": (
        {"circuit": circuit(2, gate("h", 0)), "observables": {"z": {"ZZZ": 1}}},
        "letters",
    ),
    "an observable of nonsense": (
        {"circuit": circuit(2, gate("h", 0)), "observables": {"z": {"QQ": 1}}},
        "letters",
    ),
    "noise above certainty": ({"circuit": BELL, "noise": {"thermal": {"t1_us": 1}}}, "lacks"),
    "noise that relaxes too late": (
        {"circuit": BELL}
        | {"noise": {"thermal": {"t1_us": 1, "t2_us": 9, "one_ns": 1, "two_ns": 1}}},
        "at most twice",
    ),
    "a device that isn't there": ({"circuit": BELL, "noise": {"device": "../x"}}, "no device"),
    "OpenQASM to run": ({"qasm": TWO}, "convert it first"),
    "nothing at all": ({}, "give a circuit"),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_job_that_is_too_much_is_refused_with_its_figures(desk, name):  # noqa: F811
    args, says = ASKED[name]
    began = time.monotonic()

    told = desk.no("run", **args)

    assert says in told
    assert time.monotonic() - began < BOUND_S


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), True, None, 10**400])
def test_what_json_cannot_say_is_no_angle_either(value):
    with pytest.raises(AngleError):
        angle_of(value, ())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_door_lets_no_such_number_in(value):
    ask = Invoke(ID, "run", {"circuit": circuit(1, gate("rx", 0, params=value))})

    assert isinstance(enter(Envelope("alice", ask), Limits()), Malformed)


@pytest.mark.parametrize("shots", [0, -1, 1.5, "many", 2**40])
def test_shots_are_a_number_from_one(desk, shots):  # noqa: F811
    desk.no("run", circuit=BELL, shots=shots)


def test_ten_megabytes_of_components_are_refused_by_their_number():
    document = {"qubits": 1, "components": [{"gate": "x", "qubits": [0]}] * 200_000}
    tracemalloc.start()
    began = time.monotonic()

    with pytest.raises(CircuitError, match="there are 200000 components"):
        read(document, QuantumLimits())

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BOUND_BYTES
    assert time.monotonic() - began < BOUND_S


def test_ten_megabytes_do_not_pass_the_door(desk):  # noqa: F811
    document = {"qubits": 1, "components": [{"gate": "x", "qubits": [0]}] * 300_000}

    assert "at most" in desk.no("build", circuit=document)


def test_a_refusal_takes_little_memory(desk):  # noqa: F811
    dear = circuit(40, *[*MANY_GATES, *MANY_PAIRS] * 60, *measures(40))
    desk.no("run", circuit=dear)
    tracemalloc.start()

    desk.no("run", circuit=dear)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BOUND_BYTES


WRONG = {
    "an unknown gate": TWO + "qreg q[1]; frobnicate q[0];",
    "an unknown qubit": TWO + "qreg q[1]; x q[7];",
    "no angle": TWO + "qreg q[1]; rx q[0];",
    "nonsense": THREE + "qubit q; x x x;",
    "a type that does not fit": THREE + "qubit q; bit c; c = q;",
    "division by zero": TWO + "qreg q[1]; rx(1/0) q[0];",
    "an infinite angle": TWO + "qreg q[1]; rx(exp(9999)) q[0];",
    "an enormous angle": TWO + "qreg q[1]; rx(1e300) q[0];",
    "an unknown name": THREE + "qubit q; rx(tau2) q;",
    "an endless name": THREE + "qubit q; " + "x" * 50_000 + " q;",
    "a condition with an else that measures": (
        THREE + "qubit q; bit[2] c; if (c == 1) { c[0] = measure q; } else { x q; }"
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_text_that_is_wrong_is_told_by_its_parser_and_the_next_one_is_read(lab, name):  # noqa: F811
    answer = lab.ask("convert", qasm=WRONG[name])

    assert isinstance(answer, Failed)
    assert answer.code in (Code.TOOL_REFUSED, Code.TOOL_FAILED)
    assert "/" not in answer.detail.replace("1/0", "")
    assert isinstance(lab.ask("convert", qasm=TWO + "qreg q[1]; x q[0];"), Done)


def test_a_gate_that_a_text_defines_anew_is_not_taken_for_ours(lab):  # noqa: F811
    text = (
        'OPENQASM 2.0; include "qelib1.inc"; gate ryy(a) b,c { x b; } qreg q[2]; ryy(1) q[0],q[1];'
    )

    told = lab.done("convert", qasm=text)

    assert [c["gate"] for c in told["circuit"]["components"]] == ["x"]


def test_a_text_that_redefines_a_known_gate_means_its_own(lab):  # noqa: F811
    text = "OPENQASM 2.0; gate h a { U(0,0,1) a; } gate cp(l) a,b { CX a,b; } "
    text += "qreg q[2]; h q[0]; cp(1) q[0],q[1];"

    told = lab.done("convert", qasm=text)

    assert [c["gate"] for c in told["circuit"]["components"]] == ["u", "cx"]


def test_loops_and_ifs_of_a_text_are_written_out(lab):  # noqa: F811
    text = THREE + "qubit[2] q; bit[2] c; for int i in [0:2] { rx(i) q[0]; } c[0] = measure q[0]; "
    text += "if (c[0]) { if (!c[1]) { y q[1]; } } else { z q[1]; } negctrl @ x q[0], q[1];"

    told = lab.done("convert", qasm=text)["circuit"]["components"]

    assert [c["gate"] for c in told] == ["rx", "rx", "rx", "measure", "y", "z", "x", "cx", "x"]
    assert [c["params"] for c in told[:3]] == [[0], [1], [2]]
    assert told[4]["condition"] == {"clbits": [0, 1], "value": 1}
    assert told[5]["condition"] == {"clbits": [0], "value": 0}
