"""genesis_quantum from the command line: trying a method, what is told of it, and calibrating."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main
import yaml

from scripworld.genesis.quantum_limits import Coefficients
from scripworld.interfaces.cli import app

from .conftest import Ended, environment, scripworld_in

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "architecture"
CALIBRATION_S = 300
BELL = {
    "qubits": 2,
    "clbits": 2,
    "components": [
        {"gate": "h", "qubits": [0]},
        {"gate": "cx", "qubits": [0, 1]},
        {"gate": "measure", "qubits": [0], "clbits": [0]},
        {"gate": "measure", "qubits": [1], "clbits": [1]},
    ],
}
WITHOUT_QISKIT = """
import sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("qiskit", "qiskit_aer"):
            raise ImportError(f"no module {name}")

sys.meta_path.insert(0, Gone())
from scripworld.interfaces.cli import main

sys.exit(main())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bell.json").write_text(json.dumps(BELL))
    return tmp_path


@pytest.fixture
def ask(folder: Path) -> Callable[..., Ended]:
    """Call a method in a folder that holds `bell.json`."""

    def call(method: str, *words: object) -> Ended:
        ended = scripworld_in(folder, "tools", "call", "genesis_quantum", method, *words)
        assert "Traceback" not in ended.stdout + ended.stderr
        return ended

    return call


def without_qiskit(folder: Path, *words: str) -> Ended:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_QISKIT, *words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# The page for newcomers, and what its commands print.


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The commands of the first steps, typed one after the other: their folder, and what each printed."""
    folder = tmp_path_factory.mktemp("steps")
    page = (DOCS / "quantum_first_steps.md").read_text()
    (folder / "bell.json").write_text(page.split("```json\n")[1].split("```")[0])
    blocks = [block.split("```")[0] for block in page.split("```text\n")[1:]]
    told = {}
    for line in "".join(blocks).splitlines():
        words = shlex.split(line)
        if words[1] != "run":
            ended = scripworld_in(folder, *words[1:])
            assert ended.returncode == 0, (line, ended.stderr)
            told[line.removeprefix("scripworld tools call quantum ")] = ended.stdout
    return folder, told


def printed(steps: tuple[Path, dict[str, str]], beginning: str) -> str:
    [told] = [text for line, text in steps[1].items() if line.startswith(beginning)]
    return told


def test_counts_are_a_table_and_the_last_line_tells_the_price_against_the_estimate(steps):
    lines = printed(steps, 'run \'{"circuit": "@bell.json", "shots": 1000, "seed": 7}\' --output r')
    head, *rows = lines.splitlines()
    price = rows[-2]

    assert head.split() == ["outcome", "times", "share"]
    assert [row.split()[:3] for row in rows[:2]] == [
        ["11", "511", "51.1%"],
        ["00", "489", "48.9%"],
    ]
    assert " CPU · " in price
    assert re.search(r" · \d+ compute of 1 estimated, \d+ held$", price)


def test_what_needs_no_worker_is_answered_without_one(steps):
    checked, priced = printed(steps, "check"), printed(steps, "estimate")

    assert checked.splitlines()[-1] == priced.splitlines()[-1] == "answered without a worker"
    assert "entanglement_bits_max" in checked
    assert "circuits.0.terms.base" in priced
    assert "quota" not in checked + priced


def test_a_result_that_is_run_again_is_the_same(steps):
    assert "identical        true" in printed(steps, "compare")


def test_a_circuit_is_drawn_as_text_and_a_picture_goes_to_a_file(steps):
    folder = steps[0]

    assert "┤ H ├──■──" in printed(steps, 'draw \'{"circuit": "@bell.json"}\'')
    assert "picture  png, " in printed(steps, 'draw \'{"counts"')
    assert (folder / "counts.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "bell.svg").read_text()


def test_what_is_converted_can_be_read_back_from_its_file(steps):
    folder = steps[0]
    back = json.loads((folder / "back.json").read_text())

    assert "cx q[0],q[1];" in printed(steps, 'convert \'{"circuit"')
    assert (folder / "bell.qasm").read_text().startswith("OPENQASM 3.0;")
    assert back == json.loads((folder / "bell.json").read_text())


# Trying a method.


def test_json_is_one_object_and_all_arguments_can_stand_in_a_file(ask, folder: Path):
    (folder / "all.json").write_text(json.dumps({"circuit": BELL, "shots": 10, "seed": 1}))

    ended = ask("run", "@all.json", "--json", "--output", "result.json")

    told = json.loads(ended.stdout)
    assert told["code"] is None
    assert told["value"]["shots"] == sum(told["value"]["results"][0]["counts"].values()) == 10
    assert told["usage"]["compute"] <= told["held"]
    assert json.loads((folder / "result.json").read_text()) == told["value"]


@pytest.mark.parametrize(
    ("method", "args", "code", "told"),
    [
        ("run", '{"circuit": "@bell.json", "shots": 5000000}', 1, "QUOTA_EXCEEDED: it asks for"),
        (
            "build",
            '{"circuit": {"qubits": 1, "components": [{"gate": "hh"}]}}',
            1,
            "ARGUMENTS_INVALID",
        ),
        ("rum", "{}", 1, "did you mean run?"),
        ("run", '{"circuit": "@no.json"}', 2, "no.json can't be read: No such file"),
        ("run", "@no.json", 2, "no.json can't be read: No such file"),
        ("run", '{"circuit": ', 2, "the arguments are not JSON: line 1"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_starts_nothing(ask, method, args, code, told):
    ended = ask(method, args)

    assert ended.returncode == code
    assert ended.stdout == ""
    assert told in ended.stderr


def test_one_that_is_off_says_what_turns_it_on(ask, folder: Path):
    (folder / "off.yaml").write_text("genesis: {quantum: {enabled: false}}\n")

    ended = ask("hash", '{"circuit": "@bell.json"}', "--config", "off.yaml")

    assert ended.returncode == 2
    assert "genesis.quantum.enabled turns it on" in ended.stderr


# What is told of it.


def test_it_is_listed_and_shown_like_a_server(folder: Path):
    listed = json.loads(scripworld_in(folder, "tools", "--json").stdout)["servers"]
    shown = scripworld_in(folder, "tools", "show", "quantum")

    [mine] = [server for server in listed if server["name"] == "quantum"]
    assert (mine["artifact"], mine["state"], mine["pin"]) == ("genesis_quantum", "ready", "–")
    assert mine["tools"] == 13
    assert "cpu_s_max" in shown.stdout
    assert "\n  run(circuit?: object" in shown.stdout


def test_without_qiskit_it_says_what_to_install_and_answers_what_needs_none(folder: Path):
    asked = '{"circuit": "@bell.json"}'
    listed = without_qiskit(folder, "tools")
    ran = without_qiskit(folder, "tools", "call", "quantum", "run", asked)
    hashed = without_qiskit(folder, "tools", "call", "quantum", "hash", asked)
    converted = without_qiskit(
        folder, "tools", "call", "quantum", "convert", '{"circuit": "@bell.json", "to": "qasm2"}'
    )

    assert "quantum: qiskit is not installed: pip install 'scripworld[quantum]'" in listed.stdout
    assert ran.returncode == 1
    assert (
        ran.stderr == "error: quantum: qiskit is not installed: pip install 'scripworld[quantum]'\n"
    )
    assert hashed.returncode == converted.returncode == 0
    assert "OPENQASM 2.0;" in converted.stdout


# Calibrating.


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of its own, so that nothing is written into ours."""
    shutil.copytree(ROOT / "src", tmp_path / "scripworld")
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config" / "calibration.yaml").unlink(missing_ok=True)
    (tmp_path / "docs").mkdir()  # a root of the scenario
    return tmp_path


