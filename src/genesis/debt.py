"""Owns genesis_debt: loans. An offer is an artifact from its first day, and a claim that can be given away.

Who owns the loan's artifact holds the claim. The artifact is bound here, so its terms stay as they
were accepted; so is the collateral while the loan runs. What a debtor does not have is not taken:
a balance is never negative, and whoever can't pay goes on living.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..world import Artifact, Code, Context, Contract, Done, Failed, Native
from .arguments import AMOUNT, ID, INTEGER_MAX, PAGE, bindable, find, method, native, page_size
from .debt_terms import STATES, DebtFigures, Instalment, Loan, Terms, fault_of

DEBT = "genesis_debt"
LOAN = "loan"
"""The type of a loan's artifact."""

_TIME = {"type": "integer", "minimum": 1, "maximum": INTEGER_MAX}
_INSTALMENTS = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1_000,
    "items": {
        "type": "object",
        "properties": {"due_us": _TIME, "amount": AMOUNT},
        "required": ["due_us", "amount"],
        "additionalProperties": False,
    },
}
_OPEN, _OVER = "open/", "over/"
"""Where loans are noted: those that are offered or run, and the others."""


class _Debt:
    """The methods, for the figures of one world."""

    def __init__(self, figures: DebtFigures) -> None:
        self.figures = figures

    def offer(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        now_us, borrower = ctx.state.now_us, args.get("borrower", "")
        parts = [msgspec.convert(part, Instalment) for part in args["instalments"]]
        end_us = args.get("expires_us", min(now_us + self.figures.offer_us, parts[0].due_us))
        collateral = args.get("collateral", "")
        terms = Terms(ctx.caller, borrower, args["amount"], parts, collateral, end_us)
        fault = fault_of(terms, self.figures, now_us)
        if fault is not None:
            return Failed(Code.DEFINITION_INVALID, fault)
        failed = ctx.principal(ctx.caller)
        if failed is None and borrower:
            failed = ctx.principal(borrower) or _not_oneself(ctx.caller, borrower)
        if failed is not None:
            return failed
        if collateral and isinstance(pledge := find(ctx, collateral), Failed):
            return pledge
        hold = ctx.hold(terms.amount, end_us)
        if isinstance(hold, Failed):
            return hold
        text = msgspec.json.format(msgspec.json.encode(terms)).decode()
        said = f"A loan of {terms.amount} scrip, {terms.owed} to be paid back."
        failed = ctx.make(args["id"], ctx.caller, LOAN, said, text, Contract("freeware"))
        if failed is not None:
            return failed
        ctx.encumber(args["id"])
        loan = Loan(terms, "offered", borrower, hold)
        _note(ctx, args["id"], loan)
        return Done(_row(ctx, args["id"], loan))

    def withdraw(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        loan = _offered(ctx, args["loan"])
        if isinstance(loan, Failed):
            return loan
        if ctx.caller != loan.terms.lender:
            detail = f"{loan.terms.lender} offers {args['loan']}: nobody else takes it back"
            return Failed(Code.PERMISSION_DENIED, detail)
        ctx.release(loan.hold)
        _end(ctx, args["loan"], loan.become("withdrawn"))
        return Done(ctx.state.ledger.available(ctx.caller))

    def accept(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        id, borrower = args["loan"], ctx.caller
        loan = _offered(ctx, id)
        if isinstance(loan, Failed):
            return loan
        if loan.borrower not in ("", borrower):
            detail = f"{id} is offered to {loan.borrower}: look for another with active"
            return Failed(Code.PERMISSION_DENIED, detail)
        terms = loan.terms
        failed = ctx.principal(borrower) or _not_oneself(terms.lender, borrower)
        if failed is not None:
            return failed
        if ctx.state.now_us >= terms.expires_us or loan.hold not in ctx.state.ledger.holds:
            return Failed(Code.NOT_OPEN, f"the offer {id} ended at {terms.expires_us} us")
        if terms.collateral:
            failed = _pledge(ctx, terms.collateral)
            if failed is not None:
                return failed
        ctx.pay(loan.hold, borrower, terms.amount)
        loan = msgspec.structs.replace(loan.become("running"), borrower=borrower)
        _note(ctx, id, loan)
        return Done(_row(ctx, id, loan))

    def repay(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        loan = _running(ctx, args["loan"])
        if isinstance(loan, Failed):
            return loan
        amount = min(args["amount"], loan.left)
        failed = ctx.transfer(_holder(ctx, args["loan"]), amount)
        return failed or Done(_paid(ctx, args["loan"], loan, amount) | {"moved": amount})

    def collect(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        id, now_us = args["loan"], ctx.state.now_us
        loan = _held_by_caller(ctx, id)
        if isinstance(loan, Failed):
            return loan
        due, since_us = loan.due(now_us), loan.next_due_us()
        assert since_us is not None, id
        if not due:
            detail = f"nothing of {id} is due: the next instalment is at {since_us} us"
            return Failed(Code.NOT_OPEN, detail, retry_after_us=since_us - now_us)
        moved = ctx.collect(loan.borrower, ctx.caller, due)
        loan = msgspec.structs.replace(loan, paid=loan.paid + moved)
        if loan.terms.collateral and self._is_late(loan, now_us):
            pledge = _artifact(ctx, loan.terms.collateral)
            failed = ctx.transfer_ownership(pledge, ctx.caller, stored_for=ctx.caller)
            if failed is not None:  # no room for it: what could be taken stands, the rest waits
                if not moved:
                    return failed
                return Done(_stand(ctx, id, loan) | {"moved": moved, "waits": failed.detail})
            loan = loan.become("settled")
            _end(ctx, id, loan)
            return Done(_row(ctx, id, loan) | {"moved": moved})
        return Done(_stand(ctx, id, loan) | {"moved": moved})

    def _is_late(self, loan: Loan, now_us: int) -> bool:
        since_us = loan.next_due_us()
        return since_us is not None and now_us >= since_us + self.figures.grace_us

    def transfer(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        id, to = args["loan"], args["to"]
        loan = _held_by_caller(ctx, id)
        if isinstance(loan, Failed):
            return loan
        paper = _artifact(ctx, id)
        failed = ctx.principal(to) or ctx.transfer_ownership(paper, to, paper.stored_for)
        return failed or Done(_row(ctx, id, loan))

    def check(self, ctx: Context, args: dict[str, Any]) -> Done | Failed:
        loan = _find(ctx, args["loan"])
        return loan if isinstance(loan, Failed) else Done(_row(ctx, args["loan"], loan))

    def active(self, ctx: Context, args: dict[str, Any]) -> Done:
        after, limit = args.get("after", ""), page_size(ctx, args)
        wanted = {name: args[name] for name in ("borrower", "holder", "state") if name in args}
        keys = ctx.notes(_OPEN, _OPEN + after)
        rows: list[dict[str, Any]] = []
        examined = 0
        while examined < len(keys) and len(rows) < limit:
            id = keys[examined].removeprefix(_OPEN)
            row = _row(ctx, id, msgspec.convert(ctx.noted(keys[examined]), Loan))
            examined += 1
            if wanted.items() <= row.items():
                rows.append(row)
        is_end = examined == len(keys) and len(keys) < ctx.config.limits.page_max
        return Done(
            {"loans": rows, "after": None if is_end else keys[examined - 1].removeprefix(_OPEN)}
        )


def _find(ctx: Context, id: str) -> Loan | Failed:
    noted = ctx.noted(_OPEN + id) or ctx.noted(_OVER + id)
    if noted is None:
        return Failed(Code.NOT_FOUND, f"there is no loan {id!r}: active lists those that are open")
    return msgspec.convert(noted, Loan)


def _offered(ctx: Context, id: str) -> Loan | Failed:
    loan = _find(ctx, id)
    if isinstance(loan, Failed) or loan.state == "offered":
        return loan
    return Failed(Code.NOT_OPEN, f"{id} is no offer any more, it is {loan.state}")


def _running(ctx: Context, id: str) -> Loan | Failed:
    loan = _find(ctx, id)
    if isinstance(loan, Failed) or loan.state == "running":
        return loan
    return Failed(Code.NOT_OPEN, f"nothing is owed on {id}, it is {loan.state}")


def _held_by_caller(ctx: Context, id: str) -> Loan | Failed:
    """A loan that runs and whose claim is the caller's."""
    loan = _running(ctx, id)
    if isinstance(loan, Failed) or ctx.caller == _holder(ctx, id):
        return loan
    detail = f"the claim {id} is {_holder(ctx, id)}'s: nobody else collects it or gives it away"
    return Failed(Code.PERMISSION_DENIED, detail)


def _not_oneself(lender: str, borrower: str) -> Failed | None:
    if lender != borrower:
        return None
    return Failed(Code.PERMISSION_DENIED, f"{lender} lends to others, not to itself")


def _pledge(ctx: Context, id: str) -> Failed | None:
    """Bind an artifact of the caller; the failure where it cannot be."""
    artifact = bindable(ctx, id)
    if isinstance(artifact, Failed):
        return artifact
    ctx.encumber(id)
    return None


def _paid(ctx: Context, id: str, loan: Loan, amount: int) -> dict[str, Any]:
    """Note a payment."""
    return _stand(ctx, id, msgspec.structs.replace(loan, paid=loan.paid + amount))


def _stand(ctx: Context, id: str, loan: Loan) -> dict[str, Any]:
    """Note a loan that runs, and end it where nothing is left to pay."""
    if loan.left:
        _note(ctx, id, loan)
        return _row(ctx, id, loan)
    loan = loan.become("paid")
    _end(ctx, id, loan)
    return _row(ctx, id, loan)


def _end(ctx: Context, id: str, loan: Loan) -> None:
    """Note how a loan ended; what it bound is free."""
    ctx.put(_OPEN + id, None)
    ctx.put(_OVER + id, msgspec.to_builtins(loan))
    ctx.free(id)
    if loan.state != "withdrawn" and loan.terms.collateral:
        ctx.free(loan.terms.collateral)


def _note(ctx: Context, id: str, loan: Loan) -> None:
    ctx.put(_OPEN + id, msgspec.to_builtins(loan))


def _artifact(ctx: Context, id: str) -> Artifact:
    return ctx.state.artifacts.by_id[id]


def _holder(ctx: Context, id: str) -> str:
    """Whose claim it is; empty where its paper is gone, as it may be when it is over."""
    artifact = ctx.state.artifacts.by_id.get(id)
    return "" if artifact is None else artifact.owner


def _row(ctx: Context, id: str, loan: Loan) -> dict[str, Any]:
    """A loan as everybody sees it."""
    is_open = loan.state in ("offered", "running")
    is_running = loan.state == "running"
    return {
        "loan": id,
        "state": loan.state,
        "lender": loan.terms.lender,
        "holder": _holder(ctx, id) if is_open else None,
        "borrower": loan.borrower or None,
        "amount": loan.terms.amount,
        "instalments": msgspec.to_builtins(loan.terms.instalments),
        "collateral": loan.terms.collateral or None,
        "expires_us": loan.terms.expires_us,
        "paid": loan.paid,
        "left": loan.left if is_running else 0,
        "due": loan.due(ctx.state.now_us) if is_running else 0,
        "next_due_us": loan.next_due_us() if is_running else None,
    }


_LOAN_ID = {"loan": ID}


def debt_native(figures: DebtFigures) -> Native:
    """The lending of a world."""
    debt = _Debt(figures)
    made = native(
        DEBT,
        "Loans: offered with a schedule, secured by an artifact, collected when due, given away.",
        method(
            "offer",
            "Offer a loan under an id of its own: amount is held from you while the offer stands. "
            "instalments says what comes back when, in order of world time; interest is what they "
            "come to beyond amount. With borrower nobody else may accept, with collateral only the "
            "owner of that artifact. The offer ends at expires_us. The loan is an artifact that "
            "you own: its content is the terms, and its bytes are on your stored_bytes.",
            debt.offer,
            required={"id": ID, "amount": AMOUNT, "instalments": _INSTALMENTS},
            optional={"borrower": ID, "collateral": ID, "expires_us": _TIME},
        ),
        method(
            "withdraw",
            "Take an offer of yours back, also one that has expired: its artifact is yours to "
            "delete then. Answers what you can spend.",
            debt.withdraw,
            required=_LOAN_ID,
        ),
        method(
            "accept",
            "Borrow: the scrip of an offer is yours, and you owe its instalments. The collateral of "
            "its terms, under private, freeware or pay_per_use, is bound until all is paid. "
            "By accepting you agree that what is due is taken "
            "from what you can spend, and the collateral where that does not suffice: read the terms.",
            debt.accept,
            required=_LOAN_ID,
        ),
        method(
            "repay",
            "Pay on a loan, also before it is due, also for another: at most what is left is taken. "
            "Fully paid, it is over and the collateral is free.",
            debt.repay,
            required={**_LOAN_ID, "amount": AMOUNT},
        ),
        method(
            "collect",
            "Take what is due on a claim of yours, as far as the debtor can spend it. Where a part "
            f"has been due for {figures.grace_us} us and still is, the collateral becomes yours and "
            "settles the whole debt; where you have no room for it, it `waits` until you collect again. "
            "Without collateral the rest goes on being owed.",
            debt.collect,
            required=_LOAN_ID,
        ),
        method(
            "transfer",
            "Give a claim of yours to another principal: the debtor owes it from now on. Its bytes stay "
            "on whose stored_bytes they are.",
            debt.transfer,
            required={**_LOAN_ID, "to": ID},
        ),
        method(
            "check",
            "How a loan stands: its terms, who holds the claim, what is paid, left and due.",
            debt.check,
            required=_LOAN_ID,
        ),
        method(
            "active",
            "Loans that are offered or run, in order of id, of a borrower, a holder or a state if "
            "you name one. Call again with the `after` of the answer until it is null; a page "
            "before that may be short.",
            debt.active,
            optional={
                "borrower": ID,
                "holder": ID,
                "state": {"type": "string", "enum": list(STATES[:2])},
                **PAGE,
            },
        ),
    )
    return msgspec.structs.replace(made, capabilities=frozenset({"collect", "encumber"}))
