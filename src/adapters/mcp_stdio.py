"""A client for one process of an MCP server over stdio: started when first used, and after a crash.

Owns when the process lives, and the requests that the world needs: to list and use tools,
resources and prompts. The process is `mcp_process`'s, the messages are `mcp_session`'s, what
keeps a server that fails from being started is `mcp_standing`'s, several processes of one server
are `mcp_pool`'s. It must not know the world.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any, Final, Literal

from .launch import prepare
from .mcp_asks import NO_HOST, Asks, Host
from .mcp_opening import Era, initialize, negotiate
from .mcp_outcome import (
    NOTHING_USED,
    McpAnswer,
    McpCrashed,
    McpError,
    McpProtocolError,
    McpTooLarge,
    McpUnavailable,
)
from .mcp_process import McpServerSpec, ServerProcess
from .mcp_rounds import rounds, wants_input
from .mcp_session import McpSession
from .mcp_standing import Standing
from .process_usage import ProcessUsage

PAGES_MAX: Final = 100
"""How many pages a list may have."""
HANDSHAKE_RESERVE: Final = 0.25
"""The part of the time to start that is kept for a second process."""
BACKOFF_SHARE: Final = 0.25
"""The part of the time to start that may be spent on waiting for the start."""
REPORT_S: Final = 0.005
"""How long the report of a process's id is waited for at a time."""

Vet = Callable[[list[dict[str, Any]], frozenset[str]], None]
"""Looks at the tools of a process, and at what it says that it offers, before it gets a call.

What it raises is raised by the call.
"""
_AT_ONCE: Final[AbstractAsyncContextManager[None]] = nullcontext()
State = Literal["stopped", "starting", "running", "closed"]


