"""Owns the web search that needs no key: a small MCP server with one tool, `search`.

Run as a program: `python -I -S search_server.py --endpoint URL`. It asks a search page over HTTP, by
the proxy in HTTP_PROXY and HTTPS_PROXY, and understands two formats by their content type: the JSON
of SearXNG (`https://HOST/search`) and the HTML of DuckDuckGo's plain page (a path that ends with
`/html/`). A result is what Brave's server calls a web result: `title`, `url`, `description`.

What goes wrong with a search is an answer with `isError` and a sentence; no input ends the server.
Standard library only; it must not import anything of this package.
"""

import argparse
import json
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib import request as web
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

MODERN_VERSION = "2026-07-28"
HANDSHAKE_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
INFO = {"name": "scripworld-search", "version": "1.0.0"}
META = "io.modelcontextprotocol/"

LINE_BYTES_MAX = 1_048_576
PAGE_BYTES_MAX = 2_000_000
SILENCE_S = 10.0
"""How long the endpoint may say nothing."""
SEARCH_S = 20.0
"""How long a page may take from its head to its end."""
SEARCHES_MAX = 4
"""Searches at one time; further ones wait."""
QUERY_CHARS_MAX = 400
LIMIT_MAX = 20
LIMIT_DEFAULT = 10
TITLE_CHARS_MAX = 300
DESCRIPTION_CHARS_MAX = 1_000
URL_CHARS_MAX = 2_000
REASON_CHARS_MAX = 400
AGENT = "Mozilla/5.0 (compatible; scripworld-search/1.0)"
ROBOT_SIGNS = re.compile(r"anomaly|captcha|are you a (?:human|robot)|bots use", re.IGNORECASE)

RESULT = {
    "type": "object",
    "properties": {key: {"type": "string"} for key in ("title", "url", "description")},
    "required": ["title", "url", "description"],
}
TOOL = {
    "name": "search",
    "description": "Search the web. Each text of the answer is JSON: title, url and description.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "query": {"type": "string", "minLength": 1, "maxLength": QUERY_CHARS_MAX},
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": LIMIT_MAX,
                "default": LIMIT_DEFAULT,
            },
        },
        "required": ["query"],
    },
    "outputSchema": {
        "type": "object",
        "properties": {"results": {"type": "array", "items": RESULT}},
        "required": ["results"],
    },
    "annotations": {"readOnlyHint": True, "openWorldHint": True},
}

Result = dict[str, str]


class SearchError(Exception):
    """A search that brought nothing; the text is a sentence for whoever asked."""


class Rejected(Exception):
    """A request that breaks the protocol, with its JSON-RPC error code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


# Searching.


def search(endpoint: str, query: str, limit: int) -> list[Result]:
    """Return at most `limit` results, in the order of the page.

    Raises:
        SearchError: the endpoint can't be reached, or gave no list of results.
    """
    kind, text = page_of(address(endpoint, query), urlsplit(endpoint).hostname or "")
    if kind == "application/json":
        found = results_of_json(text)
    elif kind == "text/html":
        found = results_of_html(text)
    else:
        raise SearchError(f"The search endpoint answered {kind}, neither JSON nor HTML.")
    return found[:limit]


def address(endpoint: str, query: str) -> str:
    """Return the URL of a search; what the endpoint's own URL asks for besides is kept."""
    parts = urlsplit(endpoint)
    pairs = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"q": query}
    if not parts.path.endswith("/html/"):
        pairs = {"format": "json"} | pairs
    return urlunsplit(parts._replace(query=urlencode(pairs), fragment=""))


def page_of(url: str, host: str) -> tuple[str, str]:
    """Fetch a page; return its content type and its text."""
    opener = web.OpenerDirector()  # http and https alone: the usual one also opens files and ftp
    for handler in (
        *(web.ProxyHandler(), web.HTTPHandler(), web.HTTPSHandler(), web.UnknownHandler()),
        *(web.HTTPRedirectHandler(), web.HTTPErrorProcessor(), web.HTTPDefaultErrorHandler()),
    ):
        opener.add_handler(handler)
    asked = web.Request(url, headers={"User-Agent": AGENT, "Accept": "application/json, text/html"})
    try:
        with opener.open(asked, timeout=SILENCE_S) as response:
            charset = response.headers.get_content_charset("utf-8")
            kind, body = response.headers.get_content_type(), body_of(response)
    except HTTPError as error:
        with error:
            raise SearchError(refusal(error, host)) from None
    except TimeoutError:
        raise SearchError(f"{host} did not answer in time: try again later.") from None
    except (URLError, OSError, HTTPException, ValueError) as error:
        why = str(error.reason if isinstance(error, URLError) else error) or type(error).__name__
        if "timed out" in why:
            raise SearchError(f"{host} did not answer in time: try again later.") from None
        if "egress policy" in why:
            raise SearchError(blocked(host, tidy(why, REASON_CHARS_MAX))) from None
        why = tidy(why, REASON_CHARS_MAX)
        raise SearchError(f"{host} could not be reached: {why}.") from None
    try:
        return kind, body.decode(charset, "replace")
    except LookupError:
        return kind, body.decode("utf-8", "replace")


