"""A request that the server wants input for, made again until it has enough.

Owns the rounds of the modern era (specification 2026-07-28, "Multi Round-Trip Requests"): what is
asked for in a result, and what the repeated request carries. It must not know sessions or
processes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, Final

from .mcp_asks import ASKS_MAX, ELICITATION, ROOTS, SAMPLING, Asks, McpRefusal
from .mcp_outcome import McpAnswer, McpError, McpProtocolError, McpTimeout
from .mcp_process import McpServerSpec

INPUT_ROUNDS_MAX: Final = 3
"""How often one call answers a server that asks for more input."""
INPUT_PAUSE_S: Final = 0.1
"""The pause before a call is repeated for a server that asked for nothing but patience."""


def wants_input(answer: McpAnswer) -> bool:
    """Tell whether a result asks for input instead of being one."""
    result = answer.result
    return isinstance(result, dict) and result.get("resultType") == "input_required"


async def rounds(
    spec: McpServerSpec,
    again: Callable[[dict[str, Any], float, float], Awaitable[McpAnswer]],
    params: dict[str, Any],
    answer: McpAnswer,
    timeout_s: float,
    timeout_max_s: float,
    asks: Asks,
) -> McpAnswer:
    """Give the server what it asks for, and make the request again, until it is content.

    Times are in seconds from the first request on; `again` makes it with new parameters and the
    two times that are left. The usage, also of an error, is that of all rounds.

    Raises:
        McpProtocolError: it asks for what can't be given or declined, or too often.
        McpTimeout: it, or the host, wasn't done by `timeout_max_s`.
        McpError: as the request itself.
    """
    usage = answer.usage
    end_s = monotonic() + timeout_max_s - usage.wall_us / 1e6
    try:
        for _ in range(INPUT_ROUNDS_MAX):
            given = await _given(spec, answer.result, asks, max(end_s - monotonic(), 0.0))
            left_s = max(end_s - monotonic(), 0.0)
            answer = await again({**params, **given}, min(timeout_s, left_s), left_s)
            usage += answer.usage
            if not wants_input(answer):
                return McpAnswer(answer.result, usage)
        problem = f"it asked for more input over {INPUT_ROUNDS_MAX} times in one call."
        raise McpProtocolError(spec.name, problem)
    except McpError as error:
        error.usage = usage + error.usage
        raise


async def _given(
    spec: McpServerSpec, result: dict[str, Any], asks: Asks, timeout_s: float
) -> dict[str, Any]:
    """Return what the repeated request carries: what was asked for, and the state."""
    requests, state = result.get("inputRequests"), result.get("requestState")
    is_sound = isinstance(requests, dict | None) and isinstance(state, str | None)
    if not is_sound or (not requests and state is None):
        raise McpProtocolError(spec.name, "it asks for more input without saying which.")
    given: dict[str, Any] = {} if state is None else {"requestState": state}
    if not requests:
        await asyncio.sleep(INPUT_PAUSE_S)
        return given
    try:
        async with asyncio.timeout(timeout_s) as limit:
            given["inputResponses"] = await _responses(asks, requests, spec.roots)
    except _Unanswerable as reason:
        raise McpProtocolError(spec.name, f"it asks for {reason}.") from None
    except TimeoutError:
        if not limit.expired():  # it is the host's
            raise
        problem = f"what it asked for was not answered within {timeout_s:g} s."
        raise McpTimeout(spec.name, problem) from None
    return given


class _Unanswerable(Exception):
    """What a server of the modern era needs can't be given; the text says what and why."""


async def _responses(
    asks: Asks, wanted: Mapping[str, Any], roots: tuple[str, ...]
) -> dict[str, Any]:
    """Return the `inputResponses` to the `inputRequests` of a result, asked side by side.

    Raises:
        _Unanswerable: one of them has no answer, and the protocol no way to say so.
    """
    if len(wanted) > ASKS_MAX:
        raise _Unanswerable(f"{len(wanted)} inputs at once; at most {ASKS_MAX} are given")
    tasks = [asyncio.create_task(_input(asks, request, roots)) for request in wanted.values()]
    try:
        return dict(zip(wanted, await asyncio.gather(*tasks), strict=True))
    finally:
        for task in tasks:
            task.cancel()


async def _input(asks: Asks, request: Any, roots: tuple[str, ...]) -> dict[str, Any]:
    method = request.get("method") if isinstance(request, dict) else None
    if method == ROOTS:
        return {"roots": [{"uri": uri} for uri in roots]}
    if method not in (SAMPLING, ELICITATION):
        raise _Unanswerable(f"{method!r}, which this client can neither give nor decline")
    answer = await asks.answer(method, request.get("params"))
    if isinstance(answer, McpRefusal):
        raise _Unanswerable(f"{method!r}, which was refused: {answer.message}")
    return answer
