"""Schemas for structured output: a subset of the language within what a vendor's constrained decoding supports.

A program that calls a language model passes such a schema, and the answer is a spec. Each vendor accepts a subset of
JSON Schema and limits its size, so the schema has chosen layers only, and of their arguments those that are numbers,
strings, booleans, arrays of these, or names of activations, initializers and the like. Blocks, parameters and
expressions are left out. `validate` remains the authority for everything that the subset cannot express.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ...core.components import REQUIRED, Attribute, Component, Json, Registry
from ...core.diagnostics import UsageError, suggestion
from ...core.limits import MAX_NAME_CHARACTERS
from ...layers import LAYERS, Layer
from ...sections.data_section import DataSection
from ...sections.training_section import EarlyStoppingSection, Training
from ...training.losses.losses import LOSSES
from ...training.metrics.metrics import METRICS
from ...training.optimizers.optimizer import OPTIMIZERS
from .phrases import short_name
from .schema import DTYPES, NAME_SCHEMA, REGISTRIES
from .structured_limits import require_size

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

Vendor = Literal["openai", "anthropic", "gemini"]
VENDORS: tuple[Vendor, ...] = ("openai", "anthropic", "gemini")


Optional = Literal["nullable", "absent", "required"]
"""How a key that has a default is written: it is required and may be null; or it may be absent; or it is required if
the default is not null, and left out of the schema otherwise."""


@dataclass(frozen=True)
class Dialect:
    """How a vendor's schemas express what a spec may leave out, and which constraints they support."""

    optional_keys: Optional
    """Optional keys of the document and of its sections."""
    optional_arguments: Optional
    """Optional arguments of layers."""
    bounds: tuple[str, ...]
    """The keywords of constraints that may be used; others become part of a description."""
    has_unions: bool
    """Whether an argument may have several types, such as an integer or an array of integers."""
    kinds: tuple[str, ...]
    """The kinds of components whose names may be arguments."""


_KINDS = ("activation", "initializer", "regularizer")
_LENGTHS = ("minItems", "maxItems")

