"""Contracts that agents wrote as weapons: against users, owners, buyers, the mint, and themselves.

Whatever is wrong with a contract denies, its owner too; who asked pays the compute of the asking and
nothing else changes. Real workers run the checks; the log is proved without them.
"""

import pytest

from scripworld.world import (
    Code,
    Contract,
    Delete,
    Done,
    Edit,
    Invoke,
    Read,
    Tool,
    Write,
)

from .lab import DEBT, ESCROW_ID, FREEWARE, LEDGER_ID, MINT, Economy

GATE = Contract("gate")
NO, BROKE = Code.PERMISSION_DENIED, "its check failed: "
FORM = "its check must return"


def gated(economy: Economy, body: str) -> Economy:
    """An essay of alice's under a contract of mallory's."""
    check = "def check(caller, action, method, artifact):\n    " + body.replace("\n", "\n    ")
    economy.tool("mallory", "gate", check, "check")
    economy.write("alice", "essay", "words", contract=GATE)
    return economy


DENIES: dict[str, tuple[str, str, int]] = {
    "loops": ("while True: pass", BROKE + "a call has 50 ms of time", 0),
    "loops and catches everything": (
        "while True:\n  try:\n    while True: pass\n  except BaseException: pass",
        *(BROKE + "a call has 50 ms", 0),
    ),
    "recurses": ("return check(caller, action, method, artifact)", BROKE, 0),
    "eats memory": ("return [0] * 10**9", BROKE + "code has 8000000 bytes", 0),
    "raises": ("raise ValueError('no')", BROKE + "line 2: ValueError: no", 0),
    "raises the world's words": ("raise PermissionError('NOT_FOUND: gone')", BROKE, 0),
    "answers nothing": ("pass", FORM, 0),
    "answers yes": ("return True", FORM, 0),
    "answers text": ("return 'allow'", FORM, 0),
    "answers a giant": ("return {'verdict': 'x' * 200_000}", BROKE, 0),
    "answers a verdict that is none": ("return {'verdict': 'perhaps'}", FORM, 0),
    "says two things at once": ("return {'verdict': 'allow', 'deny': True}", FORM, 0),
    "allows and asks a price that is text": (
        "return {'verdict': 'allow', 'price_scrip': '5'}",
        *("the price that its check asks is no integer", 0),
    ),
    "pays who asks": (
        "return {'verdict': 'allow', 'price_scrip': -5}",
        *("the price that its check asks is no integer from 0", 0),
    ),
    "asks a price that is true": (
        "return {'verdict': 'allow', 'price_scrip': True}",
        *("the price that its check asks is no integer", 0),
    ),
    "asks for more than there is in any world": (
        "return {'verdict': 'allow', 'price_scrip': 2**62 + 1}",
        *("the price that its check asks is no integer", 0),
    ),
    "asks for more than a number can be": (
        "return {'verdict': 'allow', 'price_scrip': 10**30}",
        *(BROKE, 0),
    ),
    "has a payee that is nobody": (
        "return {'verdict': 'allow', 'price_scrip': 1, 'payee': 'nobody'}",
        *("a payee who is no principal: 'nobody'", 0),
    ),
    "has a payee that is an artifact": (
        "return {'verdict': 'allow', 'price_scrip': 1, 'payee': 'essay'}",
        *("a payee who is no principal: 'essay'", 0),
    ),
    "has a payee that is a list": (
        "return {'verdict': 'allow', 'price_scrip': 1, 'payee': ['mallory']}",
        *("a payee who is no principal", 0),
    ),
    "writes what it guards": ("write(artifact, 'mine')", "a contract only looks", 1),
    "deletes what it guards": ("delete(artifact)", "a contract only looks", 1),
    "moves scrip": ("transfer('mallory', 1)", "gate can spend 0 scrip", 2),
    "makes a principal": (
        "invoke('genesis_ledger', 'spawn_principal', {'id': 'thief'})",
        *("a contract only looks", 2),
    ),
    "buys": (
        "invoke('genesis_escrow', 'purchase', {'artifact': 'essay'})",
        *("essay is not for sale", 2),
    ),
    "asks the outside": ("invoke('oracle', 'ask', {}, waits=True)", BROKE, 1),
    "asks itself": ("return invoke('gate', 'check', {})", "a contract only looks", 1),
    "reads what it guards": ("return read(artifact)", "is not asked while a contract is asked", 1),
    "looks without end": ("while True: balance('alice')", "it calls back at most 16 times", 32),
    "denies everyone, its users' owner too": (
        "return {'verdict': 'deny', 'reason': 'because'}",
        *("because", 0),
    ),
}


