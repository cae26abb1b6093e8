"""The servers that agents really use, as they are shipped: each is listed, called, fails and stops."""

import base64
import gzip
import json
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripworld import Run
from scripworld.world import (
    Code,
    Context,
    Done,
    Effect,
    EffectRequest,
    EffectResult,
    Invoke,
    Method,
    Native,
    Refused,
    Sleep,
    Tool,
)

from .real_lab import (
    BREAD,
    ONLY_THE_SITE,
    SITE,
    answers_of,
    began_with,
    done,
    egress_of,
    failure_of,
    listener,
    made_site,
    mentioning,
    parent_of,
    run_with,
    text_of,
)

pytestmark = pytest.mark.registry

FILES, FETCH, SQLITE = "genesis_filesystem", "genesis_fetch", "genesis_sqlite"
THINKING, MEMORY, TIME = "genesis_sequential_thinking", "genesis_graph", "genesis_time"
GIT, EVERYTHING = "genesis_git", "genesis_everything"
SEARCH, GITHUB, CONTEXT7 = "genesis_web_search", "genesis_github", "genesis_context7"
EVERYTHING_ARGS = ["-y", "@modelcontextprotocol/server-everything@2026.8.31"]
EVERYTHING_SERVER = {"command": "npx", "args": EVERYTHING_ARGS}
MEMORY_SERVER = {
    "command": "npx",
    "args": ["-y", "@modelcontextprotocol/server-memory@2026.8.31"],
    "env": {"MEMORY_FILE_PATH": "{own}/memory.jsonl"},
}
TIME_SERVER = {
    "command": "uvx",
    "args": ["mcp-server-time@2026.10.19", "--local-timezone", "UTC"],
}
LONG = "trigger-long-running-operation"
PNG = b"\x89PNG\r\n\x1a\n"


def invoke(artifact: str, method: str, /, **args: Any) -> Invoke:
    return Invoke(artifact, method, args)


def listing(artifact: str) -> Invoke:
    return Invoke(artifact, "list_tools")


# What works without a key: one agent for each server, in one run.


