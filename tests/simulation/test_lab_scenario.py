"""The scenario `lab` from end to end: circuits are sold, run, forged, found out, and proved without Qiskit."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Run
from scripworld.interfaces.render import show_summary
from scripworld.interfaces.tables import console
from scripworld.simulation.report import Summary
from scripworld.world import (
    Code,
    Done,
    Envelope,
    Invoke,
    Read,
    Record,
    Refused,
    Settle,
    Waiting,
    Write,
)

from .lab import conserved

QUANTUM = "genesis_quantum"
HYDROGEN = -1.857275
WITHOUT_QISKIT = """
import sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("qiskit", "qiskit_aer", "qiskit_qasm3_import", "numpy"):
            raise ImportError(f"no module {name}")

sys.meta_path.insert(0, Gone())
import scripworld

runs, again = sys.argv[1:]
first = scripworld.open_run(runs + "/first")
print(first.verify().head)
if again:
    settings = {"store": {"runs_dir": runs}}
    second = scripworld.run("lab", seed=1, run_id=again, settings=settings, effects_from="first")
    print(second.verify().head)
assert not {"qiskit", "qiskit_aer"} & sys.modules.keys()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def run(runs: Path) -> Run:
    return scripworld.run(
        "lab", seed=1, run_id="first", settings={"store": {"runs_dir": str(runs)}}
    )


@pytest.fixture(scope="module")
def records(run: Run) -> list[Record]:
    return list(run.records())


@pytest.fixture(scope="module")
def summary(run: Run) -> Summary:
    return run.summary()


def done(records: list[Record], kind: type) -> list[tuple[int, str, Any, Any]]:
    """What was done, of one kind of action: world time, by whom, the action and its result."""
    asked: dict[str, tuple[str, Any]] = {}
    told = []
    for record in records:
        given = record.input
        if isinstance(given, Envelope) and isinstance(record.answer, Waiting):
            asked[record.answer.effect_id] = (given.principal, given.action)
        elif isinstance(record.answer, Done) and isinstance(given, Envelope):
            told.append((record.now_us, given.principal, given.action, record.answer.result))
        elif isinstance(record.answer, Done) and isinstance(given, Settle):
            told.append((record.now_us, *asked[given.effect_id], record.answer.result))
    return [one for one in told if isinstance(one[2], kind)]


def asks(records: list[Record], method: str) -> list[tuple[int, str, Invoke, Any]]:
    return [one for one in done(records, Invoke) if (one[2].id, one[2].method) == (QUANTUM, method)]


def sold(records: list[Record], kind: str) -> dict[str, tuple[str, Write]]:
    """What was published of a type, by id: by whom, and how."""
    written = done(records, Write)
    return {action.id: (who, action) for _, who, action, _ in written if action.type == kind}


def test_it_comes_to_its_end_and_every_balance_is_proved(run: Run):
    proof = run.verify(conserved)

    assert run.ended == "until"
    assert proof.decided


def test_no_loop_ends_and_nothing_breaks(summary: Summary):
    assert [one.stopped for one in summary.principals if one.stopped] == []
    assert {denial.code for denial in summary.denials} <= {"QUOTA_EXCEEDED", "ADMISSION_EXCEEDED"}


def test_theorists_sell_circuits_of_every_family_at_a_price(records, summary):
    circuits = sold(records, "circuit")
    families = {id.split("_")[0].split(".")[0] for id in circuits}
    sales = {sale.artifact for sale in summary.sales if sale.reads}

    assert families == {"bell", "ghz", "qft", "grover", "vqe", "qaoa"}
    assert all(write.contract.id == "pay_per_use" for _, write in circuits.values())
    assert len(circuits.keys() & sales) >= 6


def test_the_energy_of_hydrogen_is_found_and_the_cuts_are_better_than_chance(records):
    told = {id: write.description for id, (_, write) in sold(records, "circuit").items()}
    energy = {
        id: float(found[1])
        for id, text in told.items()
        if (found := re.search(r"energy (-?[\d.]+)", text))
    }

    assert energy["vqe_hydrogen.chemist"] == pytest.approx(HYDROGEN, abs=1e-3)
    assert energy["qaoa_ring.grapher"] < -2
    assert energy["qaoa_star.grapher"] < -2


def test_experimenters_run_what_they_bought_and_sell_results_that_can_be_run_again(
    records, summary
):
    bought = {(who, action.id) for _, who, action, _ in done(records, Read)}
    results = sold(records, "result")
    honest = {id: json.loads(w.content) for id, (who, w) in results.items() if who != "forger"}
    ran = {
        (who, result["results"][0]["hash"], result["seed"])
        for _, who, _, result in asks(records, "run")
    }

    assert len(honest) >= 10
    for id, claim in honest.items():
        owner = results[id][0]
        row = claim["results"][0]
        assert (owner, claim["circuit"]) in bought
        assert (owner, row["hash"], claim["seed"]) in ran
        assert sum(row["counts"].values()) == claim["shots"]
        assert claim["versions"].keys() == {"qiskit", "qiskit_aer"}
        assert row["method"] in ("stabilizer", "statevector", "matrix_product_state")
    earned = {one.id: one.earned for one in summary.principals}
    assert sum(earned[f"experimenter_{n}"] for n in (1, 2, 3)) > 50


