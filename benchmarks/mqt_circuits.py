"""Writes circuits of mqt.bench as OpenQASM 2 into a folder, for ``benchmarks/quantum.py --qasm``.

It needs an environment of its own: ``python -m venv mqt && mqt/bin/pip install mqt.bench==2.3.0``, then
``mqt/bin/python benchmarks/mqt_circuits.py FOLDER``. Takes about ten seconds.
"""

from __future__ import annotations

import argparse
import signal
import warnings
from pathlib import Path
from types import FrameType

SIZES = (4, 5, 8, 10, 13, 16, 20)
EACH_S = 15
TEXT_BYTES_MAX = 100_000


def too_long(signal: int, frame: FrameType | None) -> None:
    raise TimeoutError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    from mqt.bench import BenchmarkLevel, get_benchmark
    from mqt.bench.benchmarks import get_available_benchmark_names
    from qiskit import qasm2

    signal.signal(signal.SIGALRM, too_long)
    count = 0
    for name in get_available_benchmark_names():
        for size in SIZES:
            signal.alarm(EACH_S)
            try:
                text = qasm2.dumps(get_benchmark(name, BenchmarkLevel.INDEP, size))
            except Exception as error:  # many families have some sizes only
                print(f"{name} {size}: {str(error)[:80] or type(error).__name__}")
                continue
            finally:
                signal.alarm(0)
            if len(text) <= TEXT_BYTES_MAX:
                (folder / f"{name}-{size}.qasm").write_text(text, encoding="utf-8")
                count += 1
    print(f"{count} circuits")


if __name__ == "__main__":
    main()
