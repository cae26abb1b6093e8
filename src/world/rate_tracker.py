"""Owns renewable metering: exact rolling windows. Time comes in; it is never read."""

from __future__ import annotations

from collections.abc import Mapping

_TOTAL, _HEAD, _FIRST = 0, 1, 2
_COMPACT_AFTER = 128


class Windows:
    """Usage of one renewable resource, by principal.

    A window is one flat list ``[total, head, t, amount, t, amount, …]``; entries of one instant
    are one entry, and those before ``head`` have aged out.
    """

    __slots__ = ("by_principal", "held", "limits", "window_us")

    def __init__(self, window_us: int) -> None:
        self.window_us = window_us
        self.limits: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.by_principal: dict[str, list[int]] = {}

    def usage(self, principal: str, now_us: int) -> int:
        """What was used in the window that ends now, holds not included."""
        window = self.by_principal.get(principal)
        return 0 if window is None else _age(window, now_us - self.window_us)

    def remaining(self, principal: str, now_us: int) -> int:
        """What can still be used now; below zero after an overrun."""
        left = self.limits.get(principal, 0)
        if self.held:
            left -= self.held.get(principal, 0)
        window = self.by_principal.get(principal)
        if window is None:
            return left
        head = window[_HEAD]
        if head < len(window) and window[head] <= now_us - self.window_us:
            return left - _age(window, now_us - self.window_us)
        return left - window[_TOTAL]

    def wait_us(self, principal: str, amount: int, now_us: int) -> int | None:
        """Microseconds until ``amount`` could be used; 0 is now, None is never by waiting alone."""
        missing = amount - self.remaining(principal, now_us)
        if missing <= 0:
            return 0
        window = self.by_principal.get(principal, ())
        for at in range(window[_HEAD] if window else 0, len(window), 2):
            missing -= window[at + 1]
            if missing <= 0:
                return window[at] + self.window_us - now_us
        return None

    def stamp(self, principal: str, amount: int, now_us: int) -> None:
        """Count ``amount`` as used now, whatever the limit says: the posting of what was admitted."""
        window = self.by_principal.get(principal)
        if window is None:
            self.by_principal[principal] = [amount, _FIRST, now_us, amount]
            return
        head = window[_HEAD]
        if head < len(window):
            if window[head] <= now_us - self.window_us:
                _age(window, now_us - self.window_us)
            if window[-2] == now_us:
                window[_TOTAL] += amount
                window[-1] += amount
                return
        window[_TOTAL] += amount
        window.append(now_us)
        window.append(amount)

    def hold(self, principal: str, amount: int) -> None:
        """Set ``amount`` aside; a negative amount gives it back."""
        left = self.held.get(principal, 0) + amount
        if left:
            self.held[principal] = left
        else:
            self.held.pop(principal, None)


class RateTracker:
    """Usage of renewable resources by principal in exact rolling windows.

    In any window of the configured length, admitted usage never exceeds the limit: usage stamped at
    ``t`` counts until ``t + window_us``. What is held counts too and never ages. Every operation
    is amortised O(1) (``time_until_capacity``: O(amount)). Time never goes back: what has aged out
    for one question is forgotten for the next.
    """

    __slots__ = ("by_resource",)

    def __init__(self, windows_us: Mapping[str, int]) -> None:
        self.by_resource = {name: Windows(length) for name, length in windows_us.items()}

    def configure_limit(self, principal: str, resource: str, limit: int) -> None:
        """Set how much ``principal`` may use in any window. Without it the limit is 0."""
        limits = self.by_resource[resource].limits
        if limit:
            limits[principal] = limit
        else:
            limits.pop(principal, None)

    def limit(self, principal: str, resource: str) -> int:
        """The quota in one window."""
        return self.by_resource[resource].limits.get(principal, 0)

    def usage(self, principal: str, resource: str, now_us: int) -> int:
        """What was used in the window that ends now, holds not included."""
        return self.by_resource[resource].usage(principal, now_us)

    def held(self, principal: str, resource: str) -> int:
        """What is held and not yet posted."""
        return self.by_resource[resource].held.get(principal, 0)

    def remaining(self, principal: str, resource: str, now_us: int) -> int:
        """What can still be used now; below zero after an overrun."""
        return self.by_resource[resource].remaining(principal, now_us)

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
        return self.by_resource[resource].wait_us(principal, amount, now_us)

    def stamp(self, principal: str, resource: str, amount: int, now_us: int) -> None:
        """Count ``amount`` as used now, whatever the limit says: the posting of what was admitted."""
        self.by_resource[resource].stamp(principal, amount, now_us)

    def hold(self, principal: str, resource: str, amount: int) -> None:
        """Set ``amount`` aside; a negative amount gives it back."""
        self.by_resource[resource].hold(principal, amount)

    def totals(self, now_us: int) -> dict[str, dict[str, list[int]]]:
        """Limits, holds and unaged usage by resource and principal, for comparing two states."""
        out: dict[str, dict[str, list[int]]] = {}
        for resource, windows in self.by_resource.items():
            rows: dict[str, list[int]] = {}
            for principal, window in sorted(windows.by_principal.items()):
                if _age(window, now_us - windows.window_us):
                    rows[principal] = window[window[_HEAD] :]
            out[resource] = rows
            out[resource + " limit"] = {p: [n] for p, n in sorted(windows.limits.items())}
            out[resource + " held"] = {p: [n] for p, n in sorted(windows.held.items())}
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
