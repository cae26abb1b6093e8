"""Owns asking for effects: what is held for one, and the fact that asks for it."""

from __future__ import annotations

from typing import Any

import msgspec

from .answers import Waiting
from .config import COMPUTE, Cost
from .facts import EffectRequested, ResourceHeld, ScripHeld
from .frames import Frames
from .transaction import Price, Transaction

JOBS = "code"
"""The performer of jobs: methods of agent-written code that run outside."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What is asked of whom, for whom.

    Attributes:
        artifact, method: what was invoked. caller: the immediate one.
        action: what goes on when a person approves it; None for any other effect.
    """

    artifact: str
    method: str
    caller: str
    performer: str
    payload: Any
    action: Any = None


class Held(msgspec.Struct, frozen=True, gc=False):
    """The holds of an effect: of its cost, its price, and the compute of the frames that wait."""

    resources: int = 0
    price: int = 0
    payee: str = ""
    price_scrip: int = 0
    frames: int = 0


class Effects:
    """Asks for effects, in one transaction after the other."""

    __slots__ = ("_frames", "_tx")

    def __init__(self, tx: Transaction, frames: Frames) -> None:
        self._tx = tx
        self._frames = frames

    def hold(self, caller: str, price: Price, scrip: int, payee: str) -> Held:
        """Hold what was found affordable, and the compute that waiting frames go on with."""
        tx = self._tx
        resources = hold = frames = 0
        if price.amounts:
            resources = tx.next_hold()
            tx.note(ResourceHeld(resources, tx.payer, price.amounts))
            tx.compute_left -= price.compute
        if scrip:
            hold = tx.next_hold()
            tx.note(ScripHeld(hold, caller, scrip))
        if self._frames.open and tx.compute_left > 0:
            frames = tx.next_hold()
            tx.note(ResourceHeld(frames, tx.payer, {COMPUTE: tx.compute_left}))
        return Held(resources, hold, payee, scrip, frames)

    def ask(self, asked: Asked, cost: Cost, held: Held) -> Waiting:
        """Ask for an effect. From here on, what was done before stands."""
        tx, now_us = self._tx, self._tx.state.now_us
        request_id = f"{tx.state.seq}.{len(tx.requests)}"
        request = EffectRequested(
            request_id,
            tx.origin or request_id,
            tx.payer,
            tx.key,
            asked.artifact,
            asked.method,
            asked.caller,
            asked.performer,
            tx.keep(asked.payload),
            now_us,
            now_us + cost.latency_us,
            now_us + cost.timeout_us,
            cost.result_bytes_max,
            cost.repeatable,
            held.resources,
            held.price,
            held.payee,
            held.price_scrip,
            held.frames,
            self._frames.parked(),
            asked.action,
            0 if asked.action is None else tx.compute_left,
        )
        tx.note(request)
        tx.requests.append(request)
        return Waiting(request_id)
