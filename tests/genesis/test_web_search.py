"""One `search` whichever server is behind it: Brave's, or the one that needs no key, in whole runs."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import scripworld
from scripworld import Run
from scripworld.agents.mind import Scripted
from scripworld.world import Done, Failed, Invoke, Refused, Tool

from .plain_lab import RUNNER, Plain, answers_of, codes_of, run_with, tool

SEARCH = "genesis_web_search"
LIST = Invoke(SEARCH, "list_tools")
KEY = "brave-key-0123456789"
OWLS = [
    {"title": f"Owl {n}", "url": f"https://owls.test/{n}", "description": f"The owl {n}."}
    for n in range(12)
]
JSON_PAGE = json.dumps(
    {
        "results": [
            {"title": owl["title"], "url": owl["url"], "content": owl["description"]}
            for owl in OWLS
        ]
    }
)
HTML_PAGE = "".join(
    f'<div class="result"><h2><a class="result__a" href="{owl["url"]}">{owl["title"]}</a></h2>'
    f'<a class="result__snippet" href="x">{owl["description"]}</a></div>'
    for owl in OWLS
)
PAGES = {
    "/search": (200, "application/json", JSON_PAGE),
    "/html/": (200, "text/html; charset=UTF-8", HTML_PAGE),
    "/busy": (429, "text/plain", "slow down"),
}


class Endpoint(ThreadingHTTPServer):
    """A search page on loopback, and what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[dict[str, list[str]]] = []


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Endpoint)
        parts = urlsplit(self.path)
        self.server.asked.append(parse_qs(parts.query))
        status, kind, page = PAGES[parts.path]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(page.encode())))
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, args=(0.05,))
        thread.start()
        yield endpoint
        endpoint.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BRAVE_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)  # no `.env` either


def search(query: str, **more: Any) -> Invoke:
    return Invoke(SEARCH, "search", {"query": query, **more})


def keyless(endpoint: Endpoint, path: str, **egress: Any) -> dict[str, Any]:
    """The server as it is shipped, at another endpoint."""
    port = endpoint.server_port
    url = f"http://127.0.0.1:{port}{path}"
    opened = {"ports": [port], "private_allowed": ["127.0.0.1"]}
    return {
        "enabled": True,
        "grace_s": 0.3,
        "sandbox": {"runner": RUNNER},
        "egress": opened | egress,
        "keyless": {
            "command": "{python}",
            "args": ["-I", "-S", "{lib}/search_server.py", "--endpoint", url],
        },
    }


def found(answer: Any) -> list[dict[str, str]]:
    assert isinstance(answer, Done), answer
    return [json.loads(part["text"]) for part in answer.result["content"]]


def search_tool_of(run: Run) -> Tool:
    return {t.name: t for t in run.state().artifacts.by_id[SEARCH].interface}["search"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [("/search", {"format": ["json"], "q": ["owls"]}), ("/html/", {"q": ["owls"]})],
)
def test_without_a_key_the_web_is_searched_by_a_server_of_our_own(
    tmp_path: Path, endpoint: Endpoint, path: str, asked: dict[str, list[str]]
):
    calls = [search("owls"), search("owls", limit=3), LIST, search("owls", limit=1)]
    run = run_with(tmp_path, {"web_search": keyless(endpoint, path)}, {"a": calls})

    ten, three, listed, one = answers_of(run)
    assert found(ten) == OWLS[:10]
    assert found(three) == OWLS[:3]
    assert found(one) == OWLS[:1]
    assert isinstance(listed, Done)
    assert listed.result["methods"] == ["list_tools", "search"]
    assert endpoint.asked == [asked] * 3
    lines = [json.loads(line) for line in (run.folder / "egress.jsonl").read_text().splitlines()]
    assert {(line["server"], line["host"], line["port"], line["verdict"]) for line in lines} == {
        ("web_search", "127.0.0.1", endpoint.server_port, "allowed")
    }
    assert "owls" not in json.dumps(lines), "what was searched for is in no log of the network"


def test_a_search_that_fails_says_why_and_a_page_that_is_not_allowed_is_not_asked(
    tmp_path: Path, endpoint: Endpoint
):
    busy = run_with(tmp_path, {"web_search": keyless(endpoint, "/busy")}, {"a": [search("owls")]})
    closed = keyless(endpoint, "/search", private_allowed=[])
    denied = run_with(tmp_path, {"web_search": closed}, {"a": [search("owls")]})

    (failed,), (refused,) = answers_of(busy), answers_of(denied)
    assert isinstance(failed, Failed)
    assert failed.code.name == "TOOL_FAILED"
    assert "asks for a pause (429)" in failed.detail
    assert isinstance(refused, Failed)
    assert "egress policy" in refused.detail
    assert "private_allowed" in refused.detail
    assert len(endpoint.asked) == 1


