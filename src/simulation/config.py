"""Owns the configuration: one typed model, and how it is put together from files.

Every number stands in `config/config.yaml`; the model has none of its own. Over that file come the
scenario's settings, then the file that the user names, then what the caller gives, key by key.
The descriptions here are what `config/schema.yaml` and the documentation are generated from. Which
settings a scenario needs is `scenario.py`'s; how files are read, `settings_file.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from ..world import COMPUTE, STORED_BYTES, Code, ConfigurationFault
from .code_settings import CodeSettings
from .config_model import CostSettings, Count, Depth, Model, Positive, Seconds, Text, Texts
from .market_settings import DebtSettings, MintSettings
from .memory_settings import MemorySettings
from .quantum_settings import QuantumSettings
from .server_settings import McpSettings
from .settings import Fault, Settings, nearest, refuse, validated
from .settings_file import read_settings

SERVERS: Final = ("genesis", "mcp", "servers")
"""Where the tool servers stand."""
IMPORTED: Final = "servers.yaml"
"""Settings over those of `config.yaml`, beside it; `scripworld tools import` writes it."""
CALIBRATED: Final = "calibration.yaml"
"""The same, of this machine; `scripworld quantum calibrate` writes it."""
FILLED: Final = (
    (("world", "actions", "*"), ("world", "method_cost")),
    (("world", "job_cost"), ("world", "method_cost")),
    (("world", "approval_cost"), ("world", "method_cost")),
    (("world", "costs", "*", "*"), ("world", "method_cost")),
    ((*SERVERS, "*", "costs", "*"), ("world", "method_cost")),
    ((*SERVERS, "*", "sandbox"), ("genesis", "mcp", "defaults", "sandbox")),
    ((*SERVERS, "*", "egress"), ("genesis", "mcp", "defaults", "egress")),
    ((*SERVERS, "*"), ("genesis", "mcp", "defaults")),
)
"""Entries, and where what they leave out is taken from."""


class ResourceSettings(Model):
    """A metered resource."""

    kind: Literal["renewable", "depletable", "allocatable"] = Field(
        description="`renewable` has a limit in every rolling window, `depletable` is gone once "
        "spent, `allocatable` is held while in use."
    )
    window_us: Count = Field(
        default=0, description="Length of the rolling window; only for a renewable resource."
    )


class ActionSettings(Model):
    """What the four actions on content cost."""

    read: CostSettings = Field(description="Read the content of an artifact.")
    write: CostSettings = Field(description="Make an artifact, or replace its content.")
    edit: CostSettings = Field(description="Replace one passage of the content.")
    delete: CostSettings = Field(description="Delete an artifact.")


class LimitSettings(Model):
    """A limit on everything. Bytes are encoded bytes, except for content (UTF-8)."""

    action_bytes_max: Positive = Field(description="Largest action, encoded.")
    content_bytes_max: Positive = Field(description="Largest content of an artifact.")
    args_depth_max: Depth = Field(description="Deepest nesting of arguments and content.")
    inline_bytes_max: Count = Field(
        description="Content above this is kept once, by its hash, and not in the record."
    )
    id_chars_max: Positive = Field(description="Longest id.")
    description_chars_max: Positive = Field(description="Longest description of an artifact.")
    tools_max: Positive = Field(description="Most methods of one interface.")
    members_max: Positive = Field(description="Most members of one contract.")
    schema_nodes_max: Positive = Field(description="Largest schema of a method, in nodes.")
    frame_depth_max: Depth = Field(description="Deepest nesting of invocations.")
    calls_max: Positive = Field(description="Most calls back in one action.")
    check_calls_max: Positive = Field(
        description="Most calls back of a contract that an agent wrote, each time it is asked."
    )
    compute_max: Positive = Field(
        description="Most compute that one action uses, where the action does not say."
    )
    watch_max: Positive = Field(description="Most ids that a sleeping loop watches.")
    keys_max: Positive = Field(
        description="Most idempotency keys kept of one principal; those whose actions wait are kept."
    )
    page_max: Positive = Field(description="Most entries in one answer of a list or a search.")
    signals_max: Positive = Field(description="Most signals kept for one agent.")
    agents_max: Positive = Field(
        description="Agents, stopped ones included, up to which agents make others."
    )
    agents_per_principal_max: Positive = Field(
        description="Most agents, without stopped ones, whose bytes one principal's quota holds."
    )


class WorldSettings(Model):
    """What the kernel is given: costs, limits, resources."""

    seed: Count = Field(description="What all chance comes from; `--seed` overrides it.")
    admission_compute: Count = Field(description="Charged for every action that is looked at.")
    call_back_compute: Count = Field(
        description="Charged for each call back of agent-written code, besides the action's cost; "
        "once more each time that it is gone through again after a wait."
    )
    contract_compute: Count = Field(
        description="Charged each time that a contract which an agent wrote is asked, besides its "
        "calls back."
    )
    pace_us: Positive = Field(description="World time between two steps of a loop.")
    refunded: Texts = Field(
        description="Failure codes of effects whose held quotas are given back."
    )
    resources: Mapping[str, ResourceSettings] = Field(
        description="The metered resources, by name.", json_schema_extra={"names": ["resource"]}
    )
    actions: ActionSettings = Field(
        description="Cost of the four actions on content: read, write, edit and delete.",
        json_schema_extra={"names": ["action"]},
    )
    method_cost: CostSettings = Field(
        description="Cost of a method that `costs` does not name, and of what it leaves out."
    )
    job_cost: CostSettings = Field(
        description="Cost of a job of agent-written code that `costs` does not name."
    )
    approval_cost: CostSettings = Field(
        description="Cost of asking a person to approve an action; it is denied at `timeout_us`."
    )
    costs: Mapping[str, Mapping[str, CostSettings]] = Field(
        description="Cost of methods, by artifact and method; `*` is every other method.",
        json_schema_extra={"names": ["artifact", "method"]},
    )
    limits: LimitSettings = Field(description="A limit on everything.")


class StoreSettings(Model):
    """Where runs are kept, and how."""

    runs_dir: Text = Field(description="Folder of the runs, from the current one.")
    group_records_max: Positive = Field(description="Most records in one durable transaction.")


class RunnerSettings(Model):
    """How a world is driven."""

    clock: Literal["virtual", "wall"] = Field(
        description="`virtual` runs as fast as it can, `wall` in real time."
    )
    until_us: Positive = Field(
        description="World time at which a run ends, where the scenario names none."
    )
    steps_max: Positive | None = Field(description="Most actions of a run; null for any number.")
    effects_in_flight_max: Positive = Field(
        description="Most effects performed at one time; one that asked for another counts no more."
    )
    decide_timeout_s: Seconds = Field(description="Real time that a mind has for one decision.")
    stop_timeout_s: Seconds = Field(
        description="Real time that effects in flight have to end when a run is stopped."
    )


class LoopSettings(Model):
    """Budgets and back-off of an agent's loop, for every agent the same."""

    recent_turns: Count = Field(description="Own turns that a mind is shown.")
    steps_max: Positive | None = Field(description="Most decisions of an agent; null for any.")
    tool_calls_max: Positive | None = Field(
        description="Most calls of tool servers by an agent; null for any."
    )
    writes_max: Positive | None = Field(
        description="Most writes, edits and deletions by an agent; null for any."
    )
    repeats_max: Positive = Field(
        description="Identical actions in a row before the loop backs off."
    )
    backoff_us: Positive = Field(description="First rest of a loop that backs off; it doubles.")
    backoff_max_us: Positive = Field(
        description="Longest rest of a loop that backs off; from `backoff_us`."
    )
    deadline_us: Positive | None = Field(
        description="World time at which every loop ends; null for none."
    )


