"""Translates a Keras layer with its arguments to a spec entry.

Unknown arguments are copied: the check against the schema rejects them, at their position in the Keras file. Names from
the file are looked up only in our own registries.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from json import dumps
from typing import Any, cast

from ....core.components import Attribute, Codec, Component, Json, Registry
from ....core.diagnostics import JsonPath, Report
from ....core.limits import MAX_KERAS_NESTING
from ....frontend.schema.errors import check_against_schema
from ....frontend.schema.phrases import short_name
from ....layers import ACTIVATIONS, LAYERS, Layer
from ....layers.unsupported import unsupported_layer
from .model_config import MODEL_CLASSES, LayerConfig
from .report import KerasReport
from .shortest_float import shortest_float
from .versions import KerasVersion, upgrade_layer

SourcePaths = dict[JsonPath, JsonPath]
"""Maps a path in the spec, or in a part of it, to the path in the Keras file."""

KERAS_PACKAGES = ("keras", "tf_keras", "keras_core", "tensorflow", "tf")
"""The packages that contain Keras' classes."""

UNKNOWN_CLASS_HELP = "replace it by Keras' own classes, or by layers that compute the same, and save the model again"
VOCABULARY_LAYERS = ("StringLookup", "IntegerLookup", "TextVectorization")

ACTIVATION_OF_LAYER: dict[str, str] = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "Softmax": "softmax",
    "ThresholdedReLU": "threshold",
}
"""Layers that may be given as an activation, as in `Dense(8, activation=LeakyReLU(0.2))`."""

HALF_PRECISION_DTYPES = ("float16", "bfloat16")


@dataclass
class UncheckedEntry:
    """A layer as a spec writes it, without a name, and the path of each of its parts in the Keras file."""

    spec: dict[str, Json]
    source_paths: SourcePaths = field(default_factory=dict)

    def source_path(self, part: JsonPath, default: JsonPath) -> JsonPath:
        """The path of a part of the entry in the Keras file, or of the closest enclosing part, or `default`."""
        for length in range(len(part), 0, -1):
            if part[:length] in self.source_paths:
                return self.source_paths[part[:length]]
        return default


@dataclass(kw_only=True)
class LayerEntry(UncheckedEntry):
    """An entry that passed the check against the schema, without arguments that have their defaults."""

    layer: Layer