class McpClient:
    """One process of a server, shared by any number of callers on one event loop.

    `close` must be awaited at the end; after it the client can't be used again.
    """

    def __init__(
        self,
        spec: McpServerSpec,
        host: Host = NO_HOST,
        standing: Standing | None = None,
        vet: Vet | None = None,
    ) -> None:
        """Prepare a client; nothing is started.

        Args:
            spec: how the server is started.
            host: what the server may ask for in the middle of a call.
            standing: what is known of the server, if other clients of it share that.
            vet: looks at the list of tools of each new process, and again after each change of it.
        """
        self.spec = spec
        self.starts = 0
        """How many processes were started."""
        self.calls = 0
        """How many requests were made of this client."""
        self.in_flight = 0
        """How many of them have no outcome yet."""
        self._host = host
        self._standing = standing or Standing(spec)
        self._vet = vet
        self._vetting = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._process: ServerProcess | None = None
        self._spawned: McpSession | None = None  # with the process; it is in use once it is open
        self._session: McpSession | None = None
        self._tools_changed = 0
        self._starting: asyncio.Task[McpSession] | None = None
        self._waiting = 0
        self._untold: BaseException | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The running server's process id (the launcher's, if it is started by one)."""
        return self._process.pid if self._process else None

    @property
    def session(self) -> McpSession | None:
        """The open session (version, server info, what was dropped), if there is one."""
        return self._session if self._session and not self._session.is_over() else None

    @property
    def state(self) -> State:
        """What the process does now, for a listing."""
        if self._closed:
            return "closed"
        if self._starting is not None:
            return "starting"
        return "running" if self.session else "stopped"

    @property
    def capabilities(self) -> frozenset[str]:
        """The names of what the running server says that it offers (`tools`, `resources`…)."""
        return frozenset(self._session.capabilities if self._session else ())

    @property
    def tools_changed(self) -> int:
        """How often the server has said that its list of tools changed, over all sessions."""
        return self._tools_changed + (self._session.tools_changed if self._session else 0)

    async def start(self) -> None:
        """Make sure that the server runs and its session is open; however many ask, one start.

        Raises:
            McpUnavailable: its runtime is missing, it didn't start within
                `start_timeout_s`, or the client was closed.
        """
        session = await self._ready()
        if session.vetted != session.tools_changed:
            await self._vetted(session, None)

    def start_soon(self) -> None:
        """Start in the background; should that fail, the next who asks is told."""
        if self._starting is None and self.session is None and not self._closed:
            self._untold = None
            self._begin_start()

    async def list_tools(self, timeout_s: float | None = None) -> list[dict[str, Any]]:
        """Return the server's tools, all pages, as it sent them and in its order.

        Each has at least a `name`. `timeout_s` holds for each page (`call_timeout_s` if None).

        Raises:
            McpTooLarge: all pages together have over `line_bytes_max`.
            McpProtocolError: the list has no end or isn't one.
            McpError: as `call_tool`.
        """
        answer = await self._pages("tools/list", "tools", "name", timeout_s)
        tools: list[dict[str, Any]] = answer.result["tools"]
        return tools

    async def list_resources(self, timeout_s: float | None = None) -> McpAnswer:
        """Return `resources`, each with a `uri`, of all pages; as `list_tools` for the rest."""
        return await self._pages("resources/list", "resources", "uri", timeout_s)

    async def list_resource_templates(self, timeout_s: float | None = None) -> McpAnswer:
        """Return `resourceTemplates`, each with a `uriTemplate`, in the same way."""
        method, key = "resources/templates/list", "resourceTemplates"
        return await self._pages(method, key, "uriTemplate", timeout_s)

    async def list_prompts(self, timeout_s: float | None = None) -> McpAnswer:
        """Return `prompts`, each with a `name`, in the same way."""
        return await self._pages("prompts/list", "prompts", "name", timeout_s)

    async def read_resource(
        self, uri: str, timeout_s: float | None = None, asker: Any = None
    ) -> McpAnswer:
        """Read a resource; as `call_tool` in all else. `contents` is not looked at."""
        return await self._call("resources/read", {"uri": uri}, timeout_s, asker)

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, str],
        timeout_s: float | None = None,
        asker: Any = None,
    ) -> McpAnswer:
        """Fill in a prompt; as `call_tool` in all else. `messages` is not looked at."""
        params = {"name": name, "arguments": arguments}
        return await self._call("prompts/get", params, timeout_s, asker)

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any],
        timeout_s: float | None = None,
        asker: Any = None,
    ) -> McpAnswer:
        """Call a tool and return the server's answer; its `result` is a dict, as it was sent.

        `content`, `structuredContent` and `isError` are not looked at: a tool that failed is an
        answer. `timeout_s` (`call_timeout_s` if None) runs from when the session is open; a start
        that is needed first has its own bound. It runs anew with each report of progress, and
        when the server asks for more input, until `call_timeout_max_s` have passed in all.

        What the server asks for in the middle of the call goes to the client's host in the name of
        `asker`, who pays for it; nobody does if it is None. The older eras don't say for which
        call they ask, so where the host offers something they get one call at a time. A server of
        the modern era gets its answers, the roots, a "decline" for a question that the host
        declines, and the call again (2026-07-28, `InputRequiredResult`). The usage is that of all
        rounds; the time in which the host answers between them isn't the server's and doesn't count.

        Raises:
            McpUnavailable: the server couldn't be started, or failed so often that it is left
                alone for a while; nothing was called.
            McpTimeout: no answer in time; the server was told, the session goes on.
            McpCrashed: the server ended first; the next call starts it again.
            McpTooLarge: the answer was over `line_bytes_max`; the session goes on.
            McpProtocolError: the answer breaks the protocol, or asks for input that this client
                can't give or refuse, or too often; the session goes on.
            McpCallError: the server answered with an error.
            ValueError, TypeError: `arguments` can't be said in JSON.
        """
        params = {"name": name, "arguments": arguments}
        return await self._call("tools/call", params, timeout_s, asker)

    def note_end(self) -> None:
        """Count a process that was found gone as a failure of the server, and let go of it."""
        if self._session is not None and self._session.ended_s is not None:
            self._standing.add_failure(self._session.ended_s, self._session.fault)
            self.retire()

    async def stop(self) -> None:
        """End the process; the next call starts it again. Calls in flight fail (`McpCrashed`)."""
        if self._starting:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        await self._ended()

    async def close(self) -> None:
        """End the server and everything it started; bounded as `ServerProcess.close` says."""
        self._closed = True
        await self.stop()

    # Requests.

    async def _call(
        self, method: str, params: dict[str, Any], timeout_s: float | None, asker: Any
    ) -> McpAnswer:
        self.calls += 1
        self.in_flight += 1
        try:
            session = self._session
            if session is None or session.fault is not None:
                session = await self._ready()
            if session.vetted != session.tools_changed:
                await self._vetted(session, timeout_s)
            spec = self.spec
            if timeout_s is None:
                timeout_s = spec.call_timeout_s
            max_s = max(timeout_s, spec.call_timeout_max_s)
            asks = None if asker is None else Asks(self._host, asker)
            async with self._turn if asks and session.takes_turns else _AT_ONCE:
                if session.fault is not None:  # it ended while others had their turn
                    session = await self._ready()
                answer = await session.request(method, {**params}, timeout_s, max_s, asks)
            if wants_input(answer):
                asks = asks or Asks(self._host, None)
                again = partial(session.request, method, asks=asks)
                answer = await rounds(spec, again, params, answer, timeout_s, max_s, asks)
            return _checked(answer, spec.name)
        finally:
            self.in_flight -= 1

    async def _vetted(self, session: McpSession, timeout_s: float | None) -> None:
        """Let the list of tools of a session be looked at, unless it was meanwhile."""
        if self._vet is None:
            session.vetted = session.tools_changed
            return
        async with self._vetting:
            if session.vetted == session.tools_changed:
                return
            changes = session.tools_changed
            answer = await self._pages("tools/list", "tools", "name", timeout_s, session)
            self._vet(answer.result["tools"], frozenset(session.capabilities))
            session.vetted = changes

    async def _pages(
        self,
        method: str,
        key: str,
        member: str,
        timeout_s: float | None,
        session: McpSession | None = None,
    ) -> McpAnswer:
        """Return all pages of a list as one: entries under `key`, each with a text `member`."""
        what = f"its list of {method.removesuffix('/list').replace('/', ' ')}"
        entries: list[dict[str, Any]] = []
        cursors: set[str] = set()
        params: dict[str, Any] = {}
        usage = NOTHING_USED
        self.calls += 1
        self.in_flight += 1
        try:
            session = session or await self._ready()
            timeout_s = self.spec.call_timeout_s if timeout_s is None else timeout_s
            for _ in range(PAGES_MAX):
                answer = await session.request(method, {**params}, timeout_s)
                page = _checked(answer, self.spec.name).result
                usage += answer.usage
                found = page.get(key)
                if not isinstance(found, list) or not all(_has(entry, member) for entry in found):
                    raise McpProtocolError(self.spec.name, f"{what} isn't one.")
                if usage.bytes_in > self.spec.line_bytes_max:
                    problem = (
                        f"{what} has over {self.spec.line_bytes_max} bytes; no more are taken."
                    )
                    raise McpTooLarge(self.spec.name, problem)
                entries += found
                cursor = page.get("nextCursor")
                if cursor is None:
                    return McpAnswer({key: entries}, usage)
                if not isinstance(cursor, str) or cursor in cursors:
                    raise McpProtocolError(self.spec.name, f"{what} doesn't advance.")
                cursors.add(cursor)
                params = {"cursor": cursor}
            raise McpProtocolError(self.spec.name, f"{what} has over {PAGES_MAX} pages.")
        except McpError as error:
            error.usage = usage + error.usage
            raise
        finally:
            self.in_flight -= 1

    # The process.

    async def _ready(self) -> McpSession:
        if self._session is not None and not self._session.is_over():
            return self._session
        if self._closed:
            raise McpUnavailable(self.spec.name, "it was closed.")
        if self._untold is not None:
            untold, self._untold = self._untold, None
            raise untold
        starting = self._starting or self._begin_start()
        self._waiting += 1
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if starting.cancelled() and not (task and task.cancelling()):
                ended = "closed" if self._closed else "stopped"
                raise McpUnavailable(self.spec.name, f"it was {ended}.") from None
            raise
        finally:
            self._waiting -= 1

    def _begin_start(self) -> asyncio.Task[McpSession]:
        self._starting = asyncio.create_task(self._start())
        self._starting.add_done_callback(self._on_started)
        return self._starting

    def _on_started(self, task: asyncio.Task[McpSession]) -> None:
        self._starting = None
        fault = None if task.cancelled() else task.exception()
        if not self._waiting:  # every caller may have been cancelled
            self._untold = fault

    async def _start(self) -> McpSession:
        """Open a session, with a second process where the probe was too much for the first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.spec.start_timeout_s
        standing = self._standing
        self.note_end()
        wait_s = standing.wait_s(loop.time())
        await asyncio.sleep(min(wait_s, self.spec.start_timeout_s * BACKOFF_SHARE))
        if standing.era is not Era.HANDSHAKE:
            session = await self._spawn()
            try:
                patience_s = (deadline - loop.time()) * (1 - HANDSHAKE_RESERVE)
                era = await negotiate(session, self.spec.probe_timeout_s, patience_s)
            except McpError:
                if standing.era is Era.MODERN:
                    standing.era = None
            else:
                return await self._opened(session, era)
        session = await self._spawn()
        try:
            await initialize(session, deadline - loop.time())
        except McpError as error:
            fault = self._not_started(error)
            standing.add_failure(loop.time(), fault)
            raise fault from error
        return await self._opened(session, Era.HANDSHAKE)

    async def _opened(self, session: McpSession, era: Era) -> McpSession:
        """Take a session into use; the report of the process's id may be a moment behind."""
        self._standing.era = era
        while self.pid is None and not session.is_over():
            await asyncio.sleep(REPORT_S)
        if self.pid is not None:
            session.meter = ProcessUsage(self.pid)
        session.vetted = -1
        self._session = session
        return session

    def _not_started(self, error: McpError) -> McpUnavailable:
        words = error.stderr or (self._process.last_words() if self._process else "")
        self.retire()
        return McpUnavailable(self.spec.name, f"it could not be started: {error.problem}", words)

    async def _spawn(self) -> McpSession:
        await self._ended()  # two processes at once could fight over a file or a port
        process = ServerProcess(self.spec, await prepare(self.spec))
        spec = self.spec
        session = McpSession(spec.name, process, spec.line_bytes_max, spec.roots, self._host)
        process.attach(session)
        self._process, self._spawned = process, session
        self.starts += 1
        return session

    async def _ended(self) -> None:
        self.retire()
        if self._endings:
            await asyncio.wait(set(self._endings))

    def retire(self) -> None:
        """Let the present process end in the background; as `stop` for the rest."""
        process, session = self._process, self._spawned
        if process is None or session is None:
            return
        self._process = self._spawned = self._session = None
        self._tools_changed += session.tools_changed
        session.end(McpCrashed(self.spec.name, "it was closed before it answered."))
        ending = asyncio.create_task(process.close())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


def _has(entry: object, member: str) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get(member), str)


def _checked(answer: McpAnswer, server: str) -> McpAnswer:
    """Return an answer whose result is an object and final."""
    result = answer.result
    if not isinstance(result, dict):
        problem = "its result isn't an object."
    elif result.get("resultType", "complete") != "complete":
        problem = f"its result is {result['resultType']!r}, which this client can't give."
    else:
        return answer
    raise McpProtocolError(server, problem, "", answer.usage)
