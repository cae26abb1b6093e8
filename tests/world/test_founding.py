import msgspec
import pytest

from scripworld.world import (
    NO_RECORD,
    ArtifactSpec,
    Checked,
    Contract,
    Cost,
    Done,
    Invoke,
    Limits,
    LogFault,
    PrincipalSpec,
    Resource,
    Tool,
    World,
    WorldConfig,
    chain,
    verify,
)

from .lab import Lab, config

BASE = config()


def echo(caller, args):
    return caller
    yield


def with_costs(cost: Cost) -> dict:
    return {"costs": {"bank": {"lend": cost}}}


FAULTS = {
    "compute must be renewable": {"resources": {}},
    "kind must be one of": {"resources": {**BASE.resources, "luck": Resource("endless")}},
    "needs a window_us from 1": {"resources": {**BASE.resources, "luck": Resource("renewable")}},
    "pace_us is an integer from 1": {"pace_us": 0},
    "'TOOL_BROKEN' is no code": {"refunded": ("TOOL_BROKEN",)},
    "costs.bank.lend: luck: 1 is no cost": with_costs(Cost({"luck": 1})),
    "costs.bank.lend: stored_bytes: 1": with_costs(Cost({"stored_bytes": 1})),
    "costs.bank.lend: compute: -1": with_costs(Cost({"compute": -1})),
    "actions.read: luck": {"actions": {"read": Cost({"luck": 1})}},
    "method_cost: luck": {"method_cost": Cost({"luck": 1})},
    "costs.bank.lend: price_scrip": with_costs(Cost(price_scrip=-1)),
    "latency_us from 0": with_costs(Cost(latency_us=-1)),
    "timeout_us from latency_us": with_costs(Cost(latency_us=2, timeout_us=1)),
    "'Eve' is no id": {"principals": (PrincipalSpec("Eve"),), "artifacts": ()},
    "'eve' is given twice": {
        "principals": (PrincipalSpec("eve"),),
        "artifacts": (ArtifactSpec("eve", "eve"),),
    },
    "'bank' is given twice": {"principals": (PrincipalSpec("bank"),), "artifacts": ()},
    "'genesis' is given twice": {"principals": (PrincipalSpec("genesis"),), "artifacts": ()},
    "a world holds at most": {
        "principals": (PrincipalSpec("eve", 2**62), PrincipalSpec("eva", 1)),
        "artifacts": (),
    },
    "scrip is an integer from 0": {"principals": (PrincipalSpec("eve", -1),), "artifacts": ()},
    "quota luck: 1 is no limit": {
        "principals": (PrincipalSpec("eve", quotas={"luck": 1}),),
        "artifacts": (),
    },
    "quota compute: -1 is no limit": {
        "principals": (PrincipalSpec("eve", quotas={"compute": -1}),),
        "artifacts": (),
    },
    "its owner 'motto' is no principal": {"artifacts": (ArtifactSpec("page", "motto"),)},
    "artifact page: type genesis is not made": {
        "artifacts": (ArtifactSpec("page", "alice", type="genesis"),)
    },
    "artifact page: content has at most 9 bytes": {
        "artifacts": (ArtifactSpec("page", "alice", "ééééé"),),
        "limits": Limits(content_bytes_max=9),
    },
    "only an artifact of type code has an interface": {
        "artifacts": (ArtifactSpec("page", "alice", interface=(Tool("go"),)),)
    },
    "artifact page: there is no program 'def'": {
        "artifacts": (ArtifactSpec("page", "alice", "def", "code"),)
    },
    "artifact page: the methods of an interface have different names": {
        "artifacts": (ArtifactSpec("page", "alice", "echo", "code", interface=(Tool("go"),) * 2),)
    },
    "there is no contract 'nonsense'": {
        "artifacts": (ArtifactSpec("page", "alice", contract=Contract("nonsense")),)
    },
}


@pytest.mark.parametrize("said", FAULTS)
def test_a_configuration_that_contradicts_itself_makes_no_world(said: str):
    with pytest.raises(ValueError, match=said):
        Lab(None, {"echo": echo}, **FAULTS[said])


def test_a_world_can_begin_with_nobody():
    world = Lab(WorldConfig()).world

    assert list(world.state.ledger.balances) == ["genesis"]
    assert isinstance(world, World)


def test_large_content_of_the_beginning_is_kept_by_hash(new_lab):
    principal = PrincipalSpec("eve", 0, {"compute": 9}, content="é" * 900, description="an elf")
    lab = new_lab(principals=(principal,), artifacts=(ArtifactSpec("page", "eve", ""),))

    assert len(lab.log._blobs) == 1
    assert lab.read("eve", "eve").result == "é" * 900
    eve = lab.state.artifacts.by_id["eve"]
    assert eve.stored_bytes == 1_806
    assert lab.state.resources.stocks["stored_bytes"].used == {"eve": 1_806}


def test_an_edit_of_a_principal_changes_the_bytes_of_its_content_only(new_lab):
    lab = new_lab()
    described = msgspec.structs.replace(lab.config.principals[1], description="a bear")
    lab = new_lab(principals=(described,), artifacts=())

    lab.edit("bob", "bob", "bob", "bobby")

    assert lab.state.artifacts.by_id["bob"].stored_bytes == len("I am bobby.") + len("a bear")


def test_code_of_the_beginning_can_be_called_and_what_its_runner_said_is_proved(new_lab):
    service = ArtifactSpec(
        "service", "alice", "echo", "code", "who asks", Contract("freeware"), (Tool("go"),)
    )
    lab = new_lab(None, {"echo": echo}, artifacts=(service,))

    assert lab.do("bob", Invoke("service", "go")) == Done("bob")
    assert lab.records()[0].outcomes == [Checked()]
    assert lab.state.resources.stocks["stored_bytes"].used["alice"] == len("echowho asks")


def test_code_of_the_beginning_that_was_never_checked_is_told(new_lab):
    page = ArtifactSpec("page", "alice", "echo")
    lab = new_lab(artifacts=(page,))
    record = msgspec.msgpack.decode(lab.rows[0][2])
    record[3][3]["artifacts"][0]["type"] = "code"
    body = msgspec.msgpack.encode(record)

    with pytest.raises(LogFault, match="outcomes"):
        verify([(0, chain(NO_RECORD, body), body)], lab.natives, lab.log)
