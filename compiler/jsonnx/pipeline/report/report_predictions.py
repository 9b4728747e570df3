"""The targets and predictions of a trained model's outputs, in the form that a report shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...analysis.decision import DEFAULT_THRESHOLD
from ...backend import thresholds_from
from ...core.reserved_names import target_name
from ...data.samples.dataset import Dataset
from ...html_report.outputs import OutputKind, Predicted
from ...html_report.quantiles import QuantilePredictions
from ...runtime.session.session import concatenate_batches
from ..baselines.output_scale import OutputScale
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
            scale = OutputScale(model.checked.require(), name, loss, thresholds.get(name, DEFAULT_THRESHOLD))
            found = _results(scale, targets, predictions[name], samples.lengths)
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
    scale: OutputScale, targets: np.ndarray, predictions: np.ndarray, lengths: np.ndarray | None
) -> OutputResults | None:
    """The results of an output; None if its targets are neither classes nor numbers in the output's shape."""
    kind = scale.kind(targets)
    scores = scale.scores(kind, predictions)
    true = scale.true_values(kind, targets)
    if true.shape != (scores.shape[:-1] if kind is OutputKind.EXCLUSIVE else scores.shape):
        return None
    counted = np.isfinite(scores).all(-1) & scale.counted_positions(kind, true, lengths)
    errors = np.where(counted, _position_errors(kind, true, scores), 0.0).reshape(len(true), -1).sum(1)
    errors /= counted.reshape(len(true), -1).sum(1).clip(1)
    all_quantiles = predictions[counted] if scale.quantiles else np.zeros((counted.sum(), 0))
    true, scores = true[counted], scores[counted]
    if len(true) > MAX_ROWS:
        kept = np.linspace(0, len(true) - 1, MAX_ROWS).astype(np.int64)
        true, scores, all_quantiles = true[kept], scores[kept], all_quantiles[kept]
    labels = scale.labels(kind, scores.shape[-1])
    has_probabilities = _are_probabilities(kind, scores)
    if kind is OutputKind.BINARY:
        true, scores = true[:, 0], scores[:, 0]
    threshold = 0.0 if scale.is_margin else scale.threshold
    quantiles = QuantilePredictions(scale.quantiles, all_quantiles) if scale.quantiles else None
    predicted = Predicted(kind, true, scores, labels, has_probabilities, threshold, quantiles)
    return OutputResults(scale.name, targets, predictions, predicted, errors)


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
