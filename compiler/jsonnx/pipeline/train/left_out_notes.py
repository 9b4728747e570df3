"""Notes about rows and windows of data files that are left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from ...core.diagnostics import Diagnostic
from ...core.quantities import count_text
from ...data.samples.dataset import Dataset
from ...data.samples.left_out import DamagedFiles, SeriesWithoutWindow, WindowCounts

MAX_LISTED_SERIES = 20
"""Series that a note names."""
MAX_LISTED_FILES = 20
"""Damaged files that a note names."""
UNKNOWN_REASON = 'since they are after the last row, and steps have no fixed length ("gaps": "ignore")'


class LeftOutNote(NamedTuple):
    """A note, and the key of `training.data` that says so."""

    key: str
    code: str
    title: str
    texts: Sequence[str]
    """What is left out of each part, and why."""

    @property
    def message(self) -> str:
        return f"{self.title}: {', '.join(self.texts)}"

    @property
    def diagnostic(self) -> Diagnostic:
        return Diagnostic(self.code, self.message, severity="note")


def left_out_notes(parts: Collection[tuple[str | None, Dataset]]) -> list[LeftOutNote]:
    """Notes about what is left out of the parts of the data, by name; None is the name of data without parts."""
    windows = [(part, samples, samples.counts) for part, samples in parts if samples.counts is not None]
    return [note for note in [*_sample_notes(parts), *_window_notes(windows)] if note.texts]


def _sample_notes(parts: Collection[tuple[str | None, Dataset]]) -> Iterable[LeftOutNote]:
    """Notes about samples with missing values, and those of damaged files."""
    missing = [
        _with_part(f"{samples.missing.row_count:,} of {samples.missing.all_row_count:,}", part)
        + f" ({_reasons(samples.missing.reasons)})"
        for part, samples in parts
        if samples.missing.row_count and samples.counts is None
    ]
    damaged = [
        _with_part(f"{files.count:,} of {files.all_count:,}", part) + f" ({_file_list(files)})"
        for part, samples in parts
        if (files := samples.damaged).count
    ]
    yield LeftOutNote(
        "missing", code="dropped-samples", title="samples with missing values are left out", texts=missing
    )
    yield LeftOutNote("images", code="damaged-files", title="damaged files are left out", texts=damaged)


def _window_notes(parts: Collection[tuple[str | None, Dataset, WindowCounts]]) -> Iterable[LeftOutNote]:
    """Notes about windows, about series without a window, and about forecasts without times."""
    windows = [
        _with_part(f"{counts.left_out:,} of {len(samples) + counts.left_out:,}", part)
        + f" ({'; '.join(_window_reasons(counts, _reasons(samples.missing.reasons)))})"
        for part, samples, counts in parts
        if counts.left_out
    ]
    short = [
        _with_part(f"{counts.lacking_series_count:,} of {counts.series_count:,}", part)
        + f" ({_series_list(counts.lacking_series, counts.lacking_series_count)})"
        for part, _, counts in parts
        if counts.lacking_series_count
    ]
    size = next((_window_size(counts) for _, _, counts in parts if counts.lacking_series_count), "")
    without_future = [
        _with_part(f"{counts.without_future_count:,} of {counts.series_count:,}", part)
        + f" ({_series_list(counts.without_future, counts.without_future_count)})"
        for part, _, counts in parts
        if counts.without_future_count
    ]
    horizon = next((count_text(counts.horizon, "row") for _, _, counts in parts), "")
    unknown = [
        _with_part(f"{counts.unknown_time_count:,} of {len(samples):,}", part)
        for part, samples, counts in parts
        if counts.unknown_time_count
    ]
    yield LeftOutNote("windows", code="skipped-windows", title="windows are left out", texts=windows)
    yield LeftOutNote("windows", code="short-series", title=f"series have no window of {size}", texts=short)
    yield LeftOutNote(
        "windows", code="short-series", title=f"series have no {horizon} of the future", texts=without_future
    )
    yield LeftOutNote("windows", code="unknown-times", title=f"forecasts lack times, {UNKNOWN_REASON}", texts=unknown)


def _with_part(text: str, part: str | None) -> str:
    return text if part is None else f"{text} of `{part}`"


def _window_size(counts: WindowCounts) -> str:
    rows = count_text(counts.length, "row")
    return f"{rows} and {counts.horizon:,} more" if counts.horizon else rows


def _window_reasons(counts: WindowCounts, missing: str) -> Iterable[str]:
    if counts.across_gaps:
        steps = f", which lack {count_text(counts.missing_steps, 'step')} of {counts.step}"
        gaps = count_text(counts.gap_count, "gap")
        yield f"{counts.across_gaps:,} across {gaps}{steps if counts.missing_steps else ''}"
    if counts.with_missing_values:
        yield f"{counts.with_missing_values:,} with missing values: {missing}"
    if counts.with_filled_target:
        filled, verb = count_text(counts.missing_steps, "row"), "predict" if counts.horizon else "end in"
        yield f"{counts.with_filled_target:,} that {verb} one of {filled} that fill gaps"


def _reasons(reasons: Mapping[str, int]) -> str:
    return ", ".join(
        f"{count_text(count, 'row')} without {reason}"
        for reason, count in sorted(reasons.items(), key=lambda item: -item[1])
    )


def _series_list(series: Sequence[SeriesWithoutWindow], count: int) -> str:
    """The names of the first series, and their numbers of rows."""
    named = series[:MAX_LISTED_SERIES]
    hidden = count - len(named)
    names = [f"{one.name!r} has {one.rows_text}" for one in named]
    return ", ".join(names) + (f" and {hidden:,} more" if hidden else "")


def _file_list(files: DamagedFiles) -> str:
    """The names of the first damaged files, with the reasons."""
    named = files.names[:MAX_LISTED_FILES]
    hidden = files.count - len(named)
    return "; ".join(named) + (f"; and {hidden:,} more" if hidden else "")
