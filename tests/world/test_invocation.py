from itertools import pairwise

import msgspec
import pytest

from scripworld.world import (
    Abort,
    CallBack,
    Code,
    Contract,
    Cost,
    Delete,
    Diverge,
    Done,
    Edit,
    EffectResult,
    Failed,
    Invoke,
    Limits,
    NoCode,
    PrincipalSpec,
    Read,
    SetLimit,
    Waiting,
    World,
    Write,
)

from .lab import QUOTAS, CodeError, Lab, config, natives

PAY_5 = Contract("pay_per_use", 5)
ASK = CallBack(Invoke("oracle", "free"), True)


def relay(caller, args):
    """Invoke what ``x`` says, and return the answer in plain values."""
    answer = yield CallBack(Invoke(*args["x"]), True)
    return plainly(answer)


def plainly(answer):
    if isinstance(answer, Done):
        return ["done", answer.result]
    return [type(answer).__name__.lower(), int(answer.code)]


def test_a_handler_acts_for_its_immediate_caller(lab: Lab):
    assert lab.invoke("alice", "bank", "transfer", to="carol", amount=30) == Done(970)

    assert lab.scrip("alice", "carol") == [970, 30]


def test_a_handler_that_fails_is_undone_to_the_last_fact_and_charged_in_full(lab: Lab):
    lab.write("alice", "note", "mine")
    before = lab.state.snapshot()
    used = lab.used("alice")

    answer = lab.invoke("alice", "bank", "churn", ids=["note"], code=102)

    assert answer == Failed(Code.AMOUNT_INVALID, "after everything")
    assert lab.used("alice") == used + 2
    assert [type(fact).__name__ for fact in lab.last.facts] == ["Charged"]
    assert changed(before, lab.state.snapshot()) == {"stamp", "usage", "loops"}
    assert lab.state.artifacts.by_id["bank"].interface != ()


def test_holds_that_were_undone_leave_no_timer_behind(lab: Lab):
    lab.world.next_due_us()
    lab.invoke("alice", "bank", "churn", ids=[], code=102)
    lab.code("bob", "shop", relay, PAY_5)

    assert isinstance(lab.invoke("alice", "shop", "go", x=["oracle", "free"]), Waiting)
    lab.pass_us(1_000)
    lab.world.advance(lab.now_us)

    assert len(lab.state.ledger.holds) == 1


def changed(before: bytes, after: bytes) -> set[str]:
    names = ("stamp", "scrip", "usage", "stocks", "holds", "artifacts", "loops", "rest", "notes")
    pairs = zip(names, msgspec.msgpack.decode(before), msgspec.msgpack.decode(after), strict=True)
    return {name for name, one, other in pairs if one != other}


def test_code_acts_as_its_artifact_not_as_its_caller(lab: Lab):
    lab.code("bob", "shop", relay)

    answer = lab.invoke("alice", "shop", "go", x=["bank", "transfer", {"to": "bob", "amount": 1}])

    assert answer == Done(["failed", Code.SCRIP_INSUFFICIENT])
    assert lab.scrip("alice") == [1_000]


def test_the_immediate_caller_is_what_a_contract_sees(lab: Lab):
    lab.write("bob", "diary", "secret", contract=Contract("members", members=("shop",)))

    def reader(caller, args):
        answer = yield CallBack(Read("diary"))
        return [caller, answer.result]

    lab.code("bob", "shop", reader)

    assert lab.invoke("alice", "shop", "go") == Done(["alice", "secret"])
    assert lab.read("alice", "diary").code == Code.PERMISSION_DENIED


def test_what_code_makes_belongs_to_its_owner_and_is_stored_for_that(lab: Lab):
    def maker(caller, args):
        answer = yield CallBack(Write("made", "x" * 10))
        return plainly(answer)

    lab.code("bob", "shop", maker)

    assert lab.invoke("alice", "shop", "go") == Done(["done", None])
    made = lab.state.artifacts.by_id["made"]
    assert (made.owner, made.stored_for, made.stored_bytes) == ("bob", "bob", 10)


def test_code_of_another_fills_nobody_s_quota_but_its_owner_s(lab: Lab):
    def filler(caller, args):
        answers = []
        public = Write("made", "x" * 10, contract=Contract("public"))
        for action in (public, Write("more", "x"), Edit("made", "x" * 10, "y" * 11)):
            answer = yield CallBack(action)
            answers.append([int(answer.code), answer.detail] if answer != Done() else [])
        return answers

    used = lab.state.resources.stocks["stored_bytes"].used
    lab.code("bob", "shop", filler)
    lab.world.operate(SetLimit("alice", "stored_bytes", used["alice"]), 0)
    lab.world.operate(SetLimit("bob", "stored_bytes", used["bob"] + 10), 0)
    before = used["alice"]

    answer = lab.invoke("alice", "shop", "go")

    what = "stored_bytes and bob has {}: delete something first, or transfer it some quota"
    no = int(Code.QUOTA_EXCEEDED)
    assert answer == Done(
        [[], [no, f"it takes 1 {what.format(0)}"], [no, f"it takes 11 {what.format(10)}"]]
    )
    assert used["alice"] == before


