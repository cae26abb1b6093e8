"""Owns how an economy is shown to a person: prices, earnings, capital, deals, inequality."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..simulation.capital import CapitalSummary
from ..simulation.commons import CommonsSummary
from ..simulation.deals import AuctionSummary, LoansSummary, SalesSummary
from ..simulation.economy import EarningSummary, EconomySummary, PriceSummary
from ..world import GENESIS
from .tables import WIDE, section, table
from .words import clean, count, span

ROWS_MAX = 8
EARNERS_MAX = 12
SOURCES_MAX = 4
TAKERS_MAX = 5
_BARS = "▁▂▃▄▅▆▇█"
_SPARKS_MAX = 16
_HOW = {"read": "to read", "invoke": "to call", "sale": "to own"}
_SOURCES = {
    "service": "{what}",
    "sale": "sale of {what}",
    "mint": "new scrip of the mint",
    "share": "shares of auctions",
    "loan": "repayment of {what}",
    "payout": "{what}",
    "gift": "gifts",
}


def show_economy(out: Console, told: EconomySummary) -> None:
    """Print what there is to tell; nothing of what did not happen."""
    section(out, "What things cost", _prices(told.prices, out.width))
    section(out, "What earnings came from", _earnings(told.earnings))
    section(out, "How services build on services", _capital(told.capital))
    section(out, "What several take from: what was left after each round", _commons(told.commons))
    section(out, "Who took of it", _takers(told.commons))
    section(out, _sales_title(told.sales), _sales(told.sales))
    section(out, "The mint's auctions, at the second price", _auctions(told.auctions))
    section(out, _loans_title(told.loans), _loans(told.loans))
    if told.earnings:
        section(out, "How unequal they are (Gini: 0 all the same, 1 one has all)", _gini(told))


def sparks(values: Sequence[float | None]) -> str:
    """Values in order as bars, the largest the highest; a gap where there is none."""
    while len(values) > _SPARKS_MAX:
        values = [_mean(values[at : at + 2]) for at in range(0, len(values), 2)]
    known = [value for value in values if value is not None]
    top = max(known, default=0)
    bars = (
        " " if value is None else _BARS[round(value / top * (len(_BARS) - 1)) if top else 0]
        for value in values
    )
    return "".join(bars)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _prices(prices: Sequence[PriceSummary], width: int) -> Table:
    extremes = [">least", ">most"] if width >= WIDE else []
    rows = table("~what", "", ">paid", ">first", ">median", ">last", *extremes, "over time")
    for one in prices[:ROWS_MAX]:
        amounts = [one.first, one.median, one.last, *([one.least, one.most] if extremes else [])]
        told = (f"{amount:,}" for amount in amounts)
        over_time = sparks(one.over_time)
        rows.add_row(one.artifact, _HOW[one.how], f"{one.times:,}×", *told, over_time)
    _rest(rows, prices)
    return rows


def _earnings(earnings: Iterable[EarningSummary]) -> Table:
    rows = table("~who", ">earned", "from", fold="from")
    earnings = [one for one in earnings if one.principal != GENESIS]
    services = {
        one.principal for one in earnings if one.principal == one.what and one.source == "service"
    }
    by_who = sorted((one for one in earnings if one.principal not in services), key=_who)
    grouped = [(who, list(ones)) for who, ones in groupby(by_who, key=_who)]
    grouped.sort(key=lambda pair: (-sum(one.scrip for one in pair[1]), pair[0]))
    for who, ones in grouped[:EARNERS_MAX]:
        ones.sort(key=lambda one: (-one.scrip, one.source, one.what))
        told = [
            f"{_SOURCES[one.source].format(what=clean(one.what))} {one.scrip:,}"
            for one in ones[:SOURCES_MAX]
        ]
        left = sum(one.scrip for one in ones[SOURCES_MAX:])
        told += [f"{count(len(ones) - SOURCES_MAX, 'other')} {left:,}"] if left else []
        rows.add_row(who, f"{sum(one.scrip for one in ones):,}", ", ".join(told))
    left_out = len(grouped) - EARNERS_MAX
    if left_out > 0:
        rows.add_row(f"and {left_out:,} more", "", "")
    return rows


def _who(earning: EarningSummary) -> str:
    return earning.principal


def _capital(capital: CapitalSummary) -> Table:
    rows = table("levels", ">paid calls", "the deepest", fold="the deepest")
    if len(capital.depths) > 1:
        for depth, calls in enumerate(capital.depths, 1):
            chain = " → ".join(capital.deepest) if depth == len(capital.depths) else ""
            rows.add_row(f"{depth}", f"{calls:,}×", chain)
    return rows


def _commons(commons: Sequence[CommonsSummary]) -> Table:
    rows = table("~of", "~rule", ">rounds", "left", "collapsed", ">taken", ">Gini")
    for one in commons[:ROWS_MAX]:
        collapsed = Text(f"in round {one.collapsed:,}" if one.collapsed else "", style="yellow")
        figures = f"{sum(one.taken.values()):,}", f"{one.gini:.2f}"
        rows.add_row(one.owner, one.rule, f"{one.rounds:,}", sparks(one.left), collapsed, *figures)
    _rest(rows, commons)
    return rows


def _takers(commons: Sequence[CommonsSummary]) -> Table:
    rows = table("~of", "by whom how much", fold="by whom how much")
    for one in commons[:ROWS_MAX]:
        takers = [f"{clean(who)} {amount:,}" for who, amount in one.taken.items()]
        if len(takers) > TAKERS_MAX:
            left = sum([*one.taken.values()][TAKERS_MAX:])
            takers[TAKERS_MAX:] = [f"{count(len(takers) - TAKERS_MAX, 'other')} {left:,}"]
        rows.add_row(one.owner, ", ".join(takers))
    return rows


def _sales_title(sales: SalesSummary) -> str:
    return (
        f"What was sold for good: {sales.sold:,} of {sales.listed:,} listed, for {sales.scrip:,} "
        f"scrip; {sales.open:,} still listed"
    )


def _sales(sales: SalesSummary) -> Table:
    rows = table("~what", "~from", "~to", ">price", ">at")
    for one in sales.latest[-ROWS_MAX:]:
        rows.add_row(one.artifact, one.seller, one.buyer, f"{one.price:,}", span(one.at_us))
    if not sales.sold and sales.listed:
        rows.add_row("nothing", "", "", "", "")
    return rows


def _auctions(auctions: Sequence[AuctionSummary]) -> Table:
    rows = table(">auction", "~won by", "~with", ">bids", ">price", ">score", ">made", "")
    left_out = auctions[:-ROWS_MAX]
    if left_out:
        made = sum(one.issued for one in left_out)
        rows.add_row("before", f"{len(left_out):,} more", "", "", "", "", f"{made:,}", "")
    for one in auctions[-ROWS_MAX:]:
        figures = (one.bids, one.price, one.score, one.issued)
        state = "" if one.state == "scored" else one.state
        told = (f"{figure:,}" for figure in figures)
        rows.add_row(f"{one.auction:,}", one.winner or "nobody", one.artifact, *told, state)
    return rows


def _loans_title(loans: LoansSummary) -> str:
    return (
        f"Loans: {loans.given:,} of {loans.offered:,} offered were taken, {loans.lent:,} scrip; "
        f"{loans.paid_back:,} came back, {loans.paid:,} paid, {loans.defaulted:,} defaulted"
    )


def _loans(loans: LoansSummary) -> Table:
    rows = table("~loan", "~from", "~to", ">scrip", ">owed", ">paid", "")
    for one in loans.latest[-ROWS_MAX:]:
        told = (f"{scrip:,}" for scrip in (one.amount, one.owed, one.paid))
        style = "yellow" if one.state in ("overdue", "settled") else ""
        state = "settled by its collateral" if one.state == "settled" else one.state
        rows.add_row(one.loan, one.lender, one.borrower, *told, Text(state, style=style))
    if not loans.given and loans.offered:
        rows.add_row("none", "", "", "", "", "", "")
    return rows


def _gini(told: EconomySummary) -> Table:
    rows = table(">at first", ">at the end", "over time")
    over_time = sparks([*told.gini_over_time])
    rows.add_row(f"{told.gini_start:.2f}", f"{told.gini:.2f}", over_time)
    return rows


def _rest(rows: Table, all_rows: Sequence[object]) -> None:
    left_out = len(all_rows) - ROWS_MAX
    if left_out > 0:
        rows.add_row(f"and {left_out:,} more")
