"""Owns the bridge: a tool server as a genesis artifact. The one place that joins a handler to a process.

A subclass says only what differs: its name, what it is for, its stable names; ``bridge_named`` makes
one for any other server. What is known of the server's tools, from a manifest or from an earlier
look, are methods of the artifact from the beginning. The process is started by the first effect, its
list of tools compared with what is known, and it ends with the run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from ..adapters.mcp_asks import NO_HOST, Ask, Host, McpRefusal
from ..adapters.mcp_outcome import (
    McpAnswer,
    McpCallError,
    McpCrashed,
    McpError,
    McpProtocolError,
    McpTimeout,
    McpTooLarge,
    McpUnavailable,
)
from ..adapters.mcp_pool import McpPool
from ..adapters.mcp_process import McpServerSpec
from ..world import (
    Code,
    Context,
    Done,
    Effect,
    EffectRequest,
    EffectResult,
    Failed,
    Limits,
    Method,
    Native,
    Refused,
    Tool,
)
from .mcp_answers import checked_answer, result_of, sentence_of
from .secrets import NOTHING_SECRET, Secrets
from .tool_list import EVERYTHING_SAFE, Policy, ToolList, changes, kept, shape_of

LIST_TOOLS = "list_tools"
LIST_RESOURCES, READ_RESOURCE = "list_resources", "read_resource"
LIST_PROMPTS, GET_PROMPT = "list_prompts", "get_prompt"
ID_PREFIX = "genesis_"
_CODES: dict[type[McpError], Code] = {
    McpUnavailable: Code.TOOL_UNAVAILABLE,
    McpTimeout: Code.EFFECT_TIMEOUT,
    McpCrashed: Code.TOOL_CRASHED,
    McpTooLarge: Code.RESULT_TOO_LARGE,
    McpProtocolError: Code.TOOL_FAILED,
    McpCallError: Code.TOOL_FAILED,
}
_LIMITS = Limits()
_NAME = {"type": "string", "maxLength": 2_000}
_NONE: dict[str, Any] = {"type": "object", "properties": {}}
_FEATURES: dict[str, tuple[Tool, ...]] = {
    "resources": (
        Tool(LIST_RESOURCES, "Which resources the server has, and which templates of them.", _NONE),
        Tool(
            READ_RESOURCE,
            "The content of a resource by its URI.",
            {"type": "object", "properties": {"uri": _NAME}, "required": ["uri"]},
        ),
    ),
    "prompts": (
        Tool(LIST_PROMPTS, "Which prompts the server has.", _NONE),
        Tool(
            GET_PROMPT,
            "A prompt by its name, with its arguments filled in.",
            {
                "type": "object",
                "properties": {
                    "name": _NAME,
                    "arguments": {"type": "object", "additionalProperties": {"type": "string"}},
                },
                "required": ["name"],
            },
        ),
    ),
}
UNKNOWN = ToolList()
"""What is known of a server that nobody has looked at."""


class ToolRefused(Exception):
    """A rule stops a call before the server sees it; the text says which."""


@dataclass(frozen=True)
class Alias:
    """A stable name: a method that agents rely on, whatever the server calls its tool.

    Attributes:
        tool: the method. target: the server's tool behind it.
        to: the server's arguments for ours, or the sentence that refuses what it cannot do.
    """

    tool: Tool
    target: str
    to: Callable[[dict[str, Any]], dict[str, Any] | str]


class GenesisMcpBridge:
    """A tool server behind an artifact: its ``native`` for the kernel, ``perform`` for the runner.

    Attributes:
        id: the artifact. name: the server's name in the configuration.
        purpose: what agents are told it is for. aliases: stable names, beside the server's tools.
        patience_s: real seconds for starting up, the download included.
    """

    id: ClassVar[str]
    name: ClassVar[str]
    purpose: ClassVar[str]
    aliases: ClassVar[tuple[Alias, ...]] = ()

    def __init__(
        self,
        spec: McpServerSpec,
        known: Callable[[], ToolList | None] = lambda: None,
        policy: Policy = EVERYTHING_SAFE,
        limits: Limits = _LIMITS,
        secrets: Secrets = NOTHING_SECRET,
        host: Host = NO_HOST,
    ) -> None:
        """Prepare; nothing is started.

        Args:
            spec: how the server is started.
            known: the list of tools that it is compared with; None compares with nothing.
            policy: which of its tools are offered.
            limits: of the world, for the schemas.
            secrets: what is struck out of all that it says.
            host: what it may ask for in the middle of a call.
        """
        told = Host(self._telling(host.sample), self._telling(host.elicit))
        self.client = McpPool(spec, told, self._vet)
        self.patience_s = spec.start_timeout_s + 2 * spec.grace_s
        self._known = known
        self._policy = policy
        self._limits = limits
        self._secrets = secrets
        self._live: ToolList = UNKNOWN
        self._names: frozenset[str] = frozenset()
        self._first: ToolList | None = None

    # The artifact.

    @classmethod
    def native(cls, known: ToolList = UNKNOWN) -> Native:
        """The artifact as the kernel takes it, with the methods that are known."""
        methods = {LIST_TOOLS: Method(cls._list_tool(), cls._ask_list, True, cls._discover)}
        for tool in cls.stable(known):
            methods[tool.name] = cls._method(tool)
        for tool in known.tools:
            if tool.name not in methods:
                methods[tool.name] = cls._method(tool)
        how = ". Invoke list_tools first: it makes the server's tools methods here"
        return Native(
            cls.id,
            cls.purpose if len(methods) > 1 else cls.purpose + how,
            methods,
            discovered=cls._method,
            capabilities=frozenset({"interface"}),
        )

    @classmethod
    def stable(cls, known: ToolList) -> list[Tool]:
        """The methods besides ``list_tools`` that are not the server's own tools."""
        tools = [alias.tool for alias in cls.aliases]
        return tools + [tool for name in sorted(known.features) for tool in _FEATURES[name]]

    @classmethod
    def asked(cls, context: Context, method: str, args: dict[str, Any]) -> dict[str, Any] | Refused:
        """What is asked of the server, or the refusal of what must not or cannot be; pure."""
        for alias in cls.aliases:
            if alias.tool.name == method:
                told = alias.to(args)
                if isinstance(told, str):
                    return Refused(Code.ARGUMENTS_INVALID, told)
        return args

    @classmethod
    def _list_tool(cls) -> Tool:
        return Tool(
            LIST_TOOLS,
            f"Ask the server of {cls.id} which tools it has; they become methods of {cls.id}.",
            _NONE,
        )

    @classmethod
    def _ask_list(cls, context: Context, args: dict[str, Any]) -> Effect:
        return Effect(cls.id, {"tool": LIST_TOOLS, "args": {}})

    @classmethod
    def _discover(cls, context: Context, payload: Any, result: EffectResult) -> Done | Failed:
        """Make what the server offers methods of the artifact; leave out what cannot be checked."""
        told = result.value if isinstance(result.value, dict) else {}
        listed, features = told.get("tools"), told.get("features", [])
        if not isinstance(listed, list) or not isinstance(features, list):
            detail = f"{context.artifact} answered no list of tools: try again"
            return Failed(Code.TOOL_FAILED, detail)
        found = kept(listed, _FEATURES.keys() & set(map(str, features)), context.config.limits)
        own = [cls._list_tool(), *cls.stable(found)]
        names = {tool.name for tool in own}
        tools = (*own, *(tool for tool in found.tools if tool.name not in names))
        context.discover(tools)
        left_out = {**told.get("left_out", {}), **found.left_out}
        return Done({"methods": [tool.name for tool in tools], "left_out": left_out})

    @classmethod
    def _method(cls, tool: Tool) -> Method:
        def ask(context: Context, args: dict[str, Any]) -> Effect | Refused:
            told = cls.asked(context, tool.name, args)
            if isinstance(told, Refused):
                return told
            return Effect(cls.id, {"tool": tool.name, "args": told})

        schema = tool.output_schema
        return Method(tool, ask, True, None if schema is None else checked_answer(schema))

    # The process.

    async def start_server(self) -> None:
        """Make sure that the server runs; however many ask, one start.

        Raises:
            McpUnavailable: it cannot be started; the sentence says why.
        """
        await self.client.start()

    async def stop_server(self) -> None:
        """End the server and everything that it started. It starts again when it is called."""
        await self.client.stop()

    async def list_tools(self, timeout_s: float | None = None) -> ToolList:
        """What the running server offers; starts it if need be.

        Raises:
            McpError: it could not be asked.
        """
        listed = await self.client.list_tools(timeout_s)
        return self._kept(listed, self.client.capabilities)

    async def call_tool(
        self, name: str, args: dict[str, Any], timeout_s: float | None = None, asker: Any = None
    ) -> EffectResult:
        """Call a method: a stable name, a tool of the server, a resource or a prompt.

        Whatever goes wrong is a result with a code. What it used is in ``usage``, always.
        """
        begun_ns = time.monotonic_ns()
        try:
            if not self.client.is_vetted:
                await self.client.start()
            if name == LIST_TOOLS:
                wall_us = (time.monotonic_ns() - begun_ns) // 1_000
                result = msgspec.structs.replace(self._listed(), usage={"wall_us": wall_us})
            else:
                answer = await self._ask(name, args, timeout_s, asker)
                result = result_of(self.told(answer.result), answer.usage.as_dict())
        except McpError as error:
            error.stderr = self.told(error.stderr)  # before it is cut: no half of a secret stays
            detail = sentence_of(self.told(str(error)))
            result = EffectResult(None, _CODES[type(error)], detail, error.usage.as_dict())
        except ToolRefused as refused:
            result = EffectResult(None, Code.TOOL_REFUSED, sentence_of(self.told(str(refused))))
        return result

    async def perform(self, request: EffectRequest) -> EffectResult:
        """Perform one effect of the artifact; see ``call_tool``."""
        payload: Any = request.payload
        timeout_s = (request.deadline_us - request.requested_us) / 1e6
        return await self.call_tool(payload["tool"], payload["args"], timeout_s, request)

    async def close(self) -> None:
        """Stop the server for good."""
        await self.client.close()

    def sent(self, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the server gets them.

        Raises:
            ToolRefused: a rule forbids it.
        """
        return args

    def told(self, said: Any) -> Any:
        """What may be told of the server's words, any JSON value: no secret is in it."""
        return self._secrets.hidden(said)

    def _telling(self, ask: Ask | None) -> Ask | None:
        """The same host's answer to a server's question, which are words of the server too."""
        if ask is None:
            return None

        async def asked(asker: Any, params: dict[str, Any]) -> dict[str, Any] | McpRefusal:
            return await ask(asker, self.told(params))

        return asked

    async def _ask(
        self, name: str, args: dict[str, Any], timeout_s: float | None, asker: Any
    ) -> McpAnswer:
        client = self.client
        if "resources" in self._live.features:
            if name == LIST_RESOURCES:
                return await self._resources(timeout_s)
            if name == READ_RESOURCE:
                return await client.read_resource(args["uri"], timeout_s, asker)
        if "prompts" in self._live.features:
            if name == LIST_PROMPTS:
                return await client.list_prompts(timeout_s)
            if name == GET_PROMPT:
                arguments = args.get("arguments", {})
                return await client.get_prompt(args["name"], arguments, timeout_s, asker)
        tool, args = self._behind(name, args)
        return await client.call_tool(tool, self.sent(tool, args), timeout_s, asker=asker)

    async def _resources(self, timeout_s: float | None) -> McpAnswer:
        """What resources there are, and templates of them where the server has some."""
        there = await self.client.list_resources(timeout_s)
        try:
            more = await self.client.list_resource_templates(timeout_s)
        except McpCallError as error:  # most servers have none, and say so in this way
            return McpAnswer(there.result, there.usage + error.usage)
        return McpAnswer({**there.result, **more.result}, there.usage + more.usage)

    def _behind(self, name: str, args: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The server's tool behind a method, and its arguments.

        Raises:
            ToolRefused: there is none, it is not offered, or it cannot do what is asked.
        """
        if name in self._policy.denied:  # also where it would lead to another tool
            raise ToolRefused(f"{self.id} {name}: denied by denied_tools")
        live = self._names
        for alias in self.aliases:
            if alias.tool.name == name and alias.target in live:
                told = alias.to(args)
                if isinstance(told, str):
                    raise ToolRefused(told)
                name, args = alias.target, told
                break
        if name not in live:
            why = self._live.left_out.get(name, "the running server has no such tool")
            raise ToolRefused(f"{self.id} {name}: {why}")
        return name, args

    def _vet(self, listed: list[dict[str, Any]], capabilities: frozenset[str]) -> None:
        """Look at the tools of a process that is new, or says that its list has changed.

        Raises:
            ToolRefused: the list is not the one that is known.
        """
        tools = self._kept(self._secrets.hidden(listed), capabilities)
        known = self._known() or self._first
        if known is None:
            known = self._first = tools
        live = tools.offered(self._policy)
        lines = known.offered(self._policy).difference(live)
        if lines:
            raise ToolRefused(
                f"{self.name} offers other tools than those that are known: {changes(lines)}. "
                f"`scripworld tools pin {self.name}` accepts them"
            )
        self._live, self._names = live, frozenset(tool.name for tool in live.tools)

    def _kept(self, listed: list[dict[str, Any]], capabilities: frozenset[str]) -> ToolList:
        """What is kept of a list; a subclass may leave more out."""
        return kept(listed, capabilities & _FEATURES.keys(), self._limits)

    def _listed(self) -> EffectResult:
        tools = [shape_of(tool) for tool in self._live.tools]
        left_out = dict(sorted(self._live.left_out.items()))
        features = sorted(self._live.features)
        return EffectResult({"tools": tools, "features": features, "left_out": left_out})


class UnavailableServer:
    """Stands in for a bridge whose server cannot be started: every effect fails with one sentence.

    Args:
        reason: how to make the server available.
    """

    patience_s = 0.0

    def __init__(self, reason: str) -> None:
        self._result = EffectResult(None, Code.TOOL_UNAVAILABLE, sentence_of(reason))

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

    All that goes into the log follows from the artifact's id and its tools, so a run can be proved
    without its configuration.
    """
    id = artifact_of(server)
    stem = id.removeprefix(ID_PREFIX)
    class_name = "Genesis" + "".join(map(str.capitalize, re.findall("[a-z0-9]+", stem)))
    fields = {"id": id, "name": server, "purpose": f"The tools of the server {stem}"}
    return type(class_name, (GenesisMcpBridge,), fields)


def known_from(bridge: type[GenesisMcpBridge], interface: Iterable[Tool]) -> ToolList:
    """What an artifact's interface tells of its server's tools; not those behind stable names."""
    tools = {tool.name: tool for tool in interface}
    features = frozenset(
        name for name, own in _FEATURES.items() if all(tools.get(t.name) == t for t in own)
    )
    hidden = {LIST_TOOLS, *(tool.name for tool in bridge.stable(ToolList(features=features)))}
    theirs = tuple(tool for name, tool in tools.items() if name not in hidden)
    return ToolList(theirs, features=features, hidden=frozenset(hidden))