def test_what_code_writes_of_another_is_stored_for_the_owner_of_the_code(lab: Lab):
    def writer(caller, args):
        yield CallBack(Write("board", "x" * 10))
        answer = yield CallBack(Edit("board", "x" * 10, "y" * 11))
        return plainly(answer)

    lab.write("carol", "board", "", contract=Contract("public"))
    lab.code("bob", "shop", writer)

    assert lab.invoke("alice", "shop", "go") == Done(["done", None])
    board = lab.state.artifacts.by_id["board"]
    assert (board.owner, board.stored_for, board.stored_bytes) == ("carol", "bob", 11)


def test_a_gift_is_no_way_to_fill_a_quota_by_code(lab: Lab):
    """Under the giver's contract the new owner may not even delete it, and the giver's code writes it."""

    def rule(caller, args):
        yield from ()
        return {"verdict": "allow" if args["caller"] in ("bob", "shop") else "deny"}

    def filler(caller, args):
        answer = yield CallBack(Write("gift", "x" * 1_000))
        return plainly(answer)

    checked = {name: {} for name in ("caller", "action", "method", "artifact")}
    lab.code("bob", "rule", rule, methods={"check": {"properties": checked}})
    lab.code("bob", "shop", filler)
    lab.write("bob", "gift", "", contract=Contract("rule"))
    lab.invoke("bob", "bank", "give", id="gift", to="carol")

    assert lab.invoke("bob", "shop", "go") == Done(["done", None])
    assert lab.delete("carol", "gift").code == Code.PERMISSION_DENIED
    gift = lab.state.artifacts.by_id["gift"]
    assert (gift.owner, gift.stored_for) == ("carol", "bob")
    assert "carol" not in lab.state.resources.stocks["stored_bytes"].used


def test_code_that_is_a_principal_writes_on_its_own_quota(lab: Lab):
    def keeper(caller, args):
        answer = yield CallBack(Write("state", "x" * args["n"]))
        return plainly(answer)

    lab.invoke("bob", "bank", "spawn", id="pond")
    lab.code("bob", "pond", keeper, methods={"go": {"properties": {"n": {}}}})
    lab.invoke("bob", "bank", "give", id="pond", to="pond")
    no = lab.invoke("alice", "pond", "go", n=5)
    assert no == Done(["refused", int(Code.QUOTA_EXCEEDED)])
    lab.invoke("bob", "bank", "give_quota", to="pond", resource="stored_bytes", amount=50)

    assert lab.invoke("alice", "pond", "go", n=5) == Done(["done", None])
    state = lab.state.artifacts.by_id["state"]
    assert (state.owner, state.stored_for) == ("pond", "pond")


def test_all_five_actions_are_there_for_code(lab: Lab):
    def busy(caller, args):
        answers = []
        for action in (
            Write("pad", "one two", contract=Contract("public")),
            Read("pad"),
            Delete("pad"),
            Invoke("bank", "echo", {"value": "hi"}),
        ):
            answers.append(plainly((yield CallBack(action))))
        return answers

    lab.code("bob", "shop", busy)

    assert lab.invoke("alice", "shop", "go").result == [
        ["done", None],
        ["done", "one two"],
        ["refused", Code.PERMISSION_DENIED],
        ["done", "hi"],
    ]


def test_resources_are_paid_by_who_acted_at_the_root(lab: Lab):
    lab.code("bob", "shop", relay)
    before = lab.used("alice"), lab.used("bob")

    lab.invoke("alice", "shop", "go", x=["bank", "echo", {"value": "hi"}])

    # admission 1, the frame 1, the call back 1, its action 1
    assert (lab.used("alice"), lab.used("bob")) == (before[0] + 4, before[1])


def test_a_price_is_held_for_the_life_of_the_frame_and_posted_when_it_is_done(lab: Lab):
    seen = []

    def shop(caller, args):
        seen.append((lab.scrip("alice", "bob"), lab.state.ledger.held.copy()))
        return "sold"
        yield

    lab.code("bob", "shop", shop, PAY_5)

    assert lab.invoke("alice", "shop", "go") == Done("sold")
    assert seen == [([1_000, 500], {"alice": 5})]
    assert lab.scrip("alice", "bob") == [995, 505]


def test_the_owner_pays_no_price(lab: Lab):
    lab.code("bob", "shop", lambda caller, args: iter(()), PAY_5)
    lab.program("shop", nothing)

    assert lab.invoke("bob", "shop", "go") == Done("nothing")
    assert lab.scrip("bob") == [500]


def nothing(caller, args):
    return "nothing"
    yield


def test_a_price_of_a_method_adds_to_nothing_where_the_caller_owns_it(lab: Lab):
    assert lab.invoke("alice", "bank", "lend") == Done("lent")

    assert lab.scrip("alice", "genesis") == [990, 10]


def test_a_price_is_voided_when_the_frame_fails(lab: Lab):
    def broken(caller, args):
        yield CallBack(Write("junk", "x"))
        raise CodeError("out of luck")

    lab.code("bob", "shop", broken, PAY_5)

    answer = lab.invoke("alice", "shop", "go")

    assert answer == Failed(Code.CODE_RAISED, "out of luck")
    assert lab.scrip("alice", "bob") == [1_000, 500]
    assert lab.state.ledger.holds == {}
    assert "junk" not in lab.state.artifacts.by_id


