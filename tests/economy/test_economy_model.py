"""Random programs of many principals over every market, against a plain model.

People pay, sell, buy, bid, lend, collect, write contracts and have services of code do all of it, in
programs inside programs. After every step the world is what the model says, so scrip is conserved; a
second, independent rule says who may have lost anything at all, so nothing is stolen. In the end the log
folds and verifies, without the code.

``SCRIPWORLD_STEPS`` asks for another number of steps than the suite's, ``SCRIPWORLD_SEED`` for other
programs; a failure prints the smallest program that shows it.
"""

import os
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.adapters.event_store import SqliteEventLog
from scripworld.world import RECORDS, Code, Done, Envelope, Waiting

from .lab import PEOPLE, Economy
from .plain import LOANS, SERVICES, WORKS, Plain, Step
from .services import action, scripted, town

STEPS = int(os.environ.get("SCRIPWORLD_STEPS", "4000"))
SEED = int(os.environ.get("SCRIPWORLD_SEED", "1"))
STEPS_A_WORLD = 40
AUDIT = Path(__file__).parents[2] / "scripts" / "audit"

WHO = st.sampled_from(PEOPLE)
ANYBODY = st.sampled_from((*PEOPLE, *SERVICES))
WORK, LOAN = st.sampled_from(WORKS), st.sampled_from(LOANS)
AMOUNT = st.one_of(st.integers(1, 12), st.integers(1, 60), st.just(10_000))
SMALL = st.integers(1, 12)
TEXT = st.sampled_from(("one", "two", "three", "four", "five"))
RULE = st.sampled_from(("private", "freeware", "pay_per_use", "gate", "gate"))


def tuples(name: str, *parts: Any) -> Any:
    return st.tuples(st.just(name), *parts)


SIMPLE = st.one_of(
    tuples("pay", ANYBODY, AMOUNT),
    tuples("favour", ANYBODY, st.integers(1, 11)),
    tuples("write", WORK, TEXT, RULE),
    tuples("read", WORK, st.integers(0, 9)),
    tuples("delete", WORK),
    tuples("give", WORK, ANYBODY),
    tuples("sell", WORK, SMALL, st.sampled_from(("", "", *PEOPLE)), st.sampled_from((0, 0, 500))),
    tuples("buy", WORK, st.integers(1, 20)),
    tuples("buy", WORK, st.integers(1, 20)),
    tuples("cancel", WORK),
    tuples("bid", WORK, AMOUNT),
    tuples("unbid", ANYBODY),
    tuples("lend", LOAN, ANYBODY, SMALL, SMALL, st.sampled_from(("", *WORKS))),
    tuples("borrow", LOAN),
    tuples("borrow", LOAN),
    tuples("unlend", LOAN),
    tuples("repay", LOAN, AMOUNT),
    tuples("collect", LOAN),
    tuples("collect", LOAN),
    tuples("hand_on", LOAN, ANYBODY),
)


def runs(inner: Any) -> Any:
    steps = st.lists(inner, min_size=1, max_size=4).map(tuple)
    return tuples("run", st.sampled_from(tuple(SERVICES)), st.booleans(), steps)


def weighted(*choices: tuple[int, Any]) -> Any:
    """One of several, however many alternatives each holds itself."""
    expanded = [choice for weight, choice in choices for _ in range(weight)]
    return st.sampled_from(expanded).flatmap(lambda choice: choice)


ACT = weighted((3, SIMPLE), (2, runs(SIMPLE)), (1, runs(weighted((1, SIMPLE), (1, runs(SIMPLE))))))
TIME = tuples("wait", st.sampled_from((1, 100, 600, 1_000, 2_000, 6_000, 10_000)))
SCORE = tuples("score", st.one_of(st.none(), st.integers(0, 100)))
AS = st.one_of(st.just("whoever may"), st.just("whoever may"), WHO)
"""Mostly who would do it with success, so that programs come far."""
ANY_STEP = weighted((10, st.tuples(AS, ACT)), (1, st.tuples(WHO, TIME)), (1, st.tuples(WHO, SCORE)))


def deal(*steps: Any) -> Any:
    """Steps that belong together, so that programs come far."""
    return st.tuples(*(st.tuples(AS, step) for step in steps))


