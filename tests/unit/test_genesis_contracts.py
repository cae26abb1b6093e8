"""What the artifacts of the beginning let whom do, by their contracts, tool servers included."""

import pytest

from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.genesis import EVENT_LOG, HANDBOOK, LEDGER, RIGHTS_REGISTRY, STORE
from scripworld.genesis.mcp_bridge import bridge_named
from scripworld.world import (
    GENESIS,
    Native,
    NoCode,
    PrincipalSpec,
    World,
    WorldConfig,
    check,
)

BRIDGE = bridge_named("some-tools").native()
NATIVES = {n.id: n for n in (LEDGER, RIGHTS_REGISTRY, STORE, EVENT_LOG, HANDBOOK, BRIDGE)}


@pytest.fixture(scope="module")
def world() -> World:
    config = WorldConfig(principals=(PrincipalSpec("ana", 10),))
    return World.begin(config, NATIVES, MemoryEventLog(), NoCode(), "test")


@pytest.mark.parametrize("native", NATIVES.values(), ids=lambda native: native.id)
def test_anybody_may_read_and_invoke_it_free_of_charge(world: World, native: Native):
    artifact = world.state.artifacts.by_id[native.id]

    assert [check(artifact, "ana", what) for what in ("read", "invoke")] == [0, 0]


@pytest.mark.parametrize("native", NATIVES.values(), ids=lambda native: native.id)
@pytest.mark.parametrize("what", ["write", "delete"])
def test_nobody_but_genesis_may_change_it(world: World, native: Native, what: str):
    artifact = world.state.artifacts.by_id[native.id]

    assert artifact.owner == GENESIS
    assert check(artifact, "ana", what) is None


def test_genesis_itself_is_a_principal_without_a_loop(world: World):
    genesis = world.state.artifacts.by_id[GENESIS]

    assert (genesis.standing, genesis.loop) == (True, False)
    assert GENESIS not in world.state.agenda.due_us
