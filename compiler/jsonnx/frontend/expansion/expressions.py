"""Expressions in a spec, such as `${4 * width}`: a parser and evaluator with limits on length, depth and size.

    text    = { character | "$${" | "${" sum "}" }
    sum     = product { ("+" | "-") product }
    product = unary { ("*" | "/" | "//" | "%") unary }
    unary   = "-" unary | power
    power   = item [ "**" unary ]
    item    = (number | name | ("min" | "max") "(" sum { "," sum } ")" | "(" sum ")") { "[" sum "]" }

As in Python, integers are exact, `/` returns a float, `//` and `%` round down. The only functions are min and max.
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
from ...core.limits import MAX_EXPRESSION_CHARACTERS, MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_TEXT_CHARACTERS
from ..schema.phrases import short_name

INTEGER_LIMIT = 2**63
"""The absolute value of every integer is smaller."""

RESERVED_NAMES = ("min", "max", "index")
"""Names that parameters must not have."""

Values = Mapping[str, Json]


class ExpressionError(Exception):
    """An expression cannot be parsed or evaluated; `help` says what to write."""

    def __init__(self, message: str, help: str | None = None) -> None:
        self.help = help
        super().__init__(message)


class UnknownName(ExpressionError):
    """An expression uses a name that is not defined."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no parameter {name!r}")


class Expression(NamedTuple):
    """A parsed expression: the text between `${` and `}`, the names in it, and the function that evaluates it."""

    text: str
    names: frozenset[str]
    evaluate: Callable[[Values], Json]

    @property
    def sole_name(self) -> str | None:
        """The name, if the expression consists of nothing else."""
        return self.text.strip() if self.names == {self.text.strip()} else None


TextParts = tuple[str | Expression, ...]
"""A string, split into text and expressions."""


def has_expressions(text: str) -> bool:
    return "${" in text


_EXPRESSION_START = re.compile(r"\$\$\{|\$\{")


@lru_cache(maxsize=10_000)
def parse_text(text: str) -> TextParts:
    """Returns a string as text and parsed expressions. Raises ExpressionError."""
    parts: list[str | Expression] = []
    end = 0
    for start in _EXPRESSION_START.finditer(text):
        if start.start() < end:
            continue  # inside an expression, where the parser reports it
        parts.append(text[end : start.start()])
        end = start.end()
        if start[0] == "$${":
            parts.append("${")
            continue
        close = text.find("}", end)
        if close < 0:
            message = f"the expression that begins at character {start.start() + 1} has no closing }}"
            raise ExpressionError(message, "close it with }, or write $${ for the characters ${")
        parts.append(parse_expression(text[end:close]))
        end = close + 1
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")


def names_in(text: str) -> frozenset[str]:
    """Returns the names that the expressions in a string use. Raises ExpressionError."""
    return frozenset().union(*(part.names for part in parse_text(text) if isinstance(part, Expression)))


def names_in_invalid(text: str) -> frozenset[str]:
    """Returns the names that occur in the expressions of a string that cannot be parsed."""
    return frozenset(
        name for part in text.split("${")[1:] for name in re.findall(r"[A-Za-z_]\w*", part.partition("}")[0])
    )


def evaluate_text(text: str, values: Values) -> Json:
    """Returns the value of a string that is one expression, or else the string with values in place of expressions.

    Raises ExpressionError.
    """
    parts = parse_text(text)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return parts[0].evaluate(values)
    result = "".join(part if isinstance(part, str) else _to_text(part.evaluate(values)) for part in parts)
    if len(result) > MAX_EXPRESSION_TEXT_CHARACTERS:
        raise ExpressionError(f"the text has {len(result):,} characters, more than {MAX_EXPRESSION_TEXT_CHARACTERS:,}")
    return result


