"""The page on trading: its examples run as they stand, and come to what the page says."""

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
    Read,
    Tool,
    World,
    Write,
    verify,
)

from .conftest import NATIVES, configured

PAGE = Path(__file__).parents[2] / "docs" / "architecture" / "trading.md"
ARTIFACT, CODE, KIOSK, AGENTS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


class Market:
    """A world in which code is run by the real interpreter."""

    def __init__(self, runner: MontyRunner) -> None:
        self.log = MemoryEventLog()
        self.world = World.begin(configured(), NATIVES, self.log, runner, "test")

    def act(self, principal: str, action: Any) -> Any:
        return self.world.apply(Envelope(principal, action), self.world.state.now_us + 1_000)

    def do(self, principal: str, action: Any) -> Any:
        answer = self.act(principal, action)
        assert isinstance(answer, Done), (action, answer)
        return answer.result

    def play(self, example: str) -> None:
        """Run an example of the page."""
        names = (Contract, Invoke, Read, Tool, Write)
        given = {kind.__name__: kind for kind in names} | {"do": self.do, "CODE": CODE}
        exec(compile(example, str(PAGE), "exec"), given)

    @property
    def scrip(self) -> dict[str, int]:
        balances = self.world.state.ledger.balances
        return {name: amount for name, amount in balances.items() if amount}

    def owner(self, id: str) -> str:
        return self.world.state.artifacts.by_id[id].owner


@pytest.fixture(scope="module")
def runner():
    with MontyRunner(CodeLimits(wall_us=8_000_000)) as runner:
        yield runner


@pytest.fixture
def market(runner):
    market = Market(runner)
    yield market
    proved = verify(market.log.records(), NATIVES, market.log)
    assert proved.snapshot() == market.world.state.snapshot()


def test_an_artifact_is_sold_with_what_it_earns(market):
    market.play(ARTIFACT)

    assert market.owner("guide") == "bob"
    assert market.scrip == {"alice": 135, "bob": 65}
    market.do("alice", Read("guide"))
    assert market.scrip == {"alice": 130, "bob": 70}


def test_a_kiosk_sells_quota_and_takes_no_price_for_none(market):
    limit = market.world.state.resources.limit
    market.play(KIOSK)

    assert limit("bob", "compute") == 1_010
    assert market.scrip == {"alice": 104, "bob": 96}

    answer = market.act("bob", Invoke("kiosk", "buy", {}))
    assert isinstance(answer, Failed)
    assert answer.code is Code.CODE_RAISED
    assert "5 of compute can be transferred" in answer.detail
    assert limit("kiosk", "compute") == 5
    assert market.scrip == {"alice": 104, "bob": 96}


def test_a_kiosk_that_was_sold_pays_its_new_owner(market):
    market.play(KIOSK)
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
