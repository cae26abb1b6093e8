"""Owns what the tool servers are that differ from any other only in what they are for."""

from __future__ import annotations

from .mcp_bridge import GenesisMcpBridge


class GenesisGithub(GenesisMcpBridge):
    """Repositories, issues and pull requests of GitHub; its calls need a token."""

    id = "genesis_github"
    name = "github"
    purpose = "Reads and changes repositories, issues and pull requests on GitHub"


class GenesisSqlite(GenesisMcpBridge):
    """One SQLite database that all share."""

    id = "genesis_sqlite"
    name = "sqlite"
    purpose = "Queries and changes one SQLite database that all share"


class GenesisContext7(GenesisMcpBridge):
    """Documentation of libraries as Context7 has it."""

    id = "genesis_context7"
    name = "context7"
    purpose = "Finds current documentation of programming libraries"


class GenesisPuppeteer(GenesisMcpBridge):
    """A browser driven by Puppeteer."""

    id = "genesis_puppeteer"
    name = "puppeteer"
    purpose = "Drives a browser: opens pages, fills forms, takes screenshots"


class GenesisPlaywright(GenesisMcpBridge):
    """A browser driven by Playwright."""

    id = "genesis_playwright"
    name = "playwright"
    purpose = "Drives a browser: opens pages, acts on them, tells what they show"


class GenesisSequentialThinking(GenesisMcpBridge):
    """A notepad for thoughts in steps."""

    id = "genesis_sequential_thinking"
    name = "sequential_thinking"
    purpose = "Keeps a line of thought in numbered steps that can be revised and branched"
