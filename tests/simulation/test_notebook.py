"""Driven inside a running event loop, as in a notebook: its stop button ends the run cleanly."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import scripworld

PROGRAM = """
import asyncio, signal, sys
import scripworld
from scripworld.simulation.session import Session

told = []

def tell(session: Session) -> None:
    if not told and session.world.state.seq > 20:
        told.append(print("going", flush=True))

async def cell() -> None:
    before = signal.getsignal(signal.SIGINT)
    settings = {"store": {"runs_dir": sys.argv[1]}}
    settings["genesis"] = {"mcp": {"servers": {n: {"enabled": False} for n in ("filesystem", "fetch")}}}
    run = scripworld.run(
        "library", until_us=10**12, clock="wall", settings=settings, run_id="cell", on_progress=tell
    )
    assert signal.getsignal(signal.SIGINT) == before
    print(run.ended, run.verify().decided, flush=True)

if sys.argv[2] == "asyncio":
    asyncio.run(cell())
else:  # as a kernel does it: nothing of its own for the signal
    asyncio.new_event_loop().run_until_complete(cell())
"""


@pytest.mark.parametrize("loop", ["asyncio", "kernel"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_stop_button_ends_the_run_cleanly_and_the_notebook_goes_on(
    tmp_path: Path, loop: str, number: signal.Signals
):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), loop],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as cell:
        try:
            assert cell.stdout is not None
            assert cell.stdout.readline() == "going\n"
            cell.send_signal(number)
            out, err = cell.communicate(timeout=60)
        finally:
            cell.kill()

    assert (out, err) == ("stopped True\n", "")
    assert cell.returncode == 0
    assert scripworld.open_run("cell", tmp_path).verify().records > 20
