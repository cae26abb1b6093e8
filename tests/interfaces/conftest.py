"""The command line as a process, and a small world without tool servers to try it on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TOWN = """\
name: town
description: Readers buy a map, a hoarder runs out of compute, a clumsy agent makes mistakes.
until_us: 20_000_000
agents:
  - {id: reader, count: 2, mind: reader, scrip: 60, quotas: &quotas
      {compute: 120, writes: 20, stored_bytes: 9_000}, params: {topics: [map, review]}}
  - {id: hoarder, mind: hoarder, scrip: 9, quotas: *quotas}
  - {id: clumsy, mind: clumsy, scrip: 30, quotas: *quotas}
principals:
  - {id: mapmaker, quotas: *quotas}
artifacts:
  - id: town_map
    owner: mapmaker
    description: map of the town
    content: "The \\e[31mwell\\e[0m is by the gate.\\n"
    contract: {id: pay_per_use, price_scrip: 3}
config:
  genesis: {mcp: {servers: {fetch: {enabled: false}, filesystem: {enabled: false}}}}
"""
PROCESS_TIMEOUT_S = 60

Ended = subprocess.CompletedProcess[str]
Command = Callable[..., Ended]


def command_of(*args: object) -> list[str]:
    return [sys.executable, "-m", "scripworld.interfaces.cli", *map(str, args)]


def environment(**variables: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "SCRIPWORLD_DEBUG")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, **variables}


def scripworld_in(folder: Path, *args: object, **variables: str) -> Ended:
    return subprocess.run(
        command_of(*args),
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PROCESS_TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with one run, made once: `runs/town-1`, and what `--json` said of it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "town.yaml").write_text(TOWN)
    ended = scripworld_in(folder, "run", "--scenario", "town.yaml", "--seed", 4, "--json")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return folder, json.loads(ended.stdout)


@pytest.fixture
def town(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A folder of one's own with that scenario and that run."""
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def scripworld(town: Path) -> Command:
    """Run a command in that folder."""

    def run(*args: object, **variables: str) -> Ended:
        ended = scripworld_in(town, *args, **variables)
        assert "Traceback" not in ended.stdout + ended.stderr
        return ended

    return run
