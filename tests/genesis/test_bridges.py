"""Tool servers by configuration alone, the nine with a class of their own, and servers that cannot start."""

import sys
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Scripted
from scripworld.genesis.mcp_bridge import GenesisMcpBridge, bridge_named
from scripworld.simulation.config import load_config
from scripworld.simulation.natives import BRIDGES, UnknownNative, bridge_of
from scripworld.simulation.scenario import configure
from scripworld.world import (
    Answer,
    Code,
    ConfigurationFault,
    Done,
    Envelope,
    Failed,
    Invoke,
    Method,
    Native,
    Settle,
    Sleep,
    Tool,
    Waiting,
)

SERVER = Path(__file__).with_name("servers") / "small_server.py"
QUOTAS = {"compute": 1_000, "tool_calls": 50}
ECHO = "genesis_echo_tools"
NINE = {
    "fetch": "GenesisFetch",
    "filesystem": "GenesisFilesystem",
    "web_search": "GenesisWebSearch",
    "github": "GenesisGithub",
    "sqlite": "GenesisSqlite",
    "context7": "GenesisContext7",
    "puppeteer": "GenesisPuppeteer",
    "playwright": "GenesisPlaywright",
    "sequential_thinking": "GenesisSequentialThinking",
}


def scenario() -> Scenario:
    agent = {"id": "a", "mind": "a", "scrip": 100, "quotas": QUOTAS}
    return Scenario.model_validate({"name": "bridges", "agents": [agent]})


def run_with(folder: Path, servers: dict[str, Any], *calls: Invoke, **arguments: Any) -> Run:
    """One agent makes the calls in a world whose enabled tool servers are these."""
    off = {name: {"enabled": False} for name in ("filesystem", "fetch")}
    settings = {
        "store": {"runs_dir": str(folder / "runs")},
        "genesis": {"mcp": {"servers": off | servers}},
    }
    minds = {"a": Scripted(list(calls))}
    return scripworld.run(scenario(), minds=minds, settings=settings, **arguments)


def small(folder: Path, **more: Any) -> dict[str, Any]:
    """The small server."""
    args = [str(SERVER), str(folder / "notes")]
    contained = {"sandbox": {"runner": "none"}, "start_timeout_s": 20, "grace_s": 0.3}
    return {"command": sys.executable, "args": args} | contained | more


def answers_of(run: Run) -> list[Answer]:
    """The final answers of the agent's invocations, in order."""
    answers: list[Answer] = []
    for record in run.records():
        invoked = isinstance(record.input, Envelope) and isinstance(record.input.action, Invoke)
        if (invoked or isinstance(record.input, Settle)) and not isinstance(record.answer, Waiting):
            assert record.answer is not None
            answers.append(record.answer)
    return answers


def bridges_of(run: Run) -> set[str]:
    """The artifacts of tool servers in a run's world."""
    artifacts = run.state().artifacts.by_id.values()
    return {a.id for a in artifacts if any(tool.name == "list_tools" for tool in a.interface)}


LIST = Invoke(ECHO, "list_tools")
READ = Invoke(ECHO, "read_text_file", {"path": "a.md"})


def test_a_server_by_configuration_alone_is_discovered_called_and_proved(tmp_path: Path):
    run = run_with(tmp_path, {"echo-tools": small(tmp_path)}, LIST, READ)

    listed, read = answers_of(run)
    assert isinstance(listed, Done)
    assert "read_text_file" in listed.result["methods"]
    assert isinstance(read, Done)
    assert read.result["content"][0]["text"].startswith("# About a.md")
    assert bridges_of(run) == {ECHO}
    opened = scripworld.open_run(run.folder)
    assert opened.verify().head == run.verify().head


def test_a_run_with_such_a_server_goes_on_and_starts_it_again(tmp_path: Path):
    begun = run_with(tmp_path, {"echo_tools": small(tmp_path)}, LIST, steps=2)
    run = scripworld.resume(begun.folder, minds={"a": Scripted([LIST, READ])})

    assert [type(answer) for answer in answers_of(run)] == [Done, Done]
    run.verify()
    assert (tmp_path / "notes").read_text().count(" start\n") == 2


@pytest.mark.parametrize("change", ["description", "interface", "method"])
def test_what_began_otherwise_than_a_bridge_is_not_taken_for_one(tmp_path: Path, change: str):
    bridge = bridge_named("echo_tools").native()
    tool = bridge.methods["list_tools"].tool
    description, name, about = bridge.description, tool.name, tool.description
    if change == "description":
        description += "!"
    elif change == "interface":
        about += "!"
    else:
        name = "list_tool"
    method = Method(Tool(name, about, tool.input_schema), lambda ctx, args: Done())
    own = Native(ECHO, description, {name: method})
    run = run_with(tmp_path, {}, natives=[own])

    scripworld.open_run(run.folder, natives=[own]).verify()
    with pytest.raises(UnknownNative, match=f"the run has {ECHO}, which"):
        scripworld.open_run(run.folder).verify()


@pytest.mark.parametrize("id", ["sqlite", "genesis_sqlite", "genesis_own.\0"])
def test_an_artifact_of_somebody_elses_with_the_name_of_a_server_is_not_taken_for_a_bridge(
    tmp_path: Path, id: str
):
    method = Method(Tool("list_tools", "List."), lambda ctx, args: Done())
    run = run_with(tmp_path, {}, natives=[Native(id, "Mine.", {"list_tools": method})])

    with pytest.raises(UnknownNative, match=f"the run has {id}, which"):
        scripworld.open_run(run.folder).verify()


