"""Owns the table of gates: names, aliases, shapes, how each is written in OpenQASM, and what it weighs.

Every standard gate of Qiskit's library stands here once, under one name. It must not know circuits.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

import msgspec

_OTHERS_MAX: Final = 100
CONTROLS_MAX: Final = 30
"""Controls of mcx and mcp, at most."""
MATRIX_QUBITS_MAX: Final = 2
"""Qubits of a gate by its matrix, at most."""


class Gate(msgspec.Struct, frozen=True):
    """A gate, or another operation of a circuit.

    Attributes:
        qubits: how many it takes, at least; most: at most. params: how many angles.
            clbits: how many it writes.
        kind: ``one`` and ``many`` (not diagonal, on one qubit or more), ``diagonal``, ``other``.
        clifford: it keeps a stabilizer state one.
        symmetric: from which to before which qubit the order makes no difference.
        two: two-qubit gates that it becomes where it is not native; ``weight`` tells those of mcx and
            mcp and of a matrix. one: the same, for one-qubit gates.
        qasm2, qasm3: its name there, ``""`` where it cannot be written; a modifier ends with a space.
        body: its definition for a dialect that does not have it: angles ``a0…``, qubits ``q0…``.
        defined: the dialects (2, 3) that need the definition.
    """

    name: str
    qubits: int
    most: int
    params: int = 0
    clbits: int = 0
    kind: str = "one"
    clifford: bool = False
    symmetric: tuple[int, int] | None = None
    one: int = 1
    two: int = 0
    qasm2: str = ""
    qasm3: str = ""
    body: str = ""
    defined: tuple[int, ...] = ()

    def weight(self, width: int) -> tuple[int, int]:
        """The one-qubit and the two-qubit gates that it becomes on so many qubits."""
        if self.most == self.qubits or not self.acts:
            return self.one, self.two
        return max(7 * (width - 1) ** 2, 1), 4 * (width - 1) ** 2

    @property
    def acts(self) -> bool:
        """Whether it is a gate proper: no barrier, snapshot, measurement or reset."""
        return self.kind != "other"


_RXX = "h q0; h q1; cx q0,q1; rz(a0) q1; cx q0,q1; h q0; h q1;"
_RYY = "rx(pi/2) q0; rx(pi/2) q1; cx q0,q1; rz(a0) q1; cx q0,q1; rx(-pi/2) q0; rx(-pi/2) q1;"
_XX_PLUS = (
    "rz(a1) q0; sdg q1; sx q1; s q1; s q0; cx q1,q0; ry(-a0/2) q1; ry(-a0/2) q0; cx q1,q0; "
    "sdg q0; sdg q1; h q1; sdg q1; h q1; s q1; rz(-a1) q0;"
)
_XX_MINUS = (
    "rz(-a1) q1; sdg q0; sx q0; s q0; s q1; cx q0,q1; ry(a0/2) q0; ry(-a0/2) q1; cx q0,q1; "
    "sdg q1; sdg q0; h q0; sdg q0; h q0; s q0; rz(a1) q1;"
)
_RCCX = "h q2; t q2; cx q1,q2; tdg q2; cx q0,q2; t q2; cx q1,q2; tdg q2; h q2;"
_RCCCX = (
    "h q3; t q3; cx q2,q3; tdg q3; h q3; cx q0,q3; t q3; cx q1,q3; tdg q3; cx q0,q3; t q3; "
    "cx q1,q3; tdg q3; h q3; t q3; cx q2,q3; tdg q3; h q3;"
)


def _same(name: str, qubits: int, params: int = 0, **more: Any) -> Gate:
    """A gate that both dialects know by its own name."""
    shape = {"name": name, "qubits": qubits, "most": qubits, "params": params}
    return msgspec.convert({**shape, "qasm2": name, "qasm3": name, **more}, Gate)


def _own(name: str, qubits: int, params: int, body: str, **more: Any) -> Gate:
    """A gate that both dialects need the definition of."""
    return _same(name, qubits, params, body=body, defined=(2, 3), **more)


_FIRST_TWO = (0, 2)
_TWO: Mapping[str, Any] = {"kind": "many", "one": 0, "two": 1}
_DIAGONAL_TWO: Mapping[str, Any] = {
    "kind": "diagonal",
    "symmetric": _FIRST_TWO,
    "one": 3,
    "two": 2,
}

_TABLE: Final = (
    _same("id", 1, kind="diagonal", clifford=True),
    _same("x", 1, clifford=True),
    _same("y", 1, clifford=True),
    _same("z", 1, kind="diagonal", clifford=True),
    _same("h", 1, clifford=True),
    _same("s", 1, kind="diagonal", clifford=True),
    _same("sdg", 1, kind="diagonal", clifford=True),
    _same("t", 1, kind="diagonal"),
    _same("tdg", 1, kind="diagonal"),
    _same("sx", 1, clifford=True),
    _same("sxdg", 1, clifford=True, body="h q0; sdg q0; h q0;", defined=(3,)),
    _same("p", 1, 1, kind="diagonal"),
    _same("rx", 1, 1),
    _same("ry", 1, 1),
    _same("rz", 1, 1, kind="diagonal"),
    _own("r", 1, 2, "u3(a0,a1-pi/2,pi/2-a1) q0;"),
    _same("u", 1, 3, qasm3="U"),
    _same("cx", 2, **_TWO, clifford=True),
    _same("cy", 2, **_TWO, clifford=True),
    _same("cz", 2, clifford=True, kind="diagonal", symmetric=_FIRST_TWO, one=0, two=1),
    _same("ch", 2, kind="many", one=6, two=1),
    _own("cs", 2, 0, "cp(pi/2) q0,q1;", **_DIAGONAL_TWO),
    _own("csdg", 2, 0, "cp(-pi/2) q0,q1;", **_DIAGONAL_TWO),
    _same("csx", 2, kind="many", one=5, two=2, body="h q1; cp(pi/2) q0,q1; h q1;", defined=(3,)),
    _same("cp", 2, 1, kind="diagonal", symmetric=_FIRST_TWO, one=0, two=1),
    _same("crx", 2, 1, kind="many", one=4, two=2),
    _same("cry", 2, 1, kind="many", one=2, two=2),
    _same("crz", 2, 1, kind="diagonal", one=2, two=2),
    _same("cu", 2, 4, kind="many", one=5, two=2),
    _same("swap", 2, **_TWO, clifford=True, symmetric=_FIRST_TWO),
    _own(
        "iswap",
        2,
        0,
        "s q0; s q1; h q0; cx q0,q1; cx q1,q0; h q1;",
        kind="many",
        clifford=True,
        symmetric=_FIRST_TWO,
        one=4,
        two=2,
    ),
    _own("dcx", 2, 0, "cx q0,q1; cx q1,q0;", kind="many", clifford=True, one=0, two=2),
    _own("ecr", 2, 0, "s q0; sx q1; cx q0,q1; x q0;", **_TWO, clifford=True),
    _same("rxx", 2, 1, **_TWO, symmetric=_FIRST_TWO, body=_RXX, defined=(3,)),
    _own("ryy", 2, 1, _RYY, **_TWO, symmetric=_FIRST_TWO),
    _same(
        "rzz",
        2,
        1,
        kind="diagonal",
        symmetric=_FIRST_TWO,
        one=0,
        two=1,
        body="cx q0,q1; rz(a0) q1; cx q0,q1;",
        defined=(3,),
    ),
    _own("rzx", 2, 1, "h q1; cx q0,q1; rz(a0) q1; cx q0,q1; h q1;", **_TWO),
    _own("xx_plus_yy", 2, 2, _XX_PLUS, kind="many", one=12, two=2),
    _own("xx_minus_yy", 2, 2, _XX_MINUS, kind="many", one=12, two=2),
    _same("ccx", 3, kind="many", symmetric=_FIRST_TWO, one=9, two=6),
    _own(
        "ccz",
        3,
        0,
        "h q2; ccx q0,q1,q2; h q2;",
        kind="diagonal",
        symmetric=(0, 3),
        one=11,
        two=6,
    ),
    _same("cswap", 3, kind="many", symmetric=(1, 3), one=9, two=8),
    _same("rccx", 3, kind="many", one=6, two=3, body=_RCCX, defined=(3,)),
    _same("rcccx", 4, kind="many", one=12, two=6, qasm2="rc3x", body=_RCCCX, defined=(3,)),
    _same("c3x", 4, kind="many", symmetric=(0, 3), one=17, two=14, qasm3="ctrl(3) @ x"),
    _same(
        "c3sx",
        4,
        kind="many",
        symmetric=(0, 3),
        one=14,
        two=13,
        qasm2="c3sqrtx",
        qasm3="ctrl(3) @ sx",
    ),
    _same("c4x", 5, kind="many", symmetric=(0, 4), one=42, two=27, qasm3="ctrl(4) @ x"),
    _same(
        "mcx",
        2,
        most=CONTROLS_MAX + 1,
        kind="many",
        symmetric=(0, -1),
        qasm2="",
        qasm3="ctrl({}) @ x",
    ),
    _same(
        "mcp",
        2,
        1,
        most=CONTROLS_MAX + 1,
        kind="diagonal",
        symmetric=(0, CONTROLS_MAX + 1),
        qasm2="",
        qasm3="ctrl({}) @ p",
    ),
    _same("unitary", 1, most=MATRIX_QUBITS_MAX, kind="many", qasm2="", qasm3=""),
    _same("gphase", 0, 1, kind="diagonal", one=0, qasm2=""),
    _same("measure", 1, clbits=1, kind="other", clifford=True),
    _same("reset", 1, kind="other", clifford=True),
    _same("barrier", 1, most=1_000_000, kind="other", clifford=True),
    _same("snapshot", 1, most=1_000_000, kind="other", clifford=True, qasm2="", qasm3=""),
)

GATES: Final[Mapping[str, Gate]] = MappingProxyType({gate.name: gate for gate in _TABLE})
"""Every gate by its name."""

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("i", "identity", "u0"), "id"),
        **dict.fromkeys(("not", "paulix", "pauli_x"), "x"),
        **dict.fromkeys(("pauliy", "pauli_y"), "y"),
        **dict.fromkeys(("pauliz", "pauli_z"), "z"),
        "hadamard": "h",
        **dict.fromkeys(("v", "sqrtx", "sqrt_x", "sqrtnot"), "sx"),
        **dict.fromkeys(("vdg", "vi", "sxdag", "sx_dg"), "sxdg"),
        **dict.fromkeys(("sdag", "s_dg", "si"), "sdg"),
        **dict.fromkeys(("tdag", "t_dg", "ti"), "tdg"),
        **dict.fromkeys(("phase", "u1", "phaseshift"), "p"),
        "prx": "r",
        "u3": "u",
        **dict.fromkeys(("cnot", "xor"), "cx"),
        **dict.fromkeys(("cv", "csqrtx"), "csx"),
        **dict.fromkeys(("cu1", "cphase", "cphaseshift"), "cp"),
        **dict.fromkeys(("xx", "isingxx"), "rxx"),
        **dict.fromkeys(("yy", "isingyy"), "ryy"),
        **dict.fromkeys(("zz", "isingzz"), "rzz"),
        **dict.fromkeys(("toffoli", "ccnot"), "ccx"),
        "fredkin": "cswap",
        **dict.fromkeys(("rc3x", "rccx3"), "rcccx"),
        "c3sqrtx": "c3sx",
        **dict.fromkeys(("mct", "mcnot", "multicontrolledx"), "mcx"),
        **dict.fromkeys(("mcphase", "mcu1"), "mcp"),
        **dict.fromkeys(("global_phase", "globalphase"), "gphase"),
        "matrix": "unitary",
        **dict.fromkeys(("m", "meas"), "measure"),
    }
)
"""Other names of gates with the same angles; u2 and cu3 have other ones and stand in ``REWRITTEN``."""

WRITTEN_OUT: Final = frozenset(
    ("ch", "cs", "csdg", "dcx", "iswap", "rccx", "rcccx", "c3sx", "xx_plus_yy", "xx_minus_yy")
)
"""Gates that no method has: each becomes its one-qubit and two-qubit gates."""

REWRITTEN: Final[Mapping[str, int]] = MappingProxyType({"u2": 2, "cu3": 3})
"""u2(φ, λ) is u(π/2, φ, λ) and cu3(θ, φ, λ) is cu(θ, φ, λ, 0): their numbers of angles."""

CONTROLLED: Final[Mapping[int, str]] = MappingProxyType({1: "cx", 2: "ccx", 3: "c3x", 4: "c4x"})
"""What mcx with so many controls is called."""


def named(name: str) -> str | None:
    """The name in the table for a name or alias, in any case; None if there is no such gate."""
    name = name.lower()
    name = ALIASES.get(name, name)
    return name if name in GATES or name in REWRITTEN else None


def nearest(name: str, others: Mapping[str, object]) -> str:
    """The name that was perhaps meant, of the table, its aliases or ``others``; empty if none is near."""
    known = [*GATES, *ALIASES, *REWRITTEN, *islice(others, _OTHERS_MAX)]
    near = get_close_matches(name[:64].lower(), known, 1)
    return near[0] if near else ""
