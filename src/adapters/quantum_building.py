"""Owns the way from plain operations to Qiskit's circuits and back. Runs in the worker only.

An operation is ``[gate, angles, qubits, clbits, conditions]`` under the names of our table; an angle
is a number or ``[constant, [[parameter, factor], …]]``, and a condition ``[clbit, value]``. A
snapshot is followed by ``[label, kind, [[word, factor], …]]``. What is allowed was decided before;
whatever is wrong here is told as `JobRefused`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Final

Operation = Sequence[Any]
SNAPSHOT: Final = "snapshot:"
"""What the labels of snapshots begin with in a simulator's answer."""
_EXPANSION_DEPTH_MAX: Final = 50
_CLASSES: Final = {
    "id": "IGate",
    "x": "XGate",
    "y": "YGate",
    "z": "ZGate",
    "h": "HGate",
    "s": "SGate",
    "sdg": "SdgGate",
    "t": "TGate",
    "tdg": "TdgGate",
    "sx": "SXGate",
    "sxdg": "SXdgGate",
    "p": "PhaseGate",
    "rx": "RXGate",
    "ry": "RYGate",
    "rz": "RZGate",
    "r": "RGate",
    "u": "UGate",
    "cx": "CXGate",
    "cy": "CYGate",
    "cz": "CZGate",
    "ch": "CHGate",
    "cs": "CSGate",
    "csdg": "CSdgGate",
    "csx": "CSXGate",
    "cp": "CPhaseGate",
    "crx": "CRXGate",
    "cry": "CRYGate",
    "crz": "CRZGate",
    "cu": "CUGate",
    "swap": "SwapGate",
    "iswap": "iSwapGate",
    "dcx": "DCXGate",
    "ecr": "ECRGate",
    "rxx": "RXXGate",
    "ryy": "RYYGate",
    "rzz": "RZZGate",
    "rzx": "RZXGate",
    "xx_plus_yy": "XXPlusYYGate",
    "xx_minus_yy": "XXMinusYYGate",
    "ccx": "CCXGate",
    "ccz": "CCZGate",
    "cswap": "CSwapGate",
    "rccx": "RCCXGate",
    "rcccx": "RC3XGate",
    "c3x": "C3XGate",
    "c3sx": "C3SXGate",
    "c4x": "C4XGate",
}
_ALSO: Final = {"U1Gate": "p", "U2Gate": "u2", "U3Gate": "u", "CU1Gate": "cp", "CU3Gate": "cu3"}
_MANY: Final = {"MCXGate": "mcx", "MCPhaseGate": "mcp"}
_BY_CONTROLS: Final = {("XGate", 3): "c3x", ("XGate", 4): "c4x", ("SXGate", 3): "c3sx"}


class JobRefused(Exception):
    """What was asked cannot be done; the sentence says why, and what can."""


