"""A small simulator in numpy, written from the textbook definitions of the gates, to check the other one by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.complex128]

I2 = np.eye(2, dtype=complex)
X = np.array([[0, 1], [1, 0]], dtype=complex)
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1, -1]).astype(complex)
H = (X + Z) / np.sqrt(2)
SX = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2


def u(theta: float, phi: float, lam: float) -> Matrix:
    c, s = np.cos(theta / 2), np.sin(theta / 2)
    return np.array(
        [[c, -np.exp(1j * lam) * s], [np.exp(1j * phi) * s, np.exp(1j * (phi + lam)) * c]]
    )


def p(angle: float) -> Matrix:
    return np.diag([1, np.exp(1j * angle)])


def turn(pauli: Matrix, angle: float) -> Matrix:
    """exp(-i angle/2 pauli), for what squares to one."""
    one = np.eye(len(pauli))
    return np.cos(angle / 2) * one - 1j * np.sin(angle / 2) * pauli


def controlled(matrix: Matrix, controls: int = 1) -> Matrix:
    """Controls are the first qubits, which are the low bits."""
    size = len(matrix) << controls
    full = np.eye(size, dtype=complex)
    low = (1 << controls) - 1
    places = [low + (k << controls) for k in range(len(matrix))]
    full[np.ix_(places, places)] = matrix
    return full


def both(first: Matrix, second: Matrix) -> Matrix:
    """`first` on the first qubit, which is the low bit."""
    return np.kron(second, first)


SWAP = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=complex)
ISWAP = np.array([[1, 0, 0, 0], [0, 0, 1j, 0], [0, 1j, 0, 0], [0, 0, 0, 1]], dtype=complex)
ECR = (both(X, I2) - both(Y, X)) / np.sqrt(2)


def xx_plus_yy(theta: float, beta: float) -> Matrix:
    c, s = np.cos(theta / 2), np.sin(theta / 2)
    full = np.eye(4, dtype=complex)
    full[1:3, 1:3] = [[c, -1j * s * np.exp(-1j * beta)], [-1j * s * np.exp(1j * beta), c]]
    return full


def xx_minus_yy(theta: float, beta: float) -> Matrix:
    c, s = np.cos(theta / 2), np.sin(theta / 2)
    full = np.eye(4, dtype=complex)
    full[0, 0], full[3, 3] = c, c
    full[0, 3], full[3, 0] = -1j * s * np.exp(-1j * beta), -1j * s * np.exp(1j * beta)
    return full


def rccx() -> Matrix:
    full = np.eye(8, dtype=complex)
    full[3, 3], full[7, 7], full[3, 7], full[7, 3] = 0, 0, -1j, 1j
    full[5, 5] = -1
    return full


def rcccx() -> Matrix:
    full = np.eye(16, dtype=complex)
    full[3, 3], full[11, 11] = 1j, -1j
    full[7, 7], full[15, 15], full[7, 15], full[15, 7] = 0, 0, 1, -1
    return full


FIXED: Mapping[str, Matrix] = {
    "id": I2,
    "x": X,
    "y": Y,
    "z": Z,
    "h": H,
    "s": p(np.pi / 2),
    "sdg": p(-np.pi / 2),
    "t": p(np.pi / 4),
    "tdg": p(-np.pi / 4),
    "sx": SX,
    "sxdg": SX.conj().T,
    "cx": controlled(X),
    "cy": controlled(Y),
    "cz": controlled(Z),
    "ch": controlled(H),
    "cs": controlled(p(np.pi / 2)),
    "csdg": controlled(p(-np.pi / 2)),
    "csx": controlled(SX),
    "swap": SWAP,
    "iswap": ISWAP,
    "dcx": controlled(X)[[0, 2, 1, 3]][:, [0, 2, 1, 3]] @ controlled(X),
    "ecr": ECR,
    "ccx": controlled(X, 2),
    "ccz": controlled(Z, 2),
    "cswap": controlled(SWAP),
    "rccx": rccx(),
    "rcccx": rcccx(),
    "c3x": controlled(X, 3),
    "c3sx": controlled(SX, 3),
    "c4x": controlled(X, 4),
}
TURNED: Mapping[str, Callable[..., Matrix]] = {
    "p": p,
    "rx": lambda a: turn(X, a),
    "ry": lambda a: turn(Y, a),
    "rz": lambda a: turn(Z, a),
    "r": lambda a, b: turn(np.cos(b) * X + np.sin(b) * Y, a),
    "u": u,
    "cp": lambda a: controlled(p(a)),
    "crx": lambda a: controlled(turn(X, a)),
    "cry": lambda a: controlled(turn(Y, a)),
    "crz": lambda a: controlled(turn(Z, a)),
    "cu": lambda a, b, c, d: controlled(np.exp(1j * d) * u(a, b, c)),
    "rxx": lambda a: turn(both(X, X), a),
    "ryy": lambda a: turn(both(Y, Y), a),
    "rzz": lambda a: turn(both(Z, Z), a),
    "rzx": lambda a: turn(both(Z, X), a),
    "xx_plus_yy": xx_plus_yy,
    "xx_minus_yy": xx_minus_yy,
    "gphase": lambda a: np.array([[np.exp(1j * a)]]),
}


def matrix(name: str, params: list[float], width: int) -> Matrix:
    if name == "mcx":
        return controlled(X, width - 1)
    if name == "mcp":
        return controlled(p(params[0]), width - 1)
    return TURNED[name](*params) if name in TURNED else FIXED[name]


def simulate(document: dict[str, Any]) -> Matrix:
    """The state that flat components make of |0…0⟩; barriers and measurements do nothing."""
    n = document["qubits"]
    state = np.zeros(2**n, dtype=complex)
    state[0] = 1
    for component in document["components"]:
        if component["gate"] in ("barrier", "measure", "snapshot"):
            continue
        qubits = component["qubits"]
        if "matrix" in component:
            act = np.array(
                [[complex(*np.atleast_1d(z)) for z in row] for row in component["matrix"]]
            )
        else:
            act = matrix(component["gate"], component.get("params", []), len(qubits))
        state = applied(act, state, qubits, n)
    return state


def applied(act: Matrix, state: Matrix, qubits: list[int], n: int) -> Matrix:
    k = len(qubits)
    tensor = state.reshape([2] * n)  # axis 0 is the last qubit
    axes = [n - 1 - q for q in reversed(qubits)]
    tensor = np.tensordot(act.reshape([2] * 2 * k), tensor, axes=(range(k, 2 * k), axes))
    return np.moveaxis(tensor, range(k), axes).reshape(-1)
