"""genesis_debt: a loan from its offer to its end, and all that lenders, borrowers and thieves try."""

from typing import Any

import msgspec
import pytest

from scripworld.genesis.debt_terms import LIFE, STATES
from scripworld.world import (
    Code,
    Contract,
    Delete,
    Done,
    Edit,
    Envelope,
    Invoke,
    Read,
    Refused,
    Write,
)

from .market_lab import DEBT, ESCROW_ID, GRACE_US, LEDGER_ID, PEOPLE, Market

DUE_US = 1_000


def part(amount: int, due_us: int = DUE_US) -> dict[str, int]:
    return {"due_us": due_us, "amount": amount}


def offer(market: Market, amount: int = 50, back: int = 60, **args: Any) -> Any:
    args = {"instalments": [part(back)], **args}
    return market.done("alice", DEBT, "offer", id="l1", amount=amount, **args)


def lent(market: Market, amount: int = 50, back: int = 60, **args: Any) -> Any:
    """A loan that runs, from alice to bob."""
    offer(market, amount, back, **args)
    return market.done("bob", DEBT, "accept", loan="l1")


@pytest.fixture
def market() -> Any:
    market = Market()
    market.write("bob", "house", "a house")
    yield market
    market.prove()


class TestOffer:
    def test_holds_the_amount_and_makes_an_artifact_of_the_terms(self, market: Market):
        told = offer(market, borrower="bob", collateral="house")

        assert (told["state"], told["holder"], told["borrower"]) == ("offered", "alice", "bob")
        assert market.held("alice") == [50]
        answer = market.act("carol", Read("l1"))
        assert isinstance(answer, Done)
        terms = msgspec.json.decode(answer.result)
        assert (terms["lender"], terms["amount"], terms["collateral"]) == ("alice", 50, "house")
        loan = market.world.state.artifacts.by_id["l1"]
        assert (loan.type, loan.owner, loan.encumbered_by) == ("loan", "alice", DEBT)

    def test_ends_by_its_time_and_the_scrip_is_free(self, market: Market):
        offer(market, expires_us=DUE_US)

        market.at(DUE_US)

        assert market.held("alice") == [0]
        market.fails(Code.NOT_OPEN, "bob", DEBT, "accept", loan="l1")
        assert market.done("alice", DEBT, "withdraw", loan="l1") == 100
        assert market.act("alice", Delete("l1")) == Done()

    def test_ends_by_its_time_also_before_the_world_looked(self, market: Market):
        offer(market, expires_us=DUE_US)
        market.now_us = DUE_US

        failed = market.world.apply(_asking("bob", "accept", loan="l1"), DUE_US)

        assert failed.code is Code.NOT_OPEN
        assert market.scrip("alice", "bob") == [100, 100]

    def test_is_withdrawn_by_the_lender_once(self, market: Market):
        offer(market)

        market.fails(Code.PERMISSION_DENIED, "bob", DEBT, "withdraw", loan="l1")
        assert market.done("alice", DEBT, "withdraw", loan="l1") == 100
        market.fails(Code.NOT_OPEN, "alice", DEBT, "withdraw", loan="l1")
        market.fails(Code.NOT_OPEN, "bob", DEBT, "accept", loan="l1")
        assert market.done("alice", DEBT, "check", loan="l1")["state"] == "withdrawn"

    def test_needs_funds(self, market: Market):
        args = {"id": "l1", "amount": 101, "instalments": [part(1)]}

        market.fails(Code.SCRIP_INSUFFICIENT, "alice", DEBT, "offer", **args)

    def test_of_what_another_offer_holds_is_none(self, market: Market):
        offer(market, amount=60)
        args = {"id": "l2", "amount": 41, "instalments": [part(1)]}

        market.fails(Code.SCRIP_INSUFFICIENT, "alice", DEBT, "offer", **args)

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"id": "house"}, Code.ID_TAKEN),
            ({"id": "bob"}, Code.ID_TAKEN),
            ({"id": "gone"}, Code.ID_TAKEN),
            ({"id": "No Id"}, Code.ID_INVALID),
            ({"borrower": "nobody"}, Code.NO_STANDING),
            ({"borrower": "house"}, Code.NO_STANDING),
            ({"borrower": "alice"}, Code.PERMISSION_DENIED),
            ({"collateral": "nowhere"}, Code.NOT_FOUND),
            ({"collateral": "l1"}, Code.NOT_FOUND),
            ({"instalments": [part(1, 9), part(1, 9)]}, Code.DEFINITION_INVALID),
            ({"instalments": [part(1, 900), part(1, 800)]}, Code.DEFINITION_INVALID),
            ({"instalments": [part(1, 1)]}, Code.DEFINITION_INVALID),
            ({"instalments": [part(1, 900 + n) for n in range(5)]}, Code.DEFINITION_INVALID),
            ({"expires_us": 1}, Code.DEFINITION_INVALID),
            ({"expires_us": DUE_US + 1}, Code.DEFINITION_INVALID),
        ],
    )
    def test_of_terms_that_cannot_be_is_none(self, market: Market, changes: Any, code: Code):
        market.write("bob", "gone")
        market.act("bob", Delete("gone"))
        args = {"id": "l1", "amount": 5, "instalments": [part(1)], **changes}

        market.fails(code, "alice", DEBT, "offer", **args)

    @pytest.mark.parametrize(
        "changes",
        [
            *({"amount": 0}, {"amount": -1}, {"amount": 2**53 + 1}, {"amount": 2**200}),
            *({"amount": 1.5}, {"instalments": []}, {"instalments": [part(0)]}),
            *({"instalments": [part(2**53 + 1)]}, {"instalments": [{"amount": 1}]}),
            *({"instalments": [part(1, -1)]}, {"instalments": [part(1) | {"x": 1}]}),
            {"instalments": "soon"},
        ],
    )
    def test_whose_arguments_do_not_fit_is_refused(self, market: Market, changes: Any):
        args = {"id": "l1", "amount": 5, "instalments": [part(1)], **changes}

        answer = market.ask("alice", DEBT, "offer", **args)

        assert isinstance(answer, Refused)
        assert answer.code in (Code.ARGUMENTS_INVALID, Code.MALFORMED)
        assert market.held("alice") == [0]

    def test_needs_room_for_its_terms(self):
        market = Market(stored_bytes=50)

        market.fails(
            *(Code.QUOTA_EXCEEDED, "alice", DEBT, "offer"),
            id="l1",
            amount=5,
            instalments=[part(1)],
        )

    def test_of_the_largest_sums_overflows_nothing(self, market: Market):
        largest = [part(2**53, DUE_US + n) for n in range(4)]
        lent(market, 50, instalments=largest)
        market.at(DUE_US + 10)

        told = market.done("alice", DEBT, "collect", loan="l1")

        assert (told["moved"], told["left"]) == (150, 4 * 2**53 - 150)
        assert market.scrip("alice", "bob") == [200, 0]


