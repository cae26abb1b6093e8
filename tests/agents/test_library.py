"""The minds of the library: rules that keep nothing and draw chance only from the observation."""

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from scripworld.agents.digest import digest_of, slug_of
from scripworld.agents.library import (
    MINDS,
    Clumsy,
    Librarian,
    Reader,
    WebLibrarian,
    code_of,
    text_of,
)
from scripworld.agents.mind import Decision, Observation, Rules, Scripted, Turn
from scripworld.world import (
    Code,
    Delete,
    Done,
    Edit,
    Envelope,
    Failed,
    Invoke,
    Read,
    Refused,
    Rest,
    Sleep,
    Stop,
    Waiting,
    Write,
)

PARAMS = {
    "price_scrip": 6,
    "rest_s": 1,
    "review_budget_scrip": 4,
    "start_url": "http://library.test/index.html",
    "budget_scrip": 8,
    "topics": ["digest", "world"],
}
ROW = {
    "id": "digest_a",
    "owner": "librarian_1",
    "type": "digest",
    "description": "digest of a",
    "read_scrip": 3,
    "invoke_scrip": None,
    "encumbered_by": None,
}


def seen(*turns: tuple[Any, Any], **changes: Any) -> Observation:
    observation = Observation(
        principal="anna",
        now_us=5_000_000,
        step=7,
        scrip=50,
        remaining={"compute": 100},
        content=json.dumps({"mind": "reader", "params": PARAMS}),
        recent=tuple(Turn(action, answer) for action, answer in turns),
        signals=(),
        seed=3,
    )
    return replace(observation, **changes)


def text(value: str) -> Done:
    return Done({"content": [{"type": "text", "text": value}]})


SEARCH = Invoke("genesis_store", "search", {"query": "digest"})
LISTED = Invoke("genesis_store", "list", {"owner": "anna", "type": "index"})
DIRECTORY = Invoke("genesis_filesystem", "list_directory", {"path": "/docs"})
FILE = Invoke("genesis_filesystem", "read_file", {"path": "/docs/docs/a.md"})
PAGE = Invoke("genesis_fetch", "fetch", {"url": "http://library.test/index.html"})
ROWS = Done({"artifacts": [ROW, {**ROW, "id": "free", "read_scrip": 0}], "after": None})
NOTHING = Done({"artifacts": [], "after": None})
FULL = Refused(Code.QUOTA_EXCEEDED, "full")
SITUATIONS: list[list[tuple[Any, Any]]] = [
    [],
    [(SEARCH, ROWS)],
    [(SEARCH, NOTHING)],
    [(LISTED, ROWS)],
    [(LISTED, NOTHING)],
    [(Read("digest_a"), Done("text"))],
    [(Read("digest_a"), Refused(Code.SCRIP_INSUFFICIENT, "no"))],
    [(DIRECTORY, text("[FILE] a.md\n[DIR] more\n[FILE] picture.png"))],
    [(DIRECTORY, text(""))],
    [(DIRECTORY, Refused(Code.METHOD_UNKNOWN, "it has list_tools"))],
    [(FILE, text("# A\n\nThis is a sentence about worlds and digests."))],
    [(FILE, Failed(Code.EFFECT_TIMEOUT, "late"))],
    [(PAGE, text("[one](/one.html) [two](/two.html) [away](http://elsewhere.test)"))],
    [(PAGE, Failed(Code.TOOL_UNAVAILABLE, "not there"))],
    [(Write("digest_a", "text"), FULL)],
    [(Write("digest_a", "text"), Refused(Code.QUOTA_EXCEEDED, "full", 5))],
    [(Write("digest_a", "text"), Done())],
    [(None, Refused(Code.MALFORMED, "not an action"))],
    [(Sleep(5), Done())],
    [(Invoke("genesis_ledger", "transfr"), Refused(Code.METHOD_UNKNOWN, "did you mean transfer?"))],
]


def situations_of(name: str) -> list[list[tuple[Any, Any]]]:
    """Those that a mind can get into; a hoarder asks only the store."""
    if name != "hoarder":
        return SITUATIONS
    asked = [turns for turns in SITUATIONS if not turns or not isinstance(turns[-1][0], Invoke)]
    return [*asked, [(SEARCH, ROWS)], [(LISTED, NOTHING)]]


