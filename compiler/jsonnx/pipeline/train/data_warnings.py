"""Warnings about data with which training runs, but fails silently."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from math import ceil, sqrt
from typing import Any, NamedTuple

import numpy as np

from ...analysis.output_layer import OutputLayer, output_layer
from ...core.diagnostics import Diagnostic, JsonPath, Report, or_list
from ...data.samples.dataset import Dataset
from ...layers.core import Dense
from ...sections.training_section import Training
from ...training.losses.regression_losses import RegressionLoss
from ...training.metrics.objective import Objective
from ...training.optimizers.optimizers import SGD
from ...training.weights.initializers import Constant
from ..check.check import CheckedSpec
from .left_out_notes import left_out_notes
from .run_data import RunData
from .target_classes import CHUNK_ELEMENTS, ClassCounts, class_counts, count_classes, target_classes

MIN_UNSEEN_FRACTION = 0.2
"""The fraction of the validation data, in classes that training lacks, that is reported. Below it, rare classes may be
the reason."""

MIN_REPORTED_DISTANCE = 10.0
"""The least distance of a target from the initial output, in standard deviations of that output, that is reported."""

MAX_LISTED_CLASSES = 8
SCALE_HELP = "scale the targets in the data"
RARE_LABELS_HELP = "leave out labels that few rows have, or give such rows to all parts, by files of their own"
NORMALIZE_HELP = 'normalize the targets: "target": {"normalize": true} in `training`'

ACTIVATION_RANGES = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
}
"""The values that bounded activations take."""


def data_warnings(checked: CheckedSpec, data: RunData, *, has_initial_weights: bool = False) -> list[Diagnostic]:
    """Warnings about the training and validation data of a checked spec that has an objective.

    With initial weights that were trained before, the initial output is not known, so its scale is not compared.
    """
    objective, training = checked.objective, checked.network.training
    report = checked.new_report()
    if objective is None or training is None:
        return []
    for note in left_out_notes(data.parts.items()) if training.data is not None else ():
        report.add(note.code, _data_path(checked, note.key), note.message, severity="note")
    for output, loss in objective.losses.items():
        _check_classes(data.train, data, output, objective, checked, report)
        _check_split_classes(data, output, objective, checked, report)
        form = objective.target_forms.get(output)
        if form is not None and form.changes_targets:
            continue
        if isinstance(loss, RegressionLoss) and not has_initial_weights and training.weights is None:
            _check_scale(data.train, output, training, checked, report)
    return list(report)


def _data_path(checked: CheckedSpec, key: str) -> JsonPath:
    """The path of a key of `training.data`, or of what encloses it if the spec lacks it."""
    training = checked.network.training
    section = training.data if training else None
    path: JsonPath = ("training", "data", key)
    return path if section and key in section.to_json() else path[:2] if section else path[:1]


# -- classes -----------------------------------------------------------------------------------------------------------


def _check_classes(
    train: Dataset, data: RunData, output: str, objective: Objective, checked: CheckedSpec, report: Report
) -> None:
    """Warns about a target of a single class, and about validation data of other classes than the training data."""
    classes = target_classes(train, output, objective)
    if classes is None or not classes.size:
        return
    labels, counts = checked.network.labels.get(output, ()), count_classes(classes)
    held_out = target_classes(data.validation, output, objective) if data.validation else None
    if held_out is not None and held_out.size:
        is_ordered = data.is_split and _is_ordered_by_class(train, np.concatenate([classes, held_out]), held_out.size)
        message = _validation_error(counts, count_classes(held_out), output, data.is_split, is_ordered, labels)
        if message is not None:
            path = _data_path(checked, "validation_split" if data.is_split else "validation")
            help = "name a validation file that was divided from the training file at random"
            if data.is_split:
                help = 'give "split": {"validation": ...} in place of `validation_split`, or shuffle the rows'
            report.add("validation-classes", path, message, help=help, severity="warning")
            return
    if classes.size > 1 and len(counts) == 1:
        message = f"all {classes.size:,} targets of {output!r} are {_class_list(counts, labels)}"
        help = "a network learns to tell classes apart from samples of all of them"
        report.add("single-class", _data_path(checked, "train"), message, help=help, severity="warning")


def _check_split_classes(
    data: RunData, output: str, objective: Objective, checked: CheckedSpec, report: Report
) -> None:
    """Warns about classes that a part of the spec's `split` lacks."""
    labels = checked.network.labels.get(output, ())
    parts = {part: data.parts[part] for part in data.split_parts}
    counts = class_counts(parts, objective).get(output, {})
    all_classes = {number for part in counts.values() for number in part}
    lacking = {part: sorted(all_classes - counts[part].keys()) for part in counts}
    errors = [f"`{part}` lacks {_class_list(classes, labels)}" for part, classes in lacking.items() if classes]
    if errors:
        noun = "labels" if output in data.train.data_spec.label_separators else "classes"
        message = f"{noun} of {output!r} are missing from parts of the split: {', '.join(errors)}"
        help = "`stratify` with the column of the classes divides each class by the shares, if it has enough rows"
        help = RARE_LABELS_HELP if noun == "labels" else help
        report.add("split-classes", _data_path(checked, "split"), message, help=help, severity="warning")


