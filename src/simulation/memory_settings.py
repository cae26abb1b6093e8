"""Owns what is configured of memories: who embeds, and how much one may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .config_model import Model

ENTRIES_MAX = 100_000
TEXT_CHARS_MAX = 10_000
"""What one call goes through is bounded, whatever is configured."""


class MemorySettings(Model):
    """What agents remember and find again; all of it is part of the log."""

    enabled: bool = Field(description="Whether genesis_memory is part of the world.")
    embedder: Literal["hashing", "outside"] = Field(
        description="What makes a vector of a text: `hashing` its words, or the performer "
        "`genesis_memory` that is passed in, as an effect."
    )
    entries_max: Annotated[int, Field(ge=1, le=ENTRIES_MAX)] = Field(
        description="Most entries of one memory."
    )
    text_chars_max: Annotated[int, Field(ge=1, le=TEXT_CHARS_MAX)] = Field(
        description="Longest text of an entry, and longest query."
    )
