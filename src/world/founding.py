"""Owns the first record's facts: the genesis artifacts, the first principals, their scrip and quotas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .actions import Contract
from .answers import Code
from .artifact import ID_GRAMMAR, is_id
from .changes import fault_of_code, fault_of_interface
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
from .contracts import CODE, CONTRACTS, fault_of
from .facts import Allocated, ArtifactWritten, LimitSet, ScripIssued
from .ledger import SCRIP_MAX
from .natives import Native
from .ports import CodeRunner
from .transaction import Transaction

_KINDS = ("renewable", "depletable", "allocatable")


class ArtifactFault(ValueError):
    """An artifact of the first record cannot be.

    Attributes:
        id: whose. field: of its specification. reason: why, as a write would be told.
    """

    def __init__(self, id: str, field: str, reason: str) -> None:
        super().__init__(f"artifact {id}: {reason}")
        self.id = id
        self.field = field
        self.reason = reason


def found(
    tx: Transaction, config: WorldConfig, natives: Mapping[str, Native], code: CodeRunner
) -> None:
    """Note the facts that a world begins with.

    Raises:
        ValueError: the configuration contradicts itself; its text says where.
        ArtifactFault: an artifact of it cannot be.
    """
    note = tx.note
    for fault in _faults(config, natives):
        raise ValueError(fault)
    for artifact in config.artifacts:
        wrong = _fault_of(tx, config, code, artifact)
        if wrong is not None:
            raise ArtifactFault(artifact.id, *wrong)
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
        _principal(tx, spec)
    for artifact in config.artifacts:
        _owned(tx, artifact)


def _principal(tx: Transaction, spec: PrincipalSpec) -> None:
    note, content = tx.note, tx.keep(spec.content)
    size = len(spec.content.encode()) + len(spec.description.encode())
    note(_artifact(spec.id, spec.id, "principal", spec.description, True, spec.loop, content, size))
    if size:
        note(Allocated(spec.id, STORED_BYTES, size))
    if spec.scrip:
        note(ScripIssued(spec.id, spec.scrip))
    for resource, limit in spec.quotas.items():
        note(LimitSet(spec.id, resource, limit))


def _owned(tx: Transaction, spec: ArtifactSpec) -> None:
    size = len(spec.content.encode()) + len(spec.description.encode())
    tx.note(
        ArtifactWritten(
            spec.id,
            spec.owner,
            spec.type,
            spec.description,
            tx.keep(spec.content),
            spec.contract,
            spec.interface,
            False,
            False,
            spec.owner,
            size,
        )
    )
    if size:
        tx.note(Allocated(spec.owner, STORED_BYTES, size))


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


def _fault_of(
    tx: Transaction, config: WorldConfig, code: CodeRunner, spec: ArtifactSpec
) -> tuple[str, str] | None:
    """What is wrong with an artifact: which field of it, and why; as a write would be told."""
    if spec.type in ("genesis", "principal"):
        return "type", f"type {spec.type} is not made by configuration"
    fault = fault_of(spec.contract, config.limits, {a.id: a for a in config.artifacts})
    if fault is not None:
        return "contract", fault
    if len(spec.content.encode()) > config.limits.content_bytes_max:
        return "content", f"content has at most {config.limits.content_bytes_max} bytes"
    if spec.type != CODE:
        told = "only an artifact of type code has an interface of its own"
        return ("interface", told) if spec.interface else None
    fault = fault_of_code(tx, code, spec.content)
    if fault is not None:
        return "content", fault
    fault = fault_of_interface(spec.interface, config.limits)
    return None if fault is None else ("interface", fault)


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
        if id in CONTRACTS:
            yield f"the id {id!r} is the name of a contract"
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


def _cost_faults(config: WorldConfig, kinds: Mapping[str, str]) -> Iterator[str]:
    costs: dict[str, Cost] = {f"actions.{name}": cost for name, cost in config.actions.items()}
    costs["method_cost"] = config.method_cost
    costs["job_cost"] = config.job_cost
    costs["approval_cost"] = config.approval_cost
    for artifact, methods in config.costs.items():
        costs |= {f"costs.{artifact}.{method}": cost for method, cost in methods.items()}
    for where, cost in costs.items():
        for name, amount in cost.resources.items():
            if kinds.get(name, "allocatable") == "allocatable" or amount < 0:
                yield f"{where}: {name}: {amount} is no cost in a renewable or depletable resource"
        if cost.price_scrip < 0 or cost.latency_us < 0 or cost.timeout_us < cost.latency_us:
            yield f"{where}: price_scrip and latency_us from 0, timeout_us from latency_us"
