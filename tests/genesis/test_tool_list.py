"""What is kept of a list of tools: which are left out and why, what pins it, how two differ."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scripworld.genesis.tool_list import (
    DESCRIPTION_CHARS_MAX,
    Policy,
    ToolList,
    changes,
    kept,
    runs_commands,
    shape_of,
    visible,
)
from scripworld.world import Done, Failed, Limits, Validator

from .plain_lab import LIST, PLAIN, Plain, answers_of, call, codes_of, tool

LIMITS = Limits()
RUN_COMMANDS = (
    *("bash", "bash_tool", "shell", "run_shell_command", "shell_exec", "execute_command"),
    *("run_command", "run_commands", "runCommand", "RunCommand", "run_terminal_cmd"),
    *("run_in_terminal", "send_to_terminal", "python", "python_exec", "run_python3"),
    *("execute_python_code", "run_code", "runCode", "browser_run_code", "browser_run_code_unsafe"),
    *("browser_evaluate", "puppeteer_evaluate", "evaluate_script", "evaluateJS", "execute_code"),
    *("execute_javascript", "run_js", "run_node", "javascript_tool", "code_interpreter", "repl"),
    *("run_applescript", "powershell", "execute_powershell", "docker_exec", "exec", "exec2"),
    *("start_process", "run_process", "jupyter_execute_cell", "execute_notebook", "ssh_execute"),
    *("ssh", "install_package", "npm_install", "spawn_process", "run_script", "run", "execute"),
)
DO_NOT = (
    *("read_file", "write_file", "list_directory", "search_files", "browser_click"),
    *("browser_navigate", "browser_console_messages", "git_commit", "git_diff", "search_code"),
    *("describe", "describe_table", "evaluation_report", "read_query", "write_query", "fetch"),
    *("sequentialthinking", "query-docs", "get_transcript", "list_processes", "review_code"),
    *("get_code_owners", "list_installed", "read_notebook", "crash_report", "cmdlet_help"),
    *("start_timer", "run_query", "recommend", "subscription", "publish", "refresh"),
)


@pytest.mark.parametrize("name", RUN_COMMANDS)
def test_a_tool_that_runs_commands_or_code_is_known_by_its_name(name: str):
    assert runs_commands(name)
    assert "name it in allowed_tools" in (Policy().why_not(name) or "")
    assert Policy(frozenset({name})).why_not(name) is None


@pytest.mark.parametrize("name", DO_NOT)
def test_a_tool_that_does_something_else_is_offered(name: str):
    assert not runs_commands(name)
    assert Policy().why_not(name) is None


@pytest.mark.parametrize("name", ["get_command_help", "list_commands", "install_guide"])
def test_a_name_that_only_speaks_of_commands_has_to_be_allowed_too(name: str):
    assert runs_commands(name)


@pytest.mark.parametrize(
    ("allowed", "denied", "offered"),
    [
        ((), (), {"look", "read_file"}),
        (("*",), (), {"look", "read_file"}),
        (("look",), (), {"look"}),
        (("bash",), (), {"bash"}),
        (("*", "bash"), (), {"look", "read_file", "bash"}),
        ((), ("look",), {"read_file"}),
        (("look", "read_file"), ("look",), {"read_file"}),
        (("*",), ("no_such_tool",), {"look", "read_file"}),
        (("no_such_tool",), (), set()),
    ],
)
def test_what_is_allowed_and_denied(allowed: Any, denied: Any, offered: set[str]):
    tools = kept([tool("look"), tool("read_file"), tool("bash")], (), LIMITS)
    part = tools.offered(Policy(frozenset(allowed), frozenset(denied)))

    assert {tool.name for tool in part.tools} == offered
    assert part.left_out.keys() == {"look", "read_file", "bash"} - offered


# What is left out.


def left_out(*listed: Any, **limits: int) -> dict[str, str]:
    return dict(kept(listed, (), Limits(**limits)).left_out)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a/b", "../a", "a\0", "a\n", "ä", "x" * 65, "1 = 1", "<a>", None, 5, ["a"]],
)
def test_a_name_that_no_method_can_have_is_left_out(name: Any):
    (why,) = left_out({"name": name, "inputSchema": {"type": "object"}}).values()

    assert why == "its name is none that a method can have"


@pytest.mark.parametrize("entry", [None, 5, "look", [], {}, [["name", "look"]], True])
def test_what_is_no_tool_at_all_is_left_out(entry: Any):
    assert left_out(entry) == {"?": "its name is none that a method can have"}


@pytest.mark.parametrize(
    "schema",
    [
        *(None, "object", [], {"type": "nonsense"}, {"$ref": "#"}, {"$id": "x"}),
        *({"$ref": "https://elsewhere.test/schema.json"}, {"required": "path"}),
        {"properties": {"a": {"pattern": "(?<=a)b"}}},
        {"properties": {"a": {"pattern": "("}}},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"properties": {f"a{n}": {"type": "string"} for n in range(2_000)}},
    ],
)
def test_a_tool_whose_arguments_cannot_be_checked_is_left_out(schema: Any):
    told = left_out({"name": "look", "inputSchema": schema})

    assert told["look"].startswith("its arguments cannot be checked: ")


def test_a_tool_that_is_listed_twice_is_kept_once():
    twice = [tool("look", "First."), tool("look", "Second.")]

    (one,) = kept(twice, (), LIMITS).tools
    assert one.description == "First."
    assert left_out(*twice) == {"look": "it is listed twice"}


def test_a_schema_of_results_that_cannot_be_checked_is_dropped_and_the_tool_kept():
    listed = [{**tool("look"), "outputSchema": {"$ref": "#"}}]

    (one,) = kept(listed, (), LIMITS).tools
    assert one.output_schema is None


def test_more_tools_than_a_world_takes_are_left_out_and_are_no_change():
    many = [tool(f"look{n}") for n in range(8)]
    few, all_ = kept(many, (), Limits(tools_max=5)), kept(many, (), LIMITS)

    assert len(few.tools) == 5
    assert set(few.left_out.values()) == {"a server has at most 5 tools here"}
    assert all_.difference(few) == []
    assert all_.offered(Policy()).difference(few.offered(Policy())) == []
    assert all_.difference(kept(many[:5], (), LIMITS)) == ["- look5", "- look6", "- look7"]


# What it tells.


@pytest.mark.parametrize(
    "char", ["\0", "\x07", "\x1b", "\r", "\x7f", "\x9b", "\u202e", "\u2066", "\U000e0041"]
)
def test_control_characters_are_shown_and_nothing_is_hidden(char: str):
    about = f"Looks{char}around"
    odd = {**tool("look", about, path="string"), "outputSchema": {"description": about}}
    odd["inputSchema"]["properties"]["path"] |= {"title": about, "description": about}
    odd["inputSchema"]["$defs"] = {"a": {"anyOf": [{"description": about}]}}
    (one,) = kept([odd], (), LIMITS).tools

    assert char not in "".join(texts_of(shape_of(one)))
    assert one.description == visible(about) != about


def texts_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in texts_of(item))]
    if isinstance(value, list):
        return [text for item in value for text in texts_of(item)]
    return [value] if isinstance(value, str) else []


def test_what_a_schema_asks_for_stays_as_it_is():
    schema = {
        "type": "object",
        "properties": {
            "description": {"type": "string", "enum": ["\x1b", "b"], "default": "\x1b"},
            "title": {"const": "\x1b"},
        },
    }
    (one,) = kept([{"name": "look", "inputSchema": schema}], (), LIMITS).tools

    assert one.input_schema == schema


def test_control_characters_in_what_is_left_out_are_shown():
    told = left_out(
        tool("\x1b[31mred"), {"name": "look", "inputSchema": {"$ref": "#/\x1b[31m\U000e0041"}}
    )

    assert len(told) == 2
    assert "\x1b" not in "".join(texts_of(told))


def test_line_ends_and_tabs_stay_and_a_long_description_is_cut():
    (one,) = kept([tool("look", "a\n\tb" + "x" * 5_000)], (), LIMITS).tools

    assert one.description.startswith("a\n\tbxxx")
    assert len(one.description) == DESCRIPTION_CHARS_MAX


# What pins it.

SOME = [
    tool("look", "Looks around.", path="string"),
    tool("turn", "", degrees="integer"),
    {**tool("weigh"), "outputSchema": {"type": "object", "properties": {"kg": {}}}},
]


def of(*listed: Any, features: tuple[str, ...] = ()) -> ToolList:
    return kept(listed, features, LIMITS)


@settings(deadline=None)
@given(st.permutations(SOME), st.randoms(use_true_random=False))
def test_the_order_of_tools_and_keys_is_no_change(tools: list[Any], chance: random.Random):
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            chance.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return value

    other = of(*map(shuffled, tools), features=("prompts", "resources"))
    same = of(*SOME, features=("resources", "prompts"))
    assert other.digest() == same.digest()
    assert same.difference(other) == other.difference(same) == []


def changed(number: int, **fields: Any) -> list[Any]:
    return [{**one, **fields} if n == number else one for n, one in enumerate(SOME)]


@pytest.mark.parametrize(
    ("now", "line"),
    [
        ([*SOME, tool("hide")], "+ hide"),
        (SOME[1:], "- look"),
        (changed(0, description="Looks about."), "~ look: description"),
        (changed(1, inputSchema={"type": "object"}), "~ turn: input_schema"),
        (changed(2, outputSchema={"type": "object"}), "~ weigh: output_schema"),
        ([*SOME[:2], tool("weigh")], "~ weigh: output_schema"),
        (
            changed(0, description="", inputSchema={"type": "object"}),
            "~ look: description, input_schema",
        ),
    ],
)
def test_every_change_is_told_in_a_line_and_gives_another_digest(now: list[Any], line: str):
    assert of(*SOME).difference(of(*now)) == [line]
    assert of(*SOME).digest() != of(*now).digest()


def test_what_else_a_server_has_is_a_part_of_it():
    assert of(*SOME).difference(of(*SOME, features=("prompts",))) == ["+ its prompts"]
    assert of(*SOME, features=("prompts",)).difference(of(*SOME)) == ["- its prompts"]


def test_a_sentence_tells_some_of_many_changes():
    now = of(*(tool(f"new{n}") for n in range(9)))
    told = changes(ToolList().difference(now))

    assert told == "+ new0; + new1; + new2; + new3; + new4; and 4 more"


# Any list at all.

WORDS = st.sampled_from(
    [
        *("name", "description", "inputSchema", "outputSchema", "type", "properties", "required"),
        *(
            "object",
            "string",
            "$ref",
            "#/$defs/a",
            "$defs",
            "a",
            "pattern",
            "anyOf",
            "look",
            "exec",
        ),
    ]
)
ANYTHING: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | WORDS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(WORDS | st.text(), inner),
    max_leaves=15,
)
TOOLS = st.fixed_dictionaries(
    {}, optional={"name": WORDS | ANYTHING, "description": ANYTHING, "inputSchema": ANYTHING}
    | {"outputSchema": ANYTHING, "annotations": ANYTHING},
)  # fmt: skip
SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={"properties": st.dictionaries(st.text(), ANYTHING), "description": st.text()},
)
LIKELY = st.fixed_dictionaries({"name": WORDS, "description": st.text(), "inputSchema": SCHEMAS})


@settings(deadline=None)
@given(st.lists(TOOLS | LIKELY | ANYTHING, max_size=6), st.integers(1, 4))
@example([{"name": "look", "inputSchema": {}}], 1)
def test_any_list_is_kept_without_an_error_and_keeping_it_again_changes_nothing(
    listed: list[Any], tools_max: int
):
    limits = Limits(tools_max=tools_max)
    once = kept(listed, {"prompts"}, limits)
    again = kept([shape_of(tool) for tool in once.tools], once.features, limits)

    assert (again.tools, again.features) == (once.tools, once.features)
    assert again.left_out == {}
    assert again.digest() == once.digest()
    assert once.difference(again) == []
    assert len(once.tools) <= tools_max
    for one in once.tools:
        Validator(one.input_schema, limits)


# In a run.


@pytest.mark.parametrize(
    ("more", "calls", "codes"),
    [
        ({}, ("look", "bash", "turn"), ["done", "METHOD_UNKNOWN", "done"]),
        ({"allowed_tools": ["bash"]}, ("look", "bash"), ["METHOD_UNKNOWN", "done"]),
        ({"allowed_tools": ["*", "bash"]}, ("look", "bash", "turn"), ["done"] * 3),
        ({"denied_tools": ["look"]}, ("look", "turn"), ["METHOD_UNKNOWN", "done"]),
    ],
)
def test_agents_have_the_tools_that_are_offered_and_no_others(
    tmp_path: Path, more: dict[str, Any], calls: tuple[str, ...], codes: list[str]
):
    plain = Plain(tmp_path)
    plain.offer(tool("look"), tool("bash"), tool("turn"))
    run = plain.run(LIST, *map(call, calls), **more)

    assert codes_of(run) == ["done", *codes]
    assert plain.called() == [
        name for name, code in zip(calls, codes, strict=True) if code == "done"
    ]
    listed = answers_of(run)[0]
    assert isinstance(listed, Done)
    assert listed.result["left_out"].keys() == {"look", "bash", "turn"} - {
        *(tool.name for tool in run.state().artifacts.by_id[PLAIN].interface)
    }


def test_a_server_without_any_tool_that_can_be_used_says_so(tmp_path: Path):
    plain = Plain(tmp_path)
    plain.offer({"name": "look"}, {"name": "bash", "inputSchema": {"type": "object"}})
    (listed,) = answers_of(plain.run(LIST))

    assert not isinstance(listed, Failed)
    assert isinstance(listed, Done)
    assert listed.result["methods"] == ["list_tools"]
    assert set(listed.result["left_out"]) == {"look", "bash"}
