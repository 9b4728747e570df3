"""Decisions about an output after training: the threshold of its classes, and the calibration of probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Literal

from ..core.diagnostics import Report, Severity
from ..core.types import TensorType
from ..layers.convolution.convolution import ConvLayer
from ..layers.core import Dense
from ..layers.einsum_dense import EinsumDense
from ..sections.monitor import NO_VALIDATION_HELP, spec_has_validation
from ..sections.training_section import ThresholdSection, Training
from ..training.losses.losses import BinaryLoss, Loss
from .output_layer import output_layer
from .shape_inference import TypedNetwork

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


def threshold_in_numbers(threshold: float, scale: Scale) -> float:
    """A probability in the numbers of an output."""
    return log(threshold / (1.0 - threshold)) if scale == "logit" else threshold


def threshold_outputs(typed: TypedNetwork, losses: Mapping[str, Loss]) -> dict[str, Scale]:
    """The outputs [batch, units] with a threshold, and the numbers that they have."""
    scales = {name: threshold_scale(typed, name, loss) for name, loss in losses.items() if _is_flat(typed.types[name])}
    return {name: scale for name, scale in scales.items() if scale is not None}


def spec_thresholds(typed: TypedNetwork, losses: Mapping[str, Loss]) -> dict[str, float]:
    """The threshold that the spec gives as a number, by output."""
    training = typed.network.training
    threshold = training.threshold if training is not None else None
    return dict.fromkeys(threshold_outputs(typed, losses), threshold) if isinstance(threshold, float) else {}


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
    if training.calibration is not None and not calibrated_layers(typed, losses):
        message = "no softmax or sigmoid output [batch, units] comes straight from a layer with weights of its own"
        help = "temperature scaling divides the weights of the layer before the activation"
        report.add("decision-mismatch", ("training", "calibration"), message, help=help)
    if spec_has_validation(training) is False:
        severity: Severity = "warning"
        for key in validation_keys(training):
            message = f"`{key}` is chosen on validation data, and there are none"
            report.add("no-validation-data", ("training", key), message, help=NO_VALIDATION_HELP, severity=severity)


def validation_keys(training: Training) -> list[str]:
    """The keys of the section whose values are chosen on validation data."""
    is_chosen = isinstance(training.threshold, ThresholdSection)
    return [*(["threshold"] if is_chosen else []), *(["calibration"] if training.calibration is not None else [])]
