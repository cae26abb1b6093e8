"""Reads plan files: `plans/NN_name.md`, front matter, and the tests that prove the plan.

Owns the format that `plans/README.md` describes; knows nothing of running tests.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

FILE_NAME = re.compile(r"(?P<number>\d{2,})_[a-z0-9_]+\.md")
TEST_NAME = re.compile(r"[A-Za-z_]\w*(::[A-Za-z_]\w*)*(\[.+\])?")
STATUSES = ("draft", "active", "done")
SECTION = "## Required tests"
HEADER = ("file", "test", "what it verifies")
SEPARATOR = re.compile(r":?-+:?")


class MalformedPlan(Exception):
    """A plan does not have the form that `plans/README.md` describes."""

    def __init__(self, path: Path, line: int, expected: str) -> None:
        super().__init__(f"{path}:{line}: {expected}")


@dataclass(frozen=True)
class RequiredTest:
    """One row of the table: a file under the root, and the name of a test as pytest prints it."""

    file: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}::{self.name}"


@dataclass(frozen=True)
class Plan:
    """A plan that is well-formed; whether its tests exist is for pytest to say."""

    number: int
    title: str
    status: str
    required_tests: tuple[RequiredTest, ...]


def find_plans(root: Path) -> dict[int, Path]:
    """Returns the paths of all plans by number, and refuses names that are no plan's."""
    found: dict[int, Path] = {}
    for path in sorted((root / "plans").glob("*.md")):
        if path.name == "README.md":
            continue
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MalformedPlan(path, 1, "expected a file name of the form NN_name.md")
        number = int(match["number"])
        if number in found:
            raise MalformedPlan(path, 1, f"expected one plan {number}; {found[number]} is another")
        found[number] = path
    return found


def read_plan(path: Path) -> Plan:
    """Reads a plan from a path that `find_plans` returned."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise MalformedPlan(path, 1, f"expected UTF-8; {error.reason}") from error
    lines = text.splitlines()
    title, status = _read_front_matter(path, lines)
    return Plan(
        number=int(path.name.split("_")[0]),
        title=title,
        status=status,
        required_tests=_read_table(path, lines),
    )


def _read_front_matter(path: Path, lines: list[str]) -> tuple[str, str]:
    if not lines or lines[0] != "---":
        raise MalformedPlan(path, 1, "expected `---`, which opens the front matter")
    if "---" not in lines[1:]:
        raise MalformedPlan(path, len(lines), "expected `---`, which closes the front matter")
    end = lines.index("---", 1)
    try:
        fields = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 2
        raise MalformedPlan(path, line, f"expected YAML; {error.problem}") from error
    if not isinstance(fields, dict):
        raise MalformedPlan(path, 2, "expected the keys `title` and `status`")
    title, status = fields.get("title"), fields.get("status")
    if not isinstance(title, str) or not title:
        raise MalformedPlan(path, 2, "expected a `title`")
    if not isinstance(status, str) or status not in STATUSES:
        raise MalformedPlan(path, 2, f"expected a `status`, one of {', '.join(STATUSES)}")
    return title, status


def _read_table(path: Path, lines: list[str]) -> tuple[RequiredTest, ...]:
    """The rows of every table in the section; each table begins with its header and separator."""
    if SECTION not in lines:
        raise MalformedPlan(path, len(lines), f"expected a section `{SECTION}`")
    start = lines.index(SECTION) + 1
    tests: dict[str, RequiredTest] = {}
    row_of_table = 0
    for number, line in enumerate(lines[start:], start + 1):
        if re.match(r"##? ", line):
            break
        if not line.lstrip().startswith("|"):
            row_of_table = 0
            continue
        row_of_table += 1
        cells = _cells(line)
        if row_of_table == 1:
            if cells != HEADER:
                raise MalformedPlan(path, number, f"expected the header `| {' | '.join(HEADER)} |`")
        elif row_of_table == 2:
            if len(cells) != len(HEADER) or not all(map(SEPARATOR.fullmatch, cells)):
                raise MalformedPlan(path, number, "expected the separator `|---|---|---|`")
        else:
            test = _required_test(path, number, cells)
            if str(test) in tests:
                raise MalformedPlan(
                    path, number, f"expected {test} once; line {tests[str(test)].line} has it"
                )
            tests[str(test)] = test
    if not tests:
        raise MalformedPlan(path, start, f"expected a table with a row under `{SECTION}`")
    return tuple(tests.values())


def _cells(line: str) -> tuple[str, ...]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner))


def _required_test(path: Path, line: int, cells: tuple[str, ...]) -> RequiredTest:
    if len(cells) != len(HEADER):
        raise MalformedPlan(path, line, f"expected {len(HEADER)} cells; there are {len(cells)}")
    file, name, purpose = (cell.strip("`") for cell in cells)
    pure = PurePosixPath(file)
    if pure.suffix != ".py" or pure.is_absolute() or ".." in pure.parts:
        raise MalformedPlan(path, line, f"expected a test file such as tests/test_x.py, not {file}")
    if not TEST_NAME.fullmatch(name):
        raise MalformedPlan(
            path, line, f"expected a test such as test_y or TestX::test_y, not {name}"
        )
    if not purpose:
        raise MalformedPlan(path, line, "expected words about what the test verifies")
    return RequiredTest(file=str(pure), name=name, line=line)
