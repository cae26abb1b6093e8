"""Owns the numbers and the first inhabitants of a world: part of its first record, so a log explains itself."""

from __future__ import annotations

from typing import Any

import msgspec

from .actions import Contract, Tool

COMPUTE = "compute"
STORED_BYTES = "stored_bytes"
GENESIS = "genesis"
DAY_US = 86_400_000_000
QUOTA_MAX = 2**62
"""The most that a quota can be, so that no sum leaves 64 bits."""


class Resource(msgspec.Struct, frozen=True):
    """A metered resource.

    Attributes:
        kind: ``renewable`` (a limit in every rolling window), ``depletable`` or ``allocatable``.
        window_us: length of the window; only for renewable ones.
    """

    kind: str
    window_us: int = 0


class Cost(msgspec.Struct, frozen=True):
    """What one call of a method costs.

    Attributes:
        resources: amounts by resource, paid by the principal at the root of the frames.
        price_scrip: paid by the immediate caller to the owner of the artifact.
        latency_us: the modelled time that an effect takes on the virtual clock.
        timeout_us: when an effect times out, after its request.
        result_bytes_max: the largest result that an effect may have, encoded.
        repeatable: whether an effect may be performed again after a crash.
    """

    resources: dict[str, int] = {}
    price_scrip: int = 0
    latency_us: int = 500_000
    timeout_us: int = 30_000_000
    result_bytes_max: int = 4_000_000
    repeatable: bool = False


class Limits(msgspec.Struct, frozen=True):
    """A limit on everything. Bytes are encoded bytes, except for content (UTF-8)."""

    action_bytes_max: int = 262_144
    content_bytes_max: int = 1_000_000
    args_depth_max: int = 16
    inline_bytes_max: int = 1_024
    id_chars_max: int = 64
    description_chars_max: int = 400
    tools_max: int = 64
    members_max: int = 1_000
    schema_nodes_max: int = 2_000
    frame_depth_max: int = 16
    calls_max: int = 1_000
    check_calls_max: int = 16
    compute_max: int = 1_000
    watch_max: int = 16
    keys_max: int = 256
    page_max: int = 100
    signals_max: int = 16
    agents_max: int = 1_000
    agents_per_principal_max: int = 20


class PrincipalSpec(msgspec.Struct, frozen=True):
    """A principal of the first record: scrip and quotas that it begins with."""

    id: str
    scrip: int = 0
    quotas: dict[str, int] = {}
    loop: bool = False
    content: str = ""
    description: str = ""


class ArtifactSpec(msgspec.Struct, frozen=True):
    """An artifact of the first record; only one of type ``code`` has an ``interface``."""

    id: str
    owner: str
    content: str = ""
    type: str = "text"
    description: str = ""
    contract: Contract = Contract()
    interface: tuple[Tool, ...] = ()


class WorldConfig(msgspec.Struct, frozen=True):
    """Everything that decides what a world answers, besides its inputs.

    Attributes:
        seed: what all chance comes from.
        admission_compute: charged for every action that is looked at.
        actions: the cost of read, write, edit and delete, by name.
        costs: the cost of methods, by artifact and method; method ``*`` is the artifact's default.
        method_cost: the cost of a method that ``costs`` does not name.
        call_back_compute: charged for each call back of agent-written code, besides the action's cost; once
            more each time that it is gone through again after a wait.
        contract_compute: charged each time that a contract which an agent wrote is asked, besides its
            calls back; also when it denies.
        job_cost: the cost of a job that ``costs`` does not name.
        approval_cost: the cost of asking a person to approve an action.
        refunded: names of the failure codes of effects whose held quota is given back.
        pace_us: the time between two steps of a loop.
        artifact_quotas: what all callers together may use of an artifact whose methods have
            effects, by artifact and resource; counted when an effect is asked for.
        natives: what genesis artifacts were made with, by artifact, where that decides what they
            answer; the kernel keeps it, and whoever proves the log makes them of it again.
    """

    seed: int = 0
    admission_compute: int = 1
    actions: dict[str, Cost] = {}
    costs: dict[str, dict[str, Cost]] = {}
    method_cost: Cost = msgspec.field(default_factory=lambda: Cost({COMPUTE: 1}))
    call_back_compute: int = 1
    contract_compute: int = 1
    job_cost: Cost = msgspec.field(default_factory=lambda: Cost({COMPUTE: 10}))
    approval_cost: Cost = msgspec.field(
        default_factory=lambda: Cost({COMPUTE: 1}, timeout_us=DAY_US, repeatable=True)
    )
    refunded: tuple[str, ...] = ("TOOL_UNAVAILABLE", "EFFECT_INTERRUPTED")
    pace_us: int = 100_000
    resources: dict[str, Resource] = msgspec.field(
        default_factory=lambda: {
            COMPUTE: Resource("renewable", 60_000_000),
            STORED_BYTES: Resource("allocatable"),
        }
    )
    limits: Limits = Limits()
    principals: tuple[PrincipalSpec, ...] = ()
    artifacts: tuple[ArtifactSpec, ...] = ()
    artifact_quotas: dict[str, dict[str, int]] = {}
    natives: dict[str, Any] = {}
