"""Completes plans: runs everything that proves them, and only then writes status and evidence.

In this order: the whole suite, in which the tests that the plans name must be and pass, the type
check, the doc coupling. The working tree must be clean, so that the evidence is about a commit;
nothing is written unless all of it passed. Exit codes: 0 the plans and the index are written; 1
something did not pass, or the tree is dirty; 2 wrong usage, a malformed plan, no git.
"""

import argparse
import dataclasses
import datetime
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import yaml

from . import git, pytest_run
from .answer import Answer, write_whole
from .blockers import faults, open_blockers
from .docs import dangling, read_couplings, unkept, usual_base
from .evidence import COMPLETED_BY, STAMP
from .evidence import faults as evidence_faults
from .new import TEMPLATE
from .plan import SECTIONS, Evidence, MalformedPlan, Passed, Plan, parse_plan, read_plans, read_text
from .pytest_run import SMOKE, Seen
from .sync import README, fresh, with_index
from .tests import chosen_plans, judged

SHOWN_MAX: Final = 10
EMPTY: Final = re.compile(r"^## (.+)\n\s*(?=^## |\Z)", re.M)
NO_WORDS: Final = ("#", "---", "{", "| file", "|---")
"""How the lines of a plan begin that are the same in every plan."""
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
    """What is checked out; refuses where the work tree may be another."""
    commit = git.head(root)
    for files, words in (
        (git.unclean(root), "The working tree is dirty: commit, or put aside"),
        (
            git.overlooked(root),
            "Git overlooks changes by assume-unchanged or skip-worktree: end that for",
        ),
        (git.ignored(root), "Ignored files can decide what tests do: commit, or put aside"),
    ):
        refuse([f"{words} {', '.join(files[:SHOWN_MAX])}"] if files else [])
    return commit


def ready(plans: Sequence[Plan], everything: dict[int, Plan]) -> None:
    """Refuses a plan that is not all written, or waits in a circle or for one that stays open."""
    numbers = {plan.number for plan in plans}
    missing = [f"plan {plan.number}: {lack}" for plan in plans for lack in unwritten(plan)]
    waiting = [
        f"plan {plan.number} waits for plan {number}: complete that first"
        for plan in plans
        for number in open_blockers(plan, everything)
        if number not in numbers
    ]
    refuse([*missing, *faults(everything), *waiting])


def unwritten(plan: Plan) -> Iterator[str]:
    """What is still to write in a plan, as sentences."""
    text = read_text(plan.path)
    if plan.status == "draft":
        yield "it is a draft: set `status: active` first"
    empty = EMPTY.findall(text)
    for name in SECTIONS:
        if name not in plan.sections or name in empty:
            yield f"write the section `## {name}` first"
    for line in TEMPLATE.split("\n"):
        if line and not line.startswith(NO_WORDS) and f"\n{line}\n" in text:
            yield f"put your own words in the place of: {line}"


def run_tests(
    root: Path, plans: Sequence[Plan], workers: str | None
) -> tuple[dict[int, Passed], dict[str, Passed]]:
    """Runs the whole suite once; what the plans name must pass in it, and all the rest too."""
    required = [test for plan in plans for test in plan.tests]
    seen = pytest_run.run_among_all(root, required, workers)
    refuse(amiss(plans, seen, ran=True))
    refuse([f"the suite: {failure}" for failure in seen.failures()[:SHOWN_MAX]])
    counts = seen.counts()
    if not counts["e2e_smoke"].passed:
        raise NotProved(f"the suite: no test in {SMOKE} passed, so no world ran from end to end")
    own = {
        plan.number: Passed(len(plan.tests), round(max(seen.took(plan.tests), 0.01), 2))
        for plan in plans
    }
    return own, counts


def amiss(plans: Sequence[Plan], seen: Seen, ran: bool) -> list[str]:
    """What a run of pytest says against the plans."""
    checked = [judged(plan, seen, ran) for plan in plans]
    return [line for each in checked if each.troubles for line in each.lines()]


