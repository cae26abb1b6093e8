"""Malformed plans: each is told with its line and what was expected there, whatever it holds."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .plan_lab import FIRST_ROW, ROW, Repository, front, plan_text

ADDS = ROW.format("test_adds")
FRONT = f"---\n{front()}\n---\n"
TABLE = "# T\n## Required tests\n| file | test | what it verifies |\n"
NAME = "plans/01_ledger.md"
PLAIN = plan_text(ADDS)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path)
    repository.write("plans/README.md", "How plans work.\n")
    return repository


def check(repository: Repository, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Reads every plan, and asks no more of it than to be well-formed."""
    return repository.run("check_plan_blockers.py", *arguments)


def told(repository: Repository, text: str | bytes) -> str:
    """What is said of a plan that holds this, which must be one line that names the file."""
    path = repository.root / NAME
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = check(repository)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"{path}:")
    return line.removeprefix(f"{path}:")


def changed(name: str, value: str) -> str:
    """A plan that is well-formed but for one key of its front matter."""
    keys: dict[str, Any] = {name: value}
    return plan_text(ADDS, **keys)


@pytest.mark.parametrize(
    ("bad_row", "expected"),
    [
        ("| tests/test_ledger.py | test_a |", "expected 3 cells; there are 2"),
        ("| tests/test_ledger.py | adds up | words |", "expected a test such as test_y"),
        ("| ../test_ledger.py | test_a | words |", "expected a test file such as tests/test_x.py"),
        ("| tests/test_ledger.py | test_a |  |", "expected words about what the test verifies"),
    ],
)
def test_names_the_line_of_a_malformed_row(repository, bad_row, expected):
    assert told(repository, plan_text(bad_row)).startswith(f"{FIRST_ROW}: {expected}")


def test_refuses_a_test_that_stands_twice(repository):
    assert told(repository, plan_text(ADDS, ADDS)) == (
        f"{FIRST_ROW + 1}: expected tests/test_ledger.py::test_adds once; line {FIRST_ROW} has it"
    )


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("# A plan\n", 1, "expected `---`, which opens the front matter"),
        ("---\ntitle: T\n", 2, "expected `---`, which closes the front matter"),
        ("---\ntitle: T\nstatus: [\n---\n", 3, "expected YAML"),
        ("---\nT\n---\n", 2, "expected the keys number, title, status"),
        ("---\nnumber: 1\n---\n", 2, "expected a `title`"),
        (FRONT.replace("number: 1", "number: 2"), 2, "expected `number: 1`"),
        (
            FRONT.replace("status: active", "status: Complete"),
            4,
            "expected a `status`, one of draft, active, complete, not 'Complete'",
        ),
        (FRONT.replace("high", "urgent"), 5, "expected a `priority`, one of high, medium, low"),
        (
            FRONT.replace("blocks: []", "blocks: [1]"),
            7,
            "expected `blocks` to hold numbers of other",
        ),
        (FRONT.replace("blocks: []", "blocks: 2"), 7, "expected `blocks` to be a list"),
        (FRONT.replace("blocks", "block"), 7, "expected a known key, not `block`; did you mean"),
        (FRONT.replace("blocks", "title"), 7, "expected `title` once; line 3 has it"),
        (FRONT + "# Another\n", 9, "expected the heading `# T`"),
        (FRONT + "# T\n# T\n", 10, "expected one heading; line 9 has it"),
        (FRONT + "# T\n", 9, "expected a section `## Required tests`"),
        (
            FRONT + "# T\n```\n## Required tests\n```\n",
            12,
            "expected a section `## Required tests`",
        ),
        (FRONT + "# T\n## Required tests\n", 10, "expected a table with a row under"),
        (FRONT + TABLE.replace(" what it verifies |", ""), 11, "expected the header `| file |"),
        (FRONT + TABLE + "| a | b | c |\n", 12, "expected the separator `|---|---|---|`"),
        (FRONT + "# T\n## Gap\n## Gap\n", 11, "expected one section `## Gap`"),
        (
            FRONT + "# T\n## Existing test\n",
            10,
            "expected a known section, not `## Existing test`; did you mean `## Existing tests`?",
        ),
        (FRONT + "# T\n## Words\n", 10, "expected a known section, not `## Words`, one of ## Gap"),
        (FRONT + "# T\n```sh\n## Gap\n", 10, "expected an end of what begins here"),
        (FRONT + "# T\n<!-- words\n## Gap\n", 10, "expected an end of what begins here"),
    ],
)
def test_names_the_line_of_a_malformed_plan(repository, text, line, expected):
    assert told(repository, text).startswith(f"{line}: {expected}")


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ("`tests/a.txt::test_b`", "expected a test file such as tests/test_x.py, not tests/a.txt"),
        ("`tests/integration`", "expected a test file such"),
        ("`tests/integration/*`", "expected a test file such"),
        ("All of `tests`", "expected a test file such"),
        ("- tests/integration/test_world.py", "expected each file between backticks"),
        ("`tests/test_a.py` and tests/integration", "expected each file between backticks"),
        ("- [words](../tests/test_a.py)", "expected each file between backticks"),
        ("```\ntests/test_a.py\n```", "expected each file between backticks"),
    ],
)
def test_an_existing_test_that_would_not_be_run_is_told(repository, existing, expected):
    text = plan_text(ADDS, existing=existing)

    assert told(repository, text).startswith(f"{FIRST_ROW + 4}: {expected}")


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "=======", ">>>>>>> work"])
@pytest.mark.parametrize("before", ["number: 1", "Words.", "| file"])
def test_what_is_not_merged_is_told_wherever_it_stands(repository, marker, before):
    lines = PLAIN.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith(before))
    lines.insert(at, marker)

    answer = told(repository, "\n".join(lines) + "\n")

    assert answer == f"{at + 1}: expected a merged text, not `{marker[:7]}`"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        *(
            ("number", value, 2)
            for value in ("01", "0x1", "0b1", "1.0", "١", "!!int x", "9" * 5000)
        ),
        ("title", "!!timestamp [", 5),
        *(("title", value, 2) for value in ('"\\UFFFFFFFF"', "[" * 3000)),
        *(("title", value, 3) for value in ("*there", "{a: b}")),
        *(("title", value, 10) for value in ("2030-13-45", "!!float x", "!!timestamp x")),
        *(("status", value, 4) for value in ("!!bool x", "[active]", "&a [*a]")),
        *(("blocks", value, 7) for value in ("[1:30]", "[0x2]", "[02]", "[2, [3]]", "{? [a] : b}")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_yaml_makes_of_a_value_is_no_traceback(repository, name, value, line):
    text = changed(name, value)

    answer = told(repository, text.replace(f"# {value}\n", "# Words\n"))

    assert answer.startswith(f"{line}: expected ")


@pytest.mark.parametrize("version", ["%YAML 9.9", f"%YAML 1.{'1' * 5000}"])
def test_a_directive_of_yaml_is_no_traceback(repository, version):
    assert "expected YAML" in told(repository, PLAIN.replace("---\n", f"---\n{version}\n", 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufeff" + PLAIN, "1: expected a text without a byte order mark: save it as UTF-8"),
        (PLAIN.replace("\n", "\r\n"), "1: expected a text without a carriage return: save it with"),
        (PLAIN.replace("# T", "# T\0"), "10: expected a text without the character U+0000"),
        (PLAIN.replace("e: T", "e: T\x07"), "3: expected a text without the character U+0007"),
        (PLAIN.replace("---\n", "---\x0c\n"), "1: expected a text without the character U+000C"),
        (PLAIN.replace("# T", "# T\u2028"), "10: expected a text without the character U+2028"),
        (PLAIN.encode("utf-16"), "1: expected UTF-8; "),
        (PLAIN.replace("# T", "# ü").encode("latin-1"), "10: expected UTF-8; "),
        (b"", "1: expected `---`"),
    ],
)
def test_a_character_that_no_editor_shows_is_told(repository, text, expected):
    assert told(repository, text).startswith(expected)


@pytest.mark.parametrize("title", ["<!-- end of the index of the plans -->", "a --> b"])
def test_a_title_that_would_break_the_index_is_refused(repository, title):
    expected = "3: expected a title without `<!--` and `-->`"

    assert told(repository, plan_text(ADDS, title=title)) == expected


def kinds_of_no_file(path: Path) -> list[Any]:
    return [path.mkdir, lambda: path.symlink_to("nowhere.md"), lambda: os.mkfifo(path)]


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["folder", "broken link", "pipe"])
@pytest.mark.parametrize("name", ["plans/05_x.md", "plans/README.md"])
def test_what_is_no_file_is_told(repository, name, kind):
    repository.write(NAME, PLAIN)
    path = repository.root / name
    path.unlink(missing_ok=True)
    kinds_of_no_file(path)[kind]()

    done = repository.run("sync_plan_status.py", "--fix")

    assert (done.returncode, done.stdout) == (2, "")
    assert name in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_page_that_is_not_utf_8_is_told(repository):
    repository.write(NAME, PLAIN)
    (repository.root / "plans/README.md").write_bytes(b"# Plans\n\xfc\n")

    done = repository.run("sync_plan_status.py", "--check")

    assert (done.returncode, "plans/README.md:2: expected UTF-8" in done.stderr) == (2, True)


