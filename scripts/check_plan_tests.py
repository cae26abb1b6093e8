#!/usr/bin/env python3
"""Runs the tests that a plan requires, by name, and fails on a missing, skipped or failing one.

Exit codes: 0 every required test passed (with --tdd: the list could be made); 1 at least one did
not; 2 a plan is malformed or not there.
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from plans import MalformedPlan, Plan, RequiredTest, find_plans, read_plan

FINISHED = (
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)


class Recorder:
    """A pytest plugin: keeps only the required tests, and notes what became of each.

    A required test without its parameters stands for every case of it.
    """

    def __init__(self, root: Path, required: Sequence[RequiredTest]) -> None:
        self._root = root
        self._required = {str(test) for test in required}
        self._node_ids: dict[str, list[str]] = {}
        self._troubles: dict[str, str] = {}
        self._passed: set[str] = set()
        self._broken_files: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._broken_files[report.nodeid] = last_line(report.longreprtext)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        wanted: list[pytest.Item] = []
        unwanted: list[pytest.Item] = []
        for item in items:
            file = item.path.relative_to(self._root).as_posix()
            whole = f"{file}::{item.nodeid.partition('::')[2]}"
            names = {whole, whole.partition("[")[0]} & self._required
            for name in names:
                self._node_ids.setdefault(name, []).append(item.nodeid)
            (wanted if names else unwanted).append(item)
        items[:] = wanted
        config.hook.pytest_deselected(items=unwanted)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "wasxfail"):
            self._troubles[report.nodeid] = f"xfail ({report.wasxfail or 'no reason'})"
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "no reason"
            self._troubles[report.nodeid] = f"skipped ({reason.removeprefix('Skipped: ')})"
        elif report.failed:
            self._troubles[report.nodeid] = f"failing in {report.when}"
        elif report.when == "call":
            self._passed.add(report.nodeid)

    def absence(self, test: RequiredTest) -> str | None:
        """Says why a test can't be run by name, or None where pytest found it."""
        if str(test) in self._node_ids:
            return None
        if not (self._root / test.file).is_file():
            return "missing (there is no such file)"
        if test.file in self._broken_files:
            return f"missing (the file can't be collected: {self._broken_files[test.file]})"
        return "missing (the file has no such test)"

    def trouble(self, test: RequiredTest) -> str | None:
        """Says what is wrong with a test that should have run, or None where it passed."""
        if absence := self.absence(test):
            return absence
        for node_id in self._node_ids[str(test)]:
            case = f" for [{node_id.partition('[')[2]}" if "[" in node_id else ""
            if node_id in self._troubles:
                return self._troubles[node_id] + case
            if node_id not in self._passed:
                return f"not run{case}"
        return None


def last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].removeprefix("E").strip()


def run_pytest(root: Path, required: Sequence[RequiredTest], options: Sequence[str]) -> Recorder:
    """Lets pytest print to standard error, so that standard output holds the answer alone."""
    recorder = Recorder(root, required)
    files = sorted({test.file for test in required if (root / test.file).is_file()})
    if not files:
        return recorder
    arguments = [f"--rootdir={root}", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    with contextlib.chdir(root), contextlib.redirect_stdout(sys.stderr):
        code = pytest.main([*arguments, *options, *files], plugins=[recorder])
    if code not in FINISHED:
        sys.exit(f"pytest did not finish (exit code {int(code)}), so nothing is proved.")
    return recorder


def list_missing(root: Path, plans: Sequence[Plan]) -> int:
    required = [test for plan in plans for test in plan.required_tests]
    recorder = run_pytest(root, required, ["--collect-only", "--quiet", "--quiet", "--no-summary"])
    for plan in plans:
        absent = {
            str(test): absence
            for test in plan.required_tests
            if (absence := recorder.absence(test)) is not None
        }
        print(f"plan {plan.number}: {len(absent)} of {len(plan.required_tests)} tests to write")
        for name, absence in absent.items():
            print(f"  {name}: {absence}")
    return 0


def run_required(root: Path, plans: Sequence[Plan]) -> int:
    required = [test for plan in plans for test in plan.required_tests]
    recorder = run_pytest(root, required, ["--quiet", "--tb=short"])
    failed = False
    for plan in plans:
        troubles = {
            str(test): trouble
            for test in plan.required_tests
            if (trouble := recorder.trouble(test)) is not None
        }
        passed = len(plan.required_tests) - len(troubles)
        print(f"plan {plan.number}: {passed} of {len(plan.required_tests)} required tests passed")
        for name, trouble in troubles.items():
            print(f"  {name}: {trouble}")
        failed = failed or bool(troubles)
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--plan", type=int, metavar="N", help="the plan with this number")
    which.add_argument("--all", action="store_true", help="every plan")
    parser.add_argument("--tdd", action="store_true", help="only list the tests still to write")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(__file__).parents[1],
        help="the repository (default: this one)",
    )
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    try:
        paths = find_plans(root)
        if not arguments.all and arguments.plan not in paths:
            known = ", ".join(map(str, paths)) or "none"
            print(f"There is no plan {arguments.plan}; there is {known}.", file=sys.stderr)
            return 2
        if not paths:
            print(f"There is no plan in {root / 'plans'}.", file=sys.stderr)
            return 2
        chosen = paths.values() if arguments.all else [paths[arguments.plan]]
        plans = [read_plan(path) for path in chosen]
    except MalformedPlan as error:
        print(error, file=sys.stderr)
        return 2
    return list_missing(root, plans) if arguments.tdd else run_required(root, plans)


if __name__ == "__main__":
    sys.exit(main())
