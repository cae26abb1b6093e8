"""From a server's description to what is executed: its command, environment, folders, and end."""

import asyncio
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scripworld.adapters.launch import Launch, prepare
from scripworld.adapters.mcp_outcome import McpUnavailable
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_stdio import McpClient
from scripworld.adapters.sandbox import Sandbox

GREEDY = Path(__file__).with_name("servers") / "greedy_server.py"
REGISTRY_SETTINGS = {"NPM_CONFIG_X", "npm_config__auth", "UV_INDEX_X_PASSWORD", "PIP_INDEX_URL"}

bubblewrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap isn't installed: `apt install bubblewrap`"
)
RUNNERS = ["none", pytest.param("bubblewrap", marks=bubblewrap)]


def spec_of(sandbox: Sandbox, *args: str, **env: str) -> McpServerSpec:
    return McpServerSpec("server", sys.executable, args, env, sandbox=sandbox, grace_s=1)


def launch_of(spec: McpServerSpec) -> Launch:
    return asyncio.run(prepare(spec))


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person may have in the environment."""
    for name in (*REGISTRY_SETTINGS, "A_TOKEN", "XDG_CONFIG_HOME", "no_proxy"):
        monkeypatch.setenv(name, "of a person")
    monkeypatch.setenv("HTTPS_PROXY", "http://person@host.invalid")
    monkeypatch.setenv("LC_TIME", "C")


# Its environment.


@bubblewrap
@pytest.mark.usefixtures("settings")
def test_a_held_server_gets_nothing_of_the_persons(tmp_path: Path) -> None:
    own = tmp_path / "own"
    launch = launch_of(spec_of(Sandbox("bubblewrap", own=own), A_TOKEN="named"))
    assert launch.environment["HOME"] == launch.cwd == str(own)
    assert launch.environment["A_TOKEN"] == "named"
    assert launch.environment["LC_TIME"] == "C"
    assert launch.environment["PATH"].endswith("/usr/bin:/bin")
    assert {"of a person", "http://person@host.invalid"}.isdisjoint(launch.environment.values())
    assert "named" not in "".join(launch.argv)  # everybody may read a command line
    assert own.is_dir()


@bubblewrap
@pytest.mark.usefixtures("settings")
def test_the_persons_proxy_is_for_the_hosts_network_only(tmp_path: Path) -> None:
    sandbox = Sandbox("bubblewrap", "host", tmp_path)
    assert launch_of(spec_of(sandbox)).environment["HTTPS_PROXY"] == "http://person@host.invalid"


@pytest.mark.usefixtures("settings")
def test_a_server_of_our_own_keeps_its_settings_and_gets_its_folder(tmp_path: Path) -> None:
    own = tmp_path / "own"
    launch = launch_of(spec_of(Sandbox(own=own)))
    assert launch.environment.keys() >= REGISTRY_SETTINGS
    assert launch.environment["HOME"] == launch.cwd == str(own)
    assert own.is_dir()
    assert launch_of(spec_of(Sandbox())).environment["HOME"] == os.environ["HOME"]


def test_where_it_runs_may_be_said(tmp_path: Path) -> None:
    spec = replace(spec_of(Sandbox(own=tmp_path / "own")), cwd=str(tmp_path))
    assert launch_of(spec).cwd == str(tmp_path)


def test_certificates_are_seen_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "authority.pem"
    file.write_text("x")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    if shutil.which("bwrap"):
        argv = launch_of(spec_of(Sandbox("bubblewrap", own=tmp_path / "own"))).argv
        assert ("--ro-bind", str(file), str(file)) in zip(argv, argv[1:], argv[2:], strict=False)


# What it sees.


@bubblewrap
def test_a_program_that_would_show_the_home_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "me"
    (home / "bin").mkdir(parents=True)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (home / "bin" / "tool").write_text("#!/bin/sh\n")
    (home / "bin" / "tool").chmod(0o700)
    monkeypatch.setenv("HOME", str(home))
    spec = replace(spec_of(Sandbox("bubblewrap")), command=str(home / "bin" / "tool"))
    with pytest.raises(McpUnavailable, match=r"holds your home: install that program in a folder"):
        launch_of(spec)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(McpUnavailable, match=r"its folder can't be made: .*file/own"):
        launch_of(spec_of(Sandbox(own=tmp_path / "file" / "own")))


@bubblewrap
def test_a_link_that_a_server_could_have_made_is_not_followed(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "notes").symlink_to(tmp_path)
    with pytest.raises(McpUnavailable, match=r"own/notes, a link that it could have made itself"):
        launch_of(spec_of(Sandbox("bubblewrap", own=own, read=(own / "notes",))))
    (tmp_path / "link").symlink_to(own)
    with pytest.raises(McpUnavailable, match=r"its folder can't be made: .*it is a link"):
        launch_of(spec_of(Sandbox("bubblewrap", own=tmp_path / "link")))


# Its end.


def called(spec: McpServerSpec, name: str) -> str:
    async def main() -> str:
        client = McpClient(spec)
        try:
            answer = await client.call_tool(name, {"n": 0})
        finally:
            await client.close()
        return str(answer.result["content"][0]["text"])

    return asyncio.run(main())


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_server_is_asked_to_end_before_it_is_made_to(runner: str, tmp_path: Path) -> None:
    sandbox = Sandbox(runner, own=tmp_path, read=(GREEDY,))  # type: ignore[arg-type]
    assert called(spec_of(sandbox, str(GREEDY)), "linger") == "lingers"
    assert (tmp_path / "asked").read_text() == "to end"


@bubblewrap
def test_a_folder_that_nobody_named_is_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sandbox = Sandbox("bubblewrap", read=(GREEDY,))
    assert called(spec_of(sandbox, str(GREEDY)), "linger") == "lingers"
    assert list(tmp_path.iterdir()) == []


@bubblewrap
def test_a_held_server_dies_with_its_guard(tmp_path: Path) -> None:
    spec = spec_of(Sandbox("bubblewrap", own=tmp_path, read=(GREEDY,)), str(GREEDY))

    async def main() -> int:
        client = McpClient(spec)
        try:
            await client.start()
            held = client.pid
            assert held is not None
            stat = Path(f"/proc/{held}/stat").read_text().rpartition(")")[2].split()
            os.kill(int(stat[1]), signal.SIGKILL)
        finally:
            await client.close()
        return held

    held = asyncio.run(main())
    deadline = time.monotonic() + 20
    while Path(f"/proc/{held}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{held}").exists()