def test_refuses_a_plan_file_without_a_number_and_a_number_used_twice(repository):
    path = repository.write(NAME, PLAIN)
    path.rename(path.with_name("ledger.md"))
    unnumbered = check(repository)
    path.with_name("ledger.md").rename(path)
    repository.write("plans/01_other.md", path.read_text())
    doubled = check(repository)

    assert (unnumbered.returncode, doubled.returncode) == (2, 2)
    assert "expected a file name of the form NN_name.md" in unnumbered.stderr
    assert "expected one plan 1" in doubled.stderr


def test_json_tells_what_is_malformed(repository):
    path = repository.write(NAME, "# A plan\n")

    code, answer = repository.told("check_plan_tests.py", "--all")

    assert (code, answer["ok"]) == (2, False)
    assert answer["error"].startswith(f"{path}:1: expected")


EXAMPLE = "| a | table |\n| `tests/test_x.py` | `test_shown` | an example |\n## Required tests"


@pytest.mark.parametrize(
    "hidden",
    [
        f"```\n{EXAMPLE}\n```",
        f"````md\n```\n{EXAMPLE}\n```\n{EXAMPLE}\n````",
        f"~~~\n```\n{EXAMPLE}\n~~~",
        f"<!--\n{EXAMPLE}\n-->",
        f"<!-- words -->\n<!-- {EXAMPLE}\n``` -->",
    ],
    ids=["fence", "long fence", "tildes", "comment", "comments"],
)
def test_an_example_or_a_comment_requires_nothing(repository, hidden):
    text = PLAIN.replace("\n## Existing tests", f"\n{hidden}\n\n## Existing tests")
    repository.write(NAME, f"{text}<!-- `tests/test_x.py` -->\n")

    code, answer = repository.told("check_plan_tests.py", "--plan", "1", "--tdd")

    assert (code, answer["plans"][0]["tests"]) == (0, 1)


def test_thousands_of_rows_are_read(repository):
    rows = [ROW.format(f"test_{number}") for number in range(20_000)]
    repository.write(NAME, plan_text(*rows))

    assert check(repository).returncode == 0
