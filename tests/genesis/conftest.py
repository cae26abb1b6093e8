"""A world with the genesis artifacts and some principals; its log is proved at the end of each test."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.genesis import ESCROW, EVENT_LOG, HANDBOOK, LEDGER, RIGHTS_REGISTRY, STORE
from scripworld.world import (
    RECORDS,
    Abort,
    Action,
    Answer,
    ArtifactSpec,
    CallBack,
    Code,
    CodeCall,
    CodeSession,
    Context,
    Contract,
    Cost,
    Done,
    Effect,
    EffectResult,
    Envelope,
    Failed,
    Invoke,
    Limits,
    Method,
    Native,
    NoCode,
    Outcome,
    PrincipalSpec,
    Resource,
    Return,
    Sleep,
    Stop,
    Tool,
    Waiting,
    World,
    WorldConfig,
    Write,
    verify,
)

STEP_US = 1_000
QUOTAS = {"compute": 1_000, "stored_bytes": 10_000, "tokens": 50}


class Log(MemoryEventLog):
    """An event log in memory that counts how many records were read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def read(self, seq: int) -> bytes:
        self.reads += 1
        return super().read(seq)


class Calls(NoCode):
    """Code is a JSON list of [waits, id, method, args]: it calls back in order, and returns the results."""

    def check(self, code: str) -> str | None:
        return None

    def start(self, call: CodeCall) -> tuple[CodeSession, Outcome]:
        session = _Session(json.loads(call.code), [given for _, given in call.trace])
        return session, session.next()


class _Session:
    def __init__(self, calls: list[Any], answers: list[Answer]) -> None:
        self.calls = calls
        self.answers = answers

    def next(self) -> Outcome:
        if len(self.answers) < len(self.calls):
            waits, id, method, args = self.calls[len(self.answers)]
            return CallBack(Invoke(id, method, args), waits)
        last = self.answers[-1]
        return Return(last.result) if isinstance(last, Done) else Abort(last.code.name)

    def resume(self, answer: Answer) -> Outcome:
        self.answers.append(answer)
        return self.next()

    def close(self) -> None:
        pass


def _ask(ctx: Context, args: dict[str, Any]) -> Effect:
    return Effect("oracle", args["question"])


ORACLE = Native(
    "genesis_oracle",
    "Answers questions from outside.",
    {
        "ask": Method(
            Tool(
                "ask",
                "Ask.",
                {"properties": {"question": {"type": "string"}}, "required": ["question"]},
            ),
            _ask,
            effect=True,
        )
    },
)
NATIVES = {n.id: n for n in (LEDGER, RIGHTS_REGISTRY, STORE, EVENT_LOG, HANDBOOK, ESCROW, ORACLE)}


class Stage:
    """A world to play on: each call is one action, a millisecond after the one before."""

    def __init__(self, **config: Any) -> None:
        self.log = Log()
        self.world = World.begin(configured(**config), NATIVES, self.log, Calls(), "test")

    @property
    def seq(self) -> int:
        """The number of the last record."""
        return self.world.state.seq

    def act(self, principal: str, action: Action | Sleep | Stop) -> Answer:
        return self.world.apply(Envelope(principal, action), self.world.state.now_us + STEP_US)

    def ask(self, principal: str, artifact: str, method: str, /, **args: Any) -> Answer:
        return self.act(principal, Invoke(artifact, method, args))

    def done(self, principal: str, artifact: str, method: str, /, **args: Any) -> Any:
        """The result of what must succeed."""
        answer = self.ask(principal, artifact, method, **args)
        assert isinstance(answer, Done), answer
        return answer.result

    def fails(
        self, code: Code, principal: str, artifact: str, method: str, /, **args: Any
    ) -> Failed:
        """What must fail with a code, and change nothing but what it is charged."""
        before = self.standing()
        answer = self.ask(principal, artifact, method, **args)
        assert isinstance(answer, Failed), answer
        assert answer.code is code, answer
        assert answer.detail
        assert self.standing() == before
        assert self.facts() == ["Charged"]
        return answer

    def facts(self) -> list[str]:
        """The names of the facts of the last record."""
        return [type(fact).__name__ for fact in RECORDS.decode(self.log.read(self.seq)).facts]

    def write(self, principal: str, id: str, content: str = "text", **fields: Any) -> None:
        assert self.act(principal, Write(id, content, **fields)) == Done()

    def code(self, principal: str, id: str, *calls: list[Any], price_scrip: int = 0) -> None:
        """Make an artifact with a method `run` that calls back; anyone may invoke it."""
        contract = Contract("pay_per_use" if price_scrip else "freeware", price_scrip)
        interface = (Tool("run"),)
        text = json.dumps(calls)
        self.write(principal, id, text, type="code", interface=interface, contract=contract)

    def settle(self, waiting: Answer, value: Any) -> None:
        assert isinstance(waiting, Waiting), waiting
        now_us = self.world.state.now_us + STEP_US
        self.world.requests.clear()
        effect = next(reversed(self.world.state.effects))
        assert self.world.settle(effect, EffectResult(value), now_us) is not None

    def standing(self) -> dict[str, Any]:
        """All that a failed call must leave as it was."""
        state = self.world.state
        rates = state.resources.tracker.totals(state.now_us)
        return {
            "balances": dict(state.ledger.balances),
            "held": dict(state.ledger.held),
            "supply": state.ledger.supply,
            "artifacts": dict(state.artifacts.by_id),
            "gone": set(state.artifacts.gone),
            "limits": {name: rows for name, rows in rates.items() if name.endswith(" limit")},
            "stocks": {
                name: (dict(stock.limits), dict(stock.used), dict(stock.held))
                for name, stock in state.resources.stocks.items()
            },
        }


def configured(**changes: Any) -> WorldConfig:
    fields: dict[str, Any] = {
        "principals": (
            PrincipalSpec("alice", 100, QUOTAS),
            PrincipalSpec("bob", 100, QUOTAS),
            PrincipalSpec("carol", 0, {"compute": 1_000}),
            PrincipalSpec("watcher", 0, {"compute": 1_000}, loop=True),
        ),
        "artifacts": (ArtifactSpec("diary", "alice", "a secret", description="of days"),),
        "resources": {
            "compute": Resource("renewable", 60_000_000),
            "stored_bytes": Resource("allocatable"),
            "tokens": Resource("depletable"),
        },
        "costs": {
            "genesis_ledger": {"spawn_principal": Cost({"compute": 5})},
            "genesis_oracle": {"ask": Cost({"compute": 2, "tokens": 1}, price_scrip=7)},
        },
        "limits": Limits(page_max=5),
    }
    return WorldConfig(**(fields | changes))


@pytest.fixture
def begin() -> Iterator[Callable[..., Stage]]:
    """Makes worlds; their logs are proved when the test is over."""
    stages: list[Stage] = []

    def make(**config: Any) -> Stage:
        stages.append(Stage(**config))
        return stages[-1]

    yield make
    for stage in stages:
        proved = verify(stage.log.records(), NATIVES, stage.log)
        assert proved.snapshot() == stage.world.state.snapshot()


@pytest.fixture
def stage(begin: Callable[..., Stage]) -> Stage:
    return begin()
