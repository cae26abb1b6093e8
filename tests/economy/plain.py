"""The economy as plain dictionaries: what the rules of every market say, without a kernel.

Every principal acts by ``act``, which does one step or nothing and says which. A step of code is a program
of steps that its service takes: all of them, or none where it is strict and one fails.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from .lab import BIDDING_US, GRACE_US, OFFER_US, PEOPLE, PERIOD_US, QUOTAS, SCRIP

SERVICES = {"agency": "alice", "broker": "bob"}
"""Principals that are code, and their owners; a call costs others 2 scrip."""
FEE, GATE_PRICE, PAY_PRICE, RESERVE, PER_POINT = 2, 3, 7, 2, 3
WORKS = ("w0", "w1", "w2", "w3")
LOANS = ("l0", "l1", "l2", "l3", "l4", "l5")
Step = tuple[Any, ...]


@dataclass
class Work:
    owner: str
    text: str
    contract: str = "private"
    bound: str = ""

    @property
    def is_bindable(self) -> bool:
        return not self.bound and self.contract != "gate"


@dataclass
class Loan:
    lender: str
    borrower: str
    amount: int
    parts: list[tuple[int, int]]
    pledge: str
    state: str = "offered"
    holder: str = ""
    paid: int = 0

    def due(self, now_us: int) -> int:
        return max(0, sum(n for at_us, n in self.parts if at_us <= now_us) - self.paid)

    def left(self) -> int:
        return sum(n for _, n in self.parts) - self.paid

    def is_late(self, now_us: int) -> bool:
        total = 0
        for at_us, amount in self.parts:
            total += amount
            if total > self.paid:
                return now_us >= at_us + GRACE_US
        return False


@dataclass
class Plain:
    """All that there is: ``sales`` are (price, buyer, end) by work, ``bids`` (amount, time, work) by bidder."""

    now_us: int = 0
    scrip: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PEOPLE, SCRIP))
    favours: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(PEOPLE, QUOTAS["favours"])
    )
    works: dict[str, Work] = field(default_factory=dict)
    sales: dict[str, tuple[int, str, int]] = field(default_factory=dict)
    auction: int = 0
    bids: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    scoring: list[tuple[str, int, int, str]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    loans: dict[str, Loan] = field(default_factory=dict)
    price_holds: list[tuple[str, int]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    def held(self, who: str) -> int:
        offers = (x.amount for x in self.loans.values() if (x.state, x.lender) == ("offered", who))
        prices = sum(n for payer, n in self.price_holds if payer == who)
        scoring = sum(bid for winner, bid, _, _ in self.scoring if winner == who)
        return self.bids.get(who, (0,))[0] + scoring + sum(offers) + prices

    def free(self, who: str) -> int:
        return self.scrip[who] - self.held(who)

    def move(self, payer: str, payee: str, amount: int) -> bool:
        if not 1 <= amount <= self.free(payer):
            return False
        self.scrip[payer] -= amount
        self.scrip[payee] = self.scrip.get(payee, 0) + amount
        return True

    def go_to(self, now_us: int) -> None:
        """Let everything happen that is due on the way."""
        self.now_us = now_us
        for loan in self.loans.values():
            if loan.state == "offered" and loan.parts[0][0] <= now_us:
                loan.state = "expired"
        for id in [id for id, sale in self.sales.items() if sale[2] and sale[2] <= now_us]:
            self.end_sale(id)
        if self.bids and now_us >= self.auction * PERIOD_US + BIDDING_US:
            self.end_auction()

    def end_auction(self) -> None:
        best = sorted(
            (-amount, at_us, who, work)
            for who, (amount, at_us, work) in self.bids.items()
            if work in self.works
            and self.works[work].owner == who
            and self.works[work].text not in self.known
        )
        self.bids = {}
        if best:
            amount, _, winner, work = best[0]
            price = -best[1][0] if len(best) > 1 else RESERVE
            self.known.add(self.works[work].text)
            self.scoring.append((winner, -amount, price, self.works[work].text))

    def score(self, points: int | None) -> None:
        """The oldest score comes in, or does not."""
        winner, _, price, text = self.scoring.pop(0)
        if points is None:
            self.known.discard(text)
            return
        assert self.move(winner, "genesis", price)
        self.scrip[winner] += points * PER_POINT

    def end_sale(self, id: str) -> None:
        del self.sales[id]
        self.works[id].bound = ""

    def price(self, who: str, work: Work, what: str) -> tuple[int, str] | None:
        """At which price, to whom, ``who`` may do it."""
        if work.contract == "gate":
            if who == "mallory":
                return None
            if who == work.owner:
                return 0, ""
            return (GATE_PRICE, "carol") if what == "read" else None
        if who == work.owner:
            return 0, ""
        if what != "read" or work.contract == "private":
            return None
        return (PAY_PRICE, work.owner) if work.contract == "pay_per_use" else (0, "")

    def act(self, who: str, step: Step) -> bool:
        """Do one step, or nothing; whether it was done."""
        name, *args = step
        done: bool = getattr(self, f"do_{name}")(who, *args)
        return done

    def do_pay(self, who: str, to: str, amount: int) -> bool:
        return self.move(who, to, amount)

    def do_favour(self, who: str, to: str, amount: int) -> bool:
        if amount > self.favours.get(who, 0):
            return False
        self.favours[who] -= amount
        self.favours[to] = self.favours.get(to, 0) + amount
        return True

    def do_write(self, who: str, id: str, text: str, contract: str) -> bool:
        work = self.works.get(id)
        if id in self.gone:
            return False
        if work is None:
            self.works[id] = Work(who, text, contract)
            return True
        if work.owner != who or self.price(who, work, "write") is None or work.bound:
            return False
        work.text, work.contract = text, contract
        return True

    def do_read(self, who: str, id: str, most: int) -> bool:
        work = self.works.get(id)
        asked = None if work is None else self.price(who, work, "read")
        if asked is None or asked[0] > most:
            return False
        return asked[0] == 0 or self.move(who, asked[1], asked[0])

    def do_delete(self, who: str, id: str) -> bool:
        work = self.works.get(id)
        if work is None or self.price(who, work, "delete") is None or work.bound:
            return False
        del self.works[id]
        self.gone.add(id)
        return True

    def do_give(self, who: str, id: str, to: str) -> bool:
        work = self.works.get(id)
        if work is None or work.owner != who or work.bound:
            return False
        work.owner = to
        return True

    def do_sell(self, who: str, id: str, price: int, buyer: str, for_us: int) -> bool:
        work = self.works.get(id)
        if work is None or work.owner != who or not work.is_bindable or buyer == who:
            return False
        self.sales[id] = price, buyer, for_us and self.now_us + for_us
        work.bound = "sale"
        return True

    def do_buy(self, who: str, id: str, most: int) -> bool:
        if id not in self.sales:
            return False
        (price, buyer, _), work = self.sales[id], self.works[id]
        if who == work.owner or buyer not in ("", who) or price > most:
            return False
        if not self.move(who, work.owner, price):
            return False
        self.end_sale(id)
        work.owner = who
        return True

    def do_cancel(self, who: str, id: str) -> bool:
        if id not in self.sales or self.works[id].owner != who:
            return False
        self.end_sale(id)
        return True

    def do_bid(self, who: str, id: str, amount: int) -> bool:
        work, auction = self.works.get(id), self.now_us // PERIOD_US
        if (
            work is None
            or self.now_us % PERIOD_US >= BIDDING_US
            or work.owner != who
            or work.text in self.known
            or who in self.bids
            or not RESERVE <= amount <= self.free(who)
        ):
            return False
        self.auction = auction
        self.bids[who] = amount, self.now_us, id
        return True

    def do_unbid(self, who: str, whose: str) -> bool:
        if who != whose or who not in self.bids:
            return False
        del self.bids[who]
        return True

    def do_lend(self, who: str, id: str, to: str, amount: int, back: int, pledge: str) -> bool:
        exists = id in self.loans or (pledge and pledge not in self.works)
        if exists or to == who or not 1 <= amount <= self.free(who):
            return False
        parts = [(self.now_us + 1_000, 1), (self.now_us + 2_000, back)]
        assert OFFER_US > 1_000, "an offer ends with its first instalment"
        self.loans[id] = Loan(who, to, amount, parts, pledge, holder=who)
        return True

    def do_borrow(self, who: str, id: str) -> bool:
        loan = self.loans.get(id)
        if loan is None or loan.state != "offered" or loan.borrower != who:
            return False
        pledged = self.works.get(loan.pledge)
        if loan.pledge and (pledged is None or pledged.owner != who or not pledged.is_bindable):
            return False
        loan.state = "running"
        assert self.move(loan.lender, who, loan.amount)
        if pledged is not None:
            pledged.bound = "loan"
        return True

    def do_unlend(self, who: str, id: str) -> bool:
        loan = self.loans.get(id)
        if loan is None or loan.lender != who or loan.state not in ("offered", "expired"):
            return False
        loan.state = "withdrawn"
        return True

    def do_repay(self, who: str, id: str, amount: int) -> bool:
        loan = self.loans.get(id)
        if loan is None or loan.state != "running":
            return False
        paid = min(amount, loan.left())
        if not self.move(who, loan.holder, paid):
            return False
        self.paid(loan, paid)
        return True

    def do_collect(self, who: str, id: str) -> bool:
        loan = self.loans.get(id)
        if loan is None or loan.state != "running" or loan.holder != who:
            return False
        if not loan.due(self.now_us):
            return False
        moved = min(loan.due(self.now_us), self.free(loan.borrower))
        if moved:
            assert self.move(loan.borrower, who, moved)
        self.paid(loan, moved)
        if loan.state == "running" and loan.pledge and loan.is_late(self.now_us):
            loan.state = "settled"
            self.works[loan.pledge].bound = ""
            self.works[loan.pledge].owner = who
        return True

    def do_hand_on(self, who: str, id: str, to: str) -> bool:
        loan = self.loans.get(id)
        if loan is None or loan.state != "running" or loan.holder != who:
            return False
        loan.holder = to
        return True

    def paid(self, loan: Loan, amount: int) -> None:
        loan.paid += amount
        if not loan.left():
            loan.state = "paid"
            if loan.pledge:
                self.works[loan.pledge].bound = ""

    def do_run(self, who: str, service: str, strict: bool, steps: tuple[Step, ...]) -> bool:
        """Code takes its steps as itself; its price waits until it is done."""
        price = 0 if who == SERVICES[service] else FEE
        if price > self.free(who):
            return False
        before = deepcopy(self.__dict__)
        self.price_holds.append((who, price))
        for step in steps:
            if not self.act(service, step) and strict:
                self.__dict__.update(before)
                return False
        self.price_holds.pop()
        return not price or self.move(who, service, price)
