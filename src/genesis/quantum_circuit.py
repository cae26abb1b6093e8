"""Owns circuits as components: read a list, check it, and write out sub-circuits and repeats.

What comes out is flat and bounded; what is wrong is told with the name of the component. It must
not know what circuits cost, how they are written elsewhere, or who asks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from .quantum_angles import PARAMETER, Angle, AngleError, angle_of, bound
from .quantum_component import (
    CircuitError,
    Snapshot,
    TooLarge,
    When,
    check_shape,
    check_words,
    condition_of,
    joined,
    known,
    known_to,
    matrix_of,
    matrix_told,
    snapshot_of,
    whole_number,
    wires_of,
)
from .quantum_gates import CONTROLLED, GATES, named, nearest
from .quantum_limits import QuantumLimits

_ID_CHARS_MAX: Final = 64
_REPEAT_MAX: Final = 1_000_000
_SNAPSHOTS_MAX: Final = 64
_FIELDS: Final = {"name", "qubits", "clbits", "parameters", "components"}
_UNCONDITIONAL: Final = {"barrier", "gphase", "snapshot"}


class Op(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One operation of a flat circuit.

    Attributes:
        params: angles; of a matrix its entries, row by row, each by its real and imaginary part.
        id: its component's, empty if it was written out.
    """

    gate: str
    params: tuple[Angle, ...]
    qubits: tuple[int, ...]
    clbits: tuple[int, ...]
    when: When
    id: str = ""
    snapshot: Snapshot | None = None


class Circuit(msgspec.Struct, frozen=True):
    """A flat circuit, in the order in which it was written."""

    qubits: int
    clbits: int
    ops: tuple[Op, ...]
    parameters: tuple[str, ...] = ()


class _Node(msgspec.Struct, frozen=True):
    """A component, checked by itself; ``target`` is a gate of the table or a sub-circuit."""

    label: str
    id: str
    target: str
    is_circuit: bool
    params: tuple[Angle, ...]
    qubits: tuple[int, ...]
    clbits: tuple[int, ...]
    when: When
    repeat: int
    snapshot: Snapshot | None


class _Definition(msgspec.Struct, frozen=True):
    qubits: int
    clbits: int
    parameters: tuple[str, ...]
    nodes: tuple[_Node, ...]


def read(document: object, limits: QuantumLimits) -> Circuit:
    """A circuit from a list of components.

    Args:
        document: ``{"qubits", "clbits", "components", "parameters", "circuits"}``; see the
            documentation of genesis_quantum.
        limits: what is larger is refused before it is written out.

    Raises:
        CircuitError: it is none, or (`TooLarge`) it is too large.
    """
    return _Reader(limits).read(document)


def bind(circuit: Circuit, values: Mapping[str, float]) -> Circuit:
    """The circuit with numbers in the place of its parameters.

    Raises:
        CircuitError: a parameter has no value, or a value is for no parameter.
    """
    missing = [name for name in circuit.parameters if name not in values]
    if missing:
        raise CircuitError(f"parameter {missing[0]!r} has no value: give it a number")
    for name in values:
        if name not in circuit.parameters:
            raise CircuitError(f"the circuit has no parameter {name[:64]!r}")
    try:
        numbers = {name: angle_of(value, ()) for name, value in values.items()}
        ops = tuple(
            _operation(op.gate, tuple(bound(p, numbers) for p in op.params), op)
            for op in circuit.ops
        )
    except AngleError as error:
        raise CircuitError(str(error)) from None
    return Circuit(circuit.qubits, circuit.clbits, ops)


