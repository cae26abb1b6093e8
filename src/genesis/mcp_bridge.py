"""Owns the bridge: a tool server as a genesis artifact. The one place that joins a handler to a process.

A subclass says only what differs: its name and what it is for; ``bridge_named`` makes one for any
other server. The artifact begins with one method, ``list_tools``; what it discovers becomes methods
of the artifact. The process is started by the first effect and ends with the run.
"""

from __future__ import annotations

import re
import time
from typing import Any, ClassVar

import msgspec

from ..adapters.mcp_process import McpServerSpec
from ..adapters.mcp_session import (
    McpCallError,
    McpCrashed,
    McpError,
    McpProtocolError,
    McpTimeout,
    McpTooLarge,
    McpUnavailable,
)
from ..adapters.mcp_stdio import McpClient
from ..world import (
    Code,
    Context,
    Done,
    Effect,
    EffectRequest,
    EffectResult,
    Failed,
    Method,
    Native,
    SchemaError,
    Tool,
    Validator,
    is_id,
)

LIST_TOOLS = "list_tools"
ID_PREFIX = "genesis_"
_DETAIL_CHARS_MAX = 400
_DESCRIPTION_CHARS_MAX = 1_000
_TOOL_NAME_CHARS_MAX = 64
_CODES: dict[type[McpError], Code] = {
    McpUnavailable: Code.TOOL_UNAVAILABLE,
    McpTimeout: Code.EFFECT_TIMEOUT,
    McpCrashed: Code.TOOL_CRASHED,
    McpTooLarge: Code.RESULT_TOO_LARGE,
    McpProtocolError: Code.TOOL_FAILED,
    McpCallError: Code.TOOL_FAILED,
}


class GenesisMcpBridge:
    """A tool server behind an artifact: its ``native`` for the kernel, ``perform`` for the runner.

    Attributes:
        id: the artifact. name: the server's name in the configuration.
        purpose: what agents are told it is for.
        patience_s: real seconds for starting up, the download by npx or uvx included.
    """

    id: ClassVar[str]
    name: ClassVar[str]
    purpose: ClassVar[str]

    def __init__(self, spec: McpServerSpec) -> None:
        self._client = McpClient(spec)
        self.patience_s = spec.start_timeout_s + 2 * spec.grace_s

    @classmethod
    def native(cls) -> Native:
        """The artifact as the kernel takes it."""
        tool = Tool(
            LIST_TOOLS,
            f"Ask the server of {cls.id} which tools it has; they become methods of {cls.id}.",
            {"type": "object", "properties": {}},
        )
        list_tools = Method(tool, cls._ask_list, effect=True, settled=_discovered)
        return Native(
            cls.id,
            f"{cls.purpose}. Invoke list_tools first: it makes the server's tools methods here",
            {LIST_TOOLS: list_tools},
            discovered=cls._tool,
            capabilities=frozenset({"interface"}),
        )

    async def perform(self, request: EffectRequest) -> EffectResult:
        """Call the server. Whatever it does wrong is a result with a code."""
        payload: Any = request.payload
        began_ns = time.monotonic_ns()
        try:
            timeout_s = (request.deadline_us - request.requested_us) / 1e6
            if payload["tool"] == LIST_TOOLS:
                tools = await self._client.list_tools(timeout_s=timeout_s)
                result = EffectResult({"tools": [_shape_of(tool) for tool in tools]})
            else:
                answer = await self._client.call_tool(payload["tool"], payload["args"], timeout_s)
                usage = {"bytes_out": answer.bytes_out, "bytes_in": answer.bytes_in}
                result = _result_of(answer.result, usage)
        except McpError as error:
            detail = str(error)[:_DETAIL_CHARS_MAX]
            usage = {"bytes_out": error.bytes_out, "bytes_in": error.bytes_in}
            result = EffectResult(None, _CODES[type(error)], detail, usage)
        wall_us = (time.monotonic_ns() - began_ns) // 1_000
        return msgspec.structs.replace(result, usage={**result.usage, "wall_us": wall_us})

    async def close(self) -> None:
        """Stop the server and everything that it started."""
        await self._client.close()

    @classmethod
    def _ask_list(cls, context: Context, args: dict[str, Any]) -> Effect:
        return Effect(cls.id, {"tool": LIST_TOOLS, "args": {}})

    @classmethod
    def _tool(cls, tool: Tool) -> Method:
        def ask(context: Context, args: dict[str, Any]) -> Effect:
            return Effect(cls.id, {"tool": tool.name, "args": args})

        return Method(tool, ask, effect=True)


