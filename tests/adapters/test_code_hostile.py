"""Code that means harm: each case meets a real worker, and the next call works as if nothing was."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from scripworld.adapters.code_limits import CodeLimits
from scripworld.adapters.code_runner import MontyRunner
from scripworld.world import Abort, CallBack, CodeCall, Diverge, Done, Invoke, Raise, Read, Return

LIMITS = CodeLimits(
    wall_us=8_000_000,  # on a busy machine, too, it is CPU time that counts
    memory_bytes_max=8_000_000,
    output_bytes_max=100_000,
    code_bytes_max=2_000_000,
    questions_max=50,
    recursion_max=100,
    workers_max=24,
)
TIME = "a call has 50 ms of time, and "
MEMORY = "code has 8000000 bytes of memory, and it "
EITHER = f"{MEMORY}|{TIME}"
DEEP = "its calls stand at most 100 deep inside each other"
PRINTED = "it printed "
OUTPUT = "what it gave out has more than the 100000 bytes"
ASKED = "code asks its host at most 50 times"


@pytest.fixture(scope="module")
def runner():
    before = descendants()
    with MontyRunner(LIMITS) as runner:
        yield runner
    for _ in range(200):
        if not descendants() - before:
            break
        time.sleep(0.05)
    assert not descendants() - before, "a worker is left"


@pytest.fixture(autouse=True)
def and_then_the_next_call_works(runner):
    yield
    session, outcome = runner.start(a_call("return [1, random() < 1]"))
    session.close()
    assert outcome == Return([1, True])


def a_call(body, trace=(), **args):
    code = body if "def m(" in body else "def m(**a):\n    " + body.replace("\n", "\n    ")
    return CodeCall(code, "shop", "m", args, "bob", 0, "7/shop", trace)


def end_of(runner, body, **args):
    session, outcome = runner.start(a_call(body, **args))
    session.close()
    return outcome


BOUNDS = {
    "an endless loop": ("while True: pass", TIME),
    "an endless loop that catches everything": (
        "while True:\n  try:\n    while True: pass\n  except BaseException: pass\n  finally: pass",
        TIME,
    ),
    "an endless loop while it is loaded": ("while True: pass\ndef m(): pass", TIME),
    "an endless loop in a sort": (
        "sorted(range(10), key=lambda x: [0 for _ in iter(int, 1)])",
        EITHER,
    ),
    "an endless loop in eval": ("return eval('[0 for _ in iter(int, 1)]')", EITHER),
    "a sum without an end": ("return sum(range(10**15))", TIME),
    "a comparison of large equals": (
        "x, y = ['x'] * 20, ['x'] * 20\nfor i in range(10): x, y = [x] * 20, [y] * 20\nreturn x == y",
        TIME,
    ),
    "squares of squares": ("x = 3\nfor i in range(60): x *= x", EITHER),
    "a search that tries everything": (
        "import re\nreturn bool(re.match('(a|a)*(a|a)*$', 'a' * 40_000 + 'b'))",
        f"{TIME}|{MEMORY}|",
    ),
    "sleep without an end": ("import time\nwhile True: time.sleep(10**6)", TIME),
    "endless recursion": ("def m():\n  return m()", DEEP),
    "recursion through others": ("def m():\n  return n()\ndef n():\n  return m()", DEEP),
    "recursion in a comparison": (
        "class A:\n  def __eq__(self, o): return self == o\ndef m():\n  return A() == A()",
        DEEP,
    ),
    "a text of a gigabyte": ("return 'x' * 10**9", MEMORY),
    "a list of a billion": ("return [0] * 10**9", MEMORY),
    "a list that grows": ("x = []\nwhile True: x.append('x' * 1000)", EITHER),
    "a text that doubles": ("x = 'x'\nwhile True: x += x", EITHER),
    "an object that grows": ("x = {}\nfor i in range(10**9): x[i] = [i]", EITHER),
    "a set that grows": ("return len({(i, i) for i in range(10**9)})", EITHER),
    "bytes without an end": ("return bytes(10**9)", MEMORY),
    "padding without an end": ("return 'x'.ljust(10**9)", MEMORY),
    "a format without an end": ("return f'{1:>1000000000}'", EITHER),
    "a percent without an end": ("return '%1000000000d' % 1", MEMORY),
    "a replacement that grows": ("return ('a' * 1000).replace('a', 'b' * 10**6)", EITHER),
    "a join that grows": ("return ('x' * 10**6).join('a' * 10**5)", EITHER),
    "a bomb of shared lists as text": (
        "x = ['x'] * 20\nfor i in range(10): x = [x] * 20\nreturn str(x)",
        EITHER,
    ),
    "a bomb of shared lists as JSON": (
        "import json\nx = ['x'] * 20\nfor i in range(10): x = [x] * 20\nreturn json.dumps(x)",
        EITHER,
    ),
    "memory and no thanks": (
        "while True:\n  try: x = 'x' * 10**9\n  except BaseException: pass",
        MEMORY,
    ),
    "a huge power": ("return 9 ** 9 ** 9", MEMORY),
    "a huge shift": ("return 1 << 10**10", MEMORY),
    "a huge factorial": ("import math\nreturn math.factorial(10**7)", EITHER),
    "print without an end": ("while True: print('x' * 1000)", PRINTED),
    "one great print": ("print('x' * 1_000_000)", PRINTED),
    "print that is caught": (
        "while True:\n  try: print('x' * 10_000)\n  except BaseException: pass",
        PRINTED,
    ),
    "a great answer": ("return 'x' * 200_000", OUTPUT),
    "a great answer of many": ("return list(range(60_000))", OUTPUT),
    "an answer that shares its parts": (
        "x = ['x' * 1000] * 1000\nfor i in range(5): x = [x] * 1000\nreturn x",
        OUTPUT,
    ),
    "arguments that share their parts": (
        "x = ['x' * 1000] * 1000\nfor i in range(5): x = [x] * 1000\ninvoke('a', 'b', {'x': x})",
        OUTPUT,
    ),
    "great content": ("write('a', 'x' * 200_000)", OUTPUT),
    "great names": ("invoke('a', 'b', {'x' * 200_000: 1})", OUTPUT),
    "much that is refused": (
        "x = ['x' * 9_000, {1}]\nwhile True:\n  try: read(x)\n  except TypeError: pass",
        OUTPUT,
    ),
    "the clock in a loop": ("while True: now()", ASKED),
    "names that are not there in a loop": (
        "while True:\n  try: nothing()\n  except NameError: pass",
        ASKED,
    ),
    "files that are not there in a loop": (
        "while True:\n  try: open('/etc/passwd')\n  except OSError: pass",
        ASKED,
    ),
    "arguments that are not JSON in a loop": (
        "while True:\n  try: read(b'x')\n  except TypeError: pass",
        ASKED,
    ),
    "two megabytes of code": (
        "def m(): pass\n" + "#" * 2_000_000,
        "code has at most 2000000 bytes",
    ),
    "a megabyte of names": ("def m(): pass\n" + "x = 1\n" * 170_000, EITHER),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_ends_it_and_is_named(runner, name):
    body, bound = BOUNDS[name]

    outcome = end_of(runner, body)

    if bound.endswith("|"):  # it may also be done in time
        assert isinstance(outcome, Abort | Return), outcome
    else:
        assert isinstance(outcome, Abort), outcome
        assert re.match(bound, outcome.detail), outcome


REFUSED = {
    "the password file": ("return open('/etc/passwd').read()", "PermissionError"),
    "the password file by its path": (
        "from pathlib import Path\nreturn Path('/etc/passwd').read_text()",
        "PermissionError",
    ),
    "a file to write": ("open('/tmp/x', 'w').write('x')", "PermissionError"),
    "a folder": ("import os\nreturn os.listdir('/')", "PermissionError"),
    "a command": ("import os\nos.system('id')", "AttributeError"),
    "the environment": ("import os\nreturn dict(os.environ)", "RuntimeError"),
    "chance of the system": ("import os\nreturn os.urandom(8)", "RuntimeError"),
    "a process": ("import subprocess", "ModuleNotFoundError"),
    "a socket": ("import socket", "ModuleNotFoundError"),
    "a web page": ("import urllib.request", "ModuleNotFoundError"),
    "the C library": ("import ctypes", "ModuleNotFoundError"),
    "the project itself": ("import scripworld", "ModuleNotFoundError"),
    "import by hand": ("return __import__('os')", "NameError"),
    "import that is computed": ("import importlib", "ModuleNotFoundError"),
    "all classes": ("return ().__class__.__bases__[0].__subclasses__()", "AttributeError"),
    "the globals of a function": ("return now.__globals__", "AttributeError"),
    "the code of a function": ("def m():\n  return m.__code__", "AttributeError"),
    "the frame of an error": (
        "try: 1 / 0\nexcept Exception as e: return e.__traceback__.tb_frame",
        "AttributeError",
    ),
    "a class by format": ("return '{0.__class__}'.format(1)", "AttributeError"),
    "a class by getattr": ("return getattr(1, '__class__')", "AttributeError"),
    "the host's object of a function": ("return read.__self__", "AttributeError"),
    "the builtins": ("return __builtins__", "NameError"),
    "the globals": ("return globals()", "NameError"),
    "the debugger": ("breakpoint()", "NameError"),
    "the keyboard": ("return input()", "NameError"),
    "the end of the process": ("exit()", "NameError"),
    "an interrupt of the keyboard": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "an end of the system": ("raise SystemExit('x')", "SystemExit"),
    "a module that is changed": ("import json\njson.dumps = print", "AttributeError"),
    "frames without a bound": (
        "import sys\nsys.setrecursionlimit(10**9)",
        "AttributeError",
    ),
    "a base class": ("class A(Exception): pass", "NotImplementedError"),
    "a generator": ("def m():\n  yield 1", "NotImplementedError"),
    "a compiled code": ("compile('1', '', 'eval')", "NameError"),
    "raw memory": ("memoryview(b'x')", "NameError"),
    "brackets without an end": ("def m(): pass\nx = " + "(" * 50_000, "SyntaxError"),
    "signs without an end": ("def m(): pass\nx = " + "-" * 50_000 + "1", "SyntaxError"),
    "digits without an end": ("def m(): pass\nx = " + "9" * 50_000, "SyntaxError"),
    "a sum without an end in eval": ("eval('1+' * 5_000 + '1')", "SyntaxError"),
    "a number without an end": ("return int('9' * 100_000)", "ValueError"),
    "JSON without an end": (
        "import json\nreturn json.loads('[' * 100_000)",
        "json.JSONDecodeError",
    ),
    "a loop of lists as JSON": (
        "import json\nx = []\nx.append(x)\nreturn json.dumps(x)",
        "ValueError",
    ),
    "an error with a huge message": ("raise ValueError('x' * 1_000_000)", "ValueError: xxx"),
    "an error that wears a bound with megabytes of digits": (
        "raise TimeoutError('limit exceeded: ' + '1' * 2_000_000)",
        "TimeoutError: limit exceeded: 111",
    ),
    "an error that wears our words": (
        "raise PermissionError('SCRIP_INSUFFICIENT: ' + 'x' * 10_000)",
        "SCRIP_INSUFFICIENT: xxx",
    ),
    "the interpreter as a value": ("return [len, open]", "m must return JSON"),
    "unhashable names for the clock": ("class A: pass\nnow({A(): 1})", "TypeError"),
    "unhashable names for a refusal": ("class A: pass\nrefusal({A(), 2})", "TypeError"),
    "unhashable names for an action": ("class A: pass\nread({(1, A()): 1})", "TypeError"),
    "unhashable names": ("class A: pass\nreturn {A(): 1}", "m must return JSON"),
    "a very deep answer": (
        "x = 1\nfor i in range(10_000): x = [x]\nreturn x",
        "m must return JSON",
    ),
    "a very deep object": (
        "x = 1\nfor i in range(500): x = {'x': x}\nreturn x",
        "m must return JSON",
    ),
    "an integer of a megabyte": ("return 1 << 8_000_000", "m must return JSON: an integer"),
    "a call of another's arguments": ("def m(a):\n  pass", "TypeError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_an_error_in_the_code_and_nothing_else(runner, name):
    body, kind = REFUSED[name]

    outcome = end_of(runner, body)

    assert isinstance(outcome, Raise), outcome
    assert kind in outcome.detail, outcome
    assert len(outcome.detail) <= 600
    assert not re.search(r"/(?!etc/passwd|tmp/x)\w+/", outcome.detail), "a place on the host"


HARMLESS = {
    "its own function in the place of ours": (
        "def read(id):\n  return id\ndef m(**a):\n  return read('a')",
        "a",
    ),
    "its own value in the place of ours": ("transfer = 3\ndef m(**a):\n  return transfer + 1", 4),
    "its own builtin": ("len = lambda x: 7\ndef m(**a):\n  return len([])", 7),
    "itself": ("def m(**a):\n  return str(m)[:10]", "<function "),
    "names in other scripts": ("def m(**a):\n  größe, 変数 = 1, 2\n  return größe + 変数", 3),
    "a text of half a pair": ("return len('\\ud800'.encode())", 3),
    "eval of what it could say itself": ("return eval('1 + 1')", 2),
    "exec of what it could say itself": ("exec('x = 2')\nreturn 2", 2),
    "recursion that it catches": (
        "def m(**a):\n  try: return m(**a)\n  except RecursionError: return 'deep'",
        "deep",
    ),
    "arguments that it changes": ("def m(x):\n  x.append(x)\n  return len(x)", 2),
    "the arguments by our name": ("return _arguments['x']", [1]),
    "a task that it forgets": ("async def n(): pass\nreturn str(n())", "<coroutine object n>"),
    "a sleep": ("import time\ntime.sleep(10**9)\nreturn 'awake'", "awake"),
    "a return outside": ("return_early = 1\ndef m(**a):\n  return return_early", 1),
    "many tasks": (
        "import asyncio\nasync def one(): return 1\nasync def all():\n"
        "  return sum(await asyncio.gather(*[one() for _ in range(20)]))\n"
        "def m(**a):\n  return asyncio.run(all())",
        20,
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_it_may_do_this_to_itself(runner, name):
    body, value = HARMLESS[name]

    assert end_of(runner, body, x=[1]) == Return(value)


def test_a_list_that_holds_itself_is_given_out_without_harm(runner):
    session, asked = runner.start(
        a_call("x = []\nx.append(x)\ninvoke('a', 'b', {'x': x})\nreturn x")
    )
    end = session.resume(Done())
    session.close()

    assert asked == CallBack(Invoke("a", "b", {"x": ["[...]"]}))
    assert end == Return(["[...]"])


def test_calls_back_in_a_loop_end_at_their_bound(runner):
    session, outcome = runner.start(a_call("while True: read('a')"))
    steps = 0
    while isinstance(outcome, CallBack):
        outcome = session.resume(Done("x"))
        steps += 1
    session.close()

    assert steps == LIMITS.questions_max
    assert isinstance(outcome, Abort)
    assert outcome.detail.startswith(ASKED)


def test_what_all_calls_back_give_out_has_one_bound(runner):
    session, outcome = runner.start(a_call("while True: write('a', 'x' * 9_000)"))
    steps = 0
    while isinstance(outcome, CallBack):
        outcome = session.resume(Done())
        steps += 1
    session.close()

    assert steps == 11
    assert isinstance(outcome, Abort)
    assert outcome.detail.startswith(OUTPUT)


def test_refusals_in_a_loop_end_at_their_bound(runner):
    body = "while True:\n  try: read('a')\n  except BaseException as e: refusal(e).code"
    session, outcome = runner.start(a_call(body))
    while isinstance(outcome, CallBack):
        outcome = session.resume(Done("x"))
    session.close()

    assert isinstance(outcome, Abort)


def test_time_counts_over_all_steps_of_a_call_together(runner):
    work = "x = 0\nwhile True:\n  for i in range(60_000): x += 1\n  read('a')"
    session, outcome = runner.start(a_call(work))
    steps = 0
    while isinstance(outcome, CallBack):
        outcome = session.resume(Done("x"))
        steps += 1
    session.close()

    assert steps < LIMITS.questions_max
    assert isinstance(outcome, Abort)
    assert outcome.detail.startswith(TIME)


@pytest.mark.parametrize(("how", "state"), [(signal.SIGKILL, None), (signal.SIGSTOP, "T")])
def test_a_worker_that_dies_or_hangs_in_the_middle_fails_its_call_alone(how, state):
    before = descendants()
    with MontyRunner(CodeLimits(workers_warm=1)) as runner:
        session, asked = runner.start(a_call("read('a')\nreturn 1"))
        for pid in descendants() - before:
            if name_of(pid) == "monty":
                os.kill(pid, how)
                assert comes_to(pid, state)
        end = session.resume(Done())
        session.close()
        after = end_of(runner, "return 2")

    assert asked == CallBack(Read("a"))
    assert isinstance(end, Abort), end
    assert re.match(f"its interpreter ended|{TIME}could not be stopped", end.detail)
    assert after == Return(2)


def test_a_call_whose_worker_was_held_up_is_run_again_as_before():
    """It took its time on the wall and no CPU: nothing that it asked is asked twice."""
    body = "x = random()\nread('a')\nfor i in range(60_000): pass\nreturn [x, random()]"
    before = descendants()
    with MontyRunner(LIMITS) as runner:
        session, asked = runner.start(a_call(body))
        workers = [pid for pid in descendants() - before if name_of(pid) == "monty"]
        stop = threading.Timer(0.003, signal_all, (workers, signal.SIGSTOP))
        go_on = threading.Timer(0.1, signal_all, (workers, signal.SIGCONT))
        stop.start()
        go_on.start()
        end = session.resume(Done())
        go_on.join()
        session.close()
        quiet, _ = runner.start(a_call(body))
        told = quiet.resume(Done())
        quiet.close()

    assert asked == CallBack(Read("a"))
    assert isinstance(end, Return), end
    assert end == told


def test_twenty_sessions_run_at_once(runner):
    body = "return [read(caller()), random()]"
    sessions = [runner.start(a_call(body)) for _ in range(20)]

    ends = [session.resume(Done(n)) for n, (session, _) in enumerate(sessions)]
    for session, _ in sessions:
        session.close()

    assert [outcome for _, outcome in sessions] == [CallBack(Read("bob"))] * 20
    assert [end.value[0] for end in ends] == list(range(20))
    assert len({end.value[1] for end in ends}) == 1


def test_sessions_that_nobody_closes_give_their_workers_back(runner):
    outcomes = [runner.start(a_call("read('a')"))[1] for _ in range(LIMITS.workers_max + 6)]

    assert set(outcomes) == {CallBack(Read("a"))}


def test_sessions_may_be_closed_in_the_middle_and_twice(runner):
    for _ in range(LIMITS.workers_max * 2):
        session, outcome = runner.start(a_call("read('a')"))
        session.close()
        session.close()
        assert outcome == CallBack(Read("a"))


def test_a_call_has_its_end_when_no_interpreter_is_free():
    with MontyRunner(CodeLimits(workers_max=2, workers_warm=1)) as runner:
        held = [runner.start(a_call("read('a')"))[0] for _ in range(2)]
        session, outcome = runner.start(a_call("return 1"))
        session.close()
        for one in held:
            one.close()
        after = end_of(runner, "return 1")

    assert isinstance(outcome, Abort)
    assert outcome.detail.startswith("no interpreter was free of at most 2")
    assert after == Return(1)


def test_a_trace_that_leads_elsewhere_diverges(runner):
    trace = ((CallBack(Read("a")), Done(1)), (CallBack(Read("b")), Done(2)))

    assert end_of(runner, "read('a')\nread('c')", trace=trace) == Diverge(1)
    assert end_of(runner, "read('a')\nreturn 3", trace=trace) == Diverge(1)
    assert isinstance(end_of(runner, "read('a')\nwhile True: pass", trace=trace), Abort)


@pytest.mark.parametrize(
    "code",
    [
        *("(" * 60_000, "x=" + "[" * 60_000, "x = 1" + "+1" * 60_000, "\x00" * 1_000, "'" * 60_001),
        *("x" * 1_000_000, "x = 1;" * 200_000, "def f():\n" * 1_000, "if 1:\n" * 300, "\ufeff" * 9),
        *("ZeroDivisionError = KeyboardInterrupt = 1", "return 1", "global x"),
        *("lambda: " * 10_000 + "1", "f'{" * 1_000, "@" * 10_000, "a." * 30_000 + "a"),
    ],
    ids=range(17),
)
def test_reading_hostile_code_ends_with_an_answer(runner, code):
    told = runner.check(code)

    assert told is None or 0 < len(told) <= 600


def name_of(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


def signal_all(pids, number):
    for pid in pids:
        os.kill(pid, number)


def comes_to(pid, state):
    """Whether a process gets into a state soon; None is gone, or nearly."""
    for _ in range(200):
        if state_of(pid) == state:
            return True
        time.sleep(0.02)
    return False


def state_of(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None
    return None if state == "Z" else state


def descendants():
    """The ids of all processes below this one that still run."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = list(parents.get(os.getpid(), ()))
    for pid in found:
        found += parents.get(pid, ())
    return set(found)
