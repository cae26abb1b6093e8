"""One tool server as a guarded child process, and its pipes.

Owns where a server's command is found, what environment it gets, reading and writing without
blocking, its last words on stderr, and its end. What the bytes mean is `mcp_session`'s; that
nothing outlives us is `process_guard`'s; when a server is started is `mcp_stdio`'s. POSIX only.
"""

import asyncio
import contextlib
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from .mcp_outcome import McpCrashed, McpUnavailable
from .mcp_session import McpSession
from .sandbox import UNCONTAINED, Sandbox

STDERR_BYTES_KEPT: Final = 4096
READ_BYTES: Final = 65_536
"""What a pipe holds; a larger buffer is mapped and unmapped anew for each read."""
UNWRITTEN_BYTES_MAX: Final = 1_048_576
"""Above this, a server that doesn't read its input is sent nothing more."""
GUARD_KILL_S: Final = 6.0
"""What the guard may need beyond its grace (its own bound for SIGKILL is 5 s)."""
DRAIN_READS_MAX: Final = 64
MEBIBYTE: Final = 1_048_576
EXIT_REPORT_S: Final = 0.25
"""How long, after a server closed a stream, its exit status is waited for."""

_GUARD: Final = str(Path(__file__).with_name("process_guard.py"))

ENVIRONMENT_NAMES: Final = frozenset(
    (
        *("PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "TZ", "USER", "LOGNAME"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("NODE_EXTRA_CA_CERTS", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
    )
)
ENVIRONMENT_PREFIXES: Final = ("LC_", "NPM_CONFIG_", "npm_config_", "UV_", "PIP_")

_WHERE_FROM: Final = {
    "npx": "It comes with Node.js 20 or newer: install that.",
    "npm": "It comes with Node.js 20 or newer: install that.",
    "node": "It comes with Node.js 20 or newer: install that.",
    "uvx": "It comes with the Python package `uv`: `pip install uv`.",
    "uv": "It comes with the Python package `uv`: `pip install uv`.",
}


@dataclass(frozen=True)
class McpServerSpec:
    """How one server is started and what is expected of it. Times in seconds, sizes in bytes.

    `env` is added to the allowlisted part of our own environment. `roots` are `file://` URIs that
    the server may ask for. `start_timeout_s` covers everything until the session is open, the
    download by npx or uvx included. `grace_s` is given to the server twice: after the end of its
    input, and after SIGTERM. `call_timeout_s` starts anew with each report of progress, until
    `call_timeout_max_s` have passed in all.

    A server that died, or didn't start, is started again `backoff_s` later, and twice as late
    after each further failure within a minute, up to `backoff_max_s` (and never later than leaves
    it most of `start_timeout_s`). After `restarts_max` such failures it is unavailable for
    `unavailable_s`. `processes` of it may run side by side (`mcp_pool`); one without a call for
    `idle_stop_s` is stopped, and started again when it is needed; None never stops it.
    """

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    roots: tuple[str, ...] = ()
    start_timeout_s: float = 120.0
    probe_timeout_s: float = 3.0
    call_timeout_s: float = 30.0
    call_timeout_max_s: float = 300.0
    line_bytes_max: int = 16_777_216
    grace_s: float = 2.0
    backoff_s: float = 0.2
    backoff_max_s: float = 10.0
    restarts_max: int = 5
    unavailable_s: float = 30.0
    sandbox: Sandbox = UNCONTAINED
    processes: int = 1
    idle_stop_s: float | None = None


@dataclass(frozen=True)
class Launch:
    """What is executed for a server (`launch.prepare` makes it).

    `argv[0]` is the path of a program. `environment` is all that it gets. `limits` are words for
    the guard (`process_guard` says which). `temporary` is removed once the server is gone.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: str | None = None
    limits: tuple[str, ...] = ()
    temporary: Path | None = None


def child_environment(ours: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """Return what a server gets of our environment: an allowlist, and what its spec adds.

    The allowlist is what programs need to run at all and what npx, pip and uv need to reach their
    registries (which may hold the credentials for those); no other secret is passed. Unless one
    of the two says otherwise, uv takes our own Python, and downloads no other.
    """
    passed = {
        name: value
        for name, value in ours.items()
        if name in ENVIRONMENT_NAMES or name.startswith(ENVIRONMENT_PREFIXES)
    }
    defaults = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
    return defaults | passed | dict(added)


def find_command(spec: McpServerSpec, environment: Mapping[str, str]) -> str:
    """Return the path of the server's command: beside our own interpreter, else on PATH.

    Raises:
        McpUnavailable: it is in neither place; the sentence says how to get it.
    """
    path = os.pathsep.join([os.path.dirname(sys.executable), environment.get("PATH", os.defpath)])
    found = shutil.which(spec.command, path=path)
    if found is None:
        advice = _WHERE_FROM.get(spec.command, "Install it, or give its full path.")
        raise McpUnavailable(spec.name, f"`{spec.command}` was not found on PATH. {advice}")
    return os.path.abspath(found)


class ServerProcess:
    """A guarded child process and its pipes, on the running event loop.

    What it writes goes to the session given to `attach`; when it is gone the session is told,
    with its status and last words. `close` must be awaited in any case.
    """

    def __init__(self, spec: McpServerSpec, launch: Launch) -> None:
        """Start the process.

        Raises:
            McpUnavailable: the command can't be run.
        """
        self.pid: int | None = None
        """The server's process id (not the guard's), once the guard has reported it."""
        self._spec = spec
        self._temporary = launch.temporary
        self._loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._room = asyncio.Event()
        self._room.set()
        self._unwritten = bytearray()
        self._words = b""
        self._reports = b""
        self._session: McpSession | None = None
        self._lifeline, theirs = socket.socketpair()
        guard = [sys.executable, "-I", "-S", _GUARD, str(theirs.fileno()), f"{spec.grace_s:g}"]
        try:
            self._guard = subprocess.Popen(
                [*guard, *launch.limits, "--", *launch.argv],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=launch.environment,
                cwd=launch.cwd,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._lifeline.close()
            self._remove_temporary()
            problem = f"`{launch.argv[0]}` could not be started: {error}."
            raise McpUnavailable(spec.name, problem) from error
        finally:
            theirs.close()
        assert self._guard.stdin and self._guard.stdout and self._guard.stderr
        self._stdin = self._guard.stdin
        self._stdout = self._guard.stdout
        self._stderr = self._guard.stderr

    def attach(self, session: McpSession) -> None:
        """Let what the server writes go to `session` from now on."""
        self._session = session
        self._lifeline.setblocking(False)
        self._loop.add_reader(self._lifeline.fileno(), self._on_lifeline)
        for pipe, reader in ((self._stdout, self._on_stdout), (self._stderr, self._on_stderr)):
            os.set_blocking(pipe.fileno(), False)
            self._loop.add_reader(pipe.fileno(), reader)
        os.set_blocking(self._stdin.fileno(), False)
        self._loop.add_reader(self._stdin.fileno(), self._on_input_closed)

    def last_words(self) -> str:
        """Return the end of what the server wrote to stderr, at most about 4 KB."""
        return self._words.decode("utf-8", "replace")

    # Writing (this is the session's `Link`).

    def send(self, data: bytes) -> None:
        """Write what the pipe takes now and keep the rest; nothing once the server is gone."""
        if self._stdin.closed:
            return
        if self._unwritten:
            self._unwritten += data
        else:
            written = self._write(data)
            if written < len(data):
                self._unwritten += data[written:]
                self._loop.add_writer(self._stdin.fileno(), self._on_writable)
        if len(self._unwritten) > UNWRITTEN_BYTES_MAX:
            self._room.clear()

    def is_congested(self) -> bool:
        """Tell whether more than `UNWRITTEN_BYTES_MAX` bytes are unwritten."""
        return not self._room.is_set()

    async def drained(self) -> None:
        """Return when that is over, also because the server is gone."""
        await self._room.wait()

    def _write(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._stdin.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError:
            self._on_input_closed()
            return len(data)

    def _on_writable(self) -> None:
        del self._unwritten[: self._write(self._unwritten)]
        if not self._unwritten and not self._stdin.closed:
            self._loop.remove_writer(self._stdin.fileno())
        if len(self._unwritten) <= UNWRITTEN_BYTES_MAX:
            self._room.set()

    def _on_input_closed(self) -> None:
        """Note that nobody reads any more: what is asked from now on gets no answer."""
        self._close_input()
        self._loop.call_later(EXIT_REPORT_S, self._end, "it closed its input.")

    def _close_input(self) -> None:
        if not self._stdin.closed:
            self._loop.remove_reader(self._stdin.fileno())
            self._loop.remove_writer(self._stdin.fileno())
            self._stdin.close()
            self._unwritten.clear()
            self._room.set()

    # Reading.

    def _on_stdout(self) -> None:
        data = self._read(self._stdout)
        if data and self._session:
            self._session.feed(data)
        elif data == b"":
            # Its exit status and last words are usually a moment behind.
            self._loop.call_later(EXIT_REPORT_S, self._end, "it closed its output.")

    def _on_stderr(self) -> None:
        if data := self._read(self._stderr):
            self._words = (self._words + data)[-STDERR_BYTES_KEPT:]

    def _on_lifeline(self) -> None:
        try:
            data = os.read(self._lifeline.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # the guard is gone, and left something of ours unread
            data = b""
        if not data:
            self._on_gone()
            return
        *lines, self._reports = (self._reports + data).split(b"\n")
        for line in lines:
            what, _, number = line.partition(b" ")
            if what == b"pid":
                self.pid = int(number)
            elif what == b"exit":
                self._drain()
                self._end(_ending(int(number)))
            elif what == b"limit":
                self._drain()
                self._end(_over_limit(number.decode()))

    def _read(self, pipe: IO[bytes]) -> bytes | None:
        """Read what is there: bytes, nothing at the end (the pipe is closed then), None if none."""
        if pipe.closed:
            return None
        try:
            data = os.read(pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return None
        if not data:
            self._loop.remove_reader(pipe.fileno())
            pipe.close()
        return data

    def _drain(self) -> None:
        """Take in what a server that has ended still left in its pipes, which are bounded."""
        for _ in range(DRAIN_READS_MAX):
            data = self._read(self._stdout)
            if not data:
                break
            if self._session:
                self._session.feed(data)
        for _ in range(DRAIN_READS_MAX):
            data = self._read(self._stderr)
            if not data:
                break
            self._words = (self._words + data)[-STDERR_BYTES_KEPT:]

    # The end.

    async def close(self) -> None:
        """End the server and all that it started: end of input, grace, SIGTERM, grace, SIGKILL.

        Takes at most twice the grace and a few seconds, however the server behaves. May be called
        again, also while it runs.
        """
        self._close_input()
        if not await self._is_gone_within(self._spec.grace_s):
            with contextlib.suppress(OSError):
                self._lifeline.shutdown(socket.SHUT_WR)
            self._guard.send_signal(signal.SIGCONT)  # the server may have stopped it
            if not await self._is_gone_within(self._spec.grace_s + GUARD_KILL_S):
                self._guard.kill()
                self._on_gone()
        await asyncio.to_thread(self._remove_temporary)

    async def _is_gone_within(self, timeout_s: float) -> bool:
        await asyncio.wait({self._gone}, timeout=timeout_s)
        return self._gone.done()

    def _remove_temporary(self) -> None:
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _end(self, problem: str) -> None:
        if self._session:
            self._session.end(McpCrashed(self._spec.name, problem, self.last_words()))

    def _on_gone(self) -> None:
        """Let go of everything once the guard has ended (and so everything below it)."""
        if self._gone.done():
            return
        self._drain()
        self._end("its process ended.")
        self._loop.remove_reader(self._lifeline.fileno())
        self._lifeline.close()
        self._close_input()
        for pipe in (self._stdout, self._stderr):
            if not pipe.closed:
                self._loop.remove_reader(pipe.fileno())
                pipe.close()
        self._guard.wait()
        self._gone.set_result(None)


def _ending(status: int) -> str:
    if status >= 0:
        return f"its process ended with exit status {status}."
    try:
        return f"its process was ended by {signal.Signals(-status).name}."
    except ValueError:
        return f"its process was ended by signal {-status}."


def _over_limit(report: str) -> str:
    """Say in words what the guard reports as `KIND USED ALLOWED`."""
    kind, used, allowed = report.split()
    if kind == "processes":
        return f"it ran {used} processes, more than the {allowed} that it may."
    what = {"memory": "its processes used", "disk": "its folders hold"}[kind]
    used_mb, allowed_mb = math.ceil(int(used) / MEBIBYTE), int(allowed) // MEBIBYTE
    return f"{what} {used_mb} MB, more than the {allowed_mb} MB that they may."
