"""Warns about losses and metrics that do not suit the activation of their output: training would run, and learn
nothing, or the metric would be constant.

The forms of outputs are declared by losses and metrics, the bounds of values by activations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..core.diagnostics import JsonPath, Report
from ..core.fixes import json_text
from ..core.types import TensorType
from ..layers.activations import ActivationFunction, activation_class
from ..sections.training_section import Training
from ..training.losses.losses import Loss
from ..training.losses.regression_losses import RegressionLoss
from ..training.metrics.metrics import AccuracyMetric, Metric
from ..training.metrics.objective import Objective
from ..training.output_form import OutputForm
from ..training.target_form import TargetForm
from .output_layer import OutputLayer, output_layer
from .shape_inference import TypedNetwork

SOFTMAX_HELP = (
    "use categorical_crossentropy, or sparse_categorical_crossentropy if targets are class indices; if several classes "
    'may apply, "activation": "sigmoid"'
)
SIGMOID_HELP = 'use "activation": "softmax"; if several classes may apply, binary_crossentropy'


MAX_COMPONENT_CHARACTERS = 200


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
        form = objective.target_forms.get(output)
        if error is None and form is not None and form.changes_targets:
            error = _bounds_error(layer, form)
        if error is not None:
            notes = [(typed.network.paths[output], f"{output!r} is computed here")]
            report.add("loss-activation", path, error.message, help=error.help, notes=notes, severity="warning")
        for metric_path, metric in _metrics_of(training, objective, output):
            if not _check_accuracy(loss, layer, metric, output, metric_path, report) and error is None:
                _check_metric(typed, layer, metric, output, metric_path, report)


def _bounds_error(layer: OutputLayer, form: TargetForm) -> ActivationError | None:
    """Why the values of an activation do not reach all transformed and normalized targets."""
    function = activation_class(layer.activation)
    low, high = (None, None) if function is None else function.bounds
    has_both_signs = form.is_normalized or form.transform == "log"
    if high is None and (low is None or not has_both_signs):
        return None
    targets = "normalized targets" if form.is_normalized else "transformed targets"
    signs = "both signs and no bounds" if has_both_signs else "no bounds"
    message = f"{targets} have {signs}, and {layer.activation!r} does not reach them all"
    return ActivationError(message, "leave the activation out: the model's output has the unit of the target")


def activation_error(loss: Loss, layer: OutputLayer, type: TensorType) -> ActivationError | None:
    """Why a loss learns nothing from an output with this activation."""
    if layer.activation == "softmax" and type.shape[-1] == 1:
        message = "a softmax over one unit is always 1, so nothing is learned"
        return ActivationError(message, 'use "activation": "sigmoid", or one unit for each class')
    return _form_error(loss, loss.output_form, layer)


def fits(form: OutputForm, activation: type[ActivationFunction]) -> bool:
    """Whether the values of an activation have a form."""
    lower, upper = activation.bounds
    match form:
        case OutputForm.LOGITS:
            return lower is None or upper is None
        case OutputForm.UNITS_FROM_0_TO_1:
            return (lower, upper) == (0, 1) or activation.weights_classes
        case OutputForm.INDEPENDENT_PROBABILITIES:
            return (lower, upper) == (0, 1) and not activation.weights_classes
        case OutputForm.CLASS_WEIGHTS:
            return activation.weights_classes or activation.is_positive
        case OutputForm.CLASS_PROBABILITIES:
            return activation.weights_classes
        case OutputForm.EXPECTED_COUNTS:
            return lower is not None and lower >= 0
        case OutputForm.SIGNED_SCORES:
            return (lower is None or lower < 0) and (upper is None or upper > 0)
    return form is OutputForm.NUMBERS


def _form_error(component: Loss | Metric, form: OutputForm, layer: OutputLayer) -> ActivationError | None:
    """Why the activation of an output does not have the form that a loss or a metric takes."""
    name, logits_arguments = getattr(component, "reported_name", component.type_name), component.logits_arguments
    function = activation_class(layer.activation)
    if function is None or layer.is_rescaled or fits(form, function):
        return None
    has = "no activation" if layer.activation == "linear" else f"the activation {layer.activation}"
    is_sigmoid = function.bounds == (0, 1) and not function.weights_classes
    if form is OutputForm.LOGITS:
        subject = f"{name} with from_logits" if "from_logits" in logits_arguments else name
        message = f"{subject} takes an output without activation, but the output has a {layer.activation}"
        option = ", or remove from_logits" if "from_logits" in logits_arguments else ""
        return ActivationError(message, f"remove the activation{option}")
    if form is OutputForm.INDEPENDENT_PROBABILITIES and function.weights_classes:
        message = f"{name} takes independent probabilities, but those of a {layer.activation} sum to 1"
        return ActivationError(message, SOFTMAX_HELP)
    if form in (OutputForm.CLASS_WEIGHTS, OutputForm.CLASS_PROBABILITIES) and is_sigmoid:
        message = f"{name} takes probabilities that sum to 1, but the output has a {layer.activation} for each class"
        return ActivationError(message, SIGMOID_HELP)
    return ActivationError(f"{name} takes {form.value}, but the output has {has}", _form_help(component, form, layer))


def _form_help(component: Loss | Metric, form: OutputForm, layer: OutputLayer) -> str:
    """What to write for an output of a form."""
    match form:
        case OutputForm.EXPECTED_COUNTS:
            return 'give the output "activation": "softplus" or "exponential"'
        case OutputForm.SIGNED_SCORES:
            return 'remove the activation, or give the output "activation": "tanh"'
        case OutputForm.UNIT_VECTORS:
            return 'end with a Dense layer without activation, and {"type": "UnitNormalization"}'
        case OutputForm.CLASS_INDICES:
            return 'for a score of each class, write "sparse_y_pred": false; for one probability, use "binary_io_u"'
    is_of_classes = form in (OutputForm.CLASS_WEIGHTS, OutputForm.CLASS_PROBABILITIES)
    activation = f'"activation": "{"softmax" if is_of_classes else "sigmoid"}"'
    has_argument = layer.weighted_call is not None or layer.activation != "linear"
    help = f"give the output {activation}" if has_argument else f'end with {{"type": "Activation", {activation}}}'
    if not component.logits_arguments:
        return help
    written = json_text({"type": component.type_name, **component.logits_arguments}, MAX_COMPONENT_CHARACTERS)
    return f"{help}, or, for logits, write {written}"


def _check_metric(
    typed: TypedNetwork, layer: OutputLayer, metric: Metric, output: str, path: JsonPath, report: Report
) -> None:
    """Warns about a metric of an output of another form, or one that is 1 for every output."""
    type = typed.types[output]
    error = _form_error(metric, metric.output_form(type), layer)
    if metric.is_always_one(type):
        message = f"{metric.reported_name!r} is always 1 for {output!r}, which is {type}"
        error = ActivationError(message, "use a metric of one probability, or a smaller k, or leave it out")
    if error is not None:
        notes = [(typed.network.paths[output], f"{output!r} is computed here")]
        report.add("metric-activation", path, error.message, help=error.help, notes=notes, severity="warning")


def _metrics_of(training: Training, objective: Objective, output: str) -> Iterator[tuple[JsonPath, Metric]]:
    """The resolved metrics of an output, with their paths."""
    for key, metrics in (("metrics", objective.metrics), ("weighted_metrics", objective.weighted_metrics)):
        path: JsonPath = ("training", key, *([output] if isinstance(getattr(training, key), dict) else []))
        for index, metric in enumerate(metrics.get(output, ())):
            yield (*path, index), metric


def _check_accuracy(
    loss: Loss, layer: OutputLayer, metric: Metric, output: str, path: JsonPath, report: Report
) -> bool:
    """Warns about an accuracy of predicted numbers; returns whether it did."""
    if not isinstance(loss, RegressionLoss) or not isinstance(metric, AccuracyMetric):
        return False
    function = activation_class(layer.activation)
    if function is not None and fits(OutputForm.UNITS_FROM_0_TO_1, function) and not layer.is_rescaled:
        return False
    message = f"{metric.reported_name!r} counts correct classes, but {output!r} predicts numbers with {loss.type_name}"
    help = 'use a metric of numbers, such as "mae" or "root_mean_squared_error"'
    report.add("regression-accuracy", path, message, help=help, severity="warning")
    return True
