"""Every command, file and output that the README and the pages show is run, read or compared.

A block that has neither a language nor a command is a picture. Any other must stand in SHOWN, with the
test that goes through it as it stands on the page, or that runs what it shows.
"""

import json
import re
import shlex
import sqlite3
import subprocess
import sysconfig
import textwrap
from inspect import signature
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import yaml

import scripworld
from scripworld import Scenario
from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.adapters.egress import EgressPolicy, EgressRefused
from scripworld.adapters.embedders import Embedding
from scripworld.adapters.event_store import SqliteEventLog
from scripworld.adapters.scorers import RuleScorer
from scripworld.agents.mind import Scripted
from scripworld.simulation.config import load_config
from scripworld.simulation.scenario import configure, load_scenario, world_config
from scripworld.simulation.settings import ConfigurationFault
from scripworld.world import Done, Envelope, Invoke, Read, Sleep, Stop, Write

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(
    r"^ *(?:[$%>#] )?(?:\S*python3? )?(?:\S*/)?(?:scripworld(?:-plans)?|make|scripts/\S+)(?=\s)",
    re.M,
)
FENCE = re.compile(
    r"^ *(?P<fence>`{3,}|~{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^ *(?P=fence) *$", re.M | re.S
)
COMMAND_TIMEOUT_S = 120

HERE = "tests/test_shown.py"
DOCUMENTED = "tests/test_docs.py"
STEPS = "tests/interfaces/test_quantum.py::steps"
NEWCOMER = "tests/scripts/test_plans_page.py::test_a_newcomer_completes_a_plan_by_the_page"
PLANS_FORM = (
    "tests/scripts/test_plans_page.py"
    "::test_the_front_matter_and_the_evidence_on_the_page_are_what_the_tools_read"
)

