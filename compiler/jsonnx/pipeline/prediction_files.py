"""Predictions as csv, JSON or npz files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.diagnostics import UsageError

Outputs = Mapping[str, np.ndarray]
"""Arrays [samples, ...] by the name of an output."""
Labels = Mapping[str, tuple[str, ...]]
"""The names of the classes by the name of an output."""


def prediction_writer(file: str | None) -> Callable[[Outputs, Labels], bytes]:
    """The writer for a file's suffix; csv if there is no file. Raises UsageError for another suffix."""
    suffix = ".csv" if file is None else Path(file).suffix.lower()
    if suffix not in WRITERS:
        target = f"files that end in {suffix!r}" if suffix else "a file without a suffix"
        raise UsageError("bad-option", f"cannot write {target}", "use .csv, .json or .npz")
    return WRITERS[suffix]


def to_csv(outputs: Outputs, labels: Labels) -> bytes:
    """One row a sample, one column a value. A classifier's output has a column with the most probable class first."""
    header: list[str] = []
    columns: list[Any] = []
    for name, array in outputs.items():
        classes = labels.get(name, ())
        rows = array.reshape(len(array), -1)
        if _is_classification(array, classes):
            header += [name, *(f"{name}: {label}" for label in classes)]
            columns.append(_predicted_labels(array, classes))
        else:
            header += [name] if rows.shape[1] == 1 else [f"{name}_{index}" for index in range(rows.shape[1])]
        columns.extend(rows.T.astype(str))  # the shortest decimal that reads back as the same number
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def to_json(outputs: Outputs, labels: Labels) -> bytes:
    """`{"outputs": {name: [...]}, "labels": {name: [...]}}`; `labels` only if an output has named classes."""
    document: dict[str, Any] = {"outputs": {name: json_numbers(array) for name, array in outputs.items()}}
    predicted = {
        name: _predicted_labels(outputs[name], classes)
        for name, classes in labels.items()
        if name in outputs and _is_classification(outputs[name], classes)
    }
    return json.dumps(document | ({"labels": predicted} if predicted else {})).encode() + b"\n"


def to_npz(outputs: Outputs, labels: Labels) -> bytes:
    """The arrays by the names of the outputs."""
    file = io.BytesIO()
    np.savez_compressed(file, **outputs)  # type: ignore[arg-type]
    return file.getvalue()


def json_numbers(value: Any) -> Any:
    """Numbers as JSON values; NaN and the infinities, which JSON lacks, become null."""
    array = np.asarray(value)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    numbers = array.astype(object)
    numbers[~np.isfinite(array)] = None
    return numbers.tolist()


def _is_classification(array: np.ndarray, classes: tuple[str, ...]) -> bool:
    return bool(classes) and array.ndim == 2 and array.shape[1] == len(classes)


def _predicted_labels(array: np.ndarray, classes: tuple[str, ...]) -> list[str]:
    """The most probable class of each sample, for probabilities [samples, classes]."""
    return [classes[index] for index in array.argmax(-1)]


WRITERS: dict[str, Callable[[Outputs, Labels], bytes]] = {".csv": to_csv, ".json": to_json, ".npz": to_npz}
"""By the suffix of the file."""
