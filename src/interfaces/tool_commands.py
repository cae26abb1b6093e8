"""Owns the commands on tool servers, as ``commands`` owns the others: what a line says is to be done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import SCENARIO, ConfigFile, JsonFlag, ScenarioName, Work

tools = typer.Typer(
    help="List the tool servers, look at one, call, pin or import them.",
    rich_markup_mode=None,
)
ServerName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of a server in the configuration, or quantum."),
]
_QUANTUM = ("quantum", "genesis_quantum")
"""What is asked like a server, and is none."""


@tools.callback(invoke_without_command=True)
def _list(
    context: typer.Context,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="What they did in this run; else in the newest."),
    ] = None,
    scenario: ScenarioName = SCENARIO,
    config: ConfigFile = None,
    as_json: JsonFlag = False,
) -> Work | None:
    if context.invoked_subcommand is not None:
        if given := _given(context):
            told = f"{given} stands after {context.invoked_subcommand}, not before it"
            raise typer.BadParameter(told)
        return None

    def work() -> int:
        from . import tools

        return tools.list_servers(scenario, config, run, as_json=as_json)

    return work


@tools.command()
def show(
    name: ServerName,
    start: Annotated[
        bool,
        typer.Option("--start", help="Start it, and compare what it says with its manifest."),
    ] = False,
    scenario: ScenarioName = SCENARIO,
    config: ConfigFile = None,
    as_json: JsonFlag = False,
) -> Work:
    """Show a server: its command, sandbox, costs and methods."""

    def work() -> int:
        if name in _QUANTUM:
            from . import quantum

            return quantum.show(scenario, config, as_json=as_json)
        from . import tools

        return tools.show(scenario, config, name, start=start, as_json=as_json)

    return work


@tools.command()
def call(
    name: ServerName,
    tool: Annotated[
        str, typer.Argument(metavar="TOOL", help="A method: a stable name, or the server's own.")
    ],
    args: Annotated[
        str,
        typer.Argument(
            metavar="ARGUMENTS", help="Its arguments: a JSON object, or @FILE with one."
        ),
    ] = "{}",
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Keep the picture, text or circuit there."),
    ] = None,
    scenario: ScenarioName = SCENARIO,
    config: ConfigFile = None,
    as_json: JsonFlag = False,
) -> Work:
    """Start a server, call one method of it, tell what it used."""

    def work() -> int:
        if name in _QUANTUM:
            from . import quantum

            return quantum.call(scenario, config, tool, args, output, as_json=as_json)
        from . import trying

        return trying.call(scenario, config, name, tool, args, output, as_json=as_json)

    return work


@tools.command()
def pin(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME…", help="Names of servers.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All servers of the configuration that can be started.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if something differs.")
    ] = False,
    scenario: ScenarioName = SCENARIO,
    config: ConfigFile = None,
) -> Work:
    """Keep what servers say of their tools: runs compare with it."""
    if bool(names) == all_:
        raise typer.BadParameter("--all, or the names of servers: one of them says which to pin")

    def work() -> int:
        from . import trying

        return trying.pin(scenario, config, names or None, check=check)

    return work


@tools.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="JSON with mcpServers, as other programs have it."),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", help="Settings that they go to; else config/servers.yaml."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Go over servers of the same name.")
    ] = False,
) -> Work:
    """Add the servers of another program's configuration to ours."""

    def work() -> int:
        from . import trying

        return trying.import_servers(file, to, replace=replace)

    return work


def _given(context: typer.Context) -> str | None:
    """The first option that was given to the group."""
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is not None and source.name == "COMMANDLINE":
            return option.opts[0]
    return None
