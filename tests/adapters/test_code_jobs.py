"""What a job may do, what bounds it, and that it ends when its world does not want it any more."""

import asyncio
from typing import Any

import pytest

from scripworld.adapters.code_jobs import CodeJobs
from scripworld.adapters.code_limits import CodeLimits
from scripworld.world import Code, EffectRequest, EffectResult

from .test_code_runner import are_gone, descendants

LIMITS = CodeLimits(time_us=500_000, wall_us=8_000_000, workers_max=2, workers_warm=1)
LOOP = "def go():\n    while True:\n        pass\n"


def request(source: str, args: dict[str, Any] | None = None, **payload: Any) -> EffectRequest:
    told = {
        "artifact": "shop",
        "code": source,
        "method": "go",
        "args": args or {},
        "caller": "bob",
        "now_us": 5_000_000,
        "seed": "7/shop/1.0",
    }
    return EffectRequest(
        *("1.0", "key", "bob", "shop", "go", "code"),
        told | payload,
        *(0, 0, 30_000_000, 4_000_000, True),
    )


def performed(*requests: EffectRequest, limits: CodeLimits = LIMITS) -> list[EffectResult]:
    """The results of jobs that run side by side; no worker is left."""
    before = set(descendants())

    async def main() -> list[EffectResult]:
        jobs = CodeJobs(limits, None)
        try:
            return list(await asyncio.gather(*map(jobs.perform, requests)))
        finally:
            await jobs.close()

    results = asyncio.run(main())
    assert are_gone(set(descendants()) - before)
    return results


def test_a_job_has_its_arguments_its_caller_its_time_and_its_chance():
    code = "def go(n):\n    return [n + 1, caller(), now(), random()]\n"

    one, again, other = performed(
        request(code, {"n": 1}), request(code, {"n": 1}), request(code, {"n": 1}, seed="8/shop/1.0")
    )

    assert one.code is None
    assert one.value[:3] == [2, "bob", 5_000_000]
    assert one.value == again.value != other.value
    assert one.usage.keys() == {"cpu_us"}


def test_a_job_may_take_longer_than_a_call():
    code = "def go(n):\n    a = 0\n    for i in range(n):\n        a += i\n    return a\n"

    [result] = performed(
        request(code, {"n": 2_000_000}),
        limits=CodeLimits(time_us=8_000_000, wall_us=16_000_000, workers_max=1, workers_warm=1),
    )

    assert result.value == 1_999_999_000_000
    assert result.usage["cpu_us"] > 50_000


def test_a_job_calls_nothing_back():
    caught = (
        "def go():\n    try:\n        transfer('alice', 1)\n    except PermissionError as error:\n"
        "        return [refusal(error).code, refusal(error).detail]\n"
    )

    [failed, told] = performed(request("def go():\n    return read('note')\n"), request(caught))

    assert failed.code == Code.CODE_RAISED
    assert failed.detail.startswith("line 2: EFFECT_NOT_ALLOWED: a job calls nothing back")
    assert told.value[0] == "EFFECT_NOT_ALLOWED"


def test_what_goes_wrong_in_a_job_is_told():
    raised, aborted, unknown = performed(
        request("def go():\n    return 1 // 0\n"),
        request("def go():\n    a = 'x' * 10_000_000\n    return [a + 'y', a + 'z']\n"),
        request("def stay():\n    return 1\n"),
    )

    assert (raised.code, raised.detail) == (
        Code.CODE_RAISED,
        "line 2: ZeroDivisionError: division by zero",
    )
    assert aborted.code == Code.CODE_ABORTED
    assert "memory" in aborted.detail
    assert (unknown.code, unknown.value) == (Code.CODE_RAISED, None)


def test_a_job_is_ended_at_its_bound_and_others_go_on():
    ended, done = performed(request(LOOP), request("def go():\n    return 1\n"))

    assert ended.code == Code.CODE_ABORTED
    assert ended.detail.startswith("a call has 500 ms of time")
    assert done.value == 1


@pytest.mark.parametrize("payload", [{"code": 7}, {"method": None}, {"now_us": "soon"}])
def test_what_is_no_job_fails(payload):
    [result] = performed(request(LOOP, **payload))

    assert result.code == Code.TOOL_FAILED
    assert result.detail.startswith("this is no job")


def test_a_job_that_is_cancelled_ends_at_once_and_gives_its_place_back():
    before = set(descendants())
    long = CodeLimits(time_us=600_000_000, wall_us=600_000_000, workers_max=1, workers_warm=1)

    async def main() -> EffectResult:
        jobs = CodeJobs(long, None)
        try:
            endless = asyncio.create_task(jobs.perform(request(LOOP)))
            behind = asyncio.create_task(jobs.perform(request(LOOP)))
            while not set(descendants()) - before:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            for task in (behind, endless):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            return await jobs.perform(request("def go():\n    return 1\n"))
        finally:
            await jobs.close()

    assert asyncio.run(main()).value == 1
    assert are_gone(set(descendants()) - before)


def test_jobs_that_run_when_their_world_ends_end_with_it():
    before = set(descendants())
    long = CodeLimits(time_us=600_000_000, wall_us=600_000_000, workers_max=1, workers_warm=1)

    async def main() -> list[EffectResult]:
        jobs = CodeJobs(long, None)
        tasks = [asyncio.create_task(jobs.perform(request(LOOP))) for _ in range(2)]
        while not set(descendants()) - before:
            await asyncio.sleep(0.01)
        for task in tasks[1:]:
            task.cancel()
        await jobs.close()
        return [await tasks[0]]

    [result] = asyncio.run(main())

    assert result.code == Code.CODE_ABORTED
    assert are_gone(set(descendants()) - before)


def test_the_world_goes_on_while_a_job_runs():
    async def main() -> int:
        jobs = CodeJobs(LIMITS, None)
        try:
            job = asyncio.create_task(jobs.perform(request(LOOP)))
            turns = 0
            while not job.done():
                await asyncio.sleep(0.001)
                turns += 1
            return turns
        finally:
            await jobs.close()

    assert asyncio.run(main()) > 20


def test_jobs_that_cannot_run_here_say_so():
    async def main() -> EffectResult:
        jobs = CodeJobs(LIMITS, "firejail")
        try:
            return await jobs.perform(request(LOOP))
        finally:
            await jobs.close()

    result = asyncio.run(main())

    assert result.code == Code.TOOL_UNAVAILABLE
    assert "firejail" in result.detail


def test_nothing_is_started_before_the_first_job():
    before = set(descendants())

    assert performed() == []

    assert set(descendants()) == before
