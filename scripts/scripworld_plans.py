#!/usr/bin/env python3
"""Owns the command `scripworld-plans`: one name for the plan tools, each of which is a script here."""

import os
import sys
from pathlib import Path
from typing import Final

TOOLS: Final = {
    "new": "new_plan.py",
    "tests": "check_plan_tests.py",
    "complete": "complete_plan.py",
    "evidence": "check_plan_evidence.py",
    "blockers": "check_plan_blockers.py",
    "sync": "sync_plan_status.py",
    "docs": "check_doc_coupling.py",
}
USAGE: Final = "usage: scripworld-plans {" + ",".join(TOOLS) + "} ... (each has --help)"


def main() -> int:
    tool = sys.argv[1] if len(sys.argv) > 1 else ""
    if tool in ("-h", "--help"):
        print(USAGE)
        return 0
    if tool not in TOOLS:
        print(USAGE, file=sys.stderr)
        return 2
    script = Path(__file__).resolve().parent / TOOLS[tool]
    if not script.is_file():
        print(f"{script} is not there: run scripworld-plans from a checkout", file=sys.stderr)
        return 2
    os.execv(sys.executable, [sys.executable, str(script), *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(main())
