"""Owns what ``genesis_filesystem`` is: whose directory a path is in, and who may use it.

Every artifact has a directory in a run. A relative path is in the caller's own; ``~ID/…`` is in that of
another, open as far as the contract of ID lets the caller read or write; ``/NAME/…`` is in a root
of the scenario, for reading. The server is shown real paths only here, and only those whose links
lead nowhere else.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ..adapters.mcp_process import McpServerSpec
from ..world import Code, ConfigurationFault, Context, Failed, Refused, Tool
from .mcp_bridge import Alias, GenesisMcpBridge, ToolRefused
from .secrets import each_text
from .tool_list import ToolList

_READ, _WRITE = "read", "write"
_BY_HAND = "operator"
_ENTRY_BYTES: Final = 4_096
"""What an entry of a directory counts besides its content, as the guard of the disk counts."""
_PATH = {
    "type": "string",
    "maxLength": 1_000,
    "description": "NAME is in your own directory, ~ID/NAME in that of ID, /ROOT/NAME in a root",
}
_TOOLS: Final[Mapping[str, Mapping[str, str]]] = {
    "read_file": {"path": _READ},
    "read_text_file": {"path": _READ},
    "read_media_file": {"path": _READ},
    "read_multiple_files": {"paths": _READ},
    "list_directory": {"path": _READ},
    "list_directory_with_sizes": {"path": _READ},
    "directory_tree": {"path": _READ},
    "search_files": {"path": _READ},
    "get_file_info": {"path": _READ},
    "write_file": {"path": _WRITE},
    "edit_file": {"path": _WRITE},
    "create_directory": {"path": _WRITE},
    "move_file": {"source": _WRITE, "destination": _WRITE},
}
"""The paths among the arguments of each tool, and what is done there; no other tool is offered."""


def _tool(name: str, description: str, **properties: Any) -> Tool:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return Tool(name, description, schema)


def _same(args: dict[str, Any]) -> dict[str, Any]:
    return args


class GenesisFilesystem(GenesisMcpBridge):
    """Files in directories, one for each artifact, through the filesystem server."""

    id = "genesis_filesystem"
    name = "filesystem"
    purpose = (
        "Reads and writes files: NAME in your own directory, ~ID/NAME in that of artifact ID as "
        "far as its contract lets you, /ROOT/NAME in what the world shows to everybody"
    )
    aliases = (
        Alias(_tool("read_file", "The text of a file.", path=_PATH), "read_text_file", _same),
        Alias(
            _tool(
                "write_file",
                "Write a file, over the one that is there.",
                path=_PATH,
                content={"type": "string"},
            ),
            "write_file",
            _same,
        ),
        Alias(
            _tool("list_directory", "What is in a directory.", path=_PATH), "list_directory", _same
        ),
    )

    def __init__(self, spec: McpServerSpec, **options: Any) -> None:
        super().__init__(spec, **options)
        self._home = Path()
        self._roots: dict[str, Path] = {}
        self._directory_bytes_max = 0

    def serve(self, home: Path, roots: Mapping[str, Path], directory_bytes_max: int) -> None:
        """Say where the directories are, and how much each may hold.

        Args:
            home: holds one for each artifact. roots: by name.
            directory_bytes_max: of one of them; above it nothing is written there.

        Raises:
            ConfigurationFault: a root holds the directories.
        """
        self._directory_bytes_max = directory_bytes_max
        self._home = home.resolve()
        self._roots = {name: root.resolve() for name, root in roots.items()}
        for name, root in self._roots.items():
            if self._home.is_relative_to(root):
                raise ConfigurationFault(
                    f"the root /{name} holds the folder of this run, so that everybody could read "
                    "everything in it: name a folder beside it, or keep the runs elsewhere"
                )

    @classmethod
    def asked(cls, context: Context, method: str, args: dict[str, Any]) -> dict[str, Any] | Refused:
        """The arguments with every path in full, where the caller may use each."""
        told = dict(args)
        for name, what in _TOOLS.get(method, {}).items():
            if name not in args:
                continue
            paths = args[name] if isinstance(args[name], list) else [args[name]]
            full: list[str] = []
            for path in paths:
                answer = _in_full(context, str(path), what)
                if isinstance(answer, Refused):
                    return answer
                full.append(answer)
            told[name] = full if isinstance(args[name], list) else full[0]
        return told

    def _kept(self, listed: list[dict[str, Any]], capabilities: frozenset[str]) -> ToolList:
        tools = super()._kept(listed, capabilities)
        left_out = dict(tools.left_out)
        for tool in tools.tools:
            if tool.name not in _TOOLS:
                left_out[tool.name] = "its paths are not known, so they cannot be checked"
        known = tuple(tool for tool in tools.tools if tool.name in _TOOLS)
        return replace(tools, tools=known, left_out=left_out)

    def sent(self, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments with real paths.

        Raises:
            ToolRefused: a path leads out of its directory by a link, or to a root that is not there.
        """
        told = dict(args)
        for name, what in _TOOLS.get(tool, {}).items():
            if name in args:
                told[name] = self._each_real(args[name], what)
                if what == _WRITE and name != "source":
                    self._refuse_full(str(args[name]))
        return told

    def _refuse_full(self, path: str) -> None:
        """Do nothing while there is room in the directory of a path.

        Raises:
            ToolRefused: it holds all that it may, so that no one artifact fills the disk of all.
        """
        base, _ = self._base(path if path.startswith(("/", "~")) else f"~{_BY_HAND}/{path}")
        used, most = 0, self._directory_bytes_max
        for folder, folders, files in os.walk(base):
            used += _ENTRY_BYTES * (len(folders) + len(files))
            for file in files:
                with suppress(OSError):
                    used += os.lstat(os.path.join(folder, file)).st_size
            if used > most:
                raise ToolRefused(f"~{base.name} is full: a directory holds {most} bytes")

    def told(self, said: Any) -> Any:
        """As of every bridge, with real paths as agents write them."""
        return each_text(super().told(said), self._as_agents_write)

    def _each_real(self, value: Any, what: str) -> Any:
        if isinstance(value, list):
            return [self._real(str(path), what) for path in value]
        return self._real(str(value), what)

    def _real(self, path: str, what: str) -> str:
        if not path.startswith(("/", "~")):  # by hand, not by an agent
            path = f"~{_BY_HAND}/{path}"
        try:
            base, inside = self._base(path)
            real = os.path.realpath(base / inside)  # unlike `resolve`, it leaves a loop of links be
        except ValueError as error:
            raise ToolRefused(f"{path[:80]!r} is no path: {error}") from None
        if not Path(real).is_relative_to(base):
            raise ToolRefused(f"{path} is a link out of its directory: nothing is followed there")
        return real

    def _base(self, path: str) -> tuple[Path, str]:
        first, _, inside = path[1:].partition("/")
        if path.startswith("/"):
            root = self._roots.get(first)
            if root is None:
                known = ", ".join(f"/{name}" for name in self._roots) or "none"
                raise ToolRefused(f"there is no root /{first}: there is {known}")
            return root, inside
        if first in ("", ".", ".."):
            raise ToolRefused(f"{path[:80]} is in no directory: ~ID/NAME is in that of ID")
        base = self._home / first
        try:
            base.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolRefused(f"~{first} is no directory here: {error.strerror}") from None
        return base, inside

    def _as_agents_write(self, text: str) -> str:
        text = text.replace(f"{self._home}/", "~").replace(str(self._home), "~")
        for name, root in sorted(self._roots.items(), key=lambda item: -len(item[1].parts)):
            text = text.replace(str(root), f"/{name}")
        return text


