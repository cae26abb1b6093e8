"""Owns the minds of the bazaar that live off services: those who make them, and how a price is found.

A service is a principal with code. It is paid, buys what it needs with its own scrip, and pays its
owner what it holds beyond its till. So what one takes out since the last look tells how often it was
called, and the price follows that.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..world import Invoke, Read, Write
from .bazaar import (
    CODE,
    ESCROW,
    LEDGER,
    METHODS,
    STORE,
    Row,
    at_price,
    find_costs,
    find_own,
    needs_of,
    whole,
)
from .bazaar_credit import borrow, settle
from .stepwise import Steps, Stepwise, Work

_BUSY_CALLS: Final = 2
"""Calls between two looks from which on a service is worth more."""
_TILL: Final = re.compile(r"^TILL = \d+", re.M)
_DOCSTRING: Final = re.compile(r'"""(.+?)"""', re.S)


class Maker(Stepwise):
    """Builds services from blueprints, tends them, and borrows where it can't begin.

    Params: ``goods``, the kinds to build, in order; ``margin_scrip`` of the first price over its
    cost; ``till_scrip`` that a service begins with and keeps; ``sells``, how often in a hundred
    works it offers one for good; ``works_for``, who gets half of what was earned.
    """

    def work(self, w: Work) -> Steps:
        """Settle debts, build what is missing, sell one, or tend one."""
        what = w.chance.random()
        if what < 0.15:
            yield from settle(w)
        elif what < 0.4:
            yield from build_next(w)
        elif what < 0.4 + w.params.get("sells", 0) / 100:
            yield from sell(w)
        else:
            yield from tend(w)


def build_next(w: Work) -> Steps:
    """Build the first of one's goods that was never built; where there is too little scrip, borrow."""
    known = (yield Invoke(STORE, "search", {"query": w.me}))["artifacts"]
    types = {row["id"]: row["type"] for row in known}
    wanted = [(kind, f"{kind}_{n}.{w.me}") for n, kind in enumerate(w.params.get("goods", []), 1)]
    missing = [(kind, id) for kind, id in wanted if types.get(id) != CODE]
    if not missing:
        return
    kind, id = missing[0]
    code = yield Read(f"blueprint_{kind}")
    cost = yield from find_costs(needs_of(code))
    if cost is None:
        return
    till = _till(w, cost)
    spendable = (yield Invoke(LEDGER, "balance", {}))["scrip"]
    if spendable < till:
        yield from borrow(w)
        return
    if id not in types:
        yield Invoke(LEDGER, "spawn_principal", {"id": id})
    price = cost + w.about(w.params.get("margin_scrip", 10))
    common = yield Read("blueprint_service")
    text = f"ME = {id!r}\nTILL = {till}\n\n{code}\n{common}"
    yield Write(id, text, _told(code), CODE, at_price(price), METHODS)
    yield pay(id, till)


def tend(w: Work) -> Steps:
    """Empty the till of one of one's services, and set its price anew."""
    services = yield from find_services(w)
    if not services:
        return
    service = w.chance.choice(services)
    taken = whole((yield Invoke(service["id"], "pay_out")))
    price = (yield Invoke(STORE, "interface", {"id": service["id"]}))["price_scrip"]
    cost = yield from find_costs(needs_of(service["description"]))
    if cost is None:
        return
    if cost and not taken:
        held = (yield Invoke(LEDGER, "balance", {"principal": service["id"]}))["scrip"]
        if held < cost and w.scrip > cost:
            yield pay(service["id"], cost)
    fair = new_price(price, taken // max(1, price - cost), cost)
    if fair != price:
        code = yield Read(service["id"])
        text = _TILL.sub(f"TILL = {_till(w, cost)}", code, count=1)
        yield Write(service["id"], text, contract=at_price(fair))
    if taken > 1 and "works_for" in w.params:
        yield pay(w.params["works_for"], taken // 2)


def new_price(price: int, calls: int, cost: int) -> int:
    """A price after a look: up by a fifth when busy, down by an eighth when idle, above its cost."""
    if calls >= _BUSY_CALLS:
        price += max(1, price // 5)
    elif calls == 0:
        price -= max(1, price // 8)
    return max(price, cost + 1)


def sell(w: Work) -> Steps:
    """Offer one of one's services for good, at what it should earn in some time."""
    services = yield from find_services(w)
    if services:
        chosen = w.chance.choice(services)["id"]
        price = (yield Invoke(STORE, "interface", {"id": chosen}))["price_scrip"]
        asked = w.about(price * w.params.get("sale_calls", 4), 0.4)
        yield Invoke(ESCROW, "list_for_sale", {"artifact": chosen, "price": asked})


def find_services(w: Work) -> Steps:
    """Returns the services that one owns and may change."""
    rows: list[Row] = yield from find_own(w, CODE)
    return [row for row in rows if row["id"].partition(".")[2]]


def _till(w: Work, cost: int) -> int:
    """What a service keeps: enough for two calls of what it needs."""
    return int(w.params.get("till_scrip", 0)) + 2 * cost


def pay(to: str, amount: int) -> Invoke:
    """Give scrip."""
    return Invoke(LEDGER, "transfer", {"to": to, "amount": amount})


def _told(code: Any) -> str:
    """What a blueprint says of itself."""
    found = _DOCSTRING.search(code)
    return " ".join(found[1].split()) if found else ""
