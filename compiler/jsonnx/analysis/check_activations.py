"""Warns about losses and metrics that do not suit the activation of their output: training would run, and learn
nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..core.diagnostics import JsonPath, Report
from ..core.types import TensorType
from ..sections.training_section import Training
from ..training.losses.losses import BinaryLoss, CategoricalLoss, Loss, SparseCategoricalCrossentropy
from ..training.losses.regression_losses import RegressionLoss
from ..training.metrics.metrics import AccuracyMetric, Metric
from ..training.metrics.objective import Objective
from .output_layer import OutputLayer, output_layer
from .shape_inference import TypedNetwork

SOFTMAX_ACTIVATIONS = ("softmax", "sparsemax")
"""Activations whose elements are probabilities that sum to 1."""

CLASS_ACTIVATIONS = (*SOFTMAX_ACTIVATIONS, "softplus", "exponential")
"""Activations whose values, divided by their sum, are class probabilities."""

SIGMOID_ACTIVATIONS = ("sigmoid", "hard_sigmoid", "sparse_sigmoid")
"""Activations whose elements are independent probabilities."""

PROBABILITY_ACTIVATIONS = (*SIGMOID_ACTIVATIONS, *SOFTMAX_ACTIVATIONS)


BOUNDED_ACTIVATIONS = (
    *PROBABILITY_ACTIVATIONS,
    *("relu", "relu6", "softplus", "exponential", "tanh", "hard_tanh", "softsign", "elu", "selu", "celu"),
)
"""Activations with a least or a greatest value."""


class ActivationError(NamedTuple):
    message: str
    help: str


def check_activations(typed: TypedNetwork, objective: Objective, report: Report) -> None:
    """Adds warnings on the losses and the metrics of outputs whose activation is known."""
    training = typed.network.training
    for output, loss in objective.losses.items():
        layer = output_layer(typed, output)
        if layer is None or training is None:
            continue
        path: JsonPath = ("training", "loss", *([output] if isinstance(training.loss, dict) else []))
        error = activation_error(loss, layer, typed.types[output])
        if error is None and output in objective.normalized_outputs and layer.activation in BOUNDED_ACTIVATIONS:
            message = (
                f"normalized targets have both signs and no bounds, and {layer.activation!r} does not reach them all"
            )
            error = ActivationError(message, "leave the activation out: the model's output has the unit of the target")
        if error is not None:
            notes = [(typed.network.paths[output], f"{output!r} is computed here")]
            report.add("loss-activation", path, error.message, help=error.help, notes=notes, severity="warning")
        for metric_path, metric in _metrics_of(training, objective, output):
            _check_accuracy(loss, layer, metric, output, metric_path, report)


def activation_error(loss: Loss, layer: OutputLayer, type: TensorType) -> ActivationError | None:
    """Why a loss learns nothing from an output with this activation."""
    name, activation = loss.type_name, layer.activation
    if activation == "softmax" and type.shape[-1] == 1:
        message = "a softmax over one unit is always 1, so nothing is learned"
        return ActivationError(message, 'use "activation": "sigmoid", or one unit for each class')
    if layer.is_rescaled:
        return None
    is_binary = isinstance(loss, BinaryLoss)
    if not is_binary and not isinstance(loss, (CategoricalLoss, SparseCategoricalCrossentropy)):
        return None
    suitable = "sigmoid" if is_binary else "softmax"
    from_logits = f'"loss": {{"type": "{name}", "from_logits": true}}'
    if getattr(loss, "from_logits", False):
        if activation not in ("sigmoid", "softmax"):
            return None
        message = f"{name} with from_logits takes an output without activation, but the output has a {activation}"
        return ActivationError(message, "remove the activation, or remove from_logits")
    if activation in (SIGMOID_ACTIVATIONS if is_binary else CLASS_ACTIVATIONS):
        return None
    if activation in SOFTMAX_ACTIVATIONS:
        message = f"{name} takes independent probabilities, but those of a {activation} sum to 1"
        help = "use categorical_crossentropy, or sparse_categorical_crossentropy if targets are class indices"
        return ActivationError(message, f'{help}; if several classes may apply, "activation": "sigmoid"')
    if activation in SIGMOID_ACTIVATIONS:
        message = f"{name} takes probabilities that sum to 1, but the output has a {activation} for each class"
        return ActivationError(
            message, 'use "activation": "softmax"; if several classes may apply, binary_crossentropy'
        )
    has = "no activation" if activation == "linear" else f"the activation {activation}"
    message = f"{name} takes probabilities, but the output has {has}"
    return ActivationError(message, f'give the output "activation": "{suitable}", or use {from_logits}')


def _metrics_of(training: Training, objective: Objective, output: str) -> Iterator[tuple[JsonPath, Metric]]:
    """The resolved metrics of an output, with their paths."""
    for key, metrics in (("metrics", objective.metrics), ("weighted_metrics", objective.weighted_metrics)):
        path: JsonPath = ("training", key, *([output] if isinstance(getattr(training, key), dict) else []))
        for index, metric in enumerate(metrics.get(output, ())):
            yield (*path, index), metric


def _check_accuracy(
    loss: Loss, layer: OutputLayer, metric: Metric, output: str, path: JsonPath, report: Report
) -> None:
    if not isinstance(loss, RegressionLoss) or not isinstance(metric, AccuracyMetric):
        return
    if layer.activation in PROBABILITY_ACTIVATIONS and not layer.is_rescaled:
        return
    message = f"{metric.reported_name!r} counts correct classes, but {output!r} predicts numbers with {loss.type_name}"
    help = 'use a metric of numbers, such as "mae" or "root_mean_squared_error"'
    report.add("regression-accuracy", path, message, help=help, severity="warning")
