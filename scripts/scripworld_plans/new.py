"""Makes a plan from a title: the next number, the front matter and every section.

Exit codes: 0 the plan is there and in the index; 2 wrong usage, or a plan is malformed.
"""

import argparse
import re
import sys
import unicodedata
from pathlib import Path
from typing import Final

import yaml

from .answer import Answer, Unusable, write_whole
from .plan import PRIORITIES, parse_plan, read_plans
from .sync import README, fresh, with_index

NAME_CHARS_MAX: Final = 60
TEMPLATE: Final = """\
---
{front}---

# {title}

Why it is wanted, and for whom.

## Gap

What cannot be done today, or not be trusted.

## Design

How it is made: which file owns what, and what was decided against.

## Changes

- What holds when this is done, and what is left out on purpose.

## Required tests

| file | test | what it verifies |
|---|---|---|
| `tests/test_x.py` | `test_y` | replace this row: a sentence about behaviour |

## Existing tests

Those that must go on passing, each between backticks: a file, or a file and a test.

## Documentation

The pages that say so to a reader.

## Verification

What was measured and seen, with the commands that show it again.
"""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("title", help="what a person can do when this is done")
    parser.add_argument("--priority", choices=PRIORITIES, default="medium", help="default: medium")


def command(options: argparse.Namespace, root: Path) -> Answer:
    title = " ".join(options.title.split())
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = "_".join(re.findall(r"[a-z0-9]+", plain))[:NAME_CHARS_MAX].rstrip("_")
    if not name or not title.isprintable():
        raise Unusable("A title needs letters: say what a person can do when the plan is done.")
    page, _ = fresh(root)
    plans = read_plans(root)
    number = max(plans, default=0) + 1
    path = root / "plans" / f"{number:02}_{name}.md"
    fields = {
        "number": number,
        "title": title,
        "status": "draft",
        "priority": options.priority,
        "blocked_by": [],
        "blocks": [],
    }
    front = yaml.safe_dump(fields, sort_keys=False, width=sys.maxsize, allow_unicode=True)
    text = TEMPLATE.format(front=front, title=title)
    plan = parse_plan(path, text)
    write_whole(path, text)
    write_whole(root / README, with_index(root / README, page, [*plans.values(), plan]))
    file = path.relative_to(root).as_posix()
    lines = [f"wrote {file}: name its tests in the table, then make it active"]
    return Answer(True, lines, {"number": number, "file": file})
