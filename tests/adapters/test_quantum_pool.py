"""The pool of quantum workers: real processes, their limits, and what is left after each end."""

import asyncio
import os
import signal
import time

import pytest

from scripworld.adapters.quantum_pool import QuantumPool
from scripworld.adapters.quantum_process import Job, WorkerUnavailable
from scripworld.world import Code, EffectRequest, Fault

MEGABYTE = 1_000_000
SECOND_US = 1_000_000


def operations(qubits, layers):
    """Layers of turns and of pairs that entangle everything."""
    for layer in range(layers):
        for q in range(qubits):
            yield ["u", [0.1 + q, 0.2 * layer, 0.3], [q], [], []]
        for q in range(qubits - 1):
            yield ["cx", [], [q, q + 1], [], []]
    for q in range(qubits):
        yield ["measure", [], [q], [q], []]


def payload(qubits=2, layers=1, shots=100, memory_bytes=512 * MEGABYTE, **more):
    circuit = {"qubits": qubits, "clbits": qubits, "ops": list(operations(qubits, layers))}
    return {
        "circuits": [circuit | {"method": "statevector"}],
        "points": [],
        "shots": shots,
        "seed": 7,
        "bond": 16,
        "noise": {},
        "outputs": ["counts"],
        "observables": {},
        "memory_bytes": memory_bytes,
        **more,
    }


def job(work=None, cpu_us=5 * SECOND_US, memory_bytes=512 * MEGABYTE, wall_s=60.0, most=10**7):
    return Job("run", payload() if work is None else work, cpu_us, memory_bytes, wall_s, most)


SMALL, LONG = job(), job(payload(22, 40))


def with_pool(scenario, workers=1, **options):
    """Run a scenario with a pool, which is closed in any case and leaves no process."""

    async def run():
        pool = QuantumPool(workers, **options)
        try:
            return await scenario(pool)
        finally:
            await pool.close()

    told = asyncio.run(run())
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    return told