class GenesisSettings(Model):
    """The artifacts of the beginning."""

    mcp: McpSettings = Field(description="Tool servers, each an artifact.")
    quantum: QuantumSettings = Field(description="Quantum circuits as goods.")
    mint: MintSettings = Field(description="Auctions in which scrip is made.")
    debt: DebtSettings = Field(description="Loans between principals.")
    memory: MemorySettings = Field(description="What agents remember and find again.")


class Config(Model):
    """The whole configuration."""

    world: WorldSettings = Field(description="What the kernel is given; part of the log.")
    store: StoreSettings = Field(description="Where runs are kept, and how.")
    runner: RunnerSettings = Field(description="How a world is driven.")
    agents: LoopSettings = Field(description="Budgets and back-off of every agent's loop.")
    code: CodeSettings = Field(description="Code that agents write, and what bounds it here.")
    genesis: GenesisSettings = Field(description="The artifacts of the beginning.")


def config_dir() -> Path:
    """Return the folder that holds `config.yaml`: the checkout's, else `config/` here.

    Raises:
        ConfigurationFault: there is neither.
    """
    folders = (Path(__file__).resolve().parents[2] / "config", Path.cwd() / "config")
    for folder in folders:
        if (folder / "config.yaml").is_file():
            return folder
    raise ConfigurationFault(
        f"There is no config.yaml in {folders[0]} or {folders[1]}: "
        "run from a checkout of Scripworld."
    )


