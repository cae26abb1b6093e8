"""Owns which genesis artifacts there are: the table from id to what it is made of."""

from __future__ import annotations

from ..genesis import EVENT_LOG, HANDBOOK, LEDGER, RIGHTS_REGISTRY, STORE
from ..genesis.fetch import GenesisFetch
from ..genesis.filesystem import GenesisFilesystem
from ..genesis.mcp_bridge import GenesisMcpBridge
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

BRIDGES: dict[str, type[GenesisMcpBridge]] = {
    bridge.name: bridge for bridge in (GenesisFilesystem, GenesisFetch)
}
"""By the name of the server in the configuration."""

NATIVES: dict[str, Native] = {
    native.id: native
    for native in (
        *(LEDGER, RIGHTS_REGISTRY, STORE, EVENT_LOG, HANDBOOK),
        *(bridge.native() for bridge in BRIDGES.values()),
    )
}


class UnknownNative(Fault):
    """A run has a genesis artifact of its own that was not passed in."""


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
    begin_of(first)
    known = NATIVES | others
    ids = [
        fact.id
        for fact in RECORDS.decode(first[2]).facts
        if isinstance(fact, ArtifactWritten) and fact.type == "genesis"
    ]
    for id in ids:
        if id not in known:
            raise UnknownNative(f"the run has {id}, which this program does not know: pass it in")
    return {id: known[id] for id in ids}
