"""Lives that break MCP clients: bad starts, bad ends, and servers that don't listen."""

import asyncio
import signal
from dataclasses import replace

import pytest

from scripworld.adapters.mcp_outcome import McpCrashed, McpError, McpTimeout, McpUnavailable
from scripworld.adapters.mcp_session import HANDSHAKE_VERSIONS

from .hostile_lab import (
    COMPANY,
    OK,
    Case,
    Plan,
    Step,
    answer,
    check_outcome,
    check_sentence,
    client_of,
    each,
    echo,
    error,
    is_running,
    meet,
    message,
    notification,
    peak_under,
    result,
    run,
    spec_of,
    text_of,
)

MB = 1_000_000
MODERN = "2026-07-28"
NEWEST = HANDSHAKE_VERSIONS[-1]
FOR_EVER = ("sleep", 600)
FIRE: Step = ("stderr", b"one step\nthe disk is on fire\n")
BURNT = r"Its last words: one step \| the disk is on fire$"
DISCOVERED = result(b'{"supportedVersions":["2026-07-28"]}')
HELLO = result(b'{"capabilities":{},"protocolVersion":"2025-11-25"}')


def ends(name: str, steps: list[Step], says: str) -> Case:
    """Return a case of a server that is gone before it answers."""
    return Case(name, steps, McpCrashed, says, fatal=True, starts=2)


def probed(name: str, *steps: Step, starts: int = 1, version: str = NEWEST, **spec: object) -> Case:
    """Return a case of what a server makes of `server/discover`."""
    return Case(name, steps, gives=version, method="server/discover", starts=starts, spec=spec)


def greeted(name: str, *steps: Step, refused: str = "", **spec: object) -> Case:
    """Return a case of what a server makes of `initialize`."""
    error, starts = (McpUnavailable, 2) if refused else (None, 1)
    return Case(
        name, steps, error, refused, gives=NEWEST, method="initialize", starts=starts, spec=spec
    )


def begins(name: str, *steps: Step, refused: str = "", **spec: object) -> Case:
    """Return a case of what a server does before it reads anything."""
    return replace(greeted(name, *steps, refused=refused, **spec), method="begin")


ENDS = [
    ends("a crash with last words", [FIRE, ("exit", 7)], "exit status 7. " + BURNT),
    ends("an end without a word", [("exit", 0)], "its process ended with exit status 0.$"),
    ends("SIGKILL", [FIRE, ("kill", signal.SIGKILL)], "ended by SIGKILL. " + BURNT),
    ends("SIGSEGV", [("kill", signal.SIGSEGV)], "ended by SIGSEGV"),
    ends("a truncated last line", [OK[:-20], FIRE, ("exit", 1)], "exit status 1. " + BURNT),
    ends("an answer without its newline", [OK[:-1], ("exit", 0)], "exit status 0"),
    ends("a closed output", [FIRE, ("close", 1), FOR_EVER], "it closed its output. " + BURNT),
    ends("a closed input and output", [("close", 0), ("close", 1), FOR_EVER], "it closed its"),
    ends(
        "a crash that leaves a process with its streams",
        [("orphan",), ("exit", 3)],
        "exit status 3",
    ),
    ends(
        "a crash after 10 MB of last words", [("stderr", b"x", 10 * MB), ("exit", 3)], "words: xxx"
    ),
    ends(
        "last words for the terminal",
        [("stderr", b"\x1b]0;a\x07\xff\xe2\x80\xaeb\r\n\0"), ("exit", 3)],
        "]0;a",
    ),
    ends(
        "a killed guard",
        [FIRE, ("kill_parent", signal.SIGKILL), FOR_EVER],
        "its process ended|its output",
    ),
    ends(
        "a guard that is told to end",
        [("kill_parent", signal.SIGTERM), FOR_EVER],
        "ended by SIGTERM",
    ),
    Case("an answer and the end", [OK, ("exit", 0)], fatal=True, starts=2, is_gone=True),
    Case("a closed input", [("close", 0), OK], starts=2, is_gone=True),
    Case("closed last words", [("close", 2), OK]),
    Case("an answer that leaves a process", [("orphan",), OK]),
]


