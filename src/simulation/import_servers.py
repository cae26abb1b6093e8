"""Owns taking over tool servers from the configuration of another program: JSON with ``mcpServers``.

What is there of theirs is checked whole before anything is written. Secrets go to ``.env``, the rest
to a file of settings; no secret is in what is told.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values

from ..genesis.mcp_bridge import artifact_of
from ..genesis.secrets import SECRET_NAME, SECRET_VALUE
from ..world import ConfigurationFault, Fault, is_id
from .config import IMPORTED, SERVERS, base_settings, config_dir, load_config
from .manifests import package_of
from .natives import BUILT_IN
from .servers import environment
from .settings import Settings, shown
from .settings_file import parse_settings, read_settings

ENV_FILE: Final = ".env"
_OURS_MODE = 0o600
_HEADER = "# Settings over those of config.yaml. `scripworld tools import` writes this file anew.\n"
_ID_CHARS_MAX = 56  # with what artifacts of servers begin with, it is still an id
_BLOCK_DEPTH = len(SERVERS) + 1
_UNDERSTOOD = frozenset(("command", "args", "env", "cwd", "url", "type", "disabled"))
_COMMENTS = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.S)
_COMMAS = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')
_REFERENCE = re.compile(r"\$\{(?:(env|input):)?([\w.-]+)\}")
_OF_EDITORS = frozenset(("workspaceFolder", "workspaceFolderBasename", "userHome"))
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w.-]*\Z")


@dataclass
class Import:
    """What an import comes to.

    Attributes:
        file: the settings that the servers went to. names: what they are called there.
        startable: those of them that are not remote.
        lines: what was taken over and what was not, line by line.
        variables: those that have to be set before their servers are available.
    """

    file: Path
    names: list[str] = field(default_factory=list)
    startable: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    variables: set[str] = field(default_factory=set)


def import_servers(path: Path, to: Path | None, *, replace: bool) -> Import:
    """Add the servers of a file to settings of ours.

    Args:
        path: their file. to: the settings; None is ``servers.yaml`` beside ``config.yaml``.
        replace: go over servers of the same name.

    Raises:
        ConfigurationFault: something in it cannot be used; nothing is written.
        Fault: a file cannot be written.
    """
    done = Import(to or config_dir() / IMPORTED)
    written = read_settings(done.file) if done.file.exists() else Settings({})
    shipped = read_settings(config_dir() / "config.yaml").part(*SERVERS).values
    there = dict(written.part(*SERVERS).values)
    known = (*base_settings().part(*SERVERS).values, *there)
    taken = {artifact_of(name): name for name in known}
    secrets: dict[str, str] = {}
    for theirs, entry in _entries(path).items():
        where = f"{shown(path)}: {theirs}"
        if found := _reference(entry):
            told = f"{found} stands there, and variables are filled in only under env"
            done.lines.append(f"{theirs} is left out: {told}")
            continue
        name = _name(where, theirs, taken, replace=replace)
        if name in done.names:
            raise ConfigurationFault(f"{where}: another of its servers would be {name!r} too")
        done.names.append(name)
        done.startable += [name] if "command" in entry else []
        done.lines.append(
            f"{name}: {_started_by(entry)}" + (f", called {theirs!r} there" * (name != theirs))
        )
        server = dict(_settings(where, name, entry, secrets, done))
        over = {"enabled": True, "url" if "command" in server else "command": None}
        there[name] = over | server if name in shipped else server
    if not done.names:
        raise ConfigurationFault("\n".join(done.lines))
    tree = Settings.given(_nested(there), shown(path))
    load_config(scenario=tree)
    values = written.under(tree).values
    _into(values)[SERVERS[-1]] = there  # whole: what is replaced leaves nothing behind
    text = _HEADER + "".join(f"{line}\n" for line in _yaml(values))
    if parse_settings(text, shown(done.file)).values != values:
        raise ConfigurationFault(f"{shown(path)}: it holds characters that settings cannot hold")
    _append_secrets(secrets)
    _write(done.file, text)
    return done


# What they say.


def _entries(path: Path) -> dict[str, Any]:
    """Their servers by name, in any of the shapes that there are."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationFault(f"{shown(path)} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationFault(f"{shown(path)} is not text in UTF-8") from None
    for pattern in (_COMMENTS, _COMMAS):
        text = pattern.sub(lambda hit: hit[1] or re.sub(r"\S", " ", hit[0]), text)
    try:
        told = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{shown(path)}, line {error.lineno}, column {error.colno}"
        raise ConfigurationFault(f"{where}: this is not JSON: {error.msg}") from None
    except RecursionError:
        raise ConfigurationFault(f"{shown(path)} is nested too deeply") from None
    for keys in (("mcpServers",), ("servers",), ("mcp", "servers"), ()):
        found = told
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, dict) and found and all(map(_is_server, found.values())):
            return found
    raise ConfigurationFault(
        f'{shown(path)} holds no servers: expected {{"mcpServers": {{NAME: {{"command": …}}}}}}'
    )


