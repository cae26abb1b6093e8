"""Owns putting the mint, lending and memory together: figures of a first record, and artifacts of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..genesis.debt import DEBT, debt_native
from ..genesis.debt_terms import DebtFigures
from ..genesis.memory import MEMORY, MemoryFigures, memory_native
from ..genesis.mint import MINT, mint_native
from ..genesis.mint_auction import MintFigures
from ..world import LogFault, Native
from .config import Config
from .market_settings import DebtSettings, MintSettings
from .memory_settings import MemorySettings

_MAKERS: dict[str, tuple[type[msgspec.Struct], Callable[[Any], Native]]] = {
    MINT: (MintFigures, mint_native),
    DEBT: (DebtFigures, debt_native),
    MEMORY: (MemoryFigures, memory_native),
}
"""What the figures of each are, and what makes it of them."""

MARKETS = tuple(_MAKERS)

__all__ = ["DEBT", "MARKETS", "MINT", "market_figures", "markets_from"]


def market_figures(config: Config) -> dict[str, Any]:
    """What a run's first record keeps of them, by artifact; nothing of what is not enabled."""
    genesis = config.genesis
    settings: dict[str, MintSettings | DebtSettings | MemorySettings] = {
        MINT: genesis.mint,
        DEBT: genesis.debt,
        MEMORY: genesis.memory,
    }
    return {
        id: told.model_dump(exclude={"enabled"}) for id, told in settings.items() if told.enabled
    }


def markets_from(natives: dict[str, Any]) -> dict[str, Native]:
    """The artifacts, as the figures of a first record make them.

    Raises:
        LogFault: they are none.
    """
    made: dict[str, Native] = {}
    for id, (figures, maker) in _MAKERS.items():
        if id in natives:
            try:
                made[id] = maker(msgspec.convert(natives[id], figures))
            except msgspec.ValidationError as error:
                raise LogFault(f"record 0 holds no figures of {id}: {error}", 0) from None
    return made
