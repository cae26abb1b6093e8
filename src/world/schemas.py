"""Owns the checking of arguments and results: JSON Schema 2020-12 within bounds, with our own sentences.

Schemas come from strangers. No reference leaves the schema, a local one points at a definition
that holds no reference itself, size is bounded, regular expressions are linear. The validator
only says yes or where and which keyword; the sentences are ours, so that an upgrade of it does
not change a record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from .config import Limits

_CLOSES = (
    "additionalProperties",
    "unevaluatedProperties",
    "patternProperties",
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
)
_PREFIXES = ("#/$defs/", "#/definitions/")
_ERRORS_MAX = 3
_PART_CHARS_MAX = 200


class SchemaError(ValueError):
    """A schema that cannot be used; its text says why."""


class Validator:
    """A compiled schema of a method's arguments; arguments that it does not declare are refused."""

    __slots__ = ("_schema", "is_valid")
    of = "the arguments"

    def __init__(self, schema: dict[str, Any], limits: Limits) -> None:
        """Compile.

        Raises:
            SchemaError: it is no JSON Schema, or it is beyond the bounds.
        """
        _bound(schema, limits)
        try:
            self._schema = jsonschema_rs.Draft202012Validator(
                self._own(schema), pattern_options=jsonschema_rs.RegexOptions(), retriever=_refuse
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise SchemaError(f"not a JSON Schema: {str(error).splitlines()[0][:200]}") from None
        self.is_valid = self._schema.is_valid

    def explain(self, value: Any) -> str:
        """Why ``value`` is not valid, in one sentence."""
        parts: list[str] = []
        for error in self._schema.iter_errors(value):
            parts.append(_sentence(error, self.of))
            if len(parts) == _ERRORS_MAX:
                break
        return "; ".join(parts)

    def _own(self, schema: dict[str, Any]) -> dict[str, Any]:
        if any(key in schema for key in _CLOSES):
            return schema
        # With one name that nothing may have, the validator names what is too much.
        own = {"type": "object", "properties": {"": False}}
        return {**own, **schema, "additionalProperties": False}


class ResultValidator(Validator):
    """A compiled schema of a method's result, of any type; what it does not declare may be there."""

    __slots__ = ()
    of = "the result"

    def _own(self, schema: dict[str, Any]) -> dict[str, Any]:
        return schema


def _refuse(uri: str) -> Any:
    raise ValueError(f"a schema may not refer to {uri[:80]}")


def _bound(schema: dict[str, Any], limits: Limits) -> None:
    walk = _walk(schema, False, 0, limits.args_depth_max * 2)
    for nodes, (keyword, value, inside_definition) in enumerate(walk, 1):
        if nodes > limits.schema_nodes_max:
            raise SchemaError(f"a schema has at most {limits.schema_nodes_max} nodes")
        if keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            local = isinstance(value, str) and value.startswith(_PREFIXES) and value.count("/") == 2
            if keyword != "$ref" or not local:
                raise SchemaError(f"a reference points at #/$defs/NAME, not at {str(value)[:80]!r}")
            if inside_definition:
                raise SchemaError("a definition may not hold a reference itself")
        if keyword in ("$id", "$anchor", "$dynamicAnchor"):
            raise SchemaError(f"a schema has no {keyword}")


def _walk(node: Any, inside: bool, depth: int, depth_max: int) -> Iterator[tuple[str, Any, bool]]:
    if depth > depth_max:
        raise SchemaError(f"a schema is at most {depth_max} levels deep")
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value, inside
            within = inside or key in ("$defs", "definitions")
            yield from _walk(value, within, depth + 1, depth_max)
    elif isinstance(node, list):
        for value in node:
            yield "", value, inside
            yield from _walk(value, inside, depth + 1, depth_max)


def _sentence(error: jsonschema_rs.ValidationError, of: str) -> str:
    kind = error.kind
    where = ".".join(str(part) for part in error.instance_path)[:_PART_CHARS_MAX] or of
    name = kind.name
    if name == "required":
        missing = getattr(kind, "property")[:_PART_CHARS_MAX]  # noqa: B009 - the stub does not name it
        return f"{where} {'lack' if where == Validator.of else 'lacks'} {missing!r}"
    if name == "additionalProperties":
        unexpected = sorted(getattr(kind, "unexpected"))  # noqa: B009
        return f"{where} may not have {', '.join(map(repr, unexpected))[:_PART_CHARS_MAX]}"
    if name == "type":
        wanted = " or ".join(sorted(getattr(kind, "types")))  # noqa: B009
        return f"{where} must be of type {wanted}"
    if name == "enum":
        options = getattr(kind, "options")  # noqa: B009
        return f"{where} must be one of {', '.join(map(repr, options))[:_PART_CHARS_MAX]}"
    limit = getattr(kind, "limit", None)
    return f"{where} breaks {name}" + ("" if limit is None else f" {limit}")
