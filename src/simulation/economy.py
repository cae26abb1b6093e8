"""Owns what a run comes to as an economy: prices, earnings by source, inequality, capital and deals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import accumulate

import msgspec

from ..world import GENESIS, ArtifactWritten, Record
from .capital import Capital, CapitalSummary
from .commons import Commons, CommonsSummary
from .deals import AuctionSummary, Deals, LoansSummary, SalesSummary
from .inequality import gini
from .payments import Payment, Payments
from .series import Series

_PRICED = ("read", "invoke", "sale")
_SOURCES = {"issue": "mint", "mint": "share", "sale": "sale", "loan": "loan", "transfer": "gift"}
_PER_MILLION = 1_000_000


class PriceSummary(msgspec.Struct):
    """What was paid for one thing, each time.

    Attributes:
        how: ``read`` or ``invoke`` of the artifact, or ``sale`` of it.
        median: of an even number of payments, the lower one.
        over_time: the mean in equal parts of the run's time, None where nobody paid.
    """

    artifact: str
    how: str
    times: int
    first: int
    median: int
    last: int
    least: int
    most: int
    over_time: list[int | None]


class EarningSummary(msgspec.Struct):
    """What a principal got from one source.

    Attributes:
        source: ``service`` (reads and calls at a price), ``sale``, ``mint`` (new scrip), ``share``
            (of what auctions were won at), ``loan`` (paid back to it), ``payout`` (code gave it what
            that held) or ``gift``.
        what: the artifact, where there is one.
    """

    principal: str
    source: str
    what: str
    times: int
    scrip: int


class EconomySummary(msgspec.Struct):
    """An economy. Gini is from 0 (all have the same) to 1 (one has all), over all but genesis.

    Attributes:
        gini_start: after the first record. gini_over_time: in equal parts of the run's time.
    """

    prices: list[PriceSummary]
    earnings: list[EarningSummary]
    capital: CapitalSummary
    commons: list[CommonsSummary]
    loans: LoansSummary
    auctions: list[AuctionSummary]
    sales: SalesSummary
    gini_start: float
    gini: float
    gini_over_time: list[float]


class _Price:
    """The payments for one thing."""

    def __init__(self, first: int) -> None:
        self.first = self.last = first
        self.amounts: Counter[int] = Counter()
        self.series = Series()

    def add(self, payment: Payment) -> None:
        self.last = payment.amount
        self.amounts[payment.amount] += 1
        self.series.add(payment.now_us, payment.amount)

    def median(self) -> int:
        """The amount in the middle, or the lower of the two that are."""
        amounts = sorted(self.amounts)
        counted = accumulate(self.amounts[amount] for amount in amounts)
        middle = (self.amounts.total() + 1) // 2
        return next(
            amount for amount, up_to in zip(amounts, counted, strict=True) if up_to >= middle
        )


class Economy:
    """Goes along a log; its room grows with principals, with what is sold and the prices of it."""

    def __init__(self, payments: Payments, blob: Callable[[bytes], bytes] | None) -> None:
        """Begin. ``payments`` goes along the same log; ``blob`` gives large notes by their hash."""
        self._payments = payments
        self._capital = Capital(payments)
        self._commons = Commons(payments, blob)
        self._deals = Deals(blob)
        self._prices: dict[tuple[str, str], _Price] = {}
        self._earned: dict[tuple[str, str, str], list[int]] = {}
        self._balances: dict[str, int] = {}
        self._gini = Series()
        self._now_us = 0
        self._gini_start = 0.0

    def add(self, record: Record, paid: Iterable[Payment]) -> None:
        """Count one more record, with what was paid in it."""
        part_us = self._gini.width_us
        if record.now_us // part_us != self._now_us // part_us:
            self._sample()
        self._now_us = record.now_us
        for fact in record.facts:
            if isinstance(fact, ArtifactWritten) and fact.standing:
                self._balances.setdefault(fact.id, 0)
        paid = list(paid)
        for payment in paid:
            self._pay(payment, is_first=record.seq == 0)
        if record.seq == 0:
            self._gini_start = gini(self._wealth())
        self._capital.add(record, paid)
        self._commons.add(record)
        self._deals.add(record)

    def told(self, end_us: int) -> EconomySummary:
        """The whole, at the end of a run."""
        self._sample()
        over_time: list[float] = []
        for mean in self._gini.told(end_us):
            before = over_time[-1] if over_time else 0.0
            over_time.append(before if mean is None else mean / _PER_MILLION)
        return EconomySummary(
            prices=self._told_prices(end_us),
            earnings=[
                EarningSummary(*key, *counted)
                for key, counted in sorted(
                    self._earned.items(), key=lambda item: (-item[1][1], item[0])
                )
            ],
            capital=self._capital.told(),
            commons=self._commons.told(),
            loans=self._deals.loans(end_us),
            auctions=self._deals.auctions(),
            sales=self._deals.sales(),
            gini_start=round(self._gini_start, 6),
            gini=round(gini(self._wealth()), 6),
            gini_over_time=over_time,
        )

    def _told_prices(self, end_us: int) -> list[PriceSummary]:
        """The most paid for first."""
        told = [
            PriceSummary(
                *key,
                times=price.amounts.total(),
                first=price.first,
                median=price.median(),
                last=price.last,
                least=min(price.amounts),
                most=max(price.amounts),
                over_time=price.series.told(end_us),
            )
            for key, price in self._prices.items()
        ]
        return sorted(told, key=lambda price: (-price.times, price.artifact, price.how))

    def _pay(self, payment: Payment, *, is_first: bool) -> None:
        amount = payment.amount
        self._balances[payment.payee] += amount
        if payment.payer:
            self._balances[payment.payer] -= amount
        self._deals.paid(payment)
        source, what = self._source(payment)
        if source and not is_first and payment.payer != payment.payee:
            key = (payment.payee, source, what)
            counted = self._earned.setdefault(key, [0, 0])
            counted[0] += 1
            counted[1] += amount
        if (
            payment.how in _PRICED
            and payment.artifact
            and not self._is_a("genesis", payment.artifact)
        ):
            key_of_price = (payment.artifact, payment.how)
            self._prices.setdefault(key_of_price, _Price(amount)).add(payment)

    def _source(self, payment: Payment) -> tuple[str, str]:
        """What a payment is to its payee, and of which artifact; empty for scrip that it owes."""
        if payment.how == "loan" and payment.payer == self._payments.owner(payment.artifact):
            return "", ""
        if payment.how == "transfer" and self._is_a("code", payment.payer):
            return "payout", payment.payer
        return _SOURCES.get(
            payment.how, "service" if payment.artifact else "gift"
        ), payment.artifact

    def _is_a(self, type: str, id: str) -> bool:
        artifact = self._payments.artifacts.get(id)
        return artifact is not None and artifact.type == type

    def _sample(self) -> None:
        """Note how unequal they are after the last record; it stays so until the next one."""
        self._gini.add(self._now_us, round(gini(self._wealth()) * _PER_MILLION))

    def _wealth(self) -> list[int]:
        return [scrip for id, scrip in self._balances.items() if id != GENESIS]