@each(ENDS)
def test_an_end(case: Case) -> None:
    meet(case)


STARTS = [
    probed("exits at the probe", ("exit", 1), starts=2),
    probed("crashes at the probe", FIRE, ("kill", signal.SIGSEGV), starts=2),
    probed("closes its output at the probe", ("close", 1), FOR_EVER, starts=2),
    probed("closes its input at the probe", ("close", 0), starts=2),
    probed("blocks at the probe", FOR_EVER, starts=2, probe_timeout_s=0.2, start_timeout_s=4.0),
    probed(
        "begins a line at the probe", b'{"a', starts=2, probe_timeout_s=0.2, start_timeout_s=4.0
    ),
    probed("says nothing to the probe", probe_timeout_s=0.2),
    probed("writes noise to the probe", b"what?\n{}\n\xff\n", probe_timeout_s=0.2),
    probed(
        "writes 5 MB of noise to the probe", ("repeat", b"x", 5 * MB), b"\n", probe_timeout_s=0.2
    ),
    probed(
        "answers the probe with 5 MB",
        result(b'{"a":"|"}').split(b"|")[0],
        ("repeat", b"x", 5 * MB),
        b'"}}\n',
    ),
    probed("answers the probe with null", result(b"null")),
    probed("answers the probe with a list", result(b"[1]")),
    probed("answers the probe with nothing", result(b"{}")),
    probed("answers the probe with NaN", result(b"NaN")),
    probed("answers the probe with an error in text", error(b'"no"')),
    probed("answers the probe twice", error(b'"no"'), error(b'"no"')),
    probed("takes any method for a call", result(b'{"content":[],"isError":true}')),
    probed("is modern without versions", result(b'{"supportedVersions":null}')),
    probed("is modern with a version in text", result(b'{"supportedVersions":"2026-07-28"}')),
    probed(
        "is modern with versions of any kind",
        result(b'{"supportedVersions":[5,null,["2026-07-28"]]}'),
    ),
    probed("is modern in another version", result(b'{"supportedVersions":["2099-01-01"]}')),
    probed("is modern", DISCOVERED, version=MODERN),
    probed(
        "is modern without information",
        DISCOVERED.replace(b"}}", b',"_meta":[5]}}'),
        version=MODERN,
    ),
    probed(
        "is modern but slow",
        ("sleep", 0.5),
        DISCOVERED,
        version=MODERN,
        probe_timeout_s=0.2,
    ),
    Case(
        "answers the probe at the handshake",
        [DISCOVERED.replace(b"$id", b"1"), HELLO],
        gives=MODERN,
        method="initialize",
        plan={"server/discover": []},
        spec={"probe_timeout_s": 0.2},
    ),
    greeted("answers the handshake twice", HELLO, HELLO),
    greeted("has no information about itself", HELLO.replace(b"}}", b',"serverInfo":["x"]}}')),
    greeted(
        "floods before the handshake",
        ("repeat", notification(b"message"), 20_000),
        HELLO,
    ),
    greeted(
        "asks before the handshake",
        message(b'"id":1,"method":"roots/list"'),
        ("hear", 1),
        HELLO,
    ),
    greeted(
        "speaks an unknown version",
        result(b'{"protocolVersion":"1999-01-01"}'),
        refused="version '1999-01-01'",
    ),
    greeted("speaks no version", result(b'{"capabilities":{}}'), refused="version None"),
    greeted(
        "speaks a list of versions",
        result(b'{"protocolVersion":["2025-11-25"]}'),
        refused="version",
    ),
    greeted(
        "speaks a version of 3 MB",
        b'{"jsonrpc":"2.0","id":$id,"result":{"protocolVersion":"',
        ("repeat", b"x", 3 * MB),
        b'"}}\n',
        refused="version 'xxx",
    ),
    greeted("shakes hands with null", result(b"null"), refused="version None"),
    greeted("shakes hands with NaN", result(b"NaN"), refused="isn't valid JSON"),
    greeted(
        "shakes hands with an error",
        error(b'{"code":-1,"message":"no key"}'),
        refused="error -1: no key",
    ),
    greeted(
        "shakes hands with 5 MB",
        b'{"jsonrpc":"2.0","id":$id,"result":"',
        ("repeat", b"x", 5 * MB),
        b'"}\n',
        refused="at most 4000000",
    ),
    greeted(
        "never shakes hands",
        refused="initialize was not answered",
        start_timeout_s=2.0,
        probe_timeout_s=0.2,
    ),
    greeted("ends at the handshake", FIRE, ("exit", 3), refused="exit status 3. " + BURNT),
    begins("is slow to start", ("sleep", 0.6), probe_timeout_s=0.2),
    begins("greets with 1 MB of banner", ("repeat", b"Listening on stdio\n", 50_000)),
    begins("greets with 10 MB on stderr", ("stderr", b"Listening on stdio\n", 500_000)),
    begins("answers before it is asked", *[answer(request_id=b"%d" % n) for n in (2, 3)]),
    begins("leaves a process", ("orphan",)),
    begins(
        "ends at its start",
        FIRE,
        ("exit", 3),
        refused="could not be started: .* status 3. " + BURNT,
    ),
    begins("crashes at its start", ("kill", signal.SIGSEGV), refused="ended by SIGSEGV"),
    begins(
        "closes its output at its start", ("close", 1), FOR_EVER, refused="it closed its output"
    ),
    begins(
        "ends with 10 MB of last words",
        ("stderr", b"no\n", 3 * MB),
        ("exit", 1),
        refused=r"no \| no",
    ),
    begins("leaves a process and ends", ("orphan",), ("exit", 1), refused="exit status 1"),
]


