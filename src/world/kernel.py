"""Owns the ways in. From an input to the new state, this file reads top to bottom.

    input → admit → decide → facts → record → log → (effects) → result = the next input

``apply``, ``settle``, ``operate`` and ``advance`` are the only ways in. The kernel performs no
effect, reads no clock and draws no chance: time comes in, effects go out as requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, TypeGuard

import msgspec

from .actions import Envelope, Sleep, Stop
from .answers import Answer, Code, Done, EffectResult, Refused, Waiting
from .config import COMPUTE, WorldConfig
from .contracts import READ, check
from .door import Entry, enter, enter_command, enter_result
from .facts import (
    EffectRequested,
    EffectSettled,
    KeyRemembered,
    Overran,
    ResourcePosted,
    ScripReleased,
    Slept,
    Stopped,
    Woke,
)
from .founding import found
from .invocation import Invocations
from .natives import Native
from .operation import operate
from .ports import CodeRunner, EventLog
from .records import (
    ANSWERS,
    ENCODER,
    FORMAT,
    NO_RECORD,
    Advance,
    Begin,
    Command,
    Malformed,
    RawRecord,
    Settle,
    chain,
    digest_of,
)
from .state import State
from .touch import ids_of
from .transaction import Transaction

# On the path of every action exact types are compared where the answer is mostly no: there, isinstance of a
# msgspec class takes six times as long, because it asks the metaclass.
_RESTS = (Sleep, Stop)
_ADVANCE = ENCODER.encode(Advance())


class Settled(msgspec.Struct, frozen=True):
    """What a settlement meant for the principal that waits for ``effect_id``."""

    principal: str
    effect_id: str
    answer: Answer


class EffectRequest(msgspec.Struct, frozen=True):
    """An effect for a performer; may be performed once its record is durable.

    Attributes:
        key: the idempotency key; equal for equal logs, different for forks.
        due_us, deadline_us: world time of its settlement on the virtual clock, and of its time-out.
    """

    id: str
    key: str
    principal: str
    artifact: str
    method: str
    performer: str
    payload: object
    requested_us: int
    due_us: int
    deadline_us: int
    result_bytes_max: int
    repeatable: bool


class World:
    """A world: its state, and the only ways in.

    Make one with ``begin`` or with ``replay.restore``. Not thread-safe. An answer is never an
    exception; one that leaves here is a fault of the host or a broken invariant.

    Attributes:
        state: the fold of the log; for reading.
        unknown_settlements: results for effects that nobody waits for, counted and not logged.
    """

    __slots__ = (
        "_actions",
        "_seal",
        "_tx",
        "config",
        "limits",
        "log",
        "natives",
        "requests",
        "state",
        "unknown_settlements",
    )

    def __init__(
        self,
        config: WorldConfig,
        natives: Mapping[str, Native],
        log: EventLog,
        code: CodeRunner,
        state: State,
        seal: Callable[[bytes, bytes], bytes] = chain,
    ) -> None:
        self.config = config
        self.limits = config.limits
        self.natives = natives
        self.log = log
        self.state = state
        self._seal = seal
        self.requests: list[EffectRequest] = []
        self.unknown_settlements = 0
        self._tx = Transaction(state, log, config.limits.inline_bytes_max)
        self._actions = Invocations(self._tx, config, natives, code)

    @classmethod
    def begin(
        cls,
        config: WorldConfig,
        natives: Mapping[str, Native],
        log: EventLog,
        code: CodeRunner,
        code_version: str,
        seal: Callable[[bytes, bytes], bytes] = chain,
    ) -> World:
        """Make a new world; writes the first record.

        Raises:
            ValueError: the configuration contradicts itself; its text says where.
            ArtifactFault: an artifact of it cannot be.
        """
        world = cls(config, natives, log, code, State(config), seal)
        world.state.head = NO_RECORD
        world._start("", 0)
        found(world._tx, config, natives, code)
        begin = Begin(FORMAT, code_version, config)
        world._record(ENCODER.encode(begin), None, None)
        return world

    def apply(self, envelope: Envelope, now_us: int) -> Answer:
        """Take one action of a principal at ``now_us``, never before the last input.

        Returns:
            ``Done``; ``Refused``, where nothing happened and at most the admission is charged;
            ``Failed``, where it is charged in full and undone up to its last effect; or ``Waiting``.
        """
        return self.take(enter(envelope, self.limits), now_us)

    def take(self, entry: Entry | Malformed, now_us: int) -> Answer:
        """Take what came through the door; ``apply`` in two steps, for replay."""
        if isinstance(entry, Entry):
            raw, principal = entry.raw, entry.envelope.principal
        else:
            raw, principal = ENCODER.encode(entry), entry.principal
        self._start(principal, now_us)
        answer: Answer | None = self._turn_away(principal)
        if answer is None:
            if isinstance(entry, Entry) and type(entry.envelope.action) in _RESTS:
                answer = self._rest(principal, entry.envelope.action)
            else:
                answer = self._admit(principal, entry)
        if type(answer) is Refused and isinstance(entry, Entry) and _turned_away(answer):
            raw = self._little(entry, answer.code)
        self._record(raw, answer, None)
        return self._tx.resolve(answer)

    def settle(self, effect_id: str, result: EffectResult, now_us: int) -> Settled | None:
        """Take the result of an effect; None when nobody waits for it (counted, not logged)."""
        effect = self.state.effects.get(effect_id)
        if effect is None:
            self.unknown_settlements += 1
            return None
        result = enter_result(result, effect.result_bytes_max)
        recorded = EffectResult(
            self._tx.keep(result.value), result.code, result.detail, result.usage
        )
        raw = ENCODER.encode(Settle(effect_id, recorded))
        self._start(effect.principal, now_us)
        tx, actions = self._tx, self._actions
        tx.key, tx.origin = effect.key, effect.origin
        tx.note(EffectSettled(effect_id))
        self._post_resources(effect, result)
        answer = tx.kept(actions.settle(effect, result))
        if effect.frames or effect.action is not None:
            tx.post_uses()
        if effect.key is not None and not isinstance(answer, Waiting):
            remembered = self.state.keys[effect.principal][effect.key]
            assert remembered.answer == Waiting(effect.origin), remembered
            tx.note(msgspec.structs.replace(remembered, answer=answer))
        self._record(raw, answer, int(effect_id.partition(".")[0]))
        return Settled(effect.principal, effect.origin, tx.resolve(_copy(answer)))

    def operate(self, command: Command, now_us: int) -> Answer:
        """Take an operator's command; refused when it names what is not there.

        One that cannot be kept is refused and not logged.
        """
        entered = enter_command(command, self.limits.action_bytes_max)
        if isinstance(entered, Refused):
            return entered
        command, raw = entered
        self._start("", now_us)
        answer = operate(self._tx.note, self.state, self.limits, command)
        self._record(raw, answer, None)
        return answer

    def advance(self, now_us: int) -> None:
        """Let time pass: wake sleepers, expire holds, run genesis artifacts that are due.

        Not logged where nothing is due.
        """
        _, sleepers, holds, natives = self.state.agenda.due(now_us, self.state.ledger.holds)
        if not sleepers and not holds and not natives:
            return
        self._start("", now_us)
        for principal in sleepers:
            self._tx.note(Woke(principal))
        for hold in holds:
            self._tx.note(ScripReleased(hold, "expired"))
        for id in natives:
            self._actions.tick(id)
        self._record(_ADVANCE, None, None)

    def next_due_us(self) -> int | None:
        """When the world has something to do by itself: a loop, a sleeper, a hold. None is never."""
        return self.state.agenda.next_us(self.state.ledger.holds)

    def due(self, now_us: int) -> list[str]:
        """The loops that are due by ``now_us``, by name; call ``advance`` first."""
        return self.state.agenda.due(now_us, self.state.ledger.holds)[0]

    def text(self, content: object) -> str:
        """The content of an artifact as text, wherever it is kept."""
        return str(self._tx.value(content))

    def in_full(self, result: EffectResult) -> EffectResult:
        """A recorded result with its large value in full."""
        value = self._tx.value(result.value)
        return EffectResult(value, result.code, result.detail, result.usage)

    def pending(self) -> list[EffectRequest]:
        """Every effect that was asked for and has no result yet, oldest first."""
        return [self._request(effect) for effect in self.state.effects.values()]

    def _start(self, payer: str, now_us: int) -> None:
        state = self.state
        if now_us < state.now_us:
            raise ValueError(f"time went back from {state.now_us} to {now_us} us")
        state.now_us = now_us
        state.seq += 1
        self._tx.begin(payer)

    def _turn_away(self, principal: str) -> Refused | None:
        """The refusals that are free of charge, and the budget of what is let in."""
        state = self.state
        artifact = state.artifacts.by_id.get(principal)
        if artifact is None or not artifact.standing:
            return Refused(Code.NO_STANDING, f"{principal[:80]!r} is no principal of this world")
        agenda = state.agenda
        if agenda.stopped and principal in agenda.stopped:
            return Refused(Code.STOPPED, f"{principal} was stopped: {agenda.stopped[principal]}")
        if agenda.paused and (principal in agenda.paused or "*" in agenda.paused):
            return Refused(Code.PAUSED, f"{principal} is paused until an operator resumes it")
        return None

    def _little(self, entry: Entry, code: Code) -> bytes:
        """What a record keeps of who was turned away: it is free of charge, so it is not much."""
        small = self.limits.inline_bytes_max
        if entry.blob is None and len(entry.raw) <= small:
            return entry.raw
        principal = entry.envelope.principal
        known = principal if len(principal) <= small else ""
        return ENCODER.encode(Malformed(known, code, "its content was not kept"))

    def _rest(self, principal: str, action: Any) -> Answer:
        """Let a loop rest, for one step at least; who has no loop has nothing to rest."""
        if isinstance(action, Stop):
            self._tx.note(Stopped(principal, action.reason))
        elif principal in self.state.agenda.due_us:
            until_us = max(action.until_us, self.state.now_us + self.config.pace_us)
            self._tx.note(Slept(principal, until_us, action.watch))
        return Done()

    def _admit(self, principal: str, entry: Entry | Malformed) -> Answer:
        """Charge the admission, then decide; a refusal for want of it is free."""
        state, tx, admission = self.state, self._tx, self.config.admission_compute
        compute = state.resources.compute
        remaining = compute.remaining(principal, state.now_us)
        if remaining < admission:
            wait = compute.wait_us(principal, admission, state.now_us)
            advice = "it has no quota: get some" if wait is None else f"sleep {wait / 1e6:g} s"
            detail = f"{principal} has {max(remaining, 0)} compute left: {advice}"
            return Refused(Code.ADMISSION_EXCEEDED, detail, wait)
        tx.compute_left = remaining
        answer: Answer
        if not isinstance(entry, Entry):
            tx.compute(admission)
            answer = Refused(entry.code, entry.detail)
        else:
            if entry.blob is not None:
                self.log.put_blob(digest_of(entry.blob), entry.blob)
            cap = entry.envelope.compute_max
            cap = self.limits.compute_max if cap is None else cap
            if cap < remaining:
                tx.compute_left = cap
                tx.compute_capped = True
            tx.compute(admission)
            tx.price_max = entry.envelope.price_max_scrip
            if entry.envelope.idempotency_key is None:
                answer = self._tx.kept(self._actions.act(principal, entry.envelope.action))
            else:
                answer = self._once(entry, entry.envelope.idempotency_key)
        tx.post_charges()
        return answer

    def _once(self, entry: Entry, key: str) -> Answer:
        """Take an action with an idempotency key: the first time act, then repeat the answer."""
        principal = entry.envelope.principal
        fingerprint = blake2b(entry.raw, digest_size=16).digest()
        first = self.state.keys.get(principal, {}).get(key)
        if first is not None:
            if first.fingerprint != fingerprint:
                detail = f"the key {key!r} was used for another action: take a new one"
                return Refused(Code.KEY_REUSED, detail)
            return _copy(first.answer)
        self._tx.key = key
        answer = self._tx.kept(self._actions.act(principal, entry.envelope.action))
        if not isinstance(answer, Refused):
            self._tx.note(KeyRemembered(principal, key, fingerprint, answer))
        return _copy(answer)

    def _post_resources(self, effect: EffectRequested, result: EffectResult) -> None:
        """Post what an effect used, by rule, and free the compute of the frames that waited."""
        tx, resources = self._tx, self.state.resources
        if effect.resource_hold:
            held = resources.holds[effect.resource_hold].amounts
            used = self._used(held, result)
            tx.note(
                ResourcePosted(
                    effect.resource_hold,
                    {name: min(n, held[name]) for name, n in used.items() if n},
                )
            )
            for name, amount in used.items():
                if amount > held[name]:
                    tx.note(Overran(effect.principal, name, amount - held[name]))
        tx.compute_capped = True
        if effect.frame_hold:
            tx.compute_left = resources.holds[effect.frame_hold].amounts[COMPUTE]
            tx.note(ResourcePosted(effect.frame_hold, {}))

    def _used(self, held: Mapping[str, int], result: EffectResult) -> dict[str, int]:
        if result.code is None or result.code.name not in self.config.refunded:
            return {name: result.usage.get(name, amount) for name, amount in held.items()}
        if result.code is not Code.EFFECT_INTERRUPTED:
            return {}
        kinds = self.state.resources.kinds
        return {name: amount for name, amount in held.items() if kinds[name] == "depletable"}

    def _record(self, raw: bytes, answer: Answer | None, cause: int | None) -> None:
        """End the input: one record, chained to the one before, and the effects that it asks for."""
        state, tx = self.state, self._tx
        if state.agenda.watchers:
            self._wake()
        body = ENCODER.encode(
            RawRecord(
                state.seq, state.now_us, cause, msgspec.Raw(raw), tx.outcomes, tx.facts, answer
            )
        )
        digest = self._seal(state.head, body)
        self.log.append(state.seq, digest, body)
        state.close(digest)
        for effect in tx.requests:
            self.requests.append(self._request(effect))

    def _wake(self) -> None:
        """Wake who watches an id that the facts of this input touch; to fall asleep touches nothing."""
        agenda = self.state.agenda
        facts = (fact for fact in self._tx.facts if type(fact) is not Slept)
        touched = {id for fact in facts for id in ids_of(fact) if id in agenda.watchers}
        awake = {p for id in touched for p in agenda.watchers[id] if self._may_watch(p, id)}
        for principal in sorted(awake):
            self._tx.note(Woke(principal))

    def _may_watch(self, principal: str, id: str) -> bool:
        """Whether something about an id is its business: its own, or what it may read."""
        artifact = self.state.artifacts.by_id.get(id)
        if artifact is None or id == principal:
            return id == principal
        return check(artifact, principal, READ) is not None

    def _request(self, effect: EffectRequested) -> EffectRequest:
        return EffectRequest(
            effect.id,
            self.state.effect_keys[effect.id],
            effect.principal,
            effect.artifact,
            effect.method,
            effect.performer,
            self._tx.value(effect.payload),
            effect.requested_us,
            effect.due_us,
            effect.deadline_us,
            effect.result_bytes_max,
            effect.repeatable,
        )


def _copy(answer: Answer) -> Answer:
    """An answer that its receiver may change, while the state remembers the other."""
    copy: Answer = ANSWERS.decode(ENCODER.encode(answer))
    return copy


def _turned_away(answer: Answer) -> TypeGuard[Refused]:
    return isinstance(answer, Refused) and answer.code <= Code.ADMISSION_EXCEEDED
