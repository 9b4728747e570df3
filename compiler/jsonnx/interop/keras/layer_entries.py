"""A layer of Keras, with its arguments, as the entry that a spec has for it.

What Keras writes and we do not know is handed on as it is: the strict check of the finished spec refuses it, at its
place in the Keras file. Nothing named in a file is ever looked up anywhere but in our own tables of bricks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from json import dumps
from typing import Any, cast

from ...core.components import Attribute, Codec, Component, Json, Registry
from ...core.diagnostics import JsonPath, Report
from ...frontend.schema.errors import check_against_schema
from ...frontend.schema.phrases import short_name
from ...layers import ACTIVATIONS, LAYERS, Layer
from ...layers.unsupported import unsupported_layer
from .model_config import MODEL_CLASSES, LayerConfig
from .report import KerasReport
from .shortest_float import shortest_float
from .versions import KerasVersion, upgrade_layer

SourcePaths = dict[JsonPath, JsonPath]
"""By path in our document, or in a part of it: the path in the Keras file."""

KERAS_PACKAGES = ("keras", "tf_keras", "keras_core", "tensorflow", "tf")
"""The packages whose classes are Keras' own."""

KERAS_APPLICATIONS_LAYERS = ("LayerScale", "StochasticDepth", "CustomScaleLayer")
"""Classes of `keras.applications` that are not among `keras.layers`."""

UNKNOWN_CLASS_HELP = (
    "write it as a class of Keras' own, or replace it by layers that compute the same, and save the model anew"
)
VOCABULARY_LAYERS = ("StringLookup", "IntegerLookup", "TextVectorization")

ACTIVATION_OF_LAYER: dict[str, str] = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "Softmax": "softmax",
    "ThresholdedReLU": "threshold",
}
"""Layers that may stand for a function, as in `Dense(8, activation=LeakyReLU(0.2))`."""

HALF_PRECISION_DTYPES = ("float16", "bfloat16")


@dataclass
class LayerEntry:
    """A layer as our documents write it, without a name, and where its parts stand in the Keras file."""

    spec: dict[str, Json]
    source_paths: SourcePaths = field(default_factory=dict)
    layer: Layer | None = None

    def source_path(self, part: JsonPath, default: JsonPath) -> JsonPath:
        """Where a part of the entry was written; the layer itself, `default`, where that is not known."""
        for length in range(len(part), 0, -1):
            if part[:length] in self.source_paths:
                return self.source_paths[part[:length]]
        return default