def check_types(root: Path) -> None:
    """Runs mypy as the repository configures it, and not as who calls does."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MYPY"))}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mypy", "--no-error-summary"],
        cwd=root,
        env=kept,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    errors = (done.stdout + done.stderr).strip().split("\n")
    refuse([f"mypy: {line}" for line in errors[:SHOWN_MAX]] if done.returncode else [])


def check_docs(root: Path) -> Passed:
    def look() -> int:
        couplings = read_couplings(root)
        behind = unkept(root, couplings, usual_base(root))
        refuse([*dangling(root, couplings), *map(str, behind)])
        return len(couplings)

    return Passed(*timed(look))


def completed(root: Path, plan: Plan, evidence: Evidence) -> str:
    """The text of a plan with status and evidence; nothing else of it changes.

    Refuses where it would not be read so, or where the evidence would not be sound.
    """
    front, _, rest = read_text(plan.path).partition("\n---\n")
    front = re.sub(r"^evidence:.*\n( .*\n)*", "", f"{front}\n", flags=re.M)
    front = re.sub(r"^status:.*", "status: complete", front, flags=re.M)
    fields = dataclasses.asdict(evidence)
    block = yaml.safe_dump({"evidence": fields}, sort_keys=False, width=100)
    text = f"{front}{block}---\n{rest}"
    now = dataclasses.replace(plan, status="complete", evidence=evidence)
    try:
        written = parse_plan(plan.path, text) == now
    except MalformedPlan:
        written = False
    if not written:
        words = "write each key of its front matter plain, at the begin of a line of its own"
        raise NotProved(f"plan {plan.number}: evidence can't be written into it: {words}")
    refuse([f"plan {plan.number}: {fault}" for fault in evidence_faults(root, now, time.time())])
    return text


def rewritten(
    root: Path,
    plans: Sequence[Plan],
    commit: str,
    own: Mapping[int, Passed],
    tests: Mapping[str, Passed],
) -> dict[Path, str]:
    """The texts of the plans, with what was seen of their own tests and of all."""
    stamp = datetime.datetime.now(datetime.UTC).strftime(STAMP)
    seen = {plan.number: {"plan": own[plan.number], **tests} for plan in plans}
    return {
        plan.path: completed(root, plan, Evidence(COMPLETED_BY, stamp, commit, seen[plan.number]))
        for plan in plans
    }


def rehearse(root: Path, plans: Sequence[Plan], commit: str) -> None:
    """Refuses before the suite what collecting tells, and what could not be written after it."""
    required = [test for plan in plans for test in plan.tests]
    refuse(amiss(plans, pytest_run.collect(root, required), ran=False))
    own = {plan.number: Passed(len(plan.tests), 1.0) for plan in plans}
    tests = {
        "unit": Passed(len(required), 1.0),
        "e2e_smoke": Passed(1, 1.0),
        "doc_coupling": Passed(len(read_couplings(root)), 1.0),
    }
    rewritten(root, plans, commit, own, tests)


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
        rehearse(root, plans, commit)
        own, tests = run_tests(root, plans, options.workers)
        check_types(root)
        tests["doc_coupling"] = check_docs(root)
        if clean_head(root) != commit:
            raise NotProved("Another commit was checked out meanwhile: run it again.")
        texts = rewritten(root, plans, commit, own, tests)
    except NotProved as error:
        sentences = [*map(str, error.args), "Nothing was written."]
        return Answer(False, sentences, {"plans": sorted(numbers), "wrote": []})
    page, _ = fresh(root)
    now = {**read_plans(root), **{p.number: parse_plan(p.path, texts[p.path]) for p in plans}}
    texts[root / README] = with_index(root / README, page, now.values())
    for path, text in texts.items():
        write_whole(path, text)
    files = [path.relative_to(root).as_posix() for path in texts]
    lines = [f"wrote {', '.join(files)}: commit them"]
    return Answer(True, lines, {"plans": sorted(numbers), "wrote": files, "commit": commit})
