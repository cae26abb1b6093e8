"""Owns what is kept of a tool server's list of tools: which, how much of each, what pins it, what changed.

A list comes from a stranger. What it says is data: bounded, with control characters made visible.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ..world import Limits, SchemaError, Tool, Validator, is_id

NAME_CHARS_MAX: Final = 64
DESCRIPTION_CHARS_MAX: Final = 1_000
_CHANGES_TOLD_MAX: Final = 5
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069"
    r"\ufeff\U000e0000-\U000e007f]"
)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_COMMANDING = frozenset(
    (
        *("exec", "shell", "bash", "sh", "zsh", "cmd", "command", "commands", "terminal", "ssh"),
        *("powershell", "pwsh", "eval", "evaluate", "script", "applescript", "python", "repl"),
        *("javascript", "interpreter", "install", "subprocess", "spawn", "sudo", "popen"),
        *("system", "kubectl", "docker", "npm", "npx", "pip", "uvx", "lambda"),
        *("runcommand", "executecommand", "execcommand", "runcode", "executecode"),
    )
)
_CODE = frozenset(("code", "process", "program", "js", "node", "cell", "notebook", "snippet"))
_CODE_VERBS = frozenset(("run", "execute", "start", "launch"))


@dataclass(frozen=True)
class Policy:
    """Which of a server's tools are offered.

    Attributes:
        allowed: names; empty or with ``*`` for all but those that run commands or code, which have
            to be named here.
        denied: names that are never offered.
    """

    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()

    def why_not(self, name: str) -> str | None:
        """Why a tool is not offered; None when it is."""
        if name in self.denied:
            return "denied by denied_tools"
        if name in self.allowed:
            return None
        if self.allowed and "*" not in self.allowed:
            return "not among allowed_tools"
        if runs_commands(name):
            return "it runs commands or code: name it in allowed_tools to offer it"
        return None


EVERYTHING_SAFE = Policy()
"""All tools but those that run commands or code."""


@dataclass(frozen=True)
class ToolList:
    """A server's tools in its order, and why others were left out, by name.

    Attributes:
        features: what else it has: ``resources``, ``prompts``.
        hidden: names that it cannot tell of: methods of ours stand before them, or they are more
            than a world takes.
    """

    tools: tuple[Tool, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    features: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    def offered(self, policy: Policy) -> ToolList:
        """The part that agents may use."""
        left_out = dict(self.left_out)
        tools: list[Tool] = []
        for tool in self.tools:
            why = policy.why_not(tool.name)
            if why is not None:
                left_out[tool.name] = why
            else:
                tools.append(tool)
        return ToolList(tuple(tools), left_out, self.features, self.hidden)

    def digest(self) -> str:
        """The SHA-256 that pins it, over all that an agent is told, whatever its order."""
        shapes = sorted((shape_of(tool) for tool in self.tools), key=lambda shape: shape["name"])
        said = [shapes, sorted(self.features)]
        return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()

    def difference(self, now: ToolList) -> list[str]:
        """What is other in ``now``, a line each; nothing when they say the same."""
        hidden = self.hidden | now.hidden
        before = {tool.name: tool for tool in self.tools if tool.name not in hidden}
        after = {tool.name: tool for tool in now.tools if tool.name not in hidden}
        lines = [f"+ {name}" for name in sorted(after.keys() - before.keys())]
        lines += [f"- {name}" for name in sorted(before.keys() - after.keys())]
        for name in sorted(before.keys() & after.keys()):
            parts = [
                part
                for part in ("description", "input_schema", "output_schema")
                if getattr(before[name], part) != getattr(after[name], part)
            ]
            if parts:
                lines.append(f"~ {name}: {', '.join(parts)}")
        lines += [f"+ its {name}" for name in sorted(now.features - self.features)]
        lines += [f"- its {name}" for name in sorted(self.features - now.features)]
        return lines


def kept(listed: Iterable[Any], features: Iterable[str], limits: Limits) -> ToolList:
    """What is kept of a list as a server sent it: tools whose arguments can be checked."""
    tools: dict[str, Tool] = {}
    left_out: dict[str, str] = {}
    hidden: set[str] = set()
    for entry in listed:
        shape = _trimmed(entry)
        name = shape["name"]
        if not is_id(name.lower(), NAME_CHARS_MAX):
            left_out[visible(name) or "?"] = "its name is none that a method can have"
        elif name in tools:
            left_out[name] = "it is listed twice"
        elif len(tools) >= limits.tools_max:
            left_out[name] = f"a server has at most {limits.tools_max} tools here"
            hidden.add(name)
        else:
            try:
                tools[name] = _checked(shape, limits)
            except (msgspec.ValidationError, SchemaError) as error:
                left_out[name] = visible(f"its arguments cannot be checked: {error}")
    return ToolList(tuple(tools.values()), left_out, frozenset(features), frozenset(hidden))


def shape_of(tool: Tool) -> dict[str, Any]:
    """A tool as MCP writes it."""
    shape: dict[str, Any] = msgspec.to_builtins(tool)
    shape.setdefault("inputSchema", {})  # an empty one is left out there
    if tool.output_schema is None:
        shape.pop("outputSchema", None)
    return shape


def changes(lines: list[str]) -> str:
    """Lines of a difference as a part of a sentence."""
    more = len(lines) - _CHANGES_TOLD_MAX
    return "; ".join(lines[:_CHANGES_TOLD_MAX]) + (f"; and {more} more" if more > 0 else "")


def visible(text: str) -> str:
    """The text with control characters, but line ends and tabs, as pictures of them."""
    if _CONTROL.search(text) is None:
        return text
    return _CONTROL.sub(_picture, text)


def runs_commands(name: str) -> bool:
    """Whether a tool's name says that it runs commands or arbitrary code."""
    words = {word.lower() for word in _WORDS.findall(name)}
    verbs = words & _CODE_VERBS
    return bool(words & _COMMANDING) or bool(verbs and words & _CODE) or words == verbs != set()