class Builder:
    """Makes circuits of operations, with gates that a method does not have written out."""

    def __init__(self) -> None:
        library = import_module("qiskit.circuit.library")
        self._circuit = import_module("qiskit.circuit")
        self._library = library
        classes = {name: getattr(library, kind) for name, kind in _CLASSES.items()}
        self._classes = classes
        without = {"p", "rx", "ry", "rz", "r", "u", "cp", "crx", "cry", "crz", "cu", "rxx", "ryy"}
        without |= {"rzz", "rzx", "xx_plus_yy", "xx_minus_yy"}
        self._fixed = {name: kind() for name, kind in classes.items() if name not in without}
        self._fixed |= {"reset": self._circuit.Reset(), "measure": self._circuit.Measure()}

    def gate(self, name: str, params: Sequence[Any], width: int) -> Any:
        """One gate by its name in our table."""
        fixed = self._fixed.get(name)
        if fixed is not None:
            return fixed
        if name == "barrier":
            return self._circuit.Barrier(width)
        if name == "unitary":
            return self._library.UnitaryGate(_matrix(params))
        if name == "mcx":
            return self._library.MCXGate(width - 1)
        if name == "mcp":
            return self._library.MCPhaseGate(params[0], width - 1)
        return self._classes[name](*params)

    def build(
        self, circuit: dict[str, Any], native: frozenset[str] | None, parameters: dict[str, Any]
    ) -> Any:
        """Qiskit's circuit of ours.

        Args:
            circuit: ``{"qubits", "clbits", "ops"}``.
            native: what is left as it is; other gates are written out. None leaves all.
            parameters: Qiskit's parameters by name; those met first are added.
        """
        built = self._circuit.QuantumCircuit(circuit["qubits"], circuit["clbits"])
        for op in circuit["ops"]:
            self.add(built, op, native, parameters)
        return built

    def add(
        self,
        built: Any,
        op: Operation,
        native: frozenset[str] | None,
        parameters: dict[str, Any],
    ) -> None:
        """Append one operation."""
        name, angles, qubits, clbits, when = op[:5]
        if name == "snapshot":
            self._snapshot(built, list(qubits), op[5], native is not None)
            return
        params = [self._angle(angle, parameters) for angle in angles]
        if name == "gphase":
            built.global_phase += params[0]
            return
        gate = self.gate(name, params, len(qubits))
        if not when:
            _append(built, gate, qubits, clbits, native, 0)
            return
        inner = self._circuit.QuantumCircuit(
            [built.qubits[q] for q in qubits], [built.clbits[c] for c in clbits]
        )
        _append(inner, gate, range(len(qubits)), range(len(clbits)), native, 0)
        self._conditional(built, inner, list(when))

    def _snapshot(self, built: Any, qubits: list[int], told: Any, is_run: bool) -> None:
        """Save a part of the state under a label; in a picture a barrier with that label."""
        label, kind, terms = told
        key = f"{SNAPSHOT}{label}"
        if not is_run:
            built.append(self._circuit.Barrier(len(qubits), label=label), qubits)
        elif kind == "expectation":
            pauli = import_module("qiskit.quantum_info").SparsePauliOp.from_list(terms)
            built.save_expectation_value(pauli, qubits, label=key)
        elif kind == "statevector":
            built.save_statevector(label=key)
        else:
            getattr(built, f"save_{kind}")(qubits, label=key)

    def _conditional(self, built: Any, inner: Any, when: list[Any]) -> None:
        """Append ``inner``, inside one if for each condition."""
        for at, (bit, value) in enumerate(when):
            condition = (built.clbits[bit], value)
            if at == len(when) - 1:
                operation = self._circuit.IfElseOp(condition, inner)
                built.append(operation, inner.qubits, inner.clbits)
                return
            around = self._circuit.QuantumCircuit(
                inner.qubits, _joined(inner.clbits, [built.clbits[bit]])
            )
            around.append(self._circuit.IfElseOp(condition, inner), inner.qubits, inner.clbits)
            inner = around

    def _angle(self, angle: Any, parameters: dict[str, Any]) -> Any:
        if not isinstance(angle, list | tuple):
            return float(angle)
        total: Any = float(angle[0])
        for name, factor in angle[1]:
            if name not in parameters:
                parameters[name] = self._circuit.Parameter(name)
            total = parameters[name] * float(factor) + total
        return total

    # And back.

    def components(self, built: Any, ours: frozenset[str], with_phase: str) -> dict[str, Any]:
        """Our list of components of Qiskit's circuit.

        Args:
            ours: names of gates that a text defines just as we do.
            with_phase: ``kept`` makes the global phase a component, ``dropped`` leaves it out.

        Raises:
            JobRefused: it holds what components cannot say.
        """
        names = {kind: name for name, kind in self._classes.items()}
        also = {**_ALSO, **_MANY}
        names |= {getattr(self._library, kind): name for kind, name in also.items()}
        reader = _Reader(names, ours)
        ops = list(reader.read(built, range(built.num_qubits), range(built.num_clbits), (), 0))
        phase = float(built.global_phase) + reader.phase
        if with_phase == "kept" and phase:
            ops.append({"gate": "gphase", "qubits": [], "params": [phase]})
        return {"qubits": built.num_qubits, "clbits": built.num_clbits, "components": ops}


