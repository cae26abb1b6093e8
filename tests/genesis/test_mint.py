"""genesis_mint: sealed bids, who wins and what it pays, what a score makes, and all that people try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripworld.genesis.mint_auction import Bid, price_of, ranked, scored, shared
from scripworld.world import (
    GENESIS,
    Code,
    Delete,
    Done,
    Edit,
    EffectResult,
    Envelope,
    Invoke,
    Refused,
    Write,
)

from .market_lab import BIDDING_US, ESCROW_ID, LEDGER_ID, MINT, PEOPLE, PERIOD_US, SCRIP, Market

EVENTS = "genesis_event_log"


def spent(market: Market, *principals: str) -> list[int]:
    return [SCRIP - scrip for scrip in market.scrip(*principals)]


class TestAuction:
    def test_the_highest_bid_wins_and_pays_the_second(self):
        market = Market()
        market.bid("alice", 30)
        market.bid("bob", 50)
        market.bid("carol", 40)

        market.at(BIDDING_US)
        market.score(10)

        told = market.done("dave", MINT, "check", auction=0)
        assert (told["state"], told["winner"], told["price"]) == ("scored", "bob", 40)
        assert (told["score"], told["issued"], told["bids"]) == (10, 30, 3)
        assert market.scrip("alice", "bob", "carol", GENESIS) == [100, 100 - 40 + 30, 100, 40]
        assert market.held(*PEOPLE) == [0, 0, 0, 0]
        assert market.supply == 4 * SCRIP + 30
        market.prove()

    def test_one_bid_alone_pays_the_reserve(self):
        market = Market(reserve_scrip=7)
        market.bid("alice", 90)

        market.at(BIDDING_US)
        market.score(0)

        assert market.scrip("alice", GENESIS) == [93, 7]
        assert market.supply == 4 * SCRIP
        market.prove()

    def test_without_a_reserve_one_bid_alone_pays_nothing(self):
        market = Market(reserve_scrip=0)
        market.bid("alice", 90)

        market.at(BIDDING_US)
        market.score(1)

        assert market.scrip("alice", GENESIS) == [103, 0]
        market.prove()

    def test_of_equal_bids_the_earlier_wins_and_pays_as_much(self):
        market = Market()
        market.bid("bob", 30)
        market.bid("alice", 30)

        market.at(BIDDING_US)
        market.score(0)

        assert spent(market, "alice", "bob") == [0, 30]
        market.prove()

    def test_losers_get_their_bids_back_in_the_record_that_ends_it(self):
        market = Market()
        market.bid("alice", 30)
        market.bid("bob", 50)

        market.at(BIDDING_US)

        assert market.held("alice", "bob") == [0, 50]
        assert market.facts().count("ScripReleased") == 1
        assert market.done("carol", MINT, "check", auction=0)["state"] == "scoring"
        market.score(1)
        market.prove()

    def test_it_ends_by_itself_and_a_world_without_bids_has_nothing_to_do(self):
        market = Market()
        assert market.world.next_due_us() is None
        bid = market.bid("alice", 30)
        assert market.world.next_due_us() == BIDDING_US

        market.done("alice", MINT, "withdraw", bid=bid)

        assert market.world.next_due_us() is None
        assert market.done("alice", MINT, "status")["bids"] == 0
        market.at(3 * PERIOD_US)
        assert market.done("alice", MINT, "check", auction=0) == {
            "auction": 0,
            "state": "without bids",
        }
        market.prove()

    def test_the_next_auction_takes_bids_while_the_last_is_scored(self):
        market = Market()
        market.bid("alice", 30)
        market.at(PERIOD_US)
        market.bid("bob", 20)
        market.at(PERIOD_US + BIDDING_US)

        market.score(2)
        market.score(5)

        first, second = (market.done("dave", MINT, "check", auction=n) for n in (0, 1))
        assert (first["winner"], first["issued"]) == ("alice", 6)
        assert (second["winner"], second["issued"]) == ("bob", 15)
        assert market.supply == 4 * SCRIP + 21
        market.prove()

    def test_auctions_whose_time_went_by_unseen_end_one_after_the_other(self):
        market = Market()
        market.bid("alice", 30)
        market.write("bob", "late", "some words")
        late = _asking("bob", "bid", artifact="late", amount=20)
        market.now_us = PERIOD_US + 1
        assert isinstance(market.world.apply(late, market.now_us), Done)

        market.at(2 * PERIOD_US)

        market.score(1)
        market.score(1)

        assert [market.done("dave", MINT, "check", auction=n)["winner"] for n in (0, 1)] == [
            "alice",
            "bob",
        ]
        market.prove()

    def test_status_tells_when_bids_are_taken(self):
        market = Market()
        market.bid("alice", 30)

        during = market.done("bob", MINT, "status")
        market.at(BIDDING_US)
        after = market.done("bob", MINT, "status")

        assert (during["auction"], during["is_open"], during["bids"]) == (0, True, 1)
        assert (during["closes_us"], during["next_opens_us"]) == (BIDDING_US, PERIOD_US)
        assert (after["is_open"], after["bids"], after["last"]) == (False, 0, 0)


class TestShares:
    def test_everyone_of_the_beginning_gets_the_same_and_the_rest_goes_round(self):
        market = Market(shares="everyone", reserve_scrip=10)
        market.done("alice", LEDGER_ID, "spawn_principal", id="puppet")
        market.bid("alice", 60)
        market.at(BIDDING_US)
        market.score(0)

        assert market.scrip(*PEOPLE, "puppet") == [93, 103, 102, 102, 0]

        market.at(PERIOD_US)
        market.bid("alice", 60)
        market.at(PERIOD_US + BIDDING_US)
        market.score(0)

        assert market.scrip(*PEOPLE, "puppet") == [85, 105, 105, 105, 0]
        market.prove()

    def test_the_other_bidders_share_it(self):
        market = Market(shares="bidders")
        market.bid("alice", 60)
        market.bid("bob", 30)
        market.bid("carol", 41)
        market.at(BIDDING_US)

        market.score(0)

        assert market.scrip(*PEOPLE) == [59, 121, 120, 100]
        market.prove()

    def test_without_other_bidders_it_goes_to_genesis(self):
        market = Market(shares="bidders")
        market.bid("alice", 60)
        market.at(BIDDING_US)

        market.score(0)

        assert market.scrip("alice", GENESIS) == [98, 2]
        market.prove()

    @given(
        st.integers(0, 10**12),
        st.integers(1, 30),
        st.integers(0, 100),
        st.integers(1, 40),
    )
    def test_nothing_of_a_price_is_lost_and_nobody_gets_more_than_one_above_another(
        self, price: int, count: int, turn: int, most: int
    ):
        people = [f"p{n}" for n in range(count)]

        parts, after = shared(price, people, turn, most)

        amounts = [amount for _, amount in parts]
        assert sum(amounts) == price
        assert len({person for person, _ in parts}) == len(parts) <= min(count, most)
        assert not amounts or max(amounts) - min(amounts) <= 1
        assert min(amounts, default=1) >= 1
        assert 0 <= after < count


class TestSealed:
    def test_nobody_else_learns_an_amount_before_the_end(self):
        """The difference between two worlds in which only the amount differs can't be seen by another."""
        seen = []
        for amount in (30, 77):
            market = Market()
            bid = market.bid("alice", amount)
            seen.append(
                [
                    market.ask("bob", LEDGER_ID, "balance", principal="alice"),
                    market.ask("bob", LEDGER_ID, "balances"),
                    market.ask("bob", MINT, "status"),
                    market.ask("bob", MINT, "check", bid=bid),
                    market.ask("bob", MINT, "check", auction=0),
                    market.ask("bob", EVENTS, "of", id="alice"),
                    market.ask("bob", EVENTS, "of", id=MINT),
                    market.ask("bob", EVENTS, "since", seq=0),
                    market.ask("bob", EVENTS, "read", seq=2),
                    market.ask("bob", "genesis_store", "get", id=MINT),
                ]
            )

        assert seen[0] == seen[1]

    def test_the_bidder_sees_its_bid(self):
        market = Market()
        bid = market.bid("alice", 30)

        told = market.done("alice", MINT, "check", bid=bid)

        assert (told["auction"], told["amount"]) == (0, 30)
        assert market.done("alice", LEDGER_ID, "balance")["held"] == 30

    def test_losing_amounts_are_told_to_nobody_afterwards(self):
        market = Market()
        market.bid("alice", 50)
        market.bid("bob", 40)
        market.bid("carol", 33)
        market.at(BIDDING_US)
        market.score(1)

        told = market.done("dave", MINT, "check", auction=0)
        log = market.done("dave", EVENTS, "since", seq=0)

        assert "33" not in str(told)
        assert "33" not in str([row["scrip"] for row in log["records"]])

    def test_what_changed_hands_is_told_with_names_when_it_did(self):
        market = Market()
        market.bid("alice", 50)
        market.bid("bob", 40)
        market.at(BIDDING_US)
        market.score(1)

        rows = market.done("dave", EVENTS, "of", id=MINT, limit=1)["records"]

        assert rows[0]["kind"] == "settlement"
        assert rows[0]["scrip"] == [
            {"payer": "alice", "payee": GENESIS, "amount": 40},
            {"payer": None, "payee": "alice", "amount": 3},
        ]


