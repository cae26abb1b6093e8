"""Owns the minds of the bazaar that make services and live off them, and how a price follows demand.

A service is a principal with code. It is paid, buys what it needs with its own scrip, and pays out
to its owner what it holds beyond its till. So what one takes out since the last look tells how much
it was asked for, and the price follows.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..world import Contract, Invoke, Read, Tool, Write
from .bazaar import (
    CODE,
    ESCROW,
    LEDGER,
    METHODS,
    STORE,
    Row,
    Steps,
    Trader,
    Work,
    at_price,
    find_costs,
    find_own,
    needs_of,
)
from .bazaar_credit import borrow, settle

TILL_SCRIP: Final = 12
_BUSY: Final = 2
"""Calls between two looks from which a service is worth more."""
_DOCSTRING: Final = re.compile(r'"""(.+?)"""', re.S)


def new_price(price: int, calls: int, cost: int) -> int:
    """A price after a look: up by a fifth when busy, down by an eighth when idle, above its cost."""
    if calls >= _BUSY:
        price += max(1, price // 5)
    elif calls == 0:
        price -= max(1, price // 8)
    return max(price, cost + 1)


def tend(w: Work) -> Steps:
    """Empty the till of one's services, one at a look, and set its price anew.

    Params: ``works_for``, who gets half of what was earned.
    """
    services = [row for row in (yield from find_own(w, CODE)) if "Buys" in _told(row) or _sells(row)]
    if not services:
        return
    service = w.chance.choice(services)
    taken = (yield Invoke(service["id"], "pay_out")) or 0
    price = (yield Invoke(STORE, "interface", {"id": service["id"]}))["price_scrip"]
    cost = yield from find_costs(needs_of(service["description"]))
    if cost is None:
        return
    if taken == 0 and cost:
        yield from _refill(w, service["id"], cost)
    price_now = new_price(price, taken // max(1, price - cost), cost)
    if price_now != price:
        yield Write(service["id"], None, contract=at_price(price_now))
    if taken > 1 and "works_for" in w.params:
        yield pay(w.params["works_for"], taken // 2)


def offer_for_sale(w: Work, asked: int) -> Steps:
    """List one of one's services, so that another earns with it."""
    services = [row for row in (yield from find_own(w, CODE)) if _sells(row)]
    if services:
        chosen = w.chance.choice(services)["id"]
        yield Invoke(ESCROW, "list_for_sale", {"artifact": chosen, "price": asked})


def pay(to: str, amount: int) -> Invoke:
    """Give scrip."""
    return Invoke(LEDGER, "transfer", {"to": to, "amount": amount})
