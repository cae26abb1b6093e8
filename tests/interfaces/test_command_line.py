"""The command line as people use it: what it prints, what it refuses in which words, how it exits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from scripworld.interfaces.cli import app
from scripworld.interfaces.words import clean, one_line, size, span, until_of
from scripworld.world import ConfigurationFault

from .conftest import environment

DOCS = Path(__file__).parents[2] / "docs" / "architecture" / "command_line.md"


# What it prints.


def test_help_names_every_command(scripworld):
    ended = scripworld("--help")

    assert ended.returncode == 0
    for command in typer.main.get_command(app).commands:
        assert f"\n  {command} " in ended.stdout


def test_alone_it_prints_the_help(scripworld):
    assert scripworld().stdout == scripworld("--help").stdout


def test_help_loads_nothing_heavy():
    program = (
        "import sys; sys.argv = ['scripworld', '--help']\n"
        "from scripworld.interfaces.cli import main\n"
        "main()\n"
        "heavy = {'pydantic', 'rich', 'yaml', 'apsw', 'asyncio', 'msgspec', 'jsonschema_rs'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, "")


def test_every_command_and_option_is_documented():
    sections = DOCS.read_text().split("\n## ")
    documented = {
        section.split("`")[1].removeprefix("scripworld "): section
        for section in sections
        if section.startswith("`scripworld")
    }
    undocumented = [
        f"{name} {option}"
        for name, command in typer.main.get_command(app).commands.items()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--") and option != "--help"
        if f"`{option}`" not in documented.get(name, "")
    ]

    assert undocumented == []
    assert set(typer.main.get_command(app).commands) <= set(documented)


def test_no_option_is_documented_that_does_not_exist():
    for name, command in typer.main.get_command(app).commands.items():
        section = DOCS.read_text().split(f"\n## `scripworld {name}`")[1].split("\n## ")[0]
        options = {option for parameter in command.params for option in parameter.opts}
        rows = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `--")]

        assert set(rows) <= options


def test_a_summary_says_who_earned_what_was_traded_and_what_was_refused(scripworld):
    ended = scripworld("run", "--scenario", "town.yaml", "--seed", 4, "--run-id", "mine")

    assert ended.returncode == 0
    assert "Who earned what from whom" in ended.stdout
    assert "mapmaker" in ended.stdout
    assert "town_map" in ended.stdout
    assert "METHOD_UNKNOWN" in ended.stdout
    assert "did you mean transfer?" in ended.stdout
    assert "none lost and none made up" in ended.stdout
    for command in ("verify", "log", "show", "ledger", "resume"):
        assert f"scripworld {command} mine" in ended.stdout


def test_the_commands_that_a_summary_names_work(scripworld):
    lines = scripworld("show", "town-1").stdout.split("What next")[1].splitlines()
    commands = [line.split("  ")[1].split()[1:] for line in lines if "scripworld" in line]

    assert [scripworld(*command).returncode for command in commands] == [0] * len(commands)
    assert len(commands) == 5


def test_a_world_in_which_nobody_did_anything_is_no_reason_to_look_at_genesis(scripworld):
    ended = scripworld("run", "--scenario", "town.yaml", "--until", "1steps")

    assert "--of reader_1" in ended.stdout
    assert "--of genesis" not in ended.stdout


PROGRAM = f"""\
#!{sys.executable}
import sys
from scripworld.interfaces.cli import main
sys.exit(main())
"""


def test_commands_are_printed_as_they_can_be_typed(town):
    ours, theirs = town / "bin" / "scripworld", town / "other" / "scripworld"
    for program in (ours, theirs):
        program.parent.mkdir()
        program.write_text(PROGRAM)
        program.chmod(0o755)

    def told(*path: Path) -> str:
        paths = os.pathsep.join(map(str, path))
        command = [sys.executable, ours, "runs", "--runs-dir", "none"]
        env = environment(PATH=paths)
        return subprocess.check_output(command, cwd=town, env=env, text=True)

    assert "none: bin/scripworld run makes one" in told()
    assert "none: bin/scripworld run makes one" in told(theirs.parent, ours.parent)
    assert "none: scripworld run makes one" in told(ours.parent, theirs.parent)


def test_json_is_one_object_with_the_whole_summary(made):
    folder, told = made

    assert told["run"] == "town-1"
    assert told["folder"] == "runs/town-1"
    assert told["ended"] == "until"
    assert told["world_us"] == 20_000_000
    assert told["conserved"] is True
    assert sum(one["scrip_end"] for one in told["principals"]) == told["supply"] == 159
    assert (folder / told["folder"] / "world.db").is_file()


def test_quiet_prints_the_id_and_nothing_else(scripworld):
    ended = scripworld("run", "--scenario", "town.yaml", "--quiet")

    assert (ended.stdout, ended.stderr, ended.returncode) == ("town-2\n", "", 0)


def test_the_same_seed_gives_the_same_head(scripworld, made):
    ended = scripworld("run", "--scenario", "town.yaml", "--seed", 4, "--json")

    assert json.loads(ended.stdout)["head"] == made[1]["head"]


def test_a_run_ends_after_a_number_of_records_or_at_a_world_time(scripworld):
    steps = scripworld("run", "--scenario", "town.yaml", "--until", "30steps", "--json")
    time = scripworld("run", "--scenario", "town.yaml", "--until", "1500ms", "--json")

    assert json.loads(steps.stdout)["ended"] == "steps"
    assert 30 <= json.loads(steps.stdout)["records"] < 60
    assert json.loads(time.stdout)["world_us"] <= 1_500_000


def test_a_resumed_run_equals_one_that_went_on(scripworld):
    scripworld("run", "--scenario", "town.yaml", "--seed", 4, "--run-id", "a", "--until", "4s")

    resumed = scripworld("resume", "a", "--until", "9s", "--json")
    whole = scripworld("run", "--scenario", "town.yaml", "--seed", 4, "--until", "9s", "--json")

    assert json.loads(resumed.stdout)["head"] == json.loads(whole.stdout)["head"]


def test_a_resumed_run_whose_time_is_over_says_what_to_do(scripworld):
    ended = scripworld("resume", "town-1")

    assert ended.returncode == 0
    assert "--until" in ended.stderr


def test_effects_from_a_run_that_is_not_there_are_refused(scripworld):
    ended = scripworld("run", "--scenario", "town.yaml", "--effects-from", "nope")

    assert ended.returncode == 2
    assert "no run 'nope'" in ended.stderr


def test_runs_lists_them_also_when_one_is_damaged(scripworld, town):
    (town / "runs" / "broken").mkdir()
    (town / "runs" / "broken" / "world.db").write_bytes(b"not a world" * 100)

    ended = scripworld("runs")

    assert ended.returncode == 0
    assert "town-1" in ended.stdout
    assert "until" in ended.stdout
    assert "is no world" in " ".join(ended.stdout.split())


def test_runs_without_any_says_how_to_make_one(scripworld):
    assert "scripworld run" in scripworld("runs", "--runs-dir", "elsewhere").stdout


def test_scenarios_lists_the_library(scripworld):
    ended = scripworld("scenarios")

    assert "\nlibrary  17 agents" in ended.stdout


# What it refuses.


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["run", "--scenario", "libary"], "the nearest known one is 'library'"),
        (["run", "--scenario", "gone.yaml"], "no scenario 'gone.yaml'"),
        (["run", "--scenario", "town.yaml", "--run-id", "town-1"], "the run town-1 exists"),
        (["run", "--scenario", "town.yaml", "--run-id", "../x"], "is no run id"),
        (
            ["run", "--scenario", "town.yaml", "--agents", "0"],
            "--agents takes a whole number from 1 on",
        ),
        (
            ["run", "--scenario", "town.yaml", "--seed", "-1"],
            "--seed takes a whole number from 0 on, not '-1'",
        ),
        (["run", "--scenario", "town.yaml", "--agents", "99999999"], "error: the number of agents"),
        (["run", "--seed", "x"], "error: --seed takes a whole number from 0 on, not 'x'"),
        (["run", "--seed", "9" * 5_000], "error: --seed takes a whole number"),
        (["log", "town-1", "--limit", "-3"], "error: --limit takes a whole number from 0 on"),
        (["run", "--until", "soon"], "--until takes world time such as 90s"),
        (["run", "--clock", "moon"], "error: --clock takes virtual or wall, not 'moon'"),
        (["run", "--agent", "3"], "error: no such option: --agent"),
        (["run", "--config", "gone.yaml"], "error: there is no file gone.yaml\n"),
        (["resume", "nope"], "no run 'nope' in runs: the newest are town-1"),
        (["verify", "nope"], "no run 'nope'"),
        (["log", "nope"], "no run 'nope'"),
        (["log", "town-1", "--kind", "reed"], "no kind of record 'reed'"),
        (["log", "town-1", "--code", "not_fund"], "did you mean NOT_FOUND?"),
        (["log", "town-1", "--code", "xyz"], "there is NO_STANDING, STOPPED, PAUSED"),
        (
            ["log", "town-1", "--of", "town_mapp"],
            "nothing called 'town_mapp' in town-1: did you mean",
        ),
        (["log", "town-1", "--of", "nope", "--follow"], "nothing called 'nope' in town-1"),
        (["show", "town-1", "town_mapp"], "did you mean town_map?"),
        (["show", "town-1", "999999"], "no record 999999"),
        (["ledger", "town-1", "--of", "mapmakr"], "did you mean mapmaker?"),
        (["ledger", "town-1", "--of", "town_map"], "no principal 'town_map'"),
        (["fly"], "no such command 'fly'"),
        (["verify"], "missing argument 'RUN'"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(scripworld, args, told):
    ended = scripworld(*args)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert told in ended.stderr


def test_a_typo_in_the_configuration_is_told_with_file_line_and_key(scripworld, town):
    (town / "my.yaml").write_text("runner:\n  # how long\n  untl_us: 5\n")

    ended = scripworld("run", "--scenario", "town.yaml", "--config", "my.yaml")

    assert ended.returncode == 2
    assert "my.yaml, line 3: runner.untl_us" in ended.stderr
    assert "'until_us'" in ended.stderr
    assert not (town / "runs" / "town-2").exists()


def test_a_folder_that_cannot_be_written_is_told(scripworld, town):
    (town / "taken").write_text("a file")

    ended = scripworld("run", "--scenario", "town.yaml", "--runs-dir", "taken")

    assert ended.returncode == 2
    assert "cannot make a run in taken" in ended.stderr


BROKEN = """
import sys
from scripworld.interfaces.cli import app, main

