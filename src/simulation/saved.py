"""Owns what a run needs besides its log to go on: its scenario and its configuration, in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from ..world import ConfigurationFault, Fault
from .config import Config
from .runs import SETTINGS_FILE
from .scenario import Scenario


class Saved(msgspec.Struct, frozen=True):
    """What stands in the file; never in the chain."""

    scenario: dict[str, Any]
    config: dict[str, Any]


def save(folder: Path, scenario: Scenario, config: Config) -> None:
    """Keep them in the folder of a run.

    Raises:
        Fault: the file cannot be written.
    """
    saved = Saved(scenario.model_dump(mode="json"), config.model_dump(mode="json"))
    path = folder / SETTINGS_FILE
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(saved)))
    except OSError as error:
        raise Fault(f"{path} cannot be written: {error.strerror or error}") from None


def saved_in(folder: Path) -> tuple[Scenario, Config]:
    """Return what the run in a folder was made with.

    Raises:
        ConfigurationFault: the file cannot be read.
    """
    path = folder / SETTINGS_FILE
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=Saved)
        scenario = Scenario.model_validate_json(msgspec.json.encode(saved.scenario))
        return scenario, Config.model_validate_json(msgspec.json.encode(saved.config))
    except ValidationError as error:
        wrong = error.errors()[0]
        told = f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
        raise ConfigurationFault(f"{path} cannot be read: {told}") from None
    except (OSError, ValueError) as error:
        raise ConfigurationFault(f"{path} cannot be read: {error}") from None
