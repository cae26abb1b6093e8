"""Contracts that agents write: what they decide, what they may look at, and what is wrong with them."""

from collections.abc import Callable
from typing import Any

import pytest

from scripworld.world import (
    Abort,
    ArtifactSpec,
    CallBack,
    Code,
    Context,
    Contract,
    Cost,
    Delete,
    Diverge,
    Done,
    Edit,
    Effect,
    Failed,
    Invoke,
    Limits,
    Native,
    NoCode,
    PrincipalSpec,
    Raise,
    Read,
    Refused,
    Return,
    Sleep,
    Tool,
    Waiting,
    Write,
    restore,
    verify,
)
from scripworld.world.ledger import SCRIP_MAX

from .lab import MINUTE_US, CodeError, Lab, config, effect

CHECK = {"check": {}}


def verdict(value: Any) -> Callable[..., Any]:
    """A contract that says the same to everyone."""

    def check(caller, args):
        yield from ()
        return value

    return check


def guarded(lab: Lab, check: Any, id: str = "note", gate: str = "gate") -> None:
    """An artifact of bob's under a contract of carol's."""
    lab.code("carol", gate, check, methods=CHECK)
    assert lab.write("bob", id, "secret", contract=Contract(gate)) == Done()
    lab.pass_us(1_000_000)


def nobody_else(lab: Lab) -> None:
    """A note of bob's that only he may do anything with, whatever it is."""

    def check(caller, args):
        yield from ()
        return {"verdict": "allow" if caller == "bob" else "deny", "reason": "bob's"}

    guarded(lab, check)


ACTIONS = [
    Read("note"),
    Write("note", "new"),
    Edit("note", "secret", "open"),
    Delete("note"),
]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_a_contract_decides_each_action(lab: Lab, action):
    nobody_else(lab)

    refused = lab.refuses(Code.PERMISSION_DENIED, lambda: lab.do("alice", action), charged=2)

    assert refused.detail == (
        f"the contract gate of note does not let alice {type(action).__name__.lower()} it: bob's"
    )
    assert isinstance(lab.do("bob", action), Done)


def test_a_contract_decides_who_invokes(lab: Lab):
    def shop(caller, args):
        yield from ()
        return caller

    nobody_else(lab)
    lab.code("bob", "shop", shop, Contract("gate"))

    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.invoke("alice", "shop", "go"), charged=2)
    assert lab.invoke("bob", "shop", "go") == Done("bob")


def test_a_check_is_told_who_wants_what(lab: Lab):
    def shop(caller, args):
        yield from ()

    guarded(lab, verdict({"verdict": "allow"}))
    lab.code("bob", "shop", shop, Contract("gate"))
    for action in (*ACTIONS, Invoke("shop", "go", {"x": 1})):
        lab.do("alice", action)

    calls = [call for call in lab.runner.calls if call.artifact == "gate"]

    assert {(call.method, call.caller, call.now_us, call.trace) for call in calls} == {
        ("check", "alice", lab.now_us, ())
    }
    assert [tuple(call.args.values()) for call in calls] == [
        ("alice", "read", None, "note"),
        ("alice", "write", None, "note"),
        ("alice", "edit", None, "note"),
        ("alice", "delete", None, "note"),
        ("alice", "invoke", "go", "shop"),
    ]
    assert list(calls[0].args) == ["caller", "action", "method", "artifact"]
    assert len({call.seed for call in calls}) == 5


