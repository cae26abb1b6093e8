"""Owns the commands that look at runs and prove them. They read, and write nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from rich.padding import Padding
from rich.text import Text

from ..adapters.event_store import StoreFault
from ..simulation.natives import UnknownNative
from ..simulation.overview import overview
from ..simulation.payments import Payments, decoded
from ..simulation.run import Proof, Run
from ..simulation.runs import find_run, list_runs
from ..world import GENESIS, ConfigurationFault, Fault, LogFault, State
from .lines import ran
from .started import program
from .tables import console, fitted, table
from .words import count, meant, span

_PROGRESS_S = 0.2
_PROGRESS_EACH = 256
_WHEN = "%Y-%m-%d %H:%M"
_HOW = {
    "read": "for reading",
    "invoke": "for invoking",
    "sale": "for buying",
    "loan": "on the loan",
    "mint": "as a share of what was paid to",
    "transfer": "as a transfer",
    "issue": "issued by",
}


def verify(run_name: str, runs_dir: Path, *, rerun_code: bool) -> int:
    """Prove a run and print what was proved; with its code run again, if that is wanted.

    Raises:
        Fault: its decisions could not be checked; all else is proved and printed.
    """
    run = Run(find_run(runs_dir, run_name))
    began_s = time.monotonic()
    unknown: UnknownNative | None = None
    try:
        prove = run.verify_running_code if rerun_code else run.verify
        proof = prove(_progress(run, "deciding again"))
    except UnknownNative as fault:
        unknown = fault
        proof = run.prove_without_deciding(_progress(run, "folding"))
    _erase()
    _show_proof(run, proof, time.monotonic() - began_s)
    if unknown is not None:
        sys.stdout.flush()
        raise Fault(f"the decisions of {run.id} could not be checked: {unknown}")
    return 0


def ledger(run_name: str, runs_dir: Path, of: str | None) -> int:
    """Print balances and holds, or the movements of one principal."""
    run = Run(find_run(runs_dir, run_name))
    state = run.state()
    if of is None:
        _balances(state)
        return 0
    if of not in state.ledger.balances:
        raise ConfigurationFault(
            f"there is no principal {of!r} in {run.id}{meant(of, state.ledger.balances)}"
        )
    _movements(run, state, of)
    return 0


def runs(runs_dir: Path) -> int:
    """List the runs, newest first."""
    folders = list_runs(runs_dir)
    if not folders:
        print(f"There are no runs in {runs_dir}: {program()} run makes one.")
        return 0
    out = console(sys.stdout)
    rows = table("~run", "~scenario", "begun", ">records", ">took", "~ended", "head")
    for folder in folders:
        try:
            told = overview(folder)
        except (LogFault, StoreFault) as fault:
            rows.add_row(folder.name, *([""] * 4), Text(str(fault), style="red"), "")
            continue
        when = datetime.fromtimestamp(told.began_us / 1e6).strftime(_WHEN) if told.began_us else ""
        took = span(told.real_s * 1e6) if told.ended else ""
        ended = told.ended or "(not ended)"
        rows.add_row(told.run, told.scenario, when, f"{told.records:,}", took, ended, told.head[:8])
    out.print(fitted(rows, out.width))
    return 0


def scenarios() -> int:
    """List the scenarios that come with Scripworld."""
    from ..simulation.scenario import load_scenario, scenario_names

    out = console(sys.stdout)
    for name in scenario_names():
        scenario = load_scenario(name)
        title = Text(name, style="bold")
        until = f", {span(scenario.until_us)} of world time" if scenario.until_us else ""
        title.append(f"  {count(scenario.agents_count, 'agent')}{until}", style="dim")
        out.print(title)
        out.print(Padding(" ".join(scenario.description.split()), (0, 0, 0, 2)))
    return 0


def _progress(run: Run, doing: str) -> Callable[[State], None]:
    """Tell on a terminal how far a long proof is."""
    if not sys.stderr.isatty():
        return lambda state: None
    records = overview(run.folder).records
    next_s = time.monotonic() + 1.0

    def told(state: State) -> None:
        nonlocal next_s
        if state.seq % _PROGRESS_EACH or time.monotonic() < next_s:
            return
        next_s = time.monotonic() + _PROGRESS_S
        share = f"{state.seq / max(records, 1):.0%}"
        line = f"\r{doing}: {state.seq:,} of {count(records, 'record')} ({share})"
        print(line, end="\x1b[K", file=sys.stderr, flush=True)

    return told


def _erase() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _show_proof(run: Run, proof: Proof, took_s: float) -> None:
    rows = table("", "")
    rate = f", {proof.records / took_s:,.0f} records a second" if took_s > 0 else ""
    records = count(proof.records, "record")
    decisions = "every input decided again: the same facts, the same answers"
    if proof.has_run_code:
        decisions += "; all code run again"
    for name, told in (
        ("chain", f"{records}, the hash of each over its bytes and the hash before it"),
        ("decisions", decisions if proof.decided else "not checked"),
        ("fold", "the facts alone lead to the same state"),
        ("scrip", f"{proof.supply:,} in all, as issued; no balance below zero"),
        ("head", proof.head),
        ("took", f"{span(took_s * 1e6)}{rate}"),
    ):
        rows.add_row(Text(f"  {name}", style="dim"), told)
    out = console(sys.stdout)
    if proof.decided:
        out.print(Text(f"{run.id} is proved.", style="bold green"))
    else:
        out.print(Text(f"{run.id} is proved in part: not its decisions.", style="bold yellow"))
    out.print(rows, soft_wrap=True)


def _balances(state: State) -> None:
    books = state.ledger
    rows = table("principal", ">balance", ">held", ">free")
    for principal, balance in sorted(books.balances.items(), key=lambda item: (-item[1], item[0])):
        held = books.held.get(principal, 0)
        rows.add_row(principal, f"{balance:,}", f"{held:,}" if held else "–", f"{balance - held:,}")
    out = console(sys.stdout)
    out.print(rows)
    if books.holds:
        holds = table(">hold", "of", ">scrip", "expires")
        for number, hold in sorted(books.holds.items()):
            expires = f"at {span(hold.expires_us)}" if hold.expires_us else "with its effect"
            holds.add_row(f"{number}", hold.principal, f"{hold.amount:,}", expires)
        out.print(Text("\nOpen holds", style="bold"))
        out.print(holds)
    total = sum(books.balances.values())
    same = total == books.supply and min(books.balances.values(), default=0) >= 0
    verdict = "they sum to what was issued" if same else "NOT WHAT WAS ISSUED"
    told = f"{count(len(books.balances), 'balance')}, {total:,} scrip: {verdict} ({books.supply:,})"
    out.print(Text(f"\n{told}", style="" if same else "bold red"))


def _movements(run: Run, state: State, of: str) -> None:
    rows = table(">record", ">world time", ">scrip", ">balance", "~with", "~what for")
    balance = moved = 0
    log = run.log()
    try:
        payments = Payments()
        for record in decoded(log.records()):
            for payment in payments.of(record):
                change = payment.amount * ((payment.payee == of) - (payment.payer == of))
                if of not in (payment.payee, payment.payer):
                    continue
                balance += change
                moved += 1
                other = payment.payer if payment.payee == of else payment.payee
                what = _HOW[payment.how] if payment.payer or payment.artifact else "issued"
                rows.add_row(
                    f"{payment.seq}",
                    f"{payment.now_us / 1e6:,.3f} s",
                    Text(f"{change:+,}", style="green" if change > 0 else "red"),
                    f"{balance:,}",
                    other or f"({GENESIS})",
                    f"{what} {payment.artifact}".rstrip(),
                )
    finally:
        log.close()
    out = console(sys.stdout)
    out.print(fitted(rows, out.width))
    held = state.ledger.held.get(of, 0)
    reserved = f", {held:,} of it held" if held else ""
    out.print(f"\n{of} has {balance:,} scrip{reserved}, after {count(moved, 'movement')}.")
    out.print(f"What it did: {program()} log {ran(run)} --of {of}", style="dim", soft_wrap=True)
