"""Says which docs must change, or be confirmed, because of what changed since a commit.

The couplings stand in scripts/doc_coupling.yaml. A doc is confirmed by a trailer of the commit
that changes the sources, or of a later one: `Docs-Confirmed: docs/a_page.md`. Compared is with the
commit where the branch left main; on main itself with the newest that the evidence of a complete
plan names, else with the commit before. Without --strict a doc that has to be looked at is only
told. Exit codes: 0 fine; 1 a coupling names a file that is not there, or, with --strict, a doc has
to be looked at; 2 wrong usage, malformed couplings, no git, or a history that is cut off.
"""

import argparse
import difflib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from . import git
from .answer import Answer, Unusable
from .plan import MalformedPlan, read_plans, read_text

FILE: Final = "scripts/doc_coupling.yaml"
KEYS: Final = ("sources", "docs", "why")
CUT_OFF: Final = "The history is cut off: `git fetch --unshallow`, or name a base with --base."


@dataclass(frozen=True)
class Coupling:
    """Sources (paths, or patterns such as src/world/*.py), the docs that tell of them, and why."""

    sources: tuple[str, ...]
    docs: tuple[str, ...]
    why: str
    line: int

    def holds(self, file: str) -> bool:
        return any(matches(file, pattern) for pattern in self.sources)


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


def matches(file: str, pattern: str) -> bool:
    """Whether a pattern holds a file: as many parts, and each its own."""
    parts, wanted = file.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def read_couplings(root: Path) -> tuple[Coupling, ...]:
    return parse_couplings(root / FILE, read_text(root / FILE))


@functools.cache
def parse_couplings(name: Path | str, text: str) -> tuple[Coupling, ...]:
    """Reads the couplings; each fault is told with its line."""
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        value = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        words = getattr(error, "problem", None) or "it is nested too deep, or is no text"
        raise MalformedPlan(
            name, mark.line + 1 if mark else 1, f"expected YAML; {words}"
        ) from error
    if (
        not isinstance(node, yaml.MappingNode)
        or [key.value for key, _ in node.value] != ["couplings"]
        or not value["couplings"]
    ):
        raise MalformedPlan(name, 1, "expected the one key `couplings`, a list that is not empty")
    [(_, entries)] = node.value
    if not isinstance(entries, yaml.SequenceNode):
        raise MalformedPlan(name, 1, "expected `couplings` to be a list")
    pairs = zip(entries.value, value["couplings"], strict=True)
    return tuple(_coupling(name, node, entry) for node, entry in pairs)


def _coupling(name: Path | str, node: yaml.Node, entry: Any) -> Coupling:
    line = node.start_mark.line + 1
    mapping = isinstance(node, yaml.MappingNode)
    if not mapping or sorted(str(key.value) for key, _ in node.value) != sorted(KEYS):
        raise MalformedPlan(name, line, f"expected exactly {', '.join(KEYS)}")
    for key in ("sources", "docs"):
        files = entry[key]
        if not isinstance(files, list) or not files or not all(isinstance(f, str) for f in files):
            raise MalformedPlan(name, line, f"expected `{key}` to be a list of files")
        for file in files:
            path = PurePosixPath(file)
            odd = path.is_absolute() or "**" in file or {".", ".."} & set(file.split("/"))
            if odd or str(path) != file or not file.isprintable():
                words = f"expected a file below the root, such as src/world/*.py, not `{file}`"
                raise MalformedPlan(name, line, words)
    if not isinstance(entry["why"], str) or not entry["why"].strip():
        raise MalformedPlan(name, line, "expected words in `why`")
    why = " ".join(entry["why"].split()).rstrip(".")
    return Coupling(tuple(entry["sources"]), tuple(entry["docs"]), why, line)