def test_what_an_inner_frame_did_is_undone_with_the_outer_one(lab: Lab):
    def inner(caller, args):
        yield CallBack(Write("inner", "x"))
        return "ok"

    def outer(caller, args):
        answer = yield CallBack(Invoke("inside", "go"))
        assert answer == Done("ok")
        raise CodeError("after all")

    lab.code("bob", "inside", inner)
    lab.code("bob", "outside", outer)

    assert lab.invoke("alice", "outside", "go").code == Code.CODE_RAISED
    assert "inner" not in lab.state.artifacts.by_id


def test_an_inner_failure_is_undone_and_the_outer_frame_goes_on(lab: Lab):
    def inner(caller, args):
        yield CallBack(Write("inner", "x"))
        raise CodeError("no")

    lab.code("bob", "inside", inner)
    lab.code("bob", "outside", relay)

    answer = lab.invoke("alice", "outside", "go", x=["inside", "go"])

    assert answer == Done(["failed", Code.CODE_RAISED])
    assert "inner" not in lab.state.artifacts.by_id


def test_frames_have_a_limit_of_depth(lab: Lab):
    def recurse(caller, args):
        answer = yield CallBack(Invoke("again", "go"))
        return 1 + answer.result if isinstance(answer, Done) else int(answer.code)

    lab.code("bob", "again", recurse)

    assert lab.invoke("alice", "again", "go") == Done(Code.DEPTH_EXCEEDED + 3)


def test_a_principal_is_no_code_and_has_no_methods(lab: Lab):
    assert lab.invoke("alice", "bob", "go").code == Code.NOT_EXECUTABLE


def test_code_is_ended_after_its_last_call_back(lab: Lab):
    def chatty(caller, args):
        for _ in range(args["x"]):
            yield CallBack(Read("motto"))
        return "enough"

    lab.code("bob", "shop", chatty)

    assert lab.invoke("alice", "shop", "go", x=6) == Done("enough")
    assert lab.invoke("alice", "shop", "go", x=7).code == Code.CALLS_EXCEEDED


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(Abort("50 ms are over"), Code.CODE_ABORTED), (Diverge(3), Code.CODE_DIVERGED)],
)
def test_what_the_runner_says_ends_the_frame(lab: Lab, outcome, code):
    def ended(caller, args):
        yield CallBack(Write("junk", "x"))
        yield outcome

    lab.code("bob", "shop", ended)

    assert lab.invoke("alice", "shop", "go").code == code
    assert "junk" not in lab.state.artifacts.by_id


def test_what_code_says_of_its_error_is_bounded_and_clean(lab: Lab):
    def broken(caller, args):
        raise CodeError("\ud800" + "x" * 5_000)
        yield

    lab.code("bob", "shop", broken)

    assert lab.invoke("alice", "shop", "go") == Failed(Code.CODE_RAISED, "?" + "x" * 1_999)


def test_a_call_back_that_is_no_action_ends_the_frame(lab: Lab):
    def odd(caller, args):
        yield CallBack(Invoke("bank", "any", {"value": float("nan")}))

    lab.code("bob", "shop", odd)

    assert lab.invoke("alice", "shop", "go").code == Code.CODE_ABORTED


def test_a_result_that_cannot_be_kept_ends_the_frame(lab: Lab):
    def odd(caller, args):
        return float("inf")
        yield

    lab.code("bob", "shop", odd)

    assert lab.invoke("alice", "shop", "go").code == Code.CODE_ABORTED


def test_a_large_result_and_large_content_of_code_are_kept_by_hash(lab: Lab):
    def large(caller, args):
        yield CallBack(Write("large", "w" * 3_000, contract=Contract("public")))
        answer = yield CallBack(Read("large"))
        assert answer == Done("w" * 3_000)
        yield ASK
        return answer.result + "!"

    lab.code("bob", "shop", large, padding="\n" + "#" * 2_000)

    waiting = lab.invoke("alice", "shop", "go")
    lab.restart()

    assert lab.settle(waiting, "late").answer == Done("w" * 3_000 + "!")
    assert lab.edit("carol", "large", "www", "v").code == Code.EDIT_MISMATCH
    assert lab.write("carol", "large", "v" + "w" * 2_000) == Done()
    assert lab.edit("carol", "large", "vw", "u") == Done()
    assert lab.read("bob", "large") == Done("u" + "w" * 1_999)


def test_compute_max_bounds_the_frame_and_what_it_calls(lab: Lab):
    def chatty(caller, args):
        while True:
            answer = yield CallBack(Read("motto"))
            if not isinstance(answer, Done):
                return int(answer.code)

    lab.code("bob", "shop", chatty)
    used = lab.used("alice")

    # admission 1, the frame 1, a call back with its action 2, a call back without 1
    answer = lab.do("alice", Invoke("shop", "go"), compute_max=5)
    assert answer == Done(Code.COMPUTE_MAX_EXCEEDED)
    answer = lab.do("alice", Invoke("shop", "go"), compute_max=4)
    assert answer.code == Code.COMPUTE_MAX_EXCEEDED
    assert lab.used("alice") == used + 5 + 4


