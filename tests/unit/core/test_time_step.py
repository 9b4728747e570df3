"""Steps of time series: how a spec writes them, and the dates that they lead to."""

from __future__ import annotations

from datetime import datetime

import pytest
from jsonnx.core.time_step import SECONDS, TimeStep


@pytest.mark.parametrize(
    ("text", "size", "unit"),
    [
        ("15min", 900, "second"),
        ("h", 3600, "second"),
        ("0.5s", 0.5, "second"),
        ("2w", 14 * SECONDS["d"], "second"),
        ("1mo", 1, "month"),
        ("2y", 24, "month"),
        (0.25, 0.25, "number"),
        (3, 3, "number"),
    ],
)
def test_a_step_is_written_as_it_is_read(text: str | float, size: float, unit: str) -> None:
    step = TimeStep.of(text)
    assert step is not None
    assert (step.size, step.unit) == (size, unit)
    assert TimeStep.of(step.written) == step


@pytest.mark.parametrize(
    "text", ["", "1", "1x", "-1d", "0d", "1.5mo", "1 d", "d1", "1M", "1000001y", "9" * 500 + "d", 0, -2.0]
)
def test_other_texts_are_no_steps(text: str | float) -> None:
    assert TimeStep.of(text) is None


@pytest.mark.parametrize(
    ("step", "count", "date", "later"),
    [
        ("15min", 3, "2026-11-27T23:30", "2026-11-28T00:15"),
        ("1w", 1, "2026-12-28", "2027-01-04"),
        ("1mo", 1, "2026-01-31", "2026-02-28"),
        ("1mo", 13, "2026-12-05", "2028-01-05"),
        ("3mo", 1, "2026-11-30", "2027-02-28"),
        ("1y", 1, "2028-02-29", "2029-02-28"),
    ],
)
def test_dates_some_steps_later(step: str, count: int, date: str, later: str) -> None:
    parsed = TimeStep.of(step)
    assert parsed is not None
    assert parsed.later(datetime.fromisoformat(date), count) == datetime.fromisoformat(later)
