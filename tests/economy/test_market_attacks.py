"""Attacks on what others have, through the markets: each is refused or fails, is charged, and nothing else.

Every case begins at the same fair, and asserts the code, the sentence, and that of all that anybody has,
owns, owes, may use or has noted nothing changed but the compute of who tried.
"""

from collections.abc import Callable
from typing import Any

import pytest

from scripworld.world import (
    Action,
    Code,
    Contract,
    Delete,
    Edit,
    Envelope,
    Failed,
    Invoke,
    Read,
    Write,
)

from .lab import (
    BIDDING_US,
    DEBT,
    ESCROW_ID,
    FREEWARE,
    LEDGER_ID,
    MINT,
    PERIOD_US,
    RIGHTS,
    STORE_ID,
    Economy,
)

DUE_US, LATER_US, SONG_UNTIL_US = 3_000, 50_000, 2_000


def of(id: str) -> Callable[..., Invoke]:
    """The calls of one genesis artifact."""
    return lambda method, /, **args: Invoke(id, method, args)


escrow, mint, debt, ledger, rights = of(ESCROW_ID), of(MINT), of(DEBT), of(LEDGER_ID), of(RIGHTS)


@pytest.fixture
def fair(economy: Economy) -> Economy:
    """Bob sells, alice bids and lends, carol owes; mallory has 10 scrip and a heap of junk."""
    e = economy
    e.write("bob", "guide", "the way", contract=Contract("pay_per_use", 5))
    e.write("bob", "map", "here be dragons", contract=Contract("pay_per_use", 5))
    e.write("bob", "song", "la")
    e.write("bob", "plough")
    e.write("alice", "poem", "an old silent pond")
    e.write("carol", "barn")
    e.write("mallory", "junk", "worth nothing")
    e.done("bob", ESCROW_ID, "list_for_sale", artifact="guide", price=30)
    until = {"buyer": "alice", "expires_us": SONG_UNTIL_US}
    e.done("bob", ESCROW_ID, "list_for_sale", artifact="song", price=10, **until)
    e.done("alice", MINT, "bid", artifact="poem", amount=20)
    lend(e, "old", "carol", "bob", 20, collateral="plough")
    e.done("bob", DEBT, "repay", loan="old", amount=22)
    lend(e, "claim", "alice", "carol", 10, collateral="barn")
    offer(e, "open", "alice", "carol", 15)
    e.done("mallory", LEDGER_ID, "transfer", to="bob", amount=90)
    assert e.scrip() == {"alice": 90, "bob": 188, "carol": 112, "mallory": 10}
    return e


def offer(e: Economy, id: str, lender: str, to: str, amount: int, **more: Any) -> None:
    parts = [{"due_us": DUE_US, "amount": 2}, {"due_us": LATER_US, "amount": amount}]
    e.done(lender, DEBT, "offer", id=id, amount=amount, instalments=parts, borrower=to, **more)


def lend(e: Economy, id: str, lender: str, to: str, amount: int, **more: Any) -> None:
    offer(e, id, lender, to, amount, **more)
    e.done(to, DEBT, "accept", loan=id)


NO, TAKEN, POOR = Code.PERMISSION_DENIED, Code.ID_TAKEN, Code.SCRIP_INSUFFICIENT
OVER, BOUND, NOT = Code.NOT_OPEN, Code.ENCUMBERED, Code.NOT_FOUND
TERMS = [{"due_us": LATER_US, "amount": 5}]

