"""Owns genesis_escrow: what is for sale and on which terms, and the sale itself, in one step.

A listing binds the artifact and moves nothing: until it is bought, its owner stays its owner and earns
with it. Notes: ``listing/ARTIFACT`` holds the terms, ``seller/SELLER/ARTIFACT`` finds the listings of a
seller, ``until/TIME/ARTIFACT`` those that end by themselves, the first one first.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..world import Code, Context, Done, Failed
from .arguments import AMOUNT, ID, PAGE, SEQ, bindable, find, method, native, page_size, too_dear

_LISTING: Final = "listing/"
_UNTIL: Final = "until/"

Terms = dict[str, Any]
"""``artifact``, ``seller``, ``price``, ``buyer`` and ``expires_us``; the last two None where open.

Besides the artifact's ``contract``, and ``changed_seq``, the record of its last change: both stay while it
is for sale.
"""


def _list_for_sale(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    _lapse(ctx, args["artifact"])
    artifact = bindable(ctx, args["artifact"])
    if isinstance(artifact, Failed):
        return artifact
    buyer, expires_us = args.get("buyer"), args.get("expires_us")
    failed = None if buyer is None else ctx.principal(buyer)
    if failed is not None:
        return failed
    if buyer == ctx.caller:
        return Failed(Code.PERMISSION_DENIED, "nobody sells to itself: name another buyer, or none")
    if expires_us is not None and expires_us <= ctx.state.now_us:
        detail = f"it is {ctx.state.now_us} now: give a later time, or none"
        return Failed(Code.NOT_OPEN, detail)
    terms = {
        "artifact": artifact.id,
        "seller": ctx.caller,
        "price": args["price"],
        "buyer": buyer,
        "expires_us": expires_us,
        "contract": artifact.contract.id,
        "changed_seq": artifact.changed_seq,
    }
    ctx.put(_LISTING + artifact.id, terms)
    ctx.put(_seller_key(terms), True)
    ctx.encumber(artifact.id)
    if expires_us is not None:
        ctx.put(_until_key(terms), True)
        _schedule(ctx)
    return Done(terms)


def _purchase(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    terms = _open(ctx, args["artifact"])
    if isinstance(terms, Failed):
        return terms
    failed = ctx.principal(ctx.caller)
    if failed is not None:
        return failed
    seller, price = terms["seller"], terms["price"]
    if ctx.caller == seller:
        detail = f"{terms['artifact']} is yours: genesis_escrow cancel ends its sale"
        return Failed(Code.PERMISSION_DENIED, detail)
    if terms["buyer"] not in (None, ctx.caller):
        detail = f"{terms['artifact']} is for {terms['buyer']} alone"
        return Failed(Code.PERMISSION_DENIED, detail)
    failed = too_dear(args, price, f"{terms['artifact']} costs")
    if failed is not None:
        return failed
    if terms["changed_seq"] != args.get("changed_seq", terms["changed_seq"]):
        seq = terms["changed_seq"]
        detail = f"{terms['artifact']} was changed by record {seq}: look at it again before you buy"
        return Failed(Code.NOT_OPEN, detail)
    _end(ctx, terms)
    artifact = ctx.state.artifacts.by_id[terms["artifact"]]
    failed = ctx.transfer(seller, price)
    failed = failed or ctx.transfer_ownership(artifact, ctx.caller, stored_for=ctx.caller)
    sold = {"artifact": artifact.id, "seller": seller, "buyer": ctx.caller, "price": price}
    return failed or Done(sold)


def _cancel(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    terms = _open(ctx, args["artifact"])
    if isinstance(terms, Failed):
        return terms
    if ctx.caller != terms["seller"]:
        detail = f"{terms['seller']} sells {terms['artifact']}: only the seller ends it"
        return Failed(Code.PERMISSION_DENIED, detail)
    _end(ctx, terms)
    return Done(terms)


def _check(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    terms = _open(ctx, args["artifact"])
    return terms if isinstance(terms, Failed) else Done(terms)


def _active(ctx: Context, args: dict[str, Any]) -> Done:
    seller, size = args.get("seller"), page_size(ctx, args)
    prefix = _LISTING if seller is None else f"seller/{seller}/"
    keys = ctx.notes(prefix, prefix + args.get("after", ""), size + 1)
    ids = [key.rpartition("/")[2] for key in keys]
    rows = [ctx.noted(_LISTING + id) for id in ids[:size]]
    open_rows = [terms for terms in rows if not _is_over(ctx, terms)]
    return Done({"listings": open_rows, "after": ids[size - 1] if len(ids) > size else None})


def _tick(ctx: Context) -> None:
    """End the listings whose time is over, a page at a time."""
    for key in ctx.notes(_UNTIL):
        _lapse(ctx, key.rpartition("/")[2])
    _schedule(ctx)


def _open(ctx: Context, id: str) -> Terms | Failed:
    """The terms on which an artifact is for sale now, or the failure that says that it is not."""
    terms: Terms | None = ctx.noted(_LISTING + id)
    if terms is not None and not _is_over(ctx, terms):
        return terms
    artifact = find(ctx, id)
    if isinstance(artifact, Failed):
        return artifact
    detail = f"{id} is not for sale: genesis_escrow active lists what is"
    return Failed(Code.NOT_OPEN, detail)


def _is_over(ctx: Context, terms: Terms) -> bool:
    expires_us = terms["expires_us"]
    return expires_us is not None and expires_us <= ctx.state.now_us


def _lapse(ctx: Context, id: str) -> None:
    """End a listing whose time is over, if there is one."""
    terms: Terms | None = ctx.noted(_LISTING + id)
    if terms is not None and _is_over(ctx, terms):
        _end(ctx, terms)


def _end(ctx: Context, terms: Terms) -> None:
    """Unbind an artifact; nothing of its listing stays."""
    ctx.put(_LISTING + terms["artifact"], None)
    ctx.put(_seller_key(terms), None)
    ctx.free(terms["artifact"])
    if terms["expires_us"] is not None:
        ctx.put(_until_key(terms), None)
        _schedule(ctx)


def _schedule(ctx: Context) -> None:
    """Be called when the next listing is over."""
    due_us = 0
    for key in ctx.notes(_UNTIL, limit=1):
        due_us = max(int(key.split("/")[1]), ctx.state.now_us + 1)
    if due_us != ctx.state.agenda.scheduled.get(ctx.artifact, 0):
        ctx.schedule(due_us)


def _seller_key(terms: Terms) -> str:
    return f"seller/{terms['seller']}/{terms['artifact']}"


def _until_key(terms: Terms) -> str:
    return f"{_UNTIL}{terms['expires_us']:016d}/{terms['artifact']}"


ESCROW = msgspec.structs.replace(
    native(
        "genesis_escrow",
        "Sells what can be owned, for scrip and in one step: artifacts, and principals and agents.",
        method(
            "list_for_sale",
            "Offer an artifact that you own, under private, freeware or pay_per_use, for `price` scrip, to "
            "anybody or to `buyer` alone, until "
            "the world time `expires_us` or until you cancel it. It stays yours and earns for you "
            "until it is bought, but nobody changes, deletes or gives it away meanwhile. You can "
            "sell yourself: who buys you owns what you are made of, your scrip stays yours.",
            _list_for_sale,
            required={"artifact": ID, "price": AMOUNT},
            optional={"buyer": ID, "expires_us": AMOUNT},
        ),
        method(
            "purchase",
            "Buy an artifact that is for sale: you pay its price to the seller and own it, or nothing "
            "happens. With `price_max` it fails where the price is higher by now, with "
            "`changed_seq` where it was changed since you looked. It keeps its contract until you write "
            "another. Its bytes count on your stored_bytes.",
            _purchase,
            required={"artifact": ID},
            optional={"price_max": AMOUNT, "changed_seq": SEQ},
        ),
        method(
            "cancel",
            "End the sale of an artifact that you offered.",
            _cancel,
            required={"artifact": ID},
        ),
        method(
            "check",
            "The terms on which an artifact is for sale: seller, price, its contract, the number of the "
            "record that changed it last (changed_seq), and buyer and expires_us, null where there is "
            "none. Fails with NOT_OPEN where it is not for sale.",
            _check,
            required={"artifact": ID},
        ),
        method(
            "active",
            "What is for sale, of one seller or of all, in order of the artifacts' ids: the terms as "
            "`check` tells them. Call again with the `after` of the answer until that is null; a page "
            "can be short and not the last.",
            _active,
            optional={"seller": ID, **PAGE},
        ),
    ),
    capabilities=frozenset({"encumber"}),
    tick=_tick,
)