@dataclass
class LayerTranslator:
    """Makes entries, and collects what there is to say about them."""

    keras_version: KerasVersion
    report: KerasReport
    notices: dict[str, JsonPath] = field(default_factory=dict)
    vocabularies: dict[JsonPath, str] = field(default_factory=dict)
    """By layer: the vocabulary that it learned, which a file keeps apart, a token a line."""
    valid_layers: dict[str, Layer] = field(default_factory=dict)
    """The layers that passed the check, by all that they say."""

    def translate(self, layer: LayerConfig) -> LayerEntry | None:
        """The checked entry for a layer, less its defaults; None, and diagnostics, where there is none."""
        before = self.report.error_count
        entry = self.translate_unchecked(layer)
        return self.validate(entry, layer.path) if entry is not None and self.report.error_count == before else None

    def validate(
        self, entry: LayerEntry, path: JsonPath, extra_arguments: Mapping[str, Json] = {}
    ) -> LayerEntry | None:
        """An entry held against the schema, with further arguments, and written anew."""
        spec = {**entry.spec, **extra_arguments}
        key = dumps(spec, sort_keys=True)
        if key not in self.valid_layers:
            found = Report()
            check_against_schema({"inputs": {"x": {"shape": []}}, "layers": [spec]}, found)
            self.report.add_spec_diagnostics(found, lambda at: entry.source_path(at[2:], path))
            if found.has_errors():
                return None
            made = LAYERS.by_name[spec["type"]](**{key: value for key, value in spec.items() if key != "type"})
            assert isinstance(made, Layer)
            self.valid_layers[key] = without_derived_arguments(made)
        return LayerEntry(self.valid_layers[key].to_json(), entry.source_paths, self.valid_layers[key])

    def translate_unchecked(self, layer: LayerConfig) -> LayerEntry | None:
        """The entry for a layer as the file has it."""
        if not self.is_keras_class(layer):
            return None
        made = upgrade_layer(layer.class_name, layer.config, self.keras_version)
        brick = LAYERS.by_name.get(made.class_name)
        if brick is None:
            self.report_unknown_layer(layer, made.class_name)
            return None
        entry = LayerEntry({"type": made.class_name})
        places = {key: (*layer.config_path, made.original_names.get(key, key)) for key in made.config}
        forms = brick.codecs()
        for key, value in made.config.items():
            path = places[key]
            if key == "attention_axes" and value == _default_attention_axes(layer):
                continue
            if key == "axis" and value == _last_axis(layer):
                value = -1
            if key == "dtype":
                self.check_dtype(value, layer, path)
            elif key == "vocabulary" and made.class_name in VOCABULARY_LAYERS and isinstance(value, str):
                self.report_vocabulary_file(layer, value, path)
            elif not _is_default(value, brick.attributes.get(key)):
                entry.source_paths[(key,)] = path
                entry.spec[key] = self.translate_value(forms.get(key), value, entry.source_paths, (key,), path)
        if layer.path in self.vocabularies and "vocabulary" not in entry.spec:
            entry.spec["vocabulary"] = vocabulary_tokens(self.vocabularies[layer.path], made.class_name, made.config)
        return entry

    # -- what may be there -------------------------------------------------------------------------------------------

    def is_keras_class(self, layer: LayerConfig) -> bool:
        """Whether the class is Keras' own; reported where not."""
        package = (layer.module or "keras").partition(".")[0]
        registered = layer.registered_name
        own = (
            package in KERAS_PACKAGES and (registered is None or ">" not in registered) and ">" not in layer.class_name
        )
        known = unsupported_layer(layer.class_name)
        if own or (known is not None and known.code == "not-expressible"):
            return True
        where = f" of the package {short_name(layer.module)}" if layer.module and package not in KERAS_PACKAGES else ""
        message = f"the layer {short_name(layer.name)} is of the class {short_name(layer.class_name)}{where}, which is not Keras' own"
        self.report.add("keras-unknown-class", (*layer.path, "class_name"), message, help=UNKNOWN_CLASS_HELP)
        return False

    def report_unknown_layer(self, layer: LayerConfig, class_name: str) -> None:
        """Says why there is no such layer."""
        known, path = unsupported_layer(class_name), (*layer.path, "class_name")
        if known is not None:
            message = f"the layer {short_name(layer.name)} is a {class_name}, and {known.message}"
            self.report.add("not-expressible", path, message, help=known.help)
        else:
            message = (
                f"the layer {short_name(layer.name)} is of the class {short_name(class_name)}, which is not Keras' own"
            )
            help = self.report.suggestion(class_name, LAYERS.by_name) or UNKNOWN_CLASS_HELP
            self.report.add("keras-unknown-class", path, message, help=help)

    def report_vocabulary_file(self, layer: LayerConfig, file_name: str, path: JsonPath) -> None:
        message = f"the layer {short_name(layer.name)} takes its vocabulary from {short_name(file_name)}, outside the model's file"
        help = "a model file that names other files is not safe to open: give the layer a list of tokens, and save anew"
        self.report.add("keras-outside-file", path, message, help=help)

    def check_dtype(self, value: Json, layer: LayerConfig, path: JsonPath) -> None:
        """Weights and numbers are float32 here; says where they were not."""
        name, kind = value, None
        if isinstance(value, dict):
            config, kind = value.get("config"), value.get("class_name")
            name = config.get("name") if isinstance(config, dict) else None
        if kind not in (None, "DTypePolicy", "Policy", "PolicyV1") or name in HALF_PRECISION_DTYPES:
            message = (
                f"the layer {short_name(layer.name)} computes in {name or kind}, here all layers compute in float32"
            )
            help = "save the model with the dtype policy 'float32', or 'mixed_float16', whose weights are float32"
            self.report.add("keras-dtype", path, message, help=help)
        elif isinstance(name, str) and (name.startswith("mixed_") or name == "float64"):
            self.notices.setdefault(f"layers with the dtype policy {name} compute in float32 here", path)

    # -- values ------------------------------------------------------------------------------------------------------

    def translate_value(
        self, codec: Codec | None, value: Json, source_paths: SourcePaths, spec_path: JsonPath, path: JsonPath
    ) -> Json:
        """A value of an argument as we write it."""
        source_paths[spec_path] = path
        family = _registry_of(codec)
        if isinstance(value, dict) and isinstance(value.get("class_name"), str):
            return self.translate_object(family, value, source_paths, spec_path, path)
        if isinstance(value, list):
            return [
                self.translate_value(codec, item, source_paths, (*spec_path, i), (*path, i))
                for i, item in enumerate(value)
            ]
        if family is ACTIVATIONS and isinstance(value, str):
            return self.translate_activation_name(value)
        return shortest_float(value) if isinstance(value, float) else value

    def translate_activation_name(self, name: str) -> Json:
        """An activation by its name."""
        if name == "hard_sigmoid" and self.keras_version.major < 3:
            return {"type": "hard_sigmoid", "slope": 0.2}
        return name

    def translate_object(
        self,
        registry: Registry | None,
        value: Mapping[str, Json],
        source_paths: SourcePaths,
        spec_path: JsonPath,
        path: JsonPath,
    ) -> Json:
        """A serialized object as a brick."""
        kind, config = str(value["class_name"]), value.get("config")
        given: Mapping[str, Json] = config if isinstance(config, dict) else {}
        if kind in ("__tensor__", "__numpy__"):
            return self.translate_value(None, given.get("value"), source_paths, spec_path, (*path, "config", "value"))
        if kind == "SeedGenerator":
            return given.get("seed")
        if registry is None:
            self.report_unknown_object(kind, path)
            return None
        if registry is LAYERS:
            return self.translate_inner_layer(value, source_paths, spec_path, path)
        if not self.is_keras_class(
            LayerConfig(str(spec_path[-1]), kind, given, path, *_module_and_registered_name(value))
        ):
            return None
        if registry is ACTIVATIONS and kind in ACTIVATION_OF_LAYER:
            made = upgrade_layer(kind, given, self.keras_version)
            if made.class_name == "Activation":
                return self.translate_object(
                    registry, cast("Mapping[str, Json]", made.config["activation"]), source_paths, spec_path, path
                )
            kind, given = (
                ACTIVATION_OF_LAYER[kind],
                {k: v for k, v in made.config.items() if k not in ("dtype", "trainable")},
            )
        elif registry is ACTIVATIONS and kind == "function" and isinstance(config, str):
            return self.translate_activation_name(config)
        brick = registry.by_name.get(kind)
        if brick is None:
            self.report_unknown_object(kind, path, [name for name in registry.by_name if name[:1].isupper()])
            return None
        return self.translate_component(brick, given, source_paths, spec_path, path)

    def translate_component(
        self,
        component: type[Component],
        arguments: Mapping[str, Json],
        source_paths: SourcePaths,
        spec_path: JsonPath,
        path: JsonPath,
    ) -> Json:
        """A brick that is no layer, with what is not its default."""
        forms, spec = component.codecs(), {"type": component.type_name}
        for key, item in arguments.items():
            idle = key in ("dtype", "name") and key not in component.attributes
            if not idle and not _is_default(item, component.attributes.get(key)):
                spec[key] = self.translate_value(
                    forms.get(key), item, source_paths, (*spec_path, key), (*path, "config", key)
                )
        return spec["type"] if len(spec) == 1 and not component.required_attributes() else spec

    def report_unknown_object(self, class_name: str, path: JsonPath, known_names: Collection[str] = ()) -> None:
        message = f"an object of the class {short_name(class_name)}, which is not Keras' own"
        help = self.report.suggestion(class_name, known_names) or UNKNOWN_CLASS_HELP
        self.report.add("keras-unknown-class", (*path, "class_name"), message, help=help)

    def translate_inner_layer(
        self, value: Mapping[str, Json], source_paths: SourcePaths, spec_path: JsonPath, path: JsonPath
    ) -> Json:
        """A layer inside a layer."""
        kind, config = str(value["class_name"]), value.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        name = name if isinstance(name, str) else str(spec_path[-1])
        if kind in MODEL_CLASSES:
            return self.translate_inner_model(value, name, source_paths, spec_path, path)
        given = config if isinstance(config, dict) else {}
        made = self.translate_unchecked(LayerConfig(name, kind, given, path, *_module_and_registered_name(value)))
        if made is None:
            return None
        source_paths |= {(*spec_path, *key): place for key, place in made.source_paths.items()}
        return made.spec

    def translate_inner_model(
        self, value: Mapping[str, Json], name: str, source_paths: SourcePaths, spec_path: JsonPath, path: JsonPath
    ) -> Json:
        """A model inside a layer: its layers as one Pipeline, where it is a plain row of them."""
        config = value.get("config")
        layers = config.get("layers") if isinstance(config, dict) else config
        layers, start = (layers if isinstance(layers, list) else []), (*path, "config", "layers")
        if value["class_name"] != "Sequential" and not _is_chain(layers):
            message = f"the model {short_name(name)} inside a layer is no plain row of layers"
            help = "call its layers one by one, each in a wrapper of its own"
            self.report.add("not-expressible", path, message, help=help)
            return None
        made: list[Json] = []
        for index, item in enumerate(layers):
            kind = item.get("class_name") if isinstance(item, dict) else None
            if isinstance(kind, str) and kind != "InputLayer":
                made.append(
                    self.translate_inner_layer(item, source_paths, (*spec_path, "layers", len(made)), (*start, index))
                )
        return {"type": "Pipeline", "layers": made}