class UnavailableServer:
    """Stands in for a bridge whose server cannot be started: every effect fails with one sentence.

    Args:
        reason: how to make the server available.
    """

    patience_s = 0.0

    def __init__(self, reason: str) -> None:
        self._result = EffectResult(None, Code.TOOL_UNAVAILABLE, reason[:_DETAIL_CHARS_MAX])

    async def perform(self, request: EffectRequest) -> EffectResult:
        """Tell how to make the server available."""
        return self._result

    async def close(self) -> None:
        """Nothing was started."""


def artifact_of(server: str) -> str:
    """The id of the artifact that a server, by its name in the configuration, becomes."""
    return f"{ID_PREFIX}{server.replace('-', '_')}"


def bridge_named(server: str) -> type[GenesisMcpBridge]:
    """A bridge to a server that has no class of its own.

    All that goes into the log follows from the artifact's id, so a run can be proved without its
    configuration.
    """
    id = artifact_of(server)
    stem = id.removeprefix(ID_PREFIX)
    class_name = "Genesis" + "".join(map(str.capitalize, re.findall("[a-z0-9]+", stem)))
    fields = {"id": id, "name": server, "purpose": f"The tools of the server {stem}"}
    return type(class_name, (GenesisMcpBridge,), fields)


def _discovered(context: Context, payload: Any, result: EffectResult) -> Done | Failed:
    """Make the server's tools methods of the artifact; leave out what cannot be checked."""
    own = context.natives[context.artifact].methods
    tools: dict[str, Tool] = {name: method.tool for name, method in own.items()}
    left_out: list[str] = []
    listed = result.value.get("tools") if isinstance(result.value, dict) else None
    if not isinstance(listed, list):
        return Failed(Code.TOOL_FAILED, f"{context.artifact} answered no list of tools: try again")
    for shape in listed:
        name = _name_of(shape)
        try:
            tool = msgspec.convert(shape, Tool)
            Validator(tool.input_schema, context.config.limits)
        except (msgspec.ValidationError, SchemaError):
            left_out.append(name)
            continue
        is_full = len(tools) > context.config.limits.tools_max
        if is_full or name in tools or not is_id(name.lower(), _TOOL_NAME_CHARS_MAX):
            left_out.append(name)
        else:
            tools[name] = tool
    context.discover(tuple(tools.values()))
    return Done({"methods": list(tools), "left_out": left_out})


def _name_of(shape: Any) -> str:
    """The name of a listed tool; one that is too long stays so, and is no name."""
    name = shape.get("name") if isinstance(shape, dict) else None
    return name[: _TOOL_NAME_CHARS_MAX + 1] if isinstance(name, str) else ""


def _shape_of(tool: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a tool that a server lists: its name, description and schemas."""
    shape: dict[str, Any] = {"name": _name_of(tool)}
    shape["description"] = str(tool.get("description") or "")[:_DESCRIPTION_CHARS_MAX]
    shape["inputSchema"] = tool.get("inputSchema")
    if "outputSchema" in tool:
        shape["outputSchema"] = tool["outputSchema"]
    return shape


def _result_of(answer: dict[str, Any], usage: dict[str, int]) -> EffectResult:
    """A tool's answer: its content, or the failure that it tells of."""
    content = answer.get("content")
    if not isinstance(content, list):
        return EffectResult(None, Code.TOOL_FAILED, "the tool answered no content", usage)
    if answer.get("isError") is True:
        return EffectResult(None, Code.TOOL_FAILED, _text_of(content)[:_DETAIL_CHARS_MAX], usage)
    value: dict[str, Any] = {"content": content}
    if "structuredContent" in answer:
        value["structuredContent"] = answer["structuredContent"]
    return EffectResult(value, usage=usage)


def _text_of(content: list[Any]) -> str:
    parts = [str(part.get("text", "")) for part in content if isinstance(part, dict)]
    return " ".join(" ".join(parts).split()) or "the tool failed without a word"
