"""Owns figures over world time in little room: means in buckets that widen as time goes on."""

from __future__ import annotations

from typing import Final

BUCKETS_MAX: Final = 32
_WIDTH_US: Final = 100_000


class Series:
    """Means of whole numbers over equal parts of a world's time; at most ``BUCKETS_MAX`` of them."""

    def __init__(self) -> None:
        """Begin at world time 0."""
        self.width_us = _WIDTH_US
        self._sums: dict[int, tuple[int, int]] = {}

    def add(self, now_us: int, value: int) -> None:
        """Count a value that came at a world time."""
        self._widen(now_us)
        total, times = self._sums.get(now_us // self.width_us, (0, 0))
        self._sums[now_us // self.width_us] = (total + value, times + 1)

    def told(self, end_us: int) -> list[int | None]:
        """The means, rounded, from world time 0 to ``end_us``; None where nothing came."""
        self._widen(end_us)
        means: list[int | None] = []
        for at in range(end_us // self.width_us + 1):
            total, times = self._sums.get(at, (0, 0))
            means.append(round(total / times) if times else None)
        return means

    def _widen(self, now_us: int) -> None:
        while now_us // self.width_us >= BUCKETS_MAX:
            self.width_us *= 2
            merged: dict[int, tuple[int, int]] = {}
            for at, (total, times) in self._sums.items():
                before = merged.get(at // 2, (0, 0))
                merged[at // 2] = (before[0] + total, before[1] + times)
            self._sums = merged
