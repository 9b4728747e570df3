"""The rows of time series in their order, from which windows are cut."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...core.limits import MAX_FILLED_ROWS
from ...core.time_step import TimeStep
from ...sections.columns import AssignedColumns
from ...sections.split_section import WindowsSection
from ..samples.data_errors import ErrorCollector
from ..samples.data_spec import DataSpec
from ..samples.dataset import Dataset
from ..samples.left_out import MAX_LACKING_SERIES, NO_MISSING, MissingCounts, SeriesWithoutWindow, WindowCounts
from ..samples.stored_arrays import StoredArray, subset_of
from ..samples.valid_values import is_missing
from .filled_rows import FilledOrder, InputFilling
from .forecasts import ForecastChoice
from .incomplete_rows import IncompleteRows
from .row_columns import RowValues
from .series_times import SERIES_PATH, TIME_PATH, WINDOWS_PATH, RowLocator, SeriesTimes, series_order
from .time_spacing import UNEVEN
from .windows import WindowedDataset


class _Problems(NamedTuple):
    """Whether each window is left out, and why."""

    across_gap: np.ndarray
    lacks_value: np.ndarray
    has_filled_target: np.ndarray
    """Whether a row that fills a gap is the window's target, or without targets its last row."""


@dataclass(frozen=True, eq=False)
class Series:
    """The rows of all series, one series after the other and by time in each, with the rows that fill gaps."""

    rows: Dataset
    section: WindowsSection
    order: np.ndarray
    """The index of each row in the files; of a row that fills a gap, the index of the one before."""
    series: np.ndarray
    """The number of each row's series, never decreasing."""
    names: list[str]
    follows_gap: np.ndarray
    """Whether the row before is not one step earlier."""
    is_filled: np.ndarray
    lacks_input: np.ndarray
    """Whether a row lacks a value of an input that has the rows of a window."""
    lacks_future: np.ndarray
    """Whether a row lacks a value of an input that has the rows of the horizon."""
    lacks_target: np.ndarray
    missing_steps: np.ndarray
    """The number of steps that the files lack before each row; `UNEVEN` if it is not whole."""
    incomplete: IncompleteRows | None
    columns: Mapping[str, AssignedColumns]
    step: TimeStep | None = None

    @staticmethod
    def of(
        rows: Dataset,
        values: RowValues,
        incomplete: IncompleteRows | None,
        section: WindowsSection,
        columns: Mapping[str, AssignedColumns],
        locator: RowLocator,
        errors: ErrorCollector,
    ) -> Series:
        """The rows, ordered by the columns that `windows` names. Adds errors for times that the spec does not accept,
        and then leaves gaps as they are."""
        times = values.get(TIME_PATH)
        order, series, names = series_order(len(rows), values.get(SERIES_PATH), times)
        is_ordered = bool((np.diff(order) == 1).all())
        no_rows = np.zeros(len(order), bool)
        result = Series(
            rows if is_ordered else rows.subset(order),
            section,
            order,
            series[order],
            names,
            follows_gap=no_rows,
            is_filled=no_rows,
            lacks_input=no_rows if incomplete is None else incomplete.inputs[order],
            lacks_future=no_rows if incomplete is None else incomplete.future_inputs[order],
            lacks_target=no_rows if incomplete is None else incomplete.targets[order],
            missing_steps=np.zeros(len(order), np.int64),
            incomplete=incomplete,
            columns=columns,
        )
        if times is None:
            return result
        ordered = SeriesTimes(section, times[order], order, series[order], names)
        ordered.check(locator, errors)
        return result if errors or section.gaps == "ignore" else result._with_gaps(ordered, errors)

    def _with_gaps(self, times: SeriesTimes, errors: ErrorCollector) -> Series:
        """The series with their gaps: filled, or marked."""
        missing_steps = np.zeros(len(self.order), np.int64)
        missing_steps[times.pairs + 1] = np.where(times.counts == UNEVEN, UNEVEN, times.counts - 1)
        follows_gap = missing_steps != 0
        series = replace(self, follows_gap=follows_gap, missing_steps=missing_steps, step=times.step)
        if self.section.gaps != "fill" or not follows_gap.any():
            return series
        max_rows = self.section.length + self.section.horizon - 1
        if np.minimum(missing_steps, max_rows).sum() > MAX_FILLED_ROWS:
            message = f"the gaps of the series would be filled by more than {MAX_FILLED_ROWS:,} rows, the limit"
            help = 'give the "step" of the series, or "gaps": "skip"'
            errors.add_in_spec("too-large", message, (*WINDOWS_PATH, "gaps"), help)
            return series
        return series._filled(FilledOrder.of(times, max_rows), times)

    def _filled(self, order: FilledOrder, times: SeriesTimes) -> Series:
        """The series with the rows that fill gaps."""
        rows, blank_inputs = self.rows, self.rows.data_spec.missing_inputs
        inputs = {}
        for name, array in rows.inputs.items():
            names = self.columns[name].names
            time_column = names.index(str(self.section.time)) if self.section.time in names else None
            inputs[name] = InputFilling(name in blank_inputs, time_column).fill(array, order, times)
        return replace(
            self,
            rows=replace(
                rows,
                inputs=inputs,
                targets={name: subset_of(array, order.rows) for name, array in rows.targets.items()},
                weights={name: array[order.rows] for name, array in rows.weights.items()},
            ),
            order=self.order[order.rows],
            series=self.series[order.rows],
            follows_gap=order.follows_gap,
            is_filled=order.is_filled,
            lacks_input=self.lacks_input[order.rows],
            lacks_future=self.lacks_future[order.rows],
            lacks_target=self.lacks_target[order.rows],
            missing_steps=np.where(order.is_filled, 0, self.missing_steps[order.rows]),
        )

    def columns_of(self, *, future: bool) -> frozenset[str]:
        """The columns of the inputs that have the rows of the horizon, or of those that have the rows of the window."""
        names = [name for name in self.rows.inputs if (name in self.section.future_inputs) == future]
        return frozenset(column for name in names for column in self.columns[name].names)

    def of_forecast(self, forecast: ForecastChoice) -> Series:
        """The series, whose rows of the future are also those without a target in an input that an Imputation fills."""
        if not self.section.future_inputs:
            return self
        return replace(self, lacks_target=self._lacks_past(forecast.target_columns))

    def _lacks_past(self, columns: Collection[str]) -> np.ndarray:
        """Whether a row lacks a value of one of these columns, in an input of the window that an Imputation fills."""
        lacking = np.zeros(len(self.order), bool)
        for name, array in self.rows.inputs.items():
            own = [index for index, column in enumerate(self.columns[name].names) if column in columns]
            if not own or name in self.section.future_inputs or name not in self.rows.data_spec.missing_inputs:
                continue
            for start, chunk in array.chunks() if isinstance(array, StoredArray) else [(0, array)]:
                values = chunk.reshape(len(chunk), -1)[:, own]
                lacking[start : start + len(chunk)] |= is_missing(values).any(1)
        return lacking

    @cached_property
    def is_future(self) -> np.ndarray:
        """Whether a row is one of the future, if an input has the rows of the horizon: after the last row of its series
        that has all other inputs, and its target."""
        if not self.section.future_inputs:
            return np.zeros(len(self.order), bool)
        is_known = ~(self.lacks_input | self.lacks_target)
        last_known = np.full(len(self.names), -1)
        np.maximum.at(last_known, self.series[is_known], np.flatnonzero(is_known))
        return np.arange(len(self.order)) > last_known[self.series]

    @property
    def future_rows(self) -> np.ndarray:
        """The rows of the files that are rows of the future."""
        return self.order[self.is_future & ~self.is_filled]

    def windows(
        self,
        data_spec: DataSpec,
        all_steps: frozenset[str],
        mask: np.ndarray | None = None,
        forecast: ForecastChoice | None = None,
    ) -> WindowedDataset:
        """The windows whose rows, including those of the target and of future inputs, are in one series and in the mask
        of the files' rows, one step after the other and complete; or of these only the last one of each series."""
        section, rows = self.section, self.rows
        is_included = np.ones(len(self.order), bool) if mask is None else mask[self.order]
        if rows.targets:
            is_included &= ~self.is_future
        horizon = section.horizon if rows.targets or section.future_inputs else 0
        without_future = np.zeros(len(self.names), bool)
        is_of_last = forecast is not None and forecast.is_of_last_window
        if forecast is not None and is_of_last:
            starts, without_future = self._last_starts(forecast)
        else:
            starts = self._starts(section.length + horizon, section.stride, is_included)
        problems = self._problems(starts, all_steps, section.length + horizon)
        ends_in_past = ~self.is_future[starts + (section.length - 1)]
        counted = _Problems(*(problem & ends_in_past for problem in problems))
        kept = starts[~np.logical_or.reduce(problems)]
        causes = self._causes(starts, problems, is_of_last)
        return WindowedDataset(
            rows.inputs,
            rows.targets,
            replace(data_spec, labels=rows.data_spec.labels),
            rows.weights,
            missing=self._missing(is_included),
            columns=rows.columns,
            windows=section,
            starts=kept,
            all_steps=all_steps,
            counts=self._counts(counted, is_included, kept, horizon, without_future, causes),
            series=self.series,
            series_names=self.names,
            follows_gap=self.follows_gap,
            lacks_target=self.lacks_target | self.is_filled,
        )

    def _problems(self, starts: np.ndarray, all_steps: frozenset[str], span: int) -> _Problems:
        """What is wrong with windows of `span` rows, with those of the horizon."""
        length, has_targets = self.section.length, bool(self.rows.targets)
        # Without targets, a window may not end in a row that fills a gap.
        targets = (length if all_steps and span > length else span - 1, span) if has_targets else (length - 1, length)
        lacks_value = _count(self.lacks_input, starts, (0, length)) > 0
        lacks_value |= _count(self.lacks_future, starts, (length, span)) > 0
        if has_targets:
            lacks_value |= _count(self.lacks_target, starts, targets) > 0
        return _Problems(
            across_gap=_count(self.follows_gap, starts, (1, span)) > 0,
            lacks_value=lacks_value,
            has_filled_target=_count(self.is_filled, starts, targets) > 0,
        )

    def _causes(self, starts: np.ndarray, problems: _Problems, is_of_last: bool) -> dict[int, str]:
        """What leaves out windows of each series, by its number, and where it is."""
        names: dict[int, list[str]] = {}
        for name, mask in zip(("a gap", "a missing value", "a filled gap"), problems, strict=True):
            for index in np.unique(self.series[starts[mask]]).tolist():
                names.setdefault(index, []).append(name)
        if not is_of_last:
            return {index: f"{' or '.join(own)} in each window" for index, own in names.items()}
        where = "its last window" if self.section.future_inputs else f"its last {self.section.length:,} rows"
        return {index: f"{' and '.join(own)} in {where}" for index, own in names.items()}

    def _counts(
        self,
        problems: _Problems,
        is_included: np.ndarray,
        kept: np.ndarray,
        horizon: int,
        without_future: np.ndarray,
        causes: Mapping[int, str],
    ) -> WindowCounts:
        """The counts of the windows that are left out. `kept` are the first rows of the others; `causes` are those of
        `_causes`."""
        across_gap, lacks_value, has_filled_target = problems
        missing_steps = self.missing_steps[is_included]
        counted = is_included & ~self.is_filled & ~self.is_future & ~without_future[self.series]
        lacking_count, lacking = self._without_window(counted, kept, causes)
        lacking_future = np.flatnonzero(without_future)
        future_counts = np.bincount(self.series[self.is_future], minlength=len(self.names))
        return WindowCounts(
            series_count=len(np.unique(self.series[is_included])),
            length=self.section.length,
            horizon=horizon,
            step=self.step,
            gap_count=int((missing_steps != 0).sum()),
            missing_steps=int(missing_steps.clip(0).sum()),
            across_gaps=int(across_gap.sum()),
            with_missing_values=int((lacks_value & ~across_gap).sum()),
            with_filled_target=int((has_filled_target & ~across_gap & ~lacks_value).sum()),
            lacking_series_count=lacking_count,
            lacking_series=lacking,
            without_future_count=len(lacking_future),
            without_future=tuple(
                SeriesWithoutWindow(self.names[index], int(future_counts[index]))
                for index in lacking_future[:MAX_LACKING_SERIES].tolist()
            ),
        )

    def is_consecutive(self, rows: np.ndarray) -> bool:
        """Whether some of the files' rows have no others of their series between them."""
        is_included = np.isin(self.order, rows)
        is_start = is_included & np.r_[True, (np.diff(self.series) != 0) | ~is_included[:-1]]
        return int(is_start.sum()) == len(np.unique(self.series[is_included]))

    def last_rows(self, windows: WindowedDataset) -> np.ndarray:
        """The index in the files of the last row of each window."""
        return self.order[windows.starts + (windows.windows.length - 1)]

    def _starts(self, span: int, stride: int, is_included: np.ndarray) -> np.ndarray:
        """The first row of each window of `span` rows."""
        is_boundary = (np.diff(self.series) != 0) | (np.diff(is_included) != 0)
        run_starts = np.flatnonzero(np.r_[True, is_boundary])
        run_ends = [*run_starts[1:], len(self.order)]
        runs = [
            np.arange(start, end - span + 1, stride)
            for start, end in zip(run_starts, run_ends, strict=True)
            if is_included[start]
        ]
        return np.concatenate([np.zeros(0, np.int64), *runs])

    def _last_starts(self, forecast: ForecastChoice) -> tuple[np.ndarray, np.ndarray]:
        """The first row of the window that ends in the last known row of each series, and whether each series has
        fewer rows of the future than its future inputs need."""
        section, counts = self.section, np.bincount(self.series, minlength=len(self.names))
        future = np.bincount(self.series[self.is_future], minlength=len(self.names))
        lacks_future = np.zeros(len(counts), bool)
        if section.future_inputs:
            if not forecast.tells_future(self.columns_of(future=False)):
                future = np.where(future == 0, section.horizon, future)  # nothing tells the rows of the future
            lacks_future = future < section.horizon
        ends = np.cumsum(counts) - future
        first_rows = np.cumsum(counts) - counts
        starts = ends - section.length
        return starts[(starts >= first_rows) & ~lacks_future], lacks_future

    def _missing(self, is_included: np.ndarray) -> MissingCounts:
        """The rows of the files with missing values, among those that are included."""
        rows = self.order[is_included & ~self.is_filled & ~self.is_future]
        return NO_MISSING if self.incomplete is None else self.incomplete.counts(rows)

    def _without_window(
        self, is_included: np.ndarray, starts: np.ndarray, causes: Mapping[int, str]
    ) -> tuple[int, tuple[SeriesWithoutWindow, ...]]:
        """The number of series with rows, but without a window, and the longest of them."""
        row_counts = np.bincount(self.series[is_included], minlength=len(self.names))
        window_counts = np.bincount(self.series[starts], minlength=len(self.names))
        lacking = np.flatnonzero((row_counts > 0) & (window_counts == 0))
        lacking = lacking[np.argsort(-row_counts[lacking], kind="stable")]
        named = lacking[:MAX_LACKING_SERIES].tolist()
        return len(lacking), tuple(
            SeriesWithoutWindow(self.names[index], int(row_counts[index]), causes.get(index, "")) for index in named
        )


def _count(mask: np.ndarray, starts: np.ndarray, offsets: tuple[int, int]) -> np.ndarray:
    """The numbers of rows in the mask from an offset to another one behind each start."""
    sums = np.r_[0, np.cumsum(mask)]
    return sums[starts + offsets[1]] - sums[starts + offsets[0]]