def request(work, cpu_us=5 * SECOND_US, result_bytes_max=MEGABYTE, name="run"):
    hold = {"cpu_us": cpu_us, "memory_bytes": 512 * MEGABYTE, "compute": cpu_us // 10_000}
    told = {"job": name, "payload": work, "hold": hold}
    where = ("1.0", "key", "alice", "genesis_quantum", "run", "genesis_quantum")
    return EffectRequest(*where, told, 0, 0, 30 * SECOND_US, result_bytes_max, False)


def test_the_same_job_gives_the_same_counts_in_any_worker():
    async def scenario(pool):
        return await asyncio.gather(*(pool.run(job(payload(5, 3))) for _ in range(4)))

    reports = with_pool(scenario, workers=2)

    assert len({str(report.value["results"]) for report in reports}) == 1


def test_a_job_is_ended_at_its_cpu_time_and_the_next_one_runs():
    async def scenario(pool):
        ended = await pool.run(job(LONG.payload, cpu_us=300_000))
        return ended, await pool.run(SMALL), pool.replaced

    ended, small, replaced = with_pool(scenario)

    assert ended.problem == "cpu"
    assert 100_000 < ended.cpu_us < 3 * SECOND_US
    assert small.problem == ""
    assert replaced == 1


def test_a_job_is_ended_at_its_wall_time_and_the_next_one_runs():
    async def scenario(pool):
        await pool.warm()
        began = time.monotonic()
        ended = await pool.run(job(LONG.payload, cpu_us=100 * SECOND_US, wall_s=0.5))
        return ended, time.monotonic() - began, await pool.run(SMALL)

    ended, took_s, small = with_pool(scenario)

    assert ended.problem == "wall"
    assert took_s < 20
    assert small.problem == ""


def test_memory_that_the_simulator_counts_is_refused_before_it_is_taken():
    async def scenario(pool):
        work = payload(24, 1, memory_bytes=64 * MEGABYTE)
        return await pool.run(job(work)), await pool.run(SMALL), pool.replaced

    refused, small, replaced = with_pool(scenario)

    assert refused.problem == "refused"
    assert "Insufficient memory" in refused.detail
    assert small.problem == ""
    assert replaced == 0


def test_memory_that_nobody_counts_ends_the_worker():
    async def scenario(pool):
        work = payload(24, 30, memory_bytes=512 * MEGABYTE)
        ended = await pool.run(job(work, cpu_us=60 * SECOND_US, memory_bytes=64 * MEGABYTE))
        return ended, await pool.run(SMALL)

    ended, small = with_pool(scenario)

    assert ended.problem == "memory"
    assert small.problem == ""


def test_a_worker_killed_in_the_middle_of_a_job_is_told_and_replaced():
    async def scenario(pool):
        await pool.warm()
        running = asyncio.ensure_future(pool.run(LONG))
        await asyncio.sleep(0.5)
        (worker,) = pool.workers
        os.kill(worker, signal.SIGKILL)
        return await running, await pool.run(SMALL)

    died, small = with_pool(scenario)

    assert died.problem == "died"
    assert small.problem == ""


def test_a_worker_killed_between_two_jobs_is_not_noticed():
    async def scenario(pool):
        await pool.run(SMALL)
        (worker,) = pool.workers
        os.kill(worker, signal.SIGKILL)
        await asyncio.sleep(0.2)
        return await pool.run(SMALL)

    assert with_pool(scenario).problem == ""


def test_a_job_that_is_cancelled_ends_its_worker():
    async def scenario(pool):
        await pool.warm()
        running = asyncio.ensure_future(pool.run(LONG))
        await asyncio.sleep(0.3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return await pool.run(SMALL)

    assert with_pool(scenario).problem == ""


def test_a_start_that_is_cancelled_leaves_nothing():
    async def scenario(pool):
        running = asyncio.ensure_future(pool.run(SMALL))
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return await pool.run(SMALL)

    assert with_pool(scenario).problem == ""


def test_closing_ends_workers_that_are_busy():
    async def scenario(pool):
        await pool.warm()
        running = asyncio.ensure_future(pool.run(LONG))
        await asyncio.sleep(0.3)
        await pool.close()
        return (await running).problem

    assert with_pool(scenario) == "died"


def test_thirty_jobs_at_once_all_get_their_answer():
    async def scenario(pool):
        jobs = [pool.run(job(payload(4, 2, seed=k))) for k in range(30)]
        return await asyncio.gather(*jobs), len(pool.workers)

    reports, workers = with_pool(scenario, workers=2)

    assert [report.problem for report in reports] == [""] * 30
    assert workers == 2


def test_an_answer_beyond_its_bound_ends_the_worker():
    async def scenario(pool):
        told = await pool.run(job(payload(12, 3, shots=4_000), most=2_000))
        return told, await pool.run(SMALL)

    large, small = with_pool(scenario)

    assert large.problem == "large"
    assert small.problem == ""


def test_a_job_that_makes_no_sense_harms_nobody():
    nonsense = [
        {},
        "no object",
        payload(outputs=None),
        payload(seed="x"),
        payload(noise={"device": "generic_99999"}),
        payload(noise={"device": "fake_nowhere"}),
        payload(circuits=[{"qubits": 1, "clbits": 0, "ops": [["nope", [], [0], [], []]]}]),
    ]

    async def scenario(pool):
        reports = [await pool.run(job(work)) for work in nonsense]
        return reports, await pool.run(SMALL), pool.replaced

    reports, small, replaced = with_pool(scenario)

    assert {report.problem for report in reports} == {"failed", "refused"}
    assert all(report.detail for report in reports)
    assert small.problem == ""
    assert replaced == 0


def test_a_panic_of_the_parser_is_an_answer():
    async def scenario(pool):
        text = "OPENQASM 2.0; qreg q[1000000000000000000000];"
        work = {"text": text, "version": 2, "ours": [], "theirs": []}
        told = await pool.run(Job("read", work, 2 * SECOND_US, 64 * MEGABYTE, 60.0, MEGABYTE))
        return told, await pool.run(SMALL)

    told, small = with_pool(scenario)

    assert told.problem in ("failed", "refused", "cpu")
    assert small.problem == ""


def test_a_text_that_passed_unseen_is_ended_at_its_limits():
    """What the look before should have refused still does no harm."""

    async def scenario(pool):
        nested = "".join(f"gate g{k + 1} a {{ g{k} a; g{k} a; }} " for k in range(40))
        text = f"OPENQASM 2.0; gate g0 a {{ U(0,0,1) a; }} {nested} qreg q[1]; g40 q[0];"
        work = {"text": text, "version": 2, "ours": [], "theirs": []}
        told = await pool.run(Job("read", work, 300_000, 256 * MEGABYTE, 60.0, MEGABYTE))
        return told, await pool.run(SMALL)

    told, small = with_pool(scenario)

    assert told.problem in ("cpu", "memory")
    assert small.problem == ""


def test_a_file_is_not_opened_by_a_text():
    async def scenario(pool):
        work = {"version": 2, "ours": [], "theirs": []}
        work["text"] = 'OPENQASM 2.0; include "/etc/hostname"; qreg q[1];'
        return await pool.run(Job("read", work, SECOND_US, 64 * MEGABYTE, 60.0, MEGABYTE))

    told = with_pool(scenario)

    assert told.problem == "refused"
    assert "unable to find" in told.detail


class TestPerforming:
    def test_what_was_used_is_told_and_never_above_the_hold(self):
        async def scenario(pool):
            done = await pool.perform(request(payload()))
            ended = await pool.perform(request(LONG.payload, cpu_us=200_000))
            return done, ended

        done, ended = with_pool(scenario)

        assert done.code is None
        assert done.usage["compute"] >= 1
        assert ended.code is Code.EFFECT_TIMEOUT
        assert "ended at its hold of 0.2 CPU-seconds" in ended.detail
        assert ended.usage["cpu_us"] <= 200_000
        assert ended.usage["compute"] <= 20

    def test_a_refusal_of_the_worker_is_a_refusal_of_the_tool(self):
        async def scenario(pool):
            return await pool.perform(request(payload(noise={"device": "generic_99999"})))

        assert with_pool(scenario).code is Code.TOOL_REFUSED

    def test_a_worker_that_does_not_start_in_time_is_unavailable(self):
        async def scenario(pool):
            told = await pool.perform(request(payload()))
            with pytest.raises(WorkerUnavailable):
                await pool.warm()
            return told

        told = with_pool(scenario, start_timeout_s=0.001)

        assert told.code is Code.TOOL_UNAVAILABLE
        assert "pip install" in told.detail


def test_importing_the_adapters_imports_no_qiskit():
    import subprocess
    import sys

    program = "import sys, scripworld.adapters.quantum_pool, scripworld.genesis.quantum as q; "
    program += (
        "print([m for m in ('qiskit', 'qiskit_aer', 'numpy', 'matplotlib') if m in sys.modules])"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert told.stdout.strip() == b"[]"


def test_what_a_job_takes_is_measured_and_what_fails_is_told():
    async def scenario(pool):
        with pytest.raises(Fault, match="was to be measured failed"):
            await pool.measure(payload(seed="x"))
        return await pool.measure(payload(4, 20))

    assert 0 < with_pool(scenario) < 10
