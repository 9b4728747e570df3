"""Arguments of users as samples: arrays, datasets and iterables of batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ...core.types import ShapeError
from ...data.files.table_arguments import from_tables
from ...data.samples.array_arguments import DataArgument, is_table
from ...data.samples.array_samples import from_arrays
from ...data.samples.batch_stream import BatchStream
from ...data.samples.data_spec import DataSpec
from ...data.samples.dataset import Dataset
from ..training_plan import TrainingPlan


def dataset_of(
    plan: TrainingPlan,
    x: DataArgument | Dataset,
    y: DataArgument,
    sample_weight: DataArgument = None,
    *,
    learns_labels: bool = False,
) -> Dataset:
    """The samples in arguments; with `learns_labels`, texts in targets without labels are their classes.

    Raises FeedError for arrays that do not fit, TypeError or ValueError for weights where there can be none.
    """
    if isinstance(x, Dataset):
        if sample_weight is not None:
            raise TypeError("sample_weight is an argument beside arrays; a dataset has its own")
        return x
    data_spec = replace(_data_spec(plan, sample_weight), learns_labels=learns_labels)
    if is_table(x):
        weighs = learns_labels and sample_weight is None
        return from_tables(x, y, plan.training.data, data_spec, plan.source, sample_weight, needs_weights=weighs)
    return from_arrays(x, y, data_spec, sample_weight)


def _data_spec(plan: TrainingPlan, sample_weight: DataArgument) -> DataSpec:
    """The data that a plan takes, with weights of samples if some are given."""
    if sample_weight is None:
        return plan.data_spec
    given: Collection[str] = sample_weight if isinstance(sample_weight, Mapping) else plan.targets
    if not plan.targets:
        raise TypeError("sample_weight weighs the losses of outputs, and no output has a loss")
    try:
        return plan.data_spec_weighting(plan.weighted_outputs | (given & plan.targets.keys()))
    except ShapeError as error:
        raise ValueError(f"sample_weight: the loss {error.message}; {error.help}") from None


def stream_of(plan: TrainingPlan, source: Any) -> BatchStream:
    """The batches of an iterable, a generator, a sequence of batches, or a function that returns one."""
    return BatchStream(source, partial(dataset_of, plan))


def samples_without_targets(plan: TrainingPlan, x: DataArgument) -> Dataset:
    """The inputs of the compiled model. Further inputs, which only training has, may be given, too."""
    data_spec = plan.inference_data_spec
    if is_table(x):
        return from_tables(x, None, plan.training.data, data_spec, plan.source, targets=False)
    if isinstance(x, Mapping):
        known = plan.data_spec.inputs
        x = {name: array for name, array in x.items() if name in data_spec.inputs or name not in known}
    return from_arrays(x, None, data_spec, targets=False)
