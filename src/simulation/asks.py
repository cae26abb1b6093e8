"""Owns what a tool server asks for in the middle of a call: an action on behalf of whoever called.

It becomes an action of the world like any other, admitted and charged to the principal that waits.
Its idempotency key follows from the effect, so a call that is performed again after a crash gets the
first answers. When it is taken is the driver's to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..world import Answer, EffectRequest, Envelope, Invoke, Settled, Waiting, World


@dataclass(eq=False)
class _Ask:
    parent: EffectRequest
    action: Invoke
    number: int
    answer: asyncio.Future[Answer]


class Asks:
    """The actions that effects under way ask for.

    Args:
        world: where they are taken. stir: called when one has come.
        waits: called with the effect that asked and from then on waits.
    """

    def __init__(
        self, world: World, stir: Callable[[], None], waits: Callable[[str], None]
    ) -> None:
        self._world = world
        self._stir = stir
        self._waits = waits
        self._new: list[_Ask] = []
        self._open: dict[str, _Ask] = {}
        self._counts: dict[str, int] = {}

    async def ask(self, parent: EffectRequest, action: Invoke) -> Answer:
        """Have an action taken for the principal of an effect; returns its final answer."""
        number = self._counts[parent.id] = self._counts.get(parent.id, 0) + 1
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        ask = _Ask(parent, action, number, future)
        self._new.append(ask)
        self._waits(parent.id)
        self._stir()
        try:
            return await future
        finally:
            if ask in self._new:
                self._new.remove(ask)

    def has_new(self, parent: str | None = None) -> bool:
        """Whether something was asked that is not taken yet; by one effect, or by any."""
        return any(parent in (None, ask.parent.id) for ask in self._new)

    def is_open(self, parent: str) -> bool:
        """Whether an effect waits for the effect of an action that was taken for it."""
        return any(ask.parent.id == parent for ask in self._open.values())

    def take(self, now_us: int, parent: str | None = None) -> list[Answer]:
        """Take what is new, of one effect or of all, in the order it came; what the world said."""
        taken = [ask for ask in self._new if parent in (None, ask.parent.id)]
        answers: list[Answer] = []
        for ask in taken:
            self._new.remove(ask)
            key = f"{ask.parent.key[:32]}.{ask.number}"
            envelope = Envelope(ask.parent.principal, ask.action, idempotency_key=key)
            answer = self._world.apply(envelope, now_us)
            if isinstance(answer, Waiting):
                self._open[answer.effect_id] = ask
            else:
                _tell(ask, answer)
            answers.append(answer)
        return answers

    def settled(self, settled: Settled) -> str | None:
        """Tell who asked; returns the effect that asked, or None if nobody did."""
        ask = self._open.pop(settled.effect_id, None)
        if ask is None:
            return None
        _tell(ask, settled.answer)
        return ask.parent.id

    def over(self, parent: str) -> None:
        """An effect is over: what it asked for is nobody's any more."""
        self._counts.pop(parent, None)


def _tell(ask: _Ask, answer: Answer) -> None:
    if not ask.answer.done():
        ask.answer.set_result(answer)
