"""Functions of `keras.ops` among the layers of a model, and Python's operators: what they are with us.

What a layer computes as well becomes that layer, as a person would write it; all others the function itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf
from typing import TYPE_CHECKING, Any, cast

from ...core.components import Json, snake_case
from ...core.diagnostics import JsonPath
from ...frontend.schema.phrases import short_name
from ...layers import ACTIVATIONS, LAYERS, Layer
from . import tensorflow
from .entries import NamedTensor, SpecEntry
from .layer_entries import LayerEntry
from .model_config import ELLIPSIS, LayerConfig, SerializedObject, Slice, leaves
from .shortest_float import shortest_float

if TYPE_CHECKING:
    from .call_context import CallContext

OPS_MODULE_PREFIX = "keras.src.ops."

FUNCTION_NAMES = {
    "Absolute": "abs",
    "TrueDivide": "divide",
    "LayerNorm": "layer_normalization",
    "RMSNorm": "rms_normalization",
    "BatchNorm": "batch_normalization",
}
"""Classes whose function is not their name in snake case."""

OPS_NAMESPACES = ("", "nn.", "image.", "linalg.", "numpy.")
"""Of keras.ops, under which our names stand."""

NEUTRAL_ARGUMENTS: Mapping[str, Json] = {
    "synchronized": False,
    "sparse": False,
    "rms_scaling": False,
    "fill_mode": "constant",
    "data_format": "channels_last",
}
"""Arguments that say nothing with these values."""

PARAMETER_NAMES: dict[str, tuple[str, ...]] = {
    "get_item": ("x", "key"),
    "clip": ("x", "x_min", "x_max"),
    "full_like": ("x", "fill_value"),
    "pad": ("x", "constant_values"),
}
"""The parameters of a function in their order, where they are not the tensors of our layer."""

NO_COUNTERPART_HELP = "write what it computes as other functions of keras.ops or as layers, and save the model anew"


def is_operation(layer: LayerConfig) -> bool:
    """Whether an entry among a model's layers is a function."""
    if layer.inner_model is not None:
        return False
    said = {"trainable", "units"} | ({"dtype"} if layer.class_name in LAYERS.by_name else set())
    bare = layer.module is None and not layer.config.keys() & said  # of an .h5 file by Keras 3
    known = bare and function_name(layer.class_name) is not None and bool(layer.calls)
    return (
        known or (layer.module or "").startswith(OPS_MODULE_PREFIX) or layer.class_name in tensorflow.OP_LAMBDA_CLASSES
    )


def function_name(class_name: str) -> str | None:
    """The name of our layer for a class of functions, after `ops.`; None where there is none."""
    name = FUNCTION_NAMES.get(class_name, snake_case(class_name))
    return next((f"{part}{name}" for part in OPS_NAMESPACES if f"ops.{part}{name}" in LAYERS.by_name), None)


def add_operation(
    walk: CallContext, layer: LayerConfig, args: tuple[Any, ...], kwargs: Mapping[str, Any], path: JsonPath
) -> NamedTensor | list[NamedTensor] | None:
    """The results of a function, whose tensors are values."""
    tensors = [item for value in (*args, *kwargs.values()) for item in leaves(value)]
    if not any(isinstance(item, NamedTensor) for item in tensors):  # what is wrong with them is known
        return None
    if layer.class_name in tensorflow.OP_LAMBDA_CLASSES:
        try:
            function = tensorflow.find_function(str(layer.config.get("function") or "__operators__.getitem"))
            name, given, config = function.name, tensorflow.translate_arguments(function, args, kwargs), {}
        except tensorflow.UnsupportedFunction as why:
            message = f"{short_name(layer.name)} {why}"
            walk.report.add("not-expressible", (*layer.path, "config", "function"), message, help=NO_COUNTERPART_HELP)
            return None
    else:
        name = function_name(layer.class_name) or FUNCTION_NAMES.get(layer.class_name, snake_case(layer.class_name))
        given = {**named_arguments(name, args), **kwargs}
        config = {key: value for key, value in layer.config.items() if value is not None}
        config = {
            key: value for key, value in config.items() if key != "name" and NEUTRAL_ARGUMENTS.get(key, ()) != value
        }
    masked = any(
        isinstance(item, NamedTensor) and item.mask is not None for item in tensors
    )  # functions pass no mask on
    spec, inputs = (None if masked else layer_spec(name, layer, given, config)) or function_spec(name, given, config)
    if name == "unstack" and "num" not in spec:
        spec |= unstack_arguments(layer, cast("int", spec.get("axis", 0)))
    if spec["type"] not in LAYERS.by_name:
        message = f"the function {short_name('keras.ops.' + name)} of {short_name(layer.name)} has no counterpart here"
        walk.report.add("not-expressible", (*layer.path, "class_name"), message, help=NO_COUNTERPART_HELP)
        return None
    entry = walk.translator.validate(LayerEntry(spec), path)
    if entry is None:
        return None
    ours = (
        walk.names.name_of(layer.path)
        if layer.path not in walk.first_call_options
        else walk.names.next_call_name(layer.path)
    )
    walk.first_call_options[layer.path] = {}
    return walk.flat_model.add_entry(
        SpecEntry(ours, entry.spec, tuple(value.name for value in inputs), entry, layer.path), inputs
    )


def named_arguments(name: str, args: tuple[Any, ...]) -> dict[str, Any]:
    """The arguments of a call by the names of their parameters."""
    brick = cast("type[Layer] | None", LAYERS.by_name.get(f"ops.{name}"))
    names = PARAMETER_NAMES.get(name) or getattr(brick, "tensors", None) or ("x",)
    return {names[place] if place < len(names) else f"argument {place + 1}": value for place, value in enumerate(args)}