def _is_server(entry: Any) -> bool:
    return isinstance(entry, dict) and ("command" in entry or "url" in entry)


def _name(where: str, theirs: str, taken: Mapping[str, str], *, replace: bool) -> str:
    """What a server is called here."""
    name = re.sub(r"[^a-z0-9_.-]+", "-", theirs.lower()).strip("-_.")
    if not is_id(name, _ID_CHARS_MAX):
        raise ConfigurationFault(
            f"{where}: no id can be made of its name: let it begin with a letter, "
            f"and have at most {_ID_CHARS_MAX} characters"
        )
    artifact = artifact_of(name)
    if artifact in BUILT_IN:
        raise ConfigurationFault(
            f"{where}: it would be {artifact}, a part of every world: rename it"
        )
    if artifact in taken and not replace:
        raise ConfigurationFault(
            f"{where}: there is a server {taken[artifact]!r} already: rename it there, or give "
            "--replace"
        )
    return taken.get(artifact, name)


def _reference(entry: Mapping[str, Any]) -> str | None:
    """A variable that would have to be filled in where none is."""
    texts = (entry.get("command"), entry.get("cwd"), entry.get("args", []))
    found = re.search(r"\$\{[^}]*\}?", json.dumps(texts))
    return found[0] if found else None


def _started_by(entry: Mapping[str, Any]) -> str:
    """What starts it, without arguments: they may hold secrets."""
    if "url" in entry:
        return "a remote server, unavailable so far"
    command, args = str(entry["command"]), entry.get("args", [])
    package = package_of(command, args) if Path(command).name in ("npx", "uvx") else ""
    return f"{command} {package}".rstrip()


def _settings(
    where: str, name: str, entry: Mapping[str, Any], secrets: dict[str, str], done: Import
) -> Iterator[tuple[str, Any]]:
    """Yield our settings of one of their servers, and tell what is peculiar."""
    if "command" in entry and "url" in entry:
        raise ConfigurationFault(f"{where}: it has a command and a url: leave one out")
    for key, text_type in (("command", "a program"), ("url", "an address"), ("cwd", "a folder")):
        if key in entry:
            if not isinstance(entry[key], str) or not entry[key]:
                raise ConfigurationFault(f"{where}.{key}: expected {text_type} as a text")
            yield key, entry[key]
    args = entry.get("args", [])
    if not isinstance(args, list) or not all(isinstance(word, str | int) for word in args):
        raise ConfigurationFault(f"{where}.args: expected a list of texts")
    words = [str(word) for word in args]
    if words:
        yield "args", words
    env = entry.get("env", {})
    if not isinstance(env, dict):
        raise ConfigurationFault(f"{where}.env: expected variables with their values")
    told = done.lines
    if env := dict(_variables(where, name, env, secrets, done)):
        yield "env", env
    if entry.get("disabled") is True:
        told.append("  it is off there, and so it is here")
        yield "enabled", False
    left_out = sorted(entry.keys() - _UNDERSTOOD)
    if left_out:
        told.append(f"  left out, because it is not understood: {', '.join(left_out)}")
    if any(SECRET_VALUE.fullmatch(word.rpartition("=")[2]) for word in words):
        told.append(f"  one of its args looks like a secret and stands in {shown(done.file)} now")
    if paths := [word for word in words if word.startswith(("/", "~/")) and Path(word).exists()]:
        told.append(
            f"  its args name {', '.join(paths)}: to be seen, they go into sandbox.read or .write"
        )


