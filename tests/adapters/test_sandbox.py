"""What a held server can't do, tried for real, and the command lines that hold it."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripworld.adapters.launch import prepare
from scripworld.adapters.mcp_outcome import McpUnavailable
from scripworld.adapters.mcp_process import Launch, McpServerSpec
from scripworld.adapters.sandbox import Sandbox, chosen_runner, proxy_seen
from scripworld.world import ConfigurationFault

SERVERS = Path(__file__).with_name("servers")
SOURCE = Path(__file__).parents[2] / "src" / "adapters" / "sandbox.py"
PRYING = SERVERS / "prying.py"
TIMEOUT_S = 60
PROGRAMS = {"bubblewrap": "bwrap", "firejail": "firejail"}


def needs(runner: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        shutil.which(PROGRAMS[runner]) is None,
        reason=f"{runner} isn't installed: `apt install {runner}`",
    )


bubblewrap = needs("bubblewrap")
HOLDERS = [pytest.param(name, marks=needs(name)) for name in PROGRAMS]


def launch_of(sandbox: Sandbox, *args: str, **spec: object) -> Launch:
    server = McpServerSpec("held", sys.executable, args, sandbox=sandbox, **spec)  # type: ignore[arg-type]
    return asyncio.run(prepare(server))


def run(launch: Launch) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        launch.argv,
        env=dict(launch.environment),
        cwd=launch.cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def said(sandbox: Sandbox, code: str) -> str:
    done = run(launch_of(sandbox, "-c", code))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def listening(family: socket.AddressFamily, address: object) -> Iterator[socket.socket]:
    """A server that says hello to whoever comes."""
    with socket.socket(family) as server:
        server.bind(address)  # type: ignore[arg-type]
        server.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.sendall(b"hello")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


# Who holds it.


def test_the_runner_is_the_variable_then_the_configuration_then_the_systems() -> None:
    assert chosen_runner("firejail", {"MCP_SANDBOX_RUNNER": "none"}) == "none"
    assert chosen_runner("firejail", {"MCP_SANDBOX_RUNNER": ""}) == "firejail"
    assert chosen_runner(None, {}) == ("bubblewrap" if sys.platform == "linux" else "none")


def test_an_unknown_runner_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationFault, match=r"'docker'.*bubblewrap, firejail, none"):
        chosen_runner(None, {"MCP_SANDBOX_RUNNER": "docker"})
    with pytest.raises(ConfigurationFault, match="the sandbox's runner is 'x'"):
        chosen_runner("x", {})


def test_a_runner_that_is_missing_is_named_with_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(McpUnavailable) as caught:
        launch_of(Sandbox("bubblewrap", own=tmp_path))
    assert str(caught.value) == (
        "held: it runs only inside a sandbox and bubblewrap isn't installed: install it "
        "(`apt install bubblewrap`), or set MCP_SANDBOX_RUNNER=none to run it with your own rights."
    )


def test_a_runner_that_does_not_work_here_is_named_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions' >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(McpUnavailable, match=r"can't make one here.*It says: bwrap: No permis"):
        launch_of(Sandbox("bubblewrap", own=tmp_path))


# What it can't do.


@pytest.mark.parametrize("runner", HOLDERS)
def test_nothing_that_a_held_server_tries_works(
    runner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "home" / "secret"
    secret.parent.mkdir()
    secret.write_text("secret")
    monkeypatch.setenv("A_SECRET", "a-secret-value")
    abstract = f"scripworld-test-{os.getpid()}"
    sandbox = Sandbox(runner, own=tmp_path / "own", read=(PRYING,))  # type: ignore[arg-type]
    with (
        listening(socket.AF_INET, ("127.0.0.1", 0)) as server,
        listening(socket.AF_UNIX, "\0" + abstract),
        subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as outside,
    ):
        facts = {
            "home_file": str(secret),
            "source": str(SOURCE),
            "pid": outside.pid,
            "port": server.getsockname()[1],
            "abstract": abstract,
        }
        done = run(launch_of(sandbox, str(PRYING), json.dumps(facts)))
        assert outside.poll() is None
        outside.kill()
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    is_root_still = runner == "firejail" and os.getuid() == 0  # it has no user namespace then
    assert report["worked"] == (["become root"] if is_root_still else [])
    assert report["killed"] is True
    assert "a-secret-value" not in report["environments"]
    assert report["own"] == report["home"] == str(tmp_path / "own")
    assert (tmp_path / "own" / "mine").read_text() == "x"
    assert not Path("/tmp/mine").exists()


def test_the_same_attempts_work_where_nothing_holds(tmp_path: Path) -> None:
    """So that they mean something above."""
    code = f"open({str(SOURCE)!r}).close(); import os; os.kill({os.getpid()}, 0); print('worked')"
    assert said(Sandbox(own=tmp_path), code) == "worked"


@pytest.mark.parametrize("runner", HOLDERS)
def test_it_sees_what_is_named_at_the_same_place_and_writes_only_where_it_may(
    runner: str, tmp_path: Path
) -> None:
    for name in ("read", "write"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "there").write_text(name)
    sandbox = Sandbox(
        runner,  # type: ignore[arg-type]
        own=tmp_path / "own",
        read=(tmp_path / "read",),
        write=(tmp_path / "write",),
    )
    code = f"""
