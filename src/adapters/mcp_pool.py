"""Several processes of one server behind the interface of one client.

Owns which process gets a request, when another one is started, and when an idle one is stopped.
One process is `mcp_stdio`'s, what keeps a server that fails from being started `mcp_standing`'s.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from .mcp_asks import NO_HOST, Host
from .mcp_outcome import McpAnswer
from .mcp_process import McpServerSpec
from .mcp_session import McpSession
from .mcp_standing import Standing
from .mcp_stdio import McpClient, State, Vet

IDLE_LOOKS: Final = 4
"""How often within `idle_stop_s` it is looked whether a process is idle."""


class McpPool:
    """A server in at most `spec.processes` processes; see `McpClient` for what a request does.

    The least loaded process that runs gets a request. When all are busy another is started in the
    background, if their number allows. One without a request for `spec.idle_stop_s` is stopped (up
    to a quarter later), and started again when it is needed. A crash fails the requests of its own
    process alone; how often the server failed, and so when it may be started again, is counted for
    all together. What a server keeps in memory it keeps for each process: more than one is for
    servers that keep nothing.
    """

    def __init__(self, spec: McpServerSpec, host: Host = NO_HOST, vet: Vet | None = None) -> None:
        """Prepare a pool; nothing is started. `vet` is as for `McpClient`."""
        self.spec = spec
        self._standing = Standing(spec)
        self._clients = [McpClient(spec, host, self._standing, vet) for _ in range(spec.processes)]
        self._idle = dict.fromkeys(self._clients, (-1, 0.0))
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pids(self) -> list[int]:
        """The process ids of the server, one for each process that runs."""
        return [client.pid for client in self._clients if client.pid is not None]

    @property
    def pid(self) -> int | None:
        """The first of them."""
        return next(iter(self.pids), None)

    @property
    def session(self) -> McpSession | None:
        """The open session of one process (version, server info, meter), if any runs."""
        return next((client.session for client in self._clients if client.session), None)

    @property
    def is_vetted(self) -> bool:
        """Whether a process runs whose list of tools was looked at since it last changed."""
        session = self._clients[0].session if len(self._clients) == 1 else self.session
        return session is not None and session.vetted == session.tools_changed

    @property
    def states(self) -> list[State]:
        """What each process does now, for a listing."""
        return [client.state for client in self._clients]

    @property
    def starts(self) -> int:
        """How many processes were started."""
        return sum(client.starts for client in self._clients)

    @property
    def in_flight(self) -> int:
        """How many requests have no outcome yet."""
        return sum(client.in_flight for client in self._clients)

    @property
    def tools_changed(self) -> int:
        """How often a process has said that its list of tools changed."""
        return sum(client.tools_changed for client in self._clients)

    @property
    def capabilities(self) -> frozenset[str]:
        """The names of what the server says that it offers; none while nothing runs."""
        return frozenset().union(*(client.capabilities for client in self._clients))

    async def start(self) -> None:
        """Make sure that a process runs and its session is open. Raises as `McpClient.start`."""
        await self._chosen().start()

    def start_soon(self) -> None:
        """Start a process in the background; should that fail, the next who asks is told."""
        self._chosen().start_soon()

    async def list_tools(self, timeout_s: float | None = None) -> list[dict[str, Any]]:
        """See `McpClient.list_tools`."""
        return await self._chosen().list_tools(timeout_s)

    async def list_resources(self, timeout_s: float | None = None) -> McpAnswer:
        """See `McpClient.list_resources`."""
        return await self._chosen().list_resources(timeout_s)

    async def list_resource_templates(self, timeout_s: float | None = None) -> McpAnswer:
        """See `McpClient.list_resource_templates`."""
        return await self._chosen().list_resource_templates(timeout_s)

    async def list_prompts(self, timeout_s: float | None = None) -> McpAnswer:
        """See `McpClient.list_prompts`."""
        return await self._chosen().list_prompts(timeout_s)

    async def read_resource(
        self, uri: str, timeout_s: float | None = None, asker: Any = None
    ) -> McpAnswer:
        """See `McpClient.read_resource`."""
        return await self._chosen().read_resource(uri, timeout_s, asker)

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, str],
        timeout_s: float | None = None,
        asker: Any = None,
    ) -> McpAnswer:
        """See `McpClient.get_prompt`."""
        return await self._chosen().get_prompt(name, arguments, timeout_s, asker)

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any],
        timeout_s: float | None = None,
        asker: Any = None,
    ) -> McpAnswer:
        """See `McpClient.call_tool`."""
        return await self._chosen().call_tool(name, arguments, timeout_s, asker)

    async def stop(self) -> None:
        """End all processes; the next request starts one again."""
        await self._each(McpClient.stop)

    async def close(self) -> None:
        """End all processes for good; must be awaited at the end."""
        if self._timer:
            self._timer.cancel()
        await self._each(McpClient.close)

    async def _each(self, end: Callable[[McpClient], Coroutine[Any, Any, None]]) -> None:
        await asyncio.gather(*map(end, self._clients))

    def _chosen(self) -> McpClient:
        """Return the client that the next request goes to."""
        if self._timer is None and self.spec.idle_stop_s is not None:
            self._look_later(self.spec.idle_stop_s)
        if len(self._clients) == 1:
            return self._clients[0]
        for client in self._clients:
            client.note_end()
        running = [client for client in self._clients if client.session]
        if not running:
            return max(self._clients, key=lambda client: client.state == "starting")
        chosen = min(running, key=lambda client: client.in_flight)
        if chosen.in_flight:
            self._grow()
        return chosen

    def _grow(self) -> None:
        """Start one more process, unless one is starting, or the server isn't to be started."""
        states = self.states
        now_s = asyncio.get_running_loop().time()
        if (
            "stopped" in states
            and "starting" not in states
            and not self._standing.is_shunned(now_s)
        ):
            self._clients[states.index("stopped")].start_soon()

    def _look_later(self, idle_stop_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(idle_stop_s / IDLE_LOOKS, self._look, idle_stop_s)

    def _look(self, idle_stop_s: float) -> None:
        """Stop the processes that had no request for so long; look again if any is left."""
        now_s = asyncio.get_running_loop().time()
        for client in self._clients:
            seen, since_s = self._idle[client]
            news = client.calls + client.starts  # neither ever falls
            if client.in_flight or news != seen:
                self._idle[client] = news, now_s
            elif now_s - since_s >= idle_stop_s and client.state == "running":
                client.retire()
        self._timer = None
        if any(state in ("running", "starting") for state in self.states):
            self._look_later(idle_stop_s)
