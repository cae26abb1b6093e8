"""The page on trading: its examples run as they stand, and come to what the page says."""

import pytest

from scripworld.world import Code, Contract, Failed, Invoke, Read

from .conftest import configured
from .page_lab import examples_of, opened

ARTIFACT, CODE, KIOSK, AGENTS = examples_of("trading.md")


@pytest.fixture
def market():
    with opened("trading.md", configured()) as market:
        yield market


def test_an_artifact_is_sold_with_what_it_earns(market):
    market.play(ARTIFACT)

    assert market.owner("guide") == "bob"
    assert market.scrip == {"alice": 135, "bob": 65}
    market.do("alice", Read("guide"))
    assert market.scrip == {"alice": 130, "bob": 70}


def test_a_kiosk_sells_quota_and_takes_no_price_for_none(market):
    limit = market.world.state.resources.limit
    market.play(KIOSK, CODE=CODE)

    assert limit("bob", "compute") == 1_010
    assert market.scrip == {"alice": 104, "bob": 96}

    answer = market.act("bob", Invoke("kiosk", "buy", {}))
    assert isinstance(answer, Failed)
    assert answer.code is Code.CODE_RAISED
    assert "5 of compute can be transferred" in answer.detail
    assert limit("kiosk", "compute") == 5
    assert market.scrip == {"alice": 104, "bob": 96}


def test_a_kiosk_that_was_sold_pays_its_new_owner(market):
    market.play(KIOSK, CODE=CODE)
    market.do("alice", Invoke("genesis_escrow", "list_for_sale", {"artifact": "kiosk", "price": 6}))
    market.do("bob", Invoke("genesis_escrow", "purchase", {"artifact": "kiosk"}))
    quota = {"to": "kiosk", "resource": "compute", "amount": 5}
    market.do("bob", Invoke("genesis_rights_registry", "transfer_quota", quota))

    market.do("alice", Invoke("kiosk", "buy", {}))
    market.do("bob", Invoke("kiosk", "pay_out", {}))

    assert market.scrip == {"alice": 106, "bob": 94}


def test_agents_are_made_sold_rewritten_and_forked(market):
    give = {"to": "carol", "resource": "stored_bytes", "amount": 100}
    market.do("alice", Invoke("genesis_rights_registry", "transfer_quota", give))

    market.play(AGENTS)

    by_id = market.world.state.artifacts.by_id
    assert (market.owner("junior"), market.owner("copy")) == ("bob", "carol")
    assert by_id["copy"].content == by_id["junior"].content == '{"mind": "reader"}'
    assert (by_id["copy"].loop, by_id["copy"].contract) == (True, Contract("private"))
    assert market.scrip == {"alice": 140, "bob": 60}
