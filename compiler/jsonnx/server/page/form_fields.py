"""The fields of a form in which a user fills in a row for a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import prod
from typing import Any

from ...core.types import TensorType
from ...layers.preprocessing.date_features import DateFeatures
from ...layers.preprocessing.lookup import IntegerLookup, StringLookup
from ...layers.preprocessing.numerical import Normalization
from ...layers.preprocessing.text_vectorization import TextVectorization
from ...pipeline.check.data_spec import input_readers, input_spec
from ...runtime.session.lookup_categories import lookup_categories
from ...sections.columns import assigned_columns
from ...sections.data_section import DataSection
from ..models.served_model import ServedModel
from .form_images import FormImage, form_image

MAX_CATEGORIES = 1000
"""Categories that a form offers."""
MAX_ELEMENT_FIELDS = 32
"""Elements of an input that get fields of their own; longer inputs are typed as JSON."""
LOOKUPS = (StringLookup, IntegerLookup)
EXAMPLE_TEXT = "a text"
EXAMPLE_DATE = "2024-05-17 12:00:00"


class FieldKind(Enum):
    """What a field takes."""

    TEXT = "text"
    CATEGORY = "category"
    DATE = "date"
    NUMBER = "number"
    BOOLEAN = "boolean"
    IMAGE = "image"
    JSON = "json"


@dataclass(frozen=True)
class FormField:
    """A field of a form. Its value is `row[column]`, or `row[column][index]`."""

    kind: FieldKind
    input: str
    """The input of the model that it belongs to."""
    column: str
    example: Any
    """A value that the model takes."""
    index: int | None = None
    is_optional: bool = False
    """Whether the model takes a missing value."""
    categories: tuple[Any, ...] = ()
    is_closed: bool = False
    """Whether the model takes no other values than the categories."""
    is_integer: bool = False
    is_long: bool = False
    """Whether texts have several words."""
    minimum: float | None = None
    maximum: float | None = None
    image: FormImage | None = None
    shape: tuple[str | int, ...] = ()
    """Of a row's value, for JSON."""

    @property
    def label(self) -> str:
        """The name of the field, as users see it."""
        return self.column if self.index is None else f"{self.column}[{self.index}]"

    def to_json(self) -> dict[str, Any]:
        """The field without what it lacks."""
        flags = {
            "optional": self.is_optional,
            "closed": self.is_closed,
            "integer": self.is_integer,
            "long": self.is_long,
        }
        facts = {
            "index": self.index,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "image": self.image and self.image.to_json(),
        }
        value: dict[str, Any] = {"kind": self.kind.value, "label": self.label, "input": self.input}
        value["column"] = self.column
        if self.kind is not FieldKind.IMAGE:  # of thousands of pixels
            value["example"] = self.example
        value |= {name: fact for name, fact in facts.items() if fact is not None}
        value |= {name: True for name, holds in flags.items() if holds}
        if self.kind is FieldKind.CATEGORY:
            value["categories"] = list(self.categories)
        if self.kind is FieldKind.JSON:
            value["shape"] = list(self.shape)
        return value


@dataclass(frozen=True)
class InputFacts:
    """What is known of one input besides its type."""

    name: str
    type: TensorType
    columns: tuple[str, ...]
    readers: tuple[Any, ...] = ()
    """The layers that read it."""
    categories: tuple[Any, ...] = ()
    is_closed: bool = False
    is_optional: bool = False
    index_count: int | None = None
    """The number of valid indices, which begin at 0."""

    @property
    def sample_shape(self) -> tuple[Any, ...]:
        return self.type.shape[1:]

    def read_by(self, kind: Any) -> Any | None:
        """The first layer of a kind that reads the input."""
        return next((layer for layer in self.readers if isinstance(layer, kind)), None)


def form_fields(inputs: Sequence[InputFacts], sizes: Mapping[str, int], is_foreign: bool) -> list[FormField]:
    """The fields for one row of a model, in the order of its inputs. `sizes` are those of examples, by symbol."""
    return [field for facts in inputs for field in _fields_of(facts, sizes, is_foreign)]


def input_facts(served: ServedModel) -> list[InputFacts]:
    """What is known of each input of a model."""
    if served.trained is None:
        categories = _categories(served, list(served.inputs))
        return [
            InputFacts(name, type, (name,), categories=categories.get(name, ())) for name, type in served.inputs.items()
        ]
    typed = served.trained.checked.require()
    data_spec = input_spec(typed)
    readers: dict[str, list[Any]] = {name: [] for name in served.inputs}
    for reader in input_readers(typed):
        readers.setdefault(reader.input, []).append(reader.layer)
    looked_up = [name for name in served.inputs if any(isinstance(layer, LOOKUPS) for layer in readers[name])]
    categories, columns = _categories(served, looked_up), _columns(served)
    return [
        InputFacts(
            name,
            type,
            columns[name],
            tuple(readers[name]),
            categories.get(name, ()),
            name in data_spec.vocabularies,
            name in data_spec.missing_inputs,
            data_spec.index_ranges[name].size if name in data_spec.index_ranges else None,
        )
        for name, type in served.inputs.items()
    ]