@each(STARTS)
def test_a_start(case: Case) -> None:
    run(_start(case, 1), _start(case, COMPANY))


async def _start(case: Case, callers: int) -> None:
    async with client_of(spec_of({**case.plan, case.method: case.steps}, **case.spec)) as client:
        calls = [echo(client, f"honest {n}") for n in range(callers)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert client.starts == case.starts
        version = client.session and client.session.protocol_version
        for outcome in outcomes:
            check_outcome(case, outcome if case.error else outcome or version)


# Again and again.


def test_a_server_that_ends_at_every_start_is_left_alone() -> None:
    async def main() -> None:
        spec = spec_of({"begin": [FIRE, ("exit", 3)]}, restarts_max=2, unavailable_s=30.0)
        async with client_of(spec) as client:
            for _ in range(2):
                with pytest.raises(McpUnavailable, match="could not be started"):
                    await echo(client, "x")
            starts = client.starts
            for _ in range(100):
                with pytest.raises(McpUnavailable, match="try again in [0-9]+ s.*" + BURNT):
                    await echo(client, "x")
            assert client.starts == starts

    run(main())


def test_a_server_that_ends_at_each_second_call_answers_each_first() -> None:
    async def main() -> None:
        async with client_of(spec_of({"tools/call": [("exit", 3)]})) as client:
            for starts in range(1, 6):
                await echo(client, f"honest {starts}")
                with pytest.raises(McpCrashed, match="exit status 3"):
                    await client.call_tool("hostile", {})
                assert client.starts == starts

    run(main())


def test_a_server_that_opens_its_session_and_ends_fails_calls_and_never_hangs_them() -> None:
    async def main() -> None:
        plan: Plan = {"initialize": [HELLO, FIRE, ("exit", 3)]}
        async with client_of(spec_of(plan, restarts_max=3)) as client:
            for _ in range(6):
                with pytest.raises((McpCrashed, McpUnavailable)) as caught:
                    await echo(client, "x")
                check_sentence(caught.value)
            assert client.starts == 3

    run(main())


def test_a_server_whose_output_only_another_process_holds_open_is_started_again() -> None:
    async def main() -> None:
        plan: Plan = {"tools/call": [("orphan",), ("close", 1), ("sleep", 0.5)]}
        async with client_of(spec_of(plan)) as client:
            await echo(client, "before")
            with pytest.raises(McpTimeout):
                await client.call_tool("hostile", {}, timeout_s=0.3)
            with pytest.raises(McpCrashed, match="exit status 1"):
                await echo(client, "it can't be answered")
            await echo(client, "after")
            assert client.starts == 2

    run(main())


# A server that doesn't listen.


def test_64_large_calls_to_a_server_that_does_not_read_end_in_time_and_little_memory() -> None:
    async def main() -> None:
        async with client_of(spec_of({"tools/call": [("sleep", 1.5), OK]})) as client:
            await echo(client, "before")
            deaf = asyncio.create_task(client.call_tool("hostile", {"token": "its own"}))
            await asyncio.sleep(0.1)
            large = {"token": "large", "pad": "x" * 200_000}
            calls = [client.call_tool("echo", large, timeout_s=0.4) for _ in range(64)]
            with peak_under(6 * MB):  # all 64 would be 13 MB
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(outcome, McpTimeout) for outcome in outcomes)
            assert any("doesn't read its input" in str(outcome) for outcome in outcomes)
            assert text_of(await deaf) == "its own"
            await echo(client, "after")
            assert client.starts == 1

    run(main())


