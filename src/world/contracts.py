"""Owns access: the built-in contracts as a table from id to function. The immediate caller is checked.

There is no owner bypass: what the owner may do, the contract says too. A contract that does not
exist denies everyone, its owner included.

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

from collections.abc import Callable

from .actions import Contract
from .artifact import Artifact, is_id
from .config import Limits

READ, INVOKE, WRITE, DELETE = "read", "invoke", "write", "delete"

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
    """The price in scrip at which ``caller`` may do ``what``, or None where it may not."""
    rule = CONTRACTS.get(artifact.contract.id)
    return None if rule is None else rule(artifact, caller, what)


def fault_of(contract: Contract, limits: Limits) -> str | None:
    """What is wrong with a contract that somebody wants to set, or None."""
    if contract.id not in CONTRACTS:
        return f"there is no contract {contract.id!r}: use one of {', '.join(CONTRACTS)}"
    if contract.price_scrip < 0:
        return f"a price is an integer from 0, not {contract.price_scrip}"
    if contract.price_scrip and contract.id != "pay_per_use":
        return f"only pay_per_use has a price: {contract.id} takes price_scrip 0"
    if len(contract.members) > limits.members_max:
        return f"at most {limits.members_max} members, not {len(contract.members)}"
    for member in contract.members:
        if not is_id(member, limits.id_chars_max):
            return f"a member is the id of a principal, not {member[:80]!r}"
    return None
