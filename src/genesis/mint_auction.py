"""Owns the rules of the mint's auctions: when they are, who wins, what is paid and to whom, what a score is.

Pure figures and comparisons; knows nothing of a world.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

SCORE_MAX = 100
PRINT_MAX = 512
"""The most numbers of a fingerprint that are kept of what was scored."""
REASON_MAX = 400


class MintFigures(msgspec.Struct, frozen=True):
    """What decides an auction; part of a run's first record.

    Attributes:
        period_us: from the beginning of one auction to that of the next.
        bidding_us: how long bids are taken, from the beginning on; then the auction ends.
        reserve_scrip: the least that is bid, and the price where there is one bid alone.
        scrip_per_point: new scrip for each point of a score.
        shares: who gets the price: ``everyone`` who was there at the beginning, the other
            ``bidders`` of the auction, or ``genesis``.
        sharers_max: among how many at most one price is shared; they take turns.
        bids_max: the most bids of an auction.
        remembered: of how many works the fingerprints are kept, to tell what is new.
    """

    period_us: int
    bidding_us: int
    reserve_scrip: int
    scrip_per_point: int
    shares: Literal["everyone", "bidders", "genesis"]
    sharers_max: int
    bids_max: int
    remembered: int

    def auction_at(self, now_us: int) -> int:
        """The auction whose period it is."""
        return now_us // self.period_us

    def opens_us(self, auction: int) -> int:
        """When bids are taken from."""
        return auction * self.period_us

    def closes_us(self, auction: int) -> int:
        """When it ends; a bid at that very time is too late."""
        return auction * self.period_us + self.bidding_us


class Bid(msgspec.Struct, frozen=True):
    """A sealed bid; its amount is held until it is withdrawn or its auction was settled."""

    bidder: str
    artifact: str
    amount: int
    hold: int
    at_us: int


class Scored(NamedTuple):
    """A score that can be used."""

    points: int
    print: list[int]
    reason: str


def ranked(bids: Iterable[Bid]) -> list[Bid]:
    """The highest first; of equal ones the earlier, then the one whose bidder's id is lower."""
    return sorted(bids, key=lambda bid: (-bid.amount, bid.at_us, bid.bidder))


def price_of(bids: Sequence[Bid], reserve_scrip: int) -> int:
    """The second highest amount; where there is one bid alone, the reserve. ``bids`` are ranked."""
    return bids[1].amount if len(bids) > 1 else reserve_scrip


def shared(
    price: int, people: Sequence[str], turn: int, sharers_max: int
) -> tuple[list[tuple[str, int]], int]:
    """Share a price out in whole numbers, nothing lost: to each the same, the rest to the first.

    Args:
        price: what is shared. people: among whom, at least one. sharers_max: the most at a time.
        turn: where in ``people`` those begin whose turn it is.

    Returns:
        Who gets how much, and where the next turn begins.
    """
    turn %= len(people)
    count = min(len(people), sharers_max, price)
    if count == 0:
        return [], turn
    each, rest = divmod(price, count)
    first = [*people[turn:], *people[:turn]][:count]
    parts = [(person, each + (at < rest)) for at, person in enumerate(first)]
    return parts, (turn + (count if count < len(people) else rest)) % len(people)


def scored(value: Any) -> Scored | str:
    """What a scorer answered, or why that is no score."""
    if not isinstance(value, dict):
        return "the scorer answered no object"
    points, kept, reason = value.get("score"), value.get("print", []), value.get("reason", "")
    if type(points) is not int or not 0 <= points <= SCORE_MAX:
        return f"the scorer answered no score from 0 to {SCORE_MAX}"
    is_list = isinstance(kept, list) and len(kept) <= PRINT_MAX
    if not is_list or not all(type(number) is int for number in kept):
        return f"the scorer answered no fingerprint of at most {PRINT_MAX} numbers"
    return Scored(points, kept, reason[:REASON_MAX] if isinstance(reason, str) else "")
