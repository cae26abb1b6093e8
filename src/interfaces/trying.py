"""Owns ``tools call``, ``tools pin`` and ``tools import``: doing something with a server, and telling of it."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from ..simulation.import_servers import import_servers as imported
from ..simulation.servers import Server
from ..simulation.settings import shown
from ..simulation.tool_desk import Called, Change, Desk
from ..world import ConfigurationFault, Fault
from .exits import FAULT, OK
from .lines import plain
from .started import program
from .words import clean, count, one_line, size, span

PART_CHARS_MAX: Final = 200
T = TypeVar("T")


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Do the work in an event loop; on Ctrl-C and SIGTERM all that it started ends first.

    Raises:
        KeyboardInterrupt: one of them came.
    """

    async def main() -> T:
        task = asyncio.current_task()
        assert task is not None, "this runs in one"
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def begin(desk: Desk, server: Server) -> None:
    """Say on standard error what a server could do that a contained one could not; and that it starts."""
    if told := server.warning():
        print(f"warning: {told}", file=sys.stderr)
    if sys.stderr.isatty():
        print(f"starting {server.name} …", file=sys.stderr)


def call(
    scenario: str,
    config: Path | None,
    name: str,
    tool: str,
    args: str,
    output: Path | None,
    *,
    as_json: bool,
) -> int:
    """Make one call of a server that is started for it, and print what came of it.

    Raises:
        Fault: it failed; the sentence begins with the code.
    """
    desk = Desk(scenario, config)
    server = desk.server(name)
    told = arguments_of(args)
    desk.refuse_call(server, tool, told)
    begin(desk, server)
    called = finished(desk.call(server, tool, told))
    result = called.result
    if as_json:
        times = {"start_us": called.start_us, "call_us": called.call_us}
        print(json.dumps(plain(result) | times, ensure_ascii=False))
    else:
        for line in _content(result.value):
            print(clean(line))
        print(_usage(called))
    if result.code is not None:
        sys.stdout.flush()
        raise Fault(f"{result.code.name}: {clean(result.detail)}")
    if output is not None:
        output.write_bytes(_kept(result.value))
        print(f"written to {shown(output)}", file=sys.stderr if as_json else sys.stdout)
    return OK


def pin(scenario: str, config: Path | None, names: list[str] | None, *, check: bool) -> int:
    """Compare servers with their manifests and, unless they are only checked, write those anew."""
    desk = Desk(scenario, config)
    chosen = [desk.server(name) for name in names or desk.servers]
    code = OK
    for server in dict.fromkeys(chosen):
        if (why := desk.why_not_pinned(server)) is not None:
            print(f"{'left as it is' if names is None else 'error'}: {clean(why)}", file=sys.stderr)
            code = code if names is None else FAULT
            continue
        begin(desk, server)
        try:
            is_same = _pin(desk, server, check=check)
        except Fault as fault:
            print(f"error: {clean(str(fault))}", file=sys.stderr)
            is_same = False
        if not is_same:
            code = FAULT
    return code


def import_servers(file: Path, to: Path | None, *, replace: bool) -> int:
    """Take over servers, and say what was taken over and what to do next."""
    done = imported(file, to, replace=replace)
    for line in done.lines:
        print(clean(line))
    print(f"\n{count(len(done.names), 'server')} in {shown(done.file)}; what next:")
    for variable in sorted(done.variables):
        print(f"  set {variable} in .env")
    ours = "" if to is None else f" --config {to}"
    for name in done.startable:
        print(f"  {program()} tools show {name} --start{ours}")
    if done.startable:
        print(f"  {program()} tools pin {' '.join(done.startable)}{ours}")
        print(
            "They have no network and see no files but their own: what sandbox and egress of a "
            "server say gives it more."
        )
    return OK


def differences(changes: Iterable[Change]) -> list[str]:
    """A difference line by line; for a changed tool also what was and what is there."""
    return [clean(line) for change in changes for line in _lines_of(change)]