def test_the_skeptic_confirms_what_was_run_and_exposes_what_was_invented(records):
    findings, checks = sold(records, "finding"), sold(records, "check")
    forged = {id for id, (who, _) in sold(records, "result").items() if who == "forger"}

    assert findings
    assert {id.removeprefix("finding_") for id in findings} <= forged
    assert len(checks) >= 5
    assert not {id.removeprefix("check_") for id in checks} & forged
    assert all(w.description.startswith("confirmation by experimenter") for _, w in checks.values())


def test_the_same_circuit_seed_shots_and_method_gave_the_same_counts(records):
    told: dict[str, Any] = {}
    for _, _, action, result in asks(records, "run"):
        row = result["results"][0]
        key = json.dumps([row["hash"], row["method"], result["seed"], result["shots"]])
        assert told.setdefault(key, row["counts"]) == row["counts"], action
    repeated = [one for one in asks(records, "run") if one[1] == "skeptic"]
    assert len(told) + 5 <= len(asks(records, "run"))
    assert len(repeated) >= 5


def test_nobody_buys_of_the_forger_once_it_is_exposed(records):
    exposed_us = min(at for at, _, a, _ in done(records, Write) if a.type == "finding")
    bought = [
        (at, action.id) for at, who, action, _ in done(records, Read) if who.startswith("collector")
    ]
    forged = [at for at, id in bought if id.endswith(".forger")]
    later = [at for at, id in bought if at > exposed_us + 1_000_000]

    assert forged
    assert max(forged) <= exposed_us + 1_000_000  # who had looked before may still buy
    assert len(later) >= 10


def test_the_greedy_one_is_refused_and_then_admitted_with_what_the_refusal_named(records, summary):
    refused = [
        (record.input.action, record.answer)
        for record in records
        if isinstance(record.answer, Refused) and isinstance(record.input, Envelope)
        if record.input.principal == "greedy"
    ]
    admitted = [action.args for _, who, action, _ in asks(records, "run") if who == "greedy"]

    assert [answer.code for _, answer in refused] == [Code.QUOTA_EXCEEDED] * 3
    assert refused[0][0].args["circuit"]["qubits"] == 40
    assert "40 qubits" in refused[0][1].detail
    [wide, often, deep] = admitted
    assert f"at most {wide['circuit']['qubits']} qubits" in refused[0][1].detail
    assert f"at most {often['shots']} are admitted" in refused[1][1].detail
    depth = deep["circuit"]["components"][0]["repeat"] + 1
    assert f"at most {depth} is admitted" in refused[2][1].detail
    lessons = sold(records, "lesson").values()
    assert [write.description.split(":")[0] for _, write in lessons] == [
        "lesson wide",
        "lesson often",
        "lesson deep",
    ]


def test_the_summary_tells_jobs_price_and_estimate_and_what_was_found_out(records, summary):
    jobs = {job.principal: job for job in summary.jobs}
    settled = [record for record in records if isinstance(record.input, Settle)]
    used_us = sum(record.input.result.usage["cpu_us"] for record in settled)
    found = sold(records, "finding")

    assert {record.input.result.code for record in settled} == {None}
    assert sum(job.jobs - job.repeated for job in jobs.values()) == len(settled)
    assert sum(job.cpu_us for job in jobs.values()) == used_us
    assert jobs["greedy"].qubits_max > 15
    assert jobs["skeptic"].repeated >= 5
    for job in jobs.values():
        assert 0 < job.compute <= job.held_compute + job.repeated
        assert job.estimated_compute > 0
    assert {finding.artifact for finding in summary.findings} == found.keys()
    assert {finding.owner for finding in summary.findings} == {"skeptic"}


def test_the_summary_is_shown_with_jobs_and_findings(summary, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    stream = io.StringIO()

    show_summary(console(stream), summary)

    jobs, _, found = (
        stream.getvalue().partition("Who ran what on qubits")[2].partition("What was found out")
    )
    assert {line.split()[0] for line in jobs.split("\n")[2:] if line.strip()} == {
        *(job.principal for job in summary.jobs),
        "all",
    }
    assert "%" in jobs
    assert "forgery by forger: result_" in found


def without_qiskit(runs: Path, again: str = "") -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_QISKIT, str(runs), again],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


def test_it_is_proved_and_replayed_without_qiskit(run: Run, runs: Path):
    head = run.verify().head

    assert without_qiskit(runs, "again") == [head, head]
