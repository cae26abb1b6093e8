"""npx and uvx packages, downloaded once into our own cache without running anything of theirs.

Owns which command lines of npx and uvx are understood, the cache, and the installers. What holds a
server when it runs is `sandbox`'s; nothing of a package is executed here.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from .mcp_outcome import McpUnavailable
from .mcp_process import McpServerSpec, child_environment, find_command

CACHE_VARIABLE: Final = "SCRIPWORLD_CACHE_DIR"
LOCK_PAUSE_S: Final = 0.1
WORDS_CHARS_MAX: Final = 300

_NPM_NAME: Final = re.compile(r"(?P<name>(?:@[\w~-][\w.~-]*/)?[\w~][\w.~-]*)(?:@[\w.^~*<>=+-]+)?")
_PYPI_NAME: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)(?P<extras>\[[\w,.-]+\])?"
    r"(?:@(?P<version>[\w.!+-]+)|(?P<limits>\s*[<>=!~][\w\s.!+*<>=~,-]*))?"
)
_CREDENTIALS: Final = re.compile(r"(?<=//)[^/@\s]+@|_(?:auth|authToken|password)\s*=\s*\S+")
_NOISE: Final = re.compile(r"npm error|complete log of this run.*|^\s*404\s*$|cause:|error:", re.M)
_NOT_THEIRS: Final = {"PUPPETEER_SKIP_DOWNLOAD": "1", "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"}


@dataclass(frozen=True)
class Package:
    """A package in our cache: `folder` holds all of it and is never written to again.

    `argv` starts its program directly, without npx or uvx; `folders` are to be first on PATH.
    """

    kind: Literal["npm", "pypi"]
    folder: Path
    argv: tuple[str, ...]
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class _Wanted:
    """What a command line of npx or uvx asks for; `packages[0]` holds the program."""

    kind: Literal["npm", "pypi"]
    packages: tuple[str, ...]
    name: str
    program: str
    args: tuple[str, ...]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where packages are kept; SCRIPWORLD_CACHE_DIR moves it."""
    if ours := environ.get(CACHE_VARIABLE):
        return Path(os.path.abspath(ours), "servers")
    base = environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base, "scripworld", "servers")


def is_provisioned(spec: McpServerSpec) -> bool:
    """Tell whether a server could start without a download.

    False also for a command line of npx or uvx that isn't understood.
    """
    try:
        wanted = _wanted(spec)
    except McpUnavailable:
        return False
    return wanted is None or _folder(wanted).is_dir()


async def provisioned(spec: McpServerSpec) -> Package | None:
    """Return the package that npx or uvx would run, from the cache or else from its registry.

    None for any other command. The first time it is downloaded, with the user's own registry
    settings; scripts of packages aren't run and only wheels are taken. A version that isn't given
    is the newest of that first time. Without a bound in time; cancelled, it ends the installer.

    Raises:
        McpUnavailable: an option isn't understood, npm or uv is missing or fails (with its
            words), the cache can't be written, or the package has no such program.
    """
    environment = child_environment(os.environ, _NOT_THEIRS)
    find_command(spec, environment | dict(spec.env))
    wanted = _wanted(spec)
    if wanted is None:
        return None
    folder = _folder(wanted)
    try:
        if not folder.is_dir():
            async with _alone(folder) as lock:
                if not folder.is_dir():
                    await _install(spec, wanted, folder, lock, environment)
    except OSError as error:
        problem = (
            f"its package can't be kept in {folder.parent}: {error.strerror or error}. "
            f"Set {CACHE_VARIABLE} to a folder that can be written."
        )
        raise McpUnavailable(spec.name, problem) from error
    argv = (str(_program(spec, wanted, folder)), *wanted.args)
    folders = (folder / "bin",) if wanted.kind == "pypi" else (folder / "node_modules/.bin",)
    return Package(wanted.kind, folder, argv, folders)


# What is asked for.


def _wanted(spec: McpServerSpec) -> _Wanted | None:
    words = iter(spec.args)
    match Path(spec.command).name:
        case "npx":
            return _wanted_npm(spec, words)
        case "uvx":
            return _wanted_pypi(spec, words)
    return None


def _wanted_npm(spec: McpServerSpec, words: Iterator[str]) -> _Wanted:
    for word in words:
        if word in ("-y", "--yes"):
            continue
        found = _NPM_NAME.fullmatch(word)
        if found is None:
            raise _not_understood(spec, word, "`-y`")
        program = found["name"].rpartition("/")[2]
        return _Wanted("npm", (word,), word, program, tuple(words))
    raise McpUnavailable(spec.name, "`npx` is given no package: say which, as NAME@VERSION.")


def _wanted_pypi(spec: McpServerSpec, words: Iterator[str]) -> _Wanted:
    beside: list[str] = []
    source: str | None = None
    for word in words:
        option, equals, value = word.partition("=")
        if option in ("--with", "--from") and word.startswith("--"):
            value = value if equals else next(words, "")
            if option == "--with":
                beside.append(_requirement(spec, value))
            else:
                source = value
        elif word.startswith("-"):
            raise _not_understood(spec, word, "`--with` and `--from`")
        else:
            asked = source or word
            packages = (_requirement(spec, asked), *sorted(beside))
            found = _PYPI_NAME.match(word)
            if found is None or (source and found[0] != word):
                raise _not_understood(spec, word, "the name of a program")
            program = word if source else found["name"]
            return _Wanted("pypi", packages, asked, program, tuple(words))
    raise McpUnavailable(spec.name, "`uvx` is given no package: say which, as NAME@VERSION.")


