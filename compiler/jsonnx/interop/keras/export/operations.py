"""Writes functions of keras.ops as Keras does: by their internal class, with constants as arguments of the call."""

from __future__ import annotations

from typing import Any

from ....core.components import Json
from ....layers import Layer
from ....layers.ops.base import ConstantCodec, ConstantOperand
from ....layers.ops.creation import Creation, Shape
from .configs import NotExportable, operation_config

OPERATION_PREFIX = "ops."

NN_FUNCTIONS = """
relu relu6 sigmoid log_sigmoid hard_sigmoid sparse_sigmoid hard_tanh tanh_shrink softplus sparse_plus softsign silu
hard_silu selu leaky_relu elu celu gelu squareplus hard_shrink soft_shrink threshold glu sparsemax log_softmax softmax
one_hot normalize moments max_pool average_pool depth_to_space space_to_depth
"""

FUNCTION_MODULES: dict[str, str] = {
    **dict.fromkeys(("unstack", "stop_gradient", "cast"), "core"),
    **dict.fromkeys(("rsqrt", "erf", "erfc", "top_k", "logsumexp"), "math"),
    **dict.fromkeys(("resize", "rgb_to_grayscale", "extract_patches"), "image"),
    **dict.fromkeys(("norm",), "linalg"),
    **dict.fromkeys(NN_FUNCTIONS.split(), "nn"),
}
"""The modules of functions that are not in `keras.src.ops.numpy`."""

CLASS_NAMES = {"rgb_to_grayscale": "RGBToGrayscale"}

CALL_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "pad": ("constant_values",),
    "full_like": ("fill_value",),
    "get_item": ("key",),
}
"""Arguments that Keras takes in the call, after the tensor."""

LIST_FUNCTIONS = ("concatenate", "stack")

UNSUPPORTED_FUNCTIONS = ("layer_normalization", "rms_normalization", "batch_normalization", "dot_product_attention")
"""Functions that Keras does not serialize as one node with all their arguments."""


def is_operation(layer: Layer) -> bool:
    return layer.type_name.startswith(OPERATION_PREFIX)


def function_name(layer: Layer) -> str:
    return layer.type_name.rpartition(".")[2]


def operation_layer_config(layer: Layer, name: str) -> dict[str, Json]:
    """The JSON of a function. Raises NotExportable."""
    kind = function_name(layer)
    if isinstance(layer, (Creation, Shape)):  # Keras calls them when a model is built
        raise NotExportable(f"a file of Keras contains the result of {layer.type_name}, not the function")
    if kind in UNSUPPORTED_FUNCTIONS:
        raise NotExportable(f"Keras does not serialize {layer.type_name} as one node")
    excluded = {*getattr(layer, "tensors", ()), *CALL_ARGUMENTS.get(kind, ()), "trainable", "activity_regularizer"}
    supported = (key for key, attribute in layer.attributes.items() if attribute.unsupported is None)
    # the short form of equal sizes, because JAX accepts no list
    config = {key: layer.codecs()[key].write(getattr(layer, key)) for key in supported if key not in excluded}
    if kind == "norm" and str(config["ord"]).endswith("inf"):
        raise NotExportable("JSON has no infinity")
    if kind == "repeat" and isinstance(config["repeats"], list):
        raise NotExportable("Keras files cannot contain different repeats for the items of an axis")
    if kind == "reshape" and isinstance(config["newshape"], int):
        config["newshape"] = [config["newshape"]]
    if kind == "tensordot" and isinstance(config["axes"], list):
        config["axes"] = [axes if isinstance(axes, list) else [axes] for axes in config["axes"]]
    class_name = CLASS_NAMES.get(kind, "".join(part.capitalize() for part in kind.split("_")))
    return operation_config(FUNCTION_MODULES.get(kind, "numpy"), class_name, {"name": name, **config})


def operands(layer: Any, inputs: list[dict[str, Json]]) -> list[Any]:
    """The arguments of a call: inputs and constants in the order of the parameters."""
    kind = function_name(layer)
    if kind in LIST_FUNCTIONS:
        return [inputs]
    if kind == "get_item":
        return [*inputs, _index_config(layer.key)]
    if kind in CALL_ARGUMENTS:
        arguments = [getattr(layer, key) for key in CALL_ARGUMENTS[kind]]
        return [*inputs, *(argument for argument in arguments if argument is not None)]
    names = getattr(layer, "tensors", None)
    if names is None:
        return list(inputs)
    remaining, constants = iter(inputs), [getattr(layer, name) for name in names]
    values = [next(remaining, None) if constant is None else _constant_config(constant) for constant in constants]
    while values and values[-1] is None:
        values.pop()
    return values


def _constant_config(value: ConstantOperand) -> Json:
    """The JSON of a constant: a number, or a serialized array."""
    json = ConstantCodec().write(value)
    if not isinstance(json, list):
        return json
    return {"class_name": "__numpy__", "config": {"value": json, "dtype": value.type.dtype}}


def _index_config(key: Any) -> list[Json]:
    """The JSON of an index expression, a list with one item per axis."""
    return [_index_part_config(part) for part in (key if isinstance(key, (tuple, list)) else [key])]


def _index_part_config(part: Any) -> Json:
    if not isinstance(part, str):
        return part
    if part == "...":
        return {"class_name": "__ellipsis__", "config": {}}
    bounds = [int(bound) if bound.strip() else None for bound in part.split(":")]
    return {"class_name": "__slice__", "config": dict(zip(("start", "stop", "step"), [*bounds, None], strict=False))}
