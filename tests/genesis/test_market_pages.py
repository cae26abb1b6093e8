"""The pages on the mint and on loans: their examples run as they stand, and come to what the pages say."""

import re
from pathlib import Path
from typing import Any

from scripworld.genesis.debt_terms import LIFE
from scripworld.world import Done, Invoke, Read, Write

from .market_lab import BIDDING_US, Market

DOCS = Path(__file__).parents[2] / "docs" / "architecture"


def play(page: str) -> tuple[Market, list[Any]]:
    """Run the first example of a page; the world, and what was answered."""
    example = re.search(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    assert example is not None
    market, told = Market(), []

    def do(principal: str, action: Any) -> None:
        answer = market.act(principal, action)
        assert isinstance(answer, Done), answer
        told.append(answer.result)

    def wait_for_the_score(auction: int) -> None:
        market.at(BIDDING_US)
        market.score(10)

    names = {"do": do, "at": market.at, "wait_for_the_score": wait_for_the_score}
    names |= {"Invoke": Invoke, "Read": Read, "Write": Write}
    exec(compile(example[1], page, "exec"), names)
    market.prove()
    return market, told


def test_the_example_of_the_page_on_minting():
    market, told = play("minting.md")

    assert (told[-1]["winner"], told[-1]["price"], told[-1]["score"]) == ("alice", 12, 10)
    assert market.scrip("alice", "bob") == [100 - 12 + 30, 100]


def test_the_example_of_the_page_on_borrowing():
    market, told = play("borrowing.md")

    assert (told[-1]["moved"], told[-1]["left"], told[-1]["holder"]) == (20, 30, "carol")
    assert market.scrip("alice", "bob", "carol") == [60, 120, 120]
    assert market.world.state.artifacts.by_id["house"].owner == "bob"


def test_the_table_of_the_page_on_borrowing_is_the_life_of_a_loan():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", (DOCS / "borrowing.md").read_text(), re.M)
    told: dict[str, set[str]] = {}
    for state, after in rows:
        told.setdefault(state, set()).update(re.findall(r"`(\w+)`", after))

    assert {state: after - {state} for state, after in told.items()} == {
        state: set(after) for state, after in LIFE.items() if after
    }