class TestAccept:
    def test_moves_the_scrip_and_binds_the_collateral(self, market: Market):
        told = lent(market, collateral="house")

        assert (told["state"], told["borrower"], told["left"], told["due"]) == (
            *("running", "bob", 60, 0),
        )
        assert market.scrip("alice", "bob") == [50, 150]
        assert market.held("alice") == [0]
        house = market.world.state.artifacts.by_id["house"]
        assert (house.owner, house.encumbered_by) == ("bob", DEBT)

    def test_happens_once(self, market: Market):
        lent(market)

        market.fails(Code.NOT_OPEN, "bob", DEBT, "accept", loan="l1")
        market.fails(Code.NOT_OPEN, "carol", DEBT, "accept", loan="l1")
        market.fails(Code.NOT_OPEN, "alice", DEBT, "withdraw", loan="l1")

    def test_of_an_offer_to_another_is_denied(self, market: Market):
        offer(market, borrower="bob")

        market.fails(Code.PERMISSION_DENIED, "carol", DEBT, "accept", loan="l1")

    def test_of_ones_own_offer_is_denied(self, market: Market):
        offer(market)

        market.fails(Code.PERMISSION_DENIED, "alice", DEBT, "accept", loan="l1")

    def test_of_what_is_no_loan_fails(self, market: Market):
        market.write("carol", "fake", "a loan", type="loan")

        for id in ("fake", "nowhere", ""):
            market.fails(Code.NOT_FOUND, "bob", DEBT, "accept", loan=id)

    @pytest.mark.parametrize(
        ("state", "code"),
        [
            ("sold", Code.PERMISSION_DENIED),
            ("deleted", Code.NOT_FOUND),
            ("pledged", Code.ENCUMBERED),
            ("of carol", Code.PERMISSION_DENIED),
        ],
    )
    def test_needs_a_collateral_that_is_free(self, market: Market, state: str, code: Code):
        market.write("carol", "boat")
        offer(market, 10, collateral="boat" if state == "of carol" else "house")
        if state == "sold":
            market.give("bob", "house", "carol")
        elif state == "deleted":
            market.act("bob", Delete("house"))
        elif state == "pledged":
            args = {"id": "l2", "amount": 5, "instalments": [part(5)], "collateral": "house"}
            market.done("carol", DEBT, "offer", **args)
            market.done("bob", DEBT, "accept", loan="l2")

        market.fails(code, "bob", DEBT, "accept", loan="l1")

    def test_a_claim_is_no_collateral(self, market: Market):
        lent(market)
        args = {"id": "l2", "amount": 5, "instalments": [part(5)], "collateral": "l1"}
        market.done("carol", DEBT, "offer", **args)

        market.fails(Code.ENCUMBERED, "alice", DEBT, "accept", loan="l2")

    def test_what_is_bound_is_not_changed_deleted_or_given_away(self, market: Market):
        lent(market, collateral="house")

        for who, id in (("bob", "house"), ("alice", "l1")):
            for action in (Write(id, "x"), Edit(id, "a", "b"), Delete(id)):
                answer = market.act(who, action)
                assert isinstance(answer, Refused)
                assert answer.code is Code.ENCUMBERED
            args = {"id": id, "to": "carol"}
            market.fails(Code.ENCUMBERED, who, LEDGER_ID, "transfer_ownership", **args)

    def test_neither_collateral_nor_claim_is_for_sale(self, market: Market):
        lent(market, collateral="house")

        for who, id in (("bob", "house"), ("alice", "l1")):
            args = {"artifact": id, "price": 5}
            market.fails(Code.ENCUMBERED, who, ESCROW_ID, "list_for_sale", **args)

    def test_what_is_for_sale_is_no_collateral(self, market: Market):
        offer(market, collateral="house")
        market.done("bob", ESCROW_ID, "list_for_sale", artifact="house", price=5)

        market.fails(Code.ENCUMBERED, "bob", DEBT, "accept", loan="l1")


