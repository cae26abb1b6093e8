"""Owns contracts: the built-in ones as a table from id to function, and which may be set.

There is no owner bypass: what the owner may do, the contract says too. A contract that is not built in
is an artifact of type ``code`` with a method ``check``; ``access.py`` asks it.

    ===========  ==========  ==========  ==================  ======
    contract     read        invoke      write, edit         delete
    ===========  ==========  ==========  ==================  ======
    private      owner       owner       owner               owner
    public       anyone      anyone      anyone              owner
    freeware     anyone      anyone      owner               owner
    pay_per_use  at a price  at a price  owner               owner
    members      members     members     members             owner
    ===========  ==========  ==========  ==================  ======

Under ``pay_per_use`` the owner itself pays nothing; under ``members`` the owner is a member.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from .actions import Contract
from .answers import Code, Refused
from .artifact import Artifact, is_id
from .config import ArtifactSpec, Limits

READ, INVOKE, WRITE, EDIT, DELETE = "read", "invoke", "write", "edit", "delete"
CODE = "code"
"""The type of artifacts that agent-written code stands in."""
CHECK = "check"
"""The method of a contract that an agent wrote."""

_USES = (INVOKE, READ)

Check = Callable[[Artifact, str, str], int | None]
"""(artifact, caller, what) → the price in scrip, or None where the contract denies."""


def _private(artifact: Artifact, caller: str, what: str) -> int | None:
    return 0 if caller == artifact.owner else None


def _public(artifact: Artifact, caller: str, what: str) -> int | None:
    return 0 if what != DELETE or caller == artifact.owner else None


def _freeware(artifact: Artifact, caller: str, what: str) -> int | None:
    return 0 if what in _USES or caller == artifact.owner else None


def _pay_per_use(artifact: Artifact, caller: str, what: str) -> int | None:
    if caller == artifact.owner:
        return 0
    return artifact.contract.price_scrip if what in _USES else None


def _members(artifact: Artifact, caller: str, what: str) -> int | None:
    if caller == artifact.owner:
        return 0
    return 0 if what != DELETE and caller in artifact.contract.members else None


CONTRACTS: dict[str, Check] = {
    "private": _private,
    "public": _public,
    "freeware": _freeware,
    "pay_per_use": _pay_per_use,
    "members": _members,
}


def check(artifact: Artifact, caller: str, what: str) -> int | None:
    """The price in scrip at which a built-in contract lets ``caller`` do ``what``; asks no code.

    Returns:
        The price, or None where it may not, and where only the contract that an agent wrote could tell.
    """
    rule = CONTRACTS.get(artifact.contract.id)
    return None if rule is None else rule(artifact, caller, what)


def denied(artifact: Artifact, caller: str, what: str, why: str = "") -> Refused:
    """The refusal of a contract."""
    detail = f"the contract {artifact.contract.id} of {artifact.id} does not let {caller} {what} it"
    return Refused(Code.PERMISSION_DENIED, f"{detail}: {why}" if why else detail)


def payee_of(artifact: Artifact) -> str:
    """Who gets the price of an artifact: itself as a principal, else its owner."""
    return artifact.id if artifact.standing else artifact.owner


def unusable(id: str, artifact: Artifact | ArtifactSpec | None) -> str | None:
    """Why an artifact is no contract, or None."""
    if artifact is None:
        return f"there is no contract {id!r}"
    if artifact.type != CODE:
        return f"{id} is of type {artifact.type}: a contract is an artifact of type {CODE}"
    if all(tool.name != CHECK for tool in artifact.interface):
        return f"{id} has no method {CHECK} in its interface, so it is no contract"
    return None


def fault_of(
    contract: Contract,
    limits: Limits,
    artifacts: Mapping[str, Artifact] | Mapping[str, ArtifactSpec],
    near: Callable[[str], list[str]] = lambda id: [],
) -> str | None:
    """What is wrong with a contract that somebody wants to set, or None.

    Args:
        artifacts: those there are. near: ids of some that are like an id.
    """
    id = contract.id
    if id not in CONTRACTS:
        fault = unusable(id, artifacts.get(id))
        if fault is not None:
            others = [*CONTRACTS, *(other for other in near(id) if other != id)]
            nearest = get_close_matches(id[: limits.id_chars_max], others, 1)
            hint = f"did you mean {nearest[0]!r}? " if nearest else ""
            known = ", ".join(CONTRACTS)
            return f"{fault[:300]}: {hint}use one of {known}, or code with a method {CHECK}"
    if contract.price_scrip < 0:
        return f"a price is an integer from 0, not {contract.price_scrip}"
    if contract.price_scrip and id != "pay_per_use":
        return f"only pay_per_use has a price: {id} takes price_scrip 0"
    if len(contract.members) > limits.members_max:
        return f"at most {limits.members_max} members, not {len(contract.members)}"
    for member in contract.members:
        if not is_id(member, limits.id_chars_max):
            return f"a member is the id of a principal, not {member[:80]!r}"
    return None