@pytest.mark.parametrize("name", DENIES)
def test_a_contract_denies_all_and_takes_nothing(economy: Economy, name: str):
    body, says, calls = DENIES[name]
    gated(economy, body)

    for who in ("alice", "bob", "mallory"):
        economy.fails(NO, says, 1 + 1 + calls, who, Read("essay"))


@pytest.mark.parametrize(
    "action",
    [
        Write("essay", "mine"),
        Edit("essay", "words", "mine"),
        Delete("essay"),
        Write("essay", "words", contract=FREEWARE),
    ],
    ids=lambda action: type(action).__name__,
)
def test_an_owner_under_a_contract_that_denies_it_is_denied_everything(economy: Economy, action):
    gated(economy, "return {'verdict': 'deny'}")

    economy.fails(NO, "the contract gate of essay does not let alice", 2, "alice", action)


def test_a_price_beyond_what_anybody_has_is_refused_and_one_above_the_most_too(economy: Economy):
    gated(economy, "return {'verdict': 'allow', 'price_scrip': 10**12, 'payee': 'mallory'}")

    says = "it costs 1000000000000 scrip and bob can spend 100"
    economy.fails(Code.SCRIP_INSUFFICIENT, says, 2, "bob", Read("essay"))
    says = "it costs 1000000000000 scrip, more than the most it may: 5"
    economy.fails(Code.PRICE_ABOVE_MAX, says, 2, "bob", Read("essay"), price_max_scrip=5)


def test_a_price_that_is_all_that_the_caller_has_is_not_paid_above_the_most(economy: Economy):
    """A contract that looks into the caller's purse finds out what it could ask."""
    gated(
        economy, "return {'verdict': 'allow', 'price_scrip': balance(caller), 'payee': 'mallory'}"
    )

    says = "it costs 100 scrip, more than the most it may: 5"
    economy.fails(Code.PRICE_ABOVE_MAX, says, 4, "bob", Read("essay"), price_max_scrip=5)
    before = economy.table()
    assert economy.do("bob", Read("essay")) == Done("words"), "who states no most pays any price"
    assert economy.changes(before) == {"bob compute": 4, "bob scrip": -100, "mallory scrip": 100}


def test_a_contract_that_contradicts_itself_from_call_to_call_is_taken_at_each_word(
    economy: Economy,
):
    """It admits and denies by chance: the same chance again when the log is proved."""
    gated(economy, "return {'verdict': 'allow' if random() < 0.5 else 'deny', 'price_scrip': 1}")
    before = economy.table()

    answers = [economy.do("bob", Read("essay")) for _ in range(12)]

    admitted = sum(answer == Done("words") for answer in answers)
    assert 0 < admitted < 12
    assert economy.changes(before) == {
        "bob compute": 24,
        "bob scrip": -admitted,
        "alice scrip": admitted,
    }


def test_a_contract_in_definition_that_contradicts_itself_is_not_taken(economy: Economy):
    economy.tool("mallory", "gate", "def check():\n    pass", "check")
    economy.write("alice", "essay", "words")

    wrong = {
        Contract("freeware", 5): "only pay_per_use has a price",
        Contract("pay_per_use", -5): "a price is an integer from 0",
        Contract("gate", 5): "only pay_per_use has a price",
        Contract("essay"): "essay is of type text",
        Contract("nobody"): "there is no contract 'nobody'",
        Contract("members", members=("No Body",)): "a member is the id of a principal",
    }
    for contract, says in wrong.items():
        write = Write("essay", "words", contract=contract)
        economy.fails(Code.DEFINITION_INVALID, says, 1, "alice", write)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (Delete("gate"), "there is no contract 'gate'"),
        (
            Write("gate", "words", type="text"),
            "is of type text: a contract is an artifact of type code",
        ),
        (
            Write("gate", "def go():\n    pass", interface=(Tool("go"),)),
            "has no method check in its interface, so it is no contract",
        ),
    ],
    ids=["deleted", "made text", "without check"],
)
def test_a_contract_that_is_none_any_more_denies_everyone(economy: Economy, how, says: str):
    gated(economy, "return {'verdict': 'allow'}")
    assert economy.do("bob", Read("essay")) == Done("words")
    assert economy.do("mallory", how) == Done()

    for who in ("alice", "bob", "mallory"):
        economy.fails(NO, f"{says}; this denies everyone", 1, who, Read("essay"))


