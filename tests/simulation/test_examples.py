"""The worked examples: each is run as its page says, and does what its text says."""

import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

import scripworld
from scripworld import Run
from scripworld.world import BlobRef, Done, Envelope, Failed, Invoke, Read, Refused, State

from .lab import conserved

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "config" / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("examples")

    @cache
    def played(name: str) -> Run:
        settings = {"store": {"runs_dir": str(folder)}}
        return scripworld.run(EXAMPLES / f"{name}.yaml", run_id=name, settings=settings)

    return played


def no(run: Run) -> list[tuple[str, str, str]]:
    """Every no of the world, in order: to whom, with which code, and about which artifact."""
    return [
        (r.input.principal, r.answer.code.name, r.input.action.id)
        for r in run.records()
        if isinstance(r.input, Envelope) and isinstance(r.answer, Refused | Failed)
    ]


def told(run: Run, action: Any, who: str) -> list[Any]:
    """What somebody was answered each time that it did this."""
    return [
        r.answer.result if isinstance(r.answer, Done) else r.answer.code.name
        for r in run.records()
        if isinstance(r.input, Envelope) and (r.input.principal, r.input.action) == (who, action)
    ]


def scrip(run: Run, *principals: str) -> list[int]:
    balances = run.state().ledger.balances
    assert sum(balances.values()) == sum(balances[id] for id in principals)
    return [balances[id] for id in principals]


def owner(run: Run, id: str) -> str:
    state: State = run.state()
    return state.artifacts.by_id[id].owner


def text(run: Run, id: str) -> str:
    content = run.state().artifacts.by_id[id].content
    with closing(run.log()) as log:
        if isinstance(content, BlobRef):
            content = msgspec.msgpack.decode(log.get_blob(content.digest), type=str)
    return content


def test_the_page_of_the_examples_has_them_all():
    page = (ROOT / "docs" / "architecture" / "examples.md").read_text()

    for name in NAMES:
        assert f"config/examples/{name}.yaml" in page
    assert len(NAMES) == 5


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_proved_by_the_kernel_and_by_its_format_alone(play, name: str):
    run = play(name)

    assert run.verify(conserved).decided
    assert run.verify_running_code().decided
    audit = [sys.executable, ROOT / "scripts" / "audit", run.folder]
    ended = subprocess.run(audit, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.split("\n")[-2]) == (0, "ok"), ended.stderr
    stopped = run.state().agenda.stopped
    assert set(stopped.values()) == {"the script is over"}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_ends_the_same_whatever_comes_first(play, name: str, tmp_path: Path):
    settings = {"store": {"runs_dir": str(tmp_path)}}
    other = scripworld.run(EXAMPLES / f"{name}.yaml", seed=7, settings=settings)

    assert other.state().ledger.balances == play(name).state().ledger.balances
    assert sorted(no(other)) == sorted(no(play(name)))


def test_a_cooperative_shares_what_it_earned_and_nobody_changes_it(play):
    run = play("cooperative")

    assert scrip(run, "founder", "member", "client", "coop") == [10 + 9, 9, 40 - 18, 0]
    assert told(run, Invoke("coop", "join"), "member") == [["founder", "member"]] * 2
    asked = Invoke("coop", "count_words", {"text": "how many words are these"})
    assert told(run, asked, "client") == [5, 5, 5]
    assert no(run) == [
        ("client", "PRICE_ABOVE_MAX", "coop"),
        ("founder", "PERMISSION_DENIED", "coop"),
    ]
    assert owner(run, "coop") == owner(run, "coop.members") == "coop"
    assert "MEMBERS_MAX = 20" in text(run, "coop")


def test_only_who_bought_time_reads_and_only_so_long(play):
    run = play("subscription")

    assert scrip(run, "editor", "reader") == [10, 15]
    assert told(run, Invoke("gazette_pass", "subscribe"), "reader") == [2_100_000 + 5_000_000]
    news = "Nothing happened today."
    denied = "PERMISSION_DENIED"
    assert told(run, Read("gazette"), "reader") == [denied, news, news, denied]
    assert no(run) == [("reader", denied, "gazette")] * 2
    assert owner(run, "gazette_pass.until") == "gazette_pass"


def test_the_painting_is_sold_when_it_is_cheap_enough_and_once(play):
    run = play("dutch_auction")

    assert scrip(run, "painter", "patient", "late") == [22, 30 - 22, 100]
    assert told(run, Invoke("auction", "price"), "patient") == [50 - 4 * 2]
    assert told(run, Invoke("auction", "buy"), "patient") == ["PRICE_ABOVE_MAX", "painting"]
    assert told(run, Read("painting"), "patient") == ["~~~ ~~ ~~~~ ~ ~~~"]
    assert no(run) == [
        ("patient", "PRICE_ABOVE_MAX", "auction"),
        ("late", "PERMISSION_DENIED", "auction"),
    ]
    assert (owner(run, "painting"), owner(run, "auction")) == ("patient", "auction")


def test_a_bounty_is_paid_once_for_what_solves_it_and_never_back(play):
    run = play("bounty")

    assert scrip(run, "sponsor", "guesser", "solver", "bounty") == [20, 0, 80, 0]
    assert told(run, Invoke("bounty", "claim", {"p": 1009, "q": 1013}), "solver") == [80]
    assert no(run) == [
        ("guesser", "CODE_RAISED", "bounty"),
        ("guesser", "CODE_RAISED", "bounty"),
        ("solver", "CODE_RAISED", "bounty"),
        ("sponsor", "PERMISSION_DENIED", "bounty"),
    ]
    assert owner(run, "bounty") == "bounty"


def test_nobody_casts_more_nets_than_the_rule_of_the_commons_allows(play):
    run = play("commons")
    cast = Invoke("pond", "cast")

    assert told(run, cast, "greedy") == [5, 5, "PERMISSION_DENIED"] * 2
    assert told(run, cast, "fisher_1") == told(run, cast, "fisher_2") == [5, 5, 5]
    assert no(run) == [("greedy", "PERMISSION_DENIED", "pond")] * 2
    assert '"stock": 40' in text(run, "pond.state")
    assert owner(run, "pond") == owner(run, "pond.state") == "pond"
    assert owner(run, "pond_rule") == "pond_rule"
