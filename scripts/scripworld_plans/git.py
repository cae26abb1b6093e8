"""Asks git what the plan tools need to know of a repository; changes nothing in it."""

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STEERS_TESTS: Final = tuple(
    f":(glob){folder}*.{kind}"
    for folder in ("", "tests/**/")
    for kind in ("py", "ini", "cfg", "toml")
)
"""Files that decide what pytest or mypy finds and does, though no plan names them."""
COMMIT_FORMAT: Final = "%x00%x00%H%x00=%(trailers:key=Docs-Confirmed,valueonly,unfold)"
"""Two NUL bytes open a commit; between them no text of a commit can stand."""


class NoGit(Exception):
    """Git can't say, so nothing can be compared: no checkout, no commit, no git, a broken index."""


@dataclass(frozen=True)
class Commit:
    """A commit: its hash, the docs that its trailers confirm, and the files that it changed."""

    id: str
    confirmed: frozenset[str]
    files: frozenset[str]


def git(root: Path, *arguments: str, stdin: str = "") -> str:
    """What git prints; where it says no, its own sentence."""
    done = _run(root, arguments, stdin)
    if done.returncode:
        told = os.fsdecode(done.stderr).strip() or f"exit code {done.returncode}"
        raise NoGit(f"git {arguments[0]} failed: {told}")
    return os.fsdecode(done.stdout)


def asked(root: Path, *arguments: str) -> str | None:
    """What git answers to a question that it may deny: None where it does."""
    done = _run(root, arguments, "")
    return None if done.returncode else os.fsdecode(done.stdout).strip()


def _run(root: Path, arguments: Iterable[str], stdin: str) -> subprocess.CompletedProcess[bytes]:
    settings = ("-c", "log.showSignature=false", "-c", "core.fsmonitor=false")
    try:
        return subprocess.run(
            ["git", *settings, *arguments],
            cwd=root,
            capture_output=True,
            input=os.fsencode(stdin),
            check=False,
        )
    except FileNotFoundError as error:
        raise NoGit("git is not installed: install it") from error


def _names(listing: str) -> list[str]:
    return [name for name in listing.split("\0") if name]


def head(root: Path) -> str:
    """The commit that is checked out, where this is the root of a checkout."""
    found = commit_of(root, "HEAD")
    if found is None:
        raise NoGit(f"{root} is no git checkout with a commit: clone the repository, or commit")
    if folder := asked(root, "rev-parse", "--show-prefix"):
        raise NoGit(f"{root} is the folder {folder} of a git repository: plans stand in its root")
    return found


def commit_of(root: Path, name: str) -> str | None:
    """The hash of the commit that a name stands for, or None where git knows none."""
    return asked(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")


def is_shallow(root: Path) -> bool:
    return asked(root, "rev-parse", "--is-shallow-repository") == "true"


def unclean(root: Path) -> list[str]:
    """The files that differ from HEAD or are not tracked; what is ignored does not count."""
    options = ("--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=none")
    return [entry[3:] for entry in _names(git(root, "status", *options, "--no-renames"))]


def overlooked(root: Path) -> list[str]:
    """The files of which git was told not to look whether they changed."""
    return [line[2:] for line in _names(git(root, "ls-files", "-v", "-z")) if line[0] != "H"]


def ignored(root: Path) -> list[str]:
    """The ignored files that decide what tests do, so that no commit tells what was run."""
    options = ("--others", "--ignored", "--exclude-standard", "-z", "--")
    return _names(git(root, "ls-files", *options, *STEERS_TESTS))


def commit_time_s(root: Path, commit: str) -> int | None:
    """When it was committed, in Unix seconds, or None where there is no commit of this hash."""
    told = asked(root, "log", "--max-count=1", "--format=%H %ct", commit, "--") or ""
    found, _, seconds = told.partition(" ")
    return int(seconds) if found == commit else None


def is_ancestor(root: Path, commit: str) -> bool:
    return asked(root, "merge-base", "--is-ancestor", commit, "HEAD") is not None


def newest(root: Path, commits: Iterable[str]) -> str | None:
    """The one of these commits after which the least came, of those that HEAD comes after."""
    kept = [commit for commit in commits if is_ancestor(root, commit)]
    order = ("--topo-order", "--max-count=1")
    return git(root, "rev-list", *order, *kept).strip() if kept else None


def brought(root: Path, file: str, words: str) -> str | None:
    """The newest commit that changed how often words stand in a file, under whatever name it had."""
    options = ("--follow", "--format=%H", f"-S{words}")
    return git(root, "log", *options, "--", file).partition("\n")[0] or None


def files(root: Path) -> list[str]:
    """What is tracked or could be."""
    return _names(git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z"))


def files_at(root: Path, commit: str, folder: str) -> list[str]:
    """The paths below a folder at a commit."""
    return _names(git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", folder))


def text_at(root: Path, commit: str, file: str) -> str | None:
    """What a file held at a commit, links followed, or None where it was not there."""
    told = git(root, "cat-file", "--batch", "--follow-symlinks", stdin=f"{commit}:{file}\n")
    kind, _, text = told.partition("\n")
    return text[:-1] if " blob " in kind else None


def changed(root: Path, base: str, until: str | None = None) -> set[str]:
    """What differs between a commit and another, or the work tree."""
    options = ("--name-only", "--no-renames", "--ignore-submodules=none", "-z", base)
    if until is not None:
        return set(_names(git(root, "diff", *options, until, "--")))
    return {*_names(git(root, "diff", *options, "--")), *unclean(root)}


def commits_since(root: Path, base: str) -> list[Commit]:
    """The commits after a base, the newest first; a merge once for each of its parents."""
    ids = git(root, "rev-list", "--topo-order", f"{base}..HEAD")
    options = ("--stdin", "--always", "-r", "-m", "-z", "--no-renames", "--name-only")
    told = git(root, "diff-tree", *options, f"--format={COMMIT_FORMAT}", stdin=ids)
    found: list[Commit] = []
    for entry in told.split("\0\0")[1:]:
        id, trailers, *names = entry.strip("\0").replace("\0\n", "\0", 1).split("\0")
        confirmed = {line.strip() for line in trailers[1:].split("\n")} - {""}
        found.append(Commit(id, frozenset(confirmed), frozenset(names)))
    return found
