"""Jobs asked for again: answered from the world's record, also after a restart and without workers."""

import pytest

from scripworld.adapters.event_store import SqliteEventLog
from scripworld.genesis.quantum import ID
from scripworld.world import Code, Done, EffectResult, Failed, Invoke, Refused, Waiting

from .quantum_lab import BELL, Laboratory, circuit, gate, lab, measures, workers  # noqa: F401

OTHERS = [
    {"seed": 4},
    {"shots": 101},
    {"method": "statevector"},
    {"outputs": ["counts", "memory"]},
    {"noise": {"readout": 0.1}},
    {"observables": {"zz": {"ZZ": 1}}},
    {"circuit": circuit(2, gate("h", 1), gate("cx", 1, 0), *measures(2))},
]
ASKED = {
    "run": {"circuit": BELL, "shots": 100, "seed": 3},
    "expect": {"circuit": circuit(2, gate("h", 0)), "observables": {"zz": {"ZZ": 1}}},
    "transpile": {"circuit": BELL, "basis": ["u", "cz"], "level": 1},
    "convert": {"qasm": 'OPENQASM 2.0; include "qelib1.inc"; qreg q[1]; h q[0];'},
    "draw": {"circuit": BELL},
}


def compute_left(lab):  # noqa: F811
    state = lab.world.state
    return state.resources.remaining("alice", "compute", state.now_us)


def without_use(told):
    return {name: value for name, value in told.items() if name not in ("used", "from_record")}


@pytest.mark.parametrize("method", ASKED)
def test_the_same_again_is_answered_at_once_for_the_cost_of_the_method(lab, method):  # noqa: F811
    first = lab.done(method, **ASKED[method])
    before = compute_left(lab)
    lab.done("hash", circuit=BELL)
    cost = before - compute_left(lab)

    again = lab.act(Invoke(ID, method, ASKED[method]))

    assert isinstance(again, Done)
    assert without_use(again.result) == without_use(first)
    assert again.result["from_record"]
    assert "from_record" not in first
    assert compute_left(lab) == before - 2 * cost


def test_it_says_that_nothing_ran(lab):  # noqa: F811
    lab.done("run", circuit=BELL)

    assert lab.done("run", circuit=BELL)["used"] == {"cpu_us": 0, "compute": 1}


def test_the_same_circuit_in_other_words_is_the_same_job(lab):  # noqa: F811
    first = lab.done("run", circuit=BELL)
    other = circuit(2, gate("hadamard", 0, id="a"), gate("cnot", 0, 1), *measures(2)[::-1])

    again = lab.act(Invoke(ID, "run", {"circuit": other, "seed": 0}))

    assert again.result["results"] == first["results"]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_whatever_changes_the_answer_runs_anew(lab, other):  # noqa: F811
    lab.done("run", **ASKED["run"])

    assert isinstance(lab.act(Invoke(ID, "run", ASKED["run"] | other)), Waiting)


def test_a_repeated_answer_can_be_bought_with_a_quota_that_the_job_is_too_dear_for(lab):  # noqa: F811
    dear = lab.act(Invoke(ID, "run", ASKED["run"]), "carol")
    assert isinstance(dear, Refused)
    assert dear.code is Code.QUOTA_EXCEEDED
    first = lab.done("run", **ASKED["run"])

    again = lab.act(Invoke(ID, "run", ASKED["run"]), "carol")

    assert again.result["results"] == first["results"]


def test_a_job_that_failed_is_tried_again(lab):  # noqa: F811
    assert isinstance(lab.act(Invoke(ID, "run", ASKED["run"])), Waiting)
    lost = lab.settle(lab.request(), EffectResult(None, Code.TOOL_CRASHED, "it died"))

    assert isinstance(lost, Failed)
    assert isinstance(lab.act(Invoke(ID, "run", ASKED["run"])), Waiting)


def test_the_record_answers_after_a_restart_and_proves_it_without_workers(tmp_path, workers):  # noqa: F811
    path = tmp_path / "world.db"
    first = Laboratory(workers, log=SqliteEventLog.create(path))
    told = first.done("run", **ASKED["run"])
    first.log.commit()
    first.log.close()

    again = Laboratory(None, log=SqliteEventLog.open(path))
    answer = again.act(Invoke(ID, "run", ASKED["run"]), "bob")

    assert answer.result["results"] == told["results"]
    assert answer.result["from_record"]
    again.prove()
    again.log.close()
