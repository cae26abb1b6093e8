"""Owns what the worker can do with Qiskit: run, read, transpile and draw. Runs in the worker only.

A job is ``(payload) → JSON value``. What was admitted is trusted to be within bounds; what Qiskit
cannot do is told as `JobRefused`. The simulator's methods, targets and pass managers are kept.
"""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import groupby
from typing import Any, Final

from .quantum_building import SNAPSHOT, Builder, JobRefused
from .quantum_noise import Devices
from .quantum_services import service_of

KEPT_MAX: Final = 64
"""Simulators, noise models, pass managers and circuits that are kept, each."""
KEPT_OPERATIONS_MAX: Final = 2_000
"""Of a circuit that is kept."""
_MEBIBYTE: Final = 1_048_576
_ONE_GATE: Final = {"qubits": 1, "clbits": 1, "ops": [["h", [], [0], [], []]]}
_SMALLEST: Final[dict[str, dict[str, Any]]] = {
    "read": {"text": "OPENQASM 3.0; qubit q;", "ours": [], "theirs": []},
    "transpile": {"circuit": _ONE_GATE, "levels": [0], "device": None, "coupling": None},
    "draw": {"circuit": _ONE_GATE},
    "plot": {"counts": {"0": 1}},
}
"""The smallest job of a kind, laid over another one."""
_ALL_NOISE: Final[dict[str, Any]] = {
    "depolarizing": {"one": 0.1, "two": 0.1},
    "thermal": {"t1_us": 1.0, "t2_us": 1.0, "one_ns": 1.0, "two_ns": 1.0},
    "readout": [0.1, 0.1],
}
_TEXT_COLUMNS: Final = 160
_DPI: Final = 100


