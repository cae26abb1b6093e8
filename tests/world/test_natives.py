import re

import pytest
from msgspec.structs import replace

from scripworld.world import Code, Done, Effect, Failed, Invoke, NativeFault, SetLimit

from .lab import Lab


def give(lab: Lab, who: str, id: str, to: str):
    return lab.do(who, Invoke("bank", "give", {"id": id, "to": to}))


def spawn(lab: Lab, who: str, id: str):
    return lab.do(who, Invoke("bank", "spawn", {"id": id}))


def test_a_principal_is_made_without_anything(lab: Lab):
    assert spawn(lab, "alice", "eve") == Done("eve")

    eve = lab.state.artifacts.by_id["eve"]
    assert (eve.owner, eve.standing, eve.loop, eve.stored_for) == ("alice", True, False, "alice")
    assert lab.scrip("eve") == [0]
    assert lab.read("eve", "motto").code == Code.ADMISSION_EXCEEDED
    lab.invoke("alice", "bank", "give_quota", to="eve", resource="compute", amount=5)
    lab.invoke("alice", "bank", "transfer", to="eve", amount=5)
    assert lab.read("eve", "motto") == Done("be kind")
    assert lab.state.agenda.steps.keys() == {"alice", "bob", "dave"}


@pytest.mark.parametrize(
    ("id", "code"),
    [
        ("bob", Code.ID_TAKEN),
        ("motto", Code.ID_TAKEN),
        ("gone", Code.ID_TAKEN),
        ("Bad Id", Code.ID_INVALID),
        ("e" * 65, Code.ID_INVALID),
    ],
)
def test_a_principal_needs_a_free_id(lab: Lab, id: str, code: Code):
    lab.write("alice", "gone", "x")
    lab.delete("alice", "gone")

    answer = spawn(lab, "alice", id)

    assert isinstance(answer, Failed)
    assert answer.code == code


def test_a_principal_needs_room_for_its_description(lab: Lab):
    lab.world.operate(SetLimit("carol", "stored_bytes", 5), 0)

    assert spawn(lab, "carol", "eve").code == Code.QUOTA_EXCEEDED
    lab.world.operate(SetLimit("carol", "stored_bytes", len("made by a test")), 0)
    assert spawn(lab, "carol", "eve") == Done("eve")


def test_a_description_of_a_principal_is_bounded_and_can_be_empty(lab: Lab):
    context = lab.world._actions.context

    assert context.spawn("eve", "alice", "x" * 401).code == Code.DEFINITION_INVALID

    def bare(ctx, args):
        return ctx.spawn("eve", ctx.payer, "") or Done()

    bank = lab.natives["bank"]
    methods = {**bank.methods, "lend": replace(bank.methods["lend"], handler=bare)}
    lab.natives["bank"] = replace(bank, methods=methods)
    assert lab.invoke("alice", "bank", "lend") == Done()
    assert lab.state.artifacts.by_id["eve"].stored_bytes == 0


def sell(lab: Lab, who: str, id: str, to: str):
    return lab.do(who, Invoke("bank", "sell", {"id": id, "to": to}))


def test_a_gift_leaves_its_bytes_where_they_are_until_it_is_written(lab: Lab):
    used = lab.state.resources.stocks["stored_bytes"].used
    before = used["bob"]
    lab.write("bob", "note", "x" * 100)
    lab.world.operate(SetLimit("carol", "stored_bytes", 10), 0)

    assert give(lab, "bob", "note", "carol") == Done()

    note = lab.state.artifacts.by_id["note"]
    assert (note.owner, note.stored_for, used["bob"]) == ("carol", "bob", before + 100)
    assert lab.write("carol", "note", "x" * 11).code == Code.QUOTA_EXCEEDED
    assert lab.write("carol", "note", "x" * 10) == Done()
    assert (used["bob"], used["carol"]) == (before, 10)


def test_a_gift_that_is_deleted_gives_its_bytes_back_to_who_holds_them(lab: Lab):
    used = lab.state.resources.stocks["stored_bytes"].used
    before = used["bob"]
    lab.write("bob", "note", "x" * 100)
    give(lab, "bob", "note", "carol")

    assert lab.delete("carol", "note") == Done(None)
    assert used["bob"] == before


def test_what_is_sold_takes_its_bytes_along(lab: Lab):
    lab.write("bob", "note", "x" * 100)

    assert sell(lab, "bob", "note", "carol") == Done()

    note = lab.state.artifacts.by_id["note"]
    assert (note.owner, note.stored_for) == ("carol", "carol")
    assert lab.state.resources.stocks["stored_bytes"].used["carol"] == 100
    assert lab.read("carol", "note") == Done("x" * 100)
    assert lab.read("bob", "note").code == Code.PERMISSION_DENIED


def test_what_is_sold_needs_room(lab: Lab):
    lab.write("bob", "note", "x" * 100)
    lab.write("bob", "empty", "")
    lab.world.operate(SetLimit("carol", "stored_bytes", 99), 0)

    answer = sell(lab, "bob", "note", "carol")

    assert isinstance(answer, Failed)
    assert answer.code == Code.QUOTA_EXCEEDED
    assert "it takes 100 stored_bytes and carol has 99: delete" in answer.detail
    assert sell(lab, "bob", "empty", "carol") == Done()
    assert sell(lab, "bob", "note", "bob") == Done()


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({"to": "bob", "resource": "compute", "amount": 0}, Code.AMOUNT_INVALID),
        ({"to": "motto", "resource": "compute", "amount": 1}, Code.NO_STANDING),
        ({"to": "bob", "resource": "luck", "amount": 1}, Code.NOT_FOUND),
        ({"to": "bob", "resource": "compute", "amount": 99}, Code.QUOTA_EXCEEDED),
        ({"to": "bob", "resource": "stored_bytes", "amount": 9_994}, Code.QUOTA_EXCEEDED),
        ({"to": "bob", "resource": "budget", "amount": 501}, Code.QUOTA_EXCEEDED),
    ],
)
def test_a_quota_that_cannot_be_given_stays(lab: Lab, args, code):
    answer = lab.do("alice", Invoke("bank", "give_quota", args))

    assert isinstance(answer, Failed)
    assert answer.code == code


