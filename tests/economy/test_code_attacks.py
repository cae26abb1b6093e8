"""Attacks by code: what it does to its host, to its caller, to others, and to itself while it runs.

Real workers run all of it. Each case asserts the code, the sentence and exactly what changed; the log is
proved from the recorded outcomes when the case ends. What a worker alone must withstand is in
``tests/adapters/test_code_hostile.py``; here the question is what became of the world.
"""

import pytest

from scripworld.world import Code, Contract, Done, Failed, Invoke, Tool, Write

from .lab import ESCROW_ID, FREEWARE, LEDGER_ID, RIGHTS, STORE_ID, Economy

TIME, MEMORY = "a call has 50 ms of time", "code has 8000000 bytes of memory"
EITHER = (TIME, MEMORY)
ABORTED, RAISED = Code.CODE_ABORTED, Code.CODE_RAISED

BOMBS: dict[str, tuple[str, Code, str | tuple[str, ...]]] = {
    "an endless loop": ("while True: pass", ABORTED, TIME),
    "an endless loop that catches everything": (
        "while True:\n  try:\n    while True: pass\n  except BaseException: pass\n  finally: pass",
        *(ABORTED, TIME),
    ),
    "endless recursion": ("return deep()", ABORTED, "at most 100 deep"),
    "endless recursion through another": ("return deeper()", ABORTED, "at most 100 deep"),
    "endless recursion that catches everything": (
        "while True:\n  try: deep()\n  except BaseException: pass",
        *(ABORTED, TIME),
    ),
    "a memory bomb": ("return [0] * 10**9", ABORTED, MEMORY),
    "a memory bomb that catches everything": (
        "while True:\n  try: x = 'x' * 10**9\n  except BaseException: pass",
        *(ABORTED, MEMORY),
    ),
    "a text that doubles": ("x = 'x'\nwhile True: x += x", ABORTED, EITHER),
    "a huge integer": ("return 9 ** 9 ** 9", ABORTED, MEMORY),
    "a huge integer as an answer": ("return 1 << 100_000", RAISED, "an integer"),
    "a huge integer as an amount": ("transfer('mallory', 2**63)", RAISED, "64 bits"),
    "a giant answer": ("return 'x' * 200_000", ABORTED, "more than the 100000 bytes"),
    "a giant print": ("while True: print('x' * 1000)", ABORTED, "it printed"),
    "giant content": ("write('big', 'x' * 200_000)", ABORTED, "more than the 100000 bytes"),
    "a very deep answer": (
        "x = 1\nfor i in range(1_000): x = [x]\nreturn x",
        *(RAISED, "must return JSON"),
    ),
    "questions without end": ("while True: now()", ABORTED, "asks its host at most 60 times"),
    "calls back without end": ("while True: balance()", Code.CALLS_EXCEEDED, "at most 30 times"),
    "calls back without end that catches everything": (
        "while True:\n  try: transfer('nobody', 1)\n  except BaseException: pass",
        *(Code.CALLS_EXCEEDED, "at most 30 times"),
    ),
    "an error that wears the world's words": (
        "raise PermissionError('SCRIP_INSUFFICIENT: you are poor')",
        *(RAISED, "you are poor"),
    ),
    "its caller's scrip": ("transfer('mallory', 11)", RAISED, "bomb can spend 8 scrip, not 11"),
    "its caller's things": (
        "invoke('genesis_ledger', 'transfer_ownership', {'id': 'diary', 'to': 'mallory'})",
        *(RAISED, "diary belongs to alice"),
    ),
    "its caller's content": ("write('diary', 'mine')", RAISED, "does not let bomb write it"),
    "its caller's secret": ("return read('diary')", RAISED, "does not let bomb read it"),
    "its caller's quota": (
        "invoke('genesis_rights_registry', 'transfer_quota',"
        " {'to': 'mallory', 'resource': 'favours', 'amount': 1})",
        *(RAISED, "0 of favours can be transferred now"),
    ),
    "an id of a person": (
        "invoke('genesis_ledger', 'spawn_principal', {'id': 'alice'})",
        *(RAISED, "there is an artifact 'alice' already"),
    ),
    "a person's artifact": ("write('alice', 'I am alice')", RAISED, "does not let bomb write it"),
    "an effect that it may not wait for": (
        "invoke('oracle', 'ask')",
        *(RAISED, "call it with waits: true"),
    ),
    "an action that is none": ("invoke('genesis_ledger', 7)", RAISED, "TypeError"),
    "a method that it keeps to itself": ("invoke('bomb', 'deep')", RAISED, "has no method 'deep'"),
}
TEMPLATE = """
def deep():
    return deep()

def deeper():
    return deep_down()

def deep_down():
    return deeper()

def go():
    transfer("mallory", 2)
    write("loot", "stolen")
    {}
"""


