"""Owns how a method of genesis_quantum asks a worker, and how the world's record answers in its place.

What a worker answered is noted under a key of the job: all that the answer depends on. Whoever asks for
the same again gets the same, for the configured cost of the method. It must not know circuits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from ..world import Code, Context, Done, Effect, EffectResult, Failed, Method, Refused, Tool
from .quantum_admission import Hold, NotAdmitted
from .quantum_component import CircuitError, TooLarge

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")

Settled = Callable[[Context, dict[str, Any], EffectResult], Done | Failed]


class Job(msgspec.Struct, frozen=True):
    """What a worker is asked for.

    Attributes:
        payload: what it gets. hold: what it may use. kept: what its answer is made with.
        same: what jobs with the same answer have in common, where that is less than the payload.
    """

    name: str
    payload: dict[str, Any]
    hold: Hold
    kept: Any = None
    same: Any = None

    @property
    def key(self) -> str:
        """What the job is noted under."""
        told = _ENCODER.encode([self.name, self.payload if self.same is None else self.same])
        return f"answer/{hashlib.blake2b(told, digest_size=32).hexdigest()}"


Ask = Callable[[Context, dict[str, Any]], Job | Done]


def at_once(handler: Callable[[Context, dict[str, Any]], Done]) -> Any:
    """A handler that answers without a worker; what it raises is how the call failed."""

    def answer(ctx: Context, args: dict[str, Any]) -> Done | Failed:
        try:
            return handler(ctx, args)
        except TooLarge as error:
            return Failed(Code.CONTENT_TOO_LARGE, str(error))
        except CircuitError as error:
            return Failed(Code.ARGUMENTS_INVALID, str(error))

    return answer


def recorded(tool: Tool, performer: str, ask: Ask, settled: Settled) -> Method:
    """A method whose jobs are done once.

    Its answers are objects. One from the record says so, and that no CPU time was used.
    """

    def answer(ctx: Context, args: dict[str, Any]) -> Done | Failed | Refused | Effect:
        try:
            job = ask(ctx, args)
        except (TooLarge, NotAdmitted) as error:
            return Refused(Code.QUOTA_EXCEEDED, str(error))
        except CircuitError as error:
            return Refused(Code.ARGUMENTS_INVALID, str(error))
        if isinstance(job, Done):
            return job
        value = ctx.noted(job.key)
        if value is None:
            return effect_of(ctx, performer, job)
        cost = ctx.costs(ctx.artifact, tool.name).resources
        used = {"cpu_us": 0, "compute": cost.get("compute", 0)}
        told = settled(ctx, _asked(job), EffectResult(value, usage=used))
        return Done(told.result | {"from_record": True}) if isinstance(told, Done) else told

    def done(ctx: Context, asked: Any, result: EffectResult) -> Done | Failed:
        told = settled(ctx, asked, result)
        if isinstance(told, Done):
            ctx.put(asked["key"], result.value)
        return told

    return Method(tool, answer, True, done)


def _asked(job: Job) -> dict[str, Any]:
    hold = msgspec.to_builtins(job.hold)
    return {"job": job.name, "payload": job.payload, "hold": hold, "kept": job.kept}


def effect_of(ctx: Context, performer: str, job: Job) -> Effect:
    """The request, with what is held for it."""
    asked = _asked(job) | {"key": job.key}
    kinds = ctx.state.resources.kinds
    told = asked["hold"].items()
    held = {name: n for name, n in told if kinds.get(name, "allocatable") != "allocatable"}
    return Effect(performer, asked, held)
