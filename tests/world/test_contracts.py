import pytest
from msgspec.structs import replace

from scripworld.world import CONTRACTS, Code, Contract, Done, Limits, check

from .lab import Lab

# contract, then what owner, member and stranger may do: read, invoke, write, delete
TABLE = {
    "private": ("riwd", "", ""),
    "public": ("riwd", "riw", "riw"),
    "freeware": ("riwd", "ri", "ri"),
    "pay_per_use": ("riwd", "$$", "$$"),
    "members": ("riwd", "riw", ""),
}
WHAT = {"r": "read", "i": "invoke", "w": "write", "d": "delete"}


def test_the_table_of_contracts_is_complete():
    assert list(TABLE) == list(CONTRACTS)


@pytest.mark.parametrize("contract", TABLE)
@pytest.mark.parametrize("who", ["bob", "carol", "alice"])
def test_who_may_do_what(lab: Lab, contract: str, who: str):
    price = 7 if contract == "pay_per_use" else 0
    lab.write("bob", "note", "x", contract=Contract(contract, price, ("carol",)))
    artifact = lab.state.artifacts.by_id["note"]
    allowed = dict(zip(("bob", "carol", "alice"), TABLE[contract], strict=True))[who]

    for letter, what in WHAT.items():
        expected = 0 if letter in allowed else None
        if allowed == "$$" and letter in "ri":
            expected = 7
        assert check(artifact, who, what) == expected, what


def test_a_contract_that_does_not_exist_denies_its_owner_too(lab: Lab):
    broken = replace(lab.state.artifacts.by_id["motto"], contract=Contract("gone"))

    assert [check(broken, "alice", what) for what in WHAT.values()] == [None] * 4


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        (Contract("nonsense"), "there is no contract 'nonsense'"),
        (Contract("pay_per_use", -1), "an integer from 0"),
        (Contract("public", 5), "only pay_per_use has a price"),
        (Contract("members", 0, tuple(f"m{n}" for n in range(4))), "at most 3 members"),
        (Contract("members", 0, ("No Id",)), "a member is the id"),
    ],
)
def test_a_contract_that_cannot_be_is_refused(new_lab, contract, said):
    lab = new_lab(limits=Limits(members_max=3))

    refused = lab.refuses(
        Code.DEFINITION_INVALID, lambda: lab.write("bob", "note", "x", contract=contract)
    )

    assert said in refused.detail


def test_members_do_what_the_owner_does_but_delete(lab: Lab):
    lab.write("bob", "note", "x", contract=Contract("members", 0, ("carol",)))

    assert lab.edit("carol", "note", "x", "y") == Done()
    assert lab.read("bob", "note") == Done("y")
    assert lab.delete("carol", "note").code == Code.PERMISSION_DENIED


def test_a_contract_has_as_many_members_as_the_limit_says(new_lab):
    lab = new_lab(limits=Limits(members_max=2))

    assert lab.write("bob", "note", "x", contract=Contract("members", 0, ("a", "b"))) == Done()
