"""Green answers for tests that did not pass: what a conftest, a test or the caller's environment might try."""

import subprocess
import sys
from pathlib import Path

import pytest

from .plan_lab import ENVIRONMENT, SCRIPTS, Repository, make_repository

FAILING = "def test_adds():\n    total = sum([1])\n    assert total == 2\n"
PASSING = "def test_adds():\n    total = sum([1])\n    assert total == 1\n"
WRAPPER = "import pytest\n@pytest.hookimpl(wrapper=True)\n"
TOLD = "failing, and told as passed"
IDLE = "asserts nothing while it runs"
HOOKS = {
    "a report is changed": (
        WRAPPER + "def pytest_runtest_makereport(item, call):\n"
        "    report = yield\n    report.outcome = 'passed'\n    return report\n",
        TOLD,
    ),
    "a report is changed when it is told": (
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtest_logreport(report):\n    report.outcome = 'passed'\n",
        TOLD,
    ),
    "a failure is swallowed": (
        WRAPPER + "def pytest_runtest_call(item):\n"
        "    try:\n        yield\n    except BaseException:\n        pass\n",
        TOLD,
    ),
    "the test is not called": ("def pytest_pyfunc_call(pyfuncitem):\n    return True\n", IDLE),
    "another is called for it": (
        "def pytest_collection_finish(session):\n"
        "    for item in session.items:\n        item.obj = lambda: None\n",
        IDLE,
    ),
    "its run is replaced": (
        "def pytest_itemcollected(item):\n    item.runtest = lambda: None\n",
        IDLE,
    ),
    "it is tried again until it passes": (
        "from _pytest.runner import runtestprotocol\n"
        "def pytest_runtest_protocol(item, nextitem):\n"
        "    for outcome in ('rerun', 'passed'):\n"
        "        for report in runtestprotocol(item, nextitem=nextitem, log=False):\n"
        "            report.outcome = outcome\n"
        "            item.ihook.pytest_runtest_logreport(report=report)\n"
        "    return True\n",
        "failing in setup",
    ),
}
ENDS = {
    "in a test": ("tests/test_other.py", "import os\ndef test_last():\n    os._exit(0)\n"),
    "at import": ("tests/test_other.py", "import os\nos._exit(0)\n"),
    "for another program": (
        "tests/test_other.py",
        "import os\nos.execv('/bin/true', ['true'])\n",
    ),
    "in a hook": (
        "tests/conftest.py",
        "import os, pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtestloop():\n    os._exit(0)\n",
    ),
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = make_repository(tmp_path)
    repository.write("tests/test_ledger.py", FAILING)
    repository.plan("test_adds")
    return repository


WAYS = [(name, ["--plan", "1"]) for name in HOOKS]
WAYS += [
    (name, ["--all", "--suite", "--workers", "1"])
    for name in ("a report is changed", "the test is not called")
]


@pytest.mark.parametrize(("name", "how"), WAYS)
def test_a_hook_makes_no_failing_test_pass(repository: Repository, name: str, how: list[str]):
    conftest, words = HOOKS[name]
    repository.write(
        "pyproject.toml", '[tool.pytest.ini_options]\naddopts = ["-p", "xdist.plugin"]\n'
    )
    repository.write("tests/conftest.py", conftest)

    code, told = repository.told("check_plan_tests.py", *how)

    [trouble] = told["plans"][0]["troubles"]
    assert code == 1
    assert trouble["words"].startswith(words)


@pytest.mark.parametrize("name", ENDS)
def test_who_ends_the_process_proves_nothing(repository: Repository, name: str):
    file, text = ENDS[name]
    repository.write("tests/test_ledger.py", PASSING)
    repository.write(file, text)
    repository.commit()

    done = repository.run("complete_plan.py", "--plan", "1")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("pytest did not finish (")
    assert "status: active" in repository.read("plans/01_ledger.md")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYTEST_ADDOPTS", "--deselect=tests/test_other.py::test_fails"),
        ("PYTEST_ADDOPTS", "-k ledger"),
        ("PYTEST_PLUGINS", "kind"),
    ],
)
def test_the_environment_of_who_asks_takes_no_test_out(
    repository: Repository, name: str, value: str
):
    repository.write("tests/test_ledger.py", PASSING)
    repository.write("tests/test_other.py", FAILING.replace("adds", "fails"))
    repository.write("kind/kind.py", "def pytest_pyfunc_call(pyfuncitem):\n    return True\n")
    done = subprocess.run(
        [
            sys.executable,
            SCRIPTS / "check_plan_tests.py",
            "--root",
            repository.root,
            "--all",
            "--suite",
        ],
        env=ENVIRONMENT | {"PYTHONPATH": str(repository.root / "kind"), name: value},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "the suite: tests/test_other.py::test_fails: failing in call" in done.stdout


def test_what_tests_print_is_no_part_of_the_answer(repository: Repository):
    repository.write("pyproject.toml", '[tool.pytest.ini_options]\naddopts = ["--capture=no"]\n')
    loud = "import atexit, os\natexit.register(print, 'last words')\nos.system('echo loud')\n"
    repository.write("tests/test_ledger.py", loud + PASSING)

    code, told = repository.told("check_plan_tests.py", "--plan", "1")

    assert (code, told["ok"]) == (0, True)


@pytest.mark.parametrize("workers", [[], ["--workers", "1"]])
def test_a_file_that_cannot_be_collected_fails_the_suite_by_name(
    repository: Repository, workers: list[str]
):
    repository.write(
        "pyproject.toml", '[tool.pytest.ini_options]\naddopts = ["-p", "xdist.plugin"]\n'
    )
    repository.write("tests/test_ledger.py", PASSING)
    repository.write("tests/test_other.py", "import nothing_there\n")

    code, told = repository.told("check_plan_tests.py", "--all", "--suite", *workers)

    assert code == 1
    assert told["plans"][0]["troubles"] == []
    [failure] = told["suite"]
    assert failure.startswith("tests/test_other.py: can't be collected: ModuleNotFoundError")


def test_options_of_the_project_that_run_nothing_prove_nothing(repository: Repository):
    repository.write("tests/test_ledger.py", PASSING)
    repository.write("pyproject.toml", '[tool.pytest.ini_options]\naddopts = ["--help"]\n')

    done = repository.run("check_plan_tests.py", "--plan", "1")

    assert done.returncode == 2
    assert "Traceback (" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("pytest did not finish (")
