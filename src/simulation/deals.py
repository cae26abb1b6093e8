"""Owns what was agreed on the markets of a run: loans, auctions of the mint, and what was sold in escrow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..genesis.debt import DEBT
from ..genesis.debt_terms import Loan
from ..genesis.mint import MINT
from ..world import BlobRef, Noted, Record
from .payments import ESCROW, Payment

LATEST_MAX: Final = 100
"""Deals that are told one by one, the latest; the sums hold them all."""
_LISTING: Final = "listing/"
_AUCTION: Final = "auction/"
_LOANS: Final = ("open/", "over/")


class LoanSummary(msgspec.Struct):
    """A loan, as it stands at the end.

    Attributes:
        state: ``running``, ``paid``, ``settled`` by its collateral, or ``overdue``.
    """

    loan: str
    lender: str
    borrower: str
    amount: int
    owed: int
    paid: int
    state: str


class LoansSummary(msgspec.Struct):
    """All loans: how many, and scrip.

    Attributes:
        given: those that somebody accepted. defaulted: those settled by their collateral, and
            those of which something is due at the end and was not paid.
    """

    offered: int = 0
    given: int = 0
    lent: int = 0
    paid_back: int = 0
    paid: int = 0
    defaulted: int = 0
    latest: list[LoanSummary] = []


class AuctionSummary(msgspec.Struct):
    """An auction of the mint that ended: the second price, and the scrip that the score made."""

    auction: int
    state: str
    winner: str = ""
    artifact: str = ""
    bids: int = 0
    price: int = 0
    score: int = 0
    issued: int = 0


class ListingSummary(msgspec.Struct):
    """Something that was sold."""

    artifact: str
    seller: str
    buyer: str
    price: int
    at_us: int


class SalesSummary(msgspec.Struct):
    """What was offered for sale; ``open`` is what still is."""

    listed: int = 0
    sold: int = 0
    open: int = 0
    scrip: int = 0
    latest: list[ListingSummary] = []


class Deals:
    """Goes along a log by what the markets noted."""

    def __init__(self, blob: Callable[[bytes], bytes] | None) -> None:
        """Begin. ``blob`` gives large notes by their hash; without it they are passed over."""
        self._blob = blob
        self._loans: dict[str, Loan] = {}
        self._auctions: dict[int, AuctionSummary] = {}
        self._open: set[str] = set()
        self._sales = SalesSummary()
        self._sold: deque[ListingSummary] = deque(maxlen=LATEST_MAX)

    def add(self, record: Record) -> None:
        """Take over what a record notes."""
        for fact in record.facts:
            if isinstance(fact, Noted):
                take = self._TAKERS.get(fact.artifact)
                if take is not None:
                    take(self, fact)

    def paid(self, payment: Payment) -> None:
        """Take over a payment."""
        if payment.how == "sale":
            sold = payment.artifact, payment.payee, payment.payer, payment.amount, payment.now_us
            self._sold.append(ListingSummary(*sold))
            self._sales.sold += 1
            self._sales.scrip += payment.amount

    def loans(self, now_us: int) -> LoansSummary:
        """All loans, as they stand at a world time."""
        told = LoansSummary()
        rows: deque[LoanSummary] = deque(maxlen=LATEST_MAX)
        for id, loan in self._loans.items():
            told.offered += 1
            if loan.state in ("offered", "withdrawn"):
                continue
            is_late = loan.state == "running" and loan.due(now_us) > 0
            told.given += 1
            told.lent += loan.terms.amount
            told.paid_back += loan.paid
            told.paid += loan.state == "paid"
            told.defaulted += is_late or loan.state == "settled"
            terms, state = loan.terms, "overdue" if is_late else loan.state
            scrip = terms.amount, terms.owed, loan.paid
            rows.append(LoanSummary(id, terms.lender, loan.borrower, *scrip, state))
        told.latest = list(rows)
        return told

    def auctions(self) -> list[AuctionSummary]:
        """The auctions that had bids, in order."""
        return [self._auctions[auction] for auction in sorted(self._auctions)]

    def sales(self) -> SalesSummary:
        """What was listed and sold."""
        told = {"open": len(self._open), "latest": list(self._sold)}
        return msgspec.structs.replace(self._sales, **told)

    def _listing(self, fact: Noted) -> None:
        if fact.key.startswith(_LISTING):
            if fact.value is None:
                self._open.discard(fact.key)
            else:
                self._sales.listed += 1
                self._open.add(fact.key)

    def _auction(self, fact: Noted) -> None:
        value = self._value(fact)
        if fact.key.startswith(_AUCTION) and value is not None:
            auction = int(fact.key.removeprefix(_AUCTION))
            self._auctions[auction] = msgspec.convert({**value, "auction": auction}, AuctionSummary)

    def _loan(self, fact: Noted) -> None:
        value = self._value(fact)
        if fact.key.startswith(_LOANS) and value is not None:
            self._loans[fact.key.partition("/")[2]] = msgspec.convert(value, Loan)

    def _value(self, fact: Noted) -> Any:
        value = fact.value
        if not isinstance(value, BlobRef):
            return value
        return None if self._blob is None else msgspec.msgpack.decode(self._blob(value.digest))

    _TAKERS: Final[dict[str, Callable[[Deals, Noted], None]]] = {
        ESCROW: _listing,
        MINT: _auction,
        DEBT: _loan,
    }
