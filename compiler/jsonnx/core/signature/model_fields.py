"""The fields of the rows that a model predicts, and of its predictions, which forms and clients are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FieldKind = Literal["number", "integer", "boolean", "category", "text", "date", "image", "array"]
"""What a value of a row is. An `array` is a nested list, an `image` is one, too, or the file of a picture."""

PredictionKind = Literal["class", "binary", "labels", "value"]
"""What is predicted: one of several classes, one of two by a threshold, all classes above a threshold, or numbers."""

RowSize = int | None
"""A size of an array; None if it may differ from row to row."""


@dataclass(frozen=True)
class RowField:
    """A value of a row: of a column that the spec assigns to an input, or of an input without assigned columns."""

    name: str
    """The name of the column, or of the input."""
    input: str | None
    """The input of the network that takes the value; None for a column that only orders or divides series."""
    kind: FieldKind
    dtype: str
    """The element type of the input; `string` without one."""
    shape: tuple[RowSize, ...] = ()
    """The shape of the value; empty for a single one."""
    categories: tuple[Any, ...] = ()
    """The texts or integers of a `category`."""
    takes_others: bool = False
    """Whether a value that is none of the categories is taken, as an unknown one."""
    may_be_missing: bool = False
    maximum: int | None = None
    """The greatest of the integers from 0 on that an `integer` may be; None if any integer is taken."""
    date_formats: tuple[str, ...] = ()
    """The formats of a `date`, as `strftime` writes them."""
    description: str | None = None
    example: Any = None
    """A valid value, as JSON has it; None for arrays of over `MAX_EXAMPLE_ELEMENTS` elements."""


MAX_EXAMPLE_ELEMENTS = 64
"""Elements of an array that has an example."""


@dataclass(frozen=True)
class PredictionField:
    """An output of a model, as predictions of rows have it."""

    name: str
    kind: PredictionKind
    dtype: str
    labels: tuple[str, ...] = ()
    """The classes, in the order of the output's numbers; of a `binary` output, the one below the threshold first."""
    has_probabilities: bool = True
    """Whether the numbers of classes are probabilities, not logits or other scores."""
    has_label_thresholds: bool = False
    """Whether each of the `labels` has a threshold of its own."""
    shape: tuple[RowSize, ...] = ()
    """The shape of a `value`; empty for a number."""
    description: str | None = None

    @property
    def number_labels(self) -> tuple[str, ...]:
        """The labels of the output's numbers: of a `binary` output, the second one."""
        return self.labels[1:] if self.kind == "binary" else self.labels


@dataclass(frozen=True)
class ModelFields:
    """What a model predicts, from what."""

    name: str
    description: str | None
    rows: tuple[RowField, ...]
    predictions: tuple[PredictionField, ...]
    window_length: int | None = None
    """Of a time series: the rows, one for each step, that a prediction is made from; None if each row has its own."""
