"""Owns the code runner of a world: agent-written Python, run step by step in worker processes.

It turns what code does into the outcomes that the kernel knows, and the kernel's answers into what
code sees. It must not know artifacts, balances or the log: whether an action may be is the
kernel's. Importing it imports the interpreter's client, so import it where code is first run.

Nothing that code sees depends on this process: no clock, no hash seed, no host object. Time and
memory only bound it, and where they do the outcome is ``Abort``.
"""

from __future__ import annotations

import os
import re
import signal
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from pydantic_monty import (
    ClassInstance,
    CollectString,
    FunctionSnapshot,
    FutureSnapshot,
    MontyComplete,
    MontyError,
    MontySession,
    NameLookupSnapshot,
)

from ..world import (
    Abort,
    Answer,
    CallBack,
    CodeCall,
    CodeSession,
    Diverge,
    Done,
    Outcome,
    Raise,
    Return,
)
from .code_actions import ACTIONS, Refusal, asked, refusal, result
from .code_budget import Budget
from .code_endings import (
    ended,
    fault_of_syntax,
    fault_of_text,
    is_out_of_time,
    is_stuck,
    out_of_output,
    out_of_time_together,
)
from .code_limits import CodeLimits
from .code_values import Outlet, Oversize, Unfit
from .code_workers import Workers
from .sandbox import Runner

Snapshot = FunctionSnapshot | NameLookupSnapshot | FutureSnapshot | MontyComplete

_FUNCTIONS: Final = re.compile(r"^def[ \t]+(\w+)[ \t]*\(", re.MULTILINE)
_ARGUMENTS: Final = "_arguments"
_STOP: Final = "1 / 0\n"
"""Stands before code that is only read: nothing of it runs. It holds no name that code could own."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US: Final = 253_370_764_800_000_000
"""The year 9999, the last that a date can say."""
_STARVED: Final = 0.8
_REFUSAL_FIELDS: Final = frozenset(Refusal.__struct_fields__)
_OWN: Final = frozenset(("now", "caller", "random", "refusal"))
_NO_VALUE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What the client raises for a value that it cannot make an object of."""
_HOST_TROUBLE: Final = (MontyError, RuntimeError, OSError)


