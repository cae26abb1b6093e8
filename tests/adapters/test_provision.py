"""Packages of npx and uvx in our own cache: what is asked for, downloaded, and kept."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from scripworld.adapters.mcp_outcome import McpUnavailable
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_stdio import McpClient
from scripworld.adapters.provision import Package, cache_folder, is_provisioned, provisioned
from scripworld.adapters.sandbox import Sandbox

NPM = "@modelcontextprotocol/server-filesystem@2026.8.31"
PYPI = "mcp-server-time@2026.10.19"
TIMEOUT_S = 240


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCRIPWORLD_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "servers"


def spec_of(command: str, *args: str) -> McpServerSpec:
    return McpServerSpec("tool", command, args, start_timeout_s=TIMEOUT_S)


def packaged(command: str, *args: str) -> Package | None:
    return asyncio.run(provisioned(spec_of(command, *args)))


def complete(cache: Path) -> list[Path]:
    """What is taken for a package: all but locks and what was not finished."""
    return [path for path in sorted(cache.iterdir()) if path.suffix not in (".lock", ".part")]


def installer(folder: Path, name: str, script: str) -> None:
    """A command that stands for npm or uv: they are looked for on PATH only after ours."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o700)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an npx that fails, where a test puts an npm."""
    folder = tmp_path / "bin"
    installer(folder, "npx", "exit 1")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


LEAVE_PACKAGE = """
while [ "$1" != --prefix ]; do shift; done
mkdir -p "$2/node_modules/tool"
echo '#!/bin/sh' > "$2/node_modules/tool/start.js"
echo '{"bin": {"tool": "start.js", "other": "start.js"}}' > "$2/node_modules/tool/package.json"
"""


# What is asked for.


def test_another_command_is_no_package(cache: Path) -> None:
    assert packaged(sys.executable, "-y", "x") is None
    assert is_provisioned(spec_of(sys.executable))


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["-y", "-p", "tool", "other"], "`-p`"),
        (["--registry=x", "tool"], "`--registry=x`"),
        (["./tool"], "`./tool`"),
        (["github:someone/tool"], "`github:someone/tool`"),
        (["tool@npm:another"], "`tool@npm:another`"),
        (["-y"], "no package"),
    ],
)
def test_what_is_not_understood_of_npx_is_named(
    args: list[str], named: str, cache: Path, npm: Path
) -> None:
    with pytest.raises(McpUnavailable) as caught:
        packaged("npx", *args)
    assert named in str(caught.value)
    assert not is_provisioned(spec_of("npx", *args))
    assert not cache.exists()


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--python", "3.12", "tool"], "`--python`"),
        (["--with-editable", ".", "tool"], "`--with-editable`"),
        (["--with", "--index-url=x", "tool"], "`--index-url=x`"),
        (["--from", "git+https://host.invalid/x", "tool"], "`git+https://host.invalid/x`"),
        (["--from", "tool", "../../bin/sh"], "`../../bin/sh`"),
        (["tool @ file:///x"], "`tool @ file:///x`"),
        (["--with", "x"], "no package"),
    ],
)
def test_what_is_not_understood_of_uvx_is_named(args: list[str], named: str, cache: Path) -> None:
    with pytest.raises(McpUnavailable) as caught:
        packaged("uvx", *args)
    assert named in str(caught.value)
    assert not cache.exists()


def test_the_cache_is_where_it_is_said_to_be() -> None:
    assert cache_folder({"SCRIPWORLD_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b"}) == Path(
        "/a/servers"
    )
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/scripworld/servers")
    assert cache_folder({}) == Path.home() / ".cache/scripworld/servers"


# How it comes into the cache, with installers of our own.


def test_a_package_is_installed_once(cache: Path, npm: Path, tmp_path: Path) -> None:
    installer(npm, "npm", f"echo x >> {tmp_path}/installs{LEAVE_PACKAGE}")
    assert not is_provisioned(spec_of("npx", "tool@1"))
    first = packaged("npx", "-y", "tool@1", "--an", "argument")
    second = packaged("npx", "--yes", "tool@1")
    assert first is not None and second is not None
    assert first.argv == (str(first.folder / "node_modules/tool/start.js"), "--an", "argument")
    assert first.folder == second.folder
    assert first.folder.name.startswith("tool-1-")
    assert complete(cache) == [first.folder]
    assert is_provisioned(spec_of("npx", "-y", "tool@1", "--other"))
    assert (tmp_path / "installs").read_text() == "x\n"


def test_its_scripts_are_not_run(cache: Path, npm: Path, tmp_path: Path) -> None:
    installer(npm, "npm", f'echo "$@" > {tmp_path}/args; env > {tmp_path}/env{LEAVE_PACKAGE}')
    packaged("npx", "tool")
    args = (tmp_path / "args").read_text()
    assert "--ignore-scripts" in args
    assert args.endswith(" -- tool\n")
    environment = (tmp_path / "env").read_text().splitlines()
    assert {"PUPPETEER_SKIP_DOWNLOAD=1", "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1"} <= {*environment}


def test_an_installer_that_fails_is_quoted_without_credentials(cache: Path, npm: Path) -> None:
    installer(
        npm,
        "npm",
        "echo 'npm error 404 Not Found - GET https://me:secret@host.invalid/tool' >&2; exit 1",
    )
    with pytest.raises(McpUnavailable) as caught:
        packaged("npx", "tool")
    assert "npm says: 404 Not Found - GET https://host.invalid/tool" in str(caught.value)
    assert complete(cache) == []


