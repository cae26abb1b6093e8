"""The page for newcomers knows every artifact, method and file."""

from pathlib import Path

from scripworld.simulation.config import load_config
from scripworld.simulation.markets import market_figures, markets_from
from scripworld.simulation.natives import BUILT_IN

ROOT = Path(__file__).parents[2]


def test_the_page_on_genesis_names_every_artifact_with_its_methods_and_file():
    lines = (ROOT / "docs" / "architecture" / "genesis.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "| `gen" in line]

    natives = BUILT_IN | markets_from(market_figures(load_config()))
    for native in natives.values():
        row = next(row for row in rows if row[0] == f"`{native.id}`")
        assert row[2] == ", ".join(f"`{name}`" for name in native.methods)
        assert (ROOT / row[1].strip("`")).is_file()
    assert len(rows) == len(natives)
