"""What a run proves of itself, with its own genesis artifacts and without them."""

import shutil
from pathlib import Path

import apsw
import pytest

import scripworld
from scripworld import Run
from scripworld.simulation.natives import UnknownNative
from scripworld.simulation.runs import STORE_FILE
from scripworld.world import Fault, Invoke, LogFault, State

from .test_loops import ORACLE, World


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    world = World(tmp_path_factory.mktemp("runs"))
    return world.run(lambda o: Invoke("genesis_oracle", "ask", {"n": o.step}), until_s=2)


def test_whoever_brings_its_own_natives_proves_all_of_it(made: Run):
    opened = scripworld.open_run(made.id, made.folder.parent, natives=[ORACLE])

    assert opened.verify() == made.verify()
    assert opened.verify().decided


def test_without_them_it_is_said_what_is_missing(made: Run):
    with pytest.raises(
        Fault, match="the run has genesis_oracle, which this program does not know"
    ) as told:
        scripworld.open_run(made.folder).verify()
    assert str(told.value).endswith(f"what made it, scripworld {scripworld.__version__}")
    with pytest.raises(UnknownNative):
        scripworld.open_run(made.folder).verify()


def test_without_them_chain_fold_and_conservation_are_proved(made: Run):
    seen: list[int] = []

    def each(state: State) -> None:
        seen.append(state.seq)

    proof = scripworld.open_run(str(made.folder)).prove_without_deciding(each)

    assert not proof.decided
    whole = made.verify()
    assert (proof.records, proof.supply, proof.head) == (whole.records, whole.supply, whole.head)
    assert seen == list(range(1, proof.records))


def test_without_deciding_a_changed_record_is_found_all_the_same(made: Run, tmp_path: Path):
    folder = Path(shutil.copytree(made.folder, tmp_path / "copy"))
    store = apsw.Connection(str(folder / STORE_FILE))
    ((frames,),) = store.execute("SELECT frames FROM segment ORDER BY first_seq DESC LIMIT 1")
    store.execute(
        "UPDATE segment SET frames = ? WHERE first_seq = (SELECT max(first_seq) FROM segment)",
        (frames[:-1] + bytes([frames[-1] ^ 1]),),
    )
    store.close()

    with pytest.raises(LogFault):
        scripworld.open_run(folder).prove_without_deciding()
