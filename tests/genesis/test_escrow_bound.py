"""What another genesis artifact binds is not for sale, and what is for sale nothing else binds."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.genesis import ESCROW, LEDGER
from scripworld.genesis.arguments import ID, method, native
from scripworld.world import (
    Answer,
    Code,
    Context,
    Done,
    Envelope,
    Failed,
    Invoke,
    NoCode,
    World,
    verify,
)

from .conftest import configured


def _pledge(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    artifact = ctx.state.artifacts.by_id[args["id"]]
    if artifact.encumbered_by:
        return Failed(Code.ENCUMBERED, "it is bound")
    ctx.encumber(artifact.id)
    return Done()


PAWN = replace(
    native("genesis_pawn", "Binds.", method("pledge", "Bind.", _pledge, required={"id": ID})),
    capabilities=frozenset({"encumber"}),
)
NATIVES = {native.id: native for native in (LEDGER, ESCROW, PAWN)}


@pytest.fixture
def world() -> Iterator[World]:
    log = MemoryEventLog()
    config = configured(costs={})
    world = World.begin(config, NATIVES, log, NoCode(), "test")
    yield world
    proved = verify(log.records(), NATIVES, log)
    assert proved.snapshot() == world.state.snapshot()


def ask(world: World, id: str, name: str, /, **args: Any) -> Answer:
    return world.apply(Envelope("alice", Invoke(id, name, args)), world.state.now_us + 1)


def test_what_is_pledged_is_not_for_sale(world: World):
    assert ask(world, "genesis_pawn", "pledge", id="diary") == Done()

    answer = ask(world, "genesis_escrow", "list_for_sale", artifact="diary", price=1)

    assert isinstance(answer, Failed)
    assert answer.code is Code.ENCUMBERED
    assert "genesis_pawn" in answer.detail
    assert world.state.artifacts.by_id["diary"].encumbered_by == "genesis_pawn"
    assert world.state.notes.by_artifact == {}


def test_what_is_for_sale_is_not_pledged_and_its_buyer_gets_it_free(world: World):
    args = {"artifact": "diary", "price": 1}
    assert isinstance(ask(world, "genesis_escrow", "list_for_sale", **args), Done)
    answer = ask(world, "genesis_pawn", "pledge", id="diary")
    assert isinstance(answer, Failed)
    assert answer.code is Code.ENCUMBERED

    buy = Envelope("bob", Invoke("genesis_escrow", "purchase", {"artifact": "diary"}))
    assert isinstance(world.apply(buy, 10), Done)

    diary = world.state.artifacts.by_id["diary"]
    assert (diary.owner, diary.encumbered_by) == ("bob", "")
