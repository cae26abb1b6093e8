"""Lets pytest run in a process of its own, and reads what the witness noted there.

Owns how pytest is started, and what became of each test; what that is worth is for its callers to say.
"""

import argparse
import difflib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .answer import Unusable
from .plan import Passed, RequiredTest
from .record import Record

FINISHED: Final = (0, 1, 5)
"""Pytest's exit codes where it came to its end: all passed, some failed, there was none."""
COLLECT: Final = ("--collect-only", "--quiet", "--quiet", "--no-summary")
RUN: Final = ("--quiet", "--tb=short")
PROGRAM: Final = "import sys; sys.path[0] = sys.argv.pop(1); import pytest; sys.exit(pytest.main())"
"""Without the current folder on the path, and with ours, of which the workers learn too."""
DROPPED: Final = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONPATH")
"""What is in the environment of whoever asks changes nothing of what is run."""
SMOKE: Final = "tests/integration"
"""Whole worlds from end to end; the rest of the suite counts as unit tests."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a test that a plan names."""

    test: str
    kind: str
    words: str

    def __str__(self) -> str:
        return f"{self.test}: {self.words}"


class Seen:
    """What collecting found and what running came to; node ids are pytest's names of single cases.

    A required test without its parameters stands for every case of it, a file for every test in it.

    Args:
        collected: the record of a run in one process, which may have run them as well.
        ran: the record of the run, where that was another.
    """

    def __init__(self, root: Path, collected: Record, ran: Record | None = None) -> None:
        self._root = root
        self._collected = collected
        self._deselected, self._empty = set(collected.deselected), set(collected.empty)
        ran = ran or collected
        self._troubles, self._seconds, self._passed = ran.troubles, ran.seconds, set(ran.passed)

    def absence(self, test: RequiredTest) -> Trouble | None:
        """Says why a test can't be run by name, or proves nothing; None where it may run."""
        name = str(test)
        if name not in self._collected.node_ids:
            return Trouble(name, "missing", self._why_missing(test))
        if empty := [each for each in self._collected.node_ids[name] if each in self._empty]:
            where = "" if test.name else f" in {empty[0].partition('::')[2]}"
            return Trouble(name, "vacuous", f"asserts nothing{where}: say what must hold")
        if left_out := [
            each for each in self._collected.node_ids[name] if each in self._deselected
        ]:
            which = left_out[0].partition("::")[2]
            words = f"deselected ({which}): take the -k, -m or hook away that leaves it out"
            return Trouble(name, "deselected", words)
        return None

    def trouble(self, test: RequiredTest) -> Trouble | None:
        """Says what is wrong with a test that should have run, or None where it passed."""
        if absence := self.absence(test):
            return absence
        for node_id in self._collected.node_ids[str(test)]:
            case = f" for [{node_id.partition('[')[2]}" if "[" in node_id else ""
            if not test.name:
                case = f" for {node_id.partition('::')[2]}"
            if node_id in self._troubles:
                kind, words = self._troubles[node_id]
                return Trouble(str(test), kind, words + case)
            if node_id not in self._passed:
                return Trouble(str(test), "not run", f"not run{case}")
        return None

    def failures(self) -> list[str]:
        """What failed of all that was to run, or was never run, whether a plan names it or not."""
        broken = [
            f"{name}: can't be collected: {why}"
            for name, why in self._collected.broken_files.items()
        ]
        told = self._troubles.items()
        failed = [f"{name}: {words}" for name, (kind, words) in told if kind == "failing"]
        ran = self._passed | self._troubles.keys()
        return [
            *broken,
            *failed,
            *(f"{name}: not run" for name in self._collected.expected if name not in ran),
        ]

    def took(self, tests: Iterable[RequiredTest]) -> float:
        """How many seconds required tests took, one after the other; each counts once."""
        node_ids = {id for test in tests for id in self._collected.node_ids.get(str(test), ())}
        return sum(self._seconds.get(id, 0.0) for id in node_ids)

    def counts(self) -> dict[str, Passed]:
        """How many tests passed, and how many seconds all took, by kind."""
        found: dict[str, Passed] = {}
        for kind, is_smoke in (("unit", False), ("e2e_smoke", True)):
            mine = [id for id in self._seconds if id.startswith(f"{SMOKE}/") is is_smoke]
            seconds = sum(self._seconds[id] for id in mine)
            passed = sum(id in self._passed and id not in self._troubles for id in mine)
            found[kind] = Passed(passed, round(max(seconds, 0.01), 2))
        return found

    def _why_missing(self, test: RequiredTest) -> str:
        if not (self._root / test.file).is_file():
            words = "there is no such file"
        elif why := self._collected.broken_files.get(
            test.file
        ) or self._collected.skipped_files.get(test.file):
            return f"missing (the file can't be collected: {why})"
        else:
            words = "the file has no such test" if test.name else "the file has no test"
        near = self._nearest(test)
        return f"missing ({words})" + (f"; the nearest is {near}" if near else "")

    def _nearest(self, test: RequiredTest) -> str | None:
        """The collected test whose name is nearest, in the same file where there is one."""
        wholes = sorted(
            {n for whole in self._collected.collected for n in (whole, whole.partition("[")[0])}
        )
        if "[" not in test.name:
            wholes = [whole for whole in wholes if "[" not in whole]
        mine = [whole for whole in wholes if whole.startswith(f"{test.file}::")]
        for candidates in (mine, wholes):
            names = {whole.rpartition("::")[2]: whole for whole in candidates}
            if near := difflib.get_close_matches(test.name.rpartition("::")[2], names, 1, 0.75):
                return names[near[0]]
        return None


