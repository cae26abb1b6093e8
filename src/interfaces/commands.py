"""Owns the commands and their options: what a line says is to be done, and nothing of doing it.

A command returns its work; ``cli.main`` does it once the line is understood, and what that needs is
imported then, so that ``--help`` is instant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .exits import OK
from .options import (
    RUNS,
    SCENARIO,
    ConfigFile,
    EffectsFrom,
    JsonFlag,
    QuietFlag,
    RunName,
    RunsDir,
    ScenarioName,
    Until,
    Work,
    one_of,
    whole,
)
from .quantum_commands import quantum
from .tool_commands import tools

LOG_LIMIT = 50

app = typer.Typer(
    name="scripworld",
    help="A world in which agents hold scrip and compute, trade artifacts and use real tools.",
    epilog="Begin with: run",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


app.add_typer(tools, name="tools")
app.add_typer(quantum, name="quantum")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> Work | None:
    if version or context.invoked_subcommand is None:
        from ..world import VERSION

        print(f"scripworld {VERSION}" if version else context.get_help())
        raise typer.Exit(OK)
    return None


@app.command()
def run(
    scenario: ScenarioName = SCENARIO,
    config: ConfigFile = None,
    agents: Annotated[
        int | None,
        typer.Option(
            "--agents",
            metavar="N",
            parser=whole("--agents", 1),
            help="Scale the scenario to this many agents.",
        ),
    ] = None,
    until: Until = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", parser=whole("--seed"), help="What all chance comes from."
        ),
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option(
            "--clock",
            metavar="virtual|wall",
            parser=one_of("--clock", "virtual", "wall"),
            help="As fast as it can, or in real time.",
        ),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="Name of the run; new.")
    ] = None,
    effects_from: EffectsFrom = None,
    runs_dir: Annotated[
        Path | None, typer.Option("--runs-dir", metavar="DIR", help="Folder of the runs.")
    ] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> Work:
    """Make a world and drive it to its end."""

    def work() -> int:
        from .running import Shown, start

        return start(
            scenario,
            config=config,
            agents=agents,
            until=until,
            seed=seed,
            clock=clock,
            run_id=run_id,
            effects_from=effects_from,
            runs_dir=runs_dir,
            shown=Shown(quiet, as_json),
        )

    return work


@app.command()
def resume(
    run_name: RunName,
    until: Until = None,
    effects_from: EffectsFrom = None,
    runs_dir: RunsDir = RUNS,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> Work:
    """Go on with a run that ended, was stopped or was killed."""

    def work() -> int:
        from .running import Shown, go_on

        return go_on(
            run_name,
            until=until,
            effects_from=effects_from,
            runs_dir=runs_dir,
            shown=Shown(quiet, as_json),
        )

    return work


@app.command()
def verify(
    run_name: RunName,
    rerun_code: Annotated[
        bool,
        typer.Option("--rerun-code", help="Run all agent-written code again and compare."),
    ] = False,
    runs_dir: RunsDir = RUNS,
) -> Work:
    """Prove a run from its log: chain, decisions, fold, scrip."""

    def work() -> int:
        from . import reading

        return reading.verify(run_name, runs_dir, rerun_code=rerun_code)

    return work


@app.command()
def log(
    run_name: RunName,
    of: Annotated[
        str | None, typer.Option("--of", metavar="ID", help="Only what touches this id.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="Only this kind: read, invoke, settle, …")
    ] = None,
    code: Annotated[
        str | None, typer.Option("--code", help="Only what was refused or failed with this code.")
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            "--since", metavar="SEQ", parser=whole("--since"), help="From this record on."
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            metavar="N",
            parser=whole("--limit"),
            help="At most this many, the newest; 0 for all.",
        ),
    ] = LOG_LIMIT,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on as the log grows, until the run ends.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each record as one line of JSON.")
    ] = False,
    runs_dir: RunsDir = RUNS,
) -> Work:
    """Read what happened, a line a record."""

    def work() -> int:
        from .following import Wanted, show_log

        wanted = Wanted(of, kind, code, since, limit)
        return show_log(run_name, runs_dir, wanted, follow=follow, as_json=as_json)

    return work


@app.command()
def show(
    run_name: RunName,
    id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="Id of an artifact or a principal, or a record's number; none: the summary.",
        ),
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> Work:
    """Show an artifact, a principal or a record; without an ID, what the run came to."""

    def work() -> int:
        from . import showing

        return showing.show(run_name, runs_dir, id)

    return work


@app.command()
def ledger(
    run_name: RunName,
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="ID", help="The movements of this principal instead."),
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> Work:
    """Show who holds how much scrip."""

    def work() -> int:
        from . import reading

        return reading.ledger(run_name, runs_dir, of)

    return work


@app.command()
def runs(runs_dir: RunsDir = RUNS) -> Work:
    """List the runs that there are, newest first."""

    def work() -> int:
        from . import reading

        return reading.runs(runs_dir)

    return work


@app.command()
def scenarios() -> Work:
    """List the scenarios that come with Scripworld."""

    def work() -> int:
        from . import reading

        return reading.scenarios()

    return work
