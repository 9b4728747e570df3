"""Diagnostics: errors and warnings about an input, as data.

A `Report` collects the diagnostics of one document, `CompileError` carries a list of them, and `render` prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from .fixes import Fix, Suggestion, json_text
from .limits import MAX_COMPARED_WORDS, MAX_DIAGNOSTICS
from .positions import JsonPath as JsonPath
from .positions import Position as Position
from .spelling import similar_words

LIBRARY = "<library>"
"""The first step of the paths in the standard library, which are in no file of the user; the second is the block's
type."""

Severity = Literal["error", "warning", "note"]
"""A note, of which a document has one at most, says what its errors prevented from being checked."""


def path_text(path: JsonPath) -> str:
    """A path as text: `$.layers[2].units` for `('layers', 2, 'units')`."""
    return "$" + "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" if step.isidentifier() else f"[{step!r}]" for step in path
    )


def is_in_library(path: JsonPath) -> bool:
    """Whether a path is in the standard library. (An unknown key of a spec has a path of one step.)"""
    return len(path) > 1 and path[0] == LIBRARY


def outside_library(path: JsonPath, notes: Iterable[tuple[JsonPath, str]]) -> JsonPath:
    """The path to show to the user: for a path in the standard library, the path of the use of its block.

    Of the notes' paths, the first outside the library is the use.
    """
    return next((where for where, _ in notes if not is_in_library(where)), ()) if is_in_library(path) else path


@dataclass(frozen=True)
class Note:
    """A secondary position of a diagnostic, such as the first definition of a name."""

    message: str
    path: str = "$"
    file: str | None = None
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning. The message states the problem, `help` suggests a solution."""

    code: str
    message: str
    path: str = "$"
    file: str | None = None
    line: int | None = None
    column: int | None = None
    help: str | None = None
    severity: Severity = "error"
    notes: tuple[Note, ...] = field(default=())
    end_line: int | None = None
    end_column: int | None = None
    """The column after the last character of the key or value that begins at `line` and `column`."""
    expected: str | None = None
    """The valid values, as a phrase, such as `an integer`."""
    found: str | None = None
    """The value that was found, as JSON text; shortened if it is long."""
    fix: Fix | None = None
    """A change of the file that corrects the problem, if one is evident."""

    def __str__(self) -> str:
        location = _location_text(self)
        text = f"{location}: " if location else ""
        text += f"{self.severity}[{self.code}]: {self.message}"
        if self.path != "$":
            text += f" (at {self.path})"
        for note in self.notes:
            location = _location_text(note)
            text += f"; {note.message}" + (f" at {location}" if location else "")
        if self.help:
            text += f"; {self.help}"
        return text


def file_order(diagnostic: Diagnostic) -> tuple[bool, int, int]:
    """A sort key: the position in the file, with notes last."""
    return diagnostic.severity == "note", diagnostic.line or 0, diagnostic.column or 0


def _location_text(item: Diagnostic | Note) -> str:
    """`FILE:LINE:COLUMN`, as far as these are known."""
    return ":".join(str(part) for part in (item.file, item.line, item.column) if part is not None)


class ShortTraceback:
    """An exception whose message suffices: a notebook shows no line of this package."""

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of the traceback: where the program called, and the message."""
        packages, calls = (__name__.partition(".")[0], "IPython", "contextlib"), []
        traceback = getattr(self, "__traceback__", None)
        while traceback is not None:
            frame = traceback.tb_frame
            if str(frame.f_globals.get("__name__")).partition(".")[0] not in packages:
                calls.append(f"  line {traceback.tb_lineno} of {frame.f_code.co_filename}")
            traceback = traceback.tb_next
        return [*calls, f"{type(self).__name__}: {self}"]


class CompileError(ShortTraceback, Exception):
    """The input is invalid; `diagnostics` lists all errors in it."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = list(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))

    def __reduce__(self) -> Any:  # an error of a worker is raised again in the process that has started it
        return type(self), (self.diagnostics,), self.__dict__


class UsageError(ShortTraceback, Exception):
    """The call or the environment is wrong: a missing file, provider or package, a bad option (exit status 2)."""

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        self.diagnostic = Diagnostic(code, message, help=help)
        super().__init__(str(self.diagnostic))

    def __reduce__(self) -> Any:
        item = self.diagnostic
        return UsageError, (item.code, item.message, item.help), self.__dict__


Locator = Callable[[JsonPath, bool], Position | None]
"""Returns the position of the value at a path; with True, the position of its key."""


class SourceLocation(NamedTuple):
    """The path of the value in the source document that a value of a derived document was made from."""

    path: JsonPath
    notes: tuple[tuple[JsonPath, str], ...] = ()
    """Further source paths with a message each, such as the use of the block that contains the path."""
    instance: Hashable = None
    """Distinguishes the values that were made from the same source path, such as the repetitions of an entry."""


