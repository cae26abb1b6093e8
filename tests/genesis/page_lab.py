"""A world in which the examples of a page are run as they stand, with the real interpreter behind it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.world import (
    CodeRunner,
    Contract,
    Done,
    Envelope,
    Invoke,
    Read,
    Tool,
    World,
    WorldConfig,
    Write,
    verify,
)

from .conftest import NATIVES

PAGES = Path(__file__).parents[2] / "docs" / "architecture"
KINDS = {kind.__name__: kind for kind in (Contract, Invoke, Read, Tool, Write)}


class Page:
    """What an example may use: the actions by name, ``do``, and what the test gives.

    Attributes:
        told: the results of everything done, in order.
    """

    def __init__(self, name: str, config: WorldConfig, runner: CodeRunner) -> None:
        self.path = PAGES / name
        self.log = MemoryEventLog()
        self.world = World.begin(config, NATIVES, self.log, runner, "test")
        self.told: list[Any] = []

    def act(self, principal: str, action: Any, **bounds: int) -> Any:
        now_us = self.world.state.now_us + 1_000
        return self.world.apply(Envelope(principal, action, **bounds), now_us)

    def do(self, principal: str, action: Any, **bounds: int) -> None:
        answer = self.act(principal, action, **bounds)
        assert isinstance(answer, Done), (action, answer)
        self.told.append(answer.result)

    def play(self, *examples: str, **given: Any) -> None:
        for example in examples:
            exec(compile(example, str(self.path), "exec"), KINDS | {"do": self.do} | given)

    @property
    def scrip(self) -> dict[str, int]:
        """Who has any."""
        balances = self.world.state.ledger.balances
        return {name: amount for name, amount in balances.items() if amount}

    def owner(self, id: str) -> str:
        return self.world.state.artifacts.by_id[id].owner


def examples_of(name: str) -> list[str]:
    """The blocks of Python on a page."""
    return re.findall(r"^```python\n(.*?)^```$", (PAGES / name).read_text(), re.M | re.S)


@contextmanager
def opened(name: str, config: WorldConfig) -> Iterator[Page]:
    """A page's world, which is proved in the end."""
    with MontyRunner(CodeLimits(wall_us=8_000_000)) as runner:
        page = Page(name, config, runner)
        yield page
    proved = verify(page.log.records(), NATIVES, page.log)
    assert proved.snapshot() == page.world.state.snapshot()
