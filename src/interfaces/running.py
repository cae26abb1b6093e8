"""Owns ``run`` and ``resume``: what is passed on, what is shown meanwhile, what is said at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..simulation.overview import overview
from ..simulation.run import Run
from ..simulation.runner import Session, resume, run
from ..simulation.runs import find_run
from .exits import INTERRUPTED, OK
from .lines import ran
from .live import Lines, Quiet, View
from .render import show_next, show_summary
from .started import program
from .tables import console
from .words import until_of


class Shown(NamedTuple):
    """How much a person wants to see: everything, the id alone, or JSON."""

    quiet: bool
    json: bool


def start(
    scenario: str,
    *,
    config: Path | None,
    agents: int | None,
    until: str | None,
    seed: int | None,
    clock: str | None,
    run_id: str | None,
    effects_from: str | None,
    runs_dir: Path | None,
    shown: Shown,
) -> int:
    """Make a world and drive it; returns the exit code."""
    end = until_of(until)
    settings = {"store": {"runs_dir": str(runs_dir)}} if runs_dir is not None else None

    def drive(watch: Callable[[Session], None]) -> Run:
        return run(
            scenario,
            seed=seed,
            agents=agents,
            until_us=end.world_us,
            steps=end.steps,
            clock=clock,
            config=config,
            settings=settings,
            run_id=run_id,
            effects_from=effects_from,
            on_progress=watch,
        )

    return _driven(drive, shown)


def go_on(
    run_name: str,
    *,
    until: str | None,
    effects_from: str | None,
    runs_dir: Path,
    shown: Shown,
) -> int:
    """Go on with a world; returns the exit code."""
    end = until_of(until)
    before = overview(find_run(runs_dir, run_name))

    def drive(watch: Callable[[Session], None]) -> Run:
        return resume(
            run_name,
            until_us=end.world_us,
            steps=end.steps,
            runs_dir=runs_dir,
            effects_from=effects_from,
            on_progress=watch,
        )

    code = _driven(drive, shown)
    if overview(find_run(runs_dir, run_name)).head == before.head:
        print("Nothing happened: give a later end with --until.", file=sys.stderr)
    return code


def _driven(drive: Callable[[Callable[[Session], None]], Run], shown: Shown) -> int:
    view = Quiet() if shown.quiet or shown.json else View() if sys.stderr.isatty() else Lines()
    warned: list[str] = []

    def watch(session: Session) -> None:
        for told in session.warnings[len(warned) :]:
            warned.append(told)
            print(f"warning: {told}", file=sys.stderr)
        view(session)

    with _telling(view), view:
        made = drive(watch)
    code = INTERRUPTED if made.ended == "stopped" else OK
    if shown.quiet and not shown.json:
        print(made.id)
        return code
    summary = made.summary()
    if shown.json:
        told: dict[str, Any] = {"folder": str(made.folder), **summary.to_dict()}
        print(json.dumps(told, ensure_ascii=False))
        return code
    out = console(sys.stdout)
    show_summary(out, summary)
    if code == INTERRUPTED:
        out.print(
            f"\nWhat happened is committed; go on with: {program()} resume {ran(made)}",
            style="bold",
            soft_wrap=True,
        )
    else:
        show_next(out, summary, ran(made))
    return code


@contextmanager
def _telling(view: Quiet) -> Iterator[None]:
    """Say with what ends a run untimely where it lies."""
    try:
        yield
    finally:
        error = sys.exception()
        if error is not None and view.session is not None:
            folder = view.session.folder
            error.add_note(
                f"what was committed stands in {folder}; "
                f"go on with: {program()} resume {ran(Run(folder))}"
            )
