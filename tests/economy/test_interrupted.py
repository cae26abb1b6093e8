"""What is interrupted: workers that die or hang, actions sent twice, effects in the middle, jobs, approvals.

Each case asserts who has what when the dust has settled, to the last scrip, and that the log proves it.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scripworld.adapters.code_jobs import CodeJobs
from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner, Session
from scripworld.world import (
    Answer,
    Code,
    CodeCall,
    Contract,
    Delete,
    Done,
    EffectResult,
    Failed,
    Invoke,
    Outcome,
    Read,
    Tool,
    Waiting,
    Write,
)

from ..adapters.test_code_hostile import comes_to
from .lab import ESCROW_ID, LEDGER_ID, RIGHTS, Economy

RAISED = Code.CODE_RAISED


@dataclass
class Struck:
    """The runner of real workers, one of which something happens to before a call of ``victim`` goes on."""

    runner: MontyRunner
    strike: Callable[[Session], None]
    victim: str
    struck: list[str] = field(default_factory=list)

    def check(self, code: str) -> str | None:
        return self.runner.check(code)

    def start(self, call: CodeCall) -> tuple[Any, Outcome]:
        session, outcome = self.runner.start(call)
        assert isinstance(session, Session)
        return (StruckSession(self, session) if call.artifact == self.victim else session), outcome


@dataclass
class StruckSession:
    by: Struck
    session: Session

    def resume(self, answer: Answer) -> Outcome:
        if not self.by.struck:
            self.by.strike(self.session)
            self.by.struck.append(self.by.victim)
        return self.session.resume(answer)

    def close(self) -> None:
        self.session.close()


def kill(session: Session) -> None:
    pid = interpreter_of(session)
    os.kill(pid, signal.SIGKILL)
    assert comes_to(pid, None)


def hang(session: Session) -> None:
    pid = interpreter_of(session)
    os.kill(pid, signal.SIGSTOP)
    assert comes_to(pid, "T")


def interpreter_of(session: Session) -> int:
    """The innermost process below the one that was started: what holds the interpreter stands around it."""
    pid = session._pid
    assert pid is not None
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid


SHOP = "def go():\n    transfer('mallory', 3)\n    balance()\n    return 'made'"
BUYER = """
def go():
    transfer("carol", 1)
    try:
        invoke("shop", "go")
    except PermissionError as error:
        transfer("carol", 1)
        return refusal(error).detail
"""


@pytest.mark.parametrize("strike", [kill, hang])
@pytest.mark.parametrize("victim", ["shop", "buyer"])
def test_a_worker_that_dies_or_hangs_fails_its_invocation_alone(strike, victim: str):
    limits = CodeLimits(workers_warm=1, time_us=400_000, wall_us=400_000)
    with MontyRunner(limits) as runner:
        struck = Struck(runner, strike, victim)
        economy = Economy(struck)
        economy.service("mallory", "shop", SHOP, Contract("pay_per_use", 5), scrip=10)
        economy.service("alice", "buyer", BUYER, scrip=20)
        before = economy.table()

        answer = economy.ask("bob", "buyer", "go")

        assert struck.struck == [victim]
        changed = economy.changes(before)
        if (victim, strike) == ("shop", kill):
            assert isinstance(answer, Done), answer
            assert "interpreter ended" in answer.result, answer
            charged = 1 + 1 + 2 + 2 + 2 + 2
            assert changed == {"bob compute": charged, "buyer scrip": -2, "carol scrip": 2}
        else:
            assert isinstance(answer, Failed), answer
            assert answer.code == Code.CODE_ABORTED
            asked = {"buyer": 1 + 1 + 2, "shop": 1 + 1 + 2 + 2 + 2}[victim]
            assert changed == {"bob compute": asked}, "who hangs takes the time of all around it"
        before = economy.table()
        assert economy.ask("bob", "buyer", "go") == Done(), "another worker is there"
        amounts = {"buyer scrip": -6, "carol scrip": 1, "mallory scrip": 3, "shop scrip": 2}
        assert economy.changes(before) == {"bob compute": 1 + 1 + 2 + 2 + 2 + 2} | amounts
        economy.prove()


class TestRepeats:
    """An idempotency key makes an action happen once, and is no way to another's or a better answer."""

    def test_a_payment_that_is_sent_again_is_made_once(self, economy: Economy):
        pay = Invoke(LEDGER_ID, "transfer", {"to": "bob", "amount": 7})
        first = economy.do("alice", pay, idempotency_key="k")
        before = economy.table()
        economy.restart()

        assert economy.do("alice", pay, idempotency_key="k") == first == Done(93)
        assert economy.changes(before) == {"alice compute": 1}

    def test_a_key_with_another_amount_is_refused(self, economy: Economy):
        pay = Invoke(LEDGER_ID, "transfer", {"to": "bob", "amount": 7})
        economy.do("alice", pay, idempotency_key="k")

        more = Invoke(LEDGER_ID, "transfer", {"to": "bob", "amount": 70})
        says = "the key 'k' was used for another action"
        economy.fails(Code.KEY_REUSED, says, 1, "alice", more, idempotency_key="k")

    def test_a_key_of_anothers_purchase_gives_nothing(self, economy: Economy):
        economy.write("bob", "guide")
        economy.done("bob", ESCROW_ID, "list_for_sale", artifact="guide", price=10)
        buy = Invoke(ESCROW_ID, "purchase", {"artifact": "guide"})
        economy.do("alice", buy, idempotency_key="k")
        before = economy.table()

        answer = economy.do("mallory", buy, idempotency_key="k")

        assert isinstance(answer, Failed)
        assert answer.code == Code.NOT_OPEN
        changed = economy.changes(before)
        assert changed.pop("mallory compute") == 2
        assert changed.pop("mallory key k") == answer
        assert changed == {}

    def test_a_purchase_that_failed_stays_failed_under_its_key(self, economy: Economy):
        """Else who repeats a request blindly would buy later, at another moment than it meant."""
        economy.write("bob", "guide")
        economy.done("bob", ESCROW_ID, "list_for_sale", artifact="guide", price=101)
        buy = Invoke(ESCROW_ID, "purchase", {"artifact": "guide"})
        failed = economy.do("alice", buy, idempotency_key="k")
        economy.done("carol", LEDGER_ID, "transfer", to="alice", amount=50)
        before = economy.table()

        assert economy.do("alice", buy, idempotency_key="k") == failed
        assert economy.changes(before) == {"alice compute": 1}

    def test_a_service_that_waits_is_not_asked_twice(self, economy: Economy):
        economy.service("mallory", "seer", ASK.format("return told"), scrip=20)
        ask = Invoke("seer", "go")
        waiting = economy.do("alice", ask, idempotency_key="k")
        before = economy.table()

        assert economy.do("alice", ask, idempotency_key="k") == waiting
        assert economy.changes(before) == {"alice compute": 1}
        assert len(economy.world.state.effects) == 1
        assert economy.settle(waiting, "42") == Done("42")
        assert economy.do("alice", ask, idempotency_key="k") == Done("42")