@dataclass
class LayerTranslator:
    """Translates the layers of one document."""

    keras_version: KerasVersion
    report: KerasReport
    notices: dict[str, JsonPath] = field(default_factory=dict)
    """Warnings, with the path of their first occurrence."""
    vocabularies: dict[JsonPath, str] = field(default_factory=dict)
    """The adapted vocabularies of layers, stored as files of one token a line."""
    valid_layers: dict[str, Layer] = field(default_factory=dict)
    """The layers that passed the check, by their JSON."""
    nesting_depth: int = 0
    """The number of layers that enclose the one that is being translated."""

    def translate(self, layer: LayerConfig) -> LayerEntry | None:
        """The checked entry of a layer; None, with diagnostics, if there is none."""
        errors_before = self.report.error_count
        entry = self.translate_unchecked(layer)
        has_new_errors = self.report.error_count != errors_before
        return None if entry is None or has_new_errors else self.validate(entry, layer.path)

    def validate(
        self, entry: UncheckedEntry, path: JsonPath, extra_arguments: Mapping[str, Json] = {}
    ) -> LayerEntry | None:
        """Checks an entry with additional arguments against the schema; None, with diagnostics, if it is invalid."""
        spec = {**entry.spec, **extra_arguments}
        key = dumps(spec, sort_keys=True)
        if key not in self.valid_layers:
            spec_report = Report()
            check_against_schema({"inputs": {"x": {"shape": []}}, "layers": [spec]}, spec_report)
            self.report.add_spec_diagnostics(spec_report, lambda spec_path: entry.source_path(spec_path[2:], path))
            if spec_report.has_errors():
                return None
            layer = LAYERS.by_name[spec["type"]](**{key: value for key, value in spec.items() if key != "type"})
            assert isinstance(layer, Layer)
            self.valid_layers[key] = without_derived_arguments(layer)
        layer = self.valid_layers[key]
        return LayerEntry(spec=layer.to_json(), source_paths=entry.source_paths, layer=layer)

    def translate_unchecked(self, layer: LayerConfig) -> UncheckedEntry | None:
        """Translates a layer without checking its arguments; None, with diagnostics, for an unknown class."""
        if not self.is_keras_class(layer):
            return None
        upgraded = upgrade_layer(layer.class_name, layer.config, self.keras_version)
        layer_class = LAYERS.by_name.get(upgraded.class_name)
        if layer_class is None:
            self.report_unknown_layer(layer, upgraded.class_name)
            return None
        entry = UncheckedEntry({"type": upgraded.class_name})
        codecs = layer_class.codecs()
        for key, value in upgraded.config.items():
            path = (*layer.config_path, upgraded.original_names.get(key, key))
            if key == "attention_axes" and value == _default_attention_axes(layer):
                continue
            if key == "axis" and value == _last_axis(layer):
                value = -1
            if key == "dtype":
                self.check_dtype(value, layer, path)
            elif key == "vocabulary" and upgraded.class_name in VOCABULARY_LAYERS and isinstance(value, str):
                self.report_vocabulary_file(layer, value, path)
            elif not _is_default(value, layer_class.attributes.get(key)):
                entry.source_paths[(key,)] = path
                entry.spec[key] = self.translate_value(codecs.get(key), value, entry.source_paths, (key,), path)
        if layer.path in self.vocabularies and "vocabulary" not in entry.spec:
            vocabulary = self.vocabularies[layer.path]
            entry.spec["vocabulary"] = vocabulary_tokens(vocabulary, upgraded.class_name, upgraded.config)
        return entry

    # -- checks ------------------------------------------------------------------------------------------------------

    def is_keras_class(self, layer: LayerConfig) -> bool:
        """Whether the class is one of Keras' own; reports a registered custom class."""
        package = (layer.module or "keras").partition(".")[0]
        is_registered = ">" in (layer.registered_name or "") or ">" in layer.class_name
        unsupported = unsupported_layer(layer.class_name)
        is_unsupported = unsupported is not None and unsupported.code == "not-expressible"
        if (package in KERAS_PACKAGES and not is_registered) or is_unsupported:
            return True
        origin = f" of the package {short_name(layer.module)}" if layer.module and package not in KERAS_PACKAGES else ""
        class_name = f"{short_name(layer.class_name)}{origin}"
        message = f"the layer {short_name(layer.name)} has the class {class_name}, which is not Keras' own"
        self.report.add("keras-unknown-class", (*layer.path, "class_name"), message, help=UNKNOWN_CLASS_HELP)
        return False

    def report_unknown_layer(self, layer: LayerConfig, class_name: str) -> None:
        """Reports a class that has no counterpart, with the reason if it is a Keras layer."""
        unsupported, path = unsupported_layer(class_name), (*layer.path, "class_name")
        if unsupported is not None:
            message = f"the layer {short_name(layer.name)} is a {class_name}, and {unsupported.message}"
            self.report.add("not-expressible", path, message, help=unsupported.help)
        else:
            message = (
                f"the layer {short_name(layer.name)} has the class {short_name(class_name)}, which is not Keras' own"
            )
            help = self.report.suggestion(class_name, LAYERS.by_name) or UNKNOWN_CLASS_HELP
            self.report.add("keras-unknown-class", path, message, help=help)

    def report_vocabulary_file(self, layer: LayerConfig, file_name: str, path: JsonPath) -> None:
        message = f"the layer {short_name(layer.name)} reads its vocabulary from another file, {short_name(file_name)}"
        help = "references to other files are not followed, for safety: give the layer a list of tokens, and save again"
        self.report.add("keras-outside-file", path, message, help=help)

    def check_dtype(self, value: Json, layer: LayerConfig, path: JsonPath) -> None:
        """Reports half-precision and quantized weights, and warns of mixed precision and float64."""
        name, kind = value, None
        if isinstance(value, dict):
            config, kind = value.get("config"), value.get("class_name")
            name = config.get("name") if isinstance(config, dict) else None
        if kind not in (None, "DTypePolicy", "Policy", "PolicyV1") or name in HALF_PRECISION_DTYPES:
            message = f"the layer {short_name(layer.name)} computes in {name or kind}; here all layers use float32"
            help = "save the model with the dtype policy 'float32' or 'mixed_float16': both have float32 weights"
            self.report.add("keras-dtype", path, message, help=help)
        elif isinstance(name, str) and (name.startswith("mixed_") or name == "float64"):
            self.notices.setdefault(f"layers with the dtype policy {name} compute in float32 here", path)

    # -- argument values ---------------------------------------------------------------------------------------------

    def translate_value(
        self, codec: Codec | None, value: Json, source_paths: SourcePaths, spec_path: JsonPath, path: JsonPath
    ) -> Json:
        """Translates the value of an argument, and records its path in `source_paths`."""
        source_paths[spec_path] = path
        registry = _registry_of(codec)
        if isinstance(value, dict) and isinstance(value.get("class_name"), str):
            return self.translate_object(registry, value, source_paths, spec_path, path)
        if isinstance(value, list):
            return [
                self.translate_value(codec, item, source_paths, (*spec_path, i), (*path, i))
                for i, item in enumerate(value)
            ]
        if registry is ACTIVATIONS and isinstance(value, str):
            return self.translate_activation_name(value)
        return shortest_float(value) if isinstance(value, float) else value

    def translate_activation_name(self, name: str) -> Json:
        """Translates an activation name. Before Keras 3, hard_sigmoid has another slope."""
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
        """Translates a serialized object: a component, an array, a seed generator or an inner layer."""
        kind, config = str(value["class_name"]), value.get("config")
        arguments: Mapping[str, Json] = config if isinstance(config, dict) else {}
        if kind in ("__tensor__", "__numpy__"):
            array = arguments.get("value")
            return self.translate_value(None, array, source_paths, spec_path, (*path, "config", "value"))
        if kind == "SeedGenerator":
            return arguments.get("seed")
        if registry is None:
            self.report_unknown_object(kind, path)
            return None
        if registry is LAYERS:
            return self.translate_inner_layer(value, source_paths, spec_path, path)
        owner = LayerConfig(str(spec_path[-1]), kind, arguments, path, *_module_and_registered_name(value))
        if not self.is_keras_class(owner):
            return None
        if registry is ACTIVATIONS and kind in ACTIVATION_OF_LAYER:
            upgraded = upgrade_layer(kind, arguments, self.keras_version)
            if upgraded.class_name == "Activation":
                function = cast("Mapping[str, Json]", upgraded.config["activation"])
                return self.translate_object(registry, function, source_paths, spec_path, path)
            kind = ACTIVATION_OF_LAYER[kind]
            arguments = {k: v for k, v in upgraded.config.items() if k not in ("dtype", "trainable")}
        elif registry is ACTIVATIONS and kind == "function" and isinstance(config, str):
            return self.translate_activation_name(config)
        component = registry.by_name.get(kind)
        if component is None:
            self.report_unknown_object(kind, path, [name for name in registry.by_name if name[:1].isupper()])
            return None
        return self.translate_component(component, arguments, source_paths, spec_path, path)

    def translate_component(
        self,
        component: type[Component],
        arguments: Mapping[str, Json],
        source_paths: SourcePaths,
        spec_path: JsonPath,
        path: JsonPath,
    ) -> Json:
        """Translates an initializer, activation, loss or the like; arguments with their defaults are left out."""
        codecs, spec = component.codecs(), {"type": component.type_name}
        for key, value in arguments.items():
            is_ignored = key in ("dtype", "name") and key not in component.attributes
            if not is_ignored and not _is_default(value, component.attributes.get(key)):
                value_path = (*path, "config", key)
                spec[key] = self.translate_value(codecs.get(key), value, source_paths, (*spec_path, key), value_path)
        return spec["type"] if len(spec) == 1 and not component.required_attributes() else spec

    def report_unknown_object(self, class_name: str, path: JsonPath, known_names: Collection[str] = ()) -> None:
        message = f"the class {short_name(class_name)} is not Keras' own"
        help = self.report.suggestion(class_name, known_names) or UNKNOWN_CLASS_HELP
        self.report.add("keras-unknown-class", (*path, "class_name"), message, help=help)

    def translate_inner_layer(
        self, value: Mapping[str, Json], source_paths: SourcePaths, spec_path: JsonPath, path: JsonPath
    ) -> Json:
        """Translates a layer that is an argument of a wrapper."""
        if self.nesting_depth == MAX_KERAS_NESTING:
            self.report.add("too-deep", path, f"layers nest deeper than {MAX_KERAS_NESTING} levels")
            return None
        self.nesting_depth += 1
        try:
            return self._translate_inner_layer(value, source_paths, spec_path, path)
        finally:
            self.nesting_depth -= 1

    def _translate_inner_layer(
        self, value: Mapping[str, Json], source_paths: SourcePaths, spec_path: JsonPath, path: JsonPath
    ) -> Json:
        kind, config = str(value["class_name"]), value.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        name = name if isinstance(name, str) else str(spec_path[-1])
        if kind in MODEL_CLASSES:
            return self.translate_inner_model(value, name, source_paths, spec_path, path)
        arguments = config if isinstance(config, dict) else {}
        layer = LayerConfig(name, kind, arguments, path, *_module_and_registered_name(value))
        entry = self.translate_unchecked(layer)
        if entry is None:
            return None
        source_paths |= {(*spec_path, *part): part_path for part, part_path in entry.source_paths.items()}
        return entry.spec

    def translate_inner_model(
        self, value: Mapping[str, Json], name: str, source_paths: SourcePaths, spec_path: JsonPath, path: JsonPath
    ) -> Json:
        """Translates a model that is an argument of a wrapper to a Pipeline; a model that branches is reported."""
        config = value.get("config")
        layers = config.get("layers") if isinstance(config, dict) else config
        layers, start = (layers if isinstance(layers, list) else []), (*path, "config", "layers")
        if value["class_name"] != "Sequential" and not _is_chain(layers):
            message = f"the model {short_name(name)} inside a layer is not a plain sequence of layers"
            help = "call its layers one by one, each in its own wrapper"
            self.report.add("not-expressible", path, message, help=help)
            return None
        specs: list[Json] = []
        for index, item in enumerate(layers):
            kind = item.get("class_name") if isinstance(item, dict) else None
            if isinstance(kind, str) and kind != "InputLayer":
                inner_path = (*spec_path, "layers", len(specs))
                specs.append(self.translate_inner_layer(item, source_paths, inner_path, (*start, index)))
        return {"type": "Pipeline", "layers": specs}