STRANGE: list[Any] = [
    *(None, 5, "text", [], {}, {"content": None}, {"content": 5}, {"content": [None, 5]}),
    *({"content": [{"text": None}]}, {"content": [{}]}, {"content": {"text": "a"}}),
]
DECISIONS = (Delete, Read, Write, Edit, Invoke, Sleep, Stop, Envelope)
WITHOUT_CHANCE = ("clumsy", "script", "fisher")
"""Minds that draw none in these situations: their steps or mistakes stand in order, or they see no pond."""


@pytest.mark.parametrize("name", MINDS)
def test_a_mind_decides_alike_on_the_same_observation_and_keeps_nothing(name: str):
    used = MINDS[name]()
    for situation in situations_of(name):
        for step in range(30):
            observation = seen(*situation, step=step)
            before = deepcopy(observation)

            decision = used.choose(observation)

            assert decision == MINDS[name]().choose(before)
            assert observation == before
            assert isinstance(decision, DECISIONS)
    assert vars(used) == {}


@pytest.mark.parametrize("name", MINDS)
def test_chance_is_of_the_seed_the_principal_and_the_step(name: str):
    def decisions(**changes: Any) -> list[Decision]:
        mind = MINDS[name]()
        return [
            mind.choose(seen(*situation, **{"step": step} | changes))
            for situation in situations_of(name)
            for step in range(12)
        ]

    assert decisions() == decisions()
    if name not in WITHOUT_CHANCE:
        assert decisions(seed=4) != decisions()
        assert decisions(principal="bert") != decisions(principal="cleo")
        assert decisions(step=1) != decisions(step=2)


@pytest.mark.parametrize("value", STRANGE)
@pytest.mark.parametrize("name", ["librarian", "web_librarian"])
def test_no_answer_of_a_tool_breaks_a_mind(name: str, value: Any):
    mind = MINDS[name]()
    for call in (DIRECTORY, FILE, PAGE, Invoke("genesis_fetch", "list_tools")):
        for step in range(10):
            assert isinstance(mind.choose(seen((call, Done(value)), step=step)), DECISIONS)
    assert isinstance(text_of(Done(value)), str)


def test_params_are_those_of_its_own_artifact_and_none_where_that_holds_none():
    assert seen().params() == PARAMS
    for content in ("", "{", "[]", "5", '{"params": 5}', '{"mind": "reader"}', "null"):
        assert seen(content=content).params() == {}
        for name, kind in MINDS.items():
            for situation in situations_of(name):
                kind().choose(seen(*situation, content=content))


def test_a_librarian_goes_from_a_listing_to_a_file_to_its_digest():
    mind = Librarian()

    assert mind.choose(seen()) == DIRECTORY
    entered = mind.choose(seen((DIRECTORY, text("[FILE] a.md\n[FILE] picture.png"))))
    assert entered == Invoke("genesis_filesystem", "read_file", {"path": "/docs/a.md"})
    deeper = mind.choose(seen((DIRECTORY, text("[DIR] more"))))
    assert deeper == Invoke("genesis_filesystem", "list_directory", {"path": "/docs/more"})
    digest = mind.choose(seen((FILE, text("# The way in\n\nAn action comes in an envelope."))))
    assert isinstance(digest, Write)
    assert digest.id == "digest_docs_a.anna"
    assert digest.content.startswith("# The way in\n\n- An action comes in an envelope.")
    assert digest.contract is not None
    assert digest.contract.id == "pay_per_use"


def test_a_librarian_whose_tools_are_not_known_yet_asks_for_them():
    unknown = seen((DIRECTORY, Refused(Code.METHOD_UNKNOWN, "it has list_tools")))

    assert Librarian().choose(unknown) == Invoke("genesis_filesystem", "list_tools")


def test_a_web_librarian_follows_links_of_its_own_site_only():
    page = text("[one](/one.html) [away](http://elsewhere.test/x)")
    for step in range(20):
        decision = WebLibrarian().choose(seen((PAGE, page), step=step))
        assert decision == Invoke("genesis_fetch", "fetch", {"url": "http://library.test/one.html"})