def test_a_frame_that_runs_out_of_quota_says_how_long_to_wait(lab: Lab):
    def chatty(caller, args):
        while True:
            yield CallBack(Read("nothing"))

    lab.code("bob", "shop", chatty)
    lab.world.operate(SetLimit("carol", "compute", 4), lab.now_us)

    answer = lab.invoke("carol", "shop", "go")

    assert (answer.code, answer.committed) == (Code.QUOTA_EXCEEDED, False)
    assert answer.retry_after_us is None
    assert lab.used("carol") == 4


# Waiting


def test_an_effect_holds_its_cost_and_price_until_it_is_settled(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "ask", question="why")

    assert waiting == Waiting(f"{lab.state.seq}.0")
    remaining = lab.state.resources.remaining
    assert remaining("alice", "tokens", 0) == 40
    assert remaining("alice", "budget", 0) == 400
    assert lab.state.ledger.available("alice") == 995
    (request,) = lab.world.requests
    assert request.payload == {"question": "why", "from": "alice"}
    assert (request.due_us, request.deadline_us) == (1_000_000, 2_000_000)

    lab.pass_us(1_000_000)
    settled = lab.settle(waiting, "because", usage={"tokens": 4, "cpu_us": 9})

    assert (settled.principal, settled.effect_id) == ("alice", waiting.effect_id)
    assert settled.answer == Done("because")
    assert remaining("alice", "tokens", lab.now_us) == 46
    assert remaining("alice", "budget", lab.now_us) == 400
    assert lab.scrip("alice", "genesis") == [995, 5]


def test_a_failed_effect_costs_its_resources_but_not_its_price(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "ask")

    settled = lab.settle(waiting, code=Code.TOOL_FAILED, detail="no")

    assert settled.answer == Failed(Code.TOOL_FAILED, "no")
    assert lab.scrip("alice", "genesis") == [1_000, 0]
    assert lab.state.resources.remaining("alice", "tokens", 0) == 40


def test_an_effect_that_was_not_there_is_given_back(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "ask")

    lab.settle(waiting, code=Code.TOOL_UNAVAILABLE, detail="no")

    assert lab.state.resources.remaining("alice", "tokens", 0) == 50
    assert lab.state.resources.remaining("alice", "budget", 0) == 500


def test_an_interrupted_effect_costs_what_may_be_spent_for_good(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "ask")

    lab.settle(waiting, code=Code.EFFECT_INTERRUPTED, detail="killed")

    assert lab.state.resources.remaining("alice", "tokens", 0) == 50
    assert lab.state.resources.remaining("alice", "budget", 0) == 400
    assert lab.scrip("alice") == [1_000]


def test_an_overrun_is_a_fact_and_is_waited_out(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "ask")

    lab.settle(waiting, "much", usage={"tokens": 70})

    assert "Overran" in [type(fact).__name__ for fact in lab.last.facts]
    assert lab.state.resources.remaining("alice", "tokens", 0) == -20
    refused = lab.invoke("alice", "oracle", "ask")
    assert (refused.code, refused.retry_after_us) == (Code.QUOTA_EXCEEDED, 10_000_000)
    lab.pass_us(10_000_000)
    assert isinstance(lab.invoke("alice", "oracle", "ask"), Waiting)


def test_the_hold_is_posted_at_the_time_of_the_settlement(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "ask")
    lab.pass_us(9_000_000)
    lab.settle(waiting, "late")

    lab.pass_us(9_999_999)
    lab.read("bob", "motto")
    assert lab.state.resources.remaining("alice", "tokens", lab.now_us) == 40
    lab.pass_us(1)
    lab.read("bob", "motto")
    assert lab.state.resources.remaining("alice", "tokens", lab.now_us) == 50


def test_a_handler_that_asks_for_nothing_fails_and_is_charged(lab: Lab):
    assert lab.invoke("alice", "oracle", "decline").code == Code.AMOUNT_INVALID

    assert lab.scrip("alice", "bob") == [1_000, 500]
    assert lab.state.resources.remaining("alice", "tokens", 0) == 40
    assert lab.world.pending() == []


def test_a_settled_handler_makes_the_answer(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "shout", question="q")
    lab.invoke("bob", "bank", "echo", value="in between")

    assert lab.settle(waiting, "yes").answer == Done(["YES", "q", "alice", "alice"])


def test_a_settled_handler_that_fails_is_undone_and_unpaid(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "shout", question="q")

    assert lab.settle(waiting, "fail").answer == Failed(Code.TOOL_FAILED, "it answered fail")
    assert lab.scrip("alice", "bob", "genesis") == [1_000, 500, 0]


def test_a_tool_server_tells_its_methods_and_they_can_be_invoked(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "learn")
    assert lab.invoke("bob", "oracle", "dance").code == Code.METHOD_UNKNOWN
    assert lab.invoke("bob", "bank", "echo", value="in between") == Done("in between")

    lab.settle(waiting, {"tools": [{"name": "dance", "inputSchema": {}}]})

    assert isinstance(lab.invoke("bob", "oracle", "dance"), Waiting)


