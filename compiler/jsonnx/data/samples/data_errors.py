"""Errors in data: their locations, their collection, and the error that reports them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from ...core.diagnostics import Diagnostic, JsonPath, Note, ShortTraceback
from ...core.files.data_formats import data_format
from ...core.files.spec_source import NO_SPEC, SpecSource

T = TypeVar("T")

TextHelp = Callable[[Iterable[str]], str]
"""Gives the help for texts in place of numbers."""

MAX_LISTED_LOCATIONS = 20
"""Locations of errors of one kind that a message names, the first one included; the others are counted."""


class FeedError(ShortTraceback, ValueError):
    """Arrays that do not fit a model; `diagnostics` holds every error."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = list(diagnostics)
        lines = (d.message + (f" ({d.help})" if d.help else "") for d in self.diagnostics)
        super().__init__("\n".join(lines))

    def __reduce__(self) -> Any:
        return type(self), (self.diagnostics,), self.__dict__


class MediaError(ValueError):
    """An error of an image or a recording, with a code and help.

    `skip_help` says how files whose contents cannot be decoded are left out; empty if this is another error.
    """

    def __init__(self, code: str, reason: str, help: str | None = None, *, skip_help: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason
        self.help = f"{help}; {skip_help}" if skip_help else help
        self._own_help, self.is_damage = help, bool(skip_help)

    def without_skip_help(self) -> MediaError:
        """The error where damaged files are left out, but not if all are damaged."""
        return MediaError(self.code, self.reason, self._own_help)

    def message(self, item: str | bytes, location: DataLocation) -> str:
        """The message for a file, given by its name or its contents, at a location that may name it, too."""
        is_named = not isinstance(item, str) or not item or repr(item) in location.text
        return self.reason if is_named else f"{item!r}: {self.reason}"


class DataLocation(NamedTuple):
    """The location of a value: in words, and in a text file by line and column."""

    text: str
    line: int | None = None
    column: int | None = None
    file: str | None = None
    """The file, if it is one of several."""
    source: str = ""
    """The value as it is written in the file, if that is known."""

    def of_word(self, word: str) -> DataLocation:
        """The location of a word in the value; that of the value if it is not found in its first line."""
        found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", self.source)
        if found is None or self.column is None or "\n" in self.source[: found.start()]:
            return self
        return self._replace(column=self.column + found.start())


NO_LOCATION = DataLocation("")


REQUEST_NAME = "request"
"""The name of the body of a request in messages."""


class ErrorCollector:
    """The errors of a dataset; `file` is its file, if it has one, and `source` the spec that it belongs to."""

    def __init__(self, file: str | None = None, source: SpecSource = NO_SPEC) -> None:
        self.file, self.source = file, source
        self.diagnostics: list[Diagnostic] = []

    def of_file(self, file: str) -> ErrorCollector:
        """A collector for one of several files, whose errors are among these."""
        collector = ErrorCollector(file, self.source)
        collector.diagnostics = self.diagnostics
        return collector

    @property
    def has_types(self) -> bool:
        """Whether the data have types of their own: arrays and tables in Python, and binary files."""
        format = data_format(self.file or "")
        return self.file != REQUEST_NAME and (format is None or not format.is_text)

    def add(
        self,
        code: str,
        message: str,
        location: DataLocation = NO_LOCATION,
        *,
        help: str | None = None,
        notes: Iterable[Note] = (),
    ) -> None:
        """Adds an error of the data."""
        text = f"{location.text}: {message}" if location.text else message
        file = location.file or self.file
        self.diagnostics.append(
            Diagnostic(code, text, "$", file, location.line, location.column, help, notes=tuple(notes))
        )

    def add_in_spec(self, code: str, message: str, path: JsonPath, help: str | None = None) -> None:
        """Adds an error of the spec that the data belong to."""
        self.diagnostics.append(self.source.locate_diagnostic(Diagnostic(code, message, help=help), path))

    def add_all(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Adds the errors of a part of the data, without those that are known: several columns have a malformed row."""
        self.diagnostics += [error for error in diagnostics if error not in self.diagnostics]

    def add_each(
        self,
        code: str,
        items: Sequence[T],
        describe: Callable[[T], tuple[str, DataLocation]],
        *,
        count: int | None = None,
        help: str | None = None,
    ) -> None:
        """Adds one error for all items, if there are any: the first one is described, the others are counted.

        `count` is their number if `items` are only the first ones.
        """
        if not items:
            return
        message, location = describe(items[0])
        further_count = (len(items) if count is None else count) - 1
        if further_count:
            locations = [describe(item)[1] for item in items[1:MAX_LISTED_LOCATIONS]]
            message += f", and {further_count:,} more like it {locations_text(locations, further_count)}"
        self.add(code, message, location, help=help)

    def __bool__(self) -> bool:
        return bool(self.diagnostics)


def locations_text(locations: Sequence[DataLocation], count: int) -> str:
    """The first of `count` locations in words, such as `in lines 3, 5 and 8` or `in lines 3, 5, ...`."""
    lines = [location.line for location in locations]
    if all(line is not None for line in lines):
        distinct = list(dict.fromkeys(map(str, lines)))
        noun, words, separator = ("line" if len(distinct) == 1 else "lines"), distinct, ", "
    else:
        noun, words, separator = "", list(dict.fromkeys(location.text for location in locations)), "; "
    ellipsis = f"{separator}..." if count > len(locations) else ""
    return f"in {noun} {separator.join(words)}{ellipsis}" if noun else f"({separator.join(words)}{ellipsis})"
