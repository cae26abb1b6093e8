"""What agent-written code may do, what it is told, and that a world with it can be proved."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripworld.adapters.code_limits import CodeLimits, CodeUnavailable
from scripworld.adapters.code_runner import MontyRunner
from scripworld.adapters.memory_log import MemoryEventLog
from scripworld.genesis import LEDGER
from scripworld.world import (
    CallBack,
    Code,
    CodeCall,
    ConfigurationFault,
    Contract,
    Delete,
    Diverge,
    Done,
    Edit,
    EffectResult,
    Envelope,
    Failed,
    Invoke,
    Raise,
    Read,
    Refused,
    Return,
    Tool,
    Waiting,
    World,
    Write,
    fold,
    restore,
    verify,
)

from ..world.lab import QUOTAS, PrincipalSpec, check_sums, config, natives

NO = Refused(Code.SCRIP_INSUFFICIENT, "it takes 5 scrip and you have 2", 9)


@pytest.fixture(scope="module")
def runner():
    with MontyRunner(CodeLimits(wall_us=8_000_000)) as runner:
        yield runner


def a_call(body, method="m", trace=(), now_us=5_000_000, **args):
    """A call of a function whose body is given, or of whole code that defines functions."""
    code = body if "def " in body else "def m(**a):\n    " + body.replace("\n", "\n    ")
    return CodeCall(code, "shop", method, args, "bob", now_us, "7/shop", trace)


def run(runner, body, *answers, **call):
    """The outcomes of a call, the first and one for each answer."""
    session, outcome = runner.start(a_call(body, **call))
    outcomes = [outcome, *(session.resume(answer) for answer in answers)]
    session.close()
    return outcomes


def last(runner, body, *answers, **call):
    return run(runner, body, *answers, **call)[-1]


def test_a_method_gets_its_arguments_by_name_and_returns_a_value(runner):
    assert last(runner, "def greet(name):\n  return 'hi ' + name", method="greet", name="Ann") == (
        Return("hi Ann")
    )


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("None", None),
        ("True", True),
        ("-2**63", -(2**63)),
        ("2**63 - 1", 2**63 - 1),
        ("0.5", 0.5),
        ("'é\\U0001f600'", "é\U0001f600"),
        ("(1, [2, ()])", [1, [2, []]]),
        ("{'a': {'b': [None]}}", {"a": {"b": [None]}}),
    ],
)
def test_json_values_go_out_and_come_in_unchanged(runner, value, given):
    asked, returned = run(runner, f"return [invoke('a', 'b', {{'x': {value}}})]", Done(given))

    assert asked == CallBack(Invoke("a", "b", {"x": given}))
    assert returned == Return([given])
    assert last(runner, "return a['x']", x=given) == Return(given)


@pytest.mark.parametrize(
    "value",
    [
        *("2**63", "float('nan')", "-float('inf')", "{1: 2}", "{1, 2}", "b'x'", "ValueError('x')"),
        *("[A()]", "{A(): 1}", "{(1, A()): 1}", "len", "open", "...", "3j", "D"),
        *("Path('x')", "datetime.now()"),
    ],
)
def test_what_is_not_json_is_an_error_that_says_so(runner, value):
    head = "from datetime import datetime\nfrom pathlib import Path\n"
    head += "D = [1]\nfor i in range(20):\n  D = [D]\nclass A:\n  pass\n"

    raised = last(runner, f"{head}def m():\n  return {value}")
    caught = last(
        runner,
        f"{head}def m():\n  try:\n    invoke('a', 'b', {{'x': {value}}})\n"
        "  except (TypeError, ValueError, OverflowError, NameError):\n    return 'no'",
    )

    assert isinstance(raised, Raise)
    assert caught == Return("no")


@pytest.mark.parametrize(
    ("expression", "asked"),
    [
        ("read('a')", CallBack(Read("a"))),
        ("write('a', 'text')", CallBack(Write("a", "text"))),
        (
            "write('a', 'x', type='code', contract={'id': 'pay_per_use', 'price_scrip': 3}, "
            "interface=[{'name': 'go', 'inputSchema': {'type': 'object'}}])",
            CallBack(
                Write(
                    *("a", "x", None, "code", Contract("pay_per_use", 3)),
                    (Tool("go", input_schema={"type": "object"}),),
                )
            ),
        ),
        ("edit('a', 'old', 'new')", CallBack(Edit("a", "old", "new"))),
        ("delete('a')", CallBack(Delete("a"))),
        ("invoke('a', 'go')", CallBack(Invoke("a", "go", {}))),
        ("invoke('a', 'go', price_max_scrip=3)", CallBack(Invoke("a", "go", {}), False, 3)),
        ("invoke('a', 'go', {'x': 1}, waits=True)", CallBack(Invoke("a", "go", {"x": 1}), True)),
        (
            "transfer('b', 3)",
            CallBack(Invoke("genesis_ledger", "transfer", {"to": "b", "amount": 3})),
        ),
        ("balance()", CallBack(Invoke("genesis_ledger", "balance", {}))),
        ("balance('b')", CallBack(Invoke("genesis_ledger", "balance", {"principal": "b"}))),
    ],
)
def test_each_call_back_becomes_its_action(runner, expression, asked):
    assert run(runner, f"return {expression}", Done("there")) == [asked, Return("there")]


def test_balance_is_what_can_be_spent(runner):
    row = Done({"principal": "shop", "scrip": 9, "held": 2})

    assert last(runner, "return balance() >= 7", row) == Return(True)


def test_balance_of_another_is_all_that_it_has(runner):
    row = Done({"principal": "other", "scrip": 9, "held": None})

    assert last(runner, "return balance('other')", row) == Return(9)


@pytest.mark.parametrize(
    "expression",
    [
        *("read()", "read(3)", "read('a', 'b')", "read(id='a', by='b')", "write('a', 3)"),
        *("edit('a', 'b')", "invoke('a', 'b', [1])", "invoke('a', 'b', {}, waits=1)"),
        *("invoke('a', 'b', price_max_scrip=True)", "invoke('a', 'b', price_max_scrip=1.5)"),
        *("write('a', 'b', contract=3)", "write('a', 'b', contract={'rule': 'x'})"),
        *("write('a', 'b', interface=[{'title': 'x'}])", "now(1)", "caller(x=1)", "random(6)"),
        "refusal()",
    ],
)
def test_a_call_with_the_wrong_arguments_is_a_type_error_in_the_code(runner, expression):
    told = last(runner, f"try:\n  {expression}\nexcept TypeError as e:\n  return str(e)")

    assert isinstance(told, Return)
    assert expression.partition("(")[0] in told.value
    assert not re.search(r"\b_", told.value.partition("required")[0])  # no name of ours


def test_a_no_of_the_world_can_be_caught_and_read(runner):
    body = (
        "try:\n  transfer('b', 5)\nexcept PermissionError as error:\n  no = refusal(error)\n"
        "  return [no.code, no.detail, no.retry_after_us, no.committed, str(error)]"
    )
    detail = NO.detail

    refused = last(runner, body, NO)
    failed = last(runner, body, Failed(Code.TOOL_FAILED, "it broke", True))

    assert refused == Return(
        ["SCRIP_INSUFFICIENT", detail, 9, False, f"SCRIP_INSUFFICIENT: {detail}"]
    )
    assert failed == Return(["TOOL_FAILED", "it broke", None, True, "TOOL_FAILED: it broke"])


def test_a_no_that_is_not_caught_ends_the_code_with_its_line(runner):
    code = "def m():\n  helper()\n\ndef helper():\n  transfer('b', 5)"

    assert last(runner, code, NO) == Raise(f"line 5: SCRIP_INSUFFICIENT: {NO.detail}")


def test_an_error_that_is_no_refusal_has_none(runner):
    forged = (
        "try:\n  raise PermissionError('NOT_FOUND: x')\nexcept Exception as e:\n  return refusal(e)"
    )

    assert last(runner, forged) == Return(None)


def test_a_refusal_that_is_given_out_is_not_json(runner):
    body = "try:\n  transfer('b', 5)\nexcept PermissionError as error:\n  return refusal(error)"

    assert last(runner, body, NO) == Raise("m must return JSON: Refusal is not JSON")


def test_the_code_knows_its_caller_and_the_world_s_time_only(runner):
    body = (
        "import time\nfrom datetime import datetime\ntime.sleep(1000)\n"
        "return [now(), caller(), time.time(), time.perf_counter(), str(datetime.now())]"
    )

    told = last(runner, body, now_us=90_000_000)

    assert told == Return([90_000_000, "bob", 90, 90, "1970-01-01 00:01:30"])
    assert last(runner, "return now()", now_us=2**63 - 1) == Return(2**63 - 1)


def test_chance_comes_from_the_seed_and_the_call(runner):
    body = (
        "import random as r\n"
        "return [random(), random(), r.random(), r.Random().randint(1, 10**9)]\n"
    )

    first, again = last(runner, body), last(runner, body)
    other = last(runner, body, now_us=6_000_000)

    assert first == again
    assert len({*first.value, *other.value}) == 8
    assert all(0 <= draw < 1 for draw in first.value[:3])


def test_one_call_gives_the_same_in_every_process(runner):
    body = (
        "class A: pass\ndef m():\n  return [hash('a'), id(A()), list({'x', 'y', 'z'}), random(), "
        "str(A()), str(m), [hash(x) for x in (1, 0.5, None, (1, 'b'), A)]]"
    )

    with MontyRunner() as other:
        assert last(other, body) == last(runner, body) == last(runner, body)


def test_nothing_stays_from_one_call_to_the_next(runner):
    leave = "seen = []\ndef m():\n  seen.append(1)\n  import random as r\n  r.seed(1)\n  return len(seen)"

    assert [last(runner, leave) for _ in range(3)] == [Return(1)] * 3
    assert last(runner, "return seen") == Raise("line 2: NameError: name 'seen' is not defined")


def test_what_the_interface_says_and_the_code_lacks_is_told(runner):
    told = last(runner, "def m():\n  pass\n  def inner(): pass", method="transfer")

    assert told == Raise("the code defines no function 'transfer' at its left margin: it has m")


def test_an_error_of_the_code_is_told_with_its_line(runner):
    assert last(runner, "def m():\n\n  return 1 / 0") == Raise(
        "line 3: ZeroDivisionError: division by zero"
    )
    wrong = last(runner, "def m(a):\n  pass")
    assert wrong == Raise("line 1: TypeError: m() missing 1 required positional argument: 'a'")
    assert isinstance(last(runner, "def m(:"), Raise)


def test_a_function_of_the_world_can_be_a_value(runner):
    asked, returned = run(runner, "for do in [read]:\n  return do('a')", Done("content"))

    assert asked == CallBack(Read("a"))
    assert returned == Return("content")


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("def m():\n  return 1\n", None),
        ("", None),
        ("ZeroDivisionError = KeyboardInterrupt = 1", None),
        ("import nothing_here\nopen('x')\nwhile True: pass", None),
        ("x = 1\ndef m(:", "line 2: Expected"),
        ("\n\nclass A(B): pass", "line 3: code here cannot use class inheritance"),
        ("def m():\n  yield 1", "line 2: code here cannot use yield"),
        ("del x", "line 1: code here cannot use the 'del' statement"),
        ("x = '''\n", "line 1: missing closing quote"),
        ("x = 1\n  y = 2", "line 2: Unexpected indentation"),
        ("(" * 5_000, "line 1: "),
        ("x = 1" + "+1" * 20_000, "line 1: Source is too deeply nested"),
        ("\x00", "line 1: "),
        ("\ud800", "code is text without lone surrogates"),
        ("x" * 65_537, "code has at most 65536 bytes, not 65537: split it"),
    ],
)
def test_what_cannot_be_read_is_told_with_line_and_reason(runner, code, fault):
    told = runner.check(code)

    assert (told or "").startswith(fault or "")
    assert (told is None) == (fault is None)


TWICE = "def m():\n  a = read('x')\n  b = read('y')\n  return [a, b, random()]"


def test_a_call_that_waited_goes_on_from_its_trace(runner):
    first, second, end = run(runner, TWICE, Done("one"), Done("two"))
    trace = ((first, Done("one")), (second, Done("two")))

    assert run(runner, TWICE, Done("two"), trace=trace[:1]) == [second, end]
    assert run(runner, TWICE, trace=trace) == [end]


def test_a_trace_that_does_not_fit_diverges_at_its_step(runner):
    fits = (CallBack(Read("x")), Done("one"))

    assert run(runner, TWICE, trace=((CallBack(Read("z")), Done()),)) == [Diverge(0)]
    assert run(runner, TWICE, trace=(fits, (CallBack(Read("x")), Done()))) == [Diverge(1)]
    assert run(runner, TWICE, trace=(fits,) * 2 + (fits,)) == [Diverge(1)]
    assert run(runner, "return 1", trace=(fits,)) == [Diverge(0)]


def test_a_trace_of_refusals_leads_to_the_same_place(runner):
    body = "try:\n  read('x')\nexcept PermissionError as e:\n  read(refusal(e).code)"
    trace = ((CallBack(Read("x")), NO),)

    assert run(runner, body, trace=trace) == [CallBack(Read("SCRIP_INSUFFICIENT"))]


def test_bounds_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigurationFault, match=r"time_us .* at most wall_us"):
        CodeLimits(time_us=2_000_000)
    with pytest.raises(ConfigurationFault, match=r"memory_bytes_max .* from 1"):
        CodeLimits(memory_bytes_max=0)


def test_without_an_interpreter_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        CodeUnavailable, match=r"install pydantic-monty.*firejail: it is not installed"
    ):
        MontyRunner(sandbox="firejail").open()


def test_workers_run_with_no_environment_of_ours_and_see_no_files():
    """Inside bubblewrap a worker is another user, in namespaces of its own."""
    if not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed: apt install bubblewrap")
    with MontyRunner() as runner:
        if runner.open() != "bubblewrap":
            pytest.skip("bubblewrap makes no sandbox here: allow user namespaces")
        last(runner, "return 1")
        (worker, *_) = [pid for pid in descendants() if name_of(pid) == "monty"]
        status = Path(f"/proc/{worker}/status").read_text()
        environment = Path(f"/proc/{worker}/environ").read_bytes()
        spaces = {os.readlink(f"/proc/{pid}/ns/net") for pid in ("self", worker)}

    assert re.search(r"CapEff:\s+0+\n", status)
    assert re.search(r"NSpid:\s+\d+\s+\d+\n", status)
    assert b"HOME=" not in environment
    assert len(spaces) == 2


def test_no_worker_outlives_a_host_that_is_killed(tmp_path):
    script = (
        "import os\nfrom scripworld.adapters.code_runner import MontyRunner\n"
        "runner = MontyRunner()\nprint(runner.open(), os.getpid(), flush=True)\n"
        "print(runner.check('x = 1'), flush=True)\ninput()"
    )
    host = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert host.stdout is not None
    assert host.stdin is not None
    lines = [host.stdout.readline(), host.stdout.readline()]
    workers = descendants(host.pid)
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    host.stdin.close()

    assert lines[1] == "None\n"
    assert workers
    assert are_gone(workers)


def test_no_worker_is_left_when_a_runner_ends():
    before = set(descendants())
    with MontyRunner() as runner:
        last(runner, "return 1")
        workers = set(descendants()) - before

    assert workers
    assert are_gone(workers)


def descendants(root=None):
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = list(parents.get(root or os.getpid(), ()))
    for pid in found:
        found += parents.get(pid, ())
    return found


def name_of(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


def are_gone(pids):
    for _ in range(200):
        left = [pid for pid in pids if Path(f"/proc/{pid}").exists() and not is_dead(pid)]
        if not left:
            return True
        time.sleep(0.05)
    return False


def is_dead(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


# With a real world.

GREETER = "def greet(name):\n  return 'hi ' + name + ' from ' + caller()\n"
PASSER = "def go(x):\n  return [caller(), invoke('{below}', 'go', {{'x': x + 1}})]\n"
BOTTOM = "def go(x):\n  return [caller(), x]\n"
PAYER = "def go(x):\n  left = transfer(x['to'], x['amount'])\n  return [left, balance()]\n"
BREAKER = "def go(x):\n  write('note', 'half done')\n  transfer('bob', 10)\n  return 1 // x\n"
ASKER = (
    "def go(x):\n  mark = random()\n  told = invoke('oracle', 'free', {}, waits=True)\n"
    "  return [told, mark == random(), now()]\n"
)


class CodeWorld:
    def __init__(self, runner):
        self.natives = natives() | {LEDGER.id: LEDGER}
        self.log = MemoryEventLog()
        self.runner = runner
        shop = PrincipalSpec("shop", 30, {**QUOTAS, "writes": 20})
        base = config()
        configuration = config(principals=(*base.principals, shop))
        self.world = World.begin(configuration, self.natives, self.log, runner, "test")

    def do(self, principal, action, now_us=0):
        return self.world.apply(Envelope(principal, action), now_us)

    def code(self, owner, id, code, method="go", argument="x"):
        tool = Tool(method, "", {"properties": {argument: {}}})
        written = Write(id, code, None, "code", Contract("freeware"), (tool,))
        assert self.do(owner, written) == Done()

    @property
    def rows(self):
        return list(self.log.records())

    def prove(self):
        """The log is proved without an interpreter."""
        live = self.world.state.snapshot()
        check_sums(self.world.state)
        assert fold(self.rows)[0].snapshot() == live
        assert verify(self.rows, self.natives, self.log).snapshot() == live


@pytest.fixture
def world(runner):
    world = CodeWorld(runner)
    yield world
    world.prove()


def test_an_agent_makes_a_service_that_others_call(world):
    world.code("alice", "greeter", GREETER, "greet", "name")

    assert world.do("bob", Invoke("greeter", "greet", {"name": "Bob"})) == Done("hi Bob from bob")


def test_code_that_cannot_be_read_is_refused_when_it_is_written(world):
    tool = Tool("go", "", {})
    no = world.do("alice", Write("bad", "def go():\n  yield 1", None, "code", None, (tool,)))

    assert isinstance(no, Refused)
    assert no.code == Code.DEFINITION_INVALID
    assert no.detail.startswith("line 2: code here cannot use yield")


def test_code_calls_code_three_levels_deep(world):
    world.code("bob", "bottom", BOTTOM)
    world.code("bob", "middle", PASSER.format(below="bottom"))
    world.code("alice", "top", PASSER.format(below="middle"))

    assert world.do("carol", Invoke("top", "go", {"x": 1})) == Done(
        ["carol", ["top", ["middle", 3]]]
    )


def test_an_artifact_pays_with_its_own_scrip(world):
    world.code("shop", "shop", PAYER)

    paid = world.do("bob", Invoke("shop", "go", {"x": {"to": "alice", "amount": 5}}))

    assert paid == Done([25, 25])
    balances = world.world.state.ledger.balances
    assert [balances[id] for id in ("shop", "alice", "bob")] == [25, 1_005, 500]


def test_an_artifact_without_scrip_pays_with_nobody_else_s(world):
    world.code("alice", "payer", PAYER)

    failed = world.do("bob", Invoke("payer", "go", {"x": {"to": "alice", "amount": 5}}))

    assert isinstance(failed, Failed)
    assert failed.code == Code.CODE_RAISED
    assert world.world.state.ledger.balances["bob"] == 500


def test_what_fails_in_the_middle_is_undone(world):
    world.code("alice", "breaker", BREAKER)

    failed = world.do("bob", Invoke("breaker", "go", {"x": 0}))

    assert isinstance(failed, Failed)
    assert failed.code == Code.CODE_RAISED
    assert "note" not in world.world.state.artifacts.by_id
    assert world.world.state.ledger.balances["bob"] == 500


def test_a_frame_that_waits_needs_no_interpreter_and_survives_a_restart(world):
    world.code("alice", "asker", ASKER)

    waiting = world.do("bob", Invoke("asker", "go", {"x": 0}), 1_000)
    assert isinstance(waiting, Waiting)
    world.world = restore(world.rows, world.natives, world.log, world.runner)
    settled = world.world.settle(waiting.effect_id, EffectResult("42"), 2_000_000)

    assert settled is not None
    assert settled.answer == Done(["42", False, 1_000])


def test_a_bound_that_is_broken_is_recorded_and_proved(world):
    world.code("alice", "loop", "def go(x):\n  while True: pass\n")

    failed = world.do("bob", Invoke("loop", "go", {"x": 0}))

    assert isinstance(failed, Failed)
    assert failed.code == Code.CODE_ABORTED
    assert failed.detail.startswith("a call has 50 ms of time")
