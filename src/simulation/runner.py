"""Owns putting a run together: its world and its folder, and the event loop that it is driven in.

``run`` makes a new world and drives it to its end, ``resume`` goes on with one, ``open_run`` reads
one. What they return is a ``Run``.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import uvloop

from ..adapters.event_store import SqliteEventLog, StoreFault
from ..adapters.performer import Performer
from ..agents.library import MINDS
from ..agents.mind import Mind
from ..world import (
    VERSION,
    ArtifactFault,
    CodeRunner,
    ConfigurationFault,
    Fault,
    Native,
    World,
    WorldConfig,
    restore,
)
from .arguments import refuse_end, refuse_start
from .code import code_of
from .config import Config
from .markets import markets_from
from .minds import MindFactory, refuse_minds
from .natives import BUILT_IN, natives_of
from .quantum import quantum_from
from .run import Run
from .runs import STORE_FILE, discard_run, find_run, make_run
from .saved import save, saved_in
from .scenario import (
    Scenario,
    configure,
    load_scenario,
    refuse_artifact,
    scale_agents,
    world_config,
)
from .servers import servers_of
from .session import SIGNALS, Extras, Session

__all__ = ["Extras", "Session", "open_run", "resume", "run"]


def run(
    scenario: str | Path | Scenario = "library",
    *,
    seed: int | None = None,
    agents: int | None = None,
    until_us: int | None = None,
    steps: int | None = None,
    clock: str | None = None,
    config: str | Path | None = None,
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
    refuse_end(until_us, steps)
    refuse_start(seed, agents, clock, config)
    overrides: dict[str, Any] = dict(settings or {})
    if clock is not None:
        overrides["runner"] = {**overrides.get("runner", {}), "clock": clock}
    known = {*MINDS, *(minds or {})}
    chosen = scenario if isinstance(scenario, Scenario) else load_scenario(scenario, known)
    if agents is not None:
        chosen = scale_agents(chosen, agents)
    refuse_minds(minds or {}, chosen)
    configured = configure(chosen, None if config is None else Path(config), overrides)
    world = world_config(configured, chosen, seed)
    runs_dir = Path(configured.store.runs_dir)
    recorded = None if effects_from is None else find_run(runs_dir, effects_from)
    extras = Extras(minds or {}, tuple(natives), performers or {}, recorded, on_progress)
    until = until_us or chosen.until_us or configured.runner.until_us
    with closing(code_of(configured)) as code:
        folder = make_run(runs_dir, run_id, chosen.name)
        try:
            session = _begin(folder, chosen, configured, world, extras, code)
        except BaseException:  # nothing is committed, so there is nothing to keep
            discard_run(folder)
            raise
        try:
            return _driven(session, "start", until, steps)
        except Fault:
            if session.world.state.seq == 0:  # nothing happened in it
                discard_run(folder)
            raise


def resume(
    run: str | Path,
    *,
    until_us: int | None = None,
    steps: int | None = None,
    runs_dir: str | Path = "runs",
    minds: Mapping[str, Mind | MindFactory] | None = None,
    natives: Iterable[Native] = (),
    performers: Mapping[str, Performer] | None = None,
    effects_from: str | Path | None = None,
    on_progress: Callable[[Session], None] = lambda session: None,
) -> Run:
    """Go on with a run that ended or was killed; see ``run`` for the arguments.

    Effects without a result are performed again where they may be, else settled as interrupted.
    """
    refuse_end(until_us, steps)
    folder = find_run(Path(runs_dir), run)
    recorded = None if effects_from is None else find_run(folder.parent, effects_from)
    scenario, config = saved_in(folder)
    refuse_minds(minds or {}, scenario)
    extras = Extras(minds or {}, tuple(natives), performers or {}, recorded, on_progress)
    store = SqliteEventLog.open(folder / STORE_FILE)
    with closing(code_of(config)) as code:
        with ExitStack() as stack:
            stack.callback(store.close)
            first = next(store.records(), None)
            if first is None:
                raise StoreFault(f"{folder} holds no record: it ended before it began")
            own = {native.id: native for native in extras.natives}
            world = restore(store.records(), natives_of(first, own), store, code)
            stack.pop_all()
        session = Session(folder, scenario, config, store, world, extras)
        until = until_us or scenario.until_us or config.runner.until_us
        return _driven(session, "resume", until, steps)


def open_run(run: str | Path, runs_dir: str | Path = "runs", natives: Iterable[Native] = ()) -> Run:
    """Read a run that exists, also while another process goes on with it.

    Args:
        run: its id, its folder or its file. runs_dir: where ids are looked for.
        natives: its own genesis artifacts; only ``Run.verify`` needs them.
    """
    return Run(find_run(Path(runs_dir), run), natives={native.id: native for native in natives})


def first_natives(config: Config, world: WorldConfig) -> dict[str, Native]:
    """The genesis artifacts that a new world begins with, by its configuration."""
    bridged = (server.native(world.limits) for server in servers_of(config))
    natives = BUILT_IN | quantum_from(world.natives) | markets_from(world.natives)
    return natives | {native.id: native for native in bridged}


def _begin(
    folder: Path,
    scenario: Scenario,
    config: Config,
    world: WorldConfig,
    extras: Extras,
    code: CodeRunner,
) -> Session:
    """Make the world, and commit its first record."""
    save(folder, scenario, config)
    natives = first_natives(config, world) | {native.id: native for native in extras.natives}
    store = SqliteEventLog.create(folder / STORE_FILE)
    with ExitStack() as stack:
        stack.callback(store.close)
        try:
            begun = World.begin(world, natives, store, code, VERSION)
        except ArtifactFault as fault:
            refuse_artifact(scenario, fault)
        except ValueError as error:
            raise ConfigurationFault(str(error)) from None
        store.commit()
        stack.pop_all()
    return Session(folder, scenario, config, store, begun, extras)


def _driven(session: Session, how: str, until_us: int, steps: int | None) -> Run:
    """Drive a session in an event loop of its own, also where one is running already (a notebook)."""
    store = session.store
    began_s = time.monotonic()

    def drive() -> str:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(session.drive(until_us, steps))

    try:
        store.note_process(how, time.time_ns() // 1_000, f"scripworld {VERSION}")
        if _in_event_loop():
            with _signals_to(session.stop), ThreadPoolExecutor(1) as pool:
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


@contextmanager
def _signals_to(stop: Callable[[], None]) -> Iterator[None]:
    """End what another thread drives cleanly on Ctrl-C (a notebook's stop button) and SIGTERM."""
    if current_thread() is not main_thread():
        yield  # only the main thread may say what a signal does, and only there one arrives
        return
    before = {number: signal.signal(number, lambda *_: stop()) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
