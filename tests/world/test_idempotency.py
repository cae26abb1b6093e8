from scripworld.world import Code, Done, EffectResult, Failed, Invoke, Read, Waiting, Write

from .lab import Lab
from .test_invocation import ASK


def pay(lab: Lab, key: str, amount: int = 5, who: str = "alice", to: str = "bob"):
    action = Invoke("bank", "transfer", {"to": to, "amount": amount})
    return lab.do(who, action, idempotency_key=key)


def test_a_repeated_key_gets_the_first_answer_and_does_nothing(lab: Lab):
    assert pay(lab, "k") == Done(995)
    assert pay(lab, "k") == Done(995)

    assert lab.scrip("alice") == [995]
    assert [type(fact).__name__ for fact in lab.last.facts] == ["Charged"]
    assert lab.last.facts[0].amount == 1


def test_keys_are_each_principals_own(lab: Lab):
    pay(lab, "k")

    assert pay(lab, "k", who="bob", to="alice") == Done(500)


def test_a_key_cannot_be_used_for_another_action(lab: Lab):
    pay(lab, "k")

    lab.refuses(Code.KEY_REUSED, lambda: pay(lab, "k", amount=6))


def test_a_failure_is_remembered_and_a_refusal_is_not(lab: Lab):
    failed = pay(lab, "k", amount=5_000)
    assert isinstance(failed, Failed)
    lab.invoke("bob", "bank", "transfer", to="alice", amount=500)
    assert pay(lab, "k", amount=5_000) == failed

    assert lab.do("alice", Read("page"), idempotency_key="r").code == Code.NOT_FOUND
    lab.write("alice", "page", "x")
    assert lab.do("alice", Read("page"), idempotency_key="r") == Done("x")


def test_the_oldest_keys_are_forgotten(lab: Lab):
    for key in ("k1", "k2", "k3", "k4"):
        pay(lab, key)
    assert list(lab.state.keys["alice"]) == ["k2", "k3", "k4"]
    lab.restart()

    pay(lab, "k1")

    assert lab.scrip("alice") == [975]
    assert list(lab.state.keys["alice"]) == ["k3", "k4", "k1"]


def test_a_key_of_what_waits_gets_the_same_wait_and_then_the_answer(lab: Lab):
    ask = Invoke("oracle", "ask")
    waiting = lab.do("alice", ask, idempotency_key="k")
    assert lab.do("alice", ask, idempotency_key="k") == waiting
    assert len(lab.world.pending()) == 1

    lab.settle(waiting, "late" * 1_000)

    assert lab.do("alice", ask, idempotency_key="k") == Done("late" * 1_000)


def test_a_key_keeps_the_wait_that_its_principal_was_told(lab: Lab):
    def twice(caller, args):
        yield ASK
        answer = yield ASK
        return answer.result

    lab.code("bob", "shop", twice)
    go = Invoke("shop", "go")
    first = lab.do("alice", go, compute_max=10, idempotency_key="k")
    again = lab.settle(first, 1)
    assert isinstance(again.answer, Waiting)

    assert lab.do("alice", go, compute_max=10, idempotency_key="k") == first
    assert lab.settle(again.answer, 2).answer == Done(2)
    assert lab.do("alice", go, compute_max=10, idempotency_key="k") == Done(2)


def test_the_key_of_what_waits_is_not_forgotten(lab: Lab):
    ask = Invoke("oracle", "cheap")
    waiting = lab.do("alice", ask, idempotency_key="k")
    for key in ("k1", "k2", "k3"):
        pay(lab, key)
    lab.restart()

    assert lab.do("alice", ask, idempotency_key="k") == waiting
    lab.refuses(Code.KEY_REUSED, lambda: pay(lab, "k"))
    assert len(lab.state.effects) == 1
    lab.settle(waiting, 1)
    assert lab.do("alice", ask, idempotency_key="k") == Done(1)
    assert list(lab.state.keys["alice"]) == ["k", "k2", "k3"]


def test_where_all_keys_wait_the_newest_is_remembered_too(lab: Lab):
    ask = Invoke("oracle", "free")
    waiting = [lab.do("alice", ask, idempotency_key=f"w{n}") for n in range(4)]

    assert pay(lab, "k") == pay(lab, "k") == Done(995)
    assert list(lab.state.keys["alice"]) == ["w0", "w1", "w2", "w3", "k"]

    pay(lab, "k1")
    assert list(lab.state.keys["alice"]) == ["w0", "w1", "w2", "w3", "k1"]
    for answer in waiting:
        lab.settle(answer, 1)
    assert len(lab.state.keys["alice"]) == 3


def test_what_an_asker_does_with_its_answer_changes_no_memory(lab: Lab):
    echo = Invoke("bank", "any", {"value": [1]})
    ask = Invoke("oracle", "free")
    for _ in range(2):
        answer = lab.do("alice", echo, idempotency_key="k")
        assert answer == Done({"value": [1]})
        answer.result["value"].append(2)
    waiting = lab.do("bob", ask, idempotency_key="k")
    lab.world.settle(waiting.effect_id, EffectResult([1]), 0).answer.result.append(2)

    assert lab.do("bob", ask, idempotency_key="k") == Done([1])
    large = Write("page", "x" * 5_000)
    assert lab.do("bob", large, idempotency_key="w") == Done()
    assert lab.do("bob", large, idempotency_key="w") == Done()
