"""The configuration: what goes over what, what is said of each fault, and that its description is true."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripworld.simulation.config import Config, config_dir, load_config
from scripworld.simulation.settings import Settings
from scripworld.simulation.settings_file import parse_settings
from scripworld.world import ConfigurationFault

ROOT = Path(__file__).parents[2]


@pytest.fixture
def user_file(tmp_path, monkeypatch):
    """Write a file as a user would, in the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> Path:
        path = tmp_path / "my.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def fault_of(path: Path | None = None, **overrides: object) -> str:
    with pytest.raises(ConfigurationFault) as caught:
        load_config(path, overrides or None)
    return str(caught.value)


# What goes over what.


def test_the_shipped_configuration_is_complete_and_valid():
    config = load_config()

    assert config.runner.until_us == 60_000_000
    assert config.world.resources["compute"].window_us == 60_000_000
    assert config.world.actions.write.resources == {"compute": 2, "writes": 1}
    enabled = {name for name, server in config.genesis.mcp.servers.items() if server.enabled}
    assert enabled == {"filesystem", "fetch"}


def test_the_models_have_no_numbers_of_their_own():
    numbers: list[str] = []

    def collect(schema: dict, name: str) -> None:
        for key, field in schema.get("properties", {}).items():
            default = field.get("default")
            if isinstance(default, int | float) and not isinstance(default, bool) and default:
                numbers.append(f"{name}.{key}")

    schema = Config.model_json_schema()
    for name, definition in schema["$defs"].items():
        collect(definition, name)
    collect(schema, "Config")

    assert numbers == []


def test_a_users_file_changes_only_what_it_names(user_file):
    path = user_file("world:\n  costs:\n    genesis_fetch:\n      '*': {price_scrip: 7}\n")

    config, shipped = load_config(path), load_config()

    changed = config.world.costs["genesis_fetch"]["*"]
    assert changed.price_scrip == 7
    assert changed.resources == shipped.world.costs["genesis_fetch"]["*"].resources
    assert config.world.costs["genesis_store"] == shipped.world.costs["genesis_store"]
    assert config.runner == shipped.runner


def test_overrides_go_over_the_users_file_and_that_over_the_scenario(user_file):
    path = user_file("runner: {until_us: 2, steps_max: 2}\n")
    scenario = parse_settings("runner: {until_us: 1, steps_max: 1, clock: wall}", "s.yaml")

    config = load_config(path, {"runner": {"until_us": 3}}, scenario)

    assert (config.runner.until_us, config.runner.steps_max) == (3, 2)
    assert config.runner.clock == "wall"


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "null\n", "world:\nrunner:\n  # steps_max: 3\n"]
)
def test_a_file_that_sets_nothing_changes_nothing(user_file, text):
    assert load_config(user_file(text)) == load_config()


def test_what_a_cost_leaves_out_is_as_the_method_cost_says(user_file):
    path = user_file(
        "world:\n  method_cost: {latency_us: 9}\n  costs: {mine: {ask: {price_scrip: 1}}}\n"
    )

    config = load_config(path)

    cost = config.world.costs["mine"]["ask"]
    assert (cost.price_scrip, cost.latency_us) == (1, 9)
    assert cost.resources == {"compute": 1}


def test_a_tool_server_needs_a_command_and_no_more(user_file):
    server = load_config(
        user_file("genesis: {mcp: {servers: {mine: {command: my-server}}}}")
    ).genesis.mcp.servers["mine"]

    assert server.enabled
    assert server.args == ()
    assert server.call_timeout_s == load_config().genesis.mcp.defaults.call_timeout_s


def test_a_list_replaces_the_list_below_it(user_file):
    path = user_file("genesis: {mcp: {servers: {fetch: {args: [one]}}}}")

    assert load_config(path).genesis.mcp.servers["fetch"].args == ("one",)


def test_a_configuration_can_not_be_changed():
    config = load_config()

    with pytest.raises(ValueError, match="frozen"):
        config.runner.until_us = 1  # type: ignore[misc]