def test_the_immediate_caller_is_checked(lab: Lab):
    def reader(caller, args):
        answer = yield CallBack(Read("note"))
        return answer.result

    def check(caller, args):
        yield from ()
        return {"verdict": "allow" if caller == "reader" else "deny"}

    guarded(lab, check)
    lab.code("alice", "reader", reader)

    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.read("bob", "note"), charged=2)
    assert lab.invoke("bob", "reader", "go") == Done("secret")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"verdict": "deny"}, "note does not let bob read it"),
        ({"verdict": "deny", "reason": "x" * 500}, "it: " + "x" * 400),
        ({"verdict": "deny", "price_scrip": -1, "reason": "no"}, "it: no"),
        (None, "its check must return"),
        ("allow", "its check must return"),
        ({}, "its check must return"),
        ({"verdict": True}, "its check must return"),
        ({"verdict": ["allow"]}, "its check must return"),
        ({"verdict": "allow", "price": 3}, "its check must return"),
        ({"verdict": "allow", "reason": 3}, "its check must return"),
        ({"verdict": "allow", "price_scrip": -1}, "is no integer from 0"),
        ({"verdict": "allow", "price_scrip": SCRIP_MAX + 1}, "is no integer from 0"),
        ({"verdict": "allow", "price_scrip": True}, "is no integer from 0"),
        ({"verdict": "allow", "price_scrip": 0.5}, "is no integer from 0"),
        ({"verdict": "allow", "payee": "nobody"}, "no principal: 'nobody'"),
        ({"verdict": "ask", "payee": "motto"}, "no principal: 'motto'"),
        ({"verdict": "allow", "payee": ["bob"]}, "no principal: \"['bob']\""),
    ],
)
def test_a_verdict_that_is_none_denies_everyone(lab: Lab, value, said: str):
    guarded(lab, verdict(value))

    refused = lab.refuses(Code.PERMISSION_DENIED, lambda: lab.read("bob", "note"), charged=2)

    assert said in refused.detail


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Raise("it is broken"), "its check failed: it is broken"),
        (Abort("out of time"), "its check failed: out of time"),
        (Diverge(3), "its check failed: run again"),
        (Return(object()), "its check failed: the answer is not JSON"),
        (CallBack(Read("motto"), False, -1), "its check failed: price_max_scrip"),
    ],
)
def test_a_check_that_fails_denies_everyone(lab: Lab, outcome, said: str):
    def check(caller, args):
        yield outcome

    guarded(lab, check)

    refused = lab.refuses(Code.PERMISSION_DENIED, lambda: lab.read("bob", "note"), charged=2)

    assert said in refused.detail


def test_a_check_that_raises_after_a_look_denies(lab: Lab):
    def check(caller, args):
        yield CallBack(Read("motto"))
        raise CodeError("oh")

    guarded(lab, check)

    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.read("bob", "note"), charged=4)


def test_a_large_verdict_is_read_in_full(lab: Lab):
    guarded(lab, verdict({"verdict": "deny", "reason": "y" * 5_000}))

    refused = lab.refuses(Code.PERMISSION_DENIED, lambda: lab.read("bob", "note"), charged=2)

    assert refused.detail.endswith(": " + "y" * 400)


def test_none_stands_for_what_a_verdict_leaves_out(lab: Lab):
    guarded(lab, verdict({"verdict": "allow", "price_scrip": None, "payee": None, "reason": None}))

    assert lab.read("alice", "note") == Done("secret")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda lab: lab.delete("carol", "gate"), "there is no contract 'gate'"),
        (lambda lab: lab.write("carol", "gate", "x", type="text"), "gate is of type text"),
        (lambda lab: lab.write("carol", "gate", "gate", interface=()), "has no method check"),
    ],
)
def test_a_contract_that_is_none_any_more_denies_everyone_free_of_its_own_cost(
    lab: Lab, spoil, said: str
):
    guarded(lab, verdict({"verdict": "allow"}))
    assert spoil(lab) == Done()

    for who in ("alice", "bob", "carol"):
        refused = lab.refuses(Code.PERMISSION_DENIED, lambda who=who: lab.read(who, "note"))
        assert said in refused.detail
        assert refused.detail.endswith("this denies everyone")


def test_a_contract_decides_by_the_code_that_stands_when_it_is_asked(lab: Lab):
    guarded(lab, verdict({"verdict": "allow"}))
    lab.program("closed", verdict({"verdict": "deny"}))
    assert lab.read("alice", "note") == Done("secret")

    assert lab.write("carol", "gate", "closed") == Done()

    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.read("alice", "note"), charged=2)


