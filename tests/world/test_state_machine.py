"""The whole kernel against a plain model, in sequences that Hypothesis makes up.

``SCRIPWORLD_STEPS`` asks for another number of steps than the 10,000 of the suite.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from scripworld.world import (
    CallBack,
    Code,
    Contract,
    Cost,
    Delete,
    Done,
    Edit,
    Failed,
    Invoke,
    Pause,
    Read,
    Refused,
    Resume,
    SetLimit,
    Signal,
    Sleep,
    Waiting,
    Write,
)

from .lab import MINUTE_US, CodeError, Lab, check_sums, config

STEPS_A_WORLD = 50
STEPS = int(os.environ.get("SCRIPWORLD_STEPS", "10000"))

PEOPLE = ["alice", "bob", "carol", "dave"]
IDS = ["a1", "a2", "a3", "motto"]
ACTOR = st.sampled_from(PEOPLE)
ANY_ID = st.sampled_from([*IDS, "shop", "bank", "bob", "nowhere"])
AMOUNT = st.one_of(st.integers(-1, 60), st.integers(400, 2_000))
TEXT = st.sampled_from(["", "x", "one two", "é" * 30, "long " * 300, "aXa"])
CONTRACT = st.sampled_from(
    [
        None,
        Contract("private"),
        Contract("public"),
        Contract("freeware"),
        Contract("pay_per_use", 7),
        Contract("members", members=("carol", "shop")),
        Contract("nonsense"),
    ]
)
RESOURCE = st.sampled_from(["compute", "tokens", "budget", "stored_bytes", "luck"])
COST = {"ask": {"compute": 3, "tokens": 10, "budget": 100}, "cheap": {"compute": 1}, "free": {}}
WINDOWS = {"compute": MINUTE_US, "tokens": 10_000_000, "writes": 1_000_000}


def shop(caller: str, args: dict[str, Any]):
    """Does the actions that ``x`` lists, and fails in the end if it is told to."""
    got = []
    for kind, *rest in args["x"]:
        if kind == "fail":
            raise CodeError("told to")
        action = {"read": Read, "write": Write, "invoke": Invoke}[kind](*rest)
        answer = yield CallBack(action, kind == "invoke")
        got.append(["done" if isinstance(answer, Done) else int(answer.code)])
    return got


@dataclass
class Note:
    owner: str
    content: str
    contract: Contract
    stored_for: str


@dataclass
class Plain:
    """What the world is expected to be, in dicts."""

    scrip: dict[str, int]
    limits: dict[tuple[str, str], int]
    notes: dict[str, Note]
    gone: set[str] = field(default_factory=set)
    uses: list[tuple[str, str, int, int]] = field(default_factory=list)
    spent: dict[str, int] = field(default_factory=dict)
    held: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)
    prices: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    now_us: int = 0

    def may(self, who: str, id: str, what: str) -> int | None:
        note = self.notes[id]
        contract, owns = note.contract.id, who == note.owner
        if contract == "public":
            return 0 if what != "delete" or owns else None
        if owns:
            return 0
        if contract == "members":
            return 0 if who in note.contract.members and what != "delete" else None
        if what not in ("read", "invoke") or contract == "private":
            return None
        return note.contract.price_scrip

    def stored(self, who: str) -> int:
        return sum(len(n.content.encode()) for n in self.notes.values() if n.stored_for == who)

    def holds(self, who: str, resource: str) -> int:
        return sum(hold.get((who, resource), 0) for hold in self.held.values())

    def left(self, who: str, resource: str) -> int:
        limit = self.limits.get((who, resource), 0)
        if resource == "stored_bytes":
            return limit - self.stored(who)
        if resource == "budget":
            return limit - self.spent.get(who, 0) - self.holds(who, resource)
        since = self.now_us - WINDOWS[resource]
        used = sum(n for w, r, n, at in self.uses if (w, r) == (who, resource) and at > since)
        return limit - used - self.holds(who, resource)

    def use(self, who: str, resource: str, n: int) -> None:
        if resource == "budget":
            self.spent[who] = self.spent.get(who, 0) + n
        else:
            self.uses.append((who, resource, n, self.now_us))

    def available(self, who: str) -> int:
        return self.scrip[who] - sum(n for w, _, n in self.prices.values() if w == who)


class WorldMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        base = config()
        oracle = dict(base.costs["oracle"])
        oracle["cheap"] = Cost({"compute": 1}, repeatable=True)
        self.lab = Lab(base)
        self.lab.world.operate(SetLimit("dave", "compute", 4), 0)
        self.lab.code("bob", "shop", shop)
        self.lab.pass_us(5 * MINUTE_US)
        self.lab.read("bob", "motto")
        limits = {
            (spec.id, resource): n
            for spec in base.principals
            for resource, n in spec.quotas.items()
        }
        limits["dave", "compute"] = 4
        self.plain = Plain(
            {"alice": 1_000, "bob": 500, "carol": 0, "dave": 50, "genesis": 0},
            limits,
            {
                "motto": Note("alice", "be kind", Contract("freeware"), "alice"),
                "shop": Note("bob", "shop", Contract("freeware"), "bob"),
                "bob": Note("bob", "I am bob.", Contract(), "bob"),
            },
            now_us=self.lab.now_us,
        )
        self.plain.use("bob", "compute", 2)
        self.waiting: dict[str, tuple[str, Any]] = {}
        self.over = False

    # What every action goes through.

    def admit(self, who: str) -> bool:
        """Charge the admission in the model; says whether there was enough for it."""
        if self.plain.left(who, "compute") < 1:
            return False
        self.plain.use(who, "compute", 1)
        return True

    def expect(self, who: str, do: Any, decide: Any) -> Any:
        """Do it; the model decides what must come out: a code, or None for done."""
        before = self.lab.parts()
        admitted = self.admit(who)
        answer = do()
        if not admitted:
            assert answer.code == Code.ADMISSION_EXCEEDED
        else:
            code = decide()
            told = None if isinstance(answer, Done | Waiting) else answer.code
            assert told == code, (told, code, answer)
        if isinstance(answer, Refused):
            after = self.lab.parts()
            for name in ("scrip", "stocks", "holds", "artifacts", "effects", "keys", "next_hold"):
                assert after[name] == before[name], name
        return answer

    def afford(self, who: str, scrip: int, compute: int) -> Code | None:
        if scrip > self.plain.available(who):
            return Code.SCRIP_INSUFFICIENT
        return Code.QUOTA_EXCEEDED if compute > self.plain.left(who, "compute") else None

    def pay(self, who: str, to: str, scrip: int) -> None:
        self.plain.scrip[who] -= scrip
        self.plain.scrip[to] += scrip

    @rule(who=ACTOR, id=ANY_ID)
    def read(self, who, id):
        def decide():
            if id == "bank":
                self.plain.use(who, "compute", 1)
                return None
            if id not in self.plain.notes:
                return Code.NOT_FOUND
            price = self.plain.may(who, id, "read")
            if price is None:
                return Code.PERMISSION_DENIED
            code = self.afford(who, price, 1)
            if code is None:
                self.plain.use(who, "compute", 1)
                self.pay(who, self.plain.notes[id].owner, price)
            return code

        # the model has no quota for a read of the bank when there is none left
        if id == "bank" and self.plain.left(who, "compute") < 2:
            return
        answer = self.expect(who, lambda: self.lab.read(who, id), decide)
        if isinstance(answer, Done) and id != "bank":
            assert answer.result == self.plain.notes[id].content

    def store(self, who: str, id: str, content: str) -> bool:
        """Whether there is room for the content of an artifact, stored for who acts."""
        note = self.plain.notes.get(id)
        freed = len(note.content.encode()) if note is not None and note.stored_for == who else 0
        return len(content.encode()) <= self.plain.left(who, "stored_bytes") + freed

    @rule(who=ACTOR, id=st.sampled_from([*IDS, "bob", "Bad Id"]), content=TEXT, contract=CONTRACT)
    def write(self, who, id, content, contract):
        def decide():
            note = self.plain.notes.get(id)
            if id in self.plain.gone:
                return Code.ID_TAKEN
            if id == "Bad Id":
                return Code.ID_INVALID
            if contract is not None and contract.id == "nonsense":
                return Code.DEFINITION_INVALID
            if note is not None:
                if contract is not None and who != note.owner:
                    return Code.PERMISSION_DENIED
                if self.plain.may(who, id, "write") is None:
                    return Code.PERMISSION_DENIED
            code = self.afford(who, 0, 2)
            if code is None and self.plain.left(who, "writes") < 1:
                code = Code.QUOTA_EXCEEDED
            if code is None and not self.store(who, id, content):
                code = Code.QUOTA_EXCEEDED
            if code is None:
                self.plain.use(who, "compute", 2)
                self.plain.use(who, "writes", 1)
                if note is None:
                    self.plain.notes[id] = Note(who, content, contract or Contract(), who)
                else:
                    note.content, note.stored_for = content, who
                    note.contract = contract or note.contract
            return code

        self.expect(who, lambda: self.lab.write(who, id, content, contract=contract), decide)

    @rule(who=ACTOR, id=ANY_ID.filter(lambda id: id not in ("bank", "shop")), old=TEXT, new=TEXT)
    def edit(self, who, id, old, new):
        def decide():
            if id not in self.plain.notes:
                return Code.NOT_FOUND
            if self.plain.may(who, id, "write") is None:
                return Code.PERMISSION_DENIED
            note = self.plain.notes[id]
            places = [i for i in range(len(note.content)) if note.content.startswith(old, i)]
            if not old or len(places) != 1:
                return Code.EDIT_MISMATCH
            content = note.content.replace(old, new)
            if not self.store(who, id, content):
                return Code.QUOTA_EXCEEDED
            note.content, note.stored_for = content, who
            return None

        self.expect(who, lambda: self.lab.do(who, Edit(id, old, new)), decide)

    @rule(who=ACTOR, id=ANY_ID.filter(lambda id: id != "shop"))
    def delete(self, who, id):
        def decide():
            if id == "bank":
                return Code.PERMISSION_DENIED
            if id not in self.plain.notes:
                return Code.NOT_FOUND
            if self.plain.may(who, id, "delete") is None:
                return Code.PERMISSION_DENIED
            if id in PEOPLE:
                return Code.NOT_DELETABLE
            del self.plain.notes[id]
            self.plain.gone.add(id)
            return None

        self.expect(who, lambda: self.lab.do(who, Delete(id)), decide)

    @rule(who=ACTOR, to=st.sampled_from([*PEOPLE, "motto", "nobody"]), amount=AMOUNT)
    def transfer(self, who, to, amount):
        def decide():
            code = self.afford(who, 0, 1)
            if code is not None:
                return code
            self.plain.use(who, "compute", 1)
            if amount < 1:
                return Code.AMOUNT_INVALID
            if amount > self.plain.available(who):
                return Code.SCRIP_INSUFFICIENT
            if to not in PEOPLE:
                return Code.NO_STANDING
            self.pay(who, to, amount)
            return None

        self.expect(
            who, lambda: self.lab.invoke(who, "bank", "transfer", to=to, amount=amount), decide
        )

    @rule(who=ACTOR, to=ACTOR, resource=RESOURCE, amount=AMOUNT)
    def transfer_quota(self, who, to, resource, amount):
        def decide():
            code = self.afford(who, 0, 1)
            if code is not None:
                return code
            self.plain.use(who, "compute", 1)
            if amount < 1:
                return Code.AMOUNT_INVALID
            if resource == "luck":
                return Code.NOT_FOUND
            if amount > self.plain.left(who, resource):
                return Code.QUOTA_EXCEEDED
            limits = self.plain.limits
            limits[who, resource] -= amount
            limits[to, resource] = limits.get((to, resource), 0) + amount
            return None

        args = {"to": to, "resource": resource, "amount": amount}
        self.expect(who, lambda: self.lab.invoke(who, "bank", "give_quota", **args), decide)

    @rule(who=ACTOR, to=ACTOR, id=st.sampled_from(IDS), how=st.sampled_from(["give", "sell"]))
    def hand_over(self, who, to, id, how):
        note = self.plain.notes.get(id)
        if note is None:
            return

        def decide():
            code = self.afford(who, 0, 1)
            if code is not None:
                return code
            self.plain.use(who, "compute", 1)
            if how == "sell":
                if not self.store(to, id, note.content):
                    return Code.QUOTA_EXCEEDED
                note.stored_for = to
            note.owner = to
            return None

        self.expect(who, lambda: self.lab.invoke(who, "bank", how, id=id, to=to), decide)

    @rule(who=ACTOR)
    def pay_per_use(self, who):
        def decide():
            code = self.afford(who, 10, 1)
            if code is None:
                self.plain.use(who, "compute", 1)
                self.pay(who, "genesis", 10)
            return code

        self.expect(who, lambda: self.lab.invoke(who, "bank", "lend"), decide)

    @rule(who=ACTOR)
    def churn(self, who):
        def decide():
            code = self.afford(who, 0, 1)
            if code is None:
                self.plain.use(who, "compute", 1)
                return Code.AMOUNT_INVALID
            return code

        # the handler asserts that it can do what it undoes
        if self.plain.available(who) < 7 or self.plain.left(who, "compute") < 3:
            return
        if self.plain.left(who, "budget") < 1 or self.plain.left(who, "stored_bytes") < 100:
            return
        self.expect(who, lambda: self.lab.invoke(who, "bank", "churn", ids=[], code=102), decide)

    @rule(who=ACTOR, method=st.sampled_from(["ask", "cheap", "free"]))
    def request(self, who, method):
        cost, scrip = COST[method], 5 if method == "ask" else 0

        def decide():
            code = self.afford(who, scrip, cost.get("compute", 0))
            if code is not None:
                return code
            for resource in ("tokens", "budget"):
                if resource in cost and cost[resource] > self.plain.left(who, resource):
                    return Code.QUOTA_EXCEEDED
            id = f"{self.lab.state.seq}.0"
            self.plain.held[id] = {(who, resource): n for resource, n in cost.items()}
            self.plain.prices[id] = (who, "genesis", scrip)
            return None

        answer = self.expect(who, lambda: self.lab.invoke(who, "oracle", method), decide)
        if isinstance(answer, Waiting):
            self.waiting[answer.effect_id] = (who, None)

    @precondition(lambda self: any(frame is None for _, frame in self.waiting.values()))
    @rule(
        data=st.data(),
        result=st.sampled_from(["done", "failed", "interrupted", "unavailable", "overran", "odd"]),
        twice=st.booleans(),
        restart=st.booleans(),
    )
    def settle(self, data, result, twice, restart):
        if restart:
            self.lab.restart()
        ids = [id for id, (_, frame) in self.waiting.items() if frame is None]
        id = data.draw(st.sampled_from(ids))
        who, _ = self.waiting.pop(id)
        held = self.plain.held.pop(id)
        payer, payee, scrip = self.plain.prices.pop(id)
        usage = {"tokens": 3} if result == "done" else {}
        if result == "overran":
            usage = {"tokens": 60, "cpu_us": 5}
        if result == "odd":
            usage = {"tokens": -1}
        failure = {
            "failed": Code.TOOL_FAILED,
            "interrupted": Code.EFFECT_INTERRUPTED,
            "unavailable": Code.TOOL_UNAVAILABLE,
        }.get(result)
        settled = self.lab.settle(id, "v", code=failure, usage=usage)
        if result == "odd":
            failure, usage = Code.TOOL_FAILED, {}
        for (_, resource), n in held.items():
            if result == "unavailable" or (result == "interrupted" and resource != "budget"):
                continue
            used = usage.get(resource, n)
            self.over |= used > n
            self.plain.use(who, resource, used)
        assert settled.principal == who
        if failure is None:
            assert settled.answer == Done("v")
            self.pay(payer, payee, scrip)
        else:
            assert settled.answer.code == failure
        if twice:
            seq = self.lab.state.seq
            assert self.lab.settle(id, "again") is None
            assert self.lab.state.seq == seq

    @rule(
        who=ACTOR,
        script=st.lists(
            st.sampled_from(
                [
                    ("read", "motto"),
                    ("write", "a1", "by code"),
                    ("invoke", "bank", "transfer", {"to": "bob", "amount": 1}),
                    ("invoke", "shop", "go", {"x": [("read", "motto"), ("fail",)]}),
                    (
                        "invoke",
                        "shop",
                        "go",
                        {"x": [("write", "a2", "deep"), ("write", "a3", "x")]},
                    ),
                    ("invoke", "oracle", "free"),
                    ("fail",),
                ]
            ),
            max_size=4,
        ),
        compute_max=st.sampled_from([None, 5, 12, 12, 12]),
        key=st.sampled_from([None, "k1", "k2"]),
    )
    def code(self, who, script, compute_max, key):
        """Code does what the model does not follow; the model is told what came of it."""
        do = Invoke("shop", "go", {"x": script})
        before = self.lab.parts()
        answer = self.lab.do(who, do, compute_max=compute_max, idempotency_key=key)
        if isinstance(answer, Waiting) and answer.effect_id in self.lab.state.effects:
            self.waiting[answer.effect_id] = (who, "shop")
        if isinstance(answer, Refused | Failed):
            after = self.lab.parts()
            assert key is not None or not getattr(answer, "committed", False)
            for name in ("scrip", "stocks", "artifacts", "effects"):
                assert after[name] == before[name], name
        self.learn()

    @precondition(lambda self: any(frame is not None for _, frame in self.waiting.values()))
    @rule(code=st.sampled_from([None, Code.EFFECT_TIMEOUT]), restart=st.booleans())
    def resume(self, code, restart):
        id = next(id for id, (_, frame) in self.waiting.items() if frame is not None)
        who, _ = self.waiting.pop(id)
        if restart:
            self.lab.restart()
        settled = self.lab.settle(id, {"v": 1}, code=code)
        if isinstance(settled.answer, Waiting):
            self.waiting[settled.answer.effect_id] = (who, "shop")
        self.learn()

    def learn(self) -> None:
        """Take over what code did, fact by fact, so that the model goes on."""
        record = self.lab.last
        state = self.lab.state
        for fact in record.facts:
            name = type(fact).__name__
            if name == "Charged":
                self.plain.use(fact.principal, "compute", fact.amount)
            elif name == "ResourceUsed":
                self.plain.use(fact.principal, fact.resource, fact.amount)
            elif name == "ResourceHeld":
                self.plain.held[f"hold {fact.hold}"] = {
                    (fact.principal, resource): n for resource, n in fact.amounts.items()
                }
            elif name == "ResourcePosted":
                self.plain.held.pop(f"hold {fact.hold}")
            elif name == "ArtifactWritten":
                assert fact.stored_for == "bob", "the shop's owner"
                content = state.artifacts.by_id[fact.id].content
                self.plain.notes[fact.id] = Note(
                    fact.owner, content, fact.contract, fact.stored_for
                )

    @rule(us=st.sampled_from([0, 1, 999_999, 1_000_000, 9_000_000, MINUTE_US]))
    def advance(self, us):
        self.lab.pass_us(us)
        self.plain.now_us = self.lab.now_us
        # a read of nobody moves the clock of the world without a charge
        assert self.lab.read("nobody", "motto").code == Code.NO_STANDING
        self.lab.world.advance(self.lab.now_us)
        agenda = self.lab.state.agenda
        for who, slept in agenda.sleeping.items():
            assert slept.until_us > self.lab.now_us or who in agenda.waiting

    @rule(
        who=ACTOR, us=st.integers(0, 3_000_000), watch=st.lists(st.sampled_from(PEOPLE), max_size=3)
    )
    def sleep(self, who, us, watch):
        answer = self.lab.do(who, Sleep(self.lab.now_us + us, tuple(watch)))
        assert answer == Done()
        assert (who in self.lab.state.agenda.sleeping) == (who != "carol")

    @rule(who=ACTOR, bad=st.sampled_from([float("nan"), 2**63, "\ud800", {1: 2}, b"x", object()]))
    def malformed(self, who, bad):
        answer = self.expect(
            who,
            lambda: self.lab.do(who, Invoke("bank", "any", {"value": [bad]})),
            lambda: Code.MALFORMED,
        )
        assert isinstance(answer, Refused)

    @rule(who=ACTOR, limit=st.integers(0, 40))
    def operate(self, who, limit):
        world, now_us = self.lab.world, self.lab.now_us
        assert world.operate(SetLimit(who, "tokens", limit), now_us) == Done()
        self.plain.limits[who, "tokens"] = limit
        self.over = True
        assert world.operate(SetLimit(who, "luck", limit), now_us).code == Code.NOT_FOUND
        assert world.operate(Pause(who), now_us) == Done()
        assert self.lab.read(who, "motto").code == Code.PAUSED
        assert world.operate(Resume(who), now_us) == Done()
        world.operate(Signal(who, "hello"), now_us)

    @invariant()
    def holds_true(self):
        state, plain = self.lab.state, self.plain
        check_sums(state)
        assert state.ledger.balances == plain.scrip
        for who in PEOPLE:
            assert state.ledger.available(who) == plain.available(who)
            for resource in ("compute", "tokens", "writes", "budget", "stored_bytes"):
                left = state.resources.remaining(who, resource, self.lab.now_us)
                assert left == plain.left(who, resource), (who, resource)
                if resource != "tokens" or not self.over:
                    assert left >= 0, (who, resource)
        for id, note in plain.notes.items():
            artifact = state.artifacts.by_id[id]
            assert (artifact.owner, artifact.stored_for) == (note.owner, note.stored_for)
            assert self.lab.world.text(artifact.content) == self.lab.world.text(note.content)
            assert artifact.contract == note.contract
        assert plain.gone == state.artifacts.gone

    def teardown(self):
        self.lab.check()


def test_the_kernel_equals_a_plain_model():
    run_state_machine_as_test(
        WorldMachine,
        settings=settings(
            max_examples=-(-STEPS // STEPS_A_WORLD),
            stateful_step_count=STEPS_A_WORLD,
            deadline=None,
            derandomize=STEPS <= 10_000,
            suppress_health_check=list(HealthCheck),
        ),
    )
