"""The targets and predictions of a trained model's outputs, in the form that a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...analysis.decision import DEFAULT_THRESHOLD, threshold_scale
from ...analysis.output_layer import output_layer
from ...analysis.shape_inference import TypedNetwork
from ...backend import thresholds_from
from ...core.reserved_names import target_name
from ...core.signature.thresholds import Threshold
from ...data.samples.dataset import Dataset
from ...html_report.outputs import OutputKind, Predicted
from ...html_report.quantiles import QuantilePredictions
from ...runtime.session.session import concatenate_batches
from ...training.losses.losses import Loss
from ...training.losses.margin_losses import MarginLoss
from ...training.losses.regression_losses import Quantile
from ..compile.output_classes import UNNAMED_LABELS
from ..run.trained_model import BATCH_SIZE, TrainedModel

MAX_ROWS = 2_000_000
"""Positions of samples, such as pixels, that metrics are computed from."""
SUM_TOLERANCE = 1e-3
"""Tolerance for the sum of a sample's probabilities, which should be 1."""


@dataclass(frozen=True)
class OutputResults:
    """An output for all samples: `targets` and `predictions` have the samples along the first axis."""

    name: str
    targets: np.ndarray
    predictions: np.ndarray
    predicted: Predicted
    """All counted positions of all samples; a sample of a flat output has one position."""
    errors: np.ndarray
    """How wrong each sample is, [samples]: 1 - the score of its class, or the mean distance of its numbers."""


def output_results(model: TrainedModel, samples: Dataset) -> list[OutputResults]:
    """The results of the outputs whose targets are classes, or numbers in the output's shape. Raises FeedError."""
    objective = model.checked.objective
    if objective is None:
        return []
    samples = samples.with_common_width()
    predictions = _predict(model, samples)
    thresholds = thresholds_from(model.session.metadata)
    results = []
    for name, loss in objective.losses.items():
        if name in samples.targets and name in predictions:
            targets = samples.samples_of(target_name(name), slice(None))
            form = _OutputForm(model.checked.require(), name, loss, thresholds.get(name, DEFAULT_THRESHOLD))
            found = _results(form, targets, predictions[name], samples.lengths)
            results += [] if found is None else [found]
    return results


def _predict(model: TrainedModel, samples: Dataset) -> dict[str, np.ndarray]:
    """The model's outputs for all samples."""
    batches = []
    for start in range(0, len(samples), BATCH_SIZE):
        feeds = samples.take(slice(start, start + BATCH_SIZE))
        batches.append(model.session.run({name: feeds[name] for name in model.session.inputs}))
    return concatenate_batches(batches)


def _results(
    form: _OutputForm, targets: np.ndarray, predictions: np.ndarray, lengths: np.ndarray | None
) -> OutputResults | None:
    """The results of an output; None if its targets are neither classes nor numbers in the output's shape."""
    kind = form.kind(targets)
    scores = form.scores(kind, predictions)
    true = form.true_values(kind, targets)
    if true.shape != (scores.shape[:-1] if kind is OutputKind.EXCLUSIVE else scores.shape):
        return None
    counted = _counted_positions(form.loss, kind, true, scores, lengths)
    errors = np.where(counted, _position_errors(kind, true, scores), 0.0).reshape(len(true), -1).sum(1)
    errors /= counted.reshape(len(true), -1).sum(1).clip(1)
    all_quantiles = predictions[counted] if form.quantiles else np.zeros((counted.sum(), 0))
    true, scores = true[counted], scores[counted]
    if len(true) > MAX_ROWS:
        kept = np.linspace(0, len(true) - 1, MAX_ROWS).astype(np.int64)
        true, scores, all_quantiles = true[kept], scores[kept], all_quantiles[kept]
    labels = form.labels(kind, scores.shape[-1])
    has_probabilities = _are_probabilities(kind, scores)
    if kind is OutputKind.BINARY:
        true, scores = true[:, 0], scores[:, 0]
    threshold = 0.0 if form.is_margin else form.threshold
    quantiles = QuantilePredictions(form.quantiles, all_quantiles) if form.quantiles else None
    predicted = Predicted(kind, true, scores, labels, has_probabilities, threshold, quantiles)
    return OutputResults(form.name, targets, predictions, predicted, errors)