def _variables(
    where: str, name: str, env: Mapping[str, Any], secrets: dict[str, str], done: Import
) -> Iterator[tuple[str, str]]:
    """Yield its variables: secrets and what others fill in as references, the rest as it stands."""
    environ = environment()
    for variable, told in env.items():
        if not isinstance(told, str | int | float):
            raise ConfigurationFault(f"{where}.env.{variable}: expected a text")
        value = str(told).lower() if isinstance(told, bool) else str(told)
        found = {_variable(hit[2]) for hit in _REFERENCE.finditer(value)}
        if found & _OF_EDITORS or "${" in _REFERENCE.sub("", value):
            done.lines.append(f"  {variable} is left out: what it refers to is not understood")
        elif found:
            done.variables.update(one for one in found if not environ.get(one))
            yield variable, _REFERENCE.sub(lambda hit: f"${{{_variable(hit[2])}}}", value)
        elif value and (SECRET_NAME.search(variable) or SECRET_VALUE.fullmatch(value)):
            kept = _kept(where, name, variable, value, secrets, environ)
            done.lines.append(f"  {variable} is taken from {kept} in {ENV_FILE}")
            yield variable, f"${{{kept}}}"
        else:
            yield variable, value


def _variable(name: str) -> str:
    """A name as a variable: `api-key` is API_KEY."""
    return name if name.isidentifier() else re.sub(r"\W+", "_", name).upper()


def _kept(
    where: str,
    name: str,
    variable: str,
    value: str,
    secrets: dict[str, str],
    environ: Mapping[str, str],
) -> str:
    """The variable that a secret is kept in: its own, or one of the server where that is taken."""
    for candidate in (_variable(variable), _variable(f"{name}-{variable}").upper()):
        present = secrets.get(candidate, environ.get(candidate))
        if present == value:
            return candidate
        if present is None:
            secrets[candidate] = value
            return candidate
    raise ConfigurationFault(
        f"{where}.env.{variable}: {candidate} has another value already: rename that in {ENV_FILE}"
    )


# What is written.


def _nested(servers: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = servers
    for key in reversed(SERVERS):
        values = {key: values}
    return values


def _into(values: dict[str, Any]) -> dict[str, Any]:
    for key in SERVERS[:-1]:
        values = values[key]
    return values


def _yaml(values: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield settings as lines: blocks as deep as servers are, JSON below."""
    for name, value in values.items():
        key = name if _PLAIN_KEY.match(name) else json.dumps(name, ensure_ascii=False)
        key = "  " * depth + key
        if isinstance(value, dict) and value and depth < _BLOCK_DEPTH:
            yield f"{key}:"
            yield from _yaml(value, depth + 1)
        else:
            yield f"{key}: {json.dumps(value, ensure_ascii=False)}"


def _append_secrets(secrets: Mapping[str, str]) -> None:
    """Add variables to `.env`, which only its owner can read then; what is there stays.

    Raises:
        ConfigurationFault: one of them cannot be kept there. Fault: it cannot be written.
    """
    if not secrets:
        return
    text = ""
    for name, value in secrets.items():
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        line = f"{name}='{quoted}'\n"
        if dotenv_values(stream=io.StringIO(line)) != {name: value}:
            raise ConfigurationFault(
                f"the value of {name} cannot stand in {ENV_FILE}: set it there"
            )
        text += line
    try:
        file = os.open(ENV_FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _OURS_MODE)
        with open(file, "r+b", buffering=0) as there:
            os.fchmod(file, _OURS_MODE)
            before = there.read()
            there.write(
                ("\n" if before and not before.endswith(b"\n") else "").encode() + text.encode()
            )
    except OSError as error:
        raise Fault(f"{ENV_FILE} cannot be written: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.new")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OURS_MODE), "wb") as file:
            file.write(text.encode())
        beside.replace(path)
    except OSError as error:
        raise Fault(f"{shown(path)} cannot be written: {error.strerror}") from None
