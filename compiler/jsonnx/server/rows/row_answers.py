"""The answers for rows: classes and probabilities by name, or numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...pipeline.compile.output_classes import ClassKind, OutputClasses
from ...pipeline.predict.prediction_files import Predictions, json_numbers


def row_answers(predictions: Predictions) -> Iterator[dict[str, Any]]:
    """The answer for each row: by output, what `_class_answers` or `_value_answers` says."""
    columns = {
        name: _class_answers(array, predictions.classes[name])
        if name in predictions.classes
        else [{"value": value} for value in _values(array)]
        for name, array in predictions.outputs.items()
    }
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _class_answers(array: np.ndarray, classes: OutputClasses) -> list[dict[str, Any]]:
    """For each row its `label` (`labels` if there may be several), the `probabilities` by label (`scores` for numbers
    that are none), and the `threshold` of outputs that have one, or those by label."""
    numbers = "probabilities" if classes.has_probabilities else "scores"
    label = "labels" if classes.kind is ClassKind.MULTI_LABEL else "label"
    rest = {} if classes.kind is ClassKind.ONE_OF_MANY else {"threshold": classes.shown_threshold}
    rows = json_numbers(shortest_numbers(array))
    return [
        {label: predicted, numbers: dict(zip(classes.probability_labels, row, strict=True)), **rest}
        for predicted, row in zip(classes.predicted(array), rows, strict=True)
    ]


def _values(array: np.ndarray) -> list[Any]:
    """For each row its number, or its nested list of numbers; a size of 1 at the end is left out."""
    rows = json_numbers(shortest_numbers(array))
    return [row[0] if array.ndim == 2 and array.shape[1] == 1 else row for row in rows]


def shortest_numbers(array: np.ndarray) -> np.ndarray:
    """The numbers as float64 values with the shortest decimals that read back as the same number of the array."""
    return array.astype(str).astype(np.float64) if array.dtype == np.float32 else array
