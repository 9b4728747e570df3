"""A schema for structured output: the part of the language that the constrained decoding of all vendors supports.

A program that calls a language model passes the schema, and the answer is a spec. Each vendor accepts another subset of
JSON Schema and limits its size, so the schema is within all of them: every key is required, objects are closed, bounds
are words in descriptions, and few values have several types. It has chosen layers only, and of their arguments numbers,
strings, booleans, arrays of these, and names of activations. Blocks, parameters and expressions are left out.
`validate` remains the authority for everything that the subset cannot express.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from ...core.components import REQUIRED, Attribute, Component, Json, Registry
from ...core.diagnostics import UsageError, suggestion
from ...core.limits import MAX_NAME_CHARACTERS
from ...layers import ACTIVATIONS, LAYERS, Layer
from ...sections.data_section import DataSection
from ...sections.training_section import EarlyStoppingSection, Training
from ...training.losses.losses import LOSSES
from ...training.metrics.metrics import METRICS
from ...training.optimizers.optimizer import OPTIMIZERS
from .phrases import short_name
from .schema import DTYPES, NAME_SCHEMA

DEFAULT_LAYERS = (
    "Dense",
    "Activation",
    "Dropout",
    "Flatten",
    "Reshape",
    "Rescaling",
    "Normalization",
    "BatchNormalization",
    "LayerNormalization",
    "Conv1D",
    "Conv2D",
    "DepthwiseConv2D",
    "Conv2DTranspose",
    "MaxPooling1D",
    "MaxPooling2D",
    "AveragePooling2D",
    "UpSampling2D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "Embedding",
    "LSTM",
    "GRU",
    "MultiHeadAttention",
    "Add",
    "Multiply",
    "Concatenate",
)
"""The layers of the schema unless others are chosen."""

TRAINING_KEYS = ("epochs", "batch_size", "seed", "restore_best_weights")
"""Scalar keys of `training` in the schema, besides `data`, `loss`, `optimizer`, `metrics` and `early_stopping`."""

DATA_KEYS = ("train", "validation", "test", "x", "y", "validation_split")
EARLY_STOPPING_KEYS = ("monitor", "patience")

MAX_ENUM_VALUES = 1_000
"""The limit of OpenAI's structured output, in November 2026. Other documented limits hold with any layers:

