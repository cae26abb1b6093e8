"""One MCP session with one running server: requests in flight, what they use, what it asks.

Owns the meaning of messages: which answer belongs to which request, deadlines, cancellation, and
the errors that say whose fault it was. It must not know processes, pipes or the file system: bytes
leave through a `Link`, and come in through `McpSession.feed`. How a session is opened is
`mcp_opening`'s.
"""

import asyncio
import math
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

import msgspec

from .jsonrpc import (
    METHOD_NOT_FOUND,
    ErrorResponse,
    JsonRpcCodec,
    Notification,
    Oversize,
    RequestId,
    Response,
    ServerRequest,
    Unreadable,
)
from .mcp_asks import NO_HOST, ROOTS, Asks, Host, McpRefusal
from .mcp_outcome import (
    NOTHING_USED,
    McpAnswer,
    McpCallError,
    McpError,
    McpProtocolError,
    McpTimeout,
    McpTooLarge,
    Usage,
)

MODERN_VERSION: Final = "2026-07-28"
HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
BEAT_S: Final = 0.1
"""How often, while requests are in flight, what they use is measured."""

DISCOVER: Final = "server/discover"
INITIALIZE: Final = "initialize"
_REFUSED: Final = -1
"""The specification's code for a refused sampling request."""
_INTERNAL_ERROR: Final = -32603


class Link(Protocol):
    """Where a session's bytes go."""

    def send(self, data: bytes) -> None:
        """Take bytes to be written, in order, without blocking; drop them if the server is gone."""

    def is_congested(self) -> bool:
        """Tell whether so much is unwritten that nothing should be added."""

    async def drained(self) -> None:
        """Return when the link is no longer congested, or has ended."""


class Meter(Protocol):
    """What the server's processes use; times are `time.monotonic()`."""

    memory_peak_bytes: int

    def begin(self, now_s: float) -> int:
        """Note that a request begins; the mark is for `end`."""

    def end(self, mark: int, now_s: float) -> int:
        """Note that it ended; return its share of the CPU time in µs."""

    def sample(self, now_s: float) -> None:
        """Look at what is used now."""


class _Call(msgspec.Struct, eq=False):
    future: asyncio.Future[McpAnswer]
    method: str
    timeout_s: float
    begun_s: float
    deadline_s: float
    latest_s: float
    bytes_out: int
    asks: Asks | None
    mark: int


