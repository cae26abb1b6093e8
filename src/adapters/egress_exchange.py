"""Owns one connection of a client of the proxy: its one request, or its one tunnel.

The request is read, checked against the policy, sent to an address that was checked, and answered,
with backpressure and bounds both ways; what became of it is one `EgressEvent`. It must not know who
listens, how many connections there are, or where events go.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, Protocol

import h11

from .egress import (
    SCHEMES,
    EgressPolicy,
    EgressRefused,
    Rule,
    Target,
    target_of_authority,
    target_of_url,
)
from .egress_http import (
    ESTABLISHED,
    HEAD_BYTES_MAX,
    Halted,
    declared_bytes,
    passed_request,
    passed_response,
    request_of,
    whole_answer,
)
from .egress_log import EgressEvent, Verdict, utc_now

HEAD_TIMEOUT_S: Final = 15.0
"""For the whole head of a request, however slowly it comes."""
READ_BYTES: Final = 65_536
LINGER_S: Final = 1.0
"""How long a client that still sends is listened to after an answer of our own."""
INFORMATIONAL_MAX: Final = 16
ADDRESSES_MAX: Final = 8
"""How many addresses of a name are tried; all of them are checked."""

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a name and a port to all its addresses; raises OSError if there are none."""


class Page(NamedTuple):
    """What a site answers: a status, the type of its content, and that."""

    status: int
    kind: str
    body: bytes


class Route(Protocol):
    """A host that is served here, without a network."""

    def answer(self, method: str, path: str) -> Page:
        """Answer a request for `path`, which may hold a query."""


@dataclass(frozen=True)
class Rules:
    """By what an exchange goes: the server it is for, its policy, what is served here, names."""

    server: str
    policy: EgressPolicy
    routes: Mapping[str, Route]
    resolve: Resolver