@pytest.fixture(scope="module")
def fair(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("fair")
    shown = folder / "shown"
    shown.mkdir()
    (shown / "note.md").write_text("Shown to everybody.")
    thought = {"totalThoughts": 2, "nextThoughtNeeded": True}
    ada = {"name": "Ada", "entityType": "person", "observations": ["counts"]}
    scripts = {
        "archivist": [
            invoke(FILES, "write_file", path="a.md", content="Hello."),
            invoke(FILES, "read_file", path="a.md"),
            invoke(FILES, "read_file", path="/shown/note.md"),
            invoke(FILES, "list_directory", path="."),
            invoke(FILES, "read_file", path="none.md"),
            listing(FILES),
        ],
        "webster": [
            invoke(FETCH, "fetch", url=BREAD),
            invoke(FETCH, "get_prompt", name="fetch", arguments={"url": BREAD}),
            invoke(FETCH, "fetch", url=f"http://{SITE}/none.html"),
            invoke(FETCH, "get_prompt", name="none"),
            listing(FETCH),
        ],
        "bookkeeper": [
            invoke(SQLITE, "create_table", query="CREATE TABLE bread (price INTEGER)"),
            invoke(SQLITE, "write_query", query="INSERT INTO bread VALUES (3)"),
            invoke(SQLITE, "read_query", query="SELECT price FROM bread"),
            invoke(SQLITE, "append_insight", insight="bread is cheap"),
            invoke(SQLITE, "read_resource", uri="memo://insights"),
            invoke(SQLITE, "read_query", query="SELECT price FROM cake"),
            invoke(SQLITE, "read_resource", uri="memo://none"),
            listing(SQLITE),
        ],
        "thinker": [
            invoke(THINKING, "sequentialthinking", thought="one", thoughtNumber=1, **thought),
            invoke(THINKING, "sequentialthinking", thought="two", thoughtNumber=2, **thought),
            invoke(THINKING, "sequentialthinking", thought="none", thoughtNumber=0, **thought),
            listing(THINKING),
        ],
        "notary": [
            invoke(MEMORY, "read_graph"),
            listing(MEMORY),
            invoke(MEMORY, "create_entities", entities=[ada]),
            invoke(MEMORY, "search_nodes", query="ada"),
            invoke(
                MEMORY, "add_observations", observations=[{"entityName": "Bob", "contents": []}]
            ),
        ],
        "timekeeper": [
            invoke(TIME, "get_current_time", timezone="UTC"),
            listing(TIME),
            invoke(
                TIME,
                "convert_time",
                source_timezone="UTC",
                time="12:00",
                target_timezone="Asia/Tokyo",
            ),
            invoke(TIME, "get_current_time", timezone="Mars/Olympus"),
        ],
    }
    servers = {
        "filesystem": {},
        "fetch": {"egress": ONLY_THE_SITE},
        "sqlite": {},
        "sequential_thinking": {},
        "graph": MEMORY_SERVER,
        "time": TIME_SERVER,
    }
    run = run_with(folder, servers, scripts, made_site(folder), (shown,))
    run.verify()
    return run


def test_files_are_written_into_the_agents_own_directory_and_roots_are_read(fair: Run):
    wrote, read, shown, listed, missing, tools = answers_of(fair, "archivist")

    assert text_of(wrote) == "Successfully wrote to ~archivist/a.md"
    assert text_of(read) == "Hello."
    assert text_of(shown) == "Shown to everybody."
    assert text_of(listed) == "[FILE] a.md"
    assert failure_of(missing) == "ENOENT: no such file or directory, open '~archivist/none.md'"
    assert set(done(tools)["methods"]) == began_with(fair, FILES)
    assert (fair.folder / "files/archivist/a.md").read_text() == "Hello."


def test_a_page_is_fetched_through_the_proxy_of_the_run(fair: Run):
    page, prompt, missing, unknown, tools = answers_of(fair, "webster")

    assert "The price of bread is 3." in text_of(page)
    assert "The price of bread is 3." in done(prompt)["messages"][0]["content"]["text"]
    assert "none.html - status code 404" in failure_of(missing)
    assert failure_of(unknown).startswith("fetch: it answered with error ")
    assert set(done(tools)["methods"]) == began_with(fair, FETCH)
    assert '"host":"web.test","port":80' in (fair.folder / "egress.jsonl").read_text()


def test_a_database_is_changed_and_its_errors_come_without_a_flag(fair: Run):
    answers = answers_of(fair, "bookkeeper")
    created, wrote, read, told, memo, failed, unknown, tools = answers

    assert text_of(created) == "Table created successfully"
    assert text_of(wrote) == "[{'affected_rows': 1}]"
    assert text_of(read) == "[{'price': 3}]"
    assert text_of(told) == "Insight added to memo"
    assert done(memo)["contents"][0]["text"].endswith("- bread is cheap")
    assert text_of(failed) == "Database error: no such table: cake"
    assert failure_of(unknown) == "sqlite: it answered with error 0: Unknown resource path: none"
    assert set(done(tools)["methods"]) == began_with(fair, SQLITE)
    database = sqlite3.connect(fair.folder / "servers/sqlite/shared.db")
    try:
        assert database.execute("SELECT price FROM bread").fetchall() == [(3,)]
    finally:
        database.close()


def test_thoughts_are_counted_and_one_that_the_schema_forbids_is_refused(fair: Run):
    first, second, none, tools = answers_of(fair, "thinker")

    assert done(first)["structuredContent"]["thoughtHistoryLength"] == 1
    assert done(second)["structuredContent"]["thoughtHistoryLength"] == 2
    assert isinstance(none, Refused)
    assert none.code is Code.ARGUMENTS_INVALID
    assert set(done(tools)["methods"]) == began_with(fair, THINKING)


def test_a_memory_is_discovered_kept_in_its_own_folder_and_tells_what_it_does_not_know(fair: Run):
    early, tools, created, found, unknown = answers_of(fair, "notary")

    assert isinstance(early, Refused)
    assert early.code is Code.METHOD_UNKNOWN
    assert began_with(fair, MEMORY) == {"list_tools"}
    assert "create_entities" in done(tools)["methods"]
    assert done(created)["structuredContent"]["entities"][0]["name"] == "Ada"
    assert done(found)["structuredContent"]["entities"][0]["observations"] == ["counts"]
    assert failure_of(unknown) == "Entity with name Bob not found"
    assert '"name":"Ada"' in (fair.folder / "servers/graph/memory.jsonl").read_text()


def test_the_time_is_discovered_and_told(fair: Run):
    early, tools, converted, unknown = answers_of(fair, "timekeeper")

    assert isinstance(early, Refused)
    assert {"get_current_time", "convert_time"} <= set(done(tools)["methods"])
    assert done(converted)["structuredContent"]["target"]["datetime"].endswith("T21:00:00+09:00")
    assert "Invalid timezone" in failure_of(unknown)


# Git, in a repository that the test made.


def git(repository: Path, *args: str) -> str:
    who = ("-c", "user.name=Tess", "-c", "user.email=tess@example.test")
    command = ["git", "-C", str(repository), *who, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed: `apt install git`")
def test_git_reads_and_commits_in_the_repository_that_it_may_write_to(tmp_path: Path):
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "config", "user.name", "Tess")
    git(repository, "config", "user.email", "tess@example.test")
    (repository / "bread.md").write_text("3\n")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "The price of bread")
    (repository / "bread.md").write_text("4\n")
    path = str(repository)
    server = {
        "command": "uvx",
        "args": ["mcp-server-git@2026.10.19", "--repository", path],
        "sandbox": {"write": [path]},
    }
    calls = [
        listing(GIT),
        invoke(GIT, "git_log", repo_path=path),
        invoke(GIT, "git_add", repo_path=path, files=["bread.md"]),
        invoke(GIT, "git_commit", repo_path=path, message="Bread is dearer"),
        invoke(GIT, "git_show", repo_path=path, revision="none"),
        invoke(GIT, "git_log", repo_path="/etc"),
    ]
    run = run_with(tmp_path, {"git": server}, {"coder": calls})

    tools, log, added, committed, unknown, elsewhere = answers_of(run, "coder")
    assert "git_commit" in done(tools)["methods"]
    assert "Message: The price of bread" in text_of(log)
    assert text_of(added) == "Files staged successfully"
    assert "committed successfully" in text_of(committed)
    assert "Ref 'none' did not resolve" in failure_of(unknown)
    assert "outside the allowed repository" in failure_of(elsewhere)
    assert git(repository, "log", "--format=%an: %s").splitlines() == [
        "Tess: Bread is dearer",
        "Tess: The price of bread",
    ]


