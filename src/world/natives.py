"""Owns what a genesis artifact is made of: methods with handlers, and the narrow view that a handler gets.

A handler is pure: it sees the world through ``Context`` and changes it through the mutators there.
What a few may do beyond others is a capability of their artifact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .actions import Contract, Tool
from .answers import Code, Done, EffectResult, Failed, Refused
from .artifact import ID_GRAMMAR, Artifact, is_id
from .config import QUOTA_MAX, STORED_BYTES, Cost, WorldConfig
from .facts import (
    Allocated,
    ArtifactWritten,
    Fact,
    InterfaceDiscovered,
    OwnershipTransferred,
    QuotaTransferred,
    ScripTransferred,
)
from .ports import EventLog
from .state import State


class Effect(msgspec.Struct, frozen=True):
    """A handler's request to the outside.

    Attributes:
        performer: the name that the effect is performed under.
        payload: any JSON value; what the performer gets.
        amounts: what is held for it, by resource, where the configured cost is not what it takes;
            the configured cost is asked for first, so it is the least.
    """

    performer: str
    payload: Any
    amounts: dict[str, int] | None = None


Handler = Callable[["Context", dict[str, Any]], "Done | Failed | Refused | Effect"]
"""(context, arguments) → the answer, or the effect; only a method with an effect may refuse."""
SettledHandler = Callable[["Context", Any, EffectResult], Done | Failed]
"""(context, payload of the request, result) → the answer; called for results without an error."""


class Method(msgspec.Struct, frozen=True):
    """A method of a genesis artifact.

    Attributes:
        effect: its handler answers with an ``Effect``, so its cost is held, not charged.
        settled: turns the result of its effect into the answer; None passes the value on.
    """

    tool: Tool
    handler: Handler
    effect: bool = False
    settled: SettledHandler | None = None


class Native(msgspec.Struct, frozen=True):
    """A genesis artifact.

    Attributes:
        methods: by name.
        discovered: makes a method of each tool that the artifact's interface gains later.
        capabilities: ``interface`` (may set its own interface).
    """

    id: str
    description: str
    methods: Mapping[str, Method]
    discovered: Callable[[Tool], Method] | None = None
    capabilities: frozenset[str] = frozenset()


class Context:
    """The world as a handler sees it: for one call, by one caller."""

    __slots__ = (
        "_note",
        "artifact",
        "caller",
        "config",
        "costs",
        "log",
        "natives",
        "payer",
        "state",
    )

    def __init__(
        self,
        state: State,
        config: WorldConfig,
        natives: Mapping[str, Native],
        log: EventLog,
        note: Callable[[Fact], None],
        costs: Callable[[str, str], Cost],
    ) -> None:
        self.state = state
        self.config = config
        self.natives = natives
        self.log = log
        self.costs = costs
        self._note = note
        self.caller = ""
        self.payer = ""
        self.artifact = ""

    def principal(self, id: str) -> Failed | None:
        """None when ``id`` is a principal, else the failure that says it is not."""
        artifact = self.state.artifacts.by_id.get(id)
        if artifact is not None and artifact.standing:
            return None
        return Failed(
            Code.NO_STANDING,
            f"{id!r} is no principal: genesis_ledger balances lists those there are",
        )

    def transfer(self, payee: str, amount: int) -> Failed | None:
        """Move scrip from the caller; the failure where it cannot be."""
        if amount <= 0:
            return Failed(Code.AMOUNT_INVALID, f"an amount is an integer from 1, not {amount}")
        available = self.state.ledger.available(self.caller)
        if amount > available:
            return Failed(
                Code.SCRIP_INSUFFICIENT,
                f"{self.caller} can spend {available} scrip, not {amount}: earn more or send less",
            )
        if payee not in self.state.ledger.balances:
            return self.principal(payee)
        self._note(ScripTransferred(self.caller, payee, amount))
        return None

    def transfer_quota(self, taker: str, resource: str, amount: int) -> Failed | None:
        """Move a right to use from the caller: at most what remains, holds counted as used."""
        resources = self.state.resources
        if amount <= 0:
            return Failed(Code.AMOUNT_INVALID, f"an amount is an integer from 1, not {amount}")
        if taker not in self.state.ledger.balances:
            return self.principal(taker)
        if resource not in resources.kinds:
            known = ", ".join(resources.kinds)
            return Failed(Code.NOT_FOUND, f"there is no resource {resource!r}: there is {known}")
        remaining = resources.remaining(self.caller, resource, self.state.now_us)
        if amount > remaining:
            wait = resources.time_until(self.caller, resource, amount, self.state.now_us)
            detail = f"{max(remaining, 0)} of {resource} can be transferred now, not {amount}"
            return Failed(Code.QUOTA_EXCEEDED, detail, retry_after_us=wait)
        if resources.limit(taker, resource) + amount > QUOTA_MAX:
            detail = f"a quota is at most {QUOTA_MAX}: {taker} cannot take {amount} more"
            return Failed(Code.AMOUNT_INVALID, detail)
        self._note(QuotaTransferred(self.caller, taker, resource, amount))
        return None

    def spawn(self, id: str, owner: str, description: str) -> Failed | None:
        """Make a principal without scrip or quotas; the failure where it cannot be.

        The payer's quota holds the bytes of the description.
        """
        artifacts, limits = self.state.artifacts, self.config.limits
        if id in artifacts.by_id:
            return Failed(Code.ID_TAKEN, f"there is an artifact {id!r} already: take another id")
        if id in artifacts.gone:
            detail = f"{id!r} was deleted; its id is not used again: take another"
            return Failed(Code.ID_TAKEN, detail)
        if not is_id(id, limits.id_chars_max):
            detail = f"an id is {ID_GRAMMAR}, at most {limits.id_chars_max} characters"
            return Failed(Code.ID_INVALID, detail)
        if len(description) > limits.description_chars_max:
            detail = f"a description has at most {limits.description_chars_max} characters"
            return Failed(Code.DEFINITION_INVALID, detail)
        size = len(description.encode())
        left = self.state.resources.remaining(self.payer, STORED_BYTES, self.state.now_us)
        if size > left:
            detail = f"it takes {size} stored_bytes and {self.payer} has {max(left, 0)}: delete something first"
            return Failed(Code.QUOTA_EXCEEDED, detail)
        if size:
            self._note(Allocated(self.payer, STORED_BYTES, size))
        self._note(
            ArtifactWritten(
                id,
                owner,
                "principal",
                description,
                "",
                Contract(),
                (),
                True,
                False,
                self.payer,
                size,
            )
        )
        return None

    def transfer_ownership(self, artifact: Artifact, owner: str) -> Failed | None:
        """Give an artifact, and the bytes that it stores, to another principal."""
        resources = self.state.resources
        size = artifact.stored_bytes
        if owner != artifact.stored_for:
            left = resources.remaining(owner, STORED_BYTES, self.state.now_us)
            if size > left:
                detail = f"{owner} has room for {max(left, 0)} bytes, not for the {size} of {artifact.id}"
                return Failed(Code.QUOTA_EXCEEDED, detail)
            if size:
                self._note(Allocated(artifact.stored_for, STORED_BYTES, -size))
                self._note(Allocated(owner, STORED_BYTES, size))
        self._note(OwnershipTransferred(artifact.id, owner))
        return None

    def discover(self, interface: tuple[Tool, ...]) -> None:
        """Set the interface of the handler's own artifact."""
        assert "interface" in self.natives[self.artifact].capabilities, self.artifact
        self._note(InterfaceDiscovered(self.artifact, interface))