FAILS: dict[str, tuple[str, Action, Code, str]] = {
    # escrow
    "a purchase without funds": (
        *("mallory", escrow("purchase", artifact="guide"), POOR),
        "mallory can spend 10 scrip, not 30",
    ),
    "a purchase above the most that one pays": (
        *("alice", escrow("purchase", artifact="guide", price_max=29), Code.PRICE_ABOVE_MAX),
        "guide costs 30 scrip, more than your price_max",
    ),
    "a purchase with scrip that is held for a bid and an offer": (
        *("alice", ledger("transfer", to="mallory", amount=56), POOR),
        "alice can spend 55 scrip, not 56",
    ),
    "a purchase of what is for another": (
        *("mallory", escrow("purchase", artifact="song"), NO),
        "song is for alice alone",
    ),
    "a purchase of what is not for sale": (
        *("alice", escrow("purchase", artifact="map"), OVER),
        "map is not for sale",
    ),
    "a purchase of what is pledged": (
        *("alice", escrow("purchase", artifact="barn"), OVER),
        "barn is not for sale",
    ),
    "a purchase of one's own": (
        *("bob", escrow("purchase", artifact="guide"), NO),
        "guide is yours",
    ),
    "a purchase of nothing": (
        *("alice", escrow("purchase", artifact="castle"), NOT),
        "there is no artifact 'castle'",
    ),
    "cancelling another's sale": (
        *("mallory", escrow("cancel", artifact="guide"), NO),
        "bob sells guide: only the seller ends it",
    ),
    "cancelling what is not for sale": (
        *("bob", escrow("cancel", artifact="map"), OVER),
        "map is not for sale",
    ),
    "selling what is another's": (
        *("mallory", escrow("list_for_sale", artifact="map", price=1), NO),
        "map belongs to bob",
    ),
    "selling a person": (
        *("mallory", escrow("list_for_sale", artifact="alice", price=1), NO),
        "alice belongs to alice",
    ),
    "selling the escrow": (
        *("mallory", escrow("list_for_sale", artifact=ESCROW_ID, price=1), NO),
        "belongs to genesis",
    ),
    "selling twice": (
        *("bob", escrow("list_for_sale", artifact="guide", price=1), BOUND),
        "guide is bound by genesis_escrow",
    ),
    "selling what is pledged": (
        *("carol", escrow("list_for_sale", artifact="barn", price=1), BOUND),
        "barn is bound by genesis_debt",
    ),
    "selling the paper of a claim": (
        *("alice", escrow("list_for_sale", artifact="claim", price=1), BOUND),
        "claim is bound by genesis_debt",
    ),
    "selling to oneself": (
        *("mallory", escrow("list_for_sale", artifact="junk", price=1, buyer="mallory"), NO),
        "nobody sells to itself",
    ),
    "selling until yesterday": (
        *("mallory", escrow("list_for_sale", artifact="junk", price=1, expires_us=1), OVER),
        "give a later time",
    ),
    "giving away what is for sale": (
        *("bob", ledger("transfer_ownership", id="guide", to="carol"), BOUND),
        "guide is bound by genesis_escrow",
    ),
    "giving away what is another's": (
        *("mallory", ledger("transfer_ownership", id="map", to="mallory"), NO),
        "map belongs to bob",
    ),
    "rewriting what is for sale": (
        *("bob", Write("guide", "nothing"), BOUND),
        "guide is bound by genesis_escrow",
    ),
    "a higher price for reading what is for sale": (
        *("bob", Write("guide", "the way", contract=Contract("pay_per_use", 99)), BOUND),
        "guide is bound by genesis_escrow",
    ),
    "editing what is for sale": ("bob", Edit("guide", "way", "lie"), BOUND, "guide is bound"),
    "deleting what is for sale": ("bob", Delete("guide"), BOUND, "guide is bound"),
    # the mint
    "a bid without funds": (
        *("mallory", mint("bid", artifact="junk", amount=11), POOR),
        "mallory can spend 10 scrip, not 11",
    ),
    "a bid for another's work": (
        *("mallory", mint("bid", artifact="map", amount=5), NO),
        "map belongs to bob",
    ),
    "a second bid": (
        *("alice", mint("bid", artifact="poem", amount=21), OVER),
        "alice has a bid in auction 0 already",
    ),
    "a bid below the reserve": (
        *("mallory", mint("bid", artifact="junk", amount=1), Code.AMOUNT_INVALID),
        "a bid is at least 2 scrip",
    ),
    "a bid for nothing": (
        *("mallory", mint("bid", artifact="castle", amount=5), NOT),
        "there is no artifact 'castle'",
    ),
    "withdrawing another's bid": (
        *("mallory", mint("withdraw", bid="0.alice"), NOT),
        "there is no open bid '0.alice' of yours",
    ),
    "looking into another's bid": (
        *("mallory", mint("check", bid="0.alice"), NOT),
        "there is no open bid '0.alice' of yours",
    ),
    "looking at an auction before it ends": (
        *("mallory", mint("check", auction=0), OVER),
        "auction 0 has not ended",
    ),
    # debt
    "collecting a debt that is paid": (
        *("carol", debt("collect", loan="old"), OVER),
        "nothing is owed on old, it is paid",
    ),
    "repaying a debt that is paid": (
        *("bob", debt("repay", loan="old", amount=1), OVER),
        "nothing is owed on old, it is paid",
    ),
    "borrowing a second time on paid terms": (
        *("bob", debt("accept", loan="old"), OVER),
        "old is no offer any more, it is paid",
    ),
    "collecting another's claim": (
        *("mallory", debt("collect", loan="claim"), NO),
        "the claim claim is alice's",
    ),
    "collecting before it is due": (
        *("alice", debt("collect", loan="claim"), OVER),
        "nothing of claim is due",
    ),
    "collecting a loan that was never made": (
        *("mallory", debt("collect", loan="junk"), NOT),
        "there is no loan 'junk'",
    ),
    "taking an offer that is another's": (
        *("mallory", debt("accept", loan="open"), NO),
        "open is offered to carol",
    ),
    "withdrawing another's offer": (
        *("mallory", debt("withdraw", loan="open"), NO),
        "alice offers open",
    ),
    "giving away another's claim": (
        *("mallory", debt("transfer", loan="claim", to="mallory"), NO),
        "the claim claim is alice's",
    ),
    "lending without funds": (
        *("mallory", debt("offer", id="big", amount=11, instalments=TERMS), POOR),
        "mallory can spend 10 scrip, not 11",
    ),
    "a loan with the id of a person": (
        *("mallory", debt("offer", id="alice", amount=1, instalments=TERMS), TAKEN),
        "there is an artifact 'alice' already",
    ),
    "raising one's own claim by hand": (
        *("alice", Edit("claim", '"amount": 10', '"amount": 90'), BOUND),
        "claim is bound by genesis_debt",
    ),
    "burning what is pledged": ("carol", Delete("barn"), BOUND, "barn is bound by genesis_debt"),
    # scrip, quotas and names
    "paying more than one has": (
        *("mallory", ledger("transfer", to="bob", amount=11), POOR),
        "mallory can spend 10 scrip, not 11",
    ),
    "paying nobody": (
        *("mallory", ledger("transfer", to="junk", amount=1), Code.NO_STANDING),
        "'junk' is no principal",
    ),
    "paying less than nothing": (
        *("mallory", ledger("transfer", to="bob", amount=-5), Code.ARGUMENTS_INVALID),
        "amount",
    ),
    "paying a part of a scrip": (
        *("mallory", ledger("transfer", to="bob", amount=0.5), Code.ARGUMENTS_INVALID),
        "amount",
    ),
    "paying more than any number": (
        *("mallory", ledger("transfer", to="bob", amount=2**63), Code.MALFORMED),
        "64 bits",
    ),
    "giving quota that one has not": (
        *(
            "mallory",
            rights("transfer_quota", to="bob", resource="favours", amount=11),
        ),
        *(Code.QUOTA_EXCEEDED, "10 of favours can be transferred now, not 11"),
    ),
    "giving a quota of luck": (
        *("mallory", rights("transfer_quota", to="bob", resource="luck", amount=1), NOT),
        "there is no resource 'luck'",
    ),
    "a principal with the id of a person": (
        *("mallory", ledger("spawn_principal", id="alice"), TAKEN),
        "there is an artifact 'alice' already",
    ),
    "a principal with the id of an artifact": (
        *("mallory", ledger("spawn_principal", id="map"), TAKEN),
        "there is an artifact 'map' already",
    ),
    "an artifact with the id of a person": ("mallory", Write("alice", "me"), NO, "alice"),
    "an artifact that says that it is a principal": (
        *("mallory", Write("shadow", "me", type="principal"), Code.DEFINITION_INVALID),
        "cannot become one of type principal",
    ),
    "an artifact that says that it is genesis": (
        *("mallory", Write("junk", "me", type="genesis"), Code.DEFINITION_INVALID),
        "cannot become one of type genesis",
    ),
    "an artifact with the name of a contract": (
        *("mallory", Write("freeware", "mine"), TAKEN),
        "'freeware' is the name of a contract",
    ),
    "reading without the price": (
        *("carol", Read("guide"), Code.PRICE_ABOVE_MAX),
        "it costs 5 scrip, more than the most it may: 4",
    ),
}