def test_who_may_not_use_a_contract_is_decided_by_it_all_the_same(lab: Lab):
    """Nobody invokes it: its code is run, whatever its own contract says, its own included."""
    guarded(lab, verdict({"verdict": "allow"}))
    assert lab.write("carol", "gate", "gate", contract=Contract("gate")) == Done()
    assert lab.read("alice", "note") == Done("secret")
    assert lab.write("carol", "gate", "gate", contract=Contract("private")) == Done()

    assert lab.read("alice", "note") == Done("secret")


# What it costs.

PRICED = {"verdict": "allow", "price_scrip": 7}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
@pytest.mark.parametrize("payee", [None, "carol"])
def test_the_price_of_a_verdict_is_paid_for_each_action(lab: Lab, action, payee: str | None):
    guarded(lab, verdict(PRICED | {"payee": payee}))

    assert isinstance(lab.do("alice", action), Done)

    bob, carol = (507, 0) if payee is None else (500, 7)
    assert lab.scrip("alice", "bob", "carol") == [993, bob, carol]


@pytest.mark.parametrize("payee", [None, "carol"])
def test_the_price_of_a_verdict_is_held_for_the_life_of_a_frame(lab: Lab, payee: str | None):
    held = []

    def shop(caller, args):
        yield CallBack(Read("motto"))
        held.append(lab.state.ledger.held)
        if args["x"]:
            raise CodeError("no")

    guarded(lab, verdict(PRICED | {"payee": payee}))
    lab.code("bob", "shop", shop, Contract("gate"))

    assert lab.invoke("alice", "shop", "go", x=1).code == Code.CODE_RAISED
    assert lab.scrip("alice", "bob", "carol") == [1_000, 500, 0]
    assert lab.invoke("alice", "shop", "go", x=0) == Done()
    bob, carol = (507, 0) if payee is None else (500, 7)
    assert lab.scrip("alice", "bob", "carol") == [993, bob, carol]


def test_the_owner_pays_what_the_contract_asks_of_it(lab: Lab):
    guarded(lab, verdict(PRICED | {"payee": "carol"}))

    assert lab.read("bob", "note") == Done("secret")
    assert lab.scrip("bob", "carol") == [493, 7]


def test_an_action_that_fails_pays_no_price(lab: Lab):
    guarded(lab, verdict(PRICED))

    assert lab.edit("alice", "note", "not there", "x").code == Code.EDIT_MISMATCH
    assert lab.scrip("alice", "bob") == [1_000, 500]


def test_the_price_of_a_verdict_counts_for_the_most_that_an_action_may_cost(lab: Lab):
    """Also after the check called back, which has a most of its own."""

    def check(caller, args):
        yield CallBack(Read("motto"), False, 0)
        return PRICED

    guarded(lab, check)

    for action in ACTIONS:
        refused = lab.refuses(
            Code.PRICE_ABOVE_MAX,
            lambda action=action: lab.do("alice", action, price_max_scrip=6),
            charged=4,
        )
        assert "it costs 7 scrip, more than the most it may: 6" in refused.detail
    assert lab.do("alice", ACTIONS[0], price_max_scrip=7) == Done("secret")


def test_a_price_that_cannot_be_paid_is_refused(lab: Lab):
    guarded(lab, verdict(PRICED))

    lab.refuses(Code.SCRIP_INSUFFICIENT, lambda: lab.read("carol", "note"), charged=2)


def test_a_check_is_paid_for_by_who_acts(new_lab):
    def check(caller, args):
        yield CallBack(Read("motto"))
        yield CallBack(Invoke("bank", "who", {"id": "bob"}))
        return {"verdict": "allow"}

    lab = new_lab(contract_compute=5, call_back_compute=2)
    guarded(lab, check)
    used = lab.used("alice")

    assert lab.read("alice", "note") == Done("secret")

    # admission, the check, two calls back with a read and a method, the read itself
    assert lab.used("alice") - used == 1 + 5 + (2 + 1) + (2 + 1) + 1