def body_of(response: HTTPResponse) -> bytes:
    """Read a body within its bounds of size and time."""
    end_s = time.monotonic() + SEARCH_S
    body = b""
    while part := response.read1(65_536):
        body += part
        if len(body) > PAGE_BYTES_MAX:
            raise SearchError(f"The search endpoint answered more than {PAGE_BYTES_MAX} bytes.")
        if time.monotonic() > end_s:
            raise TimeoutError
    return body


def refusal(error: HTTPError, host: str) -> str:
    """Say what an answer with an error status means."""
    try:
        said = error.read(REASON_CHARS_MAX).decode("utf-8", "replace")
    except (OSError, HTTPException):
        said = ""
    if "egress policy" in str(error.reason):
        return blocked(host, tidy(said, REASON_CHARS_MAX))
    if error.code == 429:
        return f"{host} asks for a pause (429): try again later."
    if error.code == 403:
        return f"{host} refused (403): a SearXNG instance must allow `json` among its formats."
    return f"{host} answered {error.code} {tidy(str(error.reason), REASON_CHARS_MAX)}."


def blocked(host: str, why: str) -> str:
    """Say that the proxy didn't let it out."""
    return f"The egress policy of this server does not let it reach {host}. {why}"


def results_of_json(text: str) -> list[Result]:
    """Read what SearXNG answers; entries without a title or a web address are left out."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        raise SearchError("The search endpoint answered what is no JSON.") from None
    entries = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise SearchError("The search endpoint answered JSON without a list of results.")
    return [
        found
        for entry in entries
        if isinstance(entry, dict)
        if (found := result(entry.get("title"), entry.get("url"), entry.get("content")))
    ]


def results_of_html(text: str) -> list[Result]:
    """Read DuckDuckGo's plain page; advertisements are left out."""
    page = ResultPage()
    try:
        page.feed(text)
        page.close()
        page.end_result()
    except (AssertionError, ValueError):  # the parser of the library asserts what a page may break
        raise SearchError("The search endpoint answered a page that can't be read.") from None
    if not page.results and ROBOT_SIGNS.search(text):
        raise SearchError(
            "The search endpoint wants to see a human (CAPTCHA): try again later, or let another "
            "endpoint or a search with a key be configured."
        )
    if not page.results and not page.is_list:
        raise SearchError("The search endpoint answered a page that is no list of results.")
    return page.results


class ResultPage(HTMLParser):
    """Collects the results of a page: links of class `result__a`, texts of `result__snippet`."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[Result] = []
        self.is_list = False
        self._url = ""
        self._texts = {"result__a": "", "result__snippet": ""}
        self._inside = ""
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notice where a title or a snippet begins."""
        given = dict(attrs)
        classes = (given.get("class") or "").split()
        self.is_list |= given.get("id") == "links" or not {"results", "no-results"}.isdisjoint(
            classes
        )
        for name in self._texts:
            if name in classes:
                if name == "result__a":
                    self.end_result()
                    self._url = given.get("href") or ""
                self._inside, self._tag = name, tag

    def handle_endtag(self, tag: str) -> None:
        """Notice where it ends."""
        if tag == self._tag:
            self._inside = self._tag = ""

    def handle_data(self, data: str) -> None:
        """Keep its text."""
        if self._inside:
            self._texts[self._inside] += data

    def end_result(self) -> None:
        """Keep the result that is complete, if there is one."""
        title, description = self._texts.values()
        if found := result(title, target(self._url), description):
            self.results.append(found)
        self._url = ""
        self._texts = dict.fromkeys(self._texts, "")


def target(link: str) -> str:
    """Return where a link of DuckDuckGo leads; nothing for an advertisement."""
    parts = urlsplit(link)
    if parts.path == "/l/":
        return parse_qs(parts.query).get("uddg", [""])[0]
    return "" if parts.path == "/y.js" else link


def result(title: object, url: object, description: object) -> Result | None:
    """Return a result if what makes one is there."""
    if not isinstance(title, str) or not isinstance(url, str) or len(url) > URL_CHARS_MAX:
        return None
    if not re.match(r"https?://\S+\Z", url, re.IGNORECASE) or not title.strip():
        return None
    return {
        "title": tidy(title, TITLE_CHARS_MAX),
        "url": tidy(url, URL_CHARS_MAX),
        "description": tidy(description, DESCRIPTION_CHARS_MAX)
        if isinstance(description, str)
        else "",
    }