ASK = """
def go():
    transfer("mallory", 2)
    told = invoke("oracle", "ask", {{}}, waits=True)
    transfer("mallory", 3)
    {}
"""


class TestEffectsInTheMiddle:
    """Code leaves the world after it did something; what becomes of it when the answer is there."""

    @pytest.mark.parametrize("is_killed", [False, True])
    @pytest.mark.parametrize(
        ("end", "code"),
        [
            ("raise ValueError(told)", RAISED),
            ("while True: pass", Code.CODE_ABORTED),
            ("transfer('mallory', 99)", RAISED),
            ("return [0] * 10**9", Code.CODE_ABORTED),
        ],
    )
    def test_what_stood_before_it_left_stands_and_nothing_after(
        self, economy: Economy, end: str, code: Code, is_killed: bool
    ):
        economy.service("bob", "seer", ASK.format(end), Contract("pay_per_use", 6), scrip=20)
        before = economy.table()
        waiting = economy.ask("alice", "seer", "go")
        assert isinstance(waiting, Waiting), waiting
        if is_killed:
            economy.restart()

        answer = economy.settle(waiting, "told")

        assert isinstance(answer, Failed)
        assert (answer.code, answer.committed) == (code, True)
        changed = economy.changes(before)
        changed.pop("alice compute")
        assert changed == {"seer scrip": -2 - 5, "mallory scrip": 2, "genesis scrip": 5}

    def test_scrip_that_was_spent_meanwhile_is_not_spent_again(self, economy: Economy):
        """Two calls wait, each of which could pay when it began; the purse is one."""
        economy.service("bob", "seer", ASK.format("return told"), scrip=16)
        one, two = (economy.ask(who, "seer", "go") for who in ("alice", "carol"))
        assert economy.world.state.ledger.available("seer") == 16 - 2 - 5 - 2 - 5
        before = economy.table()

        refused = economy.settle(one, "1")
        assert isinstance(refused, Failed)
        assert "seer can spend 2 scrip, not 3" in refused.detail
        assert isinstance(economy.settle(two, "2"), Failed)

        changed = economy.changes(before)
        assert changed["seer scrip"] == -10
        assert changed["genesis scrip"] == 10
        assert "mallory scrip" not in changed

    def test_an_effect_that_fails_is_not_paid_and_the_price_of_the_call_goes_back(
        self, economy: Economy
    ):
        economy.service("bob", "seer", ASK.format("return told"), Contract("pay_per_use", 6), 20)
        before = economy.table()
        waiting = economy.ask("alice", "seer", "go")
        assert economy.changes(before)["alice held"] == 6
        answer = economy.settle(waiting, code=Code.TOOL_CRASHED, detail="it broke")

        assert isinstance(answer, Failed)
        assert "it broke" in answer.detail
        changed = economy.changes(before)
        changed.pop("alice compute")
        assert changed == {"seer scrip": -2, "mallory scrip": 2}

    def test_code_that_is_sold_while_it_waits_goes_on_for_who_was_to_be_paid(
        self, economy: Economy
    ):
        text = 'def go():\n    return invoke("oracle", "cheap", {}, waits=True)'
        economy.tool("bob", "seer", text, contract=Contract("pay_per_use", 6))
        waiting = economy.ask("alice", "seer", "go")
        economy.done("bob", ESCROW_ID, "list_for_sale", artifact="seer", price=20)
        economy.done("mallory", ESCROW_ID, "purchase", artifact="seer")
        code = Write("seer", "def go():\n    return transfer('mallory', 1)")
        assert economy.do("mallory", code) == Done()

        answer = economy.settle(waiting, "told")

        assert answer == Done("told"), "the code that it began with"
        assert economy.scrip() == {"alice": 94, "bob": 126, "carol": 100, "mallory": 80}
        assert economy.owner("seer") == "mallory"

    def test_code_that_is_deleted_while_it_waits_keeps_nothing(self, economy: Economy):
        text = (
            'def go():\n    told = invoke("oracle", "cheap", {}, waits=True)\n    write("x", told)'
        )
        economy.tool("bob", "seer", text, contract=Contract("pay_per_use", 6))
        before = economy.table()
        waiting = economy.ask("alice", "seer", "go")
        assert isinstance(waiting, Waiting), waiting
        assert economy.do("bob", Delete("seer")) == Done()
        answer = economy.settle(waiting, "told")

        assert isinstance(answer, Failed)
        changed = economy.changes(before)
        assert not any(name.endswith((" scrip", " held")) for name in changed), changed
        assert "x owner" not in changed

    def test_an_answer_that_comes_twice_counts_once(self, economy: Economy):
        economy.service("bob", "seer", ASK.format("return told"), scrip=20)
        waiting = economy.ask("alice", "seer", "go")
        assert economy.settle(waiting, "told") == Done("told")
        before, seq = economy.table(), economy.world.state.seq

        again = economy.world.settle(waiting.effect_id, EffectResult("other"), economy.now_us)
        assert again is None
        assert (economy.changes(before), economy.world.state.seq) == ({}, seq)


