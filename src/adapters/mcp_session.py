"""One MCP session with one running server: versions, requests in flight, what the server asks.

Owns the meaning of messages from the first to the last: which protocol version is spoken, which
answer belongs to which request, deadlines, cancellation, and the errors that say whose fault it
was. It must not know processes, pipes or the file system: bytes leave through a `Link`, and come
in through `McpSession.feed`.

Two families of versions are spoken (specification 2026-07-28, "Versioning", and 2025-11-25,
"Lifecycle"): the modern one has no handshake, and every request carries version and capabilities
in `_meta`; the older ones begin with `initialize`.
"""

import asyncio
import enum
from typing import Any, Final, Protocol

import msgspec

from ..world import Fault
from .jsonrpc import (
    METHOD_NOT_FOUND,
    ErrorResponse,
    JsonRpcCodec,
    Notification,
    Oversize,
    Response,
    ServerRequest,
    Unreadable,
)

MODERN_VERSION: Final = "2026-07-28"
HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
CLIENT_INFO: Final = {"name": "scripworld", "version": "0.1.0"}

_META: Final = "io.modelcontextprotocol/"
_DISCOVER: Final = "server/discover"
_INITIALIZE: Final = "initialize"
_STDERR_LINES_SHOWN: Final = 5
_STDERR_CHARS_SHOWN: Final = 600


class Era(enum.Enum):
    """The family of protocol versions that a server was found to speak."""

    MODERN = "modern"
    HANDSHAKE = "handshake"


class McpAnswer(msgspec.Struct, frozen=True):
    """What the server answered, as it sent it, and the sizes of both lines on the wire."""

    result: Any
    bytes_out: int
    bytes_in: int


class McpError(Fault):
    """A request to a tool server that brought no result.

    `server` is its name, `problem` the reason, `stderr` the server's last words (at most about
    4 KB), `bytes_out` and `bytes_in` what the failed request cost on the wire.
    """

    def __init__(
        self, server: str, problem: str, stderr: str = "", bytes_out: int = 0, bytes_in: int = 0
    ) -> None:
        super().__init__(server, problem)
        self.server = server
        self.problem = problem
        self.stderr = stderr
        self.bytes_out = bytes_out
        self.bytes_in = bytes_in

    def __str__(self) -> str:
        lines = [line.rstrip() for line in self.stderr.splitlines() if line.strip()]
        words = " | ".join(lines[-_STDERR_LINES_SHOWN:])[-_STDERR_CHARS_SHOWN:]
        shown = "".join(
            char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in words
        )
        return f"{self.server}: {self.problem}" + (f" Its last words: {shown}" if shown else "")


class McpUnavailable(McpError):
    """Nothing was asked: the runtime is missing, the server didn't start, or we had closed it."""


class McpTimeout(McpError):
    """No answer came in time. The request was cancelled; the session goes on."""


class McpCrashed(McpError):
    """The server ended or closed a stream before it answered; what it did is unknown."""


class McpProtocolError(McpError):
    """The server's answer breaks the protocol. The session goes on."""


class McpTooLarge(McpError):
    """The answer is over the bound for one line and was dropped unread. The session goes on."""


class McpCallError(McpError):
    """The server answered with a JSON-RPC error: its `code`, `message` and optional `data`."""

    def __init__(self, server: str, answer: ErrorResponse, bytes_out: int) -> None:
        problem = f"it answered with error {answer.code}: {answer.message}"
        super().__init__(server, problem, bytes_out=bytes_out, bytes_in=answer.size_bytes)
        self.code = answer.code
        self.message = answer.message
        self.data = answer.data


class Link(Protocol):
    """Where a session's bytes go."""

    def send(self, data: bytes) -> None:
        """Take bytes to be written, in order, without blocking; drop them if the server is gone."""

    def is_congested(self) -> bool:
        """Tell whether so much is unwritten that nothing should be added."""

    async def drained(self) -> None:
        """Return when the link is no longer congested, or has ended."""