def document_of(circuit: Circuit) -> dict[str, Any]:
    """The circuit as a list of components, from which ``read`` makes the same circuit."""
    components = []
    for op in circuit.ops:
        component: dict[str, Any] = {"gate": op.gate, "qubits": list(op.qubits)}
        if op.id:
            component["id"] = op.id
        if op.snapshot:
            component |= _told_of(op.snapshot)
        elif op.gate == "unitary":
            component["matrix"] = matrix_told(op.params)
        elif op.params:
            component["params"] = [_told(angle) for angle in op.params]
        if op.clbits:
            component["clbits"] = list(op.clbits)
        if op.when:
            value = sum(bit << i for i, (_, bit) in enumerate(op.when))
            component["condition"] = {"clbits": [c for c, _ in op.when], "value": value}
        components.append(component)
    document = {"qubits": circuit.qubits, "clbits": circuit.clbits, "components": components}
    return document | ({"parameters": list(circuit.parameters)} if circuit.parameters else {})


def _told_of(snapshot: Snapshot) -> dict[str, Any]:
    told: dict[str, Any] = {"label": snapshot.label, "kind": snapshot.kind}
    if snapshot.kind == "statevector":
        told["qubits"] = []
    return told | ({"observable": dict(snapshot.terms)} if snapshot.terms else {})


def _told(angle: Angle) -> float | str:
    if isinstance(angle, float):
        return angle
    terms = "".join(f"+({factor!r})*{name}" for name, factor in angle.terms)
    return f"{angle.constant!r}{terms}"


def _operation(gate: str, params: tuple[Angle, ...], like: Op) -> Op:
    """An operation, under the one name that it has."""
    qubits = like.qubits
    if gate == "u2":
        gate, params = "u", (math.pi / 2, *params)
    elif gate == "cu3":
        gate, params = "cu", (*params, 0.0)
    elif gate == "mcx":
        gate = CONTROLLED.get(len(qubits) - 1, "mcx")
    elif gate == "mcp" and len(qubits) == 2:
        gate = "cp"
    if gate == "u" and params == (0.0, 0.0, 0.0):
        gate, params = "id", ()
    return Op(gate, params, qubits, like.clbits, like.when, like.id, like.snapshot)


