"""Code that agents write, in whole runs: sold, waiting, killed, proved, run again."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import scripworld
from scripworld import Fault
from scripworld.agents.mind import Scripted
from scripworld.simulation.run import Run
from scripworld.world import (
    Code,
    ConfigurationFault,
    EffectRequested,
    Failed,
    Invoke,
    Read,
    Refused,
    ReplayMismatch,
    Settle,
    Sleep,
    Tool,
    Write,
)

from ..adapters.test_code_runner import are_gone, descendants
from .code_lab import (
    ORACLE,
    PAY_3,
    RUN_ID,
    SECOND_US,
    Oracle,
    asked,
    play,
    results,
    scenario,
    service,
    settings,
)
from .lab import conserved
from .test_kill import left_over

ROOT = Path(__file__).parents[2]
GREETER = "def greet():\n    return 'hi ' + caller()\n"
DICE = "def roll():\n    return [random(), random()]\n"


def proved(run: Run) -> Run:
    """The run, proved from its log alone and with its code run again."""
    run = scripworld.open_run(run.folder, natives=[ORACLE])
    assert not run.verify(conserved).has_run_code
    assert run.verify_running_code(conserved).has_run_code
    return run


def test_an_agent_sells_a_service_and_no_worker_outlives_the_run(tmp_path):
    before = set(descendants())

    run = play(
        tmp_path,
        alice=[service("greeter", GREETER, "greet")],
        bob=[Sleep(SECOND_US), Invoke("greeter", "greet"), Invoke("greeter", "greet")],
    )

    assert results(run) == ["hi bob", "hi bob"]
    balances = proved(run).state().ledger.balances
    assert (balances["alice"], balances["bob"]) == (106, 94)
    assert are_gone(set(descendants()) - before)


def test_code_that_cannot_be_read_is_told_its_writer_with_line_and_reason(tmp_path):
    run = play(tmp_path, alice=[service("bad", "def go():\n    yield 1\n", "go")])

    [no] = [r.answer for r in run.records() if isinstance(r.answer, Refused)]
    assert no.code == Code.DEFINITION_INVALID
    assert no.detail.startswith("line 2: code here cannot use yield")
    proved(run)


def test_two_equal_calls_draw_different_chance_and_two_equal_runs_the_same(tmp_path):
    def drawn(folder, seed=3):
        run = scripworld.run(
            scenario("alice", "bob"),
            seed=seed,
            minds={
                "alice": Scripted([service("dice", DICE, "roll")]),
                "bob": Scripted([Sleep(SECOND_US), *[Invoke("dice", "roll")] * 2]),
            },
            settings=settings(folder),
        )
        return run.summary().head, results(proved(run))

    head, (first, second) = drawn(tmp_path / "a")

    assert len({*first, *second}) == 4
    assert drawn(tmp_path / "b") == (head, [first, second])
    assert drawn(tmp_path / "c", seed=4) != (head, [first, second])


def test_code_waits_for_an_effect_and_goes_on_as_it_was(tmp_path):
    run = play(tmp_path, **asked())

    [[same, told, chance]] = results(run)
    assert (same, told) == (True, "forty-two")
    assert 0 <= chance < 1
    [settled] = [r for r in proved(run).records() if isinstance(r.input, Settle)]
    assert settled.now_us >= SECOND_US + 20_000
    assert run.state().ledger.balances["alice"] == 103


@pytest.mark.parametrize(
    ("number", "ended"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 0)]
)
def test_a_frame_that_waits_survives_a_signal_and_answers_as_if_nothing_had_been(
    tmp_path, number, ended
):
    undisturbed = results(play(tmp_path / "quiet", **asked()))
    place = tmp_path / "killed"
    place.mkdir()
    program = [sys.executable, "-m", "tests.simulation.code_lab", str(place)]
    process = subprocess.Popen(program, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (place / "asked").exists():
            assert process.poll() is None, "it ended before it waited"
            assert time.monotonic() < deadline, "it never waited"
            time.sleep(0.01)
        workers = descendants(process.pid)
        process.send_signal(number)
        assert process.wait(60) == ended
    finally:
        process.kill()
        process.wait()
    assert workers
    assert are_gone(workers)
    assert left_over(place) == set()

    killed = scripworld.open_run(RUN_ID, place, natives=[ORACLE])
    [request] = [
        fact for r in killed.records() for fact in r.facts if isinstance(fact, EffectRequested)
    ]
    assert [frame.artifact for frame in request.frames] == ["asker"]
    killed.verify(conserved)
    run = scripworld.resume(
        killed.folder,
        natives=[ORACLE],
        performers={"genesis_oracle": Oracle()},
        minds={id: Scripted(list(does)) for id, does in asked().items()},
    )

    assert results(run) == undisturbed
    proved(run)


def test_an_outcome_that_code_does_not_give_is_found_by_running_it_again(tmp_path):
    run = play(
        tmp_path,
        alice=[service("greeter", GREETER, "greet")],
        bob=[Sleep(SECOND_US), Invoke("greeter", "greet")],
    )
    settings_file = run.folder / "settings.json"
    if not settings_file.exists():
        [settings_file] = run.folder.glob("*.json")
    text = settings_file.read_text()
    assert '"recursion_max": 200' in text
    settings_file.write_text(text.replace('"code_bytes_max": 65536', '"code_bytes_max": 9'))

    with pytest.raises(ReplayMismatch, match="outcomes"):
        scripworld.open_run(run.folder, natives=[ORACLE]).verify_running_code()
    scripworld.open_run(run.folder, natives=[ORACLE]).verify()


def test_a_bound_ends_a_call_and_the_run_goes_on(tmp_path):
    run = play(
        tmp_path,
        alice=[
            service("loop", "def go():\n    while True:\n        pass\n", "go"),
            service("greeter", GREETER, "greet"),
        ],
        bob=[Sleep(SECOND_US), Invoke("loop", "go"), Invoke("greeter", "greet")],
    )

    [failed] = [r.answer for r in run.records() if isinstance(r.answer, Failed)]
    assert failed.code == Code.CODE_ABORTED
    assert results(run) == ["hi bob"]
    assert proved(run).state().ledger.balances["bob"] == 97


def test_a_job_runs_beside_the_world_under_bounds_of_its_own(tmp_path):
    code = "def count(n):\n    a = 0\n    for i in range(n):\n        a += i\n    return [a, caller()]\n"
    count = Tool("count", "", {"properties": {"n": {"type": "integer"}}}, job=True)
    run = play(
        tmp_path,
        alice=[Write("counter", code, "counts", "code", PAY_3, (count,))],
        bob=[
            Sleep(SECOND_US),
            Invoke("counter", "count", {"n": 2_000_000}),
            Invoke("counter", "count"),
        ],
    )

    assert results(run) == [[1_999_999_000_000, "bob"]]
    done, failed = [r.input.result for r in run.records() if isinstance(r.input, Settle)]
    assert done.usage["cpu_us"] > 50_000
    assert failed.code == Code.CODE_RAISED
    assert proved(run).state().ledger.balances["bob"] == 97


def test_a_world_may_be_without_code(tmp_path):
    run = scripworld.run(
        scenario("alice"),
        minds={"alice": Scripted([service("greeter", GREETER, "greet")])},
        settings=settings(tmp_path) | {"code": {"enabled": False}},
    )

    [no] = [r.answer for r in run.records() if isinstance(r.answer, Refused)]
    assert "runs no agent-written code" in no.detail
    proved(run)


def test_a_host_that_cannot_run_code_ends_the_run_with_a_sentence_and_another_goes_on(
    tmp_path, monkeypatch
):
    minds = {
        "alice": Scripted([Write("note", "hello"), service("greeter", GREETER, "greet")]),
        "bob": Scripted([Read("note"), Sleep(SECOND_US), Invoke("greeter", "greet")]),
    }
    monkeypatch.setenv("MCP_SANDBOX_RUNNER", "firejail")
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(Fault, match="firejail: it is not installed"):
        scripworld.run(scenario(*minds), minds=minds, settings=settings(tmp_path), run_id=RUN_ID)

    monkeypatch.undo()
    scripworld.open_run(RUN_ID, tmp_path).verify()
    run = scripworld.resume(RUN_ID, runs_dir=tmp_path, minds=minds)
    assert "hi bob" in results(run)
    proved(run)


# Code that a scenario brings.


def written(folder: Path, code: str, **changes: object) -> Path:
    (folder / "greeter.py").write_text(code)
    path = folder / "shop.yaml"
    path.write_text(f"""\
