"""Actions that wait for a person's approval."""

from typing import Any

import pytest

from scripworld.world import (
    APPROVAL,
    CallBack,
    Code,
    Contract,
    Delete,
    Done,
    Edit,
    Failed,
    Invoke,
    Limits,
    PrincipalSpec,
    Read,
    Waiting,
    Write,
)
from scripworld.world.approvals import ASKED_CHARS_MAX

from .lab import QUOTAS, CodeError, Lab
from .test_access import guarded, verdict
from .test_invocation import plainly
from .test_powers import box

ASK = {"verdict": "ask", "price_scrip": 7, "reason": "is it wise?"}
YES, NO = {"approved": True}, {"approved": False, "reason": "not today"}


@pytest.fixture
def lab(new_lab) -> Lab:
    """A note of bob's, of which a person decides."""
    lab = new_lab()
    guarded(lab, verdict(ASK))
    return lab


def shop(caller, args):
    yield from ()
    return caller


ACTIONS = {
    "read": (Read("note"), "secret"),
    "write": (Write("note", "new"), None),
    "edit": (Edit("note", "secret", "open"), None),
    "delete": (Delete("note"), None),
}
CARRIED = {"write": '{"content":"new"}', "edit": '{"new":"open","old":"secret"}'}
CASES = pytest.mark.parametrize(
    ("what", "action", "result"), [(what, *case) for what, case in ACTIONS.items()]
)
KILLED = pytest.mark.parametrize("killed", [False, True])


@CASES
@KILLED
def test_an_action_waits_until_it_is_approved_and_is_taken_then(
    lab: Lab, what: str, action: Any, result: Any, killed: bool
):
    waiting = lab.do("alice", action)

    assert isinstance(waiting, Waiting)
    (request,) = lab.world.requests
    assert (request.performer, request.artifact, request.method) == (APPROVAL, "note", what)
    assert request.payload == {
        "artifact": "note",
        "owner": "bob",
        "contract": "gate",
        "caller": "alice",
        "action": what,
        "method": None,
        "asks_for": CARRIED.get(what, ""),
        "size_bytes": len(CARRIED.get(what, "")),
        "contract_says": "is it wise?",
    }
    assert lab.state.ledger.available("alice") == 993
    assert lab.scrip("alice", "bob") == [1_000, 500]
    lab.pass_us(5)
    calls = len(lab.runner.calls)
    if killed:
        lab.restart()
        assert lab.world.pending() == [request]

    settled = lab.settle(waiting, YES)

    assert settled.answer == Done(result)
    assert lab.scrip("alice", "bob") == [993, 507]
    assert lab.state.ledger.held == {}
    assert len(lab.runner.calls) == calls, "the contract was asked again"


@CASES
@pytest.mark.parametrize(
    ("value", "given", "said"),
    [
        (NO, {}, "it was not approved: not today"),
        ({"approved": 1}, {}, "it was not approved"),
        ({"approved": False, "reason": "n" * 900}, {}, "it was not approved: " + "n" * 400),
        (True, {}, "it was not approved"),
        (None, {}, "it was not approved"),
        (YES, {"code": Code.EFFECT_TIMEOUT, "detail": "late"}, "nobody could approve it: late"),
        (None, {"code": Code.TOOL_UNAVAILABLE}, "nobody could approve it: "),
    ],
)
def test_an_action_that_is_not_approved_fails_and_costs_no_price(
    lab: Lab, what: str, action: Any, result: Any, value: Any, given: dict[str, Any], said: str
):
    waiting = lab.do("alice", action)

    settled = lab.settle(waiting, value, **given)

    assert settled.answer == Failed(Code.PERMISSION_DENIED, f"alice may not {what} note: {said}")
    assert lab.scrip("alice", "bob") == [1_000, 500]
    assert lab.state.ledger.held == {}
    assert lab.read("carol", "note").code == Code.SCRIP_INSUFFICIENT  # it is still there