class _Reader:
    """Reads one document. Each sub-circuit is checked once, and counted before it is written out."""

    def __init__(self, limits: QuantumLimits) -> None:
        self._limits = limits
        self._named: Mapping[str, Any] = {}
        self._read: dict[str, _Definition] = {}
        self._sizes: dict[str, int] = {}
        self._texts: dict[str, Angle] = {}

    def read(self, document: object) -> Circuit:
        limits = self._limits
        if not isinstance(document, dict):
            raise CircuitError("a circuit is an object with qubits, clbits and components")
        self._named = document.get("circuits", {})
        if not isinstance(self._named, dict):
            raise CircuitError("circuits is an object: a name and its circuit each")
        whole = [document, *self._named.values()]
        count = sum(len(c["components"]) for c in whole if _has_components(c))
        if count > limits.components_max or len(self._named) > limits.components_max:
            detail = f"there are {count} components, at most {limits.components_max} are read"
            raise TooLarge(f"{detail}: use sub-circuits and repeat")
        for name in self._named:
            if not PARAMETER.fullmatch(name):
                detail = "a sub-circuit's name is an ASCII letter, then letters, digits and _, 32 at most"
                raise CircuitError(f"{name[:64]!r} is no name: {detail}")
            if named(name):
                raise CircuitError(f"sub-circuit {name!r} has the name of a gate: choose another")
        main = self._definition("", {k: v for k, v in document.items() if k != "circuits"})
        size = self._size(main, ())
        if size > limits.operations_max:
            detail = f"written out it has {size} operations, at most {limits.operations_max} are"
            raise TooLarge(f"{detail} admitted: repeat less, or run it in parts")
        ops: list[Op] = []
        self._expand(main, (), (), {}, (), ops, False)
        _check_labels([op.snapshot.label for op in ops if op.snapshot])
        return Circuit(main.qubits, main.clbits, tuple(ops), main.parameters)

    # Checking one definition.

    def _definition(self, name: str, document: object) -> _Definition:
        where = f"sub-circuit {name!r}: " if name else ""
        if not isinstance(document, dict):
            raise CircuitError(f"{where}a circuit is an object with qubits, clbits and components")
        known(document, _FIELDS if name else _FIELDS | {"circuits"}, name or "the circuit")
        qubits = whole_number(document.get("qubits"), where, "qubits", 1, self._limits.qubits_max)
        clbits = whole_number(
            document.get("clbits", 0), where, "clbits", 0, self._limits.clbits_max
        )
        parameters = document.get("parameters", [])
        if not isinstance(parameters, list) or len(parameters) > self._limits.parameters_max:
            most = self._limits.parameters_max
            raise CircuitError(f"{where}parameters is a list of at most {most} names")
        for parameter in parameters:
            if not (isinstance(parameter, str) and PARAMETER.fullmatch(parameter)):
                raise CircuitError(f"{where}{str(parameter)[:64]!r} is no name of a parameter")
        if len(set(parameters)) < len(parameters) or "pi" in parameters:
            raise CircuitError(f"{where}a parameter has a name of its own, and not pi")
        components = document.get("components")
        if not isinstance(components, list):
            raise CircuitError(f"{where}components is a list")
        seen: set[str] = set()
        nodes = []
        self._texts = {}  # what a text means depends on the parameters
        for number, component in enumerate(components):
            nodes.append(self._node(component, number, where, (qubits, clbits), parameters))
            id = nodes[-1].id
            if id and id in seen:
                raise CircuitError(f"{where}two components have the id {id!r}")
            seen.add(id)
        return _Definition(qubits, clbits, tuple(parameters), tuple(nodes))

    def _node(
        self,
        component: object,
        number: int,
        where: str,
        wires: tuple[int, int],
        parameters: Sequence[str],
    ) -> _Node:
        label = f"{where}component {number}"
        if not isinstance(component, dict):
            raise CircuitError(f"{label} is no object")
        id = component.get("id", "")
        if not isinstance(id, str) or len(id) > _ID_CHARS_MAX:
            raise CircuitError(f"{label}: an id is a text of at most {_ID_CHARS_MAX} characters")
        label = f"{where}component {id!r}" if id else label
        target, is_circuit = self._target(component.get("gate"), label)
        known_to(target, component, label)
        repeat = component.get("repeat", 1)
        if repeat != 1 or type(repeat) is not int:
            repeat = whole_number(repeat, f"{label}: ", "repeat", 0, _REPEAT_MAX)
        qubits = wires_of(component.get("qubits", []), wires[0], label, "qubit")
        clbits = wires_of(component.get("clbits", []), wires[1], label, "clbit")
        params = self._angles(component.get("params", []), parameters, label)
        when: When = ()
        if component.get("condition") is not None:
            when = condition_of(component["condition"], wires[1], label)
            if any(bit in clbits for bit, _ in when):
                raise CircuitError(f"{label} writes a classical bit of its own condition")
            if target in _UNCONDITIONAL:
                raise CircuitError(f"{label}: {target} takes no condition")
        snapshot = None
        if target == "snapshot":
            if where or repeat != 1:
                raise CircuitError(f"{label}: a snapshot stands once, and in no sub-circuit")
            snapshot = snapshot_of(component, len(qubits), label)
            qubits = qubits or tuple(range(wires[0]))
            check_words(snapshot, len(qubits), label)
        elif target == "unitary":
            if params:
                raise CircuitError(f"{label}: unitary has a matrix, and no params")
            params = matrix_of(component.get("matrix"), len(qubits), label)
        if not is_circuit:
            check_shape(target, params, qubits, clbits, label)
        return _Node(label, id, target, is_circuit, params, qubits, clbits, when, repeat, snapshot)

    def _angles(self, given: Any, parameters: Sequence[str], label: str) -> tuple[Angle, ...]:
        given = given if isinstance(given, list) else [given]
        most = self._limits.parameters_max
        if len(given) > most:
            raise CircuitError(f"{label} has {len(given)} params, at most {most} are read")
        try:
            return tuple([self._angle(value, parameters) for value in given])
        except AngleError as error:
            raise CircuitError(f"{label}: {error}") from None

    def _angle(self, value: object, parameters: Sequence[str]) -> Angle:
        if not isinstance(value, str):
            return angle_of(value, parameters)
        if value not in self._texts:
            self._texts[value] = angle_of(value, parameters)
        return self._texts[value]

    def _target(self, gate: object, label: str) -> tuple[str, bool]:
        if not isinstance(gate, str):
            raise CircuitError(f"{label} has no gate: name a gate or a sub-circuit")
        if gate in GATES:
            return gate, False
        if gate in self._named:
            return gate, True
        name = named(gate[:64])
        if name is not None:
            return name, False
        near = nearest(gate, self._named)
        hint = f"did you mean {near}?" if near else "genesis_quantum check lists none like it"
        raise CircuitError(f"{label}: there is no gate {gate[:64]!r}: {hint}")

    def _sub(self, node: _Node) -> _Definition:
        name = node.target
        if name not in self._read:
            self._read[name] = self._definition(name, self._named[name])
        sub = self._read[name]
        for kind, has, wants in (
            ("qubits", len(node.qubits), sub.qubits),
            ("clbits", len(node.clbits), sub.clbits),
            ("params", len(node.params), len(sub.parameters)),
        ):
            if has != wants:
                raise CircuitError(f"{node.label}: {name} takes {wants} {kind}, not {has}")
        return sub

    # Writing out.

    def _size(self, definition: _Definition, above: tuple[str, ...]) -> int:
        """How many operations a definition has written out; 10¹⁸ and more count as that."""
        total = 0
        for node in definition.nodes:
            size = 1
            if node.is_circuit:
                if node.target in above:
                    raise CircuitError(f"{node.label}: sub-circuit {node.target} contains itself")
                if len(above) >= self._limits.nesting_max:
                    most = self._limits.nesting_max
                    raise TooLarge(f"{node.label}: sub-circuits stand at most {most} deep")
                sub = self._sub(node)
                if node.target not in self._sizes:
                    self._sizes[node.target] = self._size(sub, (*above, node.target))
                size = self._sizes[node.target]
            total = min(total + max(size * node.repeat, 1), 10**18)  # none is work, too
        return total

    def _expand(
        self,
        definition: _Definition,
        qubits: tuple[int, ...],
        clbits: tuple[int, ...],
        values: Mapping[str, Angle],
        when: When,
        ops: list[Op],
        is_inside: bool,
    ) -> None:
        for node in definition.nodes:
            own_q, own_c, own_when = node.qubits, node.clbits, when
            if is_inside:
                own_q = tuple([qubits[q] for q in own_q])
                own_c = tuple([clbits[c] for c in own_c])
            if node.when:
                inner_when = [(clbits[c] if is_inside else c, v) for c, v in node.when]
                own_when = joined(when, inner_when, node.label)
            params = node.params
            if is_inside and params:
                try:
                    params = tuple([bound(p, values) for p in params])
                except AngleError as error:
                    raise CircuitError(f"{node.label}: {error}") from None
            if not node.is_circuit:
                if own_when and any(bit in own_c for bit, _ in own_when):
                    raise CircuitError(f"{node.label} writes a classical bit of its own condition")
                if own_when and node.target in _UNCONDITIONAL:
                    raise CircuitError(f"{node.label}: {node.target} takes no condition")
                is_one = node.repeat == 1 and not is_inside
                id = node.id if is_one else ""
                like = Op("", (), own_q, own_c, own_when, id, node.snapshot)
                ops.extend([_operation(node.target, params, like)] * node.repeat)
                continue
            sub = self._sub(node)
            inner = dict(zip(sub.parameters, params, strict=True))
            for _ in range(node.repeat):
                self._expand(sub, own_q, own_c, inner, own_when, ops, True)


def _check_labels(labels: list[str]) -> None:
    if len(labels) > _SNAPSHOTS_MAX:
        raise TooLarge(f"a circuit has at most {_SNAPSHOTS_MAX} snapshots, not {len(labels)}")
    for at, label in enumerate(labels):
        if label in labels[:at]:
            raise CircuitError(f"two snapshots have the label {label!r}")


def _has_components(document: object) -> bool:
    return isinstance(document, dict) and isinstance(document.get("components"), list)
