"""Functions of `keras.ops` among the layers of a model, and Python's operators: what they are with us.

What a layer computes as well becomes that layer, as a person would write it; all others the function itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf
from typing import TYPE_CHECKING, Any, cast

from ...core.components import Json, snake_case
from ...core.diagnostics import JsonPath
from ...frontend.schema.phrases import quoted
from ...layers import ACTIVATIONS, LAYERS, Layer
from . import tensorflow
from .entries import Step, Value
from .layer_entries import Entry
from .model_config import ELLIPSIS, Other, Slice, Written, leaves
from .shortest_float import shortest

if TYPE_CHECKING:
    from .call_context import CallContext

MODULE = "keras.src.ops."

NAMES = {
    "Absolute": "abs",
    "TrueDivide": "divide",
    "LayerNorm": "layer_normalization",
    "RMSNorm": "rms_normalization",
    "BatchNorm": "batch_normalization",
}
"""Classes whose function is not their name in snake case."""

PARTS = ("", "nn.", "image.", "linalg.", "numpy.")
"""Of keras.ops, under which our names stand."""

IDLE: Mapping[str, Json] = {
    "synchronized": False,
    "sparse": False,
    "rms_scaling": False,
    "fill_mode": "constant",
    "data_format": "channels_last",
}
"""Arguments that say nothing with these values."""

PARAMETERS: dict[str, tuple[str, ...]] = {
    "get_item": ("x", "key"),
    "clip": ("x", "x_min", "x_max"),
    "full_like": ("x", "fill_value"),
    "pad": ("x", "constant_values"),
}
"""The parameters of a function in their order, where they are not the tensors of our layer."""

HELP = "write what it computes as other functions of keras.ops or as layers, and save the model anew"


def is_operation(layer: Written) -> bool:
    """Whether an entry among a model's layers is a function."""
    if layer.inner is not None:
        return False
    said = {"trainable", "units"} | ({"dtype"} if layer.kind in LAYERS.names else set())
    bare = layer.module is None and not layer.config.keys() & said  # of an .h5 file by Keras 3
    known = bare and name_of(layer.kind) is not None and bool(layer.calls)
    return known or (layer.module or "").startswith(MODULE) or layer.kind in tensorflow.KINDS


def name_of(kind: str) -> str | None:
    """The name of our layer for a class of functions, after `ops.`; None where there is none."""
    name = NAMES.get(kind, snake_case(kind))
    return next((f"{part}{name}" for part in PARTS if f"ops.{part}{name}" in LAYERS.names), None)


def operation(
    graph: CallContext, layer: Written, args: tuple[Any, ...], kwargs: Mapping[str, Any], path: JsonPath
) -> Value | list[Value] | None:
    """The results of a function, whose tensors are values."""
    tensors = [item for value in (*args, *kwargs.values()) for item in leaves(value)]
    if not any(isinstance(item, Value) for item in tensors):  # what is wrong with them is known
        return None
    if layer.kind in tensorflow.KINDS:
        try:
            function = tensorflow.function_of(str(layer.config.get("function") or "__operators__.getitem"))
            name, given, config = function.name, tensorflow.given_to(function, args, kwargs), {}
        except tensorflow.Unknown as why:
            message = f"{quoted(layer.name)} {why}"
            graph.report.add("not-expressible", (*layer.path, "config", "function"), message, help=HELP)
            return None
    else:
        name = name_of(layer.kind) or NAMES.get(layer.kind, snake_case(layer.kind))
        given = {**arguments(name, args), **kwargs}
        config = {key: value for key, value in layer.config.items() if value is not None}
        config = {key: value for key, value in config.items() if key != "name" and IDLE.get(key, ()) != value}
    masked = any(isinstance(item, Value) and item.mask is not None for item in tensors)  # functions pass no mask on
    spec, inputs = (None if masked else as_layer(name, layer, given, config)) or as_function(name, given, config)
    if name == "unstack" and "num" not in spec:
        spec |= unstacked(layer, cast("int", spec.get("axis", 0)))
    if spec["type"] not in LAYERS.names:
        message = f"the function {quoted('keras.ops.' + name)} of {quoted(layer.name)} has no counterpart here"
        graph.report.add("not-expressible", (*layer.path, "class_name"), message, help=HELP)
        return None
    entry = graph.layers.checked(Entry(spec), path)
    if entry is None:
        return None
    ours = graph.names.of(layer.path) if layer.path not in graph.options else graph.names.again(layer.path)
    graph.options[layer.path] = {}
    return graph.flat.add(Step(ours, entry.spec, tuple(value.name for value in inputs), entry, layer.path), inputs)


def arguments(name: str, args: tuple[Any, ...]) -> dict[str, Any]:
    """The arguments of a call by the names of their parameters."""
    brick = cast("type[Layer] | None", LAYERS.names.get(f"ops.{name}"))
    names = PARAMETERS.get(name) or getattr(brick, "tensors", None) or ("x",)
    return {names[place] if place < len(names) else f"argument {place + 1}": value for place, value in enumerate(args)}


