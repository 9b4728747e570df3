"""The columns of a data file, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ...core.types import TensorType
from ..samples.data_errors import DataLocation, ErrorCollector, TextHelp
from ..samples.stored_arrays import Samples
from ..samples.validate_arrays import LocateElement


class ColumnRequest(NamedTuple):
    """The requested values of a column."""

    type: TensorType
    labels: Sequence[str] | None = None
    """The names of classes, which may stand in place of numbers; if empty, any text may."""
    text_help: TextHelp | None = None
    """Gives the help for texts in place of numbers."""
    accepts_missing: bool = False
    """Whether a missing number is NaN and a missing text None; else both are errors."""


class DataTable(Protocol):
    """A file with named columns."""

    @property
    def names(self) -> Sequence[str]:
        """The columns' names."""

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> Samples | None:
        """The values of a column, as stored or as numbers of the wanted type; None, and errors, if they are invalid.

        Names of media files in place of the numbers of an array are returned as texts.
        """

    def values(self, name: str) -> Sequence[Any]:
        """The values of a column as they are in the file, one for each row. Raises ValueError, with the end of a
        sentence, if a row has several values."""

    def name_location(self, name: str | None) -> DataLocation:
        """The location of a column's name in the file; with None, of the names of all."""

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        """Locates the elements of an array that was stacked from these columns."""


@runtime_checkable
class ListTable(Protocol):
    """A table whose values may be lists."""

    def lists(self, name: str, errors: ErrorCollector) -> Sequence[Any] | None:
        """The value of a column in each row, as Python's lists, numbers and texts."""

    def name_location(self, name: str | None) -> DataLocation: ...
    def element_locator(self, names: Sequence[str]) -> LocateElement: ...
