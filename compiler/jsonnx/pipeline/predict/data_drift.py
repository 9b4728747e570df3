"""The drift of data, and of their predictions, from the training data of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.diagnostics import Diagnostic, UsageError
from ...core.files.user_files import UserFiles
from ...data.drift.drift_counts import DriftCounts, FeatureDrift
from ...data.drift.stability import LARGE_PSI, MIN_ROWS, MODERATE_PSI
from ...data.drift.statistics import DataStatistics
from ...data.samples.data_spec import DataSpec
from ..run.data_statistics import read_data_statistics
from ..run.trained_model import TrainedModel, batch_slices
from .predictor import OnSamples, PredictOptions, Predictor

MEANING_NOTE = (
    f"PSI: the population stability index; below {MODERATE_PSI:g} there is no drift, from {LARGE_PSI:g} on it is "
    f'large. "chance": two samples of equal data may differ as much. Fewer than {MIN_ROWS} rows are not judged.'
)


@dataclass(frozen=True)
class DataDrift:
    """How some data differ from the training data of a run."""

    statistics: DataStatistics
    rows: int
    predicted_rows: int
    """The rows that the model takes: others lack a value, or have an unknown token, which it refuses."""
    columns: Sequence[FeatureDrift]
    outputs: Sequence[FeatureDrift]

    def exceeding(self, threshold: float) -> list[FeatureDrift]:
        """The columns and outputs that have drifted by at least a threshold."""
        return [drift for drift in (*self.columns, *self.outputs) if drift.exceeds(threshold)]


def data_drift(
    model: TrainedModel, data: UserFiles, input_format: str | None = None, on_samples: OnSamples = lambda count: None
) -> DataDrift:
    """The drift of a file, a folder or a pattern; `-` is standard input. Raises UsageError, CompileError, FeedError.

    Missing values and unknown tokens are counted, also where the model refuses them.
    """
    if model.folder is None:
        message = f"{str(model.path)!r} is a model, and the statistics of its training data are in its RUN folder"
        raise UsageError("no-data-statistics", message, "name the RUN folder")
    statistics = read_data_statistics(model.folder, model.session, model.checked.network.text_inputs)
    predictor = Predictor.of(model, data, PredictOptions(input_format=input_format))
    data_spec = predictor.stream.data_spec
    predictor = replace(predictor, stream=replace(predictor.stream, data_spec=_accepting(data_spec)))
    columns, outputs = DriftCounts.of(statistics.columns), DriftCounts.of(statistics.outputs)
    row_count = predicted_count = 0
    for part in predictor.parts():
        for rows in batch_slices(len(part.samples)):
            feeds = part.samples.take(rows)
            columns.add(part.samples.take_inputs(rows))
            is_accepted = _accepted_rows(feeds, data_spec)
            row_count, predicted_count = row_count + len(is_accepted), predicted_count + int(is_accepted.sum())
            if is_accepted.any():
                accepted = feeds if is_accepted.all() else {name: array[is_accepted] for name, array in feeds.items()}
                outputs.add(model.session.run(accepted))
            on_samples(row_count)
    return DataDrift(statistics, row_count, predicted_count, columns.drifts(), outputs.drifts())


def _accepting(data_spec: DataSpec) -> DataSpec:
    """The data with missing and unknown values."""
    types = data_spec.inputs.items()
    with_missing = {name for name, type in types if type.dtype == "string" or type.dtype.startswith("float")}
    return replace(data_spec, missing_inputs=frozenset(with_missing), vocabularies={}, index_ranges={})


def _accepted_rows(feeds: Mapping[str, np.ndarray], data_spec: DataSpec) -> np.ndarray:
    """Whether the model takes a row, by its row."""
    is_accepted = np.ones(len(next(iter(feeds.values()))), bool)
    for name, array in feeds.items():
        rows = array.reshape(len(array), -1)
        if array.dtype.kind == "f" and name not in data_spec.missing_inputs:
            is_accepted &= ~np.isnan(rows).any(1)
        if (tokens := data_spec.vocabularies.get(name)) is not None:
            is_accepted &= np.array([all(token in tokens for token in row) for row in rows.tolist()], bool)
        if (range := data_spec.index_ranges.get(name)) is not None:
            is_accepted &= ((rows >= 0) & (rows < range.size)).all(1)
        if array.dtype.kind == "O" and name in data_spec.date_inputs and name not in data_spec.missing_inputs:
            is_accepted &= np.array([all(row) for row in rows.tolist()], bool)
    return is_accepted


def drift_diagnostics(run: str, drift: DataDrift, threshold: float) -> list[Diagnostic]:
    """An error for each column and output that has drifted by at least a threshold."""
    outputs = {id(item) for item in drift.outputs}
    return [
        Diagnostic(
            "data-drift",
            f"{'the prediction' if id(item) in outputs else 'the column'} {item.feature.title!r} has drifted from "
            f"the training data of {run!r}: its population stability index is {item.psi:.3f}",
            expected=f"< {threshold:g}",
            found=f"{item.psi:.3f}",
        )
        for item in drift.exceeding(threshold)
    ]