@pytest.mark.parametrize(("most", "charged"), [(5, 1), (6, 6), (7, 6), (8, 8)])
def test_a_check_ends_where_the_compute_of_its_payer_does(new_lab, most: int, charged: int):
    def check(caller, args):
        looked = yield CallBack(Read("motto"))
        if isinstance(looked, Refused):
            return {"verdict": "deny", "reason": looked.detail}
        yield CallBack(Read("motto"))
        return {"verdict": "allow"}

    lab = new_lab(contract_compute=5, call_back_compute=2)
    guarded(lab, check)
    code = Code.PERMISSION_DENIED if most == 8 else Code.COMPUTE_MAX_EXCEEDED

    lab.refuses(code, lambda: lab.do("alice", Read("note"), compute_max=most), charged=charged)


def test_who_has_no_quota_for_a_check_is_told_when_it_has(new_lab):
    lab = new_lab(
        contract_compute=8,
        principals=(
            PrincipalSpec("bob", 0, {"compute": 10, "stored_bytes": 9_000, "writes": 9}),
            PrincipalSpec("carol", 0, {"compute": 10, "stored_bytes": 9_000, "writes": 9}),
        ),
        artifacts=(),
    )
    guarded(lab, verdict({"verdict": "allow"}))

    refused = lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.read("bob", "note"))

    assert refused.retry_after_us == MINUTE_US - 1_000_000


@pytest.mark.parametrize("most", [3, 4])
def test_a_check_calls_back_a_bounded_number_of_times(new_lab, most: int):
    def check(caller, args):
        for _ in range(4):
            yield CallBack(Read("motto"))
        return {"verdict": "deny", "reason": "looked"}

    lab = new_lab(limits=Limits(check_calls_max=most))
    guarded(lab, check)
    said = "looked" if most == 4 else "its check failed: it calls back at most 3 times"

    refused = lab.refuses(
        Code.PERMISSION_DENIED, lambda: lab.read("alice", "note"), charged=2 + 2 * most
    )

    assert refused.detail.endswith(said)


def test_a_check_is_one_level_deeper_than_what_it_decides(lab: Lab):
    def deeper(caller, args):
        answer = yield CallBack(Read("note"))
        if isinstance(answer, Refused):
            return int(answer.code)
        below = yield CallBack(Invoke("deeper", "go", {}))
        return [below.result] if isinstance(below, Done) else int(below.code)

    guarded(lab, verdict({"verdict": "allow"}))
    lab.code("bob", "deeper", deeper)

    # Frames are at most four deep: in the fourth there is no room for a check.
    assert lab.invoke("alice", "deeper", "go") == Done([[[int(Code.DEPTH_EXCEEDED)]]])


# What it may look at.


def looking(lab: Lab, action: Any, **changes: Any) -> Any:
    """What a contract sees that takes a look."""
    seen = []

    def check(caller, args):
        answer = yield CallBack(action, True)
        seen.append(answer)
        return {"verdict": "allow"}

    guarded(lab, check, "watched", "watcher")
    before = lab.parts()
    assert lab.read("alice", "watched") == Done("secret")
    after = lab.parts()
    for part in ("scrip", "artifacts", "stocks", "holds", "notes", "effects", "next_hold"):
        assert after[part] == before[part], part
    return seen[0]


def test_a_contract_looks_at_what_is_free_and_asks_what_changes_nothing(lab: Lab):
    assert looking(lab, Read("motto")) == Done("be kind")
    assert looking(lab, Invoke("bank", "who", {"id": "alice"})) == Done("alice")
    assert looking(lab, Read("nothing")).code == Code.NOT_FOUND
    assert looking(lab, Invoke("nothing", "go")).code == Code.NOT_FOUND
    assert looking(lab, Invoke("motto", "go")).code == Code.NOT_EXECUTABLE