class TestRepay:
    def test_takes_what_is_left_at_most_and_frees_the_collateral(self, market: Market):
        lent(market, collateral="house")

        first = market.done("bob", DEBT, "repay", loan="l1", amount=20)
        second = market.done("bob", DEBT, "repay", loan="l1", amount=90)

        assert (first["moved"], first["left"], first["state"]) == (20, 40, "running")
        assert (second["moved"], second["left"], second["state"]) == (40, 0, "paid")
        assert market.scrip("alice", "bob") == [110, 90]
        by_id = market.world.state.artifacts.by_id
        assert (by_id["house"].encumbered_by, by_id["l1"].encumbered_by) == ("", "")
        assert market.act("alice", Delete("l1")) == Done()
        assert market.done("bob", DEBT, "check", loan="l1")["state"] == "paid"

    def test_another_may_pay(self, market: Market):
        lent(market)

        market.done("carol", DEBT, "repay", loan="l1", amount=60)

        assert market.scrip("alice", "bob", "carol") == [110, 150, 40]

    def test_needs_the_scrip(self, market: Market):
        lent(market, back=500)

        market.fails(Code.SCRIP_INSUFFICIENT, "bob", DEBT, "repay", loan="l1", amount=151)

    def test_of_what_is_not_owed_fails(self, market: Market):
        offer(market)
        market.fails(Code.NOT_OPEN, "bob", DEBT, "repay", loan="l1", amount=1)
        market.done("bob", DEBT, "accept", loan="l1")
        market.done("bob", DEBT, "repay", loan="l1", amount=60)

        market.fails(Code.NOT_OPEN, "bob", DEBT, "repay", loan="l1", amount=1)
        market.fails(Code.NOT_FOUND, "bob", DEBT, "repay", loan="nowhere", amount=1)

    def test_goes_to_whoever_holds_the_claim(self, market: Market):
        lent(market)
        market.done("alice", DEBT, "transfer", loan="l1", to="carol")

        market.done("bob", DEBT, "repay", loan="l1", amount=60)

        assert market.scrip("alice", "bob", "carol") == [50, 90, 160]


