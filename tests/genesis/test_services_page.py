"""The page on services: its examples run as they stand, and come to what the page says."""

import pytest

from scripworld.world import Code, Contract, Failed, Invoke, PrincipalSpec, Write

from .conftest import QUOTAS, configured
from .page_lab import examples_of, opened

WORDS, FIRST, TALLY, SECOND = examples_of("services.md")
TEXT = {"properties": {"text": {"type": "string"}}, "required": ["text"]}
FISH = {"text": "One fish two fish"}
GIVEN = {"WORDS": WORDS, "TALLY": TALLY, "TEXT": TEXT}


@pytest.fixture
def page():
    people = tuple(PrincipalSpec(name, 100, QUOTAS) for name in ("alice", "bob", "carol"))
    with opened("services.md", configured(principals=people)) as page:
        yield page


def test_a_service_is_made_found_paid_and_pays_its_owner(page):
    page.play(FIRST, **GIVEN)

    [found] = page.told[2]["artifacts"]
    assert (found["id"], found["invoke_scrip"]) == ("words", 4)
    assert page.told[4] == ["one", "fish", "two", "fish"]
    assert page.scrip == {"alice": 104, "bob": 96, "carol": 100}


def test_a_service_that_builds_on_another_pays_it_and_is_sold(page):
    page.play(FIRST, SECOND, **GIVEN)

    assert {"one": 1, "fish": 2, "two": 1} in page.told
    assert page.owner("tally") == "bob"
    assert page.scrip == {"alice": 104, "bob": 46, "carol": 134, "words": 4, "tally": 12}


def test_where_the_till_is_too_small_or_the_input_too_dear_nobody_pays_anybody(page):
    page.play(FIRST, SECOND, **GIVEN)
    page.do("alice", Write("words", WORDS, contract=Contract("pay_per_use", 7)))
    before = page.scrip

    answer = page.act("carol", Invoke("tally", "of", FISH))

    assert isinstance(answer, Failed)
    assert answer.code is Code.CODE_RAISED
    assert "PRICE_ABOVE_MAX" in answer.detail
    assert page.scrip == before
