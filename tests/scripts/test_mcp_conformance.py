"""What runs the conformance suite, without the suite: the bridge, the client's arguments, the table.

The bridge runs as a process under our client, against small HTTP servers on loopback.
"""

import asyncio
import contextlib
import http.server
import importlib
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jsonschema_rs
import pytest

from scripworld.adapters.mcp_outcome import McpUnavailable
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_session import MODERN_VERSION
from scripworld.adapters.mcp_stdio import McpClient

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
PAGE = ROOT / "docs" / "architecture" / "conformance.md"
TOOL = {"name": "add", "inputSchema": {"type": "object"}}


class Said(NamedTuple):
    message: dict[str, Any]
    headers: dict[str, str]


class Reply(NamedTuple):
    status: int
    result: Any = None
    kind: str = "application/json"
    body: bytes = b""


Answering = Callable[[Said], Reply]


@contextlib.contextmanager
def served(answering: Answering) -> Iterator[tuple[str, list[Said]]]:
    """An HTTP server whose answers a function gives; a GET is a message without a method."""
    heard: list[Said] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(Said({}, dict(self.headers)))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(Said(json.loads(body), dict(self.headers)))

        def reply(self, said: Said) -> None:
            heard.append(said)
            reply = answering(said)
            body = reply.body
            if reply.result is not None:
                answer = {"jsonrpc": "2.0", "id": said.message["id"], "result": reply.result}
                body = json.dumps(answer).encode()
            if reply.kind == "text/event-stream":
                body = b"id: 1\ndata: \n\ndata: " + body + b"\n\n"
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            self.send_header("Mcp-Session-Id", "session-1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mcp", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(url: str, steps: Callable[[McpClient], Awaitable[None]]) -> None:
    async def main() -> None:
        args = (str(SCRIPTS / "mcp_conformance_bridge.py"), url)
        client = McpClient(
            McpServerSpec("bridged", sys.executable, args, start_timeout_s=40, roots=("file:///r",))
        )
        try:
            await steps(client)
        finally:
            await client.close()

    asyncio.run(main())


# The bridge.


def test_a_server_of_the_handshake_era_is_bridged_with_its_session_and_its_questions():
    answered = threading.Event()
    question = b'{"jsonrpc": "2.0", "id": 1, "method": "roots/list"}'

    def answering(said: Said) -> Reply:
        match said.message.get("method"):
            case None if not said.message:
                return Reply(200, kind="text/event-stream", body=question)
            case None:
                answered.set()
                return Reply(202)
            case "server/discover":
                body = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "no"}}'
                return Reply(400, body=body)
            case "initialize":
                return Reply(200, {"protocolVersion": "2025-11-25", "capabilities": {}})
            case "tools/list":
                assert answered.wait(20)
                return Reply(200, {"tools": [TOOL]}, "text/event-stream")
        return Reply(202)

    async def steps(client: McpClient) -> None:
        assert await client.list_tools() == [TOOL]

    with served(answering) as (url, heard):
        run(url, steps)

    roots = {"roots": [{"uri": "file:///r"}]}
    assert [said.message["result"] for said in heard if "result" in said.message] == [roots]
    after = heard[2:]
    assert [said.message.get("method") for said in heard[:3]] == [
        "server/discover",
        "initialize",
        "notifications/initialized",
    ]
    assert {said.headers["Mcp-Session-Id"] for said in after} == {"session-1"}
    assert {said.headers["MCP-Protocol-Version"] for said in after} == {"2025-11-25"}


def test_a_modern_server_gets_the_headers_that_its_version_prescribes():
    def answering(said: Said) -> Reply:
        results = {
            "server/discover": {"supportedVersions": [MODERN_VERSION], "capabilities": {}},
            "tools/call": {"resultType": "complete", "content": []},
        }
        return Reply(200, results[said.message["method"]])

    async def steps(client: McpClient) -> None:
        assert (await client.call_tool("add", {"a": 1})).result["content"] == []

    with served(answering) as (url, heard):
        run(url, steps)

    discovery, call = heard
    assert discovery.headers["Mcp-Method"] == "server/discover"
    assert "Mcp-Name" not in discovery.headers
    assert (call.headers["Mcp-Method"], call.headers["Mcp-Name"]) == ("tools/call", "add")
    assert {said.headers["MCP-Protocol-Version"] for said in heard} == {MODERN_VERSION}


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "text/event-stream"])
def test_a_server_that_answers_no_message_fails_the_request_with_its_status(kind: str):
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpUnavailable, match="status 401 and no message"):
            await client.start()

    with served(lambda said: Reply(401, kind=kind)) as (url, _):
        run(url, steps)


