"""Owns the desk where an operator sees to tool servers: what is known of each, and trying one out.

A server is started here as a run starts it, in a folder that goes with it. How anything is shown is
none of its business, and neither is any run.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..adapters.mcp_outcome import McpError
from ..adapters.mcp_process import child_environment, find_command
from ..adapters.provision import is_provisioned
from ..adapters.sandbox import PROGRAMS, RUNNER_VARIABLE, Runner
from ..adapters.site import Site
from ..genesis.mcp_bridge import GenesisMcpBridge, ToolRefused
from ..genesis.tool_list import ToolList, shape_of
from ..world import ConfigurationFault, EffectResult, Fault, Limits, Tool, Validator
from .config import config_dir
from .config_model import CostSettings
from .manifests import FOLDER, Manifest, read_manifest, write_manifest
from .scenario import configure, load_scenario
from .servers import Place, Server, environment, open_bridge
from .settings import nearest

State = Literal["off", "unavailable", "not downloaded", "ready"]
Pin = Literal["pinned", "changed", "unpinned", "–"]
_VERSION = re.compile(r"(?:@|==)([\w.!+-]+)\Z")


@dataclass(frozen=True)
class Glance:
    """A server as it is known without starting it.

    Attributes:
        version: of its package; empty where the command line names none.
        why: the sentence that makes an unavailable one available.
        tools: how many its manifest offers; None without one.
        pin: ``changed`` where the manifest is of another package, or was changed by hand; ``–``
            where there can be none.
    """

    name: str
    artifact: str
    package: str
    version: str
    state: State
    why: str
    tools: int | None
    pin: Pin


@dataclass(frozen=True)
class Look:
    """What a running server says of itself.

    Attributes:
        server: its own name and version. protocol: the version of MCP that it speaks.
        memory_bytes: at most what all its processes had. start_us: until its session was open.
    """

    tools: ToolList
    server: str
    protocol: str
    memory_bytes: int
    start_us: int


@dataclass(frozen=True)
class Called:
    """What a call came to, and the real time that it and the start took."""

    result: EffectResult
    start_us: int
    call_us: int


@dataclass(frozen=True)
class Change:
    """A line of the difference of two tool lists; for a changed tool where, and what was and is there."""

    line: str
    parts: tuple[tuple[str, Any, Any], ...] = ()


class Desk:
    """The tool servers of a configuration, also those that are off.

    Args:
        scenario: name or file of the scenario whose settings hold.
        config: a file of settings over those.

    Raises:
        ConfigurationFault: it cannot be used.
    """

    def __init__(self, scenario: str, config: Path | None) -> None:
        self.scenario = load_scenario(scenario)
        self.config = configure(self.scenario, config)
        self.limits = Limits(**self.config.world.limits.model_dump())
        self._environ = environment()
        settings = self.config.genesis.mcp.servers.items()
        self.servers = {name: Server(name, server, self._environ) for name, server in settings}

    def server(self, name: str) -> Server:
        """A server by its name.

        Raises:
            ConfigurationFault: there is none; names the nearest.
        """
        if name not in self.servers:
            raise ConfigurationFault(f"there is no server {name!r}{nearest(name, self.servers)}")
        return self.servers[name]

    def glance(self, server: Server) -> Glance:
        """What is known of a server without starting it."""
        why = self.why_not(server) or ""
        state: State = "ready"
        if not server.settings.enabled:
            state = "off"
        elif why:
            state = "unavailable"
        elif not is_provisioned(server.spec(self._place(Path()), None)):
            state = "not downloaded"
        found = _VERSION.search(server.package[1:])
        pin = self._pin(server)
        known = server.manifest() if pin == "pinned" else None
        return Glance(
            server.name,
            server.bridge.id,
            server.package,
            found[1] if found else "",
            state,
            why,
            None if known is None else len(known.tools.offered(server.policy).tools),
            pin,
        )

    def why_not(self, server: Server) -> str | None:
        """Why a server cannot be started here, and what to do; None where nothing is known."""
        if (reason := server.why_not()) is not None:
            return reason
        runner = self.runner(server)
        if runner != "none" and shutil.which(PROGRAMS[runner]) is None:
            return (
                f"{server.name}: it runs only inside a sandbox and {runner} is not installed: "
                f"`apt install {runner}`, or set {RUNNER_VARIABLE}=none to run it with your rights"
            )
        spec = server.spec(self._place(Path()), None)
        try:
            find_command(spec, child_environment(os.environ, spec.env))
        except McpError as error:
            return str(error)
        return None

    def runner(self, server: Server) -> Runner:
        """What holds the server; ``none`` is nothing."""
        return server.runner

    def costs(self, server: Server) -> dict[str, CostSettings]:
        """What its methods cost; ``*`` is every other."""
        world = self.config.world
        said = {**server.settings.costs, **world.costs.get(server.bridge.id, {})}
        return {"*": world.method_cost, **said}

    def methods(self, server: Server) -> list[Tool]:
        """The methods of its artifact, as far as they are known."""
        return [method.tool for method in server.native(self.limits).methods.values()]

    def refuse_call(self, server: Server, tool: str, args: dict[str, Any]) -> None:
        """Do nothing if the call can be made, or if that cannot be known before the server is asked.

        Raises:
            ConfigurationFault: there is no such method, or it does not take these arguments.
        """
        methods = {method.name: method for method in self.methods(server)}
        if tool in methods:
            schema = Validator(methods[tool].input_schema, self.limits)
            if not schema.is_valid(args):
                told = schema.explain(args)
                raise ConfigurationFault(f"{server.name} {tool} does not take that: {told}")
            for alias in server.bridge.aliases:
                no = alias.to(args) if alias.tool.name == tool else None
                if isinstance(no, str):
                    raise ConfigurationFault(f"{server.name} {tool}: {no}")
        elif (manifest := server.manifest()) is not None:
            left_out = manifest.tools.offered(server.policy).left_out
            told = f": {left_out[tool]}" if tool in left_out else nearest(tool, methods)
            raise ConfigurationFault(f"{server.name} has no method {tool!r}{told}")

    # Running it.

    @asynccontextmanager
    async def started(self, server: Server) -> AsyncIterator[tuple[GenesisMcpBridge, int]]:
        """Start a server, for a while; yields its bridge and the real time that it took, in µs.

        Raises:
            Fault: it cannot be started, or fails; no secret is in the sentence.
        """
        if (reason := self.why_not(server)) is not None:
            raise Fault(reason)
        with _telling(server), tempfile.TemporaryDirectory(prefix="scripworld-tools-") as folder:
            async with AsyncExitStack() as stack:
                place = self._place(Path(folder))

                def known() -> ToolList | None:
                    manifest = server.manifest()
                    return None if manifest is None else manifest.tools

                bridge = await open_bridge(stack, server, place, self.limits, known)
                stack.push_async_callback(bridge.close)
                begun_s = time.monotonic()
                with suppress(ToolRefused):  # of a changed list the call itself tells
                    await bridge.start_server()
                yield bridge, _us_since(begun_s)

    async def look(self, server: Server) -> Look:
        """Start a server and ask what it is and which tools it has.

        Raises:
            Fault: as ``started``.
        """
        async with self.started(server) as (bridge, start_us):
            tools = await bridge.list_tools()
            session = bridge.client.session
            assert session is not None, "it has just answered"
            if session.meter is not None:
                session.meter.sample(time.monotonic())
            info = session.server_info
            said = msgspec.json.encode([info, [shape_of(tool) for tool in tools.tools]]).decode()
            if server.secrets().text(said) != said:
                raise Fault(
                    f"{server.name}: what it says of itself holds one of its secrets, so it is "
                    "neither shown nor pinned"
                )
            return Look(
                tools,
                " ".join(str(info[key]) for key in ("name", "version") if info.get(key)),
                session.protocol_version or "",
                session.meter.memory_peak_bytes if session.meter is not None else 0,
                start_us,
            )

    async def call(self, server: Server, tool: str, args: dict[str, Any]) -> Called:
        """Start a server and call one method, as an agent's call would be performed.

        Raises:
            Fault: it could not be started; whatever else goes wrong is in the result.
        """
        async with self.started(server) as (bridge, start_us):
            begun_s = time.monotonic()
            result = await bridge.call_tool(tool, args)
            return Called(result, start_us, _us_since(begun_s))

    # Its manifest.

    def pinned(self, server: Server) -> Manifest | None:
        """Its manifest, also of another package; None where there is none that can be used."""
        try:
            return read_manifest(_manifests(), server.name)
        except ConfigurationFault:
            return None

    def changes(self, server: Server, now: ToolList) -> list[Change]:
        """What is other in ``now`` than its manifest says; everything where there is none."""
        manifest = self.pinned(server)
        before = ToolList() if manifest is None else manifest.tools
        was = {tool.name: shape_of(tool) for tool in before.tools}
        is_ = {tool.name: shape_of(tool) for tool in now.tools}
        changes: list[Change] = []
        for line in before.difference(now):
            name = line[2:].partition(":")[0]
            told = _differing("", was[name], is_[name]) if line.startswith("~") else ()
            changes.append(Change(line, tuple(told)))
        return changes

    def pin(self, server: Server, look: Look) -> Path:
        """Write what a server was found to say as its manifest; returns the file.

        Raises:
            Fault: it cannot be written.
        """
        manifest = Manifest(server.name, server.package, look.protocol, look.tools)
        return write_manifest(_manifests(), manifest)

    def why_not_pinned(self, server: Server) -> str | None:
        """Why a server cannot be pinned now; None where nothing is known."""
        if server.is_keyless:
            missing = ", ".join(server.missing)
            return f"{server.name}: without {missing} another server stands in for it: set that"
        return self.why_not(server)

    def _pin(self, server: Server) -> Pin:
        if server.is_keyless or server.settings.url is not None:
            return "–"
        manifest = self.pinned(server)
        if manifest is None:
            return "changed" if (_manifests() / f"{server.name}.json").exists() else "unpinned"
        return "pinned" if manifest.package == server.package else "changed"

    def _place(self, folder: Path) -> Place:
        scenario = self.scenario
        site = None if scenario.site is None else Site(scenario.site)
        room = self.config.genesis.mcp.directory_bytes_max
        return Place(folder, room, scenario.roots, site, f"{scenario.name}.test")


def _manifests() -> Path:
    return config_dir() / FOLDER


def _us_since(begun_s: float) -> int:
    return round((time.monotonic() - begun_s) * 1e6)


@contextmanager
def _telling(server: Server) -> Iterator[None]:
    """Tell what goes wrong without the server's secrets."""
    try:
        yield
    except McpError as error:
        raise Fault(server.secrets().text(str(error))) from None


def _differing(where: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ, as deep down as objects go."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            inside = f"{where}.{key}" if where else key
            yield from _differing(inside, old.get(key, msgspec.UNSET), new.get(key, msgspec.UNSET))
    elif old != new:
        yield where, old, new