import os, pathlib
here = pathlib.Path({str(tmp_path)!r})
print(sorted(os.listdir(here)), (here / "read/there").read_text(), os.path.isdir("/dev/shm"))
(here / "write/there").write_text("written")
try:
    (here / "read/there").write_text("written")
except OSError as error:
    print(error.strerror)
"""
    assert said(sandbox, code).splitlines() == [
        "['own', 'read', 'write'] read True",
        "Read-only file system",
    ]
    assert (tmp_path / "write" / "there").read_text() == "written"
    assert (tmp_path / "read" / "there").read_text() == "read"


@bubblewrap
def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(McpUnavailable, match=r"it is to see .*/absent, which doesn't exist"):
        launch_of(Sandbox("bubblewrap", read=(tmp_path / "absent",)))


@bubblewrap
def test_memory_that_looks_like_a_folder_is_bounded(tmp_path: Path) -> None:
    code = """
for path in ("/tmp/big", "/dev/shm/big"):
    try:
        with open(path, "wb") as file:
            for _ in range(100):
                file.write(bytes(1_048_576))
        print("unbounded")
    except OSError as error:
        print(error.strerror)
"""
    sandbox = Sandbox("bubblewrap", own=tmp_path, memory_bytes_max=67_108_864)
    assert said(sandbox, code).splitlines() == ["No space left on device"] * 2


# The network.


@pytest.mark.parametrize("runner", HOLDERS)
def test_the_only_way_out_is_the_proxy(runner: str, tmp_path: Path) -> None:
    sandbox = Sandbox(runner, "proxy", tmp_path / "own", proxy_socket=tmp_path / "proxy.sock")  # type: ignore[arg-type]
    code = """
import os, socket
names = [name for name in os.environ if "proxy" in name.lower()]
print(*names)
with socket.create_connection(("127.0.0.1", 3128)) as way_out:
    print(way_out.recv(100))
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
except OSError:
    print("no other way")
"""
    with listening(socket.AF_UNIX, str(tmp_path / "proxy.sock")):
        lines = said(sandbox, code).splitlines()
    names = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NODE_USE_ENV_PROXY")
    assert set(lines[0].split()) == {*names, *map(str.lower, names[:3])}
    assert lines[1:] == ["b'hello'", "no other way"]
    assert proxy_seen(sandbox) == "http://127.0.0.1:3128"


@bubblewrap
def test_the_hosts_network_is_shared_only_if_it_is_asked_for(tmp_path: Path) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; print(socket.create_connection(('127.0.0.1', {port})).recv(9))"
        assert said(Sandbox("bubblewrap", "host", tmp_path), code) == "b'hello'"
        assert run(launch_of(Sandbox("bubblewrap", own=tmp_path), "-c", code)).returncode != 0


def test_without_a_holder_the_proxy_is_on_our_loopback(tmp_path: Path) -> None:
    sandbox = Sandbox("none", "proxy", tmp_path, proxy_url="http://127.0.0.1:4000")
    assert proxy_seen(sandbox) == "http://127.0.0.1:4000"
    assert launch_of(sandbox).environment["https_proxy"] == "http://127.0.0.1:4000"
    assert proxy_seen(Sandbox("bubblewrap")) == ""
