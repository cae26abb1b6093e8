"""The search that needs no key, as a real process, against stand-ins of the pages that it reads."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripworld.adapters import search_server
from scripworld.adapters.egress import EgressPolicy
from scripworld.adapters.egress_proxy import EgressProxy
from scripworld.adapters.mcp_outcome import McpCallError
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_stdio import McpClient

PROGRAM = ("-I", "-S", search_server.__file__, "--endpoint")
TIMEOUT_S = 60
PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
SEARX = {
    "query": "owls",
    "results": [
        {"title": "Owls  of\nEurope", "url": "https://owls.test/?a=b", "content": "Big \u2028 <b>"},
        {"title": "No address", "url": "javascript:alert(1)", "content": "x"},
        {"title": None, "url": "https://no-title.test/", "content": "x"},
        {"title": "No text", "url": "http://no-text.test/", "content": None},
        {"title": "\ud800 lone", "url": "http://lone.test/", "content": "\udfff"},
        "not an entry",
    ],
}
DUCK = """<html><body><div id="links" class="results">
<div class="result result--ad"><a class="result__a" href="//duckduckgo.com/y.js?ad=1">Buy</a>
<a class="result__snippet" href="x">now</a></div>
<div class="result"><h2><a rel="nofollow" class="result__a"
 href="//duckduckgo.com/l/?uddg=https%3A%2F%2Fowls.test%2F%3Fa%3Db&amp;rut=1">Owls &amp; <b>more</b></a></h2>
<a class="result__url" href="x">owls.test</a>
<a class="result__snippet" href="x">The <b>owl</b> is
 a bird.</a></div>
