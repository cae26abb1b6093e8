"""Owns jobs for real devices: what is submitted at what price, whose it is, and what came of it.

A job outlives the run that submitted it: the device's service keeps it, and the artifact's notes say
whose it is. It must not know how a service is reached.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..world import (
    Code,
    Context,
    Done,
    Effect,
    EffectResult,
    Failed,
    Method,
    Refused,
    Tool,
)
from .quantum_admission import Desk, NotAdmitted
from .quantum_asking import SHOTS, circuit_asked
from .quantum_canonical import canonical, digest
from .quantum_circuit import Circuit
from .quantum_component import CircuitError, TooLarge
from .quantum_devices import fitted
from .quantum_estimate import Work, estimate
from .quantum_features import features_of
from .quantum_known import payload_of
from .quantum_limits import MEBIBYTE
from .quantum_record import Job, effect_of
from .quantum_schemas import SCHEMAS

LOCAL: Final = "local:"
"""What the name of a fake device begins with that stands in for a real one."""
_LOCAL_QUBITS_MAX: Final = 8
_TRANSPILED: Final = 4
"""Gates of a device that a gate becomes, about."""
_REAL: Final = re.compile(r"ibm_[a-z0-9_]{1,40}")
_SERVICE_S: Final = 2.5
"""CPU seconds to reach a service: its session, its device, its answer."""
_MEMORY_BYTES: Final = 256 * MEBIBYTE
_SLACK_US: Final = 1_000_000

Ask = Callable[[Context, dict[str, Any]], Effect | Done | Failed]


class DeviceTerms(msgspec.Struct, frozen=True):
    """On which terms jobs go to devices; part of a run's first record.

    Attributes:
        price_shot_scrip: what the owner of the artifact is paid for each shot, once it is submitted.
        shots_max: of one job.
    """

    price_shot_scrip: int = 1
    shots_max: int = 10_000


NO_TERMS: Final = DeviceTerms()


class Submitting:
    """The three methods."""

    def __init__(self, performer: str, desk: Desk, terms: DeviceTerms) -> None:
        self._performer = performer
        self._desk = desk
        self._terms = terms

    @property
    def methods(self) -> dict[str, Method]:
        """By name."""
        handlers = {
            "submit": (self.submit, self.submitted),
            "status": (self.status, self.told),
            "result": (self.result, self.resulted),
        }
        prices = {"submit": f" A shot costs {self._terms.price_shot_scrip} scrip here."}
        methods = {}
        for name, (ask, settled) in handlers.items():
            purpose, schema = SCHEMAS[name]
            tool = Tool(name, purpose + prices.get(name, ""), schema)
            methods[name] = Method(tool, _refusing(ask), True, settled)
        return methods

    def submit(self, ctx: Context, args: dict[str, Any]) -> Effect | Failed:
        """Ask for a job; its price is held until it is submitted."""
        circuit = _runnable(circuit_asked(ctx, args, self._desk.limits))
        shots, device = args.get("shots", SHOTS), args["device"]
        if shots > self._terms.shots_max:
            raise TooLarge(f"a job for a device has at most {self._terms.shots_max} shots")
        seconds = self._seconds(circuit, device, shots)
        self._desk.check_seconds(seconds, lambda: "submit a smaller circuit")
        cost = ctx.costs(ctx.artifact, "submit")
        price = shots * self._terms.price_shot_scrip
        held: int | Failed | None = None
        if price:
            held = ctx.hold(price, ctx.state.now_us + cost.timeout_us + _SLACK_US)
            if isinstance(held, Failed):
                return held
        payload = {
            "circuit": payload_of(circuit),
            "device": device,
            "shots": shots,
            "seed": args.get("seed", 0),
            "level": args.get("level", 1),
        }
        kept = {"hash": digest(circuit), "held": held, "price_scrip": price}
        return self._effect(ctx, "submit", payload, seconds, kept)

    def submitted(self, ctx: Context, asked: Any, result: EffectResult) -> Done:
        """The job's id; from here on it is paid."""
        kept, job = asked["kept"], result.value["job"]
        if kept["held"] in ctx.state.ledger.holds:
            payee = ctx.state.artifacts.by_id[ctx.artifact].owner
            ctx.pay(kept["held"], payee, kept["price_scrip"])
        told = {
            "job": job,
            "device": asked["payload"]["device"],
            "hash": kept["hash"],
            "shots": asked["payload"]["shots"],
            "price_scrip": kept["price_scrip"],
        }
        ctx.put(_note(job), {"of": ctx.caller, "told": told})
        return Done(told | {"used": result.usage})

    def status(self, ctx: Context, args: dict[str, Any]) -> Effect | Failed:
        """Ask how far a job is."""
        noted = _own(ctx, args["job"])
        if isinstance(noted, Failed):
            return noted
        return self._effect(ctx, "status", _where(noted), _SERVICE_S)

    def told(self, ctx: Context, asked: Any, result: EffectResult) -> Done:
        """How far it is."""
        return Done(asked["payload"] | {"status": result.value["status"], "used": result.usage})

    def result(self, ctx: Context, args: dict[str, Any]) -> Effect | Done | Failed:
        """Ask for the counts; once they are there, the record answers."""
        noted = _own(ctx, args["job"])
        if isinstance(noted, Failed):
            return noted
        if "result" in noted:
            return Done(noted["result"] | {"from_record": True})
        return self._effect(ctx, "result", _where(noted), _SERVICE_S)

    def resulted(self, ctx: Context, asked: Any, result: EffectResult) -> Done:
        """The counts, noted for whoever of the world asks again."""
        job = asked["payload"]["job"]
        noted = ctx.noted(_note(job))
        told = noted["told"] | result.value
        ctx.put(_note(job), noted | {"result": told})
        return Done(told | {"used": result.usage})

    def _seconds(self, circuit: Circuit, device: str, shots: int) -> float:
        """CPU seconds here: to transpile and to reach the service; of a local device also to simulate."""
        c, size = self._desk.coefficients, len(circuit.ops)
        name = device.removeprefix(LOCAL)
        if name == device:
            if not _REAL.fullmatch(device):
                raise CircuitError(
                    f"there is no device {device[:64]!r}: take one of the account, as in ibm_torino, "
                    "or local:fake_manila to practise"
                )
            width = self._desk.limits.qubits_max
            route = c.transpile_gate + c.route_hard_gate_qubit * width
            return _SERVICE_S + c.transpile_base + size * route
        target = fitted(name, circuit.qubits)
        features = features_of(circuit)
        if features.width > _LOCAL_QUBITS_MAX:
            most = _LOCAL_QUBITS_MAX
            raise TooLarge(f"a local device runs at most {most} qubits, not {features.width}")
        work = Work(shots, noisy="gates", device_errors=target.errors(target.qubits))
        told = [estimate(features, m, work, c).seconds for m in ("statevector", "density_matrix")]
        route = c.transpile_gate + c.route_hard_gate_qubit * target.qubits
        return _SERVICE_S + c.transpile_base + size * route + _TRANSPILED * max(told)

    def _effect(
        self, ctx: Context, job: str, payload: dict[str, Any], seconds: float, kept: Any = None
    ) -> Effect:
        hold = self._desk.hold(seconds, _MEMORY_BYTES)
        return effect_of(ctx, self._performer, Job(job, payload, hold, kept))


