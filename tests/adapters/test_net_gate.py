"""The gate of a sandbox without a network: real processes, real sockets, real namespaces."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripworld.adapters import net_gate

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="network namespaces are Linux's: run these tests there"
)

GATE = [sys.executable, "-I", "-S", net_gate.__file__]
TIMEOUT_S = 60
TALK = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30) as s:
    s.sendall(b"x" * int(sys.argv[2]))
    s.shutdown(socket.SHUT_WR)
    got = b""
    while part := s.recv(65536):
        got += part
print(len(got), got[-12:].decode())
"""


class Echo:
    """A Unix socket that answers all it was sent, and "the end", once its client has ended."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.server = socket.create_server(self.path, family=socket.AF_UNIX, backlog=128)
        self.open = 0
        self.open_max = 0
        self.hold = threading.Event()
        self.hold.set()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            try:
                end, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(end,), daemon=True).start()

    def _talk(self, end: socket.socket) -> None:
        with self.lock:
            self.open += 1
            self.open_max = max(self.open_max, self.open)
        with contextlib.suppress(OSError), end:  # a client that hung up
            got = b""
            try:
                self.hold.wait(TIMEOUT_S)
                while part := end.recv(65_536):
                    got += part
                end.sendall(got + b"the end")
            finally:  # before it closes, for the next one comes as soon as it has
                with self.lock:
                    self.open -= 1

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join(TIMEOUT_S)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with tempfile.TemporaryDirectory(prefix="gate") as folder:
        server = Echo(Path(folder) / "s")
        yield server
        server.close()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
    assert isinstance(number, int)
    return number


def through(
    path: str, port: int, *command: str, before: tuple[str, ...] = (), stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, *GATE, path, str(port), "--", *command],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def namespaces() -> list[tuple[str, ...]]:
    """How a program is started without a network here, in each way that works."""
    ways = [
        ("unshare", "--map-root-user", "--net"),
        ("bwrap", "--unshare-user", "--unshare-net", "--unshare-pid", "--dev-bind", "/", "/"),
    ]
    return [way for way in ways if shutil.which(way[0]) and works(way)]


def works(way: tuple[str, ...]) -> bool:
    return subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def open_gate(echo: Echo, port: int, *command: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([*GATE, echo.path, str(port), "--", *command])
    wait_for(lambda: can_connect(port))
    return process


# The way through.


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_what_goes_in_comes_out_and_half_a_close_is_kept_apart(echo: Echo, port: int, size: int):
    done = through(echo.path, port, sys.executable, "-c", TALK, str(port), str(size))

    assert done.stderr == ""
    assert done.stdout == f"{size + 7} {('x' * size)[:5]}the end\n"


def test_it_works_where_there_is_no_network(echo: Echo):
    ways = namespaces()
    if not ways:
        pytest.skip("no program here makes a network namespace: install bubblewrap")
    for way in ways:
        done = through(echo.path, 3128, sys.executable, "-c", TALK, "3128", "10", before=way)

        assert (done.stdout, done.stderr) == ("17 xxxxxthe end\n", ""), way


def test_a_namespace_has_no_other_way_out(echo: Echo, port: int):
    ways = namespaces()
    if not ways:
        pytest.skip("no program here makes a network namespace: install bubblewrap")
    with socket.create_server(("127.0.0.1", port)):
        for way in ways:
            done = through(echo.path, 3128, sys.executable, "-c", TALK, str(port), "1", before=way)

            assert "ConnectionRefusedError" in done.stderr, way


def test_many_talk_at_once_and_the_rest_waits(echo: Echo, port: int):
    echo.hold.clear()
    gate = open_gate(echo, port, "sleep", "600")
    clients = [socket.create_connection(("127.0.0.1", port), TIMEOUT_S) for _ in range(90)]
    try:
        wait_for(lambda: echo.open_max >= net_gate.CONNECTIONS_MAX)
        for client in clients:
            client.sendall(b"hello ")
            client.shutdown(socket.SHUT_WR)
        echo.hold.set()
        answers = {client.makefile("rb").read() for client in clients}
    finally:
        for client in clients:
            client.close()
        gate.kill()
        gate.wait(TIMEOUT_S)

    assert answers == {b"hello the end"}
    assert echo.open_max <= net_gate.CONNECTIONS_MAX


def test_who_hangs_up_does_not_hurt_the_others(echo: Echo, port: int):
    gate = open_gate(echo, port, "sleep", "600")
    try:
        for _ in range(5):
            rude = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            rude.sendall(b"x" * 100_000)
            rude.close()
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as kind:
            kind.sendall(b"please ")
            kind.shutdown(socket.SHUT_WR)
            answer = kind.makefile("rb").read()
        wait_for(lambda: echo.open == 0)
    finally:
        gate.kill()
        gate.wait(TIMEOUT_S)

    assert answer == b"please the end"


def test_without_a_proxy_a_connection_ends_at_once(tmp_path: Path, port: int):
    done = through(str(tmp_path / "gone"), port, sys.executable, "-c", TALK, str(port), "0")

    assert done.stdout == "0 \n" or "ConnectionResetError" in done.stderr


# The command.


def test_the_command_keeps_its_streams_its_pid_and_has_no_child_it_did_not_make(
    echo: Echo, port: int
):
    look = "import os; print(os.getpid(), input()); os.wait()"
    with subprocess.Popen(
        [*GATE, echo.path, str(port), "--", sys.executable, "-c", look],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        out, err = process.communicate("said\n", TIMEOUT_S)

    assert out == f"{process.pid} said\n"
    assert "ChildProcessError" in err


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "kill -KILL $$"), -signal.SIGKILL),
        (("sh", "-c", "kill -PIPE $$"), -signal.SIGPIPE),
        (("there-is-no-such-command",), net_gate.COMMAND_NOT_FOUND),
        (("/",), net_gate.COMMAND_NOT_RUN),
    ],
)
def test_the_exit_status_is_that_of_the_command(
    echo: Echo, port: int, command: tuple[str, ...], status: int
):
    done = through(echo.path, port, *command)

    assert done.returncode == status
    assert ("could not be started" in done.stderr) == (status in (126, 127))


def test_a_port_that_is_taken_is_named_and_nothing_runs(echo: Echo):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = through(echo.path, port, "echo", "ran")

    assert done.returncode == net_gate.GATE_NOT_OPENED
    assert done.stdout == ""
    assert done.stderr.startswith(f"the gate at 127.0.0.1:{port} could not be opened: Address")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_gate_ends_with_the_command(echo: Echo, port: int, number: signal.Signals):
    gate = open_gate(echo, port, "sleep", "600")
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
        os.kill(gate.pid, number)

        assert gate.wait(TIMEOUT_S) == -number
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""  # the forwarder is gone, with what it held
    wait_for(lambda: not can_connect(port))


def test_a_command_that_takes_its_time_to_end_can_still_talk(echo: Echo, port: int):
    last_words = f"""
import os, signal, sys
signal.signal(signal.SIGINT, lambda *_: None)
os.killpg(0, signal.SIGINT)
sys.argv[1:] = ["{port}", "5"]
{TALK}"""
    process = subprocess.run(
        [*GATE, echo.path, str(port), "--", sys.executable, "-c", last_words],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        start_new_session=True,
        check=False,
    )

    assert process.stdout == "12 xxxxxthe end\n"
