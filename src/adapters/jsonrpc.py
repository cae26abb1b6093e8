"""A JSON-RPC 2.0 codec for newline-delimited streams, without I/O.

Owns the wire format of MCP over stdio: framing, ids, and the four kinds of message in both
directions. Bytes go in, events come out; what is to be sent comes back as bytes. It must not know
processes, clocks, event loops or what any method means.

The other side is not trusted: no sequence of bytes makes `JsonRpcCodec.receive` raise, and after
any of them the next well-formed line is understood. What had to be dropped is counted in
`Dropped`.
"""

import re
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

RequestId = int | str
"""What a server may use as the id of its own requests; ours are always integers from 1 up."""

METHOD_NOT_FOUND: Final = -32601

_EDGE_BYTES: Final = 512
"""How much of each end of an unreadable line is searched for its id."""

_ID_FIRST: Final = re.compile(
    rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*,'
)
# Only the last member of the outermost object can stand before a single closing brace.
_ID_LAST: Final = re.compile(
    rb',\s*"id"\s*:\s*(\d{1,18})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z'
)
# Half of a surrogate pair without the other half, where each backslash begins an escape.
_LONE: Final = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
_ESCAPED_BACKSLASH: Final = rb"\\"
_MASK: Final = b"\xff\xff"
"""Stands for an escaped backslash for a moment: no UTF-8 holds these bytes."""


class Response(msgspec.Struct, frozen=True):
    """The result of a request of ours that was waiting for one; `size_bytes` is its line."""

    request_id: int
    result: Any
    size_bytes: int


class ErrorResponse(msgspec.Struct, frozen=True):
    """An error answer to a request of ours; `code` is 0 where the server gave no integer."""

    request_id: int
    code: int
    message: str
    data: Any
    size_bytes: int


class Unreadable(msgspec.Struct, frozen=True):
    """An answer to a request of ours that can't be used; `detail` says why."""

    request_id: int
    detail: str
    size_bytes: int


class Oversize(msgspec.Struct, frozen=True):
    """A line over the bound, dropped; `request_id` is the request it answered, if that shows."""

    request_id: int | None
    size_bytes: int


class ServerRequest(msgspec.Struct, frozen=True):
    """A request from the server, to be answered with `response` or `error` under its own id."""

    request_id: RequestId
    method: str
    params: Any


class Notification(msgspec.Struct, frozen=True):
    """A notification from the server; nothing may be answered."""

    method: str
    params: Any


Event = Response | ErrorResponse | Unreadable | Oversize | ServerRequest | Notification


class Dropped(msgspec.Struct):
    """How many of the server's lines or messages led to no event, or were repaired, and why."""

    noise: int = 0
    """Lines that are not JSON-RPC 2.0."""
    oversize: int = 0
    """Lines over the bound."""
    late: int = 0
    """Answers to requests that were answered or given up before."""
    unknown: int = 0
    """Answers under an id that was never given out (strings, fractions, null, integers ahead)."""
    repaired: int = 0
    """Lines with invalid UTF-8, a byte order mark or lone surrogates: kept, with U+FFFD instead."""


class _Incoming(msgspec.Struct):
    jsonrpc: str
    id: int | str | float | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Any = None
    result: Any = UNSET
    error: Any = None


class _Outgoing(msgspec.Struct, omit_defaults=True, tag_field="jsonrpc", tag="2.0"):
    # None has to be told from "absent" for `result` alone, which may be null.
    id: RequestId | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Any = None
    result: Any = UNSET
    error: Any = None


