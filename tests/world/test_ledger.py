import pytest

from scripworld.world import Code, Done, Failed
from scripworld.world.facts import (
    ScripHeld,
    ScripIssued,
    ScripPosted,
    ScripReleased,
    ScripTransferred,
)
from scripworld.world.ledger import SCRIP_MAX, Ledger

from .lab import Lab


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.balances = {"alice": 0, "bob": 0}
    ledger.issued(ScripIssued("alice", 100))
    return ledger


def test_a_transfer_moves_and_its_undo_moves_back(ledger: Ledger):
    fact = ScripTransferred("alice", "bob", 30)
    ledger.transferred(fact)
    assert ledger.balances == {"alice": 70, "bob": 30}

    ledger.untransferred(fact, None)
    assert ledger.balances == {"alice": 100, "bob": 0}


def test_who_pays_itself_has_what_it_had(ledger: Ledger):
    ledger.transferred(ScripTransferred("alice", "alice", 100))

    assert ledger.balances["alice"] == 100


def test_what_is_held_cannot_be_spent_and_is_in_the_balance(ledger: Ledger):
    ledger.held_(ScripHeld(1, "alice", 60))
    ledger.held_(ScripHeld(2, "alice", 15))

    assert (ledger.balances["alice"], ledger.available("alice")) == (100, 25)
    assert ledger.available("nobody") == 0


def test_a_hold_is_posted_in_part_and_the_rest_goes_back(ledger: Ledger):
    ledger.held_(ScripHeld(1, "alice", 60))
    fact = ScripPosted(1, "bob", 40)

    before = ledger.posted(fact)

    assert (ledger.balances, ledger.held, ledger.holds) == ({"alice": 60, "bob": 40}, {}, {})
    ledger.unposted(fact, before)
    assert ledger.balances == {"alice": 100, "bob": 0}
    assert ledger.held == {"alice": 60}


@pytest.mark.parametrize("reason", ["void", "expired"])
def test_a_hold_is_given_back(ledger: Ledger, reason: str):
    ledger.held_(ScripHeld(1, "alice", 60))
    fact = ScripReleased(1, reason)

    before = ledger.released(fact)

    assert ledger.available("alice") == 100
    ledger.unreleased(fact, before)
    assert ledger.available("alice") == 40
    ledger.unheld(before, None)
    assert (ledger.held, ledger.holds) == ({}, {})


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("transferred", ScripTransferred("alice", "bob", 101)),
        ("transferred", ScripTransferred("alice", "bob", -1)),
        ("issued", ScripIssued("alice", -1)),
        ("issued", ScripIssued("alice", SCRIP_MAX)),
        ("held_", ScripHeld(2, "alice", 41)),
        ("held_", ScripHeld(2, "alice", -1)),
        ("posted", ScripPosted(1, "bob", 61)),
        ("posted", ScripPosted(1, "bob", -1)),
    ],
)
def test_what_cannot_be_is_asserted(ledger: Ledger, name: str, fact):
    ledger.held_(ScripHeld(1, "alice", 60))

    with pytest.raises(AssertionError):
        getattr(ledger, name)(fact)


def test_a_hold_ends_once(ledger: Ledger):
    ledger.held_(ScripHeld(1, "alice", 60))
    ledger.released(ScripReleased(1, "void"))

    with pytest.raises(KeyError):
        ledger.posted(ScripPosted(1, "bob", 60))


@pytest.mark.parametrize(
    ("to", "amount", "code"),
    [
        ("bob", 0, Code.AMOUNT_INVALID),
        ("bob", -5, Code.AMOUNT_INVALID),
        ("bob", 1_001, Code.SCRIP_INSUFFICIENT),
        ("bob", 2**63 - 1, Code.SCRIP_INSUFFICIENT),
        ("nobody", 5, Code.NO_STANDING),
        ("motto", 5, Code.NO_STANDING),
        ("bank", 5, Code.NO_STANDING),
        ("Bad Id", 5, Code.NO_STANDING),
    ],
)
def test_a_transfer_that_cannot_be_fails_and_moves_nothing(lab: Lab, to, amount, code):
    answer = lab.invoke("alice", "bank", "transfer", to=to, amount=amount)

    assert isinstance(answer, Failed)
    assert answer.code == code
    assert lab.scrip("alice", "bob") == [1_000, 500]


def test_the_last_scrip_can_be_paid(lab: Lab):
    assert lab.invoke("alice", "bank", "transfer", to="carol", amount=1_000) == Done(0)
    assert lab.invoke("carol", "bank", "transfer", to="carol", amount=1_000) == Done(1_000)