class Exchange:
    """One connection of a client, from its first byte to its end."""

    def __init__(
        self, rules: Rules, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._rules = rules
        self._policy = rules.policy
        self._reader = reader
        self._writer = writer
        self._outer: asyncio.StreamWriter | None = None
        writer.transport.set_write_buffer_limits(high=0)
        self._patience = asyncio.timeout(None)
        self._time = utc_now()
        self._began_s = time.monotonic()
        self._method = ""
        self._target: Target | None = None
        self._address = ""
        self._verdict: Verdict = "allowed"
        self._reason = ""
        self._status = 0
        self._bytes_out = 0
        self._bytes_in = 0

    def event(self) -> EgressEvent | None:
        """Return what became of it so far; None if the client said nothing at all."""
        if not self._method and not self._reason:
            return None
        target = self._target
        return EgressEvent(
            self._time,
            self._rules.server,
            self._method,
            target.scheme if target else "",
            target.host if target else "",
            target.port if target else 0,
            self._address,
            self._verdict,
            self._reason,
            self._status,
            self._bytes_out,
            self._bytes_in,
            round((time.monotonic() - self._began_s) * 1000),
        )

    async def run(self) -> None:
        """Carry it out. Raises nothing but its own cancellation, and leaves nothing open."""
        try:
            async with self._patience:
                await self._carry_out()
        except (EgressRefused, Halted) as fault:
            await self._halt(fault)
        except TimeoutError:
            await self._halt(Halted(504, "timeout", "the other side was silent for too long"))
        except (OSError, h11.ProtocolError):
            self._end("cut", "hung up")
        except asyncio.CancelledError:
            self._end("cut", "closed")
            raise
        finally:
            for writer in (self._writer, self._outer):
                if writer is not None:
                    writer.transport.abort()

    def _end(self, verdict: Verdict, reason: str) -> None:
        if self._method:
            self._verdict, self._reason = verdict, reason

    async def _halt(self, fault: EgressRefused | Halted) -> None:
        """Answer with what went wrong, or cut the answer that has begun."""
        if isinstance(fault, EgressRefused):
            text = f"Blocked by the egress policy of {self._rules.server}: {fault}.\n"
            status, reason = 403, str(fault.rule)
        else:
            text = f"The egress proxy of {self._rules.server} gave up: {fault}.\n"
            status, reason = fault.status, fault.reason
        if self._status:
            self._verdict, self._reason = "cut", reason
            return
        self._verdict = "refused" if status < 500 else "failed"
        self._reason, self._status = reason, status
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                why = f"egress policy: {reason}" if status == 403 else reason
                self._writer.write(whole_answer(self._method, status, text.encode(), reason=why))
                await self._writer.drain()
        await self._finish()

    async def _finish(self) -> None:
        """End our half, and hear a client out that still sends.

        To close with unread data would be a reset, which may overtake the answer.
        """
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                self._writer.write_eof()
                while await self._reader.read(READ_BYTES):
                    pass

    async def _carry_out(self) -> None:
        inner = _inner()
        request = await self._request(inner)
        if request is None:
            return
        self._method = request.method.decode()
        asked = request.target.decode()
        is_tunnel = self._method == "CONNECT"
        target = target_of_authority(asked) if is_tunnel else target_of_url(asked)
        self._target = target
        if route := self._rules.routes.get(target.host):
            await self._visit(route, target)
            return
        self._policy.check(target)
        if not is_tunnel and target.scheme != "http":
            raise Halted(400, "malformed", "what isn't plain http goes through a tunnel (CONNECT)")
        if declared_bytes(request) > self._policy.request_bytes_max:
            raise _too_large(Rule.REQUEST_BYTES_MAX)
        outer_reader, outer_writer = await self._connect(target)
        if is_tunnel:
            await self._tunnel(outer_reader, outer_writer)
        else:
            outer = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
            way = _Way(inner, outer, outer_reader, outer_writer)
            await self._relay(way, passed_request(request, target))

    async def _request(self, inner: h11.Connection) -> h11.Request | None:
        """Read a head; None if there is none."""
        lines: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(min(HEAD_TIMEOUT_S, self._policy.idle_timeout_s)):
                while not lines or lines[-1] != b"\r\n":
                    lines.append(await self._reader.readuntil(b"\n"))
                    size += len(lines[-1])
                    if size > HEAD_BYTES_MAX:
                        raise asyncio.LimitOverrunError("", size)
                    if not lines[-1].endswith(b"\r\n"):
                        raise Halted(400, "malformed", "a line doesn't end with CR and LF")
        except TimeoutError:
            if not lines:
                return None
            raise Halted(408, "timeout", "the request came too slowly") from None
        except asyncio.LimitOverrunError:
            raise Halted(431, "malformed", f"its head is over {HEAD_BYTES_MAX} bytes") from None
        except asyncio.IncompleteReadError:
            return None
        return request_of(b"".join(lines), inner)

    # What is served here.

    async def _visit(self, route: Route, target: Target) -> None:
        self._moved()
        if target.scheme != "http" or target.port != SCHEMES["http"]:
            raise Halted(400, "site", f"{target.host} is served at http://{target.host}/ only")
        method, path = self._method, target.path
        if method == "CONNECT":
            await self._write(self._writer, ESTABLISHED)
            inside = await self._request(_inner())
            if inside is None:
                return
            method, path = inside.method.decode(), inside.target.decode()
        page = route.answer(method, path)
        self._status, self._bytes_in = page.status, len(page.body)
        answer = whole_answer(method, page.status, page.body, page.kind)
        await self._write(self._writer, answer)
        await self._finish()

    # What is reached.

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to an address that was checked; the name isn't looked up again."""
        end_s = time.monotonic() + self._policy.connect_timeout_s
        try:
            async with asyncio.timeout(self._policy.connect_timeout_s):
                addresses = await self._addresses(target)
        except TimeoutError:
            raise Halted(504, "timeout", f"{target.host} could not be looked up in time") from None
        self._policy.check_addresses(target.host, map(ip_address, addresses))
        tried = addresses[:ADDRESSES_MAX]
        trouble = Halted(502, "unreachable", f"{target.host} could not be reached")
        for number, address in enumerate(tried):
            share_s = max(end_s - time.monotonic(), 0.0) / (len(tried) - number)
            try:
                async with asyncio.timeout(share_s):
                    reader, self._outer = await asyncio.open_connection(
                        address, target.port, limit=READ_BYTES
                    )
                    self._outer.transport.set_write_buffer_limits(high=0)
            except TimeoutError:
                trouble = Halted(504, "timeout", f"{target.host} could not be reached in time")
            except OSError:
                pass
            else:
                self._address = address
                self._moved()
                return reader, self._outer
        raise trouble

    async def _addresses(self, target: Target) -> Sequence[str]:
        try:
            return [str(ip_address(target.host))]
        except ValueError:
            pass
        try:
            found = await self._rules.resolve(target.host, target.port)
        except TimeoutError:
            raise
        except OSError:
            found = ()
        if not found:
            raise Halted(502, "unresolved", f"{target.host} has no address")
        return list(dict.fromkeys(found))

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._status = 200
        await self._write(self._writer, ESTABLISHED)
        await _both(self._pump_out(writer), self._pump_in(reader))
        await self._finish()

    async def _pump_out(self, writer: asyncio.StreamWriter) -> None:
        while data := await self._read(self._reader):
            self._bytes_out += len(data)
            if self._bytes_out > self._policy.request_bytes_max:
                raise _too_large(Rule.REQUEST_BYTES_MAX)
            await self._write(writer, data)
        writer.write_eof()

    async def _pump_in(self, reader: asyncio.StreamReader) -> None:
        while data := await self._read(reader):
            self._bytes_in += len(data)
            self._check_size(self._bytes_in)
            await self._write(self._writer, data)
        self._writer.write_eof()

    async def _relay(self, way: _Way, request: h11.Request) -> None:
        """Send a request and its body, and pass on the answer; the answer may end before them."""
        await self._send(way, request)
        upload = asyncio.create_task(self._upload(way))
        try:
            await self._download(way)
        except (OSError, h11.RemoteProtocolError) as error:
            if upload.done() and (fault := upload.exception()):
                raise fault from error
            raise Halted(502, "bad answer", "the other side gave no whole answer") from error
        finally:
            upload.cancel()
            await asyncio.wait({upload})
            if not upload.cancelled():
                upload.exception()
        await self._finish()

    async def _upload(self, way: _Way) -> None:
        """Pass on the body of a request; if it is none, the other side is hung up on."""
        size = 0
        try:
            while not isinstance(event := way.inner.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    size += len(event.data)
                    if size > self._policy.request_bytes_max:
                        raise _too_large(Rule.REQUEST_BYTES_MAX)
                    await self._send(way, h11.Data(data=event.data))
                else:
                    assert event is h11.NEED_DATA, event
                    way.inner.receive_data(await self._read(self._reader))
            await self._send(way, h11.EndOfMessage())
        except h11.RemoteProtocolError as error:
            way.writer.transport.abort()
            raise Halted(400, "malformed", f"the body is not as its head says: {error}") from None
        except (EgressRefused, OSError):
            way.writer.transport.abort()
            raise

    async def _download(self, way: _Way) -> None:
        """Pass on an answer, written anew for what the client speaks."""
        size = informed = 0
        while not isinstance(event := way.outer.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                data = await self._read(way.reader)
                self._bytes_in += len(data)
                way.outer.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                informed += 1
                if informed > INFORMATIONAL_MAX:
                    raise Halted(502, "bad answer", "the other side never comes to an answer")
                if way.inner.their_http_version != b"1.0":
                    await self._answer(way, passed_response(event))
            elif isinstance(event, h11.Response):
                if self._method != "HEAD":
                    self._check_size(declared_bytes(event))
                self._status = event.status_code
                await self._answer(way, passed_response(event))
            else:
                assert isinstance(event, h11.Data), event
                size += len(event.data)
                self._check_size(size)
                await self._answer(way, h11.Data(data=event.data))
        await self._answer(way, h11.EndOfMessage())

    def _check_size(self, size: int) -> None:
        if size > self._policy.response_bytes_max:
            raise _too_large(Rule.RESPONSE_BYTES_MAX)

    async def _answer(self, way: _Way, event: Any) -> None:
        await self._write(self._writer, way.inner.send(event) or b"")

    async def _send(self, way: _Way, event: Any) -> None:
        data = way.outer.send(event) or b""
        self._bytes_out += len(data)
        await self._write(way.writer, data)

    # Bytes.

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        data = await reader.read(READ_BYTES)
        self._moved()
        return data

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self._moved()

    def _moved(self) -> None:
        """Something went one way or the other: the idle time begins anew."""
        now_s = asyncio.get_running_loop().time()
        self._patience.reschedule(now_s + self._policy.idle_timeout_s)


class _Way(NamedTuple):
    """The two ends of a relayed request: what the client speaks, what the other side speaks."""

    inner: h11.Connection
    outer: h11.Connection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def _inner() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=2 * HEAD_BYTES_MAX)


def _too_large(rule: Rule) -> EgressRefused:
    what = "the request" if rule is Rule.REQUEST_BYTES_MAX else "the answer"
    return EgressRefused(rule, f"{what} is larger than is allowed")


async def _both(*ways: Coroutine[Any, Any, None]) -> None:
    """Go both ways until both are done or one failed; leave neither behind."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
