"""The fields of the rows that a trained model predicts, and of its predictions.

Names are those of the columns that the spec assigns to the inputs; vocabularies and means that the model has learned
are read from its graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import prod
from typing import Any

from ...analysis.shape_inference import TypedNetwork
from ...backend import thresholds_from
from ...core.date_formats import ISO_FORMAT
from ...core.signature.model_fields import (
    MAX_EXAMPLE_ELEMENTS,
    FieldKind,
    ModelFields,
    PredictionField,
    PredictionKind,
    RowField,
    RowSize,
)
from ...core.types import TensorType
from ...data.media.media_names import takes_images
from ...data.rows.row_columns import row_columns
from ...data.rows.windows import row_spec
from ...data.samples.data_spec import DataSpec
from ...layers.preprocessing.imputation import Imputation
from ...layers.preprocessing.lookup import IntegerLookup, StringLookup
from ...layers.preprocessing.numerical import Normalization
from ...sections.columns import AssignedColumns, assigned_columns, is_pattern
from ...sections.data_section import DataSection
from ..check.data_spec import input_readers, input_spec
from ..compile.output_classes import ClassKind, OutputClasses, output_classes
from ..run.trained_model import TrainedModel
from .learned_values import LearnedValues

IMAGE_CHANNELS = (1, 3, 4)
"""Channels of the last axis of a picture: gray, RGB, RGBA."""
SIGNIFICANT_DIGITS = 4
"""Of the numbers of examples."""
EXAMPLE_TEXT = "a text"
EXAMPLE_DATE = date(2026, 11, 30)

_PREDICTION_KINDS: dict[ClassKind, PredictionKind] = {
    ClassKind.ONE_OF_MANY: "class",
    ClassKind.BINARY: "binary",
    ClassKind.MULTI_LABEL: "labels",
}


def model_fields(model: TrainedModel) -> ModelFields:
    """The fields of rows and predictions of a model, with its name and description."""
    network = model.checked.network
    document = network.document if isinstance(network.document, dict) else {}
    section = _data_section(model)
    windows = section.windows if section is not None else None
    return ModelFields(
        network.name,
        document.get("description"),
        tuple(row_fields(model)),
        tuple(prediction_fields(model)),
        windows.rows_of_sample if windows is not None else None,
    )


def row_fields(model: TrainedModel) -> list[RowField]:
    """The fields of a row, in the order of the inputs and of their columns; of time series, those of a step."""
    typed, section = model.checked.require(), _data_section(model)
    data_spec = input_spec(typed)
    if section is not None and section.windows is not None:
        data_spec = row_spec(data_spec, ())
    columns = assigned_columns(section.x if section is not None else None, "x", data_spec.inputs)
    described = _InputDescriptions.of(model, data_spec)
    fields: dict[str, RowField] = {}  # a column that several inputs take is one field
    for name, assigned in columns.items():
        for field in described.fields(name, assigned):
            fields.setdefault(field.name, field)
    for column in row_columns(section, with_split=False):
        if column.is_time:
            fields[column.name] = _time_field(fields.get(column.name), column.name)
        else:
            fields.setdefault(column.name, RowField(column.name, None, "text", "string", example=EXAMPLE_TEXT))
    in_advance = _columns_in_advance(section, columns)
    if in_advance:  # the rows of the future have these columns only
        fields = {
            name: field if name in in_advance or field.input is None else replace(field, may_be_missing=True)
            for name, field in fields.items()
        }
    return list(fields.values())


def _columns_in_advance(section: DataSection | None, columns: Mapping[str, AssignedColumns]) -> frozenset[str]:
    """The columns of inputs that have the rows of the horizon."""
    windows = section.windows if section is not None else None
    names = windows.future_inputs if windows is not None else ()
    return frozenset(column for name in names if name in columns for column in columns[name].names)


def _time_field(field: RowField | None, name: str) -> RowField:
    """The field of the column with the times of a series, which an input may take, too."""
    if field is not None and (field.kind != "text" or field.dtype != "string"):
        return field
    time = field or RowField(name, None, "text", "string")
    return replace(time, kind="date", date_formats=(ISO_FORMAT,), example=EXAMPLE_DATE.isoformat())


def prediction_fields(model: TrainedModel) -> list[PredictionField]:
    """The outputs of a model, in its order."""
    typed = model.checked.require()
    classes = output_classes(model.checked, None, thresholds_from(model.session.metadata))
    return [_prediction_field(typed, name, classes.get(name)) for name in model.session.outputs]


def _prediction_field(typed: TypedNetwork, name: str, classes: OutputClasses | None) -> PredictionField:
    type, description = typed.inference_outputs[name], typed.network.descriptions.get(name)
    if classes is not None:
        kind = _PREDICTION_KINDS[classes.kind]
        return PredictionField(
            name,
            kind,
            type.dtype,
            classes.labels,
            classes.has_probabilities,
            has_label_thresholds=isinstance(classes.threshold, tuple),
            description=description,
        )
    shape = _row_shape(type)
    if name in typed.network.quantiles:
        listed = "Quantiles: " + ", ".join(f"{quantile:g}" for quantile in typed.network.quantiles[name])
        description = f"{description.removesuffix('.')}. {listed}" if description else listed
    return PredictionField(name, "value", type.dtype, shape=() if shape == (1,) else shape, description=description)


def _data_section(model: TrainedModel) -> DataSection | None:
    training = model.checked.network.training
    return training.data if training is not None else None


def _row_shape(type: TensorType) -> tuple[RowSize, ...]:
    return tuple(size if isinstance(size, int) else None for size in type.shape[1:])


@dataclass(frozen=True)
class _Lookup:
    """The tokens of a lookup that reads an input."""

    tokens: tuple[Any, ...]
    takes_others: bool


@dataclass(frozen=True)
class _InputDescriptions:
    """What is known of the inputs of a network."""

    data_spec: DataSpec
    lookups: Mapping[str, _Lookup]
    images: Collection[str]
    """The inputs that take pictures."""
    means: Mapping[str, Sequence[float]]
    """The means by which a Normalization shifts the values of an input, or what replaces missing ones."""
    descriptions: Mapping[str, str]

    @staticmethod
    def of(model: TrainedModel, data_spec: DataSpec) -> _InputDescriptions:
        typed = model.checked.require()
        learned = LearnedValues(model.path)
        lookups: dict[str, _Lookup] = {}
        means: dict[str, Sequence[float]] = {}
        for layer, _, source, path in input_readers(typed):
            if isinstance(layer, StringLookup | IntegerLookup) and not layer.invert and source not in lookups:
                table = layer.table
                tokens = learned.tokens(path) if table.vocabulary is None else tuple(table.tokens)
                tokens = tuple(token for token in tokens if token not in (table.mask_token, table.oov_token))
                if tokens:
                    lookups[source] = _Lookup(tokens, table.num_oov_indices > 0)
            elif isinstance(layer, Imputation) and typed.inputs[source].dtype != "string":
                means[source] = (
                    _numbers(layer.fill_value) if layer.fill_value is not None else learned.fill_values(path)
                )
            elif isinstance(layer, Normalization) and not layer.invert and source not in means:
                means[source] = _numbers(layer.mean) if layer.mean is not None else learned.means(path)
        images = {name for name in data_spec.inputs if name in typed.inputs and _is_image(name, typed)}
        return _InputDescriptions(data_spec, lookups, images - lookups.keys(), means, typed.network.descriptions)

    def fields(self, name: str, assigned: AssignedColumns) -> list[RowField]:
        """The fields of the columns of an input."""
        shape = _row_shape(self.data_spec.inputs[name])
        if any(map(is_pattern, assigned.names)):  # the model was compiled without the data that it matches
            return [self._field(name, name, 0, shape)]
        if len(assigned.names) > 1 and shape[-1:] == (len(assigned.names),):
            shape = shape[:-1]
        elif prod(size or 0 for size in shape) == 1:
            shape = ()
        return [self._field(name, column, index, shape) for index, column in enumerate(assigned.names)]

    def _field(self, name: str, column: str, index: int, shape: tuple[RowSize, ...]) -> RowField:
        type = self.data_spec.inputs[name]
        lookup = self.lookups.get(name)
        limits = self.data_spec.index_ranges.get(name)
        field = RowField(
            column,
            name,
            self._kind(name, type, shape),
            type.dtype,
            shape,
            lookup.tokens if lookup is not None else (),
            lookup.takes_others if lookup is not None else False,
            name in self.data_spec.missing_inputs,
            limits.size - 1 if limits is not None else None,
            tuple(self.data_spec.date_inputs.get(name, ())),
            self.descriptions.get(name),
        )
        means = self.means.get(name, ())
        return _with_example(field, means[index] if index < len(means) else means[0] if len(means) == 1 else 0.0)

    def _kind(self, name: str, type: TensorType, shape: tuple[RowSize, ...]) -> FieldKind:
        if shape:
            return "image" if name in self.images else "array"
        if name in self.lookups:
            return "category"
        if name in self.data_spec.date_inputs:
            return "date"
        kinds: dict[str, FieldKind] = {"string": "text", "bool": "boolean"}
        return kinds.get(type.dtype) or ("number" if "float" in type.dtype else "integer")


def _is_image(name: str, typed: TypedNetwork) -> bool:
    """Whether an input has the shape [height, width, channels], or a layer gives it that shape with one channel."""
    type = typed.inputs[name]
    if not takes_images(type):
        return False
    if type.rank == 4:
        return type.shape[-1] in IMAGE_CHANNELS
    reshaped = (typed.types[call.name] for call in typed.network.calls if call.sources == (name,))
    return any(result.shape == (*type.shape, 1) for result in reshaped)


def _numbers(value: Any) -> Sequence[float]:
    return [value] if isinstance(value, int | float) else value


def _with_example(field: RowField, mean: float) -> RowField:
    """The field with a valid value as its example."""
    if field.categories:
        value = field.categories[0]
    elif field.date_formats:
        value = EXAMPLE_DATE.strftime(field.date_formats[0])
    elif field.dtype == "string":
        value = EXAMPLE_TEXT
    elif field.dtype == "bool":
        value = False
    else:
        value = float(f"{mean:.{SIGNIFICANT_DIGITS}g}") if "float" in field.dtype else 0
    sizes = [1 if size is None else size for size in field.shape]
    if prod(sizes) > MAX_EXAMPLE_ELEMENTS:
        return field
    for size in reversed(sizes):
        value = [value] * size
    return replace(field, example=value)