# Page, and what its block begins with ("": any of the page): the test that runs, reads or compares it.
SHOWN = {
    "docs/architecture/borrowing.md": {
        "do(": "tests/genesis/test_market_pages.py::test_the_example_of_the_page_on_borrowing",
    },
    "docs/architecture/contracts.md": {
        "def check": (
            "tests/adapters/test_contracts.py::test_the_contract_of_the_page_does_what_the_page_says"
        ),
    },
    "docs/architecture/memory.md": {
        "invoke genesis_memory": f"{HERE}::test_an_agent_remembers_as_shown",
        "async def embed": f"{HERE}::test_performers_are_passed_as_shown",
    },
    "docs/architecture/minting.md": {
        "do(": "tests/genesis/test_market_pages.py::test_the_example_of_the_page_on_minting",
        "scripworld.run": f"{HERE}::test_performers_are_passed_as_shown",
    },
    "docs/architecture/trading.md": {
        "": "tests/genesis/test_trading_page.py::test_an_artifact_is_sold_with_what_it_earns",
    },
    "README.md": {
        "make run": "tests/simulation/test_library.py::test_it_comes_to_its_end_and_is_proved",
        ".venv/bin/scripworld verify library-1": f"{HERE}::test_the_commands_of_the_readme_run",
        "import scripworld": f"{DOCUMENTED}::test_the_code_of_the_readme_runs",
    },
    "docs/architecture/code.md": {
        "def ": f"{HERE}::test_the_code_of_agents_on_the_page_is_code_that_runs",
        "artifacts:": f"{HERE}::test_a_scenario_brings_code_as_shown",
    },
    "docs/architecture/command_line.md": {
        "scripworld run ": f"{HERE}::test_the_commands_of_the_readme_run",
        "scripworld tools call fetch": f"{HERE}::test_a_page_is_fetched_from_the_command_line",
        "scripworld tools call quantum run": STEPS,
    },
    "docs/architecture/configuration.md": {
        "runner:": f"{HERE}::test_the_settings_on_the_pages_are_good",
        "my.yaml, line 2": f"{HERE}::test_faults_of_a_configuration_are_told_as_shown",
        "from scripworld": f"{DOCUMENTED}::test_the_code_of_the_page_on_configuration_runs",
    },
    "docs/architecture/commons.md": {
        "scripworld run --scenario commons": (
            "tests/simulation/test_commons_scenario.py"
            "::test_it_is_proved_by_the_kernel_its_code_and_its_format_alone"
        ),
        "of            rule": (
            "tests/simulation/test_commons_scenario.py::test_a_run_ends_as_its_page_shows"
        ),
    },
    "docs/architecture/conformance.md": {
        "scripts/mcp_conformance": f"{HERE}::test_a_scenario_of_the_conformance_suite_passes",
    },
    "docs/architecture/egress.md": {
        "HTTP/1.1 403": f"{HERE}::test_a_refusal_of_the_proxy_reads_as_shown",
        "genesis:": f"{HERE}::test_the_settings_on_the_pages_are_good",
    },
    "docs/architecture/examples.md": {
        "scripworld run --scenario": (
            "tests/simulation/test_examples.py"
            "::test_an_example_is_proved_by_the_kernel_and_by_its_format_alone"
        ),
        "steps:": f"{HERE}::test_a_script_takes_the_steps_that_are_shown",
    },
    "docs/architecture/genesis.md": {
        "def _transfer": f"{HERE}::test_the_handler_on_the_page_is_that_of_the_ledger",
    },
    "docs/architecture/log_format.md": {
        "CREATE TABLE segment": f"{HERE}::test_the_tables_of_a_log_are_as_shown",
    },
    "docs/architecture/minds.md": {
        "import scripworld": f"{DOCUMENTED}::test_the_mind_of_the_page_on_minds_runs",
        "from scripworld.agents.stepwise": (
            "tests/agents/test_bazaar.py::test_the_shopper_of_the_page_buys_the_cheapest"
        ),
        "from scripworld.world": f"{DOCUMENTED}::test_the_artifact_of_the_page_on_minds_runs",
        "scripworld.open_run": f"{DOCUMENTED}::test_the_artifact_of_the_page_on_minds_runs",
    },
    "docs/architecture/plans.md": {
        "source .venv/bin/activate": NEWCOMER,
        "number: 29": PLANS_FORM,
        "| file | test": NEWCOMER,
        "status: complete": PLANS_FORM,
        "Docs-Confirmed": "tests/scripts/test_doc_coupling.py::test_a_commit_confirms_a_doc_by_name",
    },
    "docs/architecture/quantum.md": {
        "{": f"{HERE}::test_the_circuits_on_the_page_are_some",
    },
    "docs/architecture/quantum_first_steps.md": {
        "{": STEPS,
        "scripworld tools call quantum check": STEPS,
        "scripworld tools call quantum estimate": STEPS,
        "scripworld tools call quantum run": STEPS,
        "scripworld tools call quantum transpile": STEPS,
        "outcome  times  share": (
            "tests/interfaces/test_quantum.py"
            "::test_counts_are_a_table_and_the_last_line_tells_the_price_against_the_estimate"
        ),
        "scripworld tools call quantum draw": STEPS,
        "scripworld run --scenario lab": (
            "tests/simulation/test_lab_scenario.py"
            "::test_it_comes_to_its_end_and_every_balance_is_proved"
        ),
    },
    "docs/architecture/services.md": {
        "": "tests/genesis/test_services_page.py::test_a_service_that_builds_on_another_pays_it_and_is_sold",
    },
    "docs/architecture/tool_servers.md": {
        "genesis:": f"{HERE}::test_the_settings_on_the_pages_are_good",
        "scripworld run --scenario tools": (
            "tests/simulation/test_tools_scenario.py"
            "::test_it_comes_to_its_end_and_every_balance_is_proved"
        ),
    },
}


class Block(NamedTuple):
    page: str
    language: str
    text: str


def blocks(page: Path, root: Path = ROOT) -> list[Block]:
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [
        Block(page.relative_to(root).as_posix(), match["language"], textwrap.dedent(match["text"]))
        for match in found
        if match["language"] or COMMAND.search(match["text"])
    ]


def block(page: str, beginning: str) -> str:
    """The block of a page that begins so."""
    [found] = [each.text for each in blocks(ROOT / page) if each.text.startswith(beginning)]
    return found


def commands(text: str) -> list[list[str]]:
    """What is to be typed; words about it stand after two spaces, or a number sign."""
    typed = [re.split(r"\s{2,}", line.strip())[0] for line in text.splitlines()]
    return [words for line in typed if (words := shlex.split(line, comments=True))]


