"""Text as a vector: the same everywhere, near for texts of like words, and from a model elsewhere."""

import asyncio
from collections.abc import Sequence
from math import inf, nan
from operator import mul

import pytest

import scripworld
from scripworld.adapters.embedders import DIMENSIONS, LENGTH, Embedding, hashed
from scripworld.agents.mind import Scripted
from scripworld.world import Code, Done, EffectRequest, EffectResult, Envelope, Invoke, Settle

TEXTS = ["x", "The key of the vault", "東京の天気", "🎉 🦊", "word " * 400, "𝕬 ﬁne ①"]


def likeness(one: str, other: str) -> float:
    first, second = hashed(one), hashed(other)
    assert first is not None
    assert second is not None
    return sum(map(mul, first, second)) / LENGTH**2


@pytest.mark.parametrize("text", TEXTS)
def test_a_vector_has_its_dimensions_and_its_length(text: str):
    vector = hashed(text)

    assert vector is not None
    assert len(vector) == DIMENSIONS
    assert sum(map(mul, vector, vector)) == pytest.approx(LENGTH**2, rel=0.03)


def test_a_vector_is_the_same_on_every_machine():
    vector = hashed("the market opens at noon")

    assert vector is not None
    places = {place: number for place, number in enumerate(vector) if abs(number) > 20}
    assert places == {17: 34, 146: 69, 177: 69, 185: -34}


def test_words_in_another_form_order_or_script_are_alike():
    assert likeness("Selling maps", "the maps are sold; maps to sell") > 0.4
    assert likeness("ＭＡＰＳ", "maps") == pytest.approx(1, abs=0.02)
    assert likeness("sells old maps", "old maps sells") > 0.9


def test_texts_without_a_word_in_common_are_far_apart():
    assert abs(likeness("green pears ripen slowly", "quantum circuits need qubits")) < 0.3


def test_common_words_say_little():
    about = likeness("where is the map", "the map")
    filler = likeness("where is the map", "where is the")

    assert about > 0.8 > filler


@pytest.mark.parametrize("text", ["", "...", " \n", "\u200b", "\x00", "!?,;"])
def test_what_has_no_word_has_no_vector(text: str):
    assert hashed(text) is None


def asked(embed) -> EffectResult:
    request = EffectRequest(
        *("1.0", "key", "ann", "genesis_memory", "recall", "genesis_memory"),
        {"text": "apples"},
        *(0, 10, 20, 1_000, True),
    )

    async def perform() -> EffectResult:
        embedding = Embedding(embed)
        result = await embedding.perform(request)
        await embedding.close()
        return result

    return asyncio.run(perform())


def test_the_numbers_of_a_model_are_folded_and_brought_to_length():
    async def embed(text: str) -> Sequence[float]:
        assert text == "apples"
        return [0.3, 0.0, *[0.0] * 254, 0.1, 0.3]

    result = asked(embed)

    assert result.code is None
    assert result.value == [round(127 * 0.8), round(127 * 0.6), *[0] * 254]


@pytest.mark.parametrize(
    "numbers", [[], [0.0] * 300, [nan, 1.0], [inf], [1e308, *[0.0] * 255, 1e308]]
)
def test_numbers_without_a_direction_are_a_failure(numbers: list[float]):
    async def embed(text: str) -> Sequence[float]:
        return numbers

    assert asked(embed).code is Code.TOOL_FAILED


def test_a_run_remembers_with_a_model_that_is_passed_in_and_replays_without_it(tmp_path):
    calls = [
        Invoke("genesis_memory", "remember", {"text": "apples"}),
        Invoke("genesis_memory", "remember", {"text": "swords"}),
        Invoke("genesis_memory", "recall", {"query": "fruit", "limit": 1}),
    ]
    asked_for: list[str] = []

    async def embed(text: str) -> Sequence[float]:
        asked_for.append(text)
        return [float(text in ("apples", "fruit")), float(text == "swords")]

    servers = {name: {"enabled": False} for name in ("fetch", "filesystem")}
    quotas = {"compute": 100, "writes": 10, "stored_bytes": 5_000}
    scenario = scripworld.Scenario.model_validate(
        {
            "name": "orchard",
            "until_us": 9_000_000,
            "agents": [{"id": "ann", "mind": "ann", "scrip": 1, "quotas": quotas}],
            "config": {"genesis": {"mcp": {"servers": servers}, "memory": {"embedder": "outside"}}},
        }
    )

    def run(**given) -> scripworld.Run:
        settings = {"store": {"runs_dir": str(tmp_path)}}
        minds = {"ann": Scripted(list(calls))}
        return scripworld.run(scenario, settings=settings, minds=minds, **given)

    first = run(performers={"genesis_memory": Embedding(embed)}, run_id="first")
    again = run(effects_from="first")
    alone = run(run_id="alone")

    assert asked_for == ["apples", "swords", "fruit"]
    answers = [r.answer for r in first.records() if isinstance(r.input, Settle)]
    assert isinstance(answers[-1], Done)
    assert [entry["text"] for entry in answers[-1].result["entries"]] == ["apples"]
    first.verify()
    assert again.state().head == first.state().head
    codes = {
        getattr(r.answer, "code", None) for r in alone.records() if isinstance(r.input, Settle)
    }
    assert codes == {Code.TOOL_UNAVAILABLE}
    assert any(isinstance(r.input, Envelope) for r in alone.records())
