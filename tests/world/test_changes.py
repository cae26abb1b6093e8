import pytest

from scripworld.world import (
    STORED_BYTES,
    Code,
    Contract,
    Cost,
    Done,
    Failed,
    Limits,
    SetLimit,
    Tool,
    Write,
)

from .lab import Lab

ANYTHING = Tool("go", "", {"properties": {"x": {}}})


def stored(lab: Lab, who: str) -> int:
    return lab.state.resources.stocks[STORED_BYTES].used.get(who, 0)


def program(caller, args):
    return "ran"
    yield


def test_a_new_artifact_is_private_text_of_its_maker(lab: Lab):
    assert lab.write("bob", "note", "é!", description="ü") == Done()

    note = lab.state.artifacts.by_id["note"]
    assert (note.owner, note.type, note.content, note.description) == ("bob", "text", "é!", "ü")
    assert (note.contract, note.interface, note.standing, note.loop) == (
        Contract(),
        (),
        False,
        False,
    )
    assert (note.stored_for, note.stored_bytes, note.changed_seq) == ("bob", 5, 1)


def test_a_write_keeps_what_it_does_not_name(lab: Lab):
    lab.write("bob", "note", "one", description="words", contract=Contract("public"), type="poem")

    lab.write("bob", "note", "two!")

    note = lab.state.artifacts.by_id["note"]
    assert (note.content, note.description, note.type) == ("two!", "words", "poem")
    assert note.contract == Contract("public")
    assert note.stored_bytes == stored(lab, "bob") - len("I am bob.") == 9


def test_the_bytes_are_held_for_who_wrote_last(lab: Lab):
    lab.write("bob", "wall", "x" * 100, contract=Contract("public"))
    lab.write("carol", "wall", "x" * 10)
    assert (stored(lab, "bob"), stored(lab, "carol")) == (9, 10)

    lab.edit("bob", "wall", "x" * 10, "")
    assert (stored(lab, "bob"), stored(lab, "carol")) == (9, 0)
    lab.write("carol", "wall", "y")
    lab.write("bob", "wall", "z")
    lab.delete("bob", "wall")
    assert (stored(lab, "bob"), stored(lab, "carol")) == (9, 0)


def test_what_is_stored_needs_room(lab: Lab):
    lab.write("alice", "page", "x" * 9_990)

    refused = lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.write("alice", "more", "x" * 20))
    assert "stored_bytes" in refused.detail
    lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.edit("alice", "motto", "kind", "k" * 20))
    assert lab.write("alice", "page", "y" * 9_993) == Done()
    assert lab.delete("alice", "page") == Done()
    assert stored(lab, "alice") == len("be kind")


def test_what_is_edited_occurs_exactly_once(lab: Lab):
    lab.write("bob", "note", "aXa aaa")
    for old, said in (
        ("b", "is not"),
        ("", "is not"),
        ("a ", "once"),
        ("aX", None),
        ("aa", "more"),
    ):
        answer = lab.edit("bob", "note", old, "a ")
        if isinstance(answer, Failed):
            assert answer.code == Code.EDIT_MISMATCH
            assert said in answer.detail
        else:
            assert answer == Done()


def test_what_is_edited_keeps_everything_but_its_content(lab: Lab):
    lab.write("bob", "note", "one two", description="words", contract=Contract("public"))
    before = lab.state.artifacts.by_id["note"]

    assert lab.edit("carol", "note", "two", "three") == Done()

    after = lab.state.artifacts.by_id["note"]
    assert after.content == "one three"
    assert (after.owner, after.description, after.contract) == ("bob", "words", before.contract)
    assert (after.stored_for, after.stored_bytes) == ("carol", 14)


def test_an_edit_of_the_same_length_takes_no_room(lab: Lab):
    assert lab.edit("alice", "motto", "kind", "mean") == Done()

    assert "Allocated" not in [type(fact).__name__ for fact in lab.last.facts]


