"""Owns the manifests: files that pin what a tool server says about its tools.

A manifest belongs to the package that it was made from; a server of another package has none. What
it pins is compared by `genesis/tool_list.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from ..genesis.tool_list import ToolList, kept, shape_of
from ..world import ConfigurationFault, Fault, Limits
from .settings import shown

FOLDER: Final = "manifests"
_LIMITS: Final = Limits(tools_max=1_000)


class _File(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    server: str
    package: str
    protocol: str
    sha256: str
    tools: list[dict[str, Any]]
    features: list[str] = []
    left_out: dict[str, str] = {}


@dataclass(frozen=True)
class Manifest:
    """What a server of a package was found to say.

    Attributes:
        package: what was started. protocol: the version of MCP that it spoke.
    """

    server: str
    package: str
    protocol: str
    tools: ToolList


def package_of(command: str, args: Sequence[str]) -> str:
    """What a command line starts: the package of npx or uvx, else the whole of it."""
    launcher = Path(command).name
    if launcher not in ("npx", "uvx"):
        return " ".join((launcher, *args))
    rest = iter(args)
    for word in rest:
        if word == "--from":
            return next(rest, "")
        if word == "--with":
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return launcher


def read_manifest(folder: Path, server: str, package: str | None = None) -> Manifest | None:
    """The manifest of a server, if there is one and it is of that package; None stands for any.

    Raises:
        ConfigurationFault: its file cannot be used, or was changed by hand.
    """
    path = folder / f"{server}.json"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationFault(f"{shown(path)} cannot be read: {error.strerror}") from None
    again = f"make it again with `scripworld tools pin {server}`"
    try:
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ConfigurationFault(f"{shown(path)} is no manifest: {error}; {again}") from None
    if package not in (None, file.package):
        return None
    tools = kept(file.tools, file.features, _LIMITS)
    if tools.digest() != file.sha256:
        raise ConfigurationFault(f"{shown(path)} was changed: its hash does not fit; {again}")
    pinned = ToolList(tools.tools, {**file.left_out, **tools.left_out}, tools.features)
    return Manifest(server, file.package, file.protocol, pinned)


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Keep a manifest, over the one that is there; returns its file.

    Raises:
        Fault: it cannot be written.
    """
    tools = manifest.tools
    file = _File(
        manifest.server,
        manifest.package,
        manifest.protocol,
        tools.digest(),
        sorted((shape_of(tool) for tool in tools.tools), key=lambda shape: str(shape["name"])),
        sorted(tools.features),
        dict(sorted(tools.left_out.items())),
    )
    path = folder / f"{manifest.server}.json"
    beside = path.with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")
        beside.replace(path)
    except OSError as error:
        raise Fault(f"{shown(path)} cannot be written: {error.strerror or error}") from None
    return path
