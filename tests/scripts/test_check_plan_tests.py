"""The plan checker as a process, over small repositories."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from .plan_lab import Repository, plan_text

TESTS = """\
import pytest


class TestLedger:
    def test_adds(self):
        assert sum([1, 1]) == 2


@pytest.mark.parametrize("n", [1, 2])
def test_every_case(n):
    assert n < {limit}


def test_fails():
    assert sum([1, 1]) == 3


@pytest.fixture
def broken():
    raise OSError("no disk")


def test_breaks_in_its_fixture(broken):
    assert broken


@pytest.mark.skip(reason="no sandbox here")
def test_skips():
    assert sum([1]) == 1


@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail():
    assert sum([1]) == 2


@pytest.mark.xfail(reason="known")
def test_passes_unexpectedly():
    assert sum([1]) == 1


def test_says_nothing():
    sum([1])
"""

XDIST = '[tool.pytest.ini_options]\naddopts = ["-p", "xdist.plugin"]\n'


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path)
    repository.write("plans/README.md", "How plans work.\n")
    repository.write("tests/test_ledger.py", TESTS.format(limit=3))
    repository.write("pyproject.toml", "[tool.pytest.ini_options]\n")
    return repository


def plan(repository: Repository, *rows: str, **keys: Any) -> Path:
    """Writes a plan whose table holds the rows."""
    number = keys.setdefault("number", 1)
    return repository.write(f"plans/{number:02}_ledger.md", plan_text(*rows, **keys))


def row(name: str, file: str = "tests/test_ledger.py") -> str:
    return f"| `{file}` | `{name}` | that it holds |"


def check(repository: Repository, *arguments: str) -> subprocess.CompletedProcess[str]:
    return repository.run("check_plan_tests.py", *(arguments or ("--plan", "1")))


def test_passes_when_every_required_test_passes(repository):
    plan(
        repository, row("TestLedger::test_adds"), row("test_every_case"), row("test_every_case[2]")
    )

    done = check(repository)

    assert (done.returncode, done.stdout) == (0, "plan 1: 3 of 3 required tests passed\n")


def test_runs_only_the_required_tests(repository):
    plan(repository, row("TestLedger::test_adds"))

    done = check(repository)

    assert done.returncode == 0
    assert "1 passed" in done.stderr


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("test_fails", "failing in call"),
        ("test_breaks_in_its_fixture", "failing in setup"),
        ("test_skips", "skipped (no sandbox here)"),
        ("test_is_expected_to_fail", "xfail (known)"),
        ("test_passes_unexpectedly", "xfail (known)"),
        ("test_says_nothing", "asserts nothing: say what must hold"),
        ("test_absent", "missing (the file has no such test)"),
        (
            "test_add",
            "missing (the file has no such test); "
            "the nearest is tests/test_ledger.py::TestLedger::test_adds",
        ),
        (
            "test_every_case[3]",
            "missing (the file has no such test); "
            "the nearest is tests/test_ledger.py::test_every_case[2]",
        ),
    ],
)
def test_names_a_test_that_did_not_pass_and_why(repository, name, trouble):
    plan(repository, row("TestLedger::test_adds"), row(name))

    done = check(repository)

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "plan 1: 1 of 2 required tests passed",
        f"  tests/test_ledger.py::{name}: {trouble}",
    ]


def test_one_failing_case_fails_a_test_with_parameters(repository):
    repository.write("tests/test_ledger.py", TESTS.format(limit=2))
    plan(repository, row("test_every_case"))

    done = check(repository)

    assert done.returncode == 1
    assert "test_every_case: failing in call for [2]" in done.stdout


def test_names_a_missing_file_and_one_that_cannot_be_collected(repository):
    repository.write("tests/test_new.py", "import not_written_yet\n")
    plan(repository, row("test_a", "tests/test_none.py"), row("test_b", "tests/test_new.py"))

    done = check(repository)

    assert done.returncode == 1
    assert "tests/test_none.py::test_a: missing (there is no such file)" in done.stdout
    assert "tests/test_new.py::test_b: missing (the file can't be collected: " in done.stdout
    assert "not_written_yet" in done.stdout


def test_tdd_lists_what_is_still_to_write_and_runs_nothing(repository):
    plan(
        repository,
        row("test_fails"),
        row("test_absent"),
        row("test_conserves", "tests/test_none.py"),
    )

    done = check(repository, "--plan", "1", "--tdd")

    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "plan 1: 2 of 3 tests to write",
        "  tests/test_ledger.py::test_absent: missing (the file has no such test)",
        "  tests/test_none.py::test_conserves: missing (there is no such file)",
    ]


@pytest.mark.parametrize("workers", [[], ["--workers", "1"]])
def test_all_checks_every_plan(repository, workers):
    repository.write("pyproject.toml", XDIST)
    plan(repository, row("TestLedger::test_adds"))
    plan(repository, row("test_fails"), row("TestLedger::test_adds"), number=2)

    done = check(repository, "--all", *workers)

    assert "skipped" not in done.stderr, "only what is required is run"

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "plan 1: 1 of 1 required tests passed",
        "plan 2: 1 of 2 required tests passed",
        "  tests/test_ledger.py::test_fails: failing in call",
    ]


def test_every_test_of_an_existing_file_must_pass(repository):
    existing = "`tests/test_old.py` and `tests/test_ledger.py::test_skips` go on passing."
    repository.write("tests/test_old.py", "def test_old():\n    assert sum([1]) == 2\n")
    plan(repository, row("TestLedger::test_adds"), existing=existing)

    done = check(repository)

    assert done.stdout.splitlines() == [
        "plan 1: 1 of 3 required tests passed",
        "  tests/test_old.py: failing in call for test_old",
        "  tests/test_ledger.py::test_skips: skipped (no sandbox here)",
    ]


def test_a_test_that_went_to_another_file_is_found(repository):
    plan(repository, row("TestLedger::test_adds", "tests/test_books.py"))

    done = check(repository)

    assert done.returncode == 1
    assert "there is no such file); the nearest is tests/test_ledger.py::TestLedger" in done.stdout


def test_a_test_that_is_deselected_proves_nothing(repository):
    plan(repository, row("TestLedger::test_adds"))
    repository.write("pyproject.toml", '[tool.pytest.ini_options]\naddopts = ["-k", "every"]\n')

    done = check(repository)

    assert done.returncode == 1
    assert "test_adds: deselected (TestLedger::test_adds)" in done.stdout


def test_a_whole_file_that_is_skipped_or_empty_proves_nothing(repository):
    skips = "import pytest\n\npytest.skip('no sandbox', allow_module_level=True)\n"
    repository.write("tests/test_skipped.py", skips)
    repository.write("tests/test_empty.py", "")
    existing = "`tests/test_skipped.py`, `tests/test_empty.py`"
    plan(repository, row("TestLedger::test_adds"), existing=existing)

    done = check(repository)

    assert done.returncode == 1
    assert (
        "tests/test_skipped.py: missing (the file can't be collected: it is skipped" in done.stdout
    )
    assert "tests/test_empty.py: missing (the file has no test)" in done.stdout


def test_a_skip_within_a_test_is_told(repository):
    inside = "import pytest\n\ndef test_a():\n    pytest.skip('later')\n    assert pytest\n"
    late = "\ndef test_b():\n    assert sum([1])\n    pytest.skip('later')\n"
    repository.write("tests/test_new.py", inside + late)
    plan(repository, row("test_a", "tests/test_new.py"), row("test_b", "tests/test_new.py"))

    done = check(repository)

    assert done.returncode == 1
    assert done.stdout.count("skipped (later)") == 2


def test_a_complete_plan_that_no_longer_passes_is_told_by_name(repository):
    plan(repository, row("test_fails"), status="complete")

    done = check(repository, "--all")

    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == (
        "plan 1: 0 of 1 required tests passed; it is complete and no longer passes"
    )


def test_a_draft_is_only_collected_among_all(repository):
    plan(repository, row("TestLedger::test_adds"))
    plan(repository, row("test_to_come"), number=2, status="draft")

    every, alone = check(repository, "--all"), check(repository, "--plan", "2")

    assert (every.returncode, alone.returncode) == (0, 1)
    assert "plan 2: 1 of 1 tests to write" in every.stdout


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["alone", "workers"])
def test_one_run_of_the_suite_judges_every_plan(repository, workers):
    repository.write("pyproject.toml", XDIST)
    repository.write("tests/test_other.py", "def test_other():\n    assert sum([1]) == 2\n")
    plan(repository, row("TestLedger::test_adds"), row("test_skips"))
    plan(repository, row("test_every_case"), number=2)
    plan(repository, row("test_to_come"), number=3, status="draft")

    done = check(repository, "--all", "--suite", *workers)

    assert done.returncode == 1
    assert done.stdout.splitlines()[:5] == [
        "plan 1: 1 of 2 required tests passed",
        "  tests/test_ledger.py::test_skips: skipped (no sandbox here)",
        "plan 2: 1 of 1 required tests passed",
        "plan 3: 1 of 1 tests to write",
        "  tests/test_ledger.py::test_to_come: missing (the file has no such test)",
    ]
    assert "the suite: tests/test_other.py::test_other: failing in call" in done.stdout


def test_a_worker_that_dies_fails_the_test_that_killed_it(repository):
    repository.write("pyproject.toml", XDIST)
    dies = "import os\n\ndef test_dies():\n    os._exit(0)\n    assert os\n"
    repository.write("tests/test_ledger.py", "def test_adds():\n    assert sum([1]) == 1\n" + dies)
    plan(repository, row("test_adds"), row("test_dies"))

    done = check(repository, "--all", "--suite", "--workers", "1")

    assert done.returncode == 1
    assert "  tests/test_ledger.py::test_dies: failing in ???" in done.stdout.splitlines()


def test_a_test_that_a_hook_keeps_from_running_is_told(repository):
    repository.write("tests/test_ledger.py", "def test_adds():\n    assert sum([1]) == 2\n")
    repository.write("tests/conftest.py", "def pytest_runtest_protocol(item):\n    return True\n")
    plan(repository, row("test_adds"))

    alone, suite = check(repository), check(repository, "--all", "--suite")

    assert (alone.returncode, suite.returncode) == (1, 1)
    assert "  tests/test_ledger.py::test_adds: not run\n" in alone.stdout
    assert "the suite: tests/test_ledger.py::test_adds: not run\n" in suite.stdout


def test_a_suite_that_passes_and_plans_that_do_are_fine(repository):
    repository.write("tests/test_ledger.py", "def test_adds():\n    assert sum([1]) == 1\n")
    plan(repository, row("test_adds"))

    done = check(repository, "--all", "--suite")

    assert (done.returncode, done.stdout) == (0, "plan 1: 1 of 1 required tests passed\n")


def test_json_tells_each_trouble_with_its_kind(repository):
    plan(repository, row("test_fails"), row("test_skips"), row("TestLedger::test_adds"))

    code, told = repository.told("check_plan_tests.py", "--plan", "1")

    [one] = told["plans"]
    assert (code, told["ok"], one["number"], one["tests"]) == (1, False, 1, 3)
    assert [trouble["kind"] for trouble in one["troubles"]] == ["failing", "skipped"]


def test_says_which_plans_there_are_when_one_is_unknown(repository):
    plan(repository, row("test_fails"))

    done = check(repository, "--plan", "7")

    assert (done.returncode, done.stderr) == (2, "There is no plan 7; there is 1.\n")


def test_says_so_when_pytest_itself_cannot_finish(repository):
    plan(repository, row("TestLedger::test_adds"))
    repository.write("pyproject.toml", "[tool.pytest.ini_options]\naddopts = '--unknown'\n")

    done = check(repository)

    assert done.returncode == 2
    assert "pytest did not finish" in done.stderr
