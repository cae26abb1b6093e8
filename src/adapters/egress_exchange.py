"""Owns one connection of a client of the proxy: its one request, or its one tunnel.

The request is read, checked against the policy, and given to a `Relay` with an address that was
checked, or answered by us; what became of it is one `EgressEvent`. It must not know who listens, how
many connections there are, or where events go.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, NamedTuple, Protocol

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
    Trouble,
    declared_bytes,
    passed_request,
    request_of,
    whole_answer,
)
from .egress_log import EgressEvent, Verdict, utc_now
from .egress_relay import LINGER_S, READ_BYTES, Relay, too_large

HEAD_TIMEOUT_S: Final = 15.0
"""For the whole head of a request, however slowly it comes."""
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
class Terms:
    """By what an exchange goes: the server it is for, its policy, what is served here, names."""

    server: str
    policy: EgressPolicy
    routes: Mapping[str, Route]
    resolve: Resolver


class Exchange:
    """One connection of a client, from its first byte to its end."""

    def __init__(
        self, terms: Terms, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._terms = terms
        self._policy = terms.policy
        self._reader = reader
        self._writer = writer
        self._outer: asyncio.StreamWriter | None = None
        self._relay = Relay(terms.policy, reader, writer)
        self._time = utc_now()
        self._began_s = time.monotonic()
        self._method = ""
        self._target: Target | None = None
        self._address = ""
        self._verdict: Verdict = "allowed"
        self._reason = ""

    def event(self) -> EgressEvent | None:
        """Return what became of it so far; None if the client said nothing at all."""
        if not self._method and not self._reason:
            return None
        target = self._target
        return EgressEvent(
            self._time,
            self._terms.server,
            self._method,
            target.scheme if target else "",
            target.host if target else "",
            target.port if target else 0,
            self._address,
            self._verdict,
            self._reason,
            self._relay.status,
            self._relay.bytes_out,
            self._relay.bytes_in,
            round((time.monotonic() - self._began_s) * 1000),
        )

    async def run(self) -> None:
        """Carry it out. Raises nothing but its own cancellation, and leaves nothing open."""
        try:
            async with self._relay.patience:
                await self._carry_out()
        except (EgressRefused, Halted) as fault:
            await self._halt(fault)
        except TimeoutError:
            await self._halt(Halted(504, Trouble.TIMEOUT, "the other side was silent for too long"))
        except (OSError, h11.ProtocolError):
            self._cut(Trouble.HUNG_UP)
        except asyncio.CancelledError:
            self._cut(Trouble.CLOSED)
            raise
        finally:
            for writer in (self._writer, self._outer):
                if writer is not None:
                    writer.transport.abort()

    def _cut(self, reason: str) -> None:
        if self._method:
            self._verdict, self._reason = "cut", reason

    async def _halt(self, fault: EgressRefused | Halted) -> None:
        """Answer with what went wrong, or cut the answer that has begun."""
        if isinstance(fault, EgressRefused):
            text = f"Blocked by the egress policy of {self._terms.server}: {fault}.\n"
            status, reason = 403, str(fault.rule)
        else:
            text = f"The egress proxy of {self._terms.server} gave up: {fault}.\n"
            status, reason = fault.status, fault.reason
        if self._relay.status:
            self._cut(reason)
            return
        self._verdict = "refused" if status < 500 else "failed"
        self._reason, self._relay.status = reason, status
        with contextlib.suppress(OSError):
            async with asyncio.timeout(LINGER_S):
                why = f"egress policy: {reason}" if status == 403 else reason
                self._writer.write(whole_answer(self._method, status, text.encode(), reason=why))
                await self._writer.drain()
        await self._relay.finish()

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
        if route := self._terms.routes.get(target.host):
            await self._visit(route, target)
            return
        self._policy.check(target)
        if not is_tunnel and target.scheme != "http":
            raise Halted(
                400, Trouble.MALFORMED, "what isn't plain http goes through a tunnel (CONNECT)"
            )
        if declared_bytes(request) > self._policy.request_bytes_max:
            raise too_large(Rule.REQUEST_BYTES_MAX)
        outer_reader, outer_writer = await self._connect(target)
        if is_tunnel:
            await self._relay.tunnel(outer_reader, outer_writer)
        else:
            passed = passed_request(request, target)
            await self._relay.request(passed, inner, outer_reader, outer_writer)

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
                        raise Halted(400, Trouble.MALFORMED, "a line doesn't end with CR and LF")
        except TimeoutError:
            if not lines:
                return None
            raise Halted(408, Trouble.TIMEOUT, "the request came too slowly") from None
        except asyncio.LimitOverrunError:
            raise Halted(
                431, Trouble.MALFORMED, f"its head is over {HEAD_BYTES_MAX} bytes"
            ) from None
        except asyncio.IncompleteReadError:
            return None
        return request_of(b"".join(lines), inner)

    # What is served here.

    async def _visit(self, route: Route, target: Target) -> None:
        self._relay.moved()
        if target.scheme != "http" or target.port != SCHEMES["http"]:
            raise Halted(
                400, Trouble.SITE, f"{target.host} is served at http://{target.host}/ only"
            )
        method, path = self._method, target.path
        if method == "CONNECT":
            await self._relay.write(self._writer, ESTABLISHED)
            inside = await self._request(_inner())
            if inside is None:
                return
            method, path = inside.method.decode(), inside.target.decode()
        page = route.answer(method, path)
        self._relay.status, self._relay.bytes_in = page.status, len(page.body)
        answer = whole_answer(method, page.status, page.body, page.kind)
        await self._relay.write(self._writer, answer)
        await self._relay.finish()

    # What is reached.

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to an address that was checked; the name isn't looked up again."""
        end_s = time.monotonic() + self._policy.connect_timeout_s
        try:
            async with asyncio.timeout(self._policy.connect_timeout_s):
                addresses = await self._addresses(target)
        except TimeoutError:
            raise Halted(
                504, Trouble.TIMEOUT, f"{target.host} could not be looked up in time"
            ) from None
        self._policy.check_addresses(target.host, map(ip_address, addresses))
        tried = addresses[:ADDRESSES_MAX]
        trouble = Halted(502, Trouble.UNREACHABLE, f"{target.host} could not be reached")
        for number, address in enumerate(tried):
            share_s = max(end_s - time.monotonic(), 0.0) / (len(tried) - number)
            try:
                async with asyncio.timeout(share_s):
                    reader, self._outer = await asyncio.open_connection(
                        address, target.port, limit=READ_BYTES
                    )
                    self._outer.transport.set_write_buffer_limits(high=0)
            except TimeoutError:
                trouble = Halted(
                    504, Trouble.TIMEOUT, f"{target.host} could not be reached in time"
                )
            except OSError:
                pass
            else:
                self._address = address
                self._relay.moved()
                return reader, self._outer
        raise trouble

    async def _addresses(self, target: Target) -> Sequence[str]:
        try:
            return [str(ip_address(target.host))]
        except ValueError:
            pass
        try:
            found = await self._terms.resolve(target.host, target.port)
        except TimeoutError:
            raise
        except OSError:
            found = ()
        if not found:
            raise Halted(502, Trouble.UNRESOLVED, f"{target.host} has no address")
        return list(dict.fromkeys(found))


def _inner() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=2 * HEAD_BYTES_MAX)
