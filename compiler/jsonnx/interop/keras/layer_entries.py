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

from ...core.components import Attribute, Brick, Family, Form, Json
from ...core.diagnostics import JsonPath, Report
from ...frontend.schema.errors import check
from ...frontend.schema.phrases import quoted
from ...layers import ACTIVATIONS, LAYERS, Layer
from ...layers.unsupported import absent
from .model_config import MODELS, Written
from .report import KerasReport
from .shortest_float import shortest
from .versions import Dialect, modern

Places = dict[JsonPath, JsonPath]
"""By path in our document, or in a part of it: the path in the Keras file."""

OURS = ("keras", "tf_keras", "keras_core", "tensorflow", "tf")
"""The packages whose classes are Keras' own."""

APPLICATIONS = ("LayerScale", "StochasticDepth", "CustomScaleLayer")
"""Classes of `keras.applications` that are not among `keras.layers`."""

BY_CLASS = "write it as a class of Keras' own, or replace it by layers that compute the same, and save the model anew"
VOCABULARIES = ("StringLookup", "IntegerLookup", "TextVectorization")

AS_FUNCTIONS: dict[str, str] = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "Softmax": "softmax",
    "ThresholdedReLU": "threshold",
}
"""Layers that may stand for a function, as in `Dense(8, activation=LeakyReLU(0.2))`."""

INEXACT = ("float16", "bfloat16")


@dataclass
class Entry:
    """A layer as our documents write it, without a name, and where its parts stand in the Keras file."""

    spec: dict[str, Json]
    places: Places = field(default_factory=dict)
    brick: Layer | None = None

    def path(self, within: JsonPath, whole: JsonPath) -> JsonPath:
        """Where a part of the entry was written; the layer itself, `whole`, where that is not known."""
        for length in range(len(within), 0, -1):
            if within[:length] in self.places:
                return self.places[within[:length]]
        return whole