def _validation_error(
    counts: ClassCounts, held_out: ClassCounts, output: str, is_split: bool, is_ordered: bool, labels: Sequence[str]
) -> str | None:
    """A problem of the classes of the validation data: training lacks many of them, or the samples are sorted."""
    unseen = sorted(held_out.keys() - counts.keys())
    total = sum(held_out.values())
    lacks_classes = sum(held_out[number] for number in unseen) >= MIN_UNSEEN_FRACTION * total
    if is_ordered:
        message = f"the samples are ordered by class: all of the last {total:,}, which validation_split holds out, are "
        message += _class_list(held_out, labels)
        return message + (f", and the others lack {_class_list(unseen, labels)}" if lacks_classes else "")
    if not lacks_classes:
        return None
    where = f"the last {total:,} samples, which validation_split holds out," if is_split else "validation data"
    return f"{where} have classes of {output!r} that the training data lack: {_class_list(unseen, labels)}"


def _is_ordered_by_class(train: Dataset, classes: np.ndarray, held_out_count: int) -> bool:
    """Whether each sample has one of several classes, and all samples of a class follow one another."""
    if len(classes) != len(train) + held_out_count:
        return False
    class_count = len(count_classes(classes))
    return 1 < class_count < len(classes) and int((np.diff(classes) != 0).sum()) == class_count - 1


def _class_list(classes: Iterable[int], labels: Sequence[str]) -> str:
    names = [repr(labels[number]) if number < len(labels) else str(number) for number in classes]
    hidden = len(names) - MAX_LISTED_CLASSES
    return or_list(names) if hidden <= 0 else f"{', '.join(names[:MAX_LISTED_CLASSES])} or {hidden:,} others"


# -- scale -------------------------------------------------------------------------------------------------------------


class TargetRange(NamedTuple):
    """The distribution of a regression target."""

    mean: float
    deviation: float
    low: float
    high: float

    @staticmethod
    def of(array: np.ndarray) -> TargetRange:
        mean = _mean(array, lambda values: values)
        variance = _mean(array, lambda values: (values - mean) ** 2)
        return TargetRange(mean, sqrt(variance), float(array.min()), float(array.max()))


