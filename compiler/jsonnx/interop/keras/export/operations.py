"""Functions of keras.ops as Keras writes them: by the place of their class, constants where it is called."""

from __future__ import annotations

from typing import Any

from ....core.components import Json
from ....layers import Layer
from ....layers.ops.base import ConstantForm, Fixed
from .configs import NotInKeras, operation

PREFIX = "ops."

NETWORKS = """
relu relu6 sigmoid log_sigmoid hard_sigmoid sparse_sigmoid hard_tanh tanh_shrink softplus sparse_plus softsign silu
hard_silu selu leaky_relu elu celu gelu squareplus hard_shrink soft_shrink threshold glu sparsemax log_softmax softmax
one_hot normalize moments max_pool average_pool depth_to_space space_to_depth
"""

ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(("unstack", "stop_gradient", "cast"), "core"),
    **dict.fromkeys(("rsqrt", "erf", "erfc", "top_k", "logsumexp"), "math"),
    **dict.fromkeys(("resize", "rgb_to_grayscale", "extract_patches"), "image"),
    **dict.fromkeys(("norm",), "linalg"),
    **dict.fromkeys(NETWORKS.split(), "nn"),
}
"""The modules of classes that are not in `keras.src.ops.numpy`."""

CLASSES = {"rgb_to_grayscale": "RGBToGrayscale"}

AT_CALL: dict[str, tuple[str, ...]] = {"pad": ("constant_values",), "full_like": ("fill_value",), "get_item": ("key",)}
"""Arguments that Keras takes in the call, behind the tensor."""

LISTS = ("concatenate", "stack")

NO_CLASS = ("layer_normalization", "rms_normalization", "batch_normalization", "dot_product_attention")
"""Functions that a functional model cannot hold as one node with all of their arguments."""


def is_operation(layer: Layer) -> bool:
    return layer.type_name.startswith(PREFIX)


def stem(layer: Layer) -> str:
    return layer.type_name.rpartition(".")[2]


def operation_object(layer: Layer, name: str) -> dict[str, Json]:
    """A function under a name. Raises NotInKeras."""
    kind = stem(layer)
    if kind in NO_CLASS:
        raise NotInKeras(f"Keras does not write {layer.type_name} as one node")
    apart = {*getattr(layer, "tensors", ()), *AT_CALL.get(kind, ()), "trainable", "activity_regularizer"}
    kept = [key for key, about in layer.attributes.items() if key not in apart and about.unsupported is None]
    config = {key: layer.forms()[key].write(getattr(layer, key)) for key in kept}  # short: JAX takes no list of sizes
    if kind == "norm" and str(config["ord"]).endswith("inf"):
        raise NotInKeras("infinity is no number in JSON")
    if kind == "repeat" and isinstance(config["repeats"], list):
        raise NotInKeras("in a file Keras repeats all places alike")
    if kind == "reshape" and isinstance(config["newshape"], int):
        config["newshape"] = [config["newshape"]]
    if kind == "tensordot" and isinstance(config["axes"], list):
        config["axes"] = [axes if isinstance(axes, list) else [axes] for axes in config["axes"]]
    made = CLASSES.get(kind, "".join(part.capitalize() for part in kind.split("_")))
    return operation(ELSEWHERE.get(kind, "numpy"), made, {"name": name, **config})


def operands(layer: Any, inputs: list[dict[str, Json]]) -> list[Any]:
    """The arguments of the call."""
    kind = stem(layer)
    if kind in LISTS:
        return [inputs]
    if kind in AT_CALL:
        more = [getattr(layer, key) for key in AT_CALL[kind]]
        return [*inputs, *([_key(more[0])] if kind == "get_item" else [item for item in more if item is not None])]
    rest = iter(inputs)
    names = getattr(layer, "tensors", None)
    if names is None:
        return list(inputs)
    given = [getattr(layer, name) for name in names]
    filled = [next(rest, None) if value is None else _constant(value) for value in given]
    while filled and filled[-1] is None:
        filled.pop()
    return filled


def _constant(value: Fixed) -> Json:
    """A number, or an array as Keras writes one."""
    written = ConstantForm().write(value)
    if not isinstance(written, list):
        return written
    return {"class_name": "__numpy__", "config": {"value": written, "dtype": value.type.dtype}}


def _key(key: Any) -> list[Json]:
    """What stands between brackets in Python, part by part."""
    return [_place(part) for part in (key if isinstance(key, (tuple, list)) else [key])]


def _place(part: Any) -> Json:
    if not isinstance(part, str):
        return part
    if part == "...":
        return {"class_name": "__ellipsis__", "config": {}}
    ends = [int(end) if end.strip() else None for end in part.split(":")]
    return {"class_name": "__slice__", "config": dict(zip(("start", "stop", "step"), [*ends, None], strict=False))}
