"""Owns putting a run together: the only place that knows store, world, minds, tool servers and clock.

``run`` makes a new world and drives it to its end, ``resume`` goes on with one, ``open_run`` reads
one. What they return is a ``Run``.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import msgspec
import uvloop
from pydantic import ValidationError

from ..adapters.event_store import SqliteEventLog, StoreFault
from ..adapters.mcp_process import McpServerSpec
from ..adapters.performer import Performer, Recorded
from ..adapters.site import Site
from ..agents.library import MINDS
from ..agents.loop import Budget, Loop
from ..agents.mind import Mind
from ..world import (
    VERSION,
    Code,
    ConfigurationFault,
    EffectResult,
    Envelope,
    Malformed,
    Native,
    NoCode,
    Settle,
    Waiting,
    World,
    WorldConfig,
    read_records,
    restore,
    results_of,
)
from .config import Config, ServerSettings
from .driver import Drive, Driver
from .natives import BRIDGES, NATIVES, natives_of
from .run import Run
from .runs import SETTINGS_FILE, STORE_FILE, discard_run, find_run, make_run
from .scenario import Scenario, configure, load_scenario, scale_agents, world_config

MindFactory = Callable[[], Mind]
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Saved(msgspec.Struct, frozen=True):
    """What a run needs besides its log to go on; kept in its folder, never in the chain."""

    scenario: dict[str, Any]
    config: dict[str, Any]


@dataclass(frozen=True)
class Extras:
    """What a caller brings besides the configuration.

    Attributes:
        minds: by the name that a scenario uses, or by the id of one agent.
        natives: further genesis artifacts. performers: of their effects, by performer name.
        effects_from: a run whose recorded effects answer this one's.
        on_progress: called now and then with the session.
    """

    minds: Mapping[str, Mind | MindFactory] = field(default_factory=dict)
    natives: Iterable[Native] = ()
    performers: Mapping[str, Performer] = field(default_factory=dict)
    effects_from: str | Path | None = None
    on_progress: Callable[[Session], None] = lambda session: None


@dataclass
class Session:
    """A run under way.

    Attributes:
        driver: None until it is driven.
    """

    folder: Path
    scenario: Scenario
    config: Config
    store: SqliteEventLog
    world: World
    extras: Extras
    driver: Driver | None = None

    async def drive(self, until_us: int, steps_max: int | None) -> str:
        """Drive to the end; returns why it ended. Whatever the end is, all that was started ends."""
        async with AsyncExitStack() as stack:
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
            self.driver = Driver(self.world, self.store, self._loops(), performers, drive, progress)
            stack.callback(_on_signals(self.driver.stop))
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
            folder = find_run(Path(self.config.store.runs_dir), self.extras.effects_from)
            log = SqliteEventLog.open_readonly(folder / STORE_FILE)
            stack.callback(log.close)
            recorded = Recorded(results_of(log.records(), log))
            return lambda name: recorded
        proxy_url = ""
        if self.scenario.site is not None:
            site = Site(self.scenario.site, f"{self.scenario.name}.test")
            await site.start()
            stack.push_async_callback(site.close)
            proxy_url = site.proxy_url
        performers: dict[str, Performer] = {}
        for name, server in self.config.genesis.mcp.servers.items():
            if server.enabled and BRIDGES[name].id in self.world.natives:
                spec = _spec_of(name, server, self.scenario.roots, proxy_url)
                performers[BRIDGES[name].id] = BRIDGES[name](spec)
        performers |= self.extras.performers
        for performer in performers.values():
            stack.push_async_callback(_closed(performer, self.config.runner.stop_timeout_s))
        return performers.get

    def _loops(self) -> dict[str, Loop]:
        """The loop of every agent, with what it remembers of the log."""
        agents = self.config.agents
        budget = Budget(
            deadline_us=agents.deadline_us,
            steps_max=agents.steps_max,
            tool_calls_max=agents.tool_calls_max,
            writes_max=agents.writes_max,
            repeats_max=agents.repeats_max,
            backoff_us=agents.backoff_us,
            backoff_max_us=agents.backoff_max_us,
            recent_turns=agents.recent_turns,
        )
        state = self.world.state
        loops = {
            principal: Loop(principal, self._mind(principal), budget)
            for principal in state.agenda.due_us
        }
        if state.seq > 0:
            self._remember(loops)
        return loops

    def _mind(self, principal: str) -> Mind:
        content = self.world.text(self.world.state.artifacts.by_id[principal].content)
        try:
            name = msgspec.json.decode(content)["mind"]
        except (msgspec.DecodeError, KeyError, TypeError):
            name = principal
        minds: dict[str, Mind | MindFactory] = {**MINDS, **self.extras.minds}
        mind = minds.get(principal, minds.get(name))
        if mind is None:
            known = ", ".join(sorted(minds))
            raise ConfigurationFault(f"agent {principal}: there is no mind {name!r}, only {known}")
        return mind() if isinstance(mind, type) or not hasattr(mind, "decide") else mind

    def _remember(self, loops: Mapping[str, Loop]) -> None:
        """Go through the log once and tell every loop what it did before."""
        waiting: dict[str, str] = {}
        for record in read_records(self.store.records(), self.store):
            given, answer = record.input, record.answer
            if isinstance(given, Envelope) and given.principal in loops and answer is not None:
                loop = loops[given.principal]
                if isinstance(answer, Waiting):
                    waiting[answer.effect_id] = given.principal
                    loop.waits(given.action)
                else:
                    loop.noted(given.action, answer)
            elif isinstance(given, Malformed) and given.principal in loops and answer is not None:
                loops[given.principal].noted(None, answer)
            elif isinstance(given, Settle) and given.effect_id in waiting and answer is not None:
                principal = waiting.pop(given.effect_id)
                if isinstance(answer, Waiting):
                    waiting[answer.effect_id] = principal
                else:
                    loops[principal].settled(answer)


def run(
    scenario: str | Path | Scenario = "library",
    *,
    seed: int | None = None,
    agents: int | None = None,
    until_us: int | None = None,
    steps: int | None = None,
    clock: str | None = None,
    config: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    minds: Mapping[str, Mind | MindFactory] | None = None,
    natives: Iterable[Native] = (),
    performers: Mapping[str, Performer] | None = None,
    effects_from: str | Path | None = None,
    on_progress: Callable[[Session], None] = lambda session: None,
) -> Run:
    """Make a new world from a scenario and drive it to its end.

    Args:
        scenario: its name, its file, or one made in Python.
        seed: what all chance comes from; None takes the configuration's.
        agents: scale the scenario to this many agents.
        until_us: world time at which it ends; None takes the scenario's.
        steps: the most records.
        clock: ``virtual`` or ``wall``.
        config: a file whose settings go over the scenario's and ``config.yaml``.
        settings: settings over all files, nested like them.
        run_id: the name of its folder in ``store.runs_dir``.
        minds: own minds, by the name that the scenario uses or by agent.
        natives: own genesis artifacts. performers: of their effects.
        effects_from: answer all effects from this run's log instead of performing them.
        on_progress: called now and then.

    Raises:
        Fault: one sentence about what cannot be used, or what the host could not do.
    """
    overrides: dict[str, Any] = dict(settings or {})
    if clock is not None:
        overrides["runner"] = {**overrides.get("runner", {}), "clock": clock}
    known = {*MINDS, *(minds or {})}
    chosen = scenario if isinstance(scenario, Scenario) else load_scenario(scenario, known)
    if agents is not None:
        chosen = scale_agents(chosen, agents)
    configured = configure(chosen, config, overrides)
    for name in configured.genesis.mcp.servers:
        if name not in BRIDGES:
            raise ConfigurationFault(
                f"genesis.mcp.servers.{name}: there is no bridge of that name, only "
                f"{', '.join(BRIDGES)}"
            )
    world = world_config(configured, chosen, seed)
    extras = Extras(minds or {}, tuple(natives), performers or {}, effects_from, on_progress)
    folder = make_run(Path(configured.store.runs_dir), run_id, chosen.name)
    until = until_us or chosen.until_us or configured.runner.until_us
    try:
        session = _begin(folder, chosen, configured, world, extras)
        return _driven(session, "start", until, steps)
    except ConfigurationFault:  # found before anything happened
        discard_run(folder)
        raise


def resume(
    run: str | Path,
    *,
    until_us: int | None = None,
    steps: int | None = None,
    runs_dir: Path = Path("runs"),
    minds: Mapping[str, Mind | MindFactory] | None = None,
    natives: Iterable[Native] = (),
    performers: Mapping[str, Performer] | None = None,
    effects_from: str | Path | None = None,
    on_progress: Callable[[Session], None] = lambda session: None,
) -> Run:
    """Go on with a run that ended or was killed; see ``run`` for the arguments.

    Effects without a result are performed again where they may be, else settled as interrupted.
    """
    folder = find_run(runs_dir, run)
    try:
        saved = msgspec.json.decode((folder / SETTINGS_FILE).read_bytes(), type=Saved)
        scenario = Scenario.model_validate_json(msgspec.json.encode(saved.scenario))
        config = Config.model_validate_json(msgspec.json.encode(saved.config))
    except ValidationError as error:
        wrong = error.errors()[0]
        told = f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
        raise ConfigurationFault(f"{folder / SETTINGS_FILE} cannot be read: {told}") from None
    except (OSError, ValueError) as error:
        raise ConfigurationFault(f"{folder / SETTINGS_FILE} cannot be read: {error}") from None
    extras = Extras(minds or {}, tuple(natives), performers or {}, effects_from, on_progress)
    store = SqliteEventLog.open(folder / STORE_FILE)
    with ExitStack() as stack:
        stack.callback(store.close)
        first = next(store.records(), None)
        if first is None:
            raise StoreFault(f"{folder} holds no record: it ended before it began")
        own = {native.id: native for native in extras.natives}
        world = restore(store.records(), natives_of(first, own), store, NoCode())
        stack.pop_all()
    session = Session(folder, scenario, config, store, world, extras)
    until = until_us or scenario.until_us or config.runner.until_us
    return _driven(session, "resume", until, steps)


def open_run(run: str | Path, runs_dir: Path = Path("runs")) -> Run:
    """Read a run that exists, also while another process goes on with it."""
    return Run(find_run(runs_dir, run))


def _begin(
    folder: Path, scenario: Scenario, config: Config, world: WorldConfig, extras: Extras
) -> Session:
    saved = Saved(scenario.model_dump(mode="json"), config.model_dump(mode="json"))
    (folder / SETTINGS_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(saved)))
    store = SqliteEventLog.create(folder / STORE_FILE)
    enabled = {BRIDGES[n].id for n, s in config.genesis.mcp.servers.items() if s.enabled}
    offered = {bridge.id for bridge in BRIDGES.values()}
    natives = {id: n for id, n in NATIVES.items() if id in enabled or id not in offered}
    natives |= {native.id: native for native in extras.natives}
    try:
        begun = World.begin(world, natives, store, NoCode(), VERSION)
    except ValueError as error:
        store.close()
        raise ConfigurationFault(str(error)) from None
    return Session(folder, scenario, config, store, begun, extras)


def _driven(session: Session, how: str, until_us: int, steps: int | None) -> Run:
    """Drive a session in an event loop of its own, also where one is running already (a notebook)."""
    store = session.store
    began_s = time.monotonic()
    try:
        store.commit()
        store.note_process(how, time.time_ns() // 1_000, f"scripworld {VERSION}")

        def drive() -> str:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(session.drive(until_us, steps))

        if _in_event_loop():
            with ThreadPoolExecutor(1) as pool:
                ended = pool.submit(drive).result()
        else:
            ended = drive()
        store.note_process("end", time.time_ns() // 1_000, ended)
    finally:
        store.close()
    return Run(session.folder, ended, time.monotonic() - began_s, session.world.natives)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _on_signals(stop: Callable[[], None]) -> Callable[[], None]:
    """End cleanly on Ctrl-C and SIGTERM; returns what takes that back."""
    loop = asyncio.get_running_loop()
    if current_thread() is not main_thread():
        return lambda: None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)

    def restore_signals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    return restore_signals


def _closed(performer: Performer, timeout_s: float) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await performer.close()

    return close


def _spec_of(
    name: str, server: ServerSettings, roots: tuple[Path, ...], proxy_url: str
) -> McpServerSpec:
    """How a server is started: placeholders filled, variables taken from our environment."""
    args: list[str] = []
    for arg in server.args:
        if "{roots}" in arg:
            args += [arg.replace("{roots}", str(root)) for root in roots]
        else:
            args.append(arg.replace("{site_proxy}", proxy_url))

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigurationFault(
                f"genesis.mcp.servers.{name}.env needs the variable {match[1]}: set it, "
                f"or set genesis.mcp.servers.{name}.enabled to false"
            )
        return os.environ[match[1]]

    return McpServerSpec(
        name,
        server.command,
        tuple(args),
        {key: _VARIABLE.sub(value, text) for key, text in server.env.items()},
        start_timeout_s=server.start_timeout_s,
        call_timeout_s=server.call_timeout_s,
        line_bytes_max=server.answer_bytes_max,
        grace_s=server.grace_s,
    )
