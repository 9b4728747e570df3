"""The samples of a fit or an evaluation in Python: from its arguments, or else from the spec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...core.diagnostics import UsageError
from ...data.files.table_arguments import parts_from_tables
from ...data.samples.array_arguments import DataArgument, is_table
from ...data.samples.batch_stream import RETURNS_HELP, BatchStream, is_batch_source
from ...data.samples.dataset import Dataset
from ...runtime.fit.fit_data import dataset_of, stream_of
from ...runtime.fit_arguments import require_fraction
from ...runtime.training_plan import TrainingPlan
from .evaluated_part import evaluated_part
from .run_data import SPEC_FILES, read_data, read_part, require_validation, split_off_validation

Samples = Dataset | BatchStream


def fit_samples(
    plan: TrainingPlan,
    x: Any,
    y: Any,
    sample_weight: DataArgument,
    validation_data: Any,
    validation_split: float | None,
) -> tuple[Samples, Samples | None]:
    """The samples to train on, and those to validate on.

    Raises TypeError for arguments that do not go together, UsageError without samples, CompileError and FeedError for
    data that do not fit, and if the training needs validation data that it lacks.
    """
    samples, validation = _samples_to_train_on(plan, x, y, sample_weight, validation_data, validation_split)
    if validation_data is not None:
        learned = plan.with_learned(samples) if isinstance(samples, Dataset) else plan
        validation = _validation_samples(learned, validation_data)
    require_validation(plan, validation)
    return samples, validation


def _samples_to_train_on(
    plan: TrainingPlan,
    x: Any,
    y: Any,
    sample_weight: DataArgument,
    validation_data: Any,
    validation_split: float | None,
) -> tuple[Samples, Samples | None]:
    """The samples to train on, and those to validate on unless the user gives validation data."""
    if y is None and is_batch_source(x):
        if sample_weight is not None or validation_split:
            message = "each batch of an iterable is x, (x, y) or (x, y, sample_weight)"
            raise TypeError(f"{message}, so sample_weight and validation_split cannot be given")
        return stream_of(plan, x), None
    if validation_split is not None:
        validation_split = require_fraction("validation_split", validation_split)
    if is_table(x) and (y is None or is_table(y)) and sample_weight is None:
        fraction = validation_split if validation_data is None else None
        return _samples_of_table(plan, x, y, fraction, validation_data is not None or fraction is not None)
    if x is not None or y is not None:
        fraction = validation_split if validation_data is None else None
        return _split_off(dataset_of(plan, x, y, sample_weight, learns_labels=True), plan, fraction)
    if sample_weight is not None:
        raise TypeError("sample_weight is an argument beside x and y; in a spec, it is a column of the data")
    parts = ("train", "validation") if validation_data is None else ("train",)
    read = read_data(plan, parts=parts, validation_split=validation_split)
    if read is None:
        raise UsageError(
            "no-data", "there is nothing to train on", "name a file in `training.data.train`, or pass x and y"
        )
    return read.train, read.validation


def _split_off(samples: Dataset, plan: TrainingPlan, fraction: float | None) -> tuple[Dataset, Dataset | None]:
    data = split_off_validation(samples, None, None, plan.source, fraction)
    return data.train, data.validation


def _samples_of_table(
    plan: TrainingPlan, x: Any, y: Any, validation_split: float | None, has_validation: bool
) -> tuple[Dataset, Dataset | None]:
    """The samples of a table in place of the spec's training file. With validation data or a share of its own, the
    spec's are not used."""
    section, data_spec = plan.training.data, replace(plan.data_spec, learns_labels=True)
    if section is not None and section.split is not None and not has_validation:
        parts = parts_from_tables(x, y, section, data_spec, plan.source)
        return parts["train"], parts.get("validation")
    samples = dataset_of(plan, x, y, learns_labels=True)
    if has_validation or section is None:
        return _split_off(samples, plan, validation_split)
    learned = plan.with_learned(samples)
    validation = read_part("validation", learned.training.data, SPEC_FILES, learned.data_spec, learned.source)
    data = split_off_validation(samples, validation, section, plan.source)
    return data.train, data.validation


def _validation_samples(plan: TrainingPlan, data: Any) -> Samples:
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
    if is_table(data):
        return dataset_of(plan, data, None)
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        is_tuple = isinstance(data, (tuple, list))
        actual = f"{len(data)} values" if is_tuple else f"an object of type {type(data).__name__}"
        wanted = "arrays or of dicts of arrays, (x, y) or (x, y, sample_weight)"
        raise TypeError(f"validation_data is a table, or a tuple of {wanted}, got {actual}")
    return dataset_of(plan, *data)


def evaluation_samples(
    plan: TrainingPlan,
    x: DataArgument | Dataset,
    y: DataArgument,
    sample_weight: DataArgument,
    split: str | None = None,
) -> Samples:
    """The samples in arguments, or else a part of the spec's data: by default the test or else the validation data.

    Raises UsageError without samples, CompileError and FeedError for data that do not fit, TypeError for arguments and
    a part.
    """
    if x is None and y is None:
        evaluated = evaluated_part(plan, part=split)
        if evaluated is None:
            raise UsageError(
                "no-data", "there is nothing to evaluate on", "name a file in `training.data.test`, or pass x and y"
            )
        return evaluated.samples
    if split is not None:
        raise TypeError("split is a part of the spec's data, so it cannot be given with x and y")
    if y is None and sample_weight is None and is_batch_source(x):
        return stream_of(plan, x)
    return dataset_of(plan, x, y, sample_weight)
