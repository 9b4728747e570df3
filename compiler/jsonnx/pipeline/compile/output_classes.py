"""How the classes of a network's outputs follow from their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ...analysis.decision import DEFAULT_THRESHOLD, SIGMOIDS, threshold_in_numbers, threshold_scale
from ...analysis.output_layer import output_layer
from ...analysis.shape_inference import TypedNetwork
from ...core.diagnostics import UsageError
from ...core.signature.thresholds import Threshold, by_label
from ...sections.columns import assigned_columns
from ..check.check import CheckedSpec

UNNAMED_LABELS = ("0", "1")
"""The classes of a binary output without labels, if a threshold is given."""


LABEL_SEPARATOR = ";"
"""The mark between the labels of a sample in a text, unless the spec gives one, or reads lists."""


class ClassKind(Enum):
    """The number of classes of an output that hold for a sample."""

    ONE_OF_MANY = "one_of_many"
    """The most probable class."""
    BINARY = "binary"
    """The second class above a threshold, else the first one."""
    MULTI_LABEL = "multi_label"
    """All classes above a threshold."""


@dataclass(frozen=True)
class OutputClasses:
    """The classes of an output [batch, units]."""

    labels: tuple[str, ...]
    kind: ClassKind
    cut: Threshold = DEFAULT_THRESHOLD
    """The threshold in the output's own numbers."""
    threshold: Threshold = DEFAULT_THRESHOLD
    """The threshold as a probability."""
    label_separator: str | None = LABEL_SEPARATOR
    """Of MULTI_LABEL: the mark between the labels of a sample in a text; None for a JSON list."""
    has_probabilities: bool = True
    """Whether the output's numbers are probabilities, not logits or other scores."""

    @property
    def shown_threshold(self) -> float | dict[str, float]:
        """The threshold as a probability, or those by label."""
        return by_label(self.threshold, self.labels)

    @property
    def probability_labels(self) -> tuple[str, ...]:
        """The labels of the output's numbers: of a binary output, the second one."""
        return self.labels[1:] if self.kind is ClassKind.BINARY else self.labels

    def predicted(self, array: np.ndarray) -> list[str] | list[list[str]]:
        """The class of each sample; for MULTI_LABEL, its classes."""
        if self.kind is ClassKind.ONE_OF_MANY:
            return [self.labels[index] for index in array.argmax(-1)]
        above = array > np.asarray(self.cut, array.dtype)
        if self.kind is ClassKind.BINARY:
            return [self.labels[int(row[0])] for row in above]
        return [[label for label, holds in zip(self.labels, row, strict=True) if holds] for row in above]


def output_classes(
    checked: CheckedSpec, threshold: float | None = None, model_thresholds: Mapping[str, Threshold] = {}
) -> dict[str, OutputClasses]:
    """The classes by output, for outputs with labels; with a threshold, also for sigmoid outputs of one unit.

    `threshold` replaces the thresholds of the model, by output. Raises UsageError if it is given and no output has one.
    """
    typed = checked.require()
    losses = checked.objective.losses if checked.objective else {}
    classes: dict[str, OutputClasses] = {}
    for name, type in typed.inference_outputs.items():
        units = type.shape[-1] if type.rank == 2 else None
        own = model_thresholds.get(name) if threshold is None else threshold
        labels = typed.network.labels.get(name, UNNAMED_LABELS if own is not None and units == 1 else ())
        is_binary = units == 1 and len(labels) == 2
        if not isinstance(units, int) or not (is_binary or len(labels) == units):
            continue
        scale = threshold_scale(typed, name, losses.get(name))
        if scale is not None:
            kind = ClassKind.BINARY if is_binary else ClassKind.MULTI_LABEL
            fits = own is not None and (not isinstance(own, tuple) or len(own) == units > 1)
            probability = own if own is not None and fits else DEFAULT_THRESHOLD
            cut = threshold_in_numbers(probability, scale)
            mark = _label_separator(checked, name) if kind is ClassKind.MULTI_LABEL else None
            classes[name] = OutputClasses(labels, kind, cut, probability, mark, _has_probabilities(typed, name))
        elif units > 1:
            classes[name] = OutputClasses(
                labels, ClassKind.ONE_OF_MANY, has_probabilities=_has_probabilities(typed, name)
            )
    if threshold is not None and all(item.kind is ClassKind.ONE_OF_MANY for item in classes.values()):
        message = "--threshold has no effect: no output is a sigmoid with one unit or with labels"
        raise UsageError("bad-option", message, "omit it: of other classifiers, the most probable class is predicted")
    return classes


def _label_separator(checked: CheckedSpec, output: str) -> str | None:
    """The mark between the labels in texts that training reads as the target of an output; None if it reads lists."""
    training, objective = checked.network.training, checked.objective
    if training is None or training.data is None or objective is None or output not in objective.targets:
        return LABEL_SEPARATOR
    columns = assigned_columns(training.data.y, "y", objective.targets)[output].names
    return training.data.label_separator if len(columns) == 1 else LABEL_SEPARATOR


def _has_probabilities(typed: TypedNetwork, output: str) -> bool:
    layer = output_layer(typed, output)
    return layer is not None and layer.activation in ("softmax", *SIGMOIDS) and not layer.is_rescaled
