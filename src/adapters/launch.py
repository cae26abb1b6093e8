"""From the description of a tool server to what is executed: its package, sandbox, environment.

Owns which folders and variables a server sees. What holds it is `sandbox`'s, where its package
comes from is `provision`'s, and the process is `mcp_process`'s.
"""

import asyncio
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from .mcp_outcome import McpUnavailable
from .mcp_process import Launch, McpServerSpec, child_environment, find_command
from .provision import Package, base_python, provisioned, run
from .sandbox import PROGRAMS, RUNNER_VARIABLE, THROUGH_PROXY, Sandbox, held, proxy_seen, trial

__all__ = ["Launch", "prepare"]

_PATH_INSIDE: Final = ("/usr/local/bin", "/usr/bin", "/bin")
_PLAIN_NAMES: Final = frozenset(("LANG", "LANGUAGE", "TZ"))
_OUTSIDE_NAMES: Final = frozenset(("TMPDIR", "USER", "LOGNAME"))
_CERTIFICATES: Final = frozenset(
    (
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        "NODE_EXTRA_CA_CERTS",
    )
)
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_PROXY_NAMES: Final = frozenset((*_PROXIES, *map(str.lower, _PROXIES)))


async def prepare(spec: McpServerSpec) -> Launch:
    """Return what is executed for a server, once its package is there and its runner works.

    Downloads the package of a server that npx or uvx would start, if it isn't in our cache, and
    makes the server's own folder. Takes at most about `start_timeout_s`; cancelled, it ends what
    it started. A temporary folder in the answer is the caller's to remove.

    Raises:
        McpUnavailable: the command, its package, a path or the runner isn't there or doesn't
            work; the sentence says how to make it available.
    """
    try:
        async with asyncio.timeout(spec.start_timeout_s):
            package = await provisioned(spec)
            holder = await _holder(spec)
    except TimeoutError:
        problem = (
            f"its package was not there within {spec.start_timeout_s:g} s: "
            "look at the network, or allow more time to start."
        )
        raise McpUnavailable(spec.name, problem) from None
    ours = child_environment(os.environ, spec.env)
    command = package.argv if package else (find_command(spec, ours), *spec.args)
    needed = _needed(spec, package, command[0], ours) if holder else ()
    own, temporary = _own_folder(spec, bool(holder or package))
    limits = _limits(spec.sandbox, own)
    cwd = spec.cwd or (str(own) if own else None)
    if holder:
        assert own is not None
        path = os.pathsep.join((*_folders_of_programs(package), *_PATH_INSIDE))
        environment = _environment(spec, {"PATH": path, "HOME": str(own)}, frozenset())
        argv = held(holder, spec.sandbox, own, needed, command, base_python())
        if spec.sandbox.runner == "bubblewrap":  # it passes no signal on
            limits = ("wrapped", *limits)
        return Launch(argv, environment, cwd, limits, temporary)
    if package:
        path = os.pathsep.join((*_folders_of_programs(package), ours.get("PATH", os.defpath)))
        environment = _environment(spec, {"PATH": path, "HOME": str(own)}, _OUTSIDE_NAMES)
    else:
        home = {"HOME": str(own)} if own else {}
        environment = ours | home | _proxy_variables(spec.sandbox) | dict(spec.env)
    return Launch(command, environment, cwd, limits, temporary)


# What holds it.


async def _holder(spec: McpServerSpec) -> str:
    """Return the path of the runner's program, which was tried; empty for `none`.

    Raises:
        McpUnavailable: it isn't installed, or can't do here what it is for.
    """
    runner = spec.sandbox.runner
    if runner == "none":
        return ""
    program = shutil.which(PROGRAMS[runner])
    instead = f"or set {RUNNER_VARIABLE}=none to run it with your own rights."
    if program is None:
        problem = (
            f"it runs only inside a sandbox and {runner} isn't installed: "
            f"install it (`apt install {runner}`), {instead}"
        )
        raise McpUnavailable(spec.name, problem)
    status, words = await run(trial(runner, program), Path("/"), {"PATH": os.defpath})
    if status != 0:
        problem = (
            f"it runs only inside a sandbox and {runner} can't make one here: allow user "
            f"namespaces on this machine, {instead} It says: {' '.join(words.split())[:300]}"
        )
        raise McpUnavailable(spec.name, problem)
    return program


def _limits(sandbox: Sandbox, own: Path | None) -> tuple[str, ...]:
    folders = (*((own,) if own else ()), *map(_absolute, sandbox.write))
    return (
        f"cpus={sandbox.cpus}",
        f"memory={sandbox.memory_bytes_max}",
        f"processes={sandbox.processes_max}",
        f"disk={sandbox.disk_bytes_max}",
        *(f"folder={folder}" for folder in folders),
    )