FLOOD: Step = ("again", 1_000_000_000, [notification(b"message") * 1000])
LAST_FLOOD: Step = ("stderr", b"x\n", 1_000_000_000_000)


@pytest.mark.parametrize("flood", [FLOOD, LAST_FLOOD], ids=["output", "last words"])
def test_a_flood_without_end_ends_no_deadline_and_stops_no_other_server(flood: Step) -> None:
    async def main() -> None:
        flooding = client_of(spec_of({"tools/call": [flood]}))
        async with flooding as client, client_of(spec_of({})) as neighbour:
            await client.start()
            for _ in range(2):
                call = asyncio.create_task(client.call_tool("hostile", {}, timeout_s=0.5))
                for n in range(20):
                    await echo(neighbour, f"honest {n}")
                with pytest.raises(McpTimeout):
                    await call

    run(main())


# The end of all.


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([FOR_EVER], id="ignores the end of its input"),
        pytest.param([("ignore", signal.SIGTERM), FOR_EVER], id="ignores SIGTERM too"),
        pytest.param([("kill", signal.SIGSTOP)], id="is stopped"),
        pytest.param([FLOOD], id="floods its output"),
        pytest.param([LAST_FLOOD], id="floods its last words"),
        pytest.param([("close", 0), ("close", 1), ("close", 2), FOR_EVER], id="closed its streams"),
        pytest.param([("kill_parent", signal.SIGSTOP), FOR_EVER], id="stopped its guard"),
    ],
)
def test_close_ends_a_server_and_what_it_left_whatever_it_does(steps: list[Step]) -> None:
    async def main() -> None:
        plan: Plan = {"begin": [("orphan",)], "tools/call": [answer(b'"$pid"'), *steps]}
        spec = spec_of(plan)
        async with client_of(spec) as client:
            orphan = int(text_of(await client.call_tool("hostile", {})))
            assert client.pid is not None
            pids = [client.pid, orphan]
            assert all(map(is_running, pids))
            waiting = asyncio.create_task(echo(client, "never"))
            await asyncio.sleep(0.1)
            await client.close()
            with pytest.raises(McpError) as caught:
                await waiting
            check_sentence(caught.value)
            assert [pid for pid in pids if is_running(pid)] == []

    run(main())
