"""Owns what a genesis artifact is made of: methods with handlers, and the narrow view that a handler gets.

A handler is pure: it sees the world through ``Context`` and changes it through the mutators there.
What a few may do beyond others is a capability of their artifact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .access import Allowed, Asks
from .actions import Contract, Tool
from .answers import Code, Done, EffectResult, Failed, Refused
from .artifact import ID_GRAMMAR, Artifact, bound, is_id
from .artifacts import no_room
from .config import QUOTA_MAX, STORED_BYTES, Cost, WorldConfig
from .contracts import CONTRACTS, payee_of
from .door import keep, normal, value_of
from .facts import (
    Allocated,
    ArtifactWritten,
    ContentReplaced,
    Encumbered,
    Fact,
    InterfaceDiscovered,
    Noted,
    OwnershipTransferred,
    QuotaTransferred,
    Scheduled,
    ScripHeld,
    ScripIssued,
    ScripReleased,
    ScripTransferred,
)
from .ledger import SCRIP_MAX
from .ports import EventLog
from .records import ENCODER, VALUES
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
"""(context, arguments) → the answer, or the effect; only a method with an effect may refuse.

Where such a method answers at once, its configured cost is charged and nothing is asked for.
"""
SettledHandler = Callable[["Context", Any, EffectResult], Done | Failed]
"""(context, payload of the request, result) → the answer; called for results without an error."""
TickHandler = Callable[["Context"], "Effect | None"]
"""(context) → the effect that it asks for, if any; called when the artifact is due."""
TICK = "tick"
"""The method that an effect of a ``TickHandler`` is asked for and configured under."""


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
        capabilities: ``interface`` (may set its own interface), ``encumber`` (may bind artifacts),
            ``issue`` (may make scrip), ``collect`` (may move scrip of who agreed to it before).
        tick: called when the artifact is due (``Context.schedule``), by itself, for nobody.
        ticked: takes every result of its effect, also one with an error.
    """

    id: str
    description: str
    methods: Mapping[str, Method]
    discovered: Callable[[Tool], Method] | None = None
    capabilities: frozenset[str] = frozenset()
    tick: TickHandler | None = None
    ticked: SettledHandler | None = None


