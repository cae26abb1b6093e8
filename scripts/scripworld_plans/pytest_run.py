"""Lets pytest collect and run the tests of plans, and notes what became of each.

Owns the pytest plugin; what the answers are worth is for its callers to say.
"""

import argparse
import contextlib
import difflib
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from .answer import Unusable
from .plan import Passed, RequiredTest
from .vacuity import asserts

FINISHED: Final = (
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)
QUIET: Final = ("--quiet", "--quiet", "--no-summary")


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a test that a plan names."""

    test: str
    kind: str
    words: str

    def __str__(self) -> str:
        return f"{self.test}: {self.words}"


class Recorder:
    """A pytest plugin: keeps only the required tests, and notes what became of each.

    A required test without its parameters stands for every case of it, a file for every test in it.
    """

    def __init__(self, root: Path, required: Iterable[RequiredTest]) -> None:
        self._root = root
        self._required = {str(test) for test in required}
        self._node_ids: dict[str, list[str]] = {}
        self._collected: dict[str, str] = {}
        self._deselected: set[str] = set()
        self._empty: set[str] = set()
        self._troubles: dict[str, tuple[str, str]] = {}
        self._passed: set[str] = set()
        self._seconds: dict[str, float] = {}
        self._broken_files: dict[str, str] = {}
        self._skipped_files: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._broken_files[report.nodeid] = last_line(report.longreprtext)
        elif report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            self._skipped_files[report.nodeid] = f"it is skipped: {reason}"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Iterator[None]:
        everything = list(items)
        for item in everything:
            file = item.path.relative_to(self._root).as_posix()
            whole = f"{file}::{item.nodeid.partition('::')[2]}"
            self._collected[whole] = item.nodeid
            for name in {file, whole, _uncased(whole)} & self._required:
                self._node_ids.setdefault(name, []).append(item.nodeid)
        yield
        wanted = {node_id for node_ids in self._node_ids.values() for node_id in node_ids}
        kept = [item for item in items if item.nodeid in wanted]
        self._deselected = wanted - {item.nodeid for item in kept}
        self._empty = {item.nodeid for item in kept if not asserts(item, self._root)}
        self.select(config, items, kept)

    def select(
        self, config: pytest.Config, items: list[pytest.Item], kept: list[pytest.Item]
    ) -> None:
        """Leaves out what no plan names."""
        unwanted = [item for item in items if item not in kept]
        items[:] = kept
        config.hook.pytest_deselected(items=unwanted)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if hasattr(report, "wasxfail"):
            self._troubles[report.nodeid] = ("xfail", f"xfail ({report.wasxfail or 'no reason'})")
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "no reason"
            words = f"skipped ({reason.removeprefix('Skipped: ')})"
            self._troubles[report.nodeid] = ("skipped", words)
        elif report.failed:
            self._troubles[report.nodeid] = ("failing", f"failing in {report.when}")
        elif report.when == "call":
            self._passed.add(report.nodeid)

    def absence(self, test: RequiredTest) -> Trouble | None:
        """Says why a test can't be run by name, or proves nothing; None where it may run."""
        name = str(test)
        if name in self._node_ids:
            if empty := [each for each in self._node_ids[name] if each in self._empty]:
                where = "" if test.name else f" in {empty[0].partition('::')[2]}"
                return Trouble(name, "vacuous", f"asserts nothing{where}: say what must hold")
            if left_out := [each for each in self._node_ids[name] if each in self._deselected]:
                which = left_out[0].partition("::")[2]
                words = f"deselected ({which}): take the -k, -m or hook away that leaves it out"
                return Trouble(name, "deselected", words)
            return None
        return Trouble(name, "missing", self._why_missing(test))

    def _why_missing(self, test: RequiredTest) -> str:
        if not (self._root / test.file).is_file():
            words = "there is no such file"
        elif why := self._broken_files.get(test.file) or self._skipped_files.get(test.file):
            return f"missing (the file can't be collected: {why})"
        else:
            words = "the file has no such test" if test.name else "the file has no test"
        near = self._nearest(test)
        return f"missing ({words})" + (f"; the nearest is {near}" if near else "")

    def _nearest(self, test: RequiredTest) -> str | None:
        """The collected test whose name is nearest, in the same file where there is one."""
        wholes = sorted({each for whole in self._collected for each in (whole, _uncased(whole))})
        if "[" not in test.name:
            wholes = [whole for whole in wholes if "[" not in whole]
        mine = [whole for whole in wholes if whole.startswith(f"{test.file}::")]
        for candidates in (mine, wholes):
            names = {whole.rpartition("::")[2]: whole for whole in candidates}
            if near := difflib.get_close_matches(test.name.rpartition("::")[2], names, 1, 0.75):
                return names[near[0]]
        return None

    def seconds(self, tests: Iterable[RequiredTest]) -> float:
        """How long required tests took, one after the other; each counts once."""
        node_ids = {id for test in tests for id in self._node_ids.get(str(test), ())}
        return sum(self._seconds.get(id, 0.0) for id in node_ids)

    def trouble(self, test: RequiredTest) -> Trouble | None:
        """Says what is wrong with a test that should have run, or None where it passed."""
        if absence := self.absence(test):
            return absence
        for node_id in self._node_ids[str(test)]:
            case = f" for [{node_id.partition('[')[2]}" if "[" in node_id else ""
            if not test.name:
                case = f" for {node_id.partition('::')[2]}"
            if node_id in self._troubles:
                kind, words = self._troubles[node_id]
                return Trouble(str(test), kind, words + case)
            if node_id not in self._passed:
                return Trouble(str(test), "not run", f"not run{case}")
        return None