# What is said of each fault.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("runer: {}\n", "line 1: runer: unknown key 'runer'; the nearest known one is 'runner'."),
        (
            "runner:\n  untl_us: 3\n",
            "line 2: runner.untl_us: unknown key 'untl_us'; the nearest known one is 'until_us'.",
        ),
        (
            "world:\n  costs:\n    genesis_store:\n      get:\n        latency: 3\n",
            "line 5: world.costs.genesis_store.get.latency: unknown key 'latency'; "
            "the nearest known one is 'latency_us'.",
        ),
        (
            "genesis:\n  mcp:\n    servers:\n      fetch:\n        qqqqq: 3\n",
            "line 5: genesis.mcp.servers.fetch.qqqqq: unknown key 'qqqqq'; known are "
            "allowed_tools, answer_bytes_max, args, backoff_max_s, backoff_s, call_timeout_max_s, "
            "call_timeout_s, command, costs, cwd, denied_tools, egress, enabled, env, grace_s, "
            "idempotent_tools, idle_stop_s, keyless, limits, processes, restarts_max, roots, sandbox, start, "
            "start_timeout_s, unavailable_s, url.",
        ),
    ],
)
def test_an_unknown_key_is_told_with_its_line_and_the_nearest_known_one(user_file, text, said):
    assert fault_of(user_file(text)) == f"my.yaml, {said}"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("fast", "expected an integer, found the text 'fast'"),
        ("'60'", "expected an integer, found the text '60'"),
        ("6e7", "expected an integer, found 60000000.0"),
        ("true", "expected an integer, found true"),
        ("0x10", "expected an integer, found the text '0x10'"),
        ("1:30", "expected an integer, found the text '1:30'"),
        ("[1]", "expected an integer, found a list"),
        ("{a: 1}", "expected an integer, found keys with values"),
        ("null", "expected an integer, found nothing"),
        ("-5", "expected at least 1, found -5"),
        ("9_223_372_036_854_775_808", f"expected at most {2**63 - 1}, found {2**63}"),
        ("9" * 50, f"expected at most {2**63 - 1}, found no number of a sensible size"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected_and_what_was_found(user_file, value, said):
    path = user_file(f"\nrunner:\n  until_us: {value}\n")

    assert fault_of(path) == f"my.yaml, line 3: runner.until_us: {said}."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("runner: {clock: on}", "runner.clock: expected 'virtual' or 'wall', found the text 'on'"),
        ("runner: fast", "runner: expected keys with values, found the text 'fast'"),
        ("runner: {stop_timeout_s: 0}", "runner.stop_timeout_s: expected more than 0, found 0"),
        ("store: {runs_dir: ''}", "store.runs_dir: expected some text, found an empty text"),
        ("world: {refunded: all}", "world.refunded: expected a list, found the text 'all'"),
        (
            "world: {method_cost: {repeatable: 1}}",
            "world.method_cost.repeatable: expected true or false, found 1",
        ),
        (
            "genesis: {mcp: {servers: {x: {command: c, args: [a, 3]}}}}",
            "genesis.mcp.servers.x.args[1]: expected text, found 3",
        ),
        (
            "genesis: {mcp: {servers: {x: {args: []}}}}",
            "genesis.mcp.servers.x: a server has either a command or a url",
        ),
        (
            "runner: {decide_timeout_s: ten}",
            "runner.decide_timeout_s: expected a number, found the text 'ten'",
        ),
    ],
)
def test_every_type_has_its_words(user_file, text, said):
    assert fault_of(user_file(text)) == f"my.yaml, line 1: {said}."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "world: {resources: {compute: {kind: depletable, window_us: 0}}}",
            "world.resources.compute.kind: compute must be a renewable resource",
        ),
        (
            "world: {resources: {calls: {kind: renewable}}}",
            "world.resources.calls.window_us: a renewable resource needs a window_us from 1, "
            "and no other has one",
        ),
        (
            "world: {method_cost: {resources: {computes: 1}}}",
            "world.method_cost.resources.computes: there is no resource 'computes'; "
            "the nearest known one is 'compute'",
        ),
        (
            "world: {actions: {write: {resources: {stored_bytes: 1}}}}",
            "world.actions.write.resources.stored_bytes: stored_bytes is allocatable: "
            "it is held while in use, so nothing costs it",
        ),
        (
            "world: {method_cost: {timeout_us: 5}}",
            "world.method_cost.timeout_us: expected at least latency_us (400000), found 5",
        ),
        (
            "world: {refunded: [TOOL_GONE]}",
            "world.refunded[0]: there is no failure code 'TOOL_GONE'; "
            "the nearest known one is 'TOOL_FAILED'",
        ),
        (
            "agents: {backoff_max_us: 5}",
            "agents.backoff_max_us: expected at least backoff_us (1000000), found 5",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_once_with_its_line(user_file, text, said):
    assert fault_of(user_file(text)) == f"my.yaml, line 1: {said}."


def test_of_many_faults_five_are_told(user_file):
    path = user_file("world: {limits: {a1: 1, a2: 1, a3: 1, a4: 1, a5: 1, a6: 1, a7: 1}}\n")

    lines = fault_of(path).split("\n")

    assert len(lines) == 6
    assert lines[-1] == "(and 2 more)"


def test_a_fault_of_the_caller_is_told_without_a_file():
    assert fault_of(runner={"steps_max": 0}) == (
        "the overrides: runner.steps_max: expected at least 1, found 0."
    )


def test_a_fault_below_a_users_key_is_not_blamed_on_the_shipped_file(user_file):
    path = user_file("# mine\nworld: {costs: {genesis_store: {get: {latency_us: -1}}}}\n")

    assert fault_of(path).startswith("my.yaml, line 2: world.costs.genesis_store.get.latency_us:")


# Files that can't be read.


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert fault_of(tmp_path / "none.yaml") == "There is no file none.yaml."
    assert fault_of(tmp_path) == f"{'.'} can't be read: Is a directory."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: [1\nc: 2\n", "my.yaml, line 3: this is not YAML: "),
        ("a:\n\t- 1\n", "my.yaml, line 2: this is not YAML: "),
        ("a: *b\n", "my.yaml, line 1: this is not YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2\n", "my.yaml, line 2: this is not YAML: "),
        (
            "runner:\n  clock: wall\n  clock: wall\n",
            "line 3: runner.clock: given already in line 2.",
        ),
        ("- 1\n", "my.yaml, line 1: expected keys with values."),
        ("[a]: 1\n", "my.yaml, line 1: a key is a text."),
        ("a: !!set {b}\n", "my.yaml, line 1: a: the tag 'tag:yaml.org,2002:set' is not known."),
        ("a: !mine 3\n", "my.yaml, line 1: a: the tag '!mine' is not known."),
        ("a: !!int x\n", "my.yaml, line 1: a: this value can't be read."),
        ('a: "\\ud800"\n', "my.yaml, line 1: a: this value can't be read."),
        (f"a: {'9' * 5000}\n", "my.yaml, line 1: a: this value can't be read."),
        ("a: &x [*x]\n", "too much, or nested too deeply."),
        ("[" * 5000, "my.yaml is nested too deeply."),
        (b"a: 1\nb: \xff\n", "my.yaml, line 2: this is not text in UTF-8."),
        (b"a: 1\nb: \x07\n", "my.yaml, line 2: a character that YAML does not allow."),
    ],
)
def test_a_file_that_can_not_be_read_is_told_with_its_line(user_file, text, said):
    fault = fault_of(user_file(text))

    assert said in fault
    assert "\n" not in fault


