"""A pytest plugin for the process that runs tests: notes in a file what was collected, what became of it, and
whether each required test reached an assertion while it ran.

Knows nothing of plans. In the workers of pytest-xdist, what it saw is told with their reports.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, ClassVar, Final

import pytest

from .assertions import certain_code, is_check, is_library_check, lines_of, seems_empty
from .record import Record

NOTE: Final = "plan_note"
"""The attribute of a report that holds what was seen of its test: whether it raised, and asserted."""
Tracer = Callable[[FrameType, str, Any], Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("plans")
    group.addoption(
        "--plan-tests", type=Path, help="a file with the names of required tests, as JSON"
    )
    group.addoption(
        "--plan-record", type=Path, help="the file to write what was seen into, as JSON"
    )
    group.addoption("--plan-only", action="store_true", help="run the required tests alone")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("plan_tests") is None:  # as where it is only asked for help
        return
    required = frozenset(json.loads(config.getoption("plan_tests").read_text(encoding="utf-8")))
    config.pluginmanager.register(Witness(config.rootpath, required))
    config.pluginmanager.register(Recorder(config, required))


def names_of(item: pytest.Item, root: Path) -> tuple[str, str, str]:
    """What a plan may call a test: itself with its case, without it, or its whole file."""
    file = item.path.relative_to(root) if item.path.is_relative_to(root) else item.path
    whole = f"{file.as_posix()}::{item.nodeid.partition('::')[2]}"
    return whole, whole.partition("[")[0], file.as_posix()


class Witness:
    """Watches required tests while they run, until they reach an assertion."""

    def __init__(self, root: Path, required: frozenset[str]) -> None:
        self._root = root
        self._required = required
        self._asserted = True
        self._raised = False

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self._raised = False
        watch = _Watch(item, self._root)
        is_free = isinstance(item, pytest.DoctestItem)  # comparing is what it is
        is_free = is_free or self._required.isdisjoint(names_of(item, self._root))
        try:
            with contextlib.nullcontext() if is_free else watch:
                yield
        except BaseException:
            self._raised = True
            raise
        finally:
            self._asserted = is_free or watch.asserted

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call":
            setattr(report, NOTE, {"asserted": self._asserted, "raised": self._raised})
        return report


class _Watch:
    """A trace function that takes itself away as soon as an assertion of the tests is reached."""

    _known: ClassVar[dict[int, tuple[CodeType, frozenset[int]]]] = {}

    def __init__(self, item: pytest.Item, root: Path) -> None:
        """Watches what stands with the test: in the topmost folder below the root, or in the root alone."""
        path = item.path
        folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
        self._folder = f"{root.joinpath(*folders[:1])}/"
        self._is_root = not folders
        # Where the source shows that the test asserts if only it runs, its beginning tells enough.
        self._certain = certain_code(item.obj) if isinstance(item, pytest.Function) else None
        self._before: Any = None
        self.asserted = False

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._called)

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, arg: object) -> Tracer | None:
        code = frame.f_code
        if code is self._certain:
            self._see()
        elif self._is_ours(code):
            _, lines = self._known.get(id(code)) or self._look(frame)
            return self._line(lines) if lines else None
        elif is_check(code) or (is_library_check(code) and self._is_called_by_ours(frame)):
            self._see()
        return None

    def _line(self, lines: frozenset[int]) -> Tracer:
        def reached(frame: FrameType, event: str, arg: object) -> Tracer | None:
            if event == "line" and frame.f_lineno in lines:
                self._see()
                return None
            return reached

        return reached

    def _look(self, frame: FrameType) -> tuple[CodeType, frozenset[int]]:
        names = {**frame.f_globals, **frame.f_locals}
        found = (frame.f_code, lines_of(frame.f_code, names))
        self._known[id(frame.f_code)] = found
        return found

    def _see(self) -> None:
        self.asserted = True
        if getattr(sys.gettrace(), "__self__", None) is self:
            sys.settrace(None)

    def _is_ours(self, code: CodeType) -> bool:
        file = code.co_filename
        return file.startswith(self._folder) and not (
            self._is_root and "/" in file.removeprefix(self._folder)
        )

    def _is_called_by_ours(self, frame: FrameType) -> bool:
        return frame.f_back is not None and self._is_ours(frame.f_back.f_code)


class Recorder:
    """Makes the record of a session, and writes it when that is over."""

    def __init__(self, config: pytest.Config, required: frozenset[str]) -> None:
        self._root = config.rootpath
        self._file: Path = config.getoption("plan_record")
        self._is_alone: bool = config.getoption("plan_only")
        self._required = required
        self._record = Record()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._record.broken_files[report.nodeid] = _last_line(report.longreprtext)
        elif report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            self._record.skipped_files[report.nodeid] = f"it is skipped: {reason}"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Iterator[None]:
        record, everything = self._record, list(items)
        for item in everything:
            names = names_of(item, self._root)
            record.collected[names[0]] = item.nodeid
            for name in self._required.intersection(names):
                record.node_ids.setdefault(name, []).append(item.nodeid)
        yield
        wanted = {node_id for node_ids in record.node_ids.values() for node_id in node_ids}
        kept = [item for item in items if item.nodeid in wanted]
        left = {item.nodeid for item in kept}
        record.deselected = [node_id for node_id in wanted if node_id not in left]
        record.empty = [each.nodeid for each in kept if _seems_empty(each)]
        if self._is_alone:
            config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in wanted])
            items[:] = kept
        record.expected = [item.nodeid for item in items]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record, name = self._record, report.nodeid
        record.seconds[name] = record.seconds.get(name, 0.0) + report.duration
        if (trouble := _trouble(report)) is not None:
            record.troubles.setdefault(name, trouble)
        elif report.when == "call":
            record.passed.append(name)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput"):  # what it saw is told with its reports
            return
        self._file.write_text(json.dumps(asdict(self._record)), encoding="utf-8")


def _trouble(report: pytest.TestReport) -> tuple[str, str] | None:
    """What keeps a step of a test from proving anything: its kind, and words."""
    note: dict[str, bool] = getattr(report, NOTE, {"raised": True})
    if hasattr(report, "wasxfail"):
        return "xfail", f"xfail ({report.wasxfail or 'no reason'})"
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "no reason"
        return "skipped", f"skipped ({reason.removeprefix('Skipped: ')})"
    if report.outcome != "passed":
        return "failing", f"failing in {report.when}"
    if report.when != "call":
        return None
    if note["raised"]:
        return "failing", "failing, and told as passed: take away the hook that does so"
    if not note["asserted"]:
        return "vacuous", "asserts nothing while it runs: say what must hold"
    return None


def _seems_empty(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and seems_empty(item.obj)


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].removeprefix("E").strip()
