"""Evaluates JSON values that contain expressions. Equal lists and objects are interned, and their size is limited."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple, NoReturn

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...core.fixes import Suggestion
from ...core.limits import MAX_EXPRESSION_STEPS, MAX_JSON_DEPTH, MAX_JSON_VALUES
from ..schema.phrases import known_names_help, short_name
from ..schema.schema import REPETITION_KEYS
from .expression_parser import NAME_HINTS
from .expression_values import Values
from .expressions import (
    INDEX,
    UnknownNames,
    evaluate_text,
    has_expressions,
    names_in,
    names_in_invalid,
    with_name_replaced,
)
from .operations import ExpressionError, TooManySteps, Workspace
from .template import BlockUse, block_use_notes

MAX_VALUE_DEPTH = MAX_JSON_DEPTH - 8
"""Levels of one value: less than the limit of a document, since the value is inside a layer of it."""


HELP = "`jsonnx explain invalid-expression` shows what an expression may contain"


class ValueSize(NamedTuple):
    """The size of a value: the number of values in it (long strings count as several) and the levels of nesting."""

    value_count: int
    depth: int


class ExpansionTooLarge(Exception):
    """The expansion was stopped because it exceeds a limit, which has been reported."""


class EvaluationScope(NamedTuple):
    """The context of an evaluation."""

    block_use: BlockUse | None = None
    invalid_names: frozenset[str] = frozenset()
    """Parameters whose values are invalid, which has been reported already."""

    @property
    def notes(self) -> tuple[tuple[JsonPath, str], ...]:
        return block_use_notes(self.block_use)


TOP_LEVEL_SCOPE = EvaluationScope()


class Evaluator:
    """Evaluates the values of one document.

    Values of parameters are inserted without a copy, and equal lists and objects that result from evaluation are one
    object. So results about a value (its size, templates made with it) can be cached by identity.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.global_names: frozenset[str] = frozenset()
        """The parameters of the network, which blocks can read."""
        self.meant_names: set[str] = set()
        """The parameters that misspelled names probably stand for."""
        self._reported_names: set[tuple[str | None, str]] = set()
        """The unknown names, by block or None, that were reported where they are used first."""
        self._workspace = Workspace(self._intern)
        self._names: dict[int, frozenset[str] | None] = {}
        self._measures: dict[int, ValueSize] = {}
        self._interned: dict[Hashable, Json] = {}

    def names(self, raw: Json) -> frozenset[str] | None:
        """The names that the expressions in a value use; None if it contains no expressions.

        Of an invalid expression, these are all names that occur in it.
        """
        if isinstance(raw, str):
            try:
                return names_in(raw) if has_expressions(raw) else None
            except ExpressionError:
                return names_in_invalid(raw)
        if not isinstance(raw, (list, dict)):
            return None
        if id(raw) not in self._names:
            items = raw.values() if isinstance(raw, dict) else raw
            candidates = [
                item for item in items if isinstance(item, (list, dict)) or (isinstance(item, str) and "${" in item)
            ]
            names_of_items = [names for names in map(self.names, candidates) if names is not None]
            self._names[id(raw)] = frozenset().union(*names_of_items) if names_of_items else None
        return self._names[id(raw)]

    def evaluate(
        self,
        raw: Json,
        values: Values,
        path: JsonPath,
        invalid_paths: list[JsonPath],
        scope: EvaluationScope = TOP_LEVEL_SCOPE,
    ) -> Json:
        """The value of `raw`, which is written at a path. Errors are reported, and their paths appended."""
        if isinstance(raw, str):
            return self._evaluate_text(raw, values, path, invalid_paths, scope) if has_expressions(raw) else raw
        if not isinstance(raw, (list, dict)) or self.names(raw) is None:
            return raw
        self.spend(len(raw), path, scope)
        result: Json
        if isinstance(raw, list):
            result = [self.evaluate(item, values, (*path, at), invalid_paths, scope) for at, item in enumerate(raw)]
        else:
            result = {key: self.evaluate(item, values, (*path, key), invalid_paths, scope) for key, item in raw.items()}
        return self._checked_size(self._intern(result), path, invalid_paths, scope)

    def _intern(self, value: Json) -> Json:
        """The one object for all lists or objects whose items are equal; the items are interned already."""
        return self._interned.setdefault(_intern_key(value), value)

    def _checked_size(self, value: Json, path: JsonPath, invalid_paths: list[JsonPath], scope: EvaluationScope) -> Json:
        """A value; None if it is too large or too deep, which is reported."""
        size = self.measure(value)
        if size.value_count <= MAX_JSON_VALUES and size.depth <= MAX_VALUE_DEPTH:
            return value
        code = "too-large" if size.value_count > MAX_JSON_VALUES else "too-deep"
        limit = f"{MAX_JSON_VALUES:,} values" if code == "too-large" else f"{MAX_VALUE_DEPTH} levels"
        self.report.add(code, path, f"the value has more than {limit}", notes=scope.notes)
        invalid_paths.append(path)
        return None

    def _evaluate_text(
        self, raw: str, values: Values, path: JsonPath, invalid_paths: list[JsonPath], scope: EvaluationScope
    ) -> Json:
        is_reported = self.report.has_errors(path)  # for another use of the block, or another repetition
        try:
            value = evaluate_text(raw, values, self._workspace)
            return self._checked_size(value, path, invalid_paths, scope) if isinstance(value, list) else value
        except TooManySteps:
            self._stop(path, scope)
        except UnknownNames as error:
            block = scope.block_use.block.name if scope.block_use else None
            names = [name for name in error.names if name not in scope.invalid_names]
            names = [name for name in names if name == INDEX or (block, name) not in self._reported_names]
            self._reported_names.update((block, name) for name in names[:1])
            if names and not is_reported:
                message = f"there is no parameter {short_name(names[0])}"
                help = self._unknown_name_help(names, raw, values, path, scope)
                self.meant_names.update(*(self.report.similar_words(name, values) for name in names))
                self.report.add("unknown-name", path, message, help=help, notes=scope.notes)
        except ExpressionError as error:
            if not is_reported:
                self.report.add("invalid-expression", path, str(error), help=error.help or HELP, notes=scope.notes)
        invalid_paths.append(path)
        return raw

    def _unknown_name_help(
        self, names: list[str], raw: str, values: Values, path: JsonPath, scope: EvaluationScope
    ) -> str | Suggestion:
        """The help for the first of the unknown names in an expression, with a replacement for all."""
        name = names[0]
        if name == INDEX and path[-1] in REPETITION_KEYS:
            return f"'{path[-1]}' has one value for all copies; a block may take the index as a parameter, and use it"
        if name == INDEX:
            return "only an entry with `repeat` has an `index`"
        if scope.block_use and name in self.global_names:
            return f'a block reads the parameters of the network that it lists: "globals": ["{name}"]'
        if name in NAME_HINTS:
            return NAME_HINTS[name]
        suggestion = self.report.suggestion(name, values)
        if suggestion is None:
            return known_names_help([*map(short_name, values)]) if values else "there are no parameters here"
        similar = {each: self.report.similar_words(each, values) for each in names}
        if any(len(words) != 1 for words in similar.values()):
            return suggestion.text
        text = raw
        for each, words in similar.items():
            text = with_name_replaced(text, each, words[0])
        return suggestion._replace(old=raw, replacements=(text,))

    def spend(self, steps: int, path: JsonPath, scope: EvaluationScope) -> None:
        """Counts steps. Reports an error and raises ExpansionTooLarge if there are too many."""
        try:
            self._workspace.spend(steps)
        except TooManySteps:
            self._stop(path, scope)

    def _stop(self, path: JsonPath, scope: EvaluationScope) -> NoReturn:
        message = f"the expressions and patterns take more than {MAX_EXPRESSION_STEPS:,} steps"
        self.report.add("too-large", path, message, help="use fewer repetitions", notes=scope.notes)
        raise ExpansionTooLarge

    def entry_value_count(self, body: Json) -> int:
        """The number of values in an entry. The entry is not interned, but its values are."""
        return sum(self.measure(value).value_count for value in body.values()) if isinstance(body, dict) else 1

    def measure(self, value: Json) -> ValueSize:
        """The size of a value, cached by identity."""
        if isinstance(value, str):
            return ValueSize(1 + len(value) // 64, 0)
        if not isinstance(value, (list, dict)):
            return ValueSize(1, 0)
        if id(value) not in self._measures:
            parts = [self.measure(item) for item in (value.values() if isinstance(value, dict) else value)]
            value_count = 1 + sum(part.value_count for part in parts)
            depth = 1 + max((part.depth for part in parts), default=0)
            self._measures[id(value)] = ValueSize(value_count, depth)
        return self._measures[id(value)]


def identity_key(value: Json) -> Hashable:
    """A key that is equal for equal values, provided that lists and objects are interned."""
    return id(value) if isinstance(value, (list, dict)) else (type(value), value)


def _intern_key(value: Json) -> Hashable:
    """A key that is equal for equal lists or objects whose items are interned."""
    if isinstance(value, list):
        return tuple(map(identity_key, value))
    return tuple((key, identity_key(item)) for key, item in value.items()), None
