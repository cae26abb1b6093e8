"""Owns how many effects are performed at one time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """The places to perform effects in, each for one.

    An effect that asks for another leaves its place: the other needs one, and where all waited for
    an answer in theirs, none would ever come. It goes on without, for what is begun is not held up.
    """

    def __init__(self, most: int) -> None:
        """All are free; ``most`` is how many there are."""
        self._free = asyncio.Semaphore(most)
        self._taken: set[str] = set()

    @asynccontextmanager
    async def taken(self, effect: str) -> AsyncIterator[None]:
        """Wait for a place, and have it until the end, or until it is left."""
        await self._free.acquire()
        self._taken.add(effect)
        try:
            yield
        finally:
            self.leave(effect)

    def leave(self, effect: str) -> None:
        """Give a place back, if the effect has one."""
        if effect in self._taken:
            self._taken.remove(effect)
            self._free.release()
