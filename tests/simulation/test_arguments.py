"""What `run` and `resume` are given: what cannot be used is said in a sentence, and leaves no folder."""

from pathlib import Path
from typing import Any

import pytest

import scripworld
from scripworld import Scenario
from scripworld.agents.mind import Rules, Scripted
from scripworld.world import ConfigurationFault, Stop

from .lab import SECOND_US
from .test_loops import World, count

OWN = Scenario.model_validate(
    {
        "name": "own",
        "until_us": SECOND_US,
        "agents": [
            {"id": "keeper", "mind": "hoarder", "count": 2, "scrip": 5, "quotas": {"compute": 50}}
        ],
        "config": {
            "genesis": {
                "mcp": {"servers": {n: {"enabled": False} for n in ("filesystem", "fetch")}}
            }
        },
    }
)


class Still(Rules):
    def choose(self, observation: object) -> Stop:
        return Stop("that is all")


def run(runs: Path, **arguments: Any) -> scripworld.Run:
    return scripworld.run(OWN, settings={"store": {"runs_dir": str(runs)}}, **arguments)


def fault_of(runs: Path, **arguments: Any) -> str:
    """The sentence that a run is refused with; nothing is left behind."""
    with pytest.raises(ConfigurationFault) as caught:
        run(runs, **arguments)
    assert not runs.exists() or list(runs.iterdir()) == []
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("mind", [Still, Still(), lambda: Scripted([]), Scripted([])])
@pytest.mark.parametrize("key", ["hoarder", "keeper_1"])
def test_a_mind_is_given_by_name_or_by_agent_as_itself_or_as_what_makes_it(
    tmp_path: Path, key: str, mind: Any
):
    run(tmp_path, minds={key: mind}).verify()


def test_a_mind_that_no_scenario_names_may_be_given_if_the_library_has_it(tmp_path: Path):
    run(tmp_path, minds={"reader": Still}).verify()


def test_a_mind_for_nobody_is_refused_with_the_nearest_name(tmp_path: Path):
    runs = tmp_path / "runs"

    assert fault_of(runs, minds={"hoardr": Still}) == (
        "minds['hoardr']: this is no mind's name and no agent's id; "
        "the nearest known one is 'hoarder'"
    )
    assert "nearest known one is 'keeper_1'" in fault_of(runs, minds={"keeper1": Still})
    assert not runs.exists()


@pytest.mark.parametrize("value", [None, 5, "hoarder", object()])
def test_what_can_be_no_mind_is_refused(tmp_path: Path, value: Any):
    runs = tmp_path / "runs"

    text = fault_of(runs, minds={"hoarder": value})

    assert text.startswith("minds['hoarder']: ")
    assert "is no mind (it has no method `decide`)" in text
    assert not runs.exists()


def test_minds_for_nobody_are_refused_when_a_run_goes_on(tmp_path: Path):
    made = run(tmp_path)

    with pytest.raises(ConfigurationFault, match=r"minds\['hoardr'\].*'hoarder'"):
        scripworld.resume(made.folder, until_us=2 * SECOND_US, minds={"hoardr": Still})


def test_a_factory_that_raises_is_told_in_a_sentence(tmp_path: Path):
    def factory() -> Any:
        raise KeyError("no\nkey")

    assert fault_of(tmp_path, minds={"hoarder": factory}) == (
        "agent keeper_1: making its mind 'hoarder' failed: KeyError: 'no\\nkey'"
    )


@pytest.mark.parametrize("factory", [dict, int, lambda: None, lambda: Still])
def test_a_factory_that_makes_no_mind_is_told_in_a_sentence(tmp_path: Path, factory: Any):
    text = fault_of(tmp_path, minds={"hoarder": factory})

    assert text.startswith("agent keeper_1: what makes its mind 'hoarder' made ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"until_us": 0}, "until_us is an integer from 1 to "),
        ({"until_us": -5}, "until_us is an integer from 1 to "),
        ({"until_us": 1.5}, "until_us is an integer from 1 to "),
        ({"until_us": True}, "until_us is an integer from 1 to "),
        ({"until_us": 2**63}, "until_us is an integer from 1 to "),
        ({"steps": 0}, "steps is an integer from 1 to "),
        ({"steps": "5"}, "steps is an integer from 1 to "),
        ({"seed": -1}, "A seed is an integer from 0 to "),
        ({"seed": "1"}, "A seed is an integer from 0 to "),
        ({"seed": 2**63}, "A seed is an integer from 0 to "),
        ({"agents": "5"}, "agents is an integer from 1, not '5'"),
        ({"agents": 2.0}, "agents is an integer from 1, not 2.0"),
        ({"agents": 0}, "The number of agents is from 1 to "),
        ({"clock": "walls"}, "clock: there is no clock 'walls'; the nearest known one is 'wall'"),
        ({"clock": 5}, "clock: there is no clock 5; known are virtual, wall"),
        ({"config": 5}, "config is the path of a file, not 5"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(
    tmp_path: Path, arguments: dict[str, Any], said: str
):
    assert fault_of(tmp_path / "runs", **arguments).startswith(said)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("arguments", [{"until_us": 0}, {"steps": 0}, {"steps": 1.0}])
def test_a_run_goes_on_to_no_end_that_cannot_be(tmp_path: Path, arguments: dict[str, Any]):
    made = run(tmp_path)

    with pytest.raises(ConfigurationFault, match="is an integer from 1"):
        scripworld.resume(made.folder, **arguments)


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_configuration_is_given_as_text_or_path(tmp_path: Path, as_path: Any):
    path = tmp_path / "own.yaml"
    path.write_text("runner: {until_us: 500}")

    assert run(tmp_path / "runs", config=as_path(path)).ended


def test_a_recording_that_is_not_there_leaves_no_run_behind(tmp_path: Path):
    world = World(tmp_path)
    world.run(count, until_s=1, run_id="first")

    with pytest.raises(ConfigurationFault) as caught:
        world.run(count, until_s=1, effects_from="nothing")

    assert str(caught.value).endswith("the newest are first")
    assert [path.name for path in tmp_path.iterdir()] == ["first"]