@KILLED
def test_an_invocation_waits_before_its_frame_begins(lab: Lab, killed: bool):
    lab.code("bob", "shop", shop, Contract("gate"))

    waiting = lab.invoke("alice", "shop", "go", x=[1])

    (request,) = lab.world.requests
    assert (request.method, request.payload["action"]) == ("go", "invoke")
    assert request.payload["method"] == "go"
    assert (request.payload["asks_for"], request.payload["size_bytes"]) == ('{"x":[1]}', 9)
    assert lab.runner.calls[-1].artifact == "gate"
    if killed:
        lab.restart()
    assert lab.settle(waiting, YES).answer == Done("alice")
    assert lab.runner.calls[-1].args == {"x": [1]}
    assert lab.scrip("alice", "bob") == [993, 507]


@KILLED
def test_an_approved_invocation_can_wait_for_an_effect_of_its_own(lab: Lab, killed: bool):
    def asker(caller, args):
        first = yield CallBack(Invoke("oracle", "free"), True)
        second = yield CallBack(Read("motto"))
        return [first.result, second.result]

    lab.code("bob", "shop", asker, Contract("gate"))
    waiting = lab.invoke("alice", "shop", "go")

    again = lab.settle(waiting, YES)

    assert again.effect_id == waiting.effect_id
    assert isinstance(again.answer, Waiting)
    if killed:
        lab.restart()
    settled = lab.settle(again.answer, "told")
    assert settled.effect_id == waiting.effect_id
    assert settled.answer == Done(["told", "be kind"])
    assert lab.scrip("alice", "bob") == [993, 507]


def test_what_cannot_be_is_refused_before_anybody_is_asked(new_lab):
    lab = new_lab(limits=Limits(content_bytes_max=50))
    guarded(lab, verdict(ASK))
    lab.code("bob", "shop", shop, Contract("gate"))

    for code, action, more in (
        (Code.SCRIP_INSUFFICIENT, None, {}),
        (Code.PRICE_ABOVE_MAX, Read("note"), {"price_max_scrip": 6}),
        (Code.COMPUTE_MAX_EXCEEDED, Read("note"), {"compute_max": 2}),
        (Code.ARGUMENTS_INVALID, Invoke("shop", "go", {"y": 1}), {}),
        (Code.DEFINITION_INVALID, Write("note", "x", type="No"), {}),
    ):
        who = "carol" if action is None else "alice"
        answer = lab.do(who, action or Read("note"), **more)
        assert answer.code == code
    assert lab.world.requests == []


def test_who_cannot_pay_for_the_question_does_not_ask(lab: Lab):
    lab.refuses(
        Code.COMPUTE_MAX_EXCEEDED,
        lambda: lab.do("alice", Delete("note"), compute_max=2),
        charged=2,
    )


@pytest.mark.parametrize("waits", [True, False])
def test_code_waits_for_a_person_only_if_it_says_so(lab: Lab, waits: bool):
    def reader(caller, args):
        answer = yield CallBack(Read("note"), waits)
        return plainly(answer)

    guarded(lab, verdict({"verdict": "ask"}), "free", "asker")
    lab.write("bob", "note", "x", contract=Contract("asker"))
    lab.settle(lab.world.requests[-1].id, YES)
    lab.code("bob", "reader", reader)

    answer = lab.invoke("alice", "reader", "go")

    if waits:
        assert lab.settle(answer, YES).answer == Done(["done", "x"])
    else:
        assert answer == Done(["refused", Code.EFFECT_NOT_ALLOWED])


def nested(lab: Lab, fails: str = "") -> None:
    """outer → inner, which writes, has a write approved, and writes again."""

    def inner(caller, args):
        yield CallBack(Write("before", "1"))
        answer = yield CallBack(Write("note", "approved"), True)
        yield CallBack(Write("after", "2"))
        if fails == "inner":
            raise CodeError("inner")
        return plainly(answer)

    def outer(caller, args):
        answer = yield CallBack(Invoke("inner", "go", {}), True)
        if fails == "outer":
            raise CodeError("outer")
        return plainly(answer)

    lab.write("carol", "gate", "free")
    lab.code("bob", "inner", inner)
    lab.code("bob", "outer", outer)


