"""The minds of the bazaar: a work is gone through step by step, whatever the world and others answer."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.agents.bazaar import kind_of, needs_of
from scripworld.agents.bazaar_buyers import Buyer, Investor, Speculator
from scripworld.agents.bazaar_credit import Lender, borrow, settle
from scripworld.agents.bazaar_fringe import Gambler, Herald, Thief
from scripworld.agents.bazaar_makers import Maker, build_next, new_price, sell, tend
from scripworld.agents.library import MINDS
from scripworld.agents.mind import Decision, Observation, Turn
from scripworld.agents.stepwise import Steps, Stepwise, Work
from scripworld.simulation.scenario import load_scenario
from scripworld.world import (
    Answer,
    Code,
    Done,
    Envelope,
    Failed,
    Invoke,
    Read,
    Refused,
    Sleep,
    Stop,
    Write,
)

STEPS_MAX = 40
NO = Refused(Code.PERMISSION_DENIED, "no")
Answers = Callable[[Any], Answer]


class Doing(Stepwise):
    """A mind that goes through the steps of a function."""

    def __init__(self, steps: Callable[[Work], Steps]) -> None:
        self._steps = steps

    def work(self, w: Work) -> Steps:
        yield from self._steps(w)


def seen(
    *turns: Turn, decisions: int | None = None, scrip: int = 100, **params: Any
) -> Observation:
    return Observation(
        principal="anna",
        now_us=5_000_000,
        step=99,
        decisions=len(turns) if decisions is None else decisions,
        scrip=scrip,
        remaining={},
        content=json.dumps({"params": params}),
        recent=turns,
        signals=(),
        seed=3,
    )


def play(
    mind: Stepwise, answers: Answers, number: int = 0, scrip: int = 100, **params: Any
) -> list[Any]:
    """The actions of one work, up to its rest; ``number`` says which work."""
    turns = [Turn(Sleep(number), Done())] if number else []
    actions: list[Any] = []
    for _ in range(STEPS_MAX):
        decision: Decision = mind.choose(seen(*turns, scrip=scrip, **params))
        action = decision.action if isinstance(decision, Envelope) else decision
        if isinstance(action, Sleep | Stop):
            return actions
        actions.append(action)
        turns.append(Turn(action, answers(action)))
    raise AssertionError(actions)


def done(**results: Any) -> Answers:
    """Answers by method, or by the kind of action."""

    def answer(action: Any) -> Answer:
        name = action.method if isinstance(action, Invoke) else type(action).__name__
        result = results.get(name)
        return result if isinstance(result, Refused | Failed) else Done(result)

    return answer


def rows(*told: tuple[str, int | None], **more: Any) -> dict[str, Any]:
    """What the store finds: id and price of each."""
    each = [
        {"id": id, "invoke_scrip": price, "encumbered_by": None, "type": "code"}
        | {"owner": "bob", "description": ""}
        | more
        for id, price in told
    ]
    return {"artifacts": each}


def did(actions: list[Any], method: str) -> list[dict[str, Any]]:
    return [one.args for one in actions if isinstance(one, Invoke) and one.method == method]


# How a work goes.


def count_to_three(w: Work) -> Steps:
    total = 0
    for n in (1, 2, 3):
        total += yield Invoke("counter", "add", {"n": n, "total": total})
    yield Invoke("counter", "say", {"total": total})


def test_a_work_goes_on_from_what_was_answered():
    actions = play(Doing(count_to_three), done(add=10))

    assert [one.args for one in actions[:3]] == [
        {"n": 1, "total": 0},
        {"n": 2, "total": 10},
        {"n": 3, "total": 20},
    ]
    assert actions[3].args == {"total": 30}


def test_a_mind_that_is_made_anew_goes_on_where_the_other_was():
    turns = [Turn(Sleep(7), Done()), Turn(Invoke("counter", "add"), Done(5))]
    one, other = Doing(count_to_three), Doing(count_to_three)
    one.choose(seen(turns[0]))

    assert one.choose(seen(*turns)) == other.choose(seen(*turns))


def test_after_a_no_that_it_did_not_expect_it_rests_as_long_as_that_says():
    later = Refused(Code.QUOTA_EXCEEDED, "wait", 60_000_000)
    rest = Doing(count_to_three).choose(seen(Turn(Invoke("counter", "add"), later)))

    assert isinstance(rest, Sleep)
    assert rest.until_us == 65_000_000


def test_a_work_whose_beginning_is_forgotten_is_given_up():
    turn = Turn(Invoke("counter", "add"), Done(1))

    assert isinstance(Doing(count_to_three).choose(seen(turn, decisions=9)), Sleep)


@pytest.mark.parametrize("other", [Invoke("counter", "sub"), Invoke("x", "add"), Read("counter")])
def test_a_work_that_would_go_another_way_now_is_given_up(other):
    assert isinstance(Doing(count_to_three).choose(seen(Turn(other, Done(1)))), Sleep)


def test_chance_is_the_same_through_a_work_and_another_in_the_next():
    def throws(w: Work) -> Steps:
        for _ in range(3):
            yield Invoke("dice", "throw", {"at": w.chance.random()})

    first, again, other = (play(Doing(throws), done(), number=n) for n in (8, 8, 9))

    assert first == again
    assert first != other


def test_the_shopper_of_the_page_buys_the_cheapest():
    page = (Path(__file__).parents[2] / "docs" / "architecture" / "minds.md").read_text()
    [example] = re.findall(
        r"^```python\n(from scripworld.agents.stepwise.*?)^```$", page, re.M | re.S
    )
    names: dict[str, Any] = {}
    exec(compile(example, "minds.md", "exec"), names)
    offers = [
        {"id": "a", "read_scrip": 7},
        {"id": "b", "read_scrip": 4},
        {"id": "c", "read_scrip": 0},
    ]

    actions = play(names["Shopper"](), done(search={"artifacts": offers}))

    assert actions[1:] == [Read("b")]
    assert len(play(names["Shopper"](), lambda action: NO)) == 1


# Prices.


@pytest.mark.parametrize(
    ("price", "calls", "cost", "expected"),
    [
        *((20, 5, 0, 24), (2, 2, 0, 3), (20, 1, 0, 20), (20, 0, 0, 18), (3, 0, 0, 2), (1, 0, 0, 1)),
        *((20, 0, 19, 20), (20, 0, 30, 31), (20, 9, 30, 31)),
    ],
)
def test_a_price_rises_when_busy_falls_when_idle_and_is_above_its_cost(
    price, calls, cost, expected
):
    assert new_price(price, calls, cost) == expected


def test_what_a_service_needs_is_told_by_its_description():
    assert needs_of("A text in one line. Buys: title, tally.") == ["title", "tally"]
    assert needs_of("The words of a text.") == []
    assert kind_of("tally_2.anna") == "tally"
    assert kind_of("tally.anna") == kind_of("anna") == ""


# Makers.

BLUEPRINT = '"""How often each word occurs. Buys: words."""\n\ndef of(text):\n    return 1\n'


def test_a_maker_builds_the_first_of_its_goods_that_it_never_built():
    known = rows(("words_1.anna", 0))
    found = rows(("words_1.bob", 10), ("words_2.carl", 12))
    asked = []

    def answers(action: Any) -> Answer:
        if isinstance(action, Invoke) and action.method == "search":
            asked.append(action.args["query"])
            return Done(known if action.args["query"] == "anna" else found)
        return done(Read=BLUEPRINT, balance={"scrip": 90})(action)

    actions = play(
        Doing(build_next), answers, goods=["words", "tally"], till_scrip=5, margin_scrip=4
    )
    [written] = [one for one in actions if isinstance(one, Write)]

    assert asked == ["anna", "words"]
    assert did(actions, "spawn_principal") == [{"id": "tally_2.anna"}]
    assert written.id == "tally_2.anna"
    assert written.content.startswith("ME = 'tally_2.anna'\nTILL = 25\n")
    assert written.description == "How often each word occurs. Buys: words."
    assert 13 <= written.contract.price_scrip <= 15
    assert {tool.name for tool in written.interface} == {"of", "pay_out"}
    assert did(actions, "transfer") == [{"to": "tally_2.anna", "amount": 25}]


def test_a_maker_builds_nothing_whose_inputs_nobody_sells():
    actions = play(Doing(build_next), done(search=rows(), Read=BLUEPRINT), goods=["tally"])

    assert not any(isinstance(one, Write) for one in actions)


def test_a_maker_without_scrip_borrows_what_is_offered_to_it():
    offered = {"loans": [{"loan": "loan_9.lender"}]}
    answers = done(search=rows(), Read='"""X."""', balance={"scrip": 3}, active=offered)

    actions = play(Doing(build_next), answers, goods=["words"], till_scrip=5)

    assert did(actions, "active") == [{"borrower": "anna", "state": "offered"}]
    assert did(actions, "accept") == [{"loan": "loan_9.lender"}]
    assert not any(isinstance(one, Write) for one in actions)


def test_a_maker_raises_the_price_of_what_earned_and_keeps_what_the_code_is():
    answers = done(
        list=rows(("words_1.anna", 0)),
        pay_out=60,
        interface={"price_scrip": 20},
        Read="ME = 'words_1.anna'\nTILL = 7\n\ncode",
    )
    actions = play(Doing(tend), answers, till_scrip=9, works_for="dora")

    assert actions[-2].contract.price_scrip == 24
    assert actions[-2].content == "ME = 'words_1.anna'\nTILL = 9\n\ncode"
    assert did(actions, "transfer") == [{"to": "dora", "amount": 30}]


def test_a_maker_fills_the_till_of_a_service_that_can_not_buy_its_inputs():
    service = rows(("tally_1.anna", 0), description="It counts. Buys: words.")
    answers = done(
        list=service,
        search=rows(("words_1.bob", 30)),
        pay_out=0,
        interface={"price_scrip": 40},
        balance={"scrip": 12},
        Read="TILL = 1",
    )

    assert did(play(Doing(tend), answers), "transfer") == [{"to": "tally_1.anna", "amount": 30}]


def test_a_maker_asks_for_a_service_what_some_calls_of_it_earn():
    answers = done(list=rows(("words_1.anna", 0)), interface={"price_scrip": 20})

    [asked] = did(play(Doing(sell), answers, sale_calls=5), "list_for_sale")

    assert asked["artifact"] == "words_1.anna"
    assert 60 <= asked["price"] <= 140


# Buyers.

OFFERS = rows(("words_1.bob", 9), ("words_2.carl", 3), ("words_3.dora", 5), ("words_4.emil", None))


def test_a_buyer_buys_from_the_cheapest_at_most_at_what_it_is_worth():
    mind, looked = Buyer(), Turn(Invoke("genesis_store", "search"), Done(OFFERS))
    decision = mind.choose(seen(looked, needs={"words": 8}, thrift=1))

    assert isinstance(decision, Envelope)
    assert decision.action.id == "words_2.carl"
    assert 6 <= decision.price_max_scrip <= 10


def test_a_buyer_turns_to_the_next_where_a_service_fails():
    def answers(action: Any) -> Answer:
        failed = Failed(Code.CODE_RAISED, "nobody sells words")
        return failed if action.id == "words_2.carl" else done(search=OFFERS)(action)

    actions = play(Buyer(), answers, needs={"words": 8}, thrift=1)

    assert [one.id for one in actions[1:]] == ["words_2.carl", "words_3.dora"]


@pytest.mark.parametrize(("scrip", "thrift"), [(100, 0.02), (2, 1), (0, 1)])
def test_a_buyer_buys_nothing_that_is_too_dear_for_it(scrip, thrift):
    answers = done(search=OFFERS)

    assert len(play(Buyer(), answers, scrip=scrip, needs={"words": 8}, thrift=thrift)) == 1


@pytest.mark.parametrize(("until_us", "subscribes"), [(0, 1), (9_000_000, 0), ("for ever", 1)])
def test_a_reader_buys_time_when_its_own_is_over(until_us, subscribes):
    told = {"artifact": "news", "pass": "gate", "worth": 9}

    actions = play(Doing(lambda w: Buyer().read(w, told)), done(until=until_us, Read="news"))

    assert len(did(actions, "subscribe")) == subscribes
    assert actions[-1] == Read("news")


def listed(*told: tuple[str, int], buyer: str | None = None) -> dict[str, Any]:
    each = [{"artifact": id, "seller": "bob", "price": price, "buyer": buyer} for id, price in told]
    return {"listings": each}


PAYS_OUT = {"type": "code", "price_scrip": 10, "interface": {"tools": [{"name": "pay_out"}]}}
NAME = {"type": "text", "price_scrip": 0, "interface": {"tools": []}}


@pytest.mark.parametrize(
    ("listings", "interface", "buys"),
    [
        (listed(("words_1.bob", 30)), PAYS_OUT, True),
        (listed(("words_1.bob", 90)), PAYS_OUT, False),
        (listed(("lender.", 1)), NAME, False),
        (listed(("words_1.bob", 30), buyer="carl"), PAYS_OUT, False),
        (listed(), PAYS_OUT, False),
    ],
)
@pytest.mark.parametrize("mind", [Speculator(), Investor()])
def test_who_buys_for_good_pays_for_what_earns_and_not_for_a_name(mind, listings, interface, buys):
    bought = []
    for number in range(1, 30):
        actions = play(
            mind,
            done(active=listings, interface=interface, list=rows()),
            number=number,
            calls=6,
        )
        bought += did(actions, "purchase")

    assert bool(bought) == buys
    assert all(args == {"artifact": "words_1.bob", "price_max": 30} for args in bought)


# Lenders and borrowers.


def test_a_lender_lends_on_a_deed_that_is_free_to_its_owner_alone():
    deeds = rows(("mill", None), owner="emil", type="deed")
    deeds["artifacts"] += rows(("farm", None), encumbered_by="genesis_debt")["artifacts"]
    params = {"amount_scrip": 100, "interest": 0.2, "instalments": 3, "every_s": 10}

    [terms] = did(
        play(Doing(Lender().lend), done(list=deeds, active={"loans": []}), **params), "offer"
    )

    assert (terms["borrower"], terms["collateral"], terms["amount"]) == ("emil", "mill", 100)
    assert [part["due_us"] for part in terms["instalments"]] == [15_000_000, 25_000_000, 35_000_000]
    assert sum(part["amount"] for part in terms["instalments"]) == 120


def test_a_lender_takes_back_an_offer_that_nobody_took_and_offers_no_second_loan():
    stale = {"loan": "loan_1.anna", "state": "offered", "expires_us": 4, "borrower": "emil"}
    deeds = rows(("mill", None), owner="emil", type="deed")

    actions = play(Doing(Lender().lend), done(list=deeds, active={"loans": [stale]}))

    assert did(actions, "withdraw") == [{"loan": "loan_1.anna"}]
    assert did(actions, "offer") == []


def test_a_lender_collects_what_is_due_and_sells_deeds_that_are_its_own_and_free():
    claims = {"loans": [{"loan": "loan_1.anna", "due": 0}, {"loan": "loan_2.anna", "due": 7}]}
    deeds = rows(("mill", 0), encumbered_by="genesis_escrow")
    deeds["artifacts"] += rows(("farm", 0))["artifacts"]

    collected = play(Doing(Lender().collect), done(active=claims))
    [listing] = did(play(Doing(Lender().sell), done(list=deeds), amount_scrip=100), "list_for_sale")

    assert did(collected, "collect") == [{"loan": "loan_2.anna"}]
    assert listing["artifact"] == "farm"
    assert 75 <= listing["price"] <= 125


def test_a_borrower_pays_what_is_due_soon_as_far_as_it_can():
    parts = [{"due_us": due, "amount": 60} for due in (4_000_000, 7_000_000, 9_000_000)]
    running = {"loans": [{"loan": "loan_1.bob", "instalments": parts, "paid": 30}]}

    def paid(scrip: int) -> list[dict[str, Any]]:
        return did(play(Doing(settle), done(active=running), scrip=scrip), "repay")

    assert paid(500) == [{"loan": "loan_1.bob", "amount": 90}]
    assert paid(20) == [{"loan": "loan_1.bob", "amount": 20}]
    assert paid(0) == []


def test_a_borrower_accepts_nothing_where_nothing_is_offered():
    assert did(play(Doing(borrow), done(active={"loans": []})), "accept") == []


# The edge.


def test_a_thief_goes_on_after_each_no():
    loans = {"loans": [{"loan": "loan_1.bob"}]}
    answers = done(active=listed(("words_1.bob", 30)) | loans, status={"auction": 4})

    def denied(action: Any) -> Answer:
        seen_only = isinstance(action, Invoke) and action.method in ("active", "status")
        return answers(action) if seen_only else NO

    tried = {
        (type(one).__name__, getattr(one, "method", ""))
        for number in range(1, 80)
        for one in play(Thief(), denied, number=number, envies=["bob"])
    }

    assert {method for _, method in tried} >= {
        *("cancel", "purchase", "list_for_sale", "transfer_ownership", "collect", "transfer"),
        *("accept", "withdraw", "spawn_principal"),
    }
    assert ("Write", "") in tried


@pytest.mark.parametrize("copies", [0, 1])
def test_a_gambler_writes_what_is_new_or_the_last_winners_verses_with_another_title(copies):
    status = {"auction": 4, "is_open": True, "next_opens_us": 9_000_000}

    def answers(action: Any) -> Answer:
        if action == Read("dictionary"):
            return Done("apple bread candle daisy")
        return done(status=status, check={"artifact": "poem"}, Read="A title\n\nverses\n")(action)

    actions = play(Gambler(), answers, copies=copies, bid_scrip=20)
    [written] = [one for one in actions if isinstance(one, Write)]
    [bid] = did(actions, "bid")

    assert written.content.endswith("\n\nverses\n") == bool(copies)
    assert bid["artifact"] == written.id
    assert 8 <= bid["amount"] <= 32


def test_a_gambler_waits_where_no_bids_are_taken():
    status = {"auction": 4, "is_open": False, "next_opens_us": 9_000_000}
    turn = Turn(Invoke("genesis_mint", "status"), Done(status))

    rest = Gambler().choose(seen(turn))

    assert isinstance(rest, Sleep)
    assert rest.until_us > 9_000_000


def test_a_herald_builds_its_pass_once_and_writes_the_news_behind_it():
    def written(*known: tuple[str, int | None]) -> list[Write]:
        answers = done(search=rows(*known), list=rows(("words_1.bob", 9)), Read="code")
        return [one for one in play(Herald(), answers) if isinstance(one, Write)]

    memory, gate, news = written()

    assert (gate.id, gate.contract.id) == ("pass.anna", "pass.anna")
    assert memory.id == "pass.anna.until"
    assert (news.id, news.contract.id) == ("news.anna", "pass.anna")
    assert "- words_1.bob: 9" in news.content
    assert [one.id for one in written(("pass.anna", None))] == ["news.anna"]


# Whatever comes.

NAMES = ("maker", "buyer", "speculator", "investor", "lender", "gambler", "thief", "herald")
ANSWERS = ["all of it", -5, 2**62, None, [], {}, 1.5, True]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_nothing_that_the_code_of_others_answers_breaks_a_mind(answer):
    store = rows(("words_1.anna", 4))
    answers = done(
        list=store,
        search=store,
        interface=PAYS_OUT,
        active=listed(("words_1.bob", 30)) | {"loans": []},
        pay_out=answer,
        of=answer,
        until=answer,
        Read="",
        balance={"scrip": 9},
    )
    told = {"artifact": "news", "pass": "gate"}

    for mind in (Maker(), Buyer(), Speculator(), Investor()):
        for number in range(1, 30):
            play(mind, answers, number=number, goods=[], reads=told)


@pytest.mark.parametrize("name", NAMES)
def test_every_mind_rests_when_the_world_denies_everything_and_without_params(name):
    mind = MINDS[name]()
    assert isinstance(mind, Stepwise)

    for number in range(1, 20):
        play(mind, lambda action: NO, number=number)


def test_every_blueprint_of_the_scenario_is_code():
    texts = {
        one.id: one.content
        for one in load_scenario("bazaar", MINDS).artifacts
        if one.type == "blueprint"
    }

    with MontyRunner(CodeLimits()) as runner:
        assert {id: runner.check(text) for id, text in texts.items()} == dict.fromkeys(texts)
    assert len(texts) == 7