def test_an_edit_cannot_make_content_too_large(new_lab):
    lab = new_lab(limits=Limits(content_bytes_max=20))

    lab.refuses(Code.CONTENT_TOO_LARGE, lambda: lab.edit("alice", "motto", "kind", "k" * 20))
    lab.refuses(Code.CONTENT_TOO_LARGE, lambda: lab.write("alice", "note", "é" * 11))
    lab.refuses(Code.CONTENT_TOO_LARGE, lambda: lab.write("alice", "note", "x" * 21))
    assert lab.write("alice", "note", "x" * 20) == Done()


def test_large_content_is_too_large_in_bytes(new_lab):
    lab = new_lab(limits=Limits(content_bytes_max=4_000))

    lab.refuses(Code.CONTENT_TOO_LARGE, lambda: lab.write("alice", "note", "é" * 2_001))
    lab.refuses(
        Code.CONTENT_TOO_LARGE,
        lambda: lab.write("alice", "note", "x", description="d" * 300_000),
    )


def test_large_content_is_read_as_it_was_written(lab: Lab):
    text = "é\n" * 2_000
    lab.write("bob", "page", text, contract=Contract("freeware"))

    assert lab.read("alice", "page") == Done(text)
    assert lab.world.text(lab.state.artifacts.by_id["page"].content) == text
    assert len(lab.rows[-1][2]) < 200


@pytest.mark.parametrize("id", ["", "Note", "1a", "a b", "a" * 65, "a/b", "é", "a\n", "*", "_a"])
def test_an_id_follows_the_one_grammar(lab: Lab, id: str):
    lab.refuses(Code.ID_INVALID, lambda: lab.write("bob", id, "x"))


def test_an_id_is_never_used_again(lab: Lab):
    lab.write("bob", "note", "x")
    lab.delete("bob", "note")

    lab.refuses(Code.ID_TAKEN, lambda: lab.write("bob", "note", "y"))
    assert "was deleted" in lab.read("bob", "note").detail


def test_only_the_owner_changes_more_than_the_content(lab: Lab):
    lab.write("bob", "wall", "x", contract=Contract("public"))

    for more in (
        {"description": ""},
        {"type": "text"},
        {"contract": Contract("public")},
        {"interface": ()},
    ):
        lab.refuses(
            Code.PERMISSION_DENIED, lambda more=more: lab.write("carol", "wall", "y", **more)
        )
    assert lab.write("carol", "wall", "y") == Done()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"description": "x" * 401}, "at most 400 characters"),
        ({"type": "genesis"}, "cannot become"),
        ({"type": "principal"}, "cannot become"),
        ({"type": "Bad Type"}, "a type is"),
        ({"contract": Contract("nonsense")}, "there is no contract"),
        ({"interface": (ANYTHING,)}, "only an artifact of type code"),
        ({"type": "code"}, "there is no program"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(lab: Lab, more, said):
    refused = lab.refuses(Code.DEFINITION_INVALID, lambda: lab.write("bob", "note", "x", **more))

    assert said in refused.detail


@pytest.mark.parametrize(
    ("interface", "said"),
    [
        ((ANYTHING, ANYTHING), "different names"),
        (tuple(Tool(f"m{n}") for n in range(65)), "at most 64 methods"),
        ((Tool("go", "", {"type": "nonsense"}),), "the schema of 'go'"),
        ((Tool("go", "", {}, {"$ref": "http://example.org"}),), "a reference points"),
    ],
)
def test_an_interface_that_cannot_be_is_refused(lab: Lab, interface, said):
    lab.program("ok", program)

    refused = lab.refuses(
        Code.DEFINITION_INVALID,
        lambda: lab.write("bob", "shop", "ok", type="code", interface=interface),
    )

    assert said in refused.detail


def test_an_interface_can_promise_an_output(lab: Lab):
    lab.program("ok", program)
    tool = Tool("go", "", {}, {"type": "string"})

    assert lab.write("bob", "shop", "ok", type="code", interface=(tool,)) == Done()
    assert lab.invoke("bob", "shop", "go") == Done("ran")


def test_code_that_cannot_run_is_not_written(lab: Lab):
    lab.program("ok", program)
    lab.write("bob", "shop", "ok", type="code", interface=(ANYTHING,))

    lab.refuses(Code.DEFINITION_INVALID, lambda: lab.write("bob", "shop", "broken"))
    lab.refuses(Code.DEFINITION_INVALID, lambda: lab.edit("bob", "shop", "ok", "\n"))
    lab.program("ok2", program)
    assert lab.edit("bob", "shop", "ok", "ok2") == Done()


def test_a_principal_and_a_genesis_artifact_stay_what_they_are(lab: Lab):
    lab.refuses(Code.DEFINITION_INVALID, lambda: lab.write("bob", "bob", "x", type="genesis"))
    lab.refuses(Code.DEFINITION_INVALID, lambda: lab.write("bob", "shop", "x", type="principal"))
    assert lab.write("bob", "bob", "I am bobby.", contract=Contract("public")) == Done()
    assert lab.write("carol", "bob", "no, you are not") == Done()
    assert lab.state.artifacts.by_id["bob"].standing
    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.write("bob", "bank", "mine"))


