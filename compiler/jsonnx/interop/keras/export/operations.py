"""Functions of keras.ops as Keras writes them: by the place of their class, constants where it is called."""

from __future__ import annotations

from typing import Any

from ....core.components import Json
from ....layers import Layer
from ....layers.ops.base import ConstantCodec, ConstantOperand
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
"""The modules of classes that are not in `keras.src.ops.numpy`."""

CLASS_NAMES = {"rgb_to_grayscale": "RGBToGrayscale"}

CALL_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "pad": ("constant_values",),
    "full_like": ("fill_value",),
    "get_item": ("key",),
}
"""Arguments that Keras takes in the call, behind the tensor."""

LIST_FUNCTIONS = ("concatenate", "stack")

UNSUPPORTED_FUNCTIONS = ("layer_normalization", "rms_normalization", "batch_normalization", "dot_product_attention")
"""Functions that a functional model cannot hold as one node with all of their arguments."""


def is_operation(layer: Layer) -> bool:
    return layer.type_name.startswith(OPERATION_PREFIX)


def function_name(layer: Layer) -> str:
    return layer.type_name.rpartition(".")[2]


def operation_layer_config(layer: Layer, name: str) -> dict[str, Json]:
    """A function under a name. Raises NotInKeras."""
    kind = function_name(layer)
    if kind in UNSUPPORTED_FUNCTIONS:
        raise NotExportable(f"Keras does not write {layer.type_name} as one node")
    apart = {*getattr(layer, "tensors", ()), *CALL_ARGUMENTS.get(kind, ()), "trainable", "activity_regularizer"}
    kept = [key for key, about in layer.attributes.items() if key not in apart and about.unsupported is None]
    config = {key: layer.codecs()[key].write(getattr(layer, key)) for key in kept}  # short: JAX takes no list of sizes
    if kind == "norm" and str(config["ord"]).endswith("inf"):
        raise NotExportable("infinity is no number in JSON")
    if kind == "repeat" and isinstance(config["repeats"], list):
        raise NotExportable("in a file Keras repeats all places alike")
    if kind == "reshape" and isinstance(config["newshape"], int):
        config["newshape"] = [config["newshape"]]
    if kind == "tensordot" and isinstance(config["axes"], list):
        config["axes"] = [axes if isinstance(axes, list) else [axes] for axes in config["axes"]]
    made = CLASS_NAMES.get(kind, "".join(part.capitalize() for part in kind.split("_")))
    return operation_config(FUNCTION_MODULES.get(kind, "numpy"), made, {"name": name, **config})


def operands(layer: Any, inputs: list[dict[str, Json]]) -> list[Any]:
    """The arguments of the call."""
    kind = function_name(layer)
    if kind in LIST_FUNCTIONS:
        return [inputs]
    if kind in CALL_ARGUMENTS:
        more = [getattr(layer, key) for key in CALL_ARGUMENTS[kind]]
        return [
            *inputs,
            *([_index_config(more[0])] if kind == "get_item" else [item for item in more if item is not None]),
        ]
    rest = iter(inputs)
    names = getattr(layer, "tensors", None)
    if names is None:
        return list(inputs)
    given = [getattr(layer, name) for name in names]
    filled = [next(rest, None) if value is None else _constant_config(value) for value in given]
    while filled and filled[-1] is None:
        filled.pop()
    return filled


def _constant_config(value: ConstantOperand) -> Json:
    """A number, or an array as Keras writes one."""
    written = ConstantCodec().write(value)
    if not isinstance(written, list):
        return written
    return {"class_name": "__numpy__", "config": {"value": written, "dtype": value.type.dtype}}


def _index_config(key: Any) -> list[Json]:
    """What stands between brackets in Python, part by part."""
    return [_index_part_config(part) for part in (key if isinstance(key, (tuple, list)) else [key])]


def _index_part_config(part: Any) -> Json:
    if not isinstance(part, str):
        return part
    if part == "...":
        return {"class_name": "__ellipsis__", "config": {}}
    ends = [int(end) if end.strip() else None for end in part.split(":")]
    return {"class_name": "__slice__", "config": dict(zip(("start", "stop", "step"), [*ends, None], strict=False))}
