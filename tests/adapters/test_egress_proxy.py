"""The filtering proxy, with real clients on both of its sockets and real servers behind it."""

import asyncio
import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripworld.adapters import net_gate
from scripworld.adapters.egress import EgressPolicy
from scripworld.adapters.egress_exchange import Route
from scripworld.adapters.egress_log import EgressEvent
from scripworld.adapters.egress_proxy import EgressProxy
from scripworld.adapters.site import Site
from scripworld.world import ConfigurationFault

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LOOPBACK = EgressPolicy(private_allowed=("127.0.0.0/8",), connect_timeout_s=20, idle_timeout_s=20)
BOUND_S = 60
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNK = b"10000\r\n" + b"x" * 65_536 + b"\r\n"


class Names:
    """A resolver with a table, which counts what it was asked."""

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        self.table = table
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host == "slow.test":
            await asyncio.sleep(600)
        if host not in self.table:
            raise OSError("no such name")
        return self.table[host]


NAMES = {
    "origin.test": ["127.0.0.1"],
    "twice.test": ["127.0.0.9", "127.0.0.1"],
    "mixed.test": ["8.8.8.8", "10.0.0.1"],
    "inside.test": ["10.0.0.1"],
    "nothing.test": [],
}


class Lab:
    """One proxy, one server behind it that talks as `handler` does, and what the proxy noted."""

    def __init__(self, proxy: EgressProxy, port: int, names: Names) -> None:
        self.proxy = proxy
        self.port = port
        self.names = names
        self.events: list[EgressEvent] = []

    async def open(self, way: str = "tcp") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if way == "unix":
            return await asyncio.open_unix_connection(self.proxy.socket_path)
        return await asyncio.open_connection("127.0.0.1", int(self.proxy.url.rpartition(":")[2]))

    async def ask(self, data: bytes, way: str = "tcp") -> bytes:
        """Send what may hold PORT for the server's port, and return the whole answer."""
        reader, writer = await self.open(way)
        writer.write(data.replace(b"PORT", str(self.port).encode()))
        try:
            return await reader.read()
        except ConnectionResetError:
            return b"reset"
        finally:
            writer.close()

    async def event(self) -> EgressEvent:
        """The next thing that is noted."""
        while not self.events:
            await asyncio.sleep(0.005)
        return self.events.pop(0)


