"""Owns the way from the arguments of a call to a job: circuits, sweeps, outputs, noise, devices.

Everything that can be wrong is told here, before anything is priced. It must not know prices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ..world import Context, Failed
from .arguments import find
from .quantum_angles import AngleError, angle_of
from .quantum_circuit import Circuit, bind, read
from .quantum_component import CircuitError, TooLarge
from .quantum_devices import device_named, fitted, touched, without_errors
from .quantum_estimate import Noisy, Work
from .quantum_features import Features
from .quantum_gates import GATES
from .quantum_known import Known, Seen
from .quantum_limits import QuantumLimits

SHOTS: Final = 1_024
STATE_OUTPUTS: Final = frozenset(("statevector", "probabilities"))
COUPLING: Final = re.compile(r"(?:line|ring|full)_([2-9]|[1-9]\d)")
_LABEL: Final = re.compile(r"[IXYZ]+")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_TIME_US_MAX: Final = 1e9


class One(msgspec.Struct, frozen=True):
    """A circuit of a job: as it is run, what the worker gets of it, its hash and features."""

    circuit: Circuit
    payload: dict[str, Any]
    hash: str
    features: Features
    work: Work


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
    warnings: tuple[str, ...] = ()

    @property
    def costed(self) -> list[tuple[Features, Work]]:
        """What admission looks at."""
        return [(one.features, one.work) for one in self.ones]


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
    allowed = ctx.may(artifact, "read")
    if isinstance(allowed, Failed):
        raise CircuitError(f"{artifact.id} is not read for you: {allowed.detail}")
    if allowed.price_scrip:
        how = f"reading it costs {allowed.price_scrip} scrip"
        raise CircuitError(
            f"{artifact.id} is not read for you, {how}: read it, and give its content"
        )
    try:
        told: object = msgspec.json.decode(ctx.text(artifact))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise CircuitError(f"the content of {artifact.id} is no JSON") from None
    return told


def circuit_asked(ctx: Context, args: Mapping[str, Any], limits: QuantumLimits) -> Circuit:
    """The circuit of a call, with the values of its parameters if they are given.

    Raises:
        CircuitError: it is none.
    """
    if "circuit" not in args:
        raise CircuitError("give a circuit")
    circuit = read(document(ctx, args["circuit"]), limits)
    return bind(circuit, args["values"]) if "values" in args else circuit


def job_asked(ctx: Context, args: Mapping[str, Any], known: Known) -> Asked:
    """The job that `run`, `estimate`, `expect` and `check` are about.

    Raises:
        CircuitError: something in it cannot be run as it is; the sentence says what.
    """
    limits = known.limits
    seen = _circuits(ctx, args, known)
    circuits = [one.circuit for one in seen]
    observables = _observables(args.get("observables", {}), circuits, limits)
    has_snapshots = any(one.features.snapshots for one in seen)
    is_told = observables or (has_snapshots and not any(one.features.measures for one in seen))
    outputs = frozenset(args.get("outputs", () if is_told else ("counts",)))
    if observables:
        outputs |= {"expectations"}
    elif "expectations" in outputs:
        raise CircuitError("expectations need observables, as in {'zz': {'ZZ': 1.0}}")
    noise = _noise(args.get("noise", {}))
    points = _points(args.get("sweep", []), circuits, limits)
    shots = args.get("shots", SHOTS)
    if not outputs & {"counts", "memory"} and not noise and not has_snapshots:
        shots = 1
    bond = args.get("bond", limits.bond)
    if bond > limits.bond_max:
        raise TooLarge(f"a bond is at most {limits.bond_max} here, not {bond}")
    count = max(len(points), 1)
    if "memory" in outputs and shots * count * len(circuits) > limits.memory_shots_max:
        raise TooLarge(
            f"memory lists at most {limits.memory_shots_max} shots in all: ask for counts"
        )
    noisy: Noisy = "gates" if noise.keys() - {"readout"} else "readout" if noise else "no"
    terms = sum(len(sum_) for sum_ in observables.values())
    errors, warnings = _errors(noise, circuits)
    work = Work(shots, count, bond, noisy, errors, terms)
    ones = [
        _one(one, outputs, msgspec.structs.replace(work, place=place))
        for place, one in enumerate(seen)
    ]
    _check_sizes(ones, count, limits)
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
        warnings,
    )


def _one(seen: Seen, outputs: frozenset[str], work: Work) -> One:
    """A circuit in canonical form, with what is to be done with it.

    Raises:
        CircuitError: it does not tell what is asked for.
    """
    circuit, features = seen.form, _features(seen, outputs)
    if features.snapshots:
        _check_snapshots(circuit, work.noisy)
    ops = circuit.ops if features.snapshots else ()
    shown = [(op.snapshot, len(op.qubits)) for op in ops if op.snapshot]
    numbers = 2**circuit.qubits * len(outputs & STATE_OUTPUTS)
    work = msgspec.structs.replace(
        work,
        amplitudes=numbers + sum(snapshot.numbers(width) for snapshot, width in shown),
        snapshot_passes=sum(snapshot.passes(width) for snapshot, width in shown),
    )
    return One(circuit, seen.payload, seen.hash, features, work)


def _check_sizes(ones: Sequence[One], points: int, limits: QuantumLimits) -> None:
    """Refuse a job that is too large for its answer, or for a worker to build.

    Raises:
        TooLarge: with the figures.
    """
    operations = sum(len(one.circuit.ops) for one in ones)
    if operations > limits.operations_max:
        most = limits.operations_max
        raise TooLarge(
            f"the circuits have {operations} operations, at most {most} are run at a time"
        )
    ops = [op for one in ones if one.features.snapshots for op in one.circuit.ops]
    terms = sum(len(op.snapshot.terms) for op in ops if op.snapshot)
    if terms > limits.terms_max:
        raise TooLarge(f"observables have at most {limits.terms_max} terms in all")
    amplitudes = points * sum(one.work.amplitudes for one in ones)
    if amplitudes > limits.amplitudes_max:
        most = limits.amplitudes_max
        told = amplitudes if amplitudes < 1e15 else f"{amplitudes:.1e}"
        raise TooLarge(f"the answer would list {told} amplitudes, at most {most} are listed")


def _check_snapshots(circuit: Circuit, noisy: Noisy) -> None:
    """Refuse a state vector where each shot has another one.

    Raises:
        CircuitError: with the label.
    """
    is_one = noisy != "gates"
    for op in circuit.ops:
        if op.snapshot and op.snapshot.kind == "statevector" and not is_one:
            raise CircuitError(
                f"snapshot {op.snapshot.label!r}: after a measurement, a reset or a condition, and "
                "under noise, each shot has another state: ask for density_matrix or probabilities"
            )
        is_one = is_one and not op.when and op.gate not in ("measure", "reset")


def _circuits(ctx: Context, args: Mapping[str, Any], known: Known) -> list[Seen]:
    many, most = args.get("circuits"), known.limits.circuits_max
    if many is None:
        if "circuit" not in args:
            raise CircuitError("give a circuit")
        return [known.read(document(ctx, args["circuit"]), args.get("values"))]
    if "circuit" in args:
        raise CircuitError("give a circuit or circuits, not both")
    if not 1 <= len(many) <= most:
        raise TooLarge(f"a job has 1 to {most} circuits, not {len(many)}")
    told = []
    for number, given in enumerate(many):
        try:
            told.append(known.read(document(ctx, given)))
        except CircuitError as error:
            raise type(error)(f"circuit {number}: {error}") from None
    return told


def _features(seen: Seen, outputs: frozenset[str]) -> Features:
    """The features of a circuit, as far as what is asked for lets it be run.

    Raises:
        CircuitError: it measures nothing where counts are asked for, or too early for a state.
    """
    features = seen.features
    if outputs & {"counts", "memory"} and not features.measures:
        raise CircuitError("nothing is measured: add measure, or ask for other outputs")
    if outputs & (STATE_OUTPUTS | {"expectations"}):
        if features.per_shot:
            raise CircuitError(
                "a state is told of circuits that measure at the end only, without reset and "
                "conditions: ask for counts"
            )
        return msgspec.structs.replace(features, qubits=tuple(range(seen.circuit.qubits)))
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
        return {"device": device_named(given["device"]).name}
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


def _errors(noise: Mapping[str, Any], circuits: Sequence[Circuit]) -> tuple[int, tuple[str, ...]]:
    """How many errors the device of a noise model brings, and a warning of gates that have none there.

    Raises:
        CircuitError: a circuit does not fit on it.
    """
    if "device" not in noise:
        return 0, ()
    used = {q for circuit in circuits for q in touched(circuit)}
    device = fitted(noise["device"], max(used, default=0) + 1)
    names = sorted({name for one in circuits for name in without_errors(device, one)})
    told = f"{', '.join(names)} have no error on {device.name}: transpile for it first"
    return device.errors(len(used)), (told,) if names else ()


def _chance(value: object) -> float:
    chance = _number(value, "noise")
    if not 0.0 <= chance <= 1.0:
        raise CircuitError(f"a probability lies between 0 and 1, not at {chance:g}")
    return chance


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
        if name not in GATES or not GATES[name].qasm3 or not GATES[name].acts:
            raise CircuitError(
                f"{name[:64]!r} is no gate to transpile to: take rz, sx, x, cx or others"
            )
    return [*given, "measure", "reset"]
