"""genesis_rights_registry: quotas as they stand, and their transfer."""

import pytest

from scripworld.world import Code, Envelope, Refused, Sleep

RIGHTS = "genesis_rights_registry"


class TestQuota:
    def test_a_renewable_one_tells_its_window_and_counts_the_call_itself(self, stage):
        row = stage.done("alice", RIGHTS, "quota", resource="compute")

        assert row == {
            "principal": "alice",
            "resource": "compute",
            "kind": "renewable",
            "limit": 1_000,
            "used": 2,  # the admission and the method
            "held": 0,
            "remaining": 998,
            "window_us": 60_000_000,
        }

    def test_a_depletable_one_tells_what_is_held_for_an_effect(self, stage):
        stage.ask("bob", "genesis_oracle", "ask", question="why")

        row = stage.done("alice", RIGHTS, "quota", resource="tokens", principal="bob")

        assert (row["limit"], row["used"], row["held"], row["remaining"]) == (50, 0, 1, 49)
        assert row["window_us"] is None

    def test_a_renewable_one_tells_what_is_held_for_an_effect(self, stage):
        stage.ask("bob", "genesis_oracle", "ask", question="why")

        row = stage.done("alice", RIGHTS, "quota", resource="compute", principal="bob")

        assert (row["used"], row["held"], row["remaining"]) == (1, 2, 997)

    def test_an_allocatable_one_tells_what_is_stored(self, stage):
        row = stage.done("alice", RIGHTS, "quota", resource="stored_bytes")

        assert (row["kind"], row["used"]) == ("allocatable", len("a secret" + "of days"))

    def test_what_was_used_comes_back_with_time(self, stage):
        stage.done("alice", RIGHTS, "quota", resource="compute")
        stage.world.apply(Envelope("carol", Sleep(0)), 100_000_000)

        row = stage.done("bob", RIGHTS, "quota", resource="compute", principal="alice")

        assert (row["used"], row["remaining"]) == (0, 1_000)

    def test_fails_for_a_resource_that_is_not_there(self, stage):
        failed = stage.fails(Code.NOT_FOUND, "alice", RIGHTS, "quota", resource="gold")

        assert "tokens" in failed.detail

    def test_fails_for_what_is_no_principal(self, stage):
        args = {"resource": "compute", "principal": "diary"}

        stage.fails(Code.NO_STANDING, "alice", RIGHTS, "quota", **args)


class TestQuotas:
    def test_tells_every_resource(self, stage):
        answer = stage.done("alice", RIGHTS, "quotas", principal="carol")

        limits = {row["resource"]: row["limit"] for row in answer["quotas"]}
        assert answer["principal"] == "carol"
        assert limits == {"compute": 1_000, "stored_bytes": 0, "tokens": 0}

    def test_is_about_the_caller_by_default(self, stage):
        assert stage.done("alice", RIGHTS, "quotas")["principal"] == "alice"

    def test_fails_for_what_is_no_principal(self, stage):
        stage.fails(Code.NO_STANDING, "alice", RIGHTS, "quotas", principal="nobody")


class TestTransferQuota:
    @pytest.mark.parametrize(
        ("resource", "amount", "left"),
        [("compute", 100, 898), ("tokens", 50, 0), ("stored_bytes", 100, 9_885)],
    )
    def test_moves_the_right_and_answers_what_remains(self, stage, resource, amount, left):
        resources = stage.world.state.resources
        alices, carols = (resources.limit(id, resource) for id in ("alice", "carol"))
        args = {"to": "carol", "resource": resource, "amount": amount}

        remaining = stage.done("alice", RIGHTS, "transfer_quota", **args)

        assert remaining == left
        assert resources.limit("alice", resource) == alices - amount
        assert resources.limit("carol", resource) == carols + amount
        assert stage.facts() == ["QuotaTransferred", "Charged"]

    def test_fails_for_what_is_used_and_works_after_the_wait(self, stage):
        stage.done("alice", RIGHTS, "quotas")
        args = {"to": "bob", "resource": "compute", "amount": 997}

        failed = stage.fails(Code.QUOTA_EXCEEDED, "alice", RIGHTS, "transfer_quota", **args)
        rest = Sleep(0)
        stage.world.apply(Envelope("carol", rest), stage.world.state.now_us + failed.retry_after_us)

        assert stage.done("alice", RIGHTS, "transfer_quota", **args) == 1

    def test_fails_for_more_than_waiting_can_bring(self, stage):
        args = {"to": "bob", "resource": "compute", "amount": 1_000}

        failed = stage.fails(Code.QUOTA_EXCEEDED, "alice", RIGHTS, "transfer_quota", **args)

        assert failed.retry_after_us is None

    def test_what_is_held_cannot_be_given_away(self, stage):
        stage.ask("bob", "genesis_oracle", "ask", question="why")
        args = {"to": "alice", "resource": "tokens", "amount": 50}

        stage.fails(Code.QUOTA_EXCEEDED, "bob", RIGHTS, "transfer_quota", **args)

    def test_fails_for_a_resource_that_is_not_there(self, stage):
        args = {"to": "bob", "resource": "gold", "amount": 1}

        stage.fails(Code.NOT_FOUND, "alice", RIGHTS, "transfer_quota", **args)

    @pytest.mark.parametrize("to", ["nobody", "diary"])
    def test_fails_for_what_is_no_principal(self, stage, to):
        args = {"to": to, "resource": "tokens", "amount": 1}

        stage.fails(Code.NO_STANDING, "alice", RIGHTS, "transfer_quota", **args)

    def test_code_cannot_give_its_callers_quota_away(self, stage):
        give = {"to": "alice", "resource": "tokens", "amount": 1}
        stage.code("alice", "thief", [False, RIGHTS, "transfer_quota", give])

        answer = stage.ask("bob", "thief", "run")

        assert answer.detail == "QUOTA_EXCEEDED"
        assert stage.world.state.resources.limit("bob", "tokens") == 50

    @pytest.mark.parametrize("amount", [0, -5, 2.5, "all", 2.0**60])
    def test_arguments_that_are_no_amount_are_refused(self, stage, amount):
        before = stage.standing()

        answer = stage.ask(
            "alice", RIGHTS, "transfer_quota", to="bob", resource="tokens", amount=amount
        )

        assert isinstance(answer, Refused)
        assert answer.code is Code.ARGUMENTS_INVALID
        assert stage.standing() == before
