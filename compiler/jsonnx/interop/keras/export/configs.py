"""Bricks as the objects that Keras 3 writes: its module, its class, its arguments, all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....core.components import Brick, Form, Json, snake_case
from ....layers import ACTIVATIONS, LAYERS, Layer
from ....layers.rnn.rnn import RNN
from ....training.constraints import CONSTRAINTS
from ....training.initializers import INITIALIZERS
from ....training.regularizers import REGULARIZERS

MODULES = {INITIALIZERS: "initializers", REGULARIZERS: "regularizers", CONSTRAINTS: "constraints", LAYERS: "layers"}

AT_CALL = {"arguments", "use_causal_mask", "return_attention_scores"}
"""What Keras takes where a layer is called."""

ALWAYS_TRAINABLE = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Discretization", "Pipeline")
"""Layers whose constructors do not take `trainable`, and which have no weights of their own."""

OWN_DTYPE = ("Discretization", "IntegerLookup", "StringLookup", "TextVectorization", "Pipeline")
"""Layers that choose their element type by what they put out."""

AS_LAYERS = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "elu": "ELU", "softmax": "Softmax"}
"""Activations that Keras writes as a layer where they have arguments. All others are operations then."""

FLOAT32 = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}


class NotInKeras(Exception):
    """Something that Keras has no words for; the message is a clause about the layer."""


def envelope(module: str, kind: str, config: Mapping[str, Json]) -> dict[str, Json]:
    """An object of Keras' public interface."""
    return {"module": module, "class_name": kind, "config": dict(config), "registered_name": None}


def operation(module: str, kind: str, config: Mapping[str, Json]) -> dict[str, Json]:
    """A function of `keras.ops` as an object, which Keras writes by the place of its class."""
    return {"module": f"keras.src.ops.{module}", "class_name": kind, "config": dict(config), "registered_name": kind}


def layer_object(layer: Layer, name: str, trainable: bool = True) -> dict[str, Json]:
    """A layer under a name; those inside one that is not `trainable` are neither. Raises NotInKeras."""
    if "." in layer.type_name or layer.type_name in BEYOND:
        raise NotInKeras(f"Keras has no layer {layer.type_name}")
    config: dict[str, Json] = {"name": name}
    trainable = trainable and layer.trainable
    if layer.type_name not in ALWAYS_TRAINABLE:
        config["trainable"] = trainable
    if layer.type_name not in OWN_DTYPE:
        config["dtype"] = FLOAT32
    for argument, attribute in layer.attributes.items():
        value = getattr(layer, argument)
        if argument in AT_CALL or argument in ("trainable", "dtype") or attribute.unsupported is not None:
            continue
        if argument in IN_OPTIONS and value == attribute.default:  # Keras writes it only where it says something
            continue
        if argument in OURS:
            raise NotInKeras(f"its {argument!r} has no counterpart in Keras")
        config[argument] = value_of(layer, argument, value, trainable)
    return envelope("keras.layers", layer.type_name, config)


BEYOND = ("LayerScale", "StochasticDepth", "CustomScaleLayer")
"""Layers that only `keras.applications` has, in classes that a file cannot name."""

IN_OPTIONS = ("activity_regularizer", "zero_output_for_mask", "rms_scaling", "oov_method", "unroll", "data_format")
OURS = ("oov_method",)
"""What no layer of Keras takes."""


def value_of(layer: Layer, argument: str, value: Any, trainable: bool) -> Json:
    """An argument of a layer as Keras writes it."""
    if argument == "cell" and isinstance(layer, RNN):
        return layer_object(layer.inner, snake_case(layer.inner.type_name), trainable)  # a list is a stack
    if argument in ("cells", "layers"):
        return [layer_object(inner, name, trainable) for name, inner in numbered(value)]
    if isinstance(value, Layer):
        way = "backward_" if argument == "backward_layer" else ""
        made = layer_object(value, way + snake_case(value.type_name), trainable)
        row = {"module": "keras", "class_name": "Sequential"}  # a Pipeline does not say the shape of what it puts out
        return made | row if value.type_name == "Pipeline" else made
    if value is None and argument.endswith("activation"):
        return "linear"
    return plain(layer.forms()[argument], value)


def numbered(layers: tuple[Layer, ...]) -> list[tuple[str, Layer]]:
    """Layers inside one, by their types, counted: Keras' names of them."""
    seen: dict[str, int] = {}
    named = []
    for layer in layers:
        stem = snake_case(layer.type_name)
        seen[stem] = seen.get(stem, -1) + 1
        named.append((f"{stem}_{seen[stem]}" if seen[stem] else stem, layer))
    return named


def plain(form: Form, value: Any) -> Json:
    """A value that is no layer."""
    if isinstance(value, Brick):
        return brick_object(value)
    if isinstance(value, tuple) and len(value) != 1:  # whose short form Keras reads as well, but does not write
        return [plain(form, item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else form.write(value)


def brick_object(brick: Brick) -> Json:
    """An initializer, regularizer or constraint as an object, an activation by its name. Raises NotInKeras."""
    family: Any = getattr(type(brick), "family", None)
    config = {name: plain(form, getattr(brick, name)) for name, form in brick.forms().items()}
    if not brick.tagged:
        return {name: value for name, value in config.items() if value is not None}
    if family is not ACTIVATIONS:
        kept = {k: v for k, v in config.items() if brick.attributes[k].unsupported is None}
        return envelope(f"keras.{MODULES[family]}", type(brick).__name__.rstrip("_"), kept)
    if not any(value != brick.attributes[name].default for name, value in config.items()):
        return brick.type_name
    if brick.type_name in AS_LAYERS and config.get("negative_slope", 0.0) >= 0:  # the layer LeakyReLU wants it so
        return envelope("keras.layers", AS_LAYERS[brick.type_name], {"name": brick.type_name, **config})
    if brick.type_name == "hard_sigmoid":
        raise NotInKeras("Keras 3 has one hard_sigmoid, without arguments")
    kind = "".join(part.capitalize() for part in brick.type_name.split("_"))
    return operation("nn", kind, {"name": brick.type_name, **config})
