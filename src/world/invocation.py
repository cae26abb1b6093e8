"""Owns invoke: what is found, asked, held and run; and what becomes of the result of an effect.

A method is one of three kinds. A plain one runs its handler here. One with an effect, or a job of
agent-written code, holds its cost and asks for the effect. One of agent-written code opens a frame, in
which every call back is an action of the artifact, one level deeper.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from .access import FREE, Access, Allowed, Asks
from .actions import Delete, Edit, Invoke, Read, Tool, Write
from .answers import Answer, Code, Done, EffectResult, Failed, Refused, Waiting
from .approvals import Approvals, release
from .artifact import Artifact
from .changes import Changes
from .config import Cost, WorldConfig
from .contracts import CODE, INVOKE
from .door import USED_MAX, normal
from .effects import JOBS, Asked, Effects, Held
from .facts import (
    EffectRequested,
    ParkedFrame,
    ResourceUsed,
    Scheduled,
    ScripHeld,
    ScripTransferred,
)
from .faults import NativeFault
from .frames import Frames
from .natives import TICK, Context, Effect, Method, Native
from .outcomes import misfit
from .ports import CodeRunner
from .schemas import ResultValidator, Validator
from .transaction import Price, Transaction


class Invocable:
    """A method of an artifact, ready to be invoked; ``method`` is None for agent-written code.

    ``limited`` is the part of its cost that the artifact's own quotas bound, ``output`` what the result
    of code must fit.
    """

    __slots__ = (
        "is_effect",
        "is_valid",
        "limited",
        "method",
        "output",
        "price",
        "tool",
        "validator",
    )

    def __init__(
        self, tool: Tool, method: Method | None, price: Price, config: WorldConfig, id: str
    ) -> None:
        self.tool = tool
        self.method = method
        self.is_effect = tool.job if method is None else method.effect
        self.validator = Validator(tool.input_schema, config.limits)
        self.is_valid = self.validator.is_valid
        self.output: ResultValidator | None = None
        if method is None and tool.output_schema is not None:
            self.output = ResultValidator(tool.output_schema, config.limits)
        self.price = price
        limits = config.artifact_quotas.get(id, {})
        self.limited = tuple((name, n) for name, n in price.amounts.items() if name in limits)


class Invocations:
    """Performs the actions of one transaction after the other."""

    __slots__ = (
        "_access",
        "_approvals",
        "_artifacts",
        "_changes",
        "_compiled",
        "_config",
        "_effects",
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
        self._artifacts = tx.state.artifacts.by_id
        self._compiled: dict[str, tuple[tuple[Tool, ...], dict[str, Invocable]]] = {}
        self.frames = Frames(tx, config, code, self.act)
        self._access = Access(tx, config, code, self.frames, self.act)
        self._changes = Changes(tx, config.limits, prices, code, self._access)
        self._effects = Effects(tx, self.frames)
        self._approvals = Approvals(tx, config, self.frames, self._effects, self.act)
        self.context = Context(
            tx.state, config, natives, tx.log, tx.note, self.cost, self._access.may, tx.spend
        )

    def cost(self, artifact: str, method: str) -> Cost:
        """What a call of a method costs by configuration."""
        costs = self._config.costs.get(artifact, {})
        cost = costs.get(method) or costs.get("*")
        if cost is not None:
            return cost
        known = self._artifacts.get(artifact)
        is_job = known is not None and any(t.job and t.name == method for t in known.interface)
        return self._config.job_cost if is_job else self._config.method_cost

    def act(
        self,
        caller: str,
        action: Any,
        depth: int = 0,
        waits: bool = True,
        allowed: Allowed | None = None,
    ) -> Answer:
        """Perform one action for its immediate caller; ``allowed`` says that its contract need not be asked."""
        kind = type(action)
        answer: Answer | Asks
        if kind is Invoke:
            return self._invoke(caller, action, depth, waits, allowed)
        if kind is Read:
            answer = self._changes.read(caller, action, allowed)
        elif kind is Write:
            answer = self._changes.write(caller, action, allowed)
        elif kind is Edit:
            answer = self._changes.edit(caller, action, allowed)
        else:
            assert kind is Delete, kind
            answer = self._changes.delete(caller, action, allowed)
        if type(answer) is Asks:
            return self._approvals.ask(caller, action, answer, waits)
        return answer

    def _methods(self, artifact: Artifact) -> dict[str, Invocable]:
        """The methods of an artifact, compiled once for each interface that it has."""
        compiled = self._compiled.get(artifact.id)
        if compiled is not None and compiled[0] is artifact.interface:
            return compiled[1]
        methods: dict[str, Invocable] = {}
        for tool in artifact.interface if artifact.can_execute else ():
            method = None if artifact.type == CODE else self._native(artifact.id, tool)
            price = Price(self.cost(artifact.id, tool.name))
            methods[tool.name] = Invocable(tool, method, price, self._config, artifact.id)
        self._compiled[artifact.id] = (artifact.interface, methods)
        return methods

    def _native(self, id: str, tool: Tool) -> Method:
        native = self._natives[id]
        method = native.methods.get(tool.name)
        if method is not None and (native.discovered is None or method.tool == tool):
            return method
        assert native.discovered is not None, tool.name
        return native.discovered(tool)

    def _invoke(
        self, caller: str, action: Invoke, depth: int, waits: bool, allowed: Allowed | None
    ) -> Answer:
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
        if invocable.is_effect and not waits:
            detail = f"{artifact.id} {action.method} has an effect: call it with waits: true"
            return Refused(Code.EFFECT_NOT_ALLOWED, detail)
        method = invocable.method
        if method is None and depth >= self._config.limits.frame_depth_max:
            detail = f"frames are at most {self._config.limits.frame_depth_max} deep"
            return Refused(Code.DEPTH_EXCEEDED, detail)
        may = allowed or self._access.may(caller, artifact, INVOKE, action.method)
        scrip, price = 0, invocable.price
        if may is not FREE:
            if not isinstance(may, Allowed):
                return may
            scrip = may.price_scrip
        if caller != artifact.owner:
            scrip += price.scrip
        if scrip or price.others or price.compute > tx.compute_left:
            no = tx.afford(caller, scrip, price)
            if no is not None:
                return no
        payee = artifact.id if artifact.standing else artifact.owner
        if may is not FREE:
            if type(may) is Asks:
                return self._approvals.ask(caller, action, may, waits)
            payee = may.payee or payee
        if invocable.is_effect:
            return self._request(caller, artifact, action, invocable, scrip, payee)
        tx.charge(price)
        hold = 0
        if scrip:
            hold = tx.next_hold()
            tx.note(ScripHeld(hold, caller, scrip))
            tx.spend(scrip)
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
                output_schema=invocable.tool.output_schema,
            )
            return self.frames.enter(parked, invocable.output, waits, depth)
        mark = len(tx.facts)
        context = self.context
        context.caller = caller
        context.payer = tx.payer
        context.artifact = action.id
        answer = _checked(method.handler(context, action.args), action.id, action.method)
        if hold or not isinstance(answer, Done):
            self._tx.close(answer, mark, hold, payee, scrip)
        return answer

    def _request(
        self,
        caller: str,
        artifact: Artifact,
        action: Invoke,
        invocable: Invocable,
        scrip: int,
        payee: str,
    ) -> Answer:
        """Hold what an effect costs and ask for it."""
        tx, context, method, price = self._tx, self.context, invocable.method, invocable.price
        if invocable.limited and (no := self._over_limit(artifact.id, invocable)) is not None:
            return no
        context.caller, context.payer, context.artifact = caller, tx.payer, artifact.id
        mark = tx.mark()
        effect: Effect | Done | Failed | Refused
        if method is None:
            effect = self._job(caller, artifact, action, invocable.tool)
        else:
            effect = method.handler(context, action.args)
        if isinstance(effect, Failed | Refused):
            tx.rollback(mark)
            scrip = 0
        elif isinstance(effect, Effect):
            if effect.amounts is not None:
                price = self._taking(effect.amounts, action, price)
        elif not isinstance(effect, Done):
            raise _no_answer(effect, action.id, action.method, "an Effect, Done, Failed or Refused")
        if isinstance(effect, Refused):
            return effect
        no = tx.afford(caller, scrip, price)  # the handler may have spent what there was before
        if no is not None:
            tx.rollback(mark)
            return no
        if not isinstance(effect, Effect):
            tx.charge(price)
            if scrip:
                tx.note(ScripTransferred(caller, payee, scrip))
            return _checked(effect, action.id, action.method)
        for name, amount in invocable.limited:
            tx.note(ResourceUsed(artifact.id, name, amount))
        held = self._effects.hold(caller, price, scrip, payee)
        asked = Asked(artifact.id, action.method, caller, effect.performer, effect.payload)
        return self._effects.ask(asked, price.cost, held)

    def _job(self, caller: str, artifact: Artifact, action: Invoke, tool: Tool) -> Effect:
        """A call of agent-written code as an effect; its result is checked by the schema of now."""
        tx = self._tx
        payload = {
            "artifact": artifact.id,
            "code": tx.value(artifact.content),
            "method": action.method,
            "args": action.args,
            "caller": caller,
            "now_us": tx.state.now_us,
            "seed": f"{self._config.seed}/{artifact.id}/{tx.next_frame()}",
            "output_schema": tool.output_schema,
        }
        return Effect(JOBS, payload)

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
        asked = Asked(id, TICK, id, effect.performer, effect.payload)
        self._effects.ask(asked, self.cost(id, TICK), Held())

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

    def settle(self, effect: EffectRequested, result: EffectResult) -> Answer:
        """Go on with the result of an effect: by its method or its approval, then the frames that wait."""
        tx = self._tx
        answer: Answer
        if effect.action is not None:
            release(tx, effect)
            mark = tx.mark()
            answer = self._approvals.settled(effect, result)
        else:
            answer = self._settled(effect, result)
            mark = tx.mark()
        if effect.frames and not isinstance(answer, Waiting):
            answer = self.frames.resume(effect.frames, tx.kept(answer), mark)
        return answer

    def _settled(self, effect: EffectRequested, result: EffectResult) -> Done | Failed:
        """The answer to an effect itself, by its method; pays or voids its price."""
        tx, context = self._tx, self.context
        mark = tx.mark()
        answer: Done | Failed
        native = self._natives.get(effect.artifact)
        context.caller, context.payer = effect.caller, effect.principal
        context.artifact = effect.artifact
        if native is None:
            answer = self._job_done(effect, result)
        elif native.ticked is not None and effect.method == TICK:
            told = native.ticked(context, tx.value(effect.payload), result)
            answer = _checked(told, effect.artifact, effect.method)
        elif result.code is not None:
            answer = Failed(result.code, result.detail)
        else:
            invocable = self._methods(self._artifacts[effect.artifact]).get(effect.method)
            method = None if invocable is None else invocable.method
            if method is None or method.settled is None:
                answer = Done(result.value)
            elif effect.caller not in self._artifacts:
                detail = f"{effect.caller} was deleted while {effect.artifact} worked for it"
                answer = Failed(Code.NOT_FOUND, detail)
            else:
                told = method.settled(context, tx.value(effect.payload), result)
                answer = _checked(told, effect.artifact, effect.method)
        tx.close(answer, mark, effect.price_hold, effect.payee, effect.price_scrip)
        return answer

    def _job_done(self, effect: EffectRequested, result: EffectResult) -> Done | Failed:
        """The answer to a job, if it is what its method declared when it was asked for."""
        if result.code is not None:
            return Failed(result.code, result.detail)
        schema = self._tx.value(effect.payload)["output_schema"]
        if schema is not None:
            output = ResultValidator(schema, self._config.limits)
            failed = misfit(output, result.value, effect.artifact, effect.method)
            if failed is not None:
                return failed
        return Done(result.value)


def _checked(answer: object, id: str, method: str) -> Done | Failed:
    """The answer of a handler, if a record can hold it.

    Raises:
        NativeFault: it cannot.
    """
    if not isinstance(answer, Done):
        if isinstance(answer, Failed):
            return answer
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
