"""The bridge in whole runs against a small real server: what it discovers, and every way to fail."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Scripted
from scripworld.world import (
    Answer,
    Code,
    Done,
    Envelope,
    Failed,
    Invoke,
    Refused,
    Settle,
    Waiting,
)

SERVER = Path(__file__).with_name("servers") / "small_server.py"
FILES = "genesis_small"
OFF = {name: {"enabled": False} for name in ("filesystem", "fetch")}
QUOTAS = {"compute": 1_000, "tool_calls": 50}
OF_ITS_OWN = ["list_tools", "list_directory", "read_text_file", "later", "fails", "fails_silently"]
METHODS = [
    *(*OF_ITS_OWN, "error", "crash", "big", "no_content"),
    *("structured", "misstructured", "unstructured"),
]


class Bridge:
    """Runs one agent that invokes the bridge; the server is started by the first call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        self.command = sys.executable
        self.habits: list[str] = []
        self.cost: dict[str, Any] = {"resources": {"tool_calls": 2}, "price_scrip": 3}

    def run(self, *calls: tuple[str, dict[str, Any]], **arguments: Any) -> Run:
        scenario = Scenario.model_validate(
            {
                "name": "bridge",
                "agents": [{"id": "a", "mind": "a", "scrip": 100, "quotas": QUOTAS}],
            }
        )
        server = {
            "command": self.command,
            "args": [str(SERVER), str(self.notes), *self.habits],
            "start_timeout_s": 20,
            "grace_s": 0.3,
            "answer_bytes_max": 100_000,
            "sandbox": {"runner": "none"},
        }
        defaults = {
            "store": {"runs_dir": str(self.folder / "runs")},
            "genesis": {"mcp": {"servers": OFF | {"small": server}}},
            "world": {"costs": {FILES: {"*": self.cost}}},
        }
        minds = {"a": Scripted(invocations(*calls))}
        return scripworld.run(scenario, minds=minds, settings=defaults, **arguments)

    def noted(self) -> list[str]:
        """What the server did."""
        if not self.notes.exists():
            return []
        return [line.partition(" ")[2] for line in self.notes.read_text().splitlines()]

    def pids(self) -> set[int]:
        lines = self.notes.read_text().splitlines()
        children = [line.rpartition(" ")[2] for line in lines if " child " in line]
        return {int(pid) for pid in [*(line.split()[0] for line in lines), *children]}


def invocations(*calls: tuple[str, dict[str, Any]]) -> list[Any]:
    return [Invoke(FILES, method, args) for method, args in calls]


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    return Bridge(tmp_path)


def answers_of(run: Run) -> list[Answer]:
    """The final answers of the agent's invocations, in order; the run is proved too."""
    run.verify()
    answers: list[Answer] = []
    for record in run.records():
        invoked = isinstance(record.input, Envelope) and isinstance(record.input.action, Invoke)
        if (invoked or isinstance(record.input, Settle)) and not isinstance(record.answer, Waiting):
            assert record.answer is not None
            answers.append(record.answer)
    return answers


def failure_of(run: Run) -> Failed:
    """The last answer, which is a failure."""
    answer = answers_of(run)[-1]
    assert isinstance(answer, Failed), answer
    return answer


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def assert_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert {pid for pid in pids if is_running(pid)} == set()


LIST: tuple[str, dict[str, Any]] = ("list_tools", {})


def test_discovery_makes_the_tools_of_the_server_methods_of_the_artifact(bridge: Bridge):
    run = bridge.run(
        ("read_text_file", {"path": "a.md"}),
        LIST,
        ("read_text_file", {"path": "a.md"}),
        ("structured", {}),
    )

    unknown, listed, read, structured = answers_of(run)
    assert isinstance(unknown, Refused)
    assert unknown.code is Code.METHOD_UNKNOWN
    assert isinstance(listed, Done)
    assert listed.result["methods"] == METHODS
    assert isinstance(read, Done)
    assert read.result["content"][0]["text"].startswith("# About a.md")
    assert structured == Done(
        {"content": [{"type": "text", "text": "5"}], "structuredContent": {"rows": 5}}
    )
    tools = {tool.name: tool for tool in run.state().artifacts.by_id[FILES].interface}
    assert list(tools) == METHODS
    assert tools["structured"].output_schema is not None
    assert tools["list_tools"].description.startswith("Ask the server of genesis_small")
    assert bridge.noted() == ["start", "read_text_file", "structured"]


def test_a_tool_that_no_world_can_take_up_is_left_out_and_named(bridge: Bridge):
    listed = answers_of(bridge.run(LIST))[0]

    assert isinstance(listed, Done)
    left_out = listed.result["left_out"]
    assert list(left_out) == sorted(
        [
            *("fetches_its_schema", "goes_round", "no_schema", "odd_schema", "Name with spaces!"),
            *("?", "x" * 65, "x" * 64 + "y", "fails"),
        ]
    )
    assert left_out["fails"] == "it is listed twice"
    assert left_out["goes_round"].startswith("its arguments cannot be checked: a reference points")


def test_discovery_again_changes_nothing(bridge: Bridge):
    first, second = answers_of(bridge.run(LIST, LIST))

    assert first == second


def test_more_tools_than_a_world_takes_are_left_out(bridge: Bridge):
    limits = {"world": {"limits": {"tools_max": 3}}}
    scenario = Scenario.model_validate(
        {
            "name": "bridge",
            "agents": [{"id": "a", "mind": "a", "scrip": 100, "quotas": QUOTAS}],
            "config": limits,
        }
    )
    server = {
        "command": sys.executable,
        "args": [str(SERVER), str(bridge.notes)],
        "grace_s": 0.3,
        "sandbox": {"runner": "none"},
    }
    run = scripworld.run(
        scenario,
        minds={"a": Scripted(invocations(LIST))},
        settings={
            "store": {"runs_dir": str(bridge.folder)},
            "genesis": {"mcp": {"servers": OFF | {"small": server}}},
        },
    )

    listed = answers_of(run)[0]
    assert isinstance(listed, Done)
    assert listed.result["methods"] == METHODS[:4]
    assert len(run.state().artifacts.by_id[FILES].interface) == 4


