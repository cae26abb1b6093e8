"""genesis_ledger: every method, every failure, and that a failure changes nothing."""

import pytest

from scripworld.world import (
    Code,
    Contract,
    Delete,
    Done,
    Invoke,
    Limits,
    Read,
    Refused,
    Stop,
    Write,
)

LEDGER = "genesis_ledger"


class TestBalance:
    def test_tells_the_callers_own_scrip_by_default(self, stage):
        row = stage.done("alice", LEDGER, "balance")

        assert row == {"principal": "alice", "scrip": 100, "held": 0}

    def test_tells_everyones_scrip(self, stage):
        row = stage.done("alice", LEDGER, "balance", principal="carol")

        assert row == {"principal": "carol", "scrip": 0, "held": None}

    def test_tells_what_is_held_for_a_payment_under_way(self, stage):
        stage.ask("bob", "genesis_oracle", "ask", question="why")

        row = stage.done("bob", LEDGER, "balance")

        assert row == {"principal": "bob", "scrip": 100, "held": 7}

    def test_tells_nobody_else_what_is_held(self, stage):
        stage.ask("bob", "genesis_oracle", "ask", question="why")

        row = stage.done("alice", LEDGER, "balance", principal="bob")

        assert row == {"principal": "bob", "scrip": 100, "held": None}

    @pytest.mark.parametrize("principal", ["nobody", "diary", ""])
    def test_fails_for_what_is_no_principal(self, stage, principal):
        stage.fails(Code.NO_STANDING, "alice", LEDGER, "balance", principal=principal)

    def test_fails_for_code_that_asks_for_its_own(self, stage):
        stage.code("alice", "purse", [False, LEDGER, "balance", {}])

        answer = stage.ask("bob", "purse", "run")

        assert answer.detail == "NO_STANDING"


class TestBalances:
    def test_goes_through_all_principals_in_order_page_by_page(self, stage):
        first = stage.done("alice", LEDGER, "balances", limit=3)
        second = stage.done("alice", LEDGER, "balances", limit=3, after=first["after"])

        rows = first["balances"] + second["balances"]
        assert [row["principal"] for row in rows] == ["alice", "bob", "carol", "genesis", "watcher"]
        assert sum(row["scrip"] for row in rows) == 200
        assert second["after"] is None

    def test_ends_where_a_page_is_just_full(self, stage):
        assert stage.done("alice", LEDGER, "balances", limit=5)["after"] is None

    def test_gives_no_more_rows_than_the_world_allows(self, stage):
        for n in range(4):
            stage.done("alice", LEDGER, "spawn_principal", id=f"p{n}")

        assert len(stage.done("alice", LEDGER, "balances", limit=1_000)["balances"]) == 5
        assert len(stage.done("alice", LEDGER, "balances")["balances"]) == 5


class TestTransfer:
    def test_moves_scrip_and_answers_what_is_left(self, stage):
        left = stage.done("alice", LEDGER, "transfer", to="carol", amount=30)

        assert left == 70
        assert stage.world.state.ledger.balances["carol"] == 30
        assert stage.facts() == ["ScripTransferred", "Charged"]

    def test_answers_what_can_be_spent_without_what_is_held(self, stage):
        stage.ask("bob", "genesis_oracle", "ask", question="why")

        assert stage.done("bob", LEDGER, "transfer", to="alice", amount=3) == 90

    def test_everything_can_be_paid(self, stage):
        assert stage.done("alice", LEDGER, "transfer", to="bob", amount=100) == 0

    def test_paying_oneself_changes_nothing(self, stage):
        assert stage.done("alice", LEDGER, "transfer", to="alice", amount=100) == 100

    def test_fails_for_more_than_there_is(self, stage):
        failed = stage.fails(
            Code.SCRIP_INSUFFICIENT, "alice", LEDGER, "transfer", to="bob", amount=101
        )

        assert "100" in failed.detail

    @pytest.mark.parametrize("payee", ["nobody", "diary", "Alice", LEDGER])
    def test_fails_for_what_is_no_principal(self, stage, payee):
        stage.fails(Code.NO_STANDING, "alice", LEDGER, "transfer", to=payee, amount=1)

    def test_code_cannot_pay_with_its_callers_scrip(self, stage):
        stage.code("alice", "thief", [False, LEDGER, "transfer", {"to": "alice", "amount": 1}])

        answer = stage.ask("bob", "thief", "run")

        assert answer.detail == "SCRIP_INSUFFICIENT"
        assert stage.world.state.ledger.balances["bob"] == 100

    @pytest.mark.parametrize("amount", [0, -1, 1.5, "1", True, None, 2**53 + 1, 2.0**60, 1e300])
    def test_arguments_that_are_no_amount_are_refused(self, stage, amount):
        before = stage.standing()

        answer = stage.ask("alice", LEDGER, "transfer", to="bob", amount=amount)

        assert isinstance(answer, Refused)
        assert answer.code is Code.ARGUMENTS_INVALID
        assert stage.standing() == before


