"""Says which docs must change, or be confirmed, because of what changed since a commit.

The couplings stand in scripts/doc_coupling.yaml. A doc is confirmed by a trailer of the commit
that changes the sources, or of a later one: `Docs-Confirmed: docs/a_page.md`. Without --strict a doc
that has to be looked at is only told. Exit codes: 0 fine; 1 a coupling names a file that is not
there, or, with --strict, a doc has to be looked at; 2 wrong usage, malformed couplings, no git.
"""

import argparse
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from . import git
from .answer import Answer, Unusable
from .plan import MalformedPlan

FILE: Final = "scripts/doc_coupling.yaml"
KEYS: Final = ("sources", "docs", "why")


@dataclass(frozen=True)
class Coupling:
    """Sources (paths, or patterns such as src/world/*.py), the docs that tell of them, and why."""

    sources: tuple[str, ...]
    docs: tuple[str, ...]
    why: str
    line: int

    def holds(self, file: str) -> bool:
        return any(PurePosixPath(file).match(pattern) for pattern in self.sources)


@dataclass(frozen=True)
class Unkept:
    """A doc that was neither changed nor confirmed after its sources were."""

    doc: str
    sources: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        return (
            f"{self.doc}: {', '.join(self.sources)} changed ({self.why}). Change it too, or say in "
            f"the commit's message that it still holds: `Docs-Confirmed: {self.doc}`"
        )


def read_couplings(root: Path) -> list[Coupling]:
    try:
        text = (root / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MalformedPlan(FILE, 1, "expected the couplings here; the file is missing") from None
    return parse_couplings(FILE, text)


def parse_couplings(name: str, text: str) -> list[Coupling]:
    """Reads the couplings; each fault is told with its line."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise MalformedPlan(name, line, f"expected YAML; {error.problem}") from error
    if (
        not isinstance(node, yaml.MappingNode)
        or set(value) != {"couplings"}
        or not value["couplings"]
    ):
        raise MalformedPlan(name, 1, "expected the one key `couplings`, a list that is not empty")
    [(_, entries)] = node.value
    if not isinstance(entries, yaml.SequenceNode):
        raise MalformedPlan(name, 1, "expected `couplings` to be a list")
    lines = [entry.start_mark.line + 1 for entry in entries.value]
    return [
        _coupling(name, line, entry) for line, entry in zip(lines, value["couplings"], strict=True)
    ]


def _coupling(name: str, line: int, entry: Any) -> Coupling:
    if not isinstance(entry, dict) or set(entry) != set(KEYS):
        raise MalformedPlan(name, line, f"expected exactly {', '.join(KEYS)}")
    for key in ("sources", "docs"):
        files = entry[key]
        if not isinstance(files, list) or not files or not all(isinstance(f, str) for f in files):
            raise MalformedPlan(name, line, f"expected `{key}` to be a list of files")
    if not isinstance(entry["why"], str) or not entry["why"].strip():
        raise MalformedPlan(name, line, "expected words in `why`")
    why = " ".join(entry["why"].split()).rstrip(".")
    return Coupling(tuple(entry["sources"]), tuple(entry["docs"]), why, line)


def dangling(root: Path, couplings: Sequence[Coupling]) -> list[str]:
    """The files that couplings name and that are not there, as sentences."""
    return list(_dangling(root, couplings))


def _dangling(root: Path, couplings: Sequence[Coupling]) -> Iterator[str]:
    for coupling in couplings:
        for file in (*coupling.sources, *coupling.docs):
            pattern = file in coupling.sources and any(sign in file for sign in "*?[")
            there = any(root.glob(file)) if pattern else (root / file).is_file()
            if not there:
                folder = (root / file).parent
                names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
                near = difflib.get_close_matches(Path(file).name, names, n=1)
                hint = f" (the nearest is {PurePosixPath(file).with_name(near[0])})" if near else ""
                yield f"{FILE}:{coupling.line}: there is no {file}{hint}: name what is there"


def unkept(root: Path, couplings: Sequence[Coupling], base: str) -> list[Unkept] | None:
    """The docs that have to be looked at, or None where git does not know the base.

    A confirmation counts for what was committed before it or with it, not for what came later.
    """
    changed = git.changed_since(root, base)
    if changed is None:
        return None
    unclean = set(git.unclean(root))
    commits = list(git.commits_since(root, base))
    found: list[Unkept] = []
    for coupling in couplings:
        sources = sorted(file for file in changed if coupling.holds(file))
        for doc in coupling.docs if sources else ():
            confirmed = _confirmed(coupling, doc, commits) and unclean.isdisjoint(sources)
            if doc not in changed and not confirmed:
                found.append(Unkept(doc, tuple(sources), coupling.why))
    return found


def _confirmed(coupling: Coupling, doc: str, commits: Sequence[git.Commit]) -> bool:
    for commit in commits:  # the newest first
        if doc in commit.confirmed:
            return True
        if any(coupling.holds(file) for file in commit.files):
            return False
    return False


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base",
        metavar="COMMIT",
        help="compare with this commit (default: where the branch left main; on main, HEAD^)",
    )
    parser.add_argument("--suggest", action="store_true", help="only list the docs to look at")
    parser.add_argument("--strict", action="store_true", help="fail where a doc is to be looked at")


def command(options: argparse.Namespace, root: Path) -> Answer:
    couplings = read_couplings(root)
    git.head(root)
    base = options.base or git.usual_base(root)
    missing = dangling(root, couplings)
    behind = unkept(root, couplings, base)
    if behind is None:
        raise Unusable(f"git knows no commit {base}: name one with --base, such as main or HEAD~1.")
    lines = [*missing, *map(str, behind)]
    if options.suggest:
        docs = sorted({each.doc for each in behind})
        lines = docs or ["No doc has to be looked at."]
    elif not lines:
        lines = [f"{len(couplings)} couplings are kept since {base[:12]}."]
    fields = {
        "base": base,
        "couplings": len(couplings),
        "missing": missing,
        "unkept": [vars(each) for each in behind],
    }
    return Answer(not missing and not (options.strict and behind), lines, fields)