def test_an_interface_that_was_learned_and_forgotten_is_as_before(lab: Lab):
    before = lab.state.artifacts.by_id["oracle"]
    waiting = lab.invoke("alice", "oracle", "learn")

    settled = lab.settle(waiting, {"tools": [{"name": "dance"}], "fail": True})

    assert settled.answer.code == Code.TOOL_FAILED
    assert lab.state.artifacts.by_id["oracle"] is before


def test_a_method_that_is_gone_when_its_effect_ends_passes_the_value_on(lab: Lab):
    first = lab.settle(lab.invoke("alice", "oracle", "learn"), {"tools": [{"name": "dance"}]})
    assert first.answer == Done(1)
    dancing = lab.invoke("bob", "oracle", "dance")

    lab.settle(lab.invoke("alice", "oracle", "learn"), {"tools": []})

    assert lab.settle(dancing, "danced").answer == Done("danced")
    assert lab.invoke("bob", "oracle", "dance").code == Code.METHOD_UNKNOWN


def test_a_second_and_an_unknown_settlement_are_counted_and_not_logged(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "ask")
    lab.settle(waiting, 1)
    before = lab.state.snapshot()

    assert lab.settle(waiting, 2) is None
    assert lab.settle("99.0", 2) is None

    assert lab.world.unknown_settlements == 2
    assert lab.state.snapshot() == before


def test_code_waits_only_if_its_caller_says_so(lab: Lab):
    def impatient(caller, args):
        answer = yield CallBack(Invoke("oracle", "free"), False)
        return plainly(answer)

    def hasty(caller, args):
        answer = yield CallBack(Invoke("inside", "go", {"x": ["oracle", "free"]}), False)
        return plainly(answer)

    lab.code("bob", "impatient", impatient)
    lab.code("bob", "inside", relay)
    lab.code("bob", "hasty", hasty)

    assert lab.invoke("alice", "impatient", "go") == Done(["refused", Code.EFFECT_NOT_ALLOWED])
    assert lab.invoke("alice", "hasty", "go") == Done(
        ["done", ["refused", Code.EFFECT_NOT_ALLOWED]]
    )


@pytest.mark.parametrize("killed", [False, True])
def test_code_goes_on_with_the_result_of_its_effect(lab: Lab, killed: bool):
    def asker(caller, args):
        first = yield CallBack(Read("motto"))
        second = yield ASK
        third = yield CallBack(Read("motto"))
        return [first.result, second.result, third.result]

    lab.code("bob", "shop", asker)
    waiting = lab.do("alice", Invoke("shop", "go", {"x": 1}), compute_max=20)
    assert lab.write("alice", "motto", "changed") == Done()
    lab.pass_us(1)
    if killed:
        lab.restart()

    settled = lab.settle(waiting, "result")

    assert settled.answer == Done(["be kind", "result", "changed"])
    first, second = lab.runner.calls
    assert (first.now_us, first.seed, first.args) == (second.now_us, second.seed, second.args)
    assert [len(call.trace) for call in lab.runner.calls] == [0, 1]
    assert lab.scrip("alice", "bob") == [1_000, 500]


def nest(lab: Lab, contract=PAY_5):
    """outer → middle → inner, each free for its caller but the outer one; inner waits twice."""

    def inner(caller, args):
        yield CallBack(Write("first", "1", contract=Contract("public")))
        one = yield ASK
        yield CallBack(Write("second", "2"))
        two = yield ASK
        yield CallBack(Write("third", "3"))
        if args.get("x") == "inner":
            raise CodeError("inner")
        return [one.result if isinstance(one, Done) else int(one.code), plainly(two)]

    def middle(caller, args):
        answer = yield CallBack(Invoke("inner", "go", args), True)
        yield CallBack(Write("between", "m"))
        if args.get("x") == "middle":
            raise CodeError("middle")
        return plainly(answer)

    def outer(caller, args):
        answer = yield CallBack(Invoke("middle", "go", args), True)
        yield CallBack(Write("last", "o"))
        if args.get("x") == "outer":
            raise CodeError("outer")
        return plainly(answer)

    lab.code("bob", "inner", inner)
    lab.code("bob", "middle", middle)
    lab.pass_us(1_000_000)
    lab.code("bob", "outer", outer, contract)


def artifacts(lab: Lab) -> set[str]:
    return {"first", "second", "third", "between", "last"} & set(lab.state.artifacts.by_id)


def test_nested_frames_wait_and_go_on_together(lab: Lab):
    nest(lab)
    waiting = lab.invoke("alice", "outer", "go")
    assert artifacts(lab) == {"first"}
    assert lab.state.ledger.held == {"alice": 5}

    again = lab.settle(waiting, 1)
    assert isinstance(again.answer, Waiting)
    assert again.effect_id == waiting.effect_id
    assert artifacts(lab) == {"first", "second"}
    lab.restart()
    done = lab.settle(again.answer, 2)

    assert done.effect_id == waiting.effect_id
    assert done.answer.result[0] == "done"
    assert artifacts(lab) == {"first", "second", "third", "between", "last"}
    assert lab.scrip("alice", "bob") == [995, 505]
    assert lab.state.ledger.holds == {}
    assert lab.state.resources.holds == {}


