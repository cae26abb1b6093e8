"""A person approves what a contract asks about, in whole runs."""

from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Scripted
from scripworld.world import (
    APPROVAL,
    Code,
    Done,
    Edit,
    EffectRequest,
    EffectResult,
    Failed,
    Native,
    Read,
    Waiting,
)

from .test_asks import HUMAN, Answers

CHECK = (
    "def check(caller, action, method, artifact):\n"
    "    return {'verdict': 'ask', 'price_scrip': 7, 'reason': 'is it wise?'}\n"
)
READ = Read("essay")
QUOTAS = {"compute": 100, "stored_bytes": 9_000, "writes": 1}


class Performer(Answers):
    """Answers approvals by itself, without a person."""

    async def perform(self, request: EffectRequest) -> EffectResult:
        assert request.performer == APPROVAL
        return await super().perform(request)


def play(
    folder: Path,
    natives: tuple[Native, ...] = (),
    action: Any = READ,
    at_one_time: int = 8,
    **performers: Any,
) -> Run:
    """One agent reads an essay whose contract asks a person, or does something else with it."""
    gate = {
        "id": "gate",
        "owner": "author",
        "type": "code",
        "content": CHECK,
        "interface": [{"name": "check"}],
    }
    essay = {"id": "essay", "owner": "author", "content": "words", "contract": {"id": "gate"}}
    scenario = Scenario.model_validate(
        {
            "name": "approvals",
            "agents": [{"id": "a", "mind": "a", "scrip": 10, "quotas": QUOTAS}],
            "principals": [{"id": "author", "scrip": 0, "quotas": {"stored_bytes": 9_000}}],
            "artifacts": [gate, essay],
        }
    )
    off = {name: {"enabled": False} for name in ("filesystem", "fetch")}
    run = scripworld.run(
        scenario,
        minds={"a": Scripted([action])},
        natives=natives,
        performers=performers,
        until_us=20_000_000,
        settings={
            "store": {"runs_dir": str(folder / "runs")},
            "genesis": {"mcp": {"servers": off}},
            "runner": {"effects_in_flight_max": at_one_time},
        },
    )
    run.verify()
    return run


def answers(run: Run) -> list[Any]:
    return [r.answer for r in run.records() if r.answer is not None]


def test_a_person_is_asked_and_approves(tmp_path: Path):
    person = Answers({"approved": True})

    run = play(tmp_path, (HUMAN,), genesis_human=person)

    assert Done("words") in answers(run)
    assert [asked["question"] for asked in person.asked] == [
        "May a read essay? Its contract gate asks: is it wise?"
    ]
    assert person.asked[0]["from"] == "essay"
    assert person.asked[0]["schema"]["required"] == ["approved"]
    assert run.state().ledger.balances["author"] == 7


def test_a_person_is_shown_what_is_asked_for_before_what_the_contract_says(tmp_path: Path):
    person = Answers({"approved": True})

    play(tmp_path, (HUMAN,), Edit("essay", "words", "w" * 3_000), genesis_human=person)

    carried = '{"new":"' + "w" * (2_000 - 8)
    assert [asked["question"] for asked in person.asked] == [
        "May a edit essay? It carries 3024 bytes, which begin: "
        + carried
        + " Its contract gate asks: is it wise?"
    ]


def test_a_person_is_asked_where_one_effect_is_performed_at_a_time(tmp_path: Path):
    person = Answers({"approved": True})

    run = play(tmp_path, (HUMAN,), at_one_time=1, genesis_human=person)

    assert Done("words") in answers(run)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"approved": False, "reason": "no"}, "it was not approved: no"),
        ({"approved": "yes"}, "it was not approved"),
        ("yes", "it was not approved: what was answered is no answer to this"),
        (EffectResult(None, Code.TOOL_FAILED, "gone"), "it was not approved: TOOL_FAILED: gone"),
    ],
)
def test_what_is_no_yes_of_a_person_denies(tmp_path: Path, answer: Any, said: str):
    run = play(tmp_path, (HUMAN,), genesis_human=Answers(answer))

    [no] = [a for a in answers(run) if isinstance(a, Failed) and a.code == Code.PERMISSION_DENIED]
    assert no.detail == f"a may not read essay: {said}"
    assert run.state().ledger.balances == {"a": 10, "author": 0, "genesis": 0}


def test_without_anybody_nothing_is_approved(tmp_path: Path):
    run = play(tmp_path)

    waiting, no = answers(run)[:2]
    assert isinstance(waiting, Waiting)
    assert no == Failed(
        Code.PERMISSION_DENIED,
        "a may not read essay: it was not approved: nobody is there to approve it",
    )


def test_a_program_can_approve_by_itself(tmp_path: Path):
    performer = Performer({"approved": True})

    run = play(tmp_path, approval=performer)

    assert Done("words") in answers(run)
    assert performer.asked == [
        {
            "artifact": "essay",
            "owner": "author",
            "contract": "gate",
            "caller": "a",
            "action": "read",
            "method": None,
            "asks_for": "",
            "size_bytes": 0,
            "contract_says": "is it wise?",
        }
    ]
