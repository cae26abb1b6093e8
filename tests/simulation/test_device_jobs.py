"""Jobs for devices in real runs: submitted in one process, fetched in the next, proved by neither."""

import pytest

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Observation, Scripted
from scripworld.world import Done, Envelope, Invoke, Settle, Sleep, Stop

from .lab import conserved

SECOND_US = 1_000_000
QUANTUM = "genesis_quantum"
BELL = {
    "qubits": 2,
    "clbits": 2,
    "components": [
        {"gate": "h", "qubits": [0]},
        {"gate": "cx", "qubits": [0, 1]},
        {"gate": "measure", "qubits": [0], "clbits": [0]},
        {"gate": "measure", "qubits": [1], "clbits": [1]},
    ],
}
SUBMIT = Invoke(QUANTUM, "submit", {"circuit": BELL, "device": "local:fake_manila", "shots": 50})


def submits_and_fetches(o: Observation):
    """Submit, rest until the run was interrupted, then ask for the counts of what was submitted."""
    if o.step == 0:
        return Envelope(o.principal, SUBMIT, 1_000, 1_000)
    if o.step == 1:
        return Sleep(20 * SECOND_US)
    if o.step == 2:
        job = o.recent[0].answer.result["job"]
        return Invoke(QUANTUM, "result", {"job": job})
    return Stop("fetched")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    pytest.importorskip("qiskit_ibm_runtime", reason="the extra devices is not installed")
    agent = {"id": "alice", "mind": "alice", "scrip": 80, "quotas": {"compute": 10_000}}
    scenario = Scenario.model_validate(
        {"name": "devices", "until_us": 60 * SECOND_US, "agents": [agent]}
    )
    settings = {"store": {"runs_dir": str(tmp_path_factory.mktemp("runs"))}}
    minds = {"alice": Scripted(submits_and_fetches)}
    first = scripworld.run(scenario, settings=settings, until_us=10 * SECOND_US, minds=minds)
    return scripworld.resume(first.folder, until_us=60 * SECOND_US, minds=minds)


def test_a_job_of_one_process_is_fetched_by_the_next(run):
    submitted, fetched = [r.answer for r in run.records() if isinstance(r.input, Settle)]

    assert isinstance(submitted, Done), submitted
    assert isinstance(fetched, Done), fetched
    assert fetched.result["job"] == submitted.result["job"]
    assert sum(fetched.result["counts"].values()) == 50


def test_its_price_was_paid_and_the_log_proves_it(run):
    run.verify(conserved)

    assert run.state().ledger.available("alice") == 30


def test_its_file_stands_in_the_folder_of_the_run(run):
    [path] = (run.folder / "quantum_jobs").iterdir()

    assert path.name.startswith("local-")
