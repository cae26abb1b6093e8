"""Owns the minds of the bazaar that buy: the use of services, and services themselves."""

from __future__ import annotations

from typing import Any, Final

from ..world import Envelope, Invoke, Read
from .bazaar import CODE, DEED, ESCROW, STORE, find_offers, find_own, whole
from .bazaar_credit import borrow
from .bazaar_makers import find_services, tend
from .stepwise import DeniedError, Steps, Stepwise, Work

_POOR_SCRIP: Final = 40


class Buyer(Stepwise):
    """Needs now this, now that, compares, and pays at most what it is worth to it at that moment.

    Params: ``needs``, how much each kind of service is worth; ``thrift``, the part of its purse that
    it spends at once at most; ``themes`` of its texts; ``reads``, an artifact behind a pass, with
    ``pass`` and ``worth``; ``borrows``, whether it lives on credit.
    """

    def work(self, w: Work) -> Steps:
        """Read the news, borrow, or buy."""
        if "reads" in w.params and w.chance.random() < 0.15:
            yield from self.read(w, w.params["reads"])
        elif w.params.get("borrows") and w.scrip < _POOR_SCRIP and w.chance.random() < 0.5:
            yield from borrow(w)
        else:
            yield from self.buy(w)

    def buy(self, w: Work) -> Steps:
        """Buy from the cheapest; where its service fails, from the next."""
        kind, worth = w.chance.choice(sorted(w.params.get("needs", {"words": 10}).items()))
        most = min(w.about(worth), int(w.scrip * w.params.get("thrift", 0.3)))
        offers = yield from find_offers(kind)
        text = _text(w)
        for offer in [row for row in offers if row["invoke_scrip"] <= most][:3]:
            asked = Invoke(offer["id"], "of", {"text": text})
            try:
                return (yield Envelope(w.me, asked, price_max_scrip=most))
            except DeniedError:
                continue

    def read(self, w: Work, told: dict[str, Any]) -> Steps:
        """Read what a pass opens; buy time first where it is over, if it is worth it."""
        until_us = whole((yield Invoke(told["pass"], "until", {"reader": w.me})))
        if until_us <= w.now_us:
            asked = Invoke(told["pass"], "subscribe")
            yield Envelope(w.me, asked, price_max_scrip=w.about(told.get("worth", 10), 0.5))
        yield Read(told["artifact"])


class Speculator(Stepwise):
    """Buys what it takes for cheap, and sells it on for more.

    Params: ``calls``, how many calls of a service are worth as much as the service; ``deed_scrip``,
    what a deed is worth to it; ``markup`` on that when it sells.
    """

    def work(self, w: Work) -> Steps:
        """Hunt, offer, or ask another price."""
        what = w.chance.random()
        if what < 0.55:
            yield from hunt(w)
        elif what < 0.85:
            yield from self.offer(w)
        else:
            yield from self.withdraw(w)

    def offer(self, w: Work) -> Steps:
        """Take out what a service earned, and list it; or a deed."""
        services = yield from find_services(w)
        goods = services or (yield from find_own(w, DEED))
        if not goods:
            return
        chosen = w.chance.choice(goods)
        if chosen["type"] == CODE:
            yield Invoke(chosen["id"], "pay_out")
        worth = yield from find_worth(w, chosen["id"])
        price = w.about(worth * w.params.get("markup", 1.2), 0.3)
        yield Invoke(ESCROW, "list_for_sale", {"artifact": chosen["id"], "price": price})

    def withdraw(self, w: Work) -> Steps:
        """End a listing that nobody took, to ask for another price later."""
        listings = (yield Invoke(ESCROW, "active", {"seller": w.me}))["listings"]
        if listings:
            yield Invoke(ESCROW, "cancel", {"artifact": w.chance.choice(listings)["artifact"]})


class Investor(Stepwise):
    """Buys services to keep them, and lives off what they earn. Params: as of a speculator."""

    def work(self, w: Work) -> Steps:
        """Hunt, or tend what it has."""
        yield from hunt(w) if w.chance.random() < 0.5 else tend(w)


def hunt(w: Work) -> Steps:
    """Buy one thing that is listed for less than it is worth to oneself now."""
    listings = (yield Invoke(ESCROW, "active", {}))["listings"]
    open_to_me = [row for row in listings if row["seller"] != w.me and row["buyer"] in (None, w.me)]
    if not open_to_me:
        return
    chosen = w.chance.choice(open_to_me)
    worth = yield from find_worth(w, chosen["artifact"])
    if worth and chosen["price"] <= min(w.about(worth), w.scrip):
        asked = {"artifact": chosen["artifact"], "price_max": chosen["price"]}
        yield Invoke(ESCROW, "purchase", asked)


def find_worth(w: Work, id: str) -> Steps:
    """Returns what owning a thing is worth to oneself: some calls of it; 0 for what earns nothing."""
    told = yield Invoke(STORE, "interface", {"id": id})
    if told["type"] == DEED:
        return w.params.get("deed_scrip", 0)
    pays_out = any(tool["name"] == "pay_out" for tool in told["interface"]["tools"])
    return told["price_scrip"] * w.params.get("calls", 5) if pays_out else 0


def _text(w: Work) -> str:
    """A short text on some of one's themes."""
    themes = w.params.get("themes", ["the bazaar"])
    sentences = [
        f"{w.chance.choice(themes)} {w.chance.choice(['meets', 'wants', 'sells', 'makes'])} "
        f"{w.chance.choice(themes)}."
        for _ in range(6)
    ]
    return " ".join(sentences)
