"""Owns how text becomes a vector that texts of like meaning share: by hashing, or by a model elsewhere.

A vector has ``DIMENSIONS`` integers of 8 bits and the length ``LENGTH``, so the product of two is their
cosine times ``LENGTH`` squared. It must know nothing of memories.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from itertools import pairwise
from math import isfinite, isqrt
from typing import Any, Final, TypeAlias

from ..world import Code, EffectRequest, EffectResult

DIMENSIONS: Final = 256
LENGTH: Final = 127
_WORD = re.compile(r"\w+|[^\x00-\x7f\w\s]")
_ENDINGS: Final = ("ingly", "edly", "ings", "ing", "ies", "ied", "est", "ed", "es", "ly", "er", "s")
_STEM_CHARS_MIN: Final = 3
_PIECE: Final = 3
_WHOLE: Final = 1 << 20
_COMMON_WORDS: Final = """
a about after all am an and any are as at be been but by can could did do does for from had has
have he her his how i if in into is it its just me my no not of on one or our she so some than
that the their them then there these they this to up was we were what when where which who why
will with would you your
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())
"""English words that say little of what a text is about."""
_WORD_WEIGHT: Final = 32
_PAIR_WEIGHT: Final = 16
_PIECE_WEIGHT: Final = 8
_COMMON_SHARE: Final = 8
"""The weight of a common word, and of its pieces, is divided by this."""

Vector: TypeAlias = "array[int]"


def hashed(text: str) -> Vector | None:
    """The vector of the words of a text, their pairs and their pieces, each hashed to a place and a sign.

    Whole numbers only, so it is the same on every machine. None for a text without word or symbol.
    """
    weights: dict[str, int] = {}
    told: list[str] = []
    normal = unicodedata.normalize("NFKC", text).casefold()
    shown = "".join(letter for letter in normal if letter.isprintable() or letter.isspace())
    for word in _WORD.findall(shown):
        stem, share = _stem(word), _COMMON_SHARE if word in _COMMON else 1
        weights[f"w {stem}"] = _WORD_WEIGHT // share
        for feature in _pieces(f"<{stem}>"):
            weights[feature] = max(weights.get(feature, 0), _PIECE_WEIGHT // share)
        if share == 1:
            told.append(stem)
    for pair in pairwise(told):
        weights[f"t {' '.join(sorted(pair))}"] = _PAIR_WEIGHT
    sums = [0] * DIMENSIONS
    for feature, weight in weights.items():
        place = int.from_bytes(blake2b(feature.encode(), digest_size=4).digest())
        sums[place % DIMENSIONS] += weight if place >> 31 else -weight
    return _scaled(sums)


class Embedding:
    """Performs ``embed`` with a model elsewhere: a port to whatever turns text into numbers.

    Any number of dimensions comes in; they are folded into ``DIMENSIONS``.
    """

    def __init__(
        self, embed: Callable[[str], Awaitable[Sequence[float]]], patience_s: float = 0.0
    ) -> None:
        """Take the model as a function from a text to its numbers."""
        self._embed = embed
        self.patience_s = patience_s

    async def perform(self, request: EffectRequest) -> EffectResult:
        """The vector of the text in the payload, as a list of integers."""
        asked: Any = request.payload
        numbers = await self._embed(asked["text"])
        sums = [0.0] * DIMENSIONS
        for place, number in enumerate(numbers):
            sums[place % DIMENSIONS] += number
        vector = None
        if any(sums) and all(map(isfinite, sums)):
            largest = max(map(abs, sums))
            vector = _scaled([round(number / largest * _WHOLE) for number in sums])
        if vector is None:
            return EffectResult(None, Code.TOOL_FAILED, "the embedder answered no direction")
        return EffectResult(list(vector))

    async def close(self) -> None:
        """Nothing was started."""


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_CHARS_MIN:
            word = word.removesuffix(ending)
            break
    if len(word) > _STEM_CHARS_MIN and word[-1] in "ey":
        word = word[:-1]
    if len(word) > _STEM_CHARS_MIN and word[-1] == word[-2]:
        word = word[:-1]
    return word


def _pieces(word: str) -> list[str]:
    return [f"p {word[at : at + _PIECE]}" for at in range(max(1, len(word) - _PIECE + 1))]


def _scaled(sums: Sequence[int]) -> Vector | None:
    """The vector of this direction, rounded; None for no direction."""
    length = isqrt(sum(number * number for number in sums) << 32)
    if length == 0:
        return None
    return array("b", [((number * LENGTH << 17) + length) // (2 * length) for number in sums])