@pytest.fixture
def free(new_lab) -> Lab:
    """As ``lab``, without a price: artifacts without standing have no scrip."""
    lab = new_lab(programs={"free": verdict({"verdict": "ask"})})
    guarded(lab, verdict(ASK))
    return lab


def content(lab: Lab, id: str) -> Any:
    artifact = lab.state.artifacts.by_id.get(id)
    return None if artifact is None else artifact.content


@KILLED
def test_frames_go_on_with_what_was_approved(free: Lab, killed: bool):
    nested(free)
    waiting = free.invoke("alice", "outer", "go")
    if killed:
        free.restart()

    settled = free.settle(waiting, YES)

    assert settled.answer == Done(["done", ["done", None]])
    assert [content(free, id) for id in ("before", "note", "after")] == ["1", "approved", "2"]


def test_frames_go_on_with_what_was_not_approved(free: Lab):
    nested(free)
    waiting = free.invoke("alice", "outer", "go")

    settled = free.settle(waiting, NO)

    assert settled.answer == Done(["done", ["failed", Code.PERMISSION_DENIED]])
    assert [content(free, id) for id in ("before", "note", "after")] == ["1", "secret", "2"]


@pytest.mark.parametrize("fails", ["inner", "outer"])
def test_what_was_approved_is_undone_with_the_frame_that_asked_for_it(free: Lab, fails: str):
    """What was done before the person was asked stands."""
    nested(free, fails)
    waiting = free.invoke("alice", "outer", "go")

    settled = free.settle(waiting, YES)

    if fails == "inner":
        assert settled.answer == Done(["failed", Code.CODE_RAISED])
    else:
        assert settled.answer == Failed(Code.CODE_RAISED, "outer", True)
    assert [content(free, id) for id in ("before", "note", "after")] == ["1", "secret", None]


def test_an_approved_frame_inside_a_frame_can_wait_again(free: Lab):
    def asker(caller, args):
        answer = yield CallBack(Invoke("oracle", "free"), True)
        return answer.result

    def outer(caller, args):
        answer = yield CallBack(Invoke("asker", "go", {}), True)
        return plainly(answer)

    free.write("carol", "gate", "free")
    free.code("bob", "asker", asker, Contract("gate"))
    free.code("bob", "outer", outer)
    waiting = free.invoke("alice", "outer", "go")

    again = free.settle(waiting, YES)
    free.restart()
    settled = free.settle(again.answer, "told")

    assert isinstance(again.answer, Waiting)
    assert settled.answer == Done(["done", "told"])
    assert settled.effect_id == waiting.effect_id


def test_what_is_gone_when_it_is_approved_is_told(free: Lab):
    nested(free)
    first = free.do("alice", Read("note"))
    second = free.do("alice", Write("note", "x"))
    third = free.invoke("alice", "outer", "go")
    free.settle(free.do("bob", Delete("note")), YES)
    free.delete("bob", "inner")

    assert free.settle(first, YES).answer.code == Code.NOT_FOUND
    assert free.settle(second, YES).answer.code == Code.ID_TAKEN
    assert free.settle(third, YES).answer == Done(["done", ["failed", Code.NOT_FOUND]])


def test_what_cannot_be_paid_when_it_is_approved_fails_and_says_when_it_can(new_lab):
    lab = new_lab(
        principals=(
            PrincipalSpec("alice", 10, {**QUOTAS, "compute": 4, "writes": 0}, loop=True),
            PrincipalSpec("bob", 0, {**QUOTAS, "writes": 20}),
            PrincipalSpec("carol", 0, {**QUOTAS, "writes": 20}),
        ),
        artifacts=(),
    )
    guarded(lab, verdict(ASK))
    waiting = lab.do("alice", Read("note"))
    lab.pass_us(30_000_000)
    lab.invoke("alice", "oracle", "nothing")

    settled = lab.settle(waiting, YES)

    assert settled.answer.code == Code.COMPUTE_MAX_EXCEEDED
    assert not settled.answer.committed
    assert lab.scrip("alice") == [10]


