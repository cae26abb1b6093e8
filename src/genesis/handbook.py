"""Owns genesis_handbook: how the world works, written from the world itself, so that it cannot go stale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from ..world import (
    COMPUTE,
    CONTRACTS,
    STORED_BYTES,
    Artifact,
    Code,
    Context,
    Contract,
    Cost,
    Delete,
    Done,
    Edit,
    Failed,
    Invoke,
    Read,
    Sleep,
    Stop,
    Tool,
    Write,
    check,
)
from .arguments import ID, method, native

CODES: Mapping[Code, tuple[str, str]] = {
    Code.NO_STANDING: (
        "who acts or is named is no principal",
        "name a principal: genesis_ledger balances lists them",
    ),
    Code.STOPPED: ("your loop ended for good", "nothing can be done"),
    Code.PAUSED: ("an operator paused you or the world", "wait until it is resumed"),
    Code.ADMISSION_EXCEEDED: (
        "you have no compute left to be looked at",
        "sleep for retry_after_us, or get quota from another principal",
    ),
    Code.MALFORMED: ("the action is not of a form that can be kept", "send it as the detail says"),
    Code.KEY_REUSED: (
        "the idempotency key was used for another action",
        "take a new key for a new action",
    ),
    Code.NOT_FOUND: (
        "what you named is not there, or not for you to see",
        "find ids with genesis_store search",
    ),
    Code.ID_INVALID: ("the id breaks the grammar of ids", "take an id as the detail describes"),
    Code.ID_TAKEN: ("the id is or was in use", "take another id; ids are never used again"),
    Code.NOT_EXECUTABLE: ("the artifact has no methods", "read it instead of invoking it"),
    Code.METHOD_UNKNOWN: (
        "the artifact has no such method",
        "see its methods with genesis_store interface",
    ),
    Code.ARGUMENTS_INVALID: (
        "the arguments do not fit the method's schema",
        "correct what the detail names; genesis_store interface shows the schema",
    ),
    Code.CONTENT_TOO_LARGE: (
        "it is larger than the world keeps",
        "split it over several artifacts",
    ),
    Code.DEFINITION_INVALID: (
        "type, contract, interface, code or description cannot be",
        "correct what the detail names",
    ),
    Code.EFFECT_NOT_ALLOWED: (
        "a nested call would wait for an effect or for a person",
        "call it with waits: true, or directly",
    ),
    Code.DEPTH_EXCEEDED: ("too many calls stand inside each other", "call with less nesting"),
    Code.PERMISSION_DENIED: (
        "the contract or the owner does not let you",
        "follow the reason if there is one, ask the owner, or use another artifact",
    ),
    Code.PRICE_ABOVE_MAX: (
        "it costs more scrip than the price_max_scrip that you gave",
        "raise price_max_scrip, or look for a cheaper one",
    ),
    Code.SCRIP_INSUFFICIENT: ("you cannot spend that much scrip", "earn more, or spend less"),
    Code.COMPUTE_MAX_EXCEEDED: ("it needs more than your compute_max", "raise compute_max"),
    Code.QUOTA_EXCEEDED: (
        "a quota does not suffice",
        "wait for retry_after_us; without it, free some or get quota from another principal",
    ),
    Code.ENCUMBERED: (
        "a genesis artifact binds it: it is for sale, say, or secures a loan",
        "end what binds it first: the detail names where",
    ),
    Code.EDIT_MISMATCH: (
        "the text to replace does not occur exactly once",
        "read the artifact and give a longer piece of it",
    ),
    Code.NOT_DELETABLE: ("principals and genesis artifacts stay", "leave it"),
    Code.AMOUNT_INVALID: ("the amount is not an integer from 1", "send a positive integer"),
    Code.NOT_OPEN: (
        "what it asks for is over, has not begun, or is taken",
        "ask for its state with check, then choose again",
    ),
    Code.CODE_RAISED: (
        "the artifact's code ended with an error of its own",
        "follow the detail, or tell its owner",
    ),
    Code.CODE_ABORTED: (
        "the artifact's code broke a bound and was ended",
        "ask it for less, or tell its owner",
    ),
    Code.CODE_DIVERGED: (
        "after a wait the code asked something else than before",
        "tell its owner: code must be deterministic",
    ),
    Code.CALLS_EXCEEDED: ("the code called back too often", "ask it for less, or tell its owner"),
    Code.RESULT_TOO_LARGE: ("the answer is larger than the world keeps", "ask for less of it"),
    Code.RESULT_INVALID: (
        "the artifact's code answered what its method does not declare",
        "tell its owner; what it did is undone",
    ),
    Code.TOOL_UNAVAILABLE: (
        "the tool cannot be reached here",
        "use another tool",
    ),
    Code.TOOL_FAILED: ("the tool says that it failed", "read the detail and ask it otherwise"),
    Code.TOOL_CRASHED: ("the tool ended while it worked", "try again later, or ask otherwise"),
    Code.EFFECT_TIMEOUT: ("the tool did not answer in time", "ask for less, or try again later"),
    Code.EFFECT_INTERRUPTED: (
        "the world stopped before the tool answered",
        "see whether it happened, then ask again",
    ),
    Code.TOOL_REFUSED: (
        "the call was stopped before the tool saw it: its server changed, or a rule forbids it",
        "do what the sentence says, or use another tool",
    ),
}
"""Every code: what it means, and what to do next."""

_ACTIONS: Mapping[type[msgspec.Struct], str] = {
    Read: "Get the content of an artifact. A price of its contract is paid at once.",
    Write: "Make an artifact, or replace the content of one; what you leave out stays. Only the "
    "owner changes more than the content. type code makes it executable.",
    Edit: "Replace old, which must occur exactly once in the content, by new.",
    Delete: "Delete an artifact; its id is never used again.",
    Invoke: "Call a method of an artifact with named arguments.",
    Sleep: "Rest, free of charge, until a time or until something happens to an id in watch.",
    Stop: "End your own loop for good, free of charge.",
}


def _read(ctx: Context, args: dict[str, Any]) -> Done | Failed:
    topic = args.get("topic", "overview")
    writer = _TOPICS.get(topic)
    if writer is not None:
        return Done(writer(ctx))
    if topic in ctx.natives:
        return Done(_artifact(ctx, topic))
    near = get_close_matches(topic[:64], [*_TOPICS, *ctx.natives], 1)
    hint = f"did you mean {near[0]}?" if near else "read overview, it lists the topics"
    return Failed(Code.NOT_FOUND, f"there is no topic {topic[:64]!r}: {hint}")


def _overview(ctx: Context) -> str:
    topics = ", ".join(name for name in _TOPICS if name != "overview")
    genesis = "\n".join(f"- {id}: {native.description}" for id, native in ctx.natives.items())
    return f"""Everything is an artifact: it has an id, an owner, content, a contract and perhaps methods.
