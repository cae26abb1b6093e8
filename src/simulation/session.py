"""Owns a run under way: its world with its minds, tool servers and clock, from the start to their end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import current_thread, main_thread

from ..adapters.event_store import SqliteEventLog
from ..adapters.performer import Performer, Recorded
from ..adapters.scorers import RuleScorer
from ..adapters.site import Site
from ..agents.mind import Mind
from ..genesis.asking import Approver
from ..world import (
    APPROVAL,
    Answer,
    Code,
    EffectRequest,
    EffectResult,
    Invoke,
    Native,
    Waiting,
    World,
    results_of,
)
from .code import JOBS, jobs_of
from .config import Config
from .driver import Drive, Driver
from .loops import Loops
from .markets import MINT
from .minds import MindFactory
from .quantum import QUANTUM, performer_of
from .runs import STORE_FILE
from .scenario import Scenario
from .servers import Place, connect, start_in_background, warnings_of

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What ends a run cleanly."""


@dataclass(frozen=True)
class Extras:
    """What a caller brings besides the configuration.

    Attributes:
        minds: by the name that a scenario uses, or by the id of one agent.
        natives: further genesis artifacts. performers: of their effects, by performer name.
        effects_from: the folder of a run whose recorded effects answer this one's.
        on_progress: called now and then with the session.
    """

    minds: Mapping[str, Mind | MindFactory] = field(default_factory=dict)
    natives: Iterable[Native] = ()
    performers: Mapping[str, Performer] = field(default_factory=dict)
    effects_from: Path | None = None
    on_progress: Callable[[Session], None] = lambda session: None


@dataclass
class Session:
    """A run under way.

    Attributes:
        driver: None until it is driven.
        warnings: what its tool servers could do that contained ones could not.
    """

    folder: Path
    scenario: Scenario
    config: Config
    store: SqliteEventLog
    world: World
    extras: Extras
    driver: Driver | None = None
    warnings: list[str] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None
    _is_stopping: bool = False

    def stop(self) -> None:
        """End soon and cleanly; from any thread, also before it is driven."""
        self._is_stopping = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended meanwhile
                self._loop.call_soon_threadsafe(self._pass_on_stop)

    def _pass_on_stop(self) -> None:
        if self._is_stopping and self.driver is not None:
            self.driver.stop()

    async def drive(self, until_us: int, steps_max: int | None) -> str:
        """Drive to the end; returns why it ended. Whatever the end is, all that was started ends."""
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            stack.callback(_on_signals(self.stop))
            performers = await self._performers(stack)
            settings = self.config.runner
            drive = Drive(
                until_us,
                steps_max,
                self.config.store.group_records_max,
                settings.effects_in_flight_max,
                settings.decide_timeout_s,
                settings.stop_timeout_s,
            )
            progress = lambda: self.extras.on_progress(self)  # noqa: E731
            loops = Loops(self.world, self.store, self.config, self.scenario, self.extras.minds)
            self.driver = Driver(self.world, self.store, loops, performers, drive, progress)
            self._pass_on_stop()
            self._take_up()
            self.store.commit()
            if settings.clock == "wall":
                return await self.driver.wall()
            return await self.driver.virtual()

    def _take_up(self) -> None:
        """Perform again what may be; settle the rest of what a crash left as interrupted, by rule."""
        assert self.driver is not None
        for request in self.world.pending():
            if request.repeatable:
                self.world.requests.append(request)
            else:
                detail = "the run was interrupted before the result came; it may have happened"
                result = EffectResult(None, Code.EFFECT_INTERRUPTED, detail)
                settled = self.world.settle(request.id, result, self.world.state.now_us)
                assert settled is not None, request
                loop = self.driver.loops.get(settled.principal)
                if loop is not None and not isinstance(settled.answer, Waiting):
                    loop.settled(settled.answer)

    async def _performers(self, stack: AsyncExitStack) -> Callable[[str], Performer | None]:
        if self.extras.effects_from is not None:
            log = SqliteEventLog.open_readonly(self.extras.effects_from / STORE_FILE)
            stack.callback(log.close)
            recorded = Recorded(results_of(log.records(), log))
            return lambda name: recorded
        host = f"{self.scenario.name}.test"
        site = None if self.scenario.site is None else Site(self.scenario.site)
        room = self.config.genesis.mcp.directory_bytes_max
        place = Place(self.folder, room, self.scenario.roots, site, host)
        given = self.extras.performers
        self.warnings = warnings_of(self.config)
        performers = dict(given) | await connect(
            stack, self.config, self.world, place, self._asked, given
        )
        if QUANTUM in self.world.natives and QUANTUM not in performers:
            performers[QUANTUM] = performer_of(self.config, self.folder)
        if MINT in self.world.natives and MINT not in performers:
            performers[MINT] = RuleScorer()
        if self.config.code.enabled and JOBS not in performers:
            performers[JOBS] = jobs_of(self.config)
        performers.setdefault(APPROVAL, Approver(self.world.natives, self._asked))
        for performer in performers.values():
            stack.push_async_callback(_closed(performer, self.config.runner.stop_timeout_s))
        start_in_background(self.config, performers)
        return performers.get

    async def _asked(self, request: EffectRequest, action: Invoke) -> Answer:
        """An action for the principal of an effect under way, as its tool server asks for it."""
        assert self.driver is not None, "effects are performed by the driver"
        return await self.driver.asks.ask(request, action)


def _on_signals(stop: Callable[[], None]) -> Callable[[], None]:
    """End cleanly on Ctrl-C and SIGTERM; returns what takes that back."""
    loop = asyncio.get_running_loop()
    if current_thread() is not main_thread():
        return lambda: None
    for number in SIGNALS:
        loop.add_signal_handler(number, stop)

    def restore_signals() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    return restore_signals


def _closed(performer: Performer, timeout_s: float) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await performer.close()

    return close
