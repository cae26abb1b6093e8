"""Owns genesis_ledger: who has how much scrip, to pay, to make principals, to give artifacts away."""

from __future__ import annotations

from typing import Any

from ..world import GENESIS, Code, Context, Done, Failed
from .arguments import AMOUNT, ID, PAGE, TEXT, find, method, native, page_size


def _balance(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    principal = args.get("principal", ctx.caller)
    return ctx.principal(principal) or Done(_row(ctx, principal))


def _balances(ctx: Context, args: dict[str, Any]) -> Done:
    catalog = ctx.state.artifacts.catalog
    ids, after = catalog.find(("standing",), args.get("after", ""), page_size(ctx, args))
    return Done({"balances": [_row(ctx, id) for id in ids], "after": after})


def _row(ctx: Context, principal: str) -> dict[str, Any]:
    ledger = ctx.state.ledger
    return {
        "principal": principal,
        "scrip": ledger.balances[principal],
        "held": ledger.held.get(principal, 0),
    }


def _transfer(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    failed = ctx.transfer(args["to"], args["amount"])
    return failed or Done(ctx.state.ledger.available(ctx.caller))


def _spawn_principal(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    caller = ctx.state.artifacts.by_id[ctx.caller]
    owner = caller.id if caller.standing else caller.owner
    failed = ctx.spawn(args["id"], owner, args.get("description", ""))
    return failed or Done({"principal": args["id"], "owner": owner})


def _transfer_ownership(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    artifact = find(ctx, args["id"])
    if isinstance(artifact, Failed):
        return artifact
    if ctx.caller != artifact.owner:
        detail = f"{artifact.id} belongs to {artifact.owner}: only its owner gives it away"
        return Failed(Code.PERMISSION_DENIED, detail)
    if artifact.owner == GENESIS:
        detail = f"{artifact.id} was there at the beginning and stays: give away what you made"
        return Failed(Code.PERMISSION_DENIED, detail)
    if artifact.id == ctx.caller:
        detail = "a principal does not give itself away: give away what it owns"
        return Failed(Code.PERMISSION_DENIED, detail)
    failed = ctx.principal(args["to"]) or ctx.transfer_ownership(artifact, args["to"])
    return failed or Done({"id": artifact.id, "owner": args["to"]})


LEDGER = native(
    "genesis_ledger",
    "Scrip: balances, payments, new principals, and who owns what.",
    method(
        "balance",
        "How much scrip a principal has, you by default. `held` is the part of `scrip` that is set "
        "aside for payments under way and cannot be spent.",
        _balance,
        optional={"principal": ID},
    ),
    method(
        "balances",
        "The balances of all principals in order of id, a page at a time: call again with the "
        "`after` of the answer until it is null.",
        _balances,
        optional=PAGE,
    ),
    method(
        "transfer",
        "Pay scrip to another principal. You, the immediate caller, pay. Answers what you can "
        "still spend.",
        _transfer,
        required={"to": ID, "amount": AMOUNT},
    ),
    method(
        "spawn_principal",
        "Make a principal that belongs to you (or to your owner, if you are no principal "
        "yourself). It begins without scrip and without quotas: give it some. The bytes of its "
        "description count on the stored_bytes of the principal that acts.",
        _spawn_principal,
        required={"id": ID},
        optional={"description": TEXT},
    ),
    method(
        "transfer_ownership",
        "Give an artifact that you own to a principal, with its earnings from now on. Its bytes "
        "count on the new owner's stored_bytes. Genesis artifacts and yourself stay.",
        _transfer_ownership,
        required={"id": ID, "to": ID},
    ),
)