def test_code_whose_contract_is_itself_cannot_be_used_to_ask_without_end(economy: Economy):
    check = "def check(caller, action, method, artifact):\n    return {'verdict': 'allow'}"
    text = f"{check}\ndef go():\n    return invoke('ring', 'go')"
    economy.tool("mallory", "ring", text, "check", "go", contract=Contract("ring"))

    says = "frames are at most 6 deep"
    before = economy.table()
    answer = economy.ask("bob", "ring", "go")

    assert (answer.code, says in answer.detail) == (Code.CODE_RAISED, True), answer
    (changed,) = economy.changes(before).items()
    assert changed == ("bob compute", 1 + 6 * (1 + 1 + 1))


def test_what_stands_under_a_contract_of_agents_is_neither_sold_nor_pledged(economy: Economy):
    """A gate could admit its author alone: then a buyer or a lender would have paid for nothing."""
    check = "def check(caller, action, method, artifact):\n    return {'verdict': 'allow'}"
    economy.tool("mallory", "gate", check, "check")
    economy.write("mallory", "trap", "cheese", contract=GATE)
    parts = [{"due_us": 9_000, "amount": 40}]
    terms = {"amount": 30, "instalments": parts, "borrower": "mallory", "collateral": "trap"}
    economy.done("alice", DEBT, "offer", id="loan", **terms)

    says = "under the contract gate others than its owner may change trap"
    sell = Invoke(ESCROW_ID, "list_for_sale", {"artifact": "trap", "price": 9})
    economy.fails(NO, says, 2, "mallory", sell)
    economy.fails(NO, says, 2, "mallory", Invoke(DEBT, "accept", {"loan": "loan"}))
    shared = Contract("members", members=("alice",))
    economy.write("mallory", "trap", "cheese", contract=shared)
    economy.fails(NO, says.replace("gate", "members"), 2, "mallory", sell)


def test_a_contract_that_prices_an_agents_configuration_is_paid_up_to_what_its_copier_says(
    economy: Economy,
):
    body = "return {'verdict': 'allow', 'price_scrip': 60, 'payee': 'mallory'}"
    check = f"def check(caller, action, method, artifact):\n    {body}"
    economy.tool("mallory", "gate", check, "check")
    model = '{"mind": "clever"}'
    economy.done("mallory", LEDGER_ID, "spawn_agent", id="muse", content=model)
    economy.write("mallory", "muse", model, contract=GATE)

    spawn = {"id": "copy", "like": "muse", "price_max": 59}
    says = "reading muse costs 60 scrip, more than your price_max"
    economy.fails(Code.PRICE_ABOVE_MAX, says, 3, "bob", Invoke(LEDGER_ID, "spawn_agent", spawn))
    before = economy.table()
    economy.done("bob", LEDGER_ID, "spawn_agent", **(spawn | {"price_max": 60}))
    changed = economy.changes(before)
    assert (changed["bob scrip"], changed["mallory scrip"], changed["copy owner"]) == (
        -60,
        60,
        "bob",
    )
    poor = Invoke(LEDGER_ID, "spawn_agent", {"id": "copy2", "like": "muse"})
    says = "bob can spend 40 scrip, not 60"
    economy.fails(Code.SCRIP_INSUFFICIENT, says, 3, "bob", poor)


def test_a_check_costs_its_asker_what_it_has_and_no_more(economy: Economy):
    """A contract that burns compute: the most that the caller states ends it, and the rest stays."""
    gated(economy, "for i in range(9): balance('alice')\nreturn {'verdict': 'allow'}")

    says = "compute_max leaves"
    code = Code.COMPUTE_MAX_EXCEEDED
    economy.fails(code, says, 10, "bob", Read("essay"), compute_max=10)
    economy.fails(code, says, 1, "bob", Read("essay"), compute_max=1)


def test_what_is_bid_for_under_a_contract_that_changes_is_scored_as_it_stands(economy: Economy):
    """The bidder's contract denies everyone: the mint scores what its owner bid for all the same."""
    check = "def check(caller, action, method, artifact):\n    return {'verdict': 'deny'}"
    economy.tool("mallory", "gate", check, "check")
    economy.write("mallory", "work", "a secret", contract=GATE)
    economy.done("mallory", MINT, "bid", artifact="work", amount=7)
    economy.at(6_000)
    economy.settle(next(iter(economy.world.state.effects)), {"score": 4})

    assert economy.scrip() == {
        "alice": 100,
        "bob": 100,
        "carol": 100,
        "mallory": 100 - 2 + 12,
        "genesis": 2,
    }
