"""Arithmetic in a spec: `${4 * width}`, read by a parser of its own and bounded in length, depth and size.

    text    = { character | "$${" | "${" sum "}" }
    sum     = product { ("+" | "-") product }
    product = unary { ("*" | "/" | "//" | "%") unary }
    unary   = "-" unary | power
    power   = item [ "**" unary ]
    item    = (number | name | ("min" | "max") "(" sum { "," sum } ")" | "(" sum ")") { "[" sum "]" }

Integers are exact, `/` makes a float, `//` and `%` round down, as in Python. Nothing is called but min and max.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import NamedTuple, NoReturn

from ...core.components import Json

LONGEST, DEEPEST = 1000, 32
"""Characters of one expression, and how deep it nests."""

GREATEST = 2**63
"""No integer reaches it, nor its negative."""

LONGEST_TEXT = 10_000
"""Characters of a string that expressions are put into."""

RESERVED = ("min", "max", "index")
"""Names that no parameter may have."""

Values = Mapping[str, Json]


class ExpressionError(Exception):
    """An expression cannot be read or computed."""


class UnknownName(ExpressionError):
    """An expression names what is not there."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no parameter {name!r}")


class Expression(NamedTuple):
    """What stands between `${` and `}`: as it is written, the names in it, and how it is computed."""

    text: str
    names: frozenset[str]
    value: Callable[[Values], Json]

    @property
    def name(self) -> str | None:
        """The name that is the whole expression."""
        return self.text.strip() if self.names == {self.text.strip()} else None


Parts = tuple[str | Expression, ...]


def has_expressions(text: str) -> bool:
    return "${" in text


_BORDER = re.compile(r"\$\$\{|\$\{")


@lru_cache(maxsize=10_000)
def parts(text: str) -> Parts:
    """A string as text and expressions. Raises ExpressionError."""
    found: list[str | Expression] = []
    end = 0
    for border in _BORDER.finditer(text):
        if border.start() < end:
            continue  # inside an expression, which says so itself
        found.append(text[end : border.start()])
        end = border.end()
        if border[0] == "$${":
            found.append("${")
            continue
        close = text.find("}", end)
        if close < 0:
            raise ExpressionError(f"the expression that begins at character {border.start() + 1} lacks its closing }}")
        found.append(parsed(text[end:close]))
        end = close + 1
    found.append(text[end:])
    return tuple(part for part in found if part != "")


def names_in(text: str) -> frozenset[str]:
    """The names that a string's expressions use. Raises ExpressionError."""
    return frozenset().union(*(part.names for part in parts(text) if isinstance(part, Expression)))


def evaluated(text: str, values: Values) -> Json:
    """The value of a string: of an expression that is the whole of it, or else the text with values put in.

    Raises ExpressionError.
    """
    found = parts(text)
    if len(found) == 1 and isinstance(found[0], Expression):
        return found[0].value(values)
    made = "".join(part if isinstance(part, str) else _written(part.value(values)) for part in found)
    if len(made) > LONGEST_TEXT:
        raise ExpressionError(f"the text has {len(made):,} characters, more than {LONGEST_TEXT:,}")
    return made


