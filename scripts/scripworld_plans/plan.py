"""Reads plan files: `plans/NN_name.md`, front matter, and the tests that prove the plan.

Owns the format that `docs/architecture/plans.md` describes; knows nothing of git or of running tests.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

FILE_NAME: Final = re.compile(r"(?P<number>\d{2,})_[a-z0-9_]+\.md")
TEST_NAME: Final = re.compile(r"[A-Za-z_]\w*(::[A-Za-z_]\w*)*(\[.+\])?")
COMMIT: Final = re.compile(r"[0-9a-f]{40}")
STATUSES: Final = ("draft", "active", "complete")
PRIORITIES: Final = ("high", "medium", "low")
KEYS: Final = ("number", "title", "status", "priority", "blocked_by", "blocks")
EVIDENCE_KEYS: Final = ("completed_by", "timestamp", "commit", "tests")
RUNS: Final = ("plan", "unit", "e2e_smoke", "doc_coupling")
SECTIONS: Final = (
    "Gap",
    "Design",
    "Changes",
    "Required tests",
    "Existing tests",
    "Documentation",
    "Verification",
)
HEADER: Final = ("file", "test", "what it verifies")
SEPARATOR: Final = re.compile(r":?-+:?")
SPAN: Final = re.compile(r"`([^`]+)`")
FENCE: Final = re.compile(r"\s*(```|~~~)")


class MalformedPlan(Exception):
    """A file does not have the form that `docs/architecture/plans.md` describes."""

    def __init__(self, path: Path | str, line: int, expected: str) -> None:
        super().__init__(f"{path}:{line}: {expected}")


@dataclass(frozen=True)
class RequiredTest:
    """A file under the root and the name of a test as pytest prints it; no name: the whole file."""

    file: str
    name: str
    line: int = field(compare=False)

    def __str__(self) -> str:
        return f"{self.file}::{self.name}" if self.name else self.file


@dataclass(frozen=True)
class Passed:
    """What one run came to: so many passed, and nothing else happened."""

    passed: int
    seconds: float


@dataclass(frozen=True)
class Evidence:
    """What complete_plan.py wrote when it had seen everything pass."""

    completed_by: str
    timestamp: str
    commit: str
    tests: Mapping[str, Passed]


@dataclass(frozen=True)
class Plan:
    """A plan that is well-formed; whether its tests exist is for pytest to say."""

    path: Path
    number: int
    title: str
    status: str
    priority: str
    blocked_by: tuple[int, ...]
    blocks: tuple[int, ...]
    evidence: Evidence | None
    required_tests: tuple[RequiredTest, ...]
    existing_tests: tuple[RequiredTest, ...]
    sections: tuple[str, ...]

    @property
    def tests(self) -> tuple[RequiredTest, ...]:
        """The new tests and those that were there before, in the order of the file."""
        return (*self.required_tests, *self.existing_tests)


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


def read_plans(root: Path) -> dict[int, Plan]:
    """Reads every plan of the repository, by number."""
    return {number: read_plan(path) for number, path in find_plans(root).items()}


def read_plan(path: Path) -> Plan:
    """Reads a plan from a path that `find_plans` returned."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise MalformedPlan(path, 1, f"expected UTF-8; {error.reason}") from error
    return parse_plan(path, text)


def parse_plan(path: Path, text: str) -> Plan:
    """Reads a plan from its text; the path names it in errors and gives its number."""
    lines = text.splitlines()
    front = _FrontMatter(path, lines)
    number = int(path.name.split("_")[0])
    if front.take("number", int) != number:
        raise MalformedPlan(path, front.line("number"), f"expected `number: {number}`")
    title = front.take("title", str)
    status, priority = front.choice("status", STATUSES), front.choice("priority", PRIORITIES)
    blocked_by, blocks = front.numbers("blocked_by", number), front.numbers("blocks", number)
    evidence = front.evidence()
    heading = next((i for i, line in enumerate(lines, 1) if line.startswith("# ")), len(lines))
    if not title or lines[heading - 1] != f"# {title}":
        raise MalformedPlan(path, heading, f"expected the heading `# {title or 'TITLE'}`")
    sections = _sections(path, lines)
    required = _read_table(path, lines, sections)
    existing = _read_existing(path, lines, sections)
    return Plan(
        *(path, number, title, status, priority, blocked_by, blocks, evidence),
        *(required, existing, tuple(sections)),
    )


