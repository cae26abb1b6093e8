"""Estimates and admission from features alone, and how coefficients are fitted to a machine."""

import asyncio
import random
import re

import msgspec
import pytest

from scripworld.genesis.quantum_admission import Desk, NotAdmitted
from scripworld.genesis.quantum_calibration import calibrate, payload, probes
from scripworld.genesis.quantum_canonical import canonical
from scripworld.genesis.quantum_circuit import read
from scripworld.genesis.quantum_estimate import METHODS, Work, estimate
from scripworld.genesis.quantum_features import features_of
from scripworld.genesis.quantum_limits import MEBIBYTE, Coefficients, QuantumLimits

from .quantum_lab import BELL, circuit, gate, measures

LIMITS, COEFFICIENTS = QuantumLimits(), Coefficients()
DESK = Desk(LIMITS, COEFFICIENTS)


def features(document):
    return features_of(canonical(read(document, LIMITS)))


def layers(n, depth):
    """Turns of every qubit and pairs at random."""
    chance = random.Random(n)
    components = []
    for _ in range(depth):
        components += [gate("u", q, params=[0.1, 0.2, 0.3]) for q in range(n)]
        order = chance.sample(range(n), n)
        components += [gate("cx", *order[k : k + 2]) for k in range(0, n - 1, 2)]
    return circuit(n, *components, *measures(n))


@pytest.mark.parametrize(
    ("n", "seconds", "bytes_"),
    [(12, 0.027, 0), (16, 0.13, 0), (20, 2.1, 0), (24, 42, 262e6)],
)
def test_twenty_layers_cost_what_was_measured(n, seconds, bytes_):
    told = estimate(features(layers(n, 20)), "statevector", Work(1_024), COEFFICIENTS)

    assert told.seconds == pytest.approx(seconds, rel=0.3)
    assert told.memory_bytes >= bytes_


@pytest.mark.parametrize("method", METHODS)
def test_the_terms_are_all_of_an_estimate_and_more_shots_cost_more(method):
    few, many = (
        estimate(features(layers(6, 3)), method, Work(shots), COEFFICIENTS)
        for shots in (10, 10_000)
    )

    assert sum(many.terms.values()) == pytest.approx(many.seconds)
    assert many.seconds > few.seconds
    assert many.memory_bytes > few.memory_bytes


def test_an_estimate_of_anything_is_finite():
    wide = features(circuit(128, *[gate("h", q) for q in range(128)], *measures(128)))

    for method in METHODS:
        told = estimate(wide, method, Work(10**9, points=1_000), COEFFICIENTS)
        assert told.seconds < float("inf")
        assert told.memory_bytes <= 2**62


class TestChoosing:
    @pytest.mark.parametrize(
        ("document", "method"),
        [
            (BELL, "stabilizer"),
            (circuit(2, gate("t", 0), *measures(2)), "statevector"),
            (circuit(40, *[gate("h", q) for q in range(40)], *measures(40)), "stabilizer"),
            (
                circuit(
                    40,
                    *[gate("ry", q, params=1) for q in range(40)],
                    *[gate("cx", q, q + 1) for q in range(39)],
                    *measures(40),
                ),
                "matrix_product_state",
            ),
        ],
    )
    def test_the_best_method_that_fits_is_chosen(self, document, method):
        assert DESK.choose(features(document), Work(100), "automatic").method == method

    def test_noise_takes_the_cheaper_of_density_matrix_and_shots(self):
        few = DESK.choose(features(layers(10, 5)), Work(10, noisy="gates"), "automatic")
        many = DESK.choose(features(layers(5, 5)), Work(20_000, noisy="gates"), "automatic")

        assert few.method == "statevector"
        assert many.method == "density_matrix"

    def test_a_state_is_told_by_the_state_vector_alone(self):
        outputs = frozenset(("statevector",))

        assert DESK.choose(features(BELL), Work(1), "automatic", outputs).method == "statevector"
        with pytest.raises(NotAdmitted, match="lists no amplitudes"):
            DESK.choose(features(BELL), Work(1), "stabilizer", outputs)


class TestRefusing:
    def test_the_width_that_a_refusal_names_is_the_largest(self):
        told = features(layers(30, 60))
        with pytest.raises(NotAdmitted) as no:
            DESK.choose(told, Work(100), "statevector")

        width = int(re.search(r"at most (\d+) qubits", str(no.value))[1])
        for n, fits in ((width, True), (width + 1, False)):
            smaller = msgspec.structs.replace(told, qubits=tuple(range(n)))
            by = estimate(smaller, "statevector", Work(100), COEFFICIENTS)
            assert (by.seconds * LIMITS.safety <= LIMITS.cpu_s_max) is fits

    def test_the_shots_that_a_refusal_names_are_the_most(self):
        told = features(
            layers(12, 3) | {"components": [gate("reset", 0), *layers(12, 3)["components"]]}
        )
        with pytest.raises(NotAdmitted) as no:
            DESK.choose(told, Work(1_000_000), "statevector")

        shots = int(re.search(r"at most (\d+) shots", str(no.value))[1])
        assert DESK.choose(told, Work(shots), "statevector")
        with pytest.raises(NotAdmitted):
            DESK.choose(told, Work(shots + 1), "statevector")

    def test_circuits_that_fit_alone_may_be_too_much_together(self):
        one = (features(layers(20, 20)), Work(100))

        assert DESK.admit([one], "statevector")
        with pytest.raises(NotAdmitted, match="run fewer at a time"):
            DESK.admit([one] * 20, "statevector")

    def test_a_hold_is_the_estimate_with_the_safety_factor(self):
        hold = DESK.hold(1.5, 10 * MEBIBYTE)

        assert hold.cpu_us == 1_500_000 * LIMITS.safety
        assert hold.compute == 3 * LIMITS.compute_per_cpu_s


class TestCalibrating:
    def test_the_coefficients_of_a_machine_are_found(self):
        """On a machine that is exactly as the formulas say, but of another speed."""
        names = Coefficients.__struct_fields__
        true = Coefficients(**{name: getattr(COEFFICIENTS, name) * 1.7 for name in names})
        by_payload = {repr(payload(probe)): probe for probe in probes()}

        async def measure(work):
            probe = by_payload[repr(work)]
            return estimate(features(probe.document), probe.method, Work(probe.shots), true).seconds

        found, ratios = asyncio.run(calibrate(measure, COEFFICIENTS))

        assert ratios == pytest.approx([1.0] * len(ratios), rel=0.1)
        assert found.sv_many == pytest.approx(true.sv_many, rel=0.1)

    def test_a_probe_is_made_of_its_term_for_the_most_part(self):
        for probe in probes():
            told = estimate(features(probe.document), probe.method, Work(probe.shots), COEFFICIENTS)
            assert told.terms[probe.term] > 0.4 * told.seconds, (probe.method, probe.term)
