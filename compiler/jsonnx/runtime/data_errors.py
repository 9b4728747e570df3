"""Faults in data: their locations, their collection, and the error that reports them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from ..core.diagnostics import Diagnostic

T = TypeVar("T")

MAX_REPORTED_FAULTS = 20
"""Faults of one kind that are reported one by one; the rest are counted."""


class FeedError(ValueError):
    """Arrays that do not fit a model; `diagnostics` holds every fault."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = list(diagnostics)
        lines = (d.message + (f" ({d.help})" if d.help else "") for d in self.diagnostics)
        super().__init__("\n".join(lines))


class DataLocation(NamedTuple):
    """The location of a value: in words, and in a text file by line and column."""

    text: str
    line: int | None = None
    column: int | None = None


NO_LOCATION = DataLocation("")


class FaultCollector:
    """The faults of a dataset; `file` is its file, if it has one."""

    def __init__(self, file: str | None = None) -> None:
        self.file = file
        self.diagnostics: list[Diagnostic] = []

    def add(
        self, code: str, message: str, location: DataLocation = NO_LOCATION, *, path: str = "$", help: str | None = None
    ) -> None:
        text = f"{location.text}: {message}" if location.text else message
        self.diagnostics.append(Diagnostic(code, text, path, self.file, location.line, location.column, help))

    def add_each(self, code: str, items: Sequence[T], describe: Callable[[T], tuple[str, DataLocation]]) -> None:
        """Adds a fault per item, up to `MAX_REPORTED_FAULTS`, and the number of further items."""
        for item in items[:MAX_REPORTED_FAULTS]:
            self.add(code, *describe(item))
        if len(items) > MAX_REPORTED_FAULTS:
            self.add(code, f"and {len(items) - MAX_REPORTED_FAULTS:,} more like the last")

    def __bool__(self) -> bool:
        return bool(self.diagnostics)