DEALS = weighted((2, ANY_STEP.map(lambda step: (step,))), (1, st.one_of(
    WORK.flatmap(lambda id: deal(tuples("sell", st.just(id), SMALL, st.just(""), st.just(0)),
                                 tuples("buy", st.just(id), st.just(20)))),
    WORK.flatmap(lambda id: deal(tuples("sell", st.just(id), SMALL, ANYBODY, TIME.map(lambda t: t[1])),
                                 tuples("cancel", st.just(id)), tuples("delete", st.just(id)))),
    deal(tuples("lend", st.just("new"), st.just("its owner"), SMALL, SMALL, WORK),
         tuples("borrow", st.just("last")), TIME, tuples("collect", st.just("last"))),
    deal(tuples("lend", st.just("new"), ANYBODY, SMALL, SMALL, st.just("")),
         tuples("borrow", st.just("last")), tuples("hand_on", st.just("last"), ANYBODY),
         tuples("repay", st.just("last"), AMOUNT)),
    deal(tuples("lend", st.just("new"), ANYBODY, SMALL, SMALL, st.just("")),
         tuples("unlend", st.just("last"))),
    WHO.flatmap(lambda who: deal(tuples("bid", WORK, SMALL), tuples("unbid", st.just(who)))),
    deal(tuples("write", WORK, TEXT, RULE), tuples("bid", WORK, SMALL), tuples("bid", WORK, SMALL),
         TIME, SCORE),
)))  # fmt: skip
PROGRAM = st.lists(DEALS, min_size=STEPS_A_WORLD // 2, max_size=STEPS_A_WORLD).map(
    lambda deals: [step for steps in deals for step in steps]
)


def meant(plain: Plain, who: str, step: Step) -> tuple[str, Step]:
    """A step with the names that only the world under way gives: a loan, a pledge's owner, who may."""
    known = list(plain.loans)
    fresh = [id for id in LOANS if id not in known]
    name, *rest = step
    if rest[:1] == ["new"]:
        rest[0] = fresh[0] if fresh else LOANS[0]
    if rest[:1] == ["last"]:
        rest[0] = known[-1] if known else LOANS[0]
    if name == "lend" and rest[1] == "its owner":
        rest[1] = plain.works[rest[4]].owner if rest[4] in plain.works else "bob"
    step = (name, *rest)
    return (whoever_may(plain, step) if who == "whoever may" else who), step


def whoever_may(plain: Plain, step: Step) -> str:
    """A person whose step it would be."""
    name, first = step[0], step[1]
    owner = plain.works[first].owner if first in plain.works else "alice"
    loan = plain.loans.get(first) if isinstance(first, str) else None
    if loan is not None:
        is_borrowers = name in ("borrow", "repay")
        owner = loan.borrower if is_borrowers else loan.lender if name == "unlend" else loan.holder
    if name == "buy":
        owner = next(who for who in PEOPLE if who != owner)
    if name == "unbid":
        owner = first
    return owner if owner in PEOPLE else "mallory"


def play(economy: Economy, plain: Plain, who: str, step: Step) -> bool:
    """Take one step in the world and in the model, and see that they agree and that nobody was robbed."""
    now_us = economy.now_us + (step[1] if step[0] == "wait" else 1)
    economy.at(now_us)
    plain.go_to(now_us)
    agrees(economy, plain)
    if step[0] == "wait":
        return True
    before = economy.table()
    if step[0] == "score":
        is_due = bool(plain.scoring)
        if is_due:
            effect = next(iter(economy.world.state.effects))
            code = Code.TOOL_FAILED if step[1] is None else None
            economy.settle(effect, {"score": step[1]}, code=code)
            plain.go_to(economy.now_us)
            plain.score(step[1])
            agrees(economy, plain)
        return is_due
    who, step = meant(plain, who, step)
    known = deepcopy(plain)
    asked, most = action(step, now_us)
    answer = economy.world.apply(Envelope(who, asked, most), now_us)
    assert not isinstance(answer, Waiting)
    assert isinstance(answer, Done) == plain.act(who, step), answer
    agrees(economy, plain)
    changed = economy.changes(before)
    if not isinstance(answer, Done):
        assert set(changed) <= {f"{who} compute"}, changed
    assert robbed(known, changed, who, step) == []
    return isinstance(answer, Done)


