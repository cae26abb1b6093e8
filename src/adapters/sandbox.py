"""Owns what a tool server may reach and use, and the command lines that hold it to that.

The command lines are built here and nothing is run. It must not know how a package comes onto the
machine (`provision`) or when a process is started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args

from ..world import ConfigurationFault

Runner = Literal["bubblewrap", "firejail", "none"]
Network = Literal["none", "proxy", "host"]

RUNNER_VARIABLE: Final = "MCP_SANDBOX_RUNNER"
PROXY_PORT: Final = 3128
"""Where `net_gate` listens on the loopback of the server's own network."""
TMPFS_SHARE: Final = 4
"""`/tmp` and `/dev/shm` may each hold this part of `memory_bytes_max`."""
NET_GATE: Final = Path(__file__).with_name("net_gate.py")
THROUGH_PROXY: Final = Path(__file__).with_name("through_proxy.cjs")
"""Leads a Node that is too old to look for the proxy itself to it."""

_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC: Final = (
    *("hosts", "nsswitch.conf", "passwd", "group", "localtime", "timezone", "mime.types"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "protocols"),
    *("services", "ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "ca-certificates"),
    *("ca-certificates.conf", "pki/tls/certs", "pki/tls/cert.pem", "pki/ca-trust"),
    *("chromium", "chromium.d", "chromium-browser"),
)
"""What programs need of `/etc`: never a private key, a password or a host's own settings."""
_ISOLATION: Final = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534"),
    *("--cap-drop", "ALL", "--new-session", "--die-with-parent", "--hostname", "sandbox"),
)
_FIREJAIL: Final = (
    *("--quiet", "--noprofile", "--deterministic-exit-code", "--hostname=sandbox"),
    *("--caps.drop=all", "--nonewprivs", "--nogroups", "--seccomp", "--ipc-namespace"),
    *("--restrict-namespaces", "--read-only=/", "--read-only=/proc/sys", "--read-only=/dev"),
    *("--read-only=/etc", "--blacklist=/etc/ssl/private", "--read-write=/tmp"),
    *("--private-dev", "--private-tmp", "--disable-mnt", "--dbus-user=none", "--dbus-system=none"),
)
_FIREJAIL_HOLDS: Final = frozenset(("dev", "etc", "proc", "run", "sys", "tmp"))
PROGRAMS: Final[Mapping[Runner, str]] = {"bubblewrap": "bwrap", "firejail": "firejail"}
_SOCKET_INSIDE: Final = "/run/egress.sock"


@dataclass(frozen=True)
class Sandbox:
    """What one server may reach and use.

    Attributes:
        runner: what holds it; ``none`` lets it run with our own rights.
        network: ``none``; ``proxy``, only through the filtering proxy; ``host``, anything.
            ``none`` as the runner can't hold a server to it.
        own: its writable folder, HOME and working directory, made if it is missing; None makes a
            temporary one, except for a server of our own with our own rights, which gets none.
        read, write: further host paths, seen at the same place inside.
        cpus: how many CPUs its processes may use at one time.
        memory_bytes_max, processes_max, disk_bytes_max: of all its processes and writable folders.
        proxy_socket: the Unix socket of the filtering proxy, for a runner that holds.
        proxy_url: the same proxy on our loopback, for ``none``.
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
    proxy_socket: Path | None = None
    proxy_url: str = ""


UNCONTAINED = Sandbox()
"""Our own rights: for servers that the caller wrote itself."""


def chosen_runner(configured: str | None, environ: Mapping[str, str]) -> Runner:
    """Return the runner: MCP_SANDBOX_RUNNER, else `configured`, else the one of this system.

    That is bubblewrap on Linux and none elsewhere. An empty variable counts as absent.

    Raises:
        ConfigurationFault: there is no runner of that name.
    """
    said = environ.get(RUNNER_VARIABLE)
    name = said or configured or ("bubblewrap" if sys.platform == "linux" else "none")
    if name not in get_args(Runner):
        where = RUNNER_VARIABLE if said else "the sandbox's runner"
        known = ", ".join(get_args(Runner))
        raise ConfigurationFault(f"{where} is {name!r}, which isn't one of {known}: choose one")
    return cast(Runner, name)


def proxy_seen(sandbox: Sandbox) -> str:
    """Return the URL at which the server sees the filtering proxy; empty if it has none."""
    if sandbox.network != "proxy":
        return ""
    return sandbox.proxy_url if sandbox.runner == "none" else f"http://127.0.0.1:{PROXY_PORT}"


def held(
    program: str,
    sandbox: Sandbox,
    own: Path,
    read: Iterable[Path],
    command: Sequence[str],
    python: str,
) -> tuple[str, ...]:
    """Return the command line that runs `command` as `sandbox` says, with its runner at `program`.

    `own` is the server's folder; `read` is what the command needs beside what `sandbox` names;
    `python` is an interpreter that is visible inside. Paths are absolute. Not for `none`.
    """
    read = {*read, *map(_absolute, sandbox.read)}
    write = {own, *map(_absolute, sandbox.write)}
    if sandbox.network == "proxy":
        assert sandbox.proxy_socket, "the filtering proxy was not started"
        read |= {NET_GATE, THROUGH_PROXY}
        socket = _SOCKET_INSIDE if sandbox.runner == "bubblewrap" else str(sandbox.proxy_socket)
        command = (python, "-I", "-S", str(NET_GATE), socket, str(PROXY_PORT), "--", *command)
    build = _bubblewrap if sandbox.runner == "bubblewrap" else _firejail
    return (program, *build(sandbox, _by_depth(read, write)), "--", *command)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def trial(runner: Runner, program: str) -> tuple[str, ...]:
    """Return a command line that does nothing, but fails where the runner can't hold a server."""
    if runner == "firejail":
        return (program, "--quiet", "--noprofile", "--net=none", "--", "/bin/true")
    return (program, *_ISOLATION, "--ro-bind", "/", "/", "--proc", "/proc", "--", "/bin/true")


