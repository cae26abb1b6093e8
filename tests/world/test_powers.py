"""What genesis artifacts can do beyond agents: notes, holds, bonds, new scrip, acting by themselves."""

from typing import Any

import pytest

from scripworld.world import (
    Code,
    Context,
    Cost,
    Done,
    Effect,
    EffectResult,
    Failed,
    Method,
    Native,
    NativeFault,
    Refused,
    Tool,
    Waiting,
)
from scripworld.world.ledger import SCRIP_MAX

from .lab import Lab, config, schema

POWERS = frozenset({"encumber", "issue", "collect"})
ALARM_US = 5_000_000


def do(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    """Call one mutator by name and answer what it says; ``fail`` takes it back."""
    told = getattr(ctx, args["what"])(*args["with"])
    if isinstance(told, Failed):
        return told
    return Failed(Code.NOT_OPEN, "changed its mind") if args.get("fail") else Done(told)


def peek(ctx: Context, args: dict[str, Any]) -> Done:
    told = ctx.noted("list")
    if told is not None:
        told.append("changed by its reader")
    return Done(ctx.noted("list"))


def recall(ctx: Context, args: dict[str, Any]) -> Any:
    known = ctx.noted(args["question"])
    return Effect("box", args["question"]) if known is None else Done(known)


def learnt(ctx: Context, payload: Any, result: EffectResult) -> Done:
    ctx.put(payload, result.value)
    return Done(result.value)


def tick(ctx: Context) -> Effect | None:
    assert ctx.caller == ctx.payer == ctx.artifact == "box"
    mode = ctx.noted("mode")
    ctx.put("ticks", (ctx.noted("ticks") or 0) + 1)
    if mode == "again":
        ctx.schedule(ctx.state.now_us + 10)
    if mode == "wrong":
        return 5  # type: ignore[return-value]
    return Effect("box", {"now": ctx.state.now_us}) if mode == "ask" else None


def ticked(ctx: Context, payload: Any, result: EffectResult) -> Done | Failed:
    ctx.put("told", [payload, result.value, None if result.code is None else int(result.code)])
    if result.value == "fail":
        return Failed(Code.TOOL_FAILED, "it does not like that")
    return Done("ticked")


def box(capabilities: frozenset[str] = POWERS) -> Native:
    any_call = {"properties": {"what": {"type": "string"}, "with": {"type": "array"}, "fail": {}}}
    methods = (
        Method(Tool("do", "", any_call), do),
        Method(Tool("peek", "", {}), peek),
        Method(Tool("recall", "", schema(question="string")), recall, True, learnt),
    )
    named = {method.tool.name: method for method in methods}
    return Native("box", "a box", named, capabilities=capabilities, tick=tick, ticked=ticked)


@pytest.fixture
def lab():
    recalled = Cost({"compute": 4, "tokens": 2}, price_scrip=3)
    ticks = Cost({}, latency_us=700, timeout_us=900, result_bytes_max=500, repeatable=True)
    costs = {"box": {"recall": recalled, "tick": ticks}}
    lab = Lab(config(costs=costs), more=[box()])
    yield lab
    lab.check()


def use(lab: Lab, what: str, *args: Any, by: str = "alice", fail: bool = False) -> Any:
    return lab.invoke(by, "box", "do", **{"what": what, "with": list(args), "fail": fail})


# Notes.


def test_what_is_noted_is_found_again_also_after_a_restart(lab: Lab):
    assert use(lab, "noted", "x") == Done(None)
    use(lab, "put", "x", {"a": [1, 2]})
    use(lab, "put", "big", "y" * 5_000)

    lab.restart()

    assert use(lab, "noted", "x") == Done({"a": [1, 2]})
    assert use(lab, "noted", "big") == Done("y" * 5_000)
    use(lab, "put", "x", None)
    assert use(lab, "noted", "x") == Done(None)


def test_who_reads_a_note_cannot_change_it(lab: Lab):
    use(lab, "put", "list", [1])

    assert lab.invoke("alice", "box", "peek") == Done([1])
    assert lab.invoke("alice", "box", "peek") == Done([1])


def test_keys_come_in_order_a_page_at_a_time(lab: Lab):
    for key in ("b/2", "a/9", "b/1", "b/3", "c/1"):
        use(lab, "put", key, 1)
    use(lab, "put", "b/2", 5)
    use(lab, "put", "nothing", None)

    assert use(lab, "notes", "b/") == Done(["b/1", "b/2", "b/3"])
    assert use(lab, "notes", "b/", "b/1", 1) == Done(["b/2"])
    assert use(lab, "notes", "b/", "b/3") == Done([])
    assert use(lab, "notes", "z") == Done([])
    for key in ("b/2", "a/9", "b/1", "b/3", "c/1"):
        use(lab, "put", key, None)
    assert use(lab, "notes", "") == Done([])
    assert lab.state.notes.by_artifact == {}


def test_a_note_of_a_method_that_fails_is_taken_back(lab: Lab):
    use(lab, "put", "x", 1)

    assert use(lab, "put", "x", 2, fail=True).code == Code.NOT_OPEN

    assert use(lab, "noted", "x") == Done(1)


# Holds, new scrip, debts.


def test_a_hold_is_paid_in_part_and_the_rest_goes_back(lab: Lab):
    hold = use(lab, "hold", 100).result
    assert lab.state.ledger.available("alice") == 900

    assert use(lab, "pay", hold, "bob", 30, by="carol") == Done(None)

    assert lab.scrip("alice", "bob") == [970, 530]
    assert use(lab, "release", hold) == Done(None)
    assert lab.state.ledger.available("alice") == 970


def test_a_hold_is_shared_out_and_never_more_than_it_is(lab: Lab):
    hold = use(lab, "hold", 100).result

    use(lab, "split", hold, {"bob": 30, "carol": 30}, by="bob")

    assert lab.scrip("alice", "bob", "carol") == [940, 530, 30]
    assert lab.state.ledger.available("alice") == 940
    hold = use(lab, "hold", 100).result
    with pytest.raises(AssertionError):
        lab.world._actions.context.split(hold, {"bob": 60, "carol": 41})


def test_a_hold_is_given_back(lab: Lab):
    hold = use(lab, "hold", 100).result

    use(lab, "release", hold)

    assert lab.state.ledger.available("alice") == 1_000


def test_a_hold_expires_by_itself(lab: Lab):
    use(lab, "hold", 100, ALARM_US)
    lab.pass_us(ALARM_US)

    lab.world.advance(lab.now_us)

    assert lab.state.ledger.available("alice") == 1_000


@pytest.mark.parametrize(
    ("amount", "code"),
    [(0, Code.AMOUNT_INVALID), (-1, Code.AMOUNT_INVALID), (1_001, Code.SCRIP_INSUFFICIENT)],
)
def test_what_cannot_be_held_is_told(lab: Lab, amount: int, code: Code):
    assert use(lab, "hold", amount).code == code
    assert lab.state.ledger.holds == {}


def test_a_debtor_pays_what_it_can_spend_and_never_more(lab: Lab):
    use(lab, "hold", 950)

    assert use(lab, "collect", "alice", "bob", 30, by="bob") == Done(30)
    assert use(lab, "collect", "alice", "bob", 30, by="bob") == Done(20)
    assert use(lab, "collect", "alice", "bob", 30, by="bob") == Done(0)
    assert lab.scrip("alice", "bob") == [950, 550]


def test_new_scrip_is_bounded_and_taken_back_where_the_method_fails(lab: Lab):
    supply = lab.state.ledger.supply

    assert use(lab, "issue", "bob", 7) == Done(7)
    assert use(lab, "issue", "bob", 7, fail=True).code == Code.NOT_OPEN
    assert lab.state.ledger.supply == supply + 7
    assert use(lab, "issue", "bob", 2**63 - 1) == Done(SCRIP_MAX - supply - 7)
    assert use(lab, "issue", "bob", 1) == Done(0)


@pytest.mark.parametrize(
    ("what", "args"),
    [
        ("issue", ["bob", 1]),
        ("collect", ["alice", "bob", 1]),
        ("encumber", ["motto"]),
        ("free", ["motto"]),
    ],
)
def test_what_a_genesis_artifact_may_do_stands_in_its_table(what: str, args: list[Any]):
    lab = Lab(more=[box(frozenset())])

    with pytest.raises(AssertionError):
        use(lab, what, *args)


# Bonds.


def test_nobody_changes_what_is_bound_but_who_bound_it(lab: Lab):
    use(lab, "encumber", "motto")

    lab.refuses(Code.ENCUMBERED, lambda: lab.write("alice", "motto", "x"))
    lab.refuses(Code.ENCUMBERED, lambda: lab.edit("alice", "motto", "kind", "x"))
    lab.refuses(Code.ENCUMBERED, lambda: lab.delete("alice", "motto"))
    given = lab.invoke("alice", "bank", "give", id="motto", to="bob")
    assert isinstance(given, Failed)
    assert given.code == Code.ENCUMBERED
    assert lab.read("bob", "motto") == Done("be kind")

    use(lab, "free", "motto")
    assert lab.write("alice", "motto", "be kinder") == Done()


def test_a_bond_stands_through_a_restart_and_goes_with_what_fails(lab: Lab):
    use(lab, "encumber", "motto", fail=True)
    assert lab.edit("alice", "motto", "kind", "good") == Done()
    use(lab, "encumber", "motto")
    lab.restart()

    lab.refuses(Code.ENCUMBERED, lambda: lab.write("alice", "motto", "x"))


# Artifacts.


def test_an_artifact_is_made_for_its_owner_on_the_bytes_of_who_acts(lab: Lab):
    text = "terms " * 300
    assert use(lab, "make", "loan", "bob", "loan", "a loan", text) == Done(None)

    loan = lab.state.artifacts.by_id["loan"]
    assert (loan.owner, loan.type, loan.standing, loan.stored_for) == (
        "bob",
        "loan",
        False,
        "alice",
    )
    assert loan.stored_bytes == len(text) + len("a loan")
    assert lab.read("bob", "loan") == Done(text)
    assert lab.read("alice", "loan").code == Code.PERMISSION_DENIED


def test_an_artifact_that_is_too_large_is_not_made(lab: Lab):
    lab.pass_us(1)
    most = lab.config.limits.content_bytes_max
    context = lab.world._actions.context

    context.caller = "alice"
    assert context.make("loan", "bob", "loan", "", "x" * (most + 1)).code == Code.CONTENT_TOO_LARGE
    assert use(lab, "make", "loan", "bob", "loan", "", "x" * 10_001).code == Code.QUOTA_EXCEEDED
    assert use(lab, "make", "motto", "bob", "loan", "", "").code == Code.ID_TAKEN


# Answers without an effect.


def test_what_is_known_is_answered_at_once_for_the_configured_cost(lab: Lab):
    first = lab.invoke("alice", "box", "recall", question="6 x 7")
    assert isinstance(first, Waiting)
    lab.settle(first, 42)
    used, scrip = lab.used("alice"), lab.scrip("alice", "genesis")
    lab.restart()

    assert lab.invoke("alice", "box", "recall", question="6 x 7") == Done(42)

    assert lab.used("alice") == used + 1 + 4
    assert lab.used("alice", "tokens") == 4
    assert lab.scrip("alice", "genesis") == [scrip[0] - 3, scrip[1] + 3]
    assert lab.state.effects == {}
    assert lab.invoke("bob", "box", "recall", question="6 x 7") == Done(42)


def test_what_is_known_and_free_moves_no_scrip(lab: Lab):
    lab = Lab(more=[box()])
    lab.settle(lab.invoke("alice", "box", "recall", question="?"), 1)

    assert lab.invoke("alice", "box", "recall", question="?") == Done(1)
    assert lab.scrip("alice") == [1_000]
    lab.check()


# By itself.


def test_it_acts_when_it_is_due_and_not_before(lab: Lab):
    use(lab, "schedule", ALARM_US)
    rows = len(lab.rows)
    assert lab.world.next_due_us() == 0  # the loops
    lab.pass_us(ALARM_US - 1)
    lab.world.advance(lab.now_us)
    assert len(lab.rows) == rows

    lab.pass_us(1)
    lab.world.advance(lab.now_us)
    lab.world.advance(lab.now_us)

    assert len(lab.rows) == rows + 1
    assert [type(fact).__name__ for fact in lab.last.facts] == ["Scheduled", "Noted"]
    assert use(lab, "noted", "ticks") == Done(1)


def test_the_world_waits_for_it_also_after_a_restart(lab: Lab):
    lab.world.next_due_us()
    use(lab, "schedule", ALARM_US)
    use(lab, "schedule", ALARM_US + 5)
    for loop in ("alice", "bob", "dave"):
        lab.state.agenda.stopped[loop] = "over"
    assert lab.world.next_due_us() == ALARM_US + 5
    for loop in ("alice", "bob", "dave"):
        del lab.state.agenda.stopped[loop]

    lab.restart()
    lab.pass_us(ALARM_US + 5)
    lab.world.advance(lab.now_us)

    assert use(lab, "noted", "ticks") == Done(1)


def test_it_can_be_called_off_and_what_fails_schedules_nothing(lab: Lab):
    lab.world.next_due_us()
    use(lab, "schedule", ALARM_US)
    use(lab, "schedule", ALARM_US + 1, fail=True)
    assert lab.state.agenda.scheduled == {"box": ALARM_US}
    use(lab, "schedule", 0)
    lab.pass_us(2 * ALARM_US)

    lab.world.advance(lab.now_us)

    assert use(lab, "noted", "ticks") == Done(None)


def test_it_schedules_itself_again_but_never_in_the_past(lab: Lab):
    use(lab, "put", "mode", "again")
    use(lab, "schedule", ALARM_US)
    for _ in range(3):
        lab.pass_us(ALARM_US)
        lab.world.advance(lab.now_us)

    assert use(lab, "noted", "ticks") == Done(3)
    with pytest.raises(AssertionError):
        lab.world._actions.context.schedule(lab.now_us)


def alarm(lab: Lab) -> str:
    """Have it ask for its effect; the id of that."""
    use(lab, "put", "mode", "ask")
    use(lab, "schedule", ALARM_US)
    lab.pass_us(ALARM_US)
    lab.world.advance(lab.now_us)
    (effect,) = lab.state.effects
    return effect


def test_what_it_asks_for_is_paid_by_nobody_and_comes_back_to_it(lab: Lab):
    effect = alarm(lab)
    (request,) = lab.world.requests
    assert (request.principal, request.method, request.performer) == ("box", "tick", "box")
    assert (request.due_us, request.deadline_us) == (ALARM_US + 700, ALARM_US + 900)
    assert request.payload == {"now": ALARM_US}
    assert request.repeatable
    lab.restart()
    assert [pending.id for pending in lab.world.pending()] == [effect]

    settled = lab.settle(effect, [1])

    assert settled is not None
    assert (settled.principal, settled.answer) == ("box", Done("ticked"))
    assert use(lab, "noted", "told") == Done([{"now": ALARM_US}, [1], None])


def test_an_error_of_what_it_asked_for_comes_back_to_it_too(lab: Lab):
    lab.settle(alarm(lab), None, code=Code.EFFECT_TIMEOUT, detail="too late")

    assert use(lab, "noted", "told") == Done([{"now": ALARM_US}, None, int(Code.EFFECT_TIMEOUT)])


def test_what_it_does_with_a_result_and_fails_is_taken_back(lab: Lab):
    settled = lab.settle(alarm(lab), "fail")

    assert settled is not None
    assert isinstance(settled.answer, Failed)
    assert use(lab, "noted", "told") == Done(None)


def test_a_handler_that_answers_no_effect_is_named(lab: Lab):
    use(lab, "put", "mode", "wrong")
    use(lab, "schedule", ALARM_US)
    lab.pass_us(ALARM_US)

    with pytest.raises(NativeFault, match="box tick answered int: its handler must answer an Effe"):
        lab.world.advance(lab.now_us)
    lab.restart()


def test_nobody_invokes_a_tick(lab: Lab):
    assert isinstance(lab.invoke("alice", "box", "tick"), Refused)