def function_spec(
    name: str, arguments: Mapping[str, Any], config: Mapping[str, Json]
) -> tuple[dict[str, Json], list[Any]]:
    """A function as the layer of its name: tensors are inputs, everything else is an argument."""
    spec: dict[str, Json] = {"type": f"ops.{name}"}
    inputs: list[Any] = []
    for key, value in arguments.items():
        found = [item for item in leaves(value) if isinstance(item, NamedTensor)]
        inputs += found
        if not found and value is not None:
            spec[key] = (
                [constant_to_json(value)] if key == "key" and not isinstance(value, list) else constant_to_json(value)
            )
    return spec | {key: constant_to_json(value) for key, value in config.items()}, inputs


def constant_to_json(value: Any) -> Json:
    """An argument as JSON: what stands between brackets in Python is a text or an object."""
    if isinstance(value, Slice):
        return ":".join("" if part is None else str(part) for part in (value.start, value.stop)) + (
            "" if value.step is None else f":{value.step}"
        )
    if value is ELLIPSIS:
        return "..."
    if isinstance(value, SerializedObject):
        return cast("Json", value.value.get("config", {}).get("name"))
    if isinstance(value, float) and isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, (list, tuple)):
        return [constant_to_json(item) for item in value]
    return shortest_float(value) if isinstance(value, float) else value


# -- as layers ---------------------------------------------------------------------------------------------------------

MERGE_LAYERS = {
    "add": "Add",
    "subtract": "Subtract",
    "multiply": "Multiply",
    "maximum": "Maximum",
    "minimum": "Minimum",
}


def layer_spec(
    name: str, layer: LayerConfig, arguments: Mapping[str, Any], config: Mapping[str, Json]
) -> tuple[dict[str, Json], list[Any]] | None:
    """A function as a layer that computes the same; None where there is none."""
    operands = [arguments.get("x1"), arguments.get("x2")]
    tensors = [value for value in operands if isinstance(value, NamedTensor)]
    if name in MERGE_LAYERS and len(tensors) == 2 and have_same_type(layer):
        return {"type": MERGE_LAYERS[name]}, tensors
    if name in ("add", "subtract", "multiply", "divide") and len(tensors) == 1 and computes_floats(layer):
        scaled = rescaling_spec(name, *operands)
        return None if scaled is None else (scaled, tensors)
    only = [value for value in arguments.values() if isinstance(value, NamedTensor)]
    if name in ACTIVATIONS.by_name and len(only) == len(arguments) == 1 and computes_floats(layer):
        return activation_spec(name, config, only)
    return None


def rescaling_spec(name: str, left: Any, right: Any) -> dict[str, Json] | None:
    """`x * scale + offset` for an operator between a value and a number; None where it is not that."""
    number = left if isinstance(right, NamedTensor) else right
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None
    number, first = shortest_float(float(number)), isinstance(left, NamedTensor)
    if name == "multiply":
        return {"type": "Rescaling", "scale": number}
    if name == "divide":
        return None
    if name == "add":
        return {"type": "Rescaling", "scale": 1.0, "offset": number}
    return {"type": "Rescaling", "scale": 1.0 if first else -1.0, "offset": -number if first else number}


def activation_spec(
    name: str, config: Mapping[str, Json], inputs: list[Any]
) -> tuple[dict[str, Json], list[Any]] | None:
    """An activation function as the layer that applies it."""
    brick = ACTIVATIONS.by_name[name]
    if not set(config) <= set(brick.attributes) or any(isinstance(value, list) for value in config.values()):
        return None
    given = {key: constant_to_json(value) for key, value in config.items()}
    function = {"type": brick.type_name, **given} if given else brick.type_name
    return {"type": "Activation", "activation": function}, inputs


def unstack_arguments(layer: LayerConfig, axis: int) -> dict[str, Json]:
    """How many places an axis has, which Keras leaves to the shape; nothing where the file does not say that."""
    values = leaves([*layer.calls[0].args, *layer.calls[0].kwargs.values()])
    shape: list[Json] = next((item.shape for item in values if isinstance(getattr(item, "shape", None), list)), [])
    size = shape[axis] if -len(shape) <= axis < len(shape) else None
    return {"num": size} if isinstance(size, int) else {}


def tensor_types(layer: LayerConfig) -> list[tuple[int | None, Json]]:
    """Rank and element type of the tensors that a function is called with, as far as the file says them."""
    call = layer.calls[0] if layer.calls else None
    values = [*call.args, *call.kwargs.values()] if call is not None else []
    shapes = [(getattr(item, "shape", None), getattr(item, "dtype", None)) for item in leaves(values)]
    return [(len(shape) if isinstance(shape, list) else None, dtype) for shape, dtype in shapes if shape is not None]


def have_same_type(layer: LayerConfig) -> bool:
    """Whether all tensors have one rank and one element type: then our layers broadcast as the functions do."""
    types = tensor_types(layer)
    return len(types) == 2 and len(set(types)) == 1 and types[0][1] != "bool"


def computes_floats(layer: LayerConfig) -> bool:
    """Whether a function computes with real numbers: TensorFlow's do where they are given one."""
    if layer.class_name in tensorflow.OP_LAMBDA_CLASSES:
        call = layer.calls[0] if layer.calls else None
        values = [*call.args, *call.kwargs.values()] if call is not None else []
        return str(layer.config.get("function")).startswith("nn.") or any(isinstance(item, float) for item in values)
    types = tensor_types(layer)
    return bool(types) and all(dtype == "float32" for _, dtype in types)