class TestSpawnPrincipal:
    def test_makes_a_principal_of_the_caller_without_scrip_or_quotas(self, stage):
        result = stage.done("alice", LEDGER, "spawn_principal", id="child", description="helps")

        state = stage.world.state
        assert result == {"principal": "child", "owner": "alice"}
        assert state.artifacts.by_id["child"].standing
        assert state.artifacts.by_id["child"].description == "helps"
        assert state.ledger.balances["child"] == 0
        assert all(state.resources.limit("child", name) == 0 for name in state.resources.kinds)

    def test_the_description_takes_stored_bytes_of_who_acts(self, stage):
        used = stage.world.state.resources.stocks["stored_bytes"].used
        before = used["alice"]

        stage.done("alice", LEDGER, "spawn_principal", id="child", description="hélps")

        assert used["alice"] == before + 6

    def test_code_makes_principals_for_its_owner_who_stores_them(self, stage):
        spawn = [False, LEDGER, "spawn_principal", {"id": "child", "description": "x"}]
        stage.code("alice", "nursery", spawn)

        result = stage.done("bob", "nursery", "run")

        assert result == {"principal": "child", "owner": "alice"}
        assert stage.world.state.artifacts.by_id["child"].stored_for == "alice"

    def test_the_child_can_be_given_scrip_and_quota_and_then_acts(self, stage):
        stage.done("alice", LEDGER, "spawn_principal", id="child")
        stage.done("alice", LEDGER, "transfer", to="child", amount=10)
        give = {"to": "child", "resource": "compute", "amount": 100}
        stage.done("alice", "genesis_rights_registry", "transfer_quota", **give)

        assert stage.done("child", LEDGER, "transfer", to="bob", amount=4) == 6

    @pytest.mark.parametrize("id", ["alice", "diary", LEDGER, "genesis"])
    def test_fails_for_an_id_that_is_taken(self, stage, id):
        stage.fails(Code.ID_TAKEN, "alice", LEDGER, "spawn_principal", id=id)

    def test_fails_for_the_id_of_what_was_deleted(self, stage):
        stage.write("alice", "note")
        delete(stage, "alice", "note")

        failed = stage.fails(Code.ID_TAKEN, "alice", LEDGER, "spawn_principal", id="note")

        assert "deleted" in failed.detail

    @pytest.mark.parametrize("id", ["", "Child", "1st", "a b", "x" * 65, "é"])
    def test_fails_for_what_is_no_id(self, stage, id):
        stage.fails(Code.ID_INVALID, "alice", LEDGER, "spawn_principal", id=id)

    def test_fails_for_a_description_that_is_too_long(self, stage):
        args = {"id": "child", "description": "x" * 401}

        stage.fails(Code.DEFINITION_INVALID, "alice", LEDGER, "spawn_principal", **args)

    def test_fails_without_room_for_the_description(self, stage):
        args = {"id": "child", "description": "x"}

        stage.fails(Code.QUOTA_EXCEEDED, "carol", LEDGER, "spawn_principal", **args)


