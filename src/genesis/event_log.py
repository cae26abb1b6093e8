"""Owns genesis_event_log: what happened, for those whom it concerns. Never scans the whole log.

The caller finds a record when it acted in it, when a fact of it names the caller, or when its
target is an artifact that the caller may read free of charge now, by a built-in contract: no code is
run to find that out. Of its facts only those are shown
that are public by design: what changed hands. Arguments and details are for the principal that acted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..world import (
    RECORDS,
    Advance,
    BlobRef,
    Code,
    Context,
    Done,
    EffectRequested,
    Envelope,
    Failed,
    Invoke,
    Malformed,
    Operate,
    OwnershipTransferred,
    QuotaTransferred,
    Record,
    Refused,
    ScripHeld,
    ScripIssued,
    ScripPosted,
    ScripTransferred,
    Settle,
    Sleep,
    Stop,
    Waiting,
    Woke,
    check,
    ids_of,
)
from .arguments import ID, PAGE, SEQ, method, native, page_size


class _Deed(msgspec.Struct, frozen=True):
    """Who did what in a record; ``holders`` tells whose scrip a hold of an earlier record is."""

    kind: str
    principal: str | None = None
    action: str | None = None
    target: str | None = None
    method: str | None = None
    holders: Mapping[int, str] = {}


def _read(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    seq = args["seq"]
    row = _summary(ctx, seq, with_details=True) if seq < ctx.state.seq else None
    if row is not None:
        return Done(row)
    detail = f"there is no record {seq} that you may see: since finds those that you may"
    return Failed(Code.NOT_FOUND, detail)


def _since(ctx: Context, args: dict[str, Any]) -> Done:
    end, limit = ctx.state.seq, page_size(ctx, args)
    seq = min(args["seq"], end)
    stop = min(end, seq + ctx.config.limits.page_max)
    rows: list[dict[str, Any]] = []
    while seq < stop and len(rows) < limit:
        row = _summary(ctx, seq)
        seq += 1
        if row is not None:
            rows.append(row)
    return Done({"records": rows, "next": seq, "is_end": seq == end})


def _of(ctx: Context, args: dict[str, Any]) -> Done:
    limit, page_max = page_size(ctx, args), ctx.config.limits.page_max
    before = min(args.get("before", ctx.state.seq), ctx.state.seq)
    seqs = ctx.log.of(args["id"], before, page_max)
    rows: list[dict[str, Any]] = []
    examined = 0
    while examined < len(seqs) and len(rows) < limit:
        row = _summary(ctx, seqs[examined])
        examined += 1
        if row is not None:
            rows.append(row)
    is_end = examined == len(seqs) and len(seqs) < page_max
    return Done({"records": rows, "before": None if is_end else seqs[examined - 1]})


def _summary(ctx: Context, seq: int, with_details: bool = False) -> dict[str, Any] | None:
    """A record as the caller may see it; None where it finds none.

    The first record is told without being read: it holds every first inhabitant.
    """
    if seq == 0:
        return _row(0, 0, None, _Deed("begin"), None, {"scrip": [], "quotas": [], "ownership": []})
    record = RECORDS.decode(ctx.log.read(seq))
    deed = _deed(ctx, record)
    target = ctx.state.artifacts.by_id.get(deed.target or "")
    is_open = target is not None and check(target, ctx.caller, "read") == 0
    is_own = deed.principal == ctx.caller
    if not is_open and not is_own and not _names(record, ctx.caller):
        return None
    moves = _moves(record, deed, ctx.config.limits.page_max)
    row = _row(seq, record.now_us, record.cause, deed, _outcome(record), moves)
    if with_details and is_own:
        row["details"] = _details(ctx, record)
    return row


def _row(
    seq: int,
    now_us: int,
    cause: int | None,
    deed: _Deed,
    outcome: str | None,
    moves: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    return {
        "seq": seq,
        "now_us": now_us,
        "cause": cause,
        "kind": deed.kind,
        "principal": deed.principal,
        "action": deed.action,
        "target": deed.target,
        "method": deed.method,
        "outcome": outcome,
        **moves,
    }


def _deed(ctx: Context, record: Record) -> _Deed:
    given = record.input
    if isinstance(given, Envelope):
        action = given.action
        target = None if isinstance(action, Sleep | Stop) else action.id
        name = action.method if isinstance(action, Invoke) else None
        return _Deed("action", given.principal, type(action).__name__.lower(), target, name)
    if isinstance(given, Malformed):
        return _Deed("malformed", given.principal)
    if isinstance(given, Settle):
        return _settled(ctx, record, given)
    if isinstance(given, Operate):
        command = given.command
        return _Deed("operation", None, type(command).__name__.lower(), command.principal)
    assert isinstance(given, Advance), record.seq
    return _Deed("advance")


def _settled(ctx: Context, record: Record, given: Settle) -> _Deed:
    """Of the record that asked for the effect: who asked for what, and who pays what was held."""
    assert record.cause is not None, record.seq
    asked = RECORDS.decode(ctx.log.read(record.cause)).facts
    effect = next(f for f in asked if isinstance(f, EffectRequested) and f.id == given.effect_id)
    holders = {frame.price_hold: frame.caller for frame in effect.frames}
    holders[effect.price_hold] = effect.caller
    who, where = effect.principal, effect.artifact
    if effect.action is None or isinstance(effect.action, Invoke):
        return _Deed("settlement", who, "invoke", where, effect.method, holders)
    what = type(effect.action).__name__.lower()  # a person was asked whether it may be
    return _Deed("settlement", who, what, where, None, holders)


def _names(record: Record, caller: str) -> bool:
    """Whether a fact names the caller. To be woken by what one watches names nobody."""
    return any(caller in ids_of(fact) for fact in record.facts if not isinstance(fact, Woke))


def _moves(record: Record, deed: _Deed, moves_max: int) -> dict[str, list[dict[str, Any]]]:
    """What changed hands, of each kind the first ``moves_max``."""
    holders = dict(deed.holders)
    scrip: list[dict[str, Any]] = []
    quotas: list[dict[str, Any]] = []
    ownership: list[dict[str, Any]] = []
    for fact in record.facts:
        if isinstance(fact, ScripHeld):
            holders[fact.hold] = fact.principal
        elif isinstance(fact, ScripTransferred):
            scrip.append({"payer": fact.payer, "payee": fact.payee, "amount": fact.amount})
        elif isinstance(fact, ScripPosted):
            payer = holders[fact.hold]
            scrip.append({"payer": payer, "payee": fact.payee, "amount": fact.amount})
        elif isinstance(fact, ScripIssued):
            scrip.append({"payer": None, "payee": fact.principal, "amount": fact.amount})
        elif isinstance(fact, QuotaTransferred):
            quotas.append(
                {
                    "giver": fact.giver,
                    "taker": fact.taker,
                    "resource": fact.resource,
                    "amount": fact.amount,
                }
            )
        elif isinstance(fact, OwnershipTransferred):
            ownership.append({"id": fact.id, "owner": fact.owner})
    rows = {"scrip": scrip, "quotas": quotas, "ownership": ownership}
    return {name: moves[:moves_max] for name, moves in rows.items()}


def _outcome(record: Record) -> str | None:
    answer = record.answer
    if isinstance(answer, Refused | Failed):
        return answer.code.name
    if isinstance(answer, Waiting):
        return "waiting"
    return None if answer is None else "done"


def _details(ctx: Context, record: Record) -> dict[str, Any]:
    given, answer = record.input, record.answer
    action = given.action if isinstance(given, Envelope) else None
    result = answer.result if isinstance(answer, Done) else None
    kept = ctx.log.get_blob(result.digest) if isinstance(result, BlobRef) else None
    return {
        "args": action.args if isinstance(action, Invoke) else {},
        "result_bytes": len(msgspec.msgpack.encode(result) if kept is None else kept),
        "detail": answer.detail if isinstance(answer, Refused | Failed) else "",
    }


_EACH = "You find the same records as with read, each told without details."

EVENT_LOG = native(
    "genesis_event_log",
    "What happened: the records of the world's log that concern you or are public.",
    method(
        "read",
        "One record by its number: seq, now_us, the record that caused it, kind, principal, action, "
        "target, method, outcome ('done', 'waiting' or a code) and what changed hands (scrip, "
        "quotas, ownership). You find records in which you acted or that name you, and those whose "
        "target you may read free of charge. Of what you did yourself the details tell the "
        "arguments, the size of the result and the sentence of a failure.",
        _read,
        required={"seq": SEQ},
    ),
    method(
        "since",
        f"Records from number `seq` on, oldest first. {_EACH} Go on with the `next` of the answer; "
        "`is_end` says that nothing has happened after it yet.",
        _since,
        required={"seq": SEQ},
        optional={"limit": PAGE["limit"]},
    ),
    method(
        "of",
        f"Records that touch a principal or an artifact, newest first. {_EACH} Go on with the "
        "`before` of the answer until it is null.",
        _of,
        required={"id": ID},
        optional={"before": SEQ, "limit": PAGE["limit"]},
    ),
)
