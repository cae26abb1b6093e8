"""Owns whether a job may run: which method, how much is held, and what a refusal tells.

It decides from features and figures alone, before anything is allocated. It must not know callers
or quotas: it says what would be held, and the kernel holds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from .quantum_estimate import METHODS, Estimate, Work, estimate
from .quantum_features import Features
from .quantum_limits import MEBIBYTE, Coefficients, QuantumLimits

_STATE_OUTPUTS = frozenset(("statevector", "probabilities"))


class NotAdmitted(Exception):
    """A job that may not run. The sentence gives its figures and the largest that would be admitted."""


class Hold(msgspec.Struct, frozen=True):
    """What a job may use at most; it is ended there."""

    cpu_us: int
    memory_bytes: int
    compute: int


class Admitted(msgspec.Struct, frozen=True):
    """A job that may run: how each circuit is simulated, what it should cost, what is held."""

    estimates: tuple[Estimate, ...]
    hold: Hold

    @property
    def seconds(self) -> float:
        """CPU seconds, by the estimate."""
        return sum(one.seconds for one in self.estimates)


class Desk:
    """Where jobs are admitted: limits and coefficients together."""

    def __init__(self, limits: QuantumLimits, coefficients: Coefficients) -> None:
        self.limits = limits
        self.coefficients = coefficients

    def hold(self, seconds: float, memory_bytes: int) -> Hold:
        """What is held for a job that should take so much."""
        limits = self.limits
        cpu_us = max(math.ceil(seconds * limits.safety * 1e6), limits.cpu_us_min)
        memory = min(max(2 * memory_bytes, 64 * MEBIBYTE), limits.memory_bytes_max)
        return Hold(cpu_us, memory, self.compute(cpu_us))

    def compute(self, cpu_us: int) -> int:
        """Compute units of so much CPU time."""
        return max(1, math.ceil(cpu_us * self.limits.compute_per_cpu_s / 1_000_000))

    def options(
        self, features: Features, work: Work, outputs: frozenset[str] = frozenset()
    ) -> tuple[str, ...]:
        """The methods that give the right answer, the best first, whatever they cost."""
        pure = not outputs & _STATE_OUTPUTS
        told = []
        if features.clifford and work.noisy != "gates" and pure:
            told.append("stabilizer")
        if work.noisy == "gates" and pure:
            exact = estimate(features, "density_matrix", work, self.coefficients)
            shots = estimate(features, "statevector", work, self.coefficients)
            pair = ["density_matrix", "statevector"]
            told += pair if exact.seconds <= shots.seconds else pair[::-1]
        else:
            told.append("statevector")
            if pure:
                told.append("matrix_product_state")
        return tuple(method for method in told if _shows(method, features.snapshots))

    def choose(
        self, features: Features, work: Work, method: str, outputs: frozenset[str] = frozenset()
    ) -> Estimate:
        """The estimate by the method asked for, or by the best that fits.

        Raises:
            NotAdmitted: none fits, or the one asked for cannot run the circuit.
        """
        if features.depth > self.limits.depth_max:
            most = self.limits.depth_max
            raise NotAdmitted(f"it is {features.depth} deep, at most {most} is admitted")
        if work.shots > self.limits.shots_max:
            most = self.limits.shots_max
            raise NotAdmitted(f"it asks for {work.shots} shots, at most {most} are admitted")
        if method == "automatic":
            methods = self.options(features, work, outputs)
        else:
            if method == "stabilizer" and not features.clifford:
                raise NotAdmitted(
                    "stabilizer runs Clifford circuits only, which this is not: ask for automatic"
                )
            if outputs & _STATE_OUTPUTS and method != "statevector":
                raise NotAdmitted(f"{method} lists no amplitudes: ask for statevector")
            if not _shows(method, features.snapshots):
                raise NotAdmitted(
                    f"{method} does not tell all of these snapshots: ask for automatic"
                )
            methods = (method,)
        told = []
        for name in methods:  # each is estimated only if those before do not fit
            told.append(estimate(features, name, work, self.coefficients))
            if self._fits(told[-1]):
                return told[-1]
        raise NotAdmitted("; ".join(self._why(features, work, one) for one in told))

    def admit(
        self,
        circuits: Sequence[tuple[Features, Work]],
        method: str,
        outputs: frozenset[str] = frozenset(),
    ) -> Admitted:
        """Admit a job of one or more circuits.

        Raises:
            NotAdmitted: one of them, or all together, are too much.
        """
        estimates = tuple(self.choose(f, w, method, outputs) for f, w in circuits)
        seconds = sum(one.seconds for one in estimates)
        self.check_seconds(seconds, lambda: f"it has {len(circuits)} circuits: run fewer at a time")
        memory = max(one.memory_bytes for one in estimates)
        return Admitted(estimates, self.hold(seconds, memory))

    def check_seconds(self, seconds: float, advice: Callable[[], str]) -> None:
        """Refuse what takes too long.

        Raises:
            NotAdmitted: it does; the sentence ends with ``advice``.
        """
        most = self.limits.cpu_s_max / self.limits.safety
        if seconds > most:
            detail = f"it would take {seconds:.3g} CPU-seconds, at most {most:g} are admitted"
            raise NotAdmitted(f"{detail}: {advice()}")

    def _fits(self, one: Estimate) -> bool:
        limits = self.limits
        return (
            one.seconds * limits.safety <= limits.cpu_s_max
            and one.memory_bytes <= limits.memory_bytes_max
        )

    def _why(self, features: Features, work: Work, one: Estimate) -> str:
        limits = self.limits
        most_s, most_mb = limits.cpu_s_max / limits.safety, limits.memory_bytes_max // MEBIBYTE
        figures = (
            f"{one.method} of {features.width} qubits, {features.gates} gates and {work.shots} shots "
            f"would take {one.seconds:.3g} CPU-seconds (at most {most_s:g}) and "
            f"{one.memory_bytes / MEBIBYTE:.3g} MB (at most {most_mb})"
        )
        return f"{figures}; {self._largest(features, work, one.method)}"

    def _largest(self, features: Features, work: Work, method: str) -> str:
        """What of the same kind would be admitted: fewer shots, else fewer qubits."""

        def fits(width: int, shots: int) -> bool:
            smaller = msgspec.structs.replace(features, qubits=features.qubits[:width])
            less = msgspec.structs.replace(work, shots=shots)
            return self._fits(estimate(smaller, method, less, self.coefficients))

        if fits(features.width, 1):
            shots = _last(lambda s: fits(features.width, s), 1, work.shots)
            return f"it would be admitted with at most {shots} shots"
        width = _last(lambda n: fits(n, work.shots), 0, features.width)
        if width:
            return f"with as many gates and shots at most {width} qubits would be admitted"
        return "with as many gates and shots no width would be admitted"


def _shows(method: str, snapshots: frozenset[str]) -> bool:
    """Whether a method tells snapshots of these kinds."""
    if method == "density_matrix":
        return "statevector" not in snapshots
    if method == "stabilizer":
        return snapshots <= {"probabilities", "expectation"}
    return method == "statevector" or not snapshots


def _last(fits: Callable[[int], bool], low: int, high: int) -> int:
    """The largest number from `low` to below `high` that fits; `low` is taken to."""
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def methods_asked(method: str) -> bool:
    """Whether a method can be asked for."""
    return method == "automatic" or method in METHODS
