"""Completes plans: runs everything that proves them, and only then writes status and evidence.

In this order: the whole suite, in which the tests that the plans name must be and pass, the type
check, the doc coupling. The working tree must be clean, so that the evidence is about a commit;
nothing is written unless all of it passed. Exit codes: 0 the plans and the index are written; 1
something did not pass, or the tree is dirty; 2 wrong usage, a malformed plan, no git.
"""

import argparse
import datetime
import subprocess
import sys
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Final, TypeVar

import yaml

from . import git, pytest_run
from .answer import Answer, write_whole
from .blockers import faults, open_blockers
from .docs import dangling, read_couplings, unkept
from .evidence import COMPLETED_BY, STAMP
from .plan import SECTIONS, STATUSES, Evidence, Passed, Plan, parse_plan, read_plans
from .pytest_run import Recorder
from .sync import README, fresh, with_index
from .tests import chosen_plans, judged

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
    commit = git.head(root)
    dirty = git.unclean(root)
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


def run_tests(
    root: Path, plans: Sequence[Plan], workers: str | None
) -> tuple[dict[int, Passed], dict[str, Passed]]:
    """Runs the whole suite once; what the plans name must pass in it, and all the rest too."""
    required = [test for plan in plans for test in plan.tests]
    refuse(amiss(plans, pytest_run.collect(root, required), STATUSES))
    counter = pytest_run.Counter(SMOKE)
    recorder = pytest_run.run_among_all(root, required, workers, counter)
    refuse(amiss(plans, recorder, ()))
    failed = [f"the suite: {failure}" for failure in recorder.failures()[:SHOWN_MAX]]
    if not failed and not counter.smoke.count:
        failed = [f"the suite: no test in {SMOKE} passed, so no world ran from end to end"]
    refuse(failed)
    own = {
        plan.number: Passed(len(plan.tests), round(max(recorder.seconds(plan.tests), 0.01), 2))
        for plan in plans
    }
    return own, {"unit": counter.unit.passed(), "e2e_smoke": counter.smoke.passed()}


def amiss(plans: Sequence[Plan], recorder: Recorder, idle: Container[str]) -> list[str]:
    """What a run of pytest says against the plans."""
    checked = [judged(plan, recorder, idle) for plan in plans]
    return [line for each in checked if each.troubles for line in each.lines()]


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
        base = git.usual_base(root)
        behind = unkept(root, couplings, base) or []
        refuse([*dangling(root, couplings), *map(str, behind)])
        return len(couplings)

    return Passed(*timed(look))


def completed(text: str, evidence: Evidence) -> str:
    """The text of a well-formed plan with status and evidence; nothing else of it changes."""
    lines = text.splitlines(keepends=True)
    end = lines.index("---\n", 1)
    kept: list[str] = []
    dropping = False
    for line in lines[1:end]:
        if not line.startswith((" ", "#", "\n")):
            dropping = line.startswith(("evidence:", "status:"))
            if line.startswith("status:"):
                kept.append("status: complete\n")
        if not dropping:
            kept.append(line)
    tests = {
        name: {"passed": run.passed, "seconds": run.seconds} for name, run in evidence.tests.items()
    }
    fields = {
        "completed_by": evidence.completed_by,
        "timestamp": evidence.timestamp,
        "commit": evidence.commit,
        "tests": tests,
    }
    block = yaml.safe_dump({"evidence": fields}, sort_keys=False, width=100)
    return "".join(("---\n", *kept, block, *lines[end:]))


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plan",
        type=int,
        metavar="N",
        action="extend",
        nargs="+",
        required=True,
        help="the plans with these numbers; the suite is run once for all",
    )
    pytest_run.add_workers(parser)


def command(options: argparse.Namespace, root: Path) -> Answer:
    plans = chosen_plans(root, options.plan)
    numbers = {plan.number for plan in plans}
    try:
        commit = clean_head(root)
        ready(plans, read_plans(root))
        fresh(root)  # a page with no place for the index is told now, not after the suite
        own, tests = run_tests(root, plans, options.workers)
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
