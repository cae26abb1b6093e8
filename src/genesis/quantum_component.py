"""Owns one component of a circuit: what may stand in its fields, and the sentence where that is wrong.

Wires, conditions, shapes of gates, snapshots, matrices. It must not know the circuit around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from .quantum_angles import PARAMETER, Angle, AngleError, angle_of
from .quantum_gates import GATES, MATRIX_QUBITS_MAX, REWRITTEN

FIELDS: Final = frozenset(("id", "gate", "qubits", "clbits", "params", "condition", "repeat"))
SPECIAL: Final[Mapping[str, frozenset[str]]] = {
    "snapshot": frozenset(("label", "kind", "observable")),
    "unitary": frozenset(("matrix",)),
}
"""Further fields, by the gate that has them."""
SNAPSHOTS: Final = ("statevector", "probabilities", "density_matrix", "expectation")
"""What a snapshot can be of."""
PAULIS: Final = frozenset("IXYZ")
_ALL_FIELDS: Final = FIELDS.union(*SPECIAL.values())
_UNITARY_WITHIN: Final = 1e-9

When = tuple[tuple[int, int], ...]
"""Classical bits and the values that they must have, in order of the bits."""


class CircuitError(ValueError):
    """A list of components that is no circuit; the sentence names the component and says why."""


class TooLarge(CircuitError):
    """A circuit beyond a limit; the sentence gives the figures."""


class Snapshot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is told of the state where it stands; ``terms`` are Pauli words with their factors."""

    label: str
    kind: str
    terms: tuple[tuple[str, float], ...] = ()

    def numbers(self, width: int) -> int:
        """How many numbers it lists of so many qubits."""
        return 1 if self.terms else 1 << (2 * width if self.kind == "density_matrix" else width)

    def passes(self, width: int) -> int:
        """How often it goes through the whole state, about."""
        most = (1 << width) // 4 if self.kind == "density_matrix" else 1
        return len(self.terms) or max(most, 1)


def known(component: Mapping[str, object], fields: Set[str], where: str) -> None:
    """Refuse a field that is not there.

    Raises:
        CircuitError: with the nearest that is.
    """
    if component.keys() <= fields:
        return
    for field in component:
        if field not in fields:
            near = get_close_matches(str(field)[:64], fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(fields))}"
            raise CircuitError(f"{where}: there is no field {str(field)[:64]!r}: {hint}")


def known_to(gate: str, component: Mapping[str, object], label: str) -> None:
    """Refuse a field that is not there, or not for this gate.

    Raises:
        CircuitError: with the field.
    """
    if component.keys() <= FIELDS:
        return
    known(component, _ALL_FIELDS, label)
    for owner, fields in SPECIAL.items():
        if gate != owner and (others := fields & component.keys()):
            raise CircuitError(f"{label}: {min(others)} is a field of {owner}, not of {gate}")