def vocabulary_tokens(vocabulary: str, kind: str, config: Mapping[str, Json]) -> list[Json]:
    """The tokens of a vocabulary's file, without those that stand for nothing and for what is unknown."""
    words: list[Json] = list(vocabulary.split("\n"))
    mask = "" if kind == "TextVectorization" else config.get("mask_token")
    unknown = config.get("oov_token", "[UNK]")
    if mask is not None and words and words[0] == str(mask):
        del words[0]
    for _ in range(int(config.get("num_oov_indices") or 1)):
        if words and words[0] == str(unknown):
            del words[0]
    whole = kind == "IntegerLookup" and all(re.fullmatch(r"-?\d{1,18}", str(word)) for word in words)
    return [int(str(word)) for word in words] if whole else words


def _last_axis(layer: LayerConfig) -> int | None:
    """The last axis of what the layer was built for, counted from the first, as far as the file says it."""
    shape = layer.build_config.get("input_shape")
    while isinstance(shape, list) and shape and isinstance(shape[0], list):
        shape = shape[0]
    return len(shape) - 1 if isinstance(shape, list) and len(shape) > 1 else None


def _default_attention_axes(layer: LayerConfig) -> list[int] | None:
    """The axes along which MultiHeadAttention attends where it is not told: all but the batch and the last."""
    shapes = layer.build_config.get("shapes_dict")
    shape = shapes.get("query_shape") if isinstance(shapes, dict) else layer.config.get("query_shape")
    return list(range(1, len(shape) - 1)) if isinstance(shape, list) else None