@dataclass(frozen=True)
class _OutputForm:
    """The meaning of the numbers of an output and of its target."""

    typed: TypedNetwork
    name: str
    loss: Loss
    threshold: Threshold
    """A class is predicted if its probability exceeds this."""

    @cached_property
    def activation(self) -> str | None:
        layer = output_layer(self.typed, self.name)
        return layer.activation if layer is not None and not layer.is_rescaled else None

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The quantiles on the last axis of the output."""
        return self.loss.quantiles if isinstance(self.loss, Quantile) else ()

    @property
    def is_margin(self) -> bool:
        return isinstance(self.loss, MarginLoss)

    def kind(self, targets: np.ndarray) -> OutputKind:
        """The kind of prediction. A binary loss does not determine it: such losses also compare gray values."""
        type = self.typed.types[self.name]
        units = type.shape[-1] if type.rank > 1 else 1
        has_indices = targets.ndim == type.rank - 1 and targets.dtype.kind in "iu" and self.loss.has_class_targets
        is_exclusive = has_indices or "categorical" in self.loss.type_name or self.activation == "softmax"
        if is_exclusive and units != 1 and self.loss.has_class_targets:
            return OutputKind.EXCLUSIVE
        is_binary = threshold_scale(self.typed, self.name, self.loss) is not None and np.isin(targets, (0, 1)).all()
        if is_binary or self.is_margin:
            return OutputKind.BINARY if units == 1 else OutputKind.MULTI_LABEL
        return OutputKind.NUMBERS

    def scores(self, kind: OutputKind, predictions: np.ndarray) -> np.ndarray:
        """The predictions [samples, ..., units], with probabilities in place of logits."""
        numbers = np.asarray(predictions if predictions.ndim > 1 else predictions[:, None], np.float64)
        if kind is OutputKind.EXCLUSIVE and getattr(self.loss, "from_logits", False) and self.activation != "softmax":
            powers = np.exp(numbers - numbers.max(-1, keepdims=True))
            return powers / powers.sum(-1, keepdims=True)
        if kind in (OutputKind.BINARY, OutputKind.MULTI_LABEL) and not self.is_margin:
            is_logit = threshold_scale(self.typed, self.name, self.loss) == "logit"
            return 1.0 / (1.0 + np.exp(-numbers)) if is_logit else numbers
        return numbers[..., [self.loss.middle]] if isinstance(self.loss, Quantile) else numbers

    def true_values(self, kind: OutputKind, targets: np.ndarray) -> np.ndarray:
        """Class indices [samples, ...] of EXCLUSIVE; otherwise a number or boolean for each unit."""
        has_units = targets.ndim == self.typed.types[self.name].rank and targets.ndim > 1
        if kind is OutputKind.EXCLUSIVE:
            return targets.argmax(-1) if has_units else targets
        values = targets if has_units else targets[..., None]
        if kind is OutputKind.NUMBERS:
            return values.astype(np.float64)
        return values > (0.0 if self.is_margin else 0.5)

    def labels(self, kind: OutputKind, unit_count: int) -> Sequence[str]:
        """The names of the classes, or of the units."""
        labels = self.typed.network.labels.get(self.name, ())
        if kind is OutputKind.BINARY:
            return labels if len(labels) == 2 else UNNAMED_LABELS
        if isinstance(self.loss, Quantile):
            return (f"{self.name}, quantile {self.quantiles[self.loss.middle]:g}",)
        if kind is OutputKind.NUMBERS and unit_count == 1:
            return (self.name,)
        if len(labels) == unit_count:
            return labels
        prefix = f"{self.name} " if kind is OutputKind.NUMBERS else ""
        return [f"{prefix}{index}" for index in range(unit_count)]


def _counted_positions(
    loss: Loss, kind: OutputKind, true: np.ndarray, scores: np.ndarray, lengths: np.ndarray | None
) -> np.ndarray:
    """The positions [samples, ...] with finite scores, without positions that the loss ignores or that pad a
    sequence."""
    counted = np.isfinite(scores).all(-1)
    ignored = getattr(loss, "ignore_class", None)
    if kind is OutputKind.EXCLUSIVE and ignored is not None:
        counted &= true != ignored
    if lengths is not None and counted.ndim > 1 and counted.shape[1] == lengths.max():
        is_step = np.arange(counted.shape[1]) < lengths[:, None]
        counted &= is_step.reshape(*is_step.shape, *[1] * (counted.ndim - 2))
    return counted


def _position_errors(kind: OutputKind, true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """How wrong each position [samples, ...] is."""
    if kind is OutputKind.EXCLUSIVE:
        classes = true.clip(0, scores.shape[-1] - 1)[..., None].astype(np.int64)  # an ignored class may be -1
        return 1.0 - np.take_along_axis(scores, classes, -1)[..., 0]
    return np.abs(scores - true).mean(-1)


def _are_probabilities(kind: OutputKind, scores: np.ndarray) -> bool:
    if kind is OutputKind.NUMBERS or scores.min(initial=0.0) < 0 or scores.max(initial=0.0) > 1:
        return False
    return kind is not OutputKind.EXCLUSIVE or bool((np.abs(scores.sum(-1) - 1) < SUM_TOLERANCE).all())
