"""Checks what plans say of each other: who waits for whom.

Every number must be a plan's, both sides must say the same, nothing may wait for itself in a
circle, and nothing is complete before what blocks it. Exit codes: 0 so it is; 1 it is not; 2 wrong
usage or a malformed plan.
"""

import argparse
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from .answer import Answer
from .plan import Plan, read_plans


def faults(plans: Mapping[int, Plan]) -> Iterator[str]:
    for plan in plans.values():
        for name, others in (("blocked_by", plan.blocked_by), ("blocks", plan.blocks)):
            for other in others:
                if other not in plans:
                    yield f"plan {plan.number}: `{name}` names plan {other}, which is not there"
        for other in plan.blocked_by:
            if other in plans and plan.number not in plans[other].blocks:
                yield f"plan {other}: add {plan.number} to `blocks`, for it blocks {plan.number}"
        for other in plan.blocks:
            if other in plans and plan.number not in plans[other].blocked_by:
                yield f"plan {other}: add {plan.number} to `blocked_by`, for it waits for {plan.number}"
        if plan.status == "complete" and (waiting := open_blockers(plan, plans)):
            yield f"plan {plan.number} is complete before plan {waiting[0]}, which blocks it"
    if circle := cycle(plans):
        words = " waits for ".join(map(str, circle))
        yield f"plan {words}: take one of them out of `blocked_by`"


def open_blockers(plan: Plan, plans: Mapping[int, Plan]) -> list[int]:
    """The plans that block this one and are not complete; one that is not there is not complete."""
    return [
        number
        for number in plan.blocked_by
        if number not in plans or plans[number].status != "complete"
    ]


def cycle(plans: Mapping[int, Plan]) -> list[int] | None:
    """A circle of plans that wait for each other, its first number again at the end."""
    try:
        TopologicalSorter({number: plan.blocked_by for number, plan in plans.items()}).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return None


def options(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def command(options: argparse.Namespace, root: Path) -> Answer:
    plans = read_plans(root)
    wrong = list(faults(plans))
    waiting = {
        number: others for number, plan in plans.items() if (others := open_blockers(plan, plans))
    }
    lines = wrong or [
        f"plan {number} waits for {', '.join(map(str, others))}"
        for number, others in waiting.items()
    ]
    fields = {"faults": wrong, "waiting": waiting}
    return Answer(not wrong, lines or ["No plan waits for another."], fields)
