"""Completing a plan, and every way to claim that it was completed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .plan_lab import Repository, make_repository

PLAN = "plans/01_ledger.md"
LATER = "2999-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = make_repository(tmp_path_factory.mktemp("first"))
    mypy = [sys.executable, "-m", "mypy"]  # every copy begins with what it remembers
    subprocess.run(mypy, cwd=repository.root, check=True, stdout=subprocess.DEVNULL)
    return repository


@pytest.fixture(scope="module")
def done(first: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository whose plan was completed, and that committed."""
    repository = first.copy(tmp_path_factory.mktemp("done"))
    completed = repository.run("complete_plan.py", "--plan", "1")
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert completed.stdout == f"wrote {PLAN}, plans/README.md: commit them\n"
    repository.commit("complete")
    return repository


@pytest.fixture
def repository(first: Repository, tmp_path: Path) -> Repository:
    return first.copy(tmp_path)


@pytest.fixture
def completed(done: Repository, tmp_path: Path) -> Repository:
    return done.copy(tmp_path)


def refused(repository: Repository) -> str:
    """What completing says that must refuse, and leave everything as it is."""
    before = repository.git("status", "--porcelain"), repository.read(PLAN)
    answer = repository.run("complete_plan.py", "--plan", "1")
    assert answer.returncode == 1, answer.stderr
    assert (repository.git("status", "--porcelain"), repository.read(PLAN)) == before
    assert answer.stdout.endswith("Nothing was written.\n")
    return answer.stdout


def evidence_fault(repository: Repository) -> str:
    answer = repository.run("check_plan_evidence.py")
    assert answer.returncode == 1, answer.stdout + answer.stderr
    return answer.stdout


def test_evidence_and_status_are_written_and_sound(done):
    text = done.read(PLAN)
    commit = done.git("rev-parse", "HEAD^")

    checked = done.run("check_plan_evidence.py")

    assert "\nstatus: complete\n" in text
    assert "\n  completed_by: scripts/complete_plan.py\n" in text
    assert f"\n  commit: {commit}\n" in text
    counts = re.findall(r"    (\w+):\n      passed: (\d+)\n      seconds: ([\d.]+)\n", text)
    assert [(name, int(passed)) for name, passed, _ in counts] == [
        ("plan", 2),
        ("unit", 2),
        ("e2e_smoke", 1),
        ("doc_coupling", 1),
    ]
    assert all(float(seconds) > 0 for _, _, seconds in counts)
    assert (checked.returncode, checked.stdout) == (
        0,
        "The evidence of 1 complete plans is sound.\n",
    )


def test_only_status_and_evidence_of_the_plan_change(first, done):
    before, after = first.read(PLAN).splitlines(), done.read(PLAN).splitlines()

    assert [line for line in before if line not in after] == ["status: active"]
    assert after[after.index("---", 1) :] == before[before.index("---", 1) :]


def test_the_index_knows_of_it(done):
    assert "1 of 1 plans are complete." in done.read("plans/README.md")
    assert done.run("sync_plan_status.py", "--check").returncode == 0


def test_a_plan_may_be_completed_again(completed):
    again = completed.run("complete_plan.py", "--plan", "1")

    assert again.returncode == 0
    assert completed.read(PLAN).count("evidence:") == 1
    assert completed.git("rev-parse", "HEAD") in completed.read(PLAN)


def test_workers_run_the_suite_and_its_counts_are_the_same(repository):
    repository.change("pyproject.toml", "testpaths", 'addopts = ["-p", "xdist.plugin"]\ntestpaths')
    repository.commit("xdist")

    done = repository.run("complete_plan.py", "--plan", "1", "--workers", "1")

    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.findall(r"    (\w+):\n      passed: (\d+)\n", repository.read(PLAN))
    assert counts == [("plan", "2"), ("unit", "2"), ("e2e_smoke", "1"), ("doc_coupling", "1")]