def test_frames_that_wait_are_not_mixed_up_with_what_comes_between(lab: Lab):
    nest(lab)
    waiting = lab.do("alice", Invoke("outer", "go"), compute_max=40)
    again = lab.settle(waiting, 1)

    direct = lab.invoke("bob", "oracle", "cheap")
    assert lab.state.effects[direct.effect_id].frames == ()
    assert lab.state.effects[direct.effect_id].frame_hold == 0
    assert len(lab.state.effects[again.answer.effect_id].frames) == 3

    assert lab.settle(direct, "direct").answer == Done("direct")
    assert lab.settle(again.answer, 2).answer.result[0] == "done"


@pytest.mark.parametrize(
    ("who", "made"),
    [
        ("inner", {"first", "second", "between", "last"}),
        ("middle", {"first", "second", "last"}),
        ("outer", {"first", "second"}),
    ],
)
def test_a_failure_after_a_wait_keeps_what_stood_before_it(lab: Lab, who: str, made: set[str]):
    nest(lab)
    waiting = lab.invoke("alice", "outer", "go", x=who)
    again = lab.settle(waiting, 1)

    done = lab.settle(again.answer, 2)

    assert artifacts(lab) == made
    assert lab.state.ledger.holds == {}
    assert lab.state.resources.holds == {}
    if who == "outer":
        assert done.answer == Failed(Code.CODE_RAISED, "outer", committed=True)
        assert lab.scrip("alice", "bob") == [1_000, 500]
    else:
        assert isinstance(done.answer, Done)
        assert lab.scrip("alice", "bob") == [995, 505]


def test_a_price_follows_the_end_of_its_own_frame(lab: Lab):
    lab.world.operate(SetLimit("carol", "compute", 100), 0)

    def shop(caller, args):
        answer = yield ASK
        if args["x"] == "fail":
            raise CodeError("no")
        return plainly(answer)

    lab.code("bob", "shop", shop, PAY_5)
    one = lab.do("alice", Invoke("shop", "go", {"x": "fine"}), compute_max=9)
    two = lab.invoke("carol", "shop", "go", x="fine")
    assert two.code == Code.SCRIP_INSUFFICIENT
    three = lab.do("alice", Invoke("shop", "go", {"x": "fail"}), compute_max=9)
    assert lab.state.ledger.held == {"alice": 10}

    lab.settle(three, 1)
    lab.settle(one, 1)

    assert lab.scrip("alice", "bob", "carol") == [995, 505, 0]


def test_the_price_of_an_effect_in_a_frame_that_fails_later_is_paid(new_lab):
    lab = new_lab(costs={"oracle": {"*": Cost({"compute": 1, "tokens": 10})}})

    def shop(caller, args):
        yield CallBack(Invoke("oracle", "ask"), True)
        yield CallBack(Write("junk", "x"))
        raise CodeError("no")

    lab.code("bob", "shop", shop)

    settled = lab.settle(lab.invoke("alice", "shop", "go"), 1)

    assert settled.answer == Failed(Code.CODE_RAISED, "no", committed=True)
    assert lab.state.resources.remaining("alice", "tokens", 0) == 40
    assert "junk" not in lab.state.artifacts.by_id


def test_a_failed_effect_is_an_answer_that_code_can_take(lab: Lab):
    lab.code("bob", "shop", relay)
    waiting = lab.invoke("alice", "shop", "go", x=["oracle", "free"])

    settled = lab.settle(waiting, code=Code.EFFECT_TIMEOUT, detail="late")

    assert settled.answer == Done(["failed", Code.EFFECT_TIMEOUT])


def test_code_that_asks_something_else_the_second_time_diverged(lab: Lab):
    runs = []

    def fickle(caller, args):
        runs.append(1)
        yield CallBack(Write("junk", "x"))
        yield CallBack(Invoke("oracle", "free", {"question": len(runs)}), True)

    lab.code("bob", "shop", fickle, PAY_5)
    waiting = lab.invoke("alice", "shop", "go")

    settled = lab.settle(waiting, 1)

    assert settled.answer.code == Code.CODE_DIVERGED
    assert settled.answer.committed
    assert "junk" in lab.state.artifacts.by_id
    assert lab.scrip("alice", "bob") == [1_000, 500]


def test_code_that_leaves_its_trace_the_second_time_diverged(lab: Lab):
    runs = []

    def fickle(caller, args):
        runs.append(1)
        yield CallBack(Read("motto" if len(runs) == 1 else "bob"))
        yield ASK

    lab.code("bob", "shop", fickle)

    assert lab.settle(lab.invoke("alice", "shop", "go"), 1).answer.code == Code.CODE_DIVERGED


def test_code_that_is_ended_while_it_is_run_again_was_aborted(lab: Lab):
    runs = []

    def slow(caller, args):
        runs.append(1)
        yield ASK if len(runs) == 1 else Abort("50 ms are over")

    lab.code("bob", "shop", slow)

    answer = lab.settle(lab.invoke("alice", "shop", "go"), 1).answer

    assert answer == Failed(Code.CODE_ABORTED, "50 ms are over", committed=True)


