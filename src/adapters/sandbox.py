"""Owns what a tool server may reach and use, and the command lines that hold it to that.

It must not know how a package comes onto the machine (`provision`) or when a process is started.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Runner = Literal["bubblewrap", "firejail", "none"]
Network = Literal["none", "proxy", "host"]


@dataclass(frozen=True)
class Sandbox:
    """What one server may reach and use.

    Attributes:
        runner: what holds it; ``none`` lets it run with our own rights.
        network: ``none``; ``proxy``, only through the filtering proxy; ``host``, anything.
        own: its writable folder, HOME and working directory; None makes a temporary one.
        read, write: further host paths, seen at the same place inside.
        cpus: how many CPUs its processes may use at one time.
        memory_bytes_max, processes_max, disk_bytes_max: of all its processes and writable folders.
    """

    runner: Runner = "none"
    network: Network = "none"
    own: Path | None = None
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    cpus: int = 1
    memory_bytes_max: int = 536_870_912
    processes_max: int = 64
    disk_bytes_max: int = 1_073_741_824


UNCONTAINED = Sandbox()
"""Our own rights: for servers that the caller wrote itself."""
