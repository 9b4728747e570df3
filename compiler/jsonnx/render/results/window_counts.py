"""Windows of time series as text and as JSON: steps, gaps, and windows that are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...core.invisible_characters import escape_invisible
from ..text.text_table import TextTable

if TYPE_CHECKING:
    from ...data.samples.left_out import WindowCounts

MAX_LISTED_SERIES = 10


def window_counts_text(parts: Mapping[str, tuple[int, WindowCounts]], color: bool, width: int | None) -> str:
    """A table with the windows of each part of the data, and what is left out of them, and the series without a
    window. A part has its number of windows, and the counts of the others."""
    titles = ("part", "series", "step", "gaps", "missing steps", "windows", "left out", "series without a window")
    table = TextTable(titles, right=(1, 3, 4, 5, 6))
    for part, (count, counts) in parts.items():
        listed = counts.lacking_series[:MAX_LISTED_SERIES]
        names = [f"{escape_invisible(one.name)} ({one.rows_text})" for one in listed]
        hidden = counts.lacking_series_count - len(listed)
        step = "one row" if counts.step is None else str(counts.step)
        numbers = [f"{number:,}" for number in (counts.gap_count, counts.missing_steps, count, counts.left_out)]
        series = ", ".join(names) + (f" and {hidden:,} more" if hidden else "")
        table.add_row(part, f"{counts.series_count:,}", step, *numbers, series)
    return table.text(color, width)


def window_counts_json(counts: WindowCounts, count: int) -> dict[str, Any]:
    """The number of windows of a part of the data, and what is left out of them."""
    return {
        "series": counts.series_count,
        "step": None if counts.step is None else counts.step.written,
        "gaps": counts.gap_count,
        "missing_steps": counts.missing_steps,
        "windows": count,
        "left_out": {
            "across_gaps": counts.across_gaps,
            "with_missing_values": counts.with_missing_values,
            "with_filled_target": counts.with_filled_target,
        },
        "series_without_window_count": counts.lacking_series_count,
        "series_without_window": [{"name": one.name, "rows": one.row_count} for one in counts.lacking_series],
    }