@pytest.mark.parametrize("name", FAILS)
def test_nothing_comes_of_it_but_its_charge(fair: Economy, name: str):
    who, action, code, says = FAILS[name]
    is_inside = isinstance(action, Invoke) and code not in (
        Code.ARGUMENTS_INVALID,
        Code.MALFORMED,
    )
    limit = {"price_max_scrip": 4} if code == Code.PRICE_ABOVE_MAX and not is_inside else {}

    fair.fails(code, says, 2 if is_inside else 1, who, action, **limit)


def test_who_is_no_principal_is_not_even_charged(fair: Economy):
    before = fair.table()
    answer = fair.do("junk", ledger("transfer", to="mallory", amount=1))

    assert answer.code == Code.NO_STANDING
    assert fair.changes(before) == {}


def test_a_buyer_after_expiry_comes_too_late_and_the_artifact_is_free(fair: Economy):
    before = fair.table()
    fair.at(SONG_UNTIL_US)
    ended = fair.changes(before)
    assert ended["song encumbered_by"] == ""
    assert not any("scrip" in name or "owner" in name for name in ended)

    fair.fails(OVER, "song is not for sale", 2, "alice", escrow("purchase", artifact="song"))


def test_a_buyer_of_the_same_moment_as_the_end_comes_too_late(fair: Economy):
    """Its time is over, though the world did not yet tidy up."""
    before = fair.table()
    late = Envelope("alice", escrow("purchase", artifact="song"))
    answer = fair.world.apply(late, SONG_UNTIL_US)

    assert isinstance(answer, Failed)
    assert (answer.code, answer.detail[:20]) == (OVER, "song is not for sale")
    fair.now_us = SONG_UNTIL_US
    assert fair.changes(before) == {"alice compute": 2}


