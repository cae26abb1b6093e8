"""Fake devices: known without a package, made in the worker, as targets and as noise."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripworld.genesis.quantum_device_table import TABLE
from scripworld.genesis.quantum_devices import device_named

from .quantum_lab import BELL, circuit, desk, gate, lab, measures, workers  # noqa: F401

ROOT = Path(__file__).parents[2]
WITHOUT_DEVICES = """
import sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "qiskit_ibm_runtime":
            raise ImportError(f"no module {name}")

sys.meta_path.insert(0, Gone())
from scripworld.adapters.quantum_noise import Devices

try:
    Devices().backend("fake_manila")
except Exception as error:
    print(type(error).__name__, error)
"""
SAME_NOISE = """
from qiskit_aer.noise import NoiseModel
from scripworld.adapters.quantum_noise import Devices

devices = Devices()
for name, qubits in (("fake_manila", {0, 1, 2, 3, 4}), ("fake_lagos", {1, 3, 5}), ("generic_4", {1, 2})):
    def errors(model):
        return sorted(
            repr(error["operations"] + [error["gate_qubits"], error["probabilities"]])
            for error in model.to_dict()["errors"]
            if qubits.issuperset(error["gate_qubits"][0])
        )

    part = errors(devices.noise({"device": name}, qubits))
    assert part == errors(NoiseModel.from_backend(devices.backend(name))), name
    print(name, len(part))
"""


@pytest.fixture(autouse=True)
def _devices():
    pytest.importorskip("qiskit_ibm_runtime", reason="the extra devices is not installed")


def python(program, *words):
    return subprocess.run(
        [sys.executable, "-W", "ignore", *(["-c", program] if program else []), *words],
        capture_output=True,
        text=True,
        check=False,
    )


def ghz(n):
    return circuit(n, gate("h", 0), *[gate("cx", q, q + 1) for q in range(n - 1)], *measures(n))


def test_the_table_is_what_the_package_has():
    told = python("", str(ROOT / "scripts" / "quantum_devices.py"), "--check")

    assert told.returncode == 0, told.stdout + told.stderr


def test_without_the_package_it_says_which_extra_to_install():
    told = python(WITHOUT_DEVICES).stdout

    assert told.startswith("JobRefused fake_manila comes with qiskit-ibm-runtime")
    assert "pip install 'scripworld[devices]'" in told


def test_the_noise_of_some_qubits_is_that_of_the_whole_device():
    told = python(SAME_NOISE)

    assert told.returncode == 0, told.stderr
    assert [line.split()[0] for line in told.stdout.splitlines()] == [
        "fake_manila",
        "fake_lagos",
        "generic_4",
    ]


@pytest.mark.parametrize("name", ["fake_manila", "fake_melbourne", "fake_sherbrooke"])
def test_what_is_transpiled_for_a_device_has_its_noise(lab, name):  # noqa: F811
    device = device_named(name)
    transpiled = lab.done("transpile", circuit=ghz(3), device=name, level=1)
    gates = {c["gate"] for c in transpiled["circuit"]["components"]} - {"measure", "barrier"}

    told = lab.done("run", circuit=transpiled["circuit"], noise={"device": name}, shots=2_000)

    assert gates <= device.gates
    assert transpiled["circuit"]["qubits"] == device.qubits
    assert "warnings" not in told
    right = sum(
        n for bits, n in told["results"][0]["counts"].items() if set(bits[-3:]) == {bits[-1]}
    )
    assert right < 2_000
    assert told["used"]["cpu_us"] <= told["estimate"]["held"]["cpu_us"]


@pytest.mark.parametrize("method", ["density_matrix", "statevector"])
@pytest.mark.parametrize("name", ["fake_manila", "fake_torino"])
def test_a_job_under_the_noise_of_a_device_ends_within_its_hold(lab, name, method):  # noqa: F811
    told = lab.done("run", circuit=ghz(5), noise={"device": name}, method=method, shots=500)

    assert told["results"][0]["method"] == method
    assert told["used"]["cpu_us"] < told["estimate"]["held"]["cpu_us"]


def test_gates_that_a_device_has_no_error_for_are_told(lab, desk):  # noqa: F811
    ask = {"circuit": BELL, "noise": {"device": "fake_torino"}, "shots": 10}

    assert lab.done("run", **ask)["warnings"] == [
        "cx, h have no error on fake_torino: transpile for it first"
    ]
    assert desk.done("estimate", **ask)["warnings"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"noise": {"device": "fake_manilla"}}, "did you mean fake_manila?"),
        ({"noise": {"device": "Manila"}}, "did you mean fake_manila?"),
        ({"noise": {"device": "ibm"}}, "take generic_5 or fake_manila"),
        ({"noise": {"device": "generic_65"}}, "there is no device"),
        ({"noise": {"device": "x" * 64}}, "there is no device"),
    ],
)
def test_a_device_that_is_not_there_is_told_with_the_nearest(desk, args, says):  # noqa: F811
    assert says in desk.no("run", circuit=BELL, **args)


def test_a_circuit_must_fit_on_its_device(desk):  # noqa: F811
    assert "fake_manila has 5 qubits, the circuit needs 6" in desk.no(
        "run", circuit=ghz(6), noise={"device": "fake_manila"}
    )
    assert "generic_2 has 2 qubits, the circuit needs 3" in desk.no(
        "transpile", circuit=ghz(3), device="generic_2"
    )
    assert "fake_torino has 133 qubits, a circuit has at most 128" in desk.no(
        "transpile", circuit=ghz(3), device="fake_torino"
    )


def test_every_device_is_known_by_its_figures():
    for name in TABLE:
        device = device_named(name)
        assert device.errors(device.qubits) == 2 * device.qubits + device.pairs
        assert device.errors(1) == 2
        assert "id" in device.gates