class Context:
    """The world as a handler sees it: for one call, by one caller."""

    __slots__ = (
        "_may",
        "_note",
        "_spend",
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
        may: Callable[[str, Artifact, str], Allowed | Refused],
        spend: Callable[[int], Refused | None],
    ) -> None:
        self.state = state
        self.config = config
        self.natives = natives
        self.log = log
        self.costs = costs
        self._note = note
        self._may = may
        self._spend = spend
        self.caller = ""
        self.payer = ""
        self.artifact = ""

    def noted(self, key: str) -> Any:
        """What the handler's artifact noted under a key, as a new value; None for nothing."""
        kept = self.state.notes.get(self.artifact, key)
        return _copy(kept) if isinstance(kept, dict | list) else value_of(kept, self.log)

    def notes(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        """Keys of its notes that begin with ``prefix``, in order, behind ``after``: one page."""
        most = self.config.limits.page_max if limit is None else limit
        return self.state.notes.page(self.artifact, prefix, after, most)

    def put(self, key: str, value: Any) -> None:
        """Note any JSON value under a key; None removes it."""
        kept, blob = keep(_copy(normal(value)), self.config.limits.inline_bytes_max)
        if blob is not None:
            self.log.put_blob(kept.digest, blob)
        self._note(Noted(self.artifact, key, kept))

    def schedule(self, due_us: int) -> None:
        """Have its ``tick`` called at ``due_us``, instead of when it was to be; 0 is never."""
        assert due_us == 0 or due_us > self.state.now_us, due_us
        self._note(Scheduled(self.artifact, due_us))

    def principal(self, id: str) -> Failed | None:
        """None when ``id`` is a principal, else the failure that says it is not."""
        artifact = self.state.artifacts.by_id.get(id)
        if artifact is not None and artifact.standing:
            return None
        return Failed(
            Code.NO_STANDING,
            f"{id!r} is no principal: genesis_ledger balances lists those there are",
        )

    def may(self, artifact: Artifact, what: str) -> Allowed | Failed:
        """At which price the caller may ``read``, ``write``, ``edit``, ``delete`` or ``invoke`` an artifact.

        A contract that an agent wrote is asked, and the payer pays for it; so this is for handlers, not
        for what settles an effect. Whoever calls this also moves the price: ``transfer`` it if there is one.
        It counts for what the call may cost at most (``price_max_scrip``).
        """
        own = self.caller, self.payer, self.artifact
        may = self._may(self.caller, artifact, what)
        self.caller, self.payer, self.artifact = own
        if isinstance(may, Refused):
            return Failed(may.code, may.detail, retry_after_us=may.retry_after_us)
        if isinstance(may, Asks):
            detail = f"the contract {artifact.contract.id} of {artifact.id} asks a person: {what} it yourself"
            return Failed(Code.PERMISSION_DENIED, detail)
        no = self._spend(may.price_scrip)
        if no is not None:
            return Failed(no.code, no.detail)
        return Allowed(may.price_scrip, may.payee or payee_of(artifact))

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

    def hold(self, amount: int, expires_us: int = 0) -> int | Failed:
        """Set scrip of the caller aside; the hold's id, or the failure where it cannot be."""
        if amount <= 0:
            return Failed(Code.AMOUNT_INVALID, f"an amount is an integer from 1, not {amount}")
        available = self.state.ledger.available(self.caller)
        if amount > available:
            detail = f"{self.caller} can spend {available} scrip, not {amount}: earn more first"
            return Failed(Code.SCRIP_INSUFFICIENT, detail)
        hold = self.state.next_hold
        self._note(ScripHeld(hold, self.caller, amount, expires_us))
        return hold

    def pay(self, hold: int, payee: str, amount: int) -> None:
        """Pay ``amount`` of a hold that is open; the rest goes back."""
        self.split(hold, {payee: amount})

    def split(self, hold: int, shares: Mapping[str, int]) -> None:
        """Pay several of one hold that is open; the rest goes back.

        Each payment is a transfer of its own, so that a record tells who paid, whenever it was held.
        """
        held = self.state.ledger.holds[hold]
        assert sum(shares.values()) <= held.amount, held
        self._note(ScripReleased(hold, "void"))
        for payee, amount in shares.items():
            self._note(ScripTransferred(held.principal, payee, amount))

    def release(self, hold: int) -> None:
        """Give a hold back, if it is still open."""
        if hold in self.state.ledger.holds:
            self._note(ScripReleased(hold, "void"))

    def collect(self, debtor: str, payee: str, amount: int) -> int:
        """Move at most ``amount`` of what a debtor can spend; what was moved."""
        self._able("collect")
        moved = min(amount, self.state.ledger.available(debtor))
        if moved > 0:
            self._note(ScripTransferred(debtor, payee, moved))
        return max(moved, 0)

    def issue(self, principal: str, amount: int) -> int:
        """Make new scrip, as far as a world may hold it; how much."""
        self._able("issue")
        issued = max(0, min(amount, SCRIP_MAX - self.state.ledger.supply))
        if issued:
            self._note(ScripIssued(principal, issued))
        return issued

    def encumber(self, id: str) -> None:
        """Bind an artifact: nobody but the handler's artifact changes it, until ``free``."""
        self._able("encumber")
        self._note(Encumbered(id, self.artifact))

    def free(self, id: str) -> None:
        """Unbind an artifact."""
        self._able("encumber")
        self._note(Encumbered(id, ""))

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

    def text(self, artifact: Artifact) -> str:
        """The content of an artifact; whether the caller may read it is the handler's to ask."""
        return str(value_of(artifact.content, self.log))

    def spawn(
        self, id: str, owner: str, description: str, content: str = "", *, loop: bool = False
    ) -> Failed | None:
        """Make a principal without scrip or quotas; with a loop it is an agent.

        Returns:
            The failure where it cannot be.
        """
        if loop and len(self.state.agenda.due_us) >= self.config.limits.agents_max:
            most = self.config.limits.agents_max
            detail = f"there are {most} agents, and a world holds no more: buy one that there is"
            return Failed(Code.QUOTA_EXCEEDED, detail)
        return self._made(id, owner, "principal", description, content, Contract(), loop)

    def make(
        self,
        id: str,
        owner: str,
        type: str,
        description: str,
        content: str,
        contract: Contract | None = None,
    ) -> Failed | None:
        """Make an artifact that is no principal; the failure where it cannot be."""
        assert type != "principal", id
        return self._made(id, owner, type, description, content, contract or Contract())

    def rewrite(self, artifact: Artifact, content: str) -> Failed | None:
        """Replace an artifact's content; its bytes count as those of a write by the caller."""
        if artifact.encumbered_by not in ("", self.artifact):
            return Failed(Code.ENCUMBERED, bound(artifact))
        size = len(artifact.description.encode()) + len(content.encode())
        before = artifact.stored_bytes
        who = self.state.artifacts.principal_of(self.caller)
        failed = self._unstorable(who, size, before if artifact.stored_for == who else 0)
        if failed is not None:
            return failed
        self._store(artifact.stored_for, before, who, size)
        kept, blob = keep(content, self.config.limits.inline_bytes_max)
        if blob is not None:
            self.log.put_blob(kept.digest, blob)
        self._note(ContentReplaced(artifact.id, kept, who, size))
        return None

    def _made(
        self,
        id: str,
        owner: str,
        type: str,
        description: str,
        content: str,
        contract: Contract,
        loop: bool = False,
    ) -> Failed | None:
        """Make an artifact; its bytes count as those of a write by the caller."""
        limits = self.config.limits
        failed = self._unfit(id, description)
        if failed is not None:
            return failed
        size = len(description.encode()) + len(content.encode())
        who = self.state.artifacts.principal_of(self.caller)
        failed = self._unstorable(who, size)
        if failed is not None:
            return failed
        self._store("", 0, who, size)
        kept, blob = keep(content, limits.inline_bytes_max)
        if blob is not None:
            self.log.put_blob(kept.digest, blob)
        standing = type == "principal"
        self._note(
            ArtifactWritten(
                id,
                owner,
                type,
                description,
                kept,
                contract,
                (),
                standing,
                loop,
                who,
                size,
            )
        )
        return None

    def _store(self, old: str, freed: int, new: str, size: int) -> None:
        """Have bytes of one principal make room, and other bytes take that of another."""
        if freed:
            self._note(Allocated(old, STORED_BYTES, -freed))
        if size:
            self._note(Allocated(new, STORED_BYTES, size))

    def _unstorable(self, who: str, size: int, freed: int = 0) -> Failed | None:
        """Why a principal cannot store so many bytes in the place of those freed, or None."""
        most = self.config.limits.content_bytes_max
        if size > most:
            return Failed(Code.CONTENT_TOO_LARGE, f"content has at most {most} bytes")
        left = self.state.resources.remaining(who, STORED_BYTES, self.state.now_us) + freed
        return None if size <= left else Failed(Code.QUOTA_EXCEEDED, no_room(who, size, left))

    def _unfit(self, id: str, description: str) -> Failed | None:
        """Why an artifact of this id and description cannot be made, or None."""
        artifacts, limits = self.state.artifacts, self.config.limits
        if id in artifacts.by_id:
            return Failed(Code.ID_TAKEN, f"there is an artifact {id!r} already: take another id")
        if id in artifacts.gone:
            detail = f"{id!r} was deleted; its id is not used again: take another"
            return Failed(Code.ID_TAKEN, detail)
        if not is_id(id, limits.id_chars_max):
            detail = f"an id is {ID_GRAMMAR}, at most {limits.id_chars_max} characters"
            return Failed(Code.ID_INVALID, detail)
        if id in CONTRACTS:
            return Failed(Code.ID_TAKEN, f"{id!r} is the name of a contract: take another id")
        if len(description) > limits.description_chars_max:
            detail = f"a description has at most {limits.description_chars_max} characters"
            return Failed(Code.DEFINITION_INVALID, detail)
        return None

    def transfer_ownership(self, artifact: Artifact, owner: str, stored_for: str) -> Failed | None:
        """Give an artifact to another principal; the failure where it cannot be.

        Args:
            stored_for: whose quota holds its bytes from now on: who holds them now
                (``artifact.stored_for``), where the new owner did not agree to them.
        """
        if artifact.encumbered_by not in ("", self.artifact):
            return Failed(Code.ENCUMBERED, bound(artifact))
        size = artifact.stored_bytes
        if stored_for != artifact.stored_for:
            failed = self._unstorable(stored_for, size)
            if failed is not None:
                return failed
            self._store(artifact.stored_for, size, stored_for, size)
        self._note(OwnershipTransferred(artifact.id, owner, stored_for))
        return None

    def discover(self, interface: tuple[Tool, ...]) -> None:
        """Set the interface of the handler's own artifact."""
        self._able("interface")
        self._note(InterfaceDiscovered(self.artifact, interface))

    def _able(self, capability: str) -> None:
        assert capability in self.natives[self.artifact].capabilities, (self.artifact, capability)


def _copy(value: Any) -> Any:
    """A value that shares nothing with the first."""
    return VALUES.decode(ENCODER.encode(value))
