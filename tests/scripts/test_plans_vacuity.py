"""Which tests assert something, and which only look like it: one run over a file of both."""

import pytest

from .plan_lab import HEAD, Repository, front

PROVING = """\
def test_an_assertion():
    assert total(1)

def test_an_assertion_in_a_loop():
    for n in (1, 2):
        assert total(n) == n

def test_raises():
    with pytest.raises(ValueError):
        int("x")

def test_warns_with_a_name_of_its_own():
    with warns(UserWarning):
        warnings.warn("x")

def test_a_fail_in_a_branch():
    if total(1) != 1:
        pytest.fail("no sum")

def test_an_error_of_its_own():
    if total(1) != 1:
        raise AssertionError("no sum")

def test_a_helper():
    equal(total(1), 1)

def test_a_helper_of_another_file():
    helpers.positive(total(1))

def test_a_helper_of_a_helper():
    twice(1)

class TestMethods:
    def check(self, n):
        assert total(n) == n

    def test_a_method(self):
        self.check(1)

class TestInherited(Base):
    pass

def test_an_inner_function_that_is_called():
    def inner():
        assert total(1)
    inner()

def test_an_inner_function_that_is_handed_over():
    def inner(n):
        assert total(n)
    list(map(inner, [1]))

def test_a_fixture_that_hands_out_a_check(checker):
    checker(1)

def test_an_object_whose_method_asserts(stage):
    stage.stands(1)

class TestOld(unittest.TestCase):
    def test_unittest_style(self):
        self.assertEqual(total(1), 1)

def test_an_assertion_that_is_caught_and_raised_again():
    try:
        assert total(1)
    except AssertionError as error:
        raise ValueError("no sum") from error

@given(total)
def test_a_decorated_one():
    assert total(1)

@pytest.mark.parametrize("n", [1, 2])
def test_cases(n):
    assert total(n)

def test_one_condition_after_another():
    for n in (1, 2):
        match total(n):
            case 3:
                pytest.fail("no sum")

def test_a_loop_that_must_be_left():
    for n in (1, 2):
        if total(n) == 2:
            return
    raise AssertionError("never")

def test_no_error():
    try:
        total(1)
    except ValueError:
        pass
    else:
        assert total(1)

def test_an_error_on_the_way():
    try:
        total(1)
    except ValueError:
        pytest.fail("an error")

def test_a_mock():
    called = Mock()
    called(1)
    called.assert_called_once_with(1)

def test_raises_as_a_call():
    pytest.raises(ValueError, int, "x")

def test_a_check_of_a_table():
    for check in {"equal": equal}.values():
        check(total(1), 1)

def test_a_part_of_a_check():
    functools.partial(equal, 1)(total(1))

def test_over_several_lines():
    assert (
        total(1)
        == 1
    )

class Machine(RuleBasedStateMachine):
    @rule()
    def step(self):
        assert total(1) == 1

TestMachine = Machine.TestCase

async def helper_to_await():
    assert total(1)

def test_a_coroutine():
    asyncio.run(helper_to_await())
"""
VACUOUS = '''\
def test_nothing():
    pass

def test_a_docstring():
    """Says much."""

def test_a_call():
    total(1)

def test_a_print():
    print("passed")

def test_true():
    assert True

def test_words():
    assert "all is well"

def test_a_tuple():
    assert (total(1) == 2, "a tuple is true")

def test_constants():
    assert 1 < 2 < 3

def test_itself():
    n = total(1)
    assert n == n

def test_or_true():
    assert total(1) == 2 or True

def test_not_false():
    assert not False

def test_after_a_return():
    return
    assert total(1)

def test_a_dead_branch():
    if False:
        assert total(1)

def test_a_loop_that_is_not_entered():
    for n in []:
        assert n
    while 0:
        assert total(1)

def test_another_error():
    if total(1) == 2:
        raise ValueError("no sum")

def test_a_swallowed_assertion():
    try:
        assert total(1) == 2
    except AssertionError:
        pass

def test_a_suppressed_assertion():
    with contextlib.suppress(AssertionError):
        assert total(1) == 2

def test_an_inner_function_that_is_not_called():
    def inner():
        assert total(1)

def test_a_lambda_that_is_not_called():
    check = lambda: equal(1, 2)

def test_a_helper_that_asserts_nothing():
    idle(1)

def test_helpers_in_a_circle():
    ping(1)

def test_what_the_tested_code_asserts():
    strict(1)

class TestEmptyMethods:
    def test_a_method(self):
        self.missing = total(1)

def test_a_name_for_true():
    ok = True
    assert ok

def test_a_length():
    assert len("abc") >= 0

def test_any_object():
    assert isinstance(total(1), object)

def test_text_with_a_value():
    assert f"{total(1)} is"

def test_a_list_with_a_value():
    assert [total(1)]

def test_a_dead_branch_of_names():
    if ONE == 2:
        assert total(1)

def test_a_return_in_a_branch():
    if ONE:
        return
    assert total(1)

def test_no_rounds():
    for n in range(0):
        assert total(n)

def test_no_fail():
    if 1 == 2:
        pytest.fail("never")

def test_an_alias_that_swallows():
    try:
        assert total(1) == 2
    except Wrong:
        pass

def test_a_dotted_name_that_swallows():
    try:
        assert total(1) == 2
    except builtins.AssertionError:
        if False:
            raise

def test_left_in_the_end():
    try:
        assert total(1) == 2
    finally:
        return

def test_raises_that_is_not_entered():
    pytest.raises(ValueError)

def test_a_generator_that_is_not_run():
    generated()

def test_a_coroutine_that_is_not_run():
    helper_to_await().close()

def test_a_check_that_is_printed():
    print(equal)

@uncalled
def test_decorated_away():
    assert total(1)

def test_in_a_thread():
    thread = threading.Thread(target=equal, args=(1, 1))
    thread.start()
    thread.join()
'''
BEFORE = """\
import asyncio
import builtins
import contextlib
import functools
import threading
import unittest
import warnings
from unittest.mock import Mock

import pytest
from hypothesis.stateful import RuleBasedStateMachine, rule
from pytest import warns

import helpers
from ledger import strict, total


def given(argument):
    def decorate(function):
        @functools.wraps(function)
        def run():
            function()
        return run
    return decorate

ONE = 1
Wrong = AssertionError

def equal(a, b):
    assert a == b

def generated():
    yield
    assert total(1)

def uncalled(function):
    @functools.wraps(function)
    def run():
        total(1)
    return run

def twice(n):
    equal(n, n)

def idle(n):
    return n

def ping(n):
    return n and pong(n - 1)

def pong(n):
    return n and ping(n - 1)

class Base:
    def test_from_a_base(self):
        assert total(1)

class Stage:
    def stands(self, n):
        assert total(n) == n

@pytest.fixture
def stage():
    return Stage()

@pytest.fixture
def checker():
    def check(n):
        assert total(n) == n
    return check

"""
LEDGER = """\
def total(*amounts):
    return sum(amounts)


def strict(amount):
    assert amount >= 0
    return amount
"""