def _refusing(ask: Ask) -> Any:
    def answer(ctx: Context, args: dict[str, Any]) -> Effect | Done | Failed | Refused:
        try:
            return ask(ctx, args)
        except (TooLarge, NotAdmitted) as error:
            return Refused(Code.QUOTA_EXCEEDED, str(error))
        except CircuitError as error:
            return Refused(Code.ARGUMENTS_INVALID, str(error))

    return answer


def _runnable(circuit: Circuit) -> Circuit:
    """The canonical form of a circuit that a device can run.

    Raises:
        CircuitError: it cannot.
    """
    if circuit.parameters:
        raise CircuitError(f"parameter {circuit.parameters[0]!r} has no value: give values")
    if any(op.snapshot for op in circuit.ops):
        raise CircuitError("a device tells no snapshots: leave them out")
    if not any(op.gate == "measure" for op in circuit.ops):
        raise CircuitError("nothing is measured: add measure")
    return canonical(circuit)


def _note(job: str) -> str:
    return f"job/{job}"


def _own(ctx: Context, job: str) -> dict[str, Any] | Failed:
    """What is noted of a job of the caller."""
    noted: dict[str, Any] | None = ctx.noted(_note(job))
    if noted is None or noted["of"] != ctx.caller:
        return Failed(Code.NOT_FOUND, f"{job[:64]!r} is no job of yours: submit gives one")
    return noted


def _where(noted: dict[str, Any]) -> dict[str, Any]:
    return {name: noted["told"][name] for name in ("job", "device")}
