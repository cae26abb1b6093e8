"""The MCP client over stdio, against real server processes with good and bad manners."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scripworld.adapters.mcp_outcome import (
    McpAnswer,
    McpCallError,
    McpCrashed,
    McpProtocolError,
    McpTimeout,
    McpTooLarge,
    McpUnavailable,
)
from scripworld.adapters.mcp_process import McpServerSpec, child_environment, find_command
from scripworld.adapters.mcp_stdio import McpClient

SERVERS = Path(__file__).with_name("servers")
LEGACY = McpServerSpec(
    "legacy",
    sys.executable,
    (str(SERVERS / "legacy_server.py"),),
    start_timeout_s=40,
    call_timeout_s=20,
    line_bytes_max=2_000_000,
    grace_s=0.3,
)
SDK = replace(LEGACY, name="sdk", args=(str(SERVERS / "sdk_server.py"),), grace_s=2.0)


def legacy(*habits: str) -> McpServerSpec:
    return replace(LEGACY, args=LEGACY.args + habits)


@asynccontextmanager
async def client_of(spec: McpServerSpec) -> AsyncIterator[McpClient]:
    client = McpClient(spec)
    try:
        yield client
    finally:
        await client.close()


def run(spec: McpServerSpec, steps: Callable[[McpClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with client_of(spec) as client:
            await steps(client)

    asyncio.run(main())


def text_of(answer: McpAnswer) -> str:
    text = answer.result["content"][0]["text"]
    assert isinstance(text, str)
    return text


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in pids if is_running(pid)] == []


# Opening a session.


def test_a_modern_server_is_spoken_to_without_a_handshake() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        assert client.session is not None
        assert client.session.protocol_version == "2026-07-28"
        assert client.session.server_info["name"] == "sdk"
        assert [tool["name"] for tool in await client.list_tools()] == ["add", "fail"]
        answer = await client.call_tool("add", {"a": 2, "b": 3})
        assert answer.result["structuredContent"] == {"result": 5}
        failed = await client.call_tool("fail", {})
        assert failed.result["isError"] is True
        assert client.starts == 1

    run(SDK, steps)


@pytest.mark.parametrize(
    ("habits", "starts"),
    [((), 1), (("slow",), 1), (("silent",), 1), (("exit",), 2), (("block",), 2)],
)
def test_an_old_server_is_opened_with_a_handshake_however_it_takes_the_probe(
    habits: tuple[str, ...], starts: int
) -> None:
    async def steps(client: McpClient) -> None:
        assert text_of(await client.call_tool("echo", {"value": "hello"})) == "hello"
        assert client.session is not None
        assert client.session.protocol_version == "2025-11-25"
        assert client.session.server_info == {"name": "legacy", "version": "1"}
        assert client.starts == starts
        log = json.loads(text_of(await client.call_tool("log", {})))
        assert [note["method"] for note in log] == ["notifications/initialized"]

    # The one that blocks costs three quarters of the time to start.
    patience = 6.0 if "block" in habits else 40.0
    run(replace(legacy(*habits), probe_timeout_s=0.3, start_timeout_s=patience), steps)


def test_a_server_that_knew_the_handshake_is_not_probed_again() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        with pytest.raises(McpCrashed):
            await client.call_tool("crash", {})
        await client.start()
        assert client.starts == 3  # the first was ended by the probe

    run(legacy("exit"), steps)


def test_many_who_ask_at_once_share_one_start() -> None:
    async def steps(client: McpClient) -> None:
        calls = [client.call_tool("pid", {}) for _ in range(20)]
        pids = {text_of(answer) for answer in await asyncio.gather(*calls)}
        assert pids == {str(client.pid)}
        assert client.starts == 1

    run(legacy("slow"), steps)


def test_a_caller_that_gives_up_does_not_stop_the_start_for_others() -> None:
    async def steps(client: McpClient) -> None:
        first = asyncio.create_task(client.start())
        second = asyncio.create_task(client.start())
        await asyncio.sleep(0.1)
        first.cancel()
        await second
        assert first.cancelled()
        assert client.starts == 1

    run(legacy("slow"), steps)


def test_a_missing_runtime_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpUnavailable) as caught:
            await client.start()
        assert str(caught.value) == (
            "legacy: `npx` was not found on PATH. It comes with Node.js 20 or newer: install that."
        )

    run(replace(LEGACY, command="npx", env={"PATH": str(tmp_path)}), steps)


@pytest.mark.parametrize("trouble", ["not executable", "no such directory"])
def test_a_command_that_cannot_be_run_is_unavailable(trouble: str, tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    spec = replace(LEGACY, command=str(program), args=())
    if trouble == "no such directory":
        spec = replace(LEGACY, cwd=str(tmp_path / "nowhere"))

    async def steps(client: McpClient) -> None:
        with pytest.raises(McpUnavailable, match="could not be started"):
            await client.start()

    run(spec, steps)


def test_a_server_that_fails_to_start_is_unavailable_with_its_last_words() -> None:
    async def steps(client: McpClient) -> None:
        for _ in range(2):
            with pytest.raises(McpUnavailable) as caught:
                await client.call_tool("echo", {})
            assert str(caught.value) == (
                "legacy: it could not be started: its process ended with exit status 1. "
                "Its last words: the key is missing"
            )

    run(legacy("broken"), steps)


def test_a_server_of_an_unknown_version_is_unavailable() -> None:
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpUnavailable, match="version '1999-01-01'"):
            await client.start()

    run(legacy("strange"), steps)


def test_a_server_that_never_answers_is_unavailable_after_its_time() -> None:
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpUnavailable, match="was not answered within"):
            await client.start()

    deaf = ("-c", "import time; time.sleep(600)")
    run(replace(LEGACY, args=deaf, start_timeout_s=0.8, probe_timeout_s=0.1), steps)


def test_a_server_gets_the_allowed_environment_and_what_its_spec_adds() -> None:
    ours = {"PATH": "/bin", "LC_ALL": "C", "UV_OFFLINE": "1", "npm_config_x": "y"}
    secret = {"API_KEY": "secret", "PYTHONPATH": "/x", "LD_PRELOAD": "x", "AWS_PROFILE": "x"}
    defaults = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
    assert child_environment(ours | secret, {"TOKEN": "t"}) == ours | defaults | {"TOKEN": "t"}

    async def steps(client: McpClient) -> None:
        seen = json.loads(text_of(await client.call_tool("environment", {})))
        expected = child_environment(os.environ, {"TOKEN": "t"})
        assert {name: seen.get(name) for name in expected} == expected
        assert set(seen) - set(expected) <= {"LC_CTYPE"}  # Python adds it to itself

    run(replace(LEGACY, env={"TOKEN": "t"}), steps)


def test_uv_takes_our_python_and_downloads_none_unless_somebody_says_otherwise() -> None:
    assert child_environment({}, {}) == {
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
    }
    theirs = {"UV_PYTHON": "3.13", "UV_PYTHON_DOWNLOADS": "automatic"}
    assert child_environment(theirs, {}) == theirs
    assert child_environment({}, theirs) == theirs
    assert child_environment({"UV_PYTHON": "3.12"}, theirs) == theirs


def test_a_command_beside_our_interpreter_needs_no_activation() -> None:
    spec = replace(LEGACY, command=Path(sys.executable).name)
    assert find_command(spec, {"PATH": "/nowhere"}) == sys.executable


# Answers.


def test_tools_come_from_all_pages_in_the_order_given() -> None:
    async def steps(client: McpClient) -> None:
        names = [tool["name"] for tool in await client.list_tools()]
        assert names == [f"tool_{page}_{n}" for page in range(3) for n in (2, 1)]

    run(legacy(), steps)


def test_a_list_of_tools_that_does_not_advance_is_a_protocol_error() -> None:
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpProtocolError, match="doesn't advance"):
            await client.list_tools()

    run(legacy("endless"), steps)


def test_a_failed_tool_is_an_answer_and_an_error_answer_is_an_error() -> None:
    async def steps(client: McpClient) -> None:
        answer = await client.call_tool("fails", {})
        assert answer.result == {
            "content": [{"type": "text", "text": "no such row"}],
            "isError": True,
        }
        with pytest.raises(McpCallError) as caught:
            await client.call_tool("nothing", {})
        assert (caught.value.code, caught.value.message) == (-32602, "no tool nothing")
        assert caught.value.data == {"tool": "nothing"}
        assert caught.value.bytes_in > 0

    run(legacy(), steps)


def test_an_answer_tells_its_size_on_the_wire() -> None:
    async def steps(client: McpClient) -> None:
        small = await client.call_tool("echo", {"value": "x"})
        large = await client.call_tool("echo", {"value": "x" * 1001})
        assert large.bytes_out - small.bytes_out == 1000
        assert large.bytes_in - small.bytes_in == 1000

    run(legacy(), steps)


def test_calls_in_flight_get_their_own_answers_in_any_order() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        calls = [
            client.call_tool("later", {"delay_s": (n * 7 % 10) / 50, "value": n}) for n in range(60)
        ]
        answers = await asyncio.gather(*calls)
        assert [text_of(answer) for answer in answers] == [str(n) for n in range(60)]

    run(legacy(), steps)


def test_what_cannot_be_said_in_json_is_the_callers_error_and_harms_nothing() -> None:
    async def steps(client: McpClient) -> None:
        with pytest.raises(ValueError, match="surrogates"):
            await client.call_tool("echo", {"value": "\ud800"})
        assert text_of(await client.call_tool("echo", {"value": 1})) == "1"

    run(legacy(), steps)


# Trouble: after each, the next call works.


def test_after_a_timeout_the_server_is_told_and_a_late_answer_reaches_nobody() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        with pytest.raises(McpTimeout) as caught:
            await client.call_tool("never", {}, timeout_s=0.2)
        assert str(caught.value) == "legacy: tools/call was not answered within 0.2 s."
        assert caught.value.bytes_out > 0
        answers = await asyncio.gather(
            *(client.call_tool(name, {}) for name in ("log", "catch_up", "twice", "pid"))
        )
        log = json.loads(text_of(answers[0]))
        assert log[-1]["method"] == "notifications/cancelled"
        texts = [text_of(answer) for answer in answers[1:]]
        assert texts == ["caught up", "first", str(client.pid)]
        assert client.session is not None
        assert client.session.dropped.late == 2
        assert client.session.dropped.unknown == 6
        assert client.session.dropped.noise == 2

    run(legacy(), steps)


def test_a_cancelled_caller_tells_the_server() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        task = asyncio.create_task(client.call_tool("never", {}))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait({task})
        log = json.loads(text_of(await client.call_tool("log", {})))
        assert log[-1]["method"] == "notifications/cancelled"
        assert text_of(await client.call_tool("catch_up", {})) == "caught up"

    run(legacy(), steps)


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        ("crash", "its process ended with exit status 7. Its last words: one step | the disk is"),
        ("half_a_line", "its process was ended by SIGKILL."),
        ("close_output", "it closed its output."),
    ],
)
def test_a_crash_fails_every_call_in_flight_at_once_and_the_next_starts_again(
    tool: str, reason: str
) -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        waiting = [asyncio.create_task(client.call_tool("never", {})) for _ in range(3)]
        waiting.append(asyncio.create_task(client.call_tool(tool, {})))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, McpCrashed) for outcome in outcomes)
        assert all(str(outcome).startswith(f"legacy: {reason}") for outcome in outcomes)
        assert text_of(await client.call_tool("echo", {"value": "again"})) == "again"
        assert client.starts == 2

    run(legacy(), steps)


def test_noise_on_stdout_is_counted_and_skipped() -> None:
    async def steps(client: McpClient) -> None:
        assert text_of(await client.call_tool("noise", {})) == "after the noise"
        assert client.session is not None
        assert client.session.dropped.noise == 12

    run(legacy(), steps)


def test_a_line_of_one_megabyte_is_an_answer() -> None:
    async def steps(client: McpClient) -> None:
        answer = await client.call_tool("big", {"size": 1_000_000})
        assert len(text_of(answer)) == 1_000_000

    run(legacy(), steps)


@pytest.mark.parametrize("id_last", [False, True])
def test_an_oversize_answer_is_refused_by_its_size_and_the_session_goes_on(id_last: bool) -> None:
    async def steps(client: McpClient) -> None:
        others = [client.call_tool("later", {"delay_s": 0.3, "value": n}) for n in range(3)]
        big = client.call_tool("big", {"size": 3_000_000, "id_last": id_last})
        refused, *answers = await asyncio.gather(big, *others, return_exceptions=True)
        assert isinstance(refused, McpTooLarge)
        assert refused.bytes_in > 3_000_000
        assert "at most 2000000 are taken" in str(refused)
        texts = [text_of(answer) for answer in answers if isinstance(answer, McpAnswer)]
        assert texts == ["0", "1", "2"]
        assert client.starts == 1

    run(legacy(), steps)


def test_a_flood_on_stderr_blocks_nobody_and_only_its_end_is_kept() -> None:
    async def steps(client: McpClient) -> None:
        assert text_of(await client.call_tool("words", {"size": 5_000_000})) == "said"
        with pytest.raises(McpCrashed) as caught:
            await client.call_tool("crash", {})
        assert 4000 <= len(caught.value.stderr) <= 4096
        assert caught.value.stderr.endswith("the last one\none step\nthe disk is on fire\n")

    run(legacy(), steps)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('"a\xffb"', "a\ufffdb"),
        ('"\xe2\x80\xa8 and \xc2\x85"', "\u2028 and \x85"),
        ('"\\ud800"', "\ufffd"),
    ],
)
def test_text_that_other_clients_stumble_over_arrives(body: str, text: str) -> None:
    async def steps(client: McpClient) -> None:
        raw = '{"content":[{"type":"text","text":%s}]}' % body  # noqa: UP031
        assert text_of(await client.call_tool("raw", {"body": raw})) == text

    run(legacy(), steps)


@pytest.mark.parametrize(
    "body", ["NaN", "[1]", '"text"', "null", '{"resultType":"input_required"}']
)
def test_a_result_that_cannot_be_used_is_a_protocol_error(body: str) -> None:
    async def steps(client: McpClient) -> None:
        with pytest.raises(McpProtocolError):
            await client.call_tool("raw", {"body": body})
        assert text_of(await client.call_tool("echo", {"value": 1})) == "1"

    run(legacy(), steps)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("ping", {"result": {}}),
        ("roots/list", {"result": {"roots": [{"uri": "file:///data"}]}}),
        (
            "sampling/createMessage",
            {
                "error": {
                    "code": -32601,
                    "message": "sampling/createMessage is not offered by this client",
                }
            },
        ),
    ],
)
def test_every_request_of_the_server_is_answered(method: str, answer: dict[str, object]) -> None:
    async def steps(client: McpClient) -> None:
        heard = json.loads(text_of(await client.call_tool("ask", {"method": method})))
        assert {name: heard[name] for name in answer} == answer

    run(replace(legacy(), roots=("file:///data",)), steps)


def test_a_flood_of_notifications_delays_answers_and_no_more() -> None:
    async def steps(client: McpClient) -> None:
        flood = client.call_tool("flood", {"count": 50_000})
        echo = client.call_tool("echo", {"value": "x"})
        assert [text_of(answer) for answer in await asyncio.gather(flood, echo)] == ["flooded", "x"]

    run(legacy(), steps)


def test_calls_to_a_server_that_does_not_read_wait_their_time_and_then_fail() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        deaf = asyncio.create_task(client.call_tool("deaf", {"for_s": 1.0}))
        await asyncio.sleep(0.1)
        large = {"value": "x" * 1_500_000}
        filling = asyncio.create_task(client.call_tool("echo", large))
        await asyncio.sleep(0)
        with pytest.raises(McpTimeout, match="doesn't read its input") as caught:
            await client.call_tool("echo", large, timeout_s=0.2)
        assert caught.value.bytes_out == 0
        waiting = asyncio.create_task(client.call_tool("echo", {"value": "waited"}))
        assert text_of(await deaf) == "listening again"
        assert len(text_of(await filling)) == 1_500_000
        assert text_of(await waiting) == "waited"

    run(legacy(), steps)


# The end.


def test_a_closed_client_has_no_processes_and_refuses_calls() -> None:
    async def main() -> None:
        client = McpClient(LEGACY)
        await client.start()
        assert client.pid is not None
        pid = client.pid
        await asyncio.gather(client.close(), client.close())
        await client.close()
        assert not is_running(pid)
        with pytest.raises(McpUnavailable, match="it was closed"):
            await client.call_tool("echo", {})

    asyncio.run(main())


def test_closing_fails_calls_in_flight_and_a_start_under_way() -> None:
    async def main() -> None:
        for spec, tool in ((legacy(), "never"), (legacy("slow"), "echo")):
            client = McpClient(spec)
            if tool == "never":
                await client.start()
            call = asyncio.create_task(client.call_tool(tool, {}))
            await asyncio.sleep(0.2)
            await client.close()
            with pytest.raises((McpCrashed, McpUnavailable), match="it was closed"):
                await call

    asyncio.run(main())


def test_starts_crashes_and_ends_leave_no_descriptor_open() -> None:
    async def steps(client: McpClient) -> None:
        for _ in range(3):
            with pytest.raises(McpCrashed):
                await client.call_tool("crash", {})

    before = os.listdir("/proc/self/fd")
    run(legacy(), steps)
    run(legacy("broken"), lambda client: asyncio.sleep(0))
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_stubborn_server_and_its_grandchildren_die_on_close() -> None:
    async def main() -> None:
        client = McpClient(legacy("stubborn"))
        grandchild = int(text_of(await client.call_tool("grandchild", {})))
        assert client.pid is not None
        pids = [client.pid, grandchild]
        assert all(map(is_running, pids))
        await client.close()
        assert [pid for pid in pids if is_running(pid)] == []

    asyncio.run(main())


def test_grandchildren_of_a_crashed_server_die_before_it_starts_again() -> None:
    async def steps(client: McpClient) -> None:
        grandchild = int(text_of(await client.call_tool("grandchild", {})))
        with pytest.raises(McpCrashed):
            await client.call_tool("crash", {})
        await client.start()
        assert not is_running(grandchild)

    run(legacy(), steps)


def test_nothing_outlives_a_client_that_is_killed() -> None:
    command = [sys.executable, str(SERVERS / "orphaning_client.py"), LEGACY.args[0]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        pids = [int(pid) for pid in program.stdout.readline().split()]
        assert len(pids) == 3
        assert all(map(is_running, pids))
        program.send_signal(signal.SIGKILL)
        program.wait()
        wait_until_gone(pids)


def test_the_server_dies_with_a_killed_guard() -> None:
    async def steps(client: McpClient) -> None:
        await client.start()
        assert client.pid is not None
        server = client.pid
        guard = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
        call = asyncio.create_task(client.call_tool("never", {}))
        await asyncio.sleep(0.05)
        os.kill(guard, signal.SIGKILL)
        with pytest.raises(McpCrashed):
            await call
        assert text_of(await client.call_tool("echo", {"value": "again"})) == "again"
        wait_until_gone([server])

    run(legacy(), steps)