def escape_expressions(value: Json) -> Json:
    """Returns a value with `${` escaped in all strings, so that evaluation gives the original value."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [escape_expressions(item) for item in value]
    return {key: escape_expressions(item) for key, item in value.items()} if isinstance(value, dict) else value


def _to_text(value: Json) -> str:
    if isinstance(value, (list, dict)):
        raise ExpressionError(
            f"{_type_phrase(value)} cannot be inserted into a text", "insert one of its items: ${name[0]}"
        )
    return value if isinstance(value, str) else json.dumps(value)


# -- parser ------------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"[ \t]*(?:(?P<number>(?:[0-9]+\.[0-9]*|\.?[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>\*\*|//|[-+*/%()\[\],])|(?P<end>$)|(?P<other>[\w.]+|.))",
    re.DOTALL,
)

_SYNTAX_HELP = {
    "(": "write * to multiply",
    "x": "write * to multiply",
    "^": "write ** for a power",
    "'": "write text outside the expression",
    '"': "write text outside the expression",
    ".": "names have no attributes: use a parameter of its own",
    "{": "write ${...} once around the whole expression",
    "$": "write ${...} once around the whole expression",
}


def _syntax_help(token: str) -> str:
    default = "`jsonnx explain invalid-expression` shows what an expression may contain"
    return _SYNTAX_HELP.get(token[:1], default)


def _number_help(value: Json) -> str:
    if isinstance(value, list):
        return "take one of its items: name[0]"
    return "write the number without quotes" if isinstance(value, str) else "give the parameter a number"


_ValueFn = Callable[[Values], Json]


@lru_cache(maxsize=10_000)
def parse_expression(text: str) -> Expression:
    """Parses an expression. Raises ExpressionError with the expected token and its position."""
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        message = f"the expression has {len(text):,} characters, more than {MAX_EXPRESSION_CHARACTERS:,}"
        raise ExpressionError(message, "compute parts of it as parameters")
    parser = _ExpressionParser(text)
    value = parser.sum()
    if parser.kind != "end":
        parser.fail_expected("an operator or the end")
    return Expression(text, frozenset(parser.names), value)


class _ExpressionParser:
    """A recursive descent parser with one method per rule of the grammar; `kind` and `token` are the current token."""

    def __init__(self, text: str) -> None:
        self.text, self.names, self.depth = text, set[str](), 0
        self.tokens: Iterator[re.Match[str]] = _TOKEN.finditer(text)
        self.advance()

    def advance(self) -> None:
        token = next(self.tokens)
        self.kind = str(token.lastgroup)
        self.token, self.offset = token[self.kind], token.start(self.kind)

    def fail_expected(self, expected: str) -> NoReturn:
        actual = "the end" if self.kind == "end" else repr(self.token)
        message = f"expected {expected} at character {self.offset + 1} of {self.text!r}, found {actual}"
        raise ExpressionError(message, _syntax_help(self.token))

    def expect_sign(self, sign: str) -> None:
        if self.kind != "sign" or self.token != sign:
            self.fail_expected(repr(sign))
        self.advance()

    def sum(self) -> _ValueFn:
        return self.binary_chain(("+", "-"), self.product)

    def product(self) -> _ValueFn:
        return self.binary_chain(("*", "/", "//", "%"), self.unary)

    def binary_chain(self, signs: tuple[str, ...], operand: Callable[[], _ValueFn]) -> _ValueFn:
        """Parses operands between left-associative operators of one precedence.

        All operators of the chain are evaluated in one function, so that long chains need no deep recursion.
        """
        first, rest = operand(), list[tuple[str, _ValueFn]]()
        while self.kind == "sign" and self.token in signs:
            sign = self.token
            self.advance()
            rest.append((sign, operand()))
        return _binary_chain(first, rest) if rest else first

    def unary(self) -> _ValueFn:
        self.depth += 1
        if self.depth > MAX_EXPRESSION_DEPTH:
            message = f"the expression {short_name(self.text)} nests deeper than {MAX_EXPRESSION_DEPTH} levels"
            raise ExpressionError(message, "compute parts of it as parameters")
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
            raise ExpressionError(f"{name!r} is not a function", f"the functions are {' and '.join(FUNCTIONS)}")
        self.names.add(name)
        return _lookup(name)

    def call(self, name: str) -> _ValueFn:
        self.expect_sign("(")
        arguments = [self.sum()]
        while self.kind == "sign" and self.token == ",":
            self.advance()
            arguments.append(self.sum())
        self.expect_sign(")")
        function = FUNCTIONS[name]
        return lambda values: function(_require_numbers(name, *(argument(values) for argument in arguments)))


# -- evaluation --------------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[[list[int | float]], int | float]] = {"min": min, "max": max}


def _power(base: int | float, exponent: int | float) -> Json:
    """Returns base ** exponent. Raises ExpressionError before it computes a huge integer."""
    bits = abs(base).bit_length() if isinstance(base, int) else 0
    if bits > 1 and isinstance(exponent, int) and exponent * (bits - 1) > 64:
        raise ExpressionError(f"{base} ** {exponent} is out of range for a 64-bit integer")
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
    return _checked_range(int(text) if text.isdecimal() else float(text), text)


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


def _indexing(value: _ValueFn, index_fn: _ValueFn) -> _ValueFn:
    def item(values: Values) -> Json:
        array, index = value(values), index_fn(values)
        if not isinstance(array, list):
            raise ExpressionError(f"[ ] needs an array, got {_type_phrase(array)}", "write the name without [ ]")
        if isinstance(index, bool) or not isinstance(index, int):
            raise ExpressionError(f"[ ] needs an integer as index, got {_type_phrase(index)}", "round down with //")
        if not 0 <= index < len(array):
            message = f"there is no item {index}: the array has {len(array)} items, counted from 0"
            raise ExpressionError(message, f"the last is {len(array) - 1}" if array else None)
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
                help = "divide by a number that cannot be 0, such as max(1, ...)"
                raise ExpressionError(f"{left} {sign} {right} divides by zero", help) from None
            except OverflowError:
                raise ExpressionError(f"{left} {sign} {right} is out of range") from None
            result = _checked_range(result, f"{left} {sign} {right}")
        return result

    return value


def _checked_range(value: Json, text: str) -> int | float:
    """Returns a number that is in range. Raises ExpressionError with the `text` of its computation if it is not."""
    if isinstance(value, int) and abs(value) < INTEGER_LIMIT:
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, complex):
        raise ExpressionError(f"{text} is not a real number")
    shown = text if len(text) <= 60 else f"{text[:40]}..."
    type_phrase = "a 64-bit integer" if isinstance(value, int) else "a float"
    raise ExpressionError(f"{shown} is out of range for {type_phrase}")


def _require_numbers(sign: str, *values: Json) -> list[int | float]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ExpressionError(f"{sign} needs numbers, got {_type_phrase(value)}", _number_help(value))
    return list(values)


def _type_phrase(value: Json) -> str:
    phrases = {bool: "true or false", int: "an integer", float: "a float", str: "a string", list: "an array"}
    return phrases.get(type(value), "null" if value is None else "an object")
