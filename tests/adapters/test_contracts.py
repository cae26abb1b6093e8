"""Contracts that agents write, with the code runner of a run: the page's example, and hostile ones."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.genesis import EVENT_LOG, LEDGER, STORE
from scripworld.world import (
    Answer,
    ArtifactSpec,
    Code,
    Contract,
    Delete,
    Done,
    Edit,
    EffectResult,
    Envelope,
    Invoke,
    PrincipalSpec,
    Read,
    Refused,
    Tool,
    Waiting,
    World,
    WorldConfig,
    Write,
    verify,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture" / "contracts.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
NATIVES = {native.id: native for native in (EVENT_LOG, LEDGER, STORE)}
QUOTAS = {"compute": 10_000, "stored_bytes": 100_000}


@pytest.fixture(scope="module")
def runner() -> Iterator[MontyRunner]:
    with MontyRunner(CodeLimits(time_us=200_000)) as runner:
        yield runner


class Room:
    """An essay of alice's under a contract that is written in code, and a list of who may read it."""

    def __init__(self, runner: MontyRunner, check: str) -> None:
        names = ("alice", "bob", "carol", "dave")
        config = WorldConfig(
            principals=tuple(PrincipalSpec(name, 100, QUOTAS) for name in names),
            artifacts=(
                ArtifactSpec("gate", "carol", check, "code", interface=(Tool("check"),)),
                ArtifactSpec("subscribers", "carol", "bob", contract=Contract("freeware")),
            ),
        )
        self.log = MemoryEventLog()
        self.world = World.begin(config, NATIVES, self.log, runner, "test")
        assert self.do("alice", Write("essay", "words", contract=Contract("gate"))) == Done()

    def do(self, who: str, action: Any, **more: Any) -> Answer:
        return self.world.apply(Envelope(who, action, **more), self.world.state.now_us + 1)

    def ask(self, who: str, artifact: str, method: str, /, **args: Any) -> Any:
        answer = self.do(who, Invoke(artifact, method, args))
        assert isinstance(answer, Done), answer
        return answer.result

    def scrip(self) -> list[int]:
        return [self.world.state.ledger.balances[who] for who in ("alice", "bob", "carol", "dave")]

    def prove(self) -> None:
        """The log proves itself, without an interpreter."""
        state = verify(self.log.records(), NATIVES, self.log)
        assert state.snapshot() == self.world.state.snapshot()


def test_the_contract_of_the_page_does_what_the_page_says(runner: MontyRunner):
    room = Room(runner, EXAMPLE)

    assert room.do("alice", Edit("essay", "words", "more words")) == Done()
    assert room.do("bob", Read("essay")) == Done("more words")
    assert room.scrip() == [100, 100, 100, 100]
    assert room.do("dave", Read("essay")) == Done("more words")
    assert room.scrip() == [100, 100, 105, 95]
    above = room.do("dave", Read("essay"), price_max_scrip=4)
    assert isinstance(above, Refused) and above.code == Code.PRICE_ABOVE_MAX
    denied = room.do("bob", Write("essay", "mine"))
    assert isinstance(denied, Refused) and denied.code == Code.PERMISSION_DENIED
    assert denied.detail.endswith("does not let bob write it: only alice changes it")
    waiting = room.do("alice", Delete("essay"))
    assert isinstance(waiting, Waiting)
    yes = EffectResult({"approved": True})
    settled = room.world.settle(waiting.effect_id, yes, room.world.state.now_us + 1)
    assert settled is not None and settled.answer == Done()
    room.prove()


def test_the_table_of_the_page_is_the_one_of_the_world():
    rows = re.findall(r"^\| `(\w+)` \| (?:owner|anyone|at a price)", PAGE, re.M)

    assert rows == ["private", "public", "freeware", "pay_per_use", "members"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("while True: pass", "its check failed"),
        ("return check(caller, action, method, artifact)", "its check failed"),
        ("return 'x' * 10 ** 9", "its check failed"),
        ("return {'verdict': 'allow', 'price_scrip': 2 ** 70}", "its check failed"),
        ("return {'verdict': 'allow', 'price_scrip': 2 ** 62 + 1}", "is no integer from 0"),
        ("return {'verdict': 'allow', 'price_scrip': 1.5}", "is no integer from 0"),
        ("return lambda: 1", "its check must return"),
        ("return open('/etc/passwd').read()", "its check failed"),
        ("transfer('carol', 1)", "SCRIP_INSUFFICIENT: gate can spend 0"),
        ("write('essay', 'mine')", "PERMISSION_DENIED: a contract only looks"),
        ("delete(artifact)", "PERMISSION_DENIED: a contract only looks"),
        ("invoke('genesis_ledger', 'transfer', {'to': 'carol', 'amount': 0})", "its check failed"),
        ("invoke('genesis_ledger', 'spawn_principal', {'id': 'thief'})", "a contract only looks"),
        ("read(artifact)", "is not asked while a contract is asked"),
        ("invoke('gate', 'check', {})", "a contract only looks"),
        ("for i in range(99): balance(caller)", "it calls back at most 16 times"),
        ("return {'verdict': 'allow', 'payee': 'nobody'}", "no principal"),
        ("raise ValueError('no')", "its check failed: line 2: ValueError: no"),
    ],
)
def test_a_hostile_contract_denies_everyone_and_changes_nothing(
    runner: MontyRunner, body: str, said: str
):
    room = Room(runner, f"def check(caller, action, method, artifact):\n    {body}\n")
    artifacts = dict(room.world.state.artifacts.by_id)

    for who in ("alice", "carol", "dave"):
        denied = room.do(who, Read("essay"))
        assert isinstance(denied, Refused)
        assert denied.code == Code.PERMISSION_DENIED
        assert said in denied.detail
    assert room.scrip() == [100, 100, 100, 100]
    assert room.world.state.artifacts.by_id == artifacts
    room.prove()