def test_a_frame_runs_the_code_that_it_began_with(lab: Lab):
    def first(caller, args):
        answer = yield ASK
        return ["first", answer.result]

    lab.code("bob", "shop", first)
    waiting = lab.invoke("alice", "shop", "go")
    lab.program("other", nothing)
    assert lab.write("bob", "shop", "other") == Done()

    assert lab.settle(waiting, 1).answer == Done(["first", 1])
    assert lab.invoke("alice", "shop", "go") == Done("nothing")


def test_an_artifact_that_was_deleted_while_it_waited_can_only_return(lab: Lab):
    def asker(caller, args):
        answer = yield ASK
        refused = yield CallBack(Write("late", "x"))
        return [answer.result, plainly(refused)]

    lab.code("bob", "shop", asker, PAY_5)
    waiting = lab.invoke("alice", "shop", "go")
    assert lab.delete("bob", "shop") == Done()

    assert lab.settle(waiting, 1).answer == Done([1, ["refused", Code.NOT_FOUND]])
    assert lab.scrip("alice", "bob") == [995, 505]


def test_a_price_goes_to_who_owned_the_artifact_when_the_frame_began(lab: Lab):
    lab.code("bob", "shop", relay, PAY_5)
    waiting = lab.invoke("alice", "shop", "go", x=["oracle", "free"])
    assert lab.do("bob", Invoke("bank", "give", {"id": "shop", "to": "carol"})) == Done()

    lab.settle(waiting, 1)

    assert lab.scrip("alice", "bob", "carol") == [995, 505, 0]


def test_compute_is_held_while_frames_wait_and_freed_when_they_go_on(lab: Lab):
    lab.code("bob", "shop", relay)
    waiting = lab.do("alice", Invoke("shop", "go", {"x": ["oracle", "free"]}), compute_max=10)
    used = lab.used("alice")
    assert lab.state.resources.remaining("alice", "compute", 0) == 100 - used - 7

    lab.settle(waiting, 1)

    assert lab.used("alice") == used
    assert lab.state.resources.remaining("alice", "compute", 0) == 100 - used


def test_compute_of_an_effect_is_not_held_twice(lab: Lab):
    lab.code("bob", "shop", relay)
    waiting = lab.do("alice", Invoke("shop", "go", {"x": ["oracle", "cheap"]}), compute_max=10)
    used = lab.used("alice")

    # 10 less admission, frame and call back: one is the effect's, the rest is the frame's
    assert sorted(h.amounts["compute"] for h in lab.state.resources.holds.values()) == [1, 6]
    lab.settle(waiting, 1)
    assert lab.used("alice") == used + 1
    assert lab.state.resources.remaining("alice", "compute", 0) == 99 - used


def test_a_frame_goes_on_with_the_compute_that_it_had_left(lab: Lab):
    def asker(caller, args):
        yield ASK
        count = 0
        while isinstance((yield CallBack(Read("motto"))), Done):
            count += 1
        return count

    lab.code("bob", "shop", asker)
    waiting = lab.do("alice", Invoke("shop", "go"), compute_max=8)
    used = lab.used("alice")

    # 8 less admission, frame and call back: 5 are two reads, and a call back that is refused
    assert lab.settle(waiting, 1).answer == Done(2)
    assert lab.used("alice") == used + 5


def test_a_frame_without_compute_left_can_return_and_nothing_else(lab: Lab):
    def asker(caller, args):
        answer = yield ASK
        if args["x"]:
            yield CallBack(Read("motto"))
        return answer.result

    lab.code("bob", "shop", asker)
    one = lab.do("alice", Invoke("shop", "go", {"x": False}), compute_max=3)
    two = lab.do("alice", Invoke("shop", "go", {"x": True}), compute_max=3)

    assert lab.settle(one, 1).answer == Done(1)
    assert lab.settle(two, 1).answer.code == Code.COMPUTE_MAX_EXCEEDED


def test_a_frame_that_is_run_again_pays_again_for_each_call_back_that_it_goes_through(lab: Lab):
    def asker(caller, args):
        yield CallBack(Read("motto"))
        yield CallBack(Read("motto"))
        for _ in range(args["x"]):
            yield ASK
        return "done"

    lab.code("bob", "shop", asker)
    waiting = lab.invoke("alice", "shop", "go", x=3)
    used = [lab.used("alice")]
    while isinstance(waiting, Waiting):
        waiting = lab.settle(waiting, 1).answer
        used.append(lab.used("alice"))

    assert waiting == Done("done")
    # two reads, then each time one answer more; and a call back that waits again
    assert [after - before for before, after in pairwise(used)] == [2 + 1, 3 + 1, 4]


