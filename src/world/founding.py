"""Owns the first record's facts: the genesis artifacts, the first principals, their scrip and quotas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from .actions import Contract
from .answers import Code
from .artifact import ID_GRAMMAR, is_id
from .config import (
    COMPUTE,
    GENESIS,
    QUOTA_MAX,
    STORED_BYTES,
    ArtifactSpec,
    Cost,
    PrincipalSpec,
    WorldConfig,
)
from .contracts import fault_of
from .door import keep
from .facts import Allocated, ArtifactWritten, Fact, LimitSet, ScripIssued
from .ledger import SCRIP_MAX
from .natives import Native
from .ports import EventLog

_KINDS = ("renewable", "depletable", "allocatable")


def found(
    note: Callable[[Fact], None], log: EventLog, config: WorldConfig, natives: Mapping[str, Native]
) -> None:
    """Note the facts that a world begins with.

    Raises:
        ValueError: the configuration contradicts itself; its text says where.
    """
    for fault in _faults(config, natives):
        raise ValueError(fault)
    note(
        _artifact(
            GENESIS, GENESIS, "principal", "owns what was there at the beginning", True, False
        )
    )
    for id, native in sorted(natives.items()):
        note(
            ArtifactWritten(
                id,
                GENESIS,
                "genesis",
                native.description,
                "",
                Contract("freeware"),
                tuple(method.tool for method in native.methods.values()),
                False,
                False,
                GENESIS,
                0,
            )
        )
        for resource, limit in config.artifact_quotas.get(id, {}).items():
            note(LimitSet(id, resource, limit))
    for spec in config.principals:
        _principal(note, log, config, spec)
    for artifact in config.artifacts:
        _owned(note, log, config, artifact)


def _principal(
    note: Callable[[Fact], None], log: EventLog, config: WorldConfig, spec: PrincipalSpec
) -> None:
    content, size = _content(log, config, spec.content)
    size += len(spec.description.encode())
    note(_artifact(spec.id, spec.id, "principal", spec.description, True, spec.loop, content, size))
    if size:
        note(Allocated(spec.id, STORED_BYTES, size))
    if spec.scrip:
        note(ScripIssued(spec.id, spec.scrip))
    for resource, limit in spec.quotas.items():
        note(LimitSet(spec.id, resource, limit))


def _owned(
    note: Callable[[Fact], None], log: EventLog, config: WorldConfig, spec: ArtifactSpec
) -> None:
    content, size = _content(log, config, spec.content)
    size += len(spec.description.encode())
    note(
        ArtifactWritten(
            spec.id,
            spec.owner,
            spec.type,
            spec.description,
            content,
            spec.contract,
            (),
            False,
            False,
            spec.owner,
            size,
        )
    )
    if size:
        note(Allocated(spec.owner, STORED_BYTES, size))


def _artifact(
    id: str,
    owner: str,
    type: str,
    description: str,
    standing: bool,
    loop: bool,
    content: object = "",
    size: int = 0,
) -> ArtifactWritten:
    return ArtifactWritten(
        id, owner, type, description, content, Contract(), (), standing, loop, owner, size
    )


def _content(log: EventLog, config: WorldConfig, text: str) -> tuple[object, int]:
    content, blob = keep(text, config.limits.inline_bytes_max)
    if blob is not None:
        log.put_blob(content.digest, blob)
    return content, len(text.encode())


def _faults(config: WorldConfig, natives: Mapping[str, Native]) -> Iterator[str]:
    kinds = {name: resource.kind for name, resource in config.resources.items()}
    if kinds.get(COMPUTE) != "renewable" or kinds.get(STORED_BYTES) != "allocatable":
        yield f"resources: {COMPUTE} must be renewable and {STORED_BYTES} allocatable"
    for name, resource in config.resources.items():
        if resource.kind not in _KINDS:
            yield f"resource {name}: kind must be one of {', '.join(_KINDS)}"
        if resource.kind == "renewable" and resource.window_us <= 0:
            yield f"resource {name}: a renewable resource needs a window_us from 1"
    if config.pace_us <= 0:
        yield "pace_us is an integer from 1: a loop takes its steps one after the other"
    for name in config.refunded:
        if name not in Code.__members__:
            yield f"refunded: {name!r} is no code of a failure"
    yield from _cost_faults(config, kinds)
    for id, quotas in config.artifact_quotas.items():
        if id not in natives:
            yield f"artifact_quotas: there is no genesis artifact {id!r}"
        for name, limit in quotas.items():
            if name not in kinds or kinds[name] == "allocatable" or not 0 < limit <= QUOTA_MAX:
                yield f"artifact_quotas: {id}: {name}: {limit} is no limit of a resource"
    seen = {GENESIS, *natives}
    for id in (*(p.id for p in config.principals), *(a.id for a in config.artifacts)):
        if not is_id(id, config.limits.id_chars_max):
            yield f"{id!r} is no id: an id is {ID_GRAMMAR}"
        if id in seen:
            yield f"the id {id!r} is given twice"
        seen.add(id)
    principals = {GENESIS, *(spec.id for spec in config.principals)}
    if sum(spec.scrip for spec in config.principals) > SCRIP_MAX:
        yield f"a world holds at most {SCRIP_MAX} scrip"
    for principal in config.principals:
        if principal.scrip < 0:
            yield f"principal {principal.id}: scrip is an integer from 0"
        for name, limit in principal.quotas.items():
            if name not in kinds or not 0 <= limit <= QUOTA_MAX:
                yield f"principal {principal.id}: quota {name}: {limit} is no limit of a resource"
    for artifact in config.artifacts:
        if artifact.owner not in principals:
            yield f"artifact {artifact.id}: its owner {artifact.owner!r} is no principal"
        if artifact.type in ("code", "genesis", "principal"):
            yield f"artifact {artifact.id}: type {artifact.type} is not made by configuration"
        fault = fault_of(artifact.contract, config.limits)
        if fault is not None:
            yield f"artifact {artifact.id}: {fault}"


def _cost_faults(config: WorldConfig, kinds: Mapping[str, str]) -> Iterator[str]:
    costs: dict[str, Cost] = {f"actions.{name}": cost for name, cost in config.actions.items()}
    costs["method_cost"] = config.method_cost
    for artifact, methods in config.costs.items():
        costs |= {f"costs.{artifact}.{method}": cost for method, cost in methods.items()}
    for where, cost in costs.items():
        for name, amount in cost.resources.items():
            if kinds.get(name, "allocatable") == "allocatable" or amount < 0:
                yield f"{where}: {name}: {amount} is no cost in a renewable or depletable resource"
        if cost.price_scrip < 0 or cost.latency_us < 0 or cost.timeout_us < cost.latency_us:
            yield f"{where}: price_scrip and latency_us from 0, timeout_us from latency_us"
