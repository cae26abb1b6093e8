from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner

from .lab import Economy

LIMITS = CodeLimits(
    wall_us=8_000_000,  # on a busy machine, too, it is CPU time that counts
    memory_bytes_max=8_000_000,
    output_bytes_max=100_000,
    questions_max=60,
    recursion_max=100,
)


@pytest.fixture(scope="module")
def runner() -> Iterator[MontyRunner]:
    with MontyRunner(LIMITS) as runner:
        yield runner


@pytest.fixture
def new_economy(runner: MontyRunner) -> Iterator[Callable[..., Economy]]:
    """Makes worlds with real workers; the log of each is proved when the test ends."""
    made: list[Economy] = []

    def make(**config: Any) -> Economy:
        made.append(Economy(config.pop("code", runner), **config))
        return made[-1]

    yield make
    for economy in made:
        economy.prove()


@pytest.fixture
def economy(new_economy: Callable[..., Economy]) -> Economy:
    return new_economy()