def test_a_program_that_a_package_has_not_is_named(cache: Path, npm: Path) -> None:
    installer(npm, "npm", LEAVE_PACKAGE.replace('"tool": ', '"another": '))
    with pytest.raises(McpUnavailable, match="no program `tool`; its programs are: another, other"):
        packaged("npx", "tool")
    assert complete(cache) == []


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, npm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCRIPWORLD_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(McpUnavailable, match="Set SCRIPWORLD_CACHE_DIR to a folder"):
        packaged("npx", "tool")


def test_an_interrupted_installer_ends_and_leaves_nothing(
    cache: Path, npm: Path, tmp_path: Path
) -> None:
    installer(npm, "npm", f"{LEAVE_PACKAGE}sleep 600 & echo $! > {tmp_path}/pid; wait")

    async def main() -> None:
        task = asyncio.create_task(provisioned(spec_of("npx", "tool")))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), 60))
    wait_until_gone(int((tmp_path / "pid").read_text()))
    assert complete(cache) == []
    installer(npm, "npm", LEAVE_PACKAGE)
    assert packaged("npx", "tool") is not None


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.02)
    pytest.fail(f"{pid} still runs")


def test_too_slow_an_installer_is_unavailable(cache: Path, npm: Path) -> None:
    installer(npm, "npm", "sleep 600")
    spec = replace(spec_of("npx", "tool"), start_timeout_s=0.5)

    async def main() -> None:
        client = McpClient(spec)
        try:
            await client.start()
        finally:
            await client.close()

    with pytest.raises(McpUnavailable, match=r"its package was not there within 0\.5 s"):
        asyncio.run(main())


def test_one_that_was_killed_with_its_installer_is_not_taken_for_complete(
    cache: Path, npm: Path, tmp_path: Path
) -> None:
    installer(npm, "npm", f"{LEAVE_PACKAGE}echo $$ > {tmp_path}/pid; sleep 600")
    code = (
        "import asyncio\n"
        "from scripworld.adapters.mcp_process import McpServerSpec\n"
        "from scripworld.adapters.provision import provisioned\n"
        "asyncio.run(provisioned(McpServerSpec('tool', 'npx', ('tool',))))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            time.sleep(0.02)
        other.kill()
    orphan = int((tmp_path / "pid").read_text())
    assert not is_provisioned(spec_of("npx", "tool"))
    os.killpg(orphan, 9)  # as long as it lives it holds the lock
    installer(npm, "npm", LEAVE_PACKAGE)
    assert packaged("npx", "tool") is not None
    assert not list(cache.glob("*.part"))


def test_two_at_once_install_once(cache: Path, npm: Path, tmp_path: Path) -> None:
    installer(npm, "npm", f"echo x >> {tmp_path}/installs; sleep 0.3{LEAVE_PACKAGE}")

    async def main() -> Sequence[Package | None]:
        spec = spec_of("npx", "tool")
        return await asyncio.gather(provisioned(spec), provisioned(spec), provisioned(spec))

    packages = asyncio.run(main())
    assert len({package.folder for package in packages if package}) == 1
    assert (tmp_path / "installs").read_text() == "x\n"


# The real registries.


def test_a_missing_npx_says_where_it_comes_from(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(McpUnavailable, match=r"comes with Node\.js 20 or newer"):
        packaged("npx", "-y", NPM)


@pytest.mark.registry
@pytest.mark.parametrize(
    ("command", "package", "problem"),
    [
        ("npx", "@modelcontextprotocol/server-that-is-not-there@1.0.0", "npm says: code E404"),
        ("npx", "@modelcontextprotocol/server-filesystem@1999.1.1", "No matching version found"),
        ("uvx", "scripworld-server-that-is-not-there@1.0.0", "was not found in the package regis"),
        ("uvx", "mcp-server-time@1999.1.1", "no version of mcp-server-time==1999.1.1"),
    ],
)
def test_a_package_or_version_that_does_not_exist_is_unavailable(
    command: str, package: str, problem: str, cache: Path
) -> None:
    with pytest.raises(McpUnavailable) as caught:
        packaged(command, package)
    assert f"`{package}` could not be installed: check its name" in str(caught.value)
    assert problem in str(caught.value)
    assert complete(cache) == []


@pytest.mark.registry
@pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap isn't installed: `apt install bubblewrap`"
)
@pytest.mark.parametrize(
    ("command", "args", "tools"),
    [("npx", ("-y", NPM, "."), "read_file"), ("uvx", (PYPI,), "get_current_time")],
)
def test_a_real_server_lists_its_tools_inside_bubblewrap(
    command: str, args: tuple[str, ...], tools: str, cache: Path, tmp_path: Path
) -> None:
    spec = replace(
        spec_of(command, *args), sandbox=Sandbox("bubblewrap", own=tmp_path / "own"), grace_s=1
    )

    async def main() -> list[str]:
        client = McpClient(spec)
        try:
            return [tool["name"] for tool in await client.list_tools()]
        finally:
            await client.close()

    assert tools in asyncio.run(main())
    (folder,) = complete(cache)
    assert stat.S_ISDIR(folder.stat().st_mode)
    assert is_provisioned(spec)


@pytest.mark.registry
def test_what_stands_beside_a_package_is_installed_with_it(cache: Path) -> None:
    package = packaged("uvx", "--with", "mcp<2", "--from", "mcp-server-time", "mcp-server-time")
    assert package is not None
    assert package.argv == (str(package.folder / "bin" / "mcp-server-time"),)
    found = next((package.folder / "lib").glob("python3*/site-packages/mcp-*.dist-info"))
    assert found.name.startswith("mcp-1.")
