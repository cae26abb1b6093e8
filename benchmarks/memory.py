"""What it costs to remember and to recall, in memories of more and more entries.

Run by hand: ``python benchmarks/memory.py`` (about a minute), ``--quick`` (ten seconds). A memory is brute
force over its entries, so its time grows with them; what the log grows by does too, because an artifact
is kept whole with every change. Time is the processor's own: the tenth percentile, and the median.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator

from scripworld.adapters.embedders import hashed
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.genesis.memory import MEMORY, MemoryFigures, memory_native
from scripworld.world import (
    Done,
    Envelope,
    Invoke,
    Limits,
    NoCode,
    PrincipalSpec,
    Resource,
    World,
    WorldConfig,
    Write,
)

SIZES = (100, 1_000, 10_000)
SHORT = 100
_WORDS = """
market map song scrip loan auction circuit harvest weather vault oracle price ship river stone
mint seller buyer forecast quota bread letter garden winter signal engine copper violin
"""
WORDS = _WORDS.split()


class Room:
    """A world with one agent and one memory."""

    def __init__(self) -> None:
        native = memory_native(MemoryFigures("hashing", 20_000, 2_000))
        quotas = {"compute": 2**40, "stored_bytes": 2**40}
        config = WorldConfig(
            principals=(PrincipalSpec("ann", 0, quotas),),
            limits=Limits(content_bytes_max=10_000_000, action_bytes_max=10_000_000),
            resources={
                "compute": Resource("renewable", 60_000_000),
                "stored_bytes": Resource("allocatable"),
            },
        )
        self.log = Counting()
        self.world = World.begin(config, {MEMORY: native}, self.log, NoCode(), "bench")

    def ask(self, method: str, **args: object) -> None:
        self._do(Invoke(MEMORY, method, dict(args)))

    def fill(self, size: int) -> None:
        """Have so many entries in the memory.

        Their vectors are noted while it is short, and its lines written at once, which is the same and
        takes less time than to write all lines anew with every entry.
        """
        lines: list[dict[str, object]] = []
        for at, text in enumerate(texts(size), 1):
            self.ask("remember", text=text)
            lines.append({"entry": at, "at_us": 0, "text": text, "tags": []})
            if at % SHORT == 0:
                self._do(Write("ann.memory", ""))
        self._do(Write("ann.memory", "".join(json.dumps(line) + "\n" for line in lines)))

    def _do(self, action: Invoke | Write) -> None:
        answer = self.world.apply(Envelope("ann", action), 0)
        assert isinstance(answer, Done), answer


class Counting(MemoryEventLog):
    """A log that counts what it is given, and keeps of large content the latest."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self._latest: dict[bytes, bytes] = {}

    def append(self, seq: int, digest: bytes, body: bytes) -> None:
        self.bytes += len(body)

    def put_blob(self, digest: bytes, data: bytes) -> None:
        self.bytes += len(data)
        self._latest[digest] = data
        if len(self._latest) > 4:
            del self._latest[next(iter(self._latest))]

    def get_blob(self, digest: bytes) -> bytes:
        return self._latest[digest]


def texts(count: int) -> Iterator[str]:
    """Different short texts of words that come again and again."""
    many = len(WORDS)
    for n in range(count):
        picked = (WORDS[n // many**k % many] for k in range(3))
        yield f"{' '.join(picked)} number {n}"


def measured(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Undisturbed and median, in milliseconds."""
    took = []
    for _ in range(times):
        began_s = time.process_time()
        work()
        took.append((time.process_time() - began_s) * 1e3)
    took.sort()
    return took[len(took) // 10], statistics.median(took)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    sizes = SIZES[:2] if parser.parse_args().quick else SIZES
    print(f"Python {platform.python_version()}, {platform.machine()}")
    text = "the weather at the market was a signal of winter"
    low, middle = measured(lambda: bool(hashed(text)), 500)
    print(f"a vector of {len(text)} characters: {low * 1e3:,.0f} us, median {middle * 1e3:,.0f} us")
    print(f"{'entries':>9}{'recall':>11}{'median':>11}{'remember':>11}{'median':>11}{'log':>13}")
    for size in sizes:
        room = Room()
        room.fill(size)
        recall = measured(lambda room=room: room.ask("recall", query=text), 20)  # type: ignore[misc]
        before = room.log.bytes
        remember = measured(lambda room=room: room.ask("remember", text=text), 10)  # type: ignore[misc]
        grown = (room.log.bytes - before) // 10
        told = "".join(f"{figure:>8,.2f} ms" for figure in (*recall, *remember))
        print(f"{size:>9,}{told}{grown:>9,} B/entry")


if __name__ == "__main__":
    main()
