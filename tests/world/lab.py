"""A small world for tests: natives, a scripted code runner, and what must hold after every test."""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.world import (
    RECORDS,
    Answer,
    ArtifactSpec,
    CallBack,
    Charged,
    Code,
    CodeCall,
    Context,
    Contract,
    Cost,
    Delete,
    Diverge,
    Done,
    Edit,
    Effect,
    EffectResult,
    Envelope,
    Failed,
    Invoke,
    Limits,
    Method,
    Native,
    Outcome,
    PrincipalSpec,
    Raise,
    Read,
    Record,
    Refused,
    Resource,
    Return,
    ScripHeld,
    ScripPosted,
    ScripReleased,
    Settled,
    State,
    Tool,
    Waiting,
    World,
    WorldConfig,
    Write,
    fold,
    restore,
    verify,
)

MINUTE_US = 60_000_000
Program = Callable[[str, dict[str, Any]], Generator[CallBack | Outcome, Answer, Any]]


class CodeError(Exception):
    """What a scripted program raises when the code fails by itself."""


@dataclass
class ScriptedRunner:
    """A code runner whose code is the name of a Python generator function, in the first line.

    A program is given the caller and the arguments, yields ``CallBack`` and is sent the answers. What
    else it yields (``Abort``, ``Raise``) is the outcome as it stands.
    """

    programs: dict[str, Program] = field(default_factory=dict)
    calls: list[CodeCall] = field(default_factory=list)
    open: int = 0

    def check(self, code: str) -> str | None:
        name = code.splitlines()[0] if code else ""
        return None if name in self.programs else f"there is no program {name!r}"

    def start(self, call: CodeCall) -> tuple["ScriptedSession", Outcome]:
        self.calls.append(call)
        self.open += 1
        program = self.programs[call.code.splitlines()[0]](call.caller, call.args)
        session = ScriptedSession(self, program)
        outcome = session.step(None)
        for step, (asked, answer) in enumerate(call.trace):
            if outcome != asked:
                return session, Diverge(step)
            outcome = session.step(answer)
        return session, outcome


@dataclass
class ScriptedSession:
    runner: ScriptedRunner
    program: Generator[Any, Any, Any]

    def step(self, answer: Answer | None) -> Outcome:
        try:
            return self.program.send(answer)
        except StopIteration as end:
            return Return(end.value)
        except CodeError as error:
            return Raise(str(error))

    def resume(self, answer: Answer) -> Outcome:
        return self.step(answer)

    def close(self) -> None:
        self.runner.open -= 1
        self.program.close()


def schema(**properties: str) -> dict[str, Any]:
    """The schema of required arguments by name and type."""
    return {
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
    }


def plain(name: str, handler: Any, **properties: str) -> Method:
    return Method(Tool(name, "", schema(**properties)), handler)


