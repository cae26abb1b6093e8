"""Owns the command `scripworld-plans`: one name for the plan tools, each of which is a module here."""

import os
import sys
from collections.abc import Sequence
from typing import Final

from . import FAILED, FINE
from .answer import answer, refuse

TOOLS: Final = {
    "new": "makes a plan from a title",
    "tests": "runs the tests that plans name, and tells each that proves nothing",
    "complete": "runs everything that proves plans, and only then writes status and evidence",
    "evidence": "compares the evidence of complete plans with the commits that it names",
    "blockers": "checks who waits for whom",
    "sync": "makes the index of the plans, or says that it is stale",
    "docs": "says which docs must change, or be confirmed, with the code",
}
USAGE: Final = "\n".join(
    [
        "usage: scripworld-plans TOOL ...   (scripworld-plans TOOL --help tells the rest)",
        *(f"  {tool:<10}{words}" for tool, words in TOOLS.items()),
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool that the first argument names; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    tool = words[0] if words else ""
    try:
        if tool in ("-h", "--help"):
            print(USAGE)
            return FINE
        code = answer(tool, words[1:]) if tool in TOOLS else refuse(USAGE, "--json" in words)
        print(end="", flush=True)
    except OSError as error:  # Python flushes once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # a reader such as `head` has enough
            return FAILED
        return refuse(f"The answer can't be written: {error.strerror}.", as_json=False)
    return code


if __name__ == "__main__":
    sys.exit(main())