def escaped(value: Json) -> Json:
    """What is written for a value, so that texts in it are read as they are."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [escaped(item) for item in value]
    return {key: escaped(item) for key, item in value.items()} if isinstance(value, dict) else value


def _written(value: Json) -> str:
    if isinstance(value, (list, dict)):
        raise ExpressionError(f"{_kind(value)} cannot be put into a text")
    return value if isinstance(value, str) else json.dumps(value)


# -- reading -----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"[ \t]*(?:(?P<number>(?:[0-9]+\.[0-9]*|\.?[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>\*\*|//|[-+*/%()\[\],])|(?P<end>$)|(?P<other>[\w.]+|.))",
    re.DOTALL,
)

_Value = Callable[[Values], Json]


@lru_cache(maxsize=10_000)
def parsed(text: str) -> Expression:
    """An expression, read. Raises ExpressionError that says what was expected at which character."""
    if len(text) > LONGEST:
        raise ExpressionError(f"an expression of {len(text):,} characters, more than {LONGEST:,}")
    reader = _Reader(text)
    value = reader.sum()
    if reader.kind != "end":
        reader.refuse("an operator or the end")
    return Expression(text, frozenset(reader.names), value)


class _Reader:
    """One pass over one expression, always at a token."""

    def __init__(self, text: str) -> None:
        self.text, self.names, self.depth = text, set[str](), 0
        self.tokens: Iterator[re.Match[str]] = _TOKEN.finditer(text)
        self.advance()

    def advance(self) -> None:
        token = next(self.tokens)
        self.kind = str(token.lastgroup)
        self.token, self.at = token[self.kind], token.start(self.kind)

    def refuse(self, wanted: str) -> NoReturn:
        found = "the end" if self.kind == "end" else repr(self.token)
        raise ExpressionError(f"expected {wanted} at character {self.at + 1} of {self.text!r}, found {found}")

    def take(self, sign: str) -> None:
        if self.kind != "sign" or self.token != sign:
            self.refuse(repr(sign))
        self.advance()

    def sum(self) -> _Value:
        return self.chain(("+", "-"), self.product)

    def product(self) -> _Value:
        return self.chain(("*", "/", "//", "%"), self.unary)

    def chain(self, signs: tuple[str, ...], part: Callable[[], _Value]) -> _Value:
        """Parts between operators of one rank, from left to right; one function for all of them, however many."""
        first, rest = part(), list[tuple[str, _Value]]()
        while self.kind == "sign" and self.token in signs:
            sign = self.token
            self.advance()
            rest.append((sign, part()))
        return _chained(first, rest) if rest else first

    def unary(self) -> _Value:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionError(f"the expression {self.text[:40]!r}... nests deeper than {DEEPEST} levels")
        if self.kind == "sign" and self.token == "-":
            self.advance()
            value = _negative(self.unary())
        else:
            value = self.power()
        self.depth -= 1
        return value

    def power(self) -> _Value:
        base = self.item()
        if self.kind == "sign" and self.token == "**":
            self.advance()
            return _chained(base, [("**", self.unary())])
        return base

    def item(self) -> _Value:
        kind, token = self.kind, self.token
        if kind == "number":
            self.advance()
            value = _constant(_number(token))
        elif kind == "name":
            self.advance()
            value = self.call(token) if token in CALLS else self.variable(token)
        elif kind == "sign" and token == "(":
            self.advance()
            value = self.sum()
            self.take(")")
        else:
            self.refuse("a number, a name or '('")
        while self.kind == "sign" and self.token == "[":
            self.advance()
            value = _item(value, self.sum())
            self.take("]")
        return value

    def variable(self, name: str) -> _Value:
        if self.kind == "sign" and self.token == "(":
            raise ExpressionError(f"{name!r} cannot be called: there are {' and '.join(CALLS)}")
        self.names.add(name)
        return _variable(name)

    def call(self, name: str) -> _Value:
        self.take("(")
        arguments = [self.sum()]
        while self.kind == "sign" and self.token == ",":
            self.advance()
            arguments.append(self.sum())
        self.take(")")
        pick = CALLS[name]
        return lambda values: pick(_numbers(name, *(argument(values) for argument in arguments)))


# -- computing ---------------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[list[int | float]], int | float]] = {"min": min, "max": max}


def _power(base: int | float, exponent: int | float) -> Json:
    bits = abs(base).bit_length() if isinstance(base, int) else 0
    if bits > 1 and isinstance(exponent, int) and exponent * (bits - 1) > 64:
        raise ExpressionError(f"{base} ** {exponent} is beyond a 64-bit integer")
    return base**exponent


OPERATORS: dict[str, Callable[[int | float, int | float], Json]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}


def _constant(number: int | float) -> _Value:
    return lambda values: number


def _number(text: str) -> int | float:
    whole = text.isdecimal()
    return _bounded(int(text) if whole else float(text), text)


def _variable(name: str) -> _Value:
    def value(values: Values) -> Json:
        if name not in values:
            raise UnknownName(name)
        return values[name]

    return value


def _negative(value: _Value) -> _Value:
    def negative(values: Values) -> Json:
        (number,) = _numbers("-", value(values))
        return -number

    return negative


def _item(value: _Value, place: _Value) -> _Value:
    def item(values: Values) -> Json:
        array, index = value(values), place(values)
        if not isinstance(array, list):
            raise ExpressionError(f"[ ] takes an item of an array, not of {_kind(array)}")
        if isinstance(index, bool) or not isinstance(index, int):
            raise ExpressionError(f"the place of an item is an integer, not {_kind(index)}")
        if not 0 <= index < len(array):
            raise ExpressionError(f"there is no item {index}: the array has {len(array)}, counted from 0")
        return array[index]

    return item


def _chained(first: _Value, rest: list[tuple[str, _Value]]) -> _Value:
    def value(values: Values) -> Json:
        result = first(values)
        for sign, part in rest:
            left, right = _numbers(sign, result, part(values))
            try:
                result = OPERATORS[sign](left, right)
            except ZeroDivisionError:
                raise ExpressionError(f"{left} {sign} {right} divides by zero") from None
            except OverflowError:
                raise ExpressionError(f"{left} {sign} {right} is beyond what a computer counts") from None
            result = _bounded(result, f"{left} {sign} {right}")
        return result

    return value


def _bounded(value: Json, text: str) -> int | float:
    if isinstance(value, int) and abs(value) < GREATEST:
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, complex):
        raise ExpressionError(f"{text} is no real number")
    shown = text if len(text) <= 60 else f"{text[:40]}..."
    raise ExpressionError(f"{shown} is beyond {'a 64-bit integer' if isinstance(value, int) else 'a float'}")


def _numbers(sign: str, *values: Json) -> list[int | float]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ExpressionError(f"{sign} takes numbers, not {_kind(value)}")
    return list(values)


def _kind(value: Json) -> str:
    kinds = {bool: "true or false", int: "an integer", float: "a float", str: "a string", list: "an array"}
    return kinds.get(type(value), "null" if value is None else "an object")