class TestCollect:
    def test_takes_each_instalment_when_it_is_due(self, market: Market):
        lent(market, instalments=[part(20), part(40, 2 * DUE_US)])
        market.at(DUE_US)

        first = market.done("alice", DEBT, "collect", loan="l1")
        early = market.fails(Code.NOT_OPEN, "alice", DEBT, "collect", loan="l1")
        market.at(2 * DUE_US)
        second = market.done("alice", DEBT, "collect", loan="l1")

        assert (first["moved"], first["next_due_us"]) == (20, 2 * DUE_US)
        assert early.retry_after_us
        assert (second["moved"], second["state"]) == (40, "paid")
        assert market.scrip("alice", "bob") == [110, 90]

    def test_before_anything_is_due_fails(self, market: Market):
        lent(market)

        failed = market.fails(Code.NOT_OPEN, "alice", DEBT, "collect", loan="l1")

        assert failed.retry_after_us == DUE_US - market.now_us

    def test_what_was_paid_early_is_not_taken_again(self, market: Market):
        lent(market, instalments=[part(20), part(40, 2 * DUE_US)])
        market.done("bob", DEBT, "repay", loan="l1", amount=30)
        market.at(DUE_US + 1)

        market.fails(Code.NOT_OPEN, "alice", DEBT, "collect", loan="l1")
        market.at(2 * DUE_US)

        assert market.done("alice", DEBT, "collect", loan="l1")["moved"] == 30

    def test_of_a_paid_debt_fails(self, market: Market):
        lent(market)
        market.done("bob", DEBT, "repay", loan="l1", amount=60)
        market.at(9 * DUE_US)

        market.fails(Code.NOT_OPEN, "alice", DEBT, "collect", loan="l1")

    def test_by_anybody_else_is_denied(self, market: Market):
        lent(market)
        market.at(DUE_US)

        for who in ("bob", "carol"):
            market.fails(Code.PERMISSION_DENIED, who, DEBT, "collect", loan="l1")

    def test_by_who_gave_the_claim_away_is_denied(self, market: Market):
        lent(market)
        market.done("alice", DEBT, "transfer", loan="l1", to="carol")
        market.at(DUE_US)

        market.fails(Code.PERMISSION_DENIED, "alice", DEBT, "collect", loan="l1")
        assert market.done("carol", DEBT, "collect", loan="l1")["moved"] == 60
        assert market.scrip("alice", "bob", "carol") == [50, 90, 160]

    def test_takes_no_more_than_the_debtor_can_spend(self, market: Market):
        lent(market)
        market.done("bob", LEDGER_ID, "transfer", to="dave", amount=140)
        market.at(DUE_US)

        told = market.done("alice", DEBT, "collect", loan="l1")

        assert (told["moved"], told["left"], told["due"]) == (10, 50, 50)
        assert market.scrip("alice", "bob") == [60, 0]
        assert market.done("alice", DEBT, "collect", loan="l1")["moved"] == 0
        market.done("dave", LEDGER_ID, "transfer", to="bob", amount=5)
        assert market.done("alice", DEBT, "collect", loan="l1")["moved"] == 5

    def test_leaves_what_the_debtor_has_bid(self, market: Market):
        lent(market)
        market.bid("bob", 140)
        market.at(DUE_US)

        assert market.done("alice", DEBT, "collect", loan="l1")["moved"] == 10

    def test_a_debtor_who_cannot_pay_goes_on_living(self, market: Market):
        lent(market)
        market.done("bob", LEDGER_ID, "transfer", to="dave", amount=150)
        market.at(DUE_US + GRACE_US)
        market.done("alice", DEBT, "collect", loan="l1")

        market.write("bob", "song")
        market.done("dave", LEDGER_ID, "transfer", to="bob", amount=9)
        assert market.done("bob", LEDGER_ID, "transfer", to="carol", amount=9) == 0


