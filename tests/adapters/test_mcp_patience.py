"""How long the MCP client waits, asks and tries again, against real server processes."""

import asyncio
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripworld.adapters.mcp_outcome import (
    McpAnswer,
    McpCrashed,
    McpProtocolError,
    McpTimeout,
    McpUnavailable,
)
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_stdio import McpClient

SERVERS = Path(__file__).with_name("servers")
LEGACY = McpServerSpec(
    "legacy",
    sys.executable,
    (str(SERVERS / "legacy_server.py"),),
    start_timeout_s=40,
    call_timeout_s=20,
    grace_s=0.3,
    backoff_s=0.01,
)
ASKING = replace(LEGACY, name="asking", args=(str(SERVERS / "asking_server.py"),), grace_s=2.0)


def run(spec: McpServerSpec, steps: Callable[[McpClient], Awaitable[None]]) -> None:
    async def main() -> None:
        client = McpClient(spec)
        try:
            await steps(client)
        finally:
            await client.close()

    asyncio.run(main())


def text_of(answer: McpAnswer) -> str:
    text = answer.result["content"][0]["text"]
    assert isinstance(text, str)
    return text


async def crash(client: McpClient) -> None:
    with pytest.raises(McpCrashed):
        await client.call_tool("crash", {})


# Progress.


def test_each_report_of_progress_starts_the_time_of_its_call_anew() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        work = {"reports": 4, "every_s": 0.6}
        assert text_of(await client.call_tool("works", work, timeout_s=2.0)) == "done"

    run(LEGACY, steps)


def test_progress_extends_a_call_to_the_hard_maximum_and_no_further() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        with pytest.raises(McpTimeout, match=r"not answered within 1\.5 s"):
            await client.call_tool("works", {"reports": 30, "every_s": 0.1}, timeout_s=1.0)
        assert text_of(await client.call_tool("echo", {"value": 1})) == "1"

    run(replace(LEGACY, call_timeout_max_s=1.5), steps)


@pytest.mark.parametrize("token", [999, "1", True, 1.5, [], {}, 0])
def test_progress_under_a_token_of_no_call_in_flight_extends_nothing(token: object) -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        work = {"reports": 15, "every_s": 0.1, "token": token}
        with pytest.raises(McpTimeout, match=r"not answered within 0\.5 s"):
            await client.call_tool("works", work, timeout_s=0.5)
        assert text_of(await client.call_tool("echo", {"value": 1})) == "1"

    run(LEGACY, steps)


# Other notifications.


def test_a_changed_list_of_tools_and_log_messages_are_counted() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        assert client.session is not None
        assert (client.session.tools_changed, client.session.logged) == (0, 0)
        changed = {"method": "tools/list_changed", "params": None, "count": 2}
        await client.call_tool("notices", changed)
        await client.call_tool("notices", {"method": "message", "params": {}, "count": 3})
        assert (client.session.tools_changed, client.session.logged) == (2, 3)

    run(LEGACY, steps)


@pytest.mark.parametrize("method", ["message", "progress", "tools/list_changed", "nonsense"])
def test_a_flood_of_notifications_takes_no_memory(method: str) -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        flood = {"method": method, "params": {"progressToken": 3}, "count": 100_000}
        tracemalloc.start()
        try:
            assert text_of(await client.call_tool("notices", flood)) == "notified"
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak_bytes < 8_000_000  # that many kept notifications would be over 30 MB

    run(LEGACY, steps)


# Failures of the server.


def test_a_server_that_dies_again_and_again_is_left_alone_for_a_while() -> None:
    async def steps(client: McpClient) -> None:
        for starts in (1, 2, 3):
            await crash(client)
            assert client.starts == starts
        for _ in range(20):
            with pytest.raises(McpUnavailable) as caught:
                await client.call_tool("echo", {})
        assert client.starts == 3
        assert str(caught.value) == (
            "legacy: it failed 3 times within 60 s and is left alone: try again in 2 s. The last "
            "time its process ended with exit status 7. "
            "Its last words: one step | the disk is on fire"
        )
        await asyncio.sleep(2)
        assert text_of(await client.call_tool("echo", {"value": "again"})) == "again"
        assert client.starts == 4

    run(replace(LEGACY, restarts_max=3, unavailable_s=2.0), steps)


