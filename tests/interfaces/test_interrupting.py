"""Ctrl-C and the live view: a run ends cleanly, and nothing that it started is left."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripworld.simulation.overview import is_written, overview

from .conftest import PROCESS_TIMEOUT_S, command_of, environment

LONG = ("run", "--scenario", "town.yaml", "--run-id", "long", "--until", "1000000h")


def begun(town: Path, process: subprocess.Popen) -> None:
    """Wait until the run has committed some records."""
    world = town / "runs" / "long" / "world.db"
    deadline = time.monotonic() + PROCESS_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(Exception):
            if world.is_file() and overview(world.parent).records > 30:
                return
        time.sleep(0.02)
    raise AssertionError(f"it did not begin, exit code {process.poll()}")


def group_is_gone(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_ctrl_c_ends_a_run_cleanly(town, scripworld, clock):
    with subprocess.Popen(
        command_of(*LONG, "--clock", clock),
        cwd=town,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        begun(town, run)
        run.send_signal(signal.SIGINT)
        out, said = run.communicate(timeout=PROCESS_TIMEOUT_S)

    assert run.returncode == 130
    assert "ended because it was stopped" in out
    assert "What happened is committed; go on with: scripworld resume long" in out
    assert "Traceback" not in out + said
    assert group_is_gone(run.pid)
    assert overview(town / "runs" / "long").ended == "stopped"
    assert scripworld("verify", "long").returncode == 0


def test_a_run_that_was_killed_is_told_as_not_ended(town, scripworld):
    with subprocess.Popen(
        command_of(*LONG, "--quiet"), cwd=town, env=environment(), stdout=subprocess.DEVNULL
    ) as run:
        begun(town, run)
        written = is_written(town / "runs" / "long")
        run.kill()

    followed = scripworld("log", "long", "--follow", "--limit", 1)
    shown = scripworld("show", "long").stdout

    assert (written, is_written(town / "runs" / "long")) == (True, False)
    assert followed.returncode == 0
    assert followed.stdout != ""
    assert followed.stderr == (
        "It was killed: nobody writes it any more. Go on with: scripworld resume long\n"
    )
    assert "and is not ended: it goes on, or was killed" in shown
    assert "real time" not in shown
    assert "a second" not in shown


def test_a_run_that_was_stopped_goes_on(town, scripworld):
    with subprocess.Popen(
        command_of(*LONG, "--json"), cwd=town, env=environment(), stdout=subprocess.PIPE, text=True
    ) as run:
        begun(town, run)
        run.send_signal(signal.SIGTERM)
        told = json.loads(run.communicate(timeout=PROCESS_TIMEOUT_S)[0])

    resumed = json.loads(scripworld("resume", "long", "--until", "50steps", "--json").stdout)

    assert run.returncode == 130
    assert told["ended"] == "stopped"
    assert resumed["records"] >= told["records"] + 50
    assert scripworld("verify", "long").returncode == 0


def test_ctrl_c_elsewhere_is_quiet(town):
    with subprocess.Popen(
        command_of(*LONG, "--quiet"), cwd=town, env=environment(), stdout=subprocess.DEVNULL
    ) as run:
        begun(town, run)
        with subprocess.Popen(
            command_of("log", "long", "--follow", "--limit", "1"),
            cwd=town,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as log:
            log.stdout.readline()
            log.send_signal(signal.SIGINT)
            said = log.communicate(timeout=PROCESS_TIMEOUT_S)[1]
        run.send_signal(signal.SIGINT)
        run.wait(PROCESS_TIMEOUT_S)

    assert (log.returncode, said) == (130, "")


INTERRUPTED_WHILE_IMPORTING = """
import sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
sys.argv = ["scripworld", "run"]
from scripworld.interfaces.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "module", ["typer", "scripworld.interfaces.commands", "scripworld.simulation.runner", "rich"]
)
def test_ctrl_c_while_the_program_is_loaded_is_quiet(tmp_path, module):
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IMPORTING.format(module=module)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_the_live_view_is_drawn_on_a_terminal_and_taken_away(town):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command_of("run", "--scenario", "town.yaml", "--clock", "wall", "--until", "1500ms"),
        cwd=town,
        env=environment(TERM="xterm", COLUMNS="100", LINES="30"),
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as run:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the other end is closed when it ends
            while part := os.read(ours, 65_536):
                seen += part
        out = run.communicate(timeout=PROCESS_TIMEOUT_S)[0]
    os.close(ours)

    view = seen.decode(errors="replace")
    assert run.returncode == 0
    assert "world time" in view
    assert "reader_1" in view
    assert "supply 159" in view
    assert "everything is committed" in view
    assert "Who earned what from whom" in out
    assert "\x1b" not in out
    assert "Traceback" not in view


def test_without_a_terminal_nothing_is_drawn(scripworld):
    ended = scripworld("run", "--scenario", "town.yaml")

    assert ended.stderr == ""
    assert "\x1b" not in ended.stdout