def _lines_of(change: Change) -> Iterator[str]:
    yield change.line
    for where, old, new in change.parts:
        yield f"    {where}: {_value(old)} → {_value(new)}"


def _value(value: Any) -> str:
    told = "(none)" if value is msgspec.UNSET else json.dumps(value, ensure_ascii=False)
    return one_line(told, PART_CHARS_MAX)


def _pin(desk: Desk, server: Server, *, check: bool) -> bool:
    """Pin one server; returns whether its manifest is, or now is, as it should be."""
    look = finished(desk.look(server))
    manifest = desk.pinned(server)
    lines = differences(desk.changes(server, look.tools))
    tools = count(len(look.tools.tools), "tool")
    if manifest is not None and manifest.package == server.package and not lines:
        print(f"{server.name}: {tools}, as pinned")
        return True
    if manifest is None:
        told = "there is no manifest of it"
    elif manifest.package != server.package:
        told = f"the manifest is of {manifest.package}"
    else:
        told = "it says something else than its manifest"
    print(f"{server.name}: {told}")
    for line in lines:
        print(f"  {line}")
    if check:
        return False
    print(f"  {tools} pinned in {shown(desk.pin(server, look))}")
    return True


# A call.


def read_text(path: Path) -> str:
    """The text of a file that was named on the line.

    Raises:
        ConfigurationFault: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationFault(f"{shown(path)} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationFault(f"{shown(path)} is not text in UTF-8") from None


def arguments_of(text: str) -> dict[str, Any]:
    """The arguments of a call; ``@FILE`` stands for what a file holds.

    Raises:
        ConfigurationFault: it is no JSON object, or the file cannot be read; says where.
    """
    if text.startswith("@"):
        text = read_text(Path(text[1:]))
    try:
        told = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationFault(f"the arguments are not JSON: {where}: {error.msg}") from None
    except RecursionError:
        raise ConfigurationFault("the arguments are nested too deeply") from None
    if not isinstance(told, dict):
        raise ConfigurationFault('the arguments are a JSON object, such as \'{"path": "notes"}\'')
    return told


def _refuse(constant: str) -> NoReturn:
    raise ConfigurationFault(f"the arguments are not JSON: {constant} is no number there")


def _content(value: Any) -> Iterator[str]:
    """An answer line by line: text as text, of anything else what it is and how large."""
    if value is None:
        return
    parts = value.get("content") or value.get("contents")
    if parts:
        yield from map(_part, parts)
    else:
        yield json.dumps(value.get("structuredContent", value), indent=2, ensure_ascii=False)


def _part(part: Any) -> str:
    told = part if isinstance(part, dict) else {}
    inner = told.get("resource")
    told = inner if isinstance(inner, dict) else told
    if isinstance(told.get("text"), str):
        return str(told["text"])
    data = told.get("data", told.get("blob"))
    if isinstance(data, str):
        bytes_ = len(data) * 3 // 4 - data[-2:].count("=")
        return f"{told.get('mimeType', told.get('type', 'data'))}, {bytes_:,} bytes"
    return json.dumps(part, ensure_ascii=False)


def _kept(value: Any) -> bytes:
    """What is kept of an answer: the one thing that is no text, else its text."""
    parts = (value.get("content") or []) if isinstance(value, dict) else []
    data = [part["data"] for part in parts if isinstance(part, dict) and "data" in part]
    if len(data) == 1:
        return base64.b64decode(data[0])
    return "".join(f"{line}\n" for line in _content(value)).encode(errors="replace")


def _usage(called: Called) -> str:
    """The last line: times, CPU, memory and bytes, as far as they were measured."""
    usage = called.result.usage
    told = [f"started in {span(called.start_us)}", f"called in {span(called.call_us)}"]
    if usage.get("cpu_us"):
        told.append(f"{span(usage['cpu_us'])} CPU")
    if usage.get("memory_peak_bytes"):
        told.append(size(usage["memory_peak_bytes"]))
    if "bytes_out" in usage:
        told.append(f"{usage['bytes_out']:,} bytes out, {usage.get('bytes_in', 0):,} in")
    return " · ".join(told)