class TestJobs:
    """Code that runs beside the world has nothing of the world's in its hands."""

    JOB = Tool("go", output_schema={"type": "integer"}, job=True)

    def job(self, economy: Economy, text: str) -> tuple[dict[str, Any], Waiting]:
        economy.service("mallory", "mill", text, Contract("pay_per_use", 5), 10, [self.JOB])
        before = economy.table()
        waiting = economy.ask("alice", "mill", "go")
        assert isinstance(waiting, Waiting), waiting
        assert economy.changes(before)["alice held"] == 5
        return before, waiting

    @pytest.mark.parametrize(
        ("text", "code", "says"),
        [
            ("def go():\n    return transfer('mallory', 1)", RAISED, "a job calls nothing back"),
            ("def go():\n    while True: pass", Code.CODE_ABORTED, "a call has 60 ms of time"),
            ("def go():\n    return 'x'", Code.RESULT_INVALID, "outputSchema does not allow"),
            ("def go():\n    raise ValueError('no')", RAISED, "ValueError: no"),
        ],
        ids=["acts", "loops", "lies", "raises"],
    )
    def test_a_job_that_fails_is_not_paid(self, economy: Economy, text, code, says):
        before, waiting = self.job(economy, text)
        (request,) = economy.world.pending()
        result = asyncio.run(performed(request))
        answer = economy.settle(waiting, result.value, code=result.code, detail=result.detail)

        assert isinstance(answer, Failed)
        assert answer.code == code
        assert says in answer.detail, answer
        assert economy.changes(before) == {"alice compute": 1 + 10}

    @pytest.mark.parametrize("how", ["sold", "rewritten", "closed"])
    def test_what_becomes_of_it_meanwhile_changes_no_price(self, economy: Economy, how: str):
        _, waiting = self.job(economy, "def go():\n    return 7")
        if how == "sold":
            economy.done("mallory", LEDGER_ID, "transfer_ownership", id="mill", to="carol")
        else:
            dear = Contract("pay_per_use", 90) if how == "rewritten" else Contract()
            economy.write("mallory", "mill", "def go():\n    return 8", contract=dear)
        before = economy.table()

        assert economy.settle(waiting, 7) == Done(7)
        changed = economy.changes(before)
        amounts = {name: n for name, n in changed.items() if name.endswith(("scrip", "held"))}
        assert {n: v for n, v in amounts.items() if "compute" not in n} == {
            "alice scrip": -5,
            "alice held": -5,
            "mill scrip": 5,
        }


