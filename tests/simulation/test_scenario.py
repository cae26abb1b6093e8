"""Scenarios: read from files, scaled, and made into what the kernel begins with."""

import json
from pathlib import Path

import pytest

from scripworld.simulation.config import load_config
from scripworld.simulation.scenario import (
    AgentEntry,
    ArtifactEntry,
    Scenario,
    configure,
    load_scenario,
    scale_agents,
    world_config,
)
from scripworld.world import ConfigurationFault, Contract, Done, Envelope, NoCode, Read, World

MARKET = """\
name: market
description: Two sell, one buys.
until_us: 5_000_000
agents:
  - id: seller
    count: 2
    mind: seller
    scrip: 5
    quotas: {compute: 100, stored_bytes: 1_000}
    params: {price_scrip: 3, topics: [a, b]}
    description: It sells.
  - {id: buyer, mind: buyer, scrip: 50, quotas: {compute: 10}}
principals:
  - {id: bank, scrip: 1_000, quotas: {stored_bytes: 500}}
artifacts:
  - id: price_list
    owner: bank
    content: "tea: 3"
    description: What things cost.
    contract: {id: pay_per_use, price_scrip: 2}
  - {id: sign, owner: seller_1, content: Open.}
config:
  world: {pace_us: 50_000}
"""


class MemoryLog:
    """A log that keeps everything in memory."""

    def __init__(self) -> None:
        self.blobs: dict[bytes, bytes] = {}

    def __getattr__(self, name: str):  # appending and reading are not what is tested here
        return lambda *arguments: None

    def put_blob(self, digest: bytes, blob: bytes) -> None:
        self.blobs[digest] = blob


@pytest.fixture
def scenario_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = tmp_path / "market.yaml"
        path.write_text(text)
        return path

    return write


def fault_of(path: Path, minds: list[str] | None = None) -> str:
    """Return what is said of the scenario on its way into a world."""
    with pytest.raises(ConfigurationFault) as caught:
        scenario = load_scenario(path, minds)
        world_config(configure(scenario), scenario)
    return str(caught.value)


# Reading.


def test_a_scenario_becomes_a_world(scenario_file):
    scenario = load_scenario(scenario_file(MARKET), ["seller", "buyer"])
    config = configure(scenario)

    made = world_config(config, scenario, seed=7)

    assert made.seed == 7
    assert made.pace_us == 50_000
    assert [spec.id for spec in made.principals] == ["seller_1", "seller_2", "buyer", "bank"]
    assert [spec.loop for spec in made.principals] == [True, True, True, False]
    seller = made.principals[0]
    assert (seller.scrip, seller.quotas) == (5, {"compute": 100, "stored_bytes": 1_000})
    assert json.loads(seller.content) == {
        "mind": "seller",
        "params": {"price_scrip": 3, "topics": ["a", "b"]},
    }
    assert made.artifacts[0].contract == Contract("pay_per_use", 2)
    assert made.artifacts[1].contract == Contract("private")


def test_the_kernel_accepts_it(scenario_file):
    scenario = load_scenario(scenario_file(MARKET))
    made = world_config(configure(scenario), scenario)

    world = World.begin(made, {}, MemoryLog(), NoCode(), "test")

    assert world.apply(Envelope("buyer", Read("price_list")), 0) == Done("tea: 3")


def test_the_kernel_is_given_the_shipped_numbers():
    config = load_config()

    made = world_config(config, Scenario(name="empty"))

    assert made.seed == config.world.seed
    assert made.actions["write"].resources == {"compute": 2, "writes": 1}
    assert made.costs["genesis_fetch"]["*"].resources == {"compute": 3, "tool_calls": 1}
    assert made.method_cost.latency_us == 400_000
    assert made.limits.page_max == config.world.limits.page_max
    assert made.resources["compute"].window_us == 60_000_000
    assert made.refunded == config.world.refunded


def test_a_name_is_enough_for_a_scenario_that_is_not_written_in_its_file(scenario_file):
    assert load_scenario(scenario_file("description: Nobody.\n")).name == "market"


def test_an_unknown_scenario_is_told_with_what_there_is(scenario_file):
    with pytest.raises(ConfigurationFault, match=r"There is no scenario 'qqq'"):
        load_scenario("qqq")
    with pytest.raises(ConfigurationFault, match=r"There is no scenario 'none/x.yaml'"):
        load_scenario("none/x.yaml")


