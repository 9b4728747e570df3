"""The predictions out of fold: each row predicted by the run of the fold that was not trained on it."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ...backend import thresholds_from
from ...core.diagnostics import UsageError
from ...core.files.files import error_reason, write_atomically
from ...core.files.run_layout import OUT_OF_FOLD_FILE
from ...core.reserved_names import target_name
from ...core.types import TensorType
from ...data.rows.row_samples import PartRows
from ...data.samples.label_sets import text_of_labels
from ..compile.output_classes import ClassKind, OutputClasses, output_classes
from ..run.trained_model import BATCH_SIZE, TrainedModel, batch_slices
from ..train.part_rows import part_rows
from ..train.plan_training import plan_training
from .prediction_files import Predictions, csv_bytes, to_csv

MAX_ROW_VALUES = 1 << 12
"""Values of the outputs and targets of a row of the table."""
MERGED_ROWS = 1 << 12
"""Rows that are written together."""


def write_out_of_fold(folder: Path, runs: Sequence[Path], open_model: Callable[[Path], TrainedModel]) -> Path | str:
    """Writes the predictions on the validation data of all folds to one table, in the order of the rows.

    Its columns are the number of the row among those of all files, from 1 (of a window, its last row), the fold, the
    targets, and the columns of `jsonnx predict`. Returns the path, or why there is no table. Raises UsageError,
    CompileError.
    """
    path, rows = folder / OUT_OF_FOLD_FILE, list[np.ndarray]()
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".jsonnx-") as temporary:
            tables = [Path(temporary, f"{fold}.csv") for fold in range(len(runs))]
            for fold, (run, table) in enumerate(zip(runs, tables, strict=True)):  # one model is open at a time
                model = open_model(run)
                if reason := _unsuited(model):
                    return reason
                rows.append(_write_fold(model, fold, table))
            write_atomically(path, _merged(tables, rows), follows_links=False)
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot write {str(path)!r}: {error_reason(error)}") from error
    return path


def _unsuited(model: TrainedModel) -> str | None:
    """Why the outputs of a model do not fit in a table; None if they do."""
    if model.data.files.validation is not None:
        return f"{OUT_OF_FOLD_FILE} is not written, since --validation-data replaces the validation data of the folds"
    typed = model.checked.require()
    types: list[TensorType] = [*typed.inference_outputs.values()]
    sizes = [size for type in types for size in type.shape[1:]]
    if not all(isinstance(size, int) for size in sizes):
        return f"{OUT_OF_FOLD_FILE} is not written, since the outputs of rows have different numbers of steps"
    count = sum(prod(size for size in type.shape[1:] if isinstance(size, int)) for type in types)
    if count > MAX_ROW_VALUES:
        return f"{OUT_OF_FOLD_FILE} is not written, since the outputs of a row have {count:,} values"
    return None


def _write_fold(model: TrainedModel, fold: int, path: Path) -> np.ndarray:
    """Writes the predictions on the validation data of a fold, in the order of their rows. Returns these rows."""
    plan = replace(plan_training(model.checked), source=model.data.source)
    own = part_rows(plan, model.data.files, ("validation",))["validation"].own
    classes = output_classes(model.checked, None, thresholds_from(model.session.metadata))
    rows = own.sample_rows
    order = None if (np.diff(rows) > 0).all() else np.argsort(rows, kind="stable")
    header = b""
    with open(path, "wb") as file:
        for batch in batch_slices(len(rows), BATCH_SIZE):
            chosen = batch if order is None else order[batch]
            predictions = _predictions(model, own, fold, classes, chosen, rows[chosen])
            header, content = header or csv_bytes([predictions.names]), to_csv(predictions)
            file.write(content if batch.start == 0 else content.removeprefix(header))
    return rows if order is None else rows[order]


def _predictions(
    model: TrainedModel,
    own: PartRows,
    fold: int,
    classes: Mapping[str, OutputClasses],
    chosen: slice | np.ndarray,
    rows: np.ndarray,
) -> Predictions:
    """The predictions for some samples, beside their rows, their fold and their targets."""
    feeds = own.samples.take(chosen)
    outputs = model.session.run({name: feeds[name] for name in model.session.inputs})
    kept: dict[str, Sequence[Any]] = {"row": (rows + 1).tolist(), "fold": [fold] * len(rows)}
    for output in own.samples.targets:
        kept |= dict(_target_columns(output, feeds[target_name(output)], classes.get(output)))
    return Predictions(outputs, classes, kept, model.checked.network.quantiles)


def _target_columns(
    output: str, target: np.ndarray, classes: OutputClasses | None
) -> Iterator[tuple[str, Sequence[Any]]]:
    """The classes of a target, or else a column for each of its numbers."""
    values, name = target.reshape(len(target), -1), f"target: {output}"
    if classes is not None and classes.kind is ClassKind.MULTI_LABEL:
        chosen = ([classes.labels[index] for index in np.flatnonzero(row > 0.5)] for row in values)
        yield name, [text_of_labels(labels, classes.label_separator) for labels in chosen]
    elif classes is not None:
        yield name, _labels(values[:, 0] if values.shape[1] == 1 else values.argmax(1), classes.labels)
    elif values.shape[1] == 1:
        yield name, _shortest(values[:, 0])
    else:
        yield from ((f"{name}_{index}", _shortest(column)) for index, column in enumerate(values.T))


def _shortest(numbers: np.ndarray) -> list[str]:
    """The shortest decimals that read back as the same numbers."""
    texts: list[str] = numbers.astype(str).tolist()
    return texts


def _labels(indices: np.ndarray, labels: Sequence[str]) -> list[Any]:
    """The labels of classes; other numbers, such as those that a loss ignores, as they are."""
    return [labels[int(index)] if index in range(len(labels)) else index for index in indices.tolist()]


def _merged(tables: Sequence[Path], rows: Sequence[np.ndarray]) -> Iterator[bytes]:
    """The rows of all tables in ascending order, below their common header."""
    folds = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    folds = folds[np.argsort(np.concatenate(rows), kind="stable")]
    files = [open(path, encoding="utf-8", newline="") for path in tables]  # noqa: SIM115
    try:
        readers = [csv.reader(file) for file in files]
        headers = [next(reader) for reader in readers]
        yield csv_bytes(headers[:1])
        for start in range(0, len(folds), MERGED_ROWS):
            yield csv_bytes(next(readers[fold]) for fold in folds[start : start + MERGED_ROWS].tolist())
    finally:
        for file in files:
            file.close()
