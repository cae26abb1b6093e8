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

from .answer import Unusable

FILE_NAME: Final = re.compile(r"(?P<number>[0-9]{2,6})_[a-z0-9_]+\.md")
NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,8}")
SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
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
UNMARKED: Final = re.compile(r"(?<![\w.-])tests/|\.py\b")
FENCE: Final = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})")
COMMENT: Final = re.compile(r"\s*<!--")
COMMENT_END: Final = re.compile("-->")
CONFLICT: Final = re.compile(r"<{7} |={7}$|>{7} ")
NO_TEXT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
"""What an editor hides; some programs end a line at it, and some don't."""
WITHOUT: Final = {
    "\r": "a carriage return: save it with Unix line ends",
    "\ufeff": "a byte order mark: save it as UTF-8 without one",
}


class MalformedPlan(Unusable):
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
    for path in sorted((root / "plans").iterdir()):
        if path.suffix != ".md" or path.name == "README.md":
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
    return parse_plan(path, read_text(path))


def read_text(path: Path) -> str:
    """The text of a file; refuses what no editor shows, for a tool would write it back otherwise."""
    if not path.is_file():
        raise MalformedPlan(path, 1, "expected a file that is there")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MalformedPlan(path, line, f"expected UTF-8; {error.reason}") from error
    if found := NO_TEXT.search(text):
        what = WITHOUT.get(found[0], f"the character U+{ord(found[0]):04X}: take it out")
        line = text.count("\n", 0, found.start()) + 1
        raise MalformedPlan(path, line, f"expected a text without {what}")
    return text


def parse_plan(path: Path, text: str) -> Plan:
    """Reads a plan from its text; the path names it in errors and gives its number."""
    lines = text.removesuffix("\n").split("\n")
    for line, words in enumerate(lines, 1):
        if CONFLICT.match(words):
            raise MalformedPlan(path, line, f"expected a merged text, not `{words[:7]}`")
    front = _FrontMatter(path, lines)
    number = int(path.name.split("_")[0])
    if front.text("number") != str(number):
        raise front.fault("number", f"expected `number: {number}`, in plain digits")
    title = front.text("title")
    if COMMENT.search(title) or COMMENT_END.search(title):
        raise front.fault("title", "expected a title without `<!--` and `-->`")
    status, priority = front.choice("status", STATUSES), front.choice("priority", PRIORITIES)
    blocked_by, blocks = front.numbers("blocked_by", number), front.numbers("blocks", number)
    evidence = front.evidence()
    shown = _shown(path, lines, front.end)
    headings = [line for line, words in enumerate(shown, 1) if words.startswith("# ")]
    heading = headings[0] if headings else len(lines)
    if not title or shown[heading - 1] != f"# {title}":
        raise MalformedPlan(path, heading, f"expected the heading `# {title or 'TITLE'}`")
    if headings[1:]:
        raise MalformedPlan(path, headings[1], f"expected one heading; line {heading} has it")
    sections = _sections(path, shown)
    required = _read_table(path, shown, sections)
    existing = _read_existing(path, shown, sections)
    return Plan(
        *(path, number, title, status, priority, blocked_by, blocks, evidence),
        *(required, existing, tuple(sections)),
    )


