"""Owns what the world answers: four kinds of answer and the closed list of codes. Knows nothing else."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec

DETAIL_CHARS_MAX = 2_000
"""How long the sentence of a no is at most, whoever's text stands in it."""


class Code(IntEnum):
    """Why the world said no, in order of precedence: of several reasons the lowest number is told.

    An edit tells what is wrong with its result last: that depends on content which only those who
    may change it get to know about.

    Below 100 the action was refused before its frame opened; from 100 on it failed inside.
    Whether waiting helps is told by ``retry_after_us`` of the answer, never by the code.
    """

    # Free of charge.
    NO_STANDING = 1
    STOPPED = 2
    PAUSED = 3
    ADMISSION_EXCEEDED = 4
    # From here on the admission is charged.
    MALFORMED = 10
    KEY_REUSED = 11
    NOT_FOUND = 12
    ID_INVALID = 13
    ID_TAKEN = 14
    NOT_EXECUTABLE = 15
    METHOD_UNKNOWN = 16
    ARGUMENTS_INVALID = 17
    CONTENT_TOO_LARGE = 18
    DEFINITION_INVALID = 19
    EFFECT_NOT_ALLOWED = 20
    DEPTH_EXCEEDED = 21
    PERMISSION_DENIED = 22
    PRICE_ABOVE_MAX = 23
    SCRIP_INSUFFICIENT = 24
    COMPUTE_MAX_EXCEEDED = 25
    QUOTA_EXCEEDED = 26
    ENCUMBERED = 27
    # Inside the frame.
    EDIT_MISMATCH = 100
    NOT_DELETABLE = 101
    AMOUNT_INVALID = 102
    NOT_OPEN = 103
    CODE_RAISED = 110
    CODE_ABORTED = 111
    CODE_DIVERGED = 112
    CALLS_EXCEEDED = 113
    RESULT_TOO_LARGE = 114
    RESULT_INVALID = 115
    TOOL_UNAVAILABLE = 120
    TOOL_FAILED = 121
    TOOL_CRASHED = 122
    EFFECT_TIMEOUT = 123
    EFFECT_INTERRUPTED = 124
    TOOL_REFUSED = 125


class Done(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=0):
    """It happened; ``result`` is any JSON value."""

    result: Any = None


class _No(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What both kinds of no have: a code and a sentence, which is cut where it is too long."""

    code: Code
    detail: str

    def __post_init__(self) -> None:
        if len(self.detail) > DETAIL_CHARS_MAX:
            msgspec.structs.force_setattr(self, "detail", self.detail[:DETAIL_CHARS_MAX])


class Refused(_No, frozen=True, array_like=True, gc=False, tag_field="tag", tag=1):
    """It did not begin. ``retry_after_us`` is the wait after which it may pass; None: waiting is no help."""

    retry_after_us: int | None = None


class Failed(_No, frozen=True, array_like=True, gc=False, tag_field="tag", tag=2):
    """It began and was charged. ``committed`` says that something done before an effect still stands."""

    committed: bool = False
    retry_after_us: int | None = None


class Waiting(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=3):
    """It waits for an effect; the final answer comes with the settlement that names ``effect_id``."""

    effect_id: str


Answer = Done | Refused | Failed | Waiting


class EffectResult(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a performer reports. It is recorded whole, so a replay needs no performer.

    Attributes:
        value: any JSON value; what the caller gets when ``code`` is None.
        code: why it failed, or None when it is done.
        detail: the sentence that goes with ``code``.
        usage: measured quantities by name (``cpu_us``, ``bytes_in``, …). A name that is a held
            resource of the request is posted at this amount instead of the hold.
    """

    value: Any = None
    code: Code | None = None
    detail: str = ""
    usage: dict[str, int] = {}
