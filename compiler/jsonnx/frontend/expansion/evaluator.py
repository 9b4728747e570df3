"""Values with expressions in them, computed: equal ones are one object, and none is larger than a document may be."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ..json_reader import DEFAULT_LIMITS
from ..schema.phrases import short_name
from .expressions import ExpressionError, UnknownName, Values, evaluate_text, has_expressions, names_in
from .template import BlockUse, block_use_notes

MAX_VALUE_DEPTH = DEFAULT_LIMITS.max_depth - 8
"""Levels of one value: it stands in a layer of a document."""


class ValueSize(NamedTuple):
    """How much a value is: values in it, longer strings counting more, and levels."""

    value_count: int
    depth: int


class EvaluationScope(NamedTuple):
    """Where values are computed: in which use of a block, and names that nobody is to complain of."""

    block_use: BlockUse | None = None
    invalid_names: frozenset[str] = frozenset()

    @property
    def notes(self) -> tuple[tuple[JsonPath, str], ...]:
        return block_use_notes(self.block_use)


TOP_LEVEL_SCOPE = EvaluationScope()


class Evaluator:
    """Computes the values of one document.

    A value that is put in is not copied: a list that stands in many places is one object, and so are equal lists that
    were made, so that what is known of one (its size, what was made with it) is known of all.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self._names: dict[int, frozenset[str] | None] = {}
        self._measures: dict[int, ValueSize] = {}
        self._interned: dict[Hashable, Json] = {}

    def names(self, raw: Json) -> frozenset[str] | None:
        """The names that a value's expressions use; None where it has no expressions."""
        if isinstance(raw, str):
            try:
                return names_in(raw) if has_expressions(raw) else None
            except ExpressionError:
                return frozenset()
        if not isinstance(raw, (list, dict)):
            return None
        known = self._names
        if id(raw) not in known:
            items = raw.values() if isinstance(raw, dict) else raw
            parts = [
                item for item in items if isinstance(item, (list, dict)) or (isinstance(item, str) and "${" in item)
            ]
            found = [names for names in map(self.names, parts) if names is not None]
            known[id(raw)] = frozenset().union(*found) if found else None
        return known[id(raw)]

    def evaluate(
        self,
        raw: Json,
        values: Values,
        path: JsonPath,
        invalid_paths: list[JsonPath],
        scope: EvaluationScope = TOP_LEVEL_SCOPE,
    ) -> Json:
        """The value of what is written at a path. Faults are reported there, and their paths added to `invalid_paths`."""
        if isinstance(raw, str):
            return self._evaluate_text(raw, values, path, invalid_paths, scope) if has_expressions(raw) else raw
        if not isinstance(raw, (list, dict)) or self.names(raw) is None:
            return raw
        made: Json
        if isinstance(raw, list):
            made = [self.evaluate(item, values, (*path, at), invalid_paths, scope) for at, item in enumerate(raw)]
        else:
            made = {key: self.evaluate(item, values, (*path, key), invalid_paths, scope) for key, item in raw.items()}
        made = self._interned.setdefault(_intern_key(made), made)
        measure = self.measure(made)
        if measure.value_count > DEFAULT_LIMITS.max_values or measure.depth > MAX_VALUE_DEPTH:
            code = "too-large" if measure.value_count > DEFAULT_LIMITS.max_values else "too-deep"
            limit = f"{DEFAULT_LIMITS.max_values:,} values" if code == "too-large" else f"{MAX_VALUE_DEPTH} levels"
            self.report.add(code, path, f"the value has more than {limit}", notes=scope.notes)
            invalid_paths.append(path)
            return None
        return made

    def _evaluate_text(
        self, raw: str, values: Values, path: JsonPath, invalid_paths: list[JsonPath], scope: EvaluationScope
    ) -> Json:
        told = self.report.has_errors(path)  # with the values of another use, or of another repetition
        try:
            return evaluate_text(raw, values)
        except UnknownName as error:
            if error.name not in scope.invalid_names and not told:
                help = self.report.suggestion(error.name, values) or _known_names_help(values)
                if error.name == "index":
                    help = "index counts the repetitions of an entry that has a `repeat`"
                self.report.add("unknown-name", path, str(error), help=help, notes=scope.notes)
        except ExpressionError as error:
            if not told:
                self.report.add("invalid-expression", path, str(error), notes=scope.notes)
        invalid_paths.append(path)
        return raw

    def entry_value_count(self, body: Json) -> int:
        """How much an entry is, which is one object for each time that it is read."""
        return sum(self.measure(value).value_count for value in body.values()) if isinstance(body, dict) else 1

    def measure(self, value: Json) -> ValueSize:
        if isinstance(value, str):
            return ValueSize(1 + len(value) // 64, 0)
        if not isinstance(value, (list, dict)):
            return ValueSize(1, 0)
        if id(value) not in self._measures:
            parts = [self.measure(item) for item in (value.values() if isinstance(value, dict) else value)]
            weight, depth = (
                1 + sum(part.value_count for part in parts),
                1 + max((part.depth for part in parts), default=0),
            )
            self._measures[id(value)] = ValueSize(weight, depth)
        return self._measures[id(value)]


def _known_names_help(values: Values) -> str:
    return f"there are: {', '.join(map(short_name, list(values)[:20]))}" if values else "there are no parameters here"


def identity_key(value: Json) -> Hashable:
    """What tells a value from others, where equal lists are one object."""
    return id(value) if isinstance(value, (list, dict)) else (type(value), value)


def _intern_key(value: Json) -> Hashable:
    if isinstance(value, list):
        return tuple(map(identity_key, value))
    return tuple((key, identity_key(item)) for key, item in value.items()), None
