"""Reading and proving runs from the command line."""

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from struct import Struct

import pytest

from scripworld import run
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.interfaces.lines import line_of
from scripworld.world import (
    Done,
    Method,
    Native,
    Operate,
    Pause,
    Record,
    Resume,
    SetLimit,
    Signal,
    StopAgent,
    Tool,
)

from .conftest import PROCESS_TIMEOUT_S, command_of, environment

FRAME = Struct(">I32s")


def change_record(world: Path, seq: int, change: Callable[[bytes], bytes]) -> None:
    """Change the body of one record in its segment."""
    connection = sqlite3.connect(world)
    query = "SELECT first_seq, frames FROM segment WHERE first_seq <= ? ORDER BY first_seq DESC"
    first, frames = connection.execute(query, (seq,)).fetchone()
    at = 0
    for _ in range(first, seq):
        at += FRAME.size + FRAME.unpack_from(frames, at)[0]
    begin = at + FRAME.size
    end = begin + FRAME.unpack_from(frames, at)[0]
    changed = frames[:begin] + change(frames[begin:end]) + frames[end:]
    connection.execute("UPDATE segment SET frames = ? WHERE first_seq = ?", (changed, first))
    connection.commit()
    connection.close()


def records_of(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


# verify


def test_verify_says_what_was_proved(scripworld, made):
    ended = scripworld("verify", "town-1")

    assert ended.returncode == 0
    assert "town-1 is proved" in ended.stdout
    assert f"{made[1]['records']:,} records" in ended.stdout
    assert made[1]["head"] in ended.stdout


@pytest.mark.parametrize("seq", [0, 57])
def test_verify_names_the_record_that_was_changed(scripworld, town, seq):
    world = town / "runs" / "town-1" / "world.db"
    change_record(world, seq, lambda body: body[:-1] + bytes([body[-1] ^ 1]))

    ended = scripworld("verify", "town-1")

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert f"error: record {seq} was changed" in ended.stderr


@pytest.mark.parametrize("command", [["show", "town-1"], ["ledger", "town-1"]])
def test_a_changed_record_is_named_whoever_reads_it(scripworld, town, command):
    world = town / "runs" / "town-1" / "world.db"
    change_record(world, 57, lambda body: body[:-1] + bytes([body[-1] ^ 1]))

    ended = scripworld(*command)

    assert ended.returncode == 1
    assert "record 57 was changed" in ended.stderr


def test_a_file_that_is_cut_off_is_told(scripworld, town):
    world = town / "runs" / "town-1" / "world.db"
    world.write_bytes(world.read_bytes()[:20_000])

    for command in ("verify", "log", "show", "ledger", "resume"):
        ended = scripworld(command, "town-1")

        assert ended.returncode == 1, command
        assert ended.stderr.startswith("error: "), command


def test_verify_of_a_run_with_an_artifact_of_its_own_says_what_is_not_checked(scripworld, town):
    oracle = Native("oracle", "Knows.", {"ask": Method(Tool("ask", "Ask."), lambda *_: Done("42"))})
    settings = {"store": {"runs_dir": str(town / "runs")}}
    run(town / "town.yaml", run_id="own", natives=[oracle], settings=settings, until_us=900_000)

    ended = scripworld("verify", "own")

    told = " ".join(ended.stdout.split())
    assert ended.returncode == 1
    assert "own is proved in part: not its decisions." in told
    assert "decisions not checked" in told
    assert "fold the facts" in told
    assert "159 in all, as issued" in told
    assert ended.stderr.startswith(
        "error: the decisions of own could not be checked: the run has oracle"
    )


def test_a_world_file_that_is_empty_is_told(scripworld, town):
    (town / "runs" / "town-1" / "world.db").write_bytes(b"")

    ended = scripworld("verify", "town-1")

    assert ended.returncode == 1
    assert "is empty or cut off" in ended.stderr


# log


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (Pause(), "an operator pauses the whole world"),
        (Resume("reader_3"), "an operator lets reader_3 go on"),
        (StopAgent("hoarder_1"), "an operator stops hoarder_1"),
        (StopAgent("hoarder_1", "it hoards"), "an operator stops hoarder_1: it hoards"),
        (Signal("reader_3", "hurry"), "an operator tells reader_3: hurry"),
        (
            SetLimit("reader_3", "compute", 500),
            "an operator sets the compute limit of reader_3 to 500",
        ),
    ],
)
def test_what_an_operator_does_reads_like_a_sentence(command, told):
    record = Record(1, 5, None, Operate(command), [], [], Done(None))

    line = str(line_of(record, MemoryEventLog()))
    assert " ".join(line.split()) == f"1 0.000 s {told}"