class McpSession:
    """A session over a link, on the running event loop.

    Requests may be made side by side in any number; each gets its own answer, its error or its
    timeout. Nothing that the server sends makes a method raise anything but `McpError`.
    """

    def __init__(
        self,
        server: str,
        link: Link,
        line_bytes_max: int,
        roots: tuple[str, ...] = (),
        host: Host = NO_HOST,
    ) -> None:
        """Prepare a session; `mcp_opening` opens it.

        Args:
            server: the server's name, for errors.
            link: where bytes go.
            line_bytes_max: the bound for one line from the server, without its newline.
            roots: `file://` URIs that the server may be told; none means that it can't ask.
            host: what the server may ask for in the middle of a call.
        """
        self.server = server
        self.protocol_version: str | None = None
        self.server_info: dict[str, Any] = {}
        self.capabilities: dict[str, Any] = {}
        """What the server says that it offers; its `instructions` are left alone."""
        self.offered = {**({"roots": {}} if roots else {}), **host.capabilities()}
        """What it is told that we offer."""
        self.meter: Meter | None = None
        """What measures the requests from now on."""
        self.fault: McpError | None = None
        """Why the session is over, once it is."""
        self.ended_s: float | None = None
        """When the server was found gone, by the loop's clock."""
        self.vetted = 0
        """The count of changes at which its list of tools was found good; nobody looks without a vet."""
        self.tools_changed = 0
        """How often the server said that its list of tools has changed."""
        self.logged = 0
        """Log messages from the server; they were dropped."""
        self.unanswered = 0
        """Requests of the server that got no answer because it doesn't read them."""
        self._link = link
        self._line_bytes_max = line_bytes_max
        self._host = host
        self._roots = [{"uri": uri} for uri in roots]
        self._codec = JsonRpcCodec(line_bytes_max)
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, _Call] = {}
        self._questions: dict[RequestId, tuple[_Call, asyncio.Task[bytes]]] = {}
        self._meta: dict[str, Any] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = math.inf
        self.dropped = self._codec.dropped

    # Requests.

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        timeout_s: float,
        timeout_max_s: float | None = None,
        asks: Asks | None = None,
    ) -> McpAnswer:
        """Make one request and wait at most `timeout_s` for its answer; `params` is taken over.

        With `timeout_max_s` the server is asked to report progress, and each report starts
        `timeout_s` anew, until `timeout_max_s` have passed in all. So does each answer to a
        question of the server's; while one is open, only `timeout_max_s` counts. On a timeout, and
        when the waiting task is cancelled, the server is told with `notifications/cancelled`, and
        a late answer is dropped.

        Raises:
            McpTimeout, McpCrashed, McpProtocolError, McpTooLarge, McpCallError: see there.
            ValueError, TypeError: `params`, or what the host answered, can't be said in JSON.
        """
        if self._link.is_congested() and self.fault is None:
            left_s = await self._wait_for_room(method, timeout_s)
            if timeout_max_s is not None:
                timeout_max_s -= timeout_s - left_s
            timeout_s = left_s
        future = self.begin(method, params, timeout_s, timeout_max_s, asks)
        try:
            return await future
        except asyncio.CancelledError:
            self.give_up(future)
            raise

    def adopt(
        self,
        version: str,
        info: dict[str, Any],
        capabilities: dict[str, Any],
        meta: dict[str, Any],
    ) -> None:
        """Take the session as opened; `meta` goes with each request from now on."""
        self.protocol_version, self.server_info = version, info
        self.capabilities, self._meta = capabilities, meta

    def send_off(self, method: str, params: dict[str, Any]) -> None:
        """Make a request whose answer, if there ever is one, doesn't matter."""
        self._link.send(self._codec.request(method, {**params, "_meta": self._meta})[1])

    @property
    def takes_turns(self) -> bool:
        """Whether a question can be charged only while one call is under way.

        The older eras don't say for which call they ask; it matters where the host offers anything.
        """
        return self.protocol_version != MODERN_VERSION and bool(self._host.capabilities())

    def is_over(self) -> bool:
        """Tell whether the server is gone, so that every further request would fail."""
        return self.fault is not None

    async def _wait_for_room(self, method: str, timeout_s: float) -> float:
        begun_s = monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                while self._link.is_congested():
                    await self._link.drained()
        except TimeoutError:
            problem = f"{method} could not be sent for {timeout_s:g} s: it doesn't read its input."
            usage = Usage(wall_us=_us_since(begun_s))
            raise McpTimeout(self.server, problem, "", usage) from None
        return timeout_s - (monotonic() - begun_s)

    def begin(
        self,
        method: str,
        params: dict[str, Any],
        timeout_s: float,
        timeout_max_s: float | None = None,
        asks: Asks | None = None,
    ) -> asyncio.Future[McpAnswer]:
        """Send a request as `request` does; whoever waits must `give_up` in the end."""
        future: asyncio.Future[McpAnswer] = self._loop.create_future()
        if self.fault is not None:
            future.set_exception(self.fault.again(NOTHING_USED))
            return future
        if timeout_max_s is not None:
            params["_meta"] = {**self._meta, "progressToken": self._codec.next_id}
        elif self._meta:
            params["_meta"] = self._meta
        request_id, line = self._codec.request(method, params)
        begun_s = monotonic()
        deadline_s = begun_s + timeout_s
        latest_s = max(deadline_s, begun_s + (timeout_max_s or 0.0))
        mark = -1 if self.meter is None else self.meter.begin(begun_s)
        self._calls[request_id] = _Call(
            future, method, timeout_s, begun_s, deadline_s, latest_s, len(line), asks, mark
        )
        if deadline_s < self._timer_s:
            self._set_timer(begun_s, deadline_s)
        self._link.send(line)
        return future

    def _set_timer(self, now_s: float, deadline_s: float) -> None:
        """Let the one timer of the session go off at the deadline, and in time for the beat."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = min(deadline_s, now_s + BEAT_S)
        self._timer = self._loop.call_later(max(self._timer_s - now_s, 0.0), self._on_timer)

    def _on_timer(self) -> None:
        now_s = monotonic()
        self._timer, self._timer_s = None, math.inf
        for request_id, call in list(self._calls.items()):
            if call.deadline_s <= now_s:
                self._expire(request_id, call)
        if self._calls:
            if self.meter is not None:
                self.meter.sample(now_s)
            self._set_timer(now_s, min(call.deadline_s for call in self._calls.values()))

    def _expire(self, request_id: int, call: _Call) -> None:
        self._cancel(request_id, call)
        allowed_s = round(call.deadline_s - call.begun_s, 3)
        problem = f"{call.method} was not answered within {allowed_s:g} s."
        self._fail(request_id, McpTimeout, problem)

    def _settle(self, request_id: int, bytes_in: int = 0) -> tuple[_Call, Usage] | None:
        """Take a call off the list; None if nobody waits for it any more."""
        call = self._calls.pop(request_id, None)
        if call is None:
            return None
        now_s = monotonic()
        cpu_us = memory_bytes = 0
        if self.meter is not None and call.mark >= 0:
            cpu_us = self.meter.end(call.mark, now_s)
            memory_bytes = self.meter.memory_peak_bytes
        if self._questions:
            for asking, task in self._questions.values():
                if asking is call:
                    task.cancel()
        if call.future.done():
            return None
        wall_us = int((now_s - call.begun_s) * 1e6)
        return call, Usage(call.bytes_out, bytes_in, cpu_us, memory_bytes, wall_us)

    def _fail(self, request_id: int, kind: type[McpError], problem: str, bytes_in: int = 0) -> None:
        if settled := self._settle(request_id, bytes_in):
            call, usage = settled
            call.future.set_exception(kind(self.server, problem, "", usage))

    def give_up(self, future: asyncio.Future[McpAnswer]) -> None:
        """Stop waiting for an answer, or for an outcome that asyncio would report as overlooked."""
        for request_id, call in self._calls.items():
            if call.future is future:
                self._cancel(request_id, call)
                self._settle(request_id)
                break
        if not future.cancel() and not future.cancelled():
            future.exception()

    def _cancel(self, request_id: int, call: _Call) -> None:
        self._codec.forget(request_id)
        # The specification forbids to cancel the two requests that open a session.
        if call.method not in (INITIALIZE, DISCOVER):
            self.notify("notifications/cancelled", {"requestId": request_id, "reason": "given up"})

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification, unless the server is gone or doesn't read."""
        if self.fault is None and not self._link.is_congested():
            self._link.send(self._codec.notification(method, params))

    # What comes in.

    def feed(self, data: bytes) -> None:
        """Take the next bytes that the server wrote. Never raises."""
        for event in self._codec.receive(data):
            if isinstance(event, Response):
                if settled := self._settle(event.request_id, event.size_bytes):
                    settled[0].future.set_result(McpAnswer(event.result, settled[1]))
            elif isinstance(event, Notification):
                self._note(event)
            elif isinstance(event, ServerRequest):
                self._answer(event)
            elif isinstance(event, ErrorResponse):
                if settled := self._settle(event.request_id, event.size_bytes):
                    fault = McpCallError(self.server, event, settled[1])
                    settled[0].future.set_exception(fault)
            elif isinstance(event, Unreadable):
                problem = f"its answer can't be used: {event.detail}."
                self._fail(event.request_id, McpProtocolError, problem, event.size_bytes)
            elif isinstance(event, Oversize) and event.request_id is not None:
                problem = (
                    f"its answer has {event.size_bytes} bytes; "
                    f"at most {self._line_bytes_max} are taken."
                )
                self._fail(event.request_id, McpTooLarge, problem, event.size_bytes)

    def end(self, fault: McpError) -> None:
        """Note that the server is gone: what waits and what comes fails with `fault`, at once."""
        if self.fault is not None:
            return
        self.fault = fault
        self.ended_s = self._loop.time()
        for request_id in list(self._calls):
            if settled := self._settle(request_id):
                settled[0].future.set_exception(fault.again(settled[1]))
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, notification: Notification) -> None:
        """Take in a notification. Nothing is kept of any, so that a flood costs no memory."""
        params = notification.params if isinstance(notification.params, dict) else {}
        if notification.method == "notifications/progress":
            token = params.get("progressToken")
            call = self._calls.get(token) if type(token) is int else None
            if call is not None and not (call.asks and call.asks.open):
                self._extend(call)
        elif notification.method == "notifications/tools/list_changed":
            self.tools_changed += 1
        elif notification.method == "notifications/message":
            self.logged += 1
        elif notification.method == "notifications/cancelled":
            withdrawn = params.get("requestId")
            if isinstance(withdrawn, RequestId) and withdrawn in self._questions:
                self._questions.pop(withdrawn)[1].cancel()

    def _extend(self, call: _Call) -> None:
        # The timer follows when it goes off, not with each report.
        call.deadline_s = min(monotonic() + call.timeout_s, call.latest_s)

    # What the server asks (only the older eras have such requests).

    def _answer(self, request: ServerRequest) -> None:
        if self._link.is_congested():
            self.unanswered += 1
        elif request.method == "ping":
            self._link.send(self._codec.response(request.request_id, {}))
        elif request.method == ROOTS:
            self._link.send(self._codec.response(request.request_id, {"roots": self._roots}))
        elif self._host.ask_for(request.method):
            self._ask(request)
        else:
            message = f"{request.method} is not offered by this client"
            self._link.send(self._codec.error(request.request_id, METHOD_NOT_FOUND, message))

    def _ask(self, request: ServerRequest) -> None:
        """Put a question to the host, for the one call in flight: it doesn't say for which."""
        count = len(self._calls)
        if count != 1 or request.request_id in self._questions:
            reason = "its id is in use" if count == 1 else f"{count} requests are in flight"
            message = f"{reason}: nobody can be charged for this"
            self._link.send(self._codec.error(request.request_id, _REFUSED, message))
            return
        [(call_id, call)] = self._calls.items()
        call.deadline_s = call.latest_s
        task = self._loop.create_task(self._put(request, call.asks or Asks(self._host, None)))
        self._questions[request.request_id] = call, task
        task.add_done_callback(partial(self._on_put, request.request_id, call_id))

    async def _put(self, request: ServerRequest, asks: Asks) -> bytes:
        answer = await asks.answer(request.method, request.params)
        if isinstance(answer, McpRefusal):
            return self._codec.error(request.request_id, _REFUSED, answer.message)
        return self._codec.response(request.request_id, answer)

    def _on_put(self, request_id: RequestId, call_id: int, task: asyncio.Task[bytes]) -> None:
        trouble = None if task.cancelled() else task.exception()
        question = self._questions.get(request_id)
        if question is not None and question[1] is task:  # else the server has withdrawn it
            del self._questions[request_id]
            if task.cancelled():
                line = self._codec.error(request_id, _REFUSED, "the call is over")
            elif trouble is not None:
                line = self._codec.error(request_id, _INTERNAL_ERROR, "the host failed")
            else:
                line = task.result()
            self._link.send(line)
        call = self._calls.get(call_id)
        if call is not None and trouble is not None and self._settle(call_id):
            call.future.set_exception(trouble)
            self._cancel(call_id, call)
        elif call is not None and not (call.asks and call.asks.open):
            self._extend(call)


def _us_since(begun_s: float) -> int:
    return int((monotonic() - begun_s) * 1e6)
