"""How the classes of a network's outputs follow from their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import log

import numpy as np

from ..analysis.output_layer import output_layer
from ..analysis.shape_inference import TypedNetwork
from ..core.diagnostics import UsageError
from ..training.losses import Loss
from .check import CheckedSpec

DEFAULT_THRESHOLD = 0.5
"""The probability above which a class is predicted, as in Keras' binary metrics."""
SIGMOIDS = ("sigmoid", "hard_sigmoid")
UNNAMED_LABELS = ("0", "1")
"""The classes of a binary output without labels, if a threshold is given."""


class ClassKind(Enum):
    """How many classes of an output hold for a sample."""

    ONE_OF_MANY = "the most probable class"
    BINARY = "the second class above a threshold, else the first one"
    MULTI_LABEL = "all classes above a threshold"


@dataclass(frozen=True)
class OutputClasses:
    """The classes of an output [batch, units]. `cut` is the threshold in the output's own numbers."""

    labels: tuple[str, ...]
    kind: ClassKind
    cut: float = DEFAULT_THRESHOLD

    @property
    def probability_labels(self) -> tuple[str, ...]:
        """The labels of the output's numbers: of a binary output, the second one."""
        return self.labels[1:] if self.kind is ClassKind.BINARY else self.labels

    def predicted(self, array: np.ndarray) -> list[str] | list[list[str]]:
        """The class of each sample; for MULTI_LABEL, its classes."""
        if self.kind is ClassKind.ONE_OF_MANY:
            return [self.labels[index] for index in array.argmax(-1)]
        above = array > self.cut
        if self.kind is ClassKind.BINARY:
            return [self.labels[int(row[0])] for row in above]
        return [[label for label, holds in zip(self.labels, row, strict=True) if holds] for row in above]


def output_classes(checked: CheckedSpec, threshold: float | None = None) -> dict[str, OutputClasses]:
    """The classes by output, for outputs with labels; with a `threshold`, also for sigmoid outputs of one unit.

    Raises UsageError if a threshold is given and no output has one.
    """
    typed = checked.require()
    losses = checked.objective.losses if checked.objective else {}
    classes: dict[str, OutputClasses] = {}
    for name, type in typed.outputs.items():
        units = type.shape[-1] if type.rank == 2 else None
        labels = typed.network.labels.get(name, UNNAMED_LABELS if threshold is not None and units == 1 else ())
        is_binary = units == 1 and len(labels) == 2
        if not isinstance(units, int) or not (is_binary or len(labels) == units):
            continue
        cut = _cut(losses.get(name), _is_sigmoid(typed, name), threshold)
        if cut is not None:
            classes[name] = OutputClasses(labels, ClassKind.BINARY if is_binary else ClassKind.MULTI_LABEL, cut)
        elif units > 1:
            classes[name] = OutputClasses(labels, ClassKind.ONE_OF_MANY)
    if threshold is not None and all(item.kind is ClassKind.ONE_OF_MANY for item in classes.values()):
        message = "--threshold has no effect: no output is a sigmoid with one unit or with labels"
        raise UsageError("bad-option", message, "omit it: of other classifiers, the most probable class is predicted")
    return classes


def _cut(loss: Loss | None, is_sigmoid: bool, threshold: float | None) -> float | None:
    """The threshold in the numbers of an output; None if each sample has exactly one of several classes."""
    name = loss.type_name if loss is not None else ""
    if "categorical" in name or not (is_sigmoid or name.startswith("binary_")):
        return None
    probability = DEFAULT_THRESHOLD if threshold is None else threshold
    is_logit = getattr(loss, "from_logits", False) and not is_sigmoid
    return log(probability / (1.0 - probability)) if is_logit else probability


def _is_sigmoid(typed: TypedNetwork, output: str) -> bool:
    """Whether the numbers of an output are those of a sigmoid."""
    layer = output_layer(typed, output)
    return layer is not None and layer.activation in SIGMOIDS and not layer.is_rescaled
