"""This repository keeps its own rules on plans, couplings and generated pages; no plan's test is run here."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripworld_plans.docs import read_couplings
from scripworld_plans.git import is_shallow

from .plan_lab import SCRIPTS

ROOT = SCRIPTS.parent
DOCS = "docs/architecture"
PAGE = "docs/architecture/current/genesis_artifacts.md"


def told(script: str, *arguments: str) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, SCRIPTS / script, "--json", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def history() -> None:
    if not (ROOT / ".git").exists() or is_shallow(ROOT):
        pytest.skip("plans are compared with commits: clone the repository with its history")


def test_every_test_that_a_plan_names_is_there_and_asserts_something():
    code, answer = told("check_plan_tests.py", "--all", "--tdd")

    to_write = [
        f"plan {plan['number']}: {trouble['test']}: {trouble['words']}"
        for plan in answer["plans"]
        if plan["status"] != "draft"
        for trouble in plan["troubles"]
    ]
    assert (code, to_write) == (0, [])
    assert len(answer["plans"]) > 10


def test_the_index_of_the_plans_is_right():
    assert told("sync_plan_status.py", "--check") == (
        0,
        {"ok": True, "stale": False, "lines": ["The index in plans/README.md is right."]},
    )


def test_plans_agree_on_what_blocks_what():
    code, answer = told("check_plan_blockers.py")

    assert (code, answer["faults"]) == (0, [])


@pytest.mark.usefixtures("history")
def test_the_evidence_of_complete_plans_is_sound():
    code, answer = told("check_plan_evidence.py")

    assert (code, answer["faulty"]) == (0, [])


@pytest.mark.usefixtures("history")
def test_no_coupling_names_a_file_that_is_not_there():
    code, answer = told("check_doc_coupling.py")

    assert (code, answer["missing"]) == (0, [])
    assert answer["couplings"] > 10


def test_a_page_and_the_sources_that_it_names_are_coupled():
    couplings = read_couplings(ROOT)
    pages = {page: (ROOT / DOCS / page.name).read_text() for page in (ROOT / DOCS).glob("*.md")}
    named = [
        (f"{DOCS}/{page.name}", source)
        for page, text in pages.items()
        for source in sorted(set(re.findall(r"`(src/[\w/]+\.py)`", text)))
    ]

    apart = [
        (page, source)
        for page, source in named
        if not any(each.holds(source) and page in each.docs for each in couplings)
    ]

    assert apart == [], "couple each of these in scripts/doc_coupling.yaml"
    assert len(named) > 10


def test_the_page_of_interfaces_is_what_the_artifacts_say():
    code, answer = told("genesis_artifacts.py", "--check")

    assert code == 0, answer["lines"]


def test_a_page_of_interfaces_that_is_stale_is_told_and_written(tmp_path: Path):
    page = tmp_path / PAGE
    page.parent.mkdir(parents=True)
    shutil.copy(ROOT / PAGE, page)
    right = page.read_text()
    page.write_text(right.replace("| `transfer` |", "| `pay` |"))

    stale = told("genesis_artifacts.py", "--check", "--root", str(tmp_path))
    written = told("genesis_artifacts.py", "--root", str(tmp_path))

    assert (stale[0], stale[1]["stale"], written[0]) == (1, True, 0)
    assert page.read_text() == right
    assert {"genesis_ledger", "genesis_quantum"} <= set(re.findall(r"^## (\w+)$", right, re.M))
