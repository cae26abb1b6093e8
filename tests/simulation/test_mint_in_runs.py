"""The mint and loans in whole runs: configured, scored, ended by time, proved; also after `kill -9`."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import scripworld
from scripworld import Run
from scripworld.adapters.scorers import score
from scripworld.agents.mind import Scripted
from scripworld.simulation.config import load_config
from scripworld.simulation.markets import MARKETS, market_figures, markets_from
from scripworld.world import (
    Code,
    ConfigurationFault,
    Done,
    EffectRequest,
    EffectRequested,
    EffectResult,
    Envelope,
    LogFault,
    ScripIssued,
    Settle,
)

from .lab import SECOND_US, conserved
from .mint_lab import DEBT, ESSAY, MINT, RUN_ID, decisions, play

ROOT = Path(__file__).parents[2]
POINTS = score(ESSAY, [])["score"]


class Says:
    """A scorer that answers what it is told to."""

    patience_s = 0.0

    def __init__(self, result: EffectResult) -> None:
        self._result = result

    async def perform(self, request: EffectRequest) -> EffectResult:
        return self._result

    async def close(self) -> None:
        pass


def balances(run: Run) -> list[int]:
    run.verify(conserved)
    ledger = run.state().ledger
    assert ledger.holds == {}
    return [ledger.balances[name] for name in decisions()]


def test_an_auction_and_a_loan_come_to_their_ends_by_themselves(tmp_path):
    run = play(tmp_path)

    assert 0 < POINTS <= 100
    alice, bob, carol = 100 - 9 + 3 + 2 * POINTS, 100 + 3, 100 + 3
    assert balances(run) == [alice + 110, bob - 25 + 18, carol + 25 - 110 - 18]
    state = run.state()
    assert state.artifacts.by_id["house"].owner == "bob"
    assert state.ledger.supply == 300 + 2 * POINTS
    [issued] = [
        (r.now_us, fact.amount)
        for r in run.records()
        for fact in r.facts
        if isinstance(fact, ScripIssued) and r.seq
    ]
    assert issued == (21 * SECOND_US, 2 * POINTS)
    [checked] = [
        r.answer.result["score"]
        for r in run.records()
        if isinstance(r.input, Envelope)
        and isinstance(r.answer, Done)
        and getattr(r.input.action, "method", "") == "check"
    ]
    assert checked == POINTS


def test_two_equal_runs_are_one_log(tmp_path):
    assert play(tmp_path / "a").summary().head == play(tmp_path / "b").summary().head


@pytest.mark.parametrize(
    "result",
    [
        EffectResult({"score": "all of them"}),
        EffectResult(None, Code.TOOL_FAILED, "it broke"),
        EffectResult({"score": 100, "print": [0] * 4_000_000}),
    ],
)
def test_a_scorer_that_fails_costs_nobody_anything(tmp_path, result):
    run = play(tmp_path, genesis_mint=Says(result))

    assert balances(run) == [210, 100 - 25 + 15, 0]
    assert run.state().ledger.supply == 300


def test_a_scorer_of_ones_own_is_asked_instead(tmp_path):
    run = play(tmp_path, genesis_mint=Says(EffectResult({"score": 1})))

    assert run.state().ledger.supply == 302


def test_a_run_that_is_killed_while_it_scores_settles_once(tmp_path):
    undisturbed = balances(play(tmp_path / "quiet"))
    place = tmp_path / "killed"
    place.mkdir()
    program = [sys.executable, "-m", "tests.simulation.mint_lab", str(place)]
    process = subprocess.Popen(program, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (place / "asked").exists():
            assert process.poll() is None, "it ended before it asked"
            assert time.monotonic() < deadline, "it never asked"
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()

    killed = scripworld.open_run(RUN_ID, place)
    killed.verify(conserved)
    run = scripworld.resume(
        killed.folder, minds={name: Scripted(list(does)) for name, does in decisions().items()}
    )

    assert balances(run) == undisturbed
    asked = [f for r in run.records() for f in r.facts if isinstance(f, EffectRequested)]
    assert [request.performer for request in asked] == [MINT]
    assert sum(isinstance(r.input, Settle) for r in run.records()) == 1


def test_what_is_off_is_not_there():
    config = load_config(
        overrides={"genesis": {"mint": {"enabled": False}, "debt": {"enabled": False}}}
    )

    assert not market_figures(config).keys() & {MINT, DEBT}
    assert markets_from({}) == {}


def test_figures_make_the_artifacts_again():
    assert tuple(markets_from(market_figures(load_config()))) == MARKETS


@pytest.mark.parametrize("figures", [{}, {"period_us": "x"}, None, 7])
def test_a_first_record_without_their_figures_is_damaged(figures):
    with pytest.raises(LogFault, match="record 0 holds no figures of genesis_mint"):
        markets_from({MINT: figures})


def test_an_auction_that_takes_bids_beyond_its_period_is_refused():
    with pytest.raises(ConfigurationFault, match="bidding_us is at most period_us"):
        load_config(overrides={"genesis": {"mint": {"bidding_us": 10**12}}})