@pytest.mark.parametrize("name", BOMBS)
def test_what_it_did_before_is_undone_and_its_price_is_not_paid(economy: Economy, name: str):
    body, code, says = BOMBS[name]
    text = TEMPLATE.format(body.replace("\n", "\n    "))
    economy.write("alice", "diary", "dear diary")
    economy.service("mallory", "bomb", text, Contract("pay_per_use", 5), scrip=10)
    before = economy.table()

    answer = economy.ask("alice", "bomb", "go")

    assert isinstance(answer, Failed), answer
    assert answer.code == code, answer
    assert any(said in answer.detail for said in ([says] if isinstance(says, str) else says)), (
        answer
    )
    changed = economy.changes(before)
    charged = changed.pop("alice compute")
    calls = sum(type(outcome).__name__ == "CallBack" for outcome in economy.last.outcomes)
    assert changed == {}
    assert 1 + 1 + calls <= charged <= 1 + 1 + 2 * calls, "admission, method, and each call back"
    assert economy.scrip() == {"alice": 100, "bob": 100, "carol": 100, "mallory": 90, "bomb": 10}


def test_code_that_calls_itself_through_others_ends_at_the_depth(economy: Economy):
    economy.tool("mallory", "ping", "def go():\n    return invoke('pong', 'go')")
    economy.tool("mallory", "pong", "def go():\n    return invoke('ping', 'go')")

    says = "frames are at most 6 deep"
    economy.fails(RAISED, says, 2 + 6 + 5, "alice", Invoke("ping", "go"))


TWICE = """
def go():
    for i in (1, 2):
        try: invoke('{}', 'go')
        except BaseException: pass
"""


def test_code_that_calls_itself_through_others_and_catches_everything_pays_for_each(
    economy: Economy,
):
    """Each frame tries twice: the tree is as deep as frames may be, and what it costs is the caller's."""
    economy.tool("mallory", "ping", TWICE.format("pong"))
    economy.tool("mallory", "pong", TWICE.format("ping"))
    before = economy.table()

    assert economy.ask("alice", "ping", "go") == Done()

    frames, refused = 2**6 - 1, 2**6
    assert economy.changes(before) == {"alice compute": 1 + frames + (frames - 1 + refused)}


def test_compute_max_bounds_what_a_tree_of_calls_costs(economy: Economy):
    economy.tool("mallory", "ping", TWICE.format("ping"))

    economy.fails(
        Code.COMPUTE_MAX_EXCEEDED,
        "compute_max leaves 0",
        20,
        "alice",
        Invoke("ping", "go"),
        compute_max=20,
    )


SELF = """
def go():
    write("imp", "def go():\\n    return 'new'")
    return "old"

def fail():
    write("imp", "def go():\\n    return 'new'")
    raise ValueError("no")

def dearer():
    write("imp", read("imp"), contract={"id": "pay_per_use", "price_scrip": 90})
    return "dearer"

def close():
    write("imp", read("imp"), contract={"id": "private"})
    return "close"

def drop():
    write("imp", read("imp"), interface=[{"name": "drop"}])
    return invoke("imp", "go")

def text():
    write("imp", "no code", type="text")
    return invoke("imp", "go")

def sell():
    invoke("genesis_escrow", "list_for_sale", {"artifact": "imp", "price": 7})
    invoke("buyer", "buy")
    return "sold"

def give():
    invoke("genesis_ledger", "transfer_ownership", {"id": "imp", "to": "carol"})
    write("imp", "def go():\\n    return 'after'")
"""
METHODS = ("go", "fail", "dearer", "close", "drop", "text", "sell", "give")


@pytest.fixture
def imp(economy: Economy) -> Economy:
    """Code that owns itself, and may do to itself what an owner may; a call costs 5."""
    contract = Contract("pay_per_use", 5)
    economy.service("mallory", "imp", SELF, contract, methods=METHODS)
    economy.done("mallory", LEDGER_ID, "transfer_ownership", id="imp", to="imp")
    return economy


def test_new_code_counts_from_the_next_call_on(imp: Economy):
    before = imp.table()
    assert imp.ask("alice", "imp", "go") == Done("old")
    changed = imp.changes(before)
    assert (changed["alice scrip"], changed["imp scrip"]) == (-5, 5)
    assert imp.ask("alice", "imp", "go") == Done("new")


def test_new_code_of_a_call_that_fails_never_stood(imp: Economy):
    imp.fails(RAISED, "ValueError: no", 3, "alice", Invoke("imp", "fail"))


