"""Tool servers as artifacts: a bridge's life, what fetch is, its configuration and its place in a world."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Run, Scenario
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.agents.mind import Scripted
from scripworld.genesis.mcp_bridge import GenesisMcpBridge, bridge_named
from scripworld.simulation.config import load_config
from scripworld.simulation.settings_file import read_settings
from scripworld.world import Answer, Code, Done, Envelope, Invoke, Refused, Settle, Tool, Waiting

ROOT = Path(__file__).resolve().parents[1]
SERVER = ROOT / "tests" / "genesis" / "servers" / "small_server.py"


def bridge(folder: Path, *habits: str, **spec: Any) -> GenesisMcpBridge:
    """A bridge to the small server, which notes what it does."""
    args = (str(SERVER), str(folder / "notes"), *habits)
    told = McpServerSpec("small", sys.executable, args, grace_s=0.3, **spec)
    return bridge_named("small")(told)


def noted(folder: Path) -> list[str]:
    notes = folder / "notes"
    return (
        [line.partition(" ")[2] for line in notes.read_text().splitlines()]
        if notes.exists()
        else []
    )


def play(small: GenesisMcpBridge, scene: Coroutine[Any, Any, Any]) -> Any:
    """Let a scene happen; whatever comes of it, the server ends."""

    async def whole() -> Any:
        try:
            return await scene
        finally:
            await small.close()

    return asyncio.run(whole())


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TestMcpBridgeLifecycle:
    def test_mcp_bridge_start_server(self, tmp_path: Path):
        small = bridge(tmp_path)

        async def scene() -> tuple[list[str], int | None]:
            assert noted(tmp_path) == []
            await asyncio.gather(*(small.start_server() for _ in range(5)))
            return noted(tmp_path), small.client.pid

        lines, pid = play(small, scene())

        assert lines == ["start"]
        assert pid is not None

    def test_mcp_bridge_stop_server(self, tmp_path: Path):
        small = bridge(tmp_path, "child")

        async def scene() -> None:
            await small.start_server()
            await small.stop_server()
            pids = [
                int(word)
                for line in (tmp_path / "notes").read_text().splitlines()
                for word in line.split()
                if word.isdigit()
            ]
            assert len(pids) >= 2
            assert not any(map(is_running, pids))
            again = await small.call_tool("list_directory", {"path": "."})
            assert again.code is None

        play(small, scene())

        assert [line for line in noted(tmp_path) if line == "start"] == ["start", "start"]

    def test_mcp_bridge_call_tool(self, tmp_path: Path):
        small = bridge(tmp_path)

        async def scene() -> Any:
            tools = await small.list_tools()
            assert "read_text_file" in {tool.name for tool in tools.tools}
            return await small.call_tool("read_text_file", {"path": "a.md"})

        result = play(small, scene())

        assert result.code is None
        assert result.value["content"][0]["text"].startswith("# About a.md")
        assert {"bytes_out", "bytes_in", "wall_us", "cpu_us", "memory_peak_bytes"} <= set(
            result.usage
        )
        assert noted(tmp_path) == ["start", "read_text_file"]

    @pytest.mark.parametrize(
        ("tool", "args", "code"),
        [
            ("fails", {}, Code.TOOL_FAILED),
            ("error", {}, Code.TOOL_FAILED),
            ("crash", {}, Code.TOOL_CRASHED),
            ("later", {"delay_s": 60}, Code.EFFECT_TIMEOUT),
            ("big", {"size": 300_000}, Code.RESULT_TOO_LARGE),
            ("no_such_tool", {}, Code.TOOL_REFUSED),
        ],
    )
    def test_mcp_bridge_error_handling(
        self, tmp_path: Path, tool: str, args: dict[str, Any], code: Code
    ):
        small = bridge(tmp_path, line_bytes_max=200_000)

        async def scene() -> tuple[Any, Any]:
            failed = await small.call_tool(tool, args, timeout_s=0.5)
            return failed, await small.call_tool("list_directory", {"path": "."})

        failed, after = play(small, scene())

        assert failed.code is code
        assert failed.detail
        assert after.code is None


class TestGenesisFetch:
    def test_genesis_fetch_methods(self, tmp_path: Path):
        native = world_with(tmp_path, "fetch").state().artifacts.by_id["genesis_fetch"]
        fetch = {tool.name: tool for tool in native.interface}["fetch"]

        assert fetch.input_schema["required"] == ["url"]
        assert {"url", "method", "headers"} <= fetch.input_schema["properties"].keys()

    @pytest.mark.registry
    def test_genesis_fetch_invoke(self, tmp_path: Path):
        site = tmp_path / "site"
        site.mkdir()
        (site / "page.html").write_text("<html><body><p>The price of bread is 3.</p></body></html>")
        fetch = "genesis_fetch"
        url = "http://web.test/page.html"
        run = run_with(
            tmp_path,
            {"fetch": {}},
            Invoke(fetch, "fetch", {"url": url}),
            Invoke(fetch, "fetch", {"url": url, "method": "POST"}),
            Invoke(fetch, "fetch", {"url": url, "headers": {"Cookie": "x"}}),
            Invoke(fetch, "fetch", {"url": url, "verb": "GET"}),
            Invoke(fetch, "fetch", {"url": "http://169.254.169.254/latest/meta-data"}),
            site=site,
        )

        page, posted, with_headers, undeclared, metadata = answers_of(run)
        assert isinstance(page, Done)
        assert "The price of bread is 3." in page.result["content"][0]["text"]
        for refused in (posted, with_headers, undeclared):
            assert isinstance(refused, Refused)
            assert refused.code is Code.ARGUMENTS_INVALID
        assert "leave out method, or say GET" in posted.detail
        assert not isinstance(metadata, Done)
        log = (run.folder / "egress.jsonl").read_text()
        assert '"host":"web.test"' in log
        assert "latest/meta-data" not in log
        run.verify()


class TestMcpConfig:
    def test_mcp_config_schema(self):
        described = read_settings(ROOT / "config" / "schema.yaml").values
        server = "genesis.mcp.servers.<server>"

        for key in (
            *("command", "args", "env", "cwd", "url", "enabled", "limits"),
            *("costs.<method>.price_scrip", "allowed_tools", "denied_tools", "idempotent_tools"),
            *("sandbox.network", "sandbox.memory_bytes_max", "egress.hosts_allowed", "processes"),
        ):
            assert f"{server}.{key}" in described, key

    def test_mcp_disabled_not_created(self, tmp_path: Path):
        run = world_with(tmp_path)

        assert not any(id.endswith(("fetch", "filesystem")) for id in run.state().artifacts.by_id)


class TestMcpRegistration:
    def test_mcp_registered_in_genesis(self, tmp_path: Path):
        state = world_with(tmp_path, "fetch", "filesystem").state()

        for id in ("genesis_fetch", "genesis_filesystem"):
            artifact = state.artifacts.by_id[id]
            assert artifact.type == "genesis"
            assert artifact.owner == "genesis"
            assert artifact.contract.id == "freeware"
            assert all(isinstance(tool, Tool) for tool in artifact.interface)
        assert set(load_config().genesis.mcp.servers) >= {"fetch", "filesystem"}


def world_with(folder: Path, *servers: str) -> Run:
    """A run in which nothing happens, with these servers; none is started."""
    return run_with(folder, {name: {} for name in servers})


def run_with(
    folder: Path, servers: dict[str, dict[str, Any]], *calls: Invoke, site: Path | None = None
) -> Run:
    """One agent makes the calls in a world with these servers, as they are shipped."""
    agent = {"id": "a", "mind": "a", "scrip": 10, "quotas": {"compute": 500, "tool_calls": 50}}
    scenario = Scenario.model_validate({"name": "web", "agents": [agent], "site": site})
    off = {name: {"enabled": False} for name in ("fetch", "filesystem") if name not in servers}
    return scripworld.run(
        scenario,
        minds={"a": Scripted(list(calls))},
        settings={
            "store": {"runs_dir": str(folder / "runs")},
            "genesis": {"mcp": {"servers": off | servers}},
        },
    )


def answers_of(run: Run) -> list[Answer]:
    """The final answers to the agent's invocations, in order."""
    answers = []
    for record in run.records():
        invoked = isinstance(record.input, Envelope) and isinstance(record.input.action, Invoke)
        if (invoked or isinstance(record.input, Settle)) and not isinstance(record.answer, Waiting):
            answers.append(record.answer)
    return answers
