"""Owns what is seen while a run goes on: a view on a terminal, a line now and then elsewhere.

It reads the world between two inputs and changes nothing.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..simulation.driver import Driver
from ..simulation.runner import Session
from ..world import COMPUTE, State
from .tables import console
from .words import count, span

REFRESH_S = 0.2
LINE_S = 5.0
_RATE_S = 3.0
_STILL_S = 1.0
"""After this long without a step, what the world waits for is told."""
_BAR = 10
_HEAD_LINES = 6
_CELL_WIDTH = 52
_SMALL_CELL_WIDTH = 36


class Quiet:
    """A view that shows nothing; it remembers the session, as all of them do."""

    def __init__(self) -> None:
        self.session: Session | None = None

    def __enter__(self) -> Quiet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __call__(self, session: Session) -> None:
        """Look at the session; called now and then."""
        self.session = session
        if session.driver is not None:
            self.look(session, session.driver)

    def look(self, session: Session, driver: Driver) -> None:
        """Show it, if it is time to."""

    def close(self) -> None:
        """Take away what was shown."""


class Lines(Quiet):
    """A line every few seconds, for a log file or a pipe."""

    def __init__(self) -> None:
        super().__init__()
        self._next_s = time.monotonic() + LINE_S

    def look(self, session: Session, driver: Driver) -> None:
        """Print a line when it is time to."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + LINE_S
        state, tally = session.world.state, driver.tally
        parts = [
            f"{session.folder.name}: {span(state.now_us)} of world time",
            count(tally.actions, "action"),
            count(tally.tool_calls, "tool call"),
            f"{tally.refused:,} refused",
            f"{tally.failed:,} failed",
        ]
        print(", ".join(parts), file=sys.stderr, flush=True)


class View(Quiet):
    """The live view on a terminal; gone when it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self._console = console(sys.stderr)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._began_s = time.monotonic()
        self._shown_s = self._moved_s = 0.0
        self._steps = -1
        self._rates: deque[tuple[float, int]] = deque()

    def look(self, session: Session, driver: Driver) -> None:
        """Draw it anew, at most every ``REFRESH_S``."""
        now_s = time.monotonic()
        if now_s - self._shown_s < REFRESH_S and not driver.is_ending:
            return
        self._shown_s = now_s
        if not self._live.is_started:
            if driver.is_ending:
                return
            self._live.start()
        if driver.steps != self._steps:
            self._steps, self._moved_s = driver.steps, now_s
        self._live.update(self._drawn(session, driver, now_s), refresh=True)

    def close(self) -> None:
        """Take it away."""
        self._live.stop()

    def _drawn(self, session: Session, driver: Driver, now_s: float) -> Group:
        state, tally = session.world.state, driver.tally
        title = Text(session.folder.name, style="bold")
        title.append(f"  {session.scenario.name}, seed {session.world.config.seed}", style="dim")
        until_us = driver.until_us
        time_line = Text(f"world time {span(state.now_us)}")
        if until_us < 2**61:
            share = min(1.0, state.now_us / until_us)
            time_line.append(f" of {span(until_us)}  ").append_text(_bar(share, 2 * _BAR))
        time_line.append(f"   real time {span((now_s - self._began_s) * 1e6)}", style="dim")
        counts = Text(
            f"{count(tally.actions, 'action')} ({self._rate(now_s, tally.actions):,.0f} a second)"
            f" · {count(tally.tool_calls, 'tool call')}"
            f" · {tally.refused:,} refused · {tally.failed:,} failed"
            f" · supply {state.ledger.supply:,}"
        )
        lines = (title, time_line, counts, self._waits(driver, now_s), Text())
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines, _agents(state, self._console))

    def _rate(self, now_s: float, actions: int) -> float:
        rates = self._rates
        rates.append((now_s, actions))
        while now_s - rates[0][0] > _RATE_S and len(rates) > 2:
            rates.popleft()
        began_s, before = rates[0]
        return (actions - before) / (now_s - began_s) if now_s > began_s else 0.0

    def _waits(self, driver: Driver, now_s: float) -> Text:
        if driver.is_ending:
            return Text("everything is committed; the tool servers are being ended", "yellow")
        still_s = now_s - self._moved_s
        flights = driver.in_flight
        if still_s < _STILL_S or not flights:
            return Text(f"{count(len(flights), 'tool call')} under way" if flights else "", "dim")
        first = min(flights, key=lambda request: request.due_us)
        more = f" and {len(flights) - 1} more" if len(flights) > 1 else ""
        what = f"waiting for {first.artifact} {first.method}{more}, {still_s:.0f} s so far"
        return Text(what, style="yellow")


def _bar(share: float, width: int) -> Text:
    full = round(share * width)
    return Text("━" * full, style="cyan").append("━" * (width - full), style="bright_black")


def _agents(state: State, out: Console) -> Table:
    """Scrip and compute of every agent, in as many columns as it takes."""
    agents = list(state.agenda.due_us)
    lines_max = max(1, out.height - _HEAD_LINES - 1)
    columns = max(1, out.width // _CELL_WIDTH)
    small = len(agents) > lines_max * columns
    if small:
        columns = max(1, out.width // _SMALL_CELL_WIDTH)
    lines = min(lines_max, -(-len(agents) // columns))
    left_out = len(agents) - lines * columns
    shown = agents[: lines * columns - (left_out > 0)]
    grid = Table.grid(padding=(0, 1))
    for _ in range(columns):
        for justify in ("left", "right", "right") if small else ("left", "right", "left", "right"):
            grid.add_column(justify="right" if justify == "right" else "left", no_wrap=True)
        grid.add_column(min_width=6, no_wrap=True)
    for line in range(lines):
        cells = [_cells(state, agent, small) for agent in shown[line::lines]]
        if left_out > 0 and line == lines - 1:
            cells.append([Text(f"and {left_out + 1:,} more", style="dim")])
        grid.add_row(*(cell for agent_cells in cells for cell in agent_cells))
    return grid


def _cells(state: State, agent: str, small: bool) -> list[Text]:
    now_us = state.now_us
    limit = state.resources.limit(agent, COMPUTE)
    used = limit - state.resources.remaining(agent, COMPUTE, now_us)
    bar = [] if small else [_bar(min(1.0, max(0.0, used / limit)) if limit else 0.0, _BAR)]
    return [
        Text(agent[:18]),
        Text(f"{state.ledger.balances[agent]:,} scrip"),
        *bar,
        Text(f"{used:,}/{limit:,}", style="dim"),
        _doing(state, agent),
    ]


def _doing(state: State, agent: str) -> Text:
    agenda = state.agenda
    if agent in agenda.stopped:
        return Text("ended", style="red")
    if agent in agenda.paused or "*" in agenda.paused:
        return Text("paused", style="yellow")
    if agent in agenda.waiting:
        return Text("waits", style="cyan")
    return Text("rests" if agent in agenda.sleeping else "", style="dim")
