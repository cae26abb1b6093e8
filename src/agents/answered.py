"""Owns reading answers: why one said no, and the text that a tool told. Knows no mind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..world import Answer, Code, Done, Failed, Refused


def code_of(answer: Answer) -> Code | None:
    """Why it was refused or failed; None when it was not."""
    return answer.code if isinstance(answer, Refused | Failed) else None


def text_of(answer: Answer) -> str:
    """The text in the answer of a tool."""
    texts = (part.get("text") for part in parts_of(answer))
    return "\n".join(text for text in texts if isinstance(text, str))


def parts_of(answer: Answer) -> Iterator[dict[str, Any]]:
    """The parts of the answer of a tool, as the server sent them."""
    result = answer.result if isinstance(answer, Done) else None
    parts = result.get("content") if isinstance(result, dict) else None
    yield from (part for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ()


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    """The artifacts in the answer of the store."""
    return list(answer.result["artifacts"]) if isinstance(answer, Done) else []
