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

MAX_EXPRESSION_LENGTH, MAX_EXPRESSION_DEPTH = 1000, 32
"""Characters of one expression, and how deep it nests."""

INTEGER_LIMIT = 2**63
"""No integer reaches it, nor its negative."""

MAX_TEXT_LENGTH = 10_000
"""Characters of a string that expressions are put into."""

RESERVED_NAMES = ("min", "max", "index")
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
    evaluate: Callable[[Values], Json]

    @property
    def sole_name(self) -> str | None:
        """The name that is the whole expression."""
        return self.text.strip() if self.names == {self.text.strip()} else None


TextParts = tuple[str | Expression, ...]


def has_expressions(text: str) -> bool:
    return "${" in text


_EXPRESSION_START = re.compile(r"\$\$\{|\$\{")


@lru_cache(maxsize=10_000)
def parse_text(text: str) -> TextParts:
    """A string as text and expressions. Raises ExpressionError."""
    found: list[str | Expression] = []
    end = 0
    for border in _EXPRESSION_START.finditer(text):
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
        found.append(parse_expression(text[end:close]))
        end = close + 1
    found.append(text[end:])
    return tuple(part for part in found if part != "")


def names_in(text: str) -> frozenset[str]:
    """The names that a string's expressions use. Raises ExpressionError."""
    return frozenset().union(*(part.names for part in parse_text(text) if isinstance(part, Expression)))


def evaluate_text(text: str, values: Values) -> Json:
    """The value of a string: of an expression that is the whole of it, or else the text with values put in.

    Raises ExpressionError.
    """
    found = parse_text(text)
    if len(found) == 1 and isinstance(found[0], Expression):
        return found[0].evaluate(values)
    made = "".join(part if isinstance(part, str) else _to_text(part.evaluate(values)) for part in found)
    if len(made) > MAX_TEXT_LENGTH:
        raise ExpressionError(f"the text has {len(made):,} characters, more than {MAX_TEXT_LENGTH:,}")
    return made


