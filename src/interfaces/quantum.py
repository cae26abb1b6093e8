"""Owns what is shown of genesis_quantum: trying a method, everything that is known of it, calibrating."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from ..genesis.tool_list import shape_of
from ..simulation.config import load_config
from ..simulation.quantum_desk import Calibration, QuantumDesk, Tried, keep
from ..simulation.settings import shown
from ..simulation.tool_desk import Desk
from ..world import ConfigurationFault, Done, Failed, Fault, Refused
from .exits import OK
from .tables import console, fitted, table
from .tools import cost_of, show_fields, show_methods
from .trying import arguments_of, finished, read_text
from .words import clean, size, span

OUTCOMES_MAX: Final = 16
_BAR_CHARS: Final = 30
_ROWS_MAX: Final = 8
_DOCUMENT: Final = "circuit"
_PICTURES: Final = ("svg", "png")


def call(
    scenario: str,
    config: Path | None,
    method: str,
    args: str,
    output: Path | None,
    *,
    as_json: bool,
) -> int:
    """Ask for one method in a world of its own, and print what came of it.

    Raises:
        Fault: it was refused or failed; the sentence begins with the code.
    """
    desk = QuantumDesk(Desk(scenario, config).config)
    told = {name: _filled(name, value) for name, value in arguments_of(args).items()}
    tried = finished(desk.call(method, told))
    answer = tried.answer
    result = answer.result if isinstance(answer, Done) else None
    if as_json:
        print(json.dumps(_as_json(tried), ensure_ascii=False))
    elif result is not None:
        _show(result)
        print(_usage(tried))
    if isinstance(answer, Refused | Failed):
        sys.stdout.flush()
        raise Fault(f"{answer.code.name}: {clean(answer.detail)}")
    if output is not None and result is not None:
        output.write_bytes(_bytes(result))
        print(f"written to {shown(output)}", file=sys.stderr if as_json else sys.stdout)
    return OK


def show(scenario: str, config: Path | None, *, as_json: bool) -> int:
    """Print what is known of it; starts nothing."""
    desk = QuantumDesk(Desk(scenario, config).config)
    settings, glance = desk.config.genesis.quantum, desk.glance()
    if as_json:
        told = asdict(glance) | {
            "description": desk.description,
            "settings": settings.model_dump(mode="json"),
            "costs": {name: cost.model_dump(mode="json") for name, cost in desk.costs.items()},
            "methods": [shape_of(tool) for tool in desk.tools],
        }
        print(json.dumps(told, ensure_ascii=False))
        return OK
    out = console(sys.stdout)
    head = f"  {glance.artifact}, {glance.state}"
    out.print(Text(glance.name, style="bold").append(head, style="dim"))
    out.print(Text(desk.description), soft_wrap=True)
    if glance.why:
        out.print(Text(clean(glance.why), style="red"), soft_wrap=True)
    show_fields(out, "", [("workers", str(settings.workers))])
    devices = settings.devices.model_dump().items()
    show_fields(out, "Devices", ((name, _told(value)) for name, value in devices))
    show_fields(out, "Limits", ((n, _told(v)) for n, v in settings.limits.model_dump().items()))
    show_fields(out, "Costs", ((name, cost_of(cost)) for name, cost in desk.costs.items()))
    show_methods(out, desk.tools)
    return OK


def calibrate(*, check: bool) -> int:
    """Measure this machine, print what is other than in the configuration, and keep it."""
    desk = QuantumDesk(load_config())
    if (why := desk.why_not()) is not None:
        raise Fault(why)
    print("measuring: half a minute, more where other programs are at work …", file=sys.stderr)
    found = finished(desk.calibrate())
    _calibrated(found)
    if check:
        print("nothing is written")
    else:
        print(f"written to {shown(keep(found.now))}")
    return OK


# What was asked.


def _filled(name: str, value: Any) -> Any:
    """An argument; of ``"@FILE"`` what the file holds, JSON as such and OpenQASM as text."""
    if not (isinstance(value, str) and value.startswith("@")):
        return value
    text = read_text(Path(value[1:]))
    if name == "qasm":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationFault(f"{value[1:]} is not JSON: {error}") from None


# What came of it.


def _show(result: Any) -> None:
    """Print an answer: text and OpenQASM as they are, counts as a table, the rest by its names."""
    out = console(sys.stdout)
    rest = dict(result)
    if rest.get("format") in _PICTURES:
        data = _bytes(rest)
        rest = {"picture": f"{rest['format']}, {len(data):,} bytes: --output FILE keeps it"}
    for name in ("text", "qasm"):
        if name in rest:
            print(clean(rest.pop(name)).rstrip("\n"))
    results = rest.pop("results", [])
    for row in results[:_ROWS_MAX]:
        _counts(row)
        _names({name: value for name, value in row.items() if name != "counts"})
    if len(results) > _ROWS_MAX:
        print(f"and {len(results) - _ROWS_MAX} more: --output FILE keeps all")
    if results:
        print()
    for name in ("estimate", "used"):  # the last line tells both
        if results:
            rest.pop(name, None)
    _names(rest)
    out.print()


def _counts(row: Mapping[str, Any]) -> None:
    counts = row.get("counts")
    if not counts:
        return
    out = console(sys.stdout)
    total = sum(counts.values())
    often = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    rows = table("outcome", ">times", ">share", "")
    for outcome, times in often[:OUTCOMES_MAX]:
        bar = "█" * round(_BAR_CHARS * times / often[0][1])
        rows.add_row(outcome, f"{times:,}", f"{times / total:.1%}", Text(bar, style="dim"))
    if len(often) > OUTCOMES_MAX:
        times = sum(n for _, n in often[OUTCOMES_MAX:])
        left = f"and {len(often) - OUTCOMES_MAX:,} more"
        rows.add_row(left, f"{times:,}", f"{times / total:.1%}", "")
    out.print(fitted(rows, out.width))


def _names(value: Mapping[str, Any]) -> None:
    """Print values by their names, what is inside others as ``other.name``."""
    out = console(sys.stdout)
    rows = table("name", "value", fold="value")
    rows.show_header = False
    for name, told in _leaves("", value):
        rows.add_row(Text(name, style="dim"), Text(clean(told)))
    if rows.row_count:
        out.print(fitted(rows, out.width))


def _leaves(where: str, value: Any) -> Iterator[tuple[str, str]]:
    inside = f"{where}." if where else ""
    if isinstance(value, dict) and value and where != _DOCUMENT:
        for name, item in value.items():
            if name != "quota":  # here it is never in the way
                yield from _leaves(f"{inside}{name}", item)
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for number, item in enumerate(value[:_ROWS_MAX]):
            yield from _leaves(f"{inside}{number}", item)
    else:
        yield where, _told(value)


def _told(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _usage(tried: Tried) -> str:
    """The last line: times, what a worker used, and the price against the estimate."""
    if tried.held is None:
        return "answered without a worker"
    told = [f"started in {span(tried.start_us)}", f"called in {span(tried.call_us)}"]
    told.append(f"{span(tried.usage.get('cpu_us', 0))} CPU")
    if "memory_peak_bytes" in tried.usage:
        told.append(size(tried.usage["memory_peak_bytes"]))
    price = f"{tried.usage.get('compute', 0):,} compute"
    estimated = "" if tried.estimated is None else f" of {tried.estimated:,} estimated"
    return " · ".join([*told, f"{price}{estimated}, {tried.held:,} held"])


def _as_json(tried: Tried) -> dict[str, Any]:
    answer = tried.answer
    done = isinstance(answer, Done)
    told = {
        "value": answer.result if isinstance(answer, Done) else None,
        "code": None if done else answer.code.name,  # type: ignore[union-attr]
        "detail": "" if done else answer.detail,  # type: ignore[union-attr]
    }
    return told | {k: v for k, v in asdict(tried).items() if k != "answer"}


def _bytes(result: Mapping[str, Any]) -> bytes:
    """What is kept of an answer: a picture or a text as such, a circuit as its document, else all."""
    if "base64" in result:
        return base64.b64decode(result["base64"])
    for name in ("text", "qasm"):
        if name in result:
            return f"{result[name]}\n".encode()
    return f"{json.dumps(result.get(_DOCUMENT, result), indent=1, ensure_ascii=False)}\n".encode()


def _calibrated(found: Calibration) -> None:
    out = console(sys.stdout)
    rows = table("coefficient", ">was", ">is", ">times")
    for name, was, is_ in found.changed():
        rows.add_row(name, f"{was:.2g}", f"{is_:.2g}", f"{is_ / was:.2f}" if was else "–")
    if rows.row_count:
        out.print(fitted(rows, out.width))
    else:
        print("no coefficient moved by more than a tenth")
    out.print()
    rows = table("probe", "term", ">measured ÷ estimated")
    for probe, ratio in found.errors:
        rows.add_row(probe.method, probe.term, f"{ratio:.2f}")
    out.print(fitted(rows, out.width))