<div class="result"><a class="result__a" href="https://direct.test/">Direct</a></div>
</div></body></html>"""
NONE_FOUND = '<html><div class="no-results">No results.</div></html>'
ROBOT = '<html><form id="challenge-form"><div class="anomaly-modal__title">Bots use us</div></html>'
HTML, JSON = "text/html; charset=UTF-8", "application/json"

ANSWERS: dict[str, tuple[int, str, bytes]] = {
    "/search": (200, JSON, json.dumps(SEARX).encode()),
    "/html/": (200, HTML, DUCK.encode()),
    "/none/html/": (200, HTML, NONE_FOUND.encode()),
    "/none": (200, JSON, b'{"results": []}'),
    "/robot/html/": (202, HTML, ROBOT.encode()),
    "/other.html": (200, HTML, b"<html>Welcome"),
    "/broken.html": (200, HTML, b"<![zz[<a class='result__a' href='http://[' >x</a>"),
    "/no-json": (200, JSON, b"{"),
    "/deep-json": (200, JSON, b"[" * 100_000),
    "/list-json": (200, JSON, b"[1]"),
    "/latin": (200, "text/html; charset=no-such-charset", DUCK.encode()),
    "/image": (200, "image/png", b"\x89PNG"),
    "/large": (200, JSON, b" " * 2_100_000),
    "/busy": (429, "text/plain", b"slow down"),
    "/forbidden": (403, "text/plain", b"no json here"),
    "/failed": (500, "text/plain", b"oops"),
}


class Endpoint(ThreadingHTTPServer):
    """A search page on loopback, and what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Pages)
        self.asked: list[dict[str, list[str]]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        assert isinstance(self.server, Endpoint)
        self.server.asked.append(parse_qs(parts.query))
        if parts.path == "/cut":
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n"
            )
        elif parts.path == "/noise":
            self.wfile.write(b"\x00\x01\x02 what\r\n\r\n")
        elif parts.path == "/away":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        else:
            status, kind, body = ANSWERS.get(parts.path, (404, "text/plain", b""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(TIMEOUT_S)


def run(url: str, steps: Callable[[McpClient], Awaitable[None]], proxy_url: str = "") -> None:
    async def main() -> None:
        env = dict.fromkeys(PROXY_NAMES, proxy_url) | {"NO_PROXY": "", "no_proxy": ""}
        spec = McpServerSpec("search", sys.executable, (*PROGRAM, url), env, call_timeout_s=40)
        client = McpClient(spec)
        try:
            await steps(client)
        finally:
            await client.close()

    asyncio.run(main())


def asking(url: str, proxy_url: str = "", **arguments: object) -> dict[str, Any]:
    """The answer to one search."""
    answers: list[dict[str, Any]] = []

    async def steps(client: McpClient) -> None:
        answers.append((await client.call_tool("search", {"query": "owls", **arguments})).result)

    run(url, steps, proxy_url)
    return answers[0]


def sentence(answer: dict[str, Any]) -> str:
    assert answer["isError"] is True
    assert "structuredContent" not in answer
    (block,) = answer["content"]
    assert isinstance(block["text"], str)
    return block["text"]


# Results.


def test_the_results_of_searxng_are_one_text_each(endpoint: Endpoint):
    answer = asking(endpoint.url("/search?language=en"), query="owls & more")

    found = answer["structuredContent"]["results"]
    assert found == [
        {"title": "Owls of Europe", "url": "https://owls.test/?a=b", "description": "Big <b>"},
        {"title": "No text", "url": "http://no-text.test/", "description": ""},
        {"title": "? lone", "url": "http://lone.test/", "description": "?"},
    ]
    assert [json.loads(block["text"]) for block in answer["content"]] == found
    assert {block["type"] for block in answer["content"]} == {"text"}
    assert answer["isError"] is False
    assert endpoint.asked == [{"language": ["en"], "q": ["owls & more"], "format": ["json"]}]


@pytest.mark.parametrize("path", ["/html/", "/latin"])
def test_the_results_of_duckduckgo_are_read_without_its_advertisements(
    endpoint: Endpoint, path: str
):
    answer = asking(endpoint.url(path))

    assert answer["structuredContent"]["results"] == [
        {
            "title": "Owls & more",
            "url": "https://owls.test/?a=b",
            "description": "The owl is a bird.",
        },
        {"title": "Direct", "url": "https://direct.test/", "description": ""},
    ]
    assert ("format" in endpoint.asked[0]) == (path == "/latin")


def test_a_limit_is_kept(endpoint: Endpoint):
    answer = asking(endpoint.url("/search"), limit=1)

    assert len(answer["content"]) == len(answer["structuredContent"]["results"]) == 1


@pytest.mark.parametrize("path", ["/none", "/none/html/"])
def test_nothing_found_is_an_empty_list(endpoint: Endpoint, path: str):
    answer = asking(endpoint.url(path))

    assert answer["content"] == answer["structuredContent"]["results"] == []
    assert answer["isError"] is False


# Trouble.


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/robot/html/", "wants to see a human (CAPTCHA)"),
        ("/other.html", "no list of results"),
        ("/broken.html", "no list of results|can't be read"),
        ("/no-json", "what is no JSON"),
        ("/deep-json", "what is no JSON"),
        ("/list-json", "without a list of results"),
        ("/image", "answered image/png, neither JSON nor HTML"),
        ("/large", "more than 2000000 bytes"),
        ("/busy", "asks for a pause (429): try again later"),
        ("/forbidden", "must allow `json` among its formats"),
        ("/failed", "127.0.0.1 answered 500 Internal Server Error"),
        ("/gone", "answered 404"),
        ("/noise", "could not be reached"),
        ("/cut", "could not be reached|no list of results"),
        ("/away", "302|could not be reached|not allowed"),
    ],
)
def test_a_search_that_fails_says_why(endpoint: Endpoint, path: str, words: str):
    said = sentence(asking(endpoint.url(path)))

    assert any(word in said for word in words.split("|")), said


def test_an_endpoint_that_is_not_there_is_named():
    assert sentence(asking("http://127.0.0.1:1/search")).startswith(
        "127.0.0.1 could not be reached"
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_the_egress_policy_does_not_let_out_is_said_so(scheme: str):
    async def main() -> str:
        proxy = EgressProxy(
            EgressPolicy(hosts_allowed=("else.test",)), "search", lambda event: None
        )
        await proxy.start()
        try:
            url = f"{scheme}://blocked.test/search"
            return sentence(await asyncio.to_thread(asking, url, proxy.url))
        finally:
            await proxy.close()

    said = asyncio.run(main())

    assert said.startswith("The egress policy of this server does not let it reach blocked.test. ")
    assert "hosts_allowed" in said


def test_a_search_goes_through_the_proxy(endpoint: Endpoint, tmp_path: Path):
    async def main() -> dict[str, Any]:
        port = endpoint.server_port
        policy = EgressPolicy(ports=(port,), private_allowed=("127.0.0.1",))
        proxy = EgressProxy(policy, "search", tmp_path / "egress.jsonl")
        await proxy.start()
        try:
            return await asyncio.to_thread(asking, endpoint.url("/search"), proxy.url)
        finally:
            await proxy.close()

    assert asyncio.run(main())["isError"] is False
    assert json.loads((tmp_path / "egress.jsonl").read_text())["verdict"] == "allowed"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        *(({"query": query}, "`query`") for query in ("", " \n", "x" * 401, 7, None, ["a"])),
        *(({"limit": limit}, "`limit`") for limit in (0, 21, -1, 1.5, "3", True, None)),
    ],
)
def test_arguments_that_make_no_search_are_named(arguments: dict[str, object], word: str):
    with pytest.raises(search_server.SearchError, match=word):
        search_server.checked({"query": "owls", **arguments})


