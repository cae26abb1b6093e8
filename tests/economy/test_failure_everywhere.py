"""Atomicity: a failure at every step of every transaction leaves all as it was, except for the charge.

Each transaction is done again and again, from the same state: the first time its first step fails, then
its second, until it succeeds. A step is a fact that a genesis artifact notes, or an answer of the code
runner. It fails in one of two ways: the artifact or the code fails (the action fails and is charged), or
the host does (the world is gone, and what the log holds is what it was).
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from scripworld.world import (
    Abort,
    Answer,
    CallBack,
    Code,
    CodeCall,
    Context,
    Contract,
    Done,
    EffectResult,
    Envelope,
    Fact,
    Failed,
    Invoke,
    Method,
    Native,
    Outcome,
    Refused,
    Waiting,
    Write,
    verify,
)

from ..world.lab import CodeError, ScriptedRunner, check_sums
from .lab import DEBT, ESCROW_ID, LEDGER_ID, MINT, ORACLE, RIGHTS, Economy, market_natives


class Blown(Exception):
    """The fuse blew."""


@dataclass
class Fuse:
    """Lets so many steps of one record pass, and none after; ``kind`` says which steps it counts."""

    kind: str = ""
    seq: int = -1
    left: int = 0
    is_blown: bool = False

    def step(self, kind: str, seq: int) -> bool:
        """Count a step; whether it fails."""
        if (kind, seq) != (self.kind.partition(" ")[0], self.seq):
            return False
        self.is_blown |= self.left == 0
        self.left = max(0, self.left - 1)
        return self.is_blown

    @property
    def is_host(self) -> bool:
        return self.kind.endswith("host")


def fused(natives: Mapping[str, Native], fuse: Fuse) -> dict[str, Native]:
    """The same genesis artifacts, each fact of which goes through a fuse."""

    def through(handler: Any) -> Any:
        def run(ctx: Context, *rest: Any) -> Any:
            def note(fact: Fact) -> None:
                if fuse.step("fact", ctx.state.seq):
                    raise Blown
                ctx._note(fact)

            own = copy.copy(ctx)
            own._note = note
            try:
                return handler(own, *rest)
            except Blown:
                if fuse.is_host:
                    raise
                return Failed(Code.TOOL_FAILED, "the fuse blew")

        return run

    def method(made: Method) -> Method:
        return msgspec.structs.replace(made, handler=through(made.handler))

    return {
        id: msgspec.structs.replace(
            native, methods={name: method(made) for name, made in native.methods.items()}
        )
        for id, native in natives.items()
    }


@dataclass
class FusedRunner(ScriptedRunner):
    """A runner each answer of which goes through a fuse."""

    fuse: Fuse = field(default_factory=Fuse)
    now: Callable[[], int] = lambda: -1

    def start(self, call: CodeCall) -> tuple[Any, Outcome]:
        session, outcome = super().start(call)
        return FusedSession(self, session), self.through(outcome)

    def through(self, outcome: Outcome) -> Outcome:
        if not self.fuse.step("outcome", self.now()):
            return outcome
        if self.fuse.is_host:
            raise Blown
        return Abort("the fuse blew")


@dataclass
class FusedSession:
    runner: FusedRunner
    session: Any

    def resume(self, answer: Answer) -> Outcome:
        return self.runner.through(self.session.resume(answer))

    def close(self) -> None:
        self.session.close()


def must(*actions: Any) -> Any:
    """A program that does all of it, or fails."""

    def run(caller: str, args: dict[str, Any]) -> Any:
        for action in actions:
            waits = isinstance(action, Invoke) and action.id == ORACLE
            answer = yield CallBack(action, waits)
            if not isinstance(answer, Done):
                raise CodeError(answer.detail)
        return "all"

    return run


def gate(caller: str, args: dict[str, Any]) -> Any:
    row = yield CallBack(Invoke("genesis_store", "get", {"id": args["artifact"]}))
    is_owner = caller == row.result["owner"]
    return {"verdict": "allow", "price_scrip": 0 if is_owner else 2, "payee": "carol"}


def ask(artifact: str, method: str, /, **args: Any) -> Invoke:
    return Invoke(artifact, method, args)


PARTS = [{"due_us": 700, "amount": 3}, {"due_us": 900, "amount": 4}]
WHOLE = (
    ask(LEDGER_ID, "transfer", to="bob", amount=3),
    Write("draft", "a draft"),
    ask(ESCROW_ID, "purchase", artifact="guide", price_max=9),
    ask(ESCROW_ID, "list_for_sale", artifact="guide", price=12, expires_us=90_000),
    ask(DEBT, "accept", loan="to_house"),
    ask(MINT, "bid", artifact="own", amount=4),
    ask("shop", "go"),
    ask(RIGHTS, "transfer_quota", to="bob", resource="stored_bytes", amount=5),
    ask(LEDGER_ID, "spawn_agent", id="child", content='{"mind": "m"}'),
    Write("gated", "new words"),
)
PROGRAMS = {
    "shop": must(
        ask(LEDGER_ID, "transfer", to="mallory", amount=1),
        ask(ESCROW_ID, "cancel", artifact="ware"),
        Write("receipt", "paid"),
        ask("till", "go"),
    ),
    "till": must(ask(LEDGER_ID, "balance"), ask(LEDGER_ID, "transfer", to="carol", amount=1)),
    "house": must(*WHOLE),
    "waiter": must(
        ask(LEDGER_ID, "transfer", to="bob", amount=3),
        ask(ORACLE, "ask"),
        *WHOLE[2:4],
        ask("shop", "go"),
    ),
    "gate": gate,
}


def town() -> Economy:
    """Things for sale, loans of every state, services that use services, and a contract of an agent."""
    e = Economy(ScriptedRunner(dict(PROGRAMS)))
    pay_2 = Contract("pay_per_use", 2)
    for id, owner in (("shop", "bob"), ("till", "carol"), ("house", "alice"), ("waiter", "alice")):
        e.service(owner, id, id, pay_2, scrip=25)
        e.done(owner, RIGHTS, "transfer_quota", to=id, resource="compute", amount=1_000)
    e.tool("carol", "gate", "gate", "check")
    for owner, id in (("bob", "guide"), ("bob", "ware"), ("carol", "ring"), ("alice", "own")):
        e.write(owner, id, f"words of {id}")
    e.write("house", "gated", "words", contract=Contract("gate"))
    e.done("alice", LEDGER_ID, "transfer_ownership", id="own", to="house")
    e.done("bob", LEDGER_ID, "transfer_ownership", id="ware", to="shop")
    e.done("bob", ESCROW_ID, "list_for_sale", artifact="guide", price=9, expires_us=80_000)
    e.done("shop", ESCROW_ID, "list_for_sale", artifact="ware", price=9)
    e.write("mallory", "work", "something new")
    e.done("mallory", MINT, "bid", artifact="work", amount=5)
    for id, to in (
        ("to_carol", "carol"),
        ("to_house", "house"),
        ("late", "carol"),
        ("open", "bob"),
    ):
        pledge = {"collateral": "ring"} if id == "late" else {}
        e.done("alice", DEBT, "offer", id=id, borrower=to, amount=6, instalments=PARTS, **pledge)
    e.done("carol", DEBT, "accept", loan="late")
    e.write("bob", "secret", "words", contract=Contract("gate"))
    return e


def offer() -> Invoke:
    parts = [{"due_us": 90_000, "amount": 3}]
    return ask(DEBT, "offer", id="more", amount=3, instalments=parts, collateral="ring")


AT_US: dict[str, int] = {"a late debt is collected": 1_500}
TRANSACTIONS: dict[str, tuple[str, Invoke]] = {
    "a payment": ("alice", ask(LEDGER_ID, "transfer", to="bob", amount=3)),
    "a new principal": ("alice", ask(LEDGER_ID, "spawn_principal", id="x", description="an x")),
    "a new agent": ("alice", ask(LEDGER_ID, "spawn_agent", id="x", content='{"mind": "m"}')),
    "a gift": ("bob", ask(LEDGER_ID, "transfer_ownership", id="secret", to="carol")),
    "a quota": ("bob", ask(RIGHTS, "transfer_quota", to="carol", resource="favours", amount=2)),
    "a listing": ("mallory", ask(ESCROW_ID, "list_for_sale", artifact="work", price=3, expires_us=9_000)),
    "a purchase": ("alice", ask(ESCROW_ID, "purchase", artifact="guide")),
    "a cancelled sale": ("bob", ask(ESCROW_ID, "cancel", artifact="guide")),
    "a bid": ("house", ask(MINT, "bid", artifact="own", amount=4)),
    "a bid that is withdrawn": ("mallory", ask(MINT, "withdraw", bid="0.mallory")),
    "an offer": ("alice", offer()),
    "an offer that is withdrawn": ("alice", ask(DEBT, "withdraw", loan="open")),
    "a loan": ("carol", ask(DEBT, "accept", loan="to_carol")),
    "a loan that is repaid": ("carol", ask(DEBT, "repay", loan="late", amount=7)),
    "a claim that is given away": ("alice", ask(DEBT, "transfer", loan="late", to="bob")),
    "a late debt is collected": ("alice", ask(DEBT, "collect", loan="late")),
    "a service": ("alice", ask("shop", "go")),
    "a household": ("mallory", ask("house", "go")),
    "a household of its owner": ("alice", ask("house", "go")),
}  # fmt: skip


def fork(base: Economy, fuse: Fuse) -> Economy:
    """The same world once more, with a fuse in it."""
    twin = copy.copy(base)
    runner = FusedRunner(dict(PROGRAMS), fuse=fuse)
    twin.code_runner, twin.natives = runner, fused(market_natives(), fuse)
    twin.log = copy.deepcopy(base.log)
    twin.restart()
    runner.now = lambda: twin.world.state.seq
    return twin


def prove(twin: Economy, fuse: Fuse, left: int) -> None:
    """The log proves itself, with artifacts that fail at the same step."""
    again = fused(market_natives(), Fuse(fuse.kind, fuse.seq, left))
    proved = verify(twin.log.records(), again, twin.log)
    assert proved.snapshot() == twin.world.state.snapshot()
    check_sums(twin.world.state)
    assert isinstance(twin.code_runner, FusedRunner)
    assert twin.code_runner.open == 0 or fuse.is_host


@pytest.fixture(scope="module")
def base() -> Economy:
    return town()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name, (_, action) in TRANSACTIONS.items()
        for kind in ("fact", "fact of the host", "outcome", "outcome of the host")
        if kind.startswith("fact") or action.id in PROGRAMS
    ],
)
def test_a_failure_at_any_step_leaves_everything_as_it_was(base: Economy, name: str, kind: str):
    who, action = TRANSACTIONS[name]
    steps = 0
    while True:
        fuse = Fuse(kind, left=steps)
        twin = fork(base, fuse)
        twin.at(max(twin.now_us + 1, AT_US.get(name, 0)))
        before = twin.table()
        fuse.seq = twin.world.state.seq + 1
        try:
            answer = twin.world.apply(Envelope(who, action), twin.now_us)
        except Blown:
            assert fuse.is_host
            twin.restart()
            assert twin.changes(before) == {}
            steps += 1
            continue
        prove(twin, fuse, steps)
        if not fuse.is_blown:
            assert isinstance(answer, Done), answer
            break
        assert isinstance(answer, Failed), answer
        assert set(twin.changes(before)) == {f"{who} compute"}, steps
        steps += 1
    assert steps, "nothing failed"
    print(f"{name}: {steps} steps failed ({kind})")


@pytest.mark.parametrize("kind", ["fact", "fact of the host", "outcome", "outcome of the host"])
def test_a_failure_at_any_step_after_an_effect_keeps_what_stood_before_it_left(
    base: Economy, kind: str
):
    """What the first failure leaves is what every other leaves."""
    left_by: list[dict[str, Any]] = []
    steps = 0
    while True:
        fuse = Fuse(kind, left=steps)
        twin = fork(base, fuse)
        before = twin.table()
        waiting = twin.ask("mallory", "waiter", "go")
        assert isinstance(waiting, Waiting), waiting
        meanwhile = twin.table()
        fuse.seq = twin.world.state.seq + 1
        try:
            settled = twin.world.settle(waiting.effect_id, EffectResult("so"), twin.now_us)
        except Blown:
            twin.restart()
            assert twin.changes(meanwhile) == {}
            steps += 1
            continue
        prove(twin, fuse, steps)
        assert settled is not None
        if not fuse.is_blown:
            assert settled.answer == Done("all")
            break
        assert isinstance(settled.answer, Failed)
        assert settled.answer.committed
        changed = twin.changes(before)
        changed.pop("mallory compute")
        left_by.append(changed)
        steps += 1
    assert steps > 10
    stood = {"waiter scrip": -3 - 5, "bob scrip": 3, "genesis scrip": 5}
    assert left_by == [stood] * len(left_by)
    print(f"an effect: {steps} steps failed ({kind})")


def test_a_contract_that_fails_at_any_step_denies_and_nothing_else_happens(base: Economy):
    """Reading under an agent's contract: the check is broken at each answer of its runner."""
    steps = 0
    while True:
        fuse = Fuse("outcome", left=steps)
        twin = fork(base, fuse)
        twin.at(twin.now_us + 1)
        before = twin.table()
        fuse.seq = twin.world.state.seq + 1
        read = Envelope("alice", Write("secret", "other"))
        answer = twin.world.apply(read, twin.now_us)
        prove(twin, fuse, steps)
        if not fuse.is_blown:
            assert answer == Done()
            assert twin.changes(before)["alice scrip"] == -2
            break
        assert isinstance(answer, Refused)
        assert answer.code == Code.PERMISSION_DENIED
        assert set(twin.changes(before)) == {"alice compute"}
        steps += 1
    assert steps == 2