def test_an_approved_action_uses_what_its_compute_max_left(lab: Lab):
    tight = lab.do("alice", Read("note"), compute_max=3)
    wide = lab.do("alice", Read("note"), compute_max=4)
    used = lab.used("alice")

    # admission, check and question take three; the read takes one
    assert lab.settle(tight, YES).answer.code == Code.COMPUTE_MAX_EXCEEDED
    assert lab.settle(wide, YES).answer == Done("secret")
    assert lab.used("alice") == used + 3  # with both questions


def test_a_frame_goes_on_after_an_approval_with_the_compute_that_it_had_left(free: Lab):
    nested(free)

    tight = free.do("alice", Invoke("outer", "go"), compute_max=12)

    settled = free.settle(tight, YES)

    assert settled.answer == Done(["failed", Code.COMPUTE_MAX_EXCEEDED])
    assert [content(free, id) for id in ("before", "note", "after")] == ["1", "secret", None]


def test_a_repeated_key_gets_the_answer_of_the_approved_action(lab: Lab):
    waiting = lab.do("alice", Read("note"), idempotency_key="k")
    assert lab.do("alice", Read("note"), idempotency_key="k") == waiting
    assert lab.settle(waiting, YES).answer == Done("secret")

    assert lab.do("alice", Read("note"), idempotency_key="k") == Done("secret")
    assert lab.scrip("alice", "bob") == [993, 507]


def test_large_content_waits_by_its_hash(lab: Lab):
    waiting = lab.write("alice", "note", "w" * 3_000)
    lab.restart()

    assert lab.settle(waiting, YES).answer == Done()
    assert lab.world.text(content(lab, "note")) == "w" * 3_000


@CASES
@pytest.mark.parametrize("change", ["owner", "contract"])
def test_an_approval_does_not_outlive_the_owner_or_the_contract_that_asked(
    lab: Lab, what: str, action: Any, result: Any, change: str
):
    waiting = lab.do("alice", action)
    if change == "owner":
        assert lab.invoke("bob", "bank", "give", id="note", to="carol") == Done()
    else:
        own = lab.write("bob", "note", "secret", contract=Contract("private"))
        assert lab.settle(own, YES).answer == Done()
    lab.restart()

    settled = lab.settle(waiting, YES)

    assert settled.answer == Failed(
        Code.PERMISSION_DENIED,
        f"alice may not {what} note: its owner or contract changed while it waited for an approval: "
        "ask again",
    )
    assert content(lab, "note") == "secret"
    assert lab.scrip("alice", "carol") == [1_000, 0]
    assert lab.state.ledger.held == {}


def test_a_person_sees_what_weighs_most_and_how_much_there_is(lab: Lab):
    text = "é" * 3_000
    waiting = lab.write("bob", "note", text, contract=Contract("private"), description="mine")

    payload = lab.world.requests[-1].payload

    whole = '{"contract":["private",0,[]],"description":"mine","content":"' + text + '"}'
    assert payload["asks_for"] == whole[:ASKED_CHARS_MAX]
    assert payload["size_bytes"] == len(whole.encode())
    lab.restart()
    assert lab.settle(waiting, YES).answer == Done()


def test_nobody_is_asked_about_what_is_bound(new_lab):
    lab = new_lab(more=[box()])
    guarded(lab, verdict(ASK))
    lab.invoke("alice", "box", "do", **{"what": "encumber", "with": ["note"]})

    for action in (Write("note", "x"), Edit("note", "secret", "x"), Delete("note")):
        assert lab.do("alice", action).code == Code.ENCUMBERED
    assert lab.world.requests == []
    assert isinstance(lab.read("alice", "note"), Waiting)
