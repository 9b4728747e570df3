"""Errors for rows of series with missing values that are not rows of the future."""

from __future__ import annotations

import numpy as np

from ..samples.data_errors import MAX_LISTED_LOCATIONS, ErrorCollector
from .series import Series
from .series_times import RowLocator

FUTURE_HELP = (
    "only the rows of the future, after the last known row of a series, may lack values of the other inputs and of the "
    'target; for other rows, `"missing": "drop"` in `training.data` leaves out the windows with missing values, and an '
    "Imputation fills missing inputs"
)
ADVANCE_HELP = "the columns of `windows.future` are known in advance: give their values in the rows of the future, too"


def check_known_rows(series: Series, locator: RowLocator, errors: ErrorCollector) -> None:
    """Adds errors for known rows that lack a value, and for rows without a value that is known in advance."""
    if series.incomplete is None:
        return
    future_columns = series.columns_of(future=True)
    for value, lacking in series.incomplete.reasons.items():
        in_advance = value.column in future_columns
        mask = lacking.copy()
        if not in_advance:
            mask[series.future_rows] = False
        rows = np.flatnonzero(mask)
        if not rows.size:
            continue
        places = locator.locate(rows[:MAX_LISTED_LOCATIONS].tolist(), value.column)
        collector = ErrorCollector(places[0][0], errors.source)
        own = [(f"{value} is missing", place) for file, place in places if file == collector.file]
        help = ADVANCE_HELP if in_advance else FUTURE_HELP
        collector.add_each("bad-value", own, lambda item: item, count=len(rows), help=help)
        errors.diagnostics += collector.diagnostics
