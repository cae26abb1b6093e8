from hypothesis import given, settings
from hypothesis import strategies as st

from scripworld.world import Contract
from scripworld.world.artifacts import Artifacts
from scripworld.world.catalog import words
from scripworld.world.facts import ArtifactDeleted, ArtifactWritten, OwnershipTransferred

from .lab import Lab


def written(id: str, owner: str = "bob", description: str = "", type: str = "text"):
    standing = type == "principal"
    return ArtifactWritten(
        id, owner, type, description, "", Contract(), (), standing, False, owner, 0
    )


def test_words_are_runs_of_letters_and_digits():
    assert words("The_map of Room-101, the MAP") == {"the", "map", "of", "room", "101"}


def test_an_artifact_is_found_by_what_everybody_may_know(lab: Lab):
    lab.write("bob", "note", "hidden words", description="A map of the sea", type="chart")
    catalog = lab.state.artifacts.catalog

    assert catalog.search("MAP sea", "", 9) == (["note"], None)
    assert catalog.search("chart note", "", 9) == (["note"], None)
    assert catalog.search("hidden", "", 9) == ([], None)
    assert catalog.search("map hidden", "", 9) == ([], None)
    assert catalog.search("", "", 9) == ([], None)
    assert catalog.page("owner bob", "", 9) == ["bob", "note"]
    assert catalog.page("type chart", "", 9) == ["note"]
    assert catalog.count("standing") == 5
    assert catalog.count("type nothing") == 0


def test_an_artifact_that_was_given_away_is_found_with_its_owner(lab: Lab):
    catalog = lab.state.artifacts.catalog
    lab.write("bob", "note", "x")
    assert catalog.page("owner bob", "", 9) == ["bob", "note"]

    lab.invoke("bob", "bank", "give", id="note", to="carol")

    assert catalog.page("owner bob", "", 9) == ["bob"]
    assert catalog.page("owner carol", "", 9) == ["carol", "note"]


def test_pages_follow_one_another():
    artifacts = Artifacts()
    for n in range(10):
        artifacts.written(written(f"a{n}", "bob" if n % 2 else "eve"), 0)
    catalog = artifacts.catalog

    assert catalog.page("all", "", 4) == ["a0", "a1", "a2", "a3"]
    assert catalog.page("all", "a3", 4) == ["a4", "a5", "a6", "a7"]
    assert catalog.find(("all", "owner bob"), "", 2) == (["a1", "a3"], "a3")
    assert catalog.find(("all", "owner bob"), "a3", 9) == (["a5", "a7", "a9"], None)
    assert catalog.find((), "", 9) == ([], None)


def test_a_search_looks_at_so_many_and_says_where_to_go_on():
    artifacts = Artifacts()
    for n in range(2_500):
        artifacts.written(written(f"a{n:04}", description="red" if n == 2_400 else "blue"), 0)
        artifacts.written(written(f"b{n:04}", description="red"), 0)

    found, after = artifacts.catalog.search("a0001 blue", "", 5)
    assert (found, after) == (["a0001"], None)
    found, after = artifacts.catalog.find(("type text", "word blue", "word red"), "", 5)
    assert (found, after) == ([], "a1999")
    found, after = artifacts.catalog.find(("type text", "word blue", "word red"), after, 5)
    assert (found, after) == ([], None)


IDS = st.sampled_from([f"a{n}" for n in range(6)])
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("write"), IDS, st.sampled_from(["red", "red blue", "blue", ""])),
        st.tuples(st.just("delete"), IDS, st.none()),
        st.tuples(st.just("give"), IDS, st.sampled_from(["bob", "eve"])),
        st.tuples(st.just("ask"), IDS, st.none()),
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(CHANGES)
def test_the_index_equals_a_search_through_everything(changes):
    artifacts = Artifacts()
    catalog = artifacts.catalog
    for name, id, what in changes:
        if name == "write" and id not in artifacts.gone:
            artifacts.written(written(id, description=what), 0)
        elif name == "delete" and id in artifacts.by_id:
            artifacts.deleted(ArtifactDeleted(id))
        elif name == "give" and id in artifacts.by_id:
            artifacts.transferred(OwnershipTransferred(id, what, what), 0)
        if name == "ask":
            catalog.page("all", "", 3)
    for word in ("red", "blue"):
        expected = [id for id, a in sorted(artifacts.by_id.items()) if word in a.description]
        assert catalog.search(word, "", 9) == (expected, None)
    for owner in ("bob", "eve"):
        expected = [id for id, a in sorted(artifacts.by_id.items()) if a.owner == owner]
        assert catalog.page(f"owner {owner}", "", 9) == expected