def _in_full(context: Context, path: str, what: str) -> str | Refused:
    """A path that names its directory, without dots; or why the caller may not use it."""
    if "\0" in path or "\\" in path:
        return Refused(Code.ARGUMENTS_INVALID, f"{path[:80]!r} is no path: write a/b/name")
    if not path.startswith(("/", "~")):
        path = f"~{context.caller}/{path}"
    first, _, inside = path[1:].partition("/")
    inside = posixpath.normpath(inside) if inside else "."
    if inside == ".." or inside.startswith("../") or first in ("", ".", ".."):
        detail = (
            f"{path[:80]} leads out of its directory: a path stays below {path[:1]}{first[:64]}"
        )
        return Refused(Code.PERMISSION_DENIED, detail)
    full = path[0] + first if inside == "." else f"{path[0]}{first}/{inside.lstrip('/')}"
    if path.startswith("/"):
        if what == _WRITE:
            detail = f"{path[:80]} is in a root: it can be read, not written"
            return Refused(Code.PERMISSION_DENIED, detail)
        return full
    if first == context.caller:
        return full
    artifact = context.state.artifacts.by_id.get(first)
    if artifact is None:
        return Refused(
            Code.NOT_FOUND, f"there is no artifact {first[:64]!r}, so no directory of it"
        )
    allowed = context.may(artifact, what)
    if isinstance(allowed, Failed) and allowed.code is not Code.PERMISSION_DENIED:
        return Refused(allowed.code, allowed.detail, allowed.retry_after_us)
    if isinstance(allowed, Failed) or allowed.price_scrip:
        detail = f"the contract of {first} does not let {context.caller} {what} in ~{first}"
        return Refused(Code.PERMISSION_DENIED, detail)
    return full