def _mean(array: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> float:
    """The mean of a function of all elements, in float64 and in parts, since a target may be a set of images."""
    values = array.reshape(-1)
    parts = (values[start : start + CHUNK_ELEMENTS] for start in range(0, values.size, CHUNK_ELEMENTS))
    return sum(float(function(part.astype(np.float64)).sum()) for part in parts) / values.size


def _check_scale(train: Dataset, output: str, training: Training, checked: CheckedSpec, report: Report) -> None:
    """Warns about a regression target that the output does not reach, or not in the steps of the training."""
    layer = output_layer(checked.require(), output)
    array = train.target_rows(output)
    if layer is None or not isinstance(array, np.ndarray) or not array.size:  # large targets stay in their files
        return
    target = TargetRange.of(array)
    bounds = ACTIVATION_RANGES.get(layer.activation)
    if bounds is not None:
        error = _bounds_error(array, target, layer, bounds)
    elif layer.activation in ("linear", "relu", "leaky_relu"):
        error = _distance_error(len(train), target, layer, training, checked)
    else:
        return
    if error is not None:
        scale, offset = _rescaling(target, bounds)
        help = (
            f"end the network with {_rescaling_entry(output, scale, offset, checked)}, so that the layers before it "
            f"compute {'values in their range' if bounds else 'standardized values'}, or "
            f"{SCALE_HELP if bounds else NORMALIZE_HELP}"
        )
        message = f"the target of {output!r} {error}"
        report.add("target-scale", checked.network.paths[output], message, help=help, severity="warning")


def _bounds_error(
    array: np.ndarray, target: TargetRange, layer: OutputLayer, bounds: tuple[float, float]
) -> str | None:
    """The error if the root mean square of what lies beyond the output's range is larger than that range."""
    low, high = sorted(layer.offset + layer.scale * bound for bound in bounds)
    excess = sqrt(_mean(array, lambda values: (values - np.clip(values, low, high)) ** 2))
    if excess <= high - low:
        return None
    values = f"goes from {target.low:.4g} to {target.high:.4g}"
    return f"{values}, but a {layer.activation} output lies between {low:.4g} and {high:.4g}"


def _distance_error(
    sample_count: int, target: TargetRange, layer: OutputLayer, training: Training, checked: CheckedSpec
) -> str | None:
    """The error if the target is farther from the initial output than the optimizer gets.

    The optimizers but SGD change each weight by about the learning rate per step, however large the error is. So the
    bias and the weights of a layer with N inputs of about 1 change the output by about (N + 1) learning rates a step.
    """
    kernel = f"{layer.weighted_call.owner}/kernel" if layer.weighted_call else ""
    optimizer = training.optimizer.optimizers[training.optimizer.optimizer_index(kernel)]
    rate = optimizer.learning_rate
    input_count = _input_count(layer, checked)
    if isinstance(optimizer, SGD) or not isinstance(rate, (int, float)) or input_count is None or not layer.scale:
        return None
    initializer = getattr(layer.weighted_call.layer, "bias_initializer", None) if layer.weighted_call else None
    bias = initializer.value if isinstance(initializer, Constant) else 0.0
    mean, deviation = layer.offset + layer.scale * bias, abs(layer.scale)
    distance = max(abs(target.mean - mean), target.deviation) / deviation
    step_count = training.epochs * ceil(sample_count / training.batch_size)
    reach = rate * step_count * (input_count + 1)
    if distance <= max(reach, MIN_REPORTED_DISTANCE):
        return None
    steps = f"{step_count:,} steps of {optimizer.type_name} with the learning rate {rate:g}"
    return (
        f"has the mean {target.mean:.4g} and the standard deviation {target.deviation:.4g}, but the initial output is "
        f"about {mean:.3g} ± {deviation:.2g}, and {steps} move it by about {reach * deviation:.2g} while the values "
        "in the network are about 1"
    )


def _input_count(layer: OutputLayer, checked: CheckedSpec) -> int | None:
    """The number of weights that are added up to an element of the output; None if it is not known."""
    call = layer.weighted_call
    if call is None or not isinstance(call.layer, Dense):
        return None
    size = checked.require().types[call.sources[0]].shape[-1]
    return size if isinstance(size, int) else None


def _rescaling(target: TargetRange, bounds: tuple[float, float] | None) -> tuple[float, float]:
    """Scale and offset that bring an output to the target: one of mean 0 and deviation 1, or of a range."""
    if bounds is None:
        return target.deviation or max(abs(target.mean), 1.0), target.mean
    scale = (target.high - target.low) / (bounds[1] - bounds[0])
    return scale, target.low - scale * bounds[0]


def _rescaling_entry(output: str, scale: float, offset: float, checked: CheckedSpec) -> str:
    """The entry of a layer that rescales an output, and takes over the output's name if the spec gives it one."""
    path = checked.network.paths[output]
    entry: Any = checked.network.flat_document
    for step in path:
        entry = entry[step]
    is_named = isinstance(entry, dict) and "name" in entry
    name = f'"name": {json.dumps(output)}, ' if is_named else ""
    text = f'{{"type": "Rescaling", {name}"scale": {scale:.3g}, "offset": {offset:.3g}}}'
    return f"{text} (and rename the layer that is called {output!r} now)" if is_named else text