# Everything that the protocol has.


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("everything")
    first = listing(EVERYTHING)
    scripts = {
        "looker": [
            first,
            invoke(EVERYTHING, "get-tiny-image"),
            invoke(EVERYTHING, "get-annotated-message", messageType="error"),
            invoke(EVERYTHING, "get-resource-links", count=2),
            invoke(EVERYTHING, "get-resource-reference", resourceType="Text", resourceId=1),
            invoke(EVERYTHING, "get-resource-reference", resourceType="Blob", resourceId=2),
            invoke(EVERYTHING, "get-resource-reference", resourceId=-1),
            invoke(EVERYTHING, "get-structured-content", location="Chicago"),
            invoke(
                EVERYTHING,
                "gzip-file-as-resource",
                name="hello.gz",
                data="data:text/plain,hello",
                outputType="resource",
            ),
        ],
        "reader": [
            first,
            invoke(EVERYTHING, "list_resources"),
            invoke(EVERYTHING, "read_resource", uri="demo://resource/dynamic/text/1"),
            invoke(EVERYTHING, "read_resource", uri="demo://none"),
            invoke(EVERYTHING, "list_prompts"),
            invoke(EVERYTHING, "get_prompt", name="args-prompt", arguments={"city": "Rome"}),
            invoke(EVERYTHING, "get_prompt", name="none"),
            invoke(EVERYTHING, "toggle-simulated-logging"),
            invoke(EVERYTHING, "echo", message="still here"),
            invoke(EVERYTHING, "simulate-research-query", topic="bread"),
        ],
        "patient": [first, invoke(EVERYTHING, LONG, duration=4, steps=8)],
        "impatient": [first, invoke(EVERYTHING, LONG, duration=4, steps=1)],
    }
    server = EVERYTHING_SERVER | {
        "costs": {LONG: {"timeout_us": 2_000_000}},
        "denied_tools": ["get-env"],
    }
    run = run_with(folder, {"everything": server}, scripts)
    run.verify()
    return run


