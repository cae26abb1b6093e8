import pytest

from scripworld.world import (
    Begin,
    Code,
    Contract,
    Cost,
    Done,
    EffectResult,
    Envelope,
    Failed,
    Invoke,
    Limits,
    Malformed,
    Pause,
    Read,
    Refused,
    Resume,
    SetLimit,
    Settle,
    Sleep,
    Stop,
    StopAgent,
    Waiting,
    Write,
)

from .lab import Lab, config


def test_the_first_record_holds_the_configuration(lab: Lab):
    (first,) = lab.records()

    assert isinstance(first.input, Begin)
    assert first.input.config == lab.config
    assert (first.seq, first.now_us, first.cause, first.answer) == (0, 0, None, None)
    assert lab.state.artifacts.by_id["motto"].owner == "alice"
    assert lab.scrip("alice", "bob", "genesis") == [1_000, 500, 0]


def test_every_input_is_one_record_that_tells_all(lab: Lab):
    lab.pass_us(5)

    assert lab.read("bob", "motto") == Done("be kind")

    record = lab.last
    assert record.input == Envelope("bob", Read("motto"))
    assert (record.seq, record.now_us, record.cause) == (1, 5, None)
    assert record.answer == Done("be kind")


def test_time_can_stand_still_and_never_goes_back(lab: Lab):
    lab.pass_us(5)
    lab.read("bob", "motto")
    lab.read("bob", "motto")
    before = lab.state.snapshot()

    lab.now_us = 4
    with pytest.raises(ValueError, match="time went back from 5 to 4 us"):
        lab.read("bob", "motto")

    assert lab.state.snapshot() == before


def test_two_worlds_with_the_same_inputs_have_the_same_bytes(new_lab):
    one, other = new_lab(), new_lab()
    for lab in (one, other):
        lab.invoke("alice", "bank", "transfer", to="bob", amount=1)
        lab.settle(lab.invoke("alice", "oracle", "ask"), {"a": [1, 2.5]})

    assert one.rows == other.rows


# Refusals, in order of precedence


@pytest.mark.parametrize("who", ["nobody", "motto", "", "a" * 300, "Ünheard", "bank"])
def test_who_has_no_standing_is_turned_away(lab: Lab, who: str):
    lab.refuses(Code.NO_STANDING, lambda: lab.read(who, "motto"), charged=0)


def test_who_stopped_is_turned_away(lab: Lab):
    assert lab.do("alice", Stop("enough")) == Done()
    lab.world.operate(StopAgent("bob"), 0)

    assert "enough" in lab.refuses(Code.STOPPED, lambda: lab.read("alice", "motto"), 0).detail
    lab.refuses(Code.STOPPED, lambda: lab.read("bob", "motto"), charged=0)
    assert lab.read("carol", "motto") == Done("be kind")


@pytest.mark.parametrize("whom", ["alice", "*"])
def test_who_is_paused_is_turned_away(lab: Lab, whom: str):
    lab.world.operate(Pause(whom), 0)

    lab.refuses(Code.PAUSED, lambda: lab.read("alice", "motto"), charged=0)
    lab.refuses(Code.PAUSED, lambda: lab.do("alice", Sleep(5)), charged=0)
    lab.world.operate(Resume(whom), 0)

    assert lab.read("alice", "motto") == Done("be kind")


def test_who_cannot_pay_the_admission_is_turned_away_and_told_how_long_to_wait(lab: Lab):
    assert (
        lab.refuses(
            Code.ADMISSION_EXCEEDED, lambda: lab.read("dave", "motto"), charged=0
        ).retry_after_us
        is None
    )
    lab.world.operate(SetLimit("dave", "compute", 2), 0)
    assert lab.read("dave", "motto") == Done("be kind")
    lab.pass_us(10)

    refused = lab.refuses(Code.ADMISSION_EXCEEDED, lambda: lab.read("dave", "motto"), charged=0)

    assert refused.retry_after_us == 59_999_990
    lab.pass_us(refused.retry_after_us)
    assert lab.read("dave", "motto") == Done("be kind")


@pytest.mark.parametrize("who", ["dave", "nobody"])
@pytest.mark.parametrize(
    "action",
    [
        Write("page", "x" * 3_000),
        Write("page", "x" * 1_020),
        Invoke("bank", "any", {"value": "x" * 3_000}),
    ],
)
def test_little_is_kept_of_who_is_turned_away(lab: Lab, who: str, action):
    code = Code.ADMISSION_EXCEEDED if who == "dave" else Code.NO_STANDING

    lab.refuses(code, lambda: lab.do(who, action), charged=0)

    assert lab.last.input == Malformed(who, code, "its content was not kept")
    assert len(lab.rows[-1][2]) < 200
    assert lab.log._blobs == {}


