"""Owns performing one effect: within its time, and whatever the performer does is a result."""

from __future__ import annotations

import asyncio

from ..adapters.performer import Performer
from ..world import Code, EffectRequest, EffectResult, Fault


async def performed(request: EffectRequest, performer: Performer | None) -> EffectResult:
    """The result of an effect; what a stranger's code does wrong is a result with a code.

    Raises:
        Fault: the performer says that the run cannot go on.
    """
    if performer is None:
        detail = f"{request.artifact} is not connected in this run"
        return EffectResult(None, Code.TOOL_UNAVAILABLE, detail)
    limit: asyncio.Timeout | None = None
    try:
        allowed_s = (request.deadline_us - request.requested_us) / 1e6
        async with asyncio.timeout(allowed_s + performer.patience_s) as limit:
            result = await performer.perform(request)
    except Fault:
        raise
    except (Exception, asyncio.CancelledError) as error:  # a stranger's code
        if isinstance(error, TimeoutError) and limit is not None and limit.expired():
            detail = f"{request.artifact} {request.method} took longer than it may"
            return EffectResult(None, Code.EFFECT_TIMEOUT, detail)
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
            raise
        return _broken(request.performer, f"{type(error).__name__}: {error}")
    if isinstance(result, EffectResult):
        return result
    return _broken(request.performer, f"{type(result).__name__}: it is no EffectResult")


def _broken(performer: str, what: str) -> EffectResult:
    text = " ".join(what.split())[:300].encode(errors="replace").decode()
    return EffectResult(None, Code.TOOL_FAILED, f"{performer} broke: {text}")
