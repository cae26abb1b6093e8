"""Asks git what the plan tools need to know of a repository; changes nothing in it."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class NoGit(Exception):
    """The folder is no git checkout, or has no commit, or git is not installed."""


@dataclass(frozen=True)
class Commit:
    """A commit: its hash, the docs that its trailers confirm, and the files that it changed."""

    id: str
    confirmed: frozenset[str]
    files: frozenset[str]


def git(root: Path, *arguments: str) -> str | None:
    """What git prints, or None where it says no."""
    try:
        done = subprocess.run(
            ["git", "-c", "core.quotePath=false", *arguments],
            cwd=root,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError as error:
        raise NoGit("git is not installed: install it") from error
    return os.fsdecode(done.stdout) if done.returncode == 0 else None


def head(root: Path) -> str:
    found = git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if found is None:
        raise NoGit(f"{root} is no git checkout with a commit: clone the repository, or commit")
    return found.strip()


def unclean(root: Path) -> list[str]:
    """The files that differ from HEAD or are not tracked; what is ignored does not count."""
    status = git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames")
    return [entry[3:] for entry in (status or "").split("\0") if entry]


def commit_time_s(root: Path, commit: str) -> int | None:
    """When it was committed, in Unix seconds, or None where there is no such commit."""
    if git(root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        return None
    return int((git(root, "show", "--no-patch", "--format=%ct", commit) or "0").strip())


def is_ancestor(root: Path, commit: str) -> bool:
    return git(root, "merge-base", "--is-ancestor", commit, "HEAD") is not None


def files_at(root: Path, commit: str, folder: str) -> list[str]:
    """The paths below a folder at a commit."""
    listing = git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", folder)
    return [name for name in (listing or "").split("\0") if name]


def text_at(root: Path, commit: str, file: str) -> str | None:
    return git(root, "show", f"{commit}:{file}")


def usual_base(root: Path) -> str:
    """Where this work began: the last commit shared with main; on main itself, the commit before."""
    for main in ("origin/main", "main"):
        base = (git(root, "merge-base", "HEAD", main) or "").strip()
        if base and base != head(root):
            return base
    before = git(root, "rev-parse", "--verify", "--quiet", "HEAD^1")
    return before.strip() if before else head(root)


def changed_since(root: Path, base: str) -> set[str] | None:
    """What differs between a commit and the work tree, or None where git does not know the commit."""
    commit = git(root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}")
    if commit is None:
        return None
    listing = git(root, "diff", "--name-only", "--no-renames", "-z", commit.strip(), "--") or ""
    return {name for name in listing.split("\0") if name} | set(unclean(root))


def commits_since(root: Path, base: str) -> Iterator[Commit]:
    """The commits after a base, the newest first."""
    for id in (git(root, "rev-list", "--topo-order", f"{base}..HEAD") or "").split():
        trailers = git(
            root,
            *("show", "--no-patch"),
            "--format=%(trailers:key=Docs-Confirmed,valueonly,unfold)",
            id,
        )
        files = git(root, "diff-tree", "-r", "-m", "--no-commit-id", "--name-only", "-z", id) or ""
        confirmed = frozenset(line.strip() for line in (trailers or "").splitlines())
        yield Commit(id, confirmed - {""}, frozenset(files.split("\0")) - {""})
