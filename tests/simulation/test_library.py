"""The scenario `library` from end to end, with the real tool servers."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import scripworld
from scripworld import Run
from scripworld.simulation.runner import Session
from scripworld.world import (
    Code,
    Done,
    Envelope,
    Failed,
    Invoke,
    Read,
    Record,
    Refused,
    ScripTransferred,
    Settle,
    Sleep,
    Waiting,
)

from .lab import SECOND_US, conserved

pytestmark = pytest.mark.registry
MARK = "LC_SCRIPWORLD_TEST"  # variables of this name reach every server


def marked(value: str) -> set[int]:
    """The processes that were started with our mark, and we did not start ourselves."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"{MARK}={value}".encode() in environment:
                found.add(int(entry.name))
    return found


def children() -> set[int]:
    """Our own descendants; those of the test runner that were there before are left out."""
    parents: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(fields[1])].append(int(entry.name))
    found: set[int] = set()
    ask = [os.getpid()]
    while ask:
        below = parents[ask.pop()]
        found.update(below)
        ask.extend(below)
    return found


class Seen:
    """One run, and the processes that there were before, meanwhile and afterwards."""

    def __init__(self, runs: Path) -> None:
        self.mark = str(runs)
        self.before = children()
        self.meanwhile: set[int] = set()
        self.run = scripworld.run(
            "library",
            seed=1,
            until_us=15 * SECOND_US,
            settings={"store": {"runs_dir": str(runs)}},
            on_progress=self.look,
        )
        self.after = children()
        self.marked = marked(self.mark)

    def look(self, session: Session) -> None:
        self.meanwhile |= marked(self.mark)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    runs = tmp_path_factory.mktemp("library")
    os.environ[MARK] = str(runs)
    try:
        return Seen(runs)
    finally:
        del os.environ[MARK]


@pytest.fixture
def run(seen: Seen) -> Run:
    return seen.run


def steps_of(run: Run, kind: str) -> list[Record]:
    return [
        record
        for record in run.records()
        if isinstance(record.input, Envelope) and record.input.principal.startswith(kind)
    ]


def test_it_comes_to_its_end_and_is_proved(run: Run):
    assert run.ended == "until"
    assert run.verify(conserved).supply == sum(run.state().ledger.balances.values())


def test_librarians_make_digests_of_files_and_websters_of_pages(run: Run):
    artifacts = run.state().artifacts.by_id.values()
    makers = {a.owner.rpartition("_")[0] for a in artifacts if a.type == "digest"}

    assert makers == {"librarian", "webster"}
    called = {
        (r.input.action.id, r.input.action.method)
        for r in run.records()
        if isinstance(r.input, Envelope)
        and isinstance(r.input.action, Invoke)
        and isinstance(r.answer, Waiting)
    }
    assert ("genesis_filesystem", "read_file") in called
    assert ("genesis_fetch", "fetch") in called
    assert any(isinstance(r.input, Settle) and isinstance(r.answer, Done) for r in run.records())


def test_readers_pay_for_what_they_read(run: Run):
    paid = [
        fact
        for record in steps_of(run, "reader")
        if isinstance(record.answer, Done)
        for fact in record.facts
        if isinstance(fact, ScripTransferred)
    ]
    assert paid
    balances = run.state().ledger.balances
    assert any(balances[f"reader_{n}"] < 150 for n in range(1, 9))


def test_hoarders_run_out_of_compute_and_sleep(run: Run):
    steps = steps_of(run, "hoarder")
    refused = [r for r in steps if isinstance(r.answer, Refused)]

    assert refused
    for record in refused:
        assert isinstance(record.answer, Refused)
        assert record.answer.code is Code.ADMISSION_EXCEEDED
        assert isinstance(record.input, Envelope)
        mine = [r for r in steps_of(run, record.input.principal) if r.seq > record.seq]
        rest = mine[0].input
        assert isinstance(rest, Envelope)
        assert rest.action == Sleep(
            record.now_us + (record.answer.retry_after_us or 0), (record.input.principal,)
        )


def test_the_clumsy_one_is_told_what_to_do_instead_and_does_it(run: Run):
    steps = steps_of(run, "clumsy")
    told = {r.answer.code: r.answer.detail for r in steps if isinstance(r.answer, Refused | Failed)}

    assert told[Code.METHOD_UNKNOWN].endswith("did you mean transfer?")
    assert {Code.ARGUMENTS_INVALID, Code.SCRIP_INSUFFICIENT, Code.NOT_FOUND} <= set(told)
    assert all(told.values())
    wrong = next(
        n
        for n, r in enumerate(steps)
        if isinstance(r.answer, Refused) and r.answer.code is Code.METHOD_UNKNOWN
    )
    after = steps[wrong + 1]
    assert isinstance(after.input, Envelope)
    assert isinstance(after.input.action, Invoke)
    assert after.input.action.method == "transfer"
    assert isinstance(after.answer, Done)
    looked_for = {
        r.input.action.id
        for r in steps
        if isinstance(r.input, Envelope) and isinstance(r.input.action, Read)
    }
    assert "digest_that_nobody_wrote" in looked_for


def test_both_servers_ran_and_are_gone(seen: Seen):
    assert len(seen.meanwhile) >= 4  # two launchers and two servers at least
    assert seen.marked == set()
    assert seen.after <= seen.before


def path_without(programs: set[str], folder: Path) -> str:
    """A search path with all that ours has but some programs."""
    folder.mkdir()
    for place in os.get_exec_path():
        for program in Path(place).glob("*"):
            link = folder / program.name
            if program.name not in programs and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def test_where_npx_is_missing_the_artifact_says_so_and_the_run_goes_on(tmp_path):
    program = (
        "import sys, scripworld\n"
        "scripworld.run('library', seed=1, until_us=9_000_000, run_id='without',"
        " settings={'store': {'runs_dir': sys.argv[1]}})"
    )
    path = path_without({"npx", "npm", "node"}, tmp_path / "bin")
    environment = {**os.environ, "PATH": path, MARK: str(tmp_path)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, check=True)

    run = scripworld.open_run("without", tmp_path)
    run.verify(conserved)
    failed = {r.answer.detail for r in run.records() if isinstance(r.answer, Failed)}
    told = (
        "filesystem: `npx` was not found on PATH. It comes with Node.js 20 or newer: install that."
    )
    assert told in failed
    unavailable = [
        r.answer
        for r in run.records()
        if isinstance(r.answer, Failed) and r.answer.code is Code.TOOL_UNAVAILABLE
    ]
    assert {answer.detail for answer in unavailable} == {told}
    assert any(r.now_us > 5 * SECOND_US for r in steps_of(run, "reader"))
    makers = {a.owner for a in run.state().artifacts.by_id.values() if a.type == "digest"}
    assert {owner.rpartition("_")[0] for owner in makers} == {"webster"}
    assert marked(str(tmp_path)) == set()
