"""Makes samples of the rows of files: each row is a sample, or each window of rows; all together, or by parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ...core.diagnostics import CompileError
from ...core.files.spec_source import SpecSource
from ...core.quantities import count_text
from ...sections.columns import AssignedColumns
from ...sections.data_section import DataSection
from ...sections.split_section import SplitSection, WindowsSection
from ..samples.data_errors import ErrorCollector
from ..samples.data_spec import DataSpec
from ..samples.dataset import Dataset
from ..samples.left_out import WindowCounts
from .forecast_times import count_unknown_times, forecast_columns
from .forecasts import ForecastChoice
from .incomplete_rows import IncompleteRows
from .known_rows import check_known_rows
from .row_columns import RowValues, values_of_rows
from .row_parts import assign_parts
from .series import Series
from .series_times import RowLocator
from .windows import WindowedDataset, all_step_targets, row_spec

Kept = dict[str, Sequence[Any]]
"""Values of columns as they are in the file, by the name of the column."""
LAST_ROW = "last_row"
"""The column beside predictions that has the index, from 0, of the last row of each window."""
FUTURE_ROWS_HELP = (
    "add rows with the next times and with the values that are known in advance, and leave their other cells empty"
)
NO_PART = ""
"""In place of the name of a part."""


class Rows(NamedTuple):
    """The rows of all files, the columns to keep, and the columns that divide or order the rows."""

    samples: Dataset
    kept: Kept
    values: RowValues
    incomplete: IncompleteRows | None
    """The rows with missing values, if windows leave them out."""
    sizes: Sequence[int] = ()
    """The number of rows of each file."""
    complete: np.ndarray | None = None
    """The index of each of these rows among all rows of the files; None if none is left out."""
    file_sizes: Sequence[int] = ()
    """The number of rows of each file, with those that are left out."""
    places: Kept = {}
    """The columns that name the series and the times of rows, as they are in the files; for predictions alone."""

    def indices(self, rows: np.ndarray) -> np.ndarray:
        """The indices of rows among all rows of the files."""
        return rows if self.complete is None else self.complete[rows]


def concatenate_complete(parts: Sequence[Rows]) -> tuple[np.ndarray | None, list[int]]:
    """`complete` and `file_sizes` of the rows of all files."""
    sizes = [part.file_sizes[0] for part in parts]
    if all(part.complete is None for part in parts):
        return None, sizes
    starts = np.cumsum([0, *sizes])
    rows = [np.arange(len(part.samples)) if part.complete is None else part.complete for part in parts]
    return np.concatenate([start + own for start, own in zip(starts, rows, strict=False)]), sizes


@dataclass(frozen=True)
class PartRows:
    """The samples of a part of the data, and the rows that they are made of."""

    samples: Dataset
    rows: np.ndarray
    """The indices of the part's rows among those of all files."""
    series: Series | None = None
    """The series, if samples are windows of their rows."""

    @property
    def sample_rows(self) -> np.ndarray:
        """The index of the row of each sample; of a window, that of its last row."""
        if self.series is None or not isinstance(self.samples, WindowedDataset):
            return self.rows
        return self.series.last_rows(self.samples)

    @property
    def has_whole_series(self) -> bool:
        """Whether the part's rows of each series follow one another, so that they have the same windows by
        themselves."""
        return self.series is None or self.series.is_consecutive(self.rows)


