"""The rule scorer: what earns points, and that repeating earns none."""

import asyncio
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scripworld.adapters.scorers import PRINT_MAX, WORDS_MAX, RuleScorer, score
from scripworld.world import Code, EffectRequest, EffectResult


def essay(seed: int, lines: int = 60, words: int = 12) -> str:
    chance = Random(seed)

    def word() -> str:
        return "".join(chance.choice("abcdefghijklmnop") for _ in range(chance.randint(3, 8)))

    return "\n".join(" ".join(word() for _ in range(words)) for _ in range(lines))


def points(content: str, *earlier: str) -> int:
    value = score(content, [score(text, [])["print"] for text in earlier])["score"]
    assert isinstance(value, int)
    return value


def perform(payload: Any) -> EffectResult:
    scorer = RuleScorer()
    request = EffectRequest(
        *("1.0", "k", "genesis_mint", "genesis_mint", "tick", "genesis_mint", payload),
        *(0, 1, 2, 1_000, True),
    )

    async def ask() -> EffectResult:
        try:
            return await scorer.perform(request)
        finally:
            await scorer.close()

    return asyncio.run(ask())


def test_a_long_and_varied_text_gets_all_points_and_an_empty_one_none():
    assert points(essay(1)) == 100
    assert points("") == points(" .\n ") == 0
    assert 0 < points(essay(1, lines=8)) < points(essay(1, lines=16)) < 100


def test_repeating_earns_nothing():
    once = "the cat sat on the mat\nand saw the dog"

    assert points("\n".join([once] * 50)) <= points(once) + 3
    assert points("word " * 10_000) <= 1


def test_what_was_scored_before_earns_nothing_again():
    text = essay(1)

    assert points(text, text) == 0
    assert points(text.upper().replace(" ", ",  "), text) == 0
    assert points(f"a new title\n{text}", essay(7), text) <= 3


def test_a_part_that_is_new_earns_its_part():
    old, new = essay(1, lines=40), essay(2, lines=40)

    assert points(new, old) == 100
    assert 30 <= points(f"{old}\n{new}", old) <= 70


def test_mixing_two_works_that_were_scored_earns_next_to_nothing():
    first, second = essay(1, lines=40), essay(2, lines=40)

    assert points(f"{first}\n{second}", first, second) <= 3


def test_an_excerpt_of_what_was_scored_is_not_new():
    text = essay(1, lines=80)

    assert points("\n".join(text.splitlines()[50:70]), text) <= 5


def test_only_so_many_words_count_and_all_that_counted_is_remembered():
    first = essay(1, lines=WORDS_MAX // 10, words=10)

    assert score(f"{first}\n{essay(2)}", [])["print"] == score(first, [])["print"]
    assert 0 < len(score(first, [])["print"]) <= PRINT_MAX


@given(st.text(max_size=2_000), st.lists(st.lists(st.integers(0, 2**32)), max_size=4))
def test_any_text_gets_a_score_that_the_mint_takes(text: str, prints: list[list[int]]):
    told = score(text, prints)

    assert 0 <= told["score"] <= 100
    assert len(told["print"]) <= PRINT_MAX
    assert told == score(text, prints)


def test_it_answers_an_effect_from_its_payload_alone():
    payload = {"content": essay(1), "prints": []}

    assert perform(payload) == perform(payload)
    assert perform(payload).value["score"] == 100
    assert perform({"content": None}).code is Code.TOOL_FAILED
    assert perform([]).code is Code.TOOL_FAILED
