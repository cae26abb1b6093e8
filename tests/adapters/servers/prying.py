"""Tries to get out of whatever holds it, and prints as JSON what worked: `python prying.py FACTS`.

FACTS is JSON about the outside: a file in the home, the port of a server on loopback, the name of
an abstract socket, the id of a process. Nothing is changed where something works.
"""

import ctypes
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH = 16
CLONE_NEWUSER = 0x10000000


def opened(path: str, flags: int = os.O_RDONLY) -> str:
    descriptor = os.open(path, flags, 0o600)
    os.close(descriptor)
    return path


def listed(path: str) -> str:
    """Open the first thing in a folder."""
    for name in os.listdir(path):
        return opened(os.path.join(path, name))
    raise FileNotFoundError(path)


def connected(family: int, address: object) -> bool:
    with socket.socket(family) as client:
        client.settimeout(2)
        client.connect(address)
    return True


def called(name: str, *arguments: object) -> bool:
    if getattr(LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)
    return True


def environments() -> str:
    """The environments of all processes that can be seen, this one's included."""
    seen = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                seen.append(Path("/proc", entry, "environ").read_text())
            except OSError:
                continue
    return "".join(seen)


def killed() -> bool:
    """Kill all that can be killed; a process of ours shows that it was meant."""
    with subprocess.Popen(["/bin/sleep", "60"]) as ours:
        os.kill(-1, signal.SIGKILL)
        return ours.wait() == -signal.SIGKILL


def main() -> None:
    facts = json.loads(sys.argv[1])
    write = os.O_WRONLY | os.O_CREAT
    home, pid = facts["home_file"], facts["pid"]
    attempts: dict[str, Callable[[], object]] = {
        "read a password file": lambda: opened("/etc/shadow"),
        "read a private key": lambda: listed("/etc/ssl/private"),
        "read the home": lambda: opened(home),
        "see what is beside the home's file": lambda: listed(os.path.dirname(home)),
        "see /var": lambda: listed("/var/lib"),
        "see the source tree": lambda: opened(facts["source"]),
        "write to /usr": lambda: opened("/usr/prying", write),
        "write to the root folder": lambda: opened("/prying", write),
        "write to /etc": lambda: opened("/etc/prying", write),
        "write to /dev": lambda: opened("/dev/prying", write),
        "write to a file it may read": lambda: opened(__file__, os.O_WRONLY),
        "set the kernel": lambda: opened("/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "make a device": lambda: os.mknod("/tmp/prying", stat.S_IFCHR | 0o600, os.makedev(1, 1)),
        "mount": lambda: called("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, None),
        "unmount": lambda: called("umount", b"/proc/sys"),
        "make a user namespace": lambda: called("unshare", CLONE_NEWUSER),
        "become root": lambda: os.setuid(0),
        "change the root folder": lambda: os.chroot("/tmp"),
        "trace a process outside": lambda: called("ptrace", PTRACE_ATTACH, pid, None, None),
        "signal a process outside": lambda: os.kill(pid, 0),
        "see a process outside": lambda: opened(f"/proc/{pid}/environ"),
        "reach a server on the host's loopback": lambda: connected(
            socket.AF_INET, ("127.0.0.1", facts["port"])
        ),
        "reach an abstract socket": lambda: connected(socket.AF_UNIX, "\0" + facts["abstract"]),
        "reach the network": lambda: connected(socket.AF_INET, ("192.0.2.1", 80)),
    }
    worked = []
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        worked.append(name)
    own = Path.cwd()
    (own / "mine").write_text("x")
    Path("/tmp/mine").write_text("x")
    report = {
        "worked": worked,
        "own": str(own),
        "home": os.environ.get("HOME"),
        "environments": environments(),
        "names": sorted(os.environ),
        "uid": os.getuid(),
        "killed": killed(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
