"""Owns genesis_memory: texts that are remembered in an artifact, and found again by what they mean.

A memory is an artifact of type ``memory``. Its content is its entries, a line of JSON each, so whoever
may read it can, and it is sold, shared and stored like anything else. What an entry's text means as a
vector is noted here. How a text becomes one is the embedder's; this module must not know.
"""

from __future__ import annotations

from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterator
from hashlib import blake2b
from heapq import nsmallest
from operator import itemgetter, mul
from typing import Annotated, Any, Final

import msgspec

from ..adapters.embedders import DIMENSIONS, LENGTH, Vector, hashed
from ..world import (
    Artifact,
    Code,
    Context,
    Contract,
    Done,
    Effect,
    EffectResult,
    Failed,
    Method,
    Native,
    Tool,
)
from .arguments import AMOUNT, ID, INTEGER_MAX, SEQ, find, too_dear

MEMORY: Final = "genesis_memory"
TYPE: Final = "memory"
_OWN: Final = ".memory"
_TAGS_MAX: Final = 16
_FOUND: Final = 5


class MemoryFigures(msgspec.Struct, frozen=True):
    """What decides the answers; part of a run's first record.

    Attributes:
        embedder: ``hashing``, or ``outside`` for an effect that the performer of this artifact's name does.
        entries_max: of one memory. text_chars_max: of an entry, and of what is asked.
    """

    embedder: str
    entries_max: int
    text_chars_max: int


class Entry(msgspec.Struct, frozen=True):
    """One line of a memory."""

    entry: Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)]
    at_us: Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]
    text: str
    tags: list[str] = []

    @property
    def meaning(self) -> str:
        """What is embedded of it."""
        return _meaning(self.text, self.tags)


class Case(msgspec.Struct, frozen=True):
    """A call that the memory's contract admitted, and what it asks for that.

    Attributes:
        terms: a hash of who owned the memory under which contract; empty for one that is to be made.
        text: what is embedded.
        hold: of the price, while the embedder is asked.
    """

    memory: str
    terms: str
    text: str
    args: dict[str, Any]
    price: int = 0
    payee: str = ""
    hold: int = 0


_ENTRY: Final = msgspec.json.Decoder(Entry)
_Admit = Callable[[Context, dict[str, Any]], "Case | Failed"]
_Answer = Callable[[Context, Case, Vector], "Done | Failed"]


def memory_native(figures: MemoryFigures) -> Native:
    """The artifact, with the figures that it answers by."""
    memories = _Memories(figures)
    text = {"type": "string", "minLength": 1, "maxLength": figures.text_chars_max}
    tags = {"type": "array", "items": {"type": "string", "maxLength": 64}, "maxItems": _TAGS_MAX}
    remember = _tool(
        "remember",
        "Keep a text in a memory, yours by default, with tags if you like. A memory that is not there "
        "is made: it belongs to you, and nobody else may read it until you write it another contract. "
        "One that is another's or shared is taken only if you name it; if writing it has a price, you pay "
        "that, at most `price_max`. Answers the number of the entry. Its bytes count on the stored_bytes of "
        "who changed it last.",
        {"text": text},
        {"memory": ID, "tags": tags, "price_max": SEQ},
    )
    recall = _tool(
        "recall",
        "The entries of a memory, yours by default, that are most like the query, the best first, with "
        "`similarity` in per cent. If it asks for a price, you pay it to its owner: `price_max` is the "
        "most that you will pay.",
        {"query": text},
        {"memory": ID, "limit": AMOUNT, "price_max": SEQ},
    )
    forget = Method(
        _tool(
            "forget",
            "Take an entry out of a memory, yours by default, for `price_max` at most.",
            {"entry": AMOUNT},
            {"memory": ID, "price_max": SEQ},
        ),
        memories.forget,
    )
    outside = figures.embedder == "outside"
    embedded = _asked if outside else _at_once
    return Native(
        MEMORY,
        "Remembers texts for you and finds them by what they mean. A memory is an artifact: "
        "private at first, readable, and yours to share, rent out or sell.",
        {
            "remember": embedded(remember, memories.may_remember, memories.remember),
            "recall": embedded(recall, memories.may_recall, memories.recall),
            "forget": forget,
        },
    )


