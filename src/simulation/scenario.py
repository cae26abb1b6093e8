"""Owns scenarios: who lives in a world, what is there, and the settings it needs.

A scenario is a file of its own beside the configuration. Here it is found, checked, scaled to a
number of agents and made into what the kernel begins with. What a mind does with its parameters is
the mind's business.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

from pydantic import Field, PrivateAttr, field_validator

from ..genesis.mcp_bridge import ID_PREFIX, artifact_of
from ..world import (
    CONTRACTS,
    GENESIS,
    ArtifactFault,
    ConfigurationFault,
    Limits,
    PrincipalSpec,
    Resource,
    WorldConfig,
    is_id,
)
from .config import SERVERS, Config, base_settings, config_dir, load_config
from .config_model import INT_MAX, Count, Model, Positive, Text
from .costs import cost_of, costs_of_actions, costs_of_methods, quotas_of_artifacts
from .markets import MARKETS, market_figures
from .natives import BRIDGES, BUILT_IN
from .quantum import QUANTUM, figures_of
from .scenario_artifacts import ArtifactEntry
from .servers import misnamed
from .settings import Fault, Settings, nearest, refuse, shown, validated
from .settings_file import read_settings

AGENTS_MAX: Final = 1_000_000
ID_GRAMMAR: Final = "an id is a lower-case letter, then lower-case letters, digits, '_', '-' or '.'"


class AgentEntry(Model):
    """Agents of one kind. Of several, the ids are numbered: `reader_1`, `reader_2`."""

    id: Text = Field(description="Id of the one agent, or what the ids of several begin with.")
    numbered: bool | None = Field(
        default=None, description="Whether the first id has a number too; null: if there are more."
    )
    count: Annotated[int, Field(ge=0, le=AGENTS_MAX)] = Field(
        default=1, description="How many there are."
    )
    mind: Text = Field(description="Name of the mind that decides.")
    scrip: Count = Field(description="Scrip that each begins with.")
    quotas: Mapping[str, Count] = Field(description="Limit of each resource, for each agent.")
    params: dict[str, Any] = Field(
        default={}, description="What the mind is told; part of the content of each agent."
    )
    description: str = Field(default="", description="What it is, for the others.")

    @field_validator("params")
    @classmethod
    def _is_json(cls, params: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(params, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError):
            raise ValueError("params hold only what JSON can") from None
        return params

    @property
    def first_has_number(self) -> bool:
        """Whether the ids begin with `reader_1` and not with `reader`."""
        return self.count > 1 if self.numbered is None else self.numbered

    def ids(self) -> tuple[str, ...]:
        """Return the id of each agent."""
        ids = [f"{self.id}_{n}" for n in range(1, self.count + 1)]
        if ids and not self.first_has_number:
            ids[0] = self.id
        return tuple(ids)


class PrincipalEntry(Model):
    """A principal that runs no loop: it holds scrip, quotas and artifacts."""

    id: Text = Field(description="Its id.")
    scrip: Count = Field(default=0, description="Scrip that it begins with.")
    quotas: Mapping[str, Count] = Field(default={}, description="Limit of each resource.")
    content: str = Field(default="", description="Content of its artifact.")
    description: str = Field(default="", description="What it is, for the others.")


class Scenario(Model):
    """Who lives in a world, what is there, and the settings that it needs."""

    name: Text = Field(description="Its name.")
    description: str = Field(default="", description="What happens in it, in a sentence or two.")
    until_us: Positive | None = Field(
        default=None, description="World time at which it ends; null: as `runner.until_us` says."
    )
    agents: tuple[AgentEntry, ...] = Field(
        default=(), strict=False, description="Its agents, by kind."
    )
    principals: tuple[PrincipalEntry, ...] = Field(
        default=(), strict=False, description="Principals that run no loop."
    )
    artifacts: tuple[ArtifactEntry, ...] = Field(
        default=(), strict=False, description="Artifacts of the beginning."
    )
    config: Mapping[str, Any] = Field(
        default={}, description="Settings that go over `config.yaml`, key by key."
    )
    site: Annotated[Path, Field(strict=False)] | None = Field(
        default=None, description="Folder served on loopback; from the scenario's own folder."
    )
    roots: tuple[Annotated[Path, Field(strict=False)], ...] = Field(
        default=(), strict=False, description="Folders that `{roots}` names; from the checkout."
    )
    _settings: Settings = PrivateAttr(default=Settings({}))

    @property
    def agents_count(self) -> int:
        """How many agents there are, of all kinds."""
        return sum(entry.count for entry in self.agents)

    @property
    def settings(self) -> Settings:
        """What the scenario was read from; it knows the line of every key."""
        return self._settings


def scenario_names() -> list[str]:
    """Return the names of the scenarios that come with Scripworld."""
    return sorted(path.stem for path in (config_dir() / "scenarios").glob("*.yaml"))


def load_scenario(name_or_path: str | Path, minds: Collection[str] | None = None) -> Scenario:
    """Read a scenario: a name stands for `config/scenarios/NAME.yaml`, anything else is a path.

    `site` and `roots` come out as absolute paths of folders that exist, files of content as
    absolute paths.

    Args:
        name_or_path: what has a suffix or a folder in it is a path.
        minds: the names of the minds that there are; None leaves them unchecked.

    Raises:
        ConfigurationFault: there is none, or what it says can't be used.
    """
    path = _path_of(name_or_path)
    settings = read_settings(path)
    if "name" not in settings.values:
        settings = Settings({"name": path.stem} | settings.values, settings.places, settings.origin)
    read = validated(Scenario, settings)
    checkout = config_dir().parent
    scenario = read.model_copy(
        update={
            "site": read.site and (path.parent / read.site).resolve(),
            "roots": tuple((checkout / root).resolve() for root in read.roots),
            "artifacts": tuple(entry.within(path.parent) for entry in read.artifacts),
        }
    )
    scenario._settings = settings
    refuse(settings, _missing_folders(scenario))
    if minds is not None:
        refuse(settings, _unknown_minds(scenario, minds))
    return scenario


def configure(
    scenario: Scenario, path: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Config:
    """Return the configuration for a scenario: `config.yaml`, its settings, `path`, `overrides`.

    Raises:
        ConfigurationFault: as `load_config`; also for a quota of an unknown resource, and for a
            tool server whose name makes no artifact.
    """
    settings = scenario.settings.part("config")
    if settings.values != scenario.config:
        settings = Settings.given(scenario.config, f"the scenario {scenario.name!r}")
    written = base_settings().under(settings)
    if path is not None:
        written = written.under(read_settings(path))
    if overrides is not None:
        written = written.under(Settings.given(overrides, "the overrides"))
    refuse(written, _incomplete_servers(written))  # first: it is most likely a misspelt name
    config = load_config(path, overrides, settings)
    refuse(written, _unusable_servers(config))
    refuse(written, misnamed(config))
    refuse(_origin(scenario), _unknown_resources(scenario, config.world.resources))
    return config


def scale_agents(scenario: Scenario, agents: int) -> Scenario:
    """Return the scenario with this many agents in all, in the same proportions.

    Every kind keeps at least one while the number allows; below that the most numerous kinds keep
    one each, and the others stay with a `count` of 0. The first of a kind keeps its id.

    Raises:
        ConfigurationFault: the number makes no sense.
    """
    if not 1 <= agents <= AGENTS_MAX:
        raise ConfigurationFault(f"The number of agents is from 1 to {AGENTS_MAX}, not {agents}.")
    if not scenario.agents:
        raise ConfigurationFault(f"The scenario {scenario.name!r} has no agents to scale.")
    counts = _shares([entry.count for entry in scenario.agents], agents)
    entries = tuple(
        entry.model_copy(update={"count": count, "numbered": entry.first_has_number})
        for entry, count in zip(scenario.agents, counts, strict=True)
    )
    return scenario.model_copy(update={"agents": entries})


def world_config(config: Config, scenario: Scenario, seed: int | None = None) -> WorldConfig:
    """Return what the kernel begins with; the content of an agent is its mind and its params.

    Args:
        config: what `configure` returned for the scenario.
        scenario: it, scaled or not.
        seed: what all chance comes from; None takes the configuration's.

    Raises:
        ConfigurationFault: the scenario contradicts itself, or the seed is out of range.
    """
    if seed is not None and not 0 <= seed <= INT_MAX:
        raise ConfigurationFault(f"A seed is an integer from 0 to {INT_MAX}, not {seed}.")
    settings = config.world
    refuse(_origin(scenario), _contradictions(scenario, settings.limits.id_chars_max))
    return WorldConfig(
        seed=settings.seed if seed is None else seed,
        admission_compute=settings.admission_compute,
        actions=costs_of_actions(config),
        costs=costs_of_methods(config),
        method_cost=cost_of(settings.method_cost),
        call_back_compute=settings.call_back_compute,
        contract_compute=settings.contract_compute,
        job_cost=cost_of(settings.job_cost),
        approval_cost=cost_of(settings.approval_cost),
        refunded=settings.refunded,
        pace_us=settings.pace_us,
        resources={
            name: Resource(resource.kind, resource.window_us)
            for name, resource in settings.resources.items()
        },
        limits=Limits(**settings.limits.model_dump()),
        principals=(*_agents(scenario), *map(_principal, scenario.principals)),
        artifacts=tuple(entry.spec() for entry in scenario.artifacts),
        artifact_quotas=quotas_of_artifacts(config),
        natives=figures_of(config) | market_figures(config),
    )


def refuse_artifact(scenario: Scenario, fault: ArtifactFault) -> NoReturn:
    """Tell in which line the artifact stands that the kernel cannot begin with.

    Raises:
        ConfigurationFault: always.
    """
    for index, entry in enumerate(scenario.artifacts):
        if entry.id == fault.id:
            key, told = entry.told(fault)
            refuse(_origin(scenario), [(("artifacts", index, *key), told)])
    raise ConfigurationFault(str(fault))


def _path_of(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and not path.suffix and len(path.parts) == 1:
        path = config_dir() / "scenarios" / f"{name_or_path}.yaml"
    if not path.is_file():
        raise ConfigurationFault(
            f"There is no scenario {str(name_or_path)!r}{nearest(path.stem, scenario_names())}."
        )
    return path


def _origin(scenario: Scenario) -> Settings:
    """Return what tells where the scenario's faults are, also for one that no file holds."""
    if scenario.settings.origin:
        return scenario.settings
    return Settings({}, origin=f"the scenario {scenario.name!r}")


