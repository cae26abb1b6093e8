"""Owns which HTTP/1.1 goes through: strict heads, which headers are passed on, our own answers.

Pure: bytes in, messages out; h11 reads and writes them. It must not know sockets. What two programs
could read in two ways (RFC 9112, 11.2) is refused, and nothing is passed on as it came: every
message is written anew from what was understood.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import h11

from ..world import Fault
from .egress import Target

HEAD_BYTES_MAX: Final = 65_536
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"))
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"

_HOP_BY_HOP: Final = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te"),
        *(b"proxy-connection", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings"),
    )
)
_BODY: Final = frozenset((b"content-length", b"transfer-encoding"))
_NEVER_NAMED: Final = frozenset((b"content-length", b"host"))

Headers = list[tuple[bytes, bytes]]


class Trouble(enum.StrEnum):
    """What a request ended by, where that was no rule of the policy; as it stands in the log."""

    MALFORMED = "malformed"
    METHOD = "method"
    SITE = "site"
    UNRESOLVED = "unresolved"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    BAD_ANSWER = "bad_answer"
    HUNG_UP = "hung_up"
    CLOSED = "closed"


class Halted(Fault):
    """A request that ends with an answer of our own: its status, the trouble, a sentence."""

    def __init__(self, status: int, reason: Trouble, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason


def request_of(head: bytes, connection: h11.Connection) -> h11.Request:
    """Read the head of a request, from its first byte to its empty line.

    `connection` is new, and ready for the body afterwards.

    Raises:
        Halted: it is malformed, ambiguous, or a method that isn't passed on.
    """
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    lengths, codings = names.count(b"content-length"), names.count(b"transfer-encoding")
    if any(byte in line for line in lines for byte in (b"\r", b"\n", b"\0")):
        raise Halted(400, Trouble.MALFORMED, "a line of the request doesn't end with CR and LF")
    if any(line[:1] in (b"", b" ", b"\t") for line in lines):
        raise Halted(400, Trouble.MALFORMED, "a header runs over two lines")
    lists = any(b"," in line for line, name in zip(lines[1:], names, strict=True) if name in _BODY)
    if lengths + codings > 1 or lists:
        raise Halted(400, Trouble.MALFORMED, "the request says twice how long its body is")
    try:
        connection.receive_data(head)
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise Halted(
            error.error_status_hint, Trouble.MALFORMED, f"this is no request: {error}"
        ) from None
    assert isinstance(request, h11.Request), request
    if request.http_version not in ((b"1.1",) if codings else (b"1.0", b"1.1")):
        raise Halted(400, Trouble.MALFORMED, "the request is not in HTTP/1.1")
    if request.method.decode() not in METHODS:
        raise Halted(405, Trouble.METHOD, f"only {', '.join(sorted(METHODS))} are passed on")
    return request


def passed_request(request: h11.Request, target: Target) -> h11.Request:
    """Return what is asked of the other side: in origin form, with a `Host` from the URL."""
    headers: Headers = [(b"Host", target.authority.encode()), (b"Connection", b"close")]
    headers += [pair for pair in _passed(request.headers) if pair[0] != b"host"]
    if any(name == b"transfer-encoding" for name, _ in request.headers):
        headers.append((b"Transfer-Encoding", b"chunked"))
    return h11.Request(method=request.method, target=target.path, headers=headers)


def passed_response(
    response: h11.Response | h11.InformationalResponse,
) -> h11.Response | h11.InformationalResponse:
    """Return what is answered; h11 sees to its framing, by a length only where that was the frame."""
    headers = _passed(response.headers)
    if any(name == b"transfer-encoding" for name, _ in response.headers):
        headers = [pair for pair in headers if pair[0] != b"content-length"]
    return type(response)(
        status_code=response.status_code,
        headers=[*headers, (b"Connection", b"close")],
        reason=response.reason,
    )


def declared_bytes(message: h11.Request | h11.Response) -> int:
    """Return the length of a body as its head says, 0 if it doesn't."""
    return next((int(value) for name, value in message.headers if name == b"content-length"), 0)


def whole_answer(
    method: str, status: int, body: bytes, kind: str = "text/plain; charset=utf-8", reason: str = ""
) -> bytes:
    """Return an answer of our own; one to HEAD has the length of its body, but not the body.

    `reason` joins the phrase of the status, since a client may show nothing else of a tunnel that
    was refused.
    """
    phrase = HTTPStatus(status).phrase + (f" ({reason})" if reason else "")
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)


def _passed(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Drop what is meant for the next hop only (RFC 9110, 7.6.1)."""
    pairs = list(headers)
    named = {
        token.strip().lower()
        for name, value in pairs
        if name == b"connection"
        for token in value.split(b",")
    }
    dropped = _HOP_BY_HOP | (named - _NEVER_NAMED)
    return [(name, value) for name, value in pairs if name not in dropped]
