"""What holds for the whole suite: one import name, registries in reach, nothing left out unsaid."""

import functools
import os
import shutil
import subprocess
import sys
import sysconfig

import pytest

REACH_TIMEOUT_S = 20  # a registry that can be reached answers in about a second


def pytest_collection_finish() -> None:
    stop_if_imported_twice()


def pytest_runtest_teardown() -> None:
    stop_if_imported_twice()


def stop_if_imported_twice() -> None:
    """`src` and `scripworld` are the same files: loaded as both, every class would exist twice."""
    if "src" in sys.modules and "scripworld" in sys.modules:
        pytest.exit("This run loaded both `src` and `scripworld`: import `scripworld`.", 1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("registry") and (trouble := registry_trouble()):
        pytest.fail(
            f"{trouble}; this test starts real tool servers: `make test-offline` leaves it out.",
            pytrace=False,
        )


@functools.cache
def registry_trouble() -> str | None:
    """Asks each package registry once through its ordinary client; says in words what is wrong."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    asks = {
        "npm": ["view", "--fetch-retries=0", "@modelcontextprotocol/server-filesystem", "version"],
        "uv": ["pip", "compile", "--quiet", "--no-deps", "--no-cache", "-"],
    }
    for client, arguments in asks.items():
        program = shutil.which(client, path=path)
        if program is None:
            return f"{client} is not installed"
        try:
            subprocess.run(
                [program, *arguments],
                input=b"mcp-server-fetch",
                capture_output=True,
                timeout=REACH_TIMEOUT_S,
                check=True,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return f"{client} can't reach its package registry"
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names the tests that did not run; the reason of a skip says why and how to get it."""
    left_out: dict[str, list[str]] = {}
    for item in terminalreporter.stats.get("deselected", []):
        if item.get_closest_marker("registry"):
            reason = "they start real tool servers from the package registries: `make test` does"
            left_out.setdefault(reason, []).append(item.nodeid)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        left_out.setdefault(reason, []).append(report.nodeid)
    if left_out:
        terminalreporter.section("left out")
    for reason, nodeids in left_out.items():
        terminalreporter.line(reason)
        for nodeid in nodeids:
            terminalreporter.line(f"    {nodeid}")
