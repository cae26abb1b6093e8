"""A client for one MCP server over stdio: started when first used, started again after a crash.

Owns when a server process lives, how often one that fails is tried again, and the two requests
that the world needs: to list the tools and to call one. The process is `mcp_process`'s, the
messages are `mcp_session`'s. It must not know the world.
"""

import asyncio
import math
from typing import Any, Final

from .mcp_process import McpServerSpec, ServerProcess
from .mcp_session import (
    Era,
    McpAnswer,
    McpCrashed,
    McpError,
    McpProtocolError,
    McpSession,
    McpUnavailable,
)

PAGES_MAX: Final = 100
"""How many pages a list of tools may have."""
HANDSHAKE_RESERVE: Final = 0.25
"""The part of the time to start that is kept for a second process."""
BACKOFF_SHARE: Final = 0.25
"""The part of the time to start that may be spent on waiting for the start."""
FAILURES_WINDOW_S: Final = 60.0
"""How long a failure of the server counts."""
INPUT_ROUNDS_MAX: Final = 3
"""How often one call answers a server that asks for more input."""
INPUT_PAUSE_S: Final = 0.1
"""The pause before a call is repeated for a server that asked for nothing but patience."""


class McpClient:
    """One server, shared by any number of callers on one event loop.

    `close` must be awaited at the end; after it the client can't be used again.
    """

    def __init__(self, spec: McpServerSpec) -> None:
        self.spec = spec
        self.starts = 0
        """How many processes were started."""
        self._process: ServerProcess | None = None
        self._session: McpSession | None = None
        self._era: Era | None = None
        self._failures = _Failures(spec)
        self._starting: asyncio.Task[McpSession] | None = None
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

    async def start(self) -> None:
        """Make sure that the server runs and its session is open; however many ask, one start.

        Raises:
            McpUnavailable: its runtime is missing, it didn't start within
                `start_timeout_s`, or the client was closed.
        """
        await self._ready()

    async def list_tools(self, timeout_s: float | None = None) -> list[dict[str, Any]]:
        """Return the server's tools, all pages, as it sent them and in its order.

        Each has at least a `name`. `timeout_s` holds for each page (`call_timeout_s` if None).

        Raises:
            McpProtocolError: the list has no end or isn't one.
            McpError: as `call_tool`.
        """
        session = await self._ready()
        timeout_s = self.spec.call_timeout_s if timeout_s is None else timeout_s
        tools: list[dict[str, Any]] = []
        params: dict[str, Any] = {}
        cursors: set[str] = set()
        for _ in range(PAGES_MAX):
            page = _checked(
                (await session.request("tools/list", params, timeout_s)), self.spec.name
            )
            entries = page.get("tools")
            if not isinstance(entries, list) or not all(map(_is_tool, entries)):
                raise McpProtocolError(self.spec.name, "its list of tools isn't one.")
            tools += entries
            cursor = page.get("nextCursor")
            if cursor is None:
                return tools
            if not isinstance(cursor, str) or cursor in cursors:
                raise McpProtocolError(self.spec.name, "its list of tools doesn't advance.")
            cursors.add(cursor)
            params = {"cursor": cursor}
        raise McpProtocolError(self.spec.name, f"its list of tools has over {PAGES_MAX} pages.")

    async def call_tool(
        self, name: str, arguments: dict[str, Any], timeout_s: float | None = None
    ) -> McpAnswer:
        """Call a tool and return the server's answer; its `result` is a dict, as it was sent.

        `content`, `structuredContent` and `isError` are not looked at: a tool that failed is an
        answer. `timeout_s` (`call_timeout_s` if None) runs from when the session is open; a start
        that is needed first has its own bound. It runs anew with each report of progress, and
        when the server asks for more input, until `call_timeout_max_s` have passed in all.

        A server of the modern era that asks for input gets the roots, a "decline" for each
        question to a human, and the call again (2026-07-28, `InputRequiredResult`). The
        sizes in the answer are those of all rounds.

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
        session = await self._ready()
        timeout_s = self.spec.call_timeout_s if timeout_s is None else timeout_s
        params = {"name": name, "arguments": arguments}
        clock = asyncio.get_running_loop().time
        end_s = clock() + max(timeout_s, self.spec.call_timeout_max_s)
        inputs: dict[str, Any] = {}
        bytes_out = bytes_in = 0
        try:
            for _ in range(1 + INPUT_ROUNDS_MAX):
                left_s = max(end_s - clock(), 0.0)
                asked = {**params, **inputs}
                timeout_s = min(timeout_s, left_s)
                answer = await session.request("tools/call", asked, timeout_s, left_s)
                if not _wants_input(answer):
                    result = _checked(answer, self.spec.name)
                    sizes = (bytes_out + answer.bytes_out, bytes_in + answer.bytes_in)
                    return McpAnswer(result, *sizes)
                bytes_out += answer.bytes_out
                bytes_in += answer.bytes_in
                inputs = _inputs(answer.result, self.spec)
                if "inputResponses" not in inputs:
                    await asyncio.sleep(INPUT_PAUSE_S)
            problem = f"it asked for more input over {INPUT_ROUNDS_MAX} times in one call."
            raise McpProtocolError(self.spec.name, problem)
        except McpError as error:
            error.bytes_out += bytes_out
            error.bytes_in += bytes_in
            raise

    async def close(self) -> None:
        """End the server and everything it started; bounded as `ServerProcess.close` says."""
        self._closed = True
        if self._starting:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        await self._ended()

    async def _ready(self) -> McpSession:
        if self._session is not None and not self._session.is_over():
            return self._session
        if self._closed:
            raise McpUnavailable(self.spec.name, "it was closed.")
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(self._on_started)
        starting = self._starting
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if self._closed and starting.cancelled():
                raise McpUnavailable(self.spec.name, "it was closed.") from None
            raise

    def _on_started(self, task: asyncio.Task[McpSession]) -> None:
        self._starting = None
        if not task.cancelled():
            task.exception()  # every caller may have been cancelled: then nobody else looks

    async def _start(self) -> McpSession:
        """Open a session, with a second process where the probe was too much for the first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.spec.start_timeout_s
        if self._session is not None and self._session.ended_s is not None:
            self._failures.add(self._session.ended_s, self._session.fault)
            self._retire()
        wait_s = self._failures.wait_s(loop.time())
        await asyncio.sleep(min(wait_s, self.spec.start_timeout_s * BACKOFF_SHARE))
        if self._era is not Era.HANDSHAKE:
            session = await self._spawn()
            try:
                patience_s = (deadline - loop.time()) * (1 - HANDSHAKE_RESERVE)
                self._era = await session.negotiate(self.spec.probe_timeout_s, patience_s)
            except McpError:
                if self._era is Era.MODERN:
                    self._era = None
            else:
                return session
        session = await self._spawn()
        try:
            await session.initialize(deadline - loop.time())
        except McpError as error:
            fault = self._not_started(error)
            self._failures.add(loop.time(), fault)
            raise fault from error
        self._era = Era.HANDSHAKE
        return session

    def _not_started(self, error: McpError) -> McpUnavailable:
        words = error.stderr or (self._process.last_words() if self._process else "")
        self._retire()
        return McpUnavailable(self.spec.name, f"it could not be started: {error.problem}", words)

    async def _spawn(self) -> McpSession:
        await self._ended()  # two processes at once could fight over a file or a port
        process = ServerProcess(self.spec)
        spec = self.spec
        session = McpSession(spec.name, process, spec.line_bytes_max, spec.roots)
        process.attach(session)
        self._process, self._session = process, session
        self.starts += 1
        return session

    async def _ended(self) -> None:
        self._retire()
        if self._endings:
            await asyncio.wait(set(self._endings))

    def _retire(self) -> None:
        """Let the present process end in the background."""
        if self._process is None:
            return
        process, session = self._process, self._session
        self._process = self._session = None
        if session is not None:
            session.end(McpCrashed(self.spec.name, "it was closed before it answered."))
        ending = asyncio.create_task(process.close())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


