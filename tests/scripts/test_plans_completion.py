"""Completing a plan, and what keeps it from being completed."""

import dataclasses
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from scripworld_plans.blockers import cycle
from scripworld_plans.plan import parse_plan

from .plan_lab import (
    ENVIRONMENT,
    ROW,
    SCRIPTS,
    Repository,
    front,
    make_repository,
    plan_text,
)

PLAN = "plans/01_ledger.md"


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


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_overlooks_is_refused(repository, mark):
    repository.change("tests/test_ledger.py", "total == 1", "total == 2")
    repository.commit()
    repository.git("update-index", mark, "tests/test_ledger.py")
    repository.change("tests/test_ledger.py", "total == 2", "total == 1")

    told = refused(repository)

    assert (
        "Git overlooks changes by assume-unchanged or skip-worktree: end that for tests/t" in told
    )


@pytest.mark.parametrize(
    "name", ["tests/conftest.py", "tests/integration/test_more.py", "sitecustomize.py", "tox.ini"]
)
def test_an_ignored_file_that_decides_what_tests_do_is_refused(repository, name):
    repository.write(".git/info/exclude", f"{name}\n")
    repository.write(name, "")

    told = refused(repository)

    assert f"Ignored files can decide what tests do: commit, or put aside {name}\n" in told


def test_a_change_in_a_submodule_is_refused(repository, first):
    repository.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", first.root, "sub"
    )
    repository.git("config", "--file", ".gitmodules", "submodule.sub.ignore", "all")
    repository.commit()
    repository.write("sub/src/ledger.py", "")

    assert "The working tree is dirty: commit, or put aside sub\n" in refused(repository)


@pytest.mark.parametrize("script", ["complete_plan.py --plan 1", "check_doc_coupling.py --strict"])
def test_a_repository_that_git_cannot_read_is_told_in_its_words(repository, script):
    repository.write(".git/index", "junk")

    answer = repository.run(*script.split())

    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("git ")
    assert "index file" in answer.stderr


def test_the_type_check_is_the_one_of_the_repository(repository, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "mypy").mkdir()
    for name in ("__init__", "__main__"):
        (elsewhere / f"mypy/{name}.py").write_text("")
    repository.change("src/ledger.py", "-> int", "-> str")
    repository.commit("a change\n\nDocs-Confirmed: docs/ledger.md\n")
    repository.write(".git/info/exclude", "mypy\n")
    shutil.copytree(elsewhere / "mypy", repository.root / "mypy")

    answer = subprocess.run(
        [sys.executable, SCRIPTS / "complete_plan.py", "--root", repository.root, "--plan", "1"],
        env={**ENVIRONMENT, "PYTHONPATH": str(elsewhere), "MYPYPATH": str(elsewhere)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 1
    assert "mypy: src/ledger.py:2: error" in answer.stdout


@pytest.mark.parametrize(
    "shaped",
    [
        lambda keys: keys.replace("status:", '"status":'),
        lambda keys: keys.replace("status:", "status :"),
        lambda keys: textwrap.indent(keys, "  "),
        lambda keys: "{" + keys.replace("\n", ", ") + "}",
    ],
)
def test_front_matter_that_cannot_be_written_is_told_before_the_suite(repository, shaped):
    repository.write(PLAN, repository.read(PLAN).replace(front(), shaped(front())))
    repository.commit()

    answer = repository.run("complete_plan.py", "--plan", "1")

    assert (answer.returncode, repository.git("status", "--porcelain")) == (1, "")
    assert "plan 1: evidence can't be written into it: write each key of its front" in answer.stdout
    assert "passed" not in answer.stderr


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
        (
            PLAN,
            "## Documentation\n\nWords.",
            "",
            "plan 1: write the section `## Documentation` first",
        ),
        (
            PLAN,
            "(## Documentation\n\n)Words.",
            r"\1",
            "plan 1: write the section `## Documentation`",
        ),
        (
            PLAN,
            "status: active",
            "status: draft",
            "plan 1: it is a draft: set `status: active` first",
        ),
        (
            PLAN,
            "Words",
            "What cannot be done today, or not be trusted",
            "plan 1: put your own words in the place of: What cannot be done today",
        ),
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


def test_a_long_circle_of_plans_is_followed_to_its_end():
    last = 1200
    plan = parse_plan(Path(PLAN), plan_text(ROW.format("test_adds")))
    plans = {
        number: dataclasses.replace(plan, number=number, blocked_by=(number % last + 1,))
        for number in range(1, last + 1)
    }

    assert cycle(plans) == [*range(1, last + 1), 1]
    assert cycle({number: plans[number] for number in range(2, last)}) is None


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