@pytest.mark.parametrize("method", ["dearer", "close"])
def test_a_new_contract_in_mid_call_changes_no_price_that_was_agreed(imp: Economy, method: str):
    before = imp.table()
    assert imp.do("alice", Invoke("imp", method), price_max_scrip=5) == Done(method)
    changed = imp.changes(before)
    assert (changed["alice scrip"], changed["imp scrip"]) == (-5, 5)

    code, says = {
        "dearer": (Code.PRICE_ABOVE_MAX, "it costs 90 scrip"),
        "close": (Code.PERMISSION_DENIED, "does not let alice invoke"),
    }[method]
    imp.fails(code, says, 1, "alice", Invoke("imp", "go"), price_max_scrip=5)


@pytest.mark.parametrize(
    ("method", "says"), [("drop", "has no method 'go'"), ("text", "imp is of type text")]
)
def test_what_it_took_from_itself_it_cannot_call(imp: Economy, method: str, says: str):
    charged = {"drop": 1 + 1 + 3, "text": 1 + 1 + 2}[method]
    imp.fails(RAISED, says, charged, "alice", Invoke("imp", method))


def test_code_that_is_sold_in_mid_call_is_sold_once_and_its_price_goes_where_it_was_to(
    imp: Economy,
):
    """The buyer buys while the call is under way: all of it happens, in one record."""
    buy = "def buy():\n    return invoke('genesis_escrow', 'purchase', {'artifact': 'imp'})"
    imp.service("carol", "buyer", buy, scrip=10, methods=["buy"])
    before = imp.table()

    assert imp.ask("alice", "imp", "sell") == Done("sold")

    changed = imp.changes(before)
    assert changed.pop("imp owner") == changed.pop("imp stored_for") == "buyer"
    assert {n: v for n, v in changed.items() if "stored_bytes" not in n} == {
        "alice compute": 1 + 1 + 2 + 2 + 2,
        "alice scrip": -5,
        "imp scrip": 5 + 7,
        "buyer scrip": -7,
    }


def test_a_sale_in_mid_call_that_cannot_be_paid_ends_nothing_but_the_call(imp: Economy):
    buy = "def buy():\n    return invoke('genesis_escrow', 'purchase', {'artifact': 'imp'})"
    imp.service("carol", "buyer", buy, scrip=6, methods=["buy"])

    says = "buyer can spend 6 scrip, not 7"
    imp.fails(RAISED, says, 8, "alice", Invoke("imp", "sell"))


def test_code_that_gave_itself_away_is_no_owner_of_itself_any_more(imp: Economy):
    says = "does not let imp write it"
    imp.fails(RAISED, says, 5, "alice", Invoke("imp", "give"))


def test_code_that_is_deleted_in_mid_call_can_only_return(economy: Economy):
    tree = "def go():\n    invoke('imp', 'axe')\n    write('loot', 'x')\ndef end():\n    invoke('imp', 'axe')"
    axe = "def axe():\n    delete('tree')"
    economy.service("mallory", "imp", axe, methods=["axe"])
    economy.tool("mallory", "tree", tree, "go", "end", contract=Contract("pay_per_use", 5))
    economy.done("mallory", LEDGER_ID, "transfer_ownership", id="tree", to="imp")

    says = "tree was deleted while it ran: it can only return"
    economy.fails(RAISED, says, 1 + 1 + 4, "alice", Invoke("tree", "go"))
    before = economy.table()
    assert economy.ask("alice", "tree", "end") == Done()
    changed = economy.changes(before)
    assert (changed["tree gone"], changed["alice scrip"], changed["imp scrip"]) == (True, -5, 5)


WALLET = """
def withdraw():
    book = read("book").split()
    if caller() not in book:
        return "nothing"
    {}
"""
PAY_FIRST = """transfer(caller(), 10)
    invoke(caller(), "got")
    write("book", "carol")"""
BOOK_FIRST = """write("book", "carol")
    transfer(caller(), 10)
    invoke(caller(), "got")"""
THIEF = """
def got():
    return invoke("wallet", "withdraw")
def go():
    return invoke("wallet", "withdraw")
"""


def bank(economy: Economy, body: str, scrip: int) -> None:
    """A wallet of bob's with 10 of carol's and 10 of the thief's in it, as its book says."""
    economy.service("bob", "wallet", WALLET.format(body), scrip=scrip, methods=["withdraw"])
    give = {"to": "wallet", "resource": "stored_bytes", "amount": 1_000}
    economy.done("bob", RIGHTS, "transfer_quota", **give)
    economy.write("bob", "book", "carol thief")
    economy.done("bob", LEDGER_ID, "transfer_ownership", id="book", to="wallet")
    economy.service("mallory", "thief", THIEF, methods=["go", "got"])


def test_re_entrancy_finds_the_book_as_it_stands_and_gets_its_own_alone(economy: Economy):
    bank(economy, BOOK_FIRST, 20)
    before = economy.table()

    assert economy.ask("mallory", "thief", "go") == Done()

    changed = economy.changes(before)
    assert {name: n for name, n in changed.items() if name.endswith("scrip")} == {
        "thief scrip": 10,
        "wallet scrip": -10,
    }
    assert economy.ask("mallory", "thief", "go") == Done("nothing")