@pytest.mark.parametrize(
    "action",
    [
        Write("made", "x"),
        Edit("motto", "be", "is"),
        Delete("motto"),
        Read("priced"),
        Invoke("shop", "go"),
        Invoke("bank", "spawn", {"id": "made"}),
        Invoke("bank", "hold", {"amount": 0, "expires_us": 0}),
    ],
)
def test_a_contract_changes_nothing(lab: Lab, action):
    lab.code("bob", "shop", verdict(None), Contract("public"))
    # The contract is a principal with room, so that it could pay and make something.
    lab.invoke("carol", "bank", "spawn", id="watcher")
    lab.invoke("carol", "bank", "give_quota", to="watcher", resource="stored_bytes", amount=50)
    lab.code("carol", "gate", verdict({"verdict": "allow"}), methods=CHECK)
    lab.write("bob", "priced", "x", contract=Contract("pay_per_use", 3))
    lab.pass_us(1_000_000)
    if action == Read("priced"):
        lab.invoke("bob", "bank", "transfer", to="carol", amount=50)

    no = looking(lab, action) if action != Read("priced") else paid_look(lab)

    assert no.code == Code.PERMISSION_DENIED
    assert no.detail.startswith("a contract only looks")


def paid_look(lab: Lab) -> Any:
    """A look that the contract could pay for: it is a principal with scrip."""
    seen = []

    def check(caller, args):
        seen.append((yield CallBack(Read("priced"))))
        return {"verdict": "allow"}

    lab.program("rich", check)
    assert lab.write("carol", "carol", "rich", type="code", interface=(Tool("check"),)) == Done()
    assert lab.write("bob", "note", "x", contract=Contract("carol")) == Done()
    assert lab.read("alice", "note") == Done("x")
    assert lab.scrip("alice", "bob", "carol") == [1_000, 450, 50]
    return seen[0]


def test_a_contract_has_no_effects_and_cannot_pay(lab: Lab):
    assert looking(lab, Invoke("oracle", "free")).code == Code.EFFECT_NOT_ALLOWED
    assert looking(lab, Invoke("bank", "lend")).code == Code.SCRIP_INSUFFICIENT


def test_a_contract_asks_no_other_contract_that_an_agent_wrote(lab: Lab):
    guarded(lab, verdict({"verdict": "allow"}))

    no = looking(lab, Read("note"))

    assert no.code == Code.PERMISSION_DENIED
    assert no.detail.endswith("gate is not asked while a contract is asked")


def test_a_contract_does_not_ask_itself(lab: Lab):
    def check(caller, args):
        answer = yield CallBack(Read("note"))
        return {"verdict": "deny", "reason": answer.detail}

    guarded(lab, check)

    refused = lab.refuses(Code.PERMISSION_DENIED, lambda: lab.read("bob", "note"), charged=3)

    assert refused.detail.count("does not let") == 2


def test_what_a_contract_looks_at_is_as_it_stands_in_the_middle_of_an_action(lab: Lab):
    """An inner frame sees what the outer one did so far; nothing is remembered between two checks."""

    def check(caller, args):
        answer = yield CallBack(Read("flag"))
        return {"verdict": "allow" if answer == Done("up") else "deny"}

    def raises(caller, args):
        first = yield CallBack(Read("note"))
        yield CallBack(Write("flag", "up"))
        second = yield CallBack(Read("note"))
        yield CallBack(Write("flag", "down"))
        third = yield CallBack(Read("note"))
        return [isinstance(answer, Done) for answer in (first, second, third)]

    guarded(lab, check)
    lab.write("bob", "flag", "down", contract=Contract("public"))
    lab.code("bob", "raises", raises)

    assert lab.invoke("alice", "raises", "go") == Done([False, True, False])


def test_large_content_is_shown_to_a_contract_in_full(lab: Lab):
    def check(caller, args):
        answer = yield CallBack(Read("page"))
        return {"verdict": "allow" if answer.result == "z" * 3_000 else "deny"}

    lab.write("bob", "page", "z" * 3_000, contract=Contract("freeware"))
    guarded(lab, check)

    assert lab.read("alice", "note") == Done("secret")


