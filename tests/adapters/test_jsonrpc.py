"""The JSON-RPC codec: what it makes of bytes, whoever sent them."""

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripworld.adapters.jsonrpc import (
    ErrorResponse,
    Event,
    JsonRpcCodec,
    Notification,
    Oversize,
    Response,
    ServerRequest,
    Unreadable,
)

LINE_BYTES_MAX = 1000


def codec_with_requests(count: int) -> JsonRpcCodec:
    codec = JsonRpcCodec(LINE_BYTES_MAX)
    for _ in range(count):
        codec.request("tools/call", {})
    return codec


def in_chunks(codec: JsonRpcCodec, data: bytes, size: int) -> list[Event]:
    events: list[Event] = []
    for start in range(0, len(data), size):
        events += codec.receive(data[start : start + size])
    return events


def line(**members: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}, ensure_ascii=False).encode() + b"\n"


def test_what_we_send_is_one_line_of_json_rpc() -> None:
    codec = JsonRpcCodec(LINE_BYTES_MAX)
    lines = [
        codec.request("tools/call", {"name": "a\nb\u2028"})[1],
        codec.notification("notifications/initialized", {}),
        codec.response("r", {}),
        codec.response(7, None),
        codec.error(8, -32601, "no"),
    ]
    assert all(sent.endswith(b"\n") and sent.count(b"\n") == 1 for sent in lines)
    assert [json.loads(sent) for sent in lines] == [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a\nb\u2028"}},
        {"jsonrpc": "2.0", "method": "notifications/initialized", "params": {}},
        {"jsonrpc": "2.0", "id": "r", "result": {}},
        {"jsonrpc": "2.0", "id": 7, "result": None},
        {"jsonrpc": "2.0", "id": 8, "error": {"code": -32601, "message": "no"}},
    ]


def test_what_json_cannot_say_is_refused_and_takes_no_id() -> None:
    codec = JsonRpcCodec(LINE_BYTES_MAX)
    with pytest.raises(ValueError, match="surrogates"):
        codec.request("tools/call", {"text": "\ud800"})
    with pytest.raises(TypeError):
        codec.request("tools/call", {"text": object()})
    assert codec.request("tools/call", {})[0] == 1


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_messages_of_every_kind_are_found_in_chunks_of_any_size(size: int) -> None:
    codec = codec_with_requests(2)
    answer = line(id=1, result={"text": "a\u2028b\u0085c"})
    refusal = line(id=2, error={"code": -5, "message": "no", "data": [1]})
    stream = (
        answer
        + refusal.replace(b"\n", b"\r\n")
        + line(id="s", method="ping")
        + line(id=3, method="roots/list", params={})
        + line(method="notifications/progress", params={"progress": 1})
    )
    assert in_chunks(codec, stream, size) == [
        Response(1, {"text": "a\u2028b\u0085c"}, len(answer) - 1),
        ErrorResponse(2, -5, "no", [1], len(refusal)),
        ServerRequest("s", "ping", None),
        ServerRequest(3, "roots/list", {}),
        Notification("notifications/progress", {"progress": 1}),
    ]


def test_answers_that_nobody_waits_for_are_counted_and_dropped() -> None:
    codec = codec_with_requests(2)
    codec.forget(1)
    stream = line(id=1, result=1) + line(id=2, result=2) + line(id=2, result="again")
    assert codec.receive(stream) == [Response(2, 2, len(line(id=2, result=2)) - 1)]
    assert codec.dropped.late == 2
    for strange in (3, 0, -1, 10**30, "1", 1.5, None):
        assert codec.receive(line(id=strange, result=1)) == []
    assert codec.dropped.unknown == 7


def test_lines_that_are_not_json_rpc_are_counted_and_skipped() -> None:
    codec = codec_with_requests(1)
    noise = [
        b"Server listening",
        b"",
        b'{"level": "info"}',
        b'{"jsonrpc": "1.0", "id": 1, "result": 1}',
        b'{"jsonrpc": "2.0"}',
        b'{"jsonrpc": "2.0", "method": 5}',
        b'{"jsonrpc": "2.0", "method": "ping", "id": null}',
        b'{"jsonrpc": "2.0", "id": true, "result": 1}',
        b"[]",
        b"[" * 500,
        b"\x00\xff\xfe",
    ]
    assert codec.receive(b"\n".join(noise) + b"\n") == []
    assert codec.dropped.noise == len(noise)
    assert codec.receive(line(id=1, result=1)) == [Response(1, 1, 40)]


def test_a_batch_is_read_message_by_message() -> None:
    codec = codec_with_requests(1)
    batch = b"[" + line(id=1, result=1).strip() + b"," + line(method="n").strip() + b"]\n"
    assert codec.receive(batch) == [Response(1, 1, len(batch) - 1), Notification("n", None)]


def test_noise_in_a_batch_is_counted_and_the_rest_is_read() -> None:
    codec = codec_with_requests(1)
    batch = b'[5,{},"x",' + line(id=1, result=1).strip() + b",[]]\n"
    assert codec.receive(batch) == [Response(1, 1, len(batch) - 1)]
    assert codec.dropped.noise == 4


