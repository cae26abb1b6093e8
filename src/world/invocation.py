"""Owns invoke: what is found, asked, held and run; and the frames of agent-written code.

A method is one of three kinds. A plain one runs its handler here. One with an effect holds its
cost and asks for the effect. One of agent-written code opens a frame, in which every call back
is an action of the artifact, one level deeper. A frame that waits keeps no interpreter: it is run
again with the answers recorded so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec

from .actions import Delete, Edit, Invoke, Read, Tool, Write
from .answers import Answer, Code, Done, EffectResult, Failed, Refused, Waiting
from .artifact import Artifact
from .changes import CODE, Changes, denied
from .config import Cost, WorldConfig
from .contracts import INVOKE, check
from .door import USED_MAX, normal
from .facts import (
    EffectRequested,
    ParkedFrame,
    ResourceHeld,
    ResourceUsed,
    Scheduled,
    ScripHeld,
    ScripTransferred,
)
from .faults import NativeFault
from .frames import Frames
from .natives import TICK, Context, Effect, Method, Native
from .ports import CodeRunner
from .schemas import Validator
from .transaction import Price, Transaction


class Invocable:
    """A method of an artifact, ready to be invoked; ``method`` is None for agent-written code.

    ``limited`` is the part of its cost that the artifact's own quotas bound.
    """

    __slots__ = ("is_valid", "limited", "method", "price", "validator")

    def __init__(
        self,
        method: Method | None,
        validator: Validator,
        price: Price,
        limits: Mapping[str, int],
    ) -> None:
        self.method = method
        self.validator = validator
        self.is_valid = validator.is_valid
        self.price = price
        self.limited = tuple((name, n) for name, n in price.amounts.items() if name in limits)


class Held(NamedTuple):
    """The holds of an effect: of its cost, its price, and the compute of the frames that wait."""

    resources: int = 0
    price: int = 0
    payee: str = ""
    price_scrip: int = 0
    frames: int = 0


class Invocations:
    """Performs the actions of one transaction after the other."""

    __slots__ = (
        "_artifacts",
        "_changes",
        "_code",
        "_compiled",
        "_config",
        "_natives",
        "_tx",
        "context",
        "frames",
    )

    def __init__(
        self,
        tx: Transaction,
        config: WorldConfig,
        natives: Mapping[str, Native],
        code: CodeRunner,
    ) -> None:
        actions = {"read": Cost(), "write": Cost(), "edit": Cost(), "delete": Cost()}
        prices = {name: Price(cost) for name, cost in (actions | config.actions).items()}
        self._tx = tx
        self._config = config
        self._natives = natives
        self._code = code
        self._artifacts = tx.state.artifacts.by_id
        self._changes = Changes(tx, config.limits, prices, code)
        self._compiled: dict[str, tuple[tuple[Tool, ...], dict[str, Invocable]]] = {}
        self.frames = Frames(tx, config, code, self.act)
        self.context = Context(tx.state, config, natives, tx.log, tx.note, self.cost)

    def cost(self, artifact: str, method: str) -> Cost:
        """What a call of a method costs by configuration."""
        costs = self._config.costs.get(artifact, {})
        return costs.get(method) or costs.get("*") or self._config.method_cost

    def act(self, caller: str, action: Any, depth: int = 0, waits: bool = True) -> Answer:
        """Perform one action for its immediate caller."""
        kind = type(action)
        if kind is Invoke:
            return self._invoke(caller, action, depth, waits)
        if kind is Read:
            return self._changes.read(caller, action, depth)
        if kind is Write:
            return self._changes.write(caller, action, depth)
        if kind is Edit:
            return self._changes.edit(caller, action, depth)
        assert kind is Delete, kind
        return self._changes.delete(caller, action, depth)

    def _methods(self, artifact: Artifact) -> dict[str, Invocable]:
        """The methods of an artifact, compiled once for each interface that it has."""
        compiled = self._compiled.get(artifact.id)
        if compiled is not None and compiled[0] is artifact.interface:
            return compiled[1]
        methods: dict[str, Invocable] = {}
        limits = self._config.artifact_quotas.get(artifact.id, {})
        for tool in artifact.interface if artifact.can_execute else ():
            method = None if artifact.type == CODE else self._native(artifact.id, tool)
            validator = Validator(tool.input_schema, self._config.limits)
            price = Price(self.cost(artifact.id, tool.name))
            methods[tool.name] = Invocable(method, validator, price, limits)
        self._compiled[artifact.id] = (artifact.interface, methods)
        return methods

    def _native(self, id: str, tool: Tool) -> Method:
        native = self._natives[id]
        method = native.methods.get(tool.name)
        if method is not None and (native.discovered is None or method.tool == tool):
            return method
        assert native.discovered is not None, tool.name
        return native.discovered(tool)

    def _invoke(self, caller: str, action: Invoke, depth: int, waits: bool) -> Answer:
        tx = self._tx
        artifact = self._artifacts.get(action.id)
        if artifact is None:
            return self._changes.missing(action.id)
        methods = self._methods(artifact)
        invocable = methods.get(action.method)
        if invocable is None:
            return _no_method(artifact, action.method, methods)
        if not invocable.is_valid(action.args):
            why = invocable.validator.explain(action.args)
            how = f"genesis_store interface shows how {artifact.id} {action.method} is invoked"
            return Refused(Code.ARGUMENTS_INVALID, f"{why}: {how}")
        method = invocable.method
        if method is not None and method.effect and not waits:
            detail = f"{artifact.id} {action.method} has an effect: call it with waits: true"
            return Refused(Code.EFFECT_NOT_ALLOWED, detail)
        if method is None and depth >= self._config.limits.frame_depth_max:
            detail = f"frames are at most {self._config.limits.frame_depth_max} deep"
            return Refused(Code.DEPTH_EXCEEDED, detail)
        scrip = check(artifact, caller, INVOKE)
        if scrip is None:
            return denied(artifact, caller, INVOKE)
        price = invocable.price
        if caller != artifact.owner:
            scrip += price.scrip
        if scrip or price.others or price.compute > tx.compute_left:
            no = tx.afford(caller, scrip, price, depth)
            if no is not None:
                return no
        hold = 0
        if method is not None and method.effect:
            return self._request(caller, artifact, action, invocable, scrip, depth)
        tx.charge(price)
        payee = artifact.id if artifact.standing else artifact.owner
        if scrip:
            hold = tx.next_hold()
            tx.note(ScripHeld(hold, caller, scrip))
        if method is None:
            parked = ParkedFrame(
                action.id,
                artifact.content,
                action.method,
                action.args,
                caller,
                hold,
                payee,
                scrip,
                tx.state.now_us,
                tx.next_frame(),
            )
            return self.frames.enter(parked, waits, depth)
        mark = len(tx.facts)
        context = self.context
        context.caller = caller
        context.payer = tx.payer
        context.artifact = action.id
        answer = _checked(method.handler(context, action.args), action.id, action.method)
        if hold or isinstance(answer, Failed):
            self._tx.close(answer, mark, hold, payee, scrip)
        return answer

    def _request(
        self,
        caller: str,
        artifact: Artifact,
        action: Invoke,
        invocable: Invocable,
        scrip: int,
        depth: int,
    ) -> Answer:
        """Hold what an effect costs and ask for it. From here on, what was done before stands."""
        tx, context = self._tx, self.context
        method = invocable.method
        assert method is not None
        if invocable.limited and (no := self._over_limit(artifact.id, invocable)) is not None:
            return no
        context.caller, context.payer, context.artifact = caller, tx.payer, artifact.id
        mark = tx.mark()
        effect = method.handler(context, action.args)
        if isinstance(effect, Failed | Refused):
            tx.rollback(mark)
            if isinstance(effect, Failed):
                tx.charge(invocable.price)
            return effect
        payee = artifact.id if artifact.standing else artifact.owner
        if isinstance(effect, Done):
            tx.charge(invocable.price)
            if scrip:
                tx.note(ScripTransferred(caller, payee, scrip))
            return _checked(effect, action.id, action.method)
        if not isinstance(effect, Effect):
            raise _no_answer(effect, action.id, action.method, "an Effect, Done, Failed or Refused")
        price = invocable.price
        if effect.amounts is not None:
            price = self._taking(effect.amounts, action, price)
            no = tx.afford(caller, scrip, price, depth)
            if no is not None:
                tx.rollback(mark)
                return no
        for name, amount in invocable.limited:
            tx.note(ResourceUsed(artifact.id, name, amount))
        resource_hold = price_hold = frame_hold = 0
        if price.amounts:
            resource_hold = tx.next_hold()
            tx.note(ResourceHeld(resource_hold, tx.payer, price.amounts))
            tx.compute_left -= price.compute
        if scrip:
            price_hold = tx.next_hold()
            tx.note(ScripHeld(price_hold, caller, scrip))
        if self.frames.open and tx.compute_left > 0:
            frame_hold = tx.next_hold()
            tx.note(ResourceHeld(frame_hold, tx.payer, {"compute": tx.compute_left}))
        held = Held(resource_hold, price_hold, payee, scrip, frame_hold)
        return self._ask(caller, artifact.id, action.method, effect, price.cost, held)

    def _ask(
        self, caller: str, id: str, method: str, effect: Effect, cost: Cost, held: Held
    ) -> Waiting:
        """Ask for an effect."""
        tx, now_us = self._tx, self._tx.state.now_us
        request_id = f"{tx.state.seq}.{len(tx.requests)}"
        request = EffectRequested(
            request_id,
            tx.origin or request_id,
            tx.payer,
            tx.key,
            id,
            method,
            caller,
            effect.performer,
            tx.keep(effect.payload),
            now_us,
            now_us + cost.latency_us,
            now_us + cost.timeout_us,
            cost.result_bytes_max,
            cost.repeatable,
            held.resources,
            held.price,
            held.payee,
            held.price_scrip,
            held.frames,
            self.frames.parked(),
        )
        tx.note(request)
        tx.requests.append(request)
        return Waiting(request_id)

    def tick(self, id: str) -> None:
        """Have a genesis artifact do what it has to do now. It acts for nobody, and nobody pays."""
        tx, context, native = self._tx, self.context, self._natives[id]
        assert native.tick is not None, id
        tx.note(Scheduled(id, 0))
        context.caller = context.payer = context.artifact = id
        effect = native.tick(context)
        if effect is None:
            return
        if not isinstance(effect, Effect):
            raise _no_answer(effect, id, TICK, "an Effect or None")
        assert native.ticked is not None, id
        tx.payer = id
        self._ask(id, id, TICK, effect, self.cost(id, TICK), Held())

    def _taking(self, amounts: dict[str, int], action: Invoke, price: Price) -> Price:
        """The price of an effect whose handler says what it takes.

        Raises:
            NativeFault: it says what cannot be held.
        """
        kinds = self._tx.state.resources.kinds
        for name, amount in amounts.items():
            if kinds.get(name, "allocatable") == "allocatable" or not 0 <= amount <= USED_MAX:
                raise NativeFault(f"{action.id} {action.method} cannot hold {amount} of {name!r}")
        return Price(msgspec.structs.replace(price.cost, resources=amounts))

    def _over_limit(self, id: str, invocable: Invocable) -> Refused | None:
        """The refusal where all callers together used up what an artifact may be used."""
        state = self._tx.state
        for name, amount in invocable.limited:
            left = max(0, state.resources.remaining(id, name, state.now_us))
            if amount > left:
                wait = state.resources.time_until(id, name, amount, state.now_us)
                advice = "it is used up" if wait is None else f"wait {wait / 1e6:g} s"
                detail = (
                    f"it takes {amount} {name} and {id} has {left} left for everybody: {advice}"
                )
                return Refused(Code.QUOTA_EXCEEDED, detail, wait)
        return None

    def settled(self, effect: EffectRequested, result: EffectResult) -> Answer:
        """The answer to an effect itself, by its method; pays or voids its price."""
        tx, context = self._tx, self.context
        mark = tx.mark()
        answer: Answer
        native = self._natives.get(effect.artifact)
        if native is not None and native.ticked is not None and effect.method == TICK:
            context.caller = context.payer = context.artifact = effect.artifact
            told = native.ticked(context, tx.value(effect.payload), result)
            answer = _checked(told, effect.artifact, effect.method)
        elif result.code is not None:
            answer = Failed(result.code, result.detail)
        else:
            artifact = tx.state.artifacts.by_id[effect.artifact]
            invocable = self._methods(artifact).get(effect.method)
            method = None if invocable is None else invocable.method
            if method is None or method.settled is None:
                answer = Done(result.value)
            else:
                context.caller, context.payer = effect.caller, effect.principal
                context.artifact = effect.artifact
                told = method.settled(context, self._tx.value(effect.payload), result)
                answer = _checked(told, effect.artifact, effect.method)
        self._tx.close(answer, mark, effect.price_hold, effect.payee, effect.price_scrip)
        return answer


def _checked(answer: object, id: str, method: str) -> Done | Failed:
    """The answer of a handler, if a record can hold it.

    Raises:
        NativeFault: it cannot.
    """
    if isinstance(answer, Failed):
        return answer
    if not isinstance(answer, Done):
        raise _no_answer(answer, id, method, "Done or Failed")
    result = answer.result
    if result is None or type(result) is int:
        return answer
    try:
        kept = normal(result)
    except ValueError as error:
        raise NativeFault(f"{id} {method} answered what is not JSON: {error}") from None
    return answer if kept is result else Done(kept)


def _no_answer(answer: object, id: str, method: str, wanted: str) -> NativeFault:
    kind = type(answer).__name__
    return NativeFault(f"{id} {method} answered {kind}: its handler must answer {wanted}")


def _no_method(artifact: Artifact, name: str, methods: Mapping[str, Any]) -> Refused:
    if not artifact.can_execute:
        detail = f"{artifact.id} is of type {artifact.type} and has no methods: read it"
        return Refused(Code.NOT_EXECUTABLE, detail)
    near = get_close_matches(name[:64], methods, 1)
    known = ", ".join(list(methods)[:20]) or "none yet"
    hint = f"did you mean {near[0]}?" if near else f"it has {known}"
    return Refused(Code.METHOD_UNKNOWN, f"{artifact.id} has no method {name[:64]!r}: {hint}")
