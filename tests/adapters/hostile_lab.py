"""One hostile case against the real client: what a server does, and what must come of it.

Each case runs alone and in company: with honest calls in flight on the same server, which answers
them before, between and after its misbehaviour, in another order. Whatever it does, no call gets
the answer of another, none hangs, an error is one short sentence, and the next call works.
"""

import asyncio
import json
import os
import re
import sys
import tracemalloc
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from scripworld.adapters.mcp_outcome import McpAnswer, McpCrashed, McpError
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_stdio import McpClient

COMPANY = 8
HANG_S = 15.0
"""What takes longer hangs: no case needs a tenth of it on an idle machine."""
FOUND_S = 3.0
"""How long a client may take to notice that its server is gone."""
CALL_TIMEOUT_S = 60.0
"""Far above `HANG_S`, so that a call which only its timeout would end counts as hanging."""
SENTENCE_CHARS_MAX = 2_000

SPEC = McpServerSpec(
    "hostile",
    sys.executable,
    ("-I", "-S", str(Path(__file__).with_name("servers") / "hostile_server.py")),
    start_timeout_s=15.0,
    call_timeout_s=CALL_TIMEOUT_S,
    call_timeout_max_s=CALL_TIMEOUT_S,
    line_bytes_max=4_000_000,
    grace_s=0.1,
    backoff_s=0.01,
    restarts_max=50,
)

Step = bytes | tuple[Any, ...]
Plan = dict[str, Any]


# What goes over the wire. `$id` and `$token` become those of the call that is answered.


def message(members: bytes) -> bytes:
    return b'{"jsonrpc":"2.0",%b}\n' % members


def answer(text: bytes = b'"$token"', *, request_id: bytes = b"$id", more: bytes = b"") -> bytes:
    content = b'{"content":[{"type":"text","text":%b}]%b}' % (text, more)
    return message(b'"id":%b,"result":%b' % (request_id, content))


def result(value: bytes) -> bytes:
    return message(b'"id":$id,"result":%b' % value)


def error(value: bytes) -> bytes:
    return message(b'"id":$id,"error":%b' % value)


def notification(method: bytes, params: bytes = b"{}") -> bytes:
    return message(b'"method":"notifications/%b","params":%b' % (method, params))


def large(size: int) -> list[Step]:
    """Return the steps of a proper answer with so many bytes of text beside its token."""
    head, tail = answer(more=b',"pad":"|"').split(b"|")
    return [head, ("repeat", b"x", size), tail]


OK = answer()
OWN: Any = object()
"""The answer to a call is its own token."""


# The cases and how they run.


@dataclass(frozen=True)
class Case:
    """What a server does in place of an honest answer to `method`, and what must come of it.

    The call gives `gives` (its own token, unless said otherwise), or fails with `error` and a
    sentence in which `says` is found; `hears` is what the client answered to the server's own
    requests. `plan` are further plans of the server. So many `starts` are needed, the next call
    included; a `fatal` server takes the honest calls with it. `dropped` are the client's counters.
    `peak_bytes_max` bounds the memory that it takes alone. A server that `is_gone` after its
    answer is found out before the next call.
    """

    name: str
    steps: Sequence[Step]
    error: type[McpError] | None = None
    says: str = ""
    _: KW_ONLY
    gives: Any = OWN
    hears: list[Any] | None = None
    method: str = "tools/call"
    plan: Plan = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    timeout_s: float = CALL_TIMEOUT_S
    starts: int = 1
    fatal: bool = False
    dropped: dict[str, int] = field(default_factory=dict)
    peak_bytes_max: int | None = None
    is_gone: bool = False


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def meet(case: Case) -> None:
    """Run a case alone and in company (where memory is measured, one after the other)."""
    if case.peak_bytes_max is None:
        run(_meet(case, 0), _meet(case, COMPANY))
    else:
        with peak_under(case.peak_bytes_max):
            run(_meet(case, 0))
        run(_meet(case, COMPANY))


