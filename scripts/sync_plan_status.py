#!/usr/bin/env python3
"""Makes the index in plans/README.md from the plans, or says that it is stale.

Exit codes: 0 the index is right (with --fix: now); 1 it is stale; 2 wrong usage, a malformed plan,
or no place for the index.
"""

import argparse
import difflib
import sys
from pathlib import Path

from plan_answer import Answer, Unusable, answer, parser_of, write_whole
from plan_index import README, with_index

from plans import read_plans


def fresh(root: Path) -> tuple[str, str]:
    """The page as it is, and as it should be."""
    path = root / README
    if not path.is_file():
        raise Unusable(f"There is no {README}: write it, with the markers of the index.")
    page = path.read_text(encoding="utf-8")
    return page, with_index(path, page, read_plans(root).values())


def command(options: argparse.Namespace, root: Path) -> Answer:
    page, right = fresh(root)
    if page == right:
        return Answer(True, [f"The index in {README} is right."], {"stale": False})
    if options.fix:
        write_whole(root / README, right)
        return Answer(True, [f"wrote {README}"], {"stale": False, "wrote": README})
    changes = difflib.unified_diff(page.splitlines(), right.splitlines(), lineterm="", n=0)
    told = [f"  {line}" for line in list(changes)[2:] if not line.startswith("@@")]
    lines = [f"The index in {README} is stale: run scripts/sync_plan_status.py --fix", *told]
    return Answer(False, lines, {"stale": True})


def main() -> int:
    parser = parser_of(__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--check", action="store_true", help="write nothing; fail if it is stale")
    which.add_argument("--fix", action="store_true", help="write the index anew")
    return answer(parser, command)


if __name__ == "__main__":
    sys.exit(main())
