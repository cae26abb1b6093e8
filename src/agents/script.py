"""Owns the mind that goes through the steps of its own artifact. It must not know what they are for.

The steps stand in ``params.steps`` as data, so a scenario tells a whole story without a line of Python:

    steps:
      - sleep_s: 2
      - invoke: [genesis_escrow, purchase, {artifact: poem}]
        price_max_scrip: 20
        times: 3
      - write: {id: note, content: bought, contract: {id: freeware}}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ..world import Contract, Delete, Edit, Envelope, Invoke, Read, Sleep, Stop, Tool, Write
from .mind import Decision, Observation, Rules

_SECOND_US: Final = 1_000_000
_BOUNDS: Final = ("price_max_scrip", "compute_max", "idempotency_key")
_TIMES_MAX: Final = 10_000


class StepError(ValueError):
    """A step that cannot be read; its text says why."""


class Script(Rules):
    """Takes its steps one after the other, whatever the answers are, then stops.

    Params: ``steps``, each with one action (``read``, ``write``, ``edit``, ``delete``, ``invoke``,
    ``sleep_s`` from now, ``until_s`` of world time), with ``times`` to repeat it, and with
    the bounds of an envelope.
    """

    def choose(self, o: Observation) -> Decision:
        """The step whose turn it is."""
        steps = o.params().get("steps")
        if not isinstance(steps, list):
            return Stop("its params hold no list of steps")
        left = o.decisions
        for number, step in enumerate(steps, 1):
            try:
                times = _times(step)
                if left < times:
                    return _decision(step, o)
            except StepError as error:
                return Stop(f"step {number}: {error}")
            left -= times
        return Stop("the script is over")


def _times(step: Any) -> int:
    if not isinstance(step, dict):
        raise StepError(f"it is {_shown(step)}, not an action with its arguments")
    times = step.get("times", 1)
    if type(times) is not int or not 0 <= times <= _TIMES_MAX:
        raise StepError(f"times is a number from 0 to {_TIMES_MAX}, not {_shown(times)}")
    return times


def _decision(step: dict[str, Any], o: Observation) -> Decision:
    named = [key for key in step if key not in (*_BOUNDS, "times")]
    if len(named) != 1 or named[0] not in _READERS:
        known = ", ".join(_READERS)
        raise StepError(f"it has {', '.join(map(str, named)) or 'nothing'}: give it one of {known}")
    try:
        decision = _READERS[named[0]](step[named[0]], o)
        bounds = {key: step[key] for key in _BOUNDS if key in step}
        if not bounds or isinstance(decision, Sleep | Stop | Envelope):
            return decision
        return Envelope(o.principal, decision, **bounds)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise StepError(f"{named[0]}: {' '.join(str(error).split())[:200]}") from None


def _read(told: Any, o: Observation) -> Decision:
    return Read(_text(told))


def _delete(told: Any, o: Observation) -> Decision:
    return Delete(_text(told))


def _edit(told: Any, o: Observation) -> Decision:
    fields = _fields(told, ("id", "old", "new"), ())
    return Edit(*(_text(fields[name]) for name in ("id", "old", "new")))


def _invoke(told: Any, o: Observation) -> Decision:
    if not isinstance(told, list) or not 2 <= len(told) <= 3:
        raise StepError("invoke is a list: an artifact, a method, and its arguments by name")
    args = told[2] if len(told) == 3 else {}
    if not isinstance(args, dict):
        raise StepError("invoke: the arguments are given by name")
    return Invoke(_text(told[0]), _text(told[1]), args)


def _write(told: Any, o: Observation) -> Decision:
    more = ("content", "description", "type", "contract", "interface")
    fields = _fields(told, ("id",), more)
    contract = None
    if "contract" in fields:
        given = _fields(fields["contract"], ("id",), ("price_scrip", "members"))
        contract = msgspec.convert([given["id"], given.get("price_scrip", 0),
                                    given.get("members", [])], Contract)  # fmt: skip
    interface = None
    if "interface" in fields:
        interface = msgspec.convert(fields["interface"], tuple[Tool, ...])
    return Write(
        _text(fields["id"]),
        _text(fields.get("content", "")),
        fields.get("description"),
        fields.get("type"),
        contract,
        interface,
    )


def _sleep(told: Any, o: Observation) -> Decision:
    return Sleep(o.now_us + _seconds(told))


def _until(told: Any, o: Observation) -> Decision:
    return Sleep(_seconds(told))


def _seconds(told: Any) -> int:
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 <= told < 10**9:
        raise StepError(f"a time is a number of seconds from 0, not {_shown(told)}")
    return round(told * _SECOND_US)


def _text(told: Any) -> str:
    if not isinstance(told, str):
        raise StepError(f"{_shown(told)} is no text")
    return told


def _fields(told: Any, needed: tuple[str, ...], more: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise StepError(f"it takes {', '.join(needed + more)} by name")
    for name in needed:
        if name not in told:
            raise StepError(f"{name} is missing")
    for name in told:
        if name not in needed + more:
            raise StepError(f"there is no {name!r}: it takes {', '.join(needed + more)}")
    return told


def _shown(told: Any) -> str:
    return repr(told)[:60]


_READERS: Final[dict[str, Callable[[Any, Observation], Decision]]] = {
    "read": _read,
    "write": _write,
    "edit": _edit,
    "delete": _delete,
    "invoke": _invoke,
    "sleep_s": _sleep,
    "until_s": _until,
}
