"""Translates operations among the layers of a model: functions of `keras.ops`, and Python's operators.

An operation becomes the common layer that computes the same, if there is one, or else the layer `ops.NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf
from typing import Any, NamedTuple, cast

from ....core.components import Json, snake_case
from ....core.diagnostics import Report
from ....frontend.schema.phrases import name_list, short_name
from ....frontend.schema.schema import ENTRY_KEYS
from ....layers import ACTIVATIONS, LAYERS, Layer
from . import tensorflow
from .masks import NamedTensor
from .model_config import ELLIPSIS, LayerConfig, SerializedObject, Slice, leaves
from .shortest_float import shortest_float

OPS_MODULE_PREFIX = "keras.src.ops."

FUNCTION_NAMES = {
    "Absolute": "abs",
    "TrueDivide": "divide",
    "LayerNorm": "layer_normalization",
    "RMSNorm": "rms_normalization",
    "BatchNorm": "batch_normalization",
}
"""Function names that are not the class name in snake case."""

OPS_NAMESPACES = ("", "nn.", "image.", "linalg.", "numpy.")
"""Namespaces of `keras.ops` in the names of our layers."""

NEUTRAL_ARGUMENTS: Mapping[str, Json] = {
    "synchronized": False,
    "sparse": False,
    "rms_scaling": False,
    "fill_mode": "constant",
    "data_format": "channels_last",
}
"""Arguments that have no effect with these values."""

PARAMETER_NAMES: dict[str, tuple[str, ...]] = {
    "get_item": ("x", "key"),
    "clip": ("x", "x_min", "x_max"),
    "full_like": ("x", "fill_value"),
    "pad": ("x", "constant_values"),
}
"""The positional parameters of a function, if they are not just the tensors of our layer."""

NO_COUNTERPART_HELP = "express it by other functions of keras.ops or by layers, and save the model again"


def is_operation(layer: LayerConfig) -> bool:
    """Whether an entry of a model's layers is an operation. Without a module (`.h5`), the class name decides."""
    if layer.inner_model is not None:
        return False
    if layer.class_name in tensorflow.OP_LAMBDA_CLASSES or (layer.module or "").startswith(OPS_MODULE_PREFIX):
        return True
    layer_keys = {"trainable", "units"} | ({"dtype"} if layer.class_name in LAYERS.by_name else set())
    looks_like_layer = layer.module is not None or bool(layer.config.keys() & layer_keys)
    return not looks_like_layer and function_name(layer.class_name) is not None and bool(layer.calls)


def function_name(class_name: str) -> str | None:
    """The name of our layer for an operation class, without `ops.`; None if there is none."""
    name = FUNCTION_NAMES.get(class_name, snake_case(class_name))
    return next((f"{part}{name}" for part in OPS_NAMESPACES if f"ops.{part}{name}" in LAYERS.by_name), None)


class OperationEntry(NamedTuple):
    """The spec entry of an operation, not yet validated, and its input tensors."""

    spec: dict[str, Json]
    inputs: list[NamedTensor]


def operation_entry(
    layer: LayerConfig, args: tuple[Any, ...], kwargs: Mapping[str, Any], report: Report
) -> OperationEntry | None:
    """The entry of an operation, whose arguments contain tensors; None, with a diagnostic, if there is none.

    Operations drop masks. So an operation on a masked tensor is not translated to a layer, which would keep the mask.
    """
    kwargs = {key: value for key, value in kwargs.items() if key != "name"}
    if reserved := [key for key in kwargs if key in ENTRY_KEYS]:
        message = f"{short_name(layer.name)} is called with {name_list(reserved)}, which no function takes"
        report.add("keras-call", layer.path, message, help="the file was edited: remove the argument")
        return None
    tensors = [item for item in leaves([*args, *kwargs.values()]) if isinstance(item, NamedTensor)]
    if not tensors:  # an error in the arguments, already reported
        return None
    if layer.class_name in tensorflow.OP_LAMBDA_CLASSES:
        try:
            function = tensorflow.find_function(str(layer.config.get("function") or "__operators__.getitem"))
            name, arguments = function.name, tensorflow.translate_arguments(function, args, kwargs)
        except tensorflow.UnsupportedFunction as error:
            message, path = f"{short_name(layer.name)} {error}", (*layer.path, "config", "function")
            report.add("not-expressible", path, message, help=NO_COUNTERPART_HELP)
            return None
        options: dict[str, Json] = {}
    else:
        name = function_name(layer.class_name) or FUNCTION_NAMES.get(layer.class_name, snake_case(layer.class_name))
        arguments, options = {**named_arguments(name, args), **kwargs}, significant_options(layer)
    is_masked = any(tensor.mask is not None for tensor in tensors)
    entry = None if is_masked else layer_entry(name, layer, arguments, options)
    if entry is None:
        entry = function_entry(name, arguments, options)
    if name == "unstack" and "num" not in entry.spec:
        entry.spec.update(unstack_arguments(layer, cast("int", entry.spec.get("axis", 0))))
    if entry.spec["type"] in LAYERS.by_name:
        return entry
    message = f"the function {short_name('keras.ops.' + name)} of {short_name(layer.name)} is not supported"
    report.add("not-expressible", (*layer.path, "class_name"), message, help=NO_COUNTERPART_HELP)
    return None


def significant_options(layer: LayerConfig) -> dict[str, Json]:
    """The options of an operation that change what it computes."""
    return {
        key: value
        for key, value in layer.config.items()
        if value is not None and key != "name" and NEUTRAL_ARGUMENTS.get(key, ()) != value
    }


