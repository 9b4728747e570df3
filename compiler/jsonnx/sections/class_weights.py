"""The weights of classes: which outputs have them, and which class each key stands for.

`"balanced"` or an object of numbers by class belongs to the only output; an object by output name gives each of several
outputs its own. A key is the name of a class, in `labels` or without these in the training data, or its index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real
from operator import index
from typing import Any, Literal, NamedTuple

from ..core.diagnostics import quoted_or_list, suggest
from ..core.fixes import Suggestion
from ..core.types import TensorType
from ..training.losses.losses import BinaryLoss, CategoricalLoss, Loss, SparseCategoricalCrossentropy
from ..training.losses.margin_losses import CategoricalHinge
from .class_names import classes_by_number
from .label_sets import label_set_outputs

BALANCED: Literal["balanced"] = "balanced"
"""Weights that give all classes of the training data the same total weight: `samples / (classes * count)`."""

MAX_LISTED_CLASSES = 10

SEVERAL_LABELS_HELP = (
    'for rare labels, choose a threshold for each: "threshold": {"maximize": "f1", "by_label": true}; and the loss '
    '{"type": "binary_focal_crossentropy", "apply_class_balancing": true, "alpha": 0.75} counts the labels of a sample '
    "three times as much as those that it lacks"
)

ClassWeights = Literal["balanced"] | Mapping[Any, float]


class ClassWeightError(NamedTuple):
    """An error in the weights of classes; `path` leads from them to the wrong part."""

    code: str
    path: tuple[str, ...]
    message: str
    help: str | None
    suggestion: Suggestion | None = None
    """The keys that `help` proposes."""


class WeightedClasses(NamedTuple):
    """An output whose classes may have weights: its loss, its type and the names of its classes."""

    loss: Loss
    output: TensorType
    labels: Sequence[str] = ()
    learns_labels: bool = False
    """Whether the training data, which are not read yet, may give the classes names."""

    @property
    def class_count(self) -> int | None:
        """The number of classes; None if the loss does not compare classes."""
        size, last = self.output.shape[-1], self.output.rank - 1
        if isinstance(self.loss, BinaryLoss):
            return 2 if size == 1 and self.loss.axis in (-1, last) else None
        if isinstance(self.loss, CategoricalLoss):
            return size if isinstance(size, int) and self.loss.axis in (-1, last) else None
        has_classes = isinstance(self.loss, (SparseCategoricalCrossentropy, CategoricalHinge))
        return size if has_classes and isinstance(size, int) else None


def class_weights_by_output(setting: Any, outputs: Mapping[str, WeightedClasses]) -> dict[str, ClassWeights]:
    """The weights of the classes of each output, as a setting without errors gives them."""
    if setting is None:
        return {}
    if isinstance(setting, Mapping) and has_weights_by_output(setting):
        return dict(setting)
    return {name: setting for name, output in outputs.items() if output.class_count is not None}


def has_weights_by_output(setting: Mapping[Any, Any]) -> bool:
    """Whether an object has weights by output name, rather than by class."""
    return any(isinstance(value, (str, Mapping)) for value in setting.values())


def class_weight_errors(setting: Any, outputs: Mapping[str, WeightedClasses]) -> list[ClassWeightError]:
    """The first error in the weights of classes for these outputs, all of which have a loss."""
    if setting is None:
        return []
    if isinstance(setting, Mapping) and has_weights_by_output(setting):
        return [error for name, weights in setting.items() for error in _output_errors(name, weights, outputs)]
    if isinstance(setting, Mapping) and len(outputs) > 1:
        message = f"class_weight has weights without saying for which of {quoted_or_list(outputs)}"
        return [ClassWeightError("unknown-name", (), message, "give an object of weights by output name")]
    weighted = class_weights_by_output(setting, outputs)
    if not weighted:
        return [_no_classes(name, (), output) for name, output in outputs.items()][:1]
    return [error for name, weights in weighted.items() for error in _class_errors(weights, (), outputs[name])]


def _output_errors(name: Any, weights: Any, outputs: Mapping[str, WeightedClasses]) -> list[ClassWeightError]:
    if name not in outputs:
        proposed = suggest(str(name), outputs)
        help = proposed.text if proposed else f"the outputs with a loss are {quoted_or_list(outputs)}"
        message = f"there is no output {name!r} with a loss"
        return [ClassWeightError("unknown-name", (str(name),), message, help, proposed)]
    if outputs[name].class_count is None:
        return [_no_classes(name, (name,), outputs[name])]
    return _class_errors(weights, (name,), outputs[name])


def _no_classes(name: str, path: tuple[str, ...], output: WeightedClasses) -> ClassWeightError:
    message = f"{output.loss.type_name} has no classes for the output {name!r}, and class_weight needs some"
    if label_set_outputs({name: output.output}, {name: output.loss}):
        message = f"class_weight is for one class a sample, and samples may have several labels of {name!r}"
        return ClassWeightError("loss-mismatch", path, message, SEVERAL_LABELS_HELP)
    return ClassWeightError("loss-mismatch", path, message, "give the samples weights instead: sample_weight")


def _class_errors(weights: Any, path: tuple[str, ...], output: WeightedClasses) -> list[ClassWeightError]:
    """The errors of the keys of an object of weights by class."""
    if isinstance(weights, str) and weights == BALANCED:
        return []
    if not isinstance(weights, Mapping):
        message = f"class_weight is {BALANCED!r} or an object of numbers by class, got {weights!r}"
        return [ClassWeightError("wrong-type", path, message, None)]
    errors: list[ClassWeightError] = []
    keys_by_class: dict[int, Any] = {}
    for key, weight in weights.items():
        if not isinstance(weight, Real) or not isfinite(weight) or weight < 0:
            shown = f"{float(weight):g}" if isinstance(weight, Real) else repr(weight)
            message = f"the weight of the class {key!r} must be a number of at least 0, got {shown}"
            errors.append(ClassWeightError("out-of-range", (*path, str(key)), message, None))
        number = class_of_key(key, output)
        if number is None and output.learns_labels and isinstance(key, str):
            continue
        if number is None:
            message = f"there is no class {key!r}"
            proposed = suggest(str(key), output.labels)
            help = proposed.text if proposed else _classes_help(output)
            errors.append(ClassWeightError("unknown-name", (*path, str(key)), message, help, proposed))
        elif number in keys_by_class:
            message = f"{key!r} and {keys_by_class[number]!r} are the same class"
            errors.append(ClassWeightError("duplicate-name", (*path, str(key)), message, "remove one of them"))
        else:
            keys_by_class[number] = key
    return errors


def class_of_key(key: Any, output: WeightedClasses) -> int | None:
    """The index of the class that a key stands for; None if there is no such class. As in targets, integers are names
    where labels are integers."""
    if isinstance(key, str) and key in output.labels:
        return list(output.labels).index(key)
    try:
        number = int(key) if isinstance(key, str) and key.isascii() and key.isdigit() else index(key)
    except TypeError:
        return None
    if classes := classes_by_number(output.labels):
        return classes.get(number)
    return number if output.class_count is not None and 0 <= number < output.class_count else None


def _classes_help(output: WeightedClasses) -> str:
    if not output.labels:
        return f"the classes are 0 to {(output.class_count or 1) - 1}"
    shown = output.labels[:MAX_LISTED_CLASSES]
    known = quoted_or_list(shown) if len(shown) == len(output.labels) else f"{', '.join(map(repr, shown))}, ..."
    return f"the classes are {known}"
