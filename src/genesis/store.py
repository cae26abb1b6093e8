"""Owns genesis_store: what artifacts there are and how to use them. Never shows content.

Descriptions, prices and interfaces are public; what an artifact holds is told by ``read`` alone, to
whom its contract lets.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..world import CONTRACTS, Artifact, Context, Done, Failed, check
from .arguments import ID, PAGE, QUERY, find, method, native, page_size


def _list(ctx: Context, args: dict[str, Any]) -> Done:
    keys = [f"{name} {args[name]}" for name in ("owner", "type") if name in args]
    catalog = ctx.state.artifacts.catalog
    ids, after = catalog.find(keys or ("all",), args.get("after", ""), page_size(ctx, args))
    return _page(ctx, ids, after)


def _search(ctx: Context, args: dict[str, Any]) -> Done:
    catalog = ctx.state.artifacts.catalog
    ids, after = catalog.search(args["query"], args.get("after", ""), page_size(ctx, args))
    return _page(ctx, ids, after)


def _page(ctx: Context, ids: list[str], after: str | None) -> Done:
    by_id = ctx.state.artifacts.by_id
    return Done({"artifacts": [_row(by_id[id], ctx.caller) for id in ids], "after": after})


def _row(artifact: Artifact, caller: str) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "type": artifact.type,
        "owner": artifact.owner,
        "description": artifact.description,
        "contract": artifact.contract.id,
        "encumbered_by": artifact.encumbered_by or None,
        "read_scrip": check(artifact, caller, "read"),
        "invoke_scrip": check(artifact, caller, "invoke") if artifact.can_execute else None,
    }


def _is_open(artifact: Artifact, scrip: int | None) -> bool | None:
    """Whether there is a price; None where only the contract that an agent wrote could tell."""
    return None if scrip is None and artifact.contract.id not in CONTRACTS else scrip is not None


def _count(ctx: Context, args: dict[str, Any]) -> Done:
    key = next((f"{name} {value}" for name, value in args.items()), "all")
    return Done(ctx.state.artifacts.catalog.count(key))


def _get(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    artifact = find(ctx, args["id"])
    if isinstance(artifact, Failed):
        return artifact
    row = _row(artifact, ctx.caller)
    return Done(
        {
            **row,
            "standing": artifact.standing,
            "stored_bytes": artifact.stored_bytes,
            "can_execute": artifact.can_execute,
            "may_read": _is_open(artifact, row["read_scrip"]),
            "may_invoke": artifact.can_execute and _is_open(artifact, row["invoke_scrip"]),
        }
    )


def _interface(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    artifact = find(ctx, args["id"])
    if isinstance(artifact, Failed):
        return artifact
    costs = {tool.name: ctx.costs(artifact.id, tool.name) for tool in artifact.interface}
    return Done(
        {
            "id": artifact.id,
            "type": artifact.type,
            "can_execute": artifact.can_execute,
            "interface": {"tools": [msgspec.to_builtins(tool) for tool in artifact.interface]},
            "contract": artifact.contract.id,
            "price_scrip": artifact.contract.price_scrip,
            "costs": {
                name: {"resources": dict(cost.resources), "price_scrip": cost.price_scrip}
                for name, cost in costs.items()
            },
        }
    )


_ROWS = (
    "Each row has id, type, owner, description, contract, the genesis artifact that binds it "
    "(`encumbered_by`: for sale or pledged, so nobody changes it), and what it costs you in scrip to "
    "read (`read_scrip`) and to invoke (`invoke_scrip`): 0 is free, null is not possible for you, or, "
    "where `contract` is the id of an artifact, told by its check alone when you try."
)
_NEXT = "Call again with the `after` of the answer until that is null."

STORE = native(
    "genesis_store",
    "Finds artifacts: lists, search, and how each one is used. Content is got by reading it.",
    method(
        "list",
        f"Artifacts in order of id, of one owner, of one type, or all. {_ROWS} {_NEXT}",
        _list,
        optional={"owner": ID, "type": ID, **PAGE},
    ),
    method(
        "get",
        "What is known of one artifact besides its content: the row that list gives, its size, "
        "whether it has methods, and whether you may read and invoke it (null: only its contract "
        "knows, which code decides).",
        _get,
        required={"id": ID},
    ),
    method(
        "search",
        "Artifacts that have every word of the query in their id, type or description, in order of "
        f"id; whole words, upper and lower case alike. {_ROWS} {_NEXT} A page can be short or "
        "empty and not the last.",
        _search,
        required={"query": QUERY},
        optional=PAGE,
    ),
    method(
        "count",
        "How many artifacts there are: all, or of one owner, or of one type.",
        _count,
        optional={"owner": ID, "type": ID},
        maxProperties=1,
    ),
    method(
        "interface",
        "How an artifact is invoked: its methods as tools with JSON Schema, and their costs. "
        "`price_scrip` of the contract is paid by the immediate caller for each call, that of a "
        "method on top; `resources` are paid by the principal that acts. The owner pays no scrip.",
        _interface,
        required={"id": ID},
    ),
)