def _columns(served: ServedModel) -> dict[str, tuple[str, ...]]:
    """The columns of each input. A window of rows is an array, whose name is that of the input."""
    section = data_section(served)
    if section is None or section.windows is not None:
        return {name: (name,) for name in served.inputs}
    return {name: columns.names for name, columns in assigned_columns(section.x, "x", served.inputs).items()}


def data_section(served: ServedModel) -> DataSection | None:
    """The section of a model's spec that names its columns."""
    training = served.trained.checked.require().network.training if served.trained is not None else None
    return training.data if training is not None else None


def _categories(served: ServedModel, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The categories of some inputs. Reads the model's file if they may have some."""
    is_countable = any(served.inputs[name].dtype in ("string", "int32", "int64") for name in names)
    return lookup_categories(served.path) if is_countable else {}


def _fields_of(facts: InputFacts, sizes: Mapping[str, int], is_foreign: bool) -> list[FormField]:
    shape = facts.sample_shape
    count = prod(shape) if all(isinstance(size, int) for size in shape) else None
    if len(facts.columns) > 1 and count == len(facts.columns):
        return [_scalar_field(facts, name, None, number) for number, name in enumerate(facts.columns)]
    column = facts.columns[0] if len(facts.columns) == 1 else facts.name
    if facts.type.rank == 0:
        return [_json_field(facts, column, sizes)]
    if count == 1 and len(shape) <= 1:
        return [_scalar_field(facts, column, None, 0)]
    if (image := form_image(facts.name, column, facts.type, facts.readers, is_foreign)) is not None:
        example = _array(shape, 0, sizes)
        return [FormField(FieldKind.IMAGE, facts.name, column, example, image=image)]
    if len(shape) == 1 and count is not None and count <= MAX_ELEMENT_FIELDS:
        return [_scalar_field(facts, column, index, index) for index in range(count)]
    return [_json_field(facts, column, sizes)]


def _scalar_field(facts: InputFacts, column: str, index: int | None, number: int) -> FormField:
    """The field of one number or text of an input, whose `number`-th element it is."""
    example = example_of(facts, number)
    field = FormField(_scalar_kind(facts), facts.name, column, example, index, facts.is_optional)
    if field.kind is FieldKind.CATEGORY:
        shown = facts.categories[:MAX_CATEGORIES]
        is_closed = facts.is_closed and len(shown) == len(facts.categories)
        return replace(field, categories=shown, is_closed=is_closed, is_integer=facts.type.dtype != "string")
    if field.kind is FieldKind.NUMBER:
        is_counted = facts.index_count is not None or facts.type.dtype.startswith("uint")
        maximum = facts.index_count - 1 if facts.index_count is not None else None
        is_integer = "int" in facts.type.dtype
        return replace(field, is_integer=is_integer, minimum=0 if is_counted else None, maximum=maximum)
    return replace(field, is_long=facts.read_by(TextVectorization) is not None)


def _scalar_kind(facts: InputFacts) -> FieldKind:
    if facts.categories:
        return FieldKind.CATEGORY
    if facts.type.dtype == "string":
        return FieldKind.DATE if facts.read_by(DateFeatures) else FieldKind.TEXT
    return FieldKind.BOOLEAN if facts.type.dtype == "bool" else FieldKind.NUMBER


def _json_field(facts: InputFacts, column: str, sizes: Mapping[str, int]) -> FormField:
    shape = tuple(size if isinstance(size, int) else str(size) for size in facts.sample_shape)
    example = _array(facts.sample_shape, example_of(facts, 0), sizes)
    return FormField(FieldKind.JSON, facts.name, column, example, shape=shape)


def example_of(facts: InputFacts, number: int) -> Any:
    """A value that the model takes for the `number`-th element of an input."""
    if facts.categories:
        return facts.categories[0]
    if facts.type.dtype == "string":
        return EXAMPLE_DATE if facts.read_by(DateFeatures) else EXAMPLE_TEXT
    if facts.type.dtype == "bool":
        return False
    normalization = facts.read_by(Normalization)
    mean = normalization.mean if normalization is not None else None
    if isinstance(mean, Sequence) and number < len(mean) and isinstance(mean[number], float):
        return round(mean[number], 4)
    return 0 if "int" in facts.type.dtype else 0.0


def _array(shape: Sequence[Any], value: Any, sizes: Mapping[str, int]) -> Any:
    """Nested lists of a shape with one value everywhere."""
    if not shape:
        return value
    first = shape[0] if isinstance(shape[0], int) else sizes.get(str(shape[0]), 1)
    return [_array(shape[1:], value, sizes) for _ in range(first)]
