"""Random contracts and actions under them: scrip moves only as a verdict says, never more than was stated."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scripworld.world import (
    CallBack,
    Contract,
    Delete,
    Done,
    Edit,
    Envelope,
    Invoke,
    Read,
    Waiting,
    Write,
)

from .lab import CodeError, Lab
from .test_access import CHECK

WHO = st.sampled_from(["alice", "bob", "carol"])
LOOKS = st.sampled_from(
    [
        Read("motto"),
        Read("note"),
        Write("note", "stolen"),
        Delete("motto"),
        Invoke("bank", "who", {"id": "bob"}),
        Invoke("bank", "transfer", {"to": "carol", "amount": 5}),
        Invoke("bank", "spawn", {"id": "thief"}),
        Invoke("bank", "may", {"id": "note", "what": "read"}),
        Invoke("oracle", "ask", {"question": "x"}),
        Invoke("shop", "go", {}),
    ]
)
VERDICTS = st.one_of(
    st.none(),
    st.just("raise"),
    st.fixed_dictionaries(
        {"verdict": st.sampled_from(["allow", "allow", "ask", "deny", "maybe"])},
        optional={
            "price_scrip": st.sampled_from([0, 1, 30, 600, -1, 2**62 + 1, True, "5"]),
            "payee": st.sampled_from(["carol", "dave", "note", "", None]),
            "reason": st.sampled_from(["why", None, 5]),
        },
    ),
)
ACTIONS = st.sampled_from(
    [
        Read("note"),
        Write("note", "be secret"),
        Edit("note", "secret", "known"),
        Invoke("shop", "go", {}),
        Invoke("buyer", "go", {}),
        Invoke("bank", "may", {"id": "note", "what": "write"}),
        Delete("spare"),
    ]
)
STEPS = st.lists(
    st.tuples(
        WHO,
        ACTIONS,
        st.sampled_from([None, 0, 30]),
        st.lists(LOOKS, max_size=3),
        VERDICTS,
        st.sampled_from([{"approved": True}, {"approved": False}, None]),
    ),
    max_size=8,
)


def shop(caller, args):
    yield CallBack(Read("motto"))
    return caller


def buyer(caller, args):
    answers = []
    for action in (Read("note"), Invoke("shop", "go", {})):
        answers.append(isinstance((yield CallBack(action, True, 10)), Done))
    return answers


def artifacts(lab: Lab) -> dict[str, Any]:
    """What nobody may change here; nobody may make any."""
    changing = ("note", "spare")
    return {id: a for id, a in lab.state.artifacts.by_id.items() if id not in changing}


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_scrip_moves_only_as_a_verdict_says_and_never_more_than_was_stated(steps):
    looks: list[Any] = []
    said: list[Any] = [{"verdict": "allow"}]

    def check(caller, args):
        now, verdict = list(looks), said[0]
        for look in now:
            yield CallBack(look, True)
        if verdict == "raise":
            raise CodeError("no")
        return verdict

    lab = Lab()
    lab.code("carol", "gate", check, methods=CHECK)
    lab.write("bob", "note", "secret", contract=Contract("gate"))
    lab.write("bob", "spare", "secret", contract=Contract("gate"))
    lab.code("bob", "shop", shop, Contract("gate"))
    lab.code("bob", "buyer", buyer)
    for who, action, most, looks[:], said[0], approval in steps:
        lab.pass_us(70_000_000)
        before = dict(lab.state.ledger.balances)
        others = artifacts(lab)
        answer = lab.world.apply(Envelope(who, action, most), lab.now_us)
        while isinstance(answer, Waiting):
            answer = lab.settle(answer, approval).answer
        after = lab.state.ledger.balances
        price = said[0].get("price_scrip") if isinstance(said[0], dict) else 0
        is_free = not isinstance(answer, Done) or type(price) is not int
        for id, balance in before.items():
            if id != who:
                assert after[id] >= balance
        paid = before[who] - after[who]
        # bob can be the payee of what he does himself
        if action != Invoke("bank", "may", {"id": "note", "what": "write"}):
            assert most is None or paid <= most
        assert paid in ({0} if is_free else {0, price})
        assert lab.state.ledger.held == {}
        assert artifacts(lab) == others
    lab.check()
