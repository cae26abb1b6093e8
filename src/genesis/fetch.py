"""Owns what ``genesis_fetch`` is."""

from __future__ import annotations

from .mcp_bridge import GenesisMcpBridge


class GenesisFetch(GenesisMcpBridge):
    """Pages of the web as text, through the fetch server."""

    id = "genesis_fetch"
    name = "fetch"
    purpose = "Fetches a page by its URL and answers it as text"
