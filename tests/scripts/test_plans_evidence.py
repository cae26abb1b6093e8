"""Evidence: what makes it sound, and every way to forge it."""

from pathlib import Path

import pytest

from .plan_lab import ROW, Repository, make_repository, plan_text

PLAN = "plans/01_ledger.md"
LATER = "2999-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository whose plan was completed, and that committed."""
    repository = make_repository(tmp_path_factory.mktemp("done"))
    complete(repository)
    return repository


@pytest.fixture
def completed(done: Repository, tmp_path: Path) -> Repository:
    return done.copy(tmp_path)


def complete(repository: Repository, *numbers: str) -> None:
    answer = repository.run("complete_plan.py", "--plan", *(numbers or "1"))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    repository.commit("complete")


def is_sound(repository: Repository) -> bool:
    answer = repository.run("check_plan_evidence.py")
    assert answer.returncode in (0, 1), answer.stderr
    return answer.returncode == 0


def evidence_fault(repository: Repository) -> str:
    answer = repository.run("check_plan_evidence.py")
    assert answer.returncode == 1, answer.stdout + answer.stderr
    return answer.stdout


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
        (r"seconds: [\d.]+", "seconds: 123.0", "the evidence is not as commit"),
        ("unit:\n      passed: 2", "unit:\n      passed: 9999", "the evidence is not as commit"),
        ("smoke:\n      passed: 1", "smoke:\n      passed: 7", "the evidence is not as commit"),
        ("timestamp: .*", "timestamp: 'today'", "the timestamp 'today' is none such as"),
        ("timestamp: .*", "timestamp: 2030-01-31", "the timestamp '2030-01-31' is none such as"),
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


def test_complete_by_hand_is_told(tmp_path):
    repository = make_repository(tmp_path)
    repository.change(PLAN, "status: active", "status: complete")

    told = evidence_fault(repository)

    assert "plan 1: it is complete and has no evidence: run scripts/complete_plan.py" in told


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
        ("timestamp: .*", "timestamp: [1]", "expected the evidence's `timestamp` to be a"),
        ("    e2e_smoke:\n", "    smoke:\n", "expected the evidence's `tests` to hold exactly"),
    ],
)
def test_malformed_evidence_is_told_with_its_line(completed, old, new, expected):
    completed.change(PLAN, old, new)

    answer = completed.run("check_plan_evidence.py")

    line = completed.read(PLAN).splitlines().index("evidence:") + 1
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"{completed.root / PLAN}:{line}: {expected}")


def test_json_tells_the_faults_of_each_plan(completed):
    completed.change(PLAN, "completed_by: .*", "completed_by: me")

    code, told = completed.told("check_plan_evidence.py")

    assert (code, told["ok"], told["complete"]) == (1, False, 1)
    assert [each["number"] for each in told["faulty"]] == [1]


def test_evidence_stays_sound_whatever_comes_later(completed):
    completed.change("src/ledger.py", "amounts\\)\n", "amounts, 0)\n")
    completed.change("tests/test_ledger.py", "def test_takes", "def test_takes_away")
    completed.change(PLAN, "high", "low")
    before = is_sound(completed)

    completed.git("mv", PLAN, "plans/01_sums.md")
    completed.commit()

    assert before
    assert is_sound(completed)


def test_a_plan_that_was_completed_again_is_sound(completed):
    completed.write("notes.txt", "words")
    completed.commit()

    complete(completed)

    assert completed.read(PLAN).count("evidence:") == 1
    assert is_sound(completed)


@pytest.mark.parametrize("back", ["HEAD", "HEAD~2"])
def test_evidence_that_is_moved_to_another_commit_is_told(completed, back):
    first = completed.git("rev-parse", "HEAD^")
    completed.change("tests/test_ledger.py", "total == 1", "total == 2")
    completed.commit("break a test")
    completed.write("src/hold.py", "HELD = 1\n")
    completed.commit()
    completed.change(PLAN, first, completed.git("rev-parse", back))
    completed.change("src/ledger.py", "amounts\\)\n", "amounts, 0)\n")
    completed.commit()

    told = evidence_fault(completed)

    assert " changed between commit " in told
    assert "so what was proved is not what is there: run scripts/complete_plan.py" in told


def test_evidence_that_is_not_committed_is_of_what_is_there(tmp_path):
    repository = make_repository(tmp_path)
    assert repository.run("complete_plan.py", "--plan", "1").returncode == 0
    before = is_sound(repository)

    repository.write("src/hold.py", "HELD = 1\n")

    assert before
    assert "src/hold.py changed between commit" in evidence_fault(repository)


