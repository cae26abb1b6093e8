"""What calls of a tool server cost, what bounds all callers together, and what is given back."""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Scripted
from scripworld.simulation.costs import costs_of_methods, quotas_of_artifacts
from scripworld.simulation.scenario import configure
from scripworld.world import (
    Code,
    Cost,
    Failed,
    Overran,
    Refused,
    ResourceHeld,
    ResourcePosted,
    Sleep,
)

from ..genesis.plain_lab import (
    LIST,
    OFF,
    PLAIN,
    SECOND_US,
    Plain,
    answers_of,
    call,
    codes_of,
    run_with,
    tool,
)

LOOK, FAIL, CRASH = call("look"), call("fail"), call("crash")
CHEAP = {"resources": {"compute": 1}, "price_scrip": 0}


@pytest.fixture
def plain(tmp_path: Path) -> Plain:
    plain = Plain(tmp_path)
    plain.offer(
        *(tool(name) for name in ("look", "turn", "fail", "error", "crash", "hang")),
        *(tool("later", delay_s="number"), tool("burn", cpu_ms="integer"), tool("big", text="string")),
    )  # fmt: skip
    return plain


def used(run: Run, resource: str = "tool_calls", principal: str = "a") -> int:
    state = run.state()
    return state.resources.tracker.usage(principal, resource, state.now_us)


def scrip(run: Run, principal: str = "a") -> int:
    return run.state().ledger.balances[principal]


# What is configured.


def costs(world: dict[str, Any], **server: Any) -> dict[str, Cost]:
    """What the methods of a server `plain` cost, by configuration."""
    servers = OFF | {"plain": {"command": "true", **server}}
    scenario = Scenario.model_validate({"name": "costs", "agents": []})
    settings = {"world": world, "genesis": {"mcp": {"servers": servers}}}
    return costs_of_methods(configure(scenario, None, settings)).get(PLAIN, {})


def test_what_the_world_says_of_a_cost_goes_over_what_the_server_says():
    said = costs(
        {"costs": {PLAIN: {"look": {"price_scrip": 7}, "fail": {"price_scrip": 9}}}},
        costs={"look": {"price_scrip": 5}, "turn": {"price_scrip": 3}, "*": {"price_scrip": 2}},
    )

    prices = {method: cost.price_scrip for method, cost in said.items()}
    assert prices == {"look": 7, "turn": 3, "fail": 9, "*": 2}


def test_what_a_cost_leaves_out_is_as_for_any_method():
    said = costs({"method_cost": {"price_scrip": 4, "latency_us": 5}}, costs={"look": {}})

    assert (said["look"].price_scrip, said["look"].latency_us) == (4, 5)
    assert not said["look"].repeatable


@pytest.mark.parametrize(
    ("idempotent", "repeatable"),
    [
        ([], set()),
        (["look"], {"look"}),
        (["turn"], {"turn"}),
        (["*"], {"*", "look", "fail"}),
        (["*", "turn"], {"*", "look", "fail", "turn"}),
    ],
)
def test_idempotent_tools_may_be_performed_again(idempotent: list[str], repeatable: set[str]):
    said = costs(
        {"costs": {PLAIN: {"fail": {"price_scrip": 9}}}},
        costs={"look": {"price_scrip": 5}, "*": {"price_scrip": 2}},
        idempotent_tools=idempotent,
    )

    assert {method for method, cost in said.items() if cost.repeatable} == repeatable
    assert (said["look"].price_scrip, said["fail"].price_scrip) == (5, 9)
    assert said.get("turn", said["*"]).price_scrip == 2


def test_a_server_that_is_off_costs_and_limits_nothing():
    servers = OFF | {"plain": {"command": "true", "enabled": False, "limits": {"tool_calls": 1}}}
    servers["plain"]["costs"] = {"*": {"price_scrip": 2}}
    scenario = Scenario.model_validate({"name": "costs", "agents": []})
    config = configure(scenario, None, {"genesis": {"mcp": {"servers": servers}}})

    assert PLAIN not in costs_of_methods(config)
    assert quotas_of_artifacts(config) == {}


# What is paid.


def test_a_call_is_paid_in_scrip_and_in_resources(plain: Plain):
    price = {"resources": {"compute": 3, "tool_calls": 2}, "price_scrip": 5}
    over = {"costs": {PLAIN: {"turn": {"resources": {"tool_calls": 1}, "price_scrip": 11}}}}
    run = plain.run(LIST, LOOK, call("turn"), world=over, costs={"*": price})

    assert codes_of(run) == ["done"] * 3
    assert scrip(run) == 100 - 5 - 5 - 11
    assert used(run) == 2 + 2 + 1
    assert run.state().ledger.balances["genesis"] >= 21


