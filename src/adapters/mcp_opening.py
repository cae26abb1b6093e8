"""How a session with a server is opened: which version of the protocol both speak.

Owns the two families of versions (specification 2026-07-28, "Versioning", and 2025-11-25,
"Lifecycle"): the modern one has no handshake, and every request carries version and capabilities
in `_meta`; the older ones begin with `initialize`. It must not know processes.
"""

import asyncio
import enum
from time import monotonic
from typing import Any, Final

from .mcp_outcome import McpAnswer, McpCallError, McpProtocolError
from .mcp_session import DISCOVER, HANDSHAKE_VERSIONS, INITIALIZE, MODERN_VERSION, McpSession

CLIENT_INFO: Final = {"name": "scripworld", "version": "0.1.0"}

_META: Final = "io.modelcontextprotocol/"
_UNSUPPORTED_VERSION: Final = -32022


class Era(enum.Enum):
    """The family of protocol versions that a server was found to speak."""

    MODERN = "modern"
    HANDSHAKE = "handshake"


async def negotiate(session: McpSession, probe_s: float, timeout_s: float) -> Era:
    """Find out what the server speaks, and open the session.

    `server/discover` goes first, and once more to a server that refuses its version and yet names
    it as one of its own. Any answer but a modern one, or none for `probe_s`, brings
    `initialize` on the same stream; whichever answer shows an era decides, so that a server
    that is slow to start isn't mistaken for one that doesn't understand.

    Raises:
        McpError: neither way led to a session; an old server may have been upset by the probe
            and deserves a new process and `initialize` alone.
    """
    meta = {
        f"{_META}protocolVersion": MODERN_VERSION,
        f"{_META}clientInfo": CLIENT_INFO,
        f"{_META}clientCapabilities": session.offered,
    }
    begun_s = monotonic()
    discovery = session.begin(DISCOVER, {"_meta": meta}, timeout_s)
    handshake: asyncio.Future[McpAnswer] | None = None
    try:
        await asyncio.wait({discovery}, timeout=probe_s)
        if _asks_for_ours(discovery):
            left_s = timeout_s - (monotonic() - begun_s)
            discovery = session.begin(DISCOVER, {"_meta": meta}, left_s)
            await asyncio.wait({discovery}, timeout=probe_s)
        if not _adopt_discovery(session, discovery, meta):
            left_s = timeout_s - (monotonic() - begun_s)
            handshake = session.begin(INITIALIZE, _handshake_params(session), left_s)
            open_ways = {way for way in (discovery, handshake) if not way.done()}
            if open_ways:
                await asyncio.wait(open_ways, return_when=asyncio.FIRST_COMPLETED)
            if not _adopt_discovery(session, discovery, meta):
                _adopt_handshake(session, await handshake)
                return Era.HANDSHAKE
        return Era.MODERN
    finally:
        for way in (discovery, handshake):
            if way is not None:
                session.give_up(way)


async def initialize(session: McpSession, timeout_s: float) -> None:
    """Open the session with the handshake alone. Raises McpError as `McpSession.request` does."""
    answer = await session.request(INITIALIZE, _handshake_params(session), timeout_s)
    _adopt_handshake(session, answer)


def _handshake_params(session: McpSession) -> dict[str, Any]:
    return {
        "protocolVersion": HANDSHAKE_VERSIONS[-1],
        "capabilities": session.offered,
        "clientInfo": CLIENT_INFO,
    }


def _adopt_discovery(
    session: McpSession, way: asyncio.Future[McpAnswer], meta: dict[str, Any]
) -> bool:
    if not way.done() or way.exception() is not None:
        return False
    result = _object(way.result().result)
    versions = result.get("supportedVersions")
    if not isinstance(versions, list) or MODERN_VERSION not in versions:
        return False
    info = _object(result.get("_meta")).get(f"{_META}serverInfo")
    capabilities = _object(result.get("capabilities"))
    session.adopt(MODERN_VERSION, _object(info), capabilities, meta)
    if _object(capabilities.get("tools")).get("listChanged") is True:
        # A modern server tells nobody of a changed list who hasn't asked, on stdio neither
        # ("Subscriptions"). What the lists say of how long they hold (`ttlMs`) is left alone:
        # a list is asked for when it is needed, and never kept here.
        session.send_off("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    return True


def _asks_for_ours(way: asyncio.Future[McpAnswer]) -> bool:
    """Tell whether a refusal wants the very version of ours (2026-07-28, "Versioning")."""
    refusal = way.exception() if way.done() else None
    if not isinstance(refusal, McpCallError) or refusal.code != _UNSUPPORTED_VERSION:
        return False
    versions = _object(refusal.data).get("supported")
    return isinstance(versions, list) and MODERN_VERSION in versions


def _adopt_handshake(session: McpSession, answer: McpAnswer) -> None:
    result = _object(answer.result)
    version = result.get("protocolVersion")
    if version not in HANDSHAKE_VERSIONS:
        problem = f"it wants to speak version {version!r}, which this client doesn't know."
        raise McpProtocolError(session.server, problem)
    info, capabilities = _object(result.get("serverInfo")), _object(result.get("capabilities"))
    session.adopt(version, info, capabilities, {})
    session.notify("notifications/initialized", {})


def _object(value: Any) -> dict[str, Any]:
    """Return what should be an object, empty if it isn't one."""
    return value if isinstance(value, dict) else {}
