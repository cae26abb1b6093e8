"""Owns the services that run circuits on devices: that of IBM, and a local one to practise with.

Runs in a worker only, one that is told the token. A job carries a key; a job that was submitted under
its key before is not submitted again. It must not know who asks or pays.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from .quantum_building import JobRefused
from .quantum_noise import Devices

LOCAL: Final = "local:"
_CHANNEL: Final = "ibm_quantum_platform"
_KEY_CHARS: Final = 32
_DONE: Final = "DONE"


class DeviceService(Protocol):
    """Where jobs run."""

    def submit(self, built: Any, job: Any) -> str:
        """Submit a circuit; returns the id of the job, also of one that was submitted before.

        Raises:
            JobRefused: the service refused it.
        """

    def status(self, id: str) -> str:
        """How far a job is: QUEUED, RUNNING, DONE, ERROR, CANCELLED, or what else the service says."""

    def result(self, id: str) -> dict[str, Any]:
        """Counts by outcome, and the seconds that the device took.

        Raises:
            JobRefused: it is not done.
        """


def service_of(job: Any) -> DeviceService:
    """The service of a job's device."""
    if job["device"].startswith(LOCAL):
        return LocalService(Path(job["folder"]))
    runtime = import_module("qiskit_ibm_runtime").QiskitRuntimeService
    instance = job["instance"] or "auto"
    return IbmService(runtime(channel=_CHANNEL, token=job["token"], instance=instance))


def sampled(built: Any, job: Any, backend: Any, options: dict[str, Any]) -> Any:
    """Submit a circuit, transpiled for a device; returns the job of the package."""
    make = import_module("qiskit.transpiler").generate_preset_pass_manager
    native = make(job["level"], backend=backend, seed_transpiler=job["seed"]).run(built)
    sampler = import_module("qiskit_ibm_runtime").SamplerV2(mode=backend, options=options)
    return sampler.run([native], shots=job["shots"])


def counts_of(result: Any) -> dict[str, int]:
    """Counts by outcome, in order, of the package's result."""
    (data,) = result[0].data.values()
    return dict(sorted((str(key), int(n)) for key, n in data.get_counts().items()))


class IbmService:
    """The service of IBM, through a session of qiskit-ibm-runtime."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def submit(self, built: Any, job: Any) -> str:
        """Submit, or find what was submitted under the same key, which is a tag of the job."""
        tag = f"scripworld-{job['key'][:_KEY_CHARS]}"
        before = self._service.jobs(limit=1, job_tags=[tag])
        if before:
            return str(before[0].job_id())
        backend = self._service.backend(job["device"])
        options = {"environment": {"job_tags": [tag]}}
        return str(sampled(built, job, backend, options).job_id())

    def status(self, id: str) -> str:
        """How far it is."""
        return _status(self._service.job(id))

    def result(self, id: str) -> dict[str, Any]:
        """The counts of a job that is done."""
        job = self._service.job(id)
        status = _status(job)
        if status != _DONE:
            raise JobRefused(_not_done(status, job.error_message() or ""))
        return {"counts": counts_of(job.result()), "device_s": float(job.usage())}


class LocalService:
    """A fake device in the place of a real one: the package's local testing mode. A job is a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def submit(self, built: Any, job: Any) -> str:
        """Run it at once, and keep what came of it under the key."""
        id = f"local-{job['key'][:_KEY_CHARS]}"
        path = self._path(id)
        if not path.exists():
            backend = Devices().backend(job["device"].removeprefix(LOCAL))
            options = {"simulator": {"seed_simulator": job["seed"]}}
            told = {"counts": counts_of(sampled(built, job, backend, options).result())}
            self._folder.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".new")
            beside.write_text(json.dumps(told), encoding="utf-8")
            beside.replace(path)
        return id

    def status(self, id: str) -> str:
        """DONE, as it ran when it was submitted."""
        self._read(id)
        return _DONE

    def result(self, id: str) -> dict[str, Any]:
        """The counts; a device took no time."""
        return self._read(id) | {"device_s": 0.0}

    def _read(self, id: str) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(self._path(id).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise JobRefused(f"what {id} came to is gone: submit it again") from None
        return told

    def _path(self, id: str) -> Path:
        return self._folder / f"{Path(id).name}.json"


def _status(job: Any) -> str:
    status = job.status()
    return str(getattr(status, "name", status))


def _not_done(status: str, why: str) -> str:
    if status in ("ERROR", "CANCELLED"):
        return f"it ended with {status}: {why[:200] or 'the service says no more'}"
    return f"it is {status}: ask again later"