def test_content_of_every_kind_is_kept_as_it_came(everything: Run):
    answers = answers_of(everything, "looker")
    tools, image, annotated, links, text, blob, wrong, structured, packed = answers

    methods = done(tools)["methods"]
    assert not {"get-env", "get-roots-list", "trigger-sampling-request"} & set(methods)
    assert done(tools)["left_out"] == {"get-env": "denied by denied_tools"}
    part = done(image)["content"][1]
    assert (part["type"], part["mimeType"]) == ("image", "image/png")
    assert base64.b64decode(part["data"]).startswith(PNG)
    assert done(annotated)["content"][0]["annotations"]["audience"] == ["user", "assistant"]
    kinds = [part["type"] for part in done(links)["content"]]
    assert kinds == ["text", "resource_link", "resource_link"]
    embedded = done(text)["content"][1]
    assert embedded["type"] == "resource"
    assert embedded["resource"]["text"].startswith("Resource 1: ")
    data = done(blob)["content"][1]["resource"]["blob"]
    assert base64.b64decode(data).startswith(b"Resource 2: ")
    assert failure_of(wrong).startswith("Invalid resourceId: -1.")
    assert done(structured)["structuredContent"]["conditions"] == "Light rain / drizzle"
    interface = everything.state().artifacts.by_id[EVERYTHING].interface
    schemas = {tool.name: tool.output_schema for tool in interface}
    assert (schemas["get-structured-content"] or {})["required"] == [
        *("temperature", "conditions", "humidity")
    ]
    resource = done(packed)["content"][0]["resource"]
    assert gzip.decompress(base64.b64decode(resource["blob"])) == b"hello"


def test_resources_and_prompts_are_listed_and_read_and_logging_disturbs_nothing(everything: Run):
    answers = answers_of(everything, "reader")
    _, listed, read, no_resource, prompts, prompt, no_prompt, logging, echo, task = answers

    assert done(listed)["resources"][0]["uri"].startswith("demo://resource/static/document/")
    templates = [template["uriTemplate"] for template in done(listed)["resourceTemplates"]]
    assert "demo://resource/dynamic/text/{resourceId}" in templates
    assert done(read)["contents"][0]["text"].startswith("Resource 1: ")
    assert "Resource demo://none not found" in failure_of(no_resource)
    assert "args-prompt" in [prompt["name"] for prompt in done(prompts)["prompts"]]
    assert done(prompt)["messages"][0]["content"]["text"] == "What's weather in Rome?"
    assert "Prompt none not found" in failure_of(no_prompt)
    assert "Started simulated" in text_of(logging)
    assert text_of(echo) == "Echo: still here"
    assert "requires task augmentation" in failure_of(task)


def test_progress_gives_a_call_more_time_and_without_it_the_time_is_over(everything: Run):
    _, finished = answers_of(everything, "patient")
    _, late = answers_of(everything, "impatient")

    assert "Duration: 4 seconds, Steps: 8" in text_of(finished)
    assert "not answered within 2 s" in failure_of(late, Code.EFFECT_TIMEOUT)


