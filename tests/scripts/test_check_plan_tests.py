"""The plan checker as a process, over small repositories."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_plan_tests.py"

TESTS = """\
import pytest


class TestLedger:
    def test_adds(self):
        assert 1 + 1 == 2


@pytest.mark.parametrize("n", [1, 2])
def test_every_case(n):
    assert n < {limit}


def test_fails():
    assert 1 == 2


@pytest.fixture
def broken():
    raise OSError("no disk")


def test_breaks_in_its_fixture(broken):
    pass


@pytest.mark.skip(reason="no sandbox here")
def test_skips():
    pass


@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail():
    assert False


@pytest.mark.xfail(reason="known")
def test_passes_unexpectedly():
    pass
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "README.md").write_text("How plans work.\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_ledger.py").write_text(TESTS.format(limit=3))
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return tmp_path


def plan(repository: Path, *rows: str, number: int = 1, front: str = "title: T\nstatus: active"):
    """Writes a plan whose table holds the rows; the first of them stands in line 10."""
    table = ["| file | test | what it verifies |", "|---|---|---|", *rows]
    text = ["---", *front.split("\n"), "---", "", "## Required tests", "", *table, "", "## Notes"]
    path = repository / "plans" / f"{number:02}_ledger.md"
    path.write_text("\n".join(text) + "\n")
    return path


def row(name: str, file: str = "tests/test_ledger.py") -> str:
    return f"| `{file}` | `{name}` | that it holds |"


def check(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, "--root", repository, *(arguments or ("--plan", "1"))],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


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
        ("test_absent", "missing (the file has no such test)"),
        ("TestLedger", "missing (the file has no such test)"),
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
    (repository / "tests" / "test_ledger.py").write_text(TESTS.format(limit=2))
    plan(repository, row("test_every_case"))

    done = check(repository)

    assert done.returncode == 1
    assert "test_every_case: failing in call for [2]" in done.stdout


def test_names_a_missing_file_and_one_that_cannot_be_collected(repository):
    (repository / "tests" / "test_new.py").write_text("import not_written_yet\n")
    plan(repository, row("test_a", "tests/test_none.py"), row("test_b", "tests/test_new.py"))

    done = check(repository)

    assert done.returncode == 1
    assert "tests/test_none.py::test_a: missing (there is no such file)" in done.stdout
    assert "tests/test_new.py::test_b: missing (the file can't be collected: " in done.stdout
    assert "not_written_yet" in done.stdout


def test_tdd_lists_what_is_still_to_write_and_runs_nothing(repository):
    plan(repository, row("test_fails"), row("test_absent"), row("test_a", "tests/test_none.py"))

    done = check(repository, "--plan", "1", "--tdd")

    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "plan 1: 2 of 3 tests to write",
        "  tests/test_ledger.py::test_absent: missing (the file has no such test)",
        "  tests/test_none.py::test_a: missing (there is no such file)",
    ]


def test_all_checks_every_plan(repository):
    plan(repository, row("TestLedger::test_adds"))
    plan(repository, row("test_fails"), row("TestLedger::test_adds"), number=2)

    done = check(repository, "--all")

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "plan 1: 1 of 1 required tests passed",
        "plan 2: 1 of 2 required tests passed",
        "  tests/test_ledger.py::test_fails: failing in call",
    ]


@pytest.mark.parametrize(
    ("bad_row", "expected"),
    [
        ("| tests/test_ledger.py | test_a |", "expected 3 cells; there are 2"),
        ("| tests/test_ledger.py | adds up | words |", "expected a test such as test_y"),
        ("| ../test_ledger.py | test_a | words |", "expected a test file such as tests/test_x.py"),
        ("| tests/test_ledger.py | test_a |  |", "expected words about what the test verifies"),
    ],
)
def test_names_the_line_of_a_malformed_row(repository, bad_row, expected):
    path = plan(repository, bad_row)

    done = check(repository)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{path}:10: {expected}")


def test_refuses_a_test_that_stands_twice(repository):
    path = plan(repository, row("test_fails"), row("test_fails"))

    done = check(repository)

    assert done.returncode == 2
    assert (
        done.stderr
        == f"{path}:11: expected tests/test_ledger.py::test_fails once; line 10 has it\n"
    )


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("# A plan\n", 1, "expected `---`, which opens the front matter"),
        ("---\ntitle: T\n", 2, "expected `---`, which closes the front matter"),
        ("---\ntitle: T\nstatus: [\n---\n", 3, "expected YAML"),
        ("---\nstatus: done\n---\n", 2, "expected a `title`"),
        (
            "---\ntitle: T\nstatus: later\n---\n",
            2,
            "expected a `status`, one of draft, active, done",
        ),
        ("---\ntitle: T\nstatus: done\n---\n", 4, "expected a section `## Required tests`"),
        (
            "---\ntitle: T\nstatus: done\n---\n## Required tests\n",
            5,
            "expected a table with a row under `## Required tests`",
        ),
        (
            "---\ntitle: T\nstatus: done\n---\n## Required tests\n| file | test |\n",
            6,
            "expected the header `| file | test | what it verifies |`",
        ),
        (
            "---\ntitle: T\nstatus: done\n---\n## Required tests\n"
            "| file | test | what it verifies |\n| a | b | c |\n",
            7,
            "expected the separator `|---|---|---|`",
        ),
    ],
)
def test_names_the_line_of_a_malformed_plan(repository, text, line, expected):
    path = repository / "plans" / "01_ledger.md"
    path.write_text(text)

    done = check(repository)

    assert done.returncode == 2
    assert done.stderr.startswith(f"{path}:{line}: {expected}")


def test_says_which_plans_there_are_when_one_is_unknown(repository):
    plan(repository, row("test_fails"))

    done = check(repository, "--plan", "7")

    assert (done.returncode, done.stderr) == (2, "There is no plan 7; there is 1.\n")


def test_refuses_a_plan_file_without_a_number_and_a_number_used_twice(repository):
    path = plan(repository, row("test_fails"))
    path.rename(path.with_name("ledger.md"))
    unnumbered = check(repository)
    path.with_name("ledger.md").rename(path)
    (repository / "plans" / "01_other.md").write_text(path.read_text())
    doubled = check(repository)

    assert (unnumbered.returncode, doubled.returncode) == (2, 2)
    assert "expected a file name of the form NN_name.md" in unnumbered.stderr
    assert "expected one plan 1" in doubled.stderr


def test_says_so_when_pytest_itself_cannot_finish(repository):
    plan(repository, row("TestLedger::test_adds"))
    (repository / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--unknown'\n")

    done = check(repository)

    assert done.returncode == 1
    assert "pytest did not finish" in done.stderr
