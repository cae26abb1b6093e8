"""Owns what ``genesis_fetch`` is."""

from __future__ import annotations

from typing import Any

from ..world import Tool
from .mcp_bridge import Alias, GenesisMcpBridge

_CANNOT = "the server behind genesis_fetch only GETs a page as anybody may see it"


def _fetch(args: dict[str, Any]) -> dict[str, Any] | str:
    """The fetch server's arguments; it can neither send a body nor headers of ours."""
    if args.get("method", "GET") != "GET":
        return f"{_CANNOT}: leave out method, or say GET"
    if args.get("headers"):
        return f"{_CANNOT}: leave out headers"
    return {name: value for name, value in args.items() if name not in ("method", "headers")}


class GenesisFetch(GenesisMcpBridge):
    """Pages of the web as text, through the fetch server."""

    id = "genesis_fetch"
    name = "fetch"
    purpose = "Fetches a page by its URL and answers it as text"
    aliases = (
        Alias(
            Tool(
                "fetch",
                "A page by its URL, as text. A long one is cut: go on with start_index.",
                {
                    "type": "object",
                    "properties": {
                        "url": {"type": "string", "maxLength": 4_000},
                        "method": {"type": "string", "description": "GET, which is the default"},
                        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                        "max_length": {"type": "integer", "minimum": 1, "maximum": 999_999},
                        "start_index": {"type": "integer", "minimum": 0},
                        "raw": {"type": "boolean", "description": "the page as it was sent"},
                    },
                    "required": ["url"],
                },
            ),
            "fetch",
            _fetch,
        ),
    )
