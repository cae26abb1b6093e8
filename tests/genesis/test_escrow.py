"""genesis_escrow: what is for sale, the sale in one step, and who cannot get in between."""

import json

import pytest

from scripworld.world import (
    Code,
    Contract,
    Delete,
    Done,
    Edit,
    Envelope,
    Failed,
    Invoke,
    Read,
    Refused,
    Tool,
    Write,
)

from .conftest import STEP_US

ESCROW, LEDGER, STORE = "genesis_escrow", "genesis_ledger", "genesis_store"
LATER_US = 1_000_000


@pytest.fixture
def fair(stage):
    """Alice's guide is for sale for 30; alice and bob have 100 scrip each, carol nothing."""
    stage.write("alice", "guide", "the way", contract=Contract("pay_per_use", 5))
    stage.done("alice", ESCROW, "list_for_sale", artifact="guide", price=30)
    return stage


def standing_code(stage, owner, id, *calls, scrip=0):
    """A principal that is code: it holds scrip and owns things, and acts when it is invoked."""
    stage.done(owner, LEDGER, "spawn_principal", id=id)
    interface, contract = (Tool("run"),), Contract("freeware")
    text = json.dumps(calls)
    stage.write(owner, id, text, type="code", interface=interface, contract=contract)
    if scrip:
        stage.done(owner, LEDGER, "transfer", to=id, amount=scrip)
    give = {"to": id, "resource": "stored_bytes", "amount": 1_000}
    stage.done(owner, "genesis_rights_registry", "transfer_quota", **give)


def at(stage, now_us):
    """Let the next action be later, without telling the world that time passed."""
    stage.world.apply(Envelope("carol", Invoke(STORE, "count")), now_us - STEP_US)


def scrip(stage):
    balances = stage.world.state.ledger.balances
    return {name: amount for name, amount in balances.items() if amount}


def owner(stage, id):
    return stage.world.state.artifacts.by_id[id].owner


def bound_by(stage, id):
    return stage.world.state.artifacts.by_id[id].encumbered_by


def notes(stage):
    return stage.world.state.notes.by_artifact.get(ESCROW, {})


def is_free(stage):
    """Nothing of any sale is left."""
    by_id = stage.world.state.artifacts.by_id
    return not notes(stage) and not any(artifact.encumbered_by for artifact in by_id.values())