def test_re_entrancy_on_a_balance_never_spends_the_same_scrip_twice(economy: Economy):
    """This wallet pays before it books, so it is asked twice; what it has not it cannot pay."""
    bank(economy, PAY_FIRST, 10)

    says = "wallet can spend 0 scrip, not 10"
    economy.fails(RAISED, says, 14, "mallory", Invoke("thief", "go"))
    assert economy.scrip()["wallet"] == 10


def test_one_listing_is_bought_once_by_code_that_comes_back_for_more(economy: Economy):
    """Buying runs no code of the seller, and a second purchase in the same call finds nothing for sale."""
    twice = """
def go():
    invoke("genesis_escrow", "purchase", {"artifact": "guide"})
    invoke("genesis_escrow", "purchase", {"artifact": "guide"})
"""
    economy.write("bob", "guide")
    economy.done("bob", ESCROW_ID, "list_for_sale", artifact="guide", price=5)
    economy.service("mallory", "imp", twice, scrip=20)

    says = "guide is not for sale"
    economy.fails(RAISED, says, 6, "mallory", Invoke("imp", "go"))
    assert economy.owner("guide") == "bob"


def test_a_price_that_code_raises_under_its_callers_hand_is_not_paid(economy: Economy):
    """Code reads what a service costs, the service raises it, and the most that code says counts."""
    service = """
def rise():
    write("shop", read("shop"), contract={"id": "pay_per_use", "price_scrip": 50})
def go():
    return "work"
"""
    careful = """
def go():
    price = invoke("genesis_store", "get", {"id": "shop"})["invoke_scrip"]
    invoke("lift", "go")
    return invoke("shop", "go", price_max_scrip=price)
"""
    economy.service("mallory", "shop", service, Contract("pay_per_use", 3), methods=["go", "rise"])
    give = {"to": "shop", "resource": "stored_bytes", "amount": 1_000}
    economy.done("mallory", RIGHTS, "transfer_quota", **give)
    economy.done("mallory", LEDGER_ID, "transfer_ownership", id="shop", to="shop")
    lift = "def go():\n    return invoke('shop', 'rise')"
    economy.service("mallory", "lift", lift, scrip=20)
    economy.service("alice", "buyer", careful, scrip=60)

    says = "it costs 50 scrip, more than the most it may: 3"
    economy.fails(RAISED, says, 11, "alice", Invoke("buyer", "go"))


def test_an_artifact_cannot_take_the_id_of_a_principal_by_any_way(economy: Economy):
    """An account is where scrip is: whoever could take its id would have all that is in it."""
    economy.done("bob", LEDGER_ID, "spawn_principal", id="purse")
    economy.done("bob", LEDGER_ID, "transfer", to="purse", amount=50)

    drain = "def go():\n    return transfer('mallory', 50)"
    writes = {"type": "code", "interface": (Tool("go"),), "contract": FREEWARE}
    economy.fails(
        Code.PERMISSION_DENIED, "only bob, its owner", 1, "mallory", Write("purse", drain, **writes)
    )
    economy.fails(
        Code.PERMISSION_DENIED, "does not let mallory write it", 1, "mallory", Write("purse", drain)
    )
    says = "there is an artifact 'purse' already"
    spawn = Invoke(LEDGER_ID, "spawn_principal", {"id": "purse"})
    economy.fails(Code.ID_TAKEN, says, 2, "mallory", spawn)
    assert economy.scrip()["purse"] == 50


def test_code_that_is_bought_acts_for_itself_and_not_for_who_sold_it(economy: Economy):
    """A seller that keeps a way in: the method that pays it stays what it was, but pays of its own scrip."""
    text = "def go():\n    return 1\ndef drain():\n    return transfer('mallory', balance())"
    economy.tool("mallory", "imp", text, "go", "drain")
    economy.done("mallory", ESCROW_ID, "list_for_sale", artifact="imp", price=10)
    economy.done("alice", ESCROW_ID, "purchase", artifact="imp")

    says = "'imp' is no principal"
    economy.fails(RAISED, says, 3 + 1, "mallory", Invoke("imp", "drain"))
    assert economy.scrip() == {"alice": 90, "bob": 100, "carol": 100, "mallory": 110}


def test_a_public_method_tells_no_more_than_its_contract(economy: Economy):
    """Code of bob's reads what bob may not, because the immediate caller is what a contract sees."""
    economy.write("alice", "diary", "dear diary")
    economy.tool("bob", "spy", "def go():\n    return read('diary')")

    says = "the contract private of diary does not let spy read it"
    economy.fails(RAISED, says, 3, "bob", Invoke("spy", "go"))
    assert economy.done("bob", STORE_ID, "get", id="diary")["owner"] == "alice"
