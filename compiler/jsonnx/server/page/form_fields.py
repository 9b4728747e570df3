"""The fields of a form in which a user fills in a row for a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.diagnostics import CompileError, UsageError
from ...core.signature.model_fields import FieldKind, RowField
from ...core.types import Dim, TensorType
from ...data.drift.features import Measure
from ...data.drift.statistics import NumberStatistics
from ...layers.preprocessing.text_vectorization import TextVectorization
from ...pipeline.check.data_spec import input_readers
from ...pipeline.run.data_statistics import read_data_statistics
from ...pipeline.serving.row_fields import model_fields
from ..models.served_model import ServedModel
from .form_images import FormImage, form_image

MAX_CATEGORIES = 1000
"""Categories that a form offers."""
MAX_ELEMENT_FIELDS = 32
"""Elements of an array that get fields of their own; longer ones are typed as JSON."""


@dataclass(frozen=True)
class FormField:
    """A field of a form. Its value is `row[column]`, or `row[column][index]`."""

    value: RowField
    """The value of the row that it belongs to."""
    example: Any
    """A value that the model takes."""
    index: int | None = None
    image: FormImage | None = None
    shape: tuple[Dim, ...] = ()
    """Of an array that is typed as JSON."""
    is_long: bool = False
    """Whether texts have several words."""
    observed: tuple[float, float] | None = None
    """The least and the greatest number in the training data."""

    @property
    def column(self) -> str:
        return self.value.name

    def to_json(self) -> dict[str, Any]:
        """The field without what it lacks."""
        field, label = self.value, self.column if self.index is None else f"{self.column}[{self.index}]"
        value: dict[str, Any] = {"kind": self._kind, "label": label, "input": field.input, "column": self.column}
        if self.image is None:  # the example has thousands of pixels
            value["example"] = self.example
        is_counted = field.maximum is not None or field.dtype.startswith("uint")
        facts = {
            "index": self.index,
            "description": field.description,
            "image": self.image and self.image.to_json(),
            "minimum": 0 if is_counted else None,
            "maximum": field.maximum,
            "observed": self.observed and list(self.observed),
        }
        flags = {
            "optional": field.may_be_missing,
            "integer": "int" in field.dtype,
            "long": self.is_long,
            "closed": field.kind == "category" and not self._takes_others,
        }
        value |= {name: fact for name, fact in facts.items() if fact is not None}
        value |= {name: True for name, holds in flags.items() if holds}
        if field.kind == "category":
            value["categories"] = list(field.categories[:MAX_CATEGORIES])
        if self._kind == "json":
            value["shape"] = [size if isinstance(size, int) else str(size) for size in self.shape]
        return value

    @property
    def _kind(self) -> str:
        if self.image is not None:
            return "image"
        kind = element_kind(self.value.dtype) if self.index is not None else self.value.kind
        return {"array": "json", "image": "json", "integer": "number"}.get(kind, kind)

    @property
    def _takes_others(self) -> bool:
        return self.value.takes_others or len(self.value.categories) > MAX_CATEGORIES


def element_kind(dtype: str) -> FieldKind:
    """The kind of a single value of an element type."""
    kinds: dict[str, FieldKind] = {"string": "text", "bool": "boolean"}
    return kinds.get(dtype) or ("integer" if "int" in dtype else "number")


def form_fields(served: ServedModel, sizes: Mapping[str, int]) -> list[FormField]:
    """The fields for one row of a model. `sizes` are those of examples along symbolic axes."""
    readers: dict[str, list[Any]] = {}
    if served.trained is not None:
        for reader in input_readers(served.trained.checked.require()):
            readers.setdefault(reader.input, []).append(reader.layer)
    numbers = _observed_numbers(served)
    return [
        field
        for value in row_values(served)
        for field in _fields_of(
            value,
            served.inputs.get(value.input or ""),
            readers.get(value.input or "", ()),
            sizes,
            {measure: numbers[name, measure] for name, measure in numbers if name == value.name},
        )
    ]


def _observed_numbers(served: ServedModel) -> dict[tuple[str, Measure], NumberStatistics]:
    """The statistics of numbers in the training data, by column and measure; empty without them."""
    folder = served.path if served.path.is_dir() else served.path.parent
    try:
        statistics = read_data_statistics(folder, served.session, served.text_inputs)
    except (CompileError, UsageError):
        return {}
    return {
        (column.feature.name, column.feature.measure): column.statistics
        for column in statistics.columns
        if isinstance(column.statistics, NumberStatistics)
    }


def row_values(served: ServedModel) -> Sequence[RowField]:
    """The values of a row by the columns of the spec; without such rows, one for each input."""
    fields = model_fields(served.trained) if served.trained is not None else None
    if fields is not None and fields.window_length is None:
        return fields.rows
    steps = {field.input: field for field in fields.rows} if fields is not None else {}
    return [
        RowField(
            name,
            name,
            "array" if len(type.shape) > 1 else element_kind(type.dtype),
            type.dtype,
            example=steps[name].example if name in steps else None,
        )
        for name, type in served.inputs.items()
    ]


def _fields_of(
    value: RowField,
    type: TensorType | None,
    readers: Sequence[Any],
    sizes: Mapping[str, int],
    numbers: Mapping[Measure, NumberStatistics],
) -> list[FormField]:
    if value.kind not in ("array", "image") or type is None:
        is_tokenized = type is None and value.kind == "text"  # a text in place of inputs of the model
        is_long = is_tokenized or any(isinstance(layer, TextVectorization) for layer in readers)
        return [FormField(value, _example(value), is_long=is_long, observed=_range(numbers.get("value")))]
    shape = type.shape[1:] if len(value.shape) in (0, len(type.shape) - 1) else type.shape[1:-1]
    image = form_image(value, shape, type.dtype, readers, numbers.get("mean"))
    if image is not None:
        return [FormField(value, _array(shape, 0, sizes), image=image)]
    element = _first(value.example) if value.example is not None else _example(value)
    if len(shape) == 1 and isinstance(shape[0], int) and shape[0] <= MAX_ELEMENT_FIELDS:
        return [FormField(value, element, index) for index in range(shape[0])]
    return [FormField(value, _array(shape, element, sizes), shape=tuple(shape))]


def _range(numbers: NumberStatistics | None) -> tuple[float, float] | None:
    return None if numbers is None or numbers.min is None or numbers.max is None else (numbers.min, numbers.max)


def _example(value: RowField) -> Any:
    if value.example is not None:
        return value.example
    examples = {"text": "a text", "boolean": False, "integer": 0}
    return examples.get(element_kind(value.dtype), 0.0)


def _first(value: Any) -> Any:
    return _first(value[0]) if isinstance(value, list) and value else value


def _array(shape: Sequence[Dim], value: Any, sizes: Mapping[str, int]) -> Any:
    """Nested lists of a shape with one value everywhere."""
    if not shape:
        return value
    count = shape[0] if isinstance(shape[0], int) else sizes.get(str(shape[0]), 1)
    return [_array(shape[1:], value, sizes) for _ in range(count)]
