"""Saliency of pictures: the gradient of a prediction by the pixels."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from ...core.types import TensorType
from ...data.samples.dataset import Dataset
from ...html_report.outputs import OutputKind
from ...html_report.pictures import flat_picture_side, is_picture
from ...runtime.fit.trainer import PlanTrainer
from ..check.check import CheckedSpec
from ..train.input_gradients import differentiable_values, input_gradients
from .report_predictions import OutputResults

Saliency = Mapping[str, Mapping[int, np.ndarray]]
"""The magnitude of the gradient at each pixel, by input and sample."""


def saliency(
    checked: CheckedSpec, trainer: PlanTrainer, results: OutputResults, samples: Dataset, indices: Collection[int]
) -> Saliency:
    """For inputs that are pictures, the magnitude of the gradient of some samples' predictions: of the score of the
    predicted class, or of the sum of the numbers. Raises MissingRule for an operator without a gradient."""
    inputs = _pictures(checked, samples)
    rows = np.array(sorted(set(indices)), np.int64)
    if not inputs or results.predictions.ndim > 2 or not len(rows):
        return {}
    is_class = results.predicted.kind is OutputKind.EXCLUSIVE
    units = results.predictions[rows].argmax(-1) if is_class else None
    gradients = input_gradients(checked, trainer, (samples.subset(rows), None, None), results.name, units)
    return {
        input: {int(row): _magnitude(gradient) for row, gradient in zip(rows, gradients[value], strict=True)}
        for input, value in inputs.items()
        if value in gradients
    }


def _pictures(checked: CheckedSpec, samples: Dataset) -> dict[str, str]:
    """The inputs that are pictures, each with the value of as many pixels by which it is differentiated."""
    typed = checked.require()
    pictures: dict[str, str] = {}
    for value, input in differentiable_values(checked).items():
        shape = samples.sample_shape(input) if input in samples.inputs else ()
        type: TensorType = typed.types.get(value) or typed.inputs[input]
        has_pixels = is_picture(shape) or flat_picture_side(shape) is not None
        if has_pixels and type.shape[1:3] == typed.inputs[input].shape[1:3]:
            pictures.setdefault(input, value)
    return pictures


def _magnitude(gradient: np.ndarray) -> np.ndarray:
    """The greatest magnitude among the channels of each pixel, as shares of the greatest of all."""
    magnitude = np.abs(gradient)
    if magnitude.ndim == 3:
        magnitude = magnitude.max(-1)
    return magnitude / (magnitude.max() or 1.0)
