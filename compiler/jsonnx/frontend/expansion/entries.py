"""Expands the entries of a scope into steps, one per copy, with the expressions in them evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...core.limits import MAX_LAYERS
from ..schema.schema import REPETITION_KEYS
from .evaluator import EvaluationScope, Evaluator
from .expression_values import Values
from .expressions import INDEX
from .repetition import RepetitionReader
from .template import Entry, Step


class EntryCounter(Protocol):
    """Counts the expanded entries of a document."""

    def count_entry(self, path: JsonPath) -> None:
        """Reports an error and raises ExpansionTooLarge if there are too many."""


class EntryExpander:
    """Expands the entries of one scope."""

    def __init__(self, counter: EntryCounter, evaluator: Evaluator, values: Values, scope: EvaluationScope) -> None:
        self.counter, self.evaluator, self.values, self.scope = counter, evaluator, values, scope
        self.repetitions = RepetitionReader(evaluator, values, scope)
        self.remaining_layers: int = MAX_LAYERS

    def expand(self, raw: Json, path: JsonPath) -> Entry:
        """An entry with its copies. Copies without `index` share one body."""
        if not isinstance(raw, dict):
            return Entry(path, {}, steps=[Step(path, raw)])
        repetition = self.repetitions.read(raw, path)
        index_values = {INDEX: 0} if "repeat" in raw else {}
        if not repetition.copy_count:
            has_name = INDEX not in (self.evaluator.names(raw.get("name")) or ())  # else each copy has one
            keys = ("name", "from") if has_name else ("from",)
            step = self._make_step({key: raw[key] for key in keys if key in raw}, path, index_values)
            step.is_elided = True
            return Entry(path, raw, repetition, [step])
        step_count = repetition.copy_count if repetition.copy_count <= self.remaining_layers else 1
        self.remaining_layers -= step_count
        first = self._make_step(raw, path, index_values)
        if index_values and INDEX in (self.evaluator.names(raw) or ()):
            rest = [self._make_step(raw, path, {INDEX: index}) for index in range(1, step_count)]
        else:
            rest = [Step(path, first.body, invalid_paths=list(first.invalid_paths)) for _ in range(1, step_count)]
        steps = [first, *rest]
        for step in steps if not repetition.has_valid_sources else ():
            step.invalid_paths.append((*path, "from"))
        for number, step in enumerate(steps, 1):
            step.later_repetitions = repetition.copy_count - number
        return Entry(path, raw, repetition, steps)

    def _make_step(self, raw: Mapping[str, Json], path: JsonPath, extra_values: Values) -> Step:
        """A step whose body is the entry with its expressions evaluated, without the keys of its repetition."""
        self.counter.count_entry(path)
        invalid_paths: list[JsonPath] = []
        values = {**self.values, **extra_values} if extra_values else self.values
        body = {
            key: self.evaluator.evaluate(value, values, (*path, key), invalid_paths, self.scope)
            for key, value in raw.items()
            if key not in REPETITION_KEYS
        }
        return Step(path, body, invalid_paths=invalid_paths)