class _FrontMatter:
    """The keys between the two `---`, each with its line."""

    def __init__(self, path: Path, lines: Sequence[str]) -> None:
        self._path = path
        if not lines or lines[0] != "---":
            raise MalformedPlan(path, 1, "expected `---`, which opens the front matter")
        if "---" not in lines[1:]:
            raise MalformedPlan(path, len(lines), "expected `---`, which closes the front matter")
        text = "\n".join(lines[1 : lines.index("---", 1)])
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            self._fields = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 2 if error.problem_mark else 2
            raise MalformedPlan(path, line, f"expected YAML; {error.problem}") from error
        if not isinstance(node, yaml.MappingNode):
            raise MalformedPlan(path, 2, f"expected the keys {', '.join(KEYS)}")
        self._lines: dict[str, int] = {}
        for key, _ in node.value:
            self._add(str(key.value), key.start_mark.line + 2)
        for name in KEYS:
            if name not in self._lines:
                raise MalformedPlan(path, 2, f"expected a `{name}`")

    def _add(self, name: str, line: int) -> None:
        if name in self._lines:
            raise self.fault(line, f"expected `{name}` once; line {self._lines[name]} has it")
        if name not in (*KEYS, "evidence"):
            near = difflib.get_close_matches(name, (*KEYS, "evidence"), n=1)
            hint = f"; did you mean `{near[0]}`?" if near else f", one of {', '.join(KEYS)}"
            raise self.fault(line, f"expected a known key, not `{name}`{hint}")
        self._lines[name] = line

    def fault(self, line: int, expected: str) -> MalformedPlan:
        return MalformedPlan(self._path, line, expected)

    def line(self, name: str) -> int:
        return self._lines[name]

    def take(self, name: str, kind: type[Any]) -> Any:
        value = self._fields[name]
        if type(value) is not kind:
            words = {int: "a number", str: "a text", list: "a list such as [3, 7]"}[kind]
            raise self.fault(self.line(name), f"expected `{name}` to be {words}")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        value = self._fields[name]
        if value not in choices:
            raise self.fault(
                self.line(name), f"expected a `{name}`, one of {', '.join(choices)}, not {value!r}"
            )
        return str(value)

    def numbers(self, name: str, own: int) -> tuple[int, ...]:
        values = self.take(name, list)
        if any(type(value) is not int or value == own for value in values):
            raise self.fault(self.line(name), f"expected `{name}` to hold numbers of other plans")
        if len(set(values)) != len(values):
            raise self.fault(self.line(name), f"expected each number once in `{name}`")
        return tuple(values)

    def evidence(self) -> Evidence | None:
        if "evidence" not in self._lines:
            return None
        line = self.line("evidence")
        value = self._mapping(line, "evidence", self._fields["evidence"], EVIDENCE_KEYS)
        for name in EVIDENCE_KEYS[:3]:
            if not isinstance(value[name], str):
                raise self.fault(line, f"expected the evidence's `{name}` to be a quoted text")
        if not COMMIT.fullmatch(value["commit"]):
            raise self.fault(line, "expected the evidence's `commit` to be 40 hex digits")
        tests = self._mapping(line, "evidence's `tests`", value["tests"], RUNS)
        return Evidence(
            value["completed_by"],
            value["timestamp"],
            value["commit"],
            {name: self._passed(line, name, tests[name]) for name in RUNS},
        )

    def _passed(self, line: int, name: str, value: object) -> Passed:
        run = self._mapping(line, f"evidence's `{name}`", value, ("passed", "seconds"))
        passed, seconds = run["passed"], run["seconds"]
        if type(passed) is not int or passed < 0 or type(seconds) not in (int, float):
            raise self.fault(
                line, f"expected `passed` to be a count and `seconds` a number in `{name}`"
            )
        if not 0 <= seconds < float("inf"):
            raise self.fault(line, f"expected `seconds` to be a duration in `{name}`")
        return Passed(passed, seconds)

    def _mapping(
        self, line: int, what: str, value: object, keys: Sequence[str]
    ) -> Mapping[str, Any]:
        if not isinstance(value, dict) or set(value) != set(keys):
            raise self.fault(line, f"expected the {what} to hold exactly {', '.join(keys)}")
        return value


