"""Values with expressions in them, computed: equal ones are one object, and none is larger than a document may be."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ..json_reader import STANDARD
from ..schema.phrases import quoted
from .expressions import ExpressionError, UnknownName, Values, evaluated, has_expressions, names_in
from .template import Frame, notes_of

DEEPEST = STANDARD.depth - 8
"""Levels of one value: it stands in a layer of a document."""


class Measure(NamedTuple):
    """How much a value is: values in it, longer strings counting more, and levels."""

    weight: int
    depth: int


class Site(NamedTuple):
    """Where values are computed: in which use of a block, and names that nobody is to complain of."""

    frame: Frame | None = None
    broken: frozenset[str] = frozenset()

    @property
    def notes(self) -> tuple[tuple[JsonPath, str], ...]:
        return notes_of(self.frame)


TOP = Site()


class Evaluator:
    """Computes the values of one document.

    A value that is put in is not copied: a list that stands in many places is one object, and so are equal lists that
    were made, so that what is known of one (its size, what was made with it) is known of all.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self._names: dict[int, frozenset[str] | None] = {}
        self._measures: dict[int, Measure] = {}
        self._made: dict[Hashable, Json] = {}

    def names(self, written: Json) -> frozenset[str] | None:
        """The names that a value's expressions use; None where it has no expressions."""
        if isinstance(written, str):
            try:
                return names_in(written) if has_expressions(written) else None
            except ExpressionError:
                return frozenset()
        if not isinstance(written, (list, dict)):
            return None
        known = self._names
        if id(written) not in known:
            items = written.values() if isinstance(written, dict) else written
            parts = [
                item for item in items if isinstance(item, (list, dict)) or (isinstance(item, str) and "${" in item)
            ]
            found = [names for names in map(self.names, parts) if names is not None]
            known[id(written)] = frozenset().union(*found) if found else None
        return known[id(written)]

    def value(self, written: Json, values: Values, path: JsonPath, wrong: list[JsonPath], site: Site = TOP) -> Json:
        """The value of what is written at a path. Faults are reported there, and their paths added to `wrong`."""
        if isinstance(written, str):
            return self._text(written, values, path, wrong, site) if has_expressions(written) else written
        if not isinstance(written, (list, dict)) or self.names(written) is None:
            return written
        made: Json
        if isinstance(written, list):
            made = [self.value(item, values, (*path, at), wrong, site) for at, item in enumerate(written)]
        else:
            made = {key: self.value(item, values, (*path, key), wrong, site) for key, item in written.items()}
        made = self._made.setdefault(_key(made), made)
        measure = self.measure(made)
        if measure.weight > STANDARD.values or measure.depth > DEEPEST:
            code = "too-large" if measure.weight > STANDARD.values else "too-deep"
            limit = f"{STANDARD.values:,} values" if code == "too-large" else f"{DEEPEST} levels"
            self.report.add(code, path, f"the value has more than {limit}", notes=site.notes)
            wrong.append(path)
            return None
        return made

    def _text(self, written: str, values: Values, path: JsonPath, wrong: list[JsonPath], site: Site) -> Json:
        told = self.report.errors(path)  # with the values of another use, or of another repetition
        try:
            return evaluated(written, values)
        except UnknownName as error:
            if error.name not in site.broken and not told:
                help = self.report.suggestion(error.name, values) or _known(values)
                if error.name == "index":
                    help = "index counts the repetitions of an entry that has a `repeat`"
                self.report.add("unknown-name", path, str(error), help=help, notes=site.notes)
        except ExpressionError as error:
            if not told:
                self.report.add("invalid-expression", path, str(error), notes=site.notes)
        wrong.append(path)
        return written

    def weight(self, body: Json) -> int:
        """How much an entry is, which is one object for each time that it is read."""
        return sum(self.measure(value).weight for value in body.values()) if isinstance(body, dict) else 1

    def measure(self, value: Json) -> Measure:
        if isinstance(value, str):
            return Measure(1 + len(value) // 64, 0)
        if not isinstance(value, (list, dict)):
            return Measure(1, 0)
        if id(value) not in self._measures:
            parts = [self.measure(item) for item in (value.values() if isinstance(value, dict) else value)]
            weight, depth = 1 + sum(part.weight for part in parts), 1 + max((part.depth for part in parts), default=0)
            self._measures[id(value)] = Measure(weight, depth)
        return self._measures[id(value)]


def _known(values: Values) -> str:
    return f"there are: {', '.join(map(quoted, list(values)[:20]))}" if values else "there are no parameters here"


def identity(value: Json) -> Hashable:
    """What tells a value from others, where equal lists are one object."""
    return id(value) if isinstance(value, (list, dict)) else (type(value), value)


def _key(made: Json) -> Hashable:
    if isinstance(made, list):
        return tuple(map(identity, made))
    return tuple((key, identity(item)) for key, item in made.items()), None
