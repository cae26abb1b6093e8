"""Runs the tests that a plan names, new and existing, and fails on each that proves nothing.

A test proves nothing when it is missing, failing, skipped, deselected, expected to fail, or asserts
nothing. With --tdd nothing is run: the answer is what there is still to write. A draft is only
collected. Exit codes: 0 everything passed (with --tdd: the list could be made); 1 something did
not; 2 wrong usage, a malformed plan, or a pytest that can't start.
"""

import argparse
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from . import pytest_run
from .answer import Answer, Unusable
from .plan import STATUSES, Plan, find_plans, read_plan
from .pytest_run import Seen, Trouble, add_workers


def chosen_plans(root: Path, numbers: Sequence[int] | None) -> list[Plan]:
    """The plans of these numbers, or all of them."""
    paths = find_plans(root)
    if not paths:
        raise Unusable(f"There is no plan in {root / 'plans'}: make one with scripts/new_plan.py.")
    for number in numbers or ():
        if number not in paths:
            known = ", ".join(map(str, paths))
            raise Unusable(f"There is no plan {number}; there is {known}.")
    chosen = paths if numbers is None else {number: paths[number] for number in numbers}
    return [read_plan(path) for path in chosen.values()]


@dataclass(frozen=True)
class Checked:
    """What became of a plan's tests; those of a plan that was not run were only collected."""

    plan: Plan
    ran: bool
    troubles: tuple[Trouble, ...]

    @property
    def ok(self) -> bool:
        return not (self.ran and self.troubles)

    def lines(self) -> list[str]:
        plan, wrong = self.plan, len(self.troubles)
        if self.ran:
            words = f"{len(plan.tests) - wrong} of {len(plan.tests)} required tests passed"
        else:
            words = f"{wrong} of {len(plan.tests)} tests to write"
        if not self.ok and plan.status == "complete":
            words += "; it is complete and no longer passes"
        return [f"plan {plan.number}: {words}", *(f"  {trouble}" for trouble in self.troubles)]

    def fields(self) -> dict[str, object]:
        return {
            "number": self.plan.number,
            "status": self.plan.status,
            "ran": self.ran,
            "tests": len(self.plan.tests),
            "troubles": [asdict(trouble) for trouble in self.troubles],
        }


def judged(plan: Plan, seen: Seen, ran: bool) -> Checked:
    """What a run of pytest says of a plan; where it was not to run, only what collecting says."""
    tell = seen.trouble if ran else seen.absence
    found = tuple(trouble for test in plan.tests if (trouble := tell(test)) is not None)
    return Checked(plan, ran, found)


def check(
    root: Path, plans: Sequence[Plan], idle: Container[str], workers: str | None
) -> list[Checked]:
    """Runs the tests of the plans in one run of pytest, and only collects those of an idle status."""
    running = [test for plan in plans if plan.status not in idle for test in plan.tests]
    resting = [test for plan in plans if plan.status in idle for test in plan.tests]
    ran = pytest_run.run(root, running, workers)
    collected = pytest_run.collect(root, resting)
    return [
        judged(plan, collected, False) if plan.status in idle else judged(plan, ran, True)
        for plan in plans
    ]


def options(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--plan", type=int, metavar="N", help="the plan with this number")
    which.add_argument("--all", action="store_true", help="every plan, in one run of pytest")
    parser.add_argument(
        "--suite",
        action="store_true",
        help="judge by one run of the whole suite, all of which must pass",
    )
    parser.add_argument("--tdd", action="store_true", help="only list the tests still to write")
    add_workers(parser)


def command(options: argparse.Namespace, root: Path) -> Answer:
    plans = chosen_plans(root, None if options.all else [options.plan])
    idle = STATUSES if options.tdd else ("draft",) if options.all else ()
    failures: list[str] = []
    if options.suite and not options.tdd:
        tests = [test for plan in plans for test in plan.tests]
        seen = pytest_run.run_among_all(root, tests, options.workers)
        checked = [judged(plan, seen, plan.status not in idle) for plan in plans]
        failures = seen.failures()
    else:
        checked = check(root, plans, idle, options.workers)
    lines = [line for each in checked for line in each.lines()]
    lines += [f"the suite: {failure}" for failure in failures]
    fields = {"plans": [each.fields() for each in checked], "suite": failures}
    return Answer(not failures and all(each.ok for each in checked), lines, fields)
