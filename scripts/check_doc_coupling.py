#!/usr/bin/env python3
"""Says which docs must change, or be confirmed, because of what changed since a commit.

The couplings stand in scripts/doc_coupling.yaml. A doc is confirmed by a trailer of the commit
that changes the sources, or of a later one: `Docs-Confirmed: docs/a_page.md`. Without --strict a doc
that has to be looked at is only told. Exit codes: 0 fine; 1 a coupling names a file that is not
there, or, with --strict, a doc has to be looked at; 2 wrong usage, malformed couplings, no git.
"""

import argparse
import sys
from pathlib import Path

import plan_git
from doc_couplings import dangling, read_couplings, unkept
from plan_answer import Answer, Unusable, answer, parser_of


def command(options: argparse.Namespace, root: Path) -> Answer:
    couplings = read_couplings(root)
    plan_git.head(root)
    base = options.base or plan_git.usual_base(root)
    missing = dangling(root, couplings)
    behind = unkept(root, couplings, base)
    if behind is None:
        raise Unusable(f"git knows no commit {base}: name one with --base, such as main or HEAD~1.")
    lines = [*missing, *map(str, behind)]
    if options.suggest:
        docs = sorted({each.doc for each in behind})
        lines = docs or ["No doc has to be looked at."]
    elif not lines:
        lines = [f"{len(couplings)} couplings are kept since {base[:12]}."]
    fields = {
        "base": base,
        "couplings": len(couplings),
        "missing": missing,
        "unkept": [vars(each) for each in behind],
    }
    return Answer(not missing and not (options.strict and behind), lines, fields)


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--base",
        metavar="COMMIT",
        help="compare with this commit (default: where the branch left main; on main, HEAD^)",
    )
    parser.add_argument("--suggest", action="store_true", help="only list the docs to look at")
    parser.add_argument("--strict", action="store_true", help="fail where a doc is to be looked at")
    return answer(parser, command)


if __name__ == "__main__":
    sys.exit(main())