def asked_native(id: str, method: str) -> Native:
    def ask(context: Context, args: dict[str, Any]) -> Effect:
        return Effect(id, args)

    tool = Tool(method, "", {"type": "object", "additionalProperties": True})
    return Native(id, "Answers.", {method: Method(tool, ask, effect=True)})


class Answers:
    """Performs for a model or a person, always the same."""

    patience_s = 5.0

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    async def perform(self, request: EffectRequest) -> EffectResult:
        self.asked.append(request.payload)
        return EffectResult(self.answer)

    async def close(self) -> None:
        pass


def test_a_server_that_asks_is_answered_by_the_model_the_person_and_the_configuration(
    tmp_path: Path,
):
    model = Answers({"text": "because", "model": "tiny"})
    person = Answers({"name": "Ada", "integer": 7})
    first = listing(EVERYTHING)
    run = run_with(
        tmp_path,
        {"everything": EVERYTHING_SERVER | {"roots": ["{own}"]}},
        {
            "a": [first, invoke(EVERYTHING, "trigger-sampling-request", prompt="Why?")],
            "b": [Sleep(5_000_000), first, invoke(EVERYTHING, "trigger-elicitation-request")],
            "c": [Sleep(10_000_000), first, invoke(EVERYTHING, "get-roots-list")],
        },
        natives=(asked_native("genesis_model", "complete"), asked_native("genesis_human", "ask")),
        performers={"genesis_model": model, "genesis_human": person},
    )

    assert '"text": "because"' in text_of(answers_of(run, "a")[1])
    assert model.asked[0]["system"] == "You are a helpful test server."
    assert "- Name: Ada\n- Favorite Integer: 7" in text_of(answers_of(run, "b")[-1])
    assert person.asked[0]["from"] == EVERYTHING
    assert "birthdate" in person.asked[0]["schema"]["properties"]
    assert (run.folder / "servers/everything").as_uri() in text_of(answers_of(run, "c")[-1])
    run.verify()


def test_six_agents_share_up_to_three_processes_and_each_gets_its_own_answers(tmp_path: Path):
    agents = "abcdef"
    peak = 0

    def count() -> None:
        nonlocal peak
        found = mentioning(tmp_path)
        guards = {pid for pid, words in found.items() if "process_guard.py" in words}
        # What a guard starts is called like itself until it becomes the server.
        peak = max(peak, sum(parent_of(pid) not in guards for pid in guards))

    scripts = {
        agent: [
            listing(EVERYTHING),
            invoke(EVERYTHING, LONG, duration=1, steps=1),
            invoke(EVERYTHING, "echo", message=agent),
            invoke(EVERYTHING, LONG, duration=1, steps=1),
            invoke(EVERYTHING, "get-sum", a=ord(agent), b=1),
        ]
        for agent in agents
    }
    run = run_with(
        tmp_path, {"everything": EVERYTHING_SERVER | {"processes": 3}}, scripts, on_progress=count
    )

    for agent in agents:
        _, long, echo, _, total = answers_of(run, agent)
        assert "Duration: 1 seconds" in text_of(long)
        assert text_of(echo) == f"Echo: {agent}"
        assert text_of(total).endswith(f" is {ord(agent) + 1}.")
    assert 1 < peak <= 3
    run.verify()


# Servers that need a key, where nothing is reachable.


