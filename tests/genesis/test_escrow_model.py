"""Random trade through genesis_escrow against a plain model: nothing is lost, stolen or done by half."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scripworld.world import Done, Failed, verify

from .conftest import NATIVES, STEP_US, Stage
from .test_escrow import standing_code

ESCROW, LEDGER = "genesis_escrow", "genesis_ledger"
WHO = ("alice", "bob", "watcher")
THINGS = ("diary", "guide", "watcher")

steps = st.tuples(
    st.sampled_from(("list", "list", "purchase", "purchase", "cancel", "give", "pay", "wait")),
    st.sampled_from(WHO),
    st.sampled_from(THINGS),
    st.sampled_from((None, *WHO)),
    st.integers(1, 120),
)


class Model:
    """What the rules say, in a few dictionaries."""

    def __init__(self) -> None:
        self.scrip = {"alice": 100, "bob": 100, "watcher": 0}
        self.owner = {"diary": "alice", "guide": "bob", "watcher": "watcher"}
        self.sales: dict[str, tuple[int, str | None, int]] = {}

    def expire(self, now_us: int) -> None:
        self.sales = {id: sale for id, sale in self.sales.items() if sale[2] > now_us}

    def list(self, who: str, id: str, other: str | None, n: int, now_us: int) -> bool:
        ok = self.owner[id] == who and id not in self.sales and other != who
        if ok:
            self.sales[id] = (n, other, now_us + n * STEP_US)
        return ok

    def purchase(self, who: str, id: str, n: int) -> bool:
        if id not in self.sales:
            return False
        (price, buyer, _), seller = self.sales[id], self.owner[id]
        ok = who != seller and buyer in (None, who) and price <= min(n, self.scrip[who])
        if ok:
            del self.sales[id]
            self.scrip[who] -= price
            self.scrip[seller] += price
            self.owner[id] = who
        return ok

    def cancel(self, who: str, id: str) -> bool:
        return self.owner[id] == who and self.sales.pop(id, None) is not None

    def give(self, who: str, id: str, other: str) -> bool:
        ok = self.owner[id] == who and id not in self.sales
        if ok:
            self.owner[id] = other
        return ok

    def pay(self, who: str, other: str, n: int) -> bool:
        ok = n <= self.scrip[who]
        if ok:
            self.scrip[who] -= n
            self.scrip[other] += n
        return ok


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=40))
def test_trade_does_what_the_rules_say_and_nothing_else(program):
    stage, model = Stage(), Model()
    stage.write("bob", "guide")
    give = {"to": "watcher", "resource": "stored_bytes", "amount": 1_000}
    stage.done("alice", "genesis_rights_registry", "transfer_quota", **give)

    for step in program:
        model.expire(stage.world.state.now_us + STEP_US)
        assert play(stage, model, *step), step
        ledger, by_id = stage.world.state.ledger, stage.world.state.artifacts.by_id
        assert {name: ledger.balances[name] for name in WHO} == model.scrip
        assert {id: by_id[id].owner for id in THINGS} == model.owner
        assert sum(ledger.balances.values()) == ledger.supply == 200

    proved = verify(stage.log.records(), NATIVES, stage.log)
    assert proved.snapshot() == stage.world.state.snapshot()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            (
                (ESCROW, "list_for_sale", {"artifact": "ware", "price": 3, "expires_us": 900_000}),
                (ESCROW, "list_for_sale", {"artifact": "agency", "price": 9}),
                (ESCROW, "cancel", {"artifact": "ware"}),
                (ESCROW, "cancel", {"artifact": "agency"}),
                (ESCROW, "purchase", {"artifact": "guide"}),
                (ESCROW, "list_for_sale", {"artifact": "guide", "price": 1}),
                (LEDGER, "transfer_ownership", {"id": "ware", "to": "bob"}),
                (LEDGER, "spawn_agent", {"id": "child", "content": '{"mind": "m"}'}),
                (LEDGER, "transfer", {"to": "bob", "amount": 2}),
            )
        ),
        max_size=12,
    )
)
def test_whatever_code_did_before_it_failed_never_was(program):
    stage = Stage()
    stage.write("bob", "guide")
    stage.done("bob", ESCROW, "list_for_sale", artifact="guide", price=5, expires_us=950_000)
    calls = [[False, *call] for call in (*program, (LEDGER, "balance", {"principal": "nobody"}))]
    standing_code(stage, "alice", "agency", *calls, scrip=20)
    stage.write("alice", "ware")
    for id in ("ware", "agency"):
        stage.done("alice", LEDGER, "transfer_ownership", id=id, to="agency")
    before = everything(stage)

    answer = stage.ask("carol", "agency", "run")

    assert isinstance(answer, Failed)
    assert everything(stage) == before
    proved = verify(stage.log.records(), NATIVES, stage.log)
    assert proved.snapshot() == stage.world.state.snapshot()


def everything(stage: Stage) -> dict[str, Any]:
    """All that a failure must leave as it was, loops and what escrow notes included."""
    state = stage.world.state
    notes = {id: dict(drawer) for id, drawer in state.notes.by_artifact.items()}
    loops = (set(state.agenda.due_us), dict(state.agenda.scheduled))
    return {**stage.standing(), "notes": notes, "loops": loops}


def play(stage: Stage, model: Model, what: str, who: str, id: str, other: Any, n: int) -> bool:
    """Do one step in the world and in the model; whether they agree."""
    if what == "wait":
        stage.world.advance(stage.world.state.now_us + n * STEP_US)
        model.expire(stage.world.state.now_us)
        page = stage.done(who, ESCROW, "active")
        return {row["artifact"] for row in page["listings"]} <= set(model.sales)
    if what == "list":
        args = {"artifact": id, "price": n} | ({} if other is None else {"buyer": other})
        now_us = stage.world.state.now_us + STEP_US
        args["expires_us"] = now_us + n * STEP_US
        answer = stage.ask(who, ESCROW, "list_for_sale", **args)
        return isinstance(answer, Done) == model.list(who, id, other, n, now_us)
    if what == "purchase":
        answer = stage.ask(who, ESCROW, "purchase", artifact=id, price_max=n)
        return isinstance(answer, Done) == model.purchase(who, id, n)
    if what == "cancel":
        answer = stage.ask(who, ESCROW, "cancel", artifact=id)
        return isinstance(answer, Done) == model.cancel(who, id)
    other = other or "bob"
    if what == "give":
        answer = stage.ask(who, LEDGER, "transfer_ownership", id=id, to=other)
        is_free = not stage.world.state.artifacts.by_id[id].encumbered_by
        if id not in model.sales and not is_free:
            return not isinstance(answer, Done)  # its sale is over and not yet tidied up
        return isinstance(answer, Done) == model.give(who, id, other)
    answer = stage.ask(who, LEDGER, "transfer", to=other, amount=n)
    return isinstance(answer, Done) == model.pay(who, other, n)