def collect(root: Path, required: Sequence[RequiredTest]) -> Seen:
    """Lets pytest collect required tests, and run nothing."""
    which = _alone(root, required)
    return Seen(root, _pytest(root, required, [*COLLECT, *which]) if which else Record())


def run(root: Path, required: Sequence[RequiredTest], workers: str | None) -> Seen:
    """Runs required tests alone."""
    which = _alone(root, required)
    return _ran(root, required, which, workers) if which else Seen(root, Record())


def run_among_all(root: Path, required: Sequence[RequiredTest], workers: str | None) -> Seen:
    """Runs the whole suite as the project configures it, and notes what plans require of it."""
    return _ran(root, required, [], workers)


def _ran(
    root: Path, required: Sequence[RequiredTest], which: Sequence[str], workers: str | None
) -> Seen:
    """Workers collect for themselves and report outcomes alone, so with them we collect once before."""
    if workers is None:
        return Seen(root, _pytest(root, required, [*RUN, *which]))
    collected = _pytest(root, required, [*COLLECT, *which])
    # Neighbours go to one worker, so that what they share is made once; who is idle takes over.
    spread = [f"--numprocesses={workers}", "--dist=worksteal"]
    return Seen(root, collected, _pytest(root, required, [*RUN, *which, *spread]))


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        metavar="N",
        help="run in N processes of pytest-xdist; auto: one a core (default: in one)",
    )


def _alone(root: Path, required: Sequence[RequiredTest]) -> list[str]:
    """What has pytest look only where required tests are, or may have gone; nothing if nowhere."""
    files = {test.file for test in required if (root / test.file).is_file()}
    for test in required:
        if test.file not in files:
            files |= _candidates(root, test)
    return ["--plan-only", *sorted(files)] if files else []


def _candidates(root: Path, test: RequiredTest) -> set[str]:
    """Where a test may have gone whose file is not there: pytest says whether it is in them."""
    paths = {path.relative_to(root).as_posix(): path for path in root.glob("tests/**/test_*.py")}
    near = difflib.get_close_matches(test.file, sorted(paths), n=1)
    function = test.name.partition("[")[0].rpartition("::")[2]
    pattern = re.compile(rf"^\s*(?:async )?def {re.escape(function)}\(", re.M)
    homes = [
        name
        for name, path in paths.items()
        if function and pattern.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    return {*near, *homes[:3]}


def _pytest(root: Path, required: Iterable[RequiredTest], arguments: Sequence[str]) -> Record:
    """Runs pytest, which prints to standard error, so that standard output holds the answer alone.

    Raises:
        Unusable: it did not come to its end, so what it noted proves nothing.
    """
    if importlib.util.find_spec("pytest") is None:
        raise Unusable("pytest is not installed: run `make`, or install scripworld[dev].")
    environment = {name: text for name, text in os.environ.items() if name not in DROPPED}
    with tempfile.TemporaryDirectory(prefix="plans-") as folder:
        tests, record = Path(folder, "tests.json"), Path(folder, "record.json")
        tests.write_text(json.dumps([str(test) for test in required]), encoding="utf-8")
        usual = [f"--rootdir={root}", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
        usual += [
            "-p",
            f"{__package__}.witness",
            f"--plan-tests={tests}",
            f"--plan-record={record}",
        ]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[1]), *usual, *arguments],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if "--collect-only" in arguments else sys.stderr,
            check=False,
        )
        if done.returncode in FINISHED and record.exists():
            return Record(**json.loads(record.read_text(encoding="utf-8")))
    print((done.stdout or b"").decode(errors="replace"), file=sys.stderr)
    raise Unusable(f"pytest did not finish ({_end(done.returncode)}), so nothing is proved.")


def _end(code: int) -> str:
    if code < 0:
        return f"signal {-code} ended it"
    return f"exit code {code}" if code not in FINISHED else "a test or hook ended its process"