agents:
  - {{id: bob, mind: bob, scrip: 10, quotas: {{compute: 100}}}}
principals:
  - {{id: shop, scrip: 5}}
artifacts:
  - id: greeter
    owner: shop
    type: {changes.get("type", "code")}
    contract: {{id: pay_per_use, price_scrip: 3}}
    content_file: {changes.get("file", "greeter.py")}
    interface:
      - {{name: greet, {changes.get("key", "inputSchema")}: {changes.get("schema", "{}")}}}
""")
    return path


def shop(path: Path, folder: Path) -> Run:
    minds = {"bob": Scripted([Invoke("greeter", "greet")])}
    return scripworld.run(path, minds=minds, settings=settings(folder))


def test_a_scenario_brings_code_from_a_file_and_goes_on_without_it(tmp_path):
    path = written(tmp_path, GREETER)

    run = shop(path, tmp_path)
    (tmp_path / "greeter.py").unlink()
    again = scripworld.resume(run.folder, until_us=90 * SECOND_US, minds={"bob": Scripted([])})

    assert results(run) == ["hi bob"]
    state = proved(again).state()
    assert state.ledger.balances["shop"] == 8
    assert state.artifacts.by_id["greeter"].contract == PAY_3


def test_a_run_in_a_notebook_may_have_code_too(tmp_path):
    async def cell():
        return shop(written(tmp_path, GREETER), tmp_path)

    assert results(asyncio.run(cell())) == ["hi bob"]


@pytest.mark.parametrize(
    ("code", "changes", "told"),
    [
        (
            "def greet():\n    yield 1\n",
            {},
            r"shop.yaml, line 10: artifacts\[0\].content_file: .*greeter.py, line 2: code here cannot",
        ),
        (
            GREETER,
            {"file": "gone.py"},
            r"line 10: .*content_file: .*gone.py can't be read: No such",
        ),
        (GREETER, {"key": "inputShema"}, r"line 12: .*unknown key 'inputShema'; the nearest"),
        (GREETER, {"schema": "7"}, r"line 12: artifacts\[0\].interface\[0\]: this is no method"),
        (GREETER, {"schema": "{type: 7}"}, r"line 11: artifacts\[0\].interface: the schema of 'gr"),
        (GREETER, {"type": "text"}, r"line 11: .*only an artifact of type code has an interface"),
        (GREETER, {"type": "principal"}, r"line 8: .*type principal is not made by configuration"),
    ],
)
def test_what_is_wrong_with_an_artifact_is_told_with_file_and_line(tmp_path, code, changes, told):
    path = written(tmp_path, code, **changes)

    with pytest.raises(ConfigurationFault, match=told):
        shop(path, tmp_path)

    assert [entry for entry in tmp_path.iterdir() if entry.is_dir()] == []


def test_content_is_given_once(tmp_path):
    path = written(tmp_path, GREETER)
    path.write_text(path.read_text() + "    content: x\n")

    with pytest.raises(ConfigurationFault, match="leave out one of them"):
        shop(path, tmp_path)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ({"workers_max": 16}, r"code.workers_max: expected more than world.limits.frame_depth_max"),
        ({"wall_us": 49_999}, r"code.time_us: expected at most wall_us \(49999\), found 50000"),
        ({"workers_warm": 33}, r"code.workers_warm: expected at most workers_max \(32\), found 33"),
        ({"time_us": 999}, "code.time_us: expected at least 1000"),
    ],
)
def test_bounds_that_contradict_each_other_are_told(tmp_path, code, told):
    with pytest.raises(ConfigurationFault, match=told):
        scripworld.run(
            scenario("alice"),
            minds={"alice": Scripted([])},
            settings=settings(tmp_path) | {"code": code},
        )


def test_a_world_without_code_imports_no_interpreter(tmp_path):
    program = (
        "import sys, scripworld; from scripworld.agents.mind import Scripted;"
        "from tests.simulation.code_lab import *;"
        f"run = play(Path({str(tmp_path)!r}), alice=[Write('a', 'b')]);"
        "open_ = scripworld.open_run(run.folder, natives=[ORACLE]); open_.verify();"
        "assert 'pydantic_monty' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