# The protocol.


def test_it_speaks_the_newest_protocol(endpoint: Endpoint):
    async def steps(client: McpClient) -> None:
        (tool,) = await client.list_tools()
        assert tool["name"] == "search"
        assert tool["outputSchema"]["required"] == ["results"]
        assert client.session is not None
        assert client.session.protocol_version == "2026-07-28"
        with pytest.raises(McpCallError, match="the only one is `search`"):
            await client.call_tool("find", {})
        many = [client.call_tool("search", {"query": "owls"}) for _ in range(12)]
        assert [len(answer.result["content"]) for answer in await asyncio.gather(*many)] == [3] * 12

    run(endpoint.url("/search"), steps)


def talk(*lines: bytes, url: str = "http://127.0.0.1:1/search") -> list[dict[str, Any]]:
    """What the program answers to these lines."""
    done = subprocess.run(
        [sys.executable, *PROGRAM, url],
        input=b"\n".join(lines) + b"\n",
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


def request(number: int, method: str, params: dict[str, object]) -> bytes:
    body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("asked", "given"),
    [("2025-11-25", "2025-11-25"), ("2024-11-05", "2024-11-05"), ("1999-01-01", "2025-11-25")],
)
def test_it_speaks_the_older_protocols_after_a_handshake(asked: str, given: str):
    opened, listed, ponged = talk(
        request(1, "initialize", {"protocolVersion": asked, "capabilities": {}}),
        b'{"jsonrpc":"2.0","method":"notifications/initialized"}',
        request(2, "tools/list", {}),
        request(3, "ping", {}),
    )

    assert opened["result"]["protocolVersion"] == given
    assert listed["result"].keys() == {"tools"}
    assert ponged["result"] == {}


def test_no_line_ends_it():
    answers = talk(
        *(b"", b"\xff\xfe", b"{", b"[]", b"null", b"[" * 50_000, b'{"id":1}', b'{"method":7}'),
        *(b'{"jsonrpc":"2.0","id":5,"result":{}}', b'{"method":"x"}', b'{"method":"x","id":[]}'),
        *(b"x" * 3_000_000, b'{"id":"\\ud800","method":"nope"}', b'{"id":' + b"9" * 5_000 + b"}"),
        *(request(6, "tools/call", {}), b'{"id":7,"method":"tools/call","params":[1]}'),
        request(8, "server/discover", {}),
        request(9, "ping", {}),
    )

    by_id = {answer["id"]: answer for answer in answers if answer["id"] is not None}
    assert by_id[6]["error"]["code"] == by_id[7]["error"]["code"] == -32602
    assert by_id[8]["error"]["code"] == by_id["\ud800"]["error"]["code"] == -32601
    assert by_id[9]["result"] == {}
    assert {a["error"]["code"] for a in answers if a["id"] is None} == {-32700, -32600}


@pytest.mark.parametrize("url", ["ftp://a.test/search", "search.test", "http://", "https:///x"])
def test_an_endpoint_that_is_no_address_is_named(url: str):
    done = subprocess.run(
        [sys.executable, *PROGRAM, url], capture_output=True, timeout=TIMEOUT_S, check=False
    )

    assert done.returncode == 2
    assert b"--endpoint must be like https://search.example.org/search" in done.stderr


@given(st.text(alphabet="<>/ab='\"![]-?& \n\0é", max_size=300))
def test_no_page_brings_anything_but_results_or_a_sentence(text: str):
    page = f'<a class="result__a" href="https://a.test/">{text}<a class="result__snippet">{text}'
    try:
        found = search_server.results_of_html(page)
    except search_server.SearchError:
        return
    assert all(result["url"].startswith("https://a.test/") for result in found)
