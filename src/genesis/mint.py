"""Owns genesis_mint: sealed bids, auctions by world time, and the one way in which scrip is made.

Whoever bids most has an artifact scored, pays what the second bid, and gets new scrip for the
score. What a work is worth is the scorer's to say, outside the world. Until it has said, the bid of
the winner stays held; a score that does not come gives it back and makes nothing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from ..world import GENESIS, Code, Context, Done, Effect, EffectResult, Failed, Native
from .arguments import AMOUNT, ID, SEQ, method, native, owned
from .mint_auction import Bid, MintFigures, Scored, price_of, ranked, scored, shared

MINT = "genesis_mint"
"""Also the name that scoring is performed under."""

_BID_ID = {"type": "string", "maxLength": 300}
_DIGITS = 16
"""Of an auction in a key, so that keys are in the order of auctions."""


class _Mint:
    """The methods, for the figures of one world."""

    def __init__(self, figures: MintFigures) -> None:
        self.figures = figures

    def status(self, ctx: Context, args: dict[str, Any]) -> Done:
        figures, now_us = self.figures, ctx.state.now_us
        auction = figures.auction_at(now_us)
        closes_us = figures.closes_us(auction)
        return Done(
            {
                "auction": auction,
                "is_open": now_us < closes_us,
                "closes_us": closes_us,
                "next_opens_us": figures.opens_us(auction + 1),
                "bids": len(ctx.notes(_bids(auction), limit=figures.bids_max)),
                "reserve_scrip": figures.reserve_scrip,
                "scrip_per_point": figures.scrip_per_point,
                "shares": figures.shares,
                "last": ctx.noted("last"),
            }
        )

    def bid(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        figures, now_us, amount = self.figures, ctx.state.now_us, args["amount"]
        auction = figures.auction_at(now_us)
        if now_us >= figures.closes_us(auction):
            opens_us = figures.opens_us(auction + 1)
            detail = f"auction {auction} is over: bids for the next are taken from {opens_us} us on"
            return Failed(Code.NOT_OPEN, detail, retry_after_us=opens_us - now_us)
        if amount < figures.reserve_scrip:
            detail = f"a bid is at least {figures.reserve_scrip} scrip, not {amount}"
            return Failed(Code.AMOUNT_INVALID, detail)
        failed = ctx.principal(ctx.caller) or self._unfit(ctx, args["artifact"])
        if failed is not None:
            return failed
        key = _bids(auction) + ctx.caller
        if ctx.noted(key) is not None:
            detail = f"{ctx.caller} has a bid in auction {auction} already: withdraw it first"
            return Failed(Code.NOT_OPEN, detail)
        lowest = self._in_the_way(ctx, auction)
        if lowest is not None and amount <= lowest.amount:
            detail = f"auction {auction} has all its {figures.bids_max} bids: bid {lowest.amount + 1} or more"
            wait = figures.opens_us(auction + 1) - now_us
            return Failed(Code.NOT_OPEN, detail, retry_after_us=wait)
        hold = ctx.hold(amount)
        if isinstance(hold, Failed):
            return hold
        if lowest is not None:
            ctx.put(_bids(auction) + lowest.bidder, None)
            ctx.release(lowest.hold)
        bid = Bid(ctx.caller, args["artifact"], amount, hold, now_us)
        ctx.put(key, msgspec.to_builtins(bid))
        self._plan(ctx)
        return Done(_own(auction, bid) | {"closes_us": figures.closes_us(auction)})

    def _in_the_way(self, ctx: Context, auction: int) -> Bid | None:
        """The bid that a higher one takes the place of, where an auction is full: its last in rank."""
        bids_max = self.figures.bids_max
        keys = ctx.notes(_bids(auction), limit=bids_max)
        if len(keys) < bids_max:
            return None
        return ranked(msgspec.convert(ctx.noted(key), Bid) for key in keys)[-1]

    def _unfit(self, ctx: Context, id: str) -> Failed | None:
        """Why the caller can't have an artifact scored, or None."""
        artifact = owned(ctx, id)
        if isinstance(artifact, Failed):
            return artifact
        if artifact.standing:
            return Failed(Code.PERMISSION_DENIED, f"{id} is a principal: bid for what it made")
        content = ctx.text(artifact)
        if not content.strip():
            return Failed(Code.NOT_OPEN, f"{id} has no content that could be scored")
        if ctx.noted(_known(content)) is not None:
            detail = f"what {id} holds was scored before: nothing is scored twice"
            return Failed(Code.NOT_OPEN, detail)
        return None

    def withdraw(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        found = self._own_bid(ctx, args["bid"])
        if isinstance(found, Failed):
            return found
        auction, bid = found
        if ctx.state.now_us >= self.figures.closes_us(auction):
            return Failed(Code.NOT_OPEN, f"auction {auction} is over: a bid in it stands")
        ctx.put(_bids(auction) + bid.bidder, None)
        ctx.release(bid.hold)
        self._plan(ctx)
        return Done(ctx.state.ledger.available(ctx.caller))

    def check(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        if "bid" in args:
            found = self._own_bid(ctx, args["bid"])
            return found if isinstance(found, Failed) else Done(_own(*found))
        auction = args["auction"]
        told = ctx.noted(_auction(auction))
        if told is not None:
            return Done({"auction": auction, **told})
        now_us, closes_us = ctx.state.now_us, self.figures.closes_us(auction)
        if now_us >= closes_us and not ctx.notes(_bids(auction), limit=1):
            return Done({"auction": auction, "state": "without bids"})
        is_near = auction <= self.figures.auction_at(now_us) + 1
        wait = max(closes_us - now_us, 0) if is_near else None
        detail = f"auction {auction} has not ended: it does at {closes_us} us"
        return Failed(Code.NOT_OPEN, detail, retry_after_us=wait)

    def _own_bid(self, ctx: Context, id: str) -> tuple[int, Bid] | Failed:
        """An open bid of the caller, by its id."""
        auction, _, bidder = id.partition(".")
        if bidder == ctx.caller and auction.isdecimal() and len(auction) <= _DIGITS:
            noted = ctx.noted(_bids(int(auction)) + bidder)
            if noted is not None:
                return int(auction), msgspec.convert(noted, Bid)
        detail = (
            f"there is no open bid {id!r} of yours: higher ones took its place, or its auction ended, as "
            "check tells"
        )
        return Failed(Code.NOT_FOUND, detail)

    def tick(self, ctx: Context) -> Effect | None:
        """End the oldest auction; it is called when that is over."""
        auction, now_us = _oldest(ctx), ctx.state.now_us
        assert auction is not None, now_us
        assert self.figures.closes_us(auction) <= now_us, (auction, now_us)
        keys = ctx.notes(_bids(auction), limit=self.figures.bids_max)
        bids = [msgspec.convert(ctx.noted(key), Bid) for key in keys]
        for key in keys:
            ctx.put(key, None)
        valid = ranked(bid for bid in bids if _stands(ctx, bid))
        winner = valid[0] if valid else None
        for bid in bids:
            if bid is not winner:
                ctx.release(bid.hold)
        self._plan(ctx)
        ctx.put("last", auction)
        if winner is None:
            ctx.put(_auction(auction), {"state": "void"})
            return None
        return self._ask(ctx, auction, valid)

    def _ask(self, ctx: Context, auction: int, valid: list[Bid]) -> Effect:
        """Note what is to be settled, and ask for the score; the first bid of ``valid`` won."""
        winner = valid[0]
        artifact = ctx.state.artifacts.by_id[winner.artifact]
        content = ctx.text(artifact)
        price = price_of(valid, self.figures.reserve_scrip)
        told = {"winner": winner.bidder, "artifact": artifact.id, "price": price}
        ctx.put(_auction(auction), {"state": "scoring", "bids": len(valid), **told})
        others = sorted(bid.bidder for bid in valid[1:])
        settling = {"hold": winner.hold, "others": others, "known": _known(content)}
        ctx.put(_scoring(auction), settling)
        ctx.put(_known(content), auction)
        prints = ctx.notes("print/", limit=self.figures.remembered)
        return Effect(
            MINT,
            {
                "auction": auction,
                "artifact": artifact.id,
                "type": artifact.type,
                "description": artifact.description,
                "content": content,
                "prints": [ctx.noted(key) for key in prints],
            },
        )

    def _plan(self, ctx: Context) -> None:
        """Be called when the oldest auction with bids ends; where there is none, not at all."""
        oldest = _oldest(ctx)
        due_us = 0
        if oldest is not None:
            due_us = max(self.figures.closes_us(oldest), ctx.state.now_us + 1)
        if due_us != ctx.state.agenda.scheduled.get(MINT, 0):
            ctx.schedule(due_us)

    def ticked(self, ctx: Context, payload: Any, result: EffectResult) -> Done:
        """Settle an auction by its score, or give everything back."""
        auction = payload["auction"]
        told, settling = ctx.noted(_auction(auction)), ctx.noted(_scoring(auction))
        ctx.put(_scoring(auction), None)
        score = result.detail or "no score" if result.code is not None else scored(result.value)
        if isinstance(score, str):
            ctx.release(settling["hold"])
            ctx.put(settling["known"], None)
            why = f"{score}: the bid was given back"
            ctx.put(_auction(auction), told | {"state": "refunded", "price": 0, "why": why[:400]})
            return Done({"auction": auction, "state": "refunded"})
        ctx.split(settling["hold"], self._shares(ctx, told["price"], settling["others"]))
        issued = ctx.issue(told["winner"], score.points * self.figures.scrip_per_point)
        self._remember(ctx, auction, score)
        end = {"state": "scored", "score": score.points, "issued": issued, "why": score.reason}
        ctx.put(_auction(auction), told | end)
        return Done({"auction": auction, "state": "scored", "score": score.points})

    def _shares(self, ctx: Context, price: int, others: list[str]) -> dict[str, int]:
        """Who gets how much of a price."""
        rule = self.figures.shares
        people = others if rule == "bidders" else []
        if rule == "everyone":
            people = sorted(spec.id for spec in ctx.config.principals)
        turn = ctx.noted("turn") or 0
        parts, after = shared(price, people or [GENESIS], turn, self.figures.sharers_max)
        if rule == "everyone":
            ctx.put("turn", after)
        return dict(parts)

    def _remember(self, ctx: Context, auction: int, score: Scored) -> None:
        """Keep the fingerprint of what was scored, and forget the oldest beyond what is kept."""
        ctx.put(f"print/{auction:0{_DIGITS}}", score.print)
        kept = ctx.notes("print/", limit=self.figures.remembered + 1)
        for key in kept[: len(kept) - self.figures.remembered]:
            ctx.put(key, None)


def _stands(ctx: Context, bid: Bid) -> bool:
    """Whether the bidder still owns what it bid for, and whether that can be scored."""
    artifact = ctx.state.artifacts.by_id.get(bid.artifact)
    if artifact is None or artifact.owner != bid.bidder:
        return False
    content = ctx.text(artifact)
    return bool(content.strip()) and ctx.noted(_known(content)) is None


def _oldest(ctx: Context) -> int | None:
    """The oldest auction with bids that were not settled."""
    keys = ctx.notes("bid/", limit=1)
    return int(keys[0].split("/")[1]) if keys else None


def _own(auction: int, bid: Bid) -> dict[str, Any]:
    """A bid as its bidder sees it."""
    return {
        "bid": f"{auction}.{bid.bidder}",
        "auction": auction,
        "artifact": bid.artifact,
        "amount": bid.amount,
    }


def _bids(auction: int) -> str:
    return f"bid/{auction:0{_DIGITS}}/"


def _auction(auction: int) -> str:
    return f"auction/{auction:0{_DIGITS}}"


def _scoring(auction: int) -> str:
    return f"scoring/{auction:0{_DIGITS}}"


def _known(content: str) -> str:
    return f"known/{blake2b(content.encode(), digest_size=16).hexdigest()}"


def mint_native(figures: MintFigures) -> Native:
    """The mint of a world."""
    mint = _Mint(figures)
    made = native(
        MINT,
        "New scrip for what is worth something: sealed bids, and the work of the highest is scored.",
        method(
            "status",
            "The auction of now: whether bids are taken, until when, how many there are, what is "
            "the least to bid, what a point of a score is worth, and which auction ended last.",
            mint.status,
        ),
        method(
            "bid",
            "Bid to have an artifact of yours scored. The amount is held until the auction ends; "
            "only you learn it. The highest bid wins, of equal ones the earlier. The winner pays "
            "the second highest bid and gets new scrip for the score, 0 to 100 points. All others "
            "get their bids back. Where an auction is full, a higher bid takes the place of the lowest, "
            "which is given back. A bid for what you no longer own then is void. One bid an "
            "auction; the same content is scored once.",
            mint.bid,
            required={"artifact": ID, "amount": AMOUNT},
        ),
        method(
            "withdraw",
            "Take a bid of yours back before its auction ends. Answers what you can spend.",
            mint.withdraw,
            required={"bid": _BID_ID},
        ),
        method(
            "check",
            "An open bid of yours, or how an auction ended: winner, artifact, price, score, and "
            "the scrip that was made. The amounts of bids are never told.",
            mint.check,
            optional={"bid": _BID_ID, "auction": SEQ},
            minProperties=1,
            maxProperties=1,
        ),
    )
    return msgspec.structs.replace(
        made,
        capabilities=frozenset({"issue"}),
        tick=mint.tick,
        ticked=mint.ticked,
    )
