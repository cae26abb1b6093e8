"""Owns what becomes of a tool server's answer: the value that is recorded, or the failure that it tells of."""

from __future__ import annotations

from typing import Any, Final

from ..world import Code, Context, Done, EffectResult, Failed, SettledHandler, Validator
from .secrets import each_text
from .tool_list import visible

DETAIL_CHARS_MAX: Final = 400
_PARTS = ("content", "contents", "messages", "resources", "resourceTemplates", "prompts")


def sentence_of(text: str) -> str:
    """A stranger's words as a detail: on one line, bounded, nothing invisible in it."""
    return visible(" ".join(text[: 4 * DETAIL_CHARS_MAX].split()))[:DETAIL_CHARS_MAX]


def result_of(answer: dict[str, Any], usage: dict[str, int]) -> EffectResult:
    """What is recorded of an answer: its parts as they came, of whatever kind; or its failure."""
    value = {part: _shown(answer[part]) for part in _PARTS if isinstance(answer.get(part), list)}
    if not value:
        return EffectResult(None, Code.TOOL_FAILED, "the tool answered no content", usage)
    if answer.get("isError") is True:
        return EffectResult(None, Code.TOOL_FAILED, sentence_of(_text_of(answer)), usage)
    for part in ("structuredContent", "description"):
        if part in answer:
            value[part] = _shown(answer[part])
    return EffectResult(value, usage=usage)


def checked_answer(schema: dict[str, Any]) -> SettledHandler:
    """What checks the structured content of a tool's answer against what the tool declares."""
    validators: list[Validator] = []

    def settled(context: Context, payload: Any, result: EffectResult) -> Done | Failed:
        value = result.value
        if not validators:
            opened = {"additionalProperties": True, **schema}
            validators.append(Validator(opened, context.config.limits))
        if not isinstance(value, dict) or "structuredContent" not in value:
            detail = f"{context.artifact} answered no structured content, as its tool declares"
            return Failed(Code.TOOL_FAILED, detail)
        if not validators[0].is_valid(value["structuredContent"]):
            why = validators[0].explain(value["structuredContent"])
            detail = f"the structured content is not what the tool declares: {why}"
            return Failed(Code.TOOL_FAILED, detail)
        return Done(value)

    return settled


def _shown(said: Any) -> Any:
    """What a server said, with the control characters of all its texts made visible."""
    return each_text(said, visible)


def _text_of(answer: dict[str, Any]) -> str:
    content = answer.get("content", [])
    parts = [str(part.get("text", "")) for part in content if isinstance(part, dict)]
    return " ".join(parts).strip() or "the tool failed without a word"
