"""Owns what a loan is: its terms, which never change, and what is due of it when.

Pure figures; knows nothing of a world.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import msgspec

STATES = ("offered", "running", "paid", "settled", "withdrawn")
"""``settled``: by the collateral. ``withdrawn``: by the lender, or the offer expired."""
State = Literal["offered", "running", "paid", "settled", "withdrawn"]

LIFE: dict[State, tuple[State, ...]] = {
    "offered": ("running", "withdrawn"),
    "running": ("paid", "settled"),
    "paid": (),
    "settled": (),
    "withdrawn": (),
}
"""What may follow a state."""


class DebtFigures(msgspec.Struct, frozen=True):
    """What decides a loan; part of a run's first record.

    Attributes:
        offer_us: how long an offer stands that names no end.
        grace_us: from when an instalment is due until the collateral may be taken for it.
        instalments_max: the most of one loan.
    """

    offer_us: int
    grace_us: int
    instalments_max: int


class Instalment(msgspec.Struct, frozen=True):
    """What is to be paid back by a time of the world."""

    due_us: int
    amount: int


class Terms(msgspec.Struct, frozen=True):
    """What was agreed: the content of the loan's artifact.

    Attributes:
        borrower: who alone may accept; empty for anybody.
        collateral: an artifact of the borrower; empty for none.
    """

    lender: str
    borrower: str
    amount: int
    instalments: list[Instalment]
    collateral: str
    expires_us: int

    @property
    def owed(self) -> int:
        """All that is to be paid back."""
        return sum(instalment.amount for instalment in self.instalments)


class Loan(msgspec.Struct, frozen=True):
    """A loan as it stands; its holder is the owner of its artifact.

    Attributes:
        borrower: who accepted, or may; empty for anybody.
        hold: of the lender's scrip, while it is offered.
    """

    terms: Terms
    state: State
    borrower: str
    hold: int
    paid: int = 0

    @property
    def left(self) -> int:
        """What is still to be paid back."""
        return self.terms.owed - self.paid

    def due(self, now_us: int) -> int:
        """What should have been paid by now and was not."""
        by_now = sum(part.amount for part in self.terms.instalments if part.due_us <= now_us)
        return max(0, by_now - self.paid)

    def next_due_us(self) -> int | None:
        """When the first instalment is due that is not paid in full."""
        total = 0
        for part in self.terms.instalments:
            total += part.amount
            if total > self.paid:
                return part.due_us
        return None

    def become(self, state: State) -> Loan:
        """The loan in its next state."""
        assert state in LIFE[self.state], (self.state, state)
        return msgspec.structs.replace(self, state=state)


def fault_of(terms: Terms, figures: DebtFigures, now_us: int) -> str | None:
    """What is wrong with terms that are offered at ``now_us``, or None."""
    parts = terms.instalments
    if len(parts) > figures.instalments_max:
        return f"a loan has at most {figures.instalments_max} instalments, not {len(parts)}"
    if any(one.due_us >= other.due_us for one, other in pairwise(parts)):
        return "each instalment is due later than the one before"
    if not now_us < terms.expires_us <= parts[0].due_us:
        return (
            f"an offer ends after now ({now_us} us) and by the first instalment "
            f"({parts[0].due_us} us), not at {terms.expires_us} us"
        )
    return None
