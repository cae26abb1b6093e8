"""Owns genesis_rights_registry: what each principal may use, and to give rights to use away."""

from __future__ import annotations

from typing import Any

from ..world import Code, Context, Done, Failed
from .arguments import AMOUNT, ID, method, native


def _quota(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    principal = args.get("principal", ctx.caller)
    failed = ctx.principal(principal) or _unknown(ctx, args["resource"])
    return failed or Done({"principal": principal, **_row(ctx, principal, args["resource"])})


def _quotas(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    principal = args.get("principal", ctx.caller)
    failed = ctx.principal(principal)
    if failed is not None:
        return failed
    rows = [_row(ctx, principal, resource) for resource in ctx.state.resources.kinds]
    return Done({"principal": principal, "quotas": rows})


def _row(ctx: Context, principal: str, resource: str) -> dict[str, Any]:
    resources = ctx.state.resources
    limit = resources.limit(principal, resource)
    held = resources.held_of(principal, resource)
    remaining = resources.remaining(principal, resource, ctx.state.now_us)
    return {
        "resource": resource,
        "kind": resources.kinds[resource],
        "limit": limit,
        "used": limit - held - remaining,
        "held": held,
        "remaining": remaining,
        "window_us": resources.window_us(resource),
    }


def _transfer_quota(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    resource = args["resource"]
    failed = ctx.transfer_quota(args["to"], resource, args["amount"])
    return failed or Done(ctx.state.resources.remaining(ctx.caller, resource, ctx.state.now_us))


def _unknown(ctx: Context, resource: str) -> Failed | None:
    kinds = ctx.state.resources.kinds
    if resource in kinds:
        return None
    detail = f"there is no resource {resource!r}: there is {', '.join(kinds)}"
    return Failed(Code.NOT_FOUND, detail)


RIGHTS_REGISTRY = native(
    "genesis_rights_registry",
    "Quotas: what each principal may use of each resource, and transfers of these rights.",
    method(
        "quota",
        "What a principal, you by default, may use of a resource: its limit, what is used (this "
        "call included) and held of it, and what remains now. `window_us` is the length of the "
        "rolling window of a renewable resource, else null.",
        _quota,
        required={"resource": ID},
        optional={"principal": ID},
    ),
    method(
        "quotas",
        "The quotas of a principal, you by default, for every resource.",
        _quotas,
        optional={"principal": ID},
    ),
    method(
        "transfer_quota",
        "Give a right to use to another principal, for good: at most what remains now, so what is "
        "used or held stays yours. You, the immediate caller, give. Answers what remains for you.",
        _transfer_quota,
        required={"to": ID, "resource": ID, "amount": AMOUNT},
    ),
)
