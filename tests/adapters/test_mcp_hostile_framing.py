"""Bytes that break MCP clients: what one line may hold, and what may stand between two."""

from scripworld.adapters.mcp_outcome import McpCrashed, McpProtocolError, McpTimeout, McpTooLarge

from .hostile_lab import (
    OK,
    Case,
    Step,
    answer,
    each,
    large,
    meet,
    message,
    notification,
    result,
)

MB = 1_000_000
HEAD = b'{"jsonrpc":"2.0","id":$id,"result":{"content":['
ID_LAST = b',"jsonrpc":"2.0","id":$id}\n'
TOO_LARGE = "answer has 100[0-9]{6} bytes; at most 4000000 are taken"


def text(value: bytes) -> list[Step]:
    """Return an answer whose text is written in these bytes."""
    return [answer(b'"%b"' % value)]


def nested(opening: bytes, closing: bytes) -> list[Step]:
    """Return an answer that is nested 100,000 deep."""
    depth = 100_000
    return [HEAD, ("repeat", opening, depth), b"1", ("repeat", closing, depth), b"]}}\n"]


def reads(value: str) -> dict[str, object]:
    return {"content": [{"type": "text", "text": value}]}


CASES = [
    # Long lines.
    Case("a line of 64 KiB and a byte", large(65_537)),
    Case("a line of 256 KiB and a byte", large(262_145)),
    Case("a line of 1 MB", large(MB)),
    Case(
        "a line of 16 MB",
        large(16 * MB),
        spec={"line_bytes_max": 16_777_216},
        peak_bytes_max=80 * MB,
    ),
    Case(
        "an answer of 100 MB, its id first",
        large(100 * MB),
        McpTooLarge,
        TOO_LARGE,
        dropped={"oversize": 1},
        peak_bytes_max=20 * MB,
    ),
    Case(
        "an answer of 100 MB, its id last",
        [b'{"result":{"pad":"', ("repeat", b"x", 100 * MB), b'"}' + ID_LAST],
        McpTooLarge,
        TOO_LARGE,
        dropped={"oversize": 1},
        peak_bytes_max=20 * MB,
    ),
    Case(
        "a notification of 100 MB",
        [b'{"method":"', ("repeat", b"x", 100 * MB), b'","jsonrpc":"2.0"}\n', OK],
        dropped={"oversize": 1},
        peak_bytes_max=20 * MB,
    ),
    Case(
        "100 MB before the first newline",
        [("repeat", b"x", 100 * MB), b"\n", OK],
        dropped={"oversize": 1},
        peak_bytes_max=20 * MB,
    ),
    Case(
        "100 MB without a newline, then the end",
        [("repeat", b"x", 100 * MB), ("exit", 0)],
        McpCrashed,
        "exit status 0",
        fatal=True,
        starts=2,
        peak_bytes_max=20 * MB,
    ),
    # Pieces.
    Case("an answer in single bytes", [("bytewise", OK)]),
    Case(
        "an answer in single characters of several bytes",
        [("bytewise", answer(b'"$token"', more=b',"pad":"\xe2\x80\xa8\xf0\x9f\x98\x80"'))],
    ),
    Case("two lines in one write", [notification(b"message") + OK]),
    Case("a late half", [OK[:20], ("sleep", 0.2), OK[20:]]),
    Case(
        "half a line, silence, the rest after the timeout",
        [OK[:20], ("sleep", 0.8), OK[20:]],
        McpTimeout,
        "not answered within 0.4 s",
        timeout_s=0.4,
        dropped={"late": 1},
    ),
    Case("half a line that never goes on", [HEAD + b"\n"], McpProtocolError, "isn't valid JSON"),
    # Noise between the lines.
    Case("a banner", [b"Listening on stdio\n", OK], dropped={"noise": 1}),
    Case(
        "two lines of noise with 8,000,000 escapes each",
        [("again", 2, [("repeat", b"\\n", 8 * MB), b"\n"]), OK],
        spec={"line_bytes_max": 16_777_216},
        dropped={"noise": 2},
    ),
    Case("empty lines", [b"\n \n\t\n\r\n", OK]),
    Case("NUL bytes between lines", [b"\0\0\0\n", OK], dropped={"noise": 1}),
    Case("invalid UTF-8 between lines", [b"\xff\xfe\x80\n", OK], dropped={"noise": 1}),
    Case("UTF-16", [OK.decode().encode("utf-16")[:-1] + b"\n", OK]),
    Case("colours of a terminal", [b"\x1b[32mready\x1b[0m\n", OK], dropped={"noise": 1}),
    Case("headers as in LSP", [b"Content-Length: 99\r\n\r\n", OK]),
    Case(
        "JSON that isn't JSON-RPC",
        [b'{"level":"info"}\n[]\n12\nnull\n"text"\ntrue\n{}\n[{}]\n', OK],
        dropped={"noise": 8},
    ),
    Case(
        "another version of JSON-RPC",
        [b'{"jsonrpc":"1.0","id":$id,"result":{}}\n', OK],
        dropped={"noise": 1},
    ),
    Case("no version of JSON-RPC", [b'{"id":$id,"result":{}}\n'], McpProtocolError, "jsonrpc"),
    Case(
        "30,000 lines of noise",
        [("repeat", b"a line of noise\n", 30_000), OK],
        dropped={"noise": 30_000},
        peak_bytes_max=20 * MB,
    ),
    Case(
        "a log line glued to the front of an answer",
        [b"INFO " + OK],
        McpTimeout,
        "not answered within",
        timeout_s=0.3,
        dropped={"noise": 1},
    ),
    Case(
        "a log line glued to the front of an answer with its id last",
        [b'INFO {"result":{}' + ID_LAST],
        McpProtocolError,
        "isn't valid JSON",
    ),
    Case(
        "an answer over several lines",
        [b'{\n"jsonrpc": "2.0",\n"id": $id,\n"result": {}\n}\n'],
        McpTimeout,
        "not answered within",
        timeout_s=0.3,
        dropped={"noise": 5},
    ),
    # Within a line.
    Case("CRLF", [OK[:-1] + b"\r\n"]),
    Case("a lone CR between members", [OK.replace(b",", b",\r")]),
    Case("white space around", [b" \t " + OK[:-1] + b" \t \n"]),
    Case("a byte order mark", [b"\xef\xbb\xbf" + OK], dropped={"repaired": 1}),
    Case(
        "U+2028, U+2029 and U+0085",
        text(b"\xe2\x80\xa8\xe2\x80\xa9\xc2\x85"),
        gives=reads("\u2028\u2029\x85"),
    ),
    Case(
        "invalid UTF-8 in a string",
        text(b"a\xffb"),
        gives=reads("a\ufffdb"),
        dropped={"repaired": 1},
    ),
    Case(
        "half a character", text(b"a\xf0\x9f\x98"), gives=reads("a\ufffd"), dropped={"repaired": 1}
    ),
    Case("a lone surrogate", text(b"\\ud800"), gives=reads("\ufffd"), dropped={"repaired": 1}),
    Case(
        "a surrogate in UTF-8",
        text(b"\xed\xa0\x80"),
        gives=reads("\ufffd" * 3),
        dropped={"repaired": 1},
    ),
    Case("an escaped NUL", text(b"\\u0000"), gives=reads("\0")),
    Case("a raw NUL in a string", text(b"a\0b"), McpProtocolError, "isn't valid JSON"),
    Case("a raw tab in a string", text(b"a\tb"), McpProtocolError, "isn't valid JSON"),
    Case("an unknown escape", text(b"\\x41"), McpProtocolError, "isn't valid JSON"),
    # Values.
    Case("100,000 opening brackets", nested(b"[", b" "), McpProtocolError, "isn't valid JSON"),
    Case("100,000 nested lists", nested(b"[", b"]"), McpProtocolError, "isn't valid JSON"),
    Case("100,000 nested objects", nested(b'{"":', b"}"), McpProtocolError, "isn't valid JSON"),
    Case(
        "nesting in a notification",
        [
            b'{"jsonrpc":"2.0","method":"x","params":',
            ("repeat", b"[", 100_000),
            ("repeat", b"]", 100_000),
            b"}\n",
            OK,
        ],
        dropped={"noise": 1},
    ),
    Case(
        "500,000 empty objects in 1.5 MB",
        [OK[:-3] + b',"pad":[', ("repeat", b"{},", MB // 2), b"0]}}\n"],
        peak_bytes_max=60 * MB,
    ),
    Case("1e400", [result(b'{"x":1e400}')], McpProtocolError, "out of range"),
    Case(
        "an integer of 5,000 digits",
        [result(b'{"x":1%b}' % (b"0" * 5000))],
        McpProtocolError,
        "JSON",
    ),
    Case(
        "an integer of 3,000,000 digits",
        [HEAD, ("repeat", b"9", 3 * MB), b"]}}\n"],
        McpProtocolError,
        "JSON",
    ),
    Case("NaN", [result(b'{"x":NaN}')], McpProtocolError, "isn't valid JSON"),
    Case("Infinity", [result(b'{"x":-Infinity}')], McpProtocolError, "isn't valid JSON"),
    Case("a trailing comma", [result(b'{"x":[1,]}')], McpProtocolError, "isn't valid JSON"),
    Case("Python's words", [result(b"{'x': None}")], McpProtocolError, "isn't valid JSON"),
    Case(
        "the same key twice",
        [message(b'"id":$done,"result":{},"id":$id,"result":{"x":1}')],
        gives={"x": 1},
    ),
    Case("a batch of one answer", [b"[" + OK[:-1] + b"]\n"]),
    Case(
        "a batch of notifications and an answer",
        [b"[" + notification(b"x")[:-1] + b"," + OK[:-1] + b"]\n"],
    ),
    Case("a batch with noise in it", [b"[5,{}," + OK[:-1] + b',"x"]\n']),
    Case("an empty batch", [b"[]\n", OK], dropped={"noise": 1}),
    Case(
        "a batch of 30,000 errors to nobody",
        [b"[", ("repeat", b'{"jsonrpc":"2.0","id":null,"error":1},', 29_999), OK[:-1] + b"]\n"],
        dropped={"unknown": 29_999},
        peak_bytes_max=30 * MB,
    ),
]


@each(CASES)
def test_bytes(case: Case) -> None:
    meet(case)
