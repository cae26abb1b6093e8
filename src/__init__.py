"""A world in which agents hold scrip and compute, trade artifacts and use real tools.

import scripworld

run = scripworld.run("library", seed=1)
print(run.summary())
run.verify()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .simulation.run import Run
    from .simulation.runner import open_run, resume, run
    from .simulation.scenario import Scenario
    from .world import VERSION as __version__
    from .world import Fault

_HOMES = {
    "__version__": "world",
    "Fault": "world",
    "Run": "simulation.run",
    "Scenario": "simulation.scenario",
    "open_run": "simulation.runner",
    "resume": "simulation.runner",
    "run": "simulation.runner",
}

__all__ = ["Fault", "Run", "Scenario", "__version__", "open_run", "resume", "run"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and only then: ``import scripworld`` is instant."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = import_module(f".{_HOMES[name]}", __name__)
    return getattr(home, "VERSION" if name == "__version__" else name)
