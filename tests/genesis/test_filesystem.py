"""Whose directory a path is in, who may use it, and that no path of the machine is ever told.

First with a server that only answers what it was asked, so that the bridge alone is proved; then
with the real one, which has its own idea of what is allowed. Names that begin like another's and
links that lead out are the shapes of CVE-2025-53109 and CVE-2025-53110.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripworld import Run
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.agents.mind import Decision, Observation, Scripted
from scripworld.genesis.filesystem import GenesisFilesystem
from scripworld.genesis.mcp_bridge import ToolRefused
from scripworld.world import Answer, ConfigurationFault, Done, Failed, Invoke, Refused, Stop

from .plain_lab import RUNNER, SERVER, Plain, answers_of, codes_of, run_with, tool

FILES = "genesis_filesystem"
LIST = Invoke(FILES, "list_tools")
QUOTAS = {"compute": 5_000, "tool_calls": 1_000, "stored_bytes": 10_000}
AGENTS = ("ana", "ana-evil", "bob")
CONTRACTS: dict[str, dict[str, Any]] = {
    "secret": {"id": "private"},
    "board": {"id": "public"},
    "paper": {"id": "freeware"},
    "shop": {"id": "pay_per_use", "price_scrip": 3},
    "club": {"id": "members", "members": ["ana"]},
    "other-club": {"id": "members", "members": ["ana-evil"]},
}
ARTIFACTS = [{"id": id, "owner": "bob", "contract": contract} for id, contract in CONTRACTS.items()]
TOOLS = (
    *(tool(name, "", path="string") for name in ("read_text_file", "read_file", "list_directory")),
    *(tool(name, "", path="string") for name in ("edit_file", "directory_tree")),
    tool("write_file", "", path="string", content="string"),
    tool("move_file", "", source="string", destination="string"),
    {
        "name": "read_multiple_files",
        "inputSchema": {
            "type": "object",
            "properties": {"paths": {"type": "array", "items": {"type": "string"}}},
        },
    },
    tool("fail"),
    tool("chmod_file", "", path="string", mode="string"),
    tool("list_allowed_directories"),
)
LONG = "n" * 300
Step = Decision | tuple[Callable[[Path], None], Decision]


ROOM = 1_000_000


def invoke(method: str, **args: Any) -> Invoke:
    return Invoke(FILES, method, args)


def read(path: str) -> Invoke:
    return invoke("read_file", path=path)


def write(path: str, content: str = "x") -> Invoke:
    return invoke("write_file", path=path, content=content)


class World:
    """Three agents, what bob owns, and roots; `real` takes the server as it is shipped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plain = Plain(folder)
        self.plain.offer(*TOOLS)
        self.roots = [folder / "roots" / name for name in ("docs", "docs-more")]
        for root in self.roots:
            root.mkdir(parents=True)
            (root / "page.md").write_text(f"a page of {root.name}")
        self.hidden = folder / "roots" / "docs-hidden"
        self.hidden.mkdir()
        (self.hidden / "page.md").write_text("hidden")

    def play(self, *, real: bool, run_id: str = "files", **steps: tuple[Step, ...]) -> Run:
        """The agents take their steps; before some of them something happens on the disk."""
        home = self.folder / "runs" / run_id / "files"
        minds = {id: mind(home, steps.get(id.replace("-", "_"), ())) for id in AGENTS}
        server = {} if real else self.plain.settings()
        if not real:
            server["sandbox"]["read"] = ["{roots}", str(SERVER.parent)]
            server["sandbox"]["write"].append("{files}")
        if real and RUNNER == "none":
            server = {"sandbox": {"runner": "none"}}
        return run_with(
            self.folder,
            {"filesystem": {"enabled": True, **server}},
            dict.fromkeys(AGENTS, ()),
            quotas=QUOTAS,
            artifacts=ARTIFACTS,
            roots=self.roots,
            minds=minds,
            run_id=run_id,
        )

    def assert_no_path_of_the_machine_in(self, run: Run) -> None:
        for id in AGENTS:
            for answer in answers_of(run, id):
                assert str(self.folder) not in repr(answer)


