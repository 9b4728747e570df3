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


Locate = Callable[[JsonPath, bool], Position | None]
"""Finds the place of the value at a path, or, given True, of its key."""


class Origin(NamedTuple):
    """Where something was written that stages see elsewhere: the place, what else belongs to it, and which of the parts
    it is that were made from that place."""

    path: JsonPath
    notes: tuple[tuple[JsonPath, str], ...] = ()
    part: Hashable = None


Trace = Callable[[JsonPath, bool], Origin]
"""Finds the origin of the value at a path, or, given True, of its key."""


def untraced(path: JsonPath, key: bool) -> Origin:
    """Everything stands where it was written."""
    return Origin(path)


class Report:
    """Collects the faults of one document and gives each its place in the file.

    `errors(path)` answers whether anything at or below a path is already known to be wrong, so that later stages stay
    silent about what follows from it: one error a cause. Where the document was made from another one, `trace` leads
    to what was written; a fault that several parts share which were made from one place is told of the first.
    """

    def __init__(self, file: str | None = None, locate: Locate | None = None, trace: Trace | None = None) -> None:
        self.file = file
        self._locate: Locate = locate or (lambda path, key: None)
        self._trace: Trace = trace or untraced
        self._first: dict[tuple[JsonPath, str], Hashable] = {}
        self._settled: set[JsonPath] = set()
        self._settled_here: set[JsonPath] = set()
        self._found: dict[tuple[JsonPath, str, str], Diagnostic] = {}
        self._wrong: set[JsonPath] = set()
        self._guesses = 50_000

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
            self.spoil(path)
        origin = self._trace(path, at_key)
        place = origin.path
        told = place in self._settled or any(path[:length] in self._settled_here for length in range(1, len(path) + 1))
        if told or self._first.setdefault((place, code), origin.part) != origin.part:
            return
        line, column = self._locate(place, at_key) or (None, None)
        made = Diagnostic(code, message, path_text(place), self.file, line, column, help, severity)
        traced = [*((self._trace(where, False).path, text) for where, text in notes), *origin.notes]
        made = replace(made, notes=tuple(self._note(where, text) for where, text in traced))
        self._found.setdefault((place, code, message), made)

    def spoil(self, path: JsonPath) -> None:
        """What stands at a path is wrong, for a reason that is told elsewhere."""
        self._wrong.update(path[:length] for length in range(len(path) + 1))

    def derived(self, trace: Trace, wrong: Iterable[JsonPath]) -> Report:
        """A report on a document made from this one's: it tells the same and more, but no more of the places that are
        complained of. `wrong` are the paths in that document that are wrong for what is told here."""
        made = Report(self.file, self._locate, trace)
        made._settled = {path for (path, _, _), known in self._found.items() if known.severity == "error"}
        made._settled_here = set(wrong)
        for path in made._settled_here:
            made.spoil(path)
        made._found = dict(self._found)
        return made

    def include(self, derived: Report) -> None:
        """Tell what a derived report tells."""
        self._found |= derived._found
        if derived.errors():
            self.spoil(())

    def _note(self, path: JsonPath, message: str) -> Note:
        line, column = self._locate(path, False) or (None, None)
        return Note(message, path_text(path), self.file, line, column)

    def errors(self, below: JsonPath = ()) -> bool:
        return below in self._wrong

    def suggestion(self, wrong: str, known: Collection[str]) -> str | None:
        """As the function, but no more once it took long: a document may have any number of faults."""
        self._guesses -= len(known)
        return suggestion(wrong, known) if self._guesses >= 0 else None

    def __iter__(self) -> Iterator[Diagnostic]:
        """In the order of the file."""
        return iter(sorted(self._found.values(), key=lambda d: (d.line or 0, d.column or 0)))

    def raise_errors(self) -> None:
        """Raises CompileError where there is an error."""
        if self.errors():
            raise CompileError(self)


def suggestion(wrong: str, known: Iterable[str]) -> str | None:
    """`did you mean 'units'?`, where a known word is near: in spelling, by its initials, or as the only longer one."""
    by_lower: dict[str, str] = {}
    for word in known:
        by_lower.setdefault(word.lower(), word)
    lower = wrong[:100].lower()
    near = get_close_matches(lower, by_lower, n=1, cutoff=0.6)
    if not near:
        near = [word for word in by_lower if len(lower) > 1 and lower == "".join(part[:1] for part in word.split("_"))]
    if not near:
        near = [word for word in by_lower if len(lower) > 3 and lower in word]
    return f"did you mean {by_lower[near[0]]!r}?" if len(near) == 1 else None


def listed(words: Iterable[object], limit: int = 12) -> str:
    """A list for a message: `'a', 'b' or 'c'`."""
    shown = [repr(word) for word in words]
    if len(shown) > limit:
        return ", ".join(shown[:limit]) + f" and {len(shown) - limit} more"
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