def run(*works: Coroutine[Any, Any, None]) -> None:
    """Run these side by side; nothing may raise where nobody looks, nor stay open."""

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: overlooked.append(context)
        )
        outcomes = await asyncio.gather(*works, return_exceptions=True)
        failures = [outcome for outcome in outcomes if outcome is not None]
        if failures:  # only now, when none is left under way
            raise failures[0]

    overlooked: list[dict[str, Any]] = []
    descriptors = len(os.listdir("/proc/self/fd"))
    asyncio.run(main())
    assert overlooked == []
    assert len(os.listdir("/proc/self/fd")) == descriptors


def spec_of(plan: Plan, **changes: Any) -> McpServerSpec:
    """Return a server with these plans."""
    text = json.dumps(plan, default=lambda step: step.decode("latin-1"))
    return replace(SPEC, args=(*SPEC.args, text), **changes)


@asynccontextmanager
async def client_of(spec: McpServerSpec) -> AsyncIterator[McpClient]:
    """Give a client that is closed in the end; neither what is done with it nor its end may hang."""
    client = McpClient(spec)
    try:
        async with asyncio.timeout(HANG_S):
            yield client
    finally:
        async with asyncio.timeout(HANG_S):
            await client.close()


async def echo(client: McpClient, token: str, **arguments: Any) -> None:
    """Make an honest call: what it gives is its own token."""
    given = await client.call_tool("echo", {"token": token, **arguments})
    assert text_of(given) == token


def text_of(given: McpAnswer) -> str:
    text = given.result["content"][0]["text"]
    assert isinstance(text, str)
    return text


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@contextmanager
def peak_under(bytes_max: int) -> Iterator[None]:
    """Check that so much memory is never taken within."""
    tracemalloc.start()
    try:
        yield
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < bytes_max


def check_sentence(error: McpError) -> None:
    """Check that an error can be shown to anybody: its server, one printable line, not a page."""
    sentence = str(error)
    assert sentence.startswith(f"{error.server}: ")
    assert sentence.isprintable(), ascii(sentence[:200])
    assert len(sentence) <= SENTENCE_CHARS_MAX


async def _meet(case: Case, company: int) -> None:
    """Run a case with so many honest calls beside it, and check all that must come of it."""
    plan = {**case.plan, case.method: case.steps, "company": company}
    async with client_of(spec_of(plan, **case.spec)) as client:
        await echo(client, "before")
        calls = [echo(client, f"honest {n}", hold=True) for n in range(company)]
        calls.insert(company // 2, _provoke(client, case))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        for n, outcome in enumerate(outcomes):
            if n == company // 2:
                check_outcome(case, outcome)
            elif outcome is not None:
                assert case.fatal and isinstance(outcome, McpCrashed), outcome
                check_sentence(outcome)
        if case.is_gone:
            await _found_gone(client)
        await echo(client, "after")
        assert client.starts == case.starts
        assert client.session is not None
        counted = {name: getattr(client.session.dropped, name) for name in case.dropped}
        assert counted == case.dropped


async def _found_gone(client: McpClient) -> None:
    async with asyncio.timeout(FOUND_S):
        while client.session is not None:
            await asyncio.sleep(0.02)


async def _provoke(client: McpClient, case: Case) -> Any:
    if case.method == "tools/list":
        return await client.list_tools(timeout_s=case.timeout_s)
    return await client.call_tool("hostile", {"token": "its own"}, timeout_s=case.timeout_s)


def check_outcome(case: Case, outcome: Any) -> None:
    """Check what came of the provoked call."""
    if case.error is not None:
        assert type(outcome) is case.error, outcome
        check_sentence(outcome)
        assert re.search(case.says, str(outcome)), str(outcome)
        return
    if isinstance(outcome, BaseException):
        raise outcome
    given = outcome.result if isinstance(outcome, McpAnswer) else outcome
    if case.gives is OWN:
        assert given["content"][0]["text"] == "its own"
    else:
        assert given == case.gives
    if case.hears is not None:
        assert given["heard"] == case.hears