DIALECTS: Mapping[Vendor, Dialect] = {
    "openai": Dialect(
        optional_keys="nullable",
        optional_arguments="nullable",
        bounds=(*_LENGTHS, "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        has_unions=True,
        kinds=_KINDS,
    ),
    "anthropic": Dialect(
        optional_keys="absent", optional_arguments="required", bounds=(), has_unions=False, kinds=("activation",)
    ),
    "gemini": Dialect(
        optional_keys="absent",
        optional_arguments="absent",
        bounds=(*_LENGTHS, "minimum", "maximum"),
        has_unions=True,
        kinds=_KINDS,
    ),
}

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


def structured_schema_text(vendor: Vendor, layer_types: Sequence[str] = (), inputs: Sequence[str] = ()) -> str:
    """Returns the schema as it is printed, without spaces: its size counts as input of the language model."""
    return json.dumps(structured_schema(vendor, layer_types, inputs), separators=(",", ":"), ensure_ascii=False) + "\n"


def structured_schema(vendor: Vendor, layer_types: Sequence[str] = (), inputs: Sequence[str] = ()) -> dict[str, Json]:
    """Returns the schema of specs with these layers and inputs, within the vendor's limits.

    Structured output has no objects with arbitrary keys, so the names of the inputs are part of the schema; `input` if
    none are given. Raises UsageError for an unknown layer, for one with a required argument that is too complex, for an
    invalid name, and for a schema beyond the vendor's limits.
    """
    for name in inputs:
        if not re.fullmatch(str(NAME_SCHEMA["pattern"]), name) or len(name) > MAX_NAME_CHARACTERS:
            help = "a name consists of letters, digits, `-` and `_`, and begins with a letter or `_`"
            raise UsageError("bad-option", f"{short_name(name)} cannot be the name of an input", help)
    layers = known_layers(layer_types or DEFAULT_LAYERS)
    schema = _SchemaWriter(DIALECTS[vendor], layers).root(inputs or ("input",))
    require_size(schema, vendor)
    return schema


def known_layers(names: Iterable[str]) -> dict[str, type[Component]]:
    """Returns layers by their main names. Raises UsageError `unknown-type` for any other name."""
    layers = {}
    for name in names:
        if name not in LAYERS.by_name:
            help = suggestion(name, list(LAYERS.by_name)) or "`jsonnx layers` lists all layers"
            raise UsageError("unknown-type", f"there is no layer {name!r}", help)
        layer = LAYERS.by_name[name]
        layers[layer.type_name] = layer
    return layers


class _SchemaWriter:
    """Writes the schema of one dialect, and collects the definitions that it refers to."""

    def __init__(self, dialect: Dialect, layers: Mapping[str, type[Component]]) -> None:
        self.dialect, self.layers = dialect, layers
        self.definitions: dict[str, Json] = {}

    # -- the document ------------------------------------------------------------------------------------------------

    def root(self, inputs: Sequence[str]) -> dict[str, Json]:
        size = {"type": ["integer", "string"], "description": "A number, or a name for a size that varies."}
        shape = {"type": "array", "items": size, "description": "Sizes of the axes, without the batch axis."}
        dtype = {"type": "string", "enum": list(DTYPES), "description": "Element type."}
        self.definitions["input"] = self.object({"shape": shape, "dtype": dtype})
        names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        labels = {**names, "description": "Names of the classes in order, of a classifier."}
        return self.object(
            {
                "inputs": self.object({name: {"$ref": "#/$defs/input"} for name in inputs}),
                "layers": {"type": "array", "items": {"anyOf": self.entries()}, "minItems": 1},
                "outputs": {**names, "description": "Names of the layers whose results are the outputs."},
            },
            {"labels": labels, "training": self.training()},
            self.dialect.optional_keys,
        ) | {"$defs": dict(sorted(self.definitions.items()))}

    def training(self) -> dict[str, Json]:
        properties = Training.schema()["properties"]
        metrics = {"type": "array", "items": self.names(METRICS), "description": properties["metrics"]["description"]}
        data, stopping = DataSection.schema()["properties"], EarlyStoppingSection.schema()["properties"]
        required = {
            "data": self.object(
                {"train": self.value(data["train"])},
                {key: self.value(data[key]) for key in DATA_KEYS if key != "train"},
                self.dialect.optional_keys,
            ),
            "loss": self.names(LOSSES),
            "optimizer": self.object({"type": self.optimizer_names(), "learning_rate": {"type": "number"}}),
            "metrics": metrics,
        }
        early_stopping = self.object({key: self.value(stopping[key]) for key in EARLY_STOPPING_KEYS})
        optional = {key: self.value(properties[key]) for key in TRAINING_KEYS} | {"early_stopping": early_stopping}
        return self.object(required, optional, self.dialect.optional_keys)

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
        explicit = {"name": name, "from": inputs}
        if self.dialect.optional_arguments == "required":
            return [self.layer(layer, explicit) for layer in self.layers.values()]
        return [self.layer(layer, {}, explicit) for layer in self.layers.values()]

    def layer(
        self, layer: type[Component], required: Mapping[str, Json], optional: Mapping[str, Json] = {}
    ) -> dict[str, Json]:
        """The schema of a layer's object. `required` and `optional` are keys besides its arguments."""
        needed, others, dialect = {}, {}, self.dialect
        for name, schema in layer.schema()["properties"].items():
            if name in ("type", *OMITTED_ARGUMENTS) or layer.attributes[name].unsupported is not None:
                continue
            value = self.value(schema)
            if layer.attributes[name].default is not REQUIRED:
                if dialect.optional_arguments != "required" or _has_default(layer.attributes[name], schema):
                    others[name] = value
            elif value is None:
                help = "leave it out of --layers; `jsonnx layers` shows its arguments"
                message = f"structured output cannot express {layer.type_name}, whose argument {name!r} is required"
                raise UsageError("bad-option", message, help)
            else:
                needed[name] = value
        type_schema = {"type": "string", "enum": [layer.type_name]}
        arguments = {"type": type_schema, **required, **needed}
        return self.object(arguments, {**optional, **others}, dialect.optional_arguments)

    def inner_layer(self) -> Json:
        """The schema of a layer inside another one: a chosen layer without inner layers. None if there is none."""
        if "layer" not in self.definitions:
            inner = [layer for layer in self.layers.values() if not _has_inner_layers(layer)]
            self.definitions["layer"] = {"anyOf": [self.layer(layer, {}) for layer in inner]}
        return {"$ref": "#/$defs/layer"} if self.definitions["layer"]["anyOf"] else None

    # -- values ------------------------------------------------------------------------------------------------------

    def object(
        self, required: Mapping[str, Json], optional: Mapping[str, Json] = {}, form: Optional = "required"
    ) -> dict[str, Json]:
        """A closed object. An optional key whose schema is None cannot be expressed and is left out."""
        others = {name: schema for name, schema in optional.items() if schema is not None}
        if form == "nullable":
            others = {name: _nullable(schema) for name, schema in others.items()}
        return {
            "type": "object",
            "properties": {**required, **others},
            "required": [*required, *(() if form == "absent" else others)],
            "additionalProperties": False,
        }

    def value(self, schema: Mapping[str, Json]) -> Json:
        """The part of an argument's schema that the dialect can express, without null; None if there is none."""
        if "$ref" in schema:
            return self.reference(schema["$ref"].rsplit("/", 1)[-1])
        if "anyOf" in schema:
            options = [value for option in schema["anyOf"] if (value := self.value(option)) is not None]
            if len(options) > 1 and self.dialect.has_unions:
                return self.described({"anyOf": options}, schema)
            return self.described(options[0], schema) if options else None
        if "enum" in schema:
            choices = [choice for choice in schema["enum"] if choice is not None]
            is_text = all(isinstance(choice, str) for choice in choices)
            return self.described({"type": "string", "enum": choices}, schema) if is_text else None
        types = schema.get("type", [])
        kinds = [kind for kind in ([types] if isinstance(types, str) else types) if kind != "null"]
        if len(kinds) != 1 or kinds[0] == "object":
            return None
        if kinds[0] == "array":
            items = self.value(schema.get("items", {}))
            return None if items is None else self.described({"type": "array", "items": items}, schema)
        return self.described({"type": kinds[0]}, schema)

    def reference(self, kind: str) -> Json:
        if kind == "layer":
            return self.inner_layer()
        registry = next((registry for registry in REGISTRIES if registry.kind == kind), None)
        return self.names(registry) if registry is not None and kind in self.dialect.kinds else None

    def names(self, registry: Registry) -> Json:
        """A reference to the names of a registry's components that stand alone."""
        bare = [name for name in registry.members if name in registry.bare_names()]
        self.definitions[registry.kind] = {"type": "string", "enum": bare}
        return {"$ref": f"#/$defs/{registry.kind}"}

    def optimizer_names(self) -> dict[str, Json]:
        bare = OPTIMIZERS.bare_names()
        names = [name for name, optimizer in OPTIMIZERS.members.items() if "learning_rate" in optimizer.attributes]
        return {"type": "string", "enum": [name for name in names if name in bare]}

    def described(self, value: dict[str, Json], schema: Mapping[str, Json]) -> dict[str, Json]:
        """The value with the bounds and the description of the original schema. A reference has no other key."""
        if "$ref" in value:
            return value
        bounds = {keyword: schema[keyword] for keyword in _BOUND_WORDS if keyword in schema}
        words = [_BOUND_WORDS[key].format(bound) for key, bound in bounds.items() if key not in self.dialect.bounds]
        text = [schema["description"]] if "description" in schema else []
        text += [f"({', '.join(words)})"] if words else []
        kept = {key: bound for key, bound in bounds.items() if key in self.dialect.bounds}
        return {**value, **kept, **({"description": " ".join(text)} if text else {})}


def _nullable(schema: dict[str, Json]) -> dict[str, Json]:
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    description = {key: value for key, value in schema.items() if key == "description"}
    options = schema["anyOf"] if "anyOf" in schema else [{key: v for key, v in schema.items() if key != "description"}]
    return {"anyOf": [*options, {"type": "null"}], **description}


def _has_default(attribute: Attribute, schema: dict[str, Json]) -> bool:
    """Whether the default of an argument can be written without null. That of an activation can, as `linear`."""
    return attribute.default is not None or '"#/$defs/activation"' in json.dumps(schema)


def _has_inner_layers(layer: type[Component]) -> bool:
    return '"#/$defs/layer"' in json.dumps(layer.schema())
