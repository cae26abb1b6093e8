"""Compares the evidence of every complete plan with the commit that it names.

The commit must be there, be an ancestor of what is checked out, and hold the plan with the same
title and tests; the counts must fit the plan and the couplings as they were. Between that commit
and the one that brought the evidence nothing but plans may have changed, and since then the
evidence must not. That the tests pass is for `scripworld-plans tests --all --suite` to say. Exit codes: 0
all evidence is sound; 1 some is missing, forged, stale or does not match; 2 wrong usage, a
malformed plan, no git.
"""

import argparse
import datetime
import difflib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from . import git
from .answer import Answer
from .docs import FILE as COUPLINGS
from .docs import matches, parse_couplings
from .plan import FILE_NAME, Evidence, MalformedPlan, Plan, RequiredTest, parse_plan, read_plans

COMPLETED_BY: Final = "scripts/complete_plan.py"
STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"
DAY_S: Final = 86_400  # clocks of two machines differ by less
AGAIN: Final = "run scripts/complete_plan.py --plan {}"


def faults(root: Path, plan: Plan, now_s: float) -> list[str]:
    """Everything about a plan's evidence that can't be so, as sentences; none where it is sound."""
    again = AGAIN.format(plan.number)
    if plan.evidence is None:
        if plan.status != "complete":
            return []
        return [f"it is complete and has no evidence: {again}, which alone writes both"]
    if plan.status != "complete":
        return [f"it has evidence and is {plan.status}: take the evidence out, or {again}"]
    return list(_of_evidence(root, plan, plan.evidence, now_s))


def _of_evidence(root: Path, plan: Plan, evidence: Evidence, now_s: float) -> Iterator[str]:
    again = AGAIN.format(plan.number)
    if evidence.completed_by != COMPLETED_BY:
        yield f"it was completed by {evidence.completed_by!r}, not by {COMPLETED_BY}: {again}"
    yield from _of_counts(plan, evidence)
    commit = evidence.commit
    committed_s = git.commit_time_s(root, commit)
    lost = "fetch the history (git fetch --unshallow)" if git.is_shallow(root) else again
    if committed_s is None:
        yield f"commit {commit[:12]} is not in this repository: {lost}"
        return
    yield from _of_time(evidence, committed_s, now_s)
    if not git.is_ancestor(root, commit):
        yield f"commit {commit[:12]} is no ancestor of what is checked out: {lost}"
    yield from _of_block(root, plan, evidence)
    yield from _of_plan_then(root, plan, commit)
    yield from _of_tests_then(root, plan, commit)
    yield from _of_couplings_then(root, plan, evidence)


def _of_block(root: Path, plan: Plan, evidence: Evidence) -> Iterator[str]:
    """What was proved is what the evidence was written over, and it stays as it was written."""
    again = AGAIN.format(plan.number)
    commit = evidence.commit
    brought = git.brought(root, plan.path.relative_to(root).as_posix(), commit)
    words = f"commit {brought[:12]}" if brought else "the work tree"
    changed = git.changed(root, commit, brought)
    others = sorted(file for file in changed if not matches(file, "plans/*.md"))
    if others:
        yield (
            f"{others[0]} changed between commit {commit[:12]} and {words}, which brought the "
            f"evidence, so what was proved is not what is there: {again}"
        )
    if brought:
        then = _plan_at(root, plan.number, brought)
        if isinstance(then, str) or then.evidence != evidence:
            file = plan.path.name
            yield (
                f"the evidence is not as commit {brought[:12]} wrote it: put that back "
                f"(git show {brought[:12]} -- plans/{file}), or {again}"
            )


def _of_counts(plan: Plan, evidence: Evidence) -> Iterator[str]:
    again = AGAIN.format(plan.number)
    claimed, named = evidence.tests["plan"].passed, len(plan.tests)
    if claimed != named:
        yield f"it claims {claimed} passed tests of its own and names {named}: {again}"
    suite = evidence.tests["unit"].passed + evidence.tests["e2e_smoke"].passed
    if suite < len(plan.required_tests):
        yield f"a suite of {suite} can't hold its {len(plan.required_tests)} tests: {again}"
    for name, run in evidence.tests.items():
        if run.passed and not run.seconds:
            yield f"{name} claims {run.passed} passed in no time: {again}"
    if not evidence.tests["e2e_smoke"].passed:
        yield f"e2e_smoke claims no passed test: {again}"


