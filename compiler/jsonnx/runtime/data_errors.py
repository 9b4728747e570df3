"""Collects what is wrong with data, and the error of arrays that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from ..core.diagnostics import Diagnostic

T = TypeVar("T")

SHOWN = 20
"""Faults of one kind that are written out; the rest are counted."""


class FeedError(ValueError):
    """Arrays that do not fit the model; `diagnostics` holds every fault."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = list(diagnostics)
        lines = (d.message + (f" ({d.help})" if d.help else "") for d in self.diagnostics)
        super().__init__("\n".join(lines))


class Place(NamedTuple):
    """Where a value stands: in words, and in a text file by line and column."""

    text: str
    line: int | None = None
    column: int | None = None


NOWHERE = Place("")


class Faults:
    """The faults of one data set; `file` is where it lies."""

    def __init__(self, file: str | None = None) -> None:
        self.file = file
        self.found: list[Diagnostic] = []

    def add(self, code: str, message: str, place: Place = NOWHERE, *, path: str = "$", help: str | None = None) -> None:
        text = f"{place.text}: {message}" if place.text else message
        self.found.append(Diagnostic(code, text, path, self.file, place.line, place.column, help))

    def each(self, code: str, items: Sequence[T], describe: Callable[[T], tuple[str, Place]]) -> None:
        """One fault an item, up to `SHOWN` of them."""
        for item in items[:SHOWN]:
            self.add(code, *describe(item))
        if len(items) > SHOWN:
            self.add(code, f"and {len(items) - SHOWN:,} more like the last")

    def __bool__(self) -> bool:
        return bool(self.found)