class TestRefusals:
    @pytest.mark.parametrize(
        ("amount", "code"), [(101, "SCRIP_INSUFFICIENT"), (1, "AMOUNT_INVALID")]
    )
    def test_a_bid_needs_funds_and_the_reserve(self, amount: int, code: str):
        market = Market()
        market.write("alice", "work")

        market.fails(Code[code], "alice", MINT, "bid", artifact="work", amount=amount)
        market.prove()

    def test_a_gambler_cannot_bid_what_is_held_already(self):
        market = Market()
        market.bid("alice", 100)
        market.write("alice", "other")

        market.fails(Code.NOT_OPEN, "alice", MINT, "bid", artifact="other", amount=1 + 1)
        market.fails(Code.SCRIP_INSUFFICIENT, "alice", LEDGER_ID, "transfer", to="bob", amount=1)
        market.prove()

    @pytest.mark.parametrize("amount", [0, -5, 2**53 + 1, 1.5, "9", None, True])
    def test_what_is_no_amount_is_refused(self, amount: object):
        market = Market()
        market.write("alice", "work")

        answer = market.ask("alice", MINT, "bid", artifact="work", amount=amount)

        assert isinstance(answer, Refused)
        assert answer.code is Code.ARGUMENTS_INVALID

    def test_a_bid_after_the_window_is_told_when_the_next_opens(self):
        market = Market()
        market.write("alice", "work")
        market.at(BIDDING_US)

        failed = market.fails(Code.NOT_OPEN, "alice", MINT, "bid", artifact="work", amount=9)

        assert failed.retry_after_us == PERIOD_US - market.now_us

    @pytest.mark.parametrize(
        ("artifact", "code"),
        [
            ("of_bob", Code.PERMISSION_DENIED),
            ("nowhere", Code.NOT_FOUND),
            ("gone", Code.NOT_FOUND),
            (MINT, Code.PERMISSION_DENIED),
            ("alice", Code.PERMISSION_DENIED),
            ("blank", Code.NOT_OPEN),
        ],
    )
    def test_what_cannot_be_scored(self, artifact: str, code: Code):
        market = Market()
        market.write("bob", "of_bob")
        market.write("alice", "blank", " \n ")
        market.write("alice", "gone")
        market.act("alice", Delete("gone"))

        market.fails(code, "alice", MINT, "bid", artifact=artifact, amount=9)
        market.prove()

    def test_one_principal_has_one_bid(self):
        market = Market()
        market.bid("alice", 30)
        market.write("alice", "work")

        market.fails(Code.NOT_OPEN, "alice", MINT, "bid", artifact="work", amount=9)

    def test_an_auction_takes_so_many_bids(self):
        market = Market(bids_max=2)
        market.bid("alice", 30)
        market.bid("bob", 30)
        market.write("carol", "work")

        failed = market.fails(Code.NOT_OPEN, "carol", MINT, "bid", artifact="work", amount=30)

        assert failed.retry_after_us
        assert "bid 31 or more" in failed.detail
        market.done("bob", MINT, "withdraw", bid="0.bob")
        market.done("carol", MINT, "bid", artifact="work", amount=9)

    def test_a_higher_bid_takes_the_place_of_the_lowest_which_is_given_back(self):
        market = Market(bids_max=2)
        market.bid("alice", 30)
        market.bid("bob", 30)

        market.bid("carol", 31)

        assert market.held("alice", "bob", "carol") == [30, 0, 31]
        told = market.fails(Code.NOT_FOUND, "bob", MINT, "check", bid="0.bob")
        assert "higher ones" in told.detail
        market.bid("bob", 32)
        assert market.held("alice", "bob", "carol") == [0, 32, 31]
        market.at(BIDDING_US)
        market.score(1)
        assert spent(market, "alice", "bob", "carol") == [0, 28, 0]
        market.prove()

    def test_who_cannot_pay_a_higher_bid_takes_nobodys_place(self):
        market = Market(bids_max=1)
        market.bid("alice", 30)
        market.write("carol", "work")
        args = {"artifact": "work", "amount": SCRIP + 1}

        market.fails(Code.SCRIP_INSUFFICIENT, "carol", MINT, "bid", **args)

        assert market.held("alice") == [30]

    @pytest.mark.parametrize("bid", ["0.alice", "1.bob", "0.bob.", "x.bob", "bob", "", "9" * 40])
    def test_anothers_or_no_bid_is_not_withdrawn(self, bid: str):
        market = Market()
        market.bid("alice", 30)

        market.fails(Code.NOT_FOUND, "bob", MINT, "withdraw", bid=bid)
        market.fails(Code.NOT_FOUND, "bob", MINT, "check", bid=bid)

    def test_a_bid_is_withdrawn_once(self):
        market = Market()
        bid = market.bid("alice", 30)

        assert market.done("alice", MINT, "withdraw", bid=bid) == 100
        market.fails(Code.NOT_FOUND, "alice", MINT, "withdraw", bid=bid)
        market.prove()

    def test_after_the_end_nothing_is_withdrawn(self):
        market = Market()
        bid = market.bid("alice", 30)
        market.bid("bob", 20)
        market.at(BIDDING_US)

        market.fails(Code.NOT_FOUND, "alice", MINT, "withdraw", bid=bid)
        market.fails(Code.NOT_FOUND, "bob", MINT, "withdraw", bid="0.bob")
        market.score(1)
        market.fails(Code.NOT_FOUND, "alice", MINT, "withdraw", bid=bid)
        market.prove()

    def test_at_the_very_end_it_is_too_late_also_before_the_mint_acted(self):
        market = Market()
        bid = market.bid("alice", 30)
        market.now_us = BIDDING_US
        before = market.standing()

        late = market.world.apply(_asking("alice", "withdraw", bid=bid), BIDDING_US)
        told = market.world.apply(_asking("alice", "check", auction=0), BIDDING_US)

        assert (late.code, told.code) == (Code.NOT_OPEN, Code.NOT_OPEN)
        assert market.standing() == before

    def test_an_auction_to_come_is_told_when_it_ends_if_that_is_soon(self):
        market = Market()

        soon = market.fails(Code.NOT_OPEN, "alice", MINT, "check", auction=1)
        assert soon.retry_after_us == PERIOD_US + BIDDING_US - market.now_us
        never = market.fails(Code.NOT_OPEN, "alice", MINT, "check", auction=2**53)
        assert never.retry_after_us is None
        market.prove()

    @pytest.mark.parametrize("args", [{}, {"bid": "0.a", "auction": 0}, {"auction": -1}])
    def test_check_asks_for_one_thing(self, args: dict[str, object]):
        answer = Market().ask("alice", MINT, "check", **args)

        assert isinstance(answer, Refused)
        assert answer.code is Code.ARGUMENTS_INVALID

    def test_the_same_content_is_scored_once(self):
        market = Market()
        market.bid("alice", 30, "the same words")
        market.at(BIDDING_US)
        market.write("bob", "copy", "the same words")
        market.at(PERIOD_US)

        market.fails(Code.NOT_OPEN, "bob", MINT, "bid", artifact="copy", amount=9)
        market.score(50)
        market.fails(Code.NOT_OPEN, "bob", MINT, "bid", artifact="copy", amount=9)
        market.prove()


