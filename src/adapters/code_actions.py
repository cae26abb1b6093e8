"""Owns the names that agent-written code finds: which are actions, and how an answer looks to it.

It must not know the interpreter. What the world says no to is a ``PermissionError`` there, because
its exceptions carry a text and nothing else; ``refusal(error)`` gives the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import signature
from types import MappingProxyType
from typing import Any, Final

import msgspec

from ..world import (
    Answer,
    CallBack,
    Contract,
    Delete,
    Done,
    Edit,
    Failed,
    Invoke,
    Read,
    Refused,
    Tool,
    Write,
)
from .code_values import Unfit

LEDGER: Final = "genesis_ledger"
_MISFIT: Final = re.compile(r"Expected `(\w+)`, got `(\w+)` - at `\$\[(\d)\]`")


class Refusal(msgspec.Struct, frozen=True):
    """What ``refusal(error)`` gives: why the world said no, as docs/architecture/codes.md lists it.

    ``code`` is a name of that list. ``committed`` says that something done before still stands.
    """

    code: str
    detail: str
    retry_after_us: int | None
    committed: bool


def read(id: Any, waits: Any = False, price_max_scrip: Any = None) -> CallBack:
    """Read the content of an artifact.

    ``waits`` says that it may take time (of a person who approves it), ``price_max_scrip`` what it may cost.
    """
    return _called("read", Read(id), waits, price_max_scrip)


def write(
    id: Any,
    content: Any,
    description: Any = None,
    type: Any = None,
    contract: Any = None,
    interface: Any = None,
    waits: Any = False,
) -> CallBack:
    """Make an artifact or replace one; ``contract`` and ``interface`` are as JSON has them."""
    if not isinstance(content, str):
        raise TypeError("write() wants content to be text")
    if contract is not None:
        contract = msgspec.convert(contract, _Contract).full()
    if interface is not None:
        interface = msgspec.convert(interface, tuple[Tool, ...])
    return _called("write", Write(id, content, description, type, contract, interface), waits)


def edit(id: Any, old: Any, new: Any, waits: Any = False) -> CallBack:
    """Replace one piece of text by another."""
    return _called("edit", Edit(id, old, new), waits)


def delete(id: Any, waits: Any = False) -> CallBack:
    """Delete an artifact."""
    return _called("delete", Delete(id), waits)


def invoke(
    id: Any, method: Any, args: Any = None, waits: Any = False, price_max_scrip: Any = None
) -> CallBack:
    """Invoke a method.

    ``waits`` says that it may leave the world and take time, ``price_max_scrip`` what it may cost.
    """
    action = Invoke(id, method, {} if args is None else args)
    return _called("invoke", action, waits, price_max_scrip)


def transfer(to: Any, amount: Any) -> CallBack:
    """Pay scrip."""
    return CallBack(Invoke(LEDGER, "transfer", {"to": to, "amount": amount}))


def balance(principal: Any = None) -> CallBack:
    """Ask how much scrip can be spent, by the artifact itself or by a principal."""
    return CallBack(
        Invoke(LEDGER, "balance", {} if principal is None else {"principal": principal})
    )


def _called(name: str, action: Any, waits: Any, price_max_scrip: Any = None) -> CallBack:
    if type(waits) is not bool:
        raise TypeError(f"{name}() wants waits to be True or False")
    if price_max_scrip is not None and type(price_max_scrip) is not int:
        raise TypeError(f"{name}() wants price_max_scrip to be an integer")
    return CallBack(action, waits, price_max_scrip)


class _Contract(msgspec.Struct, forbid_unknown_fields=True):
    id: str = "private"
    price_scrip: int = 0
    members: tuple[str, ...] = ()

    def full(self) -> Contract:
        return Contract(self.id, self.price_scrip, self.members)


ACTIONS: Final[Mapping[str, Callable[..., CallBack]]] = MappingProxyType(
    {make.__name__: make for make in (read, write, edit, delete, invoke, transfer, balance)}
)


def asked(name: str, args: list[Any], named: dict[str, Any]) -> CallBack:
    """Return the action that a call asks for; its arguments are plain already.

    Raises:
        Unfit: the arguments are not those of the function.
    """
    try:
        call = ACTIONS[name](*args, **named)
        msgspec.convert(msgspec.to_builtins(call.action), type(call.action))
    except msgspec.ValidationError as error:
        raise Unfit("TypeError", f"{name}() got {_misfit(name, str(error))}"[:300]) from None
    except TypeError as error:
        raise Unfit("TypeError", str(error)[:300]) from None
    return call


def _misfit(name: str, told: str) -> str:
    """Which argument is of the wrong type, by its name."""
    match = _MISFIT.fullmatch(told)
    if match is None:
        return f"what it cannot use: {told}"
    parameters = list(signature(ACTIONS[name]).parameters)
    return f"{match[2]} for {parameters[int(match[3]) - 1]}, which is {match[1]}"


def result(name: str, answer: Done) -> Any:
    """Return what the function answers in the code: for ``balance`` the scrip that can be spent.

    What another has held is not told, so of others it is all that they have.
    """
    match answer.result:
        case {"scrip": int(scrip), "held": held} if name == "balance":
            return scrip - (held or 0)
        case other:
            return other


def refusal(answer: Answer) -> Refusal:
    """Return a no of the world as code sees it."""
    assert isinstance(answer, Refused | Failed), answer
    committed = isinstance(answer, Failed) and answer.committed
    return Refusal(answer.code.name, answer.detail, answer.retry_after_us, committed)
