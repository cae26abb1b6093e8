"""What the README, the pages and the plans say is so: links, commands, codes, code and tests.

That every option, key, fact and genesis method is documented is tested beside each of them, and that
what pages show is run in test_shown.py.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

import scripworld
from scripworld import Run, Scenario
from scripworld.agents.mind import Observation, Scripted
from scripworld.genesis import CODES
from scripworld.interfaces.cli import app
from scripworld.world import Done, Envelope, Invoke, Read, Stop
from scripworld_plans.__main__ import TOOLS
from scripworld_plans.answer import Parser, Unusable, parser_of

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [*PAGES, *sorted((ROOT / "plans").glob("*.md"))]
CODE_PAGE = ROOT / "docs" / "architecture" / "codes.md"
MINDS = ROOT / "docs" / "architecture" / "minds.md"
PLANS = ROOT / "docs" / "architecture" / "plans.md"

FENCE = re.compile(
    r"^ *(?P<fence>`{3,}|~{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^ *(?P=fence) *$", re.M | re.S
)
TYPED = re.compile(
    r" *(?:[$%>#] )?(?:\S*python3? )?(?:\S*/bin/)?"
    r"(?P<words>(?:scripworld|scripworld-plans|scripts/\S+|\w+\.py)(?: .*)?)"
)
OTHER_SCRIPT = re.compile(r"\w+\.py")
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
OUR_FILE = re.compile(r"(?:src|tests|scripts|config|docs|benchmarks|plans)/[\w./-]*\w")
PLACEHOLDER = re.compile(r"NAME|NN|_[xyz]\.py")  # as in config/scenarios/NAME.yaml
OPTIONS_OF_OTHERS = {"--proxy-url"}  # of the fetch server

COMMANDS = typer.main.get_command(app).commands
PLAN_TOOLS = {name: parser_of(name)[1] for name in TOOLS}


def plan_scripts() -> dict[str, Parser]:
    """What can be asked of each script that stands for a tool of plans."""
    stands_for = re.compile(r'main\(\["(\w+)"')
    texts = {path.name: path.read_text() for path in (ROOT / "scripts").glob("*.py")}
    names = {script: stands_for.search(text) for script, text in texts.items()}
    return {f"scripts/{script}": PLAN_TOOLS[name[1]] for script, name in names.items() if name}


PLAN_SCRIPTS = plan_scripts()


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [match["text"] for match in found if match["language"] in languages]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def targets(page: Path) -> Iterator[tuple[Path, str]]:
    """Where the links of a page lead within the repository: a file or folder, and an anchor."""
    for link in LINK.findall(prose(page)):
        if "://" not in link:
            file, _, anchor = link.partition("#")
            yield (page.parent / file).resolve() if file else page, anchor


def test_every_link_leads_somewhere():
    broken = [
        f"{name_of(page)}: {target}#{anchor}"
        for page in TEXTS
        for target, anchor in targets(page)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]

    assert broken == []


def test_every_page_can_be_reached_from_the_readme():
    reached: set[Path] = set()
    ahead = [README]
    while ahead:
        page = ahead.pop()
        if page not in reached:
            reached.add(page)
            for target, _ in targets(page):
                ahead += target.glob("*.md") if target.is_dir() else [target]
                ahead = [path for path in ahead if path.suffix == ".md" and path.is_file()]

    assert [name_of(page) for page in PAGES if page not in reached] == []


def test_every_file_that_a_page_names_is_there():
    missing = [
        f"{name_of(page)}: {named}"
        for page in TEXTS
        for span in SPAN.findall(prose(page))
        for named in OUR_FILE.findall(span)
        if span.startswith(named) and not PLACEHOLDER.search(named)
        if not (ROOT / named).exists()
    ]

    assert missing == []


def words_of(line: str) -> list[str]:
    """The words of a command of ours; others, and what is none, have no words.

    What is said about a command stands after two spaces or a number sign.
    """
    if not (match := TYPED.fullmatch(line)):
        return []
    words = shlex.split(re.split(r"\s{2,}", match["words"])[0], comments=True)
    script = f"scripts/{words[0]}"
    if script in PLAN_SCRIPTS:
        return [script, *words[1:]]
    return [] if OTHER_SCRIPT.fullmatch(words[0]) else words


def command_lines(page: Path) -> Iterator[list[str]]:
    """What a page tells a reader to type; `run --seed` counts as such, too."""
    lines = [
        line for match in FENCE.finditer(page.read_text()) for line in match["text"].splitlines()
    ]
    for text in (*lines, *SPAN.findall(prose(page))):
        if words := words_of(text):
            yield words
    for span in SPAN.findall(prose(page)):
        command, *rest = span.split()
        if command in COMMANDS and rest and rest[0].startswith("--"):
            yield ["scripworld", command, *rest]


def fault_of(words: list[str]) -> str | None:
    """What a program says to these words; a command alone stands for its name."""
    program, *rest = words
    if program.startswith("scripts/") and not (ROOT / program).exists():
        return f"there is no {program}"
    if program in PLAN_SCRIPTS:
        return plan_fault_of(PLAN_SCRIPTS[program], rest)
    if program.startswith("scripts/") or not rest or rest[0] in ("--help", "--version"):
        return None
    known = COMMANDS if program == "scripworld" else PLAN_TOOLS
    if rest[0] not in known:
        return f"there is no command {rest[0]}"
    if program == "scripworld-plans":
        return plan_fault_of(PLAN_TOOLS[rest[0]], rest[1:])
    if len(rest) == 1:
        return None
    try:
        COMMANDS[rest[0]].make_context(rest[0], rest[1:])
    except typer.TyperException as error:
        return error.format_message()
    return None


def plan_fault_of(parser: Parser, words: list[str]) -> str | None:
    try:
        if words:
            parser.parse_args(words)
    except Unusable as error:
        return str(error)
    return None


def test_every_command_that_a_page_names_can_be_typed():
    lines = [(name_of(page), words) for page in TEXTS for words in command_lines(page)]

    wrong = [f"{page}: {words}: {fault}" for page, words in lines if (fault := fault_of(words))]

    assert wrong == []
    named = {(words[0], *words[1:2]) for _, words in lines}
    assert named >= {("scripworld", command) for command in COMMANDS}
    assert {script for script, *_ in named} >= set(PLAN_SCRIPTS)


@pytest.mark.parametrize(
    "line",
    [
        "scripworld nonsense",
        "$ scripworld frobnicate   # 133 % of it",
        ".venv/bin/scripworld run --sed 1",
        "scripworld log a b",
        "scripworld ledger --of a",
        "scripworld-plans frobnicate --nope",
        "> scripworld-plans sync --check --nope",
        "scripts/check_plan_tests.py --plan one",
        ".venv/bin/python scripts/new_plan.py --frob Title",
        "new_plan.py Title --prior low",
        "scripts/no_such.py",
    ],
)
def test_a_command_that_cannot_be_typed_would_be_found(line: str):
    assert fault_of(words_of(line))


def options_of(parser: Parser) -> set[str]:
    return {name for action in parser._actions for name in action.option_strings} - {"-h", "--help"}


def test_every_option_that_a_page_names_exists():
    options = {
        name
        for command in COMMANDS.values()
        for each in (command, *getattr(command, "commands", {}).values())
        for option in each.params
        for name in option.opts
    }
    options |= {name for parser in PLAN_TOOLS.values() for name in options_of(parser)}
    named = {
        (name_of(page), span.split()[0])
        for page in PAGES
        for span in SPAN.findall(prose(page))
        if span.startswith("--") and span.strip("-")
    }

    unknown = (
        {option for _, option in named} - options - OPTIONS_OF_OTHERS - {"--help", "--version"}
    )

    assert {(page, option) for page, option in named if option in unknown} == set()


def test_the_page_on_plans_names_the_options_of_each_tool():
    rows = re.findall(r"^\| `(scripts/\w+\.py)` \|.*\|(.*)\|$", PLANS.read_text(), re.M)
    named = {script: set(SPAN.findall(options)) for script, options in rows}
    of_all = set.intersection(*map(options_of, PLAN_TOOLS.values()))

    assert named == {script: options_of(parser) - of_all for script, parser in PLAN_SCRIPTS.items()}
    assert len(named) == len(PLAN_TOOLS)
    assert of_all <= set(SPAN.findall(prose(PLANS)))


def test_the_page_on_codes_has_every_code_as_the_world_tells_it():
    rows = [
        f"| {code.value} | `{code.name}` | {meaning} | {advice} |"
        for code, (meaning, advice) in sorted(CODES.items())
    ]
    table = "\n".join(
        ["| code | name | what it means | what to do next |", "|---|---|---|---|", *rows]
    )

    page = CODE_PAGE.read_text(encoding="utf-8")

    assert table in page, f"{name_of(CODE_PAGE)} is stale; its table must be:\n{table}"
    assert page.count("\n| ") == len(rows) + 1


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python", "py")], ids=name_of)
def test_every_python_block_compiles(page: Path):
    for number, block in enumerate(blocks(page, "python", "py"), 1):
        assert compile(block, f"{name_of(page)}, Python block {number}", "exec")


@pytest.mark.registry
def test_the_code_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    [block] = blocks(README, "python")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    exec(compile(block, "README.md", "exec"), names)

    run = names["run"]
    assert isinstance(run, Run)
    assert (tmp_path / "runs" / "library-1" / "world.db").is_file()
    assert run.verify().head in capsys.readouterr().out


@pytest.mark.registry
def test_the_mind_of_the_page_on_minds_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    block = blocks(MINDS, "python")[0]
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    exec(compile(block, "minds.md", "exec"), names)

    run = names["run"]
    assert isinstance(run, Run)
    actions = {
        record.input.action
        for record in run.records()
        if isinstance(record.input, Envelope) and record.input.principal == "reader_1"
        if isinstance(record.answer, Done) and isinstance(record.input.action, Read)
    }
    assert actions == {Read("house_rules")}
    run.verify()


def test_the_artifact_of_the_page_on_minds_runs(tmp_path: Path):
    blocks_of_one = blocks(MINDS, "python")[1:]
    small = Scenario.model_validate(
        {
            "name": "small",
            "until_us": 5_000_000,
            "agents": [{"id": "a", "mind": "asker", "scrip": 0, "quotas": {"compute": 50}}],
            "config": {
                "genesis": {
                    "mcp": {"servers": {n: {"enabled": False} for n in ("filesystem", "fetch")}}
                }
            },
        }
    )

    def run_small(name: str, **arguments: object) -> Run:
        assert name == "library"
        runs = {"store": {"runs_dir": str(tmp_path)}}
        return scripworld.run(small, minds={"asker": asker}, settings=runs, **arguments)

    asker = Scripted([Invoke("genesis_echo", "say", {"text": "ho"}), Stop("said")])
    ours = SimpleNamespace(run=run_small, open_run=scripworld.open_run)
    names: dict[str, object] = {"scripworld": ours}

    for block in blocks_of_one:
        exec(compile(block, "minds.md", "exec"), names)

    run = names["run"]
    assert isinstance(run, Run)
    assert Done("a said ho") in [record.answer for record in run.records()]
    run.verify()


def test_the_code_of_the_page_on_configuration_runs():
    [block] = blocks(ROOT / "docs" / "architecture" / "configuration.md", "python")
    names: dict[str, object] = {}

    exec(compile(block, "configuration.md", "exec"), names)

    assert names["world"].seed == 7


def test_the_page_on_minds_names_everything_that_an_observation_holds():
    rows = re.findall(r"^\| (`.+?`) \|", MINDS.read_text(encoding="utf-8"), re.M)
    named = {name.removesuffix("()") for row in rows for name in SPAN.findall(row)}

    held = {*vars(Observation), *Observation.__annotations__}

    assert {name for name in held if not name.startswith("_")} - {"seed"} == named