@dataclass
class Layers:
    """Makes entries, and collects what there is to say about them."""

    dialect: Dialect
    report: KerasReport
    notices: dict[str, JsonPath] = field(default_factory=dict)
    learned: dict[JsonPath, str] = field(default_factory=dict)
    """By layer: the vocabulary that it learned, which a file keeps apart, a token a line."""
    sound: dict[str, Layer] = field(default_factory=dict)
    """The layers that passed the check, by all that they say."""

    def entry(self, layer: Written) -> Entry | None:
        """The checked entry for a layer, less its defaults; None, and diagnostics, where there is none."""
        before = self.report.count
        entry = self.unchecked(layer)
        return self.checked(entry, layer.path) if entry is not None and self.report.count == before else None

    def checked(self, entry: Entry, path: JsonPath, more: Mapping[str, Json] = {}) -> Entry | None:
        """An entry held against the schema, with further arguments, and written anew."""
        spec = {**entry.spec, **more}
        key = dumps(spec, sort_keys=True)
        if key not in self.sound:
            found = Report()
            check({"inputs": {"x": {"shape": []}}, "layers": [spec]}, found)
            self.report.retell(found, lambda at: entry.path(at[2:], path))
            if found.errors():
                return None
            made = LAYERS.names[spec["type"]](**{key: value for key, value in spec.items() if key != "type"})
            assert isinstance(made, Layer)
            self.sound[key] = plain(made)
        return Entry(self.sound[key].to_json(), entry.places, self.sound[key])

    def unchecked(self, layer: Written) -> Entry | None:
        """The entry for a layer as the file has it."""
        if not self.is_keras(layer):
            return None
        made = modern(layer.kind, layer.config, self.dialect)
        brick = LAYERS.names.get(made.kind)
        if brick is None:
            self.missing(layer, made.kind)
            return None
        entry = Entry({"type": made.kind})
        places = {key: (*layer.config_path, made.places.get(key, key)) for key in made.config}
        forms = brick.forms()
        for key, value in made.config.items():
            path = places[key]
            if key == "attention_axes" and value == _all_axes(layer):
                continue
            if key == "axis" and value == _last_axis(layer):
                value = -1
            if key == "dtype":
                self.check_dtype(value, layer, path)
            elif key == "vocabulary" and made.kind in VOCABULARIES and isinstance(value, str):
                self.refuse_file(layer, value, path)
            elif not _is_default(value, brick.attributes.get(key)):
                entry.places[(key,)] = path
                entry.spec[key] = self.value(forms.get(key), value, entry.places, (key,), path)
        if layer.path in self.learned and "vocabulary" not in entry.spec:
            entry.spec["vocabulary"] = tokens(self.learned[layer.path], made.kind, made.config)
        return entry

    # -- what may be there -------------------------------------------------------------------------------------------

    def is_keras(self, layer: Written) -> bool:
        """Whether the class is Keras' own; reported where not."""
        package = (layer.module or "keras").partition(".")[0]
        registered = layer.registered
        own = package in OURS and (registered is None or ">" not in registered) and ">" not in layer.kind
        known = absent(layer.kind)
        if own or (known is not None and known.code == "not-expressible"):
            return True
        where = f" of the package {quoted(layer.module)}" if layer.module and package not in OURS else ""
        message = f"the layer {quoted(layer.name)} is of the class {quoted(layer.kind)}{where}, which is not Keras' own"
        self.report.add("keras-unknown-class", (*layer.path, "class_name"), message, help=BY_CLASS)
        return False

    def missing(self, layer: Written, kind: str) -> None:
        """Says why there is no such layer."""
        known, path = absent(kind), (*layer.path, "class_name")
        if known is not None:
            message = f"the layer {quoted(layer.name)} is a {kind}, and {known.message}"
            self.report.add("not-expressible", path, message, help=known.help)
        else:
            message = f"the layer {quoted(layer.name)} is of the class {quoted(kind)}, which is not Keras' own"
            help = self.report.suggestion(kind, LAYERS.names) or BY_CLASS
            self.report.add("keras-unknown-class", path, message, help=help)

    def refuse_file(self, layer: Written, name: str, path: JsonPath) -> None:
        message = f"the layer {quoted(layer.name)} takes its vocabulary from {quoted(name)}, outside the model's file"
        help = "a model file that names other files is not safe to open: give the layer a list of tokens, and save anew"
        self.report.add("keras-outside-file", path, message, help=help)

    def check_dtype(self, value: Json, layer: Written, path: JsonPath) -> None:
        """Weights and numbers are float32 here; says where they were not."""
        name, kind = value, None
        if isinstance(value, dict):
            config, kind = value.get("config"), value.get("class_name")
            name = config.get("name") if isinstance(config, dict) else None
        if kind not in (None, "DTypePolicy", "Policy", "PolicyV1") or name in INEXACT:
            message = f"the layer {quoted(layer.name)} computes in {name or kind}, here all layers compute in float32"
            help = "save the model with the dtype policy 'float32', or 'mixed_float16', whose weights are float32"
            self.report.add("keras-dtype", path, message, help=help)
        elif isinstance(name, str) and (name.startswith("mixed_") or name == "float64"):
            self.notices.setdefault(f"layers with the dtype policy {name} compute in float32 here", path)

    # -- values ------------------------------------------------------------------------------------------------------

    def value(self, form: Form | None, value: Json, places: Places, at: JsonPath, path: JsonPath) -> Json:
        """A value of an argument as we write it."""
        places[at] = path
        family = _family(form)
        if isinstance(value, dict) and isinstance(value.get("class_name"), str):
            return self.object(family, value, places, at, path)
        if isinstance(value, list):
            return [self.value(form, item, places, (*at, i), (*path, i)) for i, item in enumerate(value)]
        if family is ACTIVATIONS and isinstance(value, str):
            return self.function(value)
        return shortest(value) if isinstance(value, float) else value

    def function(self, name: str) -> Json:
        """An activation by its name."""
        if name == "hard_sigmoid" and self.dialect.generation < 3:
            return {"type": "hard_sigmoid", "slope": 0.2}
        return name

    def object(
        self, family: Family | None, value: Mapping[str, Json], places: Places, at: JsonPath, path: JsonPath
    ) -> Json:
        """A serialized object as a brick."""
        kind, config = str(value["class_name"]), value.get("config")
        given: Mapping[str, Json] = config if isinstance(config, dict) else {}
        if kind in ("__tensor__", "__numpy__"):
            return self.value(None, given.get("value"), places, at, (*path, "config", "value"))
        if kind == "SeedGenerator":
            return given.get("seed")
        if family is None:
            self.unknown_object(kind, path)
            return None
        if family is LAYERS:
            return self.inner(value, places, at, path)
        if not self.is_keras(Written(str(at[-1]), kind, given, path, *_origin(value))):
            return None
        if family is ACTIVATIONS and kind in AS_FUNCTIONS:
            made = modern(kind, given, self.dialect)
            if made.kind == "Activation":
                return self.object(family, cast("Mapping[str, Json]", made.config["activation"]), places, at, path)
            kind, given = AS_FUNCTIONS[kind], {k: v for k, v in made.config.items() if k not in ("dtype", "trainable")}
        elif family is ACTIVATIONS and kind == "function" and isinstance(config, str):
            return self.function(config)
        brick = family.names.get(kind)
        if brick is None:
            self.unknown_object(kind, path, [name for name in family.names if name[:1].isupper()])
            return None
        return self.brick(brick, given, places, at, path)

    def brick(
        self, brick: type[Brick], given: Mapping[str, Json], places: Places, at: JsonPath, path: JsonPath
    ) -> Json:
        """A brick that is no layer, with what is not its default."""
        forms, spec = brick.forms(), {"type": brick.type_name}
        for key, item in given.items():
            idle = key in ("dtype", "name") and key not in brick.attributes
            if not idle and not _is_default(item, brick.attributes.get(key)):
                spec[key] = self.value(forms.get(key), item, places, (*at, key), (*path, "config", key))
        return spec["type"] if len(spec) == 1 and not brick.required() else spec

    def unknown_object(self, kind: str, path: JsonPath, known: Collection[str] = ()) -> None:
        message = f"an object of the class {quoted(kind)}, which is not Keras' own"
        help = self.report.suggestion(kind, known) or BY_CLASS
        self.report.add("keras-unknown-class", (*path, "class_name"), message, help=help)

    def inner(self, value: Mapping[str, Json], places: Places, at: JsonPath, path: JsonPath) -> Json:
        """A layer inside a layer."""
        kind, config = str(value["class_name"]), value.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        name = name if isinstance(name, str) else str(at[-1])
        if kind in MODELS:
            return self.row(value, name, places, at, path)
        given = config if isinstance(config, dict) else {}
        made = self.unchecked(Written(name, kind, given, path, *_origin(value)))
        if made is None:
            return None
        places |= {(*at, *key): place for key, place in made.places.items()}
        return made.spec

    def row(self, value: Mapping[str, Json], name: str, places: Places, at: JsonPath, path: JsonPath) -> Json:
        """A model inside a layer: its layers as one Pipeline, where it is a plain row of them."""
        config = value.get("config")
        layers = config.get("layers") if isinstance(config, dict) else config
        layers, start = (layers if isinstance(layers, list) else []), (*path, "config", "layers")
        if value["class_name"] != "Sequential" and not _is_row(layers):
            message = f"the model {quoted(name)} inside a layer is no plain row of layers"
            help = "call its layers one by one, each in a wrapper of its own"
            self.report.add("not-expressible", path, message, help=help)
            return None
        made: list[Json] = []
        for index, item in enumerate(layers):
            kind = item.get("class_name") if isinstance(item, dict) else None
            if isinstance(kind, str) and kind != "InputLayer":
                made.append(self.inner(item, places, (*at, "layers", len(made)), (*start, index)))
        return {"type": "Pipeline", "layers": made}