def test_who_cannot_pay_is_refused_before_the_server_is_asked(plain: Plain):
    dear = {"look": {"price_scrip": 1_000}, "turn": {"resources": {"tool_calls": 1_000}}}
    run = plain.run(LIST, LOOK, call("turn"), costs={"*": CHEAP, **dear})

    assert codes_of(run) == ["done", "SCRIP_INSUFFICIENT", "QUOTA_EXCEEDED"]
    assert plain.called() == []
    assert (scrip(run), used(run)) == (100, 0)


# What went wrong, and what of it is given back.

WRONG: dict[str, tuple[Any, Code]] = {
    "an error of the tool": (FAIL, Code.TOOL_FAILED),
    "an error of the protocol": (call("error"), Code.TOOL_FAILED),
    "a crash": (CRASH, Code.TOOL_CRASHED),
    "no answer in time": (call("later", delay_s=60), Code.EFFECT_TIMEOUT),
    "too large an answer": (call("big", text="x" * 5_000), Code.RESULT_TOO_LARGE),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("is_refunded", [False, True])
def test_a_failure_has_its_code_and_costs_unless_it_is_refunded(
    plain: Plain, what: str, is_refunded: bool
):
    action, code = WRONG[what]
    cost = {"resources": {"tool_calls": 2}, "price_scrip": 5, "timeout_us": SECOND_US}
    run = plain.run(
        LIST,
        action,
        LOOK,
        world={"refunded": [code.name] if is_refunded else []},
        costs={"*": {**cost, "result_bytes_max": 3_000}},
    )

    failed = answers_of(run)[1]
    assert isinstance(failed, Failed)
    assert failed.code is code
    assert codes_of(run)[2] == "done"
    assert used(run) == (4 if is_refunded else 6)
    assert scrip(run) == 100 - 2 * 5, "a price is paid for what is done alone"


@pytest.mark.parametrize("is_refunded", [False, True])
def test_a_server_that_cannot_be_started_is_told_apart(plain: Plain, is_refunded: bool):
    (plain.served / "broken").touch()
    refunded = ["TOOL_UNAVAILABLE"] if is_refunded else []
    run = plain.run(
        LIST, world={"refunded": refunded}, costs={"*": {"resources": {"tool_calls": 2}}}
    )

    assert codes_of(run) == ["TOOL_UNAVAILABLE"]
    assert used(run) == (0 if is_refunded else 2)


@pytest.mark.parametrize("is_refunded", [False, True])
def test_a_refusal_of_the_bridge_is_told_apart(plain: Plain, is_refunded: bool):
    refunded = ["TOOL_REFUSED"] if is_refunded else []
    cost = {"*": {"resources": {"tool_calls": 2}}}
    begun = plain.run(LIST, LOOK, world={"refunded": refunded}, costs=cost, steps=4)
    plain.offer(tool("look", "Something else."))
    run = scripworld.resume(begun.folder, minds={"a": Scripted([LIST, LOOK, LOOK])})

    assert codes_of(run) == ["done", "done", "TOOL_REFUSED"]
    assert used(run) == (4 if is_refunded else 6)


@pytest.mark.parametrize(
    ("idempotent", "code", "calls_used"),
    [
        ([], "EFFECT_INTERRUPTED", 2),
        (["look"], "EFFECT_INTERRUPTED", 2),
        (["hang"], "done", 4),
        (["*"], "done", 4),
    ],
)
def test_after_an_interruption_only_what_is_idempotent_is_performed_again(
    plain: Plain, idempotent: list[str], code: str, calls_used: int
):
    (plain.served / "hang").touch()
    begun = plain.run(
        *(LIST, call("hang")),
        costs={"*": {"resources": {"tool_calls": 2}}},
        idempotent_tools=idempotent,
        on_progress=lambda session: session.stop() if plain.called() else None,
    )
    assert begun.ended == "stopped"
    assert codes_of(begun) == ["done"]
    assert plain.called() == ["hang"]
    (plain.served / "hang").unlink()
    mind = Scripted([LIST, call("hang")])
    run = scripworld.resume(begun.folder, minds={"a": mind})

    run.verify()
    assert codes_of(run) == ["done", code]
    assert plain.called() == ["hang"] * (2 if code == "done" else 1)
    assert used(run) == calls_used


# What all callers together may use.


def test_the_limit_of_a_server_holds_for_all_together_and_comes_back_with_its_window(plain: Plain):
    window = {"tool_calls": {"kind": "renewable", "window_us": 5 * SECOND_US}}
    calls = {
        "a": [LIST, LOOK, LOOK, Sleep(10 * SECOND_US), LOOK],
        "b": [Sleep(3 * SECOND_US), LOOK, LOOK],
    }
    server = plain.settings(limits={"tool_calls": 4}, costs={"*": {"resources": {"tool_calls": 1}}})
    run = run_with(plain.folder, {"plain": server}, calls, world={"resources": window})

    assert codes_of(run, "a") == ["done"] * 4
    assert codes_of(run, "b") == ["done", "QUOTA_EXCEEDED"]
    refused = answers_of(run, "b")[1]
    assert isinstance(refused, Refused)
    assert 0 < (refused.retry_after_us or 0) <= 5 * SECOND_US
    assert f"it takes 1 tool_calls and {PLAIN} has 0 left for everybody: wait" in refused.detail
    assert used(run, principal="b") <= 1


def test_who_waits_as_long_as_it_is_told_is_served(plain: Plain):
    window = {"tool_calls": {"kind": "renewable", "window_us": 5 * SECOND_US}}
    server = plain.settings(limits={"tool_calls": 2}, costs={"*": {"resources": {"tool_calls": 1}}})

    def patient(observation: Any) -> Any:
        last = observation.recent[-1].answer if observation.recent else None
        if observation.step > 8:
            return scripworld.world.Stop()
        if isinstance(last, Refused):
            return Sleep(observation.now_us + (last.retry_after_us or 0))
        return LIST if observation.step == 0 else LOOK

    minds = {"a": Scripted(patient)}
    run = run_with(
        plain.folder, {"plain": server}, {"a": ()}, minds=minds, world={"resources": window}
    )

    codes = codes_of(run)
    assert codes[:4] == ["done", "done", "QUOTA_EXCEEDED", "done"]
    assert ("QUOTA_EXCEEDED", "QUOTA_EXCEEDED") not in pairwise(codes)


def test_a_limit_is_counted_also_for_what_fails(plain: Plain):
    server = {"limits": {"tool_calls": 3}, "costs": {"*": {"resources": {"tool_calls": 1}}}}
    run = plain.run(LIST, FAIL, FAIL, LOOK, **server)

    assert codes_of(run) == ["done", "TOOL_FAILED", "TOOL_FAILED", "QUOTA_EXCEEDED"]


# CPU time as a resource.

needs_cpu_time = pytest.mark.skipif(
    sys.platform != "linux", reason="CPU time of a server is measured on Linux only: run it there"
)
HELD_US = 60_000
CPU: dict[str, Any] = {"resources": {"cpu_us": {"kind": "renewable", "window_us": 20 * SECOND_US}}}
CPU_COST = {"*": {"resources": {"cpu_us": HELD_US, "compute": 2}, "price_scrip": 1}}


def cpu_facts(run: Run) -> tuple[list[int], list[int], list[int]]:
    """What of it was held, posted and used beyond the hold, by each call."""
    facts = [fact for record in run.records() for fact in record.facts]
    held = [
        f.amounts["cpu_us"] for f in facts if isinstance(f, ResourceHeld) and "cpu_us" in f.amounts
    ]
    posted = [f.used.get("cpu_us", 0) for f in facts if isinstance(f, ResourcePosted)]
    overran = [f.amount for f in facts if isinstance(f, Overran) and f.resource == "cpu_us"]
    return held, posted, overran


@needs_cpu_time
def test_cpu_time_is_held_and_posted_by_what_was_used(plain: Plain):
    run = plain.run(
        *(LIST, LOOK, call("burn", cpu_ms=20)),
        world=CPU,
        costs=CPU_COST,
        quotas={"cpu_us": 1_000_000},
    )

    assert codes_of(run) == ["done"] * 3
    held, posted, overran = cpu_facts(run)
    assert held == [HELD_US] * 3
    assert overran == []
    assert 15_000 <= posted[2] <= HELD_US
    assert posted[1] < posted[2]
    assert used(run, "cpu_us") == sum(posted)
    assert scrip(run) == 97


@needs_cpu_time
def test_an_overrun_is_a_fact_and_is_waited_out(plain: Plain):
    burn = call("burn", cpu_ms=200)
    run = plain.run(
        *(LIST, burn, LOOK, Sleep(40 * SECOND_US), LOOK),
        world=CPU,
        costs=CPU_COST,
        quotas={"cpu_us": 150_000},
    )

    assert codes_of(run) == ["done", "done", "QUOTA_EXCEEDED", "done"]
    held, posted, (overran,) = cpu_facts(run)
    assert (held[1], posted[1]) == (HELD_US, HELD_US)
    assert overran >= 200_000 - HELD_US
    refused = answers_of(run)[2]
    assert isinstance(refused, Refused)
    assert refused.retry_after_us
    assert scrip(run) == 97


@needs_cpu_time
def test_a_failure_costs_the_cpu_time_that_it_took(plain: Plain):
    run = plain.run(LIST, FAIL, world=CPU, costs=CPU_COST, quotas={"cpu_us": 1_000_000})

    assert codes_of(run) == ["done", "TOOL_FAILED"]
    _, posted, _ = cpu_facts(run)
    assert posted[1] < HELD_US
    assert used(run, "cpu_us") == sum(posted)
    assert scrip(run) == 99
