#!/usr/bin/env python3
"""Compares the evidence of every complete plan with the commit that it names.

The commit must be there, be an ancestor of what is checked out, and hold the plan with the same
tests; the counts must fit the plan and the couplings as they were. Exit codes: 0 all evidence is
sound; 1 some is missing, forged, stale or does not match; 2 wrong usage, a malformed plan, no git.
"""

import argparse
import sys
import time
from pathlib import Path

import plan_git
from plan_answer import Answer, answer, parser_of
from plan_evidence import faults

from plans import read_plans


def command(options: argparse.Namespace, root: Path) -> Answer:
    plan_git.head(root)
    plans = read_plans(root)
    now_s = time.time()
    wrong = {number: faults(root, plan, now_s) for number, plan in plans.items()}
    lines = [f"plan {number}: {fault}" for number, each in wrong.items() for fault in each]
    complete = sum(plan.status == "complete" for plan in plans.values())
    if not lines:
        lines = [f"The evidence of {complete} complete plans is sound."]
    faulty = [{"number": number, "faults": each} for number, each in wrong.items() if each]
    return Answer(not faulty, lines, {"complete": complete, "faulty": faulty})


def main() -> int:
    return answer(parser_of(__doc__), command)


if __name__ == "__main__":
    sys.exit(main())