@app.command()
def broken():
    def work():
        raise RuntimeError("seven\\nis not eight")
    return work

sys.argv = ["scripworld", "broken"]
sys.exit(main())
"""


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_bug_is_one_sentence_and_a_traceback_only_for_who_asks(tmp_path, debug):
    ended = subprocess.run(
        [sys.executable, "-c", BROKEN],
        cwd=tmp_path,
        env={"SCRIPWORLD_DEBUG": debug},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 70
    assert "this is a bug in Scripworld (RuntimeError: seven is not eight)" in ended.stderr
    assert ("Traceback" in ended.stderr) == bool(debug)


# Its words.


@pytest.mark.parametrize(
    ("text", "until"),
    [
        (None, (None, None)),
        ("90s", (90_000_000, None)),
        ("2m", (120_000_000, None)),
        ("1h", (3_600_000_000, None)),
        ("1.5s", (1_500_000, None)),
        ("500 ms", (500_000, None)),
        ("250us", (250, None)),
        ("1_000s", (1_000_000_000, None)),
        ("5000steps", (2**62, 5_000)),
        ("1step", (2**62, 1)),
    ],
)
def test_until_is_a_world_time_or_a_number_of_records(text, until):
    assert until_of(text) == until


@pytest.mark.parametrize("text", ["", "90", "s", "-1s", "0s", "1.5steps", "9" * 30 + "s", "٣s"])
def test_an_until_that_is_neither_is_refused(text):
    with pytest.raises(ConfigurationFault, match="--until takes"):
        until_of(text)


def test_times_and_sizes_are_short():
    times = [0, 900, 12_345, 500_000, 12_345_678, 119_000_000, 125_400_000, 11_220_000_000]

    assert [span(us) for us in times] == [
        *("0 us", "900 us", "12.3 ms", "500 ms", "12.3 s", "119 s", "2 m 05 s", "3 h 07 m")
    ]
    assert [size(n) for n in (0, 999, 12_345, 4_000_000)] == ["0 B", "999 B", "12.3 kB", "4 MB"]


def test_a_strangers_text_cannot_steer_a_terminal():
    assert clean("a\x1b[31mb\x07\x9b1m\u202e\tc\n") == "a\\x1b[31mb\\x07\\x9b1m\\u202e\tc\n"
    assert one_line("a\n\n b\rc" + "x" * 50, 10) == "a b cxxxx…"
