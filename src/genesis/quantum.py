"""Owns genesis_quantum: circuits as goods, priced before they run.

What can be said of a circuit without running it is answered at once. What needs Qiskit is an effect:
admitted by its estimate, held, run in a worker process, and posted by what it used; asked for again,
it is answered from the world's record. Handlers are pure; they must not know Qiskit.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from ..world import Code, Context, Done, EffectResult, Failed, Method, Native, Tool
from .quantum_admission import Desk, Hold, NotAdmitted
from .quantum_asking import (
    Asked,
    basis,
    circuit_asked,
    coupling,
    document,
    job_asked,
)
from .quantum_canonical import hash_of, seal
from .quantum_circuit import Circuit, document_of, read
from .quantum_comparing import compared
from .quantum_component import CircuitError, TooLarge
from .quantum_devices import fitted
from .quantum_estimate import METHODS, estimate
from .quantum_features import features_of
from .quantum_gates import GATES
from .quantum_known import Known, payload_of
from .quantum_limits import Coefficients, QuantumLimits
from .quantum_qasm import written
from .quantum_record import Job, at_once, recorded
from .quantum_scan import scan
from .quantum_schemas import SCHEMAS
from .quantum_submitting import NO_TERMS, DeviceTerms, Submitting

ID: Final = "genesis_quantum"
_NOTHING: Final = ("barrier", "snapshot")
_DRAWN_MAX: Final = {"text": 2_000, "svg": 400, "png": 400}
_DRAWN_QUBITS_MAX: Final = 64
_BARS_MAX: Final = 64
_MEMORY_BYTES: Final = 64 * 1_048_576


def quantum_native(
    limits: QuantumLimits, coefficients: Coefficients, terms: DeviceTerms = NO_TERMS
) -> Native:
    """The artifact, with the figures that it admits by: all belong into a run's first record."""
    desk = Desk(limits, coefficients)
    handlers = _Handlers(desk)
    answering = {
        "build": handlers.build,
        "check": handlers.check,
        "estimate": handlers.estimate,
        "hash": handlers.hash,
        "compare": handlers.compare,
    }
    asking = {
        "run": (handlers.run, handlers.ran),
        "expect": (handlers.expect, handlers.ran),
        "transpile": (handlers.transpile, handlers.transpiled),
        "convert": (handlers.convert, handlers.converted),
        "draw": (handlers.draw, handlers.drawn),
    }
    methods = Submitting(ID, desk, terms).methods
    for name, (purpose, schema) in SCHEMAS.items():
        tool = Tool(name, purpose, schema)
        if name in methods:
            continue
        if name in answering:
            methods[name] = Method(tool, at_once(answering[name]))
        else:
            methods[name] = recorded(tool, ID, *asking[name])
    purpose = (
        "Quantum circuits: build them of components, learn what they cost, run them on a simulator "
        "and draw them. Compute is held by an estimate and charged by CPU time."
    )
    return Native(ID, purpose, methods)


