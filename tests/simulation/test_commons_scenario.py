"""The scenario `commons` from end to end: who leaves half fishes to the end, and so does who is bound to."""

import io
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Run
from scripworld.interfaces.render import show_summary
from scripworld.interfaces.tables import console
from scripworld.simulation.commons import CommonsSummary
from scripworld.world import Code, Envelope, Failed, Refused

from .lab import conserved

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "config" / "scenarios" / "commons.yaml"
SEEDS = [0, 1, 2]
PAGE = ROOT / "docs" / "architecture" / "commons.md"
TREASURY = 6_000
STRANGER = """
  - id: stranger
    mind: fisher
    scrip: 0
    quotas: *quotas
    params: {pond: ruled_pond, round_s: 5, nets: 4, rule: pond_rule, vote: 20}
"""


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("commons")

    @cache
    def played(seed: int) -> Run:
        return scripworld.run("commons", seed=seed, settings={"store": {"runs_dir": str(folder)}})

    return played


def another(folder: Path, text: str) -> Run:
    """A run of a scenario with these words."""
    path = folder / "other.yaml"
    path.write_text(text)
    return scripworld.run(path, seed=1, settings={"store": {"runs_dir": str(folder)}})


def ponds(run: Run) -> dict[str, CommonsSummary]:
    return {told.owner: told for told in run.summary().economy.commons}


def denied(run: Run) -> list[tuple[str, Refused | Failed]]:
    return [
        (record.input.principal, record.answer)
        for record in run.records()
        if isinstance(record.answer, Refused | Failed) and isinstance(record.input, Envelope)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_greed_ends_a_pond_and_a_rule_keeps_it(play, seed: int):
    told = ponds(play(seed))

    assert told.keys() == {"careful_pond", "mixed_pond", "greedy_pond", "ruled_pond"}
    for id, rule in (("careful_pond", "freeware"), ("ruled_pond", "pond_rule")):
        assert (told[id].rule, told[id].rounds, told[id].collapsed) == (rule, 12, 0)
        assert told[id].left == [10_000, *[5_000] * 12]
        assert told[id].gini == 0
    assert 9 <= told["mixed_pond"].collapsed <= 12
    assert told["mixed_pond"].left == sorted(told["mixed_pond"].left, reverse=True)
    assert 1 <= told["greedy_pond"].collapsed <= 2
    assert {told[id].rule for id in ("mixed_pond", "greedy_pond")} == {"freeware"}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_caught_is_paid_from_the_treasury_of_the_pond(play, seed: int):
    run = play(seed)
    balances = run.state().ledger.balances

    for id, told in ponds(run).items():
        earned = {who: balances[who] for who in told.taken}
        for who, fish in told.taken.items():
            assert 0 <= fish // 10 - earned[who] <= 60  # each net is paid in whole scrip
        assert sum(earned.values()) + balances[id] == TREASURY
        assert len(told.taken) == 5
    assert balances["fair_1"] < balances["rider"] < balances["careful_1"] == 1_200
    assert balances["grabber_1"] < balances["fair_1"]
    assert balances["outvoted"] == balances["ruled_1"] == 1_200


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_rule_says_no_once_a_round_to_each(play, seed: int):
    no = denied(play(seed))

    assert {answer.code for _, answer in no} == {Code.PERMISSION_DENIED}
    assert all("at most 2 nets a round each" in answer.detail for _, answer in no)
    bound = ["ruled_1", "ruled_2", "ruled_3", "ruled_4", "outvoted"]
    assert Counter(who for who, _ in no) == dict.fromkeys(bound, 12)


def test_the_same_fishers_end_the_same_pond_at_once_without_the_rule(tmp_path: Path):
    text = SCENARIO.read_text()
    assert text.count("contract: {id: pond_rule}") == 1
    run = another(tmp_path, text.replace("contract: {id: pond_rule}", "contract: {id: freeware}"))

    told = ponds(run)["ruled_pond"]

    assert (told.rule, told.collapsed) == ("freeware", 1)
    assert sum(told.taken.values()) == 10_000
    assert denied(run) == []


def test_who_may_not_vote_does_not_fish_and_what_most_want_holds(tmp_path: Path):
    text = SCENARIO.read_text() + STRANGER
    assert text.count("vote: 2}") == 1
    run = another(tmp_path, text.replace("vote: 2}", "vote: 1}"))

    told = ponds(run)["ruled_pond"]

    assert told.taken == dict.fromkeys(["outvoted", *(f"ruled_{n}" for n in range(1, 5))], 6_000)
    details = [answer.detail for who, answer in denied(run) if who == "stranger"]
    assert "the contract members of pond_rule does not let stranger invoke it" in details[0]
    assert all("who does not vote does not fish" in detail for detail in details[1:])
    assert len(details) == 13


def test_it_is_proved_by_the_kernel_its_code_and_its_format_alone(play):
    run = play(1)

    assert run.ended == "quiet"
    assert run.verify(conserved).decided
    assert run.verify_running_code().decided
    audit = [sys.executable, ROOT / "scripts" / "audit", run.folder]
    ended = subprocess.run(audit, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.split("\n")[-2]) == (0, "ok"), ended.stderr


def test_a_run_that_is_resumed_equals_one_that_was_never_interrupted(play, tmp_path: Path):
    settings = {"store": {"runs_dir": str(tmp_path)}}
    half = scripworld.run("commons", seed=2, until_us=31_000_000, settings=settings)

    whole = scripworld.resume(half.folder)

    assert whole.verify().head == play(2).verify().head


def test_nothing_belongs_to_who_founded_it(play):
    artifacts = play(1).state().artifacts.by_id

    made = {id: artifact.owner for id, artifact in artifacts.items() if "pond" in id}
    assert len(made) == 5 + 4 + 1
    assert all(owner == id.partition(".")[0] for id, owner in made.items())


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_summary_tells_stock_catches_and_when_it_collapsed(
    play, columns: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", columns)
    run, stream = play(1), io.StringIO()
    told: dict[str, Any] = ponds(run)

    show_summary(console(stream), run.summary())

    shown = stream.getvalue()
    rows = {line.split()[0]: line for line in shown.split("\n") if "freeware" in line}
    assert f"in round {told['mixed_pond'].collapsed}" in rows["mixed_pond"]
    assert "in round 1 " in rows["greedy_pond"]
    assert "60,000  0.00" in rows["careful_pond"]
    rider = told["mixed_pond"].taken["rider"]
    assert f"rider {rider:,}, fair_1" in shown


def test_a_run_ends_as_its_page_shows(play, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()

    show_summary(console(stream), play(0).summary())

    [shown] = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    printed = {line.strip() for line in stream.getvalue().split("\n")}
    assert {line.strip() for line in shown.splitlines()} <= printed
    assert len(shown.splitlines()) == 5