def test_log_prints_the_newest_records_a_line_each(scripworld, made):
    ended = scripworld("log", "town-1", "--limit", 5)

    lines = ended.stdout.splitlines()
    last = made[1]["records"] - 1
    assert [int(line.split()[0]) for line in lines] == list(range(last - 4, last + 1))
    assert f"({last - 4} earlier" in ended.stderr


def test_log_begins_with_what_the_world_began_with(scripworld):
    ended = scripworld("log", "town-1", "--since", 0, "--limit", 1)

    assert "begins with 6 principals" in ended.stdout
    assert "159 scrip; seed 4" in ended.stdout


def test_a_line_says_who_did_what_for_how_much_and_what_came_of_it(scripworld):
    bought = scripworld("log", "town-1", "--of", "town_map", "--kind", "read").stdout
    refused = scripworld("log", "town-1", "--code", "method_unknown").stdout

    assert "reads" not in bought
    assert "read town_map, pays 3 scrip to mapmaker → done" in bought
    assert "clumsy" in refused
    assert "→ refused METHOD_UNKNOWN: genesis_ledger has no method 'transfr'" in refused


def test_log_filters_by_id_kind_and_code(scripworld):
    every = records_of(scripworld("log", "town-1", "--limit", 0, "--json").stdout)
    of = records_of(scripworld("log", "town-1", "--of", "clumsy", "--limit", 0, "--json").stdout)
    kind = records_of(scripworld("log", "town-1", "--kind", "sleep", "--limit", 0, "--json").stdout)
    code = records_of(
        scripworld("log", "town-1", "--code", "NOT_FOUND", "--limit", 0, "--json").stdout
    )

    def acts(record: dict, principal: str) -> bool:
        return record["input"].get("principal") == principal

    def is_sleep(record: dict) -> bool:
        return record["input"].get("action", {}).get("kind") == "Sleep"

    assert [r["seq"] for r in every] == list(range(len(every)))
    assert {r["seq"] for r in every if acts(r, "clumsy")} <= {r["seq"] for r in of}
    assert len(of) < len(every)
    assert [r for r in every if is_sleep(r)] == kind
    assert [r for r in every if (r["answer"] or {}).get("code") == "NOT_FOUND"] == code
    assert kind and code


def test_log_since_gives_the_first_from_there(scripworld):
    ended = scripworld("log", "town-1", "--since", 7, "--limit", 3, "--json")

    assert [record["seq"] for record in records_of(ended.stdout)] == [7, 8, 9]


def test_log_says_when_nothing_is_like_that(scripworld):
    ended = scripworld("log", "town-1", "--kind", "operate")

    assert (ended.returncode, ended.stdout) == (0, "")
    assert "No record is like that" in ended.stderr


def test_follow_of_a_run_that_ended_ends_too(scripworld, made):
    ended = scripworld("log", "town-1", "--follow", "--limit", 2, "--json")

    last = made[1]["records"] - 1
    assert [record["seq"] for record in records_of(ended.stdout)] == [last - 1, last]


