"""The couplings of sources and docs, over small repositories."""

import pytest

from .plan_lab import Repository, make_repository

TOOL = "check_doc_coupling.py"
COUPLINGS = "scripts/doc_coupling.yaml"
BELOW = "expected a file below the root, such as src/world/*.py, not "
CHANGED = "def total(*amounts: int) -> int:\n    return sum(amounts, 0)\n"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("coupling"))


@pytest.fixture
def repository(first: Repository, tmp_path) -> Repository:
    return first.copy(tmp_path)


@pytest.fixture(scope="module")
def proved(first: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The plan was completed two commits ago, and a source has changed since."""
    repository = first.copy(tmp_path_factory.mktemp("proved"))
    assert repository.run("complete_plan.py", "--plan", "1").returncode == 0
    repository.commit("complete")
    repository.write("src/ledger.py", CHANGED)
    repository.commit()
    return repository


def test_nothing_changed_is_fine(repository):
    done = repository.run(TOOL, "--strict")

    assert done.returncode == 0
    assert done.stdout.startswith("1 couplings are kept since ")


@pytest.mark.parametrize("committed", [False, True])
def test_a_changed_source_asks_for_its_docs(repository, committed):
    repository.write("src/ledger.py", CHANGED)
    if committed:
        repository.commit()

    advice, strict = repository.run(TOOL), repository.run(TOOL, "--strict")

    assert (advice.returncode, strict.returncode) == (0, 1)
    assert advice.stdout == strict.stdout
    assert strict.stdout.startswith(
        "docs/ledger.md: src/ledger.py changed (It tells the sum). Change"
    )


@pytest.mark.parametrize("committed", [False, True])
def test_a_doc_that_changed_too_is_enough(repository, committed):
    repository.write("src/ledger.py", CHANGED)
    repository.write("docs/ledger.md", "# The ledger\n\nIt sums.\n")
    if committed:
        repository.commit()

    assert repository.run(TOOL, "--strict").returncode == 0


def test_a_commit_confirms_a_doc_by_name(repository):
    repository.write("src/ledger.py", CHANGED)
    repository.commit("Sums begin at 0\n\nDocs-Confirmed: docs/ledger.md\n")

    assert repository.run(TOOL, "--strict").returncode == 0


@pytest.mark.parametrize("trailer", ["docs/other.md", "docs", "all"])
def test_confirming_something_else_is_not_enough(repository, trailer):
    repository.write("src/ledger.py", CHANGED)
    repository.commit(f"Sums begin at 0\n\nDocs-Confirmed: {trailer}\n")

    assert repository.run(TOOL, "--strict").returncode == 1


def test_words_that_are_no_trailer_confirm_nothing(repository):
    repository.write("src/ledger.py", CHANGED)
    repository.commit("Sums\n\nDocs-Confirmed: docs/ledger.md\n\nor so one might think\n")

    assert repository.run(TOOL, "--strict").returncode == 1


@pytest.mark.parametrize("committed", [False, True])
def test_a_confirmation_is_no_word_on_what_comes_later(repository, committed):
    repository.write("src/ledger.py", CHANGED)
    repository.commit("Sums begin at 0\n\nDocs-Confirmed: docs/ledger.md\n")
    repository.write("src/ledger.py", CHANGED.replace("0", "1"))
    if committed:
        repository.commit()

    assert repository.run(TOOL, "--strict", "--base", "main~1").returncode == 1


def test_a_source_that_was_deleted_or_is_new_counts(repository):
    repository.write("src/hold.py", "HELD = 1\n")
    added = repository.told(TOOL, "--strict")
    (repository.root / "src/hold.py").unlink()
    (repository.root / "src/ledger.py").unlink()
    repository.write("src/rest.py", "REST = 1\n")
    deleted = repository.told(TOOL, "--strict")

    assert added[0] == deleted[0] == 1
    assert added[1]["unkept"][0]["sources"] == ["src/hold.py"]
    assert deleted[1]["unkept"][0]["sources"] == ["src/ledger.py", "src/rest.py"]


def test_a_branch_is_compared_with_where_it_left_main(repository):
    repository.git("switch", "--quiet", "--create", "work")
    repository.write("src/ledger.py", CHANGED)
    repository.commit()
    repository.commit("something else")

    assert repository.run(TOOL, "--strict").returncode == 1
    assert repository.run(TOOL, "--strict", "--base", "HEAD^").returncode == 0


def test_suggest_lists_the_docs_alone(repository):
    before = repository.run(TOOL, "--suggest")
    repository.write("src/ledger.py", CHANGED)
    after = repository.run(TOOL, "--suggest")

    assert before.stdout == "No doc has to be looked at.\n"
    assert (after.returncode, after.stdout) == (0, "docs/ledger.md\n")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("docs/ledger.md", "docs/legder.md", "there is no docs/legder.md (the nearest is docs/led"),
        (r"src/\*.py", "src/*.rs", "there is no src/*.rs"),
        (r"src/\*.py", "source/ledger.py", "there is no source/ledger.py (the nearest is src/le"),
        ("docs/ledger.md", "docs", "docs is a folder: name its files, one by one or as docs/*.py"),
        (r"src/\*.py", "src", "src is a folder: name its files"),
    ],
)
def test_a_coupling_that_names_what_is_not_there_fails(repository, old, new, told):
    repository.change(COUPLINGS, old, new)

    done = repository.run(TOOL)

    assert done.returncode == 1
    assert done.stdout.startswith(f"{COUPLINGS}:2: {told}")


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("couplings: [\n", 2, "expected YAML"),
        ("pages: []\n", 1, "expected the one key `couplings`"),
        ("couplings: []\n", 1, "expected the one key `couplings`"),
        ("couplings: [a]\ncouplings: [b]\n", 1, "expected the one key `couplings`"),
        ("couplings: [2030-13-45]\n", 1, "expected exactly sources, docs, why"),
        ("couplings: " + "[" * 3000, 1, "expected YAML"),
        ("couplings: [\x07]\n", 1, "expected a text without the character U+0007"),
        ("couplings:\n  - \ufeffx\n", 2, "expected a text without a byte order mark"),
        ("couplings: {a: b}\n", 1, "expected `couplings` to be a list"),
        ("couplings:\n  - sources: [a]\n    docs: [b]\n", 2, "expected exactly sources, docs, why"),
        ("couplings:\n  - {sources: a, docs: [b], why: c}\n", 2, "expected `sources` to be a list"),
        ("couplings:\n  - {sources: [a], docs: [b], why: ''}\n", 2, "expected words in `why`"),
        (
            "couplings:\n  - {sources: [a], sources: [c], docs: [b], why: d}\n",
            2,
            "expected exactly sources, docs, why",
        ),
        *(
            (f"couplings:\n  - {{sources: [a], docs: ['{file}'], why: c}}\n", 2, f"{BELOW}`{file}`")
            for file in (
                "",
                ".",
                "./a",
                "a/",
                "a//b",
                "../a",
                "a/../b",
                "/etc/*.conf",
                "**/a",
                "a**",
            )
        ),
    ],
)
def test_malformed_couplings_are_told_with_their_line(repository, text, line, expected):
    repository.write(COUPLINGS, text)

    done = repository.run(TOOL)

    assert done.returncode == 2
    assert done.stderr.startswith(f"{repository.root / COUPLINGS}:{line}: {expected}")


def test_couplings_that_are_no_text_are_told(repository):
    (repository.root / COUPLINGS).write_bytes(b"couplings:\n  - \xe4\n")

    done = repository.run(TOOL)

    assert done.returncode == 2
    assert done.stderr.startswith(f"{repository.root / COUPLINGS}:2: expected UTF-8")


@pytest.mark.parametrize(
    ("pattern", "file", "code"),
    [
        ("src/ledger.py", "vendor/src/ledger.py", 0),
        ("src/*.py", "src/world/hold.py", 0),
        ("src/*/*.py", "src/world/hold.py", 1),
        ("s[r]c/h?ld.py", "src/hold.py", 1),
    ],
)
def test_a_source_is_a_whole_path(repository, pattern, file, code):
    repository.change(COUPLINGS, r"\[src/\*.py\]", f"[src/ledger.py, '{pattern}']")
    for name in ("src/hold.py", "src/world/hold.py"):
        repository.write(name, "HELD = 1\n")
    repository.commit()
    repository.write(file, "HELD = 2\n")

    assert repository.run(TOOL, "--strict", "--base", "HEAD").returncode == code


def test_on_main_all_is_compared_that_came_after_the_last_proof(proved, tmp_path):
    repository = proved.copy(tmp_path)
    repository.write("notes.txt", "words")
    repository.commit()
    later = repository.told(TOOL, "--strict")
    again = repository.run("complete_plan.py", "--plan", "1")
    repository.git("reset", "--quiet", "--hard", "HEAD~2")
    follow_up = repository.told(TOOL, "--strict")

    base = repository.git("rev-parse", "HEAD~1")
    assert (later[0], later[1]["base"]) == (1, base)
    assert "docs/ledger.md: src/ledger.py changed" in again.stdout
    assert (follow_up[0], follow_up[1]["base"]) == (0, base)


@pytest.mark.parametrize(("depth", "code"), [(1, 2), (2, 2), (3, 1)])
def test_a_history_that_is_cut_off_is_not_compared(proved, tmp_path, depth, code):
    cut = tmp_path / "cut"
    proved.git("clone", "--quiet", f"--depth={depth}", f"file://{proved.root}", str(cut))

    done = Repository(cut).run(TOOL, "--strict")
    named = Repository(cut).run(TOOL, "--strict", "--base", "HEAD~2")

    assert (done.returncode, named.returncode) == (code, code)
    assert done.stderr.startswith("The history is cut off: `git fetch --unshallow`" * (code == 2))


def test_a_branch_whose_main_is_cut_off_is_not_compared(repository, tmp_path_factory):
    repository.git("switch", "--quiet", "--create", "work")
    repository.write("src/ledger.py", CHANGED)
    repository.commit()
    repository.commit("something else")
    cut = tmp_path_factory.mktemp("cut")
    options = ("--quiet", "--depth=2", "--no-single-branch", "--branch=work")
    repository.git("clone", *options, f"file://{repository.root}", str(cut))

    done = Repository(cut).run(TOOL, "--strict")

    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    "trailer",
    ["docs/legder.md", "`docs/ledger.md`", "./docs/ledger.md", "docs/ledger.md, docs/more.md"],
)
def test_a_confirmation_that_names_no_coupled_doc_is_told(repository, trailer):
    repository.write("src/ledger.py", CHANGED)
    id = repository.commit(f"Sums begin at 0\n\nDocs-Confirmed: {trailer}\n")

    done = repository.run(TOOL, "--strict")

    assert done.returncode == 1
    assert done.stdout.endswith(
        f"commit {id[:12]} confirms `{trailer}`, which no coupling names: write a trailer for each "
        "doc, such as `Docs-Confirmed: docs/ledger.md`\n"
    )


def test_what_a_commit_says_in_between_confirms_nothing(repository):
    repository.write("src/ledger.py", CHANGED)
    repository.commit("Sums\n\n\x01\x02Docs-Confirmed: \x02docs/ledger.md\x01\n")
    repository.git("switch", "--quiet", "--create", "side", "HEAD^")
    repository.write("notes.txt", "words")
    repository.commit()
    repository.git("switch", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-edit", "side")

    done = repository.run(TOOL, "--strict", "--base", "HEAD^1~1")

    assert (done.returncode, done.stdout.partition(":")[0]) == (1, "docs/ledger.md")


def test_what_cannot_be_compared_is_told(repository, tmp_path_factory):
    nowhere = repository.run(TOOL, "--base", "nowhere")
    nothing = repository.run(TOOL, "--base", "")
    bare = repository.copy(tmp_path_factory.mktemp("bare"))
    (bare.root / ".git").rename(bare.root / "no_git")
    (bare.root / COUPLINGS).unlink()
    missing = bare.run(TOOL)

    assert (nowhere.returncode, nothing.returncode, missing.returncode) == (2, 2, 2)
    assert nowhere.stderr.startswith("git knows no commit `nowhere`: name one with --base")
    assert nothing.stderr.startswith("git knows no commit ``: name one with --base")
    assert missing.stderr.startswith(f"{bare.root / COUPLINGS}:1: expected a file that is there")


def test_json_is_one_object(repository):
    repository.write("src/ledger.py", CHANGED)

    code, told = repository.told(TOOL)

    assert (code, told["ok"], told["couplings"], told["missing"]) == (0, True, 1, [])
    assert told["unkept"] == [
        {"doc": "docs/ledger.md", "sources": ["src/ledger.py"], "why": "It tells the sum"}
    ]
