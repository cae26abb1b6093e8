"""Owns what is configured of the mint and of lending: when, how much, and how many at most."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from .config_model import Count, Model, Positive

SCRIP_PER_POINT_MAX = 2**40
"""So that no score makes more than a world can hold."""


class MintSettings(Model):
    """The auctions in which scrip is made; all of it is part of the log."""

    enabled: bool = Field(description="Whether genesis_mint is part of the world.")
    period_us: Positive = Field(
        description="World time from the beginning of one auction to that of the next."
    )
    bidding_us: Positive = Field(
        description="How long an auction takes bids, from its beginning on; then it ends."
    )
    reserve_scrip: Count = Field(
        description="The least that is bid, and the price where there is one bid alone."
    )
    scrip_per_point: int = Field(
        ge=0, le=SCRIP_PER_POINT_MAX, description="New scrip for each of the 100 points of a score."
    )
    shares: Literal["everyone", "bidders", "genesis"] = Field(
        description="Who gets the price, in equal parts: `everyone` who was there at the beginning, "
        "the other `bidders` of the auction, or `genesis`."
    )
    sharers_max: int = Field(
        ge=1,
        le=10_000,
        description="Among how many at most one price is shared; they take turns.",
    )
    bids_max: int = Field(ge=1, le=10_000, description="Most bids of one auction.")
    remembered: int = Field(
        ge=1,
        le=1_000,
        description="Of how many scored works the fingerprints are kept, to tell what is new.",
    )

    @model_validator(mode="after")
    def _bids_within_a_period(self) -> Self:
        if self.bidding_us > self.period_us:
            raise ValueError(
                f"bidding_us is at most period_us ({self.period_us}), not {self.bidding_us}"
            )
        return self


class DebtSettings(Model):
    """Loans between principals; all of it is part of the log."""

    enabled: bool = Field(description="Whether genesis_debt is part of the world.")
    offer_us: Positive = Field(description="How long an offer stands that names no end.")
    grace_us: Count = Field(
        description="From when an instalment is due until the collateral may be taken for it."
    )
    instalments_max: int = Field(ge=1, le=1_000, description="Most instalments of one loan.")
