"""What a tool server asks for in the middle of a call is an action of the world that its caller pays."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Scripted
from scripworld.world import (
    Code,
    Context,
    Done,
    Effect,
    EffectRequest,
    EffectResult,
    Envelope,
    Failed,
    Invoke,
    Method,
    Native,
    Settle,
    Tool,
    Waiting,
)

SERVER = Path(__file__).parents[1] / "genesis" / "servers" / "curious_server.py"
CURIOUS = "genesis_curious"
LIST = Invoke(CURIOUS, "list_tools")
THINK = Invoke(CURIOUS, "think", {"about": "why?"})
CONFIRM = Invoke(CURIOUS, "confirm", {"about": "really?"})
SECOND_US = 1_000_000


def native(id: str, method: str) -> Native:
    def ask(context: Context, args: dict[str, Any]) -> Effect:
        return Effect(id, args)

    tool = Tool(method, "", {"type": "object", "additionalProperties": True})
    return Native(id, "Answers.", {method: Method(tool, ask, effect=True)})


MODEL = native("genesis_model", "complete")
HUMAN = native("genesis_human", "ask")


class Answers:
    """Performs for the model and the person."""

    patience_s = 5.0

    def __init__(self, answer: Any, pause_s: float = 0.0) -> None:
        self.answer = answer
        self.pause_s = pause_s
        self.asked: list[Any] = []

    async def perform(self, request: EffectRequest) -> EffectResult:
        self.asked.append(request.payload)
        await asyncio.sleep(self.pause_s)
        if isinstance(self.answer, EffectResult):
            return self.answer
        return EffectResult(self.answer)

    async def close(self) -> None:
        pass


def play(
    folder: Path,
    *calls: Invoke,
    natives: tuple[Native, ...] = (MODEL, HUMAN),
    answer: Any = None,
    clock: str = "virtual",
    compute: int = 1_000,
    until_us: int = 20 * SECOND_US,
    at_one_time: int = 8,
    **arguments: Any,
) -> tuple[Run, Answers]:
    quotas = {"compute": compute}
    scenario = Scenario.model_validate(
        {
            "name": "asks",
            "agents": [{"id": "a", "mind": "a", "scrip": 100, "quotas": quotas}],
        }
    )
    server = {
        "command": sys.executable,
        "args": [str(SERVER)],
        "sandbox": {"runner": "none"},
        "grace_s": 0.3,
    }
    off = {name: {"enabled": False} for name in ("filesystem", "fetch")}
    performer = Answers(answer)
    price = {"price_scrip": 7, "resources": {"compute": 5}}
    run = scripworld.run(
        scenario,
        minds={"a": Scripted(list(calls))},
        natives=natives,
        performers={"genesis_model": performer, "genesis_human": performer},
        clock=clock,
        until_us=until_us,
        settings={
            "store": {"runs_dir": str(folder / "runs")},
            "runner": {"effects_in_flight_max": at_one_time},
            "genesis": {"mcp": {"servers": off | {"curious": server}}},
            "world": {"costs": {"genesis_model": {"*": price}}},
        },
        **arguments,
    )
    run.verify()
    return run, performer


def texts_of(run: Run) -> list[str]:
    """What the server told at the end of each call."""
    return [
        record.answer.result["content"][0]["text"]
        for record in run.records()
        if isinstance(record.input, Settle)
        and isinstance(record.answer, Done)
        and isinstance(record.answer.result, dict)
        and "content" in record.answer.result
    ]


WORDS = {"text": "because", "model": "tiny"}


@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_a_model_answers_the_server_and_the_caller_pays_for_it(tmp_path: Path, clock: str):
    until_us = 20 * SECOND_US if clock == "virtual" else 4 * SECOND_US
    run, model = play(tmp_path, LIST, THINK, answer=WORDS, clock=clock, until_us=until_us)

    assert texts_of(run) == ['{"text": "because", "type": "text"}']
    assert model.asked == [
        {
            "messages": [{"role": "user", "content": {"type": "text", "text": "why?"}}],
            "max_tokens": 50,
        }
    ]
    assert run.state().ledger.balances["a"] == 100 - 7
    asked = [
        record
        for record in run.records()
        if isinstance(record.input, Envelope)
        and isinstance(record.input.action, Invoke)
        and record.input.action.id == "genesis_model"
    ]
    assert len(asked) == 1
    assert asked[0].input.principal == "a"
    assert asked[0].input.idempotency_key
    assert isinstance(asked[0].answer, Waiting)


def test_the_answer_takes_the_models_time_in_the_world_and_the_call_ends_after_it(tmp_path: Path):
    run, _ = play(tmp_path, LIST, THINK, answer=WORDS)

    settled = [r for r in run.records() if isinstance(r.input, Settle)]
    thought = next(r for r in run.records() if getattr(r.input, "action", None) == THINK)
    assert [r.now_us - thought.now_us for r in settled[1:]] == [800_000, 800_000]


def test_on_the_virtual_clock_the_log_does_not_depend_on_the_machine(tmp_path: Path):
    runs = [play(tmp_path / str(n), LIST, THINK, CONFIRM, answer=WORDS)[0] for n in range(2)]

    def what(run: Run) -> list[Any]:
        return [(r.now_us, type(r.input), r.answer) for r in run.records()]

    assert what(runs[0]) == what(runs[1])


def test_a_person_answers_the_server(tmp_path: Path):
    run, person = play(tmp_path, LIST, CONFIRM, answer={"sure": True})

    assert texts_of(run) == ['{"sure": true}']
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}}
    assert person.asked == [{"question": "really?", "from": CURIOUS, "schema": schema}]


@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_a_server_is_answered_where_one_effect_is_performed_at_a_time(tmp_path: Path, clock: str):
    until_us = 20 * SECOND_US if clock == "virtual" else 4 * SECOND_US
    run, _ = play(
        tmp_path,
        *(LIST, CONFIRM, THINK),
        answer={"sure": True, **WORDS},
        clock=clock,
        until_us=until_us,
        at_one_time=1,
    )

    assert len(texts_of(run)) == 2
    assert "refused" not in "".join(texts_of(run))


def test_where_there_is_no_model_and_nobody_the_server_is_refused_at_once(tmp_path: Path):
    run, _ = play(tmp_path, LIST, THINK, CONFIRM, natives=())

    thought, confirmed = texts_of(run)
    assert thought == "refused: sampling/createMessage is not offered by this client"
    assert confirmed == "refused: elicitation/create is not offered by this client"


def test_who_cannot_pay_the_model_is_refused_and_the_server_is_told(tmp_path: Path):
    run, model = play(tmp_path, LIST, THINK, answer=WORDS, compute=6)

    (told,) = texts_of(run)
    assert told.startswith("refused: QUOTA_EXCEEDED: it takes 5 compute")
    assert model.asked == []
    assert run.state().ledger.balances["a"] == 100


def test_a_model_that_fails_is_told_to_the_server_and_refunded(tmp_path: Path):
    broken = EffectResult(None, Code.TOOL_FAILED, "out of words")
    run, _ = play(tmp_path, LIST, THINK, answer=broken)

    assert texts_of(run) == ["refused: TOOL_FAILED: out of words"]
    assert run.state().ledger.balances["a"] == 100


def test_what_a_server_asked_for_is_no_step_of_the_loop(tmp_path: Path):
    run, person = play(tmp_path, LIST, CONFIRM, CONFIRM, LIST, answer={"sure": True})

    assert texts_of(run) == ['{"sure": true}'] * 2
    assert len(person.asked) == 2
    assert run.state().agenda.steps["a"] == 4


def test_what_a_server_asked_for_is_no_step_of_the_loop_after_a_resume(tmp_path: Path):
    run, _ = play(tmp_path, LIST, THINK, answer=WORDS)
    performer = Answers(WORDS)
    again = scripworld.resume(
        run.folder,
        minds={"a": Scripted([LIST, THINK, LIST])},
        natives=(MODEL, HUMAN),
        performers={"genesis_model": performer},
        until_us=30 * SECOND_US,
    )

    again.verify()
    mine = [
        record.input.action
        for record in again.records()
        if isinstance(record.input, Envelope) and isinstance(record.input.action, Invoke)
    ]
    assert mine.count(THINK) == 1
    assert performer.asked == []
    assert not any(isinstance(r.answer, Failed) for r in again.records())