def mind(home: Path, steps: tuple[Step, ...]) -> Scripted:
    def choose(observation: Observation) -> Decision:
        if observation.step >= len(steps):
            return Stop()
        step = steps[observation.step]
        if isinstance(step, tuple):
            step[0](home)
            return step[1]
        return step

    return Scripted(choose)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def why(answer: Answer) -> str:
    assert isinstance(answer, Refused | Failed), answer
    return answer.detail


# The bridge alone.

OWN = {
    "a.md": "~ana/a.md",
    "./a.md": "~ana/a.md",
    "sub/../a.md": "~ana/a.md",
    "sub//b.md": "~ana/sub/b.md",
    "": "~ana",
    ".": "~ana",
    "~ana": "~ana",
    "~ana/": "~ana",
    "~ana/a.md": "~ana/a.md",
    "~ana//etc/passwd": "~ana/etc/passwd",
    "~ana/./x/../a.md": "~ana/a.md",
    "sub/~bob/a.md": "~ana/sub/~bob/a.md",
    "$HOME/.ssh": "~ana/$HOME/.ssh",
    "%2e%2e/a.md": "~ana/%2e%2e/a.md",
    "file:///etc/passwd": "~ana/file:/etc/passwd",
    "C:/boot": "~ana/C:/boot",
    "...": "~ana/...",
    " a ": "~ana/ a ",
    "ä/日本\u202e/\U0001f40e.md": "~ana/ä/日本\u202e/\U0001f40e.md",
    LONG: f"~ana/{LONG}",
    "/docs": "/docs",
    "/docs/": "/docs",
    "/docs/page.md": "/docs/page.md",
    "/docs/sub/../page.md": "/docs/page.md",
    "/docs-more/page.md": "/docs-more/page.md",
}
DENIED = {
    "..": "PERMISSION_DENIED",
    "../bob/a.md": "PERMISSION_DENIED",
    "sub/../../bob/a.md": "PERMISSION_DENIED",
    "~ana/../bob/a.md": "PERMISSION_DENIED",
    "~ana/sub/../../ana-evil/a.md": "PERMISSION_DENIED",
    "~": "PERMISSION_DENIED",
    "~/x": "PERMISSION_DENIED",
    "~/.ssh/id_rsa": "PERMISSION_DENIED",
    "~..": "PERMISSION_DENIED",
    "~../ana": "PERMISSION_DENIED",
    "~./ana": "PERMISSION_DENIED",
    "/": "PERMISSION_DENIED",
    "//docs/page.md": "PERMISSION_DENIED",
    "/..": "PERMISSION_DENIED",
    "/docs/..": "PERMISSION_DENIED",
    "/docs/../docs-hidden/page.md": "PERMISSION_DENIED",
    "/docs/../../ana/a.md": "PERMISSION_DENIED",
    "~bob/a.md": "PERMISSION_DENIED",
    "~ana-evil/a.md": "PERMISSION_DENIED",
    "~secret/a.md": "PERMISSION_DENIED",
    "~unknown/x": "NOT_FOUND",
    "~ana-evi/x": "NOT_FOUND",
    "~ANA/x": "NOT_FOUND",
    "~root/x": "NOT_FOUND",
    "~~ana/x": "NOT_FOUND",
    "~ana\u200b/x": "NOT_FOUND",
    f"~{LONG}/x": "NOT_FOUND",
    "a\0b": "ARGUMENTS_INVALID",
    "~ana/\0": "ARGUMENTS_INVALID",
    "a\\b": "ARGUMENTS_INVALID",
    "..\\bob\\a.md": "ARGUMENTS_INVALID",
    "x/" * 600: "ARGUMENTS_INVALID",
    "/etc/passwd": "TOOL_REFUSED",
    "/docs-hidden/page.md": "TOOL_REFUSED",
    "/doc/page.md": "TOOL_REFUSED",
    "/proc/self/environ": "TOOL_REFUSED",
}