def test_a_name_that_is_too_long_is_not_kept(lab: Lab):
    lab.refuses(Code.NO_STANDING, lambda: lab.read("a" * 3_000, "motto"), charged=0)

    assert lab.last.input.principal == ""


def test_content_is_kept_of_who_is_refused_for_another_reason(lab: Lab):
    lab.refuses(Code.ID_INVALID, lambda: lab.write("alice", "No Id", "x" * 3_000))

    assert len(lab.log._blobs) == 1


def test_what_is_malformed_is_charged(lab: Lab):
    lab.refuses(Code.MALFORMED, lambda: lab.invoke("alice", "bank", "any", value=2**63))


def test_what_is_not_there_is_not_found(lab: Lab):
    lab.write("alice", "note", "x")
    lab.delete("alice", "note")

    for action in (Read("nowhere"), Invoke("nowhere", "go"), Read("note"), Read("")):
        lab.refuses(Code.NOT_FOUND, lambda action=action: lab.do("alice", action))
    lab.refuses(Code.NOT_FOUND, lambda: lab.edit("alice", "nowhere", "a", "b"))
    lab.refuses(Code.NOT_FOUND, lambda: lab.delete("alice", "nowhere"))


def test_what_has_no_methods_is_not_executable(lab: Lab):
    lab.refuses(Code.NOT_EXECUTABLE, lambda: lab.invoke("alice", "motto", "go"))


def test_an_unknown_method_is_refused(lab: Lab):
    lab.refuses(Code.METHOD_UNKNOWN, lambda: lab.invoke("alice", "bank", "rob"))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({}, "lack 'value'"),
        ({"value": 5}, "value must be of type string"),
        ({"value": "x", "more": 1}, "may not have 'more'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(lab: Lab, args, said):
    refused = lab.refuses(
        Code.ARGUMENTS_INVALID, lambda: lab.do("alice", Invoke("bank", "echo", args))
    )

    assert said in refused.detail
    assert "genesis_store interface" in refused.detail


def test_what_a_contract_denies_is_refused(lab: Lab):
    lab.code("alice", "shop", lambda caller, args: iter(()), Contract("private"))
    lab.write("alice", "note", "x")

    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.invoke("bob", "shop", "go"))
    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.read("bob", "note"))
    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.write("bob", "note", "y"))
    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.edit("bob", "note", "x", "y"))
    lab.refuses(Code.PERMISSION_DENIED, lambda: lab.delete("bob", "note"))


def test_the_sentence_of_a_no_is_bounded_whoever_wrote_it(new_lab):
    lab = new_lab(limits=Limits(args_depth_max=16))
    long = "x" * 50_000

    for answer in (
        lab.read("alice", long),
        lab.invoke("alice", "bank", "transfer", to=long, amount=1),
        lab.invoke("alice", "bank", "echo", value="x", **{f"more {n}": n for n in range(5_000)}),
        lab.settle(
            lab.invoke("alice", "oracle", "free"), code=Code.TOOL_FAILED, detail=long
        ).answer,
        Failed(Code.TOOL_FAILED, long),
    ):
        assert 0 < len(answer.detail) <= 2_000
    assert all(len(row[2]) < 200_000 for row in lab.rows)


def test_a_price_above_the_maximum_is_refused(lab: Lab):
    lab.write("bob", "book", "text", contract=Contract("pay_per_use", 20))

    lab.refuses(Code.PRICE_ABOVE_MAX, lambda: lab.do("alice", Read("book"), price_max_scrip=19))
    lab.refuses(
        Code.PRICE_ABOVE_MAX,
        lambda: lab.do("alice", Invoke("bank", "lend"), price_max_scrip=9),
    )
    lab.refuses(
        Code.PRICE_ABOVE_MAX,
        lambda: lab.do("alice", Invoke("oracle", "ask"), price_max_scrip=0),
    )
    assert lab.do("alice", Read("book"), price_max_scrip=20) == Done("text")


def test_a_price_above_what_can_be_spent_is_refused(lab: Lab):
    lab.write("bob", "book", "text", contract=Contract("pay_per_use", 20))
    lab.invoke("alice", "bank", "hold", amount=985, expires_us=10)

    refused = lab.refuses(Code.SCRIP_INSUFFICIENT, lambda: lab.read("alice", "book"))
    lab.refuses(Code.SCRIP_INSUFFICIENT, lambda: lab.invoke("carol", "bank", "lend"))

    assert "can spend 15" in refused.detail


