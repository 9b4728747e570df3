"""The samples of a fit, from its arguments or from the spec: to train on, to validate on, and their weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ...core.diagnostics import UsageError
from ...core.types import ShapeError
from ...data.files.data_locations import items_of_spec
from ...data.files.dataset_files import from_split
from ...data.samples.batch_stream import RETURNS_HELP, BatchStream, is_batch_source
from ...data.samples.data_spec import DataSpec
from ...data.samples.dataset import DataArgument, Dataset, from_arrays
from ...sections.data_section import DataSection
from ..fit_arguments import require_fraction
from ..training_plan import TrainingPlan
from .plan_data import from_spec


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


def train_and_validation(
    plan: TrainingPlan,
    x: Any,
    y: Any,
    sample_weight: DataArgument,
    validation_data: Any,
    split: float | None,
) -> tuple[Dataset | BatchStream, Dataset | BatchStream | None]:
    """The samples to train on, and those to validate on. Raises TypeError for arguments that do not go together."""
    if y is None and is_batch_source(x):
        if sample_weight is not None or split:
            message = "each batch of an iterable is x, (x, y) or (x, y, sample_weight)"
            raise TypeError(f"{message}, so sample_weight and validation_split cannot be given")
        return stream_of(plan, x), None if validation_data is None else _validation_data(plan, validation_data)
    if x is None and y is None:
        if sample_weight is not None:
            raise TypeError("sample_weight is an argument beside x and y; in a spec, it is a column of the data")
        if plan.training.data is not None and plan.training.data.split is not None and validation_data is None:
            return _split_of_spec(plan, plan.training.data)
        samples = from_spec(plan, "train")
    else:
        samples = dataset_of(plan, x, y, sample_weight, learns_labels=True)
    if samples is None:
        raise UsageError(
            "no-data", "there is nothing to train on", "name a file in `training.data.train`, or pass x and y"
        )
    plan = plan.with_learned(samples)
    if split is not None:
        split = require_fraction("validation_split", split)
    if validation_data is not None:
        return samples, _validation_data(plan, validation_data)
    data = plan.training.data
    if x is None and data is not None:
        validation = from_spec(plan, "validation")
        if validation is not None:
            return samples, validation
        split = data.validation_split if split is None else split
    return samples.split(split) if split else (samples, None)


def _split_of_spec(plan: TrainingPlan, data: DataSection) -> tuple[Dataset, Dataset | None]:
    """The training and validation data of the spec's `split`, from files that are read once."""
    parts = from_split(data, items_of_spec(data, "train", plan.source), plan.data_spec, plan.source)
    validation = parts.get("validation") or from_spec(plan.with_learned(parts["train"]), "validation")
    return parts["train"], validation


def _validation_data(plan: TrainingPlan, data: Any) -> Dataset | BatchStream:
    """The samples of a tuple `(x, y)` or `(x, y, sample_weight)`, or the batches of an iterable."""
    if not isinstance(data, tuple) and is_batch_source(data):
        stream = stream_of(plan, data)
        if stream.is_one_shot:
            message = "validation_data is read after each epoch, and an iterator allows a single pass"
            raise TypeError(f"{message}: {RETURNS_HELP}")
        return stream
    if isinstance(data, Dataset):
        return data
    if not plan.targets and (not isinstance(data, tuple) or len(data) == 1):
        data = (data[0] if isinstance(data, tuple) else data, None)  # samples without targets
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        is_tuple = isinstance(data, (tuple, list))
        actual = f"{len(data)} values" if is_tuple else f"an object of type {type(data).__name__}"
        wanted = "arrays or of dicts of arrays, (x, y) or (x, y, sample_weight)"
        raise TypeError(f"validation_data is a tuple of {wanted}, got {actual}")
    return dataset_of(plan, *data)


def samples_without_targets(plan: TrainingPlan, x: DataArgument) -> Dataset:
    """The inputs of the compiled model. Further inputs, which only training has, may be given, too."""
    inputs = plan.inference_inputs
    if isinstance(x, Mapping):
        x = {name: array for name, array in x.items() if name in inputs or name not in plan.inputs}
    return from_arrays(x, None, replace(plan.data_spec, inputs=inputs), targets=False)
