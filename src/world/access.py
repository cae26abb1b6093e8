"""Owns who may do what: the one place that asks contracts, built-in ones and those that agents wrote.

A contract that an agent wrote is code that looks and changes nothing, run as it stands when it is
asked. The payer pays for it, also when it denies. Whatever is wrong with it denies everyone. Nobody
invokes it here, so the contract of the contract is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import msgspec

from .actions import Invoke, Read
from .answers import Answer, Code, Failed, Refused
from .artifact import Artifact
from .config import COMPUTE, WorldConfig
from .contracts import CHECK, CODE, CONTRACTS, denied, unusable
from .frames import Frames
from .ledger import SCRIP_MAX
from .outcomes import ended, taken
from .ports import Abort, CallBack, CodeCall, CodeRunner, Outcome
from .transaction import Transaction

ALLOW, DENY, ASK = "allow", "deny", "ask"
_FIELDS = {"verdict", "price_scrip", "payee", "reason"}
_FORM = "its check must return {verdict: allow, deny or ask, price_scrip, payee, reason}"
_ONLY_LOOKS = (
    "a contract only looks: its check may read what is free of charge, and invoke methods of genesis "
    "artifacts that change nothing and cost no scrip"
)


class Allowed(msgspec.Struct, frozen=True, gc=False):
    """A contract lets it happen.

    Attributes:
        price_scrip: what it asks for that.
        payee: who gets it; empty for whom the artifact's price goes to by default.
    """

    price_scrip: int = 0
    payee: str = ""


@final
class Asks(Allowed, frozen=True, gc=False):
    """A contract lets it happen once a person approves; ``reason`` is for that person."""

    reason: str = ""


FREE = Allowed()


class Access:
    """Asks contracts, for one transaction after the other."""

    __slots__ = ("_act", "_artifacts", "_code", "_config", "_frames", "_is_asking", "_tx")

    def __init__(
        self,
        tx: Transaction,
        config: WorldConfig,
        code: CodeRunner,
        frames: Frames,
        act: Callable[[str, Any, int, bool], Answer],
    ) -> None:
        self._tx = tx
        self._config = config
        self._code = code
        self._frames = frames
        self._act = act
        self._artifacts = tx.state.artifacts.by_id
        self._is_asking = False

    def may(
        self, caller: str, artifact: Artifact, what: str, method: str | None = None
    ) -> Allowed | Refused:
        """Whether ``caller`` may do ``what``, and at which price; or the refusal that says why not."""
        rule = CONTRACTS.get(artifact.contract.id)
        if rule is None:
            return self._written(caller, artifact, what, method)
        scrip = rule(artifact, caller, what)
        if scrip is None:
            return denied(artifact, caller, what)
        return Allowed(scrip) if scrip else FREE

    def _written(
        self, caller: str, artifact: Artifact, what: str, method: str | None
    ) -> Allowed | Refused:
        """Ask a contract that an agent wrote."""
        tx, config, id = self._tx, self._config, artifact.contract.id
        contract = self._artifacts.get(id)
        fault = unusable(id, contract)
        if fault is not None or contract is None:
            return denied(artifact, caller, what, f"{fault}; this denies everyone")
        if self._is_asking:
            return denied(artifact, caller, what, f"{id} is not asked while a contract is asked")
        if len(self._frames.open) >= config.limits.frame_depth_max:
            detail = f"frames and checks are at most {config.limits.frame_depth_max} deep"
            return Refused(Code.DEPTH_EXCEEDED, detail)
        if config.contract_compute > tx.compute_left:
            return tx.short_of(COMPUTE, config.contract_compute)
        tx.compute(config.contract_compute)
        args = {"caller": caller, "action": what, "method": method, "artifact": artifact.id}
        call = CodeCall(
            tx.value(contract.content),
            id,
            CHECK,
            args,
            caller,
            tx.state.now_us,
            f"{config.seed}/{id}/{tx.next_frame()}",
        )
        price_max, tx.price_max = tx.price_max, None
        self._is_asking = True
        outcome = self._run(call)
        self._is_asking = False
        tx.price_max = price_max
        if isinstance(outcome, Refused):
            return outcome
        verdict = self._verdict(outcome)
        return verdict if isinstance(verdict, Allowed) else denied(artifact, caller, what, verdict)

    def _run(self, call: CodeCall) -> Outcome | Refused:
        """Run a check to its end, or until its payer has no compute left."""
        tx, config = self._tx, self._config
        session, outcome = self._code.start(call)
        outcome = taken(tx, config.limits, call.artifact, outcome)
        calls = 0
        while type(outcome) is CallBack:
            calls += 1
            if calls > config.limits.check_calls_max:
                outcome = Abort(f"it calls back at most {config.limits.check_calls_max} times")
            elif config.call_back_compute > tx.compute_left:
                session.close()
                return tx.short_of(COMPUTE, config.call_back_compute)
            else:
                tx.compute(config.call_back_compute)
                answer = tx.resolve(self._look(call.artifact, outcome.action))
                outcome = taken(tx, config.limits, call.artifact, session.resume(answer))
        session.close()
        return outcome

    def _look(self, contract: str, action: Any) -> Answer:
        """Take a look for a check. What turns out to change anything is undone and refused."""
        tx = self._tx
        if isinstance(action, Read) or (isinstance(action, Invoke) and not self._is_code(action)):
            mark = tx.mark()
            answer = self._act(contract, action, len(self._frames.open) + 1, False)
            if tx.mark() == mark:
                return answer
            tx.rollback(mark)
        return Refused(Code.PERMISSION_DENIED, _ONLY_LOOKS)

    def _is_code(self, action: Invoke) -> bool:
        artifact = self._artifacts.get(action.id)
        return artifact is not None and artifact.type == CODE

    def _verdict(self, outcome: Outcome) -> Allowed | str:
        """What a check said, or why that denies."""
        chars_max = self._config.limits.description_chars_max
        answer = ended(outcome)
        if isinstance(answer, Failed):
            return f"its check failed: {answer.detail[:chars_max]}"
        told = self._tx.value(answer.result)
        if not isinstance(told, dict) or told.keys() - _FIELDS:
            return _FORM
        given = {name: value for name, value in told.items() if value is not None}
        said, reason = given.get("verdict"), given.get("reason", "")
        price, payee = given.get("price_scrip", 0), given.get("payee", "")
        if said not in (ALLOW, DENY, ASK) or not isinstance(reason, str):
            return _FORM
        reason = reason[:chars_max]
        if said == DENY:
            return reason
        if type(price) is not int or not 0 <= price <= SCRIP_MAX:
            return f"the price that its check asks is no integer from 0 to {SCRIP_MAX}"
        if payee and (not isinstance(payee, str) or payee not in self._tx.state.ledger.balances):
            return f"its check names a payee who is no principal: {str(payee)[:80]!r}"
        return Allowed(price, payee) if said == ALLOW else Asks(price, payee, reason)
