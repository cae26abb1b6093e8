"""Owns what a matrix product state goes through: its steps along the chain, with a bound on the bond of each.

It lays qubits out as the simulator does: the right one of two is brought beside the left one, and
stays there. It must not know seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from .quantum_angles import Angle, angle_of, bound
from .quantum_branches import Clusters
from .quantum_circuit import Circuit
from .quantum_gates import GATES, Gate, named
from .quantum_matrices import controlled, matrix

_BRANCH_STEPS_MAX: Final = 50_000
"""Bounds the time that states are followed: about 50 ms."""
_STEPS_MAX: Final = 8_000
"""Steps that are looked at one by one: about 40 ms. Those of the gates after them are only counted."""
_NATIVE_THREE: Final = frozenset(("ccx", "cswap"))
_NATIVE_TWO: Final = frozenset(("ecr", "rxx", "ryy", "rzz", "rzx", "unitary"))
"""Gates of two qubits that are decomposed once, besides the controlled ones."""
_CALL: Final = re.compile(r"(\w+)(?:\(([^)]*)\))? (q[\d,q]*);")

_Call = tuple[str, list[Angle], list[int]]


class Step(NamedTuple):
    """A decomposition: at which cut, a bound on its bond afterwards, of how many qubits.

    One of three qubits is two: the second follows it, as one of 0.
    """

    cut: int
    bond: float
    qubits: int = 2


class Chain:
    """A circuit as a matrix product state sees it; nothing is worked out before it is asked for."""

    def __init__(self, circuit: Circuit, qubits: Sequence[int]) -> None:
        self._circuit = circuit
        self._qubits = qubits
        self._loads: dict[tuple[int, int], Load] = {}

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The decompositions, in order."""
        return self._walked[0]

    @property
    def more(self) -> int:
        """How many there can be besides, that were not looked at."""
        return self._walked[1]

    @cached_property
    def _walked(self) -> tuple[tuple[Step, ...], int]:
        return _Walk(len(self._qubits)).through(self._circuit, self._qubits)

    def load(self, width: int, cap: int) -> Load:
        """What is done on so many of its sites with a cap on the bond."""
        if (width, cap) not in self._loads:
            self._loads[width, cap] = _load_of(self, width, cap)
        return self._loads[width, cap]

    @cached_property
    def bits_max(self) -> float:
        """A bound on the largest bond on the way, in bits."""
        told = math.log2(max((step.bond for step in self.steps), default=1.0))
        return max(told, len(self._qubits) / 2) if self.more else told


class Load(msgspec.Struct, frozen=True):
    """What is done with a cap on the bond.

    Attributes:
        steps: decompositions. bonds: those of them where anything is entangled.
        work: Σ ab·min(a, b) of their matrices.
        sites: those at the end with a bond. squares: Σ χχ' over them.
        peak: the same as ``squares``, of the largest bonds on the way.
    """

    steps: int
    bonds: int
    work: float
    sites: int
    squares: float
    peak: float


def _load_of(chain: Chain, width: int, cap: int) -> Load:
    """The steps of a chain on so many of its sites; what is beyond them is left out."""
    most = [min(float(cap), 2.0 ** min(cut, width - cut, 60)) for cut in range(width + 1)]
    bonds, largest = [1.0] * (width + 1), [1.0] * (width + 1)
    steps = entangled = 0
    work = 0.0
    for cut, bond, qubits in chain.steps:
        if cut >= width:
            continue
        left, before, right = bonds[cut - 1], bonds[cut], bonds[cut + 1]
        bonds[cut] = now = bond if bond < most[cut] else most[cut]
        if now > largest[cut]:
            largest[cut] = now
        if qubits == 2:
            steps += 1
            work += left * right * (left if left < right else right)
        elif qubits == 3:
            right = bonds[min(cut + 2, width)]
            steps += 3
            work += _cubed(left, 2 * right) + _cubed(2 * left, right)
        else:
            continue
        entangled += left > 1 or before > 1 or right > 1 or now > 1
    if chain.more:
        bonds = largest = most
        steps, entangled = steps + chain.more, entangled + chain.more
        each = [_cubed(a, b) for a, b in zip(most, most[2:], strict=False)]
        work += chain.more * sum(each) / len(each)
    pairs = list(pairwise(bonds))
    sites = sum(left * right > 1 for left, right in pairs)
    squares = sum(left * right for left, right in pairs)
    peak = sum(left * right for left, right in pairwise(largest))
    return Load(steps, entangled, 8 * work, sites, squares, peak)