# With a key.


@pytest.fixture
def brave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plain:
    """What plays Brave's server: it answers with its arguments."""
    monkeypatch.setenv("BRAVE_API_KEY", KEY)
    plain = Plain(tmp_path)
    plain.offer(
        tool("brave_web_search", "Web.", query="string", count="integer"),
        tool("brave_news_search", "News.", query="string"),
    )
    return plain


def with_key(plain: Plain, **more: Any) -> dict[str, Any]:
    return {"web_search": {"enabled": True, **plain.settings(**more)}}


def test_with_a_key_the_same_search_is_braves(tmp_path: Path, brave: Plain):
    calls = [search("owls"), search("owls", limit=3), LIST, search("ä", limit=20)]
    run = run_with(tmp_path, with_key(brave), {"a": calls})

    assert codes_of(run) == ["done"] * 4
    assert [note["args"] for note in brave.noted() if note["what"] == "call"] == [
        {"query": "owls", "count": 10},
        {"query": "owls", "count": 3},
        {"query": "ä", "count": 20},
    ]
    assert brave.called() == ["brave_web_search"] * 3


def test_agents_see_the_same_method_with_a_key_and_without(
    tmp_path: Path, brave: Plain, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
):
    with_one = run_with(tmp_path, with_key(brave), {"a": [LIST]})
    monkeypatch.delenv("BRAVE_API_KEY")
    without = run_with(tmp_path, {"web_search": keyless(endpoint, "/search")}, {"a": [LIST]})

    assert search_tool_of(with_one) == search_tool_of(without)
    both = [run.state().artifacts.by_id[SEARCH].description for run in (with_one, without)]
    assert both == ["Searches the web"] * 2


@pytest.mark.parametrize(
    "args",
    [
        *({}, {"query": ""}, {"query": 5}, {"query": "x" * 401}, {"query": "owls", "limit": 0}),
        *({"query": "owls", "limit": 21}, {"query": "owls", "limit": "3"}),
        *({"query": "owls", "count": 3}, {"limit": 3}),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_before_any_server(
    tmp_path: Path, brave: Plain, args: dict[str, Any]
):
    run = run_with(tmp_path, with_key(brave), {"a": [Invoke(SEARCH, "search", args)]})

    (refused,) = answers_of(run)
    assert isinstance(refused, Refused)
    assert refused.code.name == "ARGUMENTS_INVALID"
    assert brave.noted() == []


@pytest.mark.parametrize(
    ("policy", "codes"),
    [
        ({"denied_tools": ["search"]}, ["TOOL_REFUSED", "done"]),
        ({"denied_tools": ["brave_web_search"]}, ["TOOL_REFUSED", "done"]),
        ({"allowed_tools": ["brave_news_search"]}, ["TOOL_REFUSED", "done"]),
    ],
)
def test_a_search_that_is_denied_by_either_name_is_denied(
    tmp_path: Path, brave: Plain, policy: dict[str, Any], codes: list[str]
):
    news = Invoke(SEARCH, "brave_news_search", {"query": "owls"})
    run = run_with(tmp_path, with_key(brave, **policy), {"a": [LIST, search("owls"), news]})

    assert codes_of(run) == ["done", *codes]
    assert brave.called() == ["brave_news_search"]


def test_a_run_goes_on_when_its_key_is_lost_and_when_it_is_found_again(
    tmp_path: Path, brave: Plain, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
):
    def resumed(folder: Path, count: int, until_us: int) -> Run:
        mind = Scripted([LIST, *[search("owls", limit=n) for n in range(1, count)]])
        return scripworld.resume(folder, minds={"a": mind}, until_us=until_us)

    settings = with_key(brave)["web_search"] | {
        key: value for key, value in keyless(endpoint, "/search").items() if key != "sandbox"
    }
    settings["sandbox"]["read"].append("{lib}/search_server.py")
    run = run_with(
        tmp_path, {"web_search": settings}, {"a": [LIST, search("owls", limit=1)]}, steps=4
    )
    monkeypatch.delenv("BRAVE_API_KEY")
    resumed(run.folder, 3, 1_450_000)
    monkeypatch.setenv("BRAVE_API_KEY", KEY)
    run = resumed(run.folder, 5, 60_000_000)

    run.verify()
    assert codes_of(run) == ["done"] * 5
    assert brave.called() == ["brave_web_search"] * 3
    assert len(endpoint.asked) == 1
