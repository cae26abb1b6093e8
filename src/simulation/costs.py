"""Owns what a world's actions and methods cost, put together from all that the configuration says of it."""

from __future__ import annotations

import msgspec

from ..genesis.mcp_bridge import artifact_of
from ..world import Cost
from .config import ActionSettings, Config
from .config_model import CostSettings
from .server_settings import ServerSettings


def cost_of(cost: CostSettings) -> Cost:
    """A cost as the kernel takes it."""
    return Cost(
        dict(cost.resources),
        cost.price_scrip,
        cost.latency_us,
        cost.timeout_us,
        cost.result_bytes_max,
        cost.repeatable,
    )


def costs_of_actions(config: Config) -> dict[str, Cost]:
    """What the actions on content cost, by name."""
    actions = config.world.actions
    return {name: cost_of(getattr(actions, name)) for name in ActionSettings.model_fields}


def costs_of_methods(config: Config) -> dict[str, dict[str, Cost]]:
    """What methods cost, by artifact: what the servers' settings say, and `world.costs` over it."""
    costs: dict[str, dict[str, Cost]] = {}
    servers = {artifact_of(name): server for name, server in _enabled(config).items()}
    for artifact in {**servers, **config.world.costs}:
        said = {**(servers[artifact].costs if artifact in servers else {})}
        said |= config.world.costs.get(artifact, {})
        methods = {method: cost_of(cost) for method, cost in said.items()}
        if artifact in servers:
            rest = methods.get("*", cost_of(config.world.method_cost))
            again_too = set(servers[artifact].idempotent_tools)
            for method in again_too | methods.keys() if "*" in again_too else again_too:
                again = methods.get(method, rest)
                methods[method] = msgspec.structs.replace(again, repeatable=True)
        if methods:
            costs[artifact] = methods
    return costs


def quotas_of_artifacts(config: Config) -> dict[str, dict[str, int]]:
    """What all callers together may use of a server's artifact, by artifact and resource."""
    servers = _enabled(config).items()
    return {artifact_of(name): dict(server.limits) for name, server in servers if server.limits}


def _enabled(config: Config) -> dict[str, ServerSettings]:
    servers = config.genesis.mcp.servers.items()
    return {name: server for name, server in servers if server.enabled}