def test_with_a_key_they_are_as_known_and_fail_clearly_where_nothing_is_reachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BRAVE_API_KEY", "brave-key-of-the-test")
    monkeypatch.setenv("GITHUB_PERSONAL_ACCESS_TOKEN", "github-token-of-the-test")
    closed = {"egress": ONLY_THE_SITE}
    run = run_with(
        tmp_path,
        {"web_search": closed, "github": closed, "context7": closed},
        {
            "a": [invoke(SEARCH, "search", query="bread"), listing(SEARCH)],
            "b": [invoke(GITHUB, "search_repositories", query="bread"), listing(GITHUB)],
            "c": [
                invoke(CONTEXT7, "resolve-library-id", libraryName="numpy", query="arrays"),
                listing(CONTEXT7),
            ],
        },
    )

    for agent, artifact in (("a", SEARCH), ("b", GITHUB), ("c", CONTEXT7)):
        tools = answers_of(run, agent)[1]
        assert set(done(tools)["methods"]) == began_with(run, artifact)
    assert "fetch failed" in failure_of(answers_of(run, "a")[0])
    assert "fetch failed" in failure_of(answers_of(run, "b")[0])
    assert "fetch failed" in text_of(answers_of(run, "c")[0]), "it comes without a flag"
    assert {line["verdict"] for line in egress_of(run)} == {"refused"}
    assert {line["server"] for line in egress_of(run)} == {"web_search", "github", "context7"}
    kept = [path.read_bytes() for path in run.folder.rglob("*") if path.is_file()]
    assert not any(b"-of-the-test" in data for data in kept)
    run.verify()


def test_without_a_key_a_search_needs_none_and_another_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("BRAVE_API_KEY", raising=False)
    monkeypatch.delenv("GITHUB_PERSONAL_ACCESS_TOKEN", raising=False)
    run = run_with(
        tmp_path,
        {"web_search": {"egress": ONLY_THE_SITE}, "github": {}},
        {
            "a": [invoke(SEARCH, "search", query="bread"), listing(SEARCH)],
            "b": [
                listing(GITHUB),
                invoke(GITHUB, "search_repositories", query="bread"),
                invoke("genesis_ledger", "balance", principal="b"),
            ],
        },
    )

    searched, tools = answers_of(run, "a")
    assert "does not let it reach html.duckduckgo.com" in failure_of(searched)
    assert done(tools)["methods"] == ["list_tools", "search"]
    listed, called, balance = answers_of(run, "b")
    assert listed == called
    assert failure_of(listed, Code.TOOL_UNAVAILABLE) == (
        "github: its server needs GITHUB_PERSONAL_ACCESS_TOKEN in the environment or in .env: "
        "set that, then run or resume again"
    )
    assert isinstance(balance, Done)
    assert run.state().ledger.balances["b"] == 100
    run.verify()


def test_a_search_that_needs_no_key_tells_what_the_search_page_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("BRAVE_API_KEY", raising=False)
    site = made_site(tmp_path)
    found = {"title": "Bakery", "url": BREAD, "content": "The price of bread is 3."}
    (site / "search.json").write_text(json.dumps({"results": [found]}))
    program = ["-I", "-S", "{lib}/search_server.py", "--endpoint", f"http://{SITE}/search.json"]
    server = {"keyless": {"command": "{python}", "args": program}, "egress": ONLY_THE_SITE}
    call = invoke(SEARCH, "search", query="bread", limit=3)
    run = run_with(tmp_path, {"web_search": server}, {"a": [call]}, site)

    (answer,) = answers_of(run, "a")
    assert json.loads(text_of(answer)) == {
        "title": "Bakery",
        "url": BREAD,
        "description": "The price of bread is 3.",
    }


# What a server reaches without a proxy.


def test_without_a_network_not_even_the_host_itself_is_reachable(tmp_path: Path):
    with listener() as (address, asked):

        def play(network: str) -> Run:
            server = EVERYTHING_SERVER | {"sandbox": {"network": network}}
            call = invoke(
                EVERYTHING,
                "gzip-file-as-resource",
                name="bread.gz",
                data=f"{address}/{network}",
                outputType="resource",
            )
            script = {"a": [listing(EVERYTHING), call]}
            return run_with(tmp_path, {"everything": server}, script)

        reached, unreached = play("host"), play("none")

    assert asked == ["/host"]
    data = done(answers_of(reached, "a")[1])["content"][0]["resource"]["blob"]
    assert gzip.decompress(base64.b64decode(data)) == b"bread"
    assert failure_of(answers_of(unreached, "a")[1]) == "fetch failed"