class TestVoidBids:
    """What a bidder does with its work between bid and end never costs anybody else."""

    @pytest.mark.parametrize("how", ["deleted", "given", "emptied", "scored"])
    def test_a_bid_for_what_is_not_there_to_be_scored_counts_for_nothing(self, how: str):
        market = Market()
        if how == "scored":
            market.bid("dave", 5, "known words")
            market.at(BIDDING_US)
            market.score(1)
            market.at(PERIOD_US)
        auction = market.now_us // PERIOD_US
        market.write("alice", "work", "some words")
        market.done("alice", MINT, "bid", artifact="work", amount=60)
        market.bid("bob", 20)
        paid = market.scrip("bob")[0]
        if how == "deleted":
            market.act("alice", Delete("work"))
        elif how == "given":
            market.give("alice", "work", "carol")
        else:
            text = " " if how == "emptied" else "known words"
            assert market.act("alice", Write("work", text)) == Done()

        market.at(auction * PERIOD_US + BIDDING_US)

        assert market.held("alice", "carol") == [0, 0]
        told = market.done("alice", MINT, "check", auction=auction)
        assert (told["winner"], told["price"]) == ("bob", 2)
        market.score(0)
        assert market.scrip("alice", "bob", "carol") == [100, paid - 2, 100]
        market.prove()

    def test_a_work_that_was_sold_in_between_is_its_buyers_and_scored_for_nobody(self):
        market = Market()
        market.write("alice", "work")
        market.done("alice", MINT, "bid", artifact="work", amount=60)
        market.done("alice", ESCROW_ID, "list_for_sale", artifact="work", price=5)
        market.done("bob", ESCROW_ID, "purchase", artifact="work", price_max=5)

        market.at(BIDDING_US)

        assert market.done("bob", MINT, "check", auction=0)["state"] == "void"
        assert (market.scrip("alice", "bob"), market.held("alice")) == ([105, 95], [0])
        assert market.world.state.artifacts.by_id["work"].owner == "bob"
        market.prove()

    def test_an_auction_of_void_bids_alone_just_ends(self):
        market = Market()
        bid = market.bid("alice", 60)
        market.act("alice", Delete(market.done("alice", MINT, "check", bid=bid)["artifact"]))

        market.at(BIDDING_US)

        assert market.done("bob", MINT, "check", auction=0) == {"auction": 0, "state": "void"}
        assert market.world.state.effects == {}
        assert market.world.next_due_us() is None
        assert (market.scrip("alice"), market.held("alice")) == ([100], [0])
        market.prove()

    def test_what_happens_to_a_work_while_it_is_scored_changes_nothing(self):
        market = Market()
        bid = market.bid("alice", 60, "some words")
        work = market.done("alice", MINT, "check", bid=bid)["artifact"]
        market.at(BIDDING_US)
        (effect,) = market.world.state.effects.values()

        market.act("alice", Edit(work, "some", "no"))
        market.give("alice", work, "bob")
        market.score(10)

        assert effect.payload["content"] == "some words"
        assert market.scrip("alice", "bob") == [100 - 2 + 30, 100]
        market.prove()