def test_the_last_scrip_pays_a_price(lab: Lab):
    lab.write("bob", "book", "text", contract=Contract("pay_per_use", 1_000))

    assert lab.read("alice", "book") == Done("text")
    assert lab.scrip("alice") == [0]


def test_compute_above_the_own_maximum_is_refused(lab: Lab):
    lab.refuses(Code.COMPUTE_MAX_EXCEEDED, lambda: lab.do("alice", Read("motto"), compute_max=1))
    lab.refuses(
        Code.COMPUTE_MAX_EXCEEDED,
        lambda: lab.do("alice", Invoke("oracle", "free"), compute_max=0),
    )
    assert lab.do("alice", Read("motto"), compute_max=2) == Done("be kind")


def test_the_configured_maximum_of_compute_bounds_who_names_none(new_lab):
    lab = new_lab(limits=Limits(compute_max=1))

    lab.refuses(Code.COMPUTE_MAX_EXCEEDED, lambda: lab.read("alice", "motto"))
    assert lab.do("alice", Read("motto"), compute_max=2) == Done("be kind")


def test_a_quota_that_does_not_suffice_is_refused_with_the_wait(lab: Lab):
    lab.world.operate(SetLimit("carol", "compute", 4), 0)
    lab.read("carol", "motto")
    lab.pass_us(7)

    refused = lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.write("carol", "note", "x"))

    # at the end of the wait the admission of the refused action still counts
    assert refused.retry_after_us == 59_999_993
    lab.pass_us(refused.retry_after_us)
    assert lab.write("carol", "note", "x") == Done()


def test_the_wait_counts_what_the_refused_action_itself_used(lab: Lab):
    lab.world.operate(SetLimit("carol", "compute", 3), 0)
    lab.refuses(Code.NOT_FOUND, lambda: lab.read("carol", "nowhere"))
    lab.pass_us(7)

    refused = lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.write("carol", "note", "x"))

    assert refused.retry_after_us == 60_000_000
    lab.pass_us(refused.retry_after_us)
    assert lab.write("carol", "note", "x") == Done()


def test_no_wait_is_told_where_waiting_does_not_help(lab: Lab):
    lab.world.operate(SetLimit("carol", "compute", 2), 0)

    refused = lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.write("carol", "note", "x"))
    assert refused.retry_after_us is None

    for _ in range(5):
        lab.invoke("alice", "oracle", "ask")
    refused = lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.invoke("alice", "oracle", "ask"))
    assert refused.retry_after_us is None


def test_a_depletable_resource_is_gone_once_spent(lab: Lab):
    for _ in range(5):
        lab.settle(lab.invoke("alice", "oracle", "ask"), 1)
        lab.pass_us(10_000_000)

    refused = lab.refuses(Code.QUOTA_EXCEEDED, lambda: lab.invoke("alice", "oracle", "ask"))

    assert "budget" in refused.detail
    assert refused.retry_after_us is None


def test_of_several_reasons_the_lowest_code_is_told(lab: Lab):
    lab.write("bob", "book", "text", contract=Contract("pay_per_use", 2_000))

    # not the owner, and no such contract
    answer = lab.write("alice", "book", "x", contract=Contract("nonsense"))
    assert answer.code == Code.DEFINITION_INVALID
    # too dear for its maximum, and for its purse, and for its compute
    answer = lab.do("alice", Read("book"), price_max_scrip=1, compute_max=1)
    assert answer.code == Code.PRICE_ABOVE_MAX
    answer = lab.do("alice", Read("book"), compute_max=1)
    assert answer.code == Code.SCRIP_INSUFFICIENT


def test_a_world_can_admit_for_nothing(new_lab):
    lab = new_lab(admission_compute=0, actions={})

    assert lab.read("dave", "motto") == Done("be kind")


def test_the_codes_stand_in_order_of_precedence():
    assert list(Code) == sorted(Code)


# Settlements


def test_a_settlement_names_its_cause_and_holds_the_result_whole(lab: Lab):
    lab.read("bob", "motto")
    waiting = lab.invoke("alice", "oracle", "ask")
    lab.pass_us(9)

    lab.settle(waiting, "v" * 5_000, usage={"cpu_us": 3})

    record = lab.last
    assert isinstance(record.input, Settle)
    assert record.cause == 2
    assert record.input.result.usage == {"cpu_us": 3}
    assert lab.world.in_full(record.input.result).value == "v" * 5_000
    assert lab.world.text(lab.state.artifacts.by_id["motto"].content) == "be kind"


