"""Owns circuits that were read before: what is worked out of one document is kept for the next call.

It only saves time: what it answers follows from the document alone. It must not know jobs or callers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import msgspec

from .quantum_canonical import canonical, digest
from .quantum_circuit import Circuit, bind, read
from .quantum_features import Features, features_of
from .quantum_limits import QuantumLimits

KEPT_MAX: Final = 32
"""What is worked out of one takes at most about a megabyte."""
KEPT_BYTES_MAX: Final = 1_000_000
"""Of the documents, encoded."""


class Seen:
    """A circuit, and what follows from it, worked out once."""

    def __init__(self, circuit: Circuit, size_bytes: int) -> None:
        self.circuit = circuit
        self.size_bytes = size_bytes

    @cached_property
    def form(self) -> Circuit:
        """Its canonical form, which is what is run."""
        return canonical(self.circuit)

    @cached_property
    def hash(self) -> str:
        """Its hash."""
        return digest(self.form)

    @cached_property
    def features(self) -> Features:
        """The features of its canonical form."""
        return features_of(self.form)

    @cached_property
    def payload(self) -> dict[str, Any]:
        """Its canonical form as a worker gets it, and nobody changes it."""
        return payload_of(self.form)


class Known:
    """Reads circuits, those that it read before at once. Those asked for longest ago go first."""

    def __init__(self, limits: QuantumLimits) -> None:
        self.limits = limits
        self._seen: dict[bytes, Seen] = {}
        self._bytes = 0

    def read(self, document: object, values: Mapping[str, Any] | None = None) -> Seen:
        """The circuit of a document, with the values of its parameters if they are given.

        Raises:
            CircuitError: it is none.
        """
        encoded = msgspec.msgpack.encode((document, values))
        key = hashlib.blake2b(encoded, digest_size=32).digest()
        seen = self._seen.pop(key, None)
        if seen is None:
            circuit = read(document, self.limits)
            seen = Seen(circuit if values is None else bind(circuit, values), len(encoded))
            self._bytes += seen.size_bytes
        self._seen[key] = seen
        while self._bytes > KEPT_BYTES_MAX or len(self._seen) > KEPT_MAX:
            self._bytes -= self._seen.pop(next(iter(self._seen))).size_bytes
        return seen


def payload_of(circuit: Circuit) -> dict[str, Any]:
    """A circuit as the worker gets it."""
    ops = [
        [op.gate, op.params, op.qubits, op.clbits, op.when, op.snapshot]
        if op.snapshot
        else [op.gate, op.params, op.qubits, op.clbits, op.when]
        for op in circuit.ops
    ]
    told: dict[str, Any] = msgspec.to_builtins(
        {"qubits": circuit.qubits, "clbits": circuit.clbits, "ops": ops}
    )
    return told