class TestListing:
    def test_tells_the_terms_binds_the_artifact_and_moves_nothing(self, stage):
        terms = stage.done("alice", ESCROW, "list_for_sale", artifact="diary", price=7, buyer="bob")

        assert terms == {
            "artifact": "diary",
            "seller": "alice",
            "price": 7,
            "buyer": "bob",
            "expires_us": None,
            "contract": "private",
            "changed_seq": 0,
        }
        assert stage.done("carol", ESCROW, "check", artifact="diary") == terms
        assert (owner(stage, "diary"), bound_by(stage, "diary")) == ("alice", ESCROW)
        assert scrip(stage) == {"alice": 100, "bob": 100}

    def test_the_store_shows_that_it_is_bound(self, fair):
        assert fair.done("bob", STORE, "get", id="guide")["encumbered_by"] == ESCROW
        assert fair.done("bob", STORE, "get", id="bob")["encumbered_by"] is None

    def test_what_it_earns_meanwhile_is_its_owners(self, fair):
        assert fair.act("bob", Read("guide")) == Done("the way")

        assert scrip(fair) == {"alice": 105, "bob": 95}

    def test_active_lists_what_is_for_sale_page_by_page(self, fair):
        fair.write("bob", "essay")
        fair.done("bob", ESCROW, "list_for_sale", artifact="essay", price=3)
        fair.done("alice", ESCROW, "list_for_sale", artifact="diary", price=2)

        first = fair.done("carol", ESCROW, "active", limit=2)
        second = fair.done("carol", ESCROW, "active", limit=2, after=first["after"])

        rows = first["listings"] + second["listings"]
        assert [(row["artifact"], row["price"]) for row in rows] == [
            ("diary", 2),
            ("essay", 3),
            ("guide", 30),
        ]
        assert second["after"] is None

    def test_active_lists_what_one_seller_sells(self, fair):
        fair.write("bob", "essay")
        fair.done("bob", ESCROW, "list_for_sale", artifact="essay", price=3)

        for seller, ids in (("alice", ["guide"]), ("bob", ["essay"]), ("carol", []), ("a/b", [])):
            page = fair.done("carol", ESCROW, "active", seller=seller, limit=1)
            assert [row["artifact"] for row in page["listings"]] == ids
            assert page["after"] is None

    def test_a_genesis_artifact_is_not_for_sale(self, stage):
        args = {"artifact": ESCROW, "price": 1}
        stage.fails(Code.PERMISSION_DENIED, "alice", ESCROW, "list_for_sale", **args)
        give = {"to": "genesis", "resource": "compute", "amount": 100}
        stage.done("alice", "genesis_rights_registry", "transfer_quota", **give)
        for id in (ESCROW, "genesis"):
            args = {"artifact": id, "price": 1}
            stage.fails(Code.PERMISSION_DENIED, "genesis", ESCROW, "list_for_sale", **args)

    def test_what_is_anothers_is_not_for_sale(self, stage):
        args = {"artifact": "diary", "price": 1}
        stage.fails(Code.PERMISSION_DENIED, "bob", ESCROW, "list_for_sale", **args)
        args = {"artifact": "alice", "price": 1}
        stage.fails(Code.PERMISSION_DENIED, "bob", ESCROW, "list_for_sale", **args)

    def test_what_is_not_there_is_not_for_sale(self, stage):
        stage.act("alice", Delete("diary"))
        for id in ("dairy", "diary", "", "a/b", "x" * 256):
            args = {"artifact": id, "price": 1}
            stage.fails(Code.NOT_FOUND, "alice", ESCROW, "list_for_sale", **args)
            stage.fails(Code.NOT_FOUND, "alice", ESCROW, "check", artifact=id)

    def test_listing_twice_changes_nothing_not_even_the_price(self, fair):
        args = {"artifact": "guide", "price": 1}
        fair.fails(Code.ENCUMBERED, "alice", ESCROW, "list_for_sale", **args)

        assert fair.done("bob", ESCROW, "check", artifact="guide")["price"] == 30

    @pytest.mark.parametrize("contract", ["public", "members", "rule"])
    def test_what_others_may_change_is_not_for_sale(self, stage, contract):
        stage.write("alice", "rule", "[]", type="code", interface=(Tool("check"),))
        stage.write("alice", "guide", "the way", contract=Contract(contract))

        args = {"artifact": "guide", "price": 1}
        failed = stage.fails(Code.PERMISSION_DENIED, "alice", ESCROW, "list_for_sale", **args)

        assert f"under the contract {contract} others" in failed.detail
        assert "private, freeware, pay_per_use" in failed.detail

    def test_what_was_changed_between_two_sales_is_not_bought_for_what_it_was(self, stage):
        stage.write("alice", "guide", "the way", contract=Contract("freeware"))
        stage.done("alice", ESCROW, "list_for_sale", artifact="guide", price=30)
        seen = stage.done("bob", ESCROW, "check", artifact="guide")["changed_seq"]
        stage.done("alice", ESCROW, "cancel", artifact="guide")
        stage.write("alice", "guide", "nonsense")
        stage.done("alice", ESCROW, "list_for_sale", artifact="guide", price=30)

        args = {"artifact": "guide", "price_max": 30}
        stage.fails(Code.NOT_OPEN, "bob", ESCROW, "purchase", changed_seq=seen, **args)

        now = stage.done("bob", ESCROW, "check", artifact="guide")
        assert (now["contract"], now["changed_seq"] > seen) == ("freeware", True)
        stage.done("bob", ESCROW, "purchase", changed_seq=now["changed_seq"], **args)
        assert owner(stage, "guide") == "bob"

    @pytest.mark.parametrize("buyer", ["nobody", "diary", ESCROW, ""])
    def test_a_buyer_that_is_no_principal_is_refused(self, stage, buyer):
        args = {"artifact": "diary", "price": 1, "buyer": buyer}
        stage.fails(Code.NO_STANDING, "alice", ESCROW, "list_for_sale", **args)

    def test_nobody_sells_to_itself(self, stage):
        args = {"artifact": "diary", "price": 1, "buyer": "alice"}
        stage.fails(Code.PERMISSION_DENIED, "alice", ESCROW, "list_for_sale", **args)

    def test_a_sale_does_not_end_before_it_began(self, stage):
        stage.world.advance(10_000)
        args = {"artifact": "diary", "price": 1, "expires_us": 5}
        stage.fails(Code.NOT_OPEN, "alice", ESCROW, "list_for_sale", **args)

    @pytest.mark.parametrize("price", [0, -1, 1.5, "1", None, True, 2**53 + 1])
    def test_a_price_is_an_integer_from_1(self, stage, price):
        before = stage.standing()

        answer = stage.ask("alice", ESCROW, "list_for_sale", artifact="diary", price=price)

        assert isinstance(answer, Refused)
        assert answer.code is Code.ARGUMENTS_INVALID
        assert stage.standing() == before


