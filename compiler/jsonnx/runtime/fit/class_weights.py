"""The weights of samples that the weights of their classes give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...data.samples.dataset import Dataset
from ...sections.class_weights import (
    BALANCED,
    ClassWeights,
    WeightedClasses,
    class_of_key,
    class_weight_errors,
    class_weights_by_output,
)
from ..training_plan import TrainingPlan

ClassWeightArgument = str | Mapping[Any, Any] | None
"""`"balanced"`, numbers by class, or either by output name."""
WeightsByClass = Mapping[str, Mapping[int, float]]
"""The weights of classes by output."""


def check_class_weight(setting: ClassWeightArgument, plan: TrainingPlan) -> None:
    """Raises TypeError or ValueError for weights of classes that do not fit a plan."""
    if setting is not None and setting != BALANCED and not isinstance(setting, Mapping):
        raise TypeError(f"class_weight is a dict of numbers by class, or {BALANCED!r}, got {setting!r}")
    for error in class_weight_errors(setting, weighted_classes(plan)):
        raise ValueError(error.message + (f": {error.help}" if error.help else ""))


def has_balanced(setting: ClassWeightArgument) -> bool:
    """Whether weights of classes are to be learned from the data."""
    return setting == BALANCED or (isinstance(setting, Mapping) and BALANCED in setting.values())


def weights_by_class(setting: ClassWeightArgument, samples: Dataset, plan: TrainingPlan) -> WeightsByClass:
    """The weights of classes that differ from 1, by output. Balanced weights depend on the samples' classes."""
    outputs = weighted_classes(plan)
    return {
        name: _numbers_by_class(weights, np.asarray(samples.targets[name]), outputs[name])
        for name, weights in class_weights_by_output(setting, outputs).items()
    }


def _numbers_by_class(weights: ClassWeights, target: np.ndarray, output: WeightedClasses) -> dict[int, float]:
    if not isinstance(weights, str):
        numbers = {class_of_key(key, output): float(weight) for key, weight in weights.items()}
        return {number: weight for number, weight in numbers.items() if number is not None}
    classes, count = class_numbers(target, output), output.class_count or 0
    counts = np.bincount(classes[(classes >= 0) & (classes < count)], minlength=count)
    present = np.flatnonzero(counts)
    return {int(number): float(counts.sum() / (len(present) * counts[number])) for number in present}


def with_class_weights(samples: Dataset, weights: WeightsByClass, plan: TrainingPlan) -> Dataset:
    """The samples with their weights multiplied by the weights of their classes."""
    outputs = weighted_classes(plan)
    factors = {
        name: weights_of_samples(numbers, np.asarray(samples.targets[name]), outputs[name])
        for name, numbers in weights.items()
    }
    return samples.multiply_weights(factors) if factors else samples


def weights_of_samples(weights: Mapping[int, float], target: np.ndarray, output: WeightedClasses) -> np.ndarray:
    """The weight of each element of a target by its class. Classes without a weight, and classes that the loss ignores,
    have the weight 1."""
    table = np.ones((output.class_count or 0) + 1, np.float32)  # the last one is for classes that do not exist
    for number, weight in weights.items():
        table[number] = weight
    classes = class_numbers(target, output)
    is_class = (classes >= 0) & (classes < len(table) - 1)
    return table[np.where(is_class, classes, len(table) - 1)]


def class_numbers(target: np.ndarray, output: WeightedClasses) -> np.ndarray:
    """The class index of each loss of an output whose loss compares classes: of vectors the most likely class, of
    single probabilities the nearer of 0 and 1."""
    if target.ndim < output.output.rank:
        return target.astype(np.int64, copy=False)
    if target.shape[-1] == 1:
        return np.rint(target[..., 0]).astype(np.int64)
    return target.argmax(-1)


def weighted_classes(plan: TrainingPlan) -> dict[str, WeightedClasses]:
    losses = {name: plan.training.loss_of(name) for name in plan.targets}
    return {
        name: WeightedClasses(loss, plan.outputs[name], plan.labels.get(name, ()))
        for name, loss in losses.items()
        if loss is not None
    }
