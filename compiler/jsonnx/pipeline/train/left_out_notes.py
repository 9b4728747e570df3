"""Notes about rows and windows of data files that are left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...core.diagnostics import Diagnostic
from ...data.samples.dataset import Dataset
from ...data.samples.left_out import SeriesWithoutWindow, WindowCounts
from ...render.diagnostics.diagnostics import count_text

MAX_LISTED_SERIES = 20
"""Series without a window that a note names."""


def left_out_notes(samples: Dataset, part: str | None = None) -> Iterator[tuple[str, Diagnostic]]:
    """Notes about what of a part of the data, or of data to predict, is left out; each with the key of `training.data`
    that says so."""
    of_part = f" of `{part}`" if part is not None else ""
    missing, counts = samples.missing, samples.counts
    if missing.row_count and counts is None:
        message = f"{missing.row_count:,} of {missing.all_row_count:,} samples{of_part} are left out, since they have "
        message += f"missing values: {_reasons(missing.reasons)}"
        yield "missing", Diagnostic("dropped-samples", message, severity="note")
    if counts is not None and counts.left_out:
        message = f"{counts.left_out:,} of {len(samples) + counts.left_out:,} windows{of_part} are left out: "
        message += "; ".join(_window_reasons(counts, _reasons(missing.reasons)))
        yield "windows", Diagnostic("skipped-windows", message, severity="note")
    if counts is not None and counts.series_without_window:
        lacking = counts.series_without_window
        message = f"{len(lacking):,} of {counts.series_count:,} series{of_part} have no window, which takes "
        message += f"{count_text(counts.span, 'row')} one step after the other: {_series_list(lacking)}"
        yield "windows", Diagnostic("short-series", message, severity="note")


def _window_reasons(counts: WindowCounts, missing: str) -> Iterable[str]:
    if counts.across_gaps:
        steps = (
            f", which lack {count_text(counts.missing_steps, 'step')} of {counts.step}" if counts.missing_steps else ""
        )
        yield f"{counts.across_gaps:,} across {count_text(counts.gap_count, 'gap')} of the series{steps}"
    if counts.with_missing_values:
        yield f"{counts.with_missing_values:,} with missing values: {missing}"
    if counts.with_filled_target:
        yield f"{counts.with_filled_target:,} that would end in, or predict, a row that fills a gap"


def _reasons(reasons: Mapping[str, int]) -> str:
    return ", ".join(
        f"{count_text(count, 'row')} without {reason}"
        for reason, count in sorted(reasons.items(), key=lambda item: -item[1])
    )


def _series_list(series: tuple[SeriesWithoutWindow, ...]) -> str:
    names = [f"{one.name!r} ({count_text(one.row_count, 'row')})" for one in series[:MAX_LISTED_SERIES]]
    hidden = len(series) - len(names)
    return ", ".join(names) + (f" and {hidden:,} more" if hidden else "")
