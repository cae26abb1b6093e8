"""Decides from the source whether a collected test asserts anything at all.

The rule. A test asserts when a statement of it that can be reached is

- an `assert` whose condition is not already known (`assert True`, `assert 1 < 2`, `assert x == x`
  and `assert (x, "words")` say nothing), or a `raise AssertionError(...)`,
- a `with` on, or a call of, `pytest.raises`, `warns`, `deprecated_call`, `RaisesGroup` or `fail`,
- a call of what stands in the tests' own folder and asserts, by this same rule: a helper, a method
  (of an object that only running would tell: by its name), a function that a fixture hands out, or
  a function or class that is handed over to be called,
- a call of a library's function whose name begins with `assert`.

What follows a `return`, stands in a branch that is never taken, or has its AssertionError swallowed
does not count. What the tested code itself asserts does not count either.
"""

import ast
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType
from typing import Any, Final

import pytest

CHECKS: Final = (
    pytest.raises,
    pytest.warns,
    pytest.deprecated_call,
    pytest.fail,
    getattr(pytest, "RaisesGroup", pytest.raises),
)
SWALLOWS: Final = {"AssertionError", "Exception", "BaseException"}
UNKNOWN: Final = object()
"""What a name stands for where only running the test would tell."""

Def = ast.FunctionDef | ast.AsyncFunctionDef


def asserts(item: pytest.Item, root: Path) -> bool:
    """Says whether the test that pytest collected asserts something."""
    if not isinstance(item, pytest.Function):
        return True  # a doctest, say: comparing is what it is
    *folders, _ = item.path.relative_to(root).parts
    return _Reader(item, root, root.joinpath(*folders[:1])).function(item.obj)


