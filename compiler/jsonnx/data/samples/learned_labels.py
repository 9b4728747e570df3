"""Labels that the targets of samples give, and their numbers in place of the texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...core.diagnostics import quoted_or_list
from .class_targets import mapped
from .data_errors import ErrorCollector
from .data_spec import MAX_SUGGESTED_LABELS
from .dataset import Dataset
from .label_sets import LabelSets, unit_count_help
from .valid_values import is_text


def with_learned_labels(samples: Dataset, errors: ErrorCollector) -> Dataset:
    """The samples with class indices in place of the texts in targets, whose sorted texts are the labels. Adds an error
    unless there are as many classes as the output has."""
    samples = _with_multi_hot_targets(samples, errors)
    if errors or all(array.dtype.kind != "O" for array in samples.targets.values()):
        return samples
    labels, targets = dict(samples.data_spec.labels), dict(samples.targets)
    for output, target in samples.targets.items():
        if target.dtype.kind != "O":
            continue
        array = np.asarray(target)
        title, count = samples.data_spec.describe(output), samples.data_spec.class_counts[output]
        if not is_text(array):
            errors.add("bad-value", f"{title} has numbers in some files and texts in others")
            continue
        classes = sorted({*map(str, array.flat)})
        numbers = {label: number for number, label in enumerate(classes)}
        labels[output], targets[output] = tuple(classes), mapped(array, numbers.__getitem__).astype(np.int64)
        if len(classes) != count:
            names = quoted_or_list(labels[output][:MAX_SUGGESTED_LABELS])
            more = ", ..." if len(classes) > MAX_SUGGESTED_LABELS else ""
            units = f"give the layer {output!r} {len(classes)} units" if len(classes) > 1 else "more than one is needed"
            help = f"the classes are {names}{more}; {units}, or list all classes in `labels` of the spec"
            number = "1 class" if len(classes) == 1 else f"{len(classes)} classes"
            errors.add("data-shape", f"{title} has {number}, the network {count}", help=help)
    return replace(samples, targets=targets, data_spec=replace(samples.data_spec, labels=labels))


def _with_multi_hot_targets(samples: Dataset, errors: ErrorCollector) -> Dataset:
    """The samples with vectors of 0 and 1 in place of sets of labels, whose sorted names are the labels if the spec
    gives none. Adds an error unless there are as many labels as the output has units."""
    labels, targets = dict(samples.data_spec.labels), dict[str, Any](samples.targets)
    for output, target in targets.items():
        if not isinstance(target, LabelSets):
            continue
        own = labels.setdefault(output, tuple(sorted(target.names)))
        unit_count = samples.data_spec.targets[output].shape[-1]
        if len(own) != unit_count:
            number = "1 label" if len(own) == 1 else f"{len(own):,} labels"
            message = f"{samples.data_spec.describe(output)} has {number}, the network {unit_count:,} units"
            errors.add("data-shape", message, help=unit_count_help(output, own))
        targets[output] = target.multi_hot(own)
    return replace(samples, targets=targets, data_spec=replace(samples.data_spec, labels=labels))