def vocabulary_tokens(vocabulary: str, kind: str, config: Mapping[str, Json]) -> list[Json]:
    """The tokens of a vocabulary file, without the leading mask and out-of-vocabulary tokens."""
    words: list[Json] = list(vocabulary.split("\n"))
    mask = "" if kind == "TextVectorization" else config.get("mask_token")
    unknown = config.get("oov_token", "[UNK]")
    if mask is not None and words and words[0] == str(mask):
        del words[0]
    for _ in range(int(config.get("num_oov_indices") or 1)):
        if words and words[0] == str(unknown):
            del words[0]
    are_integers = kind == "IntegerLookup" and all(re.fullmatch(r"-?\d{1,18}", str(word)) for word in words)
    return [int(str(word)) for word in words] if are_integers else words


def _last_axis(layer: LayerConfig) -> int | None:
    """The index of the last axis of the layer's input; None if the file does not state the shape."""
    shape = layer.build_config.get("input_shape")
    while isinstance(shape, list) and shape and isinstance(shape[0], list):
        shape = shape[0]
    return len(shape) - 1 if isinstance(shape, list) and len(shape) > 1 else None


def _default_attention_axes(layer: LayerConfig) -> list[int] | None:
    """The default attention axes of MultiHeadAttention: all but the first and the last."""
    shapes = layer.build_config.get("shapes_dict")
    shape = shapes.get("query_shape") if isinstance(shapes, dict) else layer.config.get("query_shape")
    return list(range(1, len(shape) - 1)) if isinstance(shape, list) else None


