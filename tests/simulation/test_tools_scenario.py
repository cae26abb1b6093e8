"""The scenario `tools` from end to end, with every tool server that works without a network."""

import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

import scripworld
from scripworld import Run
from scripworld.world import (
    Answer,
    Code,
    Done,
    EffectRequested,
    Envelope,
    Failed,
    Invoke,
    Record,
    Refused,
    ResourceHeld,
    ResourcePosted,
    Settle,
    Waiting,
)

from .lab import SECOND_US, conserved

pytestmark = pytest.mark.registry
MARK = "LC_SCRIPWORLD_TOOLS_TEST"  # variables of this name reach every server
CHROMIUM = "/usr/bin/chromium"
SERVERS = {
    None: ("fetch", "sqlite", "time", "web_search", "flaky", "shifty", "git"),
    "npx": ("filesystem", "graph", "everything", "sequential_thinking"),
    CHROMIUM: ("playwright", "puppeteer"),
}
"""By the program that they need."""


def available() -> set[str]:
    there = {needed for needed in SERVERS if needed is None or shutil.which(needed)}
    if "npx" not in there:
        there.discard(CHROMIUM)
    return {f"genesis_{server}" for needed in there for server in SERVERS[needed]}


def left_over(runs: Path) -> list[str]:
    """The command lines of processes that know of our runs, by an argument or a variable."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(runs).encode() in line or f"{MARK}={runs}".encode() in environment:
                found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tools")


@pytest.fixture(scope="module")
def run(runs: Path) -> Run:
    seen: set[str] = set()
    os.environ[MARK] = str(runs)
    try:
        run = scripworld.run(
            "tools",
            seed=1,
            run_id="fair",
            settings={"store": {"runs_dir": str(runs)}},
            on_progress=lambda session: seen.update(left_over(runs)),
        )
    finally:
        del os.environ[MARK]
    assert len(seen) > len(available())  # else nothing would show that they are gone
    return run


@pytest.fixture(scope="module")
def records(run: Run) -> list[Record]:
    return list(run.records())


def calls(records: list[Record], *, of: str = "") -> list[tuple[int, Invoke, Answer]]:
    """Every call with its final answer, in the order of the answers."""
    asked: dict[str, tuple[str, Invoke]] = {}
    told = []
    for record in records:
        given = record.input
        if isinstance(given, Envelope) and isinstance(given.action, Invoke):
            if isinstance(record.answer, Waiting):
                asked[record.answer.effect_id] = (given.principal, given.action)
                continue
            principal, action = given.principal, given.action
        elif isinstance(given, Settle):
            principal, action = asked[given.effect_id]
        else:
            continue
        if principal.startswith(of):
            told.append((record.now_us, action, record.answer))
    return told


def earned_by_tool(run: Run) -> Counter[str]:
    """The scrip that was paid for what was made with a tool, by its artifact."""
    earned: Counter[str] = Counter()
    for sale in run.summary().sales:
        kind, _, how = sale.description.partition(" by ")
        if kind == sale.type and how.startswith("genesis_"):
            earned[how.split()[0]] += sale.scrip
    return earned


def code_of(answer: Answer) -> Code | None:
    return answer.code if isinstance(answer, Refused | Failed) else None


def test_it_comes_to_its_end_and_every_balance_is_proved(run: Run):
    proof = run.verify(conserved)

    assert run.ended == "until"
    assert proof.decided
    assert proof.supply == sum(run.state().ledger.balances.values()) == run.summary().supply


def test_every_server_that_is_there_answered(records: list[Record]):
    answered = {
        action.id
        for _, action, answer in calls(records)
        if isinstance(answer, Done) and action.method != "list_tools"
    }

    assert {id for id in answered if id in available()} == available()


def test_several_tools_were_under_way_at_one_time(records: list[Record]):
    under_way: set[str] = set()
    most = 0
    for record in records:
        if isinstance(record.input, Settle):
            under_way.discard(record.input.effect_id)
        if isinstance(record.answer, Waiting):
            under_way.add(record.answer.effect_id)
        most = max(most, len(under_way))

    assert most >= 8


def test_one_server_crashed_in_the_middle_of_calls_and_was_there_again_for_the_next(
    records: list[Record],
):
    divined = [
        code_of(answer)
        for _, action, answer in calls(records)
        if (action.id, action.method) == ("genesis_flaky", "divine")
        if not isinstance(answer, Refused)
    ]

    assert set(divined) == {None, Code.TOOL_CRASHED}
    assert divined.count(Code.TOOL_CRASHED) >= 2
    after = [later for code, later in pairwise(divined) if code]
    assert set(after) == {None}


def test_one_server_changed_its_tools_was_refused_from_then_on_and_its_user_went_elsewhere(
    records: list[Record],
):
    appraised = [c for c in calls(records, of="appraiser") if c[1].id == "genesis_shifty"]
    codes = [code_of(answer) for _, action, answer in appraised if action.method == "appraise"]
    changed = codes.index(Code.TOOL_REFUSED)
    refused_us = next(at for at, _, a in appraised if code_of(a) is Code.TOOL_REFUSED)
    elsewhere = [
        action.id
        for at, action, answer in calls(records, of="appraiser")
        if at > refused_us and isinstance(answer, Done)
    ]

    assert codes[:changed].count(None) == 6
    assert set(codes[changed:]) == {Code.TOOL_REFUSED}
    details = {a.detail for _, _, a in appraised if isinstance(a, Failed)}
    assert any("+ collect_debts; ~ appraise: description" in detail for detail in details)
    if "genesis_everything" in available():
        assert set(elsewhere) == {"genesis_everything"}


def test_limits_bite_on_the_spendthrift_on_a_server_and_on_a_purse(records: list[Record]):
    refusals = [a for _, _, a in calls(records, of="spendthrift") if isinstance(a, Refused)]
    over = [answer.detail for answer in refusals if answer.code is Code.QUOTA_EXCEEDED]

    assert any("genesis_time has 0 left for everybody" in detail for detail in over)
    assert any("spendthrift has 0 left" in detail for detail in over)
    assert any(answer.code is Code.SCRIP_INSUFFICIENT for answer in refusals)


def test_the_trespasser_gets_nowhere(run: Run, records: list[Record]):
    tried = calls(records, of="trespasser")
    codes = Counter(code_of(answer) for _, _, answer in tried)

    assert None not in codes
    assert {Code.PERMISSION_DENIED, Code.NOT_FOUND, Code.ARGUMENTS_INVALID} <= set(codes)
    assert {Code.METHOD_UNKNOWN, Code.TOOL_FAILED} <= set(codes)
    details = " ".join(a.detail for _, _, a in tried if isinstance(a, Refused | Failed))
    assert "169.254.169.254, which is not a public address" in details
    assert "10.0.0.1, which is not a public address" in details
    egress = (run.folder / "egress.jsonl").read_text().splitlines()
    assert any('"elsewhere.test"' in line and '"refused"' in line for line in egress)
    assert not (run.folder / "files" / "trespasser").exists()


def test_what_the_browsers_used_of_the_cpu_is_what_was_posted(records: list[Record]):
    if "genesis_playwright" not in available():
        pytest.skip("there is no browser: install chromium and npx")
    held: dict[int, int] = {}
    posted: dict[str, list[tuple[int, int]]] = defaultdict(list)
    holders: dict[int, str] = {}
    for record in records:
        for fact in record.facts:
            if isinstance(fact, ResourceHeld) and "cpu_us" in fact.amounts:
                held[fact.hold] = fact.amounts["cpu_us"]
            elif isinstance(fact, EffectRequested):
                holders[fact.resource_hold] = fact.artifact
            elif isinstance(fact, ResourcePosted) and fact.hold in held:
                used = fact.used.get("cpu_us", 0)
                posted[holders[fact.hold]].append((used, held[fact.hold]))

    for server in ("genesis_playwright", "genesis_puppeteer", "genesis_sqlite"):
        assert all(used <= most for used, most in posted[server])
        assert any(0 < used < most for used, most in posted[server])


def test_makers_earn_by_tools_of_different_prices(run: Run):
    summary = run.summary()
    earned = earned_by_tool(run)
    prices = {tool.scrip // tool.done for tool in summary.tools if tool.done}

    assert len(earned) >= len(available()) - 2
    assert all(earned.values())
    assert prices >= {0, 1, 2}
    assert next(p for p in summary.principals if p.id == "genesis").earned == sum(
        tool.scrip for tool in summary.tools
    )


def test_a_board_is_shared_by_its_contract(run: Run, records: list[Record]):
    if "genesis_filesystem" not in available():
        pytest.skip("there is no filesystem server: install Node.js")
    noted = [a for _, action, a in calls(records, of="guest") if "~board" in str(action.args)]

    assert {type(answer) for answer in noted} == {Done}
    notes = {path.name for path in (run.folder / "files" / "board").iterdir()}
    assert notes == {"welcome.md", "guest_1.md", "guest_2.md"}


def test_it_is_proved_where_no_tool_server_could_run(run: Run, tmp_path: Path):
    program = (
        "import shutil, sys, scripworld\n"
        "assert not any(map(shutil.which, ('npx', 'uvx', 'bwrap')))\n"
        "run = scripworld.open_run(sys.argv[1])\n"
        "print(run.verify().head)"
    )
    environment = {**os.environ, "PATH": str(tmp_path)}
    proved = subprocess.run(
        [sys.executable, "-c", program, str(run.folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert proved.stdout.strip() == run.verify().head


def test_with_the_same_answers_of_its_tools_it_is_the_same_run(run: Run, runs: Path):
    settings = {"store": {"runs_dir": str(runs)}}
    again = scripworld.run(
        "tools", seed=1, run_id="again", settings=settings, effects_from=run.folder
    )

    assert again.verify().head == run.verify().head


def test_nothing_of_it_is_left(run: Run, runs: Path):
    assert left_over(runs) == []


def test_where_npx_is_missing_agents_are_told_and_do_without(tmp_path: Path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for place in os.get_exec_path():
        for program in Path(place).glob("*"):
            link = programs / program.name
            if program.name not in ("npx", "npm", "node") and not link.is_symlink():
                link.symlink_to(program)
    program = (
        "import sys, scripworld\n"
        f"scripworld.run('tools', seed=1, until_us={15 * SECOND_US}, run_id='without',"
        " settings={'store': {'runs_dir': sys.argv[1]}})"
    )
    environment = {**os.environ, "PATH": str(programs), MARK: str(tmp_path)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, check=True)

    run = scripworld.open_run("without", tmp_path)
    run.verify(conserved)
    told = {
        action.id
        for _, action, answer in calls(list(run.records()))
        if code_of(answer) is Code.TOOL_UNAVAILABLE and "`npx` was not found" in answer.detail
    }
    assert told == {
        f"genesis_{server}" for needed in ("npx", CHROMIUM) for server in SERVERS[needed]
    }
    assert {"genesis_fetch", "genesis_flaky"} & earned_by_tool(run).keys()
    assert left_over(tmp_path) == []
