"""A run that cannot begin: its folder is gone again, and the fault is one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys
import scripworld
from scripworld.world import ConfigurationFault

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    scripworld.run("library", seed=1, settings={"store": {"runs_dir": sys.argv[1]}})
except ConfigurationFault as fault:
    print("configuration", fault)
except scripworld.Fault as fault:
    print("fault", fault)
"""


@pytest.mark.parametrize(
    ("bytes_max", "file"), [(0, "run.json"), (200, "run.json"), (40_000, "world.db")]
)
def test_a_disk_that_is_full_at_the_beginning_leaves_no_run_behind(
    tmp_path: Path, bytes_max: int, file: str
):
    runs = tmp_path / "runs"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(runs), str(bytes_max)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.startswith("fault ")
    assert str(runs / "library-1" / file) in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert list(runs.iterdir()) == []
