"""The store from end to end: what agents make is found by others, and only what may be seen is seen."""

from pathlib import Path

from scripworld.world import Contract, Done, Invoke, Read, Refused, Sleep, Write

from .world import answers_to, play

STORE = "genesis_store"
LATER = Sleep(2_000_000)


def test_what_an_agent_makes_is_found_by_another_with_its_price(tmp_path: Path):
    made = Write(
        "map", "a map of the harbour", "map of the harbour", contract=Contract("pay_per_use", 4)
    )
    search = Invoke(STORE, "search", {"query": "harbour"})
    run = play(tmp_path, ana=[made], ben=[LATER, search, Invoke(STORE, "get", {"id": "map"})])

    found, got = answers_to(run, "ben")
    assert isinstance(found, Done)
    assert [row["id"] for row in found.result["artifacts"]] == ["map"]
    assert isinstance(got, Done)
    assert got.result["read_scrip"] == 4


def test_content_that_one_may_not_read_is_nowhere_in_the_store(tmp_path: Path):
    made = Write("diary", "the password is plum", "my diary")
    looks = [
        Invoke(STORE, "search", {"query": "plum"}),
        Invoke(STORE, "get", {"id": "diary"}),
        Read("diary"),
    ]
    run = play(tmp_path, ana=[made], ben=[LATER, *looks])

    search, got, read = answers_to(run, "ben")
    assert isinstance(search, Done)
    assert search.result["artifacts"] == []
    assert "plum" not in str(got)
    assert isinstance(read, Refused)


def test_every_artifact_of_the_beginning_is_listed_with_its_interface(tmp_path: Path):
    run = play(
        tmp_path,
        ana=[
            Invoke(STORE, "list", {"type": "genesis"}),
            Invoke(STORE, "interface", {"id": "genesis_ledger"}),
        ],
    )

    listed, interface = answers_to(run, "ana")
    assert isinstance(listed, Done)
    ids = {row["id"] for row in listed.result["artifacts"]}
    assert {"genesis_ledger", "genesis_store", "genesis_event_log"} <= ids
    assert isinstance(interface, Done)
    methods = {tool["name"] for tool in interface.result["interface"]["tools"]}
    assert {"balance", "transfer"} <= methods
