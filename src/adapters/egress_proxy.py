"""Owns the filtering proxy through which one server reaches what its policy lets it reach.

An HTTP/1.1 proxy: requests for absolute URLs, and tunnels (CONNECT). It listens on a Unix socket,
for a sandbox without a network, and on loopback, for a server without a sandbox. It resolves names
itself and connects to the addresses that it checked, so neither a redirect nor a name that changes
its address leads past the policy. One connection is `egress_exchange`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ..world import ConfigurationFault
from .egress import EgressPolicy, EgressRefused, Rule
from .egress_exchange import Exchange, Resolver, Route, Terms
from .egress_http import whole_answer
from .egress_log import EgressEvent, EgressLog, utc_now
from .egress_relay import READ_BYTES

RESOLVERS_MAX: Final = 4
"""Names looked up at one time; a resolver that hangs holds up nobody but this server."""
CLOSE_S: Final = 5.0
_SOCKET_PATH_BYTES_MAX: Final = 100
_NO_ROUTES: Final[Mapping[str, Route]] = MappingProxyType({})


class EgressProxy:
    """The proxy of one server. `start` it before its server, and await `close` in any case.

    Args:
        policy: what may be reached.
        server: the server's name, for the log and for what is answered.
        log: what is told of each request that is over, or the file where it is noted.
        routes: hosts (in lower case) that are served here at port 80, whatever the policy says.
        resolve: how a name becomes addresses; the host's own resolver if None.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        server: str,
        log: Callable[[EgressEvent], None] | Path,
        routes: Mapping[str, Route] = _NO_ROUTES,
        resolve: Resolver | None = None,
    ) -> None:
        self._terms = Terms(server, policy, routes, resolve or self._look_up)
        self._log = EgressLog(log).write if isinstance(log, Path) else log
        self._folder: Path | None = None
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._resolvers = ThreadPoolExecutor(RESOLVERS_MAX, "egress-resolver")

    @property
    def socket_path(self) -> Path:
        """The Unix socket, mode 0600, in a folder of its own; known once it was started."""
        assert self._folder is not None, "the proxy was not started"
        return self._folder / "proxy"

    @property
    def url(self) -> str:
        """Where it listens on loopback; known once it was started."""
        assert self._servers, "the proxy was not started"
        return f"http://127.0.0.1:{self._servers[0].sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        """Listen on both.

        Raises:
            ConfigurationFault: there is no folder for temporary files whose path is short enough.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="egress-"))
        if len(os.fsencode(self.socket_path)) > _SOCKET_PATH_BYTES_MAX:
            await self.close()
            raise ConfigurationFault(
                f"{tempfile.gettempdir()} is too long for a socket: let TMPDIR name a shorter one"
            )
        backlog = self._terms.policy.connections_max
        self._servers.append(
            await asyncio.start_server(
                self._on_client, "127.0.0.1", 0, limit=READ_BYTES, backlog=backlog
            )
        )
        self._servers.append(
            await asyncio.start_unix_server(
                self._on_client, self.socket_path, limit=READ_BYTES, backlog=backlog
            )
        )
        self.socket_path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening and end what is open, within a few seconds; may be called again."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLOSE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                for server in self._servers:
                    await server.wait_closed()
        await asyncio.sleep(0)  # what was aborted is closed by the loop
        self._servers.clear()
        self._resolvers.shutdown(wait=False, cancel_futures=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= self._terms.policy.connections_max:
            self._turn_away(writer)
            return
        task = asyncio.create_task(self._serve(Exchange(self._terms, reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await exchange.run()
        finally:
            if event := exchange.event():
                self._log(event)

    def _turn_away(self, writer: asyncio.StreamWriter) -> None:
        rule = Rule.CONNECTIONS_MAX
        fault = EgressRefused(rule, "too many connections are open")
        text = f"Blocked by the egress policy of {self._terms.server}: {fault}.\n"
        writer.write(whole_answer("", 503, text.encode(), reason=f"egress policy: {rule}"))
        writer.close()
        server = self._terms.server
        self._log(EgressEvent(utc_now(), server, verdict="refused", reason=rule, status=503))

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._resolvers,
            lambda: socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM),
        )
        return [str(address[0]) for *_, address in found]
