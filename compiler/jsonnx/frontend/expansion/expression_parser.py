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
    item        = value { "[" ( choice | [ choice ] ":" [ choice ] ) "]" }
    value       = number | string | constant | name | name "(" list ")" | "(" choice ")" | "[" ( list | each ) "]"
    constant    = "true" | "false" | "null" | "pi"
    list        = [ choice { "," choice } ]
    each        = choice for { for }
    for         = "for" name "in" disjunction { "if" disjunction }

The meaning is Python's, except that conditions must be true or false, and indices must not be negative.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NoReturn

from ...core.components import Json
from ...core.limits import MAX_EXPRESSION_DEPTH
from ..schema.phrases import short_name
from .expression_values import (
    ForClause,
    Operation,
    Place,
    ValueFn,
    arithmetic_chain,
    array,
    call,
    choice,
    comparison_chain,
    comprehension,
    condition_chain,
    constant,
    indexing,
    negation,
    number,
    slicing,
)
from .operations import FUNCTIONS, ExpressionError

CONSTANTS: dict[str, Json] = {"true": True, "false": False, "null": None, "pi": math.pi}

WORDS = ("and", "else", "for", "if", "in", "not", "or", *CONSTANTS)
"""Words of the grammar, which cannot be names."""

_TOKEN = (
    r"[ \t]*(?:(?P<number>(?:[0-9]+\.[0-9]*|\.?[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>\*\*|//|[=!<>]=|[-+*/%<>()\[\],:])|(?P<string>'[^']*'|\"[^\"]*\")"
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

_CHAINS = {0: condition_chain, 1: condition_chain, _COMPARISON_LEVEL: comparison_chain}
"""The function that evaluates the operators of a level; the others are arithmetic."""

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
    "for": "write [ ] around it: [2 * x for x in array]",
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

    def is_at(self, operator: str) -> bool:
        """Whether the current token is this operator, word or bracket."""
        return self.kind == "operator" and self.token == operator

    def takes(self, operator: str) -> bool:
        """Passes over an operator, word or bracket; returns whether it is there."""
        is_there = self.is_at(operator)
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
        return choice(cases, value) if cases else value

    def binary(self, min_level: int) -> ValueFn:
        """Parses operands between operators of `min_level` or higher.

        All operators of a chain are evaluated in one function, so that long chains need no deep recursion.
        """
        value = self.operand(min_level)
        while (level := self.level()) >= min_level:
            rest: list[Operation] = []
            while self.level() == level:
                operator, place = self.token, self.place()
                self.advance()
                rest.append((operator, place, self.binary(level + 1)))
            value = _CHAINS.get(level, arithmetic_chain)(value, rest)
        return value

    def level(self) -> int:
        """The level of the current token; -1 if it is no binary operator."""
        return _LEVELS.get(self.token, -1) if self.kind == "operator" else -1

    def operand(self, min_level: int) -> ValueFn:
        self.enter()
        place = self.place()
        if min_level <= _NEGATION_LEVEL and self.takes("not"):
            value = negation(place, self.binary(_NEGATION_LEVEL))
        elif self.takes("-"):
            value = arithmetic_chain(constant(0), [("-", place, self.operand(_UNARY_LEVEL))])
        else:
            value = self.power()
        self.depth -= 1
        return value

    def power(self) -> ValueFn:
        base, place = self.item(), self.place()
        return arithmetic_chain(base, [("**", place, self.operand(_UNARY_LEVEL))]) if self.takes("**") else base

    # -- items -------------------------------------------------------------------------------------------------------

    def item(self) -> ValueFn:
        value, place = self.value(), self.place()
        while self.takes("["):
            value = self.indexed(value, place)
            self.expect("]")
            place = self.place()
        return value

    def indexed(self, value: ValueFn, place: Place) -> ValueFn:
        """Parses an index or a slice after its bracket."""
        start = constant(None) if self.is_at(":") else self.choice()
        if not self.takes(":"):
            return indexing(place, value, start)
        return slicing(place, value, start, constant(None) if self.is_at("]") else self.choice())

    def value(self) -> ValueFn:
        kind, token, place = self.kind, self.token, self.place()
        if self.takes("("):
            value = self.choice()
            self.expect(")")
            return value
        if self.takes("["):
            return self.array()
        if kind not in ("number", "string", "name") and token not in CONSTANTS:
            self.fail_expected("a number, a name or '('")
        self.advance()
        if kind == "name":
            return self.call(token, place) if self.takes("(") else self.variable(token)
        return constant(token if kind == "string" else CONSTANTS[token] if kind != "number" else number(token, place))

    def array(self) -> ValueFn:
        """Parses an array or a comprehension after its bracket."""
        names, self.names, first_token = self.names, {}, self.token_count
        items = self.list("]", "for")
        clauses: list[ForClause] = []
        while self.kind == "operator" and self.token == "for":
            clauses.append(self.for_clause({clause.name for clause in clauses}, names))
        if clauses:
            self.expect("]")
        own_names = {clause.name for clause in clauses}
        names.update((name, None) for name in self.names if name not in own_names)
        self.names = names
        return comprehension(items[0], clauses, self.token_count - first_token) if clauses else array(items)

    def for_clause(self, known: Collection[str], outer_names: dict[str, None]) -> ForClause:
        """Parses a clause of a comprehension. `known` are the names of the clauses before; other names of its array
        are added to `outer_names`."""
        self.expect("for")
        name, place = self.token, self.place()
        if self.kind != "name":
            self.fail_expected("a name")
        self.advance()
        self.expect("in")
        item_names, self.names = self.names, {}
        values = self.binary(0)
        outer_names.update((other, None) for other in self.names if other not in known)
        self.names, conditions = item_names, list[tuple[Place, ValueFn]]()
        while self.kind == "operator" and self.token == "if":
            condition_place = self.place()
            self.advance()
            conditions.append((condition_place, self.binary(0)))
        return ForClause(name, place, values, conditions)

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
        return call(place, function, arguments)

    def list(self, end: str, stop: str = "") -> Sequence[ValueFn]:
        """Parses values between commas, and the bracket after them; the word `stop` may follow the first value."""
        items = list[ValueFn]()
        if not self.takes(end):
            items.append(self.choice())
            if self.kind == "operator" and self.token == stop:
                return items
            while self.takes(","):
                items.append(self.choice())
            self.expect(end)
        return items