def test_a_path_is_in_the_callers_own_directory_or_in_a_root(world: World):
    run = world.play(real=False, ana=(LIST, *map(read, OWN)))

    listed, *answers = answers_of(run, "ana")
    assert isinstance(listed, Done)
    told = [json.loads(answer.result["content"][0]["text"])["path"] for answer in answers]
    assert told == list(OWN.values())
    files = run.folder / "files"
    real = [note["args"]["path"] for note in world.plain.noted() if note["what"] == "call"]
    assert real[0] == str(files / "ana" / "a.md")
    for path in real:
        inside = [files / "ana", *world.roots]
        assert any(Path(path).is_relative_to(folder) for folder in inside), path
    world.assert_no_path_of_the_machine_in(run)


def test_a_path_that_leads_out_reaches_no_server(world: World):
    run = world.play(real=False, ana=(LIST, *map(read, DENIED)))

    codes = dict(zip(DENIED, codes_of(run, "ana")[1:], strict=True))
    assert codes == DENIED
    assert world.plain.called() == []
    for answer in answers_of(run, "ana")[1:]:
        assert len(why(answer)) < 1_000
    world.assert_no_path_of_the_machine_in(run)


@pytest.mark.parametrize(
    ("artifact", "may"),
    [
        ("secret", ""),
        ("board", "read write"),
        ("paper", "read"),
        ("shop", ""),
        ("club", "read write"),
        ("other-club", ""),
        ("ana-evil", ""),
        ("genesis_ledger", "read"),
    ],
)
def test_the_contract_of_an_artifact_says_who_may_use_its_directory(
    world: World, artifact: str, may: str
):
    place = f"~{artifact}/a.md"
    run = world.play(
        real=False,
        ana=(
            *(LIST, read(place), invoke("list_directory", path=f"~{artifact}"), write(place)),
            *(invoke("edit_file", path=place), invoke("move_file", source=place, destination="b")),
            invoke("move_file", source="b", destination=place),
            invoke("read_multiple_files", paths=["a.md", place]),
        ),
    )

    reads = "done" if "read" in may else "PERMISSION_DENIED"
    writes = "done" if "write" in may else "PERMISSION_DENIED"
    assert codes_of(run, "ana") == ["done", reads, reads, *[writes] * 4, reads]
    for answer in answers_of(run, "ana"):
        if isinstance(answer, Refused):
            assert f"the contract of {artifact} does not let ana" in answer.detail


def test_an_owner_uses_the_directories_of_what_it_owns(world: World):
    calls = [call(f"~{id}/a.md") for id in CONTRACTS for call in (read, write)]
    run = world.play(real=False, bob=(LIST, *calls))

    assert set(codes_of(run, "bob")) == {"done"}


def test_a_root_is_there_for_reading_alone(world: World):
    place = "/docs/page.md"
    run = world.play(
        real=False,
        ana=(
            *(LIST, read(place), write(place), invoke("edit_file", path=place)),
            invoke("move_file", source=place, destination="mine.md"),
            invoke("move_file", source="mine.md", destination=place),
        ),
    )

    assert codes_of(run, "ana") == ["done", "done", *["PERMISSION_DENIED"] * 4]
    assert "it can be read, not written" in why(answers_of(run, "ana")[2])


def test_a_tool_whose_paths_are_not_known_is_not_offered(world: World):
    run = world.play(
        real=False, ana=(LIST, invoke("chmod_file", path="/etc/passwd", mode="777"), LIST)
    )

    listed = answers_of(run, "ana")[0]
    assert isinstance(listed, Done)
    unknown = {"fail", "chmod_file", "list_allowed_directories"}
    assert not unknown & set(listed.result["methods"])
    assert listed.result["left_out"] == dict.fromkeys(
        unknown, "its paths are not known, so they cannot be checked"
    )
    assert codes_of(run, "ana") == ["done", "METHOD_UNKNOWN", "done"]
    assert world.plain.called() == []


# Links, which only somebody with the disk at hand can make.