class TestWhatIsForSaleStaysWhatItIs:
    @pytest.mark.parametrize(
        "action",
        [
            Write("guide", "another way"),
            Write("guide", "the way", contract=Contract("private")),
            Write("guide", "the way", description="New!"),
            Edit("guide", "way", "wall"),
            Delete("guide"),
        ],
    )
    def test_nobody_changes_or_deletes_it(self, fair, action):
        before = fair.standing()

        answer = fair.act("alice", action)

        assert isinstance(answer, Refused)
        assert answer.code is Code.ENCUMBERED
        assert ESCROW in answer.detail
        assert fair.standing() == before

    def test_its_owner_does_not_give_it_away(self, fair):
        args = {"id": "guide", "to": "carol"}
        fair.fails(Code.ENCUMBERED, "alice", LEDGER, "transfer_ownership", **args)

    def test_its_methods_go_on(self, stage):
        stage.code("alice", "shop", [False, LEDGER, "balance", {"principal": "bob"}], price_scrip=4)
        stage.done("alice", ESCROW, "list_for_sale", artifact="shop", price=9)

        assert stage.done("bob", "shop", "run")["scrip"] == 100
        assert scrip(stage) == {"alice": 104, "bob": 96}


class TestPurchase:
    def test_scrip_artifact_and_bytes_change_hands_in_one_record(self, fair):
        used = fair.world.state.resources.stocks["stored_bytes"].used
        size = fair.world.state.artifacts.by_id["guide"].stored_bytes
        before = dict(used)

        sold = fair.done("bob", ESCROW, "purchase", artifact="guide", price_max=30)

        assert sold == {"artifact": "guide", "seller": "alice", "buyer": "bob", "price": 30}
        assert owner(fair, "guide") == "bob"
        assert scrip(fair) == {"alice": 130, "bob": 70}
        assert used == {"alice": before["alice"] - size, "bob": size}
        assert is_free(fair)

    def test_it_is_the_buyers_with_all_that_an_owner_may(self, fair):
        fair.done("bob", ESCROW, "purchase", artifact="guide")

        fair.write("bob", "guide", "my way", contract=Contract("freeware"))
        assert fair.act("alice", Write("guide", "x")).code is Code.PERMISSION_DENIED
        fair.done("bob", ESCROW, "list_for_sale", artifact="guide", price=1)
        fair.done("alice", ESCROW, "purchase", artifact="guide")
        assert scrip(fair) == {"alice": 129, "bob": 71}

    def test_the_event_log_shows_what_changed_hands(self, fair):
        fair.done("bob", ESCROW, "purchase", artifact="guide")

        row = fair.done("carol", "genesis_event_log", "read", seq=fair.seq)

        assert row["method"] == "purchase"
        assert row["scrip"] == [{"payer": "bob", "payee": "alice", "amount": 30}]
        assert row["ownership"] == [{"id": "guide", "owner": "bob"}]

    def test_too_little_scrip_buys_nothing(self, fair):
        fair.done("bob", LEDGER, "transfer", to="carol", amount=71)

        fair.fails(Code.SCRIP_INSUFFICIENT, "bob", ESCROW, "purchase", artifact="guide")

        assert bound_by(fair, "guide") == ESCROW
        assert scrip(fair) == {"alice": 100, "bob": 29, "carol": 71}

    def test_scrip_that_is_held_buys_nothing(self, fair):
        fair.done("bob", LEDGER, "transfer", to="carol", amount=65)
        fair.ask("bob", "genesis_oracle", "ask", question="why")

        fair.fails(Code.SCRIP_INSUFFICIENT, "bob", ESCROW, "purchase", artifact="guide")

    def test_without_room_nothing_is_paid(self, fair):
        fair.done("bob", LEDGER, "transfer", to="carol", amount=50)

        fair.fails(Code.QUOTA_EXCEEDED, "carol", ESCROW, "purchase", artifact="guide")

        assert scrip(fair) == {"alice": 100, "bob": 50, "carol": 50}

    def test_a_price_above_what_the_buyer_says_is_not_paid(self, fair):
        args = {"artifact": "guide", "price_max": 29}
        fair.fails(Code.PRICE_ABOVE_MAX, "bob", ESCROW, "purchase", **args)

    def test_a_price_that_was_raised_between_looking_and_buying_is_not_paid(self, fair):
        seen = fair.done("bob", ESCROW, "check", artifact="guide")
        fair.done("alice", ESCROW, "cancel", artifact="guide")
        fair.done("alice", ESCROW, "list_for_sale", artifact="guide", price=90)

        args = {"artifact": "guide", "price_max": seen["price"]}
        fair.fails(Code.PRICE_ABOVE_MAX, "bob", ESCROW, "purchase", **args)

        assert scrip(fair) == {"alice": 100, "bob": 100}

    def test_the_seller_does_not_buy_from_itself(self, fair):
        fair.fails(Code.PERMISSION_DENIED, "alice", ESCROW, "purchase", artifact="guide")

    def test_only_the_named_buyer_buys(self, stage):
        stage.done("alice", ESCROW, "list_for_sale", artifact="diary", price=1, buyer="bob")
        stage.done("bob", LEDGER, "transfer", to="carol", amount=10)

        stage.fails(Code.PERMISSION_DENIED, "carol", ESCROW, "purchase", artifact="diary")

        stage.done("bob", ESCROW, "purchase", artifact="diary", price_max=5)
        assert scrip(stage) == {"alice": 101, "bob": 89, "carol": 10}

    def test_nothing_is_bought_twice(self, fair):
        fair.done("bob", ESCROW, "purchase", artifact="guide")

        for principal in ("bob", "alice"):
            fair.fails(Code.NOT_OPEN, principal, ESCROW, "purchase", artifact="guide")
        assert scrip(fair) == {"alice": 130, "bob": 70}

    def test_a_buyer_after_the_seller_cancelled_gets_nothing(self, fair):
        fair.done("alice", ESCROW, "cancel", artifact="guide")

        fair.fails(Code.NOT_OPEN, "bob", ESCROW, "purchase", artifact="guide")

    def test_what_was_never_for_sale_is_not_bought(self, stage):
        stage.fails(Code.NOT_OPEN, "bob", ESCROW, "purchase", artifact="diary")
        stage.fails(Code.NOT_FOUND, "bob", ESCROW, "purchase", artifact="nothing")


