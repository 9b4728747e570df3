"""Predictions as csv, JSON, JSON Lines, npz or Parquet files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...core.diagnostics import UsageError
from ...data.samples.label_sets import text_of_labels
from ...data.tables.parquet_writer import common_schema, join_parquet, parquet_bytes, recast_parquet
from ...runtime.session.session import concatenate_batches
from ..compile.output_classes import OutputClasses


@dataclass(frozen=True)
class Predictions:
    """The predictions for some samples.

    `outputs` are arrays [samples, ...] by the name of an output, `classes` the classes of some of them, and `kept` the
    values of columns of the data file, which results are written beside.
    """

    outputs: Mapping[str, np.ndarray]
    classes: Mapping[str, OutputClasses] = field(default_factory=dict)
    kept: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    quantiles: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """The quantiles on the last axis of some outputs."""

    def predicted_classes(self) -> dict[str, list[Any]]:
        """The class of each sample, or its classes, by output."""
        return {name: classes.predicted(self.outputs[name]) for name, classes in self.classes.items()}

    def columns(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """The columns of a table with one row a sample.

        First the columns of the data file; one that is called like a result gets the name `data: NAME`. Then of each
        output the class, if it has classes, and its numbers, named by the classes (`NAME: CLASS`), by the quantiles
        (`NAME_q0.1`), or numbered.
        """
        results = list(self._result_columns())
        names = {name for name, _ in results}
        yield from ((f"data: {name}" if name in names else name, values) for name, values in self.kept.items())
        yield from results

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns of a table with one row a sample."""
        return tuple(name for name, _ in self.columns())

    def in_order(self, names: Sequence[str], first_row: int) -> Predictions:
        """The predictions with their columns in the order of those of earlier samples.

        `first_row` is the number of these. Raises UsageError `data-shape` if the columns are others.
        """
        if self.names == tuple(names):
            return self
        if differing := {*names} ^ {*self.names}:
            name = next(name for name in (*names, *self.names) if name in differing)
            where = "only rows before have" if name in names else "rows before do not have"
            message = f"the data have other columns from row {first_row + 1:,} on: {where} {name!r}"
            raise UsageError("data-shape", message, "name the columns to keep, with --id COLUMN")
        order = {
            name.removeprefix("data: ") if name not in self.kept else name: index for index, name in enumerate(names)
        }
        return replace(self, kept=dict(sorted(self.kept.items(), key=lambda item: order[item[0]])))

    @staticmethod
    def concatenate(parts: Sequence[Predictions]) -> Predictions:
        """The predictions for the samples of all parts. Raises FeedError if the shapes of samples differ."""
        kept = {name: [value for part in parts for value in part.kept[name]] for name in parts[0].kept}
        return Predictions(
            concatenate_batches([part.outputs for part in parts]), parts[0].classes, kept, parts[0].quantiles
        )

    def _result_columns(self) -> Iterator[tuple[str, Sequence[Any]]]:
        for name, array in self.outputs.items():
            rows = array.reshape(len(array), -1)
            classes = self.classes.get(name)
            if classes is not None:
                yield name, classes.predicted(array)
                names = [f"{name}: {label}" for label in classes.probability_labels]
            else:
                names = number_names(name, rows.shape[1], self.quantiles.get(name, ()))
            yield from zip(names, rows.T, strict=True)


def number_names(output: str, count: int, quantiles: Sequence[float] = ()) -> list[str]:
    """The names of the numbers of an output, the last axis of which may have quantiles."""
    if quantiles:
        places = number_names(output, count // len(quantiles))
        return [f"{place}_q{quantile:g}" for place in places for quantile in quantiles]
    return [output] if count == 1 else [f"{output}_{index}" for index in range(count)]


Writer = Callable[[Predictions], bytes]


def to_csv(predictions: Predictions) -> bytes:
    """One row a sample; the classes of a sample that may have several are a text that training reads."""
    header, columns = [], []
    for name, values in predictions.columns():
        classes = predictions.classes.get(name)
        header.append(name)
        columns.append(_csv_texts(values, None if classes is None else classes.label_separator))
    return csv_bytes([header, *zip(*columns, strict=True)])


def csv_bytes(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows of a csv file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _csv_texts(values: Sequence[Any], label_separator: str | None) -> Sequence[Any]:
    if isinstance(values, np.ndarray):
        return values.astype(str)  # the shortest decimal that reads back as the same number
    return [text_of_labels(value, label_separator) if isinstance(value, list) else value for value in values]


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


def to_parquet(predictions: Predictions) -> bytes:
    """One row a sample, with the columns of the csv file; the classes of a sample that may have several are a list."""
    return parquet_bytes(predictions.columns())


WRITERS: dict[str, Writer] = {
    ".csv": to_csv,
    ".json": to_json,
    ".jsonl": to_json_lines,
    ".npz": to_npz,
    ".parquet": to_parquet,
}
"""By the suffix of the file."""


# -- parts -------------------------------------------------------------------------------------------------------------


class PartFormat(NamedTuple):
    """A format whose files may be written in parts, each of which is a file of this format."""

    suffix: str
    join: Callable[[Sequence[Path], Sequence[str]], Iterator[bytes]]
    """The bytes of the file with the rows of all parts, whose columns have these names."""

    @property
    def write(self) -> Writer:
        return WRITERS[self.suffix]


def _join_csv(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[bytes]:
    header = csv_bytes([columns])
    for number, path in enumerate(paths):
        yield path.read_bytes()[len(header) if number else 0 :]


def _join_json_lines(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[bytes]:
    return (path.read_bytes() for path in paths)


def _join_parquet(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[bytes]:
    return join_parquet(paths)


def make_types_equal(paths: Sequence[Path]) -> Iterator[tuple[Path, bytes]]:
    """The Parquet files whose columns have other types than they need for one table, with new contents."""
    schema = common_schema(paths)
    for path in paths:
        content = recast_parquet(path, schema)
        if content is not None:
            yield path, content


PART_FORMATS = {
    "csv": PartFormat(".csv", _join_csv),
    "jsonl": PartFormat(".jsonl", _join_json_lines),
    "parquet": PartFormat(".parquet", _join_parquet),
}
"""By name."""
