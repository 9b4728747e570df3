"""What a layer of Keras is called with: which arguments are its inputs, and which are attributes with us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...core.components import Json
from .model_config import LayerCall, TensorRef, leaves

_RECURRENT_PARAMETERS = ("inputs", "initial_state", "mask", "training")
_MULTI_HEAD_PARAMETERS = (
    *("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask"),
    *("return_attention_scores", "training", "use_causal_mask"),
)
_ATTENTION_PARAMETERS = ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask")
_CELL_PARAMETERS = ("inputs", "states", "training")

RECURRENT_LAYERS = ("SimpleRNN", "GRU", "LSTM", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional")

MASK_INPUT_LAYERS = (*RECURRENT_LAYERS, "Softmax")
"""Layers that take a mask of their own, as their last input."""

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
"""The parameters of a layer's call in their order."""

DEFAULT_CALL_PARAMETERS = ("inputs", "training", "mask")
"""Those of all others, and of models."""

FIRST_PARAMETER_NAMES = ("inputs", "sequences", "sequence", "x", "input", "images", "features")
"""What the first parameter may be called."""

ATTENTION_LAYERS = tuple(
    kind for kind, names in CALL_PARAMETERS.items() if names in (_MULTI_HEAD_PARAMETERS, _ATTENTION_PARAMETERS)
)

ATTENTION_INPUTS = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")

ATTENTION_FLAGS = ("use_causal_mask", "return_attention_scores")


class CallArguments(NamedTuple):
    """Arguments by the names of their parameters; and what no parameter takes."""

    by_name: dict[str, Any]
    unknown_names: tuple[str, ...]


def bind_arguments(kind: str, call: LayerCall) -> CallArguments:
    """The arguments of a call by name."""
    names = CALL_PARAMETERS.get(kind, DEFAULT_CALL_PARAMETERS)
    given: dict[str, Any] = dict(zip(names, call.args, strict=False))
    unknown = [f"argument {place + 1}" for place in range(len(names), len(call.args))]
    for key, value in call.kwargs.items():
        name = names[0] if key in FIRST_PARAMETER_NAMES and names[0] == "inputs" else key
        if name in names:
            given[name] = value
        elif value is not None:
            unknown.append(key)
    return CallArguments({key: value for key, value in given.items() if value is not None}, tuple(unknown))


def is_mask_parameter(kind: str, name: str) -> bool:
    """Whether a parameter is a mask, which may be the one that goes beside the inputs anyway."""
    return name == "mask" or (kind in ATTENTION_LAYERS and name in ("query_mask", "value_mask", "key_mask"))


def mask_arguments(kind: str, arguments: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By the name that it has with us: every mask that is given, and what it goes beside."""
    if kind in ("Attention", "AdditiveAttention"):
        inputs, masks = _as_list(arguments.get("inputs")), _as_list(arguments.get("mask"))
        return {
            f"{name}_mask": (mask, inputs[place])
            for place, (name, mask) in enumerate(zip(ATTENTION_INPUTS, masks, strict=False))
            if mask is not None and place < len(inputs)
        }
    found = {}
    for name, mask in arguments.items():
        beside = arguments.get("inputs") if name == "mask" else arguments.get(name.removesuffix("_mask"))
        if is_mask_parameter(kind, name) and any(item is not None for item in leaves(mask)):
            found[name] = mask, beside
    return found


def layer_inputs(
    kind: str, arguments: Mapping[str, Any], explicit_masks: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Json]]:
    """The inputs in the order in which our layer takes them, and attributes that say what they are."""
    flags: dict[str, Json] = {name: True for name in ATTENTION_FLAGS if arguments.get(name) is True}
    if kind not in ATTENTION_LAYERS:
        further = [arguments[name] for name in ("initial_state", "states", "count_weights") if name in arguments]
        return [
            item for value in (arguments.get("inputs"), *further, *explicit_masks.values()) for item in leaves(value)
        ], flags
    tensors = _as_list(arguments["inputs"]) if "inputs" in arguments else None
    named = dict(zip(ATTENTION_INPUTS, tensors, strict=False)) if tensors is not None else arguments
    inputs = {name: named[name] for name in ATTENTION_INPUTS[:3] if name in named} | dict(explicit_masks)
    if "attention_mask" in arguments:
        inputs["attention_mask"] = arguments["attention_mask"]
    if tuple(inputs) != ATTENTION_INPUTS[: len(inputs)] or len(inputs) > 3:
        flags["arguments"] = list(inputs)
    elif len(inputs) == 2 and inputs["query"] == inputs["value"]:
        del inputs["value"]  # with one input the value is the query
    return list(inputs.values()), flags


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def tensor_refs(value: Any) -> list[TensorRef]:
    """The tensors in an argument."""
    return [item for item in leaves(value) if isinstance(item, TensorRef)]