def links(home: Path, world: World) -> None:
    """In ana's directory, links of every kind that lead out of it."""
    own, bob = home / "ana", home / "bob"
    bob.mkdir(parents=True, exist_ok=True)
    (bob / "a.md").write_text("WORDS OF BOB")
    own.mkdir(parents=True, exist_ok=True)
    (own / "sub").mkdir()
    (own / "a.md").write_text("WORDS OF ANA")
    for name, target in {
        "file": "/etc/hostname",
        "folder": "/etc",
        "bob": str(bob),
        "bob-file": "../bob/a.md",
        "to-link": "folder",
        "to-root": str(world.roots[0]),
        "up": "..",
        "gone": str(home / "no-such-place"),
        "evil": str(home / "ana-evil"),
        "inside": "sub",
        "inside-file": "a.md",
    }.items():
        (own / name).symlink_to(target)
    (own / "sub" / "deep").symlink_to("../../bob")
    (own / "loop").symlink_to("loop")
    (own / "loop-a").symlink_to("loop-b")
    (own / "loop-b").symlink_to("loop-a")
    (own / "file-as-folder").write_text("")


LEAD_OUT = (
    *("file", "folder", "folder/hostname", "bob", "bob/a.md", "bob-file", "to-link"),
    *("to-link/hostname", "to-root/page.md", "up", "up/bob/a.md", "gone", "gone/new.md", "evil"),
    *("sub/deep", "sub/deep/a.md", "sub/../bob/a.md"),
)


def test_a_link_that_leads_out_is_not_followed(world: World):
    calls = [call(path) for path in LEAD_OUT for call in (read, write)]
    fine = [read("inside/x"), read("inside-file"), write("inside/new.md"), read("file-as-folder/x")]
    run = world.play(
        real=False,
        ana=(((lambda home: links(home, world)), LIST), *calls, *fine, read("loop/x"), read("loop-a")),
    )  # fmt: skip

    codes = codes_of(run, "ana")[1:]
    assert codes[: len(calls)] == ["TOOL_REFUSED"] * len(calls)
    assert codes[len(calls) :] == ["done"] * 6
    called = [note["args"]["path"] for note in world.plain.noted() if note["what"] == "call"]
    assert called[:2] == [str(run.folder / "files/ana/sub/x"), str(run.folder / "files/ana/a.md")]
    assert len(called) == 6
    world.assert_no_path_of_the_machine_in(run)


def test_a_link_in_place_of_a_whole_directory_is_not_followed(world: World):
    def swap(home: Path) -> None:
        home.mkdir(exist_ok=True)
        (home / "ana").symlink_to(home / "bob")
        (home / "club").symlink_to("/etc")
        (home / "paper").write_text("no directory at all")
        (home / "board").symlink_to("board")

    run = world.play(
        real=False,
        ana=(LIST, (swap, read("a.md")), read("~club/hostname"), read("~paper/x"), read("~board")),
    )

    assert codes_of(run, "ana") == ["done", *["TOOL_REFUSED"] * 4]
    assert world.plain.called() == []
    world.assert_no_path_of_the_machine_in(run)


@pytest.mark.parametrize("path", ["..", "../..", ".", ""])
def test_a_root_that_holds_the_runs_is_refused(tmp_path: Path, path: str):
    home = tmp_path / "runs" / "one" / "files"
    home.mkdir(parents=True)
    bridge = GenesisFilesystem(McpServerSpec("filesystem", "true", ()))

    with pytest.raises(ConfigurationFault, match="the root /all holds the folder of this run"):
        bridge.serve(home, {"docs": tmp_path / "docs", "all": home / path}, ROOM)


# By hand, and any path at all.

BY_HAND = GenesisFilesystem(McpServerSpec("filesystem", "true", ()))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("served") / "files"
    BY_HAND.serve(
        home, {"docs": home.parent / "docs", "docs-more": home.parent / "docs-more"}, ROOM
    )
    (home / "ana").mkdir(parents=True)
    (home / "ana-evil").mkdir()
    (home / "ana" / "link").symlink_to(home / "ana-evil")
    return home


PARTS = st.sampled_from(["..", ".", "", "a", "link", "ana", "~ana", "~", "docs", "\0", "~ana-evil"])