def test_a_frame_that_cannot_pay_to_be_run_again_fails(lab: Lab):
    def asker(caller, args):
        for _ in range(3):
            yield CallBack(Read("motto"))
        yield ASK
        yield CallBack(Write("late", "x"))

    lab.code("bob", "shop", asker)
    # admission, frame, three reads at two each, and a call back take nine
    waiting = lab.do("alice", Invoke("shop", "go"), compute_max=9 + 2)
    used, calls = lab.used("alice"), len(lab.runner.calls)

    settled = lab.settle(waiting, 1)

    assert settled.answer.code == Code.COMPUTE_MAX_EXCEEDED
    assert settled.answer.committed
    assert (lab.used("alice"), len(lab.runner.calls)) == (used, calls)
    assert lab.state.resources.holds == {}


def test_an_effect_whose_caller_was_deleted_meanwhile_fails(new_lab):
    lab = new_lab(costs={})
    lab.code("bob", "shop", relay)
    waiting = lab.invoke("alice", "shop", "go", x=["oracle", "shout"])
    assert lab.delete("bob", "shop") == Done()

    assert lab.settle(waiting, "hello").answer == Done(["failed", Code.NOT_FOUND])


def test_nobody_calls_code_where_no_runner_is(new_lab):
    lab = new_lab()
    world = World.begin(lab.config, natives(), lab.log.__class__(), NoCode(), "test")
    assert NoCode().check("x") is not None
    session, outcome = NoCode().start(None)
    assert isinstance(outcome, Abort)
    session.close()
    with pytest.raises(AssertionError):
        session.resume(Done())
    assert world.state.seq == 0


def test_a_refusal_names_what_is_nearest(lab: Lab):
    assert "did you mean 'motto'" in lab.read("bob", "mottos").detail
    assert "genesis_store search" in lab.read("bob", "").detail
    assert "did you mean transfer" in lab.invoke("bob", "bank", "transfers").detail
    assert "it has transfer" in lab.invoke("bob", "bank", "zzz").detail
    assert "none yet" in _without_methods(lab).detail


def _without_methods(lab: Lab):
    lab.program("bare", nothing)
    lab.write("bob", "bare", "bare", type="code", contract=Contract("freeware"))
    return lab.invoke("alice", "bare", "go")


def test_an_artifact_that_is_no_code_any_more_has_no_methods(lab: Lab):
    lab.code("bob", "shop", nothing)
    assert lab.invoke("alice", "shop", "go") == Done("nothing")

    assert lab.write("bob", "shop", "shop", type="text") == Done()
    assert lab.invoke("alice", "shop", "go").code == Code.NOT_EXECUTABLE
    assert lab.state.artifacts.by_id["shop"].interface == ()

    assert lab.write("bob", "shop", "shop", type="code") == Done()
    assert lab.invoke("alice", "shop", "go").code == Code.METHOD_UNKNOWN


def test_a_call_back_has_no_price_max(new_lab):
    lab = new_lab(
        principals=(
            PrincipalSpec("alice", 100, {**QUOTAS, "writes": 20}),
            PrincipalSpec("bob", 100, {**QUOTAS, "writes": 20}),
        ),
        artifacts=(),
    )
    lab.code("bob", "shop", relay, PAY_5)

    refused = lab.do("alice", Invoke("shop", "go", {"x": ["bank", "lend"]}), price_max_scrip=4)
    answer = lab.do("alice", Invoke("shop", "go", {"x": ["bank", "lend"]}), price_max_scrip=5)

    assert refused.code == Code.PRICE_ABOVE_MAX
    assert answer == Done(["refused", Code.SCRIP_INSUFFICIENT])


def test_inline_content_of_any_size_is_found_again(new_lab):
    lab = new_lab(limits=msgspec.structs.replace(Limits(), inline_bytes_max=8))

    assert lab.write("alice", "page", "a long page of text") == Done()
    assert lab.read("alice", "page") == Done("a long page of text")
    waiting = lab.invoke("alice", "oracle", "ask", question="a long question")
    assert lab.world.requests[-1].payload["question"] == "a long question"
    assert lab.settle(waiting, ["a long", "answer"]).answer == Done(["a long", "answer"])
    assert lab.world.in_full(EffectResult(lab.last.input.result.value)).value == [
        "a long",
        "answer",
    ]
    assert config().limits.inline_bytes_max == 1_024


def test_every_invocation_has_a_chance_of_its_own_and_keeps_it_when_it_is_run_again(lab: Lab):
    def twice(caller, args):
        yield CallBack(Invoke("below", "go", {}))
        yield CallBack(Invoke("below", "go", {}))
        yield ASK

    def below(caller, args):
        return None
        yield

    lab.code("alice", "twice", twice)
    lab.code("alice", "below", below)
    go = Invoke("twice", "go", {"x": 1})
    waiting = [lab.do("bob", go, compute_max=20), lab.do("bob", go, compute_max=20)]

    seeds = [(call.artifact, call.seed) for call in lab.runner.calls]
    assert len(set(seeds)) == len(seeds) == 6
    seq = lab.state.seq
    assert seeds[3:] == [
        ("twice", f"7/twice/{seq}.0"),
        ("below", f"7/below/{seq}.1"),
        ("below", f"7/below/{seq}.2"),
    ]
    lab.restart()
    lab.settle(waiting[1], 42)
    assert lab.runner.calls[-1].seed == f"7/twice/{seq}.0"