def _transfer(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    return ctx.transfer(args["to"], args["amount"]) or Done(ctx.state.ledger.available(ctx.caller))


def _give_quota(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    return ctx.transfer_quota(args["to"], args["resource"], args["amount"]) or Done()


def _spawn(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    return ctx.spawn(args["id"], ctx.payer, "made by a test") or Done(args["id"])


def _give(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    artifact = ctx.state.artifacts.by_id[args["id"]]
    return ctx.transfer_ownership(artifact, args["to"], artifact.stored_for) or Done()


def _sell(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    artifact = ctx.state.artifacts.by_id[args["id"]]
    return ctx.transfer_ownership(artifact, args["to"], args["to"]) or Done()


def _churn(ctx: Context, args: dict[str, Any]) -> Failed:
    """Change everything that can be changed, then fail."""
    assert ctx.spawn("churned", ctx.payer, "soon undone") is None
    assert ctx.transfer("churned", 1) is None
    assert ctx.transfer_quota("churned", "compute", 1) is None
    assert ctx.transfer_quota("churned", "budget", 1) is None
    for id in args["ids"]:
        artifact = ctx.state.artifacts.by_id[id]
        assert ctx.transfer_ownership(artifact, "carol", "carol") is None
    first = ctx.state.next_hold
    for hold in range(first, first + 3):
        ctx._note(ScripHeld(hold, ctx.caller, 2, ctx.state.now_us + 5))
    ctx._note(ScripPosted(first, "churned", 1))
    ctx._note(ScripReleased(first + 1, "void"))
    ctx.discover(())
    return Failed(args["code"], "after everything")


def _who(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    return ctx.principal(args["id"]) or Done(ctx.state.artifacts.by_id[args["id"]].owner)


def _hold(ctx: Context, args: dict[str, Any]) -> Done:
    hold = ctx.state.next_hold
    ctx._note(ScripHeld(hold, ctx.caller, args["amount"], args["expires_us"]))
    return Done(hold)


def _may(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    """Act on somebody's artifact as its contract says, and pay what it asks."""
    allowed = ctx.may(ctx.state.artifacts.by_id[args["id"]], args["what"])
    if isinstance(allowed, Failed):
        return allowed
    failed = ctx.transfer(allowed.payee, allowed.price_scrip) if allowed.price_scrip else None
    return failed or Done([allowed.price_scrip, allowed.payee, ctx.caller, ctx.payer, ctx.artifact])


def _ask(ctx: Context, args: dict[str, Any]) -> Effect:
    return Effect("oracle", {"question": args.get("question", ""), "from": ctx.caller})


def _decline(ctx: Context, args: dict[str, Any]) -> Failed:
    assert ctx.transfer("bob", 1) is None
    return Failed(Code.AMOUNT_INVALID, "it declines")


def _weigh(ctx: Context, args: dict[str, Any]) -> Effect:
    return Effect("oracle", args, args["question"])


def _turn_down(ctx: Context, args: dict[str, Any]) -> Refused:
    assert ctx.transfer("bob", 1) is None
    return Refused(Code.ARGUMENTS_INVALID, "ask for something else")


def _shout(ctx: Context, payload: Any, result: EffectResult) -> Done | Failed:
    if result.value == "fail":
        assert ctx.transfer("bob", 1) is None
        return Failed(Code.TOOL_FAILED, "it answered fail")
    return Done([str(result.value).upper(), payload["question"], ctx.caller, ctx.payer])


def _learn(ctx: Context, payload: Any, result: EffectResult) -> Done | Failed:
    own = [method.tool for method in ctx.natives[ctx.artifact].methods.values()]
    names = [tool.name for tool in own]
    more = [msgspec.convert(shape, Tool) for shape in result.value["tools"]]
    ctx.discover((*own, *(tool for tool in more if tool.name not in names)))
    if result.value.get("fail"):
        return Failed(Code.TOOL_FAILED, "it forgot")
    return Done(len(more))


def _discovered(tool: Tool) -> Method:
    return Method(tool, _ask, effect=True)


def effect(name: str, handler: Any, settled: Any = None) -> Method:
    return Method(Tool(name, "", {"properties": {"question": {}}}), handler, True, settled)


def natives() -> dict[str, Native]:
    """``bank`` acts at once, ``oracle`` by effects; ``genesis_store`` is there for its name."""
    churn = {"properties": {"ids": {"type": "array"}, "code": {"type": "integer"}}}
    bank = (
        plain("transfer", _transfer, to="string", amount="integer"),
        plain("give_quota", _give_quota, to="string", resource="string", amount="integer"),
        plain("spawn", _spawn, id="string"),
        plain("give", _give, id="string", to="string"),
        plain("sell", _sell, id="string", to="string"),
        plain("who", _who, id="string"),
        plain("may", _may, id="string", what="string"),
        plain("hold", _hold, amount="integer", expires_us="integer"),
        plain("echo", lambda ctx, args: Done(args["value"]), value="string"),
        Method(Tool("any", "", {"properties": {"value": {}}}), lambda ctx, args: Done(args)),
        Method(Tool("churn", "", churn), _churn),
        plain("lend", lambda ctx, args: Done("lent")),
    )
    oracle = (
        effect("ask", _ask),
        effect("shout", _ask, _shout),
        effect("decline", _decline),
        effect("turn_down", _turn_down),
        effect("weigh", _weigh),
        effect("learn", _ask, _learn),
        effect("free", _ask),
        effect("cheap", _ask),
    )
    return {
        "bank": Native(
            "bank",
            "a bank",
            {method.tool.name: method for method in bank},
            capabilities=frozenset({"interface"}),
        ),
        "oracle": Native(
            "oracle",
            "an oracle",
            {method.tool.name: method for method in oracle},
            _discovered,
            frozenset({"interface"}),
        ),
    }


QUOTAS = {"compute": 100, "stored_bytes": 10_000, "tokens": 50, "budget": 500}


def config(**changes: Any) -> WorldConfig:
    """Four principals: alice and bob with loops, carol without one, dave who has nothing."""
    base = WorldConfig(
        seed=7,
        actions={"read": Cost({"compute": 1}), "write": Cost({"compute": 2, "writes": 1})},
        costs={
            "bank": {"lend": Cost({"compute": 1}, price_scrip=10)},
            "oracle": {
                "*": Cost(
                    {"compute": 3, "tokens": 10, "budget": 100},
                    price_scrip=5,
                    latency_us=1_000_000,
                    timeout_us=2_000_000,
                    result_bytes_max=20_000,
                    repeatable=True,
                ),
                "free": Cost(),
                "cheap": Cost({"compute": 1}),
            },
        },
        resources={
            "compute": Resource("renewable", MINUTE_US),
            "stored_bytes": Resource("allocatable"),
            "tokens": Resource("renewable", 10_000_000),
            "writes": Resource("renewable", 1_000_000),
            "budget": Resource("depletable"),
        },
        limits=Limits(frame_depth_max=4, calls_max=6, keys_max=3, signals_max=2, watch_max=3),
        principals=(
            PrincipalSpec("alice", 1_000, {**QUOTAS, "writes": 20}, loop=True),
            PrincipalSpec("bob", 500, {**QUOTAS, "writes": 20}, loop=True, content="I am bob."),
            PrincipalSpec("carol", 0, {**QUOTAS, "writes": 20}),
            PrincipalSpec("dave", 50, loop=True),
        ),
        artifacts=(ArtifactSpec("motto", "alice", "be kind", contract=Contract("freeware")),),
    )
    return msgspec.structs.replace(base, **changes)


class Lab:
    """A world under test, at a time of its own."""

    def __init__(
        self,
        configuration: WorldConfig | None = None,
        programs: Mapping[str, Program] | None = None,
        more: Iterable[Native] = (),
        **changes: Any,
    ) -> None:
        self.config = configuration or config(**changes)
        self.natives = natives() | {native.id: native for native in more}
        self.log = MemoryEventLog()
        self.runner = ScriptedRunner(dict(programs or {}))
        self.now_us = 0
        self.world = World.begin(self.config, self.natives, self.log, self.runner, "test")

    @property
    def state(self) -> State:
        return self.world.state

    @property
    def rows(self) -> list[tuple[int, bytes, bytes]]:
        return list(self.log.records())

    @property
    def last(self) -> Record:
        return RECORDS.decode(self.rows[-1][2])

    def records(self) -> list[Record]:
        return [RECORDS.decode(row[2]) for row in self.rows]

    def do(self, principal: str, action: Any, **envelope: Any) -> Answer:
        return self.world.apply(Envelope(principal, action, **envelope), self.now_us)

    def invoke(self, principal: str, id: str, method: str, /, **args: Any) -> Answer:
        return self.do(principal, Invoke(id, method, args))

    def read(self, principal: str, id: str) -> Answer:
        return self.do(principal, Read(id))

    def write(self, principal: str, id: str, content: Any, **more: Any) -> Answer:
        return self.do(principal, Write(id, content, **more))

    def edit(self, principal: str, id: str, old: str, new: str) -> Answer:
        return self.do(principal, Edit(id, old, new))

    def delete(self, principal: str, id: str) -> Answer:
        return self.do(principal, Delete(id))

    def settle(self, waiting: Answer | str, value: Any = None, **result: Any) -> Settled | None:
        id = waiting.effect_id if isinstance(waiting, Waiting) else str(waiting)
        return self.world.settle(id, EffectResult(value, **result), self.now_us)

    def pass_us(self, us: int) -> None:
        self.now_us += us

    def program(self, name: str, run: Program) -> None:
        """Register a program; its name is its code."""
        self.runner.programs[name] = run

    def code(
        self,
        owner: str,
        id: str,
        run: Program,
        contract: Contract | None = None,
        padding: str = "",
        methods: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        """Write an artifact of code with a method ``go`` that takes any ``x``."""
        self.program(id, run)
        methods = {"go": {"properties": {"x": {}}}} if methods is None else methods
        tools = tuple(Tool(name, "", shape) for name, shape in methods.items())
        answer = self.write(
            owner,
            id,
            id + padding,
            type="code",
            contract=contract or Contract("freeware"),
            interface=tools,
        )
        assert answer == Done(), answer

    def refuses(self, code: Code, do: Callable[[], Answer], charged: int = 1) -> Refused:
        """Do it, and see that it is refused, charged, and nothing else: not even the next hold."""
        before, payer = self.parts(), None
        answer = do()
        assert isinstance(answer, Refused), answer
        assert answer.code == code, answer
        assert answer.detail
        facts = self.last.facts
        assert self.last.answer == answer
        if charged:
            (fact,) = facts
            assert isinstance(fact, Charged)
            assert fact.amount == charged
            payer = fact.principal
        else:
            assert facts == []
        after = self.parts()
        assert after.pop("seq") == before.pop("seq") + 1
        if payer is not None:
            for parts in (before, after):
                parts.pop("renewable")
                for loops in parts["loops"][:2]:
                    loops.pop(payer, None)
                parts["signals"].pop(payer, None)
        assert after == before
        return answer

    def parts(self) -> dict[str, Any]:
        """The snapshot by name, without the time and the hash of the last record."""
        (_, seq, _, next_hold), *rest = msgspec.msgpack.decode(self.state.snapshot())
        names = ("scrip", "renewable", "stocks", "holds", "artifacts", "loops", "others", "notes")
        parts = dict(zip(names, rest, strict=True)) | {"seq": seq, "next_hold": next_hold}
        paused, signals, effects, keys = parts.pop("others")
        return parts | {"paused": paused, "signals": signals, "effects": effects, "keys": keys}

    def scrip(self, *principals: str) -> list[int]:
        return [self.state.ledger.balances[principal] for principal in principals]

    def used(self, principal: str, resource: str = "compute") -> int:
        return self.state.resources.tracker.usage(principal, resource, self.now_us)

    def restart(self) -> None:
        """Leave the world behind, and go on with what its log tells."""
        self.world = restore(self.rows, self.natives, self.log, self.runner)

    def check(self) -> None:
        """What holds after every input of every world."""
        assert self.runner.open == 0, "a session of the code runner was not closed"
        live = self.state.snapshot()
        check_sums(self.state)
        folded, _ = fold(self.rows)
        assert folded.snapshot() == live
        assert folded.effect_keys == self.state.effect_keys
        assert verify(self.rows, self.natives, self.log).snapshot() == live


def check_sums(state: State) -> None:
    """Scrip is conserved, nobody is below zero, holds are what is held."""
    ledger = state.ledger
    assert sum(ledger.balances.values()) == ledger.supply
    assert all(ledger.available(principal) >= 0 for principal in ledger.balances)
    held: dict[str, int] = {}
    for hold in ledger.holds.values():
        held[hold.principal] = held.get(hold.principal, 0) + hold.amount
    assert held == ledger.held
    for name, stock in state.resources.stocks.items():
        if state.resources.kinds[name] == "allocatable":
            stored: dict[str, int] = {}
            for artifact in state.artifacts.by_id.values():
                if artifact.stored_bytes:
                    stored[artifact.stored_for] = (
                        stored.get(artifact.stored_for, 0) + artifact.stored_bytes
                    )
            assert stored == stock.used
