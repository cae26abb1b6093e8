"""Steps of the plain model as actions of a world, and services that take them: scripted ones and real ones.

The text of a service is real code whose first line names the scripted program that does the same, so one
world can be run with either, and must come to the same log, byte by byte.
"""

from collections.abc import Generator
from typing import Any

from scripworld.world import (
    Action,
    CallBack,
    Contract,
    Delete,
    Done,
    Invoke,
    Read,
    Tool,
    Write,
)

from ..world.lab import CodeError, Program, ScriptedRunner
from .lab import DEBT, ESCROW_ID, LEDGER_ID, MINT, PEOPLE, RIGHTS, Economy
from .plain import FEE, GATE_PRICE, PAY_PRICE, SERVICES, WORKS, Plain, Step, Work

SERVICE = """# service
def one(step):
    if step[0] == "invoke":
        return invoke(step[1], step[2], step[3])
    if step[0] == "read":
        return read(step[1], price_max_scrip=step[2])
    if step[0] == "write":
        return write(step[1], step[2], contract=step[3])
    return delete(step[1])

def go(steps, strict):
    got = []
    for step in steps:
        try:
            one(step)
            got.append(True)
        except PermissionError:
            got.append(False)
        if strict and not got[-1]:
            raise ValueError("no")
    return got
"""
GATE = f"""# gate
def check(caller, action, method, artifact):
    if caller == "mallory":
        return {{"verdict": "deny"}}
    if caller == invoke("genesis_store", "get", {{"id": artifact}})["owner"]:
        return {{"verdict": "allow"}}
    if action == "read":
        return {{"verdict": "allow", "price_scrip": {GATE_PRICE}, "payee": "carol"}}
    return {{"verdict": "deny"}}
"""
GO = Tool("go", "", {"properties": {"steps": {"type": "array"}, "strict": {"type": "boolean"}}})
_RAISED = SERVICE.splitlines().index('            raise ValueError("no")') + 1


def service(caller: str, args: dict[str, Any]) -> Generator[Any, Any, Any]:
    got = []
    for step in args["steps"]:
        answer = yield CallBack(*_asked(step))
        got.append(isinstance(answer, Done))
        if args["strict"] and not got[-1]:
            raise CodeError(f"line {_RAISED}: ValueError: no")
    return got


def gate(caller: str, args: dict[str, Any]) -> Generator[Any, Any, Any]:
    if caller == "mallory":
        return {"verdict": "deny"}
    row = yield CallBack(Invoke("genesis_store", "get", {"id": args["artifact"]}))
    if caller == row.result["owner"]:
        return {"verdict": "allow"}
    if args["action"] == "read":
        return {"verdict": "allow", "price_scrip": GATE_PRICE, "payee": "carol"}
    return {"verdict": "deny"}


PROGRAMS: dict[str, Program] = {"# service": service, "# gate": gate}


def scripted() -> ScriptedRunner:
    """A runner of the same services in this process."""
    return ScriptedRunner(dict(PROGRAMS))


def _asked(step: list[Any]) -> tuple[Any, bool, int | None]:
    kind, *rest = step
    if kind == "invoke":
        return Invoke(*rest), False, None
    if kind == "read":
        return Read(rest[0]), False, rest[1]
    if kind == "write":
        return Write(rest[0], rest[1], contract=_contract(rest[2])), False, None
    return Delete(rest[0]), False, None


def _contract(given: dict[str, Any]) -> Contract:
    return Contract(given["id"], given.get("price_scrip", 0))


def told(step: Step, now_us: int) -> list[Any]:
    """A step of the model, as services are told it."""
    name, *args = step
    match name, args:
        case "write", [id, text, contract]:
            price = {"price_scrip": PAY_PRICE} if contract == "pay_per_use" else {}
            return ["write", id, text, {"id": contract, **price}]
        case "read", [id, most]:
            return ["read", id, most]
        case "delete", [id]:
            return ["delete", id]
        case "run", [service, strict, steps]:
            inner = [told(one, now_us) for one in steps]
            return ["invoke", service, "go", {"steps": inner, "strict": strict}]
    return ["invoke", *_method(name, args, now_us)]


def _method(name: str, args: list[Any], now_us: int) -> tuple[str, str, dict[str, Any]]:
    match name, args:
        case "pay", [to, amount]:
            return LEDGER_ID, "transfer", {"to": to, "amount": amount}
        case "favour", [to, amount]:
            return RIGHTS, "transfer_quota", {"to": to, "resource": "favours", "amount": amount}
        case "give", [id, to]:
            return LEDGER_ID, "transfer_ownership", {"id": id, "to": to}
        case "sell", [id, price, buyer, for_us]:
            terms = {"buyer": buyer} if buyer else {}
            terms |= {"expires_us": now_us + for_us} if for_us else {}
            return ESCROW_ID, "list_for_sale", {"artifact": id, "price": price, **terms}
        case "buy", [id, most]:
            return ESCROW_ID, "purchase", {"artifact": id, "price_max": most}
        case "cancel", [id]:
            return ESCROW_ID, "cancel", {"artifact": id}
        case "bid", [id, amount]:
            return MINT, "bid", {"artifact": id, "amount": amount}
        case "unbid", [whose]:
            return MINT, "withdraw", {"bid": f"{now_us // 10_000}.{whose}"}
        case "lend", [id, to, amount, back, pledge]:
            parts = [{"due_us": now_us + 1_000, "amount": 1}]
            parts.append({"due_us": now_us + 2_000, "amount": back})
            more = {"collateral": pledge} if pledge else {}
            terms = {"id": id, "amount": amount, "borrower": to, "instalments": parts, **more}
            return DEBT, "offer", terms
        case "hand_on", [id, to]:
            return DEBT, "transfer", {"loan": id, "to": to}
        case "repay", [id, amount]:
            return DEBT, "repay", {"loan": id, "amount": amount}
    method = {"borrow": "accept", "unlend": "withdraw", "collect": "collect"}[name]
    return DEBT, method, {"loan": args[0]}


def action(step: Step, now_us: int) -> tuple[Action, int | None]:
    """A step of the model as an action of a person, with the most that it may cost."""
    asked, _, most = _asked(told(step, now_us))
    return asked, most


def town(code: Any, log: Any = None) -> tuple[Economy, Plain]:
    """A world with two services, a gate and four works, and the model of it."""
    economy, plain = Economy(code, log=log), Plain()
    for id, owner in SERVICES.items():
        economy.service(owner, id, SERVICE, Contract("pay_per_use", FEE), 20, [GO])
        give = {"to": id, "resource": "stored_bytes", "amount": 4_000}
        economy.done(owner, RIGHTS, "transfer_quota", **give)
        plain.scrip[id] = 0
        plain.move(owner, id, 20)
    economy.tool("carol", "gate", GATE, "check")
    for who, id in zip(PEOPLE, WORKS, strict=True):
        economy.write(who, id, f"words of {id}")
        plain.works[id] = Work(who, f"words of {id}")
    plain.go_to(economy.now_us)
    return economy, plain