def named_arguments(name: str, args: tuple[Any, ...]) -> dict[str, Any]:
    """The positional arguments of a call by the names of their parameters."""
    layer_class = cast("type[Layer] | None", LAYERS.by_name.get(f"ops.{name}"))
    names = PARAMETER_NAMES.get(name) or getattr(layer_class, "tensors", None) or ("x",)
    return {names[index] if index < len(names) else f"argument {index + 1}": value for index, value in enumerate(args)}


def function_entry(name: str, arguments: Mapping[str, Any], options: Mapping[str, Json]) -> OperationEntry:
    """The entry of the layer `ops.NAME`: tensors become inputs, all other arguments stay arguments."""
    spec: dict[str, Json] = {"type": f"ops.{name}"}
    inputs: list[NamedTensor] = []
    for key, value in arguments.items():
        tensors = [item for item in leaves(value) if isinstance(item, NamedTensor)]
        inputs += tensors
        if not tensors and value is not None:
            constant = constant_to_json(value)
            spec[key] = [constant] if key == "key" and not isinstance(value, list) else constant
    return OperationEntry(spec | {key: constant_to_json(value) for key, value in options.items()}, inputs)


def constant_to_json(value: Any) -> Json:
    """Converts a constant argument to JSON: a slice and an ellipsis to the strings `start:stop:step` and `...`."""
    if isinstance(value, Slice):
        start, stop, step = ("" if part is None else str(part) for part in value)
        return f"{start}:{stop}:{step}" if value.step is not None else f"{start}:{stop}"
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


def layer_entry(
    name: str, layer: LayerConfig, arguments: Mapping[str, Any], options: Mapping[str, Json]
) -> OperationEntry | None:
    """The entry of a common layer that computes the same as a function; None if there is none."""
    operands = [arguments.get("x1"), arguments.get("x2")]
    tensors = [operand for operand in operands if isinstance(operand, NamedTensor)]
    if name in MERGE_LAYERS and len(tensors) == 2 and have_same_type(layer):
        return OperationEntry({"type": MERGE_LAYERS[name]}, tensors)
    if name in ("add", "subtract", "multiply", "divide") and len(tensors) == 1 and computes_floats(layer):
        rescaling = rescaling_spec(name, *operands)
        return None if rescaling is None else OperationEntry(rescaling, tensors)
    inputs = [value for value in arguments.values() if isinstance(value, NamedTensor)]
    if name in ACTIVATIONS.by_name and len(inputs) == len(arguments) == 1 and computes_floats(layer):
        activation = activation_spec(name, options)
        return None if activation is None else OperationEntry(activation, inputs)
    return None


def rescaling_spec(name: str, left: Any, right: Any) -> dict[str, Json] | None:
    """`x * scale + offset` for an operator between a tensor and a number; None for other operands."""
    number = left if isinstance(right, NamedTensor) else right
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None
    number, tensor_is_left = shortest_float(float(number)), isinstance(left, NamedTensor)
    if name == "multiply":
        return {"type": "Rescaling", "scale": number}
    if name == "divide":
        return None
    if name == "add":
        return {"type": "Rescaling", "scale": 1.0, "offset": number}
    sign = 1.0 if tensor_is_left else -1.0
    return {"type": "Rescaling", "scale": sign, "offset": -number if tensor_is_left else number}


def activation_spec(name: str, options: Mapping[str, Json]) -> dict[str, Json] | None:
    """The Activation layer for a function; None if the function has options that it lacks."""
    activation = ACTIVATIONS.by_name[name]
    if not set(options) <= set(activation.attributes) or any(isinstance(value, list) for value in options.values()):
        return None
    arguments = {key: constant_to_json(value) for key, value in options.items()}
    function = {"type": activation.type_name, **arguments} if arguments else activation.type_name
    return {"type": "Activation", "activation": function}


def unstack_arguments(layer: LayerConfig, axis: int) -> dict[str, Json]:
    """`num`, the size of the axis to unstack, which Keras takes from the shape; empty if it is unknown."""
    shapes = (getattr(value, "shape", None) for value in first_call_arguments(layer))
    shape: list[Json] = next((shape for shape in shapes if isinstance(shape, list)), [])
    size = shape[axis] if -len(shape) <= axis < len(shape) else None
    return {"num": size} if isinstance(size, int) else {}


def first_call_arguments(layer: LayerConfig) -> list[Any]:
    """The tensors and constants of an operation's first call."""
    return list(leaves([*layer.calls[0].args, *layer.calls[0].kwargs.values()])) if layer.calls else []


def tensor_types(layer: LayerConfig) -> list[tuple[int | None, Json]]:
    """Rank and element type of the tensors that an operation is called with, if the file states them."""
    types = [(getattr(item, "shape", None), getattr(item, "dtype", None)) for item in first_call_arguments(layer)]
    return [(len(shape) if isinstance(shape, list) else None, dtype) for shape, dtype in types if shape is not None]


def have_same_type(layer: LayerConfig) -> bool:
    """Whether both tensors have one rank and element type. Then our merge layers broadcast like functions."""
    types = tensor_types(layer)
    return len(types) == 2 and len(set(types)) == 1 and types[0][1] != "bool"


def computes_floats(layer: LayerConfig) -> bool:
    """Whether an operation computes in float32. TensorFlow's operations do if they have a float operand."""
    if layer.class_name in tensorflow.OP_LAMBDA_CLASSES:
        is_activation = str(layer.config.get("function")).startswith("nn.")
        arguments = [value for call in layer.calls[:1] for value in (*call.args, *call.kwargs.values())]
        return is_activation or any(isinstance(value, float) for value in arguments)
    types = tensor_types(layer)
    return bool(types) and all(dtype == "float32" for _, dtype in types)
