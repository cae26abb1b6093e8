"""Owns the frames of agent-written code: opening, calling back, waiting, running again.

Every call back is an action of the artifact, one level deeper. A frame that waits keeps no
interpreter: it is run again with the answers recorded so far, and pays once more for each of those
calls back. What a frame did since the last effect is undone when it fails; what was done before stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .answers import Answer, Code, Done, Failed, Refused, Waiting
from .config import COMPUTE, WorldConfig
from .facts import ParkedFrame, ScripReleased
from .outcomes import ended, in_full, misfit, taken
from .ports import Abort, CallBack, CodeCall, CodeRunner, Outcome, Trace
from .schemas import ResultValidator
from .transaction import Transaction


class Frame:
    """A call of agent-written code that is open."""

    __slots__ = ("call", "output", "parked", "trace", "waits")

    def __init__(
        self, parked: ParkedFrame, waits: bool, output: ResultValidator | None = None
    ) -> None:
        self.parked = parked
        self.waits = waits
        self.output = output
        self.trace = list(parked.trace)
        self.call: CallBack | None = parked.asked

    def park(self) -> ParkedFrame:
        """What is kept while it waits."""
        p = self.parked
        return ParkedFrame(
            p.artifact,
            p.code,
            p.method,
            p.args,
            p.caller,
            p.price_hold,
            p.payee,
            p.price_scrip,
            p.began_us,
            p.id,
            tuple(self.trace),
            self.call,
            p.output_schema,
        )


class Frames:
    """The frames that are open, outermost first."""

    __slots__ = ("_act", "_code", "_config", "_tx", "open")

    def __init__(
        self,
        tx: Transaction,
        config: WorldConfig,
        code: CodeRunner,
        act: Callable[[str, Any, int, bool], Answer],
    ) -> None:
        self._tx = tx
        self._config = config
        self._code = code
        self._act = act
        self.open: list[Frame] = []

    def parked(self) -> tuple[ParkedFrame, ...]:
        """What is kept of the open frames while they wait."""
        return tuple(frame.park() for frame in self.open)

    def enter(
        self, parked: ParkedFrame, output: ResultValidator | None, waits: bool, depth: int
    ) -> Answer:
        """Open a frame and run it to its end, or until it waits; ``output`` is what its result must fit."""
        mark = self._tx.mark()
        answer = self._run(Frame(parked, waits, output), depth, None)
        if type(answer) is not Waiting:
            self._tx.close(answer, mark, parked.price_hold, parked.payee, parked.price_scrip)
        return answer

    def resume(self, frames: tuple[ParkedFrame, ...], answer: Answer, mark: int) -> Answer:
        """Run the waiting frames again, the innermost first, each with the answer from below.

        Args:
            mark: where a failure goes back to: what was done since belongs to the innermost frame.
        """
        tx = self._tx
        for depth in range(len(frames) - 1, -1, -1):
            parked = frames[depth]
            self.open = [Frame(outer, True) for outer in frames[:depth]]
            schema = parked.output_schema
            output = None if schema is None else ResultValidator(schema, self._config.limits)
            answer = self._run(Frame(parked, True, output), depth, answer)
            if isinstance(answer, Waiting):
                break
            if isinstance(answer, Done):
                tx.close(answer, mark, parked.price_hold, parked.payee, parked.price_scrip)
            else:
                assert isinstance(answer, Failed)
                answer = Failed(answer.code, answer.detail, True, answer.retry_after_us)
                tx.rollback(mark)
                self._void(frames[depth:])
        self.open = []
        return answer

    def _void(self, frames: tuple[ParkedFrame, ...]) -> None:
        holds = self._tx.state.ledger.holds
        for frame in frames:
            if frame.price_hold in holds:
                self._tx.note(ScripReleased(frame.price_hold, "void"))

    def _run(self, frame: Frame, depth: int, waited: Answer | None) -> Answer:
        self.open.append(frame)
        answer = self._drive(frame, depth, waited)
        self.open.pop()
        return answer

    def _drive(self, frame: Frame, depth: int, waited: Answer | None) -> Answer:
        parked = frame.parked
        if frame.trace:
            again = len(frame.trace) * self._config.call_back_compute
            if again > self._tx.compute_left:
                return self._short_of(again)
            self._tx.compute(again)
        call = CodeCall(
            self._tx.value(parked.code),
            parked.artifact,
            parked.method,
            parked.args,
            parked.caller,
            parked.began_us,
            f"{self._config.seed}/{parked.artifact}/{parked.id}",
            self._told(frame.trace) if frame.trace else (),
        )
        session, outcome = self._code.start(call)
        outcome = taken(self._tx, self._config.limits, parked.artifact, outcome)
        if waited is not None:
            if outcome != frame.call:
                session.close()
                if isinstance(outcome, Abort):
                    return ended(outcome)
                return Failed(Code.CODE_DIVERGED, "run again, the code asked something else")
            outcome = self._answer(frame, session, outcome, waited)
        while type(outcome) is CallBack:
            if len(frame.trace) >= self._config.limits.calls_max:
                session.close()
                detail = f"a frame calls back at most {self._config.limits.calls_max} times"
                return Failed(Code.CALLS_EXCEEDED, detail)
            if self._config.call_back_compute > self._tx.compute_left:
                session.close()
                return self._short_of(self._config.call_back_compute)
            self._tx.compute(self._config.call_back_compute)
            frame.call = outcome
            self._tx.price_max = outcome.price_max_scrip
            waits = frame.waits and outcome.waits
            answer = self._call_back(parked.artifact, outcome.action, depth + 1, waits)
            if type(answer) is Waiting:
                session.close()
                return answer
            outcome = self._answer(frame, session, outcome, answer)
        session.close()
        answer = ended(outcome)
        if frame.output is not None and isinstance(answer, Done):
            value = self._tx.value(answer.result)
            return misfit(frame.output, value, parked.artifact, parked.method) or answer
        return answer

    def _short_of(self, compute: int) -> Failed:
        no = self._tx.short_of(COMPUTE, compute)
        return Failed(no.code, no.detail, retry_after_us=no.retry_after_us)

    def _told(self, trace: Trace) -> tuple[tuple[CallBack, Answer], ...]:
        return tuple((in_full(self._tx, asked), self._tx.resolve(said)) for asked, said in trace)

    def _call_back(self, artifact: str, action: Any, depth: int, waits: bool) -> Answer:
        if artifact not in self._tx.state.artifacts.by_id:
            detail = f"{artifact} was deleted while it ran: it can only return"
            return Refused(Code.NOT_FOUND, detail)
        return self._act(artifact, action, depth, waits)

    def _answer(self, frame: Frame, session: Any, asked: Outcome, answer: Answer) -> Outcome:
        assert isinstance(asked, CallBack)
        frame.trace.append((asked, self._tx.kept(answer)))
        outcome = session.resume(self._tx.resolve(answer))
        return taken(self._tx, self._config.limits, frame.parked.artifact, outcome)
