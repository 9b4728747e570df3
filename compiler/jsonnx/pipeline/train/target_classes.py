"""The classes in the targets of a dataset, and how often each occurs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...data.samples.dataset import Dataset
from ...data.samples.stored_arrays import read_rows
from ...training.losses.losses import BinaryLoss, CategoricalLoss
from ...training.metrics.objective import Objective

CHUNK_ELEMENTS = 1 << 20
"""Elements that are converted at a time."""

ClassCounts = dict[int, int]
"""Numbers of elements by class index, for the classes that occur."""


def target_classes(samples: Dataset, output: str, objective: Objective) -> np.ndarray | None:
    """The class index of each element of a target, in one dimension; None if the target has no classes.

    Classes are the indices of a sparse loss, the 0 and 1 of a binary loss for one unit, and the positions of the ones
    in vectors for a categorical loss.
    """
    array = samples.target_rows(output)
    if not isinstance(array, np.ndarray) or not array.size:  # large targets stay in their files
        return None
    loss, index_range = objective.losses[output], samples.data_spec.index_ranges.get(output)
    if index_range is not None:
        classes = array.reshape(-1)
        return classes if index_range.ignored is None else classes[classes != index_range.ignored]
    if isinstance(loss, BinaryLoss) and array.shape[-1:] == (1,) and np.isin(array, (0, 1)).all():
        return array.reshape(-1).astype(np.int64)
    if isinstance(loss, CategoricalLoss) and array.ndim > 1 and loss.axis in (-1, array.ndim - 1):
        is_one_hot = np.isin(array, (0, 1)).all() and (array.sum(-1) == 1).all()
        return array.argmax(-1).reshape(-1) if is_one_hot else None
    return None


def class_counts(parts: Mapping[str, Dataset], objective: Objective) -> dict[str, dict[str, ClassCounts]]:
    """The numbers of elements of each class, by output and by part of the data, for the outputs that have classes; of
    outputs with several labels, the numbers of samples with each label."""
    counts: dict[str, dict[str, ClassCounts]] = {}
    for output in objective.losses:
        for part, samples in parts.items():
            classes = target_classes(samples, output, objective)
            own = label_counts(samples, output) if classes is None else count_classes(classes)
            if own is not None:
                counts.setdefault(output, {})[part] = own
    return counts


def label_counts(samples: Dataset, output: str) -> ClassCounts | None:
    """The number of samples with each label, for a target that has several of 0 and 1; None for other targets."""
    array = samples.target_rows(output)
    if output not in samples.data_spec.label_separators or array is None or not array.size:
        return None
    totals = np.zeros(array.shape[-1], np.int64)
    chunk_rows = max(1, CHUNK_ELEMENTS // array.shape[-1])
    for start in range(0, len(array), chunk_rows):
        chunk = read_rows(array, slice(start, start + chunk_rows))
        if not np.isin(chunk, (0, 1)).all():
            return None
        totals += (chunk != 0).sum(0)
    return {number: count for number, count in enumerate(totals.tolist()) if count}


def count_classes(classes: np.ndarray) -> ClassCounts:
    """The number of elements of each class index, in parts, since a mask of every pixel is a large array."""
    totals = np.zeros(0, np.int64)
    for start in range(0, len(classes), CHUNK_ELEMENTS):
        counts = np.bincount(classes[start : start + CHUNK_ELEMENTS].astype(np.int64), minlength=len(totals))
        counts[: len(totals)] += totals
        totals = counts
    return {number: count for number, count in enumerate(totals.tolist()) if count}
