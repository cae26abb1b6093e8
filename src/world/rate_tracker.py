"""Owns renewable metering: exact rolling windows. Time comes in; it is never read."""

from __future__ import annotations

from collections.abc import Mapping

_TOTAL, _HEAD, _FIRST = 0, 1, 2
_COMPACT_AFTER = 128


class RateTracker:
    """Usage of renewable resources by principal in exact rolling windows.

    In any window of the configured length, admitted usage never exceeds the limit: usage stamped at
    ``t`` counts until ``t + window_us``. What is held counts too and never ages. Every operation
    is amortised O(1) (``time_until_capacity``: O(amount)). Time never goes back: what has aged out
    for one question is forgotten for the next.

    A window is one flat list ``[total, head, t, amount, t, amount, …]``; entries of one instant
    are one entry, and those before ``head`` have aged out.
    """

    __slots__ = ("_held", "_limits", "_windows", "windows_us")

    def __init__(self, windows_us: Mapping[str, int]) -> None:
        self.windows_us = dict(windows_us)
        self._limits: dict[str, dict[str, int]] = {name: {} for name in windows_us}
        self._held: dict[str, dict[str, int]] = {name: {} for name in windows_us}
        self._windows: dict[str, dict[str, list[int]]] = {name: {} for name in windows_us}

    def configure_limit(self, principal: str, resource: str, limit: int) -> None:
        """Set how much ``principal`` may use in any window. Without it the limit is 0."""
        if limit:
            self._limits[resource][principal] = limit
        else:
            self._limits[resource].pop(principal, None)

    def limit(self, principal: str, resource: str) -> int:
        """The quota in one window."""
        return self._limits[resource].get(principal, 0)

    def usage(self, principal: str, resource: str, now_us: int) -> int:
        """What was used in the window that ends now, holds not included."""
        window = self._windows[resource].get(principal)
        return 0 if window is None else _age(window, now_us - self.windows_us[resource])

    def held(self, principal: str, resource: str) -> int:
        """What is held and not yet posted."""
        return self._held[resource].get(principal, 0)

    def remaining(self, principal: str, resource: str, now_us: int) -> int:
        """What can still be used now; below zero after an overrun."""
        left = self._limits[resource].get(principal, 0)
        held = self._held[resource]
        if held:
            left -= held.get(principal, 0)
        window = self._windows[resource].get(principal)
        if window is None:
            return left
        return left - _age(window, now_us - self.windows_us[resource])

    def has_capacity(self, principal: str, resource: str, amount: int, now_us: int) -> bool:
        """Whether ``amount`` can be used now."""
        return amount <= self.remaining(principal, resource, now_us)

    def consume(self, principal: str, resource: str, amount: int, now_us: int) -> bool:
        """Use ``amount`` now if there is capacity; says whether it was used."""
        if amount < 0 or not self.has_capacity(principal, resource, amount, now_us):
            return False
        self.stamp(principal, resource, amount, now_us)
        return True

    def time_until_capacity(
        self, principal: str, resource: str, amount: int, now_us: int
    ) -> int | None:
        """Microseconds until ``amount`` could be used; 0 is now, None is never by waiting alone."""
        missing = amount - self.remaining(principal, resource, now_us)
        if missing <= 0:
            return 0
        window = self._windows[resource].get(principal, ())
        for at in range(window[_HEAD] if window else 0, len(window), 2):
            missing -= window[at + 1]
            if missing <= 0:
                return window[at] + self.windows_us[resource] - now_us
        return None

    def stamp(self, principal: str, resource: str, amount: int, now_us: int) -> None:
        """Count ``amount`` as used now, whatever the limit says: the posting of what was admitted."""
        windows = self._windows[resource]
        window = windows.get(principal)
        if window is None:
            windows[principal] = [amount, _FIRST, now_us, amount]
            return
        _age(window, now_us - self.windows_us[resource])
        window[_TOTAL] += amount
        if len(window) > window[_HEAD] and window[-2] == now_us:
            window[-1] += amount
        else:
            window.append(now_us)
            window.append(amount)

    def hold(self, principal: str, resource: str, amount: int) -> None:
        """Set ``amount`` aside; a negative amount gives it back."""
        held = self._held[resource]
        left = held.get(principal, 0) + amount
        if left:
            held[principal] = left
        else:
            held.pop(principal, None)

    def totals(self, now_us: int) -> dict[str, dict[str, list[int]]]:
        """Limits, holds and unaged usage by resource and principal, for comparing two states."""
        out: dict[str, dict[str, list[int]]] = {}
        for resource, windows in self._windows.items():
            rows: dict[str, list[int]] = {}
            for principal, window in sorted(windows.items()):
                if _age(window, now_us - self.windows_us[resource]):
                    rows[principal] = window[window[_HEAD] :]
            out[resource] = rows
            out[resource + " limit"] = {p: [n] for p, n in sorted(self._limits[resource].items())}
            out[resource + " held"] = {p: [n] for p, n in sorted(self._held[resource].items())}
        return out


def _age(window: list[int], cutoff_us: int) -> int:
    """Drop what is as old as the cut-off; return what is left."""
    head = window[_HEAD]
    size = len(window)
    if head < size and window[head] <= cutoff_us:
        total = window[_TOTAL]
        while head < size and window[head] <= cutoff_us:
            total -= window[head + 1]
            head += 2
        if head >= _COMPACT_AFTER and head * 2 > size:
            del window[_FIRST:head]
            head = _FIRST
        window[_HEAD] = head
        window[_TOTAL] = total
    return window[_TOTAL]
