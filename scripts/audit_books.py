"""Owns what the audit keeps of a log: the books that its facts decide, and the rules they must keep.

Written from docs/architecture/log_format.md alone, with nothing of scripworld, so that it shares no
mistake with the kernel.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from types import NoneType
from typing import Any

COMPUTE, STORED_BYTES = "compute", "stored_bytes"

ANY, ID, TEXT, INT, FLAG, MAP, LIST = None, (str,), (str,), (int,), (bool,), (dict,), (list,)
BYTES, KEY, MAYBE_LIST = (bytes,), (str, NoneType), (list, NoneType)

Fields = dict[str, tuple[type, ...] | None]
"""The types that each field may have; None for any."""

BEGIN, ENVELOPE, MALFORMED, SETTLE, OPERATE, ADVANCE = 6, 1, 2, 3, 4, 5
INPUTS: dict[int, tuple[str, Fields]] = {
    ENVELOPE: ("Envelope", {"principal": ID, "action": LIST, "price_max_scrip": ANY,
                            "compute_max": ANY, "idempotency_key": KEY}),
    MALFORMED: ("Malformed", {"principal": TEXT, "code": INT, "detail": TEXT}),
    SETTLE: ("Settle", {"effect_id": TEXT, "result": LIST}),
    OPERATE: ("Operate", {"command": LIST}),
    ADVANCE: ("Advance", {}),
    BEGIN: ("Begin", {"format": INT, "code_version": TEXT, "config": MAP}),
}  # fmt: skip
# Name, fields, and the inputs whose records may hold the fact.
ACTS = (ENVELOPE, SETTLE)
ALSO_BY_ITSELF = (*ACTS, ADVANCE)  # genesis artifacts act by themselves when they are due
FACTS: dict[int, tuple[str, Fields, tuple[int, ...]]] = {
    1: ("Charged", {"principal": ID, "amount": INT}, (ENVELOPE, MALFORMED)),
    2: ("ScripTransferred", {"payer": ID, "payee": ID, "amount": INT},
        ALSO_BY_ITSELF),
    3: ("ResourceUsed", {"principal": ID, "resource": TEXT, "amount": INT}, ACTS),
    4: ("ScripIssued", {"principal": ID, "amount": INT}, (BEGIN, SETTLE, ADVANCE)),
    5: ("ScripHeld", {"hold": INT, "principal": ID, "amount": INT, "expires_us": INT}, ACTS),
    6: ("ScripPosted", {"hold": INT, "payee": ID, "amount": INT}, ACTS),
    7: ("ScripReleased", {"hold": INT, "reason": TEXT}, ALSO_BY_ITSELF),
    8: ("ResourceHeld", {"hold": INT, "principal": ID, "amounts": MAP}, ACTS),
    9: ("ResourcePosted", {"hold": INT, "used": MAP}, (SETTLE,)),
    10: ("Overran", {"principal": ID, "resource": TEXT, "amount": INT}, (SETTLE,)),
    11: ("Allocated", {"principal": ID, "resource": TEXT, "delta": INT},
         (BEGIN, *ALSO_BY_ITSELF)),
    12: ("LimitSet", {"principal": ID, "resource": TEXT, "limit": INT}, (BEGIN, OPERATE)),
    13: ("QuotaTransferred", {"giver": ID, "taker": ID, "resource": TEXT, "amount": INT}, ACTS),
    14: ("ArtifactWritten", {"id": ID, "owner": ID, "type": TEXT, "description": TEXT,
                             "content": ANY, "contract": LIST, "interface": LIST, "standing": FLAG,
                             "loop": FLAG, "stored_for": ID, "stored_bytes": INT}, (BEGIN, *ACTS)),
    15: ("ContentReplaced", {"id": ID, "content": ANY, "stored_for": ID, "stored_bytes": INT}, ACTS),
    16: ("ArtifactDeleted", {"id": ID}, ACTS),
    17: ("OwnershipTransferred", {"id": ID, "owner": ID, "stored_for": ID}, ALSO_BY_ITSELF),
    18: ("InterfaceDiscovered", {"id": ID, "interface": LIST}, ACTS),
    19: ("EffectRequested", {"id": TEXT, "origin": TEXT, "principal": ID, "key": KEY, "artifact": ID,
                             "method": TEXT, "caller": ID, "performer": TEXT, "payload": ANY,
                             "requested_us": INT, "due_us": INT, "deadline_us": INT,
                             "result_bytes_max": INT, "repeatable": FLAG, "resource_hold": INT,
                             "price_hold": INT, "payee": ID, "price_scrip": INT, "frame_hold": INT,
                             "frames": LIST, "action": MAYBE_LIST, "compute_left": INT},
         ALSO_BY_ITSELF),
    20: ("EffectSettled", {"id": TEXT}, (SETTLE,)),
    21: ("KeyRemembered", {"principal": ID, "key": TEXT, "fingerprint": BYTES, "answer": LIST}, ACTS),
    22: ("Slept", {"principal": ID, "until_us": INT, "watch": LIST}, (ENVELOPE,)),
    23: ("Woke", {"principal": ID}, (*ACTS, MALFORMED, OPERATE, ADVANCE)),
    24: ("Stopped", {"principal": ID, "reason": TEXT}, (ENVELOPE, OPERATE)),
    25: ("Paused", {"principal": ID}, (OPERATE,)),
    26: ("Resumed", {"principal": ID}, (OPERATE,)),
    27: ("Signalled", {"principal": ID, "signal": TEXT}, (OPERATE,)),
    28: ("Noted", {"artifact": ID, "key": TEXT, "value": ANY}, ALSO_BY_ITSELF),
    29: ("Encumbered", {"id": ID, "by": TEXT}, ALSO_BY_ITSELF),
    30: ("Scheduled", {"artifact": ID, "due_us": INT}, ALSO_BY_ITSELF),
}  # fmt: skip
PRICE_HOLD_OF_FRAME = 5


class Wrong(Exception):
    """The log is not sound; the text is one sentence."""


def need(holds: bool, sentence: str) -> None:
    if not holds:
        raise Wrong(sentence)


def named(kind: str, table: dict[int, Any], value: Any) -> tuple[int, list[Any]]:
    """Tag and fields of a tagged array, as its table says that they are."""
    need(type(value) is list and bool(value) and value[0] in table, f"{value!r:.80} is no {kind}")
    tag, *fields = value
    name, types = table[tag][:2]
    need(len(fields) == len(types), f"{name} has {len(types)} fields, not {len(fields)}")
    for (field, kinds), part in zip(types.items(), fields, strict=True):
        need(kinds is None or type(part) in kinds, f"{name}.{field} is {part!r:.80}")
    return tag, fields


class Books:
    """The state that facts decide, as far as it can be wrong."""

    def __init__(self, config: dict[str, Any], in_full: Callable[[Any], Any]) -> None:
        self.in_full = in_full
        resources = config["resources"]
        self.kinds = {name: resource["kind"] for name, resource in resources.items()}
        self.windows_us = {name: r.get("window_us", 0) for name, r in resources.items()}
        self.balances: dict[str, int] = {}
        self.held: Counter[str] = Counter()
        self.supply = self.total = self.last_hold = 0
        self.scrip_holds: dict[int, tuple[str, int]] = {}
        self.quota_holds: dict[int, tuple[str, dict[str, int]]] = {}
        self.limits: Counter[tuple[str, str]] = Counter()
        self.used: Counter[tuple[str, str]] = Counter()
        self.quota_held: Counter[tuple[str, str]] = Counter()
        self.stamps: defaultdict[tuple[str, str], deque[tuple[int, int]]] = defaultdict(deque)
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.gone: set[str] = set()
        self.stored: Counter[str] = Counter()
        self.effects: dict[str, dict[str, Any]] = {}
        self.requested = 0
        self.debtors: dict[tuple[str, str], str] = {}  # by note
        self.debts: Counter[str] = Counter()
        self.apply = {
            tag: (getattr(self, name.lower(), None), name, inputs)
            for tag, (name, _, inputs) in FACTS.items()
        }

    def begin(self, seq: int, now_us: int, tag: int, fields: list[Any]) -> None:
        self.seq, self.now_us, self.tag = seq, now_us, tag
        self.asked = self.settled = 0
        self.freed: Counter[tuple[str, str]] = Counter()
        self.set_aside: Counter[str] = Counter()  # scrip of holds that this record ended
        self.exhausted: set[tuple[str, str]] = set()
        self.open: set[int] = set()  # holds that this record must end, or name in an effect
        self.touched: set[str] = set()  # whose storage changed
        self.actor = fields[0] if tag in (ENVELOPE, MALFORMED) else None
        self.effect_id = None
        if tag == SETTLE:
            self.effect_id = fields[0]
            need(self.effect_id in self.effects, f"effect {self.effect_id} was not asked for")
            self.actor = self.effects[self.effect_id]["principal"]
        self.by_itself = tag == ADVANCE or (tag == SETTLE and self.is_genesis(self.actor))

    def fact(self, value: Any) -> int:
        tag, fields = named("fact", FACTS, value)
        apply, name, inputs = self.apply[tag]
        need(self.tag in inputs, f"{name} does not follow from {INPUTS[self.tag][0]}")
        if apply is not None:
            apply(*fields)
        elif fields[0] != "*" or name not in ("Paused", "Resumed"):
            self.principal(fields[0])
        return tag

    def end(self) -> None:
        need(self.total == self.supply, f"balances sum to {self.total}, supply is {self.supply}")
        for hold in sorted(self.open):
            raise Wrong(f"hold {hold} neither ends nor belongs to an effect")
        need(self.settled == (self.tag == SETTLE), f"effect {self.effect_id} is not settled")
        for principal in self.touched:
            stored, taken = self.stored[principal], self.used[principal, STORED_BYTES]
            need(stored == taken, f"{principal} stores {stored} bytes and is allocated {taken}")

    # Scrip.

    def principal(self, id: str) -> None:
        need(id in self.balances, f"{id} is no principal")

    def acting(self, id: str) -> None:
        need(id == self.actor, f"{id} pays, and {self.actor} acts")
        self.principal(id)

    def paying(self, id: str) -> None:
        """Whose scrip moves: who acts, code by its own doing, or who agreed to it before."""
        self.principal(id)
        agreed = self.by_itself or self.debts[id] or self.artifacts[id]["type"] == "code"
        need(id == self.actor or bool(agreed), f"{id} pays, and {self.actor} acts")

    def is_genesis(self, id: Any) -> bool:
        return id in self.artifacts and self.artifacts[id]["type"] == "genesis"

    def move(self, id: str, amount: int) -> None:
        self.principal(id)
        self.balances[id] += amount
        self.total += amount
        left = self.balances[id] - self.held[id]
        need(left >= 0, f"{id} spends {-left} scrip more than it has")

    def natural(self, amount: int) -> None:
        need(amount >= 0, f"{amount} is no amount")

    def new_hold(self, hold: int) -> None:
        need(hold > self.last_hold, f"hold {hold} was used before")
        self.last_hold = hold

    def scriptransferred(self, payer: str, payee: str, amount: int) -> None:
        self.natural(amount)
        covered = min(amount, self.set_aside[payer])  # agreed to when it was held
        self.set_aside[payer] -= covered
        if amount > covered or not amount:
            self.paying(payer)
        self.move(payer, -amount)
        self.move(payee, amount)

    def scripissued(self, principal: str, amount: int) -> None:
        self.natural(amount)
        need(self.tag == BEGIN or self.by_itself, f"{self.actor} makes scrip")
        self.supply += amount
        self.move(principal, amount)

    def scripheld(self, hold: int, principal: str, amount: int, expires_us: int) -> None:
        self.paying(principal)
        self.natural(amount)
        self.new_hold(hold)
        self.scrip_holds[hold] = principal, amount
        self.held[principal] += amount
        self.move(principal, 0)
        if not expires_us:
            self.open.add(hold)

    def end_scrip_hold(self, hold: int) -> tuple[str, int]:
        need(hold in self.scrip_holds, f"scrip hold {hold} is not open")
        principal, amount = self.scrip_holds.pop(hold)
        self.held[principal] -= amount
        self.open.discard(hold)
        return principal, amount

    def scripposted(self, hold: int, payee: str, amount: int) -> None:
        principal, held = self.end_scrip_hold(hold)
        need(0 <= amount <= held, f"hold {hold} is of {held} scrip and pays {amount}")
        self.move(principal, -amount)
        self.move(payee, amount)

    def scripreleased(self, hold: int, reason: str) -> None:
        principal, amount = self.end_scrip_hold(hold)
        self.set_aside[principal] += amount
        expired = self.tag == ADVANCE and reason == "expired"
        need(expired or reason == "void", f"hold {hold} ended as {reason!r}, not 'void'")

    # Resources.

    def resource(self, name: str, *kinds: str) -> None:
        kind = self.kinds.get(name)
        need(kind in kinds, f"{name} is {kind or 'no resource'}, not {' or '.join(kinds)}")

    def usage(self, key: tuple[str, str]) -> int:
        """What counts as used at this record's time, holds not included."""
        window_us = self.windows_us[key[1]]
        if self.kinds[key[1]] == "renewable":
            stamps = self.stamps[key]
            while stamps and stamps[0][0] <= self.now_us - window_us:
                self.used[key] -= stamps.popleft()[1]
        return self.used[key]

    def stamp(self, key: tuple[str, str], amount: int) -> None:
        self.usage(key)
        self.used[key] += amount
        if self.kinds[key[1]] == "renewable":
            self.stamps[key].append((self.now_us, amount))

    def within(self, key: tuple[str, str]) -> None:
        used, held, limit = self.usage(key), self.quota_held[key], self.limits[key]
        text = f"{key[0]} uses {used} and holds {held} of {key[1]}, its limit is {limit}"
        need(used + held <= limit, text)

    def admit(self, key: tuple[str, str], amount: int) -> None:
        """What a hold that this record ended gave back was admitted before; the rest must fit now."""
        covered = min(amount, self.freed[key])
        self.freed[key] -= covered
        if amount > covered:
            self.within(key)

    def charged(self, principal: str, amount: int) -> None:
        self.resourceused(principal, COMPUTE, amount)

    def resourceused(self, principal: str, resource: str, amount: int) -> None:
        self.acting(principal)
        self.natural(amount)
        self.resource(resource, "renewable", "depletable")
        self.stamp((principal, resource), amount)
        self.admit((principal, resource), amount)

    def resourceheld(self, hold: int, principal: str, amounts: dict[str, int]) -> None:
        self.acting(principal)
        self.new_hold(hold)
        self.quota_holds[hold] = principal, amounts
        self.open.add(hold)
        for resource, amount in amounts.items():
            self.natural(amount)
            self.resource(resource, "renewable", "depletable")
            self.quota_held[principal, resource] += amount
            self.admit((principal, resource), amount)

    def resourceposted(self, hold: int, used: dict[str, int]) -> None:
        need(hold in self.quota_holds, f"resource hold {hold} is not open")
        principal, amounts = self.quota_holds.pop(hold)
        self.open.discard(hold)
        for resource in used:
            need(resource in amounts, f"hold {hold} holds no {resource}")
        for resource, held in amounts.items():
            key, amount = (principal, resource), used.get(resource, 0)
            need(0 <= amount <= held, f"hold {hold} is of {held} {resource}, {amount} is posted")
            self.quota_held[key] -= held
            self.freed[key] += held - amount
            self.stamp(key, amount)
            if amount == held:
                self.exhausted.add(key)

    def overran(self, principal: str, resource: str, amount: int) -> None:
        self.acting(principal)
        need(amount > 0, f"{amount} is no overrun")
        key = principal, resource
        need(key in self.exhausted, f"{principal} overran {resource} with some of the hold left")
        self.exhausted.remove(key)
        self.stamp(key, amount)

    def allocated(self, principal: str, resource: str, delta: int) -> None:
        self.principal(principal)
        self.resource(resource, "allocatable")
        key = principal, resource
        self.used[key] += delta
        need(self.used[key] >= 0, f"{principal} gives back more {resource} than it took")
        if delta > 0 and self.tag != BEGIN:
            self.within(key)
        self.touched.add(principal)

    def limitset(self, principal: str, resource: str, limit: int) -> None:
        self.principal(principal)
        self.natural(limit)
        self.resource(resource, "renewable", "depletable", "allocatable")
        self.limits[principal, resource] = limit

    def quotatransferred(self, giver: str, taker: str, resource: str, amount: int) -> None:
        self.acting(giver)
        self.principal(taker)
        self.natural(amount)
        self.resource(resource, "renewable", "depletable", "allocatable")
        self.limits[giver, resource] -= amount
        self.limits[taker, resource] += amount
        self.within((giver, resource))

    # Artifacts.

    def store(self, id: str, principal: str, size: int) -> dict[str, Any]:
        """Move the bytes that an artifact stores."""
        self.natural(size)
        self.principal(principal)
        artifact = self.artifacts[id]
        for who, delta in ((artifact["for"], -artifact["bytes"]), (principal, size)):
            self.stored[who] += delta
            self.touched.add(who)
        artifact["for"], artifact["bytes"] = principal, size
        return artifact

    def known(self, id: str) -> dict[str, Any]:
        need(id in self.artifacts, f"there is no artifact {id}")
        return self.artifacts[id]

    def artifactwritten(self, id: str, owner: str, type: str, *rest: Any) -> None:
        standing, loop, stored_for, size = rest[-4:]
        need(id not in self.gone, f"the id {id} was deleted and is used again")
        fixed = {"owner": owner, "standing": standing, "loop": loop}
        if id not in self.artifacts:
            self.artifacts[id] = {**fixed, "for": stored_for, "bytes": 0, "by": ""}
            if standing:
                self.balances[id] = 0
        self.unbound(id)
        before = self.store(id, stored_for, size)
        for name, value in fixed.items():
            need(before[name] == value, f"a write changes the {name} of {id}")
        before["type"] = type
        self.principal(owner)

    def contentreplaced(self, id: str, content: Any, stored_for: str, size: int) -> None:
        self.unbound(id)
        self.store(id, stored_for, size)

    def artifactdeleted(self, id: str) -> None:
        artifact = self.unbound(id)
        stays = artifact["standing"] or artifact["type"] == "genesis"
        need(not stays, f"{id} is a principal or a genesis artifact and is deleted")
        self.store(id, artifact["for"], 0)
        del self.artifacts[id]
        self.gone.add(id)

    def ownershiptransferred(self, id: str, owner: str, stored_for: str) -> None:
        artifact = self.known(id)
        self.principal(owner)
        self.store(id, stored_for, artifact["bytes"])["owner"] = owner

    def unbound(self, id: str) -> dict[str, Any]:
        artifact = self.known(id)
        need(not artifact["by"], f"{id} is changed, and {artifact['by']} has bound it")
        return artifact

    def encumbered(self, id: str, by: str) -> None:
        artifact = self.known(id)
        need(
            bool(by) != bool(artifact["by"]), f"{id} is bound by {artifact['by']!r}, then by {by!r}"
        )
        need(not by or self.is_genesis(by), f"{by} is no genesis artifact and binds {id}")
        artifact["by"] = by

    def noted(self, artifact: str, key: str, value: Any) -> None:
        need(self.is_genesis(artifact), f"{artifact} is no genesis artifact and notes something")
        self.debts[self.debtors.pop((artifact, key), "")] -= 1
        value = self.in_full(value)
        if isinstance(value, dict):
            self.open.discard(value.get("hold", 0))
            if value.get("state") == "running" and "borrower" in value:
                self.debtors[artifact, key] = value["borrower"]
        self.debts[self.debtors.get((artifact, key), "")] += 1

    def scheduled(self, artifact: str, due_us: int) -> None:
        need(self.is_genesis(artifact), f"{artifact} is no genesis artifact and schedules itself")
        need(
            due_us == 0 or due_us > self.now_us, f"{artifact} is due at {due_us} us, which is over"
        )

    def interfacediscovered(self, id: str, interface: list[Any]) -> None:
        self.known(id)

    # Effects.

    def effectrequested(self, id: str, *fields: Any) -> None:
        effect = dict(zip(list(FACTS[19][1])[1:], fields, strict=True))
        expected = f"{self.seq}.{self.asked}"
        need(id == expected, f"effect {id} should be {expected}")
        if effect["method"] == "tick" and self.is_genesis(effect["principal"]):
            need(effect["principal"] == effect["artifact"], f"effect {id} is another's tick")
        else:
            self.acting(effect["principal"])
            self.principal(effect["payee"])
        self.known(effect["artifact"])
        need(effect["requested_us"] == self.now_us, f"effect {id} is asked for at another time")
        need(effect["due_us"] >= self.now_us, f"effect {id} is due before it is asked for")
        for name in ("resource_hold", "frame_hold"):
            need(effect[name] in {0, *self.quota_holds}, f"effect {id}: {name} is not open")
        held = self.scrip_holds.get(effect["price_hold"], (None, 0))[1]
        need(held == effect["price_scrip"], f"effect {id} costs another price than it holds")
        self.open -= self.holds_of(effect)
        self.effects[id] = effect
        self.asked += 1
        self.requested += 1

    def effectsettled(self, id: str) -> None:
        need(id == self.effect_id and id in self.effects, f"effect {id} is not the one settled")
        self.open |= self.holds_of(self.effects.pop(id))
        self.settled += 1

    def holds_of(self, effect: dict[str, Any]) -> set[int]:
        holds = {effect[name] for name in ("resource_hold", "frame_hold", "price_hold")}
        return (holds | {frame[PRICE_HOLD_OF_FRAME] for frame in effect["frames"]}) - {0}

    def keyremembered(self, principal: str, *rest: Any) -> None:
        self.acting(principal)
