"""Owns the matrices of one-qubit gates, and which gates are controlled forms of them. Knows no states."""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

Matrix = tuple[complex, complex, complex, complex]
"""Row by row."""

_HALF: Final = math.sqrt(0.5)
_PLUS, _MINUS = (1 + 1j) / 2, (1 - 1j) / 2
_FIXED: Final[Mapping[str, Matrix]] = MappingProxyType(
    {
        "id": (1, 0, 0, 1),
        "x": (0, 1, 1, 0),
        "y": (0, -1j, 1j, 0),
        "z": (1, 0, 0, -1),
        "h": (_HALF, _HALF, _HALF, -_HALF),
        "s": (1, 0, 0, 1j),
        "sdg": (1, 0, 0, -1j),
        "t": (1, 0, 0, cmath.exp(0.25j * math.pi)),
        "tdg": (1, 0, 0, cmath.exp(-0.25j * math.pi)),
        "sx": (_PLUS, _MINUS, _MINUS, _PLUS),
        "sxdg": (_MINUS, _PLUS, _PLUS, _MINUS),
    }
)
_CONTROLLED: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("cx", "ccx", "c3x", "c4x", "mcx"), "x"),
        **dict.fromkeys(("cz", "ccz"), "z"),
        **dict.fromkeys(("cp", "mcp"), "p"),
        **dict.fromkeys(("csx", "c3sx"), "sx"),
        "cy": "y",
        "ch": "h",
        "cs": "s",
        "csdg": "sdg",
        "crx": "rx",
        "cry": "ry",
        "crz": "rz",
    }
)


def matrix(gate: str, angles: Sequence[float] = ()) -> Matrix | None:
    """The matrix of a one-qubit gate of the table; None for any other."""
    if gate in _FIXED:
        return _FIXED[gate]
    half = math.pi / 2
    match gate, tuple(angles):
        case "p", (turn,):
            return (1, 0, 0, cmath.exp(1j * turn))
        case "rz", (turn,):
            return (cmath.exp(-0.5j * turn), 0, 0, cmath.exp(0.5j * turn))
        case "rx", (turn,):
            return _turned(turn, -half, half)
        case "ry", (turn,):
            return _turned(turn, 0.0, 0.0)
        case "r", (turn, axis):
            return _turned(turn, axis - half, half - axis)
        case "u", (turn, phi, lam):
            return _turned(turn, phi, lam)
    return None


def controlled(gate: str, angles: Sequence[float] = ()) -> Matrix | None:
    """What a controlled gate does to its last qubit; None for a gate that is none."""
    if gate == "cu":
        *turn, phase = angles
        a, b, c, d = matrix("u", turn) or _FIXED["id"]
        by = cmath.exp(1j * phase)
        return (a * by, b * by, c * by, d * by)
    base = _CONTROLLED.get(gate)
    return None if base is None else matrix(base, angles)


def _turned(turn: float, phi: float, lam: float) -> Matrix:
    c, s = math.cos(turn / 2), math.sin(turn / 2)
    by_phi, by_lam = cmath.exp(1j * phi), cmath.exp(1j * lam)
    return (c, -by_lam * s, by_phi * s, by_phi * by_lam * c)
