"""Owns the commands on genesis_quantum, as ``commands`` owns the others: what a line says is to be done."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Work

quantum = typer.Typer(
    help="Measure what quantum circuits cost on this machine.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@quantum.callback()
def _root() -> None:
    """Without it a group of one command would be that command."""


@quantum.command()
def calibrate(
    check: Annotated[
        bool, typer.Option("--check", help="Measure and tell; write nothing.")
    ] = False,
) -> Work:
    """Measure the coefficients of estimates on this machine, and keep them."""

    def work() -> int:
        from . import quantum

        return quantum.calibrate(check=check)

    return work
