"""The mint and loans against a plain model, in sequences that Hypothesis makes up.

The model is a few dictionaries. After every step balances, holds, owners and supply are exactly what it
says, so nothing is made but by scores, and nobody loses anything but by its own actions or by rules
that it accepted.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from scripworld.world import Code, Delete, Done, Failed, Invoke, Refused, Write

from .market_lab import (
    BIDDING_US,
    DEBT,
    GRACE_US,
    LEDGER_ID,
    MINT,
    PEOPLE,
    PERIOD_US,
    SCRIP,
    Market,
)

STEPS_A_WORLD = 30
STEPS = int(os.environ.get("SCRIPWORLD_STEPS", "10000")) // 3
RESERVE, PER_POINT, SHARERS = 2, 3, 3
WHO = st.sampled_from(PEOPLE)
ANY = st.one_of(st.none(), st.none(), st.none(), WHO)
"""Mostly None: who would do it with success."""
WORKS = ("w0", "w1", "w2", "w3", "w4")
WORK = st.sampled_from(WORKS)
LOANS = ("l0", "l1", "l2", "l3", "l4", "l5")
LOAN = st.sampled_from(LOANS)
AMOUNT = st.one_of(st.integers(1, 15), st.integers(1, 40), st.sampled_from([100, 10_000]))
SMALL = st.integers(1, 15)
WAIT_US = st.sampled_from([1, 100, GRACE_US, 1_500, BIDDING_US, PERIOD_US])


@dataclass
class Lent:
    lender: str
    borrower: str | None
    amount: int
    parts: list[tuple[int, int]]
    collateral: str | None
    expires_us: int
    holder: str
    state: str = "offered"
    paid: int = 0

    def due(self, now_us: int) -> int:
        return max(0, sum(amount for at, amount in self.parts if at <= now_us) - self.paid)

    def left(self) -> int:
        return sum(amount for _, amount in self.parts) - self.paid

    def late_since(self) -> int:
        total = 0
        for at, amount in self.parts:
            total += amount
            if total > self.paid:
                return at
        raise AssertionError("nothing is left")


@dataclass
class Bids:
    """An auction under way: by bidder (amount, time, work)."""

    auction: int
    bids: dict[str, tuple[int, int, str]] = field(default_factory=dict)


@dataclass
class Scoring:
    winner: str
    bid: int
    price: int
    content: str


class Worlds(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.market = Market(
            shares="everyone", reserve_scrip=RESERVE, scrip_per_point=PER_POINT, sharers_max=SHARERS
        )
        self.has = dict.fromkeys(PEOPLE, SCRIP)
        self.supply = SCRIP * len(PEOPLE)
        self.owner: dict[str, str] = {}
        self.content: dict[str, str] = {}
        self.gone: set[str] = set()
        self.bound: set[str] = set()
        self.known: set[str] = set()
        self.loans: dict[str, Lent] = {}
        self.open: Bids | None = None
        self.scoring: list[Scoring] = []
        self.turn = 0
        self.texts = 0
        for n, work in enumerate(WORKS[:4]):
            self.market.write(PEOPLE[n], work, f"words of {work}")
            self.owner[work], self.content[work] = PEOPLE[n], f"words of {work}"

    def held(self, who: str) -> int:
        bids = self.open.bids.get(who, (0,))[0] if self.open else 0
        scoring = sum(one.bid for one in self.scoring if one.winner == who)
        offers = (x.amount for x in self.loans.values() if (x.lender, x.state) == (who, "offered"))
        return bids + scoring + sum(offers)

    def free(self, who: str) -> int:
        return self.has[who] - self.held(who)

    def move(self, payer: str, payee: str, amount: int) -> None:
        self.has[payer] -= amount
        self.has[payee] += amount

    def go_to(self, now_us: int) -> None:
        """Let the world and the model come to a time."""
        self.market.at(now_us)
        for loan in self.loans.values():
            if loan.state == "offered" and loan.expires_us <= now_us:
                loan.state = "expired"
        if self.open is not None and now_us >= self.open.auction * PERIOD_US + BIDDING_US:
            self.end_auction(self.open)
            self.open = None

    def step(self) -> int:
        """Let a moment pass; when it is then."""
        self.go_to(self.market.now_us + 1)
        return self.market.now_us

    def end_auction(self, auction: Bids) -> None:
        best: list[tuple[int, int, str, str]] = []
        for who, (amount, at_us, work) in auction.bids.items():
            fresh = self.content.get(work) not in self.known
            if self.owner.get(work) == who and fresh:
                best.append((-amount, at_us, who, work))
        if best:
            best.sort()
            amount, _, winner, work = best[0]
            price = -best[1][0] if len(best) > 1 else RESERVE
            self.known.add(self.content[work])
            self.scoring.append(Scoring(winner, -amount, price, self.content[work]))

    def ask(self, who: str, id: str, method: str, may: bool, /, **args: Any) -> bool:
        """Do it; the world must say what the model says."""
        answer = self.market.at_once(who, Invoke(id, method, args))
        assert isinstance(answer, Done if may else Failed), (answer, who, method, args)
        return may

    @rule(us=WAIT_US)
    def wait(self, us: int) -> None:
        self.go_to(self.market.now_us + us)

    @rule(who=WHO, to=WHO, amount=AMOUNT)
    def pay(self, who: str, to: str, amount: int) -> None:
        self.step()
        if self.ask(who, LEDGER_ID, "transfer", amount <= self.free(who), to=to, amount=amount):
            self.move(who, to, amount)

    @rule(anybody=ANY, work=WORK, to=WHO)
    def give(self, anybody: str | None, work: str, to: str) -> None:
        self.step()
        who = anybody or self.owner.get(work, "alice")
        may = self.owner.get(work) == who and work not in self.bound
        if self.ask(who, LEDGER_ID, "transfer_ownership", may, id=work, to=to):
            self.owner[work] = to

    @rule(who=WHO, work=WORK)
    def delete(self, who: str, work: str) -> None:
        self.step()
        answer = self.market.at_once(who, Delete(work))
        may = self.owner.get(work) == who and work not in self.bound
        assert isinstance(answer, Done if may else Refused), answer
        if may:
            del self.owner[work], self.content[work]
            self.gone.add(work)

    @rule(work=WORK, text=st.integers(0, 9))
    def write(self, work: str, text: int) -> None:
        """The owner writes something new, or a copy of another's; nobody's work becomes alice's."""
        self.step()
        if work not in self.gone and work not in self.bound:
            who = self.owner.setdefault(work, "alice")
            assert self.market.at_once(who, Write(work, f"text {text}")) == Done()
            self.content[work] = f"text {text}"

    @rule(anybody=ANY, work=WORK, amount=AMOUNT)
    def bid(self, anybody: str | None, work: str, amount: int) -> None:
        now_us, who = self.step(), anybody or self.owner.get(work, "bob")
        auction = now_us // PERIOD_US
        may = (
            now_us % PERIOD_US < BIDDING_US
            and amount >= RESERVE
            and self.owner.get(work) == who
            and self.content[work] not in self.known
            and (self.open is None or who not in self.open.bids)
            and amount <= self.free(who)
        )
        if self.ask(who, MINT, "bid", may, artifact=work, amount=amount):
            if self.open is None:
                self.open = Bids(auction)
            self.open.bids[who] = (amount, now_us, work)

    @rule(anybody=ANY, whose=WHO)
    def withdraw(self, anybody: str | None, whose: str) -> None:
        self.step()
        who = anybody or whose
        auction = self.open.auction if self.open else 0
        may = who == whose and self.open is not None and who in self.open.bids
        if self.ask(who, MINT, "withdraw", may, bid=f"{auction}.{whose}"):
            assert self.open is not None
            del self.open.bids[who]
            if not self.open.bids:
                self.open = None

    @precondition(lambda self: self.open is not None)
    @rule()
    def wait_for_the_end(self) -> None:
        assert self.open is not None
        self.go_to(self.open.auction * PERIOD_US + BIDDING_US)

    @precondition(lambda self: self.scoring)
    @rule(points=st.one_of(st.integers(0, 100), st.integers(-1, 101)))
    def score(self, points: int) -> None:
        self.step()
        self.market.settle({"score": points})
        self.settled(points if 0 <= points <= 100 else None)

    @precondition(lambda self: self.scoring)
    @rule(code=st.sampled_from([Code.TOOL_FAILED, Code.EFFECT_TIMEOUT, Code.EFFECT_INTERRUPTED]))
    def fail(self, code: Code) -> None:
        self.step()
        self.market.settle(None, code=code, detail="no")
        self.settled(None)

    def settled(self, points: int | None) -> None:
        told = self.scoring.pop(0)
        if points is None:
            self.known.discard(told.content)
            return
        for n in range(told.price):
            sharers = min(SHARERS, told.price)
            self.move(told.winner, PEOPLE[(self.turn + n % sharers) % len(PEOPLE)], 1)
        self.turn += min(SHARERS, told.price)
        self.has[told.winner] += points * PER_POINT
        self.supply += points * PER_POINT

    @rule(bids=st.permutations(PEOPLE), amounts=st.tuples(SMALL, SMALL, SMALL), us=WAIT_US)
    def auction(self, bids: list[str], amounts: tuple[int, ...], us: int) -> None:
        """The next one, in which some bid for something new; what becomes of it is for other rules."""
        self.go_to((self.market.now_us // PERIOD_US + 1) * PERIOD_US)
        for who, amount in zip(bids, amounts, strict=False):
            self.texts += 1
            work = next((w for w in WORKS if self.owner.get(w) == who), "w4")
            self.write(work, 100 + self.texts)
            self.bid(None, work, amount)
        self.go_to(self.market.now_us + us)

    @rule(
        who=WHO,
        loan=LOAN,
        amount=AMOUNT,
        back=st.lists(st.integers(1, 60), min_size=1, max_size=3),
        to=st.one_of(st.none(), WHO),
        pledge=st.one_of(st.none(), WORK),
    )
    def offer(self, who: str, loan: str, amount: int, back: list[int], to: Any, pledge: Any):
        self.step()
        parts = [(self.market.now_us + 1_000 * (n + 1), part) for n, part in enumerate(back)]
        may = (
            loan not in self.loans
            and to != who
            and (pledge is None or pledge in self.owner)
            and amount <= self.free(who)
        )
        args: dict[str, Any] = {"instalments": [{"due_us": at, "amount": n} for at, n in parts]}
        args |= {} if to is None else {"borrower": to}
        args |= {} if pledge is None else {"collateral": pledge}
        if self.ask(who, DEBT, "offer", may, id=loan, amount=amount, **args):
            self.loans[loan] = Lent(who, to, amount, parts, pledge, parts[0][0], who)

    @rule(who=WHO, amount=SMALL, back=st.lists(SMALL, min_size=1, max_size=3), work=WORK)
    def lend(self, who: str, amount: int, back: list[int], work: str) -> None:
        """A loan on what somebody owns, or on nothing."""
        borrower = self.owner.get(work, "dave")
        loan = next((loan for loan in LOANS if loan not in self.loans), "l0")
        self.offer(who, loan, amount, back, borrower, work if work in self.owner else None)
        self.accept(borrower, loan)

    @rule(who=WHO, to=WHO, us=WAIT_US)
    def give_all_and_be_asked(self, who: str, to: str, us: int) -> None:
        """A debtor without scrip, and everybody who holds a claim on it comes when it is due."""
        self.pay(who, to, max(1, self.free(who)))
        self.go_to(self.market.now_us + us)
        for id in sorted(self.loans):
            if self.loans[id].borrower == who:
                self.collect(None, id)

    @rule(who=WHO, loan=LOAN)
    def take_back(self, who: str, loan: str) -> None:
        self.step()
        lent = self.loans.get(loan)
        may = lent is not None and lent.state in ("offered", "expired") and lent.lender == who
        if self.ask(who, DEBT, "withdraw", may, loan=loan):
            assert lent is not None
            lent.state = "withdrawn"

    @rule(anybody=ANY, loan=LOAN)
    def accept(self, anybody: str | None, loan: str) -> None:
        self.step()
        lent = self.loans.get(loan)
        pledge = None if lent is None else lent.collateral
        meant = None if lent is None else lent.borrower or self.owner.get(pledge or "")
        who = anybody or meant or "dave"
        may = (
            lent is not None
            and lent.state == "offered"
            and lent.borrower in (None, who)
            and lent.lender != who
            and (pledge is None or (self.owner.get(pledge) == who and pledge not in self.bound))
        )
        if self.ask(who, DEBT, "accept", may, loan=loan):
            assert lent is not None
            lent.state, lent.borrower = "running", who
            self.move(lent.lender, who, lent.amount)
            self.bound |= {pledge} - {None}

    @rule(anybody=ANY, loan=LOAN, amount=AMOUNT)
    def repay(self, anybody: str | None, loan: str, amount: int) -> None:
        self.step()
        lent = self.running(loan)
        who = anybody or (lent and lent.borrower) or "alice"
        paid = 0 if lent is None else min(amount, lent.left())
        may = lent is not None and paid <= self.free(who)
        if self.ask(who, DEBT, "repay", may, loan=loan, amount=amount):
            assert lent is not None
            self.move(who, lent.holder, paid)
            self.paid(lent, paid)

    @rule(anybody=ANY, loan=LOAN)
    def collect(self, anybody: str | None, loan: str) -> None:
        now_us, lent = self.step(), self.running(loan)
        who = anybody or (lent.holder if lent else "alice")
        may = lent is not None and lent.holder == who and lent.due(now_us) > 0
        if self.ask(who, DEBT, "collect", may, loan=loan):
            assert lent is not None
            assert lent.borrower is not None
            taken = min(lent.due(now_us), self.free(lent.borrower))
            self.move(lent.borrower, who, taken)
            self.paid(lent, taken)
            is_secured = lent.state == "running" and lent.collateral is not None
            if is_secured and now_us >= lent.late_since() + GRACE_US:
                lent.state = "settled"
                self.bound.discard(lent.collateral)
                self.owner[lent.collateral] = who

    @rule(anybody=ANY, loan=LOAN, to=WHO)
    def hand_on(self, anybody: str | None, loan: str, to: str) -> None:
        self.step()
        lent = self.running(loan)
        who = anybody or (lent.holder if lent else "alice")
        may = lent is not None and lent.holder == who
        if self.ask(who, DEBT, "transfer", may, loan=loan, to=to):
            assert lent is not None
            lent.holder = to

    def running(self, loan: str) -> Lent | None:
        lent = self.loans.get(loan)
        return lent if lent is not None and lent.state == "running" else None

    def paid(self, lent: Lent, amount: int) -> None:
        lent.paid += amount
        if lent.left() == 0:
            lent.state = "paid"
            self.bound.discard(lent.collateral or "")

    @rule()
    def restart(self) -> None:
        self.market.restart()

    @invariant()
    def the_world_is_what_the_model_says(self) -> None:
        ledger = self.market.world.state.ledger
        for who in PEOPLE:
            assert ledger.balances[who] == self.has[who], who
            assert ledger.held.get(who, 0) == self.held(who), who
        assert ledger.supply == self.supply == sum(ledger.balances.values())
        by_id = self.market.world.state.artifacts.by_id
        for work in WORKS:
            assert (by_id[work].owner if work in by_id else None) == self.owner.get(work)
        for id, lent in self.loans.items():
            assert by_id[id].owner == lent.holder

    def teardown(self) -> None:
        self.market.prove()


def test_the_mint_and_loans_are_what_a_plain_model_says():
    run_state_machine_as_test(
        Worlds,
        settings=settings(
            max_examples=max(1, STEPS // STEPS_A_WORLD),
            stateful_step_count=STEPS_A_WORLD,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