def dangling(root: Path, couplings: Sequence[Coupling]) -> Iterator[str]:
    """The files that couplings name and that are not there, as sentences."""
    files = [file for file in git.files(root) if (root / file).is_file()]
    for coupling in couplings:
        for name in (*coupling.sources, *coupling.docs):
            there = [file for file in files if matches(file, name)]
            if there and (name in coupling.sources or name in there):
                continue
            if any(file.startswith(f"{name}/") for file in files):
                words = f"{name} is a folder: name its files, one by one or as {name}/*.py"
            else:
                near = difflib.get_close_matches(name, files, n=1)
                hint = f" (the nearest is {near[0]})" if near else ""
                words = f"there is no {name}{hint}: name what is there"
            yield f"{FILE}:{coupling.line}: {words}"


def usual_base(root: Path) -> str:
    """Where the work began that is to be looked at; the docstring of this module tells the rule.

    Raises Unusable where a shallow clone lacks it.
    """
    head = git.head(root)
    for main in ("origin/main", "main"):
        base = git.asked(root, "merge-base", "HEAD", main)
        if base and base != head:
            return base
    plans = read_plans(root).values()
    proofs = [plan.evidence.commit for plan in plans if plan.evidence and plan.status == "complete"]
    if base := git.newest(root, proofs):
        return base
    if git.is_shallow(root):
        raise Unusable(CUT_OFF)
    return git.commit_of(root, "HEAD^1") or head


def unkept(root: Path, couplings: Sequence[Coupling], base: str) -> list[Unkept]:
    """The docs that have to be looked at.

    A confirmation counts for what was committed before it or with it, not for what came later.
    """
    changed = git.changed(root, base)
    unclean = set(git.unclean(root))
    commits = git.commits_since(root, base)
    found: list[Unkept] = []
    for coupling in couplings:
        sources = sorted(file for file in changed if coupling.holds(file))
        for doc in coupling.docs if sources else ():
            confirmed = _confirmed(coupling, doc, commits) and unclean.isdisjoint(sources)
            if doc not in changed and not confirmed:
                found.append(Unkept(doc, tuple(sources), coupling.why))
    return found


def astray(root: Path, couplings: Sequence[Coupling], base: str) -> list[str]:
    """The confirmations that name no coupled doc, as sentences."""
    docs = sorted({doc for coupling in couplings for doc in coupling.docs})
    told = {}
    for commit in git.commits_since(root, base):
        for name in sorted(commit.confirmed.difference(docs)):
            near = difflib.get_close_matches(name, docs, n=1, cutoff=0.0)[0]
            told[commit.id, name] = (
                f"commit {commit.id[:12]} confirms `{name}`, which no coupling names: "
                f"write a trailer for each doc, such as `Docs-Confirmed: {near}`"
            )
    return list(told.values())


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
        help="compare with this commit (default: where the branch left main; on main the newest "
        "that evidence names, else the commit before)",
    )
    parser.add_argument("--suggest", action="store_true", help="only list the docs to look at")
    parser.add_argument("--strict", action="store_true", help="fail where a doc is to be looked at")


def command(options: argparse.Namespace, root: Path) -> Answer:
    couplings = read_couplings(root)
    git.head(root)
    base = usual_base(root) if options.base is None else git.commit_of(root, options.base)
    if base is None:
        words = (
            f"git knows no commit `{options.base}`: name one with --base, such as main or HEAD~1."
        )
        raise Unusable(CUT_OFF if git.is_shallow(root) else words)
    missing = list(dangling(root, couplings))
    behind = unkept(root, couplings, base)
    strays = astray(root, couplings, base)
    lines = [*missing, *map(str, behind)]
    if options.suggest:
        docs = sorted({each.doc for each in behind})
        lines = [*missing, *(docs or ["No doc has to be looked at."])]
    else:
        lines = [*(lines or [f"{len(couplings)} couplings are kept since {base[:12]}."]), *strays]
    fields = {
        "base": base,
        "couplings": len(couplings),
        "missing": missing,
        "unkept": [vars(each) for each in behind],
        "astray": strays,
    }
    return Answer(not missing and not (options.strict and behind), lines, fields)
