"""genesis_handbook: written from the world, complete, and honest about it."""

import pytest

from scripworld.genesis import CODES
from scripworld.world import CONTRACTS, Code, Cost

HANDBOOK = "genesis_handbook"
TOPICS = ["overview", "actions", "contracts", "codes", "resources", "trading"]


def page(stage, topic):
    return stage.done("alice", HANDBOOK, "read", topic=topic)


def test_without_a_topic_it_gives_the_overview_with_all_topics_and_artifacts(stage):
    text = stage.done("alice", HANDBOOK, "read")

    assert text == page(stage, "overview")
    assert "You are alice." in text
    for name in (*TOPICS[1:], *stage.world.natives):
        assert name in text


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_is_short_and_plain(stage, topic):
    text = page(stage, topic)

    assert 100 < len(text) < 6_000
    assert text.endswith("\n")
    assert "{" not in text and "None" not in text


def test_every_code_has_its_line_with_a_meaning_and_an_advice():
    assert list(CODES) == list(Code)
    assert all(meaning and advice for meaning, advice in CODES.values())


def test_the_page_on_codes_has_a_line_for_each_in_order_of_precedence(stage):
    lines = [line for line in page(stage, "codes").splitlines() if line.startswith("- ")]

    assert [line.split()[1:3] for line in lines] == [[str(c.value), f"{c.name}:"] for c in Code]


def test_the_page_on_contracts_says_what_each_contract_does(stage):
    lines = page(stage, "contracts").splitlines()
    rows = [[cell.strip() for cell in line[2:].split("|")] for line in lines if line[:2] == "- "]

    assert [row[0] for row in rows] == list(CONTRACTS)
    assert rows == [
        ["private", "owner", "owner", "owner", "owner"],
        ["public", "anyone", "anyone", "anyone", "owner"],
        ["freeware", "anyone", "anyone", "owner", "owner"],
        ["pay_per_use", "at a price", "at a price", "owner", "owner"],
        ["members", "owner and members", "owner and members", "owner and members", "owner"],
    ]


def test_the_page_on_actions_tells_fields_and_costs_of_this_world(begin):
    stage = begin(actions={"write": Cost({"compute": 3, "tokens": 1})}, admission_compute=2)

    text = page(stage, "actions")

    assert "write(id, content, description?, type?, contract?, interface?)" in text
    assert "invoke(id, method, args?)" in text
    assert "Costs 3 compute and 1 tokens." in text
    assert "costs 2 compute" in text


def test_the_page_on_resources_tells_the_resources_of_this_world(stage):
    text = page(stage, "resources")

    assert "compute: comes back: at most your limit in any 60 s" in text
    assert "tokens: gone once used" in text


def test_each_genesis_artifact_has_a_page_with_every_method_and_its_cost(stage):
    for id, native in stage.world.natives.items():
        text = page(stage, id)
        assert native.description in text
        for method in native.methods.values():
            assert f"- {method.tool.name}(" in text
            assert method.tool.description in text
    assert "spawn_principal(id, description?)" in page(stage, "genesis_ledger")
    assert "Costs 2 compute and 1 tokens and 7 scrip." in page(stage, "genesis_oracle")


@pytest.mark.parametrize(
    ("topic", "hint"),
    [("code", "codes"), ("genesis_leger", "genesis_ledger"), ("", "overview"), ("?", "overview")],
)
def test_an_unknown_topic_fails_with_the_nearest_one(stage, topic, hint):
    failed = stage.fails(Code.NOT_FOUND, "alice", HANDBOOK, "read", topic=topic)

    assert hint in failed.detail