def test_a_second_buyer_pays_nothing(fair: Economy):
    before = fair.table()
    fair.done("carol", ESCROW_ID, "purchase", artifact="guide", price_max=30)
    sold = fair.changes(before)
    assert (sold["carol scrip"], sold["bob scrip"], sold["guide owner"]) == (-30, 30, "carol")
    assert "supply" not in sold

    fair.fails(OVER, "guide is not for sale", 2, "alice", escrow("purchase", artifact="guide"))


def test_a_price_that_was_raised_between_looking_and_buying_is_not_paid(fair: Economy):
    """The seller ends the sale and begins another at more, under the buyer's hand."""
    seen = fair.done("carol", ESCROW_ID, "check", artifact="guide")["price"]
    fair.done("bob", ESCROW_ID, "cancel", artifact="guide")
    fair.done("bob", ESCROW_ID, "list_for_sale", artifact="guide", price=90)

    buy = escrow("purchase", artifact="guide", price_max=seen)
    fair.fails(Code.PRICE_ABOVE_MAX, "guide costs 90 scrip", 2, "carol", buy)


def test_a_price_that_was_raised_between_looking_and_reading_is_not_paid(fair: Economy):
    seen = fair.done("carol", STORE_ID, "get", id="map")["read_scrip"]
    fair.write("bob", "map", "here be dragons", contract=Contract("pay_per_use", 90))

    says = "it costs 90 scrip, more than the most it may: 5"
    fair.fails(Code.PRICE_ABOVE_MAX, says, 1, "carol", Read("map"), price_max_scrip=seen)


def test_a_bid_is_given_back_once(fair: Economy):
    before = fair.table()
    fair.done("alice", MINT, "withdraw", bid="0.alice")
    assert fair.changes(before)["alice held"] == -20

    fair.fails(NOT, "no open bid '0.alice'", 2, "alice", mint("withdraw", bid="0.alice"))


def test_an_offer_is_given_back_once_and_cannot_be_taken_after(fair: Economy):
    before = fair.table()
    fair.done("alice", DEBT, "withdraw", loan="open")
    assert fair.changes(before)["alice held"] == -15

    fair.fails(OVER, "it is withdrawn", 2, "alice", debt("withdraw", loan="open"))
    fair.fails(OVER, "it is withdrawn", 2, "carol", debt("accept", loan="open"))


