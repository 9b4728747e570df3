"""Generates the JSON Schema of a spec from the components."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ...core.components import Component, Json, NullableCodec, Registry, codec_for
from ...core.limits import MAX_INPUT_AXES, MAX_NAME_CHARACTERS
from ...layers import ACTIVATIONS, LAYERS
from ...layers.attention.relative_positions import RELATIVE_POSITIONS
from ...sections.budget_section import BudgetSection
from ...sections.lint_section import LINT_KEY, LintSection
from ...sections.quantization_section import QUANTIZATION_KEY, VARIANTS_CODEC
from ...sections.sweep_section import SweepSection
from ...sections.trackers import TRACKERS
from ...sections.training_section import Training
from ...training.losses.losses import LOSSES
from ...training.metrics.metrics import METRICS
from ...training.optimizers.optimizer import OPTIMIZERS
from ...training.optimizers.schedules import SCHEDULES
from ...training.weights.constraints import CONSTRAINTS
from ...training.weights.initializers import INITIALIZERS
from ...training.weights.regularizers import REGULARIZERS
from .phrases import UNKNOWN_NAME_SCHEMA

LANGUAGE_VERSION = 1
"""The version of the language that this release reads."""

DESCRIPTION_SCHEMA = {"type": "string", "description": "A comment for readers."}

SCHEMA_URI = "https://json-schema.org/draft/2020-12/schema"

NAME_SCHEMA = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$", "maxLength": MAX_NAME_CHARACTERS}
INNER_NAME_SCHEMA: dict[str, Json] = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]*$",
    "maxLength": MAX_NAME_CHARACTERS,
}
REFERENCE_SCHEMA = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_]+)?$", "maxLength": 257}
BLOCK_OUTPUT_SCHEMA = {"type": "string", "maxLength": 257}
PARAMETER_NAME_SCHEMA = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": MAX_NAME_CHARACTERS}

REUSE_KEYS = ("parameters", "scales", "blocks")
"""Keys of a document that expansion removes."""

PARAMETER_KEYS = ("default", "required", "description")
"""Keys of an object that defines a parameter, in canonical order."""

REPETITION_KEYS = ("if", "repeat", "chain", "carry")
"""Keys of an entry of `layers` that expansion removes, in canonical order."""

ENTRY_KEYS = ("type", "use", "name", "description", "from", *REPETITION_KEYS)
"""Keys of an entry of `layers` that are not arguments, in canonical order."""

DTYPES = ["float32", "int64", "int32", "uint8", "bool", "string"]

REGISTRIES: tuple[Registry, ...] = (
    ACTIVATIONS,
    CONSTRAINTS,
    INITIALIZERS,
    LOSSES,
    METRICS,
    OPTIMIZERS,
    REGULARIZERS,
    RELATIVE_POSITIONS,
    SCHEDULES,
    TRACKERS,
)


@cache
def spec_schema() -> dict[str, Json]:
    """The complete schema. Callers share it and must not change it."""
    names = [
        *_shared_definitions(),
        *(name for registry in REGISTRIES for name in (registry.kind, *_definition_names(registry))),
        *_definition_names(LAYERS),
    ]
    return root_schema() | {"$defs": {name: definition(name) for name in names}}


@cache
def root_schema() -> dict[str, Json]:
    """The schema without its definitions, most of which a document does not use."""
    return {
        "$schema": SCHEMA_URI,
        "title": "jsonnx model",
        "description": f"A neural network for jsonnx, version {LANGUAGE_VERSION} of the language.",
        "type": "object",
        "properties": _root_properties(),
        "required": ["inputs", "layers"],
        "additionalProperties": False,
    }


@cache
def definition(name: str) -> dict[str, Json]:
    """One definition: of a component (`layer.Dense`), of a registry (`loss`), or a shared one (`reference`)."""
    kind, _, member = name.partition(".")
    if member:
        registry = next(registry for registry in (LAYERS, *REGISTRIES) if registry.kind == kind)
        return _component_definition(registry, registry.members[member])
    return _shared_definitions().get(name) or _registry_definition(
        next(registry for registry in REGISTRIES if registry.kind == name)
    )


def _definition_names(registry: Registry) -> list[str]:
    return [f"{registry.kind}.{name}" for name in registry.members]


def _ref(name: str) -> dict[str, Json]:
    return {"$ref": f"#/$defs/{name}"}


def _one_or_several(schema: Json) -> list[Json]:
    """The alternatives "one value" and "a list of values"."""
    return [schema, {"type": "array", "items": schema, "minItems": 1}]


def _root_properties() -> dict[str, Json]:
    labels = {"type": "array", "items": {"type": "string", "maxLength": 256}, "minItems": 1}
    return {
        "$schema": {"type": "string", "description": "Address of this schema, for editors; jsonnx does not fetch it."},
        "version": {"type": "integer", "description": "Version of the language.", "default": LANGUAGE_VERSION},
        "name": NAME_SCHEMA | {"description": "Name of the model.", "default": "model"},
        "description": DESCRIPTION_SCHEMA,
        **reuse_properties(),
        "inputs": {
            "type": "object",
            "description": "The inputs by name.",
            "propertyNames": NAME_SCHEMA,
            "additionalProperties": {"$ref": "#/$defs/input"},
            "minProperties": 1,
        },
        "layers": {
            "type": "array",
            "description": "The layers. Each takes the output of the previous one unless it has a `from`.",
            "items": {"$ref": "#/$defs/call"},
            "minItems": 1,
        },
        "outputs": {
            "description": "Names of the outputs, or an object of them; the last layer if omitted.",
            "anyOf": [*_one_or_several(_ref("reference")), _described_names(_ref("reference"))],
        },
        "labels": {
            "description": "Names of the classes in order; an object by output name if there are several outputs.",
            "anyOf": [labels, {"type": "object", "additionalProperties": labels}],
        },
        "training": NullableCodec(codec_for(Training)).schema() | {"description": "How the network is trained."},
        QUANTIZATION_KEY: VARIANTS_CODEC.schema()
        | {"description": "Smaller variants of the model by name, which `jsonnx quantize` writes."},
        "sweep": NullableCodec(codec_for(SweepSection)).schema()
        | {"description": "Which values `jsonnx sweep` searches for the best."},
        "budget": NullableCodec(codec_for(BudgetSection)).schema()
        | {"description": "What the network and its model may cost; `jsonnx validate` reports what exceeds it."},
        LINT_KEY: NullableCodec(codec_for(LintSection)).schema()
        | {"description": "Which findings of `jsonnx lint`, and which warnings, are meant."},
    }


@cache
def reuse_properties() -> dict[str, Json]:
    """The schemas of the keys that expansion removes: parameters, scales and blocks."""
    values = {
        "type": "object",
        "propertyNames": PARAMETER_NAME_SCHEMA,
        "additionalProperties": _ref("parameter_value"),
    }
    parameter = {"if": {"type": "object"}, "then": _ref("parameter"), "else": _ref("parameter_value")}
    return {
        "parameters": values
        | {
            "description": 'Values by name, used as "${name}"; `--set name=value` changes one.',
            "additionalProperties": parameter,
        },
        "scales": {
            "type": "object",
            "description": "Named sets of parameter values; `--scale` selects one.",
            "propertyNames": NAME_SCHEMA,
            "additionalProperties": values,
        },
        "blocks": {
            "type": "object",
            "description": "Blocks by name, used like layer types.",
            "propertyNames": NAME_SCHEMA,
            "additionalProperties": _block_schema(),
        },
    }


@cache
def reuse_schema() -> dict[str, Json]:
    """The schema of parameters, scales and blocks, which are validated before expansion."""
    definitions = {name: definition(name) for name in ("parameter", "parameter_value", "block_parameter")}
    return {"$schema": SCHEMA_URI, "type": "object", "properties": reuse_properties(), "$defs": definitions}


BLOCK_INPUT_SHAPE_SCHEMA = {
    "type": "array",
    "description": "The shape that the input must have, without the batch axis; null or a name for any size.",
    "items": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}, {"type": "null"}]},
    "maxItems": MAX_INPUT_AXES,
}
BLOCK_INPUT_KEYS = {
    "shape": BLOCK_INPUT_SHAPE_SCHEMA,
    "optional": {
        "type": "boolean",
        "description": "Whether a use may leave it out. In the block's expressions, its name is true if it is given.",
    },
}


def _block_schema() -> dict[str, Json]:
    return {
        "type": "object",
        "description": "A reusable group of layers.",
        "properties": {
            "description": DESCRIPTION_SCHEMA,
            "parameters": {
                "type": "object",
                "description": "The arguments that a use of the block may have, with their defaults.",
                "propertyNames": PARAMETER_NAME_SCHEMA,
                "additionalProperties": {
                    "if": {
                        "type": "object",
                        "not": {"required": ["type"]},
                        "anyOf": [{"required": [key]} for key in PARAMETER_KEYS],
                    },
                    "then": _ref("block_parameter"),
                },
            },
            "globals": {
                "type": "array",
                "description": "Parameters of the network that the block's expressions may read.",
                "items": PARAMETER_NAME_SCHEMA,
            },
            "inputs": {
                "description": "Names of the block's inputs, or an object of them.",
                "anyOf": [
                    {"type": "array", "items": INNER_NAME_SCHEMA, "minItems": 1},
                    _described_names(INNER_NAME_SCHEMA, BLOCK_INPUT_KEYS),
                ],
                "default": ["input"],
            },
            "names": {
                "enum": ["joined", "own"],
                "description": "`joined`: the block's layers are named after the use and themselves. `own`: after "
                "themselves alone; with several uses their names must then contain parameters.",
                "default": "joined",
            },
            "layers": {"type": "array", "description": "The block's layers, written as in a network.", "minItems": 1},
            "outputs": {
                "description": "Names of the block's outputs, or an object of them; the last layer if omitted.",
                "anyOf": [*_one_or_several(BLOCK_OUTPUT_SCHEMA), _described_names(BLOCK_OUTPUT_SCHEMA)],
            },
        },
        "required": ["layers"],
        "additionalProperties": False,
    }


def _described_names(name: Json, further_properties: Mapping[str, Json] = {}) -> Json:
    """The schema of an object of names, each with an object that describes it."""
    properties = {**further_properties, "description": DESCRIPTION_SCHEMA}
    described = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"type": "object", "propertyNames": name, "additionalProperties": described, "minProperties": 1}


@cache
def _shared_definitions() -> dict[str, dict[str, Json]]:
    """The definitions that belong to no component and no registry."""
    return {
        "input": _input_definition(),
        "reference": REFERENCE_SCHEMA | {"description": "The name of an input or a layer, or `layer.output`."},
        "from": {
            "description": "The layer's inputs: one name or several.",
            "anyOf": _one_or_several({"$ref": "#/$defs/reference"}),
        },
        "constant": {
            "description": "A constant tensor: a number, or nested arrays of numbers.",
            "anyOf": [
                {"type": ["number", "boolean"]},
                {"type": "array", "items": {"$ref": "#/$defs/constant"}, "minItems": 1},
            ],
        },
        "parameter": _parameter_definition(_ref("parameter_value")),
        "block_parameter": _parameter_definition({}),
        "parameter_value": {
            "description": "A number, a string, true, false, null, or an array of these and of arrays.",
            "type": ["number", "string", "boolean", "null", "array"],
            "items": _ref("parameter_value"),
        },
        "use": {
            "type": "object",
            "description": "Calls a layer again, with the same weights.",
            "properties": {"use": NAME_SCHEMA | {"description": "The layer to call again."}, **_call_properties()},
            "required": ["use"],
            "additionalProperties": False,
        },
        "call": {
            "title": "layer",
            "description": "A layer is an object with its `type`, or with `use` and the name of another layer.",
            "type": "object",
            "if": {"type": "object", "required": ["use"]},
            "then": {"$ref": "#/$defs/use"},
            "else": {"$ref": "#/$defs/layer_call"},
        },
        "layer_call": _typed_object(LAYERS, closed=False, extra_properties=_call_properties()),
        "layer": {
            "description": "A layer inside another layer is an object with its `type`; it has no name of its own.",
            "$ref": "#/$defs/layer_call",
            "properties": {
                "type": {"title": "layer", "type": "string", "enum": list(LAYERS.by_name)},
                "name": {"not": {}, "description": "Only a layer of the network has a name."},
                "description": {"not": {}, "description": "Describe the layer around it."},
                "from": {"not": {}, "description": "An inner layer takes the input of the layer around it."},
            },
        },
    }


def _parameter_definition(default: Json) -> dict[str, Json]:
    """The schema of an object that defines a parameter, whose default has the schema `default`."""
    forbidden = {"not": {}, "description": "a required parameter has no default"}
    return {
        "type": "object",
        "description": "A parameter: an object with its default, or without one if each use must give a value.",
        "properties": {
            "default": {"description": "The value unless another one is given.", **default},
            "required": {"const": True, "description": "A parameter without a default is required."},
            "description": DESCRIPTION_SCHEMA,
        },
        "if": {"required": ["required"]},
        "then": {"properties": {"default": forbidden}},
        "minProperties": 1,
        "additionalProperties": False,
    }


def _input_definition() -> dict[str, Json]:
    size = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 2**31 - 1}, NAME_SCHEMA, {"type": "null"}]}
    return {
        "type": "object",
        "description": "An input: its shape without the batch axis, and its element type.",
        "properties": {
            "shape": {
                "type": "array",
                "description": "Sizes of the axes; null or a name is a size that may vary from call to call.",
                "items": size,
                "maxItems": MAX_INPUT_AXES,
            },
            "dtype": {"type": "string", "enum": DTYPES, "default": "float32", "description": "Element type."},
            "description": DESCRIPTION_SCHEMA,
        },
        "required": ["shape"],
        "additionalProperties": False,
    }


def _call_properties() -> dict[str, Json]:
    """The schemas of the keys that every call of a layer may have."""
    name = NAME_SCHEMA | {"description": "Name of the layer, for `from`, `outputs` and its weights."}
    return {"name": name, "description": DESCRIPTION_SCHEMA, "from": _ref("from")}


def _component_definition(registry: Registry, component: type[Component]) -> dict[str, Json]:
    schema = component.schema()
    type_schema = {"enum": _names(registry)[component.type_name]}
    if registry is LAYERS:
        schema["properties"] = {"type": {}, "name": True, "description": True, "from": True, **schema["properties"]} | {
            "type": type_schema
        }
    else:
        schema["properties"]["type"] = type_schema
    return schema


_names = cache(Registry.names)


def _registry_definition(registry: Registry) -> dict[str, Json]:
    typed_object = _typed_object(registry, closed=True)
    described = {"title": registry.kind, "description": registry.doc}
    if not registry.bare_names():
        return typed_object | described
    names = {"title": registry.kind, "type": "string", "enum": registry.bare_names()}
    return described | {"anyOf": [names, typed_object]}


def _typed_object(registry: Registry, *, closed: bool, extra_properties: Mapping[str, Json] = {}) -> dict[str, Json]:
    """The schema of an object whose `type` selects a component of the registry, and with it the other keys.

    Unless `closed`, an unknown type is allowed: it may be a block or a layer that is reported later.
    """
    description = f"The type of the {registry.kind}."
    known_types: dict[str, Json] = {
        "title": registry.kind,
        "description": description,
        "type": "string",
        "enum": list(registry.by_name),
    }
    rules = [
        {
            "if": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"enum": _names(registry)[name]}},
            },
            "then": {"$ref": f"#/$defs/{registry.kind}.{name}"},
        }
        for name in registry.members
    ]
    return {
        "title": registry.kind,
        "type": "object",
        "description": registry.doc,
        "properties": {
            "type": known_types
            if closed
            else {"anyOf": [known_types, UNKNOWN_NAME_SCHEMA], "description": description},
            **extra_properties,
        },
        "required": ["type"],
        "allOf": rules,
    }


def training_key_doc(name: str) -> str | None:
    """The description of a key of `training`; None for another name."""
    attribute = Training.attributes.get(name)
    return None if attribute is None else attribute.doc