def _picture(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number < 0x20:
        return chr(0x2400 + number)
    return "\u2421" if number == 0x7F else "\ufffd"


def _trimmed(entry: Any) -> dict[str, Any]:
    """Name, description and schemas of a listed tool; a name that is too long stays so, and is none."""
    told = entry if isinstance(entry, dict) else {}
    name = told.get("name")
    shape: dict[str, Any] = {"name": name[: NAME_CHARS_MAX + 1] if isinstance(name, str) else ""}
    description = told.get("description")
    about = description if isinstance(description, str) else ""
    shape["description"] = visible(about[:DESCRIPTION_CHARS_MAX])
    shape["inputSchema"] = told.get("inputSchema")
    if isinstance(told.get("outputSchema"), dict):
        shape["outputSchema"] = told["outputSchema"]
    return shape


def _checked(shape: dict[str, Any], limits: Limits) -> Tool:
    """The tool, if its arguments can be checked; a schema of results that cannot be is dropped.

    Raises:
        msgspec.ValidationError, SchemaError: they cannot.
    """
    tool = msgspec.convert(shape, Tool)
    Validator(tool.input_schema, limits)
    output_schema = tool.output_schema
    if output_schema is not None:
        try:
            Validator(output_schema, limits)
        except SchemaError:
            output_schema = None
    return msgspec.structs.replace(
        tool, input_schema=_readable(tool.input_schema), output_schema=_readable(output_schema)
    )


def _readable(schema: Any) -> Any:
    """A schema of bounded depth with all that it tells visible; what it asks for is as it was."""
    if isinstance(schema, list):
        return [_readable(item) for item in schema]
    if isinstance(schema, dict):
        return {
            key: visible(value)
            if key in ("title", "description") and isinstance(value, str)
            else _readable(value)
            for key, value in schema.items()
        }
    return schema