async def performed(request: Any) -> Any:
    jobs = CodeJobs(CodeLimits(time_us=60_000, workers_max=1, workers_warm=1), None)
    try:
        return await jobs.perform(request)
    finally:
        await jobs.close()


ASKS = """
def check(caller, action, method, artifact):
    return {"verdict": "ask", "price_scrip": 4, "payee": "mallory"}
"""


class TestApprovals:
    """A no, no answer, or a yes that comes too late."""

    def asked(self, economy: Economy) -> tuple[dict[str, Any], Waiting]:
        economy.tool("mallory", "gate", ASKS, "check")
        economy.write("alice", "essay", "words", contract=Contract("gate"))
        before = economy.table()
        waiting = economy.do("bob", Read("essay"))
        assert isinstance(waiting, Waiting), waiting
        changed = economy.changes(before)
        assert (changed["bob held"], "mallory scrip" in changed) == (4, False)
        return before, waiting

    @pytest.mark.parametrize(
        "result",
        [
            {"value": {"approved": False}},
            {"value": {"approved": "yes"}},
            {"value": {"approved": 1}},
            {"value": "approved"},
            {"value": None},
            {"code": Code.EFFECT_TIMEOUT},
            {"code": Code.TOOL_CRASHED, "detail": "nobody"},
        ],
        ids=str,
    )
    def test_what_is_no_yes_costs_no_price(self, economy: Economy, result: dict[str, Any]):
        before, waiting = self.asked(economy)
        answer = economy.settle(waiting, **result)

        assert isinstance(answer, Failed)
        assert answer.code == Code.PERMISSION_DENIED
        assert economy.changes(before) == {"bob compute": 3}

    def test_a_yes_is_paid_as_it_was_asked_whatever_the_contract_says_since(self, economy: Economy):
        before, waiting = self.asked(economy)
        economy.write("mallory", "gate", ASKS.replace("4", "90"))
        assert economy.settle(waiting, {"approved": True}) == Done("words")

        changed = economy.changes(before)
        assert (changed["bob scrip"], changed["mallory scrip"]) == (-4, 4)
        assert "bob held" not in changed

    def test_a_yes_for_what_was_sold_meanwhile_deletes_nothing(self, economy: Economy):
        """Its owner takes the gate away and offers it: what is for sale stays what it is."""
        economy.tool("mallory", "gate", ASKS, "check")
        economy.write("alice", "essay", "words", contract=Contract("gate"))
        waiting = economy.do("bob", Delete("essay"))
        free = "def check(caller, action, method, artifact):\n    return {'verdict': 'allow'}"
        economy.write("mallory", "gate", free)
        economy.write("alice", "essay", "words", contract=Contract("freeware"))
        economy.done("alice", ESCROW_ID, "list_for_sale", artifact="essay", price=5)
        before = economy.table()

        answer = economy.settle(waiting, {"approved": True})

        assert isinstance(answer, Failed)
        assert answer.code == Code.PERMISSION_DENIED
        assert "its owner or contract changed while it waited for an approval" in answer.detail
        changed = economy.changes(before)
        assert changed.pop("bob held") == -4
        assert not any(name.endswith((" scrip", " owner")) for name in changed), changed

    def test_scrip_that_waits_for_a_yes_is_not_spent_elsewhere(self, economy: Economy):
        _, waiting = self.asked(economy)

        says = "bob can spend 96 scrip, not 97"
        pay = Invoke(LEDGER_ID, "transfer", {"to": "carol", "amount": 97})
        economy.fails(Code.SCRIP_INSUFFICIENT, says, 2, "bob", pay)
        economy.settle(waiting, {"approved": False})
        economy.done("bob", LEDGER_ID, "transfer", to="carol", amount=97)


def test_a_quota_that_is_held_by_what_waits_is_not_given_away(economy: Economy):
    economy.service("bob", "seer", ASK.format("return told"), scrip=20)
    before = economy.world.state.resources.remaining("alice", "compute", economy.now_us)
    economy.do("alice", Invoke("seer", "go"), compute_max=before)
    left = economy.world.state.resources.remaining("alice", "compute", economy.now_us)
    assert left < before

    give = {"to": "mallory", "resource": "compute", "amount": left + 1}
    answer = economy.ask("alice", RIGHTS, "transfer_quota", **give)
    assert answer.code in (Code.QUOTA_EXCEEDED, Code.ADMISSION_EXCEEDED)
    assert economy.world.state.resources.limit("mallory", "compute") == 100_000
