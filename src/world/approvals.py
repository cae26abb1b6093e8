"""Owns actions that wait for a person: asking for the approval, and going on with it.

What waits stands in the fact that asks, so it survives a restart. An approved action is taken as it was
asked, at the price that was held; its contract is not asked again, so it fails where the artifact has
another contract or another owner by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .access import Allowed, Asks
from .actions import Action, Invoke
from .answers import Answer, Code, EffectResult, Failed, Refused
from .config import WorldConfig
from .contracts import payee_of
from .effects import Asked, Effects
from .facts import EffectRequested, ScripReleased
from .frames import Frame, Frames
from .transaction import Price, Transaction

APPROVAL = "approval"
"""The performer that asks a person; its result is ``{"approved": true or false, "reason"?}``."""
ASKED_CHARS_MAX = 2_000
"""How much a person is shown of what an action carries."""
_SHOWN = ("type", "contract", "new", "old", "description", "interface", "content")
"""In this order, so that what weighs most is the last to be cut off."""


class Approvals:
    """Asks for approvals, and goes on with what was approved."""

    __slots__ = ("_act", "_config", "_effects", "_frames", "_price", "_tx")

    def __init__(
        self,
        tx: Transaction,
        config: WorldConfig,
        frames: Frames,
        effects: Effects,
        act: Callable[[str, Any, int, bool, Allowed | None], Answer],
    ) -> None:
        self._tx = tx
        self._config = config
        self._frames = frames
        self._effects = effects
        self._act = act
        self._price = Price(config.approval_cost)

    def ask(self, caller: str, action: Any, asks: Asks, waits: bool) -> Answer:
        """Have an action wait for a person; the price that its contract asks is held."""
        tx = self._tx
        artifact = tx.state.artifacts.by_id[action.id]
        contract = artifact.contract.id
        if not waits:
            detail = (
                f"the contract {contract} of {action.id} asks a person: call it with waits: true"
            )
            return Refused(Code.EFFECT_NOT_ALLOWED, detail)
        no = tx.afford(caller, asks.price_scrip, self._price)
        if no is not None:
            return no
        what, method = type(action).__name__.lower(), None
        if isinstance(action, Invoke):
            method = action.method
        payload = {
            "artifact": action.id,
            "owner": artifact.owner,
            "contract": contract,
            "caller": caller,
            "action": what,
            "method": method,
            **self._carried(action),
            "contract_says": asks.reason,
        }
        payee = asks.payee or payee_of(artifact)
        held = self._effects.hold(caller, self._price, asks.price_scrip, payee)
        asked = Asked(action.id, method or what, caller, APPROVAL, payload, action)
        return self._effects.ask(asked, self._config.approval_cost, held)

    def _carried(self, action: Action) -> dict[str, Any]:
        """What an action carries besides names, as JSON text from its beginning, and its size in full."""
        carried: dict[str, Any]
        if isinstance(action, Invoke):
            carried = action.args
        else:
            fields = msgspec.structs.asdict(action)
            carried = {name: fields[name] for name in _SHOWN if fields.get(name) is not None}
            if "content" in carried:
                carried["content"] = self._tx.value(carried["content"])
        text = msgspec.json.encode(carried) if carried else b""
        return {"asks_for": text.decode()[:ASKED_CHARS_MAX], "size_bytes": len(text)}

    def settled(self, effect: EffectRequested, result: EffectResult) -> Answer:
        """Go on with an action that was approved, or fail it."""
        tx, frames = self._tx, self._frames
        no = self._refusal(effect, result)
        if no is not None:
            return no
        if not effect.frames:
            left = tx.state.resources.compute.remaining(effect.principal, tx.state.now_us)
            tx.compute_left = max(0, min(effect.compute_left, left))
        frames.open = [Frame(outer, True) for outer in effect.frames]
        allowed = Allowed(effect.price_scrip, effect.payee)
        answer = self._act(effect.caller, effect.action, len(frames.open), True, allowed)
        frames.open = []
        if isinstance(answer, Refused):
            return Failed(answer.code, answer.detail, retry_after_us=answer.retry_after_us)
        return answer

    def _refusal(self, effect: EffectRequested, result: EffectResult) -> Failed | None:
        value, chars_max = result.value, self._config.limits.description_chars_max
        if result.code is not None:
            why = f"nobody could approve it: {result.detail}"
        elif not isinstance(value, dict) or value.get("approved") is not True:
            reason = str(value.get("reason") or "") if isinstance(value, dict) else ""
            why = f"it was not approved{': ' if reason else ''}{reason[:chars_max]}"
        elif effect.caller not in self._tx.state.artifacts.by_id:
            detail = f"{effect.caller} was deleted while it waited for an approval"
            return Failed(Code.NOT_FOUND, detail)
        elif self._is_changed(effect):
            why = "its owner or contract changed while it waited for an approval: ask again"
        else:
            return None
        what = type(effect.action).__name__.lower()
        return Failed(
            Code.PERMISSION_DENIED, f"{effect.caller} may not {what} {effect.artifact}: {why}"
        )

    def _is_changed(self, effect: EffectRequested) -> bool:
        """Whether the artifact, if it still stands, has another owner or contract than a person was told."""
        artifact = self._tx.state.artifacts.by_id.get(effect.artifact)
        if artifact is None:
            return False
        told = self._tx.value(effect.payload)
        return [artifact.owner, artifact.contract.id] != [told["owner"], told["contract"]]


def release(tx: Transaction, effect: EffectRequested) -> None:
    """Free the price that was held, for the action to pay or for its caller to keep."""
    if effect.price_hold:
        tx.note(ScripReleased(effect.price_hold, "void"))
