"""From the settings of a tool server to what is started: placeholders, places, processes, refusals."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scripworld import Scenario
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.sandbox import RUNNER_VARIABLE
from scripworld.agents.mind import Decision, Observation, Scripted
from scripworld.simulation.config import load_config
from scripworld.simulation.scenario import configure
from scripworld.simulation.servers import (
    Place,
    Server,
    environment,
    servers_of,
    warnings_of,
)
from scripworld.world import Code, ConfigurationFault, Failed, Sleep, Stop

from ..genesis.plain_lab import (
    LIST,
    OFF,
    PLAIN,
    RUNNER,
    SECOND_US,
    Plain,
    answers_of,
    call,
    codes_of,
    run_with,
    text_of,
    tool,
)

LOOK = call("look")
SCENARIO = Scenario.model_validate({"name": "servers", "agents": []})


@pytest.fixture
def plain(tmp_path: Path) -> Plain:
    plain = Plain(tmp_path)
    plain.offer(tool("look"), tool("place"), tool("later", delay_s="number"))
    return plain


def server(environ: Mapping[str, str] | None = None, **settings: Any) -> Server:
    """A server `plain` as its settings make it, with these variables."""
    given = {"genesis": {"mcp": {"servers": OFF | {"plain": {"command": "true", **settings}}}}}
    configured = configure(SCENARIO, None, given).genesis.mcp.servers["plain"]
    return Server("plain", configured, {RUNNER_VARIABLE: "none", **(environ or {})})


def spec(
    folder: Path,
    environ: Mapping[str, str] | None = None,
    *,
    roots: tuple[Path, ...] = (),
    **settings: Any,
) -> McpServerSpec:
    return server(environ, **settings).spec(Place(folder, 1_000_000, roots), None)


# Placeholders.


def test_placeholders_stand_for_places_of_the_run(tmp_path: Path):
    words = ["{run}", "{own}/db", "--files={files}", "{python}", "{lib}/x.py", "<{run}{own}>"]
    made = spec(
        tmp_path,
        command="{python}",
        args=words,
        cwd="{own}",
        env={"WHERE": "{files}:{own}"},
        sandbox={"read": ["{lib}"], "write": ["{files}", "{own}/more"]},
    )

    own, files = tmp_path / "servers" / "plain", tmp_path / "files"
    lib = Path(made.args[4]).parent
    assert made.command == sys.executable
    assert made.args == (
        *(str(tmp_path), f"{own}/db", f"--files={files}", sys.executable, f"{lib}/x.py"),
        f"<{tmp_path}{own}>",
    )
    assert (lib / "search_server.py").is_file()
    assert made.cwd == str(own)
    assert made.env == {"WHERE": f"{files}:{own}"}
    assert made.sandbox.own == own
    assert made.sandbox.read == (lib,)
    assert made.sandbox.write == (files, own / "more")


def test_a_word_with_roots_stands_once_for_each(tmp_path: Path):
    roots = (tmp_path / "docs", tmp_path / "more docs")
    args = ["a", "{roots}", "--root={roots}/x", "b"]

    assert spec(tmp_path, args=[*args, "{proxy}"]).args == ("a", "b", "")
    made = spec(tmp_path, roots=roots, args=args, sandbox={"read": ["{roots}"]})
    assert made.args == (
        *("a", str(roots[0]), str(roots[1])),
        *(f"--root={roots[0]}/x", f"--root={roots[1]}/x", "b"),
    )
    assert made.sandbox.read == roots


@pytest.mark.parametrize(
    "word",
    [
        *("{}", "{home}", "{Run}", "{run", "run}", "{ run }", "{run.x}", "{0}", "{{x}}", "%s"),
        *('{"headless": true}', "{own2}", "$run", "{ROOTS}"),
    ],
)
def test_what_is_no_placeholder_stays_as_it_is(tmp_path: Path, word: str):
    made = spec(tmp_path, args=[word], env={"X": word}, cwd=word)

    assert made.args == (word,)
    assert made.env == {"X": word}
    assert made.cwd == word


def test_a_variable_may_be_named_like_a_placeholder_and_its_value_is_no_pattern(tmp_path: Path):
    environ = {"lib": "/opt/lib", "KEY": "{run}${OTHER}\\1", "OTHER": "x"}
    made = spec(tmp_path, environ, env={"A": "${lib}", "B": "<${KEY}>", "C": "$KEY {run}"})

    assert made.env == {"A": "/opt/lib", "B": "<{run}${OTHER}\\1>", "C": f"$KEY {tmp_path}"}


def test_a_server_runs_where_it_is_told_with_what_it_is_told(plain: Plain):
    run = plain.run(
        *(LIST, call("place")),
        cwd="{run}/elsewhere",
        args=[*plain.settings()["args"], "{own}", "{odd}", "{proxy}"],
        env={"WHERE": "{run}"},
        sandbox={"write": [str(plain.served), "{run}/elsewhere"], "network": "proxy"},
    )

    told = json.loads(text_of(answers_of(run)[1]))
    own = run.folder / "servers" / "plain"
    assert told["cwd"] == str(run.folder / "elsewhere")
    assert told["args"][1:3] == [str(own), "{odd}"]
    if RUNNER == "bubblewrap":
        assert told["args"][3] == "http://127.0.0.1:3128"
    assert told["env"]["WHERE"] == str(run.folder)
    assert told["env"]["HOME"] == str(own)
    assert told["env"]["HTTP_PROXY"] == told["env"]["https_proxy"] == told["args"][3]


def test_without_a_place_of_its_own_it_runs_in_its_folder(plain: Plain):
    run = plain.run(LIST, call("place"))

    told = json.loads(text_of(answers_of(run)[1]))
    assert told["cwd"] == told["env"]["HOME"] == str(run.folder / "servers" / "plain")
    assert "HTTP_PROXY" not in told["env"]


# What cannot be started.


def test_a_remote_server_is_kept_and_unavailable(plain: Plain):
    remote = {"url": "https://tools.example.test/mcp"}
    run = run_with(plain.folder, {"plain": remote}, {"a": [LIST, LIST]})

    assert codes_of(run) == ["TOOL_UNAVAILABLE"] * 2
    failed = answers_of(run)[0]
    assert isinstance(failed, Failed)
    assert failed.detail == (
        "plain: it is a remote server, and those are not started yet: give a `command` that "
        "starts it here"
    )
    assert [tool.name for tool in run.state().artifacts.by_id[PLAIN].interface] == ["list_tools"]


def test_a_folder_that_a_server_is_to_see_and_that_is_not_there_is_named(plain: Plain):
    if RUNNER == "none":
        pytest.skip("only a sandbox shows folders: install bubblewrap")
    run = plain.run(LIST, sandbox={"read": ["{run}/nowhere"]})

    (failed,) = answers_of(run)
    assert isinstance(failed, Failed)
    assert failed.code.name == "TOOL_UNAVAILABLE"
    assert "nowhere, which doesn't exist: make it, or don't name it" in failed.detail


@pytest.mark.parametrize("word", ["docker", "Bubblewrap", "none ", "0"])
def test_a_runner_that_is_none_is_one_sentence_and_no_run(
    plain: Plain, monkeypatch: pytest.MonkeyPatch, word: str
):
    monkeypatch.setenv(RUNNER_VARIABLE, word)

    with pytest.raises(ConfigurationFault) as fault:
        plain.run(LIST)
    assert str(fault.value) == (
        f"MCP_SANDBOX_RUNNER is {word!r}, which isn't one of bubblewrap, firejail, none: choose one"
    )
    assert list(plain.folder.glob("runs/*")) == []
    assert plain.noted() == []


@pytest.mark.parametrize("word", ["", "none"])
def test_the_variable_goes_over_the_configured_runner_unless_it_is_empty(
    plain: Plain, monkeypatch: pytest.MonkeyPatch, word: str
):
    monkeypatch.setenv(RUNNER_VARIABLE, word)
    run = plain.run(LIST, sandbox={"runner": "none"})

    assert codes_of(run) == ["done"]


# What cannot be configured.


@pytest.mark.parametrize(
    ("entry", "key", "told"),
    [
        ("{command: x, egress: {schemes: [ftp]}}", "plain.egress", "ftp"),
        ("{command: x, egress: {ports: [70000]}}", "plain.egress", "70000"),
        ("{command: x, egress: {hosts_allowed: ['https://x.test/']}}", "plain.egress", "hosts_allowed"),
        ("{command: x, egress: {hosts_denied: ['a b']}}", "plain.egress", "hosts_denied"),
        ("{command: x, egress: {private_allowed: [10.0.0.0/33]}}", "plain.egress", "private_allowed"),
        ("{command: x, egress: {private_allowed: [10.0.0.1/8]}}", "plain.egress", "private_allowed"),
        ("{command: x, egress: {connect_timeout_s: 0}}", "plain.egress.connect_timeout_s", "more than 0"),
        ("{command: x, egress: {host_allowed: []}}", "plain.egress", "host_allowed"),
        ("{command: x, sandbox: {runner: docker}}", "plain.sandbox.runner", "bubblewrap"),
        ("{command: x, sandbox: {network: all}}", "plain.sandbox.network", "proxy"),
        ("{command: x, processes: 0}", "plain.processes", "at least 1"),
        ("{command: x, idle_stop_s: 0}", "plain.idle_stop_s", "more than 0"),
        ("{command: x, limits: {tool_cals: 5}}", "plain.limits.tool_cals", "tool_calls"),
        ("{command: x, limits: {stored_bytes: 5}}", "plain.limits.stored_bytes", "no renewable"),
        ("{command: x, limits: {tool_calls: 0}}", "plain.limits.tool_calls", "at least 1"),
        ("{command: x, costs: {look: {resources: {cpu: 5}}}}", "resources.cpu", "no resource 'cpu'"),
        ("{command: x, costs: {look: {price_scrip: -1}}}", "plain.costs.look.price_scrip", "at least 0"),
        ("{command: x, url: 'https://x.test'}", "plain", "either a command or a url"),
        ("{args: [x]}", "plain", "needs a command or a url"),
        ("{command: ''}", "plain.command", "an empty text"),
        ("{command: x, env: {KEY: 5}}", "plain.env.KEY", "5"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_told_with_line_and_key(
    tmp_path: Path, entry: str, key: str, told: str
):
    path = tmp_path / "settings.yaml"
    path.write_text(f"# servers\ngenesis:\n  mcp:\n    servers:\n      plain: {entry}\n")

    with pytest.raises(ConfigurationFault) as fault:
        configure(SCENARIO, path)
    sentence = str(fault.value)
    assert "settings.yaml, line 5: genesis.mcp.servers." in sentence
    assert key in sentence
    assert told in sentence


def test_an_egress_default_that_cannot_be_used_is_told_where_it_stands(tmp_path: Path):
    path = tmp_path / "settings.yaml"
    path.write_text("genesis:\n  mcp:\n    defaults:\n      egress:\n        schemes: [ftp]\n")

    with pytest.raises(ConfigurationFault, match=r"settings\.yaml, line \d: .*egress.*ftp"):
        configure(SCENARIO, path)


def test_only_enabled_servers_are_in_a_world_in_the_order_of_the_configuration():
    more = {"b": {"command": "x"}, "off": {"command": "x", "enabled": False}, "a": {"command": "x"}}
    config = configure(SCENARIO, None, {"genesis": {"mcp": {"servers": OFF | more}}})

    assert [server.name for server in servers_of(config)] == ["b", "a"]


# How many processes, and for how long.


@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_has_at_most_as_many_processes_as_it_may(plain: Plain, processes: int):
    def serving() -> set[str]:
        return {note["process"] for note in plain.noted() if note["what"] == "call"}

    def choose(observation: Observation) -> Decision:
        step = observation.step
        if step > 300 or (step > 10 and len(serving()) == processes):
            return Stop()
        return call("later", delay_s=0.03 + step / 1e6) if step else LIST

    run = run_with(
        plain.folder,
        {"plain": plain.settings(processes=processes)},
        {"a": (), "b": ()},
        minds=dict.fromkeys("ab", Scripted(choose)),
        until_us=600 * SECOND_US,
    )

    assert set(codes_of(run, "a")) == set(codes_of(run, "b")) == {"done"}
    assert len(serving()) == plain.starts() == processes


@pytest.mark.parametrize(("idle_stop_s", "starts"), [(0.3, 2), (None, 1)])
def test_a_server_that_nobody_calls_is_stopped_and_started_again(
    plain: Plain, idle_stop_s: float | None, starts: int
):
    def is_stopped() -> bool:
        return any(note["what"] == "end" for note in plain.noted())

    def choose(observation: Observation) -> Decision:
        if observation.step < 2:
            return (LIST, LOOK)[observation.step]
        if len(plain.called()) == 2:
            return Stop()
        patience = 100 if idle_stop_s else 10
        if is_stopped() or observation.step > patience:
            return LOOK
        return Sleep(observation.now_us + SECOND_US // 5)

    run = plain.run(
        minds={"a": Scripted(choose)},
        idle_stop_s=idle_stop_s,
        clock="wall",
        until_us=120 * SECOND_US,
    )

    assert codes_of(run) == ["done"] * 3
    assert plain.starts() == starts


def test_no_other_server_writes_where_the_agents_do(plain: Plain):
    run = plain.run(LIST, sandbox={"write": [str(plain.served), "{files}/coder"]})

    (failed,) = answers_of(run)
    assert isinstance(failed, Failed)
    assert failed.code is Code.TOOL_UNAVAILABLE
    assert "no other server than filesystem writes there" in failed.detail


def test_a_folder_that_cannot_be_made_makes_its_server_unavailable_and_ends_nothing(plain: Plain):
    run = plain.run(LIST, sandbox={"write": ["/dev/null/x"]})

    (failed,) = answers_of(run)
    assert isinstance(failed, Failed)
    assert failed.detail.startswith("plain: /dev/null/x cannot be made: ")


def test_a_file_of_variables_that_is_no_text_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"KEY=\xff\xfe\n")

    with pytest.raises(ConfigurationFault, match="write it as UTF-8"):
        environment()


def test_a_file_in_the_current_folder_does_not_switch_the_sandbox_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCP_SANDBOX_RUNNER", raising=False)
    (tmp_path / ".env").write_text("MCP_SANDBOX_RUNNER=none\n")

    runners = {server.runner for server in servers_of(load_config())}
    monkeypatch.setenv("MCP_SANDBOX_RUNNER", "none")

    assert runners == {"bubblewrap" if sys.platform == "linux" else "none"}
    assert warnings_of(load_config()) == [
        f"{name} runs without a sandbox, with your own rights" for name in ("filesystem", "fetch")
    ]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"denied_tools": ["fech"]}, "denied_tools[0]: fetch has no tool 'fech'; the nearest"),
        ({"idempotent_tools": ["*", "fecth"]}, "idempotent_tools[1]: fetch has no tool 'fecth'"),
        ({"costs": {"fecth": {"price_scrip": 1}}}, "costs.fecth: fetch has no tool 'fecth'"),
    ],
)
def test_a_misspelt_tool_is_told_where_the_tools_are_known(settings: dict[str, Any], told: str):
    servers = {"genesis": {"mcp": {"servers": {"fetch": settings}}}}

    with pytest.raises(ConfigurationFault) as refused:
        configure(SCENARIO, None, servers)

    assert f"genesis.mcp.servers.fetch.{told}" in str(refused.value)


def test_a_literal_key_is_struck_out_like_one_from_the_environment():
    made = server(env={"API_KEY": "literal-123456", "MODE": "literal-mode"}).secrets()

    assert made.text("literal-123456 literal-mode") == "[secret] literal-mode"
