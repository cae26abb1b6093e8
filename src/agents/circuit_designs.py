"""Owns the circuits that physicists know: each family as a document of components, made from a few words.

Pure. What a circuit costs, and who runs it, is none of its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import pi
from typing import Any, Final

Words = Mapping[str, Any]
"""What a design says: ``family``, and what that needs (``qubits``, ``edges``, …)."""
Component = dict[str, Any]

POINTS_MAX: Final = 40


def name_of(design: Words) -> str:
    """What a design is called: its own name, else family and size."""
    return str(design.get("name") or f"{design['family']}_{design['qubits']}")


def document_of(design: Words) -> dict[str, Any]:
    """The circuit of a design, measured at its end; one of a family that is tuned has parameters.

    Raises:
        KeyError: there is no such family, or it needs another word.
    """
    family = FAMILIES[design["family"]]
    qubits = int(design["qubits"])
    components = list(family(design))
    components += [{"gate": "measure", "qubits": [q], "clbits": [q]} for q in range(qubits)]
    document: dict[str, Any] = {"qubits": qubits, "clbits": qubits, "components": components}
    return document | ({"parameters": sorted(RANGES[design["family"]])} if is_tuned(design) else {})


def is_tuned(design: Words) -> bool:
    """Whether its parameters are to be found before it is built."""
    return design["family"] in RANGES


def energy_of(design: Words) -> dict[str, float]:
    """What is to be least in a tuned design, as a sum of Pauli words: its Hamiltonian, or its cut."""
    if "hamiltonian" in design:
        return {str(word): float(factor) for word, factor in design["hamiltonian"].items()}
    qubits = int(design["qubits"])
    words = (("I" * qubits, {a, b}) for a, b in design["edges"])
    return {
        "".join("Z" if qubits - 1 - at in pair else letter for at, letter in enumerate(word)): 1.0
        for word, pair in words
    }


def sweep_of(design: Words, around: Mapping[str, float] | None = None) -> list[dict[str, float]]:
    """Points at which a tuned design is tried: all over its range, or more closely around one.

    Returns:
        at most ``POINTS_MAX`` points, each with a value for every parameter.
    """
    ranges = RANGES[design["family"]]
    each = int(POINTS_MAX ** (1 / len(ranges)))
    points: list[dict[str, float]] = [{}]
    for name, (low, high) in sorted(ranges.items()):
        begin, length = low, high - low
        if around is not None:
            begin, length = around[name] - length / each, 2 * length / each
        values = [round(begin + length * step / (each - 1), 6) for step in range(each)]
        points = [point | {name: value} for point in points for value in values]
    return points


# The families.


def _gate(name: str, *qubits: int, params: tuple[object, ...] = (), repeat: int = 1) -> Component:
    told: Component = {"gate": name, "qubits": list(qubits)}
    if params:
        told["params"] = list(params)
    return told | ({"repeat": repeat} if repeat > 1 else {})


def _ghz(design: Words) -> Iterator[Component]:
    yield _gate("h", 0)
    for qubit in range(int(design["qubits"]) - 1):
        yield _gate("cx", qubit, qubit + 1)


def _qft(design: Words) -> Iterator[Component]:
    """The Fourier transform of ``value``, without its last swaps."""
    qubits, value = int(design["qubits"]), int(design.get("value", 1))
    for qubit in range(qubits):
        if value >> qubit & 1:
            yield _gate("x", qubit)
    for qubit in reversed(range(qubits)):
        yield _gate("h", qubit)
        for other in reversed(range(qubit)):
            yield _gate("cp", other, qubit, params=(f"pi/{2 ** (qubit - other)}",))


def _grover(design: Words) -> Iterator[Component]:
    """The search for ``value``, as often repeated as finds it most surely."""
    qubits, value = int(design["qubits"]), int(design.get("value", 1))
    everywhere = range(qubits)
    for qubit in everywhere:
        yield _gate("h", qubit)
    for _ in range(max(1, int(pi / 4 * 2 ** (qubits / 2)))):
        zeros = [qubit for qubit in everywhere if not value >> qubit & 1]
        yield from (_gate("x", qubit) for qubit in zeros)
        yield _gate("mcp", *everywhere, params=("pi",))
        yield from (_gate("x", qubit) for qubit in zeros)
        for name in ("h", "x"):
            yield from (_gate(name, qubit) for qubit in everywhere)
        yield _gate("mcp", *everywhere, params=("pi",))
        for name in ("x", "h"):
            yield from (_gate(name, qubit) for qubit in everywhere)


def _vqe(design: Words) -> Iterator[Component]:
    """One electron shared by two qubits, as in a molecule of hydrogen."""
    yield _gate("x", 0)
    yield _gate("ry", 1, params=("theta",))
    yield _gate("cx", 1, 0)


def _qaoa(design: Words) -> Iterator[Component]:
    """One layer for the largest cut of the graph of ``edges``."""
    qubits = range(int(design["qubits"]))
    yield from (_gate("h", qubit) for qubit in qubits)
    yield from (_gate("rzz", a, b, params=("2*gamma",)) for a, b in design["edges"])
    yield from (_gate("rx", qubit, params=("2*beta",)) for qubit in qubits)


def _layers(design: Words) -> Iterator[Component]:
    """Turns and pairs that no shortcut is known for, as many layers as ``layers``."""
    qubits = int(design["qubits"])
    for layer in range(int(design.get("layers", 1))):
        yield from (_gate("ry", qubit, params=(0.3 + layer,)) for qubit in range(qubits))
        yield from (_gate("cx", qubit, qubit + 1) for qubit in range(qubits - 1))


def _deep(design: Words) -> Iterator[Component]:
    """A circuit of a certain ``depth``, its measurement included."""
    yield _gate("rx", 0, params=(0.01,), repeat=max(int(design["depth"]) - 1, 1))


FAMILIES: Final[Mapping[str, Callable[[Words], Iterator[Component]]]] = {
    "bell": _ghz,
    "ghz": _ghz,
    "qft": _qft,
    "grover": _grover,
    "vqe": _vqe,
    "qaoa": _qaoa,
    "layers": _layers,
    "deep": _deep,
}
"""What there is, by name."""
RANGES: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "vqe": {"theta": (-pi, pi)},
    "qaoa": {"beta": (0.0, pi / 2), "gamma": (0.0, pi)},
}
"""Where the parameters of tuned families are looked for."""