class _Failures:
    """The recent failures of one server, and what they mean for the next start."""

    def __init__(self, spec: McpServerSpec) -> None:
        self._spec = spec
        self._times_s: list[float] = []
        self._shunned_until_s = 0.0
        self._last: McpError | None = None

    def add(self, when_s: float, fault: McpError | None) -> None:
        """Note that the server died or didn't start, and why."""
        self._last = fault
        recent = [time_s for time_s in self._times_s if when_s - time_s < FAILURES_WINDOW_S]
        self._times_s = [*recent, when_s]
        if len(self._times_s) >= self._spec.restarts_max:
            self._times_s.clear()
            self._shunned_until_s = when_s + self._spec.unavailable_s

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait before the next start.

        Raises:
            McpUnavailable: it failed too often; nothing is to be started now.
        """
        spec = self._spec
        if now_s < self._shunned_until_s:
            why = f" The last time {self._last.problem}" if self._last else ""
            problem = (
                f"it failed {spec.restarts_max} times within {FAILURES_WINDOW_S:g} s and is left "
                f"alone: try again in {math.ceil(self._shunned_until_s - now_s)} s.{why}"
            )
            raise McpUnavailable(spec.name, problem, self._last.stderr if self._last else "")
        if not self._times_s:
            return 0.0
        pause_s = spec.backoff_s
        for _ in self._times_s[1:]:
            pause_s = min(2 * pause_s, spec.backoff_max_s)
        return max(self._times_s[-1] + pause_s - now_s, 0.0)


def _is_tool(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("name"), str)


def _checked(answer: McpAnswer, server: str) -> dict[str, Any]:
    """Return the result, which must be an object and must be final."""
    result = answer.result
    if not isinstance(result, dict):
        problem = "its result isn't an object."
    elif result.get("resultType", "complete") != "complete":
        problem = f"its result is {result['resultType']!r}, which this client can't give."
    else:
        return result
    raise McpProtocolError(server, problem, "", answer.bytes_out, answer.bytes_in)


def _wants_input(answer: McpAnswer) -> bool:
    result = answer.result
    return isinstance(result, dict) and result.get("resultType") == "input_required"


def _inputs(result: dict[str, Any], spec: McpServerSpec) -> dict[str, Any]:
    """Return what the repeated call carries: refusals where the protocol has one, and the state.

    There is none for sampling: such a call can only fail.
    """
    requests, state = result.get("inputRequests"), result.get("requestState")
    is_sound = isinstance(requests, dict | None) and isinstance(state, str | None)
    if not is_sound or (not requests and state is None):
        raise McpProtocolError(spec.name, "it asks for more input without saying which.")
    answers: dict[str, Any] = {}
    for name, request in (requests or {}).items():
        method = request.get("method") if isinstance(request, dict) else None
        if method == "elicitation/create":
            answers[name] = {"action": "decline"}
        elif method == "roots/list":
            answers[name] = {"roots": [{"uri": uri} for uri in spec.roots]}
        else:
            problem = f"it asks for {method!r}, which this client can neither give nor decline."
            raise McpProtocolError(spec.name, problem)
    inputs: dict[str, Any] = {"inputResponses": answers} if answers else {}
    return inputs if state is None else {**inputs, "requestState": state}
