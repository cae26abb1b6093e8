"""What is said of a matrix product state before it is run: never less than what it comes to."""

import itertools
import math
import random
import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripworld.genesis.quantum_bonds import Chain
from scripworld.genesis.quantum_branches import Clusters
from scripworld.genesis.quantum_canonical import canonical
from scripworld.genesis.quantum_circuit import read
from scripworld.genesis.quantum_gates import GATES
from scripworld.genesis.quantum_limits import QuantumLimits
from scripworld.genesis.quantum_matrices import controlled, matrix

from . import quantum_reference as reference
from .quantum_lab import circuit, gate, measures

ANGLES = [0.3, -1.1, 2.0, 0.7]
WIDTH = 5


def chain_of(document):
    form = canonical(read(document, QuantumLimits()))
    return Chain(form, sorted({q for op in form.ops for q in op.qubits}))


def qft(n):
    turns = [
        [gate("h", q), *(gate("cp", q, k, params=math.pi / 2 ** (q - k)) for k in range(q))]
        for q in reversed(range(n))
    ]
    return [component for turn in turns for component in turn]


def ghz(n):
    return [gate("h", 0), *[gate("cx", q, q + 1) for q in range(n - 1)]]


@pytest.mark.parametrize("name", sorted(GATES))
def test_matrices_are_those_of_the_textbook(name):
    params = ANGLES[: GATES[name].params]
    alone, after = matrix(name, params), controlled(name, params)

    if alone is not None:
        assert np.allclose(np.reshape(alone, (2, 2)), reference.matrix(name, params, 1))
    if after is not None:
        width = max(GATES[name].qubits, 2)
        block = np.reshape(after, (2, 2))
        assert np.allclose(
            reference.controlled(block, width - 1), reference.matrix(name, params, width)
        )
    assert (alone is None) or (after is None)
    assert (alone is not None) is (
        GATES[name].qubits == 1 and GATES[name].acts
    ) or name == "unitary"


class TestBonds:
    def test_gates_that_entangle_nothing_leave_it_without_a_bond(self):
        adders = [gate("ccx", 0, 1, 2), gate("cx", 0, 1), gate("rccx", 3, 4, 2), gate("swap", 0, 4)]

        for components in (qft(20), [gate("x", 0), *adders, *qft(5)], [gate("h", 1), *adders]):
            assert chain_of(circuit(20, *components)).bits_max == 0

    def test_a_line_of_agreeing_qubits_has_one_bit_everywhere(self):
        chain = chain_of(circuit(60, *ghz(60)))
        load = chain.load(60, 32)

        assert {step.bond for step in chain.steps} == {2}
        assert (load.steps, load.bonds, load.sites) == (59, 59, 60)
        assert load.squares == 2 + 58 * 4 + 2

    def test_what_is_undone_is_no_longer_entangled(self):
        there = [gate("h", 0), gate("cx", 0, 1), gate("ccx", 0, 1, 2), gate("cry", 2, 3, params=1)]
        back = [*there[2::-1]]
        chain = chain_of(circuit(4, *there, gate("cry", 2, 3, params=-1), *back))

        assert chain.bits_max == 1
        assert chain.load(4, 32).squares == 4

    def test_a_bond_is_cut_off_at_the_cap(self):
        chance = random.Random(1)
        components = [
            component
            for _ in range(12)
            for q in range(9)
            for component in (
                gate("u", q, params=[chance.random() for _ in range(3)]),
                gate("cx", q, q + 1),
            )
        ]
        chain = chain_of(circuit(10, *components))

        wide, narrow = chain.load(10, 256), chain.load(10, 4)

        assert chain.bits_max == 5
        assert wide.squares == 4 + 2 * (2 * 4 + 4 * 8 + 8 * 16 + 16 * 32) + 0
        assert narrow.work < wide.work
        assert narrow.peak == narrow.squares == 2 * (2 + 8) + 6 * 16

    def test_however_long_a_circuit_is_it_takes_a_bounded_time(self):
        far = [gate("cx", q % 40, (q * 17 + 20) % 40) for q in range(9_000) if q % 40 != 20]
        turned = [gate("h", q) for q in range(0, 40, 3)]
        chain = chain_of(circuit(40, *turned, *[c for c in far if len(set(c["qubits"])) == 2]))
        began = time.process_time()

        load = chain.load(40, 32)

        assert chain.more > 0
        assert load.steps > len(chain.steps)
        assert chain.bits_max == 20
        assert time.process_time() - began < 10

    def test_it_goes_the_way_of_the_simulator(self):
        """Each step of the simulator's own log is one of ours, at most as entangled as was said."""
        aer = pytest.importorskip("qiskit_aer")
        from scripworld.adapters.quantum_building import Builder
        from scripworld.genesis.quantum_known import payload_of

        chance = random.Random(2)
        mixed = [gate("ry", q, params=q) for q in range(0, 7, 2)]
        for _ in range(30):
            name = chance.choice(["cx", "cz", "rzz", "rxx"])
            params = [0.4] * GATES[name].params
            mixed.append(gate(name, *chance.sample(range(7), 2), params=params))
        seen = 0
        for components in (qft(7), mixed, [gate("h", 3), *qft(7), *ghz(7)]):
            document = circuit(7, *components, *measures(7))
            form = canonical(read(document, QuantumLimits()))
            built = Builder().build(payload_of(form), None, {})
            simulator = aer.AerSimulator(method="matrix_product_state", mps_log_data=True)
            told = simulator.run(built, shots=1).result().results[0].metadata["MPS_log_data"]
            logged = [bonds.split() for bonds in re.findall(r"BD=\[([\d ]*)\]", told)]

            steps = Chain(form, range(7)).steps

            assert len(logged) - seen == len(steps)  # its log goes on from run to run
            for step, bonds in zip(steps, logged[seen:], strict=True):
                assert int(bonds[step.cut - 1]) <= step.bond
            seen = len(logged)


