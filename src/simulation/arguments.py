"""Owns what the arguments of ``run`` and ``resume`` may be, where a type alone does not say it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from ..world import ConfigurationFault
from .config import RunnerSettings
from .config_model import INT_MAX
from .settings import nearest

CLOCKS: tuple[str, ...] = get_args(RunnerSettings.model_fields["clock"].annotation)


def refuse_end(until_us: object, steps: object) -> None:
    """Do nothing where this is an end.

    Raises:
        ConfigurationFault: one is neither None nor an integer from 1.
    """
    for name, value in (("until_us", until_us), ("steps", steps)):
        if value is not None:
            _refuse_integer(name, value, 1)


def refuse_start(seed: object, agents: object, clock: object, config: object) -> None:
    """Do nothing where a world can be made with these; None is always possible.

    Raises:
        ConfigurationFault: one cannot be used.
    """
    if seed is not None:
        _refuse_integer("A seed", seed, 0)
    if agents is not None and (not isinstance(agents, int) or isinstance(agents, bool)):
        raise ConfigurationFault(f"agents is an integer from 1, not {agents!r:.80}")
    if clock is not None and clock not in CLOCKS:
        raise ConfigurationFault(
            f"clock: there is no clock {clock!r:.80}{nearest(str(clock), CLOCKS)}"
        )
    if config is not None and not isinstance(config, str | Path):
        raise ConfigurationFault(f"config is the path of a file, not {config!r:.80}")


def _refuse_integer(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= INT_MAX:
        raise ConfigurationFault(
            f"{name} is an integer from {least} to {INT_MAX}, not {value!r:.80}"
        )