class TestDefault:
    def lent_on_the_house(self, market: Market) -> None:
        lent(market, collateral="house")
        market.done("bob", LEDGER_ID, "transfer", to="dave", amount=140)

    def test_within_the_grace_the_collateral_stays(self, market: Market):
        self.lent_on_the_house(market)
        market.at(DUE_US + GRACE_US - 2)

        told = market.done("alice", DEBT, "collect", loan="l1")

        assert (told["state"], told["moved"]) == ("running", 10)
        assert market.world.state.artifacts.by_id["house"].owner == "bob"

    def test_after_the_grace_it_becomes_the_holders_and_settles_the_debt(self, market: Market):
        self.lent_on_the_house(market)
        market.at(DUE_US + GRACE_US)

        told = market.done("alice", DEBT, "collect", loan="l1")

        assert (told["state"], told["moved"], told["left"]) == ("settled", 10, 0)
        house = market.world.state.artifacts.by_id["house"]
        assert (house.owner, house.encumbered_by, house.stored_for) == ("alice", "", "alice")
        assert market.scrip("alice", "bob") == [60, 0]
        market.fails(Code.NOT_OPEN, "alice", DEBT, "collect", loan="l1")
        market.fails(Code.NOT_OPEN, "bob", DEBT, "repay", loan="l1", amount=1)

    def test_who_pays_all_that_is_due_late_keeps_it(self, market: Market):
        lent(market, collateral="house", instalments=[part(20), part(40, 9 * DUE_US)])
        market.at(DUE_US + 2 * GRACE_US)

        told = market.done("alice", DEBT, "collect", loan="l1")

        assert (told["state"], told["moved"], told["left"]) == ("running", 20, 40)
        assert market.world.state.artifacts.by_id["house"].owner == "bob"

    def test_without_room_for_it_the_scrip_is_taken_and_it_waits(self):
        market = Market(stored_bytes=1_000)
        market.write("bob", "house", "x" * 500)
        market.write("alice", "ballast", "x" * 500)
        self.lent_on_the_house(market)
        market.at(DUE_US + GRACE_US)

        told = market.done("alice", DEBT, "collect", loan="l1")

        assert (told["state"], told["moved"], told["left"]) == ("running", 10, 50)
        assert "stored_bytes" in told["waits"]
        house = market.world.state.artifacts.by_id["house"]
        assert (house.owner, house.encumbered_by) == ("bob", DEBT)
        assert market.scrip("alice", "bob") == [60, 0]
        market.fails(Code.QUOTA_EXCEEDED, "alice", DEBT, "collect", loan="l1")
        assert market.act("alice", Delete("ballast")) == Done()
        assert market.done("alice", DEBT, "collect", loan="l1")["state"] == "settled"
        market.prove()

    @pytest.mark.parametrize("contract", ["public", "members"])
    def test_what_others_may_change_is_no_collateral(self, market: Market, contract: str):
        market.write("bob", "house", "a house", contract=Contract(contract))
        offer(market, collateral="house")

        failed = market.fails(Code.PERMISSION_DENIED, "bob", DEBT, "accept", loan="l1")

        assert f"under the contract {contract}" in failed.detail

    def test_a_principal_that_was_pledged_keeps_its_scrip(self, market: Market):
        market.done("bob", LEDGER_ID, "spawn_principal", id="child")
        market.done("bob", LEDGER_ID, "transfer", to="child", amount=30)
        lent(market, collateral="child")
        market.done("bob", LEDGER_ID, "transfer", to="dave", amount=120)
        market.at(DUE_US + GRACE_US)

        market.done("alice", DEBT, "collect", loan="l1")

        assert market.world.state.artifacts.by_id["child"].owner == "alice"
        assert market.scrip("child") == [30]