def tidy(text: str, chars_max: int) -> str:
    """Make one line of a text that any encoding can carry."""
    line = " ".join(text.split())[:chars_max]
    return line.encode("utf-8", "replace").decode()


# The protocol.


class Server:
    """Answers requests, one line each; searches run side by side."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(SEARCHES_MAX)

    def run(self) -> None:
        """Answer until the input ends, and what was asked by then."""
        with self._workers:
            while line := sys.stdin.buffer.readline(LINE_BYTES_MAX):
                if not line.endswith(b"\n") and len(line) == LINE_BYTES_MAX:
                    while (rest := sys.stdin.buffer.readline(LINE_BYTES_MAX)) and rest[
                        -1:
                    ] != b"\n":
                        pass
                    self._send(None, error={"code": -32600, "message": "The line is too long"})
                else:
                    self._receive(line)

    def _receive(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._send(None, error={"code": -32700, "message": "This is no JSON"})
            return
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            if not isinstance(message, dict) or "method" in message:
                self._send(None, error={"code": -32600, "message": "This is no request"})
        elif isinstance(request_id := message.get("id"), int | str):
            params = message.get("params")
            params = params if isinstance(params, dict) else {}
            if message["method"] == "tools/call":
                self._workers.submit(self._answer, request_id, "tools/call", params)
            else:
                self._answer(request_id, message["method"], params)

    def _answer(self, request_id: int | str, method: str, params: dict[str, Any]) -> None:
        try:
            answer = self._result(method, params)
        except Rejected as error:
            self._send(request_id, error={"code": error.code, "message": str(error)})
            return
        if is_modern(params):
            answer |= {"resultType": "complete", "_meta": {f"{META}serverInfo": INFO}}
        self._send(request_id, result=answer)

    def _send(self, request_id: int | str | None, **outcome: Any) -> None:
        line = json.dumps({"jsonrpc": "2.0", "id": request_id, **outcome}) + "\n"
        with self._lock:
            sys.stdout.write(line)
            sys.stdout.flush()

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        cached = {"ttlMs": 0, "cacheScope": "public"} if is_modern(params) else {}
        if method == "initialize":
            asked = params.get("protocolVersion")
            version = asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[0]
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": INFO}
        if method == "server/discover" and is_modern(params):
            return {"supportedVersions": [MODERN_VERSION], "capabilities": {"tools": {}}, **cached}
        if method == "ping":
            return {}
        if method == "tools/list":
            return {"tools": [TOOL], **cached}
        if method == "tools/call":
            return self._call(params)
        raise Rejected(-32601, "There is no such method")

    def _call(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("name") != TOOL["name"]:
            raise Rejected(-32602, "There is no such tool: the only one is `search`")
        arguments = params.get("arguments")
        try:
            found = search(self._endpoint, *checked(arguments))
        except SearchError as error:
            return {"content": [{"type": "text", "text": str(error)}], "isError": True}
        texts = [json.dumps(result, ensure_ascii=False) for result in found]
        return {
            "content": [{"type": "text", "text": text} for text in texts],
            "structuredContent": {"results": found},
            "isError": False,
        }


def is_modern(params: dict[str, Any]) -> bool:
    """Tell whether a request is of the newest protocol, where each says its version."""
    meta = params.get("_meta")
    return isinstance(meta, dict) and meta.get(f"{META}protocolVersion") == MODERN_VERSION


def checked(arguments: object) -> tuple[str, int]:
    """Return the arguments of a search.

    Raises:
        SearchError: they are none.
    """
    given = arguments if isinstance(arguments, dict) else {}
    query, limit = given.get("query"), given.get("limit", LIMIT_DEFAULT)
    if not isinstance(query, str) or not 0 < len(tidy(query, len(query))) <= QUERY_CHARS_MAX:
        raise SearchError(f"`query` must be a text of 1 to {QUERY_CHARS_MAX} characters.")
    if type(limit) is not int or not 1 <= limit <= LIMIT_MAX:
        raise SearchError(f"`limit` must be an integer from 1 to {LIMIT_MAX}.")
    return tidy(query, QUERY_CHARS_MAX), limit


def main(argv: list[str]) -> int:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(description="A web search that needs no key, for MCP.")
    parser.add_argument("--endpoint", required=True, help="the URL of the search page")
    endpoint = parser.parse_args(argv[1:]).endpoint
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path:
        parser.error("--endpoint must be like https://search.example.org/search")
    Server(endpoint).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
