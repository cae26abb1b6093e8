"""What a server takes beyond its limits ends it, the caller is told, and the next call works."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from scripworld.adapters.mcp_outcome import McpCrashed
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_stdio import McpClient
from scripworld.adapters.sandbox import Sandbox

GREEDY = Path(__file__).with_name("servers") / "greedy_server.py"
MB = 1_048_576

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits are watched where there is /proc: on Linux"
)
PROGRAMS = {"bubblewrap": "bwrap", "firejail": "firejail"}
RUNNERS = [
    "none",
    *(
        pytest.param(
            runner,
            marks=pytest.mark.skipif(
                shutil.which(program) is None,
                reason=f"{runner} isn't installed: `apt install {runner}`",
            ),
        )
        for runner, program in PROGRAMS.items()
    ),
]


def called(tmp_path: Path, runner: str, *calls: tuple[str, int], **limits: int) -> list[str]:
    """Call tools of one server one after the other; return what came, or the problem."""
    sandbox = Sandbox(runner, own=tmp_path / "own", read=(GREEDY,), **limits)  # type: ignore[arg-type]
    spec = McpServerSpec(
        "greedy",
        sys.executable,
        ("-u", str(GREEDY)),
        grace_s=0.3,
        backoff_s=0.01,
        call_timeout_s=60,
        sandbox=sandbox,
    )

    async def main() -> list[str]:
        client = McpClient(spec)
        heard = []
        try:
            for name, number in calls:
                try:
                    answer = await client.call_tool(name, {"n": number})
                    heard.append(answer.result["content"][0]["text"])
                except McpCrashed as error:
                    heard.append(error.problem)
        finally:
            await client.close()
        return heard

    return asyncio.run(main())


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("tool", ["memory", "children_memory"])
def test_memory_is_that_of_all_its_processes(runner: str, tool: str, tmp_path: Path) -> None:
    problem, after = called(tmp_path, runner, (tool, 160), ("cpus", 0), memory_bytes_max=96 * MB)
    assert problem.startswith("its processes used ")
    assert problem.endswith(" MB, more than the 96 MB that they may.")
    assert after == "1"


@pytest.mark.parametrize("runner", RUNNERS)
def test_memory_that_processes_share_counts_once(runner: str, tmp_path: Path) -> None:
    assert called(tmp_path, runner, ("shared_memory", 64), memory_bytes_max=160 * MB) == ["shared"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_much_more_at_once_is_refused_by_the_system(runner: str, tmp_path: Path) -> None:
    assert called(tmp_path, runner, ("at_once", 4_000), memory_bytes_max=96 * MB) == ["refused"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_processes_are_counted(runner: str, tmp_path: Path) -> None:
    problem, after = called(tmp_path, runner, ("processes", 30), ("cpus", 0), processes_max=12)
    assert problem.startswith("it ran ")
    assert problem.endswith(" processes, more than the 12 that it may.")
    assert after == "1"


@pytest.mark.parametrize("runner", RUNNERS)
def test_what_its_folders_hold_is_measured(runner: str, tmp_path: Path) -> None:
    (problem,) = called(tmp_path, runner, ("disk", 32), disk_bytes_max=16 * MB)
    assert problem.startswith("its folders hold ")
    assert problem.endswith(" MB, more than the 16 MB that they may.")
    shutil.rmtree(tmp_path / "own")  # it could not start as long as they hold it
    assert called(tmp_path, runner, ("cpus", 0), disk_bytes_max=16 * MB) == ["1"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_no_file_is_longer_than_all_may_hold(runner: str, tmp_path: Path) -> None:
    calls = (("file", 17), ("file", 15))
    assert called(tmp_path, runner, *calls, disk_bytes_max=16 * MB) == ["File too large", "written"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_it_gets_as_many_cpus_as_it_may(runner: str, tmp_path: Path) -> None:
    ours = len(os.sched_getaffinity(0))
    assert called(tmp_path, runner, ("cpus", 0)) == ["1"]
    assert called(tmp_path, runner, ("cpus", 0), cpus=2) == [str(min(2, ours))]