def test_a_bid_after_the_end_and_a_withdrawal_after_the_end_are_too_late(fair: Economy):
    fair.at(BIDDING_US - 1)
    answer = fair.world.apply(Envelope("alice", mint("withdraw", bid="0.alice")), BIDDING_US)

    assert answer.code == OVER
    assert "auction 0 is over" in answer.detail
    fair.at(BIDDING_US)
    says = "auction 0 is over: bids for the next are taken from 10000 us on"
    fair.fails(OVER, says, 2, "mallory", mint("bid", artifact="junk", amount=5))


@pytest.mark.parametrize(
    "result",
    [
        {"code": Code.TOOL_FAILED, "detail": "the scorer is ill"},
        {"code": Code.EFFECT_TIMEOUT},
        {"value": {"score": 101}},
        {"value": {"score": -1}},
        {"value": {"score": 2**62}},
        {"value": "a hundred"},
    ],
    ids=str,
)
def test_a_score_that_does_not_come_makes_no_scrip_and_gives_the_bid_back(fair, result):
    before = fair.table()
    fair.at(BIDDING_US)
    effect = next(iter(fair.world.state.effects))
    fair.settle(effect, **result)

    changed = fair.changes(before)
    amounts = {name: n for name, n in changed.items() if name.endswith((" scrip", " held", "ply"))}
    assert amounts == {"alice held": -20 - 15}, "the bid, and an offer that expired meanwhile"
    assert changed[f"{MINT} note auction/{0:016}"]["state"] == "refunded"


def test_what_was_scored_is_not_scored_again_for_who_copies_it(fair: Economy):
    fair.at(BIDDING_US)
    fair.settle(next(iter(fair.world.state.effects)), {"score": 10})
    assert fair.scrip() == {"alice": 90 - 2 + 30, "bob": 188, "carol": 112, "mallory": 10} | {
        "genesis": 2
    }
    fair.at(PERIOD_US)
    fair.write("mallory", "copy", "an old silent pond")

    says = "what copy holds was scored before"
    fair.fails(OVER, says, 2, "mallory", mint("bid", artifact="copy", amount=5))


def test_a_collector_gets_what_is_due_and_nothing_more_however_often_it_comes(fair: Economy):
    fair.at(DUE_US)
    before = fair.table()
    fair.done("alice", DEBT, "collect", loan="claim")
    changed = fair.changes(before)
    assert (changed["alice scrip"], changed["carol scrip"]) == (2, -2)

    fair.fails(OVER, "nothing of claim is due", 2, "alice", debt("collect", loan="claim"))


def test_a_claim_that_was_given_away_is_not_collected_by_who_gave_it(fair: Economy):
    fair.done("alice", DEBT, "transfer", loan="claim", to="mallory")
    fair.at(DUE_US)

    says = "the claim claim is mallory's"
    fair.fails(NO, says, 2, "alice", debt("collect", loan="claim"))


def test_a_debtor_who_has_nothing_left_owes_and_is_never_below_zero(fair: Economy):
    fair.done("carol", LEDGER_ID, "transfer", to="mallory", amount=112)
    fair.at(DUE_US)
    before = fair.table()
    row = fair.done("alice", DEBT, "collect", loan="claim")

    assert (row["moved"], row["state"]) == (0, "running")
    changed = fair.changes(before)
    assert not any(name.endswith((" scrip", " owner")) for name in changed), changed


def test_a_loan_by_hand_is_worth_the_paper(fair: Economy):
    """An artifact of type loan that its owner wrote is owed by nobody."""
    text = '{"lender": "mallory", "borrower": "alice", "amount": 50}'
    fair.write("mallory", "forged", text, type="loan", contract=FREEWARE)

    fair.fails(NOT, "there is no loan 'forged'", 2, "mallory", debt("collect", loan="forged"))


def test_the_id_of_what_was_deleted_is_nobodys_again(fair: Economy):
    assert fair.do("bob", Delete("map")).result is None

    says = "'map' was deleted; its id is not used again"
    fair.fails(TAKEN, says, 1, "mallory", Write("map", "mine"))
    fair.fails(TAKEN, says, 2, "mallory", ledger("spawn_principal", id="map"))
    offered = debt("offer", id="map", amount=1, instalments=TERMS)
    fair.fails(TAKEN, says, 2, "mallory", offered)
