"""Predictions as csv, JSON, JSON Lines or npz files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.diagnostics import UsageError
from ..compile.output_classes import OutputClasses

LABEL_SEPARATOR = ";"
"""Separates the classes of a sample in a csv file."""


@dataclass(frozen=True)
class Predictions:
    """The predictions for some samples.

    `outputs` are arrays [samples, ...] by the name of an output, `classes` the classes of some of them, and `kept` the
    values of columns of the data file, which results are written beside.
    """

    outputs: Mapping[str, np.ndarray]
    classes: Mapping[str, OutputClasses] = field(default_factory=dict)
    kept: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def predicted_classes(self) -> dict[str, list[Any]]:
        """The class of each sample, or its classes, by output."""
        return {name: classes.predicted(self.outputs[name]) for name, classes in self.classes.items()}

    def columns(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """The columns of a table with one row a sample.

        First the columns of the data file; one that is called like a result gets the name `data: NAME`. Then of each
        output the class, if it has classes, and its numbers, named by the classes (`NAME: CLASS`) or numbered.
        """
        results = list(self._result_columns())
        names = {name for name, _ in results}
        yield from ((f"data: {name}" if name in names else name, values) for name, values in self.kept.items())
        yield from results

    def _result_columns(self) -> Iterator[tuple[str, Sequence[Any]]]:
        for name, array in self.outputs.items():
            rows = array.reshape(len(array), -1)
            classes = self.classes.get(name)
            if classes is not None:
                yield name, classes.predicted(array)
                names = [f"{name}: {label}" for label in classes.probability_labels]
            else:
                names = [name] if rows.shape[1] == 1 else [f"{name}_{index}" for index in range(rows.shape[1])]
            yield from zip(names, rows.T, strict=True)


Writer = Callable[[Predictions], bytes]


def prediction_writer(file: str | None) -> Writer:
    """The writer for a file's suffix; csv if there is no file. Raises UsageError for another suffix."""
    suffix = ".csv" if file is None else Path(file).suffix.lower()
    if suffix not in WRITERS:
        target = f"files that end in {suffix!r}" if suffix else "a file without a suffix"
        raise UsageError("bad-option", f"cannot write {target}", "use .csv, .json, .jsonl or .npz")
    return WRITERS[suffix]


def to_csv(predictions: Predictions) -> bytes:
    """One row a sample; the classes of a sample that may have several are separated by `LABEL_SEPARATOR`."""
    header, columns = [], []
    for name, values in predictions.columns():
        header.append(name)
        columns.append(_csv_texts(values))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def _csv_texts(values: Sequence[Any]) -> Sequence[Any]:
    if isinstance(values, np.ndarray):
        return values.astype(str)  # the shortest decimal that reads back as the same number
    return [LABEL_SEPARATOR.join(value) if isinstance(value, list) else value for value in values]


def to_json(predictions: Predictions) -> bytes:
    """`{"outputs": {name: [...]}, "labels": {name: [...]}, "columns": {name: [...]}}`.

    `labels` has the predicted classes, if an output has named classes; `columns` has the kept columns of the data file.
    """
    document: dict[str, Any] = {"outputs": {name: json_numbers(array) for name, array in predictions.outputs.items()}}
    if predictions.classes:
        document["labels"] = predictions.predicted_classes()
    if predictions.kept:
        document["columns"] = {name: list(values) for name, values in predictions.kept.items()}
    return json.dumps(document).encode() + b"\n"


def to_json_lines(predictions: Predictions) -> bytes:
    """One object a sample, with the columns of the csv file as keys."""
    columns = {
        name: json_numbers(values) if isinstance(values, np.ndarray) else values
        for name, values in predictions.columns()
    }
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def to_npz(predictions: Predictions) -> bytes:
    """The arrays by the names of the outputs, and the kept columns."""
    file = io.BytesIO()
    kept = {
        f"data: {name}" if name in predictions.outputs else name: np.array(values)
        for name, values in predictions.kept.items()
    }
    np.savez_compressed(file, **kept, **predictions.outputs)  # type: ignore[arg-type]
    return file.getvalue()


def json_numbers(value: Any) -> Any:
    """Numbers as JSON values; NaN and the infinities, which JSON lacks, become null."""
    array = np.asarray(value)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    numbers = array.astype(object)
    numbers[~np.isfinite(array)] = None
    return numbers.tolist()


WRITERS: dict[str, Writer] = {".csv": to_csv, ".json": to_json, ".jsonl": to_json_lines, ".npz": to_npz}
"""By the suffix of the file."""
