"""What a damaged or unfinished run folder is answered with: one sentence."""

import shutil
from pathlib import Path

import pytest

import scripworld
from scripworld import Fault, Run, Scenario
from scripworld.adapters.event_store import SqliteEventLog
from scripworld.simulation.runs import SETTINGS_FILE, STORE_FILE

from .lab import SECOND_US, Tools, small_library

SERVERS = ("genesis_filesystem", "genesis_fetch")


def performers() -> dict[str, Tools]:
    return {id: Tools(1) for id in SERVERS}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Run:
    scenario: Scenario = small_library()[0]
    settings = {"store": {"runs_dir": str(tmp_path_factory.mktemp("runs"))}}
    return scripworld.run(scenario, settings=settings, until_us=SECOND_US, performers=performers())


@pytest.fixture
def folder(ready: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ready.folder, tmp_path / "copy"))


def fault_of(folder: Path) -> str:
    """The sentence that a resume is refused with."""
    with pytest.raises(Fault) as caught:
        scripworld.resume(folder, performers=performers(), until_us=2 * SECOND_US)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    return text


def test_a_run_that_ended_goes_on_as_often_as_one_likes(folder: Path):
    records = scripworld.open_run(folder).verify().records
    for until_s in (2, 3):
        run = scripworld.resume(folder, performers=performers(), until_us=until_s * SECOND_US)
        assert run.ended == "until"
        assert run.verify().records > records
        records = run.verify().records


def test_a_run_that_is_at_its_end_already_adds_nothing(folder: Path):
    records = scripworld.open_run(folder).verify().records
    run = scripworld.resume(folder, performers=performers(), until_us=SECOND_US)

    assert run.ended == "until"
    assert run.verify().records == records


def test_settings_that_are_gone_or_damaged_are_named(folder: Path):
    path = folder / SETTINGS_FILE
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"[]", b"{}", b'{"scenario": {}, "config": {}}'):
        path.write_bytes(damaged)
        assert fault_of(folder).startswith(f"{path} cannot be read: ")
    path.unlink()
    assert fault_of(folder).startswith(f"{path} cannot be read: ")


def test_a_log_that_is_no_log_is_named(folder: Path):
    (folder / STORE_FILE).write_bytes(b"nonsense" * 1_000)

    assert STORE_FILE in fault_of(folder)


def test_a_run_that_was_killed_before_its_first_record_says_so(folder: Path):
    for path in folder.glob(f"{STORE_FILE}*"):
        path.unlink()
    SqliteEventLog.create(folder / STORE_FILE).close()

    assert "holds no record: it ended before it began" in fault_of(folder)
    with pytest.raises(Fault, match="the log is empty"):
        scripworld.open_run(folder).verify()


def test_a_run_that_does_not_exist_is_refused(tmp_path: Path):
    with pytest.raises(Fault, match="there is no run 'nothing'"):
        scripworld.resume("nothing", runs_dir=tmp_path)
