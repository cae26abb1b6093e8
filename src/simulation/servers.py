"""Owns putting tool servers together: from their settings to artifacts of a world and to what performs them.

What a server is started with is settled here, once: its variables, folders, sandbox and proxy. What
it may answer is the bridge's business.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from ..adapters.egress import EgressPolicy
from ..adapters.egress_log import EgressLog
from ..adapters.egress_proxy import EgressProxy
from ..adapters.mcp_asks import NO_HOST, Host
from ..adapters.mcp_process import McpServerSpec
from ..adapters.performer import Performer
from ..adapters.sandbox import Runner, Sandbox, chosen_runner, proxy_seen
from ..adapters.site import Site
from ..genesis.asking import Taken, host_of
from ..genesis.filesystem import GenesisFilesystem
from ..genesis.mcp_bridge import (
    LIST_TOOLS,
    GenesisMcpBridge,
    ToolRefused,
    UnavailableServer,
    known_from,
)
from ..genesis.secrets import SECRET_NAME, SECRET_VALUE, Secrets
from ..genesis.tool_list import Policy, ToolList
from ..world import ConfigurationFault, Limits, Native, World
from .config import SERVERS, Config, config_dir
from .manifests import FOLDER, Manifest, package_of, read_manifest
from .natives import bridge_of
from .server_settings import ServerSettings
from .settings import Fault, nearest

EGRESS_LOG: Final = "egress.jsonl"
FILES: Final = "files"
_FOLDER_MODE = 0o700
_SANDBOX_BOUNDS = ("cpus", "memory_bytes_max", "processes_max", "disk_bytes_max")
_SPEC_TIMES = (
    *("start_timeout_s", "call_timeout_s", "call_timeout_max_s", "grace_s", "processes"),
    *("backoff_s", "backoff_max_s", "restarts_max", "unavailable_s", "idle_stop_s"),
)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PLACE = re.compile(r"(?<!\$)\{(run|own|files|proxy|python|lib)\}")
_LIB = Path(__file__).resolve().parents[1] / "adapters"


@dataclass(frozen=True)
class Place:
    """Where a server runs: the folder of its run, the roots and the site of the scenario.

    ``directory_bytes_max`` bounds each directory of the agents' files there.
    """

    folder: Path
    directory_bytes_max: int
    roots: tuple[Path, ...] = ()
    site: Site | None = None
    site_host: str = ""


class Server:
    """A tool server as it is configured, in the environment that there is now.

    Attributes:
        bridge: its class. missing: the variables that it needs and that are not there.
        is_keyless: what is started is what stands in for it without a key.
    """

    def __init__(self, name: str, settings: ServerSettings, environ: Mapping[str, str]) -> None:
        self.name = name
        self.settings = settings
        self.bridge: type[GenesisMcpBridge] = bridge_of(name)
        named = {v for text in settings.env.values() for v in _VARIABLE.findall(text)}
        self.missing = sorted(variable for variable in named if not environ.get(variable))
        self.is_keyless = bool(self.missing) and settings.keyless is not None
        self._environ = environ

    @property
    def command(self) -> str:
        """The program that is started."""
        if self.is_keyless and self.settings.keyless is not None:
            return self.settings.keyless.command
        return self.settings.command or ""

    @property
    def args(self) -> tuple[str, ...]:
        """Its arguments, with placeholders."""
        if self.is_keyless and self.settings.keyless is not None:
            return self.settings.keyless.args
        return self.settings.args

    @property
    def package(self) -> str:
        """What the command line starts; a manifest belongs to it."""
        return package_of(self.command, self.args)

    @property
    def policy(self) -> Policy:
        """Which of its tools are offered."""
        return Policy(frozenset(self.settings.allowed_tools), frozenset(self.settings.denied_tools))

    @property
    def runner(self) -> Runner:
        """What holds it. A file in the current folder has no say in that.

        Raises:
            ConfigurationFault: there is none of that name.
        """
        return chosen_runner(self.settings.sandbox.runner, os.environ)

    def warning(self) -> str | None:
        """What it could do that a contained server could not; None for nothing.

        Raises:
            ConfigurationFault: as ``runner``.
        """
        if self.runner == "none":
            return f"{self.name} runs without a sandbox, with your own rights"
        if self.settings.sandbox.network == "host":
            return f"{self.name} reaches any network: its sandbox.network is host"
        return None

    def manifest(self) -> Manifest | None:
        """What it was pinned to say.

        Raises:
            ConfigurationFault: the manifest cannot be used.
        """
        return read_manifest(config_dir() / FOLDER, self.name, self.package)

    def why_not(self) -> str | None:
        """Why it cannot be started, and how to make it available; None where nothing is known."""
        if self.settings.url is not None:
            return (
                f"{self.name}: it is a remote server, and those are not started yet: give a "
                "`command` that starts it here"
            )
        if self.missing and not self.is_keyless:
            return (
                f"{self.name}: its server needs {', '.join(self.missing)} in the environment or "
                "in .env: set that, then run or resume again"
            )
        return None

    def native(self, limits: Limits) -> Native:
        """Its artifact, with the methods of its manifest."""
        manifest = self.manifest()
        if manifest is None:
            return self.bridge.native()
        known = manifest.tools.offered(self.policy)
        room = limits.tools_max - 1 - len(self.bridge.stable(known))
        return self.bridge.native(ToolList(known.tools[:room], features=known.features))

    def secrets(self) -> Secrets:
        """What its settings take from the environment, and what else in them looks like a secret."""
        told = {} if self.is_keyless else self.settings.env
        named = [self._environ[v] for text in told.values() for v in _VARIABLE.findall(text)]
        literal = [
            text
            for variable, text in told.items()
            if not _VARIABLE.search(text)
            and (SECRET_NAME.search(variable) or SECRET_VALUE.fullmatch(text))
        ]
        return Secrets((*named, *literal))

    def spec(self, place: Place, proxy: EgressProxy | None) -> McpServerSpec:
        """How it is started: placeholders filled, variables taken from the environment."""
        settings, held = self.settings, self.settings.sandbox
        run = place.folder.absolute()
        sandbox = Sandbox(
            runner=self.runner,
            network=held.network,
            own=run / "servers" / self.name,
            proxy_socket=None if proxy is None else proxy.socket_path,
            proxy_url="" if proxy is None else proxy.url,
            **{name: getattr(held, name) for name in _SANDBOX_BOUNDS},
        )
        places = {
            "run": str(run),
            "own": str(sandbox.own),
            "files": str(run / FILES),
            "proxy": "" if proxy is None else proxy_seen(sandbox),
            "python": sys.executable,
            "lib": str(_LIB),
        }

        def fill(words: Iterable[str]) -> tuple[str, ...]:
            return tuple(_filled(words, places, place.roots))

        def fill_one(word: str) -> str:
            return _PLACE.sub(lambda match: places[match[1]], word)

        read, write = (tuple(map(Path, fill(paths))) for paths in (held.read, held.write))
        env = {} if self.is_keyless else settings.env
        return McpServerSpec(
            name=self.name,
            command=fill_one(self.command),
            args=fill(self.args),
            env={
                name: _VARIABLE.sub(lambda match: self._environ[match[1]], fill_one(text))
                for name, text in env.items()
            },
            cwd=None if settings.cwd is None else fill_one(settings.cwd),
            roots=tuple(Path(root).absolute().as_uri() for root in fill(settings.roots)),
            line_bytes_max=settings.answer_bytes_max,
            sandbox=replace(sandbox, read=read, write=write),
            **{name: getattr(settings, name) for name in _SPEC_TIMES},
        )


def environment() -> dict[str, str]:
    """Our environment, over what a `.env` file in the current folder says.

    Raises:
        ConfigurationFault: there is such a file, and it cannot be read.
    """
    try:
        told = dotenv_values(".env")
    except (OSError, UnicodeError) as error:
        raise ConfigurationFault(f".env cannot be read: {error}; write it as UTF-8") from None
    return {name: value for name, value in told.items() if value is not None} | dict(os.environ)


def servers_of(config: Config) -> list[Server]:
    """The servers that are enabled, in the order of the configuration."""
    environ = environment()
    settings = config.genesis.mcp.servers.items()
    return [Server(name, server, environ) for name, server in settings if server.enabled]


async def connect(
    stack: AsyncExitStack,
    config: Config,
    world: World,
    place: Place,
    asked: Taken,
    given: Collection[str] = (),
) -> dict[str, Performer]:
    """What performs the effects of every enabled server, by artifact; nothing is started yet.

    Args:
        stack: what has to be closed at the end.
        config: of the run. world: whose interfaces tell what is known of each server.
        place: where the run is.
        asked: takes what a server asks for in the middle of a call.
        given: artifacts that have a performer already.
    """
    host = host_of(world.natives, asked)
    performers: dict[str, Performer] = {}
    for server in servers_of(config):
        bridge = server.bridge
        if bridge.id not in world.natives or bridge.id in given:
            continue
        if (reason := server.why_not()) is not None:
            performers[bridge.id] = UnavailableServer(reason)
            continue
        known = partial(_known, server, world)
        opening = open_bridge(stack, server, place, world.limits, known, host)
        try:
            performers[bridge.id] = await opening
        except ConfigurationFault as fault:  # one that cannot stand ends no run
            performers[bridge.id] = UnavailableServer(str(fault))
    return performers


def misnamed(config: Config) -> Iterator[Fault]:
    """Yield the settings that name a tool which their server, by its manifest, does not have."""
    for server in servers_of(config):
        try:
            manifest = None if server.is_keyless else server.manifest()
        except ConfigurationFault:  # whoever starts it is told
            continue
        if manifest is None:
            continue
        own = [LIST_TOOLS, *(tool.name for tool in server.bridge.stable(manifest.tools))]
        known = {*own, *(tool.name for tool in manifest.tools.tools), *manifest.tools.left_out}
        settings = server.settings
        for key in ("allowed_tools", "denied_tools", "idempotent_tools", "costs"):
            for index, name in enumerate(getattr(settings, key)):
                if name != "*" and name not in known:
                    where = (*SERVERS, server.name, key, name if key == "costs" else index)
                    yield where, f"{server.name} has no tool {name!r}{nearest(name, known)}"


def warnings_of(config: Config) -> list[str]:
    """What the enabled servers could do that contained ones could not, a sentence each."""
    return [told for server in servers_of(config) if (told := server.warning()) is not None]


def start_in_background(config: Config, performers: Mapping[str, Performer]) -> None:
    """Start the servers that are to be ready before the first call; should one fail, that is told."""
    for server in servers_of(config):
        performer = performers.get(server.bridge.id)
        if server.settings.start == "background" and isinstance(performer, GenesisMcpBridge):
            performer.client.start_soon()


def _known(server: Server, world: World) -> ToolList | None:
    """What a world knows of a server's tools: its manifest, else its artifact's interface.

    Nothing of what stands in for a server without its key: that is another one.
    """
    if server.is_keyless:
        return None
    try:
        manifest = server.manifest()
    except ConfigurationFault as fault:  # somebody broke it while the run goes on
        raise ToolRefused(str(fault)) from None
    if manifest is not None:
        return manifest.tools
    interface = world.state.artifacts.by_id[server.bridge.id].interface
    told = known_from(server.bridge, interface)
    return told if told.tools else None


async def open_bridge(
    stack: AsyncExitStack,
    server: Server,
    place: Place,
    limits: Limits,
    known: Callable[[], ToolList | None],
    host: Host = NO_HOST,
) -> GenesisMcpBridge:
    """The bridge to a server that can be started, with its proxy where it has one.

    Args:
        stack: what has to be closed at the end; the bridge is the caller's to close.
        server, place: which, and where. limits: of the world.
        known: the tools that it is compared with. host: what it may ask for in a call.
    """
    proxy: EgressProxy | None = None
    if server.settings.sandbox.network == "proxy":
        proxy = await open_proxy(stack, server, place)
    spec = server.spec(place, proxy)
    for folder in spec.sandbox.write:  # what it may write to and is not there is ours to make
        _make(server, folder, place)
    bridge = server.bridge(
        spec,
        known=known,
        policy=server.policy,
        limits=limits,
        secrets=server.secrets(),
        host=host,
    )
    if isinstance(bridge, GenesisFilesystem):
        roots = {root.name: root for root in place.roots}
        bridge.serve(place.folder / FILES, roots, place.directory_bytes_max)
    return bridge


def _make(server: Server, folder: Path, place: Place) -> None:
    """Make a folder that a server may write to.

    Raises:
        ConfigurationFault: it is for no other server than the one that checks its paths, or it
            cannot be made.
    """
    files = place.folder.absolute() / FILES
    if server.bridge is not GenesisFilesystem and folder.is_relative_to(files):
        raise ConfigurationFault(
            f"{server.name} may not write to {folder.name}: the agents' directories are safe only as "
            "long as no other server than filesystem writes there; give it {own}"
        )
    try:
        folder.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationFault(
            f"{server.name}: {folder} cannot be made: {error.strerror}; name another in sandbox.write"
        ) from None


async def open_proxy(stack: AsyncExitStack, server: Server, place: Place) -> EgressProxy:
    """The filtering proxy of one server; what goes through it is noted in the run's folder."""
    log = EgressLog(place.folder / EGRESS_LOG)
    policy = EgressPolicy(**server.settings.egress.model_dump())
    routes = {} if place.site is None else {place.site_host: place.site}
    proxy = EgressProxy(policy, server.name, log.write, routes)
    stack.push_async_callback(proxy.close)
    await proxy.start()
    return proxy


def _filled(
    words: Iterable[str], places: Mapping[str, str], roots: Iterable[Path]
) -> Iterator[str]:
    """Words with their placeholders filled; one with ``{roots}`` stands once for every root."""
    for word in words:
        filled = _PLACE.sub(lambda match: places[match[1]], word)
        if "{roots}" in word:
            yield from (filled.replace("{roots}", str(root)) for root in roots)
        else:
            yield filled