def _requirement(spec: McpServerSpec, word: str) -> str:
    """Return the requirement as pip has it: uvx also writes NAME@VERSION."""
    found = _PYPI_NAME.fullmatch(word)
    if found is None:
        raise _not_understood(spec, word, "the name of a package, with a version or limits")
    name = found["name"] + (found["extras"] or "")
    if found["version"] and found["version"] != "latest":
        return f"{name}=={found['version']}"
    return name + (found["limits"] or "").strip()


def _not_understood(spec: McpServerSpec, word: str, known: str) -> McpUnavailable:
    problem = (
        f"`{Path(spec.command).name}` is given `{word}`, which isn't understood here: before the "
        f"package as NAME@VERSION, only {known} can stand. Install it yourself and name its program."
    )
    return McpUnavailable(spec.name, problem)


# Where it is kept.


def _folder(wanted: _Wanted) -> Path:
    made_for = [
        platform.machine(),
        *((sys.version, base_python()) if wanted.kind == "pypi" else ()),
    ]
    asked = json.dumps([wanted.kind, wanted.packages, made_for])
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", wanted.name).strip("-.")
    digest = hashlib.sha256(asked.encode()).hexdigest()[:12]
    return cache_folder(os.environ) / f"{readable}-{digest}"


def base_python() -> str:
    """Return the path of our interpreter, outside any virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[int]:
    """Hold the lock of a package's folder; an installer inherits it, so an orphaned one counts."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOCK_PAUSE_S)
        yield lock
    finally:
        os.close(lock)


# How it comes there.


async def _install(
    spec: McpServerSpec, wanted: _Wanted, folder: Path, lock: int, environment: Mapping[str, str]
) -> None:
    """Fill a folder beside the final one and rename it: what bears the final name is complete."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    if wanted.kind == "npm":
        npm = find_command(replace(spec, command="npm"), environment)
        quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
        patience = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--logs-max=0")
        install = (npm, "install", "--ignore-scripts", *quiet, *patience, "--prefix", str(part))
        steps = [(*install, "--", *wanted.packages)]
    else:
        uv = find_command(replace(spec, command="uv"), environment)
        venv = (uv, "venv", "--quiet", "--no-project", "--relocatable", "--allow-existing")
        wheels = (uv, "pip", "install", "--quiet", "--no-build", "--compile-bytecode")
        here = ("--python", str(part / "bin" / "python"))
        steps = [
            (*venv, "--python", base_python(), str(part)),
            (*wheels, *here, "--", *wanted.packages),
        ]
    for step in steps:
        status, words = await run(step, part, environment, lock)
        if status != 0:
            said = " ".join(_NOISE.sub(" ", _CREDENTIALS.sub("", words)).split())
            problem = (
                f"`{wanted.name}` could not be installed: check its name, its version and the "
                f"network. {Path(step[0]).name} says: {said[:WORDS_CHARS_MAX]}"
            )
            raise McpUnavailable(spec.name, problem)
    _program(spec, wanted, part)
    part.rename(folder)


async def run(
    argv: tuple[str, ...], cwd: Path, environment: Mapping[str, str], *inherited: int
) -> tuple[int, str]:
    """Run a command to its end; return its status and what it wrote to stderr.

    127 and why, if it can't be run. Cancelled, it kills the command's process group and waits for
    its end.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=inherited,
        )
    except OSError as error:
        return 127, str(error)
    try:
        _, words = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, words.decode("utf-8", "replace")


def _program(spec: McpServerSpec, wanted: _Wanted, folder: Path) -> Path:
    """Return the program of an installed package.

    npm: the one program of its package.json, or the one named like the package.
    """
    if wanted.kind == "pypi":
        programs = {**_scripts(folder), "python": folder / "bin/python"}  # as uvx has it
    else:
        programs = _npm_programs(wanted, folder)
        if len(programs) == 1:
            return next(iter(programs.values()))
    if wanted.program not in programs:
        has = ", ".join(sorted(programs)) or "none"
        problem = f"`{wanted.name}` has no program `{wanted.program}`; its programs are: {has}."
        raise McpUnavailable(spec.name, problem)
    return programs[wanted.program]


def _npm_programs(wanted: _Wanted, folder: Path) -> dict[str, Path]:
    found = _NPM_NAME.fullmatch(wanted.name)
    assert found is not None
    home = folder / "node_modules" / found["name"]
    listed = json.loads((home / "package.json").read_text(encoding="utf-8")).get("bin")
    named = {wanted.program: listed} if isinstance(listed, str) else listed or {}
    return {name: Path(os.path.normpath(home / path)) for name, path in named.items()}


def _scripts(folder: Path) -> dict[str, Path]:
    """Return what an environment's `bin` holds that can be run, without the interpreter's links."""
    return {
        path.name: path
        for path in sorted((folder / "bin").iterdir())
        if path.is_file() and not path.is_symlink() and os.access(path, os.X_OK)
    }