# Who asks contracts besides.


def test_nobody_is_woken_by_what_an_agents_contract_alone_could_let_it_read(lab: Lab):
    guarded(lab, verdict({"verdict": "allow"}))
    calls = len(lab.runner.calls)
    lab.do("alice", Sleep(9_000_000, ("note",)))

    lab.write("bob", "note", "changed")

    assert len(lab.runner.calls) == calls + 1  # of the write
    assert "alice" in lab.state.agenda.sleeping


def test_a_genesis_artifact_asks_for_its_caller_and_pays_what_is_asked(lab: Lab):
    def check(caller, args):
        who = yield CallBack(Invoke("bank", "who", {"id": "alice"}))
        return PRICED | {"payee": "carol" if args["action"] == "edit" else who.result}

    guarded(lab, check)

    for what, payee in (("read", "alice"), ("edit", "carol")):
        answer = lab.invoke("bob", "bank", "may", id="note", what=what)
        assert answer == Done([7, payee, "bob", "bob", "bank"])
    assert lab.invoke("bob", "bank", "may", id="motto", what="read") == Done(
        [0, "alice", "bob", "bob", "bank"]
    )
    assert lab.scrip("alice", "bob", "carol") == [1_007, 486, 7]


def test_a_genesis_artifact_is_told_why_its_caller_may_not(lab: Lab):
    nobody_else(lab)
    guarded(lab, verdict({"verdict": "ask"}), "asked", "asker")

    denied = lab.invoke("alice", "bank", "may", id="note", what="read")
    short = lab.do("alice", Invoke("bank", "may", {"id": "note", "what": "read"}), compute_max=2)
    asks = lab.invoke("alice", "bank", "may", id="asked", what="read")

    assert denied == Failed(
        Code.PERMISSION_DENIED, "the contract gate of note does not let alice read it: bob's"
    )
    assert short.code == Code.COMPUTE_MAX_EXCEEDED
    assert asks.code == Code.PERMISSION_DENIED
    assert "asks a person: read it yourself" in asks.detail


MAY = Invoke("bank", "may", {"id": "note", "what": "read"})


@pytest.mark.parametrize(("most", "is_paid"), [(6, False), (7, True)])
def test_what_a_genesis_artifact_pays_for_its_caller_counts_for_the_most_that_a_call_may_cost(
    lab: Lab, most: int, is_paid: bool
):
    guarded(lab, verdict(PRICED))

    answer = lab.do("alice", MAY, price_max_scrip=most)

    assert isinstance(answer, Done) == is_paid
    if not is_paid:
        assert answer == Failed(
            Code.PRICE_ABOVE_MAX, "it costs 7 scrip, more than the most it may: 6"
        )
    assert lab.scrip("alice", "bob") == ([993, 507] if is_paid else [1_000, 500])


@pytest.mark.parametrize("most", [9, 10])
def test_the_price_of_a_method_and_what_its_handler_pays_are_bounded_together(new_lab, most: int):
    lab = new_lab(costs={"bank": {"may": Cost({"compute": 1}, price_scrip=3)}})
    guarded(lab, verdict(PRICED))

    answer = lab.do("alice", MAY, price_max_scrip=most)

    assert isinstance(answer, Done) == (most == 10)
    assert lab.scrip("alice", "genesis") == ([990, 3] if most == 10 else [1_000, 0])


def test_a_call_back_bounds_what_a_genesis_artifact_pays_for_it(lab: Lab):
    def buyer(caller, args):
        answer = yield CallBack(MAY, False, args["x"])
        return [type(answer).__name__, getattr(answer, "code", None)]

    guarded(lab, verdict(PRICED))
    assert lab.invoke("bob", "bank", "spawn", id="shop") == Done("shop")
    assert lab.invoke("alice", "bank", "transfer", to="shop", amount=20) == Done(980)
    lab.code("bob", "shop", buyer)

    assert lab.invoke("alice", "shop", "go", x=6) == Done(["Failed", Code.PRICE_ABOVE_MAX])
    assert lab.invoke("alice", "shop", "go", x=7) == Done(["Done", None])
    assert lab.scrip("shop") == [13]