def _of_time(evidence: Evidence, committed_s: int, now_s: float) -> Iterator[str]:
    try:
        stamp = datetime.datetime.strptime(evidence.timestamp, STAMP)
    except ValueError:
        yield f"the timestamp {evidence.timestamp!r} is none such as 2030-01-31T12:00:00Z"
        return
    seen_s = stamp.replace(tzinfo=datetime.UTC).timestamp()
    if seen_s < committed_s - DAY_S:
        yield f"it was seen at {evidence.timestamp}, before its commit was made"
    if seen_s > now_s + DAY_S:
        yield f"it was seen at {evidence.timestamp}, which is yet to come"


def _of_plan_then(root: Path, plan: Plan, commit: str) -> Iterator[str]:
    again = AGAIN.format(plan.number)
    then = _plan_at(root, plan.number, commit)
    if isinstance(then, str):
        yield f"{then}: {again}"
        return
    if then.status == "draft":
        yield f"at commit {commit[:12]} the plan was a draft: {again}"
    if then.title != plan.title:
        yield f"at commit {commit[:12]} its title was {then.title!r}: {again}"
    gone = [test for test in then.tests if test not in plan.tests]
    new = [test for test in plan.tests if test not in then.tests]
    for test in new:
        near = difflib.get_close_matches(str(test), map(str, gone), n=1)
        renamed = f" (it named {near[0]})" if near else ""
        yield f"at commit {commit[:12]} the plan did not require {test}{renamed}: {again}"
    if gone and not new:
        yield f"at commit {commit[:12]} the plan required {gone[0]} as well: {again}"


def _plan_at(root: Path, number: int, commit: str) -> Plan | str:
    """The plan as it was, or what is wrong with it."""
    for name in git.files_at(root, commit, "plans"):
        match = FILE_NAME.fullmatch(Path(name).name)
        if match and int(match["number"]) == number:
            try:
                return parse_plan(Path(name), git.text_at(root, commit, name) or "")
            except MalformedPlan as error:
                return f"at commit {commit[:12]} the plan was malformed ({error})"
    return f"at commit {commit[:12]} there was no plan {number}"


def _of_tests_then(root: Path, plan: Plan, commit: str) -> Iterator[str]:
    again = AGAIN.format(plan.number)
    texts: dict[str, str | None] = {}
    for test in plan.tests:
        if test.file not in texts:
            texts[test.file] = git.text_at(root, commit, test.file)
        if not names(texts[test.file], test):
            words = f"at commit {commit[:12]} there was no {test}"
            yield f"{words} (its file must hold its name): {again}"


def names(text: str | None, test: RequiredTest) -> bool:
    """Whether a file, if it is one, holds the name of a test, or of the class that it is in."""
    name = re.split(r"::|\[", test.name)[0]
    return text is not None and re.search(rf"\b{name}\b", text) is not None


def _of_couplings_then(root: Path, plan: Plan, evidence: Evidence) -> Iterator[str]:
    again = AGAIN.format(plan.number)
    text = git.text_at(root, evidence.commit, COUPLINGS)
    try:
        couplings = parse_couplings(COUPLINGS, text) if text is not None else ()
    except MalformedPlan as error:
        yield f"at commit {evidence.commit[:12]} the couplings were malformed ({error}): {again}"
        return
    claimed = evidence.tests["doc_coupling"].passed
    if claimed != len(couplings):
        yield f"doc_coupling claims {claimed} passed, and there were {len(couplings)} then: {again}"


def options(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def command(options: argparse.Namespace, root: Path) -> Answer:
    git.head(root)
    plans = read_plans(root)
    now_s = time.time()
    wrong = {number: faults(root, plan, now_s) for number, plan in plans.items()}
    lines = [f"plan {number}: {fault}" for number, each in wrong.items() for fault in each]
    complete = sum(plan.status == "complete" for plan in plans.values())
    if not lines:
        lines = [f"The evidence of {complete} complete plans is sound."]
    faulty = [{"number": number, "faults": each} for number, each in wrong.items() if each]
    return Answer(not faulty, lines, {"complete": complete, "faulty": faulty})
