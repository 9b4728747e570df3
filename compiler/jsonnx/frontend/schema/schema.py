"""The JSON Schema of a spec, made from the bricks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ...core.components import Brick, Family, Json, Optional_, form_of
from ...layers import ACTIVATIONS, LAYERS
from ...training.constraints import CONSTRAINTS
from ...training.initializers import INITIALIZERS
from ...training.losses import LOSSES
from ...training.metrics import METRICS
from ...training.optimizers import OPTIMIZERS
from ...training.regularizers import REGULARIZERS
from ...training.section import Training
from .phrases import OTHER_NAME

VERSION = 1
"""The version of the language that this reads."""

SCHEMA_URI = "https://json-schema.org/draft/2020-12/schema"

NAME = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$", "maxLength": 128}
INNER_NAME: dict[str, Json] = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]*$", "maxLength": 128}
REFERENCE = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_]+)?$", "maxLength": 257}
PARAMETER_NAME = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": 128}

REUSE_KEYS = ("parameters", "scales", "blocks")
"""Keys of a document that expansion takes away."""

ENTRY_KEYS = ("type", "use", "name", "from", "repeat")
"""Keys of an entry that are not its arguments."""

DTYPES = ["float32", "int64", "int32", "uint8", "bool", "string"]

FAMILIES: tuple[Family, ...] = (
    ACTIVATIONS,
    CONSTRAINTS,
    INITIALIZERS,
    LOSSES,
    METRICS,
    OPTIMIZERS,
    REGULARIZERS,
)


@cache
def schema() -> dict[str, Json]:
    """The whole schema. Callers share it and must not change it."""
    names = [*_plain(), *(name for family in FAMILIES for name in (family.kind, *_members(family))), *_members(LAYERS)]
    return head() | {"$defs": {name: definition(name) for name in names}}


@cache
def head() -> dict[str, Json]:
    """The schema without its definitions, of which a document uses few."""
    return {
        "$schema": SCHEMA_URI,
        "title": "jsonnx model",
        "description": f"A neural network for jsonnx, version {VERSION} of the language.",
        "type": "object",
        "properties": _top(),
        "required": ["inputs", "layers"],
        "additionalProperties": False,
    }


@cache
def definition(name: str) -> dict[str, Json]:
    """One of the definitions: of a brick, of a family of them, or of what is written in several places."""
    kind, _, member = name.partition(".")
    if member:
        family = next(family for family in (LAYERS, *FAMILIES) if family.kind == kind)
        return _member(family, family.members[member])
    return _plain().get(name) or _family(next(family for family in FAMILIES if family.kind == name))


def _members(family: Family) -> list[str]:
    return [f"{family.kind}.{name}" for name in family.members]


def _top() -> dict[str, Json]:
    label = {"type": "array", "items": {"type": "string", "maxLength": 256}, "minItems": 1}
    reference = {"$ref": "#/$defs/reference"}
    return {
        "$schema": {"type": "string", "description": "Where an editor finds this schema; nothing is fetched."},
        "version": {"type": "integer", "description": "Version of the language.", "default": VERSION},
        "name": NAME | {"description": "Name of the model.", "default": "model"},
        "description": {"type": "string", "description": "For readers."},
        **reuse(),
        "inputs": {
            "type": "object",
            "description": "The inputs by name.",
            "propertyNames": NAME,
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
        "training": Optional_(form_of(Training)).schema() | {"description": "How the network is trained."},
    }


@cache
def reuse() -> dict[str, Json]:
    """The keys for what is written once and used often."""
    scalar = {"type": ["number", "string", "boolean", "null"]}
    values = {
        "type": "object",
        "propertyNames": PARAMETER_NAME,
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
                "propertyNames": PARAMETER_NAME,
            },
            "inputs": {
                "type": "array",
                "description": "Names of what it takes.",
                "items": INNER_NAME,
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
            "propertyNames": NAME,
            "additionalProperties": values,
        },
        "blocks": {
            "type": "object",
            "description": "Blocks by name, used like layer types.",
            "propertyNames": NAME,
            "additionalProperties": block,
        },
    }


@cache
def _plain() -> dict[str, dict[str, Json]]:
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
                        "anyOf": [{"type": "integer", "minimum": 1, "maximum": 2**31 - 1}, NAME, {"type": "null"}]
                    },
                    "maxItems": 8,
                },
                "dtype": {"type": "string", "enum": DTYPES, "default": "float32", "description": "Element type."},
            },
            "required": ["shape"],
            "additionalProperties": False,
        },
        "reference": REFERENCE | {"description": "The name of an input or a layer, or `layer.output`."},
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
            "properties": {"use": NAME | {"description": "The layer to call again."}, **_call_keys()},
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
        "layer_call": _tagged(LAYERS, closed=False, more=_call_keys()),
        "layer": {
            "description": "A layer inside another one is an object with its `type`; it has no name of its own.",
            "$ref": "#/$defs/layer_call",
            "properties": {
                "type": {"title": "layer", "type": "string", "enum": list(LAYERS.names)},
                "name": {"not": {}, "description": "Only a layer of the network has a name."},
                "from": {"not": {}, "description": "It takes what the layer around it takes."},
            },
        },
    }


def _call_keys() -> dict[str, Json]:
    name = NAME | {"description": "Name of the layer, for `from`, `outputs` and its weights."}
    return {"name": name, "from": {"$ref": "#/$defs/from"}}


def _member(family: Family, brick: type[Brick]) -> dict[str, Json]:
    made = brick.schema()
    names = {"enum": _names(family)[brick]}
    if family is LAYERS:
        made["properties"] = {"type": {}, "name": True, "from": True, **made["properties"]} | {"type": names}
    else:
        made["properties"]["type"] = names
    return made


@cache
def _names(family: Family) -> dict[type[Brick], list[str]]:
    names: dict[type[Brick], list[str]] = {}
    for name, brick in family.names.items():
        names.setdefault(brick, []).append(name)
    return names


def _family(family: Family) -> dict[str, Json]:
    names = {"title": family.kind, "type": "string", "enum": family.plain_names()}
    return {"title": family.kind, "description": family.doc, "anyOf": [names, _tagged(family, closed=True)]}


def _tagged(family: Family, *, closed: bool, more: Mapping[str, Json] = {}) -> dict[str, Json]:
    """An object whose `type` says which member it is, with more keys. Unless closed, types unknown here pass."""
    about = f"Which {family.kind} it is."
    known: dict[str, Json] = {"title": family.kind, "description": about, "type": "string", "enum": list(family.names)}
    rules = [
        {
            "if": {"type": "object", "required": ["type"], "properties": {"type": {"enum": _names(family)[brick]}}},
            "then": {"$ref": f"#/$defs/{family.kind}.{brick.type_name}"},
        }
        for brick in family
    ]
    return {
        "title": family.kind,
        "type": "object",
        "description": family.doc,
        "properties": {"type": known if closed else {"anyOf": [known, OTHER_NAME], "description": about}, **more},
        "required": ["type"],
        "allOf": rules,
    }