def as_function(name: str, given: Mapping[str, Any], config: Mapping[str, Json]) -> tuple[dict[str, Json], list[Any]]:
    """A function as the layer of its name: tensors are inputs, everything else is an argument."""
    spec: dict[str, Json] = {"type": f"ops.{name}"}
    inputs: list[Any] = []
    for key, value in given.items():
        found = [item for item in leaves(value) if isinstance(item, Value)]
        inputs += found
        if not found and value is not None:
            spec[key] = [constant(value)] if key == "key" and not isinstance(value, list) else constant(value)
    return spec | {key: constant(value) for key, value in config.items()}, inputs


def constant(value: Any) -> Json:
    """An argument as JSON: what stands between brackets in Python is a text or an object."""
    if isinstance(value, Slice):
        return ":".join("" if part is None else str(part) for part in (value.start, value.stop)) + (
            "" if value.step is None else f":{value.step}"
        )
    if value is ELLIPSIS:
        return "..."
    if isinstance(value, Other):
        return cast("Json", value.value.get("config", {}).get("name"))
    if isinstance(value, float) and isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, (list, tuple)):
        return [constant(item) for item in value]
    return shortest(value) if isinstance(value, float) else value


# -- as layers ---------------------------------------------------------------------------------------------------------

MERGES = {"add": "Add", "subtract": "Subtract", "multiply": "Multiply", "maximum": "Maximum", "minimum": "Minimum"}


def as_layer(
    name: str, layer: Written, given: Mapping[str, Any], config: Mapping[str, Json]
) -> tuple[dict[str, Json], list[Any]] | None:
    """A function as a layer that computes the same; None where there is none."""
    operands = [given.get("x1"), given.get("x2")]
    tensors = [value for value in operands if isinstance(value, Value)]
    if name in MERGES and len(tensors) == 2 and same_rank(layer):
        return {"type": MERGES[name]}, tensors
    if name in ("add", "subtract", "multiply", "divide") and len(tensors) == 1 and is_float(layer):
        scaled = rescaling(name, *operands)
        return None if scaled is None else (scaled, tensors)
    only = [value for value in given.values() if isinstance(value, Value)]
    if name in ACTIVATIONS.names and len(only) == len(given) == 1 and is_float(layer):
        return activation(name, config, only)
    return None


def rescaling(name: str, left: Any, right: Any) -> dict[str, Json] | None:
    """`x * scale + offset` for an operator between a value and a number; None where it is not that."""
    number = left if isinstance(right, Value) else right
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None
    number, first = shortest(float(number)), isinstance(left, Value)
    if name == "multiply":
        return {"type": "Rescaling", "scale": number}
    if name == "divide":
        return None
    if name == "add":
        return {"type": "Rescaling", "scale": 1.0, "offset": number}
    return {"type": "Rescaling", "scale": 1.0 if first else -1.0, "offset": -number if first else number}


def activation(name: str, config: Mapping[str, Json], inputs: list[Any]) -> tuple[dict[str, Json], list[Any]] | None:
    """An activation function as the layer that applies it."""
    brick = ACTIVATIONS.names[name]
    if not set(config) <= set(brick.attributes) or any(isinstance(value, list) for value in config.values()):
        return None
    given = {key: constant(value) for key, value in config.items()}
    function = {"type": brick.type_name, **given} if given else brick.type_name
    return {"type": "Activation", "activation": function}, inputs


def unstacked(layer: Written, axis: int) -> dict[str, Json]:
    """How many places an axis has, which Keras leaves to the shape; nothing where the file does not say that."""
    values = leaves([*layer.calls[0].args, *layer.calls[0].kwargs.values()])
    shape: list[Json] = next((item.shape for item in values if isinstance(getattr(item, "shape", None), list)), [])
    size = shape[axis] if -len(shape) <= axis < len(shape) else None
    return {"num": size} if isinstance(size, int) else {}


def tensor_types(layer: Written) -> list[tuple[int | None, Json]]:
    """Rank and element type of the tensors that a function is called with, as far as the file says them."""
    call = layer.calls[0] if layer.calls else None
    values = [*call.args, *call.kwargs.values()] if call is not None else []
    shapes = [(getattr(item, "shape", None), getattr(item, "dtype", None)) for item in leaves(values)]
    return [(len(shape) if isinstance(shape, list) else None, dtype) for shape, dtype in shapes if shape is not None]


def same_rank(layer: Written) -> bool:
    """Whether all tensors have one rank and one element type: then our layers broadcast as the functions do."""
    types = tensor_types(layer)
    return len(types) == 2 and len(set(types)) == 1 and types[0][1] != "bool"


def is_float(layer: Written) -> bool:
    """Whether a function computes with real numbers: TensorFlow's do where they are given one."""
    if layer.kind in tensorflow.KINDS:
        call = layer.calls[0] if layer.calls else None
        values = [*call.args, *call.kwargs.values()] if call is not None else []
        return str(layer.config.get("function")).startswith("nn.") or any(isinstance(item, float) for item in values)
    types = tensor_types(layer)
    return bool(types) and all(dtype == "float32" for _, dtype in types)