def _by_depth(read: set[Path], write: set[Path]) -> list[tuple[Path, str]]:
    """Sort paths so that what holds others comes first; writable wins over read-only."""
    kinds = dict.fromkeys(read, "--ro-bind") | dict.fromkeys(write, "--bind")
    return sorted(kinds.items(), key=lambda item: (len(item[0].parts), item[0]))


def _bubblewrap(sandbox: Sandbox, paths: Iterable[tuple[Path, str]]) -> Iterator[str]:
    """Say it to bubblewrap, 0.8 or newer."""
    size = str(sandbox.memory_bytes_max // TMPFS_SHARE)
    yield from _ISOLATION
    if sandbox.network == "host":
        yield "--share-net"
    etc = (*_ETC, *(("resolv.conf",) if sandbox.network == "host" else ()))
    for place in (*_SYSTEM, *(f"/etc/{name}" for name in etc)):
        yield from _as_outside(place)
    # Root's uid may write to /proc/sys without any capability, so it is covered.
    yield from ("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev")
    yield from ("--size", size, "--tmpfs", "/tmp", "--size", size, "--tmpfs", "/dev/shm")
    if sandbox.network == "proxy":
        yield from ("--ro-bind", str(sandbox.proxy_socket), _SOCKET_INSIDE)
    for path, kind in paths:
        yield from (kind, str(path), str(path))
    # They are in memory, too, and without a bound.
    yield from ("--remount-ro", "/", "--remount-ro", "/dev")


def _as_outside(path: str) -> tuple[str, ...]:
    """Show a path of the system as it is: a link as that link, another read-only, none as none."""
    if os.path.islink(path) and (target := os.readlink(path)).lstrip("/").startswith("usr/"):
        return ("--symlink", target, path)
    return ("--ro-bind-try", path, path)


def _firejail(sandbox: Sandbox, paths: Iterable[tuple[Path, str]]) -> Iterator[str]:
    """Say it to firejail, 0.9.72 or newer: of the top folders, what isn't the system's is hidden."""
    yield from _FIREJAIL
    etc = sorted({name.partition("/")[0] for name in _ETC})
    if sandbox.network == "host":
        yield f"--private-etc={','.join([*etc, 'resolv.conf'])}"
    else:
        yield from (f"--private-etc={','.join(etc)}", "--net=none")
    shown = dict(paths)
    if sandbox.network == "proxy" and sandbox.proxy_socket:
        shown[sandbox.proxy_socket] = "--ro-bind"
    for path, kind in shown.items():
        yield f"--whitelist={path}"
        yield f"{'--read-only' if kind == '--ro-bind' else '--read-write'}={path}"
    seen = {path.parts[1] for path in shown} | {path[1:] for path in _SYSTEM}
    hidden = [Path("/", name) for name in set(os.listdir("/")) - seen - _FIREJAIL_HOLDS]
    hidden += [
        path for path in Path("/run").iterdir() if path.name != "firejail" and not path.is_symlink()
    ]
    yield from (f"--blacklist={folder}" for folder in sorted(hidden))
