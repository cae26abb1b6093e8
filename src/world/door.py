"""Owns the way in: an action is checked, normalised, bounded and encoded once; that encoding is recorded.

Normal form: JSON values; integers of 64 bits; finite numbers, whole ones as integers (as canonical
JSON writes them); no lone surrogates; limited depth and size. What comes out shares nothing with
what went in.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

import msgspec

from .actions import Delete, Edit, Envelope, Invoke, Read, Sleep, Stop, Write
from .answers import Code, EffectResult, Refused
from .config import Limits
from .ports import EventLog
from .records import (
    ENCODER,
    ENVELOPES,
    OPERATES,
    RESULTS,
    VALUES,
    BlobRef,
    Command,
    Malformed,
    Operate,
    digest_of,
)

INT_MAX = 2**63 - 1
INT_MIN = -(2**63)
USED_MAX = 2**53
"""The most that one effect can have used of anything, so that no sum leaves 64 bits."""
_WHOLE_MAX = 2.0**63
_USAGES_MAX = 32
_USAGE_NAME_CHARS_MAX = 64
_SENTENCE_CHARS_MAX = 2_000
_RESULT_DEPTH_MAX = 64
_NONE = b"\xc0"
_ACTIONS = (Invoke, Read, Write, Edit, Delete, Sleep, Stop)
_MISFIT = re.compile(r"Expected `([^`]+)`, got `([^`]+)` - at `\$(\[2\])?\[(\d+)\](.*)`")
_JSON_NAMES = {
    "str": "text",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "nothing",
    "None": "nothing",
}
_UNFIT = (
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
    UnicodeError,
    msgspec.ValidationError,
)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A normalised action: ``raw`` is its encoding, ``blob`` large content that ``raw`` names by hash."""

    envelope: Envelope
    raw: bytes
    blob: bytes | None = None


def enter(envelope: Envelope, limits: Limits) -> Entry | Malformed:
    """Normalise an action, or say why it cannot be kept."""
    blob = None
    try:
        action = envelope.action
        if type(action) not in _ACTIONS:
            kinds = ", ".join(kind.__name__ for kind in _ACTIONS)
            return _no(envelope, Code.MALFORMED, f"an action is one of {kinds}")
        if type(action) is Write:
            told = _detach(envelope, action, limits)
            if not isinstance(told, tuple):
                return told
            envelope, blob = told
        raw = ENCODER.encode(envelope)
        if len(raw) > limits.action_bytes_max:
            detail = f"an action has at most {limits.action_bytes_max} bytes, not {len(raw)}"
            return _no(envelope, Code.CONTENT_TOO_LARGE, detail)
        envelope = ENVELOPES.decode(raw)
        action, key = envelope.action, envelope.idempotency_key
        if type(action) is Invoke:
            if not _is_flat(action.args) and _normalise(action.args, limits.args_depth_max):
                raw = ENCODER.encode(envelope)
        elif type(action) is Write:
            raw = ENCODER.encode(envelope) if _normalise_schemas(action, limits) else raw
        elif type(action) is Sleep:
            if len(action.watch) > limits.watch_max:
                detail = f"at most {limits.watch_max} ids can be watched"
                return _no(envelope, Code.MALFORMED, detail)
            if any(len(id) > limits.id_chars_max for id in action.watch):
                return _no(envelope, Code.MALFORMED, "what is watched is an id")
        elif type(action) is Stop and len(action.reason) > limits.description_chars_max:
            return _no(envelope, Code.MALFORMED, "the reason of a stop is too long")
        if key is not None and len(key) > limits.id_chars_max:
            return _no(envelope, Code.MALFORMED, "an idempotency key is too long")
        if (envelope.price_max_scrip or 0) < 0 or (envelope.compute_max or 0) < 0:
            return _no(envelope, Code.MALFORMED, "price_max_scrip and compute_max are from 0")
    except msgspec.ValidationError as error:
        return _no(envelope, Code.MALFORMED, _misfit(envelope, str(error)))
    except _UNFIT as error:
        return _no(envelope, Code.MALFORMED, f"not an action: {_reason(error)}")
    return Entry(envelope, raw, blob)


