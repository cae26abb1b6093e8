"""A world with every market in it. All that anybody has, owns and owes is one flat table.

What an attack changed is the difference of two such tables, so a case says exactly what it cost and to
whom, and that nothing else moved. ``prove`` then decides the whole log again, without an interpreter.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.genesis import ESCROW, EVENT_LOG, LEDGER, RIGHTS_REGISTRY, STORE
from scripworld.genesis.debt import debt_native
from scripworld.genesis.debt_terms import DebtFigures
from scripworld.genesis.mint import mint_native
from scripworld.genesis.mint_auction import MintFigures
from scripworld.world import (
    RECORDS,
    Action,
    Answer,
    Code,
    CodeRunner,
    Contract,
    Cost,
    Done,
    EffectResult,
    Envelope,
    Failed,
    Invoke,
    Limits,
    Native,
    NoCode,
    PrincipalSpec,
    Record,
    Refused,
    Resource,
    Settled,
    Tool,
    Waiting,
    World,
    WorldConfig,
    Write,
    fold,
    restore,
    verify,
)

from ..world.lab import check_sums
from ..world.lab import natives as lab_natives

PEOPLE = ("alice", "bob", "carol", "mallory")
SCRIP = 100
QUOTAS = {"compute": 100_000, "stored_bytes": 20_000, "favours": 10}
PERIOD_US, BIDDING_US, GRACE_US, OFFER_US = 10_000, 6_000, 500, 5_000
ESCROW_ID, MINT, DEBT, LEDGER_ID = (
    "genesis_escrow",
    "genesis_mint",
    "genesis_debt",
    "genesis_ledger",
)
RIGHTS, STORE_ID, ORACLE = "genesis_rights_registry", "genesis_store", "oracle"
FREEWARE = Contract("freeware")
FIELDS = ("owner", "type", "content", "contract", "stored_for", "stored_bytes", "encumbered_by")


def market_natives() -> dict[str, Native]:
    """Every market of a world, and an oracle whose answers come from outside."""
    mint = MintFigures(
        period_us=PERIOD_US,
        bidding_us=BIDDING_US,
        reserve_scrip=2,
        scrip_per_point=3,
        shares="genesis",
        sharers_max=100,
        bids_max=10,
        remembered=2,
    )
    debt = DebtFigures(offer_us=OFFER_US, grace_us=GRACE_US, instalments_max=4)
    all_of_them = (LEDGER, RIGHTS_REGISTRY, STORE, EVENT_LOG, ESCROW)
    made = (*all_of_them, mint_native(mint), debt_native(debt), lab_natives()[ORACLE])
    return {native.id: native for native in made}


def configured(**changes: Any) -> WorldConfig:
    """Four principals with 100 scrip each."""
    fields: dict[str, Any] = {
        "seed": 5,
        "principals": tuple(PrincipalSpec(name, SCRIP, QUOTAS) for name in PEOPLE),
        "resources": {
            "compute": Resource("renewable", 60_000_000),
            "stored_bytes": Resource("allocatable"),
            "favours": Resource("depletable"),
        },
        "costs": {
            MINT: {"tick": Cost(latency_us=100, timeout_us=1_000, repeatable=True)},
            ORACLE: {
                "*": Cost({"compute": 1}, 5, latency_us=1_000, timeout_us=5_000),
                "cheap": Cost({"compute": 1}, latency_us=1_000, timeout_us=5_000),
            },
        },
        "limits": Limits(frame_depth_max=6, calls_max=30, page_max=20),
    }
    return WorldConfig(**(fields | changes))


class Economy:
    """A world to attack: each call is one action, a microsecond after the one before."""

    def __init__(
        self,
        code: CodeRunner | None = None,
        natives: Mapping[str, Native] | None = None,
        log: Any = None,
        **config: Any,
    ) -> None:
        self.code_runner = code or NoCode()
        self.natives = natives or market_natives()
        self.log = log or MemoryEventLog()
        self.now_us = 0
        self.world = World.begin(
            configured(**config), self.natives, self.log, self.code_runner, "test"
        )

    def at(self, now_us: int) -> None:
        """Let the world come to a time, as a driver does: what is due on the way happens; no loop acts."""
        while (due_us := self._next_us()) is not None and due_us <= now_us:
            self.world.advance(due_us)
        self.now_us = max(now_us, self.now_us)

    def _next_us(self) -> int | None:
        state = self.world.state
        ends = [hold.expires_us for hold in state.ledger.holds.values() if hold.expires_us]
        return min([*ends, *state.agenda.scheduled.values()], default=None)

    def do(self, who: str, action: Action, **envelope: Any) -> Answer:
        self.at(self.now_us + 1)
        return self.world.apply(Envelope(who, action, **envelope), self.now_us)

    def ask(self, who: str, artifact: str, method: str, /, **args: Any) -> Answer:
        return self.do(who, Invoke(artifact, method, args))

    def done(self, who: str, artifact: str, method: str, /, **args: Any) -> Any:
        """The result of what must succeed."""
        answer = self.ask(who, artifact, method, **args)
        assert isinstance(answer, Done), answer
        return answer.result

    def settle(self, waiting: Answer | str, value: Any = None, **result: Any) -> Answer:
        """Let the result of an effect come in; what its principal is answered."""
        assert isinstance(waiting, Waiting | str), waiting
        effect = waiting if isinstance(waiting, str) else waiting.effect_id
        self.at(self.now_us + 1)
        settled = self.world.settle(effect, EffectResult(value, **result), self.now_us)
        assert isinstance(settled, Settled)
        return settled.answer

    def write(self, who: str, id: str, content: str = "a text", **fields: Any) -> None:
        answer = self.do(who, Write(id, content, **fields))
        assert answer == Done(), answer

    def service(
        self,
        owner: str,
        id: str,
        text: str,
        contract: Contract = FREEWARE,
        scrip: int = 0,
        methods: Iterable[Tool | str] = ("go",),
    ) -> None:
        """A principal that is code: it has scrip and room of its own, and acts when it is invoked."""
        self.done(owner, LEDGER_ID, "spawn_principal", id=id)
        give = {"to": id, "resource": "stored_bytes", "amount": 4_000}
        self.done(owner, RIGHTS, "transfer_quota", **give)
        tools = tuple(Tool(told) if isinstance(told, str) else told for told in methods)
        self.write(owner, id, text, type="code", contract=contract, interface=tools)
        if scrip:
            self.done(owner, LEDGER_ID, "transfer", to=id, amount=scrip)

    def tool(self, owner: str, id: str, text: str, *methods: str, **fields: Any) -> None:
        """Code that is no principal: it acts with nothing of its own."""
        tools = tuple(Tool(name) for name in methods or ("go",))
        fields = {"contract": FREEWARE} | fields
        self.write(owner, id, text, type="code", interface=tools, **fields)

    @property
    def last(self) -> Record:
        rows = list(self.log.records())
        return RECORDS.decode(rows[-1][2])

    def scrip(self) -> dict[str, int]:
        """What everybody has, held or not, who has anything."""
        balances = self.world.state.ledger.balances
        return {name: amount for name, amount in balances.items() if amount}

    def owner(self, id: str) -> str:
        return self.world.state.artifacts.by_id[id].owner

    def table(self) -> dict[str, Any]:
        """All that there is, by a name for each."""
        state = self.world.state
        ledger, resources, artifacts = state.ledger, state.resources, state.artifacts
        table: dict[str, Any] = {"supply": ledger.supply}
        for who, amount in ledger.balances.items():
            table[f"{who} scrip"] = amount
            table[f"{who} held"] = ledger.held.get(who, 0)
            for name in resources.kinds:
                limit, held = resources.limit(who, name), resources.held_of(who, name)
                table[f"{who} {name} limit"] = limit
                table[f"{who} {name} held"] = held
                remaining = resources.remaining(who, name, self.now_us)
                table[f"{who} {name}"] = limit - held - remaining
        for id, artifact in artifacts.by_id.items():
            for field in FIELDS:
                table[f"{id} {field}"] = getattr(artifact, field)
            table[f"{id} methods"] = [tool.name for tool in artifact.interface]
        table |= {f"{id} gone": True for id in artifacts.gone}
        for id, drawer in state.notes.by_artifact.items():
            table |= {f"{id} note {key}": value for key, value in drawer.items()}
        table |= {f"{id} due": at_us for id, at_us in state.agenda.scheduled.items()}
        table |= {f"effect {id}": effect for id, effect in state.effects.items()}
        for who, keys in state.keys.items():
            table |= {f"{who} key {key}": value.answer for key, value in keys.items()}
        return table

    def changes(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """What became of a table: amounts as differences, all else as it is now."""
        after = self.table()
        changed: dict[str, Any] = {}
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name, 0), after.get(name, 0)
            if old != new:
                is_amount = type(old) is int and type(new) is int
                changed[name] = new - old if is_amount else after.get(name)
        return changed

    def fails(
        self, code: Code, says: str, charged: int, who: str, action: Action, **envelope: Any
    ) -> Refused | Failed:
        """What must be refused or fail with a code and a sentence, be charged, and change nothing else."""
        self.at(self.now_us + 1)
        before = self.table()
        answer = self.world.apply(Envelope(who, action, **envelope), self.now_us)
        assert isinstance(answer, Refused | Failed), answer
        assert answer.code == code, answer
        assert isinstance(answer, Failed if code >= 100 else Refused | Failed)
        assert says in answer.detail, answer
        changed = self.changes(before)
        assert changed == ({f"{who} compute": charged} if charged else {}), changed
        return answer

    def restart(self) -> None:
        """Leave the world behind and go on with what its log tells."""
        rows = list(self.log.records())
        self.world = restore(rows, self.natives, self.log, self.code_runner)

    def prove(self) -> None:
        """Decide everything again from the record of what code did, fold the facts, count the scrip."""
        state, rows = self.world.state, list(self.log.records())
        check_sums(state)
        live = state.snapshot()
        assert verify(rows, self.natives, self.log).snapshot() == live
        folded, _ = fold(rows)
        assert folded.snapshot() == live