def test_an_answer_that_is_not_json_fails_the_request():
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpUnavailable, match="could not be asked: JSONDecodeError"):
            await client.start()

    with served(lambda said: Reply(200, body=b"{")) as (url, _):
        run(url, steps)


def test_a_server_that_is_not_there_fails_the_request():
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpUnavailable, match="could not be asked: ConnectionRefusedError"):
            await client.start()

    with served(lambda said: Reply(202)) as (url, _):
        pass
    run(url, steps)


# The arguments that the client calls tools with.


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("mcp_conformance_client")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"]},
        {"type": "object", "properties": {"a": True}, "required": ["a"]},
        {
            "type": "object",
            "$defs": {"id": {"type": "string", "pattern": "^[a-z0-9-]+$"}},
            "properties": {"id": {"$ref": "#/$defs/id"}, "n": {"type": "integer", "minimum": 3}},
            "required": ["id", "n"],
        },
    ],
)
def test_an_example_fits_its_schema(client: ModuleType, schema: dict[str, Any]):
    assert jsonschema_rs.is_valid(schema, client.example(schema, schema))


def test_each_tool_is_called_once_and_the_echo_with_the_schema_as_it_came(client: ModuleType):
    rich = {"type": "object", "$defs": {"a": {"$anchor": "b"}}, "additionalProperties": False}
    tools = [{"name": "rich", "inputSchema": rich}, {"name": client.ECHO, "inputSchema": {}}]

    assert client.calls(tools, {}) == [("rich", {}), (client.ECHO, {"schema": rich})]


def test_a_scenario_can_say_what_to_call(client: ModuleType):
    context = {"toolCalls": [{"name": "add", "arguments": {"a": None}}]}

    assert client.calls([TOOL], context) == [("add", {"a": None})]


def test_a_form_is_accepted_with_its_defaults(client: ModuleType):
    fields = {"age": {"type": "integer", "default": 30}, "sure": {"type": "boolean"}}
    question = {"message": "?", "requestedSchema": {"type": "object", "properties": fields}}

    answer = asyncio.run(client.fill_in("agent", question))

    assert answer == {"action": "accept", "content": {"age": 30, "sure": True}}


# The table, and the page that shows it.


@pytest.fixture
def runner() -> ModuleType:
    loader = SourceFileLoader("mcp_conformance", str(SCRIPTS / "mcp_conformance"))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_suites_list_is_read(runner: ModuleType):
    listing = (
        "Client scenarios (test against a client):\n"
        "  - tools_call [2025-06-18,2025-11-25]\n  - auth/dpop [extension]\n"
    )

    assert list(runner.listed(listing)) == [
        ("tools_call", ["2025-06-18", "2025-11-25"]),
        ("auth/dpop", ["extension"]),
    ]


@pytest.mark.parametrize(
    ("scenario", "applies"),
    [("tools_call", True), ("auth/dpop", False), ("sse-retry", False), ("http-x", False)],
)
def test_what_belongs_to_http_does_not_apply(runner: ModuleType, scenario: str, applies: bool):
    assert (runner.why_not(scenario) is None) == applies


@pytest.mark.parametrize(
    ("status", "statuses", "passed", "words"),
    [
        (0, ["SUCCESS", "INFO", "SUCCESS"], True, "passed 2 of 2"),
        (0, ["SKIPPED"], False, "not checked"),
        (1, ["SUCCESS", "WARNING"], False, "FAILED 1 of 2"),
        (1, ["SUCCESS"], False, "FAILED"),
        (1, [], False, "FAILED"),
    ],
)
def test_a_scenario_passes_when_the_suite_says_so_and_checked_something(
    runner: ModuleType, status: int, statuses: list[str], passed: bool, words: str
):
    checks = [{"name": "n", "description": "d", "status": status} for status in statuses]

    assert runner.judged(status, checks)[:2] == (passed, words)


def test_the_page_names_what_the_script_pins(runner: ModuleType):
    page = PAGE.read_text(encoding="utf-8")

    versions = [version.rpartition("@")[2] for version in runner.PACKAGES.values()]

    assert [version for version in versions if version not in page] == []
    assert [prefix for prefix in runner.NOT_APPLYING if prefix not in page] == []
