"""Owns how unequal a distribution is, as one figure."""

from __future__ import annotations

from collections.abc import Iterable


def gini(amounts: Iterable[int]) -> float:
    """The Gini coefficient: half of the mean difference between two, over the mean."""
    ordered = sorted(amounts)
    count, total = len(ordered), sum(ordered)
    if total <= 0:
        return 0.0
    weighted = sum(rank * amount for rank, amount in enumerate(ordered, 1))
    return (2 * weighted - (count + 1) * total) / (count * total)