class TestSpawnAgent:
    MIND = '{"mind": "miser", "params": {"rest_s": 2}}'

    def test_makes_an_agent_of_the_caller_without_scrip_or_quotas(self, stage):
        args = {"id": "child", "content": self.MIND, "description": "saves"}

        assert stage.done("alice", LEDGER, "spawn_agent", **args) == {
            "principal": "child",
            "owner": "alice",
        }
        state = stage.world.state
        child = state.artifacts.by_id["child"]
        assert (child.loop, child.standing, child.owner) == (True, True, "alice")
        assert child.content == self.MIND
        assert state.ledger.balances["child"] == 0
        assert all(state.resources.limit("child", name) == 0 for name in state.resources.kinds)
        assert "child" in stage.world.due(state.now_us)

    def test_its_owner_reads_and_rewrites_it_and_it_itself_does_not(self, stage):
        stage.done("alice", LEDGER, "spawn_agent", id="child", content=self.MIND)
        give = {"to": "child", "resource": "compute", "amount": 100}
        stage.done("alice", "genesis_rights_registry", "transfer_quota", **give)

        assert stage.act("alice", Read("child")) == Done(self.MIND)
        stage.write("alice", "child", '{"mind": "spender"}')
        assert stage.act("child", Read("child")).code is Code.PERMISSION_DENIED
        assert stage.act("child", Write("child", "x")).code is Code.PERMISSION_DENIED

    @pytest.mark.parametrize("more", ["", "x" * 2_000])
    def test_makes_one_like_an_agent_that_the_caller_may_read(self, stage, more):
        text = self.MIND + more.replace("x", " ")
        stage.done("alice", LEDGER, "spawn_agent", id="child", content=text)
        stage.act("alice", Write("child", text, contract=Contract("freeware")))

        stage.done("bob", LEDGER, "spawn_agent", id="grandchild", like="child")

        state = stage.world.state
        made = state.artifacts.by_id["grandchild"]
        assert (stage.world.text(made.content), made.owner, made.contract) == (
            text,
            "bob",
            Contract("private"),
        )

    def test_like_what_one_may_not_read_fails(self, stage):
        stage.done("alice", LEDGER, "spawn_agent", id="child", content=self.MIND)
        args = {"id": "thief", "like": "child"}
        stage.fails(Code.PERMISSION_DENIED, "bob", LEDGER, "spawn_agent", **args)

    def test_like_what_has_a_price_costs_what_reading_it_costs(self, stage):
        stage.done("alice", LEDGER, "spawn_agent", id="child", content=self.MIND)
        stage.act("alice", Write("child", self.MIND, contract=Contract("pay_per_use", 5)))
        args = {"id": "copy", "like": "child"}
        stage.fails(Code.PRICE_ABOVE_MAX, "bob", LEDGER, "spawn_agent", price_max=4, **args)
        stage.done("bob", LEDGER, "transfer", to="carol", amount=98)
        stage.fails(Code.SCRIP_INSUFFICIENT, "bob", LEDGER, "spawn_agent", **args)
        stage.done("carol", LEDGER, "transfer", to="bob", amount=98)

        stage.done("bob", LEDGER, "spawn_agent", price_max=5, **args)

        balances = stage.world.state.ledger.balances
        assert (balances["bob"], balances["child"], balances["alice"]) == (95, 5, 100)

    def test_like_what_is_not_there_or_no_agent_fails(self, stage):
        args = {"id": "child", "like": "nobody"}
        stage.fails(Code.NOT_FOUND, "alice", LEDGER, "spawn_agent", **args)
        args = {"id": "child", "like": "diary"}
        stage.fails(Code.DEFINITION_INVALID, "alice", LEDGER, "spawn_agent", **args)

    @pytest.mark.parametrize(
        "content",
        ["", "x", "5", "{}", '{"mind": 5}', '["mind"]', "[" * 100_000, '{"mind":"m"'],
    )
    def test_content_that_names_no_mind_fails(self, stage, content):
        args = {"id": "child", "content": content}
        stage.fails(Code.DEFINITION_INVALID, "alice", LEDGER, "spawn_agent", **args)

    def test_either_content_or_like_is_given(self, stage):
        for more in ({}, {"content": self.MIND, "like": "watcher"}):
            args = {"id": "child", **more}
            stage.fails(Code.DEFINITION_INVALID, "alice", LEDGER, "spawn_agent", **args)

    @pytest.mark.parametrize(
        ("args", "code"),
        [
            ({"id": "diary"}, Code.ID_TAKEN),
            ({"id": "bob"}, Code.ID_TAKEN),
            ({"id": "No Id"}, Code.ID_INVALID),
            ({"id": "child", "description": "x" * 401}, Code.DEFINITION_INVALID),
            ({"id": "child", "content": MIND + " " * 20_000}, Code.QUOTA_EXCEEDED),
        ],
    )
    def test_what_no_principal_can_be_no_agent_can_be(self, stage, args, code):
        args = {"content": self.MIND, **args}
        stage.fails(code, "alice", LEDGER, "spawn_agent", **args)

    def test_there_are_no_more_agents_than_the_world_holds(self, begin):
        stage = begin(limits=Limits(agents_max=3))
        for n in range(2):
            stage.done("alice", LEDGER, "spawn_agent", id=f"c{n}", content=self.MIND)

        args = {"id": "c2", "content": self.MIND}
        stage.fails(Code.QUOTA_EXCEEDED, "alice", LEDGER, "spawn_agent", **args)

    def test_one_principal_makes_so_many_agents_also_where_it_gives_them_away(self, begin):
        stage = begin(limits=Limits(agents_per_principal_max=2))
        for n in range(2):
            stage.done("alice", LEDGER, "spawn_agent", id=f"c{n}", content=self.MIND)
        stage.done("alice", LEDGER, "transfer_ownership", id="c0", to="c0")
        stage.done("alice", LEDGER, "transfer_ownership", id="c1", to="bob")

        args = {"id": "c2", "content": self.MIND}
        failed = stage.fails(Code.QUOTA_EXCEEDED, "alice", LEDGER, "spawn_agent", **args)

        assert "alice has 2 agents" in failed.detail
        stage.done("bob", LEDGER, "spawn_agent", **args)

    def test_an_agent_that_stopped_makes_room_for_another(self, begin):
        stage = begin(limits=Limits(agents_per_principal_max=1))
        stage.done("alice", LEDGER, "spawn_agent", id="c0", content=self.MIND)
        give = {"to": "c0", "resource": "compute", "amount": 10}
        stage.done("alice", "genesis_rights_registry", "transfer_quota", **give)
        assert stage.act("c0", Stop("done")) == Done()

        stage.done("alice", LEDGER, "spawn_agent", id="c1", content=self.MIND)

    def test_code_makes_agents_for_its_owner_and_takes_them_back_where_it_fails(self, stage):
        breed = [False, LEDGER, "spawn_agent", {"id": "child", "content": self.MIND}]
        stage.code("alice", "nursery", breed, breed)
        before = stage.standing()

        assert stage.ask("bob", "nursery", "run").detail == "ID_TAKEN"

        assert stage.standing() == before
        assert "child" not in stage.world.state.agenda.due_us
        stage.code("alice", "kindergarten", breed)
        assert stage.done("bob", "kindergarten", "run")["owner"] == "alice"


