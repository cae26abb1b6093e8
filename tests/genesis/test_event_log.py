"""genesis_event_log: what happened, for those whom it concerns, at a cost that does not grow."""

import pytest

from scripworld.world import (
    Code,
    Contract,
    Edit,
    Pause,
    Read,
    Resume,
    SetLimit,
    Signal,
    Sleep,
    StopAgent,
    Write,
)

EVENT_LOG = "genesis_event_log"
LEDGER = "genesis_ledger"


def read(stage, caller, seq):
    return stage.done(caller, EVENT_LOG, "read", seq=seq)


def sees(stage, caller, seq):
    """Whether every method agrees that the caller finds the record, and that it does."""
    found = stage.ask(caller, EVENT_LOG, "read", seq=seq)
    listed = stage.done(caller, EVENT_LOG, "since", seq=seq, limit=1)["records"]
    is_listed = bool(listed) and listed[0]["seq"] == seq
    is_found = not hasattr(found, "code")
    assert is_found == is_listed
    if not is_found:
        assert found.code is Code.NOT_FOUND
    return is_found


class TestRead:
    def test_tells_what_was_done_and_what_changed_hands(self, stage):
        stage.done("alice", LEDGER, "transfer", to="bob", amount=5)

        assert read(stage, "carol", stage.seq) == {
            "seq": 1,
            "now_us": 1_000,
            "cause": None,
            "kind": "action",
            "principal": "alice",
            "action": "invoke",
            "target": LEDGER,
            "method": "transfer",
            "outcome": "done",
            "scrip": [{"payer": "alice", "payee": "bob", "amount": 5}],
            "quotas": [],
            "ownership": [],
        }

    def test_tells_the_one_who_acted_the_arguments_and_the_size_of_the_result(self, stage):
        stage.done("alice", LEDGER, "transfer", to="bob", amount=5)

        details = read(stage, "alice", stage.seq)["details"]

        assert details == {"args": {"to": "bob", "amount": 5}, "result_bytes": 1, "detail": ""}

    def test_tells_the_one_who_acted_why_it_failed(self, stage):
        failed = stage.ask("alice", LEDGER, "transfer", to="bob", amount=500)

        row = read(stage, "alice", stage.seq)

        assert row["outcome"] == "SCRIP_INSUFFICIENT"
        assert row["details"]["detail"] == failed.detail
        assert row["scrip"] == []

    def test_counts_the_bytes_of_a_large_result(self, stage):
        stage.write("alice", "book", "x" * 5_000)
        stage.act("alice", Read("book"))

        row = read(stage, "alice", stage.seq)

        assert row["details"] == {"args": {}, "result_bytes": 5_003, "detail": ""}

    def test_tells_quotas_and_ownership_that_changed_hands(self, stage):
        quota = {"to": "bob", "resource": "tokens", "amount": 3}
        stage.done("alice", "genesis_rights_registry", "transfer_quota", **quota)
        stage.done("alice", LEDGER, "transfer_ownership", id="diary", to="bob")

        moved = {"giver": "alice", "taker": "bob", "resource": "tokens", "amount": 3}
        assert read(stage, "carol", 1)["quotas"] == [moved]
        assert read(stage, "carol", 2)["ownership"] == [{"id": "diary", "owner": "bob"}]

    def test_tells_of_the_first_record_without_reading_it(self, stage):
        row = read(stage, "carol", 0)

        assert (row["kind"], row["now_us"], row["scrip"]) == ("begin", 0, [])
        assert stage.log.reads == 0

    def test_tells_actions_that_were_refused_or_could_not_be_kept(self, stage):
        stage.act("alice", Read("nothing"))
        stage.act("alice", Write("x", 5))

        refused, malformed = read(stage, "alice", 1), read(stage, "alice", 2)

        assert (refused["target"], refused["outcome"]) == ("nothing", "NOT_FOUND")
        assert (malformed["kind"], malformed["outcome"]) == ("malformed", "MALFORMED")
        assert malformed["details"]["args"] == {}

    def test_tells_rests(self, stage):
        stage.act("watcher", Sleep(5))

        assert read(stage, "watcher", 1)["action"] == "sleep"
        assert not sees(stage, "carol", 1)

    def test_does_not_find_the_record_under_way_or_later_ones(self, stage):
        for ahead in (1, 2, 1_000_000):
            args = {"seq": stage.seq + ahead}

            stage.fails(Code.NOT_FOUND, "alice", EVENT_LOG, "read", **args)


