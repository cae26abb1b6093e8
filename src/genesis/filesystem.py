"""Owns what ``genesis_filesystem`` is."""

from __future__ import annotations

from .mcp_bridge import GenesisMcpBridge


class GenesisFilesystem(GenesisMcpBridge):
    """Files below the directories that the configuration names, through the filesystem server."""

    id = "genesis_filesystem"
    name = "filesystem"
    purpose = "Reads files and directories; paths are relative to the root that it was given"
