"""The scenario `bazaar` from end to end: prices form, services build on services, and a thief gets nothing."""

import io
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

import scripworld
from scripworld import Run
from scripworld.interfaces.render import show_summary
from scripworld.interfaces.tables import console
from scripworld.simulation.payments import Payment, Payments
from scripworld.simulation.report import Summary
from scripworld.world import (
    Code,
    Done,
    Envelope,
    Failed,
    Invoke,
    OwnershipTransferred,
    Record,
    Refused,
    ScripIssued,
    Settle,
    Write,
)

from .lab import conserved, records_of
from .run_bazaar import RUN_ID, settings

ROOT = Path(__file__).parents[2]
SEEDS = (1, 2, 3)
THIEF = "thief"


class Told:
    """A run with everything that its tests look at."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.records: list[Record] = list(run.records())
        self.summary: Summary = run.summary()
        payments = Payments()
        self.payments: list[Payment] = [
            payment for record in self.records for payment in payments.of(record)
        ]

    def actions(self, principal: str) -> list[Record]:
        return [
            record
            for record in self.records
            if isinstance(record.input, Envelope) and record.input.principal == principal
        ]

    def earned(self, principal: str, source: str) -> int:
        return sum(
            one.scrip
            for one in self.summary.economy.earnings
            if (one.principal, one.source) == (principal, source)
        )


@pytest.fixture(scope="module", params=SEEDS)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("bazaar")
    return Told(scripworld.run("bazaar", seed=request.param, settings=settings(folder)))


def test_it_comes_to_its_end_and_is_proved(told):
    proof = told.run.verify(conserved)

    assert told.run.ended == "until"
    assert proof.decided
    assert {one.id for one in told.summary.principals if one.stopped} == {"patron"}  # its script


def test_a_checker_that_shares_no_code_finds_nothing_wrong(told):
    program = [sys.executable, str(ROOT / "scripts" / "audit"), str(told.run.folder)]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")


def test_services_pay_services_three_levels_deep_and_deeper(told):
    capital = told.summary.economy.capital
    paid = defaultdict(set)  # by record: who paid which service
    for payment in told.payments:
        if payment.how == "invoke":
            paid[payment.seq].add((payment.payer, payment.artifact))
    kinds = [artifact.rpartition("_")[0] for artifact in capital.deepest]

    assert len(capital.depths) >= 4
    assert all(calls > 10 for calls in capital.depths[:4])
    assert kinds[-4:] == ["title", "keywords", "tally", "words"]
    links = set(zip(capital.deepest, capital.deepest[1:], strict=False))
    assert any(links <= each for each in paid.values())


def test_one_service_is_an_input_of_several(told):
    services = {one.id for one in told.summary.principals if one.is_service}
    customers = defaultdict(set)
    for payment in told.payments:
        if payment.how == "invoke" and payment.payer in services:
            customers[payment.artifact].add(payment.payer)

    assert max(len(each) for each in customers.values()) >= 3


def test_prices_form_move_with_demand_and_rise_with_what_goes_into_a_service(told):
    prices = defaultdict(list)
    for price in told.summary.economy.prices:
        if price.how == "invoke" and "_" in price.artifact:
            prices[price.artifact.rpartition("_")[0]].append(price)
    moved = [p for each in prices.values() for p in each if p.least < p.most]
    usual = {kind: min(p.median for p in each) for kind, each in prices.items()}

    assert prices.keys() == {"words", "tally", "keywords", "title", "abstract"}
    assert all(len(each) >= 2 for kind, each in prices.items() if kind in ("words", "tally"))
    assert len(moved) >= 6
    assert any(p.last > p.first for p in moved)
    assert any(p.last < p.first for p in moved)
    assert usual["words"] < usual["tally"] < usual["keywords"] < usual["title"] < usual["abstract"]


def test_nobody_pays_more_than_it_said(told):
    paid = Counter()
    for payment in told.payments:
        paid[payment.seq, payment.payer] += payment.amount
    most = {
        (record.seq, record.input.principal): record.input.price_max_scrip
        for record in told.records
        if isinstance(record.input, Envelope) and record.input.price_max_scrip is not None
    }

    assert len(most.keys() & paid.keys()) > 100
    assert all(paid[key] <= most[key] for key in most)


def test_the_thief_tries_everything_and_never_has_more_than_it_was_given(told):
    balance = begun = given = 0
    for payment in told.payments:
        if payment.payee == THIEF:
            balance += payment.amount
            begun += payment.amount if payment.seq == 0 else 0
            given += payment.amount if payment.seq and payment.how in ("mint", "transfer") else 0
        if payment.payer == THIEF:
            balance -= payment.amount
        assert 0 <= balance <= begun + given
    gained = [
        fact.id
        for record in told.records
        for fact in record.facts
        if isinstance(fact, OwnershipTransferred) and fact.owner == THIEF
    ]
    tried = Counter(
        (action.id, action.method)
        for record in told.actions(THIEF)
        if isinstance(action := record.input.action, Invoke)
        and isinstance(record.answer, Refused | Failed)
    )
    codes = {r.answer.code for r in told.actions(THIEF) if isinstance(r.answer, Refused | Failed)}

    assert gained == []
    assert told.earned(THIEF, "sale") == told.earned(THIEF, "service") == 0
    attacks = {
        *("cancel", "purchase", "list_for_sale", "transfer_ownership", "collect"),
        *("transfer", "accept", "withdraw", "spawn_principal"),
    }
    assert len({method for _, method in tried} & attacks) >= len(attacks) - 1  # it has no plan
    assert codes >= {Code.PERMISSION_DENIED, Code.ID_TAKEN, Code.ENCUMBERED}


def test_a_name_that_looks_like_anothers_sells_nothing_and_is_paid_nothing(told):
    likenesses = {
        record.input.action.id
        for record in told.actions(THIEF)
        if isinstance(record.input.action, Write) and isinstance(record.answer, Done)
    }

    assert likenesses
    assert all(id.endswith(".") for id in likenesses)
    assert not any(likenesses & {p.artifact, p.payee} for p in told.payments)


def test_scrip_is_made_by_scores_alone_and_a_copy_is_worth_next_to_nothing(told):
    made = 0
    for record in told.records[1:]:
        for fact in record.facts:
            if isinstance(fact, ScripIssued):
                assert isinstance(record.input, Settle)
                assert fact.amount == 3 * record.input.result.value["score"]
                made += fact.amount
    scores = [one.score for one in told.summary.economy.auctions if one.state == "scored"]

    assert made == told.summary.supply - sum(p.scrip_start for p in told.summary.principals)
    assert max(scores) > 50
    assert min(scores) < 5
    assert {one.winner for one in told.summary.economy.auctions} <= {"poet", "gambler"}


def test_one_loan_is_paid_back_and_of_one_the_collateral_is_collected_and_sold(told):
    loans = {loan.borrower: loan for loan in told.summary.economy.loans.latest}
    owners = [
        fact.owner
        for record in told.records
        for fact in record.facts
        if isinstance(fact, OwnershipTransferred) and fact.id == "vineyard"
    ]

    assert (loans["emil"].state, loans["emil"].paid) == ("paid", loans["emil"].owed)
    assert loans["fritz"].state == "settled"
    assert loans["fritz"].paid < loans["fritz"].owed
    assert owners[0] == "lender"
    assert told.earned("lender", "loan") > 0


def test_services_are_bought_for_good_and_go_on_earning_for_who_bought_them(told):
    sold = told.summary.economy.sales.latest
    services = {one.artifact for one in sold if "_" in one.artifact}
    bought = {(one.buyer, one.artifact) for one in sold}
    paid_out = {
        (one.principal, one.what)
        for one in told.summary.economy.earnings
        if one.source == "payout" and one.scrip > 0
    }

    assert len(services) >= 3
    assert {one.seller for one in sold} >= {"dora", "apprentice"}
    assert {who.partition("_")[0] for who, _ in bought} >= {"speculator", "investor"}
    assert bought & paid_out


def test_an_agent_sells_itself_and_works_for_who_bought_it(told):
    sales = told.summary.economy.sales.latest
    [sale] = [one for one in sales if one.artifact == "apprentice"]
    earned = sum(
        one.scrip
        for one in told.summary.economy.earnings
        if one.principal == "apprentice" and one.source == "payout"
    )
    wages = sum(p.amount for p in told.payments if (p.payer, p.payee) == ("apprentice", "patron"))

    assert (sale.seller, sale.buyer, sale.price) == ("apprentice", "patron", 180)
    assert 0 < wages <= earned / 2


def test_who_bought_time_reads_the_news_and_nobody_else(told):
    passes = Counter(p.payer for p in told.payments if p.artifact == "pass.herald")
    readers = Counter(
        record.input.principal
        for record in told.records
        if isinstance(record.input, Envelope)
        and getattr(record.input.action, "id", "") == "news.herald"
        and isinstance(record.answer, Done)
        and record.input.principal not in ("herald", THIEF)
    )

    assert len(passes) >= 5
    assert readers.keys() <= passes.keys()
    assert all(p.amount == 18 for p in told.payments if p.artifact == "pass.herald")


@pytest.mark.parametrize("width", [80, 120])
def test_the_summary_fits_a_terminal_and_tells_the_story(told, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()

    show_summary(console(stream), told.summary)

    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    for title in (
        *("Who earned what from whom", "What things cost", "What earnings came from"),
        *("How services build on services", "What was sold for good", "The mint's auctions"),
        *("Loans: 2 of", "How unequal they are"),
    ):
        assert f"\n{title}" in text
    people = text.partition("Who earned")[2].partition("\n\n")[0]
    assert "\n  thief" in people
    assert "\n  words_" not in people  # services have a table of their own


def test_a_bazaar_that_is_killed_and_resumed_is_the_one_that_was_not(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    head = scripworld.run("bazaar", seed=4, settings=settings(whole), run_id=RUN_ID).summary().head
    program = [sys.executable, "-m", "tests.simulation.run_bazaar", str(cut), "4", "900"]
    killed = subprocess.run(program, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=120, check=False)
    left = records_of(cut / RUN_ID)
    resumed = scripworld.resume(cut / RUN_ID)

    assert killed.returncode == -signal.SIGKILL
    assert 900 <= left < resumed.summary().records
    assert resumed.summary().head == head
    assert resumed.verify(conserved).decided
