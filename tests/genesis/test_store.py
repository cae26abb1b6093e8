"""genesis_store: finding artifacts, without ever showing what they hold."""

import pytest

from scripworld.world import ArtifactSpec, Code, Contract, Delete, Done, Edit, Refused, Tool

STORE = "genesis_store"
SHOP_TOOL = Tool("run", "Runs.", {"type": "object", "properties": {"n": {"type": "integer"}}})


@pytest.fixture
def market(stage):
    """Alice's artifacts under each contract; 'diary' is private and there from the beginning."""
    stage.write("alice", "atlas", "secret", contract=Contract("pay_per_use", 5), description="Maps")
    stage.write("alice", "bulletin", "secret", contract=Contract("public"), description="News")
    stage.write("alice", "club", "secret", contract=Contract("members", 0, ("bob",)))
    stage.write("bob", "essay", "secret", contract=Contract("freeware"), description="On maps")
    shop = {"type": "code", "interface": (SHOP_TOOL,), "contract": Contract("pay_per_use", 3)}
    stage.write("bob", "shop", "[]", **shop)
    return stage


def ids(page):
    return [row["id"] for row in page["artifacts"]]


def walk(stage, method, **args):
    """Every page of a method until its end."""
    page = stage.done("carol", STORE, method, **args)
    found = ids(page)
    while page["after"] is not None:
        page = stage.done("carol", STORE, method, after=page["after"], **args)
        found += ids(page)
    return found


class TestList:
    def test_goes_through_all_artifacts_in_order_page_by_page(self, market):
        found = walk(market, "list", limit=4)

        assert found == sorted(market.world.state.artifacts.by_id)

    def test_of_one_owner(self, market):
        page = market.done("carol", STORE, "list", owner="bob")

        assert ids(page) == ["bob", "essay", "shop"]
        assert page["after"] is None

    def test_of_one_type(self, market):
        assert ids(market.done("carol", STORE, "list", type="code")) == ["shop"]

    def test_of_one_owner_and_one_type(self, market):
        page = market.done("carol", STORE, "list", owner="alice", type="text", limit=3)

        assert ids(page) == ["atlas", "bulletin", "club"]
        assert walk(market, "list", owner="alice", type="text", limit=2) == [
            "atlas",
            "bulletin",
            "club",
            "diary",
        ]

    def test_of_nobody_is_empty(self, market):
        assert market.done("carol", STORE, "list", owner="nobody") == {
            "artifacts": [],
            "after": None,
        }

    def test_gives_no_more_rows_than_the_world_allows(self, market):
        assert len(ids(market.done("carol", STORE, "list", limit=1_000))) == 5

    def test_a_row_tells_what_it_costs_the_caller(self, market):
        rows = market.done("carol", STORE, "list", owner="alice")["artifacts"]

        prices = {row["id"]: row["read_scrip"] for row in rows}
        assert prices == {"alice": None, "atlas": 5, "bulletin": 0, "club": None, "diary": None}

    def test_forgets_what_was_deleted(self, market):
        market.act("alice", Delete("diary"))

        assert "diary" not in walk(market, "list", owner="alice")


class TestSearch:
    def test_finds_words_of_ids_types_and_descriptions_in_any_case(self, market):
        assert walk(market, "search", query="MAPS") == ["atlas", "essay"]
        assert walk(market, "search", query="on maps!") == ["essay"]
        assert walk(market, "search", query="bulletin text") == ["bulletin"]

    def test_goes_on_behind_a_page(self, market):
        first = market.done("carol", STORE, "search", query="maps", limit=1)

        assert ids(first) == ["atlas"]
        assert walk(market, "search", query="maps", limit=1) == ["atlas", "essay"]

    def test_never_finds_content(self, market):
        assert walk(market, "search", query="secret") == []

    def test_finds_nothing_without_a_word(self, market):
        assert walk(market, "search", query="...") == []

    def test_a_query_that_is_too_long_is_refused(self, market):
        answer = market.ask("carol", STORE, "search", query="x" * 201)

        assert isinstance(answer, Refused)

    def test_a_page_that_looked_at_enough_says_where_to_go_on(self, begin):
        red = [ArtifactSpec(f"n{n:04}", "alice", description="red") for n in range(2_100)]
        blue = [ArtifactSpec(f"z{n:04}", "alice", description="blue") for n in range(2_200)]
        both = ArtifactSpec("n9999", "alice", description="red blue")
        stage = begin(artifacts=(*red, *blue, both))

        page = stage.done("carol", STORE, "search", query="red blue")

        assert (ids(page), page["after"]) == ([], "n1999")
        assert walk(stage, "search", query="red blue") == ["n9999"]


