"""Owns what an operator can do: pause, resume, stop, signal, set a limit. Logged like everything else."""

from __future__ import annotations

from collections.abc import Callable

from .agenda import WORLD
from .answers import Answer, Code, Done, Refused
from .config import QUOTA_MAX, Limits
from .facts import Fact, LimitSet, Paused, Resumed, Signalled, Stopped, Woke
from .records import Command, Pause, Resume, SetLimit, Signal, StopAgent
from .state import State


def operate(note: Callable[[Fact], None], state: State, limits: Limits, command: Command) -> Answer:
    """Carry out a command, or refuse it; see the fields of each command."""
    agenda = state.agenda
    principal = command.principal
    whole_world = principal == WORLD and isinstance(command, Pause | Resume)
    if not whole_world and principal not in state.ledger.balances:
        return Refused(Code.NO_STANDING, f"{principal[:80]!r} is no principal of this world")
    if isinstance(command, Pause):
        if principal not in agenda.paused:
            note(Paused(principal))
    elif isinstance(command, Resume):
        if principal in agenda.paused:
            note(Resumed(principal))
    elif isinstance(command, StopAgent):
        if principal not in agenda.stopped:
            note(Stopped(principal, command.reason))
    elif isinstance(command, Signal):
        if len(agenda.signals.get(principal, ())) >= limits.signals_max:
            detail = f"{principal} has {limits.signals_max} signals that it has not seen yet"
            return Refused(Code.QUOTA_EXCEEDED, detail)
        note(Signalled(principal, command.signal))
        if principal in agenda.sleeping:
            note(Woke(principal))
    else:
        return _set_limit(note, state, command)
    return Done()


def _set_limit(note: Callable[[Fact], None], state: State, command: SetLimit) -> Answer:
    if command.resource not in state.resources.kinds:
        known = ", ".join(state.resources.kinds)
        detail = f"there is no resource {command.resource[:80]!r}: there is {known}"
        return Refused(Code.NOT_FOUND, detail)
    if not 0 <= command.limit <= QUOTA_MAX:
        detail = f"a limit is an integer from 0 to {QUOTA_MAX}, not {command.limit}"
        return Refused(Code.DEFINITION_INVALID, detail)
    note(LimitSet(command.principal, command.resource, command.limit))
    return Done()
