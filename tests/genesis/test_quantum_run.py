"""What genesis_quantum does with circuits: textbook results, sweeps, noise, transpiling, drawing, comparing."""

import base64
import json
import math

import pytest

from scripworld.genesis.quantum import ID
from scripworld.genesis.quantum_limits import QuantumLimits
from scripworld.world import Code, Contract, EffectResult, Failed, Invoke, Waiting, Write

from .quantum_lab import BELL, Laboratory, circuit, gate, lab, measures, workers  # noqa: F401

SHOTS = 4_096


def near(count, share, shots=SHOTS):
    """Within six standard deviations; the seeds are fixed, so this never varies."""
    return abs(count - share * shots) <= 6 * math.sqrt(shots * share * (1 - share) + 1)


def counts(lab, document, **args):  # noqa: F811
    return lab.done("run", circuit=document, shots=SHOTS, **args)["results"][0]["counts"]


class TestTextbook:
    @pytest.mark.parametrize("method", ["statevector", "stabilizer", "matrix_product_state"])
    def test_a_bell_pair_agrees(self, lab, method):  # noqa: F811
        told = counts(lab, BELL, method=method)

        assert set(told) == {"00", "11"}
        assert near(told["00"], 0.5)

    def test_twenty_qubits_agree_in_ghz(self, lab):  # noqa: F811
        line = [gate("cx", q, q + 1) for q in range(19)]

        told = counts(lab, circuit(20, gate("h", 0), *line, *measures(20)))

        assert set(told) == {"0" * 20, "1" * 20}

    def test_sixty_qubits_go_through_the_stabilizer(self, lab):  # noqa: F811
        line = [gate("cx", q, q + 1) for q in range(59)]

        told = lab.done("run", circuit=circuit(60, gate("h", 0), *line, *measures(60)))

        assert told["results"][0]["method"] == "stabilizer"

    def test_teleportation_carries_a_state(self, lab):  # noqa: F811
        told = counts(
            lab,
            circuit(
                3,
                gate("ry", 0, params=2 * math.acos(math.sqrt(0.8))),
                gate("h", 1),
                gate("cx", 1, 2),
                gate("cx", 0, 1),
                gate("h", 0),
                gate("measure", 0, clbits=[0]),
                gate("measure", 1, clbits=[1]),
                gate("x", 2, condition={"clbit": 1}),
                gate("z", 2, condition={"clbits": [0, 1], "value": 1}),
                gate("z", 2, condition={"clbits": [0, 1], "value": 3}),
                gate("measure", 2, clbits=[2]),
            ),
        )

        assert near(sum(n for bits, n in told.items() if bits[0] == "0"), 0.8)

    def test_bernstein_vazirani_finds_the_secret(self, lab):  # noqa: F811
        secret, n = "1011", 4
        asked = [gate("cx", q, n) for q in range(n) if secret[::-1][q] == "1"]
        all_h = [gate("h", q) for q in range(n)]
        ask = circuit(5, *all_h, gate("x", n), gate("h", n), *asked, *all_h, *measures(n))

        assert set(counts(lab, ask | {"clbits": n})) == {secret}

    def test_grover_finds_one_of_eight(self, lab):  # noqa: F811
        over = [gate("h", q) for q in range(3)]
        flip = [gate("x", q) for q in range(3)]
        oracle = [gate("x", 1), gate("ccz", 0, 1, 2), gate("x", 1)]
        spread = [*over, *flip, gate("ccz", 0, 1, 2), *flip, *over]

        told = counts(lab, circuit(3, *over, *[*oracle, *spread] * 2, *measures(3)))

        assert near(told["101"], 0.9453125)

    def test_phase_estimation_reads_a_phase(self, lab):  # noqa: F811
        powers = [gate("cp", q, 3, params=2 * math.pi * 5 / 8, repeat=2**q) for q in range(3)]
        inverse = [
            gate("swap", 0, 2),
            gate("h", 0),
            gate("cp", 0, 1, params="-pi/2"),
            gate("h", 1),
            gate("cp", 0, 2, params="-pi/4"),
            gate("cp", 1, 2, params="-pi/2"),
            gate("h", 2),
        ]
        over = [gate("h", q) for q in range(3)]

        told = counts(lab, circuit(4, gate("x", 3), *over, *powers, *inverse, *measures(3)))

        assert set(told) == {"0101"}

    def test_the_energy_of_hydrogen_is_known(self, lab):  # noqa: F811
        hydrogen = {"II": -1.052373245772859, "IZ": 0.39793742484318045}
        hydrogen |= {"ZI": -0.39793742484318045, "ZZ": -0.01128010425623538}
        hydrogen["XX"] = 0.18093119978423156
        ansatz = circuit(
            2,
            gate("x", 0),
            gate("ry", 1, params="theta"),
            gate("cx", 1, 0),
            parameters=["theta"],
        )
        sweep = [{"theta": -0.5 + k / 100} for k in range(101)]

        told = lab.done("expect", circuit=ansatz, sweep=sweep, observables={"energy": hydrogen})

        lowest = min(row["expectations"]["energy"] for row in told["results"])
        assert lowest == pytest.approx(-1.857275, abs=1e-4)