class TestScores:
    @pytest.mark.parametrize(
        "value",
        [
            *(None, 5, "100", [], {}, {"score": None}, {"score": "7"}, {"score": 101}),
            *({"score": -1}, {"score": 1.5}, {"score": True}, {"score": 10**18}),
            *({"score": 5, "print": "abc"}, {"score": 5, "print": ["a"]}),
            *({"score": 5, "print": [True]}, {"score": 5, "print": list(range(513))}),
        ],
    )
    def test_garbage_gives_the_bid_back_and_makes_nothing(self, value: object):
        market = Market(shares="everyone")
        market.bid("alice", 60)
        market.bid("bob", 50)
        market.at(BIDDING_US)

        market.settle(value)

        _nothing_happened(market)

    @pytest.mark.parametrize(
        "code", ["TOOL_FAILED", "TOOL_UNAVAILABLE", "EFFECT_TIMEOUT", "EFFECT_INTERRUPTED"]
    )
    def test_a_score_that_does_not_come_gives_the_bid_back_and_makes_nothing(self, code: str):
        market = Market(shares="everyone")
        market.bid("alice", 60)
        market.bid("bob", 50)
        market.at(BIDDING_US)

        market.settle({"score": 100}, code=Code[code], detail="no")

        _nothing_happened(market)

    def test_what_was_not_scored_can_be_bid_for_again(self):
        market = Market()
        market.bid("alice", 60, "some words")
        market.at(BIDDING_US)
        market.settle("garbage")
        market.at(PERIOD_US)

        market.bid("alice", 60, "some words")
        market.at(PERIOD_US + BIDDING_US)
        market.score(10)

        assert market.scrip("alice") == [100 - 2 + 30]
        market.prove()

    def test_a_result_that_comes_twice_settles_once(self):
        market = Market()
        market.bid("alice", 60)
        market.at(BIDDING_US)
        effect = next(iter(market.world.state.effects))
        market.score(10)
        before = market.standing()

        assert market.world.settle(effect, EffectResult({"score": 100}), market.now_us) is None
        assert market.standing() == before

    def test_what_a_scorer_says_of_itself_is_bounded(self):
        market = Market()
        market.bid("alice", 60)
        market.at(BIDDING_US)

        market.score(1, reason="so " * 1_000)

        assert len(market.done("bob", MINT, "check", auction=0)["why"]) == 400

    def test_a_scorer_is_told_the_fingerprints_of_the_last_works(self):
        market = Market(remembered=2)
        for auction in range(4):
            market.at(auction * PERIOD_US)
            market.bid("alice", 10)
            market.at(auction * PERIOD_US + BIDDING_US)
            (effect,) = market.world.state.effects.values()
            told = effect.payload["prints"]
            market.score(0, print=[auction])

        assert told == [[1], [2]]
        market.prove()

    def test_a_world_that_was_left_while_it_scored_goes_on_and_settles_once(self):
        market = Market(shares="everyone")
        market.bid("alice", 60)
        market.bid("bob", 50)
        market.at(BIDDING_US)

        market.restart()
        assert [request.performer for request in market.world.pending()] == [MINT]
        market.score(10)
        market.restart()

        assert market.scrip(*PEOPLE) == [100 - 50 + 13 + 30, 113, 112, 112]
        assert market.world.pending() == []
        market.prove()


class TestRules:
    def test_bids_are_ranked_by_amount_time_and_id(self):
        bids = [
            *(Bid("d", "w", 5, 1, 1), Bid("c", "w", 9, 2, 3), Bid("b", "w", 9, 3, 2)),
            Bid("a", "w", 9, 4, 3),
        ]

        assert [bid.bidder for bid in ranked(bids)] == ["b", "a", "c", "d"]
        assert price_of(ranked(bids), 1) == 9
        assert price_of(bids[:1], 1) == 1

    def test_a_reason_that_is_no_text_is_left_out(self):
        told = scored({"score": 3, "reason": 7})

        assert not isinstance(told, str)
        assert told.reason == ""


def _asking(principal: str, method: str, **args: object):
    return Envelope(principal, Invoke(MINT, method, args))


def _nothing_happened(market: Market) -> None:
    told = market.done("carol", MINT, "check", auction=0)
    assert (told["state"], told["price"]) == ("refunded", 0)
    assert told["why"].endswith("given back")
    assert market.scrip(*PEOPLE, GENESIS) == [100, 100, 100, 100, 0]
    assert market.held(*PEOPLE) == [0, 0, 0, 0]
    assert market.supply == 4 * SCRIP
    market.prove()
