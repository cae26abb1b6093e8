"""Owns ``tools`` and ``tools show``: the servers of a configuration, and everything that is known of one."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..genesis.tool_list import ToolList, shape_of
from ..simulation.config_model import CostSettings
from ..simulation.quantum_desk import QuantumDesk
from ..simulation.report import Summary
from ..simulation.run import Run
from ..simulation.runs import find_run, list_runs
from ..simulation.servers import Server
from ..simulation.tool_desk import Desk, Look
from ..world import Fault, Tool
from .exits import OK
from .showing import arguments_of
from .started import program
from .tables import console, fitted, table
from .trying import begin, differences, finished
from .words import clean, count, one_line, size, span

SENTENCE_CHARS_MAX = 160
_NOTHING = "–"
_STYLES = {"ready": "green", "unavailable": "red", "off": "dim", "changed": "yellow"}
_USED = ("calls", "failed", "scrip", "compute", "cpu_us")


def list_servers(scenario: str, config: Path | None, run_name: str | None, *, as_json: bool) -> int:
    """Print every server of the configuration, and what it did in a run; starts nothing."""
    desk = Desk(scenario, config)
    glances = [desk.glance(server) for server in desk.servers.values()]
    glances.append(QuantumDesk(desk.config).glance())
    summary = _summary(Path(desk.config.store.runs_dir), run_name)
    used = {glance.artifact: _used(glance.artifact, summary) for glance in glances}
    if as_json:
        servers = [asdict(glance) | {"used": used[glance.artifact]} for glance in glances]
        told = {"run": summary.run if summary else None, "servers": servers}
        print(json.dumps(told, ensure_ascii=False))
        return OK
    out = console(sys.stdout)
    did = [">calls", ">failed", ">scrip", ">compute", ">cpu"] if summary else []
    rows = table("~server", "~artifact", "version", "state", ">tools", "manifest", *did)
    for glance in glances:
        rows.add_row(
            glance.name,
            glance.artifact,
            glance.version or _NOTHING,
            _styled(glance.state),
            _NOTHING if glance.tools is None else f"{glance.tools}",
            _styled(glance.pin),
            *(_figures(used[glance.artifact]) if summary else ()),
        )
    out.print(fitted(rows, out.width))
    notes = [glance.why for glance in glances if glance.state == "unavailable"]
    if summary:
        notes.append(f"calls, failed, scrip, compute and cpu are those of the run {summary.run}")
    notes.append(f"more of one: {program()} tools show NAME")
    for note in ["", *notes]:
        out.print(Text(clean(note), style="dim"), soft_wrap=True)
    return OK


def show(scenario: str, config: Path | None, name: str, *, start: bool, as_json: bool) -> int:
    """Print everything of one server; with ``start`` also what it says when it runs."""
    desk = Desk(scenario, config)
    server = desk.server(name)
    look: Look | None = None
    if start:
        begin(desk, server)
        look = finished(desk.look(server))
    if as_json:
        print(json.dumps(_told(desk, server, look), ensure_ascii=False))
        return OK
    out = console(sys.stdout)
    glance = desk.glance(server)
    native = server.native(desk.limits)
    out.print(Text(name, style="bold").append(f"  {glance.artifact}, {glance.state}", style="dim"))
    out.print(Text(native.description), soft_wrap=True)
    if glance.why:
        out.print(Text(clean(glance.why), style="red"), soft_wrap=True)
    show_fields(out, "", _settings(desk, server))
    show_fields(out, "Costs", ((name, cost_of(cost)) for name, cost in desk.costs(server).items()))
    if look is not None:
        show_fields(out, "Running", _running(desk, server, look))
    show_methods(out, _methods_of(desk, server, look))
    left_out = _left_out(server, look)
    show_fields(out, "Left out", ((clean(name), clean(why)) for name, why in left_out.items()))
    if look is None and glance.tools is None and not glance.why:
        told = f"\nIts tools are known once it was started: {program()} tools show {name} --start"
        out.print(Text(told, style="dim"), soft_wrap=True)
    return OK


# What it did.


def _summary(runs_dir: Path, run_name: str | None) -> Summary | None:
    """The summary of a run, else of the newest, else None."""
    if run_name is not None:
        return Run(find_run(runs_dir, run_name)).summary()
    newest = list_runs(runs_dir)[:1] if runs_dir.is_dir() else []
    try:
        return Run(newest[0]).summary() if newest else None
    except Fault as fault:
        print(f"{newest[0].name} cannot be read: {fault}", file=sys.stderr)
        return None


def _used(artifact: str, summary: Summary | None) -> dict[str, int] | None:
    """What was used of a server in a run: calls, failures, scrip, compute and CPU time."""
    if summary is None:
        return None
    used = dict.fromkeys(_USED, 0)
    for tool in summary.tools:
        if tool.artifact == artifact:
            amounts = (
                tool.calls,
                tool.failed,
                tool.scrip,
                tool.compute,
                tool.usage.get("cpu_us", 0),
            )
            for name, amount in zip(_USED, amounts, strict=True):
                used[name] += amount
    return used


def _figures(used: Mapping[str, int] | None) -> Iterator[str]:
    for name, amount in (used or {}).items():
        shown = span(amount) if name == "cpu_us" else f"{amount:,}"
        yield shown if amount else _NOTHING


# What it is.


def _settings(desk: Desk, server: Server) -> Iterator[tuple[str, str]]:
    settings, held, egress = server.settings, server.settings.sandbox, server.settings.egress
    if settings.url is not None:
        yield "address", clean(_address(settings.url))
        return
    yield "command", clean(shlex.join((server.command, *server.args)))
    if server.is_keyless:
        yield "", f"stands in for another that needs {', '.join(server.missing)}"
    if settings.env:
        yield "variables", ", ".join(settings.env)
    bounds = (
        count(held.cpus, "CPU"),
        size(held.memory_bytes_max),
        count(held.processes_max, "process", "processes"),
        f"{size(held.disk_bytes_max)} on disk",
    )
    yield "sandbox", f"{desk.runner(server)}, network {held.network}, {', '.join(bounds)}"
    for what, paths in (("reads", held.read), ("writes", held.write)):
        if paths:
            yield what, ", ".join(paths)
    if held.network == "proxy":
        ports = ", ".join(map(str, egress.ports))
        yield (
            "egress",
            f"{', '.join(egress.schemes)} on {ports} to {', '.join(egress.hosts_allowed)}",
        )
        for what, hosts in (("denied", egress.hosts_denied), ("private", egress.private_allowed)):
            if hosts:
                yield what, ", ".join(hosts)
    longest = f"{settings.call_timeout_s:g} s, with progress {settings.call_timeout_max_s:g} s"
    yield (
        "limits",
        (
            f"start {settings.start_timeout_s:g} s, call {longest}, "
            f"answer {size(settings.answer_bytes_max)}, {count(settings.processes, 'process', 'processes')}"
        ),
    )
    if settings.limits:
        yield (
            "all callers",
            ", ".join(f"{amount:,} {name}" for name, amount in settings.limits.items()),
        )


def _address(url: str) -> str:
    """A URL without its query: that may hold a secret."""
    return url.partition("?")[0]


def cost_of(cost: CostSettings) -> str:
    """A cost in words."""
    amounts = [f"{amount:,} {name}" for name, amount in cost.resources.items() if amount]
    price = [f"{cost.price_scrip:,} scrip"] if cost.price_scrip else []
    again = ["may be performed again"] if cost.repeatable else []
    return ", ".join((*amounts, *price, *again)) or "nothing"


def _running(desk: Desk, server: Server, look: Look) -> Iterator[tuple[str, str]]:
    yield "server", clean(f"{look.server}, MCP {look.protocol}")
    yield "started in", span(look.start_us)
    yield "memory", size(look.memory_bytes) if look.memory_bytes else _NOTHING
    lines = differences(desk.changes(server, look.tools))
    manifest = desk.pinned(server)
    if manifest is None:
        lines = [f"there is none: {program()} tools pin {server.name}"]
    yield "manifest", "\n".join(lines) or f"says the same of {count(len(look.tools.tools), 'tool')}"


def _methods_of(desk: Desk, server: Server, look: Look | None) -> list[Tool]:
    if look is None:
        return desk.methods(server)
    native = server.bridge.native(look.tools.offered(server.policy))
    return [method.tool for method in native.methods.values()]


def _left_out(server: Server, look: Look | None) -> dict[str, str]:
    manifest = server.manifest() if look is None else None
    known = look.tools if look is not None else manifest.tools if manifest else ToolList()
    return dict(known.offered(server.policy).left_out)


def show_fields(out: Console, title: str, fields: Iterable[tuple[str, str]]) -> None:
    """Print names with what there is of each; nothing where there are none."""
    rows = table("", "", fold="")
    for name, told in fields:
        rows.add_row(Text(f"  {name}", style="dim"), told)
    if rows.row_count:
        if title:
            out.print(Text(f"\n{title}", style="bold"))
        out.print(rows)


def show_methods(out: Console, tools: Iterable[Tool]) -> None:
    """Print methods with their arguments, and the first sentence of what they do."""
    out.print(Text("\nMethods", style="bold"))
    for tool in tools:
        out.print(Text(f"  {clean(tool.name)}({arguments_of(tool)})"), soft_wrap=True)
        sentence = " ".join(tool.description.split()).partition(". ")[0].rstrip(".")
        if sentence:
            told = Text(f"    {one_line(sentence, SENTENCE_CHARS_MAX)}", style="dim")
            out.print(told, soft_wrap=True)


def _styled(word: str) -> Text:
    return Text(word, style=_STYLES.get(word, ""))


def _told(desk: Desk, server: Server, look: Look | None) -> dict[str, Any]:
    """All of it as JSON values."""
    settings = server.settings
    told = asdict(desk.glance(server)) | {
        "description": server.native(desk.limits).description,
        "url": settings.url and _address(settings.url),
        "command": [] if settings.url else [server.command, *server.args],
        "variables": list(settings.env),
        "sandbox": settings.sandbox.model_dump(mode="json"),
        "egress": settings.egress.model_dump(mode="json"),
        "limits": dict(settings.limits),
        "costs": {name: cost.model_dump(mode="json") for name, cost in desk.costs(server).items()},
        "methods": [shape_of(tool) for tool in _methods_of(desk, server, look)],
        "left_out": _left_out(server, look),
    }
    if look is None:
        return told
    running = {
        "server": look.server,
        "protocol": look.protocol,
        "start_us": look.start_us,
        "memory_bytes": look.memory_bytes,
        "difference": [change.line for change in desk.changes(server, look.tools)],
    }
    return told | {"running": running}
