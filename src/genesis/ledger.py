"""Owns genesis_ledger: who has how much scrip, to pay, to make principals, to give artifacts away."""

from __future__ import annotations

from typing import Any

import msgspec

from ..world import Artifact, Code, Context, Done, Failed
from .arguments import (
    AMOUNT,
    CONTENT,
    ID,
    PAGE,
    TEXT,
    find,
    method,
    native,
    owned,
    page_size,
    too_dear,
)


class _Mind(msgspec.Struct, frozen=True):
    """What the configuration of an agent says at least."""

    mind: str


def _balance(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    principal = args.get("principal", ctx.caller)
    return ctx.principal(principal) or Done(_row(ctx, principal))


def _balances(ctx: Context, args: dict[str, Any]) -> Done:
    catalog = ctx.state.artifacts.catalog
    ids, after = catalog.find(("standing",), args.get("after", ""), page_size(ctx, args))
    return Done({"balances": [_row(ctx, id) for id in ids], "after": after})


def _row(ctx: Context, principal: str) -> dict[str, Any]:
    ledger = ctx.state.ledger
    is_own = principal == ctx.caller
    return {
        "principal": principal,
        "scrip": ledger.balances[principal],
        "held": ledger.held.get(principal, 0) if is_own else None,
    }


def _transfer(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    failed = ctx.transfer(args["to"], args["amount"])
    return failed or Done(ctx.state.ledger.available(ctx.caller))


def _spawn_principal(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    owner = _owner_of_new(ctx)
    failed = ctx.spawn(args["id"], owner, args.get("description", ""))
    return failed or Done({"principal": args["id"], "owner": owner})


def _spawn_agent(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    content = _configuration(ctx, args)
    if isinstance(content, Failed):
        return content
    owner = _owner_of_new(ctx)
    failed = _too_many(ctx, owner)
    if failed is None:
        failed = ctx.spawn(args["id"], owner, args.get("description", ""), content, loop=True)
    return failed or Done({"principal": args["id"], "owner": owner})


def _too_many(ctx: Context, owner: str) -> Failed | None:
    """Why a principal makes no more agents, or None.

    Those count whose bytes are on it: a gift leaves them there, so nobody is rid of agents by giving
    them away, and nobody is filled with another's.
    """
    agenda, by_id = ctx.state.agenda, ctx.state.artifacts.by_id
    agents = (id for id in agenda.due_us if id != owner and by_id[id].stored_for == owner)
    count = sum(id not in agenda.stopped for id in agents)
    if count < ctx.config.limits.agents_per_principal_max:
        return None
    detail = f"{owner} has {count} agents, as many as it may: have one stop, or sell one"
    return Failed(Code.QUOTA_EXCEEDED, detail)


def _owner_of_new(ctx: Context) -> str:
    caller = ctx.state.artifacts.by_id[ctx.caller]
    return caller.id if caller.standing else caller.owner


def _configuration(ctx: Context, args: dict[str, Any]) -> str | Failed:
    """The content of a new agent: what is given, or what another agent is made of."""
    if ("content" in args) == ("like" in args):
        return Failed(Code.DEFINITION_INVALID, "give either content or like, the agent to be like")
    if "content" in args:
        content = str(args["content"])
    else:
        like = find(ctx, args["like"])
        if isinstance(like, Failed):
            return like
        failed = _read_at_its_price(ctx, like, args)
        if failed is not None:
            return failed
        content = ctx.text(like)
    try:
        msgspec.json.decode(content, type=_Mind)
    except (msgspec.DecodeError, RecursionError):
        detail = 'an agent is made of JSON like {"mind": "its kind", "params": {}}'
        return Failed(Code.DEFINITION_INVALID, detail)
    return content


def _read_at_its_price(ctx: Context, like: Artifact, args: dict[str, Any]) -> Failed | None:
    """Pay what its contract asks for reading it; the failure where the caller may or can not."""
    allowed = ctx.may(like, "read")
    if isinstance(allowed, Failed):
        return allowed
    price = allowed.price_scrip
    failed = too_dear(args, price, f"reading {like.id} costs")
    return failed or (ctx.transfer(allowed.payee, price) if price else None)


def _transfer_ownership(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    artifact = owned(ctx, args["id"])
    if isinstance(artifact, Failed):
        return artifact
    to = args["to"]
    failed = ctx.principal(to) or ctx.transfer_ownership(artifact, to, artifact.stored_for)
    return failed or Done({"id": artifact.id, "owner": to})


LEDGER = native(
    "genesis_ledger",
    "Scrip: balances, payments, new principals, and who owns what.",
    method(
        "balance",
        "How much scrip a principal has, you by default. `held` is the part of `scrip` that is set "
        "aside for payments and bids under way and cannot be spent; only you learn it of yourself.",
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
        "description count on its owner's stored_bytes.",
        _spawn_principal,
        required={"id": ID},
        optional={"description": TEXT},
    ),
    method(
        "spawn_agent",
        "Make an agent, a principal that acts by itself, which belongs to you as spawn_principal "
        "says. Its configuration is `content`, JSON with the name of its `mind` and its `params`, or "
        "that of the agent `like`, if you may read it; what that costs you pay, up to `price_max`. It "
        "rests until it has compute: transfer some. Its owner can read and rewrite it; it goes on as "
        "what it then is.",
        _spawn_agent,
        required={"id": ID},
        optional={"content": CONTENT, "like": ID, "price_max": AMOUNT, "description": TEXT},
    ),
    method(
        "transfer_ownership",
        "Give an artifact that you own to a principal, with its earnings from now on. Its bytes "
        "stay on whose stored_bytes they are until it is written again. You can give yourself: your "
        "scrip stays yours. "
        "It keeps its contract until its new owner writes another. Genesis artifacts stay, and so does "
        "what is bound.",
        _transfer_ownership,
        required={"id": ID, "to": ID},
    ),
)
