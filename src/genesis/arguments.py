"""Owns what the methods of genesis artifacts share: bounded argument types, pages, and whom a call is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..world import GENESIS, Artifact, Code, Context, Done, Failed, Method, Native, Tool

INTEGER_MAX = 2**53
"""Up to here whole numbers are exact in every JSON, and the door makes integers of them."""
ID = {"type": "string", "maxLength": 256}
"""Longer than any id that a world allows; whether it is one is the world's to say."""
TEXT = {"type": "string", "maxLength": 2_000}
CONTENT = {"type": "string", "maxLength": 1_000_000}
"""How much of it a world keeps is the world's to say."""
QUERY = {"type": "string", "maxLength": 200}
AMOUNT = {"type": "integer", "minimum": 1, "maximum": INTEGER_MAX}
SEQ = {"type": "integer", "minimum": 0, "maximum": INTEGER_MAX}
PAGE = {"after": ID, "limit": {"type": "integer", "minimum": 1, "maximum": INTEGER_MAX}}


def native(id: str, description: str, *methods: Method) -> Native:
    """A genesis artifact with its methods."""
    return Native(id, description, {method.tool.name: method for method in methods})


def method(
    name: str,
    description: str,
    handler: Callable[[Context, dict[str, Any]], Done | Failed],
    required: dict[str, Any] | None = None,
    optional: dict[str, Any] | None = None,
    **keywords: Any,
) -> Method:
    """A method whose arguments are ``required`` and ``optional``, by name; ``keywords`` are JSON Schema's."""
    required = required or {}
    schema = {"type": "object", "properties": {**required, **(optional or {})}, **keywords}
    if required:
        schema["required"] = list(required)
    return Method(Tool(name, description, schema), handler)


def page_size(ctx: Context, args: dict[str, Any]) -> int:
    """How many rows the caller gets at most."""
    page_max = ctx.config.limits.page_max
    return min(int(args.get("limit", page_max)), page_max)


def too_dear(args: dict[str, Any], price: int, told: str) -> Failed | None:
    """The failure where ``told``, which ends in a verb, is dearer than the caller's ``price_max``."""
    if price <= args.get("price_max", price):
        return None
    return Failed(Code.PRICE_ABOVE_MAX, f"{told} {price} scrip, more than your price_max")


def find(ctx: Context, id: str) -> Artifact | Failed:
    """The artifact, or the failure that says there is none."""
    artifacts = ctx.state.artifacts
    artifact = artifacts.by_id.get(id)
    if artifact is not None:
        return artifact
    if id in artifacts.gone:
        return Failed(Code.NOT_FOUND, f"{id!r} was deleted; its id is not used again")
    detail = f"there is no artifact {id!r}: genesis_store search finds artifacts"
    return Failed(Code.NOT_FOUND, detail)


BINDABLE = ("private", "freeware", "pay_per_use")
"""Contracts under which nobody but the owner changes an artifact, whoever wrote or chose them."""


def bindable(ctx: Context, id: str) -> Artifact | Failed:
    """An artifact that the caller may sell or pledge, or the failure that says why it may not.

    Its contract stays with it. So it must be one through which its seller keeps nothing of it.
    """
    artifact = owned(ctx, id)
    if isinstance(artifact, Failed):
        return artifact
    if artifact.encumbered_by:
        detail = f"{artifact.id} is bound by {artifact.encumbered_by}: end what was agreed there"
        return Failed(Code.ENCUMBERED, detail)
    if artifact.contract.id not in BINDABLE:
        detail = (
            f"under the contract {artifact.contract.id} others than its owner may change {artifact.id}: "
            f"give it one of {', '.join(BINDABLE)} first"
        )
        return Failed(Code.PERMISSION_DENIED, detail)
    return artifact


def owned(ctx: Context, id: str) -> Artifact | Failed:
    """An artifact that the caller may give away, or the failure that says why it may not."""
    artifact = find(ctx, id)
    if isinstance(artifact, Failed):
        return artifact
    if ctx.caller != artifact.owner:
        detail = f"{artifact.id} belongs to {artifact.owner}: only its owner gives it away"
        return Failed(Code.PERMISSION_DENIED, detail)
    if artifact.owner == GENESIS:
        detail = f"{artifact.id} was there at the beginning and stays: give away what you made"
        return Failed(Code.PERMISSION_DENIED, detail)
    return artifact