@functools.cache
def _defs(file: str) -> list[tuple[int, Def]]:
    """The functions of a file with their first lines, those of decorators included."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return [
        (min(each.lineno for each in (node, *node.decorator_list)), node)
        for node in ast.walk(tree)
        if isinstance(node, Def)
    ]


def _def_of(code: CodeType) -> Def | None:
    """Where code is defined: in its line, or the last of its name in a file that changed since."""
    named = [(line, node) for line, node in _defs(code.co_filename) if node.name == code.co_name]
    exact = [node for line, node in named if line == code.co_firstlineno]
    return next(iter(exact or [node for _, node in reversed(named)]), None)


class _Reader:
    """Follows one test through the functions that it calls."""

    def __init__(self, item: pytest.Function, root: Path, folder: Path) -> None:
        self._item = item
        self._root = root
        self._folder = folder
        self._seen: set[int] = set()

    def function(self, found: Any) -> bool:
        """Whether a function object asserts; each is looked into once, so circles end."""
        found = getattr(getattr(found, "hypothesis", None), "inner_test", found)
        found = inspect.unwrap(getattr(found, "__func__", found))
        code = getattr(found, "__code__", None)
        if code is None or id(code) in self._seen:
            return False
        self._seen.add(id(code))
        if self._folder not in Path(code.co_filename).parents:
            return bool(code.co_name.startswith("assert")) and not self._is_ours(code.co_filename)
        node = _def_of(code)
        if node is None:
            return False
        names = {**found.__globals__, **_closure(found)}
        return _Body(self, names, node).asserts()

    def fixture(self, name: str) -> bool:
        """Whether a function asserts that a fixture makes, and may hand out."""
        for found in self._fixtures(name):
            node = _def_of(found.__code__)
            if node is not None:
                body = _Body(self, found.__globals__, node)
                return any(body.inner(each) for each in body.local)
        return False

    def method(self, name: str, names: Mapping[str, Any]) -> bool:
        """Whether a method of this name asserts that a class has which the test or a fixture knows."""
        known = [
            names,
            *(found.__globals__ for each in self.fixtures for found in self._fixtures(each)),
        ]
        classes = {each for mine in known for each in mine.values() if isinstance(each, type)}
        return any(self.function(getattr(each, name, None)) for each in classes)

    def handed(self, found: Any) -> bool:
        """Whether a function asserts, or a method of a class, that is handed over to be called."""
        if isinstance(found, type):
            return any(self.function(each) for each in vars(found).values())
        return self.function(found)

    def _fixtures(self, name: str) -> Iterator[Any]:
        """The functions of the fixtures of a name, the nearest first; only those of the tests."""
        for definition in reversed(self._item._fixtureinfo.name2fixturedefs.get(name, ())):
            found = inspect.unwrap(definition.func)
            code = getattr(found, "__code__", None)
            if code is not None and self._folder in Path(code.co_filename).parents:
                yield found

    @property
    def own_class(self) -> Any:
        return self._item.cls or UNKNOWN

    @property
    def fixtures(self) -> Sequence[str]:
        return self._item.fixturenames

    def _is_ours(self, file: str) -> bool:
        return self._root in Path(file).parents and "site-packages" not in file


def _closure(found: Callable[..., Any]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, cell in zip(
        found.__code__.co_freevars, getattr(found, "__closure__", None) or (), strict=False
    ):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # not bound yet
            continue
    return cells


class _Body:
    """The statements of one function, with what its names stand for."""

    def __init__(self, reader: _Reader, names: dict[str, Any], node: Def) -> None:
        self._reader = reader
        self._names = names
        self._node = node
        self.local = {
            each.name: each for each in ast.walk(node) if isinstance(each, Def) and each is not node
        }
        arguments = node.args
        self._parameters = {
            each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        }
        self._inside: set[str] = set()

    def asserts(self) -> bool:
        return self._block(self._node.body)

    def inner(self, name: str) -> bool:
        """Whether a function asserts that this one defines."""
        if name in self._inside:
            return False
        self._inside.add(name)
        return self._block(self.local[name].body)

    def _block(self, statements: Sequence[ast.stmt]) -> bool:
        for statement in statements:
            if self._statement(statement):
                return True
            if isinstance(statement, ast.Return | ast.Raise | ast.Break | ast.Continue):
                return False
        return False

    def _statement(self, node: ast.stmt) -> bool:
        match node:
            case ast.Assert(test=test):
                return not _known(test)
            case ast.Raise(exc=ast.Call(func=ast.Name(id="AssertionError"))):
                return True
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return False
            case ast.If(test=ast.Constant(value=value)):
                return self._block(node.body if value else node.orelse)
            case ast.If(test=test):
                return self._calls(test) or self._block(node.body) or self._block(node.orelse)
            case ast.While(test=test):
                entered = not (isinstance(test, ast.Constant) and not test.value)
                return (entered and self._block(node.body)) or self._block(node.orelse)
            case ast.For(iter=each) | ast.AsyncFor(iter=each):
                empty = isinstance(each, ast.List | ast.Tuple) and not each.elts
                return (
                    self._calls(each)
                    or (not empty and self._block(node.body))
                    or self._block(node.orelse)
                )
            case ast.With() | ast.AsyncWith():
                exprs = [item.context_expr for item in node.items]
                if any(self._calls(expr) for expr in exprs):
                    return True
                return not any(map(_suppresses, exprs)) and self._block(node.body)
            case ast.Try():
                swallowed = any(map(_swallows, node.handlers))
                blocks = [] if swallowed else [node.body, node.orelse]
                blocks += [handler.body for handler in node.handlers] + [node.finalbody]
                if swallowed:
                    blocks.append(node.orelse)
                return any(map(self._block, blocks))
            case ast.Match(subject=subject):
                return self._calls(subject) or any(self._block(case.body) for case in node.cases)
            case _:
                return self._calls(node)

    def _calls(self, node: ast.AST) -> bool:
        return any(
            self._called(call.func) or any(self._handed(each) for each in _arguments(call))
            for call in _reached(node)
            if isinstance(call, ast.Call)
        )

    def _called(self, func: ast.expr) -> bool:
        if isinstance(func, ast.Name):
            if func.id in self.local:
                return self.inner(func.id)
            if func.id in self._parameters and func.id in self._reader.fixtures:
                return self._reader.fixture(func.id)
        found = self._meant(func)
        if found is UNKNOWN:
            return isinstance(func, ast.Attribute) and self._reader.method(func.attr, self._names)
        return any(found is check for check in CHECKS) or self._reader.function(found)

    def _handed(self, argument: ast.expr) -> bool:
        if not isinstance(argument, ast.Name):
            return False
        if argument.id in self.local:
            return self.inner(argument.id)
        return self._reader.handed(self._meant(argument))

    def _meant(self, node: ast.expr) -> Any:
        """The object that a dotted name stands for, as far as the file tells."""
        if isinstance(node, ast.Name):
            if node.id in ("self", "cls"):
                return self._reader.own_class
            if node.id in self._parameters:
                return UNKNOWN
            return self._names.get(node.id, UNKNOWN)
        if isinstance(node, ast.Attribute):
            base = self._meant(node.value)
            return UNKNOWN if base is UNKNOWN else getattr(base, node.attr, UNKNOWN)
        return UNKNOWN


def _reached(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement that run with it: what a lambda holds runs later, or never."""
    yield node
    if not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _reached(child)


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _known(test: ast.expr) -> bool:
    """Whether a condition is settled before anything runs."""
    if isinstance(test, ast.Tuple):
        return bool(test.elts)
    if isinstance(test, ast.UnaryOp):
        return _known(test.operand)
    if isinstance(test, ast.BoolOp):
        some_or_all = any if isinstance(test.op, ast.Or) else all
        return some_or_all(map(_known, test.values))
    parts = list(ast.walk(test))
    if isinstance(test, ast.Compare) and not any(isinstance(part, ast.Call) for part in parts):
        sides = {ast.dump(side) for side in (test.left, *test.comparators)}
        if len(sides) == 1:
            return True
    return not any(
        isinstance(part, ast.Name | ast.Call | ast.Await | ast.NamedExpr) for part in parts
    )


def _swallows(handler: ast.ExceptHandler) -> bool:
    caught = {node.id for node in ast.walk(handler.type or handler) if isinstance(node, ast.Name)}
    catches = handler.type is None or bool(caught & SWALLOWS)
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
    return catches and not raises


def _suppresses(context: ast.expr) -> bool:
    if not isinstance(context, ast.Call):
        return False
    func = context.func
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    caught = {
        node.id for each in context.args for node in ast.walk(each) if isinstance(node, ast.Name)
    }
    return name == "suppress" and bool(caught & SWALLOWS)
