"""How a genesis artifact replaces the content of somebody's artifact: its bytes, its bounds, its inverse."""

from typing import Any

import pytest

from scripworld.world import Code, Context, Done, Failed, Method, Native, SetLimit, Tool

from .lab import Lab, config, schema


def rewrite(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    failed = ctx.rewrite(ctx.state.artifacts.by_id[args["id"]], args["text"])
    if failed is None and args["text"] == "regret":
        return Failed(Code.NOT_OPEN, "changed its mind")
    return failed or Done()


def encumber(ctx: Context, args: dict[str, Any]) -> Done:
    ctx.encumber(args["id"])
    return Done()


def native(id: str) -> Native:
    methods = (
        Method(Tool("rewrite", "", schema(id="string", text="string")), rewrite),
        Method(Tool("encumber", "", schema(id="string")), encumber),
    )
    named = {method.tool.name: method for method in methods}
    return Native(id, "a pen", named, capabilities=frozenset({"encumber"}))


@pytest.fixture
def lab():
    lab = Lab(config(), more=[native("pen"), native("lock")])
    lab.write("bob", "note", "x" * 100)
    yield lab
    lab.check()


def put(lab: Lab, text: str, by: str = "bob") -> Any:
    return lab.invoke(by, "pen", "rewrite", id="note", text=text)


def stored(lab: Lab, principal: str) -> int:
    return lab.state.resources.stocks["stored_bytes"].used.get(principal, 0)


@pytest.mark.parametrize("text", ["y", "", "y" * 5_000])
def test_the_content_is_replaced_and_its_bytes_are_stored(lab: Lab, text: str):
    before = stored(lab, "bob")

    assert put(lab, text) == Done()

    note = lab.state.artifacts.by_id["note"]
    assert lab.world.text(note.content) == text
    assert (note.stored_bytes, note.owner) == (len(text), "bob")
    assert stored(lab, "bob") == before - 100 + len(text)


def test_what_was_empty_can_be_filled(lab: Lab):
    put(lab, "")
    before = stored(lab, "bob")

    assert put(lab, "new") == Done()

    assert stored(lab, "bob") == before + 3


def test_the_bytes_are_those_of_who_acts_itself(lab: Lab):
    before = stored(lab, "alice"), stored(lab, "bob")

    put(lab, "hers", by="alice")

    assert lab.state.artifacts.by_id["note"].stored_for == "alice"
    assert (stored(lab, "alice"), stored(lab, "bob")) == (before[0] + 4, before[1] - 100)


def test_what_is_there_makes_room_for_what_comes(lab: Lab):
    lab.world.operate(SetLimit("bob", "stored_bytes", stored(lab, "bob")), lab.now_us)

    assert put(lab, "y" * 101).code == Code.QUOTA_EXCEEDED
    assert put(lab, "y" * 100) == Done()


def test_content_has_its_bound(lab: Lab):
    over = lab.world.config.limits.content_bytes_max + 1
    note = lab.state.artifacts.by_id["note"]

    context = lab.world._actions.context
    context.caller = "bob"
    failed = context.rewrite(note, "y" * over)

    assert failed.code == Code.CONTENT_TOO_LARGE


def test_what_is_bound_is_rewritten_by_its_binder_alone(lab: Lab):
    lab.invoke("alice", "lock", "encumber", id="note")

    assert put(lab, "y").code == Code.ENCUMBERED
    assert lab.invoke("bob", "lock", "rewrite", id="note", text="y") == Done()


def test_a_method_that_fails_leaves_it_as_it_was(lab: Lab):
    before = stored(lab, "bob")

    assert put(lab, "regret").code == Code.NOT_OPEN

    assert lab.read("bob", "note") == Done("x" * 100)
    assert stored(lab, "bob") == before
