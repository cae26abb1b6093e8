"""Owns the bytes of one connection that is allowed: a tunnel, or a request and its answer.

Both ways at once, with backpressure, bounds on size and on silence, and counts. It must not know
what is allowed, nor what is noted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final, NamedTuple

import h11

from .egress import EgressPolicy, EgressRefused, Rule
from .egress_http import (
    ESTABLISHED,
    HEAD_BYTES_MAX,
    Halted,
    Trouble,
    declared_bytes,
    passed_response,
)

READ_BYTES: Final = 65_536
LINGER_S: Final = 1.0
"""How long a client that still sends is listened to after an answer."""
INFORMATIONAL_MAX: Final = 16


class Relay:
    """One client, and what goes between it and the other side.

    `patience` is the time without a byte: whoever moves bytes here is inside of it. `status` is 0
    until an answer has begun; `bytes_out` and `bytes_in` count the other side's wire.
    """

    def __init__(
        self, policy: EgressPolicy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.patience = asyncio.timeout(None)
        self.status = 0
        self.bytes_out = 0
        self.bytes_in = 0
        self._policy = policy
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=0)

    async def finish(self) -> None:
        """End our half, and hear a client out that still sends.

        To close with unread data would be a reset, which may overtake the answer.
        """
        with contextlib.suppress(OSError):
            async with asyncio.timeout(LINGER_S):
                self._writer.write_eof()
                while await self._reader.read(READ_BYTES):
                    pass

    async def tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tell the client that the other side is there, and carry bytes until both have ended.

        Raises:
            EgressRefused: one way carried too much.
            OSError: one of the two hung up.
        """
        self.status = 200
        await self.write(self._writer, ESTABLISHED)
        await _both(self._pump_out(writer), self._pump_in(reader))
        await self.finish()

    async def _pump_out(self, writer: asyncio.StreamWriter) -> None:
        while data := await self._read(self._reader):
            self.bytes_out += len(data)
            if self.bytes_out > self._policy.request_bytes_max:
                raise too_large(Rule.REQUEST_BYTES_MAX)
            await self.write(writer, data)
        writer.write_eof()

    async def _pump_in(self, reader: asyncio.StreamReader) -> None:
        while data := await self._read(reader):
            self.bytes_in += len(data)
            self._check_size(self.bytes_in)
            await self.write(self._writer, data)
        self._writer.write_eof()

    async def request(
        self,
        request: h11.Request,
        inner: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Send a request and its body, and pass on the answer; the answer may end before them.

        `inner` is the client's side, which has read the head that `request` was made of; `reader`
        and `writer` lead to the other side.

        Raises:
            Halted: one of the two sides broke the protocol, or the other one broke off.
            EgressRefused: a body is too large.
            OSError: the client hung up.
        """
        outer = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
        way = _Way(inner, outer, reader, writer)
        upload = asyncio.create_task(self._upload(way, request))
        try:
            await self._download(way, request)
        except (OSError, h11.RemoteProtocolError) as error:
            if upload.done() and (fault := upload.exception()):
                raise fault from error
            if self._reader.exception() or self._writer.is_closing():
                raise
            raise Halted(502, Trouble.BAD_ANSWER, "the other side gave no whole answer") from error
        finally:
            upload.cancel()
            await asyncio.wait({upload})
            if not upload.cancelled():
                upload.exception()
        await self.finish()

    async def _upload(self, way: _Way, request: h11.Request) -> None:
        """Pass on the body of a request; if it is none, the other side is hung up on."""
        size = 0
        try:
            await self._send(way, request)
            while not isinstance(event := way.inner.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    size += len(event.data)
                    if size > self._policy.request_bytes_max:
                        raise too_large(Rule.REQUEST_BYTES_MAX)
                    await self._send(way, h11.Data(data=event.data))
                else:
                    assert event is h11.NEED_DATA, event
                    way.inner.receive_data(await self._read(self._reader))
            await self._send(way, h11.EndOfMessage())
        except h11.RemoteProtocolError as error:
            way.writer.transport.abort()
            raise Halted(
                400, Trouble.MALFORMED, f"the body is not as its head says: {error}"
            ) from None
        except EgressRefused:
            way.writer.transport.abort()
            raise
        except OSError:  # whichever side is gone: the download ends by it, and tells
            way.writer.transport.abort()

    async def _download(self, way: _Way, request: h11.Request) -> None:
        """Pass on an answer, written anew for what the client speaks."""
        size = informed = 0
        while not isinstance(event := way.outer.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                data = await self._read(way.reader)
                self.bytes_in += len(data)
                way.outer.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                informed += 1
                if informed > INFORMATIONAL_MAX:
                    raise Halted(502, Trouble.BAD_ANSWER, "the other side never comes to an answer")
                if way.inner.their_http_version != b"1.0":
                    await self._answer(way, passed_response(event))
            elif isinstance(event, h11.Response):
                if request.method != b"HEAD":
                    self._check_size(declared_bytes(event))
                self.status = event.status_code
                await self._answer(way, passed_response(event))
            else:
                assert isinstance(event, h11.Data), event
                size += len(event.data)
                self._check_size(size)
                await self._answer(way, h11.Data(data=event.data))
        await self._answer(way, h11.EndOfMessage())

    def _check_size(self, size: int) -> None:
        if size > self._policy.response_bytes_max:
            raise too_large(Rule.RESPONSE_BYTES_MAX)

    async def _answer(self, way: _Way, event: Any) -> None:
        await self.write(self._writer, way.inner.send(event) or b"")

    async def _send(self, way: _Way, event: Any) -> None:
        data = way.outer.send(event) or b""
        self.bytes_out += len(data)
        await self.write(way.writer, data)

    # Bytes.

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        data = await reader.read(READ_BYTES)
        self.moved()
        return data

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Write and wait until the system has taken it."""
        writer.write(data)
        await writer.drain()
        self.moved()

    def moved(self) -> None:
        """Something went one way or the other: the idle time begins anew."""
        now_s = asyncio.get_running_loop().time()
        self.patience.reschedule(now_s + self._policy.idle_timeout_s)


class _Way(NamedTuple):
    """The two ends of a relayed request: what the client speaks, what the other side speaks."""

    inner: h11.Connection
    outer: h11.Connection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def too_large(rule: Rule) -> EgressRefused:
    """Return the refusal of a body that is over a bound."""
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