class TestRunning:
    def test_a_result_names_all_that_runs_it_again(self, lab):  # noqa: F811
        told = lab.done("run", circuit=BELL, shots=100, seed=11)
        again = Laboratory(lab.workers).done("run", circuit=BELL, shots=100, seed=told["seed"])

        assert again["results"] == told["results"]
        assert told["results"][0]["hash"] == lab.done("hash", circuit=BELL)["hash"]
        assert set(told["versions"]) == {"qiskit", "qiskit_aer"}
        assert told["used"]["compute"] >= 1

    def test_circuits_of_one_hash_give_the_same_counts(self, lab):  # noqa: F811
        mixed = circuit(
            3,
            *[gate("h", q) for q in range(3)],
            *measures(2),
            gate("h", 0),
            gate("rx", 2, params=1),
            gate("measure", 0, clbits=[2]),
        )
        order = [2, 1, 0, 4, 6, 3, 5, 7]
        other = mixed | {"components": [mixed["components"][k] for k in order]}

        one = lab.done("run", circuit=mixed, seed=3)
        two = Laboratory(lab.workers).done("run", circuit=other, seed=3)

        assert one["results"] == two["results"]

    def test_all_outputs_at_once_agree(self, lab):  # noqa: F811
        outputs = ["counts", "memory", "statevector", "probabilities"]

        told = lab.done(
            "run", circuit=BELL, shots=16, outputs=outputs, observables={"zz": {"ZZ": 1}}
        )["results"][0]

        assert sorted(told["memory"]).count("00") == told["counts"]["00"]
        assert told["probabilities"] == pytest.approx([0.5, 0, 0, 0.5])
        assert told["statevector"][3] == pytest.approx([math.sqrt(0.5), 0])
        assert told["expectations"]["zz"] == pytest.approx(1)

    def test_a_sweep_is_one_job_and_each_point_can_be_run_again(self, lab):  # noqa: F811
        turn = circuit(1, gate("ry", 0, params="2*a"), *measures(1), parameters=["a"])
        points = [{"a": k / 4} for k in range(5)]

        told = lab.done("run", circuit=turn, sweep=points, seed=5, method="statevector")["results"]

        assert [row["point"] for row in told] == points
        alone = lab.done(
            "run", circuit=turn, values=points[3], seed=told[3]["seed"], method="statevector"
        )
        assert alone["results"][0]["counts"] == told[3]["counts"]

    def test_a_batch_may_need_several_methods(self, lab):  # noqa: F811
        turn = circuit(1, gate("t", 0), *measures(1))

        told = lab.done("run", circuits=[BELL, turn, BELL])["results"]

        assert [row["method"] for row in told] == ["stabilizer", "statevector", "stabilizer"]

    @pytest.mark.parametrize(
        "noise",
        [
            {"depolarizing": {"one": 0.01, "two": 0.05}},
            {"readout": 0.05},
            {"readout": [0.05, 0.1]},
            {"thermal": {"t1_us": 50, "t2_us": 70, "one_ns": 500, "two_ns": 3000}},
            {"depolarizing": {"two": 0.1}, "readout": 0.01},
            {"device": "generic_3"},
        ],
    )
    def test_noise_makes_a_bell_pair_disagree_sometimes(self, lab, noise):  # noqa: F811
        told = counts(lab, BELL, noise=noise)

        assert 0 < told.get("01", 0) + told.get("10", 0) < 0.2 * SHOTS

    def test_a_wide_shallow_circuit_goes_to_a_matrix_product_state(self, lab):  # noqa: F811
        line = [gate("rzz", q, q + 1, params=0.3) for q in range(39)]
        wide = circuit(40, *[gate("ry", q, params=1) for q in range(40)], *line, *measures(40))

        told = lab.done("run", circuit=wide, shots=10)

        assert told["results"][0]["method"] == "matrix_product_state"
        assert told["results"][0]["exact"]
        assert told["bond"] == QuantumLimits().bond