def test_a_check_that_catches_everything_still_changes_nothing(runner: MontyRunner):
    body = """
def check(caller, action, method, artifact):
    for attempt in range(3):
        try:
            transfer("carol", 1)
        except Exception:
            pass
    return {"verdict": "allow"}
"""
    room = Room(runner, body)

    assert room.do("dave", Read("essay")) == Done("words")
    assert room.scrip() == [100, 100, 100, 100]
    room.prove()


def test_code_says_how_much_it_pays_and_waits_for_a_person(runner: MontyRunner):
    room = Room(runner, EXAMPLE)
    code = """
def cheap():
    return read("essay", price_max_scrip=4)

def remove():
    return delete("essay", waits=True)
"""
    tools = (Tool("cheap"), Tool("remove"))
    room.do("dave", Write("dave", code, type="code", interface=tools))
    room.do("alice", Invoke("genesis_ledger", "transfer_ownership", {"id": "essay", "to": "dave"}))

    waiting = room.do("dave", Invoke("dave", "remove"))
    assert isinstance(waiting, Waiting)
    no = EffectResult({"approved": False, "reason": "keep it"})
    settled = room.world.settle(waiting.effect_id, no, room.world.state.now_us + 1)
    assert settled is not None
    assert "keep it" in settled.answer.detail
    room.prove()


def test_a_result_of_code_is_what_its_schema_says(runner: MontyRunner):
    room = Room(runner, EXAMPLE)
    output = {"type": "object", "required": ["price"], "properties": {"price": {"type": "integer"}}}
    code = "def quote(price):\n    return {'price': price}\n"
    tools = (Tool("quote", "", {"properties": {"price": {}}}, output),)
    room.do("bob", Write("shop", code, type="code", contract=Contract("freeware"), interface=tools))

    assert room.do("dave", Invoke("shop", "quote", {"price": 5})) == Done({"price": 5})
    wrong = room.do("dave", Invoke("shop", "quote", {"price": "5"}))
    assert wrong.code == Code.RESULT_INVALID
    assert wrong.detail.endswith("price must be of type integer")
    room.prove()


def test_the_store_and_the_event_log_run_no_code(runner: MontyRunner):
    room = Room(runner, EXAMPLE)
    waiting = room.do("alice", Delete("essay"))
    assert isinstance(waiting, Waiting)
    asked = room.world.state.seq
    room.world.settle(waiting.effect_id, EffectResult({"approved": False}), 99)
    settled = room.world.state.seq

    row = room.ask("alice", "genesis_store", "get", id="essay")
    seen = [room.ask("alice", "genesis_event_log", "read", seq=seq) for seq in (asked, settled)]
    hidden = room.do("bob", Invoke("genesis_event_log", "read", {"seq": asked}))

    assert (row["contract"], row["read_scrip"], row["may_read"]) == ("gate", None, None)
    assert (row["invoke_scrip"], row["may_invoke"]) == (None, False)
    assert [(one["kind"], one["action"], one["method"]) for one in seen] == [
        ("action", "delete", None),
        ("settlement", "delete", None),
    ]
    assert hidden.code == Code.NOT_FOUND
    assert room.world.state.seq == settled + 4
    room.prove()


def test_the_log_names_the_method_of_an_invocation_that_was_asked_about(runner: MontyRunner):
    room = Room(
        runner, "def check(caller, action, method, artifact):\n    return {'verdict': 'ask'}\n"
    )
    code = "def run():\n    return caller()\n"
    room.do("bob", Write("shop", code, type="code", interface=(Tool("run"),)))
    room.do("bob", Write("shop", code, contract=Contract("gate")))
    waiting = room.do("dave", Invoke("shop", "run"))
    assert isinstance(waiting, Waiting)

    settled = room.world.settle(waiting.effect_id, EffectResult({"approved": True}), 99)

    assert settled is not None and settled.answer == Done("dave")
    row = room.ask("dave", "genesis_event_log", "read", seq=room.world.state.seq)
    assert (row["kind"], row["action"], row["method"]) == ("settlement", "invoke", "run")
    room.prove()
