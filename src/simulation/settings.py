"""Owns trees of settings: merging them, where each was written, and one clear sentence for each fault.

What the settings mean is none of its business: a pydantic model says that. Nor is how a file is
written: `settings_file.py`.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..world import ConfigurationFault

Key = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists."""
Fault = tuple[Key, str]
"""Where something is wrong, and what."""
ModelT = TypeVar("ModelT", bound=BaseModel)

FAULTS_TOLD_MAX: Final = 5
FOUND_CHARS_MAX: Final = 60
SHOWN_MAX: Final = 1e40
UNKNOWN: Final = "extra_forbidden"
"""The library's name for an unknown key; told first, because a missing key is often that one."""


@dataclass(frozen=True)
class Place:
    """Where a value was written: the line is None outside files; `key` is what is found there."""

    origin: str
    line: int | None
    key: Key


@dataclass(frozen=True)
class Settings:
    """A tree of values, and where each of them was written.

    `origin` names what the whole came from; it is told where a value has no place of its own.
    """

    values: dict[str, Any]
    places: Mapping[Key, Place] = field(default_factory=dict)
    origin: str = ""

    @classmethod
    def given(cls, values: Mapping[str, Any], origin: str) -> Settings:
        """Return settings that no file holds; `origin` says who gave them."""
        return cls(_plain(values), {key: Place(origin, None, key) for key in _keys(values)}, origin)

    def under(self, other: Settings) -> Settings:
        """Return these settings with `other` over them, mapping by mapping, key by key.

        A mapping of which nothing is written (all its lines are comments, say) changes nothing.
        """
        values = _merged(self.values, other.values)
        return Settings(values, {**self.places, **other.places}, self.origin)

    def filled(self, entries: Key, source: Key) -> Settings:
        """Return these settings with the keys that `entries` leave out taken from `source`.

        `*` in `entries` stands for every key there.
        """
        filling = _at(self.values, source)
        if not isinstance(filling, dict):
            return self
        below = {
            key[len(source) :]: place
            for key, place in self.places.items()
            if key[: len(source)] == source and len(key) > len(source)
        }
        values, places = self.values, dict(self.places)
        for entry in list(_matching(values, entries)):
            beneath = _at(values, entry)
            values = _with(values, entry, filling | beneath)
            places |= {
                (*entry, *key): place for key, place in below.items() if key[0] not in beneath
            }
        return replace(self, values=values, places=places)

    def part(self, *key: str) -> Settings:
        """Return the mapping under `key` as settings of their own; empty where there is none."""
        values = _at(self.values, key)
        places = {
            place_key[len(key) :]: place
            for place_key, place in self.places.items()
            if place_key[: len(key)] == key
        }
        return Settings(values if isinstance(values, dict) else {}, places, self.origin)

    def where(self, key: Key) -> str:
        """Return file, line and key for a person; the line is the nearest above if it has none."""
        for length in range(len(key), -1, -1):
            if place := self.places.get(key[:length]):
                origin = (
                    place.origin if place.line is None else f"{place.origin}, line {place.line}"
                )
                return f"{origin}: {name_of((*place.key, *key[length:]))}".removesuffix(": ")
        return ": ".join(part for part in (self.origin, name_of(key)) if part)


def validated(model: type[ModelT], settings: Settings) -> ModelT:
    """Return the settings as `model`.

    Raises:
        ConfigurationFault: they don't fit; a sentence for each fault.
    """
    try:
        return model.model_validate(settings.values)
    except ValidationError as error:
        details = sorted(error.errors(include_url=False), key=lambda d: d["type"] != UNKNOWN)
    refuse(settings, (_fault(model, detail) for detail in details))
    raise AssertionError("a validation error has details")


