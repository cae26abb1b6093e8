#!/usr/bin/env python3
"""Writes the table of fake devices, from qiskit-ibm-runtime, into src/genesis/quantum_device_table.py.

With --check it writes nothing. Exit codes: 0 the table is right (without --check: now); 1 it is
stale; 2 qiskit-ibm-runtime is not installed.
"""

import argparse
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from scripworld.genesis.quantum_gates import ALIASES, GATES

ROOT: Final = Path(__file__).resolve().parents[1]
TABLE: Final = ROOT / "src" / "genesis" / "quantum_device_table.py"
HEAD: Final = '''"""Owns the table of fake devices; scripts/quantum_devices.py writes it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

TABLE: Final[Mapping[str, tuple[int, int, str]]] = MappingProxyType(
    {
'''
TAIL: Final = '''    }
)
"""By name: qubits, pairs of qubits that a gate couples (each direction is one), and gates."""
'''


def row(device: Any) -> str:
    pairs = device.coupling_map.get_edges() if device.coupling_map else ()
    names = {ALIASES.get(name, name) for name in device.operation_names}
    gates = sorted(name for name in names if name in GATES and GATES[name].acts)
    return f'        "{device.name}": ({device.num_qubits}, {len(pairs)}, "{" ".join(gates)}"),\n'


def generate() -> str:
    provider = import_module("qiskit_ibm_runtime.fake_provider").FakeProviderForBackendV2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a device says of itself is for who runs on it
        rows = {device.name: row(device) for device in provider().backends()}
    return HEAD + "".join(rows[name] for name in sorted(rows)) + TAIL


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    try:
        right = generate()
    except ImportError:
        print("qiskit-ibm-runtime is not installed: pip install 'scripworld[devices]'")
        return 2
    stale = not TABLE.exists() or TABLE.read_text(encoding="utf-8") != right
    if stale and not options.check:
        TABLE.write_text(right, encoding="utf-8")
    advice = "run scripts/quantum_devices.py" if options.check else "wrote it"
    print(f"{TABLE.name} is stale: {advice}" if stale else f"{TABLE.name} is right")
    return int(stale and options.check)


if __name__ == "__main__":
    sys.exit(main())