def _shares(counts: list[int], agents: int) -> list[int]:
    """Return `agents` divided in proportion to `counts`, by whole numbers, each at least one."""
    kinds, total = len(counts), sum(counts)
    by_size = sorted(range(kinds), key=lambda kind: -counts[kind])
    if agents <= kinds:
        return [int(kind in by_size[:agents]) for kind in range(kinds)]
    shares = [max(1, agents * count // total) for count in counts]

    def owed(kind: int) -> int:
        return agents * counts[kind] - total * shares[kind]

    while (rest := agents - sum(shares)) != 0:
        if rest > 0:
            shares[max(by_size, key=owed)] += 1
        else:
            shares[min((kind for kind in by_size if shares[kind] > 1), key=owed)] -= 1
    return shares


def _missing_folders(scenario: Scenario) -> Iterator[Fault]:
    if scenario.site is not None and not scenario.site.is_dir():
        yield ("site",), f"there is no folder {shown(scenario.site)}"
    for index, root in enumerate(scenario.roots):
        if not root.is_dir():
            yield ("roots", index), f"there is no folder {shown(root)}"
    names = [root.name for root in scenario.roots]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ("roots", index), f"there is another root /{name}: rename one of the folders"


def _unknown_minds(scenario: Scenario, minds: Collection[str]) -> Iterator[Fault]:
    for index, entry in enumerate(scenario.agents):
        if entry.mind not in minds:
            yield (
                ("agents", index, "mind"),
                f"there is no mind {entry.mind!r}{nearest(entry.mind, minds)}",
            )


def _unknown_resources(scenario: Scenario, resources: Collection[str]) -> Iterator[Fault]:
    kinds: tuple[tuple[str, tuple[AgentEntry | PrincipalEntry, ...]], ...] = (
        ("agents", scenario.agents),
        ("principals", scenario.principals),
    )
    for kind, entries in kinds:
        for index, entry in enumerate(entries):
            for name in entry.quotas:
                if name not in resources:
                    where = (kind, index, "quotas", name)
                    yield where, f"there is no resource {name!r}{nearest(name, resources)}"


def _incomplete_servers(settings: Settings) -> Iterator[Fault]:
    for name, server in settings.part(*SERVERS).values.items():
        if name in BRIDGES or not isinstance(server, Mapping):
            continue
        if not server.keys() & {"command", "url"}:
            told = f"a server {name!r} needs a command or a url{nearest(name, BRIDGES)}"
            yield (*SERVERS, name), told


def _unusable_servers(config: Config) -> Iterator[Fault]:
    """Yield the servers whose name makes the id of something else, and of those enabled, no id."""
    taken = dict.fromkeys((*BUILT_IN, QUANTUM, *MARKETS), "a part of every world")
    chars_max = config.world.limits.id_chars_max
    for name, server in config.genesis.mcp.servers.items():
        id = artifact_of(name)
        if id in taken:
            yield (*SERVERS, name), f"it would be {id}, and that is {taken[id]}"
        elif server.enabled and not (is_id(name, chars_max) and is_id(id, chars_max)):
            told = f"{name!r} makes no id: {ID_GRAMMAR}, of {chars_max} characters at most"
            yield (*SERVERS, name), f"{told} with {ID_PREFIX!r} before it"
        taken[id] = f"the server {name!r}"


def _contradictions(scenario: Scenario, id_chars_max: int) -> Iterator[Fault]:
    """Yield what the kernel would refuse too, where it can be said in which line."""
    principals = {GENESIS}
    taken = {GENESIS}
    for key, id in _ids(scenario):
        if not is_id(id, id_chars_max):
            yield key, f"{id!r} is no id: {ID_GRAMMAR}, of {id_chars_max} characters at most"
        if id in taken:
            yield key, f"the id {id!r} is taken already"
        taken.add(id)
        if key[0] != "artifacts":
            principals.add(id)
    contracts = {*CONTRACTS, *(artifact.id for artifact in scenario.artifacts)}
    for index, artifact in enumerate(scenario.artifacts):
        if artifact.owner not in principals:
            yield (
                ("artifacts", index, "owner"),
                f"there is no principal {artifact.owner!r} with {scenario.agents_count} agents",
            )
        for key, told in artifact.faults(contracts):
            yield ("artifacts", index, *key), told


def _ids(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for index, agent in enumerate(scenario.agents):
        for id in agent.ids():
            yield ("agents", index, "id"), id
    for index, principal in enumerate(scenario.principals):
        yield ("principals", index, "id"), principal.id
    for index, artifact in enumerate(scenario.artifacts):
        yield ("artifacts", index, "id"), artifact.id


def _agents(scenario: Scenario) -> Iterator[PrincipalSpec]:
    for entry in scenario.agents:
        content = json.dumps({"mind": entry.mind, "params": entry.params}, ensure_ascii=False)
        quotas = dict(entry.quotas)
        for id in entry.ids():
            yield PrincipalSpec(id, entry.scrip, quotas, True, content, entry.description)


def _principal(entry: PrincipalEntry) -> PrincipalSpec:
    return PrincipalSpec(
        entry.id, entry.scrip, dict(entry.quotas), False, entry.content, entry.description
    )
