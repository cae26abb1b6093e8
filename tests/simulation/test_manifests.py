"""Manifests: whose they are, how they are kept, and that nobody changes one unseen."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripworld.genesis.tool_list import ToolList, kept
from scripworld.simulation.config import config_dir
from scripworld.simulation.manifests import Manifest, package_of, read_manifest, write_manifest
from scripworld.world import ConfigurationFault, Fault, Limits

from ..genesis.plain_lab import tool

PACKAGE = "@scope/server@1.2.3"
LISTED = [
    tool("turn", "Turns.", degrees="integer"),
    {**tool("look", "Looks around: ä\u2028."), "outputSchema": {"type": "object"}},
    tool("run_command", "Runs.", command="string"),
    {"name": "wait", "inputSchema": {}},
]
AGAIN = "make it again with `scripworld tools pin plain`"
SHIPPED = sorted((config_dir() / "manifests").glob("*.json"))


def manifest(*listed: Any, package: str = PACKAGE, **more: Any) -> Manifest:
    tools = kept(listed or LISTED, ("prompts",), Limits())
    left_out = {**tools.left_out, "odd": "its paths are not known"}
    return Manifest(
        "plain", package, "2025-11-25", ToolList(tools.tools, left_out, tools.features), **more
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    write_manifest(folder, manifest())
    return folder


def written(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "plain.json").read_bytes())
    return told


# Whose it is.


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("npx -y @scope/server@1.2.3 DIR", "@scope/server@1.2.3"),
        ("npx --yes --quiet server", "server"),
        ("/usr/bin/npx -y server@1 --flag", "server@1"),
        ("uvx mcp-server-fetch@2026.10.24 --proxy-url X", "mcp-server-fetch@2026.10.24"),
        ("uvx --with mcp<2 mcp-server-sqlite@1 --db-path X", "mcp-server-sqlite@1"),
        ("uvx --from some-package==1.0 some-command", "some-package==1.0"),
        ("npx", "npx"),
        ("npx -y", "npx"),
        ("uvx --from", ""),
        ("python server.py --port 5", "python server.py --port 5"),
        ("/opt/tools/server", "server"),
        ("docker run -i image:1", "docker run -i image:1"),
    ],
)
def test_a_command_line_starts_a_package(line: str, package: str):
    command, *args = line.split()

    assert package_of(command, args) == package


def test_a_manifest_is_of_one_package(folder: Path):
    assert read_manifest(folder, "plain", PACKAGE) == read_manifest(folder, "plain")
    assert read_manifest(folder, "plain", "@scope/server@1.2.4") is None
    assert read_manifest(folder, "plain", "") is None
    assert read_manifest(folder, "other", PACKAGE) is None
    assert read_manifest(folder / "nowhere", "plain") is None


# What it holds.


def test_what_is_written_is_read_again(folder: Path):
    read = read_manifest(folder, "plain")

    assert read is not None
    made = manifest()
    assert (read.server, read.package, read.protocol) == ("plain", PACKAGE, "2025-11-25")
    assert made.tools.difference(read.tools) == []
    assert read.tools.digest() == made.tools.digest()
    assert read.tools.left_out == made.tools.left_out
    assert read.tools.features == {"prompts"}


@settings(deadline=None)
@given(st.permutations(LISTED))
def test_the_order_of_the_tools_changes_nothing_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, listed: list[Any]
):
    folder = tmp_path_factory.mktemp("manifests")
    one = write_manifest(folder, manifest()).read_bytes()

    assert write_manifest(folder, manifest(*listed)).read_bytes() == one


def test_a_new_one_goes_over_the_old_one_and_leaves_nothing_beside_it(folder: Path):
    write_manifest(folder, manifest(tool("hide"), package="other"))

    assert [path.name for path in folder.iterdir()] == ["plain.json"]
    read = read_manifest(folder, "plain")
    assert read is not None
    assert (read.package, [tool.name for tool in read.tools.tools]) == ("other", ["hide"])


def test_one_that_cannot_be_written_is_a_sentence(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(Fault, match=r"plain\.json cannot be written: "):
        write_manifest(tmp_path / "file", manifest())


def test_it_is_a_text_that_can_be_reviewed(folder: Path):
    lines = (folder / "plain.json").read_text().splitlines()

    assert lines[0] == "{"
    assert any('"name": "look"' in line for line in lines)
    assert [tool["name"] for tool in written(folder)["tools"]] == [
        "look",
        "run_command",
        "turn",
        "wait",
    ]


# What is changed by hand.


def change(told: dict[str, Any], what: str) -> None:
    look = told["tools"][0]
    if what == "a description":
        look["description"] = "Looks away."
    elif what == "a schema":
        look["inputSchema"]["properties"]["key"] = {"type": "string"}
    elif what == "a schema of results":
        del look["outputSchema"]
    elif what == "one tool less":
        told["tools"].pop()
    elif what == "one tool more":
        told["tools"].append(tool("evil"))
    elif what == "a name":
        look["name"] = "Look"
    elif what == "a feature":
        told["features"] = []
    elif what == "the hash":
        told["sha256"] = "0" * 64
    elif what == "a tool that no world takes":
        look["inputSchema"] = {"$ref": "#"}


@pytest.mark.parametrize(
    "what",
    [
        *("a description", "a schema", "a schema of results", "one tool less", "one tool more"),
        *("a name", "a feature", "the hash", "a tool that no world takes"),
    ],
)
def test_one_that_was_changed_by_hand_is_told(folder: Path, what: str):
    told = written(folder)
    change(told, what)
    (folder / "plain.json").write_text(json.dumps(told))

    with pytest.raises(ConfigurationFault) as fault:
        read_manifest(folder, "plain", PACKAGE)
    assert str(fault.value).endswith(f"plain.json was changed: its hash does not fit; {AGAIN}")


def test_the_way_that_it_is_written_is_no_change(folder: Path):
    told = written(folder)
    told["tools"].reverse()
    (folder / "plain.json").write_text(json.dumps(dict(reversed(told.items()))))

    assert read_manifest(folder, "plain", PACKAGE) is not None


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', b"[" * 5_000),
        b'{"server": "plain"}',
        b'{"server": "plain", "package": 5, "protocol": "", "sha256": "", "tools": []}',
        b'{"server": "plain", "package": "", "protocol": "", "sha256": "", "tools": [5]}',
        b'{"server": "a", "package": "", "protocol": "", "sha256": "", "tools": [], "more": 1}',
    ],
)
def test_what_is_no_manifest_is_told(folder: Path, data: bytes):
    (folder / "plain.json").write_bytes(data)

    with pytest.raises(ConfigurationFault) as fault:
        read_manifest(folder, "plain")
    assert "plain.json is no manifest: " in str(fault.value)
    assert str(fault.value).endswith(AGAIN)
    assert "\n" not in str(fault.value)


def test_a_folder_in_its_place_is_told(folder: Path):
    (folder / "other.json").mkdir()

    with pytest.raises(ConfigurationFault, match=r"other\.json cannot be read: Is a directory"):
        read_manifest(folder, "other")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_those_that_come_with_scripworld_are_written_as_they_are_written_now(
    path: Path, tmp_path: Path
):
    shipped = read_manifest(path.parent, path.stem)

    assert shipped is not None
    assert write_manifest(tmp_path, shipped).read_bytes() == path.read_bytes()
