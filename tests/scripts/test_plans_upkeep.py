"""New plans, the index, what blocks what, and the one command."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from scripworld_plans.__main__ import USAGE

from .plan_lab import ENVIRONMENT, SCRIPTS, Repository, make_repository

COMMAND = Path(sysconfig.get_path("scripts")) / "scripworld-plans"
INDEX = "plans/README.md"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("upkeep"))


@pytest.fixture
def repository(first: Repository, tmp_path: Path) -> Repository:
    return first.copy(tmp_path)


def test_a_new_plan_is_well_formed_and_in_the_index(repository):
    repository.plan("test_adds", number=7)
    title = 'A hold can\'t be posted "twice": it is told | so'

    made = repository.run("new_plan.py", title, "--priority", "low")

    path = "plans/08_a_hold_can_t_be_posted_twice_it_is_told_so.md"
    assert (made.returncode, made.stdout.partition(":")[0]) == (0, f"wrote {path}")
    assert f"\n# {title}\n" in repository.read(path)
    assert "\npriority: low\n" in repository.read(path)
    assert repository.run("sync_plan_status.py", "--check").returncode == 0
    assert repository.run("check_plan_blockers.py").returncode == 0
    todo = repository.run("check_plan_tests.py", "--plan", "8", "--tdd")
    assert todo.stdout.startswith(
        "plan 8: 1 of 1 tests to write\n  tests/test_x.py::test_y: missing"
    )


def test_a_title_without_letters_is_refused(repository):
    before = repository.git("status", "--porcelain")

    made = repository.run("new_plan.py", "  …  ")

    assert (made.returncode, made.stdout) == (2, "")
    assert "A title needs letters" in made.stderr
    assert repository.git("status", "--porcelain") == before


@pytest.mark.parametrize("title", ["a <!-- end of the index of the plans -->", "a \x1b[31m title"])
def test_a_title_that_no_plan_may_have_is_refused(repository, title):
    before = repository.git("status", "--porcelain")

    code, told = repository.told("new_plan.py", title)

    assert (code, "title" in told["error"]) == (2, True)
    assert repository.git("status", "--porcelain") == before


def test_a_stale_index_is_told_with_what_would_change(repository):
    repository.change("plans/01_ledger.md", "priority: high", "priority: low")

    stale = repository.run("sync_plan_status.py", "--check")

    assert stale.returncode == 1
    told = stale.stdout.splitlines()
    assert told[0] == f"The index in {INDEX} is stale: run scripts/sync_plan_status.py --fix"
    assert told[1:] == [
        "  -| [1](01_ledger.md) | T | active | high | | 2 |",
        "  +| [1](01_ledger.md) | T | active | low | | 2 |",
    ]


def test_an_index_that_claims_more_is_stale(repository):
    repository.change(INDEX, "0 of 1 plans are complete", "133 % of the plans are complete")

    assert repository.run("sync_plan_status.py", "--check").returncode == 1


def test_the_index_is_fixed_and_the_words_around_it_stay(repository):
    repository.plan("test_adds", number=2, title="Another | one")

    fixed = repository.run("sync_plan_status.py", "--fix")
    again = repository.run("sync_plan_status.py", "--fix")

    page = repository.read(INDEX)
    assert (fixed.stdout, again.stdout) == (f"wrote {INDEX}\n", f"The index in {INDEX} is right.\n")
    assert "| [2](02_ledger.md) | Another \\| one | active | high | | 1 |" in page
    assert page.startswith("# Plans\n\nWords by hand.\n")
    assert page.endswith("\n\nMore words.\n")


def test_a_page_without_markers_has_no_place_for_the_index(repository):
    repository.write(INDEX, "# Plans\n")

    for mode in ("--check", "--fix"):
        done = repository.run("sync_plan_status.py", mode)
        assert done.returncode == 2
        assert f"{INDEX}:1: expected the index between" in done.stderr


def test_a_cycle_is_told_with_its_way(repository):
    repository.plan("test_adds", blocked_by="[3]", blocks="[2]")
    repository.plan("test_adds", number=2, blocked_by="[1]", blocks="[3]")
    repository.plan("test_adds", number=3, blocked_by="[2]", blocks="[1]")

    done = repository.run("check_plan_blockers.py")

    assert done.returncode == 1
    assert done.stdout == (
        "plan 1 waits for 3 waits for 2 waits for 1: take one of them out of `blocked_by`\n"
    )


def test_both_sides_say_the_same(repository):
    repository.plan("test_adds", blocked_by="[2, 9]", blocks="[2]")
    repository.plan("test_adds", number=2)

    done = repository.run("check_plan_blockers.py")

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "plan 1: `blocked_by` names plan 9, which is not there",
        "plan 2: add 1 to `blocks`, for it blocks 1",
        "plan 2: add 1 to `blocked_by`, for it waits for 1",
    ]


def test_nothing_is_complete_before_what_blocks_it(repository):
    repository.plan("test_adds", blocks="[2]")
    repository.plan("test_adds", number=2, blocked_by="[1]", status="complete")

    done = repository.run("check_plan_blockers.py")

    assert (done.returncode, done.stdout) == (
        1,
        "plan 2 is complete before plan 1, which blocks it\n",
    )


def test_who_waits_for_whom_is_told(repository):
    repository.plan("test_adds", blocks="[2]")
    repository.plan("test_adds", number=2, blocked_by="[1]")

    code, told = repository.told("check_plan_blockers.py")

    assert (code, told["waiting"], told["lines"]) == (0, {"2": [1]}, ["plan 2 waits for 1"])


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("check_plan_blockers.py", ()),
        ("check_plan_evidence.py", ()),
        ("sync_plan_status.py", ("--check",)),
        ("new_plan.py", ("A title",)),
        ("complete_plan.py", ("--plan", "1")),
    ],
)
def test_each_tool_names_a_malformed_plan_and_changes_nothing(repository, script, arguments):
    repository.change("plans/01_ledger.md", "status: active", "status: Complete")
    before = repository.git("status", "--porcelain")

    code, told = repository.told(script, *arguments)

    assert code == 2
    assert told["error"].startswith(f"{repository.root}/plans/01_ledger.md:4: expected a `status`")
    assert repository.git("status", "--porcelain") == before


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("check_plan_tests.py", ()),
        ("check_plan_tests.py", ("--plan", "one")),
        ("check_plan_tests.py", ("--plan", "1", "--all")),
        ("check_plan_tests.py", ("--plan", "1", "--td")),
        ("complete_plan.py", ()),
        ("complete_plan.py", ("--plan", "9")),
        ("sync_plan_status.py", ()),
        ("new_plan.py", ()),
        ("check_doc_coupling.py", ("--base",)),
        ("check_plan_blockers.py", ("--rot", "x")),
    ],
)
def test_wrong_usage_is_2_for_a_person_and_a_program(repository, script, arguments):
    done = repository.run(script, *arguments)
    code, told = repository.told(script, *arguments)

    assert (done.returncode, done.stdout, code) == (2, "", 2)
    assert done.stderr == f"{told['error']}\n"


def python(*arguments: object, folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """A script of ours as it is typed in a folder; the options are those of a process."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        **{"env": ENVIRONMENT, **options},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("new_plan.py", ("A title",)),
        ("check_plan_tests.py", ("--all",)),
        ("complete_plan.py", ("--plan", "1")),
        ("check_plan_evidence.py", ()),
        ("check_plan_blockers.py", ()),
        ("sync_plan_status.py", ("--fix",)),
        ("check_doc_coupling.py", ()),
    ],
)
def test_a_folder_without_plans_is_no_repository(tmp_path, script, arguments):
    for root in ((), ("--root", "."), ("--root", "nowhere")):
        done = python(SCRIPTS / script, *root, *arguments, folder=tmp_path)

        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("There is no folder `plans` in ")
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_not_installed_is_told(repository):
    script = ("-S", SCRIPTS / "sync_plan_status.py", "--check")

    person = python(*script, folder=repository.root)
    program = python(*script, "--json", folder=repository.root)

    assert (person.returncode, person.stdout, program.returncode) == (2, "", 2)
    assert person.stderr == "yaml is not installed: run `make`, or install scripworld[dev].\n"
    assert json.loads(program.stdout) == {"ok": False, "error": person.stderr.strip()}