class JsonRpcCodec:
    """One end of one stream: the client's.

    Time and memory are linear in what is received; at most `line_bytes_max` bytes of an unfinished
    line are kept. Requests that wait for an answer are kept by id until they are answered or
    `forget` gives them up; a later answer is counted and dropped, never given to another request,
    because an id is never used twice.
    """

    def __init__(self, line_bytes_max: int) -> None:
        """Start a stream; `line_bytes_max` bounds one line without its newline."""
        self.dropped = Dropped()
        self.next_id = 1
        """The id that the next request gets."""
        self._line_bytes_max = line_bytes_max
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(_Incoming)
        self._batch_decoder = msgspec.json.Decoder(list[msgspec.Raw])
        self._pending: set[int] = set()
        self._unfinished = bytearray()
        self._oversize_bytes = 0
        self._head = b""
        self._tail = b""

    # What we send.

    def request(self, method: str, params: Any) -> tuple[int, bytes]:
        """Give a request its id and its line; the id is pending from now on.

        Raises:
            ValueError: `params` holds text that can't be UTF-8 (a lone surrogate).
            TypeError: `params` holds something that JSON can't say.
        """
        request_id = self.next_id
        line = self._line(_Outgoing(id=request_id, method=method, params=params))
        self.next_id += 1
        self._pending.add(request_id)
        return request_id, line

    def notification(self, method: str, params: Any) -> bytes:
        """Return the line of a notification. Raises as `request` does."""
        return self._line(_Outgoing(method=method, params=params))

    def response(self, request_id: RequestId, result: Any) -> bytes:
        """Return the line that answers a `ServerRequest`. Raises as `request` does."""
        return self._line(_Outgoing(id=request_id, result=result))

    def error(self, request_id: RequestId, code: int, message: str) -> bytes:
        """Return the line that answers a `ServerRequest` with an error."""
        return self._line(_Outgoing(id=request_id, error={"code": code, "message": message}))

    def forget(self, request_id: int) -> None:
        """Give a request up: its answer, should it still come, is counted as late and dropped."""
        self._pending.discard(request_id)

    def _line(self, message: _Outgoing) -> bytes:
        return self._encoder.encode(message) + b"\n"

    # What we receive.

    def receive(self, data: bytes) -> list[Event]:
        r"""Take the next bytes of the stream, in any chunks, and return what they complete.

        Never raises. A line ends at the byte `\n` and nowhere else (a `\r` before it is white
        space to JSON; U+2028 and its like are text).
        """
        events: list[Event] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if self._unfinished or self._oversize_bytes or end - start > self._line_bytes_max:
                self._keep(data[start:end])
                self._finish_line(events)
            else:
                self._read_line(data[start:end], events)
            start = end + 1
        if start < len(data):
            self._keep(data[start:])
        return events

    def _keep(self, part: bytes) -> None:
        if self._oversize_bytes:
            self._oversize_bytes += len(part)
            self._tail = (self._tail + part[-_EDGE_BYTES:])[-_EDGE_BYTES:]
            return
        self._unfinished += part
        if len(self._unfinished) > self._line_bytes_max:
            self._oversize_bytes = len(self._unfinished)
            self._head = bytes(self._unfinished[:_EDGE_BYTES])
            self._tail = bytes(self._unfinished[-_EDGE_BYTES:])
            self._unfinished = bytearray()

    def _finish_line(self, events: list[Event]) -> None:
        if not self._oversize_bytes:
            line, self._unfinished = self._unfinished, bytearray()
            self._read_line(line, events)
            return
        self.dropped.oversize += 1
        request_id = self._settled_by(self._head, self._tail)
        events.append(Oversize(request_id, self._oversize_bytes))
        self._oversize_bytes = 0

    def _read_line(self, line: bytes | bytearray, events: list[Event]) -> None:
        try:
            message = self._decoder.decode(line)
        except (ValueError, RecursionError) as error:
            self._read_unusual(line, error, events)
        else:
            self._read_message(message, len(line), events)

    def _read_unusual(self, line: bytes | bytearray, error: Exception, events: list[Event]) -> None:
        """Read a line that isn't one plain message: a batch, one to repair, or noise."""
        fixed = _repaired(line)
        try:
            if fixed.lstrip()[:1] == b"[":
                messages = self._batch(fixed)
            elif fixed != line:
                messages = [self._decoder.decode(fixed)]
            else:
                messages = []
        except (ValueError, RecursionError):
            messages = []
        if messages:
            if fixed != line:
                self.dropped.repaired += 1
            for message in messages:
                self._read_message(message, len(line), events)
            return
        request_id = self._settled_by(bytes(line[:_EDGE_BYTES]), bytes(line[-_EDGE_BYTES:]))
        if request_id is None:
            self.dropped.noise += 1
        else:
            events.append(Unreadable(request_id, f"it isn't valid JSON: {error}", len(line)))

    def _batch(self, line: bytes) -> list[_Incoming]:
        """Return the messages of a batch; what isn't one is noise, and so is a batch of that."""
        messages: list[_Incoming] = []
        noise = 0
        for item in self._batch_decoder.decode(line):
            try:
                messages.append(self._decoder.decode(item))
            except (ValueError, RecursionError):
                noise += 1
        if messages:
            self.dropped.noise += noise
        return messages

    def _read_message(self, message: _Incoming, size: int, events: list[Event]) -> None:
        request_id = message.id
        if message.jsonrpc != "2.0":
            self.dropped.noise += 1
        elif message.method is not UNSET:
            if request_id is UNSET:
                events.append(Notification(message.method, message.params))
            elif isinstance(request_id, RequestId):
                events.append(ServerRequest(request_id, message.method, message.params))
            else:
                self.dropped.noise += 1
        elif request_id is UNSET:
            self.dropped.noise += 1
        elif not isinstance(request_id, int) or not 0 < request_id < self.next_id:
            self.dropped.unknown += 1
        elif request_id not in self._pending:
            self.dropped.late += 1
        else:
            self._pending.remove(request_id)
            events.append(_answer(request_id, message, size))

    def _settled_by(self, head: bytes, tail: bytes) -> int | None:
        """Find the pending request that a line answers from its two ends, and settle it."""
        found = _ID_FIRST.match(head) or _ID_LAST.search(tail)
        request_id = int(found[1]) if found else 0
        if request_id not in self._pending:
            return None
        self._pending.remove(request_id)
        return request_id


def _answer(request_id: int, message: _Incoming, size: int) -> Event:
    error = message.error
    if error is None:
        if message.result is UNSET:
            return Unreadable(request_id, "it has neither a result nor an error", size)
        return Response(request_id, message.result, size)
    if not isinstance(error, dict):
        return ErrorResponse(request_id, 0, str(error), None, size)
    code = error.get("code")
    return ErrorResponse(
        request_id,
        code if isinstance(code, int) else 0,
        str(error.get("message", "")),
        error.get("data"),
        size,
    )


def _repaired(line: bytes | bytearray) -> bytes:
    """Replace what no text can hold (invalid UTF-8, lone surrogates) by U+FFFD."""
    text = line.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").encode()
    if b"\\u" not in text:
        return text
    masked = _LONE.sub(rb"\\ufffd", text.replace(_ESCAPED_BACKSLASH, _MASK))
    return masked.replace(_MASK, _ESCAPED_BACKSLASH)
