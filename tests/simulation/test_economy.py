"""What a run comes to as an economy: small worlds in which every figure is known."""

import io
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from scripworld.genesis import ESCROW, LEDGER, STORE
from scripworld.genesis.debt import DEBT, debt_native
from scripworld.genesis.debt_terms import DebtFigures
from scripworld.genesis.memory import MEMORY, MemoryFigures, memory_native
from scripworld.genesis.mint import MINT, mint_native
from scripworld.genesis.mint_auction import MintFigures
from scripworld.interfaces.economy import show_economy, sparks
from scripworld.interfaces.tables import console
from scripworld.simulation.deals import Deals, LoanSummary
from scripworld.simulation.economy import EarningSummary, EconomySummary
from scripworld.simulation.inequality import gini
from scripworld.simulation.report import Summary, summarize
from scripworld.simulation.series import BUCKETS_MAX, Series
from scripworld.world import (
    BlobRef,
    Contract,
    Done,
    Edit,
    EffectResult,
    Envelope,
    Invoke,
    Noted,
    PrincipalSpec,
    Read,
    Tool,
    World,
    Write,
    digest_of,
    verify,
)

from ..genesis.conftest import QUOTAS, Calls, Log, Stage, configured

SECOND_US = 1_000_000
MINTS = MintFigures(
    period_us=10 * SECOND_US,
    bidding_us=8 * SECOND_US,
    reserve_scrip=1,
    scrip_per_point=2,
    shares="bidders",
    sharers_max=10,
    bids_max=10,
    remembered=4,
)


class Town(Stage):
    """A world with every market."""

    def __init__(self) -> None:
        figures = (
            mint_native(MINTS),
            debt_native(DebtFigures(100 * SECOND_US, SECOND_US, 8)),
            memory_native(MemoryFigures("hashing", 100, 200)),
        )
        self.natives = {native.id: native for native in (LEDGER, STORE, ESCROW, *figures)}
        self.log = Log()
        people = tuple(PrincipalSpec(id, 100, QUOTAS) for id in ("ann", "ben", "cas"))
        config = configured(principals=people, artifacts=(), costs={})
        self.world = World.begin(config, self.natives, self.log, Calls(), "test")
        self.now_us = 0

    def act(self, principal: str, action: Any) -> Any:
        return self.world.apply(Envelope(principal, action), self.now_us)

    def at(self, seconds: int) -> None:
        self.now_us = seconds * SECOND_US
        self.world.advance(self.now_us)

    def sell(self, who: str, id: str, price: int, content: str = "words") -> None:
        self.write(who, id, content, contract=Contract("pay_per_use", price))

    def service(self, who: str, id: str, price: int, *calls: list[Any]) -> None:
        """Make code that holds scrip of its own, and pays what it calls with that."""
        self.done(who, "genesis_ledger", "spawn_principal", id=id)
        self.done(who, "genesis_ledger", "transfer", to=id, amount=20)
        contract = Contract("pay_per_use", price)
        interface = (Tool("run"),)
        text = json.dumps([*calls, [False, "genesis_store", "count", {}]])
        written = Write(id, text, type="code", interface=interface, contract=contract)
        assert self.act(who, written) == Done()

    def summary(self) -> Summary:
        return summarize(
            self.log.records(), self.log.get_blob, run="r", scenario="s", ended="", real_s=0.0
        )

    def economy(self) -> EconomySummary:
        return self.summary().economy


@pytest.fixture
def town() -> Iterator[Town]:
    made = Town()
    yield made
    assert verify(made.log.records(), made.natives, made.log).seq == made.world.state.seq
    assert made.summary().conserved


def earned(told: EconomySummary) -> dict[tuple[str, str, str], tuple[int, int]]:
    return {(e.principal, e.source, e.what): (e.times, e.scrip) for e in told.earnings}


# Prices.


def test_prices_are_told_over_time(town: Town):
    for second, price in ((0, 4), (1, 9), (2, 2), (3, 2)):
        town.at(second)
        town.sell("ann", "map", price)
        town.act("ben", Read("map"))

    (told,) = town.economy().prices

    assert (told.artifact, told.how, told.times) == ("map", "read", 4)
    assert (told.first, told.median, told.last, told.least, told.most) == (4, 2, 2, 2, 9)
    assert [mean for mean in told.over_time if mean] == [4, 9, 2, 2]
    assert len(told.over_time) == 31


