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

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [*PAGES, *sorted((ROOT / "plans").glob("*.md"))]
CODE_PAGE = ROOT / "docs" / "architecture" / "codes.md"
MINDS = ROOT / "docs" / "architecture" / "minds.md"

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
OUR_FILE = re.compile(r"(?:src|tests|scripts|config|docs|benchmarks|plans)/[\w./-]*\w")
PLACEHOLDER = re.compile(r"NAME|NN|_[xyz]\.py")  # as in config/scenarios/NAME.yaml
OPTIONS_OF_OTHERS = {"--proxy-url"}  # of the fetch server

COMMANDS = typer.main.get_command(app).commands


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


def command_lines(page: Path) -> Iterator[list[str]]:
    """What a page tells a reader to type after `scripworld`; `run --seed` counts as such, too."""
    for line in "".join(blocks(page, "sh", "text")).splitlines():
        words = shlex.split(re.split(r"\s{2,}", line.strip())[0], comments=True)
        if words and words[0].rpartition("/")[2] == "scripworld":
            yield words[1:]
    for span in SPAN.findall(prose(page)):
        program, *rest = span.split()
        if program == "scripworld":
            yield rest
        elif program in COMMANDS and rest and rest[0].startswith("--"):
            yield [program, *rest]


def fault_of(words: list[str]) -> str | None:
    """What the command line says to these words; a command alone stands for its name."""
    if not words or words[0] in ("--help", "--version"):
        return None
    command = COMMANDS.get(words[0])
    if command is None:
        return f"there is no command {words[0]}"
    if len(words) == 1:
        return None
    try:
        command.make_context(words[0], words[1:])
    except typer.TyperException as error:
        return error.format_message()
    return None


def test_every_command_that_a_page_names_can_be_typed():
    lines = [(name_of(page), words) for page in TEXTS for words in command_lines(page)]

    wrong = [f"{page}: {words}: {fault}" for page, words in lines if (fault := fault_of(words))]

    assert wrong == []
    assert {words[0] for _, words in lines if words} >= set(COMMANDS)


@pytest.mark.parametrize(
    "words", [["nonsense"], ["run", "--sed", "1"], ["log", "a", "b"], ["ledger", "--of", "a"]]
)
def test_a_command_that_cannot_be_typed_would_be_found(words: list[str]):
    assert fault_of(words)


def test_every_option_that_a_page_names_exists():
    options = {
        name
        for command in COMMANDS.values()
        for each in (command, *getattr(command, "commands", {}).values())
        for option in each.params
        for name in option.opts
    }
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


@pytest.mark.parametrize("page", PAGES, ids=name_of)
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