OpenAI: 5,000 properties, 10 levels, 120,000 characters of names; all keys required, closed objects.
https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas
Anthropic: 24 optional properties, 16 unions, no recursion, no bounds.
https://platform.claude.com/docs/en/build-with-claude/structured-outputs#schema-complexity-limits
Gemini: no numbers. https://ai.google.dev/gemini-api/docs/structured-output
"""

OMITTED_ARGUMENTS = (*Layer.attributes, "data_format", "seed", "unroll", "use_cudnn", "flash_attention")
"""Arguments of layers that a first spec hardly needs, left out to keep the schema small."""

_BOUND_WORDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "greater than {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


def structured_schema_text(layer_types: Sequence[str] = (), inputs: Sequence[str] = ()) -> str:
    """The schema as it is printed, without spaces: its size counts as input of the language model."""
    return json.dumps(structured_schema(layer_types, inputs), separators=(",", ":"), ensure_ascii=False) + "\n"


def structured_schema(layer_types: Sequence[str] = (), inputs: Sequence[str] = ()) -> dict[str, Json]:
    """The schema of specs with these layers and inputs.

    Structured output has no objects with arbitrary keys, so the names of the inputs are part of the schema; `input` if
    none are given. Raises UsageError for an unknown layer, for one with a required argument that is too complex, for an
    invalid name, and for a schema that is too large.
    """
    for name in inputs:
        if not re.fullmatch(str(NAME_SCHEMA["pattern"]), name) or len(name) > MAX_NAME_CHARACTERS:
            help = "a name consists of letters, digits, `-` and `_`, and begins with a letter or `_`"
            raise UsageError("bad-option", f"{short_name(name)} cannot be the name of an input", help)
    schema = _SchemaWriter(known_layers(layer_types or DEFAULT_LAYERS)).root(inputs or ("input",))
    count = _count_enum_values(schema)
    if count > MAX_ENUM_VALUES:
        message = f"the schema has {count:,} enum values, and structured output allows {MAX_ENUM_VALUES:,}"
        raise UsageError("too-large", message, "choose fewer layers with --layers")
    return schema


def _count_enum_values(schema: Json) -> int:
    if isinstance(schema, list):
        return sum(map(_count_enum_values, schema))
    if not isinstance(schema, dict):
        return 0
    return sum(len(value) if key == "enum" else _count_enum_values(value) for key, value in schema.items())


def known_layers(names: Iterable[str]) -> dict[str, type[Component]]:
    """Layers by their main names. Raises UsageError `unknown-type` for any other name."""
    layers = {}
    for name in names:
        if name not in LAYERS.by_name:
            help = suggestion(name, list(LAYERS.by_name)) or "`jsonnx layers` lists all layers"
            raise UsageError("unknown-type", f"there is no layer {name!r}", help)
        layer = LAYERS.by_name[name]
        layers[layer.type_name] = layer
    return layers


class _SchemaWriter:
    """Writes the schema, and collects the definitions that it refers to."""

    def __init__(self, layers: Mapping[str, type[Component]]) -> None:
        self.layers = layers
        self.definitions: dict[str, Json] = {}

    # -- the document ------------------------------------------------------------------------------------------------

    def root(self, inputs: Sequence[str]) -> dict[str, Json]:
        size = {"type": ["integer", "string"], "description": "A number, or a name for a size that varies."}
        shape = {"type": "array", "items": size, "description": "Sizes of the axes, without the batch axis."}
        dtype = {"type": "string", "enum": list(DTYPES), "description": "Element type."}
        self.definitions["input"] = _closed_object({"shape": shape, "dtype": dtype})
        names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        labels = {**names, "description": "Names of the classes in order, of a classifier."}
        root = _closed_object(
            {
                "inputs": _closed_object({name: {"$ref": "#/$defs/input"} for name in inputs}),
                "layers": {"type": "array", "items": {"anyOf": self.entries()}, "minItems": 1},
                "outputs": {**names, "description": "Names of the layers whose results are the outputs."},
                "labels": _nullable(labels),
                "training": _nullable(self.training()),
            }
        )
        return root | {"$defs": dict(sorted(self.definitions.items()))}

    def training(self) -> dict[str, Json]:
        metrics = Training.schema()["properties"]["metrics"]["description"]
        return _closed_object(
            {
                "data": self.section(DataSection, DATA_KEYS),
                "loss": self.names(LOSSES),
                "optimizer": _closed_object({"type": self.optimizer_names(), "learning_rate": {"type": "number"}}),
                "metrics": {"type": "array", "items": self.names(METRICS), "description": metrics},
                **self.section(Training, TRAINING_KEYS)["properties"],
                "early_stopping": _nullable(self.section(EarlyStoppingSection, EARLY_STOPPING_KEYS)),
            }
        )

    def section(self, section: type[Component], keys: Iterable[str]) -> dict[str, Json]:
        """The object of some keys of a section; a key whose default is null may be null."""
        properties = section.schema()["properties"]
        values = {key: self.value(properties[key]) for key in keys}
        optional = [key for key in keys if section.attributes[key].default is None]
        return _closed_object(values | {key: _nullable(values[key]) for key in optional})

    # -- layers ------------------------------------------------------------------------------------------------------

    def entries(self) -> list[Json]:
        """The alternatives of an entry of `layers`."""
        name = {"type": "string", "description": "A name that no other layer has."}
        inputs = {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "Names of the inputs or layers it takes.",
        }
        return [self.layer(layer, {"name": name, "from": inputs}) for layer in self.layers.values()]

    def layer(self, layer: type[Component], keys: Mapping[str, Json] = {}) -> dict[str, Json]:
        """The schema of a layer's object, with `keys` besides the arguments that are required or whose default is not
        null."""
        arguments: dict[str, dict[str, Json]] = {"required": {}, "optional": {}}
        for name, schema in layer.schema()["properties"].items():
            if name == "type" or layer.attributes[name].unsupported is not None:
                continue
            is_required = layer.attributes[name].default is REQUIRED
            if name in OMITTED_ARGUMENTS and not is_required:
                continue
            value = self.value(schema)
            if value is not None and (is_required or _has_default(layer.attributes[name], schema)):
                arguments["required" if is_required else "optional"][name] = value
            elif is_required:
                help = "leave it out of --layers; `jsonnx layers` shows its arguments"
                message = f"structured output cannot express {layer.type_name}, whose argument {name!r} is required"
                raise UsageError("bad-option", message, help)
        type_schema = {"type": "string", "enum": [layer.type_name]}
        return _closed_object({"type": type_schema, **keys, **arguments["required"], **arguments["optional"]})

    def inner_layer(self) -> Json:
        """The schema of a layer inside another one: a chosen layer without inner layers. None if there is none."""
        if "layer" not in self.definitions:
            inner = [layer for layer in self.layers.values() if not _has_inner_layers(layer)]
            self.definitions["layer"] = {"anyOf": [self.layer(layer) for layer in inner]}
        return {"$ref": "#/$defs/layer"} if self.definitions["layer"]["anyOf"] else None

    # -- values ------------------------------------------------------------------------------------------------------

    def value(self, schema: Mapping[str, Json]) -> Json:
        """The schema of a value without null: of several types the first; None if it cannot be expressed."""
        if "$ref" in schema:
            return self.reference(schema["$ref"].rsplit("/", 1)[-1])
        if "anyOf" in schema:
            options = (self.value(option) for option in schema["anyOf"])
            first = next((option for option in options if option is not None), None)
            return None if first is None else _described(first, schema)
        if "enum" in schema:
            choices = [choice for choice in schema["enum"] if choice is not None]
            is_text = all(isinstance(choice, str) for choice in choices)
            return _described({"type": "string", "enum": choices}, schema) if is_text else None
        types = schema.get("type", [])
        kinds = [kind for kind in ([types] if isinstance(types, str) else types) if kind != "null"]
        if len(kinds) != 1 or kinds[0] == "object":
            return None
        if kinds[0] == "array":
            items = self.value(schema.get("items", {}))
            return None if items is None else _described({"type": "array", "items": items}, schema)
        return _described({"type": kinds[0]}, schema)

    def reference(self, kind: str) -> Json:
        if kind == "layer":
            return self.inner_layer()
        return self.names(ACTIVATIONS) if kind == "activation" else None

    def names(self, registry: Registry) -> Json:
        """A reference to the names of a registry's components that stand alone."""
        bare = [name for name in registry.members if name in registry.bare_names()]
        self.definitions[registry.kind] = {"type": "string", "enum": bare}
        return {"$ref": f"#/$defs/{registry.kind}"}

    def optimizer_names(self) -> dict[str, Json]:
        bare = OPTIMIZERS.bare_names()
        names = [name for name, optimizer in OPTIMIZERS.members.items() if "learning_rate" in optimizer.attributes]
        return {"type": "string", "enum": [name for name in names if name in bare]}


def _closed_object(properties: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [*properties],
        "additionalProperties": False,
    }


def _described(value: dict[str, Json], schema: Mapping[str, Json]) -> dict[str, Json]:
    """The value with the description of the original schema, and its bounds in words. A reference has no other key."""
    words = ", ".join(words.format(schema[key]) for key, words in _BOUND_WORDS.items() if key in schema)
    text = " ".join([*([schema["description"]] if "description" in schema else []), *([f"({words})"] if words else [])])
    return {**value, "description": text} if text and "$ref" not in value else value


def _nullable(schema: dict[str, Json]) -> dict[str, Json]:
    return {**schema, "type": [schema["type"], "null"]}


def _has_default(attribute: Attribute, schema: dict[str, Json]) -> bool:
    """Whether the default of an argument can be written without null. That of an activation can, as `linear`."""
    return attribute.default is not None or '"#/$defs/activation"' in json.dumps(schema)


def _has_inner_layers(layer: type[Component]) -> bool:
    return '"#/$defs/layer"' in json.dumps(layer.schema())
