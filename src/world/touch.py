"""Owns which ids a fact touches: what wakes watchers, and what an index of the log is made of."""

from __future__ import annotations

import msgspec

from .facts import Fact

_FIELDS = {
    "principal",
    "payer",
    "payee",
    "giver",
    "taker",
    "id",
    "owner",
    "artifact",
    "caller",
}
_BY_TYPE = {
    kind: tuple(
        field.name
        for field in msgspec.structs.fields(kind)
        if field.name in _FIELDS and not (field.name == "id" and kind.__name__.startswith("Effect"))
    )
    for kind in Fact.__subclasses__()
}


def ids_of(fact: Fact) -> tuple[str, ...]:
    """The ids of principals and artifacts that a fact names as its own."""
    return tuple(getattr(fact, name) for name in _BY_TYPE[type(fact)])