def _agent(ctx: Context, args: dict[str, Any]) -> Any:
    """Pay for the note, then ask, answer at once, or fail."""
    allowed = ctx.may(ctx.state.artifacts.by_id["note"], "read")
    assert not isinstance(allowed, Failed), allowed
    if allowed.price_scrip and ctx.transfer(allowed.payee, allowed.price_scrip):
        return Refused(Code.SCRIP_INSUFFICIENT, "too poor")
    told = {"ask": Effect("oracle", {}), "tell": Done("told")}
    return told.get(args["question"], Failed(Code.NOT_OPEN, "closed"))


@pytest.fixture
def agency(new_lab) -> Lab:
    """An artifact whose one method, of 5 compute and 5 scrip, has an effect, and reads what has a price."""
    cost = {"agency": {"*": Cost({"compute": 5}, price_scrip=5)}}
    methods = {"act": effect("act", _agent)}
    return new_lab(costs=cost, more=[Native("agency", "", methods)])


@pytest.mark.parametrize("question", ["ask", "tell"])
def test_a_handler_that_spent_what_its_effect_costs_is_refused_and_undone(
    agency: Lab, question: str
):
    lab, act = agency, Invoke("agency", "act", {"question": question})
    guarded(lab, verdict({"verdict": "allow", "price_scrip": 997}))

    refused = lab.refuses(Code.SCRIP_INSUFFICIENT, lambda: lab.do("alice", act), charged=2)
    assert refused.detail == "it costs 5 scrip and alice can spend 3: earn more first"
    lab.program("cheap", verdict(PRICED))
    assert lab.write("carol", "gate", "cheap") == Done()
    above = lab.refuses(
        Code.PRICE_ABOVE_MAX, lambda: lab.do("alice", act, price_max_scrip=11), charged=2
    )
    assert above.detail == "it costs 5 scrip, more than the most it may: 4"
    answer = lab.do("alice", act, price_max_scrip=12)
    assert isinstance(answer, Waiting if question == "ask" else Done)


@pytest.mark.parametrize("question", ["ask", "tell", "fail"])
def test_a_handler_whose_checks_used_up_the_compute_of_its_effect_is_refused(
    agency: Lab, question: str
):
    guarded(agency, verdict({"verdict": "allow"}))
    act = Invoke("agency", "act", {"question": question})

    agency.refuses(
        Code.COMPUTE_MAX_EXCEEDED, lambda: agency.do("alice", act, compute_max=6), charged=2
    )
    assert not isinstance(agency.do("alice", act, compute_max=7), Refused)


def test_a_check_asks_no_contract_through_a_genesis_artifact(lab: Lab):
    guarded(lab, verdict({"verdict": "allow"}))

    no = looking(lab, Invoke("bank", "may", {"id": "note", "what": "read"}))

    assert "is not asked while a contract is asked" in no.detail


# Which contracts can be set, and by which names.


@pytest.mark.parametrize(
    ("id", "said"),
    [
        ("gat", "there is no contract 'gat': did you mean 'gate'? use one of private, public"),
        ("publik", "there is no contract 'publik': did you mean 'public'?"),
        ("motto", "motto is of type text: a contract is an artifact of type code"),
        ("shop", "shop has no method check in its interface, so it is no contract"),
        ("bank", "bank is of type genesis"),
        ("q", "there is no contract 'q': use one of"),
        ("x" * 500, "there is no contract 'xxx"),
    ],
)
def test_what_is_no_contract_cannot_be_set(lab: Lab, id: str, said: str):
    lab.code("carol", "gate", verdict(None), methods=CHECK)
    lab.code("carol", "shop", verdict(None))

    refused = lab.refuses(
        Code.DEFINITION_INVALID, lambda: lab.write("bob", "note", "x", contract=Contract(id))
    )

    assert refused.detail.startswith(said)
    assert len(refused.detail) < 500