SourceMap = Callable[[JsonPath, bool], SourceLocation]
"""Returns the source location of the value at a path of a derived document; with True, of its key."""


class FixWriter(Protocol):
    """Turns fixes of a document into fixes of the file that the user wrote."""

    def __call__(self, fix: Fix) -> Fix | None:
        """The fix of the file, with the edits of its text; None if the file has no such fix."""

    def derived(self, document: Any, source_map: SourceMap) -> FixWriter:
        """The writer for another document that was derived from the file."""


def identity_source_map(path: JsonPath, key: bool) -> SourceLocation:
    """Maps every path to itself: the document is the source."""
    return SourceLocation(path)


class Report:
    """Collects the diagnostics of one document and adds their positions in the file.

    `has_errors(path)` tells whether an error was found at or below a path, so that later stages do not report its
    consequences: one error per cause. If the document was derived from another one, `source_map` leads back to the
    source. An error in several instances of the same source is reported for the first instance only, and so is one in
    several layers of a library's block whose cause is the same argument.
    """

    def __init__(
        self,
        file: str | None = None,
        locator: Locator | None = None,
        source_map: SourceMap | None = None,
        *,
        end_locator: Locator | None = None,
        fix_writer: FixWriter | None = None,
    ) -> None:
        """`end_locator` returns the end of a value or key whose start `locator` returns. Without a `fix_writer`,
        diagnostics have no fixes."""
        self.file = file
        self._locator: Locator = locator or (lambda path, key: None)
        self._end_locator: Locator = end_locator or (lambda path, key: None)
        self._fix_writer = fix_writer
        self._source_map: SourceMap = source_map or identity_source_map
        self._first_instances: dict[tuple[JsonPath, str], Hashable] = {}
        """The instance for which a code was first reported at a source path."""
        self._reported_locations: set[JsonPath] = set()
        """Source paths with an error in the parent report."""
        self._suppressed_paths: set[JsonPath] = set()
        """Paths of the derived document where nothing is reported, neither there nor below."""
        self._diagnostics: dict[tuple[JsonPath, str, str], Diagnostic] = {}
        self._invalid_paths: set[JsonPath] = set()
        self._suggestion_budget: int = MAX_COMPARED_WORDS
        self._counts: dict[Severity, int] = {"error": 0, "warning": 0, "note": 0}

    def add(
        self,
        code: str,
        path: JsonPath,
        message: str,
        *,
        help: str | Suggestion | None = None,
        at_key: bool = False,
        notes: Iterable[tuple[JsonPath, str]] = (),
        severity: Severity = "error",
        expected: str | None = None,
        found: str | None = None,
        fix: Fix | None = None,
    ) -> None:
        """Adds a diagnostic; a second one with the same source path, code and message is dropped.

        The edits of `fix` have paths of the report's document; if it is omitted, `help` may propose it. After
        `MAX_DIAGNOSTICS` of a severity, one diagnostic says that there are more, and further ones are dropped.
        """
        if severity == "error":
            self.mark_invalid(path)
        if self._counts[severity] > MAX_DIAGNOSTICS:
            return
        source = self._source_map(path, at_key)
        notes = [(self._source_map(where, False).path, text) for where, text in notes]
        shown_path = outside_library(source.path, (*source.notes, *notes))
        is_consequence = severity != "note" and self._is_consequence(path, shown_path)
        if is_consequence or (shown_path, code, message) in self._diagnostics:
            return
        in_library = [where for where in (source.path, *(where for where, _ in source.notes)) if is_in_library(where)]
        instance = (*in_library, source.instance)
        if self._first_instances.setdefault((shown_path, code), instance) != instance:
            return
        if isinstance(help, Suggestion):
            fix, found = fix or help.fix(path, at_key), found or json_text(help.old)
            help = help.text
        self._counts[severity] += 1
        if self._counts[severity] > MAX_DIAGNOSTICS:
            code, help, notes, fix = "not-listed", "correct those that are listed first", [], None
            message = f"there are more {severity}s than the check lists"
        line, column = self._locator(shown_path, at_key) or (None, None)
        end_line, end_column = self._end_locator(shown_path, at_key) or (None, None)
        notes += source.notes
        if shown_path != source.path:
            notes.append((source.path, "defined in the library"))
        diagnostic = Diagnostic(
            code,
            message,
            path_text(shown_path),
            self.file,
            line,
            column,
            help,
            severity,
            tuple(self.note_at(where, text) for where, text in notes),
            end_line,
            end_column,
            expected,
            found,
            self._fix_writer(fix) if fix and self._fix_writer else None,
        )
        self._diagnostics.setdefault((shown_path, code, message), diagnostic)

    def _is_consequence(self, path: JsonPath, shown_path: JsonPath) -> bool:
        """Whether the parent report has an error at a path of the source, or has made the path invalid."""
        return shown_path in self._reported_locations or any(
            path[:length] in self._suppressed_paths for length in range(1, len(path) + 1)
        )

    def mark_invalid(self, path: JsonPath) -> None:
        """Marks a path and its ancestors as invalid without a diagnostic of their own."""
        self._invalid_paths.update(path[:length] for length in range(len(path) + 1))

    def child(self, document: Any, source_map: SourceMap, invalid_paths: Iterable[JsonPath]) -> Report:
        """A report on a document that was derived from this report's document.

        It starts with the diagnostics of this report and adds none at source paths that have an error already.
        `invalid_paths` are the paths of the derived document that are invalid because of errors reported here.
        """
        child = Report(self.file, self._locator, source_map, end_locator=self._end_locator)
        child._fix_writer = self._fix_writer.derived(document, source_map) if self._fix_writer else None
        child._reported_locations = {
            path for (path, _, _), diagnostic in self._diagnostics.items() if diagnostic.severity == "error"
        }
        child._suppressed_paths = set(invalid_paths)
        for path in child._suppressed_paths:
            child.mark_invalid(path)
        child._diagnostics, child._counts = dict(self._diagnostics), dict(self._counts)
        return child

    def merge(self, child: Report) -> None:
        """Adds the diagnostics of a child report."""
        self._diagnostics |= child._diagnostics
        if child.has_errors():
            self.mark_invalid(())

    def note_at(self, path: JsonPath, message: str) -> Note:
        """A note at a path of the source."""
        if is_in_library(path):
            return Note(f"{message} ({path_text(path[2:])} of {path[1]})")
        line, column = self._locator(path, False) or (None, None)
        return Note(message, path_text(path), self.file, line, column)

    @property
    def is_full(self) -> bool:
        """Whether further errors are dropped."""
        return self._counts["error"] > MAX_DIAGNOSTICS

    def has_errors(self, below: JsonPath = ()) -> bool:
        """Whether there is an error at or below a path."""
        return below in self._invalid_paths

    def similar_words(self, misspelled: str, known: Collection[str]) -> list[str]:
        """`similar_words(misspelled, known)`, or none once this report has compared too many words."""
        self._suggestion_budget -= len(known)
        return similar_words(misspelled, known) if self._suggestion_budget >= 0 else []

    def suggestion(self, misspelled: str, known: Collection[str]) -> Suggestion | None:
        """`did you mean 'units'?` if known words are similar, else None."""
        return suggested(misspelled, self.similar_words(misspelled, known))

    def __iter__(self) -> Iterator[Diagnostic]:
        """Yields the diagnostics in the order of their positions in the file, with notes last."""
        return iter(sorted(self._diagnostics.values(), key=file_order))

    def raise_errors(self) -> None:
        """Raises CompileError if there is an error."""
        if self.has_errors():
            raise CompileError(self)