def refuse(settings: Settings, faults: Iterable[Fault]) -> None:
    """Do nothing if there are no faults.

    Raises:
        ConfigurationFault: there are; a line for each of the first `FAULTS_TOLD_MAX`.
    """
    lines = list(dict.fromkeys(f"{settings.where(key)}: {text}." for key, text in faults))
    if len(lines) > FAULTS_TOLD_MAX:
        lines[FAULTS_TOLD_MAX:] = [f"(and {len(lines) - FAULTS_TOLD_MAX} more)"]
    if lines:
        raise ConfigurationFault("\n".join(lines))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, else all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"; the nearest known one is {close[0]!r}"
    return f"; known are {', '.join(names)}" if names else ""


def name_of(key: Key) -> str:
    """Return a key as people write it: `agents[0].quotas`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(path: Path) -> str:
    """Return a path for a person: from the current folder if it is below that."""
    path = path.absolute()
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def inner_type(annotation: Any) -> Any:
    """Return what an annotation is about, without bounds and without null."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return inner_type(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return inner_type(next(arg for arg in get_args(annotation) if arg is not types.NoneType))
    return annotation


# What is wrong, in words.

_EXPECTED: Final = {
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "mapping_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
    "string_too_short": "some text",
    "literal_error": "{expected}",
}


def _fault(model: type[BaseModel], detail: ErrorDetails) -> Fault:
    key, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
    if kind == UNKNOWN:
        known = _known_keys(model, key[:-1])
        return key, f"unknown key {key[-1]!r}{nearest(str(key[-1]), known)}"
    if kind == "missing":
        return key, "this key is missing"
    if kind in _EXPECTED:
        bounds = {
            name: int(bound) if isinstance(bound, float) and bound.is_integer() else bound
            for name, bound in context.items()
        }
        expected = _EXPECTED[kind].format(**bounds)
        return key, f"expected {expected}, found {_found(detail['input'])}"
    if kind == "value_error":
        return key, str(context["error"])
    return key, f"{detail['msg']}, found {_found(detail['input'])}"


def _found(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value) if -SHOWN_MAX < value < SHOWN_MAX else "no number of a sensible size"
        case str():
            short = value if len(value) <= FOUND_CHARS_MAX else value[:FOUND_CHARS_MAX] + "…"
            return f"the text {short!r}" if value else "an empty text"
        case Mapping():
            return "keys with values"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"


def _known_keys(model: type[BaseModel], key: Key) -> Iterable[str]:
    annotation: Any = model
    for part in key:
        annotation = inner_type(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(part)].annotation
        else:
            annotation = get_args(annotation)[0 if isinstance(part, int) else 1]
    known = inner_type(annotation)
    return known.model_fields if issubclass(known, BaseModel) else ()


# Trees of values.


def _at(values: Any, key: Sequence[str | int]) -> Any:
    for part in key:
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _with(values: dict[str, Any], key: Key, value: Any) -> dict[str, Any]:
    if not key:
        return dict(value)
    return {**values, str(key[0]): _with(values[str(key[0])], key[1:], value)}


def _plain(value: Any) -> Any:
    """Return a copy of a value whose mappings are all dictionaries."""
    if isinstance(value, Mapping):
        return {name: _plain(beneath) for name, beneath in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _keys(value: Any, key: Key = ()) -> Iterator[Key]:
    """Yield the key of everything below a value."""
    if isinstance(value, Mapping):
        entries: Iterable[tuple[Any, Any]] = value.items()
    else:
        entries = enumerate(value) if isinstance(value, list | tuple) else ()
    for part, beneath in entries:
        yield (*key, part)
        yield from _keys(beneath, (*key, part))


def _matching(values: Any, entries: Key, key: Key = ()) -> Iterator[Key]:
    if not isinstance(values, dict):
        return
    if not entries:
        yield key
        return
    for name in list(values):
        if entries[0] in ("*", name):
            yield from _matching(values[name], entries[1:], (*key, name))


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        beneath = merged.get(name)
        if not isinstance(beneath, Mapping):
            merged[name] = value
        elif isinstance(value, Mapping):
            merged[name] = _merged(beneath, value)
        elif value is not None:
            merged[name] = value
    return merged
