"""What code may answer, what it may pay, and jobs: code that runs outside."""

from typing import Any

import pytest

from scripworld.world import (
    JOBS,
    CallBack,
    Code,
    Contract,
    Cost,
    Done,
    Invoke,
    Read,
    Tool,
    Waiting,
    Write,
)

from .lab import CodeError, Lab
from .test_access import guarded, verdict
from .test_invocation import PAY_5, plainly, relay

INTEGER = {"type": "integer", "maximum": 9}
ASK = CallBack(Invoke("oracle", "free"), True)


def service(lab: Lab, run: Any, contract: Contract | None = None, **tool: Any) -> None:
    """An artifact ``shop`` of bob's with one method ``go``."""
    lab.program("shop", run)
    tools = (Tool("go", "", {"properties": {"x": {}}}, **tool),)
    contract = contract or Contract("freeware")
    answer = lab.write("bob", "shop", "shop", type="code", contract=contract, interface=tools)
    assert answer == Done()


def echo(caller, args):
    yield CallBack(Write("trace", "left", contract=Contract("public")))
    return args["x"]


@pytest.mark.parametrize(
    ("schema", "good", "bad", "why"),
    [
        (INTEGER, 9, 10, "the result breaks maximum 9"),
        (INTEGER, 0, "9", "the result must be of type integer"),
        ({"type": "object", "required": ["n"]}, {"n": 1, "m": 2}, {"m": 1}, "the result lacks 'n'"),
        ({"properties": {"n": INTEGER}}, {"n": 1}, {"n": 10}, "n breaks maximum 9"),
        ({"maxLength": 3_000}, "x" * 3_000, "x" * 3_001, "the result breaks maxLength 3000"),
        ({}, [None], None, None),
    ],
)
def test_a_result_is_what_its_method_declares(lab: Lab, schema, good, bad, why):
    service(lab, echo, PAY_5, output_schema=schema)

    assert lab.invoke("alice", "shop", "go", x=good) == Done(good)
    assert lab.scrip("alice", "bob") == [995, 505]
    lab.delete("bob", "trace")
    if why is not None:
        before = lab.parts()
        failed = lab.invoke("alice", "shop", "go", x=bad)
        assert failed.code == Code.RESULT_INVALID
        assert failed.detail == f"shop go answered what its outputSchema does not allow: {why}"
        assert lab.scrip("alice", "bob") == [995, 505]
        assert lab.parts()["artifacts"] == before["artifacts"]


def test_a_result_fits_what_its_method_declared_when_it_began(lab: Lab):
    """Also after a wait, in which its owner declares something else, and a restart."""

    def waiter(caller, args):
        answer = yield ASK
        return answer.result

    service(lab, waiter, output_schema=INTEGER)
    waitings = [lab.invoke(who, "shop", "go") for who in ("alice", "carol")]
    service(lab, waiter)
    lab.restart()

    assert lab.settle(waitings[0], "text").answer.code == Code.RESULT_INVALID
    assert lab.settle(waitings[1], 5).answer == Done(5)


def test_code_that_fails_by_itself_has_no_result_to_check(lab: Lab):
    def broken(caller, args):
        yield from ()
        raise CodeError("no")

    service(lab, broken, output_schema=INTEGER)

    assert lab.invoke("alice", "shop", "go").code == Code.CODE_RAISED


def test_a_schema_of_results_that_cannot_be_is_told_at_write(lab: Lab):
    lab.program("shop", echo)
    tools = (Tool("go", output_schema={"type": "nonsense"}),)

    lab.refuses(
        Code.DEFINITION_INVALID,
        lambda: lab.write("bob", "shop", "shop", type="code", interface=tools),
    )


# The most that it will pay.


@pytest.mark.parametrize(("most", "code"), [(4, Code.PRICE_ABOVE_MAX), (5, None), (None, None)])
def test_code_says_the_most_that_a_call_may_cost(lab: Lab, most, code):
    """The code is that of a principal, so it can pay."""
    lab.write("carol", "dear", "x", contract=PAY_5)

    def buyer(caller, args):
        read = yield CallBack(Read("dear"), False, most)
        lent = yield CallBack(Invoke("bank", "lend"), False, most and most + 5)
        free = yield CallBack(Read("motto"), False, 0)
        return [plainly(read), plainly(lent), free.result]

    lab.program("buyer", buyer)
    assert lab.write("bob", "bob", "buyer", type="code", interface=(Tool("go"),)) == Done()

    answer = lab.do("bob", Invoke("bob", "go"), price_max_scrip=0)

    refused = ["refused", Code.PRICE_ABOVE_MAX]
    read, lent = (["done", "x"], ["done", "lent"]) if code is None else (refused, refused)
    assert answer == Done([read, lent, "be kind"])
    assert lab.scrip("bob", "carol") == ([485, 5] if code is None else [500, 0])


def test_the_most_that_a_call_may_cost_is_from_0(lab: Lab):
    def wrong(caller, args):
        yield CallBack(Read("motto"), False, -1)

    service(lab, wrong)

    failed = lab.invoke("alice", "shop", "go")

    assert failed.code == Code.CODE_ABORTED
    assert failed.detail == "price_max_scrip and compute_max are from 0"