def without_derived_arguments(layer: Any) -> Any:
    """The same layer, without what Keras writes though it follows from the rest."""
    if layer.type_name == "MultiHeadAttention" and layer.value_dim == layer.key_dim:
        return layer.replace(value_dim=None)
    if "pool_size" in layer.attributes and layer.strides == layer.pool_size:
        return layer.replace(strides=None)
    if layer.type_name == "MelSpectrogram":
        window, half = layer.sequence_length == layer.fft_length, layer.max_freq == layer.sampling_rate / 2
        return layer.replace(**dict.fromkeys(["sequence_length"] * window + ["max_freq"] * half))
    if layer.type_name == "Bidirectional":
        forward, backward = (way and _as_direction(way) for way in (layer.layer, layer.backward_layer))
        mirrored = backward == forward.replace(go_backwards=not getattr(forward, "go_backwards", False))
        return layer.replace(layer=forward, backward_layer=None if mirrored else backward)
    return layer


def _as_direction(layer: Any) -> Any:
    """A layer inside Bidirectional, which sets that itself where sequences are output."""
    return layer.replace(zero_output_for_mask=False) if getattr(layer, "return_sequences", False) else layer


def _is_chain(layers: list[Json]) -> bool:
    """Whether every layer of a functional model is called once, on the one before it."""
    before: Any = None
    for layer in layers:
        nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else None
        if not isinstance(layer, dict) or not isinstance(nodes, list) or len(nodes) != (before is not None):
            return False
        if before is not None and f"[{before!r}, 0, 0" not in repr(nodes):
            return False
        before = layer.get("name")
    return True


def _module_and_registered_name(value: Mapping[str, Json]) -> tuple[str | None, str | None]:
    """The module and the registered name of a serialized object."""
    module, registered = value.get("module"), value.get("registered_name")
    builtin = module == "builtins" and value.get("class_name") == "function"
    words = [None if builtin or not isinstance(word, str) else word for word in (module, registered)]
    return words[0], words[1]


def _is_default(value: Json, attribute: Attribute | None) -> bool:
    """Whether an argument says nothing: it has its default, as Keras writes it."""
    if attribute is None:
        return value in (None, "channels_last")
    default = attribute.default
    if default is None and value in ("linear", "channels_last"):  # Keras writes what its settings made of None
        return True
    return type(value) is type(default) and value == default


def _registry_of(codec: Any) -> Registry | None:
    """The family whose bricks a form takes, however deep inside."""
    found = getattr(codec, "registry", None)
    if isinstance(found, Registry):
        return found
    inner = getattr(codec, "codec", None)
    if inner is not None:
        return _registry_of(inner)
    return next((family for _, option in getattr(codec, "codecs", ()) if (family := _registry_of(option))), None)
