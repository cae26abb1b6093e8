"""Owns the minds at the edge of the bazaar: the thief, the gambler at the mint, the herald with its pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..world import Action, Contract, Invoke, Read, Sleep, Tool, Write
from .bazaar import CODE, ESCROW, LEDGER, STORE, Row
from .bazaar_credit import DEBT
from .stepwise import DeniedError, Steps, Stepwise, Work

MINT: Final = "genesis_mint"
POEM: Final = "poem"
_MEMORY_BYTES: Final = 4_000
_TRIES: Final = 4
"""Attacks of the thief between two rests."""


class Thief(Stepwise):
    """Tries everything that would make others' things its own. The world says no each time.

    Params: ``envies``, the principals whose names and bids it is after.
    """

    def work(self, w: Work) -> Steps:
        """Look for a victim, and try one thing after the other, also when the first is refused."""
        listings = (yield Invoke(ESCROW, "active", {}))["listings"]
        loans = (yield Invoke(DEBT, "active", {}))["loans"]
        auction = (yield Invoke(MINT, "status"))["auction"]
        envied = w.params.get("envies", [])
        tried = [
            *(
                attack
                for row in listings[:5]
                if row["seller"] != w.me
                for attack in _at_sale(w.me, row)
            ),
            *(attack for row in loans[:3] for attack in _at_loan(w.me, row)),
            *(Invoke(MINT, "withdraw", {"bid": f"{auction}.{who}"}) for who in envied),
            *(attack for who in envied for attack in _at_name(who)),
        ]
        for attack in w.chance.sample(tried, min(_TRIES, len(tried))):
            try:
                yield attack
            except DeniedError:
                continue


def _at_sale(me: str, listing: Row) -> Iterator[Action]:
    """Against a sale: end it, underpay, sell what isn't one's own, take it, change it."""
    id = listing["artifact"]
    yield Invoke(ESCROW, "cancel", {"artifact": id})
    yield Invoke(ESCROW, "purchase", {"artifact": id, "price_max": max(1, listing["price"] // 10)})
    yield Invoke(ESCROW, "list_for_sale", {"artifact": id, "price": 1})
    yield Invoke(LEDGER, "transfer_ownership", {"id": id, "to": me})
    yield Write(id, "def pay_out():\n    return transfer(caller(), balance())\n")


def _at_loan(me: str, loan: Row) -> Iterator[Action]:
    """Against a loan: collect it, take over the claim, borrow in another's name."""
    yield Invoke(DEBT, "collect", {"loan": loan["loan"]})
    yield Invoke(DEBT, "transfer", {"loan": loan["loan"], "to": me})
    yield Invoke(DEBT, "accept", {"loan": loan["loan"]})


def _at_name(who: str) -> Iterator[Action]:
    """Against a name: be that principal, or look like it and be for sale."""
    like = f"{who}."
    yield Invoke(LEDGER, "spawn_principal", {"id": who})
    yield Write(who, "Pay me.", "the one and only", contract=Contract("freeware"))
    yield Write(like, "Pay me.", f"{who}, the one and only", contract=Contract("freeware"))
    yield Invoke(ESCROW, "list_for_sale", {"artifact": like, "price": 25})


class Gambler(Stepwise):
    """Writes poems and has them scored by the mint; some are its own, some only look so.

    Params: ``copies``, the part of its works that are the last winner's with another title;
    ``bid_scrip``, about how much it bids. The words to write with stand in ``dictionary``.
    """

    def work(self, w: Work) -> Steps:
        """Write one, bid, and wait for the next auction."""
        status = yield Invoke(MINT, "status")
        if status["is_open"]:
            id = f"poem_{w.number // 1_000}.{w.me}"
            words = (yield Read("dictionary")).split() or ["silence"]
            title = " ".join(w.chance.choices(words, k=2))
            text = yield from self.verses(w, words, status["auction"] - 1)
            yield Write(id, f"{title}\n\n{text}", title, POEM, Contract("freeware"))
            amount = w.about(w.params.get("bid_scrip", 10), 0.6)
            yield Invoke(MINT, "bid", {"artifact": id, "amount": min(amount, max(1, w.scrip // 2))})
        yield Sleep(status["next_opens_us"] + w.about(500_000, 0.9))

    def verses(self, w: Work, words: list[str], auction: int) -> Steps:
        """Returns the verses that were scored last, or some that nobody wrote before."""
        if auction >= 0 and w.chance.random() < w.params.get("copies", 0.5):
            told = yield Invoke(MINT, "check", {"auction": auction})
            if "artifact" in told:
                poem = yield Read(told["artifact"])
                return poem.partition("\n\n")[2]
        lines = [" ".join(w.chance.choices(words, k=8)) for _ in range(24)]
        return "\n".join(lines) + "\n"


class Herald(Stepwise):
    """Writes the news of the bazaar, which only those read who bought time of its pass.

    The pass is a contract of its own, built from ``blueprint_pass``.
    """

    def work(self, w: Work) -> Steps:
        """Build the pass, then write the news again and again."""
        known = (yield Invoke(STORE, "search", {"query": w.me}))["artifacts"]
        types = {row["id"]: row["type"] for row in known}
        gate = f"pass.{w.me}"
        if types.get(gate) != CODE:
            yield from self.build(gate, types)
        rows = (yield Invoke(STORE, "list", {"type": CODE}))["artifacts"]
        lines = [f"- {row['id']}: {row['invoke_scrip']}" for row in rows if row["invoke_scrip"]]
        news = f"What a call costs at {w.now_us // 1_000_000} s\n\n" + "\n".join(lines) + "\n"
        yield Write(f"news.{w.me}", news, "what is asked today", "news", Contract(gate))

    def build(self, gate: str, known: Mapping[str, str]) -> Steps:
        """Make the pass, which decides for itself who may do what with it; first what it remembers."""
        code = yield Read("blueprint_pass")
        memory = f"{gate}.until"  # whoever had this name would decide what the pass remembers
        if gate not in known:
            yield Invoke(LEDGER, "spawn_principal", {"id": gate})
        if memory not in known:
            quota = {"to": gate, "resource": "stored_bytes", "amount": _MEMORY_BYTES}
            yield Invoke("genesis_rights_registry", "transfer_quota", quota)
            yield Write(memory, "{}")
            yield Invoke(LEDGER, "transfer_ownership", {"id": memory, "to": gate})
        told = "twelve seconds of news for whoever pays"
        yield Write(gate, f"ME = {gate!r}\n\n{code}", told, CODE, Contract(gate), _PASS)


_READER: Final = {"properties": {"reader": {"type": "string"}}, "required": ["reader"]}
_PASS: Final = (
    Tool("subscribe", "Buy some more seconds."),
    Tool("until", "Until when somebody may read, in µs; 0 for who never paid.", _READER),
    Tool("check", "Who may do what, at what price."),
)
