"""Owns what a principal can ask for: five actions, its own rest, and the envelope around them."""

from __future__ import annotations

from typing import Any

import msgspec


class Tool(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One method of an interface, in the shape of an MCP tool; schemas are JSON Schema 2020-12.

    ``job`` is for agent-written code that takes long: it runs outside, as an effect.
    """

    name: str
    description: str = ""
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] | None = None
    job: bool = False


class Contract(msgspec.Struct, frozen=True, array_like=True):
    """The access policy of an artifact.

    Attributes:
        id: ``private``, ``public``, ``freeware``, ``pay_per_use``, ``members``, or an artifact of
            type ``code`` with a method ``check``.
        price_scrip: what each read or invocation costs under ``pay_per_use``.
        members: the principals that ``members`` admits.
    """

    id: str = "private"
    price_scrip: int = 0
    members: tuple[str, ...] = ()


class Read(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=1):
    """Read the content of an artifact."""

    id: str


class Write(msgspec.Struct, frozen=True, array_like=True, tag_field="tag", tag=2):
    """Make an artifact, or replace the content of one; None keeps what stands.

    Only the owner changes anything besides ``content``. ``type`` ``code`` makes it executable.
    """

    id: str
    content: Any
    description: str | None = None
    type: str | None = None
    contract: Contract | None = None
    interface: tuple[Tool, ...] | None = None


class Edit(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=3):
    """Replace ``old``, which must occur exactly once in the content, by ``new``."""

    id: str
    old: str
    new: str


class Delete(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=4):
    """Delete an artifact; its id is never used again."""

    id: str


class Invoke(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=5):
    """Invoke a method of an artifact with named arguments."""

    id: str
    method: str
    args: dict[str, Any] = {}


class Sleep(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=6):
    """Rest, free of charge, until ``until_us`` or until something happens to a watched id.

    One's own id can be watched, and whatever one may read.
    """

    until_us: int
    watch: tuple[str, ...] = ()


class Stop(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=7):
    """End one's own loop, free of charge."""

    reason: str = ""


Action = Read | Write | Edit | Delete | Invoke
Rest = Sleep | Stop


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="tag", tag=1):
    """An action with who asks and what it may cost at most.

    Attributes:
        price_max_scrip: the most that its contract, its method and what genesis artifacts read for it may
            ask together; None for any price.
        compute_max: the most compute that the whole action may use; None for the configured default.
        idempotency_key: a repeated key gets the first answer again and does nothing.
    """

    principal: str
    action: Read | Write | Edit | Delete | Invoke | Sleep | Stop
    price_max_scrip: int | None = None
    compute_max: int | None = None
    idempotency_key: str | None = None
