"""genesis_memory: what is remembered, found, shared, sold and forgotten, and what is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripworld.genesis import EVENT_LOG, LEDGER, STORE
from scripworld.genesis.memory import MEMORY, MemoryFigures, memory_native
from scripworld.world import (
    Code,
    CodeCall,
    CodeSession,
    Context,
    Contract,
    Delete,
    Done,
    EffectResult,
    Failed,
    Method,
    Native,
    Outcome,
    Read,
    Refused,
    Return,
    Tool,
    Waiting,
    World,
    Write,
    restore,
    verify,
)

from .conftest import STEP_US, Calls, Log, Stage, configured

FIGURES = MemoryFigures(embedder="hashing", entries_max=8, text_chars_max=200)
VAULT = "The key of the vault lies under the blue stone"


def _bind(ctx: Context, args: dict[str, Any]) -> Done:
    ctx.encumber(args["id"])
    return Done()


LOCK = Native(
    "lock",
    "Binds.",
    {"bind": Method(Tool("bind", "", {"properties": {"id": {"type": "string"}}}), _bind)},
    capabilities=frozenset({"encumber"}),
)


class Answers(Calls):
    """Code that is a JSON object answers that, whatever it is asked."""

    def start(self, call: CodeCall) -> tuple[CodeSession, Outcome]:
        told = json.loads(call.code)
        return (self, Return(told)) if isinstance(told, dict) else super().start(call)


class Room(Stage):
    """A world with memories."""

    def __init__(self, figures: MemoryFigures = FIGURES, **config: Any) -> None:
        natives = (LEDGER, STORE, EVENT_LOG, LOCK, memory_native(figures))
        self.natives = {native.id: native for native in natives}
        self.log = Log()
        world = configured(**{"costs": {}, **config})
        self.world = World.begin(world, self.natives, self.log, Answers(), "test")

    def remember(self, who: str, text: str, **args: Any) -> int:
        entry: int = self.done(who, MEMORY, "remember", text=text, **args)["entry"]
        return entry

    def recall(self, who: str, query: str, **args: Any) -> list[int]:
        told = self.done(who, MEMORY, "recall", query=query, **args)
        return [entry["entry"] for entry in told["entries"]]

    def stored(self, who: str) -> int:
        return self.world.state.resources.stocks["stored_bytes"].used.get(who, 0)

    def share(self, who: str, id: str, contract: Contract) -> None:
        content = self.act(who, Read(id))
        assert isinstance(content, Done)
        text = self.world.text(content.result)
        assert self.act(who, Write(id, text, contract=contract)) == Done()

    def check(self) -> None:
        proved = verify(self.log.records(), self.natives, self.log)
        assert proved.snapshot() == self.world.state.snapshot()


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.check()


# What is remembered is an artifact.


def test_the_first_entry_makes_a_memory_that_only_its_owner_reads(room: Room):
    assert room.done("alice", MEMORY, "remember", text=VAULT, tags=["keys"]) == {
        "memory": "alice.memory",
        "entry": 1,
    }

    memory = room.world.state.artifacts.by_id["alice.memory"]
    assert (memory.type, memory.owner, memory.contract) == ("memory", "alice", Contract())
    answer = room.act("alice", Read("alice.memory"))
    assert isinstance(answer, Done)
    line = json.loads(room.world.text(answer.result))
    assert line == {"entry": 1, "at_us": STEP_US, "text": VAULT, "tags": ["keys"]}
    denied = room.act("bob", Read("alice.memory"))
    assert isinstance(denied, Refused)
    assert denied.code is Code.PERMISSION_DENIED


def test_its_bytes_are_those_of_who_acts_and_come_back(room: Room):
    before = room.stored("alice")

    entry = room.remember("alice", VAULT)

    memory = room.world.state.artifacts.by_id["alice.memory"]
    assert room.stored("alice") == before + memory.stored_bytes
    room.done("alice", MEMORY, "forget", entry=entry)
    assert room.stored("alice") == before + len(memory.description)


def test_an_agent_has_as_many_memories_as_it_names(room: Room):
    room.remember("alice", "apples are red", memory="fruit")
    room.remember("alice", "swords are sharp", memory="arms")

    assert room.recall("alice", "what colour has an apple", memory="fruit") == [1]
    told = room.done("alice", MEMORY, "recall", query="apples", memory="arms")
    assert "apple" not in json.dumps(told)


def test_nothing_of_it_shows_in_public_places(room: Room):
    room.remember("alice", VAULT)
    seq = room.seq
    room.done("alice", MEMORY, "recall", query="vault")

    told = [
        room.done("bob", "genesis_event_log", "read", seq=seq),
        room.done("bob", "genesis_event_log", "read", seq=seq + 1),
        room.done("bob", "genesis_event_log", "of", id=MEMORY),
        room.done("bob", "genesis_store", "search", query="vault"),
        room.done("bob", "genesis_store", "get", id="alice.memory"),
    ]

    for word in ("vault", "stone"):
        assert word not in json.dumps(told)


# What is found.

MARKET = [
    "The mint auction closes every hour and the winner pays the second price.",
    "bob sells weather forecasts for three scrip each.",
    VAULT,
    "To transfer scrip, invoke genesis_ledger with the method transfer.",
    "alice did not repay her loan in time.",
    "Circuits with more than twenty qubits are refused.",
    "The commons doubles each round unless too much is harvested.",
    "carol's translation service answers in French and German.",
    "The weather was rainy on the day of the market.",
    "dave lends scrip at ten percent interest.",
    "Prices of maps fell after erin published a free one.",
    "The oracle fails when it is not asked politely.",
]


@pytest.fixture(scope="module")
def market() -> Room:
    room = Room(MemoryFigures("hashing", 100, 200))
    for text in MARKET:
        room.remember("alice", text)
    return room


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("when does the auction of the mint close?", 1),
        ("who sells a forecast of the weather", 2),
        ("where did I hide the vault's key", 3),
        ("how do I transfer scrip to somebody", 4),
        ("who failed to repay a loan", 5),
        ("the limit on qubits of a circuit", 6),
        ("harvesting the commons", 7),
        ("a service that translates to German", 8),
        ("was it raining at the market", 9),
        ("borrowing: who lends, at what interest", 10),
        ("why did the price of a map fall", 11),
        ("how must an oracle be asked", 12),
        ("ｗｅａｔｈｅｒ FORECASTS", 2),
    ],
)
def test_a_paraphrase_finds_its_entry_among_distractors(market: Room, query: str, wanted: int):
    assert wanted in market.recall("alice", query, limit=3)


def test_words_of_like_meaning_and_another_stem_are_not_found_by_hashing(market: Room):
    assert 3 not in market.recall("alice", "safe deposit", limit=3)


def test_the_best_comes_first_with_how_like_it_is(market: Room):
    told = market.done("alice", MEMORY, "recall", query=MARKET[1], limit=2)

    best, other = told["entries"]
    assert best["entry"] == 2
    assert best["similarity"] >= 99 > other["similarity"]
    assert told["lost"] == 0


def test_what_is_alike_comes_newest_first_then_by_number(room: Room):
    for _ in range(3):
        room.remember("alice", "the same")
    room.code("alice", "twice", *[[False, MEMORY, "remember", {"text": "both"}]] * 2)
    room.done("alice", "twice", "run")

    assert room.recall("alice", "the same") == [3, 2, 1]
    room.share("alice", "twice.memory", Contract("freeware"))
    assert room.recall("alice", "both", memory="twice.memory") == [1, 2]


def test_tags_are_words_too(room: Room):
    room.remember("alice", "seven, three, nine", tags=["combination", "safe"])
    room.remember("alice", "one, two, three", tags=["rhyme"])

    assert room.recall("alice", "combination of the safe")[0] == 1


def test_any_language_and_symbol_is_remembered(room: Room):
    room.remember("alice", "東京の天気は晴れです")
    room.remember("alice", "🎉 🦊")
    room.remember("alice", "́zalgo ̂\x00\u200btext")

    assert room.recall("alice", "東京の天気")[0] == 1
    assert room.recall("alice", "🦊")[0] == 2
    assert room.recall("alice", "zalgo")[0] == 3


def test_at_most_as_many_as_asked_for_and_never_more_than_a_page(room: Room):
    for _ in range(8):
        room.remember("alice", "the same")

    assert len(room.recall("alice", "the same", limit=2)) == 2
    assert len(room.recall("alice", "the same", limit=1_000)) == 5


def test_a_world_that_is_restored_finds_the_same(room: Room):
    room.remember("alice", "apples are red")
    room.remember("alice", "pears are green")
    before = room.recall("alice", "red apples")

    room.world = restore(room.log.records(), room.natives, room.log, Calls())

    assert room.recall("alice", "red apples") == before == [1, 2]


# What is forgotten.


def test_what_is_forgotten_is_not_found_and_its_number_is_not_used_again(room: Room):
    room.remember("alice", "apples are red")
    room.remember("alice", "pears are green")

    assert room.done("alice", MEMORY, "forget", entry=2)["entries"] == 1

    assert 2 not in room.recall("alice", "green pears")
    assert room.remember("alice", "plums are blue") == 3
    room.fails(Code.NOT_FOUND, "alice", MEMORY, "forget", entry=2)


def test_what_was_said_twice_is_still_found_when_one_is_forgotten(room: Room):
    room.remember("alice", "apples are red")
    room.remember("alice", "apples are red")

    room.done("alice", MEMORY, "forget", entry=1)

    assert room.recall("alice", "red apples") == [2]


def test_a_memory_that_is_deleted_is_gone_for_good(room: Room):
    room.remember("alice", VAULT)
    assert room.act("alice", Delete("alice.memory")) == Done()

    for method, args in (
        ("recall", {"query": "x"}),
        ("remember", {"text": "x"}),
        ("forget", {"entry": 1}),
    ):
        assert "deleted" in room.fails(Code.NOT_FOUND, "alice", MEMORY, method, **args).detail


# What is shared, rented and sold.


def test_anothers_memory_is_closed(room: Room):
    room.remember("alice", VAULT)
    args: dict[str, Any] = {"memory": "alice.memory"}

    room.fails(Code.PERMISSION_DENIED, "bob", MEMORY, "recall", query="vault", **args)
    room.fails(Code.PERMISSION_DENIED, "bob", MEMORY, "remember", text="lies", **args)
    room.fails(Code.PERMISSION_DENIED, "bob", MEMORY, "forget", entry=1, **args)


def test_members_remember_together(room: Room):
    room.remember("alice", VAULT, memory="ours")
    room.share("alice", "ours", Contract("members", members=("bob",)))

    assert room.remember("bob", "the stone was moved", memory="ours") == 2

    assert room.recall("alice", "stone", memory="ours") == [2, 1]
    room.fails(Code.PERMISSION_DENIED, "carol", MEMORY, "recall", query="stone", memory="ours")


def test_recall_at_a_price_pays_the_owner(room: Room):
    room.remember("alice", VAULT)
    room.share("alice", "alice.memory", Contract("pay_per_use", 30))
    args: dict[str, Any] = {"query": "vault", "memory": "alice.memory"}

    assert room.recall("bob", **args) == [1]
    assert room.recall("alice", **args) == [1]

    assert room.world.state.ledger.balances["alice"] == 130
    assert room.world.state.ledger.balances["bob"] == 70
    room.fails(Code.PRICE_ABOVE_MAX, "bob", MEMORY, "recall", price_max=29, **args)
    assert room.recall("bob", price_max=30, **args) == [1]
    room.fails(Code.SCRIP_INSUFFICIENT, "carol", MEMORY, "recall", **args)
    room.fails(Code.PERMISSION_DENIED, "bob", MEMORY, "forget", entry=1, memory="alice.memory")


def test_a_contract_that_an_agent_wrote_decides_and_names_who_is_paid(room: Room):
    room.remember("alice", VAULT)
    verdict = {"verdict": "allow", "price_scrip": 20, "payee": "carol", "reason": "a fee"}
    tool = Tool("check")
    room.write("alice", "toll", json.dumps(verdict), type="code", interface=(tool,))
    room.share("alice", "alice.memory", Contract("toll"))

    assert room.recall("bob", "vault", memory="alice.memory") == [1]

    balances = room.world.state.ledger.balances
    assert (balances["bob"], balances["carol"], balances["alice"]) == (80, 20, 100)


def test_what_is_sold_goes_with_all_that_it_remembers(room: Room):
    room.remember("alice", VAULT)
    before = room.stored("bob")
    room.done("alice", "genesis_ledger", "transfer_ownership", id="alice.memory", to="bob")

    assert room.recall("bob", "vault", memory="alice.memory") == [1]
    assert room.remember("bob", "it is mine now", memory="alice.memory") == 2

    size = room.world.state.artifacts.by_id["alice.memory"].stored_bytes
    assert room.stored("bob") == before + size
    room.fails(Code.PERMISSION_DENIED, "alice", MEMORY, "recall", query="vault")
    room.fails(Code.PERMISSION_DENIED, "alice", MEMORY, "remember", text="again")
    assert room.remember("alice", "again", memory="alice.second") == 1


def test_what_is_bound_is_recalled_and_not_changed(room: Room):
    room.remember("alice", VAULT)
    room.done("alice", "lock", "bind", id="alice.memory")

    assert room.recall("alice", "vault") == [1]
    room.fails(Code.ENCUMBERED, "alice", MEMORY, "remember", text="more")
    room.fails(Code.ENCUMBERED, "alice", MEMORY, "forget", entry=1)


def test_code_has_a_memory_that_its_owner_shares(room: Room):
    remember = [False, MEMORY, "remember", {"text": "bob asked for maps"}]
    recall = [False, MEMORY, "recall", {"query": "maps"}]
    room.code("alice", "shop", remember, recall)

    assert room.done("bob", "shop", "run")["entries"][0]["text"] == "bob asked for maps"

    memory = room.world.state.artifacts.by_id["shop.memory"]
    assert (memory.owner, memory.contract) == ("alice", Contract("members", members=("shop",)))
    assert room.recall("alice", "maps", memory="shop.memory") == [1]
    room.fails(Code.PERMISSION_DENIED, "bob", MEMORY, "recall", query="maps", memory="shop.memory")


# What cannot be.


@pytest.mark.parametrize("text", ["", "x" * 201, 5, None])
def test_a_text_has_its_bounds(room: Room, text: Any):
    for method, name in (("remember", "text"), ("recall", "query")):
        answer = room.ask("alice", MEMORY, method, **{name: text})
        assert isinstance(answer, Refused)
        assert answer.code is Code.ARGUMENTS_INVALID


@pytest.mark.parametrize("text", ["...", " \n\t", "\u200b‍", "\x00\x01"])
def test_a_text_without_a_word_is_not_remembered(room: Room, text: str):
    room.fails(Code.ARGUMENTS_INVALID, "alice", MEMORY, "remember", text=text)
    room.remember("alice", VAULT)
    room.fails(Code.ARGUMENTS_INVALID, "alice", MEMORY, "recall", query=text)


def test_a_full_memory_says_so(room: Room):
    for n in range(8):
        room.remember("alice", f"thing {n}")

    told = room.fails(Code.CONTENT_TOO_LARGE, "alice", MEMORY, "remember", text="one more")

    assert "full with 8 entries" in told.detail
    room.done("alice", MEMORY, "forget", entry=3)
    assert room.remember("alice", "one more") == 9


def test_who_has_no_room_remembers_nothing(room: Room):
    told = room.fails(Code.QUOTA_EXCEEDED, "carol", MEMORY, "remember", text="x y z")

    assert "stored_bytes" in told.detail
    room.fails(Code.NOT_FOUND, "carol", MEMORY, "recall", query="x y z")


def test_what_is_no_memory_is_told(room: Room):
    args: dict[str, Any] = {"memory": "diary"}

    room.fails(Code.ARGUMENTS_INVALID, "alice", MEMORY, "recall", query="x", **args)
    room.fails(Code.ARGUMENTS_INVALID, "alice", MEMORY, "remember", text="x", **args)
    room.fails(Code.NOT_FOUND, "alice", MEMORY, "recall", query="x", memory="nowhere")
    told = room.fails(Code.NOT_FOUND, "alice", MEMORY, "forget", entry=1)
    assert "remember makes one" in told.detail
    room.fails(Code.ID_INVALID, "alice", MEMORY, "remember", text="x", memory="No Id!")


def test_nobody_takes_the_name_of_anothers_memory(room: Room):
    room.fails(Code.ID_TAKEN, "bob", MEMORY, "remember", text="lies", memory="alice.memory")

    assert room.remember("bob", "mine", memory="nobody.memory") == 1


def test_another_who_wrote_what_has_my_memorys_name_gets_neither_my_text_nor_my_scrip(room: Room):
    verdict = {"verdict": "allow", "price_scrip": 40, "payee": "alice"}
    room.write("alice", "rule", json.dumps(verdict), type="code", interface=(Tool("check"),))
    for id, contract in (("bob.memory", Contract("rule")), ("carol.memory", Contract("public"))):
        room.write("alice", id, "", type="memory", contract=contract)

    for who in ("bob", "carol"):
        for method, args in (
            ("remember", {"text": VAULT}),
            ("recall", {"query": VAULT}),
            ("forget", {"entry": 1}),
        ):
            told = room.fails(Code.PERMISSION_DENIED, who, MEMORY, method, **args)
            assert f"{who}.memory is alice's" in told.detail
    assert room.remember("bob", VAULT, memory="bob.own") == 1


def test_a_memory_that_another_gives_me_under_its_contract_is_not_taken_for_mine(room: Room):
    verdict = {"verdict": "allow", "price_scrip": 40, "payee": "alice"}
    room.write("alice", "rule", json.dumps(verdict), type="code", interface=(Tool("check"),))
    room.write("alice", "bob.memory", "", type="memory", contract=Contract("rule"))
    room.done("alice", "genesis_ledger", "transfer_ownership", id="bob.memory", to="bob")

    told = room.fails(Code.PERMISSION_DENIED, "bob", MEMORY, "remember", text=VAULT)

    assert "under rule" in told.detail
    room.write("bob", "bob.memory", "", contract=Contract())
    assert room.remember("bob", VAULT) == 1


def test_a_memory_that_is_shared_is_used_where_it_is_named(room: Room):
    room.remember("alice", VAULT)
    room.share("alice", "alice.memory", Contract("freeware"))

    room.fails(Code.PERMISSION_DENIED, "alice", MEMORY, "remember", text="a secret")
    assert room.remember("alice", "no secret", memory="alice.memory") == 2


def test_what_remembering_costs_is_bounded_where_anothers_memory_is_named(room: Room):
    verdict = {"verdict": "allow", "price_scrip": 40, "payee": "alice"}
    room.write("alice", "rule", json.dumps(verdict), type="code", interface=(Tool("check"),))
    room.write("alice", "board", "", type="memory", contract=Contract("rule"))
    args: dict[str, Any] = {"memory": "board", "price_max": 39}

    room.fails(Code.PRICE_ABOVE_MAX, "bob", MEMORY, "remember", text=VAULT, **args)
    assert room.remember("bob", VAULT, memory="board", price_max=40) == 1
    room.fails(Code.PRICE_ABOVE_MAX, "bob", MEMORY, "forget", entry=1, **args)

    assert room.world.state.ledger.balances["bob"] == 60


def test_what_is_written_by_hand_is_read_and_what_was_changed_is_not_found(room: Room):
    room.remember("alice", "apples are red")
    room.remember("alice", "pears are green")
    answer = room.act("alice", Read("alice.memory"))
    assert isinstance(answer, Done)
    text = room.world.text(answer.result).replace("green", "black")
    room.write("alice", "alice.memory", text + "\n\n")

    told = room.done("alice", MEMORY, "recall", query="black pears and apples")

    assert [entry["entry"] for entry in told["entries"]] == [1]
    assert told["lost"] == 1
    room.done("alice", MEMORY, "forget", entry=2)
    assert room.remember("alice", "pears are black") == 3
    assert room.recall("alice", "black pears")[0] == 3


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("just a note", Code.DEFINITION_INVALID),
        ('{"entry": 0, "at_us": 1, "text": "x"}', Code.DEFINITION_INVALID),
        ('{"entry": 99999999999999999999, "at_us": 1, "text": "x"}', Code.DEFINITION_INVALID),
        ('{"entry": 1, "at_us": 1, "text": "x", "z": ' + "[" * 9_000, Code.DEFINITION_INVALID),
        ('{"entry": 1, "at_us": 1, "text": "\\ud800"}', Code.DEFINITION_INVALID),
        ('{"entry": 1, "at_us": 1, "text": "x"}\n' * 9, Code.CONTENT_TOO_LARGE),
    ],
)
def test_what_is_spoilt_by_hand_is_told_with_its_line(room: Room, content: str, code: Code):
    room.write("alice", "spoilt", content, type="memory")
    args: dict[str, Any] = {"memory": "spoilt"}

    for method, more in (
        ("remember", {"text": "x"}),
        ("recall", {"query": "x"}),
        ("forget", {"entry": 1}),
    ):
        told = room.fails(code, "alice", MEMORY, method, **more, **args)
        assert "line" in told.detail


def test_numbers_written_by_hand_never_come_again(room: Room):
    line = '{"entry": 7, "at_us": 1, "text": "x", "tags": []}'
    room.write("alice", "mine", line, type="memory")

    assert room.remember("alice", "apples", memory="mine") == 8
    room.done("alice", MEMORY, "forget", entry=8, memory="mine")
    assert room.remember("alice", "apples", memory="mine") == 9


# An embedder outside of the world.

AXIS = [127, *[0] * 255]
ASLANT = [90, 90, *[0] * 254]


@pytest.fixture
def outside() -> Iterator[Room]:
    made = Room(MemoryFigures("outside", 8, 200))
    yield made
    made.check()


def settled(room: Room, waiting: Any, value: Any) -> Any:
    assert isinstance(waiting, Waiting)
    effect = next(reversed(room.world.state.effects))
    told = room.world.settle(effect, EffectResult(value), room.world.state.now_us + STEP_US)
    assert told is not None
    return told.answer


def test_an_embedder_outside_is_asked_and_its_vector_is_kept(outside: Room):
    waiting = outside.ask("alice", MEMORY, "remember", text="apples")
    request = outside.world.requests[-1]
    assert request.performer == MEMORY
    assert request.payload["text"] == "apples"
    assert settled(outside, waiting, AXIS) == Done({"memory": "alice.memory", "entry": 1})
    settled(outside, outside.ask("alice", MEMORY, "remember", text="pears"), AXIS[::-1])

    found = settled(outside, outside.ask("alice", MEMORY, "recall", query="fruit"), ASLANT)

    assert [(e["entry"], e["similarity"]) for e in found.result["entries"]] == [(1, 70)]


@pytest.mark.parametrize("value", [None, [1], [0.5] * 256, [128] * 256, "x", [0] * 257])
def test_what_is_no_vector_is_not_kept(outside: Room, value: Any):
    answer = settled(outside, outside.ask("alice", MEMORY, "remember", text="apples"), value)

    assert isinstance(answer, Failed)
    assert answer.code is Code.TOOL_FAILED
    assert "alice.memory" not in outside.world.state.artifacts.by_id


def test_a_price_is_held_while_the_embedder_is_asked(outside: Room):
    settled(outside, outside.ask("alice", MEMORY, "remember", text="apples"), AXIS)
    outside.share("alice", "alice.memory", Contract("pay_per_use", 30))
    ledger = outside.world.state.ledger
    args: dict[str, Any] = {"query": "apples", "memory": "alice.memory"}

    waiting = outside.ask("bob", MEMORY, "recall", **args)
    assert (ledger.available("bob"), ledger.balances["bob"]) == (70, 100)
    assert settled(outside, waiting, AXIS).result["entries"][0]["entry"] == 1
    assert (ledger.balances["alice"], ledger.balances["bob"]) == (130, 70)

    settled(outside, outside.ask("bob", MEMORY, "recall", **args), "nonsense")
    outside.world.advance(outside.world.state.now_us + 60_000_000)
    assert (ledger.available("bob"), ledger.balances["alice"]) == (70, 130)
    outside.fails(Code.SCRIP_INSUFFICIENT, "carol", MEMORY, "recall", **args)


def test_a_result_that_comes_when_the_price_went_back_is_too_late(outside: Room):
    settled(outside, outside.ask("alice", MEMORY, "remember", text="apples"), AXIS)
    outside.share("alice", "alice.memory", Contract("pay_per_use", 30))
    waiting = outside.ask("bob", MEMORY, "recall", query="apples", memory="alice.memory")
    outside.world.advance(outside.world.state.now_us + 60_000_000)

    answer = settled(outside, waiting, AXIS)

    assert isinstance(answer, Failed)
    assert outside.world.state.ledger.balances["bob"] == 100


@pytest.mark.parametrize("method", ["recall", "remember"])
def test_a_memory_that_changes_hands_in_between_stays_closed(outside: Room, method: str):
    settled(outside, outside.ask("alice", MEMORY, "remember", text="apples"), AXIS)
    name = {"recall": "query", "remember": "text"}[method]
    waiting = outside.ask("alice", MEMORY, method, **{name: "apples"})
    outside.done("alice", "genesis_ledger", "transfer_ownership", id="alice.memory", to="bob")

    answer = settled(outside, waiting, AXIS)

    assert isinstance(answer, Failed)
    assert answer.code is Code.NOT_OPEN


@pytest.mark.parametrize("method", ["recall", "remember"])
@pytest.mark.parametrize("change", [{"contract": Contract()}, {"type": "text"}])
def test_a_memory_that_is_closed_or_none_any_more_stays_as_it_is(
    outside: Room, method: str, change: dict[str, Any]
):
    settled(outside, outside.ask("alice", MEMORY, "remember", text="apples", memory="it"), AXIS)
    outside.share("alice", "it", Contract("members", members=("bob",)))
    name = {"recall": "query", "remember": "text"}[method]
    waiting = outside.ask("bob", MEMORY, method, memory="it", **{name: "apples"})
    outside.write("alice", "it", "my secret", **change)

    answer = settled(outside, waiting, AXIS)

    assert isinstance(answer, Failed)
    assert answer.code is Code.NOT_OPEN
    assert outside.act("alice", Read("it")) == Done("my secret")


def test_what_anothers_contract_allowed_stands_while_that_is_the_contract(outside: Room):
    settled(outside, outside.ask("alice", MEMORY, "remember", text="apples", memory="it"), AXIS)
    verdict = {"verdict": "allow", "price_scrip": 20, "payee": "carol"}
    outside.write("alice", "rule", json.dumps(verdict), type="code", interface=(Tool("check"),))
    outside.share("alice", "it", Contract("rule"))

    waiting = outside.ask("bob", MEMORY, "recall", query="apples", memory="it")

    assert isinstance(settled(outside, waiting, AXIS), Done)
    assert outside.world.state.ledger.balances["carol"] == 20


def test_a_price_that_was_raised_in_between_is_not_paid(outside: Room):
    settled(outside, outside.ask("alice", MEMORY, "remember", text="apples"), AXIS)
    outside.share("alice", "alice.memory", Contract("pay_per_use", 30))
    waiting = outside.ask("bob", MEMORY, "recall", query="apples", memory="alice.memory")
    outside.share("alice", "alice.memory", Contract("pay_per_use", 50))

    assert isinstance(settled(outside, waiting, AXIS), Failed)

    balances = outside.world.state.ledger.balances
    assert (balances["alice"], balances["bob"]) == (100, 100)


def test_what_may_not_be_is_told_before_the_embedder_is_asked(outside: Room):
    outside.fails(Code.NOT_FOUND, "alice", MEMORY, "recall", query="apples")

    assert outside.world.requests == []


# Against a plain model.

OPS = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob"]),
        st.sampled_from(["remember", "recall", "forget", "give"]),
        st.sampled_from(["apples are red", "pears are green", "swords are sharp"]),
        st.integers(1, 6),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(OPS)
def test_random_lives_of_a_memory_are_those_of_a_list(ops: list[tuple[str, str, str, int]]):
    room, owner, next_entry = Room(), "alice", 2
    room.remember("alice", "apples are red", memory="it")
    entries = {1: "apples are red"}

    for who, what, text, number in ops:
        answer: Any
        if what == "give":
            args = {"id": "it", "to": "bob" if who == "alice" else "alice"}
            answer = room.ask(who, "genesis_ledger", "transfer_ownership", **args)
            owner = str(args["to"]) if who == owner else owner
            continue
        given_args = {
            "remember": {"text": text},
            "recall": {"query": text, "limit": 5},
            "forget": {"entry": number},
        }
        full = what == "remember" and len(entries) == FIGURES.entries_max
        missing = what == "forget" and number not in entries
        answer = room.ask(who, MEMORY, what, memory="it", **given_args[what])
        assert isinstance(answer, Done) == (who == owner and not full and not missing)
        if not isinstance(answer, Done):
            continue
        if what == "remember":
            assert answer.result["entry"] == next_entry
            entries[next_entry] = text
            next_entry += 1
        elif what == "forget":
            del entries[number]
        else:
            same = [n for n in sorted(entries, reverse=True) if entries[n] == text]
            found = [entry["entry"] for entry in answer.result["entries"]]
            assert found[: len(same)] == same[:5]

    assert room.world.state.artifacts.by_id["it"].owner == owner
    room.check()
