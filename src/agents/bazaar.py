"""Owns what all minds of the bazaar know: what a service is, and how to find what is on offer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from ..world import Contract, Invoke, Tool
from .stepwise import Steps, Work

STORE: Final = "genesis_store"
LEDGER: Final = "genesis_ledger"
ESCROW: Final = "genesis_escrow"
CODE: Final = "code"
DEED: Final = "deed"
METHODS: Final = (
    Tool("of", "What comes of a text.", {
        "properties": {"text": {"type": "string", "maxLength": 2_000}}, "required": ["text"],
    }),
    Tool("pay_out", "Pay the owner what was earned."),
)  # fmt: skip
"""What every service of the bazaar can be asked."""
_NEEDS: Final = re.compile(r"\bBuys: ([a-z, ]+)\.")

Row = dict[str, Any]


def find_offers(kind: str) -> Steps:
    """Returns the services of a kind that the caller can buy from, the cheapest first."""
    rows = (yield Invoke(STORE, "search", {"query": kind}))["artifacts"]
    offers = [row for row in rows if kind_of(row["id"]) == kind and row["invoke_scrip"]]
    return sorted(offers, key=lambda row: (row["invoke_scrip"], row["id"]))


def find_own(w: Work, kind: str) -> Steps:
    """Returns what one owns of a type and what is not bound."""
    rows = (yield Invoke(STORE, "list", {"owner": w.me, "type": kind}))["artifacts"]
    return [row for row in rows if row["encumbered_by"] is None]


def find_costs(needs: Sequence[str]) -> Steps:
    """Returns what a call of a service pays for what it needs; None where nobody sells that."""
    total = 0
    for kind in needs:
        offers = yield from find_offers(kind)
        if not offers:
            return None
        total += offers[0]["invoke_scrip"]
    return total


def needs_of(text: str) -> list[str]:
    """The kinds of services that one buys, by its description or its source."""
    found = _NEEDS.search(text)
    return found[1].replace(" ", "").split(",") if found else []


def kind_of(id: str) -> str:
    """The kind of a service: ``words`` of ``words_2.anna``."""
    return id.partition(".")[0].rpartition("_")[0]


def whole(answer: Any) -> int:
    """An answer of code, whoever wrote that: 0 where it is no whole number above it."""
    return answer if type(answer) is int and answer > 0 else 0


def at_price(price_scrip: int) -> Contract:
    """Whoever pays may use it."""
    return Contract("pay_per_use", price_scrip)
