"""A world with genesis_quantum whose effects are performed by real workers, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.adapters.quantum_pool import QuantumPool
from scripworld.genesis.quantum import ID, quantum_native
from scripworld.genesis.quantum_limits import Coefficients, QuantumLimits
from scripworld.genesis.quantum_submitting import NO_TERMS, DeviceTerms
from scripworld.world import (
    Action,
    Answer,
    ArtifactSpec,
    Code,
    Cost,
    Done,
    EffectRequest,
    EffectResult,
    Envelope,
    EventLog,
    Failed,
    Invoke,
    NoCode,
    PrincipalSpec,
    Refused,
    Resource,
    Waiting,
    World,
    WorldConfig,
    restore,
    verify,
)

STEP_US = 1_000
COMPUTE = 1_000_000_000
LIMITS = QuantumLimits()


class Workers:
    """A pool of workers on a loop of its own."""

    def __init__(self, workers: int = 1) -> None:
        self.runner = asyncio.Runner()
        self.pool = QuantumPool(workers)

    def do(self, job: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(job)

    def close(self) -> None:
        self.runner.run(self.pool.close())
        self.runner.close()


class Laboratory:
    """A world in which alice, bob and a poor carol ask genesis_quantum."""

    def __init__(
        self,
        workers: Workers | None,
        limits: QuantumLimits = LIMITS,
        artifacts: tuple[ArtifactSpec, ...] = (),
        log: EventLog | None = None,
        terms: DeviceTerms = NO_TERMS,
    ) -> None:
        self.workers = workers
        self.natives = {ID: quantum_native(limits, Coefficients(), terms)}
        self.log = MemoryEventLog() if log is None else log
        config = WorldConfig(
            principals=(
                PrincipalSpec("alice", 100, {"compute": COMPUTE, "stored_bytes": 100_000}),
                PrincipalSpec("bob", 100, {"compute": COMPUTE, "stored_bytes": 100_000}),
                PrincipalSpec("carol", 0, {"compute": 10}),
            ),
            artifacts=artifacts,
            resources={
                "compute": Resource("renewable", 60_000_000),
                "stored_bytes": Resource("allocatable"),
            },
            costs={ID: {"*": Cost({"compute": 1})}},
        )
        if self.log.head[0] < 0:
            self.world = World.begin(config, self.natives, self.log, NoCode(), "test")
        else:
            self.world = restore(self.log.records(), self.natives, self.log, NoCode())
        self.usage: dict[str, int] = {}

    def act(self, action: Action, principal: str = "alice") -> Answer:
        return self.world.apply(Envelope(principal, action), self.world.state.now_us + STEP_US)

    def ask(self, method: str, /, **args: Any) -> Done | Failed | Refused:
        """The final answer: an effect is performed by a worker."""
        return self.finish(self.act(Invoke(ID, method, args)))

    def finish(self, answer: Answer) -> Done | Failed | Refused:
        if not isinstance(answer, Waiting):
            return answer
        request = self.request()
        assert self.workers is not None, "this test performs no effects"
        result = self.workers.do(self.workers.pool.perform(request))
        return self.settle(request, result)

    def request(self) -> EffectRequest:
        """The effect that was asked for last."""
        request = self.world.requests[-1]
        self.world.requests.clear()
        return request

    def settle(self, request: EffectRequest, result: EffectResult) -> Done | Failed | Refused:
        self.usage = result.usage
        settled = self.world.settle(request.id, result, self.world.state.now_us + STEP_US)
        assert settled is not None
        answer = settled.answer
        assert isinstance(answer, Done | Failed)
        return answer

    def done(self, method: str, /, **args: Any) -> Any:
        """The result of what must succeed."""
        answer = self.ask(method, **args)
        assert isinstance(answer, Done), answer
        return answer.result

    def no(self, method: str, /, **args: Any) -> str:
        """The sentence of what must be refused, before anything is run."""
        answer = self.act(Invoke(ID, method, args))
        assert isinstance(answer, Refused | Failed), answer
        assert answer.code in (
            Code.ARGUMENTS_INVALID,
            Code.QUOTA_EXCEEDED,
            Code.CONTENT_TOO_LARGE,
            Code.MALFORMED,
        ), answer
        assert not self.world.requests
        return answer.detail

    def prove(self) -> None:
        """The log decides the same again."""
        proved = verify(self.log.records(), self.natives, self.log)
        assert proved.snapshot() == self.world.state.snapshot()


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    workers = Workers()
    yield workers
    workers.close()


@pytest.fixture
def lab(workers: Workers) -> Iterator[Laboratory]:
    lab = Laboratory(workers)
    yield lab
    lab.prove()


@pytest.fixture
def desk() -> Iterator[Laboratory]:
    """A laboratory without workers, for what is answered or refused at once."""
    lab = Laboratory(None)
    yield lab
    lab.prove()


def gate(name: str, *qubits: int, params: Any = None, **more: Any) -> dict[str, Any]:
    """A component."""
    told: dict[str, Any] = {"gate": name, "qubits": list(qubits)}
    if params is not None:
        told["params"] = params if isinstance(params, list) else [params]
    return told | more


def measures(n: int) -> list[dict[str, Any]]:
    return [gate("measure", q, clbits=[q]) for q in range(n)]


def circuit(qubits: int, *components: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"qubits": qubits, "clbits": qubits, "components": list(components), **more}


BELL = circuit(2, gate("h", 0), gate("cx", 0, 1), *measures(2))