def suggestion(misspelled: str, known: Iterable[str]) -> str | None:
    """`did you mean 'units'?` if known words are similar, as `similar_words` tells, else None."""
    return did_you_mean(similar_words(misspelled, known))


def suggest(misspelled: str, known: Iterable[str]) -> Suggestion | None:
    """The text of `suggestion`, with the words that it proposes."""
    return suggested(misspelled, similar_words(misspelled, known))


def suggested(misspelled: str, similar: Collection[str]) -> Suggestion | None:
    """`did you mean 'units'?` with the words that it proposes, or None if there are none."""
    text = did_you_mean(similar)
    return Suggestion(text, misspelled, tuple(similar)) if text else None


def did_you_mean(similar: Collection[str]) -> str | None:
    """`did you mean 'units'?` for similar words, or None if there are none."""
    return f"did you mean {or_list(map(repr, similar))}?" if similar else None


def or_list(words: Iterable[str]) -> str:
    """Distinct words as a list for a message: `a, b or c`."""
    distinct = list(dict.fromkeys(words))
    return " or ".join([", ".join(distinct[:-1]), distinct[-1]] if len(distinct) > 1 else distinct)


def quoted_or_list(words: Iterable[object], limit: int = 12) -> str:
    """Quoted words as a list for a message: `'a', 'b' or 'c'`, or the first `limit` and how many follow."""
    quoted = [repr(word) for word in words]
    return or_list(quoted) if len(quoted) <= limit else f"{', '.join(quoted[:limit])} and {len(quoted) - limit} more"


def quoted_list(words: Iterable[object], limit: int = 12) -> str:
    """Quoted words as a list for a message: `'a', 'b' and 'c'`, or the first `limit` and how many follow."""
    quoted = [repr(word) for word in words]
    shown = [*quoted[:limit], *([f"{len(quoted) - limit} more"] if len(quoted) > limit else [])]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
