"""The call parameters of Keras layers, and which of them are inputs or attributes in a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ....core.components import Json
from .model_config import LayerCall, TensorRef, leaves

_RECURRENT_PARAMETERS = ("inputs", "initial_state", "mask", "training")
_MULTI_HEAD_PARAMETERS = (
    *("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask"),
    *("return_attention_scores", "training", "use_causal_mask"),
)
_ATTENTION_PARAMETERS = ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask")
_CELL_PARAMETERS = ("inputs", "states", "training")

RECURRENT_LAYERS = ("SimpleRNN", "GRU", "LSTM", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional")

MASK_INPUT_LAYERS = (*RECURRENT_LAYERS, "GlobalAveragePooling1D", "Softmax")
"""Layers that take an explicit mask, as their last input."""

CALL_PARAMETERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(RECURRENT_LAYERS, _RECURRENT_PARAMETERS),
    **dict.fromkeys(("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells"), _CELL_PARAMETERS),
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"), _MULTI_HEAD_PARAMETERS),
    **dict.fromkeys(("Attention", "AdditiveAttention"), _ATTENTION_PARAMETERS),
    "CategoryEncoding": ("inputs", "count_weights"),
    "ReversibleEmbedding": ("inputs", "reverse"),
    "TimeDistributed": ("inputs", "training", "mask"),
    "BatchNormalization": ("inputs", "training", "mask"),
    "Softmax": ("inputs", "mask"),
    "GlobalAveragePooling1D": ("inputs", "mask"),
}
"""The parameters of each layer's call, in order."""

DEFAULT_CALL_PARAMETERS = ("inputs", "training", "mask")
"""The call parameters of all other layers and of models."""

FIRST_PARAMETER_NAMES = ("inputs", "sequences", "sequence", "x", "input", "images", "features")
"""The names that the first parameter may have."""

ATTENTION_LAYERS = tuple(
    kind for kind, names in CALL_PARAMETERS.items() if names in (_MULTI_HEAD_PARAMETERS, _ATTENTION_PARAMETERS)
)

ATTENTION_INPUTS = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")

ATTENTION_FLAGS = ("use_causal_mask", "return_attention_scores")


class CallArguments(NamedTuple):
    """Arguments by parameter, and the names of arguments that match no parameter."""

    by_name: dict[str, Any]
    unknown_names: tuple[str, ...]


def bind_arguments(kind: str, call: LayerCall) -> CallArguments:
    """Binds the arguments of a call to the parameters of its layer class."""
    parameters = CALL_PARAMETERS.get(kind, DEFAULT_CALL_PARAMETERS)
    by_name: dict[str, Any] = dict(zip(parameters, call.args, strict=False))
    unknown = [f"argument {index + 1}" for index in range(len(parameters), len(call.args))]
    for key, value in call.kwargs.items():
        name = parameters[0] if key in FIRST_PARAMETER_NAMES and parameters[0] == "inputs" else key
        if name in parameters:
            by_name[name] = value
        elif value is not None:
            unknown.append(key)
    return CallArguments({key: value for key, value in by_name.items() if value is not None}, tuple(unknown))


def is_mask_parameter(kind: str, name: str) -> bool:
    """Whether a parameter is a mask that Keras may have attached to an input."""
    return name == "mask" or (kind in ATTENTION_LAYERS and name in ("query_mask", "value_mask", "key_mask"))


def mask_arguments(kind: str, arguments: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The masks among the arguments, by their names in a spec, each with the input that it masks."""
    if kind in ("Attention", "AdditiveAttention"):
        inputs, masks = _as_list(arguments.get("inputs")), _as_list(arguments.get("mask"))
        named = zip(ATTENTION_INPUTS, masks, inputs, strict=False)
        return {f"{name}_mask": (mask, masked) for name, mask, masked in named if mask is not None}
    masks_by_name = {}
    for name, mask in arguments.items():
        if is_mask_parameter(kind, name) and any(item is not None for item in leaves(mask)):
            masked = "inputs" if name == "mask" else name.removesuffix("_mask")
            masks_by_name[name] = mask, arguments.get(masked)
    return masks_by_name


def layer_inputs(
    kind: str, arguments: Mapping[str, Any], explicit_masks: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Json]]:
    """The inputs in the order of our layer, and the attributes that describe the call."""
    flags: dict[str, Json] = {name: True for name in ATTENTION_FLAGS if arguments.get(name) is True}
    if kind not in ATTENTION_LAYERS:
        states = [arguments[name] for name in ("initial_state", "states", "count_weights") if name in arguments]
        return list(leaves([arguments.get("inputs"), *states, *explicit_masks.values()])), flags
    tensors = _as_list(arguments["inputs"]) if "inputs" in arguments else None
    named = dict(zip(ATTENTION_INPUTS, tensors, strict=False)) if tensors is not None else arguments
    inputs = {name: named[name] for name in ATTENTION_INPUTS[:3] if name in named} | dict(explicit_masks)
    if "attention_mask" in arguments:
        inputs["attention_mask"] = arguments["attention_mask"]
    if tuple(inputs) != ATTENTION_INPUTS[: len(inputs)] or len(inputs) > 3:
        flags["arguments"] = list(inputs)
    elif len(inputs) == 2 and inputs["query"] == inputs["value"]:
        del inputs["value"]  # the default value is the query
    return list(inputs.values()), flags


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def tensor_refs(value: Any) -> list[TensorRef]:
    """The tensor references in a structure."""
    return [item for item in leaves(value) if isinstance(item, TensorRef)]
