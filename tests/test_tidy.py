"""Rules of the repository that no linter knows."""

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "src").rglob("*.py"))
LINES_MAX = 450  # one idea a file; a longer one holds two

# The outermost edges of a program, where anything may arrive: path and why.
CATCHES_EVERYTHING = {
    "src/interfaces/cli.py": "a user sees a sentence, never a traceback",
    "src/agents/loop.py": "a mind is a stranger's code: it is stopped, and the run goes on",
    "src/simulation/performing.py": "a performer is a stranger's code: its effect fails, no more",
    "src/adapters/quantum_worker.py": "a simulator raises anything, panics too: its job fails, no more",
    "src/simulation/minds.py": "what makes a mind is a stranger's code: a user sees a sentence",
}

# Written in pieces, so that this file does not hold what it forbids.
REGISTRY_HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "yarn" + "pkg.com",
]
MACHINE_PATH = re.compile("/" + r"(?:home|Users)/\w|/" + r"root/|/" + r"work/(?:main|shared)\b")

IMPURE_MODULES = {"datetime", "os", "random", "secrets", "threading", "time", "uuid"}
IMPURE_CALLS = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), name_of(path))


@pytest.fixture(scope="module")
def tracked_texts() -> dict[str, str]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("what is tracked is known in a git checkout only: clone the repository")
    paths = [ROOT / name for name in os.fsdecode(listing.stdout).split("\0") if name]
    return {
        name_of(path): path.read_text(encoding="utf-8", errors="replace")
        for path in paths
        if path.is_file() and ROOT / "typings" not in path.parents
    }


def test_a_source_file_holds_one_idea():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}

    assert {name: lines for name, lines in lengths.items() if lines > LINES_MAX} == {}


def test_every_module_says_what_it_owns():
    assert [name_of(path) for path in MODULES if not ast.get_docstring(tree_of(path))] == []


def test_the_list_of_packages_equals_the_tree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {path.parent.relative_to(ROOT / "src") for path in MODULES}
    world = {".".join(("scripworld", *folder.parts)) for folder in folders}

    listed = project["tool"]["setuptools"]["packages"]

    assert sorted(listed) == sorted({*world, "scripworld_plans"})


def test_every_folder_with_modules_is_a_package():
    assert [p for p in {path.parent for path in MODULES} if not (p / "__init__.py").is_file()] == []


def test_type_checkers_find_the_package_by_its_name():
    link = ROOT / "typings" / "scripworld"

    assert link.is_symlink()
    assert link.readlink() == Path("../src")


def test_no_file_names_the_host_of_a_package_registry(tracked_texts):
    found = [
        (name, host)
        for name, text in tracked_texts.items()
        for host in REGISTRY_HOSTS
        if host in text
    ]

    assert found == []


def test_no_file_names_a_place_on_somebodys_machine(tracked_texts):
    found = [
        (name, hit[0])
        for name, text in tracked_texts.items()
        for hit in MACHINE_PATH.finditer(text)
    ]

    assert found == []


def test_only_the_outermost_edge_catches_everything():
    catching = {
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        if name_of(path) not in CATCHES_EVERYTHING
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    }

    assert catching == set()


def catches_everything(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False  # it cleans up and passes the error on
    if handler.type is None:
        return True
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return not names.isdisjoint({"Exception", "BaseException"})


def test_the_world_has_no_clock_no_chance_and_no_files():
    found = [
        f"{name_of(path)}:{node.lineno}: {name}"
        for path in MODULES
        if ROOT / "src" / "world" in path.parents
        for node in ast.walk(tree_of(path))
        for name in impurities(node)
    ]

    assert found == []


def impurities(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names} & IMPURE_MODULES
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {(node.module or "").partition(".")[0]} & IMPURE_MODULES
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return {node.func.id} & IMPURE_CALLS
    return set()
