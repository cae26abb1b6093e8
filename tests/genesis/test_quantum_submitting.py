"""Jobs for devices: what they cost, whose they are, and that they outlive what submitted them."""

import os
from pathlib import Path

import pytest

from scripworld.adapters.quantum_performer import Account, QuantumPerformer
from scripworld.adapters.quantum_pool import QuantumPool
from scripworld.genesis.quantum import ID
from scripworld.genesis.quantum_submitting import DeviceTerms
from scripworld.world import GENESIS, Code, Done, EffectResult, Failed, Invoke, Refused, Waiting

from .quantum_lab import BELL, Laboratory, Workers, circuit, gate, measures

TOKEN_ENV = "SCRIPWORLD_TEST_TOKEN"
TERMS = DeviceTerms(price_shot_scrip=2, shots_max=1_000)


class Devices(Workers):
    """What performs every effect, with local jobs in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        account = Account(TOKEN_ENV, f"{TOKEN_ENV}_INSTANCE", folder)
        self.pool = QuantumPerformer(self.pool, QuantumPool(1), account)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("jobs") / "quantum_jobs"


@pytest.fixture(scope="module")
def devices(folder):
    devices = Devices(folder)
    yield devices
    devices.close()


class Market(Laboratory):
    """A laboratory where each shot on a device costs 2 scrip; everybody has 100."""

    def __init__(self, workers) -> None:
        super().__init__(workers, terms=TERMS)

    def scrip(self, principal="alice"):
        return self.world.state.ledger.available(principal)

    def submit(self, shots=20, **args):
        return self.ask("submit", circuit=BELL, device="local:fake_manila", shots=shots, **args)


@pytest.fixture
def lab(devices):
    pytest.importorskip("qiskit_ibm_runtime", reason="the extra devices is not installed")
    lab = Market(devices)
    yield lab
    lab.prove()


@pytest.fixture
def desk(devices):
    desk = Market(devices)
    yield desk
    desk.prove()


def test_a_job_is_submitted_paid_and_its_counts_are_fetched(lab):
    told = lab.submit(seed=3).result

    assert (told["shots"], told["price_scrip"], told["device"]) == (20, 40, "local:fake_manila")
    assert lab.scrip() == 60
    assert lab.scrip(GENESIS) == 40
    assert lab.done("status", job=told["job"])["status"] == "DONE"
    result = lab.done("result", job=told["job"])
    assert sum(result["counts"].values()) == 20
    assert result["hash"] == lab.done("hash", circuit=BELL)["hash"] == told["hash"]
    assert result["used"]["compute"] >= 1


def test_the_price_of_a_shot_is_told_before(desk):
    tools = desk.world.state.artifacts.by_id[ID].interface
    [submit] = [tool for tool in tools if tool.name == "submit"]

    assert submit.description.endswith("A shot costs 2 scrip here.")


def test_a_result_is_asked_of_the_service_once(lab):
    job = lab.submit().result["job"]
    first = lab.done("result", job=job)
    lab.workers = None

    again = lab.done("result", job=job)

    assert again["from_record"]
    assert again["counts"] == first["counts"]


def test_a_job_outlives_the_workers_that_submitted_it(lab, folder):
    job = lab.submit(seed=5).result["job"]
    lab.workers = Devices(folder)  # as after a restart
    try:
        assert sum(lab.done("result", job=job)["counts"].values()) == 20
    finally:
        lab.workers.close()


def test_a_job_that_is_performed_again_after_a_crash_is_the_same_job(lab):
    ask = {"circuit": BELL, "device": "local:fake_manila", "shots": 20}
    assert isinstance(lab.act(Invoke(ID, "submit", ask)), Waiting)
    request = lab.request()

    first, again = (lab.workers.do(lab.workers.pool.perform(request)) for _ in range(2))

    assert first.value == again.value
    lab.settle(request, again)
    assert lab.scrip() == 60


def test_a_job_is_its_submitters_alone(lab):
    job = lab.submit().result["job"]

    answer = lab.finish(lab.act(Invoke(ID, "result", {"job": job}), "bob"))

    assert isinstance(answer, Failed)
    assert answer.code is Code.NOT_FOUND
    assert "is no job of yours" in answer.detail


def test_a_job_whose_file_is_gone_is_told(lab, folder):
    job = lab.submit(seed=9).result["job"]
    (folder / f"{job}.json").unlink()

    answer = lab.ask("result", job=job)

    assert answer.code is Code.TOOL_REFUSED
    assert "submit it again" in answer.detail


def test_without_a_token_it_says_how_and_gives_the_price_back(desk):
    pytest.importorskip("qiskit_ibm_runtime", reason="the extra devices is not installed")
    os.environ.pop(TOKEN_ENV, None)

    answer = desk.ask("submit", circuit=BELL, device="ibm_torino", shots=20)

    assert answer.code is Code.TOOL_UNAVAILABLE
    assert f"put it into {TOKEN_ENV}, or practise with local:fake_manila" in answer.detail
    assert desk.scrip() == 60  # until the hold expires
    desk.world.advance(desk.world.state.now_us + 3_600_000_000)
    assert desk.scrip() == 100


def test_what_a_service_answered_is_proved_without_it(desk):
    ask = {"circuit": BELL, "device": "ibm_torino", "shots": 10}
    assert isinstance(desk.act(Invoke(ID, "submit", ask)), Waiting)
    submitted = EffectResult({"job": "d1"}, usage={"cpu_us": 1, "compute": 1})
    assert desk.settle(desk.request(), submitted).result["job"] == "d1"
    for method, value in (
        ("status", {"status": "QUEUED"}),
        ("result", {"counts": {"00": 10}, "device_s": 1.5}),
    ):
        assert isinstance(desk.act(Invoke(ID, method, {"job": "d1"})), Waiting)
        told = desk.settle(desk.request(), EffectResult(value, usage={"cpu_us": 1, "compute": 1}))
        assert value.items() <= told.result.items()


ASKED = {
    "no such device": ({"device": "torino"}, "as in ibm_torino, or local:fake_manila"),
    "no such local device": ({"device": "local:fake_manilla"}, "did you mean fake_manila?"),
    "too many shots": ({"shots": 1_001}, "at most 1000 shots"),
    "a wide local circuit": (
        {
            "circuit": circuit(9, *[gate("h", q) for q in range(9)], *measures(9)),
            "device": "local:fake_sherbrooke",
        },
        "at most 8 qubits",
    ),
    "more qubits than it has": ({"circuit": circuit(6, gate("h", 5))}, "nothing is measured"),
    "a parameter": (
        {"circuit": circuit(1, gate("rx", 0, params="a"), *measures(1), parameters=["a"])},
        "has no value",
    ),
    "a snapshot": (
        {
            "circuit": circuit(
                1, {"gate": "snapshot", "label": "a", "kind": "statevector"}, *measures(1)
            )
        },
        "no snapshots",
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_no_device_runs_is_refused_before_anything_is_held(desk, name):
    args, says = ASKED[name]

    told = desk.no("submit", **{"circuit": BELL, "device": "local:fake_manila", "shots": 20} | args)

    assert says in told
    assert desk.scrip() == 100


def test_who_cannot_pay_submits_nothing(desk):
    answer = desk.act(Invoke(ID, "submit", {"circuit": BELL, "device": "ibm_torino", "shots": 900}))

    assert isinstance(answer, Refused | Failed)
    assert answer.code is Code.SCRIP_INSUFFICIENT
    assert not desk.world.requests
    assert isinstance(desk.ask("hash", circuit=BELL), Done)
