"""Owns making a digest of a text: its title, first sentences and commonest words. Pure and small."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_LINK_TARGET = re.compile(r"\]\([^)]*\)")
_WORD = re.compile(r"[a-z]{4,}")
_DULL = frozenset(
    re.findall(
        r"[a-z]+",
        "about above after also another anything because been before being below between both cannot "
        "could does each every everything from have here into itself like made make makes many more "
        "most must never nothing once only other over same says some such than that their them then "
        "there these they this those through told under until used using what when where which while "
        "with without would your https http ",
    )
)
_SENTENCES = 6


@dataclass(frozen=True, slots=True)
class Digest:
    """What a reader wants to know first. ``words`` are the commonest that say something."""

    title: str
    sentences: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The digest as Markdown."""
        lines = [f"# {self.title}", "", *(f"- {s}" for s in self.sentences)]
        return "\n".join([*lines, "", f"About: {', '.join(self.words)}", ""])

    @property
    def description(self) -> str:
        """One public line for those who search."""
        return f"digest of {self.title}: {' '.join(self.words)}"[:200]


def digest_of(text: str, fallback_title: str) -> Digest:
    """Digest a text in Markdown or plain words; ``fallback_title`` where it has no heading."""
    text = _LINK_TARGET.sub("]", text)
    title = fallback_title
    sentences: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("#"):
            title = line.lstrip("# ") if title == fallback_title else title
        elif line and line[0].isalpha() and len(sentences) < _SENTENCES:
            first = re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0]
            if len(first) > 20:
                sentences.append(first[:240])
    counted = Counter(w for w in _WORD.findall(text.lower()) if w not in _DULL)
    words = sorted(counted, key=lambda word: (-counted[word], word))[:6]
    return Digest(title[:80] or fallback_title, tuple(sentences), tuple(words))


def slug_of(text: str) -> str:
    """A text as the tail of an id."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40] or "page"