def test_a_reader_takes_the_cheapest_it_has_not_read_and_says_what_it_pays_at_most():
    rows = [{**ROW, "id": f"digest_{price}", "read_scrip": price} for price in (7, 2, 5, 9)]
    found = (SEARCH, Done({"artifacts": rows, "after": None}))

    first = Reader().choose(seen(found))
    second = Reader().choose(seen((Read("digest_2"), Done("text")), found))
    poor = Reader().choose(seen(found, scrip=1))

    assert first == Envelope("anna", Read("digest_2"), price_max_scrip=8)
    assert second == Envelope("anna", Read("digest_5"), price_max_scrip=8)
    assert isinstance(poor, Sleep)


def test_a_reader_tips_who_made_what_it_read():
    told = (Invoke("genesis_store", "get", {"id": "digest_a"}), Done(ROW))

    assert Reader().choose(seen(told)) == Invoke(
        "genesis_ledger", "transfer", {"to": "librarian_1", "amount": 1}
    )


def test_the_clumsy_one_does_what_it_is_told():
    turns = [
        (Invoke("genesis_ledger", "transfr", {"to": "b"}), "did you mean transfer?"),
        (Invoke("genesis_stor", "count"), "did you mean genesis_store?"),
        (Read("digest_b"), "did you mean 'digest_a'?"),
    ]
    corrected = [
        Clumsy().choose(seen((action, Refused(Code.NOT_FOUND, told)))) for action, told in turns
    ]

    assert corrected == [
        Invoke("genesis_ledger", "transfer", {"to": "b"}),
        Invoke("genesis_store", "count"),
        Read("digest_a"),
    ]


def test_code_of_says_why_and_none_where_there_is_no_reason():
    assert code_of(FULL) is Code.QUOTA_EXCEEDED
    assert code_of(Failed(Code.TOOL_FAILED, "")) is Code.TOOL_FAILED
    assert code_of(Done()) is None
    assert code_of(Waiting("1.0")) is None


# Scripts.


def test_a_script_goes_through_its_decisions_and_stops():
    mind = Scripted([Read("a"), Read("b")])

    decisions = [mind.choose(seen(decisions=before)) for before in (0, 1, 2, 9, 1)]
    assert decisions == [Read("a"), Read("b"), *[Stop("the script is over")] * 2, Read("b")]


def test_rules_need_a_choice():
    with pytest.raises(NotImplementedError):
        Rules().choose(seen())


def test_a_rest_is_a_decision():
    assert isinstance(Sleep(1), Rest)
    assert isinstance(Stop(), Rest)


# Digests.


def test_a_digest_holds_the_title_the_first_sentences_and_the_commonest_words():
    digest = digest_of(
        "# The *ledger*\n\nScrip is an integer in a ledger. It is conserved.\n\n"
        "| a | table |\n\nThe ledger holds balances only. Nothing else.\n\n## More\n\nshort.\n",
        "fallback",
    )

    assert digest.title == "The *ledger*"
    assert digest.sentences == (
        "Scrip is an integer in a ledger.",
        "The ledger holds balances only.",
    )
    assert digest.words[0] == "ledger"
    assert digest.text.startswith("# The *ledger*\n\n- Scrip is an integer in a ledger.\n")
    assert digest.description.startswith("digest of The *ledger*: ledger ")


@pytest.mark.parametrize("nothing", ["", "\n\n", "#", "# \n", "|||", "\x00", "12 34"])
def test_a_text_without_words_still_has_a_digest(nothing: str):
    digest = digest_of(nothing, "fallback")

    assert digest.title
    assert digest.sentences == ()
    assert digest.words == ()
    assert digest.text.endswith("\n")


def test_a_digest_is_bounded_and_the_same_each_time():
    long = (
        "# " + "T" * 900 + "\n" + "\n".join(f"Sentence {n} {'goes on ' * 90}." for n in range(99))
    )
    digest = digest_of(long, "fallback")

    assert digest == digest_of(long, "fallback")
    assert len(digest.title) == 80
    assert len(digest.sentences) == 6
    assert max(map(len, digest.sentences)) == 240
    assert len(digest.description) <= 200


@pytest.mark.parametrize(
    ("given", "slug"),
    [
        ("docs/A File", "docs_a_file"),
        ("..//", "page"),
        ("", "page"),
        ("ÄÖÜ", "page"),
        ("a" * 99, "a" * 40),
        ("_a_", "a"),
    ],
)
def test_a_slug_is_the_tail_of_an_id(given: str, slug: str):
    assert slug_of(given) == slug
