"""Owns what ``genesis_web_search`` is: one ``search``, whichever server is behind it."""

from __future__ import annotations

from typing import Any, Final

from ..world import Tool
from .mcp_bridge import Alias, GenesisMcpBridge

LIMIT_MAX: Final = 20


def _search(args: dict[str, Any]) -> dict[str, Any] | str:
    """The arguments of Brave's server, which says ``count`` for the number of results."""
    return {"query": args["query"], "count": args.get("limit", 10)}


class GenesisWebSearch(GenesisMcpBridge):
    """The web searched by Brave where there is a key, else by the key-less server of our own."""

    id = "genesis_web_search"
    name = "web_search"
    purpose = "Searches the web"
    aliases = (
        Alias(
            Tool(
                "search",
                "Search the web. Each result is a text: JSON with title, url and description.",
                {
                    "type": "object",
                    "properties": {
                        "query": {"type": "string", "minLength": 1, "maxLength": 400},
                        "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX},
                    },
                    "required": ["query"],
                },
            ),
            "brave_web_search",
            _search,
        ),
    )
