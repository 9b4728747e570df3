"""JSON Schemas of what requests and answers contain: those of the protocol, and those of each model's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.types import Dim, TensorType
from ...pipeline.compile.output_classes import ClassKind, OutputClasses
from ..models.served_model import ServedModel
from ..protocol.datatypes import DATATYPES
from .form_fields import FormField

Schema = dict[str, Any]

MAX_FLOAT32 = 3.4028234e38
INTEGER_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
MAX_SIZE = (1 << 63) - 1
"""The greatest size along an axis."""


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def record(properties: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    """An object with these properties, all of which it must have but for the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties)} | ({"required": required} if required else {})


def array_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
SHAPE = array_of({"type": "integer", "minimum": 0, "maximum": MAX_SIZE})
DATATYPE: Schema = {"type": "string", "enum": list(DATATYPES.values())}
PARAMETERS: Schema = {
    "type": "object",
    "description": "Values of booleans, numbers and strings by name; unknown names are ignored.",
    "additionalProperties": {"type": ["boolean", "number", "string"]},
}
TENSOR_DATA: Schema = {
    "type": "array",
    "description": "The values in row-major order, flat or nested like the shape. null is NaN.",
    "items": {},
}

PROTOCOL_SCHEMAS: dict[str, Schema] = {
    "Error": record({"error": STRING, "code": STRING, "diagnostics": array_of({"type": "object"})}, ["diagnostics"])
    | {"description": "`jsonnx explain CODE` explains the code."},
    "Live": record({"live": BOOLEAN}),
    "Ready": record({"ready": BOOLEAN}),
    "ModelReady": record({"name": STRING, "ready": BOOLEAN}),
    "ServerMetadata": record({"name": STRING, "version": STRING, "extensions": array_of(STRING)}),
    "TensorMetadata": record(
        {"name": STRING, "datatype": STRING, "shape": array_of({"type": "integer", "minimum": -1})}
    )
    | {"description": "The size -1 is variable."},
    "ModelMetadata": record(
        {
            "name": STRING,
            "versions": array_of(STRING),
            "platform": STRING,
            "inputs": array_of(ref("TensorMetadata")),
            "outputs": array_of(ref("TensorMetadata")),
            "properties": {
                "type": "object",
                "description": "`batching` says whether requests share runs, and why.",
                "additionalProperties": STRING,
            },
        }
    ),
    "InferInput": record(
        {"name": STRING, "shape": SHAPE, "datatype": DATATYPE, "parameters": PARAMETERS, "data": TENSOR_DATA},
        ["parameters"],
    ),
    "RequestedOutput": record(
        {
            "name": STRING,
            "parameters": PARAMETERS
            | {
                "properties": {
                    "classification": {"type": "integer", "minimum": 1},
                    "binary_data": BOOLEAN,
                }
            },
        },
        ["parameters"],
    ),
    "InferRequest": record(
        {
            "id": STRING,
            "parameters": PARAMETERS,
            "inputs": array_of(ref("InferInput")),
            "outputs": array_of(ref("RequestedOutput")),
        },
        ["id", "parameters", "outputs"],
    ),
    "InferOutput": record(
        {"name": STRING, "shape": SHAPE, "datatype": STRING, "parameters": PARAMETERS, "data": TENSOR_DATA},
        ["parameters", "data"],
    ),
    "InferResponse": record(
        {
            "model_name": STRING,
            "model_version": STRING,
            "id": STRING,
            "parameters": PARAMETERS,
            "outputs": array_of(ref("InferOutput")),
        },
        ["id", "parameters"],
    ),
    "RepositoryIndex": array_of(
        record({"name": STRING, "version": STRING, "state": STRING, "reason": STRING}, ["version", "reason"])
    ),
    "Drift": record(
        {
            "reason": {"type": ["string", "null"], "description": "Why there are no figures."},
            "skipped_rows": {"type": "integer"},
            "columns": array_of({"type": "object"}),
            "outputs": array_of({"type": "object"}),
        },
        ["skipped_rows"],
    ),
    "Empty": {"type": "object"},
}


# -- rows --------------------------------------------------------------------------------------------------------------


def row_schema(served: ServedModel, fields: Sequence[FormField]) -> Schema:
    """A row of `POST /predict`, by the columns of the model's spec."""
    values = {field.column: field for field in fields}
    return record(
        {name: value_schema(field, served.inputs.get(field.value.input or "")) for name, field in values.items()},
        [name for name, field in values.items() if field.value.may_be_missing],
    )


def value_schema(field: FormField, type: TensorType | None) -> Schema:
    """One value of a row."""
    value, schema = field.value, _element(field.value.dtype)
    if value.kind in ("array", "image") and type is not None:
        schema = _nested(type.shape[1:], schema)
    if value.kind == "category":
        schema |= {"examples": [*value.categories]} if value.takes_others else {"enum": [*value.categories]}
    if value.maximum is not None:
        schema |= {"minimum": 0, "maximum": value.maximum}
    if value.may_be_missing:
        schema["type"] = [schema["type"], "null"]
        schema |= {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | ({"description": value.description} if value.description else {})


def _element(dtype: str) -> Schema:
    """One element of an array."""
    if dtype in ("string", "bool"):
        return {"type": "string" if dtype == "string" else "boolean"}
    bits = INTEGER_BITS.get(dtype.removeprefix("u"))
    if bits is not None and dtype.startswith("u"):
        return {"type": "integer", "minimum": 0, "maximum": (1 << bits) - 1}
    if bits is not None:
        return {"type": "integer", "minimum": -(1 << bits - 1), "maximum": (1 << bits - 1) - 1}
    return {"type": "number", "minimum": -MAX_FLOAT32, "maximum": MAX_FLOAT32}


def _nested(shape: Sequence[Dim], element: Schema) -> Schema:
    if not shape:
        return element
    schema = array_of(_nested(shape[1:], element))
    return schema | ({"minItems": shape[0], "maxItems": shape[0]} if isinstance(shape[0], int) else {})


def prediction_schema(served: ServedModel) -> Schema:
    """What `POST /predict` says of one row."""
    return record(
        {
            name: _classes_schema(served.classes[name])
            if name in served.classes
            else record({"value": _value(type.shape[1:], type.dtype)})
            for name, type in served.outputs.items()
        }
    )


def _value(shape: Sequence[Dim], dtype: str) -> Schema:
    element = {"string": "string", "bool": "boolean"}.get(dtype, "integer" if "int" in dtype else "number")
    return {"type": [element, "null", "array"] if shape else [element, "null"]}


def _classes_schema(classes: OutputClasses) -> Schema:
    label = {"type": "string", "enum": list(classes.labels)}
    numbers = record({name: {"type": ["number", "null"]} for name in classes.probability_labels})
    decision = {"labels": array_of(label)} if classes.kind is ClassKind.MULTI_LABEL else {"label": label}
    decision["probabilities" if classes.has_probabilities else "scores"] = numbers
    if classes.kind is not ClassKind.ONE_OF_MANY:
        number: Schema = {"type": "number"}
        has_several = isinstance(classes.threshold, tuple)
        decision["threshold"] = record(dict.fromkeys(classes.labels, number)) if has_several else number
    return record(decision)
