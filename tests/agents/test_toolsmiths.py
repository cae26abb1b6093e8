"""The minds of the fair of tools: they follow their lists, and do something sensible after every no."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from scripworld.agents.library import MINDS
from scripworld.agents.mind import Decision, Observation, Turn
from scripworld.agents.toolsmiths import TEXT_CHARS_MAX, Spendthrift, Toolsmith, Trespasser
from scripworld.simulation.scenario import load_scenario
from scripworld.world import Answer, Code, Done, Failed, Invoke, Refused, Sleep, Write

OPEN = {"on": "genesis_lamp", "method": "open", "args": {"url": "http://a.test/{page}.html"}}
LOOK = {"on": "genesis_lamp", "method": "look", "args": {}, "sells": "view"}
ELSEWHERE = {"on": "genesis_eye", "method": "see", "args": {"text": "{page}"}, "sells": "view"}
PARAMS: dict[str, Any] = {
    "price_scrip": 5,
    "rest_s": 2,
    "words": {"page": ["one", "two"], "count": [3]},
    "trades": [[OPEN, LOOK], [ELSEWHERE]],
}
OPENED = Invoke("genesis_lamp", "open", {"url": "http://a.test/one.html"})
LOOKED = Invoke("genesis_lamp", "look")
SAW = Invoke("genesis_eye", "see", {"text": "one"})
LIST = Invoke("genesis_lamp", "list_tools")
RESTED = (Sleep(1), Done())
UNKNOWN = Refused(Code.METHOD_UNKNOWN, "it has list_tools")
GONE = Failed(Code.TOOL_UNAVAILABLE, "it is not there")
CRASHED = Failed(Code.TOOL_CRASHED, "it ended")
SPENT = Refused(Code.SCRIP_INSUFFICIENT, "earn more first")
OFFERED = Write("view_one_html.anna", "a lamp")


def told(*texts: str) -> Done:
    return Done({"content": [{"type": "text", "text": text} for text in texts]})


def seen(*turns: tuple[Any, Answer], **changes: Any) -> Observation:
    observation = Observation(
        principal="anna",
        now_us=5_000_000,
        step=7,
        scrip=50,
        remaining={},
        content=json.dumps({"mind": "toolsmith", "params": PARAMS}),
        recent=tuple(Turn(action, answer) for action, answer in turns),
        signals=(),
        seed=3,
    )
    return replace(observation, **changes)


def with_trades(*trades: list[dict[str, Any]], **params: Any) -> str:
    return json.dumps({"params": PARAMS | {"trades": trades} | params})


def is_opening(decision: Decision) -> bool:
    return isinstance(decision, Invoke) and decision.method == "open"


# Makers.


def test_a_maker_begins_with_the_trade_that_it_likes_best():
    pages = {Toolsmith().choose(seen(step=step)).args["url"] for step in range(20)}

    assert pages == {"http://a.test/one.html", "http://a.test/two.html"}


def test_it_goes_on_to_the_next_call_and_sells_the_answer_of_the_last():
    mind = Toolsmith()

    assert mind.choose(seen((OPENED, told("opened")))) == LOOKED
    offered = mind.choose(seen((OPENED, told("opened")), (LOOKED, told("a lamp", "lit"))))
    assert isinstance(offered, Write)
    assert offered.id == "view_one_html.anna"
    assert offered.content == "# view: one.html\n\na lamp\nlit\n"
    assert offered.description == "view by genesis_lamp look: one.html"
    assert offered.type == "view"
    assert offered.contract is not None
    assert offered.contract.id == "pay_per_use"
    assert 4 <= offered.contract.price_scrip <= 6


def test_it_rests_after_it_sold_and_begins_anew_after_the_rest():
    sold = (OPENED, told("")), (LOOKED, told("a lamp")), (OFFERED, Done())
    rests = {Toolsmith().choose(seen(*sold, step=step)) for step in range(20)}

    assert all(isinstance(rest, Sleep) for rest in rests)
    assert all(6_000_000 <= rest.until_us <= 8_000_000 for rest in rests)
    assert len(rests) > 1
    assert is_opening(Toolsmith().choose(seen(*sold, RESTED)))


def test_a_picture_is_sold_as_an_address_that_holds_it_and_a_long_text_is_cut():
    picture = Done({"content": [{"type": "image", "mimeType": "image/png", "data": "AAAA"}]})
    sold = Toolsmith().choose(seen((OPENED, told("")), (LOOKED, picture)))
    cut = Toolsmith().choose(seen((OPENED, told("")), (LOOKED, told("x" * 99_999))))

    assert isinstance(sold, Write)
    assert sold.content.endswith("\n\ndata:image/png;base64,AAAA\n")
    assert isinstance(cut, Write)
    assert cut.content.count("x") == TEXT_CHARS_MAX


def test_what_is_sold_is_named_by_what_was_asked_in_this_work_or_as_the_call_says():
    before = (SAW, told("")), RESTED
    sums = [{"on": "genesis_lamp", "method": "look", "args": {"a": "{count}"}, "sells": "sum"}]
    named = [{**sums[0], "about": "beads"}]
    added = (Invoke("genesis_lamp", "look", {"a": 3}), told("3"))

    nothing = Toolsmith().choose(seen(*before, added, content=with_trades(sums)))
    beads = Toolsmith().choose(seen(*before, added, content=with_trades(named)))

    assert isinstance(nothing, Write)
    assert nothing.id == "sum_nothing.anna"
    assert isinstance(beads, Write)
    assert beads.id == "sum_beads.anna"


def test_it_asks_which_tools_there_are_once_and_then_again_for_the_same():
    mind = Toolsmith()
    listed = (OPENED, UNKNOWN), (LIST, Done({"methods": ["open"]}))

    assert mind.choose(seen((OPENED, UNKNOWN))) == LIST
    assert is_opening(mind.choose(seen(*listed)))
    assert mind.choose(seen(*listed, (OPENED, UNKNOWN))).id == "genesis_eye"
    assert mind.choose(seen((OPENED, UNKNOWN), (LIST, GONE))).id == "genesis_eye"


def test_it_asks_a_tool_that_crashed_again():
    assert is_opening(Toolsmith().choose(seen((OPENED, CRASHED))))
    assert is_opening(Toolsmith().choose(seen((OPENED, CRASHED), RESTED)))


@pytest.mark.parametrize(
    "answer",
    [
        GONE,
        SPENT,
        Failed(Code.TOOL_REFUSED, "it offers other tools than those that are known"),
        Failed(Code.TOOL_FAILED, "no such page"),
        Failed(Code.EFFECT_TIMEOUT, "late"),
        Refused(Code.QUOTA_EXCEEDED, "it has 0 left for everybody", 5),
        Refused(Code.PERMISSION_DENIED, "no"),
    ],
)
def test_it_goes_elsewhere_when_a_tool_says_no_and_rests_where_there_is_nowhere(answer: Answer):
    mind = Toolsmith()

    assert mind.choose(seen((OPENED, answer))).id == "genesis_eye"
    assert isinstance(mind.choose(seen((OPENED, answer), (SAW, answer))), Sleep)


def test_a_limit_opens_after_a_rest_and_what_is_gone_stays_closed_as_long_as_it_is_remembered():
    assert is_opening(Toolsmith().choose(seen((OPENED, SPENT), RESTED)))
    assert Toolsmith().choose(seen((OPENED, GONE), RESTED)).id == "genesis_eye"
    assert is_opening(Toolsmith().choose(seen(RESTED)))


def test_blanks_are_filled_with_words_of_their_own_type_and_with_what_it_is_and_has():
    args = {
        "a": "{count}",
        "b": ["{me} has {scrip}"],
        "c": {"d": "{step}"},
        "e": "{nothing}",
        "f": 1,
    }
    call = {"on": "genesis_lamp", "method": "open", "args": args}
    asked = Toolsmith().choose(seen(content=with_trades([call])))

    filled = {"a": 3, "b": ["anna has 50"], "c": {"d": 7}, "e": "{nothing}", "f": 1}
    assert asked == Invoke("genesis_lamp", "open", filled)


def test_a_link_is_one_of_the_latest_answer_that_had_some():
    search = {"on": "genesis_lamp", "method": "find", "args": {}}
    follow = {"on": "genesis_lamp", "method": "open", "args": {"url": "{link}"}}
    content = with_trades([search, follow])
    found = (
        Invoke("genesis_lamp", "find"),
        told('{"url": "http://a.test/x"}', "(http://a.test/y)"),
    )
    nothing = (Invoke("genesis_lamp", "find"), told("nothing"))

    links = [Toolsmith().choose(seen(found, step=n, content=content)) for n in range(20)]

    assert {link.args["url"] for link in links} == {"http://a.test/x", "http://a.test/y"}
    assert Toolsmith().choose(seen(nothing, content=content)).args["url"] == ""


def test_calls_of_one_method_are_told_apart_by_what_is_no_blank():
    def writing(path: str) -> dict[str, Any]:
        return {"on": "genesis_lamp", "method": "write", "args": {"path": path, "text": "{page}"}}

    content = with_trades([writing("a"), writing("b"), LOOK])
    for path, then in (("a", "write"), ("b", "look")):
        wrote = (Invoke("genesis_lamp", "write", {"path": path, "text": "one"}), told("written"))
        assert Toolsmith().choose(seen(wrote, content=content)).method == then


@pytest.mark.parametrize(
    "value",
    [
        *(None, 5, "text", [], {}, {"content": None}, {"content": [None, 5]}),
        *(
            {"content": [{"text": None}]},
            {"content": [{"type": "image"}]},
            {"content": {"text": 1}},
        ),
    ],
)
def test_no_answer_of_a_tool_breaks_it(value: Any):
    sold = Toolsmith().choose(seen((OPENED, Done(value)), (LOOKED, Done(value))))

    assert isinstance(sold, Write)
    assert Toolsmith().choose(seen((OPENED, Done(value)))) == LOOKED
    assert isinstance(Toolsmith().choose(seen((LIST, Done(value)))), Invoke)


# Those who make trouble.


def test_a_spendthrift_goes_on_until_a_limit_stops_it_and_then_with_the_next():
    content = with_trades([OPEN, ELSEWHERE])
    full = Refused(Code.QUOTA_EXCEEDED, "0 left", 5)

    def choice(*turns: tuple[Any, Answer]) -> Decision:
        return Spendthrift().choose(seen(*turns, content=content))

    assert is_opening(choice())
    assert is_opening(choice((OPENED, told("more"))))
    assert is_opening(choice((OPENED, told("more")), RESTED))  # put to rest for repeating itself
    assert choice((OPENED, UNKNOWN)) == LIST
    assert choice((OPENED, full)).id == "genesis_eye"
    assert isinstance(choice((OPENED, full), (SAW, SPENT)), Sleep)
    assert is_opening(choice((OPENED, full), (SAW, SPENT), RESTED))


def test_a_trespasser_rests_after_each_attempt_and_never_gives_up():
    content = with_trades([OPEN, ELSEWHERE])

    def choice(*turns: tuple[Any, Answer]) -> Decision:
        return Trespasser().choose(seen(*turns, content=content))

    assert is_opening(choice())
    for answer in (Done(), UNKNOWN, GONE, Refused(Code.PERMISSION_DENIED, "no")):
        assert isinstance(choice((OPENED, answer)), Sleep)
        assert choice((OPENED, answer), RESTED).id == "genesis_eye"
        assert is_opening(choice((SAW, answer), RESTED))


# The scenario that they live in.


def test_every_list_of_the_scenario_can_be_followed_from_its_first_call_to_its_last():
    entries = [entry for entry in load_scenario("tools").agents if "trades" in entry.params]
    for entry in entries:
        content = json.dumps({"mind": entry.mind, "params": entry.params})
        for trade in entry.params["trades"]:
            mind = MINDS[entry.mind]()
            alone = json.dumps({"params": entry.params | {"trades": [trade]}})
            first = mind.choose(seen(content=alone))
            turns: list[tuple[Any, Answer]] = [(first, told("http://a.test/x"))]
            for _ in trade[1:]:
                if entry.mind == "spendthrift":
                    turns[-1] = (turns[-1][0], SPENT)
                rested = [RESTED] if entry.mind == "trespasser" else []
                turns += [
                    *rested,
                    (mind.choose(seen(*turns, *rested, content=alone)), told("more")),
                ]
            asked = [action for action, _ in turns if isinstance(action, Invoke)]
            assert [(a.id, a.method) for a in asked] == [(c["on"], c["method"]) for c in trade]
            assert not re.search(r"\{\w+\}", json.dumps([a.args for a in asked]))
        assert isinstance(MINDS[entry.mind]().choose(seen(content=content)), Invoke)
    assert {entry.mind for entry in entries} == {"toolsmith", "spendthrift", "trespasser"}