@settings(deadline=None)
@given(parts=st.lists(PARTS | st.text(max_size=5), max_size=6), start=st.sampled_from("~/x."))
def test_whatever_the_path_is_the_server_gets_one_inside(
    served: Path, parts: list[str], start: str
):
    path = start + "/".join(parts)
    try:
        real = BY_HAND.sent("read_text_file", {"path": path})["path"]
    except ToolRefused:
        return
    bases = [folder for folder in served.iterdir() if folder.is_dir()]
    bases += [served.parent / "docs", served.parent / "docs-more"]
    assert os.path.isabs(real)
    assert any(Path(real).is_relative_to(base) for base in bases), (path, real)


def test_what_is_told_has_no_path_of_the_machine_in_it(served: Path):
    home, docs = str(served), str(served.parent / "docs")
    value = {
        "error": f"ENOENT: '{home}/ana/a.md'",
        "allowed": [f"not in {home}, {docs}, {docs}-more", {f"{home}/bob": [f"{docs}/x"]}],
        "number": 5,
    }

    assert BY_HAND.told(value) == {
        "error": "ENOENT: '~ana/a.md'",
        "allowed": ["not in ~, /docs, /docs-more", {"~bob": ["/docs/x"]}],
        "number": 5,
    }


# The real server.


@pytest.mark.registry
def test_the_real_server_reads_and_writes_where_the_bridge_lets_it(world: World):
    run = world.play(
        real=True,
        bob=(write("~paper/news.md", "WORDS OF BOB"), write("~secret/plan.md", "WORDS OF BOB"), write("b.md")),
        ana=(
            *(write("a.md", "first line\n"), read("a.md"), read("~ana/a.md"), write("~board/x.md")),
            *(read("/docs/page.md"), read("/docs-more/page.md"), invoke("create_directory", path="sub")),
            *(invoke("move_file", source="a.md", destination="sub/b.md"), read("sub/b.md")),
            invoke("edit_file", path="sub/b.md", edits=[{"oldText": "first", "newText": "1st"}]),
            invoke("move_file", source="sub/b.md", destination="~board/b.md"),
            *(invoke("list_directory", path=path) for path in ("", "~board", "~paper", "/docs")),
            *(invoke(name, path=".") for name in ("directory_tree", "list_directory_with_sizes")),
            invoke("search_files", path="~board", pattern="*.md"),
            invoke("read_multiple_files", paths=["~board/b.md", "/docs/page.md", "no-such"]),
            invoke("get_file_info", path="~board/b.md"),
            *(read("~paper/news.md"), read("no-such.md"), read("no/such/folder.md")),
            *(write("no/such/folder.md"), read("."), read(LONG), read("ä日本.md")),
        ),
    )  # fmt: skip

    codes = codes_of(run, "ana")
    assert codes[:21] == ["done"] * 21, codes
    assert codes[21:] == ["TOOL_FAILED"] * 6
    texts = [
        answer.result["content"][0]["text"] if isinstance(answer, Done) else answer.detail
        for answer in answers_of(run, "ana")
    ]
    assert texts[1] == texts[2] == "first line\n"
    assert (texts[4], texts[5]) == ("a page of docs", "a page of docs-more")
    assert sorted(texts[17].splitlines()) == ["~board/b.md", "~board/x.md"]
    assert "1st line" in texts[18]
    assert "WORDS OF BOB" in texts[20]
    assert "no-such.md" in texts[21]
    world.assert_no_path_of_the_machine_in(run)
    assert (run.folder / "files" / "board" / "b.md").read_text() == "1st line\n"


