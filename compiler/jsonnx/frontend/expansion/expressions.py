"""Texts with expressions, such as `conv_${4 * width}`: their parts, names and values.

    text = { character | "$${" | "${" choice "}" }

The grammar of a `choice` is in `expression_parser`. Length, depth, size and time are limited.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ...core.components import Json
from ...core.limits import MAX_EXPRESSION_CHARACTERS, MAX_EXPRESSION_TEXT_CHARACTERS
from .expression_parser import WORDS, ExpressionParser
from .expression_values import ValueFn, Values
from .operations import ExpressionError, Workspace, type_phrase

INDEX = "index"
"""The number of a copy, from 0, in the expressions of a repeated entry."""

RESERVED_NAMES = (*WORDS, INDEX)
"""Names that parameters must not have."""


class UnknownNames(ExpressionError):
    """An expression uses names that are not defined."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        super().__init__(f"there is no parameter {names[0]!r}")


class Expression(NamedTuple):
    """A parsed expression: the text between `${` and `}`, the names in it, and the function that evaluates it."""

    text: str
    names: tuple[str, ...]
    value: ValueFn
    token_count: int

    def evaluate(self, values: Values, workspace: Workspace) -> Json:
        """The value for values of the names. Raises ExpressionError, TooManySteps."""
        workspace.spend(self.token_count)
        unknown_names = [name for name in self.names if name not in values]
        if unknown_names:
            raise UnknownNames(unknown_names)
        return self.value(values, workspace)

    @property
    def sole_name(self) -> str | None:
        """The name, if the expression consists of nothing else."""
        return self.text.strip() if self.names == (self.text.strip(),) else None


TextParts = tuple[str | Expression, ...]
"""A string, split into text and expressions."""


def has_expressions(text: str) -> bool:
    return "${" in text


_EXPRESSION_START = re.compile(r"\$\$\{|\$\{")


@lru_cache(maxsize=10_000)
def parse_text(text: str) -> TextParts:
    """A string as text and parsed expressions. Raises ExpressionError."""
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


def sole_name(value: Json) -> str | None:
    """The name in a value that is one expression with only a name in it, such as `"${width}"`."""
    if not isinstance(value, str):
        return None
    try:
        parts = parse_text(value)
    except ExpressionError:
        return None
    return parts[0].sole_name if len(parts) == 1 and isinstance(parts[0], Expression) else None


def names_in(text: str) -> frozenset[str]:
    """The names that the expressions in a string use. Raises ExpressionError."""
    return frozenset().union(*(part.names for part in parse_text(text) if isinstance(part, Expression)))


def names_in_invalid(text: str) -> frozenset[str]:
    """The names that occur in the expressions of a string that cannot be parsed."""
    return frozenset(
        name for part in text.split("${")[1:] for name in re.findall(r"[A-Za-z_]\w*", part.partition("}")[0])
    )


def with_name_replaced(text: str, name: str, new_name: str) -> str:
    """A string with another name in place of a name in its expressions."""
    pattern = re.compile(rf"""\"[^"]*\"|'[^']*'|\b{re.escape(name)}\b""")
    return re.sub(
        r"\$\$\{|\$\{[^}]*",
        lambda part: pattern.sub(lambda word: new_name if word[0] == name else word[0], part[0]),
        text,
    )


def evaluate_text(text: str, values: Values, workspace: Workspace) -> Json:
    """The value of a string that is one expression, or else the string with values in place of expressions.

    Raises ExpressionError, TooManySteps.
    """
    parts = parse_text(text)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return parts[0].evaluate(values, workspace)
    texts, length = list[str](), 0
    for part in parts:
        texts.append(part if isinstance(part, str) else _to_text(part.evaluate(values, workspace)))
        length += len(texts[-1])
        if length > MAX_EXPRESSION_TEXT_CHARACTERS:
            raise ExpressionError(f"the text has more than {MAX_EXPRESSION_TEXT_CHARACTERS:,} characters")
    return "".join(texts)


def escape_expressions(value: Json) -> Json:
    """A value with `${` escaped in all strings, so that evaluation gives the original value."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [escape_expressions(item) for item in value]
    return {key: escape_expressions(item) for key, item in value.items()} if isinstance(value, dict) else value


def _to_text(value: Json) -> str:
    if isinstance(value, (list, dict)):
        help = "insert one of its items, such as ${x[0]}" if isinstance(value, list) else None
        raise ExpressionError(f"{type_phrase(value)} cannot be inserted into a text", help)
    return value if isinstance(value, str) else json.dumps(value)


@lru_cache(maxsize=10_000)
def parse_expression(text: str) -> Expression:
    """Parses an expression. Raises ExpressionError with the expected token and its position."""
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        help = "compute a part of it as another parameter"
        message = f"the expression has {len(text):,} characters, more than {MAX_EXPRESSION_CHARACTERS:,}"
        raise ExpressionError(message, help)
    parser = ExpressionParser(text)
    value = parser.parse()
    return Expression(text, tuple(parser.names), value, parser.token_count)
