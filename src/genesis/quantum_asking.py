"""Owns the way from the arguments of a call to a job: circuits, sweeps, outputs, noise, devices.

Everything that can be wrong is told here, before anything is priced. It must not know prices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ..world import Artifact, BlobRef, Context, Failed, check
from .arguments import find
from .quantum_angles import AngleError, angle_of
from .quantum_canonical import canonical, digest
from .quantum_circuit import Circuit, CircuitError, TooLarge, bind, read
from .quantum_estimate import Work
from .quantum_features import Features, features_of
from .quantum_gates import GATES
from .quantum_limits import QuantumLimits

SHOTS: Final = 1_024
STATE_OUTPUTS: Final = frozenset(("statevector", "probabilities"))
DEVICE: Final = re.compile(r"generic_([2-9]|[1-5]\d|6[0-4])|fake_[a-z0-9_]{1,40}")
COUPLING: Final = re.compile(r"(?:line|ring|full)_([2-9]|[1-9]\d)")
_LABEL: Final = re.compile(r"[IXYZ]+")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_TIME_US_MAX: Final = 1e9
_NAMED_QUBITS: Final = 30


class One(msgspec.Struct, frozen=True):
    """A circuit of a job: as it is run, its hash, and its features."""

    circuit: Circuit
    hash: str
    features: Features
    work: Work

    @property
    def payload(self) -> dict[str, Any]:
        """What the worker gets of it, besides the method."""
        return payload_of(self.circuit)


class Asked(msgspec.Struct, frozen=True):
    """A job as it was asked for."""

    ones: tuple[One, ...]
    method: str
    outputs: frozenset[str]
    observables: dict[str, dict[str, float]]
    points: tuple[dict[str, float], ...]
    noise: dict[str, Any]
    shots: int
    seed: int
    bond: int

    @property
    def costed(self) -> list[tuple[Features, Work]]:
        """What admission looks at."""
        return [(one.features, one.work) for one in self.ones]


def payload_of(circuit: Circuit) -> dict[str, Any]:
    """A circuit as the worker gets it."""
    ops = [[op.gate, op.params, op.qubits, op.clbits, op.when] for op in circuit.ops]
    told: dict[str, Any] = msgspec.to_builtins(
        {"qubits": circuit.qubits, "clbits": circuit.clbits, "ops": ops}
    )
    return told


def document(ctx: Context, given: object) -> object:
    """A document that was given, or that stands in an artifact that the caller may read for nothing.

    Raises:
        CircuitError: there is none.
    """
    if not (isinstance(given, dict) and set(given) == {"artifact"}):
        return given
    artifact = find(ctx, str(given["artifact"]))
    if isinstance(artifact, Failed):
        raise CircuitError(artifact.detail)
    price = check(artifact, ctx.caller, "read")
    if price is None or (price and artifact.owner != ctx.caller):
        how = "you may not read it" if price is None else f"reading it costs {price} scrip"
        raise CircuitError(
            f"{artifact.id} is not read for you, {how}: read it, and give its content"
        )
    try:
        told: object = msgspec.json.decode(_content(ctx, artifact))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise CircuitError(f"the content of {artifact.id} is no JSON") from None
    return told


def _content(ctx: Context, artifact: Artifact) -> str:
    content = artifact.content
    if isinstance(content, BlobRef):
        content = msgspec.msgpack.decode(ctx.log.get_blob(content.digest))
    return str(content)


def circuit_asked(ctx: Context, args: Mapping[str, Any], limits: QuantumLimits) -> Circuit:
    """The circuit of a call, with the values of its parameters if they are given.

    Raises:
        CircuitError: it is none.
    """
    if "circuit" not in args:
        raise CircuitError("give a circuit")
    circuit = read(document(ctx, args["circuit"]), limits)
    return bind(circuit, args["values"]) if "values" in args else circuit


def job_asked(ctx: Context, args: Mapping[str, Any], limits: QuantumLimits) -> Asked:
    """The job that `run`, `estimate`, `expect` and `check` are about.

    Raises:
        CircuitError: something in it cannot be run as it is; the sentence says what.
    """
    circuits = _circuits(ctx, args, limits)
    observables = _observables(args.get("observables", {}), circuits, limits)
    outputs = frozenset(args.get("outputs", () if observables else ("counts",)))
    if observables:
        outputs |= {"expectations"}
    elif "expectations" in outputs:
        raise CircuitError("expectations need observables, as in {'zz': {'ZZ': 1.0}}")
    noise = _noise(args.get("noise", {}))
    points = _points(args.get("sweep", []), circuits, limits)
    shots = args.get("shots", SHOTS)
    if not outputs & {"counts", "memory"} and not noise:
        shots = 1
    bond = args.get("bond", limits.bond)
    if bond > limits.bond_max:
        raise TooLarge(f"a bond is at most {limits.bond_max} here, not {bond}")
    if (
        "memory" in outputs
        and shots * len(points or (1,)) * len(circuits) > limits.memory_shots_max
    ):
        raise TooLarge(
            f"memory lists at most {limits.memory_shots_max} shots in all: ask for counts"
        )
    terms = sum(len(sum_) for sum_ in observables.values())
    ones, amplitudes, operations = [], 0, 0
    for place, given in enumerate(circuits):
        circuit = canonical(given)
        operations += len(circuit.ops)
        features = _features(circuit, outputs)
        numbers = 2**circuit.qubits if outputs & STATE_OUTPUTS and circuit.qubits < 60 else 0
        amplitudes += numbers * max(len(points), 1) * len(outputs & STATE_OUTPUTS)
        work = Work(
            shots,
            max(len(points), 1),
            bond,
            "gates" if noise.keys() - {"readout"} else "readout" if noise else "no",
            _device_qubits(noise),
            terms,
            numbers,
            place,
        )
        ones.append(One(circuit, digest(circuit), features, work))
    if operations > limits.operations_max:
        most = limits.operations_max
        raise TooLarge(
            f"the circuits have {operations} operations, at most {most} are run at a time"
        )
    if amplitudes > limits.amplitudes_max:
        most = limits.amplitudes_max
        raise TooLarge(f"the answer would list {amplitudes} amplitudes, at most {most} are listed")
    return Asked(
        tuple(ones),
        args.get("method", "automatic"),
        outputs,
        observables,
        points,
        noise,
        shots,
        args.get("seed", 0),
        bond,
    )


def _circuits(ctx: Context, args: Mapping[str, Any], limits: QuantumLimits) -> list[Circuit]:
    many = args.get("circuits")
    if many is None:
        return [circuit_asked(ctx, args, limits)]
    if "circuit" in args:
        raise CircuitError("give a circuit or circuits, not both")
    if not 1 <= len(many) <= limits.circuits_max:
        raise TooLarge(f"a job has 1 to {limits.circuits_max} circuits, not {len(many)}")
    told = []
    for number, given in enumerate(many):
        try:
            told.append(read(document(ctx, given), limits))
        except CircuitError as error:
            raise type(error)(f"circuit {number}: {error}") from None
    return told


def _features(circuit: Circuit, outputs: frozenset[str]) -> Features:
    """The features of a circuit, as far as what is asked for lets it be run.

    Raises:
        CircuitError: it measures nothing where counts are asked for, or too early for a state.
    """
    features = features_of(circuit)
    if outputs & {"counts", "memory"} and not features.measures:
        raise CircuitError("nothing is measured: add measure, or ask for other outputs")
    if outputs & (STATE_OUTPUTS | {"expectations"}):
        if features.per_shot:
            raise CircuitError(
                "a state is told of circuits that measure at the end only, without reset and "
                "conditions: ask for counts"
            )
        return msgspec.structs.replace(features, qubits=tuple(range(circuit.qubits)))
    return features


def _observables(
    given: Mapping[str, Any], circuits: Sequence[Circuit], limits: QuantumLimits
) -> dict[str, dict[str, float]]:
    """Sums of Pauli words by name, the leftmost letter for the last qubit."""
    widths = {circuit.qubits for circuit in circuits}
    if given and len(widths) > 1:
        raise CircuitError("observables need circuits of one width")
    if sum(len(terms) for terms in given.values()) > limits.terms_max:
        raise TooLarge(f"observables have at most {limits.terms_max} terms in all")
    told: dict[str, dict[str, float]] = {}
    for name, terms in given.items():
        if not _NAME.fullmatch(name):
            raise CircuitError(f"{name[:64]!r} is no name of an observable")
        if not terms:
            raise CircuitError(
                f"observable {name} is empty: give a Pauli word, as in {{'ZZ': 1.0}}"
            )
        for word in terms:
            if len(word) not in widths or not _LABEL.fullmatch(word):
                width = min(widths)
                raise CircuitError(
                    f"{word[:64]!r} in {name} is no word of {width} letters I, X, Y, Z"
                )
        told[name] = {word: _number(factor, name) for word, factor in terms.items()}
    return told


def _number(value: object, what: str) -> float:
    try:
        told = angle_of(value, ())
    except AngleError as error:
        raise CircuitError(f"{what}: {str(error).replace('an angle', 'a factor')}") from None
    assert isinstance(told, float)
    return told


def _points(
    given: Sequence[Mapping[str, Any]], circuits: Sequence[Circuit], limits: QuantumLimits
) -> tuple[dict[str, float], ...]:
    """The points of a sweep: a value for each parameter of the circuits."""
    wanted = sorted({name for circuit in circuits for name in circuit.parameters})
    if wanted and not given:
        raise CircuitError(f"parameter {wanted[0]!r} has no value: give values, or a sweep")
    if len(given) > limits.points_max:
        raise TooLarge(f"a sweep has at most {limits.points_max} points, not {len(given)}")
    if given and not wanted:
        raise CircuitError("a sweep needs a circuit with parameters")
    told = []
    for number, point in enumerate(given):
        if sorted(point) != wanted:
            names = ", ".join(wanted)
            raise CircuitError(f"point {number} of the sweep gives values to {names}, and no other")
        told.append({name: _number(point[name], f"point {number}") for name in wanted})
    return tuple(told)


def _noise(given: Mapping[str, Any]) -> dict[str, Any]:
    """A noise model, checked: probabilities from 0 to 1, times that go together."""
    told: dict[str, Any] = {}
    if "device" in given:
        if len(given) > 1:
            raise CircuitError("a device brings its own noise: name it alone")
        return {"device": device(given["device"])}
    if "depolarizing" in given:
        rates = given["depolarizing"]
        told["depolarizing"] = {place: _chance(rates[place]) for place in sorted(rates)}
    if "readout" in given:
        rate = given["readout"]
        pair = rate if isinstance(rate, list) else [rate, rate]
        if len(pair) != 2:
            raise CircuitError("readout is a probability, or two: of reading 1 for 0, and 0 for 1")
        told["readout"] = [_chance(value) for value in pair]
    if "thermal" in given:
        times = {name: _number(value, name) for name, value in sorted(given["thermal"].items())}
        missing = {"t1_us", "t2_us", "one_ns", "two_ns"} - times.keys()
        if missing:
            raise CircuitError(f"thermal noise lacks {sorted(missing)[0]}")
        if not all(0 < value <= _TIME_US_MAX for value in times.values()):
            raise CircuitError("the times of thermal noise are above 0")
        if times["t2_us"] > 2 * times["t1_us"]:
            raise CircuitError("t2_us is at most twice t1_us")
        told["thermal"] = times
    return told


def _device_qubits(noise: Mapping[str, Any]) -> int:
    """How many qubits the device of a noise model has; a named one at most about so many."""
    number = str(noise.get("device", "_0")).rpartition("_")[2]
    return int(number) if number.isdigit() else _NAMED_QUBITS


def _chance(value: object) -> float:
    chance = _number(value, "noise")
    if not 0.0 <= chance <= 1.0:
        raise CircuitError(f"a probability lies between 0 and 1, not at {chance:g}")
    return chance


def device(name: str) -> str:
    """The name of a fake device, if it can be one.

    Raises:
        CircuitError: it cannot.
    """
    if not DEVICE.fullmatch(name):
        raise CircuitError(f"there is no device {name[:64]!r}: take generic_5 or fake_manila")
    return name


def coupling(given: object, qubits: int) -> list[list[int]] | str:
    """A coupling map, if it fits a circuit of so many qubits.

    Raises:
        CircuitError: it does not.
    """
    if isinstance(given, str):
        match = COUPLING.fullmatch(given)
        if match is None:
            raise CircuitError(
                f"there is no coupling map {given[:64]!r}: take line_5, ring_5 or full_5"
            )
        if int(match[1]) < qubits:
            raise CircuitError(f"{given} has fewer than the {qubits} qubits of the circuit")
        return given
    pairs = [list(pair) for pair in given] if isinstance(given, list) else []
    if any(len(p) != 2 or not all(isinstance(q, int) and 0 <= q < 99 for q in p) for p in pairs):
        raise CircuitError("a coupling map is a list of pairs of qubits from 0 to 98")
    if len({q for pair in pairs for q in pair}) < qubits:
        raise CircuitError(f"the coupling map has fewer than the {qubits} qubits of the circuit")
    return pairs


def basis(given: Sequence[str]) -> list[str]:
    """Gates to be left after transpiling.

    Raises:
        CircuitError: one of them is no gate.
    """
    for name in given:
        if name not in GATES or not GATES[name].acts:
            raise CircuitError(
                f"{name[:64]!r} is no gate to transpile to: take rz, sx, x, cx or others"
            )
    return [*given, "measure", "reset"]