@pytest.mark.parametrize(
    ("resource", "amount"), [("compute", 98), ("stored_bytes", 9_993), ("budget", 500)]
)
def test_at_most_what_remains_can_be_given_and_the_sum_stays(lab: Lab, resource, amount):
    resources = lab.state.resources
    both = resources.limit("alice", resource) + resources.limit("dave", resource)
    used = 2 if resource == "compute" else 0

    answer = lab.invoke("alice", "bank", "give_quota", to="dave", resource=resource, amount=amount)

    assert answer == Done()
    assert resources.limit("dave", resource) == amount
    assert resources.limit("alice", resource) + resources.limit("dave", resource) == both
    assert resources.remaining("alice", resource, 0) == 0
    assert resources.limit("alice", resource) >= used


def test_what_is_held_by_an_effect_cannot_be_given(lab: Lab):
    lab.invoke("alice", "oracle", "ask")
    args = {"to": "bob", "resource": "tokens", "amount": 41}

    answer = lab.do("alice", Invoke("bank", "give_quota", args))

    assert (answer.code, answer.retry_after_us) == (Code.QUOTA_EXCEEDED, None)
    assert lab.do("alice", Invoke("bank", "give_quota", {**args, "amount": 40})) == Done()


def test_no_quota_grows_beyond_what_can_be_counted(lab: Lab):
    lab.world.operate(SetLimit("alice", "tokens", 2**62), 0)
    lab.world.operate(SetLimit("bob", "tokens", 2**62), 0)

    answer = lab.invoke("alice", "bank", "give_quota", to="bob", resource="tokens", amount=1)

    assert answer.code == Code.AMOUNT_INVALID
    assert lab.state.resources.limit("bob", "tokens") == 2**62
    refused = lab.world.operate(SetLimit("bob", "tokens", 2**62 + 1), 0)
    assert refused.code == Code.DEFINITION_INVALID


def test_a_quota_that_was_given_is_told_with_the_wait_for_more(lab: Lab):
    lab.settle(lab.invoke("alice", "oracle", "ask"), 1)
    lab.pass_us(3)

    args = {"to": "bob", "resource": "tokens", "amount": 45}
    answer = lab.do("alice", Invoke("bank", "give_quota", args))

    assert answer.retry_after_us == 9_999_997


def test_only_an_artifact_that_may_changes_its_interface(lab: Lab):
    lab.natives["bank"] = replace(lab.natives["bank"], capabilities=frozenset())
    context = lab.world._actions.context
    context.artifact = "bank"

    with pytest.raises(AssertionError):
        context.discover(())


def test_a_handler_asks_what_a_method_costs(lab: Lab):
    costs = lab.world._actions.context.costs

    assert costs("bank", "lend").price_scrip == 10
    assert costs("oracle", "shout").price_scrip == 5
    assert costs("shop", "go").resources == {"compute": 1}


@pytest.mark.parametrize(
    ("method", "answer", "said"),
    [
        ("lend", "hello", "bank lend answered str: its handler must answer Done or Failed"),
        ("lend", None, "bank lend answered NoneType"),
        ("lend", Effect("oracle", 1), "bank lend answered Effect"),
        ("lend", Done(float("nan")), "bank lend answered what is not JSON: a number is finite"),
        ("lend", Done({"a": (1, 2)}), "tuple is not JSON"),
        ("lend", Done([object()]), "object is not JSON"),
        (
            "ask",
            "hello",
            "oracle ask answered str: its handler must answer an Effect, Done, Failed or Refused",
        ),
    ],
)
def test_a_handler_that_answers_what_no_record_can_hold_is_named(lab: Lab, method, answer, said):
    id = "bank" if method == "lend" else "oracle"
    native = lab.natives[id]
    told = replace(native.methods[method], handler=lambda context, args: answer)
    lab.natives[id] = replace(native, methods={**native.methods, method: told})
    before = len(lab.rows)

    with pytest.raises(NativeFault, match=re.escape(said)):
        lab.invoke("alice", id, method, **({"question": "?"} if id == "oracle" else {}))

    assert len(lab.rows) == before
    lab.restart()


def test_a_whole_number_of_a_handler_is_an_integer(lab: Lab):
    bank = lab.natives["bank"]
    told = replace(bank.methods["lend"], handler=lambda context, args: Done([2.0]))
    lab.natives["bank"] = replace(bank, methods={**bank.methods, "lend": told})

    assert lab.invoke("alice", "bank", "lend") == Done([2])


def test_a_handler_asks_who_is_a_principal(lab: Lab):
    assert lab.invoke("alice", "bank", "who", id="bob") == Done("bob")
    assert lab.invoke("alice", "bank", "who", id="motto").code == Code.NO_STANDING
    assert lab.invoke("alice", "bank", "who", id="nobody").code == Code.NO_STANDING