def test_what_an_outer_call_may_cost_does_not_bound_what_it_calls(lab: Lab):
    lab.write("carol", "dear", "x", contract=PAY_5)

    def buyer(caller, args):
        answer = yield CallBack(Read("dear"))
        return plainly(answer)

    lab.program("buyer", buyer)
    lab.write("bob", "bob", "buyer", type="code", contract=Contract("freeware"))
    lab.write("bob", "bob", "buyer", interface=(Tool("go"),))
    lab.code("carol", "outer", relay)

    answer = lab.do("alice", Invoke("outer", "go", {"x": ["bob", "go"]}), price_max_scrip=0)

    assert answer == Done(["done", ["done", "x"]])


# Jobs.


def never(caller, args):
    raise AssertionError("a job is not run here")
    yield


@pytest.fixture
def jobs(new_lab) -> Lab:
    return new_lab(job_cost=Cost({"compute": 4, "tokens": 2}, latency_us=9, timeout_us=99))


@pytest.mark.parametrize("killed", [False, True])
def test_a_job_is_an_effect_of_its_code(jobs: Lab, killed: bool):
    service(jobs, never, PAY_5, job=True, output_schema=INTEGER)
    jobs.pass_us(1_000)

    waiting = jobs.invoke("alice", "shop", "go", x=[1])

    (request,) = jobs.world.requests
    assert (request.performer, request.artifact, request.method) == (JOBS, "shop", "go")
    assert (request.due_us, request.deadline_us) == (jobs.now_us + 9, jobs.now_us + 99)
    assert request.payload == {
        "artifact": "shop",
        "code": "shop",
        "method": "go",
        "args": {"x": [1]},
        "caller": "alice",
        "now_us": 1_000,
        "seed": f"7/shop/{jobs.state.seq}.0",
        "output_schema": INTEGER,
    }
    assert jobs.state.ledger.available("alice") == 995
    assert jobs.used("alice", "tokens") == 0
    if killed:
        jobs.restart()
    assert jobs.settle(waiting, 3).answer == Done(3)
    assert jobs.scrip("alice", "bob") == [995, 505]
    assert (jobs.used("alice"), jobs.used("alice", "tokens")) == (5, 2)


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ({"value": 10}, Code.RESULT_INVALID),
        ({"code": Code.CODE_RAISED, "detail": "no"}, Code.CODE_RAISED),
        ({"code": Code.EFFECT_TIMEOUT}, Code.EFFECT_TIMEOUT),
    ],
)
def test_a_job_that_fails_is_not_paid(jobs: Lab, result, code: Code):
    service(jobs, never, PAY_5, job=True, output_schema=INTEGER)
    waiting = jobs.invoke("alice", "shop", "go")

    assert jobs.settle(waiting, **result).answer.code == code
    assert jobs.scrip("alice", "bob") == [1_000, 500]


def test_a_job_without_a_schema_answers_what_it_will(jobs: Lab):
    service(jobs, never, job=True)

    assert jobs.settle(jobs.invoke("alice", "shop", "go"), ["any"]).answer == Done(["any"])


def test_a_job_ends_as_it_began_whatever_becomes_of_its_artifact(jobs: Lab):
    service(jobs, never, PAY_5, job=True, output_schema=INTEGER)
    first, second = (jobs.invoke("alice", "shop", "go") for _ in range(2))
    assert jobs.delete("bob", "shop") == Done()

    assert jobs.settle(first, "text").answer.code == Code.RESULT_INVALID
    assert jobs.settle(second, 3).answer == Done(3)
    assert jobs.scrip("alice", "bob") == [995, 505]


def test_large_code_is_in_the_request_in_full(jobs: Lab):
    jobs.program("shop", never)
    code = "shop\n" + "#" * 3_000
    tools = (Tool("go", job=True),)
    jobs.write("bob", "shop", code, type="code", contract=Contract("freeware"), interface=tools)

    waiting = jobs.invoke("alice", "shop", "go")
    jobs.restart()

    assert jobs.world.pending()[0].payload["code"] == code
    assert jobs.settle(waiting, 1).answer == Done(1)


@pytest.mark.parametrize("waits", [True, False])
def test_code_waits_for_a_job_only_if_it_says_so(jobs: Lab, waits: bool):
    def outer(caller, args):
        answer = yield CallBack(Invoke("shop", "go", {}), waits)
        return plainly(answer)

    service(jobs, never, job=True)
    jobs.code("bob", "outer", outer)

    answer = jobs.invoke("alice", "outer", "go")

    if waits:
        assert jobs.settle(answer, "ready").answer == Done(["done", "ready"])
    else:
        assert answer == Done(["refused", Code.EFFECT_NOT_ALLOWED])


def test_a_job_is_under_its_contract(jobs: Lab):
    guarded(jobs, verdict({"verdict": "ask", "price_scrip": 7}))
    service(jobs, never, Contract("gate"), job=True)

    asked = jobs.invoke("alice", "shop", "go")
    running = jobs.settle(asked, {"approved": True})

    assert isinstance(running.answer, Waiting)
    assert running.effect_id == asked.effect_id
    assert jobs.settle(running.answer, "ready").answer == Done("ready")
    assert jobs.scrip("alice", "bob") == [993, 507]


def test_what_a_job_costs_can_be_configured_for_its_artifact(new_lab):
    own = {"shop": {"go": Cost({"compute": 2}, price_scrip=3)}}
    lab = new_lab(costs=own)
    service(lab, never, job=True)

    waiting = lab.invoke("alice", "shop", "go")

    assert lab.settle(waiting, 1).answer == Done(1)
    assert (lab.used("alice"), lab.scrip("bob")) == (3, [503])