def test_folders_come_out_as_absolute_paths(scenario_file, tmp_path):
    (tmp_path / "pages").mkdir()

    scenario = load_scenario(scenario_file("site: pages\nroots: [config]\n"))

    assert scenario.site == tmp_path / "pages"
    assert scenario.roots == (Path(__file__).parents[2] / "config",)


def test_a_users_file_goes_over_the_scenario(scenario_file, tmp_path):
    scenario = load_scenario(scenario_file(MARKET))
    (tmp_path / "my.yaml").write_text("world: {pace_us: 9}\n")

    assert configure(scenario).world.pace_us == 50_000
    assert configure(scenario, tmp_path / "my.yaml").world.pace_us == 9
    assert configure(scenario, overrides={"world": {"pace_us": 8}}).world.pace_us == 8


def test_a_scenario_made_in_python_needs_no_file():
    scenario = Scenario(
        name="mine",
        agents=(AgentEntry(id="a", mind="m", scrip=1, quotas={"compute": 5}),),
        config={"world": {"pace_us": 7}},
    )

    made = world_config(configure(scenario), scenario)

    assert made.pace_us == 7
    assert [spec.id for spec in made.principals] == ["a"]


# What is said of each fault.


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "    mind: seller",
            "    mnd: seller",
            "line 7: agents[0].mnd: unknown key 'mnd'; the nearest known one is 'mind'",
        ),
        ("until_us: 5_000_000", "until_us: soon", "line 3: until_us: expected an integer, found"),
        ("scrip: 5\n", "scrip: -5\n", "line 8: agents[0].scrip: expected at least 0, found -5"),
        ("count: 2", "count: -2", "line 6: agents[0].count: expected at least 0, found -2"),
        (
            "mind: buyer",
            "mind: byer",
            "line 12: agents[1].mind: there is no mind 'byer'; the nearest known one is 'buyer'",
        ),
        (
            "{compute: 10}",
            "{computer: 10}",
            "line 12: agents[1].quotas.computer: there is no resource 'computer'; "
            "the nearest known one is 'compute'",
        ),
        (
            "{stored_bytes: 500}",
            "{bytes: 500}",
            "line 14: principals[0].quotas.bytes: there is no resource 'bytes'",
        ),
        ("id: bank,", "id: Bank,", "line 14: principals[0].id: 'Bank' is no id: an id is"),
        ("id: bank,", "id: buyer,", "line 14: principals[0].id: the id 'buyer' is taken already"),
        (
            "id: sign",
            "id: seller_2",
            "line 21: artifacts[1].id: the id 'seller_2' is taken already",
        ),
        (
            "owner: bank",
            "owner: nobody",
            "line 17: artifacts[0].owner: there is no principal 'nobody' with 3 agents",
        ),
        (
            "id: pay_per_use",
            "id: pay_per_us",
            "line 20: artifacts[0].contract.id: there is no contract 'pay_per_us'; "
            "the nearest known one is 'pay_per_use'",
        ),
        (
            "pace_us: 50_000",
            "pace: 50_000",
            "line 23: config.world.pace: unknown key 'pace'; the nearest known one is 'pace_us'",
        ),
        ("description: Two", "site: none\n#", "line 2: site: there is no folder none"),
        ("description: Two", "roots: [no_such]\n#", "line 2: roots[0]: there is no folder "),
    ],
)
def test_a_fault_is_told_with_its_line(scenario_file, old, new, said):
    assert MARKET.count(old) == 1

    fault = fault_of(scenario_file(MARKET.replace(old, new)), ["seller", "buyer"])

    assert fault.startswith(f"market.yaml, {said}")


@pytest.mark.parametrize("entry", ["{enabled: false}", "{args: [x]}"])
def test_a_tool_server_without_a_command_is_told_with_its_line_and_the_nearest(
    scenario_file, tmp_path, entry
):
    servers = f"genesis:\n  mcp:\n    servers:\n      fecth: {entry}\n"
    path = tmp_path / "own.yaml"
    path.write_text(servers)
    told = "a server 'fecth' needs a command or a url; the nearest known one is 'fetch'."
    plain = load_scenario(scenario_file(MARKET))
    with pytest.raises(ConfigurationFault) as in_file:
        configure(plain, path)
    with pytest.raises(ConfigurationFault) as in_overrides:
        configure(plain, None, {"genesis": {"mcp": {"servers": {"fecth": {}}}}})
    written = "  genesis: {mcp: {servers: {fecth: " + entry + "}}}\n"
    with pytest.raises(ConfigurationFault) as in_scenario:
        configure(load_scenario(scenario_file(MARKET + written)))

    assert str(in_file.value) == f"own.yaml, line 4: genesis.mcp.servers.fecth: {told}"
    assert str(in_overrides.value) == f"the overrides: genesis.mcp.servers.fecth: {told}"
    line = MARKET.count("\n") + 1
    assert str(in_scenario.value) == (
        f"market.yaml, line {line}: config.genesis.mcp.servers.fecth: {told}"
    )