class _Call(msgspec.Struct, eq=False):
    future: asyncio.Future[McpAnswer]
    method: str
    timeout_s: float
    begun_s: float
    deadline_s: float
    latest_s: float
    bytes_out: int
    timer: asyncio.TimerHandle


class McpSession:
    """A session over a link, on the running event loop.

    Requests may be made side by side in any number; each gets its own answer, its error or its
    timeout. Nothing that the server sends makes a method raise anything but `McpError`.
    """

    def __init__(
        self, server: str, link: Link, line_bytes_max: int, roots: tuple[str, ...] = ()
    ) -> None:
        """Prepare a session; nothing is sent before `negotiate` or `initialize`.

        Args:
            server: the server's name, for errors.
            link: where bytes go.
            line_bytes_max: the bound for one line from the server, without its newline.
            roots: `file://` URIs that the server may be told; none means that it can't ask.
        """
        self.protocol_version: str | None = None
        self.server_info: dict[str, Any] = {}
        self.fault: McpError | None = None
        """Why the session is over, once it is."""
        self.ended_s: float | None = None
        """When the server was found gone, by the loop's clock."""
        self.tools_changed = 0
        """How often the server said that its list of tools has changed."""
        self.logged = 0
        """Log messages from the server; they were dropped."""
        self.unanswered = 0
        """Requests of the server that got no answer because it doesn't read them."""
        self._server = server
        self._link = link
        self._line_bytes_max = line_bytes_max
        self._roots = [{"uri": uri} for uri in roots]
        self._capabilities: dict[str, Any] = {"roots": {}} if roots else {}
        self._codec = JsonRpcCodec(line_bytes_max)
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, _Call] = {}
        self._meta: dict[str, Any] | None = None
        self.dropped = self._codec.dropped

    # Requests.

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        timeout_s: float,
        timeout_max_s: float | None = None,
    ) -> McpAnswer:
        """Make one request and wait at most `timeout_s` for its answer.

        With `timeout_max_s` the server is asked to report progress, and each report starts
        `timeout_s` anew, until `timeout_max_s` have passed in all. On a timeout, and when the
        waiting task is cancelled, the server is told with `notifications/cancelled`, and a late
        answer is dropped.

        Raises:
            McpTimeout, McpCrashed, McpProtocolError, McpTooLarge, McpCallError: see there.
            ValueError, TypeError: `params` can't be said in JSON.
        """
        if self.fault is None and self._link.is_congested():
            left_s = await self._wait_for_room(method, timeout_s)
            if timeout_max_s is not None:
                timeout_max_s -= timeout_s - left_s
            timeout_s = left_s
        future = self._begin(method, params, timeout_s, timeout_max_s)
        try:
            return await future
        except asyncio.CancelledError:
            self._give_up(future)
            raise

    def is_over(self) -> bool:
        """Tell whether the server is gone, so that every further request would fail."""
        return self.fault is not None

    async def _wait_for_room(self, method: str, timeout_s: float) -> float:
        begun = self._loop.time()
        try:
            async with asyncio.timeout(timeout_s):
                while self._link.is_congested():
                    await self._link.drained()
        except TimeoutError:
            problem = f"{method} could not be sent for {timeout_s:g} s: it doesn't read its input."
            raise McpTimeout(self._server, problem) from None
        return timeout_s - (self._loop.time() - begun)

    def _begin(
        self,
        method: str,
        params: dict[str, Any],
        timeout_s: float,
        timeout_max_s: float | None = None,
    ) -> asyncio.Future[McpAnswer]:
        future: asyncio.Future[McpAnswer] = self._loop.create_future()
        if self.fault is not None:
            future.set_exception(_again(self.fault, 0))
            return future
        meta = dict(self._meta or {})
        if timeout_max_s is not None:
            meta["progressToken"] = self._codec.next_id
        if meta:
            params = {**params, "_meta": meta}
        request_id, line = self._codec.request(method, params)
        begun_s = self._loop.time()
        deadline_s = begun_s + timeout_s
        latest_s = max(deadline_s, begun_s + (timeout_max_s or 0.0))
        timer = self._loop.call_at(deadline_s, self._expire, request_id)
        self._calls[request_id] = _Call(
            future, method, timeout_s, begun_s, deadline_s, latest_s, len(line), timer
        )
        self._link.send(line)
        return future

    def _settle(self, request_id: int) -> _Call | None:
        """Take a call off the list; None if nobody waits for it any more."""
        call = self._calls.pop(request_id, None)
        if call is None:
            return None
        call.timer.cancel()
        return None if call.future.done() else call

    def _expire(self, request_id: int) -> None:
        call = self._calls.get(request_id)
        if call is not None and call.deadline_s > call.timer.when():  # there was progress
            call.timer = self._loop.call_at(call.deadline_s, self._expire, request_id)
            return
        call = self._settle(request_id)
        self._cancel(request_id, call)
        if call is not None:
            allowed_s = round(call.deadline_s - call.begun_s, 3)
            problem = f"{call.method} was not answered within {allowed_s:g} s."
            call.future.set_exception(McpTimeout(self._server, problem, bytes_out=call.bytes_out))

    def _give_up(self, future: asyncio.Future[McpAnswer]) -> None:
        """Stop waiting for an answer, or for an outcome that asyncio would report as overlooked."""
        for request_id, call in self._calls.items():
            if call.future is future:
                self._settle(request_id)
                self._cancel(request_id, call)
                break
        if not future.cancel() and not future.cancelled():
            future.exception()

    def _cancel(self, request_id: int, call: _Call | None) -> None:
        self._codec.forget(request_id)
        # The specification forbids to cancel the two requests that open a session.
        if call is not None and call.method not in (_INITIALIZE, _DISCOVER):
            self._notify("notifications/cancelled", {"requestId": request_id, "reason": "given up"})

    def _notify(self, method: str, params: dict[str, Any]) -> None:
        if self.fault is None and not self._link.is_congested():
            self._link.send(self._codec.notification(method, params))

    # What comes in.

    def feed(self, data: bytes) -> None:
        """Take the next bytes that the server wrote. Never raises."""
        for event in self._codec.receive(data):
            if isinstance(event, Response):
                if call := self._settle(event.request_id):
                    answer = McpAnswer(event.result, call.bytes_out, event.size_bytes)
                    call.future.set_result(answer)
            elif isinstance(event, Notification):
                self._note(event)
            elif isinstance(event, ServerRequest):
                self._answer(event)
            elif isinstance(event, ErrorResponse):
                if call := self._settle(event.request_id):
                    fault: McpError = McpCallError(self._server, event, call.bytes_out)
                    call.future.set_exception(fault)
            elif isinstance(event, Unreadable):
                problem = f"its answer can't be used: {event.detail}."
                self._fail(McpProtocolError, event.request_id, problem, event.size_bytes)
            elif isinstance(event, Oversize) and event.request_id is not None:
                problem = (
                    f"its answer has {event.size_bytes} bytes; "
                    f"at most {self._line_bytes_max} are taken."
                )
                self._fail(McpTooLarge, event.request_id, problem, event.size_bytes)

    def end(self, fault: McpError) -> None:
        """Note that the server is gone: what waits and what comes fails with `fault`, at once."""
        if self.fault is not None:
            return
        self.fault = fault
        self.ended_s = self._loop.time()
        for request_id in list(self._calls):
            if call := self._settle(request_id):
                call.future.set_exception(_again(fault, call.bytes_out))

    def _fail(self, kind: type[McpError], request_id: int, problem: str, bytes_in: int) -> None:
        if call := self._settle(request_id):
            fault = kind(self._server, problem, bytes_out=call.bytes_out, bytes_in=bytes_in)
            call.future.set_exception(fault)

    def _note(self, notification: Notification) -> None:
        """Take in a notification. Nothing is kept of any, so that a flood costs no memory."""
        if notification.method == "notifications/progress":
            params = notification.params
            token = params.get("progressToken") if isinstance(params, dict) else None
            call = self._calls.get(token) if type(token) is int else None
            if call is not None:  # the timer follows when it goes off, not with each report
                call.deadline_s = min(self._loop.time() + call.timeout_s, call.latest_s)
        elif notification.method == "notifications/tools/list_changed":
            self.tools_changed += 1
        elif notification.method == "notifications/message":
            self.logged += 1

    def _answer(self, request: ServerRequest) -> None:
        if self._link.is_congested():
            self.unanswered += 1
        elif request.method == "ping":
            self._link.send(self._codec.response(request.request_id, {}))
        elif request.method == "roots/list":
            self._link.send(self._codec.response(request.request_id, {"roots": self._roots}))
        else:
            message = f"{request.method} is not offered by this client"
            self._link.send(self._codec.error(request.request_id, METHOD_NOT_FOUND, message))

    # Opening.

    async def negotiate(self, probe_s: float, timeout_s: float) -> Era:
        """Find out what the server speaks, and open the session.

        `server/discover` goes first. Any answer but a modern one, or none for `probe_s`, brings
        `initialize` on the same stream; whichever answer shows an era decides, so that a server
        that is slow to start isn't mistaken for one that doesn't understand.

        Raises:
            McpError: neither way led to a session; an old server may have been upset by the probe
                and deserves a new process and `initialize` alone.
        """
        meta = {
            f"{_META}protocolVersion": MODERN_VERSION,
            f"{_META}clientInfo": CLIENT_INFO,
            f"{_META}clientCapabilities": self._capabilities,
        }
        begun = self._loop.time()
        discovery = self._begin(_DISCOVER, {"_meta": meta}, timeout_s)
        handshake: asyncio.Future[McpAnswer] | None = None
        try:
            await asyncio.wait({discovery}, timeout=probe_s)
            if not self._adopt_discovery(discovery, meta):
                left_s = timeout_s - (self._loop.time() - begun)
                handshake = self._begin(_INITIALIZE, self._handshake_params(), left_s)
                open_ways = {way for way in (discovery, handshake) if not way.done()}
                if open_ways:
                    await asyncio.wait(open_ways, return_when=asyncio.FIRST_COMPLETED)
                if not self._adopt_discovery(discovery, meta):
                    self._adopt_handshake(await handshake)
                    return Era.HANDSHAKE
            return Era.MODERN
        finally:
            for way in (discovery, handshake):
                if way is not None:
                    self._give_up(way)

    async def initialize(self, timeout_s: float) -> None:
        """Open the session with the handshake alone. Raises McpError as `request` does."""
        self._adopt_handshake(await self.request(_INITIALIZE, self._handshake_params(), timeout_s))

    def _handshake_params(self) -> dict[str, Any]:
        return {
            "protocolVersion": HANDSHAKE_VERSIONS[-1],
            "capabilities": self._capabilities,
            "clientInfo": CLIENT_INFO,
        }

    def _adopt_discovery(self, way: asyncio.Future[McpAnswer], meta: dict[str, Any]) -> bool:
        if not way.done() or way.exception() is not None:
            return False
        result = way.result().result
        versions = result.get("supportedVersions") if isinstance(result, dict) else None
        if not isinstance(versions, list) or MODERN_VERSION not in versions:
            return False
        stamp = result.get("_meta")
        info = stamp.get(f"{_META}serverInfo") if isinstance(stamp, dict) else None
        self.server_info = info if isinstance(info, dict) else {}
        self.protocol_version = MODERN_VERSION
        self._meta = meta
        return True

    def _adopt_handshake(self, answer: McpAnswer) -> None:
        result = answer.result if isinstance(answer.result, dict) else {}
        version = result.get("protocolVersion")
        if version not in HANDSHAKE_VERSIONS:
            problem = f"it wants to speak version {version!r}, which this client doesn't know."
            raise McpProtocolError(self._server, problem)
        info = result.get("serverInfo")
        self.server_info = info if isinstance(info, dict) else {}
        self.protocol_version = version
        self._notify("notifications/initialized", {})


def _again(fault: McpError, bytes_out: int) -> McpError:
    """One fault ends many requests; each raises its own copy."""
    return type(fault)(fault.server, fault.problem, fault.stderr, bytes_out)
