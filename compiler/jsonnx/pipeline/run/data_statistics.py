"""The statistics of a run's training data and predictions, with which later data are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.files import file_exists
from ...core.files.run_layout import RunPaths
from ...core.types import TensorType
from ...data.drift.features import Feature, FeatureValues
from ...data.drift.input_features import array_features, described_feature
from ...data.drift.sampled_rows import read_parts, sampled_rows
from ...data.drift.statistics import DataStatistics, DescribedFeature
from ...data.drift.statistics_json import require_sources, statistics_from_json
from ...data.samples.dataset import Dataset
from ...frontend.json.json_reader import read_file
from ...runtime.session.session import Session
from ...sections.columns import assigned_columns
from ...sections.data_section import DataSection
from ..check.check import CheckedSpec
from ..check.data_spec import date_inputs, input_spec, text_vocabularies
from ..compile.output_classes import ClassKind, OutputClasses, output_classes
from ..train.run_data import RunData
from ..train.trainer import Trainer
from .trained_model import batch_slices

MAX_LABELS = 64
"""Labels of an output, of which any may hold, that have a feature each."""
MAX_PREDICTED_ROWS = 1000
MIN_PREDICTED_ROWS = 64
MAX_PREDICTED_SHARE = 0.02
"""The rows that are predicted, as a share of the rows of all epochs: a prediction takes a third of a training step."""
BATCH_ROWS = 256
HOLDS = ("no", "yes")
"""The classes of a label of which any may hold."""


def data_statistics(checked: CheckedSpec, trainer: Trainer, data: RunData) -> DataStatistics | None:
    """The statistics of a run's data, and of the predictions with the trainer's weights; None if the spec has none.

    They are of evenly spaced rows if there are many. Predictions are those of the validation data, if there are some.
    """
    section = checked.network.training.data if checked.network.training is not None else None
    if section is not None and not section.statistics:
        return None
    rows = sampled_rows(data.train)
    columns = _described_inputs(checked, section, data.train, rows)
    part = "train" if data.validation is None else "validation"
    limit = int(MAX_PREDICTED_SHARE * len(data.train) * trainer.plan.training.epochs)
    limit = max(MIN_PREDICTED_ROWS, min(MAX_PREDICTED_ROWS, limit))
    predicted = data.parts[part].subset(sampled_rows(data.parts[part], limit))
    outputs = _described_outputs(checked, trainer, predicted)
    return DataStatistics(len(data.train), len(rows), columns, part, len(predicted), outputs)


def _described_inputs(
    checked: CheckedSpec, section: DataSection | None, train: Dataset, rows: np.ndarray
) -> tuple[DescribedFeature, ...]:
    types = input_spec(checked.require()).inputs
    assigned = assigned_columns(section.x if section is not None else None, "x", types)
    pad_value = section.sequences.pad_value if section is not None and section.sequences is not None else 0.0
    dates = date_inputs(checked.require())
    vocabularies = text_vocabularies(checked.require())
    values: dict[Feature, list[FeatureValues]] = {}
    for arrays in read_parts(train.select_inputs(types), rows):
        for name, type in types.items():
            for feature in array_features(name, assigned[name].names, type, arrays[name], pad_value):
                values.setdefault(feature, []).append(feature.values(arrays[name]))
            if name in vocabularies:
                feature = Feature(assigned[name].names[0], name, "unknown words", vocabulary=vocabularies[name])
                values.setdefault(feature, []).append(feature.values(arrays[name]))
    counts = Counter(feature.title for feature in values)
    return tuple(
        described_feature(
            replace(feature, name=f"{feature.source}: {feature.name}") if counts[feature.title] > 1 else feature,
            parts,
            feature.source in dates,
        )
        for feature, parts in values.items()
    )


# -- outputs ---------------------------------------------------------------------------------------------------------


def _described_outputs(checked: CheckedSpec, trainer: Trainer, samples: Dataset) -> tuple[DescribedFeature, ...]:
    classes = output_classes(checked, None, trainer.thresholds)
    types = checked.require().inference_outputs
    engine = trainer.plan_trainer.engine
    values: dict[Feature, list[FeatureValues]] = {}
    for rows in batch_slices(len(samples), BATCH_ROWS):
        # Batch by batch: outputs may be as long as the longest sample of their batch.
        outputs = engine.predict(samples.subset(rows), BATCH_ROWS)
        for name, type in types.items():
            for feature in _output_features(name, type, outputs[name], classes.get(name)):
                values.setdefault(feature, []).append(feature.values(outputs[name]))
    return tuple(described_feature(feature, parts) for feature, parts in values.items())


def _output_features(
    name: str, type: TensorType, array: np.ndarray, classes: OutputClasses | None
) -> Iterator[Feature]:
    """The features of an output: its classes if these have names, else its numbers."""
    if classes is not None and classes.kind is not ClassKind.MULTI_LABEL:
        cut = classes.cut if classes.kind is ClassKind.BINARY and isinstance(classes.cut, float) else None
        yield Feature(name, name, "class", labels=classes.labels, cut=cut)
    elif classes is not None and len(classes.labels) <= MAX_LABELS:
        for index, label in enumerate(classes.labels):
            cut = classes.cut[index] if isinstance(classes.cut, tuple) else classes.cut
            yield Feature(f"{name}: {label}", name, "label", index, labels=HOLDS, cut=cut)
    else:
        yield from array_features(name, (name,), type.with_shape(array.shape), array)


# -- the file in a RUN folder ----------------------------------------------------------------------------------------


def read_data_statistics(folder: Path, session: Session, text_inputs: Mapping[str, TensorType] = {}) -> DataStatistics:
    """The statistics in the RUN folder of a model. `text_inputs` are texts in place of inputs of the model.

    Raises UsageError `no-data-statistics` if it has none, CompileError if they are malformed or do not belong to the
    model.
    """
    path = RunPaths(folder).data_statistics
    if not file_exists(path):
        message = f"there is no {path.name!r} in {str(folder)!r}, so that other data cannot be compared with the run's"
        raise UsageError("no-data-statistics", message, NO_STATISTICS_HELP)
    source = read_file(path)
    try:
        statistics = statistics_from_json(source.value)
        require_sources(statistics.columns, {**session.inputs, **text_inputs})
        require_sources(statistics.outputs, session.outputs)
    except ValueError as error:
        raise CompileError([Diagnostic("damaged-file", f"the file {error}", file=str(path))]) from error
    return statistics


NO_STATISTICS_HELP = (
    "`jsonnx train` writes it, unless the spec has `training.data.statistics: false`; a run of an older version is "
    "trained again"
)
