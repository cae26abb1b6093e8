"""Owns what every part of the configuration is made of: the closed model, bounded types, what a call costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

INT_MAX: Final = 2**63 - 1
"""What an integer of the world can be at most."""
DEPTH_MAX: Final = 64
"""Nesting is walked by recursion, so it is bounded well below what an interpreter takes."""
DAY_S: Final = 86_400

Count = Annotated[int, Field(ge=0, le=INT_MAX)]
Positive = Annotated[int, Field(ge=1, le=INT_MAX)]
Depth = Annotated[int, Field(ge=1, le=DEPTH_MAX)]
Seconds = Annotated[float, Field(gt=0, le=DAY_S, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]
"""A list of texts; lax only in that a list may stand for a tuple."""


class Model(BaseModel):
    """What every part of the configuration is: closed, frozen and strict about types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CostSettings(Model):
    """What one call costs. In the file, keys left out are as in `world.method_cost`."""

    resources: Mapping[str, Count] = Field(
        description="Amounts by resource, paid by the principal at the root of the frames.",
        json_schema_extra={"names": ["resource"]},
    )
    price_scrip: Count = Field(
        description="Paid by the immediate caller to the owner of the artifact."
    )
    latency_us: Count = Field(
        description="Modelled time that an effect takes in the world on the virtual clock."
    )
    timeout_us: Positive = Field(
        description="World time after which an effect times out; from `latency_us`."
    )
    result_bytes_max: Positive = Field(description="Largest encoded result of an effect.")
    repeatable: bool = Field(description="Whether an effect may be performed again after a crash.")
