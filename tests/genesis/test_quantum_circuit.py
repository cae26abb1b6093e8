"""Circuits of components: what is read, what each error says, and which circuits have one hash."""

import math

import pytest

from scripworld.genesis.quantum_angles import AngleError, angle_of
from scripworld.genesis.quantum_canonical import hash_of
from scripworld.genesis.quantum_circuit import CircuitError, bind, document_of, read
from scripworld.genesis.quantum_features import features_of
from scripworld.genesis.quantum_limits import QuantumLimits

from .quantum_lab import BELL, circuit, gate, measures

LIMITS = QuantumLimits()


def hashed(*components, qubits=4, **more):
    return hash_of(read(circuit(qubits, *components, **more), LIMITS))


class TestAngles:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("pi", math.pi),
            ("3*pi/4", 3 * math.pi / 4),
            ("-pi/2 + 0.5", -math.pi / 2 + 0.5),
            ("2*(1 - .5e1)", -8.0),
            ("-(-π)", math.pi),
            (3, 3.0),
        ],
    )
    def test_a_text_or_number_is_read(self, text, value):
        assert angle_of(text, ()) == value

    def test_an_angle_is_linear_in_parameters(self):
        told = angle_of("2*a - b/4 + pi", {"a", "b"})

        assert (told.constant, told.terms) == (math.pi, (("a", 2.0), ("b", -0.25)))

    def test_terms_that_cancel_leave_a_number(self):
        assert angle_of("a - a + 1", {"a"}) == 1.0

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "pi pi",
            "1/0",
            "a*b",
            "a/b",
            "sin(1)",
            "c",
            "1+",
            "(1",
            "2**3",
            "1e999",
            "(" * 100,
            "٣",
        ],
    )
    def test_what_is_none_is_told(self, text):
        with pytest.raises(AngleError):
            angle_of(text, {"a", "b"})


class TestReading:
    def test_sub_circuits_and_repeats_are_written_out(self):
        pair = {"qubits": 2, "parameters": ["t"], "components": [gate("rzz", 0, 1, params="2*t")]}
        told = read(
            circuit(3, gate("pair", 2, 0, params="pi/2", repeat=2), circuits={"pair": pair}), LIMITS
        )

        assert [(op.gate, op.qubits, op.params) for op in told.ops] == [
            ("rzz", (2, 0), (math.pi,))
        ] * 2

    def test_conditions_of_a_sub_circuit_hold_with_those_inside(self):
        inner = {"qubits": 1, "clbits": 1, "components": [gate("x", 0, condition={"clbit": 0})]}
        outer = gate("f", 1, clbits=[2], condition={"clbits": [0], "value": 0})

        told = read(circuit(3, outer, circuits={"f": inner}), LIMITS)

        assert told.ops[0].when == ((0, 0), (2, 1))

    def test_other_names_of_a_gate_are_one_gate(self):
        told = read(
            circuit(
                6,
                gate("CNOT", 0, 1),
                gate("mcx", 0, 1),
                gate("Toffoli", 0, 1, 2),
                gate("mcx", 0, 1, 2),
                gate("u2", 0, params=[0.1, 0.2]),
                gate("u3", 0, params=[0, 0, 0]),
                gate("cu3", 0, 1, params=[1, 2, 3]),
                gate("mcp", 0, 1, params=1),
            ),
            LIMITS,
        )

        assert [op.gate for op in told.ops] == ["cx", "cx", "ccx", "ccx", "u", "id", "cu", "cp"]
        assert told.ops[4].params == (math.pi / 2, 0.1, 0.2)
        assert told.ops[6].params == (1.0, 2.0, 3.0, 0.0)

    def test_a_circuit_told_as_components_is_the_same_circuit(self):
        parametric = circuit(
            2,
            gate("rx", 0, params="2*a+pi"),
            gate("x", 1, condition={"clbit": 1}),
            parameters=["a"],
        )
        told = read(parametric, LIMITS)

        assert read(document_of(told), LIMITS) == told

    def test_values_take_the_place_of_parameters(self):
        told = read(circuit(1, gate("rx", 0, params="2*a+1"), parameters=["a"]), LIMITS)

        assert bind(told, {"a": 0.5}).ops[0].params == (2.0,)

    @pytest.mark.parametrize(
        ("component", "says"),
        [
            (
                gate("hadamrd", 0, id="g7"),
                "component 'g7': there is no gate 'hadamrd': did you mean",
            ),
            (gate("cx", 0), "component 0: cx takes 2 qubits, not 1"),
            (gate("rx", 0), "rx takes 1 params, not 0"),
            (gate("h", 9), "there is no qubit 9: the circuit has 0 to 2"),
            (gate("h", -1), "there is no qubit -1"),
            (gate("cx", 1, 1), "a qubit is named twice"),
            (gate("measure", 0), "measure into one classical bit"),
            (gate("measure", 0, clbits=[5]), "there is no clbit 5"),
            (gate("x", 0, condition={"clbit": 7}), "there is no clbit 7"),
            (gate("x", 0, condition={"clbits": [0], "value": 2}), "1 classical bits are never 2"),
            (gate("x", 0, condition={}), "its condition"),
            (gate("x", 0, contition={}), "there is no field 'contition': did you mean condition?"),
            (gate("x", 0, repeat=-1), "repeat is a whole number from 0"),
            (gate("x", "0"), "qubits is a list of whole numbers"),
            (gate("x", True), "qubits is a list of whole numbers"),
            (gate("barrier", 0, condition={"clbit": 0}), "barrier takes no condition"),
            (gate("measure", 0, clbits=[1], condition={"clbit": 1}), "its own condition"),
            ({"qubits": [0]}, "component 0 has no gate"),
            ("x", "component 0 is no object"),
            (gate("rx", 0, params="tau"), "is no parameter"),
            (gate("x", 0, id="i" * 65), "an id is a text"),
        ],
    )
    def test_each_error_names_the_component_and_the_way_out(self, component, says):
        with pytest.raises(CircuitError) as told:
            read(circuit(3, component), LIMITS)

        assert says in str(told.value)

    def test_two_components_with_one_id_are_told(self):
        with pytest.raises(CircuitError, match="two components have the id 'a'"):
            read(circuit(1, gate("x", 0, id="a"), gate("y", 0, id="a")), LIMITS)


