"""Bricks as the objects that Keras 3 writes: its module, its class, its arguments, all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....core.components import Codec, Component, Json, snake_case
from ....layers import ACTIVATIONS, LAYERS, Layer
from ....layers.rnn.rnn import RNN
from ....training.constraints import CONSTRAINTS
from ....training.initializers import INITIALIZERS
from ....training.regularizers import REGULARIZERS

KERAS_MODULES = {
    INITIALIZERS: "initializers",
    REGULARIZERS: "regularizers",
    CONSTRAINTS: "constraints",
    LAYERS: "layers",
}

CALL_ARGUMENTS = {"arguments", "use_causal_mask", "return_attention_scores"}
"""What Keras takes where a layer is called."""

LAYERS_WITHOUT_TRAINABLE = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Discretization", "Pipeline")
"""Layers whose constructors do not take `trainable`, and which have no weights of their own."""

LAYERS_WITHOUT_DTYPE = ("Discretization", "IntegerLookup", "StringLookup", "TextVectorization", "Pipeline")
"""Layers that choose their element type by what they put out."""

ACTIVATION_LAYERS = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "elu": "ELU", "softmax": "Softmax"}
"""Activations that Keras writes as a layer where they have arguments. All others are operations then."""

FLOAT32_POLICY = {
    "module": "keras",
    "class_name": "DTypePolicy",
    "config": {"name": "float32"},
    "registered_name": None,
}


class NotExportable(Exception):
    """Something that Keras has no words for; the message is a clause about the layer."""


def serialized_object(module: str, class_name: str, config: Mapping[str, Json]) -> dict[str, Json]:
    """An object of Keras' public interface."""
    return {"module": module, "class_name": class_name, "config": dict(config), "registered_name": None}


def operation_config(module: str, class_name: str, config: Mapping[str, Json]) -> dict[str, Json]:
    """A function of `keras.ops` as an object, which Keras writes by the place of its class."""
    return {
        "module": f"keras.src.ops.{module}",
        "class_name": class_name,
        "config": dict(config),
        "registered_name": class_name,
    }


def layer_config(layer: Layer, name: str, trainable: bool = True) -> dict[str, Json]:
    """A layer under a name; those inside one that is not `trainable` are neither. Raises NotInKeras."""
    if "." in layer.type_name or layer.type_name in KERAS_APPLICATIONS_LAYERS:
        raise NotExportable(f"Keras has no layer {layer.type_name}")
    config: dict[str, Json] = {"name": name}
    trainable = trainable and layer.trainable
    if layer.type_name not in LAYERS_WITHOUT_TRAINABLE:
        config["trainable"] = trainable
    if layer.type_name not in LAYERS_WITHOUT_DTYPE:
        config["dtype"] = FLOAT32_POLICY
    for argument, attribute in layer.attributes.items():
        value = getattr(layer, argument)
        if argument in CALL_ARGUMENTS or argument in ("trainable", "dtype") or attribute.unsupported is not None:
            continue
        if (
            argument in OPTIONAL_ARGUMENTS and value == attribute.default
        ):  # Keras writes it only where it says something
            continue
        if argument in JSONNX_ARGUMENTS:
            raise NotExportable(f"its {argument!r} has no counterpart in Keras")
        config[argument] = argument_config(layer, argument, value, trainable)
    return serialized_object("keras.layers", layer.type_name, config)


KERAS_APPLICATIONS_LAYERS = ("LayerScale", "StochasticDepth", "CustomScaleLayer")
"""Layers that only `keras.applications` has, in classes that a file cannot name."""

OPTIONAL_ARGUMENTS = (
    "activity_regularizer",
    "zero_output_for_mask",
    "rms_scaling",
    "oov_method",
    "unroll",
    "data_format",
)
JSONNX_ARGUMENTS = ("oov_method",)
"""What no layer of Keras takes."""


def argument_config(layer: Layer, argument: str, value: Any, trainable: bool) -> Json:
    """An argument of a layer as Keras writes it."""
    if argument == "cell" and isinstance(layer, RNN):
        return layer_config(layer.rnn_cell, snake_case(layer.rnn_cell.type_name), trainable)  # a list is a stack
    if argument in ("cells", "layers"):
        return [layer_config(inner, name, trainable) for name, inner in named_inner_layers(value)]
    if isinstance(value, Layer):
        way = "backward_" if argument == "backward_layer" else ""
        made = layer_config(value, way + snake_case(value.type_name), trainable)
        row = {"module": "keras", "class_name": "Sequential"}  # a Pipeline does not say the shape of what it puts out
        return made | row if value.type_name == "Pipeline" else made
    if value is None and argument.endswith("activation"):
        return "linear"
    return value_config(layer.codecs()[argument], value)


def named_inner_layers(layers: tuple[Layer, ...]) -> list[tuple[str, Layer]]:
    """Layers inside one, by their types, counted: Keras' names of them."""
    seen: dict[str, int] = {}
    named = []
    for layer in layers:
        stem = snake_case(layer.type_name)
        seen[stem] = seen.get(stem, -1) + 1
        named.append((f"{stem}_{seen[stem]}" if seen[stem] else stem, layer))
    return named


def value_config(codec: Codec, value: Any) -> Json:
    """A value that is no layer."""
    if isinstance(value, Component):
        return component_config(value)
    if isinstance(value, tuple) and len(value) != 1:  # whose short form Keras reads as well, but does not write
        return [value_config(codec, item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else codec.write(value)


def component_config(component: Component) -> Json:
    """An initializer, regularizer or constraint as an object, an activation by its name. Raises NotInKeras."""
    family: Any = getattr(type(component), "registry", None)
    config = {name: value_config(form, getattr(component, name)) for name, form in component.codecs().items()}
    if not component.has_type_key:
        return {name: value for name, value in config.items() if value is not None}
    if family is not ACTIVATIONS:
        kept = {k: v for k, v in config.items() if component.attributes[k].unsupported is None}
        return serialized_object(f"keras.{KERAS_MODULES[family]}", type(component).__name__.rstrip("_"), kept)
    if not any(value != component.attributes[name].default for name, value in config.items()):
        return component.type_name
    if (
        component.type_name in ACTIVATION_LAYERS and config.get("negative_slope", 0.0) >= 0
    ):  # the layer LeakyReLU wants it so
        return serialized_object(
            "keras.layers", ACTIVATION_LAYERS[component.type_name], {"name": component.type_name, **config}
        )
    if component.type_name == "hard_sigmoid":
        raise NotExportable("Keras 3 has one hard_sigmoid, without arguments")
    kind = "".join(part.capitalize() for part in component.type_name.split("_"))
    return operation_config("nn", kind, {"name": component.type_name, **config})