class TestEffects:
    def test_a_request_waits_and_its_settlement_names_who_asked_and_what_was_paid(self, stage):
        waiting = stage.ask("bob", "genesis_oracle", "ask", question="why")
        stage.settle(waiting, "because")

        asked, settled = read(stage, "carol", 1), read(stage, "carol", 2)

        assert (asked["outcome"], asked["scrip"]) == ("waiting", [])
        assert settled["kind"] == "settlement"
        assert (settled["principal"], settled["target"]) == ("bob", "genesis_oracle")
        assert (settled["method"], settled["outcome"], settled["cause"]) == ("ask", "done", 1)
        assert settled["scrip"] == [{"payer": "bob", "payee": "genesis", "amount": 7}]

    def test_only_who_asked_sees_the_details(self, stage):
        waiting = stage.ask("bob", "genesis_oracle", "ask", question="why")
        stage.settle(waiting, "because")

        assert read(stage, "bob", 2)["details"]["result_bytes"] == 8
        assert "details" not in read(stage, "carol", 2)

    def test_a_price_that_was_held_when_code_began_to_wait_names_its_payer(self, begin):
        stage = begin(costs={})
        asks = [True, "genesis_oracle", "ask", {"question": "why"}]
        stage.code("alice", "shop", asks, price_scrip=4)
        waiting = stage.ask("bob", "shop", "run")
        stage.settle(waiting, "because")

        settled = read(stage, "alice", stage.seq)

        assert settled["scrip"] == [{"payer": "bob", "payee": "alice", "amount": 4}]


class TestVisibility:
    def test_a_private_artifact_shows_its_records_to_who_acted_only(self, stage):
        stage.act("alice", Edit("diary", "secret", "word"))
        seq = stage.seq

        assert sees(stage, "alice", seq)
        assert not sees(stage, "bob", seq)

    def test_a_refused_read_is_seen_by_who_tried_and_by_the_owner(self, stage):
        stage.act("bob", Read("diary"))
        seq = stage.seq

        assert sees(stage, "bob", seq)
        assert sees(stage, "alice", seq)
        assert not sees(stage, "carol", seq)

    def test_a_free_artifact_shows_its_records_to_everyone(self, stage):
        stage.write("alice", "news", contract=Contract("freeware"))

        assert sees(stage, "carol", stage.seq)

    def test_a_priced_artifact_shows_its_records_to_payer_and_payee(self, stage):
        stage.write("alice", "guide", contract=Contract("pay_per_use", 4))
        stage.act("bob", Read("guide"))
        seq = stage.seq

        assert read(stage, "alice", seq)["scrip"] == [
            {"payer": "bob", "payee": "alice", "amount": 4}
        ]
        assert sees(stage, "bob", seq)
        assert not sees(stage, "carol", seq)

    def test_it_is_judged_by_the_contract_of_now(self, stage):
        stage.write("alice", "news", contract=Contract("freeware"))
        seq = stage.seq
        assert sees(stage, "carol", seq)

        stage.write("alice", "news", contract=Contract("private"))

        assert not sees(stage, "carol", seq)

    def test_watching_an_artifact_shows_nothing_of_who_touches_it(self, stage):
        stage.act("watcher", Sleep(10**9, ("diary",)))
        stage.act("alice", Edit("diary", "secret", "word"))
        seq = stage.seq
        assert "Woke" not in stage.facts()

        assert not sees(stage, "watcher", seq)

    def test_the_passing_of_time_is_seen_by_nobody(self, stage):
        stage.act("watcher", Sleep(5_000))
        stage.world.advance(1_000_000)
        seq = stage.seq
        assert stage.facts() == ["Woke"]

        assert not sees(stage, "watcher", seq)