def test_a_recall_that_is_paid_for_is_a_read_of_the_memory(town: Town):
    town.done("ann", MEMORY, "remember", text="apples are red")
    content = town.act("ann", Read("ann.memory")).result
    text = town.world.text(content)
    town.act("ann", Write("ann.memory", text, contract=Contract("pay_per_use", 3)))
    town.done("ben", MEMORY, "recall", query="apples", memory="ann.memory")

    told = town.economy()

    assert [(p.artifact, p.how, p.first) for p in told.prices] == [("ann.memory", "read", 3)]
    assert earned(told) == {("ann", "service", "ann.memory"): (1, 3)}


def test_time_is_told_in_at_most_so_many_parts():
    series = Series()
    for now_us in range(0, 100 * SECOND_US, SECOND_US):
        series.add(now_us, now_us // SECOND_US)

    told = series.told(99 * SECOND_US)

    assert BUCKETS_MAX // 2 <= len(told) <= BUCKETS_MAX
    assert told == sorted(told, key=lambda mean: mean or 0)
    assert Series().told(0) == [None]


# Sales, loans, auctions.


def test_what_is_sold_for_good_is_told_with_its_price(town: Town):
    town.write("ann", "map")
    town.write("ann", "song")
    town.write("ann", "tale")
    for id, price in (("map", 30), ("song", 50), ("tale", 60)):
        town.done("ann", "genesis_escrow", "list_for_sale", artifact=id, price=price)
    town.at(2)
    town.done("ben", "genesis_escrow", "purchase", artifact="map")
    town.done("ann", "genesis_escrow", "cancel", artifact="tale")

    summary = town.summary()

    sales = summary.economy.sales
    assert (sales.listed, sales.sold, sales.open, sales.scrip) == (3, 1, 1, 30)
    (sold,) = sales.latest
    assert (sold.artifact, sold.seller, sold.buyer, sold.price) == ("map", "ann", "ben", 30)
    assert sold.at_us == 2 * SECOND_US
    assert earned(summary.economy) == {("ann", "sale", "map"): (1, 30)}
    (sale,) = summary.sales
    assert (sale.artifact, sale.owner, sale.sold, sale.scrip) == ("map", "ben", 1, 30)
    assert (summary.transfers, summary.transferred) == (0, 0)


def offer(town: Town, id: str, amount: int, owed: int, due_s: int, **more: Any) -> None:
    due = [{"due_us": due_s * SECOND_US, "amount": owed}]
    town.done("ann", DEBT, "offer", id=id, amount=amount, instalments=due, **more)


def test_loans_are_told_as_they_stand(town: Town):
    town.write("cas", "tale")
    offer(town, "good", 20, 25, 5)
    offer(town, "bad", 30, 40, 5)
    offer(town, "lost", 10, 99, 5, collateral="tale")
    offer(town, "later", 5, 6, 500)
    offer(town, "unwanted", 1, 2, 5)
    town.done("ben", DEBT, "accept", loan="good")
    for id in ("bad", "lost", "later"):
        town.done("cas", DEBT, "accept", loan=id)
    town.done("ben", DEBT, "repay", loan="good", amount=25)
    town.done("cas", "genesis_ledger", "transfer", to="ben", amount=145)
    town.at(5)
    assert town.done("ann", DEBT, "collect", loan="lost")["moved"] == 0
    town.at(7)
    town.done("ann", DEBT, "collect", loan="lost")

    told = town.economy().loans

    assert (told.offered, told.given, told.lent, told.paid_back) == (5, 4, 65, 25)
    assert (told.paid, told.defaulted) == (1, 2)
    assert {loan.loan: loan.state for loan in told.latest} == {
        "good": "paid",
        "bad": "overdue",
        "lost": "settled",
        "later": "running",
    }
    assert told.latest[0] == LoanSummary("good", "ann", "ben", 20, 25, 25, "paid")
    assert earned(town.economy()) == {
        ("ann", "loan", "good"): (1, 25),
        ("ben", "gift", ""): (1, 145),
    }


def test_auctions_are_told_with_their_second_price(town: Town):
    for who, amount in (("ann", 50), ("ben", 20), ("cas", 10)):
        town.write(who, f"work_of_{who}", f"a work of {who}")
        town.done(who, MINT, "bid", artifact=f"work_of_{who}", amount=amount)
    town.at(8)
    effect = next(iter(town.world.state.effects))
    town.world.settle(effect, EffectResult({"score": 40, "print": []}), 9 * SECOND_US)

    summary = town.summary()

    (told,) = summary.economy.auctions
    assert (told.auction, told.winner, told.artifact, told.bids) == (0, "ann", "work_of_ann", 3)
    assert (told.price, told.score, told.issued, told.state) == (20, 40, 80, "scored")
    assert earned(summary.economy) == {
        ("ann", "mint", MINT): (1, 80),
        ("ben", "share", MINT): (1, 10),
        ("cas", "share", MINT): (1, 10),
    }
    assert summary.transfers == 0


def test_a_large_note_is_read_by_its_hash_and_passed_over_without_its_content():
    data = msgspec.msgpack.encode({"state": "void"})
    fact = Noted(MINT, "auction/0000000000000007", BlobRef(digest_of(data)))
    with_blobs, without = Deals({digest_of(data): data}.__getitem__), Deals(None)
    for deals in (with_blobs, without):
        deals._auction(fact)

    assert [one.auction for one in with_blobs.auctions()] == [7]
    assert without.auctions() == []


# Capital.


def test_services_that_pay_services_are_levels_of_capital(town: Town):
    town.sell("cas", "data", 1)
    town.service("cas", "parser", 2, [False, "reader", "run", {}])
    town.service("cas", "reader", 1)
    town.service("ben", "indexer", 5, *[[False, "parser", "run", {}]] * 2)
    town.service("ben", "searcher", 9, [False, "indexer", "run", {}], [False, "reader", "run", {}])
    town.service("ann", "free", 0, [False, "reader", "run", {}])

    town.done("ann", "searcher", "run")
    town.done("ann", "reader", "run")
    town.done("ben", "free", "run")
    town.act("ann", Read("data"))

    told = town.economy()
    assert told.capital.deepest == ["searcher", "indexer", "parser", "reader"]
    assert told.capital.depths == [2, 1, 0, 1]
    prices = {price.artifact: price.times for price in told.prices}
    assert prices == {"reader": 5, "parser": 2, "indexer": 1, "searcher": 1, "data": 1}
    assert earned(told)["indexer", "service", "indexer"] == (1, 5)


def test_what_failed_is_no_capital(town: Town):
    town.service("ben", "broken", 5, [False, "nobody", "run", {}])
    town.act("ben", Write("broken", json.dumps([[False, "nobody", "run", {}]])))
    town.ask("ann", "broken", "run")

    assert town.economy().capital.depths == []


# What several take from.


def pool(town: Town, **told: Any) -> None:
    town.write("ben", "lake", json.dumps(told), type="commons", contract=Contract("freeware"))


def test_a_commons_is_told_round_by_round(town: Town):
    pool(town, round=1, stock=90, caught={"ann": 10}, nets="whatever else")
    pool(town, round=1, stock=80, caught={"ann": 10, "cas": 10})
    town.act("ben", Edit("lake", '"stock": 80', '"stock": 70'))
    pool(town, round=3, stock=9, caught={"ann": 20, "cas": 60}, collapsed=3)

    (told,) = town.economy().commons

    assert (told.artifact, told.owner, told.rule) == ("lake", "ben", "private")
    assert (told.rounds, told.collapsed, told.left) == (3, 3, [70, None, 9])
    assert told.taken == {"cas": 60, "ann": 20}
    assert [*told.taken] == ["cas", "ann"]
    assert told.gini == pytest.approx(0.25)


@pytest.mark.parametrize(
    "content",
    [
        "a lake",
        "[]",
        '{"round": 1}',
        '{"round": -1, "stock": 5}',
        '{"round": 1, "stock": -5}',
        '{"round": 1000000000, "stock": 5}',
        '{"round": 1, "stock": 5, "caught": {"ann": "much"}}',
        '{"round": 1, "stock": 5, "x": ' + "[" * 5_000,
    ],
)
def test_what_only_says_that_it_is_a_commons_is_passed_over(town: Town, content: str):
    town.write("ann", "lake", content, type="commons")

    assert town.economy().commons == []


def test_a_large_commons_is_read_by_its_hash_and_passed_over_without_its_content(town: Town):
    pool(town, round=1, stock=90, caught={f"fisher_{n}": 1 for n in range(200)})
    rows = town.log.records
    more: dict[str, Any] = {"run": "r", "scenario": "s", "ended": "", "real_s": 0.0}

    assert len(town.economy().commons[0].taken) == 200
    assert summarize(rows(), **more).economy.commons == []
    assert "5 others 5" not in shown(town.economy())
    assert "195 others 195" in shown(town.economy())


def test_a_commons_is_shown_with_when_it_collapsed(town: Town):
    pool(town, round=1, stock=90, caught={"ann": 1_000})
    pool(town, round=2, stock=0, caught={"ann": 1_090}, collapsed=2)

    told = shown(town.economy())

    for piece in ("█▁", "in round 2", "1,090", "ann 1,090", "private"):
        assert piece in told


def test_what_code_pays_of_what_it_holds_is_a_payout(town: Town):
    town.service(
        "ben", "coop", 0, [False, "genesis_ledger", "transfer", {"to": "cas", "amount": 7}]
    )

    town.done("ann", "coop", "run")

    assert earned(town.economy())["cas", "payout", "coop"] == (1, 7)
    assert "coop 7" in shown(town.economy())


# Inequality.


@pytest.mark.parametrize(
    ("amounts", "wanted"),
    [
        ([], 0),
        ([0, 0], 0),
        ([5, 5, 5], 0),
        ([0, 0, 0, 8], 0.75),
        ([1, 3], 0.25),
    ],
)
def test_gini_is_half_the_mean_difference_over_the_mean(amounts, wanted):
    assert gini(amounts) == pytest.approx(wanted)


def test_gini_is_told_at_the_end_and_over_time(town: Town):
    town.at(1)
    town.done("ann", "genesis_ledger", "transfer", to="cas", amount=100)
    town.at(2)
    town.done("ben", "genesis_ledger", "transfer", to="cas", amount=100)
    town.at(3)
    town.done("ann", "genesis_store", "count")

    told = town.economy()

    assert told.gini_start == 0
    assert told.gini == pytest.approx(2 / 3, abs=1e-6)
    assert told.gini_over_time[0] == 0
    assert told.gini_over_time[12] == pytest.approx(4 / 9, abs=1e-6)
    assert told.gini_over_time[-1] == pytest.approx(2 / 3, abs=1e-6)


# How it is shown.


def shown(told: EconomySummary, width: int = 120) -> str:
    out = io.StringIO()
    screen = console(out)
    screen.width = width
    show_economy(screen, told)
    return out.getvalue()


def test_nothing_is_shown_of_what_did_not_happen(town: Town):
    assert shown(town.economy()) == ""


def test_an_economy_is_shown_in_tables(town: Town):
    test_services_that_pay_services_are_levels_of_capital(town)
    town.write("ann", "map")
    town.done("ann", "genesis_escrow", "list_for_sale", artifact="map", price=30)
    offer(town, "loan", 20, 25, 5)

    told = shown(town.economy())

    for line in (
        "searcher → indexer → parser → reader",
        "What was sold for good: 0 of 1 listed",
        "Loans: 0 of 1 offered were taken",
        "to call",
        "Gini",
    ):
        assert line in told


def test_the_whole_is_json(town: Town):
    test_auctions_are_told_with_their_second_price(town)

    told = json.loads(json.dumps(town.summary().to_dict()))

    assert told["economy"]["auctions"][0]["price"] == 20
    assert "second price" in shown(town.economy())


def test_sparks_are_as_high_as_their_figures():
    assert sparks([0, 50, None, 100]) == "▁▅ █"
    assert sparks([]) == ""
    assert sparks([0, 0]) == "▁▁"
    assert len(sparks([*range(32)])) == 16


def test_who_gets_from_many_sources_is_told_with_the_largest():
    rows = [EarningSummary("ann", "service", f"s{n}", 1, 10 - n) for n in range(6)]
    empty = Town().economy()
    empty.earnings = rows

    told = shown(empty)

    assert "s0 10, s1 9, s2 8, s3 7, 2 others 11" in told


def test_an_invocation_of_a_loan_that_is_not_there_is_no_loan(town: Town):
    town.act("ann", Invoke(DEBT, "repay", {"loan": "nowhere", "amount": 5}))

    assert town.economy().loans.offered == 0
