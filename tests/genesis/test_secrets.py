"""What a server's settings take from the environment is found nowhere that a run leaves or tells."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scripworld
from scripworld import Run
from scripworld.genesis.secrets import STRUCK_OUT, Secrets, each_text
from scripworld.world import (
    Context,
    Done,
    Effect,
    EffectRequest,
    EffectResult,
    Failed,
    Method,
    Native,
    Tool,
)

from .plain_lab import LIST, PLAIN, Plain, answers_of, call, codes_of, text_of, tool

KEY = "sk-Zebra/0123456789+abcdef"
PEM = '-----BEGIN KEY-----\nMIIB"quoted"\\AA==\nzebra\n-----END KEY-----'
TELLING = (
    *("tell", "tell_as_json", "tell_nested", "tell_structured", "tell_failing", "tell_in_error"),
    "tell_dying",
)


@pytest.fixture
def plain(tmp_path: Path) -> Plain:
    plain = Plain(tmp_path)
    plain.offer(*map(tool, TELLING), tool("place"))
    return plain


def files_of(run: Run) -> dict[str, bytes]:
    """Every file in the folder of a run, the log and what SQLite keeps beside it included."""
    paths = [path for path in run.folder.rglob("*") if path.is_file()]
    assert any(path.suffix in (".sqlite", ".db") for path in paths), paths
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in paths}


def parts_of(secret: str) -> set[str]:
    """The halves of its lines, as they are and as JSON writes them, which nobody may see either."""
    lines = {line for line in (secret, *secret.splitlines()) if len(line) > 10}
    texts = lines | {json.dumps(line)[1:-1] for line in lines}
    return {part for text in texts for part in (text[: len(text) // 2], text[len(text) // 2 :])}


def assert_unseen(run: Run, secret: str) -> None:
    for name, data in files_of(run).items():
        for part in parts_of(secret):
            assert part.encode() not in data, (name, part)
    told = json.dumps([repr(record) for record in run.records()])
    assert not any(part in told for part in parts_of(secret))


@pytest.mark.parametrize("secret", [KEY, PEM], ids=["key", "many lines"])
def test_a_key_that_a_server_tells_in_any_way_is_found_nowhere_in_the_folder_of_the_run(
    plain: Plain, monkeypatch: pytest.MonkeyPatch, secret: str
):
    monkeypatch.setenv("PLAIN_KEY", secret)
    run = plain.run(LIST, *map(call, TELLING), env={"KEY": "${PLAIN_KEY}"})

    assert_unseen(run, secret)
    _, told, as_json, nested, structured, failing, error, dying = answers_of(run)
    assert text_of(told) == f"the key is {STRUCK_OUT}, yes {STRUCK_OUT}"
    assert json.loads(text_of(as_json)) == {"env": {"KEY": STRUCK_OUT}}
    assert isinstance(nested, Done)
    assert nested.result["content"][0]["resource"] == {"uri": f"x:{STRUCK_OUT}", "text": STRUCK_OUT}
    assert isinstance(structured, Done)
    assert structured.result["structuredContent"] == {
        "key": STRUCK_OUT,
        STRUCK_OUT: {"at": [STRUCK_OUT]},
    }
    for failed, code in zip(
        (failing, error, dying), ("TOOL_FAILED", "TOOL_FAILED", "TOOL_CRASHED"), strict=True
    ):
        assert isinstance(failed, Failed)
        assert failed.code.name == code
    assert "error -32602: xxx" in error.detail


def test_a_key_in_the_words_of_a_server_that_does_not_start_is_not_told(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLAIN_KEY", KEY)
    (plain.served / "broken").touch()
    run = plain.run(LIST, env={"KEY": "${PLAIN_KEY}"})

    assert_unseen(run, KEY)
    (failed,) = answers_of(run)
    assert isinstance(failed, Failed)
    assert f"the key {STRUCK_OUT} is not valid" in failed.detail


def test_a_key_in_the_list_of_tools_is_struck_out_and_the_server_stays_the_same_after_a_resume(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLAIN_KEY", KEY)
    about = tool("look", "Send $KEY along.")
    about["inputSchema"]["properties"]["key"] = {"description": "$KEY", "default": "$KEY"}
    plain.offer(about, {**tool("late"), "description": "x" * 985 + "$KEY"})
    begun = plain.run(LIST, env={"KEY": "${PLAIN_KEY}"}, steps=2)
    mind = scripworld.agents.mind.Scripted([LIST, call("look"), LIST])
    run = scripworld.resume(begun.folder, minds={"a": mind})

    assert codes_of(run) == ["done"] * 3
    assert_unseen(run, KEY)
    tools = {tool.name: tool for tool in run.state().artifacts.by_id[PLAIN].interface}
    assert tools["look"].description == f"Send {STRUCK_OUT} along."


class Answers:
    """Performs for the model and the person, and notes what they were asked."""

    patience_s = 5.0

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def perform(self, request: EffectRequest) -> EffectResult:
        self.asked.append(request.payload)
        return EffectResult({"text": "no"})

    async def close(self) -> None:
        pass


def answering(id: str, method: str) -> Native:
    def ask(context: Context, args: dict[str, Any]) -> Effect:
        return Effect(id, args)

    about = Tool(method, "", {"type": "object", "additionalProperties": True})
    return Native(id, "Answers.", {method: Method(about, ask, effect=True)})


def test_a_key_in_what_a_server_asks_for_in_the_middle_of_a_call_reaches_nobody(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLAIN_KEY", KEY)
    plain.offer(tool("tell_asking"))
    answers = Answers()
    natives = [answering("genesis_model", "complete"), answering("genesis_human", "ask")]
    run = plain.run(
        *(LIST, call("tell_asking")),
        env={"KEY": "${PLAIN_KEY}"},
        natives=natives,
        performers={native.id: answers for native in natives},
    )

    assert text_of(answers_of(run)[-1]) == "told"
    assert [asked.get("question", asked.get("system")) for asked in answers.asked] == [
        STRUCK_OUT,
        f"Is it {STRUCK_OUT}?",
    ]
    assert KEY not in repr(answers.asked)
    assert_unseen(run, KEY)


def test_a_key_is_not_on_the_terminal_of_whoever_runs_the_world(plain: Plain, tmp_path: Path):
    settings = {
        "genesis": {
            "mcp": {
                "servers": {
                    **{name: {"enabled": False} for name in ("fetch", "filesystem")},
                    "plain": plain.settings(env={"KEY": "${PLAIN_KEY}"}),
                }
            }
        }
    }
    (tmp_path / "settings.yaml").write_text(json.dumps(settings))
    for method in ("tell", "tell_in_error", "tell_dying"):
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "scripworld.interfaces.cli", "tools", "call", "plain"),
                *(method, "--config", "settings.yaml"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PLAIN_KEY": KEY},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in ended.stderr
        assert "plain" in ended.stderr or "started in" in ended.stdout
        assert not any(part in ended.stdout + ended.stderr for part in parts_of(KEY)), method


def test_a_file_beside_the_run_gives_what_the_environment_does_not(
    plain: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "PLAIN_ONE=from-the-file-1\nPLAIN_TWO=from-the-file-2\nWHO=file\nONLY=file\n"
    )
    monkeypatch.delenv("PLAIN_ONE", raising=False)
    monkeypatch.delenv("ONLY", raising=False)
    monkeypatch.setenv("PLAIN_TWO", "from-the-environment")
    monkeypatch.setenv("WHO", "env")
    env = {"ONE": "a ${PLAIN_ONE} b", "TWO": "${PLAIN_TWO}", "NAMES": "${PLAIN_TWO},X"}
    env |= {"SHORT_WHO": "${WHO}", "SHORT_ONLY": "${ONLY}"}  # too short to be struck out
    run = plain.run(LIST, call("place"), env=env)

    said = json.loads(text_of(answers_of(run)[1]))["env"]
    assert said["ONE"] == f"a {STRUCK_OUT} b"
    assert said["TWO"] == STRUCK_OUT
    assert said["NAMES"] == f"{STRUCK_OUT},X"
    assert (said["SHORT_WHO"], said["SHORT_ONLY"]) == ("env", "file")
    for secret in ("from-the-file-1", "from-the-file-2", "from-the-environment"):
        assert_unseen(run, secret)


@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_without_its_variable_a_server_is_unavailable_and_says_which(
    plain: Plain, monkeypatch: pytest.MonkeyPatch, value: str | None
):
    monkeypatch.delenv("PLAIN_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("PLAIN_KEY", value)
    run = plain.run(LIST, env={"KEY": "${PLAIN_KEY}"})

    (failed,) = answers_of(run)
    assert isinstance(failed, Failed)
    assert failed.code.name == "TOOL_UNAVAILABLE"
    assert failed.detail == (
        "plain: its server needs PLAIN_KEY in the environment or in .env: "
        "set that, then run or resume again"
    )
    assert plain.noted() == []


def test_a_server_is_given_its_own_variables_and_none_of_our_secrets(
    plain: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("OTHER_IN_FILE=another-secret-in-the-file\n")
    monkeypatch.setenv("OTHER_API_KEY", "another-secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    monkeypatch.setenv("SSH_AUTH_SOCK", "another-secret")
    monkeypatch.setenv("PLAIN_KEY", KEY)
    run = plain.run(LIST, call("place"), env={"KEY": "${PLAIN_KEY}"})

    said = json.loads(text_of(answers_of(run)[1]))["env"]
    assert said["KEY"] == STRUCK_OUT
    assert "another-secret" not in json.dumps(said)
    assert not {"OTHER_API_KEY", "OTHER_IN_FILE", "PLAIN_KEY"} & said.keys()


# Striking out, without a server.


def test_short_values_are_no_secrets():
    secrets = Secrets(["1", "true", "12345", "123456"])

    assert secrets.text("1 true 12345 123456") == f"1 true 12345 {STRUCK_OUT}"
    assert Secrets(["", "1"]).hidden({"1": ["1"]}) == {"1": ["1"]}


def test_a_secret_that_holds_another_is_struck_out_whole():
    secrets = Secrets(["zebra-1", "zebra-1-and-more"])

    assert secrets.text("zebra-1-and-more zebra-1") == f"{STRUCK_OUT} {STRUCK_OUT}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON)
def test_where_there_is_no_secret_a_value_stays_as_it_is(value):
    assert Secrets(["sk-never-in-there-0123456789"]).hidden(value) == value


@settings(deadline=None)
@given(JSON, st.text(min_size=6, max_size=30).filter(lambda text: text not in STRUCK_OUT))
def test_no_secret_is_left_in_any_value(value, secret):
    holding = {"": [value, secret, {secret: f"a{secret}b"}], "json": json.dumps({"a": secret})}
    texts: list[str] = []
    each_text(Secrets([secret]).hidden(holding), lambda text: texts.append(text) or text)

    assert not any(secret in text.replace(STRUCK_OUT, "\0") for text in texts)


def test_an_answer_that_is_nested_very_deeply_fails_and_the_run_goes_on(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLAIN_KEY", KEY)
    plain.offer(tool("deep", levels="integer"), tool("look"))
    run = plain.run(
        LIST, *(call("deep", levels=n) for n in (10, 150, 400, 900)), call("look"),
        env={"KEY": "${PLAIN_KEY}"},
    )  # fmt: skip

    codes = codes_of(run)
    assert codes[:2] == ["done", "done"]
    assert codes[-1] == "done"
    assert "done" not in codes[2:-1]
