"""A modern server that first says which versions it supports is asked again, in the one that both speak."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from scripworld.adapters.mcp_outcome import McpError
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_stdio import McpClient

SERVER = """
import json, sys
supported, notes = sys.argv[1].split(","), open(sys.argv[2], "a")
asked = 0
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    print(message["method"], file=notes, flush=True)
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "server/discover":
        asked += 1
        if asked == 1:
            data = {"supported": supported, "requested": "2026-07-28"}
            answer["error"] = {"code": -32022, "message": "unsupported version", "data": data}
        else:
            answer["result"] = {"supportedVersions": supported, "capabilities": {"tools": {}}}
    elif message["method"] == "tools/list":
        answer["result"] = {"tools": [{"name": "echo", "inputSchema": {}}]}
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
"""


def opened(folder: Path, *supported: str) -> tuple[Any, list[str]]:
    """What listing its tools comes to, and the methods that the server was asked."""
    notes = folder / "notes"
    args = ("-c", SERVER, ",".join(supported), str(notes))
    spec = McpServerSpec("choosy", sys.executable, args, grace_s=0.3, start_timeout_s=10)

    async def look() -> Any:
        client = McpClient(spec)
        try:
            tools = await client.list_tools()
            assert client.session is not None
            return tools, client.session.protocol_version
        except McpError as error:
            return error
        finally:
            await client.close()

    return asyncio.run(look()), notes.read_text().split()


def test_it_is_asked_again_in_the_version_that_it_names(tmp_path: Path):
    (tools, version), asked = opened(tmp_path, "2027-01-01", "2026-07-28")

    assert version == "2026-07-28"
    assert [tool["name"] for tool in tools] == ["echo"]
    assert asked == ["server/discover", "server/discover", "tools/list"]


@pytest.mark.parametrize("supported", [("2027-01-01",), ("",)])
def test_one_that_names_none_of_ours_is_tried_the_old_way_and_told(
    tmp_path: Path, supported: tuple[str, ...]
):
    outcome, asked = opened(tmp_path, *supported)

    assert isinstance(outcome, McpError)
    assert "could not be started" in str(outcome)
    assert asked[:2] == ["server/discover", "initialize"]