class TestOperations:
    @pytest.mark.parametrize(
        ("command", "action"),
        [
            (Pause("bob"), "pause"),
            (SetLimit("bob", "tokens", 9), "setlimit"),
            (Signal("bob", "hello"), "signal"),
            (StopAgent("carol"), "stopagent"),
        ],
    )
    def test_an_operators_command_is_seen_by_whom_it_names(self, stage, command, action):
        stage.world.operate(command, 1_000)
        seq = stage.seq
        if isinstance(command, Pause):
            stage.world.operate(Resume("bob"), 2_000)
        seen_by = "bob" if command.principal == "bob" else "alice"

        is_seen = sees(stage, seen_by, seq)

        assert is_seen == (command.principal == "bob")
        if is_seen:
            row = read(stage, "bob", seq)
            assert (row["kind"], row["principal"]) == ("operation", None)
            assert (row["action"], row["target"]) == (action, "bob")


class TestSince:
    def test_goes_through_the_log_page_by_page_to_its_end(self, stage):
        for n in range(1, 8):
            stage.done("alice", LEDGER, "transfer", to="bob", amount=n)

        page = stage.done("carol", EVENT_LOG, "since", seq=0)
        found = page["records"]
        while not page["is_end"]:
            page = stage.done("carol", EVENT_LOG, "since", seq=page["next"])
            found += page["records"]

        assert [row["seq"] for row in found[:8]] == list(range(8))
        assert [row["scrip"][0]["amount"] for row in found[1:8]] == list(range(1, 8))
        assert page["next"] == stage.seq

    def test_skips_what_the_caller_does_not_see_and_goes_on_behind_it(self, stage):
        for _ in range(7):
            stage.act("alice", Read("diary"))
        stage.done("alice", LEDGER, "transfer", to="bob", amount=1)

        first = stage.done("carol", EVENT_LOG, "since", seq=1)
        second = stage.done("carol", EVENT_LOG, "since", seq=first["next"], limit=1)

        assert (first["records"], first["next"], first["is_end"]) == ([], 6, False)
        assert [row["seq"] for row in second["records"]] == [8]

    def test_examines_a_bounded_number_of_records(self, stage):
        for _ in range(20):
            stage.act("alice", Read("diary"))
        stage.log.reads = 0

        stage.done("carol", EVENT_LOG, "since", seq=1, limit=1_000)

        assert stage.log.reads == 5

    def test_beyond_the_end_is_empty_and_tells_where_the_end_is(self, stage):
        page = stage.done("carol", EVENT_LOG, "since", seq=1_000)

        assert page == {"records": [], "next": 1, "is_end": True}


class TestOf:
    def test_tells_the_records_that_touch_an_id_newest_first(self, stage):
        stage.write("alice", "news", contract=Contract("freeware"))
        stage.act("bob", Read("diary"))
        stage.act("alice", Edit("news", "text", "more"))

        page = stage.done("carol", EVENT_LOG, "of", id="news")

        assert [row["seq"] for row in page["records"]] == [3, 1]
        assert page["before"] is None

    def test_goes_on_before_the_last_one_examined(self, stage):
        stage.write("alice", "news", contract=Contract("freeware"))
        for n in range(7):
            stage.act("alice", Edit("news", "text" if n == 0 else str(n - 1), str(n)))

        page = stage.done("carol", EVENT_LOG, "of", id="news", limit=3)
        found = page["records"]
        while page["before"] is not None:
            page = stage.done("carol", EVENT_LOG, "of", id="news", limit=3, before=page["before"])
            found += page["records"]

        assert [row["seq"] for row in found] == [8, 7, 6, 5, 4, 3, 2, 1]

    def test_skips_what_the_caller_does_not_see(self, stage):
        stage.act("alice", Read("diary"))
        stage.done("alice", LEDGER, "transfer", to="bob", amount=1)

        page = stage.done("carol", EVENT_LOG, "of", id="alice")

        assert [row["seq"] for row in page["records"]] == [2, 0]

    def test_of_what_never_was_is_empty(self, stage):
        assert stage.done("carol", EVENT_LOG, "of", id="nothing") == {
            "records": [],
            "before": None,
        }

    def test_examines_a_bounded_number_of_records(self, stage):
        for _ in range(20):
            stage.act("alice", Read("diary"))
        stage.log.reads = 0

        page = stage.done("carol", EVENT_LOG, "of", id="diary", limit=1_000)

        assert stage.log.reads == 5
        assert (page["records"], page["before"]) == ([], 16)
