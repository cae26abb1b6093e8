"""Owns the look at OpenQASM before anything parses it: what it declares, includes and would expand to.

Whatever could cost much more than its length (registers, loops, nested definitions, powers, deep
expressions), reach for a file, or reach beyond a circuit is refused here, in time linear in the
text. It understands no more of the language than that; whether the text is right, its parser says.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

import msgspec

from .quantum_component import CircuitError, TooLarge
from .quantum_gates import CONTROLS_MAX
from .quantum_limits import QuantumLimits
from .quantum_qasm import DEFINITIONS

_TOKEN: Final = re.compile(
    r"//[^\n]*"
    r"|\"[^\"\n]*\"|'[^'\n]*'"
    r"|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?"
    r"|[^\W\d]\w*"
    r"|==|->|[-+*/^%&|!~<>=(){}\[\],;:@$#.]"
)
_PLAIN: Final = re.compile(
    r"(?:\([^()]*\))?(?:(?:[,=]|->)?(?:[a-z_]\w*)?\[\d+\])+", re.ASCII | re.IGNORECASE
)
"""Angles without parentheses, and operands that are one bit each: what most calls are."""
INCLUDES: Final = {2: '"qelib1.inc"', 3: '"stdgates.inc"'}
_DEPTH_MAX: Final = 24
_STATEMENT_TOKENS_MAX: Final = 5_000
_OPERATORS_MAX: Final = 100
_NUMBER_CHARS_MAX: Final = 40
_POWER_MAX: Final = 16
_CONTROLS_OTHERS_MAX: Final = 3
_CONTROLLED_SIZE_MAX: Final = 50
_REFUSED: Final = frozenset(
    (
        *("while", "def", "extern", "cal", "defcal", "defcalgrammar", "box", "switch", "pragma"),
        *("opaque", "array", "duration", "stretch", "delay", "input", "output", "include", "gate"),
        *("return", "break", "continue", "end", "nop"),
    )
)
"""What no circuit here needs, or where it stands alone is dealt with before."""
_QUANTUM: Final = {"qreg", "qubit"}
_CLASSICAL: Final = {"creg", "bit"}
_DECLARING: Final = _QUANTUM | _CLASSICAL
_OPERATORS: Final = frozenset("+-*/^%&|!~<>")
_DIGITS: Final = frozenset("0123456789.")


class Scanned(msgspec.Struct, frozen=True):
    """What the text is: its version, the gates it defines as we write them, and those it defines otherwise."""

    version: int
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    operations: int


def scan(text: str, limits: QuantumLimits) -> Scanned:
    """Look at a text before it is parsed.

    Raises:
        CircuitError: it is no OpenQASM 2 or 3, or holds what is refused (`TooLarge`: too much).
    """
    size = len(text.encode(errors="replace"))
    if size > limits.text_bytes_max:
        raise TooLarge(f"it has {size} bytes, at most {limits.text_bytes_max} are read")
    return _Scan(limits).run(_tokens(text))


def _tokens(text: str) -> list[str]:
    text = _without_comments(text)
    tokens = _TOKEN.findall(text)
    if "".join("".join(tokens).split()) != "".join(text.split()):  # something was passed over
        at = 0
        for match in _TOKEN.finditer(text):
            if text[at : match.start()].strip():
                break
            at = match.end()
        raise CircuitError(
            f"it is no OpenQASM: character {at} or the text after it stands for nothing"
        )
    long = [token for token in set(tokens) if len(token) > _NUMBER_CHARS_MAX]
    if any(token[0] in _DIGITS for token in long):
        raise CircuitError(f"a number has at most {_NUMBER_CHARS_MAX} digits")
    return [token for token in tokens if token[:2] != "//"] if "//" in text else tokens


def _without_comments(text: str) -> str:
    """The text with a space for each character of a comment between ``/*`` and ``*/``."""
    parts, at = [], 0
    while (start := text.find("/*", at)) >= 0:
        end = text.find("*/", start + 2) + 2
        if end < 2:
            raise CircuitError("a comment is not closed")
        parts += [text[at:start], " " * (end - start)]
        at = end
    return "".join([*parts, text[at:]])


class _Scan:
    def __init__(self, limits: QuantumLimits) -> None:
        self._limits = limits
        self._version = 0
        self._qubits = 0
        self._clbits = 0
        self._sizes: dict[str, int] = {}
        self._definitions: dict[str, list[str]] = {}
        self._times = [1]
        self._operations = 0

    def run(self, tokens: list[str]) -> Scanned:
        if len(tokens) < 3 or tokens[0] != "OPENQASM" or tokens[1][:1] not in ("2", "3"):
            raise CircuitError("a text begins with OPENQASM 2.0; or OPENQASM 3.0;")
        self._version = int(tokens[1][:1])
        at = 3
        while at < len(tokens):
            at = self._statement(tokens, at)
        if len(self._times) > 1:
            raise CircuitError("a { is not closed")
        ours = [
            name
            for name, said in self._definitions.items()
            if name in DEFINITIONS and said == _tokens(DEFINITIONS[name])
        ]
        theirs = [name for name in self._definitions if name not in ours]
        return Scanned(self._version, tuple(ours), tuple(theirs), self._operations)

    def _statement(self, tokens: list[str], at: int) -> int:
        """Take one statement, or the head of a block; returns where the next begins."""
        first = tokens[at]
        if first == "}":
            if len(self._times) == 1:
                raise CircuitError("a } closes nothing")
            self._times.pop()
            return at + 1
        if first == "gate":
            return self._gate(tokens, at)
        end = _plain_end(tokens, at)
        if end:
            self._take(tokens[at:end], False)
            return end + 1
        end, depth = at, 0
        while end < len(tokens):
            token = tokens[end]
            is_set = token == "{" and tokens[end - 1] == "in"
            if depth == 0 and (token == ";" or (token == "{" and not is_set)):
                break
            depth += (token in "([{") - (token in ")]}")
            if depth < 0 or end - at > _STATEMENT_TOKENS_MAX:
                raise CircuitError(f"the statement that begins with {first[:40]!r} has no end")
            if depth > _DEPTH_MAX:
                raise CircuitError(f"expressions are nested at most {_DEPTH_MAX} deep")
            end += 1
        if end == len(tokens):
            raise CircuitError(f"the statement that begins with {first[:40]!r} has no ;")
        self._take(tokens[at:end], tokens[end] == "{")
        return end + 1

    def _take(self, said: list[str], is_block: bool) -> None:
        first = said[0] if said else ""
        if len(said) > _OPERATORS_MAX and sum(map(_OPERATORS.__contains__, said)) > _OPERATORS_MAX:
            raise CircuitError(f"a statement has at most {_OPERATORS_MAX} operators")
        if is_block:
            self._block(first, said)
        elif first == "include":
            self._include(said)
        elif first in _DECLARING and not (first == "bit" and "measure" in said):
            self._declare(first, said)
        elif first in ("const", "int", "uint", "float", "angle", "bool", "let"):
            if first != "let":
                self._refuse(first)
        elif said:
            self._call(said)
        if len(self._times) > _DEPTH_MAX:
            raise CircuitError(f"blocks are nested at most {_DEPTH_MAX} deep")

    def _block(self, first: str, said: list[str]) -> None:
        if first == "for":
            self._times.append(self._times[-1] * _loop_times(said))
        elif first in ("if", "else"):
            self._times.append(self._times[-1])
        else:
            self._refuse(first or "{")
        self._count(0)

    def _include(self, said: list[str]) -> None:
        name = said[1] if len(said) == 2 else ""
        if name.replace("'", '"') != INCLUDES[self._version]:
            only = INCLUDES[self._version]
            raise CircuitError(
                f"only {only} is included, no file: write what you need into the text"
            )

    def _declare(self, first: str, said: list[str]) -> None:
        sizes = [token for token in said if token.isdigit()]
        plain = len(said) == (5 if first in ("qreg", "creg") else 5 if "[" in said else 2)
        if not plain or len(sizes) != (1 if "[" in said else 0):
            raise CircuitError(f"declare {first} with a plain number, as in {first}[4]")
        size = int(sizes[0]) if sizes else 1
        if first in _QUANTUM:
            self._qubits += size
        else:
            self._clbits += size
        for what, count, most in (
            ("qubits", self._qubits, self._limits.qubits_max),
            ("classical bits", self._clbits, self._limits.clbits_max),
        ):
            if count > most:
                raise TooLarge(f"it declares {count} {what}, at most {most} are admitted")

    def _gate(self, tokens: list[str], at: int) -> int:
        try:
            start = tokens.index("{", at)
            end = tokens.index("}", start)
        except ValueError:
            raise CircuitError("the definition of a gate has no end") from None
        name = tokens[at + 1]
        if len(self._times) > 1:
            raise CircuitError(f"gate {name[:40]} is defined inside a block: define it outside")
        if name in self._definitions:
            raise CircuitError(f"gate {name[:40]} is defined twice")
        body: list[list[str]] = [[]]
        for token in tokens[start + 1 : end]:
            if token == ";":
                body.append([])
            else:
                body[-1].append(token)
        size = 0
        for said in body:
            if said:
                _check_expression(said)
                size += self._size(said, False)
        self._sizes[name] = min(size, 10**18)
        self._definitions[name] = tokens[at : end + 1]
        return end + 1

    def _call(self, said: list[str]) -> None:
        if said.count("if") > _DEPTH_MAX:
            raise CircuitError(f"ifs are nested at most {_DEPTH_MAX} deep")
        while said[0] in ("if", "else"):  # of one statement, without braces
            said = said[(_closing(said, 1) if said[0] == "if" else 0) + 1 :]
            if not said:
                raise CircuitError("an if has nothing to do")
        self._count(self._size(said, True))

    def _size(self, said: list[str], is_outside: bool) -> int:
        """How many operations one call comes to."""
        times, controls, at = 1, 0, 0
        while "@" in said[at:]:
            word = said[at]
            argument, at = _modifier(said, at)
            if word in ("ctrl", "negctrl"):
                controls += argument
            elif word == "pow":
                times *= max(abs(argument), 1)
            elif word != "inv":
                raise CircuitError(f"there is no modifier {word[:40]!r} here")
        if times > _POWER_MAX:
            raise TooLarge(f"a power is at most {_POWER_MAX} here")
        name = said[at] if at < len(said) else ""
        if name in _REFUSED or name == "for":
            self._refuse(name)
        size = self._sizes.get(name, 1)
        most = CONTROLS_MAX if name in ("x", "p", "X") else _CONTROLS_OTHERS_MAX
        if controls > most or (controls and size > _CONTROLLED_SIZE_MAX):
            raise TooLarge(f"{name[:40]} takes at most {most} controls by ctrl here, and is small")
        size = times * size * (1 if size == 1 and most == CONTROLS_MAX else 6**controls)
        if is_outside and name != "barrier" and _is_broadcast(said[at + 1 :]):
            size *= max(self._qubits, 1)
        return size

    def _count(self, size: int) -> None:
        self._operations += size * self._times[-1]
        most = self._limits.operations_max
        if self._operations > most:
            raise TooLarge(f"written out it has more than {most} operations, which is the most")

    def _refuse(self, word: str) -> NoReturn:
        raise CircuitError(
            f"{word[:40]!r} is not understood here: write gates, measurements and ifs"
        )


def _check_expression(said: list[str]) -> None:
    depth = 0
    for token in said:
        depth += (token in "([") - (token in ")]")
        if depth > _DEPTH_MAX:
            raise CircuitError(f"expressions are nested at most {_DEPTH_MAX} deep")
    if sum(map(_OPERATORS.__contains__, said)) > _OPERATORS_MAX:
        raise CircuitError(f"a statement has at most {_OPERATORS_MAX} operators")


def _plain_end(tokens: list[str], at: int) -> int:
    """The place of the ; of a statement without braces and with few brackets; 0 where it is another."""
    try:
        end = tokens.index(";", at, at + _STATEMENT_TOKENS_MAX)
    except ValueError:
        return 0
    said = tokens[at:end]
    round_, square = said.count("("), said.count("[")
    is_plain = (
        round_ + square <= _DEPTH_MAX
        and said.count(")") == round_
        and said.count("]") == square
        and "{" not in said
        and "}" not in said
    )
    return end if is_plain else 0


def _closing(said: list[str], at: int) -> int:
    depth = 0
    for place in range(at, len(said)):
        depth += (said[place] == "(") - (said[place] == ")")
        if depth == 0:
            return place
    raise CircuitError("a ( is not closed")


def _modifier(said: list[str], at: int) -> tuple[int, int]:
    """The whole number of a modifier (1 without), and the place behind its @."""
    if said[at + 1 : at + 2] == ["@"]:
        return 1, at + 2
    argument = said[at + 2 : at + 4]
    if (
        said[at + 1 : at + 2] == ["("]
        and argument[:1] == ["-"]
        and said[at + 4 : at + 6] == [")", "@"]
    ):
        argument, at = said[at + 3 : at + 5], at + 1
    if len(argument) < 2 or not argument[0].isdigit() or argument[1] != ")":
        raise CircuitError("a modifier takes a plain whole number")
    if said[at + 4 : at + 5] != ["@"]:
        raise CircuitError("a modifier ends with @")
    return int(argument[0]), at + 5


def _is_broadcast(said: list[str]) -> bool:
    """Whether an operand is a whole register or a range: one call for many qubits."""
    if _PLAIN.fullmatch("".join(said)):
        return False
    at = _closing(said, 0) + 1 if said[:1] == ["("] else 0
    operands = said[at:]
    for place, token in enumerate(operands):
        after = operands[place + 1 : place + 2]
        if token.isidentifier() and token != "measure" and after != ["["]:
            return True
        if token == "[" and not (after and after[0].isdigit() and operands[place + 2] == "]"):
            return True
    return False


def _loop_times(said: list[str]) -> int:
    """How often a loop runs, from literal bounds.

    Raises:
        CircuitError: its bounds are no literals.
    """
    try:
        over = said[said.index("in") + 1 :]
    except ValueError:
        over = []
    if over[:1] == ["{"] and over[-1:] == ["}"]:
        return over.count(",") + 1
    if over[:1] == ["["] and over[-1:] == ["]"]:
        parts = "".join(over[1:-1]).split(":")
        if len(parts) in (2, 3) and all(re.fullmatch(r"-?\d+", part) for part in parts):
            numbers = [int(part) for part in parts]
            step = numbers[1] if len(numbers) == 3 else 1
            if step:
                return max((numbers[-1] - numbers[0]) // step + 1, 0)
    raise CircuitError("a for has literal bounds here, as in for int i in [0:3]")