def test_aliases_that_multiply_end_at_a_bound(user_file):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    assert "too much, or nested too deeply" in fault_of(user_file("\n".join(lines)))


def test_a_very_large_file_is_not_read(user_file):
    assert fault_of(user_file("#" * 4_000_001)) == "my.yaml is larger than 4000000 bytes."


def test_plain_scalars_are_what_people_take_them_to_be():
    text = "{a: on, b: 010, c: 2026-01-02, d: 1_000, e: 1e3, f: .5, g: , h: ~, i: NO, 1: k}"

    assert parse_settings(text, "x").values == {
        "a": "on",
        "b": 10,
        "c": "2026-01-02",
        "d": 1000,
        "e": 1000.0,
        "f": 0.5,
        "g": None,
        "h": None,
        "i": "NO",
        "1": "k",
    }


def test_a_part_of_the_settings_keeps_its_lines():
    part = parse_settings("a: 1\nconfig:\n  runner:\n    clock: x\n", "s.yaml").part("config")

    assert part.values == {"runner": {"clock": "x"}}
    assert part.where(("runner", "clock")) == "s.yaml, line 4: config.runner.clock"
    assert Settings({}, origin="nobody").part("config").where(()) == "nobody"


# Its description.


def generator(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts/config_schema.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_schema_and_the_documentation_are_not_stale():
    run = generator("--check")

    assert (run.stdout, run.stderr, run.returncode) == ("", "", 0)


def test_a_changed_number_makes_the_schema_and_the_documentation_stale(tmp_path):
    for name in (
        "config/config.yaml",
        "config/schema.yaml",
        "docs/architecture/current/configuration.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    path = tmp_path / "config/config.yaml"
    path.write_text(re.sub(r"\n  pace_us: .*", "\n  pace_us: 12_345", path.read_text()))

    stale = generator("--check", "--root", tmp_path)
    wrote = generator("--root", tmp_path)
    after = generator("--check", "--root", tmp_path)

    assert stale.returncode == 1
    assert "config/schema.yaml is stale" in stale.stdout
    assert "docs/architecture/current/configuration.md is stale" in stale.stdout
    assert (wrote.returncode, after.returncode) == (0, 0)
    assert "12345" in (tmp_path / "config/schema.yaml").read_text()


def test_every_key_of_the_shipped_configuration_is_described():
    described = set(parse_settings((ROOT / "config/schema.yaml").read_text(), "schema").values)
    values = load_config().model_dump()

    def keys(value: object, key: tuple[str, ...]) -> set[tuple[str, ...]]:
        if isinstance(value, dict) and value:
            return {found for name, below in value.items() for found in keys(below, (*key, name))}
        return {key}

    def tells_of(pattern: str, key: tuple[str, ...]) -> bool:
        """Whether it is that key, one above it, or one below it that stands for any name."""
        parts = zip(pattern.split("."), key, strict=False)
        return all(part.startswith("<") or part == name for part, name in parts)

    told = [key for key in keys(values, ()) if any(tells_of(p, key) for p in described)]
    assert told == list(keys(values, ()))


def test_the_configuration_is_found_beside_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert config_dir() == ROOT / "config"
