"""Owns what an assertion is: the lines of a function where it fails a test if something does not hold.

An assertion is an `assert` whose condition is not known beforehand, and where nothing swallows its
AssertionError; or the condition before a `pytest.fail(...)` or `raise AssertionError`. Whether it is
reached only running tells. Library functions that assert for a test are told by `is_library_check`.
"""

import ast
import builtins
import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType
from typing import Any, Final

import pytest

PURE: Final = (
    *("all", "any", "bool", "dict", "float", "int", "isinstance", "len", "list", "set", "str"),
    "tuple",
)
"""Builtins of which nothing is learned where their arguments are known."""
SPECIAL: Final = ("__debug__", "__file__", "__name__")
NO_LINES: Final[range] = range(0)

Def = ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(code: CodeType, names: Mapping[str, Any]) -> frozenset[int]:
    """The lines of a function, not of those within it, where reaching them asserts something.

    Args:
        code: of a file that can be read.
        names: what its names stand for, as far as that is known.
    """
    node = _def_of(code)
    if node is None:
        return frozenset()
    return frozenset(_Body(names, _constants(node)).lines(node.body, NO_LINES))


def certain_code(function: Callable[..., Any]) -> CodeType | None:
    """The code of a function that has asserted something wherever it came to its end, or None."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None or code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE):
        return None
    node = None if hasattr(function, "__wrapped__") else _def_of(code)
    if node is None or any(isinstance(each, ast.Return) for each in ast.walk(node)):
        return None
    names = getattr(function, "__globals__", {})
    return code if _Body(names, _constants(node)).is_certain(node.body) else None


def seems_empty(function: Callable[..., Any]) -> bool:
    """Whether the source of a test shows already that it asserts nothing: it calls nothing either."""
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    code = getattr(inspect.unwrap(inner), "__code__", None)
    node = None if code is None else _def_of(code)
    if node is None:
        return False
    constants = _constants(node)
    for each in ast.walk(node):
        match each:
            case ast.Assert(test=test) if not _truth_is_known(test, constants):
                return False
            case ast.Call(func=ast.Name(id=name)) if hasattr(builtins, name):
                continue
            case ast.Call() | ast.Raise():
                return False
    return True


def is_check(code: CodeType) -> bool:
    """Whether this runs where a test enters one of pytest's own checks, such as `raises`."""
    return code.co_name == "__enter__" and code in _checks()


@functools.cache
def _checks() -> frozenset[CodeType]:
    found: list[Any] = [pytest.deprecated_call(), pytest.raises(Exception), pytest.warns(Warning)]
    if hasattr(pytest, "RaisesGroup"):
        found.append(pytest.RaisesGroup(Exception))
    return frozenset(type(each).__enter__.__code__ for each in found)


def is_library_check(code: CodeType) -> bool:
    """Whether a function that a test calls is there to assert, such as `assertEqual`."""
    return code.co_name.startswith("assert")