class TestTransfer:
    def test_moves_the_claim_and_leaves_its_bytes(self, market: Market):
        lent(market)

        told = market.done("alice", DEBT, "transfer", loan="l1", to="carol")

        assert (told["holder"], told["lender"]) == ("carol", "alice")
        paper = market.world.state.artifacts.by_id["l1"]
        assert (paper.owner, paper.stored_for) == ("carol", "alice")

    def test_to_the_debtor_ends_in_nothing_taken(self, market: Market):
        lent(market, collateral="house")
        market.done("alice", DEBT, "transfer", loan="l1", to="bob")

        told = market.done("bob", DEBT, "repay", loan="l1", amount=60)

        assert told["state"] == "paid"
        assert market.scrip("alice", "bob") == [50, 150]
        assert market.world.state.artifacts.by_id["house"].encumbered_by == ""

    @pytest.mark.parametrize(
        ("who", "to", "code"),
        [
            ("bob", "bob", Code.PERMISSION_DENIED),
            ("carol", "carol", Code.PERMISSION_DENIED),
            ("alice", "nobody", Code.NO_STANDING),
            ("alice", "house", Code.NO_STANDING),
        ],
    )
    def test_only_the_holder_gives_it_and_only_to_a_principal(
        self, market: Market, who: str, to: str, code: Code
    ):
        lent(market)

        market.fails(code, who, DEBT, "transfer", loan="l1", to=to)

    def test_of_an_offer_fails(self, market: Market):
        offer(market)

        market.fails(Code.NOT_OPEN, "alice", DEBT, "transfer", loan="l1", to="carol")


class TestActive:
    def test_tells_what_is_open_page_by_page(self, market: Market):
        for n in range(7):
            args = {"id": f"l{n}", "amount": 5, "instalments": [part(6)]}
            market.done("alice", DEBT, "offer", **args)
        market.done("bob", DEBT, "accept", loan="l3")
        market.done("alice", DEBT, "withdraw", loan="l0")

        first = market.done("carol", DEBT, "active", limit=4)
        second = market.done("carol", DEBT, "active", after=first["after"])

        assert [row["loan"] for row in first["loans"]] == ["l1", "l2", "l3", "l4"]
        assert [row["loan"] for row in second["loans"]] == ["l5", "l6"]
        assert second["after"] is None

    def test_of_somebody_or_in_a_state(self, market: Market):
        lent(market)
        market.done("alice", DEBT, "transfer", loan="l1", to="dave")
        args = {"id": "l2", "amount": 5, "instalments": [part(6)], "borrower": "carol"}
        market.done("alice", DEBT, "offer", **args)

        def found(**wanted: str) -> list[str]:
            return [row["loan"] for row in market.done("carol", DEBT, "active", **wanted)["loans"]]

        assert found() == ["l1", "l2"]
        assert found(borrower="bob") == found(holder="dave") == found(state="running") == ["l1"]
        assert found(state="offered") == found(holder="alice") == ["l2"]
        assert found(borrower="dave") == []

    def test_a_full_page_of_what_was_not_asked_for_is_not_the_end(self, market: Market):
        for n in range(6):
            args = {"id": f"l{n}", "amount": 5, "instalments": [part(6)]}
            market.done("alice", DEBT, "offer", **args)
        market.done("bob", DEBT, "accept", loan="l5")

        first = market.done("carol", DEBT, "active", state="running")
        second = market.done("carol", DEBT, "active", state="running", after=first["after"])

        assert (first["loans"], first["after"]) == ([], "l4")
        assert ([row["loan"] for row in second["loans"]], second["after"]) == (["l5"], None)


def test_a_loan_ends_in_one_of_three_ways_and_never_begins_again():
    assert set(LIFE) == set(STATES)
    assert [state for state, after in LIFE.items() if not after] == ["paid", "settled", "withdrawn"]


def test_a_loan_goes_on_after_a_restart():
    market = Market()
    market.write("bob", "house")
    lent(market, collateral="house")
    market.restart()
    market.at(DUE_US)

    assert market.done("alice", DEBT, "collect", loan="l1")["state"] == "paid"
    assert market.scrip(*PEOPLE) == [110, 90, 100, 100]
    market.prove()


def _asking(principal: str, method: str, **args: object) -> Any:
    return Envelope(principal, Invoke(DEBT, method, args))