def _sections(path: Path, lines: Sequence[str]) -> dict[str, range]:
    """The lines of each `## section`, as indexes; what stands in a fence is no heading."""
    begins: list[tuple[int, str]] = []
    fenced = False
    for index, line in enumerate(lines):
        fenced ^= bool(FENCE.match(line))
        if not fenced and re.match(r"##? ", line):
            begins.append((index, line.removeprefix("## ").strip()))
    found: dict[str, range] = {}
    ends = [index for index, _ in begins[1:]] + [len(lines)]
    for (index, name), end in zip(begins, ends, strict=True):
        if name in found:
            raise MalformedPlan(path, index + 1, f"expected one section `## {name}`")
        found[name] = range(index + 1, end)
    return found


def _read_table(
    path: Path, lines: Sequence[str], sections: Mapping[str, range]
) -> tuple[RequiredTest, ...]:
    """The rows of every table in the section; each table begins with its header and separator."""
    if "Required tests" not in sections:
        raise MalformedPlan(path, len(lines), "expected a section `## Required tests`")
    section = sections["Required tests"]
    tests: list[RequiredTest] = []
    row_of_table = 0
    for number in section:
        line = lines[number]
        if not line.lstrip().startswith("|"):
            row_of_table = 0
            continue
        row_of_table += 1
        cells = _cells(line)
        if row_of_table == 1:
            if cells != HEADER:
                expected = f"expected the header `| {' | '.join(HEADER)} |`"
                raise MalformedPlan(path, number + 1, expected)
        elif row_of_table == 2:
            if len(cells) != len(HEADER) or not all(map(SEPARATOR.fullmatch, cells)):
                raise MalformedPlan(path, number + 1, "expected the separator `|---|---|---|`")
        else:
            _add_test(path, tests, _required_test(path, number + 1, cells))
    if not tests:
        expected = "expected a table with a row under `## Required tests`"
        raise MalformedPlan(path, section.start, expected)
    return tuple(tests)


def _read_existing(
    path: Path, lines: Sequence[str], sections: Mapping[str, range]
) -> tuple[RequiredTest, ...]:
    """The test files and tests that the prose of the section names between backticks."""
    tests: list[RequiredTest] = []
    for number in sections.get("Existing tests", ()):
        for span in SPAN.findall(lines[number]):
            file, _, name = span.partition("::")
            if span.endswith(".py") or name:
                _add_test(path, tests, _test_at(path, number + 1, file, name))
    return tuple(tests)


def _add_test(path: Path, tests: list[RequiredTest], test: RequiredTest) -> None:
    if test in tests:
        line = tests[tests.index(test)].line
        raise MalformedPlan(path, test.line, f"expected {test} once; line {line} has it")
    tests.append(test)


def _cells(line: str) -> tuple[str, ...]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner))


def _required_test(path: Path, line: int, cells: Sequence[str]) -> RequiredTest:
    if len(cells) != len(HEADER):
        raise MalformedPlan(path, line, f"expected {len(HEADER)} cells; there are {len(cells)}")
    file, name, purpose = (cell.strip("`") for cell in cells)
    if not name:
        raise MalformedPlan(path, line, "expected the name of a test")
    if not purpose:
        raise MalformedPlan(path, line, "expected words about what the test verifies")
    return _test_at(path, line, file, name)


def _test_at(path: Path, line: int, file: str, name: str) -> RequiredTest:
    pure = PurePosixPath(file)
    if pure.suffix != ".py" or pure.is_absolute() or ".." in pure.parts:
        raise MalformedPlan(path, line, f"expected a test file such as tests/test_x.py, not {file}")
    if name and not TEST_NAME.fullmatch(name):
        raise MalformedPlan(
            path, line, f"expected a test such as test_y or TestX::test_y, not {name}"
        )
    return RequiredTest(file=str(pure), name=name, line=line)