def test_a_principal_can_become_code_and_keeps_its_standing(lab: Lab):
    lab.program("ok", program)
    assert lab.write("bob", "bob", "ok", type="code", interface=(ANYTHING,)) == Done()

    assert lab.state.artifacts.by_id["bob"].standing
    assert lab.state.artifacts.by_id["bob"].can_execute
    assert lab.write("bob", "bob", "only text", type="principal") == Done()
    assert lab.state.artifacts.by_id["bob"].standing


def test_a_principal_is_not_deleted_even_by_itself(lab: Lab):
    answer = lab.delete("bob", "bob")

    assert answer == Failed(
        Code.NOT_DELETABLE, "bob is a principal or a genesis artifact: those stay"
    )
    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.delete("bob", "bank"))


def test_a_read_under_a_price_pays_the_owner(lab: Lab):
    lab.write("bob", "book", "text", contract=Contract("pay_per_use", 20))

    assert lab.read("alice", "book") == Done("text")
    assert lab.read("bob", "book") == Done("text")
    assert lab.scrip("alice", "bob") == [980, 520]


def test_a_price_of_nothing_moves_nothing(lab: Lab):
    lab.write("bob", "book", "text", contract=Contract("pay_per_use", 0))

    assert lab.do("carol", Write("x", "y"), price_max_scrip=0) == Done()
    assert lab.read("carol", "book") == Done("text")
    assert [type(fact).__name__ for fact in lab.last.facts] == ["Charged"]


def test_who_cannot_pay_the_compute_of_a_change_changes_nothing(new_lab):
    dear = {name: Cost({"compute": 50}) for name in ("read", "write", "edit", "delete")}
    lab = new_lab(actions=dear)
    lab.world.operate(SetLimit("alice", "compute", 20), 0)

    lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.read("alice", "motto"))
    lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.write("alice", "motto", "x"))
    lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.edit("alice", "motto", "kind", "x"))
    lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.delete("alice", "motto"))


def test_an_edit_that_does_not_fit_is_charged_in_full(new_lab):
    lab = new_lab(actions={"edit": Cost({"compute": 5}), "delete": Cost({"compute": 3})})

    assert lab.edit("alice", "motto", "cruel", "kind").code == Code.EDIT_MISMATCH
    assert lab.used("alice") == 6
    assert lab.edit("alice", "motto", "kind", "cruel") == Done()
    assert lab.used("alice") == 12
    assert lab.delete("alice", "alice").code == Code.NOT_DELETABLE
    assert lab.used("alice") == 16
    assert lab.delete("alice", "motto") == Done()
    assert lab.used("alice") == 20