@pytest.fixture(scope="module")
def vacuous(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The tests that are said to assert nothing."""
    repository = Repository(tmp_path_factory.mktemp("vacuity"))
    options = '[tool.pytest.ini_options]\npythonpath = ["src", "tests"]\n'
    repository.write("pyproject.toml", options)
    repository.write("src/ledger.py", LEDGER)
    repository.write("tests/helpers.py", "def positive(n):\n    assert n > 0\n")
    repository.write("tests/test_words.py", BEFORE + PROVING + "\n" + VACUOUS)
    rows = [f"| tests/test_words.py | {name} | words |" for name in names(PROVING + VACUOUS)]
    text = ["---", front(), "---", "# T", "## Required tests", *HEAD, *rows]
    repository.write("plans/01_words.md", "\n".join(text) + "\n")

    code, told = repository.told("check_plan_tests.py", "--plan", "1")

    [plan] = told["plans"]
    assert code == 1
    assert {trouble["kind"] for trouble in plan["troubles"]} == {"vacuous"}
    return {trouble["test"].partition("::")[2] for trouble in plan["troubles"]}


def names(text: str) -> list[str]:
    found = ["TestMachine::runTest"] if "TestMachine" in text else []
    outer = ""
    for line in text.splitlines():
        if line.startswith("class "):
            outer = line.split()[1].rstrip(":").partition("(")[0]
            found += [f"{outer}::test_from_a_base"] if "(Base)" in line else []
        elif line.lstrip().startswith("def test_"):
            name = line.split()[1].partition("(")[0]
            found.append(f"{outer}::{name}" if line.startswith(" ") else name)
    return found


@pytest.mark.parametrize("name", names(VACUOUS))
def test_a_test_that_proves_nothing_is_told(vacuous: set[str], name: str):
    assert name in vacuous


@pytest.mark.parametrize("name", names(PROVING))
def test_a_test_that_proves_something_is_taken(vacuous: set[str], name: str):
    assert name not in vacuous
