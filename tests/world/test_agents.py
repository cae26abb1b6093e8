"""Agents that are made while the world runs: their loop, its bound, and that it can be taken back."""

from typing import Any

import pytest
from msgspec.structs import replace

from scripworld.world import (
    Code,
    Context,
    Done,
    Failed,
    Limits,
    Method,
    Native,
    Sleep,
    Stop,
    Tool,
)

from .lab import Lab, config, schema

BIG = '{"mind": "m"}' + " " * 5_000


def breed(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    failed = ctx.spawn(args["id"], ctx.caller, "an agent", args["content"], loop=True)
    if failed is None and args["id"] == "regret":
        return Failed(Code.NOT_OPEN, "changed its mind")
    return failed or Done(ctx.text(ctx.state.artifacts.by_id[args["id"]]))


NURSERY = Native(
    "nursery",
    "makes agents",
    {"breed": Method(Tool("breed", "", schema(id="string", content="string")), breed)},
)


@pytest.fixture
def lab(new_lab):
    return new_lab(more=[NURSERY])


def made(lab: Lab, id: str, content: str = "{}", by: str = "alice") -> Any:
    return lab.invoke(by, "nursery", "breed", id=id, content=content)


@pytest.mark.parametrize("content", ["", "{}", BIG])
def test_an_agent_is_due_at_once_and_its_content_is_told_in_full(lab: Lab, content: str):
    lab.world.next_due_us()
    lab.now_us = 7

    assert made(lab, "eve", content) == Done(content)

    eve = lab.state.artifacts.by_id["eve"]
    assert (eve.owner, eve.standing, eve.loop, eve.type) == ("alice", True, True, "principal")
    assert "eve" in lab.world.due(7)
    assert lab.scrip("eve") == [0]


def test_it_can_do_nothing_until_it_has_compute_but_rest_and_stop(lab: Lab):
    made(lab, "eve")

    assert lab.read("eve", "motto").code == Code.ADMISSION_EXCEEDED
    assert lab.do("eve", Sleep(5_000_000, ("eve",))) == Done()
    lab.invoke("alice", "bank", "give_quota", to="eve", resource="compute", amount=5)
    assert "eve" in lab.world.due(lab.now_us)
    assert lab.read("eve", "motto") == Done("be kind")
    assert lab.do("eve", Stop("done")) == Done()
    assert "eve" not in lab.world.due(10_000_000)


@pytest.mark.parametrize("is_asked", [True, False])
def test_one_that_is_taken_back_was_never_there(lab: Lab, is_asked: bool):
    if is_asked:
        lab.world.next_due_us()
    agenda = lab.state.agenda
    before = (dict(agenda.due_us), dict(agenda.steps))

    assert made(lab, "regret").code == Code.NOT_OPEN

    assert agenda.due_us.keys() == before[0].keys()
    assert agenda.steps.keys() == before[1].keys()
    assert "regret" not in lab.world.due(lab.now_us)
    assert "regret" not in lab.state.ledger.balances


def test_a_world_holds_no_more_agents_than_its_limit_stopped_ones_included(new_lab):
    limits = replace(config().limits, agents_max=4)
    lab = new_lab(more=[NURSERY], limits=limits)
    assert made(lab, "eve").result == "{}"
    lab.do("eve", Stop("enough"))

    no = made(lab, "fay")

    assert (no.code, "fay" in lab.state.artifacts.by_id) == (Code.QUOTA_EXCEEDED, False)
    assert "4 agents" in no.detail
    assert lab.invoke("alice", "bank", "spawn", id="fay") == Done("fay")
    assert Limits().agents_max == 1_000


def test_its_content_has_a_size_and_counts_on_who_pays(lab: Lab):
    assert made(lab, "eve", "x" * 20_000).code == Code.QUOTA_EXCEEDED
    before = lab.state.resources.stocks["stored_bytes"].used.get("alice", 0)

    made(lab, "eve", "x" * 100)

    used = lab.state.resources.stocks["stored_bytes"].used["alice"]
    assert used == before + 100 + len("an agent")