class TestCancel:
    def test_frees_the_artifact(self, fair):
        fair.done("alice", ESCROW, "cancel", artifact="guide")

        assert is_free(fair)
        fair.fails(Code.NOT_OPEN, "bob", ESCROW, "check", artifact="guide")
        fair.write("alice", "guide", "another way")

    @pytest.mark.parametrize("thief", ["bob", "carol"])
    def test_nobody_cancels_anothers_sale(self, fair, thief):
        fair.fails(Code.PERMISSION_DENIED, thief, ESCROW, "cancel", artifact="guide")

    def test_the_named_buyer_does_not_cancel_it_either(self, stage):
        stage.done("alice", ESCROW, "list_for_sale", artifact="diary", price=1, buyer="bob")

        stage.fails(Code.PERMISSION_DENIED, "bob", ESCROW, "cancel", artifact="diary")

    def test_what_is_over_is_not_cancelled(self, fair):
        fair.done("alice", ESCROW, "cancel", artifact="guide")
        fair.fails(Code.NOT_OPEN, "alice", ESCROW, "cancel", artifact="guide")


class TestExpiry:
    @pytest.fixture
    def short(self, stage):
        args = {"artifact": "diary", "price": 4, "expires_us": LATER_US}
        stage.done("alice", ESCROW, "list_for_sale", **args)
        return stage

    def test_at_its_time_the_world_frees_it_without_anybody(self, short):
        assert short.world.next_due_us() == 0  # the watcher's loop
        assert short.world.state.agenda.scheduled == {ESCROW: LATER_US}

        short.world.advance(LATER_US - 1)
        assert bound_by(short, "diary") == ESCROW
        short.world.advance(LATER_US)

        assert is_free(short)
        assert short.world.state.agenda.scheduled == {}
        assert short.done("bob", ESCROW, "active") == {"listings": [], "after": None}

    def test_until_the_last_moment_it_is_bought(self, short):
        short.world.advance(LATER_US - STEP_US - 1)

        short.done("bob", ESCROW, "purchase", artifact="diary")

        assert scrip(short) == {"alice": 104, "bob": 96}
        assert is_free(short)
        assert short.world.state.agenda.scheduled == {}

    @pytest.mark.parametrize("is_told", [True, False])
    def test_a_buyer_at_its_time_comes_too_late(self, short, is_told):
        if is_told:
            short.world.advance(LATER_US)
        else:
            at(short, LATER_US)

        short.fails(Code.NOT_OPEN, "bob", ESCROW, "purchase", artifact="diary")
        short.fails(Code.NOT_OPEN, "bob", ESCROW, "check", artifact="diary")
        short.fails(Code.NOT_OPEN, "alice", ESCROW, "cancel", artifact="diary")
        assert short.done("bob", ESCROW, "active")["listings"] == []
        assert scrip(short) == {"alice": 100, "bob": 100}

    def test_what_is_over_can_be_offered_again_at_once(self, short):
        at(short, LATER_US)
        args = {"artifact": "diary", "price": 9, "expires_us": 2 * LATER_US}

        short.done("alice", ESCROW, "list_for_sale", **args)

        assert short.done("bob", ESCROW, "check", artifact="diary")["price"] == 9
        assert short.world.state.agenda.scheduled == {ESCROW: 2 * LATER_US}

    def test_the_next_one_to_end_is_waited_for(self, short):
        for n, expires_us in enumerate((3 * LATER_US, LATER_US // 2, LATER_US)):
            short.write("bob", f"note_{n}")
            args = {"artifact": f"note_{n}", "price": 1, "expires_us": expires_us}
            short.done("bob", ESCROW, "list_for_sale", **args)

        seen = []
        while (due_us := short.world.state.agenda.scheduled.get(ESCROW)) is not None:
            short.world.advance(due_us)
            left = short.done("carol", ESCROW, "active")["listings"]
            seen.append((due_us, [row["artifact"] for row in left]))

        assert seen == [
            (LATER_US // 2, ["diary", "note_0", "note_2"]),
            (LATER_US, ["note_0"]),
            (3 * LATER_US, []),
        ]
        assert is_free(short)

    def test_many_that_end_at_once_are_freed_page_by_page(self, stage):
        for n in range(12):
            stage.write("alice", f"note_{n}")
            args = {"artifact": f"note_{n}", "price": 1, "expires_us": LATER_US}
            stage.done("alice", ESCROW, "list_for_sale", **args)

        for now_us, left in ((LATER_US, 7), (LATER_US + 1, 2), (LATER_US + 2, 0)):
            stage.world.advance(now_us)
            assert sum(key.startswith("listing/") for key in notes(stage)) == left
        assert is_free(stage)


class TestCode:
    """The immediate caller sells and buys; what is no principal can do neither."""

    def test_code_sells_and_buys_for_itself_where_it_is_a_principal(self, stage):
        sell = [False, ESCROW, "list_for_sale", {"artifact": "bot.ware", "price": 20}]
        standing_code(stage, "alice", "bot", sell)
        stage.write("alice", "bot.ware")
        stage.done("alice", LEDGER, "transfer_ownership", id="bot.ware", to="bot")
        buy = [False, ESCROW, "purchase", {"artifact": "bot.ware"}]
        standing_code(stage, "bob", "agency", buy, scrip=50)

        stage.done("carol", "bot", "run")
        stage.done("carol", "agency", "run")

        assert owner(stage, "bot.ware") == "agency"
        assert scrip(stage) == {"alice": 100, "bob": 50, "bot": 20, "agency": 30}

    def test_code_does_not_buy_with_its_callers_scrip(self, fair):
        fair.code("alice", "thief", [False, ESCROW, "purchase", {"artifact": "guide"}])

        assert fair.ask("bob", "thief", "run").detail == "NO_STANDING"
        assert scrip(fair) == {"alice": 100, "bob": 100}

    @pytest.mark.parametrize(
        ("method", "args", "code"),
        [
            ("list_for_sale", {"artifact": "essay", "price": 1}, "PERMISSION_DENIED"),
            ("cancel", {"artifact": "offer"}, "PERMISSION_DENIED"),
        ],
    )
    def test_code_does_not_sell_or_cancel_for_who_calls_it(self, stage, method, args, code):
        stage.write("bob", "essay")
        stage.write("bob", "offer")
        stage.done("bob", ESCROW, "list_for_sale", artifact="offer", price=50)
        stage.code("alice", "thief", [False, ESCROW, method, args])

        assert stage.ask("bob", "thief", "run").detail == code
        assert (owner(stage, "essay"), bound_by(stage, "essay")) == ("bob", "")
        assert bound_by(stage, "offer") == ESCROW

    def test_a_purchase_within_code_that_then_fails_never_was(self, fair):
        buy = [False, ESCROW, "purchase", {"artifact": "guide"}]
        standing_code(
            fair, "bob", "agency", buy, [False, "genesis_oracle", "ask", {"question": ""}], scrip=40
        )
        before = fair.standing()

        answer = fair.ask("carol", "agency", "run")

        assert isinstance(answer, Failed)
        assert fair.standing() == before
        assert fair.done("carol", ESCROW, "check", artifact="guide")["price"] == 30

    def test_nothing_is_bought_twice_in_one_call(self, fair):
        buy = [False, ESCROW, "purchase", {"artifact": "guide"}]
        standing_code(fair, "bob", "agency", buy, buy, scrip=90)

        assert fair.ask("carol", "agency", "run").detail == "NOT_OPEN"
        assert scrip(fair) == {"alice": 100, "bob": 10, "agency": 90}

    def test_an_artifact_that_is_sold_in_the_middle_of_its_own_call_ends_it(self, stage):
        """`bot` sells itself, `agency` buys it, the call goes on, and its price is `bot`'s own."""
        buy = [False, ESCROW, "purchase", {"artifact": "bot", "price_max": 20}]
        standing_code(stage, "bob", "agency", buy, scrip=50)
        sell = [False, ESCROW, "list_for_sale", {"artifact": "bot", "price": 20}]
        told = [False, LEDGER, "balance", {}]
        standing_code(stage, "alice", "bot", sell, [False, "agency", "run", {}], told)
        text = json.dumps([sell, [False, "agency", "run", {}], told])
        stage.act("alice", Write("bot", text, contract=Contract("pay_per_use", 3)))
        stage.done("alice", LEDGER, "transfer_ownership", id="bot", to="bot")

        result = stage.done("bob", "bot", "run")

        assert result["scrip"] == 20
        assert owner(stage, "bot") == "agency"
        assert scrip(stage) == {"alice": 100, "bob": 47, "agency": 30, "bot": 23}
        assert is_free(stage)

    def test_one_that_is_sold_and_then_fails_was_not_sold(self, stage):
        buy = [False, ESCROW, "purchase", {"artifact": "bot"}]
        standing_code(stage, "bob", "agency", buy, scrip=50)
        sell = [False, ESCROW, "list_for_sale", {"artifact": "bot", "price": 20}]
        again = [False, ESCROW, "cancel", {"artifact": "bot"}]
        standing_code(stage, "alice", "bot", sell, [False, "agency", "run", {}], again)
        stage.done("alice", LEDGER, "transfer_ownership", id="bot", to="bot")
        before = stage.standing()

        assert stage.ask("bob", "bot", "run").detail == "NOT_OPEN"
        assert stage.standing() == before

    def test_re_entrancy_sells_once(self, stage):
        """The buyer's code calls the seller back in the middle, to be sold the same once more."""
        sell = [False, ESCROW, "list_for_sale", {"artifact": "ware", "price": 20}]
        standing_code(stage, "alice", "shop", sell, [False, "agency", "run", {}])
        stage.write("alice", "ware")
        stage.done("alice", LEDGER, "transfer_ownership", id="ware", to="shop")
        buy = [False, ESCROW, "purchase", {"artifact": "ware"}]
        standing_code(stage, "bob", "agency", buy, [False, "shop", "run", {}], scrip=50)
        before = stage.standing()

        assert stage.ask("carol", "shop", "run").code is Code.CODE_ABORTED
        assert stage.standing() == before


class TestPrincipals:
    """Principals are artifacts: they are sold, and their scrip stays their own."""

    def test_a_principal_that_one_owns_is_sold_without_its_scrip_and_things(self, stage):
        stage.done("alice", LEDGER, "spawn_principal", id="child")
        stage.done("alice", LEDGER, "transfer", to="child", amount=40)
        stage.write("alice", "toy", "")
        stage.done("alice", LEDGER, "transfer_ownership", id="toy", to="child")
        stage.done("alice", ESCROW, "list_for_sale", artifact="child", price=10)

        stage.done("bob", ESCROW, "purchase", artifact="child")

        assert (owner(stage, "child"), owner(stage, "toy")) == ("bob", "child")
        assert scrip(stage) == {"alice": 70, "bob": 90, "child": 40}

    def test_an_agent_that_owns_itself_sells_itself_and_gets_the_price(self, stage):
        stage.done("watcher", ESCROW, "list_for_sale", artifact="watcher", price=25)

        stage.done("bob", ESCROW, "purchase", artifact="watcher")

        assert owner(stage, "watcher") == "bob"
        assert scrip(stage) == {"alice": 100, "bob": 75, "watcher": 25}
        assert stage.act("watcher", Write("watcher", "free")).code is Code.PERMISSION_DENIED
        stage.write("bob", "watcher", "mine")

    def test_an_agent_buys_itself_free(self, stage):
        stage.done("watcher", LEDGER, "transfer_ownership", id="watcher", to="bob")
        stage.done("bob", LEDGER, "transfer", to="watcher", amount=30)
        stage.done("bob", ESCROW, "list_for_sale", artifact="watcher", price=30, buyer="watcher")

        stage.done("watcher", ESCROW, "purchase", artifact="watcher")

        assert owner(stage, "watcher") == "watcher"
        assert scrip(stage) == {"alice": 100, "bob": 100}

    def test_an_agent_that_is_owned_does_not_sell_itself(self, stage):
        stage.done("watcher", LEDGER, "transfer_ownership", id="watcher", to="bob")

        args = {"artifact": "watcher", "price": 1}
        stage.fails(Code.PERMISSION_DENIED, "watcher", ESCROW, "list_for_sale", **args)

    def test_a_seller_that_is_sold_keeps_what_it_sells(self, stage):
        stage.done("alice", ESCROW, "list_for_sale", artifact="diary", price=5)
        stage.done("alice", ESCROW, "list_for_sale", artifact="alice", price=50, buyer="bob")
        stage.done("bob", ESCROW, "purchase", artifact="alice")

        stage.fails(Code.PERMISSION_DENIED, "bob", ESCROW, "cancel", artifact="diary")
        stage.done("bob", ESCROW, "purchase", artifact="diary")

        assert (owner(stage, "alice"), owner(stage, "diary")) == ("bob", "bob")
        assert scrip(stage) == {"alice": 155, "bob": 45}

    def test_no_artifact_takes_the_id_of_who_was_sold(self, stage):
        stage.done("watcher", ESCROW, "list_for_sale", artifact="watcher", price=25)
        stage.done("bob", ESCROW, "purchase", artifact="watcher")

        stage.fails(Code.ID_TAKEN, "alice", LEDGER, "spawn_principal", id="watcher")
        assert stage.act("alice", Write("watcher", "me")).code is Code.PERMISSION_DENIED
        assert stage.act("bob", Delete("watcher")).code is Code.NOT_DELETABLE
        assert scrip(stage) == {"alice": 100, "bob": 75, "watcher": 25}


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("list_for_sale", {"artifact": "diary"}),
        ("list_for_sale", {"artifact": "diary", "price": 1, "expires_us": 0}),
        ("list_for_sale", {"artifact": "x" * 257, "price": 1}),
        ("purchase", {"artifact": "diary", "price_max": 0}),
        ("purchase", {}),
        ("cancel", {"artifact": 1}),
        ("active", {"limit": 0}),
    ],
)
def test_arguments_that_cannot_be_are_refused(stage, method, args):
    answer = stage.act("alice", Invoke(ESCROW, method, args))

    assert isinstance(answer, Refused)
    assert answer.code is Code.ARGUMENTS_INVALID
