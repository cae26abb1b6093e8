"""The page on services: its examples run as they stand, and come to what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.world import (
    Code,
    Contract,
    Done,
    Envelope,
    Failed,
    Invoke,
    PrincipalSpec,
    Read,
    Tool,
    World,
    Write,
    verify,
)

from .conftest import NATIVES, QUOTAS, configured

PAGE = Path(__file__).parents[2] / "docs" / "architecture" / "services.md"
WORDS, FIRST, TALLY, SECOND = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
TEXT = {"properties": {"text": {"type": "string"}}, "required": ["text"]}
FISH = {"text": "One fish two fish"}


class Bazaar:
    """A world in which code is run by the real interpreter."""

    def __init__(self, runner: MontyRunner) -> None:
        self.log = MemoryEventLog()
        people = tuple(PrincipalSpec(name, 100, QUOTAS) for name in ("alice", "bob", "carol"))
        self.world = World.begin(configured(principals=people), NATIVES, self.log, runner, "test")
        self.told: list[Any] = []

    def act(self, principal: str, action: Any, **bounds: int) -> Any:
        now_us = self.world.state.now_us + 1_000
        return self.world.apply(Envelope(principal, action, **bounds), now_us)

    def do(self, principal: str, action: Any, **bounds: int) -> None:
        answer = self.act(principal, action, **bounds)
        assert isinstance(answer, Done), (action, answer)
        self.told.append(answer.result)

    def play(self, *examples: str) -> None:
        given = {kind.__name__: kind for kind in (Contract, Invoke, Read, Tool, Write)}
        given |= {"do": self.do, "WORDS": WORDS, "TALLY": TALLY, "TEXT": TEXT}
        for example in examples:
            exec(compile(example, str(PAGE), "exec"), given)

    def scrip(self, *names: str) -> list[int]:
        return [self.world.state.ledger.balances[name] for name in names]


@pytest.fixture(scope="module")
def runner():
    with MontyRunner(CodeLimits(wall_us=8_000_000)) as runner:
        yield runner


@pytest.fixture
def bazaar(runner):
    bazaar = Bazaar(runner)
    yield bazaar
    proved = verify(bazaar.log.records(), NATIVES, bazaar.log)
    assert proved.snapshot() == bazaar.world.state.snapshot()


def test_a_service_is_made_found_paid_and_pays_its_owner(bazaar):
    begun = bazaar.scrip("alice", "bob")
    bazaar.play(FIRST)

    [found] = bazaar.told[2]["artifacts"]
    assert (found["id"], found["invoke_scrip"]) == ("words", 4)
    assert bazaar.told[4] == ["one", "fish", "two", "fish"]
    assert bazaar.scrip("alice", "bob", "words") == [begun[0] + 4, begun[1] - 4, 0]


def test_a_service_that_builds_on_another_pays_it_and_is_sold(bazaar):
    begun = bazaar.scrip("alice", "bob", "carol")
    bazaar.play(FIRST, SECOND)

    assert {"one": 1, "fish": 2, "two": 1} in bazaar.told
    assert bazaar.world.state.artifacts.by_id["tally"].owner == "bob"
    now = bazaar.scrip("alice", "bob", "carol", "words", "tally")
    assert now == [begun[0] + 4, begun[1] - 4 - 10 - 40, begun[2] - 6 + 40, 4, 12]


def test_where_the_till_is_too_small_or_the_input_too_dear_nobody_pays_anybody(bazaar):
    bazaar.play(FIRST, SECOND)
    bazaar.do("alice", Write("words", WORDS, contract=Contract("pay_per_use", 7)))
    before = bazaar.scrip("alice", "bob", "carol", "words", "tally")

    answer = bazaar.act("carol", Invoke("tally", "of", FISH))

    assert isinstance(answer, Failed)
    assert answer.code is Code.CODE_RAISED
    assert "PRICE_ABOVE_MAX" in answer.detail
    assert bazaar.scrip("alice", "bob", "carol", "words", "tally") == before
