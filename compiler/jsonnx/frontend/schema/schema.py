"""The JSON Schema of a spec, made from the bricks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ...core.components import Component, Json, NullableCodec, Registry, codec_for
from ...layers import ACTIVATIONS, LAYERS
from ...training.constraints import CONSTRAINTS
from ...training.initializers import INITIALIZERS
from ...training.losses import LOSSES
from ...training.metrics import METRICS
from ...training.optimizers import OPTIMIZERS
from ...training.regularizers import REGULARIZERS
from ...training.section import Training
from .phrases import UNKNOWN_NAME_SCHEMA

LANGUAGE_VERSION = 1
"""The version of the language that this reads."""

SCHEMA_URI = "https://json-schema.org/draft/2020-12/schema"

NAME_SCHEMA = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$", "maxLength": 128}
INNER_NAME_SCHEMA: dict[str, Json] = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]*$", "maxLength": 128}
REFERENCE_SCHEMA = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_]+)?$", "maxLength": 257}
PARAMETER_NAME_SCHEMA = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": 128}

REUSE_KEYS = ("parameters", "scales", "blocks")
"""Keys of a document that expansion takes away."""

ENTRY_KEYS = ("type", "use", "name", "from", "repeat")
"""Keys of an entry that are not its arguments."""

DTYPES = ["float32", "int64", "int32", "uint8", "bool", "string"]

REGISTRIES: tuple[Registry, ...] = (
    ACTIVATIONS,
    CONSTRAINTS,
    INITIALIZERS,
    LOSSES,
    METRICS,
    OPTIMIZERS,
    REGULARIZERS,
)


@cache
def spec_schema() -> dict[str, Json]:
    """The whole schema. Callers share it and must not change it."""
    names = [
        *_shared_definitions(),
        *(name for family in REGISTRIES for name in (family.kind, *_definition_names(family))),
        *_definition_names(LAYERS),
    ]
    return root_schema() | {"$defs": {name: definition(name) for name in names}}


@cache
def root_schema() -> dict[str, Json]:
    """The schema without its definitions, of which a document uses few."""
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
    """One of the definitions: of a brick, of a family of them, or of what is written in several places."""
    kind, _, member = name.partition(".")
    if member:
        family = next(family for family in (LAYERS, *REGISTRIES) if family.kind == kind)
        return _component_definition(family, family.members[member])
    return _shared_definitions().get(name) or _registry_definition(
        next(family for family in REGISTRIES if family.kind == name)
    )


def _definition_names(registry: Registry) -> list[str]:
    return [f"{registry.kind}.{name}" for name in registry.members]


def _root_properties() -> dict[str, Json]:
    label = {"type": "array", "items": {"type": "string", "maxLength": 256}, "minItems": 1}
    reference = {"$ref": "#/$defs/reference"}
    return {
        "$schema": {"type": "string", "description": "Where an editor finds this schema; nothing is fetched."},
        "version": {"type": "integer", "description": "Version of the language.", "default": LANGUAGE_VERSION},
        "name": NAME_SCHEMA | {"description": "Name of the model.", "default": "model"},
        "description": {"type": "string", "description": "For readers."},
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
            "description": "The layers. Each takes the output of the one before it unless it says `from`.",
            "items": {"$ref": "#/$defs/call"},
            "minItems": 1,
        },
        "outputs": {
            "description": "Names of the results; the last layer's where omitted.",
            "anyOf": [reference, {"type": "array", "items": reference, "minItems": 1}],
        },
        "labels": {
            "description": "Names of the classes in their order; by output name where there are several outputs.",
            "anyOf": [label, {"type": "object", "additionalProperties": label}],
        },
        "training": NullableCodec(codec_for(Training)).schema() | {"description": "How the network is trained."},
    }


@cache
def reuse_properties() -> dict[str, Json]:
    """The keys for what is written once and used often."""
    scalar = {"type": ["number", "string", "boolean", "null"]}
    values = {
        "type": "object",
        "propertyNames": PARAMETER_NAME_SCHEMA,
        "additionalProperties": {"type": [*scalar["type"], "array"], "items": scalar},
    }
    reference = {"type": "string", "maxLength": 257}
    block = {
        "type": "object",
        "description": "Layers that are used together, under one name.",
        "properties": {
            "description": {"type": "string", "description": "For readers."},
            "parameters": {
                "type": "object",
                "description": "What a use may say, with the values where it does not.",
                "propertyNames": PARAMETER_NAME_SCHEMA,
            },
            "inputs": {
                "type": "array",
                "description": "Names of what it takes.",
                "items": INNER_NAME_SCHEMA,
                "minItems": 1,
                "default": ["input"],
            },
            "names": {
                "enum": ["joined", "own"],
                "description": "Whether its layers are called by the use and their names, or by their own names alone, "
                "which then are made of parameters where there are several uses.",
                "default": "joined",
            },
            "layers": {"type": "array", "description": "Its layers, as those of a network.", "minItems": 1},
            "outputs": {
                "description": "Names of its results; the last layer's where omitted.",
                "anyOf": [reference, {"type": "array", "items": reference, "minItems": 1}],
            },
        },
        "required": ["layers"],
        "additionalProperties": False,
    }
    return {
        "parameters": values | {"description": 'Values by name, used as "${name}"; `--set name=value` changes one.'},
        "scales": {
            "type": "object",
            "description": "Values of parameters that belong together, chosen by `--scale`.",
            "propertyNames": NAME_SCHEMA,
            "additionalProperties": values,
        },
        "blocks": {
            "type": "object",
            "description": "Blocks by name, used like layer types.",
            "propertyNames": NAME_SCHEMA,
            "additionalProperties": block,
        },
    }


@cache
def _shared_definitions() -> dict[str, dict[str, Json]]:
    """The definitions that are not of one brick or family."""
    return {
        "input": {
            "type": "object",
            "description": "An input: its shape without the batch axis, and its element type.",
            "properties": {
                "shape": {
                    "type": "array",
                    "description": "Sizes; null or a name is a size that may differ from run to run.",
                    "items": {
                        "anyOf": [
                            {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
                            NAME_SCHEMA,
                            {"type": "null"},
                        ]
                    },
                    "maxItems": 8,
                },
                "dtype": {"type": "string", "enum": DTYPES, "default": "float32", "description": "Element type."},
            },
            "required": ["shape"],
            "additionalProperties": False,
        },
        "reference": REFERENCE_SCHEMA | {"description": "The name of an input or a layer, or `layer.output`."},
        "from": {
            "description": "What the layer takes: one name or several.",
            "anyOf": [
                {"$ref": "#/$defs/reference"},
                {"type": "array", "items": {"$ref": "#/$defs/reference"}, "minItems": 1},
            ],
        },
        "constant": {
            "description": "A number, or nested arrays of them: a tensor that is always the same.",
            "anyOf": [
                {"type": ["number", "boolean"]},
                {"type": "array", "items": {"$ref": "#/$defs/constant"}, "minItems": 1},
            ],
        },
        "use": {
            "type": "object",
            "description": "Calls a layer again, with the same weights.",
            "properties": {"use": NAME_SCHEMA | {"description": "The layer to call again."}, **_call_keys()},
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
        "layer_call": _typed_object(LAYERS, closed=False, extra_properties=_call_keys()),
        "layer": {
            "description": "A layer inside another one is an object with its `type`; it has no name of its own.",
            "$ref": "#/$defs/layer_call",
            "properties": {
                "type": {"title": "layer", "type": "string", "enum": list(LAYERS.by_name)},
                "name": {"not": {}, "description": "Only a layer of the network has a name."},
                "from": {"not": {}, "description": "It takes what the layer around it takes."},
            },
        },
    }


def _call_keys() -> dict[str, Json]:
    name = NAME_SCHEMA | {"description": "Name of the layer, for `from`, `outputs` and its weights."}
    return {"name": name, "from": {"$ref": "#/$defs/from"}}


def _component_definition(registry: Registry, component: type[Component]) -> dict[str, Json]:
    made = component.schema()
    names = {"enum": _names_by_component(registry)[component]}
    if registry is LAYERS:
        made["properties"] = {"type": {}, "name": True, "from": True, **made["properties"]} | {"type": names}
    else:
        made["properties"]["type"] = names
    return made


@cache
def _names_by_component(registry: Registry) -> dict[type[Component], list[str]]:
    names: dict[type[Component], list[str]] = {}
    for name, brick in registry.by_name.items():
        names.setdefault(brick, []).append(name)
    return names


def _registry_definition(registry: Registry) -> dict[str, Json]:
    names = {"title": registry.kind, "type": "string", "enum": registry.bare_names()}
    return {"title": registry.kind, "description": registry.doc, "anyOf": [names, _typed_object(registry, closed=True)]}


def _typed_object(registry: Registry, *, closed: bool, extra_properties: Mapping[str, Json] = {}) -> dict[str, Json]:
    """An object whose `type` says which member it is, with more keys. Unless closed, types unknown here pass."""
    about = f"Which {registry.kind} it is."
    known: dict[str, Json] = {
        "title": registry.kind,
        "description": about,
        "type": "string",
        "enum": list(registry.by_name),
    }
    rules = [
        {
            "if": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"enum": _names_by_component(registry)[brick]}},
            },
            "then": {"$ref": f"#/$defs/{registry.kind}.{brick.type_name}"},
        }
        for brick in registry
    ]
    return {
        "title": registry.kind,
        "type": "object",
        "description": registry.doc,
        "properties": {
            "type": known if closed else {"anyOf": [known, UNKNOWN_NAME_SCHEMA], "description": about},
            **extra_properties,
        },
        "required": ["type"],
        "allOf": rules,
    }
