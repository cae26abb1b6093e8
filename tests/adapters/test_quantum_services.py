"""Services of devices: a job is submitted once, and nobody but its service learns the token."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from scripworld.adapters.quantum_performer import Account, QuantumPerformer
from scripworld.world import Code, EffectRequest, EffectResult

TOKEN_ENV = "SCRIPWORLD_TEST_TOKEN"
TOKEN = "a-very-secret-token"
SERVICES = """
from qiskit_ibm_runtime.fake_provider.local_service import QiskitRuntimeLocalService
from scripworld.adapters.quantum_building import Builder, JobRefused
from scripworld.adapters.quantum_services import IbmService, sampled

ops = [["h", [], [0], [], []], ["cx", [], [0, 1], [], []]]
ops += [["measure", [], [q], [q], []] for q in range(2)]
BELL = Builder().build({"qubits": 2, "clbits": 2, "ops": ops}, None, {})
JOB = {"key": "k" * 64, "device": "fake_manila", "shots": 50, "seed": 1, "level": 1}


class Queued:
    def status(self):
        return "QUEUED"

    def error_message(self):
        return None


class Account(QiskitRuntimeLocalService):
    '''An account whose jobs run here: what the service of IBM is asked, in the package's local mode.'''

    def __init__(self):
        self.by_id, self.tags = {"q1": Queued()}, {}

    def jobs(self, limit, job_tags):
        return [self.by_id[id] for id, tags in self.tags.items() if set(job_tags) <= set(tags)]

    def job(self, id):
        return self.by_id[id]


account = Account()
service = IbmService(account)
id = service.submit(BELL, JOB)
job = sampled(BELL, JOB, account.backend("fake_manila"), {})
account.by_id[job.job_id()] = job
account.tags[job.job_id()] = ["scripworld-" + "k" * 32]
job.result()
assert service.submit(BELL, JOB) == job.job_id() != id, "submitted twice"
assert service.status(job.job_id()) == "DONE"
told = service.result(job.job_id())
assert sum(told["counts"].values()) == 50 and told["device_s"] == 0.0, told
try:
    service.result("q1")
except JobRefused as error:
    print(error)
"""


class Noting:
    """Stands in for a pool: notes what it is asked, and fails with what it was told."""

    patience_s = 1.0

    def __init__(self):
        self.asked = []
        self.is_closed = False

    async def perform(self, request):
        self.asked.append(request)
        told = request.payload["payload"].get("token", "")
        return EffectResult(None, Code.TOOL_FAILED, f"{told} is no token", {"cpu_us": 1})

    async def close(self):
        self.is_closed = True


def request(name, **payload):
    told = {"job": name, "payload": payload, "hold": {}}
    where = ("1.0", "key", "alice", "genesis_quantum", name, "genesis_quantum")
    return EffectRequest(*where, told, 0, 0, 30_000_000, 1_000_000, False)


def performed(asked):
    async def run():
        pool, devices = Noting(), Noting()
        account = Account(TOKEN_ENV, f"{TOKEN_ENV}_INSTANCE", Path("jobs"))
        performer = QuantumPerformer(pool, devices, account)
        result = await performer.perform(asked)
        await performer.close()
        assert pool.is_closed and devices.is_closed
        return result, pool.asked, devices.asked

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    pytest.importorskip("qiskit_ibm_runtime", reason="the extra devices is not installed")
    monkeypatch.setenv(TOKEN_ENV, TOKEN)


def test_the_token_reaches_the_service_and_no_answer():
    result, simulated, sent = performed(request("submit", device="ibm_torino"))

    assert sent[0].payload["payload"]["token"] == TOKEN
    assert sent[0].payload["payload"]["key"] == "key"
    assert result.detail == "(the token) is no token"
    assert not simulated


def test_a_local_device_is_told_no_token():
    _, _, sent = performed(request("status", device="local:fake_manila", job="local-1"))

    assert sent[0].payload["payload"]["token"] == ""


def test_what_was_recorded_of_a_request_stays_without_it():
    asked = request("submit", device="ibm_torino")

    performed(asked)

    assert "token" not in asked.payload["payload"]


def test_a_simulation_goes_to_workers_that_know_of_no_token():
    _, simulated, sent = performed(request("run", circuits=[]))

    assert simulated[0].payload["payload"] == {"circuits": []}
    assert not sent


def test_a_service_finds_what_was_submitted_under_a_key_and_tells_what_is_not_done():
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SERVICES],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stderr
    assert told.stdout == "it is QUEUED: ask again later\n"