def _cubed(left: float, right: float) -> float:
    """An eighth of ab·min(a, b) of the matrix between two bonds, which has 2 · left rows, 2 · right columns."""
    return left * right * (left if left < right else right)


class _Walk:
    """One walk through a circuit, along a chain of sites."""

    def __init__(self, width: int) -> None:
        self._order = list(range(width))
        self._site = list(range(width))
        self._bits = [0.0] * (width + 1)
        self._crossing = [0] * (width + 1)
        self._made: list[dict[int, int]] = [{} for _ in range(width)]
        self._all = [0] * width  # the sum of what is made with a qubit, and of that to its left
        self._left = [0] * width
        self._clusters = Clusters(width, _BRANCH_STEPS_MAX)
        self._bodies: dict[str, list[_Call]] = {}
        self._steps: list[Step] = []

    def through(self, circuit: Circuit, qubits: Sequence[int]) -> tuple[tuple[Step, ...], int]:
        """The steps, and how many there can be for the gates that were too many to look at."""
        place = {q: i for i, q in enumerate(qubits)}
        more = 0
        for op in circuit.ops:
            gate, width = GATES[op.gate], len(op.qubits)
            if not width or not gate.acts:
                continue
            if len(self._steps) < _STEPS_MAX:
                self._gate(op.gate, op.params, [place[q] for q in op.qubits])
            elif width > 1:
                sites = [self._site[place[q]] for q in op.qubits]
                more += max(gate.weight(width)[1], 1) * (2 * (max(sites) - min(sites)) - 1)
        return tuple(self._steps), more

    def _gate(self, name: str, params: Sequence[Angle], qubits: list[int]) -> None:
        gate, width = GATES[name], len(qubits)
        if width == 1:
            self._act(name, params, qubits)
        elif name == "swap":
            self._swap(*qubits)
        elif name in _NATIVE_THREE:
            self._three(name, params, qubits)
        elif width == 2 and (name in _NATIVE_TWO or not gate.body):
            self._two(name, params, qubits)
        elif gate.body:
            for inner in self._body(gate, params, qubits):
                self._gate(*inner)
        else:
            self._many(gate, params, qubits)

    # What it does to the state.

    def _act(self, name: str, params: Sequence[Angle], qubits: list[int]) -> None:
        """Follow a gate as far as its matrix is known."""
        gate = GATES[name]
        angles = [p for p in params if isinstance(p, float)]
        is_known = len(angles) == len(params) == gate.params
        if len(qubits) == 1:
            self._clusters.turn(qubits[0], matrix(name, angles) if is_known else None)
        elif is_known and (by := controlled(name, angles)) is not None:
            self._clusters.control(qubits[:-1], qubits[-1], by)
        elif gate.body:
            for inner in self._body(gate, params, qubits):
                self._act(*inner)
        else:
            self._clusters.tangle(qubits)

    def _body(self, gate: Gate, params: Sequence[Angle], qubits: list[int]) -> Iterator[_Call]:
        """The gates that one is written out as."""
        if gate.name not in self._bodies:
            names = [f"a{i}" for i in range(gate.params)]
            self._bodies[gate.name] = [
                (
                    named(name) or name,
                    [angle_of(text, names) for text in angles.split(",") if text],
                    [int(q) for q in wires.replace("q", "").split(",")],
                )
                for name, angles, wires in _CALL.findall(gate.body)
            ]
        values = {f"a{i}": param for i, param in enumerate(params)}
        for name, angles, wires in self._bodies[gate.name]:
            yield name, [bound(angle, values) for angle in angles], [qubits[q] for q in wires]

    # What it does to the chain.

    def _two(self, name: str, params: Sequence[Angle], qubits: list[int]) -> None:
        a, b = sorted(self._site[q] for q in qubits)
        self._move(b, a + 1)
        self._act(name, params, qubits)
        gained = 2 if name == "unitary" else 1
        self._entangle(qubits, gained)
        for _ in range(max(GATES[name].weight(2)[1], 1) if name not in _NATIVE_TWO else 1):
            self._step(a + 1, gained)

    def _three(self, name: str, params: Sequence[Angle], qubits: list[int]) -> None:
        a, b, c = sorted(self._site[q] for q in qubits)
        self._move(c, b + 1)
        self._move(a, b - 1)
        self._act(name, params, qubits)
        self._entangle(sorted(qubits, key=self._site.__getitem__), 2 if name == "cswap" else 1)
        bits, first = self._bits, b
        bits[first] = min(bits[first - 1] + 1, bits[first + 2] + 2, self._rank(first))
        self._steps.append(Step(first, 2.0 ** bits[first], 3))
        bits[first + 1] = min(bits[first] + 1, bits[first + 2] + 1, self._rank(first + 1))
        self._steps.append(Step(first + 1, 2.0 ** bits[first + 1], 0))

    def _many(self, gate: Gate, params: Sequence[Angle], qubits: list[int]) -> None:
        """A gate that is written out, about: its qubits come together, and its parts go over them."""
        together = sorted(qubits, key=self._site.__getitem__)
        first = self._site[together[0]]
        for at, qubit in enumerate(together):
            self._move(self._site[qubit], first + at)
        self._act(gate.name, params, qubits)
        self._entangle(together, 1)
        cuts = len(qubits) - 1
        for part in range(max(gate.weight(len(qubits))[1], cuts)):
            self._step(first + 1 + part % cuts, 1)

    def _swap(self, one: int, two: int) -> None:
        a, b = sorted((self._site[one], self._site[two]))
        self._clusters.exchange(one, two)
        made, other = self._made, {one: two, two: one}
        made[one], made[two] = made[two], made[one]
        self._all[one], self._all[two] = self._all[two], self._all[one]
        for q in {*made[one], *made[two]}:
            made[q] = {other.get(r, r): bits for r, bits in made[q].items()}
        for q in {one, two, *made[one], *made[two]}:
            here = self._site[q]
            self._left[q] = sum(bits for r, bits in made[q].items() if self._site[r] < here)
        for cut in (*range(a + 1, b + 1), *range(b - 1, a, -1)):
            self._step(cut, 2)

    def _move(self, start: int, end: int) -> None:
        """Bring the qubit of a site to another one, past all between."""
        first, last = (start, end) if end > start else (end, start)
        order, sites, left = self._order, self._site, self._left
        for cut in range(first + 1, last + 1) if end > start else range(last, first, -1):
            one, two = order[cut - 1], order[cut]
            order[cut - 1], order[cut] = two, one
            sites[two], sites[one] = cut - 1, cut
            between = self._made[one].get(two, 0)
            left[one] += between
            left[two] -= between
            self._step(cut, 2)

    def _step(self, cut: int, gained: int) -> None:
        bits = self._bits
        most = min(bits[cut - 1] + 1, bits[cut + 1] + 1, bits[cut] + gained)
        bits[cut] = min(most, self._rank(cut))
        self._steps.append(Step(cut, 2.0 ** bits[cut]))

    def _entangle(self, qubits: Sequence[int], gained: int) -> None:
        """Note what a gate can make between one qubit and the next."""
        for one, two in pairwise(qubits):
            for a, b in ((one, two), (two, one)):
                self._made[a][b] = self._made[a].get(b, 0) + gained
                self._all[a] += gained
            self._left[one if self._site[one] > self._site[two] else two] += gained

    def _rank(self, cut: int) -> float:
        """A bound by what crosses the cut, after its left neighbour's, and by what is entangled at all."""
        last = self._order[cut - 1]
        crossing = self._crossing[cut - 1] + self._all[last] - 2 * self._left[last]
        self._crossing[cut] = crossing
        if self._clusters.is_one:
            return float(min(crossing, cut, len(self._order) - cut))
        return min(crossing, self._clusters.bits(self._order[:cut]))