class SuiteRecorder(Recorder):
    """Leaves nothing out: the tests of plans are judged by what becomes of them among all others."""

    def __init__(self, root: Path, required: Iterable[RequiredTest]) -> None:
        super().__init__(root, required)
        self._expected: list[str] = []

    def select(
        self, config: pytest.Config, items: list[pytest.Item], kept: list[pytest.Item]
    ) -> None:
        """Leaves everything in."""
        self._expected = [item.nodeid for item in items]

    def failures(self) -> list[str]:
        """What failed of the suite or was never run, whether a plan names it or not."""
        broken = [f"{name}: can't be collected: {why}" for name, why in self._broken_files.items()]
        told = self._troubles.items()
        failed = [f"{name}: {words}" for name, (kind, words) in told if kind == "failing"]
        ran = self._passed | self._troubles.keys()
        return [
            *broken,
            *failed,
            *(f"{name}: not run" for name in self._expected if name not in ran),
        ]


@dataclass
class Tally:
    """How many tests passed, and how long they and those that did not took, one after the other."""

    count: int = 0
    seconds: float = 0.0

    def passed(self) -> Passed:
        return Passed(self.count, round(max(self.seconds, 0.01), 2))


class Counter:
    """A pytest plugin for a whole suite: how many passed, and the first that did not."""

    def __init__(self, smoke: str) -> None:
        self._folder = f"{smoke}/"
        self.unit = Tally()
        self.smoke = Tally()
        self.troubles: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.troubles.append(f"{report.nodeid}: can't be collected")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        tally = self.smoke if report.nodeid.startswith(self._folder) else self.unit
        tally.seconds += report.duration
        if report.failed:
            self.troubles.append(f"{report.nodeid}: failing in {report.when}")
        elif report.passed and report.when == "call":
            tally.count += 1


def _uncased(whole: str) -> str:
    return whole.partition("[")[0]


def last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].removeprefix("E").strip()


def collect(root: Path, required: Sequence[RequiredTest]) -> Recorder:
    """Lets pytest collect, and run nothing."""
    return _record(root, required, ["--collect-only", *QUIET])


def run(root: Path, required: Sequence[RequiredTest]) -> Recorder:
    return _record(root, required, ["--quiet", "--tb=short"])


def run_among_all(
    root: Path, required: Sequence[RequiredTest], workers: str | None, *others: object
) -> SuiteRecorder:
    """Runs the whole suite as the project configures it, and notes what plans require of it.

    Workers collect for themselves and report outcomes alone, so with them we collect once before.
    ``others`` are further plugins of the run.
    """
    recorder = SuiteRecorder(root, required)
    if workers is not None:
        _pytest(root, ["--collect-only", *QUIET], recorder)
    _pytest(root, ["--quiet", "--tb=short", *_spread(workers)], recorder, *others)
    return recorder


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        metavar="N",
        help="run the suite in N processes of pytest-xdist; auto: one a core (default: in this one)",
    )


def _spread(workers: str | None) -> list[str]:
    """Neighbours go to one worker, so that what they share is made once; who is idle takes over."""
    return [] if workers is None else [f"--numprocesses={workers}", "--dist=worksteal"]


def _record(root: Path, required: Sequence[RequiredTest], options: Sequence[str]) -> Recorder:
    recorder = Recorder(root, required)
    files = {test.file for test in required if (root / test.file).is_file()}
    for test in required:
        if not (root / test.file).is_file():
            files |= candidates(root, test)
    if files:
        _pytest(root, ["--continue-on-collection-errors", *options, *sorted(files)], recorder)
    return recorder


def candidates(root: Path, test: RequiredTest) -> set[str]:
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


def _pytest(root: Path, arguments: Sequence[str], *plugins: object) -> None:
    """Lets pytest print to standard error, so that standard output holds the answer alone."""
    usual = [f"--rootdir={root}", "-p", "no:cacheprovider"]
    printed = io.StringIO() if "--collect-only" in arguments else sys.stderr
    with contextlib.chdir(root), contextlib.redirect_stdout(printed):
        code = pytest.main([*usual, *arguments], plugins=plugins)
    if code not in FINISHED:
        if isinstance(printed, io.StringIO):
            print(printed.getvalue(), file=sys.stderr)
        raise Unusable(f"pytest did not finish (exit code {int(code)}), so nothing is proved.")
