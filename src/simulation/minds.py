"""Owns which mind an agent gets: the caller's by the agent's id or by name, else one of the library's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeGuard, cast

import msgspec

from ..agents.library import MINDS
from ..agents.mind import Mind
from ..world import ConfigurationFault
from .scenario import Scenario
from .settings import nearest

MindFactory = Callable[[], Mind]


class _Configuration(msgspec.Struct, frozen=True):
    """What the content of an agent says at least."""

    mind: str


def refuse_minds(minds: Mapping[str, Mind | MindFactory], scenario: Scenario) -> None:
    """Do nothing where every key is a mind's name or an agent's id, and every value can be a mind.

    Raises:
        ConfigurationFault: one is not; names it, and the nearest that there is.
    """
    if not isinstance(minds, Mapping):
        raise ConfigurationFault(f"minds maps names to minds, and is no {type(minds).__name__}")
    names = {*MINDS, *(entry.mind for entry in scenario.agents)}
    ids = {id for entry in scenario.agents for id in entry.ids()}
    for key, mind in minds.items():
        if key not in names and key not in ids:
            raise ConfigurationFault(
                f"minds[{key!r}]: this is no mind's name and no agent's id"
                f"{nearest(str(key), names | ids)}"
            )
        if not callable(mind) and not _decides(mind):
            raise ConfigurationFault(
                f"minds[{key!r}]: {mind!r:.80} is no mind (it has no method `decide`), "
                "and no class or function that makes one"
            )


def mind_of(principal: str, content: str, minds: Mapping[str, Mind | MindFactory]) -> Mind:
    """The mind of an agent, made now where a class or a function makes it.

    Args:
        principal: the agent. content: of its artifact, which names its mind.
        minds: the caller's, over those of the library.

    Raises:
        ConfigurationFault: there is none of that name, or what should make it does not.
    """
    name = mind_named(principal, content)
    known: dict[str, Mind | MindFactory] = {**MINDS, **minds}
    found = minds.get(principal, known.get(name))
    if found is None:
        told = ", ".join(sorted(known))
        raise ConfigurationFault(f"agent {principal}: there is no mind {name!r:.80}, only {told}")
    if _decides(found):
        return found
    return _made(principal, name, cast(MindFactory, found))


def mind_named(principal: str, content: str) -> str:
    """The name of the mind that a content asks for; one that asks for none gets the agent's own."""
    try:
        return msgspec.json.decode(content, type=_Configuration).mind
    except (msgspec.DecodeError, RecursionError):  # whoever may write it wrote it
        return principal


def _made(principal: str, name: str, factory: MindFactory) -> Mind:
    try:
        mind = factory()
    except Exception as error:  # a factory is a stranger's code: it is told in a sentence
        text = " ".join(str(error).split())[:200]
        told = f"making its mind {name!r} failed: {type(error).__name__}: {text}"
        raise ConfigurationFault(f"agent {principal}: {told}") from error
    if not _decides(mind):
        told = f"what makes its mind {name!r} made {mind!r:.80}, which has no method `decide`"
        raise ConfigurationFault(f"agent {principal}: {told}")
    return mind


def _decides(mind: object) -> TypeGuard[Mind]:
    """Whether it is a mind, and no class of minds."""
    return not isinstance(mind, type) and callable(getattr(mind, "decide", None))
