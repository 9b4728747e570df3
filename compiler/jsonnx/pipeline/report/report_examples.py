"""The samples that a report shows: with the worst and with the most typical predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...data.samples.dataset import Dataset
from ...html_report.json_values import rounded
from ...html_report.outputs import OutputKind
from ...html_report.pictures import is_picture, number_text, shown_sample, value_range
from ...sections.columns import assigned_columns
from ...sections.data_section import DataSection
from .report_predictions import OutputResults
from .report_saliency import Saliency

MAX_EXAMPLES = 8
"""Samples of each list."""
MAX_RANGE_SAMPLES = 256
"""Maximum number of samples that the range of gray values is taken from."""
MAX_LISTED_CLASSES = 3
ERROR_OF_CLASSES = "1 minus the score of its true class"
ERROR_OF_NUMBERS = "the mean distance of its predictions from its targets"
TYPICAL_OF_CLASSES = "of each class, the correct prediction with the highest score"
TYPICAL_OF_NUMBERS = "those whose error is nearest to the median"


SaliencyOf = Callable[[OutputResults, list[int]], Saliency]
"""Computes where the predictions of some samples depend on their pictures."""


def examples(
    results: OutputResults, samples: Dataset, data: DataSection | None, saliency_of: SaliencyOf
) -> dict[str, Any]:
    """The worst and the most typical samples of an output."""
    is_flat = results.predictions.ndim <= 2
    by_class = results.predicted.kind in (OutputKind.EXCLUSIVE, OutputKind.BINARY) and is_flat
    typical = _typical_of_classes(results) if by_class else _typical_of_numbers(results.errors)
    worst = np.argsort(-results.errors, kind="stable")[:MAX_EXAMPLES]
    shown = _Shown(results, samples, data, saliency_of(results, [*map(int, worst), *map(int, typical)]))
    return rounded(
        {
            "worst": [shown.sample(index) for index in worst],
            "typical": [shown.sample(index) for index in typical],
            "error_meaning": ERROR_OF_CLASSES if results.predicted.kind is OutputKind.EXCLUSIVE else ERROR_OF_NUMBERS,
            "typical_meaning": TYPICAL_OF_CLASSES if by_class else TYPICAL_OF_NUMBERS,
        }
    )


def _typical_of_numbers(errors: np.ndarray) -> np.ndarray:
    return np.argsort(np.abs(errors - np.median(errors)), kind="stable")[:MAX_EXAMPLES]


def _typical_of_classes(results: OutputResults) -> list[int]:
    """The correct sample with the least error of each of the most frequent classes, in the order of the classes."""
    predicted = results.predicted
    if len(predicted.true) != len(results.errors):  # some samples do not count
        return _typical_of_numbers(results.errors).tolist()
    counts = np.bincount(predicted.true.astype(np.int64), minlength=len(predicted.labels))
    frequent = np.sort(np.argsort(-counts, kind="stable")[:MAX_EXAMPLES])
    is_right = predicted.class_indices == predicted.true
    best = []
    for index in frequent:
        rows = np.flatnonzero((predicted.true == index) & is_right)
        best += [int(rows[np.argmin(results.errors[rows])])] if len(rows) else []
    return best


class _Shown:
    """Samples as JSON values."""

    def __init__(self, results: OutputResults, samples: Dataset, data: DataSection | None, saliency: Saliency) -> None:
        self.results, self.samples, self.saliency = results, samples, saliency
        self.names = column_names(samples, data)
        first = slice(min(len(samples), MAX_RANGE_SAMPLES))
        self.limits = {
            name: value_range(array)
            for name in samples.inputs
            if (array := samples.samples_of(name, first)).dtype.kind in "fiub"
        }

    def sample(self, index: int) -> dict[str, Any]:
        rows = slice(int(index), int(index) + 1)
        inputs = {
            name: shown_sample(self.samples.samples_of(name, rows)[0], self.limits.get(name), self.names.get(name, ()))
            for name in self.samples.inputs
        }
        return {
            "sample": int(index) + 1,
            "error": float(self.results.errors[index]),
            "inputs": [{"name": name, **shown, **self._saliency(name, index, shown)} for name, shown in inputs.items()],
            **self._target_and_prediction(index),
        }

    def _saliency(self, name: str, index: int, shown: Mapping[str, Any]) -> dict[str, Any]:
        """The picture of where the prediction depends on an input that is shown as a picture."""
        by_sample = self.saliency.get(name, {})
        if int(index) not in by_sample or "picture" not in shown:
            return {}
        return {"saliency": shown_sample(by_sample[int(index)], (0.0, 1.0))["picture"]}

    def _target_and_prediction(self, index: int) -> dict[str, Any]:
        """The target and the prediction as texts, or as pictures."""
        target, prediction = self.results.targets[index], self.results.predictions[index]
        predicted = self.results.predicted
        if prediction.ndim > 1:
            return self._pictures(target, prediction)
        if len(predicted.true) != len(self.results.errors):
            return {"true": _numbers_text(target), "predicted": _numbers_text(prediction)}
        true, scores, labels = predicted.true[index], predicted.scores[index], predicted.labels
        if predicted.kind is OutputKind.EXCLUSIVE:
            order = np.argsort(-scores, kind="stable")[:MAX_LISTED_CLASSES]
            listed = ", ".join(f"{labels[unit]}: {number_text(round(float(scores[unit]), 4))}" for unit in order)
            return {"true": labels[int(true)], "predicted": listed, "right": bool(order[0] == true)}
        if predicted.kind is OutputKind.BINARY:
            is_right = bool((scores > np.asarray(predicted.threshold)) == bool(true))
            text = f"{labels[1]}: {number_text(round(float(scores), 4))}"
            return {"true": labels[int(true)], "predicted": text, "right": is_right}
        if predicted.kind is OutputKind.MULTI_LABEL:
            holds = scores > np.asarray(predicted.threshold)
            above = [label for label, is_above in zip(labels, holds, strict=True) if is_above]
            held = [label for label, holds in zip(labels, true, strict=True) if holds]
            return {"true": ", ".join(held) or "none", "predicted": ", ".join(above) or "none", "right": held == above}
        return {"true": _numbers_text(true), "predicted": _numbers_text(scores)}

    def _pictures(self, target: np.ndarray, prediction: np.ndarray) -> dict[str, Any]:
        """A target and a prediction with positions: pictures of numbers or of the indices of classes."""
        kind = self.results.predicted.kind
        if kind is OutputKind.EXCLUSIVE:
            count = prediction.shape[-1]
            target = target.argmax(-1) if target.ndim == prediction.ndim else target
            prediction, limits = prediction.argmax(-1), (0.0, float(count - 1))
        else:
            limits = value_range(target)
        shown = {}
        for name, array in (("true", target), ("predicted", prediction)):
            if is_picture(array.shape):
                shown[f"{name}_picture"] = shown_sample(array, limits)["picture"]
            else:
                shown[name] = _numbers_text(array)
        return shown


def _numbers_text(values: np.ndarray) -> str:
    flat = np.ravel(values)
    listed = ", ".join(number_text(value) for value in flat[:MAX_EXAMPLES])
    return listed if len(flat) <= MAX_EXAMPLES else f"{listed}, … ({len(flat):,} numbers)"


def column_names(samples: Dataset, data: DataSection | None) -> Mapping[str, Sequence[str]]:
    """The names of the columns of each input, as the spec assigns them."""
    assigned = assigned_columns(getattr(data, "x", None), "x", samples.inputs)
    return {name: columns.names for name, columns in assigned.items()} | dict(samples.columns)
