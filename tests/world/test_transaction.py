import msgspec
import pytest

from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.world import Contract, State, Tool
from scripworld.world.facts import (
    Allocated,
    ArtifactDeleted,
    ArtifactWritten,
    ContentReplaced,
    Encumbered,
    InterfaceDiscovered,
    Noted,
    OwnershipTransferred,
    QuotaTransferred,
    Scheduled,
    ScripHeld,
    ScripIssued,
    ScripPosted,
    ScripReleased,
    ScripTransferred,
)
from scripworld.world.transaction import Transaction

from .lab import Lab

NOTE = ArtifactWritten("note", "bob", "text", "", "x", Contract(), (), False, False, "bob", 1)
EVE = ArtifactWritten("eve", "bob", "principal", "", "", Contract(), (), True, False, "bob", 0)
FACTS = {
    ScripTransferred: [ScripTransferred("alice", "bob", 10), ScripTransferred("bob", "bob", 5)],
    ScripHeld: [ScripHeld(1, "alice", 10), ScripHeld(2, "alice", 10, 500)],
    ScripPosted: [ScripHeld(1, "alice", 10), ScripPosted(1, "bob", 4)],
    ScripReleased: [ScripHeld(1, "alice", 10), ScripReleased(1, "void")],
    Allocated: [Allocated("bob", "stored_bytes", 10), Allocated("bob", "stored_bytes", -19)],
    QuotaTransferred: [
        QuotaTransferred("alice", "dave", "compute", 100),
        QuotaTransferred("alice", "dave", "budget", 500),
        QuotaTransferred("dave", "dave", "budget", 5),
    ],
    ArtifactWritten: [NOTE, msgspec.structs.replace(NOTE, content="y"), EVE],
    ContentReplaced: [
        ContentReplaced("motto", "y", "carol", 1),
        ContentReplaced("motto", "", "", 0),
    ],
    ArtifactDeleted: [ArtifactDeleted("motto"), NOTE, ArtifactDeleted("note")],
    OwnershipTransferred: [OwnershipTransferred("motto", "bob", "bob")],
    InterfaceDiscovered: [InterfaceDiscovered("oracle", (Tool("dance"),))],
    ScripIssued: [ScripIssued("alice", 10), ScripIssued("dave", 1)],
    Noted: [Noted("bank", "b", [1]), Noted("bank", "a", 2), Noted("bank", "b", None)],
    Encumbered: [Encumbered("motto", "bank")],
    Scheduled: [Scheduled("bank", 500), Scheduled("bank", 700), Scheduled("oracle", 3)],
}


def everything(state: State) -> tuple:
    catalog = state.artifacts.catalog
    return state.snapshot(), [catalog.page(key, "", 99) for key in ("all", "owner bob", "standing")]


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
def test_every_fact_of_a_frame_is_undone_to_the_last_bit(lab: Lab, kind: type):
    transaction = Transaction(lab.state, MemoryEventLog(), 1_024)
    before = everything(lab.state)
    transaction.note(ScripTransferred("bob", "alice", 1))
    mark = transaction.mark()
    between = everything(lab.state)

    for fact in FACTS[kind]:
        transaction.note(fact)
    assert everything(lab.state) != between
    transaction.rollback(mark)

    assert everything(lab.state) == between
    assert transaction.facts == [ScripTransferred("bob", "alice", 1)]
    transaction.rollback(0)
    assert everything(lab.state) == before


def test_every_fact_that_can_be_undone_is_tried(lab: Lab):
    assert set(FACTS) == set(lab.state.undoers)


def test_everything_at_once_is_undone_in_reverse(lab: Lab):
    transaction = Transaction(lab.state, MemoryEventLog(), 1_024)
    before = everything(lab.state)
    for fact in (
        NOTE,
        EVE,
        ScripTransferred("alice", "eve", 10),
        ScripHeld(1, "eve", 10),
        OwnershipTransferred("note", "eve", "eve"),
        ScripPosted(1, "bob", 7),
        QuotaTransferred("bob", "eve", "tokens", 9),
        ContentReplaced("note", "z", "eve", 2),
        ArtifactDeleted("note"),
    ):
        transaction.note(fact)

    transaction.rollback(0)

    assert everything(lab.state) == before


def test_charges_survive_a_rollback(lab: Lab):
    transaction = Transaction(lab.state, MemoryEventLog(), 1_024)
    transaction.begin("alice")
    transaction.compute(5)
    transaction.note(ScripTransferred("alice", "bob", 10))

    transaction.rollback(0)
    transaction.post_charges()

    assert lab.used("alice") == 5
    transaction.begin("")
    assert lab.state.resources.pending == {}
    lab.restart()
