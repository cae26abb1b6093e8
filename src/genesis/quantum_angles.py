"""Owns angles: numbers, texts like ``3*pi/4``, and sums with parameters that a sweep fills in.

It must not know gates or circuits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

ANGLE_MAX: Final = 1e6
"""The largest absolute value: beyond it a double no longer tells an angle from its neighbours well."""
CHARS_MAX: Final = 200
_DEPTH_MAX: Final = 20
_TOKEN: Final = re.compile(
    r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*|π)|([-+*/()]))",
    re.ASCII,
)
PARAMETER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
"""What a parameter may be called."""


class AngleError(ValueError):
    """A text or number that is no angle; the sentence says why."""


class Affine(msgspec.Struct, frozen=True, array_like=True):
    """``constant`` + Σ factor · parameter; the terms in order of their names, none of factor 0."""

    constant: float
    terms: tuple[tuple[str, float], ...]


Angle = float | Affine


def angle_of(value: object, parameters: Collection[str]) -> Angle:
    """An angle from what a component says: a number or a text.

    Args:
        value: a finite number, or an expression of numbers, ``pi``, ``+ - * /``, parentheses and
            the names of ``parameters``, linear in these.

    Raises:
        AngleError: it is none.
    """
    if type(value) is float and -ANGLE_MAX <= value <= ANGLE_MAX:
        return value + 0.0  # no negative zero
    if isinstance(value, str):
        if len(value) > CHARS_MAX:
            raise AngleError(f"an angle's text has at most {CHARS_MAX} characters")
        return _bounded(_Parser(value, parameters).parse())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AngleError("an angle is a number or a text like 'pi/2'")
    try:
        return _number(float(value))
    except OverflowError:
        raise AngleError("an angle is a finite number") from None


def bound(angle: Angle, values: Mapping[str, Angle]) -> Angle:
    """The angle with ``values`` in the place of its parameters, which are all there.

    Raises:
        AngleError: what comes out is none.
    """
    if isinstance(angle, float):
        return angle
    total: Affine = Affine(angle.constant, ())
    for name, factor in angle.terms:
        total = _sum(total, _scaled(_affine(values[name]), factor), 1.0)
    return _bounded(total)


def number_text(value: float) -> str:
    """A number as every dialect reads it back exactly."""
    return repr(value)


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise AngleError("an angle is a finite number")
    if abs(value) > ANGLE_MAX:
        raise AngleError(
            f"an angle lies between -{ANGLE_MAX:g} and {ANGLE_MAX:g}: take it mod 2*pi"
        )
    return value + 0.0  # no negative zero


def _bounded(value: Affine) -> Angle:
    constant = _number(value.constant)
    terms = tuple((name, _number(factor)) for name, factor in value.terms if factor)
    return Affine(constant, terms) if terms else constant


def _affine(value: Angle) -> Affine:
    return value if isinstance(value, Affine) else Affine(value, ())


def _scaled(value: Affine, factor: float) -> Affine:
    return Affine(value.constant * factor, tuple((n, f * factor) for n, f in value.terms))


def _sum(left: Affine, right: Affine, sign: float) -> Affine:
    terms = dict(left.terms)
    for name, factor in right.terms:
        terms[name] = terms.get(name, 0.0) + sign * factor
    return Affine(left.constant + sign * right.constant, tuple(sorted(terms.items())))


class _Parser:
    """Recursive descent over one text."""

    def __init__(self, text: str, parameters: Collection[str]) -> None:
        self._text = text
        self._parameters = parameters
        self._tokens: list[tuple[str, str, str]] = []
        end = 0
        while text[end:].strip():
            match = _TOKEN.match(text, end)
            if match is None:
                raise AngleError(f"{text!r} is no angle: write something like '3*pi/4'")
            self._tokens.append((match[1] or "", match[2] or "", match[3] or ""))
            end = match.end()
        self._at = 0

    def parse(self) -> Affine:
        value = self._add(0)
        if self._at < len(self._tokens):
            raise self._wrong()
        return value

    def _wrong(self) -> AngleError:
        return AngleError(f"{self._text!r} is no angle: write something like '3*pi/4'")

    def _take(self, signs: str) -> str:
        if self._at < len(self._tokens):
            sign = self._tokens[self._at][2]
            if sign and sign in signs:
                self._at += 1
                return sign
        return ""

    def _add(self, depth: int) -> Affine:
        value = self._multiply(depth)
        while sign := self._take("+-"):
            value = _sum(value, self._multiply(depth), 1.0 if sign == "+" else -1.0)
        return value

    def _multiply(self, depth: int) -> Affine:
        value = self._unary(depth)
        while sign := self._take("*/"):
            other = self._unary(depth)
            if sign == "/":
                if other.terms or other.constant == 0.0:
                    raise AngleError(f"{self._text!r} divides by what is 0 or a parameter")
                terms = tuple((n, f / other.constant) for n, f in value.terms)
                value = Affine(value.constant / other.constant, terms)
            elif value.terms and other.terms:
                raise AngleError(f"{self._text!r} is not linear in its parameters")
            elif value.terms:
                value = _scaled(value, other.constant)
            else:
                value = _scaled(other, value.constant)
        return value

    def _unary(self, depth: int) -> Affine:
        if depth > _DEPTH_MAX:
            raise AngleError(f"an angle is nested at most {_DEPTH_MAX} deep")
        if sign := self._take("+-"):
            return _scaled(self._unary(depth + 1), 1.0 if sign == "+" else -1.0)
        if self._take("("):
            value = self._add(depth + 1)
            if not self._take(")"):
                raise self._wrong()
            return value
        if self._at >= len(self._tokens):
            raise self._wrong()
        number, name, _ = self._tokens[self._at]
        self._at += 1
        if number:
            return Affine(float(number), ())
        if name in ("pi", "π"):
            return Affine(math.pi, ())
        if name in self._parameters:
            return Affine(0.0, ((name, 1.0),))
        if name:
            known = ", ".join(sorted(self._parameters)[:10]) or "none"
            raise AngleError(f"{name!r} in {self._text!r} is no parameter: the circuit has {known}")
        raise self._wrong()