def typed(folder: Path, *words: str) -> str:
    """What a command prints that is typed in a folder, with the programs of this checkout."""
    name = words[0].rpartition("/")[2]
    program = ROOT / words[0] if words[0].startswith("scripts/") else None
    ended = subprocess.run(
        [str(program or Path(sysconfig.get_path("scripts"), name)), *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, (words, ended.stdout, ended.stderr)
    return ended.stdout


def test_every_block_that_is_shown_is_gone_through_by_a_test():
    shown = [each for page in PAGES for each in blocks(page)]
    ways = {(page, beginning) for page, all in SHOWN.items() for beginning in all}
    used = {
        (page, beginning)
        for page, beginning in ways
        for each in shown
        if each.page == page and each.text.startswith(beginning)
    }

    unknown = [
        (each.page, each.text.splitlines()[0])
        for each in shown
        if not any(each.text.startswith(beginning) for beginning in SHOWN.get(each.page, ()))
    ]

    assert unknown == [], "say in SHOWN which test runs, reads or compares it"
    assert ways - used == set()


@pytest.mark.parametrize(
    "text",
    [
        "$ scripworld frobnicate\n133 % of it\n",
        "scripworld-plans frobnicate --nope\n",
        "words\n  .venv/bin/scripworld-plans sync --check\n",
        "> python scripts/new_plan.py Title\n",
        "./scripts/check\n",
        "make test\n",
    ],
)
def test_a_block_with_a_command_is_no_picture(text: str, tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n```\n{text}```\n\n~~~ console\n{text}~~~\n\n```\na picture\n```\n")

    assert [each.text for each in blocks(page, tmp_path)] == [text, text]


def test_the_tests_that_go_through_blocks_are_there():
    names = {test for all in SHOWN.values() for test in all.values()}

    missing = [
        name
        for name in names
        if f"def {name.partition('::')[2]}(" not in (ROOT / name.partition("::")[0]).read_text()
    ]

    assert missing == []


@pytest.mark.registry
def test_the_commands_of_the_readme_run(tmp_path: Path):
    first, *rest = commands(block("docs/architecture/command_line.md", "scripworld run "))
    told = typed(tmp_path, *first)

    printed = [
        typed(tmp_path, *words)
        for words in (*rest, *commands(block("README.md", ".venv/bin/scripworld verify")))
    ]

    assert "library-1" in told
    assert all(printed)


@pytest.mark.registry
def test_a_page_is_fetched_from_the_command_line(tmp_path: Path):
    [words] = commands(block("docs/architecture/command_line.md", "scripworld tools call fetch"))

    assert "library.test" in typed(tmp_path, *words)


@pytest.mark.registry
def test_a_scenario_of_the_conformance_suite_passes(tmp_path: Path):
    [_, words] = commands(block("docs/architecture/conformance.md", "scripts/mcp_conformance"))

    assert "1 of 1 runs that apply to a stdio client passed." in typed(tmp_path, *words)


def test_the_settings_on_the_pages_are_good(tmp_path: Path):
    texts = [each.text for page in PAGES for each in blocks(page) if each.language == "yaml"]
    settings = [text for text in texts if text.startswith(("genesis:", "runner:", "world:"))]

    for text in settings:
        path = tmp_path / "my.yaml"
        path.write_text(text)
        assert load_config(path) != load_config()

    assert len(settings) >= 3


def test_faults_of_a_configuration_are_told_as_shown(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text("runner:\n  untl_us: 5\n\nworld:\n  pace_us: 5 s\n")

    with pytest.raises(ConfigurationFault) as fault:
        load_config(Path("my.yaml"))

    assert f"{fault.value}\n" == block("docs/architecture/configuration.md", "my.yaml, line 2")


def test_a_refusal_of_the_proxy_reads_as_shown():
    with pytest.raises(EgressRefused) as refused:
        EgressPolicy().check_addresses("wiki.corp.example", [ip_address("10.1.2.3")])

    head, _, body = block("docs/architecture/egress.md", "HTTP/1.1 403").partition("\n\n")
    assert head == f"HTTP/1.1 403 Forbidden (egress policy: {refused.value.rule})"
    assert " ".join(body.split()) == f"Blocked by the egress policy of fetch: {refused.value}."


def test_the_code_of_agents_on_the_page_is_code_that_runs():
    page = blocks(ROOT / "docs/architecture/code.md")

    with MontyRunner(CodeLimits()) as runner:
        faults = [runner.check(each.text) for each in page if each.language == "python"]

    assert faults == [None] * len(faults)
    assert faults


def test_a_scenario_brings_code_as_shown(tmp_path: Path):
    page = "docs/architecture/code.md"
    (tmp_path / "greeter.py").write_text(block(page, "def greet"))
    (tmp_path / "town.yaml").write_text(
        f"name: town\nprincipals: [{{id: shop}}]\n{block(page, 'artifacts:')}"
    )

    scenario = load_scenario(tmp_path / "town.yaml")
    [artifact] = world_config(configure(scenario), scenario).artifacts

    assert (artifact.type, artifact.content) == ("code", block(page, "def greet"))


def small(mind: str, **params: object) -> Scenario:
    """A world of one agent, ann, and no tool server."""
    off = {name: {"enabled": False} for name in load_config().genesis.mcp.servers}
    quotas = {"compute": 500, "stored_bytes": 10_000, "writes": 10}
    ann = {"id": "ann", "mind": mind, "scrip": 0, "quotas": quotas, "params": params}
    config = {"genesis": {"mcp": {"servers": off}}}
    told = {"name": "small", "until_us": 5_000_000, "agents": [ann], "config": config}
    return Scenario.model_validate(told)


def test_a_script_takes_the_steps_that_are_shown(tmp_path: Path):
    [steps] = yaml.safe_load(block("docs/architecture/examples.md", "steps:")).values()

    run = scripworld.run(
        small("script", steps=steps), settings={"store": {"runs_dir": str(tmp_path)}}
    )

    taken = [type(each.input.action) for each in run.records() if isinstance(each.input, Envelope)]
    assert taken == [Sleep, Read, Write, Invoke, Invoke, Stop]


def test_an_agent_remembers_as_shown(tmp_path: Path):
    shown = block("docs/architecture/memory.md", "invoke genesis_memory")
    asked = re.findall(r"^invoke (\w+) (\w+) (.*)$", shown, re.M)
    told = [json.loads(each) for each in re.findall(r"→ (.*?)(?=^invoke)", shown, re.M | re.S)]
    asking = [Invoke(id, method, json.loads(args)) for id, method, args in asked]
    run = scripworld.run(
        small("ann"),
        minds={"ann": Scripted([Read("ann"), *asking, Stop("")])},
        settings={"store": {"runs_dir": str(tmp_path)}},
    )

    answers = [each.answer.result for each in run.records() if isinstance(each.answer, Done)]
    got = [each for each in answers if isinstance(each, dict)]
    got[1]["entries"][0]["text"] = "bob sells …"
    assert got[: len(told)] == told


def test_performers_are_passed_as_shown():
    passed: dict[str, object] = {}

    def run(scenario: str, **given: object) -> None:
        signature(scripworld.run).bind(scenario, **given)
        passed.update(given["performers"])

    names = {"scripworld": SimpleNamespace(run=run), "Embedding": Embedding, "MyScorer": RuleScorer}
    for page, beginning in (("memory", "async def embed"), ("minting", "scripworld.run")):
        exec(block(f"docs/architecture/{page}.md", beginning), dict(names))

    assert set(passed) == {"genesis_memory", "genesis_mint"}


def test_the_handler_on_the_page_is_that_of_the_ledger():
    shown = block("docs/architecture/genesis.md", "def _transfer")

    assert shown in (ROOT / "src/genesis/ledger.py").read_text()


def test_the_tables_of_a_log_are_as_shown(tmp_path: Path):
    path = tmp_path / "world.db"
    SqliteEventLog.create(path).close()
    with sqlite3.connect(path) as database:
        made = [sql for (sql,) in database.execute("SELECT sql FROM sqlite_master") if sql]

    shown = block("docs/architecture/log_format.md", "CREATE TABLE segment").split(";")

    assert ["".join(sql.split()) for sql in shown if sql.strip()] == [
        "".join(sql.split()) for sql in made
    ]


def test_the_circuits_on_the_page_are_some(tmp_path: Path):
    page = [json.loads(each.text) for each in blocks(ROOT / "docs/architecture/quantum.md")]
    circuits = [
        each if "components" in each else {"qubits": 2, "components": [each]} for each in page
    ]

    for circuit in circuits:
        words = (
            "scripworld",
            "tools",
            "call",
            "quantum",
            "check",
            json.dumps({"circuit": circuit}),
        )
        assert "answered without a worker" in typed(tmp_path, *words)