def base_settings() -> Settings:
    """Return what `config.yaml` says, and over it what commands wrote beside it, where they did.

    Raises:
        ConfigurationFault: one of the files can't be read.
    """
    folder = config_dir()
    settings = read_settings(folder / "config.yaml")
    for written in (folder / IMPORTED, folder / CALIBRATED):
        if written.is_file():
            settings = settings.under(read_settings(written))
    return settings


def load_config(
    path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    scenario: Settings | None = None,
) -> Config:
    """Put the configuration together, later ones over earlier ones, key by key.

    Args:
        path: a file of the user's, over `base_settings` and the scenario's settings.
        overrides: what the caller sets, over everything else.
        scenario: what the scenario sets, over `base_settings`.

    Raises:
        ConfigurationFault: a file can't be read, or what it says can't be used; a sentence for each
            fault, with file, line and key.
    """
    settings = base_settings()
    if scenario is not None:
        settings = settings.under(scenario)
    if path is not None:
        settings = settings.under(read_settings(path))
    if overrides is not None:
        settings = settings.under(Settings.given(overrides, "the overrides"))
    for entries, source in FILLED:
        settings = settings.filled(entries, source)
    config = validated(Config, settings)
    refuse(settings, _contradictions(config))
    return config


def costs_of(config: Config) -> Iterator[tuple[tuple[str, ...], CostSettings]]:
    """Yield every cost with its key."""
    world = config.world
    yield ("world", "method_cost"), world.method_cost
    yield ("world", "job_cost"), world.job_cost
    yield ("world", "approval_cost"), world.approval_cost
    for action in ActionSettings.model_fields:
        yield ("world", "actions", action), getattr(world.actions, action)
    for artifact, methods in world.costs.items():
        for method, cost in methods.items():
            yield ("world", "costs", artifact, method), cost
    for name, server in config.genesis.mcp.servers.items():
        for method, cost in server.costs.items():
            yield (*SERVERS, name, "costs", method), cost


def _contradictions(config: Config) -> Iterator[Fault]:
    """Yield what is of the right type and still can't be used."""
    world = config.world
    kinds = {name: resource.kind for name, resource in world.resources.items()}
    for name, kind in ((COMPUTE, "renewable"), (STORED_BYTES, "allocatable")):
        if kinds.get(name) != kind:
            yield ("world", "resources", name, "kind"), f"{name} must be a {kind} resource"
    for name, resource in world.resources.items():
        if (resource.kind == "renewable") != (resource.window_us > 0):
            yield (
                ("world", "resources", name, "window_us"),
                "a renewable resource needs a window_us from 1, and no other has one",
            )
    for key, cost in costs_of(config):
        for name in cost.resources:
            where = (*key, "resources", name)
            if name not in kinds:
                yield where, f"there is no resource {name!r}{nearest(name, kinds)}"
            elif kinds[name] == "allocatable":
                yield where, f"{name} is allocatable: it is held while in use, so nothing costs it"
        if cost.timeout_us < cost.latency_us:
            yield (
                (*key, "timeout_us"),
                f"expected at least latency_us ({cost.latency_us}), found {cost.timeout_us}",
            )
    for name, server in config.genesis.mcp.servers.items():
        for limited in server.limits:
            if limited not in kinds or kinds[limited] == "allocatable":
                told = f"{limited!r} is no renewable or depletable resource"
                yield (*SERVERS, name, "limits", limited), told + nearest(limited, kinds)
    yield from config.code.contradictions(world.limits.frame_depth_max)
    failures = [code.name for code in Code if code >= Code.EDIT_MISMATCH]
    for index, name in enumerate(world.refunded):
        if name not in failures:
            yield (
                ("world", "refunded", index),
                f"there is no failure code {name!r}{nearest(name, failures)}",
            )
    if config.agents.backoff_max_us < config.agents.backoff_us:
        yield (
            ("agents", "backoff_max_us"),
            f"expected at least backoff_us ({config.agents.backoff_us}), "
            f"found {config.agents.backoff_max_us}",
        )