class TestCosts:
    def test_what_is_estimated_is_held_and_what_is_used_is_reported(self, lab):  # noqa: F811
        price = lab.done("estimate", circuit=BELL, shots=50_000)
        answer = lab.act(Invoke(ID, "run", {"circuit": BELL, "shots": 50_000}))
        assert isinstance(answer, Waiting)
        request = lab.request()

        assert request.payload["hold"] == price["held"]
        assert sum(price["circuits"][0]["terms"].values()) == pytest.approx(price["cpu_s"])
        result = lab.workers.do(lab.workers.pool.perform(request))
        assert result.usage["cpu_us"] <= price["held"]["cpu_us"]
        lab.settle(request, result)

    def test_check_says_what_a_run_would_be(self, lab):  # noqa: F811
        told = lab.done("check", circuit=BELL)

        assert (told["width"], told["depth"], told["clifford"]) == (2, 3, True)
        assert told["run"]["admitted"]
        assert told["run"]["circuits"][0]["method"] == "stabilizer"
        assert set(told["run"]["methods"]) == {
            "statevector",
            "stabilizer",
            "matrix_product_state",
        }

    def test_a_job_that_outlives_its_hold_is_ended_and_charged(self, lab):  # noqa: F811
        turns = [gate("u", q, params=[1, 2, 3]) for q in range(20)]
        pairs = [gate("cx", q, (q + 7) % 20) for q in range(20)]
        dear = circuit(20, *[*turns, *pairs] * 20, *measures(20))
        assert isinstance(lab.act(Invoke(ID, "run", {"circuit": dear})), Waiting)
        request = lab.request()
        request.payload["hold"]["cpu_us"] = 60_000

        result = lab.workers.do(lab.workers.pool.perform(request))
        answer = lab.settle(request, result)

        assert isinstance(answer, Failed)
        assert answer.code is Code.EFFECT_TIMEOUT
        assert result.usage["compute"] >= 1
        assert counts(lab, BELL)

    def test_a_replay_needs_no_workers(self, lab):  # noqa: F811
        lab.done("run", circuit=BELL)
        lab.workers = None

        lab.prove()

    def test_a_settled_effect_answers_from_what_was_recorded(self, lab):  # noqa: F811
        assert isinstance(lab.act(Invoke(ID, "run", {"circuit": BELL})), Waiting)
        row = {"seed": 0, "method": "stabilizer", "counts": {"00": 1_024}}
        recorded = {"results": [[row]], "versions": {"qiskit": "0", "qiskit_aer": "0"}}

        answer = lab.settle(lab.request(), EffectResult(recorded, usage={"cpu_us": 1}))

        assert answer.result["results"][0]["counts"] == {"00": 1_024}