@pytest.mark.parametrize(
    ("server", "missing"),
    [("echo_tools", "SMALL_KEY"), ("github", "GITHUB_PERSONAL_ACCESS_TOKEN, SMALL_KEY")],
)
def test_a_server_whose_variable_is_missing_is_unavailable_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, missing: str
):
    for name in missing.split(", "):
        monkeypatch.delenv(name, raising=False)
    env = {"KEY": "${SMALL_KEY}", "HOST": "${PATH}"}
    call = Invoke(bridge_of(server).id, "list_tools")
    afterwards = Invoke("genesis_ledger", "balance", {"principal": "a"})
    entry = small(tmp_path, env=env, enabled=True)
    run = run_with(tmp_path, {server: entry}, call, call, afterwards)

    first, second, balance = answers_of(run)
    assert isinstance(first, Failed)
    assert first == second
    assert first.code is Code.TOOL_UNAVAILABLE
    assert first.detail == (
        f"{server}: its server needs {missing} in the environment or in .env: "
        "set that, then run or resume again"
    )
    assert isinstance(balance, Done)
    assert not (tmp_path / "notes").exists()
    assert run.state().ledger.balances["a"] == 100
    scripworld.open_run(run.folder).verify()


def test_it_is_available_when_the_variable_is_set_and_the_run_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("SMALL_KEY", raising=False)
    server = small(tmp_path, env={"KEY": "${SMALL_KEY}"})
    begun = run_with(tmp_path, {"echo_tools": server}, LIST, steps=2)
    monkeypatch.setenv("SMALL_KEY", "secret-of-the-test")
    run = scripworld.resume(begun.folder, minds={"a": Scripted([LIST, LIST])})

    assert [type(answer) for answer in answers_of(run)] == [Failed, Done]
    kept = [path.read_bytes() for path in run.folder.rglob("*") if path.is_file()]
    assert not any(b"secret-of-the-test" in data for data in kept)


@pytest.mark.parametrize(("name", "class_name"), NINE.items())
def test_each_of_the_nine_has_its_class_and_its_entry_in_the_configuration(
    name: str, class_name: str
):
    bridge = BRIDGES[name]
    server = load_config().genesis.mcp.servers[name]

    assert bridge.__name__ == class_name
    assert issubclass(bridge, GenesisMcpBridge)
    assert (bridge.name, bridge.id) == (name, f"genesis_{name}")
    assert bridge_of(name) is bridge
    assert bridge.native().description.startswith(bridge.purpose)
    assert server.enabled == (name in ("fetch", "filesystem"))
    assert any("@" in arg for arg in server.args), "its version is pinned"


def test_the_nine_are_all_that_have_a_class():
    assert set(BRIDGES) == set(NINE) == set(load_config().genesis.mcp.servers)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ledger", "it would be genesis_ledger, and that is a part of every world"),
        ("web-search", "it would be genesis_web_search, and that is the server 'web_search'"),
        ("Mine", "'Mine' makes no id: an id is a lower-case letter, then"),
        ("my tools", "'my tools' makes no id: "),
        ("x" * 57, "of 64 characters at most with 'genesis_' before it"),
    ],
)
def test_a_server_whose_name_makes_no_artifact_is_refused(name: str, told: str):
    servers = {name: {"command": "my-server"}}
    with pytest.raises(ConfigurationFault) as refused:
        configure(scenario(), None, {"genesis": {"mcp": {"servers": servers}}})

    assert str(refused.value).startswith(f"the overrides: genesis.mcp.servers.{name}: ")
    assert told in str(refused.value)


def test_ids_may_be_shorter_than_that_of_a_server_which_is_not_enabled():
    config = configure(scenario(), None, {"world": {"limits": {"id_chars_max": 20}}})

    assert "sequential_thinking" in config.genesis.mcp.servers


def test_an_unknown_key_in_a_server_is_refused():
    servers = {"echo_tools": {"command": "my-server", "comand": "x"}}
    with pytest.raises(ConfigurationFault, match="unknown key 'comand'"):
        configure(scenario(), None, {"genesis": {"mcp": {"servers": servers}}})


@pytest.mark.registry
def test_the_sqlite_and_thinking_servers_run_as_they_are_configured(tmp_path: Path):
    thought = {
        "thought": "one",
        "thoughtNumber": 1,
        "totalThoughts": 1,
        "nextThoughtNeeded": False,
    }
    table = {"query": "CREATE TABLE notes (text TEXT)"}
    run = run_with(
        tmp_path,
        {"sqlite": {"enabled": True}, "sequential_thinking": {"enabled": True}},
        Invoke("genesis_sqlite", "list_tools"),
        Invoke("genesis_sqlite", "create_table", table),
        Invoke("genesis_sequential_thinking", "list_tools"),
        Invoke("genesis_sequential_thinking", "sequentialthinking", thought),
    )

    answers = answers_of(run)
    assert [type(answer) for answer in answers] == [Done] * 4, answers
    assert (run.folder / "servers" / "sqlite" / "shared.db").is_file()
    scripworld.open_run(run.folder).verify()


def test_a_server_can_be_started_before_anybody_calls_it(tmp_path: Path):
    rest = Sleep(3_000_000)
    run = run_with(
        tmp_path,
        {"echo_tools": small(tmp_path, start="background")},
        rest,
        clock="wall",
        until_us=2_000_000,
    )

    assert (tmp_path / "notes").read_text().count(" start\n") == 1
    assert bridges_of(run) == {ECHO}