# What it sees.


def _own_folder(spec: McpServerSpec, always: bool) -> tuple[Path | None, Path | None]:
    """Return the server's own folder, which is there then, and it again if it is temporary."""
    own = spec.sandbox.own
    try:
        if own is None:
            made = Path(tempfile.mkdtemp(prefix="scripworld-server-")) if always else None
            return made, made
        own = _absolute(own)
        if own.is_symlink():  # what it leads to could have been chosen by another server
            raise FileExistsError(errno.EEXIST, "it is a link", str(own))
        own.mkdir(parents=True, exist_ok=True)
        return own, None
    except OSError as error:
        problem = f"its folder can't be made: {error}. Choose another, or make it."
        raise McpUnavailable(spec.name, problem) from error


def _needed(
    spec: McpServerSpec, package: Package | None, program: str, environment: Mapping[str, str]
) -> tuple[Path, ...]:
    """Return what must be visible beside the system: interpreters, the program, certificates.

    Raises:
        McpUnavailable: one of them, or a path that the sandbox names, can't be shown.
    """
    sandbox = spec.sandbox
    for path in (*sandbox.read, *sandbox.write):
        if not path.exists():
            problem = f"it is to see {path}, which doesn't exist: make it, or don't name it."
            raise McpUnavailable(spec.name, problem)
        if _leads_out(_absolute(path), sandbox):
            problem = f"it is to see {path}, a link that it could have made itself: remove that."
            raise McpUnavailable(spec.name, problem)
    shown = {_absolute(Path(environment[name])) for name in _CERTIFICATES if name in environment}
    shown = {path for path in shown if path.exists()}
    shown |= {package.folder} if package else set(_program_and_its_home(Path(program)))
    shown |= _interpreters(package)
    home = Path(os.path.expanduser("~"))
    for path in shown:
        if home.is_relative_to(path):
            problem = (
                f"it needs {path}, which holds your home: "
                "install that program in a folder of its own."
            )
            raise McpUnavailable(spec.name, problem)
    return tuple(path for path in shown if not _is_system(path))


def _leads_out(path: Path, sandbox: Sandbox) -> bool:
    """Tell whether a path inside a folder that the server may write to is really elsewhere."""
    writable = [_absolute(folder) for folder in (sandbox.own, *sandbox.write) if folder]
    real = path.resolve()
    return any(
        path != folder and path.is_relative_to(folder) and not real.is_relative_to(folder.resolve())
        for folder in writable
    )


def _interpreters(package: Package | None) -> set[Path]:
    shown = {Path(sys.base_prefix), Path(base_python()).parents[1]}
    if package and package.kind == "npm" and (node := shutil.which("node")):
        program = Path(os.path.realpath(node))
        # A prefix that holds other things of a person's, too, is not shown for one program.
        shared = program.parents[1] == Path.home() / ".local"
        shown.add(program if shared else program.parents[1])
    return shown


def _folders_of_programs(package: Package | None) -> Iterator[str]:
    if package:
        yield from map(str, package.folders)
        if package.kind == "npm" and (node := shutil.which("node")):
            yield os.path.dirname(os.path.realpath(node))


def _program_and_its_home(program: Path) -> Iterator[Path]:
    """Show a program alone, or with the virtual environment that it is in, and what made that."""
    settings = program.parents[1] / "pyvenv.cfg"
    if not settings.is_file():
        yield program
        return
    yield settings.parent
    for line in settings.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "home":
            base = Path(value.strip()).parent
            yield from (base, base.resolve())


def _is_system(path: Path) -> bool:
    """Tell whether a path is shown anyway."""
    shown = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ssl/certs")
    return any(path.is_relative_to(folder) for folder in shown)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


# Its environment.


def _environment(
    spec: McpServerSpec, given: Mapping[str, str], passed: frozenset[str]
) -> dict[str, str]:
    """Return the environment of a server whose code is a stranger's: no home, no registries."""
    names = _PLAIN_NAMES | _CERTIFICATES | passed
    if spec.sandbox.network == "host":
        names |= _PROXY_NAMES
    ours = {
        name: value for name, value in os.environ.items() if name in names or name.startswith("LC_")
    }
    return ours | dict(given) | _proxy_variables(spec.sandbox) | dict(spec.env)


def _proxy_variables(sandbox: Sandbox) -> dict[str, str]:
    """Return what leads programs to the filtering proxy; nothing where there is none."""
    url = proxy_seen(sandbox)
    if not url:
        return {}
    names = [name for name in _PROXY_NAMES if name.upper() != "NO_PROXY"]
    node = {"NODE_USE_ENV_PROXY": "1", "NODE_OPTIONS": f'--require="{THROUGH_PROXY}"'}
    return dict.fromkeys(names, url) | node