@pytest.mark.parametrize(
    ("tool", "args", "code", "told"),
    [
        ("fails", {}, Code.TOOL_FAILED, "no such row in this table"),
        ("fails_silently", {}, Code.TOOL_FAILED, "the tool failed without a word"),
        ("error", {}, Code.TOOL_FAILED, "it answered with error -32602: error is out of order"),
        ("no_content", {}, Code.TOOL_FAILED, "the tool answered no content"),
        (
            *("misstructured", {}, Code.TOOL_FAILED),
            "the structured content is not what the tool declares: rows must be of type integer",
        ),
        ("unstructured", {}, Code.TOOL_FAILED, "answered no structured content"),
        ("crash", {}, Code.TOOL_CRASHED, "Its last words: the disk is on fire"),
        ("big", {"size": 200_000}, Code.RESULT_TOO_LARGE, "small: "),
        ("later", {"delay_s": 60}, Code.EFFECT_TIMEOUT, "was not answered within 0.5 s"),
    ],
)
def test_what_goes_wrong_is_a_failure_with_a_code_and_a_sentence(
    bridge: Bridge, tool: str, args: dict[str, Any], code: Code, told: str
):
    bridge.cost |= {"timeout_us": 500_000}
    run = bridge.run(LIST, (tool, args), ("list_directory", {"path": "."}))

    _, failed, after = answers_of(run)
    assert isinstance(failed, Failed)
    assert failed.code is code
    assert told in failed.detail
    assert isinstance(after, Done), after
    tracker = run.state().resources.tracker
    assert tracker.usage("a", "tool_calls", run.state().now_us) == 6
    assert run.state().ledger.balances["a"] == 100 - 2 * 3  # a price is voided when it failed
    assert bridge.noted().count("start") == (2 if code is Code.TOOL_CRASHED else 1)


def test_a_server_that_is_not_installed_is_unavailable_in_one_sentence_and_refunded(bridge: Bridge):
    bridge.command = "no-such-command-anywhere"
    run = bridge.run(LIST, LIST)

    failed = failure_of(run)
    assert failed.code is Code.TOOL_UNAVAILABLE
    assert failed.detail == (
        "small: `no-such-command-anywhere` was not found on PATH. "
        "Install it, or give its full path."
    )
    assert run.state().resources.tracker.usage("a", "tool_calls", run.state().now_us) == 0
    assert run.state().ledger.balances["a"] == 100


def test_a_server_that_does_not_start_is_unavailable_with_its_last_words_and_refunded(
    bridge: Bridge,
):
    bridge.habits = ["broken"]
    run = bridge.run(LIST)

    failed = failure_of(run)
    assert failed.code is Code.TOOL_UNAVAILABLE
    assert "could not be started" in failed.detail
    assert "the key is missing" in failed.detail
    assert "\n" not in failed.detail
    assert run.state().resources.tracker.usage("a", "tool_calls", run.state().now_us) == 0


def test_arguments_that_do_not_match_are_refused_without_starting_the_server(bridge: Bridge):
    calls = [LIST, ("read_text_file", {"pth": "a"}), ("read_text_file", {"path": 5})]
    run = bridge.run(LIST, steps=2)
    bridge.notes.unlink()
    run = scripworld.resume(run.folder, minds={"a": Scripted(invocations(*calls))})

    refused = answers_of(run)[1:]
    assert [a.code for a in refused if isinstance(a, Refused)] == [Code.ARGUMENTS_INVALID] * 2
    assert "genesis_store interface shows how" in refused[0].detail  # type: ignore[union-attr]
    assert bridge.noted() == []


def test_after_a_resume_the_methods_stand_and_the_server_starts_with_the_first_call(bridge: Bridge):
    run = bridge.run(LIST, steps=2)
    assert bridge.noted() == ["start"]
    calls = [LIST, ("read_text_file", {"path": "a.md"})]
    run = scripworld.resume(run.folder, minds={"a": Scripted(invocations(*calls))})

    listed, read = answers_of(run)
    assert isinstance(listed, Done)
    assert isinstance(read, Done)
    assert bridge.noted() == ["start", "start", "read_text_file"]


def test_the_server_and_what_it_started_are_gone_after_the_run(bridge: Bridge):
    bridge.habits = ["child"]
    bridge.run(LIST)

    assert len(bridge.pids()) == 2
    assert_gone(bridge.pids())


def test_what_a_call_cost_on_the_wire_is_recorded(bridge: Bridge):
    run = bridge.run(LIST, ("read_text_file", {"path": "a.md"}))

    settled = [r.input.result for r in run.records() if isinstance(r.input, Settle)]
    assert {"bytes_out", "bytes_in", "wall_us"} <= set(settled[1].usage)
    assert settled[1].usage["bytes_in"] > len(json.dumps(settled[1].value))


def test_a_run_with_a_real_server_replays_without_it(bridge: Bridge):
    live = bridge.run(LIST, ("read_text_file", {"path": "a.md"}), ("fails", {}))
    bridge.notes.unlink()
    again = bridge.run(
        LIST, ("read_text_file", {"path": "a.md"}), ("fails", {}), effects_from=live.folder
    )

    assert list(again.records()) == list(live.records())
    assert bridge.noted() == []