class TestTransferOwnership:
    def test_gives_an_artifact_away_and_its_bytes_stay_until_it_is_written(self, stage):
        used = stage.world.state.resources.stocks["stored_bytes"].used
        size = stage.world.state.artifacts.by_id["diary"].stored_bytes

        result = stage.done("alice", LEDGER, "transfer_ownership", id="diary", to="bob")

        assert result == {"id": "diary", "owner": "bob"}
        assert stage.world.state.artifacts.by_id["diary"].owner == "bob"
        assert used == {"alice": size}
        stage.write("bob", "diary", "mine")
        assert used == {"bob": stage.world.state.artifacts.by_id["diary"].stored_bytes}

    def test_what_it_earns_goes_to_the_new_owner(self, stage):
        stage.write("alice", "guide", contract=Contract("pay_per_use", 5))
        stage.done("alice", LEDGER, "transfer_ownership", id="guide", to="bob")

        stage.act("alice", Read("guide"))

        balances = stage.world.state.ledger.balances
        assert (balances["alice"], balances["bob"]) == (95, 105)

    def test_a_principal_that_one_owns_can_be_given_away(self, stage):
        stage.done("alice", LEDGER, "spawn_principal", id="child")

        stage.done("alice", LEDGER, "transfer_ownership", id="child", to="bob")

        assert stage.world.state.artifacts.by_id["child"].owner == "bob"

    def test_a_principal_can_be_given_to_itself(self, stage):
        stage.done("alice", LEDGER, "spawn_principal", id="child")

        stage.done("alice", LEDGER, "transfer_ownership", id="child", to="child")

        assert stage.world.state.artifacts.by_id["child"].owner == "child"

    def test_fails_for_who_is_not_the_owner(self, stage):
        args = {"id": "diary", "to": "bob"}

        stage.fails(Code.PERMISSION_DENIED, "bob", LEDGER, "transfer_ownership", **args)

    def test_fails_for_code_that_acts_for_the_owner(self, stage):
        give = {"id": "diary", "to": "bob"}
        stage.code("alice", "agent", [False, LEDGER, "transfer_ownership", give])

        assert stage.ask("alice", "agent", "run").detail == "PERMISSION_DENIED"

    def test_who_gives_itself_away_keeps_its_scrip_and_what_it_owns(self, stage):
        stage.done("alice", LEDGER, "transfer_ownership", id="alice", to="bob")

        by_id, balances = stage.world.state.artifacts.by_id, stage.world.state.ledger.balances
        assert (by_id["alice"].owner, by_id["diary"].owner) == ("bob", "alice")
        assert (balances["alice"], balances["bob"]) == (100, 100)
        stage.write("bob", "alice", "mine")
        args = {"id": "alice", "to": "carol"}
        stage.fails(Code.PERMISSION_DENIED, "alice", LEDGER, "transfer_ownership", **args)

    def test_fails_for_a_genesis_artifact(self, stage):
        args = {"id": LEDGER, "to": "alice"}

        stage.fails(Code.PERMISSION_DENIED, "alice", LEDGER, "transfer_ownership", **args)

    def test_fails_for_a_genesis_artifact_even_when_genesis_asks(self, begin):
        stage = begin()
        give = {"to": "genesis", "resource": "compute", "amount": 100}
        stage.done("alice", "genesis_rights_registry", "transfer_quota", **give)
        args = {"id": LEDGER, "to": "alice"}

        stage.fails(Code.PERMISSION_DENIED, "genesis", LEDGER, "transfer_ownership", **args)

    @pytest.mark.parametrize("to", ["nobody", "diary"])
    def test_fails_for_a_new_owner_that_is_no_principal(self, stage, to):
        args = {"id": "diary", "to": to}

        stage.fails(Code.NO_STANDING, "alice", LEDGER, "transfer_ownership", **args)

    def test_a_new_owner_needs_no_room_and_cannot_be_filled_up(self, stage):
        stage.done("alice", LEDGER, "transfer_ownership", id="diary", to="carol")

        diary = stage.world.state.artifacts.by_id["diary"]
        assert (diary.owner, diary.stored_for) == ("carol", "alice")

    def test_fails_for_what_is_not_there(self, stage):
        args = {"id": "dairy", "to": "bob"}

        stage.fails(Code.NOT_FOUND, "alice", LEDGER, "transfer_ownership", **args)

    def test_fails_for_what_was_deleted(self, stage):
        delete(stage, "alice", "diary")

        failed = stage.fails(
            Code.NOT_FOUND, "alice", LEDGER, "transfer_ownership", id="diary", to="bob"
        )

        assert "deleted" in failed.detail


class TestBoundsOfArguments:
    @pytest.mark.parametrize(
        ("method", "args"),
        [
            ("balance", {"principal": "x" * 257}),
            ("balance", {"who": "alice"}),
            ("balances", {"limit": 0}),
            ("transfer", {"to": "bob"}),
            ("spawn_principal", {"id": "child", "description": "x" * 2_001}),
            ("transfer_ownership", {"id": "diary", "to": 1}),
        ],
    )
    def test_what_the_schema_does_not_allow_is_refused(self, stage, method, args):
        answer = stage.act("alice", Invoke(LEDGER, method, args))

        assert isinstance(answer, Refused)
        assert answer.code is Code.ARGUMENTS_INVALID


def delete(stage, principal, id):
    assert stage.act(principal, Delete(id)) == Done()