class _Handlers:
    """The methods. Each raises what it cannot do as `CircuitError` or `NotAdmitted`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._limits = desk.limits
        self._known = Known(desk.limits)

    # At once.

    def build(self, ctx: Context, args: dict[str, Any]) -> Done:
        circuit = circuit_asked(ctx, args, self._limits)
        return Done(self._told(circuit, args.get("to", "json")))

    def hash(self, ctx: Context, args: dict[str, Any]) -> Done:
        told = {"hash": hash_of(circuit_asked(ctx, args, self._limits))}
        if "metadata" in args:
            told["sealed"] = seal(told["hash"], args["metadata"])
        return Done(told)

    def compare(self, ctx: Context, args: dict[str, Any]) -> Done:
        return Done(compared(document(ctx, args["a"]), document(ctx, args["b"])))

    def estimate(self, ctx: Context, args: dict[str, Any]) -> Done:
        asked = job_asked(ctx, args, self._known)
        return Done(self._priced(ctx, asked))

    def check(self, ctx: Context, args: dict[str, Any]) -> Done:
        circuit = circuit_asked(ctx, args, self._limits)
        features = features_of(circuit)
        told = {
            "hash": hash_of(circuit),
            "qubits": circuit.qubits,
            "clbits": circuit.clbits,
            "width": features.width,
            "depth": features.depth,
            "operations": len(circuit.ops),
            "counts": features.counts,
            "two_qubit_gates": sum(
                1 for op in circuit.ops if len(op.qubits) == 2 and GATES[op.gate].acts
            ),
            "measurements": features.measures,
            "clifford": features.clifford,
            "entanglement_bits_max": features.entanglement,
            "each_shot_alone": features.per_shot,
            "parameters": list(circuit.parameters),
            "warnings": _warnings(circuit),
        }
        if not circuit.parameters:
            outputs = ["counts"] if features.measures else []
            asked = job_asked(ctx, {**args, "outputs": outputs}, self._known)
            told["run"] = self._priced(ctx, asked)
        return Done(told)

    # Effects.

    def run(self, ctx: Context, args: dict[str, Any]) -> Job:
        if "qasm" in args:
            raise CircuitError("OpenQASM is not run: convert it first, then run its circuit")
        return self._run(job_asked(ctx, args, self._known))

    def expect(self, ctx: Context, args: dict[str, Any]) -> Job:
        return self._run(job_asked(ctx, {**args, "outputs": []}, self._known))

    def _run(self, asked: Asked) -> Job:
        admitted = self._desk.admit(asked.costed, asked.method, asked.outputs)
        circuits = [
            {**one.payload, "hash": one.hash, "method": by.method}
            for one, by in zip(asked.ones, admitted.estimates, strict=True)
        ]
        payload = {
            "circuits": circuits,
            "points": list(asked.points),
            "shots": asked.shots,
            "seed": asked.seed,
            "bond": asked.bond,
            "noise": asked.noise,
            "outputs": sorted(asked.outputs - {"expectations"}),
            "observables": asked.observables,
            "memory_bytes": admitted.hold.memory_bytes,
        }
        same = {name: value for name, value in payload.items() if name != "memory_bytes"}
        same["circuits"] = [(one["hash"], one["method"]) for one in circuits]
        kept = {
            "hashes": [one.hash for one in asked.ones],
            "exact": [
                by.method != "matrix_product_state"
                or one.features.chain.bits_max <= math.log2(asked.bond)
                for one, by in zip(asked.ones, admitted.estimates, strict=True)
            ],
            "estimate": self._price(admitted.seconds, admitted.hold),
            "warnings": list(asked.warnings),
        }
        return Job("run", payload, admitted.hold, kept, same)

    def ran(self, ctx: Context, asked: Any, result: EffectResult) -> Done | Failed:
        """The answer of a run: what it came out with, and all that is needed to run it again."""
        kept, payload, told = asked["kept"], asked["payload"], result.value
        points = payload["points"] or [None]
        rows = []
        for hash, exact, own in zip(kept["hashes"], kept["exact"], told["results"], strict=True):
            for point, row in zip(points, own, strict=True):
                where = {"hash": hash} if point is None else {"hash": hash, "point": point}
                rows.append(where | row | {"exact": exact})
        answer = {
            "results": rows,
            "shots": payload["shots"],
            "seed": payload["seed"],
            "versions": told["versions"],
            "estimate": kept["estimate"],
            "used": result.usage,
        }
        if any(row["method"] == "matrix_product_state" for row in rows):
            answer["bond"] = payload["bond"]
        for name in ("noise", "observables"):
            if payload[name]:
                answer[name] = payload[name]
        if kept["warnings"]:
            answer["warnings"] = kept["warnings"]
        return Done(answer)

    def transpile(self, ctx: Context, args: dict[str, Any]) -> Job:
        circuit = circuit_asked(ctx, args, self._limits)
        _need_values(circuit)
        if any(op.snapshot for op in circuit.ops):
            raise CircuitError("a snapshot has no place in a transpiled circuit: leave it out")
        levels = sorted(set(args.get("levels", [args.get("level", 1)])))
        wires = args.get("coupling")
        if "device" in args and (wires is not None or "basis" in args):
            raise CircuitError("a device brings its basis and coupling: name it alone")
        payload = {
            "circuit": payload_of(circuit),
            "levels": levels,
            "seed": args.get("seed", 0),
            "basis": basis(args["basis"]) if "basis" in args else None,
            "coupling": None if wires is None else coupling(wires, circuit.qubits),
            "device": self._target(args["device"], circuit) if "device" in args else None,
        }
        has_map = payload["coupling"] is not None or payload["device"] is not None
        c, size = self._desk.coefficients, len(circuit.ops)
        seconds = 0.0
        for level in levels:
            route = c.route_gate_qubit if level < 2 else c.route_hard_gate_qubit
            each = c.transpile_gate + (route * circuit.qubits if has_map else 0.0)
            seconds += c.transpile_base + each * size
        return self._small("transpile", payload, seconds, {"hash": hash_of(circuit)})

    def transpiled(self, ctx: Context, asked: Any, result: EffectResult) -> Done | Failed:
        """The circuit for the target, with the report and both hashes."""
        told = dict(result.value)
        try:
            circuit = read(told["circuit"], self._widest())
        except CircuitError as error:
            return Failed(Code.RESULT_TOO_LARGE, f"what came out is no circuit here: {error}")
        hashes = {"from": asked["kept"]["hash"], "hash": hash_of(circuit)}
        return Done(told | hashes | {"circuit": document_of(circuit)})

    def convert(self, ctx: Context, args: dict[str, Any]) -> Job | Done:
        to = args.get("to", "json")
        if "circuit" in args:
            if "qasm" in args:
                raise CircuitError("give a circuit or qasm, not both")
            circuit = circuit_asked(ctx, args, self._limits)
            return Done(self._told(circuit, to))
        if "qasm" not in args:
            raise CircuitError("give a circuit of components, or qasm")
        text = args["qasm"]
        seen = scan(text, self._limits)
        payload = {"text": text, "version": seen.version, "ours": seen.ours, "theirs": seen.theirs}
        c = self._desk.coefficients
        each = c.read_three_byte if seen.version == 3 else c.read_two_byte
        seconds = c.read_base + each * len(text) + c.sv_gate * seen.operations
        return self._small("read", payload, seconds, {"to": to})

    def converted(self, ctx: Context, asked: Any, result: EffectResult) -> Done | Failed:
        """The circuit in the format asked for."""
        try:
            return Done(self._told(read(result.value, self._widest()), asked["kept"]["to"]))
        except CircuitError as error:
            return Failed(Code.TOOL_REFUSED, str(error))

    def draw(self, ctx: Context, args: dict[str, Any]) -> Job:
        kind, c = args.get("format", "text"), self._desk.coefficients
        if "counts" in args:
            counts = args["counts"]
            if not counts or len(counts) > _BARS_MAX:
                raise CircuitError(f"a histogram has 1 to {_BARS_MAX} bars, not {len(counts)}")
            if kind == "text":
                raise CircuitError("a histogram is drawn as svg or png")
            payload = {"counts": counts, "format": kind}
            return self._small("plot", payload, c.plot_base)
        circuit = circuit_asked(ctx, args, self._limits)
        most = _DRAWN_MAX[kind]
        if len(circuit.ops) > most or circuit.qubits > _DRAWN_QUBITS_MAX:
            raise TooLarge(
                f"{kind} is drawn of at most {most} operations and {_DRAWN_QUBITS_MAX} qubits, not "
                f"{len(circuit.ops)} and {circuit.qubits}"
            )
        base, gate = (c.draw_base, c.draw_gate) if kind == "text" else (c.plot_base, c.plot_gate)
        payload = {"circuit": payload_of(circuit), "format": kind}
        return self._small("draw", payload, base + gate * len(circuit.ops))

    def drawn(self, ctx: Context, asked: Any, result: EffectResult) -> Done:
        """The picture."""
        return Done(result.value)

    # What they share.

    def _target(self, name: str, circuit: Circuit) -> str:
        """A device to transpile for: as wide as the circuit, and no wider than circuits may be."""
        device, most = fitted(name, circuit.qubits), self._limits.qubits_max
        if device.qubits > most:
            raise CircuitError(f"{name} has {device.qubits} qubits, a circuit has at most {most}")
        return device.name

    def _small(self, job: str, payload: dict[str, Any], seconds: float, kept: Any = None) -> Job:
        """A job that is no simulation."""
        self._desk.check_seconds(seconds, lambda: "take a smaller circuit")
        return Job(job, payload, self._desk.hold(seconds, 2 * _MEMORY_BYTES), kept)

    def _told(self, circuit: Circuit, to: str) -> dict[str, Any]:
        told: dict[str, Any] = {"hash": hash_of(circuit)}
        if to == "json":
            return told | {"circuit": document_of(circuit)}
        text = written(circuit, 2 if to == "qasm2" else 3, self._limits.text_bytes_max)
        return told | {"qasm": text}

    def _price(self, seconds: float, hold: Hold) -> dict[str, Any]:
        return {
            "cpu_s": seconds,
            "compute": self._desk.compute(round(seconds * 1e6)),
            "held": {
                "compute": hold.compute,
                "cpu_us": hold.cpu_us,
                "memory_bytes": hold.memory_bytes,
            },
        }

    def _priced(self, ctx: Context, asked: Asked) -> dict[str, Any]:
        """What a job would cost, whether it would be admitted, and whether the caller's quota has it."""
        told: dict[str, Any] = {"shots": asked.shots, "points": max(len(asked.points), 1)}
        c = self._desk.coefficients
        if len(asked.ones) == 1:
            one = asked.ones[0]
            by_method = {name: estimate(one.features, name, one.work, c) for name in METHODS}
            possible = self._desk.options(one.features, one.work, asked.outputs)
            told["methods"] = {
                name: {"cpu_s": min(by.seconds, 1e15), "memory_bytes": by.memory_bytes}
                for name, by in by_method.items()
                if name in possible
            }
        try:
            admitted = self._desk.admit(asked.costed, asked.method, asked.outputs)
        except NotAdmitted as error:
            return told | {"admitted": False, "why": str(error)}
        told |= self._price(admitted.seconds, admitted.hold)
        if asked.warnings:
            told["warnings"] = list(asked.warnings)
        told["circuits"] = [
            {
                "hash": one.hash,
                "method": by.method,
                "cpu_s": by.seconds,
                "memory_bytes": by.memory_bytes,
            }
            | {"terms": by.terms}
            for one, by in zip(asked.ones, admitted.estimates, strict=True)
        ]
        left = max(ctx.state.resources.remaining(ctx.payer, "compute", ctx.state.now_us), 0)
        return told | {
            "admitted": True,
            "quota": {"compute_left": left, "is_enough": left >= admitted.hold.compute},
        }

    def _widest(self) -> QuantumLimits:
        """Limits for what a worker answers: transpiling makes circuits longer."""
        most = 4 * self._limits.operations_max
        return msgspec.structs.replace(self._limits, operations_max=most, components_max=most)


def _need_values(circuit: Circuit) -> None:
    if circuit.parameters:
        raise CircuitError(f"parameter {circuit.parameters[0]!r} has no value: give values")


def _warnings(circuit: Circuit) -> list[str]:
    """What is allowed, but perhaps not meant."""
    told = []
    used = {q for op in circuit.ops if op.gate not in _NOTHING for q in op.qubits}
    if idle := [q for q in range(circuit.qubits) if q not in used]:
        told.append(f"nothing happens on qubits {idle[:10]}")
    written_bits: set[int] = set()
    unset: set[int] = set()
    over: set[int] = set()
    for op in circuit.ops:
        unset |= {bit for bit, _ in op.when} - written_bits
        over |= set(op.clbits) & written_bits
        written_bits |= set(op.clbits)
    if unset:
        told.append(
            f"a condition asks clbits {sorted(unset)[:10]} before anything is measured into them"
        )
    if over:
        told.append(f"clbits {sorted(over)[:10]} are measured into more than once")
    if not written_bits:
        told.append("nothing is measured")
    return told
