"""Several processes of one server behind one interface, against real server processes."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripworld.adapters.mcp_outcome import McpAnswer, McpCrashed, McpUnavailable
from scripworld.adapters.mcp_pool import McpPool
from scripworld.adapters.mcp_process import McpServerSpec

SERVER = str(Path(__file__).with_name("servers") / "feature_server.py")
SPEC = McpServerSpec(
    "feature",
    sys.executable,
    (SERVER,),
    start_timeout_s=40,
    call_timeout_s=20,
    grace_s=0.5,
    backoff_s=0.01,
    processes=3,
)


def run(spec: McpServerSpec, steps: Callable[[McpPool], Awaitable[None]]) -> None:
    async def main() -> None:
        pool = McpPool(spec)
        try:
            await steps(pool)
        finally:
            await pool.close()

    asyncio.run(main())


def value_of(answer: McpAnswer) -> object:
    return json.loads(answer.result["content"][0]["text"])


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    assert is_so()


async def all_running(pool: McpPool) -> None:
    """Keep the pool busy until all its processes run."""
    calls: list[asyncio.Task[McpAnswer]] = []
    deadline = time.monotonic() + 20
    while pool.states.count("running") < pool.spec.processes and time.monotonic() < deadline:
        calls = [call for call in calls if not call.done()]
        if len(calls) < pool.spec.processes:
            calls.append(asyncio.create_task(pool.call_tool("later", {"delay_s": 0.2})))
        await asyncio.sleep(0.02)
    await asyncio.gather(*calls)
    assert pool.states == ["running"] * pool.spec.processes


# Which process gets a call.


def test_calls_one_after_the_other_need_one_process() -> None:
    async def steps(pool: McpPool) -> None:
        pids = {value_of(await pool.call_tool("pid", {})) for _ in range(10)}
        assert pids == {pool.pid} == set(pool.pids)
        assert pool.states == ["running", "stopped", "stopped"]
        assert pool.starts == 1

    run(SPEC, steps)


def test_a_busy_server_gets_more_processes_and_no_more_than_it_may() -> None:
    async def steps(pool: McpPool) -> None:
        await pool.start()
        await all_running(pool)
        assert len(set(pool.pids)) == 3
        assert pool.starts == 3

    run(SPEC, steps)


def test_the_least_loaded_process_gets_the_call() -> None:
    async def steps(pool: McpPool) -> None:
        await all_running(pool)
        calls = [pool.call_tool("later", {"delay_s": 1.0}) for _ in range(2)]
        busy = [asyncio.create_task(call) for call in calls]
        await asyncio.sleep(0)
        assert pool.in_flight == 2
        pids = {value_of(await pool.call_tool("pid", {})) for _ in range(5)}
        assert len(pids) == 1
        await asyncio.gather(*busy)
        calls = [pool.call_tool("pid", {}) for _ in range(30)]
        answers = [value_of(answer) for answer in await asyncio.gather(*calls)]
        assert {answers.count(pid) for pid in pool.pids} == {10}
        assert pool.in_flight == 0

    run(SPEC, steps)


def test_calls_go_to_what_runs_while_another_process_starts() -> None:
    async def steps(pool: McpPool) -> None:
        await pool.start()
        pid = pool.pid
        busy = asyncio.create_task(pool.call_tool("later", {"delay_s": 0.5}))
        await asyncio.sleep(0)
        answer = await pool.call_tool("pid", {})
        assert value_of(answer) == pid
        assert "starting" in pool.states
        await busy

    run(SPEC, steps)


# Failures.


def test_a_crash_fails_the_calls_of_its_own_process_alone() -> None:
    async def steps(pool: McpPool) -> None:
        await all_running(pool)
        crash = pool.call_tool("crash", {})
        others = [pool.call_tool("later", {"delay_s": 0.5, "value": n}) for n in range(2)]
        crashed, *answers = await asyncio.gather(crash, *others, return_exceptions=True)
        assert isinstance(crashed, McpCrashed)
        assert [value_of(answer) for answer in answers if isinstance(answer, McpAnswer)] == [0, 1]
        assert sorted(pool.states) == ["running", "running", "stopped"]
        await all_running(pool)
        assert pool.starts == 4

    run(SPEC, steps)


def test_failures_of_all_processes_count_together() -> None:
    async def steps(pool: McpPool) -> None:
        await all_running(pool)
        crashes = [pool.call_tool("crash", {}) for _ in range(3)]
        outcomes = await asyncio.gather(*crashes, return_exceptions=True)
        assert all(isinstance(outcome, McpCrashed) for outcome in outcomes)
        with pytest.raises(McpUnavailable, match="failed 3 times"):
            await pool.call_tool("echo", {})

    run(replace(SPEC, restarts_max=3), steps)


def test_a_start_in_the_background_that_fails_is_told_to_the_next_who_asks() -> None:
    async def steps(pool: McpPool) -> None:
        pool.start_soon()
        await until(lambda: pool.starts > 0 and "starting" not in pool.states)
        starts = pool.starts
        with pytest.raises(McpUnavailable, match="the key is missing"):
            await pool.call_tool("echo", {})
        assert pool.starts == starts
        with pytest.raises(McpUnavailable, match="the key is missing"):
            await pool.call_tool("echo", {})
        assert pool.starts > starts

    run(replace(SPEC, args=(SERVER, "broken")), steps)


def test_a_start_in_the_background_is_joined_by_the_first_call() -> None:
    async def steps(pool: McpPool) -> None:
        pool.start_soon()
        pool.start_soon()
        assert value_of(await pool.call_tool("echo", {"value": 1})) == 1
        assert pool.starts == 1

    run(SPEC, steps)


# The end.


def test_an_idle_process_is_stopped_and_started_again_when_it_is_needed() -> None:
    async def steps(pool: McpPool) -> None:
        first = value_of(await pool.call_tool("pid", {}))
        await until(lambda: pool.states == ["stopped"])
        assert pool.pids == []
        second = value_of(await pool.call_tool("pid", {}))
        assert second != first
        assert pool.starts == 2
        await until(lambda: pool.states == ["stopped"])

    run(replace(SPEC, processes=1, idle_stop_s=0.4), steps)


def test_a_process_with_a_long_call_is_not_idle() -> None:
    async def steps(pool: McpPool) -> None:
        later = {"delay_s": 1.0, "value": "done"}
        assert value_of(await pool.call_tool("later", later)) == "done"
        assert pool.starts == 1

    run(replace(SPEC, processes=1, idle_stop_s=0.2), steps)


def test_a_stopped_pool_starts_again_and_a_closed_one_does_not() -> None:
    async def steps(pool: McpPool) -> None:
        await pool.start()
        await pool.stop()
        assert (pool.pids, pool.states) == ([], ["stopped"] * 3)
        await pool.start()
        assert pool.starts == 2
        await pool.close()
        assert pool.states == ["closed"] * 3
        with pytest.raises(McpUnavailable, match="it was closed"):
            await pool.call_tool("echo", {})

    run(SPEC, steps)


def test_stopping_ends_a_start_under_way_and_tells_who_waits_for_it() -> None:
    async def steps(pool: McpPool) -> None:
        call = asyncio.create_task(pool.call_tool("echo", {}))
        await asyncio.sleep(0.01)
        await pool.stop()
        with pytest.raises(McpUnavailable, match="it was stopped"):
            await call
        assert value_of(await pool.call_tool("echo", {"value": 1})) == 1

    run(SPEC, steps)


def test_a_pool_tells_what_its_server_offers_and_how_often_its_tools_changed() -> None:
    async def steps(pool: McpPool) -> None:
        assert pool.capabilities == frozenset()
        await all_running(pool)
        assert pool.capabilities == {"tools", "resources", "prompts"}
        await asyncio.gather(*(pool.call_tool("announces", {"count": 2}) for _ in range(3)))
        assert pool.tools_changed == 6
        assert len(await pool.list_tools()) == 6
        assert len((await pool.list_resources()).result["resources"]) == 6
        assert len((await pool.list_resource_templates()).result["resourceTemplates"]) == 6
        assert len((await pool.list_prompts()).result["prompts"]) == 6
        assert (await pool.read_resource("x:y")).result["contents"][0]["text"] == "read"
        assert (await pool.get_prompt("p", {})).result["messages"]
        await pool.stop()
        assert pool.tools_changed == 6

    run(SPEC, steps)
