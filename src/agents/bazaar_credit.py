"""Owns how agents of the bazaar lend and borrow. Knows nothing of what the scrip is for."""

from __future__ import annotations

from typing import Final

from ..world import Invoke
from .bazaar import DEED, ESCROW, STORE, Row, find_own
from .stepwise import SECOND_US, Steps, Stepwise, Work

DEBT: Final = "genesis_debt"
_SOON_US: Final = 3 * SECOND_US


class Lender(Stepwise):
    """Lends on deeds, collects what is due, and sells the deeds of those who did not pay.

    Params: ``amount_scrip`` of a loan, ``interest`` on it, ``instalments``, ``every_s`` one is due.
    """

    def work(self, w: Work) -> Steps:
        """Collect, lend or sell."""
        what = w.chance.random()
        if what < 0.5:
            yield from self.collect(w)
        elif what < 0.8:
            yield from self.lend(w)
        else:
            yield from self.sell(w)

    def collect(self, w: Work) -> Steps:
        """Take what is due on each claim."""
        asked = {"holder": w.me, "state": "running"}
        loans = (yield Invoke(DEBT, "active", asked))["loans"]
        for loan in [loan for loan in loans if loan["due"]][:4]:
            yield Invoke(DEBT, "collect", {"loan": loan["loan"]})

    def lend(self, w: Work) -> Steps:
        """Offer a loan to the owner of a deed that is free."""
        rows = (yield Invoke(STORE, "list", {"type": DEED}))["artifacts"]
        loans = (yield Invoke(DEBT, "active", {"holder": w.me}))["loans"]
        for loan in [loan for loan in loans if _has_ended(loan, w.now_us)][:2]:
            yield Invoke(DEBT, "withdraw", {"loan": loan["loan"]})
        known = {w.me, *(loan["borrower"] for loan in loans)}
        free = [row for row in rows if row["owner"] not in known and not row["encumbered_by"]]
        if not free:
            return
        deed = w.chance.choice(free)
        amount, parts = self.amount(w), w.params.get("instalments", 2)
        each = round(amount * (1 + w.params.get("interest", 0.1)) / parts)
        every_us = int(w.params.get("every_s", 10) * SECOND_US)
        terms = {
            "id": f"loan_{w.number // 1_000}.{w.me}",
            "amount": amount,
            "instalments": [
                {"due_us": w.now_us + n * every_us, "amount": each} for n in range(1, parts + 1)
            ],
            "borrower": deed["owner"],
            "collateral": deed["id"],
        }
        yield Invoke(DEBT, "offer", terms)

    def amount(self, w: Work) -> int:
        """How much a loan is."""
        return int(w.params.get("amount_scrip", 50))

    def sell(self, w: Work) -> Steps:
        """Offer a deed that was forfeited, for about what was lent on it."""
        deeds = yield from find_own(w, DEED)
        if deeds:
            asked = {"artifact": deeds[0]["id"], "price": w.about(self.amount(w))}
            yield Invoke(ESCROW, "list_for_sale", asked)


def _has_ended(loan: Row, now_us: int) -> bool:
    return bool(loan["state"] == "offered" and loan["expires_us"] <= now_us)


def borrow(w: Work) -> Steps:
    """Take the first loan that is offered to oneself alone."""
    loans = (yield Invoke(DEBT, "active", {"borrower": w.me, "state": "offered"}))["loans"]
    if loans:
        yield Invoke(DEBT, "accept", {"loan": loans[0]["loan"]})


def settle(w: Work) -> Steps:
    """Pay the instalments of one's loans that are due soon, as far as there is scrip."""
    loans = (yield Invoke(DEBT, "active", {"borrower": w.me, "state": "running"}))["loans"]
    for loan in loans[:4]:
        by_then = [part["amount"] for part in loan["instalments"]
                   if part["due_us"] <= w.now_us + _SOON_US]  # fmt: skip
        owed = min(sum(by_then) - loan["paid"], w.scrip)
        if owed > 0:
            yield Invoke(DEBT, "repay", {"loan": loan["loan"], "amount": owed})