def _detach(
    envelope: Envelope, action: Write, limits: Limits
) -> tuple[Envelope, bytes | None] | Malformed:
    """Put the hash in the place of large content; the content comes beside it."""
    if type(action.content) is not str:
        return _no(envelope, Code.MALFORMED, "content is text")
    size = len(action.content)
    if size > limits.content_bytes_max:
        return _too_large(envelope, limits)
    if size * 4 <= min(limits.inline_bytes_max, limits.content_bytes_max):
        return envelope, None
    if len(action.content.encode()) > limits.content_bytes_max:
        return _too_large(envelope, limits)
    blob = ENCODER.encode(action.content)
    if len(blob) <= limits.inline_bytes_max:
        return envelope, None
    action = msgspec.structs.replace(action, content=BlobRef(digest_of(blob)))
    return msgspec.structs.replace(envelope, action=action), blob


def reenter(envelope: Envelope, raw: bytes, limits: Limits) -> Entry:
    """An action as a record holds it, taken again; its large content stays a hash.

    Raises:
        ValueError: it is not in normal form, so no door let it in.
    """
    action = envelope.action
    if type(action) is Invoke:
        if not _is_flat(action.args) and _normalise(action.args, limits.args_depth_max):
            raise ValueError("its arguments are not in normal form")
    elif type(action) is Write and (
        not isinstance(action.content, str | BlobRef) or _normalise_schemas(action, limits)
    ):
        raise ValueError("its content or interface is not in normal form")
    return Entry(envelope, raw)


def enter_result(result: EffectResult, bytes_max: int) -> EffectResult:
    """Normalise the result of an effect; one that cannot be kept becomes a failure that says so.

    A result that passed once passes again unchanged. ``bytes_max`` bounds the encoded value.
    """
    try:
        value = ENCODER.encode(result.value)
        code, detail, size = result.code, sentence(result.detail), len(value)
        if size > bytes_max:
            value, code = _NONE, Code.RESULT_TOO_LARGE
            detail = f"the answer has {size} bytes, more than the {bytes_max} that are allowed"
        result = RESULTS.decode(
            ENCODER.encode(EffectResult(msgspec.Raw(value), code, detail, result.usage))
        )
        if result.usage and not _is_usage(result.usage):
            return EffectResult(None, Code.TOOL_FAILED, "the answer tells an impossible usage")
        holder = [result.value]
        _normalise(holder, _RESULT_DEPTH_MAX)
        return EffectResult(holder[0], result.code, result.detail, result.usage)
    except _UNFIT as error:
        return EffectResult(None, Code.TOOL_FAILED, f"the answer is not JSON: {_reason(error)}")


def enter_command(command: Command, bytes_max: int) -> tuple[Command, bytes] | Refused:
    """Normalise an operator's command, with its encoding, or say why it cannot be kept."""
    try:
        raw = ENCODER.encode(Operate(command))
        if len(raw) > bytes_max:
            return Refused(Code.MALFORMED, f"a command has at most {bytes_max} bytes")
        return OPERATES.decode(raw).command, raw
    except _UNFIT as error:
        return Refused(Code.MALFORMED, f"not a command: {_reason(error)}")


def normal(value: Any) -> Any:
    """A value in normal form; containers are changed in place.

    Raises:
        ValueError: it has none; the text says why.
    """
    holder = [value]
    _normalise(holder, _RESULT_DEPTH_MAX)
    return holder[0]


def sentence(text: str) -> str:
    """A stranger's sentence as a record can hold it: bounded, without lone surrogates."""
    return str(text)[:_SENTENCE_CHARS_MAX].encode(errors="replace").decode()


