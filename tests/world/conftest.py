from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .lab import Lab


@pytest.fixture
def new_lab() -> Iterator[Callable[..., Lab]]:
    """Makes worlds; each is folded and verified when the test ends."""
    labs: list[Lab] = []

    def make(*args: Any, **changes: Any) -> Lab:
        labs.append(Lab(*args, **changes))
        return labs[-1]

    yield make
    for lab in labs:
        lab.check()


@pytest.fixture
def lab(new_lab: Callable[..., Lab]) -> Lab:
    return new_lab()
