"""A world with a mint and loans, whose time the test moves; its log is proved whenever it is asked."""

from typing import Any

from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.genesis import ESCROW, EVENT_LOG, LEDGER, STORE
from scripworld.genesis.debt import debt_native
from scripworld.genesis.debt_terms import DebtFigures
from scripworld.genesis.mint import mint_native
from scripworld.genesis.mint_auction import MintFigures
from scripworld.world import (
    RECORDS,
    Action,
    Answer,
    Code,
    Cost,
    Done,
    EffectResult,
    Envelope,
    Failed,
    Invoke,
    Limits,
    NoCode,
    PrincipalSpec,
    World,
    WorldConfig,
    Write,
    fold,
    restore,
    verify,
)

MINT, DEBT, LEDGER_ID = "genesis_mint", "genesis_debt", "genesis_ledger"
ESCROW_ID = "genesis_escrow"
PERIOD_US, BIDDING_US, GRACE_US = 10_000, 6_000, 500
PEOPLE = ("alice", "bob", "carol", "dave")
SCRIP = 100


def figures(**changes: Any) -> MintFigures:
    fields: dict[str, Any] = {
        "period_us": PERIOD_US,
        "bidding_us": BIDDING_US,
        "reserve_scrip": 2,
        "scrip_per_point": 3,
        "shares": "genesis",
        "sharers_max": 100,
        "bids_max": 10,
        "remembered": 2,
    }
    return MintFigures(**(fields | changes))


class Market:
    """A world to trade in: each call is one action, a microsecond after the one before."""

    def __init__(self, stored_bytes: int = 10_000, **mint: Any) -> None:
        quotas = {"compute": 1_000_000, "stored_bytes": stored_bytes}
        config = WorldConfig(
            principals=tuple(PrincipalSpec(name, SCRIP, quotas) for name in PEOPLE),
            costs={MINT: {"tick": Cost(latency_us=100, timeout_us=1_000, repeatable=True)}},
            limits=Limits(page_max=5),
        )
        natives = (
            *(LEDGER, STORE, EVENT_LOG, ESCROW, mint_native(figures(**mint))),
            debt_native(DebtFigures(offer_us=5_000, grace_us=GRACE_US, instalments_max=4)),
        )
        self.natives = {native.id: native for native in natives}
        self.log = MemoryEventLog()
        self.now_us = 0
        self.world = World.begin(config, self.natives, self.log, NoCode(), "test")

    def at(self, now_us: int) -> None:
        """Let the world come to a time, as a driver does: everything due on the way happens."""
        while (due_us := self.world.next_due_us()) is not None and due_us <= now_us:
            self.world.advance(due_us)
        self.now_us = max(now_us, self.now_us)

    def act(self, principal: str, action: Action) -> Answer:
        self.at(self.now_us + 1)
        return self.at_once(principal, action)

    def at_once(self, principal: str, action: Action) -> Answer:
        """One action, without letting time pass."""
        return self.world.apply(Envelope(principal, action), self.now_us)

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
        self.at(self.now_us + 1)
        before = self.standing()
        answer = self.at_once(principal, Invoke(artifact, method, args))
        assert isinstance(answer, Failed), answer
        assert (answer.code, bool(answer.detail)) == (code, True), answer
        assert self.standing() == before
        assert self.facts() == ["Charged"]
        return answer

    def facts(self) -> list[str]:
        """The names of the facts of the last record."""
        rows = list(self.log.records())
        return [type(fact).__name__ for fact in RECORDS.decode(rows[-1][2]).facts]

    def write(self, principal: str, id: str, content: str = "a text", **fields: Any) -> None:
        answer = self.act(principal, Write(id, content, **fields))
        assert answer == Done(), answer

    def give(self, giver: str, id: str, taker: str) -> None:
        self.done(giver, LEDGER_ID, "transfer_ownership", id=id, to=taker)

    def bid(self, principal: str, amount: int, content: str | None = None) -> str:
        """Write a work and bid for it; the id of the bid."""
        id = f"work_{principal}_{self.world.state.seq}"
        self.write(principal, id, content or f"{id} says something")
        bid = self.done(principal, MINT, "bid", artifact=id, amount=amount)["bid"]
        assert isinstance(bid, str)
        return bid

    def settle(self, value: Any = None, **result: Any) -> None:
        """Let the oldest score come in."""
        effect = next(iter(self.world.state.effects))
        settled = self.world.settle(effect, EffectResult(value, **result), self.now_us)
        assert settled is not None

    def score(self, points: int, **more: Any) -> None:
        self.settle({"score": points, **more})

    @property
    def supply(self) -> int:
        return self.world.state.ledger.supply

    def scrip(self, *principals: str) -> list[int]:
        """All that they have, held or not."""
        return [self.world.state.ledger.balances[principal] for principal in principals]

    def held(self, *principals: str) -> list[int]:
        return [self.world.state.ledger.held.get(principal, 0) for principal in principals]

    def standing(self) -> tuple[Any, ...]:
        """All that a failed call must leave as it was."""
        state = self.world.state
        stored = state.resources.stocks["stored_bytes"]
        return (
            *(dict(state.ledger.balances), dict(state.ledger.held), dict(state.ledger.holds)),
            *(dict(state.artifacts.by_id), state.ledger.supply, dict(stored.used)),
            {name: dict(drawer) for name, drawer in state.notes.by_artifact.items()},
            dict(state.agenda.scheduled),
        )

    def restart(self) -> None:
        """Leave the world behind and go on with what its log tells."""
        self.world = restore(list(self.log.records()), self.natives, self.log, NoCode())

    def prove(self) -> None:
        """Decide everything again, fold the facts, and count the scrip."""
        ledger = self.world.state.ledger
        assert sum(ledger.balances.values()) == ledger.supply
        assert all(ledger.available(name) >= 0 for name in ledger.balances)
        decided = verify(self.log.records(), self.natives, self.log)
        folded, _ = fold(self.log.records())
        for state in (decided, folded):
            assert state.notes.by_artifact == self.world.state.notes.by_artifact
            assert state.ledger.balances == ledger.balances
            assert state.ledger.holds == ledger.holds
            assert state.artifacts.by_id == self.world.state.artifacts.by_id
            assert state.agenda.scheduled == self.world.state.agenda.scheduled