class TestHashes:
    def test_the_order_of_independent_gates_makes_no_difference(self):
        assert hashed(gate("h", 0), gate("x", 1), gate("cx", 2, 3)) == hashed(
            gate("cx", 2, 3), gate("x", 1), gate("h", 0)
        )

    def test_the_order_of_dependent_gates_makes_one(self):
        assert hashed(gate("h", 0), gate("x", 0)) != hashed(gate("x", 0), gate("h", 0))

    def test_ids_barriers_aliases_and_sub_circuits_make_no_difference(self):
        plain = hashed(gate("cx", 0, 1), gate("cx", 0, 1), gate("t", 2))
        pair = {"qubits": 2, "components": [gate("cnot", 0, 1, id="inner")]}
        written = hashed(
            gate("barrier", 0, 1, 2),
            gate("T", 2, id="t"),
            gate("pair", 0, 1, repeat=2),
            circuits={"pair": pair},
        )

        assert plain == written

    def test_symmetric_qubits_have_no_order_and_others_have_one(self):
        assert hashed(gate("rzz", 0, 1, params=1)) == hashed(gate("rzz", 1, 0, params=1))
        assert hashed(gate("ccx", 0, 1, 2)) == hashed(gate("ccx", 1, 0, 2))
        assert hashed(gate("cx", 0, 1)) != hashed(gate("cx", 1, 0))

    def test_the_last_digit_of_an_angle_makes_a_difference(self):
        near = math.nextafter(0.1, 1)

        assert hashed(gate("rx", 0, params=0.1)) != hashed(gate("rx", 0, params=near))

    def test_measurements_into_one_bit_keep_their_order(self):
        first = [gate("measure", 0, clbits=[0]), gate("measure", 1, clbits=[0])]

        assert hashed(*first) != hashed(*first[::-1])

    def test_a_condition_keeps_its_place_after_what_it_asks(self):
        asked = [gate("measure", 0, clbits=[0]), gate("x", 1, condition={"clbit": 0})]

        assert hashed(*asked) != hashed(*asked[::-1])

    def test_the_hash_of_a_known_circuit_stays(self):
        assert hash_of(read(BELL, LIMITS)) == (
            "c460742e1abb1cdbddc3b6934973bf866d527155f72471dec2113f7a8eb4ee8a"
        )


class TestFeatures:
    def test_width_depth_and_kinds_are_counted(self):
        told = features_of(
            read(circuit(5, gate("h", 0), gate("cz", 0, 3), gate("cx", 0, 3), *measures(1)), LIMITS)
        )

        assert (told.width, told.depth, told.one, told.many, told.diagonal) == (2, 4, 1, 1, 1)
        assert told.clifford
        assert not told.per_shot

    @pytest.mark.parametrize(
        "after",
        [gate("x", 0), gate("reset", 1), gate("x", 1, condition={"clbit": 0}), measures(1)[0]],
    )
    def test_what_makes_each_shot_run_alone(self, after):
        assert features_of(read(circuit(2, *measures(1), after), LIMITS)).per_shot

    def test_entanglement_is_bounded_by_the_gates_across_a_cut(self):
        line = [gate("cx", q, q + 1) for q in range(9)]

        assert features_of(read(circuit(10, *line), LIMITS)).entanglement == 1
        assert features_of(read(circuit(10, *line * 20), LIMITS)).entanglement == 5