class MontyRunner:
    """Runs agent-written code in a warm pool of workers. For one thread; end it with ``close``."""

    def __init__(self, limits: CodeLimits | None = None, sandbox: Runner | None = None) -> None:
        """Nothing is started before code is first read or run, or ``open`` is called.

        Args:
            limits: the bounds of each call.
            sandbox: what holds the workers; None is bubblewrap where it works, else nothing: the
                interpreter itself reaches neither files nor network.
        """
        self._limits = limits or CodeLimits()
        self._sandbox = sandbox
        self._workers: Workers | None = None
        self._budget: Callable[[], Budget | None] = lambda: None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> Runner:
        """Start the workers, if they are not there; return what holds them.

        Raises:
            CodeUnavailable: code cannot run here.
        """
        if self._workers is None:
            self._workers = Workers(self._limits, self._sandbox)
        return self._workers.runner

    def close(self) -> None:
        """End every worker; code that is read or run later starts new ones."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def check(self, code: str) -> str | None:
        """Return why ``code`` cannot be read, with its line, or None. Nothing of it runs.

        Raises:
            CodeUnavailable: code cannot run here.
        """
        fault = fault_of_text(code, self._limits)
        if fault is not None:
            return fault
        self.open()
        assert self._workers is not None
        try:
            session = self._workers.checkout(self._limits.wall_us, None)
        except _HOST_TROUBLE:
            return "no interpreter could be started to read it: try it again"
        try:
            session.feed_start(_STOP + code)
        except MontyError as error:
            if str(error).startswith("ZeroDivisionError"):
                return None
            return fault_of_syntax(error, _STOP.count("\n"))
        finally:
            session.__exit__(None, None, None)
        raise AssertionError("code that begins with an error ran to its end")

    def start(self, call: CodeCall) -> tuple[CodeSession, Outcome]:
        """Run a method until its first outcome after ``call.trace``.

        Where another call is still open, it begins inside that one and spends of its time.

        Raises:
            CodeUnavailable: code cannot run here.
        """
        budget = self._budget()
        if budget is None:
            budget = Budget(self._limits)
            self._budget = weakref.ref(budget)  # it ends with the last call that holds it
        else:
            budget.is_shared = True
        session = self._session(call, budget)
        return session, session.replay(call.trace)

    def session(self, call: CodeCall) -> Session:
        """Return a call that has not begun, with a time of its own; ``replay`` begins it.

        Raises:
            CodeUnavailable: code cannot run here.
        """
        return self._session(call, Budget(self._limits))

    def _session(self, call: CodeCall, budget: Budget) -> Session:
        self.open()
        assert self._workers is not None
        return Session(self._workers, self._limits, call, budget)


class Session:
    """One running call: an interpreter of its own from ``replay`` to ``close``."""

    def __init__(
        self, workers: Workers, limits: CodeLimits, call: CodeCall, budget: Budget
    ) -> None:
        """Nothing runs yet."""
        self._workers = workers
        self._limits = limits
        self._call = call
        self._budget: Budget | None = budget
        self._time_us = self._wall_us = budget.left_us
        self._spent_us = 0
        self._monty: MontySession | None = None
        self._pid: int | None = None
        self._is_killed = False
        self._lock = Lock()
        self._said: list[tuple[CallBack, Answer]] = []

    def replay(self, trace: Sequence[tuple[CallBack, Answer]]) -> Outcome:
        """Begin, and go through calls back that were answered before."""
        outcome = self._begin()
        for step, (before, answer) in enumerate(trace):
            if isinstance(outcome, Abort):
                return outcome
            if outcome != before:
                return Diverge(step)
            outcome = self.resume(answer)
        return outcome

    def resume(self, answer: Answer) -> Outcome:
        """Go on with the answer to the last call back, until the next outcome."""
        if self._budget is not None and self._budget.is_over:
            return out_of_time_together(self._limits)
        snapshot, name = self._snapshot, self._name
        self._said.append((self._asked, answer))
        if isinstance(answer, Done):
            return self._run(lambda: snapshot.resume({"return_value": result(name, answer)}))
        no = refusal(answer)
        text = f"{no.code}: {no.detail}"
        self._noes[text] = no
        return self._run(lambda: _raise(snapshot, "PermissionError", text))

    def close(self) -> None:
        """Give the interpreter back; a second time does nothing."""
        self._budget = None
        self._give_back()

    def _give_back(self) -> None:
        with self._lock:
            self._pid = None
        if self._monty is not None:
            session, self._monty = self._monty, None
            session.__exit__(None, None, None)

    def kill(self) -> None:
        """End the call with its worker, from any thread; it becomes an ``Abort``."""
        with self._lock:
            self._is_killed = True
            if self._pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)

    def cpu_us(self) -> int | None:
        """Return the CPU time that its interpreter used for it; None where unknown."""
        used = None if self._monty is None else self._workers.cpu_us(self._monty)
        return None if used is None else used - self._cpu_us

    def _begin(self) -> Outcome:
        call = self._call
        if self._budget is not None and self._budget.is_over:
            return out_of_time_together(self._limits)
        fault = fault_of_text(call.code, self._limits)
        if fault is not None:
            return Abort(fault)
        functions = _FUNCTIONS.findall(call.code)
        if call.method not in functions:
            known = ", ".join(functions[:20]) or "none"
            return Raise(
                f"the code defines no function {call.method!r} at its left margin: it has {known}"
            )
        self._questions = 0
        self._outlet = Outlet(self._limits.output_bytes_max, self._limits.depth_max)
        self._noes: dict[str, Refusal] = {}
        said = (call.seed, call.now_us, call.caller, call.method, call.args)
        self._chance = blake2b(msgspec.msgpack.encode(said), digest_size=32)
        try:
            monty = self._workers.checkout(self._wall_us, self._policy())
        except _HOST_TROUBLE:
            most = self._limits.workers_max
            return Abort(f"no interpreter was free of at most {most}: call with less nesting")
        self._monty = monty
        with self._lock:
            self._pid = monty.worker_pid
        if self._is_killed:
            return Abort("it was ended from outside")
        self._cpu_us = self._workers.cpu_us(monty) or 0
        code = f"{call.code}\n{call.method}(**{_ARGUMENTS})"
        printed = CollectString(max_bytes=self._limits.output_bytes_max)
        inputs = {_ARGUMENTS: call.args}
        return self._run(lambda: monty.feed_start(code, inputs=inputs, print_callback=printed))

    def _policy(self) -> dict[str, Any]:
        """The world's time, no waiting, and chance from the seed."""
        return {
            "datetime": _EPOCH + timedelta(microseconds=min(self._call.now_us, _LAST_US)),
            "timezone": "utc",
            "sleep": "zero",
            "process_time": "zero",
            "random_start": {"seed": self._chance.hexdigest()},
        }

    def _run(self, turn: Callable[[], Snapshot]) -> Outcome:
        """Run on until the next outcome, and count the time that it took."""
        budget = self._budget
        assert budget is not None, "a call that was closed does not go on"
        began_ns = time.perf_counter_ns()
        outcome = self._turn(turn, budget)
        took_us = (time.perf_counter_ns() - began_ns) // 1_000
        budget.wall_us += took_us
        if outcome is None:
            return self._again(budget)
        used = self.cpu_us()
        spent_us = self._spent_us + took_us if used is None else used
        budget.cpu_us += spent_us - self._spent_us
        self._spent_us = spent_us
        return out_of_time_together(self._limits) if budget.is_over else outcome

    def _turn(self, turn: Callable[[], Snapshot], budget: Budget) -> Outcome | None:
        """Answer what is no action until the next outcome; None where it is to be run again."""
        try:
            snapshot = turn()
            while not isinstance(snapshot, MontyComplete):
                if isinstance(snapshot, FutureSnapshot):
                    return Abort("code waits for what never comes")
                self._questions += 1
                if self._questions > self._limits.questions_max:
                    most = self._limits.questions_max
                    return Abort(f"code asks its host at most {most} times in a call")
                told = self._reply(snapshot)
                if isinstance(told, CallBack):
                    return told
                snapshot = told
            done = snapshot
            return Return(self._outlet.give(_made(lambda: done.output)))
        except Oversize:
            return out_of_output(self._limits, "what it gave out has")
        except Unfit as unfit:
            return Raise(f"{self._call.method} must return JSON: {unfit}")
        except MontyError as error:
            is_late = is_out_of_time(error)
            if is_late and self._is_starved(budget):
                return None
            if is_late or is_stuck(error):
                budget.end()
            return ended(error, self._limits, self._call.code.count("\n") + 1)
        except (RuntimeError, OSError):
            return Abort("its interpreter broke the protocol: try it again")

    def _is_starved(self, budget: Budget) -> bool:
        """Whether the machine was too busy to give the code its time, and there is more patience.

        The interpreter counts time on the wall. What the code did so far is done again.
        """
        used = self.cpu_us()
        if used is None or used >= self._time_us * _STARVED:
            return False
        return budget.allows(self._wall_us * 2)

    def _again(self, budget: Budget) -> Outcome:
        self._give_back()
        budget.cpu_us -= self._spent_us
        self._spent_us = 0
        self._wall_us *= 2
        said, self._said = self._said, []
        return self.replay(said)

    def _reply(self, snapshot: FunctionSnapshot | NameLookupSnapshot) -> Snapshot | CallBack:
        """Answer what the code asks its host, unless it is an action."""
        if isinstance(snapshot, NameLookupSnapshot):
            name = snapshot.variable_name
            if snapshot.object_id is None and (name in ACTIONS or name in _OWN):
                return snapshot.resume(value=_function(name))
            return snapshot.resume()
        name = str(snapshot.function_name)
        if snapshot.is_os_function:
            return snapshot.resume_not_handled()
        if snapshot.object_id is not None or (name not in ACTIONS and name not in _OWN):
            return _raise(snapshot, "NameError", f"name {name[:80]!r} is not defined")
        try:
            args, named = _made(lambda: (snapshot.args, snapshot.kwargs))
            if name in _OWN:
                return snapshot.resume({"return_value": self._own(name, args, named)})
            call = asked(name, self._outlet.give(args), self._outlet.give(named))
        except Unfit as unfit:
            return _raise(snapshot, unfit.kind, str(unfit))
        self._snapshot, self._name, self._asked = snapshot, name, call
        return call

    def _own(self, name: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What the code may know without an action."""
        wanted = 1 if name == "refusal" else 0
        if len(args) != wanted or named:
            raise Unfit("TypeError", f"{name}() takes {wanted} arguments")
        if name == "now":
            return self._call.now_us
        if name == "caller":
            return self._call.caller
        if name == "random":
            self._chance.update(b"\0")
            return (int.from_bytes(self._chance.digest()[:8]) >> 11) / 2**53
        (error,) = args
        no = self._noes.get(str(error.args[0])) if _is_error(error) else None
        return no and ClassInstance(no, eager_attrs=_REFUSAL_FIELDS)


def _made(give: Callable[[], Any]) -> Any:
    """What the code gave, as host objects, which ``give`` makes.

    Raises:
        Unfit: they cannot be made: an object that Python cannot hash is the name of another, say.
    """
    try:
        return give()
    except _NO_VALUE:
        raise Unfit("TypeError", "it holds what is not JSON") from None


def _is_error(value: Any) -> bool:
    return isinstance(value, BaseException) and bool(value.args) and type(value.args[0]) is str


def _raise(snapshot: FunctionSnapshot, kind: Any, text: str) -> Snapshot:
    return snapshot.resume({"exc_type": kind, "message": text})


def _function(name: str) -> Callable[[], None]:
    """What stands for one of our functions where code takes it as a value; it is never called."""

    def function() -> None:
        raise AssertionError(name)

    function.__name__ = name
    return function
