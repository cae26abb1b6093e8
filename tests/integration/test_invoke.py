"""Invoke from end to end: an invocation is admitted, charged, paid and recorded, or changes nothing."""

from pathlib import Path

import pytest

from scripworld.world import Charged, Code, Done, Invoke, Refused

from .world import QUOTAS, answers_to, play

QUOTA, WINDOW_US = QUOTAS["compute"], 60_000_000

LEDGER = "genesis_ledger"


def test_a_payment_moves_scrip_and_charges_who_made_it(tmp_path: Path):
    run = play(tmp_path, ana=[Invoke(LEDGER, "transfer", {"to": "ben", "amount": 30})], ben=[])

    assert answers_to(run, "ana") == [Done(70)]
    state = run.state()
    assert (state.ledger.balances["ana"], state.ledger.balances["ben"]) == (70, 130)
    assert state.resources.tracker.usage("ana", "compute", 0) == 2
    assert state.resources.tracker.usage("ben", "compute", 0) == 0


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (Invoke("nobody", "ask"), Code.NOT_FOUND),
        (Invoke(LEDGER, "transfr", {"to": "ben", "amount": 1}), Code.METHOD_UNKNOWN),
        (Invoke(LEDGER, "transfer", {"to": "ben"}), Code.ARGUMENTS_INVALID),
        (
            Invoke(LEDGER, "transfer", {"to": "ben", "amount": 1, "memo": "x"}),
            Code.ARGUMENTS_INVALID,
        ),
        (Invoke("ben", "ask"), Code.NOT_EXECUTABLE),
    ],
)
def test_a_refusal_costs_the_admission_and_nothing_else(tmp_path: Path, call: Invoke, code: Code):
    run = play(tmp_path, ana=[call], ben=[])

    (answer,) = answers_to(run, "ana")
    assert isinstance(answer, Refused)
    assert answer.code is code
    assert answer.detail
    state = run.state()
    assert (state.ledger.balances["ana"], state.ledger.balances["ben"]) == (100, 100)
    refused = next(r for r in run.records() if r.answer == answer)
    assert refused.facts == [Charged("ana", 1)]


def test_who_has_used_up_its_compute_does_no_more_in_that_window(tmp_path: Path):
    looks = [Invoke("genesis_store", "count", {"owner": f"x{n}"}) for n in range(QUOTA)]
    run = play(tmp_path, ana=looks)

    used = [
        (record.now_us, fact.amount)
        for record in run.records()
        for fact in record.facts
        if isinstance(fact, Charged)
    ]
    in_windows = [
        sum(amount for at_us, amount in used if end_us - WINDOW_US < at_us <= end_us)
        for end_us, _ in used
    ]
    assert max(in_windows) == QUOTA
    assert used[-1][0] >= WINDOW_US, "it goes on when the window has passed"