class _FrontMatter:
    """The keys between the two `---`, each with its line; every value is the text that stands there."""

    def __init__(self, path: Path, lines: Sequence[str]) -> None:
        self._path = path
        if not lines or lines[0] != "---":
            raise MalformedPlan(path, 1, "expected `---`, which opens the front matter")
        if "---" not in lines[1:]:
            raise MalformedPlan(path, len(lines), "expected `---`, which closes the front matter")
        self.end = lines.index("---", 1)
        text = "\n".join(lines[1 : self.end])
        try:
            node = yaml.compose(text, Loader=yaml.BaseLoader)
            self._fields = yaml.load(text, Loader=yaml.BaseLoader)
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            words = getattr(error, "problem", None) or "it is nested too deep, or is no text"
            raise MalformedPlan(
                path, mark.line + 2 if mark else 2, f"expected YAML; {words}"
            ) from error
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
            words = f"expected `{name}` once; line {self._lines[name]} has it"
            raise MalformedPlan(self._path, line, words)
        if name not in (*KEYS, "evidence"):
            words = f"expected a known key, not `{name}`{_nearest(name, (*KEYS, 'evidence'))}"
            raise MalformedPlan(self._path, line, words)
        self._lines[name] = line

    def fault(self, name: str, expected: str) -> MalformedPlan:
        return MalformedPlan(self._path, self._lines[name], expected)

    def text(self, name: str) -> str:
        value = self._fields[name]
        if not isinstance(value, str):
            raise self.fault(name, f"expected `{name}` to be a text")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        value = self.text(name)
        if value not in choices:
            words = f"expected a `{name}`, one of {', '.join(choices)}, not {value!r}"
            raise self.fault(name, words)
        return value

    def numbers(self, name: str, own: int) -> tuple[int, ...]:
        values = self._fields[name]
        if not isinstance(values, list):
            raise self.fault(name, f"expected `{name}` to be a list such as [3, 7]")
        if not all(_is(NUMBER, value) and value != str(own) for value in values):
            raise self.fault(name, f"expected `{name}` to hold numbers of other plans")
        if len(set(values)) != len(values):
            raise self.fault(name, f"expected each number once in `{name}`")
        return tuple(map(int, values))

    def evidence(self) -> Evidence | None:
        if "evidence" not in self._lines:
            return None
        value = self._mapping("evidence", self._fields["evidence"], EVIDENCE_KEYS)
        for name in EVIDENCE_KEYS[:3]:
            if not isinstance(value[name], str):
                raise self.fault("evidence", f"expected the evidence's `{name}` to be a text")
        if not COMMIT.fullmatch(value["commit"]):
            raise self.fault("evidence", "expected the evidence's `commit` to be 40 hex digits")
        tests = self._mapping("evidence's `tests`", value["tests"], RUNS)
        return Evidence(
            value["completed_by"],
            value["timestamp"],
            value["commit"],
            {name: self._passed(name, tests[name]) for name in RUNS},
        )

    def _passed(self, name: str, value: object) -> Passed:
        run = self._mapping(f"evidence's `{name}`", value, ("passed", "seconds"))
        if not _is(NUMBER, run["passed"]):
            raise self.fault("evidence", f"expected `passed` to be a count in `{name}`")
        if not _is(SECONDS, run["seconds"]):
            raise self.fault("evidence", f"expected `seconds` to be a duration in `{name}`")
        return Passed(int(run["passed"]), float(run["seconds"]))

    def _mapping(self, what: str, value: object, keys: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(value, dict) or set(value) != set(keys):
            words = f"expected the {what} to hold exactly {', '.join(keys)}"
            raise self.fault("evidence", words)
        return value


def _is(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean `{near[0]}`?" if near else f", one of {', '.join(known)}"


def _shown(path: Path, lines: Sequence[str], begin: int) -> list[str]:
    """The lines from the one after this index on; empty are those in a fence or a comment."""
    shown = [""] * (begin + 1)
    closes: re.Pattern[str] | None = None
    opened = 0
    for number, line in enumerate(lines[begin + 1 :], begin + 2):
        if closes is not None:
            shown.append("")
            closes = None if closes.search(line) else closes
        elif match := FENCE.match(line):
            shown.append(line)
            closes = re.compile(rf"^\s*{match[1][0]}{{{len(match[1])},}}\s*$")
            opened = number
        else:
            comment = COMMENT.match(line)
            shown.append("" if comment else line)
            closes = COMMENT_END if comment and not COMMENT_END.search(line) else None
            opened = number
    if closes is not None:
        raise MalformedPlan(path, opened, "expected an end of what begins here, a fence or comment")
    return shown


def _sections(path: Path, lines: Sequence[str]) -> dict[str, range]:
    """The lines of each `## section`, as indexes."""
    begins = [index for index, line in enumerate(lines) if line.startswith("## ")]
    found: dict[str, range] = {}
    for index, end in zip(begins, [*begins, len(lines)][1:], strict=True):
        name = lines[index].removeprefix("## ").strip()
        if name not in SECTIONS:
            near = _nearest(f"## {name}", [f"## {section}" for section in SECTIONS])
            words = f"expected a known section, not `## {name}`{near}"
            raise MalformedPlan(path, index + 1, words)
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
    tests: dict[RequiredTest, int] = {}
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
    tests: dict[RequiredTest, int] = {}
    for number in sections.get("Existing tests", ()):
        line = lines[number]
        for span in SPAN.findall(line):
            file, _, name = span.partition("::")
            if name or UNMARKED.search(f"{span}/"):
                _add_test(path, tests, _test_at(path, number + 1, file, name))
        if FENCE.match(line) or UNMARKED.search(SPAN.sub("", line)):
            words = "expected each file between backticks, such as `tests/test_x.py`"
            raise MalformedPlan(path, number + 1, words)
    return tuple(tests)


def _add_test(path: Path, tests: dict[RequiredTest, int], test: RequiredTest) -> None:
    if test in tests:
        raise MalformedPlan(path, test.line, f"expected {test} once; line {tests[test]} has it")
    tests[test] = test.line


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
