"""Checks the weights of classes and of samples: that the losses take them, and that the classes exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..core.diagnostics import JsonPath, Report
from ..core.types import ShapeError
from ..sections.class_weights import (
    ClassWeightError,
    WeightedClasses,
    class_weight_errors,
    class_weights_by_output,
    has_weights_by_output,
)
from ..sections.columns import weight_columns
from ..sections.training_section import Training
from ..training.losses.losses import Loss
from .shape_inference import TypedNetwork


def weighted_outputs(
    typed: TypedNetwork, losses: Mapping[str, Loss], targets: Collection[str], report: Report
) -> frozenset[str]:
    """The outputs whose losses the training section gives weights.

    Reports weights of classes that do not exist, and losses that take no weights. `targets` are the outputs whose
    losses are valid. Wrong names of outputs are reported with those in other sections.
    """
    training = typed.network.training
    if training is None:
        return frozenset()
    outputs = _weighted_classes(typed, {name: losses[name] for name in losses if name in targets}, learns_labels=True)
    errors = class_weight_errors(training.class_weight, outputs) if len(outputs) == len(losses) else []
    _report([error for error in errors if not _is_at_output(training, error)], report)
    weighted = outputs.keys() & _outputs_with_weights(training, outputs) if not errors else frozenset()
    for name in sorted(weighted):
        _check_loss(typed, name, losses[name], report)
    return frozenset(weighted)


def _is_at_output(training: Training, error: ClassWeightError) -> bool:
    """Whether an error is the name of an output."""
    is_by_output = isinstance(training.class_weight, dict) and has_weights_by_output(training.class_weight)
    return is_by_output and error.code == "unknown-name" and len(error.path) == 1


def check_class_names(typed: TypedNetwork, losses: Mapping[str, Loss], report: Report) -> None:
    """Reports weights of classes that do not exist, once the training data have given the classes their names."""
    training = typed.network.training
    if training is not None:
        outputs = _weighted_classes(typed, losses, learns_labels=False)
        _report(class_weight_errors(training.class_weight, outputs), report)


def _report(errors: Iterable[ClassWeightError], report: Report) -> None:
    for error in errors:
        is_key = error.code == "unknown-name" and bool(error.path)
        path: JsonPath = ("training", "class_weight", *error.path)
        report.add(error.code, path, error.message, help=error.suggestion or error.help, at_key=is_key)


def _weighted_classes(
    typed: TypedNetwork, losses: Mapping[str, Loss], learns_labels: bool
) -> dict[str, WeightedClasses]:
    """The outputs with a loss, as weights of classes need them."""
    labels = typed.network.labels
    return {
        name: WeightedClasses(loss, typed.types[name], labels.get(name, ()), learns_labels and name not in labels)
        for name, loss in losses.items()
    }


def _outputs_with_weights(training: Training, outputs: Mapping[str, WeightedClasses]) -> set[str]:
    columns = weight_columns(training.data.sample_weight if training.data else None, outputs)
    return {*columns, *class_weights_by_output(training.class_weight, outputs)}


def _check_loss(typed: TypedNetwork, output: str, loss: Loss, report: Report) -> None:
    try:
        loss.sample_weight_type(typed.types[output])
    except ShapeError as error:
        training = typed.network.training
        by_output = isinstance(training.loss, dict) if training else False
        path: JsonPath = ("training", "loss", *([output] if by_output else []))
        notes = [(typed.network.paths[output], f"{output!r} is {typed.types[output]}")]
        report.add("loss-mismatch", path, f"{loss.type_name} {error.message}", help=error.help, notes=notes)
