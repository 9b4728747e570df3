"""Forecasts of time series: what a model predicts of them, and rows for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from ...core.diagnostics import UsageError
from ...data.rows.forecasts import ForecastChoice
from ...sections.columns import assigned_columns
from ...sections.split_errors import takes_all_steps
from ..check.check import CheckedSpec
from .prediction_files import Predictions

STEP = "step"
"""The column with the number of the step after the last row of the window."""


def forecast_choice(checked: CheckedSpec, kind: Literal["last", "long"] | None) -> ForecastChoice | None:
    """What is predicted of time series; None if the samples of a model are no windows.

    Raises UsageError for a kind that the model cannot predict.
    """
    typed = checked.require()
    training = typed.network.training
    data = training.data if training is not None else None
    windows = data.windows if data is not None else None
    if windows is None:
        if kind is None:
            return None
        message = f"--{kind} is for forecasts of time series, and the model's spec has no `windows`"
        raise UsageError("bad-option", message, f"leave out --{kind}")
    targets = checked.objective.targets if checked.objective is not None else {}
    columns = assigned_columns(data.y if data is not None else None, "y", targets)
    has_all_steps = {
        takes_all_steps(targets.get(name, type), windows, len(columns[name].names) if name in columns else 1)
        for name, type in typed.inference_outputs.items()
    }
    if kind == "long" and len(has_all_steps) > 1:
        message = "--long writes a row for each step, and some outputs predict a single one"
        raise UsageError("bad-option", message, "leave out --long")
    return ForecastChoice(
        1 if True in has_all_steps else windows.horizon,
        windows.horizon,
        is_by_step=kind is not None and len(has_all_steps) == 1,
        is_of_last_window=kind == "last",
        target_columns=frozenset(column for own in columns.values() for column in own.names),
    )


def rows_of_steps(predictions: Predictions, choice: ForecastChoice) -> Predictions:
    """The predictions with a row for each step in place of one for each window, if that is chosen."""
    if not choice.is_by_step:
        return predictions
    count = len(choice.steps)
    outputs = {
        name: array.reshape(-1, *(array.shape[2:] or (1,))) if count > 1 or array.shape[1:2] == (1,) else array
        for name, array in predictions.outputs.items()
    }
    window_count = len(next(iter(predictions.outputs.values())))
    kept = {name: _of_steps(values, count) for name, values in predictions.kept.items()}
    kept = {f"data: {name}" if name == STEP else name: values for name, values in kept.items()}
    return replace(predictions, outputs=outputs, kept=kept | {STEP: [*choice.steps] * window_count})


def _of_steps(values: Sequence[Any], count: int) -> list[Any]:
    """The values of rows for each step: those of tuples, which have one for each, and others repeated."""
    return [item for value in values for item in (value if isinstance(value, tuple) else [value] * count)]
