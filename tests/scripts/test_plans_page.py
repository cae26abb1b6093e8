"""A newcomer adds and completes a plan with nothing but the page on plans: its commands and forms."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from .plan_lab import SCRIPTS, Repository, make_repository

PAGE = (SCRIPTS.parent / "docs" / "architecture" / "plans.md").read_text(encoding="utf-8")


def block(beginning: str) -> str:
    [found] = [
        text for text in re.findall(r"```\w+\n(.*?)```", PAGE, re.S) if text.startswith(beginning)
    ]
    return str(found)


def typed(repository: Repository, line: str) -> subprocess.CompletedProcess[str]:
    script, *arguments = shlex.split(line, comments=True)
    return repository.run(script.removeprefix("scripts/"), *arguments)


def test_a_newcomer_completes_a_plan_by_the_page(tmp_path: Path):
    repository = make_repository(tmp_path)
    repository.plan("test_adds", number=28, title="Tool servers")
    repository.git("mv", "plans/01_ledger.md", "plans/07_ledger.md")
    repository.change("plans/07_ledger.md", "number: 1", "number: 7")
    repository.change(
        "pyproject.toml", "testpaths", 'addopts = ["--import-mode=importlib"]\ntestpaths'
    )
    first, new, index, blockers, todo, run, complete = block("source").splitlines()
    assert first.startswith("source .venv/bin/activate ")

    made = typed(repository, new)
    path = "plans/29_agents_auction_artifacts.md"
    assert made.stdout.startswith(f"wrote {path}")
    header, separator, row = block("| file").splitlines()
    repository.change(
        path, re.escape(f"{header}\n{separator}") + r"\n.*", f"{header}\n{separator}\n{row}"
    )
    sentences = re.compile("^(?:- )?[A-Z].*$", re.M)
    repository.write(path, sentences.sub("A sentence of one's own.", repository.read(path)))
    repository.change(path, "status: draft", "status: active")
    repository.change(path, r"blocked_by: \[\]", "blocked_by: [7]")
    repository.change("plans/07_ledger.md", r"blocks: \[\]", "blocks: [29]")
    assert typed(repository, index).returncode == 0
    assert typed(repository, blockers).stdout == "plan 29 waits for 7\n"

    missing = typed(repository, todo)
    assert (missing.returncode, missing.stdout.splitlines()[0]) == (
        0,
        "plan 29: 1 of 1 tests to write",
    )

    file, test = re.findall(r"`([^`]+)`", row)
    group, name = test.split("::")
    body = f"class {group}:\n    def {name}(self):\n        assert sum([2, -2]) == 0\n"
    repository.write(file, body)
    assert typed(repository, run).stdout == "plan 29: 1 of 1 required tests passed\n"

    repository.commit("Agents auction artifacts")
    assert typed(repository, complete.replace("29", "7")).returncode == 0
    repository.commit("Complete what blocks it")
    subprocess.run([sys.executable, "-m", "mypy"], cwd=repository.root, check=True)
    done = typed(repository, complete)
    assert done.returncode == 0, done.stdout + done.stderr
    repository.commit("Complete")
    assert repository.run("check_plan_evidence.py").returncode == 0
    assert "2 of 3 plans are complete." in repository.read("plans/README.md")


def test_the_front_matter_and_the_evidence_on_the_page_are_what_the_tools_read(tmp_path: Path):
    repository = make_repository(tmp_path)
    commit = repository.git("rev-parse", "HEAD")
    front = block("number: 29").replace("[7]", "[1]")
    evidence = re.sub("commit: .*", f"commit: {commit}", block("status: complete"))
    text = repository.read("plans/01_ledger.md").replace("# T\n", "# Agents auction artifacts\n")
    draft = f"---\n{front}---\n" + text.split("---\n", 2)[2]
    repository.write("plans/29_auction.md", draft)
    repository.change("plans/01_ledger.md", r"blocks: \[\]", "blocks: [29]")

    waiting = repository.told("check_plan_blockers.py")
    repository.write("plans/29_auction.md", re.sub("status: .*\n", evidence, draft, count=1))
    told = repository.told("check_plan_evidence.py")

    assert (waiting[0], waiting[1]["waiting"]) == (0, {"29": [1]})
    assert told[0] == 1
    assert [each["number"] for each in told[1]["faulty"]] == [29]
    assert any("claims 9 passed tests of its own" in line for line in told[1]["lines"])