def test_follow_goes_on_with_a_run_until_it_ends(town):
    args = ("--scenario", "town.yaml", "--clock", "wall", "--until", "1500ms", "--run-id", "now")
    with subprocess.Popen(
        command_of("run", *args, "--json"),
        cwd=town,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        while not (town / "runs" / "now" / "world.db").is_file() and run.poll() is None:
            pass
        follow = subprocess.run(
            command_of("log", "now", "--follow", "--since", 0, "--limit", 0, "--json"),
            cwd=town,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PROCESS_TIMEOUT_S,
            check=False,
        )
        told = json.loads(run.communicate(timeout=PROCESS_TIMEOUT_S)[0])

    records = records_of(follow.stdout)
    assert (run.returncode, follow.returncode, follow.stderr) == (0, 0, "")
    assert [record["seq"] for record in records] == list(range(told["records"]))
    assert records[-1]["hash"] == told["head"]


def test_a_reader_that_goes_away_is_no_error(town):
    with subprocess.Popen(
        command_of("log", "town-1", "--limit", 0, "--json"),
        cwd=town,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as log:
        log.stdout.readline()
        log.stdout.close()
        said = log.stderr.read()
        code = log.wait(PROCESS_TIMEOUT_S)

    assert (code, said) == (141, b"")


# show, ledger


def test_show_tells_everything_of_an_artifact(scripworld):
    ended = scripworld("show", "town-1", "town_map")

    assert "map of the town" in ended.stdout
    assert "pay_per_use, 3 scrip" in ended.stdout
    assert "mapmaker" in ended.stdout
    assert "The \\x1b[31mwell\\x1b[0m is by the gate." in ended.stdout
    assert "\x1b" not in ended.stdout


def test_show_tells_the_interface_of_an_artifact(scripworld):
    ended = scripworld("show", "town-1", "genesis_ledger")

    assert "transfer(to: string, amount: integer" in ended.stdout


def test_show_tells_balance_quotas_and_property_of_a_principal(scripworld, made):
    scrip = {one["id"]: one["scrip_end"] for one in made[1]["principals"]}
    ended = scripworld("show", "town-1", "mapmaker")
    agent = scripworld("show", "town-1", "hoarder")

    told = " ".join(ended.stdout.split())
    assert f"scrip {scrip['mapmaker']}" in told
    assert "owns town_map" in told
    assert "of 120 used in 60 s" in " ".join(agent.stdout.split())
    assert "loop" in agent.stdout


def test_show_tells_everything_of_a_record(scripworld):
    ended = scripworld("show", "town-1", 1)

    record = json.loads(ended.stdout.partition("\n")[2])
    assert record["seq"] == 1
    assert len(record["hash"]) == 64


def test_show_without_an_id_is_the_summary(scripworld, made):
    ended = scripworld("show", "town-1")

    assert "Who earned what from whom" in ended.stdout
    assert made[1]["head"][:16] in ended.stdout


@pytest.mark.parametrize("columns", ["40", "80", "120", "200"])
def test_a_summary_fits_its_width(scripworld, columns):
    ended = scripworld("show", "town-1", COLUMNS=columns)

    assert ended.returncode == 0
    wide = [line for line in ended.stdout.splitlines() if len(line) > int(columns)]
    assert int(columns) < 80 or wide == []


def test_ledger_says_that_the_balances_sum_to_the_supply(scripworld, made):
    ended = scripworld("ledger", "town-1")

    for one in made[1]["principals"]:
        assert one["id"] in ended.stdout
    assert "6 balances, 159 scrip: they sum to what was issued (159)" in ended.stdout


def test_ledger_of_a_principal_tells_every_movement(scripworld, made):
    earned = {one["id"]: one["earned"] for one in made[1]["principals"]}
    ended = scripworld("ledger", "town-1", "--of", "mapmaker")

    lines = [line for line in ended.stdout.splitlines() if "for reading town_map" in line]
    assert sum(int(line.split()[3]) for line in lines) == earned["mapmaker"] > 0
    assert f"mapmaker has {earned['mapmaker']} scrip" in ended.stdout