def whole_number(value: object, where: str, what: str, least: int, most: int) -> int:
    """A whole number within its bounds.

    Raises:
        CircuitError: it is none, or (`TooLarge`) beyond ``most``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise CircuitError(f"{where}{what} is a whole number from {least}")
    if value > most:
        raise TooLarge(f"{where}{what} is {value}, at most {most} is admitted")
    return value


def wires_of(value: object, count: int, label: str, what: str) -> tuple[int, ...]:
    """Wires that there are, each named once; ``what`` is qubit or clbit.

    Raises:
        CircuitError: with the wire.
    """
    if not isinstance(value, list):
        raise CircuitError(f"{label}: {what}s is a list of whole numbers")
    if len(value) > count:
        raise CircuitError(f"{label}: it names {len(value)} {what}s, the circuit has {count}")
    for wire in value:
        if type(wire) is not int:
            raise CircuitError(f"{label}: {what}s is a list of whole numbers")
        if not 0 <= wire < count:
            there = f"0 to {count - 1}" if count else "none"
            raise CircuitError(f"{label}: there is no {what} {wire}: the circuit has {there}")
    if len(value) > 1 and len(set(value)) < len(value):
        raise CircuitError(f"{label}: a {what} is named twice")
    return tuple(value)


def condition_of(value: object, clbits: int, label: str) -> When:
    """A condition: bits that there are, and a value that they can have.

    Raises:
        CircuitError: it is none.
    """
    if not isinstance(value, dict) or set(value) - {"clbit", "clbits", "value"}:
        raise CircuitError(f"{label}: a condition is an object with clbits and value")
    bits = [value["clbit"]] if "clbit" in value else value.get("clbits")
    wires = wires_of(bits, clbits, f"{label}: its condition", "clbit")
    if not wires:
        raise CircuitError(f"{label}: its condition names no clbit")
    wanted = whole_number(value.get("value", 1), f"{label}: its condition: ", "value", 0, 2**62)
    if wanted >> len(wires):
        raise CircuitError(f"{label}: {len(wires)} classical bits are never {wanted}")
    return tuple(sorted((wire, wanted >> i & 1) for i, wire in enumerate(wires)))


def joined(outer: When, inner: Sequence[tuple[int, int]], label: str) -> When:
    """Both conditions together.

    Raises:
        CircuitError: they are never both true.
    """
    told = dict(outer)
    for bit, value in inner:
        if told.setdefault(bit, value) != value:
            raise CircuitError(f"{label}: its condition and the one around it are never both true")
    return tuple(sorted(told.items()))


def check_shape(
    name: str,
    params: tuple[Angle, ...],
    qubits: tuple[int, ...],
    clbits: tuple[int, ...],
    label: str,
) -> None:
    """Refuse a gate with other numbers of qubits, angles or classical bits than it has.

    Raises:
        CircuitError: with both numbers.
    """
    gate = GATES.get(name) or GATES["u" if name == "u2" else "cu"]
    if not gate.qubits <= len(qubits) <= gate.most:
        wants = str(gate.qubits) if gate.qubits == gate.most else f"{gate.qubits} to {gate.most}"
        raise CircuitError(f"{label}: {name} takes {wants} qubits, not {len(qubits)}")
    wanted = 2 * 4 ** len(qubits) if name == "unitary" else REWRITTEN.get(name, gate.params)
    if len(params) != wanted:
        raise CircuitError(f"{label}: {name} takes {wanted} params, not {len(params)}")
    if len(clbits) != gate.clbits:
        how = ": measure into one classical bit" if name == "measure" else ""
        raise CircuitError(f"{label}: {name} takes {gate.clbits} clbits, not {len(clbits)}{how}")


# Snapshots and matrices.


def snapshot_of(component: Mapping[str, Any], width: int, label: str) -> Snapshot:
    """The snapshot that a component on so many qubits asks for; 0 are all of the circuit.

    Raises:
        CircuitError: it is none.
    """
    name, kind = component.get("label"), component.get("kind")
    if not (isinstance(name, str) and PARAMETER.fullmatch(name)):
        raise CircuitError(f"{label}: a snapshot has a label of letters, digits and _, 32 at most")
    if kind not in SNAPSHOTS:
        raise CircuitError(f"{label}: the kind of a snapshot is {', '.join(SNAPSHOTS)}")
    if kind == "statevector" and width:
        raise CircuitError(f"{label}: a state vector is told of all qubits: name none")
    if (kind == "expectation") != ("observable" in component):
        raise CircuitError(
            f"{label}: an expectation, and no other kind, has an observable, as in {{'ZZ': 1.0}}"
        )
    return Snapshot(name, kind, _terms(component.get("observable"), label))


def _terms(given: object, label: str) -> tuple[tuple[str, float], ...]:
    if given is None:
        return ()
    if not isinstance(given, dict) or not given:
        raise CircuitError(f"{label}: an observable is factors by Pauli word, as in {{'ZZ': 1.0}}")
    return tuple(sorted((word, _factor(factor, label)) for word, factor in given.items()))


def _factor(value: object, label: str) -> float:
    try:
        told = angle_of(value, ())
    except AngleError as error:
        raise CircuitError(f"{label}: {str(error).replace('an angle', 'a factor')}") from None
    assert isinstance(told, float)
    return told


def check_words(snapshot: Snapshot, width: int, label: str) -> None:
    """Refuse an observable that is not one of so many qubits.

    Raises:
        CircuitError: with the word.
    """
    for word, _ in snapshot.terms:
        if len(word) != width or not PAULIS.issuperset(word):
            raise CircuitError(
                f"{label}: {word[:64]!r} is no word of {width} letters I, X, Y, Z, one a qubit"
            )


def matrix_of(given: object, width: int, label: str) -> tuple[float, ...]:
    """A unitary matrix row by row, each entry by its real and imaginary part.

    Raises:
        CircuitError: it is none of so many qubits.
    """
    size = 2**width
    if not 1 <= width <= MATRIX_QUBITS_MAX:
        most = MATRIX_QUBITS_MAX
        raise CircuitError(f"{label}: unitary takes 1 to {most} qubits, not {width}")
    rows = given if isinstance(given, list) else []
    if len(rows) != size or not all(isinstance(row, list) and len(row) == size for row in rows):
        raise CircuitError(
            f"{label}: the matrix of {width} qubits is {size} rows of {size} numbers, or of pairs: "
            "real and imaginary part"
        )
    entries = [[_entry(value, label) for value in row] for row in rows]
    for i, row in enumerate(entries):
        for k, other in enumerate(entries[: i + 1]):
            inner = sum(a * b.conjugate() for a, b in zip(row, other, strict=True))
            if not abs(inner - (i == k)) <= _UNITARY_WITHIN:
                raise CircuitError(f"{label}: the matrix is not unitary: see its rows {k} and {i}")
    return tuple(part + 0.0 for row in entries for z in row for part in (z.real, z.imag))


def _entry(value: object, label: str) -> complex:
    parts = value if isinstance(value, list) else [value, 0.0]
    if len(parts) != 2:
        raise CircuitError(f"{label}: an entry of a matrix is a number, or [real, imaginary]")
    return complex(*(_factor(part, label) for part in parts))


def matrix_told(params: Sequence[Any]) -> list[list[list[float]]]:
    """The matrix of `matrix_of`, as a component says it."""
    pairs = [[params[i], params[i + 1]] for i in range(0, len(params), 2)]
    size = round(len(pairs) ** 0.5)
    return [pairs[i : i + size] for i in range(0, len(pairs), size)]