def test_a_disk_that_takes_no_more_is_told_and_leaves_what_there_was(repository):
    before = repository.git("status", "--porcelain", "--ignored")
    command = ("new_plan.py", "--root", repository.root, "A title")

    done = subprocess.run(
        [
            "sh",
            "-c",
            'ulimit -f 0; exec "$@"',
            "sh",
            sys.executable,
            SCRIPTS / command[0],
            *command[1:],
        ],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "File too large: see to that, and run it again.\n"
    assert repository.git("status", "--porcelain", "--ignored") == before


def test_a_terminal_that_has_no_umlauts_gets_their_numbers(repository):
    repository.plan("test_adds", title="Über")
    poor = {**ENVIRONMENT, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}

    done = python(SCRIPTS / "sync_plan_status.py", "--check", folder=repository.root, env=poor)

    assert (done.returncode, "| \\xdcber |" in done.stdout) == (1, True)


def test_an_interrupted_tool_says_so(repository):
    git = repository.write("bin/git", "#!/bin/sh\nkill -INT $PPID\nexec cat /dev/zero\n")
    git.chmod(0o755)
    path = {**ENVIRONMENT, "PATH": f"{git.parent}:{os.environ['PATH']}"}

    done = python(
        *(SCRIPTS / "check_plan_evidence.py", "--json"),
        folder=repository.root,
        env=path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )

    told = {"ok": False, "error": "Interrupted: nothing is proved. Run it again."}
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (2, told, "")


def command(*arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_command_stands_for_all_of_them(repository):
    root = ("--root", repository.root)
    runs = {
        "new": ("A title",),
        "tests": ("--plan", "1"),
        "sync": ("--check",),
        "blockers": (),
        "evidence": (),
        "docs": (),
    }

    done = {name: command(name, *root, *arguments) for name, arguments in runs.items()}

    assert {name: each.returncode for name, each in done.items()} == dict.fromkeys(runs, 0)
    assert done["tests"].stdout == "plan 1: 2 of 2 required tests passed\n"


def test_a_repository_is_found_from_any_folder_of_it(repository):
    repository.plan("test_adds", number=2)

    done = command("sync", "--check", folder=repository.root / "tests" / "integration")

    assert done.returncode == 1
    assert "+| [2](02_ledger.md) | T | active | high | | 1 |" in done.stdout


def test_the_command_names_its_tools_to_who_mistypes_one():
    wrong, asked = command("test"), command("--help")

    assert (wrong.returncode, asked.returncode) == (2, 0)
    assert "tests" in wrong.stderr
    assert asked.stdout == wrong.stderr
    assert json.loads(command("test", "--json").stdout) == {"ok": False, "error": USAGE}