def robbed(before: Plain, changed: dict[str, Any], who: str, step: Step) -> list[str]:
    """What somebody lost that was not by its own step, its own code, or a rule that it had accepted."""
    acting = {who, *SERVICES} if step[0] == "run" else {who}
    loans, now_us = before.loans.values(), before.now_us
    owing = {loan.borrower for loan in loans if loan.state == "running" and loan.due(now_us)}
    owing |= {loan.lender for loan in loans if loan.state == "offered"}
    late = {loan.pledge for loan in loans if loan.state == "running" and loan.is_late(now_us)}
    lost = []
    for name, value in changed.items():
        of, _, what = name.rpartition(" ")
        if what == "scrip" and value < 0 and of not in acting | owing:
            lost.append(name)
        if what == "owner" and of in before.works:
            agreed = of in before.sales or of in late or before.works[of].owner in acting
            lost += [] if agreed else [name]
        if name.endswith("favours limit") and value < 0 and of.split()[0] not in acting:
            lost.append(name)
    return lost


def agrees(economy: Economy, plain: Plain) -> None:
    """The world is what the model says."""
    state = economy.world.state
    ledger, by_id = state.ledger, state.artifacts.by_id
    balances = {who: n for who, n in ledger.balances.items() if n}
    assert balances == {who: n for who, n in plain.scrip.items() if n}
    for who in (*PEOPLE, *SERVICES):
        assert ledger.held.get(who, 0) == plain.held(who), who
        assert state.resources.limit(who, "favours") == plain.favours.get(who, 0), who
    assert sum(ledger.balances.values()) == ledger.supply
    for id in WORKS:
        work = plain.works.get(id)
        assert (id in by_id) == (work is not None), id
        if work is not None:
            artifact = by_id[id]
            told = artifact.owner, artifact.content, artifact.contract.id
            assert told == (work.owner, work.text, work.contract), id
            assert bool(artifact.encumbered_by) == bool(work.bound), id
    for id, loan in plain.loans.items():
        assert by_id[id].owner == loan.holder, id


def config(steps: int) -> Any:
    return settings(
        max_examples=max(1, steps // STEPS_A_WORLD),
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def test_a_whole_economy_is_what_a_plain_model_says():
    done: Counter[str] = Counter()

    @hypothesis.seed(SEED)
    @config(STEPS)
    @given(PROGRAM)
    def compare(program):
        hypothesis.note(f"SCRIPWORLD_SEED={SEED} SCRIPWORLD_STEPS={STEPS}")
        runner = scripted()
        economy, plain = town(runner)
        for who, step in program:
            done[step[0], play(economy, plain, who, step)] += 1
        assert runner.open == 0
        economy.prove()

    compare()
    told = {f"{name} {'yes' if is_done else 'no'}": n for (name, is_done), n in done.items()}
    print(f"seed {SEED}: {sum(told.values())} steps, {dict(sorted(told.items()))}")
    kinds = {name.removeprefix("do_") for name in vars(Plain) if name.startswith("do_")}
    assert {name for name, is_done in done if is_done} >= kinds, told


@pytest.fixture(scope="module")
def workers():
    with MontyRunner(CodeLimits(time_us=2_000_000, wall_us=8_000_000)) as runner:
        yield runner


def test_real_workers_come_to_the_same_log_byte_by_byte(workers):
    @hypothesis.seed(SEED)
    @config(STEPS // 10)
    @given(PROGRAM)
    def compare(program):
        hypothesis.note(f"SCRIPWORLD_SEED={SEED} SCRIPWORLD_STEPS={STEPS}")
        logs = []
        for code in (scripted(), workers):
            economy, plain = town(code)
            for who, step in program:
                play(economy, plain, who, step)
            logs.append(list(economy.log.records()))
        differ = next((rows for rows in zip(*logs, strict=True) if rows[0] != rows[1]), None)
        assert differ is None, [RECORDS.decode(row[2]) for row in differ]

    compare()


def test_a_program_that_knows_nothing_of_the_kernel_finds_the_books_right(tmp_path):
    @hypothesis.seed(SEED)
    @config(STEPS_A_WORLD * 4)
    @given(PROGRAM)
    def audited(program):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        log = SqliteEventLog.create(path)
        economy, plain = town(scripted(), log)
        for who, step in program:
            play(economy, plain, who, step)
        log.commit()
        log.close()
        told = subprocess.run(
            [sys.executable, AUDIT, path], check=False, capture_output=True, text=True
        )
        assert (told.returncode, told.stderr) == (0, ""), told

    audited()
