"""Owns what is entangled with what: a state as clusters of qubits, each a short sum of product states.

A cluster is followed exactly while few product states make it up; after that only its size is known. So
the rank across a cut is bounded from above, and often known. It must not know chains or costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from .quantum_matrices import Matrix

BRANCHES_MAX: Final = 8
"""Product states that a cluster is followed as."""
_ZERO_BELOW: Final = 1e-8
"""The simulator drops what weighs less than its square."""
_DIGITS: Final = 8

Vector = tuple[tuple[float, ...], complex, complex]
"""A key that is the same for the same state, and the state: normalized, its first amplitude real."""


class _Cluster:
    """Qubits that may be entangled: weights of the branches, and each qubit's state in each of them.

    ``columns`` is None where it is no longer followed.
    """

    __slots__ = ("columns", "qubits", "weights")

    def __init__(
        self, qubits: set[int], weights: list[complex], columns: dict[int, list[Vector]] | None
    ) -> None:
        self.qubits = qubits
        self.weights = weights
        self.columns = columns


class Clusters:
    """The qubits of a circuit, from all zeros on.

    Args:
        qubits: how many.
        steps: work, about a microsecond each, before nothing is followed any more.
    """

    def __init__(self, qubits: int, steps: int) -> None:
        self._steps = steps
        self._of = [_Cluster({q}, [1], {q: [_ZERO]}) for q in range(qubits)]

    @property
    def is_one(self) -> bool:
        """Whether all qubits are one cluster that is not followed."""
        first = self._of[0]
        return first.columns is None and len(first.qubits) == len(self._of)

    def turn(self, qubit: int, by: Matrix | None) -> None:
        """A gate on one qubit; None is one without a known matrix."""
        cluster = self._of[qubit]
        if cluster.columns is None:
            return
        if by is None:
            cluster.columns = None
            return
        weights, column = cluster.weights, cluster.columns[qubit]
        self._steps -= len(weights)
        for k, state in enumerate(column):
            told = _state(*_times(by, state))
            assert told is not None, "a gate leaves no state at nothing"
            weights[k] *= told[0]
            column[k] = told[1]

    def control(self, controls: Sequence[int], target: int, by: Matrix) -> None:
        """A controlled gate."""
        live = []
        for qubit in controls:
            alone = self._alone(qubit)
            if alone is None or (alone[1] and alone[2]):
                live.append(qubit)
            elif alone[1]:
                return  # it is 0
        if not live:
            self.turn(target, by)
            return
        alone = self._alone(target)
        if alone is not None:
            told = _state(*_times(by, alone))
            assert told is not None
            if told[1][0] == alone[0]:  # the phase goes to the controls
                self.control(live[:-1], live[-1], (1, 0, 0, told[0]))
                return
        cluster = self._merged((*live, target))
        if cluster.columns is not None:
            self._branch(cluster, live, target, by)

    def tangle(self, qubits: Iterable[int]) -> None:
        """Any other gate: what it touches is one cluster, and no longer followed."""
        self._merged(qubits).columns = None

    def exchange(self, a: int, b: int) -> None:
        """Swap the states of two qubits."""
        of = self._of
        one, two = of[a], of[b]
        if one is two and one.columns is not None:
            columns = one.columns
            columns[a], columns[b] = columns[b], columns[a]
        elif one is not two:
            for cluster, old, new in ((one, a, b), (two, b, a)):
                cluster.qubits.discard(old)
                cluster.qubits.add(new)
                if cluster.columns is not None:
                    cluster.columns[new] = cluster.columns.pop(old)
            of[a], of[b] = two, one

    def bits(self, left: Sequence[int]) -> float:
        """A bound on log2 of the rank between the qubits on the left and all others."""
        if self._steps < 0:
            self._give_up()
        inside = set(left)
        self._steps -= len(left) // 8
        seen: set[int] = set()
        total = 0.0
        for qubit in left:
            cluster = self._of[qubit]
            if len(cluster.qubits) == 1 or id(cluster) in seen:
                continue
            seen.add(id(cluster))
            here = cluster.qubits & inside
            there = len(cluster.qubits) - len(here)
            if not there:
                continue
            most = float(min(len(here), there))
            if cluster.columns is not None:
                columns = cluster.columns
                self._steps -= len(cluster.weights) * len(columns) // 4
                ranks = (
                    _distinct([columns[q] for q in side]) for side in (here, cluster.qubits - here)
                )
                most = min(most, math.log2(min(ranks)))
            total += most
        return total

    def _give_up(self) -> None:
        """Take all qubits for one cluster."""
        one = _Cluster(set(range(len(self._of))), [1], None)
        self._of = [one] * len(self._of)

    def _alone(self, qubit: int) -> Vector | None:
        """The state of a qubit that is entangled with no other."""
        cluster = self._of[qubit]
        if cluster.columns is None or len(cluster.qubits) > 1:
            return None
        return cluster.columns[qubit][0]

    def _merged(self, qubits: Iterable[int]) -> _Cluster:
        """The clusters of some qubits as one."""
        one: _Cluster | None = None
        for qubit in qubits:
            other = self._of[qubit]
            if one is None or one is other:
                one = other
                continue
            if len(one.qubits) < len(other.qubits):
                one, other = other, one
            few, many = len(other.weights), len(one.weights)
            if one.columns is None or other.columns is None or few * many > BRANCHES_MAX:
                one.columns = None
            else:
                for q, column in one.columns.items():
                    one.columns[q] = [state for state in column for _ in range(few)]
                for q, column in other.columns.items():
                    one.columns[q] = column * many
                one.weights = [a * b for a in one.weights for b in other.weights]
            one.qubits |= other.qubits
            for q in other.qubits:
                self._of[q] = one
        assert one is not None
        return one

    def _branch(self, cluster: _Cluster, controls: list[int], target: int, by: Matrix) -> None:
        """Do a controlled gate to each branch; one where a control is both becomes two."""
        columns, weights = cluster.columns, cluster.weights
        assert columns is not None
        rows: list[tuple[int, complex, dict[int, Vector]]] = []
        for k, weight in enumerate(weights):
            states = [columns[q][k] for q in controls]
            if any(not state[2] for state in states):
                rows.append((k, weight, {}))
                continue
            free = [q for q, state in zip(controls, states, strict=True) if state[1]]
            before = columns[target][k]
            after = _times(by, before)
            told = _state(*after)
            assert told is not None
            factor, new = told
            is_same = new[0] == before[0]
            if not free:
                rows.append((k, weight * factor, {} if is_same else {target: new}))
            elif is_same and len(free) == 1:
                state = columns[free[0]][k]
                told = _state(state[1], state[2] * factor)
                assert told is not None
                rows.append((k, weight * told[0], {free[0]: told[1]}))
            elif len(free) == 1:
                state = columns[free[0]][k]
                rows.append((k, weight * state[1], {free[0]: _ZERO}))
                rows.append((k, weight * state[2] * factor, {free[0]: _ONE, target: new}))
            else:
                rows.append((k, weight, {}))
                told = _state(after[0] - before[1], after[1] - before[2])
                if told is not None:
                    part = weight * told[0] * math.prod(columns[q][k][2] for q in free)
                    rows.append((k, part, dict.fromkeys(free, _ONE) | {target: told[1]}))
        self._steps -= 4 * len(rows)
        if len(rows) > len(weights):
            for q, column in columns.items():
                columns[q] = [changed.get(q, column[k]) for k, _, changed in rows]
        else:
            for k, _, changed in rows:
                for q, state in changed.items():
                    columns[q][k] = state
        cluster.weights = [weight for _, weight, _ in rows]
        self._join(cluster)
        if len(cluster.weights) > BRANCHES_MAX or self._steps < 0:
            cluster.columns = None
        else:
            self._release(cluster, (*controls, target))

    def _join(self, cluster: _Cluster) -> None:
        """Add up branches that differ in one qubit at most."""
        columns, weights = cluster.columns, cluster.weights
        assert columns is not None
        k = 1
        while k < len(weights):
            for other in range(k):
                self._steps -= 1
                differ = _differing(columns, k, other)
                if len(differ) > 1:
                    continue
                q = differ[0] if differ else next(iter(columns))
                a, b = columns[q][k], columns[q][other]
                told = _state(
                    weights[k] * a[1] + weights[other] * b[1],
                    weights[k] * a[2] + weights[other] * b[2],
                )
                gone = [k] if told is not None else [k, other]
                if told is not None:
                    weights[other], columns[q][other] = told
                for at in gone:
                    del weights[at]
                    for column in columns.values():
                        del column[at]
                k = 0
                break
            k += 1

    def _release(self, cluster: _Cluster, qubits: Iterable[int]) -> None:
        """Let qubits stand alone that are the same in all branches."""
        columns = cluster.columns
        assert columns is not None
        for q in qubits:
            if len(columns) > 1 and all(state[0] == columns[q][0][0] for state in columns[q]):
                self._of[q] = _Cluster({q}, [1], {q: [columns.pop(q)[0]]})
                cluster.qubits.discard(q)


def _differing(columns: dict[int, list[Vector]], a: int, b: int) -> list[int]:
    """Up to two qubits in which two branches differ."""
    told = []
    for q, column in columns.items():
        if column[a][0] != column[b][0]:
            told.append(q)
            if len(told) > 1:
                break
    return told


def _distinct(columns: list[list[Vector]]) -> int:
    """How many different states some qubits have, over the branches."""
    return len({tuple([state[0] for state in row]) for row in zip(*columns, strict=True)})


def _times(by: Matrix, state: Vector) -> tuple[complex, complex]:
    _, a, b = state
    return by[0] * a + by[1] * b, by[2] * a + by[3] * b


def _state(a: complex, b: complex) -> tuple[complex, Vector] | None:
    """A factor and the state that two amplitudes are; None for nothing."""
    size = math.hypot(a.real, a.imag, b.real, b.imag)
    if size < _ZERO_BELOW:
        return None
    first = abs(a)
    if first < _ZERO_BELOW * size:
        return b, _ONE
    factor = a * (size / first)
    a, b = first / size, b / factor
    if abs(b) < _ZERO_BELOW:
        return factor * a, _ZERO
    return factor, ((round(b.real, _DIGITS) + 0.0, round(b.imag, _DIGITS) + 0.0), a, b)


_ZERO: Final[Vector] = ((0.0,), 1, 0)
_ONE: Final[Vector] = ((1.0,), 0, 1)
