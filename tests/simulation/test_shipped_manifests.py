"""The manifests that come with Scripworld fit the configured servers, and the names that agents rely on."""

import pytest

from scripworld.genesis.tool_list import ToolList
from scripworld.simulation.config import config_dir, load_config
from scripworld.simulation.manifests import FOLDER, read_manifest
from scripworld.simulation.natives import BRIDGES
from scripworld.simulation.servers import Server
from scripworld.world import Limits

WITH_KEYS = {"BRAVE_API_KEY": "a-key", "GITHUB_PERSONAL_ACCESS_TOKEN": "a-token"}
SERVERS = {
    name: Server(name, settings, WITH_KEYS)
    for name, settings in load_config().genesis.mcp.servers.items()
    if name in BRIDGES
}


def pinned(name: str) -> ToolList:
    manifest = SERVERS[name].manifest()
    assert manifest is not None, f"make it: scripworld tools pin {name}"
    return manifest.tools


def test_every_server_that_comes_with_scripworld_has_one_and_nothing_else_does():
    files = {path.stem for path in (config_dir() / FOLDER).glob("*.json")}

    assert set(SERVERS) == set(BRIDGES)
    assert files >= set(BRIDGES)


@pytest.mark.parametrize("name", BRIDGES)
def test_a_manifest_is_of_the_configured_package_and_has_its_hash(name: str):
    manifest = read_manifest(config_dir() / FOLDER, name)

    assert manifest is not None
    assert manifest.package == SERVERS[name].package
    assert manifest.protocol
    assert manifest.tools.tools


@pytest.mark.parametrize("name", BRIDGES)
def test_every_stable_name_leads_to_a_tool_of_the_manifest(name: str):
    offered = {tool.name for tool in pinned(name).offered(SERVERS[name].policy).tools}

    assert {alias.target for alias in BRIDGES[name].aliases} <= offered


@pytest.mark.parametrize("name", BRIDGES)
def test_the_artifact_has_the_methods_of_its_manifest(name: str):
    native = SERVERS[name].native(Limits())

    offered = {tool.name for tool in pinned(name).offered(SERVERS[name].policy).tools}
    assert offered <= set(native.methods)
    assert "Invoke list_tools first" not in native.description
