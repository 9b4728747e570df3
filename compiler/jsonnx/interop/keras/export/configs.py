"""Serializes layers and other components as Keras 3 does: module, class and all arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....core.components import Codec, Component, Json, snake_case
from ....layers import ACTIVATIONS, Layer
from ....layers.rnn.rnn import RNN
from ..weights.weight_paths import group_names

CALL_ARGUMENTS = {"arguments", "use_causal_mask", "return_attention_scores"}
"""Arguments that Keras takes in the call of a layer."""

NOT_CONFIGURED = {*CALL_ARGUMENTS, "trainable", "dtype", "vectors"}
"""Arguments that are no part of a layer's config; the weights of the exported model have the vectors of `vectors`."""

LAYERS_WITHOUT_TRAINABLE = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Discretization", "Pipeline")
"""Layers without weights whose constructors do not take `trainable`."""

LAYERS_WITHOUT_DTYPE = ("Discretization", "IntegerLookup", "StringLookup", "TextVectorization", "Pipeline")
"""Layers whose constructors take no `dtype` policy."""

ACTIVATION_LAYERS = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "elu": "ELU", "softmax": "Softmax"}
"""Activations that are written as layers if they have arguments; all others are written as operations."""

FLOAT32_POLICY = {
    "module": "keras",
    "class_name": "DTypePolicy",
    "config": {"name": "float32"},
    "registered_name": None,
}


class NotExportable(Exception):
    """A component without a counterpart in Keras; the message is a clause about the layer."""


def serialized_object(module: str, class_name: str, config: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON of an object of Keras' public API."""
    return {"module": module, "class_name": class_name, "config": dict(config), "registered_name": None}


def operation_config(module: str, class_name: str, config: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON of a function of `keras.ops`, which Keras stores under its internal module."""
    return {
        "module": f"keras.src.ops.{module}",
        "class_name": class_name,
        "config": dict(config),
        "registered_name": class_name,
    }


def layer_config(layer: Layer, name: str, trainable: bool = True) -> dict[str, Json]:
    """The JSON of a layer. Inner layers of a frozen layer are frozen as well. Raises NotExportable."""
    if not layer.keras_name.startswith("keras.layers."):
        raise NotExportable(f"Keras has no layer {layer.type_name}")
    config: dict[str, Json] = {"name": name}
    trainable = trainable and layer.trainable
    if layer.type_name not in LAYERS_WITHOUT_TRAINABLE:
        config["trainable"] = trainable
    if layer.type_name not in LAYERS_WITHOUT_DTYPE:
        config["dtype"] = FLOAT32_POLICY
    for argument, attribute in layer.attributes.items():
        value = getattr(layer, argument)
        if argument in NOT_CONFIGURED or attribute.unsupported is not None:
            continue
        if argument in OPTIONAL_ARGUMENTS and value == attribute.default:
            continue
        if argument in JSONNX_ARGUMENTS:
            raise NotExportable(f"its {argument!r} has no counterpart in Keras")
        config[argument] = argument_config(layer, argument, value, trainable)
    return serialized_object("keras.layers", layer.type_name, config)


JSONNX_ARGUMENTS = (
    "oov_method",
    "rotary",
    "relative_position",
    "score_scale",
    "score_soft_cap",
    "use_query_key_norm",
    "layer_norm_epsilon",
    "use_query_bias",
    "use_key_bias",
    "use_value_bias",
    "use_output_bias",
)
"""Arguments that Keras does not have."""

OPTIONAL_ARGUMENTS = (
    *JSONNX_ARGUMENTS,
    "activity_regularizer",
    "zero_output_for_mask",
    "rms_scaling",
    "unroll",
    "data_format",
)
"""Arguments that are written only if they differ from the default."""


def argument_config(layer: Layer, argument: str, value: Any, trainable: bool) -> Json:
    """The JSON of a layer's argument."""
    if argument == "cell" and isinstance(layer, RNN):
        return layer_config(
            layer.rnn_cell, snake_case(layer.rnn_cell.type_name), trainable
        )  # a list of cells is a StackedRNNCells
    if argument in ("cells", "layers"):
        return [layer_config(inner, name, trainable) for name, inner in named_inner_layers(value)]
    if isinstance(value, Layer):
        prefix = "backward_" if argument == "backward_layer" else ""
        config = layer_config(value, prefix + snake_case(value.type_name), trainable)
        sequential = {
            "module": "keras",
            "class_name": "Sequential",
        }  # Keras cannot infer the output shape of a Pipeline
        return config | sequential if value.type_name == "Pipeline" else config
    if value is None and argument.endswith("activation"):
        return "linear"
    return value_config(layer.codecs()[argument], value)


def named_inner_layers(layers: tuple[Layer, ...]) -> list[tuple[str, Layer]]:
    """Inner layers with the default names that Keras gives them."""
    return list(zip(group_names(layer.type_name for layer in layers), layers, strict=True))


def value_config(codec: Codec, value: Any) -> Json:
    """The JSON of a value that is not a layer."""
    if isinstance(value, Component):
        return component_config(value)
    if isinstance(value, tuple) and len(value) != 1:  # Keras does not write the short form of equal sizes
        return [value_config(codec, item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else codec.write(value)


def component_config(component: Component) -> Json:
    """The JSON of an initializer, regularizer, constraint or activation. Raises NotExportable."""
    registry: Any = getattr(type(component), "registry", None)
    config = {name: value_config(codec, getattr(component, name)) for name, codec in component.codecs().items()}
    if not component.has_type_key:
        return {name: value for name, value in config.items() if value is not None}
    if registry is not ACTIVATIONS:
        supported = {k: v for k, v in config.items() if component.attributes[k].unsupported is None}
        module, _, name = component.keras_name.rpartition(".")
        return serialized_object(module, name, supported)
    if not any(value != component.attributes[name].default for name, value in config.items()):
        return component.type_name
    named_config = {"name": component.type_name, **config}
    # the layer LeakyReLU rejects negative slopes
    if component.type_name in ACTIVATION_LAYERS and config.get("negative_slope", 0.0) >= 0:
        return serialized_object("keras.layers", ACTIVATION_LAYERS[component.type_name], named_config)
    if component.type_name == "hard_sigmoid":
        raise NotExportable("hard_sigmoid of Keras 3 has no arguments")
    kind = "".join(part.capitalize() for part in component.type_name.split("_"))
    return operation_config("nn", kind, named_config)
