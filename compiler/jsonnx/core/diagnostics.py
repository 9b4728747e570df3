"""What is wrong with an input, as data.

Comes in: a code, a message and the JSON path of the fault. Goes out: `Diagnostic`, and `CompileError` carrying a list
of them. Imports nothing of ours; rendering is `render`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Literal, NamedTuple

JsonPath = tuple[str | int, ...]
"""The way from the document's root to a value: keys and indexes."""

Severity = Literal["error", "warning"]


def path_text(path: JsonPath) -> str:
    """`('layers', 2, 'units')` as `$.layers[2].units`."""
    return "$" + "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" if step.isidentifier() else f"[{step!r}]" for step in path
    )


class Position(NamedTuple):
    """A place in a text, both counted from 1; columns count Unicode code points."""

    line: int
    column: int


@dataclass(frozen=True)
class Note:
    """A second place that belongs to a diagnostic, such as where a name was first defined."""

    message: str
    path: str = "$"
    file: str | None = None
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class Diagnostic:
    """One fault of one input. The message states it; only `help` suggests what to do."""

    code: str
    message: str
    path: str = "$"
    file: str | None = None
    line: int | None = None
    column: int | None = None
    help: str | None = None
    severity: Severity = "error"
    notes: tuple[Note, ...] = field(default=())

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = f"{place}: " if place else ""
        text += f"{self.severity}[{self.code}]: {self.message}"
        if self.path != "$":
            text += f" (at {self.path})"
        for note in self.notes:
            where = ":".join(str(part) for part in (note.file, note.line, note.column) if part is not None)
            text += f"; {note.message}" + (f" at {where}" if where else "")
        if self.help:
            text += f"; {self.help}"
        return text


class CompileError(Exception):
    """The input cannot be used; `diagnostics` says why, every fault of it."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = list(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))


class UsageError(Exception):
    """The machine or the call is at fault, not the input: a missing file, provider or package (exit status 2)."""

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        self.diagnostic = Diagnostic(code, message, help=help)
        super().__init__(str(self.diagnostic))


Locator = Callable[[JsonPath, bool], Position | None]
"""Finds the place of the value at a path, or, given True, of its key."""


class SourceLocation(NamedTuple):
    """Where something was written that stages see elsewhere: the place, what else belongs to it, and which of the parts
    it is that were made from that place."""

    path: JsonPath
    notes: tuple[tuple[JsonPath, str], ...] = ()
    instance: Hashable = None


SourceMap = Callable[[JsonPath, bool], SourceLocation]
"""Finds the origin of the value at a path, or, given True, of its key."""


def identity_source_map(path: JsonPath, key: bool) -> SourceLocation:
    """Everything stands where it was written."""
    return SourceLocation(path)


class Report:
    """Collects the faults of one document and gives each its place in the file.

    `has_errors(path)` answers whether anything at or below a path is already known to be wrong, so that later stages stay
    silent about what follows from it: one error a cause. Where the document was made from another one, `trace` leads
    to what was written; a fault that several parts share which were made from one place is told of the first.
    """

    def __init__(
        self, file: str | None = None, locator: Locator | None = None, source_map: SourceMap | None = None
    ) -> None:
        self.file = file
        self._locator: Locator = locator or (lambda path, key: None)
        self._source_map: SourceMap = source_map or identity_source_map
        self._first_instances: dict[tuple[JsonPath, str], Hashable] = {}
        self._reported_locations: set[JsonPath] = set()
        self._suppressed_paths: set[JsonPath] = set()
        self._diagnostics: dict[tuple[JsonPath, str, str], Diagnostic] = {}
        self._invalid_paths: set[JsonPath] = set()
        self._suggestion_budget = 50_000

    def add(
        self,
        code: str,
        path: JsonPath,
        message: str,
        *,
        help: str | None = None,
        at_key: bool = False,
        notes: Iterable[tuple[JsonPath, str]] = (),
        severity: Severity = "error",
    ) -> None:
        """Record a fault; a second one with the same path, code and message is dropped."""
        if severity == "error":
            self.mark_invalid(path)
        origin = self._source_map(path, at_key)
        place = origin.path
        told = place in self._reported_locations or any(
            path[:length] in self._suppressed_paths for length in range(1, len(path) + 1)
        )
        if told or self._first_instances.setdefault((place, code), origin.instance) != origin.instance:
            return
        line, column = self._locator(place, at_key) or (None, None)
        made = Diagnostic(code, message, path_text(place), self.file, line, column, help, severity)
        traced = [*((self._source_map(where, False).path, text) for where, text in notes), *origin.notes]
        made = replace(made, notes=tuple(self._note_at(where, text) for where, text in traced))
        self._diagnostics.setdefault((place, code, message), made)

    def mark_invalid(self, path: JsonPath) -> None:
        """What stands at a path is wrong, for a reason that is told elsewhere."""
        self._invalid_paths.update(path[:length] for length in range(len(path) + 1))

    def child(self, source_map: SourceMap, invalid_paths: Iterable[JsonPath]) -> Report:
        """A report on a document made from this one's: it tells the same and more, but no more of the places that are
        complained of. `invalid_paths` are the paths in that document that are wrong for what is told here."""
        made = Report(self.file, self._locator, source_map)
        made._reported_locations = {
            path for (path, _, _), known in self._diagnostics.items() if known.severity == "error"
        }
        made._suppressed_paths = set(invalid_paths)
        for path in made._suppressed_paths:
            made.mark_invalid(path)
        made._diagnostics = dict(self._diagnostics)
        return made

    def merge(self, child: Report) -> None:
        """Tell what a derived report tells."""
        self._diagnostics |= child._diagnostics
        if child.has_errors():
            self.mark_invalid(())

    def _note_at(self, path: JsonPath, message: str) -> Note:
        line, column = self._locator(path, False) or (None, None)
        return Note(message, path_text(path), self.file, line, column)

    def has_errors(self, below: JsonPath = ()) -> bool:
        return below in self._invalid_paths

    def suggestion(self, misspelled: str, known: Collection[str]) -> str | None:
        """As the function, but no more once it took long: a document may have any number of faults."""
        self._suggestion_budget -= len(known)
        return suggestion(misspelled, known) if self._suggestion_budget >= 0 else None

    def __iter__(self) -> Iterator[Diagnostic]:
        """In the order of the file."""
        return iter(sorted(self._diagnostics.values(), key=lambda d: (d.line or 0, d.column or 0)))

    def raise_errors(self) -> None:
        """Raises CompileError where there is an error."""
        if self.has_errors():
            raise CompileError(self)


def suggestion(misspelled: str, known: Iterable[str]) -> str | None:
    """`did you mean 'units'?`, where a known word is near: in spelling, by its initials, or as the only longer one."""
    by_lower: dict[str, str] = {}
    for word in known:
        by_lower.setdefault(word.lower(), word)
    lower = misspelled[:100].lower()
    near = get_close_matches(lower, by_lower, n=1, cutoff=0.6)
    if not near:
        near = [word for word in by_lower if len(lower) > 1 and lower == "".join(part[:1] for part in word.split("_"))]
    if not near:
        near = [word for word in by_lower if len(lower) > 3 and lower in word]
    return f"did you mean {by_lower[near[0]]!r}?" if len(near) == 1 else None


def quoted_or_list(words: Iterable[object], limit: int = 12) -> str:
    """A list for a message: `'a', 'b' or 'c'`."""
    shown = [repr(word) for word in words]
    if len(shown) > limit:
        return ", ".join(shown[:limit]) + f" and {len(shown) - limit} more"
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
