"""The page for newcomers knows every artifact, method and file."""

from pathlib import Path

from scripworld.genesis import EVENT_LOG, HANDBOOK, LEDGER, RIGHTS_REGISTRY, STORE

ROOT = Path(__file__).parents[2]


def test_the_page_on_genesis_names_every_artifact_with_its_methods_and_file():
    lines = (ROOT / "docs" / "architecture" / "genesis.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "| `gen" in line]

    for native in (LEDGER, RIGHTS_REGISTRY, STORE, EVENT_LOG, HANDBOOK):
        row = next(row for row in rows if row[0] == f"`{native.id}`")
        assert row[2] == ", ".join(f"`{name}`" for name in native.methods)
        assert (ROOT / row[1].strip("`")).is_file()
    assert len(rows) == 5
