"""Decisions about an output after training: the threshold of its classes, and the calibration of probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log
from typing import Literal

from ..core.diagnostics import JsonPath, Report, Severity, quoted_or_list, suggestion
from ..core.signature.thresholds import Threshold, converted
from ..core.types import TensorType
from ..layers.convolution.convolution import ConvLayer
from ..layers.core import Dense
from ..layers.einsum_dense import EinsumDense
from ..sections.monitor import NO_VALIDATION_HELP, spec_has_validation
from ..sections.training_section import ThresholdSection, Training
from ..training.losses.losses import BinaryLoss, Loss
from .output_layer import output_layer
from .shape_inference import TypedNetwork

DEFAULT_THRESHOLD = 0.5
"""A class is predicted if its probability exceeds this, as in Keras' binary metrics."""
MAX_LISTED_LABELS = 20
SIGMOIDS = ("sigmoid", "hard_sigmoid")
Scale = Literal["probability", "logit"]


def threshold_scale(typed: TypedNetwork, output: str, loss: Loss | None) -> Scale | None:
    """In what numbers an output has a threshold; None if each sample has exactly one of several classes, or none."""
    layer = output_layer(typed, output)
    is_sigmoid = layer is not None and layer.activation in SIGMOIDS and not layer.is_rescaled
    name = loss.type_name if loss is not None else ""
    if "categorical" in name or not (is_sigmoid or name.startswith("binary_")):
        return None
    return "logit" if getattr(loss, "from_logits", False) and not is_sigmoid else "probability"


def threshold_in_numbers(threshold: Threshold, scale: Scale) -> Threshold:
    """Probabilities in the numbers of an output."""
    return converted(threshold, lambda value: log(value / (1.0 - value))) if scale == "logit" else threshold


def threshold_outputs(typed: TypedNetwork, losses: Mapping[str, Loss]) -> dict[str, Scale]:
    """The outputs [batch, units] with a threshold, and the numbers that they have."""
    scales = {name: threshold_scale(typed, name, loss) for name, loss in losses.items() if _is_flat(typed.types[name])}
    return {name: scale for name, scale in scales.items() if scale is not None}


def spec_thresholds(typed: TypedNetwork, losses: Mapping[str, Loss]) -> dict[str, Threshold]:
    """The threshold that the spec gives as a number, or those by label, by output."""
    training = typed.network.training
    choice = training.threshold if training is not None else None
    if isinstance(choice, float):
        return dict.fromkeys(threshold_outputs(typed, losses), choice)
    if not isinstance(choice, dict):
        return {}
    thresholds: dict[str, Threshold] = {}
    for name in threshold_outputs(typed, losses):
        labels = _threshold_labels(typed, name)
        own = tuple(choice.get(label, DEFAULT_THRESHOLD) for label in labels)
        if not choice.keys().isdisjoint(labels):
            thresholds[name] = own[0] if len(own) == 1 else own
    return thresholds


def _threshold_labels(typed: TypedNetwork, output: str) -> tuple[str, ...]:
    """The labels of the numbers of an output that has a threshold: of a binary output, the second one."""
    labels, units = typed.network.labels.get(output, ()), typed.types[output].shape[-1]
    return labels[1:] if units == 1 else labels


def calibrated_layers(typed: TypedNetwork, losses: Mapping[str, Loss]) -> dict[str, str]:
    """The outputs [batch, units] with probabilities or logits, and the layer whose weights give their logits."""
    calls = [call.owner for call in typed.network.calls]
    layers = {}
    for name, loss in losses.items():
        layer = output_layer(typed, name)
        call = layer.weighted_call if layer is not None else None
        if layer is None or call is None or layer.is_rescaled or calls.count(call.owner) > 1:
            continue
        is_probability = layer.activation in ("softmax", "sigmoid")
        is_logit = layer.activation == "linear" and getattr(loss, "from_logits", False)
        has_one_kernel = isinstance(call.layer, (Dense, EinsumDense, ConvLayer))
        if _is_flat(typed.types[name]) and has_one_kernel and (is_probability or is_logit):
            layers[name] = call.owner
    return layers


def has_exclusive_classes(typed: TypedNetwork, output: str, loss: Loss) -> bool:
    """Whether the logits of an output become probabilities by a softmax, rather than each by a sigmoid."""
    layer = output_layer(typed, output)
    if layer is not None and layer.activation in ("softmax", "sigmoid"):
        return layer.activation == "softmax"
    return not isinstance(loss, BinaryLoss)


def _is_flat(type: TensorType) -> bool:
    return type.rank == 2 and isinstance(type.shape[-1], int)


def check_decision(typed: TypedNetwork, training: Training, losses: Mapping[str, Loss], report: Report) -> None:
    """Reports a threshold or a calibration without an output that suits it, or without validation data.

    If validation data are missing, that is a warning: a program may pass them to `fit`.
    """
    if training.threshold is not None and not threshold_outputs(typed, losses):
        message = "there is no sigmoid output [batch, units], so no class is predicted by a threshold"
        help = "leave it out: of other classifiers, the most probable class is predicted"
        report.add("decision-mismatch", ("training", "threshold"), message, help=help)
    check_threshold_labels(typed, losses, report)
    if training.calibration is not None and not calibrated_layers(typed, losses):
        message = "no softmax or sigmoid output [batch, units] comes straight from a layer with weights of its own"
        help = "temperature scaling divides the weights of the layer before the activation"
        report.add("decision-mismatch", ("training", "calibration"), message, help=help)
    if spec_has_validation(training) is False:
        severity: Severity = "warning"
        for key in validation_keys(training):
            message = f"`{key}` is chosen on validation data, and there are none"
            report.add("no-validation-data", ("training", key), message, help=NO_VALIDATION_HELP, severity=severity)


def check_threshold_labels(
    typed: TypedNetwork, losses: Mapping[str, Loss], report: Report, *, are_learned: bool = False
) -> None:
    """Reports thresholds of labels that no output has. Labels that the spec lacks are only known with `are_learned`,
    once the training data have given them their names."""
    training, outputs = typed.network.training, threshold_outputs(typed, losses)
    choice = training.threshold if training is not None else None
    if isinstance(choice, ThresholdSection) and choice.by_label and outputs and not _several_labels(typed, outputs):
        message = "`by_label` chooses a threshold for each of several labels, and no output has several"
        report.add("decision-mismatch", ("training", "threshold", "by_label"), message, help="leave it out")
    if not isinstance(choice, dict) or not (are_learned or all(name in typed.network.labels for name in outputs)):
        return
    known = [label for name in outputs for label in _threshold_labels(typed, name)]
    for label in choice:
        if outputs and label not in known:
            help = suggestion(label, known) or f"the labels are {quoted_or_list(known[:MAX_LISTED_LABELS])}"
            path: JsonPath = ("training", "threshold", label)
            report.add("unknown-name", path, f"there is no label {label!r}", help=help, at_key=True)


def _several_labels(typed: TypedNetwork, outputs: Iterable[str]) -> bool:
    return any(typed.types[name].shape[-1] != 1 for name in outputs)


def validation_keys(training: Training) -> list[str]:
    """The keys of the section whose values are chosen on validation data."""
    is_chosen = isinstance(training.threshold, ThresholdSection)
    return [*(["threshold"] if is_chosen else []), *(["calibration"] if training.calibration is not None else [])]
