"""The summary of a run: every figure is what the log says, and it is told as data."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld.agents.mind import Scripted
from scripworld.simulation.overview import overview
from scripworld.simulation.payments import Payment, Payments
from scripworld.simulation.report import PARTNERS_MAX, summarize
from scripworld.world import (
    ArtifactWritten,
    CallBack,
    Code,
    Contract,
    Effect,
    EffectRequest,
    EffectRequested,
    EffectResult,
    Envelope,
    Invoke,
    LogFault,
    Method,
    Native,
    Read,
    Record,
    Return,
    ScripHeld,
    ScripIssued,
    ScripPosted,
    ScripReleased,
    ScripTransferred,
    Settle,
    Sleep,
    Stop,
    Tool,
    Write,
)

QUOTAS = {"compute": 100, "tool_calls": 10, "writes": 10, "stored_bytes": 5_000}
NO_SERVERS = {"mcp": {"servers": {name: {"enabled": False} for name in ("fetch", "filesystem")}}}
ORACLE = Native(
    "oracle",
    "Answers anything.",
    {
        "ask": Method(
            Tool("ask", "Ask it.", {"properties": {"please": {"type": "boolean"}}}),
            lambda context, args: Effect("oracle", args),
            effect=True,
        )
    },
)
COST = {
    "resources": {"compute": 4, "tool_calls": 1},
    "price_scrip": 3,
    "latency_us": 200_000,
    "timeout_us": 9_000_000,
    "result_bytes_max": 1_000,
    "repeatable": False,
}


class Oracle:
    """Answers what it is asked politely, and measures it."""

    patience_s = 0.0

    async def perform(self, request: EffectRequest) -> EffectResult:
        usage = {"wall_us": 1_000, "bytes_out": 10, "bytes_in": 20, "tokens_in": 7}
        if request.payload.get("please"):
            return EffectResult("yes", usage={**usage, "wall_us": 3_000})
        return EffectResult(None, Code.TOOL_FAILED, "it wants to be asked politely", usage)

    async def close(self) -> None:
        pass


ALICE = [
    Read("book"),
    Read("book"),
    Invoke("genesis_ledger", "transfer", {"to": "bob", "amount": 2}),
    Invoke("oracle", "ask", {"please": True}),
    Invoke("oracle", "ask", {}),
    Invoke("oracl", "ask", {}),
    Invoke("genesis_ledger", "transfer", {"to": "bob", "amount": 99}),
    Write("note", "hello", "a note", contract=Contract("freeware")),
    Write("note", "hello again"),
    Stop("it is done"),
]


def scenario(**more: Any) -> scripworld.Scenario:
    return scripworld.Scenario.model_validate(
        {
            "name": "books",
            "until_us": 5_000_000,
            "agents": [
                {"id": "alice", "mind": "alice", "scrip": 40, "quotas": QUOTAS},
                {"id": "bob", "mind": "bob", "scrip": 1, "quotas": QUOTAS},
            ],
            "artifacts": [
                {
                    "id": "book",
                    "owner": "bob",
                    "type": "story",
                    "description": "a good one",
                    "contract": {"id": "pay_per_use", "price_scrip": 5},
                }
            ],
            "config": {"genesis": NO_SERVERS, "world": {"costs": {"oracle": {"*": COST}}}},
            **more,
        }
    )


def run_books(tmp_path: Path, **given: Any) -> scripworld.Run:
    settings = {"store": {"runs_dir": str(tmp_path)}}
    minds = {"alice": Scripted(list(ALICE)), "bob": Scripted([Sleep(9_000_000)])}
    parts = {"minds": minds, "natives": [ORACLE], "performers": {"oracle": Oracle()}, **given}
    return scripworld.run(scenario(), seed=3, settings=settings, **parts)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> scripworld.Run:
    return run_books(tmp_path_factory.mktemp("runs"))


def test_a_principal_is_told_with_what_it_earned_from_whom_and_spent(run):
    alice, bob = (one for one in run.summary().principals if one.id in ("alice", "bob"))

    assert (alice.scrip_start, alice.scrip_end, alice.spent, alice.earned) == (40, 25, 15, 0)
    assert alice.spent_to == {"bob": 12, "genesis": 3}
    assert (bob.scrip_start, bob.scrip_end, bob.earned, bob.spent) == (1, 13, 12, 0)
    assert bob.earned_from == {"alice": 12}


def test_a_principal_is_told_with_what_it_did(run):
    alice = next(one for one in run.summary().principals if one.id == "alice")
    bob = next(one for one in run.summary().principals if one.id == "bob")

    assert (alice.actions, alice.sleeps, alice.tool_calls) == (9, 0, 2)
    assert (alice.refused, alice.failed, alice.made) == (1, 2, 1)
    assert alice.stopped == "it is done"
    assert (bob.actions, bob.sleeps, bob.stopped) == (0, 1, "")


def test_compute_is_what_the_world_metered(run):
    state = run.state()
    told = {one.id: one.compute for one in run.summary().principals}

    metered = {id: state.resources.tracker.usage(id, "compute", state.now_us) for id in told}
    assert told == metered
    assert told["alice"] > 0


def test_a_sale_is_told_and_what_is_given_is_none(run):
    summary = run.summary()

    sales = {sale.artifact: sale for sale in summary.sales}
    book = sales["book"]
    assert (book.owner, book.type, book.description) == ("bob", "story", "a good one")
    assert (book.reads, book.invocations, book.scrip) == (2, 0, 10)
    assert (sales["oracle"].owner, sales["oracle"].invocations, sales["oracle"].scrip) == (
        "genesis",
        1,
        3,
    )
    assert set(sales) == {"book", "oracle"}
    assert (summary.transfers, summary.transferred) == (1, 2)


def test_a_tool_is_told_with_what_it_cost_and_how_long_it_took(run):
    (tool,) = run.summary().tools

    assert (tool.artifact, tool.method) == ("oracle", "ask")
    assert (tool.calls, tool.done, tool.failed) == (2, 1, 1)
    assert (tool.scrip, tool.compute) == (3, 8)
    assert (tool.latency_us, tool.wall_us) == (200_000, 2_000)
    assert tool.usage == {"bytes_out": 20, "bytes_in": 40, "tokens_in": 14}


def test_tokens_of_models_are_summed(run):
    assert run.summary().tokens == {"tokens_in": 14}


def test_what_was_refused_or_failed_is_told_with_an_example(run):
    told = {(one.code, one.kind): one for one in run.summary().denials}

    assert set(told) == {
        ("NOT_FOUND", "refused"),
        ("TOOL_FAILED", "failed"),
        ("SCRIP_INSUFFICIENT", "failed"),
    }
    failed = told["TOOL_FAILED", "failed"]
    assert (failed.times, failed.principals, failed.artifact) == (1, 1, "oracle")
    assert told["NOT_FOUND", "refused"].artifact == ""
    assert (failed.example, failed.example_principal) == ("it wants to be asked politely", "alice")


def test_each_tool_that_fails_is_told_for_itself(tmp_path):
    asks = [Invoke(id, "ask", {}) for id in ("oracle", "sibyl", "sibyl")]
    sibyl = Native("sibyl", "Answers anything, too.", ORACLE.methods)
    costs = {"world": {"costs": {"oracle": {"*": COST}, "sibyl": {"*": COST}}}}

    made = scripworld.run(
        scenario(config={"genesis": NO_SERVERS, **costs}),
        settings={"store": {"runs_dir": str(tmp_path)}},
        minds={"alice": Scripted(asks), "bob": Scripted([])},
        natives=[ORACLE, sibyl],
        performers={"oracle": Oracle(), "sibyl": Oracle()},
    )

    told = {(one.code, one.artifact): one.times for one in made.summary().denials}
    assert told == {("TOOL_FAILED", "oracle"): 1, ("TOOL_FAILED", "sibyl"): 2}


def test_a_run_without_a_noted_end_is_told_without_a_real_time(run):
    log = run.log()
    told = str(summarize(log.records(), run="r", scenario="s", ended="", real_s=0.0))
    log.close()

    assert "not ended: it goes on, or was killed" in told
    assert "real time" not in told


def test_the_whole_is_told_with_time_size_head_and_supply(run):
    summary, state = run.summary(), run.state()

    assert (summary.run, summary.scenario, summary.seed) == (run.id, "books", 3)
    assert summary.ended == run.ended
    assert summary.world_us == state.now_us
    assert (summary.records, summary.head) == (state.seq + 1, state.head.hex())
    assert (summary.supply, summary.conserved) == (41, True)
    assert summary.actions == sum(one.actions for one in summary.principals)
    assert summary.real_s > 0
    assert summary.actions_per_s == pytest.approx(summary.actions / summary.real_s)


def test_balances_are_those_of_the_state(run):
    told = {one.id: one.scrip_end for one in run.summary().principals}

    assert told == run.state().ledger.balances


def test_it_is_json_and_a_few_lines_of_text(run):
    summary = run.summary()

    assert json.loads(json.dumps(summary.to_dict()))["sales"][0]["artifact"] == "book"
    assert f"head {summary.head}" in str(summary)
    assert "bob: 1 to 13 scrip, earned 12" in str(summary)


def test_partners_are_the_largest_ones_and_the_sum_holds_them_all(tmp_path):
    buyers = [f"buyer_{n}" for n in range(1, PARTNERS_MAX + 4)]
    crowd = scenario(
        agents=[
            {"id": "buyer", "count": len(buyers), "mind": "buyer", "scrip": 20, "quotas": QUOTAS},
            {"id": "bob", "mind": "bob", "scrip": 0, "quotas": QUOTAS},
        ]
    )
    minds = {"bob": Scripted([]), "buyer": Scripted([Read("book")])}

    made = scripworld.run(
        crowd, minds=minds, settings={"store": {"runs_dir": str(tmp_path)}}, natives=[ORACLE]
    )

    bob = next(one for one in made.summary().principals if one.id == "bob")
    assert bob.earned == 5 * len(buyers)
    assert len(bob.earned_from) == PARTNERS_MAX


def test_a_tool_call_without_a_result_is_neither_done_nor_failed(tmp_path):
    made = run_books(tmp_path, until_us=350_000)

    (tool,) = made.summary().tools
    assert (tool.calls, tool.done, tool.failed, tool.scrip) == (1, 0, 0, 0)
    assert (tool.latency_us, tool.wall_us) == (0, None)


def test_a_resumed_run_is_told_as_one(tmp_path):
    first = run_books(tmp_path, until_us=150_000)
    before = overview(first.folder)
    minds = {"alice": Scripted(list(ALICE)), "bob": Scripted([Sleep(9_000_000)])}

    whole = scripworld.resume(
        first.folder, minds=minds, natives=[ORACLE], performers={"oracle": Oracle()}
    )

    assert whole.summary().real_s > before.real_s
    assert whole.summary().records > before.records
    assert [one.scrip_end for one in whole.summary().principals if one.id == "alice"] == [25]


def test_a_changed_record_is_named(run):
    log = run.log()
    rows = list(log.records())
    log.close()
    seq, digest, body = rows[5]
    rows[5] = (seq, digest, body[:-1] + bytes([body[-1] ^ 1]))

    with pytest.raises(LogFault, match="record 5 was changed") as caught:
        summarize(rows, run="r", scenario="s", ended="", real_s=0.0)
    assert caught.value.seq == 5


def test_a_run_at_a_glance_needs_no_record(run):
    told = overview(run.folder)

    assert (told.run, told.scenario, told.ended) == (run.id, "books", run.ended)
    assert told.head == run.summary().head
    assert told.began_us > 0


def test_a_run_without_settings_is_still_told(run, tmp_path):
    (tmp_path / "world.db").write_bytes((run.folder / "world.db").read_bytes())

    assert overview(tmp_path).scenario == ""


# What a payment was for, also inside of agent-written code.


def written(id: str, owner: str, standing: bool = False) -> ArtifactWritten:
    contract = Contract("pay_per_use", 5)
    return ArtifactWritten(id, owner, "text", "", "", contract, (), standing, False, owner, 0)


def record(seq: int, given: Any, *facts: Any, outcomes: tuple[Any, ...] = ()) -> Record:
    return Record(seq, seq * 10, None, given, list(outcomes), list(facts), None)


def payments_of(*records: Record) -> Iterator[Payment]:
    payments = Payments()
    first = record(
        0,
        None,
        *(written(id, id, True) for id in ("ann", "ben", "cas")),
        *(written("map", "ben"), written("song", "cas"), written("machine", "machine", True)),
        ScripIssued("ann", 9),
    )
    for one in (first, *records):
        yield from payments.of(one)


def test_new_scrip_comes_from_nobody():
    assert list(payments_of()) == [Payment(0, 0, "", "ann", 9, "issue")]


def test_reads_inside_of_code_are_told_by_whom_they_pay():
    calls = (CallBack(Read("map")), CallBack(Read("song")), Return(None))
    given = Envelope("ann", Invoke("machine", "go"))
    facts = (
        ScripHeld(1, "ann", 4),
        ScripTransferred("machine", "ben", 5),
        ScripTransferred("machine", "cas", 6),
        ScripTransferred("machine", "ann", 1),
        ScripPosted(1, "machine", 4),
    )

    told = list(payments_of(record(1, given, *facts, outcomes=calls)))[1:]

    assert [(p.payer, p.payee, p.amount, p.how, p.artifact) for p in told] == [
        ("machine", "ben", 5, "read", "map"),
        ("machine", "cas", 6, "read", "song"),
        ("machine", "ann", 1, "transfer", ""),
        ("ann", "machine", 4, "invoke", "machine"),
    ]


def test_the_price_of_an_effect_is_told_when_it_is_paid():
    request = EffectRequested(
        *("1.0", "1.0", "ann", None, "song", "sing", "ann", "p", None),
        *(10, 20, 30, 99, False, 0, 7, "cas", 3, 0, ()),
    )
    asked = record(1, Envelope("ann", Invoke("song", "sing")), ScripHeld(7, "ann", 3), request)
    settled = record(2, Settle("1.0", EffectResult()), ScripPosted(7, "cas", 3))

    assert list(payments_of(asked, settled))[1:] == [
        Payment(2, 20, "ann", "cas", 3, "invoke", "song")
    ]


def test_a_hold_that_is_released_pays_nobody():
    held = record(1, Envelope("ann", Invoke("song", "sing")), ScripHeld(7, "ann", 3))
    released = record(2, Settle("1.0", EffectResult()), ScripReleased(7, "void"))

    assert list(payments_of(held, released))[1:] == []


def test_what_a_contract_of_an_agent_has_paid_to_somebody_is_still_for_the_artifact():
    tolled = ArtifactWritten(
        *("bridge", "cas", "text", "", "", Contract("toll"), (), False, False, "cas", 0)
    )
    made = record(1, Envelope("cas", Write("bridge", "")), tolled)
    read = record(2, Envelope("ann", Read("bridge")), ScripTransferred("ann", "ben", 2))
    called = record(
        *(3, Envelope("ann", Invoke("bridge", "go"))),
        *(ScripHeld(4, "ann", 3), ScripPosted(4, "ben", 3)),
    )

    told = list(payments_of(made, read, called))[1:]

    assert [(p.payer, p.payee, p.amount, p.how, p.artifact) for p in told] == [
        ("ann", "ben", 2, "read", "bridge"),
        ("ann", "ben", 3, "invoke", "bridge"),
    ]


def test_a_read_that_a_person_approved_is_told_as_a_read():
    request = EffectRequested(
        *("1.0", "1.0", "ann", None, "song", "read", "ann", "approval", None),
        *(10, 20, 30, 99, False, 0, 7, "cas", 3, 0, ()),
        action=Read("song"),
    )
    asked = record(1, Envelope("ann", Read("song")), ScripHeld(7, "ann", 3), request)
    settled = record(2, Settle("1.0", EffectResult()), ScripPosted(7, "cas", 3))

    assert list(payments_of(asked, settled))[1:] == [
        Payment(2, 20, "ann", "cas", 3, "read", "song")
    ]


def test_who_pays_tells_a_call_from_the_call_back_that_it_made():
    calls = (CallBack(Invoke("song", "sing")), Return(None), Return(None))
    given = Envelope("ann", Invoke("tune", "play"))
    tune = ArtifactWritten(
        *("tune", "cas", "code", "", "", Contract("pay_per_use", 9), (), True, False, "cas", 0)
    )
    facts = (
        ScripHeld(1, "ann", 9),
        ScripHeld(2, "tune", 5),
        ScripPosted(2, "cas", 5),
        ScripPosted(1, "tune", 9),
    )

    made = record(1, Envelope("cas", Write("tune", "")), tune)
    told = list(payments_of(made, record(2, given, *facts, outcomes=calls)))[1:]

    assert [(p.payer, p.amount, p.artifact) for p in told] == [
        ("tune", 5, "song"),
        ("ann", 9, "tune"),
    ]