def escape_expressions(value: Json) -> Json:
    """What is written for a value, so that texts in it are read as they are."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [escape_expressions(item) for item in value]
    return {key: escape_expressions(item) for key, item in value.items()} if isinstance(value, dict) else value


def _to_text(value: Json) -> str:
    if isinstance(value, (list, dict)):
        raise ExpressionError(f"{_type_phrase(value)} cannot be put into a text")
    return value if isinstance(value, str) else json.dumps(value)


# -- reading -----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"[ \t]*(?:(?P<number>(?:[0-9]+\.[0-9]*|\.?[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>\*\*|//|[-+*/%()\[\],])|(?P<end>$)|(?P<other>[\w.]+|.))",
    re.DOTALL,
)

_ValueFn = Callable[[Values], Json]


@lru_cache(maxsize=10_000)
def parse_expression(text: str) -> Expression:
    """An expression, read. Raises ExpressionError that says what was expected at which character."""
    if len(text) > MAX_EXPRESSION_LENGTH:
        raise ExpressionError(f"an expression of {len(text):,} characters, more than {MAX_EXPRESSION_LENGTH:,}")
    reader = _ExpressionParser(text)
    value = reader.sum()
    if reader.kind != "end":
        reader.fail_expected("an operator or the end")
    return Expression(text, frozenset(reader.names), value)


class _ExpressionParser:
    """One pass over one expression, always at a token."""

    def __init__(self, text: str) -> None:
        self.text, self.names, self.depth = text, set[str](), 0
        self.tokens: Iterator[re.Match[str]] = _TOKEN.finditer(text)
        self.advance()

    def advance(self) -> None:
        token = next(self.tokens)
        self.kind = str(token.lastgroup)
        self.token, self.offset = token[self.kind], token.start(self.kind)

    def fail_expected(self, expected: str) -> NoReturn:
        found = "the end" if self.kind == "end" else repr(self.token)
        raise ExpressionError(f"expected {expected} at character {self.offset + 1} of {self.text!r}, found {found}")

    def expect_sign(self, sign: str) -> None:
        if self.kind != "sign" or self.token != sign:
            self.fail_expected(repr(sign))
        self.advance()

    def sum(self) -> _ValueFn:
        return self.binary_chain(("+", "-"), self.product)

    def product(self) -> _ValueFn:
        return self.binary_chain(("*", "/", "//", "%"), self.unary)

    def binary_chain(self, signs: tuple[str, ...], operand: Callable[[], _ValueFn]) -> _ValueFn:
        """Parts between operators of one rank, from left to right; one function for all of them, however many."""
        first, rest = operand(), list[tuple[str, _ValueFn]]()
        while self.kind == "sign" and self.token in signs:
            sign = self.token
            self.advance()
            rest.append((sign, operand()))
        return _binary_chain(first, rest) if rest else first

    def unary(self) -> _ValueFn:
        self.depth += 1
        if self.depth > MAX_EXPRESSION_DEPTH:
            raise ExpressionError(
                f"the expression {self.text[:40]!r}... nests deeper than {MAX_EXPRESSION_DEPTH} levels"
            )
        if self.kind == "sign" and self.token == "-":
            self.advance()
            value = _negation(self.unary())
        else:
            value = self.power()
        self.depth -= 1
        return value

    def power(self) -> _ValueFn:
        base = self.item()
        if self.kind == "sign" and self.token == "**":
            self.advance()
            return _binary_chain(base, [("**", self.unary())])
        return base

    def item(self) -> _ValueFn:
        kind, token = self.kind, self.token
        if kind == "number":
            self.advance()
            value = _constant(_parse_number(token))
        elif kind == "name":
            self.advance()
            value = self.call(token) if token in FUNCTIONS else self.variable(token)
        elif kind == "sign" and token == "(":
            self.advance()
            value = self.sum()
            self.expect_sign(")")
        else:
            self.fail_expected("a number, a name or '('")
        while self.kind == "sign" and self.token == "[":
            self.advance()
            value = _indexing(value, self.sum())
            self.expect_sign("]")
        return value

    def variable(self, name: str) -> _ValueFn:
        if self.kind == "sign" and self.token == "(":
            raise ExpressionError(f"{name!r} cannot be called: there are {' and '.join(FUNCTIONS)}")
        self.names.add(name)
        return _lookup(name)

    def call(self, name: str) -> _ValueFn:
        self.expect_sign("(")
        arguments = [self.sum()]
        while self.kind == "sign" and self.token == ",":
            self.advance()
            arguments.append(self.sum())
        self.expect_sign(")")
        pick = FUNCTIONS[name]
        return lambda values: pick(_require_numbers(name, *(argument(values) for argument in arguments)))


# -- computing ---------------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[[list[int | float]], int | float]] = {"min": min, "max": max}


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


def _constant(number: int | float) -> _ValueFn:
    return lambda values: number


def _parse_number(text: str) -> int | float:
    whole = text.isdecimal()
    return _checked_range(int(text) if whole else float(text), text)


def _lookup(name: str) -> _ValueFn:
    def value(values: Values) -> Json:
        if name not in values:
            raise UnknownName(name)
        return values[name]

    return value


def _negation(value: _ValueFn) -> _ValueFn:
    def negative(values: Values) -> Json:
        (number,) = _require_numbers("-", value(values))
        return -number

    return negative


def _indexing(value: _ValueFn, place: _ValueFn) -> _ValueFn:
    def item(values: Values) -> Json:
        array, index = value(values), place(values)
        if not isinstance(array, list):
            raise ExpressionError(f"[ ] takes an item of an array, not of {_type_phrase(array)}")
        if isinstance(index, bool) or not isinstance(index, int):
            raise ExpressionError(f"the place of an item is an integer, not {_type_phrase(index)}")
        if not 0 <= index < len(array):
            raise ExpressionError(f"there is no item {index}: the array has {len(array)}, counted from 0")
        return array[index]

    return item


def _binary_chain(first: _ValueFn, rest: list[tuple[str, _ValueFn]]) -> _ValueFn:
    def value(values: Values) -> Json:
        result = first(values)
        for sign, part in rest:
            left, right = _require_numbers(sign, result, part(values))
            try:
                result = OPERATORS[sign](left, right)
            except ZeroDivisionError:
                raise ExpressionError(f"{left} {sign} {right} divides by zero") from None
            except OverflowError:
                raise ExpressionError(f"{left} {sign} {right} is beyond what a computer counts") from None
            result = _checked_range(result, f"{left} {sign} {right}")
        return result

    return value


def _checked_range(value: Json, text: str) -> int | float:
    if isinstance(value, int) and abs(value) < INTEGER_LIMIT:
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, complex):
        raise ExpressionError(f"{text} is no real number")
    shown = text if len(text) <= 60 else f"{text[:40]}..."
    raise ExpressionError(f"{shown} is beyond {'a 64-bit integer' if isinstance(value, int) else 'a float'}")


def _require_numbers(sign: str, *values: Json) -> list[int | float]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ExpressionError(f"{sign} takes numbers, not {_type_phrase(value)}")
    return list(values)


def _type_phrase(value: Json) -> str:
    kinds = {bool: "true or false", int: "an integer", float: "a float", str: "a string", list: "an array"}
    return kinds.get(type(value), "null" if value is None else "an object")
