"""The drift of data as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..text.text_table import TextTable

if TYPE_CHECKING:
    from ...data.drift.drift_counts import FeatureDrift

TITLES = ("PSI", "drift", "missing", "unknown", "out of range")


def drift_text(
    columns: Sequence[FeatureDrift], outputs: Sequence[FeatureDrift], color: bool = False, width: int | None = None
) -> str:
    """A row for each column and each prediction."""
    parts = []
    for title, drifts in (("column", columns), ("prediction", outputs)):
        table = TextTable((title, *TITLES), right=(1, 3, 4, 5), unbroken=(0,))
        for drift in drifts:
            counts = [_count(value, drift.rows) for value in (drift.missing, drift.unknown, drift.out_of_range)]
            table.add_row(drift.feature.title, "" if drift.psi is None else f"{drift.psi:.3f}", drift.meaning, *counts)
        if drifts:
            parts.append(table.text(color, width))
    return "\n\n".join(parts)


def _count(count: int | None, rows: int) -> str:
    """A count and its share of the rows; empty if there is none."""
    if count is None:
        return ""
    return f"{count:,} ({100 * count / rows:.1f} %)" if count else "0"


def drift_json(
    columns: Sequence[FeatureDrift], outputs: Sequence[FeatureDrift], drifted: Sequence[FeatureDrift], **counts: Any
) -> dict[str, Any]:
    """The drift as JSON: the counts, the columns and the predictions, and the names of those that have drifted."""
    return {
        **counts,
        "drifted": [drift.feature.title for drift in drifted],
        "columns": [drift.to_json() for drift in columns],
        "outputs": [drift.to_json() for drift in outputs],
    }