class _Reader:
    """Walks through a circuit, into the definitions of what our table does not have."""

    def __init__(self, names: dict[Any, str], ours: frozenset[str]) -> None:
        self._names = names
        self._ours = ours
        self.phase = 0.0

    def read(
        self, built: Any, qubits: Sequence[int], clbits: Sequence[int], when: Any, depth: int
    ) -> Iterator[dict[str, Any]]:
        if depth > _EXPANSION_DEPTH_MAX:
            raise JobRefused("its gates are defined by one another too deep")
        q_at = {bit: qubits[i] for i, bit in enumerate(built.qubits)}
        c_at = {bit: clbits[i] for i, bit in enumerate(built.clbits)}
        for row in built.data:
            own_q = [q_at[bit] for bit in row.qubits]
            own_c = [c_at[bit] for bit in row.clbits]
            yield from self._one(row.operation, own_q, own_c, when, depth, c_at)

    def _one(
        self, op: Any, qubits: list[int], clbits: list[int], when: Any, depth: int, c_at: Any
    ) -> Iterator[dict[str, Any]]:
        if op.name == "if_else":
            yield from self._if_else(op, qubits, clbits, when, depth, c_at)
            return
        if op.name == "for_loop":
            indices, variable, body = op.params
            for index in indices:
                turn = body if variable is None else body.assign_parameters({variable: index})
                yield from self.read(turn, qubits, clbits, when, depth + 1)
            return
        name = self._name(op)
        if name is not None:
            told: dict[str, Any] = {"gate": name, "qubits": qubits}
            if clbits:
                told["clbits"] = clbits
            if name not in ("barrier", "measure", "reset") and op.params:
                told["params"] = [float(value) for value in op.params]
            if when:
                value = sum(bit << i for i, (_, bit) in enumerate(when))
                told["condition"] = {"clbits": [bit for bit, _ in when], "value": value}
            yield told
            return
        definition = op.definition
        if definition is None:
            raise JobRefused(f"{op.name[:64]!r} has no definition and is no gate of the table")
        if definition.global_phase:
            if when:
                raise JobRefused("a global phase under a condition is not read")
            self.phase += float(definition.global_phase)
        yield from self.read(definition, qubits, clbits, when, depth + 1)

    def _name(self, op: Any) -> str | None:
        if op.name in ("barrier", "measure", "reset"):
            return str(op.name)
        controls = getattr(op, "num_ctrl_qubits", 0)
        if controls and op.ctrl_state != 2**controls - 1:
            return None
        kind = getattr(op, "base_class", type(op))
        name = self._names.get(kind)
        if name is None and controls:
            base = getattr(op.base_gate, "base_class", type(op.base_gate))
            name = _BY_CONTROLS.get((base.__name__.removeprefix("_Singleton"), controls))
        if name is None and op.name in self._ours and kind.__name__ in ("Gate", "_DefinedGate"):
            return str(op.name)
        return name

    def _if_else(
        self, op: Any, qubits: list[int], clbits: list[int], when: Any, depth: int, c_at: Any
    ) -> Iterator[dict[str, Any]]:
        if not isinstance(op.condition, tuple):
            raise JobRefused("an if asks for bits or a register, compared with a constant")
        target, value = op.condition
        is_register = hasattr(target, "size")
        bits = [c_at[bit] for bit in target] if is_register else [c_at[target]]
        wanted = [(bit, int(value) >> i & 1) for i, bit in enumerate(bits)]
        then, otherwise = op.blocks[0], op.blocks[1] if len(op.blocks) > 1 else None
        if otherwise is not None and (len(wanted) > 1 or _writes(otherwise) or _writes(then)):
            raise JobRefused("an else is read for a condition on one bit, without measurements")
        told = list(self.read(then, qubits, clbits, (*when, *wanted), depth + 1))
        if len(told) > 1 and any(set(t.get("clbits", [])) & set(bits) for t in told):
            raise JobRefused("an if that measures into its own condition is not read")
        yield from told
        if otherwise is not None:
            opposite = [(bit, 1 - value) for bit, value in wanted]
            yield from self.read(otherwise, qubits, clbits, (*when, *opposite), depth + 1)


def _matrix(entries: Sequence[float]) -> list[list[complex]]:
    """A matrix of its entries row by row, each by its real and imaginary part."""
    flat = [complex(*entries[i : i + 2]) for i in range(0, len(entries), 2)]
    size = round(len(flat) ** 0.5)
    return [flat[i : i + size] for i in range(0, len(flat), size)]


def _writes(block: Any) -> bool:
    """Whether a block measures anything."""
    for row in block.data:
        inner = [part for part in getattr(row.operation, "blocks", ()) if part is not None]
        if row.operation.name == "measure" or any(map(_writes, inner)):
            return True
    return False


def _joined(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    return [*left, *(bit for bit in right if bit not in left)]


def _append(
    built: Any,
    gate: Any,
    qubits: Sequence[int],
    clbits: Sequence[int],
    native: frozenset[str] | None,
    depth: int,
) -> None:
    if native is None or gate.name in native:
        built.append(gate, list(qubits), list(clbits), copy=False)
        return
    definition = gate.definition
    if definition is None or depth > _EXPANSION_DEPTH_MAX:
        raise JobRefused(f"this method does not run {gate.name}: ask for statevector")
    built.global_phase += definition.global_phase
    places = {bit: qubits[i] for i, bit in enumerate(definition.qubits)}
    for row in definition.data:
        inner = [places[bit] for bit in row.qubits]
        _append(built, row.operation, inner, (), native, depth + 1)