@dataclass(frozen=True)
class SampleMaker:
    """Makes the samples of a spec from rows."""

    data: DataSection | None
    data_spec: DataSpec
    all_steps: frozenset[str]
    """The outputs whose targets have the values of all steps up to the horizon."""
    columns: Mapping[str, AssignedColumns]
    source: SpecSource

    @staticmethod
    def of(
        data: DataSection | None, data_spec: DataSpec, columns: Mapping[str, AssignedColumns], source: SpecSource
    ) -> SampleMaker:
        windows = data.windows if data else None
        all_steps = all_step_targets(data_spec, windows, columns) if windows else frozenset[str]()
        return SampleMaker(data, data_spec, all_steps, columns, source)

    @property
    def row_spec(self) -> DataSpec:
        """The data of a row."""
        return self.data_spec if self._windows is None else row_spec(self.data_spec, self.all_steps)

    @property
    def _windows(self) -> WindowsSection | None:
        return self.data.windows if self.data else None

    def _series(self, rows: Rows, windows: WindowsSection, locator: RowLocator) -> Series:
        """The rows as series. Raises CompileError for times that the spec does not accept."""
        errors = ErrorCollector(None, self.source)
        series = Series.of(rows.samples, rows.values, rows.incomplete, windows, self.columns, locator, errors)
        if not errors and self.data is not None and self.data.missing == "error":
            check_known_rows(series, locator, errors)
        if errors:
            raise CompileError(errors.diagnostics)
        return series

    def all_samples(self, rows: Rows, locator: RowLocator, forecast: ForecastChoice | None) -> tuple[Dataset, Kept]:
        """All samples, or those of a forecast, with the columns to keep. Raises CompileError if there are no windows,
        or for times that the spec does not accept."""
        part = self.whole(rows, locator, forecast)
        if self._windows is None:
            return part.samples, rows.kept
        last_rows = part.sample_rows.tolist()
        kept = {name: [values[row] for row in last_rows] for name, values in rows.kept.items()}
        samples, series = part.samples, part.series
        if forecast is None or series is None or not isinstance(samples, WindowedDataset):
            return samples, {LAST_ROW: last_rows} | kept
        columns = forecast_columns(series, samples, rows.places, rows.values, forecast)
        own_names = {*columns} - {self._windows.by}
        kept = {f"data: {name}" if name in own_names else name: values for name, values in kept.items()}
        unknown_count = count_unknown_times(columns.values())
        if unknown_count:
            samples = replace(samples, counts=replace(samples.counts, unknown_time_count=unknown_count))
        return samples, {LAST_ROW: last_rows} | kept | columns

    def whole(self, rows: Rows, locator: RowLocator, forecast: ForecastChoice | None = None) -> PartRows:
        """All samples, or those of a forecast, as one part. Raises what `all_samples` raises."""
        all_rows = rows.indices(np.arange(len(rows.samples)))
        if self._windows is None:
            return PartRows(rows.samples, all_rows)
        series = self._series(rows, self._windows, locator)
        series = series if forecast is None else series.of_forecast(forecast)
        samples = series.windows(self.data_spec, self.all_steps, forecast=forecast)
        self._require_samples(samples, len(rows.samples), "there are")
        return PartRows(samples, all_rows, series)

    def samples_by_part(self, rows: Rows, parts: Collection[str], locator: RowLocator) -> dict[str, PartRows]:
        """The samples by the part of the spec's `split`; rows of parts that are not among `parts` are for training.

        Raises CompileError if a part is empty, or for times that the spec does not accept.
        """
        split = self.data.split if self.data else None
        if split is None:
            raise ValueError("a spec without a split")
        series = None if self._windows is None else self._series(rows, self._windows, locator)
        row_parts = self._row_parts(split, rows, np.zeros(0, int) if series is None else series.future_rows)
        row_parts[~np.isin(row_parts, [*parts, NO_PART])] = "train"
        members = {part: np.flatnonzero(row_parts == part) for part in split.parts if part in parts}
        by_part: dict[str, PartRows] = {}
        for part, own_rows in members.items():
            samples = self._samples_of(rows, series, own_rows)
            self._require_samples(samples, len(own_rows), f"the split leaves `{part}`")
            by_part[part] = PartRows(samples, rows.indices(own_rows), series)
        if series is None:
            train, missing, damaged = by_part["train"], rows.samples.missing, rows.samples.damaged
            by_part["train"] = replace(train, samples=replace(train.samples, missing=missing, damaged=damaged))
        return by_part

    def _samples_of(self, rows: Rows, series: Series | None, own_rows: np.ndarray) -> Dataset:
        """The samples that are made of some rows."""
        if series is None:
            return rows.samples.subset(own_rows)
        mask = np.zeros(len(rows.samples), bool)
        mask[own_rows] = True
        return series.windows(self.data_spec, self.all_steps, mask)

    def _row_parts(self, split: SplitSection, rows: Rows, future_rows: np.ndarray) -> np.ndarray:
        """The part of each row; `NO_PART` of rows of the future, which have no target."""
        by_time = split.time is not None or (self._windows is not None and split.group is None)
        arrays = [np.asarray(array) for array in rows.samples.inputs.values()]
        if not len(future_rows):
            return assign_parts(split, arrays, rows.values, by_time)
        known = np.delete(np.arange(len(rows.samples)), future_rows)
        parts = np.full(len(rows.samples), NO_PART, "U10")
        values = values_of_rows(rows.values, known)
        parts[known] = assign_parts(split, [array[known] for array in arrays], values, by_time)
        return parts

    def _require_samples(self, samples: Dataset, row_count: int, subject: str) -> None:
        """Raises CompileError if there are no samples."""
        if len(samples):
            return
        windows = self._windows
        message, help = f"{subject} no rows", "choose a larger share, or another `seed` for few rows"
        if windows is not None and row_count:
            message, help = _no_windows(samples, row_count, subject)
        errors = ErrorCollector(None, self.source)
        section = "split" if windows is None or not row_count else "windows"
        errors.add_in_spec("empty-data", message, ("training", "data", section), help)
        raise CompileError(errors.diagnostics)


def _no_windows(samples: Dataset, row_count: int, subject: str) -> tuple[str, str]:
    """The error, and the help, of series in which there is no window."""
    counts = samples.counts
    if counts is None:
        raise ValueError("samples that are not windows")
    if counts.without_future_count:
        return _no_future(counts)
    if counts.left_out:
        message = f"{subject} {counts.left_out:,} windows, and all of them have gaps or missing values"
        return message, '"gaps": "fill" in `windows` fills gaps, and an Imputation layer missing values'
    size = f"{counts.length:,} and {counts.horizon:,} more" if counts.horizon else f"{counts.length:,}"
    message = f"{subject} {row_count:,} rows, in which no window of {size} fits"
    longest = counts.lacking_series[0]
    if counts.series_count > 1:
        message += f"; the longest of {counts.series_count:,} series, {longest.name!r}, has {longest.row_count:,}"
    return message, "shorten the windows, or give longer series"


def _no_future(counts: WindowCounts) -> tuple[str, str]:
    """The error, and the help, of series without the rows of the future that all forecasts need."""
    first = counts.without_future[0]
    name = f" {first.name!r}" if counts.series_count > 1 else ""
    needed = f"{count_text(counts.horizon, 'row')} of the future, after the last known one"
    others = counts.without_future_count - 1
    more = f", and {others:,} other series {'have' if others > 1 else 'has'} too few, too" if others else ""
    return f"`windows.future` needs {needed}; the series{name} has {first.row_count:,}{more}", FUTURE_ROWS_HELP