@pytest.mark.registry
def test_the_real_server_is_not_led_out_by_any_path_or_link(world: World):
    swapped = "sub/swapped.md"

    def before(home: Path) -> None:
        links(home, world)
        (home / "ana" / "sub" / "swapped.md").write_text("WORDS OF ANA")

    def swap(home: Path) -> None:
        (home / "ana" / "sub" / "swapped.md").unlink()
        (home / "ana" / "sub" / "swapped.md").symlink_to(home / "bob" / "a.md")

    def swap_folder(home: Path) -> None:
        (home / "ana" / "sub").rename(home / "ana" / "old")
        (home / "ana" / "sub").symlink_to(home / "bob")

    refused = [path for path in DENIED if path not in ("x/" * 600,)]
    run = world.play(
        real=True,
        ana=(
            (before, read(swapped)),
            *((swap, read(swapped)), (swap_folder, write("sub/new.md")), read("sub/a.md")),
            *(call(path) for path in LEAD_OUT for call in (read, write)),
            invoke("move_file", source="bob-file", destination="mine.md"),
            invoke("move_file", source="a.md", destination="bob/mine.md"),
            *(read("loop"), read("loop-a/x")),
            *(invoke("directory_tree", path="."), invoke("search_files", path=".", pattern="**/*")),
            *(read(path) for path in refused),
        ),
    )

    codes = codes_of(run, "ana")
    count = 2 * len(LEAD_OUT)
    assert codes[:4] == ["done", "TOOL_REFUSED", "TOOL_REFUSED", "TOOL_REFUSED"]
    assert codes[4 : 4 + count + 2] == ["TOOL_REFUSED"] * (count + 2)
    assert codes[6 + count : 8 + count] == ["TOOL_FAILED"] * 2
    assert codes[8 + count : 10 + count] == ["done"] * 2
    assert "done" not in codes[10 + count :]
    told = repr(answers_of(run, "ana"))
    assert "WORDS OF BOB" not in told
    assert "hidden" not in told.replace("/docs-hidden", "")
    files = run.folder / "files"
    assert [path.name for path in (files / "bob").iterdir()] == ["a.md"]
    assert (files / "bob" / "a.md").read_text() == "WORDS OF BOB"
    world.assert_no_path_of_the_machine_in(run)


@pytest.mark.registry
def test_two_agents_of_the_real_server_do_not_see_each_other(world: World):
    run = world.play(
        real=True,
        ana=(write("diary.md", "WORDS OF ANA"), invoke("list_directory", path=".")),
        ana_evil=(
            *(read("~ana/diary.md"), read("../ana/diary.md"), read("~ana-evil/../ana/diary.md")),
            *(read("diary.md"), invoke("list_directory", path="~ana"), read("~ana/../ana/diary.md")),
            invoke("search_files", path=".", pattern="*diary*"),
            invoke("move_file", source="~ana/diary.md", destination="mine.md"),
            invoke("read_multiple_files", paths=["diary.md", "~ana/diary.md"]),
            invoke("read_multiple_files", paths=["diary.md"]),
        ),
    )  # fmt: skip

    assert codes_of(run, "ana") == ["done", "done"]
    assert codes_of(run, "ana-evil") == [
        *("PERMISSION_DENIED", "PERMISSION_DENIED", "PERMISSION_DENIED", "TOOL_FAILED"),
        *("PERMISSION_DENIED", "PERMISSION_DENIED", "done", "PERMISSION_DENIED"),
        *("PERMISSION_DENIED", "done"),
    ]
    assert "WORDS OF ANA" not in repr(answers_of(run, "ana-evil"))
    world.assert_no_path_of_the_machine_in(run)


@pytest.mark.registry
def test_a_world_of_few_tools_uses_the_real_server_too(world: World):
    run = run_with(
        world.folder,
        {"filesystem": {"enabled": True}},
        {"a": [write("a.md", "of a"), read("a.md"), LIST, read("a.md")]},
        world={"limits": {"tools_max": 5}},
    )

    assert codes_of(run) == ["done"] * 4
    assert len(run.state().artifacts.by_id[FILES].interface) <= 9


def test_one_directory_holds_no_more_than_its_share(tmp_path: Path):
    files = GenesisFilesystem(McpServerSpec("filesystem", "npx"))
    files.serve(tmp_path, {}, 50_000)
    (tmp_path / "ana").mkdir()
    (tmp_path / "ana" / "big").write_bytes(b"x" * 60_000)

    with pytest.raises(ToolRefused, match="~ana is full: a directory holds 50000 bytes"):
        files.sent("write_file", {"path": "~ana/more", "content": "x"})
    assert files.sent("read_text_file", {"path": "~ana/big"})["path"].endswith("/ana/big")
    assert files.sent("write_file", {"path": "~ben/note", "content": "x"})
    assert files.sent("move_file", {"source": "~ana/big", "destination": "~ben/big"})