def without_derived_arguments(layer: Any) -> Any:
    """The layer without arguments that Keras writes although the other arguments determine them."""
    if layer.type_name == "MultiHeadAttention" and layer.value_dim == layer.key_dim:
        return layer.replace(value_dim=None)
    if "pool_size" in layer.attributes and layer.strides == layer.pool_size:
        return layer.replace(strides=None)
    if layer.type_name == "MelSpectrogram":
        window, half = layer.sequence_length == layer.fft_length, layer.max_freq == layer.sampling_rate / 2
        return layer.replace(**dict.fromkeys(["sequence_length"] * window + ["max_freq"] * half))
    if layer.type_name == "Bidirectional":
        forward, backward = (inner and _as_direction(inner) for inner in (layer.layer, layer.backward_layer))
        is_mirrored = backward == forward.replace(go_backwards=not getattr(forward, "go_backwards", False))
        return layer.replace(layer=forward, backward_layer=None if is_mirrored else backward)
    return layer


def _as_direction(layer: Any) -> Any:
    """A layer inside Bidirectional without `zero_output_for_mask`, which Bidirectional sets itself."""
    return layer.replace(zero_output_for_mask=False) if getattr(layer, "return_sequences", False) else layer


def _is_chain(layers: list[Json]) -> bool:
    """Whether every layer of a functional model is called once, on the preceding layer."""
    previous: Any = None
    for layer in layers:
        nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else None
        if not isinstance(layer, dict) or not isinstance(nodes, list) or len(nodes) != (previous is not None):
            return False
        if previous is not None and f"[{previous!r}, 0, 0" not in repr(nodes):
            return False
        previous = layer.get("name")
    return True


def _module_and_registered_name(value: Mapping[str, Json]) -> tuple[str | None, str | None]:
    """The module and the registered name of a serialized object; None for functions given by name."""
    if value.get("module") == "builtins" and value.get("class_name") == "function":
        return None, None
    module, registered = value.get("module"), value.get("registered_name")
    return module if isinstance(module, str) else None, registered if isinstance(registered, str) else None


def _is_default(value: Json, attribute: Attribute | None) -> bool:
    """Whether an argument has its default, as Keras writes it."""
    if attribute is None:
        return value in (None, "channels_last")
    default = attribute.default
    if default is None and value in ("linear", "channels_last"):  # Keras writes resolved defaults
        return True
    return type(value) is type(default) and value == default


def _registry_of(codec: Any) -> Registry | None:
    """The registry whose components a codec reads, at any nesting depth."""
    registry = getattr(codec, "registry", None)
    if isinstance(registry, Registry):
        return registry
    inner = getattr(codec, "codec", None)
    if inner is not None:
        return _registry_of(inner)
    return next((registry for _, option in getattr(codec, "codecs", ()) if (registry := _registry_of(option))), None)