def test_the_key_of_an_effect_is_its_own_in_every_log(new_lab):
    one, other = new_lab(), new_lab(seed=8)
    keys = set()
    for lab in (one, other):
        lab.invoke("alice", "oracle", "ask")
        lab.invoke("alice", "oracle", "ask")
        keys |= {request.key for request in lab.world.requests}
        assert lab.world.requests == lab.world.pending()

    assert len(keys) == 4


def test_what_is_pending_is_still_there_after_a_restart(lab: Lab):
    first = lab.invoke("alice", "oracle", "ask", question="q" * 3_000)
    lab.invoke("bob", "oracle", "free")
    before = lab.world.pending()

    lab.restart()

    assert lab.world.pending() == before
    assert lab.world.requests == []
    assert lab.settle(first, "yes").answer == Done("yes")


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (EffectResult("x" * 30_000), Code.RESULT_TOO_LARGE),
        (EffectResult(float("nan")), Code.TOOL_FAILED),
        (EffectResult("v", usage={"tokens": -1}), Code.TOOL_FAILED),
    ],
)
def test_a_result_that_cannot_be_kept_is_a_failure(lab: Lab, result, code):
    waiting = lab.invoke("alice", "oracle", "ask")

    settled = lab.world.settle(waiting.effect_id, result, 0)

    assert isinstance(settled.answer, Failed)
    assert settled.answer.code == code
    assert lab.state.resources.remaining("alice", "tokens", 0) == 40


@pytest.mark.parametrize(
    "code",
    [
        Code.TOOL_UNAVAILABLE,
        Code.TOOL_FAILED,
        Code.TOOL_CRASHED,
        Code.EFFECT_TIMEOUT,
        Code.EFFECT_INTERRUPTED,
        Code.TOOL_REFUSED,
    ],
)
def test_a_failure_of_the_outside_is_the_answer(lab: Lab, code: Code):
    waiting = lab.invoke("alice", "oracle", "ask")

    assert lab.settle(waiting, code=code, detail="so").answer == Failed(code, "so")


def test_an_effect_that_used_what_it_held_did_not_overrun(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "ask")

    lab.settle(waiting, 1, usage={"tokens": 10, "compute": 3})

    assert [type(fact).__name__ for fact in lab.last.facts] == [
        "EffectSettled",
        "ResourcePosted",
        "ScripPosted",
    ]


def test_a_loop_is_not_due_while_it_waits(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "ask")
    other = lab.invoke("alice", "oracle", "ask")

    assert lab.world.due(10**9) == ["bob", "dave"]
    lab.settle(waiting, 1)
    assert lab.world.due(10**9) == ["bob", "dave"]
    lab.settle(other, 1)
    assert lab.world.due(10**9) == ["alice", "bob", "dave"]


def test_an_effect_without_a_price_needs_no_hold(lab: Lab):
    waiting = lab.invoke("alice", "oracle", "free")

    assert isinstance(waiting, Waiting)
    assert lab.state.resources.holds == {}
    assert lab.settle(waiting, 1).answer == Done(1)


def test_a_hold_that_expires_is_given_back_by_time(lab: Lab):
    lab.invoke("alice", "bank", "hold", amount=100, expires_us=50)
    lab.invoke("alice", "bank", "hold", amount=10, expires_us=60)
    lab.world.operate(Pause("*"), 0)
    assert lab.world.next_due_us() == 50

    lab.world.advance(49)
    seq = lab.state.seq
    lab.world.advance(50)

    assert lab.state.seq == seq + 1
    assert lab.state.ledger.held == {"alice": 10}
    assert lab.world.next_due_us() == 60


def test_it_is_cheap_to_let_time_pass_in_which_nothing_is_due(lab: Lab):
    seq = lab.state.seq

    lab.world.advance(10**9)

    assert (lab.state.seq, lab.state.now_us) == (seq, 0)


def test_a_world_without_costs_still_counts_steps(new_lab):
    lab = new_lab(admission_compute=0, actions={}, method_cost=Cost())

    lab.invoke("alice", "bank", "echo", value="x")

    assert lab.state.agenda.steps["alice"] == 1
    assert config().admission_compute == 1
    assert isinstance(Refused(Code.PAUSED, ""), Refused)
