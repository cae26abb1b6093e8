#!/usr/bin/env python3
"""Completes plans: runs everything that proves them, and only then writes status and evidence.

In this order: the tests that the plans name, the whole suite, the type check, the doc coupling. The
working tree must be clean, so that the evidence is about a commit; nothing is written unless all of
it passed. Exit codes: 0 the plans and the index are written; 1 something did not pass, or the tree
is dirty; 2 wrong usage, a malformed plan, no git.
"""

import argparse
import datetime
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import plan_git
import plan_tests
from check_plan_blockers import faults, open_blockers
from check_plan_tests import chosen_plans
from doc_couplings import dangling, read_couplings, unkept
from plan_answer import Answer, Unusable, answer, parser_of, write_whole
from plan_evidence import COMPLETED_BY, STAMP
from plan_index import README, completed, with_index
from sync_plan_status import fresh

from plans import SECTIONS, Evidence, Passed, Plan, parse_plan, read_plans

SMOKE: Final = "tests/integration"
"""Whole worlds from end to end; the rest of the suite counts as unit tests."""
SHOWN_MAX: Final = 10
T = TypeVar("T")


class NotProved(Exception):
    """Something that the evidence would claim is not so; the arguments are sentences."""


def timed(work: Callable[[], T]) -> tuple[T, float]:
    began_s = time.monotonic()
    result = work()
    return result, round(max(time.monotonic() - began_s, 0.01), 2)


def refuse(sentences: Sequence[str]) -> None:
    if sentences:
        raise NotProved(*sentences)


def clean_head(root: Path) -> str:
    commit = plan_git.head(root)
    dirty = plan_git.unclean(root)
    words = "The working tree is dirty: commit, or put aside"
    refuse([f"{words} {', '.join(dirty[:SHOWN_MAX])}"] if dirty else [])
    return commit


def ready(plans: Sequence[Plan], everything: dict[int, Plan]) -> None:
    """Refuses a plan that lacks a section, or waits in a circle or for one that stays open."""
    numbers = {plan.number for plan in plans}
    missing = [
        f"plan {plan.number}: write the section `## {name}` first"
        for plan in plans
        for name in SECTIONS
        if name not in plan.sections
    ]
    waiting = [
        f"plan {plan.number} waits for plan {number}: complete that first"
        for plan in plans
        for number in open_blockers(plan, everything)
        if number not in numbers
    ]
    refuse([*missing, *faults(everything), *waiting])


def run_plans(root: Path, plans: Sequence[Plan]) -> dict[int, Passed]:
    """Runs each plan in a process of its own, so that nothing of one run is left in the next."""
    runs = {}
    for plan in plans:
        tool = [sys.executable, str(Path(__file__).with_name("check_plan_tests.py"))]
        words = [*tool, "--json", "--root", str(root), "--plan", str(plan.number)]
        done, seconds = timed(partial(subprocess.run, words, stdout=subprocess.PIPE, check=False))
        told = json.loads(done.stdout or '{"error": "check_plan_tests.py gave no answer"}')
        if "error" in told:
            raise Unusable(told["error"])
        refuse([] if told["ok"] else told["lines"])
        runs[plan.number] = Passed(len(plan.tests), seconds)
    return runs


def run_suite(root: Path) -> dict[str, Passed]:
    counter, seconds = plan_tests.run_suite(root, SMOKE)
    failed = [f"the suite: {trouble}" for trouble in counter.troubles[:SHOWN_MAX]]
    if not failed and not counter.smoke:
        failed = [f"the suite: no test in {SMOKE} passed, so no world ran from end to end"]
    refuse(failed)
    smoke_s = round(max(counter.smoke_seconds, 0.01), 2)
    unit_s = round(max(seconds - counter.smoke_seconds, 0.01), 2)
    return {"unit": Passed(counter.unit, unit_s), "e2e_smoke": Passed(counter.smoke, smoke_s)}


def check_types(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = (done.stdout + done.stderr).strip().splitlines()
    refuse([f"mypy: {line}" for line in errors[:SHOWN_MAX]] if done.returncode else [])


def check_docs(root: Path) -> Passed:
    def look() -> int:
        couplings = read_couplings(root)
        base = plan_git.usual_base(root)
        behind = unkept(root, couplings, base) or []
        refuse([*dangling(root, couplings), *map(str, behind)])
        return len(couplings)

    return Passed(*timed(look))


def command(options: argparse.Namespace, root: Path) -> Answer:
    plans = chosen_plans(root, options.plan)
    numbers = {plan.number for plan in plans}
    try:
        commit = clean_head(root)
        ready(plans, read_plans(root))
        fresh(root)  # a page with no place for the index is told now, not after the suite
        own = run_plans(root, plans)
        tests = run_suite(root)
        check_types(root)
        tests["doc_coupling"] = check_docs(root)
        if clean_head(root) != commit:
            raise NotProved("Another commit was checked out meanwhile: run it again.")
    except NotProved as error:
        sentences = [*map(str, error.args), "Nothing was written."]
        return Answer(False, sentences, {"plans": sorted(numbers), "wrote": []})
    stamp = datetime.datetime.now(datetime.UTC).strftime(STAMP)
    texts: dict[Path, str] = {}
    for plan in plans:
        evidence = Evidence(COMPLETED_BY, stamp, commit, {"plan": own[plan.number], **tests})
        texts[plan.path] = completed(plan.path.read_text(encoding="utf-8"), evidence)
    page, _ = fresh(root)
    now = {**read_plans(root), **{p.number: parse_plan(p.path, texts[p.path]) for p in plans}}
    texts[root / README] = with_index(root / README, page, now.values())
    for path, text in texts.items():
        write_whole(path, text)
    files = [path.relative_to(root).as_posix() for path in texts]
    lines = [f"wrote {', '.join(files)}: commit them"]
    return Answer(True, lines, {"plans": sorted(numbers), "wrote": files, "commit": commit})


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--plan",
        type=int,
        metavar="N",
        action="extend",
        nargs="+",
        required=True,
        help="the plans with these numbers; the suite is run once for all",
    )
    return answer(parser, command)


if __name__ == "__main__":
    sys.exit(main())