def test_evidence_of_another_plan_is_told(completed):
    completed.write("tests/test_hold.py", "def test_holds():\n    pass\n")
    rows = "| `tests/test_hold.py` | `test_holds` | words |", ROW.format("test_takes")
    completed.write("plans/02_hold.md", plan_text(*rows, number=2))
    completed.commit()
    text = completed.read(PLAN)
    block = text[text.index("evidence:") : text.index("\n---", 5)]
    completed.change("plans/02_hold.md", "status: active", f"status: complete\n{block}")
    completed.commit()

    told = evidence_fault(completed)

    assert "plan 2: tests/test_hold.py changed between commit" in told
    assert "there was no plan 2" in told
    assert "there was no tests/test_hold.py::test_holds" in told


def test_what_a_complete_plan_is_called_stays_as_it_was(completed):
    completed.change(PLAN, "title: T", "title: More")
    completed.change(PLAN, "# T", "# More")
    completed.commit()

    assert "its title was 'T': run scripts/complete_plan.py" in evidence_fault(completed)


def test_a_plan_that_was_a_draft_then_is_told(tmp_path, completed):
    text = completed.read(PLAN)
    repository = make_repository(tmp_path / "other")
    repository.plan("test_adds", "test_takes", status="draft")
    draft = repository.commit()
    old = completed.git("rev-parse", "HEAD^")
    repository.write(PLAN, text.replace(old, draft))
    repository.commit()

    assert f"at commit {draft[:12]} the plan was a draft" in evidence_fault(repository)


def test_whatever_pytest_collects_can_be_completed_and_is_sound(tmp_path):
    repository = make_repository(tmp_path)
    repository.write(
        "tests/shared.py",
        "import unittest\n\n\ndef test_adds():\n    assert sum([1, 2]) == 3\n\n\n"
        "class Machine:\n    class TestCase(unittest.TestCase):\n"
        "        def test_runs(self):\n            self.assertEqual(sum([1]), 1)\n",
    )
    repository.write(
        "tests/test_ledger.py",
        "from shared import Machine, test_adds\n\nTestMachine = Machine.TestCase\n"
        "if True:\n    def test_takes():\n        assert sum([3, -2]) == 1\n",
    )
    (repository.root / "tests/test_link.py").symlink_to("test_ledger.py")
    repository.plan(
        "test_adds",
        "test_takes",
        "TestMachine::test_runs",
        existing="`tests/test_link.py::test_adds`",
    )
    repository.commit()

    complete(repository)

    assert is_sound(repository)


def test_what_would_not_be_sound_is_not_written(tmp_path):
    repository = make_repository(tmp_path)
    repository.write("tests/shared.py", "def test_adds():\n    assert sum([1, 2]) == 3\n")
    repository.write("tests/test_ledger.py", "from shared import *\n")
    repository.plan("test_adds")
    repository.commit()

    answer = repository.run("complete_plan.py", "--plan", "1")

    assert (answer.returncode, repository.git("status", "--porcelain")) == (1, "")
    assert "there was no tests/test_ledger.py::test_adds (its file must hold its name)" in (
        answer.stdout
    )


def test_couplings_that_were_malformed_then_are_told(completed):
    there = completed.git("rev-parse", "HEAD^")
    completed.write("scripts/doc_coupling.yaml", "couplings: [\n")
    completed.commit()
    completed.change(PLAN, there, completed.git("rev-parse", "HEAD"))

    assert "the couplings were malformed (scripts/doc_coupling.yaml:2" in evidence_fault(completed)


def test_a_history_that_is_cut_off_is_to_be_fetched(completed, tmp_path):
    completed.commit()
    completed.git(
        "clone", "--quiet", "--depth=1", f"file://{completed.root}", str(tmp_path / "cut")
    )

    told = evidence_fault(Repository(tmp_path / "cut"))

    assert "is not in this repository: fetch the history (git fetch --unshallow)" in told


def test_a_tag_is_no_commit(completed):
    there = completed.git("rev-parse", "HEAD^")
    completed.git("tag", "--annotate", "--message=words", "v1", there)
    completed.change(PLAN, there, completed.git("rev-parse", "v1"))

    assert "is not in this repository" in evidence_fault(completed)


def test_plans_in_a_folder_of_a_repository_are_refused(completed, tmp_path):
    outer = Repository(tmp_path / "outer")
    inner = completed.copy(outer.root / "inner")
    (inner.root / ".git").rename(tmp_path / "gone")
    outer.git("init", "--quiet")
    outer.commit()

    for script, *arguments in (
        ("check_plan_evidence.py",),
        ("complete_plan.py", "--plan", "1"),
        ("check_doc_coupling.py", "--strict"),
    ):
        answer = inner.run(script, *arguments)
        assert (answer.returncode, answer.stdout) == (2, "")
        assert "is the folder inner/ of a git repository: plans stand in its root" in answer.stderr
