"""Snapshots in the middle of a circuit, and gates by their matrix: what they tell, cost and mean."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripworld.genesis.quantum_limits import QuantumLimits

from .quantum_lab import BELL, Laboratory, circuit, desk, gate, lab, measures, workers  # noqa: F401
from .quantum_reference import simulate
from .test_quantum_gates import ON_FOUR, components

HALF = math.sqrt(0.5)
LIMITS = QuantumLimits()


def snapshot(label, kind, *qubits, **more):
    return {"gate": "snapshot", "label": label, "kind": kind, "qubits": list(qubits), **more}


def shown(lab, document, **args):  # noqa: F811
    return lab.done("run", circuit=document, **args)["results"][0]["snapshots"]


MIDDLE = [gate("h", 0), gate("cx", 0, 1), gate("t", 1)]
END = [gate("h", 1), gate("rx", 2, params=1.0), *measures(3)]


class TestTelling:
    def test_each_kind_tells_the_state_where_it_stands(self, lab):  # noqa: F811
        told = shown(
            lab,
            circuit(
                3,
                *MIDDLE,
                snapshot("whole", "statevector"),
                snapshot("pair", "density_matrix", 1, 0),
                snapshot("shares", "probabilities", 1),
                snapshot("energy", "expectation", 0, 1, observable={"ZZ": 2, "IX": 0.5}),
                *END,
            ),
        )

        state = simulate(circuit(3, *MIDDLE))
        assert [complex(*a) for a in told["whole"]] == pytest.approx(list(state))
        swapped = simulate(circuit(2, gate("h", 1), gate("cx", 1, 0), gate("t", 0)))
        pair = np.outer(swapped, swapped.conj())
        assert np.allclose(np.array(told["pair"]) @ [1, 1j], pair)
        assert told["shares"] == pytest.approx([0.5, 0.5])
        assert told["energy"] == pytest.approx(2)

    def test_counts_are_those_without_snapshots(self, lab):  # noqa: F811
        plain = circuit(3, *MIDDLE, *END)
        told = circuit(3, *MIDDLE, snapshot("middle", "probabilities"), *END)

        one, two = (lab.done("run", circuit=c, seed=5)["results"][0] for c in (plain, told))

        assert one["counts"] == two["counts"]
        assert one["hash"] != two["hash"]

    def test_a_circuit_that_measures_nothing_tells_its_snapshots(self, lab):  # noqa: F811
        told = lab.done(
            "run", circuit=circuit(1, gate("h", 0), snapshot("end", "probabilities", 0))
        )

        assert told["results"][0]["snapshots"]["end"] == pytest.approx([0.5, 0.5])
        assert "counts" not in told["results"][0]

    def test_after_a_measurement_it_is_the_mean_of_the_shots(self, lab):  # noqa: F811
        document = circuit(
            2, gate("h", 0), measures(1)[0], snapshot("mixed", "density_matrix", 0), gate("x", 1)
        )

        told = shown(lab, document, shots=2_000)["mixed"]

        assert told[0][0][0] == pytest.approx(0.5, abs=0.1)
        assert told[0][1] == [0, 0]

    @pytest.mark.parametrize("method", ["density_matrix", "statevector"])
    def test_noise_is_seen_in_a_snapshot(self, lab, method):  # noqa: F811
        document = circuit(
            2, gate("x", 0), snapshot("one", "expectation", 0, observable={"Z": 1}), *measures(2)
        )

        told = shown(
            lab, document, method=method, shots=1_000, noise={"depolarizing": {"one": 0.2}}
        )

        assert told["one"] == pytest.approx(-0.8, abs=0.12)

    def test_a_clifford_circuit_tells_them_by_the_stabilizer(self, lab):  # noqa: F811
        line = [gate("cx", q, q + 1) for q in range(39)]
        document = circuit(40, gate("h", 0), *line, snapshot("end", "probabilities", 0, 39))

        told = lab.done("run", circuit=document)["results"][0]

        assert told["method"] == "stabilizer"
        assert told["snapshots"]["end"] == pytest.approx([0.5, 0, 0, 0.5])

    def test_each_point_of_a_sweep_and_each_circuit_of_a_batch_has_its_own(self, lab):  # noqa: F811
        turn = circuit(
            1,
            gate("ry", 0, params="a"),
            snapshot("z", "expectation", 0, observable={"Z": 1}),
            parameters=["a"],
        )

        told = lab.done("run", circuits=[turn, turn], sweep=[{"a": 0}, {"a": math.pi}])["results"]

        assert [round(row["snapshots"]["z"], 9) for row in told] == [1, -1, 1, -1]


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(many=st.lists(st.tuples(components(4, ON_FOUR), st.integers(0, 12)), min_size=4, max_size=8))
def test_a_snapshot_is_the_state_that_the_components_before_it_make(lab, many):  # noqa: F811
    circuits = [
        circuit(4, *gates[:at], snapshot("here", "statevector"), *gates[at:]) for gates, at in many
    ]

    answer = lab.done("run", circuits=circuits)

    for (gates, at), told in zip(many, answer["results"], strict=True):
        state = np.array([complex(*a) for a in told["snapshots"]["here"]])
        wanted = simulate(circuit(4, *gates[:at]))
        assert abs(np.vdot(state, wanted)) == pytest.approx(1, abs=1e-9)


class TestForms:
    def test_it_is_written_out_and_read_back_with_the_same_hash(self, desk):  # noqa: F811
        document = circuit(
            2,
            *BELL["components"][:2],
            snapshot("a", "statevector", id="it"),
            snapshot("b", "expectation", 1, 0, observable={"XX": 1, "ZZ": -1}),
        )

        built = desk.done("build", circuit=document)

        assert desk.done("build", circuit=built["circuit"]) == built

    def test_where_it_stands_makes_a_difference_and_the_order_of_the_rest_none(self, desk):  # noqa: F811
        middle = snapshot("m", "probabilities", 0)

        def hashed(*components):
            return desk.done("hash", circuit=circuit(2, *components))["hash"]

        early = hashed(gate("h", 0), middle, gate("x", 0), gate("x", 1))
        late = hashed(gate("h", 0), gate("x", 0), middle, gate("x", 1))
        other = hashed(gate("x", 1), gate("h", 0), middle, gate("x", 0))
        pair = [snapshot("a", "probabilities", 0), snapshot("b", "probabilities", 0)]

        assert early == other != late
        assert hashed(*pair) == hashed(*pair[::-1])

    def test_it_takes_no_moment_of_its_own(self, desk):  # noqa: F811
        told = desk.done("check", circuit=circuit(1, gate("h", 0), snapshot("s", "probabilities")))

        assert told["depth"] == 1
        assert told["counts"] == {"h": 1, "snapshot": 1}
        assert told["run"]["admitted"]

    def test_it_is_drawn_with_its_label(self, lab):  # noqa: F811
        told = lab.done("draw", circuit=circuit(2, gate("h", 0), snapshot("here", "statevector")))

        assert "here" in told["text"]

    def test_it_is_priced(self, desk):  # noqa: F811
        document = circuit(4, *[gate("h", q) for q in range(4)], snapshot("s", "density_matrix"))

        told = desk.done("estimate", circuit=document)

        assert told["circuits"][0]["terms"]["snapshots"] > 0

    @pytest.mark.parametrize("to", ["qasm2", "qasm3"])
    @pytest.mark.parametrize(
        "component", [snapshot("s", "statevector"), gate("unitary", 0, matrix=[[0, 1], [1, 0]])]
    )
    def test_openqasm_has_none(self, desk, to, component):  # noqa: F811
        assert "has no" in desk.no("build", circuit=circuit(1, component), to=to)


WRONG = {
    "no label": (snapshot("", "statevector"), "has a label of letters"),
    "no kind": (snapshot("a", "picture"), "statevector, probabilities, density_matrix, exp"),
    "part of a state vector": (snapshot("a", "statevector", 0), "of all qubits: name none"),
    "no observable": (snapshot("a", "expectation", 0), "has an observable"),
    "an observable too many": (snapshot("a", "probabilities", 0, observable={"Z": 1}), "no other"),
    "a word too long": (snapshot("a", "expectation", 0, observable={"ZZ": 1}), "no word of 1"),
    "a word of nonsense": (snapshot("a", "expectation", 0, observable={"Q": 1}), "no word of 1"),
    "a factor of nonsense": (snapshot("a", "expectation", observable={"ZZ": "a"}), "no parameter"),
    "an empty observable": (snapshot("a", "expectation", observable={}), "factors by Pauli word"),
    "a condition": (snapshot("a", "statevector", condition={"clbit": 0}), "takes no condition"),
    "a repeat": (snapshot("a", "statevector", repeat=2), "stands once"),
    "its fields on another": (gate("h", 0, label="a"), "label is a field of snapshot, not of h"),
    "no matrix": (gate("unitary", 0), "2 rows of 2"),
    "a matrix of another size": (gate("unitary", 0, 1, matrix=[[1, 0], [0, 1]]), "4 rows of 4"),
    "three qubits": (gate("unitary", 0, 1, 2, matrix=[[1]]), "1 to 2 qubits"),
    "not unitary": (gate("unitary", 0, matrix=[[1, 0], [1, 0]]), "not unitary: see its rows 0"),
    "an entry of three": (gate("unitary", 0, matrix=[[[1, 0, 0], 0], [0, 1]]), "[real, imaginary]"),
    "an infinite entry": (gate("unitary", 0, matrix=[["1e999", 0], [0, 1]]), "finite"),
    "angles and a matrix": (gate("unitary", 0, params=1, matrix=[[1, 0], [0, 1]]), "no params"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_none_is_told_with_its_component(desk, name):  # noqa: F811
    component, says = WRONG[name]

    told = desk.no("build", circuit=circuit(3, component))

    assert "component 0" in told
    assert says in told


ASKED = {
    "a label twice": (
        {"circuit": circuit(1, *[snapshot("a", "probabilities")] * 2)},
        "two snapshots have the label 'a'",
    ),
    "a hundred": (
        {"circuit": circuit(2, *[snapshot(f"s{k}", "probabilities") for k in range(100)])},
        "at most 64 snapshots, not 100",
    ),
    "one in a sub-circuit": (
        {
            "circuit": circuit(
                1,
                gate("f", 0),
                circuits={"f": {"qubits": 1, "components": [snapshot("a", "statevector")]}},
            )
        },
        "in no sub-circuit",
    ),
    "too many numbers": (
        {"circuit": circuit(7, gate("h", 0), snapshot("a", "density_matrix"))},
        "16384 amplitudes, at most 4096",
    ),
    "numbers without end": (
        {"circuit": circuit(120, gate("h", 0), snapshot("a", "density_matrix"))},
        "amplitudes, at most 4096",
    ),
    "a state vector after a measurement": (
        {"circuit": circuit(1, gate("h", 0), *measures(1), snapshot("a", "statevector"))},
        "each shot has another state",
    ),
    "a state vector under noise": (
        {
            "circuit": circuit(1, gate("h", 0), snapshot("a", "statevector")),
            "noise": {"depolarizing": {"one": 0.1}},
        },
        "each shot has another state",
    ),
    "a method that does not tell it": (
        {
            "circuit": circuit(1, gate("h", 0), snapshot("a", "density_matrix")),
            "method": "stabilizer",
        },
        "does not tell all of these snapshots",
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_snapshot_that_cannot_be_told_is_refused(desk, name):  # noqa: F811
    args, says = ASKED[name]

    assert says in desk.no("run", **args)


def test_a_snapshot_is_not_transpiled(desk):  # noqa: F811
    told = desk.no("transpile", circuit=circuit(1, gate("h", 0), snapshot("a", "statevector")))

    assert "leave it out" in told


class TestMatrices:
    def test_a_gate_does_what_its_matrix_says(self, lab):  # noqa: F811
        y = [[0, [0, -1]], [[0, 1], 0]]
        turn = [[HALF, HALF], [-HALF, HALF]]
        swapped = [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, [0, 1]]]

        told = lab.done(
            "run",
            circuit=circuit(
                2,
                gate("unitary", 0, matrix=turn),
                gate("unitary", 1, matrix=y),
                gate("unitary", 0, 1, matrix=swapped),
            ),
            outputs=["statevector"],
        )["results"][0]["statevector"]

        assert [complex(*a) for a in told] == pytest.approx([0, HALF * 1j, 0, HALF])

    def test_it_is_written_out_to_the_last_digit(self, desk):  # noqa: F811
        document = circuit(1, gate("unitary", 0, matrix=[[0.6, 0.8], [[0.8, 0], [-0.6, 0]]]))

        built = desk.done("build", circuit=document)

        assert built["circuit"]["components"][0]["matrix"][1] == [[0.8, 0], [-0.6, 0]]
        assert desk.done("build", circuit=built["circuit"]) == built

    def test_it_is_transpiled_to_gates(self, lab):  # noqa: F811
        document = circuit(1, gate("unitary", 0, matrix=[[0, 1], [1, 0]]), *measures(1))

        told = lab.done("transpile", circuit=document, basis=["rz", "sx", "x", "cx"])

        assert "unitary" not in {c["gate"] for c in told["circuit"]["components"]}
        assert lab.done("run", circuit=told["circuit"])["results"][0]["counts"] == {"1": 1_024}