def keep(value: Any, inline_bytes_max: int) -> tuple[Any, bytes | None]:
    """The form of a value in a record, and its encoding where that is only the hash."""
    if value is None or type(value) is int or type(value) is BlobRef:
        return value, None
    data = ENCODER.encode(value)
    if len(data) <= inline_bytes_max:
        return value, None
    return BlobRef(digest_of(data)), data


def value_of(kept: Any, log: EventLog) -> Any:
    """A value as it was before ``keep``."""
    return VALUES.decode(log.get_blob(kept.digest)) if isinstance(kept, BlobRef) else kept


def _no(envelope: Envelope, code: Code, detail: str) -> Malformed:
    principal = envelope.principal
    known = type(principal) is str and len(principal) <= 256 and principal.isascii()
    return Malformed(principal if known else "", code, detail)


def _too_large(envelope: Envelope, limits: Limits) -> Malformed:
    detail = (
        f"content has at most {limits.content_bytes_max} bytes: split it over several artifacts"
    )
    return _no(envelope, Code.CONTENT_TOO_LARGE, detail)


def _misfit(envelope: Envelope, told: str) -> str:
    """Which part of an action is of the wrong type, by its name."""
    match = _MISFIT.match(told)
    if match is None:
        return f"not an action: {told[:200]}"
    expected, got, inside, at, deeper = match.groups()
    part: Any = envelope if inside is None else envelope.action
    name = part.__struct_fields__[int(at) - 1]
    name = f"a part of {name}" if deeper else name
    wanted = " or ".join(_JSON_NAMES.get(kind, kind) for kind in expected.split(" | "))
    return f"{name} must be {wanted}, not {_JSON_NAMES.get(got, got)}"


def _reason(error: Exception) -> str:
    text = str(error).splitlines()
    if isinstance(error, OverflowError):
        return "an integer has at most 64 bits"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeError):
        return "its text holds a lone surrogate"
    return text[0][:200] if text else type(error).__name__


def _is_flat(args: dict[str, Any]) -> bool:
    for value in args.values():
        kind = type(value)
        if kind is int:
            if value > INT_MAX:
                return False
        elif kind is not str and kind is not bool and value is not None:
            return False
    return True


def _is_usage(usage: dict[str, int]) -> bool:
    return len(usage) <= _USAGES_MAX and all(
        len(name) <= _USAGE_NAME_CHARS_MAX and 0 <= used <= USED_MAX for name, used in usage.items()
    )


def _normalise_schemas(action: Write, limits: Limits) -> bool:
    changed = False
    for tool in action.interface or ():
        for schema in (tool.input_schema, tool.output_schema):
            changed |= _normalise(schema, limits.args_depth_max * 2)
    return changed


def _normalise(node: Any, levels: int) -> bool:
    """Bring a decoded value into normal form, in place; says whether anything changed.

    Raises:
        ValueError: it cannot be brought into normal form.
    """
    if levels < 0:
        raise ValueError("it is nested too deep")
    items: Any
    if isinstance(node, dict):
        items = list(node.items())
    elif isinstance(node, list):
        items = enumerate(node)
    else:
        return False
    changed = False
    for key, value in items:
        kind = type(value)
        if isinstance(node, dict) and type(key) is not str:
            raise ValueError("the names in an object are text")
        if kind is float:
            if not isfinite(value):
                raise ValueError("a number is finite")
            if value.is_integer() and -_WHOLE_MAX <= value < _WHOLE_MAX:
                node[key] = int(value)
                changed = True
        elif kind is int:
            if not INT_MIN <= value <= INT_MAX:
                raise ValueError("an integer has at most 64 bits")
        elif kind is dict or kind is list:
            changed |= _normalise(value, levels - 1)
        elif kind is not str and kind is not bool and value is not None:
            raise ValueError(f"{kind.__name__} is not JSON")
    return changed
