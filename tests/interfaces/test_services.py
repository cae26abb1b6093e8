"""What a person is told of the services that agents wrote."""

import json
from pathlib import Path

import pytest

import scripworld as library
from scripworld.agents.mind import Scripted
from scripworld.world import Contract, Invoke, Sleep, Tool, Write

from .conftest import scripworld_in

QUOTAS = {"compute": 500, "writes": 9, "stored_bytes": 9_000}
GREETER = "def greet():\n    return 'hi ' + caller()\n"
ECHO = "def say(text):\n    left = balance('ann')\n    return [text, invoke('greeter', 'greet', {}), left]\n"
GREET = Tool("greet", "Says hi.")
SAY = Tool("say", "", {"properties": {"text": {"type": "string"}}, "required": ["text"]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in which two services are called, one by the other."""
    folder = tmp_path_factory.mktemp("services")
    off = {name: {"enabled": False} for name in ("fetch", "filesystem")}
    agents = [{"id": id, "mind": id, "scrip": 50, "quotas": QUOTAS} for id in ("ann", "bob")]
    free, paid = Contract("freeware"), Contract("pay_per_use", 4)
    library.run(
        library.Scenario.model_validate({"name": "shop", "agents": agents}),
        minds={
            "ann": Scripted(
                [
                    Write("greeter", GREETER, "greets", "code", free, (GREET,)),
                    Write("echo", ECHO, "says it again", "code", paid, (SAY,)),
                ]
            ),
            "bob": Scripted(
                [
                    Sleep(1_000_000),
                    Invoke("echo", "say", {"text": "ho"}),
                    Invoke("echo", "say", {"text": "ha"}),
                    Invoke("echo", "say", {"txt": "ha"}),
                    Invoke("greeter", "greet"),
                ]
            ),
        },
        settings={
            "store": {"runs_dir": str(folder / "runs")},
            "genesis": {"mcp": {"servers": off}, "quantum": {"enabled": False}},
        },
        run_id="shop-1",
    )
    return folder


def printed(folder: Path, *args: object) -> str:
    ended = scripworld_in(folder, *args, COLUMNS="200")
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_a_service_is_shown_with_source_interface_price_and_earnings(folder):
    told = printed(folder, "show", "shop-1", "echo")

    assert "pay_per_use, 4 scrip for each read or call" in told
    assert "say(text: string)" in told
    assert ECHO.rstrip("\n") in told
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert "called 3 times, 1 of them not done" in lines
    assert "earned 8 scrip" in lines


def test_a_service_that_code_calls_says_so(folder):
    lines = [" ".join(x.split()) for x in printed(folder, "show", "shop-1", "greeter").splitlines()]

    assert "called 1 time, and 2 by code" in lines
    assert "earned 0 scrip" in lines


def test_a_line_of_the_log_names_what_code_asked_for(folder):
    told = printed(folder, "log", "shop-1", "--of", "echo", "--kind", "invoke")

    call = 'invoke echo say(text="ho"), calls back: invoke genesis_ledger balance, invoke greeter greet'
    assert call in told


def test_the_summary_has_a_table_of_services(folder):
    told = printed(folder, "show", "shop-1")
    table = told[told.index("What code of agents did") :]
    rows = [line.split() for line in table.splitlines()[2:4]]

    assert [row[:6] for row in rows] == [
        ["echo", "ann", "3", "–", "1", "8"],
        ["greeter", "ann", "1", "2", "–", "–"],
    ]
    services = library.open_run("shop-1", folder / "runs").summary().services
    assert [service.compute > 0 for service in services] == [True, True]


def test_code_is_run_again_where_that_is_asked_for(folder):
    assert "all code run again" in printed(folder, "verify", "shop-1", "--rerun-code")
    assert "all code run again" not in printed(folder, "verify", "shop-1")


def test_the_records_of_services_are_json(folder):
    lines = printed(folder, "log", "shop-1", "--json", "--limit", 0).splitlines()

    outcomes = [outcome["kind"] for line in lines for outcome in json.loads(line)["outcomes"]]
    assert {"Checked", "CallBack", "Return"} == set(outcomes)
