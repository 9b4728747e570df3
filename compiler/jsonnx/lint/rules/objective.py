"""Rules on losses and metrics, and on how they fit the outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import sqrt

from ...core.diagnostics import JsonPath
from ...core.fixes import remove_key
from ...sections.label_sets import label_set_outputs
from ...sections.training_section import Training
from ...training.losses.losses import BinaryLoss, CategoricalLoss, Loss, SparseCategoricalCrossentropy
from ...training.losses.regression_losses import DifferenceLoss
from ..fixes import set_key
from ..layer_kinds import activation_of
from ..linted_network import LintedNetwork
from ..rule import Finding, rule

MAX_LABEL_SMOOTHING, MAX_BINARY_LABEL_SMOOTHING = 0.3, 0.2
LABEL_METRIC = {"type": "f1_score", "threshold": 0.5, "average": "macro"}
"""The metric of an output with several labels; the accuracy takes the greatest number for the only class."""
MIN_CLASSES, MAX_NARROW_UNITS = 10, 16
"""Minimum classes, and maximum units of a bottleneck."""


def loss_path(training: Training, output: str) -> JsonPath:
    """The path of an output's loss."""
    return ("training", "loss", *([output] if isinstance(training.loss, dict) else []))


def is_classification(loss: Loss) -> bool:
    return isinstance(loss, (BinaryLoss, CategoricalLoss, SparseCategoricalCrossentropy))


@rule("no-class-metric")
def no_class_metric(network: LintedNetwork) -> Iterator[Finding]:
    training, objective = network.training, network.objective
    if training is None or objective is None:
        return
    for output, loss in objective.losses.items():
        layer, rank = network.outputs.get(output), network.typed.types[output].rank
        if output in network.typed.network.auxiliary_outputs:
            continue
        if rank == 3 or not is_classification(loss) or _reconstructs(network, output, loss):
            continue  # a language model is judged by its cross-entropy
        has_logits = getattr(loss, "from_logits", False)
        if layer is not None and layer.activation not in ("softmax", "sigmoid") and not has_logits:
            continue
        metrics = (*objective.metrics.get(output, ()), *objective.weighted_metrics.get(output, ()))
        if any(metric.counts_classes for metric in metrics):
            continue
        path: JsonPath = ("training", "metrics") if training.metrics else ("training",)
        of = "pixels" if rank > 3 else "samples"
        message = f"no metric says how many {of} of {output!r} are classified correctly"
        has_labels = output in label_set_outputs(network.typed.types, {output: loss})
        metric = LABEL_METRIC if has_labels else "accuracy"
        fix = None if training.metrics else set_key(network, ("training", "metrics"), [metric])
        yield Finding(path, message, f'write "metrics": {json.dumps([metric])}', fix=fix)


def _reconstructs(network: LintedNetwork, output: str, loss: Loss) -> bool:
    """Whether an output with a binary cross-entropy has the shape of an input: it is an autoencoder's."""
    shape = network.typed.types[output].shape
    return isinstance(loss, BinaryLoss) and any(type.shape == shape for type in network.typed.inputs.values())


@rule("softmax-regression-loss")
def softmax_regression_loss(network: LintedNetwork) -> Iterator[Finding]:
    training, objective = network.training, network.objective
    if training is None or objective is None:
        return
    for output, loss in objective.losses.items():
        layer = network.outputs.get(output)
        is_softmax = layer is not None and layer.activation == "softmax" and not layer.is_rescaled
        if is_softmax and isinstance(loss, DifferenceLoss):
            if network.typed.types[output].shape[-1] == 1:
                continue  # `loss-activation` says that it is always 1
            notes = ((network.typed.network.paths[output], f"{output!r} is computed here"),)
            message = f"{loss.type_name} compares the probabilities of {output!r} with its targets"
            yield Finding(loss_path(training, output), message, "use categorical_crossentropy", notes)


@rule("label-smoothing")
def label_smoothing(network: LintedNetwork) -> Iterator[Finding]:
    training, objective = network.training, network.objective
    if training is None or objective is None:
        return
    seen: set[JsonPath] = set()
    for output, loss in objective.losses.items():
        smoothing = getattr(loss, "label_smoothing", 0.0)
        limit = MAX_BINARY_LABEL_SMOOTHING if isinstance(loss, BinaryLoss) else MAX_LABEL_SMOOTHING
        path = (*loss_path(training, output), "label_smoothing")
        if smoothing > limit and path not in seen:
            seen.add(path)
            message = f"a label smoothing of {smoothing:g} leaves {1 - smoothing:.0%} of the targets"
            yield Finding(path, message, "use about 0.1", fix=set_key(network, path, 0.1))


@rule("narrow-bottleneck")
def narrow_bottleneck(network: LintedNetwork) -> Iterator[Finding]:
    for output, layer in network.outputs.items():
        call = layer.weighted_call
        if call is None or layer.activation != "softmax" or output not in network.call_by_result:
            continue
        classes, width = network.output_type(call).shape[-1], network.input_type(call).shape[-1]
        before = network.producer(call)
        if not isinstance(classes, int) or not isinstance(width, int) or before is None or classes < MIN_CLASSES:
            continue
        is_hidden = activation_of(before.layer) is not None
        if is_hidden and width < min(sqrt(classes), MAX_NARROW_UNITS):
            notes = ((before.path, f"{before.name!r} is here"),)
            message = f"{call.name!r} tells {classes} classes apart by {width} values of {before.name!r}"
            yield Finding(call.path, message, f"give {before.name!r} more units", notes)


@rule("loss-as-metric", default=False)
def loss_as_metric(network: LintedNetwork) -> Iterator[Finding]:
    training, objective = network.training, network.objective
    if training is None or objective is None or network.typed.network.added_losses:
        return
    for output, loss in objective.losses.items():
        by_output = [output] if isinstance(training.metrics, dict) else []
        for index, metric in enumerate(objective.metrics.get(output, ())):
            if metric.type_name == loss.type_name and len(loss.to_json()) == 1:
                path: JsonPath = ("training", "metrics", *by_output, index)
                message = f"the metric {metric.reported_name!r} is the loss of {output!r}"
                yield Finding(path, message, "leave it out", fix=remove_key(path, is_safe=False))


@rule("loss-weight-of-zero")
def loss_weight_of_zero(network: LintedNetwork) -> Iterator[Finding]:
    training = network.training
    for output, weight in ((training.loss_weights if training else None) or {}).items():
        if weight == 0:
            message = f"the loss of {output!r} has the weight 0, so nothing learns from it"
            yield Finding(("training", "loss_weights", output), message, "give it a weight, or leave the loss out")