class TestGoods:
    def test_a_circuit_and_a_result_can_be_kept_as_artifacts(self, lab):  # noqa: F811
        freeware = Contract("freeware")
        lab.act(Write("bell", json.dumps(BELL), contract=freeware), "bob")
        told = lab.done("run", circuit={"artifact": "bell"}, shots=200)
        lab.act(Write("result", json.dumps(told), contract=freeware), "bob")

        same = lab.done("compare", a={"artifact": "result"}, b=told)

        assert same["identical"]
        assert same["same_circuit"]

    def test_a_forged_result_is_found_by_running_it_again(self, lab):  # noqa: F811
        told = lab.done("run", circuit=BELL, shots=200)
        forged = json.loads(json.dumps(told))
        forged["results"][0]["counts"] = {"00": 200}

        again = lab.done("run", circuit=BELL, shots=forged["shots"], seed=forged["seed"])

        assert not lab.done("compare", a=forged, b=again)["identical"]
        assert lab.done("compare", a=told, b=again)["identical"]

    @pytest.mark.parametrize("contract", [Contract("private"), Contract("pay_per_use", 5)])
    def test_an_artifact_that_may_not_be_read_for_nothing_is_not_run(self, lab, contract):  # noqa: F811
        lab.act(Write("secret", json.dumps(BELL), contract=contract), "bob")

        assert "is not read for you" in lab.no("run", circuit={"artifact": "secret"})

    def test_an_artifact_that_is_no_circuit_is_told(self, lab):  # noqa: F811
        lab.act(Write("poem", "roses are red", contract=Contract("freeware")), "bob")

        assert "no JSON" in lab.no("run", circuit={"artifact": "poem"})
        assert "there is no artifact" in lab.no("hash", circuit={"artifact": "nothing"})

    def test_states_are_compared_by_their_fidelity(self, lab):  # noqa: F811
        plus = circuit(1, gate("h", 0))
        zero = circuit(1, gate("id", 0))
        a, b = (lab.done("run", circuit=c, outputs=["statevector"]) for c in (plus, zero))

        assert lab.done("compare", a=a, b=b)["state_fidelity"] == pytest.approx(0.5)


class TestTranspiling:
    def test_a_report_is_given_level_by_level(self, lab):  # noqa: F811
        ghz = circuit(5, gate("h", 0), *[gate("cx", 0, q) for q in range(1, 5)], *measures(5))

        told = lab.done("transpile", circuit=ghz, levels=[0, 1, 2, 3], coupling="line_5", seed=4)

        assert [row["level"] for row in told["report"]] == [0, 1, 2, 3]
        assert told["report"][0]["two_qubit"] >= told["report"][3]["two_qubit"] >= 4
        assert told["from"] == lab.done("hash", circuit=ghz)["hash"]
        assert told["hash"] == lab.done("hash", circuit=told["circuit"])["hash"]
        gates = {c["gate"] for c in told["circuit"]["components"]}
        assert gates <= {"rz", "sx", "x", "cx", "measure"}

    def test_what_is_transpiled_measures_the_same(self, lab):  # noqa: F811
        told = lab.done("transpile", circuit=BELL, basis=["u", "cz"], level=2)

        assert set(counts(lab, told["circuit"])) == {"00", "11"}

    def test_a_fake_device_is_a_target(self, lab):  # noqa: F811
        told = lab.done("transpile", circuit=BELL, device="generic_5", level=1)

        assert told["circuit"]["qubits"] == 5

    def test_the_same_seed_gives_the_same_circuit(self, lab):  # noqa: F811
        ring = circuit(6, *[gate("cx", q, (q + 2) % 6) for q in range(6)])
        ask = {"circuit": ring, "coupling": "ring_6", "level": 3, "seed": 8}

        again = Laboratory(lab.workers).done("transpile", **ask)

        assert lab.done("transpile", **ask)["hash"] == again["hash"]


class TestDrawing:
    def test_text_shows_the_gates(self, lab):  # noqa: F811
        assert "┤ H ├" in lab.done("draw", circuit=BELL)["text"]

    def test_pictures_are_svg_and_png_and_always_the_same(self, lab):  # noqa: F811
        pytest.importorskip("matplotlib")
        pytest.importorskip("pylatexenc")
        svg = lab.done("draw", circuit=BELL, format="svg")
        png = lab.done("draw", circuit=BELL, format="png")

        assert "<svg" in svg["text"]
        assert base64.b64decode(png["base64"]).startswith(b"\x89PNG")
        assert Laboratory(lab.workers).done("draw", circuit=BELL, format="svg") == svg

    def test_a_histogram_is_drawn_of_counts(self, lab):  # noqa: F811
        pytest.importorskip("matplotlib")

        told = lab.done("draw", counts={"00": 3, "11": 5}, format="svg")

        assert "<svg" in told["text"]


def test_a_poor_caller_learns_that_the_quota_is_not_enough(lab):  # noqa: F811
    answer = lab.act(Invoke(ID, "estimate", {"circuit": BELL, "shots": 500_000}), "carol")

    assert not answer.result["quota"]["is_enough"]