def test_a_cost_may_be_set_for_an_artifact_that_does_not_exist():
    costs = {"genesis_nothing": {"*": {"price_scrip": 1}}}

    config = configure(Scenario(name="empty"), None, {"world": {"costs": costs}})

    assert config.world.costs["genesis_nothing"]["*"].price_scrip == 1


def test_params_hold_only_what_json_can():
    with pytest.raises(ValueError, match="params hold only what JSON can"):
        AgentEntry(id="a", mind="m", scrip=0, quotas={}, params={"x": float("nan")})
    with pytest.raises(ValueError, match="params hold only what JSON can"):
        AgentEntry(id="a", mind="m", scrip=0, quotas={}, params={"x": "\ud800"})


def test_a_fault_of_a_scenario_made_in_python_names_the_scenario():
    scenario = Scenario(name="mine", artifacts=(ArtifactEntry(id="a", owner="nobody"),))

    with pytest.raises(ConfigurationFault, match=r"the scenario 'mine': artifacts\[0\].owner"):
        world_config(load_config(), scenario)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ConfigurationFault, match="A seed is an integer from 0"):
        world_config(load_config(), Scenario(name="empty"), seed)


# Scaling.


def population(**counts: int) -> Scenario:
    return Scenario(
        name="x",
        agents=tuple(
            AgentEntry(id=id, count=count, mind="m", scrip=0, quotas={})
            for id, count in counts.items()
        ),
    )


@pytest.mark.parametrize(
    ("agents", "counts"),
    [
        (1, [0, 1, 0]),
        (2, [1, 1, 0]),
        (3, [1, 1, 1]),
        (4, [1, 2, 1]),
        (10, [3, 6, 1]),
        (20, [6, 12, 2]),
        (1_000, [300, 600, 100]),
    ],
)
def test_scaling_keeps_the_proportions_and_every_kind_that_fits(agents, counts):
    scaled = scale_agents(population(a=3, b=6, c=1), agents)

    assert [entry.count for entry in scaled.agents] == counts
    assert scaled.agents_count == agents


@pytest.mark.parametrize("agents", range(1, 60))
def test_scaling_gives_the_number_that_was_asked_for(agents):
    scaled = scale_agents(population(a=1, b=7, c=1, d=1, e=13, f=2), agents)

    assert scaled.agents_count == agents
    assert len({id for entry in scaled.agents for id in entry.ids()}) == agents


def test_the_first_of_a_kind_keeps_its_id_when_it_is_scaled():
    scenario = population(one=1, many=3)

    assert [entry.ids() for entry in scale_agents(scenario, 2).agents] == [("one",), ("many_1",)]
    assert [entry.ids() for entry in scale_agents(scenario, 8).agents] == [
        ("one", "one_2"),
        ("many_1", "many_2", "many_3", "many_4", "many_5", "many_6"),
    ]


def test_a_scaled_scenario_is_the_same_after_it_was_stored(scenario_file):
    scaled = scale_agents(load_scenario(scenario_file(MARKET)), 1)

    stored = Scenario.model_validate_json(scaled.model_dump_json())

    assert [entry.ids() for entry in stored.agents] == [("seller_1",), ()]


@pytest.mark.parametrize("agents", [0, -3, 1_000_001])
def test_a_number_of_agents_that_makes_no_sense_is_refused(agents):
    with pytest.raises(ConfigurationFault, match=f"from 1 to 1000000, not {agents}"):
        scale_agents(population(a=1), agents)


def test_a_scenario_without_agents_is_not_scaled():
    with pytest.raises(ConfigurationFault, match="has no agents to scale"):
        scale_agents(Scenario(name="empty"), 3)


def test_an_owner_that_scaling_took_away_is_told(scenario_file):
    path = scenario_file(MARKET.replace("owner: seller_1", "owner: seller_2"))
    scenario = load_scenario(path)

    with pytest.raises(
        ConfigurationFault, match=r"line 21: .* no principal 'seller_2' with 2 agents"
    ):
        world_config(configure(scenario), scale_agents(scenario, 2))