ESCAPES = [
    r"\\",
    r"\n",
    r"\ud83d",
    r"\uDBFF",
    r"\udE00",
    r"\uDC00",
    r"\u0041",
    "ud800",
    "a",
    "\x85",
]


@given(st.lists(st.sampled_from(ESCAPES)))
def test_half_a_surrogate_pair_is_replaced_and_nothing_else(parts: list[str]) -> None:
    sent = f'"{"".join(parts)}"'
    expected = re.sub("[\ud800-\udfff]", "\ufffd", json.loads(sent))
    codec = codec_with_requests(1)
    [event] = codec.receive(b'{"jsonrpc":"2.0","id":1,"result":%s}\n' % sent.encode())
    assert isinstance(event, Response)
    assert event.result == expected


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b'"a\xffb"', "a\ufffdb"),
        (b'"a\\ud800b"', "a\ufffdb"),
        (b'"a\\udc00\\ud83d\\ude00"', "a\ufffd😀"),
        (b'"\\\\ud800\xff"', "\\ud800\ufffd"),
    ],
)
def test_text_that_no_utf8_can_hold_is_repaired(sent: bytes, text: str) -> None:
    codec = codec_with_requests(1)
    [event] = codec.receive(b'{"jsonrpc":"2.0","id":1,"result":' + sent + b"}\n")
    assert isinstance(event, Response)
    assert event.result == text
    assert codec.dropped.repaired == 1


@pytest.mark.parametrize(
    "sent",
    [
        b'{"jsonrpc":"2.0","id":1,"result":NaN}',
        b'{"jsonrpc":"2.0","id":1,"result":{"content":[',
        b'{"result":NaN,"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":1e999}',
        b'{"id":1,"jsonrpc":"2.0","result":' + b"[" * 400 + b"}",
    ],
)
def test_an_answer_that_cannot_be_used_fails_its_own_request_at_once(sent: bytes) -> None:
    codec = codec_with_requests(2)
    [event] = codec.receive(sent + b"\n")
    assert isinstance(event, Unreadable)
    assert event.request_id == 1
    assert codec.receive(line(id=2, result=2)) == [Response(2, 2, 40)]


@pytest.mark.parametrize("size", [1, 64, 100_000])
@pytest.mark.parametrize(
    ("head", "tail", "answered"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":"', b'"}', 1),
        (b'{"result":"', b'","jsonrpc":"2.0","id":1}', 1),
        (b'{"result":"', b'","id":1,"jsonrpc":"2.0"}\r', 1),
        (b'{"jsonrpc":"2.0","method":"n","params":{"x":"', b'","id":1}}', None),
        (b'{"jsonrpc":"2.0","method":"n","params":"', b',\\"id\\":1}"}', None),
        (b'{"jsonrpc":"2.0","id":9,"result":"', b'"}', None),
    ],
)
def test_a_line_over_the_bound_is_dropped_and_the_next_is_read(
    head: bytes, tail: bytes, answered: int | None, size: int
) -> None:
    codec = codec_with_requests(2)
    oversize = head + b"x" * 2 * LINE_BYTES_MAX + tail
    events = in_chunks(codec, oversize + b"\n" + line(id=2, result=2), size)
    assert events == [Oversize(answered, len(oversize)), Response(2, 2, 40)]
    assert codec.dropped.oversize == 1


def test_a_line_of_exactly_the_bound_is_read() -> None:
    codec = codec_with_requests(2)
    for request_id in (1, 2):
        padding = "x" * (LINE_BYTES_MAX - len(line(id=request_id, result="")) + request_id)
        [event] = codec.receive(line(id=request_id, result=padding))
        assert isinstance(event, Response if request_id == 1 else Oversize)


pieces = st.one_of(
    st.binary(max_size=60).map(lambda noise: noise + b"\n"),
    st.sampled_from(
        [
            b'{"jsonrpc":"2.0","id":1,"result":',
            b'{"jsonrpc":"2.0","id":"1","result":{}}\n',
            b'{"jsonrpc":"2.0","id":77,"error":{"code":"x"}}\n',
            b'{"jsonrpc":"2.0","id":1,"error":3}\n',
            b'{"jsonrpc":"2.0","method":"n","params":[]}\n',
            b'[{"jsonrpc":"2.0","id":4,"result":"\\ud800"}]\n',
            b"x" * (LINE_BYTES_MAX + 1),
            b"[" * 900 + b"\n",
            b"\xef\xbb\xbf",
            b"\r\n",
        ]
    ),
)


@given(
    stream=st.lists(pieces, max_size=12).map(b"".join),
    cuts=st.lists(st.integers(0, 4000), max_size=12),
)
def test_no_bytes_in_any_chunks_raise_or_lose_the_framing(stream: bytes, cuts: list[int]) -> None:
    codec, other = codec_with_requests(5), codec_with_requests(5)
    whole = codec.receive(stream)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    cut_up = [
        event
        for start, end in itertools.pairwise(edges)
        for event in other.receive(stream[start:end])
    ]
    assert cut_up == whole
    assert other.dropped == codec.dropped
    request_id, _ = codec.request("ping", {})
    [event] = codec.receive(b"\n" + line(id=request_id, result="in sync"))[-1:]
    assert isinstance(event, Response)
    assert event.result == "in sync"
