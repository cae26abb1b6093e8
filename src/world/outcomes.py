"""Owns what comes from a code runner: normalised, bounded, and noted for the record."""

from __future__ import annotations

from typing import Any

import msgspec

from .actions import Envelope, Sleep, Stop, Write
from .answers import Code, Done, EffectResult, Failed
from .config import Limits
from .door import Entry, enter, enter_result, sentence
from .ports import Abort, CallBack, Diverge, Outcome, Raise, Return
from .records import BlobRef, digest_of
from .schemas import ResultValidator
from .transaction import Transaction


def taken(tx: Transaction, limits: Limits, caller: str, outcome: Outcome) -> Outcome:
    """Normalise what the runner answered for the code of ``caller``, and note it for the record."""
    if type(outcome) is CallBack:
        outcome = _called(tx, limits, caller, in_full(tx, outcome))
    elif isinstance(outcome, Return):
        result = enter_result(EffectResult(tx.value(outcome.value)), limits.content_bytes_max)
        if result.code is not None:
            outcome = Abort(result.detail)
        else:
            kept = tx.kept(Done(result.value))
            assert isinstance(kept, Done)
            outcome = Return(kept.result)
    elif isinstance(outcome, Raise | Abort):
        outcome = type(outcome)(sentence(outcome.detail))
    tx.outcomes.append(outcome)
    return outcome


def in_full(tx: Transaction, asked: CallBack) -> CallBack:
    """What code asked for, with large content in full."""
    action = asked.action
    if type(action) is Write and isinstance(action.content, BlobRef):
        action = msgspec.structs.replace(action, content=tx.value(action.content))
        return msgspec.structs.replace(asked, action=action)
    return asked


def ended(outcome: Outcome) -> Done | Failed:
    """What an outcome that ends the code means for who called it."""
    if isinstance(outcome, Return):
        return Done(outcome.value)
    if isinstance(outcome, Raise):
        return Failed(Code.CODE_RAISED, outcome.detail)
    if isinstance(outcome, Diverge):
        return Failed(Code.CODE_DIVERGED, f"run again, step {outcome.step} asked something else")
    assert isinstance(outcome, Abort)
    return Failed(Code.CODE_ABORTED, outcome.detail)


def misfit(output: ResultValidator, value: Any, id: str, method: str) -> Failed | None:
    """The failure of a result that is not what its method declares, or None."""
    if output.is_valid(value):
        return None
    detail = f"{id} {method} answered what its outputSchema does not allow: {output.explain(value)}"
    return Failed(Code.RESULT_INVALID, detail)


def _called(tx: Transaction, limits: Limits, caller: str, asked: CallBack) -> CallBack | Abort:
    entry = enter(Envelope(caller, asked.action, asked.price_max_scrip), limits)
    if not isinstance(entry, Entry):
        return Abort(entry.detail)
    action: Any = entry.envelope.action
    assert type(action) not in (Sleep, Stop), "code has no loop"
    if entry.blob is not None:
        tx.log.put_blob(digest_of(entry.blob), entry.blob)
    return CallBack(action, asked.waits, entry.envelope.price_max_scrip)