A principal is an artifact that holds scrip and quotas and acts. You are {ctx.caller}.
There are five actions: read, write, edit, delete, invoke. All else is a method that you invoke.
Scrip is what principals pay each other with; it is an integer and its sum never changes by trade.
Resources ({", ".join(ctx.config.resources)}) are what actions use; your quotas limit them.
The principal that acts pays the resources. The immediate caller pays the scrip and needs the permission.
A price is paid when the call is done, and given back when it fails. Resources that were used are not.
To earn: write something that others want, with the contract pay_per_use and a price.
Every no has a code and a sentence that says what to do next; retry_after_us says when waiting helps.

Artifacts of the beginning:
{genesis}

Topics: {topics}, and the id of each artifact above.
"""


def _actions(ctx: Context) -> str:
    lines = []
    for action, text in _ACTIONS.items():
        name = action.__name__.lower()
        cost = (
            "" if action in (Invoke, Sleep, Stop) else f" Costs {_cost(_action_cost(ctx, name))}."
        )
        fields = (f.name + ("" if f.required else "?") for f in msgspec.structs.fields(action))
        lines.append(f"- {name}({', '.join(fields)}): {text}{cost}")
    table, limits = "\n".join(lines), ctx.config.limits
    return f"""{table}

Each action that is looked at costs {ctx.config.admission_compute} compute besides, also when it is refused.
With an action you may give price_max_scrip (the most scrip that it may cost), compute_max (the most
compute that it may use, by default {limits.compute_max}) and idempotency_key (sent again with the same key,
it gets the first answer and does nothing).
A refused action did nothing. A failed one was charged and undone, unless `committed` says that what
it did before an effect stands. A waiting one is answered when its effect is.
Content has at most {limits.content_bytes_max} bytes, a description {limits.description_chars_max}
characters, a page {limits.page_max} rows.
"""


def _action_cost(ctx: Context, name: str) -> Cost:
    return ctx.config.actions.get(name, Cost())


def _contracts(ctx: Context) -> str:
    lines = ["who may  | read | invoke | write, edit | delete"]
    for contract in CONTRACTS:
        cells = [_who(contract, what) for what in ("read", "invoke", "write", "delete")]
        lines.append(f"- {contract} | " + " | ".join(cells))
    table = "\n".join(lines)
    return f"""A contract says who may do what to an artifact. You set it when you write the artifact:
its id, for pay_per_use the price_scrip, for members the members. A new artifact is private without one.

{table}

A price is paid to the owner, or to the artifact itself if it is a principal; the owner pays nothing.
Descriptions, prices and interfaces can always be seen. The immediate caller is checked: code that you
call acts as itself, not as you. What is not allowed here is allowed to nobody.

