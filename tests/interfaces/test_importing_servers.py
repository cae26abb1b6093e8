"""`scripworld tools import`: the servers of other programs, their secrets, and what is refused."""

import json
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from scripworld.simulation.import_servers import Import, import_servers
from scripworld.world import ConfigurationFault

from .conftest import Ended, scripworld_in

ROOT = Path(__file__).parents[2]


class Home:
    """A folder with a checkout of its own, and a file of another program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = folder / ".env"
        self.servers = folder / "config" / "servers.yaml"
        shutil.copytree(ROOT / "src", folder / "scripworld")
        shutil.copytree(ROOT / "config", folder / "config")
        self.servers.unlink(missing_ok=True)
        (folder / "docs").mkdir()

    def __call__(self, *args: object, **variables: str) -> Ended:
        env = {"PYTHONPATH": str(self.folder), **variables}
        ended = scripworld_in(self.folder, "tools", *args, **env)
        assert "Traceback" not in ended.stdout + ended.stderr
        return ended

    def bring(self, told: Any, *args: object, **variables: str) -> Ended:
        text = told if isinstance(told, str) else json.dumps(told)
        (self.folder / "theirs.json").write_text(text)
        return self("import", "theirs.json", *args, **variables)

    @property
    def written(self) -> dict[str, Any]:
        return servers_in(self.servers)


def servers_in(file: Path) -> dict[str, Any]:
    servers = yaml.safe_load(file.read_text())["genesis"]["mcp"]["servers"]
    assert isinstance(servers, dict)
    return servers


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def brought(folder: Path, told: Any) -> Import:
    """What an import into `mine.yaml` comes to, without the command line."""
    (folder / "theirs.json").write_text(told if isinstance(told, str) else json.dumps(told))
    return import_servers(Path("theirs.json"), Path("mine.yaml"), replace=False)


NOTES = {"command": "npx", "args": ["-y", "@notes/server@1.2.0", "--dir", "x"]}


@pytest.mark.parametrize(
    "told",
    [
        {"mcpServers": {"My Notes": NOTES}},
        {"servers": {"My Notes": {**NOTES, "type": "stdio"}}, "inputs": []},
        {"mcp": {"servers": {"My Notes": NOTES}}},
        {"My Notes": NOTES},
        '// mine\n{"mcpServers": {"My Notes": ' + json.dumps(NOTES) + ", /* no more */ }, }",
    ],
    ids=["mcpServers", "servers", "settings", "bare", "comments"],
)
def test_a_server_is_taken_over_from_every_shape(here, told):
    done = brought(here, told)

    assert servers_in(here / "mine.yaml") == {"my-notes": NOTES}
    assert done.lines == ["my-notes: npx @notes/server@1.2.0, called 'My Notes' there"]
    assert done.startable == ["my-notes"]


def test_what_was_imported_is_part_of_the_configuration(home):
    home.bring({"notes": NOTES, "far": {"url": "https://far.test/mcp", "type": "http"}})

    servers = {one["name"]: one for one in json.loads(home("--json").stdout)["servers"]}

    assert servers["notes"]["artifact"] == "genesis_notes"
    assert servers["notes"]["version"] == "1.2.0"
    assert servers["notes"]["pin"] == "unpinned"
    assert servers["far"]["state"] == "unavailable"
    assert "remote" in servers["far"]["why"]


def test_a_second_import_adds_to_the_first(home):
    home.bring({"notes": NOTES})
    ended = home.bring({"more": {"command": "docker", "args": ["run", "-i", "more:1"]}})

    assert ended.returncode == 0
    assert list(home.written) == ["notes", "more"]
    assert home.written["more"] == {"command": "docker", "args": ["run", "-i", "more:1"]}


def test_secrets_go_to_a_file_of_ones_own_and_are_never_printed(home):
    home.env.write_text("OTHER=5")
    env = {
        "NOTES_API_KEY": "it's\\ a 'secret'",
        "ADDRESS": "postgres://me:hunter2hunter2@host/db",
        "PLACE": "ghp_0123456789abcdefghij",
        "LEVEL": "debug",
        "PORT": 8080,
    }

    ended = home.bring({"notes": {**NOTES, "env": env}})

    assert ended.returncode == 0, ended.stderr
    assert home.written["notes"]["env"] == {
        "NOTES_API_KEY": "${NOTES_API_KEY}",
        "ADDRESS": "${ADDRESS}",
        "PLACE": "${PLACE}",
        "LEVEL": "debug",
        "PORT": "8080",
    }
    secrets = {name: env[name] for name in ("NOTES_API_KEY", "ADDRESS", "PLACE")}
    assert dotenv_values(home.env) == {"OTHER": "5", **secrets}
    assert stat.S_IMODE(home.env.stat().st_mode) == 0o600
    printed = ended.stdout + ended.stderr + home.servers.read_text()
    assert not any(secret in printed for secret in secrets.values())
    state = {s["name"]: s["state"] for s in json.loads(home("--json").stdout)["servers"]}
    assert state["notes"] in ("ready", "not downloaded")


def test_a_variable_that_has_another_value_already_is_left_alone(home):
    home.env.write_text("API_KEY=first\n")

    ended = home.bring({"notes": {**NOTES, "env": {"API_KEY": "second"}}})

    assert "API_KEY is taken from NOTES_API_KEY in .env" in ended.stdout
    assert home.written["notes"]["env"] == {"API_KEY": "${NOTES_API_KEY}"}
    assert dotenv_values(home.env) == {"API_KEY": "first", "NOTES_API_KEY": "second"}


def test_what_others_fill_in_becomes_a_variable_to_set(home):
    env = {
        "A": "${input:notes-key}",
        "B": "Bearer ${env:NOTES_TOKEN}",
        "C": "${workspaceFolder}/x",
        "D": "${HERE:-5}",
    }

    ended = home.bring({"notes": {**NOTES, "env": env}})

    assert home.written["notes"]["env"] == {"A": "${NOTES_KEY}", "B": "Bearer ${NOTES_TOKEN}"}
    assert "  set NOTES_KEY in .env\n  set NOTES_TOKEN in .env\n" in ended.stdout
    assert "C is left out" in ended.stdout
    assert "D is left out" in ended.stdout


def test_what_is_not_understood_is_told_and_left_out(home):
    far = {"url": "https://far.test/mcp", "headers": {"Authorization": "Bearer abc"}}
    here = {"command": "run", "args": ["${workspaceFolder}"]}

    ended = home.bring({"far": far, "here": here, "notes": {**NOTES, "autoApprove": ["x"]}})

    assert ended.returncode == 0
    assert home.written == {"far": {"url": far["url"]}, "notes": NOTES}
    assert "  left out, because it is not understood: headers" in ended.stdout
    assert "  left out, because it is not understood: autoApprove" in ended.stdout
    assert "here is left out: ${workspaceFolder} stands there" in ended.stdout
    assert "Bearer" not in ended.stdout


def test_a_server_that_is_off_there_is_off_here(home):
    home.bring({"notes": {**NOTES, "disabled": True}})

    servers = {one["name"]: one for one in json.loads(home("--json").stdout)["servers"]}

    assert servers["notes"]["state"] == "off"


def test_paths_and_secrets_among_the_arguments_are_pointed_at(home):
    words = ["--dir", str(home.folder), "--api-key=sk-0123456789abcdefghij"]

    ended = home.bring({"notes": {"command": "notes", "args": words}})

    assert f"its args name {home.folder}" in ended.stdout
    assert "one of its args looks like a secret and stands in config/servers.yaml" in ended.stdout
    assert "sk-0123456789" not in ended.stdout
    assert stat.S_IMODE(home.servers.stat().st_mode) == 0o600


def test_another_file_can_take_them(home):
    ended = home.bring({"notes": NOTES}, "--to", "mine.yaml")

    assert not home.servers.exists()
    assert "tools show notes --start --config mine.yaml" in ended.stdout
    assert home("show", "notes", "--config", "mine.yaml").returncode == 0


def test_a_server_of_the_same_name_is_replaced_only_where_that_is_said(home):
    home.bring({"notes": NOTES})
    other = {"command": "other"}

    refused = home.bring({"notes": other, "sequential-thinking": other})
    kept = home.written
    replaced = home.bring({"notes": other, "sequential-thinking": other}, "--replace")

    assert refused.returncode == 2
    assert "there is a server 'notes' already: rename it there, or give --replace" in refused.stderr
    assert kept == {"notes": NOTES}
    assert replaced.returncode == 0
    assert home.written["notes"] == other
    assert home.written["sequential_thinking"] == {"enabled": True, "url": None, **other}
    assert home("show", "sequential_thinking").returncode == 0


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ('{"mcpServers": {\n  "a" 5}}', "theirs.json, line 2, column 7: this is not JSON: "),
        ("[]", "theirs.json holds no servers"),
        ({"mcpServers": {"a": {"args": []}}}, "theirs.json holds no servers"),
        ({"a": {"command": 5}}, "theirs.json: a.command: expected a program as a text"),
        ({"a": {"command": "x", "args": "y"}}, "theirs.json: a.args: expected a list of texts"),
        ({"a": {"command": "x", "env": [1]}}, "theirs.json: a.env: expected variables"),
        ({"a": {"command": "x", "env": {"B": None}}}, "theirs.json: a.env.B: expected a text"),
        ({"a": {"command": "x", "url": "y"}}, "theirs.json: a: it has a command and a url"),
        ({"a b": NOTES, "a-b": NOTES}, "another of its servers would be 'a-b' too"),
        ({"ledger": NOTES}, "it would be genesis_ledger, a part of every world: rename it"),
        ({"5": NOTES}, "no id can be made of its name"),
        ({"fetch": NOTES}, "there is a server 'fetch' already"),
    ],
)
def test_where_something_is_wrong_nothing_is_written(here, told, sentence):
    secret = {"command": "x", "env": {"KEY": "abcdef"}}
    if isinstance(told, dict) and "mcpServers" not in told:
        told = {"first": secret, **told}

    with pytest.raises(ConfigurationFault, match=re.escape(sentence)):
        brought(here, told)

    assert [path.name for path in here.iterdir()] == ["theirs.json"]


def test_what_cannot_be_imported_is_one_sentence(home):
    ended = home.bring({"mcpServers": {"fetch": NOTES}})

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "error: theirs.json: fetch: there is a server 'fetch' already: rename it there, or give "
        "--replace\n"
    )


def test_a_file_that_is_not_there_is_a_sentence(home):
    ended = home("import", "nothing.json")

    assert (ended.returncode, ended.stderr) == (
        2,
        "error: nothing.json can't be read: No such file or directory\n",
    )
