"""Circuits that were read before are known; whatever is different is read anew."""

import pytest

from scripworld.genesis.quantum_canonical import hash_of
from scripworld.genesis.quantum_component import CircuitError
from scripworld.genesis.quantum_known import KEPT_BYTES_MAX, KEPT_MAX, Known
from scripworld.genesis.quantum_limits import QuantumLimits

from .quantum_lab import BELL, circuit, gate

TURN = circuit(1, gate("ry", 0, params="2*a"), parameters=["a"])


def turned(angle):
    return circuit(1, gate("rx", 0, params=angle))


def test_an_equal_document_is_known():
    known = Known(QuantumLimits())
    first = known.read(BELL)

    again = known.read(circuit(2, *BELL["components"]))

    assert again is first
    assert first.hash == hash_of(first.circuit)


def test_other_angles_and_other_values_are_others():
    known = Known(QuantumLimits())

    told = [known.read(turned(0.1)), known.read(turned(0.1 + 1e-15)), known.read(TURN)]
    told += [known.read(TURN, {"a": 1}), known.read(TURN, {"a": 2})]

    assert len({one.hash for one in told}) == len(told)


def test_what_is_wrong_is_wrong_again():
    known = Known(QuantumLimits())

    for _ in range(2):
        with pytest.raises(CircuitError, match="there is no gate"):
            known.read(circuit(1, gate("hh", 0)))


def test_only_so_many_are_kept_and_those_asked_for_are_kept_longest():
    known = Known(QuantumLimits())
    often, seldom = known.read(turned(0.0)), known.read(turned(0.5))
    for number in range(KEPT_MAX - 1):
        known.read(turned(1.0 + number))
        assert known.read(turned(0.0)) is often

    assert known.read(turned(0.5)) is not seldom


def test_large_documents_leave_room_for_few():
    known = Known(QuantumLimits())
    many = [turned(0.1)["components"][0] | {"id": f"component {k}"} for k in range(9_000)]
    large = circuit(1, *many)
    first, small = known.read(large), known.read(BELL)
    assert first.size_bytes > KEPT_BYTES_MAX / 3

    for name in ("a", "b", "c"):
        known.read(large | {"name": name})

    assert known.read(large) is not first
    assert known.read(BELL) is not small
