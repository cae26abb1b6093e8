"""Owns what a run comes to: one pass over its records, told as data. Renders nothing but a few lines.

Memory grows with principals, artifacts and pairs that traded, never with records.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from ..world import (
    COMPUTE,
    NO_RECORD,
    ArtifactWritten,
    Begin,
    Charged,
    EffectRequested,
    Envelope,
    Failed,
    LogFault,
    Malformed,
    Overran,
    Record,
    Refused,
    ResourceHeld,
    ResourcePosted,
    ResourceUsed,
    Rest,
    Row,
    ScripPosted,
    Settle,
    Sleep,
    Stopped,
    chain,
)
from .denials import Denials, DenialSummary
from .economy import Economy, EconomySummary
from .jobs import Jobs, JobSummary
from .payments import Payment, Payments, decoded
from .services import Services, ServiceSummary

PARTNERS_MAX = 5
"""Payers and payees that are told of one principal; the sums hold them all."""
NOT_ENDED = "not ended: it goes on, or was killed"
_WALL_US = "wall_us"


class PrincipalSummary(msgspec.Struct):
    """What became of one principal.

    Attributes:
        scrip_start: what the first record gave it. issued: new scrip after that.
        earned_from, spent_to: the largest partners, largest first; ``earned`` and ``spent`` are whole.
        compute: all that it used. tool_calls: effects that it asked for.
        actions: without rests. sleeps: rests. refused, failed: of its actions.
        stopped: why its loop ended, empty while it goes on.
        is_service: it is code that can be called.
    """

    id: str
    loop: bool
    is_service: bool = False
    scrip_start: int = 0
    scrip_end: int = 0
    issued: int = 0
    earned: int = 0
    earned_from: dict[str, int] = {}
    spent: int = 0
    spent_to: dict[str, int] = {}
    compute: int = 0
    tool_calls: int = 0
    actions: int = 0
    sleeps: int = 0
    refused: int = 0
    failed: int = 0
    made: int = 0
    stopped: str = ""


class SaleSummary(msgspec.Struct):
    """An artifact that was paid for: by whom it is owned, how often, and for how much in all.

    Attributes:
        sold: how often it was sold itself.
    """

    artifact: str
    owner: str
    type: str
    description: str
    reads: int = 0
    invocations: int = 0
    scrip: int = 0
    sold: int = 0


class ToolSummary(msgspec.Struct):
    """A method that left the world.

    Attributes:
        calls: asked for; those neither done nor failed had no result when the run ended.
        latency_us: mean world time from the request to the result.
        wall_us: mean real time that it was measured to take; None where nobody measured.
        usage: everything else that was measured, summed (``bytes_in``, ``bytes_out``, tokens, …).
    """

    artifact: str
    method: str
    calls: int = 0
    done: int = 0
    failed: int = 0
    scrip: int = 0
    compute: int = 0
    latency_us: int = 0
    wall_us: int | None = None
    usage: dict[str, int] = {}


class FindingSummary(msgspec.Struct):
    """An artifact of the type ``finding``."""

    artifact: str
    owner: str
    description: str


class Summary(msgspec.Struct):
    """What a run comes to.

    Attributes:
        ended: ``until``, ``steps``, ``quiet`` or ``stopped``; empty where no end was noted.
        real_s: over all processes that drove it and noted their end.
        actions: without rests. tokens: of models, by the name under which they were measured.
        conserved: no scrip came or went and nobody is below zero.
    """

    run: str
    scenario: str
    seed: int
    ended: str
    world_us: int
    real_s: float
    records: int
    head: str
    supply: int
    conserved: bool
    actions: int
    sleeps: int
    actions_per_s: float
    transfers: int
    transferred: int
    principals: list[PrincipalSummary]
    sales: list[SaleSummary]
    services: list[ServiceSummary]
    economy: EconomySummary
    denials: list[DenialSummary]
    tools: list[ToolSummary]
    jobs: list[JobSummary]
    findings: list[FindingSummary]
    tokens: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The whole as JSON values."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told

    def __str__(self) -> str:
        """A few lines for a notebook; the command line says more."""
        refused = sum(d.times for d in self.denials if d.kind == "refused")
        failed = sum(d.times for d in self.denials if d.kind == "failed")
        sold = sum(s.reads + s.invocations + s.sold for s in self.sales)
        ended = f"ended: {self.ended}" if self.ended else NOT_ENDED
        real = f"real time {self.real_s:,.1f} s, " if self.ended else ""
        lines = [
            f"{self.run} ({self.scenario}, seed {self.seed}), {ended}",
            f"world time {self.world_us / 1e6:,.1f} s, {real}"
            f"{self.records:,} records, {self.actions:,} actions",
            f"{sold:,} sales for {sum(s.scrip for s in self.sales):,} scrip, "
            f"{sum(t.calls for t in self.tools):,} tool calls, {refused:,} refused, {failed:,} failed",
            f"supply {self.supply:,} scrip, {'conserved' if self.conserved else 'NOT CONSERVED'}",
        ]
        best = sorted(self.principals, key=lambda p: -p.earned)[:PARTNERS_MAX]
        lines += [
            f"  {p.id}: {p.scrip_start:,} to {p.scrip_end:,} scrip, earned {p.earned:,}"
            for p in best
            if p.earned
        ]
        return "\n".join([*lines, f"head {self.head}"])


def summarize(
    rows: Iterable[Row],
    blob: Callable[[bytes], bytes] | None = None,
    *,
    run: str,
    scenario: str,
    ended: str,
    real_s: float,
) -> Summary:
    """Go once over the rows of a log, from the first, and say what they come to.

    Args:
        rows: every record. blob: gives large content by its hash; without it no jobs are told.
        run, scenario, ended, real_s: what the log itself does not hold.

    Raises:
        LogFault: a record is missing, edited or of another format; names it.
    """
    tally = _Tally(Jobs(blob), blob)
    digest = NO_RECORD

    def chained() -> Iterator[Row]:
        nonlocal digest
        for row in rows:
            if chain(digest, row[2]) != row[1]:
                raise LogFault(f"record {row[0]} was changed: its hash does not fit", row[0])
            digest = row[1]
            yield row

    for record in decoded(chained()):
        try:
            tally.add(record)
        except KeyError as error:
            text = f"record {record.seq} names what is not there: {error}"
            raise LogFault(text, record.seq) from None
    principals = tally.principals.values()
    actions, supply = sum(p.actions for p in principals), sum(tally.issued.values())
    balances = [p.scrip_end for p in principals]
    return Summary(
        run=run,
        scenario=scenario,
        seed=tally.seed,
        ended=ended,
        world_us=tally.now_us,
        real_s=real_s,
        records=tally.records,
        head=digest.hex(),
        supply=supply,
        conserved=sum(balances) == supply and min(balances, default=0) >= 0,
        actions=actions,
        sleeps=sum(p.sleeps for p in principals),
        actions_per_s=actions / real_s if real_s > 0 else 0.0,
        transfers=tally.transfers,
        transferred=tally.transferred,
        principals=tally.told_principals(),
        sales=sorted(tally.sales.values(), key=lambda s: (-s.scrip, s.artifact)),
        services=tally.services.told(),
        economy=tally.economy.told(tally.now_us),
        denials=tally.denials.told(),
        tools=tally.told_tools(),
        jobs=list(tally.jobs.told.values()),
        findings=tally.findings(),
        tokens=tally.tokens(),
    )


class _Tally:
    """The sums, record by record."""

    def __init__(self, jobs: Jobs, blob: Callable[[bytes], bytes] | None) -> None:
        self.seed = self.now_us = self.records = self.transfers = self.transferred = 0
        self.jobs = jobs
        self.principals: dict[str, PrincipalSummary] = {}
        self.sales: dict[str, SaleSummary] = {}
        self.denials = Denials()
        self.tools: dict[tuple[str, str], ToolSummary] = {}
        self.issued: Counter[str] = Counter()
        self._payments = Payments()
        self.services = Services(self._payments)
        self.economy = Economy(self._payments, blob)
        self._pairs: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._effects: dict[str, EffectRequested] = {}
        self._origins: dict[str, str] = {}
        self._holds: dict[int, tuple[str, ToolSummary | None]] = {}
        self._latency: Counter[tuple[str, str]] = Counter()
        self._wall: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def add(self, record: Record) -> None:
        """Count one more record."""
        self.now_us = record.now_us
        self.records += 1
        given = record.input
        if isinstance(given, Begin):
            self.seed = given.config.seed
        for fact in record.facts:
            self._fact(fact)
        self.services.add(record)
        paid = list(self._payments.of(record))
        for payment in paid:
            self._pay(payment)
        self.economy.add(record, paid)
        principal = artifact = ""
        if isinstance(given, Envelope):
            principal, artifact = given.principal, getattr(given.action, "id", "")
            self.jobs.answered(principal, given.action, record.answer)
            rests = isinstance(given.action, Rest)
            known = self.principals.get(principal)
            if known is not None:
                known.actions += not rests
                known.sleeps += isinstance(given.action, Sleep)
        elif isinstance(given, Malformed):
            principal = given.principal
            if principal in self.principals:
                self.principals[principal].actions += 1
        elif isinstance(given, Settle):
            effect = self._settled(record, given)
            principal, artifact = effect.principal, effect.artifact
        if isinstance(record.answer, Refused | Failed):
            self._denial(record, record.answer, principal, artifact)

    def told_principals(self) -> list[PrincipalSummary]:
        """Principals with their largest partners, in the order in which they came."""
        owed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for payer, payees in self._pairs.items():
            for payee, amount in payees.items():
                owed[payee][payer] = amount
        for id, told in self.principals.items():
            told.spent_to = dict(self._pairs[id].most_common(PARTNERS_MAX))
            told.earned_from = dict(owed[id].most_common(PARTNERS_MAX))
        return list(self.principals.values())

    def told_tools(self) -> list[ToolSummary]:
        """Tools with their means, the most used first."""
        for key, tool in self.tools.items():
            ended = tool.done + tool.failed
            tool.latency_us = self._latency[key] // ended if ended else 0
            wall_us, measured = self._wall[key]
            tool.wall_us = wall_us // measured if measured else None
        return sorted(self.tools.values(), key=lambda t: (-t.calls, t.artifact, t.method))

    def findings(self) -> list[FindingSummary]:
        """What stands published as a finding, in the order in which it came."""
        found = [one for one in self._payments.artifacts.values() if one.type == "finding"]
        return [FindingSummary(f.id, self._payments.owner(f.id), f.description) for f in found]

    def tokens(self) -> dict[str, int]:
        """What was measured in tokens."""
        tokens: Counter[str] = Counter()
        for tool in self.tools.values():
            tokens.update({name: n for name, n in tool.usage.items() if "token" in name})
        return dict(tokens)

    def _fact(self, fact: Any) -> None:
        principals = self.principals
        if isinstance(fact, Charged):
            principals[fact.principal].compute += fact.amount
        elif isinstance(fact, ResourceUsed | Overran):
            if fact.resource == COMPUTE:
                principals[fact.principal].compute += fact.amount
        elif isinstance(fact, ResourceHeld):
            self._holds[fact.hold] = (fact.principal, None)
        elif isinstance(fact, ResourcePosted):
            principal, tool = self._holds.pop(fact.hold)
            compute = fact.used.get(COMPUTE, 0)
            principals[principal].compute += compute
            if tool is not None:
                tool.compute += compute
        elif isinstance(fact, ArtifactWritten):
            if fact.standing and fact.id not in principals:
                principals[fact.id] = PrincipalSummary(fact.id, fact.loop)
            if fact.standing:
                principals[fact.id].is_service = fact.type == "code"
            if self.records > 1 and fact.id not in self._payments.artifacts:
                principals[fact.owner].made += 1
        elif isinstance(fact, EffectRequested):
            self._requested(fact)
        elif isinstance(fact, Stopped):
            principals[fact.principal].stopped = fact.reason

    def _requested(self, fact: EffectRequested) -> None:
        self.jobs.asked(fact)
        key = (fact.artifact, fact.method)
        tool = self.tools.setdefault(key, ToolSummary(*key))
        tool.calls += 1
        if (asking := self.principals.get(fact.principal)) is not None:  # else a genesis artifact
            asking.tool_calls += 1
        self._effects[fact.id] = msgspec.structs.replace(fact, payload=None, frames=())
        if fact.resource_hold in self._holds:
            self._holds[fact.resource_hold] = (fact.principal, tool)

    def _settled(self, record: Record, given: Settle) -> EffectRequested:
        """Count a result; returns what it is the result of."""
        effect = self._effects.pop(given.effect_id)
        key = (effect.artifact, effect.method)
        tool, result = self.tools[key], given.result
        self.jobs.settled(effect, result)
        tool.done += result.code is None
        tool.failed += result.code is not None
        self._latency[key] += record.now_us - effect.requested_us
        for name, used in result.usage.items():
            if name == _WALL_US:
                self._wall[key][0] += used
                self._wall[key][1] += 1
            else:
                tool.usage = {**tool.usage, name: tool.usage.get(name, 0) + used}
        if any(isinstance(fact, ScripPosted) for fact in record.facts) and result.code is None:
            tool.scrip += effect.price_scrip
        return effect

    def _pay(self, payment: Payment) -> None:
        payee, amount = self.principals[payment.payee], payment.amount
        payee.scrip_end += amount
        if payment.how == "issue":
            self.issued[payment.payee] += amount
            if self.records == 1:
                payee.scrip_start += amount
            else:
                payee.issued += amount
            return
        payer = self.principals[payment.payer]
        payer.scrip_end -= amount
        if payment.payer != payment.payee:
            payer.spent += amount
            payee.earned += amount
            self._pairs[payment.payer][payment.payee] += amount
        if payment.how == "transfer" or not payment.artifact:
            self.transfers += 1
            self.transferred += amount
        elif payment.how in ("read", "invoke", "sale"):
            self._sale(payment)

    def _sale(self, payment: Payment) -> None:
        id = payment.artifact
        sale = self.sales.get(id)
        if sale is None:
            sale = self.sales[id] = SaleSummary(id, "", "", "")
        artifact = self._payments.artifacts.get(id)
        if artifact is not None:
            sale.type, sale.description = artifact.type, artifact.description
        sale.owner = self._payments.owner(id)
        sale.reads += payment.how == "read"
        sale.invocations += payment.how == "invoke"
        sale.sold += payment.how == "sale"
        sale.scrip += payment.amount
        if payment.how == "invoke":
            self.services.paid(id, payment.amount)

    def _denial(
        self, record: Record, answer: Refused | Failed, principal: str, artifact: str
    ) -> None:
        kind = "refused" if isinstance(answer, Refused) else "failed"
        known = self.principals.get(principal)
        if known is not None:
            known.refused += kind == "refused"
            known.failed += kind == "failed"
        self.denials.add(record, answer, principal, artifact)
