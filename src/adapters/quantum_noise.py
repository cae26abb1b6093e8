"""Owns devices and noise: coupling maps, fake devices and noise models by name. Runs in the worker only."""

from __future__ import annotations

import re
import warnings
from collections.abc import Set
from importlib import import_module
from typing import Any, Final

from .quantum_building import JobRefused

_SEED: Final = 20_250_101
"""A generic device has the same errors everywhere."""
_SHAPE: Final = re.compile(r"(line|ring|full|generic)_([1-9]\d{0,2})")
_ONE: Final = (
    "id",
    "x",
    "y",
    "z",
    "h",
    "s",
    "sdg",
    "t",
    "tdg",
    "sx",
    "sxdg",
    "p",
    "rx",
    "ry",
    "rz",
    "r",
    "u",
)
_TWO: Final = ("cx", "cy", "cz", "ecr", "swap", "cp", "rxx", "ryy", "rzz", "rzx", "csx")


class Devices:
    """Makes them, and keeps the fake devices that were asked for."""

    def __init__(self) -> None:
        self._backends: dict[str, Any] = {}

    def backend(self, name: str) -> Any:
        """A fake device: ``generic_N``, or one of qiskit-ibm-runtime such as ``fake_manila``.

        Raises:
            JobRefused: there is none of that name here.
        """
        if name not in self._backends:
            self._backends[name] = self._made(name)
        return self._backends[name]

    def _made(self, name: str) -> Any:
        match = _SHAPE.fullmatch(name)
        if match and match[1] == "generic":
            made = import_module("qiskit.providers.fake_provider").GenericBackendV2
            return made(int(match[2]), seed=_SEED)
        if name.startswith("fake_"):
            try:
                provider = import_module(
                    "qiskit_ibm_runtime.fake_provider"
                ).FakeProviderForBackendV2()
            except ImportError:
                raise JobRefused(
                    f"{name} comes with qiskit-ibm-runtime, which is not installed: "
                    "pip install 'scripworld[devices]', or take generic_5"
                ) from None
            for backend in provider.backends():
                if backend.name == name:
                    return backend
        raise JobRefused(f"there is no device {name[:64]!r}: take generic_5 or fake_manila")

    def coupling(self, told: Any) -> Any:
        """A coupling map of pairs, or by name: ``line_N``, ``ring_N``, ``full_N``."""
        coupling = import_module("qiskit.transpiler").CouplingMap
        if not isinstance(told, str):
            return coupling([tuple(pair) for pair in told])
        match = _SHAPE.fullmatch(told)
        if match is None or match[1] == "generic":
            raise JobRefused(
                f"there is no coupling map {told[:64]!r}: take line_5, ring_5 or full_5"
            )
        return getattr(coupling, f"from_{match[1]}")(int(match[2]))

    def noise(self, told: dict[str, Any], qubits: Set[int]) -> Any:
        """A noise model: of a device's ``qubits``, or of depolarizing, thermal and readout errors."""
        noise = import_module("qiskit_aer.noise")
        if "device" in told:
            part = _Part(self.backend(told["device"]), qubits)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of devices whose figures are incomplete
                return noise.NoiseModel.from_backend(part)
        model = noise.NoiseModel()
        errors: dict[str, Any] = {}
        for place, width in (("one", 1), ("two", 2)):
            found = []
            if place in told.get("depolarizing", {}):
                found.append(noise.depolarizing_error(told["depolarizing"][place], width))
            if thermal := told.get("thermal"):
                error = noise.thermal_relaxation_error(
                    thermal["t1_us"], thermal["t2_us"], thermal[f"{place}_ns"] / 1_000
                )
                found.append(error if width == 1 else error.tensor(error))
            if found:
                errors[place] = found[0] if len(found) == 1 else found[0].compose(found[1])
        if "one" in errors:
            model.add_all_qubit_quantum_error(errors["one"], list(_ONE))
        if "two" in errors:
            model.add_all_qubit_quantum_error(errors["two"], list(_TWO))
        if readout := told.get("readout"):
            p0, p1 = readout
            model.add_all_qubit_readout_error([[1 - p0, p0], [p1, 1 - p1]])
        return model


class _Part:
    """A device as far as its noise on some of its qubits goes: each error takes milliseconds to make."""

    version = 2

    def __init__(self, backend: Any, qubits: Set[int]) -> None:
        whole = backend.target
        library = import_module("qiskit.circuit.library")
        ours = {"u1": ("p", library.PhaseGate), "u3": ("u", library.UGate)}
        self.name = backend.name
        self.dt = backend.dt
        self.target = import_module("qiskit.transpiler").Target(
            num_qubits=whole.num_qubits, dt=whole.dt, qubit_properties=whole.qubit_properties
        )
        for name in whole.operation_names:
            found = {at: error for at, error in whole[name].items() if at and qubits >= set(at)}
            if found:
                operation = whole.operation_from_name(name)
                own, kind = ours.get(name, (name, None))
                if kind is not None:  # gates of older devices, under the names that they have here
                    operation = kind(*operation.params)
                self.target.add_instruction(operation, found, name=own)
        self.operation_names = list(self.target.operation_names)