class TestGet:
    def test_tells_what_is_known_besides_the_content(self, market):
        assert market.done("carol", STORE, "get", id="atlas") == {
            "id": "atlas",
            "type": "text",
            "owner": "alice",
            "description": "Maps",
            "contract": "pay_per_use",
            "encumbered_by": None,
            "read_scrip": 5,
            "invoke_scrip": None,
            "standing": False,
            "stored_bytes": 10,
            "can_execute": False,
            "may_read": True,
            "may_invoke": False,
        }

    def test_tells_that_a_private_artifact_is_there_and_not_for_the_caller(self, market):
        row = market.done("carol", STORE, "get", id="diary")

        assert (row["description"], row["may_read"]) == ("of days", False)

    def test_the_owner_pays_nothing(self, market):
        assert market.done("alice", STORE, "get", id="atlas")["read_scrip"] == 0

    def test_a_member_may_read(self, market):
        assert market.done("bob", STORE, "get", id="club")["may_read"]

    def test_what_can_be_invoked_has_a_price_for_it(self, market):
        row = market.done("carol", STORE, "get", id="shop")

        assert (row["can_execute"], row["may_invoke"], row["invoke_scrip"]) == (True, True, 3)

    def test_a_principal_has_standing(self, market):
        assert market.done("carol", STORE, "get", id="bob")["standing"]

    @pytest.mark.parametrize("id", ["nothing", "", "diary "])
    def test_fails_for_what_is_not_there(self, market, id):
        market.fails(Code.NOT_FOUND, "carol", STORE, "get", id=id)

    def test_fails_for_what_was_deleted(self, market):
        market.act("alice", Delete("diary"))

        failed = market.fails(Code.NOT_FOUND, "carol", STORE, "get", id="diary")

        assert "deleted" in failed.detail


class TestCount:
    def test_counts_all_or_of_one_owner_or_of_one_type(self, market):
        assert market.done("carol", STORE, "count") == len(market.world.state.artifacts.by_id)
        assert market.done("carol", STORE, "count", owner="bob") == 3
        assert market.done("carol", STORE, "count", type="code") == 1
        assert market.done("carol", STORE, "count", owner="nobody") == 0

    def test_of_both_is_refused(self, market):
        answer = market.ask("carol", STORE, "count", owner="bob", type="code")

        assert isinstance(answer, Refused)
        assert answer.code is Code.ARGUMENTS_INVALID


class TestInterface:
    def test_tells_methods_prices_and_costs_to_everyone(self, market):
        assert market.done("carol", STORE, "interface", id="shop") == {
            "id": "shop",
            "type": "code",
            "can_execute": True,
            "interface": {
                "tools": [
                    {
                        "name": "run",
                        "description": "Runs.",
                        "inputSchema": {
                            "type": "object",
                            "properties": {"n": {"type": "integer"}},
                        },
                    }
                ]
            },
            "contract": "pay_per_use",
            "price_scrip": 3,
            "costs": {"run": {"resources": {"compute": 1}, "price_scrip": 0}},
        }

    def test_of_a_genesis_artifact_shows_the_configured_costs(self, market):
        answer = market.done("carol", STORE, "interface", id="genesis_oracle")

        assert answer["costs"] == {
            "ask": {"resources": {"compute": 2, "tokens": 1}, "price_scrip": 7}
        }

    def test_of_what_has_no_methods_is_empty(self, market):
        answer = market.done("carol", STORE, "interface", id="diary")

        assert (answer["can_execute"], answer["interface"]) == (False, {"tools": []})

    def test_every_genesis_artifact_describes_each_method_and_bounds_each_argument(self, market):
        bounded = {"string": "maxLength", "integer": "minimum"}
        found = [id for id in walk(market, "list", type="genesis") if id != "genesis_oracle"]

        for id in found:
            for tool in market.done("bob", STORE, "interface", id=id)["interface"]["tools"]:
                assert tool["description"].endswith("."), tool
                for argument in tool["inputSchema"]["properties"].values():
                    assert bounded[argument["type"]] in argument, tool
        assert len(found) == 6

    def test_fails_for_what_is_not_there(self, market):
        market.fails(Code.NOT_FOUND, "carol", STORE, "interface", id="nothing")


def test_no_method_ever_shows_content(market):
    market.act("alice", Edit("diary", "a secret", "a secret word"))

    answers = [
        market.ask("carol", STORE, "list", owner="alice"),
        market.ask("carol", STORE, "get", id="diary"),
        market.ask("carol", STORE, "search", query="diary"),
        market.ask("carol", STORE, "interface", id="diary"),
        market.ask("alice", STORE, "get", id="diary"),
    ]

    assert all(isinstance(answer, Done) for answer in answers)
    assert not any("secret" in repr(answer) for answer in answers)