@functools.cache
def _defs(file: str) -> list[tuple[int, Def]]:
    """The functions of a file with their first lines, those of decorators included."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):  # what was run was not made of this file
        return []
    return [
        (min(each.lineno for each in (node, *node.decorator_list)), node)
        for node in ast.walk(tree)
        if isinstance(node, Def)
    ]


def _def_of(code: CodeType) -> Def | None:
    return next(
        (
            node
            for line, node in _defs(code.co_filename)
            if (line, node.name) == (code.co_firstlineno, code.co_name)
        ),
        None,
    )


class _Body:
    """The statements of one function, with what its names stand for."""

    def __init__(self, names: Mapping[str, Any], constants: Collection[str]) -> None:
        self._names = names
        self._constants = constants

    def lines(self, statements: Sequence[ast.stmt], condition: range) -> Iterator[int]:
        """The asserting lines; `condition` are those that decide whether these statements run."""
        for before, node in zip((None, *statements), statements, strict=False):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    continue
                case ast.Assert(test=test):
                    yield from () if self._known(test) else _span(node)
                case ast.Try():
                    leaves = any(isinstance(each, ast.Return) for each in node.finalbody)
                    if not (leaves or any(map(self._swallows, node.handlers))):
                        yield from self.lines(node.body, condition)
                    inside = range(node.lineno, _span(node.body[-1]).stop)
                    for block in (*(each.body for each in node.handlers), node.orelse):
                        yield from self.lines(block, inside)
                    yield from self.lines(node.finalbody, condition)
                case ast.With() | ast.AsyncWith():
                    yield from self.lines(node.body, condition) if self._passes(node) else ()
                case ast.If(test=test) | ast.While(test=test):
                    header = NO_LINES if self._known(test) else _span(test)
                    yield from self.lines([*node.body, *node.orelse], header)
                case ast.For() | ast.AsyncFor():
                    yield from self.lines([*node.body, *node.orelse], _span(node.iter))
                case ast.Match(subject=subject):
                    for case in node.cases:
                        yield from self.lines(case.body, _span(subject))
                case ast.Raise() | ast.Expr(value=ast.Call()) if self._fails(node):
                    yield from condition
                    yield from _span(before) if before is not None else ()  # it may have left
                case _:
                    yield from _span(node) if any(map(self._fails, ast.walk(node))) else ()

    def is_certain(self, statements: Sequence[ast.stmt]) -> bool:
        """Whether an assertion is among these that is reached wherever all of them are."""
        return any(
            (isinstance(node, ast.Assert) and not self._known(node.test))
            or (isinstance(node, ast.With) and self._passes(node) and self.is_certain(node.body))
            for node in statements
        )

    def _passes(self, node: ast.With | ast.AsyncWith) -> bool:
        """Whether a failed assertion leaves this block."""
        return not any(self._suppresses(each.context_expr) for each in node.items)

    def _known(self, test: ast.expr) -> bool:
        return _truth_is_known(test, self._constants)

    def _fails(self, node: ast.AST) -> bool:
        """Whether this fails the test wherever it runs."""
        match node:
            case ast.Expr(value=ast.Call(func=func)) | ast.Call(func=func):
                called = getattr(func, "attr", None) or self._meant(func)
                return called == "fail" or called is pytest.fail
            case ast.Raise(exc=ast.Call(func=raised)) | ast.Raise(exc=raised):
                return self._meant(raised) is AssertionError
        return False

    def _swallows(self, handler: ast.ExceptHandler) -> bool:
        """Whether a failed assertion ends in this handler."""
        if any(isinstance(each, ast.Raise) for each in handler.body):
            return False
        return handler.type is None or self._catches([handler.type])

    def _suppresses(self, context: ast.expr) -> bool:
        if not isinstance(context, ast.Call):
            return False
        name = getattr(context.func, "attr", None) or getattr(context.func, "id", "")
        return name == "suppress" and self._catches(context.args)

    def _catches(self, kinds: Iterable[ast.expr]) -> bool:
        for kind in kinds:
            members = kind.elts if isinstance(kind, ast.Tuple) else [kind]
            for each in map(self._meant, members):
                if isinstance(each, type) and issubclass(AssertionError, each):
                    return True
        return False

    def _meant(self, node: ast.AST | None) -> Any:
        """The object that a dotted name stands for, or None where only running tells."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id, getattr(builtins, node.id, None))
        if isinstance(node, ast.Attribute):
            base = self._meant(node.value)
            return getattr(builtins if base is None else base, node.attr, None)
        return None


def _span(node: ast.stmt | ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _constants(node: Def) -> frozenset[str]:
    """The names of a function that are bound once, and to a constant."""
    bound = [
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store | ast.Del)
    ]
    told = [
        name for each in ast.walk(node) if isinstance(each, ast.Nonlocal) for name in each.names
    ]
    constant = {
        target.id
        for each in ast.walk(node)
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    return frozenset(name for name in constant if bound.count(name) == 1 and name not in told)


def _truth_is_known(node: ast.expr, constants: Collection[str]) -> bool:
    """Whether it is settled before anything runs if a condition holds."""
    known = functools.partial(_truth_is_known, constants=constants)
    match node:
        case ast.Lambda() | ast.Tuple() | ast.List() | ast.Set() | ast.Dict():
            return True
        case ast.JoinedStr(values=values) if any(isinstance(each, ast.Constant) for each in values):
            return True
        case ast.UnaryOp(op=ast.Not(), operand=value) | ast.NamedExpr(value=value):
            return known(value)
        case ast.BoolOp(op=op, values=values):
            return (any if isinstance(op, ast.Or) else all)(map(known, values))
        case ast.Compare(left=left, comparators=others) if not _calls(node):
            sides = {ast.dump(side) for side in (left, *others)}
            return len(sides) == 1 or _is_known(node, constants)
    return _is_known(node, constants)


def _is_known(node: ast.AST, constants: Collection[str]) -> bool:
    """Whether a value is made of nothing but constants."""
    match node:
        case ast.Name(id=name):
            return name in constants or name in SPECIAL
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name(id="object")]):
            return True
        case ast.Call(func=ast.Name(id=name)) if name not in PURE:
            return False
        case ast.Call(func=ast.Name(), args=args, keywords=keywords):
            return all(_is_known(each, constants) for each in (*args, *keywords))
        case ast.Await() | ast.Lambda() | ast.NamedExpr():
            return False
    parts = [each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.expr_context)]
    return all(_is_known(part, constants) for part in parts)


def _calls(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Call) for part in ast.walk(node))