def test_code_can_be_its_own_contract_from_the_write_that_makes_it(lab: Lab):
    own = Contract("gate")
    lab.code("carol", "gate", verdict({"verdict": "deny"}), own, methods=CHECK)

    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.edit("carol", "gate", "g", "h"), charged=2)


def test_code_stays_its_own_contract_while_it_has_a_check(lab: Lab):
    own = Contract("gate")
    lab.code("carol", "gate", verdict({"verdict": "allow"}), own, methods=CHECK)

    assert lab.write("carol", "gate", "gate", contract=own) == Done()
    for more in ({"interface": ()}, {"type": "text"}):
        refused = lab.refuses(
            Code.DEFINITION_INVALID,
            lambda more=more: lab.write("carol", "gate", "gate", contract=own, **more),
        )
        assert refused.detail.startswith("gate ")


def test_what_is_no_code_is_not_its_own_contract(lab: Lab):
    refused = lab.refuses(
        Code.DEFINITION_INVALID, lambda: lab.write("bob", "note", "x", contract=Contract("note"))
    )

    assert refused.detail.startswith("note is of type text: a contract is an artifact of type code")


def test_a_contract_of_an_agent_has_no_price_of_its_artifacts(lab: Lab):
    lab.code("carol", "gate", verdict(None), methods=CHECK)

    lab.refuses(
        Code.DEFINITION_INVALID, lambda: lab.write("bob", "note", "x", contract=Contract("gate", 5))
    )


def test_no_artifact_has_the_name_of_a_contract(lab: Lab):
    for id in ("private", "pay_per_use"):
        refused = lab.refuses(Code.ID_TAKEN, lambda id=id: lab.write("bob", id, "x"))
        assert refused.detail == f"{id!r} is the name of a contract: take another id"
    assert lab.invoke("bob", "bank", "spawn", id="members").code == Code.ID_TAKEN


def test_a_world_begins_with_contracts_of_agents(new_lab):
    def begin(gate: str, contract: str) -> Lab:
        return new_lab(
            config(
                artifacts=(
                    ArtifactSpec("note", "bob", "x", contract=Contract(contract)),
                    ArtifactSpec("gate", "carol", gate, type="code", interface=(Tool("check"),)),
                    ArtifactSpec("motto", "alice", "be kind"),
                )
            ),
            programs={"gate": verdict({"verdict": "allow"})},
        )

    lab = begin("gate", "gate")
    assert lab.read("alice", "note") == Done("x")
    with pytest.raises(ValueError, match="artifact note: motto is of type text"):
        begin("gate", "motto")
    with pytest.raises(ValueError, match="the id 'public' is the name of a contract"):
        Lab(config(principals=(PrincipalSpec("public"),), artifacts=()))


def test_a_contract_is_asked_in_a_settlement_and_after_a_restart(lab: Lab):
    def waiter(caller, args):
        yield CallBack(Invoke("oracle", "free"), True)
        answer = yield CallBack(Read("note"))
        return answer.result

    guarded(lab, verdict({"verdict": "allow"}))
    lab.code("bob", "waiter", waiter)
    waiting = lab.invoke("alice", "waiter", "go")
    lab.restart()

    assert lab.settle(waiting, "go on").answer == Done("secret")


def test_a_rerun_of_the_code_proves_the_checks_too(lab: Lab):
    nobody_else(lab)
    lab.read("alice", "note")
    lab.read("bob", "note")

    state = verify(lab.rows, lab.natives, lab.log, code=lab.runner)

    assert state.snapshot() == lab.state.snapshot()


def test_a_world_without_a_runner_denies_what_code_decides(lab: Lab):
    guarded(lab, verdict({"verdict": "allow"}))
    lab.world = restore(lab.rows, lab.natives, lab.log, NoCode())

    refused = lab.refuses(Code.PERMISSION_DENIED, lambda: lab.read("bob", "note"), charged=2)

    assert "runs no agent-written code" in refused.detail