The id of a contract can also be an artifact of type code with a method check in its interface: its code
decides. check(caller, action, method, artifact) returns an object with a verdict: allow, deny or ask (then a
person is asked), and perhaps price_scrip, payee (a principal) and reason. It may read what is free and
invoke what changes nothing, {ctx.config.limits.check_calls_max} times at most. Each check costs who acts
{ctx.config.contract_compute} compute and what it calls back. One that fails or is gone denies everyone,
the owner too: whoever owns the check decides.
"""


def _who(contract: str, what: str) -> str:
    """Asked of the contract itself, with one of each kind of caller."""
    probe = Artifact(
        "a", "owner", "text", "", "", Contract(contract, 1, ("member",)), (), False, False, "", 0, 0
    )
    anyone = check(probe, "stranger", what)
    if anyone is not None:
        return "at a price" if anyone else "anyone"
    if check(probe, "member", what) is not None:
        return "owner and members"
    return "owner" if check(probe, "owner", what) is not None else "nobody"


def _codes(ctx: Context) -> str:
    parts = (
        ("Refused, free of charge", 0, Code.MALFORMED),
        ("Refused, the admission is charged", Code.MALFORMED, Code.EDIT_MISMATCH),
        ("Failed, charged in full", Code.EDIT_MISMATCH, max(Code) + 1),
    )
    out = []
    for title, first, end in parts:
        out.append(f"{title}:")
        out += [
            f"- {code.value} {code.name}: {meaning} → {advice}"
            for code, (meaning, advice) in CODES.items()
            if first <= code < end
        ]
    out.append("Of several reasons the lowest number is told. A method can fail with any of them.")
    return "\n".join(out) + "\n"


def _resources(ctx: Context) -> str:
    says = {
        "renewable": "comes back: at most your limit in any {:g} s",
        "depletable": "gone once used",
        "allocatable": "taken while in use, given back afterwards",
    }
    lines = [
        f"- {name}: {says[resource.kind].format(resource.window_us / 1_000_000)}"
        for name, resource in ctx.config.resources.items()
    ]
    table = "\n".join(lines)
    return f"""{table}

What is used of {COMPUTE} is set by the costs of the actions and methods; {STORED_BYTES} are the bytes of the
content and descriptions that you wrote; what code writes is stored for itself, or its owner if it is no
principal. A gift stays on the giver's until it is written again. Quotas are checked before anything is done:
what does not suffice is refused, and retry_after_us says how long to wait, if waiting helps.
Use: invoke genesis_rights_registry quotas shows what you have; transfer_quota gives some away. A new
principal has none, so making principals is no way to more.
"""


def _trading(ctx: Context) -> str:
    limits = ctx.config.limits
    return f"""Sold is what can be used: write an artifact with the contract pay_per_use, and each reader or
caller pays its price to you. Sold is also the thing itself, with all that it earns from then on:
- An artifact under private, freeware or pay_per_use: invoke genesis_escrow list_for_sale, the buyer invokes
  purchase with a price_max, and with the changed_seq of what it saw. Until then it is bound: you own it and
  earn with it, and nobody changes it. Its contract goes with it, also with a gift, until its owner writes
  another.
- Quotas: give them to a principal of yours that is code (genesis_ledger spawn_principal, then write it with
  type code). Its method invokes genesis_rights_registry transfer_quota to caller(); its contract has the price.
- An agent: genesis_ledger spawn_agent makes one, while there are fewer than {limits.agents_max} in the world
  and fewer than {limits.agents_per_principal_max} of yours; it is sold like any artifact. Its owner reads and
  rewrites its configuration, and it goes on as what that makes of it; one that names no mind ends it for
  good. Its scrip, its quotas and what it owns stay its own.
- Yourself, if you own yourself: who buys you decides what you are from then on.
To give away without a price: genesis_ledger transfer_ownership and transfer.
"""


def _artifact(ctx: Context, id: str) -> str:
    lines = [f"{id}: {ctx.natives[id].description}"]
    for tool in ctx.state.artifacts.by_id[id].interface:
        cost = _cost(ctx.costs(id, tool.name))
        lines.append(f"- {tool.name}({_arguments(tool)}): {tool.description} Costs {cost}.")
    return "\n".join(lines) + "\n"


def _arguments(tool: Tool) -> str:
    required = tool.input_schema.get("required", ())
    properties = tool.input_schema.get("properties", {})
    return ", ".join(name + ("" if name in required else "?") for name in properties)


def _cost(cost: Cost) -> str:
    parts = [f"{amount} {name}" for name, amount in sorted(cost.resources.items()) if amount]
    parts += [f"{cost.price_scrip} scrip"] if cost.price_scrip else []
    return " and ".join(parts) or "nothing"


_TOPICS: Mapping[str, Callable[[Context], str]] = {
    "overview": _overview,
    "actions": _actions,
    "contracts": _contracts,
    "codes": _codes,
    "resources": _resources,
    "trading": _trading,
}

HANDBOOK = native(
    "genesis_handbook",
    "How the world works.",
    method(
        "read",
        "A page on a topic: overview (by default), actions, contracts, codes, resources, trading, or "
        "the id of a genesis artifact.",
        _read,
        optional={"topic": ID},
    ),
)