def test_a_dirty_tree_is_refused(repository):
    repository.write("src/new.py", "NEW = 1\n")

    assert "The working tree is dirty: commit, or put aside src/new.py" in refused(repository)


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("tests/test_ledger.py", "total == 1", "total == 2", "test_takes: failing in call"),
        (
            "tests/test_ledger.py",
            "assert total == 1",
            "print(total)",
            "test_takes: asserts nothing",
        ),
        ("tests/test_ledger.py", "def test_takes", "def test_take", "test_takes: missing"),
        (
            "tests/test_ledger.py",
            "def test_takes",
            "import pytest\n@pytest.mark.xfail\ndef test_takes",
            "test_takes: xfail",
        ),
        ("tests/integration/test_world.py", "== 3", "== 4", "the suite: tests/integration"),
        ("tests/integration/test_world.py", "def test_a", "def check_a", "no world ran"),
        ("src/ledger.py", "-> int", "-> str", "mypy: src/ledger.py:2: error"),
        ("scripts/doc_coupling.yaml", "docs/ledger.md", "docs/gone.md", "there is no docs/gone.md"),
        (PLAN, "## Documentation", "## Docs", "plan 1: write the section `## Documentation` first"),
    ],
)
def test_nothing_is_written_when_something_does_not_pass(repository, name, old, new, told):
    repository.change(name, old, new)
    repository.commit("a change\n\nDocs-Confirmed: docs/ledger.md\n")

    assert told in refused(repository)


def test_a_doc_that_was_not_looked_at_is_refused(repository):
    repository.change("src/ledger.py", "amounts\\)\n", "amounts, 0)\n")
    repository.commit()

    assert "docs/ledger.md: src/ledger.py changed" in refused(repository)


def test_a_plan_waits_for_what_blocks_it(repository):
    repository.plan("test_adds", blocked_by="[2]")
    repository.plan("test_takes", number=2, blocks="[1]")
    repository.commit()

    assert "plan 1 waits for plan 2: complete that first" in refused(repository)


def test_plans_that_wait_for_each_other_are_refused(repository):
    repository.plan("test_adds", blocked_by="[2]", blocks="[2]")
    repository.plan("test_takes", number=2, blocked_by="[1]", blocks="[1]")
    repository.commit()

    answer = repository.run("complete_plan.py", "--plan", "1", "2")

    assert answer.returncode == 1
    assert "plan 1 waits for 2 waits for 1: take one of them out" in answer.stdout
    assert repository.git("status", "--porcelain") == ""


def test_an_index_without_its_place_is_told_before_anything_is_run(repository):
    repository.write("plans/README.md", "# Plans\n")
    repository.commit()

    answer = repository.run("complete_plan.py", "--plan", "1")

    assert (answer.returncode, repository.git("status", "--porcelain")) == (2, "")
    assert "plans/README.md:1: expected the index between" in answer.stderr
    assert "passed" not in answer.stderr


def test_several_plans_are_completed_with_one_run_of_the_suite(repository):
    repository.plan("test_adds", blocked_by="[2]")
    repository.plan("test_takes", number=2, blocks="[1]")
    repository.commit()

    code, told = repository.told("complete_plan.py", "--plan", "1", "2")
    repository.commit()

    assert (code, told["plans"]) == (0, [1, 2])
    assert told["wrote"] == [PLAN, "plans/02_ledger.md", "plans/README.md"]
    assert repository.run("check_plan_evidence.py").returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("commit: [0-9a-f]{40}", f"commit: {'a' * 40}", "commit aaaaaaaaaaaa is not in this repo"),
        ("completed_by: .*", "completed_by: by hand", "it was completed by 'by hand', not by"),
        ("plan:\n      passed: 2", "plan:\n      passed: 3", "it claims 3 passed tests of its own"),
        ("unit:\n      passed: 2", "unit:\n      passed: 0", "a suite of 1 can't hold its 2 tests"),
        (
            "e2e_smoke:\n      passed: 1",
            "e2e_smoke:\n      passed: 0",
            "e2e_smoke claims no passed",
        ),
        (
            "coupling:\n      passed: 1",
            "coupling:\n      passed: 4",
            "doc_coupling claims 4 passed",
        ),
        (r"passed: 2\n      seconds: [\d.]+", "passed: 2\n      seconds: 0", "in no time"),
        ("timestamp: .*", "timestamp: 'today'", "the timestamp 'today' is none such as"),
        ("timestamp: .*", f"timestamp: '{LATER}'", "which is yet to come"),
        ("timestamp: .*", "timestamp: '2001-01-01T00:00:00Z'", "before its commit was made"),
        ("status: complete", "status: active", "it has evidence and is active"),
        (
            "`test_takes`",
            "`test_take`",
            "did not require tests/test_ledger.py::test_take (it named",
        ),
        (r"\| `tests/test_ledger.py` \| `test_takes` .*\n", "", "the plan required tests/test_l"),
        (r"None\.", "`tests/integration/test_world.py`", "did not require tests/integration"),
    ],
)
def test_forged_evidence_is_told(completed, old, new, told):
    completed.change(PLAN, old, new)
    completed.commit()

    answer = evidence_fault(completed)

    assert answer.startswith("plan 1: ")
    assert told in answer


