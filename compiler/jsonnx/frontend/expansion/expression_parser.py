"""The grammar of expressions: a parser that returns functions.

    choice      = disjunction [ "if" disjunction "else" choice ]
    disjunction = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | comparison
    comparison  = sum { ("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in") sum }
    sum         = product { ("+" | "-") product }
    product     = unary { ("*" | "/" | "//" | "%") unary }
    unary       = "-" unary | power
    power       = item [ "**" unary ]
    item        = value { "[" choice "]" }
    value       = number | string | "true" | "false" | "null" | name | name "(" list ")" | "(" choice ")" | "[" list "]"
    list        = [ choice { "," choice } ]

The meaning is Python's, except that conditions must be true or false, and an index must not be negative.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

from ...core.components import Json
from ...core.limits import MAX_EXPRESSION_DEPTH
from ..schema.phrases import short_name
from .operations import (
    FUNCTIONS,
    ExpressionError,
    Function,
    Workspace,
    arithmetic,
    checked_range,
    compare,
    item_at,
    require_condition,
)

Values = Mapping[str, Json]

ValueFn = Callable[[Values, Workspace], Json]
"""The value of a part of an expression, for values of its names."""

Place = tuple[str, int]
"""An expression and the offset of a token in it."""

_Operation = tuple[str, Place, ValueFn]
"""A binary operator, its place, and its right operand."""

CONSTANTS: dict[str, Json] = {"true": True, "false": False, "null": None}

WORDS = ("and", "else", "if", "in", "not", "or", *CONSTANTS)
"""Words of the grammar, which cannot be names."""

_TOKEN = (
    r"[ \t]*(?:(?P<number>(?:[0-9]+\.[0-9]*|\.?[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>\*\*|//|[=!<>]=|[-+*/%<>()\[\],])|(?P<string>'[^']*'|\"[^\"]*\")"
    r"|(?P<end>$)|(?P<other>&&|\|\||[\w.]+|.))"
)

_NEGATION_LEVEL, _COMPARISON_LEVEL, _UNARY_LEVEL = 2, 3, 6

_LEVELS = {
    "or": 0,
    "and": 1,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in", "not in"), _COMPARISON_LEVEL),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "//", "%"), 5),
}
"""The precedence of binary operators: higher levels bind tighter."""

_HINTS = {
    "=": "write == to compare",
    "&&": "write `and`",
    "||": "write `or`",
    "!": "write `not`",
    "?": "write `a if condition else b`",
    "^": "write ** for a power",
    "(": "write * to multiply",
    "x": "write * to multiply",
    ".": "names have no attributes: use a parameter of its own",
    "'": "a string needs a second quotation mark",
    '"': "a string needs a second quotation mark",
    "$": "write ${ only once, around the whole expression",
    "{": "only arrays in [ ] can be written in an expression",
}
"""Help for tokens of other languages."""

NAME_HINTS = {"True": "write `true`", "False": "write `false`", "None": "write `null`"} | {
    name: f"write {function.call}" for name, function in FUNCTIONS.items()
}
"""Help for names other than parameters."""


class ExpressionParser:
    """A parser of one expression; `kind` and `token` are the current token, which begins at `offset`."""

    def __init__(self, text: str) -> None:
        self.text, self.names, self.depth, self.token_count = text, dict[str, None](), 0, 0
        self.tokens: Iterator[re.Match[str]] = re.finditer(_TOKEN, text, re.DOTALL)
        self.next_token = next(self.tokens)
        self.advance()

    def parse(self) -> ValueFn:
        """The value of the whole expression. Raises ExpressionError."""
        value = self.choice()
        if self.kind != "end":
            self.fail_expected("an operator or the end")
        return value

    def advance(self) -> None:
        token, self.next_token = self.next_token, next(self.tokens, self.next_token)
        self.kind = str(token.lastgroup)
        self.token, self.offset = token[self.kind], token.start(self.kind)
        if self.kind == "string":
            self.token = self.token[1:-1]
        elif self.token in WORDS:
            self.kind = "operator"
            if self.token == "not" and self.next_token["name"] == "in":
                self.token, self.next_token = "not in", next(self.tokens)
        self.token_count += 1

    def fail_expected(self, expected: str) -> NoReturn:
        actual = "the end" if self.kind == "end" else repr(self.token)
        place = f"at character {self.offset + 1} of {self.text!r}"
        raise ExpressionError(
            f"expected {expected} {place}, found {actual}",
            _HINTS.get("." if self.token.startswith(".") else self.token),
        )

    def place(self) -> Place:
        return self.text, self.offset

    def takes(self, operator: str) -> bool:
        """Passes over an operator, word or bracket; returns whether it is there."""
        is_there = self.kind == "operator" and self.token == operator
        if is_there:
            self.advance()
        return is_there

    def expect(self, operator: str) -> None:
        if not self.takes(operator):
            self.fail_expected(repr(operator))

    def enter(self) -> None:
        """Counts a level of nesting. Raises ExpressionError if there are too many."""
        self.depth += 1
        if self.depth > MAX_EXPRESSION_DEPTH:
            message = f"the expression {short_name(self.text)} nests deeper than {MAX_EXPRESSION_DEPTH} levels"
            raise ExpressionError(message, "compute a part of it as another parameter")

    # -- operators ---------------------------------------------------------------------------------------------------

    def choice(self) -> ValueFn:
        cases: list[tuple[Place, ValueFn, ValueFn]] = []
        value, place = self.binary(0), self.place()
        while self.takes("if"):
            cases.append((place, self.binary(0), value))
            self.expect("else")
            value, place = self.binary(0), self.place()
        return _choice(cases, value) if cases else value

    def binary(self, min_level: int) -> ValueFn:
        """Parses operands between operators of `min_level` or higher.

        All operators of a chain are evaluated in one function, so that long chains need no deep recursion.
        """
        value = self.operand(min_level)
        while (level := self.level()) >= min_level:
            rest: list[_Operation] = []
            while self.level() == level:
                operator, place = self.token, self.place()
                self.advance()
                rest.append((operator, place, self.binary(level + 1)))
            value = _CHAINS.get(level, _arithmetic)(value, rest)
        return value

    def level(self) -> int:
        """The level of the current token; -1 if it is no binary operator."""
        return _LEVELS.get(self.token, -1) if self.kind == "operator" else -1

    def operand(self, min_level: int) -> ValueFn:
        self.enter()
        place = self.place()
        if min_level <= _NEGATION_LEVEL and self.takes("not"):
            value = _opposite(place, self.binary(_NEGATION_LEVEL))
        elif self.takes("-"):
            value = _arithmetic(_constant(0), [("-", place, self.operand(_UNARY_LEVEL))])
        else:
            value = self.power()
        self.depth -= 1
        return value

    def power(self) -> ValueFn:
        base, place = self.item(), self.place()
        return _arithmetic(base, [("**", place, self.operand(_UNARY_LEVEL))]) if self.takes("**") else base

    # -- items -------------------------------------------------------------------------------------------------------

    def item(self) -> ValueFn:
        value, place = self.value(), self.place()
        while self.takes("["):
            value = _indexing(place, value, self.choice())
            self.expect("]")
            place = self.place()
        return value

    def value(self) -> ValueFn:
        kind, token, place = self.kind, self.token, self.place()
        if self.takes("("):
            value = self.choice()
            self.expect(")")
            return value
        if self.takes("["):
            return _array(place, self.list("]"))
        if kind not in ("number", "string", "name") and token not in CONSTANTS:
            self.fail_expected("a number, a name or '('")
        self.advance()
        if kind == "name":
            return self.call(token, place) if self.takes("(") else self.variable(token)
        return _constant(token if kind == "string" else CONSTANTS[token] if kind != "number" else _number(token, place))

    def variable(self, name: str) -> ValueFn:
        self.names[name] = None
        return lambda values, workspace: values[name]

    def call(self, name: str, place: Place) -> ValueFn:
        function = FUNCTIONS.get(name)
        if function is None:
            help = f"the functions are {', '.join(FUNCTIONS)}"
            raise ExpressionError(f"{name!r} is not a function", help).at(*place)
        arguments = self.list(")")
        if not function.min_arguments <= len(arguments) <= (function.max_arguments or len(arguments)):
            message = f"{name} cannot have {len(arguments)} arguments"
            raise ExpressionError(message, f"write {function.call}").at(*place)
        return _call(place, function, arguments)

    def list(self, end: str) -> Sequence[ValueFn]:
        """Parses values between commas, and the bracket after them."""
        items = list[ValueFn]()
        if not self.takes(end):
            items.append(self.choice())
            while self.takes(","):
                items.append(self.choice())
            self.expect(end)
        return items


# -- values of parts ---------------------------------------------------------------------------------------------------


def _constant(value: Json) -> ValueFn:
    return lambda values, workspace: value


def _number(text: str, place: Place) -> Json:
    try:
        return checked_range(int(text) if text.isdecimal() else float(text), text)
    except ExpressionError as error:
        raise error.at(*place) from None


def _array(place: Place, items: Sequence[ValueFn]) -> ValueFn:
    def array(values: Values, workspace: Workspace) -> Json:
        return workspace.array([item(values, workspace) for item in items])

    return array


def _indexing(place: Place, array_fn: ValueFn, index_fn: ValueFn) -> ValueFn:
    def item(values: Values, workspace: Workspace) -> Json:
        array, index = array_fn(values, workspace), index_fn(values, workspace)
        try:
            return item_at(array, index)
        except ExpressionError as error:
            raise error.at(*place) from None

    return item


def _call(place: Place, function: Function, arguments: Sequence[ValueFn]) -> ValueFn:
    def result(values: Values, workspace: Workspace) -> Json:
        inputs = [argument(values, workspace) for argument in arguments]
        try:
            return checked_range(function.value(workspace, *inputs), "the result")
        except ExpressionError as error:
            raise error.at(*place) from None

    return result


def _arithmetic(first: ValueFn, rest: Sequence[_Operation]) -> ValueFn:
    def result(values: Values, workspace: Workspace) -> Json:
        left = first(values, workspace)
        for operator, place, part in rest:
            right = part(values, workspace)
            try:
                left = arithmetic(operator, left, right)
            except ExpressionError as error:
                raise error.at(*place) from None
        return left

    return result


def _comparisons(first: ValueFn, rest: Sequence[_Operation]) -> ValueFn:
    """Of `a < b < c`: whether all comparisons hold, up to the first that does not."""

    def holds(values: Values, workspace: Workspace) -> bool:
        left = first(values, workspace)
        for operator, place, part in rest:
            right = part(values, workspace)
            try:
                if not compare(workspace, operator, left, right):
                    return False
            except ExpressionError as error:
                raise error.at(*place) from None
            left = right
        return True

    return holds


def _any_or_all(first: ValueFn, rest: Sequence[_Operation]) -> ValueFn:
    """Of `a or b or c`, or of `a and b and c`: conditions up to the first that decides."""
    parts = [(rest[0][0], rest[0][1], first), *rest]

    def holds(values: Values, workspace: Workspace) -> bool:
        for operator, place, part in parts:
            condition = require_condition(operator, part(values, workspace), place)
            if condition == (operator == "or"):
                break
        return condition

    return holds


def _opposite(place: Place, condition: ValueFn) -> ValueFn:
    return lambda values, workspace: not require_condition("not", condition(values, workspace), place)


def _choice(cases: Sequence[tuple[Place, ValueFn, ValueFn]], otherwise: ValueFn) -> ValueFn:
    def chosen(values: Values, workspace: Workspace) -> Json:
        for place, condition, value in cases:
            if require_condition("if", condition(values, workspace), place):
                return value(values, workspace)
        return otherwise(values, workspace)

    return chosen


_CHAINS = {0: _any_or_all, 1: _any_or_all, _COMPARISON_LEVEL: _comparisons}
"""The function that evaluates the operators of a level; the others are arithmetic."""