def test_a_server_that_never_starts_is_left_alone_too() -> None:
    async def steps(client: McpClient) -> None:
        for _ in range(2):
            with pytest.raises(McpUnavailable, match="could not be started"):
                await client.start()
        starts = client.starts
        with pytest.raises(McpUnavailable, match=r"failed 2 times .* the key is missing"):
            await client.start()
        assert client.starts == starts

    run(replace(LEGACY, args=(*LEGACY.args, "broken"), restarts_max=2), steps)


def test_each_start_after_a_failure_waits_longer_than_the_one_before() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        clock = asyncio.get_running_loop().time
        for pause_s in (0.5, 1.0, 1.0):
            begun_s = clock()
            await crash(client)
            await client.start()
            assert clock() - begun_s > pause_s - 0.01  # a bound that no busy machine can break

    run(replace(LEGACY, backoff_s=0.5, backoff_max_s=1.0), steps)


def test_closing_ends_the_wait_for_a_start() -> None:
    async def steps(client: McpClient) -> None:
        await crash(client)
        call = asyncio.create_task(client.call_tool("echo", {}))
        await asyncio.sleep(0.1)
        await client.close()
        with pytest.raises(McpUnavailable, match="it was closed"):
            await call
        assert client.starts == 1

    run(replace(LEGACY, backoff_s=10.0), steps)


# Servers that ask for input.


def test_a_question_is_declined_and_the_call_made_again_with_the_state() -> None:
    async def steps(client: McpClient) -> None:
        answer = await client.call_tool("confirm", {})
        assert text_of(answer) == "decline ['file:///data'] first round"
        assert client.session is not None
        assert client.session.protocol_version == "2026-07-28"

    run(replace(ASKING, roots=("file:///data",)), steps)


def test_a_server_may_ask_for_nothing_but_three_more_rounds() -> None:
    async def steps(client: McpClient) -> None:
        answer = await client.call_tool("patience", {})
        assert text_of(answer) == "3 rounds"

    run(ASKING, steps)


def test_a_server_that_asks_again_and_again_is_a_protocol_error_with_all_its_bytes() -> None:
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpProtocolError, match="over 3 times") as caught:
            await client.call_tool("endless", {"pause_s": 0})
        assert caught.value.bytes_out > 4 * 100
        assert caught.value.bytes_in > 4 * 100
        assert text_of(await client.call_tool("patience", {})) == "3 rounds"

    run(ASKING, steps)


def test_rounds_of_input_end_at_the_hard_maximum() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        with pytest.raises(McpTimeout) as caught:
            await client.call_tool("endless", {"pause_s": 1.0}, timeout_s=1.5)
        assert caught.value.bytes_in > 0  # from the first round

    run(replace(ASKING, call_timeout_max_s=1.6), steps)


def test_input_that_has_no_refusal_fails_the_call() -> None:
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpProtocolError, match="'sampling/createMessage'"):
            await client.call_tool("sample", {})
        assert text_of(await client.call_tool("patience", {})) == "3 rounds"

    run(ASKING, steps)


@pytest.mark.parametrize(
    "asked",
    [
        "{}",
        '{"inputRequests":{}}',
        '{"inputRequests":[1]}',
        '{"inputRequests":{"a":1}}',
        '{"requestState":5}',
        '{"inputRequests":{"a":{"method":["x"]}}}',
    ],
)
def test_a_malformed_wish_for_input_is_a_protocol_error(asked: str) -> None:
    async def steps(client: McpClient) -> None:
        body = '{"resultType":"input_required"' + ("," + asked[1:] if asked != "{}" else "}")
        with pytest.raises(McpProtocolError, match="asks for"):
            await client.call_tool("raw", {"body": body})
        assert text_of(await client.call_tool("echo", {"value": 1})) == "1"

    run(LEGACY, steps)
