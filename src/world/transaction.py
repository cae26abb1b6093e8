"""Owns one input under way: the facts that it noted, how to walk back, and the meter of who pays.

Charges are kept apart from facts until the input ends, so a rollback never gives them back.
"""

from __future__ import annotations

from typing import Any

from .answers import Answer, Code, Done, Refused
from .config import COMPUTE, Cost
from .door import keep, value_of
from .facts import Charged, EffectRequested, Fact, ResourceUsed, ScripPosted, ScripReleased
from .ports import EventLog
from .records import BlobRef
from .state import State


class Price:
    """A cost, ready to be asked: compute apart from the other resources."""

    __slots__ = ("amounts", "compute", "cost", "others", "scrip")

    def __init__(self, cost: Cost) -> None:
        self.cost = cost
        self.amounts = {name: n for name, n in sorted(cost.resources.items()) if n}
        self.compute = self.amounts.get(COMPUTE, 0)
        self.others = tuple((name, n) for name, n in self.amounts.items() if name != COMPUTE)
        self.scrip = cost.price_scrip


class Transaction:
    """What the input under way did so far.

    Attributes:
        payer: the principal at the root of the frames; it pays for resources.
        compute_left: what the input may still use; ``compute_capped`` says that the caller's own
            ``compute_max`` bounds it, not the quota.
        price_max: the most scrip that the action under way may still cost; None for any.
        key: the idempotency key of the action. origin: the effect that its principal waits for.
        outcomes: of the code runner. requests: effects asked for. frames: of code, how many began.
    """

    __slots__ = (
        "_appliers",
        "_befores",
        "_resources",
        "compute_capped",
        "compute_left",
        "facts",
        "frames",
        "inline_bytes_max",
        "key",
        "log",
        "origin",
        "outcomes",
        "payer",
        "price_max",
        "requests",
        "state",
    )

    def __init__(self, state: State, log: EventLog, inline_bytes_max: int) -> None:
        self.state = state
        self.log = log
        self.inline_bytes_max = inline_bytes_max
        self.facts: list[Fact] = []
        self.outcomes: list[Any] = []
        self.requests: list[EffectRequested] = []
        self._befores: list[Any] = []
        self._appliers = state.appliers
        self._resources = state.resources
        self.begin("")

    def begin(self, payer: str) -> None:
        """Start over, for an input that ``payer`` pays for."""
        self.facts.clear()
        self._befores.clear()
        self.outcomes.clear()
        self.requests.clear()
        self.payer = payer
        self.frames = 0
        self.compute_left = 0
        self.compute_capped = False
        self.price_max: int | None = None
        self.key: str | None = None
        self.origin = ""
        self._resources.begin(payer)

    def note(self, fact: Fact) -> None:
        """Apply a fact, and remember it with what its inverse needs."""
        self._befores.append(self._appliers[type(fact)](fact))
        self.facts.append(fact)

    def mark(self) -> int:
        """A place to walk back to."""
        return len(self.facts)

    def rollback(self, mark: int) -> None:
        """Undo every fact since ``mark``, last first. Charges stay."""
        facts, befores, undoers = self.facts, self._befores, self.state.undoers
        while len(facts) > mark:
            fact = facts.pop()
            undoers[type(fact)](fact, befores.pop())

    def next_hold(self) -> int:
        """The id of the next hold."""
        return self.state.next_hold

    def next_frame(self) -> str:
        """The id of the next frame of code, ``seq.n``; one that is undone keeps its own."""
        self.frames += 1
        return f"{self.state.seq}.{self.frames - 1}"

    def keep(self, value: Any) -> Any:
        """The form of a value in a record: large content by its hash."""
        kept, blob = keep(value, self.inline_bytes_max)
        if blob is not None:
            self.log.put_blob(kept.digest, blob)
        return kept

    def resolve(self, answer: Answer) -> Answer:
        """The answer as its receiver gets it: large content in full."""
        if isinstance(answer, Done) and isinstance(answer.result, BlobRef):
            return Done(self.value(answer.result))
        return answer

    def value(self, kept: Any) -> Any:
        """A value that is kept, in full."""
        return value_of(kept, self.log)

    def kept(self, answer: Answer) -> Answer:
        """The answer as a record holds it: large content by its hash."""
        if (
            isinstance(answer, Done)
            and answer.result is not None
            and type(answer.result) is not int
        ):
            result = self.keep(answer.result)
            return answer if result is answer.result else Done(result)
        return answer

    def afford(self, caller: str, scrip: int, price: Price) -> Refused | None:
        """Whether the caller can pay the scrip and the payer the resources; None is yes."""
        if scrip:
            if self.price_max is not None and scrip > self.price_max:
                return self._above_max(scrip, self.price_max)
            available = self.state.ledger.available(caller)
            if scrip > available:
                detail = (
                    f"it costs {scrip} scrip and {caller} can spend {available}: earn more first"
                )
                return Refused(Code.SCRIP_INSUFFICIENT, detail)
        if price.compute > self.compute_left:
            return self.short_of(COMPUTE, price.compute)
        if price.others:
            resources, now_us = self.state.resources, self.state.now_us
            for resource, amount in price.others:
                if amount > resources.remaining(self.payer, resource, now_us):
                    return self.short_of(resource, amount)
        return None

    def spend(self, scrip: int) -> Refused | None:
        """Count scrip as a part of what the action costs; None, or the refusal where that is too much."""
        if self.price_max is not None:
            if scrip > self.price_max:
                return self._above_max(scrip, self.price_max)
            self.price_max -= scrip
        return None

    def _above_max(self, scrip: int, most: int) -> Refused:
        detail = f"it costs {scrip} scrip, more than the most it may: {most}"
        return Refused(Code.PRICE_ABOVE_MAX, detail)

    def short_of(self, resource: str, amount: int) -> Refused:
        """The refusal for a resource that does not suffice."""
        if resource == COMPUTE and self.compute_capped:
            detail = f"it takes {amount} compute, and compute_max leaves {self.compute_left}"
            return Refused(Code.COMPUTE_MAX_EXCEEDED, detail)
        resources, now_us = self.state.resources, self.state.now_us
        left = max(0, resources.remaining(self.payer, resource, now_us))
        wait = resources.time_until(self.payer, resource, amount, now_us)
        advice = "get quota from another principal" if wait is None else f"wait {wait / 1e6:g} s"
        detail = f"it takes {amount} {resource} and {self.payer} has {left} left: {advice}"
        return Refused(Code.QUOTA_EXCEEDED, detail, wait)

    def charge(self, price: Price) -> None:
        """Use what was found affordable."""
        resources = self._resources
        self.compute_left -= price.compute
        resources.pending_compute += price.compute
        for resource, amount in price.others:
            resources.pend(resource, amount)

    def compute(self, amount: int) -> None:
        """Use compute."""
        self.compute_left -= amount
        self._resources.pending_compute += amount

    def post_charges(self) -> None:
        """Post what the action of a principal used: a step of its loop."""
        resources = self._resources
        amount, resources.pending_compute = resources.pending_compute, 0
        self.note(Charged(self.payer, amount))
        if resources.pending:
            self.post_uses()

    def post_uses(self) -> None:
        """Post what was used, without a step."""
        for resource, amount in self._resources.take_pending():
            self.note(ResourceUsed(self.payer, resource, amount))

    def close(self, answer: Answer, mark: int, hold: int, payee: str, scrip: int) -> None:
        """Pay for what is done; undo and void what failed."""
        if isinstance(answer, Done):
            if hold:
                self.note(ScripPosted(hold, payee, scrip))
            return
        self.rollback(mark)
        if hold:
            self.note(ScripReleased(hold, "void"))