def answering(answer: bytes, got: list[bytes] | None = None) -> Handler:
    """Reads a head, notes it, answers, and keeps its half open as a careless server does."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if got is not None:
            got.append(head)
        writer.write(answer)
        await writer.drain()
        await reader.read()

    return handler


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write(b" the end")


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@asynccontextmanager
async def lab_of(
    handler: Handler, policy: EgressPolicy = LOOPBACK, routes: Mapping[str, Route] | None = None
) -> AsyncIterator[Lab]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    names = Names(NAMES)
    events: list[EgressEvent] = []
    policy = replace(policy, ports=(80, 443, port))
    proxy = EgressProxy(policy, "fetch", events.append, routes or {}, names)
    await proxy.start()
    lab = Lab(proxy, port, names)
    lab.events = events
    try:
        yield lab
    finally:
        async with asyncio.timeout(BOUND_S):
            await proxy.close()
        server.close()
        await server.wait_closed()


def run(
    steps: Callable[[Lab], Awaitable[None]],
    handler: Handler,
    policy: EgressPolicy = LOOPBACK,
    routes: Mapping[str, Route] | None = None,
) -> None:
    """Take the steps in a lab; afterwards no task, descriptor or complaint may be left."""
    trouble: list[object] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: trouble.append(context))
        async with asyncio.timeout(BOUND_S), lab_of(handler, policy, routes) as lab:
            await steps(lab)
        for _ in range(200):
            if asyncio.all_tasks() == {asyncio.current_task()}:
                break
            await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    before = os.listdir("/dev/fd")
    asyncio.run(main())
    assert os.listdir("/dev/fd") == before
    assert trouble == []


def get(url: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {url} HTTP/1.1", "Host: whatever", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def connect(authority: str) -> bytes:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()


ORIGIN = "http://origin.test:PORT"


# What goes through.


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_a_request_reaches_the_host_of_its_url(way: str):
    got: list[bytes] = []

    async def steps(lab: Lab) -> None:
        answer = await lab.ask(get(f"{ORIGIN}/a?b=c", "Accept: x", "Proxy-Foo: y"), way)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nhello")
        head = got[0].decode().lower()
        assert head.startswith("get /a?b=c http/1.1\r\n")
        assert f"host: origin.test:{lab.port}\r\n" in head
        assert "connection: close\r\n" in head
        assert "accept: x\r\n" in head
        assert "whatever" not in head
        event = await lab.event()
        assert (event.server, event.method, event.scheme) == ("fetch", "GET", "http")
        assert (event.host, event.port, event.address) == ("origin.test", lab.port, "127.0.0.1")
        assert (event.verdict, event.reason, event.status) == ("allowed", "", 200)
        assert (event.bytes_out, event.bytes_in) == (len(got[0]), len(OK))

    run(steps, answering(OK, got))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("framing", ["Content-Length: 300000", "Transfer-Encoding: chunked"])
def test_bodies_go_both_ways(method: str, framing: str):
    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"content-length: 300000" in head:
            body = await reader.readexactly(300_000)
        else:
            assert b"transfer-encoding: chunked" in head
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
        writer.write(b"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x;ext\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(body), body.upper()))

    body = b"a" * 300_000
    if "chunked" in framing:
        body = b"493e0\r\n" + body + b"\r\n0\r\n\r\n"

    async def steps(lab: Lab) -> None:
        answer = await lab.ask(get(f"{ORIGIN}/", framing, method=method, body=body))
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 201 Made\r\n")
        assert b"transfer-encoding: chunked" in head.lower()
        assert rest.count(b"A") == 300_000
        assert rest.endswith(b"\r\n0\r\n\r\n")
        assert b"Trailer" not in rest

    run(steps, upper)


def test_an_old_client_gets_an_answer_without_chunks():
    async def steps(lab: Lab) -> None:
        answer = await lab.ask(f"GET {ORIGIN}/ HTTP/1.0\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"chunked" not in head
        assert body == b"hello"

    run(
        steps,
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    )


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
    ],
)
def test_an_answer_without_a_body_is_over_at_its_head(method: str, answer: bytes):
    async def steps(lab: Lab) -> None:
        got = await lab.ask(get(f"{ORIGIN}/", method=method))
        assert got.endswith(b"\r\n\r\n")
        assert got.split()[1] == answer.split()[1]
        assert (await lab.event()).verdict == "allowed"

    run(steps, answering(answer))


def test_a_client_that_waits_is_told_to_go_on():
    async def careful(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(4) == b"body"
        writer.write(OK)

    async def steps(lab: Lab) -> None:
        reader, writer = await lab.open()
        request = get(f"{ORIGIN}/", "Expect: 100-continue", "Content-Length: 4", method="POST")
        writer.write(request.replace(b"PORT", str(lab.port).encode()))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"body")
        assert (await reader.read()).endswith(b"hello")
        writer.close()

    run(steps, careful)


def test_an_answer_may_come_before_the_request_is_over():
    async def steps(lab: Lab) -> None:
        request = get(f"{ORIGIN}/", "Content-Length: 9000000", method="POST", body=b"x" * 100_000)
        assert (await lab.ask(request)).endswith(b"hello")

    run(steps, answering(OK))


def test_a_server_that_hangs_up_on_a_body_leaves_nobody_waiting():
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.transport.abort()

    async def steps(lab: Lab) -> None:
        request = get(f"{ORIGIN}/", "Content-Length: 9000000", method="POST", body=b"x" * 9_000_000)
        reader, writer = await lab.open()
        writer.write(request.replace(b"PORT", str(lab.port).encode()))
        with contextlib.suppress(ConnectionResetError):
            assert (await reader.read()).split()[1] in (b"200", b"502")
        writer.transport.abort()
        assert (await lab.event()).status in (200, 502)

    run(steps, rude)


def test_a_client_that_hangs_up_on_its_body_is_noted():
    async def steps(lab: Lab) -> None:
        _, writer = await lab.open()
        request = get(f"{ORIGIN}/", "Content-Length: 9000000", method="POST", body=b"x" * 99_000)
        writer.write(request.replace(b"PORT", str(lab.port).encode()))
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        writer.transport.abort()
        event = await lab.event()
        assert (event.verdict, event.reason) == ("cut", "hung_up")

    run(steps, silent)


def test_an_answer_that_ends_with_its_connection_is_whole():
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")

    async def steps(lab: Lab) -> None:
        answer = await lab.ask(get(f"{ORIGIN}/"))
        assert answer.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

    run(steps, old)


def test_an_answer_that_says_twice_how_long_it_is_gets_one_frame():
    async def unsure(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"5\r\nhello\r\n0\r\n\r\n")

    async def steps(lab: Lab) -> None:
        head, _, body = (await lab.ask(get(f"{ORIGIN}/"))).lower().partition(b"\r\n\r\n")
        assert b"content-length" not in head
        assert body == b"5\r\nhello\r\n0\r\n\r\n"

    run(steps, unsure)


def test_the_second_address_of_a_name_is_tried_when_the_first_does_not_answer():
    async def steps(lab: Lab) -> None:
        assert (await lab.ask(get("http://twice.test:PORT/"))).endswith(b"hello")
        assert (await lab.event()).address == "127.0.0.1"
        assert lab.names.asked == ["twice.test"]  # and never again, so no other answer can win

    run(steps, answering(OK))


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_a_tunnel_carries_anything_and_half_a_close(way: str):
    async def steps(lab: Lab) -> None:
        reader, writer = await lab.open(way)
        writer.write(connect(f"origin.test:{lab.port}"))
        assert await reader.readuntil(b"\r\n\r\n") == (
            b"HTTP/1.1 200 Connection established\r\n\r\n"
        )
        data = bytes(range(256)) * 8_000
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == data + b" the end"
        writer.close()
        event = await lab.event()
        assert (event.method, event.scheme, event.status) == ("CONNECT", "https", 200)
        assert (event.bytes_out, event.bytes_in) == (len(data), len(data) + 8)

    run(steps, echo)


def test_a_client_that_does_not_read_holds_the_server_up_and_nothing_piles_up():
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.set_write_buffer_limits(0)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 200_000_000:
            writer.write(CHUNK)
            await writer.drain()
            sent += len(CHUNK)

    async def steps(lab: Lab) -> None:
        reader, writer = await lab.open()
        writer.write(get(f"{ORIGIN}/").replace(b"PORT", str(lab.port).encode()))
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 50_000_000  # what the buffers of the system hold
        writer.transport.abort()
        assert (await lab.event()).verdict == "cut"

    run(steps, endless)


# What does not.


@pytest.mark.parametrize(
    ("request_bytes", "rule", "words"),
    [
        (get("http://10.0.0.1/"), "private_allowed", "10.0.0.1 is not public: it is private"),
        (get("http://inside.test/"), "private_allowed", "inside.test is at 10.0.0.1, which is not"),
        (get("http://mixed.test/"), "private_allowed", "mixed.test is at 10.0.0.1"),
        (get("http://[::1]:PORT/"), "private_allowed", "it is loopback"),
        (get("http://[::ffff:10.0.0.1]/"), "private_allowed", "it is private"),
        (get("http://169.254.169.254/latest/"), "private_allowed", "cloud's metadata service"),
        (get("http://metadata.google.internal/"), "private_allowed", "cloud's metadata service"),
        (get("http://2130706433/"), "spelling", "four decimal numbers"),
        (get("http://u:pass@origin.test/"), "spelling", "name or password"),
        (get("http://origin.test:22/"), "ports", "port 22 is not one of 80, 443"),
        (get("ftp://origin.test:80/"), "schemes", "ftp is not one of http, https"),
        (get("/origin"), "spelling", "no absolute URL"),
        (connect("inside.test:443"), "private_allowed", "inside.test is at 10.0.0.1"),
        (connect("origin.test:25"), "ports", "port 25"),
        (connect("origin.test"), "spelling", "HOST:PORT"),
    ],
)
def test_a_refusal_says_which_rule_and_what_to_configure(
    request_bytes: bytes, rule: str, words: str
):
    async def steps(lab: Lab) -> None:
        answer = (await lab.ask(request_bytes)).decode()
        assert answer.startswith(f"HTTP/1.1 403 Forbidden (egress policy: {rule})\r\n")
        text = answer.partition("\r\n\r\n")[2]
        assert text.startswith("Blocked by the egress policy of fetch: ")
        assert words in text
        event = await lab.event()
        assert (event.verdict, event.reason, event.status) == ("refused", rule, 403)
        assert (event.address, event.bytes_out, event.bytes_in) == ("", 0, 0)

    run(steps, answering(OK))


def test_a_redirect_leads_no_further_than_a_request_of_its_own():
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/secrets\r\nContent-Length: 0\r\n\r\n"

    async def steps(lab: Lab) -> None:
        way = urllib.request.ProxyHandler({"http": lab.proxy.url})
        opener = urllib.request.build_opener(way)
        url = f"http://origin.test:{lab.port}/"
        with pytest.raises(urllib.error.HTTPError) as error:
            await asyncio.to_thread(opener.open, url, None, BOUND_S)
        with error.value:
            assert error.value.code == 403
            assert b"10.0.0.1 is not public" in error.value.read()

    run(steps, answering(moved))


def test_what_is_secret_is_never_noted():
    async def steps(lab: Lab) -> None:
        secret = "Authorization: Bearer tops3cret", "Cookie: tops3cret"
        await lab.ask(get(f"{ORIGIN}/tops3cret?tops3cret", *secret))
        await lab.ask(get("http://tops3cret:tops3cret@origin.test/"))
        await lab.ask(get("http://origin.test:22/tops3cret#tops3cret"))
        await lab.ask(get("tops3cret"))
        await lab.ask(b"tops3cret http://origin.test/tops3cret HTTP/1.1\r\nHost: a\r\n\r\n")
        events = [await lab.event() for _ in range(5)]
        assert "tops3cret" not in repr(events)

    run(steps, answering(OK))


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET http://origin.test/ HTTP/1.1\nHost: a\n\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (get(f"{ORIGIN}/", "Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (get(f"{ORIGIN}/", "Transfer-Encoding: chunked", method="POST", body=b"zz\r\n"), 400),
        (get(f"{ORIGIN}/", method="TRACE"), 405),
        (get("https://origin.test/"), 400),
        (get("http://origin.test/", "X: " + "x" * 70_000), 431),
        (get("http://origin.test/", *["X: x"] * 20_000), 431),
        (get("http://unknown.test/"), 502),
        (get("http://nothing.test/"), 502),
        (get("http://127.0.0.9:PORT/"), 502),
    ],
)
def test_what_can_not_be_carried_out_is_answered(request_bytes: bytes, status: int):
    async def steps(lab: Lab) -> None:
        answer = await lab.ask(request_bytes)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"The egress proxy of fetch gave up: " in answer
        event = await lab.event()
        assert event.status == status
        assert event.verdict == ("failed" if status == 502 else "refused")

    run(steps, silent)


@pytest.mark.parametrize(
    ("host", "settings"),
    [("slow.test", {"connect_timeout_s": 0.2}), ("origin.test", {"idle_timeout_s": 0.2})],
)
def test_what_takes_too_long_is_given_up(host: str, settings: dict[str, float]):
    async def steps(lab: Lab) -> None:
        answer = await lab.ask(get(f"http://{host}:PORT/"))
        assert answer.startswith(b"HTTP/1.1 504 Gateway Timeout (timeout)\r\n")
        event = await lab.event()
        assert (event.verdict, event.reason) == ("failed", "timeout")

    run(steps, silent, replace(LOOPBACK, **settings))


@pytest.mark.parametrize("part", [b"", b"GET http://origin.test/ HTTP/1.1\r\n"])
def test_who_never_ends_a_head_is_not_waited_for(part: bytes):
    async def steps(lab: Lab) -> None:
        assert (await lab.ask(part)).startswith(b"HTTP/1.1 408 " if part else b"")
        assert not part or (await lab.event()).status == 408
        assert lab.events == []

    run(steps, silent, replace(LOOPBACK, idle_timeout_s=0.2))


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"220 mail\r\n", b"\x00" * 70_000, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 90_000),
        *(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
        b"HTTP/1.1 101 Switching\r\n\r\n",
    ],
)
def test_a_server_that_does_not_speak_http_is_said_to(answer: bytes):
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async def steps(lab: Lab) -> None:
        got = await lab.ask(get(f"{ORIGIN}/"))
        assert b"HTTP/1.1 502 Bad Gateway (bad_answer)\r\n" in got
        assert (await lab.event()).verdict == "failed"

    run(steps, rude)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhellozz",
    ],
)
def test_an_answer_that_breaks_off_is_cut_and_never_looks_whole(answer: bytes):
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async def steps(lab: Lab) -> None:
        got = await lab.ask(get(f"{ORIGIN}/"))
        assert b"Content-Length: 9" in got or not got.endswith(b"0\r\n\r\n")
        event = await lab.event()
        assert (event.verdict, event.reason, event.status) == ("cut", "bad_answer", 200)

    run(steps, rude)


# Bounds.


def test_an_answer_that_says_it_is_too_large_is_refused():
    async def steps(lab: Lab) -> None:
        answer = await lab.ask(get(f"{ORIGIN}/"))
        assert b"403 Forbidden (egress policy: response_bytes_max)" in answer
        assert b"raise `response_bytes_max`" in answer

    run(steps, answering(OK), replace(LOOPBACK, response_bytes_max=4))


def test_an_answer_that_becomes_too_large_is_cut():
    async def steps(lab: Lab) -> None:
        answer = await lab.ask(get(f"{ORIGIN}/"))
        assert len(answer) < 1_100_000
        assert not answer.endswith(b"0\r\n\r\n")
        event = await lab.event()
        assert (event.verdict, event.reason) == ("cut", "response_bytes_max")

    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    run(steps, answering(head + CHUNK * 32), replace(LOOPBACK, response_bytes_max=1_000_000))


@pytest.mark.parametrize(
    ("framing", "body"),
    [("Content-Length: 5", b"hello"), ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")],
)
def test_a_body_that_is_too_large_is_refused(framing: str, body: bytes):
    async def steps(lab: Lab) -> None:
        answer = await lab.ask(get(f"{ORIGIN}/", framing, method="POST", body=body))
        assert b"403 Forbidden (egress policy: request_bytes_max)" in answer

    run(steps, silent, replace(LOOPBACK, request_bytes_max=4))


@pytest.mark.parametrize("bound", ["request_bytes_max", "response_bytes_max"])
def test_a_tunnel_ends_at_its_bound(bound: str):
    async def steps(lab: Lab) -> None:
        reader, writer = await lab.open()
        writer.write(connect(f"origin.test:{lab.port}"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"x" * 500_000)
        with contextlib.suppress(ConnectionResetError):
            assert len(await reader.read()) < 500_000
        writer.close()
        event = await lab.event()
        assert (event.verdict, event.reason) == ("cut", bound)

    bounds = {bound: 100_000}
    run(steps, echo, replace(LOOPBACK, **bounds))


def test_more_connections_than_are_allowed_are_turned_away_and_room_comes_back():
    async def steps(lab: Lab) -> None:
        idle = [await lab.open(way) for way in ("tcp", "unix")]
        for reader, writer in idle:
            writer.write(connect(f"origin.test:{lab.port}"))
            await reader.readuntil(b"\r\n\r\n")
        answer = await lab.ask(get(f"{ORIGIN}/"))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"egress policy: connections_max" in answer
        assert (await lab.event()).reason == "connections_max"
        for _, writer in idle:
            writer.close()
        for _ in idle:
            await lab.event()
        assert b"200 OK" in await lab.ask(get(f"{ORIGIN}/"))

    async def either(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(10):
            writer.write(OK)

    run(steps, either, replace(LOOPBACK, connections_max=2))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"GET http://ori",
        connect("origin.test:PORT"),
        get(f"{ORIGIN}/"),
        get("http://slow.test/"),
    ],
)
def test_closing_ends_whatever_is_open(request_bytes: bytes):
    async def steps(lab: Lab) -> None:
        reader, writer = await lab.open()
        writer.write(request_bytes.replace(b"PORT", str(lab.port).encode()))
        await asyncio.sleep(0.1)
        await lab.proxy.close()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() in (b"", b"HTTP/1.1 200 Connection established\r\n\r\n")
        writer.close()
        assert [event.reason for event in lab.events] == ["closed"] * request_bytes.count(b"HTTP")
        assert not lab.proxy.socket_path.exists()

    run(steps, silent)


@given(
    st.lists(st.binary(max_size=120), max_size=4), st.sampled_from([b"", b"GET ", b"CONNECT a:443"])
)
@settings(max_examples=60, deadline=None)
def test_no_bytes_hurt_it(parts: list[bytes], start: bytes):
    async def steps(lab: Lab) -> None:
        reader, writer = await lab.open()
        for part in (start, *parts):
            writer.write(part)
            await asyncio.sleep(0)
        writer.write_eof()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        assert (await lab.ask(get(f"{ORIGIN}/"))).endswith(b"hello")

    run(steps, answering(OK))


# Where it listens, and what it serves itself.


def test_its_socket_is_for_nobody_else():
    async def steps(lab: Lab) -> None:
        path = lab.proxy.socket_path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert len(os.fsencode(path)) <= 100

    run(steps, silent)


def test_a_folder_whose_path_is_too_long_for_a_socket_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    async def main() -> None:
        await EgressProxy(LOOPBACK, "fetch", print).start()

    with pytest.raises(ConfigurationFault, match="let TMPDIR name a shorter one"):
        asyncio.run(main())
    assert list(long.iterdir()) == []


def test_the_resolver_of_the_host_is_asked_where_none_is_given(tmp_path: Path):
    async def main() -> bytes:
        log = tmp_path / "egress.jsonl"
        proxy = EgressProxy(EgressPolicy(), "fetch", log)
        await proxy.start()
        try:
            reader, writer = await asyncio.open_unix_connection(proxy.socket_path)
            writer.write(get("http://localhost/"))
            answer = await reader.read()
            writer.close()
        finally:
            await proxy.close()
        assert '"reason":"private_allowed"' in log.read_text()
        return answer

    assert b"localhost is at " in asyncio.run(main())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "page.html").write_text("<p>page")
    return Site(tmp_path)


def test_a_site_is_served_without_a_network_whatever_the_policy_says(site: Site):
    async def steps(lab: Lab) -> None:
        plain = await lab.ask(get("http://library.test/page.html?q"))
        assert plain.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")
        assert plain.endswith(b"<p>page")
        tunnel = connect("library.test:80") + get("/page.html")
        established, _, inside = (await lab.ask(tunnel)).partition(b"\r\n\r\n")
        assert established.startswith(b"HTTP/1.1 200 ")
        assert inside == plain
        head = await lab.ask(get("http://library.test/page.html", method="HEAD"))
        assert head + b"<p>page" == plain
        assert b"404 Not Found" in await lab.ask(get("http://library.test/nothing"))
        event = await lab.event()
        assert (event.host, event.address, event.status) == ("library.test", "", 200)
        assert (event.bytes_out, event.bytes_in) == (0, 7)
        assert lab.names.asked == []

    policy = EgressPolicy(hosts_allowed=())
    run(steps, silent, policy, {"library.test": site})


def test_it_is_the_only_way_out_of_a_sandbox_without_a_network(site: Site):
    without = ["bwrap", "--unshare-user", "--unshare-net", "--dev-bind", "/", "/"]
    if not shutil.which("bwrap") or subprocess.run([*without, "true"], check=False).returncode:
        pytest.skip("nothing here makes a network namespace: install bubblewrap")
    look = """
import os, urllib.request as web
os.environ["http_proxy"] = "http://127.0.0.1:3128"
print(web.urlopen("http://library.test/page.html").read())
print(web.urlopen("http://127.0.0.1:3128/", timeout=30).status)
"""

    async def steps(lab: Lab) -> None:
        gate = (sys.executable, "-I", "-S", net_gate.__file__, str(lab.proxy.socket_path), "3128")
        process = await asyncio.create_subprocess_exec(
            *without, *gate, "--", sys.executable, "-c", look, stdout=-1, stderr=-1
        )
        out, err = await process.communicate()
        assert out == b"b'<p>page'\n"
        assert b"HTTP Error 403: Forbidden (egress policy: ports)" in err

    run(steps, silent, LOOPBACK, {"library.test": site})


@pytest.mark.parametrize(
    "request_bytes",
    [connect("library.test:443"), get("https://library.test/"), get("http://library.test:8080/")],
)
def test_a_site_is_served_at_one_address_only(site: Site, request_bytes: bytes):
    async def steps(lab: Lab) -> None:
        answer = await lab.ask(request_bytes)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request (site)\r\n")
        assert answer.endswith(b"library.test is served at http://library.test/ only.\n")

    run(steps, silent, LOOPBACK, {"library.test": site})