def test_complete_by_hand_is_told(repository):
    repository.change(PLAN, "status: active", "status: complete")
    repository.commit()

    assert "plan 1: it is complete and has no evidence: run scripts/comp" in evidence_fault(
        repository
    )


def test_a_commit_from_before_the_tests_is_told(completed):
    there = completed.git("rev-parse", "HEAD~1")
    completed.plan("test_adds", "test_takes", "test_holds")
    completed.commit()
    now = completed.git("rev-parse", "HEAD")
    text = completed.git("show", f"HEAD~1:{PLAN}")
    block = text[text.index("evidence:") : text.index("\n---", 5)]
    block = block.replace(there, now).replace("passed: 2", "passed: 3")
    completed.change(PLAN, "status: active", f"status: complete\n{block}")
    completed.commit()

    assert f"at commit {now[:12]} there was no tests/test_ledger.py::test_holds" in evidence_fault(
        completed
    )


def test_a_commit_of_another_branch_is_told(completed):
    completed.git("switch", "--quiet", "--orphan", "other")
    completed.git("checkout", "--quiet", "main", "--", ".")
    completed.commit()

    assert "is no ancestor of what is checked out" in evidence_fault(completed)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("commit: [0-9a-f]{40}", "commit: abc", "expected the evidence's `commit` to be 40 hex"),
        ("  commit: .*\n", "", "expected the evidence to hold exactly completed_by, timestamp"),
        (r"passed: 2", "passed: all", "expected `passed` to be a count"),
        (r"passed: 2", "passed: 133 %", "expected `passed` to be a count"),
        (r"seconds: .*", "seconds: .inf", "expected `seconds` to be a duration in `plan`"),
        ("timestamp: .*", "timestamp: 2030-01-01", "expected the evidence's `timestamp` to be a"),
        ("    e2e_smoke:\n", "    smoke:\n", "expected the evidence's `tests` to hold exactly"),
    ],
)
def test_malformed_evidence_is_told_with_its_line(completed, old, new, expected):
    completed.change(PLAN, old, new)

    answer = completed.run("check_plan_evidence.py")

    line = completed.read(PLAN).splitlines().index("evidence:") + 1
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"{completed.root / PLAN}:{line}: {expected}")


def test_a_complete_plan_whose_test_was_renamed_no_longer_passes(completed):
    completed.change("tests/test_ledger.py", "def test_takes", "def test_takes_away")
    completed.commit()

    answer = completed.run("check_plan_tests.py", "--all")

    assert answer.returncode == 1
    assert "it is complete and no longer passes" in answer.stdout
    assert "the nearest is tests/test_ledger.py::test_takes_away" in answer.stdout


def test_without_git_there_is_no_evidence(repository):
    (repository.root / ".git").rename(repository.root / "no_git")

    for script, arguments in (
        ("check_plan_evidence.py", ()),
        ("complete_plan.py", ("--plan", "1")),
    ):
        answer = repository.run(script, *arguments)
        assert answer.returncode == 2
        assert "is no git checkout with a commit" in answer.stderr


def test_json_tells_the_faults_of_each_plan(completed):
    completed.change(PLAN, "completed_by: .*", "completed_by: me")

    code, told = completed.told("check_plan_evidence.py")

    assert (code, told["ok"], told["complete"]) == (1, False, 1)
    assert [each["number"] for each in told["faulty"]] == [1]
