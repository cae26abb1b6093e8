"""Messages that break MCP clients: ids, answers, progress, the server's requests, lists, floods."""

import asyncio

import pytest

from scripworld.adapters.mcp_outcome import McpCallError, McpProtocolError, McpTimeout, McpTooLarge

from .hostile_lab import (
    COMPANY,
    OK,
    Case,
    Step,
    answer,
    client_of,
    each,
    echo,
    error,
    meet,
    message,
    notification,
    result,
    run,
    spec_of,
)

MB = 1_000_000
LATE = 0.3
HEARD = answer(more=b',"heard":$heard')
TOOLS = b'"tools":[{"name":"a"}]'


def under(request_id: bytes) -> bytes:
    return answer(b'"somebody else\'s"', request_id=request_id)


def asks(method: bytes, request_id: bytes = b"1", params: bytes = b"{}") -> bytes:
    return message(b'"id":%b,"method":"%b","params":%b' % (request_id, method, params))


def asked(case: str, *requests: bytes, hears: list[object]) -> Case:
    """Return a case whose server answers once its own requests were."""
    return Case(case, [*requests, ("hear", len(hears)), HEARD], hears=hears)


def to(request_id: object, **members: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": request_id, **members}


def declined(request_id: object, method: str) -> dict[str, object]:
    text = f"{method} is not offered by this client"
    return to(request_id, error={"code": -32601, "message": text})


def flood(case: str, line: bytes, times: int, **counted: int) -> Case:
    steps: list[Step] = [("repeat", line, times), OK]
    return Case(f"{times:,} {case}", steps, dropped=counted, peak_bytes_max=20 * MB)


def progress(token: bytes = b"$id") -> bytes:
    return notification(b"progress", b'{"progressToken":%b,"progress":1}' % token)


def lists(case: str, value: bytes, says: str = "isn't one") -> Case:
    """Return a case of a bad list of tools."""
    return Case(case, [result(value)], McpProtocolError, says, method="tools/list")


IDS = [
    Case("an answer twice", [OK, under(b"$id")], dropped={"late": 1}),
    Case("an answer that was given before", [under(b"$done"), OK], dropped={"late": 1}),
    Case("the answer to a call that comes later", [under(b"$next"), OK], dropped={"unknown": 1}),
    Case("an id far ahead", [under(b"999999"), OK], dropped={"unknown": 1}),
    Case("an id as a string", [under(b'"$id"'), OK], dropped={"unknown": 1}),
    Case("an id as a fraction", [under(b"$id.0"), OK], dropped={"unknown": 1}),
    Case("an id with an exponent", [under(b"$ide0"), OK], dropped={"unknown": 1}),
    Case("an id that is null", [under(b"null"), OK], dropped={"unknown": 1}),
    Case("an id that is true", [under(b"true"), OK], dropped={"noise": 1}),
    Case("a negative id", [under(b"-$id"), OK], dropped={"unknown": 1}),
    Case("the id zero", [under(b"0"), OK], dropped={"unknown": 1}),
    Case("an id of 31 digits", [under(b"1" + b"0" * 30), OK], dropped={"unknown": 1}),
    Case("an id out of any range", [under(b"1e400"), OK], dropped={"noise": 1}),
    Case("an id in a list", [under(b"[$id]"), OK], dropped={"noise": 1}),
    Case(
        "an answer to the probe when the session is open",
        [message(b'"id":1,"result":{"supportedVersions":["2026-07-28"]}'), OK],
        plan={"server/discover": []},
        spec={"probe_timeout_s": 0.2},
        dropped={"late": 1},
    ),
    Case("an answer without an id", [message(b'"result":{}'), OK], dropped={"noise": 1}),
    Case("an error without an id", [message(b'"id":null,"error":{}'), OK], dropped={"unknown": 1}),
    Case(
        "a string for an id and nothing else",
        [under(b'"$id"')],
        McpTimeout,
        "0.3 s",
        timeout_s=LATE,
    ),
    Case(
        "no answer at all",
        [],
        McpTimeout,
        "tools/call was not answered within 0.3 s",
        timeout_s=LATE,
    ),
    Case(
        "an answer after the timeout",
        [("sleep", 0.6), OK],
        McpTimeout,
        timeout_s=LATE,
        dropped={"late": 1},
    ),
]

SHAPES = [
    Case(
        "both a result and an error",
        [message(b'"id":$id,"result":{},"error":{"code":5,"message":"no"}')],
        McpCallError,
        "error 5: no",
    ),
    Case("a result and an error that is null", [OK.replace(b"}\n", b',"error":null}\n')]),
    Case(
        "neither a result nor an error",
        [message(b'"id":$id')],
        McpProtocolError,
        "neither a result nor",
    ),
    Case("an error that is null", [error(b"null")], McpProtocolError, "neither a result nor"),
    Case("an error that is text", [error(b'"it broke"')], McpCallError, "it broke"),
    Case("an error that is a list", [error(b"[1]")], McpCallError, "error 0"),
    Case("an error that is empty", [error(b"{}")], McpCallError, "error 0"),
    Case(
        "an error whose code is text",
        [error(b'{"code":"E1","message":"no"}')],
        McpCallError,
        "error 0: no",
    ),
    Case(
        "an error whose code is huge",
        [error(b'{"code":1e300,"message":"no"}')],
        McpCallError,
        "error 0: no",
    ),
    Case(
        "an error whose message is none",
        [error(b'{"code":5,"message":{"a":[null]}}')],
        McpCallError,
        "error 5",
    ),
    Case(
        "an error with 3 MB of message",
        [error(b'{"code":5,"message":"$pad"}').split(b"$pad")[0], ("repeat", b"no ", MB), b'"}}\n'],
        McpCallError,
        "error 5: no no",
    ),
    Case(
        "an error that clears the screen",
        [error(b'{"code":5,"message":"a\\u001b[2Jb\\nc"}')],
        McpCallError,
        "error 5: a",
    ),
    Case("a result that is null", [result(b"null")], McpProtocolError, "isn't an object"),
    Case("a result that is a list", [result(b"[1]")], McpProtocolError, "isn't an object"),
    Case("a result that is text", [result(b'"done"')], McpProtocolError, "isn't an object"),
    Case("a result without content", [result(b"{}")], gives={}),
    Case(
        "content that is no list",
        [result(b'{"content":5,"isError":"no"}')],
        gives={"content": 5, "isError": "no"},
    ),
    Case(
        "a result of an unknown type",
        [result(b'{"resultType":["task"]}')],
        McpProtocolError,
        "'task'",
    ),
    Case(
        "a result of a type of 3 MB",
        [b'{"jsonrpc":"2.0","id":$id,"result":{"resultType":"', ("repeat", b"x", 3 * MB), b'"}}\n'],
        McpProtocolError,
        "xxx",
    ),
    Case(
        "a wish for input that says nothing",
        [result(b'{"resultType":"input_required"}')],
        McpProtocolError,
        "without saying which",
    ),
    Case(
        "a wish for input by a method of 3 MB",
        [
            b'{"jsonrpc":"2.0","id":$id,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"',
            ("repeat", b"x", 3 * MB),
            b'"}}}}\n',
        ],
        McpProtocolError,
        "xxx",
    ),
    Case(
        "a request that says it is an answer too",
        [message(b'"id":$id,"method":"ping","result":{}'), OK],
    ),
    Case("a cancellation of our own call", [notification(b"cancelled", b'{"requestId":$id}'), OK]),
]

PROGRESS = [
    Case(
        "progress for ever",
        [("again", 40, [progress(), ("sleep", 0.05)]), OK],
        McpTimeout,
        "not answered within 1.5 s",
        timeout_s=1.0,
        spec={"call_timeout_max_s": 1.5},
        dropped={"late": 1},
    ),
    Case(
        "progress of a call that is over",
        [("again", 12, [progress(b"$done"), ("sleep", 0.05)]), OK],
        McpTimeout,
        "not answered within 0.3 s",
        timeout_s=LATE,
        dropped={"late": 1},
    ),
    Case(
        "progress under tokens of any kind",
        [
            *map(
                progress, (b"null", b"true", b'"$id"', b"$id.0", b"[$id]", b"{}", b"-1", b"1e300")
            ),
            notification(b"progress", b"[1]"),
            notification(b"progress", b"null"),
            OK,
        ],
        dropped={"noise": 0},
    ),
    Case(
        "progress that goes backwards",
        [notification(b"progress", b'{"progressToken":$id,"progress":-1e99,"total":0}'), OK],
    ),
]

REQUESTS = [
    asked("ping", asks(b"ping"), hears=[to(1, result={})]),
    asked("roots", asks(b"roots/list"), hears=[to(1, result={"roots": []})]),
    asked(
        "sampling", asks(b"sampling/createMessage"), hears=[declined(1, "sampling/createMessage")]
    ),
    asked("elicitation", asks(b"elicitation/create"), hears=[declined(1, "elicitation/create")]),
    asked("an unknown method", asks(b"world/destroy"), hears=[declined(1, "world/destroy")]),
    asked("a method of ours", asks(b"tools/call"), hears=[declined(1, "tools/call")]),
    asked("a request without a method's name", asks(b""), hears=[declined(1, "")]),
    Case("a request under the id of our own call", [asks(b"ping", b"$id"), ("hear", 1), OK]),
    asked(
        "requests under text",
        asks(b"ping", b'"a\\u2028b"'),
        asks(b"ping", b'""'),
        hears=[to("a\u2028b", result={}), to("", result={})],
    ),
    asked(
        "requests under large numbers",
        asks(b"ping", b"-9007199254740993"),
        hears=[to(-9007199254740993, result={})],
    ),
    asked(
        "requests with parameters of any kind",
        asks(b"ping", b"1", b"null"),
        asks(b"ping", b"2", b"[1]"),
        asks(b"ping", b"3", b'"x"'),
        hears=[to(n, result={}) for n in (1, 2, 3)],
    ),
    asked(
        "requests in a batch",
        b"[" + asks(b"ping")[:-1] + b"," + asks(b"x")[:-1] + b"]\n",
        hears=[to(1, result={}), declined(1, "x")],
    ),
    asked("the same request twice", asks(b"ping") * 2, hears=[to(1, result={})] * 2),
    Case(
        "requests under null, a fraction and a list",
        [asks(b"ping", b"null"), asks(b"ping", b"1.5"), asks(b"ping", b"[1]"), OK],
        dropped={"noise": 3},
    ),
    Case(
        "10,000 requests while it doesn't read",
        [("repeat", asks(b"ping"), 10_000), OK],
        peak_bytes_max=20 * MB,
    ),
    Case(
        "50,000 requests while it doesn't read",
        [("repeat", asks(b"x" * 50), 30_000), OK],
        peak_bytes_max=20 * MB,
    ),
    Case(
        "100 requests by a method of 1 MB while it doesn't read",
        [
            ("again", 100, [b'{"jsonrpc":"2.0","id":1,"method":"', ("repeat", b"x", MB), b'"}\n']),
            OK,
        ],
        peak_bytes_max=30 * MB,
    ),
]

FLOODS = [
    Case("200,000 log messages", [("repeat", notification(b"message"), 200_000), OK]),
    flood("log messages", notification(b"message", b'{"level":"info","data":"x"}'), 30_000),
    flood("reports of progress", progress(), 30_000),
    flood("reports of progress to nobody", progress(b'"x"'), 30_000),
    flood("changed lists", notification(b"tools/list_changed"), 30_000),
    flood("unknown notifications", notification(b"x"), 30_000),
    flood("answers to nobody", under(b"999999"), 30_000, unknown=30_000),
    flood("late answers", under(b"$done"), 30_000, late=30_000),
    Case(
        "10 MB on stderr", [("stderr", b"a line of words\n", 625_000), OK], peak_bytes_max=20 * MB
    ),
    Case(
        "10 MB on stderr without a newline",
        [("stderr", b"\xff\x1b", 5 * MB), OK],
        peak_bytes_max=20 * MB,
    ),
]

LISTS = [
    Case(
        "a list of two pages", [result(b"{%b}" % TOOLS)], gives=[{"name": "a"}], method="tools/list"
    ),
    lists("pages without end", b'{%b,"nextCursor":"$id"}' % TOOLS, "over 100 pages"),
    lists("a cursor that doesn't advance", b'{%b,"nextCursor":"same"}' % TOOLS, "doesn't advance"),
    lists("a cursor that is a number", b'{%b,"nextCursor":5}' % TOOLS, "doesn't advance"),
    lists("a cursor that is a list", b'{%b,"nextCursor":["a"]}' % TOOLS, "doesn't advance"),
    lists("a cursor that is false", b'{%b,"nextCursor":false}' % TOOLS, "doesn't advance"),
    lists("tools that are no list", b'{"tools":{"a":{}}}'),
    lists("tools that are missing", b"{}"),
    lists("tools that are null", b'{"tools":null}'),
    lists("a tool that is text", b'{"tools":["a"]}'),
    lists("a tool without a name", b'{"tools":[{"name":"a"},{"title":"b"}]}'),
    lists("a tool whose name is a number", b'{"tools":[{"name":5}]}'),
    lists("a list that is null", b"null", "isn't an object"),
    Case(
        "a list that is an error",
        [error(b'{"code":-32603,"message":"no"}')],
        McpCallError,
        "error -32603: no",
        method="tools/list",
    ),
    Case(
        "a list that never comes",
        [],
        McpTimeout,
        "tools/list was not",
        method="tools/list",
        timeout_s=LATE,
    ),
    Case(
        "a list of 5 MB",
        [
            b'{"jsonrpc":"2.0","id":$id,"result":{"tools":[{"name":"a"}',
            ("repeat", b',{"name":"a"}', 400_000),
            b"]}}\n",
        ],
        McpTooLarge,
        "at most 4000000",
        method="tools/list",
    ),
    Case(
        "100 pages of 3 MB",
        [
            b'{"jsonrpc":"2.0","id":$id,"result":{"nextCursor":"$id","tools":[{"name":"',
            ("repeat", b"x", 3 * MB),
            b'"}]}}\n',
        ],
        McpTooLarge,
        "list of tools",
        method="tools/list",
        peak_bytes_max=30 * MB,
    ),
]


@each(IDS + SHAPES + PROGRESS + REQUESTS + FLOODS + LISTS)
def test_messages(case: Case) -> None:
    meet(case)


@pytest.mark.parametrize("company", [0, COMPANY], ids=["alone", "in company"])
def test_an_answer_to_a_cancelled_call_reaches_nobody(company: int) -> None:
    plan = {"tools/call": [("sleep", 0.5), OK], "company": company}

    async def main() -> None:
        async with client_of(spec_of(plan)) as client:
            await client.start()
            calls = [echo(client, f"honest {n}", hold=True) for n in range(company)]
            honest = [asyncio.create_task(call) for call in calls]
            given_up = asyncio.create_task(client.call_tool("hostile", {"token": "given up"}))
            await asyncio.sleep(0.2)
            given_up.cancel()
            await asyncio.gather(*honest)
            await echo(client, "after")
            assert given_up.cancelled()
            assert client.session is not None
            assert client.session.dropped.late == 1

    run(main())
