"""Owns how a summary is shown to a person: who earned what from whom, what was traded, refused, called."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..simulation.jobs import all_jobs
from ..simulation.report import NOT_ENDED, PrincipalSummary, Summary, ToolSummary
from ..world import GENESIS
from .economy import show_economy
from .started import program
from .tables import WIDE, section, table
from .words import clean, count, one_line, size, span

PRINCIPALS_MAX = 30
SALES_MAX = 8
FINDINGS_MAX = 4
EXAMPLE_CHARS_MAX = 240
_ENDED = {
    "until": "its world time is over",
    "steps": "its number of records is reached",
    "quiet": "nothing was left to happen",
    "stopped": "it was stopped",
}
_STATE_CHARS_MAX = 80


def ended(summary: Summary) -> str:
    """Why it ended, as half a sentence."""
    return _ENDED.get(summary.ended, one_line(summary.ended, _STATE_CHARS_MAX))


def show_summary(out: Console, summary: Summary) -> None:
    """Print what a run came to."""
    _head(out, summary)
    section(out, "Who earned what from whom", _principals(summary, out.width))
    section(out, "What was traded", _sales(summary))
    show_economy(out, summary.economy)
    section(out, "What code of agents did", _services(summary))
    section(out, "What was refused or failed, and why", _denials(summary))
    section(out, "What each tool cost", _tools(summary, out.width))
    section(out, "Who ran what on qubits", _jobs(summary))
    section(out, "What was found out", _findings(summary))
    _stops(out, summary)


def show_next(out: Console, summary: Summary, run: str) -> None:
    """Print the next useful commands for this run; ``run`` is how it is named there."""
    others = (p for p in _people(summary) if p.id != GENESIS)
    best = max(others, key=lambda p: (p.earned, p.tool_calls, p.actions), default=None)
    sold = next((s.artifact for s in summary.sales if s.type != "genesis"), None)
    commands = [(f"verify {run}", "prove from the log that all of this is so")]
    if best is not None:
        commands.append((f"log {run} --of {best.id}", f"what {best.id} did, step by step"))
    if sold is not None:
        commands.append((f"show {run} {sold}", "what was sold most"))
    commands.append((f"ledger {run}", "who holds what"))
    if summary.ended != "quiet":
        later = " --until " + _later(summary.world_us) if summary.ended == "until" else ""
        commands.append((f"resume {run}{later}", "go on from here"))
    rows = table("", "~")
    for command, why in commands:
        rows.add_row(f"{program()} {command}", Text(why, style="dim"))
    section(out, "What next", rows)


def _later(world_us: int) -> str:
    """A round world time after this one, as ``--until`` takes it."""
    seconds = max(1, round(2 * world_us / 1e6))
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def _head(out: Console, summary: Summary) -> None:
    out.print()
    what = f"  {clean(summary.scenario)}, seed {summary.seed}, head {summary.head[:16]}…"
    out.print(Text(summary.run, style="bold").append(what, style="dim"))
    lasted = f"It lasted {span(summary.world_us)} of world time"
    rate = ""
    if summary.ended:
        real = f"{span(summary.real_s * 1e6)} of real time"
        out.print(f"{lasted} in {real} and ended because {ended(summary)}.")
        rate = f" ({summary.actions_per_s:,.0f} a second)"
    else:
        out.print(f"{lasted} so far and is {NOT_ENDED}.")
    facts = [
        count(summary.records, "record"),
        f"{count(summary.actions, 'action')}{rate}",
        count(summary.sleeps, "rest"),
        count(sum(p.made for p in summary.principals), "artifact") + " made",
    ]
    out.print(" · ".join(facts))
    balances = f"{count(len(summary.principals), 'balance')} of"
    if summary.conserved:
        line = Text(f"{balances} {summary.supply:,} scrip in all, none lost and none made up")
    else:
        line = Text(f"{balances} {summary.supply:,} scrip in all DO NOT ADD UP", style="bold red")
    out.print(line)
    if summary.tokens:
        tokens = (f"{clean(name)} {n:,}" for name, n in summary.tokens.items())
        out.print("models: " + ", ".join(tokens))


def _principals(summary: Summary, width: int) -> Table:
    on = ["~on"] if width >= WIDE else []
    heads = ["~who", ">scrip", ">", ">earned", "~from", ">spent", *on]
    calls = [">calls"] if any(one.tool_calls for one in summary.principals) else []
    rows = table(*heads, ">compute", *calls, ">denied")
    busy = sorted(_people(summary), key=lambda p: (-p.earned, -p.spent, -p.actions, p.id))
    for one in busy[:PRINCIPALS_MAX]:
        change = one.scrip_end - one.scrip_start
        rows.add_row(
            one.id,
            f"{one.scrip_end:,}",
            Text(f"{change:+,}" if change else "", style="green" if change > 0 else "red"),
            _some(one.earned),
            _partners(one.earned_from),
            _some(one.spent),
            *([_partners(one.spent_to)] if on else []),
            _some(one.compute),
            *([_some(one.tool_calls)] if calls else []),
            _some(one.refused + one.failed),
        )
    left_out = len(busy) - PRINCIPALS_MAX
    if left_out > 0:
        rows.add_row(f"and {left_out:,} more")
    return rows


def _people(summary: Summary) -> list[PrincipalSummary]:
    """The principals, without the services: what those did is told in a table of their own."""
    return [one for one in summary.principals if not one.is_service]


def _partners(partners: dict[str, int]) -> Text:
    """``webster_1 6, librarian_2 6``, the largest first."""
    told = (f"{id} {amount:,}" for id, amount in partners.items())
    return Text(", ".join(told), style="dim")


def _sales(summary: Summary) -> Table:
    rows = table("~artifact", "~of", ">sold", ">scrip", "~what it is")
    tools = {tool.artifact for tool in summary.tools}
    sales = [sale for sale in summary.sales if sale.artifact not in tools]
    for sale in sales[:SALES_MAX]:
        times = sale.reads + sale.invocations + sale.sold
        what = one_line(sale.description or sale.type, EXAMPLE_CHARS_MAX)
        rows.add_row(sale.artifact, sale.owner, f"{times:,}×", f"{sale.scrip:,}", what)
    rest = sales[SALES_MAX:]
    if rest:
        times = sum(sale.reads + sale.invocations + sale.sold for sale in rest)
        scrip = sum(sale.scrip for sale in rest)
        rows.add_row(f"and {len(rest):,} more", "", f"{times:,}×", f"{scrip:,}", "")
    if summary.transfers:
        sums = f"{summary.transfers:,}×", f"{summary.transferred:,}"
        rows.add_row("(transfers)", "", *sums, "given where no price asked for it")
    return rows


def _services(summary: Summary) -> Table:
    rows = table("~service", "~of", ">calls", ">by code", ">denied", ">scrip", ">compute")
    for service in summary.services[:SALES_MAX]:
        denied = service.refused + service.failed
        counts = (service.calls, service.calls_by_code, denied, service.scrip, service.compute)
        rows.add_row(service.artifact, service.owner, *map(_some, counts))
    left_out = len(summary.services) - SALES_MAX
    if left_out > 0:
        rows.add_row(f"and {left_out:,} more")
    return rows


def _denials(summary: Summary) -> Table:
    rows = table(">times", "code", "for instance", fold="for instance")
    for denial in summary.denials:
        example = one_line(denial.example, EXAMPLE_CHARS_MAX)
        who = clean(denial.example_principal or "an operator")
        by = f"{who} asked {denial.artifact}: " if denial.artifact else f"{who}: "
        told = Text("" if who in example else by, style="dim")
        told.append(example, style="default")
        style = "yellow" if denial.kind == "failed" else ""
        rows.add_row(f"{denial.times:,}", Text(denial.code, style=style), told)
    return rows


def _tools(summary: Summary, width: int) -> Table:
    wide = width >= WIDE
    heads = ["~tool", ">calls", ">failed", ">scrip", ">compute", ">world", ">real"]
    rows = table(*heads, *([">sent", ">got"] if wide else []))
    for tool in summary.tools:
        real = "" if tool.wall_us is None else span(tool.wall_us)
        bytes_of = (tool.usage.get(name, 0) for name in ("bytes_out", "bytes_in"))
        rows.add_row(
            _tool_name(tool, wide),
            f"{tool.calls:,}",
            _some(tool.failed),
            _some(tool.scrip),
            _some(tool.compute),
            span(tool.latency_us),
            real,
            *([size(n) for n in bytes_of] if wide else []),
        )
    return rows


def _jobs(summary: Summary) -> Table:
    """Jobs by principal: what they used, and in per cent of what was estimated."""
    rows = table(
        "~who",
        ">jobs",
        ">failed",
        ">repeated",
        ">qubits",
        ">shots",
        ">cpu",
        ">compute",
        ">estimated",
        ">ratio",
        ">held",
    )
    ran = sorted(summary.jobs, key=lambda job: (-job.compute, job.principal))
    for one in [*ran, *([all_jobs(ran)] if len(ran) > 1 else [])]:
        expected = one.estimated_compute
        ratio = f"{one.compute / expected:.0%}" if expected else "–"
        rows.add_row(
            one.principal,
            f"{one.jobs:,}",
            _some(one.failed),
            _some(one.repeated),
            f"{one.qubits_max:,}",
            f"{one.shots:,}",
            span(one.cpu_us),
            f"{one.compute:,}",
            f"{expected:,}",
            ratio,
            f"{one.held_compute:,}",
        )
    return rows


def _findings(summary: Summary) -> Table:
    rows = table("~finding", "~by", "what", fold="what")
    for finding in summary.findings[:FINDINGS_MAX]:
        what = one_line(finding.description, EXAMPLE_CHARS_MAX)
        rows.add_row(finding.artifact, finding.owner, what)
    left_out = len(summary.findings) - FINDINGS_MAX
    if left_out > 0:
        rows.add_row(f"and {left_out:,} more", "", "")
    return rows


def _tool_name(tool: ToolSummary, wide: bool) -> str:
    return f"{tool.artifact if wide else tool.artifact.removeprefix('genesis_')} {tool.method}"


def _stops(out: Console, summary: Summary) -> None:
    stopped = [p for p in summary.principals if p.stopped]
    rows = table("~who", "why", fold="why")
    for reason, principals in _by_reason(stopped):
        names = ", ".join(p.id for p in principals[:3])
        more = f" and {len(principals) - 3:,} more" if len(principals) > 3 else ""
        rows.add_row(names + more, one_line(reason, EXAMPLE_CHARS_MAX))
    section(out, "Whose loop ended", rows)


def _by_reason(stopped: Iterable[PrincipalSummary]) -> list[tuple[str, list[PrincipalSummary]]]:
    reasons: dict[str, list[PrincipalSummary]] = {}
    for principal in stopped:
        reasons.setdefault(principal.stopped, []).append(principal)
    return sorted(reasons.items(), key=lambda item: -len(item[1]))


def _some(number: int) -> str:
    return f"{number:,}" if number else "–"