class QuantumJobs:
    """All jobs, with what is worth keeping between them."""

    def __init__(self) -> None:
        """Import Qiskit; takes about half a second.

        Raises:
            ImportError: it isn't installed.
        """
        self._qiskit: Any = import_module("qiskit")
        self._aer: Any = import_module("qiskit_aer")
        import_module("qiskit_aer.library")
        self._builder = Builder()
        self._devices = Devices()
        self._simulators: dict[str, tuple[Any, frozenset[str]]] = {}
        self._noises: dict[str, Any] = {}
        self._passes: dict[str, Any] = {}
        self._circuits: dict[str, Any] = {}
        self._prepared: set[str] = set()
        self.by_name: Mapping[str, Callable[[Any], Any]] = {
            "run": self.run,
            "read": self.read,
            "transpile": self.transpile,
            "draw": self.draw,
            "plot": self.plot,
            "submit": self.submit,
            "status": self.status,
            "result": self.result,
        }

    def prepare(self, name: str, payload: Any) -> None:
        """Import what a kind of job needs, the first time; nobody is charged for that."""
        kind = f"{name} {payload.get('format', '')} {payload.get('version', '')}"
        if kind not in self._prepared and name in _SMALLEST:
            self._prepared.add(kind)
            with contextlib.suppress(JobRefused):
                self.by_name[name](payload | _SMALLEST[name])
        if payload.get("noise") and "noise" not in self._prepared:
            self._prepared.add("noise")
            self._devices.noise(_ALL_NOISE, frozenset())
            self._devices.noise({"device": "generic_2"}, {0, 1})
        if name in ("submit", "status", "result"):
            import_module("qiskit_ibm_runtime")
        elif name := payload.get("device") or payload.get("noise", {}).get("device"):
            with contextlib.suppress(JobRefused):
                self._devices.backend(name).target  # noqa: B018, made when it is asked for

    @property
    def versions(self) -> dict[str, str]:
        """Of what made a result."""
        return {"qiskit": self._qiskit.__version__, "qiskit_aer": self._aer.__version__}

    # Running.

    def run(self, job: Any) -> Any:
        """Run circuits, each at every point of the sweep; circuits of one method in one go."""
        rows = [dict(circuit, at=at) for at, circuit in enumerate(job["circuits"])]
        results: list[list[dict[str, Any]]] = [[] for _ in rows]
        for method, group in groupby(sorted(rows, key=_method), key=_method):
            circuits = list(group)
            for at, told in zip(
                [c["at"] for c in circuits], self._run(job, method, circuits), strict=True
            ):
                results[at] = told
        return {"results": results, "versions": self.versions}

    def _run(self, job: Any, method: str, circuits: list[Any]) -> list[list[dict[str, Any]]]:
        simulator, native = self._simulator(method, job, circuits)
        built, bindings = [], []
        for circuit in circuits:
            one, parameters = self._built(method, circuit, native, job)
            built.append(one)
            bindings.append(
                {
                    parameter: [point[name] for point in job["points"]]
                    for name, parameter in parameters.items()
                }
            )
        points = len(job["points"]) or 1
        options: dict[str, Any] = {"shots": job["shots"], "seed_simulator": job["seed"]}
        if "memory" in job["outputs"]:
            options["memory"] = True
        if any(bindings):
            options["parameter_binds"] = bindings
        result = simulator.run(built, **options).result()
        if not result.success:
            raise JobRefused(_why(result))
        told = iter(result.results)
        answers = []
        for circuit, binding in zip(circuits, bindings, strict=True):
            own = [_outcome(next(told), circuit, job) for _ in range(points if binding else 1)]
            answers.append(own * (1 if binding else points))
        return answers

    def _built(
        self, method: str, circuit: Any, native: frozenset[str], job: Any
    ) -> tuple[Any, dict[str, Any]]:
        """A circuit with its parameters, kept by its hash."""
        key = repr((circuit.get("hash"), method, job["outputs"], job["observables"]))
        if "hash" in circuit and key in self._circuits:
            kept: tuple[Any, dict[str, Any]] = self._circuits[key]
            return kept
        parameters: dict[str, Any] = {}
        built = self._measured(circuit, native, parameters, job)
        if "hash" in circuit and len(circuit["ops"]) <= KEPT_OPERATIONS_MAX:
            _keep(self._circuits, key, (built, parameters))
        return built, parameters

    def _measured(
        self, circuit: Any, native: frozenset[str], parameters: dict[str, Any], job: Any
    ) -> Any:
        """The circuit, with what is asked of its state before the measurements at the end."""
        asked = [name for name in ("statevector", "probabilities") if name in job["outputs"]]
        observables = job["observables"]
        if not asked and not observables:
            return self._builder.build(circuit, native, parameters)
        ops = [op for op in circuit["ops"] if op[0] != "measure"]
        built = self._builder.build(dict(circuit, ops=ops), native, parameters)
        if asked:
            built.save_statevector()
        pauli = import_module("qiskit.quantum_info").SparsePauliOp
        for name, terms in observables.items():
            built.save_expectation_value(
                pauli.from_list(list(terms.items())), range(circuit["qubits"]), label=name
            )
        if "counts" in job["outputs"] or "memory" in job["outputs"]:
            for op in circuit["ops"]:
                if op[0] == "measure":
                    self._builder.add(built, op, native, parameters)
        return built

    def _simulator(self, method: str, job: Any, circuits: list[Any]) -> tuple[Any, frozenset[str]]:
        memory_mb = max(job["memory_bytes"] // _MEBIBYTE, 1)
        qubits = _touched(circuits) if "device" in job["noise"] else frozenset()
        key = repr((method, job["bond"], memory_mb, job["noise"], sorted(qubits)))
        if key not in self._simulators:
            options: dict[str, Any] = {
                "method": method,
                "max_parallel_threads": 1,
                "max_memory_mb": memory_mb,
            }
            if method == "matrix_product_state":
                options["matrix_product_state_max_bond_dimension"] = job["bond"]
            if job["noise"]:
                options["noise_model"] = self._noise(job["noise"], qubits)
            simulator = self._aer.AerSimulator(**options)
            native = frozenset(_basis(method)) | {"measure", "reset", "barrier", "if_else"}
            _keep(self._simulators, key, (simulator, native))
        told: tuple[Any, frozenset[str]] = self._simulators[key]
        return told

    def _noise(self, told: dict[str, Any], qubits: frozenset[int]) -> Any:
        """A noise model, which all methods share."""
        key = repr((told, sorted(qubits)))
        if key not in self._noises:
            _keep(self._noises, key, self._devices.noise(told, qubits))
        return self._noises[key]

    # Reading and transpiling.

    def read(self, job: Any) -> Any:
        """Components of OpenQASM that was looked at before."""
        if job["version"] == 2:
            built = self._read_two(job)
        else:
            try:
                built = import_module("qiskit.qasm3").loads(job["text"])
            except import_module("qiskit.exceptions").MissingOptionalLibraryError:
                raise JobRefused(
                    "OpenQASM 3 is not read here: install qiskit-qasm3-import"
                ) from None
        ours = frozenset(job["ours"])
        return self._builder.components(built, ours, "kept")

    def _read_two(self, job: Any) -> Any:
        qasm2 = import_module("qiskit.qasm2")
        defined = {*job["ours"], *job["theirs"]}
        custom = [own for own in qasm2.LEGACY_CUSTOM_INSTRUCTIONS if own.name not in defined]
        try:
            return qasm2.loads(job["text"], include_path=(), custom_instructions=custom)
        except qasm2.QASM2ParseError as error:
            raise JobRefused(f"OpenQASM 2: {_sentence(error)}") from None

    def transpile(self, job: Any) -> Any:
        """The circuit for a target at each level asked for, and a report of them."""
        built = self._builder.build(job["circuit"], None, {})
        report, best = [], built
        for level in job["levels"]:
            passes = self._pass_manager(job, level)
            best = passes.run(built)
            counts = {str(name): n for name, n in best.count_ops().items()}
            report.append(
                {
                    "level": level,
                    "depth": best.depth(),
                    "size": best.size(),
                    "two_qubit": sum(
                        1
                        for row in best.data
                        if len(row.qubits) == 2 and row.operation.name != "barrier"
                    ),
                    "swaps": counts.get("swap", 0),
                    "counts": dict(sorted(counts.items())),
                }
            )
        circuit = self._builder.components(best, frozenset(), "dropped")
        layout = [int(q) for q in best.layout.final_index_layout()] if best.layout else None
        told = {"circuit": circuit, "report": report, "versions": self.versions}
        return told | ({"layout": layout} if layout is not None else {})

    def _pass_manager(self, job: Any, level: int) -> Any:
        key = repr((level, job["seed"], job["basis"], job["coupling"], job["device"]))
        if key not in self._passes:
            target: dict[str, Any] = {}
            if job["device"]:
                target["backend"] = self._devices.backend(job["device"])
            else:
                basis = job["basis"] or ["id", "rz", "sx", "x", "cx", "measure", "reset"]
                target["basis_gates"] = [*basis, "if_else"]
                if job["coupling"]:
                    target["coupling_map"] = self._devices.coupling(job["coupling"])
            make = import_module("qiskit.transpiler").generate_preset_pass_manager
            _keep(self._passes, key, make(level, seed_transpiler=job["seed"], **target))
        return self._passes[key]

    # Devices.

    def submit(self, job: Any) -> Any:
        """The id of a job at the service of its device."""
        built = self._builder.build(job["circuit"], None, {})
        return {"job": service_of(job).submit(built, job)}

    def status(self, job: Any) -> Any:
        """How far a job is."""
        return {"status": service_of(job).status(job["job"])}

    def result(self, job: Any) -> Any:
        """What a job came to."""
        return service_of(job).result(job["job"])

    # Drawing.

    def draw(self, job: Any) -> Any:
        """A picture of a circuit: text, or base64 of SVG or PNG."""
        built = self._builder.build(job["circuit"], None, {})
        if job["format"] == "text":
            text = str(built.draw("text", fold=_TEXT_COLUMNS, idle_wires=True))
            return {"format": "text", "text": text}
        _need_matplotlib()
        try:
            figure = built.draw("mpl", style="bw", fold=25)
        except import_module("qiskit.exceptions").MissingOptionalLibraryError as error:
            raise JobRefused(f"pictures are not drawn here: {_sentence(error)}") from None
        return _picture(figure, job["format"])

    def plot(self, job: Any) -> Any:
        """A histogram of counts: base64 of SVG or PNG."""
        _need_matplotlib()
        figure_class = import_module("matplotlib.figure").Figure
        counts = dict(sorted(job["counts"].items()))
        figure = figure_class(figsize=(max(4.0, 0.4 * len(counts) + 1), 4.0))
        axes = figure.subplots()
        axes.bar(range(len(counts)), list(counts.values()))
        axes.set_xticks(range(len(counts)), list(counts), rotation=70)
        axes.set_ylabel("Count")
        return _picture(figure, job["format"])


def _basis(method: str) -> list[str]:
    """What a method runs without anything being written out."""
    utils = import_module("qiskit_aer.backends.backend_utils")
    told: list[str] = utils.BASIS_GATES[method]
    return told


def _touched(circuits: list[Any]) -> frozenset[int]:
    """The qubits that anything happens on."""
    idle = ("barrier", "snapshot")
    return frozenset(q for one in circuits for op in one["ops"] if op[0] not in idle for q in op[2])


def _method(circuit: Any) -> str:
    return str(circuit["method"])


def _keep(kept: dict[str, Any], key: str, value: Any) -> None:
    """Keep a value; the one kept longest goes where there are too many."""
    if len(kept) >= KEPT_MAX:
        del kept[next(iter(kept))]
    kept[key] = value


def _outcome(told: Any, circuit: Any, job: Any) -> dict[str, Any]:
    """One experiment's answer, small and in a fixed order."""
    data, width, outputs = told.data, circuit["clbits"], job["outputs"]
    answer: dict[str, Any] = {"seed": int(told.seed_simulator), "method": circuit["method"]}
    if "counts" in outputs:
        counts = {format(int(key, 16), f"0{width}b"): n for key, n in data.counts.items()}
        answer["counts"] = dict(sorted(counts.items()))
    if "memory" in outputs:
        answer["memory"] = [format(int(key, 16), f"0{width}b") for key in data.memory]
    if "statevector" in outputs or "probabilities" in outputs:
        state = data.statevector.data
        if "statevector" in outputs:
            answer["statevector"] = [[float(a.real), float(a.imag)] for a in state]
        if "probabilities" in outputs:
            answer["probabilities"] = [float(abs(a) ** 2) for a in state]
    if job["observables"]:
        values = {name: float(getattr(data, name).real) for name in job["observables"]}
        answer["expectations"] = values
    shown = [op[5] for op in circuit["ops"] if op[0] == "snapshot"]
    if shown:
        saved = data.to_dict()
        answer["snapshots"] = {name: _shown(saved[SNAPSHOT + name]) for name, *_ in shown}
    return answer


def _shown(value: Any) -> Any:
    """What a snapshot saved: a number, a list of them, or of pairs of real and imaginary part."""
    array = import_module("numpy").asarray(value)
    if array.ndim == 0:
        return float(array.real)
    if array.dtype.kind == "c":
        return import_module("numpy").stack((array.real, array.imag), -1).tolist()
    return array.tolist()


def _why(result: Any) -> str:
    told = [str(one.status) for one in result.results if not one.success] or [str(result.status)]
    return f"the simulator refused it: {_sentence(told[0])}"


def _sentence(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _need_matplotlib() -> None:
    try:
        import_module("matplotlib").use("Agg")
    except ImportError:
        raise JobRefused(
            "pictures are not drawn here: ask for text, or install matplotlib "
            "(pip install 'scripworld[plots]')"
        ) from None


def _picture(figure: Any, kind: str) -> dict[str, str]:
    """A figure as SVG text or base64 of PNG; the same bytes each time."""
    held = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    with import_module("matplotlib").rc_context({"svg.hashsalt": "scripworld"}):
        figure.savefig(held, format=kind, dpi=_DPI, bbox_inches="tight", metadata=metadata)
    if kind == "svg":
        return {"format": "svg", "text": held.getvalue().decode()}
    return {"format": "png", "base64": base64.b64encode(held.getvalue()).decode()}
