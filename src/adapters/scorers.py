"""Owns the scorer of the mint that needs no model: what a text is worth by a rule that anyone can read.

A scorer is a performer: it gets a work and the fingerprints of works scored before, and answers
``{"score": 0..100, "print": [...], "reason": "..."}``. Only the payload decides, so a run that is
resumed gets the same score.

The rule looks at the first ``WORDS_MAX`` words, and at nothing else, so that all that ever counted
is also remembered:

- up to 40 points for different words of three letters or more, all of them from 200 on;
- up to 40 for different runs of three words, all of them from 400 on, so that repeating earns nothing;
- up to 20 for different lines of three words or more, all of them from 20 on;
- and of the sum only the part that is new: less the share of its runs that earlier works held.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from ..world import Code, EffectRequest, EffectResult

WORDS_MAX = 1_000
PRINT_MAX = 500
_WORD = re.compile(r"\w+")
_SAMPLE = 4
"""One run in so many is in a fingerprint: chosen by its hash, so the same in every work."""


class RuleScorer:
    """Scores by the rule above; the default of every run."""

    patience_s = 0.0

    async def perform(self, request: EffectRequest) -> EffectResult:
        """The score of a work."""
        work = request.payload
        if not isinstance(work, dict) or not isinstance(work.get("content"), str):
            return EffectResult(None, Code.TOOL_FAILED, "there is no content to score")
        return EffectResult(score(work["content"], work.get("prints", [])))

    async def close(self) -> None:
        """Nothing was started."""


def score(content: str, prints: Iterable[Iterable[int]]) -> dict[str, Any]:
    """Score a text against the fingerprints of earlier ones, by the rule of this file."""
    lines = _lines(content)
    words = [word for line in lines for word in line]
    runs = set(zip(words, words[1:], words[2:], strict=False))
    marks = sorted(mark for run in runs if (mark := _mark(run)) % _SAMPLE == 0)[:PRINT_MAX]
    known = len(set(marks) & {mark for kept in prints for mark in kept})
    vocabulary = _points(40, len({word for word in words if len(word) >= 3}), 200)
    substance = _points(40, len(runs), 400)
    structure = _points(20, len({tuple(line) for line in lines if len(line) >= 3}), 20)
    total = vocabulary + substance + structure
    new = total * (len(marks) - known) // len(marks) if marks else total
    reason = (
        f"vocabulary {vocabulary} of 40, substance {substance} of 40, structure {structure} of 20; "
        f"{new} of {total} for what is new"
    )
    return {"score": new, "print": marks, "reason": reason}


def _lines(content: str) -> list[list[str]]:
    """The words of each line, up to the last word that counts."""
    lines: list[list[str]] = []
    left = WORDS_MAX
    for text in unicodedata.normalize("NFKC", content).casefold().splitlines():
        words = _WORD.findall(text)[:left]
        left -= len(words)
        lines.append(words)
        if not left:
            break
    return lines


def _mark(run: tuple[str, str, str]) -> int:
    return int.from_bytes(blake2b(" ".join(run).encode(), digest_size=4).digest())


def _points(most: int, count: int, enough: int) -> int:
    return most * min(count, enough) // enough
