"""The folders of runs: their names, and how one is found."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripworld.simulation.runs import STORE_FILE, find_run, list_runs, make_run
from scripworld.world import ConfigurationFault


def made(runs: Path, name: str, age_s: int = 0) -> Path:
    folder = make_run(runs, name, "library")
    (folder / STORE_FILE).touch()
    os.utime(folder / STORE_FILE, (1_000_000 - age_s,) * 2)
    return folder


def test_a_run_without_an_id_has_the_name_of_its_scenario_and_the_next_number(tmp_path):
    runs = tmp_path / "new" / "runs"

    assert make_run(runs, None, "library") == runs / "library-1"
    assert make_run(runs, None, "library") == runs / "library-2"
    make_run(runs, "library-41", "library")
    make_run(runs, "library-old", "library")
    assert make_run(runs, None, "library") == runs / "library-42"
    assert make_run(runs, None, "market") == runs / "market-1"


def test_runs_that_begin_at_once_get_different_folders(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: make_run(tmp_path, None, "library"), range(200)))

    assert len(set(folders)) == 200


@pytest.mark.parametrize("id", ["", ".", "..", "a/b", "../a", "-a", "a b", "ä", "a" * 101, "a\n"])
def test_what_is_no_name_for_a_folder_is_refused(tmp_path, id: str):
    for arguments in ((id, "library"), (None, id)):
        with pytest.raises(ConfigurationFault, match="is no run id"):
            make_run(tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_exists_is_not_made_again(tmp_path):
    make_run(tmp_path, "mine", "library")

    with pytest.raises(ConfigurationFault, match="or resume it"):
        make_run(tmp_path, "mine", "library")


def test_a_place_where_no_run_can_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationFault, match=r"cannot make a run in .*file: "):
        make_run(tmp_path / "file", None, "library")


def test_a_run_is_found_by_its_id_its_folder_or_its_file(tmp_path):
    folder = made(tmp_path, "mine")

    for run in ("mine", folder, str(folder), folder / STORE_FILE, str(folder / STORE_FILE)):
        assert find_run(tmp_path, run) == folder
    assert find_run(tmp_path / "elsewhere", folder) == folder


def test_a_run_that_is_not_there_is_refused_with_the_newest_that_are(tmp_path):
    with pytest.raises(ConfigurationFault, match="there are none yet"):
        find_run(tmp_path, "mine")
    for age, name in enumerate("abcdefg"):
        made(tmp_path, name, age)

    with pytest.raises(
        ConfigurationFault, match=r"no run 'mine' in .*: the newest are a, b, c, d, e$"
    ):
        find_run(tmp_path, "mine")


def test_the_newest_run_stands_first_and_what_is_no_run_is_left_out(tmp_path):
    old, new = made(tmp_path, "old", age_s=9), made(tmp_path, "new")
    (tmp_path / "no_run").mkdir()

    assert list_runs(tmp_path) == [new, old]
    assert list_runs(tmp_path / "nowhere") == []