def test_a_machine_is_calibrated_and_the_next_estimate_knows_it(checkout: Path):
    (checkout / "bell.json").write_text(json.dumps(BELL))
    variables = {"PYTHONPATH": str(checkout)}

    ended = subprocess.run(
        [sys.executable, "-m", "scripworld.interfaces.cli", "quantum", "calibrate"],
        cwd=checkout,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=CALIBRATION_S,
        check=False,
    )
    asked = "tools", "call", "quantum", "estimate", '{"circuit": "@bell.json"}', "--json"
    priced = json.loads(scripworld_in(checkout, *asked, **variables).stdout)["value"]

    assert ended.returncode == 0, ended.stderr
    assert "measured ÷ estimated" in ended.stdout
    written = yaml.safe_load((checkout / "config" / "calibration.yaml").read_text())
    found = written["genesis"]["quantum"]["coefficients"]
    assert found.keys() == set(Coefficients.__struct_fields__)
    [circuit] = priced["circuits"]
    assert circuit["terms"]["base"] == found["st_base"]


def test_a_calibration_file_that_cannot_be_used_is_told_with_its_line(checkout: Path):
    written = "genesis:\n  quantum:\n    coefficients:\n      sv_bas: 1.0\n"
    (checkout / "config" / "calibration.yaml").write_text(written)

    ended = scripworld_in(checkout, "tools", PYTHONPATH=str(checkout))

    assert ended.returncode == 2
    assert "sv_bas" in ended.stderr
    assert "calibration.yaml" in ended.stderr


# The documentation.


def test_every_option_of_the_commands_on_quantum_is_documented():
    sections = (DOCS / "command_line.md").read_text().split("\n## `scripworld ")
    by_name = {text.partition("`")[0]: text for text in sections}
    group = typer.main.get_command(app).commands["quantum"]

    for name, command in group.commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        section = by_name[f"quantum {name}"].split("\n## ")[0]
        rows = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `--")]
        assert sorted(rows) == sorted(options - {"--help"}), name