@st.composite
def many_gates(draw):
    told = []
    for _ in range(draw(st.integers(1, 25))):
        name = draw(
            st.sampled_from(
                ["h", "t", "x", "ry", "cx", "cz", "cp", "crx", "ccx", "c3x", "swap", "rxx"]
            )
        )
        qubits = draw(st.permutations(range(WIDTH)))[: GATES[name].qubits]
        params = [draw(st.sampled_from([0.0, 0.4, math.pi / 2, math.pi]))] * GATES[name].params
        told.append(gate(name, *qubits, params=params))
    return told


@given(many_gates())
def test_no_cut_has_a_higher_rank_than_was_said(components):
    clusters = Clusters(WIDTH, 5_000)
    for one in components:
        name, qubits, params = one["gate"], one["qubits"], one["params"]
        if len(qubits) == 1:
            clusters.turn(qubits[0], matrix(name, params))
        elif name == "swap":
            clusters.exchange(*qubits)
        elif (by := controlled(name, params)) is not None:
            clusters.control(qubits[:-1], qubits[-1], by)
        else:
            clusters.tangle(qubits)
    state = reference.simulate(circuit(WIDTH, *components)).reshape([2] * WIDTH)

    for size in range(1, WIDTH):
        for left in itertools.combinations(range(WIDTH), size):
            axes = [WIDTH - 1 - q for q in left]
            table = np.moveaxis(state, axes, range(size)).reshape(2**size, -1)
            values = np.linalg.svd(table, compute_uv=False)
            assert (values > 1e-6).sum() <= 2 ** clusters.bits(left) + 1e-9


@given(many_gates())
def test_no_bond_at_the_end_is_larger_than_was_said(components):
    """On neighbours, which are never moved."""
    near = []
    for one in components:
        width = len(one["qubits"])
        start = min(*one["qubits"], WIDTH - width, WIDTH)
        near.append(one | {"qubits": [start + k for k in range(width)]})
    form = canonical(
        read(circuit(WIDTH, *[gate("id", q) for q in range(WIDTH)], *near), QuantumLimits())
    )
    bonds = {step.cut: step.bond for step in Chain(form, range(WIDTH)).steps}
    state = reference.simulate(circuit(WIDTH, *near))

    for cut in range(1, WIDTH):
        values = np.linalg.svd(state.reshape(-1, 2**cut), compute_uv=False)
        assert (values > 1e-6).sum() <= bonds.get(cut, 1) + 1e-9