def tokens(vocabulary: str, kind: str, config: Mapping[str, Json]) -> list[Json]:
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


def _last_axis(layer: Written) -> int | None:
    """The last axis of what the layer was built for, counted from the first, as far as the file says it."""
    shape = layer.built.get("input_shape")
    while isinstance(shape, list) and shape and isinstance(shape[0], list):
        shape = shape[0]
    return len(shape) - 1 if isinstance(shape, list) and len(shape) > 1 else None


def _all_axes(layer: Written) -> list[int] | None:
    """The axes along which MultiHeadAttention attends where it is not told: all but the batch and the last."""
    shapes = layer.built.get("shapes_dict")
    shape = shapes.get("query_shape") if isinstance(shapes, dict) else layer.config.get("query_shape")
    return list(range(1, len(shape) - 1)) if isinstance(shape, list) else None


def plain(brick: Any) -> Any:
    """The same layer, without what Keras writes though it follows from the rest."""
    if brick.type_name == "MultiHeadAttention" and brick.value_dim == brick.key_dim:
        return brick.but(value_dim=None)
    if "pool_size" in brick.attributes and brick.strides == brick.pool_size:
        return brick.but(strides=None)
    if brick.type_name == "MelSpectrogram":
        window, half = brick.sequence_length == brick.fft_length, brick.max_freq == brick.sampling_rate / 2
        return brick.but(**dict.fromkeys(["sequence_length"] * window + ["max_freq"] * half))
    if brick.type_name == "Bidirectional":
        forward, backward = (way and _as_one_way(way) for way in (brick.layer, brick.backward_layer))
        mirrored = backward == forward.but(go_backwards=not getattr(forward, "go_backwards", False))
        return brick.but(layer=forward, backward_layer=None if mirrored else backward)
    return brick


def _as_one_way(way: Any) -> Any:
    """A layer inside Bidirectional, which sets that itself where sequences are output."""
    return way.but(zero_output_for_mask=False) if getattr(way, "return_sequences", False) else way


def _is_row(layers: list[Json]) -> bool:
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


def _origin(value: Mapping[str, Json]) -> tuple[str | None, str | None]:
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


def _family(form: Any) -> Family | None:
    """The family whose bricks a form takes, however deep inside."""
    found = getattr(form, "family", None)
    if isinstance(found, Family):
        return found
    inner = getattr(form, "form", None)
    if inner is not None:
        return _family(inner)
    return next((family for _, option in getattr(form, "forms", ()) if (family := _family(option))), None)
