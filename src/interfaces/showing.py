"""Owns ``show``: a run, an artifact, a principal or a record, with everything of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..adapters.event_store import SqliteEventLog
from ..simulation.run import Run
from ..simulation.runs import find_run
from ..simulation.services import ServiceSummary
from ..world import Artifact, ConfigurationFault, State, Tool, read_records
from .lines import line_of, plain, ran, text_of
from .render import show_next, show_summary
from .started import program
from .tables import console, table
from .words import clean, count, meant, size, span

OWNED_MAX = 20


def show(run_name: str, runs_dir: Path, id: str | None) -> int:
    """Print a record by its number, anything else by its id; without one, the summary."""
    run = Run(find_run(runs_dir, run_name))
    if id is None:
        out, summary = console(sys.stdout), run.summary()
        show_summary(out, summary)
        show_next(out, summary, ran(run))
        return 0
    log = run.log()
    try:
        if id.isdecimal():
            _record(run, log, int(id))
        else:
            _thing(run, log, id)
    finally:
        log.close()
    return 0


def _record(run: Run, log: SqliteEventLog, seq: int) -> None:
    last = log.head[0]
    if seq > last:
        raise ConfigurationFault(f"there is no record {seq} in {run.id}: the last is {last}")
    row = next(log.records(seq))
    record = next(read_records([row], log))
    out = console(sys.stdout)
    out.print(Text(str(line_of(record, log)), style="bold"), soft_wrap=True)
    told = {"hash": row[1].hex()} | plain(record)
    out.print(clean(json.dumps(told, indent=2, ensure_ascii=False)), soft_wrap=True)


def _thing(run: Run, log: SqliteEventLog, id: str) -> None:
    state = run.state()
    artifacts = state.artifacts
    artifact = artifacts.by_id.get(id)
    if artifact is None:
        if id in artifacts.gone:
            raise ConfigurationFault(
                f"{id} was deleted; what it was: {program()} log {ran(run)} --of {id}"
            )
        raise ConfigurationFault(
            f"there is nothing called {id!r} in {run.id}{meant(id, artifacts.by_id)}"
        )
    out = console(sys.stdout)
    what = "agent" if artifact.loop else "principal" if artifact.standing else "artifact"
    out.print(Text(artifact.id, style="bold").append(f"  {what}", style="dim"))
    if artifact.description:
        out.print(f"{clean(artifact.description)}")
    _fields(out, artifact, state, _called(run, id) if artifact.type == "code" else None)
    _interface(out, artifact)
    content = text_of(artifact.content, log)
    if content:
        out.print(Text("\nContent", style="bold"))
        out.print(clean(content).rstrip("\n"), soft_wrap=True)


def _called(run: Run, id: str) -> ServiceSummary:
    """What became of a service so far; this goes through the whole log."""
    services = run.summary().services
    return next((one for one in services if one.artifact == id), ServiceSummary(id))


def _fields(out: Console, artifact: Artifact, state: State, service: ServiceSummary | None) -> None:
    rows = table("", "", fold="")
    if artifact.standing:
        for name, told in _principal(artifact.id, state):
            rows.add_row(Text(f"  {name}", style="dim"), told)
    for name, told in _artifact(artifact):
        rows.add_row(Text(f"  {name}", style="dim"), told)
    if service is not None:
        for name, told in _service(service):
            rows.add_row(Text(f"  {name}", style="dim"), told)
    out.print(rows)


def _artifact(artifact: Artifact) -> Iterator[tuple[str, str]]:
    contract = artifact.contract
    price = (
        f", {contract.price_scrip:,} scrip for each read or call" if contract.price_scrip else ""
    )
    members = f": {', '.join(contract.members)}" if contract.members else ""
    if artifact.owner != artifact.id:
        yield "owner", artifact.owner
    yield "type", clean(artifact.type)
    yield "contract", f"{contract.id}{price}{members}"
    yield "stores", f"{size(artifact.stored_bytes)} of {artifact.stored_for}'s quota"
    yield "changed", f"by record {artifact.changed_seq}"


def _service(service: ServiceSummary) -> Iterator[tuple[str, str]]:
    denied = service.refused + service.failed
    not_done = f", {denied:,} of them not done" if denied else ""
    by_code = f", and {service.calls_by_code:,} by code" if service.calls_by_code else ""
    yield "called", f"{count(service.calls, 'time')}{not_done}{by_code}"
    yield "earned", f"{service.scrip:,} scrip"


def _principal(id: str, state: State) -> Iterator[tuple[str, str]]:
    held = state.ledger.held.get(id, 0)
    yield "scrip", f"{state.ledger.balances[id]:,}" + (f", {held:,} of it held" if held else "")
    if id in state.agenda.due_us:
        yield "loop", f"{count(state.agenda.steps[id], 'step')}, {_doing(id, state)}"
    resources, now_us = state.resources, state.now_us
    for name, kind in resources.kinds.items():
        limit = resources.limit(id, name)
        used = limit - resources.remaining(id, name, now_us)
        if not limit and not used:
            continue
        window_us = resources.window_us(name)
        per = f" in {span(window_us)}" if window_us is not None else ""
        verb = "stored" if kind == "allocatable" else "used"
        yield name, f"{used:,} of {limit:,} {verb}{per}"
    owned = sorted(a.id for a in state.artifacts.by_id.values() if a.owner == id != a.id)
    if owned:
        more = f" and {len(owned) - OWNED_MAX:,} more" if len(owned) > OWNED_MAX else ""
        yield "owns", ", ".join(owned[:OWNED_MAX]) + more


def _doing(id: str, state: State) -> str:
    agenda = state.agenda
    if id in agenda.stopped:
        return clean(f"ended: {agenda.stopped[id]}")
    if id in agenda.paused or "*" in agenda.paused:
        return "paused by an operator"
    if id in agenda.waiting:
        return f"waits for {count(agenda.waiting[id], 'effect')}"
    sleeping = agenda.sleeping.get(id)
    if sleeping is not None:
        return f"rests until {span(sleeping.until_us)}"
    return f"due at {span(agenda.due_us[id])}"


def _interface(out: Console, artifact: Artifact) -> None:
    if not artifact.interface:
        return
    out.print(Text("\nInterface", style="bold"))
    for tool in artifact.interface:
        out.print(Text(f"  {clean(tool.name)}({arguments_of(tool)})"), soft_wrap=True)
        if tool.description:
            out.print(
                Text(f"    {clean(' '.join(tool.description.split()))}", style="dim"),
                soft_wrap=not sys.stdout.isatty(),
            )


def arguments_of(tool: Tool) -> str:
    """Names with types as the schema tells them; ``?`` marks what may be left out."""
    schema: dict[str, Any] = tool.input_schema
    required = schema.get("required", [])
    properties = schema.get("properties", {})
    parts = []
    for name, rule in properties.items() if isinstance(properties, dict) else ():
        kind = rule.get("type", "any") if isinstance(rule, dict) else "any"
        kind = "|".join(map(str, kind)) if isinstance(kind, list) else str(kind)
        parts.append(f"{name}{'' if name in required else '?'}: {kind}")
    return clean(", ".join(parts))