class _Memories:
    """The methods; ``may_…`` answers what was admitted, or why it was not."""

    def __init__(self, figures: MemoryFigures) -> None:
        self._figures = figures

    def may_remember(self, ctx: Context, args: dict[str, Any]) -> Case | Failed:
        artifacts, id = ctx.state.artifacts, _named(ctx, args)
        text = _meaning(args["text"], args.get("tags", []))
        if id not in artifacts.by_id and id not in artifacts.gone:
            return Case(id, "", text, args)
        return _admitted(ctx, args, "write", text)

    def may_recall(self, ctx: Context, args: dict[str, Any]) -> Case | Failed:
        return _admitted(ctx, args, "read", args["query"])

    def remember(self, ctx: Context, case: Case, vector: Vector) -> Done | Failed:
        """Add an entry; the memory is made with its first one."""
        id, args = case.memory, case.args
        if not case.terms:
            failed = _begin(ctx, id)
            if failed is not None:
                return failed
        memory = ctx.state.artifacts.by_id[id]
        entries = self._entries(ctx, memory)
        if isinstance(entries, Failed):
            return entries
        if len(entries) >= self._figures.entries_max:
            detail = (
                f"{id} is full with {len(entries)} entries: forget some, or name another memory"
            )
            return Failed(Code.CONTENT_TOO_LARGE, detail)
        number = max([ctx.noted(f"next/{id}") or 1, *(old.entry + 1 for old in entries)])
        entry = Entry(number, ctx.state.now_us, args["text"], args.get("tags", []))
        failed = ctx.rewrite(memory, _written([*entries, entry]))
        if failed is not None:
            return failed
        ctx.put(f"next/{id}", number + 1)
        ctx.put(_key(id, entry), b2a_base64(vector.tobytes(), newline=False).decode())
        return Done({"memory": id, "entry": number})

    def recall(self, ctx: Context, case: Case, vector: Vector) -> Done | Failed:
        """The entries whose vectors point most nearly where that of the query does."""
        memory = ctx.state.artifacts.by_id[case.memory]
        entries = self._entries(ctx, memory)
        if isinstance(entries, Failed):
            return entries
        near = list(_near(ctx, memory.id, entries, vector))
        most = min(int(case.args.get("limit", _FOUND)), ctx.config.limits.page_max)
        best = nsmallest(most, (row for row in near if row[0] < 0), key=lambda row: row[:3])
        told = [
            {**msgspec.to_builtins(entry), "similarity": (-product * 100) // LENGTH**2}
            for product, _, _, entry in best
        ]
        return Done({"memory": memory.id, "entries": told, "lost": len(entries) - len(near)})

    def forget(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        """Take an entry out, and its vector unless another entry says the same."""
        case = _admitted(ctx, args, "write", "")
        if isinstance(case, Failed):
            return case
        failed = _paid(ctx, case)
        if failed is not None:
            return failed
        memory = ctx.state.artifacts.by_id[case.memory]
        entries = self._entries(ctx, memory)
        if isinstance(entries, Failed):
            return entries
        gone = next((entry for entry in entries if entry.entry == args["entry"]), None)
        if gone is None:
            detail = f"{memory.id} has no entry {args['entry']}: read it to see those it has"
            return Failed(Code.NOT_FOUND, detail)
        left = [entry for entry in entries if entry is not gone]
        failed = ctx.rewrite(memory, _written(left))
        if failed is not None:
            return failed
        if not any(entry.meaning == gone.meaning for entry in left):
            ctx.put(_key(memory.id, gone), None)
        return Done({"memory": memory.id, "entries": len(left)})

    def _entries(self, ctx: Context, memory: Artifact) -> list[Entry] | Failed:
        """What a memory holds, also where its owner wrote it by hand."""
        lines = [line for line in ctx.text(memory).split("\n") if line.strip()]
        if len(lines) > self._figures.entries_max:
            most = self._figures.entries_max
            detail = f"{memory.id} has {len(lines)} lines and a memory at most {most}: shorten it"
            return Failed(Code.CONTENT_TOO_LARGE, detail)
        entries: list[Entry] = []
        for at, line in enumerate(lines, 1):
            try:
                entries.append(_ENTRY.decode(line))
            except (msgspec.DecodeError, RecursionError) as error:
                detail = f"line {at} of {memory.id} is no entry any more: {error}: correct it"
                return Failed(Code.DEFINITION_INVALID, detail)
        return entries


def _tool(name: str, description: str, required: dict[str, Any], optional: dict[str, Any]) -> Tool:
    properties = {**required, **optional}
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return Tool(name, description, schema)


def _at_once(tool: Tool, admit: _Admit, answer: _Answer) -> Method:
    """A method whose text is embedded here: by whole numbers alone, so it is decided again alike."""

    def handler(ctx: Context, args: dict[str, Any]) -> Done | Failed:
        case = admit(ctx, args)
        if isinstance(case, Failed):
            return case
        vector = hashed(case.text)
        if vector is None:
            return Failed(Code.ARGUMENTS_INVALID, "there is no word in it: say it in words")
        return _paid(ctx, case) or answer(ctx, case, vector)

    return Method(tool, handler)


def _asked(tool: Tool, admit: _Admit, answer: _Answer) -> Method:
    """A method whose text is embedded outside; the log keeps the vector, and the price is held."""

    def handler(ctx: Context, args: dict[str, Any]) -> Effect | Failed:
        case = admit(ctx, args)
        if isinstance(case, Failed):
            return case
        if case.price:
            until_us = ctx.state.now_us + ctx.costs(MEMORY, tool.name).timeout_us + 1
            hold = ctx.hold(case.price, until_us)
            if isinstance(hold, Failed):
                return hold
            case = msgspec.structs.replace(case, hold=hold)
        return Effect(MEMORY, msgspec.to_builtins(case))

    def settled(ctx: Context, asked: Any, result: EffectResult) -> Done | Failed:
        case = msgspec.convert(asked, Case)
        memory = ctx.state.artifacts.by_id.get(case.memory)
        terms = "" if memory is None else _terms(memory)
        if terms != case.terms or (case.price and case.hold not in ctx.state.ledger.holds):
            detail = f"{case.memory} has another owner, type or contract by now, or you have the price back"
            return Failed(Code.NOT_OPEN, f"{detail}: ask again")
        vector = _vector(result.value)
        if vector is None:
            detail = f"an embedder answers {DIMENSIONS} integers from -{LENGTH} to {LENGTH}"
            return Failed(Code.TOOL_FAILED, detail)
        if case.price:
            ctx.pay(case.hold, case.payee, case.price)
        return answer(ctx, case, vector)

    return Method(tool, handler, True, settled)


def _vector(value: Any) -> Vector | None:
    try:
        vector = array("b", msgspec.convert(value, list[int]))
    except (msgspec.ValidationError, OverflowError):
        return None
    return vector if len(vector) == DIMENSIONS else None


def _named(ctx: Context, args: dict[str, Any]) -> str:
    return str(args.get("memory", ctx.caller + _OWN))


def _own(ctx: Context) -> tuple[str, Contract]:
    """Whose a memory of the caller's own is, under which contract.

    Code that is no principal uses it as a member; it belongs to the code's owner.
    """
    caller = ctx.state.artifacts.by_id[ctx.caller]
    if caller.standing:
        return caller.id, Contract()
    return caller.owner, Contract("members", members=(caller.id,))


def _begin(ctx: Context, id: str) -> Failed | None:
    """Make a memory of the caller's own."""
    whose = id.removesuffix(_OWN)
    if id.endswith(_OWN) and whose != ctx.caller and whose in ctx.state.artifacts.by_id:
        return Failed(Code.ID_TAKEN, f"{id} is kept for {whose}: take another id")
    owner, contract = _own(ctx)
    return ctx.make(id, owner, TYPE, f"what {ctx.caller} remembers", "", contract)


def _admitted(ctx: Context, args: dict[str, Any], what: str, text: str) -> Case | Failed:
    """What the contract of the memory that is meant says to the caller."""
    id = _named(ctx, args)
    memory = find(ctx, id)
    if isinstance(memory, Failed):
        if id in ctx.state.artifacts.gone:
            return memory
        return Failed(Code.NOT_FOUND, f"there is no memory {id!r}: remember makes one")
    if memory.type != TYPE:
        detail = f"{memory.id} is of type {memory.type} and no memory: name another one"
        return Failed(Code.ARGUMENTS_INVALID, detail)
    if "memory" not in args and (memory.owner, memory.contract) != _own(ctx):
        said = f"{memory.id} is {memory.owner}'s, under {memory.contract.id}"
        detail = (
            f"{said}, not as remember makes it: give `memory` to mean it nonetheless, or another"
        )
        return Failed(Code.PERMISSION_DENIED, detail)
    allowed = ctx.may(memory, what)
    if isinstance(allowed, Failed):
        return allowed
    price = allowed.price_scrip
    failed = too_dear(args, price, f"{memory.id} asks")
    return failed or Case(memory.id, _terms(memory), text, args, price, allowed.payee)


def _terms(memory: Artifact) -> str:
    """What a built-in contract decides by; what an agent's contract allowed stands while they stay."""
    terms = msgspec.json.encode((memory.owner, memory.type, memory.contract))
    return blake2b(terms, digest_size=16).hexdigest()


def _paid(ctx: Context, case: Case) -> Failed | None:
    """Pay what the contract asks; the failure where the caller cannot."""
    return ctx.transfer(case.payee, case.price) if case.price else None


def _near(
    ctx: Context, id: str, entries: list[Entry], vector: Vector
) -> Iterator[tuple[int, int, int, Entry]]:
    """Every entry whose vector is known: how near, how new, its number; the least is the best."""
    places = [place for place, number in enumerate(vector) if number] + [0, 0]
    pick, numbers = itemgetter(*places), [vector[place] for place in places[:-2]]
    for entry in entries:
        noted = ctx.noted(_key(id, entry))
        if noted is not None:  # most of a query's numbers are 0, so the others alone are multiplied
            product = sum(map(mul, numbers, pick(memoryview(a2b_base64(noted)).cast("b"))))
            yield -product, -entry.at_us, entry.entry, entry


def _key(id: str, entry: Entry) -> str:
    """What an entry's vector is noted under: its text tells, so a text that is changed has none."""
    return f"vector/{id}/{blake2b(entry.meaning.encode(), digest_size=8).hexdigest()}"


def _meaning(text: str, tags: list[str]) -> str:
    return " ".join((text, *tags))


def _written(entries: list[Entry]) -> str:
    return "".join(msgspec.json.encode(entry).decode() + "\n" for entry in entries)
