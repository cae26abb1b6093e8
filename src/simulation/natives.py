"""Owns which genesis artifacts there are: the table from id to what it is made of."""

from __future__ import annotations

from ..genesis import ESCROW, EVENT_LOG, HANDBOOK, LEDGER, RIGHTS_REGISTRY, STORE
from ..genesis.fetch import GenesisFetch
from ..genesis.filesystem import GenesisFilesystem
from ..genesis.mcp_bridge import ID_PREFIX, GenesisMcpBridge, bridge_named, known_from
from ..genesis.servers import (
    GenesisContext7,
    GenesisGithub,
    GenesisPlaywright,
    GenesisPuppeteer,
    GenesisSequentialThinking,
    GenesisSqlite,
)
from ..genesis.web_search import GenesisWebSearch
from ..world import (
    NO_RECORD,
    RECORDS,
    ArtifactWritten,
    Fault,
    LogFault,
    Native,
    Row,
    begin_of,
    chain,
)
from .markets import markets_from
from .quantum import quantum_from

BRIDGES: dict[str, type[GenesisMcpBridge]] = {
    bridge.name: bridge
    for bridge in (
        *(GenesisFilesystem, GenesisFetch, GenesisWebSearch, GenesisGithub, GenesisSqlite),
        *(GenesisContext7, GenesisPuppeteer, GenesisPlaywright, GenesisSequentialThinking),
    )
}
"""Those with a class of their own, by the name of the server in the configuration."""

BUILT_IN: dict[str, Native] = {
    native.id: native for native in (LEDGER, RIGHTS_REGISTRY, STORE, EVENT_LOG, HANDBOOK, ESCROW)
}
"""What is there in every world."""


class UnknownNative(Fault):
    """A run has a genesis artifact of its own that was not passed in."""


def bridge_of(server: str) -> type[GenesisMcpBridge]:
    """The bridge to a server, by its name in the configuration; any name has one."""
    return BRIDGES.get(server) or bridge_named(server)


def natives_of(first: Row, others: dict[str, Native]) -> dict[str, Native]:
    """The natives of a run that exists, by its first record.

    Args:
        first: that record.
        others: natives that were passed in besides those that come with Scripworld.

    Raises:
        LogFault: the record is damaged.
        UnknownNative: the run has a genesis artifact that is not known here.
    """
    if chain(NO_RECORD, first[2]) != first[1]:
        raise LogFault("record 0 was changed: its hash does not fit", 0)
    begin = begin_of(first)
    figures = begin.config.natives
    known = BUILT_IN | quantum_from(figures) | markets_from(figures) | others
    natives: dict[str, Native] = {}
    for fact in RECORDS.decode(first[2]).facts:
        if isinstance(fact, ArtifactWritten) and fact.type == "genesis":
            native = known.get(fact.id) or _bridge_as(fact)
            if native is None:
                raise UnknownNative(
                    f"the run has {fact.id}, which this program does not know: pass it in, or open "
                    f"the run with what made it, scripworld {begin.code_version}"
                )
            natives[fact.id] = native
    return natives


def _bridge_as(fact: ArtifactWritten) -> Native | None:
    """The bridge to a server, if the artifact began as exactly what that would be."""
    bridge = bridge_of(fact.id.removeprefix(ID_PREFIX))
    native = bridge.native(known_from(bridge, fact.interface))
    interface = tuple(method.tool for method in native.methods.values())
    began = (fact.id, fact.description, fact.interface)
    return native if began == (native.id, native.description, interface) else None
